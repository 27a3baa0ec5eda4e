"""A subscriber of all market data, and a bare publisher that sends the same messages again."""

from __future__ import annotations

import multiprocessing.connection
import multiprocessing.synchronize
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import zmq

Message = tuple[bytes, bytes]
"""Topic and payload."""
MESSAGES_KEPT_MAX: Final = 1 << 16
_FORK: Final = multiprocessing.get_context("fork")
_HIGH_WATER: Final = 1 << 20
_READY_SECONDS_MAX: Final = 10.0
_QUIET_MS: Final = 300
"""Nothing has come for so long: that was the last message."""


@dataclass(frozen=True)
class Received:
    """`messages` are the first MESSAGES_KEPT_MAX of `count`; seconds are from the first message to the last."""

    count: int
    seconds: float
    messages: list[Message]

    @property
    def rate(self) -> float:
        return self.count / max(self.seconds, 1e-9)


class Subscriber:
    """In a process of its own. Use as a context manager; `received` ends it."""

    def __init__(self, endpoint: str) -> None:
        self._reading, writing = _FORK.Pipe(duplex=False)
        self._ready, self._stop = _FORK.Event(), _FORK.Event()
        self._process = _FORK.Process(target=_subscribe, args=(endpoint, self._ready, self._stop, writing), daemon=True)

    def __enter__(self) -> Subscriber:
        self._process.start()
        self._ready.wait(_READY_SECONDS_MAX)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.join()

    def received(self) -> Received:
        """Once nothing more comes."""
        self._stop.set()
        found = self._reading.recv()
        assert isinstance(found, Received)
        return found


@contextmanager
def _bare_publisher(endpoint: str, messages: list[Message], copies: int) -> Iterator[None]:
    process = _FORK.Process(target=_publish, args=(endpoint, messages, copies), daemon=True)
    process.start()
    try:
        yield
    finally:
        process.terminate()
        process.join()


def bare_feed(messages: list[Message], copies: int, folder: Path) -> Received:
    """What a subscriber gets when a publisher does nothing but send `messages`, `copies` times over."""
    endpoint = f"ipc://{folder}/bare-feed"
    with _bare_publisher(endpoint, messages, copies), Subscriber(endpoint) as subscriber:
        return subscriber.received()


def _publish(endpoint: str, messages: list[Message], copies: int) -> None:
    socket = zmq.Context().socket(zmq.XPUB)
    socket.setsockopt(zmq.SNDHWM, _HIGH_WATER)
    socket.bind(endpoint)
    socket.recv()  # a subscriber has come
    for _ in range(copies):
        for topic, payload in messages:
            socket.send(topic, zmq.SNDMORE)
            socket.send(payload)
    time.sleep(_READY_SECONDS_MAX)  # what is queued goes out meanwhile; the parent ends this process


def _subscribe(
    endpoint: str,
    ready: multiprocessing.synchronize.Event,
    stop: multiprocessing.synchronize.Event,
    writing: multiprocessing.connection.Connection,
) -> None:
    socket: zmq.Socket[bytes] = zmq.Context().socket(zmq.SUB)
    socket.setsockopt(zmq.RCVHWM, _HIGH_WATER)
    socket.subscribe(b"")
    socket.connect(endpoint)
    ready.set()
    kept: list[Message] = []
    count, first, last = 0, 0, 0
    while True:
        if not socket.poll(_QUIET_MS):
            if stop.is_set() and count:
                break
            continue
        last = time.perf_counter_ns()
        first = first or last
        try:
            while True:
                topic, payload = socket.recv(zmq.NOBLOCK), socket.recv()
                count += 1
                if len(kept) < MESSAGES_KEPT_MAX:
                    kept.append((topic, payload))
        except zmq.Again:
            last = time.perf_counter_ns()
    writing.send(Received(count, (last - first) / 1e9, kept))
