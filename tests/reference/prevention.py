"""Self-trade prevention: which orders may not trade with each other, and what becomes of them where they meet."""

from __future__ import annotations

from reference.book import Order
from reference.orderlists import OrderLists
from reference.reports import Reports
from reference.state import State
from ringex.reasons import Reason
from ringex.terms import EventFlag, EventKind, OrderStatus, SelfTradePrevention

ENDING_TAKER = (SelfTradePrevention.EXPIRE_TAKER, SelfTradePrevention.EXPIRE_BOTH)
ENDING_MAKER = (SelfTradePrevention.EXPIRE_MAKER, SelfTradePrevention.EXPIRE_BOTH)


class Prevention:
    def __init__(self, state: State, reports: Reports, lists: OrderLists) -> None:
        self.state = state
        self.reports = reports
        self.lists = lists

    def keeps_apart(self, taker: Order, maker: Order) -> bool:
        if taker.self_trade_prevention == SelfTradePrevention.NONE:
            return False
        groups = [self.state.directory.accounts[order.account].trade_group for order in (taker, maker)]
        return taker.account == maker.account or (groups[0] == groups[1] > 0)

    def prevent(self, taker: Order, maker: Order, wanted: int) -> bool:
        """The two have met, and the taker wants that much. Whether it goes on."""
        mode, quantity = taker.self_trade_prevention, min(wanted, maker.left)
        if mode != SelfTradePrevention.EXPIRE_TAKER:
            self.lists.is_reached(maker)
        self._report(taker, maker, quantity)
        is_decrement = mode == SelfTradePrevention.DECREMENT
        ends_maker = mode in ENDING_MAKER or (is_decrement and quantity == maker.left)
        ends_taker = mode in ENDING_TAKER or (is_decrement and quantity == taker.left)
        if ends_maker:
            self.lists.end(maker, OrderStatus.EXPIRED_IN_MATCH, Reason.PREVENTED)
        elif is_decrement:
            self._decrement(maker, quantity, with_level_at=maker.price)
        if ends_taker:
            self._end(taker)
        elif is_decrement:
            self._decrement(taker, quantity)
        return not ends_taker

    def _report(self, taker: Order, maker: Order, quantity: int) -> None:
        market = self.state.market_of(taker)
        market.prevented_match_id += 1
        self.reports.emit(
            EventKind.PREVENTED,
            account=taker.account,
            market=taker.market,
            order_id=taker.order_id,
            execution_id=self.reports.next_execution_id(),
            price=maker.price,
            quantity=quantity,
            prevented_match_id=market.prevented_match_id,
            maker_order_id=maker.order_id,
            maker_account=maker.account,
            mode=taker.self_trade_prevention,
            side=taker.side,
            command_kind=self.reports.cause["kind"],
        )

    def _end(self, taker: Order) -> None:
        status, reason = OrderStatus.EXPIRED_IN_MATCH, Reason.PREVENTED
        self.state.close(taker)
        self.reports.order(EventKind.CANCELED, taker, status=status, reason=reason)
        self.lists.has_ended(taker, status, reason)

    def _decrement(self, order: Order, quantity: int, with_level_at: int | None = None) -> None:
        self.state.release(order, quantity)
        order.quantity -= quantity
        order.shown = min(order.shown, order.left)
        self.reports.order(
            EventKind.AMENDED,
            order,
            EventFlag.PRIORITY_KEPT,
            with_level_at=with_level_at,
            reason=Reason.PREVENTED,
        )
