"""Administrative methods for markets: adding one; its rules, its status and its filters."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any, Final

from ringex import administration
from ringex.decimals import format_scaled
from ringex.gateways.adminarguments import asset_of, canceled_in, expect, name_of, small
from ringex.gateways.calls import Call, Submission
from ringex.gateways.errors import MULTIPLIER_SCALE, Refusal, invalid, missing
from ringex.gateways.methods import Method, Security
from ringex.gateways.parameters import Kind, Parameter, decimal
from ringex.gateways.rows import Row
from ringex.history.catalogue import Asset, Market
from ringex.markets import (
    FEE_DEFAULT,
    NO_FILTERS,
    ORDERS_PER_ACCOUNT_MAX,
    Filters,
    MarketFault,
    filters_fault,
    market_fault,
)
from ringex.markets import Asset as ListedAsset
from ringex.markets import Market as Listed
from ringex.messages import AMOUNT_MAX, MARKET_COMMAND, commands
from ringex.reasons import REASON_TEXT, Reason
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
    """Prices and quantities are decimal strings; their scales are sent, or follow from tick and lot. Filters come next.

    What is not sent is as in a configuration: the least price is the tick, and so on. Where the filters that are sent
    do not fit nothing is added.
    """
    symbol = name_of(call, "symbol", SYMBOL_CHARACTERS_MAX)
    base, quote = asset_of(call, "base"), asset_of(call, "quote")
    arguments = call.arguments
    scales = {
        "price": int(arguments.get("priceScale", _decimals(arguments["tickSize"]))),
        "quantity": int(arguments.get("quantityScale", _decimals(arguments["stepSize"]))),
        "base": base.scale,
        "notional": quote.scale,
        "fee": 8,
        "multiplier": MULTIPLIER_SCALE,
    }
    for name in ("price", "quantity"):
        if scales[name] > 18:
            raise invalid(f"{name}Scale", "0 to 18 are allowed.")
    values: dict[str, Any] = {
        column: _rule(name, arguments[name], unit, scales)
        for name, (column, unit) in _DECIMALS.items()
        if name in arguments
    }
    values = {"price_min": values["tick"], "quantity_min": values["lot"], "notional_min": 0} | values
    values = {"notional_max": AMOUNT_MAX, "maker_fee": FEE_DEFAULT, "taker_fee": FEE_DEFAULT} | values
    count_max = small(call, "maxNumOrders", COUNT_MAX) if "maxNumOrders" in arguments else ORDERS_PER_ACCOUNT_MAX
    values |= {"price_scale": scales["price"], "quantity_scale": scales["quantity"]}
    listed = Listed(symbol, base.name, quote.name, **values, orders_per_account_max=count_max)
    _check_rules(listed, base, quote)
    filters = _filters(call, NO_FILTERS, scales, listed.price_max)
    numbers = {asset.name: asset.number for asset in call.model.assets}
    record = administration.add_market(listed, numbers).view(MARKET_COMMAND)
    if "status" in arguments:
        record["status"] = MarketStatus[arguments["status"]]

    def reply(events: list[Row]) -> Any:
        event = expect(events, EventKind.MARKET)
        told = {"symbol": symbol, "number": event["market"], "status": MarketStatus(event["status"]).name}
        if filters == NO_FILTERS:
            return told
        return _set_filters(event["market"], filters, lambda row: told | _filters_shown(scales, row))

    return Submission(record, reply)


def list_markets(call: Call) -> dict[str, Any]:
    """All markets, by number."""
    return {
        market.symbol: f"{market.status.name} {market.base.name} {market.quote.name}" for market in call.model.markets
    }


def show_market(call: Call) -> dict[str, Any]:
    """A market's rules, and the filters that it has, by the names by which they are set."""
    market = call.market()
    scales = _scales(market)
    told: dict[str, Any] = {"symbol": market.symbol, "number": market.number, "status": market.status.name}
    told |= {"base": market.base.name, "quote": market.quote.name}
    for name, (column, unit) in _DECIMALS.items():
        told[name] = format_scaled(getattr(market, column), scales[unit], 0)
    return told | {"maxNumOrders": market.orders_per_account_max} | _filters_shown(scales, asdict(market.filters))


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
    scales = _scales(market)
    wanted = _filters(call, market.filters, scales, market.price_max)

    def then(event: Row) -> Any:
        shown = told | _filters_shown(scales, event)
        return _set_rules(call, market, shown) if rules or "status" in call.arguments else shown

    return _set_filters(market.number, wanted, then)


def _set_filters(number: int, filters: Filters, then: Callable[[Row], Any]) -> Submission:
    """A MARKET_FILTERS_SET; `then` makes the reply, or what comes next, of its event."""
    record = administration.set_filters(number, filters)
    return Submission(record, lambda events: then(expect(events, EventKind.MARKET_FILTERS)))


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
        checked: dict[str, Any] = {column: int(record[column][0]) for column, _ in _DECIMALS.values()}
        for column in ("price_scale", "quantity_scale", "orders_per_account_max"):
            checked[column] = int(record[column][0])
        listed = Listed(market.symbol, market.base.name, market.quote.name, **checked)
        _check_rules(listed, market.base, market.quote)

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


def _check_rules(listed: Listed, base: Asset, quote: Asset) -> None:
    """Raises Refusal where the rules of a market do not fit together, and says which and why."""
    fault = market_fault(listed, ListedAsset(base.name, base.scale), ListedAsset(quote.name, quote.scale))
    if fault is not None:
        names = {column: name for name, (column, _) in _DECIMALS.items()} | {"orders_per_account_max": "maxNumOrders"}
        raise _unfit(Reason.INVALID_MARKET, fault, names)


def _unfit(reason: Reason, fault: MarketFault, names: dict[str, str]) -> Refusal:
    """The fault in the names of the parameters."""
    words = re.sub(r"[a-z]+(?:_[a-z]+)+", lambda found: names.get(found[0], found[0]), fault.message)
    code, text = REASON_TEXT[reason]
    return Refusal(code, f"{text} {names.get(fault.field, fault.field)}: {words}.")


def _filters(call: Call, present: Filters, scales: dict[str, int], price_max: int) -> Filters:
    """The present filters with those that were sent. Raises Refusal where they do not fit together."""
    arguments = call.arguments
    values: dict[str, int] = {}
    for name in arguments.keys() & _FILTER_DECIMALS.keys():
        column, unit = _FILTER_DECIMALS[name]
        values[column] = decimal(name, arguments[name], scales[unit])
        if unit == "multiplier" and values[column] > COUNT_MAX:
            raise invalid(name, f"0 to {format_scaled(COUNT_MAX, MULTIPLIER_SCALE, 0)} are allowed.")
    for name in arguments.keys() & _FILTER_COUNTS.keys():
        values[_FILTER_COUNTS[name]] = small(call, name, COUNT_MAX)
    bits = present.filter_bits
    for name in arguments.keys() & _FILTER_FLAGS.keys():
        bits = bits | _FILTER_FLAGS[name] if arguments[name] else bits & ~_FILTER_FLAGS[name]
    filters = replace(present, **values, filter_bits=bits)
    fault = filters_fault(filters, price_max)
    if fault is not None:
        names = {column: name for name, (column, _) in _FILTER_DECIMALS.items()}
        names |= {column: name for name, column in _FILTER_COUNTS.items()} | {"price_max": "maxPrice"}
        raise _unfit(Reason.INVALID_FILTERS, fault, names)
    return filters


def _filters_shown(scales: dict[str, int], values: Mapping[str, Any]) -> dict[str, Any]:
    """The filters of these values (an event's, or a market's) by the names of their parameters."""
    shown: dict[str, Any] = {
        name: format_scaled(values[column], scales[unit], 0)
        for name, (column, unit) in _FILTER_DECIMALS.items()
        if values[column]
    }
    shown |= {name: values[column] for name, column in _FILTER_COUNTS.items() if values[column]}
    return shown | {name: True for name, flag in _FILTER_FLAGS.items() if values["filter_bits"] & flag}


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
_NEEDED: Final = ("tickSize", "stepSize", "maxPrice", "maxQty")
_OPTIONS: Final = (
    Parameter("status", Kind.CHOICE, choices=tuple(MarketStatus.__members__)),
    Parameter("maxNumOrders", Kind.INTEGER),
    *(Parameter(name, Kind.DECIMAL) for name in _FILTER_DECIMALS),
    *(Parameter(name, Kind.INTEGER) for name in _FILTER_COUNTS),
    *(Parameter(name, Kind.BOOLEAN) for name in _FILTER_FLAGS),
)
_ADDED: Final = (
    *(Parameter(name, Kind.TEXT, required=True) for name in ("symbol", "base", "quote")),
    *(Parameter(name, Kind.DECIMAL, name in _NEEDED) for name in _DECIMALS),
    Parameter("priceScale", Kind.INTEGER),
    Parameter("quantityScale", Kind.INTEGER),
    *_OPTIONS,
)
_SETTINGS: Final = (_SYMBOL, *(Parameter(name, Kind.DECIMAL) for name in _DECIMALS), *_OPTIONS)

MARKET_METHODS: Final = (
    Method("admin.market.add", Security.NONE, _ADDED, add_market),
    Method("admin.market.list", Security.NONE, (), list_markets, waits=True),
    Method("admin.market.show", Security.NONE, (_SYMBOL,), show_market, waits=True),
    Method("admin.market.kill", Security.NONE, (_SYMBOL,), kill_market),
    Method("admin.market.set", Security.NONE, _SETTINGS, set_market),
)
