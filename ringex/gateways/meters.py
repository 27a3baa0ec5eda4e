"""Meters: what one subject, a key or an address, has used of its limits in the present windows.

A meter's numbers lie in a record that compiled code counts in too (`meter_take`); Python reads and writes the same
words. What other gateways have counted is copied in by `Limiter.refresh`.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from ringex.gateways.tally import id_of
from ringex.jit import compiled, int64
from ringex.memory import address_of, record_at

METERS_MAX: Final = 1 << 14
MINUTE: Final = 60
RAW_SECONDS: Final = 300

METER: Final = np.dtype(
    [
        ("subject", "i8"),  # the id of what is counted; 0: nobody's
        ("window", "i8"),  # the minute in which `used` and `refused` were counted
        ("used", "i8"),
        ("raw_window", "i8"),
        ("raw", "i8"),
        ("refused", "i8"),
        ("others_window", "i8"),  # of `others_used`; the same for raw requests
        ("others_used", "i8"),
        ("others_raw_window", "i8"),
        ("others_raw", "i8"),
        ("banned_until", "i8"),  # seconds since 1970
        ("dirty", "i8"),  # 1: compiled code has counted something that the tally does not show yet
        ("_pad", "i8", (4,)),
    ]
)
METER_WORDS: Final = METER.itemsize // 8
SUBJECT, WINDOW, USED, RAW_WINDOW, RAW, REFUSED = range(6)
OTHERS_WINDOW, OTHERS_USED, OTHERS_RAW_WINDOW, OTHERS_RAW, BANNED_UNTIL, DIRTY = range(6, 12)
"""The words of a meter, for Python."""


class Meter:
    """One subject's. `words` are its record; `place` is where that lies."""

    __slots__ = ("ban", "is_key", "is_limited", "place", "raw_id", "refused_id", "used_id", "who", "words")

    def __init__(self, who: str, is_limited: bool, place: int, words: memoryview) -> None:
        self.who, self.is_key, self.is_limited = who, who.startswith("key"), is_limited
        self.used_id, self.raw_id = id_of(f"weight {who}"), id_of(f"raw {who}")
        self.refused_id, self.ban = id_of(f"refused {who}"), id_of(f"ban {who}")
        self.place, self.words = place, words
        for at in range(METER_WORDS):
            words[at] = 0
        words[SUBJECT] = self.used_id

    @property
    def used(self) -> int:
        """Weight in the present minute, at this gateway."""
        return int(self.words[USED])


class Meters:
    """Room for METERS_MAX meters."""

    def __init__(self) -> None:
        self.records = np.zeros(METERS_MAX, METER)
        self._words = self.records.view(np.int64).data.cast("B").cast("q")
        self._free = list(range(METERS_MAX - 1, -1, -1))
        self._made: dict[int, Meter] = {}  # by place
        self.address = address_of(self.records)

    def make(self, who: str, is_limited: bool) -> Meter:
        place = self._free.pop()
        words = self._words[place * METER_WORDS : (place + 1) * METER_WORDS]
        meter = self._made[place] = Meter(who, is_limited, place, words)
        return meter

    def drop(self, meter: Meter) -> None:
        """Forget it: compiled code that still knows its place finds another subject there, or none."""
        meter.words[SUBJECT] = meter.words[DIRTY] = 0
        del self._made[meter.place]
        self._free.append(meter.place)

    def take_dirty(self) -> list[Meter]:
        """Those in which compiled code has counted since the last time."""
        places = np.flatnonzero(self.records["dirty"])
        self.records["dirty"][places] = 0
        return [self._made[place] for place in places.tolist()]


@compiled
def meter_take(meter: int, weight: int, now: int, used_max: int, raw_max: int) -> bool:
    """Count a request at second `now`; False, and it is not counted, where that passes a limit, or a ban is in force.

    `used_max` below 0: there is no limit.
    """
    m = record_at(meter, 0, METER)
    minute = now // MINUTE
    raw_window = now // RAW_SECONDS
    used = int64(m.used) if m.window == minute else int64(0)
    raw = int64(m.raw) if m.raw_window == raw_window else int64(0)
    if used_max >= 0:
        others_used = int64(m.others_used) if m.others_window == minute else int64(0)
        others_raw = int64(m.others_raw) if m.others_raw_window == raw_window else int64(0)
        if m.banned_until > now or used + weight + others_used > used_max or raw + 1 + others_raw > raw_max:
            return False
    if m.window != minute:
        m.window = minute
        m.refused = 0
    m.raw_window = raw_window
    m.used = used + weight
    m.raw = raw + 1
    m.dirty = 1
    return True


@compiled
def meter_shown(meter: int) -> int:
    """The weight that a reply shows: of all gateways."""
    m = record_at(meter, 0, METER)
    return m.used + (m.others_used if m.others_window == m.window else int64(0))
