"""How many new orders an account may send, and how they are counted: the same in the matcher and for clients to see.

Counts are of fixed windows of the time that commands are stamped with: ten seconds, and the day (UTC). An accepted
order adds one to each. The first time that an order trades takes away: one, if it was the taker; five, if it had
rested. So who trades may go on. Nothing else takes away, and no count falls below 0: fills earn no credit.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from ringex.division import quotient
from ringex.jit import inlined, int64
from ringex.memory import record_at

SHORT_NS: Final = 10 * 10**9
DAY_NS: Final = 86_400 * 10**9
TAKER_CREDIT: Final = 1
MAKER_CREDIT: Final = 5
"""What the first fill of an order takes away from its account's counts."""

ORDER_COUNTS: Final = np.dtype(
    [
        ("short_window", "i4"),  # in which ten seconds `short_count` was counted
        ("short_count", "i4"),
        ("day", "i4"),
        ("day_count", "i4"),
    ],
    align=True,
)
"""An account's new orders, less what its fills took away, as last counted. A count of an earlier window means 0."""


@inlined
def short_window_of(time_ns: int) -> int:
    return quotient(int64(time_ns), SHORT_NS)


@inlined
def day_of(time_ns: int) -> int:
    return quotient(int64(time_ns), DAY_NS)


@inlined
def count_accepted(counts: int, window: int, day: int) -> None:
    """An order was accepted in these windows: one more in the ORDER_COUNTS at this address."""
    c = record_at(counts, 0, ORDER_COUNTS)
    c.short_count = c.short_count + 1 if c.short_window == window else 1
    c.short_window = window
    c.day_count = c.day_count + 1 if c.day == day else 1
    c.day = day


@inlined
def count_first_fill(counts: int, window: int, day: int, credit: int) -> None:
    """An order has traded for the first time, in these windows: `credit` fewer, where any were counted there."""
    c = record_at(counts, 0, ORDER_COUNTS)
    if c.short_window == window:
        c.short_count = max(int64(0), c.short_count - credit)
    if c.day == day:
        c.day_count = max(int64(0), c.day_count - credit)


@inlined
def short_count_of(counts: int, time_ns: int) -> int:
    """In the present ten seconds."""
    c = record_at(counts, 0, ORDER_COUNTS)
    return int64(c.short_count) if c.short_window == short_window_of(time_ns) else int64(0)


@inlined
def day_count_of(counts: int, time_ns: int) -> int:
    """On the present day."""
    c = record_at(counts, 0, ORDER_COUNTS)
    return int64(c.day_count) if c.day == day_of(time_ns) else int64(0)
