"""Auctions: at which price a crossed book would trade most, and the uncross that trades it."""

from __future__ import annotations

from reference.book import Order
from reference.directory import Market
from reference.matching import Matching
from reference.reports import Reports
from reference.state import State, UncrossLeft
from ringex.messages import AMOUNT_MAX
from ringex.terms import CommandKind, EventFlag, EventKind, MarketStatus, OrderStatus, Side

UNCROSS_STEP_EVENTS_MAX = 9
"""What one trade of an uncross, with refills and levels, and the end of a step emit at most."""


class Auctions:
    def __init__(self, state: State, reports: Reports, matching: Matching) -> None:
        self.state = state
        self.reports = reports
        self.matching = matching

    def find(self, market: Market) -> tuple[int, int, int]:
        """(price, quantity, imbalance) of an uncross; zeros where nothing crosses. Every possible price is tried."""
        book = market.book
        if not book.bids or not book.asks or max(book.bids) < min(book.asks):
            return 0, 0, 0
        lowest, highest = min(book.asks), max(book.bids)
        ticks = range(-(-lowest // market.tick) * market.tick, highest + 1, market.tick)
        levels = [price for price in (*book.bids, *book.asks) if lowest <= price <= highest]
        usual = market.last_price or market.reference_price
        tries = []
        for price in {*ticks, *levels}:
            bought = min(AMOUNT_MAX, sum(order.left for p, queue in book.bids.items() if p >= price for order in queue))
            sold = sum(order.left for p, queue in book.asks.items() if p <= price for order in queue)
            tries.append((-min(bought, sold), abs(bought - sold), abs(price - usual), price, bought - sold))
        best = min(tries)
        return best[3], -best[0], best[4]

    def indicate(self, number: int) -> None:
        """INDICATIVE, if the market is in an auction and what it would give has changed."""
        market = self.state.directory.markets[number]
        if market.status != MarketStatus.AUCTION or self.reports.room == 0:
            return
        found = self.find(market)
        if found != market.indicative:
            market.indicative = found
            self._report(number, found)

    def open(self, number: int) -> None:
        """The market has come to be TRADING."""
        market = self.state.directory.markets[number]
        found = self.find(market)
        if found[0]:
            self._report(number, found)
            market.breaker = (found[0], self.reports.record["time_ns"])
            self.uncross(number, found[0])

    def uncross(self, number: int, price: int) -> None:
        """Oldest with oldest, best price first, as long as both sides reach the price; or the rest to CONTINUE."""
        market = self.state.directory.markets[number]
        cause = self.reports.cause
        self.reports.cause = cause | {"kind": int(CommandKind.UNCROSS)}
        changed: list[tuple[int, int]] = []  # the levels that the last trade has left in the book
        while pair := self._next_pair(market, price):
            if self.reports.room < UNCROSS_STEP_EVENTS_MAX:
                self.state.pending = UncrossLeft(cause, number, price)
                break
            levels = [(order.side, order.price) for order in pair]
            self._trade(market, price, *pair)
            changed = [level for level in levels if level[1] in market.book.levels(level[0])]
            for level in levels:
                if level not in changed:
                    self._tell(number, *level)
        for level in changed:
            self._tell(number, *level)
        self.reports.cause = cause

    def _next_pair(self, market: Market, price: int) -> tuple[Order, Order] | None:
        """Who buys and who sells next."""
        book = market.book
        if not book.bids or not book.asks or max(book.bids) < price or min(book.asks) > price:
            return None
        return book.bids[max(book.bids)][0], book.asks[min(book.asks)][0]

    def _trade(self, market: Market, price: int, buyer: Order, seller: Order) -> None:
        maker, taker = sorted((buyer, seller), key=lambda order: order.order_id)
        quantity = min(buyer.shown, seller.shown)
        self.matching.lists.is_reached(buyer)
        self.matching.lists.is_reached(seller)
        self.matching.deal(taker, maker, price, quantity, taker_role="maker")
        for order in (buyer, seller):
            order.shown -= quantity
            order.is_filled = order.left == 0
        status = {True: OrderStatus.FILLED, False: OrderStatus.PARTIALLY_FILLED}
        self.reports.events[-1] |= {
            "flag_bits": int(EventFlag.UNCROSS),
            "taker_status": int(status[taker.is_filled]),
            "maker_status": int(status[maker.is_filled]),
        }
        for order in (buyer, seller):
            if order.is_filled:
                market.book.remove(order)
                del self.state.open_orders[order.order_id]
                self.matching.lists.is_filled(order)
            elif order.shown == 0:
                market.book.refill(order)
                self.reports.order(EventKind.RESTED, order, with_level_at=order.price)

    def _tell(self, number: int, side: int, price: int) -> None:
        """BOOK: what a level holds now."""
        market = self.state.directory.markets[number]
        market.book_update_id += 1
        self.reports.emit(
            EventKind.BOOK,
            market=number,
            side=side,
            command_kind=CommandKind.UNCROSS,
            flag_bits=EventFlag.LEVEL,
            book_update_id=market.book_update_id,
            level_price=price,
            level_quantity=market.book.level_quantity(Side(side), price),
        )

    def _report(self, number: int, found: tuple[int, int, int]) -> None:
        price, quantity, imbalance = found
        self.reports.emit(EventKind.INDICATIVE, market=number, price=price, quantity=quantity, imbalance=imbalance)
