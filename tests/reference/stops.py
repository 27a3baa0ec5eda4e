"""Stop orders: which of them the last price sets off, in which order, and what a fired one does."""

from __future__ import annotations

import math
from fractions import Fraction

from reference.book import STOP_LOSS_TYPES, Order
from reference.directory import Market
from reference.matching import Matching
from reference.records import Fields, command_fields
from reference.reports import Reports
from reference.state import State
from ringex.reasons import Reason
from ringex.terms import CommandKind, EventKind, MarketStatus, Side


def rises(order: Order) -> bool:
    """Whether a price that rises to the stop price sets it off; else one that falls to it does."""
    return (order.order_type in STOP_LOSS_TYPES) == (order.side == Side.BUY)


def is_due(order: Order, last_price: int) -> bool:
    if last_price == 0:
        return False
    return last_price >= order.stop_price if rises(order) else last_price <= order.stop_price


def trigger(order: Order) -> Fraction:
    """Where a trailing stop fires that follows the market."""
    assert order.anchor is not None
    part = Fraction(order.trailing_delta, 10_000)
    return order.anchor * (1 + part if order.side == Side.BUY else 1 - part)


def is_caught(order: Order, last_price: int) -> bool:
    """Whether the market has turned on a trailing stop by its whole delta."""
    if not order.anchor:
        return False
    return last_price >= trigger(order) if order.side == Side.BUY else last_price <= trigger(order)


def trailing_turn(order: Order) -> tuple[bool, int, int, int]:
    """Sorts trailing stops: who buys, from the lowest trigger, then who sells, from the highest; delta; beginning.

    A trigger is a whole price: rounded up for who buys, down for who sells.
    """
    buys = order.side == Side.BUY
    whole = math.ceil(trigger(order)) if buys else -math.floor(trigger(order))
    return (not buys, whole, order.trailing_delta, order.following)


def turn(order: Order) -> tuple[bool, int, int]:
    """Sorts the stops that are due: rising ones from the lowest, then falling ones from the highest, then by entry."""
    return (not rises(order), order.stop_price if rises(order) else -order.stop_price, order.entered)


class Stops:
    def __init__(self, state: State, reports: Reports, matching: Matching) -> None:
        self.state = state
        self.reports = reports
        self.matching = matching

    def due_in(self, market: Market) -> list[Order]:
        """The stop orders that the market's last price sets off, first to fire first."""
        if market.status != MarketStatus.TRADING:
            return []
        waiting = self._waiting_in(market)
        plain = [order for order in waiting if not order.trailing_delta and is_due(order, market.last_price)]
        trailing = [order for order in waiting if order.anchor is not None and is_caught(order, market.last_price)]
        return sorted(plain, key=turn) + sorted(trailing, key=trailing_turn)

    def _waiting_in(self, market: Market) -> list[Order]:
        mine = [order for order in self.state.open_orders.values() if self.state.market_of(order) is market]
        return [order for order in mine if order.is_waiting and not order.is_pending]

    def follow(self, market: Market, price: int) -> None:
        """A trade at this price: trailing stops that follow the market look at it, others may begin by it."""
        trailing = [order for order in self._waiting_in(market) if order.trailing_delta]
        for order in trailing:
            if order.anchor == 0:
                order.anchor = price
            elif order.anchor is not None:
                order.anchor = min(order.anchor, price) if order.side == Side.BUY else max(order.anchor, price)
        arming = [order for order in trailing if order.anchor is None and is_due(order, price)]
        for order in sorted(arming, key=lambda order: (rises(order), *turn(order)[1:])):
            self.state.begin_following(order, price)

    def fire_one(self, market: Market) -> None:
        """The next stop of a cascade: a taker that nobody's session hears of."""
        self.reports.cause = _nobodys_command()
        order = self.due_in(market)[0]
        self.matching.lists.is_reached(order)
        order.is_waiting = False
        if order.is_market:
            order.collar = market.collar(order.side, self.reports.record["time_ns"])
        obstacle = self._take_peg_price(market, order) if order.peg_price_type else None
        self.reports.order(EventKind.TRIGGERED, order)
        if obstacle or (order.peg_price_type and not self._hold_at_peg(order)):
            order.price = 0
            self.matching.expire(order, obstacle or Reason.INSUFFICIENT_BALANCE)
        elif order.can_rest and not self.state.has_room_in_level(market, order.side, order.price, order.quantity):
            self.matching.expire(order, Reason.ENGINE_FULL)
        elif self._costs_too_much(order):
            self.matching.expire(order, Reason.INSUFFICIENT_BALANCE)
        else:
            self.matching.enter(order)

    def _take_peg_price(self, market: Market, order: Order) -> Reason | None:
        """The price that the order's peg gives it now. Why it may not have it, or None."""
        price = market.book.peg_price(order.side, order.peg_price_type, order.peg_offset)
        order.price = price or 0
        if price is None:
            return Reason.NO_PEG_PRICE
        terms = order.order_type, order.side, price, order.quantity
        return (
            market.check_order(order.order_type, price, order.quantity)
            or market.check_prices(*terms, self.reports.record["time_ns"])
            or None
        )

    def _hold_at_peg(self, order: Order) -> bool:
        """Lock what the price of the peg needs; one that sells has locked it at entry."""
        if order.side == Side.SELL:
            return True
        if self.state.hold_of(order) > self.state.held_balance(order).free:
            return False
        self.state.ledger.hold(order.account, self.state.held_asset(order), self.state.hold_of(order))
        return True

    def _costs_too_much(self, order: Order) -> bool:
        """A market order that buys has held nothing so far."""
        buys_at_any_price = order.is_market and order.side == Side.BUY
        return buys_at_any_price and self.matching.walk(order)[1] > self.state.held_balance(order).free


def _nobodys_command() -> Fields:
    return command_fields({"kind": int(CommandKind.CONTINUE)})
