"""An index: an open-addressing hash map from an int64 key to a value > 0, usually the slot of a record.

Capacity is a power of two at least twice the entries promised, so the load stays at or below 1/2. Collisions probe
linearly; a removal shifts later entries back, so there are no tombstones and an index never wears out. Four
neighbouring keys share one cache line: order ids, given in sequence, are mostly found in a line that is already warm.

A key may occur several times, with different values: for keys longer than a word, use a hash of them (`words_hash`)
and loop over the candidates, comparing the records themselves:

    at = index_first(index, hash)
    while at >= 0:
        if words_equal(key_of(index_value(index, at)), wanted): ...found
        at = index_next(index, hash, at)
"""

from __future__ import annotations

from typing import Final

import numpy as np

from ringex.jit import compiled, inlined
from ringex.memory import address_of, prefetch, record_at

INDEX: Final = np.dtype(
    [
        ("entries", "i8"),  # address
        ("mask", "i8"),  # places - 1
        ("entries_max", "i8"),
        ("used", "i8"),
    ],
    align=True,
)
_ENTRY: Final = np.dtype([("key", "i8"), ("value", "i8")])  # value 0: the place is empty
_ENTRY_BYTES: Final = _ENTRY.itemsize

_MULTIPLIER: Final = 0x1E3779B97F4A7C15
_LOW_BITS: Final = (1 << 62) - 1  # of a product: the same bits whether it wrapped (compiled) or not (interpreted)


class Index:
    """Room for `entries_max` entries (keys may repeat)."""

    def __init__(self, entries_max: int) -> None:
        if entries_max < 1:
            raise ValueError(f"an index holds at least 1 entry, not {entries_max}")
        places = max(8, 1 << (2 * entries_max - 1).bit_length())
        self.entries = np.zeros(places, _ENTRY)
        self.header = np.zeros(1, INDEX)
        self.header["entries"] = address_of(self.entries)
        self.header["mask"] = places - 1
        self.header["entries_max"] = entries_max
        self.address = address_of(self.header)

    @property
    def used(self) -> int:
        return int(self.header["used"][0])


@inlined
def _home(key: int, mask: int) -> int:
    """The place where `key` belongs: a hash of its group of four, then its own place in the group's line."""
    product = (int(key >> 2) * _MULTIPLIER) & _LOW_BITS
    mixed = (product ^ (product >> 29)) >> 5
    return ((mixed << 2) | (key & 3)) & mask


@inlined
def index_prefetch(index: int, key: int) -> None:
    """Begin to fetch the line in which `key` is looked for first."""
    h = record_at(index, 0, INDEX)
    prefetch(h.entries + _home(key, h.mask) * _ENTRY_BYTES)


@inlined
def index_first(index: int, key: int) -> int:
    """The place of the first entry with `key`, or -1. Places are valid until the next put or removal."""
    h = record_at(index, 0, INDEX)
    at = _home(key, h.mask)
    while True:
        entry = record_at(h.entries, at, _ENTRY)
        if entry.value == 0:
            return -1
        if entry.key == key:
            return at
        at = (at + 1) & h.mask


@compiled
def index_next(index: int, key: int, at: int) -> int:
    """The place of the next entry with `key` after place `at`, or -1."""
    h = record_at(index, 0, INDEX)
    while True:
        at = (at + 1) & h.mask
        entry = record_at(h.entries, at, _ENTRY)
        if entry.value == 0:
            return -1
        if entry.key == key:
            return at


@inlined
def index_value(index: int, at: int) -> int:
    """The value at a place that `index_first` or `index_next` gave."""
    return record_at(record_at(index, 0, INDEX).entries, at, _ENTRY).value


@inlined
def index_find(index: int, key: int) -> int:
    """The value of the first entry with `key`, or 0."""
    h = record_at(index, 0, INDEX)
    at = _home(key, h.mask)
    while True:
        entry = record_at(h.entries, at, _ENTRY)
        if entry.key == key or entry.value == 0:
            return entry.value
        at = (at + 1) & h.mask


@inlined
def index_put(index: int, key: int, value: int) -> None:
    """Add an entry; `value` > 0. The caller has made sure that there is room, and that a unique key is not there."""
    h = record_at(index, 0, INDEX)
    assert value > 0 and h.used < h.entries_max
    at = _home(key, h.mask)
    while record_at(h.entries, at, _ENTRY).value != 0:
        at = (at + 1) & h.mask
    entry = record_at(h.entries, at, _ENTRY)
    entry.key = key
    entry.value = value
    h.used += 1


@inlined
def index_remove(index: int, key: int) -> int:
    """Remove the first entry with `key`. Returns its value, or 0 if there was none."""
    at = index_first(index, key)
    if at < 0:
        return 0
    value = index_value(index, at)
    _remove_at(index, at)
    return value


@compiled
def index_remove_value(index: int, key: int, value: int) -> bool:
    """Remove the entry that has both `key` and `value`; False if there is none."""
    at = index_first(index, key)
    while at >= 0:
        if index_value(index, at) == value:
            _remove_at(index, at)
            return True
        at = index_next(index, key, at)
    return False


@compiled
def _remove_at(index: int, at: int) -> None:
    """Empty place `at`, then move back every later entry of the run that the gap would cut off from its home."""
    h = record_at(index, 0, INDEX)
    gap = at
    while True:
        at = (at + 1) & h.mask
        entry = record_at(h.entries, at, _ENTRY)
        if entry.value == 0:
            break
        if ((at - _home(entry.key, h.mask)) & h.mask) >= ((at - gap) & h.mask):
            hole = record_at(h.entries, gap, _ENTRY)
            hole.key = entry.key
            hole.value = entry.value
            gap = at
    hole = record_at(h.entries, gap, _ENTRY)
    hole.key = 0
    hole.value = 0
    h.used -= 1
