"""One market's book: for each side, price -> the orders that rest there, oldest first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from ringex.messages import OrderStatus, OrderType, Side


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
    executed_quantity: int = 0
    executed_quote: int = 0
    trade_count: int = 0

    @property
    def left(self) -> int:
        return self.quantity - self.executed_quantity

    @property
    def is_market(self) -> bool:
        return self.order_type == OrderType.MARKET

    @property
    def is_by_quote(self) -> bool:
        return self.is_market and self.quote_quantity > 0

    @property
    def quote_left(self) -> int:
        """MARKET by quote amount: what is still to be spent or earned."""
        return self.quote_quantity - self.executed_quote

    @property
    def open_status(self) -> OrderStatus:
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

    def rest(self, order: Order) -> None:
        """Put an order at the end of its level's queue."""
        self.levels(order.side).setdefault(order.price, []).append(order)

    def remove(self, order: Order) -> None:
        levels = self.levels(order.side)
        levels[order.price].remove(order)
        if not levels[order.price]:
            del levels[order.price]

    def level_quantity(self, side: int, price: int) -> int:
        return sum(order.left for order in self.levels(side).get(price, []))


def reaches(side: int, limit: int, price: int) -> bool:
    """Whether an order of this side with this limit may trade at `price`."""
    return price <= limit if side == Side.BUY else price >= limit
