"""The markets as compiled code reads them: symbol -> number, and by number the rules, the scales, the assets' names.

A copy of the read model's catalogue, brought up to date where that has changed.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from ringex.config import Limits
from ringex.gateways.express.texts import Vocabulary
from ringex.gateways.filters import rules_of
from ringex.history.catalogue import Catalogue, Market
from ringex.jit import inlined
from ringex.memory import address_of, record_at
from ringex.messages import FEE_ACCOUNT
from ringex.rules import MARKET_RULES

SYMBOL_BYTES: Final = 24
ASSET_NAME_BYTES: Final = 16

MARKET: Final = np.dtype(
    [
        ("price_scale", "i8"),
        ("quantity_scale", "i8"),
        ("base_asset", "i8"),
        ("quote_asset", "i8"),
        ("quote_scale", "i8"),
        ("symbol_length", "i8"),
        ("symbol", f"S{SYMBOL_BYTES}"),
    ],
    align=True,
)
SYMBOL_OFFSET: Final[int] = MARKET.fields["symbol"][1]  # type: ignore[index]
ASSET: Final = np.dtype(
    [("scale", "i8"), ("name_length", "i8"), ("name", f"S{ASSET_NAME_BYTES}")],
    align=True,
)
NAME_OFFSET: Final[int] = ASSET.fields["name"][1]  # type: ignore[index]
MARKETS: Final = np.dtype(
    [
        ("symbols", "i8"),  # vocabulary: symbol -> market number
        ("rules", "i8"),  # address of MARKET_RULES records, by market number
        ("markets", "i8"),  # address of MARKET records, by market number
        ("assets", "i8"),  # address of ASSET records, by asset number
        ("own_limits", "i8"),  # address of ORDER_LIMITS records, by account number; 0: as all have it
        ("orders_10s_max", "i8"),  # of accounts without limits of their own
        ("orders_1d_max", "i8"),
    ]
)


ORDER_LIMITS: Final = np.dtype([("orders_10s_max", "i8"), ("orders_1d_max", "i8")])


class Markets:
    """Markets and assets within `limits`, and how many orders each account may send."""

    def __init__(self, limits: Limits) -> None:
        self._rules = np.zeros(limits.markets_max, MARKET_RULES)
        self._markets = np.zeros(limits.markets_max, MARKET)
        self._assets = np.zeros(limits.assets_max, ASSET)
        self._own_limits = np.zeros(limits.accounts_max, ORDER_LIMITS)
        self._symbols = Vocabulary(limits.markets_max)
        self._known: list[Market] = []
        self._seen: tuple[Catalogue | None, int] = (None, -1)
        self._limits_seen = -1
        self._root = np.zeros(1, MARKETS)
        self._root["symbols"] = self._symbols.address
        self._root["rules"] = address_of(self._rules)
        self._root["markets"] = address_of(self._markets)
        self._root["assets"] = address_of(self._assets)
        self._root["own_limits"] = address_of(self._own_limits)
        self.address = address_of(self._root)

    def update(self, catalogue: Catalogue) -> None:
        """Take what the catalogue has and this has not; next to nothing where it has not changed."""
        seen = (catalogue, catalogue.revision)
        if seen[0] is self._seen[0] and seen[1] == self._seen[1]:
            return
        if catalogue is not self._seen[0] or catalogue.limits_revision != self._limits_seen:
            self._take_limits(catalogue)
        self._seen = seen
        for asset in catalogue.assets:
            self._assets[asset.number] = (asset.scale, len(asset.name), asset.name.encode("ascii"))
        for market in catalogue.markets:
            number = market.number
            if number >= len(self._known):
                self._symbols.put(market.symbol, number)
                self._known.append(market)
            elif self._known[number] is market:
                continue
            self._known[number] = market
            self._rules[number] = rules_of(market)[0]
            self._markets[number] = (
                *(market.price_scale, market.quantity_scale, market.base.number, market.quote.number),
                *(market.quote.scale, len(market.symbol), market.symbol.encode("ascii")),
            )

    def _take_limits(self, catalogue: Catalogue) -> None:
        self._limits_seen = catalogue.limits_revision
        self._own_limits[:] = 0
        for account, own in catalogue.own_order_limits():
            self._own_limits[account] = (own.orders_10s_max, own.orders_1d_max)
        usual = catalogue.order_limits_of(FEE_ACCOUNT)
        self._root["orders_10s_max"], self._root["orders_1d_max"] = usual.orders_10s_max, usual.orders_1d_max


@inlined
def orders_10s_max(markets: int, account: int) -> int:
    """How many orders an account may send in ten seconds."""
    m = record_at(markets, 0, MARKETS)
    own = record_at(m.own_limits, account, ORDER_LIMITS).orders_10s_max
    return own if own != 0 else m.orders_10s_max


@inlined
def orders_1d_max(markets: int, account: int) -> int:
    """How many it may send on a day."""
    m = record_at(markets, 0, MARKETS)
    own = record_at(m.own_limits, account, ORDER_LIMITS).orders_1d_max
    return own if own != 0 else m.orders_1d_max
