"""Requests as clients write them: a map {"id", "method", "params"}, in msgpack or in JSON.

A message is decoded and checked in one go; one that does not fit is looked at again, to say why.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

import msgspec

from ringex.gateways.errors import Refusal, malformed

ID_CHARACTERS_MAX: Final = 256

_FAULTS: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError)


class Request(msgspec.Struct):
    """What a client asks. `id` comes back as it was sent."""

    method: str
    id: int | str | None = None
    params: dict[str, Any] | None = None


@dataclass(frozen=True)
class Fault:
    """A message that is no request; `request_id` where it has one that can be echoed."""

    refusal: Refusal
    request_id: Any = None


class _Decoder(Protocol):
    def decode(self, raw: bytes | memoryview, /) -> Request: ...


class RequestReader:
    """Reads messages of one encoding; `name` is the encoding's, for messages."""

    def __init__(self, name: str, decoder: _Decoder, decode: Callable[[bytes | memoryview], Any]) -> None:
        self._name, self._decoder, self._decode = name, decoder, decode

    def read(self, raw: bytes | memoryview) -> Request | Fault:
        try:
            request = self._decoder.decode(raw)
        except _FAULTS:
            return self._fault(raw)
        if type(request.id) is str and len(request.id) > ID_CHARACTERS_MAX:
            return Fault(_wrong_id())
        return request

    def _fault(self, raw: bytes | memoryview) -> Fault:
        try:
            message = self._decode(raw)
        except _FAULTS as error:
            return Fault(malformed(f"not {self._name}: {error}."))
        if not isinstance(message, dict):
            return Fault(malformed("it must be a map with 'id', 'method' and 'params'."))
        request_id = message.get("id")
        good = request_id is None or (isinstance(request_id, int) and not isinstance(request_id, bool))
        if not good and not (isinstance(request_id, str) and len(request_id) <= ID_CHARACTERS_MAX):
            return Fault(_wrong_id())
        params = message.get("params")
        if params is not None and (not isinstance(params, dict) or not all(isinstance(name, str) for name in params)):
            return Fault(malformed("'params' must be a map from names to values."), request_id)
        return Fault(malformed("'method' must be the name of a method."), request_id)


def _wrong_id() -> Refusal:
    return malformed(f"'id' must be an integer, a string of up to {ID_CHARACTERS_MAX} characters, or null.")


MSGPACK: Final = RequestReader("msgpack", msgspec.msgpack.Decoder(Request), msgspec.msgpack.decode)
JSON: Final = RequestReader("JSON", msgspec.json.Decoder(Request), msgspec.json.decode)
