"""Order limits in the matcher, worked by hand: new orders in ten seconds and on a day, open orders in all markets."""

from __future__ import annotations

from pathlib import Path

import pytest
from reference.desk import ALICE, BOB, BUY, CAROL, SELL
from scene import Scene, kinds

from ringex.engine import Matcher
from ringex.engine.snapshot import load_snapshot, write_snapshot
from ringex.reasons import Reason
from ringex.terms import CommandFlag, EventKind, MarketStatus, TimeInForce

SECOND = 10**9
DAY = 86_400 * SECOND
MORNING = 20_000 * DAY  # the beginning of a day, and of ten seconds


@pytest.fixture
def scene() -> Scene:
    scene = Scene()
    scene.desk.time_ns = MORNING
    return scene


def counts(scene: Scene, account: int) -> tuple[int, int]:
    """The account's counts in the windows that they were last counted in."""
    row = scene.matcher.export()["accounts"][account]
    return int(row["short_count"]), int(row["day_count"])


def at(scene: Scene, seconds: float) -> None:
    scene.desk.time_ns = MORNING + int(seconds * SECOND)


def test_ten_seconds_are_by_the_clock(scene: Scene) -> None:
    scene.do(scene.desk.order_limits(ALICE, orders_10s=2))
    at(scene, 9.8)
    scene.rest(ALICE, BUY, 100, 1)
    scene.rest(ALICE, BUY, 101, 1)
    at(scene, 9.999_999_999)
    assert scene.refused(scene.desk.place(ALICE, BUY, 102, 1)) == Reason.ORDER_RATE_10S
    scene.rest(BOB, BUY, 99, 1)  # nobody else is touched
    at(scene, 10)
    scene.rest(ALICE, BUY, 102, 1)
    assert counts(scene, ALICE) == (1, 3)


def test_a_day_ends_at_midnight(scene: Scene) -> None:
    scene.do(scene.desk.order_limits(ALICE, orders_1d=3))
    for number in range(3):
        at(scene, number * 20_000)
        scene.rest(ALICE, BUY, 100, 1)
    at(scene, 86_399.9)
    assert scene.refused(scene.desk.place(ALICE, BUY, 100, 1)) == Reason.ORDER_RATE_1D
    at(scene, 86_400)
    scene.rest(ALICE, BUY, 100, 1)
    assert counts(scene, ALICE) == (1, 1)


def test_what_is_refused_canceled_or_expired_counts_as_it_did(scene: Scene) -> None:
    assert scene.refused(scene.desk.place(ALICE, BUY, 100, 0)) == Reason.QUANTITY_TOO_LOW
    assert counts(scene, ALICE) == (0, 0)
    order = scene.rest(ALICE, BUY, 100, 1)
    scene.do(scene.desk.cancel(ALICE, order))
    scene.place(ALICE, BUY, 100, 1, time_in_force=TimeInForce.FOK)  # expires: nobody sells
    assert counts(scene, ALICE) == (2, 2)
    order = scene.rest(ALICE, BUY, 100, 1)
    scene.do(scene.desk.amend(ALICE, order, price=99))  # no new order
    assert counts(scene, ALICE) == (3, 3)


def test_first_fills_take_away_one_of_a_taker_and_five_of_a_maker(scene: Scene) -> None:
    """The dialect's two examples."""
    scene.rest(ALICE, BUY, 50, 1)
    scene.rest(BOB, SELL, 200, 2)
    assert counts(scene, ALICE) == (1, 1)
    scene.place(ALICE, BUY, 200, 3)  # +1; trades 2 at once: -1; 1 rests
    assert (counts(scene, ALICE), counts(scene, BOB)) == ((1, 1), (0, 0))
    scene.rest(ALICE, BUY, 49, 1)
    scene.place(BOB, SELL, 200, 1)  # fills what is left of the one that has traded: no more taken away
    assert counts(scene, ALICE) == (2, 2)
    assert counts(scene, BOB) == (0, 0)  # +1, -1

    for price in (40, 41, 42, 43, 44):
        scene.rest(CAROL, BUY, price, 2)
    assert counts(scene, CAROL) == (5, 5)
    scene.do(scene.desk.cancel_all(ALICE))
    scene.place(BOB, SELL, 44, 1)  # her best one's first fill, as a maker
    assert counts(scene, CAROL) == (0, 0)
    scene.rest(CAROL, BUY, 39, 1)
    scene.place(BOB, SELL, 44, 1)  # its second
    assert counts(scene, CAROL) == (1, 1)
    scene.place(BOB, SELL, 43, 1)
    assert counts(scene, CAROL) == (0, 0)  # never below
    scene.rest(CAROL, BUY, 38, 1)
    assert counts(scene, CAROL) == (1, 1)  # no credit is kept


def test_a_fill_takes_away_from_the_present_windows_whenever_its_order_came(scene: Scene) -> None:
    for price in (40, 41, 42):
        scene.rest(ALICE, BUY, price, 1)
    at(scene, 86_400 + 5)
    for price in (20, 21, 22, 23, 24, 25, 26):
        scene.rest(ALICE, BUY, price, 1)
    scene.place(BOB, SELL, 42, 1)  # of yesterday
    assert counts(scene, ALICE) == (2, 2)
    at(scene, 86_400 + 10)
    scene.place(BOB, SELL, 41, 1)  # nothing was counted in these ten seconds
    assert counts(scene, ALICE) == (2, 0)  # the first is of the window before
    scene.rest(ALICE, BUY, 19, 1)
    assert counts(scene, ALICE) == (1, 1)


def test_an_uncross_has_makers_only(scene: Scene) -> None:
    scene.do(scene.desk.market_set(0, MarketStatus.AUCTION))
    for price in (10, 11, 100):
        scene.place(ALICE, BUY, price, 1)
    for price in (300, 301, 302, 303, 304, 305, 100):
        scene.place(BOB, SELL, price, 1)
    scene.do(scene.desk.market_set(0, MarketStatus.TRADING))
    assert (counts(scene, ALICE), counts(scene, BOB)) == ((0, 0), (2, 2))


def test_open_orders_count_in_all_markets(scene: Scene) -> None:
    scene.do(scene.desk.market("BTCUSD2"))
    scene.do(scene.desk.order_limits(ALICE, open_orders=2))
    first = scene.rest(ALICE, BUY, 100, 1)
    scene.do(scene.desk.stop(ALICE, SELL, 50, 1, market=1))  # waits; is open
    for market in (0, 1):
        assert scene.refused(scene.desk.place(ALICE, BUY, 99, 1, market=market)) == Reason.TOO_MANY_OPEN_ORDERS
    scene.do(scene.desk.cancel(ALICE, first))
    scene.rest(ALICE, BUY, 99, 1, market=1)
    assert scene.refused(scene.desk.market_order(ALICE, BUY, 1)) == Reason.TOO_MANY_OPEN_ORDERS


def test_limits_are_the_exchanges_where_an_account_has_none_of_its_own(scene: Scene) -> None:
    told = scene.one(scene.desk.order_limits(0, 1, 1 << 30, 1 << 30))
    assert (told["kind"], told["account"], told["orders_10s_max"]) == (EventKind.ORDER_LIMITS, 0, 1)
    scene.do(scene.desk.order_limits(BOB, orders_10s=2))
    scene.rest(ALICE, BUY, 100, 1)
    scene.rest(BOB, BUY, 100, 1)
    assert scene.refused(scene.desk.place(ALICE, BUY, 100, 1)) == Reason.ORDER_RATE_10S
    scene.rest(BOB, BUY, 100, 1)
    assert scene.refused(scene.desk.place(BOB, BUY, 100, 1)) == Reason.ORDER_RATE_10S
    scene.do(scene.desk.order_limits(BOB))  # none of his own again
    assert scene.refused(scene.desk.place(BOB, BUY, 100, 1)) == Reason.ORDER_RATE_10S
    scene.do(scene.desk.order_limits(0, 3, 1, 1))
    assert scene.refused(scene.desk.place(BOB, BUY, 100, 1)) == Reason.ORDER_RATE_1D  # two, by now
    scene.do(scene.desk.order_limits(0, 3, 3, 1))
    assert scene.refused(scene.desk.place(BOB, BUY, 100, 1)) == Reason.TOO_MANY_OPEN_ORDERS
    for account, number, reason in (
        (9, 1, Reason.UNKNOWN_ACCOUNT),
        (-1, 1, Reason.UNKNOWN_ACCOUNT),
        (ALICE, -1, Reason.INVALID_COMMAND),
        (0, 0, Reason.INVALID_COMMAND),
    ):
        assert scene.refused(scene.desk.order_limits(account, number, 1, 1)) == reason


def test_a_replaced_order_is_a_new_one_and_a_remembered_request_is_not(scene: Scene) -> None:
    scene.do(scene.desk.order_limits(ALICE, orders_10s=2))
    once = {"client_order_id": "once", "timestamp_us": 1, "expires_ns": MORNING + SECOND}
    request = scene.desk.place(ALICE, BUY, 100, 1, **once)
    (accepted,) = scene.do(request)
    (again,) = scene.do(request)
    assert again["kind"] == EventKind.DUPLICATE
    events = scene.do(scene.desk.cancel_leg(ALICE, accepted["order_id"]), scene.desk.place(ALICE, BUY, 101, 1))
    assert kinds(events) == [EventKind.CANCELED, EventKind.ACCEPTED]
    order = events[1]["order_id"]
    place = scene.desk.place(ALICE, BUY, 102, 1)
    for flag_bits in (0, CommandFlag.ALLOW_FAILURE):
        assert scene.refused(scene.desk.cancel_leg(ALICE, order, flag_bits=flag_bits), place) == Reason.ORDER_RATE_10S
    events = scene.do(scene.desk.cancel_leg(ALICE, order, flag_bits=CommandFlag.CANCEL_ONLY), place)
    assert kinds(events) == [EventKind.CANCELED, EventKind.REJECTED]
    assert events[1]["reason"] == Reason.ORDER_RATE_10S


def test_a_snapshot_has_limits_and_counts(scene: Scene, tmp_path: Path) -> None:
    scene.do(scene.desk.order_limits(0, 100, 100, 100))
    scene.do(scene.desk.order_limits(ALICE, 3, 0, 2))
    scene.rest(ALICE, BUY, 100, 1)
    scene.place(BOB, SELL, 100, 1)
    scene.rest(ALICE, BUY, 100, 1)
    order = scene.rest(ALICE, BUY, 99, 1)
    loaded = Matcher(state=load_snapshot(write_snapshot(scene.matcher.state, tmp_path), scene.matcher.state.limits))
    assert loaded.state_hash() == scene.matcher.state_hash()
    scene.matcher = loaded
    assert counts(scene, ALICE) == (2, 2)
    assert scene.refused(scene.desk.place(ALICE, BUY, 98, 1)) == Reason.TOO_MANY_OPEN_ORDERS
    scene.do(scene.desk.cancel(ALICE, order))
    scene.rest(ALICE, BUY, 98, 1)
    scene.do(scene.desk.order_limits(ALICE, 3, 0, 0))
    assert scene.refused(scene.desk.place(ALICE, BUY, 98, 1)) == Reason.ORDER_RATE_10S
