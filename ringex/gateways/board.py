"""The board: what each gateway has counted so far, in shared memory that `ringex status` reads.

A gateway writes its own region and nobody else's (law 1), at most every PUBLISH_SECONDS, and only if something has
changed. Besides what was counted, a region holds the counts of some seconds before, so that whoever looks sees rates.
A reader may see one count of a moment later than another: these are for people and for dashboards.
"""

from __future__ import annotations

import mmap
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from ringex.gateways.tally import SHARED_FOLDER, make_shared

NAMES_MAX: Final = 255
"""Counts of one gateway; later names are left out."""
NAME_BYTES_MAX: Final = 48
PUBLISH_SECONDS: Final = 0.25
SAMPLE_SECONDS: Final = 5.0
"""Rates are of the last one to two times as long."""
NOW: Final = "now_"
"""Names of what is the case now, instead of what has been counted, begin with it."""

_HEADER: Final = np.dtype([("used", "i8"), ("time_ns", "i8"), ("before_ns", "i8"), ("_pad", "i8", (5,))])
_ENTRY: Final = np.dtype([("name", f"S{NAME_BYTES_MAX}"), ("count", "i8"), ("before", "i8")])
_REGION: Final = np.dtype([("header", _HEADER), ("entries", _ENTRY, (NAMES_MAX,))])

Gauges = Mapping[str, Callable[[], int]]
"""By name without NOW."""


def make_board(name: str, gateways: int) -> None:
    """The shared memory of `gateways` regions. Raises OSError."""
    make_shared(name, gateways * _REGION.itemsize)


class Board:
    """The region of gateway number `number`. Without a `name` nobody sees it."""

    def __init__(self, name: str = "", number: int = 0) -> None:
        if name:
            with (SHARED_FOLDER / name).open("r+b", buffering=0) as file:
                memory: mmap.mmap | bytearray = mmap.mmap(file.fileno(), 0)
        else:
            number, memory = 0, bytearray(_REGION.itemsize)
        self._region = np.frombuffer(memory, _REGION)[number : number + 1]
        self._region[:] = np.zeros(1, _REGION)
        self._header = self._region["header"]
        self._entries = self._region["entries"][0]
        self._places: dict[str, int] = {}
        self._published: list[int] = []
        self._sample: tuple[int, list[int]] = (time.time_ns(), [])
        self._sample_at = time.monotonic() + SAMPLE_SECONDS
        self._header["before_ns"] = self._sample[0]
        self._due = 0.0
        self._stale = False

    @property
    def due(self) -> float | None:
        """By `time.monotonic`: when `tell` should be called again although nothing happens; None: it need not."""
        return self._due if self._stale else None

    def tell(self, counts: Mapping[str, int], gauges: Gauges) -> None:
        """Publish, if the last time is long enough ago. Called after every turn."""
        now = time.monotonic()
        self._stale = now < self._due
        if self._stale:
            return
        self._due = now + PUBLISH_SECONDS
        for name in [*counts, *(NOW + gauge for gauge in gauges)]:
            if name not in self._places and len(self._places) < NAMES_MAX:
                self._places[name] = place = len(self._places)
                self._entries["name"][place] = name.encode()[:NAME_BYTES_MAX]
        values = [0] * len(self._places)
        for name, count in counts.items():
            if (at := self._places.get(name)) is not None:
                values[at] = count
        for name, gauge in gauges.items():
            if (at := self._places.get(NOW + name)) is not None:
                values[at] = gauge()
        if values == self._published:
            return
        self._published = values
        now_ns = time.time_ns()
        if now >= self._sample_at:
            self._sample_at = now + SAMPLE_SECONDS
            before_ns, before = self._sample
            self._sample = now_ns, values
            self._entries["before"][: len(before)] = before
            self._header["before_ns"] = before_ns
        self._entries["count"][: len(values)] = values
        self._header["time_ns"] = now_ns
        self._header["used"] = len(values)


def read_board(name: str, now_ns: int) -> list[dict[str, Any]]:
    """Of each gateway: `counts`, `rates` (a second, of those that are not 0), and `now`. Raises OSError."""
    regions = np.frombuffer((SHARED_FOLDER / name).read_bytes(), _REGION)
    return [_told(region, now_ns) for region in regions]


def _told(region: np.void, now_ns: int) -> dict[str, Any]:
    header, entries = region["header"], region["entries"][: int(region["header"]["used"])]
    seconds = max(now_ns - int(header["before_ns"]), 1) / 1e9
    told: dict[str, Any] = {"counts": {}, "rates": {}, "now": {}}
    for entry in entries:
        name, count = entry["name"].decode(), int(entry["count"])
        if name.startswith(NOW):
            told["now"][name.removeprefix(NOW)] = count
            continue
        told["counts"][name] = count
        if count > entry["before"]:
            told["rates"][name] = round((count - int(entry["before"])) / seconds, 2)
    return told
