"""Administrative methods of fees: an account's schedules, and the asset that fees can be paid in."""

from __future__ import annotations

from typing import Any, Final

from ringex.gateways.adminarguments import account_of, asset_of, expect
from ringex.gateways.calls import Call, Submission
from ringex.gateways.commissions import FEE_SCALE, rate_text
from ringex.gateways.errors import invalid, not_required
from ringex.gateways.methods import Method, Security
from ringex.gateways.parameters import Kind, Parameter, decimal
from ringex.gateways.rows import Row
from ringex.history.catalogue import EVERY_MARKET
from ringex.messages import FEE_RATE_ONE, FEES_COMMAND, commands
from ringex.terms import CommandKind, EventKind

ALL_SYMBOLS: Final = "*"
"""How a schedule for every market is shown."""


def set_fees(call: Call) -> Submission:
    """An account's rates in one market, or without `symbol` in all; without rates it pays what it would else."""
    arguments = call.arguments
    record = commands().view(FEES_COMMAND)
    record["kind"] = CommandKind.FEES_SET
    record["account"] = _trader(call)
    record["market"] = call.market().number if "symbol" in arguments else EVERY_MARKET
    given = [name for name in ("makerFee", "takerFee") if name in arguments]
    if len(given) == 1:
        raise invalid(
            "takerFee" if given == ["makerFee"] else "makerFee", "Send both rates, or none to end a schedule."
        )
    if given:
        record["maker_fee"], record["taker_fee"] = (_rate(call, name) for name in given)
        record["in_force"] = 1

    def reply(events: list[Row]) -> Any:
        event = expect(events, EventKind.FEES)
        told = {"account": arguments["account"], "symbol": arguments.get("symbol", ALL_SYMBOLS)}
        if not event["in_force"]:
            return told | {"inForce": False}
        rates = {"makerFee": rate_text(event["maker_fee"]), "takerFee": rate_text(event["taker_fee"])}
        return told | {"inForce": True} | rates

    return Submission(record, reply)


def show_fees(call: Call) -> dict[str, Any]:
    """An account's own schedules, by symbol, and whether it pays in the fee asset."""
    catalogue = call.model.catalogue
    number = account_of(call)
    schedules = {}
    for market, rates in catalogue.schedules_of(number).items():
        symbol = ALL_SYMBOLS if market == EVERY_MARKET else catalogue.markets[market].symbol
        schedules[symbol] = {"makerFee": rate_text(rates.maker), "takerFee": rate_text(rates.taker)}
    told: dict[str, Any] = {"account": call.arguments["account"], "schedules": schedules}
    told["paysInFeeAsset"] = catalogue.accounts[number].pays_in_fee_asset
    told["feeAsset"] = catalogue.fee_asset.asset.name if catalogue.fee_asset else None
    return told


def set_fee_asset(call: Call) -> Submission:
    """The asset that fees can be paid in, and what part of a fee is then charged; without `asset` there is none."""
    arguments = call.arguments
    record = commands().view(FEES_COMMAND)
    record["kind"] = CommandKind.FEE_ASSET_SET
    if "asset" in arguments:
        record["asset"] = asset_of(call, "asset").number
        multiplier = decimal("multiplier", arguments.get("multiplier", "1"), FEE_SCALE)
        if multiplier > FEE_RATE_ONE:
            raise invalid("multiplier", "0 to 1 is allowed: 0.75 charges three quarters of a fee.")
        record["multiplier"] = multiplier
        record["in_force"] = 1
    elif "multiplier" in arguments:
        raise not_required("multiplier", "Send it with an asset.")

    def reply(events: list[Row]) -> Any:
        event = expect(events, EventKind.FEE_ASSET)
        if not event["in_force"]:
            return {"asset": None}
        return {"asset": arguments["asset"], "multiplier": rate_text(event["multiplier"])}

    return Submission(record, reply)


def pay_in_fee_asset(call: Call) -> Submission:
    """Whether an account pays its fees in the fee asset."""
    record = commands().view(FEES_COMMAND)
    record["kind"] = CommandKind.FEE_ASSET_SET
    record["account"] = _trader(call)
    record["in_force"] = int(call.arguments["enabled"])

    def reply(events: list[Row]) -> Any:
        event = expect(events, EventKind.FEE_ASSET)
        return {"account": call.arguments["account"], "paysInFeeAsset": bool(event["in_force"])}

    return Submission(record, reply)


def _trader(call: Call) -> int:
    number = account_of(call)
    if number == 0:
        raise invalid("account", "The fee account does not trade: it pays no fees.")
    return number


def _rate(call: Call, name: str) -> int:
    text = str(call.arguments[name])
    rate = decimal(name, text.removeprefix("-"), FEE_SCALE)
    if rate >= FEE_RATE_ONE:
        raise invalid(name, "More than -1 and less than 1 is allowed: 0.001 is 0.1 %, -0.0001 a rebate of 0.01 %.")
    return -rate if text.startswith("-") else rate


_ACCOUNT: Final = Parameter("account", Kind.TEXT, required=True)
_SCHEDULE_PARAMETERS: Final = (
    _ACCOUNT,
    Parameter("symbol", Kind.TEXT),
    Parameter("makerFee", Kind.TEXT),
    Parameter("takerFee", Kind.TEXT),
)
_ASSET_PARAMETERS: Final = (Parameter("asset", Kind.TEXT), Parameter("multiplier", Kind.DECIMAL))
_OPT_IN_PARAMETERS: Final = (_ACCOUNT, Parameter("enabled", Kind.BOOLEAN, required=True))

FEE_METHODS: Final = (
    Method("admin.fees.set", Security.NONE, _SCHEDULE_PARAMETERS, set_fees),
    Method("admin.fees.show", Security.NONE, (_ACCOUNT,), show_fees, waits=True),
    Method("admin.feeAsset.set", Security.NONE, _ASSET_PARAMETERS, set_fee_asset),
    Method("admin.feeAsset.use", Security.NONE, _OPT_IN_PARAMETERS, pay_in_fee_asset),
)
