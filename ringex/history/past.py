"""The past: events that have gone by, read again without waiting: from the ring while it holds them, else the
replica."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Final

import numpy as np

from ringex.history.join import EVENTS_PER_REPLY_MAX, REPLY_TIMEOUT_S, EventsAsked, ReplicaBehindError
from ringex.memory import address_of
from ringex.messages import EVENT
from ringex.ring import Ring, ring_poll_independent, ring_published

RETRY_SECONDS: Final = 0.02
"""How long to leave the replica alone when it is not as far as it was asked for."""


class PastGone(Exception):
    """The events asked for are held nowhere. `oldest`: behind this one there still are all."""

    def __init__(self, oldest: int) -> None:
        super().__init__(f"only events after {oldest} are held")
        self.oldest = oldest


class Past:
    """Events that `ring` has published, and those before them at the replica of `endpoint`."""

    def __init__(self, ring: Ring, endpoint: str) -> None:
        self._ring = ring
        self._endpoint = endpoint
        self._asked: EventsAsked | None = None
        self._asked_after = -1
        self._ask_again_at = 0.0
        self._give_up_at = 0.0

    @property
    def newest(self) -> int:
        """The sequence of the newest event there is."""
        return int(ring_published(self._ring.address))

    @property
    def waits(self) -> bool:
        """The replica was asked, and has not answered."""
        return self._asked_after >= 0

    def after(self, sequence: int, count_max: int) -> np.ndarray:
        """Some of the events that follow `sequence`, which exist; EVENT records, at most `count_max`, shape (n,).

        Empty where the replica has to be asked: call again later. It is asked one question at a time, so others get
        their turn when that is answered. Raises PastGone.
        """
        events = np.zeros(min(count_max, EVENTS_PER_REPLY_MAX), EVENT)
        taken = ring_poll_independent(self._ring.address, sequence, len(events), address_of(events))
        if taken >= 0:
            return events[:taken]
        return self._from_replica(sequence)[:count_max]

    def close(self) -> None:
        if self._asked is not None:
            self._asked.close()

    def __enter__(self) -> Past:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _from_replica(self, sequence: int) -> np.ndarray:
        now = time.monotonic()
        nothing = np.zeros(0, EVENT)
        if self._asked is None or (self.waits and now > self._give_up_at):
            self.close()  # a reply that comes too late must not be taken for the next one's
            self._asked, self._asked_after = EventsAsked(self._endpoint), -1
        if not self.waits:
            if now >= self._ask_again_at:
                self._asked.ask(sequence)
                self._asked_after, self._give_up_at = sequence, now + REPLY_TIMEOUT_S
            return nothing
        try:
            answer = self._asked.answer(self._asked_after)
        except ReplicaBehindError:
            self._asked_after, self._ask_again_at = -1, now + RETRY_SECONDS
            return nothing
        if answer is None:
            return nothing
        asked_after, self._asked_after = self._asked_after, -1
        if asked_after != sequence:
            return nothing  # who asked has gone meanwhile
        if isinstance(answer, int):
            raise PastGone(answer)
        return answer
