"""Timers: a heap against a sorted list; GTD orders that expire, worked out by hand; who puts TIMER in, and when."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from reference.desk import ALICE, BOB, BTC, BUY, SELL, USDT
from reference.records import Fields, event_fields, records_of
from scene import LIMITS, RICH, STEP, Scene, kinds, trades

from ringex.administration import set_limits
from ringex.config import Durability
from ringex.engine import Matcher
from ringex.engine.export import state_hash
from ringex.engine.replay import Replayer
from ringex.engine.sequencer import Sequencer
from ringex.engine.snapshot import load_snapshot, write_snapshot
from ringex.journal import JournalReader, JournalWriter
from ringex.messages import COMMAND, SEED_RING
from ringex.reasons import Reason
from ringex.ring import Producer, Ring
from ringex.system import now_ns
from ringex.tables import Heap, heap_first, heap_first_key, heap_push, heap_remove
from ringex.terms import CommandKind, EventFlag, EventKind, OrderStatus, OrderType, TimeInForce, TimerKind

GTD = TimeInForce.GTD
START = 1_000_000_000  # the desk's time


@pytest.mark.parametrize("seed", range(3))
def test_heap_agrees_with_a_sorted_list(seed: int) -> None:
    dice, heap = random.Random(seed), Heap(40)
    held: dict[int, tuple[int, int]] = {}
    for order in range(2_000):
        absent = [item for item in range(1, 41) if item not in held]
        if absent and dice.random() < 0.6:
            item = dice.choice(absent)
            held[item] = (dice.randint(-5, 5), order)
            heap_push(heap.address, *held[item], item)
        elif held:
            item = dice.choice([*held, heap_first(heap.address)])
            del held[item]
            heap_remove(heap.address, item)
        first = min(held, key=lambda item: held[item], default=0)
        assert heap_first(heap.address) == first and heap.used == len(held)
        assert heap_first_key(heap.address) == (held[first][0] if first else 0)


def test_a_heap_holds_something() -> None:
    with pytest.raises(ValueError, match="at least 1 item"):
        Heap(0)


# GTD.


def at(scene: Scene, time_ns: int) -> list[Fields]:
    """Time goes on to START + `time_ns`, and the events of that."""
    scene.desk.time_ns = START + time_ns
    events = [event_fields(event) for event in scene.matcher.advance(scene.desk.time_ns)]
    scene.check()
    return events


def gtd(scene: Scene, account: int, side: int, price: int, quantity: int, ns: int, **fields: int) -> list[Fields]:
    return scene.place(account, side, price, quantity, time_in_force=GTD, good_till_ns=START + ns, **fields)


def test_a_resting_order_expires_when_its_date_has_come() -> None:
    scene = Scene()
    (accepted,) = gtd(scene, ALICE, BUY, 100, 5, 1_000, client_order_id="mine")
    assert accepted["good_till_ns"] == START + 1_000 and accepted["flag_bits"] & EventFlag.WORKING
    scene.place(BOB, SELL, 100, 2)
    assert at(scene, 999) == [] and scene.balance(ALICE, USDT)[1] == 3 * 100 * STEP
    (expired,) = at(scene, 1_000)
    assert expired["kind"] == EventKind.CANCELED and expired["command_kind"] == CommandKind.TIMER
    assert expired["status"] == OrderStatus.EXPIRED and expired["reason"] == Reason.EXPIRED_BY_TIME
    assert expired["flag_bits"] == EventFlag.LAST | EventFlag.LEVEL
    assert (expired["level_price"], expired["level_quantity"], expired["time_ns"]) == (100, 0, START + 1_000)
    assert (expired["client_order_id"], expired["original_client_order_id"]) == ("mine", "")
    assert (expired["quantity"], expired["executed_quantity"]) == (5, 2)
    assert (expired["correlation"], expired["gateway"], expired["connection"]) == (0, 0, 0)
    assert scene.balance(ALICE, USDT) == (RICH - 200 * STEP, 0)
    assert at(scene, 10**12) == []


def test_it_expires_before_a_command_of_that_time_and_trades_until_then() -> None:
    scene = Scene()
    gtd(scene, ALICE, BUY, 100, 5, 1_000)
    scene.desk.time_ns = START + 999
    assert trades(scene.place(BOB, SELL, 100, 1)) == [(1, 100, 1)]
    scene.desk.time_ns = START + 1_000
    events = scene.place(BOB, SELL, 100, 1, correlation=7)
    assert kinds(events) == [EventKind.CANCELED, EventKind.ACCEPTED]
    assert [event["correlation"] for event in events] == [0, 7]
    assert [event["command_sequence"] for event in events] == [15, 16]


def test_orders_expire_by_date_then_by_entry() -> None:
    scene = Scene()
    for number, ns in enumerate([30, 10, 20, 10, 30, 20]):
        gtd(scene, ALICE, BUY, 50 + number, 1, ns)
    assert [event["order_id"] for event in at(scene, 19)] == [2, 4]
    assert [event["order_id"] for event in at(scene, 30)] == [3, 6, 1, 5]
    assert scene.queue() == []


@pytest.mark.parametrize("end", ["filled", "canceled", "canceled with all"])
def test_an_order_that_has_ended_leaves_no_timer(end: str) -> None:
    scene = Scene()
    gtd(scene, ALICE, BUY, 100, 5, 1_000)
    root = scene.matcher.state.root
    assert root["timer_next_ns"] == START + 1_000
    if end == "filled":
        scene.place(BOB, SELL, 100, 5)
    elif end == "canceled":
        scene.do(scene.desk.cancel(ALICE, 1))
    else:
        scene.do(scene.desk.cancel_all(ALICE))
    assert root["timer_next_ns"] == 0 and scene.matcher.state.timer_heap.used == 0


def test_an_order_filled_at_entry_never_has_one() -> None:
    scene = Scene()
    scene.rest(BOB, SELL, 100, 5)
    assert kinds(gtd(scene, ALICE, BUY, 100, 5, 1_000)) == [EventKind.ACCEPTED, EventKind.TRADE]
    assert scene.matcher.state.root["timer_next_ns"] == 0


def test_an_amended_order_keeps_its_date() -> None:
    scene = Scene()
    gtd(scene, ALICE, BUY, 100, 5, 1_000)
    gtd(scene, ALICE, BUY, 90, 5, 1_000)
    scene.do(scene.desk.amend(ALICE, 1, price=95))
    assert [event["order_id"] for event in at(scene, 1_000)] == [1, 2]


def test_a_stop_order_expires_while_it_waits_and_after_it_has_fired() -> None:
    scene = Scene()
    stop = {"order_type": OrderType.STOP_LOSS_LIMIT, "stop_price": 110}
    gtd(scene, ALICE, BUY, 120, 1, 1_000, **stop)
    (expired,) = at(scene, 1_000)
    assert not expired["flag_bits"] & EventFlag.LEVEL and scene.balance(ALICE, USDT) == (RICH, 0)
    gtd(scene, ALICE, BUY, 120, 1, 2_000, **stop)
    scene.rest(BOB, SELL, 110, 1)
    scene.place(ALICE, BUY, 110, 1)  # fires it; it rests
    assert scene.queue() == [(2, BUY, 120, 1)]
    (expired,) = at(scene, 2_000)
    assert expired["flag_bits"] & EventFlag.LEVEL and scene.balance(ALICE, BTC) == (RICH + 1_000_000, 0)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"good_till_ns": START}, Reason.INVALID_GOOD_TILL),
        ({"good_till_ns": 0}, Reason.INVALID_GOOD_TILL),
        ({"good_till_ns": -1}, Reason.INVALID_GOOD_TILL),
        ({"good_till_ns": START + 5, "time_in_force": TimeInForce.GTC}, Reason.INVALID_GOOD_TILL),
        ({"good_till_ns": START + 5, "order_type": OrderType.MARKET, "price": 0}, Reason.INVALID_TIME_IN_FORCE),
        (
            {"good_till_ns": START + 5, "order_type": OrderType.STOP_LOSS, "price": 0, "stop_price": 9},
            Reason.INVALID_TIME_IN_FORCE,
        ),
    ],
)
def test_bad_dates_are_refused(fields: Fields, reason: Reason) -> None:
    scene = Scene()
    order = {"price": 100, "quantity": 1, "time_in_force": GTD} | fields
    assert scene.refused(scene.desk.place(ALICE, BUY, **order)) == reason


def test_a_timer_command_without_need_is_refused() -> None:
    scene = Scene()
    assert scene.refused(scene.desk.timer()) == Reason.INVALID_COMMAND
    gtd(scene, ALICE, BUY, 100, 5, 1_000)
    assert scene.refused(scene.desk.timer()) == Reason.INVALID_COMMAND


def test_timers_are_in_snapshots_and_keep_their_order(tmp_path: Path) -> None:
    scene = Scene()
    for number, ns in enumerate([30, 10, 20, 10]):
        gtd(scene, ALICE, BUY, 50 + number, 1, ns)
    loaded = Matcher(state=load_snapshot(write_snapshot(scene.matcher.state, tmp_path)))
    assert loaded.state_hash() == scene.matcher.state_hash()
    exported = loaded.export()["timers"]
    assert exported["subject"].tolist() == [2, 4, 3, 1] and set(exported["kind"]) == {TimerKind.ORDER_EXPIRY}
    assert loaded.advance(START + 40).tobytes() == scene.matcher.advance(START + 40).tobytes()
    assert loaded.state_hash() == scene.matcher.state_hash()


# The sequencer.


@pytest.fixture
def rings() -> Iterator[tuple[Ring, Ring]]:
    """An event ring and a command ring."""
    names = [f"ringex-test-{uuid.uuid4().hex[:12]}-{end}" for end in ("events", "c00")]
    made = [Ring.create(names[0], 1 << 13, epoch=1, gated=False), Ring.create(names[1], 1 << 8, epoch=1)]
    yield made[0], made[1]
    for ring in made:
        ring.close()
        Ring.unlink(ring.name)


class Sequenced:
    """A sequencer over a scene's state, a journal and the rings; time can be set on."""

    def __init__(self, scene: Scene, rings: tuple[Ring, Ring], folder: Path, buffer_slots: int = 1 << 12) -> None:
        self.first = int(scene.matcher.state.root["command_sequence"]) + 1
        self.start = write_snapshot(scene.matcher.state, folder)
        self.state = load_snapshot(self.start)
        self.folder = folder / "journal"
        self.journal = JournalWriter(
            self.folder, next_sequence=self.first, durability=Durability.OS, buffer_slots=buffer_slots
        )
        self.journal.start()
        self.sequencer = Sequencer(self.state, self.journal, rings[0], spins_max=10)
        self.sequencer.set_sources([(rings[1], 0)])
        self.commands = Producer(rings[1])

    def take(self, *records: Fields) -> None:
        self.commands.publish(records_of(records))
        self.drain()

    def drain(self) -> None:
        while not self.sequencer.is_drained:
            self.sequencer.run(0.01)

    def is_later(self, time_ns: int) -> None:
        """The sequencer's time is max(previous, now): from now on it is `time_ns`, which lies far ahead of now."""
        self.sequencer._record["time_ns"] = time_ns

    def journaled(self) -> np.ndarray:
        """What was journaled, which must replay to the same state."""
        self.drain()
        self.journal.stop()
        with JournalReader(self.folder, from_sequence=self.first) as reader:
            records = np.concatenate([batch.view("V256") for batch in reader.read(self.first)]).view(COMMAND)
        replayed = load_snapshot(self.start)
        for _ in Replayer(replayed).apply(records):
            pass
        assert state_hash(replayed) == state_hash(self.state)
        return records


FUTURE = 4_000_000_000 * 10**9


def test_the_sequencer_puts_timers_in_before_later_commands(rings: tuple[Ring, Ring], tmp_path: Path) -> None:
    scene = Scene()
    desk, run = scene.desk, Sequenced(scene, rings, tmp_path)
    run.is_later(FUTURE)
    dated = [{"time_in_force": GTD, "good_till_ns": FUTURE + ns} for ns in (20, 10, 10, 30)]
    run.take(*(desk.place(ALICE, BUY, 90 + number, 1, **date) for number, date in enumerate(dated)))
    assert run.state.root["timer_next_ns"] == FUTURE + 10
    run.is_later(FUTURE + 9)
    run.take(desk.place(BOB, SELL, 500, 1))
    run.is_later(FUTURE + 20)
    run.take(desk.place(BOB, SELL, 501, 1), desk.place(BOB, SELL, 502, 1))
    assert run.state.root["timer_next_ns"] == FUTURE + 30
    run.is_later(FUTURE + 30)
    run.sequencer.run(0.0)
    assert run.state.root["timer_next_ns"] == 0
    records = run.journaled()
    place, timer = int(CommandKind.PLACE), int(CommandKind.TIMER)
    assert records["kind"].tolist() == [place] * 5 + [timer] * 3 + [place] * 2 + [timer]
    assert (records["time_ns"] - FUTURE).tolist() == [0, 0, 0, 0, 9, 20, 20, 20, 20, 20, 30]
    assert set(records["ring"][records["kind"] == timer]) == {SEED_RING}


def test_the_sequencer_wakes_up_for_a_timer(rings: tuple[Ring, Ring], tmp_path: Path) -> None:
    scene = Scene()
    desk, run = scene.desk, Sequenced(scene, rings, tmp_path)
    run.take(desk.place(BOB, SELL, 500, 1))  # compiled by now
    run.take(desk.place(ALICE, BUY, 80, 1, time_in_force=GTD, good_till_ns=now_ns() + 1_000_000_000))
    assert run.state.root["timer_next_ns"] != 0
    asleep_until_ns = now_ns() + 3_000_000_000
    run.sequencer.run(3.0)
    assert run.state.root["timer_next_ns"] == 0
    assert int(run.state.root["time_ns"]) < asleep_until_ns, "it slept on"
    assert run.journaled()["kind"].tolist() == [CommandKind.PLACE, CommandKind.PLACE, CommandKind.TIMER]


def test_the_process_own_commands_wait_for_timers_that_are_due(rings: tuple[Ring, Ring], tmp_path: Path) -> None:
    """More timers than the buffers hold at once: LIMITS_SET comes after all of them."""
    scene = Scene(orders_per_account_max=8_000)
    dated = {"time_in_force": GTD, "good_till_ns": START + 1}
    scene.do_all(records_of([scene.desk.place(ALICE, BUY, 90, 1, **dated) for _ in range(7_000)]))
    run = Sequenced(scene, rings, tmp_path, buffer_slots=1 << 11)
    assert run.sequencer.submit(set_limits(LIMITS), 0) == run.first + 7_000
    assert run.journaled()["kind"].tolist() == [CommandKind.TIMER] * 7_000 + [CommandKind.LIMITS_SET]
    assert run.state.pools["order_pool"].used == 0
