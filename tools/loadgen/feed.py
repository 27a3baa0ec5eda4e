"""A subscriber of all market data, and a bare publisher that sends the same messages again."""

from __future__ import annotations

import multiprocessing.connection
import multiprocessing.synchronize
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import zmq

Message = tuple[bytes, bytes]
"""Topic and payload."""
_FORK: Final = multiprocessing.get_context("fork")
_HIGH_WATER: Final = 1 << 20
_CPUCLOCK_SCHED: Final = 2
_READY_SECONDS_MAX: Final = 10.0
_QUIET_MS: Final = 300
"""Nothing has come for so long: that was the last message."""


@dataclass(frozen=True)
class Received:
    """`count` messages came, the last of them `last`; the marks say when how many had come."""

    count: int
    last: Message
    marks: list[tuple[int, int]]
    """(messages before, time in ns), for each time that the subscriber found something to read; then of the end."""

    def rate_of_last(self, count: int) -> float:
        """Messages a second, from when the first of the last `count` came."""
        began_ns = [at_ns for before, at_ns in self.marks[:-1] if before <= self.count - count][-1]
        return count / max((self.marks[-1][1] - began_ns) / 1e9, 1e-9)


class Subscriber:
    """In a process of its own. Use as a context manager; `received` ends it."""

    def __init__(self, endpoint: str) -> None:
        self._reading, writing = _FORK.Pipe(duplex=False)
        self._ready, self._arrived, self._stop = _FORK.Event(), _FORK.Event(), _FORK.Event()
        arguments = (endpoint, self._ready, self._arrived, self._stop, writing)
        self._process = _FORK.Process(target=_subscribe, args=arguments, daemon=True)

    def __enter__(self) -> Subscriber:
        self._process.start()
        self._ready.wait(_READY_SECONDS_MAX)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.join()

    def has_arrived(self, timeout_s: float) -> bool:
        """A first message has come, waiting for it at most so long."""
        return self._arrived.wait(timeout_s)

    def received(self) -> Received:
        """Once something has come and nothing more comes."""
        self._stop.set()
        found = self._reading.recv()
        assert isinstance(found, Received)
        return found


def bare_feed(messages: list[Message], folder: Path) -> tuple[Received, float]:
    """What a subscriber gets when a publisher does nothing but send `messages`, and the publisher's CPU seconds."""
    endpoint = f"ipc://{folder}/bare-feed"
    subscribed, go = _FORK.Event(), _FORK.Event()
    process = _FORK.Process(target=_publish, args=(endpoint, messages, subscribed, go), daemon=True)
    process.start()
    try:
        with Subscriber(endpoint) as subscriber:
            if not subscribed.wait(_READY_SECONDS_MAX):
                raise TimeoutError(f"{endpoint}: no subscriber came within {_READY_SECONDS_MAX:.0f} s")
            assert process.pid is not None
            before = cpu_seconds(process.pid)
            go.set()
            return subscriber.received(), cpu_seconds(process.pid) - before
    finally:
        process.terminate()
        process.join()


def cpu_seconds(pid: int) -> float:
    """What all threads of a process have used. (The kernel's clock of a process: clock_getcpuclockid(3).)"""
    return time.clock_gettime(~pid << 3 | _CPUCLOCK_SCHED)


def _publish(
    endpoint: str,
    messages: list[Message],
    subscribed: multiprocessing.synchronize.Event,
    go: multiprocessing.synchronize.Event,
) -> None:
    socket = zmq.Context().socket(zmq.XPUB)
    socket.setsockopt(zmq.SNDHWM, _HIGH_WATER)
    socket.bind(endpoint)
    socket.recv()  # a subscriber has come
    subscribed.set()
    go.wait()
    for topic, payload in messages:
        socket.send(topic, zmq.SNDMORE)
        socket.send(payload)
    threading.Event().wait()  # what is queued goes out meanwhile; the parent ends this process


def _subscribe(
    endpoint: str,
    ready: multiprocessing.synchronize.Event,
    arrived: multiprocessing.synchronize.Event,
    stop: multiprocessing.synchronize.Event,
    writing: multiprocessing.connection.Connection,
) -> None:
    socket: zmq.Socket[bytes] = zmq.Context().socket(zmq.SUB)
    socket.setsockopt(zmq.RCVHWM, _HIGH_WATER)
    socket.subscribe(b"")
    socket.connect(endpoint)
    ready.set()
    marks: list[tuple[int, int]] = []
    count, topic, payload, last_ns = 0, b"", b"", 0
    while True:
        if not socket.poll(_QUIET_MS):
            if stop.is_set() and count:
                break
            continue
        marks.append((count, time.perf_counter_ns()))
        try:
            while True:
                topic, payload = socket.recv(zmq.NOBLOCK), socket.recv()
                count += 1
        except zmq.Again:
            last_ns = time.perf_counter_ns()
        arrived.set()
    writing.send(Received(count, (topic, payload), [*marks, (count, last_ns)]))
