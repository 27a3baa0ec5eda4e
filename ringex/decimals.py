"""Decimal strings at the edge, scaled integers everywhere else.

A price or a quantity comes in as text such as "25000.01" and is kept as 2500001 at scale 2. Both directions are exact:
nothing is rounded, and what cannot be held exactly is refused with a message that says what would have been right.
"""

from __future__ import annotations

import re
from typing import Final

SCALE_MAX: Final = 18
DIGITS_MAX: Final = 40
"""Longest text that is looked at: an int64 has 19 digits, and clients pad with zeros."""
VALUE_MAX: Final = (1 << 63) - 1

_DECIMAL: Final = re.compile(r"([0-9]+)(?:\.([0-9]+))?", re.ASCII)


class DecimalError(ValueError):
    """The text is not a decimal that the scale can hold exactly; the message says why."""


class TooPreciseError(DecimalError):
    """A decimal, but with more decimals than the scale can hold."""


class TooLargeError(DecimalError):
    """A decimal that does not fit an int64 at the scale, or too many characters."""


def parse_scaled(text: str, scale: int) -> int:
    """The integer that `text` means at `scale` decimals: ("25000.01", 2) -> 2500001.

    Zeros behind the last decimal are allowed ("1.50000000" at scale 2). Raises DecimalError for anything but a plain
    unsigned decimal: another type, a sign, an exponent, spaces, decimals that the scale cannot hold, or a value that
    does not fit an int64.
    """
    assert 0 <= scale <= SCALE_MAX, f"a scale is 0..{SCALE_MAX}"
    if not isinstance(text, str):
        raise DecimalError(f'a decimal must be sent as a string such as "0.001", not as a {type(text).__name__}')
    if len(text) > DIGITS_MAX:
        raise TooLargeError(f"{len(text)} characters are too long; at most {DIGITS_MAX} are allowed")
    match = _DECIMAL.fullmatch(text)
    if match is None:
        raise DecimalError(f'"{text}" is not a plain decimal such as "0.001": digits, and one point between them')
    whole, fraction = match[1], (match[2] or "").rstrip("0")
    if len(fraction) > scale:
        raise TooPreciseError(f'"{text}" has {len(fraction)} decimals; at most {scale} are allowed')
    value = int(whole) * 10**scale + int(fraction.ljust(scale, "0") or "0")
    if value > VALUE_MAX:
        raise TooLargeError(f'"{text}" is too large; at most {format_scaled(VALUE_MAX, scale, scale)} is allowed')
    return value


def format_scaled(value: int, scale: int, decimals: int = 8) -> str:
    """`value` at `scale` as text with `decimals` decimals: (2500001, 2) -> "25000.01000000".

    Where the value is finer than that, as many decimals follow as it needs: nothing is rounded away.
    """
    assert 0 <= scale <= SCALE_MAX, f"a scale is 0..{SCALE_MAX}"
    value = int(value)
    if scale <= decimals:
        digits, point = value * 10 ** (decimals - scale), decimals
    else:
        digits, point = value, scale
        while point > decimals and digits % 10 == 0:
            digits, point = digits // 10, point - 1
    text = str(abs(digits)).rjust(point + 1, "0")
    sign = "-" if value < 0 else ""
    return f"{sign}{text[:-point]}.{text[-point:]}" if point else sign + text
