"""A trading client: it pipelines signed requests, remembers every answer, and asks again for what was left unanswered.

An answer that did not come by the time a later query of the same connection was answered will never come: the gateway
answers a query only when nothing that its connection sent before is under way. What such a request did is *unknown*.
The client then does what the dialect tells it to: it asks by client order id, and sends the identical request again.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

import msgpack
import zmq
from exchange import sign

RECV_WINDOW_MS: Final = 60_000
QUIET_SECONDS: Final = 0.7
"""An unanswered request this old makes the client ask whether its connection still stands."""
OPEN_KEPT_MAX: Final = 3000
NOT_DONE: Final = frozenset({-1003, -1008})
"""Codes that say: nothing was queued."""
UNKNOWN: Final = -1007
REFUSALS: Final = frozenset({-1013, -1015, -2010, -2011, -2021, -2022, -2038, -1021})
"""Codes with which the matcher, or a filter, refuses an order command."""


@dataclass
class Request:
    """One request as it was sent, byte for byte, and what is known of it."""

    number: int
    method: str
    params: dict[str, Any]
    raw: bytes
    sent_at: float
    reply: dict[str, Any] | None = None

    @property
    def client_order_id(self) -> str:
        return str(self.params.get("newClientOrderId", ""))

    @property
    def code(self) -> int:
        """0 for a success, else the error's; asked of answered requests only."""
        assert self.reply is not None
        return int(self.reply["error"]["code"]) if "error" in self.reply else 0


@dataclass
class Trader:
    """One connection of one account to one gateway. `step` sends and receives what it can, and does not wait.

    `lockstep` makes it a REQ client: one request at a time, and a new socket when an answer does not come.
    """

    name: str
    account: int
    key: str
    secret: str
    endpoint: str
    symbols: list[str]
    rng: random.Random
    context: zmq.Context[zmq.Socket[bytes]]
    depth: int = 24
    lockstep: bool = False
    answered: list[Request] = field(default_factory=list)
    """Order commands with an answer other than "unknown", in the order of their answers; the checks take them away."""
    unknown: list[Request] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    acknowledged: tuple[float, float] = (0.0, 0.0)
    """Of the acknowledged request that was sent last: when it was sent, and when answered (monotonic)."""

    def __post_init__(self) -> None:
        self._in_flight: dict[int, Request] = {}
        self._open: list[tuple[str, str, int]] = []  # (symbol, client order id, order id), perhaps closed meanwhile
        self._next_number = 1
        self._asked_at = 0.0
        self._socket = self._connect()

    def _connect(self) -> zmq.Socket[bytes]:
        socket = self.context.socket(zmq.REQ if self.lockstep else zmq.DEALER)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.RECONNECT_IVL, 10)
        socket.setsockopt(zmq.RECONNECT_IVL_MAX, 100)
        socket.connect(self.endpoint)
        return socket

    def close(self) -> None:
        self._socket.close(linger=0)

    @property
    def busy(self) -> bool:
        return bool(self._in_flight)

    def step(self, load: bool) -> None:
        """Receive what has come; with `load`, send new requests; ask about what stays unanswered."""
        self._receive()
        if load:
            while len(self._in_flight) < (1 if self.lockstep else self.depth):
                self._send(*self._invented())
        self._look_after_silence()

    def ask(self, method: str, seconds: float = 60.0, **params: Any) -> dict[str, Any]:
        """Ask until there is an answer that is not "unknown" or "overloaded". Nothing else may be under way.

        Raises TimeoutError.
        """
        assert not self._in_flight
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            request = self._send(method, params)
            if self._await(request) and request.code not in NOT_DONE | {UNKNOWN}:
                assert request.reply is not None
                return request.reply
        raise TimeoutError(f"{self.name}: {method} was not answered within {seconds:g} s")

    def send_again(self, request: Request, seconds: float = 30.0) -> None:
        """Send the identical request until it has a clear answer. Raises TimeoutError."""
        assert not self._in_flight
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            request.reply = None
            request.sent_at = time.monotonic()
            self._in_flight[request.number] = request
            self._socket.send(request.raw)
            if self._await(request) and request.code not in NOT_DONE | {UNKNOWN}:
                self.counts["sent again"] += 1
                self._note(request)
                return
        raise TimeoutError(f"{self.name}: {request.params} sent again was not answered within {seconds:g} s")

    def _await(self, request: Request, seconds: float = 2.0) -> bool:
        """Whether the request is answered in time. If not it is forgotten, and in `lockstep` the connection too."""
        deadline = time.monotonic() + seconds
        while request.reply is None and (left := deadline - time.monotonic()) > 0:
            if self._socket.poll(int(left * 1000) + 1):
                self._take(msgpack.unpackb(self._socket.recv()), note=False)
        self._in_flight.pop(request.number, None)
        if request.reply is None and self.lockstep:
            self._reconnect()
        return request.reply is not None

    def _reconnect(self) -> None:
        self._socket.close(linger=0)
        self._socket = self._connect()

    def _send(self, method: str, params: dict[str, Any]) -> Request:
        signed = {"apiKey": self.key, "timestamp": int(time.time() * 1000), "recvWindow": RECV_WINDOW_MS, **params}
        signed["signature"] = sign(self.secret, signed)
        number = self._next_number
        self._next_number += 1
        raw = msgpack.packb({"id": number, "method": method, "params": signed})
        request = Request(number, method, signed, raw, time.monotonic())
        self._in_flight[number] = request
        self._socket.send(raw)
        return request

    def _receive(self) -> None:
        while self._in_flight:
            try:
                raw = self._socket.recv(zmq.NOBLOCK)
            except zmq.Again:
                return
            self._take(msgpack.unpackb(raw), note=True)

    def _take(self, reply: dict[str, Any], *, note: bool) -> None:
        request = self._in_flight.pop(reply["id"], None)
        if request is None:
            return  # an earlier, identical request's answer, or one that was given up
        request.reply = reply
        if request.method == "account.status":
            self._lose_older(request.number)
        elif note:
            self._note(request)

    def _note(self, request: Request) -> None:
        code = request.code
        if code == UNKNOWN:
            self.unknown.append(request)
            return
        if code not in REFUSALS and code not in NOT_DONE and code != 0:
            self.faults.append(f"{self.name}: {request.method} {request.params}: {request.reply}")
        self.counts["refused" if code else "acknowledged"] += 1
        self.answered.append(request)
        if code == 0:
            self._remember_open(request)
            if request.sent_at > self.acknowledged[0]:
                self.acknowledged = (request.sent_at, time.monotonic())

    def _remember_open(self, request: Request) -> None:
        assert request.reply is not None
        result = request.reply["result"]
        if request.method == "order.place" and result.get("status") in ("NEW", "PARTIALLY_FILLED"):
            self._open.append((result["symbol"], request.client_order_id, int(result["orderId"])))
            if len(self._open) > OPEN_KEPT_MAX:
                del self._open[: OPEN_KEPT_MAX // 2]

    def _look_after_silence(self) -> None:
        """Once something is late: ask a query, or in lockstep give the request up; its outcome is unknown."""
        now = time.monotonic()
        oldest = next(iter(self._in_flight.values()), None)
        if oldest is None or now - oldest.sent_at < QUIET_SECONDS:
            return
        if self.lockstep:
            if now - oldest.sent_at > 3 * QUIET_SECONDS:
                self._lose_older(self._next_number)
                self._reconnect()
        elif now - self._asked_at > QUIET_SECONDS:
            self._asked_at = now
            self._send("account.status", {})

    def _lose_older(self, number: int) -> None:
        for older in [request for request in self._in_flight.values() if request.number < number]:
            del self._in_flight[older.number]
            if older.method != "account.status":
                self.unknown.append(older)
                self.counts["unanswered"] += 1

    # ---- what it asks for

    def _invented(self) -> tuple[str, dict[str, Any]]:
        rng, symbol = self.rng, self.rng.choice(self.symbols)
        choice = rng.random()
        if choice < 0.72 or not self._open:
            return "order.place", self._order(symbol)
        symbol, client_order_id, order_id = self._open[rng.randrange(len(self._open))]
        named: dict[str, Any] = {"symbol": symbol}
        named |= {"orderId": order_id} if rng.random() < 0.5 else {"origClientOrderId": client_order_id}
        if choice < 0.86:
            return "order.cancel", named
        if choice < 0.94:
            change = {"price": self._price()} if rng.random() < 0.5 else {"quantity": self._quantity()}
            return "order.amend", named | change
        if choice < 0.997:
            leg = {f"cancel{name[0].upper()}{name[1:]}": value for name, value in named.items() if name != "symbol"}
            mode = rng.choice(["STOP_ON_FAILURE", "ALLOW_FAILURE"])
            return "order.cancelReplace", self._order(symbol) | leg | {"cancelReplaceMode": mode}
        return "openOrders.cancelAll", {"symbol": symbol}

    def _order(self, symbol: str) -> dict[str, Any]:
        return {
            "symbol": symbol,
            "side": self.rng.choice(["BUY", "SELL"]),
            "type": "LIMIT",
            "timeInForce": "IOC" if self.rng.random() < 0.2 else "GTC",
            "price": self._price(),
            "quantity": self._quantity(),
            "newClientOrderId": f"{self.name}-{self._next_number}",
        }

    def _price(self) -> str:
        return f"{20000 + self.rng.randint(-40, 40) / 100:.2f}"

    def _quantity(self) -> str:
        return f"{self.rng.randint(1, 40) / 1000:.3f}"
