"""Mass cancels worked out by hand: whose orders go, in which order, and what a crash in the middle of one leaves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from reference.desk import ALICE, BOB, BTC, BUY, CAROL, SELL, USDT
from reference.records import Fields, event_fields, records_of
from scene import LIMITS, RICH, Scene, kinds

from ringex.config import Durability
from ringex.engine import Matcher
from ringex.engine.matcher import is_continuation_pending
from ringex.engine.replay import recover_state
from ringex.engine.snapshot import load_snapshot, write_snapshot
from ringex.journal import JournalWriter
from ringex.messages import COUNTDOWN_NS_MAX, EVENTS_PER_COMMAND_MAX
from ringex.reasons import Reason
from ringex.terms import AccountStatus, CommandFlag, CommandKind, EventKind, MarketStatus, OrderStatus

STAYS = {"gateway": 1, "incarnation": 1, "connection": 5}
"""A session, and one that is canceled on disconnect."""
GOES = STAYS | {"flag_bits": CommandFlag.CANCEL_ON_DISCONNECT}


@pytest.fixture
def scene() -> Scene:
    return Scene(orders_per_account_max=5_000)


def canceled(events: list[Fields]) -> list[tuple[int, Reason]]:
    return [(e["order_id"], Reason(e["reason"])) for e in events if e["kind"] == EventKind.CANCELED]


def test_cancel_all_of_a_session_leaves_the_others(scene: Scene) -> None:
    mine = scene.rest(ALICE, BUY, 10, 1, **STAYS)
    for other in ({"gateway": 2}, {"incarnation": 2}, {"connection": 6}):
        scene.rest(ALICE, BUY, 10, 1, **STAYS | other)
    scene.rest(BOB, BUY, 10, 1, **STAYS)
    also_mine = scene.rest(ALICE, SELL, 20, 1, **STAYS)
    scene.do(scene.desk.amend(ALICE, mine, quantity=2, connection=9))  # an amend does not move it to another session
    events = scene.do(scene.desk.cancel_all(ALICE, -1, **STAYS | {"flag_bits": CommandFlag.OF_SESSION}))
    assert canceled(events) == [(mine, Reason.CANCELED_WITH_ALL), (also_mine, Reason.CANCELED_WITH_ALL)]
    assert (events[-1]["kind"], events[-1]["count"]) == (EventKind.DONE, 2)
    assert len(scene.queue()) == 4
    again = scene.desk.cancel_all(ALICE, -1, **STAYS | {"flag_bits": CommandFlag.OF_SESSION})
    assert scene.refused(again) == Reason.UNKNOWN_ORDER


def test_a_closed_session_loses_what_asked_for_it(scene: Scene) -> None:
    scene.rest(ALICE, BUY, 10, 1, **STAYS)
    resting = scene.rest(ALICE, BUY, 11, 3, **GOES, client_order_id="r")
    stop = scene.one(scene.desk.stop(ALICE, SELL, 5, 1, **GOES))["order_id"]
    scene.rest(ALICE, BUY, 9, 1, **GOES | {"connection": 6})
    scene.rest(BOB, BUY, 9, 1, **GOES)
    scene.place(BOB, SELL, 11, 1)  # fills a part of the resting one
    locked = scene.balance(ALICE, USDT)[1]
    events = scene.do(scene.desk.session_closed(ALICE, **STAYS))
    assert canceled(events) == [(resting, Reason.DISCONNECTED), (stop, Reason.DISCONNECTED)]
    first, done = events[0], events[-1]
    assert (first["status"], first["client_order_id"], first["original_client_order_id"]) == (
        OrderStatus.CANCELED,
        "",
        "r",
    )
    assert (done["kind"], done["command_kind"], done["account"]) == (EventKind.DONE, CommandKind.SESSION_CLOSED, ALICE)
    assert locked - scene.balance(ALICE, USDT)[1] == 11 * 2 * 10_000
    assert [row[2] for row in scene.queue()] == [10, 9, 9]
    nothing = scene.one(scene.desk.session_closed(ALICE, **STAYS))
    assert (nothing["kind"], nothing["count"]) == (EventKind.DONE, 0)
    assert scene.refused(scene.desk.session_closed(0)) == Reason.UNKNOWN_ACCOUNT
    assert scene.refused(scene.desk.session_closed(9)) == Reason.UNKNOWN_ACCOUNT


def test_a_new_order_of_a_cancel_replace_is_of_its_session(scene: Scene) -> None:
    first = scene.rest(ALICE, BUY, 10, 1, **GOES | {"connection": 1})
    scene.do(scene.desk.cancel_leg(ALICE, first, **STAYS), scene.desk.place(ALICE, BUY, 11, 1, **GOES))
    assert canceled(scene.do(scene.desk.session_closed(ALICE, **STAYS | {"connection": 1}))) == []
    assert len(canceled(scene.do(scene.desk.session_closed(ALICE, **STAYS)))) == 1


def test_a_dead_gateway_takes_its_sessions_along_whoever_they_are(scene: Scene) -> None:
    lost = [scene.rest(BOB, SELL, 30, 1, **GOES), scene.rest(ALICE, BUY, 10, 1, **GOES | {"connection": 8})]
    early = scene.rest(ALICE, BUY, 9, 1, **GOES | {"incarnation": 0})  # of a life that nobody has told of
    scene.rest(ALICE, BUY, 10, 1, **STAYS)
    scene.rest(ALICE, BUY, 10, 1, **GOES | {"gateway": 2})
    scene.rest(ALICE, BUY, 10, 1, **GOES | {"incarnation": 2})
    events = scene.do(scene.desk.session_lost(gateway=1, incarnation=1))
    assert canceled(events) == [(order, Reason.DISCONNECTED) for order in (*lost, early)]
    assert (events[-1]["kind"], events[-1]["count"], events[-1]["gateway"]) == (EventKind.DONE, 3, 1)
    assert len(scene.queue()) == 3


def test_a_killed_account_trades_no_more_and_has_no_orders(scene: Scene) -> None:
    scene.do(scene.desk.account_set(ALICE, trade_group=4))
    orders = [scene.rest(ALICE, BUY, 10, 1), scene.rest(ALICE, SELL, 20, 1)]
    orders.append(scene.one(scene.desk.stop(ALICE, SELL, 5, 1))["order_id"])
    scene.rest(BOB, BUY, 10, 1)
    events = scene.do(scene.desk.account_kill(ALICE))
    assert kinds(events) == [EventKind.ACCOUNT, *[EventKind.CANCELED] * 3, EventKind.DONE]
    assert (events[0]["status"], events[0]["trade_group"]) == (AccountStatus.BLOCKED, 4)
    assert canceled(events) == [(order, Reason.CANCELED_BY_OPERATOR) for order in orders]
    assert scene.balance(ALICE, BTC) == scene.balance(ALICE, USDT) == (RICH, 0)
    assert scene.refused(scene.desk.place(ALICE, BUY, 10, 1)) == Reason.ACCOUNT_BLOCKED
    assert kinds(scene.do(scene.desk.account_kill(ALICE))) == [EventKind.ACCOUNT, EventKind.DONE]
    assert scene.refused(scene.desk.account_kill(0)) == Reason.UNKNOWN_ACCOUNT


def test_a_killed_market_is_halted_and_empty(scene: Scene) -> None:
    low_bid, high_bid = scene.rest(ALICE, BUY, 10, 1), scene.rest(BOB, BUY, 12, 1)
    high_ask, low_ask = scene.rest(ALICE, SELL, 22, 1), scene.rest(CAROL, SELL, 20, 1)
    later_bid = scene.rest(CAROL, BUY, 12, 1)
    rising = scene.one(scene.desk.stop(BOB, BUY, 40, 1))["order_id"]
    falling = scene.one(scene.desk.stop(BOB, SELL, 5, 1))["order_id"]
    higher_falling = scene.one(scene.desk.stop(BOB, SELL, 6, 1))["order_id"]
    events = scene.do(scene.desk.market_kill())
    order = [
        low_bid,
        high_ask,
        high_bid,
        rising,
        falling,
        higher_falling,
        low_ask,
        later_bid,
    ]  # alice's, bob's, carol's
    assert canceled(events) == [(each, Reason.CANCELED_BY_OPERATOR) for each in order]
    assert (events[0]["kind"], events[0]["status"]) == (EventKind.MARKET, MarketStatus.HALT)
    assert (events[-1]["count"], events[-1]["market"], events[-1]["account"]) == (8, 0, 0)
    assert scene.queue() == []
    assert scene.refused(scene.desk.place(ALICE, BUY, 10, 1)) == Reason.MARKET_CLOSED
    assert scene.refused(scene.desk.market_kill(7)) == Reason.INVALID_SYMBOL


def test_a_killed_market_that_is_closed_stays_closed_and_one_before_its_opening_is_halted(scene: Scene) -> None:
    order = scene.rest(ALICE, BUY, 10, 1)
    scene.do(scene.desk.market_set(0, MarketStatus.CLOSED))
    events = scene.do(scene.desk.market_kill())
    assert events[0]["status"] == MarketStatus.CLOSED and canceled(events) == [(order, Reason.CANCELED_BY_OPERATOR)]
    scene.do(scene.desk.market_set(0, MarketStatus.PRE_OPEN))
    scene.do(scene.desk.market_set(0, MarketStatus.AUCTION))
    scene.place(ALICE, BUY, 12, 1)
    scene.place(BOB, SELL, 11, 1)  # crosses, and waits for the uncross
    events = scene.do(scene.desk.market_kill())
    assert kinds(events) == [EventKind.MARKET, EventKind.CANCELED, EventKind.CANCELED, EventKind.DONE]
    assert events[0]["status"] == MarketStatus.HALT


def test_no_breaker_lets_a_killed_market_go_on(scene: Scene) -> None:
    breaker = {"breaker_band": 1_000, "breaker_window_seconds": 60, "breaker_pause_seconds": 30}
    scene.do(scene.desk.filters(**breaker, reference_price=100))
    scene.rest(ALICE, SELL, 150, 1)
    stopped = scene.place(BOB, BUY, 150, 1)  # too far from 100: the market is to go on in 30 s
    assert MarketStatus.HALT in [e["status"] for e in stopped if e["kind"] == EventKind.MARKET]
    assert scene.matcher.state.root["timer_next_ns"] > 0
    scene.do(scene.desk.market_kill())
    assert advance(scene, START + 60 * 10**9) == []
    assert scene.refused(scene.desk.place(ALICE, BUY, 10, 1)) == Reason.MARKET_CLOSED


COUNT = 2 * EVENTS_PER_COMMAND_MAX
"""Orders enough for three steps."""
FIRST_STEP = {
    "cancel all": EVENTS_PER_COMMAND_MAX - 4,
    "session": EVENTS_PER_COMMAND_MAX - 4,
    "closed": EVENTS_PER_COMMAND_MAX - 4,
    "lost": EVENTS_PER_COMMAND_MAX - 4,
    "account": EVENTS_PER_COMMAND_MAX - 5,
    "market": EVENTS_PER_COMMAND_MAX - 5,
}
"""How many orders each cancels in its first step."""


@pytest.mark.parametrize("how", FIRST_STEP)
def test_a_crash_in_the_middle_of_a_mass_cancel_leaves_nothing_undone(how: str, tmp_path: Path) -> None:
    """The journal ends after the first step, or the second; a snapshot lies before the command, or in the middle."""
    scene = Scene(orders_per_account_max=5_000)
    desk = scene.desk
    scene.do_all(records_of([desk.place(BOB, SELL, 100 + i % 9, 1, **GOES) for i in range(COUNT)]))
    scene.rest(ALICE, BUY, 50, 1)  # stays, but in a killed market
    start = int(scene.matcher.state.root["command_sequence"])
    write_snapshot(scene.matcher.state, tmp_path / "snapshots")
    commands: dict[str, Fields] = {
        "cancel all": desk.cancel_all(BOB, -1),
        "session": desk.cancel_all(BOB, 0, **STAYS | {"flag_bits": CommandFlag.OF_SESSION}),
        "closed": desk.session_closed(BOB, **STAYS),
        "lost": desk.session_lost(1, 1),
        "account": desk.account_kill(BOB),
        "market": desk.market_kill(),
    }
    records = records_of([commands[how], desk.go_on(), desk.go_on()]).copy()
    records["sequence"] = range(start + 1, start + 4)
    whole = Matcher(state=load_snapshot(tmp_path / "snapshots" / f"{start:020d}.snap", LIMITS))
    assert whole.replay(records) == COUNT + 1 + (how in ("account", "market")) * (1 + (how == "market"))
    assert not is_continuation_pending(whole.state.address)
    assert len(whole.orders(0)) == (0 if how == "market" else 1)
    for steps in (1, 2):
        with JournalWriter(tmp_path / f"journal{steps}", next_sequence=start + 1, durability=Durability.OS) as writer:
            writer.append(records[:steps])
        state, _ = recover_state(tmp_path / "snapshots", tmp_path / f"journal{steps}", LIMITS)
        assert is_continuation_pending(state.address)
        left = COUNT + 1 - FIRST_STEP[how] - (steps - 1) * (EVENTS_PER_COMMAND_MAX - 4)
        assert state.pools["order_pool"].used == left
        middle = load_snapshot(write_snapshot(state, tmp_path / f"middle{steps}"), LIMITS)
        for half in (Matcher(state=state), Matcher(state=middle)):
            half.replay(records[steps:])
            assert half.state_hash() == whole.state_hash()


def test_a_mass_cancel_of_a_whole_step_is_done_by_the_next(scene: Scene) -> None:
    """Exactly as many orders as a step can take: DONE does not fit any more, or just does."""
    for count, last_step in ((EVENTS_PER_COMMAND_MAX - 4, EVENTS_PER_COMMAND_MAX - 4), (EVENTS_PER_COMMAND_MAX - 3, 1)):
        scene.do_all(records_of([scene.desk.place(BOB, SELL, 100, 1, **GOES) for _ in range(count)]))
        events = scene.do(scene.desk.session_lost(1, 1))
        assert (len(events), events[-1]["count"]) == (count + 1, last_step)


def test_sessions_survive_a_snapshot(scene: Scene, tmp_path: Path) -> None:
    wanted: dict[str, Any] = GOES | {"gateway": 65_535, "incarnation": (1 << 32) - 1, "connection": (1 << 32) - 1}
    order = scene.rest(ALICE, BUY, 10, 1, **wanted)
    scene.rest(ALICE, BUY, 11, 1, **STAYS)
    loaded = Matcher(state=load_snapshot(write_snapshot(scene.matcher.state, tmp_path), LIMITS))
    events = loaded.submit(records_of([scene.desk.session_lost(65_535, (1 << 32) - 1)]))
    assert events["order_id"].tolist() == [order, 0]
    assert loaded.submit(records_of([scene.desk.session_lost(1, 1)]))["kind"].tolist() == [EventKind.DONE]


# Countdowns.


START = 1_000_000_000  # the desk's time


def advance(scene: Scene, time_ns: int) -> list[Fields]:
    scene.desk.time_ns = time_ns
    events = [event_fields(event) for event in scene.matcher.advance(time_ns)]
    scene.check()
    return events


def test_a_countdown_that_is_not_set_anew_cancels_everything(scene: Scene) -> None:
    order, foreign = scene.rest(ALICE, BUY, 10, 1), scene.rest(BOB, BUY, 10, 1)
    stop = scene.one(scene.desk.stop(ALICE, SELL, 5, 1))["order_id"]
    told = scene.one(scene.desk.countdown(ALICE, 100))
    assert (told["kind"], told["market"], told["due_ns"]) == (EventKind.COUNTDOWN, -1, START + 100)
    assert advance(scene, START + 99) == []
    assert scene.one(scene.desk.countdown(ALICE, 100))["due_ns"] == START + 199
    assert advance(scene, START + 198) == []
    events = advance(scene, START + 199)
    assert canceled(events) == [(order, Reason.COUNTDOWN_OVER), (stop, Reason.COUNTDOWN_OVER)]
    assert {e["command_kind"] for e in events} == {CommandKind.TIMER} and events[-1]["account"] == ALICE
    assert [row[0] for row in scene.queue()] == [foreign]
    scene.rest(ALICE, BUY, 10, 1)
    assert advance(scene, START + 10**9) == []  # it has ended


def test_countdowns_of_markets_and_accounts_do_not_know_of_each_other(scene: Scene) -> None:
    scene.do(scene.desk.market("OTHER"))
    here = scene.rest(ALICE, BUY, 10, 1)
    there = scene.rest(ALICE, BUY, 10, 1, market=1)
    for command in (scene.desk.countdown(ALICE, 50, 1), scene.desk.countdown(ALICE, 70), scene.desk.countdown(BOB, 40)):
        scene.one(command)
    assert scene.one(scene.desk.countdown(BOB, 0))["due_ns"] == 0
    assert canceled(advance(scene, START + 50)) == [(there, Reason.COUNTDOWN_OVER)]
    events = advance(scene, START + 70)
    assert canceled(events) == [(here, Reason.COUNTDOWN_OVER)] and events[-1]["market"] == -1


def test_the_countdown_comes_before_a_command_of_its_time(scene: Scene) -> None:
    scene.rest(BOB, SELL, 10, 1)
    scene.one(scene.desk.countdown(BOB, 5))
    scene.desk.time_ns += 5
    events = scene.place(ALICE, BUY, 10, 1)
    assert kinds(events) == [EventKind.CANCELED, EventKind.DONE, EventKind.ACCEPTED]


def test_countdowns_that_may_not_be(scene: Scene) -> None:
    desk = scene.desk
    assert scene.refused(desk.countdown(0, 5)) == Reason.UNKNOWN_ACCOUNT
    assert scene.refused(desk.countdown(ALICE, 5, expires_ns=1)) == Reason.REQUEST_EXPIRED
    assert scene.refused(desk.countdown(ALICE, 5, 3)) == Reason.INVALID_SYMBOL
    assert scene.refused(desk.countdown(ALICE, -1)) == Reason.INVALID_COUNTDOWN
    assert scene.refused(desk.countdown(ALICE, COUNTDOWN_NS_MAX + 1)) == Reason.INVALID_COUNTDOWN
    assert scene.one(desk.countdown(ALICE, COUNTDOWN_NS_MAX))["kind"] == EventKind.COUNTDOWN


def test_there_are_as_many_countdowns_as_there_may_be_accounts() -> None:
    scene = Scene(replace(LIMITS, accounts_max=4))
    desk = scene.desk
    for account in (ALICE, BOB, CAROL):
        scene.one(desk.countdown(account, 5))
    scene.one(desk.countdown(ALICE, 5, 0))
    assert scene.refused(desk.countdown(BOB, 5, 0)) == Reason.ENGINE_FULL
    assert scene.one(desk.countdown(BOB, 0, 0))["due_ns"] == 0  # to end none is no error
    scene.one(desk.countdown(ALICE, 9))  # one that is there may be set anew
    scene.one(desk.countdown(CAROL, 0))
    assert scene.one(desk.countdown(BOB, 5, 0))["kind"] == EventKind.COUNTDOWN


def test_a_countdown_survives_a_crash_in_its_middle(tmp_path: Path) -> None:
    scene = Scene(orders_per_account_max=5_000)
    scene.do_all(records_of([scene.desk.place(BOB, SELL, 100 + i % 9, 1) for i in range(COUNT)]))
    scene.one(scene.desk.countdown(BOB, 10))
    start = int(scene.matcher.state.root["command_sequence"])
    write_snapshot(scene.matcher.state, tmp_path)
    records = records_of([scene.desk.command(kind) for kind in (CommandKind.TIMER, *[CommandKind.CONTINUE] * 2)]).copy()
    records["sequence"], records["time_ns"] = range(start + 1, start + 4), START + 10
    whole, half = (Matcher(state=load_snapshot(tmp_path / f"{start:020d}.snap", LIMITS)) for _ in range(2))
    assert whole.replay(records) == COUNT + 1 and len(whole.orders(0)) == 0
    half.replay(records[:2])
    again = Matcher(state=load_snapshot(write_snapshot(half.state, tmp_path), LIMITS))
    again.replay(records[2:])
    assert again.state_hash() == whole.state_hash()
