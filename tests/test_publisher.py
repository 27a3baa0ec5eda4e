"""The publisher as a process: a real event ring, the replica's service, and subscribers that keep books by the rule."""

from __future__ import annotations

import os
import pickle
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import zmq
from event_records import RandomRun
from reference.arena import SMALL
from replica_server import ReplicaServer
from zmq.utils.monitor import recv_monitor_message

import ringex
from ringex.config import Run, Settings
from ringex.decimals import parse_scaled
from ringex.history.eventlog import EventLog
from ringex.history.frames import Frame
from ringex.history.join import ReplicaClient
from ringex.history.readmodel import ReadModel
from ringex.marketdata.position import Position
from ringex.marketdata.publisher import WAIT_S
from ringex.ring import Producer, Ring
from ringex.terms import EventKind, Side

PATIENCE_S = 30.0
"""For what takes milliseconds on an idle machine; a test that waits as long has failed."""
CHUNK = 16
CHILD = """
import pickle, sys
from ringex.marketdata.publisher import publisher_main
publisher_main(*pickle.load(sys.stdin.buffer))
"""
HIDDEN = """
from ringex.marketdata import publisher
publisher.function_address = lambda name: 0
"""
"""Runs before CHILD where pyzmq is to hide libzmq's functions."""


class Exchange:
    """All that a publisher needs around it: an event ring, fed chunk by chunk from a random run, and a replica."""

    def __init__(self, folder: Path, seed: int, commands_count: int, ring_slots: int) -> None:
        self.run = RandomRun(seed, commands_count)
        self.fed = 0
        self.model, self.log = ReadModel(SMALL), EventLog(1 << 12)
        name = f"ringex-test-publisher-{os.getpid()}-{seed}"
        self._ring = Ring.create(name, ring_slots, 1, gated=False)
        self._producer = Producer(self._ring)
        self._doorbells = tuple(os.eventfd(0, os.EFD_NONBLOCK) for _ in range(2))
        self._children: list[subprocess.Popen[bytes]] = []
        self.settings = Settings(
            data_dir=folder, gateways=1, http_endpoint="", pub_endpoint=f"tcp://127.0.0.1:{free_port()}", limits=SMALL
        )
        self.epoch = Run(epoch=77, event_ring=name, command_rings=(), doorbells=self._doorbells)
        self.server = ReplicaServer(self.settings.replica_endpoint, self.model, self.log)

    def __enter__(self) -> Exchange:
        self.server.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        for child in self._children:
            child.kill()
            child.wait()
        self.server.__exit__(None, None, None)
        self._ring.close()
        Ring.unlink(self.epoch.event_ring)
        for doorbell in self._doorbells:
            os.close(doorbell)

    def start_publisher(self, wait: bool = True, before: str = "") -> subprocess.Popen[bytes]:
        """A publisher process; with `wait` it has said that it is ready, else it says so to nobody."""
        ready, said = os.pipe()
        run = replace(self.epoch, ready_fd=said if wait else -1)
        child = subprocess.Popen(
            [sys.executable, "-c", before + CHILD],
            stdin=subprocess.PIPE,
            pass_fds=(*self._doorbells, said),
            env={**os.environ, "PYTHONPATH": str(Path(ringex.__file__).parents[1])},
        )
        os.close(said)
        self._children.append(child)
        assert child.stdin
        child.stdin.write(pickle.dumps((self.settings, run)))
        child.stdin.close()
        if wait:
            assert select.select([ready], [], [], PATIENCE_S)[0], "the publisher did not get ready"
            assert os.read(ready, 100) == b"publisher\n"
        os.close(ready)
        return child

    def feed(self, count: int) -> bool:
        """The next events go to the replica and into the ring. False if there are none left."""
        events = self.run.events[self.fed : self.fed + count]
        self.fed += len(events)
        if len(events):
            with self.server.lock:
                self.model.apply(events)
                self.log.append(events)
            self._producer.publish(events)
        return len(events) > 0

    def feed_share(self, share: float) -> None:
        """Feed until this share of the run's events has been fed."""
        while self.fed < share * len(self.run.events):
            self.feed(CHUNK)

    def snapshot(self) -> ReadModel:
        """What a client would get as `depth` snapshots: here by joining, as a gateway does."""
        with ReplicaClient(self.settings.replica_endpoint) as client:
            model = ReadModel(SMALL)
            model.load(client.join()[1])
            return model


@dataclass
class LocalBook:
    """A client's book of one market: a snapshot and the stream, combined by the dialect's rule."""

    last_update_id: int
    sides: tuple[dict[int, int], dict[int, int]]
    applied: int = 0
    gaps: int = 0

    def apply(self, message: dict[str, Any], scales: tuple[int, int]) -> None:
        if message["u"] <= self.last_update_id:
            return
        if message["U"] > self.last_update_id + 1:
            self.gaps += 1
            return
        for levels, changes in zip(self.sides, (message["b"], message["a"]), strict=True):
            for price, quantity in changes:
                levels[parse_scaled(price, scales[0])] = parse_scaled(quantity, scales[1])
                assert (quantity == "0.00000000") == (parse_scaled(quantity, scales[1]) == 0)
        self.applied += message["u"] - self.last_update_id
        self.last_update_id = message["u"]


@dataclass
class Subscriber:
    """A SUB socket that keeps everything it gets, by topic."""

    endpoint: str
    by_topic: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def __enter__(self) -> Subscriber:
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.SUB)
        self._socket.setsockopt(zmq.RCVHWM, 0)
        self._socket.setsockopt(zmq.RECONNECT_IVL, 10)
        self._socket.subscribe(b"")
        self._monitor = self._socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        self._socket.connect(self.endpoint)
        return self

    def __exit__(self, *error: Any) -> None:
        self._socket.disable_monitor()
        self._context.destroy(linger=0)

    def wait_connected(self) -> None:
        assert self._monitor.poll(PATIENCE_S * 1000), "the subscriber found no publisher"
        recv_monitor_message(self._monitor)

    def take(self, timeout_s: float) -> bool:
        """Take one message, waiting for it. False if none came."""
        if not self._socket.poll(timeout_s * 1000):
            return False
        topic, payload = self._socket.recv_multipart()
        self.by_topic.setdefault(topic.decode(), []).append(msgspec.msgpack.decode(payload))
        return True

    def take_until(self, last_update_ids: dict[str, int]) -> None:
        """Take messages until the depth streams have come to these update ids, by symbol, and tickers too."""
        deadline = time.monotonic() + PATIENCE_S
        while any(self.last_u(symbol) < last for symbol, last in last_update_ids.items() if last):
            assert self.take(deadline - time.monotonic()), f"no end of the stream: {last_update_ids}"
        while self.take(0.05):
            pass

    def last_u(self, symbol: str) -> int:
        messages = self.of(symbol, "depth")
        return int(messages[-1]["u"]) if messages else 0

    def of(self, symbol: str, stream: str) -> list[dict[str, Any]]:
        return self.by_topic.get(f"{symbol.lower()}@{stream}", [])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def last_update_ids(model: ReadModel) -> dict[str, int]:
    return {market.symbol: model.depth(market.number, 1)[0] for market in model.markets}


def check_books(exchange: Exchange, snapshot: ReadModel, subscriber: Subscriber) -> int:
    """Snapshot and stream give the exchange's own books, without a gap. Returns how many messages were applied."""
    applied = 0
    for market in snapshot.markets:
        last, bids, asks = snapshot.depth(market.number, 1000)
        book = LocalBook(last, (dict(bids.tolist()), dict(asks.tolist())))
        for message in subscriber.of(market.symbol, "depth"):
            assert message["e"] == "depthUpdate"
            assert message["s"] == market.symbol
            book.apply(message, (market.price_scale, market.quantity_scale))
        assert book.gaps == 0
        end, bids, asks = exchange.model.depth(market.number, 1000)
        assert book.last_update_id == end
        for levels, shown in zip(book.sides, (bids, asks), strict=True):
            assert {price: quantity for price, quantity in levels.items() if quantity} == dict(shown.tolist())
        applied += book.applied
    return applied


def check_no_gap(subscriber: Subscriber, model: ReadModel) -> None:
    """Every stream goes on where its previous message ended."""
    for market in model.markets:
        depth = subscriber.of(market.symbol, "depth")
        assert [m["U"] for m in depth[1:]] == [m["u"] + 1 for m in depth[:-1]]
        trades = [m["t"] for m in subscriber.of(market.symbol, "trade")]
        assert trades == list(range(trades[0], trades[0] + len(trades))) if trades else True


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[Exchange]:
    with Exchange(tmp_path, seed=6, commands_count=1600, ring_slots=1 << 12) as exchange:
        yield exchange


@pytest.mark.parametrize("before", ["", HIDDEN], ids=["libzmq", "pyzmq"])
def test_a_late_joiner_ends_with_the_same_book(exchange: Exchange, before: str) -> None:
    exchange.feed_share(0.1)
    exchange.start_publisher(before=before)
    with Subscriber(exchange.settings.pub_endpoint) as subscriber:
        subscriber.wait_connected()
        while not subscriber.take(0.5):  # the subscription is on its way
            assert exchange.feed(CHUNK)
        seen = last_update_ids(exchange.model)
        exchange.feed_share(0.5)
        snapshot = exchange.snapshot()
        exchange.feed_share(1)
        ends = last_update_ids(exchange.model)
        # A book that did not change any more says nothing to who comes late.
        subscriber.take_until({symbol: last for symbol, last in ends.items() if last > seen.get(symbol, 0)})
        check_no_gap(subscriber, exchange.model)
        assert check_books(exchange, snapshot, subscriber) > 10
        check_tickers_and_trades(exchange, subscriber)


def check_tickers_and_trades(exchange: Exchange, subscriber: Subscriber) -> None:
    tickers = trades = 0
    for market in exchange.model.markets:
        scales = (market.price_scale, market.quantity_scale)
        if messages := subscriber.of(market.symbol, "bookTicker"):
            last = messages[-1]
            shown = [parse_scaled(last[name], scales[at % 2]) for at, name in enumerate("bBaA")]
            assert shown == [
                *exchange.model.best(market.number, Side.BUY),
                *exchange.model.best(market.number, Side.SELL),
            ]
            assert last["s"] == market.symbol
            tickers += 1
        expected = {
            e["trade_id"]: e
            for e in exchange.run.fields
            if e["kind"] == EventKind.TRADE and e["market"] == market.number
        }
        for message in subscriber.of(market.symbol, "trade"):
            e = expected[message["t"]]
            assert parse_scaled(message["p"], scales[0]) == e["price"]
            assert parse_scaled(message["q"], scales[1]) == e["quantity"]
            assert message["m"] == (e["side"] == Side.SELL)
            assert message["E"] == message["T"] == e["time_ns"] // 1_000_000
            assert (message["e"], message["s"], message["M"]) == ("trade", market.symbol, True)
            trades += 1
    assert tickers > 0
    assert trades > 10


def test_a_successor_goes_on_where_a_killed_publisher_stopped(exchange: Exchange) -> None:
    publisher = exchange.start_publisher()
    with Subscriber(exchange.settings.pub_endpoint) as subscriber:
        subscriber.wait_connected()
        while not subscriber.take(0.5):
            assert exchange.feed(CHUNK)
        snapshot = exchange.snapshot()
        exchange.feed_share(0.4)
        subscriber.take_until(last_update_ids(exchange.model))
        publisher.send_signal(signal.SIGKILL)
        publisher.wait()
        exchange.feed_share(0.7)  # nobody publishes these yet

        # The successor is held back until its subscriber is there again: several of its requests, which pass through
        # the same thread as subscriptions do, are put off after the connection stands.
        replies = exchange.server.reply
        put_off = connected = 0

        def later(request: list[bytes]) -> list[Frame]:
            nonlocal put_off
            put_off += connected
            return [b"later"] if put_off < 10 else replies(request)

        exchange.server.reply = later
        exchange.start_publisher(wait=False)
        subscriber.wait_connected()
        connected = 1
        exchange.feed_share(1)
        subscriber.take_until(last_update_ids(exchange.model))
        check_no_gap(subscriber, exchange.model)
        assert check_books(exchange, snapshot, subscriber) > 10
        check_tickers_and_trades(exchange, subscriber)


def test_a_lapped_publisher_misses_nothing_that_the_replica_has(tmp_path: Path) -> None:
    with Exchange(tmp_path, seed=6, commands_count=1600, ring_slots=64) as exchange:
        publisher = exchange.start_publisher()
        with Subscriber(exchange.settings.pub_endpoint) as subscriber:
            subscriber.wait_connected()
            while not subscriber.take(0.5):
                assert exchange.feed(CHUNK)
            snapshot = exchange.snapshot()
            publisher.send_signal(signal.SIGSTOP)
            exchange.feed_share(0.9)
            publisher.send_signal(signal.SIGCONT)
            exchange.feed_share(1)
            subscriber.take_until(last_update_ids(exchange.model))
            check_no_gap(subscriber, exchange.model)
            assert check_books(exchange, snapshot, subscriber) > 10


def test_where_events_are_gone_the_stream_has_a_gap_and_then_goes_on(tmp_path: Path) -> None:
    with Exchange(tmp_path, seed=6, commands_count=1600, ring_slots=64) as exchange:
        exchange.feed_share(0.2)
        publisher = exchange.start_publisher()
        with Subscriber(exchange.settings.pub_endpoint) as subscriber:
            subscriber.wait_connected()
            while not subscriber.take(0.5):
                assert exchange.feed(CHUNK)
            publisher.send_signal(signal.SIGSTOP)
            exchange.feed_share(0.6)
            with exchange.server.lock:
                exchange.log.start_after(exchange.log.last_sequence)
            publisher.send_signal(signal.SIGCONT)
            while not any(has_gap(messages) for messages in subscriber.by_topic.values()):
                assert exchange.feed(1)
                while subscriber.take(0.05):
                    pass
            snapshot = exchange.snapshot()
            seen = last_update_ids(exchange.model)
            exchange.feed_share(1)
            ends = last_update_ids(exchange.model)
            # What a book that does not change any more had in the gap nobody hears of.
            subscriber.take_until({symbol: last for symbol, last in ends.items() if last > seen.get(symbol, 0)})
            assert check_books(exchange, snapshot, subscriber) > 0


def has_gap(messages: list[dict[str, Any]]) -> bool:
    return any("U" in m and m["U"] != previous["u"] + 1 for previous, m in pairwise(messages))


def test_a_publisher_sleeps_while_nothing_happens_and_ends_cleanly_on_sigterm(exchange: Exchange) -> None:
    exchange.feed_share(0.1)
    publisher = exchange.start_publisher()
    sleeps, started = sleeps_of(publisher.pid), time.monotonic()
    with pytest.raises(subprocess.TimeoutExpired):
        publisher.wait(timeout=1)
    sleeps = sleeps_of(publisher.pid) - sleeps
    # However slow the machine is, each sleep lasts WAIT_S; a loop that polls instead sleeps a thousand times or never.
    assert 1 <= sleeps <= 2 * (time.monotonic() - started) / WAIT_S
    publisher.send_signal(signal.SIGINT)  # the terminal's, meant for the supervisor
    publisher.send_signal(signal.SIGTERM)
    assert publisher.wait(timeout=PATIENCE_S) == 0


def sleeps_of(pid: int) -> int:
    """How often the process's main thread has gone to sleep."""
    status = Path(f"/proc/{pid}/task/{pid}/status").read_text()
    return int(status.rsplit("\nvoluntary_ctxt_switches:", 1)[1].split()[0])


def test_a_position_belongs_to_one_run(tmp_path: Path) -> None:
    path = tmp_path / "publisher.position"
    position = Position(path, 7)
    assert position.sequence == 0
    position.store(41)
    successor = Position(path, 7)
    assert successor.sequence == 41
    successor.close()
    position.close()
    another = Position(path, 8)
    assert another.sequence == 0
    another.close()
    path.write_bytes(np.arange(3).tobytes())
    damaged = Position(path, 1)
    assert damaged.sequence == 0
    damaged.close()
