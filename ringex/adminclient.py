"""Administrative requests to a running exchange: one msgpack map each way, over gateway 0's local socket."""

from __future__ import annotations

import secrets
from typing import Any, Final

import msgspec
import zmq

REPLY_SECONDS: Final = 5.0


class AdminError(Exception):
    """The exchange refused; the message says why."""


class NoAnswerError(AdminError):
    """No answer came in time: whether the request was carried out is not known."""


class _Fault(msgspec.Struct):
    code: int
    msg: str


class _Reply(msgspec.Struct):
    id: str
    status: int
    result: dict[str, Any] | None = None
    error: _Fault | None = None


def new_reference() -> str:
    """A reference that nobody has used: 32 hexadecimal digits."""
    return secrets.token_hex(16)


def request(endpoint: str, method: str, params: dict[str, Any], seconds: float = REPLY_SECONDS) -> dict[str, Any]:
    """The result of `method`. Raises AdminError (refused), NoAnswerError (nothing came within `seconds`)."""
    request_id = new_reference()
    with zmq.Context() as context, context.socket(zmq.REQ) as socket:
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.SNDTIMEO, int(seconds * 1000))
        socket.setsockopt(zmq.RCVTIMEO, int(seconds * 1000))
        socket.connect(endpoint)
        try:
            socket.send(msgspec.msgpack.encode({"id": request_id, "method": method, "params": params}))
            raw = socket.recv()
        except zmq.Again:
            raise NoAnswerError(f"{method}: no answer from {endpoint} within {seconds:g} s") from None
    try:
        reply = msgspec.msgpack.decode(raw, type=_Reply)
    except msgspec.MsgspecError as error:
        raise AdminError(f"{method}: {endpoint} answered something else: {error}") from error
    if reply.error is not None:
        raise AdminError(f"{reply.error.msg} (code {reply.error.code})")
    if reply.id != request_id or reply.result is None:
        raise AdminError(f"{method}: {endpoint} answered another request")
    return reply.result
