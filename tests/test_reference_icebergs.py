"""Hand-worked scenarios of icebergs: the reference exchange alone."""

from __future__ import annotations

import pytest
from reference.desk import ALICE, BOB, BUY, CAROL, SELL, USDT
from reference.scene import RICH, STEP, UNIT, Scene, kinds, trades

from ringex.reasons import Reason
from ringex.terms import EventFlag, EventKind, OrderStatus, OrderType, SelfTradePrevention, TimeInForce


@pytest.fixture
def scene() -> Scene:
    """Alice sells 10 at 100 and shows 3 of them; behind her bob sells 4."""
    scene = Scene()
    scene.place(ALICE, SELL, 100, 10, iceberg_quantity=3)
    scene.place(BOB, SELL, 100, 4)
    return scene


def test_the_book_shows_a_slice(scene: Scene) -> None:
    (accepted,) = scene.place(ALICE, SELL, 105, 10, iceberg_quantity=3)
    assert accepted["flag_bits"] == EventFlag.LAST | EventFlag.LEVEL | EventFlag.WORKING
    assert (accepted["quantity"], accepted["iceberg_quantity"], accepted["level_quantity"]) == (10, 3, 3)
    assert accepted["locked"] == 20 * UNIT


def test_a_used_up_slice_is_refilled_at_the_end_of_the_queue(scene: Scene) -> None:
    events = scene.place(CAROL, BUY, 100, 9)
    assert trades(events) == [(1, 100, 3), (2, 100, 4), (1, 100, 2)]
    assert kinds(events)[1:] == [EventKind.TRADE, EventKind.RESTED, EventKind.TRADE, EventKind.TRADE]
    trade, refill = events[1:3]
    assert (trade["level_quantity"], trade["maker_status"]) == (4, OrderStatus.PARTIALLY_FILLED)
    assert (refill["order_id"], refill["account"], refill["execution_id"]) == (1, ALICE, 0)
    assert (refill["status"], refill["flag_bits"]) == (OrderStatus.PARTIALLY_FILLED, EventFlag.LEVEL)
    assert (refill["level_price"], refill["level_quantity"], refill["executed_quantity"]) == (100, 7, 3)
    assert refill["locked"] == 7 * UNIT
    assert refill["book_update_id"] == trade["book_update_id"] + 1
    # one of the second slice is left, before carol's next order meets the third
    assert [e["level_quantity"] for e in events[3:]] == [3, 1]
    assert trades(scene.place(CAROL, BUY, 100, 100)) == [(1, 100, 1), (1, 100, 3), (1, 100, 1)]


def test_the_last_slice_is_what_is_left(scene: Scene) -> None:
    events = scene.place(CAROL, BUY, 100, 14)
    assert trades(events) == [(1, 100, 3), (2, 100, 4), (1, 100, 3), (1, 100, 3), (1, 100, 1)]
    rested = [e["level_quantity"] for e in events if e["kind"] == EventKind.RESTED]
    assert rested == [7, 3, 1]
    assert events[-1]["maker_status"] == OrderStatus.FILLED
    assert not scene.exchange.open_orders


def test_a_taker_takes_with_all_of_it_and_rests_with_a_slice(scene: Scene) -> None:
    events = scene.place(CAROL, BUY, 100, 20, iceberg_quantity=4)
    assert sum(quantity for _, _, quantity in trades(events)) == 14
    assert (events[-1]["kind"], events[-1]["level_quantity"]) == (EventKind.RESTED, 4)
    assert scene.balance(CAROL, USDT) == (RICH - 2000 * STEP, 600 * STEP)


def test_walks_count_the_hidden_part(scene: Scene) -> None:
    fok = scene.place(CAROL, BUY, 100, 15, time_in_force=TimeInForce.FOK)
    assert fok[-1]["reason"] == Reason.NOT_FILLED_AT_ONCE
    scene.do(scene.desk.withdraw(CAROL, USDT, RICH - 1399 * STEP))
    assert scene.one(scene.desk.market_order(CAROL, BUY, 14))["reason"] == Reason.INSUFFICIENT_BALANCE
    fok = scene.place(CAROL, BUY, 100, 13, time_in_force=TimeInForce.FOK)
    assert sum(quantity for _, _, quantity in trades(fok)) == 13


def test_amend_down_takes_from_the_hidden_part_first(scene: Scene) -> None:
    scene.place(CAROL, BUY, 100, 1)  # alice shows 2 of 9
    for quantity, level in ((5, 6), (2, 5)):
        amended = scene.one(scene.desk.amend(ALICE, 1, quantity=quantity))
        assert amended["flag_bits"] & EventFlag.PRIORITY_KEPT
        assert amended["level_quantity"] == level
    assert trades(scene.place(CAROL, BUY, 100, 2)) == [(1, 100, 1), (2, 100, 1)]


def test_amend_up_re_enters_with_a_fresh_slice(scene: Scene) -> None:
    scene.place(CAROL, BUY, 100, 2)  # alice shows 1 of 8
    amended, rested = scene.do(scene.desk.amend(ALICE, 1, quantity=12))
    assert (amended["level_quantity"], rested["level_quantity"]) == (4, 7)
    assert trades(scene.place(CAROL, BUY, 100, 5)) == [(2, 100, 4), (1, 100, 1)]


def test_prevention_ends_all_of_it_or_takes_from_the_hidden_part(scene: Scene) -> None:
    decrement = {"self_trade_prevention": SelfTradePrevention.DECREMENT}
    events = scene.place(ALICE, BUY, 100, 6, **decrement)
    assert events[1]["quantity"] == 6
    assert (events[2]["kind"], events[2]["quantity"], events[2]["level_quantity"]) == (EventKind.AMENDED, 4, 7)
    events = scene.place(ALICE, BUY, 100, 2, **decrement)
    assert (events[2]["quantity"], events[2]["level_quantity"]) == (2, 6)
    events = scene.place(ALICE, BUY, 100, 9, self_trade_prevention=SelfTradePrevention.EXPIRE_MAKER)
    assert (events[1]["quantity"], events[2]["level_quantity"]) == (2, 4)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"iceberg_quantity": 8}, Reason.NONE),
        ({"iceberg_quantity": 40, "order_type": OrderType.LIMIT_MAKER}, Reason.NONE),
        ({"iceberg_quantity": 41}, Reason.INVALID_ICEBERG),
        ({"iceberg_quantity": -8}, Reason.INVALID_ICEBERG),
        ({"iceberg_quantity": 10}, Reason.QUANTITY_LOT),
        ({"iceberg_quantity": 4}, Reason.QUANTITY_TOO_LOW),
        ({"iceberg_quantity": 8, "time_in_force": TimeInForce.IOC}, Reason.INVALID_ICEBERG),
        ({"iceberg_quantity": 8, "time_in_force": TimeInForce.FOK}, Reason.INVALID_ICEBERG),
        ({"iceberg_quantity": 8, "order_type": OrderType.MARKET, "price": 0}, Reason.INVALID_ICEBERG),
        (
            {"iceberg_quantity": 8, "order_type": OrderType.TAKE_PROFIT, "price": 0, "stop_price": 5},
            Reason.INVALID_ICEBERG,
        ),
        ({"iceberg_quantity": 8, "order_type": OrderType.STOP_LOSS_LIMIT, "stop_price": 5}, Reason.NONE),
    ],
)
def test_refusals_of_icebergs(fields: dict[str, int], reason: Reason) -> None:
    scene = Scene(quantity_min=8, quantity_max=400, lot=4)
    events = scene.place(**{"account": ALICE, "side": BUY, "price": 100, "quantity": 40} | fields)
    assert Reason(events[0]["reason"]) == reason


def test_refills_count_against_the_events_of_a_step() -> None:
    scene = Scene(events_per_command_max=11)
    scene.place(ALICE, SELL, 100, 5, iceberg_quantity=1)
    first = scene.place(CAROL, BUY, 100, 5)
    assert kinds(first) == [EventKind.ACCEPTED, EventKind.TRADE, EventKind.RESTED]
    second, third = scene.go_on(), scene.go_on()
    assert kinds(second) == [EventKind.TRADE, EventKind.RESTED] * 2
    assert kinds(third) == [EventKind.TRADE, EventKind.RESTED, EventKind.TRADE]
