"""Clients that only listen: market data with a book of their own, and an account's user data stream."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any, Final

import msgpack
import zmq
from exchange import Client

ASK_AGAIN_SECONDS: Final = 0.5
SUBSCRIBED_ALREADY: Final = -1191


class MarketWatcher:
    """Follows the depth and trade streams, and keeps books by the dialect's rule: diffs on top of a snapshot.

    `disturbed` is called when a publisher was killed: each stream may then go on with one jump, and not otherwise.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], endpoint: str, symbols: list[str]) -> None:
        self._socket = context.socket(zmq.SUB)
        self._socket.setsockopt(zmq.RECONNECT_IVL, 10)
        self._socket.setsockopt(zmq.RECONNECT_IVL_MAX, 100)
        self._socket.setsockopt(zmq.RCVHWM, 0)
        for symbol in symbols:
            self._socket.subscribe(f"{symbol.lower()}@depth")
            self._socket.subscribe(f"{symbol.lower()}@trade")
        self._socket.connect(endpoint)
        self.update_id = dict.fromkeys(symbols, 0)
        """Symbol -> the last update that its book holds."""
        self._stream_id = dict.fromkeys(symbols, 0)
        self._trade_id = dict.fromkeys(symbols, 0)
        self.books: dict[str, dict[str, dict[str, str]] | None] = dict.fromkeys(symbols)
        """Symbol -> {"b" or "a": {price: quantity}}; None: a snapshot must be loaded."""
        self._may_jump: Counter[tuple[str, str]] = Counter()
        self.trades: list[tuple[str, int, str, str]] = []
        """(symbol, trade id, price, quantity); the checks take them away."""
        self.counts: Counter[str] = Counter()
        self.faults: list[str] = []

    def close(self) -> None:
        self._socket.close(linger=0)

    def disturbed(self) -> None:
        for symbol in self.books:
            self._may_jump[symbol, "depth"] += 1
            self._may_jump[symbol, "trade"] += 1

    def is_disturbed(self, symbol: str) -> bool:
        """Whether the stream may end before the exchange's last update without anybody's fault."""
        return self._may_jump[symbol, "depth"] > 0

    def settled(self) -> None:
        """The streams have been compared with the truth: what killed publishers kept back is behind us."""
        self._may_jump.clear()

    def step(self) -> None:
        while True:
            try:
                topic, payload = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            message = msgpack.unpackb(payload)
            if topic.endswith(b"@depth"):
                self._depth(message)
            else:
                self._trade(message)

    def load(self, symbol: str, client: Client) -> None:
        """Load a snapshot; diffs that it holds already are passed over as they come. Raises TimeoutError."""
        snapshot = client.call("depth", {"symbol": symbol, "limit": 5000})["result"]
        self.books[symbol] = {"b": dict(snapshot["bids"]), "a": dict(snapshot["asks"])}
        self.update_id[symbol] = int(snapshot["lastUpdateId"])
        self.counts["snapshots"] += 1

    def _depth(self, message: dict[str, Any]) -> None:
        symbol, first, last = message["s"], int(message["U"]), int(message["u"])
        self.counts["diffs"] += 1
        before = self._stream_id[symbol]
        if last < first:
            self.faults.append(f"{symbol}@depth: U={first}, u={last}")
        if before and first != before + 1:
            if self._may_jump[symbol, "depth"] <= 0:
                self.faults.append(f"{symbol}@depth: U={first} after u={before}, and no publisher was killed")
            self._may_jump[symbol, "depth"] -= 1
            self.counts["jumps"] += 1
        self._stream_id[symbol] = last
        book = self.books[symbol]
        if book is None or last <= self.update_id[symbol]:
            return
        if first > self.update_id[symbol] + 1:
            self.books[symbol] = None  # the gap that the standard rule speaks of
            return
        self.update_id[symbol] = last
        for side in ("b", "a"):
            for price, quantity in message[side]:
                if float(quantity) == 0:
                    book[side].pop(price, None)
                else:
                    book[side][price] = quantity

    def _trade(self, message: dict[str, Any]) -> None:
        symbol, number = message["s"], int(message["t"])
        known = self._trade_id[symbol]
        if known and number != known + 1:
            if self._may_jump[symbol, "trade"] <= 0:
                self.faults.append(f"{symbol}@trade: {number} after {known}, and no publisher was killed")
            self._may_jump[symbol, "trade"] -= 1
        self._trade_id[symbol] = number
        self.trades.append((symbol, number, message["p"], message["q"]))
        self.counts["trades"] += 1


class UserStream:
    """Listens to one account at one gateway: spans of reports, each begun by a subscription and ended by a loss."""

    def __init__(self, endpoint: str, key: str, secret: str) -> None:
        self._client = Client(endpoint, key, secret)
        self._asked_at = 0.0
        self._subscribed = False
        self.spans: list[list[int]] = []
        """Execution ids in the order in which they came; the checks take all but the last away."""
        self.counts: Counter[str] = Counter()
        self.faults: list[str] = []

    def close(self) -> None:
        self._client.close()

    def lost(self) -> None:
        """Its gateway was killed: subscribe anew. What still comes of the old stream belongs to the old span."""
        self._subscribed = False

    def step(self) -> None:
        while (message := self._client.receive(0)) is not None:
            if "event" in message:
                self._event(message["event"])
            elif message["status"] == 200:
                self._subscribed = True
                self.spans.append([])
                self.counts["subscriptions"] += 1
            elif message["error"]["code"] != SUBSCRIBED_ALREADY:
                self.faults.append(f"subscribing: {message}")
        if not self._subscribed and time.monotonic() - self._asked_at > ASK_AGAIN_SECONDS:
            self._client.send("userDataStream.subscribe.signature", self._client.signed({"recvWindow": 60_000}))
            self._asked_at = time.monotonic()

    def _event(self, event: dict[str, Any]) -> None:
        if event["e"] == "eventStreamTerminated":
            self.lost()
            self.counts["terminated"] += 1
        elif event["e"] == "executionReport" and event["x"] != "REJECTED":
            self.spans[-1].append(int(event["I"]))
            self.counts["reports"] += 1
