"""kill -9 between two steps of a large operation: a mass cancel, a cascade of stop orders, an uncross.

Each is larger than `EVENTS_PER_COMMAND_MAX`, so the matcher goes on with it through journaled CONTINUE commands. With
the smallest event ring few steps fit before the journal must have synced them: an operation takes many commits, and
the kill comes as soon as the events of the first are published. That it fell into the middle is read from the journal
before anything is started again: a replay of it ends with a continuation pending. One that came too late is made again,
a bounded number of times.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
import psutil
import pytest
from exchange import Client, Exchange, running

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))

from crashtest.truth import Truth

from ringex.config import Limits, Settings
from ringex.engine.library import Matcher
from ringex.engine.matcher import is_continuation_pending
from ringex.journal import JournalReader
from ringex.messages import COMMAND, EVENTS_PER_COMMAND_MAX, RECORD_BYTES, commands
from ringex.ring import Ring, ring_published
from ringex.terms import CommandKind, OrderStatus, OrderType, Side, TimeInForce

COUNT: Final = 12 * EVENTS_PER_COMMAND_MAX
"""Orders that are canceled or triggered, or trades of an uncross."""
BATCH: Final = 4_096
RAW: Final = np.dtype(f"V{RECORD_BYTES}")
ATTEMPTS_MAX: Final = 10
WAIT_SECONDS_MAX: Final = 60.0
SYMBOL: Final = "AAAUSD"
CONFIG: Final = f"""
event_ring_slots = {4 * EVENTS_PER_COMMAND_MAX}
journal_buffer_slots = 4096
restarts_per_minute_max = 1000

[[assets]]
name = "AAA"
scale = 8
[[assets]]
name = "USD"
scale = 8

[[markets]]
symbol = "{SYMBOL}"
base = "AAA"
quote = "USD"
tick = "1"
lot = "1"
price_max = "1000"
quantity_max = "1000000"
orders_per_account_max = {4 * COUNT}

[[accounts]]
name = "demo"
deposits = {{ AAA = "10000000", USD = "1000000000" }}
"""


@dataclass(frozen=True)
class Scene:
    exchange: Exchange
    client: Client
    operator: Client
    truth: Truth

    def send(self, records: np.ndarray) -> None:
        """All of these commands, and wait until each has been answered."""
        assert self.client.order("session.logon")["status"] == 200
        for at in range(0, len(records), BATCH):
            assert self.client.records(records[at : at + BATCH], WAIT_SECONDS_MAX) == len(records[at : at + BATCH])

    def is_pending(self) -> bool:
        """Whether the journal ends with an operation that is to go on."""
        self.truth.follow()
        return bool(self.truth.state.root["continuation_pending"])


def orders(count: int, side: Side, prices: np.ndarray | int, **values: int) -> np.ndarray:
    """LIMIT orders for one lot each, good till canceled; `values` are other fields."""
    records = commands(count)
    records["kind"], records["order_type"] = CommandKind.PLACE, OrderType.LIMIT
    records["time_in_force"] = TimeInForce.GTC
    records["side"], records["price"], records["quantity"] = side, prices, 1
    for name, value in values.items():
        records[name] = value
    return records


def rest(scene: Scene) -> None:
    """Many orders of one account at nine prices."""
    scene.send(orders(COUNT, Side.SELL, 100 + np.arange(COUNT) % 9))


def cancel_all(scene: Scene) -> Client:
    scene.client.send("openOrders.cancelAll", scene.client.signed({"symbol": SYMBOL, "recvWindow": 60_000}))
    return scene.client


def wait_below(scene: Scene) -> None:
    """A bid for everything at 50, a trade at 60, and stop orders that sell between the two."""
    scene.send(orders(1, Side.BUY, 50, quantity=COUNT + 1))
    scene.send(orders(1, Side.BUY, 60))
    scene.send(orders(1, Side.SELL, 60))
    waiting = orders(COUNT, Side.SELL, 0, order_type=OrderType.STOP_LOSS)
    waiting["stop_price"] = 51 + np.arange(COUNT) % 5
    scene.send(waiting)


def sell_one(scene: Scene) -> Client:
    """At 50: every stop order is due."""
    order = {"symbol": SYMBOL, "side": "SELL", "type": "MARKET", "quantity": "1", "recvWindow": 60_000}
    scene.client.send("order.place", scene.client.signed(order))
    return scene.client


def collect(scene: Scene) -> None:
    """Bids and offers of an auction, the same number of both, at prices that all cross."""
    asked = {"symbol": SYMBOL, "status": "AUCTION"}
    assert scene.operator.call("admin.market.set", asked)["status"] == 200
    bids = orders(COUNT, Side.BUY, 110 + np.arange(COUNT) % 9)
    asks = orders(COUNT, Side.SELL, 100 - np.arange(COUNT) % 7)
    scene.send(np.concatenate([bids, asks]))


def open_market(scene: Scene) -> Client:
    scene.operator.send("admin.market.set", {"symbol": SYMBOL, "status": "TRADING"})
    return scene.operator


OPERATIONS: Final[dict[str, tuple[Callable[[Scene], None], Callable[[Scene], Client], int]]] = {
    "mass cancel": (rest, cancel_all, 0),
    "stop cascade": (wait_below, sell_one, COUNT + 2),
    "uncross": (collect, open_market, COUNT),
}
"""Name -> what goes before it, what asks for it and gives who will be answered, and how many trades both make."""


@pytest.fixture
def scene() -> Iterator[Scene]:
    with TemporaryDirectory(prefix="rxc") as name:  # a short path: those of ipc:// endpoints are limited
        config = Path(name) / "chains.toml"
        config.write_text(CONFIG)
        with running(Path(name), "--config", str(config)) as exchange, exchange.client() as client:
            truth = Truth(exchange.data, Limits())
            with Client(Settings(data_dir=exchange.data).admin_endpoint) as operator:
                yield Scene(exchange, client, operator, truth)
            truth.close()


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_that_a_kill_cuts_in_two_comes_to_its_end_once(scene: Scene, name: str) -> None:
    truth, trades = scene.truth, OPERATIONS[name][2]
    for victim in ("matcher", "group"):
        kill_within(scene, name, victim)
        assert scene.client.order("openOrders.status", symbol=SYMBOL, recvWindow=60_000)["result"] == []
        balances = scene.client.order("account.status", recvWindow=60_000)["result"]["balances"]
        assert [float(balance["locked"]) for balance in balances] == [0, 0]
    assert (truth.faults, truth.ledger_faults()) == ([], [])
    runs, more = divmod(len(truth.orders), COUNT * 2 if name == "uncross" else COUNT)
    assert runs >= 2 and more == (4 * runs if name == "stop cascade" else 0), "every order that was sent, once"
    assert len(truth.trades) == trades * runs
    assert {order.status for order in truth.orders.values()} == {OrderStatus.FILLED if trades else OrderStatus.CANCELED}
    assert scene.exchange.stop() == 0, scene.exchange.log
    replayed = scene.exchange.command("replay", str(scene.exchange.data))
    assert f"hash: {truth.hash}\n" in replayed.stdout, "what the last snapshot holds is what the journal gives"
    assert undisturbed(scene.exchange.data / "journal") == truth.hash


def kill_within(scene: Scene, name: str, victim: str) -> None:
    """Do an operation, and kill in its middle. Returns when it has come to its end."""
    prepare, begin, _ = OPERATIONS[name]
    for _ in range(ATTEMPTS_MAX):
        prepare(scene)
        with event_ring(scene.exchange) as ring:
            before = ring_published(ring.address)
            answered = begin(scene)
            wait_for(lambda ring=ring, before=before: ring_published(ring.address) > before, pause_seconds=0)
            is_within = _kill_and_look(scene, victim)
        wait_for(lambda: not scene.is_pending())
        if victim == "matcher":  # the gateway that asked lives on
            reply = answered.receive(WAIT_SECONDS_MAX)
            assert reply is not None and reply["status"] == 200, reply
            if name == "mass cancel":
                assert len(reply["result"]) + reply.get("omitted", 0) == COUNT
        if is_within:
            return
    pytest.fail(f"none of {ATTEMPTS_MAX} kills fell into the middle")


def _kill_and_look(scene: Scene, victim: str) -> bool:
    """Kill, look whether the journal ends with something pending, and let everything go on."""
    exchange = scene.exchange
    if victim == "group":
        exchange.kill_group()
        is_within = scene.is_pending()
        exchange.start()
        return is_within
    os.kill(exchange.pid, signal.SIGSTOP)  # the supervisor must not start a successor before the journal was looked at
    try:
        matcher = psutil.Process(exchange.child("matcher"))
        matcher.kill()
        wait_for(lambda: matcher.status() == psutil.STATUS_ZOMBIE)
        return scene.is_pending()
    finally:
        os.kill(exchange.pid, signal.SIGCONT)


def event_ring(exchange: Exchange) -> Ring:
    return Ring.attach(json.loads((exchange.data / "run.json").read_text())["event_ring"])


def wait_for(happened: Callable[[], bool], pause_seconds: float = 0.01) -> None:
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(pause_seconds)


def undisturbed(journal: Path) -> str:
    """The state's hash after the same commands in one process that nobody kills.

    It takes a continuation where it asks for one, and nowhere else; only the moments are those of the journal.
    """
    with JournalReader(journal) as reader:
        records = np.concatenate([batch.view(RAW) for batch in reader.read(1)]).view(COMMAND)
    own = records["kind"] == CommandKind.CONTINUE
    assert own.sum() > COUNT // EVENTS_PER_COMMAND_MAX
    matcher = Matcher(limits=Limits())
    first = 0
    for at in [*np.flatnonzero(own).tolist(), len(records)]:
        matcher.replay(records[first:at].view(RAW).view(COMMAND))
        assert is_continuation_pending(matcher.state.address) == (at < len(records))
        first = at
    return matcher.state_hash()
