"""Hand-worked scenarios of halted markets and blocked accounts: the reference exchange alone."""

from __future__ import annotations

import pytest
from reference.desk import ALICE, BOB, BTC, BUY, SELL, USDT
from reference.scene import Scene, kinds

from ringex.reasons import Reason
from ringex.terms import AccountStatus, CommandFlag, EventKind, MarketStatus


@pytest.fixture
def scene() -> Scene:
    """Two orders of alice's rest."""
    scene = Scene()
    scene.place(ALICE, BUY, 100, 5)
    scene.place(ALICE, BUY, 101, 5)
    return scene


def shut(scene: Scene, how: str) -> Reason:
    if how == "halt":
        scene.do(scene.desk.market_set(0, MarketStatus.HALT))
        return Reason.MARKET_CLOSED
    scene.do(scene.desk.account_set(ALICE, status=AccountStatus.BLOCKED))
    return Reason.ACCOUNT_BLOCKED


@pytest.mark.parametrize("how", ["halt", "block"])
def test_nothing_but_cancels(scene: Scene, how: str) -> None:
    reason = shut(scene, how)
    assert scene.place(ALICE, 9, 100, 5)[0]["reason"] == reason  # before any check of its own
    assert scene.one(scene.desk.amend(ALICE, 77, quantity=1))["reason"] == reason
    assert scene.one(scene.desk.cancel(ALICE, 1))["kind"] == EventKind.CANCELED
    canceled, refused = scene.do(scene.desk.cancel_leg(ALICE, 2), scene.desk.place(ALICE, BUY, 101, 5))
    assert (canceled["kind"], refused["reason"]) == (EventKind.CANCELED, reason)
    assert scene.one(scene.desk.cancel_all(ALICE))["reason"] == Reason.UNKNOWN_ORDER
    leg = scene.desk.cancel_leg(ALICE, 2, flag_bits=CommandFlag.ALLOW_FAILURE)
    events = scene.do(leg, scene.desk.place(ALICE, BUY, 101, 5))
    assert [event["reason"] for event in events] == [Reason.UNKNOWN_ORDER, reason]


def test_the_kill_switch(scene: Scene) -> None:
    shut(scene, "block")
    events = scene.do(scene.desk.cancel_all(ALICE, -1))
    assert kinds(events) == [EventKind.CANCELED, EventKind.CANCELED, EventKind.DONE]
    assert scene.place(BOB, BUY, 100, 5)[0]["kind"] == EventKind.ACCEPTED
    scene.do(scene.desk.account_set(ALICE))
    assert scene.place(ALICE, BUY, 100, 5)[0]["kind"] == EventKind.ACCEPTED


def test_a_blocked_accounts_orders_trade_and_its_money_moves(scene: Scene) -> None:
    shut(scene, "block")
    assert kinds(scene.place(BOB, SELL, 101, 5)) == [EventKind.ACCEPTED, EventKind.TRADE]
    assert scene.one(scene.desk.deposit(ALICE, USDT, 5))["kind"] == EventKind.BALANCE


def test_a_halt_is_of_one_market(scene: Scene) -> None:
    scene.do(scene.desk.market("OTHER"))
    shut(scene, "halt")
    assert scene.place(ALICE, BUY, 100, 5, market=1)[0]["kind"] == EventKind.ACCEPTED
    scene.do(scene.desk.market_set(0, MarketStatus.TRADING))
    assert scene.place(ALICE, BUY, 100, 5)[0]["kind"] == EventKind.ACCEPTED


def test_both_are_blocked_first(scene: Scene) -> None:
    shut(scene, "halt")
    shut(scene, "block")
    assert scene.place(ALICE, BUY, 100, 5)[0]["reason"] == Reason.ACCOUNT_BLOCKED


def test_the_refusal_of_a_remembered_request_is_remembered(scene: Scene) -> None:
    shut(scene, "halt")
    key = {"client_order_id": "once", "timestamp_us": 7, "expires_ns": scene.desk.time_ns + 10}
    scene.place(ALICE, BUY, 100, 5, **key)
    scene.do(scene.desk.market_set(0, MarketStatus.TRADING))
    (again,) = scene.place(ALICE, BUY, 100, 5, **key)
    assert (again["kind"], again["reason"]) == (EventKind.DUPLICATE, Reason.MARKET_CLOSED)


def test_what_the_events_say(scene: Scene) -> None:
    account = scene.one(scene.desk.account_set(BOB, trade_group=3, status=AccountStatus.BLOCKED))
    assert (account["kind"], account["account"], account["name"]) == (EventKind.ACCOUNT, BOB, "bob")
    assert (account["trade_group"], account["status"]) == (3, AccountStatus.BLOCKED)
    halted = scene.one(scene.desk.market_set(0, MarketStatus.HALT))
    assert (halted["kind"], halted["market"], halted["symbol"]) == (EventKind.MARKET, 0, "BTCUSDT")
    assert (halted["status"], halted["base_asset"], halted["price_max"]) == (MarketStatus.HALT, BTC, 1_000_000)
    assert scene.one(scene.desk.account("dave"))["status"] == AccountStatus.ACTIVE
    added = scene.one(scene.desk.market("OTHER", status=MarketStatus.HALT))
    assert added["status"] == MarketStatus.HALT
    assert scene.one(scene.desk.market("MORE"))["status"] == MarketStatus.TRADING


def test_refusals_of_settings(scene: Scene) -> None:
    desk = scene.desk
    for command, reason in (
        (desk.account_set(0), Reason.UNKNOWN_ACCOUNT),
        (desk.account_set(4), Reason.UNKNOWN_ACCOUNT),
        (desk.account_set(ALICE, status=0), Reason.INVALID_COMMAND),
        (desk.account_set(ALICE, status=3), Reason.INVALID_COMMAND),
        (desk.account_set(ALICE, trade_group=-1), Reason.INVALID_COMMAND),
        (desk.market_set(1, MarketStatus.HALT), Reason.INVALID_SYMBOL),
        (desk.market_set(0, 0), Reason.INVALID_COMMAND),
        (desk.market_set(0, 6), Reason.INVALID_COMMAND),
        (desk.market("MORE", status=6), Reason.INVALID_MARKET),
    ):
        refused = scene.one(command)
        assert (refused["kind"], Reason(refused["reason"])) == (EventKind.REJECTED, reason)
