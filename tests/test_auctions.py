"""Auctions, worked out by hand: the price, who is filled and in which order, what is left, and what is told of it.

Prices are cents and quantities hundredths of a coin (tests/scene.py).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from reference.desk import ALICE, BOB, BTC, BUY, CAROL, SELL, USDT
from reference.records import Fields, records_of
from scene import LIMITS, STEP, UNIT, Scene, kinds

from ringex.engine import Matcher
from ringex.engine.snapshot import load_snapshot, write_snapshot
from ringex.history.readmodel import ReadModel
from ringex.marketdata.changes import changes_by_market
from ringex.messages import EVENTS_PER_COMMAND_MAX
from ringex.reasons import Reason
from ringex.terms import (
    CommandKind,
    EventFlag,
    EventKind,
    MarketStatus,
    OrderStatus,
    OrderType,
    SelfTradePrevention,
    Side,
    TimeInForce,
)

Rows = list[tuple[int, int]]


def auction(bids: Rows = (), asks: Rows = (), status: MarketStatus = MarketStatus.AUCTION, **rules: Any) -> Scene:  # type: ignore[assignment]
    """A market that collects orders: ALICE's bids and BOB's asks, each (price, quantity), in that order."""
    scene = Scene(**rules)
    scene.do(scene.desk.market_set(0, MarketStatus.AUCTION))
    for side, account, rows in ((BUY, ALICE, bids), (SELL, BOB, asks)):
        for price, quantity in rows:
            scene.place(account, side, price, quantity)
    if status != MarketStatus.AUCTION:
        scene.do(scene.desk.market_set(0, status))
    return scene


def indicated(events: list[Fields]) -> list[tuple[int, int, int]]:
    names = ("price", "quantity", "imbalance")
    return [tuple(e[name] for name in names) for e in events if e["kind"] == EventKind.INDICATIVE]  # type: ignore[misc]


def crossings(events: list[Fields]) -> list[tuple[int, int, int, int]]:
    """(younger order, older order, price, quantity) of each trade."""
    names = ("order_id", "maker_order_id", "price", "quantity")
    return [tuple(e[name] for name in names) for e in events if e["kind"] == EventKind.TRADE]  # type: ignore[misc]


def opened(scene: Scene) -> list[Fields]:
    return scene.do(scene.desk.market_set(0, MarketStatus.TRADING))


# The price


@pytest.mark.parametrize(
    ("bids", "asks", "last", "expected"),
    [
        ([(100, 5)], [(101, 5)], 0, (0, 0, 0)),  # nothing crosses
        ([(100, 5)], [(100, 3)], 0, (100, 3, 2)),
        # at 101: 5 bought, 4 sold; at 102: 5, 8; at 103: 3, 8; between them no more
        ([(103, 3), (102, 2)], [(101, 4), (102, 4)], 0, (102, 5, -3)),
        # most volume alone decides: at 100 9 of 12 would trade, at 105 10 of 10
        ([(105, 10), (100, 2)], [(100, 9), (105, 1)], 100, (105, 10, 0)),
        # as much at each price from 100 to 104: the least imbalance is from 101 on
        ([(104, 6), (100, 3)], [(100, 6)], 0, (101, 6, 0)),
        # ... and there the nearest to the last price
        ([(104, 6), (100, 3)], [(100, 6)], 103, (103, 6, 0)),
        ([(104, 6), (100, 3)], [(100, 6)], 900, (104, 6, 0)),
        ([(104, 6), (100, 3)], [(100, 6)], 50, (101, 6, 0)),
        # an imbalance of 2 to either side, at 101 (buyers) and at 104 (sellers): 102.5 is as far from both
        ([(104, 3), (101, 2)], [(101, 3), (104, 2)], 0, (102, 3, 0)),
        ([(104, 3), (101, 2)], [(101, 3), (104, 2)], 103, (103, 3, 0)),
    ],
)
def test_the_price_of_an_auction(bids: Rows, asks: Rows, last: int, expected: tuple[int, int, int]) -> None:
    scene = Scene()
    if last:
        scene.one(scene.desk.filters(reference_price=last))
    scene.do(scene.desk.market_set(0, MarketStatus.AUCTION))
    events: list[Fields] = []
    for side, account, rows in ((BUY, ALICE, bids), (SELL, BOB, asks)):
        for price, quantity in rows:
            events += scene.place(account, side, price, quantity)
    assert ([(0, 0, 0), *indicated(events)])[-1] == expected
    assert indicated(opened(scene)) == ([expected] if expected[0] else [])


def test_of_two_prices_as_near_the_lower_one_is_taken() -> None:
    """One lot is over at 100 (bought) and at 101 (sold): no price lies between them."""
    bids, asks = [(101, 2), (100, 1)], [(100, 2), (101, 1)]
    for last, price in ((100, 100), (101, 101), (0, 100), (150, 101)):
        scene = Scene()
        scene.one(scene.desk.filters(reference_price=last))
        scene.do(scene.desk.market_set(0, MarketStatus.AUCTION))
        for side, account, rows in ((BUY, ALICE, bids), (SELL, BOB, asks)):
            for at, quantity in rows:
                scene.place(account, side, at, quantity)
        (found,) = indicated(opened(scene))
        assert found == (price, 2, 1 if price == 100 else -1)


def test_prices_between_levels_keep_to_the_tick() -> None:
    scene = auction([(90, 4)], [(50, 4)], tick=10, price_min=10)
    scene.one(scene.desk.filters(reference_price=66))
    assert indicated(opened(scene)) == [(70, 4, 0)]
    scene = auction([(90, 4)], [(50, 4)], tick=10, price_min=10)
    scene.one(scene.desk.filters(reference_price=65))
    assert indicated(opened(scene)) == [(60, 4, 0)]  # 60 and 70 are as near


def test_the_last_price_goes_before_the_reference_price() -> None:
    scene = Scene()
    scene.one(scene.desk.filters(reference_price=101))
    scene.rest(CAROL, SELL, 103, 1)
    scene.place(CAROL, BUY, 103, 1)
    scene.do(scene.desk.market_set(0, MarketStatus.AUCTION))
    scene.place(ALICE, BUY, 105, 1)
    assert indicated(scene.place(BOB, SELL, 100, 1)) == [(103, 1, 0)]


def test_hidden_parts_count() -> None:
    scene = auction([(102, 10)])
    assert indicated(scene.place(BOB, SELL, 100, 30, iceberg_quantity=2)) == [(100, 10, -20)]


# Who trades


def test_the_uncross_fills_by_price_then_time_at_one_price() -> None:
    scene = auction([(101, 4), (103, 3), (101, 5)], [(100, 2), (99, 3), (101, 9)])
    # bought at 101: 12, sold at 101: 14. Orders 1, 2, 3 bid, 4, 5, 6 ask.
    events = opened(scene)
    assert kinds(events)[:2] == [EventKind.MARKET, EventKind.INDICATIVE]
    assert indicated(events) == [(101, 12, -2)]
    # bids: 2 (103), 1, 3 (101); asks: 5 (99), 4 (100), 6 (101)
    assert crossings(events) == [
        (5, 2, 101, 3),
        (4, 1, 101, 2),
        (6, 1, 101, 2),
        (6, 3, 101, 5),
    ]
    assert scene.queue() == [(6, SELL, 101, 2)]
    assert [(e["side"], e["flag_bits"] & EventFlag.UNCROSS) for e in events if e["kind"] == EventKind.TRADE] == [
        (SELL, EventFlag.UNCROSS)
    ] * 4
    assert events[-1]["flag_bits"] & EventFlag.LAST and not events[-2]["flag_bits"] & EventFlag.LAST


def test_the_older_order_is_the_maker_and_both_pay_the_makers_fee() -> None:
    scene = Scene(maker_fee=1_000_000, taker_fee=9_000_000)  # 1 %, 9 %
    scene.do(scene.desk.market_set(0, MarketStatus.AUCTION))
    before = [scene.balance(account, asset) for account in (ALICE, BOB) for asset in (BTC, USDT)]
    scene.place(BOB, SELL, 100, 10)
    scene.place(ALICE, BUY, 120, 10)
    events = opened(scene)
    (trade,) = [e for e in events if e["kind"] == EventKind.TRADE]
    assert (trade["order_id"], trade["maker_order_id"], trade["side"]) == (2, 1, BUY)
    assert (trade["account"], trade["maker_account"]) == (ALICE, BOB)
    assert (trade["taker_status"], trade["maker_status"]) == (OrderStatus.FILLED, OrderStatus.FILLED)
    paid = 10 * trade["price"] * STEP
    assert trade["price"] == 100 and trade["quote_amount"] == paid
    assert trade["taker_fee"] == 10 * UNIT // 100 and trade["maker_fee"] == paid // 100
    after = [scene.balance(account, asset) for account in (ALICE, BOB) for asset in (BTC, USDT)]
    gains = [a[0] - b[0] for a, b in zip(after, before, strict=True)]
    assert gains == [10 * UNIT - UNIT // 10, -paid, -10 * UNIT, paid - paid // 100]
    assert [locked for _, locked in after] == [0] * 4


def test_self_trade_prevention_does_not_hold_in_an_uncross() -> None:
    scene = auction()
    for mode in (SelfTradePrevention.EXPIRE_BOTH, SelfTradePrevention.DECREMENT):
        scene.place(ALICE, BUY, 101, 2, self_trade_prevention=mode)
    scene.place(ALICE, SELL, 100, 3, self_trade_prevention=SelfTradePrevention.EXPIRE_TAKER)
    assert crossings(opened(scene)) == [(3, 1, 100, 2), (3, 2, 100, 1)]


def test_icebergs_trade_slice_by_slice() -> None:
    scene = auction([(100, 6)])
    scene.place(BOB, SELL, 100, 5, iceberg_quantity=2)
    scene.place(CAROL, SELL, 100, 3)
    events = opened(scene)
    assert crossings(events) == [(2, 1, 100, 2), (3, 1, 100, 3), (2, 1, 100, 1)]
    assert scene.queue() == [(2, SELL, 100, 2)]
    assert int(scene.matcher.orders(0)["shown"][0]) == 1


def test_stops_fire_after_the_uncross() -> None:
    scene = Scene()
    stop = scene.one(scene.desk.stop(CAROL, BUY, 105, 1))["order_id"]
    scene.do(scene.desk.market_set(0, MarketStatus.AUCTION))
    late = scene.one(scene.desk.stop(CAROL, SELL, 106, 1, order_type=OrderType.TAKE_PROFIT))["order_id"]
    scene.place(BOB, SELL, 106, 3)
    scene.place(ALICE, BUY, 106, 4)
    events = opened(scene)
    assert [e["order_id"] for e in events if e["kind"] == EventKind.TRIGGERED] == [stop, late]
    assert crossings(events) == [(4, 3, 106, 3), (late, 4, 106, 1)]
    assert events[-1]["flag_bits"] & EventFlag.LAST


def test_an_uncross_counts_positions_and_averages_like_other_trades() -> None:
    scene = Scene()
    scene.one(scene.desk.filters(position_max=10**13 + 9 * UNIT, average_minutes=5, bid_multiplier_up=10_000))
    scene.do(scene.desk.market_set(0, MarketStatus.AUCTION))
    scene.place(ALICE, BUY, 100, 9)
    scene.place(BOB, SELL, 100, 9)
    opened(scene)
    assert scene.refused(scene.desk.place(ALICE, BUY, 100, 1)) == Reason.POSITION_TOO_LARGE
    assert scene.refused(scene.desk.place(CAROL, BUY, 101, 1)) == Reason.PRICE_FAR_FROM_AVERAGE


# What is taken, and when


@pytest.mark.parametrize("status", [MarketStatus.PRE_OPEN, MarketStatus.AUCTION])
def test_only_orders_that_may_rest_or_wait_are_taken(status: MarketStatus) -> None:
    scene = Scene(status=status)
    desk = scene.desk
    for terms in (
        {"price": 0, "order_type": OrderType.MARKET},
        {"order_type": OrderType.LIMIT_MAKER},
        {"time_in_force": TimeInForce.IOC},
        {"time_in_force": TimeInForce.FOK},
    ):
        record = desk.place(ALICE, BUY, **({"price": 100, "quantity": 1} | terms))
        assert scene.refused(record) == Reason.NOT_IN_AUCTION
    scene.place(ALICE, BUY, 100, 5)
    scene.place(BOB, SELL, 90, 5)
    assert [row[2] for row in scene.queue()] == [100, 90]  # the book crosses
    scene.one(desk.stop(CAROL, BUY, 105, 1))
    events = scene.do(desk.amend(ALICE, 1, price=101))
    assert kinds(events)[:2] == [EventKind.AMENDED, EventKind.RESTED]
    assert EventKind.CANCELED in kinds(scene.do(desk.cancel(BOB, 2)))


def test_a_book_that_does_not_cross_opens_without_a_trade() -> None:
    scene = auction([(99, 1)], [(100, 1)])
    assert kinds(opened(scene)) == [EventKind.MARKET]


def test_indications_are_told_when_they_change_and_only_in_an_auction() -> None:
    scene = Scene(status=MarketStatus.PRE_OPEN)
    scene.place(ALICE, BUY, 100, 5)
    assert indicated(scene.place(BOB, SELL, 90, 2)) == []
    assert indicated(scene.do(scene.desk.market_set(0, MarketStatus.AUCTION))) == [(90, 2, 3)]
    assert indicated(scene.place(BOB, SELL, 150, 2)) == []
    assert indicated(scene.do(scene.desk.cancel(BOB, 2))) == [(0, 0, 0)]


TRADING, HALT, PRE_OPEN, AUCTION, CLOSED = MarketStatus
MAY_FOLLOW = {
    PRE_OPEN: {AUCTION, TRADING, HALT, CLOSED},
    AUCTION: {TRADING, HALT, CLOSED},
    TRADING: {AUCTION, HALT, CLOSED},
    HALT: {TRADING, AUCTION, CLOSED},
    CLOSED: {PRE_OPEN},
}


@pytest.mark.parametrize("status", MarketStatus)
def test_what_may_follow_on_what(status: MarketStatus) -> None:
    for following in MarketStatus:
        scene = Scene(status=status)
        events = scene.do(scene.desk.market_set(0, following))
        if following in MAY_FOLLOW[status] | {status}:
            assert (events[0]["kind"], events[0]["status"]) == (EventKind.MARKET, following)
        else:
            assert events[0]["reason"] == Reason.ILLEGAL_TRANSITION


def test_a_closed_market_keeps_its_orders_and_takes_cancels_only() -> None:
    scene = Scene()
    scene.rest(ALICE, BUY, 100, 1)
    scene.rest(ALICE, BUY, 99, 1)
    scene.do(scene.desk.market_set(0, CLOSED))
    assert scene.refused(scene.desk.place(BOB, SELL, 100, 1)) == Reason.MARKET_CLOSED
    assert scene.refused(scene.desk.amend(ALICE, 1, quantity=2)) == Reason.MARKET_CLOSED
    scene.one(scene.desk.cancel(ALICE, 2))
    scene.do(scene.desk.market_set(0, PRE_OPEN))
    scene.place(BOB, SELL, 100, 1)
    assert crossings(opened(scene)) == [(3, 1, 100, 1)]


def test_a_halt_out_of_an_auction_keeps_the_crossed_book_for_the_uncross() -> None:
    scene = auction([(102, 1)], [(100, 1)], HALT)
    assert len(scene.queue()) == 2
    assert len(crossings(opened(scene))) == 1


# Long uncrosses, recovery, readers


def crossed_scene(count: int) -> Scene:
    """`count` bids over 16 levels against as many asks, all of quantity 1."""
    scene = Scene(orders_per_account_max=5_000)
    desk = scene.desk
    orders = [desk.place(ALICE, BUY, 200 + i % 16, 1) for i in range(count)]
    orders += [desk.place(BOB, SELL, 100 + i % 16, 1) for i in range(count)]
    for status in (CLOSED, PRE_OPEN):
        scene.do(desk.market_set(0, status))
    scene.do_all(records_of(orders))
    return scene


def test_a_long_uncross_goes_on_by_continue_at_its_price() -> None:
    scene = crossed_scene(2_500)
    before = int(scene.matcher.state.root["command_sequence"])
    events = opened(scene)
    steps = int(scene.matcher.state.root["command_sequence"]) - before
    assert steps == 3 and len(crossings(events)) == 2_500
    assert {price for _, _, price, _ in crossings(events)} == {115}
    per_step = [e["command_sequence"] for e in events]
    assert max(per_step.count(step) for step in set(per_step)) <= EVENTS_PER_COMMAND_MAX
    assert [e["flag_bits"] & EventFlag.LAST for e in events] == [0] * (len(events) - 1) + [EventFlag.LAST]
    assert scene.queue() == []


def test_an_uncross_goes_on_from_a_snapshot_taken_within_it(tmp_path: Path) -> None:
    scene = crossed_scene(2_500)
    command = records_of([scene.desk.market_set(0, TRADING)])
    whole = scene.matcher
    first = int(whole.state.root["command_sequence"]) + 1
    apart = Matcher(state=load_snapshot(write_snapshot(whole.state, tmp_path / "a"), LIMITS))
    whole.submit(command)
    step = command.copy()
    step["sequence"], step["time_ns"] = first, int(apart.state.root["time_ns"])
    apart.replay(step)
    for sequence in (first + 1, first + 2):
        assert apart.state.root["continuation_pending"] == CommandKind.UNCROSS
        apart = Matcher(state=load_snapshot(write_snapshot(apart.state, tmp_path / str(sequence)), LIMITS))
        step = records_of([scene.desk.go_on() | {"sequence": sequence}])
        step["time_ns"] = int(apart.state.root["time_ns"])
        step["ring"] = 0xFFFF
        apart.replay(step)
    assert apart.state.root["continuation_pending"] == 0
    assert apart.export()["orders"].tobytes() == whole.export()["orders"].tobytes()
    assert apart.export()["balances"].tobytes() == whole.export()["balances"].tobytes()


def test_readers_of_events_see_the_book_that_an_uncross_leaves() -> None:
    scene = Scene()
    model = ReadModel(LIMITS)
    matcher = Matcher(limits=LIMITS)
    desk = type(scene.desk)()
    commands = [desk.asset("BTC", 8), desk.asset("USDT", 8), desk.market(), desk.account("alice"), desk.account("bob")]
    commands += [desk.deposit(account, asset, 10**13) for account in (ALICE, BOB) for asset in (BTC, USDT)]
    commands += [desk.market_set(0, AUCTION)]
    commands += [desk.place(ALICE, BUY, 100 + i % 4, 2 + i) for i in range(8)]
    commands += [desk.place(BOB, SELL, 99 + i % 3, 3 + i) for i in range(5)]
    commands += [desk.place(BOB, SELL, 100, 9, iceberg_quantity=2), desk.market_set(0, TRADING)]
    events = matcher.submit(records_of(commands))
    assert (events["kind"] == EventKind.BOOK).any()
    model.apply(events)
    for side, levels in zip(Side, matcher.depth(0, 100), strict=True):
        assert model.books.levels(0, side, 100).tolist() == levels.tolist()
    (changes,) = changes_by_market(events)
    assert [(p, q) for p, q in changes.bids if q] == [tuple(row) for row in matcher.depth(0, 100)[0].tolist()]
    for account in (ALICE, BOB):
        shown = {model.assets[b.asset].name: (b.free, b.locked) for b in model.balances(account)}
        assert shown == matcher.balances(account)
        ids = sorted(int(o["order_id"]) for o in matcher.orders(0) if o["account"] == account)
        assert [order.order_id for order in model.open_orders(account)] == ids
    assert len(model.recent_trades(0, 100)) == (events["kind"] == EventKind.TRADE).sum()
