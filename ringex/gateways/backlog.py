"""The backlog: commands that gateways have published and the matcher has not answered yet.

A command outlives the gateway that published it: it waits in the ring until a matcher takes it. So "there is no such
order" is true only once everything that any gateway had published when the question came has been taken; the events
of what has been taken are published before the ring's slots are given back.
"""

from __future__ import annotations

from collections.abc import Sequence

from ringex.jit import compiled, entry
from ringex.ring import Ring, ring_consumed, ring_published

Mark = tuple[int, ...]
"""A cursor of each command ring."""


class Backlog:
    """Looks at the command rings of all gateways, and changes nothing."""

    def __init__(self, rings: Sequence[Ring]) -> None:
        self._rings = tuple(rings)

    def mark(self) -> Mark:
        """How far the rings are filled now."""
        return tuple(ring_published(ring.address) for ring in self._rings)

    def is_settled(self, mark: Mark) -> bool:
        """Whether the events of all commands up to `mark` are in the event ring."""
        return all(_consumed(ring.address) >= cursor for ring, cursor in zip(self._rings, mark, strict=True))


@entry
@compiled
def _consumed(ring: int) -> int:
    return ring_consumed(ring)
