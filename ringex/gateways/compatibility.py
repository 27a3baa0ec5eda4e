"""What client libraries ask for when they start, beyond the spot API itself: answered with what is true here.

There is no margin trading and there are no contracts, so such lists are empty. Assets are neither deposited nor
withdrawn by clients, and have no networks.
"""

from __future__ import annotations

from typing import Any, Final

from ringex.decimals import format_scaled
from ringex.gateways.calls import Call
from ringex.gateways.commissions import rate_text
from ringex.gateways.parameters import Kind, Parameter
from ringex.gateways.times import shown

_SYMBOL_OR_NONE: Final = Parameter("symbol", Kind.TEXT)
TRADE_FEE_PARAMETERS: Final = (_SYMBOL_OR_NONE,)
PAIRS_PARAMETERS: Final = (_SYMBOL_OR_NONE,)


def system_status(call: Call) -> dict[str, Any]:
    """Who is answered at all is answered by an exchange that runs."""
    return {"status": 0, "msg": "normal"}


def trade_fee(call: Call) -> list[dict[str, str]]:
    """The caller's rates in each market."""
    found = []
    for market in [call.market()] if "symbol" in call.arguments else call.model.markets:
        rates = call.model.catalogue.fee_rates(call.account, market)
        row = {"makerCommission": rate_text(rates.maker), "takerCommission": rate_text(rates.taker)}
        found.append({"symbol": market.symbol, **row})
    return found


def assets(call: Call) -> list[dict[str, Any]]:
    """Every asset, with the caller's balance of it."""
    none = format_scaled(0, 0)
    balances = {balance.asset: balance for balance in call.model.balances(call.account)}
    found = []
    for asset in call.model.assets:
        own = balances.get(asset.number)
        row = {
            "coin": asset.name,
            "name": asset.name,
            "depositAllEnable": False,
            "withdrawAllEnable": False,
            "trading": True,
            "isLegalMoney": False,
            "free": format_scaled(own.free, asset.scale) if own else none,
            "locked": format_scaled(own.locked - own.withdrawing, asset.scale) if own else none,
            "withdrawing": format_scaled(own.withdrawing, asset.scale) if own else none,
            "networkList": [],
        }
        row |= dict.fromkeys(("freeze", "ipoable", "ipoing", "storage"), none)
        found.append(row)
    return found


def margin_pairs(call: Call) -> list[dict[str, Any]]:
    return []


def contracts(call: Call) -> dict[str, Any]:
    """Futures' and options' exchangeInfo: none are listed."""
    return {
        "timezone": "UTC",
        "serverTime": shown(call.now_ns),
        "rateLimits": [],
        "exchangeFilters": [],
        "assets": [],
        "symbols": [],
        "optionSymbols": [],
    }
