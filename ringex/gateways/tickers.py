"""Tickers: what a market did in a rolling window or on a trading day, from the candles of the read model.

Windows begin with a full minute, so one is up to a minute longer than was asked for; those of 2d to 7d with a full
hour, where the market has traded in more minutes than the read model holds. `openTime` is where it really begins.
"""

from __future__ import annotations

import re
from typing import Any, Final

import numpy as np

from ringex.decimals import format_scaled
from ringex.gateways.calls import Call
from ringex.gateways.errors import Refusal, invalid, one_of_two
from ringex.gateways.parameters import Kind, Parameter
from ringex.gateways.queries import markets_asked
from ringex.gateways.times import shown
from ringex.history.candles import Candle, candle_of
from ringex.history.catalogue import Market
from ringex.history.intervals import DAY_NS, HOUR_NS, MINUTE_NS, Interval
from ringex.terms import MarketStatus, Side

AVERAGE_MINUTES: Final = 5
SYMBOLS_MAX: Final = 100
"""Of one request for windows and trading days."""
TIME_ZONE_MIN_MINUTES: Final = -12 * 60
TIME_ZONE_MAX_MINUTES: Final = 14 * 60
WINDOW_DEFAULT: Final = "1d"

_SYMBOL_OR_NONE: Final = Parameter("symbol", Kind.TEXT)
_SYMBOLS: Final = Parameter("symbols", Kind.TEXTS)
_TYPE: Final = Parameter("type", Kind.CHOICE, choices=("FULL", "MINI"))
_STATUS: Final = Parameter("symbolStatus", Kind.CHOICE, choices=tuple(MarketStatus.__members__))
TIME_ZONE: Final = Parameter("timeZone", Kind.TEXT)

PRICE_PARAMETERS: Final = (_SYMBOL_OR_NONE, _SYMBOLS, _STATUS)
DAY_PARAMETERS: Final = (_SYMBOL_OR_NONE, _SYMBOLS, _TYPE, _STATUS)
WINDOW_PARAMETERS: Final = (_SYMBOL_OR_NONE, _SYMBOLS, Parameter("windowSize", Kind.TEXT), _TYPE, _STATUS)
TRADING_DAY_PARAMETERS: Final = (_SYMBOL_OR_NONE, _SYMBOLS, TIME_ZONE, _TYPE, _STATUS)
AVERAGE_PARAMETERS: Final = (Parameter("symbol", Kind.TEXT, required=True),)

_WINDOW: Final = re.compile(r"([1-9][0-9]?)([mhd])\Z")
_WINDOW_UNITS: Final = {"m": (MINUTE_NS, 59), "h": (HOUR_NS, 23), "d": (DAY_NS, 7)}
_TIME_ZONE: Final = re.compile(r"([+-]?)([0-9]{1,2})(?::([0-9]{2}))?\Z")
_PERCENT_SCALE: Final = 3


def price(call: Call) -> Any:
    """ticker.price: the last price of one market, several, or all."""
    found = [
        {
            "symbol": market.symbol,
            "price": format_scaled(call.model.last_price(market.number), market.price_scale),
        }
        for market in _markets(call)
    ]
    return _one_or_all(call, found)


def average_price(call: Call) -> dict[str, Any]:
    """avgPrice: by quantity, over as many minutes as the market's filters name; the last price where none traded."""
    market = call.market()
    minutes = market.filters.average_minutes or AVERAGE_MINUTES
    window = call.model.candles.window(market.number, call.now_ns - (minutes - 1) * MINUTE_NS)
    last = call.model.recent_trades(market.number, 1)
    average = weighted_average(market, window) or (last[0].price if last else 0)
    return {
        "mins": minutes,
        "price": format_scaled(average, market.price_scale),
        "closeTime": shown(last[0].time_ns if last else call.now_ns),
    }


def day(call: Call) -> Any:
    """ticker.24hr: of one market, several, or all."""
    markets = _markets(call)
    start_ns = call.now_ns - DAY_NS
    full = call.arguments.get("type", "FULL") == "FULL"
    found = []
    for market, record in zip(markets, _windows(call, markets, start_ns), strict=True):
        window = candle_of(record)
        ticker = _statistics(call, market, window, shown(call.now_ns), full=full)
        found.append(ticker | _quotes(call, market, window) if full else ticker)
    return _one_or_all(call, found)


def rolling(call: Call) -> Any:
    """ticker: a window of 1m to 59m, 1h to 23h, or 1d to 7d."""
    length_ns = window_length(call.arguments.get("windowSize", WINDOW_DEFAULT))
    full = call.arguments.get("type", "FULL") == "FULL"
    close_ms = shown(call.now_ns)
    found = []
    for market in _some_markets(call):
        start_ns = call.now_ns - length_ns
        if length_ns > DAY_NS and call.model.candles.holds_from(market.number, Interval.MINUTE_1) > start_ns:
            start_ns -= start_ns % HOUR_NS
        window = call.model.candles.window(market.number, start_ns)
        found.append(_statistics(call, market, window, close_ms, full=full))
    return _one_or_all(call, found)


def trading_day(call: Call) -> Any:
    """ticker.tradingDay: since midnight, in the time zone that was asked for."""
    offset_ns = time_zone(call.arguments.get("timeZone", "0"))
    start_ns = call.now_ns - (call.now_ns + offset_ns) % DAY_NS
    full = call.arguments.get("type", "FULL") == "FULL"
    found = []
    for market in _some_markets(call):
        window = call.model.candles.window(market.number, start_ns)
        found.append(_statistics(call, market, window, shown(start_ns + DAY_NS) - 1, full=full))
    return _one_or_all(call, found)


def window_length(text: str) -> int:
    """A window's length in ns. Raises Refusal."""
    match = _WINDOW.match(text)
    if match is not None:
        unit_ns, count_max = _WINDOW_UNITS[match[2]]
        if int(match[1]) <= count_max:
            return int(match[1]) * unit_ns
    raise invalid("windowSize", "It must be one of 1m to 59m, 1h to 23h, 1d to 7d.")


def time_zone(text: str) -> int:
    """How far a time zone, such as "0", "8", "-1:00" or "05:45", is ahead of UTC, in ns. Raises Refusal."""
    match = _TIME_ZONE.match(text)
    if match is not None:
        minutes = int(match[2]) * 60 + int(match[3] or 0)
        minutes = -minutes if match[1] == "-" else minutes
        if TIME_ZONE_MIN_MINUTES <= minutes <= TIME_ZONE_MAX_MINUTES and int(match[3] or 0) < 60:
            return minutes * MINUTE_NS
    raise invalid("timeZone", 'It must be hours, or hours and minutes, from "-12:00" to "+14:00".')


def weighted_average(market: Market, window: Candle) -> int:
    """The average price by quantity, rounded down to the market's price scale; 0 where nothing was traded."""
    if not window.volume:
        return 0
    exponent = market.price_scale + market.quantity_scale - market.quote.scale
    return window.quote_volume * 10 ** max(exponent, 0) // (window.volume * 10 ** max(-exponent, 0))


def percent_change(change: int, opened: int) -> str:
    """`change` as a part of `opened`, in per cent with three decimals; "0.000" where nothing was traded."""
    percent = _rounded(change * 100 * 10**_PERCENT_SCALE, opened) if opened else 0
    return format_scaled(percent, _PERCENT_SCALE, _PERCENT_SCALE)


def _statistics(call: Call, market: Market, window: Candle, close_ms: int, *, full: bool) -> dict[str, Any]:
    """The fields that all tickers share. Nothing traded: ids are -1, the last price is the one before."""
    scale, quote = market.price_scale, market.quote.scale
    last = call.model.last_price(market.number)
    opened = window.open if window.trade_count else 0
    change = last - opened if opened else 0
    ticker: dict[str, Any] = {"symbol": market.symbol}
    if full:
        ticker |= {
            "priceChange": format_scaled(change, scale),
            "priceChangePercent": percent_change(change, opened),
            "weightedAvgPrice": format_scaled(weighted_average(market, window), scale),
        }
    return ticker | {
        "openPrice": format_scaled(opened, scale),
        "highPrice": format_scaled(window.high, scale),
        "lowPrice": format_scaled(window.low, scale),
        "lastPrice": format_scaled(last, scale),
        "volume": format_scaled(window.volume, market.quantity_scale),
        "quoteVolume": format_scaled(window.quote_volume, quote),
        "openTime": shown(window.open_ns),
        "closeTime": close_ms,
        "firstId": window.first_trade_id or -1,
        "lastId": window.last_trade_id or -1,
        "count": window.trade_count,
    }


def _quotes(call: Call, market: Market, window: Candle) -> dict[str, Any]:
    """What ticker.24hr has besides: the best of the book, the last trade, the last price before the window."""
    bid_price, bid_quantity = call.model.best(market.number, Side.BUY)
    ask_price, ask_quantity = call.model.best(market.number, Side.SELL)
    last = call.model.recent_trades(market.number, 1)
    before = call.model.candles.close_before(market.number, window.open_ns)
    return {
        "prevClosePrice": format_scaled(before, market.price_scale),
        "lastQty": format_scaled(last[0].quantity if last else 0, market.quantity_scale),
        "bidPrice": format_scaled(bid_price, market.price_scale),
        "bidQty": format_scaled(bid_quantity, market.quantity_scale),
        "askPrice": format_scaled(ask_price, market.price_scale),
        "askQty": format_scaled(ask_quantity, market.quantity_scale),
    }


def _windows(call: Call, markets: list[Market], start_ns: int) -> np.ndarray:
    """CANDLE records of the windows of `markets`: many are summed in one go."""
    candles = call.model.candles
    if len(markets) == 1:
        return candles.windows(start_ns, markets[0].number, 1)
    return candles.windows(start_ns, 0, len(call.model.markets))[[market.number for market in markets]]


def _markets(call: Call) -> list[Market]:
    status = call.arguments.get("symbolStatus")
    return [market for market in markets_asked(call) if status in (None, market.status.name)]


def _some_markets(call: Call) -> list[Market]:
    """Those of `symbol` or `symbols`, one of which must be sent. Raises Refusal."""
    if not call.arguments.keys() & {"symbol", "symbols"}:
        raise one_of_two("symbol", "symbols")
    markets = _markets(call)
    if len(markets) > SYMBOLS_MAX:
        raise Refusal(-1128, f"Combination of optional parameters invalid. At most {SYMBOLS_MAX} symbols are allowed.")
    return markets


def _one_or_all(call: Call, found: list[dict[str, Any]]) -> Any:
    """One map where `symbol` was sent, else an array."""
    if "symbol" not in call.arguments:
        return found
    if not found:
        status = call.arguments["symbolStatus"]
        raise Refusal(-1220, f"The symbol's status does not match the requested symbolStatus. It is not {status}.")
    return found[0]


def _rounded(numerator: int, denominator: int) -> int:
    """The quotient, rounded half away from zero."""
    quotient = (abs(numerator) * 2 + denominator) // (2 * denominator)
    return quotient if numerator >= 0 else -quotient
