"""Schedules of markets, worked by hand: pre-open, auction, uncross and close at their times, and what voids them."""

from __future__ import annotations

from pathlib import Path

import pytest
from reference.desk import ALICE, BOB, BUY, SELL
from reference.records import Fields, event_fields, records_of
from scene import Scene, kinds, trades

from ringex.engine import Matcher
from ringex.engine.snapshot import load_snapshot, write_snapshot
from ringex.messages import EVENTS_PER_COMMAND_MAX, SCHEDULE_NAMES
from ringex.reasons import Reason
from ringex.terms import CommandKind, EventFlag, EventKind, MarketStatus

START = 1_000_000_000  # the desk's time
SECOND = 10**9


def at(scene: Scene, time_ns: int) -> list[Fields]:
    """Time goes on to START + `time_ns`, and the events of that."""
    scene.desk.time_ns = START + time_ns
    events = [event_fields(event) for event in scene.matcher.advance(scene.desk.time_ns)]
    scene.check()
    return events


def schedule(scene: Scene, **times: int) -> Fields:
    return scene.one(scene.desk.schedule(**{f"{name}_ns": START + time_ns for name, time_ns in times.items()}))


def status(scene: Scene) -> MarketStatus:
    return MarketStatus(scene.matcher.export()["markets"]["status"][0])


def test_a_day_from_pre_open_to_close() -> None:
    scene = Scene()
    scene.do(scene.desk.market_set(0, MarketStatus.CLOSED))
    told = schedule(scene, pre_open=100, auction=200, open=300, close=400)
    assert (told["kind"], told["market"]) == (EventKind.SCHEDULE, 0)
    assert [told[name] - START for name in SCHEDULE_NAMES] == [100, 200, 300, 400]

    scene.desk.time_ns = START + 99
    assert scene.refused(scene.desk.place(ALICE, BUY, 105, 3)) == Reason.MARKET_CLOSED
    (market,) = at(scene, 100)
    assert (market["kind"], market["status"]) == (EventKind.MARKET, MarketStatus.PRE_OPEN)
    assert market["flag_bits"] == EventFlag.LAST and market["time_ns"] == START + 100
    scene.rest(ALICE, BUY, 105, 3)
    scene.rest(BOB, SELL, 100, 2)  # crosses, and nothing trades

    market, indicative = at(scene, 200)
    assert market["status"] == MarketStatus.AUCTION
    # 2 can be executed at 100 .. 105, with 1 left over; there was no trade: the nearest to 0
    assert (indicative["price"], indicative["quantity"], indicative["imbalance"]) == (100, 2, 1)
    assert scene.refused(scene.desk.market_order(ALICE, BUY, 1)) == Reason.NOT_IN_AUCTION

    scene.desk.time_ns = START + 299
    last = scene.place(BOB, SELL, 104, 1)
    assert [(e["price"], e["quantity"]) for e in last if e["kind"] == EventKind.INDICATIVE] == [(104, 3)]
    scene.desk.time_ns = START + 300
    events = scene.place(BOB, SELL, 90, 5)  # of that time, and so too late for the uncross
    uncross = events[:-1]
    assert kinds(uncross)[:4] == [EventKind.MARKET, EventKind.INDICATIVE, EventKind.TRADE, EventKind.BOOK]
    assert uncross[0]["status"] == MarketStatus.TRADING
    assert trades(uncross) == [(1, 104, 2), (1, 104, 1)]
    assert events[-1]["kind"] == EventKind.ACCEPTED and events[-1]["flag_bits"] & EventFlag.WORKING

    (market,) = at(scene, 400)
    assert market["status"] == MarketStatus.CLOSED
    assert scene.refused(scene.desk.place(BOB, BUY, 90, 5)) == Reason.MARKET_CLOSED
    assert at(scene, 10**15) == []  # once, not every day


def test_a_scheduled_uncross_goes_on_in_continuations_before_any_later_command() -> None:
    scene = Scene(orders_per_account_max=1 << 12)
    scene.do(scene.desk.market_set(0, MarketStatus.AUCTION))
    count = EVENTS_PER_COMMAND_MAX
    orders = [scene.desk.place(BOB, SELL, 100, 1) for _ in range(count)]
    scene.do_all(records_of([*orders, scene.desk.place(ALICE, BUY, 100, count)]))
    schedule(scene, open=50)
    scene.desk.time_ns = START + 60
    events = scene.place(BOB, SELL, 100, 1, correlation=9)
    done = trades(events)
    assert [trade[1:] for trade in done] == [(100, 1)] * count
    assert len({event["command_sequence"] for event in events}) > 2  # TIMER, CONTINUE, PLACE
    assert [event["kind"] for event in events if event["correlation"] == 9] == [EventKind.ACCEPTED]
    assert events[-1]["correlation"] == 9


def test_an_auction_by_day_in_a_market_that_trades() -> None:
    scene = Scene()
    schedule(scene, auction=10, open=20)
    scene.rest(ALICE, BUY, 100, 1)
    assert [e["status"] for e in at(scene, 10)] == [MarketStatus.AUCTION]
    scene.place(BOB, SELL, 99, 1)
    assert trades(at(scene, 20)) == [(1, 99, 1)]


@pytest.mark.parametrize(
    ("now", "times"),
    [
        (MarketStatus.TRADING, {"auction": 0}),  # not to come
        (MarketStatus.TRADING, {"auction": -5}),
        (MarketStatus.TRADING, {"auction": 10, "open": 10}),  # at one time
        (MarketStatus.TRADING, {"pre_open": 10}),  # only a closed market is pre-opened
        (MarketStatus.CLOSED, {"auction": 10, "open": 20}),  # not without
        (MarketStatus.CLOSED, {"pre_open": 20, "auction": 10, "open": 30}),
        (MarketStatus.TRADING, {"close": 10, "open": 20}),  # a close is the end of a day
    ],
)
def test_what_cannot_happen_is_refused_as_a_whole(now: MarketStatus, times: dict[str, int]) -> None:
    scene = Scene()
    if now != MarketStatus.TRADING:
        scene.do(scene.desk.market_set(0, now))
    (kept,) = {"close" if now == MarketStatus.TRADING else "pre_open"}
    schedule(scene, **{kept: 500})
    wrong = {f"{name}_ns": START + time_ns for name, time_ns in times.items()}
    assert scene.refused(scene.desk.schedule(**wrong)) == Reason.INVALID_SCHEDULE
    assert scene.refused(scene.desk.schedule(market=1)) == Reason.INVALID_SYMBOL
    assert len(at(scene, 500)) == 1  # what was set before stands


def test_a_close_may_be_followed_by_the_next_days_opening() -> None:
    scene = Scene()
    schedule(scene, close=10, pre_open=20, auction=30, open=40)
    assert [e["status"] for e in at(scene, 40) if e["kind"] == EventKind.MARKET] == [
        *(MarketStatus.CLOSED, MarketStatus.PRE_OPEN, MarketStatus.AUCTION, MarketStatus.TRADING)
    ]


def test_a_schedule_replaces_the_one_before_and_none_takes_it_back() -> None:
    scene = Scene()
    schedule(scene, auction=10, open=20, close=30)
    schedule(scene, close=25)
    assert [e["status"] for e in at(scene, 25)] == [MarketStatus.CLOSED]
    schedule(scene, pre_open=50)
    assert schedule(scene)["pre_open_ns"] == 0
    assert at(scene, 100) == []


def test_a_status_by_hand_voids_the_schedule_and_rules_do_not() -> None:
    scene = Scene()
    schedule(scene, auction=10, close=30)
    scene.do(scene.desk.market(tick=2, price_min=2) | {"kind": int(CommandKind.MARKET_SET), "market": 0})
    assert [e["status"] for e in at(scene, 10)] == [MarketStatus.AUCTION]
    void, market = scene.do(scene.desk.market_set(0, MarketStatus.HALT))
    assert (void["kind"], market["kind"]) == (EventKind.SCHEDULE, EventKind.MARKET)
    assert [void[name] for name in SCHEDULE_NAMES] == [0, 0, 0, 0]
    assert kinds(scene.do(scene.desk.market_set(0, MarketStatus.TRADING))) == [EventKind.MARKET]  # none to end
    assert at(scene, 100) == []
    schedule(scene, auction=200)
    events = scene.do(scene.desk.market_kill(0))
    assert kinds(events) == [EventKind.SCHEDULE, EventKind.MARKET, EventKind.DONE]
    assert at(scene, 200) == [] and status(scene) == MarketStatus.HALT


def test_the_circuit_breaker_and_a_schedule() -> None:
    """What comes within a pause ends it."""
    scene = Scene()
    filters = {"breaker_band": 1_000, "breaker_window_seconds": 60, "breaker_pause_seconds": 100}
    scene.do(scene.desk.filters(0, reference_price=100, **filters))
    schedule(scene, auction=10 * SECOND, open=20 * SECOND, close=30 * SECOND)
    scene.rest(ALICE, BUY, 80, 1)
    events = scene.place(BOB, SELL, 80, 1)  # 20 % below: the market halts for 100 s
    assert status(scene) == MarketStatus.HALT and not trades(events)
    assert [e["status"] for e in at(scene, 10 * SECOND) if e["kind"] == EventKind.MARKET] == [MarketStatus.AUCTION]
    assert trades(at(scene, 20 * SECOND)) == [(1, 80, 1)]  # an uncross is not compared
    assert status(scene) == MarketStatus.TRADING
    assert len(at(scene, 30 * SECOND)) == 1
    assert at(scene, 200 * SECOND) == []  # nothing opens it again


def test_a_close_within_a_pause_ends_the_pause() -> None:
    scene = Scene()
    filters = {"breaker_band": 1_000, "breaker_window_seconds": 60, "breaker_pause_seconds": 100}
    scene.do(scene.desk.filters(0, reference_price=100, **filters))
    schedule(scene, close=5 * SECOND, pre_open=6 * SECOND)
    scene.rest(ALICE, BUY, 80, 1)
    scene.place(BOB, SELL, 80, 1)
    assert [e["status"] for e in at(scene, 5 * SECOND)] == [MarketStatus.CLOSED]
    assert [e["status"] for e in at(scene, 6 * SECOND)] == [MarketStatus.PRE_OPEN]
    assert at(scene, 200 * SECOND) == []


def test_a_snapshot_has_the_schedule(tmp_path: Path) -> None:
    scene = Scene()
    schedule(scene, auction=100, open=200)
    loaded = Matcher(state=load_snapshot(write_snapshot(scene.matcher.state, tmp_path), scene.matcher.state.limits))
    assert loaded.state_hash() == scene.matcher.state_hash()
    scene.matcher = loaded
    assert [e["status"] for e in at(scene, 200)] == [MarketStatus.AUCTION, MarketStatus.TRADING]
    assert all(e["command_kind"] == CommandKind.TIMER for e in at(scene, 300) if "command_kind" in e)
