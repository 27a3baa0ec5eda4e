"""Division without signs gives what Python's gives, for every pair of numbers that are not negative."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from ringex.division import quotient, remainder
from ringex.jit import compiled

MOST = (1 << 63) - 1


@compiled
def _quotient(dividend: int, divisor: int) -> int:
    return quotient(dividend, divisor)


@compiled
def _remainder(dividend: int, divisor: int) -> int:
    return remainder(dividend, divisor)


@settings(deadline=None)
@given(st.integers(0, MOST), st.integers(1, MOST))
@example(MOST, 1)
@example(MOST, MOST)
@example(0, MOST)
@example(MOST - 1, MOST)
def test_quotient_and_remainder_are_pythons(dividend: int, divisor: int) -> None:
    assert _quotient(dividend, divisor) == dividend // divisor
    assert _remainder(dividend, divisor) == dividend % divisor
