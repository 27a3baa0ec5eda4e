"""Hand-worked scenarios of stop orders and their cascades: the reference exchange alone."""

from __future__ import annotations

import pytest
from reference.desk import ALICE, BOB, BTC, BUY, CAROL, SELL, USDT
from reference.records import Fields
from reference.scene import RICH, STEP, UNIT, Scene, kinds, trades

from ringex.config import Limits
from ringex.reasons import Reason
from ringex.terms import (
    AccountStatus,
    CommandFlag,
    CommandKind,
    EventFlag,
    EventKind,
    OrderStatus,
    OrderType,
    SelfTradePrevention,
    TimeInForce,
)

ACCEPTED, CANCELED, RESTED = EventKind.ACCEPTED, EventKind.CANCELED, EventKind.RESTED
TRADE, TRIGGERED = EventKind.TRADE, EventKind.TRIGGERED
STOP_LOSS, TAKE_PROFIT = OrderType.STOP_LOSS, OrderType.TAKE_PROFIT
STOP_LOSS_LIMIT, TAKE_PROFIT_LIMIT = OrderType.STOP_LOSS_LIMIT, OrderType.TAKE_PROFIT_LIMIT


@pytest.fixture
def scene() -> Scene:
    """The last trade was at 100; the book is empty."""
    scene = Scene()
    trade_at(scene, 100)
    return scene


def trade_at(scene: Scene, price: int, quantity: int = 1) -> list[Fields]:
    """Bob and carol trade with each other; the events of carol's order."""
    scene.place(BOB, SELL, price, quantity)
    return scene.place(CAROL, BUY, price, quantity, correlation=77, connection=5)


def cascade(scene: Scene) -> list[list[Fields]]:
    """The events of each CONTINUE that is left."""
    steps = []
    while scene.exchange.is_pending:
        steps.append(scene.go_on())
    return steps


@pytest.mark.parametrize(
    ("order_type", "side", "stop_price", "last"),
    [
        (STOP_LOSS, BUY, 105, 105),
        (STOP_LOSS, SELL, 95, 95),
        (TAKE_PROFIT, BUY, 95, 94),
        (TAKE_PROFIT, SELL, 105, 106),
        (STOP_LOSS_LIMIT, BUY, 105, 106),
        (STOP_LOSS_LIMIT, SELL, 95, 94),
        (TAKE_PROFIT_LIMIT, BUY, 95, 95),
        (TAKE_PROFIT_LIMIT, SELL, 105, 105),
    ],
)
def test_the_last_price_fires_a_stop(scene: Scene, order_type: int, side: int, stop_price: int, last: int) -> None:
    price = 0 if order_type in (STOP_LOSS, TAKE_PROFIT) else 100
    (waiting,) = scene.stop(ALICE, side, stop_price, 2, order_type=order_type, price=price)
    assert (waiting["kind"], waiting["flag_bits"], waiting["status"]) == (ACCEPTED, EventFlag.LAST, OrderStatus.NEW)
    assert waiting["stop_price"] == stop_price
    beside = stop_price + (1 if last < 100 else -1)
    trade_at(scene, beside)
    assert not scene.exchange.is_pending
    trade_at(scene, last)
    ((triggered, *_),) = cascade(scene)
    assert (triggered["kind"], triggered["order_id"]) == (TRIGGERED, waiting["order_id"])


@pytest.mark.parametrize(
    ("order_type", "side", "stop_price", "reason"),
    [
        (STOP_LOSS, BUY, 100, Reason.WOULD_TRIGGER),
        (STOP_LOSS, BUY, 101, Reason.NONE),
        (STOP_LOSS, SELL, 100, Reason.WOULD_TRIGGER),
        (STOP_LOSS, SELL, 99, Reason.NONE),
        (TAKE_PROFIT, BUY, 100, Reason.WOULD_TRIGGER),
        (TAKE_PROFIT, BUY, 99, Reason.NONE),
        (TAKE_PROFIT, SELL, 100, Reason.WOULD_TRIGGER),
        (TAKE_PROFIT, SELL, 101, Reason.NONE),
    ],
)
def test_a_stop_that_is_due_is_refused(
    scene: Scene, order_type: int, side: int, stop_price: int, reason: Reason
) -> None:
    assert scene.stop(ALICE, side, stop_price, 2, order_type=order_type)[0]["reason"] == reason


def test_nothing_is_due_before_the_first_trade() -> None:
    scene = Scene()
    for side in (BUY, SELL):
        for order_type in (STOP_LOSS, TAKE_PROFIT):
            assert scene.stop(ALICE, side, 100, 2, order_type=order_type)[0]["kind"] == ACCEPTED


def test_what_a_stop_holds(scene: Scene) -> None:
    (event,) = scene.stop(ALICE, SELL, 95, 2)
    assert (event["free"], event["locked"]) == (RICH - 2 * UNIT, 2 * UNIT)
    (event,) = scene.stop(ALICE, BUY, 105, 2)
    assert (event["free"], event["locked"]) == (RICH, 0)
    (event,) = scene.stop(ALICE, BUY, 105, 2, order_type=STOP_LOSS_LIMIT, price=110)
    assert event["locked"] == 220 * STEP
    (event,) = scene.stop(ALICE, SELL, 95, 3, order_type=STOP_LOSS_LIMIT, price=90)
    assert event["locked"] == 5 * UNIT
    scene.do(scene.desk.withdraw(ALICE, BTC, RICH - 6 * UNIT))
    assert scene.stop(ALICE, SELL, 95, 2)[0]["reason"] == Reason.INSUFFICIENT_BALANCE
    events = scene.do(scene.desk.cancel_all(ALICE))
    assert [event["flag_bits"] & EventFlag.LEVEL for event in events] == [0] * 5
    assert scene.balance(ALICE, USDT) == (RICH, 0)
    assert scene.balance(ALICE, BTC) == (6 * UNIT, 0)


def test_a_fired_stop_answers_nobody(scene: Scene) -> None:
    scene.stop(ALICE, SELL, 95, 2, correlation=8, connection=9, client_order_id="stop")
    scene.place(BOB, BUY, 90, 5)
    own = trade_at(scene, 95)
    assert kinds(own) == [ACCEPTED, TRADE]
    assert own[-1]["flag_bits"] & EventFlag.LAST
    events = scene.do(scene.desk.command(CommandKind.CONTINUE, correlation=3, connection=4, gateway=5, incarnation=6))
    assert kinds(events) == [TRIGGERED, TRADE]
    triggered, trade = events
    assert (triggered["status"], triggered["flag_bits"], triggered["client_order_id"]) == (OrderStatus.NEW, 0, "stop")
    assert (triggered["order_type"], triggered["locked"], triggered["execution_id"] > 0) == (STOP_LOSS, 2 * UNIT, True)
    for event in events:
        assert event["command_kind"] == CommandKind.CONTINUE
        assert event["command_sequence"] == own[0]["command_sequence"] + 1
        assert all(event[name] == 0 for name in ("correlation", "gateway", "incarnation", "connection"))
    assert trade["flag_bits"] == EventFlag.LEVEL | EventFlag.LAST
    assert (trade["price"], trade["taker_status"]) == (90, OrderStatus.FILLED)
    assert (trade["taker_base_free"], trade["taker_base_locked"]) == (RICH - 2 * UNIT, 0)


def test_a_market_stop_expires_when_the_book_runs_out(scene: Scene) -> None:
    scene.stop(ALICE, SELL, 95, 7)
    scene.place(BOB, BUY, 90, 5)
    trade_at(scene, 95)
    (events,) = cascade(scene)
    assert kinds(events) == [TRIGGERED, TRADE, CANCELED]
    assert (events[2]["status"], events[2]["reason"]) == (OrderStatus.EXPIRED, Reason.NO_LIQUIDITY)
    assert scene.balance(ALICE, BTC) == (RICH - 5 * UNIT, 0)


def test_a_market_stop_that_buys_needs_its_cost_when_it_fires(scene: Scene) -> None:
    scene.do(scene.desk.withdraw(ALICE, USDT, RICH - 220 * STEP))
    for _ in range(2):
        scene.stop(ALICE, BUY, 105, 2)
    scene.place(BOB, SELL, 110, 5)
    trade_at(scene, 105)
    first, second = cascade(scene)
    assert trades(first) == [(5, 110, 2)]
    assert scene.balance(ALICE, USDT) == (0, 0)
    assert kinds(second) == [TRIGGERED, CANCELED]
    assert (second[1]["status"], second[1]["reason"]) == (OrderStatus.EXPIRED, Reason.INSUFFICIENT_BALANCE)


def test_a_limit_stop_rests_or_expires_as_its_time_in_force_says(scene: Scene) -> None:
    limit = {"order_type": STOP_LOSS_LIMIT, "price": 106}
    gtc = scene.stop(ALICE, BUY, 105, 3, **limit)[0]["order_id"]
    scene.stop(ALICE, BUY, 105, 3, **limit, time_in_force=TimeInForce.IOC)
    scene.stop(ALICE, BUY, 105, 3, **limit, time_in_force=TimeInForce.FOK)
    scene.place(BOB, SELL, 106, 4)
    trade_at(scene, 105)
    steps = cascade(scene)
    assert [kinds(step) for step in steps] == [[TRIGGERED, TRADE], [TRIGGERED, TRADE, CANCELED], [TRIGGERED, CANCELED]]
    assert [step[-1]["reason"] for step in steps[1:]] == [Reason.NO_LIQUIDITY, Reason.NOT_FILLED_AT_ONCE]
    assert scene.balance(ALICE, USDT) == (RICH - 424 * STEP, 0)
    trade_at(scene, 100)
    scene.stop(ALICE, BUY, 105, 3, **limit)
    trade_at(scene, 105)
    ((triggered, rested),) = cascade(scene)
    assert (triggered["kind"], rested["kind"], rested["status"]) == (TRIGGERED, RESTED, OrderStatus.NEW)
    assert (rested["level_price"], rested["level_quantity"], rested["order_type"]) == (106, 3, STOP_LOSS_LIMIT)
    assert rested["order_id"] != gtc
    amended = scene.do(scene.desk.amend(ALICE, rested["order_id"], quantity=2))[0]
    assert amended["flag_bits"] & EventFlag.LEVEL


def test_stops_fire_in_turn() -> None:
    """Entered before the first trade, they are due at once: rising ones from the lowest, then falling ones down."""
    scene = Scene()
    orders = [
        scene.stop(ALICE, side, stop_price, 1, order_type=order_type)[0]["order_id"]
        for side, stop_price, order_type in (
            (SELL, 110, STOP_LOSS),
            (BUY, 120, TAKE_PROFIT),
            (BUY, 100, STOP_LOSS),
            (SELL, 90, TAKE_PROFIT),
            (SELL, 90, TAKE_PROFIT),
            (BUY, 101, STOP_LOSS),  # not due
        )
    ]
    trade_at(scene, 100)
    assert [step[0]["order_id"] for step in cascade(scene)] == [orders[i] for i in (3, 4, 2, 1, 0)]


def test_falling_stops_fire_from_the_highest_and_then_by_entry(scene: Scene) -> None:
    orders = [scene.stop(ALICE, SELL, stop_price, 1)[0]["order_id"] for stop_price in (90, 95, 80, 95)]
    trade_at(scene, 80)
    assert [step[0]["order_id"] for step in cascade(scene)] == [orders[1], orders[3], orders[0], orders[2]]


def test_a_cascade_looks_at_the_last_price_anew(scene: Scene) -> None:
    """The first stop sells down to 80, which fires the second; that one buys back at 120, which fires a third."""
    first = scene.stop(ALICE, SELL, 95, 2)[0]["order_id"]
    second = scene.stop(ALICE, BUY, 85, 2, order_type=TAKE_PROFIT)[0]["order_id"]
    third = scene.stop(ALICE, BUY, 110, 2, order_type=STOP_LOSS_LIMIT, price=70)[0]["order_id"]
    scene.place(BOB, BUY, 80, 2)
    scene.place(BOB, SELL, 120, 2)
    trade_at(scene, 95)
    steps = cascade(scene)
    assert [step[0]["order_id"] for step in steps] == [first, second, third]
    assert [kinds(step) for step in steps] == [[TRIGGERED, TRADE], [TRIGGERED, TRADE], [TRIGGERED, RESTED]]
    assert all(step[-1]["flag_bits"] & EventFlag.LAST for step in steps)


def test_a_stop_whose_condition_has_passed_waits_on(scene: Scene) -> None:
    first = scene.stop(ALICE, SELL, 105, 1, order_type=TAKE_PROFIT)[0]["order_id"]
    second = scene.stop(ALICE, BUY, 106, 1)[0]["order_id"]
    scene.place(BOB, BUY, 80, 1)
    trade_at(scene, 106)
    assert [step[0]["order_id"] for step in cascade(scene)] == [first]
    assert scene.exchange.open_orders[second].is_waiting


def test_a_fired_stop_that_is_left_to_continue_is_a_chain() -> None:
    scene = Scene(events_per_command_max=11)
    trade_at(scene, 100)
    scene.stop(ALICE, SELL, 95, 5)
    scene.stop(ALICE, SELL, 95, 1)
    for _ in range(6):
        scene.place(BOB, BUY, 90, 1)
    trade_at(scene, 95)
    steps = cascade(scene)
    assert [kinds(step) for step in steps] == [[TRIGGERED, TRADE, TRADE], [TRADE, TRADE, TRADE], [TRIGGERED, TRADE]]
    assert [[event["flag_bits"] & EventFlag.LAST for event in step] for step in steps] == [[0] * 3, [0, 0, 1], [0, 1]]
    assert {event["correlation"] for step in steps for event in step} == {0}


def test_a_fired_stop_keeps_its_prevention_and_its_iceberg(scene: Scene) -> None:
    limit = {"order_type": STOP_LOSS_LIMIT, "price": 90, "iceberg_quantity": 2}
    scene.place(ALICE, BUY, 92, 3)
    scene.stop(ALICE, SELL, 95, 7, **limit, self_trade_prevention=SelfTradePrevention.EXPIRE_MAKER)
    trade_at(scene, 95)
    (events,) = cascade(scene)
    assert kinds(events) == [TRIGGERED, EventKind.PREVENTED, CANCELED, RESTED]
    assert (events[-1]["level_quantity"], events[-1]["locked"]) == (2, 7 * UNIT)


def test_a_limit_stop_without_room_for_its_level_expires() -> None:
    scene = Scene(Limits(levels_max=2))
    limit = {"order_type": STOP_LOSS_LIMIT, "price": 50}
    trade_at(scene, 100)
    scene.stop(ALICE, BUY, 105, 2, **limit)
    scene.stop(ALICE, BUY, 105, 2, **limit, time_in_force=TimeInForce.IOC)
    scene.place(BOB, BUY, 60, 1)
    scene.place(BOB, SELL, 105, 2)
    scene.do(scene.desk.market_order(CAROL, BUY, 1))
    steps = cascade(scene)
    assert [kinds(step) for step in steps] == [[TRIGGERED, CANCELED]] * 2
    assert [step[1]["reason"] for step in steps] == [Reason.ENGINE_FULL, Reason.NO_LIQUIDITY]
    assert scene.balance(ALICE, USDT) == (RICH, 0)


def test_a_waiting_stop_is_open_and_counts(scene: Scene) -> None:
    scene.stop(ALICE, SELL, 95, 2, client_order_id="stop")
    assert scene.place(ALICE, BUY, 90, 1, client_order_id="stop")[0]["reason"] == Reason.DUPLICATE_CLIENT_ORDER_ID
    command = scene.desk.cancel(ALICE, original_client_order_id="stop", flag_bits=CommandFlag.ONLY_NEW)
    canceled = scene.one(command)
    assert (canceled["status"], canceled["flag_bits"]) == (OrderStatus.CANCELED, EventFlag.LAST)
    assert (canceled["original_client_order_id"], canceled["locked"]) == ("stop", 0)
    few = Scene(orders_per_account_max=1)
    few.stop(ALICE, SELL, 95, 2)
    assert few.stop(ALICE, SELL, 95, 2)[0]["reason"] == Reason.TOO_MANY_ORDERS


def test_amend_of_a_waiting_stop(scene: Scene) -> None:
    limit = {"order_type": STOP_LOSS_LIMIT, "price": 90}
    first = scene.stop(ALICE, SELL, 95, 2, **limit)[0]["order_id"]
    second = scene.stop(ALICE, SELL, 95, 2, **limit)[0]["order_id"]
    scene.place(BOB, BUY, 91, 1)
    amended = scene.one(scene.desk.amend(ALICE, first, price=89, quantity=5, client_order_id="new"))
    assert (amended["kind"], amended["flag_bits"]) == (EventKind.AMENDED, EventFlag.LAST | EventFlag.PRIORITY_KEPT)
    assert (amended["price"], amended["quantity"], amended["locked"]) == (89, 5, 7 * UNIT)
    kept = scene.desk.amend(ALICE, first, quantity=6, flag_bits=CommandFlag.KEEP_PRIORITY)
    assert scene.one(kept)["reason"] == Reason.AMEND_LOSES_PRIORITY
    trade_at(scene, 95)
    assert [step[0]["order_id"] for step in cascade(scene)] == [first, second]


def test_amend_of_a_waiting_market_stop(scene: Scene) -> None:
    buying = scene.stop(ALICE, BUY, 105, 2)[0]["order_id"]
    assert scene.one(scene.desk.amend(ALICE, buying, price=106))["reason"] == Reason.INVALID_ORDER_TYPE
    assert scene.one(scene.desk.amend(ALICE, buying, quantity=900_000))["locked"] == 0
    selling = scene.stop(ALICE, SELL, 95, 2)[0]["order_id"]
    assert scene.one(scene.desk.amend(ALICE, selling, quantity=3))["locked"] == 3 * UNIT
    scene.do(scene.desk.withdraw(ALICE, BTC, RICH - 4 * UNIT))
    assert scene.one(scene.desk.amend(ALICE, selling, quantity=5))["reason"] == Reason.INSUFFICIENT_BALANCE


def test_a_blocked_accounts_stops_fire(scene: Scene) -> None:
    scene.stop(ALICE, SELL, 95, 2)
    scene.do(scene.desk.account_set(ALICE, status=AccountStatus.BLOCKED))
    scene.place(BOB, BUY, 90, 2)
    trade_at(scene, 95)
    assert [kinds(step) for step in cascade(scene)] == [[TRIGGERED, TRADE]]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"order_type": OrderType.LIMIT, "price": 100}, Reason.INVALID_STOP_PRICE),
        ({"order_type": OrderType.MARKET}, Reason.INVALID_STOP_PRICE),
        ({"stop_price": 0}, Reason.PRICE_TOO_LOW),
        ({"stop_price": -10}, Reason.PRICE_TOO_LOW),
        ({"stop_price": 1010}, Reason.PRICE_TOO_HIGH),
        ({"stop_price": 105}, Reason.PRICE_TICK),
        ({"price": 100}, Reason.INVALID_ORDER_TYPE),
        ({"quantity": 0}, Reason.INVALID_QUANTITY),
        ({"quantity": 0, "quote_quantity": 100}, Reason.INVALID_QUANTITY),
        ({"quote_quantity": 100}, Reason.INVALID_QUANTITY),
        ({"quantity": 4}, Reason.QUANTITY_TOO_LOW),
        ({"time_in_force": TimeInForce.IOC}, Reason.INVALID_TIME_IN_FORCE),
        ({"order_type": STOP_LOSS_LIMIT, "price": 10, "quantity": 8}, Reason.NOTIONAL_TOO_LOW),
        ({"order_type": STOP_LOSS_LIMIT}, Reason.PRICE_TOO_LOW),
        ({"quantity": 8}, Reason.NONE),
    ],
)
def test_refusals_of_stops(fields: dict[str, int], reason: Reason) -> None:
    scene = Scene(
        price_min=10, price_max=1000, tick=10, quantity_min=8, quantity_max=400, lot=4, notional_min=100 * STEP
    )
    (event,) = scene.stop(**{"account": ALICE, "side": BUY, "stop_price": 100, "quantity": 40} | fields)
    assert Reason(event["reason"]) == reason
