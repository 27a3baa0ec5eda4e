"""Administrative methods for markets: adding one; its rules, its status and its filters."""

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
from ringex.messages import FILTERS_COMMAND, MARKET_COMMAND, commands
from ringex.terms import CommandKind, EventKind, FilterFlag, MarketStatus

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
        record[column] = _rule(name, str(arguments[name]), unit, scales)
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
    """Other filters; other rules and another status: in this order. What is not sent stays; 0 is "no such filter"."""
    market = call.market()
    rules = call.arguments.keys() & {*_DECIMALS, "maxNumOrders"}
    filters = call.arguments.keys() & {*_FILTER_DECIMALS, *_FILTER_COUNTS, *_FILTER_FLAGS}
    if not rules and not filters and "status" not in call.arguments:
        raise missing("status", "Send a status, a rule or a filter.")
    told: dict[str, Any] = {"symbol": market.symbol}
    if not filters:
        return _set_rules(call, market, told)
    record = _filters(call, market)

    def reply(events: list[Row]) -> Any:
        event = expect(events, EventKind.MARKET_FILTERS)
        shown = told | _shown(market, event)
        return _set_rules(call, market, shown) if rules or "status" in call.arguments else shown

    return Submission(record, reply)


def _set_rules(call: Call, market: Market, told: dict[str, Any]) -> Submission:
    """A MARKET_SET with the rules, if any, and the status, if any, that were sent."""
    arguments, scales = call.arguments, _scales(market)
    record = commands().view(MARKET_COMMAND)
    record["kind"] = CommandKind.MARKET_SET
    record["market"] = market.number
    if "status" in arguments:
        record["status"] = MarketStatus[arguments["status"]]
    named = arguments.keys() & _DECIMALS.keys()
    if named or "maxNumOrders" in arguments:  # rules are set all together
        record["base_asset"], record["quote_asset"] = market.base.number, market.quote.number
        record["price_scale"], record["quantity_scale"] = market.price_scale, market.quantity_scale
        for name, (column, unit) in _DECIMALS.items():
            sent = name in arguments
            record[column] = _rule(name, arguments[name], unit, scales) if sent else getattr(market, column)
        record["orders_per_account_max"] = market.orders_per_account_max
        if "maxNumOrders" in arguments:
            record["orders_per_account_max"] = small(call, "maxNumOrders", COUNT_MAX)

    def reply(events: list[Row]) -> Any:
        event = expect(events, EventKind.MARKET)
        shown = {
            name: format_scaled(event[_DECIMALS[name][0]], scales[_DECIMALS[name][1]], 0) for name in sorted(named)
        }
        if "maxNumOrders" in arguments:
            shown["maxNumOrders"] = event["orders_per_account_max"]
        return told | shown | {"status": MarketStatus(event["status"]).name}

    return Submission(record, reply)


def _rule(name: str, text: str, unit: str, scales: dict[str, int]) -> int:
    """One of a market's rules, scaled; a fee may be negative."""
    value = decimal(name, text.removeprefix("-") if unit == "fee" else text, scales[unit])
    return -value if unit == "fee" and text.startswith("-") else value


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
        "notional": market.quote.scale,
        "fee": 8,
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
    *(Parameter(name, Kind.DECIMAL) for name in (*_DECIMALS, *_FILTER_DECIMALS)),
    Parameter("maxNumOrders", Kind.INTEGER),
    *(Parameter(name, Kind.INTEGER) for name in _FILTER_COUNTS),
    *(Parameter(name, Kind.BOOLEAN) for name in _FILTER_FLAGS),
)

MARKET_METHODS: Final = (
    Method("admin.market.add", Security.NONE, _ADDED, add_market),
    Method("admin.market.kill", Security.NONE, (_SYMBOL,), kill_market),
    Method("admin.market.set", Security.NONE, _SETTINGS, set_market),
)
