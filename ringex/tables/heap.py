"""A heap: items by (key, order), the least first; any of them can be removed at any time.

Items are the slots of a table, 1 .. items_max, each in the heap once at most. The heap knows where each lies, so a
removal costs as little as a push, and nothing stale is ever kept: as many entries as there are items are enough.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from ringex.jit import compiled, inlined, int64
from ringex.memory import address_of, record_at

HEAP: Final = np.dtype(
    [
        ("entries", "i8"),  # address; entries 1 .. used are a heap
        ("places", "i8"),  # address; item -> its entry, 0: not in the heap
        ("items_max", "i8"),
        ("used", "i8"),
    ],
    align=True,
)
_ENTRY: Final = np.dtype([("key", "i8"), ("order", "i8"), ("number", "i8")])
_PLACE: Final = np.dtype([("at", "i4")])


class Heap:
    """Room for items 1 .. `items_max`."""

    def __init__(self, items_max: int) -> None:
        if items_max < 1:
            raise ValueError(f"a heap holds at least 1 item, not {items_max}")
        self.entries = np.zeros(items_max + 1, _ENTRY)
        self.places = np.zeros(items_max + 1, _PLACE)
        self.header = np.zeros(1, HEAP)
        self.header["entries"] = address_of(self.entries)
        self.header["places"] = address_of(self.places)
        self.header["items_max"] = items_max
        self.address = address_of(self.header)

    @property
    def used(self) -> int:
        return int(self.header["used"][0])


@inlined
def heap_first(heap: int) -> int:
    """The item that comes first, or 0."""
    h = record_at(heap, 0, HEAP)
    return record_at(h.entries, 1, _ENTRY).number if h.used > 0 else int64(0)


@inlined
def heap_first_key(heap: int) -> int:
    """The key of the item that comes first, or 0."""
    h = record_at(heap, 0, HEAP)
    return record_at(h.entries, 1, _ENTRY).key if h.used > 0 else int64(0)


@compiled
def heap_push(heap: int, key: int, order: int, item: int) -> None:
    """Put an item in that is not there."""
    h = record_at(heap, 0, HEAP)
    assert 0 < item <= h.items_max and record_at(h.places, item, _PLACE).at == 0
    h.used += 1
    _put(heap, _rise(heap, h.used, key, order), key, order, item)


@compiled
def heap_remove(heap: int, item: int) -> None:
    """Take an item out that is there: the last entry moves into its place."""
    h = record_at(heap, 0, HEAP)
    at = int64(record_at(h.places, item, _PLACE).at)
    assert 0 < at <= h.used
    record_at(h.places, item, _PLACE).at = 0
    last = record_at(h.entries, h.used, _ENTRY)
    h.used -= 1
    if last.number == item:
        return
    key = last.key
    order = last.order
    moved = last.number
    risen = _rise(heap, at, key, order)
    _put(heap, risen if risen != at else _sink(heap, at, key, order), key, order, moved)


@inlined
def _is_before(heap: int, at: int, key: int, order: int) -> bool:
    """Whether the entry at `at` comes before (key, order)."""
    entry = record_at(record_at(heap, 0, HEAP).entries, at, _ENTRY)
    return entry.key < key or (entry.key == key and entry.order < order)


@inlined
def _put(heap: int, at: int, key: int, order: int, item: int) -> None:
    h = record_at(heap, 0, HEAP)
    entry = record_at(h.entries, at, _ENTRY)
    entry.key = key
    entry.order = order
    entry.number = item
    record_at(h.places, item, _PLACE).at = at


@inlined
def _move(heap: int, source: int, target: int) -> None:
    entry = record_at(record_at(heap, 0, HEAP).entries, source, _ENTRY)
    _put(heap, target, entry.key, entry.order, entry.number)


@compiled
def _rise(heap: int, at: int, key: int, order: int) -> int:
    """Make room for (key, order), which would lie at `at` or above, by moving later ones down. Returns the place."""
    while at > 1 and not _is_before(heap, at >> 1, key, order):
        _move(heap, at >> 1, at)
        at >>= 1
    return at


@compiled
def _sink(heap: int, at: int, key: int, order: int) -> int:
    """The same downwards: earlier ones move up."""
    used = record_at(heap, 0, HEAP).used
    while (at << 1) <= used:
        child = at << 1
        if child < used:
            beside = record_at(record_at(heap, 0, HEAP).entries, child, _ENTRY)
            if _is_before(heap, child + 1, beside.key, beside.order):
                child += 1
        if not _is_before(heap, child, key, order):
            break
        _move(heap, child, at)
        at = child
    return at
