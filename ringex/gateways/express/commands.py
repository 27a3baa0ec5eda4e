"""A REQUEST as a COMMAND record: what `ringex.gateways.orders` does with the commonest orders, compiled.

Plain LIMIT, LIMIT_MAKER and MARKET orders, cancels, and reductions that keep priority. Whatever is missing, needless,
out of bounds or rare makes `command_of` return False, and the request goes the ordinary way, which knows the words of
each refusal. What it does take becomes the very record that the ordinary way would have made; tests/test_express.py
gives both the same requests.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import numpy as np

from ringex.gateways.auth import AHEAD_US_MAX, RECV_WINDOW_MS, RECV_WINDOW_MS_MAX
from ringex.gateways.express.fields import FIELD, REQUEST, Express, Field, Kind, field_at, has_field
from ringex.gateways.express.markets import MARKET, MARKETS
from ringex.gateways.express.texts import (
    Vocabulary,
    byte_at,
    copy_text,
    is_client_id,
    number_of,
    scaled_of,
    vocabulary_find,
)
from ringex.gateways.parameters import DECIMALS_SENT_MAX, RESERVED_PREFIX, TEXT_CHARACTERS_MAX
from ringex.gateways.times import MICROSECONDS_FROM
from ringex.jit import compiled, inlined, int64
from ringex.memory import address_of, record_at, zero_bytes
from ringex.messages import COMMAND, RECORD_BYTES, SCHEMA_VERSION
from ringex.reasons import Reason
from ringex.rules import MARKET_RULES, check_order
from ringex.terms import CommandFlag, CommandKind, OrderType, SelfTradePrevention, Side, TimeInForce


class ResponseType(IntEnum):
    """`newOrderRespType`."""

    ACK = 1
    RESULT = 2
    FULL = 3


DEMANDS: Final = np.dtype(
    [
        ("sides", "i8"),  # vocabularies
        ("order_types", "i8"),
        ("times_in_force", "i8"),
        ("preventions", "i8"),
        ("response_types", "i8"),
        ("restrictions", "i8"),
        ("booleans", "i8"),
        ("now_ns", "i8"),  # when the request came
        ("signed", "i8"),  # 1: its signature has been checked, so apiKey and signature may be among its fields
        ("shows_limits", "i8"),  # what `returnRateLimits` is where the request does not say; then what it said
        ("response_type", "i8"),  # told: ResponseType of an order.place
        ("timestamp_us", "i8"),  # told: the request's own time; 0: it has none
        ("expires_ns", "i8"),  # told
    ]
)
"""What `command_of` is told of a request beside its fields, and what it tells of it beside the record."""

_SIDES: Final = Vocabulary(8, {side.name: int(side) for side in Side})
_ORDER_TYPES: Final = Vocabulary(
    8, {kind.name: int(kind) for kind in (OrderType.LIMIT, OrderType.LIMIT_MAKER, OrderType.MARKET)}
)
_TIMES_IN_FORCE: Final = Vocabulary(
    8, {time.name: int(time) for time in (TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK)}
)
_PREVENTIONS: Final = Vocabulary(8, {mode.name: int(mode) for mode in SelfTradePrevention})
_RESPONSE_TYPES: Final = Vocabulary(8, {kind.name: int(kind) for kind in ResponseType})
_RESTRICTIONS: Final = Vocabulary(
    8, {flag.name: int(flag) for flag in (CommandFlag.ONLY_NEW, CommandFlag.ONLY_PARTIALLY_FILLED) if flag.name}
)
_BOOLEANS: Final = Vocabulary(2, {"false": 0, "true": 1})

_SIGNING: Final = (
    1 << Field.API_KEY | 1 << Field.SIGNATURE | 1 << Field.TIMESTAMP | 1 << Field.RECV_WINDOW
) | 1 << Field.RETURN_RATE_LIMITS
_WHICH: Final = 1 << Field.SYMBOL | 1 << Field.ORDER_ID | 1 << Field.ORIG_CLIENT_ORDER_ID
_OF_CANCEL: Final = _SIGNING | _WHICH | 1 << Field.NEW_CLIENT_ORDER_ID | 1 << Field.CANCEL_RESTRICTIONS
_OF_AMEND: Final = _SIGNING | _WHICH | 1 << Field.NEW_CLIENT_ORDER_ID | 1 << Field.NEW_QTY
_OF_PLACE: Final = (
    (_SIGNING | 1 << Field.SYMBOL | 1 << Field.SIDE | 1 << Field.TYPE | 1 << Field.TIME_IN_FORCE)
    | (1 << Field.PRICE | 1 << Field.QUANTITY | 1 << Field.QUOTE_ORDER_QTY | 1 << Field.NEW_CLIENT_ORDER_ID)
    | (1 << Field.NEW_ORDER_RESP_TYPE | 1 << Field.SELF_TRADE_PREVENTION_MODE)
)
_PREFIX: Final = int.from_bytes(RESERVED_PREFIX.encode()[:4], "little")
_CLIENT_ID: Final[int] = COMMAND.fields["client_order_id"][1]  # type: ignore[index]
_ORIGINAL_CLIENT_ID: Final[int] = COMMAND.fields["original_client_order_id"][1]  # type: ignore[index]


class Demands:
    """The memory of one DEMANDS record."""

    def __init__(self) -> None:
        self.record = np.zeros(1, DEMANDS)
        self.record["sides"] = _SIDES.address
        self.record["order_types"] = _ORDER_TYPES.address
        self.record["times_in_force"] = _TIMES_IN_FORCE.address
        self.record["preventions"] = _PREVENTIONS.address
        self.record["response_types"] = _RESPONSE_TYPES.address
        self.record["restrictions"] = _RESTRICTIONS.address
        self.record["booleans"] = _BOOLEANS.address
        self.address = address_of(self.record)


@compiled
def command_of(request: int, demands: int, markets: int, command: int) -> bool:
    """Write the COMMAND that a request asks for to address `command`, all but its session. False: the ordinary way."""
    method = int64(record_at(request, 0, REQUEST).method)
    present = record_at(request, 0, REQUEST).present
    allowed = int64(0)
    if method == Express.ORDER_PLACE:
        allowed = int64(_OF_PLACE)
    elif method == Express.ORDER_CANCEL:
        allowed = int64(_OF_CANCEL)
    elif method == Express.ORDER_AMEND_KEEP_PRIORITY:
        allowed = int64(_OF_AMEND)
    if present & ~allowed != 0 or not _take_timing(request, demands) or not _take_limits_shown(request, demands):
        return False
    m = record_at(markets, 0, MARKETS)
    market = _number_in(request, int64(Field.SYMBOL), m.symbols)
    if market < 0:
        return False
    zero_bytes(command, RECORD_BYTES)
    c = record_at(command, 0, COMMAND)
    c.version = np.uint8(SCHEMA_VERSION)
    c.slots = np.uint8(1)
    c.market = np.int32(market)
    d = record_at(demands, 0, DEMANDS)
    c.receive_ns = d.now_ns
    c.timestamp_us = d.timestamp_us
    c.expires_ns = d.expires_ns
    if not _take_client_id(request, int64(Field.NEW_CLIENT_ORDER_ID), command + _CLIENT_ID):
        return False
    if method == Express.ORDER_PLACE:
        return _place(request, demands, markets, command)
    return _cancel_or_amend(request, demands, markets, command)


@inlined
def _number_in(request: int, field: int, vocabulary: int) -> int:
    """The number that a field's text has in a vocabulary; negative: it was not sent, is no text, or is unknown."""
    if not has_field(request, field):
        return int64(-1)
    f = record_at(field_at(request, field), 0, FIELD)
    return vocabulary_find(vocabulary, f.address, int64(f.length)) if f.kind == Kind.TEXT else int64(-1)


@compiled
def _whole(request: int, field: int, absent: int) -> int:
    """The whole number that a field holds, as such or as digits, or `absent`; negative: it holds none."""
    if not has_field(request, field):
        return absent
    f = record_at(field_at(request, field), 0, FIELD)
    if f.kind == Kind.NUMBER:
        return f.number
    return number_of(f.address, int64(f.length)) if f.kind == Kind.TEXT else int64(-1)


@compiled
def _decimal(request: int, field: int, scale: int, step_scale: int) -> int:
    """The decimal that a field's text means; negative: left to the ordinary way."""
    if not has_field(request, field):
        return int64(-1)
    f = record_at(field_at(request, field), 0, FIELD)
    return scaled_of(f.address, int64(f.length), scale, step_scale) if f.kind == Kind.TEXT else int64(-1)


@inlined
def _stepped(request: int, field: int, scale: int) -> int:
    """A price or a quantity in the market's units."""
    return _decimal(request, field, max(scale, int64(DECIMALS_SENT_MAX)), scale)


@compiled
def _take_timing(request: int, demands: int) -> bool:
    """`timestamp` and `recvWindow`, as `ringex.gateways.auth.timing`; and whether who signed has been made sure of."""
    d = record_at(demands, 0, DEMANDS)
    for field in (int64(Field.API_KEY), int64(Field.SIGNATURE)):
        if has_field(request, field):
            f = record_at(field_at(request, field), 0, FIELD)
            if d.signed == 0 or f.kind != Kind.TEXT or f.length > TEXT_CHARACTERS_MAX:
                return False
    window_ms = _whole(request, int64(Field.RECV_WINDOW), int64(RECV_WINDOW_MS))
    timestamp = _whole(request, int64(Field.TIMESTAMP), int64(0))
    d.timestamp_us = 0
    d.expires_ns = 0
    if window_ms < 0 or window_ms > RECV_WINDOW_MS_MAX:
        return False
    if not has_field(request, int64(Field.TIMESTAMP)):
        return d.signed == 0
    if timestamp < 1 or timestamp >= 1_000_000_000_000_000_000:
        return False
    timestamp_us = timestamp if timestamp >= MICROSECONDS_FROM else timestamp * 1000
    behind_us = d.now_ns // 1000 - timestamp_us
    if behind_us <= -AHEAD_US_MAX or behind_us > window_ms * 1000:
        return False
    d.timestamp_us = timestamp_us
    d.expires_ns = timestamp_us * 1000 + window_ms * 1_000_000
    return True


@inlined
def _take_limits_shown(request: int, demands: int) -> bool:
    if not has_field(request, int64(Field.RETURN_RATE_LIMITS)):
        return True
    d = record_at(demands, 0, DEMANDS)
    kind = int64(record_at(field_at(request, int64(Field.RETURN_RATE_LIMITS)), 0, FIELD).kind)
    if kind == Kind.TRUE or kind == Kind.FALSE:
        d.shows_limits = int64(1) if kind == Kind.TRUE else int64(0)
        return True
    value = _number_in(request, int64(Field.RETURN_RATE_LIMITS), d.booleans)
    d.shows_limits = value
    return value >= 0


@compiled
def _take_client_id(request: int, field: int, words: int) -> bool:
    """Copy a client order id, if it was sent, to the zeroed five words at address `words`."""
    if not has_field(request, field):
        return True
    f = record_at(field_at(request, field), 0, FIELD)
    length = int64(f.length)
    if f.kind != Kind.TEXT or not is_client_id(f.address, length):
        return False
    start = int64(0)
    if length >= 4:  # what may be reserved or derived is left to the ordinary way
        start = byte_at(f.address) | byte_at(f.address + 1) << 8
        start |= byte_at(f.address + 2) << 16 | byte_at(f.address + 3) << 24
    if start == _PREFIX:
        return False
    copy_text(words, f.address, length)
    return True


@compiled
def _place(request: int, demands: int, markets: int, command: int) -> bool:
    d = record_at(demands, 0, DEMANDS)
    c = record_at(command, 0, COMMAND)
    side = _number_in(request, int64(Field.SIDE), d.sides)
    order_type = _number_in(request, int64(Field.TYPE), d.order_types)
    if side < 0 or order_type < 0:
        return False
    c.kind = np.uint8(CommandKind.PLACE)
    c.side = np.uint8(side)
    c.order_type = np.uint8(order_type)
    time_in_force = int64(TimeInForce.GTC)
    price = int64(0)
    quantity = int64(0)
    quote = int64(0)
    market = record_at(record_at(markets, 0, MARKETS).markets, int64(c.market), MARKET)
    if order_type == OrderType.LIMIT:
        time_in_force = _number_in(request, int64(Field.TIME_IN_FORCE), d.times_in_force)
    elif has_field(request, int64(Field.TIME_IN_FORCE)):
        return False
    if order_type == OrderType.MARKET:
        by_base = has_field(request, int64(Field.QUANTITY))
        if has_field(request, int64(Field.PRICE)) or by_base == has_field(request, int64(Field.QUOTE_ORDER_QTY)):
            return False
        if by_base:
            quantity = _stepped(request, int64(Field.QUANTITY), market.quantity_scale)
        else:
            quote = _decimal(request, int64(Field.QUOTE_ORDER_QTY), market.quote_scale, market.quote_scale)
            if quote < 1:
                return False
    else:
        if has_field(request, int64(Field.QUOTE_ORDER_QTY)):
            return False
        price = _stepped(request, int64(Field.PRICE), market.price_scale)
        quantity = _stepped(request, int64(Field.QUANTITY), market.quantity_scale)
    if time_in_force < 0 or price < 0 or quantity < 0:
        return False
    rules = record_at(record_at(markets, 0, MARKETS).rules, int64(c.market), MARKET_RULES)
    if check_order(rules, order_type, price, quantity, quote) != Reason.NONE:
        return False
    mode = int64(SelfTradePrevention.NONE)
    if has_field(request, int64(Field.SELF_TRADE_PREVENTION_MODE)):
        mode = _number_in(request, int64(Field.SELF_TRADE_PREVENTION_MODE), d.preventions)
        if mode < 0 or (mode == SelfTradePrevention.DECREMENT and quote != 0):
            return False
    response_type = int64(ResponseType.ACK) if order_type == OrderType.LIMIT_MAKER else int64(ResponseType.FULL)
    if has_field(request, int64(Field.NEW_ORDER_RESP_TYPE)):
        response_type = _number_in(request, int64(Field.NEW_ORDER_RESP_TYPE), d.response_types)
        if response_type < 0:
            return False
    d.response_type = response_type
    c.time_in_force = np.uint8(time_in_force)
    c.price = price
    c.quantity = quantity
    c.quote_quantity = quote
    c.self_trade_prevention = np.uint8(mode)
    return True


@compiled
def _cancel_or_amend(request: int, demands: int, markets: int, command: int) -> bool:
    c = record_at(command, 0, COMMAND)
    order_id = _whole(request, int64(Field.ORDER_ID), int64(0))
    by_text = has_field(request, int64(Field.ORIG_CLIENT_ORDER_ID))
    if order_id < 0 or (order_id == 0 and not by_text):
        return False
    if not _take_client_id(request, int64(Field.ORIG_CLIENT_ORDER_ID), command + _ORIGINAL_CLIENT_ID):
        return False
    c.order_id = order_id
    if record_at(request, 0, REQUEST).method == Express.ORDER_CANCEL:
        c.kind = np.uint8(CommandKind.CANCEL)
        if has_field(request, int64(Field.CANCEL_RESTRICTIONS)):
            restrictions = record_at(demands, 0, DEMANDS).restrictions
            flag = _number_in(request, int64(Field.CANCEL_RESTRICTIONS), restrictions)
            if flag < 0:
                return False
            c.flag_bits = np.uint32(flag)
        return True
    market = record_at(record_at(markets, 0, MARKETS).markets, int64(c.market), MARKET)
    quantity = _stepped(request, int64(Field.NEW_QTY), market.quantity_scale)
    if quantity < 1:
        return False
    c.kind = np.uint8(CommandKind.AMEND)
    c.quantity = quantity
    c.flag_bits = np.uint32(CommandFlag.KEEP_PRIORITY)
    return True
