"""klines and uiKlines: the history store's candles, the newest from the read model, those without a trade filled in.

In a time zone other than UTC, intervals that begin elsewhere there are summed from shorter candles.
"""

from __future__ import annotations

from typing import Any, Final

from ringex.decimals import format_scaled
from ringex.gateways.calls import Call
from ringex.gateways.lookups import Lookup, StoreBehind
from ringex.gateways.parameters import Kind, Parameter
from ringex.gateways.queries import limit_of
from ringex.gateways.ranges import END_TIME, START_TIME, span_of
from ringex.gateways.tickers import TIME_ZONE, time_zone
from ringex.gateways.times import shown
from ringex.history.candles import Candle
from ringex.history.catalogue import Market
from ringex.history.intervals import INTERVALS, Interval, end_of, open_of
from ringex.history.readmodel import ReadModel
from ringex.history.store.store import TIME_MAX, Progress, Store

LIMIT: Final = 500
LIMIT_MAX: Final = 1000
SUMMED_MAX: Final = 50_000
"""Shorter candles that one query in another time zone may sum."""
INTERVAL: Final = Parameter(
    "interval", Kind.CHOICE, required=True, choices=tuple(INTERVALS), refusal=(-1120, "Invalid interval.")
)
PARAMETERS: Final = (
    Parameter("symbol", Kind.TEXT, required=True),
    INTERVAL,
    START_TIME,
    END_TIME,
    TIME_ZONE,
    Parameter("limit", Kind.INTEGER),
)
_FINER: Final = (Interval.HOUR_1, Interval.MINUTE_30, Interval.MINUTE_15, Interval.MINUTE_1)


def klines(call: Call) -> Lookup:
    """Candles from startTime on, or the last ones up to endTime or now; oldest first. Raises Refusal."""
    market, interval = call.market(), INTERVALS[call.arguments["interval"]]
    zone, span = _Zone(interval, time_zone(call.arguments.get("timeZone", "0"))), span_of(call)
    limit = min(limit_of(call, LIMIT, LIMIT_MAX), zone.limit_max)
    end_ns = min(span.end_ns, call.now_ns + 1)
    number = market.number

    def ask(store: Store) -> tuple[list[int], list[Candle], int]:
        first_open = store.first_open(number, interval, 0)
        opens = zone.opens(max(span.start_ns, 0) if span.starts else None, end_ns, limit, first_open)
        if not opens:
            return [], [], 0
        low, high = opens[0], zone.end(opens[-1])
        room = SUMMED_MAX + LIMIT_MAX
        return opens, store.candles(number, zone.finer, low, high, room), store.close_before(number, zone.finer, low)

    def reply(now: Call, progress: Progress, answer: tuple[list[int], list[Candle], int]) -> list[list[Any]]:
        opens, stored, before = answer
        live = _live(now.model, market, zone.finer, progress)
        if not opens and live:  # nothing is stored of the market yet, or not that late
            start = span.start_ns if span.starts else None
            opens = zone.opens(start, end_ns, limit, zone.open(min(live)))
        if not opens:
            return []
        parts = {candle.open_ns: candle for candle in stored} | live
        earlier = [open_ns for open_ns in live if open_ns < opens[0]]
        before = live[max(earlier)].close if earlier else before
        return _filled(market, zone, opens, parts, before)

    return Lookup(ask, reply)


class _Zone:
    """The intervals of one kind in a time zone `offset_ns` ahead of UTC, and the candles that they are summed from."""

    def __init__(self, interval: Interval, offset_ns: int) -> None:
        self._interval = interval
        self._offset_ns = 0
        self.finer = interval
        length = interval.length_ns
        if offset_ns and (length == 0 or offset_ns % length or interval >= Interval.DAY_1):
            self._offset_ns = offset_ns
            self.finer = next(one for one in _FINER if offset_ns % one.length_ns == 0)

    @property
    def limit_max(self) -> int:
        """How many candles one query gives: fewer where they are summed from many shorter ones."""
        if self.finer == self._interval:
            return LIMIT_MAX
        longest = self._interval.length_ns or end_of(Interval.MONTH_1, 0)
        return max(min(SUMMED_MAX * self.finer.length_ns // longest, LIMIT_MAX), 1)

    def open(self, time_ns: int) -> int:
        return open_of(self._interval, time_ns + self._offset_ns) - self._offset_ns

    def end(self, open_ns: int) -> int:
        return end_of(self._interval, open_ns + self._offset_ns) - self._offset_ns

    def opens(self, start_ns: int | None, end_ns: int, limit: int, first_open: int) -> list[int]:
        """Where the intervals begin that lie in [start_ns, end_ns), at most `limit`, none before the market's first
        candle: the first ones, or, where `start_ns` is None, the last ones."""
        if first_open == TIME_MAX or end_ns <= max(first_open, start_ns or 0):
            return []
        first = self.open(first_open)
        if start_ns is None:
            opens = [self.open(end_ns - 1)]
            while len(opens) < limit and opens[-1] > first:
                opens.append(self.open(opens[-1] - 1))
            return opens[::-1]
        at = max(first, self.open(start_ns) if self.open(start_ns) == start_ns else self.end(self.open(start_ns)))
        opens = []
        while len(opens) < limit and at < end_ns:
            opens.append(at)
            at = self.end(at)
        return opens


def _live(model: ReadModel, market: Market, interval: Interval, progress: Progress) -> dict[int, Candle]:
    """The candles that the store may not have in full, by when they begin. Raises StoreBehind where memory has not."""
    candles = model.candles
    last_ns = candles.last_ns(market.number)
    at = open_of(interval, progress.time_ns)
    if not last_ns or at > last_ns:
        return {}
    if max(at, 0) < candles.holds_from(market.number, interval):  # weeks may begin before 1970
        raise StoreBehind
    layer = Interval.MONTH_1 if interval == Interval.MONTH_1 else Interval.HOUR_1
    if interval < Interval.HOUR_1:
        layer = Interval.MINUTE_1 if interval >= Interval.MINUTE_1 else Interval.SECOND_1
    held = candles.held(market.number, layer)["open_ns"]
    opens = {open_of(interval, open_ns) for open_ns in held[held >= at].tolist()}
    return {open_ns: candles.candle(market.number, interval, open_ns) for open_ns in sorted(opens)}


def _filled(market: Market, zone: _Zone, opens: list[int], parts: dict[int, Candle], before: int) -> list[list[Any]]:
    """One row for each of `opens`; where nothing was traded, at the last price before."""
    waiting = sorted(open_ns for open_ns in parts if open_ns >= opens[0])[::-1]
    rows, price = [], before
    for open_ns in opens:
        end_ns = zone.end(open_ns)
        own: list[Candle] = []
        while waiting and waiting[-1] < end_ns:
            own.append(parts[waiting.pop()])
        prices = [own[0].open, max(c.high for c in own), min(c.low for c in own), own[-1].close] if own else [price] * 4
        price = prices[3]
        if price:
            rows.append(_row(market, open_ns, end_ns, prices, own))
    return rows


def _row(market: Market, open_ns: int, end_ns: int, prices: list[int], parts: list[Candle]) -> list[Any]:
    quote = market.quote.scale
    return [
        shown(open_ns),
        *(format_scaled(price, market.price_scale) for price in prices),
        format_scaled(sum(candle.volume for candle in parts), market.quantity_scale),
        shown(end_ns) - 1,
        format_scaled(sum(candle.quote_volume for candle in parts), quote),
        sum(candle.trade_count for candle in parts),
        format_scaled(sum(candle.buy_volume for candle in parts), market.quantity_scale),
        format_scaled(sum(candle.buy_quote_volume for candle in parts), quote),
        "0",
    ]
