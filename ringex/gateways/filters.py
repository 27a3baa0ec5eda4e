"""The market's filters, checked at the edge by the very function that the matcher uses."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import numpy as np

from ringex.history.catalogue import Market
from ringex.messages import MARKET_EVENT, Reason
from ringex.rules import MARKET_BODY_NAMES, check_order, market_rules

_RULES_KEPT_MAX: Final = 1 << 14


def filter_reason(market: Market, order_type: int, price: int, quantity: int, quote_quantity: int) -> Reason:
    """Why the market's filters refuse such an order, or NONE. Units of the market."""
    return Reason(int(check_order(_rules(market), int(order_type), price, quantity, quote_quantity)))


@lru_cache(_RULES_KEPT_MAX)
def _rules(market: Market) -> Any:
    record = np.zeros(1, MARKET_EVENT)
    for name in MARKET_BODY_NAMES:
        if name not in ("base_asset", "quote_asset", "symbol"):
            record[name] = getattr(market, name)
    return market_rules(record[0], market.base.scale, market.quote.scale).view(np.recarray)[0]
