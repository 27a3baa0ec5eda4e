"""Hand-worked scenarios of sub-accounts, transfers and held withdrawals, on the reference and on the engine."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from reference.desk import ALICE, BOB, BTC, BUY, CAROL, SELL, USDT
from reference.records import Fields
from reference.scene import RICH, STEP
from reference.scene import Scene as ReferenceScene
from scene import LIMITS
from scene import Scene as EngineScene

from ringex.reasons import Reason
from ringex.terms import AccountStatus, CommandKind, EventKind

Scene = Any
FEE_ACCOUNT = 0
CHILD, OTHER_CHILD, STRANGER = 4, 5, 6


@pytest.fixture(params=[ReferenceScene, EngineScene], ids=["reference", "engine"])
def scene(request: pytest.FixtureRequest) -> Scene:
    """Alice has two sub-accounts, bob one."""
    scene = request.param(limits=replace(LIMITS, accounts_max=16))
    for name, parent in (("alice-1", ALICE), ("alice-2", ALICE), ("bob-1", BOB)):
        scene.do(scene.desk.account(name, parent))
    return scene


def refused(scene: Scene, command: Fields) -> Reason:
    event = scene.one(command)
    assert event["kind"] == EventKind.REJECTED
    return Reason(event["reason"])


def is_repeated(scene: Scene, command: Fields) -> bool:
    return bool(scene.one(command)["kind"] == EventKind.DUPLICATE)


# ---- sub-accounts -------------------------------------------------------------------------------------------------


def test_a_sub_account_has_a_parent_and_no_children(scene: Scene) -> None:
    desk = scene.desk
    event = scene.one(desk.account("carol-1", CAROL))
    assert (event["account"], event["parent"], event["name"]) == (7, CAROL, "carol-1")
    assert refused(scene, desk.account("grandchild", CHILD)) == Reason.INVALID_PARENT
    assert refused(scene, desk.account("orphan", 8)) == Reason.UNKNOWN_ACCOUNT
    assert refused(scene, desk.account("orphan", -1)) == Reason.UNKNOWN_ACCOUNT
    assert refused(scene, desk.account("carol-1", 8)) == Reason.ALREADY_EXISTS  # looked at first
    assert scene.one(desk.account_set(7, trade_group=3))["parent"] == CAROL


def test_a_sub_account_trades_with_its_own_money(scene: Scene) -> None:
    scene.do(scene.desk.transfer(ALICE, CHILD, USDT, 100 * STEP))
    events = scene.place(CHILD, BUY, 100, 1)
    assert events[0]["kind"] == EventKind.ACCEPTED
    assert scene.balance(CHILD, USDT) == (0, 100 * STEP)
    assert scene.balance(ALICE, USDT) == (RICH - 100 * STEP, 0)


# ---- transfers ----------------------------------------------------------------------------------------------------


def test_a_transfer_tells_both_sides(scene: Scene) -> None:
    given, taken = scene.do(scene.desk.transfer(ALICE, CHILD, BTC, 70, "t1", by=ALICE))
    assert (given["account"], given["amount"], given["free"], given["counterparty"]) == (ALICE, -70, RICH - 70, CHILD)
    assert (taken["account"], taken["amount"], taken["free"], taken["counterparty"]) == (CHILD, 70, 70, ALICE)
    for event in (given, taken):
        assert (event["kind"], event["command_kind"]) == (EventKind.BALANCE, CommandKind.TRANSFER)
        assert (event["market"], event["reference"], event["held"]) == (BTC, "t1", 0)
    assert [event["flag_bits"] for event in (given, taken)] == [0, 1]


def test_a_reference_is_booked_once(scene: Scene) -> None:
    desk = scene.desk
    scene.do(desk.transfer(ALICE, CHILD, BTC, 70, "t1", by=ALICE))
    assert is_repeated(scene, desk.transfer(CHILD, ALICE, USDT, 1, "t1", by=ALICE))  # the rest is not compared
    assert scene.balance(CHILD, BTC) == (70, 0)
    assert len(scene.do(desk.transfer(ALICE, CHILD, BTC, 70, "t1"))) == 2  # the operator's reference is another
    scene.do(desk.deposit(ALICE, BTC, 1, "t1"))  # so is a deposit's
    assert scene.balance(ALICE, BTC) == (RICH - 139, 0)


def test_a_refused_transfer_can_be_sent_again(scene: Scene) -> None:
    desk = scene.desk
    assert refused(scene, desk.transfer(CHILD, ALICE, BTC, 1, "t1", by=ALICE)) == Reason.INSUFFICIENT_BALANCE
    scene.do(desk.deposit(CHILD, BTC, 1))
    assert len(scene.do(desk.transfer(CHILD, ALICE, BTC, 1, "t1", by=ALICE))) == 2


def test_what_open_orders_hold_is_not_transferred(scene: Scene) -> None:
    desk = scene.desk
    scene.place(ALICE, BUY, 100, 1)
    assert refused(scene, desk.transfer(ALICE, CHILD, USDT, RICH)) == Reason.INSUFFICIENT_BALANCE
    assert len(scene.do(desk.transfer(ALICE, CHILD, USDT, RICH - 100 * STEP))) == 2
    assert scene.balance(ALICE, USDT) == (0, 100 * STEP)


def test_who_may_transfer_between_whom(scene: Scene) -> None:
    desk = scene.desk
    for account in (ALICE, CHILD, OTHER_CHILD, STRANGER):
        scene.do(desk.deposit(account, BTC, 100))
    allowed = [(ALICE, CHILD), (CHILD, ALICE), (CHILD, OTHER_CHILD)]
    for giver, taker in allowed:
        assert len(scene.do(desk.transfer(giver, taker, BTC, 1, by=ALICE))) == 2
        assert refused(scene, desk.transfer(giver, taker, BTC, 1, by=CHILD)) == Reason.TRANSFER_NOT_ALLOWED
        assert refused(scene, desk.transfer(giver, taker, BTC, 1, by=BOB)) == Reason.TRANSFER_NOT_ALLOWED
    for giver, taker in ((ALICE, BOB), (STRANGER, ALICE), (CHILD, STRANGER), (FEE_ACCOUNT, ALICE)):
        assert refused(scene, desk.transfer(giver, taker, BTC, 1, by=ALICE)) == Reason.TRANSFER_NOT_ALLOWED
    assert len(scene.do(desk.transfer(ALICE, BOB, BTC, 1))) == 2  # the operator's


def test_the_operator_takes_fees_out(scene: Scene) -> None:
    desk = scene.desk
    scene.do(desk.fees(BOB, 0, 1_000_000))
    scene.place(ALICE, SELL, 100, 10)
    scene.place(BOB, BUY, 100, 10)
    assert scene.balance(FEE_ACCOUNT, BTC) == (100_000, 0)
    scene.do(desk.transfer(FEE_ACCOUNT, CAROL, BTC, 100_000))
    assert scene.balance(CAROL, BTC) == (RICH + 100_000, 0)


def test_blocked_accounts_do_not_ask_for_transfers(scene: Scene) -> None:
    desk = scene.desk
    scene.do(desk.account_set(CHILD, status=AccountStatus.BLOCKED))
    scene.do(desk.deposit(CHILD, BTC, 5))
    assert refused(scene, desk.transfer(CHILD, ALICE, BTC, 1, by=ALICE)) == Reason.ACCOUNT_BLOCKED
    assert len(scene.do(desk.transfer(ALICE, CHILD, BTC, 1, by=ALICE))) == 2
    assert len(scene.do(desk.transfer(CHILD, ALICE, BTC, 1))) == 2
    scene.do(desk.account_set(ALICE, status=AccountStatus.BLOCKED))
    assert refused(scene, desk.transfer(ALICE, CHILD, BTC, 1, by=ALICE)) == Reason.ACCOUNT_BLOCKED
    scene.do(desk.deposit(OTHER_CHILD, BTC, 1))
    assert refused(scene, desk.transfer(OTHER_CHILD, CHILD, BTC, 1, by=ALICE)) == Reason.ACCOUNT_BLOCKED


def test_a_transfer_expires_unless_it_is_booked(scene: Scene) -> None:
    desk = scene.desk
    desk.time_ns += 100
    late = {"by": ALICE, "expires_ns": desk.time_ns - 1}
    assert refused(scene, desk.transfer(ALICE, CHILD, BTC, 1, "t1", **late)) == Reason.REQUEST_EXPIRED
    in_time = {"by": ALICE, "expires_ns": desk.time_ns}
    assert len(scene.do(desk.transfer(ALICE, CHILD, BTC, 1, "t1", **in_time))) == 2
    assert is_repeated(scene, desk.transfer(ALICE, CHILD, BTC, 1, "t1", **late))


def test_what_a_transfer_may_not_be(scene: Scene) -> None:
    desk = scene.desk
    assert refused(scene, desk.transfer(ALICE, 9, BTC, 1)) == Reason.UNKNOWN_ACCOUNT
    assert refused(scene, desk.transfer(-1, ALICE, BTC, 1)) == Reason.UNKNOWN_ACCOUNT
    assert refused(scene, desk.transfer(ALICE, BOB, BTC, 1, by=9)) == Reason.UNKNOWN_ACCOUNT
    assert refused(scene, desk.transfer(ALICE, BOB, 7, 1)) == Reason.UNKNOWN_ASSET
    assert refused(scene, desk.transfer(ALICE, BOB, BTC, 0)) == Reason.AMOUNT_OUT_OF_RANGE
    assert refused(scene, desk.transfer(ALICE, ALICE, BTC, 1)) == Reason.INVALID_COMMAND
    assert refused(scene, desk.transfer(ALICE, BOB, BTC, 1) | {"reference": ""}) == Reason.INVALID_COMMAND


# ---- withdrawals that are held ------------------------------------------------------------------------------------


def test_a_held_withdrawal_is_completed(scene: Scene) -> None:
    desk = scene.desk
    held = scene.one(desk.hold(ALICE, BTC, 70, "w1"))
    assert (held["amount"], held["held"], held["free"], held["locked"]) == (0, 70, RICH - 70, 70)
    assert (held["command_kind"], held["reference"]) == (CommandKind.WITHDRAW_HOLD, "w1")
    gone = scene.one(desk.complete(ALICE, "w1"))
    assert (gone["amount"], gone["held"], gone["free"], gone["locked"]) == (-70, -70, RICH - 70, 0)
    assert is_repeated(scene, desk.complete(ALICE, "w1"))
    assert refused(scene, desk.release(ALICE, "w1")) == Reason.WITHDRAWAL_CLOSED
    assert is_repeated(scene, desk.hold(ALICE, BTC, 70, "w1"))
    assert scene.balance(ALICE, BTC) == (RICH - 70, 0)


def test_a_held_withdrawal_is_released(scene: Scene) -> None:
    desk = scene.desk
    scene.do(desk.hold(ALICE, BTC, 70, "w1"))
    free = scene.one(desk.release(ALICE, "w1"))
    assert (free["market"], free["amount"], free["held"], free["free"], free["locked"]) == (BTC, 0, -70, RICH, 0)
    assert is_repeated(scene, desk.release(ALICE, "w1"))
    assert refused(scene, desk.complete(ALICE, "w1")) == Reason.WITHDRAWAL_CLOSED


def test_what_is_held_is_neither_traded_nor_moved(scene: Scene) -> None:
    desk = scene.desk
    scene.do(desk.hold(ALICE, USDT, RICH - 100 * STEP, "w1"))
    assert refused(scene, desk.place(ALICE, BUY, 101, 1)) == Reason.INSUFFICIENT_BALANCE
    assert scene.place(ALICE, BUY, 100, 1)[0]["kind"] == EventKind.ACCEPTED
    assert scene.balance(ALICE, USDT) == (0, RICH)  # locked by both
    assert refused(scene, desk.withdraw(ALICE, USDT, 1)) == Reason.INSUFFICIENT_BALANCE
    assert refused(scene, desk.transfer(ALICE, CHILD, USDT, 1)) == Reason.INSUFFICIENT_BALANCE
    assert refused(scene, desk.hold(ALICE, USDT, 1, "w2")) == Reason.INSUFFICIENT_BALANCE
    scene.do(desk.cancel_all(ALICE))
    assert scene.balance(ALICE, USDT) == (100 * STEP, RICH - 100 * STEP)
    scene.do(desk.complete(ALICE, "w1"))
    assert scene.balance(ALICE, USDT) == (100 * STEP, 0)


def test_withdrawals_are_told_apart_by_account_and_reference(scene: Scene) -> None:
    desk = scene.desk
    scene.do(desk.hold(ALICE, BTC, 1, "w1"))
    scene.do(desk.hold(ALICE, BTC, 2, "w2"))
    scene.do(desk.hold(BOB, BTC, 4, "w1"))
    scene.do(desk.withdraw(ALICE, BTC, 8, "w1"))  # at once, under a reference of its own kind
    scene.do(desk.complete(ALICE, "w1"))
    assert scene.balance(ALICE, BTC) == (RICH - 11, 2)
    assert scene.balance(BOB, BTC) == (RICH - 4, 4)


def test_what_a_held_withdrawal_may_not_be(scene: Scene) -> None:
    desk = scene.desk
    assert refused(scene, desk.hold(9, BTC, 1, "w1")) == Reason.UNKNOWN_ACCOUNT
    assert refused(scene, desk.hold(ALICE, 9, 1, "w1")) == Reason.UNKNOWN_ASSET
    assert refused(scene, desk.hold(ALICE, BTC, 0, "w1")) == Reason.AMOUNT_OUT_OF_RANGE
    assert refused(scene, desk.hold(ALICE, BTC, 1, "")) == Reason.INVALID_COMMAND
    assert refused(scene, desk.hold(CHILD, BTC, 1, "w1")) == Reason.INSUFFICIENT_BALANCE
    assert refused(scene, desk.complete(9, "w1")) == Reason.UNKNOWN_ACCOUNT
    assert refused(scene, desk.complete(ALICE, "")) == Reason.INVALID_COMMAND
    assert refused(scene, desk.release(ALICE, "w1")) == Reason.UNKNOWN_WITHDRAWAL
    scene.do(desk.withdraw(ALICE, BTC, 1, "w1"))
    assert refused(scene, desk.release(ALICE, "w1")) == Reason.UNKNOWN_WITHDRAWAL  # it was never held


def test_blocked_accounts_can_withdraw(scene: Scene) -> None:
    desk = scene.desk
    scene.do(desk.account_set(ALICE, status=AccountStatus.BLOCKED))
    scene.do(desk.hold(ALICE, BTC, 1, "w1"))
    assert scene.one(desk.complete(ALICE, "w1"))["amount"] == -1
