"""Intervals: the spans of time that candles cover, and where each begins, in UTC.

Weeks begin on Monday, months on their first day, spans of three days are counted from 1970-01-01. Times are
nanoseconds since 1970-01-01, from 0 on. UTC has no summer time, so every interval but the month has one length.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from ringex.jit import compiled, entry, inlined, int64

SECOND_NS: Final = 1_000_000_000
MINUTE_NS: Final = 60 * SECOND_NS
HOUR_NS: Final = 60 * MINUTE_NS
DAY_NS: Final = 24 * HOUR_NS
MONDAY_NS: Final = 4 * DAY_NS
"""The first Monday, 1970-01-05."""


class Interval(IntEnum):
    """By length; `text` is the dialect's name."""

    SECOND_1 = 0
    MINUTE_1 = 1
    MINUTE_3 = 2
    MINUTE_5 = 3
    MINUTE_15 = 4
    MINUTE_30 = 5
    HOUR_1 = 6
    HOUR_2 = 7
    HOUR_4 = 8
    HOUR_6 = 9
    HOUR_8 = 10
    HOUR_12 = 11
    DAY_1 = 12
    DAY_3 = 13
    WEEK_1 = 14
    MONTH_1 = 15

    @property
    def text(self) -> str:
        number = self.name.rpartition("_")[2]
        return number + ("M" if self == Interval.MONTH_1 else self.name[0].lower())

    @property
    def length_ns(self) -> int:
        """How long it is; of a month, 0: they differ."""
        return _LENGTHS[self]


INTERVALS: Final[dict[str, Interval]] = {interval.text: interval for interval in Interval}
"""By the dialect's names, "1s" to "1M"."""

_LENGTHS: Final = (
    SECOND_NS,
    MINUTE_NS,
    3 * MINUTE_NS,
    5 * MINUTE_NS,
    15 * MINUTE_NS,
    30 * MINUTE_NS,
    HOUR_NS,
    2 * HOUR_NS,
    4 * HOUR_NS,
    6 * HOUR_NS,
    8 * HOUR_NS,
    12 * HOUR_NS,
    DAY_NS,
    3 * DAY_NS,
    7 * DAY_NS,
    0,
)


def open_of(interval: Interval, time_ns: int) -> int:
    """When the interval that holds `time_ns` begins."""
    return int(interval_open(int(interval), time_ns))


def end_of(interval: Interval, open_ns: int) -> int:
    """When the interval that begins at `open_ns` ends; the next one begins there."""
    return int(interval_end(int(interval), open_ns))


def before(interval: Interval, open_ns: int) -> int:
    """When the interval before the one that begins at `open_ns` begins; `open_ns` is above 0."""
    return open_of(interval, open_ns - 1)


@entry
@compiled
def interval_open(interval: int, time_ns: int) -> int:
    """When the interval, numbered as in `Interval`, that holds `time_ns` begins."""
    if interval == Interval.MONTH_1:
        return _month_open(time_ns // DAY_NS) * DAY_NS
    if interval == Interval.WEEK_1:
        return time_ns - (time_ns - MONDAY_NS) % (7 * DAY_NS)
    return time_ns - time_ns % _length(interval)


@entry
@compiled
def interval_end(interval: int, open_ns: int) -> int:
    """When the interval that begins at `open_ns` ends."""
    if interval == Interval.MONTH_1:
        return _month_open(open_ns // DAY_NS + 31) * DAY_NS  # no month is longer, and none shorter than 28 days
    return open_ns + _length(interval)


@inlined
def _length(interval: int) -> int:
    return _LENGTHS[interval]


@compiled
def _month_open(day: int) -> int:
    """The day, counted from 1970-01-01, on which the month of `day` begins (Gregorian calendar, from 1970 on)."""
    # Years are counted from 1 March here, so that a leap day is the last one of its year.
    march = day + 719_468  # days since 0000-03-01
    era = march // 146_097
    of_era = march - era * 146_097
    year = (of_era - of_era // 1_460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    month = (5 * of_year + 2) // 153  # 0 is March
    of_month = of_year - (153 * month + 2) // 5
    return int64(day - of_month)
