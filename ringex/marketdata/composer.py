"""The composer: a batch of events becomes the messages of the public streams, topics and payloads in one buffer.

One compiled pass makes them and another hands them to libzmq, so no Python runs for a message. What the streams are is
in `ringex.marketdata.streams`. Messages come in this order: trades and what auctions would give, as they come; then
what changed in the books; then quotes.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from typing import Any, Final

import numpy as np

from ringex.history.catalogue import Market
from ringex.jit import compiled, entry, inlined, int64
from ringex.marketdata.changes import BOOK_CHANGES, CHANGE, ChangesRoom, changes_collect
from ringex.marketdata.depth import BOOK, DEPTH, LEVEL, Depth, depth_best
from ringex.marketdata.streams import NANOSECONDS_PER_MILLISECOND, Message
from ringex.memory import address_of, record_at
from ringex.messages import EVENT, INDICATIVE_EVENT, RECORD_BYTES, TRADE
from ringex.packing import (
    DECIMAL_BYTES_MAX,
    SLACK_BYTES,
    put_array,
    put_bool,
    put_bytes,
    put_decimal,
    put_integer,
    put_text,
    put_word,
    word_of,
)
from ringex.terms import EventKind, Side
from ringex.zmqcalls import SNDMORE, zmq_send

SYMBOL_BYTES_MAX: Final = 24
MESSAGE_BYTES_MAX: Final = 256
"""Topic and payload of a trade, an auction, a quote, or a change of a book without its levels."""
CHANGE_BYTES_MAX: Final = 1 + 2 * DECIMAL_BYTES_MAX

MARKET_TEXT: Final = np.dtype(
    [
        ("price_scale", "i8"),
        ("price_unit", "i8"),  # 10 ** price_scale
        ("quantity_scale", "i8"),
        ("quantity_unit", "i8"),
        ("symbol_bytes", "i8"),
        ("symbol", "u1", (SYMBOL_BYTES_MAX,)),
        ("topic", "u1", (SYMBOL_BYTES_MAX,)),  # the symbol in small letters
        ("symbol_at", "i8"),  # the address of `symbol`
        ("topic_at", "i8"),
    ]
)
QUOTES: Final = np.dtype(
    [("known", "i8"), ("bid_price", "i8"), ("bid_quantity", "i8"), ("ask_price", "i8"), ("ask_quantity", "i8")]
)
"""What the last ticker message of a market said; not `known`: there was none."""
MESSAGE: Final = np.dtype([("topic", "i8"), ("topic_bytes", "i8"), ("payload_bytes", "i8")])
"""A message: the address of its topic, which its payload follows."""
COMPOSER: Final = np.dtype(
    [
        ("markets", "i8"),  # address of MARKET_TEXT records, by market number
        ("markets_count", "i8"),
        ("quotes", "i8"),  # of QUOTES records
        ("changes", "i8"),  # of CHANGE records
        ("spare", "i8"),
        ("books", "i8"),  # of BOOK_CHANGES records
        ("messages", "i8"),  # of MESSAGE records
        ("messages_count", "i8"),
        ("buffer", "i8"),
        ("end", "i8"),  # where the next topic comes
    ],
    align=True,
)


class Tickers(IntEnum):
    """Of which markets a batch tells the quotes, if they are not what was told last."""

    NONE = 0
    CHANGED = 1
    ALL = 2


class Composer:
    """Makes the messages of batches of at most `events_max` events. It remembers the quotes that were told last."""

    def __init__(self, events_max: int, markets_max: int) -> None:
        self.events_max = events_max
        self._room = ChangesRoom(events_max)
        self._markets = np.zeros(markets_max, MARKET_TEXT)
        self._known: list[Market] = []
        self._quotes = np.zeros(markets_max, QUOTES)
        count_max = 2 * events_max + markets_max  # trades and auctions, books, quotes
        self._messages = np.zeros(count_max, MESSAGE)
        self._buffer = np.zeros(count_max * MESSAGE_BYTES_MAX + events_max * CHANGE_BYTES_MAX + SLACK_BYTES, "u1")
        self._root = np.zeros(1, COMPOSER)
        tables = {"markets": self._markets, "quotes": self._quotes, "changes": self._room.changes}
        tables |= {"spare": self._room.spare, "books": self._room.books}
        tables |= {"messages": self._messages, "buffer": self._buffer}
        for name, table in tables.items():
            self._root[name] = address_of(table)
        self._address = address_of(self._root)

    def forget(self) -> None:
        """Forget the quotes told: ALL gives every market's again."""
        self._quotes["known"] = 0

    def compose(self, events: np.ndarray, markets: list[Market], depth: Depth, tickers: Tickers) -> int:
        """Make the messages of EVENT records, C-contiguous; `depth` has applied them. Returns how many there are.

        They are there until the next call.
        """
        assert events.dtype == EVENT and len(events) <= self.events_max
        self._learn(markets)
        return int(_compose(self._address, depth.address, address_of(events), len(events), int(tickers)))

    def send(self, function: int, socket: int) -> int:
        """Send them by libzmq's `zmq_send` at address `function`. Returns 0 or -errno."""
        return int(_send(self._address, function, socket))

    def messages(self) -> Iterator[Message]:
        """The same as topics and payloads."""
        start = address_of(self._buffer)
        for topic, topic_bytes, payload_bytes in self._messages[: int(self._root["messages_count"][0])].tolist():
            at, middle = topic - start, topic - start + topic_bytes
            yield self._buffer[at:middle].tobytes(), self._buffer[middle : middle + payload_bytes].tobytes()

    def _learn(self, markets: list[Market]) -> None:
        """Symbols and scales never change, so only what has been added is looked at."""
        for market in markets[len(self._known) :]:
            text = self._markets[market.number : market.number + 1]
            for name, scale in (("price", market.price_scale), ("quantity", market.quantity_scale)):
                text[f"{name}_scale"] = scale
                text[f"{name}_unit"] = 10**scale
            raw = market.symbol.encode("ascii")
            text["symbol_bytes"] = len(raw)
            for name, shown in (("symbol", raw), ("topic", raw.lower())):
                text[name][0, : len(raw)] = np.frombuffer(shown, "u1")
                text[f"{name}_at"] = address_of(text[name])
            self._known.append(market)
        self._root["markets_count"] = len(self._known)


@entry
@compiled
def _compose(composer: int, depth: int, events: int, count: int, tickers: int) -> int:
    c = record_at(composer, 0, COMPOSER)
    c.messages_count = 0
    c.end = c.buffer
    for at in range(count):
        event = events + at * RECORD_BYTES
        kind = record_at(event, 0, EVENT).kind
        if kind == EventKind.TRADE:
            _trade(composer, event)
        elif kind == EventKind.INDICATIVE:
            _auction(composer, event)
    books = changes_collect(events, count, c.changes, c.spare, c.books)
    for at in range(books):
        _depth(composer, at)
    if tickers == Tickers.CHANGED:
        for at in range(books):
            _ticker(composer, depth, record_at(c.books, at, BOOK_CHANGES).market)
    elif tickers == Tickers.ALL:
        for market in range(c.markets_count):
            _ticker(composer, depth, market)
    return int64(c.messages_count)


@entry
@compiled
def _send(composer: int, function: int, socket: int) -> int:
    c = record_at(composer, 0, COMPOSER)
    for at in range(c.messages_count):
        message = record_at(c.messages, at, MESSAGE)
        answer = zmq_send(function, socket, message.topic, message.topic_bytes, SNDMORE)
        if answer >= 0:
            answer = zmq_send(function, socket, message.topic + message.topic_bytes, message.payload_bytes, 0)
        if answer < 0:
            return answer
    return 0


@compiled
def _trade(composer: int, event: int) -> None:
    t = record_at(event, 0, TRADE)
    text = _text(composer, int64(t.market))
    time_ms = t.time_ns // NANOSECONDS_PER_MILLISECOND
    at = _begin(composer, text)
    payload = put_word(at, _TRADE_TOPIC, 6)
    at = put_word(payload, _TRADE_HEAD, 3)
    at = put_word(at, _TRADE_EVENT, 6)
    at = put_integer(put_word(at, _KEY_E, 2), time_ms)
    at = put_text(put_word(at, _KEY_S, 2), text.symbol_at, text.symbol_bytes)
    at = put_integer(put_word(at, _KEY_T, 2), t.trade_id)
    at = put_decimal(put_word(at, _KEY_P, 2), t.price, text.price_scale, text.price_unit)
    at = put_decimal(put_word(at, _KEY_Q, 2), t.quantity, text.quantity_scale, text.quantity_unit)
    at = put_integer(put_word(at, _KEY_TIME, 2), time_ms)
    at = put_bool(put_word(at, _KEY_M, 2), 1 if t.side == Side.SELL else 0)
    at = put_word(at, _IGNORE, 3)
    _finish(composer, payload, at)


@compiled
def _auction(composer: int, event: int) -> None:
    i = record_at(event, 0, INDICATIVE_EVENT)
    text = _text(composer, int64(i.market))
    at = _begin(composer, text)
    at = put_word(at, _AUCTION_TOPIC, 7)
    payload = put_word(at, _AUCTION_TOPIC_END, 1)
    at = put_word(payload, _DEPTH_HEAD, 3)
    at = put_word(put_word(at, _AUCTION_EVENT, 7), _AUCTION_EVENT_END, 1)
    at = put_integer(put_word(at, _KEY_E, 2), i.time_ns // NANOSECONDS_PER_MILLISECOND)
    at = put_text(put_word(at, _KEY_S, 2), text.symbol_at, text.symbol_bytes)
    at = put_decimal(put_word(at, _KEY_P, 2), i.price, text.price_scale, text.price_unit)
    at = put_decimal(put_word(at, _KEY_Q, 2), i.quantity, text.quantity_scale, text.quantity_unit)
    at = put_decimal(put_word(at, _KEY_I, 2), abs(i.imbalance), text.quantity_scale, text.quantity_unit)
    at = put_word(at, _KEY_SIDE, 2)
    if i.imbalance > 0:
        at = put_word(at, _BUY, 4)
    else:
        at = put_word(at, _SELL if i.imbalance < 0 else _NEITHER, 5)
    _finish(composer, payload, at)


@compiled
def _depth(composer: int, place: int) -> None:
    c = record_at(composer, 0, COMPOSER)
    book = record_at(c.books, place, BOOK_CHANGES)
    text = _text(composer, book.market)
    at = _begin(composer, text)
    payload = put_word(at, _DEPTH_TOPIC, 6)
    at = put_word(payload, _DEPTH_HEAD, 3)
    at = put_word(at, _DEPTH_EVENT, 7)
    at = put_word(at, _DEPTH_EVENT_END, 5)
    at = put_integer(put_word(at, _KEY_E, 2), book.time_ns // NANOSECONDS_PER_MILLISECOND)
    at = put_text(put_word(at, _KEY_S, 2), text.symbol_at, text.symbol_bytes)
    at = put_integer(put_word(at, _KEY_FIRST, 2), book.first_update_id)
    at = put_integer(put_word(at, _KEY_LAST, 2), book.last_update_id)
    at = _levels(put_word(at, _KEY_B, 2), text, c.changes, book.first, book.bids)
    at = _levels(put_word(at, _KEY_A, 2), text, c.changes, book.first + book.bids, book.asks)
    _finish(composer, payload, at)


@compiled
def _levels(at: int, text: Any, changes: int, first: int, count: int) -> int:
    at = put_array(at, count)
    for place in range(first, first + count):
        change = record_at(changes, place, CHANGE)
        at = put_array(at, 2)
        at = put_decimal(at, abs(change.rank), text.price_scale, text.price_unit)
        at = put_decimal(at, change.quantity, text.quantity_scale, text.quantity_unit)
    return at


@compiled
def _ticker(composer: int, depth: int, market: int) -> None:
    """The market's quotes, if they are not what was told last."""
    d = record_at(depth, 0, DEPTH)
    bid = record_at(d.levels, depth_best(depth, market, Side.BUY), LEVEL)
    ask = record_at(d.levels, depth_best(depth, market, Side.SELL), LEVEL)
    q = record_at(record_at(composer, 0, COMPOSER).quotes, market, QUOTES)
    same_bid = q.bid_price == bid.price and q.bid_quantity == bid.quantity
    if q.known != 0 and same_bid and q.ask_price == ask.price and q.ask_quantity == ask.quantity:
        return
    q.known = 1
    q.bid_price = bid.price
    q.bid_quantity = bid.quantity
    q.ask_price = ask.price
    q.ask_quantity = ask.quantity
    text = _text(composer, market)
    at = _begin(composer, text)
    at = put_word(at, _TICKER_TOPIC, 7)
    payload = put_word(at, _TICKER_TOPIC_END, 4)
    at = put_word(payload, _TICKER_HEAD, 3)
    at = put_integer(at, record_at(d.books, market, BOOK).update_id)
    at = put_text(put_word(at, _KEY_S, 2), text.symbol_at, text.symbol_bytes)
    at = put_decimal(put_word(at, _KEY_B, 2), q.bid_price, text.price_scale, text.price_unit)
    at = put_decimal(put_word(at, _KEY_BID_QUANTITY, 2), q.bid_quantity, text.quantity_scale, text.quantity_unit)
    at = put_decimal(put_word(at, _KEY_A, 2), q.ask_price, text.price_scale, text.price_unit)
    at = put_decimal(put_word(at, _KEY_ASK_QUANTITY, 2), q.ask_quantity, text.quantity_scale, text.quantity_unit)
    _finish(composer, payload, at)


@inlined
def _text(composer: int, market: int) -> Any:
    c = record_at(composer, 0, COMPOSER)
    assert 0 <= market < c.markets_count
    return record_at(c.markets, market, MARKET_TEXT)


@inlined
def _begin(composer: int, text: Any) -> int:
    """Begin a message with its market's part of the topic. Returns the address behind it."""
    return put_bytes(record_at(composer, 0, COMPOSER).end, text.topic_at, text.symbol_bytes)


@inlined
def _finish(composer: int, payload: int, end: int) -> None:
    c = record_at(composer, 0, COMPOSER)
    message = record_at(c.messages, c.messages_count, MESSAGE)
    message.topic = c.end
    message.topic_bytes = payload - c.end
    message.payload_bytes = end - payload
    c.messages_count += 1
    c.end = end


_TRADE_TOPIC: Final = word_of(b"@trade")
_TRADE_HEAD: Final = word_of(b"\x89\xa1e")
_TRADE_EVENT: Final = word_of(b"\xa5trade")
_DEPTH_TOPIC: Final = word_of(b"@depth")
_DEPTH_HEAD: Final = word_of(b"\x87\xa1e")
_DEPTH_EVENT: Final = word_of(b"\xabdepthU")
_DEPTH_EVENT_END: Final = word_of(b"pdate")
_AUCTION_TOPIC: Final = word_of(b"@auctio")
_AUCTION_TOPIC_END: Final = word_of(b"n")
_AUCTION_EVENT: Final = word_of(b"\xa7auctio")
_AUCTION_EVENT_END: Final = word_of(b"n")
_BUY: Final = word_of(b"\xa3BUY")
_SELL: Final = word_of(b"\xa4SELL")
_NEITHER: Final = word_of(b"\xa4NONE")
_TICKER_TOPIC: Final = word_of(b"@bookTi")
_TICKER_TOPIC_END: Final = word_of(b"cker")
_TICKER_HEAD: Final = word_of(b"\x86\xa1u")
_IGNORE: Final = word_of(b"\xa1M\xc3")
_KEY_E: Final = word_of(b"\xa1E")
_KEY_S: Final = word_of(b"\xa1s")
_KEY_T: Final = word_of(b"\xa1t")
_KEY_P: Final = word_of(b"\xa1p")
_KEY_Q: Final = word_of(b"\xa1q")
_KEY_I: Final = word_of(b"\xa1i")
_KEY_SIDE: Final = word_of(b"\xa1S")
_KEY_TIME: Final = word_of(b"\xa1T")
_KEY_M: Final = word_of(b"\xa1m")
_KEY_FIRST: Final = word_of(b"\xa1U")
_KEY_LAST: Final = word_of(b"\xa1u")
_KEY_B: Final = word_of(b"\xa1b")
_KEY_A: Final = word_of(b"\xa1a")
_KEY_BID_QUANTITY: Final = word_of(b"\xa1B")
_KEY_ASK_QUANTITY: Final = word_of(b"\xa1A")
