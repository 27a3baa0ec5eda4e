"""Ends of feeds for tests: sockets that keep what they are sent, and a book kept by the dialect's rules."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ringex.gateways.feeds.dialog import Dialog
from ringex.gateways.feeds.hub import Hub
from ringex.gateways.feeds.registry import Registry
from ringex.gateways.feeds.subscriber import Subscriber
from ringex.gateways.feeds.topics import parse

Message = dict[str, Any]


class KeepingSocket:
    """A socket whose peer reads when it is told to."""

    def __init__(self) -> None:
        self.paused = False
        self.size_bytes = 0
        self.frames: list[bytes] = []
        self.closed: tuple[int, str] | None = None
        self.on_close: Callable[[], None] = lambda: None

    def send_frame(self, encoded: bytes) -> None:
        assert self.closed is None
        self.frames.append(encoded)
        if self.paused:
            self.size_bytes += len(encoded)

    send_later = send_frame

    def close(self, code: int, reason: str = "") -> None:
        self.closed = (code, reason)
        self.on_close()

    def messages(self) -> list[Any]:
        """What has come since the last look."""
        frames, self.frames = self.frames, []
        return [json.loads(payload(frame)) for frame in frames]


def payload(frame: bytes) -> bytes:
    """The text of a server's frame."""
    assert frame[0] == 0x81, "a whole text"
    at = {126: 4, 127: 10}.get(frame[1], 2)
    size = int.from_bytes(frame[2:at], "big") if at > 2 else frame[1]
    assert len(frame) == at + size
    return frame[at:]


class End:
    """A subscriber with its socket."""

    def __init__(self, hub: Hub, registry: Registry, *names: str, combined: bool = False, microseconds: bool = False):
        self.hub, self.registry = hub, registry
        self.socket = KeepingSocket()
        self.subscriber = Subscriber(combined=combined, microseconds=microseconds)
        self.subscriber.socket = self.socket
        self.socket.on_close = self.leave
        self._dialog = Dialog(registry)
        for topic in self._dialog.subscribe(self.subscriber, [parse(name) for name in names]):
            hub.greet(self.subscriber, topic, 0)

    def ask(self, method: Any, params: Any = None, request_id: Any = 1) -> Message:
        """The reply to a request."""
        return self.say(json.dumps({"method": method, "params": params, "id": request_id}).encode())

    def say(self, raw: bytes) -> Message:
        reply, joined = self._dialog.answer(self.subscriber, raw)
        for topic in joined:
            self.hub.greet(self.subscriber, topic, 0)
        found: Message = json.loads(reply)
        return found

    def messages(self) -> list[Any]:
        return self.socket.messages()

    def leave(self) -> None:
        self.registry.forget(self.subscriber)


class Book:
    """A book kept from depth messages and one snapshot. It insists on the rules that clients of the dialect check."""

    def __init__(self) -> None:
        self.update_id = 0
        self._waiting: list[Message] = []
        self._synced = False
        self._last_u = 0
        self.sides: dict[str, dict[str, str]] = {"b": {}, "a": {}}

    def take(self, message: Message) -> None:
        assert message["e"] == "depthUpdate" and message["U"] <= message["u"]
        assert not self._last_u or message["U"] == self._last_u + 1, "no gap between messages"
        self._last_u = message["u"]
        if self._synced:
            self._apply(message)
        else:
            self._waiting.append(message)

    def load(self, snapshot: Message) -> None:
        self.update_id = snapshot["lastUpdateId"]
        self.sides = {"b": dict(snapshot["bids"]), "a": dict(snapshot["asks"])}
        waiting = [message for message in self._waiting if message["u"] > self.update_id]
        if waiting:
            assert waiting[0]["U"] <= self.update_id + 1 <= waiting[0]["u"]
        self._synced = True
        for message in waiting:
            self._apply(message)

    def _apply(self, message: Message) -> None:
        if message["u"] <= self.update_id:
            return
        assert message["U"] <= self.update_id + 1
        self.update_id = message["u"]
        for side in ("b", "a"):
            for price, quantity in message[side]:
                if float(quantity) == 0:
                    assert quantity == "0.00000000"
                    self.sides[side].pop(price, None)
                else:
                    self.sides[side][price] = quantity
