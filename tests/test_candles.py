"""Intervals against the calendar, candles and windows against sums worked out by hand or written down plainly."""

from __future__ import annotations

import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from event_records import event

from ringex.history.candles import HOURS_KEPT, MINUTES_KEPT, Candle, Candles
from ringex.history.intervals import (
    DAY_NS,
    HOUR_NS,
    INTERVALS,
    MINUTE_NS,
    SECOND_NS,
    Interval,
    before,
    end_of,
    open_of,
)
from ringex.terms import EventKind, Side

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Trade = tuple[int, int, int, int, Side]  # time_ns, price, quantity, quote amount, side of the taker


def at(text: str) -> int:
    return (datetime.fromisoformat(text).replace(tzinfo=UTC) - EPOCH) // timedelta(microseconds=1) * 1000


def trades_of(trades: Iterable[Trade], market: int = 0) -> np.ndarray:
    records = [
        event(
            EventKind.TRADE,
            number,
            time_ns=time_ns,
            market=market,
            price=price,
            quantity=quantity,
            quote_amount=quote_amount,
            side=side,
            trade_id=number,
        )
        for number, (time_ns, price, quantity, quote_amount, side) in enumerate(trades, 1)
    ]
    return np.concatenate(records)


def candles_of(trades: Iterable[Trade], markets: int = 1) -> Candles:
    candles = Candles(markets)
    candles.add_markets(markets)
    candles.apply(trades_of(trades))
    return candles


def plain(trades: list[Trade], open_ns: int, end_ns: int) -> Candle:
    """The candle of those trades that lie in [open_ns, end_ns)."""
    numbered = [(number, *trade) for number, trade in enumerate(trades, 1) if open_ns <= trade[0] < end_ns]
    if not numbered:
        return Candle(open_ns, end_ns, *[0] * 10)
    bought = [trade for trade in numbered if trade[5] == Side.BUY]
    prices = [trade[2] for trade in numbered]
    return Candle(
        open_ns,
        end_ns,
        prices[0],
        max(prices),
        min(prices),
        prices[-1],
        numbered[0][0],
        numbered[-1][0],
        sum(trade[3] for trade in numbered),
        sum(trade[4] for trade in numbered),
        sum(trade[3] for trade in bought),
        sum(trade[4] for trade in bought),
    )


def test_the_dialects_names() -> None:
    assert list(INTERVALS) == [
        "1s",
        "1m",
        "3m",
        "5m",
        "15m",
        "30m",
        "1h",
        "2h",
        "4h",
        "6h",
        "8h",
        "12h",
        "1d",
        "3d",
        "1w",
        "1M",
    ]


@pytest.mark.parametrize(
    ("interval", "moment", "opens", "ends"),
    [
        ("1s", "2024-02-29T23:59:59.999999", "2024-02-29T23:59:59", "2024-03-01T00:00:00"),
        ("1m", "2024-02-29T23:59:59", "2024-02-29T23:59:00", "2024-03-01T00:00:00"),
        ("3m", "2024-01-01T00:05:59", "2024-01-01T00:03:00", "2024-01-01T00:06:00"),
        ("15m", "2024-01-01T10:15:00", "2024-01-01T10:15:00", "2024-01-01T10:30:00"),
        ("4h", "2024-01-01T11:59:59", "2024-01-01T08:00:00", "2024-01-01T12:00:00"),
        ("12h", "2024-01-01T11:59:59", "2024-01-01T00:00:00", "2024-01-01T12:00:00"),
        # The clocks of Europe went forward on that day; those of UTC did not.
        ("1d", "2024-03-31T02:30:00", "2024-03-31T00:00:00", "2024-04-01T00:00:00"),
        ("3d", "1970-01-04T00:00:00", "1970-01-04T00:00:00", "1970-01-07T00:00:00"),
        ("1w", "2024-01-01T00:00:00", "2024-01-01T00:00:00", "2024-01-08T00:00:00"),  # a Monday
        ("1w", "2023-12-31T23:59:59", "2023-12-25T00:00:00", "2024-01-01T00:00:00"),  # a Sunday
        ("1w", "1970-01-05T00:00:00", "1970-01-05T00:00:00", "1970-01-12T00:00:00"),
        ("1M", "2024-02-29T12:00:00", "2024-02-01T00:00:00", "2024-03-01T00:00:00"),
        ("1M", "2023-02-28T23:59:59", "2023-02-01T00:00:00", "2023-03-01T00:00:00"),
        ("1M", "2024-12-31T23:59:59", "2024-12-01T00:00:00", "2025-01-01T00:00:00"),
        ("1M", "2100-02-28T00:00:00", "2100-02-01T00:00:00", "2100-03-01T00:00:00"),  # no leap year
    ],
)
def test_where_intervals_begin_and_end(interval: str, moment: str, opens: str, ends: str) -> None:
    which = INTERVALS[interval]
    assert open_of(which, at(moment)) == at(opens)
    assert end_of(which, at(opens)) == at(ends)
    assert before(which, at(ends)) == at(opens)


def test_months_are_the_calendars() -> None:
    day = datetime(1970, 1, 1, tzinfo=UTC)
    while day.year < 2030:
        first = day.replace(day=1)
        assert open_of(Interval.MONTH_1, (day - EPOCH).days * DAY_NS + 7) == (first - EPOCH).days * DAY_NS
        day += timedelta(days=1)


def test_a_minute_by_hand() -> None:
    start = at("2024-05-05T10:00:00")
    candles = candles_of(
        [
            (start + 1, 100, 2, 200, Side.BUY),
            (start + 59 * SECOND_NS, 90, 3, 270, Side.SELL),
            (start + MINUTE_NS, 95, 1, 95, Side.BUY),
        ]
    )
    first = Candle(start, start + MINUTE_NS, 100, 100, 90, 90, 1, 2, 5, 470, 2, 200)
    assert candles.candle(0, Interval.MINUTE_1, start) == first
    assert first.trade_count == 2
    assert candles.current(0, Interval.MINUTE_1) == Candle(
        start + MINUTE_NS, start + 2 * MINUTE_NS, 95, 95, 95, 95, 3, 3, 1, 95, 1, 95
    )
    assert candles.current(0, Interval.HOUR_1) == Candle(start, start + HOUR_NS, 100, 100, 90, 95, 1, 3, 6, 565, 3, 295)
    assert candles.candle(0, Interval.SECOND_1, start + SECOND_NS).trade_count == 0
    assert candles.close_before(0, start + MINUTE_NS + 5) == 90
    assert candles.close_before(0, start) == 0
    assert candles.last_ns(0) == start + MINUTE_NS


def test_a_market_that_never_traded() -> None:
    candles = candles_of([(5, 1, 1, 1, Side.BUY)], markets=2)
    assert candles.current(1, Interval.DAY_1) is None
    assert candles.window(1, 0).trade_count == 0
    assert candles.close_before(1, 10**18) == 0
    assert candles.holds_from(1, Interval.MINUTE_1) == 0


def random_trades(seed: int, count: int, step_ns: int) -> list[Trade]:
    dice = random.Random(seed)
    time_ns, trades = at("2024-02-26T22:00:00"), []
    for _ in range(count):
        time_ns += int(dice.expovariate(1) * step_ns)
        big = dice.random() < 0.2  # three of these pass an int64
        quantity = (1 << 62) - dice.randint(1, 9) if big else dice.randint(1, 1000)
        trades.append((time_ns, dice.randint(1, 50), quantity, quantity - 1 or 1, dice.choice(list(Side))))
    return trades


@pytest.mark.parametrize(("seed", "step_ns"), [(1, SECOND_NS), (2, 20 * MINUTE_NS), (3, 7 * HOUR_NS)])
def test_every_interval_against_plain_sums(seed: int, step_ns: int) -> None:
    trades = random_trades(seed, 90, step_ns)
    candles = candles_of(trades)
    for interval in Interval:
        for moment in {open_of(interval, trade[0]) for trade in trades}:
            if moment >= candles.holds_from(0, interval):
                assert candles.candle(0, interval, moment) == plain(trades, moment, end_of(interval, moment))
        assert candles.current(0, interval) == candles.candle(0, interval, open_of(interval, trades[-1][0]))


@pytest.mark.parametrize("seed", range(5))
def test_rolling_windows_against_plain_sums(seed: int) -> None:
    trades = random_trades(seed, 200, 9 * MINUTE_NS)
    candles = candles_of(trades, markets=3)
    now_ns = trades[-1][0]
    for length_ns in (MINUTE_NS, 59 * MINUTE_NS, HOUR_NS, 23 * HOUR_NS, DAY_NS):
        start = open_of(Interval.MINUTE_1, now_ns - length_ns)
        expected = plain(trades, start, 1 << 62)
        found = candles.window(0, now_ns - length_ns)
        assert found[2:] == expected[2:]
        assert found.open_ns == start
        earlier = [trade[1] for trade in trades if trade[0] < start]
        assert candles.close_before(0, now_ns - length_ns) == (earlier[-1] if earlier else 0)
    assert candles.windows(now_ns, 0, 3)["market"].tolist() == [0, 1, 2]


def test_old_candles_go_and_it_says_so() -> None:
    start = at("2024-01-01T00:00:00")
    trades: list[Trade] = [(start + n * MINUTE_NS, 1 + n, 1, 1, Side.BUY) for n in range(MINUTES_KEPT + 5)]
    candles = candles_of(trades)
    assert len(candles.held(0, Interval.MINUTE_1)) == MINUTES_KEPT
    assert candles.held(0, Interval.MINUTE_1)["open"][0] == 6
    assert candles.holds_from(0, Interval.MINUTE_1) == start + 6 * MINUTE_NS
    assert candles.holds_from(0, Interval.MINUTE_5) == start + 10 * MINUTE_NS
    assert candles.holds_from(0, Interval.HOUR_1) == 0
    hourly: list[Trade] = [(start + n * HOUR_NS, 1 + n, 1, 1, Side.BUY) for n in range(HOURS_KEPT + 1)]
    assert candles_of(hourly).holds_from(0, Interval.DAY_1) == start + DAY_NS


def test_what_is_loaded_goes_on_as_if_nothing_had_been() -> None:
    trades = random_trades(4, 160, 30 * SECOND_NS)
    events = trades_of(trades)
    whole, half, loaded = Candles(2), Candles(2), Candles(2)
    for candles in (whole, half):
        candles.add_markets(2)
    whole.apply(events)
    half.apply(events[:140])
    loaded.load(half.export(2), half.counts(2))
    loaded.apply(events[140:])
    assert loaded.export(2).tobytes() == whole.export(2).tobytes()
    assert (loaded.counts(2) == whole.counts(2)).all()


def test_frames_that_do_not_fit_are_refused() -> None:
    candles = candles_of(random_trades(5, 20, MINUTE_NS))
    exported, counts = candles.export(1), candles.counts(1)
    for records, wrong in ((exported[:-1], counts), (exported, -counts), (exported[::-1].copy(), counts)):
        with pytest.raises(ValueError, match="candles"):
            Candles(1).load(records, wrong)
