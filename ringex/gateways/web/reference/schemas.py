"""Parameters and refusals as JSON schemas; what a method does, in its handler's words."""

from __future__ import annotations

import inspect
from typing import Any, Final

from ringex.gateways.methods import Method, Security
from ringex.gateways.parameters import (
    CLIENT_ID_RANGE,
    DECIMAL_RANGE,
    INTEGER_MAX,
    TEXT_CHARACTERS_MAX,
    Kind,
    Parameter,
)

Schema = dict[str, Any]

SIGNING: Final = ("apiKey", "signature", "timestamp", "recvWindow")
"""Parameters that every signed method has; over REST the API key is a header."""
_SHAPES: Final[dict[Kind, Schema]] = {
    Kind.TEXT: {"type": "string", "minLength": 1, "maxLength": TEXT_CHARACTERS_MAX},
    Kind.INTEGER: {"type": "integer", "minimum": 0, "maximum": INTEGER_MAX},
    Kind.DECIMAL: {"type": "string", "pattern": DECIMAL_RANGE},
    Kind.BOOLEAN: {"type": "boolean"},
    Kind.CLIENT_ID: {"type": "string", "pattern": CLIENT_ID_RANGE},
    Kind.ORDER_CLIENT_ID: {"type": "string", "pattern": CLIENT_ID_RANGE},
    Kind.TEXTS: {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": TEXT_CHARACTERS_MAX},
}
_WORDS: Final = {
    "symbol": "A market, such as BTCUSDT.",
    "symbols": "Several markets.",
    "limit": "How many, at most.",
    "type": "What kind of order, or how much to tell.",
    "side": "BUY or SELL.",
    "timeInForce": "How long an order may wait.",
    "price": "In the quote asset, a multiple of the market's tick.",
    "quantity": "In the base asset, a multiple of the market's step.",
    "quoteOrderQty": "Of a MARKET order: how much of the quote asset to spend or to receive.",
    "stopPrice": "At which last price the order is triggered.",
    "icebergQty": "What the book shows of the order at a time.",
    "strategyId": "What the client counts the order to: kept with it and shown.",
    "strategyType": "Of what type that is; from 1000000 on.",
    "listClientOrderId": "The client's own id of the list, unique among the open ones.",
    "orderListId": "Which list, by the exchange's id.",
    "newClientOrderId": "The client's own id. With it a request sent twice is never a second order.",
    "origClientOrderId": "Which order, by the client's own id.",
    "orderId": "Which order, by the exchange's id.",
    "newOrderRespType": "How much the answer tells.",
    "selfTradePreventionMode": "What happens where the order meets one of its own account or trade group.",
    "computeCommissionRates": "Whether to tell the rates that the order would pay.",
    "cancelRestrictions": "Cancel only an order in that status.",
    "cancelReplaceMode": "Whether to place the new order where the cancel fails.",
    "cancelOrderId": "Which order to cancel, by the exchange's id.",
    "cancelOrigClientOrderId": "Which order to cancel, by the client's own id.",
    "cancelNewClientOrderId": "The cancel's own id.",
    "newQty": "The new quantity, below the present one.",
    "omitZeroBalances": "Whether to leave out what is zero.",
    "asset": "An asset, such as BTC.",
    "windowSize": "1m to 59m, 1h to 23h, 1d to 7d.",
    "timeZone": "Hours and minutes from UTC.",
    "startTime": "From then on, milliseconds since 1970.",
    "endTime": "Up to then, milliseconds since 1970.",
    "fromId": "From that id on.",
    "interval": "A candle's length.",
    "timestamp": "The client's time: milliseconds since 1970, or microseconds.",
    "recvWindow": "For how many milliseconds after `timestamp` the request may be carried out: 5000 if not sent, at"
    " most 60000.",
    "signature": "HMAC-SHA256 in hexadecimal, or Ed25519 in base64, by the kind of the key.",
    "apiKey": "The API key; not needed after `session.logon`.",
    "returnRateLimits": "Whether the reply tells what was used of the limits; true if not sent.",
}

ERROR: Final[Schema] = {
    "type": "object",
    "required": ["code", "msg"],
    "properties": {
        "code": {"type": "integer", "description": "The dialect's code."},
        "msg": {"type": "string", "description": "The dialect's text, then what would have passed."},
        "data": {"description": "More of it, where there is more."},
    },
}
"""A refusal."""


_SUMMARIES: Final = {
    "ping": "Whether it answers.",
    "time": "The gateway's clock.",
    "exchangeInfo": "Markets with their rules, and the limits of requests.",
    "depth": "The book: bids and asks, best first.",
    "trades.recent": "The last trades of a market.",
    "order.place": "A new order.",
    "order.cancel": "Cancel one order.",
    "order.cancelReplace": "Cancel one order and place another, as one command.",
    "order.amend.keepPriority": "Reduce an order's quantity; it keeps its place in the queue.",
    "openOrders.cancelAll": "Cancel all orders of the account in one market.",
    "order.status": "One order as it stands.",
    "orderList.place.oco": "Two orders, of which one cancels the other.",
    "orderList.place.oto": "A working order; when it is filled, a pending one is placed.",
    "orderList.place.otoco": "A working order; when it is filled, two are placed of which one cancels the other.",
    "orderList.cancel": "Cancel all orders of a list.",
    "orderList.status": "One order list as it stands.",
    "openOrderLists.status": "The account's open order lists.",
    "openOrders.status": "The account's open orders, of one market or of all.",
    "account.status": "The account: what it may do, and its balances.",
    "margin.pairs": "None: there is no margin trading.",
    "session.status": "Whose session this connection is.",
    "userDataStream.subscribe": "Follow the account's events on this connection, after session.logon.",
    "userDataStream.subscribe.signature": "Follow the account's events on this connection, by a signature.",
}
"""Of methods whose handler has nothing to add to its name."""


def schema_of(parameter: Parameter) -> Schema:
    """What may be sent as a parameter."""
    shape = _SHAPES.get(parameter.kind)
    return dict(shape) if shape is not None else {"type": "string", "enum": list(parameter.choices)}


def words_of(parameter: Parameter) -> str:
    """What a parameter is, where every method means the same by it; else empty."""
    return _WORDS.get(parameter.name, "")


def summary_of(method: Method) -> str:
    """The first sentence of the handler's docstring, else the method's name."""
    text = inspect.getdoc(method.handler) or ""
    sentence = " ".join(text.split("\n\n")[0].split())
    return sentence or _SUMMARIES.get(method.name, method.name)


def scope_of(method: Method) -> str:
    """The scope that a key must have; empty: no key is needed."""
    return "" if method.security == Security.NONE else method.security.name
