"""Statistics of the read model as streams: tickers, candles and average prices, where they have changed.

Nothing is remembered of a market but what was last said of it. What is not said again because it is the same is
compared without the times that always differ.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import numpy as np

from ringex.decimals import format_scaled
from ringex.gateways.feeds import payloads
from ringex.gateways.feeds.payloads import AverageMessage, DayMessage, MiniTickerMessage, WindowMessage
from ringex.gateways.feeds.registry import Payload
from ringex.gateways.feeds.topics import Kind, Stream
from ringex.gateways.tickers import AVERAGE_MINUTES, percent_change, weighted_average
from ringex.history.candles import Candle, candle_of
from ringex.history.catalogue import Market
from ringex.history.intervals import DAY_NS, HOUR_NS, MINUTE_NS, end_of, open_of
from ringex.history.readmodel import ReadModel
from ringex.terms import Side

WINDOW_NS: Final = {"1h": HOUR_NS, "4h": 4 * HOUR_NS, "1d": DAY_NS}
SETTLED_NS: Final = 250_000_000
"""So long after its end a candle is closed: its last trades have come by then."""
CLOSED_CANDLES_MAX: Final = 64
"""Of one stream at once, after a pause."""
_TIMES: Final = 2
"""How many of a candle's fields say when, not what."""

_Said = Any


class Statistics:
    """What was last said on each stream, by its name."""

    def __init__(self) -> None:
        self._said: dict[str, _Said] = {}

    def forget(self, name: str) -> None:
        self._said.pop(name, None)

    def changed(self, stream: Stream, market: Market | None, model: ReadModel, now_ns: int) -> Iterator[Payload]:
        """The messages that are due on a stream. `market` is None for a stream of all markets."""
        if market is None:
            yield from self._changed_tickers(stream, model, now_ns)
        elif stream.kind == Kind.CANDLE:
            yield from self._candles(stream, market, model, now_ns)
        else:
            content, payload = self._content(stream, market, model, now_ns)
            if self._said.get(stream.name) != content:
                self._said[stream.name] = content
                yield payload

    def present(self, stream: Stream, market: Market | None, model: ReadModel, now_ns: int) -> Payload | None:
        """What a newcomer is told at once; None where there is nothing to tell."""
        if market is None:
            return _tickers(stream, model, model.markets, now_ns) if model.markets else None
        if stream.kind != Kind.CANDLE:
            return self._content(stream, market, model, now_ns)[1]
        price = model.last_price(market.number)
        if not price:
            return None
        open_ns = open_of(stream.interval, now_ns - SETTLED_NS)
        candle = _filled(model.candles.candle(market.number, stream.interval, open_ns), price)
        return partial(payloads.candle, market, stream.interval.text, candle, now_ns, False)

    def _content(self, stream: Stream, market: Market, model: ReadModel, now_ns: int) -> tuple[_Said, Payload]:
        number = market.number
        if stream.kind == Kind.AVERAGE:
            window = model.candles.window(number, now_ns - (AVERAGE_MINUTES - 1) * MINUTE_NS)
            last = model.recent_trades(number, 1)
            price = weighted_average(market, window) or (last[0].price if last else 0)
            time_ns = last[0].time_ns if last else now_ns
            return (price, time_ns if last else 0), partial(_average, market, price, time_ns, now_ns)
        window = model.candles.window(number, now_ns - window_ns(stream))
        said: list[Any] = [window[_TIMES:], model.last_price(number)]
        if stream.kind == Kind.TICKER:
            said += [model.best(number, Side.BUY), model.best(number, Side.SELL)]
        return said, partial(_ticker_json, stream, market, window, model, now_ns)

    def _candles(self, stream: Stream, market: Market, model: ReadModel, now_ns: int) -> Iterator[Payload]:
        """The candles that have closed since, and the present one where it has changed."""
        interval, number = stream.interval, market.number
        price = model.last_price(number)
        if not price:
            return
        now_open = open_of(interval, now_ns - SETTLED_NS)
        said = self._said.get(stream.name)
        if said is not None:
            open_ns, price = said[0], said[1].close
            for _ in range(CLOSED_CANDLES_MAX):
                if open_ns >= now_open:
                    break
                candle = _filled(model.candles.candle(number, interval, open_ns), price)
                price = candle.close
                yield partial(payloads.candle, market, interval.text, candle, now_ns, True)
                open_ns = end_of(interval, open_ns)
        candle = _filled(model.candles.candle(number, interval, now_open), price)
        if (now_open, candle) != said:
            self._said[stream.name] = (now_open, candle)
            yield partial(payloads.candle, market, interval.text, candle, now_ns, False)

    def _changed_tickers(self, stream: Stream, model: ReadModel, now_ns: int) -> Iterator[Payload]:
        count = len(model.markets)
        if not count:
            return
        windows = model.candles.windows(now_ns - window_ns(stream), 0, count)
        contents = windows.view("i8").reshape(count, -1)[:, _TIMES:-1].copy()  # the last field is the market
        before = self._said.get(stream.name)
        self._said[stream.name] = contents
        known = 0 if before is None else len(before)
        differ = np.ones(count, bool)
        if before is not None:
            differ[:known] = (contents[:known] != before).any(axis=1)
        differ &= (contents != 0).any(axis=1) | (np.arange(count) < known)
        if differ.any():
            yield _tickers(stream, model, [model.markets[number] for number in np.flatnonzero(differ)], now_ns)


def window_ns(stream: Stream) -> int:
    return WINDOW_NS[stream.window] if stream.kind == Kind.WINDOW else DAY_NS


def _filled(candle: Candle, price: int) -> Candle:
    """A candle without trades shows the price before it."""
    if candle.trade_count:
        return candle
    return candle._replace(open=price, high=price, low=price, close=price)


def _tickers(stream: Stream, model: ReadModel, markets: list[Market], now_ns: int) -> Payload:
    windows = model.candles.windows(now_ns - window_ns(stream), 0, len(model.markets))
    found = [(market, candle_of(windows[market.number])) for market in markets]

    def payload(unit_ns: int) -> bytes:
        return payloads.encode([_ticker(stream, market, window, model, now_ns, unit_ns) for market, window in found])

    return payload


def _ticker_json(stream: Stream, market: Market, window: Candle, model: ReadModel, now_ns: int, unit_ns: int) -> bytes:
    return payloads.encode(_ticker(stream, market, window, model, now_ns, unit_ns))


def _ticker(
    stream: Stream, market: Market, window: Candle, model: ReadModel, now_ns: int, unit_ns: int
) -> MiniTickerMessage | WindowMessage:
    scale, number = market.price_scale, market.number
    last = model.last_price(number)
    opened = window.open if window.trade_count else 0
    change = last - opened if opened else 0
    common: dict[str, Any] = {
        "event_time": now_ns // unit_ns,
        "symbol": market.symbol,
        "close": format_scaled(last, scale),
        "open": format_scaled(opened, scale),
        "high": format_scaled(window.high, scale),
        "low": format_scaled(window.low, scale),
        "volume": format_scaled(window.volume, market.quantity_scale),
        "quote_volume": format_scaled(window.quote_volume, market.quote.scale),
    }
    if stream.kind == Kind.MINI_TICKER:
        return MiniTickerMessage(**common)
    common |= {
        "event": f"{stream.window}Ticker" if stream.kind == Kind.WINDOW else "24hrTicker",
        "change": format_scaled(change, scale),
        "change_percent": percent_change(change, opened),
        "average": format_scaled(weighted_average(market, window), scale),
        "open_time": window.open_ns // unit_ns,
        "close_time": now_ns // unit_ns,
        "first_trade_id": window.first_trade_id or -1,
        "last_trade_id": window.last_trade_id or -1,
        "trade_count": window.trade_count,
    }
    if stream.kind == Kind.WINDOW:
        return WindowMessage(**common)
    trades = model.recent_trades(number, 1)
    bid, ask = model.best(number, Side.BUY), model.best(number, Side.SELL)
    quantity = market.quantity_scale
    return DayMessage(
        **common,
        close_before=format_scaled(model.candles.close_before(number, window.open_ns), scale),
        last_quantity=format_scaled(trades[0].quantity if trades else 0, quantity),
        bid_price=format_scaled(bid.price, scale),
        bid_quantity=format_scaled(bid.quantity, quantity),
        ask_price=format_scaled(ask.price, scale),
        ask_quantity=format_scaled(ask.quantity, quantity),
    )


def _average(market: Market, price: int, time_ns: int, now_ns: int, unit_ns: int) -> bytes:
    average = format_scaled(price, market.price_scale)
    return payloads.encode(
        AverageMessage(
            event_time=now_ns // unit_ns, symbol=market.symbol, average=average, trade_time=time_ns // unit_ns
        )
    )
