"""Replies written by compiled code in two encodings, byte for byte as msgspec writes them: msgpack and JSON.

Names of fields, and values that are known ahead, are phrases: made once, copied whole. In JSON a phrase begins with a
comma, and whoever began the map puts a brace in the place of the first one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import numpy as np

from ringex.gateways.express.texts import byte_at, copy_text, set_byte
from ringex.jit import compiled, inlined, int64
from ringex.memory import address_of, record_at
from ringex.packing import put_array, put_byte, put_integer

DECIMALS: Final = 8

PHRASE: Final = np.dtype([("msgpack", "i8"), ("msgpack_bytes", "i8"), ("json", "i8"), ("json_bytes", "i8")])
_PHRASE_BYTES: Final = PHRASE.itemsize
_QUOTE, _POINT, _MINUS, _ZERO = ord('"'), ord("."), ord("-"), ord("0")
_COMMA, _OPEN_MAP, _CLOSE_MAP, _OPEN_LIST, _CLOSE_LIST = (ord(sign) for sign in ",{}[]")


class Phrases:
    """Numbered phrases: a field's name, or a name with its value, or any bytes."""

    def __init__(self) -> None:
        self._parts: list[tuple[bytes, bytes]] = []
        self._blob = np.zeros(0, np.uint8)
        self._table = np.zeros(0, PHRASE)

    def name(self, name: str) -> int:
        """A field's name. Its number."""
        return self.add(msgspec.msgpack.encode(name), b"," + msgspec.json.encode(name) + b":")

    def field(self, name: str, value: Any) -> int:
        """A name and its value."""
        named = self._parts[self.name(name)]
        del self._parts[-1]
        return self.add(named[0] + msgspec.msgpack.encode(value), named[1] + msgspec.json.encode(value))

    def fields(self, name: str, values: Sequence[str]) -> int:
        """A name with each of several values: the number of the first, which the others follow."""
        numbers = [self.field(name, value) for value in values]
        return numbers[0]

    def row(self, fields: Mapping[str, Any], until: str) -> int:
        """A map up to the name `until`, whose value, and what follows it, are written behind the phrase."""
        parts = []
        for encode, behind in ((msgspec.msgpack.encode, b""), (msgspec.json.encode, b":")):
            whole, name = encode(fields), encode(until) + behind
            parts.append(whole[: whole.index(name) + len(name)])
        return self.add(parts[0], parts[1])

    def copy(self) -> Phrases:
        """The same phrases, to which others can be added."""
        other = Phrases()
        other._parts = list(self._parts)
        return other

    def __len__(self) -> int:
        return len(self._parts)

    def add(self, in_msgpack: bytes, in_json: bytes) -> int:
        self._parts.append((in_msgpack, in_json))
        return len(self._parts) - 1

    def finish(self) -> int:
        """The address of the table; nothing can be added any more."""
        blob = b"".join(part for parts in self._parts for part in parts)
        self._blob = np.frombuffer(blob, np.uint8)
        self._table = np.zeros(len(self._parts), PHRASE)
        at = address_of(self._blob)
        for number, (in_msgpack, in_json) in enumerate(self._parts):
            self._table[number] = (at, len(in_msgpack), at + len(in_msgpack), len(in_json))
            at += len(in_msgpack) + len(in_json)
        return address_of(self._table)


@inlined
def put_phrase(phrases: int, is_json: bool, out: int, number: int) -> int:
    p = record_at(phrases + number * _PHRASE_BYTES, 0, PHRASE)
    if is_json:
        copy_text(out, p.json, p.json_bytes)
        return out + p.json_bytes
    copy_text(out, p.msgpack, p.msgpack_bytes)
    return out + p.msgpack_bytes


@inlined
def begin_map(is_json: bool, out: int, count: int) -> int:
    """A map of `count` fields, each of which begins with a phrase. `end_map` must follow."""
    if is_json:
        return out
    if count < 16:
        return put_byte(out, 0x80 | count)
    out = put_byte(out, 0xDE)
    out = put_byte(out, count >> 8)
    return put_byte(out, count & 0xFF)


@inlined
def end_map(is_json: bool, start: int, out: int) -> int:
    """`start` is where `begin_map` was told to begin."""
    if not is_json:
        return out
    set_byte(start, _OPEN_MAP)
    return put_byte(out, _CLOSE_MAP)


@inlined
def begin_list(is_json: bool, out: int, count: int) -> int:
    return put_byte(out, _OPEN_LIST) if is_json else put_array(out, count)


@inlined
def end_list(is_json: bool, out: int) -> int:
    return put_byte(out, _CLOSE_LIST) if is_json else out


@inlined
def next_item(is_json: bool, out: int, index: int) -> int:
    """Before item `index` of a list."""
    return put_byte(out, _COMMA) if is_json and index > 0 else out


@compiled
def digits_of(value: int) -> int:
    """How many digits a whole number >= 0 has."""
    digits = int64(1)
    rest = value // 10
    while rest > 0:
        digits += 1
        rest //= 10
    return digits


@compiled
def put_digits(out: int, value: int, digits_min: int) -> int:
    """`value` >= 0 in digits, padded with zeros."""
    digits = max(digits_of(value), digits_min)
    at = out + digits
    while at > out:
        at -= 1
        set_byte(at, _ZERO + value % 10)
        value //= 10
    return out + digits


@inlined
def put_number(is_json: bool, out: int, value: int) -> int:
    """A whole number >= 0."""
    return put_digits(out, value, 1) if is_json else put_integer(out, value)


@inlined
def put_text_head(is_json: bool, out: int, length: int) -> int:
    """Before a text of `length` bytes, at most 255."""
    if is_json:
        return put_byte(out, _QUOTE)
    return put_byte(out, 0xA0 | length) if length < 32 else put_byte(put_byte(out, 0xD9), length)


@inlined
def put_text_tail(is_json: bool, out: int) -> int:
    """Behind a text."""
    return put_byte(out, _QUOTE) if is_json else out


@compiled
def put_text(is_json: bool, out: int, address: int, length: int) -> int:
    """A text of ASCII; in JSON one that needs no escapes."""
    out = put_text_head(is_json, out, length)
    copy_text(out, address, length)
    return put_text_tail(is_json, out + length)


@compiled
def text_length(address: int, length_max: int) -> int:
    """Of a text that is padded with zeros."""
    length = int64(0)
    while length < length_max and byte_at(address + length) != 0:
        length += 1
    return length


@compiled
def put_decimal(is_json: bool, out: int, value: int, scale: int) -> int:
    """`value` at `scale` as text, as `ringex.decimals.format_scaled` writes it with 8 decimals."""
    start = out
    out += 1
    if value < 0:
        out = put_byte(out, _MINUS)
        value = -value
    unit = int64(1)
    for _ in range(scale):
        unit *= 10
    whole = value // unit
    fraction = value % unit
    decimals = scale
    while decimals < DECIMALS:
        fraction *= 10
        decimals += 1
    while decimals > DECIMALS and fraction % 10 == 0:
        fraction //= 10
        decimals -= 1
    out = put_digits(out, whole, 1)
    out = put_byte(out, _POINT)
    out = put_digits(out, fraction, decimals)
    if is_json:
        set_byte(start, _QUOTE)
        return put_byte(out, _QUOTE)
    set_byte(start, 0xA0 | (out - start - 1))
    return out
