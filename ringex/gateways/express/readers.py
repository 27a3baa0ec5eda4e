"""Readers: a client's bytes as a REQUEST (`ringex.gateways.express.fields`), one for each encoding.

    read_msgpack   a map {"id", "method", "params"} in msgpack: ZeroMQ
    read_json      the same in JSON: the WebSocket API
    read_query     parameters as a=1&b=2: REST, whose method is known by its path, and which has no id

Each returns True when it is certain of every byte, and reads nothing beyond `size_bytes`.
"""

from __future__ import annotations

from typing import Final

from ringex.gateways.express.fields import (
    field_boolean,
    field_number,
    field_text,
    request_clear,
    request_field,
    request_id_number,
    request_id_text,
    request_method,
)
from ringex.gateways.express.texts import DIGITS_MAX, byte_at
from ringex.jit import compiled, inlined, int64

PARAMETERS_MAX: Final = 64
_PASS: Final = -1
"""What a step returns instead of where it ended, when the request is to go the ordinary way."""

_ID: Final = int.from_bytes(b"id", "little")
_METHOD: Final = int.from_bytes(b"method", "little")
_PARAMS: Final = int.from_bytes(b"params", "little")


@compiled
def _short_word(address: int, length: int) -> int:
    """A text of up to 7 bytes as a number; of longer ones -1."""
    if length > 7:
        return int64(-1)
    word = int64(0)
    for at in range(length):
        word |= byte_at(address + at) << (8 * at)
    return word


# ---- msgpack


@compiled
def read_msgpack(request: int, source: int, size_bytes: int) -> bool:
    """Read a msgpack map {"id", "method", "params"}, in any order; `id` may be missing."""
    request_clear(request, 0)
    if size_bytes < 1:
        return False
    end = source + size_bytes
    head = byte_at(source)
    if head < 0x80 or head > 0x8F:
        return False
    at = source + 1
    seen = int64(0)
    for _ in range(head & 0x0F):
        length = _text_length(at, end)
        if length < 0:
            return False
        at = _text_start(at)
        name = _short_word(at, length)
        at += length
        bit = 1 if name == _ID else 2 if name == _METHOD else 4 if name == _PARAMS else 0
        if bit == 0 or seen & bit != 0:
            return False
        seen |= bit
        if bit == 1:
            at = _msgpack_id(request, at, end)
        elif bit == 2:
            length = _text_length(at, end)
            if length < 0:
                return False
            at = _text_start(at)
            at = at + length if request_method(request, at, length) else int64(_PASS)
        else:
            at = _msgpack_params(request, at, end)
        if at < 0:
            return False
    return at == end and seen & 6 == 6


@inlined
def _text_length(at: int, end: int) -> int:
    """The length of the text whose head is at `at` and which ends before `end`; -1: it is none."""
    if at >= end:
        return int64(-1)
    head = byte_at(at)
    length = int64(-1)
    if head & 0xE0 == 0xA0:
        length = head & 0x1F
        at += 1
    elif head == 0xD9 and at + 1 < end:
        length = byte_at(at + 1)
        at += 2
    return length if at + length <= end else int64(-1)


@inlined
def _text_start(at: int) -> int:
    """Where the text begins whose head is at `at`."""
    return at + (2 if byte_at(at) == 0xD9 else 1)


@compiled
def _number_bytes(at: int, end: int) -> int:
    """How many bytes follow the head of an unsigned number, 0 to 8; -1: it is none, or ends too late."""
    if at >= end:
        return int64(-1)
    head = byte_at(at)
    if head < 0x80:
        return int64(0)
    if head < 0xCC or head > 0xCF:
        return int64(-1)
    count = int64(1) << (head - 0xCC)
    return count if at + 1 + count <= end else int64(-1)


@compiled
def _number(at: int, count: int) -> int:
    """The number whose head is at `at`, with `count` bytes behind it; negative: it is too large."""
    if count == 0:
        return byte_at(at)
    value = int64(0)
    for index in range(count):
        value = (value << 8) | byte_at(at + 1 + index)
    return value


@compiled
def _msgpack_id(request: int, at: int, end: int) -> int:
    if at < end and byte_at(at) == 0xC0:
        return at + 1
    length = _text_length(at, end)
    if length >= 0:
        at = _text_start(at)
        return at + length if request_id_text(request, at, length) else int64(_PASS)
    count = _number_bytes(at, end)
    if count < 0:
        return int64(_PASS)
    number = _number(at, count)
    if number < 0:
        return int64(_PASS)
    request_id_number(request, number)
    return at + 1 + count


@compiled
def _msgpack_params(request: int, at: int, end: int) -> int:
    if at >= end:
        return int64(_PASS)
    head = byte_at(at)
    if head & 0xF0 == 0x80:
        count = head & 0x0F
        at += 1
    elif head == 0xDE and at + 3 <= end:
        count = byte_at(at + 1) << 8 | byte_at(at + 2)
        at += 3
    else:
        return int64(_PASS)
    for _ in range(count):
        length = _text_length(at, end)
        if length < 0:
            return int64(_PASS)
        at = _text_start(at)
        field = request_field(request, at, length)
        at += length
        if field == 0 or at >= end:
            return int64(_PASS)
        length = _text_length(at, end)
        if length > 0:
            at = _text_start(at)
            field_text(field, at, length)
            at += length
            continue
        head = byte_at(at)
        if head == 0xC2 or head == 0xC3:
            field_boolean(field, head == 0xC3)
            at += 1
            continue
        width = _number_bytes(at, end)
        if width < 0:
            return int64(_PASS)
        number = _number(at, width)
        if number < 0:
            return int64(_PASS)
        field_number(field, number)
        at += 1 + width
    return at


# ---- JSON

_QUOTE, _BACKSLASH, _COLON, _COMMA = ord('"'), ord("\\"), ord(":"), ord(",")
_OPEN, _CLOSE = ord("{"), ord("}")
_ZERO, _NINE = ord("0"), ord("9")


@compiled
def read_json(request: int, source: int, size_bytes: int) -> bool:
    """Read a JSON object {"id", "method", "params"}, in any order; `id` may be missing."""
    request_clear(request, 0)
    end = source + size_bytes
    at = _blank(source, end)
    if at >= end or byte_at(at) != _OPEN:
        return False
    seen = int64(0)
    at = _blank(at + 1, end)
    while True:
        length = _quoted(at, end)
        if length < 0:
            return False
        name = _short_word(at + 1, length)
        at = _after_colon(at + length + 2, end)
        bit = 1 if name == _ID else 2 if name == _METHOD else 4 if name == _PARAMS else 0
        if at < 0 or bit == 0 or seen & bit != 0:
            return False
        seen |= bit
        if bit == 1:
            at = _json_id(request, at, end)
        elif bit == 2:
            length = _quoted(at, end)
            if length < 0 or not request_method(request, at + 1, length):
                return False
            at += length + 2
        else:
            at = _json_params(request, at, end)
        if at < 0:
            return False
        at = _blank(at, end)
        if at >= end:
            return False
        if byte_at(at) == _CLOSE:
            break
        if byte_at(at) != _COMMA:
            return False
        at = _blank(at + 1, end)
    return _blank(at + 1, end) == end and seen & 6 == 6


@compiled
def _blank(at: int, end: int) -> int:
    """Where white space that begins at `at` ends."""
    while at < end:
        byte = byte_at(at)
        if byte != 32 and byte != 10 and byte != 13 and byte != 9:
            break
        at += 1
    return at


@compiled
def _after_colon(at: int, end: int) -> int:
    """Where the value begins that follows a name which ends at `at`; _PASS: none does."""
    at = _blank(at, end)
    if at >= end or byte_at(at) != _COLON:
        return int64(_PASS)
    at = _blank(at + 1, end)
    return at if at < end else int64(_PASS)


@compiled
def _quoted(at: int, end: int) -> int:
    """The length of the text in quotes at `at`, without them; -1: none begins there, or one that is not plain ASCII."""
    if at >= end or byte_at(at) != _QUOTE:
        return int64(-1)
    start = at + 1
    at = start
    while at < end:
        byte = byte_at(at)
        if byte == _QUOTE:
            return at - start
        if byte < 0x20 or byte >= 0x7F or byte == _BACKSLASH:
            return int64(-1)
        at += 1
    return int64(-1)


@compiled
def _digits(at: int, end: int) -> int:
    """How many bytes the whole number at `at` has; -1: it is none that JSON allows, or too long."""
    start = at
    while at < end and _ZERO <= byte_at(at) <= _NINE:
        at += 1
    count = at - start
    if count < 1 or count > DIGITS_MAX or (count > 1 and byte_at(start) == _ZERO):
        return int64(-1)
    if at < end:
        byte = byte_at(at)
        if byte == 0x2E or byte & 0xDF == 0x45:  # a fraction, an exponent
            return int64(-1)
    return count


@compiled
def _digits_value(at: int, count: int) -> int:
    value = int64(0)
    for index in range(count):
        value = value * 10 + (byte_at(at + index) - _ZERO)
    return value


@compiled
def _literal(at: int, end: int) -> int:
    """1: `true` is there, 2: `false`, 3: `null`; 0: none of them."""
    if at + 4 > end:
        return int64(0)
    word = _short_word(at, 4)
    if word == 0x65757274:
        return int64(1)
    if word == 0x6C6C756E:
        return int64(3)
    if word == 0x736C6166 and at + 5 <= end and byte_at(at + 4) == 0x65:
        return int64(2)
    return int64(0)


@compiled
def _json_id(request: int, at: int, end: int) -> int:
    length = _quoted(at, end)
    if length >= 0:
        return at + length + 2 if request_id_text(request, at + 1, length) else int64(_PASS)
    if _literal(at, end) == 3:
        return at + 4
    count = _digits(at, end)
    if count < 0:
        return int64(_PASS)
    request_id_number(request, _digits_value(at, count))
    return at + count


@compiled
def _json_params(request: int, at: int, end: int) -> int:
    if at >= end or byte_at(at) != _OPEN:
        return int64(_PASS)
    at = _blank(at + 1, end)
    if at < end and byte_at(at) == _CLOSE:
        return at + 1
    while True:
        length = _quoted(at, end)
        if length < 0:
            return int64(_PASS)
        field = request_field(request, at + 1, length)
        at = _after_colon(at + length + 2, end)
        if field == 0 or at < 0:
            return int64(_PASS)
        length = _quoted(at, end)
        if length > 0:
            field_text(field, at + 1, length)
            at += length + 2
        else:
            literal = _literal(at, end)
            count = _digits(at, end)
            if literal == 1 or literal == 2:
                field_boolean(field, literal == 1)
                at += 3 + literal
            elif count > 0:
                field_number(field, _digits_value(at, count))
                at += count
            else:
                return int64(_PASS)
        at = _blank(at, end)
        if at >= end:
            return int64(_PASS)
        if byte_at(at) == _CLOSE:
            return at + 1
        if byte_at(at) != _COMMA:
            return int64(_PASS)
        at = _blank(at + 1, end)


# ---- Query strings

_EQUALS, _AND, _PERCENT, _PLUS = ord("="), ord("&"), ord("%"), ord("+")


@compiled
def read_query(request: int, source: int, size_bytes: int) -> bool:
    """Read parameters a=1&b=2 into a request that `request_clear` has begun; a second part may be read into it too."""
    end = source + size_bytes
    at = source
    pairs = int64(1)
    while at < end:
        if byte_at(at) == _AND:  # empty pairs are passed over, and counted
            at += 1
            pairs += 1
            if pairs > PARAMETERS_MAX:
                return False
            continue
        name = at
        while at < end and byte_at(at) != _EQUALS and byte_at(at) != _AND:
            at += 1
        if at >= end or byte_at(at) == _AND:
            return False
        field = request_field(request, name, at - name)
        if field == 0:
            return False
        at += 1
        value = at
        while at < end:
            byte = byte_at(at)
            if byte == _AND:
                break
            if byte < 0x20 or byte >= 0x7F or byte in (_PERCENT, _PLUS):
                return False
            at += 1
        if at == value:
            return False
        field_text(field, value, at - value)
    return True
