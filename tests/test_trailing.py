"""Trailing stops and pegged orders: scenarios worked out by hand, and trails of any make against the reference."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from reference import ReferenceExchange
from reference.desk import ALICE, BOB, BTC, BUY, CAROL, SELL, USDT, Desk
from reference.records import Fields, event_fields, records_of
from reference.soundness import Auditor
from scene import LIMITS, RICH, STEP, UNIT, Scene, kinds, trades

from ringex.engine import Matcher
from ringex.engine.snapshot import load_snapshot, write_snapshot
from ringex.reasons import Reason
from ringex.rules import trailing_trigger
from ringex.terms import EventKind, OrderStatus, OrderType, PegPriceType, Side, TimeInForce

STOP_LOSS, STOP_LOSS_LIMIT = OrderType.STOP_LOSS, OrderType.STOP_LOSS_LIMIT
TAKE_PROFIT, TAKE_PROFIT_LIMIT = OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT
PRIMARY, MARKET = PegPriceType.PRIMARY_PEG, PegPriceType.MARKET_PEG


@pytest.mark.parametrize(
    ("side", "anchor", "delta", "trigger"),
    [
        (SELL, 45_500, 700, 42_315),
        (SELL, 46_500, 750, 43_012),  # 43012.5: the price must fall below it
        (BUY, 42_000, 500, 44_100),
        (BUY, 37_000, 850, 40_145),
        (BUY, 1, 1, 2),
        (SELL, 1, 1, 0),
        (SELL, (1 << 62) - 1, 1, ((1 << 62) - 1) * 9_999 // 10_000),
        (BUY, (1 << 62) - 1, 9_999, -(-((1 << 62) - 1) * 19_999 // 10_000)),
    ],
)
def test_a_trigger_is_a_whole_price(side: Side, anchor: int, delta: int, trigger: int) -> None:
    assert trailing_trigger(int(side), anchor, delta) == trigger


class Street(Scene):
    """Bob and Carol trade one lot at whatever price; Alice has a trailing stop."""

    def trade(self, *prices: int) -> list[Fields]:
        """Trades at these prices, one after the other. The events of the last of them that are not the trade's own."""
        events: list[Fields] = []
        for price in prices:
            self.place(BOB, SELL, price, 1)
            events = self.place(CAROL, BUY, price, 1)
            assert trades(events[:2]) == [(events[1]["maker_order_id"], price, 1)]
        return events[2:]

    def trail(self, side: Side, order_type: OrderType, delta: int, quantity: int = 1, **fields: int) -> int:
        """A trailing stop of Alice's, which waits. Its id."""
        terms = {"order_type": order_type, "trailing_delta": delta, "price": 0, "quantity": quantity} | fields
        event = self.one(self.desk.place(ALICE, side, **terms))
        assert event["kind"] == EventKind.ACCEPTED and event["trailing_delta"] == delta
        return int(event["order_id"])


@pytest.mark.parametrize(
    ("side", "order_type", "stop_price", "delta", "price", "quiet", "fires"),
    [
        # before the stop price a move of more than the delta does not count; then the lowest price since
        (BUY, STOP_LOSS_LIMIT, 4_400, 500, 4_500, [4_000, 3_700, 4_400, 4_500, 4_600, 4_200, 4_409], 4_410),
        (SELL, STOP_LOSS_LIMIT, 3_900, 1_000, 3_800, [4_000, 4_150, 3_900, 3_700, 4_100, 3_691], 3_690),
        (BUY, TAKE_PROFIT_LIMIT, 3_800, 850, 3_850, [4_000, 4_200, 3_800, 3_700, 3_900, 3_800, 4_014], 4_015),
        (SELL, TAKE_PROFIT_LIMIT, 4_200, 750, 4_100, [4_000, 4_150, 3_900, 4_200, 4_500, 4_400, 4_650, 4_302], 4_301),
        (SELL, STOP_LOSS_LIMIT, 0, 700, 3_900, [4_000, 4_200, 3_950, 4_550, 4_232], 4_231),
    ],
)
def test_the_trigger_follows_the_market(
    side: Side, order_type: OrderType, stop_price: int, delta: int, price: int, quiet: list[int], fires: int
) -> None:
    street = Street()
    street.trade(quiet[0])
    order_id = street.trail(side, order_type, delta, price=price, stop_price=stop_price)
    for at in quiet[1:]:
        assert street.trade(at) == [], at
    events = street.trade(fires)
    assert [event["order_id"] for event in events] == [order_id, order_id]
    assert kinds(events) == [EventKind.TRIGGERED, EventKind.RESTED]
    assert street.queue() == [(order_id, side, price, 1)]


def test_without_a_trade_the_first_one_is_followed() -> None:
    street = Street()
    street.trail(SELL, STOP_LOSS, 1_000)
    street.trail(BUY, STOP_LOSS, 1_000)
    assert street.trade(100, 91, 109, 100) == []
    assert kinds(street.trade(98))[0] == EventKind.TRIGGERED  # 109 less a tenth is 98.1


def test_a_stop_price_that_is_met_at_entry_begins_at_once() -> None:
    street = Street()
    street.trade(100)
    order_id = street.trail(SELL, STOP_LOSS, 1_000, stop_price=150)
    assert street.trade(91) == []
    assert street.trade(90)[0]["order_id"] == order_id


def test_a_sweep_shows_its_first_and_its_last_price() -> None:
    """Carol sells from 110 down to 100: 110 is the highest price, a tenth below it is 99."""
    street = Street()
    street.trade(100)
    order_id = street.trail(SELL, STOP_LOSS, 1_000)
    for price in (110, 105, 100):
        street.rest(BOB, BUY, price, 1)
    assert len(trades(street.place(CAROL, SELL, 100, 3))) == 3
    assert street.trade(99)[0]["order_id"] == order_id


def test_several_fire_by_trigger_then_delta_then_beginning() -> None:
    """At 100: triggers 90, 90, 80; at 120 one begins whose trigger is 108; all that sell fall due at 80."""
    street = Street()
    street.trade(100)
    tenth, other_tenth = street.trail(SELL, STOP_LOSS, 1_000), street.trail(SELL, STOP_LOSS, 1_000)
    fifth = street.trail(SELL, STOP_LOSS, 2_000)
    plain = street.one(street.desk.stop(ALICE, SELL, 50, 1))["order_id"]
    street.trade(100, 95)
    late = street.trail(SELL, STOP_LOSS, 1_000)
    street.trade(96)
    events = street.trade(50)
    fired = [event["order_id"] for event in events if event["kind"] == EventKind.TRIGGERED]
    assert fired == [plain, tenth, other_tenth, late, fifth]


def test_canceled_and_amended_while_it_follows() -> None:
    street = Street()
    street.trade(100)
    ids = [street.trail(SELL, STOP_LOSS_LIMIT, 1_000, price=70, quantity=5) for _ in range(3)]
    (canceled,) = street.do(street.desk.cancel(ALICE, ids[1]))
    assert canceled["kind"] == EventKind.CANCELED
    (amended,) = street.do(street.desk.amend(ALICE, ids[0], price=80, quantity=2))
    assert (amended["kind"], amended["price"]) == (EventKind.AMENDED, 80)
    assert street.balance(ALICE, BTC)[1] == 7 * UNIT
    events = street.trade(90)
    assert [(event["order_id"], event["price"]) for event in events] == [(ids[0], 80)] * 2 + [(ids[2], 70)] * 2


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"order_type": OrderType.LIMIT, "price": 9}, Reason.INVALID_TRAILING_DELTA),
        ({"order_type": OrderType.MARKET}, Reason.INVALID_TRAILING_DELTA),
        ({"trailing_delta": 10_000}, Reason.INVALID_TRAILING_DELTA),
        ({"stop_price": -5}, Reason.PRICE_TOO_LOW),
        ({"trailing_delta": 0}, Reason.PRICE_TOO_LOW),
    ],
)
def test_bad_deltas_are_refused(fields: Fields, reason: Reason) -> None:
    scene = Scene()
    order = {"order_type": STOP_LOSS, "price": 0, "quantity": 1, "trailing_delta": 100} | fields
    assert scene.refused(scene.desk.place(ALICE, SELL, **order)) == reason


@pytest.mark.parametrize("seed", range(6))
def test_trails_of_any_make_agree_with_the_reference(seed: int, tmp_path: Path) -> None:
    """Prices wander; stops of few deltas begin anywhere and are canceled; a snapshot goes on as the original."""
    dice, desk, exchange = random.Random(seed), Desk(), ReferenceExchange(LIMITS)
    auditor, commands, expected = Auditor(exchange), [], []

    def apply(*records: Fields) -> None:
        commands.extend(records)
        while True:
            events = exchange.apply(*records)
            expected.extend(events)
            auditor.watch(events)
            if not exchange.is_pending:
                return auditor.check()
            records = (desk.go_on(),)

    for command in (desk.asset("BTC", 8), desk.asset("USDT", 8), desk.market(orders_per_account_max=1_000)):
        apply(command)
    for name in ("alice", "bob", "carol"):
        apply(desk.account(name))
    for account in (ALICE, BOB, CAROL):
        apply(desk.deposit(account, BTC, RICH))
        apply(desk.deposit(account, USDT, RICH))
    price, most, cut = 500, 0, 0
    for _ in range(220):
        following = sum(order.anchor is not None for order in exchange.open_orders.values())
        if following > most:
            most, cut = following, len(commands)
        waiting = [order for order in exchange.open_orders.values() if order.is_waiting]
        if dice.random() < 0.5:
            kind = dice.choice([STOP_LOSS, TAKE_PROFIT])
            stop_price = dice.choice([0, 0, price + dice.randint(-40, 40)])
            terms = {"trailing_delta": dice.choice([300, 700, 701, 2_000]), "stop_price": stop_price}
            apply(desk.place(ALICE, dice.choice([BUY, SELL]), 0, 1, order_type=kind, **terms))
        elif waiting and dice.random() < 0.2:
            apply(desk.cancel(ALICE, dice.choice(waiting).order_id))
        else:
            price = max(100, price + dice.choice([-60, -15, -4, 0, 3, 5, 15, 50]))
            apply(desk.place(BOB, SELL, price, 1))
            apply(desk.place(CAROL, BUY, price, dice.choice([1, 1, 3])))
    records = records_of(commands)
    matcher = Matcher(limits=LIMITS)
    events = [event_fields(event) for event in matcher.submit(records[:cut])]
    loaded = Matcher(state=load_snapshot(write_snapshot(matcher.state, tmp_path)))
    assert loaded.state_hash() == matcher.state_hash() and len(loaded.export()["trails"]) == most > 5
    rest = matcher.submit(records[cut:])
    assert loaded.submit(records[cut:]).tobytes() == rest.tobytes() and loaded.state_hash() == matcher.state_hash()
    events += [event_fields(event) for event in rest]
    assert events == expected
    assert sum(event["kind"] == EventKind.TRIGGERED for event in events) > 20
    while (trails := matcher.export()["trails"]).size:
        matcher.submit(records_of([desk.cancel(ALICE, int(trails["order_id"][0]))]))
    assert matcher.state.pools["trail_pool"].used == 0 and int(matcher.state.root["stop_levels"]) == len(
        {(stop["side"], stop["stop_price"], stop["order_type"]) for stop in matcher.export()["stops"]}
    )


# Pegged orders.


def book_of_three() -> Scene:
    """Bids at 90, 89, 85, asks at 100, 101, 105."""
    scene = Scene()
    for price in (90, 89, 85):
        scene.rest(BOB, BUY, price, 10)
    for price in (100, 101, 105):
        scene.rest(BOB, SELL, price, 10)
    return scene


@pytest.mark.parametrize(
    ("side", "peg", "offset", "price"),
    [
        (BUY, PRIMARY, 0, 90),
        (BUY, PRIMARY, 2, 85),
        (SELL, PRIMARY, 0, 100),
        (SELL, PRIMARY, 1, 101),
        (BUY, MARKET, 0, 100),
        (BUY, MARKET, 2, 105),
        (SELL, MARKET, 1, 89),
    ],
)
def test_a_peg_gives_the_price_of_a_level(side: Side, peg: PegPriceType, offset: int, price: int) -> None:
    scene = book_of_three()
    accepted = scene.place(ALICE, side, 0, 2, peg_price_type=peg, peg_offset=offset)[0]
    assert (accepted["price"], accepted["peg_price_type"], accepted["peg_offset"]) == (price, peg, offset)
    held = price * 2 * STEP if side == BUY else 2 * UNIT
    assert accepted["locked"] == held


def test_a_pegged_order_queues_or_takes_like_any_at_its_price() -> None:
    scene = book_of_three()
    scene.place(ALICE, BUY, 0, 1, peg_price_type=PRIMARY)
    assert trades(scene.place(CAROL, SELL, 90, 11)) == [(1, 90, 10), (7, 90, 1)]
    terms = {"peg_price_type": MARKET, "time_in_force": TimeInForce.IOC}
    events = scene.place(ALICE, BUY, 0, 15, **terms)
    assert trades(events) == [(4, 100, 10)] and events[-1]["status"] == OrderStatus.EXPIRED


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"peg_price_type": 3}, Reason.INVALID_PEG),
        ({"peg_price_type": 0, "peg_offset": 1, "price": 90}, Reason.INVALID_PEG),
        ({"price": 90}, Reason.INVALID_PEG),
        ({"peg_offset": 101}, Reason.INVALID_PEG),
        ({"time_in_force": TimeInForce.IOC}, Reason.INVALID_PEG),
        ({"order_type": OrderType.LIMIT_MAKER, "peg_price_type": MARKET}, Reason.INVALID_PEG),
        ({"order_type": OrderType.MARKET}, Reason.INVALID_PEG),
        ({"order_type": STOP_LOSS, "stop_price": 120}, Reason.INVALID_PEG),
        ({"peg_offset": 3}, Reason.NO_PEG_PRICE),
        ({"side": 7}, Reason.INVALID_SIDE),
    ],
)
def test_bad_pegs_are_refused(fields: Fields, reason: Reason) -> None:
    scene = book_of_three()
    order = {"side": BUY, "price": 0, "quantity": 1, "peg_price_type": PRIMARY} | fields
    assert scene.refused(scene.desk.place(ALICE, **order)) == reason


def test_a_pegged_stop_finds_its_price_when_it_fires() -> None:
    scene = book_of_three()
    scene.place(CAROL, BUY, 100, 1)  # the last price
    stop = {"order_type": STOP_LOSS_LIMIT, "stop_price": 101, "peg_price_type": PRIMARY}
    accepted = scene.one(scene.desk.place(ALICE, BUY, 0, 2, **stop))
    assert (accepted["price"], accepted["locked"]) == (0, 0)
    scene.rest(CAROL, BUY, 95, 1)
    events = scene.place(CAROL, BUY, 101, 10)
    assert kinds(events)[-2:] == [EventKind.TRIGGERED, EventKind.RESTED]
    assert [event["price"] for event in events[-2:]] == [95, 95]  # the best bid by then
    assert scene.balance(ALICE, USDT) == (RICH - 2 * 95 * STEP, 2 * 95 * STEP)


def test_a_pegged_stop_without_price_or_money_expires() -> None:
    scene = Scene()
    scene.rest(BOB, SELL, 100, 1)
    scene.place(CAROL, BUY, 100, 1)
    terms = {"order_type": STOP_LOSS_LIMIT, "stop_price": 110, "time_in_force": TimeInForce.GTC}
    scene.place(ALICE, BUY, 0, 1, peg_price_type=PRIMARY, peg_offset=5, **terms)
    scene.place(ALICE, BUY, 0, 1_000_000, peg_price_type=MARKET, **terms)
    scene.rest(BOB, SELL, 110, 1)
    scene.rest(BOB, SELL, 1_200, 1)
    events = scene.place(CAROL, BUY, 110, 1)[2:]
    assert kinds(events) == [EventKind.TRIGGERED, EventKind.CANCELED] * 2
    assert [event["reason"] for event in events if event["reason"]] == [
        Reason.NO_PEG_PRICE,
        Reason.INSUFFICIENT_BALANCE,
    ]


def test_a_waiting_pegged_stop_takes_a_new_quantity_but_no_price() -> None:
    scene = book_of_three()
    stop = {"order_type": TAKE_PROFIT_LIMIT, "stop_price": 80, "peg_price_type": MARKET}
    order_id = scene.one(scene.desk.place(ALICE, BUY, 0, 2, **stop))["order_id"]
    assert scene.one(scene.desk.amend(ALICE, order_id, quantity=1))["quantity"] == 1
    assert scene.refused(scene.desk.amend(ALICE, order_id, price=50)) == Reason.INVALID_ORDER_TYPE
