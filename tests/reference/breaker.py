"""The circuit breaker: which trades must not happen, and what happens instead."""

from __future__ import annotations

from reference.book import Order
from reference.directory import Market
from reference.reports import Reports
from reference.state import State
from ringex.messages import AMOUNT_MAX, MULTIPLIER_ONE
from ringex.terms import FilterFlag, MarketStatus, TimerKind

SECOND_NS = 10**9


class Breaker:
    def __init__(self, state: State, reports: Reports) -> None:
        self.state = state
        self.reports = reports

    def bounds(self, market: Market) -> tuple[int, int]:
        """The lowest and the highest price at which the market may trade now."""
        now = self.reports.record["time_ns"]
        if market.breaker_band == 0:
            return 0, AMOUNT_MAX
        price, since_ns = market.breaker
        if price == 0 or now - since_ns >= market.breaker_window_seconds * SECOND_NS:
            price = market.last_price or market.reference_price
            market.breaker = price, now
        if price == 0:
            return 0, AMOUNT_MAX
        lowest = -(-price * max(0, MULTIPLIER_ONE - market.breaker_band) // MULTIPLIER_ONE)
        highest = price * (MULTIPLIER_ONE + market.breaker_band) // MULTIPLIER_ONE
        return min(AMOUNT_MAX, lowest), min(AMOUNT_MAX, highest)

    def is_beyond(self, market: Market, price: int) -> bool:
        lowest, highest = self.bounds(market)
        return not lowest <= price <= highest

    def trips(self, order: Order, price: int) -> bool:
        """Whether the order must not trade at this price: then its market stands still from now on."""
        market = self.state.market_of(order)
        if not self.is_beyond(market, price):
            return False
        to_auction = market.filter_bits & FilterFlag.BREAK_TO_AUCTION
        market.rules["status"] = int(MarketStatus.AUCTION if to_auction else MarketStatus.HALT)
        self.reports.market(order.market)
        due_ns = self.reports.record["time_ns"] + market.breaker_pause_seconds * SECOND_NS
        self.state.set_timer(TimerKind.MARKET_RESUME, order.market, due_ns)
        return True
