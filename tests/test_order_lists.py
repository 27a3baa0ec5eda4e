"""Order lists worked out by hand: who is filled, what expires, in which order, and what is held meanwhile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reference.desk import ALICE, BOB, BTC, BUY, CAROL, SELL, USDT
from reference.records import Fields, records_of
from scene import LIMITS, STEP, UNIT, Scene, kinds, trades

from ringex.config import Durability
from ringex.engine import Matcher
from ringex.engine.matcher import is_continuation_pending
from ringex.engine.replay import recover_state
from ringex.engine.snapshot import load_snapshot, write_snapshot
from ringex.journal import JournalWriter
from ringex.journal.recovery import recover
from ringex.reasons import Reason
from ringex.terms import (
    AccountStatus,
    CommandFlag,
    CommandKind,
    EventKind,
    ListStatus,
    MarketStatus,
    OrderStatus,
    OrderType,
    SelfTradePrevention,
    TimeInForce,
)

ORDER_LIST, ACCEPTED, PLACED, TRADE = EventKind.ORDER_LIST, EventKind.ACCEPTED, EventKind.PLACED, EventKind.TRADE
CANCELED, RESTED, TRIGGERED, DONE = EventKind.CANCELED, EventKind.RESTED, EventKind.TRIGGERED, EventKind.DONE
LIMIT_MAKER, STOP_LOSS_LIMIT = OrderType.LIMIT_MAKER, OrderType.STOP_LOSS_LIMIT
TAKE_PROFIT, TAKE_PROFIT_LIMIT = OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT


@pytest.fixture
def scene() -> Scene:
    """The last price is 100; nothing rests."""
    scene = Scene()
    trade_at(scene, 100)
    return scene


def trade_at(scene: Scene, price: int) -> list[Fields]:
    """Let the market trade at a price, between Bob and Carol, if nobody else is there. The trade's events."""
    scene.rest(BOB, SELL, price, 1)
    return scene.place(CAROL, BUY, price, 1)


def oco(scene: Scene, quantity: int = 4, account: int = ALICE, side: int = SELL, **fields: Any) -> tuple[Fields, ...]:
    """A stop loss at 95 and a profit at 105; who buys, the other way round."""
    stop_price, price = (95, 105) if side == SELL else (105, 95)
    stop = scene.desk.stop(account, side, stop_price, quantity)
    profit = scene.desk.place(account, side, price, quantity, order_type=LIMIT_MAKER)
    return scene.desk.order_list(CommandKind.OCO_PLACE, stop, profit, **fields)


def oto(scene: Scene, working: Fields, pending: Fields, **fields: Any) -> tuple[Fields, ...]:
    return scene.desk.order_list(CommandKind.OTO_PLACE, working, pending, **fields)


def otoco(scene: Scene, price: int = 98, quantity: int = 4, **fields: Any) -> tuple[Fields, ...]:
    """Alice buys at a price; then a stop loss at 95 and a profit at 105."""
    working = scene.desk.place(ALICE, BUY, price, quantity)
    stop = scene.desk.stop(ALICE, SELL, 95, quantity)
    profit = scene.desk.place(ALICE, SELL, 105, quantity, order_type=LIMIT_MAKER)
    return scene.desk.order_list(CommandKind.OTOCO_PLACE, working, stop, profit, **fields)


def ends(events: list[Fields]) -> list[tuple[int, OrderStatus, Reason]]:
    """(order id, status, reason) of what was canceled or has expired, in order."""
    return [
        (e["order_id"], OrderStatus(e["status"]), Reason(e["reason"]))
        for e in events
        if e["kind"] == EventKind.CANCELED
    ]


def list_events(events: list[Fields]) -> list[tuple[int, ListStatus]]:
    return [(e["order_list_id"], ListStatus(e["list_status"])) for e in events if e["kind"] == ORDER_LIST]


def expired(order_id: int) -> tuple[int, OrderStatus, Reason]:
    return order_id, OrderStatus.EXPIRED, Reason.ENDED_WITH_LIST


def by_client(order_id: int) -> tuple[int, OrderStatus, Reason]:
    return order_id, OrderStatus.CANCELED, Reason.CANCELED_BY_CLIENT


def order_ids(events: list[Fields]) -> list[int]:
    return [event["order_id"] for event in events if event["kind"] == ACCEPTED]


# ---- one cancels the other -------------------------------------------------------------------------------------------


def test_a_pair_is_taken_as_one(scene: Scene) -> None:
    events = scene.do(*oco(scene, client_order_id="both", correlation=7))
    assert kinds(events) == [ORDER_LIST, ACCEPTED, ACCEPTED]
    began, stop, profit = events
    assert (began["order_list_id"], began["list_status"], began["client_order_id"]) == (1, 1, "both")
    ids = [began[name] for name in ("first_order_id", "second_order_id", "third_order_id")]
    assert ids == [stop["order_id"], profit["order_id"], 0]
    assert [event["order_list_id"] for event in (stop, profit)] == [1, 1]
    assert [event["status"] for event in (stop, profit)] == [OrderStatus.NEW] * 2
    assert (profit["level_price"], profit["level_quantity"]) == (105, 4)
    assert scene.balance(ALICE, BTC)[1] == 4 * UNIT  # held once for both
    assert [event["flag_bits"] & 1 for event in events] == [0, 0, 1]
    assert {event["correlation"] for event in events} == {7}


def test_a_fill_however_small_expires_the_other_before_it_trades(scene: Scene) -> None:
    stop, profit = order_ids(scene.do(*oco(scene)))
    events = scene.place(BOB, BUY, 105, 1)
    assert kinds(events) == [ACCEPTED, CANCELED, TRADE]
    assert ends(events) == [expired(stop)]
    assert trades(events) == [(profit, 105, 1)]
    assert scene.balance(ALICE, BTC)[1] == 3 * UNIT
    events = scene.place(BOB, BUY, 105, 3)  # the rest of it: the list is over
    assert kinds(events) == [ACCEPTED, TRADE, ORDER_LIST]
    assert list_events(events) == [(1, ListStatus.ALL_DONE)]


def test_the_stop_expires_the_other_before_it_fires(scene: Scene) -> None:
    stop, profit = order_ids(scene.do(*oco(scene)))
    scene.rest(BOB, BUY, 94, 9)
    events = trade_at(scene, 95)[2:]
    assert kinds(events) == [CANCELED, TRIGGERED, TRADE, ORDER_LIST]
    assert ends(events) == [expired(profit)]
    assert (events[0]["level_price"], events[0]["level_quantity"]) == (105, 0)
    assert (events[2]["order_id"], events[2]["price"], events[2]["quantity"]) == (stop, 94, 4)
    assert scene.balance(ALICE, BTC)[1] == 0


def test_one_trade_reaches_only_one_of_a_pair(scene: Scene) -> None:
    """A sweep takes the profit's price and ends where the stop would be due: it is gone by then."""
    stop, _profit = order_ids(scene.do(*oco(scene, side=BUY)))
    scene.rest(BOB, SELL, 105, 1)
    events = scene.place(BOB, SELL, 95, 4)
    assert kinds(events) == [ACCEPTED, CANCELED, TRADE, ORDER_LIST]
    assert ends(events) == [expired(stop)]
    assert kinds(scene.place(CAROL, BUY, 105, 1)) == [ACCEPTED, TRADE]


def test_two_stops_make_a_pair_too(scene: Scene) -> None:
    stop = scene.desk.stop(ALICE, SELL, 95, 2, order_type=STOP_LOSS_LIMIT, price=94)
    profit = scene.desk.stop(ALICE, SELL, 105, 2, order_type=TAKE_PROFIT_LIMIT, price=106)
    stop_id, profit_id = order_ids(scene.do(*scene.desk.order_list(CommandKind.OCO_PLACE, profit, stop)))[::-1]
    events = trade_at(scene, 105)[2:]
    assert kinds(events) == [CANCELED, TRIGGERED, RESTED]
    assert ends(events) == [expired(stop_id)]
    assert scene.queue() == [(profit_id, SELL, 106, 2)]


def test_a_pair_that_buys_holds_for_the_larger(scene: Scene) -> None:
    stop = scene.desk.stop(ALICE, BUY, 105, 4, order_type=STOP_LOSS_LIMIT, price=107)
    profit = scene.desk.place(ALICE, BUY, 90, 4, order_type=LIMIT_MAKER)
    stop_id, profit_id = order_ids(scene.do(*scene.desk.order_list(CommandKind.OCO_PLACE, stop, profit)))
    assert scene.balance(ALICE, USDT)[1] == 107 * 4 * STEP
    scene.do(scene.desk.amend(ALICE, stop_id, price=106))
    assert scene.balance(ALICE, USDT)[1] == 106 * 4 * STEP
    scene.do(scene.desk.amend(ALICE, profit_id, quantity=3))  # the other is the larger: nothing changes
    assert scene.balance(ALICE, USDT)[1] == 106 * 4 * STEP
    scene.do(scene.desk.amend(ALICE, stop_id, price=80))  # now this one is
    assert scene.balance(ALICE, USDT)[1] == 80 * 4 * STEP
    scene.place(BOB, SELL, 90, 1)  # the stop goes: what it needs beyond the other is free again
    assert scene.balance(ALICE, USDT)[1] == 90 * 2 * STEP


def test_the_larger_hold_of_a_pair_must_be_there() -> None:
    scene = Scene(funds=100 * 4 * STEP)
    stop = scene.desk.stop(ALICE, BUY, 105, 4, order_type=STOP_LOSS_LIMIT, price=107)
    profit = scene.desk.place(ALICE, BUY, 90, 4, order_type=LIMIT_MAKER)
    refused = scene.desk.order_list(CommandKind.OCO_PLACE, stop, profit)
    assert scene.refused(*refused) == Reason.INSUFFICIENT_BALANCE


@pytest.mark.parametrize(
    ("side", "stop_price", "price", "last_price", "fits"),
    [
        (SELL, 95, 105, 100, True),
        (SELL, 100, 105, 100, False),  # the stop's price is met
        (SELL, 95, 100, 100, False),  # the profit's price is not above the last
        (SELL, 105, 95, 100, False),
        (SELL, 95, 105, 0, True),  # nothing has traded: only their own order counts
        (SELL, 105, 95, 0, False),
        (BUY, 105, 95, 100, True),
        (BUY, 95, 105, 100, False),
        (BUY, 105, 100, 100, False),
        (BUY, 95, 105, 0, False),
    ],
)
def test_the_last_price_lies_between_those_of_a_pair(
    side: int, stop_price: int, price: int, last_price: int, fits: bool
) -> None:
    scene = Scene()
    if last_price:
        trade_at(scene, last_price)
    stop = scene.desk.stop(ALICE, side, stop_price, 1)
    profit = scene.desk.place(ALICE, side, price, 1, order_type=LIMIT_MAKER)
    commands = scene.desk.order_list(CommandKind.OCO_PLACE, stop, profit)
    if fits:
        assert len(scene.do(*commands)) == 3
    else:
        assert scene.refused(*commands) == Reason.PRICE_RELATION


def test_a_pair_may_trail(scene: Scene) -> None:
    """The stop follows the market at 5 %: no price of it is compared."""
    stop = scene.desk.stop(ALICE, SELL, 0, 2, trailing_delta=500)
    profit = scene.desk.place(ALICE, SELL, 130, 2, order_type=LIMIT_MAKER)
    stop_id, profit_id = order_ids(scene.do(*scene.desk.order_list(CommandKind.OCO_PLACE, stop, profit)))
    trade_at(scene, 120)
    events = trade_at(scene, 114)[2:]
    assert ends(events)[0] == expired(profit_id)
    assert (events[1]["kind"], events[1]["order_id"]) == (TRIGGERED, stop_id)


# ---- what a list is made of ------------------------------------------------------------------------------------------


def test_what_makes_no_list(scene: Scene) -> None:
    desk = scene.desk
    limit, stop = desk.place(ALICE, SELL, 105, 1), desk.stop(ALICE, SELL, 95, 1)
    maker = desk.place(ALICE, SELL, 105, 1, order_type=LIMIT_MAKER)
    by_quote = desk.market_order(ALICE, SELL, quote_quantity=50)
    for kind, *legs in (
        (CommandKind.OCO_PLACE, limit, stop),
        (CommandKind.OCO_PLACE, stop, stop),
        (CommandKind.OCO_PLACE, maker, maker),
        (CommandKind.OCO_PLACE, maker, stop | {"quantity": 2}),
        (CommandKind.OCO_PLACE, maker, stop | {"side": BUY}),
        (CommandKind.OTO_PLACE, stop, limit),
        (CommandKind.OTO_PLACE, desk.market_order(ALICE, SELL, 1), limit),
        (CommandKind.OTO_PLACE, limit, by_quote),
        (CommandKind.OTOCO_PLACE, limit, limit, stop),
    ):
        assert scene.refused(*desk.order_list(kind, *legs)) == Reason.INVALID_ORDER_LIST, (kind, legs)


def test_one_bad_order_refuses_the_whole_list(scene: Scene) -> None:
    desk = scene.desk
    working, pending = desk.place(ALICE, BUY, 90, 1), desk.place(ALICE, SELL, 105, 1)
    assert scene.refused(*oto(scene, working, pending | {"quantity": 0})) == Reason.QUANTITY_TOO_LOW
    assert scene.refused(*oto(scene, working | {"price": 0}, pending)) == Reason.PRICE_TOO_LOW
    twice = {"client_order_id": "x"}
    assert scene.refused(*oto(scene, working | twice, pending | twice)) == Reason.DUPLICATE_CLIENT_ORDER_ID
    scene.rest(ALICE, BUY, 80, 1, client_order_id="x")
    assert scene.refused(*oto(scene, working, pending | twice)) == Reason.DUPLICATE_CLIENT_ORDER_ID
    scene.do(*oto(scene, working, pending, client_order_id="list"))
    again = oto(scene, working, pending, client_order_id="list")
    assert scene.refused(*again) == Reason.DUPLICATE_CLIENT_ORDER_ID
    assert scene.refused(*oto(scene, working | {"market": 9}, pending | {"market": 9})) == Reason.INVALID_SYMBOL


def test_records_that_do_not_belong_together(scene: Scene) -> None:
    own, *legs = oco(scene)
    assert scene.refused(own | {"kind": int(CommandKind.OTOCO_PLACE)}, *legs) == Reason.INVALID_COMMAND
    own, *legs = oco(scene)
    assert scene.refused(own, legs[0], legs[1] | {"account": BOB}) == Reason.INVALID_COMMAND
    own, *legs = oco(scene)
    assert scene.refused(own, legs[0], legs[1] | {"kind": int(CommandKind.CANCEL)}) == Reason.INVALID_COMMAND
    own, *legs = oco(scene)
    with pytest.raises(ValueError, match="1 are missing"):
        scene.matcher.submit(records_of([own, legs[0]]))


def test_a_list_counts_with_all_of_its_orders() -> None:
    scene = Scene(orders_per_account_max=4)
    trade_at(scene, 100)
    scene.do(*oco(scene))
    assert scene.refused(*otoco(scene)) == Reason.TOO_MANY_ORDERS
    scene.do(*oco(scene))
    assert scene.refused(scene.desk.place(ALICE, BUY, 90, 1)) == Reason.TOO_MANY_ORDERS


@pytest.mark.parametrize(
    ("filters", "reason"),
    [
        ({"order_lists_max": 1}, Reason.TOO_MANY_ORDER_LISTS),
        ({"algo_orders_max": 1}, Reason.TOO_MANY_ALGO_ORDERS),
        ({"position_max": 10**13 + 7 * UNIT}, Reason.POSITION_TOO_LARGE),
    ],
)
def test_lists_and_the_filters_that_count(filters: dict[str, int], reason: Reason) -> None:
    scene = Scene()
    trade_at(scene, 100)
    scene.do(scene.desk.filters(**filters))
    first = order_ids(scene.do(*oco(scene, 3, side=BUY)))[0]
    assert scene.refused(*oco(scene, 3, side=BUY)) == reason
    scene.do(scene.desk.cancel(ALICE, first))
    assert len(scene.do(*oco(scene, 3, side=BUY))) == 3


def test_a_repeated_list_is_answered_and_not_made_again(scene: Scene) -> None:
    key = {"client_order_id": "once", "timestamp_us": 5, "expires_ns": scene.desk.time_ns + 10}
    scene.do(*oco(scene, **key))
    repeated = scene.one(*oco(scene, **key))
    assert (repeated["kind"], repeated["order_id"], repeated["reason"]) == (EventKind.DUPLICATE, 1, Reason.NONE)
    (order,) = scene.place(ALICE, BUY, 90, 1, **key)  # an order of that id and time is something else
    assert order["kind"] == ACCEPTED
    wrong = key | {"client_order_id": "wrong"}
    stops = scene.desk.stop(ALICE, SELL, 95, 1), scene.desk.stop(ALICE, SELL, 95, 1)
    for _ in range(2):
        refused = scene.one(*scene.desk.order_list(CommandKind.OCO_PLACE, *stops, **wrong))
        assert refused["reason"] == Reason.INVALID_ORDER_LIST
    assert (refused["kind"], refused["order_id"]) == (EventKind.DUPLICATE, 0)
    late = {"client_order_id": "late", "timestamp_us": 5, "expires_ns": scene.desk.time_ns - 1}
    assert scene.refused(*oco(scene, **late)) == Reason.REQUEST_EXPIRED


# ---- one triggers the other ------------------------------------------------------------------------------------------


def test_the_pending_order_is_placed_when_the_working_one_is_filled_completely(scene: Scene) -> None:
    desk = scene.desk
    events = scene.do(*oto(scene, desk.place(ALICE, BUY, 98, 4), desk.place(ALICE, SELL, 104, 4)))
    assert kinds(events) == [ORDER_LIST, ACCEPTED, ACCEPTED, RESTED]
    working, pending = order_ids(events)
    assert [event["status"] for event in events[1:3]] == [OrderStatus.NEW, OrderStatus.PENDING_NEW]
    assert (scene.balance(ALICE, USDT)[1], scene.balance(ALICE, BTC)[1]) == (98 * 4 * STEP, 0)
    assert kinds(scene.place(BOB, SELL, 98, 3)) == [ACCEPTED, TRADE]
    assert scene.queue() == [(working, BUY, 98, 1)]
    events = scene.place(BOB, SELL, 98, 1)
    assert kinds(events) == [ACCEPTED, TRADE, PLACED, RESTED]
    assert (events[2]["order_id"], events[2]["status"]) == (pending, OrderStatus.NEW)
    assert [event["flag_bits"] & 1 for event in events] == [0, 1, 0, 1]  # the placing answers nobody
    assert events[2]["command_sequence"] == events[1]["command_sequence"] + 1
    assert scene.balance(ALICE, BTC)[1] == 4 * UNIT
    assert scene.queue() == [(pending, SELL, 104, 4)]
    events = scene.place(BOB, BUY, 104, 4)
    assert kinds(events) == [ACCEPTED, TRADE, ORDER_LIST]


def test_a_working_order_that_is_filled_at_once(scene: Scene) -> None:
    maker = scene.rest(BOB, SELL, 98, 4)
    other = scene.rest(CAROL, BUY, 97, 4)
    desk = scene.desk
    events = scene.do(*oto(scene, desk.place(ALICE, BUY, 98, 4), desk.market_order(ALICE, SELL, 3)))
    assert kinds(events) == [ORDER_LIST, ACCEPTED, ACCEPTED, TRADE, PLACED, TRADE, ORDER_LIST]
    assert trades(events) == [(maker, 98, 4), (other, 97, 3)]
    assert events[3]["command_kind"] == CommandKind.OTO_PLACE


@pytest.mark.parametrize("time_in_force", [TimeInForce.IOC, TimeInForce.FOK])
def test_a_working_order_that_expires_takes_the_pending_one_along(scene: Scene, time_in_force: int) -> None:
    scene.rest(BOB, SELL, 98, 1)
    desk = scene.desk
    working = desk.place(ALICE, BUY, 98, 4, time_in_force=time_in_force)
    events = scene.do(*oto(scene, working, desk.place(ALICE, SELL, 104, 4)))
    first, second = order_ids(events)
    reason = Reason.NO_LIQUIDITY if time_in_force == TimeInForce.IOC else Reason.NOT_FILLED_AT_ONCE
    assert ends(events) == [(first, OrderStatus.EXPIRED, reason), expired(second)]
    assert list_events(events) == [(1, ListStatus.EXEC_STARTED), (1, ListStatus.ALL_DONE)]
    assert scene.balance(ALICE, USDT)[1] == 0


def test_a_partly_filled_working_order_that_is_canceled(scene: Scene) -> None:
    working, stop, profit = order_ids(scene.do(*otoco(scene)))
    scene.place(BOB, SELL, 98, 3)
    events = scene.do(scene.desk.cancel(ALICE, working, client_order_id="enough"))
    assert kinds(events) == [CANCELED] * 3 + [ORDER_LIST]
    assert ends(events) == [by_client(working), by_client(stop), by_client(profit)]
    assert {event["client_order_id"] for event in events[:3]} == {"enough"}
    assert scene.balance(ALICE, BTC)[1] == scene.balance(ALICE, USDT)[1] == 0


def test_a_pending_order_that_is_canceled_takes_the_working_one_along(scene: Scene) -> None:
    working, stop, profit = order_ids(scene.do(*otoco(scene)))
    events = scene.do(scene.desk.cancel(ALICE, profit))
    assert ends(events) == [by_client(profit), by_client(working), by_client(stop)]
    assert scene.queue() == []


def test_a_pending_pair_is_placed_as_a_pair(scene: Scene) -> None:
    _working, stop, profit = order_ids(scene.do(*otoco(scene)))
    events = scene.place(BOB, SELL, 98, 4)
    assert kinds(events) == [ACCEPTED, TRADE, PLACED, PLACED]
    assert [event["order_id"] for event in events[2:]] == [stop, profit]
    assert (events[3]["level_price"], events[3]["level_quantity"]) == (105, 4)
    assert scene.balance(ALICE, BTC)[1] == 4 * UNIT
    events = scene.place(BOB, BUY, 105, 4)
    assert kinds(events) == [ACCEPTED, CANCELED, TRADE, ORDER_LIST]
    assert ends(events) == [expired(stop)]


def test_lists_are_placed_in_the_order_in_which_they_were_due_and_before_stops_fire(scene: Scene) -> None:
    """A sweep of three bids: the working orders at 98 and 97, and what is left trades at 96, where a stop is due."""
    desk = scene.desk
    late = scene.do(*oto(scene, desk.place(ALICE, BUY, 97, 1), desk.place(ALICE, SELL, 110, 1)))
    soon = scene.do(*oto(scene, desk.place(CAROL, BUY, 98, 1), desk.place(CAROL, SELL, 110, 1)))
    scene.rest(CAROL, BUY, 96, 1)
    stop = scene.one(desk.stop(ALICE, SELL, 96, 1))["order_id"]
    events = scene.place(BOB, SELL, 96, 3)
    assert kinds(events)[:4] == [ACCEPTED, TRADE, TRADE, TRADE]
    placed = [(EventKind(e["kind"]), e["order_id"]) for e in events[4:] if e["kind"] in (PLACED, TRIGGERED)]
    assert placed == [(PLACED, order_ids(soon)[1]), (PLACED, order_ids(late)[1]), (TRIGGERED, stop)]
    assert [row[0] for row in scene.queue()] == [order_ids(soon)[1], order_ids(late)[1]]


def test_a_pending_stop_loss_enters_behind_those_that_wait_already(scene: Scene) -> None:
    desk = scene.desk
    listed = order_ids(scene.do(*oto(scene, desk.place(ALICE, BUY, 98, 1), desk.stop(ALICE, SELL, 95, 1))))[1]
    waiting = scene.one(desk.stop(CAROL, SELL, 95, 1))["order_id"]
    scene.place(BOB, SELL, 98, 1)
    events = trade_at(scene, 95)
    assert [event["order_id"] for event in events if event["kind"] == TRIGGERED] == [waiting, listed]


@pytest.mark.parametrize(
    ("pending", "reason"),
    [
        ({"price": 104, "quantity": 500}, Reason.INSUFFICIENT_BALANCE),
        ({"price": 98, "order_type": LIMIT_MAKER}, Reason.WOULD_TAKE),
        ({"price": 0, "order_type": OrderType.STOP_LOSS, "stop_price": 99}, Reason.WOULD_TRIGGER),
        ({"price": 0, "peg_price_type": 2, "peg_offset": 5}, Reason.NO_PEG_PRICE),
    ],
)
def test_a_pending_order_that_cannot_be_placed_expires(pending: dict[str, Any], reason: Reason) -> None:
    scene = Scene(funds=400 * UNIT)
    trade_at(scene, 100)
    scene.rest(CAROL, BUY, 98, 2)
    second = scene.desk.place(ALICE, SELL, **{"price": 104, "quantity": 2} | pending)
    working, placed = order_ids(scene.do(*oto(scene, scene.desk.place(ALICE, BUY, 98, 2), second)))
    scene.place(BOB, SELL, 98, 2)  # Carol's
    scene.rest(CAROL, BUY, 98, 1)
    events = scene.place(BOB, SELL, 98, 2)
    assert ends(events) == [(placed, OrderStatus.EXPIRED, reason)]
    assert list_events(events) == [(1, ListStatus.ALL_DONE)]
    assert working in [maker for maker, _, _ in trades(events)]


def test_a_pending_pair_whose_prices_have_been_passed_expires(scene: Scene) -> None:
    _, stop, profit = order_ids(scene.do(*otoco(scene, price=93)))
    events = scene.place(BOB, SELL, 93, 4)  # below the stop loss at 95
    reason = (stop, OrderStatus.EXPIRED, Reason.PRICE_RELATION)
    assert ends(events) == [reason, expired(profit)]
    assert scene.balance(ALICE, BTC)[1] == 0


def test_a_pending_market_order_buys_what_the_balance_pays(scene: Scene) -> None:
    scene.rest(CAROL, SELL, 103, 5)
    desk = scene.desk
    _, pending = order_ids(scene.do(*oto(scene, desk.place(ALICE, SELL, 102, 2), desk.market_order(ALICE, BUY, 5))))
    events = scene.place(BOB, BUY, 102, 2)
    assert kinds(events) == [ACCEPTED, TRADE, PLACED, TRADE, ORDER_LIST]
    assert (events[3]["order_id"], events[3]["price"], events[3]["quantity"]) == (pending, 103, 5)


def test_a_pending_peg_takes_the_price_of_its_moment(scene: Scene) -> None:
    desk = scene.desk
    pending = desk.place(ALICE, SELL, 0, 1, peg_price_type=1)
    _, pegged = order_ids(scene.do(*oto(scene, desk.place(ALICE, BUY, 98, 1), pending)))
    scene.rest(CAROL, SELL, 107, 1)
    scene.place(BOB, SELL, 98, 1)
    assert (pegged, SELL, 107, 1) in scene.queue()


def test_a_pending_order_is_amended_without_a_hold(scene: Scene) -> None:
    desk = scene.desk
    _, pending = order_ids(scene.do(*oto(scene, desk.place(ALICE, BUY, 98, 2), desk.place(ALICE, SELL, 104, 2))))
    events = scene.do(desk.amend(ALICE, pending, quantity=5, price=106, client_order_id="new"))
    assert kinds(events) == [EventKind.AMENDED, ORDER_LIST]
    assert events[1]["list_status"] == ListStatus.UPDATED
    assert scene.balance(ALICE, BTC)[1] == 0
    scene.place(BOB, SELL, 98, 2)
    assert scene.queue() == [(pending, SELL, 106, 5)]
    assert scene.balance(ALICE, BTC)[1] == 5 * UNIT


def test_an_amended_working_order_takes_and_is_filled(scene: Scene) -> None:
    scene.rest(BOB, SELL, 99, 2)
    working, pending = order_ids(
        scene.do(*oto(scene, scene.desk.place(ALICE, BUY, 98, 2), scene.desk.place(ALICE, SELL, 104, 2)))
    )
    events = scene.do(scene.desk.amend(ALICE, working, price=99))
    assert kinds(events) == [EventKind.AMENDED, TRADE, PLACED, RESTED]
    assert scene.queue() == [(pending, SELL, 104, 2)]


# ---- the end of a list -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", [{"order_list_id": 1}, {"original_client_order_id": "mine"}])
def test_a_list_is_canceled_by_its_id_or_name(scene: Scene, which: dict[str, Any]) -> None:
    stop, profit = order_ids(scene.do(*oco(scene, client_order_id="mine")))
    for wrong in ({"account": BOB}, {"market": 1}):
        refused = scene.desk.list_cancel(**{"account": ALICE} | which) | wrong
        assert scene.one(refused)["reason"] in (Reason.UNKNOWN_ORDER, Reason.INVALID_SYMBOL)
    events = scene.do(scene.desk.list_cancel(ALICE, **which, client_order_id="away"))
    assert kinds(events) == [CANCELED, CANCELED, ORDER_LIST]
    assert ends(events) == [by_client(stop), by_client(profit)]
    assert {event["client_order_id"] for event in events[:2]} == {"away"}
    assert (events[2]["command_kind"], events[2]["client_order_id"]) == (CommandKind.LIST_CANCEL, "mine")
    assert scene.refused(scene.desk.list_cancel(ALICE, **which)) == Reason.UNKNOWN_ORDER
    assert len(scene.do(*oco(scene, client_order_id="mine"))) == 3  # the name is free again


def test_cancel_replace_of_one_takes_the_other_along(scene: Scene) -> None:
    stop, profit = order_ids(scene.do(*oco(scene)))
    leg = scene.desk.cancel_leg(ALICE, profit)
    events = scene.do(leg, scene.desk.place(ALICE, SELL, 107, 1))
    assert kinds(events) == [CANCELED, CANCELED, ORDER_LIST, ACCEPTED]
    assert ends(events) == [by_client(profit), by_client(stop)]


def test_mass_cancels_take_lists_as_a_whole_and_count_all(scene: Scene) -> None:
    single = scene.rest(ALICE, BUY, 80, 1)
    working, stop, profit = order_ids(scene.do(*otoco(scene)))
    other = scene.rest(ALICE, BUY, 81, 1)
    events = scene.do(scene.desk.cancel_all(ALICE))
    assert kinds(events) == [CANCELED] * 4 + [ORDER_LIST, CANCELED, DONE]
    assert [row[0] for row in ends(events)] == [single, working, stop, profit, other]
    assert {row[2] for row in ends(events)} == {Reason.CANCELED_WITH_ALL}
    assert events[-1]["count"] == 5


def test_sessions_kills_and_countdowns_end_lists(scene: Scene) -> None:
    session = {"gateway": 1, "incarnation": 1, "connection": 5}
    desk = scene.desk

    def listed() -> None:
        stop = desk.stop(ALICE, SELL, 95, 1, flag_bits=CommandFlag.CANCEL_ON_DISCONNECT)
        profit = desk.place(ALICE, SELL, 105, 1, order_type=LIMIT_MAKER, flag_bits=CommandFlag.CANCEL_ON_DISCONNECT)
        scene.do(*desk.order_list(CommandKind.OCO_PLACE, stop, profit, **session))

    for command, reason in (
        (desk.session_closed(ALICE, **session), Reason.DISCONNECTED),
        (desk.session_lost(1, 1), Reason.DISCONNECTED),
        (desk.market_kill(), Reason.CANCELED_BY_OPERATOR),
        (desk.account_kill(ALICE), Reason.CANCELED_BY_OPERATOR),
    ):
        listed()
        events = scene.do(command)
        assert [row[1:] for row in ends(events)] == [(OrderStatus.CANCELED, reason)] * 2
        assert (len(list_events(events)), events[-1]["count"]) == (1, 2)
        scene.do(desk.market_set(0, MarketStatus.TRADING))
    scene.do(desk.account_set(ALICE))
    listed()
    scene.do(desk.countdown(ALICE, 10))
    events = [dict(zip(event.dtype.names, event, strict=True)) for event in scene.matcher.advance(desk.time_ns + 10)]
    assert [event["kind"] for event in events] == [CANCELED, CANCELED, ORDER_LIST, DONE]


def test_a_date_that_comes_ends_the_list(scene: Scene) -> None:
    desk = scene.desk
    soon = {"time_in_force": TimeInForce.GTD, "good_till_ns": desk.time_ns + 10}
    working, pending = order_ids(
        scene.do(*oto(scene, desk.place(ALICE, BUY, 90, 1, **soon), desk.place(ALICE, SELL, 104, 1)))
    )
    events = scene.matcher.advance(desk.time_ns + 10)
    assert events["order_id"][:2].tolist() == [working, pending]
    assert events["reason"][:2].tolist() == [Reason.EXPIRED_BY_TIME, Reason.ENDED_WITH_LIST]
    assert events["kind"].tolist() == [CANCELED, CANCELED, ORDER_LIST]


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (SelfTradePrevention.EXPIRE_TAKER, ["taker"]),
        (SelfTradePrevention.EXPIRE_MAKER, ["stop", "profit"]),
        (SelfTradePrevention.EXPIRE_BOTH, ["stop", "profit", "taker"]),
        (SelfTradePrevention.DECREMENT, ["stop", "taker"]),
    ],
)
def test_self_trade_prevention_reaches_a_pair(scene: Scene, mode: int, expected: list[str]) -> None:
    stop, profit = order_ids(scene.do(*oco(scene)))
    events = scene.place(ALICE, BUY, 105, 3, self_trade_prevention=mode)
    names = {stop: "stop", profit: "profit", order_ids(events)[0]: "taker"}
    assert [names[row[0]] for row in ends(events)] == expected
    assert (len(list_events(events)) == 1) == ("profit" in expected)
    left = {"taker": 4, "stop": 1}[expected[0]] if "profit" not in expected else 0
    assert [row[3] for row in scene.queue() if row[1] == SELL] == ([left] if left else [])


def test_a_working_order_that_is_prevented_takes_its_list_along(scene: Scene) -> None:
    scene.rest(ALICE, SELL, 98, 4)
    desk = scene.desk
    working = desk.place(ALICE, BUY, 98, 4, self_trade_prevention=SelfTradePrevention.EXPIRE_TAKER)
    events = scene.do(*oto(scene, working, desk.place(ALICE, SELL, 104, 4)))
    first, second = order_ids(events)
    assert ends(events) == [(first, OrderStatus.EXPIRED_IN_MATCH, Reason.PREVENTED), expired(second)]


# ---- a market that does not trade ------------------------------------------------------------------------------------


def test_an_uncross_fills_a_working_order_and_expires_the_other_of_a_pair(scene: Scene) -> None:
    """Before the auction Alice's profit rests at 105; in it Carol's working order bids 106, Bob's 105."""
    stop, profit = order_ids(scene.do(*oco(scene, 2)))
    desk = scene.desk
    scene.do(desk.market_set(0, MarketStatus.AUCTION))
    assert scene.refused(*oco(scene)) == Reason.NOT_IN_AUCTION
    working, pending = order_ids(scene.do(*oto(scene, desk.place(CAROL, BUY, 106, 1), desk.place(CAROL, SELL, 120, 1))))
    scene.place(BOB, BUY, 105, 1)
    events = scene.do(desk.market_set(0, MarketStatus.TRADING))
    assert kinds(events)[:2] == [EventKind.MARKET, EventKind.INDICATIVE]
    assert ends(events) == [expired(stop)]
    told = [EventKind(e["kind"]) for e in events if e["kind"] in (CANCELED, TRADE, ORDER_LIST, PLACED)]
    assert told == [CANCELED, TRADE, TRADE, ORDER_LIST, PLACED]
    assert [row[:2] for row in trades(events)] == [(profit, 105), (profit, 105)]
    assert scene.queue() == [(pending, SELL, 120, 1)]
    assert working < pending


def test_pending_orders_wait_until_their_market_trades_again(scene: Scene) -> None:
    """A sweep fills the working order at 98 and trips the circuit breaker, at 5 %, before it trades at 90."""
    desk = scene.desk
    breaker = {"breaker_band": 500, "breaker_window_seconds": 60, "breaker_pause_seconds": 1}
    scene.do(desk.filters(**breaker))
    _, pending = order_ids(scene.do(*oto(scene, desk.place(ALICE, BUY, 98, 1), desk.place(ALICE, SELL, 104, 1))))
    scene.rest(CAROL, BUY, 90, 1)
    events = scene.place(BOB, SELL, 90, 2, time_in_force=TimeInForce.IOC)
    assert kinds(events) == [ACCEPTED, TRADE, EventKind.MARKET, CANCELED]
    assert not is_continuation_pending(scene.matcher.state.address)
    again = Matcher(state=scene.matcher.state)
    assert again.export()["lists"]["phase"].tolist() == [2]
    events = [int(event["kind"]) for event in scene.matcher.advance(desk.time_ns + 10**9)]
    assert events == [EventKind.MARKET, PLACED, RESTED]
    assert (pending, SELL, 104, 1) in scene.queue()


def test_a_due_list_that_is_canceled_is_placed_no_more(scene: Scene) -> None:
    desk = scene.desk
    scene.do(desk.filters(breaker_band=500, breaker_window_seconds=60, breaker_pause_seconds=1))
    scene.do(*oto(scene, desk.place(ALICE, BUY, 98, 1), desk.place(ALICE, SELL, 104, 1)))
    scene.rest(CAROL, BUY, 90, 1)
    scene.place(BOB, SELL, 90, 2, time_in_force=TimeInForce.IOC)
    events = scene.do(desk.list_cancel(ALICE, 1))
    assert kinds(events) == [CANCELED, ORDER_LIST]
    assert [int(event["kind"]) for event in scene.matcher.advance(desk.time_ns + 10**9)] == [EventKind.MARKET]


def test_a_blocked_account_s_pending_orders_are_placed_all_the_same(scene: Scene) -> None:
    scene.do(*otoco(scene))
    scene.do(scene.desk.account_set(ALICE, status=AccountStatus.BLOCKED))
    assert kinds(scene.place(BOB, SELL, 98, 4)) == [ACCEPTED, TRADE, PLACED, PLACED]
    assert scene.refused(*oco(scene)) == Reason.ACCOUNT_BLOCKED


# ---- crashes ---------------------------------------------------------------------------------------------------------


def test_a_crash_before_pending_orders_are_placed_leaves_nothing_undone(tmp_path: Path) -> None:
    """A sweep fills two working orders; the journal ends after it, after the first placing, or after both.

    A snapshot lies before the sweep, or where the journal ends.
    """
    scene = Scene()
    trade_at(scene, 100)
    desk = scene.desk
    scene.do(*otoco(scene, price=98, client_order_id="a"))
    scene.do(*oto(scene, desk.place(CAROL, BUY, 97, 1), desk.stop(CAROL, SELL, 95, 1), client_order_id="b"))
    start = int(scene.matcher.state.root["command_sequence"])
    write_snapshot(scene.matcher.state, tmp_path / "snapshots")
    sweep = desk.place(BOB, SELL, 97, 5)
    records = records_of([sweep, desk.go_on(), desk.go_on()]).copy()
    records["sequence"] = range(start + 1, start + 4)
    whole = Matcher(state=load_snapshot(tmp_path / "snapshots" / f"{start:020d}.snap", LIMITS))
    assert whole.replay(records) == 3 + 2 + 1
    assert not is_continuation_pending(whole.state.address)
    for steps in (1, 2, 3):
        with JournalWriter(tmp_path / f"journal{steps}", next_sequence=start + 1, durability=Durability.OS) as writer:
            writer.append(records[:steps])
        state, _ = recover_state(tmp_path / "snapshots", tmp_path / f"journal{steps}", LIMITS)
        assert is_continuation_pending(state.address) == (steps < 3)
        assert len(Matcher(state=state).export()["pendings"]) == {1: 3, 2: 1, 3: 0}[steps]
        middle = load_snapshot(write_snapshot(state, tmp_path / f"middle{steps}"), LIMITS)
        for half in (Matcher(state=state), Matcher(state=middle)):
            half.replay(records[steps:])
            assert half.state_hash() == whole.state_hash()


def test_a_list_that_is_not_all_in_the_journal_was_never_sent(scene: Scene, tmp_path: Path) -> None:
    """A crash tears the journal within a list's records: recovery cuts all of them."""
    start = int(scene.matcher.state.root["command_sequence"])
    write_snapshot(scene.matcher.state, tmp_path / "snapshots")
    records = records_of(otoco(scene)).copy()
    records["sequence"] = range(start + 1, start + 5)
    with JournalWriter(tmp_path / "journal", next_sequence=start + 1, durability=Durability.OS) as writer:
        writer.append(records)
    (segment,) = (tmp_path / "journal").glob("*.seg")
    raw = bytearray(segment.read_bytes())
    at = raw.rindex(np.ascontiguousarray(records["price"][3:]).tobytes())
    raw[at] ^= 1  # in the last of the four records
    segment.write_bytes(raw)
    assert recover(tmp_path / "journal").next_sequence == start + 1
    state, _ = recover_state(tmp_path / "snapshots", tmp_path / "journal", LIMITS)
    assert int(state.root["order_list_id"]) == 0


def test_a_working_order_goes_on_in_the_next_step_and_from_a_snapshot(tmp_path: Path) -> None:
    """It sweeps more makers than a step has room for; meanwhile its pending order is pending."""
    scene = Scene(orders_per_account_max=5_000)
    desk = scene.desk
    count = 1_100
    scene.do_all(records_of([desk.place(BOB, SELL, 100, 1) for _ in range(count)]))
    start = int(scene.matcher.state.root["command_sequence"])
    sweep = oto(scene, desk.place(ALICE, BUY, 100, count), desk.place(ALICE, SELL, 104, count))
    records = records_of([*sweep, desk.go_on(), desk.go_on()]).copy()
    records["sequence"] = range(start + 1, start + 6)
    live = Matcher(state=load_snapshot(write_snapshot(scene.matcher.state, tmp_path / "before"), LIMITS))
    live.replay(records[:3])
    assert is_continuation_pending(live.state.address)
    middle = Matcher(state=load_snapshot(write_snapshot(live.state, tmp_path / "middle"), LIMITS))
    assert middle.state_hash() == live.state_hash()
    for half in (live, middle):
        half.replay(records[3:])
        assert not is_continuation_pending(half.state.address)
        assert half.orders(0)["quantity"].tolist() == [count]
    assert middle.state_hash() == live.state_hash()
