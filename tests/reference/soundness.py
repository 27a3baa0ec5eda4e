"""What must hold of an exchange after every command, whatever the commands were."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from reference.exchange import ReferenceExchange
from reference.records import Fields
from ringex.messages import EventFlag, EventKind, Side

Depth = dict[tuple[int, int, int], int]
"""(market, side, price) -> what rests there."""


@dataclass
class Auditor:
    """Watches a reference exchange's events, and checks its state against what they add up to."""

    exchange: ReferenceExchange
    booked: dict[int, int] = field(default_factory=lambda: defaultdict(int))  # asset -> deposits less withdrawals
    depth: Depth = field(default_factory=dict)  # as a reader of events builds it
    queued: dict[int, int] = field(default_factory=dict)  # order -> sequence of the event that queued it
    updates: dict[int, int] = field(default_factory=lambda: defaultdict(int))  # market -> book_update_id
    sequence: int = 0

    def watch(self, events: list[Fields]) -> None:
        for event in events:
            self.sequence += 1
            assert event["sequence"] == self.sequence
            if event["kind"] == EventKind.BALANCE:
                self.booked[event["market"]] += event["amount"]
            if event["flag_bits"] & EventFlag.LEVEL:
                self._watch_level(event)
            if event["kind"] == EventKind.RESTED or event["flag_bits"] & EventFlag.WORKING:
                self.queued[event["order_id"]] = event["sequence"]

    def _watch_level(self, event: Fields) -> None:
        market, side, price = event["market"], event["side"], event.get("level_price", event["price"])
        self.updates[market] += 1
        assert event["book_update_id"] == self.updates[market]
        if event["kind"] == EventKind.TRADE:
            side = Side.SELL if side == Side.BUY else Side.BUY
        self.depth.pop((market, side, price), None)
        if event["level_quantity"]:
            self.depth[market, side, price] = event["level_quantity"]

    def check(self) -> None:
        self._check_money()
        self._check_books()

    def _check_money(self) -> None:
        """Nothing made or lost, nothing negative, and locked is what open orders need."""
        ledger, directory = self.exchange.ledger, self.exchange.directory
        for asset in range(len(directory.assets)):
            assert ledger.total(asset) == self.booked[asset], f"asset {asset} is not conserved"
        needed: dict[tuple[int, int], int] = defaultdict(int)
        for order in self.exchange.open_orders.values():
            market = directory.markets[order.market]
            if order.side == Side.BUY:
                needed[order.account, market.quote_asset] += market.notional(order.price, order.left)
            else:
                needed[order.account, market.base_asset] += market.base_amount(order.left)
        for key, balance in ledger.balances.items():
            assert balance.free >= 0, f"(account, asset) {key} has {balance}"
            assert balance.locked == needed.pop(key, 0), f"(account, asset) {key} has {balance}"
        assert not needed

    def _check_books(self) -> None:
        """No book is crossed, queues are first in, first out, and the events tell the whole depth."""
        depth: Depth = {}
        resting: list[int] = []
        for number, market in enumerate(self.exchange.directory.markets):
            book = market.book
            assert not book.bids or not book.asks or max(book.bids) < min(book.asks), f"market {number} is crossed"
            for side in Side:
                for price, queue in book.levels(side).items():
                    depth[number, side, price] = book.level_quantity(side, price)
                    arrivals = [self.queued[order.order_id] for order in queue]
                    assert arrivals == sorted(arrivals), f"market {number}, price {price} is out of order"
                    resting += [order.order_id for order in queue]
        assert depth == self.depth
        assert sorted(resting) == sorted(self.exchange.open_orders)
