"""What a connection may ask of its streams: SUBSCRIBE, UNSUBSCRIBE, LIST_SUBSCRIPTIONS, SET_PROPERTY, GET_PROPERTY.

    {"method": "SUBSCRIBE", "params": ["btcusdt@trade"], "id": 1}      ->  {"result": null, "id": 1}
    anything that is wrong     ->  {"error": {"code": 2, "msg": "Invalid request: ..."}, "id": 1}

Codes: 0 unknown property, 1 wrong type of a value, 2 invalid request, 3 no JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from ringex.gateways.feeds.registry import Registry, Topic
from ringex.gateways.feeds.subscriber import STREAMS_MAX, Subscriber
from ringex.gateways.feeds.topics import BadName, Stream, parse

METHODS: Final = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")
PROPERTY: Final = "combined"
_ID: Final = re.compile(r"[\w-]{0,36}\Z", re.ASCII)
_ID_MAX: Final = (1 << 63) - 1
_encode: Final = msgspec.json.Encoder().encode


class DialogError(Exception):
    """What is wrong with a request."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Dialog:
    """Answers the requests of subscribers."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def answer(self, subscriber: Subscriber, raw: bytes) -> tuple[bytes, list[Topic]]:
        """The reply to one message, and the topics that it has newly subscribed to."""
        request_id: Any = None
        joined: list[Topic] = []
        try:
            request = _decoded(raw)
            request_id = _checked_id(request)
            result = self._result(subscriber, request, joined)
        except DialogError as error:
            return _encode({"error": {"code": error.code, "msg": str(error)}, "id": request_id}), joined
        return _encode({"result": result, "id": request_id}), joined

    def _result(self, subscriber: Subscriber, request: dict[str, Any], joined: list[Topic]) -> Any:
        method = request.get("method")
        if method is None:
            raise DialogError(2, "Invalid request: missing field `method` at line 1 column 1")
        if method not in METHODS:
            expected = ", ".join(f"`{name}`" for name in METHODS)
            shown = json.dumps(method)[:64].strip('"')
            raise DialogError(2, f"Invalid request: unknown variant `{shown}`, expected one of {expected}")
        params = request.get("params")
        if params is not None and not isinstance(params, list):
            raise DialogError(2, "Invalid request: `params` must be an array")
        params = params or []
        if method == "SUBSCRIBE":
            joined += self.subscribe(subscriber, _streams(params))
        elif method == "UNSUBSCRIBE":
            for stream in _streams(params):
                self._registry.leave(subscriber, stream.name)
        elif method == "LIST_SUBSCRIPTIONS":
            if params:
                raise DialogError(2, "Invalid request: too many parameters")
            return list(subscriber.topics)
        elif method == "SET_PROPERTY":
            (value,) = _property(params, 1)
            if not isinstance(value, bool):
                raise DialogError(1, "Invalid value type: expected Boolean")
            self._registry.set_combined(subscriber, value)
        else:
            _property(params, 0)
            return subscriber.combined
        return None

    def subscribe(self, subscriber: Subscriber, streams: Sequence[Stream]) -> list[Topic]:
        """Join all of `streams`, or none. The topics that are new to the subscriber. Raises DialogError."""
        new = {stream.name: stream for stream in streams if stream.name not in subscriber.topics}
        if len(subscriber.topics) + len(new) > STREAMS_MAX:
            raise DialogError(2, f"Invalid request: too many streams; a connection may have {STREAMS_MAX}")
        for stream in new.values():
            self._registry.join(subscriber, stream)
        return [subscriber.topics[name] for name in new]


def _decoded(raw: bytes) -> dict[str, Any]:
    try:
        request = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError):
        raise DialogError(3, f"Invalid JSON: {_where(raw)}") from None
    if not isinstance(request, dict):
        raise DialogError(2, "Invalid request: a message must be an object with `method`, `params` and `id`")
    return request


def _where(raw: bytes) -> str:
    """Where the JSON breaks off, in the dialect's words."""
    try:
        json.loads(raw)
    except json.JSONDecodeError as error:
        return f"expected value at line {error.lineno} column {error.colno}"
    except (RecursionError, ValueError):
        pass
    return "expected value at line 1 column 1"


def _checked_id(request: dict[str, Any]) -> Any:
    request_id = request.get("id")
    whole = isinstance(request_id, int) and not isinstance(request_id, bool) and abs(request_id) <= _ID_MAX
    if request_id is None or whole or (isinstance(request_id, str) and _ID.match(request_id)):
        return request_id
    why = "a 64-bit integer, up to 36 letters, digits, `-` and `_`, or null"
    raise DialogError(2, f"Invalid request: request ID must be an unsigned integer, or {why}")


def _streams(params: list[Any]) -> list[Stream]:
    if not params:
        raise DialogError(2, "Invalid request: `params` must name at least one stream")
    found = []
    for name in params:
        if not isinstance(name, str):
            raise DialogError(2, "Invalid request: stream names must be strings")
        try:
            found.append(parse(name))
        except BadName:
            raise DialogError(2, "Invalid request: invalid stream") from None
    return found


def _property(params: list[Any], values: int) -> list[Any]:
    """What follows the property's name. Raises DialogError unless it is one that exists, with so many values."""
    if not params or not isinstance(params[0], str):
        raise DialogError(2, "Invalid request: property name must be a string")
    if params[0] != PROPERTY:
        raise DialogError(0, "Unknown property")
    if len(params) > 1 + values:
        raise DialogError(2, "Invalid request: too many parameters")
    if len(params) < 1 + values:
        raise DialogError(1, "Invalid value type: expected Boolean")
    return params[1:]
