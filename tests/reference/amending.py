"""CANCEL and AMEND: what a client does to orders that are open."""

from __future__ import annotations

from reference.book import Order
from reference.directory import Market
from reference.matching import Matching
from reference.records import Fields
from reference.reports import Reports
from reference.state import RefusedError, State
from ringex.messages import AMOUNT_MAX
from ringex.reasons import Reason
from ringex.terms import CommandFlag, EventFlag, EventKind, ListStatus, OrderStatus, OrderType, Side


class Amending:
    def __init__(self, state: State, reports: Reports, matching: Matching) -> None:
        self.state = state
        self.reports = reports
        self.matching = matching

    # ---- CANCEL ----------------------------------------------------------------------------------------------------

    def cancel(self, command: Fields) -> None:
        order = self._find(command)
        only_new = command["flag_bits"] & CommandFlag.ONLY_NEW
        only_partially_filled = command["flag_bits"] & CommandFlag.ONLY_PARTIALLY_FILLED
        if (only_new and order.executed_quantity > 0) or (only_partially_filled and order.executed_quantity == 0):
            raise RefusedError(Reason.CANCEL_RESTRICTED)
        self.take_out(order, Reason.CANCELED_BY_CLIENT, command["client_order_id"])

    def _find(self, command: Fields) -> Order:
        """The open order that a CANCEL or AMEND means."""
        by_client = self.state.by_client_order_id(command["account"], command["original_client_order_id"])
        order = by_client
        if command["order_id"] > 0:
            order = self.state.open_orders.get(command["order_id"])
            if command["original_client_order_id"] and by_client is not order:
                raise RefusedError(Reason.UNKNOWN_ORDER)
        if order is None or (order.account, order.market) != (command["account"], command["market"]):
            raise RefusedError(Reason.UNKNOWN_ORDER)
        return order

    def take_out(self, order: Order, reason: Reason, client_order_id: str = "") -> None:
        """Cancel an open order: one that rests, a stop that waits, or one that is pending."""
        self.matching.lists.end(order, OrderStatus.CANCELED, reason, named_by=client_order_id)

    def expire(self, order: Order) -> None:
        """The date of an open order has come."""
        self.matching.lists.end(order, OrderStatus.EXPIRED, Reason.EXPIRED_BY_TIME)

    # ---- AMEND -----------------------------------------------------------------------------------------------------

    def amend(self, command: Fields) -> None:
        self.state.check_standing(command)
        order = self._find(command)
        book = self.state.market_of(order).book
        price, quantity = command["price"] or order.price, command["quantity"] or order.quantity
        self._check(order, command, price, quantity)
        old_price, old_id = order.price, order.client_order_id
        keeps_priority = not order.is_in_book or (price == order.price and quantity < order.quantity)
        if not keeps_priority:
            book.remove(order)
        locked = self.state.locked_for(self.state.partners(order))
        order.price, order.quantity = price, quantity
        order.shown = min(order.shown, order.left)
        order.client_order_id = command["client_order_id"] or old_id
        locked = self.state.locked_for(self.state.partners(order)) - locked
        self.state.ledger.hold(order.account, self.state.held_asset(order), locked)
        self.reports.order(
            EventKind.AMENDED,
            order,
            EventFlag.PRIORITY_KEPT if keeps_priority else 0,
            with_level_at=old_price if order.is_in_book else None,
            original_client_order_id=old_id,
        )
        if order.order_list and command["client_order_id"]:
            self.matching.lists.report(order.order_list, ListStatus.UPDATED)
        if not keeps_priority:
            self.matching.match(order)

    def _check(self, order: Order, command: Fields, price: int, quantity: int) -> None:
        market = self.state.market_of(order)
        if command["price"] < 0 or command["quantity"] < 0:
            raise RefusedError(Reason.INVALID_QUANTITY)
        if (price, quantity) == (order.price, order.quantity):
            raise RefusedError(Reason.AMEND_NOTHING)
        if quantity <= order.executed_quantity:
            raise RefusedError(Reason.AMEND_BELOW_EXECUTED)
        reprices = price != order.price
        if command["flag_bits"] & CommandFlag.KEEP_PRIORITY and (reprices or quantity > order.quantity):
            raise RefusedError(Reason.AMEND_LOSES_PRIORITY)
        awaits_peg = not order.is_in_book and order.peg_price_type
        if reason := market.check_order(OrderType.STOP_LOSS if awaits_peg else order.order_type, price, quantity):
            raise RefusedError(reason)
        terms = order.order_type, order.side, price, quantity
        if reprices and (reason := market.check_prices(*terms, self.reports.record["time_ns"])):
            raise RefusedError(reason)
        if quantity > order.quantity and order.side == Side.BUY:
            self.state.check_position(order.account, order.market, quantity - order.quantity)
        self.state.check_client_order_id(order.account, command["client_order_id"], but_for=order)
        if order.is_in_book:
            self._check_place(market, order, price, quantity)
        self._check_hold(market, order, price, quantity - order.executed_quantity)

    def _check_place(self, market: Market, order: Order, price: int, quantity: int) -> None:
        """Whether an order of the book may stand there."""
        reprices = price != order.price
        is_maker = order.order_type == OrderType.LIMIT_MAKER
        if reprices and is_maker and market.book.first_maker_for(order.side, price):
            raise RefusedError(Reason.WOULD_TAKE)
        others = market.book.level_quantity(order.side, price) - (0 if reprices else order.shown)
        if (reprices and self.state.is_level_table_full()) or others + quantity > AMOUNT_MAX:
            raise RefusedError(Reason.ENGINE_FULL)

    def _check_hold(self, market: Market, order: Order, price: int, left: int) -> None:
        hold = market.notional(price, left) if order.side == Side.BUY else market.base_amount(left)
        partners = self.state.partners(order)
        others = self.state.locked_for([other for other in partners if other is not order])
        needed = max(hold, others) if not order.is_pending else 0
        if needed - self.state.locked_for(partners) > self.state.held_balance(order).free and needed:
            raise RefusedError(Reason.INSUFFICIENT_BALANCE)
