"""Administrative methods for markets: adding one, its status and its filters."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final

import numpy as np

from ringex.decimals import format_scaled
from ringex.gateways.adminarguments import asset_of, canceled_in, expect, name_of, small
from ringex.gateways.calls import Call, Submission
from ringex.gateways.errors import MULTIPLIER_SCALE, invalid, missing
from ringex.gateways.methods import Method, Security
from ringex.gateways.parameters import Kind, Parameter, decimal
from ringex.gateways.rows import Row
from ringex.history.catalogue import Market
from ringex.messages import (
    FILTERS_COMMAND,
    MARKET_COMMAND,
    CommandKind,
    EventKind,
    FilterFlag,
    MarketStatus,
    commands,
)

SYMBOL_CHARACTERS_MAX: Final = 24
COUNT_MAX: Final = (1 << 31) - 1

_DECIMALS: Final = {
    "tickSize": ("tick", "price"),
    "minPrice": ("price_min", "price"),
    "maxPrice": ("price_max", "price"),
    "stepSize": ("lot", "quantity"),
    "minQty": ("quantity_min", "quantity"),
    "maxQty": ("quantity_max", "quantity"),
    "minNotional": ("notional_min", "notional"),
    "maxNotional": ("notional_max", "notional"),
    "makerFee": ("maker_fee", "fee"),
    "takerFee": ("taker_fee", "fee"),
}
"""Parameter -> (field of MARKET_COMMAND, unit)."""
_FILTER_DECIMALS: Final = {
    "minMarketQty": ("market_quantity_min", "quantity"),
    "maxMarketQty": ("market_quantity_max", "quantity"),
    "marketStepSize": ("market_lot", "quantity"),
    "maxPosition": ("position_max", "base"),
    "referencePrice": ("reference_price", "price"),
    "bidMultiplierUp": ("bid_multiplier_up", "multiplier"),
    "bidMultiplierDown": ("bid_multiplier_down", "multiplier"),
    "askMultiplierUp": ("ask_multiplier_up", "multiplier"),
    "askMultiplierDown": ("ask_multiplier_down", "multiplier"),
    "breakerBand": ("breaker_band", "multiplier"),
}
"""Parameter -> (field of FILTERS_COMMAND, unit)."""
_FILTER_COUNTS: Final = {
    "avgPriceMins": "average_minutes",
    "maxNumAlgoOrders": "algo_orders_max",
    "maxNumIcebergOrders": "iceberg_orders_max",
    "maxNumOrderLists": "order_lists_max",
    "minTrailingAboveDelta": "trailing_above_min",
    "maxTrailingAboveDelta": "trailing_above_max",
    "minTrailingBelowDelta": "trailing_below_min",
    "maxTrailingBelowDelta": "trailing_below_max",
    "breakerWindowSeconds": "breaker_window_seconds",
    "breakerPauseSeconds": "breaker_pause_seconds",
}
"""Parameter -> field of FILTERS_COMMAND."""
_FILTER_FLAGS: Final = {
    "applyMinToMarket": FilterFlag.MIN_TO_MARKET,
    "applyMaxToMarket": FilterFlag.MAX_TO_MARKET,
    "breakerCallsAuction": FilterFlag.BREAK_TO_AUCTION,
}


def add_market(call: Call) -> Submission:
    """Prices and quantities are decimal strings; their scales are sent, or follow from tick and lot."""
    symbol = name_of(call, "symbol", SYMBOL_CHARACTERS_MAX)
    base, quote = asset_of(call, "base"), asset_of(call, "quote")
    arguments = call.arguments
    scales = {
        "price": int(arguments.get("priceScale", _decimals(arguments["tickSize"]))),
        "quantity": int(arguments.get("quantityScale", _decimals(arguments["stepSize"]))),
        "notional": quote.scale,
        "fee": 8,
    }
    for name in ("price", "quantity"):
        if scales[name] > 18:
            raise invalid(f"{name}Scale", "0 to 18 are allowed.")
    record = commands().view(MARKET_COMMAND)
    record["kind"] = CommandKind.MARKET_ADD
    record["symbol"] = symbol
    record["base_asset"], record["quote_asset"] = base.number, quote.number
    record["price_scale"], record["quantity_scale"] = scales["price"], scales["quantity"]
    for name, (column, unit) in _DECIMALS.items():
        text = str(arguments[name])
        value = decimal(name, text.removeprefix("-") if unit == "fee" else text, scales[unit])
        record[column] = -value if unit == "fee" and text.startswith("-") else value
    record["orders_per_account_max"] = small(call, "maxNumOrders", COUNT_MAX)

    def reply(events: list[Row]) -> Any:
        return {"symbol": symbol, "number": expect(events, EventKind.MARKET)["market"]}

    return Submission(record, reply)


def kill_market(call: Call) -> Submission:
    """Halts a market and cancels everybody's orders in it, as one command."""
    market = call.market()
    record = commands()
    record["kind"] = CommandKind.MARKET_KILL
    record["market"] = market.number

    def reply(events: list[Row]) -> Any:
        status = MarketStatus(expect(events, EventKind.MARKET)["status"]).name
        return {"symbol": market.symbol, "status": status} | canceled_in(events)

    return Submission(record, reply)


def set_market(call: Call) -> Submission:
    """Another status, or other filters, or both: filters first. What is not sent stays; 0 is "no such filter"."""
    market = call.market()
    named = call.arguments.keys() & {*_FILTER_DECIMALS, *_FILTER_COUNTS, *_FILTER_FLAGS}
    if not named and "status" not in call.arguments:
        raise missing("status", "Send a status, or a filter.")
    if not named:
        return _set_status(call, market, {"symbol": market.symbol})
    record = _filters(call, market)

    def reply(events: list[Row]) -> Any:
        told = {"symbol": market.symbol} | _shown(market, expect(events, EventKind.MARKET_FILTERS))
        return _set_status(call, market, told) if "status" in call.arguments else told

    return Submission(record, reply)


def _set_status(call: Call, market: Market, told: dict[str, Any]) -> Submission:
    record = commands().view(MARKET_COMMAND)
    record["kind"] = CommandKind.MARKET_SET
    record["market"] = market.number
    record["status"] = MarketStatus[call.arguments["status"]]

    def reply(events: list[Row]) -> Any:
        event = expect(events, EventKind.MARKET)
        return told | {"status": MarketStatus(event["status"]).name}

    return Submission(record, reply)


def _filters(call: Call, market: Market) -> np.ndarray:
    """A MARKET_FILTERS_SET: the market's filters with those that were sent."""
    record = commands().view(FILTERS_COMMAND)
    record["kind"] = CommandKind.MARKET_FILTERS_SET
    record["market"] = market.number
    for name, value in asdict(market.filters).items():
        record[name] = value
    arguments, scales = call.arguments, _scales(market)
    for name in arguments.keys() & _FILTER_DECIMALS.keys():
        column, unit = _FILTER_DECIMALS[name]
        value = decimal(name, arguments[name], scales[unit])
        if unit == "multiplier" and value > COUNT_MAX:
            raise invalid(name, f"0 to {format_scaled(COUNT_MAX, MULTIPLIER_SCALE, 0)} are allowed.")
        record[column] = value
    for name in arguments.keys() & _FILTER_COUNTS.keys():
        record[_FILTER_COUNTS[name]] = small(call, name, COUNT_MAX)
    bits = market.filters.filter_bits
    for name in arguments.keys() & _FILTER_FLAGS.keys():
        bits = bits | _FILTER_FLAGS[name] if arguments[name] else bits & ~_FILTER_FLAGS[name]
    record["filter_bits"] = bits
    return record


def _shown(market: Market, event: Row) -> dict[str, Any]:
    """The filters that an event says are in force, by the names of their parameters."""
    scales = _scales(market)
    shown: dict[str, Any] = {
        name: format_scaled(event[column], scales[unit], 0)
        for name, (column, unit) in _FILTER_DECIMALS.items()
        if event[column]
    }
    shown |= {name: event[column] for name, column in _FILTER_COUNTS.items() if event[column]}
    return shown | {name: True for name, flag in _FILTER_FLAGS.items() if event["filter_bits"] & flag}


def _scales(market: Market) -> dict[str, int]:
    return {
        "price": market.price_scale,
        "quantity": market.quantity_scale,
        "base": market.base.scale,
        "multiplier": MULTIPLIER_SCALE,
    }


def _decimals(text: str) -> int:
    return len(text.partition(".")[2].rstrip("0"))


_SYMBOL: Final = Parameter("symbol", Kind.TEXT, required=True)
_ADDED: Final = (
    *(Parameter(name, Kind.TEXT, required=True) for name in ("symbol", "base", "quote")),
    *(Parameter(name, Kind.DECIMAL, required=True) for name in _DECIMALS),
    Parameter("priceScale", Kind.INTEGER),
    Parameter("quantityScale", Kind.INTEGER),
    Parameter("maxNumOrders", Kind.INTEGER, required=True),
)
_SETTINGS: Final = (
    _SYMBOL,
    Parameter("status", Kind.CHOICE, choices=tuple(MarketStatus.__members__)),
    *(Parameter(name, Kind.DECIMAL) for name in _FILTER_DECIMALS),
    *(Parameter(name, Kind.INTEGER) for name in _FILTER_COUNTS),
    *(Parameter(name, Kind.BOOLEAN) for name in _FILTER_FLAGS),
)

MARKET_METHODS: Final = (
    Method("admin.market.add", Security.NONE, _ADDED, add_market),
    Method("admin.market.kill", Security.NONE, (_SYMBOL,), kill_market),
    Method("admin.market.set", Security.NONE, _SETTINGS, set_market),
)
