"""The follower: every event after a given one, in sequence: from the ring while it holds them, else the replica."""

from __future__ import annotations

import time
from typing import Final

import numpy as np

from ringex.history.join import ReplicaBehindError, ReplicaClient, ReplicaSilentError
from ringex.jit import compiled
from ringex.messages import EVENT
from ringex.ring import Lapped, Reader, Ring, ring_published, ring_state

RETRY_S: Final = 0.01
"""How long to leave the replica alone when it is not as far as it was asked for."""


class EventsGoneError(Exception):
    """Neither the ring nor the replica holds the next event any more: join anew, and say that there is a gap."""


class Follower:
    """Reads the event ring as `reader_number`. Being lapped costs time, and no events as long as the replica has them.

    `after` is the sequence behind which to begin. `doorbell_fd` as in `ringex.ring.Reader`.
    """

    def __init__(self, ring: Ring, reader_number: int, doorbell_fd: int, replica: ReplicaClient, after: int) -> None:
        self._ring = ring
        self._reader = Reader(ring, reader_number, doorbell_fd, after, EVENT)
        self._replica = replica

    @property
    def sequence(self) -> int:
        """The sequence of the last event that `poll` gave; cursor c of the ring holds event c + 1."""
        return self._reader.cursor

    @property
    def reader(self) -> Reader:
        """The ring's reader, to arm and disarm its doorbell where an event loop waits."""
        return self._reader

    @property
    def ring_address(self) -> int:
        """Of the event ring, for compiled code."""
        return self._ring.address

    @property
    def ring_state(self) -> int:
        """What the matcher tells beside its events (`ringex.ring.ring_state`)."""
        return int(_ring_state(self._ring.address))

    def restart(self, after: int) -> None:
        """Go on behind `after`: what follows a new `join`."""
        self._reader.cursor = after

    @property
    def is_at_end(self) -> bool:
        """Whether every event that has been published was read."""
        return ring_published(self._ring.address) <= self._reader.cursor

    def poll(self, count_max: int) -> np.ndarray:
        """The next EVENT records, at most about `count_max`; shape (n,), empty where there are none yet.

        It blocks only when lapped, as long as one request to the replica takes. Raises EventsGoneError.
        """
        try:
            events = self._reader.poll(count_max)
        except Lapped:
            events = self._from_replica()
            self._reader.cursor += len(events)
        assert not len(events) or int(events["sequence"][-1]) == self._reader.cursor
        return events

    def wait(self, timeout_s: float) -> bool:
        """Wait at most `timeout_s` for the next event: spin, yield, then sleep. True when it is there."""
        return self._reader.wait(timeout_s)

    def _from_replica(self) -> np.ndarray:
        try:
            events = self._replica.events(self._reader.cursor)
        except (ReplicaBehindError, ReplicaSilentError):
            time.sleep(RETRY_S)
            return np.zeros(0, EVENT)
        if events is None:
            raise EventsGoneError(f"event {self._reader.cursor + 1} is held neither by the ring nor by the replica")
        return events


@compiled
def _ring_state(ring: int) -> int:
    return ring_state(ring)
