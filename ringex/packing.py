"""msgpack written by compiled code, byte for byte as msgspec writes it: each function puts one value at an address.

All return the address behind what they have written. They write whole words, so up to 8 bytes behind that address may
change too: a buffer needs so much room at its end.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from ringex.jit import compiled, inlined, int64
from ringex.memory import copy_bytes, record_at

DECIMALS: Final = 8
"""Of every price and quantity that clients see, as `format_scaled` writes them."""
TEXT_BYTES_MAX: Final = 31
"""Longest text of a single byte's header."""
DECIMAL_BYTES_MAX: Final = 1 + 19 + 1 + DECIMALS
"""Header, digits of an int64, point and decimals."""
INTEGER_BYTES_MAX: Final = 9
SLACK_BYTES: Final = 8

_WORD: Final = np.dtype([("value", "<i8")])
_BYTE: Final = np.dtype([("value", "u1")])
_WORD_BYTES_MAX: Final = 7
_DECIMALS_UNIT: Final = 10**DECIMALS
_DIGITS_MAX: Final = 19


def word_of(raw: bytes) -> int:
    """At most 7 bytes as the constant that `put_word` takes."""
    assert len(raw) <= _WORD_BYTES_MAX, "an eighth byte could make the constant unsigned"
    return int.from_bytes(raw, "little")


@inlined
def put_word(at: int, word: int, size_bytes: int) -> int:
    """Bytes known ahead: `word_of` them, and how many they are."""
    record_at(at, 0, _WORD).value = word
    return at + size_bytes


@inlined
def put_byte(at: int, value: int) -> int:
    record_at(at, 0, _BYTE).value = value
    return at + 1


@inlined
def put_bytes(at: int, address: int, size_bytes: int) -> int:
    """Bytes as they are."""
    copy_bytes(at, address, size_bytes)
    return at + size_bytes


@inlined
def put_text(at: int, address: int, size_bytes: int) -> int:
    """A text of at most TEXT_BYTES_MAX bytes."""
    return put_bytes(put_byte(at, 0xA0 | size_bytes), address, size_bytes)


@inlined
def put_bool(at: int, value: int) -> int:
    return put_byte(at, 0xC3 if value != 0 else 0xC2)


@compiled
def put_array(at: int, count: int) -> int:
    """The header of an array, whose values follow."""
    if count < 16:
        return put_byte(at, 0x90 | count)
    if count < 1 << 16:
        return _put_big_endian(put_byte(at, 0xDC), count, 2)
    return _put_big_endian(put_byte(at, 0xDD), count, 4)


@compiled
def put_integer(at: int, value: int) -> int:
    """An integer >= 0, in as few bytes as it needs."""
    assert value >= 0
    if value < 1 << 7:
        return put_byte(at, value)
    if value < 1 << 8:
        return _put_big_endian(put_byte(at, 0xCC), value, 1)
    if value < 1 << 16:
        return _put_big_endian(put_byte(at, 0xCD), value, 2)
    if value < 1 << 32:
        return _put_big_endian(put_byte(at, 0xCE), value, 4)
    return _put_big_endian(put_byte(at, 0xCF), value, 8)


@compiled
def put_decimal(at: int, value: int, scale: int, unit: int) -> int:
    """The text of `value` >= 0 at `scale`, as `format_scaled` gives it; `unit` is 10 ** scale, at most 10 ** 18."""
    assert value >= 0
    whole = value // unit
    fraction = value - whole * unit
    decimals = int64(DECIMALS)
    if scale <= DECIMALS:
        fraction *= _DECIMALS_UNIT // unit
    else:
        decimals = scale
        while decimals > DECIMALS and fraction % 10 == 0:
            fraction //= 10
            decimals -= 1
    digits = int64(1)
    power = int64(10)
    while digits < _DIGITS_MAX and whole >= power:
        digits += 1
        power = power * 10 if digits < _DIGITS_MAX else power
    at = put_byte(at, 0xA0 | (digits + 1 + decimals))
    _put_digits(at, whole, digits)
    put_byte(at + digits, 0x2E)  # the point
    _put_digits(at + digits + 1, fraction, decimals)
    return at + digits + 1 + decimals


@inlined
def _put_digits(at: int, value: int, count: int) -> None:
    for place in range(count - 1, -1, -1):
        record_at(at + place, 0, _BYTE).value = 0x30 + value % 10
        value //= 10


@inlined
def _put_big_endian(at: int, value: int, size_bytes: int) -> int:
    for place in range(size_bytes):
        record_at(at + place, 0, _BYTE).value = (value >> (8 * (size_bytes - 1 - place))) & 0xFF
    return at + size_bytes
