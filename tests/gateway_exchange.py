"""A real exchange for gateway tests, in threads: the engine between the rings, a replica's `join`, one gateway."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import zmq
from replica_server import ReplicaServer

from ringex.adminclient import request as admin_request
from ringex.config import Limits, Run, Settings
from ringex.engine import Matcher
from ringex.gateways.auth import sign
from ringex.gateways.zmq import ZmqGateway
from ringex.history.eventlog import EventLog
from ringex.history.readmodel import ReadModel
from ringex.jit import compile_ahead
from ringex.messages import BALANCE_COMMAND, COMMAND, SEED_RING, commands
from ringex.ring import Consumer, Producer, Ring, ring_claim, ring_published, ring_set_state
from ringex.seed import seed
from ringex.terms import CommandKind

LIMITS = Limits(
    assets_max=16,
    markets_max=16,
    accounts_max=64,
    keys_max=64,
    balances_max=512,
    orders_max=1 << 14,
    levels_max=1 << 12,
    requests_remembered_max=1 << 12,
    requests_remembered_per_account_max=1 << 10,
    references_max=1 << 16,
)
_numbers = count(1)


class EngineThread:
    """Takes commands from the ring, applies them with the real engine, publishes the events. `pause` holds it."""

    def __init__(self, command_ring: Ring, event_ring: Ring, first: np.ndarray) -> None:
        self.matcher = Matcher(limits=LIMITS)
        self._consumer = Consumer(command_ring, COMMAND)
        self._producer = Producer(event_ring)
        self._stopping = False
        self.lock = threading.Lock()
        self.model = ReadModel(LIMITS)
        self.log = EventLog(1)
        self._ring = event_ring
        self._publish(self.matcher.submit(first))
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        self._stopping = True
        self._thread.join()

    def deposit_at_once(self, account: int, count: int) -> None:
        """Book `count` deposits and publish their events as if in one go: readers are lapped, however fast they are.

        The caller holds `lock`.
        """
        records = commands(count).view(BALANCE_COMMAND)
        records["kind"], records["account"], records["amount"] = CommandKind.DEPOSIT, account, 1
        records["time_ns"] = time.time_ns()
        records["reference"][:, 0] = np.arange(count) + 1
        events = self.matcher.submit(records.view(COMMAND))
        ring_claim(self._ring.address, ring_published(self._ring.address) + len(events))
        for part in np.array_split(events, 2):
            self._publish(part)

    def tell(self, state: int) -> None:
        """Set the event ring's state, as the matcher's process does."""
        ring_set_state(self._ring.address, state)

    def _run(self) -> None:
        while not self._stopping:
            if not self._consumer.wait(0.05):
                continue
            with self.lock:
                records = self._consumer.poll(256)
                records["time_ns"] = time.time_ns()
                self._publish(self.matcher.submit(records))

    def _publish(self, events: np.ndarray) -> None:
        if len(events):
            self._producer.publish(events)
            self.model.apply(events)
            self.log.append(events)


class Client:
    """A DEALER (or REQ) that speaks msgpack."""

    def __init__(self, endpoint: str, key: str = "", secret: str = "", kind: int = zmq.DEALER) -> None:
        self.key, self.secret = key, secret
        self.account = ""
        self.context = zmq.Context()
        self.socket = self.context.socket(kind)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.RCVTIMEO, 10_000)
        self.socket.connect(endpoint)
        self.pushed: list[dict[str, Any]] = []
        self._ids = count(1)

    def close(self) -> None:
        self.context.destroy(linger=0)

    def signed(self, params: dict[str, Any]) -> dict[str, Any]:
        whole = {"apiKey": self.key, "timestamp": time.time_ns() // 1_000_000, **params}
        return whole | {"signature": sign(self.secret, whole)}

    def send(self, method: str, params: dict[str, Any] | None = None, request_id: Any = None) -> Any:
        request_id = next(self._ids) if request_id is None else request_id
        self.socket.send(msgpack.packb({"id": request_id, "method": method, "params": params or {}}))
        return request_id

    def receive(self) -> dict[str, Any]:
        return msgpack.unpackb(self.socket.recv())  # type: ignore[no-any-return]

    def reply_to(self, request_id: Any) -> dict[str, Any]:
        while True:
            message = self.receive()
            if "subscriptionId" in message:
                self.pushed.append(message)
            elif message["id"] == request_id:
                return message

    def call(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        return self.reply_to(self.send(method, params))

    def signed_call(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        return self.call(method, self.signed(params or {}))

    def place(self, side: str, price: str, quantity: str, **more: Any) -> dict[str, Any]:
        params = {"symbol": "BTCUSDT", "side": side, "type": "LIMIT", "timeInForce": "GTC"}
        return self.signed_call("order.place", params | {"price": price, "quantity": quantity} | more)


@dataclass
class Exchange:
    settings: Settings
    engine: EngineThread
    gateway: ZmqGateway
    clients: list[Client]

    @property
    def endpoint(self) -> str:
        return self.settings.gateway_endpoint(0)

    def admin(self, method: str, params: dict[str, Any]) -> Any:
        """Patient: the first request may find code that is not compiled yet."""
        return admin_request(self.settings.admin_endpoint, method, params, seconds=60.0)

    def client(self, kind: int = zmq.DEALER) -> Client:
        """A client without a key."""
        client = Client(self.endpoint, kind=kind)
        self.clients.append(client)
        return client

    def trader(self, kind: int = zmq.DEALER, **funds: str) -> Client:
        """A client of a new account with these funds."""
        name = f"trader-{next(_numbers)}"
        key = self.admin("admin.keys.create", {"account": name})
        for asset, amount in funds.items():
            self.admin("admin.account.deposit", {"account": name, "asset": asset, "amount": amount})
        client = self.client(kind)
        client.key, client.secret, client.account = key["apiKey"], key["secretKey"], name
        return client


def _serve(gateway: ZmqGateway, failures: list[BaseException]) -> None:
    try:
        gateway.serve()
    except BaseException as failure:
        failures.append(failure)
        raise


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(folder: Path, *, tcp: bool = False) -> Iterator[Exchange]:
    compile_ahead()  # as `ringex start` does: no time-out pays for a cold cache
    number = next(_numbers)
    endpoint = f"tcp://127.0.0.1:{_free_port()}" if tcp else f"ipc://{folder}/zmq.sock"
    settings = Settings(folder, zmq_endpoint=endpoint, limits=LIMITS)
    names = (f"ringex-test-{os.getpid()}-{number}-events", f"ringex-test-{os.getpid()}-{number}-commands")
    doorbells = tuple(os.eventfd(0, os.EFD_NONBLOCK) for _ in range(2))
    event_ring = Ring.create(names[0], 1 << 14, 1, gated=False)
    command_ring = Ring.create(names[1], 1 << 10, 1)
    first = seed(settings)
    first["ring"] = SEED_RING
    ready_reading, ready_writing = os.pipe()
    run = Run(1, names[0], (names[1],), doorbells, ready_fd=ready_writing, incarnation=7)
    engine = EngineThread(command_ring, event_ring, first)
    clients: list[Client] = []
    try:
        with ReplicaServer(settings.replica_endpoint, engine.model, engine.log) as replica:
            replica.lock = engine.lock
            gateway = ZmqGateway(settings, run, 0)
            failures: list[BaseException] = []
            thread = threading.Thread(target=_serve, args=(gateway, failures))
            thread.start()
            try:
                assert os.read(ready_reading, 64) == b"gateway 0\n"
                yield Exchange(settings, engine, gateway, clients)
            finally:
                for client in clients:
                    client.close()
                if not failures:
                    gateway.stop()
                thread.join()
            assert not failures, f"the gateway died: {failures[0]!r}"
    finally:
        engine.stop()
        for ring in (event_ring, command_ring):
            ring.close()
            Ring.unlink(ring.name)
        for descriptor in (*doorbells, ready_reading, ready_writing):
            os.close(descriptor)
