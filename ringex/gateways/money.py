"""An account's own money: what it holds, its sub-accounts, and transfers among them."""

from __future__ import annotations

from typing import Any, Final

from ringex.decimals import format_scaled
from ringex.gateways.calls import Call, Submission
from ringex.gateways.errors import invalid, of_reason
from ringex.gateways.parameters import Kind, Parameter, decimal
from ringex.gateways.rows import Row
from ringex.history.catalogue import Asset
from ringex.history.readmodel import Balance
from ringex.messages import BALANCE_COMMAND, commands, words_of
from ringex.reasons import Reason
from ringex.terms import CommandKind, EventKind

ASSETS_PARAMETERS: Final = (Parameter("asset", Kind.TEXT),)
SUB_ACCOUNTS_PARAMETERS: Final = (Parameter("omitZeroBalances", Kind.BOOLEAN),)
TRANSFER_PARAMETERS: Final = (
    Parameter("fromAccount", Kind.TEXT),
    Parameter("toAccount", Kind.TEXT),
    Parameter("asset", Kind.TEXT, required=True),
    Parameter("amount", Kind.DECIMAL, required=True),
    Parameter("clientTranId", Kind.CLIENT_ID, required=True),
)


def assets(call: Call) -> list[dict[str, Any]]:
    """What the caller has: here, unlike in `account.status`, `locked` is what orders need, without `withdrawing`."""
    asked = asset_named(call, call.arguments["asset"]).number if "asset" in call.arguments else None
    found = []
    for balance in call.model.balances(call.account):
        wanted = balance.asset == asked if asked is not None else balance.free or balance.locked
        if not wanted:
            continue
        asset = call.model.assets[balance.asset]
        none = format_scaled(0, asset.scale)
        row = {
            "asset": asset.name,
            "free": format_scaled(balance.free, asset.scale),
            "locked": format_scaled(balance.locked - balance.withdrawing, asset.scale),
            "freeze": none,
            "withdrawing": format_scaled(balance.withdrawing, asset.scale),
            "ipoable": none,
            "btcValuation": none,
        }
        found.append(row)
    return found


def sub_accounts(call: Call) -> list[dict[str, Any]]:
    """The caller's sub-accounts, oldest first, and what each of them has."""
    omit = call.arguments.get("omitZeroBalances", False)
    return [
        {
            "account": account.name,
            "uid": account.number,
            "status": account.status.name,
            "balances": own_balances(call, account.number, omit),
        }
        for account in call.model.catalogue.sub_accounts_of(call.account)
    ]


def transfer(call: Call) -> Submission:
    """From the caller or a sub-account of it to another of them; not sent, either side is the caller."""
    giver, taker = _relative(call, "fromAccount"), _relative(call, "toAccount")
    if giver == taker:
        raise invalid("toAccount", "It must be another account than fromAccount.")
    asset = asset_named(call, call.arguments["asset"])
    record = commands().view(BALANCE_COMMAND)
    record["kind"] = CommandKind.TRANSFER
    record["from_account"], record["to_account"] = giver, taker
    record["asset"] = asset.number
    record["amount"] = decimal("amount", call.arguments["amount"], asset.scale)
    if not record["amount"][0]:
        raise invalid("amount", f"More than 0 is needed; the smallest amount is {format_scaled(1, asset.scale)}.")
    reference = call.arguments["clientTranId"]
    record["reference"] = words_of(reference)

    def reply(events: list[Row]) -> Any:
        return transferred(call, events, asset, reference, (giver, taker))

    return Submission(record, reply)


def transferred(
    call: Call, events: list[Row], asset: Asset, reference: str, between: tuple[int, int]
) -> dict[str, Any]:
    """The reply to a TRANSFER's events. Raises Refusal."""
    if events[0]["kind"] == EventKind.DUPLICATE:
        return {"clientTranId": reference, "duplicate": True}
    if events[0]["kind"] != EventKind.BALANCE:
        raise of_reason(events[0]["reason"] or Reason.INVALID_COMMAND)
    giver, taker = (call.model.catalogue.accounts[number].name for number in between)
    return {
        "tranId": events[0]["sequence"],
        "clientTranId": reference,
        "asset": asset.name,
        "amount": format_scaled(events[1]["amount"], asset.scale),
        "fromAccount": giver,
        "toAccount": taker,
        "duplicate": False,
    }


def own_balances(call: Call, account: int, omit_zeros: bool) -> list[dict[str, str]]:
    """The balances of an account, in order of first use: `asset free locked`."""
    return [
        {"asset": asset.name, **balance_rows(asset, {"free": balance.free, "locked": balance.locked})}
        for balance in call.model.balances(account)
        if (asset := call.model.assets[balance.asset]) and not (omit_zeros and _is_zero(balance))
    ]


def balance_rows(asset: Asset, row: Row) -> dict[str, str]:
    """What is free and locked, as text."""
    return {name: format_scaled(row[name], asset.scale) for name in ("free", "locked")}


def asset_named(call: Call, name: str) -> Asset:
    """Raises Refusal -1130 where there is no such asset."""
    asset = call.model.catalogue.asset_named(name)
    if asset is None:
        raise invalid("asset", f"There is no asset '{name[:16]}'.")
    return asset


def _is_zero(balance: Balance) -> bool:
    return not balance.free and not balance.locked


def _relative(call: Call, parameter: str) -> int:
    """The caller's account or a sub-account of it. Others are as good as not there."""
    name = call.arguments.get(parameter)
    catalogue = call.model.catalogue
    if name is None or name == catalogue.accounts[call.account].name:
        return call.account
    for account in catalogue.sub_accounts_of(call.account):
        if account.name == name:
            return account.number
    raise invalid(parameter, f"'{name[:32]}' is neither your account nor a sub-account of it.")
