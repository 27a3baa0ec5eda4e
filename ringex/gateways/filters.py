"""The market's filters, checked at the edge by the very function that the matcher uses."""

from __future__ import annotations

from typing import Final

import numpy as np

from ringex.history.catalogue import Market
from ringex.jit import compiled, entry
from ringex.memory import address_of, record_at
from ringex.messages import FILTER_NAMES, FILTERS_EVENT, MARKET_EVENT
from ringex.reasons import Reason
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

_kept: Final[dict[int, tuple[Market, np.ndarray, int]]] = {}
"""By market number: as many as there are markets. (A cache by the market's hash took 4 us an order.)"""


def filter_reason(market: Market, order_type: int, price: int, quantity: int, quote_quantity: int) -> Reason:
    """Why the market's filters refuse such an order, or NONE. Units of the market."""
    return Reason(int(_check(_rules(market), int(order_type), price, quantity, quote_quantity)))


def stop_price_reason(market: Market, order_type: int, stop_price: int, trailing_delta: int = 0) -> Reason:
    """Why the market's filters refuse such a stop price, or NONE."""
    return Reason(int(_check_stop_price(_rules(market), int(order_type), stop_price, trailing_delta)))


def trailing_delta_reason(market: Market, order_type: int, side: int, trailing_delta: int) -> Reason:
    """Why an order may not trail the market by so many basis points, or NONE."""
    return Reason(int(_check_trailing_delta(_rules(market), int(order_type), int(side), trailing_delta)))


def rules_of(market: Market) -> np.ndarray:
    """The market's MARKET_RULES record, shape (1,). Not to be changed."""
    return _of(market)[1]


def trailing_deltas(market: Market, order_type: int, side: int) -> tuple[int, int]:
    """From what to what an order of this type and side may trail the market, in basis points."""
    rules = rules_of(market)[0]
    end = "above" if rises(int(order_type), int(side)) else "below"
    return int(rules[f"trailing_{end}_min"]), int(rules[f"trailing_{end}_max"])


def iceberg_reason(market: Market, order_type: int, time_in_force: int, quantity: int, iceberg_quantity: int) -> Reason:
    """Why an order may not show so much at a time, or NONE."""
    return Reason(int(_check_iceberg(_rules(market), int(order_type), int(time_in_force), quantity, iceberg_quantity)))


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


def _rules(market: Market) -> int:
    """The address of the market's rules."""
    return _of(market)[2]


def _of(market: Market) -> tuple[Market, np.ndarray, int]:
    """Market, rules, their address. A market that changes is another object."""
    kept = _kept.get(market.number)
    if kept is None or kept[0] is not market:
        rules = _made(market)
        _kept[market.number] = kept = (market, rules, address_of(rules))
    return kept


def _made(market: Market) -> np.ndarray:
    record = np.zeros(1, MARKET_EVENT)
    for name in MARKET_BODY_NAMES:
        if name not in ("base_asset", "quote_asset", "symbol"):
            record[name] = getattr(market, name)
    filters = np.zeros(1, FILTERS_EVENT)
    for name in FILTER_NAMES:
        filters[name] = getattr(market.filters, name)
    return market_rules(record[0], filters[0], market.base.scale, market.quote.scale)
