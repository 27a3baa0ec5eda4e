"""MARKET_SET with rules, worked out by hand: what changes for new orders, and what becomes of those that rest.

Prices are cents and quantities hundredths of a coin (tests/scene.py).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from reference.desk import ALICE, BOB, BTC, BUY, CAROL, SELL, USDT
from reference.records import Fields, records_of
from scene import LIMITS, Scene, kinds, trades

from ringex.engine import Matcher
from ringex.engine.snapshot import load_snapshot, write_snapshot
from ringex.history.readmodel import ReadModel
from ringex.reasons import Reason
from ringex.terms import EventKind, MarketStatus, Side

RULES = {
    "base_asset": BTC,
    "quote_asset": USDT,
    "price_scale": 2,
    "quantity_scale": 2,
    "tick": 1,
    "lot": 1,
    "price_min": 1,
    "price_max": 1_000_000,
    "quantity_min": 1,
    "quantity_max": 1_000_000,
    "notional_max": 10**14,
    "orders_per_account_max": 100,
}


def change(scene: Scene, status: int = 0, **rules: Any) -> Fields:
    return scene.desk.market_set(0, status, **(RULES | rules))


def test_new_rules_hold_for_new_orders_at_once() -> None:
    scene = Scene()
    event = scene.one(change(scene, tick=5, lot=2, price_min=10, price_max=200, quantity_min=4, quantity_max=8))
    assert event["kind"] == EventKind.MARKET and event["status"] == MarketStatus.TRADING
    assert (event["tick"], event["lot"], event["price_max"], event["symbol"]) == (5, 2, 200, "BTCUSDT")
    for price, quantity, reason in (
        (101, 4, Reason.PRICE_TICK),
        (5, 4, Reason.PRICE_TOO_LOW),
        (205, 4, Reason.PRICE_TOO_HIGH),
        (100, 2, Reason.QUANTITY_TOO_LOW),
        (100, 10, Reason.QUANTITY_TOO_HIGH),
        (100, 5, Reason.QUANTITY_LOT),
    ):
        assert scene.refused(scene.desk.place(ALICE, BUY, price, quantity)) == reason
    scene.rest(ALICE, BUY, 100, 4)


def test_fees_and_counts_change_for_the_next_trade_and_order() -> None:
    scene = Scene()
    scene.rest(BOB, SELL, 100, 4)
    scene.one(change(scene, taker_fee=10_000_000, maker_fee=0, orders_per_account_max=1))
    (trade,) = [e for e in scene.place(ALICE, BUY, 100, 1) if e["kind"] == EventKind.TRADE]
    assert (trade["taker_fee"], trade["maker_fee"]) == (100_000, 0)  # a tenth of what was bought
    assert scene.refused(scene.desk.place(BOB, SELL, 101, 1)) == Reason.TOO_MANY_ORDERS


def test_resting_orders_stay_off_the_new_tick_and_trade_there() -> None:
    scene = Scene()
    first, second = scene.rest(BOB, SELL, 101, 3), scene.rest(BOB, SELL, 103, 3)
    scene.one(change(scene, tick=10, lot=2, price_min=10, quantity_min=2))
    assert [row[2] for row in scene.queue()] == [101, 103]
    assert scene.refused(scene.desk.amend(BOB, first, quantity=2)) == Reason.PRICE_TICK  # an amend must conform
    assert scene.refused(scene.desk.amend(BOB, first, price=110, quantity=1)) == Reason.QUANTITY_TOO_LOW
    assert trades(scene.place(ALICE, BUY, 110, 4)) == [(first, 101, 3), (second, 103, 1)]
    scene.do(scene.desk.amend(BOB, second, price=120, quantity=4))
    assert scene.queue() == [(second, SELL, 120, 3)]  # of its four one has traded


def test_a_finer_tick_goes_between_the_old_levels() -> None:
    scene = Scene(tick=10, price_min=10)
    scene.rest(BOB, SELL, 110, 1)
    scene.rest(BOB, SELL, 120, 1)
    scene.one(change(scene, tick=1))
    scene.rest(BOB, SELL, 115, 1)
    scene.rest(BOB, SELL, 109, 1)
    assert trades(scene.place(ALICE, BUY, 120, 4)) == [(4, 109, 1), (1, 110, 1), (3, 115, 1), (2, 120, 1)]


def test_a_market_order_by_quote_amount_takes_what_is_left_of_an_earlier_lot() -> None:
    scene = Scene()
    scene.rest(BOB, SELL, 100, 3)
    scene.rest(BOB, SELL, 200, 4)
    scene.one(change(scene, lot=2, quantity_min=2))
    events = scene.do(scene.desk.market_order(ALICE, BUY, quote_quantity=700 * 10_000))
    assert trades(events) == [(1, 100, 3), (2, 200, 2)]


def test_stops_fire_at_prices_of_earlier_ticks() -> None:
    scene = Scene()
    stop = scene.one(scene.desk.stop(CAROL, SELL, 97, 1))["order_id"]
    scene.one(change(scene, tick=5, price_min=5))
    scene.rest(BOB, BUY, 95, 3)
    events = scene.place(ALICE, SELL, 95, 1)
    assert [e["order_id"] for e in events if e["kind"] == EventKind.TRIGGERED] == [stop]


def test_an_uncross_keeps_to_the_new_tick_or_to_a_price_that_rests() -> None:
    scene = Scene()
    scene.do(scene.desk.market_set(0, MarketStatus.AUCTION))
    scene.place(ALICE, BUY, 117, 1)
    scene.place(BOB, SELL, 103, 1)
    scene.one(scene.desk.filters(reference_price=108))
    events = scene.do(change(scene, MarketStatus.TRADING, tick=10, price_min=10))
    assert kinds(events)[0] == EventKind.MARKET
    assert trades(events) == [(1, 110, 1)]


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        ({"price_scale": 3}, Reason.INVALID_MARKET),
        ({"quantity_scale": 1}, Reason.INVALID_MARKET),
        ({"base_asset": USDT, "quote_asset": BTC}, Reason.INVALID_MARKET),
        ({"tick": -1}, Reason.INVALID_MARKET),
        ({"price_max": 1 << 60}, Reason.INVALID_MARKET),
        ({"taker_fee": -1}, Reason.INVALID_MARKET),
        ({"price_max": 99}, Reason.INVALID_FILTERS),  # the reference price is 100
    ],
)
def test_rules_that_cannot_be_are_refused(rules: dict[str, int], reason: Reason) -> None:
    scene = Scene()
    scene.one(scene.desk.filters(reference_price=100))
    before = scene.matcher.export()["markets"].tobytes()
    assert scene.refused(change(scene, **rules)) == reason
    assert scene.matcher.export()["markets"].tobytes() == before


def test_neither_a_status_nor_rules_is_nothing() -> None:
    scene = Scene()
    assert scene.refused(scene.desk.market_set(0, 0)) == Reason.INVALID_COMMAND


def test_earlier_and_new_rules_must_fit_together_while_orders_are_open() -> None:
    """Prices to 10^9 with quantities to 10^6 are too much, though each goes well with little of the other."""
    scene = Scene(price_max=10**9, quantity_max=4 * 10**5, notional_max=10**18)
    wide = {"price_max": 1_000, "quantity_max": 10**9, "notional_max": 10**18}
    scene.rest(ALICE, BUY, 100, 1)
    assert scene.refused(change(scene, **wide)) == Reason.INVALID_MARKET
    scene.do(scene.desk.cancel_all(ALICE))
    scene.one(change(scene, **wide))
    scene.rest(ALICE, BUY, 100, 1)


def test_books_go_on_from_a_snapshot_and_in_read_models(tmp_path: Path) -> None:
    scene = Scene(tick=10, price_min=10)
    model = ReadModel(LIMITS)
    desk = type(scene.desk)()
    commands = [desk.asset("BTC", 8), desk.asset("USDT", 8), desk.market(tick=10, price_min=10), desk.account("alice")]
    commands += [desk.deposit(ALICE, asset, 10**13) for asset in (BTC, USDT)]
    commands += [desk.place(ALICE, BUY, 10 * (1 + i), 1) for i in range(9)]
    commands += [desk.market_set(0, 0, **(RULES | {"tick": 3, "price_min": 3, "price_max": 999_999}))]
    commands += [desk.place(ALICE, BUY, 3 * (1 + i), 1) for i in range(9)]
    commands += [desk.market_set(0, 0, **(RULES | {"tick": 50, "price_min": 50}))]
    commands += [desk.place(ALICE, SELL, 100, 1), desk.cancel(ALICE, 5)]
    matcher = Matcher(limits=LIMITS)
    events = matcher.submit(records_of(commands))
    assert not (events["kind"] == EventKind.REJECTED).any()
    model.apply(events)
    copied = ReadModel(LIMITS)
    copied.load([bytes(frame) for frame in model.export()])
    loaded = Matcher(state=load_snapshot(write_snapshot(matcher.state, tmp_path), LIMITS))
    assert loaded.state_hash() == matcher.state_hash()
    further = records_of([desk.place(ALICE, BUY, 50, 1), desk.cancel(ALICE, 10)])
    told = matcher.submit(further)
    assert loaded.submit(further).tobytes() == told.tobytes()
    for read in (model, copied):
        read.apply(told)
        for side, levels in zip(Side, matcher.depth(0, 100), strict=True):
            assert read.books.levels(0, side, 100).tolist() == levels.tolist()
    assert len(matcher.depth(0, 100)[0]) == 9 + 8  # tens up to 90, a new 50 among them; threes from 6 to 27
