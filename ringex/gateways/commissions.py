"""What an account pays: its rates in a market, and in which asset."""

from __future__ import annotations

from typing import Any, Final

from ringex.decimals import format_scaled
from ringex.gateways.calls import Call, Submission
from ringex.gateways.errors import of_reason
from ringex.gateways.parameters import Kind, Parameter
from ringex.gateways.rows import Row
from ringex.history.catalogue import EVERY_MARKET, FeeRates
from ringex.messages import FEE_RATE_ONE, FEES_COMMAND, commands
from ringex.terms import CommandKind, EventKind

FEE_SCALE: Final = 8
PARAMETERS: Final = (Parameter("symbol", Kind.TEXT, required=True),)
FEE_ASSET_PARAMETERS: Final = (Parameter("enabled", Kind.BOOLEAN, required=True),)


def commission(call: Call) -> dict[str, Any]:
    """The caller's rates in one market. There are standard ones only, the same for buyers and sellers."""
    market = call.market()
    none = dict.fromkeys(("maker", "taker", "buyer", "seller"), rate_text(0))
    rates = call.model.catalogue.fee_rates(call.account, market)
    return {
        "symbol": market.symbol,
        "standardCommission": none | {"maker": rate_text(rates.maker), "taker": rate_text(rates.taker)},
        "specialCommission": none,
        "taxCommission": none,
        "discount": discount(call),
    }


def pay_in_fee_asset(call: Call) -> Submission:
    """Whether the caller pays its fees in the fee asset from now on."""
    record = commands().view(FEES_COMMAND)
    record["kind"] = CommandKind.FEE_ASSET_SET
    record["in_force"] = int(call.arguments["enabled"])

    def reply(events: list[Row]) -> Any:
        if events[0]["kind"] != EventKind.FEE_ASSET:
            raise of_reason(events[0]["reason"])
        return {"enabled": bool(events[0]["in_force"])}

    return Submission(record, reply)


def discount(call: Call) -> dict[str, Any]:
    """Whether the caller pays its fees in the fee asset, and what part of them is then charged."""
    fee_asset = call.model.catalogue.fee_asset
    return {
        "enabledForAccount": call.model.catalogue.accounts[call.account].pays_in_fee_asset,
        "enabledForSymbol": fee_asset is not None,
        "discountAsset": fee_asset.asset.name if fee_asset else None,
        "discount": rate_text(fee_asset.multiplier if fee_asset else FEE_RATE_ONE),
    }


def usual_rates(call: Call) -> FeeRates:
    """The caller's rates where the dialect shows one pair: its own for every market, else those of the first market."""
    catalogue = call.model.catalogue
    own = catalogue.schedules_of(call.account).get(EVERY_MARKET)
    if own is not None:
        return own
    return catalogue.fee_rates(call.account, catalogue.markets[0]) if catalogue.markets else FeeRates(0, 0)


def rate_text(rate: int) -> str:
    return format_scaled(rate, FEE_SCALE)
