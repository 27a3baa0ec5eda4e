"""Times as clients see them: in milliseconds since 1970, or, where a request or a stream wants it, in microseconds.

The unit belongs to what is being answered now, not to what knows the time: `in_unit` sets it around the making of one
reply or message, and whatever is made within takes its times from `shown`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

from ringex.gateways.errors import invalid

MILLISECOND_NS: Final = 1_000_000
MICROSECOND_NS: Final = 1_000
MICROSECONDS_FROM: Final = 100_000_000_000_000
"""A time that a client sends counts microseconds from here on: in milliseconds it would be the year 5138."""
NAME: Final = "timeUnit"

_UNITS: Final = {"MILLISECOND": MILLISECOND_NS, "MICROSECOND": MICROSECOND_NS}
_unit: Final[ContextVar[int]] = ContextVar("unit_ns", default=MILLISECOND_NS)


def shown(time_ns: int) -> int:
    """A time in the unit of what is being made."""
    return int(time_ns) // _unit.get()


@contextmanager
def in_unit(unit_ns: int) -> Iterator[None]:
    token = _unit.set(unit_ns)
    try:
        yield
    finally:
        _unit.reset(token)


def made(unit_ns: int, make: Callable[..., Any], *given: Any) -> Any:
    """What `make` makes of what it is given, with times in that unit."""
    if unit_ns == MILLISECOND_NS:
        return make(*given)
    with in_unit(unit_ns):
        return make(*given)


def unit_named(name: str) -> int:
    """In ns. Raises Refusal -1130."""
    unit_ns = _UNITS.get(name.upper())
    if unit_ns is None:
        raise invalid(NAME, "It must be MILLISECOND or MICROSECOND.")
    return unit_ns


def unit_of_sent(time: int) -> int:
    """The unit, in ns, of a time that a client has sent."""
    return MICROSECOND_NS if time >= MICROSECONDS_FROM else MILLISECOND_NS
