"""AsyncAPI 3.0 of the WebSockets: the streams and their messages, and the methods over the WebSocket API."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import msgspec

from ringex.gateways.feeds import payloads
from ringex.gateways.feeds.topics import LEVELS, WINDOWS, Kind, parse
from ringex.gateways.methods import METHODS, Method
from ringex.gateways.web.reference.openapi import package_version
from ringex.gateways.web.reference.schemas import ERROR, schema_of, scope_of, summary_of, words_of
from ringex.gateways.weights import weights_of
from ringex.history.intervals import INTERVALS
from ringex.marketdata.streams import AuctionMessage, DepthMessage, TickerMessage, TradeMessage

MESSAGES: Final[dict[Kind, type[msgspec.Struct]]] = {
    Kind.TRADE: TradeMessage,
    Kind.AGGREGATE: payloads.AggregateMessage,
    Kind.DEPTH: DepthMessage,
    Kind.LEVELS: payloads.LevelsMessage,
    Kind.BOOK_TICKER: TickerMessage,
    Kind.TICKER: payloads.DayMessage,
    Kind.MINI_TICKER: payloads.MiniTickerMessage,
    Kind.WINDOW: payloads.WindowMessage,
    Kind.CANDLE: payloads.CandleMessage,
    Kind.AVERAGE: payloads.AverageMessage,
    Kind.AUCTION: AuctionMessage,
}
"""The message of each kind of stream; those of all markets are lists of it."""
EXAMPLE: Final = "btcusdt"
_REFERENCE: Final = "#/components/schemas/{name}"
_OF_MARKET: Final = (
    *("trade", "aggTrade", "bookTicker", "ticker", "miniTicker", "avgPrice", "auction"),
    *("depth", "depth@100ms", "depth@1000ms"),
    *(f"depth{levels}{speed}" for levels in LEVELS for speed in ("", "@100ms", "@1000ms")),
    *(f"ticker_{window}" for window in WINDOWS),
    *(f"kline_{interval}" for interval in INTERVALS),
)
STREAMS: Final = (
    *(f"{EXAMPLE}@{what}" for what in _OF_MARKET),
    *("!ticker@arr", "!miniTicker@arr", "!miniTicker@arr@1000ms", "!bookTicker"),
    *(f"!ticker_{window}@arr" for window in WINDOWS),
)
"""Every stream there is, of one market and of all."""


@cache
def asyncapi() -> dict[str, Any]:
    """The document. Not to be changed."""
    _, components = msgspec.json.schema_components(MESSAGES.values(), ref_template=_REFERENCE)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "ringex WebSockets",
            "version": package_version(),
            "description": "Streams at /ws/<name> and /stream?streams=<name>/<name>, and every method of the table at"
            " /ws-api/v3. A user stream is opened by `userDataStream.subscribe`.",
        },
        "channels": {
            **{name: _channel(name) for name in STREAMS},
            "/ws-api/v3": {"address": "/ws-api/v3", "messages": {name: _ref("messages", name) for name in METHODS}},
        },
        "operations": {
            **{
                f"receive {name}": {"action": "send", "channel": {"$ref": f"#/channels/{_escaped(name)}"}}
                for name in STREAMS
            },
            **{
                f"call {name}": {
                    "action": "receive",
                    "channel": {"$ref": "#/channels/~1ws-api~1v3"},
                    "messages": [{"$ref": f"#/channels/~1ws-api~1v3/messages/{name}"}],
                }
                for name in METHODS
            },
        },
        "components": {
            "schemas": {"Error": ERROR, **components},
            "messages": {name: _request(method) for name, method in METHODS.items()},
        },
    }


def _channel(name: str) -> dict[str, Any]:
    stream = parse(name)
    message = MESSAGES[stream.kind]
    payload: dict[str, Any] = {"$ref": f"#/components/schemas/{message.__name__}"}
    if name.endswith(("@arr", "@arr@1000ms")):
        payload = {"type": "array", "items": payload}
    pace = f"every {stream.speed_ms} ms, where it has changed" if stream.speed_ms else "as it happens"
    return {
        "address": f"/ws/{name}",
        "summary": (message.__doc__ or "").partition("\n")[0],
        "x-pace": pace,
        "messages": {message.__name__: {"payload": payload}},
    }


def _request(method: Method) -> dict[str, Any]:
    """A call of a method, as it is sent."""
    params: dict[str, Any] = {
        one.name: schema_of(one) | ({"description": words} if (words := words_of(one)) else {})
        for one in method.declared.values()
    }
    schema: dict[str, Any] = {"type": "object", "properties": params, "additionalProperties": False}
    required = [one.name for one in method.declared.values() if one.required]
    if required:
        schema["required"] = required
    least, most = weights_of(method.name)
    return {
        "summary": summary_of(method),
        "x-scope": scope_of(method),
        "x-weight": least if least == most else f"{least} to {most}",
        "payload": {
            "type": "object",
            "required": ["id", "method"],
            "properties": {
                "id": {"type": ["integer", "string", "null"]},
                "method": {"const": method.name},
                "params": schema,
            },
        },
    }


def _ref(kind: str, name: str) -> dict[str, str]:
    return {"$ref": f"#/components/{kind}/{name}"}


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
