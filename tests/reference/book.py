"""One market's book: for each side, price -> the orders that rest there, oldest first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ringex.terms import OrderStatus, OrderType, PegPriceType, Side, TimeInForce

if TYPE_CHECKING:
    from reference.orderlists import OrderList

MARKET_TYPES = (OrderType.MARKET, OrderType.STOP_LOSS, OrderType.TAKE_PROFIT)
STOP_TYPES = (OrderType.STOP_LOSS, OrderType.STOP_LOSS_LIMIT, OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT)
RESTING = (TimeInForce.GTC, TimeInForce.GTD)
STOP_LOSS_TYPES = (OrderType.STOP_LOSS, OrderType.STOP_LOSS_LIMIT)


@dataclass(eq=False)
class Order:
    order_id: int
    account: int
    market: int
    side: int
    order_type: int
    time_in_force: int
    price: int
    quantity: int  # total; of a MARKET order by quote amount: what it has executed so far
    quote_quantity: int
    client_order_id: str
    created_ns: int
    self_trade_prevention: int = 0
    session: tuple[int, int, int] = (0, 0, 0)  # (gateway, incarnation, connection) that placed it
    cancel_on_disconnect: bool = False
    stop_price: int = 0
    iceberg_quantity: int = 0
    executed_quantity: int = 0
    executed_quote: int = 0
    trade_count: int = 0
    shown: int = 0  # resting: what of it trades before it is refilled at the end of the queue
    good_till_ns: int = 0  # GTD: when it expires
    collar: int | None = None  # of one that takes any price: how far it may walk
    trailing_delta: int = 0  # stop orders: basis points behind the market
    peg_price_type: int = 0
    peg_offset: int = 0
    strategy_id: int = 0
    strategy_type: int = 0
    anchor: int | None = None  # a trailing stop that follows the market: the best price so far; 0: no trade yet
    following: int = 0  # when it began to, in order of beginning
    is_waiting: bool = False  # a stop order that has not fired
    entered: int = 0  # when it began to wait, among all that have
    is_pending: bool = False  # it waits for the working order of its list to be filled
    order_list: OrderList | None = None
    is_filled: bool = False  # a trade said so

    @property
    def is_in_book(self) -> bool:
        """Of an open order that does not match at the moment."""
        return not self.is_waiting and not self.is_pending

    @property
    def left(self) -> int:
        return self.quantity - self.executed_quantity

    @property
    def slice(self) -> int:
        """What a fresh place in the queue shows."""
        return min(self.iceberg_quantity, self.left) if self.iceberg_quantity else self.left

    @property
    def is_market(self) -> bool:
        """Whether it takes any price: MARKET, and a stop order that is one when it fires."""
        return self.order_type in MARKET_TYPES

    @property
    def is_by_quote(self) -> bool:
        return self.order_type == OrderType.MARKET and self.quote_quantity > 0

    @property
    def can_rest(self) -> bool:
        return not self.is_market and self.time_in_force in RESTING

    @property
    def limit(self) -> int | None:
        """The worst price it trades at; None: any."""
        return self.collar if self.is_market else self.price

    @property
    def quote_left(self) -> int:
        """MARKET by quote amount: what is still to be spent or earned."""
        return self.quote_quantity - self.executed_quote

    @property
    def open_status(self) -> OrderStatus:
        if self.is_pending:
            return OrderStatus.PENDING_NEW
        return OrderStatus.PARTIALLY_FILLED if self.executed_quantity else OrderStatus.NEW


@dataclass
class Book:
    bids: dict[int, list[Order]] = field(default_factory=dict)
    asks: dict[int, list[Order]] = field(default_factory=dict)

    def levels(self, side: int) -> dict[int, list[Order]]:
        return self.bids if side == Side.BUY else self.asks

    def prices_against(self, side: int) -> list[int]:
        """The prices on the other side of an order of this side, best for it first."""
        return sorted(self.asks) if side == Side.BUY else sorted(self.bids, reverse=True)

    def makers_for(self, side: int, limit: int | None) -> Iterator[Order]:
        """The resting orders that an order of this side and limit (None: any price) meets, first to trade first."""
        for price in self.prices_against(side):
            if limit is not None and not reaches(side, limit, price):
                return
            yield from self.asks[price] if side == Side.BUY else self.bids[price]

    def first_maker_for(self, side: int, limit: int | None) -> Order | None:
        return next(self.makers_for(side, limit), None)

    def peg_price(self, side: int, peg_price_type: int, peg_offset: int) -> int | None:
        """The price that a peg gives an order of this side now; None if the book has no such level."""
        other = Side.SELL if side == Side.BUY else Side.BUY
        pegged_to = side if peg_price_type == PegPriceType.PRIMARY_PEG else other
        prices = sorted(self.levels(pegged_to), reverse=pegged_to == Side.BUY)
        return prices[peg_offset] if peg_offset < len(prices) else None

    def rest(self, order: Order) -> None:
        """Put an order at the end of its level's queue, with a fresh slice of it to be seen."""
        order.shown = order.slice
        self.levels(order.side).setdefault(order.price, []).append(order)

    def remove(self, order: Order) -> None:
        levels = self.levels(order.side)
        levels[order.price].remove(order)
        if not levels[order.price]:
            del levels[order.price]

    def refill(self, order: Order) -> None:
        """An iceberg whose slice is used up goes to the end of its queue with the next."""
        self.remove(order)
        self.rest(order)

    def level_quantity(self, side: int, price: int) -> int:
        """What the level shows."""
        return sum(order.shown for order in self.levels(side).get(price, []))


def reaches(side: int, limit: int, price: int) -> bool:
    """Whether an order of this side with this limit may trade at `price`."""
    return price <= limit if side == Side.BUY else price >= limit
