"""Keys of five words at an address: client order ids and references, as `messages` packs them."""

from __future__ import annotations

from typing import Final

import numpy as np

from ringex.jit import compiled, inlined
from ringex.memory import copy_bytes, record_at

WORDS_BYTES: Final = 40
_WORDS: Final = np.dtype([("a", "i8"), ("b", "i8"), ("c", "i8"), ("d", "i8"), ("e", "i8")])
_MULTIPLIER: Final = 0x1E3779B97F4A7C15
_LOW_BITS: Final = (1 << 62) - 1


@inlined
def words_empty(words: int) -> bool:
    """Whether the five words at address `words` are the empty text."""
    w = record_at(words, 0, _WORDS)
    return (w.a | w.b | w.c | w.d | w.e) == 0


@inlined
def words_equal(left: int, right: int) -> bool:
    """Whether the five words at both addresses are the same."""
    x = record_at(left, 0, _WORDS)
    y = record_at(right, 0, _WORDS)
    return x.a == y.a and x.b == y.b and x.c == y.c and x.d == y.d and x.e == y.e


@inlined
def words_copy(destination: int, source: int) -> None:
    """Copy five words; the two must not overlap."""
    copy_bytes(destination, source, WORDS_BYTES)


@inlined
def _mix(state: int, word: int) -> int:
    product = (int(state ^ word) * _MULTIPLIER) & _LOW_BITS
    return product ^ (product >> 31)


@compiled
def words_hash(salt: int, words: int) -> int:
    """A hash in 0 .. 2^62 of an int64 (an account's number, say) and five words."""
    w = record_at(words, 0, _WORDS)
    return _mix(_mix(_mix(_mix(_mix(_mix(salt, 0), w.a), w.b), w.c), w.d), w.e)
