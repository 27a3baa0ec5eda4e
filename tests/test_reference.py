"""Hand-worked scenarios: the reference exchange alone, against numbers worked out on paper from the trading rules.

What its units are says `reference.scene`.
"""

from __future__ import annotations

from typing import Any

import pytest
from reference.desk import ALICE, BOB, BTC, BUY, CAROL, SELL, USDT
from reference.scene import RICH, STEP, UNIT, Scene, kinds, trades

from ringex.config import Limits
from ringex.messages import AMOUNT_MAX
from ringex.reasons import Reason
from ringex.terms import CommandFlag, EventFlag, EventKind, OrderStatus, OrderType, TimeInForce


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_resting_order_holds_what_it_would_pay(scene: Scene) -> None:
    (event,) = scene.place(ALICE, BUY, 100, 7)
    assert event["kind"] == EventKind.ACCEPTED
    assert event["flag_bits"] == EventFlag.LAST | EventFlag.LEVEL | EventFlag.WORKING
    assert (event["level_price"], event["level_quantity"], event["book_update_id"]) == (100, 7, 1)
    assert (event["free"], event["locked"]) == (RICH - 700 * STEP, 700 * STEP)
    assert (event["order_id"], event["execution_id"], event["status"]) == (1, 1, OrderStatus.NEW)


def test_best_price_first_then_oldest_first(scene: Scene) -> None:
    scene.place(ALICE, SELL, 102, 5)
    scene.place(ALICE, SELL, 101, 5)
    scene.place(BOB, SELL, 101, 5)
    events = scene.place(CAROL, BUY, 102, 13)
    assert trades(events) == [(2, 101, 5), (3, 101, 5), (1, 102, 3)]
    assert [e["level_quantity"] for e in events[1:]] == [5, 0, 2]
    assert [e["taker_status"] for e in events[1:]] == [2, 2, OrderStatus.FILLED]


def test_buyer_gets_the_better_price_back(scene: Scene) -> None:
    scene.place(BOB, SELL, 90, 10)
    events = scene.place(ALICE, BUY, 100, 15)
    assert kinds(events) == [EventKind.ACCEPTED, EventKind.TRADE, EventKind.RESTED]
    assert scene.balance(ALICE, USDT) == (RICH - (900 + 500) * STEP, 500 * STEP)
    assert scene.balance(ALICE, BTC) == (RICH + 10 * UNIT, 0)
    assert scene.balance(BOB, USDT) == (RICH + 900 * STEP, 0)
    assert (events[2]["status"], events[2]["level_quantity"]) == (OrderStatus.PARTIALLY_FILLED, 5)
    assert events[2]["execution_id"] == 0


def test_fees_round_up_and_rebates_down() -> None:
    scene = Scene(taker_fee=33_333, maker_fee=-33_331)
    scene.place(BOB, SELL, 1, 1)
    trade = scene.place(ALICE, BUY, 1, 1)[1]
    assert trade["taker_fee"] == 334  # 1,000,000 × 0.00033333 = 333.33, up
    assert trade["maker_fee"] == 0  # a rebate of 3.3331 would be 3, but the fee account holds no quote
    assert scene.balance(0, BTC) == (334, 0)
    scene.do(scene.desk.deposit(0, USDT, 2))
    scene.place(BOB, SELL, 1, 1)
    trade = scene.place(ALICE, BUY, 1, 1)[1]
    assert trade["maker_fee"] == -2  # as far as it goes
    scene.do(scene.desk.deposit(0, USDT, 100))
    scene.place(BOB, SELL, 1, 1)
    trade = scene.place(ALICE, BUY, 1, 1)[1]
    assert trade["maker_fee"] == -3  # 3.3331 down
    assert scene.balance(0, USDT) == (97, 0)


def test_ioc_expires_what_is_left(scene: Scene) -> None:
    scene.place(BOB, SELL, 100, 4)
    events = scene.place(ALICE, BUY, 100, 10, time_in_force=TimeInForce.IOC, client_order_id="ioc")
    assert kinds(events) == [EventKind.ACCEPTED, EventKind.TRADE, EventKind.CANCELED]
    end = events[-1]
    assert (end["status"], end["reason"]) == (OrderStatus.EXPIRED, Reason.NO_LIQUIDITY)
    assert (end["quantity"], end["executed_quantity"]) == (10, 4)
    assert (end["client_order_id"], end["original_client_order_id"]) == ("ioc", "")
    assert end["flag_bits"] == EventFlag.LAST
    assert scene.balance(ALICE, USDT) == (RICH - 400 * STEP, 0)


def test_fok_fills_whole_or_not_at_all(scene: Scene) -> None:
    scene.place(BOB, SELL, 100, 4)
    scene.place(BOB, SELL, 101, 4)
    fok = {"time_in_force": TimeInForce.FOK}
    killed = scene.place(ALICE, BUY, 100, 5, **fok)
    assert kinds(killed) == [EventKind.ACCEPTED, EventKind.CANCELED]
    assert killed[1]["reason"] == Reason.NOT_FILLED_AT_ONCE
    assert scene.balance(ALICE, USDT) == (RICH, 0)
    assert trades(scene.place(ALICE, BUY, 101, 5, **fok)) == [(1, 100, 4), (2, 101, 1)]


def test_limit_maker_never_takes(scene: Scene) -> None:
    scene.place(BOB, SELL, 100, 4)
    (refused,) = scene.place(ALICE, BUY, 100, 1, order_type=OrderType.LIMIT_MAKER)
    assert (refused["kind"], refused["reason"]) == (EventKind.REJECTED, Reason.WOULD_TAKE)
    (accepted,) = scene.place(ALICE, BUY, 99, 1, order_type=OrderType.LIMIT_MAKER)
    assert accepted["kind"] == EventKind.ACCEPTED


def test_market_order_by_quantity_pays_from_free(scene: Scene) -> None:
    scene.place(BOB, SELL, 100, 4)
    events = scene.do(scene.desk.market_order(ALICE, BUY, 6))
    assert kinds(events) == [EventKind.ACCEPTED, EventKind.TRADE, EventKind.CANCELED]
    assert (events[2]["status"], events[2]["reason"]) == (OrderStatus.EXPIRED, Reason.NO_LIQUIDITY)
    assert scene.balance(ALICE, USDT) == (RICH - 400 * STEP, 0)


def test_market_order_by_quote_amount_is_filled_when_the_rest_buys_no_lot(scene: Scene) -> None:
    scene.place(BOB, SELL, 100, 4)
    scene.place(BOB, SELL, 150, 4)
    events = scene.do(scene.desk.market_order(ALICE, BUY, quote_quantity=599 * STEP))
    assert trades(events) == [(1, 100, 4), (2, 150, 1)]
    assert events[0]["quantity"] == 0
    assert events[-1]["taker_status"] == OrderStatus.FILLED
    # it takes the last that the book has with the last of its amount
    scene.place(BOB, BUY, 90, 2)
    events = scene.do(scene.desk.market_order(ALICE, SELL, quote_quantity=180 * STEP))
    assert events[-1]["taker_status"] == OrderStatus.FILLED
    # the book runs out: what is left expires, and the order's quantity is what it has executed
    events = scene.do(scene.desk.market_order(ALICE, BUY, quote_quantity=600 * STEP))
    assert trades(events) == [(2, 150, 3)]
    assert events[-1]["kind"] == EventKind.CANCELED
    assert (events[-1]["quantity"], events[-1]["executed_quote"]) == (3, 450 * STEP)


def test_funds_are_checked_at_entry(scene: Scene) -> None:
    (refused,) = scene.place(ALICE, BUY, 100_000, 10_001)
    assert refused["reason"] == Reason.INSUFFICIENT_BALANCE
    (accepted,) = scene.place(ALICE, BUY, 100_000, 10_000)
    assert (accepted["free"], accepted["locked"]) == (0, RICH)
    scene.place(BOB, SELL, 200_000, 5)
    assert scene.one(scene.desk.market_order(ALICE, BUY, 1))["reason"] == Reason.INSUFFICIENT_BALANCE


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"side": 3}, Reason.INVALID_SIDE),
        ({"order_type": 0}, Reason.INVALID_ORDER_TYPE),
        ({"time_in_force": 9}, Reason.INVALID_TIME_IN_FORCE),
        ({"order_type": OrderType.LIMIT_MAKER, "time_in_force": TimeInForce.IOC}, Reason.INVALID_TIME_IN_FORCE),
        ({"price": 5}, Reason.PRICE_TOO_LOW),
        ({"price": 1010}, Reason.PRICE_TOO_HIGH),
        ({"price": 105}, Reason.PRICE_TICK),
        ({"quantity": 0}, Reason.QUANTITY_TOO_LOW),
        ({"quantity": -(2**63)}, Reason.QUANTITY_TOO_LOW),
        ({"quantity": 2**63 - 1}, Reason.QUANTITY_TOO_HIGH),
        ({"quantity": 5}, Reason.QUANTITY_LOT),
        ({"quote_quantity": 1}, Reason.INVALID_QUANTITY),
        ({"price": 10, "quantity": 4}, Reason.NOTIONAL_TOO_LOW),
        ({"price": 1000, "quantity": 400}, Reason.NOTIONAL_TOO_HIGH),
        ({"order_type": OrderType.MARKET}, Reason.INVALID_ORDER_TYPE),
        ({"order_type": OrderType.MARKET, "price": 0, "quote_quantity": 1}, Reason.INVALID_QUANTITY),
        ({"order_type": OrderType.MARKET, "price": 0, "quantity": 0}, Reason.INVALID_QUANTITY),
        ({"market": 1}, Reason.INVALID_SYMBOL),
        ({"account": 0}, Reason.UNKNOWN_ACCOUNT),
        ({"account": 4}, Reason.UNKNOWN_ACCOUNT),
        ({"expires_ns": 1}, Reason.REQUEST_EXPIRED),
    ],
)
def test_refusals_of_place(fields: dict[str, int], reason: Reason) -> None:
    bounds = {"price_min": 10, "price_max": 1000, "tick": 10, "quantity_min": 4, "quantity_max": 400, "lot": 4}
    scene = Scene(**bounds, notional_min=50 * STEP, notional_max=100_000 * STEP)
    order = {"account": ALICE, "side": BUY, "price": 100, "quantity": 40} | fields
    (refused,) = scene.place(**order)
    assert (refused["kind"], Reason(refused["reason"])) == (EventKind.REJECTED, reason)
    assert refused["status"] == OrderStatus.REJECTED
    assert not scene.exchange.open_orders


def test_cancel_gives_the_hold_back(scene: Scene) -> None:
    scene.place(ALICE, BUY, 100, 7, client_order_id="mine")
    command = scene.desk.cancel(ALICE, original_client_order_id="mine", client_order_id="cancel-1")
    canceled = scene.one(command)
    assert (canceled["kind"], canceled["status"]) == (EventKind.CANCELED, OrderStatus.CANCELED)
    assert (canceled["client_order_id"], canceled["original_client_order_id"]) == ("cancel-1", "mine")
    assert (canceled["level_price"], canceled["level_quantity"]) == (100, 0)
    assert scene.balance(ALICE, USDT) == (RICH, 0)


def test_cancel_names_one_order_of_its_account_and_market(scene: Scene) -> None:
    scene.place(ALICE, BUY, 100, 7, client_order_id="a")
    scene.place(ALICE, BUY, 100, 7, client_order_id="b")
    for command in (
        scene.desk.cancel(BOB, 1),
        scene.desk.cancel(ALICE, 3),
        scene.desk.cancel(ALICE),
        scene.desk.cancel(ALICE, 1, original_client_order_id="b"),
        scene.desk.cancel(ALICE, 1, original_client_order_id="none"),
    ):
        assert scene.one(command)["reason"] == Reason.UNKNOWN_ORDER
    restricted = scene.desk.cancel(ALICE, 1, flag_bits=CommandFlag.ONLY_PARTIALLY_FILLED)
    assert scene.one(restricted)["reason"] == Reason.CANCEL_RESTRICTED
    scene.place(BOB, SELL, 100, 1)
    restricted = scene.desk.cancel(ALICE, 1, flag_bits=CommandFlag.ONLY_NEW)
    assert scene.one(restricted)["reason"] == Reason.CANCEL_RESTRICTED


def test_a_filled_order_frees_its_client_order_id(scene: Scene) -> None:
    scene.place(ALICE, BUY, 100, 1, client_order_id="again")
    (refused,) = scene.place(ALICE, BUY, 99, 1, client_order_id="again")
    assert refused["reason"] == Reason.DUPLICATE_CLIENT_ORDER_ID
    scene.place(BOB, SELL, 100, 1, client_order_id="again")
    assert scene.place(ALICE, BUY, 99, 1, client_order_id="again")[0]["kind"] == EventKind.ACCEPTED


def test_amend_down_keeps_priority_and_up_loses_it(scene: Scene) -> None:
    scene.place(ALICE, SELL, 100, 5)
    scene.place(BOB, SELL, 100, 5)
    amended = scene.one(scene.desk.amend(ALICE, 1, quantity=4))
    assert amended["flag_bits"] == EventFlag.LAST | EventFlag.LEVEL | EventFlag.PRIORITY_KEPT
    assert (amended["level_quantity"], amended["quantity"], amended["locked"]) == (9, 4, 4 * UNIT)
    assert trades(scene.place(CAROL, BUY, 100, 1)) == [(1, 100, 1)]
    events = scene.do(scene.desk.amend(ALICE, 1, quantity=6))
    assert kinds(events) == [EventKind.AMENDED, EventKind.RESTED]
    assert [e["level_quantity"] for e in events] == [5, 10]
    assert trades(scene.place(CAROL, BUY, 100, 6)) == [(2, 100, 5), (1, 100, 1)]


def test_amend_to_a_crossing_price_matches_as_taker() -> None:
    scene = Scene(taker_fee=100_000)
    scene.place(BOB, SELL, 110, 3)
    scene.place(ALICE, BUY, 100, 5, client_order_id="old")
    events = scene.do(scene.desk.amend(ALICE, 2, price=115, client_order_id="new"))
    assert kinds(events) == [EventKind.AMENDED, EventKind.TRADE, EventKind.RESTED]
    assert (events[0]["client_order_id"], events[0]["original_client_order_id"]) == ("new", "old")
    assert (events[0]["level_price"], events[0]["level_quantity"], events[0]["locked"]) == (100, 0, 575 * STEP)
    assert (events[1]["price"], events[1]["taker_fee"]) == (110, 3 * UNIT // 1000)
    assert (events[2]["order_id"], events[2]["level_price"], events[2]["level_quantity"]) == (2, 115, 2)
    assert scene.balance(ALICE, USDT) == (RICH - (330 + 230) * STEP, 230 * STEP)


def test_refusals_of_amend(scene: Scene) -> None:
    scene.place(BOB, SELL, 110, 3)
    scene.place(ALICE, BUY, 100, 5, order_type=OrderType.LIMIT_MAKER, client_order_id="a")
    scene.place(ALICE, BUY, 90, 5, client_order_id="b")
    scene.place(CAROL, SELL, 100, 2)
    scene.do(scene.desk.withdraw(ALICE, USDT, RICH - 1000 * STEP))
    for fields, reason in (
        ({"price": -1}, Reason.INVALID_QUANTITY),
        ({"price": 100, "quantity": 5}, Reason.AMEND_NOTHING),
        ({"quantity": 2}, Reason.AMEND_BELOW_EXECUTED),
        ({"quantity": 6, "flag_bits": CommandFlag.KEEP_PRIORITY}, Reason.AMEND_LOSES_PRIORITY),
        ({"price": 2_000_000}, Reason.PRICE_TOO_HIGH),
        ({"quantity": 4, "client_order_id": "b"}, Reason.DUPLICATE_CLIENT_ORDER_ID),
        ({"price": 110}, Reason.WOULD_TAKE),
        ({"price": 105, "quantity": 20}, Reason.INSUFFICIENT_BALANCE),
    ):
        before = scene.balance(ALICE, USDT)
        refused = scene.one(scene.desk.amend(ALICE, 2, **fields))
        assert (refused["kind"], Reason(refused["reason"])) == (EventKind.REJECTED, reason)
        assert scene.balance(ALICE, USDT) == before


def test_cancel_all_is_oldest_first_and_ends_with_done(scene: Scene) -> None:
    for price in (101, 99, 100):
        scene.place(ALICE, BUY, price, 1)
    scene.place(BOB, BUY, 100, 1)
    events = scene.do(scene.desk.cancel_all(ALICE))
    assert [e["order_id"] for e in events] == [1, 2, 3, 0]
    assert (events[-1]["kind"], events[-1]["count"], events[-1]["flag_bits"]) == (EventKind.DONE, 3, EventFlag.LAST)
    assert scene.balance(ALICE, USDT) == (RICH, 0)
    assert scene.one(scene.desk.cancel_all(ALICE, -1))["reason"] == Reason.UNKNOWN_ORDER


def test_cancel_replace_places_after_canceling(scene: Scene) -> None:
    scene.place(ALICE, BUY, 100, 5)
    cancel, place = scene.desk.cancel_leg(ALICE, 1), scene.desk.place(ALICE, BUY, 101, 5)
    canceled, accepted = scene.do(cancel, place)
    assert (canceled["kind"], accepted["kind"]) == (EventKind.CANCELED, EventKind.ACCEPTED)
    assert canceled["command_sequence"] == accepted["command_sequence"] == cancel["sequence"]
    assert (canceled["flag_bits"] & EventFlag.LAST, accepted["flag_bits"] & EventFlag.LAST) == (0, EventFlag.LAST)
    assert scene.balance(ALICE, USDT) == (RICH - 505 * STEP, 505 * STEP)


def test_cancel_replace_with_a_failed_cancel(scene: Scene) -> None:
    events = scene.do(scene.desk.cancel_leg(ALICE, 1), scene.desk.place(ALICE, BUY, 101, 5))
    assert [Reason(e["reason"]) for e in events] == [Reason.UNKNOWN_ORDER, Reason.CANCEL_REJECTED]
    leg = scene.desk.cancel_leg(ALICE, 1, flag_bits=CommandFlag.ALLOW_FAILURE)
    events = scene.do(leg, scene.desk.place(ALICE, BUY, 101, 5))
    assert kinds(events) == [EventKind.REJECTED, EventKind.ACCEPTED]
    other = scene.do(scene.desk.cancel_leg(ALICE, 1), scene.desk.place(BOB, BUY, 101, 5))
    assert [Reason(e["reason"]) for e in other] == [Reason.INVALID_COMMAND]


def test_the_same_request_is_answered_once(scene: Scene) -> None:
    key = {"client_order_id": "once", "timestamp_us": 7, "expires_ns": scene.desk.time_ns + 10}
    scene.place(ALICE, BUY, 100, 5, **key)
    (again,) = scene.place(ALICE, BUY, 100, 5, **key)
    assert (again["kind"], again["order_id"], again["reason"]) == (EventKind.DUPLICATE, 1, Reason.NONE)
    refused_key = key | {"timestamp_us": 8}
    scene.place(ALICE, BUY, 100, 5, **refused_key)
    scene.do(scene.desk.cancel(ALICE, 1))
    (again,) = scene.place(ALICE, BUY, 100, 5, **refused_key)
    assert (again["order_id"], again["reason"]) == (0, Reason.DUPLICATE_CLIENT_ORDER_ID)
    scene.desk.time_ns += 11
    (late,) = scene.place(ALICE, BUY, 100, 5, **key)
    assert late["reason"] == Reason.REQUEST_EXPIRED
    (anew,) = scene.place(ALICE, BUY, 100, 5, **key | {"expires_ns": scene.desk.time_ns})
    assert (anew["kind"], anew["order_id"]) == (EventKind.ACCEPTED, 2)


def test_remembered_requests_are_bounded() -> None:
    scene = Scene(Limits(requests_remembered_per_account_max=1))
    key = {"timestamp_us": 7, "expires_ns": scene.desk.time_ns}
    scene.place(ALICE, BUY, 100, 5, client_order_id="a", **key)
    for _ in range(2):
        (refused,) = scene.place(ALICE, BUY, 100, 5, client_order_id="b", **key)
        assert refused["reason"] == Reason.TOO_MANY_REQUESTS_REMEMBERED
    assert scene.place(BOB, BUY, 100, 5, client_order_id="b", **key)[0]["kind"] == EventKind.ACCEPTED
    scene.desk.time_ns += 1
    later = {"timestamp_us": 8, "expires_ns": scene.desk.time_ns}
    assert scene.place(ALICE, BUY, 100, 5, client_order_id="b", **later)[0]["kind"] == EventKind.ACCEPTED


def test_a_long_sweep_goes_on_by_continue() -> None:
    scene = Scene(events_per_command_max=11)
    for _ in range(8):
        scene.place(BOB, SELL, 100, 1)
    sweep = scene.desk.place(ALICE, BUY, 100, 9, correlation=77)
    first = scene.do(sweep)
    assert kinds(first) == [EventKind.ACCEPTED, EventKind.TRADE, EventKind.TRADE]
    second = scene.go_on()
    third = scene.go_on()
    assert [len(trades(events)) for events in (second, third)] == [3, 3]
    assert kinds(third)[-1] == EventKind.RESTED
    assert [e["flag_bits"] & EventFlag.LAST for e in first + second + third] == [0] * 9 + [1]
    assert {e["correlation"] for e in second + third} == {77}
    assert second[0]["command_sequence"] == sweep["sequence"] + 1
    assert scene.one(scene.desk.go_on())["reason"] == Reason.INVALID_COMMAND


def test_a_long_cancel_all_goes_on_by_continue() -> None:
    scene = Scene(events_per_command_max=7)
    for _ in range(6):
        scene.place(ALICE, BUY, 100, 1)
    assert kinds(scene.do(scene.desk.cancel_all(ALICE))) == [EventKind.CANCELED] * 3
    events = scene.go_on()
    assert kinds(events) == [EventKind.CANCELED] * 3 + [EventKind.DONE]
    assert events[-1]["count"] == 3


def test_a_trade_with_oneself_conserves() -> None:
    scene = Scene(taker_fee=100_000, maker_fee=50_000)
    scene.place(ALICE, SELL, 100, 10)
    trade = scene.place(ALICE, BUY, 100, 10)[1]
    assert (trade["taker_fee"], trade["maker_fee"]) == (10 * UNIT // 1000, 1000 * STEP // 2000)
    assert trade["taker_base_free"] == trade["maker_base_free"] == RICH - trade["taker_fee"]
    assert trade["taker_quote_free"] == trade["maker_quote_free"] == RICH - trade["maker_fee"]


def test_bookings_happen_once_by_reference(scene: Scene) -> None:
    booked = scene.one(scene.desk.deposit(ALICE, USDT, 5, "tx1"))
    assert (booked["kind"], booked["amount"], booked["free"]) == (EventKind.BALANCE, 5, RICH + 5)
    assert scene.one(scene.desk.deposit(ALICE, USDT, 6, "tx1"))["kind"] == EventKind.DUPLICATE
    withdrawn = scene.one(scene.desk.withdraw(ALICE, USDT, 5, "tx1"))
    assert (withdrawn["amount"], withdrawn["free"]) == (-5, RICH)
    assert scene.one(scene.desk.withdraw(ALICE, USDT, RICH + 1, "tx2"))["reason"] == Reason.INSUFFICIENT_BALANCE
    assert scene.one(scene.desk.withdraw(ALICE, USDT, RICH, "tx2"))["free"] == 0
    room = AMOUNT_MAX - 2 * RICH
    assert scene.one(scene.desk.deposit(BOB, USDT, room + 1))["reason"] == Reason.AMOUNT_OUT_OF_RANGE
    assert scene.one(scene.desk.deposit(BOB, USDT, room))["free"] == RICH + room


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        ({"symbol": "BTCUSDT"}, Reason.ALREADY_EXISTS),
        ({"symbol": ""}, Reason.INVALID_COMMAND),
        ({"base": 1}, Reason.INVALID_MARKET),
        ({"base": 7}, Reason.UNKNOWN_ASSET),
        ({"quantity_scale": 9}, Reason.INVALID_MARKET),
        ({"tick": 0}, Reason.INVALID_MARKET),
        ({"price_max": 1_000_001, "tick": 2}, Reason.INVALID_MARKET),
        ({"price_scale": 8}, Reason.INVALID_MARKET),  # 1 × 1 × 10^(8-8-2) is no whole number of quote units
        ({"price_scale": 8, "tick": 10, "lot": 10, "price_min": 10, "quantity_min": 10}, Reason.NONE),
        ({"price_max": 1 << 40, "quantity_max": 1 << 23}, Reason.INVALID_MARKET),
        ({"maker_fee": -2, "taker_fee": 1}, Reason.INVALID_MARKET),
        ({"taker_fee": 100_000_000}, Reason.INVALID_MARKET),
        ({"orders_per_account_max": 0}, Reason.INVALID_MARKET),
        ({}, Reason.NONE),
    ],
)
def test_a_market_must_fit_together(scene: Scene, rules: dict[str, Any], reason: Reason) -> None:
    event = scene.one(scene.desk.market(**({"symbol": "NEW"} | rules)))
    assert Reason(event["reason"]) == reason
    assert event["kind"] == (EventKind.REJECTED if reason else EventKind.MARKET)
