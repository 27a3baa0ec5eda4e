"""What queries of the past share: spans of time, numbers to begin with, and which combinations are allowed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ringex.gateways.calls import Call
from ringex.gateways.errors import Refusal, invalid
from ringex.gateways.parameters import Kind, Parameter
from ringex.gateways.times import unit_of_sent
from ringex.history.intervals import DAY_NS
from ringex.history.store.store import TIME_MAX

START_TIME: Final = Parameter("startTime", Kind.INTEGER)
END_TIME: Final = Parameter("endTime", Kind.INTEGER)
FROM_ID: Final = Parameter("fromId", Kind.INTEGER)


@dataclass(frozen=True)
class Span:
    """[start_ns, end_ns); `starts`, `ends` say whether the client gave them."""

    start_ns: int
    end_ns: int
    starts: bool
    ends: bool


def span_of(call: Call, length_max_ns: int = 0, length_words: str = "24 hours") -> Span:
    """From startTime to endTime, both included, in milliseconds or microseconds; each of them may be missing.

    Raises Refusal: -1130 where they are in the wrong order, -1127 where they are further apart than allowed.
    """
    arguments = call.arguments
    starts, ends = "startTime" in arguments, "endTime" in arguments
    start, end = arguments.get("startTime", 0), arguments.get("endTime", 0)
    start_unit_ns, end_unit_ns = unit_of_sent(start), unit_of_sent(end)
    start_ns = min(start * start_unit_ns, TIME_MAX)
    end_ns = min((end + 1) * end_unit_ns, TIME_MAX) if ends else TIME_MAX
    if starts and ends:
        if start_ns >= end_ns:
            raise invalid("endTime", "It must not be before startTime.")
        if length_max_ns and end_ns - end_unit_ns - start_ns > length_max_ns:
            raise Refusal(-1127, f"More than {length_words} between startTime and endTime.")
    return Span(start_ns, end_ns, starts, ends)


def day_of(call: Call) -> Span:
    """A span of at most a day where both ends are given. Raises Refusal."""
    return span_of(call, DAY_NS)


def check_combination(call: Call, names: tuple[str, ...], allowed: tuple[frozenset[str], ...]) -> None:
    """Raises Refusal -1128 where those of `names` that were sent are not one of the `allowed` sets."""
    sent = frozenset(name for name in names if name in call.arguments)
    if sent not in allowed:
        right = "; ".join(" + ".join(sorted(one)) for one in allowed if one)
        raise Refusal(-1128, f"Combination of optional parameters invalid. Allowed are none, or: {right}.")
