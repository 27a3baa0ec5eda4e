"""Stop orders: which of them the last price sets off, in which order, and what a fired one does."""

from __future__ import annotations

from reference.book import STOP_LOSS_TYPES, Order
from reference.directory import Market
from reference.matching import Matching
from reference.records import Fields, command_fields
from reference.reports import Reports
from reference.state import State
from ringex.messages import CommandKind, EventKind, Reason, Side


def rises(order: Order) -> bool:
    """Whether a price that rises to the stop price sets it off; else one that falls to it does."""
    return (order.order_type in STOP_LOSS_TYPES) == (order.side == Side.BUY)


def is_due(order: Order, last_price: int) -> bool:
    if last_price == 0:
        return False
    return last_price >= order.stop_price if rises(order) else last_price <= order.stop_price


def turn(order: Order) -> tuple[bool, int, int]:
    """Sorts the stops that are due: rising ones from the lowest, then falling ones from the highest, then by entry."""
    return (not rises(order), order.stop_price if rises(order) else -order.stop_price, order.order_id)


class Stops:
    def __init__(self, state: State, reports: Reports, matching: Matching) -> None:
        self.state = state
        self.reports = reports
        self.matching = matching

    def due_in(self, market: Market) -> list[Order]:
        """The stop orders that the market's last price sets off, first to fire first."""
        waiting = [o for o in self.state.open_orders.values() if o.is_waiting and self.state.market_of(o) is market]
        return sorted((order for order in waiting if is_due(order, market.last_price)), key=turn)

    def fire_one(self, market: Market) -> None:
        """The next stop of a cascade: a taker that nobody's session hears of."""
        self.reports.cause = _nobodys_command()
        order = self.due_in(market)[0]
        order.is_waiting = False
        order.collar = market.collar(order.side, self.reports.record["time_ns"])
        self.reports.order(EventKind.TRIGGERED, order)
        if order.can_rest and not self.state.has_room_in_level(market, order.side, order.price, order.quantity):
            self.matching.expire(order, Reason.ENGINE_FULL)
        elif self._costs_too_much(order):
            self.matching.expire(order, Reason.INSUFFICIENT_BALANCE)
        else:
            self.matching.enter(order)

    def _costs_too_much(self, order: Order) -> bool:
        """A market order that buys has held nothing so far."""
        buys_at_any_price = order.is_market and order.side == Side.BUY
        return buys_at_any_price and self.matching.walk(order)[1] > self.state.held_balance(order).free


def _nobodys_command() -> Fields:
    return command_fields({"kind": int(CommandKind.CONTINUE)})
