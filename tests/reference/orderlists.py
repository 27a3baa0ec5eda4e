"""Order lists: which orders belong together, and what the end or the fill of one means for the others."""

from __future__ import annotations

from dataclasses import dataclass, field

from reference.book import Order
from reference.reports import Reports
from reference.state import State
from ringex.reasons import Reason
from ringex.terms import EventKind, ListKind, ListStatus, OrderStatus


@dataclass(eq=False)
class OrderList:
    order_list_id: int
    account: int
    market: int
    kind: ListKind
    client_order_id: str
    orders: list[Order] = field(default_factory=list)  # open or not, the working one first
    is_due: bool = False  # the working order is filled, the others are to be placed

    @property
    def working(self) -> Order | None:
        return None if self.kind == ListKind.OCO else self.orders[0]

    @property
    def pair(self) -> list[Order]:
        """Two orders, of which one cancels the other."""
        return {ListKind.OCO: self.orders, ListKind.OTO: [], ListKind.OTOCO: self.orders[1:]}[self.kind]

    @property
    def to_be_placed(self) -> list[Order]:
        return [] if self.kind == ListKind.OCO else self.orders[1:]


class OrderLists:
    def __init__(self, state: State, reports: Reports) -> None:
        self.state = state
        self.reports = reports

    def end(self, order: Order, status: OrderStatus, reason: Reason, named_by: str | None = None) -> None:
        """An open order, of a list or not, ends where it is. `named_by`: the id of the command that cancels it."""
        self._end_one(order, status, reason, named_by)
        self.has_ended(order, status, reason, named_by)

    def has_ended(self, order: Order, status: OrderStatus, reason: Reason, named_by: str | None = None) -> None:
        """An order has ended unfilled: its list ends with it."""
        if order.order_list is None:
            return
        if status != OrderStatus.CANCELED:
            status, reason = OrderStatus.EXPIRED, Reason.ENDED_WITH_LIST
        for other in self.open_of(order.order_list):
            self._end_one(other, status, reason, named_by)
        self._is_over(order.order_list)

    def is_reached(self, order: Order) -> None:
        """An order is about to trade or to fire: the other of its pair expires."""
        order_list = order.order_list
        if order_list is None or order not in order_list.pair:
            return
        for other in self.open_of(order_list):
            if other is not order:
                self._end_one(other, OrderStatus.EXPIRED, Reason.ENDED_WITH_LIST, None)

    def is_filled(self, order: Order) -> None:
        """An order is filled, and no longer open."""
        order_list = order.order_list
        if order_list is None:
            return
        if order is order_list.working:
            order_list.is_due = True
            self.state.due_lists.append(order_list)
        elif not self.open_of(order_list):
            self._is_over(order_list)

    def open_of(self, order_list: OrderList) -> list[Order]:
        return [order for order in order_list.orders if order.order_id in self.state.open_orders]

    def report(self, order_list: OrderList, status: ListStatus) -> None:
        ids = [*(order.order_id for order in order_list.orders), 0]
        self.reports.emit(
            EventKind.ORDER_LIST,
            account=order_list.account,
            market=order_list.market,
            order_list_id=order_list.order_list_id,
            first_order_id=ids[0],
            second_order_id=ids[1],
            third_order_id=ids[2],
            list_kind=order_list.kind,
            list_status=status,
            command_kind=self.reports.cause["kind"],
            transport=self.reports.cause["transport"],
            client_order_id=order_list.client_order_id,
        )

    def _is_over(self, order_list: OrderList) -> None:
        self.report(order_list, ListStatus.ALL_DONE)
        del self.state.order_lists[order_list.order_list_id]
        if order_list.is_due:
            self.state.due_lists.remove(order_list)

    def _end_one(self, order: Order, status: OrderStatus, reason: Reason, named_by: str | None) -> None:
        if order.is_in_book:
            self.state.market_of(order).book.remove(order)
        self.state.close(order)
        ids = {}
        if named_by is not None:
            ids = {"client_order_id": named_by, "original_client_order_id": order.client_order_id}
        level = order.price if order.is_in_book else None
        self.reports.order(EventKind.CANCELED, order, with_level_at=level, status=status, reason=reason, **ids)
