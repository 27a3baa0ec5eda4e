"""Joining: how a reader that starts, or was lapped, gets what the event ring no longer holds from the replica.

Messages are ZeroMQ frames between a DEALER (here) and the replica's ROUTER, at `Settings.replica_endpoint`:

    [b"join"]                            -> [b"model", sequence, *ReadModel.export()]
    [b"events", after]                   -> [b"events", EVENT records] | [b"gone", oldest]
                        either, where the replica is not that far yet -> [b"later"]
                                                anything else -> [b"error", message]

`sequence`, `after` and `oldest` are event sequences, 8 bytes, little endian; all events behind `oldest` are held. The
replica calls `answer`; readers use `ReplicaClient`.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Final

import numpy as np
import zmq

from ringex.history.eventlog import EventLog
from ringex.history.frames import Frame, check, frame_of, records_of
from ringex.history.readmodel import ReadModel
from ringex.messages import EVENT

EVENTS_PER_REPLY_MAX: Final = 4096
"""1 MiB: what a reader that catches up is sent at once."""
FRAMES_MAX: Final = 32
REPLY_TIMEOUT_S: Final = 5.0

_Context = zmq.Context[zmq.Socket[bytes]]


class ReplicaSilentError(TimeoutError):
    """The replica did not answer in time: it is starting, busy or gone. Ask again."""


class ReplicaBehindError(Exception):
    """The replica has not come as far as it was asked for. Ask again."""


def answer(request: Sequence[Frame], model: ReadModel | None, event_log: EventLog) -> list[Frame]:
    """The replica's reply to one request. `model` is None while there is none to give yet."""
    if len(request) == 1 and bytes(request[0]) == b"join":
        if model is None:
            return [b"later"]
        return [b"model", _packed(model.sequence), *model.export()]
    if len(request) == 2 and bytes(request[0]) == b"events" and len(request[1]) == 8:
        after = int.from_bytes(request[1], "little")
        if after >= event_log.last_sequence:
            return [b"later"]
        events = event_log.after(after, EVENTS_PER_REPLY_MAX)
        if events is None:
            return [b"gone", _packed(event_log.first_sequence - 1)]
        return [b"events", frame_of(events)]
    return [b"error", b'expected [b"join"] or [b"events", after: 8 bytes]']


class ReplicaClient:
    """Asks the replica; one request at a time. Every wait ends after `timeout_s`."""

    def __init__(
        self, endpoint: str, timeout_s: float = REPLY_TIMEOUT_S, context: zmq.Context[zmq.Socket[bytes]] | None = None
    ) -> None:
        self._endpoint = endpoint
        self._timeout_ms = int(timeout_s * 1000)
        self._own_context = context is None
        self._context = context or zmq.Context()
        self._socket = self._connect()

    def join(self) -> tuple[int, list[Frame]]:
        """The event sequence T and the frames of a read model that has seen all events up to T.

        Raises ReplicaSilentError, ReplicaBehindError, FrameError.
        """
        reply = self._ask([b"join"])
        check(bytes(reply[0]) == b"model" and len(reply) > 2 and len(reply[1]) == 8, _unexpected(reply))
        return int.from_bytes(reply[1], "little"), reply[2:]

    def events(self, after: int) -> np.ndarray | None:
        """Some of the events that follow `after`, at least one; None where the replica no longer has them.

        Raises ReplicaSilentError, ReplicaBehindError, FrameError.
        """
        reply = self._ask([b"events", _packed(after)])
        if bytes(reply[0]) == b"gone":
            return None
        return _events_in(reply, after)

    def close(self) -> None:
        self._socket.close(linger=0)
        if self._own_context:
            self._context.term()

    def __enter__(self) -> ReplicaClient:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _connect(self) -> zmq.Socket[bytes]:
        socket = self._context.socket(zmq.DEALER)
        socket.setsockopt(zmq.LINGER, 0)
        socket.connect(self._endpoint)
        return socket

    def _ask(self, request: list[Frame]) -> list[Frame]:
        self._socket.send_multipart(request)
        if not self._socket.poll(self._timeout_ms):
            # A reply that comes too late must not be taken for the next one's: it goes to a socket that is gone.
            self._socket.close(linger=0)
            self._socket = self._connect()
            raise ReplicaSilentError(f"no answer from {self._endpoint} within {self._timeout_ms} ms")
        reply: list[Frame] = [frame.buffer for frame in self._socket.recv_multipart(copy=False)]
        check(len(reply) <= FRAMES_MAX, f"a reply of {len(reply)} frames; at most {FRAMES_MAX} are expected")
        if bytes(reply[0]) == b"later":
            raise ReplicaBehindError(f"{self._endpoint} is not that far yet")
        return reply


class EventsAsked:
    """One question for events at a time, whose answer is looked for without waiting."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.connect(endpoint)

    def ask(self, after: int) -> None:
        """Ask for events that follow `after`."""
        self._socket.send_multipart([b"events", _packed(after)])

    def answer(self, after: int) -> np.ndarray | int | None:
        """What `ask(after)` was answered with: EVENT records, at least one; or, where the next one is no longer held,
        the sequence behind which all are; None: nothing has come yet.

        Raises ReplicaBehindError, FrameError.
        """
        try:
            frames = self._socket.recv_multipart(zmq.NOBLOCK, copy=False)
        except zmq.Again:
            return None
        reply: list[Frame] = [frame.buffer for frame in frames]
        if bytes(reply[0]) == b"later":
            raise ReplicaBehindError(f"{self._endpoint} is not that far yet")
        if bytes(reply[0]) == b"gone":
            check(len(reply) == 2 and len(reply[1]) == 8, _unexpected(reply))
            return int.from_bytes(reply[1], "little")
        return _events_in(reply, after)

    def close(self) -> None:
        self._socket.close(linger=0)
        self._context.term()


def _events_in(reply: list[Frame], after: int) -> np.ndarray:
    check(bytes(reply[0]) == b"events" and len(reply) == 2, _unexpected(reply))
    events = records_of(reply[1], EVENT, EVENTS_PER_REPLY_MAX, "events")
    check(len(events) > 0, "events: none came")
    expected = np.arange(after + 1, after + 1 + len(events))
    check(bool((events["sequence"] == expected).all()), f"events: they do not follow each other from {after + 1}")
    return events


def _packed(sequence: int) -> bytes:
    return sequence.to_bytes(8, "little")


def _unexpected(reply: list[Frame]) -> str:
    return f"the replica answered {bytes(reply[0][:32])!r} in {len(reply)} frames"
