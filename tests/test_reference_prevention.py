"""Hand-worked scenarios of self-trade prevention: the reference exchange alone."""

from __future__ import annotations

import pytest
from reference.desk import ALICE, BOB, BTC, BUY, CAROL, SELL, USDT
from reference.scene import RICH, STEP, UNIT, Scene, kinds, trades

from ringex.reasons import Reason
from ringex.terms import EventFlag, EventKind, OrderStatus, OrderType, SelfTradePrevention, TimeInForce

ACCEPTED, AMENDED, CANCELED = EventKind.ACCEPTED, EventKind.AMENDED, EventKind.CANCELED
PREVENTED, RESTED, TRADE = EventKind.PREVENTED, EventKind.RESTED, EventKind.TRADE
EXPIRE_TAKER = {"self_trade_prevention": SelfTradePrevention.EXPIRE_TAKER}
EXPIRE_MAKER = {"self_trade_prevention": SelfTradePrevention.EXPIRE_MAKER}
EXPIRE_BOTH = {"self_trade_prevention": SelfTradePrevention.EXPIRE_BOTH}
DECREMENT = {"self_trade_prevention": SelfTradePrevention.DECREMENT}


@pytest.fixture
def scene() -> Scene:
    """Sells of bob's 2 at 100, alice's 5 at 101 and bob's 4 at 102."""
    scene = Scene()
    scene.place(BOB, SELL, 100, 2)
    scene.place(ALICE, SELL, 101, 5, client_order_id="mine")
    scene.place(BOB, SELL, 102, 4)
    return scene


def test_expire_taker_ends_where_it_meets_its_own(scene: Scene) -> None:
    events = scene.place(ALICE, BUY, 102, 10, client_order_id="taker", **EXPIRE_TAKER)
    assert kinds(events) == [ACCEPTED, TRADE, PREVENTED, CANCELED]
    assert events[0]["self_trade_prevention"] == SelfTradePrevention.EXPIRE_TAKER
    prevented, end = events[2:]
    assert (prevented["account"], prevented["order_id"], prevented["side"]) == (ALICE, 4, BUY)
    assert (prevented["maker_account"], prevented["maker_order_id"]) == (ALICE, 2)
    assert (prevented["price"], prevented["quantity"], prevented["prevented_match_id"]) == (101, 5, 1)
    assert (prevented["mode"], prevented["flag_bits"]) == (SelfTradePrevention.EXPIRE_TAKER, 0)
    # three orders, ACCEPTED and two sides of a trade take one each
    assert (prevented["execution_id"], end["execution_id"]) == (7, 8)
    assert (end["status"], end["reason"]) == (OrderStatus.EXPIRED_IN_MATCH, Reason.PREVENTED)
    assert (end["quantity"], end["executed_quantity"], end["flag_bits"]) == (10, 2, EventFlag.LAST)
    assert (end["client_order_id"], end["original_client_order_id"]) == ("taker", "")
    assert scene.balance(ALICE, USDT) == (RICH - 200 * STEP, 0)
    assert list(scene.exchange.open_orders) == [2, 3]


def test_expire_maker_goes_on_behind_its_own(scene: Scene) -> None:
    events = scene.place(ALICE, BUY, 102, 10, **EXPIRE_MAKER)
    assert kinds(events) == [ACCEPTED, TRADE, PREVENTED, CANCELED, TRADE, RESTED]
    ended = events[3]
    assert (ended["order_id"], ended["status"], ended["reason"]) == (2, OrderStatus.EXPIRED_IN_MATCH, Reason.PREVENTED)
    assert (ended["flag_bits"], ended["level_price"], ended["level_quantity"]) == (EventFlag.LEVEL, 101, 0)
    assert (ended["client_order_id"], ended["original_client_order_id"]) == ("mine", "")
    assert scene.balance(ALICE, BTC) == (RICH + 6 * UNIT, 0)
    assert (events[5]["quantity"], events[5]["executed_quantity"], events[5]["level_quantity"]) == (10, 6, 4)


def test_expire_both_ends_the_maker_first(scene: Scene) -> None:
    events = scene.place(ALICE, BUY, 102, 10, **EXPIRE_BOTH)
    assert kinds(events) == [ACCEPTED, TRADE, PREVENTED, CANCELED, CANCELED]
    assert [event["order_id"] for event in events[3:]] == [2, 4]
    assert [event["flag_bits"] for event in events[3:]] == [EventFlag.LEVEL, EventFlag.LAST]
    assert list(scene.exchange.open_orders) == [3]


def test_decrement_makes_the_larger_order_smaller(scene: Scene) -> None:
    """The taker is larger: the maker ends as it was, the taker goes on with 5 less."""
    events = scene.place(ALICE, BUY, 102, 10, **DECREMENT)
    assert kinds(events) == [ACCEPTED, TRADE, PREVENTED, CANCELED, AMENDED, TRADE]
    ended, smaller = events[3:5]
    assert (ended["order_id"], ended["quantity"], ended["status"]) == (2, 5, OrderStatus.EXPIRED_IN_MATCH)
    assert (smaller["order_id"], smaller["quantity"], smaller["executed_quantity"]) == (4, 5, 2)
    assert (smaller["flag_bits"], smaller["reason"]) == (EventFlag.PRIORITY_KEPT, Reason.PREVENTED)
    assert smaller["locked"] == 3 * 102 * STEP
    assert trades(events) == [(1, 100, 2), (3, 102, 3)]
    assert events[5]["taker_status"] == OrderStatus.FILLED
    assert scene.balance(ALICE, USDT) == (RICH - (200 + 306) * STEP, 0)


def test_decrement_leaves_a_smaller_maker_in_its_place(scene: Scene) -> None:
    scene.place(BOB, SELL, 101, 1)
    events = scene.place(ALICE, BUY, 102, 5, **DECREMENT)
    assert kinds(events) == [ACCEPTED, TRADE, PREVENTED, AMENDED, CANCELED]
    smaller, ended = events[3:]
    assert (smaller["order_id"], smaller["quantity"], smaller["locked"]) == (2, 2, 2 * UNIT)
    assert smaller["flag_bits"] == EventFlag.PRIORITY_KEPT | EventFlag.LEVEL
    assert (smaller["level_price"], smaller["level_quantity"]) == (101, 3)
    assert (ended["order_id"], ended["quantity"], ended["executed_quantity"]) == (5, 5, 2)
    assert (ended["status"], ended["reason"]) == (OrderStatus.EXPIRED_IN_MATCH, Reason.PREVENTED)
    assert trades(scene.place(CAROL, BUY, 101, 1)) == [(2, 101, 1)]


def test_decrement_of_equals_ends_both(scene: Scene) -> None:
    events = scene.place(ALICE, BUY, 101, 7, **DECREMENT)
    assert kinds(events) == [ACCEPTED, TRADE, PREVENTED, CANCELED, CANCELED]
    assert [(event["order_id"], event["quantity"]) for event in events[3:]] == [(2, 5), (4, 7)]


def test_a_trade_group_does_not_trade_with_itself(scene: Scene) -> None:
    scene.do(scene.desk.account_set(CAROL, trade_group=7))
    assert trades(scene.place(CAROL, BUY, 101, 3, **EXPIRE_TAKER)) == [(1, 100, 2), (2, 101, 1)]
    scene.do(scene.desk.account_set(ALICE, trade_group=7))
    events = scene.place(CAROL, BUY, 101, 3, **EXPIRE_TAKER)
    assert kinds(events) == [ACCEPTED, PREVENTED, CANCELED]
    assert events[1]["maker_account"] == ALICE
    scene.do(scene.desk.account_set(ALICE, trade_group=8))
    assert trades(scene.place(CAROL, BUY, 101, 3, **EXPIRE_TAKER)) == [(2, 101, 3)]


def test_the_takers_mode_decides(scene: Scene) -> None:
    scene.place(ALICE, BUY, 90, 1, **EXPIRE_BOTH)
    assert trades(scene.place(ALICE, SELL, 90, 1)) == [(4, 90, 1)]


def test_an_amended_order_keeps_its_mode(scene: Scene) -> None:
    scene.place(ALICE, BUY, 90, 5, **EXPIRE_MAKER)
    events = scene.do(scene.desk.amend(ALICE, 4, price=101, self_trade_prevention=SelfTradePrevention.NONE))
    assert kinds(events) == [AMENDED, TRADE, PREVENTED, CANCELED, RESTED]


@pytest.mark.parametrize(
    ("mode", "quantity", "is_filled"),
    [
        (EXPIRE_TAKER, 2, True),
        (EXPIRE_TAKER, 3, False),
        (EXPIRE_BOTH, 3, False),
        (EXPIRE_MAKER, 6, True),
        (EXPIRE_MAKER, 7, False),
        (DECREMENT, 7, False),
        ({}, 11, True),
    ],
)
def test_fill_or_kill_counts_whom_it_may_trade_with(
    scene: Scene, mode: dict[str, int], quantity: int, is_filled: bool
) -> None:
    events = scene.place(ALICE, BUY, 102, quantity, time_in_force=TimeInForce.FOK, **mode)
    assert (events[-1]["reason"] == Reason.NOT_FILLED_AT_ONCE) != is_filled
    assert sum(piece for _, _, piece in trades(events)) == (quantity if is_filled else 0)


def test_fill_or_kill_counts_what_stands_before_its_own() -> None:
    """Bob's iceberg shows 2 of 6 before alice's order: its refill queues behind her."""
    scene = Scene()
    scene.place(BOB, SELL, 100, 6, iceberg_quantity=2)
    scene.place(ALICE, SELL, 100, 1)
    fok = {"time_in_force": TimeInForce.FOK}
    assert scene.place(ALICE, BUY, 100, 3, **EXPIRE_TAKER, **fok)[-1]["reason"] == Reason.NOT_FILLED_AT_ONCE
    assert trades(scene.place(ALICE, BUY, 100, 2, **EXPIRE_TAKER, **fok)) == [(1, 100, 2)]


def test_a_market_orders_cost_is_that_of_what_it_may_trade_with(scene: Scene) -> None:
    scene.do(scene.desk.withdraw(ALICE, USDT, RICH - 608 * STEP))  # 2 at 100, 4 at 102
    assert scene.one(scene.desk.market_order(ALICE, BUY, 7))["reason"] == Reason.INSUFFICIENT_BALANCE
    events = scene.do(scene.desk.market_order(ALICE, BUY, 7, **EXPIRE_MAKER))
    assert trades(events) == [(1, 100, 2), (3, 102, 4)]
    assert events[-1]["reason"] == Reason.NO_LIQUIDITY
    assert scene.balance(ALICE, USDT) == (0, 0)


def test_a_market_order_by_quote_amount_that_a_prevention_stops_expires(scene: Scene) -> None:
    """101 are left after bob's, alice's own leaves the book, and one at 102 costs too much."""
    events = scene.do(scene.desk.market_order(ALICE, BUY, quote_quantity=301 * STEP, **EXPIRE_MAKER))
    assert kinds(events) == [ACCEPTED, TRADE, PREVENTED, CANCELED, CANCELED]
    assert events[2]["quantity"] == 1
    assert (events[4]["status"], events[4]["reason"]) == (OrderStatus.EXPIRED, Reason.NO_LIQUIDITY)
    assert events[1]["taker_status"] == OrderStatus.PARTIALLY_FILLED


def test_refusals_of_modes(scene: Scene) -> None:
    for order in (
        scene.desk.place(ALICE, BUY, 90, 1, self_trade_prevention=5),
        scene.desk.market_order(ALICE, BUY, quote_quantity=STEP, **DECREMENT),
    ):
        assert scene.one(order)["reason"] == Reason.INVALID_SELF_TRADE_PREVENTION
    own = scene.place(ALICE, BUY, 101, 1, order_type=OrderType.LIMIT_MAKER, **EXPIRE_MAKER)
    assert own[0]["reason"] == Reason.WOULD_TAKE


def test_many_preventions_go_on_by_continue() -> None:
    scene = Scene(events_per_command_max=11)
    for _ in range(4):
        scene.place(ALICE, SELL, 100, 1)
    first = scene.place(ALICE, BUY, 100, 5, correlation=77, **DECREMENT)
    assert kinds(first) == [ACCEPTED, PREVENTED, CANCELED, AMENDED]
    events = scene.go_on() + scene.go_on() + scene.go_on()
    assert kinds(events) == [PREVENTED, CANCELED, AMENDED] * 3 + [RESTED]
    assert [event["flag_bits"] & EventFlag.LAST for event in first + events] == [0] * 13 + [1]
    assert events[-1]["quantity"] == 1
