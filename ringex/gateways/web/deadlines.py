"""Deadlines of many peers: one timer of the loop for all of them.

A peer has one deadline. To move it later costs nothing: it is looked at again when its old one comes.
"""

from __future__ import annotations

import asyncio
import math
import sys
import traceback
from typing import Any, Final, Protocol

STEP_SECONDS: Final = 0.25
"""How late a peer may be told. Shorter deadlines than some of these make no sense."""

PLACE_BITS: Final = 24
PLACE_MASK: Final = (1 << PLACE_BITS) - 1
"""Of one step's peers. More are not connected in so short a time."""


class Timed(Protocol):
    deadline: float
    """By `loop.time()`; infinite where there is none."""
    looked_at: int
    """The step at which it will be looked at, and its place among that step's; 0: not at all. Of this module alone."""

    def on_deadline(self) -> None:
        """The deadline has passed. Sets a new one, or is done."""


class Deadlines:
    """Peers by the step in which their deadline is looked at."""

    def __init__(self, loop: asyncio.AbstractEventLoop, step_seconds: float = STEP_SECONDS) -> None:
        self._loop = loop
        self._step_seconds = step_seconds
        self._steps: dict[int, list[Any]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._next = 0

    def set(self, peer: Timed, deadline: float) -> None:
        """`peer.on_deadline` will be called once `deadline` has passed, unless it is set anew before."""
        peer.deadline = deadline
        if deadline == math.inf:
            return
        step = int(deadline / self._step_seconds) + 1
        if not peer.looked_at or step < peer.looked_at >> PLACE_BITS:
            peers = self._steps.setdefault(step, [])
            peer.looked_at = step << PLACE_BITS | len(peers)
            peers.append(peer)
            if self._timer is None or step < self._next:
                self._wait(step)

    def hand_over(self, peer: Timed, heir: Timed) -> None:
        """`heir` is looked at in `peer`'s place; nothing of `peer` is kept here."""
        if peer.looked_at:
            self._steps[peer.looked_at >> PLACE_BITS][peer.looked_at & PLACE_MASK] = heir
            heir.looked_at, peer.looked_at = peer.looked_at, 0
        peer.deadline = math.inf

    def stop(self) -> None:
        self._steps.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait(self, step: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._next = step
        self._timer = self._loop.call_at(step * self._step_seconds, self._look)

    def _look(self) -> None:
        self._timer = None
        now = self._loop.time()
        for step in sorted(step for step in self._steps if step * self._step_seconds <= now):
            for place, peer in enumerate(self._steps.pop(step)):
                if peer.looked_at != step << PLACE_BITS | place:  # it was brought forward, and has been seen to
                    continue
                peer.looked_at = 0
                if peer.deadline > now:
                    self.set(peer, peer.deadline)
                    continue
                try:
                    peer.on_deadline()
                except Exception:  # the others' deadlines stand
                    traceback.print_exc(file=sys.stderr)
        if self._steps and self._timer is None:
            self._wait(min(self._steps))
