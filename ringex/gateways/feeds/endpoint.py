"""The endpoint of the streams: /ws and /stream, with or without stream names behind.

    /ws  /ws/<name>[/<name>…]  /ws/<digits>      raw messages
    /stream  /stream?streams=<name>/<name>…      combined messages: {"stream": …, "data": …}
    …?timeUnit=MICROSECOND                       times in microseconds
    …?resumeAfter=<sequence>                     of a listen key: what came behind that event, too

Names can be subscribed to and left at any time: see `ringex.gateways.feeds.dialog`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final
from urllib.parse import unquote

import numpy as np

from ringex.gateways import times
from ringex.gateways.errors import Refusal
from ringex.gateways.feeds.dialog import Dialog
from ringex.gateways.feeds.hub import Hub
from ringex.gateways.feeds.registry import Registry, Topic
from ringex.gateways.feeds.subscriber import (
    MESSAGES_PER_SECOND,
    STREAMS_MAX,
    WAITING_BYTES_HIGH,
    Subscriber,
)
from ringex.gateways.feeds.topics import BadName, Kind, Stream, parse
from ringex.gateways.feeds.users import Users
from ringex.gateways.gateway import Gateway
from ringex.gateways.web.frames import CloseCode
from ringex.gateways.web.websocket import WebSocket
from ringex.history.readmodel import ReadModel

RAW: Final = b"/ws"
COMBINED: Final = b"/stream"
PATHS: Final = (RAW, RAW + b"/*", COMBINED, COMBINED + b"/*")
TOO_MANY_MESSAGES: Final = f"more than {MESSAGES_PER_SECOND} messages a second"
SEQUENCE_DIGITS_MAX: Final = 16


class Streams:
    """Serves the sockets at PATHS, and follows the events of the gateway (`Watcher`). `wake` asks for a turn of it,
    `flush` sends what sockets have been given."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        gateway: Gateway,
        wake: Callable[[], None],
        flush: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._counts = gateway.counts
        self._registry = Registry(gateway.counts)
        self._hub = Hub(self._registry, gateway.model, gateway.counts)
        self._users = Users(gateway, self._registry)
        self._dialog = Dialog(self._registry)
        self._timer: asyncio.TimerHandle | None = None
        self._wake = wake
        self._flush = flush

    @property
    def topics(self) -> int:
        """How many streams somebody follows."""
        return len(self._registry)

    # Sockets

    def accept(self, path: bytes, query: bytes) -> Subscriber:
        """Raises Refusal where the address names what cannot be a stream."""
        combined = path.startswith(COMBINED)
        params = _params(query)
        names = params.get("streams", "") if combined else path[len(RAW) + 1 :].decode("latin-1")
        unit_ns = times.unit_named(params.get(times.NAME, "MILLISECOND"))
        subscriber = Subscriber(combined=combined, microseconds=unit_ns == times.MICROSECOND_NS)
        subscriber.resume_after = _resume_after(params)
        subscriber.opening = [_stream(name) for name in unquote(names).split("/") if name and not name.isdigit()]
        if len(subscriber.opening) > STREAMS_MAX:
            raise Refusal(-1130, f"Too many streams. A connection may have {STREAMS_MAX}.")
        return subscriber

    def on_open(self, socket: WebSocket) -> None:
        subscriber: Subscriber = socket.state
        subscriber.socket = socket
        socket.transport.set_write_buffer_limits(high=WAITING_BYTES_HIGH)
        opening, subscriber.opening = subscriber.opening, ()
        self._greet(subscriber, self._dialog.subscribe(subscriber, opening))
        subscriber.resume_after = None

    def on_message(self, socket: WebSocket, payload: bytes, is_text: bool) -> None:
        subscriber: Subscriber = socket.state
        if not subscriber.allow(self._loop.time()):
            self._counts["too_many_messages"] += 1
            socket.close(CloseCode.POLICY, TOO_MANY_MESSAGES)
            return
        reply, joined = self._dialog.answer(subscriber, payload)
        socket.send_text(reply)
        self._greet(subscriber, joined)

    def on_writable(self, socket: WebSocket) -> None:
        subscriber: Subscriber = socket.state
        subscriber.send_latest()

    def on_close(self, socket: WebSocket) -> None:
        self._registry.forget(socket.state)

    def on_stop(self, socket: WebSocket) -> None:
        self._hub.say_goodbye(socket.state, time.time_ns())

    def _greet(self, subscriber: Subscriber, joined: list[Topic]) -> None:
        now_ns = time.time_ns()
        for topic in joined:
            if topic.stream.kind == Kind.LISTEN_KEY:
                self._users.open(subscriber, topic.stream.name, now_ns)
            else:
                self._hub.greet(subscriber, topic, now_ns)
        self._set_timer()

    # Events and time

    def events(self, events: np.ndarray, model: ReadModel) -> None:
        self._hub.on_events(events)
        self._tick()
        self._flush()  # a turn can have many batches, and who reads slowly must be seen before all of it is there

    def quiet(self) -> None:
        self._hub.on_quiet()
        self._tick()

    def restart(self, model: ReadModel) -> None:
        self._hub.restart(model)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _tick(self) -> None:
        """What is timed is sent within a turn of the gateway; the timer only asks for one."""
        if not self._registry:
            return  # nobody follows anything
        now = self._loop.time()
        self._hub.tick(now, time.time_ns())
        self._users.check(now)
        self._set_timer()

    def _set_timer(self) -> None:
        now = self._loop.time()
        dues = [due for due in (self._hub.next_due(now), self._users.next_due(now)) if due is not None]
        due = min(dues, default=None)
        if due is None or (self._timer is not None and self._timer.when() <= due):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(due, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._wake()


def _resume_after(params: dict[str, str]) -> int | None:
    text = params.get("resumeAfter")
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > SEQUENCE_DIGITS_MAX:
        why = "It must be the `sequence` of an event."
        raise Refusal(-1130, f"Data sent for parameter 'resumeAfter' is not valid. {why}")
    return int(text)


def _params(query: bytes) -> dict[str, str]:
    pairs = (part.partition("=") for part in query.decode("latin-1").split("&") if part)
    return {name: unquote(value) for name, _, value in pairs}


def _stream(name: str) -> Stream:
    try:
        return parse(name)
    except BadName:
        shown = name[:64].encode("ascii", "replace").decode()
        raise Refusal(-1130, f"'{shown}' is no stream. Names are such as btcusdt@trade or !ticker@arr.") from None
