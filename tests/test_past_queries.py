"""Queries of the past, worked out by hand, and always the same however far the store lags behind the read model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from market_days import MarketDays, at, ms
from reference.desk import ALICE, BOB

from ringex.gateways.errors import Refusal
from ringex.gateways.lookups import StoreBehind
from ringex.history.store.store import Store
from ringex.terms import SelfTradePrevention, Side

NOW = "2024-03-04T12:00:30"
DAY_MS = 86_400_000


def lived() -> MarketDays:
    """Alice's orders 1, 3, 5, 7 (market 1), 9; Bob's 2, 4, 6, 8, 10, 11: one amended, one open, one swept in two."""
    days = MarketDays("2024-03-01T00:00:00")
    days.trade("2024-03-01T10:00:00", 10000, 100)
    days.trade("2024-03-01T10:00:59", 11000, 50, Side.SELL)
    days.trade("2024-03-02T00:00:00", 9000, 30)
    days.trade("2024-03-02T00:00:00", 5000, 7, market=1)
    days.desk.time_ns = at("2024-03-04T11:58:00")
    days.do(days.desk.place(ALICE, Side.SELL, 20000, 10, client_order_id="nine"))
    days.do(days.desk.amend(ALICE, 9, quantity=8))
    days.do(days.desk.amend(ALICE, 9, quantity=6, client_order_id="nine-b"))
    days.do(days.desk.place(BOB, Side.BUY, 20000, 2, client_order_id="ten"))
    days.desk.time_ns = at("2024-03-04T12:00:10")
    days.do(days.desk.place(BOB, Side.BUY, 8000, 5, client_order_id="eleven"))
    days.do(days.desk.market_order(BOB, Side.BUY, 3))
    return days


DAYS = lived()
COUNT = len(DAYS.told)


@pytest.fixture(params=range(COUNT + 1), ids=lambda count: f"stored-{count}")
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """A store that has some of the events, from none to all."""
    store = DAYS.stored(tmp_path / "history.db", request.param)
    yield store
    store.close()


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Store]:
    store = DAYS.stored(tmp_path / "history.db", COUNT)
    yield store
    store.close()


def ids(method: str, store: Store, account: int = BOB, key: str = "orderId", **params: Any) -> list[int]:
    return [row[key] for row in DAYS.ask(method, NOW, account, store, **{"symbol": "BTCUSDT", **params})]


def test_all_orders(store: Store) -> None:
    assert ids("allOrders", store) == [2, 4, 6, 10, 11, 12]
    assert ids("allOrders", store, limit=2) == [11, 12]
    assert ids("allOrders", store, orderId=5, limit=2) == [6, 10]
    assert ids("allOrders", store, ALICE, orderId=9) == [9]
    assert ids("allOrders", store, symbol="BTCUSDC") == [8]
    assert ids("allOrders", store, startTime=ms("2024-03-01T10:00:59")) == [4, 6, 10, 11, 12]
    assert ids("allOrders", store, startTime=ms("2024-03-01T10:00:59"), limit=1) == [4]
    assert ids("allOrders", store, endTime=ms("2024-03-02T00:00:00")) == [2, 4, 6]
    assert ids("allOrders", store, endTime=ms("2024-03-02T00:00:00"), limit=1) == [6]
    span = {"startTime": ms("2024-03-01T10:00:59"), "endTime": ms("2024-03-02T00:00:00") - 1}
    assert ids("allOrders", store, **span) == [4]
    assert ids("allOrders", store, startTime=ms("2024-03-05T00:00:00")) == []
    assert ids("allOrders", store, startTime=(1 << 63) - 1) == []


def test_orders_as_they_are_now(store: Store) -> None:
    nine = DAYS.ask("allOrders", NOW, ALICE, store, symbol="BTCUSDT", orderId=9)[0]
    names = ("clientOrderId", "status", "origQty", "executedQty", "updateTime", "time")
    assert {name: nine[name] for name in names} == {
        "clientOrderId": "nine-b",
        "status": "PARTIALLY_FILLED",
        "origQty": "0.06000000",
        "executedQty": "0.05000000",
        "updateTime": ms("2024-03-04T12:00:10"),
        "time": ms("2024-03-04T11:58:00"),
    }
    assert [order["status"] for order in DAYS.ask("allOrders", NOW, BOB, store, symbol="BTCUSDT", orderId=10)] == [
        "FILLED",
        "NEW",
        "FILLED",
    ]


def test_my_trades(store: Store) -> None:
    assert ids("myTrades", store, key="id") == [1, 2, 3, 4, 5]
    assert ids("myTrades", store, key="orderId") == [2, 4, 6, 10, 12]
    assert ids("myTrades", store, ALICE, key="orderId") == [1, 3, 5, 9, 9]
    assert ids("myTrades", store, key="id", limit=2) == [4, 5]
    assert ids("myTrades", store, key="id", fromId=2, limit=2) == [2, 3]
    assert ids("myTrades", store, ALICE, key="id", orderId=9) == [4, 5]
    assert ids("myTrades", store, ALICE, key="id", orderId=9, fromId=5) == [5]
    assert ids("myTrades", store, ALICE, key="id", orderId=0) == []
    assert ids("myTrades", store, BOB, key="id", orderId=9) == []
    assert ids("myTrades", store, key="id", startTime=ms("2024-03-01T10:00:59")) == [2, 3, 4, 5]
    assert ids("myTrades", store, key="id", endTime=ms("2024-03-01T10:00:59")) == [1, 2]
    span = {"startTime": ms("2024-03-01T10:00:59"), "endTime": ms("2024-03-02T00:00:00")}
    assert ids("myTrades", store, key="id", **span) == [2, 3]
    assert DAYS.ask("myTrades", NOW, BOB, store, symbol="BTCUSDT", fromId=2, limit=1) == [
        {
            "symbol": "BTCUSDT",
            "id": 2,
            "orderId": 4,
            "orderListId": -1,
            "price": "110.00000000",
            "qty": "0.50000000",
            "quoteQty": "55.00000000",
            "commission": "0.00000000",
            "commissionAsset": "USDT",
            "time": ms("2024-03-01T10:00:59"),
            "isBuyer": False,
            "isMaker": False,
            "isBestMatch": True,
        }
    ]


def test_historical_trades(store: Store) -> None:
    assert ids("trades.historical", store, key="id") == [1, 2, 3, 4, 5]
    assert ids("trades.historical", store, key="id", limit=2) == [4, 5]
    assert ids("trades.historical", store, key="id", fromId=2, limit=3) == [2, 3, 4]
    assert ids("trades.historical", store, key="id", fromId=9) == []
    recent = DAYS.ask("trades.recent", NOW, symbol="BTCUSDT")
    assert DAYS.ask("trades.historical", NOW, store=store, symbol="BTCUSDT") == recent


def test_klines(store: Store) -> None:
    def klines(**params: Any) -> list[list[Any]]:
        return DAYS.ask("klines", NOW, store=store, symbol="BTCUSDT", **params)  # type: ignore[no-any-return]

    days = klines(interval="1d")
    assert [row[0] for row in days] == [ms(f"2024-03-0{day}T00:00:00") for day in (1, 2, 3, 4)]
    assert days[0] == [
        ms("2024-03-01T00:00:00"),
        "100.00000000",
        "110.00000000",
        "100.00000000",
        "110.00000000",
        "1.50000000",
        ms("2024-03-02T00:00:00") - 1,
        "155.00000000",
        2,
        "1.00000000",
        "100.00000000",
        "0",
    ]
    quiet = ["90.00000000"] * 4 + ["0.00000000", ms("2024-03-04T00:00:00") - 1, "0.00000000", 0]
    assert days[2][1:9] == quiet, "a day without a trade stays at the price before"
    assert klines(interval="1d", limit=2) == days[2:]
    assert klines(interval="1d", startTime=ms("2024-03-01T00:00:01"), limit=1) == days[1:2]
    assert klines(interval="1d", startTime=0, endTime=ms("2024-03-02T00:00:00")) == days[:2]
    assert klines(interval="1d", endTime=ms("2024-03-02T00:00:00"), limit=1) == days[1:2]
    assert klines(interval="1d", endTime=ms("2024-02-02T00:00:00")) == []
    assert klines(interval="1d", startTime=(1 << 63) - 1) == []
    minutes = klines(interval="1m", limit=3)
    assert [row[0] for row in minutes] == [ms(f"2024-03-04T{minute}:00") for minute in ("11:58", "11:59", "12:00")]
    assert [row[4] for row in minutes] == ["200.00000000"] * 3
    assert [row[8] for row in minutes] == [1, 0, 1]
    assert [row[8] for row in klines(interval="1M")] == [5]
    assert [row[8] for row in klines(interval="1w")] == [3, 2]
    seconds = klines(interval="1s", startTime=ms("2024-03-04T12:00:09"))
    assert [row[8] for row in seconds][:3] == [0, 1, 0]
    assert len(seconds) == 22
    assert klines(interval="1h", timeZone="3", limit=1) == klines(interval="1h", limit=1)
    shifted = klines(interval="1d", timeZone="-1:00")
    assert [row[0] for row in shifted] == [ms(f"2024-03-0{day}T01:00:00") for day in (1, 2, 3, 4)]
    assert [row[8] for row in shifted] == [3, 0, 0, 2]
    half = klines(interval="12h", timeZone="5:45", limit=1)
    assert (half[0][0], half[0][8]) == (ms("2024-03-04T06:15:00"), 2)
    assert DAYS.ask("uiKlines", NOW, store=store, symbol="BTCUSDT", interval="1d") == days


def test_a_market_without_trades_has_no_klines(full: Store) -> None:
    days = MarketDays("2024-03-01T00:00:00")
    assert days.ask("klines", NOW, store=full, symbol="BTCUSDC", interval="1m")  # of the other exchange
    assert days.ask("klines", "2024-03-01T00:00:00", store=full, symbol="BTCUSDT", interval="1m") == []


def test_amendments_wait_for_the_store(store: Store) -> None:
    if store.progress().event_sequence < COUNT:
        with pytest.raises(StoreBehind):
            DAYS.ask("order.amendments", NOW, ALICE, store, symbol="BTCUSDT", orderId=9)
        return
    rows = DAYS.ask("order.amendments", NOW, ALICE, store, symbol="BTCUSDT", orderId=9)
    assert [(row["origQty"], row["newQty"]) for row in rows] == [
        ("0.10000000", "0.08000000"),
        ("0.08000000", "0.06000000"),
    ]
    assert (rows[1]["origClientOrderId"], rows[1]["newClientOrderId"]) == ("nine", "nine-b")
    last = rows[1]["executionId"]
    again = {"symbol": "BTCUSDT", "orderId": 9, "fromExecutionId": last}
    assert DAYS.ask("order.amendments", NOW, ALICE, store, **again) == rows[1:]
    assert DAYS.ask("order.amendments", NOW, BOB, store, symbol="BTCUSDT", orderId=9) == []


def swept() -> MarketDays:
    """Bob takes from three makers at one price and one at another: two aggregates in one command."""
    days = MarketDays("2024-03-01T00:00:00")
    days.trade("2024-03-01T10:00:00", 10000, 1)
    for price in (10000, 10000, 10000, 10100):
        days.do(days.desk.place(ALICE, Side.SELL, price, 10))
    days.do(days.desk.place(BOB, Side.BUY, 10100, 35))
    days.trade("2024-03-01T10:30:00", 9900, 4, Side.SELL)
    return days


SWEPT = swept()


@pytest.mark.parametrize("count", range(len(SWEPT.told) + 1))
def test_aggregate_trades(tmp_path: Path, count: int) -> None:
    store = SWEPT.stored(tmp_path / "history.db", count)

    def aggregates(**params: Any) -> list[tuple[int, int, int, str, str]]:
        rows = SWEPT.ask("trades.aggregate", NOW, store=store, symbol="BTCUSDT", **params)
        return [(row["a"], row["f"], row["l"], row["p"], row["q"]) for row in rows]

    whole = [
        (1, 1, 1, "100.00000000", "0.01000000"),
        (2, 2, 4, "100.00000000", "0.30000000"),
        (3, 5, 5, "101.00000000", "0.05000000"),
        (4, 6, 6, "99.00000000", "0.04000000"),
    ]
    assert aggregates() == whole
    assert aggregates(limit=2) == whole[2:]
    assert aggregates(fromId=2, limit=2) == whole[1:3]
    assert aggregates(startTime=ms("2024-03-01T10:00:01")) == whole[3:]
    assert aggregates(endTime=ms("2024-03-01T10:00:00")) == whole[:3]
    assert aggregates(startTime=ms("2024-03-01T10:00:00"), endTime=ms("2024-03-01T10:29:59")) == whole[:3]
    assert aggregates(fromId=9) == []
    store.close()


def small() -> MarketDays:
    """As `lived`, but with a read model that forgets quickly."""
    days = MarketDays("2024-03-01T00:00:00", closed_orders_max=2, trades_per_market=2)
    for minute in range(6):
        days.trade(f"2024-03-01T10:0{minute}:00", 10000, 1)
    days.do(days.desk.place(BOB, Side.BUY, 9000, 1, client_order_id="open"))
    return days


@pytest.mark.parametrize("missing", range(12))
def test_where_nobody_knows_it_says_so(tmp_path: Path, missing: int) -> None:
    """What memory has forgotten and the store has not yet got is waited for; no answer has a hole."""
    days = small()
    store = days.stored(tmp_path / "history.db", len(days.told) - missing)

    def known(method: str, key: str, expected: list[int], **params: Any) -> bool:
        try:
            rows = days.ask(method, NOW, BOB, store, symbol="BTCUSDT", **params)
        except StoreBehind:
            return False
        assert [row[key] for row in rows] == expected
        return True

    answers = [
        known("allOrders", "orderId", [2, 4, 6, 8, 10, 12, 13]),
        known("myTrades", "id", [1, 2, 3, 4, 5, 6]),
        known("trades.historical", "id", [1, 2, 3, 4, 5, 6]),
        known("trades.aggregate", "a", [1, 2, 3, 4, 5, 6]),
    ]
    assert all(answers) or missing > 1, "a store that is nearly as far is enough"
    assert not any(answers) or missing < 9
    store.close()


def test_orders_that_memory_has_forgotten_are_found(tmp_path: Path) -> None:
    days = small()
    store = days.stored(tmp_path / "history.db", len(days.told))
    assert days.model.order_by_id(BOB, 2) is None
    found = days.ask("order.status", NOW, BOB, store, symbol="BTCUSDT", orderId=2)
    assert (found["orderId"], found["status"], found["executedQty"]) == (2, "FILLED", "0.01000000")
    assert days.ask("order.status", NOW, BOB, None, symbol="BTCUSDT", origClientOrderId="open")["status"] == "NEW"
    for wrong in ({"orderId": 1}, {"orderId": 99}, {"origClientOrderId": "never"}):
        with pytest.raises(Refusal) as caught:
            days.ask("order.status", NOW, BOB, store, symbol="BTCUSDT", **wrong)
        assert caught.value.code == -2013
    with pytest.raises(Refusal) as caught:
        days.ask("order.status", NOW, BOB, store, symbol="BTCUSDT", orderId=2, origClientOrderId="other")
    assert caught.value.code == -2039
    early = days.stored(tmp_path / "early.db", 10)
    with pytest.raises(StoreBehind):
        days.ask("order.status", NOW, BOB, early, symbol="BTCUSDT", orderId=99)
    for opened in (store, early):
        opened.close()


def prevented_days(**bounds: int) -> MarketDays:
    """Alice's order 1 rests; 2, 3 and 4 would take of it, and end."""
    days = MarketDays("2024-03-04T11:00:00", **bounds)
    days.do(days.desk.place(ALICE, Side.SELL, 10000, 10))
    for _ in range(3):
        days.do(days.desk.place(ALICE, Side.BUY, 10000, 2, self_trade_prevention=SelfTradePrevention.EXPIRE_TAKER))
    return days


def matches(days: MarketDays, store: Store | None, account: int = ALICE, **params: Any) -> list[tuple[int, int]]:
    rows = days.ask("myPreventedMatches", NOW, account, store, symbol="BTCUSDT", **params)
    return [(row["preventedMatchId"], row["takerOrderId"]) for row in rows]


def test_prevented_matches_that_memory_has_forgotten_are_found(tmp_path: Path) -> None:
    whole, small_memory = prevented_days(), prevented_days(prevented_matches_max=1)
    store = small_memory.stored(tmp_path / "history.db", len(small_memory.told))
    behind = small_memory.stored(tmp_path / "behind.db", len(small_memory.told) - 1)
    for params, expected in (
        ({"orderId": 1}, [(1, 2), (2, 3), (3, 4)]),
        ({"orderId": 1, "limit": 2}, [(1, 2), (2, 3)]),
        ({"orderId": 1, "fromPreventedMatchId": 2, "limit": 1}, [(2, 3)]),
        ({"orderId": 3}, [(2, 3)]),
        ({"preventedMatchId": 1}, [(1, 2)]),
        ({"preventedMatchId": 9}, []),
    ):
        assert matches(whole, None, **params) == expected
        assert matches(small_memory, store, **params) == expected
        assert matches(small_memory, store, BOB, **params) == []
        with pytest.raises(StoreBehind):
            matches(small_memory, behind, **params)
    ask = {"symbol": "BTCUSDT", "orderId": 1}
    stored = small_memory.ask("myPreventedMatches", NOW, ALICE, store, **ask)
    assert stored == whole.ask("myPreventedMatches", NOW, ALICE, **ask)
    assert matches(small_memory, None, preventedMatchId=3) == [(3, 4)], "the last is still in memory"
    for opened in (store, behind):
        opened.close()


@pytest.mark.parametrize(
    ("method", "params", "code", "text"),
    [
        ("allOrders", {}, -1102, "'symbol'"),
        ("allOrders", {"symbol": "NONE"}, -1121, "Invalid symbol."),
        ("allOrders", {"symbol": "BTCUSDT", "startTime": 5, "endTime": 4}, -1130, "before startTime"),
        ("allOrders", {"symbol": "BTCUSDT", "startTime": 0, "endTime": DAY_MS + 1}, -1127, "More than 24 hours"),
        ("allOrders", {"symbol": "BTCUSDT", "limit": 0}, -1130, "1 to 1000"),
        ("myTrades", {"symbol": "BTCUSDT", "startTime": 0, "endTime": DAY_MS + 1}, -1127, "More than 24 hours"),
        ("myTrades", {"symbol": "BTCUSDT", "fromId": 1, "startTime": 4}, -1128, "Allowed are none, or: orderId;"),
        ("myTrades", {"symbol": "BTCUSDT", "orderId": 1, "endTime": 4}, -1128, "fromId + orderId"),
        ("trades.aggregate", {"symbol": "BTCUSDT", "fromId": 1, "startTime": 4}, -1128, "endTime + startTime"),
        ("trades.aggregate", {"symbol": "BTCUSDT", "startTime": 0, "endTime": 3_600_001}, -1127, "More than 1 hour"),
        ("klines", {"symbol": "BTCUSDT"}, -1102, "'interval'"),
        ("klines", {"symbol": "BTCUSDT", "interval": "7m"}, -1120, "Invalid interval."),
        ("klines", {"symbol": "BTCUSDT", "interval": "1m", "startTime": 5, "endTime": 4}, -1130, "before startTime"),
        ("klines", {"symbol": "BTCUSDT", "interval": "1m", "timeZone": "x"}, -1130, "+14:00"),
        ("order.amendments", {"symbol": "BTCUSDT"}, -1102, "'orderId'"),
        ("myAllocations", {"symbol": "NONE"}, -1121, "Invalid symbol."),
    ],
)
def test_what_is_refused(full: Store, method: str, params: dict[str, Any], code: int, text: str) -> None:
    found, message = DAYS.refusal(method, NOW, full, **params)
    assert found == code
    assert text in message


def test_spans_of_exactly_a_day_are_allowed(full: Store) -> None:
    start = ms("2024-03-01T10:00:00")
    assert ids("allOrders", full, startTime=start, endTime=start + DAY_MS) == [2, 4, 6]
    assert DAYS.ask("myAllocations", NOW, BOB, symbol="BTCUSDT") == []
