"""What a side of a trade pays: whose rate is in force, and in which asset."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil

from reference.book import Order
from reference.directory import Directory, Market
from reference.ledger import Ledger
from ringex.messages import FEE_ACCOUNT, FEE_RATE_ONE
from ringex.terms import Side


@dataclass
class Bargain:
    """One side of a trade of `base` for `quote`."""

    market: Market
    order: Order
    role: str  # "taker" or "maker"
    base: int
    quote: int

    @property
    def buys(self) -> bool:
        return self.order.side == Side.BUY

    @property
    def received(self) -> int:
        return self.base if self.buys else self.quote

    @property
    def given(self) -> int:
        return self.quote if self.buys else self.base

    @property
    def asset_received(self) -> int:
        return int(self.market.base_asset if self.buys else self.market.quote_asset)

    @property
    def asset_given(self) -> int:
        return int(self.market.quote_asset if self.buys else self.market.base_asset)


@dataclass
class Fee:
    """As booked. `asset` is the fee asset if it was paid in that."""

    booked: int
    asset: int | None = None

    @property
    def asset_told(self) -> int:
        """As TRADE says it."""
        return 0 if self.asset is None else self.asset + 1


@dataclass
class Fees:
    directory: Directory
    ledger: Ledger
    schedules: dict[tuple[int, int], dict[str, int]] = field(default_factory=dict)  # by account and market, or -1
    asset: int | None = None
    multiplier: int = 0

    def rate(self, account: int, market_number: int, role: str) -> int:
        """In force now: the account's in this market, else the account's in all, else the market's."""
        market = self.directory.markets[market_number]
        usual = {"maker_fee": market.maker_fee, "taker_fee": market.taker_fee}
        for place in ((account, market_number), (account, -1)):
            if place in self.schedules:
                return self.schedules[place][f"{role}_fee"]
        return int(usual[f"{role}_fee"])

    def charge(self, trade: Bargain, *, pays_from_free: bool) -> Fee:
        """Take the fee of one side, which has paid and received. From the fee asset if it wants that and can."""
        rate = self.rate(trade.order.account, trade.order.market, trade.role)
        if rate > 0 and self.directory.accounts[trade.order.account].pays_in_fee_asset and self.asset is not None:
            cost = self._cost_in_fee_asset(trade, ceil(Fraction(rate * self.multiplier, FEE_RATE_ONE)))
            own = self.ledger.balance(trade.order.account, self.asset)
            needed_for_more = pays_from_free and trade.asset_given == self.asset
            if cost is not None and own.free >= cost and self._exists(trade.order.account) and not needed_for_more:
                own.free -= cost
                self.ledger.balance(FEE_ACCOUNT, self.asset).free += cost
                return Fee(cost, self.asset)
        booked = self.ledger.pay_fee(trade.asset_received, fee_on(trade.received, rate))
        self.ledger.balance(trade.order.account, trade.asset_received).free -= booked
        return Fee(booked)

    def _exists(self, account: int) -> bool:
        return (account, self.asset) in self.ledger.balances

    def _cost_in_fee_asset(self, trade: Bargain, rate: int) -> int | None:
        """The fee on the value of the trade, in the fee asset; None if that has no price.

        Where the fee asset itself is traded, what was traded of it; else by a price in quote, else by one in base.
        """
        values = [(trade.market.quote_asset, trade.quote), (trade.market.base_asset, trade.base)]
        values.sort(key=lambda value: value[0] != self.asset)
        for asset, value in values:
            price = self._price_in(asset)
            if price is not None:
                return ceil(fee_on(value, rate) / price)
        return None

    def _price_in(self, asset: int) -> Fraction | None:
        """What one unit of the fee asset costs in units of `asset`, by the last trade of the first such market."""
        if asset == self.asset:
            return Fraction(1)
        for market in self.directory.markets:
            if (market.base_asset, market.quote_asset) == (self.asset, asset):
                if market.last_price == 0:
                    return None
                return market.last_price * Fraction(10) ** (market.quote_scale - market.price_scale - market.base_scale)
        return None


def fee_on(received: int, rate: int) -> int:
    """The fee on what a side received: fees round up; a rebate, which is negative, rounds towards zero."""
    return -(-received * rate // FEE_RATE_ONE)
