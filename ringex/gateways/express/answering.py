"""Answering: the events of a flight to the bytes of its reply, in one compiled pass over a batch of events.

The replies of placed orders (ACK, RESULT, FULL), whatever they traded, and of cancels, whose orders have no further
terms. All else is handed over: refusals, duplicates, prevented matches, commands whose events have not come all
together, long lists of fills. `ringex.gateways.replies` says how a reply looks; tests/test_express_answers.py compares.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from ringex.gateways.binary import CORRELATION_FROM
from ringex.gateways.express.commands import ResponseType
from ringex.gateways.express.fields import Express, IdKind
from ringex.gateways.express.flights import FLIGHT, FLIGHTS, ID_OFFSET, SEAT, flight_at, flight_end, flight_find
from ringex.gateways.express.markets import (
    ASSET,
    MARKET,
    MARKETS,
    NAME_OFFSET,
    SYMBOL_OFFSET,
    orders_1d_max,
    orders_10s_max,
)
from ringex.gateways.express.taking import DESK, Encoding
from ringex.gateways.express.writing import (
    Phrases,
    begin_list,
    begin_map,
    digits_of,
    end_list,
    end_map,
    next_item,
    put_decimal,
    put_digits,
    put_number,
    put_phrase,
    put_text,
    put_text_head,
    put_text_tail,
    text_length,
)
from ringex.gateways.limiter import ORDER_INTERVALS, Limiter
from ringex.gateways.meters import meter_shown
from ringex.gateways.parameters import RESERVED_PREFIX
from ringex.gateways.replies import NO_ORDER_LIST, ORDER_TYPES, PREVENTIONS, SIDES, STATUSES, TIMES_IN_FORCE
from ringex.history.orders import order_plain_mode
from ringex.jit import compiled, inlined, int64, separate
from ringex.memory import address_of, array_at, record_at
from ringex.messages import EVENT, ORDER_TERMS, RECORD_BYTES, TRADE
from ringex.orderlimits import ORDER_COUNTS, day_count_of, short_count_of
from ringex.packing import put_byte, put_bytes
from ringex.reasons import Reason
from ringex.tables import words_empty
from ringex.terms import EventFlag, EventKind, OrderStatus, OrderType, SelfTradePrevention, Side, TimeInForce

FILLS_MAX: Final = 12
"""With more, a reply is the ordinary way's."""
REPLY_BYTES_MAX: Final = 4000
REPLIES_MAX: Final = 1024
EVENTS_MAX: Final = 1 << 13
"""That one call looks at."""
BUFFER_BYTES: Final = 1 << 20
NOT_SHOWN: Final = -1
_CLIENT_ID: Final[int] = EVENT.fields["client_order_id"][1]  # type: ignore[index]
_ORIGINAL_CLIENT_ID: Final[int] = EVENT.fields["original_client_order_id"][1]  # type: ignore[index]
_CLIENT_ID_BYTES: Final = 40
_MARKET_BYTES: Final = MARKET.itemsize
_ASSET_BYTES: Final = ASSET.itemsize
_COUNTS_BYTES: Final = ORDER_COUNTS.itemsize

REPLY: Final = np.dtype(
    [
        ("number", "i8"),  # the connection's
        ("seat", "i8"),
        ("correlation", "i8"),
        ("address", "i8"),  # of its bytes
        ("size_bytes", "i8"),
        ("encoding", "i8"),
        ("used", "i8"),  # Encoding.QUERY: what its headers tell of limits, or NOT_SHOWN
        ("orders_10s", "i8"),
        ("orders_1d", "i8"),
    ]
)
ANSWERS: Final = np.dtype(
    [
        ("desk", "i8"),
        ("orders", "i8"),  # address of the read model's orders
        ("order_counts", "i8"),  # of its ORDER_COUNTS records, by account
        ("phrases", "i8"),
        ("prefixes", "i8"),  # of "ringex-", and of "ringex-cancel-" behind it
        ("buffer", "i8"),
        ("end", "i8"),  # where the next reply comes
        ("replies", "i8"),  # of REPLY records
        ("replies_count", "i8"),
        ("handed_over", "i8"),  # of int64: which events are the ordinary way's
        ("handed_over_count", "i8"),
        ("binary", "i8"),  # of int64: which are the binary path's
        ("binary_count", "i8"),
        ("now_ns", "i8"),
    ]
)
_INDEX: Final = np.dtype([("value", "i8")])

_made: Final = Phrases()
_ID = _made.name("id")
_STATUS_200 = _made.field("status", 200)
_RESULT = _made.name("result")
_SYMBOL = _made.name("symbol")
_ORDER_ID = _made.name("orderId")
_NO_LIST = _made.field("orderListId", NO_ORDER_LIST)
_SHOWN_ID = _made.name("clientOrderId")
_ORIGINAL_ID = _made.name("origClientOrderId")
_TRANSACT_TIME = _made.name("transactTime")
_PRICE = _made.name("price")
_ORIG_QTY = _made.name("origQty")
_EXECUTED_QTY = _made.name("executedQty")
_ORIG_QUOTE_QTY = _made.name("origQuoteOrderQty")
_QUOTE_QTY = _made.name("cummulativeQuoteQty")
_STATUSES = _made.fields("status", [STATUSES.get(number, "") for number in range(max(OrderStatus) + 1)])
_TIMES = _made.fields("timeInForce", [TIMES_IN_FORCE.get(number, "") for number in range(max(TimeInForce) + 1)])
_TYPES = _made.fields("type", [ORDER_TYPES.get(number, "") for number in range(max(OrderType) + 1)])
_SIDES = _made.fields("side", [SIDES.get(number, "") for number in range(max(Side) + 1)])
_WORKING_TIME = _made.name("workingTime")
_PREVENTIONS = _made.fields(
    "selfTradePreventionMode", [PREVENTIONS.get(number, "") for number in range(max(SelfTradePrevention) + 1)]
)
_FILLS = _made.name("fills")
_QTY = _made.name("qty")
_COMMISSION = _made.name("commission")
_COMMISSION_ASSET = _made.name("commissionAsset")
_TRADE_ID = _made.name("tradeId")
_RATE_LIMITS = _made.name("rateLimits")
_COUNT = _made.name("count")
_NIL = _made.add(b"\xc0", b"null")
_PHRASES_MADE: Final = len(_made)
_WEIGHT_ROW, _SHORT_ROW, _DAY_ROW = range(_PHRASES_MADE, _PHRASES_MADE + 3)

_PREFIX: Final = RESERVED_PREFIX.encode()
_CANCEL_PREFIX: Final = b"ringex-cancel-"
_PREFIXES: Final = np.frombuffer(_PREFIX + _CANCEL_PREFIX, np.uint8)
_PREFIX_BYTES, _CANCEL_PREFIX_BYTES = len(_PREFIX), len(_CANCEL_PREFIX)


class Answers:
    """The memory of the answers to one batch of events; an event's index tells what the others get."""

    def __init__(self, desk: int, limiter: Limiter) -> None:
        self._phrases = _made.copy()
        self._phrases.row(limiter.weight_limit(of_key=True) | {"count": 0}, "count")
        for interval in ORDER_INTERVALS:
            self._phrases.row(interval | {"limit": 0, "count": 0}, "limit")
        self._buffer = np.zeros(BUFFER_BYTES, np.uint8)
        self.replies = np.zeros(REPLIES_MAX, REPLY)
        self.handed_over = np.zeros(EVENTS_MAX, np.int64)
        self.binary = np.zeros(EVENTS_MAX, np.int64)
        self.record = np.zeros(1, ANSWERS)
        self.record["desk"] = desk
        self.record["phrases"] = self._phrases.finish()
        self.record["prefixes"] = address_of(_PREFIXES)
        self.record["buffer"] = address_of(self._buffer)
        self.record["replies"] = address_of(self.replies)
        self.record["handed_over"] = address_of(self.handed_over)
        self.record["binary"] = address_of(self.binary)
        self.address = address_of(self.record)


@dataclass(frozen=True)
class Replies:
    """The replies of one call of `answer`."""

    answers: Answers
    count: int

    @property
    def records(self) -> np.ndarray:
        """REPLY records."""
        return self.answers.replies[: self.count]

    def body(self, reply: np.void) -> bytes:
        return array_at(int(reply["address"]), int(reply["size_bytes"]), np.dtype("u1")).tobytes()


@separate
def answer(answers: int, events: int, count: int, start: int) -> int:
    """Answer flights by `count` EVENT records, from index `start` on. The index to go on from, once replies are sent.

    Every event of this gateway's present life is in exactly one of: a reply, `handed_over`, `binary`.
    """
    a = record_at(answers, 0, ANSWERS)
    d = record_at(a.desk, 0, DESK)
    a.end = a.buffer
    a.replies_count = 0
    a.handed_over_count = 0
    a.binary_count = 0
    count = min(count, start + EVENTS_MAX)
    at = start
    while at < count:
        e = record_at(events, at, EVENT)
        if int64(e.gateway) != d.gateway or int64(e.incarnation) != d.incarnation:
            at += 1
            continue
        correlation = e.correlation
        if correlation >= CORRELATION_FROM:
            record_at(a.binary, a.binary_count, _INDEX).value = at
            a.binary_count += 1
            at += 1
            continue
        place = flight_find(d.flights, correlation)
        if place < 0:
            _hand_over(answers, at, at + 1)
            at += 1
            continue
        behind = _extent(a.desk, events, at, count)
        f = record_at(flight_at(d.flights, place), 0, FLIGHT)
        plain = int64(-1)
        if f.handed_over == 0:
            plain = _plain(answers, place, events, at, behind)
        if plain < 0:
            f.handed_over = 1
            _hand_over(answers, at, behind)
        else:
            seat = record_at(record_at(d.flights, 0, FLIGHTS).seats, f.seat, SEAT)
            if seat.number == f.number:  # else nobody is there any more to be told
                _reply(answers, place, events, at, behind, plain)
            flight_end(d.flights, place)
        at = behind
        if a.replies_count == REPLIES_MAX or a.end + REPLY_BYTES_MAX > a.buffer + BUFFER_BYTES:
            break
    return at


@compiled
def _hand_over(answers: int, start: int, end: int) -> None:
    a = record_at(answers, 0, ANSWERS)
    for at in range(start, end):
        record_at(a.handed_over, a.handed_over_count, _INDEX).value = at
        a.handed_over_count += 1


@compiled
def _extent(desk: int, events: int, at: int, count: int) -> int:
    """Behind the last of the events from `at` on that one after the other belong to the same command."""
    d = record_at(desk, 0, DESK)
    correlation = record_at(events, at, EVENT).correlation
    while at < count:
        e = record_at(events, at, EVENT)
        if e.correlation != correlation or int64(e.gateway) != d.gateway or int64(e.incarnation) != d.incarnation:
            break
        at += 1
        if int64(e.flag_bits) & EventFlag.LAST != 0:
            break
    return at


@compiled
def _plain(answers: int, place: int, events: int, at: int, behind: int) -> int:
    """The mode of self-trade prevention to show, if these are all events of a flight and its reply is a usual one.

    Else -1.
    """
    a = record_at(answers, 0, ANSWERS)
    f = record_at(flight_at(record_at(a.desk, 0, DESK).flights, place), 0, FLIGHT)
    first = record_at(events, at, EVENT)
    if int64(record_at(events, behind - 1, EVENT).flag_bits) & EventFlag.LAST == 0:
        return int64(-1)
    if int64(f.method) == Express.ORDER_CANCEL:
        if behind - at != 1 or first.kind != EventKind.CANCELED:
            return int64(-1)
        return order_plain_mode(a.orders, first.order_id)
    if int64(f.method) != Express.ORDER_PLACE or first.kind != EventKind.ACCEPTED or behind - at > FILLS_MAX:
        return int64(-1)
    for index in range(at + 1, behind):
        e = record_at(events, index, EVENT)
        is_own = e.kind == EventKind.TRADE or e.kind == EventKind.RESTED or e.kind == EventKind.CANCELED
        if not is_own or e.order_id != first.order_id or e.reason == Reason.PREVENTED:
            return int64(-1)
    return int64(record_at(events, at, ORDER_TERMS).self_trade_prevention)


@compiled
def _reply(answers: int, place: int, events: int, at: int, behind: int, prevention: int) -> None:
    """Write the reply of a flight, and where it goes."""
    a = record_at(answers, 0, ANSWERS)
    d = record_at(a.desk, 0, DESK)
    f = record_at(flight_at(d.flights, place), 0, FLIGHT)
    start = a.end
    out = start
    is_json = int64(f.encoding) != Encoding.MSGPACK
    r = record_at(a.replies, a.replies_count, REPLY)
    r.used = NOT_SHOWN
    r.orders_10s = NOT_SHOWN
    r.orders_1d = NOT_SHOWN
    shows_limits = f.shows_limits != 0
    if int64(f.encoding) == Encoding.QUERY:
        out = _result(answers, place, events, at, behind, prevention, is_json, out)
        if shows_limits and d.limits_enabled != 0:
            r.used = meter_shown(f.meter)
            if int64(f.method) == Express.ORDER_PLACE:
                counts = a.order_counts + f.account * _COUNTS_BYTES
                r.orders_10s = short_count_of(counts, a.now_ns)
                r.orders_1d = day_count_of(counts, a.now_ns)
    else:
        out = begin_map(is_json, out, 4 if shows_limits else 3)
        out = put_phrase(a.phrases, is_json, out, _ID)
        out = _put_id(answers, place, is_json, out)
        out = put_phrase(a.phrases, is_json, out, _STATUS_200)
        out = put_phrase(a.phrases, is_json, out, _RESULT)
        out = _result(answers, place, events, at, behind, prevention, is_json, out)
        if shows_limits:
            out = put_phrase(a.phrases, is_json, out, _RATE_LIMITS)
            out = _put_limits(answers, place, is_json, out)
        out = end_map(is_json, start, out)
    r.number = f.number
    r.seat = f.seat
    r.correlation = f.correlation
    r.address = start
    r.size_bytes = out - start
    r.encoding = int64(f.encoding)
    a.end = out
    a.replies_count += 1


@compiled
def _put_id(answers: int, place: int, is_json: bool, out: int) -> int:
    a = record_at(answers, 0, ANSWERS)
    flight = flight_at(record_at(a.desk, 0, DESK).flights, place)
    f = record_at(flight, 0, FLIGHT)
    if int64(f.id_kind) == IdKind.NUMBER:
        return put_number(is_json, out, f.id_number)
    if int64(f.id_kind) == IdKind.TEXT:
        return put_text(is_json, out, flight + ID_OFFSET, int64(f.id_length))
    return put_phrase(a.phrases, is_json, out, _NIL)


@compiled
def _put_limits(answers: int, place: int, is_json: bool, out: int) -> int:
    """The list `rateLimits`."""
    a = record_at(answers, 0, ANSWERS)
    d = record_at(a.desk, 0, DESK)
    f = record_at(flight_at(d.flights, place), 0, FLIGHT)
    is_place = int64(f.method) == Express.ORDER_PLACE
    if d.limits_enabled == 0:
        return end_list(is_json, begin_list(is_json, out, 0))
    out = begin_list(is_json, out, 3 if is_place else 1)
    out = put_phrase(a.phrases, is_json, out, _WEIGHT_ROW)
    out = _end_row(is_json, put_number(is_json, out, meter_shown(f.meter)))
    if is_place:
        counts = a.order_counts + f.account * _COUNTS_BYTES
        most, most_on_day = orders_10s_max(d.markets, f.account), orders_1d_max(d.markets, f.account)
        out = put_phrase(a.phrases, is_json, next_item(is_json, out, 1), _SHORT_ROW)
        out = _put_order_row(answers, is_json, out, most, short_count_of(counts, a.now_ns))
        out = put_phrase(a.phrases, is_json, next_item(is_json, out, 2), _DAY_ROW)
        out = _put_order_row(answers, is_json, out, most_on_day, day_count_of(counts, a.now_ns))
    return end_list(is_json, out)


@inlined
def _end_row(is_json: bool, out: int) -> int:
    return put_byte(out, 0x7D) if is_json else out


@compiled
def _put_order_row(answers: int, is_json: bool, out: int, limit: int, count: int) -> int:
    """What follows the phrase of a row of orders."""
    out = put_number(is_json, out, limit)
    out = put_phrase(record_at(answers, 0, ANSWERS).phrases, is_json, out, _COUNT)
    return _end_row(is_json, put_number(is_json, out, count))


@compiled
def _result(
    answers: int, place: int, events: int, at: int, behind: int, prevention: int, is_json: bool, out: int
) -> int:
    a = record_at(answers, 0, ANSWERS)
    d = record_at(a.desk, 0, DESK)
    f = record_at(flight_at(d.flights, place), 0, FLIGHT)
    m = record_at(d.markets, 0, MARKETS)
    market = m.markets + int64(f.market) * _MARKET_BYTES
    start = out
    is_place = int64(f.method) == Express.ORDER_PLACE
    event = events + at * RECORD_BYTES
    e = record_at(event, 0, EVENT)
    fields = int64(16)
    if is_place and int64(f.response_type) == ResponseType.ACK:
        fields = int64(5)
    elif is_place and int64(f.response_type) == ResponseType.FULL:
        fields = int64(17)
    out = begin_map(is_json, out, fields)
    out = put_phrase(a.phrases, is_json, out, _SYMBOL)
    out = put_text(is_json, out, market + SYMBOL_OFFSET, record_at(market, 0, MARKET).symbol_length)
    if not is_place:
        out = put_phrase(a.phrases, is_json, out, _ORIGINAL_ID)
        out = _put_client_id(answers, is_json, out, event + _ORIGINAL_CLIENT_ID, e.order_id, False)
    out = put_phrase(a.phrases, is_json, out, _ORDER_ID)
    out = put_number(is_json, out, e.order_id)
    out = put_phrase(a.phrases, is_json, out, _NO_LIST)
    out = put_phrase(a.phrases, is_json, out, _SHOWN_ID)
    derived = e.order_id if is_place else e.execution_id
    out = _put_client_id(answers, is_json, out, event + _CLIENT_ID, derived, not is_place)
    out = put_phrase(a.phrases, is_json, out, _TRANSACT_TIME)
    out = put_number(is_json, out, e.time_ns // f.unit_ns)
    if fields > 5:
        out = _put_progress(answers, market, events, at, behind - 1, is_json, out)
        if is_place:
            out = put_phrase(a.phrases, is_json, out, _WORKING_TIME)
            out = put_number(is_json, out, e.created_ns // f.unit_ns)
        out = put_phrase(a.phrases, is_json, out, _PREVENTIONS + prevention)
    if fields == 17:
        out = put_phrase(a.phrases, is_json, out, _FILLS)
        out = _put_fills(answers, market, events, at + 1, behind, is_json, out)
    return end_map(is_json, start, out)


@compiled
def _put_client_id(answers: int, is_json: bool, out: int, words: int, number: int, of_cancel: bool) -> int:
    """A client order id, or what is shown where there is none: a prefix with a number behind it."""
    if not words_empty(words):
        return put_text(is_json, out, words, text_length(words, _CLIENT_ID_BYTES))
    prefix = record_at(answers, 0, ANSWERS).prefixes + (_PREFIX_BYTES if of_cancel else 0)
    length = _CANCEL_PREFIX_BYTES if of_cancel else _PREFIX_BYTES
    out = put_text_head(is_json, out, length + digits_of(number))
    out = put_digits(put_bytes(out, prefix, length), number, 1)
    return put_text_tail(is_json, out)


@compiled
def _put_progress(answers: int, market: int, events: int, at: int, last: int, is_json: bool, out: int) -> int:
    """What an order is, and how far it has come by its last event."""
    a = record_at(answers, 0, ANSWERS)
    m = record_at(market, 0, MARKET)
    e = record_at(events, at, EVENT)
    final = record_at(events, last, EVENT)
    status = int64(final.status)
    executed = int64(final.executed_quantity)
    executed_quote = int64(final.executed_quote)
    if final.kind == EventKind.TRADE:
        t = record_at(events, last, TRADE)
        status = int64(t.taker_status)
        executed = int64(t.taker_executed_quantity)
        executed_quote = int64(t.taker_executed_quote)
    quantity = int64(e.quantity)
    if e.order_type == OrderType.MARKET and e.quote_quantity != 0 and e.kind == EventKind.ACCEPTED:
        quantity = executed
    out = put_phrase(a.phrases, is_json, out, _PRICE)
    out = put_decimal(is_json, out, e.price, m.price_scale)
    out = put_phrase(a.phrases, is_json, out, _ORIG_QTY)
    out = put_decimal(is_json, out, quantity, m.quantity_scale)
    out = put_phrase(a.phrases, is_json, out, _EXECUTED_QTY)
    out = put_decimal(is_json, out, executed, m.quantity_scale)
    out = put_phrase(a.phrases, is_json, out, _ORIG_QUOTE_QTY)
    out = put_decimal(is_json, out, e.quote_quantity, m.quote_scale)
    out = put_phrase(a.phrases, is_json, out, _QUOTE_QTY)
    out = put_decimal(is_json, out, executed_quote, m.quote_scale)
    out = put_phrase(a.phrases, is_json, out, _STATUSES + status)
    out = put_phrase(a.phrases, is_json, out, _TIMES + int64(e.time_in_force))
    out = put_phrase(a.phrases, is_json, out, _TYPES + int64(e.order_type))
    return put_phrase(a.phrases, is_json, out, _SIDES + int64(e.side))


@compiled
def _put_fills(answers: int, market: int, events: int, start: int, end: int, is_json: bool, out: int) -> int:
    a = record_at(answers, 0, ANSWERS)
    m = record_at(market, 0, MARKET)
    assets = record_at(record_at(a.desk, 0, DESK).markets, 0, MARKETS).assets
    count = int64(0)
    for at in range(start, end):
        if record_at(events, at, EVENT).kind == EventKind.TRADE:
            count += 1
    out = begin_list(is_json, out, count)
    index = int64(0)
    for at in range(start, end):
        if record_at(events, at, EVENT).kind != EventKind.TRADE:
            continue
        t = record_at(events, at, TRADE)
        number = m.base_asset if t.side == Side.BUY else m.quote_asset
        if t.taker_fee_asset != 0:
            number = int64(t.taker_fee_asset) - 1
        asset = assets + number * _ASSET_BYTES
        out = next_item(is_json, out, index)
        fill = out
        out = begin_map(is_json, out, 5)
        out = put_phrase(a.phrases, is_json, out, _PRICE)
        out = put_decimal(is_json, out, t.price, m.price_scale)
        out = put_phrase(a.phrases, is_json, out, _QTY)
        out = put_decimal(is_json, out, t.quantity, m.quantity_scale)
        out = put_phrase(a.phrases, is_json, out, _COMMISSION)
        out = put_decimal(is_json, out, t.taker_fee, record_at(asset, 0, ASSET).scale)
        out = put_phrase(a.phrases, is_json, out, _COMMISSION_ASSET)
        out = put_text(is_json, out, asset + NAME_OFFSET, record_at(asset, 0, ASSET).name_length)
        out = put_phrase(a.phrases, is_json, out, _TRADE_ID)
        out = put_number(is_json, out, t.trade_id)
        out = end_map(is_json, fill, out)
        index += 1
    return end_list(is_json, out)
