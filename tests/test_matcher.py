"""Hand-worked scenarios through `Matcher`: who is filled, at what price, in which order, and what it costs.

Every step also checks that money is conserved and that holds are what the open orders need (`scene.Scene`).
"""

from __future__ import annotations

import doctest
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reference.desk import ALICE, BOB, BTC, BUY, CAROL, SELL, USDT, Desk
from reference.records import Fields, event_fields, records_of
from scene import LIMITS, RICH, STEP, UNIT, Scene, kinds, trades

from ringex.engine import Matcher, library
from ringex.engine.export import state_hash
from ringex.engine.replay import Replayer
from ringex.engine.snapshot import load_snapshot, snapshot_paths, write_snapshot
from ringex.engine.state import State
from ringex.markets import Asset, default_markets
from ringex.messages import AMOUNT_MAX, EVENTS_PER_COMMAND_MAX, commands
from ringex.reasons import Reason
from ringex.terms import CommandFlag, CommandKind, EventFlag, EventKind, OrderStatus, OrderType, TimeInForce

IOC = {"time_in_force": TimeInForce.IOC}
FOK = {"time_in_force": TimeInForce.FOK}
MAKER_ONLY = {"order_type": OrderType.LIMIT_MAKER}
ACCEPTED, RESTED, TRADE, CANCELED, AMENDED, REJECTED, DUPLICATE, DONE, BALANCE = list(EventKind)[:9]


@pytest.fixture
def scene() -> Scene:
    return Scene()


# Matching.


def test_the_best_price_trades_first_then_the_oldest_order(scene: Scene) -> None:
    dear = scene.rest(ALICE, SELL, 102, 5)
    first = scene.rest(BOB, SELL, 101, 5)
    second = scene.rest(ALICE, SELL, 101, 5)
    events = scene.place(CAROL, BUY, 102, 12)
    assert trades(events) == [(first, 101, 5), (second, 101, 5), (dear, 102, 2)]
    assert scene.queue() == [(dear, SELL, 102, 3)]


def test_bids_trade_from_the_highest_down(scene: Scene) -> None:
    low, high = scene.rest(ALICE, BUY, 98, 1), scene.rest(BOB, BUY, 99, 1)
    assert trades(scene.place(CAROL, SELL, 98, 2)) == [(high, 99, 1), (low, 98, 1)]


def test_the_maker_sets_the_price_and_the_buyer_gets_the_difference_back(scene: Scene) -> None:
    maker = scene.rest(BOB, SELL, 90, 10)
    assert trades(scene.place(ALICE, BUY, 100, 15)) == [(maker, 90, 10)]
    assert scene.balance(ALICE, USDT) == (RICH - (90 * 10 + 100 * 5) * STEP, 100 * 5 * STEP)
    assert scene.balance(ALICE, BTC) == (RICH + 10 * UNIT, 0)
    assert scene.balance(BOB, USDT) == (RICH + 90 * 10 * STEP, 0)
    assert scene.balance(BOB, BTC) == (RICH - 10 * UNIT, 0)


def test_a_limit_is_never_passed(scene: Scene) -> None:
    near, far = scene.rest(BOB, SELL, 100, 1), scene.rest(BOB, SELL, 101, 1)
    events = scene.place(ALICE, BUY, 100, 2)
    assert kinds(events) == [ACCEPTED, TRADE, RESTED] and trades(events) == [(near, 100, 1)]
    assert scene.queue() == [(events[0]["order_id"], BUY, 100, 1), (far, SELL, 101, 1)]


def test_ioc_takes_what_there_is_and_gives_the_rest_of_its_hold_back(scene: Scene) -> None:
    scene.rest(BOB, SELL, 100, 4)
    events = scene.place(ALICE, BUY, 100, 10, **IOC)
    assert kinds(events) == [ACCEPTED, TRADE, CANCELED]
    last = events[-1]
    assert (last["status"], last["reason"], last["executed_quantity"]) == (OrderStatus.EXPIRED, Reason.NO_LIQUIDITY, 4)
    assert scene.balance(ALICE, USDT) == (RICH - 400 * STEP, 0)
    assert scene.queue() == []


def test_fok_takes_all_or_nothing(scene: Scene) -> None:
    near, far = scene.rest(BOB, SELL, 100, 4), scene.rest(BOB, SELL, 101, 6)
    refused = scene.place(ALICE, BUY, 101, 11, **FOK)
    assert kinds(refused) == [ACCEPTED, CANCELED] and refused[1]["reason"] == Reason.NOT_FILLED_AT_ONCE
    assert scene.balance(ALICE, USDT) == (RICH, 0)
    assert trades(scene.place(ALICE, BUY, 101, 10, **FOK)) == [(near, 100, 4), (far, 101, 6)]


def test_a_limit_maker_order_never_takes(scene: Scene) -> None:
    scene.rest(BOB, SELL, 100, 1)
    assert scene.refused(scene.desk.place(ALICE, BUY, 100, 1, **MAKER_ONLY)) == Reason.WOULD_TAKE
    scene.rest(ALICE, BUY, 99, 1, **MAKER_ONLY)


def test_a_market_order_by_quantity_takes_any_price_and_never_rests(scene: Scene) -> None:
    near, far = scene.rest(BOB, SELL, 100, 1), scene.rest(BOB, SELL, 5_000, 1)
    events = scene.do(scene.desk.market_order(ALICE, BUY, 3))
    assert kinds(events) == [ACCEPTED, TRADE, TRADE, CANCELED]
    assert trades(events) == [(near, 100, 1), (far, 5_000, 1)]
    assert scene.balance(ALICE, USDT) == (RICH - 5_100 * STEP, 0)
    assert kinds(scene.do(scene.desk.market_order(ALICE, BUY, 3))) == [ACCEPTED, CANCELED]


def test_a_market_order_by_quote_amount_buys_whole_lots_for_at_most_that(scene: Scene) -> None:
    near, far = scene.rest(BOB, SELL, 100, 2), scene.rest(BOB, SELL, 300, 9)
    # 950 steps: 2 at 100 leave 750, 2 at 300 leave 150: less than one more lot costs
    events = scene.do(scene.desk.market_order(ALICE, BUY, quote_quantity=950 * STEP))
    assert trades(events) == [(near, 100, 2), (far, 300, 2)]
    assert kinds(events) == [ACCEPTED, TRADE, TRADE] and events[-1]["taker_status"] == OrderStatus.FILLED
    assert scene.balance(ALICE, USDT) == (RICH - 800 * STEP, 0)


def test_a_market_sale_by_quote_amount_sells_what_earns_it(scene: Scene) -> None:
    high, low = scene.rest(BOB, BUY, 300, 1), scene.rest(BOB, BUY, 100, 9)
    events = scene.do(scene.desk.market_order(ALICE, SELL, quote_quantity=520 * STEP))
    assert trades(events) == [(high, 300, 1), (low, 100, 2)]
    assert scene.balance(ALICE, BTC) == (RICH - 3 * UNIT, 0)


def test_trading_with_oneself_changes_nothing_but_fees() -> None:
    scene = Scene(taker_fee=100_000, maker_fee=0)  # 0.1 % of 10 units
    scene.rest(ALICE, SELL, 100, 10)
    scene.place(ALICE, BUY, 100, 10)
    assert scene.balance(ALICE, BTC) == (RICH - 10_000, 0) and scene.balance(0, BTC) == (10_000, 0)
    assert scene.balance(ALICE, USDT) == (RICH, 0)


# Holds, fees, funds.


def test_an_order_holds_what_it_may_cost_and_cancel_gives_it_back(scene: Scene) -> None:
    buy, sell = scene.rest(ALICE, BUY, 100, 7), scene.rest(BOB, SELL, 101, 3)
    assert scene.balance(ALICE, USDT) == (RICH - 700 * STEP, 700 * STEP)
    assert scene.balance(BOB, BTC) == (RICH - 3 * UNIT, 3 * UNIT)
    scene.one(scene.desk.cancel(ALICE, buy))
    scene.one(scene.desk.cancel(BOB, sell))
    assert scene.balance(ALICE, USDT) == scene.balance(BOB, BTC) == (RICH, 0)


def test_fees_round_up_for_each_side_of_each_fill() -> None:
    scene = Scene(taker_fee=1, maker_fee=3)  # 1e-8 of 1,000,000 base is 0.01: 1; 3e-8 of 30,000 quote is 0.0009: 1
    scene.rest(BOB, SELL, 3, 1)
    trade = scene.place(ALICE, BUY, 3, 1)[1]
    assert (trade["taker_fee"], trade["maker_fee"]) == (1, 1)
    assert scene.balance(ALICE, BTC) == (RICH + UNIT - 1, 0)
    assert scene.balance(BOB, USDT) == (RICH + 3 * STEP - 1, 0)


def test_rebates_round_down_and_come_out_of_the_fee_account() -> None:
    scene = Scene(taker_fee=50_001, maker_fee=-50_001)
    scene.rest(BOB, SELL, 1, 1)  # the fee account has no quote yet: no rebate
    assert [e["maker_fee"] for e in scene.place(ALICE, BUY, 1, 1)[1:]] == [0]
    scene.rest(ALICE, BUY, 1, 10)  # its taker pays 100,000 x 0.00050001 = 50.001 of quote: 51
    trade = scene.place(BOB, SELL, 1, 10)[1]
    assert trade["taker_fee"] == 51
    scene.rest(BOB, SELL, 1, 1)  # its rebate is 5.0001: 5
    assert scene.place(ALICE, BUY, 1, 1)[1]["maker_fee"] == -5
    assert scene.balance(0, USDT) == (46, 0)


def test_an_order_needs_its_hold_to_the_last_unit() -> None:
    scene = Scene(funds=100 * STEP + 99)
    assert scene.refused(scene.desk.place(ALICE, BUY, 101, 1)) == Reason.INSUFFICIENT_BALANCE
    scene.rest(ALICE, BUY, 100, 1)
    assert scene.refused(scene.desk.place(ALICE, BUY, 1, 1)) == Reason.INSUFFICIENT_BALANCE
    assert scene.refused(scene.desk.place(BOB, SELL, 200, 2)) == Reason.INSUFFICIENT_BALANCE


def test_a_market_order_needs_what_the_present_book_asks() -> None:
    scene = Scene(funds=3 * UNIT)  # 300 steps of quote, 3 units of base
    scene.rest(BOB, SELL, 100, 2)
    scene.rest(BOB, SELL, 101, 1)
    assert scene.refused(scene.desk.market_order(ALICE, BUY, 3)) == Reason.INSUFFICIENT_BALANCE
    assert scene.refused(scene.desk.market_order(ALICE, BUY, quote_quantity=301 * STEP)) == Reason.INSUFFICIENT_BALANCE
    assert len(trades(scene.do(scene.desk.market_order(ALICE, BUY, 2)))) == 1


def test_amounts_at_the_numeric_bound_are_exact_or_refused() -> None:
    scene = Scene(price_max=1 << 24, quantity_max=1 << 24, notional_max=AMOUNT_MAX)  # 2^48 x 10^4 passes 2^61
    big = scene.desk.deposit(ALICE, USDT, AMOUNT_MAX - 3 * RICH)
    assert scene.one(big)["free"] == AMOUNT_MAX - 2 * RICH
    assert scene.refused(scene.desk.deposit(BOB, USDT, 1)) == Reason.AMOUNT_OUT_OF_RANGE
    assert scene.refused(scene.desk.deposit(BOB, BTC, (1 << 63) - 1)) == Reason.AMOUNT_OUT_OF_RANGE
    hold = (1 << 24) * (1 << 24) * STEP
    scene.rest(ALICE, BUY, 1 << 24, 1 << 24)
    assert scene.balance(ALICE, USDT) == (AMOUNT_MAX - 2 * RICH - hold, hold)
    assert scene.refused(scene.desk.place(ALICE, BUY, 1 << 24, 1 << 24)) == Reason.INSUFFICIENT_BALANCE
    assert scene.refused(scene.desk.place(BOB, SELL, (1 << 63) - 1, 1)) == Reason.PRICE_TOO_HIGH
    assert scene.refused(scene.desk.place(BOB, SELL, 1, (1 << 63) - 1)) == Reason.QUANTITY_TOO_HIGH


# Cancel, amend, cancel-replace.


def test_an_order_is_canceled_by_either_id(scene: Scene) -> None:
    by_number = scene.rest(ALICE, BUY, 100, 1, client_order_id="one")
    scene.rest(ALICE, BUY, 100, 1, client_order_id="two")
    assert scene.one(scene.desk.cancel(ALICE, by_number))["original_client_order_id"] == "one"
    event = scene.one(scene.desk.cancel(ALICE, original_client_order_id="two", client_order_id="my cancel"))
    assert (event["kind"], event["status"], event["client_order_id"]) == (CANCELED, OrderStatus.CANCELED, "my cancel")
    assert scene.queue() == []


def test_nobody_cancels_what_is_not_his_own_or_gone(scene: Scene) -> None:
    order = scene.rest(ALICE, BUY, 100, 1, client_order_id="mine")
    desk = scene.desk
    assert scene.refused(desk.cancel(BOB, order)) == Reason.UNKNOWN_ORDER
    assert scene.refused(desk.cancel(BOB, original_client_order_id="mine")) == Reason.UNKNOWN_ORDER
    assert scene.refused(desk.cancel(ALICE, order, original_client_order_id="other")) == Reason.UNKNOWN_ORDER
    assert scene.refused(desk.cancel(ALICE, order, flag_bits=CommandFlag.ONLY_PARTIALLY_FILLED)) == (
        Reason.CANCEL_RESTRICTED
    )
    scene.one(desk.cancel(ALICE, order))
    assert scene.refused(desk.cancel(ALICE, order)) == Reason.UNKNOWN_ORDER


def test_cancel_all_goes_by_age_and_leaves_other_accounts_alone(scene: Scene) -> None:
    first, second = scene.rest(ALICE, SELL, 105, 1), scene.rest(ALICE, BUY, 99, 1)
    kept = scene.rest(BOB, BUY, 99, 1)
    events = scene.do(scene.desk.cancel_all(ALICE))
    assert kinds(events) == [CANCELED, CANCELED, DONE] and events[-1]["count"] == 2
    assert [e["order_id"] for e in events[:-1]] == [first, second]
    assert scene.queue() == [(kept, BUY, 99, 1)]
    assert scene.refused(scene.desk.cancel_all(ALICE)) == Reason.UNKNOWN_ORDER


def test_less_quantity_keeps_the_place_and_more_loses_it(scene: Scene) -> None:
    first, second = scene.rest(ALICE, BUY, 100, 5), scene.rest(BOB, BUY, 100, 5)
    event = scene.one(scene.desk.amend(ALICE, first, quantity=3))
    assert event["flag_bits"] & EventFlag.PRIORITY_KEPT
    assert scene.queue() == [(first, BUY, 100, 3), (second, BUY, 100, 5)]
    assert kinds(scene.do(scene.desk.amend(ALICE, first, quantity=4))) == [AMENDED, RESTED]
    assert scene.queue() == [(second, BUY, 100, 5), (first, BUY, 100, 4)]
    assert scene.balance(ALICE, USDT) == (RICH - 400 * STEP, 400 * STEP)


def test_an_amend_that_must_keep_its_place_is_refused_otherwise(scene: Scene) -> None:
    order = scene.rest(ALICE, BUY, 100, 5)
    keep = {"flag_bits": CommandFlag.KEEP_PRIORITY}
    assert scene.refused(scene.desk.amend(ALICE, order, quantity=6, **keep)) == Reason.AMEND_LOSES_PRIORITY
    assert scene.refused(scene.desk.amend(ALICE, order, price=99, **keep)) == Reason.AMEND_LOSES_PRIORITY
    assert scene.refused(scene.desk.amend(ALICE, order, price=100, quantity=5)) == Reason.AMEND_NOTHING
    scene.one(scene.desk.amend(ALICE, order, quantity=4, **keep))


def test_an_amend_through_the_spread_takes_as_a_new_order_would() -> None:
    scene = Scene(taker_fee=100_000, maker_fee=0)
    order, maker = scene.rest(ALICE, BUY, 99, 5), scene.rest(BOB, SELL, 101, 2)
    events = scene.do(scene.desk.amend(ALICE, order, price=102))
    assert kinds(events) == [AMENDED, TRADE, RESTED] and trades(events) == [(maker, 101, 2)]
    assert events[1]["taker_fee"] == 2_000  # 0.1 % of 2 units of base
    assert scene.queue() == [(order, BUY, 102, 3)]
    assert scene.refused(scene.desk.amend(ALICE, order, quantity=2)) == Reason.AMEND_BELOW_EXECUTED


def test_an_amend_may_rename_an_order(scene: Scene) -> None:
    order = scene.rest(ALICE, BUY, 100, 5, client_order_id="old")
    other = scene.rest(ALICE, BUY, 99, 5, client_order_id="taken")
    assert scene.refused(scene.desk.amend(ALICE, order, quantity=4, client_order_id="taken")) == (
        Reason.DUPLICATE_CLIENT_ORDER_ID
    )
    scene.one(scene.desk.amend(ALICE, order, quantity=4, client_order_id="new"))
    assert scene.refused(scene.desk.cancel(ALICE, original_client_order_id="old")) == Reason.UNKNOWN_ORDER
    scene.one(scene.desk.cancel(ALICE, original_client_order_id="new"))
    assert scene.queue() == [(other, BUY, 99, 5)]


def test_cancel_replace_frees_the_old_hold_for_the_new_order() -> None:
    scene = Scene(funds=100 * STEP)
    old = scene.rest(ALICE, BUY, 100, 1, client_order_id="a")
    desk = scene.desk
    events = scene.do(desk.cancel_leg(ALICE, old), desk.place(ALICE, BUY, 50, 2, client_order_id="a"))
    assert kinds(events) == [CANCELED, ACCEPTED]
    assert scene.queue() == [(events[1]["order_id"], BUY, 50, 2)]


def test_cancel_replace_stops_at_a_failed_cancel_unless_allowed(scene: Scene) -> None:
    desk = scene.desk
    events = scene.do(desk.cancel_leg(ALICE, 77), desk.place(ALICE, BUY, 50, 2))
    assert [(e["kind"], e["reason"]) for e in events] == [
        (REJECTED, Reason.UNKNOWN_ORDER),
        (REJECTED, Reason.CANCEL_REJECTED),
    ]
    allow = {"flag_bits": CommandFlag.ALLOW_FAILURE}
    assert kinds(scene.do(desk.cancel_leg(ALICE, 77, **allow), desk.place(ALICE, BUY, 50, 2))) == [REJECTED, ACCEPTED]


def test_cancel_replace_cancels_even_where_the_new_order_is_refused(scene: Scene) -> None:
    old = scene.rest(ALICE, BUY, 100, 1)
    events = scene.do(scene.desk.cancel_leg(ALICE, old), scene.desk.place(ALICE, BUY, 100, 0))
    assert kinds(events) == [CANCELED, REJECTED] and events[1]["reason"] == Reason.QUANTITY_TOO_LOW
    assert scene.queue() == []


# Requests and references: once only.


def request(scene: Scene, expires_in_ns: int = 1_000, **fields: Any) -> Fields:
    key = {"client_order_id": "r", "timestamp_us": 5, "expires_ns": scene.desk.time_ns + expires_in_ns}
    return scene.desk.place(ALICE, BUY, 100, 1, **key | fields)


def test_a_repeated_request_is_answered_with_the_first_ones_outcome(scene: Scene) -> None:
    first = scene.one(request(scene))
    again = scene.one(request(scene))
    assert (again["kind"], again["order_id"], again["reason"]) == (DUPLICATE, first["order_id"], Reason.NONE)
    assert len(scene.queue()) == 1
    assert scene.refused(request(scene, timestamp_us=6)) == Reason.DUPLICATE_CLIENT_ORDER_ID
    again = scene.one(request(scene, timestamp_us=6))
    assert (again["kind"], again["order_id"], again["reason"]) == (DUPLICATE, 0, Reason.DUPLICATE_CLIENT_ORDER_ID)


def test_a_request_is_remembered_until_it_has_expired(scene: Scene) -> None:
    first = request(scene)
    order = scene.one(first)["order_id"]
    scene.one(scene.desk.cancel(ALICE, order))
    scene.desk.time_ns = first["expires_ns"]
    assert scene.one(request(scene, expires_ns=first["expires_ns"]))["kind"] == DUPLICATE
    scene.desk.time_ns += 1
    assert scene.refused(request(scene, expires_ns=first["expires_ns"])) == Reason.REQUEST_EXPIRED
    assert scene.one(request(scene))["kind"] == ACCEPTED


def test_requests_are_remembered_within_a_bound_per_account() -> None:
    scene = Scene(replace(LIMITS, requests_remembered_per_account_max=2))
    for name in ("a", "b"):
        scene.one(request(scene, client_order_id=name))
    assert scene.refused(request(scene, client_order_id="c")) == Reason.TOO_MANY_REQUESTS_REMEMBERED
    assert scene.one(request(scene, client_order_id="a"))["kind"] == DUPLICATE
    assert scene.one(request(scene, client_order_id="c", expires_ns=0))["kind"] == ACCEPTED


def test_orders_without_a_request_key_are_never_duplicates(scene: Scene) -> None:
    for _ in range(2):
        scene.rest(ALICE, BUY, 100, 1, timestamp_us=5, expires_ns=scene.desk.time_ns + 1)


def test_money_is_booked_once_by_its_reference(scene: Scene) -> None:
    desk = scene.desk
    assert scene.one(desk.deposit(ALICE, BTC, 5, "wire"))["free"] == RICH + 5
    assert scene.one(desk.deposit(ALICE, BTC, 9, "wire"))["kind"] == DUPLICATE
    assert scene.one(desk.withdraw(ALICE, BTC, 3, "wire"))["free"] == RICH + 2
    assert scene.one(desk.withdraw(ALICE, BTC, 3, "wire"))["kind"] == DUPLICATE
    assert scene.refused(desk.withdraw(ALICE, BTC, RICH + 3)) == Reason.INSUFFICIENT_BALANCE
    assert scene.refused(desk.deposit(7, BTC, 1)) == Reason.UNKNOWN_ACCOUNT
    assert scene.refused(desk.deposit(ALICE, 7, 1)) == Reason.UNKNOWN_ASSET
    assert scene.refused(desk.deposit(ALICE, BTC, 0)) == Reason.AMOUNT_OUT_OF_RANGE


# Refusals: markets that cannot be, and full tables.


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        ({"quote": BTC}, Reason.INVALID_MARKET),
        ({"quote": 9}, Reason.UNKNOWN_ASSET),
        ({"tick": 3, "price_max": 999_999}, Reason.INVALID_MARKET),
        ({"quantity_scale": 9}, Reason.INVALID_MARKET),
        ({"price_scale": 8, "quantity_scale": 8}, Reason.INVALID_MARKET),
        ({"price_max": 1 << 40, "quantity_max": 1 << 40}, Reason.INVALID_MARKET),
        ({"price_max": 1 << 42, "quantity_max": 1}, Reason.INVALID_MARKET),
        ({"notional_max": AMOUNT_MAX + 1}, Reason.INVALID_MARKET),
        ({"taker_fee": 10, "maker_fee": -11}, Reason.INVALID_MARKET),
        ({"orders_per_account_max": 0}, Reason.INVALID_MARKET),
        ({"symbol": "BTCUSDT"}, Reason.ALREADY_EXISTS),
        ({"symbol": ""}, Reason.INVALID_COMMAND),
    ],
)
def test_a_market_that_cannot_be_exact_is_refused(scene: Scene, rules: dict[str, Any], reason: Reason) -> None:
    assert scene.refused(scene.desk.market(**{"symbol": "NEXT"} | rules)) == reason
    assert scene.one(scene.desk.market("NEXT"))["market"] == 1


def fill_orders(scene: Scene) -> Fields:
    for price in (10, 10, 11):
        scene.rest(ALICE, BUY, price, 1)
    return scene.desk.place(BOB, BUY, 10, 1)


def fill_levels(scene: Scene) -> Fields:
    for price in (10, 11):
        scene.rest(ALICE, BUY, price, 1)
    return scene.desk.place(BOB, BUY, 12, 1)


def fill_balances(scene: Scene) -> Fields:
    return scene.desk.place(scene.one(scene.desk.account("dave"))["account"], BUY, 10, 1)


def fill_references(scene: Scene) -> Fields:
    return scene.desk.deposit(ALICE, BTC, 1)


def fill_keys(scene: Scene) -> Fields:
    scene.one(scene.desk.command(CommandKind.KEY_ADD, account=ALICE, key_added=1))
    return scene.desk.command(CommandKind.KEY_ADD, account=ALICE, key_added=2)


def fill_requests(scene: Scene) -> Fields:
    def request(name: str) -> Fields:
        order = {"client_order_id": name, "timestamp_us": 1, "expires_ns": scene.desk.time_ns + 1}
        return scene.desk.place(ALICE, BUY, 10, 1, **order)

    scene.one(request("first"))
    return request("second")


@pytest.mark.parametrize(
    ("limits", "fill"),
    [
        ({"orders_max": 3}, fill_orders),
        ({"levels_max": 2}, fill_levels),
        ({"balances_max": 9}, fill_balances),
        ({"references_max": 6}, fill_references),
        ({"accounts_max": 4}, lambda scene: scene.desk.account("dave")),
        ({"assets_max": 2}, lambda scene: scene.desk.asset("MORE", 8)),
        ({"markets_max": 1}, lambda scene: scene.desk.market("MORE")),
    ],
)
def test_a_full_table_is_a_refusal_and_nothing_is_lost(limits: dict[str, int], fill: Callable[[Scene], Fields]) -> None:
    scene = Scene(replace(LIMITS, **limits))
    assert scene.refused(fill(scene)) == Reason.ENGINE_FULL
    queue = scene.queue()
    if queue:
        scene.one(scene.desk.cancel(ALICE, queue[-1][0]))
        scene.rest(BOB, BUY, 11, 1)


@pytest.mark.parametrize(
    ("limits", "fill"),
    [
        ({"orders_max": 3}, fill_orders),
        ({"levels_max": 2}, fill_levels),
        ({"balances_max": 8}, fill_balances),
        ({"references_max": 6}, fill_references),
        ({"accounts_max": 4}, lambda scene: scene.desk.account("dave")),
        ({"keys_max": 1}, fill_keys),
        ({"assets_max": 2}, lambda scene: scene.desk.asset("MORE", 8)),
        ({"markets_max": 1}, lambda scene: scene.desk.market("MORE")),
        ({"requests_remembered_per_account_max": 1}, fill_requests),
        ({"requests_remembered_max": 1}, fill_requests),
    ],
)
def test_limits_decide_not_the_tables_room(limits: dict[str, int], fill: Callable[[Scene], Fields]) -> None:
    """A limit that is set is met as if the tables were that small; raised, it lets through; and never below the use."""
    lowered = replace(LIMITS, **limits)
    small, scene = Scene(lowered), Scene()
    event = scene.one(scene.desk.limits(lowered))
    assert event["kind"] == EventKind.LIMITS and {name: event[name] for name in vars(lowered)} == vars(lowered)
    one_more = fill(scene)
    refusal = scene.refused(one_more)
    assert refusal == small.refused(fill(small)) != Reason.INVALID_COMMAND
    (name, number), state_before = next(iter(limits.items())), scene.matcher.state_hash()
    for refused in (number - 1, 0, -1, getattr(LIMITS, name) + 1, (1 << 63) - 1):
        if refused != number - 1 or number > 1:
            assert scene.refused(scene.desk.limits(replace(LIMITS, **{name: refused}))) == Reason.INVALID_COMMAND
            assert scene.matcher.state.limits_in_force == lowered
    assert scene.one(scene.desk.limits(replace(LIMITS, **{name: number + 2})))["kind"] == EventKind.LIMITS
    assert scene.matcher.state_hash() != state_before
    assert scene.one(one_more)["reason"] != refusal


def test_an_account_has_its_most_orders_in_a_market() -> None:
    scene = Scene(orders_per_account_max=2)
    first = scene.rest(ALICE, BUY, 10, 1)
    scene.rest(ALICE, BUY, 10, 1)
    assert scene.refused(scene.desk.place(ALICE, BUY, 10, 1)) == Reason.TOO_MANY_ORDERS
    scene.rest(BOB, BUY, 10, 1)
    scene.one(scene.desk.cancel(ALICE, first))
    scene.rest(ALICE, BUY, 10, 1)


# Large work goes on in steps.


def test_a_long_sweep_ends_as_if_it_were_one_step() -> None:
    scene = Scene(orders_per_account_max=5_000)
    count = 2 * EVENTS_PER_COMMAND_MAX + 5
    scene.do_all(records_of([scene.desk.place(BOB, SELL, 100 + i % 7, 1) for i in range(count)]))
    makers = [order for order, *_ in scene.queue()]
    events = scene.place(ALICE, BUY, 200, count + 1, correlation=42)
    assert [maker for maker, _, _ in trades(events)] == makers
    assert kinds(events) == [ACCEPTED, *[TRADE] * count, RESTED]
    assert [bool(e["flag_bits"] & EventFlag.LAST) for e in events] == [False] * (count + 1) + [True]
    assert {e["correlation"] for e in events} == {42}
    steps = [e["command_sequence"] for e in events]
    assert len(set(steps)) == 3 and steps == sorted(steps)
    assert max(steps.count(step) for step in set(steps)) <= EVENTS_PER_COMMAND_MAX
    assert scene.queue() == [(events[0]["order_id"], BUY, 200, 1)]


def test_a_long_cancel_all_ends_as_if_it_were_one_step() -> None:
    scene = Scene(orders_per_account_max=5_000)
    count = EVENTS_PER_COMMAND_MAX + 100
    accepted = scene.do_all(records_of([scene.desk.place(BOB, SELL, 100 + i % 7, 1) for i in range(count)]))
    kept = scene.rest(ALICE, SELL, 100, 1)
    events = scene.do(scene.desk.cancel_all(BOB, -1))
    assert kinds(events) == [*[CANCELED] * count, DONE]
    assert [e["order_id"] for e in events[:-1]] == [e["order_id"] for e in accepted]
    assert [e for e in events if e["flag_bits"] & EventFlag.LAST] == events[-1:]
    assert scene.queue() == [(kept, SELL, 100, 1)] and scene.balance(BOB, BTC) == (RICH, 0)


# The library.


def test_the_example_in_the_documentation_is_true() -> None:
    results = doctest.testmod(library)
    assert results.attempted > 0 and results.failed == 0


def test_markets_and_accounts_of_a_new_matcher() -> None:
    matcher = Matcher(default_markets(), limits=LIMITS_OF_DEFAULTS)
    assert matcher.symbols == [market.symbol for market in default_markets()]
    assert matcher.account_add("alice") == 1 and matcher.account_add("bob") == 2
    assert matcher.deposit(1, "BTC", 5, "a") and not matcher.deposit(1, "BTC", 5, "a")
    assert matcher.balances(1) == {"BTC": (5, 0)} and matcher.balances(2) == {}


LIMITS_OF_DEFAULTS = replace(LIMITS, markets_max=16)


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda m: m.account_add("fees"), "account 'fees': ALREADY_EXISTS"),
        (lambda m: m.deposit(1, "BTC", 1, "x"), "to account 1: UNKNOWN_ACCOUNT"),
        (lambda m: m.deposit(0, "GOLD", 1, "x"), "asset 'GOLD': there is none of that name, only BTC, "),
        (lambda m: m.deposit(0, "BTC", 0, "x"), "AMOUNT_OUT_OF_RANGE"),
        (lambda m: m.deposit(0, "BTC", 1, ""), "INVALID_COMMAND"),
        (lambda m: m.deposit(0, "BTC", 1, "x" * 37), "at most 36"),
        (lambda m: m.depth(10, 5), "market 10: there are 10, numbered from 0"),
        (lambda m: m.orders(-1), "market -1"),
        (lambda m: m.replay(commands(1)), "numbered from 18 on"),
    ],
)
def test_the_library_says_what_is_wrong(use: Callable[[Matcher], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        use(Matcher(default_markets(), limits=LIMITS_OF_DEFAULTS))


def test_a_market_of_the_library_must_fit_its_assets() -> None:
    market = default_markets()[0]
    with pytest.raises(ValueError, match="BTCUSDT: USDT is not among"):
        Matcher([market], assets=[Asset("BTC", 8)])
    with pytest.raises(ValueError, match="BTCUSDT: tick: tick × lot must be a whole number"):
        Matcher([market], assets=[Asset("BTC", 8), Asset("USDT", 2)])


def test_depth_and_orders_of_a_market(scene: Scene) -> None:
    ids = [scene.rest(ALICE, BUY, price, 2) for price in (97, 99, 99, 98)]
    scene.rest(BOB, SELL, 101, 3)
    bids, asks = scene.matcher.depth(0, levels_max=2)
    assert bids.tolist() == [(99, 4), (98, 2)] and asks.tolist() == [(101, 3)]
    assert scene.matcher.depth(0, levels_max=0)[0].tolist() == []
    assert [order for order, side, *_ in scene.queue() if side == BUY] == [ids[1], ids[2], ids[3], ids[0]]
    assert np.array_equal(scene.matcher.orders(0), scene.matcher.export()["orders"])


def test_commands_are_left_as_they_were(scene: Scene) -> None:
    records = records_of([scene.desk.place(CAROL, BUY, 99, 1)])
    records["sequence"] = 999
    before = records.tobytes()
    assert scene.matcher.submit(records)["kind"].tolist() == [ACCEPTED]
    assert records.tobytes() == before


def test_half_a_cancel_replace_is_an_error_not_a_refusal(scene: Scene) -> None:
    with pytest.raises(ValueError, match="takes more records than are there: 1 are missing"):
        scene.matcher.submit(records_of([scene.desk.cancel_leg(ALICE, 1)]))


def test_a_cascade_of_stops_goes_on_from_a_snapshot_taken_within_it(tmp_path: Path) -> None:
    """Each stop order fires by a CONTINUE of its own, which answers nobody, wherever the matcher died before."""
    scene, desk = Scene(), Desk()
    scene.rest(BOB, BUY, 100, 1)
    scene.rest(BOB, BUY, 99, 1)
    scene.rest(BOB, BUY, 98, 1)
    scene.rest(BOB, BUY, 97, 1)
    for price in (100, 99, 98):
        scene.place(ALICE, SELL, 0, 1, order_type=OrderType.STOP_LOSS, stop_price=price)
    desk.sequence = int(scene.matcher.state.root["command_sequence"])
    records = [desk.place(CAROL, SELL, 100, 1, correlation=7, gateway=1, connection=3), *(desk.go_on() for _ in "123")]
    journal = records_of(records)
    write_snapshot(scene.matcher.state, tmp_path)
    (before,) = snapshot_paths(tmp_path)
    whole = follow_journal(load_snapshot(before, LIMITS), journal)
    assert kinds([event_fields(e) for e in whole]) == [
        *(EventKind.ACCEPTED, EventKind.TRADE),
        *(EventKind.TRIGGERED, EventKind.TRADE) * 3,
    ]
    assert whole["price"][whole["kind"] == EventKind.TRADE].tolist() == [100, 99, 98, 97]
    assert whole["correlation"].tolist() == [7] * 2 + [0] * 6 and whole["gateway"].tolist() == [1] * 2 + [0] * 6
    assert (whole["flag_bits"] & EventFlag.LAST).tolist() == [0, 1] * 4
    for cut in (1, 2, 3):
        state = load_snapshot(before, LIMITS)
        first = follow_journal(state, journal[:cut])
        loaded = load_snapshot(write_snapshot(state, tmp_path / str(cut)), LIMITS)
        assert state_hash(loaded) == state_hash(state)
        assert first.tobytes() + follow_journal(loaded, journal[cut:]).tobytes() == whole.tobytes()


def follow_journal(state: State, records: np.ndarray) -> np.ndarray:
    return np.concatenate(list(Replayer(state).apply(records)))
