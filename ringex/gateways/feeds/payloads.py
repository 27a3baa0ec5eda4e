"""Messages of the streams, as JSON in the dialect's fields. Prices and quantities are strings with 8 decimals.

`unit_ns` is the unit of every time in a message: a millisecond, or a microsecond for who asked for it.
"""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np

from ringex.decimals import format_scaled
from ringex.history.candles import Candle
from ringex.history.catalogue import Market
from ringex.marketdata.changes import MarketChanges
from ringex.marketdata.depth import Quote
from ringex.marketdata.streams import AuctionMessage, DepthMessage, TickerMessage, TradeMessage, side_left_over
from ringex.terms import Side

AVERAGE_INTERVAL: Final = "5m"

encode: Final = msgspec.json.Encoder().encode


class AggregateMessage(msgspec.Struct, kw_only=True):
    """`@aggTrade`: trades of one taker order at one price."""

    event: str = msgspec.field(name="e", default="aggTrade")
    event_time: int = msgspec.field(name="E")
    symbol: str = msgspec.field(name="s")
    aggregate_id: int = msgspec.field(name="a")
    price: str = msgspec.field(name="p")
    quantity: str = msgspec.field(name="q")
    first_trade_id: int = msgspec.field(name="f")
    last_trade_id: int = msgspec.field(name="l")
    trade_time: int = msgspec.field(name="T")
    buyer_is_maker: bool = msgspec.field(name="m")
    ignore: bool = msgspec.field(name="M", default=True)


class CandleFields(msgspec.Struct, kw_only=True):
    """`k` of a `@kline_`."""

    open_time: int = msgspec.field(name="t")
    close_time: int = msgspec.field(name="T")
    symbol: str = msgspec.field(name="s")
    interval: str = msgspec.field(name="i")
    first_trade_id: int = msgspec.field(name="f")
    last_trade_id: int = msgspec.field(name="L")
    open: str = msgspec.field(name="o")
    close: str = msgspec.field(name="c")
    high: str = msgspec.field(name="h")
    low: str = msgspec.field(name="l")
    volume: str = msgspec.field(name="v")
    trade_count: int = msgspec.field(name="n")
    is_closed: bool = msgspec.field(name="x")
    quote_volume: str = msgspec.field(name="q")
    buy_volume: str = msgspec.field(name="V")
    buy_quote_volume: str = msgspec.field(name="Q")
    ignore: str = msgspec.field(name="B", default="0")


class CandleMessage(msgspec.Struct, kw_only=True):
    """`@kline_<interval>`."""

    event: str = msgspec.field(name="e", default="kline")
    event_time: int = msgspec.field(name="E")
    symbol: str = msgspec.field(name="s")
    candle: CandleFields = msgspec.field(name="k")


class MiniTickerMessage(msgspec.Struct, kw_only=True):
    """`@miniTicker`: the last 24 hours."""

    event: str = msgspec.field(name="e", default="24hrMiniTicker")
    event_time: int = msgspec.field(name="E")
    symbol: str = msgspec.field(name="s")
    close: str = msgspec.field(name="c")
    open: str = msgspec.field(name="o")
    high: str = msgspec.field(name="h")
    low: str = msgspec.field(name="l")
    volume: str = msgspec.field(name="v")
    quote_volume: str = msgspec.field(name="q")


class WindowMessage(msgspec.Struct, kw_only=True):
    """`@ticker_<window>`; `@ticker` has more."""

    event: str = msgspec.field(name="e")
    event_time: int = msgspec.field(name="E")
    symbol: str = msgspec.field(name="s")
    change: str = msgspec.field(name="p")
    change_percent: str = msgspec.field(name="P")
    open: str = msgspec.field(name="o")
    high: str = msgspec.field(name="h")
    low: str = msgspec.field(name="l")
    close: str = msgspec.field(name="c")
    average: str = msgspec.field(name="w")
    volume: str = msgspec.field(name="v")
    quote_volume: str = msgspec.field(name="q")
    open_time: int = msgspec.field(name="O")
    close_time: int = msgspec.field(name="C")
    first_trade_id: int = msgspec.field(name="F")
    last_trade_id: int = msgspec.field(name="L")
    trade_count: int = msgspec.field(name="n")


class DayMessage(WindowMessage, kw_only=True):
    """`@ticker`: the last 24 hours, the last trade and the best of the book."""

    close_before: str = msgspec.field(name="x")
    last_quantity: str = msgspec.field(name="Q")
    bid_price: str = msgspec.field(name="b")
    bid_quantity: str = msgspec.field(name="B")
    ask_price: str = msgspec.field(name="a")
    ask_quantity: str = msgspec.field(name="A")


class AverageMessage(msgspec.Struct, kw_only=True):
    """`@avgPrice`."""

    event: str = msgspec.field(name="e", default="avgPrice")
    event_time: int = msgspec.field(name="E")
    symbol: str = msgspec.field(name="s")
    interval: str = msgspec.field(name="i", default=AVERAGE_INTERVAL)
    average: str = msgspec.field(name="w")
    trade_time: int = msgspec.field(name="T")


class LevelsMessage(msgspec.Struct, kw_only=True):
    """`@depth5` and the like: the best levels, whole."""

    last_update_id: int = msgspec.field(name="lastUpdateId")
    bids: list[tuple[str, str]]
    asks: list[tuple[str, str]]


class Aggregate(msgspec.Struct):
    """An aggregate trade as far as it has come."""

    aggregate_id: int
    command_sequence: int
    time_ns: int
    price: int
    quantity: int
    first_trade_id: int
    last_trade_id: int
    buyer_is_maker: bool


def trade(market: Market, row: tuple[int, int, int, int, int], unit_ns: int) -> bytes:
    """`row`: trade id, time in ns, price, quantity, the taker's side."""
    trade_id, time_ns, price, quantity, side = row
    time = time_ns // unit_ns
    return encode(
        TradeMessage(
            event_ms=time,
            symbol=market.symbol,
            trade_id=trade_id,
            price=format_scaled(price, market.price_scale),
            quantity=format_scaled(quantity, market.quantity_scale),
            trade_ms=time,
            buyer_is_maker=side == Side.SELL,
        )
    )


def aggregate(market: Market, found: Aggregate, unit_ns: int) -> bytes:
    time = found.time_ns // unit_ns
    return encode(
        AggregateMessage(
            event_time=time,
            symbol=market.symbol,
            aggregate_id=found.aggregate_id,
            price=format_scaled(found.price, market.price_scale),
            quantity=format_scaled(found.quantity, market.quantity_scale),
            first_trade_id=found.first_trade_id,
            last_trade_id=found.last_trade_id,
            trade_time=time,
            buyer_is_maker=found.buyer_is_maker,
        )
    )


def auction(market: Market, row: tuple[int, int, int, int], unit_ns: int) -> bytes:
    """`row`: time in ns, price, quantity, imbalance."""
    time_ns, price, quantity, imbalance = row
    return encode(
        AuctionMessage(
            event_ms=time_ns // unit_ns,
            symbol=market.symbol,
            price=format_scaled(price, market.price_scale),
            quantity=format_scaled(quantity, market.quantity_scale),
            imbalance=format_scaled(abs(imbalance), market.quantity_scale),
            side=side_left_over(imbalance),
        )
    )


def depth(market: Market, changes: MarketChanges, unit_ns: int) -> bytes:
    return encode(
        DepthMessage(
            event_ms=changes.time_ns // unit_ns,
            symbol=market.symbol,
            first_update_id=changes.first_update_id,
            last_update_id=changes.last_update_id,
            bids=[_level(market, *level) for level in changes.bids],
            asks=[_level(market, *level) for level in changes.asks],
        )
    )


def levels(market: Market, update_id: int, bids: np.ndarray, asks: np.ndarray) -> bytes:
    """`bids` and `asks` as `Depth.snapshot` gives them."""
    sides = [[_level(market, *level) for level in side.tolist()] for side in (bids, asks)]
    return encode(LevelsMessage(last_update_id=update_id, bids=sides[0], asks=sides[1]))


def book_ticker(market: Market, update_id: int, bid: Quote, ask: Quote) -> bytes:
    (bid_price, bid_quantity), (ask_price, ask_quantity) = _level(market, *bid), _level(market, *ask)
    return encode(
        TickerMessage(
            last_update_id=update_id,
            symbol=market.symbol,
            bid_price=bid_price,
            bid_quantity=bid_quantity,
            ask_price=ask_price,
            ask_quantity=ask_quantity,
        )
    )


def candle(market: Market, interval: str, found: Candle, now_ns: int, is_closed: bool, unit_ns: int) -> bytes:
    price, quantity, quote = market.price_scale, market.quantity_scale, market.quote.scale
    traded = found.trade_count > 0
    fields = CandleFields(
        open_time=found.open_ns // unit_ns,
        close_time=found.end_ns // unit_ns - 1,
        symbol=market.symbol,
        interval=interval,
        first_trade_id=found.first_trade_id if traded else -1,
        last_trade_id=found.last_trade_id if traded else -1,
        open=format_scaled(found.open, price),
        close=format_scaled(found.close, price),
        high=format_scaled(found.high, price),
        low=format_scaled(found.low, price),
        volume=format_scaled(found.volume, quantity),
        trade_count=found.trade_count,
        is_closed=is_closed,
        quote_volume=format_scaled(found.quote_volume, quote),
        buy_volume=format_scaled(found.buy_volume, quantity),
        buy_quote_volume=format_scaled(found.buy_quote_volume, quote),
    )
    return encode(CandleMessage(event_time=now_ns // unit_ns, symbol=market.symbol, candle=fields))


def _level(market: Market, price: int, quantity: int) -> tuple[str, str]:
    return format_scaled(price, market.price_scale), format_scaled(quantity, market.quantity_scale)
