"""Administrative methods of money: deposits, withdrawals at once or held first, transfers, balances."""

from __future__ import annotations

import secrets
from typing import Any, Final

from ringex.decimals import format_scaled
from ringex.gateways.adminarguments import account_of, asset_of, expect
from ringex.gateways.calls import Call, Submission
from ringex.gateways.errors import invalid
from ringex.gateways.methods import Method, Security
from ringex.gateways.money import balance_rows, transferred
from ringex.gateways.parameters import Kind, Parameter, decimal
from ringex.gateways.rows import Row
from ringex.history.catalogue import EVERY_MARKET, Asset
from ringex.messages import BALANCE_COMMAND, commands, words_of
from ringex.terms import CommandKind, EventKind


def deposit(call: Call) -> Submission:
    return _booking(call, CommandKind.DEPOSIT)


def withdraw(call: Call) -> Submission:
    return _booking(call, CommandKind.WITHDRAW)


def hold_withdrawal(call: Call) -> Submission:
    """What is to be withdrawn is locked until the withdrawal is completed or released, by the same reference."""
    return _booking(call, CommandKind.WITHDRAW_HOLD)


def complete_withdrawal(call: Call) -> Submission:
    return _close(call, CommandKind.WITHDRAW_COMPLETE)


def release_withdrawal(call: Call) -> Submission:
    return _close(call, CommandKind.WITHDRAW_RELEASE)


def transfer(call: Call) -> Submission:
    """Between any two accounts, the fee account included."""
    giver, taker = account_of(call, "fromAccount"), account_of(call, "toAccount")
    if giver == taker:
        raise invalid("toAccount", "It must be another account than fromAccount.")
    asset = asset_of(call, "asset")
    record = commands().view(BALANCE_COMMAND)
    record["kind"] = CommandKind.TRANSFER
    record["from_account"], record["to_account"] = giver, taker
    record["asset"] = asset.number
    record["amount"] = _amount(call, asset)
    reference = call.arguments.get("reference") or f"ringex-{secrets.token_hex(12)}"
    record["reference"] = words_of(reference)

    def reply(events: list[Row]) -> Any:
        return transferred(call, events, asset, reference, (giver, taker))

    return Submission(record, reply)


def balances(call: Call) -> dict[str, Any]:
    """One account's balances: by asset what is free, locked, and held for withdrawals (a part of what is locked)."""
    found = {}
    for balance in call.model.balances(account_of(call)):
        asset = call.model.assets[balance.asset]
        names = ("free", "locked", "withdrawing")
        found[asset.name] = {name: format_scaled(getattr(balance, name), asset.scale) for name in names}
    return found


def accounts(call: Call) -> dict[str, Any]:
    """All accounts by name, or the sub-accounts of one."""
    catalogue = call.model.catalogue
    listed = catalogue.sub_accounts_of(account_of(call, "parent")) if "parent" in call.arguments else catalogue.accounts
    found = {}
    for account in listed:
        told: dict[str, Any] = {"number": account.number, "status": account.status.name}
        if account.trade_group:
            told["tradeGroup"] = account.trade_group
        if account.parent:
            told["parent"] = catalogue.accounts[account.parent].name
        if EVERY_MARKET in catalogue.schedules_of(account.number):
            told["fees"] = "own"
        found[account.name] = told
    return found


def _booking(call: Call, kind: CommandKind) -> Submission:
    asset = asset_of(call, "asset")
    record = commands().view(BALANCE_COMMAND)
    record["kind"] = kind
    record["account"] = account_of(call)
    record["asset"] = asset.number
    record["amount"] = _amount(call, asset)
    reference = call.arguments.get("reference") or f"ringex-{secrets.token_hex(12)}"
    record["reference"] = words_of(reference)

    def reply(events: list[Row]) -> Any:
        if events[0]["kind"] == EventKind.DUPLICATE:
            return {"asset": asset.name, "reference": reference, "duplicate": True}
        event = expect(events, EventKind.BALANCE)
        told = {"asset": asset.name, **balance_rows(asset, event), "reference": reference}
        return told | {"duplicate": False}

    return Submission(record, reply)


def _close(call: Call, kind: CommandKind) -> Submission:
    record = commands().view(BALANCE_COMMAND)
    record["kind"] = kind
    record["account"] = account_of(call)
    record["reference"] = words_of(call.arguments["reference"])

    def reply(events: list[Row]) -> Any:
        if events[0]["kind"] == EventKind.DUPLICATE:
            return {"reference": call.arguments["reference"], "duplicate": True}
        event = expect(events, EventKind.BALANCE)
        asset = call.model.assets[event["market"]]
        told = {"asset": asset.name, "amount": format_scaled(-event["held"], asset.scale)}
        return told | balance_rows(asset, event) | {"duplicate": False}

    return Submission(record, reply)


def _amount(call: Call, asset: Asset) -> int:
    amount = decimal("amount", call.arguments["amount"], asset.scale)
    if amount == 0:
        raise invalid("amount", f"More than 0 is needed; the smallest amount is {format_scaled(1, asset.scale)}.")
    return amount


_ACCOUNT: Final = Parameter("account", Kind.TEXT, required=True)
_ASSET: Final = Parameter("asset", Kind.TEXT, required=True)
_AMOUNT: Final = Parameter("amount", Kind.DECIMAL, required=True)
_REFERENCE: Final = Parameter("reference", Kind.ORDER_CLIENT_ID)
_BOOKING_PARAMETERS: Final = (_ACCOUNT, _ASSET, _AMOUNT, _REFERENCE)
_CLOSE_PARAMETERS: Final = (_ACCOUNT, Parameter("reference", Kind.ORDER_CLIENT_ID, required=True))
_TRANSFER_PARAMETERS: Final = (
    *(Parameter(name, Kind.TEXT, required=True) for name in ("fromAccount", "toAccount")),
    *(_ASSET, _AMOUNT, _REFERENCE),
)

MONEY_METHODS: Final = (
    Method("admin.account.deposit", Security.NONE, _BOOKING_PARAMETERS, deposit),
    Method("admin.account.withdraw", Security.NONE, _BOOKING_PARAMETERS, withdraw),
    Method("admin.account.balances", Security.NONE, (_ACCOUNT,), balances, waits=True),
    Method("admin.account.list", Security.NONE, (Parameter("parent", Kind.TEXT),), accounts, waits=True),
    Method("admin.transfer", Security.NONE, _TRANSFER_PARAMETERS, transfer),
    Method("admin.withdrawal.hold", Security.NONE, _BOOKING_PARAMETERS, hold_withdrawal),
    Method("admin.withdrawal.complete", Security.NONE, _CLOSE_PARAMETERS, complete_withdrawal),
    Method("admin.withdrawal.release", Security.NONE, _CLOSE_PARAMETERS, release_withdrawal),
)
