"""Tallies: what the gateways have counted, in one piece of shared memory, each in a region of its own (law 1).

A gateway knows its own counts at once, those of the others as of its last look, at most LOOK_SECONDS ago: a sum is too
small by at most what the others have counted since. A place is two words: an id, and a window and a count in one, so
that no reader ever takes a count for another window's. A gateway that starts empties its region.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import time
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path
from typing import Final

import numpy as np

PLACES: Final = 1 << 12
"""Of one gateway: subjects that it counts for at a time. One more takes the place of what was longest untouched."""
LOOK_SECONDS: Final = 0.1
BAN_FROM: Final = 1 << 30
"""A window from here on is a second, the end of a ban: minutes are numbered below."""
COUNT_MAX: Final = (1 << 32) - 1
SHARED_FOLDER: Final = Path("/dev/shm")
_REGION_BYTES: Final = PLACES * 16


def make_tallies(name: str, gateways: int) -> None:
    """The shared memory of `gateways` regions. Raises OSError."""
    make_shared(name, gateways * _REGION_BYTES)


def make_shared(name: str, size_bytes: int) -> None:
    """Shared memory of zeros, every page of it there. Raises OSError."""
    path = SHARED_FOLDER / name
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(descriptor, 0, size_bytes)
    except OSError:
        path.unlink()
        raise
    finally:
        os.close(descriptor)


def remove_shared(name: str) -> None:
    """Remove the name, if it is there; the memory goes with its last user."""
    with suppress(FileNotFoundError):
        (SHARED_FOLDER / name).unlink()


def id_of(subject: str) -> int:
    """The same number for the same text in every process; never 0."""
    return int.from_bytes(hashlib.blake2b(subject.encode(), digest_size=8).digest(), "little") >> 1 or 1


class Tally:
    """The counts of gateway number `number`, and those of the others. Without a `name` there are no others."""

    def __init__(self, name: str = "", number: int = 0) -> None:
        if name:
            with (SHARED_FOLDER / name).open("r+b", buffering=0) as file:
                memory: mmap.mmap | bytearray = mmap.mmap(file.fileno(), 0)
        else:
            number, memory = 0, bytearray(_REGION_BYTES)
        regions = np.frombuffer(memory, "<i8").reshape(-1, PLACES, 2)
        self._own = regions[number]
        self._own[:] = 0
        self._words = memoryview(self._own.reshape(-1))
        self._theirs = [region for at, region in enumerate(regions) if at != number]
        self._places: OrderedDict[int, int] = OrderedDict()
        self._others: dict[tuple[int, int], int] = {}
        self._bans: dict[int, int] = {}
        self._look_at = 0.0

    def set(self, subject: int, window: int, count: int) -> None:
        """What this gateway has counted of a subject in a window."""
        places = self._places
        place = places.get(subject)
        if place is None:
            place = len(places)
            if place == PLACES:
                _, place = places.popitem(last=False)
                self._words[2 * place + 1] = 0  # the old count must never be seen under the new id
            places[subject] = place
            self._words[2 * place] = subject
        else:
            places.move_to_end(subject)
        self._words[2 * place + 1] = window << 32 | min(count, COUNT_MAX)

    def others(self, subject: int, window: int) -> int:
        """What all other gateways have counted of it, as of the last look."""
        return self._others.get((subject, window), 0)

    def look(self) -> None:
        """Look at what the others have written, if the last look was long enough ago."""
        now = time.monotonic()
        if now < self._look_at:
            return
        self._look_at = now + LOOK_SECONDS
        if not self._theirs:
            return
        found: dict[tuple[int, int], int] = {}
        bans: dict[int, int] = {}
        for region in self._theirs:
            used = region[region[:, 1] != 0]
            for subject, word in used.tolist():
                key = (subject, word >> 32)
                found[key] = found.get(key, 0) + (word & COUNT_MAX)
                if key[1] >= BAN_FROM:
                    bans[subject] = max(key[1], bans.get(subject, 0))
        self._others, self._bans = found, bans

    def banned_until(self, subject: int) -> int:
        """Until when (seconds since 1970) any other gateway has banned a subject; 0: none has."""
        return self._bans.get(subject, 0)
