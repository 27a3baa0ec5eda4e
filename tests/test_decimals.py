"""Decimal strings: exact both ways, and every malformed text is refused with its reason."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringex.decimals import VALUE_MAX, DecimalError, format_scaled, parse_scaled


@pytest.mark.parametrize(
    ("text", "scale", "value"),
    [
        ("25000.01", 2, 2500001),
        ("25000.01000000", 2, 2500001),
        ("0", 0, 0),
        ("7", 0, 7),
        ("7.000", 0, 7),
        ("0.00000001", 8, 1),
        ("007", 2, 700),
        ("9223372036854775807", 0, VALUE_MAX),
        ("9.223372036854775807", 18, VALUE_MAX),
    ],
)
def test_parses_exactly(text: str, scale: int, value: int) -> None:
    assert parse_scaled(text, scale) == value


@pytest.mark.parametrize(
    ("text", "scale", "reason"),
    [
        ("0.015", 2, "has 3 decimals; at most 2 are allowed"),
        ("1e5", 2, "not a plain decimal"),
        ("-1", 2, "not a plain decimal"),
        ("+1", 2, "not a plain decimal"),
        ("", 2, "not a plain decimal"),
        (".5", 2, "not a plain decimal"),
        ("5.", 2, "not a plain decimal"),
        (" 5", 2, "not a plain decimal"),
        ("5\n", 2, "not a plain decimal"),
        ("1_000", 2, "not a plain decimal"),
        ("١", 2, "not a plain decimal"),
        ("NaN", 2, "not a plain decimal"),
        ("9223372036854775808", 0, "too large; at most 9223372036854775807"),
        ("92233720368547758.08", 2, "too large; at most 92233720368547758.07"),
        ("0" * 41, 0, "41 characters are too long"),
    ],
)
def test_refuses_with_the_reason(text: str, scale: int, reason: str) -> None:
    with pytest.raises(DecimalError, match=reason):
        parse_scaled(text, scale)


@pytest.mark.parametrize("value", [0.1, 1, None, True, b"1"])
def test_refuses_anything_but_text(value: object) -> None:
    with pytest.raises(DecimalError, match=r'must be sent as a string such as "0\.001", not as a'):
        parse_scaled(value, 2)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "scale", "decimals", "text"),
    [
        (2500001, 2, 8, "25000.01000000"),
        (0, 5, 8, "0.00000000"),
        (-1, 2, 8, "-0.01000000"),
        (350_000_000, 0, 8, "350000000.00000000"),
        (1, 18, 8, "0.000000000000000001"),
        (10**10, 18, 8, "0.00000001"),
        (-(10**10), 18, 8, "-0.00000001"),
        (7, 0, 0, "7"),
    ],
)
def test_formats_with_eight_decimals_and_never_rounds(value: int, scale: int, decimals: int, text: str) -> None:
    assert format_scaled(value, scale, decimals) == text


@given(st.integers(0, VALUE_MAX), st.integers(0, 18), st.integers(0, 18))
def test_round_trip(value: int, scale: int, decimals: int) -> None:
    text = format_scaled(value, scale, decimals)
    assert Decimal(text).scaleb(scale) == value
    assert len(text.partition(".")[2]) >= decimals
    assert parse_scaled(text, scale) == value
