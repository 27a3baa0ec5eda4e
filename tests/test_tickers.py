"""Tickers of two markets, worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest
from market_days import MarketDays, ms
from reference.desk import ALICE

from ringex.terms import MarketStatus, Side

NOW = "2024-03-02T12:00:30"


@pytest.fixture(scope="module")
def days() -> MarketDays:
    days = MarketDays("2024-02-20T00:00:00")
    days.trade("2024-02-24T10:20:00", 5000, 7)
    days.trade("2024-03-01T11:59:59", 10000, 100)  # a minute and a second before the day's window begins
    days.trade("2024-03-01T12:00:00", 20000, 100, Side.SELL)
    days.trade("2024-03-02T00:00:00", 30000, 200)
    days.trade("2024-03-02T11:59:00", 15000, 100)
    days.do(days.desk.place(ALICE, Side.BUY, 14000, 3))
    days.do(days.desk.place(ALICE, Side.SELL, 16000, 4))
    return days


def test_a_day_in_full(days: MarketDays) -> None:
    assert days.ask("ticker.24hr", NOW, symbol="BTCUSDT") == {
        "symbol": "BTCUSDT",
        "priceChange": "-50.00000000",
        "priceChangePercent": "-25.000",
        "weightedAvgPrice": "237.50000000",  # (200 + 2 x 300 + 150) / 4
        "openPrice": "200.00000000",
        "highPrice": "300.00000000",
        "lowPrice": "150.00000000",
        "lastPrice": "150.00000000",
        "volume": "4.00000000",
        "quoteVolume": "950.00000000",
        "openTime": ms("2024-03-01T12:00:00"),
        "closeTime": ms(NOW),
        "firstId": 3,
        "lastId": 5,
        "count": 3,
        "prevClosePrice": "100.00000000",
        "lastQty": "1.00000000",
        "bidPrice": "140.00000000",
        "bidQty": "0.03000000",
        "askPrice": "160.00000000",
        "askQty": "0.04000000",
    }


def test_a_day_of_all_markets_and_of_one_that_never_traded(days: MarketDays) -> None:
    both = days.ask("ticker.24hr", NOW, type="MINI")
    assert [ticker["symbol"] for ticker in both] == ["BTCUSDT", "BTCUSDC"]
    zero = "0.00000000"
    assert both[1] == {
        "symbol": "BTCUSDC",
        "openPrice": zero,
        "highPrice": zero,
        "lowPrice": zero,
        "lastPrice": zero,
        "volume": zero,
        "quoteVolume": zero,
        "openTime": ms("2024-03-01T12:00:00"),
        "closeTime": ms(NOW),
        "firstId": -1,
        "lastId": -1,
        "count": 0,
    }
    assert days.ask("ticker.24hr", NOW, symbols=["BTCUSDC"])[0]["priceChangePercent"] == "0.000"
    quiet = days.ask("ticker.24hr", "2024-03-05T00:00:00", symbol="BTCUSDT")
    assert (quiet["count"], quiet["lastPrice"], quiet["openPrice"]) == (0, "150.00000000", zero)


@pytest.mark.parametrize(
    ("window", "first_id", "count", "opens"),
    [
        ("1m", -1, 0, "2024-03-02T11:59:00"),
        ("2m", 5, 1, "2024-03-02T11:58:00"),
        ("12h", 4, 2, "2024-03-02T00:00:00"),
        ("1d", 3, 3, "2024-03-01T12:00:00"),
        ("7d", 1, 5, "2024-02-24T12:00:00"),
    ],
)
def test_rolling_windows(days: MarketDays, window: str, first_id: int, count: int, opens: str) -> None:
    now = NOW if window != "1m" else "2024-03-02T12:01:00"
    if window == "1m":
        opens = "2024-03-02T12:00:00"
    if window == "7d":
        now, opens = "2024-03-02T10:00:59", "2024-02-24T10:00:00"
        count = 5
    ticker = days.ask("ticker", now, symbol="BTCUSDT", windowSize=window)
    assert (ticker["firstId"], ticker["count"], ticker["openTime"]) == (first_id, count, ms(opens))


def test_a_window_is_a_day_if_nothing_is_said(days: MarketDays) -> None:
    full = days.ask("ticker.24hr", NOW, symbols=["BTCUSDT"])[0]
    assert days.ask("ticker", NOW, symbols=["BTCUSDT"])[0].items() <= full.items()


@pytest.mark.parametrize(
    ("zone", "opens", "first_id"),
    [
        ("0", "2024-03-02T00:00:00", 4),
        ("1", "2024-03-01T23:00:00", 4),
        ("-1:00", "2024-03-02T01:00:00", 5),
        ("+12", "2024-03-02T12:00:00", -1),
        ("-12", "2024-03-02T12:00:00", -1),
        ("05:45", "2024-03-01T18:15:00", 4),
    ],
)
def test_trading_days(days: MarketDays, zone: str, opens: str, first_id: int) -> None:
    ticker = days.ask("ticker.tradingDay", NOW, symbol="BTCUSDT", timeZone=zone, type="MINI")
    assert (ticker["openTime"], ticker["firstId"]) == (ms(opens), first_id)
    assert ticker["closeTime"] == ms(opens) + 86_400_000 - 1


def test_last_and_average_prices(days: MarketDays) -> None:
    assert days.ask("ticker.price", NOW, symbol="BTCUSDT") == {"symbol": "BTCUSDT", "price": "150.00000000"}
    assert [ticker["price"] for ticker in days.ask("ticker.price", NOW)] == ["150.00000000", "0.00000000"]
    average = {"mins": 5, "price": "150.00000000", "closeTime": ms("2024-03-02T11:59:00")}
    assert days.ask("avgPrice", NOW, symbol="BTCUSDT") == average
    assert days.ask("avgPrice", "2024-03-02T12:30:00", symbol="BTCUSDT") == average
    assert days.ask("avgPrice", NOW, symbol="BTCUSDC")["price"] == "0.00000000"


@pytest.mark.parametrize(
    ("method", "params", "code", "text"),
    [
        ("ticker", {}, -1102, "'symbol' or 'symbols' must be sent"),
        ("ticker.tradingDay", {}, -1102, "'symbol' or 'symbols' must be sent"),
        ("ticker", {"symbol": "BTCUSDT", "windowSize": "60m"}, -1130, "1m to 59m"),
        ("ticker", {"symbol": "BTCUSDT", "windowSize": "8d"}, -1130, "1d to 7d"),
        ("ticker", {"symbol": "BTCUSDT", "windowSize": "0h"}, -1130, "1h to 23h"),
        ("ticker", {"symbol": "NONE"}, -1121, "Invalid symbol."),
        ("ticker.24hr", {"symbol": "BTCUSDT", "symbols": ["BTCUSDT"]}, -1106, "either symbol or symbols"),
        ("ticker.24hr", {"symbols": ["BTCUSDT", "BTCUSDT"]}, -1151, "multiple times"),
        ("ticker.24hr", {"symbol": "BTCUSDT", "type": "BIG"}, -1130, "FULL, MINI"),
        ("ticker.24hr", {"symbol": "BTCUSDT", "symbolStatus": "HALT"}, -1220, "HALT"),
        ("ticker.tradingDay", {"symbol": "BTCUSDT", "timeZone": "15"}, -1130, "+14:00"),
        ("ticker.tradingDay", {"symbol": "BTCUSDT", "timeZone": "UTC"}, -1130, "+14:00"),
        ("ticker.tradingDay", {"symbol": "BTCUSDT", "timeZone": "1:75"}, -1130, "+14:00"),
        ("avgPrice", {}, -1102, "'symbol'"),
    ],
)
def test_what_is_refused(days: MarketDays, method: str, params: dict[str, Any], code: int, text: str) -> None:
    found, message = days.refusal(method, NOW, **params)
    assert found == code
    assert text in message


def test_markets_by_status(days: MarketDays) -> None:
    assert len(days.ask("ticker.price", NOW, symbolStatus=MarketStatus.TRADING.name)) == 2
    assert days.ask("ticker.price", NOW, symbolStatus=MarketStatus.HALT.name) == []
