"""The market that a recording needs: tick and scales as its prices show them, wide bounds, and one rich account.

Who was behind an order is not recorded, so one account enters them all, bids and asks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from ringex.config import Settings
from ringex.decimals import format_scaled
from ringex.markets import Account, Asset, Market
from ringex.messages import AMOUNT_MAX

from .mbo import ADD, MODIFY, PRICE_ONE

ACCOUNT: Final = "replay"
_PRICE_DECIMALS: Final = 9
_CENTS: Final = 2
_QUANTITY_MAX: Final = 1_000_000_000
_DEPOSIT: Final = 10**18
"""Of each asset's smallest unit: no order is refused for want of funds."""
_ORDERS_MAX: Final = 1 << 20


@dataclass(frozen=True)
class Instrument:
    market: Market
    base: Asset
    quote: Asset

    @property
    def price_unit(self) -> int:
        """One unit of the market's prices, in the recording's 1e-9."""
        return PRICE_ONE // int(10**self.market.price_scale)

    def settings(self, data_dir: Path) -> Settings:
        """An exchange with this market and one account, `replay` (number 1)."""
        deposits = ((self.base.name, _DEPOSIT), (self.quote.name, _DEPOSIT))
        return Settings(
            data_dir=data_dir,
            assets=(self.base, self.quote),
            markets=(self.market,),
            accounts=(Account(ACCOUNT, deposits),),
        )

    def config(self) -> str:
        """The same as a configuration file for `ringex start --config`."""
        market, quote = self.market, self.quote
        deposits = ", ".join(f'{asset.name} = "{format_scaled(_DEPOSIT, asset.scale)}"' for asset in (self.base, quote))
        return f"""\
[[assets]]
name = "{self.base.name}"
scale = {self.base.scale}

[[assets]]
name = "{quote.name}"
scale = {quote.scale}

[[markets]]
symbol = "{market.symbol}"
base = "{market.base}"
quote = "{market.quote}"
price_scale = {market.price_scale}
quantity_scale = {market.quantity_scale}
tick = "{format_scaled(market.tick, market.price_scale)}"
lot = "1"
price_max = "{format_scaled(market.price_max, market.price_scale)}"
quantity_max = "{market.quantity_max}"
maker_fee = "0" # a fee is rounded up to a whole contract, and would eat a fill of one
taker_fee = "0"
orders_per_account_max = {market.orders_per_account_max}

[[accounts]]
name = "{ACCOUNT}"
deposits = {{ {deposits} }}
"""


def instrument_of(records: np.ndarray, symbol: str, base: str, quote: str) -> Instrument:
    """The instrument of `records` (dtype MBO). Raises ValueError for prices that a spot market cannot have."""
    placed = records[(records["action"] == ADD) | (records["action"] == MODIFY)]
    prices = np.unique(placed["price"])
    if len(prices) == 0:
        raise ValueError("the recording holds no order")
    if prices[0] <= 0:
        raise ValueError(f"the recording has prices of zero or below ({prices[0] / PRICE_ONE}); ringex has none")
    tick = math.gcd(*(int(price) for price in prices))
    scale = next(scale for scale in range(_PRICE_DECIMALS + 1) if tick % 10 ** (_PRICE_DECIMALS - scale) == 0)
    unit = 10 ** (_PRICE_DECIMALS - scale)
    step = tick // unit
    price_max = 10 ** len(str(int(prices[-1]) // unit)) // step * step
    market = Market(
        symbol=symbol,
        base=base,
        quote=quote,
        price_scale=scale,
        quantity_scale=0,
        tick=step,
        lot=1,
        price_min=step,
        price_max=price_max,
        quantity_min=1,
        quantity_max=_QUANTITY_MAX,
        notional_min=0,
        notional_max=AMOUNT_MAX,
        maker_fee=0,
        taker_fee=0,
        orders_per_account_max=_ORDERS_MAX,
    )
    return Instrument(market, Asset(base, 0), Asset(quote, max(scale, _CENTS)))
