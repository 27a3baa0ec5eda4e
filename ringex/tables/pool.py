"""A pool: the free list of a table of records.

Slots are 1 .. capacity; 0 means "none". A free record's first eight bytes link to the next free one, so taking a slot
touches only the line that its taker is about to write. Given slots come back last in, first out (the warm one first),
and slots never used before are taken in order: the same calls give the same slots.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from ringex.jit import inlined
from ringex.memory import address_of, record_at

POOL: Final = np.dtype(
    [
        ("records", "i8"),  # address of record 0
        ("stride", "i8"),  # bytes a record
        ("capacity", "i8"),  # how many may be taken; never more than there are records for
        ("used", "i8"),  # slots taken now
        ("touched", "i8"),  # slots 1 .. touched have been taken at least once
        ("free_head", "i8"),  # 0: none of the touched slots is free
    ],
    align=True,
)
_LINK: Final = np.dtype([("next", "i8")])


class Pool:
    """The free list of `records`, shape (capacity + 1,); record 0 is never handed out. The pool keeps the array."""

    def __init__(self, records: np.ndarray) -> None:
        if len(records) < 2 or records.dtype.itemsize < _LINK.itemsize:
            raise ValueError(f"a pool needs at least 2 records of at least {_LINK.itemsize} bytes")
        self.records = records
        self.header = np.zeros(1, POOL)
        self.header["records"] = address_of(records)
        self.header["stride"] = records.dtype.itemsize
        self.header["capacity"] = len(records) - 1
        self.address = address_of(self.header)

    @property
    def capacity(self) -> int:
        return int(self.header["capacity"][0])

    @property
    def used(self) -> int:
        return int(self.header["used"][0])


@inlined
def pool_take(pool: int) -> int:
    """A free slot, or 0 when the pool is full. The record still holds what it held: the taker writes every field."""
    p = record_at(pool, 0, POOL)
    if p.used == p.capacity:
        return 0
    slot = p.free_head
    if slot != 0:
        p.free_head = record_at(p.records + slot * p.stride, 0, _LINK).next
    else:
        slot = p.touched + 1
        p.touched = slot
    p.used += 1
    return slot


@inlined
def pool_give(pool: int, slot: int) -> None:
    """Give back a slot that `pool_take` handed out. Its record's first eight bytes are overwritten."""
    p = record_at(pool, 0, POOL)
    assert p.used > 0 and 0 < slot <= p.touched
    record_at(p.records + slot * p.stride, 0, _LINK).next = p.free_head
    p.free_head = slot
    p.used -= 1


@inlined
def pool_used(pool: int) -> int:
    """How many slots are taken."""
    return record_at(pool, 0, POOL).used


@inlined
def pool_full(pool: int) -> bool:
    """Whether every slot is taken."""
    p = record_at(pool, 0, POOL)
    return p.used == p.capacity


@inlined
def pool_bound(pool: int, capacity: int) -> None:
    """Let `capacity` slots be taken from now on: not fewer than are, not more than there are records for."""
    p = record_at(pool, 0, POOL)
    assert p.used <= capacity
    p.capacity = capacity


@inlined
def pool_left(pool: int) -> int:
    """How many slots may still be taken."""
    p = record_at(pool, 0, POOL)
    return p.capacity - p.used
