"""The market's filters, checked at the edge by the very function that the matcher uses."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np

from ringex.history.catalogue import Market
from ringex.jit import compiled, entry
from ringex.memory import address_of, record_at
from ringex.messages import FILTER_NAMES, FILTERS_EVENT, MARKET_EVENT, Reason
from ringex.rules import (
    MARKET_BODY_NAMES,
    MARKET_RULES,
    check_iceberg,
    check_order,
    check_stop_price,
    check_trailing_delta,
    market_rules,
    rises,
)

_RULES_KEPT_MAX: Final = 1 << 14


def filter_reason(market: Market, order_type: int, price: int, quantity: int, quote_quantity: int) -> Reason:
    """Why the market's filters refuse such an order, or NONE. Units of the market."""
    rules = _rules(market)
    return Reason(int(_check(address_of(rules), int(order_type), price, quantity, quote_quantity)))


def stop_price_reason(market: Market, order_type: int, stop_price: int, trailing_delta: int = 0) -> Reason:
    """Why the market's filters refuse such a stop price, or NONE."""
    return Reason(int(_check_stop_price(address_of(_rules(market)), int(order_type), stop_price, trailing_delta)))


def trailing_delta_reason(market: Market, order_type: int, side: int, trailing_delta: int) -> Reason:
    """Why an order may not trail the market by so many basis points, or NONE."""
    rules = address_of(_rules(market))
    return Reason(int(_check_trailing_delta(rules, int(order_type), int(side), trailing_delta)))


def trailing_deltas(market: Market, order_type: int, side: int) -> tuple[int, int]:
    """From what to what an order of this type and side may trail the market, in basis points."""
    rules = _rules(market)[0]
    end = "above" if rises(int(order_type), int(side)) else "below"
    return int(rules[f"trailing_{end}_min"]), int(rules[f"trailing_{end}_max"])


def iceberg_reason(market: Market, order_type: int, time_in_force: int, quantity: int, iceberg_quantity: int) -> Reason:
    """Why an order may not show so much at a time, or NONE."""
    rules = address_of(_rules(market))
    return Reason(int(_check_iceberg(rules, int(order_type), int(time_in_force), quantity, iceberg_quantity)))


@entry
@compiled
def _check(rules: int, order_type: int, price: int, quantity: int, quote_quantity: int) -> int:
    return check_order(record_at(rules, 0, MARKET_RULES), order_type, price, quantity, quote_quantity)


@entry
@compiled
def _check_stop_price(rules: int, order_type: int, stop_price: int, trailing_delta: int) -> int:
    return check_stop_price(record_at(rules, 0, MARKET_RULES), order_type, stop_price, trailing_delta)


@entry
@compiled
def _check_trailing_delta(rules: int, order_type: int, side: int, trailing_delta: int) -> int:
    return check_trailing_delta(record_at(rules, 0, MARKET_RULES), order_type, side, trailing_delta)


@entry
@compiled
def _check_iceberg(rules: int, order_type: int, time_in_force: int, quantity: int, iceberg_quantity: int) -> int:
    return check_iceberg(record_at(rules, 0, MARKET_RULES), order_type, time_in_force, quantity, iceberg_quantity)


@lru_cache(_RULES_KEPT_MAX)
def _rules(market: Market) -> np.ndarray:
    record = np.zeros(1, MARKET_EVENT)
    for name in MARKET_BODY_NAMES:
        if name not in ("base_asset", "quote_asset", "symbol"):
            record[name] = getattr(market, name)
    filters = np.zeros(1, FILTERS_EVENT)
    for name in FILTER_NAMES:
        filters[name] = getattr(market.filters, name)
    return market_rules(record[0], filters[0], market.base.scale, market.quote.scale)
