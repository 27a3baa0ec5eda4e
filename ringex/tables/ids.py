"""Ids: a hash map from the ids of records to their slots, for ids that a counter gives and that the records begin with.

An entry has the slot and the id's low half, which tells nearly all others apart; the record itself tells the rest.
Sixteen neighbouring ids lie side by side in two cache lines, so what a counter gives one after the other is put where
the line is warm already, and where the next ones will go is known ahead (`ids_prefetch`). Groups are spread by
Fibonacci hashing, which keeps those of one stretch of the counter apart. At most a quarter of the places is in use.
Collisions probe linearly; a removal shifts later entries back.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from ringex.jit import compiled, inlined, int64
from ringex.memory import address_of, prefetch, record_at

IDS: Final = np.dtype(
    [
        ("entries", "i8"),  # address
        ("mask", "i8"),  # places - 1
        ("shift", "i8"),  # of the hash's 32 bits, those below the number of a group
        ("entries_max", "i8"),
        ("used", "i8"),
        ("records", "i8"),  # address of record 0
        ("stride", "i8"),  # bytes a record
    ],
    align=True,
)
_ENTRY: Final = np.dtype([("low", "u4"), ("slot", "i4")])  # slot 0: the place is empty
_ENTRY_BYTES: Final = _ENTRY.itemsize
_ID: Final = np.dtype([("id", "i8")])
_GROUP_BITS: Final = 4
_GROUP_MASK: Final = (1 << _GROUP_BITS) - 1
_LOW: Final = (1 << 32) - 1
_MULTIPLIER: Final = 2_654_435_761  # 2^32 divided by the golden ratio
_PLACES_MIN: Final = 2 << _GROUP_BITS


class Ids:
    """Room for `entries_max` ids of `records`, shape (n,), whose first eight bytes are their id. It keeps the array."""

    def __init__(self, records: np.ndarray, entries_max: int) -> None:
        if entries_max < 1 or entries_max > 1 << 28:
            raise ValueError(f"between 1 and {1 << 28} ids can be held, not {entries_max}")
        places = max(_PLACES_MIN, 1 << (4 * entries_max - 1).bit_length())
        self.records = records
        self.entries = np.zeros(places, _ENTRY)
        self.header = np.zeros(1, IDS)
        self.header["entries"] = address_of(self.entries)
        self.header["mask"] = places - 1
        self.header["shift"] = 32 - (places >> _GROUP_BITS).bit_length() + 1
        self.header["entries_max"] = entries_max
        self.header["records"] = address_of(records)
        self.header["stride"] = records.dtype.itemsize
        self.address = address_of(self.header)

    @property
    def used(self) -> int:
        return int(self.header["used"][0])


@inlined
def _home(key: int, shift: int) -> int:
    """The place where an id, or its low half, belongs."""
    group = (((key & _LOW) >> _GROUP_BITS) * _MULTIPLIER & _LOW) >> shift
    return (group << _GROUP_BITS) | (key & _GROUP_MASK)


@inlined
def ids_prefetch(ids: int, key: int) -> None:
    """Begin to fetch the line in which `key` is looked for first."""
    h = record_at(ids, 0, IDS)
    prefetch(h.entries + _home(key, h.shift) * _ENTRY_BYTES)


@inlined
def ids_find(ids: int, key: int) -> int:
    """The slot of the record whose id is `key`, or 0."""
    h = record_at(ids, 0, IDS)
    at = _home(key, h.shift)
    while True:
        entry = record_at(h.entries, at, _ENTRY)
        slot = int64(entry.slot)
        if slot == 0 or (int64(entry.low) == key & _LOW and record_at(h.records + slot * h.stride, 0, _ID).id == key):
            return slot
        at = (at + 1) & h.mask


@inlined
def ids_guess(ids: int, key: int) -> int:
    """The slot of a record whose id may be `key`, or 0: for looking ahead, without a look at the record."""
    h = record_at(ids, 0, IDS)
    entry = record_at(h.entries, _home(key, h.shift), _ENTRY)
    return int64(entry.slot) if int64(entry.low) == key & _LOW else int64(0)


@inlined
def ids_put(ids: int, key: int, slot: int) -> None:
    """Enter an id that is not there. The caller has made sure that there is room."""
    h = record_at(ids, 0, IDS)
    assert slot > 0 and h.used < h.entries_max
    at = _home(key, h.shift)
    while record_at(h.entries, at, _ENTRY).slot != 0:
        at = (at + 1) & h.mask
    entry = record_at(h.entries, at, _ENTRY)
    entry.low = np.uint32(key & _LOW)
    entry.slot = slot
    h.used += 1


@inlined
def ids_remove(ids: int, key: int, slot: int) -> None:
    """Remove an id, which is there with this slot."""
    h = record_at(ids, 0, IDS)
    at = _home(key, h.shift)
    while record_at(h.entries, at, _ENTRY).slot != slot:
        assert record_at(h.entries, at, _ENTRY).slot != 0
        at = (at + 1) & h.mask
    h.used -= 1
    if record_at(h.entries, (at + 1) & h.mask, _ENTRY).slot == 0:
        record_at(h.entries, at, _ENTRY).slot = 0
    else:
        _shift_back(ids, at)


@compiled
def _shift_back(ids: int, gap: int) -> None:
    """Empty place `gap`, having moved back every later entry of the run that it would cut off from its home."""
    h = record_at(ids, 0, IDS)
    at = gap
    while True:
        at = (at + 1) & h.mask
        entry = record_at(h.entries, at, _ENTRY)
        if entry.slot == 0:
            break
        if ((at - _home(int64(entry.low), h.shift)) & h.mask) >= ((at - gap) & h.mask):
            hole = record_at(h.entries, gap, _ENTRY)
            hole.low = entry.low
            hole.slot = entry.slot
            gap = at
    record_at(h.entries, gap, _ENTRY).slot = 0
