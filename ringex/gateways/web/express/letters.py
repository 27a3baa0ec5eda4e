"""Replies in their envelopes: HTTP answers and WebSocket frames, for one batch of replies in one call.

A letter is what one peer is sent in one go: an answer, or the frames that come one after the other.
"""

from __future__ import annotations

import time
from typing import Final

import numpy as np

from ringex.gateways.express.answering import (
    ANSWERS,
    BUFFER_BYTES,
    NOT_SHOWN,
    REPLIES_MAX,
    REPLY,
    Replies,
)
from ringex.gateways.express.taking import Encoding
from ringex.gateways.express.texts import set_byte
from ringex.gateways.express.writing import put_digits
from ringex.gateways.web.responses import head_of_result
from ringex.jit import compiled, int64, separate
from ringex.memory import address_of, copy_bytes, record_at

ENVELOPE_BYTES_MAX: Final = 512
LETTERS: Final = np.dtype(
    [
        ("head", "i8"),  # address of an answer's first lines, up to its length
        ("head_bytes", "i8"),
        ("lines", "i8"),  # of _LINE records
        ("text", "i8"),  # address of all letters, one after the other
        ("letters", "i8"),  # of LETTER records
    ]
)
LETTER: Final = np.dtype([("number", "i8"), ("end", "i8")])
"""The number of a connection, and where what it is sent ends in the text; it begins where the one before ends."""
_LINE: Final = np.dtype([("size", "i8"), ("text", "u1", (48,))])
_LINE_BYTES: Final = _LINE.itemsize
_LINE_OFFSET: Final[int] = _LINE.fields["text"][1]  # type: ignore[index]
_LINES: Final = ("\r\nX-MBX-USED-WEIGHT-1M: ", "\r\nX-MBX-ORDER-COUNT-10S: ", "\r\nX-MBX-ORDER-COUNT-1D: ", "\r\n\r\n")
_USED, _SHORT, _DAY, _END = range(4)
_FINAL_TEXT: Final = 0x81


class Letters:
    """The memory of `write_letters`."""

    def __init__(self) -> None:
        self._record = np.zeros(1, LETTERS)
        self._text = np.zeros(BUFFER_BYTES + REPLIES_MAX * ENVELOPE_BYTES_MAX, np.uint8)
        self._view = self._text.data
        self._letters = np.zeros(REPLIES_MAX, LETTER)
        self._lines = np.zeros(len(_LINES), _LINE)
        for number, line in enumerate(_LINES):
            self._lines[number]["size"] = len(line)
            self._lines[number]["text"][: len(line)] = np.frombuffer(line.encode(), np.uint8)
        self._head = np.zeros(ENVELOPE_BYTES_MAX // 2, np.uint8)
        self._second = 0
        self._record["head"], self._record["lines"] = address_of(self._head), address_of(self._lines)
        self._record["text"], self._record["letters"] = address_of(self._text), address_of(self._letters)
        self._address = address_of(self._record)

    def of(self, replies: Replies) -> list[tuple[int, bytes]]:
        """(number of a connection, what it is sent), in order."""
        second = int(time.time())
        if second != self._second:
            self._second = second
            head = head_of_result()
            self._head[: len(head)] = np.frombuffer(head, np.uint8)
            self._record["head_bytes"] = len(head)
        count = write_letters(self._address, replies.answers.address, replies.count)
        begin, found, view = 0, [], self._view
        for number, end in self._letters[:count].tolist():
            found.append((number, bytes(view[begin:end])))
            begin = end
        return found


@separate
def write_letters(letters: int, answers: int, count: int) -> int:
    """Write the letters of `count` replies. How many letters."""
    t = record_at(letters, 0, LETTERS)
    a = record_at(answers, 0, ANSWERS)
    out = t.text
    written = int64(0)
    last = int64(0)
    for at in range(count):
        r = record_at(a.replies, at, REPLY)
        if r.encoding == Encoding.QUERY:
            out = _put_answer(letters, a.replies, at, out)
        else:
            out = _put_frame_head(out, r.size_bytes)
        copy_bytes(out, r.address, r.size_bytes)
        out += r.size_bytes
        if written == 0 or r.number != last:
            written += 1
        last = r.number
        letter = record_at(t.letters, written - 1, LETTER)
        letter.number = last
        letter.end = out - t.text
    return written


@compiled
def _put_answer(letters: int, replies: int, at: int, out: int) -> int:
    """All of an HTTP answer that comes before its body."""
    t = record_at(letters, 0, LETTERS)
    r = record_at(replies, at, REPLY)
    copy_bytes(out, t.head, t.head_bytes)
    out = put_digits(out + t.head_bytes, r.size_bytes, 1)
    out = _put_count(t.lines, _USED, r.used, out)
    out = _put_count(t.lines, _SHORT, r.orders_10s, out)
    out = _put_count(t.lines, _DAY, r.orders_1d, out)
    return _put_line(t.lines, _END, out)


@compiled
def _put_count(lines: int, line: int, count: int, out: int) -> int:
    return put_digits(_put_line(lines, line, out), count, 1) if count != NOT_SHOWN else out


@compiled
def _put_line(lines: int, line: int, out: int) -> int:
    at = lines + line * _LINE_BYTES
    size = record_at(at, 0, _LINE).size
    copy_bytes(out, at + _LINE_OFFSET, size)
    return out + size


@compiled
def _put_frame_head(out: int, size: int) -> int:
    """Before the `size` bytes of a text, below 65,536."""
    set_byte(out, _FINAL_TEXT)
    if size < 126:
        set_byte(out + 1, size)
        return out + 2
    set_byte(out + 1, 126)
    set_byte(out + 2, size >> 8)
    set_byte(out + 3, size & 255)
    return out + 4
