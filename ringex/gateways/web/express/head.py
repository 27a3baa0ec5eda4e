"""HTTP requests of known shape, told apart in one pass: what order entry of every client looks like.

POST and DELETE /api/v3/order, PUT /api/v3/order/amend/keepPriority. A whole request and nothing behind it, HTTP/1.1,
kept alive, plain header lines, parameters either in the query string or in the body, unescaped, the signature last.
Anything else, right or wrong, is not recognised here.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from ringex.gateways.express.fields import Express
from ringex.gateways.express.texts import byte_at
from ringex.gateways.keystore import API_KEY_CHARACTERS
from ringex.jit import compiled, entry, inlined, int64
from ringex.memory import record_at

REQUEST_BYTES_MIN: Final = 160
"""No whole one is shorter; so much may be looked at without a further look at its end."""
REQUEST_BYTES_MAX: Final = 4096
"""Of a whole request; a longer one is not of known shape."""
SIGNATURE_DIGITS: Final = 64
HEAD: Final = np.dtype(
    [
        ("api_key", "i8"),  # address of API_KEY_CHARACTERS
        ("form", "i8"),  # address of `name=value` pairs, which are what is signed
        ("form_bytes", "i8"),
        ("signature", "i8"),  # address of SIGNATURE_DIGITS
    ]
)

_SPACE: Final = 32
_TILDE: Final = 126
_CR: Final = 13
_LF: Final = 10
_COLON: Final = 58


def _text(text: str) -> np.ndarray:
    return np.frombuffer(text.encode(), np.uint8).astype(np.int64)


_PLACE: Final = _text("POST /api/v3/order")
_CANCEL: Final = _text("DELETE /api/v3/order")
_AMEND: Final = _text("PUT /api/v3/order/amend/keepPriority")
_VERSION: Final = _text(" HTTP/1.1\r\n")
_SIGNATURE: Final = _text("&signature=")
_API_KEY: Final = _text("x-mbx-apikey")
_LENGTH: Final = _text("content-length")
_CONNECTION: Final = _text("connection")
_KEEP_ALIVE: Final = _text("keep-alive")
_EXPECT: Final = _text("expect")
_UPGRADE: Final = _text("upgrade")
_ENCODING: Final = _text("transfer-encoding")
_PROXY: Final = _text("proxy-connection")
_FORWARDED: Final = _text("x-forwarded-for")
_TIME_UNIT: Final = _text("x-mbx-time-unit")

_API_KEY_LINE, _LENGTH_LINE, _CONNECTION_LINE, _PLAIN_LINE, _STRANGE_LINE = range(5)


@entry
@compiled
def read_request(request: int, size: int, head: int) -> int:
    """The method (`Express`) that the `size` bytes at `request` ask for, its parts in the HEAD at `head`.

    0: they are not one whole request of known shape.
    """
    if size > REQUEST_BYTES_MAX or size < REQUEST_BYTES_MIN:
        return 0
    end = request + size
    method, at = int64(Express.ORDER_PLACE), request + 18
    if not _begins(request, _PLACE, 18):
        method, at = int64(Express.ORDER_CANCEL), request + 20
        if not _begins(request, _CANCEL, 20):
            method, at = int64(Express.ORDER_AMEND_KEEP_PRIORITY), request + 36
            if not _begins(request, _AMEND, 36):
                return 0
    query, query_bytes = at, int64(0)
    if byte_at(at) == 63:  # "?"
        query = at + 1
        at = query
        while at < end and _SPACE < byte_at(at) <= _TILDE:
            at += 1
        query_bytes = at - query
    if end - at < 11 or not _begins(at, _VERSION, 11):
        return 0
    body = _read_lines(at + 11, end, head)
    if body == 0:
        return 0
    h = record_at(head, 0, HEAD)
    body_bytes = end - body
    if h.api_key == 0 or h.form_bytes != body_bytes or (query_bytes > 0) == (body_bytes > 0):
        return 0
    form, form_bytes = (body, body_bytes) if body_bytes > 0 else (query, query_bytes)
    signed_bytes = form_bytes - SIGNATURE_DIGITS - 11
    if signed_bytes <= 0 or not _begins(form + signed_bytes, _SIGNATURE, 11):
        return 0
    h.form = form
    h.form_bytes = signed_bytes
    h.signature = form + signed_bytes + 11
    return method


@compiled
def _read_lines(at: int, end: int, head: int) -> int:
    """The header lines from `at` on: where the body begins, 0 where one is not plain.

    Leaves the address of the API key (0: there is none) and, in `form_bytes`, the length that the body should have.
    """
    h = record_at(head, 0, HEAD)
    h.api_key = 0
    h.form_bytes = -1
    while end - at >= 2 and byte_at(at) != _CR:
        name = at
        while at < end and _is_of_name(byte_at(at)):
            at += 1
        name_bytes = at - name
        if name_bytes == 0 or at >= end or byte_at(at) != _COLON:
            return 0
        at += 1
        while at < end and byte_at(at) == _SPACE:
            at += 1
        value = at
        while at < end and _SPACE <= byte_at(at) <= _TILDE:
            at += 1
        if end - at < 2 or byte_at(at) != _CR or byte_at(at + 1) != _LF:
            return 0
        value_bytes = at - value
        at += 2
        line = _kind_of_line(name, name_bytes)
        if line == _API_KEY_LINE:
            if h.api_key != 0 or value_bytes != API_KEY_CHARACTERS:
                return 0
            h.api_key = value
        elif line == _LENGTH_LINE:
            length = _number(value, value_bytes)
            if h.form_bytes >= 0 or length < 0:
                return 0
            h.form_bytes = length
        elif line == _CONNECTION_LINE:
            if value_bytes != 10 or not _is(value, _KEEP_ALIVE, 10):
                return 0
        elif line == _STRANGE_LINE:
            return 0
    if end - at < 2 or byte_at(at) != _CR or byte_at(at + 1) != _LF:
        return 0
    if h.form_bytes < 0:
        h.form_bytes = 0
    return at + 2


@compiled
def _kind_of_line(name: int, size: int) -> int:
    if size == 12 and _is(name, _API_KEY, 12):
        return _API_KEY_LINE
    if size == 14 and _is(name, _LENGTH, 14):
        return _LENGTH_LINE
    if size == 10 and _is(name, _CONNECTION, 10):
        return _CONNECTION_LINE
    is_strange = (
        (size == 6 and _is(name, _EXPECT, 6))
        or (size == 7 and _is(name, _UPGRADE, 7))
        or (size == 17 and _is(name, _ENCODING, 17))
        or (size == 16 and _is(name, _PROXY, 16))
        or (size == 15 and (_is(name, _FORWARDED, 15) or _is(name, _TIME_UNIT, 15)))
    )
    return _STRANGE_LINE if is_strange else _PLAIN_LINE


@compiled
def _number(text: int, size: int) -> int:
    """1 to 4 decimal digits; -1 for anything else."""
    if size < 1 or size > 4:
        return -1
    value = int64(0)
    for at in range(size):
        digit = byte_at(text + at) - 48
        if digit < 0 or digit > 9:
            return -1
        value = value * 10 + digit
    return value


@inlined
def _is_of_name(character: int) -> bool:
    """A letter, a digit, - or _: HTTP allows more."""
    small = character | 32
    return (97 <= small <= 122) or (48 <= character <= 57) or character == 45 or character == 95


@inlined
def _begins(text: int, word: np.ndarray, size: int) -> bool:
    """Whether the `size` characters of `word` are at `text`."""
    at = 0
    while at < size and byte_at(text + at) == word[at]:
        at += 1
    return at == size


@inlined
def _is(text: int, word: np.ndarray, size: int) -> bool:
    """Whether `size` characters are `word`, in small or capital letters. ("-" with its bit 32 is itself.)"""
    at = 0
    while at < size and (byte_at(text + at) | 32) == word[at]:
        at += 1
    return at == size
