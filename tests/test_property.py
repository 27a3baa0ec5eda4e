"""Random command streams through the engine and the reference: every event the same, and every state sound.

Profiles (`RINGEX_HYPOTHESIS=long pytest tests/test_property.py`): `ci` draws the same streams each time; `long` draws
many times as many, new ones each time.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from reference import ReferenceExchange, event_fields
from reference.arena import SMALL
from reference.desk import ALICE, BOB, BTC, BUY, SELL, USDT, Desk
from reference.records import Fields, command_starts, describe, records_of
from reference.soundness import Auditor
from reference.streams import ROLL_MAX, ROLLS_PER_COMMAND, Dice, Stream

from ringex.config import Limits
from ringex.engine import Matcher
from ringex.engine.snapshot import load_snapshot, write_snapshot
from ringex.messages import EVENTS_PER_COMMAND_MAX
from ringex.terms import CommandKind, EventKind, OrderType, SelfTradePrevention, TimeInForce

settings.register_profile("ci", max_examples=1_000, derandomize=True, deadline=None)
settings.register_profile("long", max_examples=50_000, deadline=None)
settings.load_profile(os.environ.get("RINGEX_HYPOTHESIS", "ci"))

COMMANDS_MAX = 60
Rolls = list[tuple[int, ...]]
ROLLS = st.tuples(*[st.integers(0, ROLL_MAX)] * ROLLS_PER_COMMAND)
STREAMS = st.one_of(  # Hypothesis makes lists little longer than they must be
    st.lists(ROLLS, min_size=1, max_size=COMMANDS_MAX),
    st.lists(ROLLS, min_size=COMMANDS_MAX // 3, max_size=COMMANDS_MAX),
)


class Play:
    """One stream through the reference, audited after every command: the records it was made of, and its events."""

    def __init__(self, rolls: Rolls) -> None:
        self.exchange = ReferenceExchange(SMALL)
        self.commands: list[Fields] = []
        self.journal: list[Fields] = []  # the same, with the CONTINUE and TIMER records that the matcher makes itself
        self.events: list[Fields] = []
        self.auditor = Auditor(self.exchange)
        self.stream = Stream(self.exchange)
        for records in self.stream.opening():
            self._send(records)
        self.opening_count = len(self.commands)
        self.auditor.check()
        for command in rolls:
            self.stream.play(Dice(command), self._send, self._own)
            self.auditor.check()

    def _send(self, records: tuple[Fields, ...]) -> None:
        """One command."""
        self.commands += records
        self._own(records)

    def _own(self, records: tuple[Fields, ...]) -> None:
        """One command that the matcher puts in by itself."""
        self.journal += records
        events = self.exchange.apply(*records)
        self.events += events
        self.auditor.watch(events)

    def records(self) -> np.ndarray:
        """The commands as the engine takes them. Shape (commands,), COMMAND."""
        return records_of(self.commands)

    def first_difference(self, events: np.ndarray) -> str:
        """Where the engine's events leave the reference's, with the commands up to there; empty if nowhere."""
        ours = [event_fields(event) for event in events]
        for expected, actual in zip_longest(self.events, ours, fillvalue={}):
            if expected != actual:
                return self._explain(expected, actual)
        return ""

    def _explain(self, expected: Fields, actual: Fields) -> str:
        sequence = (expected or actual)["command_sequence"]
        lines = ["", "commands (after the opening of tests/reference/streams.py):"]
        lines += [describe(c) for c in self.commands[self.opening_count :] if c["sequence"] <= sequence + 1]
        lines += ["events of the last command, reference:"]
        lines += [describe(e) for e in self.events if e["command_sequence"] == sequence]
        lines += ["first difference, field: reference, engine"]
        names = list(expected) + [name for name in actual if name not in expected]
        pairs = [(name, expected.get(name), actual.get(name)) for name in names]
        lines += [f"    {name}: {left!r}, {right!r}" for name, left, right in pairs if left != right]
        return "\n".join(lines)


def submit_in_batches(matcher: Matcher, records: np.ndarray, cuts: Sequence[int]) -> bytes:
    """Submit the records in several calls, cut at those of these places where a command begins."""
    kept = sorted({0, *cuts} & set(command_starts(records)) - {0, len(records)})
    return b"".join(matcher.submit(batch).tobytes() for batch in np.split(records, kept))


@given(STREAMS)
def test_engine_agrees_with_the_reference(rolls: Rolls) -> None:
    play = Play(rolls)
    difference = play.first_difference(Matcher(limits=SMALL).submit(play.records()))
    assert not difference, difference


@given(STREAMS, st.lists(st.integers(1, 100), max_size=5))
@settings(max_examples=200)
def test_batches_do_not_matter(rolls: Rolls, cuts: list[int]) -> None:
    records = Play(rolls).records()
    whole, parts = Matcher(limits=SMALL), Matcher(limits=SMALL)
    assert whole.submit(records).tobytes() == submit_in_batches(parts, records, cuts)
    assert whole.state_hash() == parts.state_hash()


LONG = 1 << 12  # orders of a long sweep, at most
LEVELS = 16
TOP = 100 + LEVELS - 1


def sweep_commands(desk: Desk, how: str, count: int, taker_order: int) -> Iterator[tuple[Fields, ...]]:
    """A command that meets `count` resting sell orders of quantity 1 up to price TOP (`taker_order`: a resting buy).

    Each is made when it is asked for, and numbered then: after the continuations of the one before.
    """
    order = {"client_order_id": "sweep", "correlation": count}
    quote = sum(100 + i % LEVELS for i in range(count)) * 10_000
    if how == "limit":
        yield (desk.place(ALICE, BUY, TOP, count, **order),)
    elif how == "limit, one left":
        yield (desk.place(ALICE, BUY, TOP, count + 1, **order),)
        yield (desk.cancel_all(ALICE),)
    elif how == "ioc, one left":
        yield (desk.place(ALICE, BUY, TOP + 1, count + 1, time_in_force=TimeInForce.IOC, **order),)
    elif how == "fok":
        yield (desk.place(ALICE, BUY, TOP, count, time_in_force=TimeInForce.FOK, **order),)
    elif how == "market":
        yield (desk.market_order(ALICE, BUY, count, **order),)
    elif how == "market by quote":
        yield (desk.market_order(ALICE, BUY, quote_quantity=quote + 7, **order),)
    elif how == "amend":
        yield (desk.amend(ALICE, taker_order, price=TOP, quantity=count, **order),)
    elif how == "stop":
        stop = {"order_type": OrderType.TAKE_PROFIT, "stop_price": 50}
        yield (desk.place(ALICE, BUY, 0, count, **stop, **order),)
        yield (desk.place(BOB, SELL, 50, 1),)
    elif how == "decrement":
        yield (desk.account_set(ALICE, trade_group=7),)
        yield (desk.account_set(BOB, trade_group=7),)
        yield (desk.place(ALICE, BUY, TOP, count, self_trade_prevention=SelfTradePrevention.DECREMENT, **order),)
    elif how == "cancel-replace":
        yield (desk.cancel_leg(ALICE, taker_order, **order), desk.place(ALICE, BUY, TOP, count, **order))
    else:
        assert how == "cancel all"
        yield (desk.cancel_all(BOB, -1),)


FIRST_STEP = {  # makers (or orders) that are done in one step, with the events that come before and after them
    "limit": EVENTS_PER_COMMAND_MAX - 9,
    "limit, one left": EVENTS_PER_COMMAND_MAX - 9,
    "ioc, one left": EVENTS_PER_COMMAND_MAX - 9,
    "fok": EVENTS_PER_COMMAND_MAX - 9,
    "market": EVENTS_PER_COMMAND_MAX - 9,
    "market by quote": EVENTS_PER_COMMAND_MAX - 9,
    "amend": EVENTS_PER_COMMAND_MAX - 9,
    "stop": EVENTS_PER_COMMAND_MAX - 9,
    "decrement": (EVENTS_PER_COMMAND_MAX - 7) // 3,
    "cancel-replace": EVENTS_PER_COMMAND_MAX - 10,
    "cancel all": EVENTS_PER_COMMAND_MAX - 4,
}


@pytest.mark.parametrize("how", FIRST_STEP)
def test_long_sweeps_are_continued_alike(how: str) -> None:
    limits = Limits(orders_max=LONG, levels_max=2 * LEVELS, accounts_max=8, balances_max=16, references_max=8)
    exchange, desk = ReferenceExchange(limits), Desk()
    auditor = Auditor(exchange)
    commands: list[Fields] = []
    expected: list[Fields] = []

    def apply(*records: Fields) -> None:
        commands.extend(records)
        events = exchange.apply(*records)
        while exchange.is_pending:
            events += exchange.apply(desk.go_on())
        expected.extend(events)
        auditor.watch(events)

    opening = [desk.asset("BTC", 8), desk.asset("USDT", 8), desk.market(orders_per_account_max=LONG, taker_fee=1_001)]
    opening += [desk.account("alice"), desk.account("bob")]
    opening += [desk.deposit(account, asset, 10**17) for account in (ALICE, BOB) for asset in (BTC, USDT)]
    for command in opening:
        apply(command)
    steps = []
    for count in (FIRST_STEP[how], FIRST_STEP[how] + 1, FIRST_STEP[how] + EVENTS_PER_COMMAND_MAX):
        apply(desk.place(ALICE, BUY, 50, 1))
        taker_order = expected[-1]["order_id"]
        for i in range(count):
            apply(desk.place(BOB, SELL, 100 + i % LEVELS, 1))
        before = desk.sequence
        for sweep in sweep_commands(desk, how, count, taker_order):
            apply(*sweep)
        auditor.check()
        steps.append(desk.sequence - before)
    events_each = 3 if how == "decrement" else 1
    assert [step - steps[0] for step in steps] == [0, 1, 1 + events_each]
    actual = [event_fields(event) for event in Matcher(limits=limits).submit(records_of(commands))]
    for left, right in zip_longest(expected, actual, fillvalue={}):
        assert left == right


@given(STREAMS)
@settings(max_examples=200)
def test_a_replay_of_the_same_commands_gives_the_same_state(rolls: Rolls) -> None:
    play = Play(rolls)
    live, replayed = Matcher(limits=SMALL), Matcher(limits=SMALL)
    live.submit(play.records())
    replayed.replay(records_of(play.journal))
    assert live.state_hash() == replayed.state_hash()


ROOMY = Limits(**{name: 3 * number for name, number in vars(SMALL).items()})


@given(STREAMS)
@settings(max_examples=200)
def test_room_beyond_the_limits_does_not_matter(rolls: Rolls) -> None:
    play = Play(rolls)
    for command in play.commands:
        if command["kind"] == CommandKind.LIMITS_SET:  # what only the larger tables have room for is not for both
            assume(all(command[name] <= number for name, number in vars(SMALL).items()))
    tight, roomy = Matcher(limits=SMALL), Matcher(limits=ROOMY)
    assert tight.submit(play.records()).tobytes() == roomy.submit(play.records()).tobytes()
    assert tight.state_hash() == roomy.state_hash()


@given(STREAMS, st.integers(1, 100))
@settings(max_examples=100)
def test_a_snapshot_goes_on_as_the_original(rolls: Rolls, cut: int) -> None:
    records = Play(rolls).records()
    cut = max(start for start in command_starts(records)[:-1] if start <= cut)
    original = Matcher(limits=SMALL)
    original.submit(records[:cut])
    with TemporaryDirectory() as directory:
        loaded = Matcher(state=load_snapshot(write_snapshot(original.state, Path(directory)), SMALL))
    assert loaded.state_hash() == original.state_hash()
    assert loaded.submit(records[cut:]).tobytes() == original.submit(records[cut:]).tobytes()
    assert loaded.state_hash() == original.state_hash()


INTERPRETED = """
import sys
import numpy as np
from reference.arena import SMALL
from ringex.engine import Matcher
from ringex.jit import INTERPRETED
from ringex.messages import COMMAND
assert INTERPRETED
matcher = Matcher(limits=SMALL)
events = matcher.submit(np.frombuffer(sys.stdin.buffer.read(), COMMAND))
sys.stdout.buffer.write(matcher.state_hash().encode() + events.tobytes())
"""


def test_interpreted_and_compiled_are_one_engine() -> None:
    random = np.random.default_rng(2)
    records = Play(
        [tuple(rolls) for rolls in random.integers(0, ROLL_MAX, (300, ROLLS_PER_COMMAND)).tolist()]
    ).records()
    compiled = Matcher(limits=SMALL)
    events = compiled.submit(records)
    assert set(np.unique(events["kind"])) >= {EventKind.TRADE, EventKind.CANCELED, EventKind.AMENDED}
    tests_dir = Path(__file__).parent
    paths = os.pathsep.join(map(str, (tests_dir, tests_dir.parent, os.environ.get("PYTHONPATH", ""))))
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1", "PYTHONPATH": paths}
    command = [sys.executable, "-c", INTERPRETED]
    run = subprocess.run(command, input=records.tobytes(), env=environment, check=True, capture_output=True)
    assert run.stdout == compiled.state_hash().encode() + events.tobytes()
