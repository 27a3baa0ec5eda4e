"""The circuit breaker, worked out by hand: which trade trips it, what becomes of orders, and how the market goes on.

Prices are cents and quantities hundredths of a coin (tests/scene.py); the band counts ten-thousandths.
"""

from __future__ import annotations

from pathlib import Path

from reference.desk import ALICE, BOB, BUY, CAROL, SELL
from reference.records import Fields
from scene import LIMITS, Scene, kinds, trades

from ringex.engine import Matcher
from ringex.engine.snapshot import load_snapshot, write_snapshot
from ringex.reasons import Reason
from ringex.terms import EventKind, FilterFlag, MarketStatus, OrderStatus, TimeInForce

SECOND_NS = 1_000_000_000
BREAKER = {"breaker_band": 1_000, "breaker_window_seconds": 60, "breaker_pause_seconds": 30, "reference_price": 100}


def guarded(**more: int) -> Scene:
    """A market whose trades keep within 10 % of 100, or stop it for 30 s."""
    scene = Scene()
    scene.one(scene.desk.filters(**(BREAKER | more)))
    return scene


def statuses(events: list[Fields]) -> list[MarketStatus]:
    return [MarketStatus(e["status"]) for e in events if e["kind"] == EventKind.MARKET]


def wait(scene: Scene, seconds: int) -> list[Fields]:
    """Time goes by until somebody does something that changes nothing. All events."""
    scene.desk.time_ns += seconds * SECOND_NS
    return scene.do(scene.desk.cancel(CAROL, 1 << 40))


def test_the_trade_beyond_the_band_does_not_happen_and_the_market_halts_for_a_while() -> None:
    scene = guarded()
    for price in (110, 111):
        scene.rest(BOB, SELL, price, 1)
    events = scene.place(ALICE, BUY, 115, 2)
    assert kinds(events) == [EventKind.ACCEPTED, EventKind.TRADE, EventKind.MARKET, EventKind.RESTED]
    assert trades(events) == [(1, 110, 1)] and statuses(events) == [MarketStatus.HALT]
    assert [row[2] for row in scene.queue()] == [115, 111]  # what is left rests; nothing is lost
    assert scene.refused(scene.desk.place(CAROL, BUY, 100, 1)) == Reason.MARKET_CLOSED
    assert statuses(wait(scene, 29)) == []
    events = wait(scene, 1)
    assert statuses(events) == [MarketStatus.TRADING]
    assert trades(events) == [(2, 111, 1)]  # the uncross, next to the last price
    assert scene.queue() == []


def test_below_the_band_too() -> None:
    scene = guarded()
    scene.rest(BOB, BUY, 90, 1)
    scene.rest(BOB, BUY, 89, 1)
    events = scene.place(ALICE, SELL, 80, 2)
    assert trades(events) == [(1, 90, 1)] and statuses(events) == [MarketStatus.HALT]


def test_what_may_not_rest_expires() -> None:
    for terms in ({"order_type": 2, "price": 0}, {"time_in_force": TimeInForce.IOC, "price": 120}):
        scene = guarded()
        scene.rest(BOB, SELL, 111, 1)
        events = scene.do(scene.desk.place(ALICE, BUY, **({"quantity": 1} | terms)))
        assert kinds(events) == [EventKind.ACCEPTED, EventKind.MARKET, EventKind.CANCELED]
        assert (events[-1]["status"], events[-1]["reason"]) == (OrderStatus.EXPIRED, Reason.MARKET_PAUSED)


def test_fill_or_kill_does_not_count_what_lies_beyond_the_band_and_trips_nothing() -> None:
    scene = guarded()
    for price in (110, 111):
        scene.rest(BOB, SELL, price, 1)
    events = scene.place(ALICE, BUY, 120, 2, time_in_force=TimeInForce.FOK)
    assert events[-1]["reason"] == Reason.NOT_FILLED_AT_ONCE and statuses(events) == []
    assert trades(scene.place(ALICE, BUY, 120, 1, time_in_force=TimeInForce.FOK)) == [(1, 110, 1)]
    scene = guarded()
    scene.rest(BOB, BUY, 111, 1)  # too high a price, for who sells as well
    events = scene.place(ALICE, SELL, 100, 1, time_in_force=TimeInForce.FOK)
    assert events[-1]["reason"] == Reason.NOT_FILLED_AT_ONCE and statuses(events) == []


def test_the_breaker_may_call_an_auction() -> None:
    scene = guarded(filter_bits=FilterFlag.BREAK_TO_AUCTION)
    scene.rest(BOB, SELL, 120, 2)
    events = scene.place(ALICE, BUY, 120, 1)
    assert statuses(events) == [MarketStatus.AUCTION]
    assert kinds(events)[-1] == EventKind.INDICATIVE and events[-1]["price"] == 120
    scene.place(CAROL, SELL, 105, 3)
    scene.place(ALICE, BUY, 125, 4)
    # at 120: 5 bought, 5 sold
    events = wait(scene, 30)
    assert statuses(events) == [MarketStatus.TRADING]
    assert {price for _, price, _ in trades(events)} == {120} and sum(q for *_, q in trades(events)) == 5
    # 120 is the reference now: 132 is within its band, 133 is not
    scene.rest(BOB, SELL, 132, 1)
    scene.rest(BOB, SELL, 133, 1)
    events = scene.place(ALICE, BUY, 140, 2)
    assert [price for _, price, _ in trades(events)] == [132] and statuses(events) == [MarketStatus.AUCTION]


def test_a_window_compares_with_the_price_at_its_start() -> None:
    scene = guarded()
    for price in (105, 109, 110):
        scene.rest(BOB, SELL, price, 1)
        assert len(trades(scene.place(ALICE, BUY, price, 1))) == 1
    scene.rest(BOB, SELL, 118, 2)
    scene.desk.time_ns += 60 * SECOND_NS  # a new window: 110 is the last price, 121 the bound
    assert len(trades(scene.place(ALICE, BUY, 118, 1))) == 1
    scene.rest(BOB, SELL, 122, 1)
    scene.do(scene.desk.cancel_all(BOB))
    scene.rest(BOB, SELL, 122, 1)
    assert statuses(scene.place(ALICE, BUY, 122, 1)) == [MarketStatus.HALT]


def test_an_operator_takes_over_from_the_timer() -> None:
    scene = guarded()
    scene.rest(BOB, SELL, 120, 1)
    scene.place(ALICE, BUY, 120, 1)
    scene.do(scene.desk.market_set(0, MarketStatus.HALT))
    assert statuses(wait(scene, 3_600)) == []
    assert statuses(scene.do(scene.desk.market_set(0, MarketStatus.TRADING))) == [MarketStatus.TRADING]
    assert scene.queue() == []


def test_a_pause_ends_on_time_after_a_snapshot(tmp_path: Path) -> None:
    scene = guarded()
    scene.rest(BOB, SELL, 120, 1)
    scene.place(ALICE, BUY, 120, 1)
    loaded = Matcher(state=load_snapshot(write_snapshot(scene.matcher.state, tmp_path), LIMITS))
    assert loaded.state_hash() == scene.matcher.state_hash()
    scene.matcher = loaded
    assert statuses(wait(scene, 29)) == []
    assert statuses(wait(scene, 1)) == [MarketStatus.TRADING]


def test_a_cascade_of_stops_pauses_and_goes_on() -> None:
    scene = guarded()
    for price in (95, 89, 88):
        scene.rest(BOB, BUY, price, 1)
    first = scene.one(scene.desk.stop(ALICE, SELL, 95, 1))["order_id"]
    second = scene.one(scene.desk.stop(ALICE, SELL, 94, 1))["order_id"]
    events = scene.place(CAROL, SELL, 95, 1)
    # 95 sets the first one off; 89 is beyond the band
    assert [e["order_id"] for e in events if e["kind"] == EventKind.TRIGGERED] == [first]
    assert statuses(events) == [MarketStatus.HALT] and events[-1]["reason"] == Reason.MARKET_PAUSED
    events = wait(scene, 30)
    assert statuses(events) == [MarketStatus.TRADING]
    scene.rest(BOB, BUY, 94, 1)
    events = scene.place(CAROL, SELL, 94, 1)  # within 95's band
    assert [e["order_id"] for e in events if e["kind"] == EventKind.TRIGGERED] == [second]
    assert trades(events) == [(7, 94, 1), (2, 89, 1)]


def test_without_a_price_nothing_trips() -> None:
    scene = guarded(reference_price=0)
    scene.rest(BOB, SELL, 900, 1)
    assert len(trades(scene.place(ALICE, BUY, 900, 1))) == 1
