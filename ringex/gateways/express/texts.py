"""Texts at addresses, for compiled code: bytes and words of them, digits, and words of a vocabulary.

A vocabulary maps texts of up to 24 bytes to numbers: names of parameters and methods, symbols, what a side is called.
A text is three words there, padded with zeros, beside its length: so a text with zero bytes in it is another text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from ringex.jit import compiled, inlined, int64
from ringex.memory import address_of, copy_bytes, record_at

TEXT_BYTES_MAX: Final = 24
"""Of a text in a vocabulary."""
DIGITS_MAX: Final = 18
"""Every number of so many digits fits an int64; longer ones are left to the ordinary way."""
NOT_FOUND: Final = -1

_BYTE: Final = np.dtype([("value", "u1")])
_WORD: Final = np.dtype([("value", "i8")])  # not aligned: texts begin anywhere
_ENTRY: Final = np.dtype([("a", "i8"), ("b", "i8"), ("c", "i8"), ("length", "i4"), ("number", "i4")])
_VOCABULARY: Final = np.dtype([("entries", "i8"), ("mask", "i8")])
_MULTIPLIER: Final = 0x1E3779B97F4A7C15
_LOW_BITS: Final = (1 << 62) - 1  # of a product: the same bits whether it wrapped (compiled) or not (interpreted)
_POINT: Final = ord(".")
_ZERO: Final = ord("0")
_NINE: Final = ord("9")


@inlined
def byte_at(address: int) -> int:
    return int64(record_at(address, 0, _BYTE).value)


@inlined
def set_byte(address: int, value: int) -> None:
    record_at(address, 0, _BYTE).value = np.uint8(value)


@compiled
def _word_of(address: int, length: int) -> int:
    """The first 8 bytes of a text, padded with zeros; 0 where nothing is left of it."""
    if length >= 8:
        return record_at(address, 0, _WORD).value
    word = int64(0)
    for at in range(length):
        word |= byte_at(address + at) << (8 * at)
    return word


@inlined
def _home(a: int, b: int, c: int, mask: int) -> int:
    product = (int(a ^ (b >> 3) ^ (c >> 7)) * _MULTIPLIER) & _LOW_BITS
    return (product ^ (product >> 29)) >> 5 & mask


_home_in_python: Final[Callable[..., int]] = getattr(_home, "py_func", _home)


@compiled
def vocabulary_find(vocabulary: int, address: int, length: int) -> int:
    """The number of a text, or NOT_FOUND."""
    if length < 1 or length > TEXT_BYTES_MAX:
        return int64(NOT_FOUND)
    v = record_at(vocabulary, 0, _VOCABULARY)
    a = _word_of(address, length)
    b = _word_of(address + 8, length - 8)
    c = _word_of(address + 16, length - 16)
    at = _home(a, b, c, v.mask)
    while True:
        e = record_at(v.entries, at, _ENTRY)
        if e.length == 0:
            return int64(NOT_FOUND)
        if e.a == a and e.b == b and e.c == c and int64(e.length) == length:
            return int64(e.number)
        at = (at + 1) & v.mask


class Vocabulary:
    """At most `texts_max` texts, each with a number >= 0. Texts are added, and never taken out."""

    def __init__(self, texts_max: int, texts: Mapping[str, int] | None = None) -> None:
        places = max(8, 1 << (2 * texts_max - 1).bit_length())
        self._entries = np.zeros(places, _ENTRY)
        self._header = np.zeros(1, _VOCABULARY)
        self._header["entries"] = address_of(self._entries)
        self._header["mask"] = places - 1
        self._texts_max, self._count = texts_max, 0
        self.address = address_of(self._header)
        for text, number in (texts or {}).items():
            self.put(text, number)

    def put(self, text: str, number: int) -> None:
        raw = text.encode("ascii")
        assert 0 < len(raw) <= TEXT_BYTES_MAX and number >= 0 and self._count < self._texts_max, text
        words = np.frombuffer(raw.ljust(TEXT_BYTES_MAX, b"\0"), "<i8").tolist()
        mask = len(self._entries) - 1
        at = _home_in_python(*words, mask)
        while self._entries["length"][at]:
            assert self._entries[["a", "b", "c", "length"]][at].item() != (*words, len(raw)), f"{text} is there already"
            at = (at + 1) & mask
        self._entries[at] = (*words, len(raw), number)
        self._count += 1


@compiled
def number_of(address: int, length: int) -> int:
    """The whole number that a text of 1 to DIGITS_MAX digits means; -1: it is no such text."""
    if length < 1 or length > DIGITS_MAX:
        return int64(-1)
    value = int64(0)
    for at in range(length):
        digit = byte_at(address + at)
        if digit < _ZERO or digit > _NINE:
            return int64(-1)
        value = value * 10 + (digit - _ZERO)
    return value


@compiled
def scaled_of(address: int, length: int, scale: int, step_scale: int) -> int:
    """The decimal that a text means, at `step_scale` decimals; -1: left to the ordinary way.

    That is so for what is no plain decimal, has more than `scale` decimals, is too fine for `step_scale` <= `scale`, or
    has more than DIGITS_MAX digits at `scale`. `ringex.decimals.parse_scaled` is what it agrees with.
    """
    value = int64(0)
    digits = int64(0)
    at = int64(0)
    while at < length:
        digit = byte_at(address + at)
        if digit < _ZERO or digit > _NINE:
            break
        value = value * 10 + (digit - _ZERO)
        digits += 1
        at += 1
        if digits > DIGITS_MAX:
            return int64(-1)
    if digits == 0:
        return int64(-1)
    decimals = int64(0)
    if at < length:
        if byte_at(address + at) != _POINT or at + 1 == length:
            return int64(-1)
        at += 1
        while at < length:
            digit = byte_at(address + at)
            if digit < _ZERO or digit > _NINE:
                return int64(-1)
            value = value * 10 + (digit - _ZERO)
            digits += 1
            decimals += 1
            at += 1
            if digits > DIGITS_MAX:
                return int64(-1)
    if decimals > scale or digits - decimals + scale > DIGITS_MAX:
        return int64(-1)
    while decimals < step_scale:
        value *= 10
        decimals += 1
    while decimals > step_scale:
        if value % 10 != 0:
            return int64(-1)
        value //= 10
        decimals -= 1
    return value


@compiled
def is_client_id(address: int, length: int) -> bool:
    """Whether a text can be a client order id: up to 36 letters, digits and `.:/_-`."""
    if length < 1 or length > 36:
        return False
    for at in range(length):
        c = byte_at(address + at)
        is_letter = 65 <= (c & 0xDF) <= 90
        if not (is_letter or 45 <= c <= 58 or c == 95):  # - . / 0-9 : and _
            return False
    return True


@inlined
def copy_text(destination: int, address: int, length: int) -> None:
    """Copy a text; what is behind it stays as it is."""
    copy_bytes(destination, address, length)
