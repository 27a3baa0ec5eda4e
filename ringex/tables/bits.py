"""Bitmaps of 64 bits in an int64: set, clear, and the nearest set bit at or above, at or below."""

from __future__ import annotations

from typing import Final

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ringex.jit import INTERPRETED, inlined

_ALL: Final = (1 << 64) - 1


def _signed(word: int) -> int:
    return word - (1 << 64) if word >> 63 else word


if INTERPRETED:

    def bit_set(word: int, bit: int) -> int:
        return _signed((int(word) & _ALL) | (1 << int(bit)))

    def bit_clear(word: int, bit: int) -> int:
        return _signed((int(word) & _ALL) & ~(1 << int(bit)))

    def bit_at_or_above(word: int, bit: int) -> int:
        rest = (int(word) & _ALL) >> int(bit) << int(bit)
        return (rest & -rest).bit_length() - 1

    def bit_at_or_below(word: int, bit: int) -> int:
        return (int(word) & ((2 << int(bit)) - 1)).bit_length() - 1

else:

    @intrinsic
    def _trailing_zeros(typingctx, word):  # type: ignore[no-untyped-def]
        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            return builder.cttz(args[0], ir.Constant(ir.IntType(1), 0))

        return types.int64(types.int64), codegen

    @intrinsic
    def _leading_zeros(typingctx, word):  # type: ignore[no-untyped-def]
        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            return builder.ctlz(args[0], ir.Constant(ir.IntType(1), 0))

        return types.int64(types.int64), codegen

    @inlined
    def bit_set(word: int, bit: int) -> int:
        """`word` with bit 0 .. 63 set."""
        return word | (1 << bit)

    @inlined
    def bit_clear(word: int, bit: int) -> int:
        """`word` with bit 0 .. 63 cleared."""
        return word & ~(1 << bit)

    @inlined
    def bit_at_or_above(word: int, bit: int) -> int:
        """The lowest set bit that is >= `bit` (0 .. 63), or -1."""
        rest = word & (-1 << bit)
        return _trailing_zeros(rest) if rest != 0 else -1

    @inlined
    def bit_at_or_below(word: int, bit: int) -> int:
        """The highest set bit that is <= `bit` (0 .. 63), or -1."""
        rest = word & ~(-2 << bit) if bit < 63 else word
        return 63 - _leading_zeros(rest) if rest != 0 else -1
