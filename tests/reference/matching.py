"""A taker against the book: best price first, oldest first, until nothing more matches; and the trades' settlement."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from reference.book import Order, reaches
from reference.breaker import Breaker
from reference.directory import Market
from reference.fees import Bargain, Fee
from reference.orderlists import OrderLists
from reference.prevention import ENDING_TAKER, Prevention
from reference.reports import Reports
from reference.state import State, TakerLeft
from ringex.reasons import Reason
from ringex.terms import EventFlag, EventKind, MarketStatus, OrderStatus, Side, TimeInForce

STEP_EVENTS_MAX = 8
"""A step begins where there is room for more events than these."""


class Matching:
    def __init__(self, state: State, reports: Reports, lists: OrderLists) -> None:
        self.state = state
        self.reports = reports
        self.lists = lists
        self.prevention = Prevention(state, reports, lists)
        self.breaker = Breaker(state, reports)

    def enter(self, order: Order) -> None:
        """An order that has just been accepted or has just fired takes what it can get."""
        if order.time_in_force == TimeInForce.FOK and self.walk(order, within_band=True)[0] < order.quantity:
            self.expire(order, Reason.NOT_FILLED_AT_ONCE)
        else:
            self.match(order)

    def match(self, order: Order) -> None:
        """Trade until nothing more matches, then rest or expire; or leave the rest to CONTINUE."""
        while maker := self.next_maker(order):
            if self.prevention.keeps_apart(order, maker):
                if not self.prevention.prevent(order, maker, self._wanted_at(order, maker.price)):
                    return
            elif not self.breaker.trips(order, maker.price):
                self._trade(order, maker)
            if self.reports.room <= STEP_EVENTS_MAX and self.next_maker(order):
                self.state.pending = TakerLeft(self.reports.cause, order)
                return
        if order.is_filled:
            self.state.open_orders.pop(order.order_id, None)
            self.lists.is_filled(order)
        elif order.can_rest:
            self.rest(order)
            self.reports.order(EventKind.RESTED, order, with_level_at=order.price)
        else:
            is_stopped = order.collar is not None and self._meets_somebody_beyond(order)
            is_paused = self.state.market_of(order).status != MarketStatus.TRADING
            reason = Reason.PRICE_COLLAR if is_stopped else Reason.NO_LIQUIDITY
            self.expire(order, Reason.MARKET_PAUSED if is_paused else reason)

    def next_maker(self, order: Order) -> Order | None:
        """Whom the order meets next, to trade or to be kept from it; None if nobody."""
        market = self.state.market_of(order)
        if market.status != MarketStatus.TRADING:
            return None
        maker = market.book.first_maker_for(order.side, order.limit)
        return maker if maker and self._wanted_at(order, maker.price) > 0 else None

    def _meets_somebody_beyond(self, order: Order) -> bool:
        """Whether the order would meet somebody if it might walk on, and meets nobody as far as it may."""
        book = self.state.market_of(order).book
        return book.first_maker_for(order.side, order.limit) is None and bool(book.prices_against(order.side))

    def _wanted_at(self, order: Order, price: int) -> int:
        """What is left of the order; of one by quote amount, the whole lots that the rest buys or sells."""
        if not order.is_by_quote:
            return order.left
        market = self.state.market_of(order)
        return int(order.quote_left // market.notional(price, market.lot) * market.lot)

    def walk(self, order: Order, within_band: bool = False) -> tuple[int, int]:
        """What it would execute on the present book: (quantity, quote amount); perhaps until the breaker trips."""
        market = self.state.market_of(order)
        quantity = quote = 0
        for price, offered in self._offers_to(order):
            wanted = order.quantity - quantity
            if order.is_by_quote:
                wanted = (order.quote_quantity - quote) // market.notional(price, market.lot) * market.lot
            if wanted == 0 or (within_band and self.breaker.is_beyond(market, price)):
                break
            quantity += min(wanted, offered)
            quote += market.notional(price, min(wanted, offered))
        return quantity, quote

    def _offers_to(self, order: Order) -> Iterator[tuple[int, int]]:
        """(price, quantity) of what the book shows the order, piece after piece, if it takes each of them whole."""
        book = self.state.market_of(order).book
        for price in book.prices_against(order.side):
            if order.limit is not None and not reaches(order.side, order.limit, price):
                return
            queue = deque((maker, maker.left, maker.shown) for maker in book.levels(_other(order.side))[price])
            while queue:
                maker, left, shown = queue.popleft()
                if self.prevention.keeps_apart(order, maker):
                    if order.self_trade_prevention in ENDING_TAKER:
                        return
                    continue
                yield price, shown
                if left > shown:
                    queue.append((maker, left - shown, min(maker.iceberg_quantity, left - shown)))

    def rest(self, order: Order) -> None:
        self.state.market_of(order).book.rest(order)
        self.state.open_orders[order.order_id] = order

    def expire(self, order: Order, reason: Reason) -> None:
        """End an order that could not be filled and may not rest."""
        self.state.close(order)
        self.reports.order(EventKind.CANCELED, order, status=OrderStatus.EXPIRED, reason=reason)
        self.lists.has_ended(order, OrderStatus.EXPIRED, reason)

    def _trade(self, taker: Order, maker: Order) -> None:
        market = self.state.market_of(taker)
        price = maker.price
        quantity = min(self._wanted_at(taker, price), maker.shown)
        self.lists.is_reached(maker)
        self.deal(taker, maker, price, quantity)
        maker.shown -= quantity
        maker.is_filled = maker.left == 0
        if maker.is_filled:
            market.book.remove(maker)
            del self.state.open_orders[maker.order_id]
        taker.is_filled = self._is_filled(taker)
        market.book_update_id += 1
        self.reports.events[-1] |= {
            "flag_bits": int(EventFlag.LEVEL),
            "taker_status": int(OrderStatus.FILLED if taker.is_filled else OrderStatus.PARTIALLY_FILLED),
            "maker_status": int(OrderStatus.FILLED if maker.is_filled else OrderStatus.PARTIALLY_FILLED),
            "book_update_id": market.book_update_id,
            "level_quantity": market.book.level_quantity(maker.side, price),
        }
        if maker.shown == 0 and not maker.is_filled:
            market.book.refill(maker)
            self.reports.order(EventKind.RESTED, maker, with_level_at=price)
        if maker.is_filled:
            self.lists.is_filled(maker)

    def deal(self, taker: Order, maker: Order, price: int, quantity: int, taker_role: str = "taker") -> None:
        """What two orders that trade give, get and count; TRADE says all but what becomes of orders and levels."""
        market = self.state.market_of(taker)
        quote = market.notional(price, quantity)
        fees = self._settle(market, ((taker, taker_role), (maker, "maker")), price, quantity)
        for order, role in ((taker, taker_role), (maker, "maker")):
            if order.executed_quantity == 0:
                counts = self.state.directory.accounts[order.account].order_counts
                counts.first_fill(role, self.reports.record["time_ns"])
            order.executed_quantity += quantity
            order.executed_quote += quote
            order.trade_count += 1
        if taker.is_by_quote:
            taker.quantity = taker.executed_quantity
        market.last_price = price
        market.average.note(self.reports.record["time_ns"], price, quantity)
        market.trade_id += 1
        taker_execution_id = self.reports.next_execution_id()
        self.reports.next_execution_id()  # the maker's
        self.reports.emit(
            EventKind.TRADE,
            account=taker.account,
            market=taker.market,
            order_id=taker.order_id,
            execution_id=taker_execution_id,
            price=price,
            quantity=quantity,
            trade_id=market.trade_id,
            quote_amount=quote,
            maker_order_id=maker.order_id,
            side=taker.side,
            command_kind=self.reports.cause["kind"],
            maker_account=maker.account,
            taker_executed_quantity=taker.executed_quantity,
            taker_executed_quote=taker.executed_quote,
            maker_executed_quantity=maker.executed_quantity,
            maker_executed_quote=maker.executed_quote,
            taker_fee=fees[0].booked,
            maker_fee=fees[1].booked,
            taker_fee_asset=fees[0].asset_told,
            maker_fee_asset=fees[1].asset_told,
            **self.reports.balances_in(market, taker.account, "taker"),
            **self.reports.balances_in(market, maker.account, "maker"),
        )

    def _is_filled(self, taker: Order) -> bool:
        """After a trade. By quote amount also when what is left buys no lot of a maker who is there."""
        if not taker.is_by_quote:
            return taker.left == 0
        maker = self.state.market_of(taker).book.first_maker_for(taker.side, taker.limit)
        return taker.quote_left == 0 or (maker is not None and self._wanted_at(taker, maker.price) == 0)

    def _settle(self, market: Market, sides: tuple[tuple[Order, str], ...], price: int, quantity: int) -> list[Fee]:
        """Move base and quote between the two, taker first, less fees. The fees as booked: taker's, maker's."""
        fees = []
        quote = market.notional(price, quantity)
        base = market.base_amount(quantity)
        for order, role in sides:
            trade = Bargain(market, order, role, base, quote)
            held = self.state.hold_for(order, quantity)
            self.state.release(order, quantity)
            self.state.ledger.balance(order.account, trade.asset_given).free -= trade.given
            self.state.ledger.balance(order.account, trade.asset_received).free += trade.received
            fees.append(self.state.fees.charge(trade, pays_from_free=held == 0))
        return fees


def _other(side: int) -> Side:
    return Side.SELL if side == Side.BUY else Side.BUY
