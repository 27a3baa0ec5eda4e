"""HTTP answers as bytes."""

from __future__ import annotations

import time
from email.utils import formatdate
from functools import cache
from http import HTTPStatus
from typing import Any, Final

import msgspec

JSON: Final = b"application/json;charset=UTF-8"
ENCODER: Final = msgspec.json.Encoder()
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

_REASONS: Final = {status.value: status.phrase for status in HTTPStatus} | {418: "I'm a teapot"}
_clock: Final[dict[str, Any]] = {"second": 0, "date": b""}


def response(
    status: int,
    body: bytes,
    extra: bytes = b"",
    *,
    keep_alive: bool = True,
    head_only: bool = False,
    content_type: bytes = JSON,
) -> bytes:
    """One answer. `extra` is further header lines, each with its end."""
    size = b"" if status == HTTPStatus.NO_CONTENT else b"Content-Length: %d\r\n" % len(body)
    head = _head(status, keep_alive, content_type) + _date() + size + extra + b"\r\n"
    return head if head_only else head + body


def head_of_result() -> bytes:
    """How the answer with a result begins, just now: all lines up to its Content-Length, whose value is to follow."""
    return _head(HTTPStatus.OK, True, JSON) + _date() + b"Content-Length: "


@cache
def _head(status: int, keep_alive: bool, content_type: bytes) -> bytes:
    reason = _REASONS.get(status, "Unknown").encode()
    closing = b"" if keep_alive else b"Connection: close\r\n"
    described = b"Content-Type: %b\r\nCache-Control: no-store\r\n" % content_type
    kind = b"" if status == HTTPStatus.NO_CONTENT else described
    return b"HTTP/1.1 %d %b\r\n%b%b" % (status, reason, closing, kind)


def _date() -> bytes:
    second = int(time.time())
    if second != _clock["second"]:
        _clock["second"], _clock["date"] = second, b"Date: %b\r\n" % formatdate(second, usegmt=True).encode()
    return _clock["date"]


def error_body(code: int, message: str) -> bytes:
    return ENCODER.encode({"code": code, "msg": message})
