"""Division of numbers that are known not to be negative: one instruction, where `//` and `%` look at signs as well.

Python rounds quotients down, the processor towards zero; compiled code pays for the difference with ten instructions a
division. Where neither operand can be negative there is none.
"""

from __future__ import annotations

from numba import types
from numba.extending import intrinsic

from ringex.jit import INTERPRETED

if INTERPRETED:

    def quotient(dividend: int, divisor: int) -> int:
        assert dividend >= 0 and divisor > 0
        return dividend // divisor

    def remainder(dividend: int, divisor: int) -> int:
        assert dividend >= 0 and divisor > 0
        return dividend % divisor

else:

    @intrinsic
    def quotient(typingctx, dividend, divisor):  # type: ignore[no-untyped-def]
        """quotient(dividend: int64 >= 0, divisor: int64 > 0), rounded down."""

        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            return builder.udiv(*args)

        return types.int64(types.int64, types.int64), codegen

    @intrinsic
    def remainder(typingctx, dividend, divisor):  # type: ignore[no-untyped-def]
        """remainder(dividend: int64 >= 0, divisor: int64 > 0)."""

        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            return builder.urem(*args)

        return types.int64(types.int64, types.int64), codegen
