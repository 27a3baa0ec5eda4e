"""A market's filters, worked out by hand: what passes, what is refused and why, and how far a market order may walk.

Prices are cents and quantities hundredths of a coin (tests/scene.py); multipliers count ten-thousandths.
"""

from __future__ import annotations

from typing import Any

import pytest
from reference.desk import ALICE, BOB, BTC, BUY, CAROL, SELL
from reference.records import records_of
from scene import LIMITS, RICH, UNIT, Scene, kinds, trades

from ringex.engine import Matcher
from ringex.engine.snapshot import load_snapshot, write_snapshot
from ringex.reasons import Reason
from ringex.terms import EventKind, FilterFlag, OrderStatus

MINUTE_NS = 60_000_000_000


def market_with(**filters: int) -> Scene:
    scene = Scene()
    event = scene.one(scene.desk.filters(**filters))
    assert event["kind"] == EventKind.MARKET_FILTERS and event["market"] == 0
    assert {name: event[name] for name in filters} == filters
    return scene


def trade_at(scene: Scene, price: int, quantity: int = 1) -> None:
    scene.rest(CAROL, SELL, price, quantity)
    scene.place(CAROL, BUY, price, quantity)


def test_filters_must_fit_together() -> None:
    scene = Scene()
    for wrong in (
        {"market_quantity_min": 5, "market_quantity_max": 4},
        {"market_lot": -1},
        {"bid_multiplier_up": 9_000, "bid_multiplier_down": 9_001},
        {"ask_multiplier_up": -1},
        {"average_minutes": 61},
        {"reference_price": 1_000_001},
        {"trailing_above_min": 5, "trailing_above_max": 4},
        {"breaker_band": 100, "breaker_window_seconds": 60},
        {"filter_bits": 8},
    ):
        assert scene.refused(scene.desk.filters(**wrong)) == Reason.INVALID_FILTERS, wrong
    assert scene.refused(scene.desk.filters(1)) == Reason.INVALID_SYMBOL


def test_market_lot_size_bounds_orders_at_any_price_only() -> None:
    scene = market_with(market_quantity_min=4, market_quantity_max=10, market_lot=2)
    scene.rest(BOB, SELL, 100, 50)
    desk = scene.desk
    assert scene.refused(desk.market_order(ALICE, BUY, 3)) == Reason.MARKET_QUANTITY_TOO_LOW
    assert scene.refused(desk.market_order(ALICE, BUY, 11)) == Reason.MARKET_QUANTITY_TOO_HIGH
    assert scene.refused(desk.market_order(ALICE, BUY, 5)) == Reason.MARKET_QUANTITY_LOT
    assert scene.refused(desk.stop(ALICE, BUY, 120, 5)) == Reason.MARKET_QUANTITY_LOT
    assert trades(scene.do(desk.market_order(ALICE, BUY, 6))) == [(1, 100, 6)]
    assert trades(scene.place(ALICE, BUY, 100, 3)) == [(1, 100, 3)]  # a limit order is not concerned
    assert trades(scene.do(desk.market_order(ALICE, BUY, quote_quantity=300 * 10_000))) == [(1, 100, 3)]


def test_notional_may_hold_for_market_orders_at_the_average_price() -> None:
    scene = Scene(notional_min=1_000 * 10_000, notional_max=2_000 * 10_000)
    desk = scene.desk
    scene.one(desk.filters(filter_bits=FilterFlag.MIN_TO_MARKET))
    scene.rest(BOB, SELL, 100, 20)
    scene.rest(BOB, SELL, 200, 10)
    assert trades(scene.do(desk.market_order(ALICE, BUY, 1))) == [(1, 100, 1)]  # no price is known yet
    assert scene.refused(desk.market_order(ALICE, BUY, 9)) == Reason.NOTIONAL_TOO_LOW  # 9 × 100 < 1000
    assert trades(scene.do(desk.market_order(ALICE, BUY, 10))) == [(1, 100, 10)]
    scene.one(desk.filters(filter_bits=FilterFlag.MAX_TO_MARKET))
    assert scene.refused(desk.market_order(ALICE, BUY, 21)) == Reason.NOTIONAL_TOO_HIGH
    assert trades(scene.do(desk.market_order(ALICE, BUY, 9))) == [(1, 100, 9)]


def test_algo_orders_and_icebergs_are_counted() -> None:
    scene = market_with(algo_orders_max=2, iceberg_orders_max=1)
    desk = scene.desk
    scene.one(desk.stop(ALICE, SELL, 50, 1))
    second = scene.one(desk.stop(ALICE, SELL, 51, 1))["order_id"]
    assert scene.refused(desk.stop(ALICE, SELL, 52, 1)) == Reason.TOO_MANY_ALGO_ORDERS
    scene.one(desk.stop(BOB, SELL, 52, 1))  # each account counts for itself
    scene.rest(ALICE, SELL, 100, 1)  # and other orders do not count
    scene.one(desk.cancel(ALICE, second))
    scene.one(desk.stop(ALICE, SELL, 52, 1))
    first = scene.rest(ALICE, SELL, 101, 9, iceberg_quantity=3)
    assert scene.refused(desk.place(ALICE, SELL, 102, 9, iceberg_quantity=3)) == Reason.TOO_MANY_ICEBERGS
    assert trades(scene.place(BOB, BUY, 101, 10))[-1] == (first, 101, 3)  # the iceberg is used up
    scene.rest(ALICE, SELL, 102, 9, iceberg_quantity=3)


def test_a_position_counts_what_is_had_and_what_open_orders_buy() -> None:
    have = RICH // UNIT
    scene = market_with(position_max=RICH + 10 * UNIT)
    desk = scene.desk
    bid = scene.rest(ALICE, BUY, 90, 6)
    assert scene.refused(desk.place(ALICE, BUY, 91, 5)) == Reason.POSITION_TOO_LARGE
    scene.rest(ALICE, BUY, 91, 4)
    assert scene.refused(desk.place(ALICE, BUY, 50, 1)) == Reason.POSITION_TOO_LARGE
    assert scene.refused(desk.market_order(ALICE, BUY, quote_quantity=10_000)) == Reason.POSITION_TOO_LARGE
    assert scene.refused(desk.amend(ALICE, bid, quantity=7)) == Reason.POSITION_TOO_LARGE
    scene.rest(ALICE, SELL, 200, 5)  # locked is had as well: nothing has changed
    assert scene.refused(desk.place(ALICE, BUY, 50, 1)) == Reason.POSITION_TOO_LARGE
    scene.one(desk.amend(ALICE, bid, quantity=5))
    assert trades(scene.place(BOB, SELL, 90, 9)) == [(2, 91, 4), (bid, 90, 5)]  # bought: had instead of being bought
    assert sum(scene.balance(ALICE, BTC)) == (have + 9) * UNIT
    assert scene.refused(desk.place(ALICE, BUY, 50, 2)) == Reason.POSITION_TOO_LARGE
    scene.rest(ALICE, BUY, 50, 1)
    scene.one(desk.filters(position_max=0))
    scene.rest(ALICE, BUY, 50, 100)  # no such filter
    scene.one(desk.filters(position_max=RICH + 111 * UNIT))  # counted again: 9 had, 101 being bought
    assert scene.refused(desk.place(ALICE, BUY, 50, 2)) == Reason.POSITION_TOO_LARGE
    scene.rest(ALICE, BUY, 50, 1)


def test_prices_must_be_near_the_last_price_by_side() -> None:
    near = {"bid_multiplier_up": 11_000, "bid_multiplier_down": 5_000}
    scene = market_with(**near, ask_multiplier_up=30_000, ask_multiplier_down=9_050)
    desk = scene.desk
    scene.rest(ALICE, SELL, 900, 1)  # no price is known yet
    trade_at(scene, 101)
    assert scene.refused(desk.place(ALICE, BUY, 112, 1)) == Reason.PRICE_FAR_FROM_AVERAGE  # 111.1
    assert scene.refused(desk.place(ALICE, BUY, 50, 1)) == Reason.PRICE_FAR_FROM_AVERAGE  # 50.5
    bid = scene.rest(ALICE, BUY, 51, 1)
    assert scene.refused(desk.place(ALICE, SELL, 91, 1)) == Reason.PRICE_FAR_FROM_AVERAGE  # 91.405
    ask = scene.rest(ALICE, SELL, 303, 1)
    assert scene.refused(desk.place(ALICE, SELL, 304, 1)) == Reason.PRICE_FAR_FROM_AVERAGE
    assert scene.refused(desk.amend(ALICE, ask, price=304)) == Reason.PRICE_FAR_FROM_AVERAGE
    scene.rest(ALICE, BUY, 111, 1)
    assert scene.queue()[0][2] == 111
    trade_at(scene, 112)
    scene.do(desk.amend(ALICE, bid, quantity=2))  # 51 is too low by now, but the price stays


def test_a_reference_price_stands_for_the_last_price_until_there_is_one() -> None:
    scene = market_with(bid_multiplier_up=10_000, reference_price=100)
    assert scene.refused(scene.desk.place(ALICE, BUY, 101, 1)) == Reason.PRICE_FAR_FROM_AVERAGE
    trade_at(scene, 80)
    assert scene.refused(scene.desk.place(ALICE, BUY, 81, 1)) == Reason.PRICE_FAR_FROM_AVERAGE


def test_the_average_weighs_the_quantities_of_the_last_minutes() -> None:
    scene = market_with(bid_multiplier_up=10_000, average_minutes=2)
    desk = scene.desk
    desk.time_ns = 10 * MINUTE_NS
    trade_at(scene, 100, 3)
    desk.time_ns += MINUTE_NS - 1  # within the same minute
    scene.rest(CAROL, SELL, 90, 1)
    scene.place(CAROL, BUY, 90, 1)
    # (3 × 100 + 90) / 4 = 97.5
    assert scene.refused(desk.place(ALICE, BUY, 98, 1)) == Reason.PRICE_FAR_FROM_AVERAGE
    desk.time_ns += 1  # the minute after: both still count
    scene.rest(CAROL, SELL, 60, 1)
    scene.place(CAROL, BUY, 60, 1)
    assert scene.refused(desk.place(ALICE, BUY, 91, 1)) == Reason.PRICE_FAR_FROM_AVERAGE  # 450 / 5
    scene.rest(ALICE, BUY, 89, 1)
    desk.time_ns += MINUTE_NS  # the first minute is gone
    assert scene.refused(desk.place(ALICE, BUY, 61, 1)) == Reason.PRICE_FAR_FROM_AVERAGE
    desk.time_ns += MINUTE_NS  # nothing counts any more: the last price
    assert scene.refused(desk.place(ALICE, BUY, 61, 1)) == Reason.PRICE_FAR_FROM_AVERAGE
    scene.one(desk.filters(bid_multiplier_up=10_000, average_minutes=3))
    trade = scene.place(BOB, SELL, 89, 1)  # the average has begun anew
    assert trades(trade) == [(7, 89, 1)]
    assert scene.refused(desk.place(ALICE, BUY, 90, 1)) == Reason.PRICE_FAR_FROM_AVERAGE
    scene.rest(ALICE, BUY, 89, 1)


def test_averages_go_on_from_a_snapshot(tmp_path: Any) -> None:
    scene = market_with(bid_multiplier_up=10_000, average_minutes=3)
    for minute, price in enumerate((100, 50, 60)):
        scene.desk.time_ns = (5 + minute) * MINUTE_NS
        scene.rest(CAROL, SELL, price, 2)
        scene.do(scene.desk.market_order(BOB, BUY, 2))
    loaded = Matcher(state=load_snapshot(write_snapshot(scene.matcher.state, tmp_path), LIMITS))
    assert loaded.state_hash() == scene.matcher.state_hash()
    assert len(scene.matcher.export()["minutes"]) == 3
    scene.matcher = loaded
    assert scene.refused(scene.desk.place(ALICE, BUY, 71, 1)) == Reason.PRICE_FAR_FROM_AVERAGE  # 420 / 6
    scene.rest(ALICE, BUY, 70, 1)


COLLAR = {"bid_multiplier_up": 11_000, "ask_multiplier_down": 9_000, "reference_price": 100}


@pytest.mark.parametrize("by_quote", [False, True])
def test_a_market_order_walks_to_the_collar_and_no_further(by_quote: bool) -> None:
    scene = market_with(**COLLAR)
    for price in (105, 110, 111):
        scene.rest(BOB, SELL, price, 2)
    amount = {"quote_quantity": 1_000 * 10_000} if by_quote else {"quantity": 9}
    events = scene.do(scene.desk.market_order(ALICE, BUY, **amount))
    assert trades(events) == [(1, 105, 2), (2, 110, 2)]
    end = events[-1]
    assert (end["kind"], end["status"], end["reason"]) == (
        EventKind.CANCELED,
        OrderStatus.EXPIRED,
        Reason.PRICE_COLLAR,
    )
    assert end["executed_quantity"] == 4


def test_a_market_order_that_sells_walks_down_to_the_collar() -> None:
    scene = market_with(**COLLAR)
    for price in (95, 90, 89):
        scene.rest(BOB, BUY, price, 2)
    events = scene.do(scene.desk.market_order(ALICE, SELL, 9))
    assert trades(events) == [(1, 95, 2), (2, 90, 2)]
    assert events[-1]["reason"] == Reason.PRICE_COLLAR


def test_within_the_collar_a_book_that_runs_out_is_no_collar() -> None:
    scene = market_with(**COLLAR)
    scene.rest(BOB, SELL, 105, 2)
    assert scene.do(scene.desk.market_order(ALICE, BUY, 9))[-1]["reason"] == Reason.NO_LIQUIDITY


def test_a_stop_that_fires_keeps_to_the_collar_of_that_moment() -> None:
    scene = market_with(**COLLAR)
    stop = scene.one(scene.desk.stop(ALICE, BUY, 105, 5))["order_id"]
    for price in (105, 112, 116):  # 115.5 is the collar once 105 has traded
        scene.rest(BOB, SELL, price, 2)
    events = scene.do(scene.desk.place(CAROL, BUY, 105, 1))
    assert kinds(events)[:3] == [EventKind.ACCEPTED, EventKind.TRADE, EventKind.TRIGGERED]
    assert trades(events) == [(2, 105, 1), (2, 105, 1), (3, 112, 2)]
    assert (events[-1]["order_id"], events[-1]["reason"]) == (stop, Reason.PRICE_COLLAR)


def test_a_collar_holds_through_continuations() -> None:
    """The collar is that of the order's arrival, though its own trades move the last price."""
    scene = Scene(orders_per_account_max=5_000)
    scene.one(scene.desk.filters(**COLLAR))
    scene.do_all(records_of([scene.desk.place(BOB, SELL, 110, 1) for _ in range(1_500)]))
    for price in (111, 120):
        scene.rest(BOB, SELL, price, 1)
    events = scene.do(scene.desk.market_order(ALICE, BUY, 1_502))
    assert len(trades(events)) == 1_500 and {price for _, price, _ in trades(events)} == {110}
    assert events[-1]["reason"] == Reason.PRICE_COLLAR
