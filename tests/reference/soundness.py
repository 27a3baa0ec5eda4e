"""What must hold of an exchange after every command, whatever the commands were."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from reference.book import Order
from reference.exchange import ReferenceExchange
from reference.records import Fields
from ringex.terms import EventFlag, EventKind, ListKind, ListStatus, MarketStatus, OrderStatus, OrderType, Side

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
    prevented: dict[int, int] = field(default_factory=lambda: defaultdict(int))  # market -> prevented_match_id
    last_prices: dict[int, int] = field(default_factory=dict)  # market -> price of its last trade
    modes: dict[int, int] = field(default_factory=dict)  # order -> SelfTradePrevention
    groups: dict[int, int] = field(default_factory=dict)  # account -> trade group
    open: dict[int, int] = field(default_factory=dict)  # open order -> its account
    open_most: dict[int, int] = field(default_factory=dict)  # account -> how many it may have; 0: all without their own
    lists: dict[int, tuple[int, Fields]] = field(default_factory=dict)  # order -> its list, open or not, and its event
    open_lists: set[int] = field(default_factory=set)
    pending: set[int] = field(default_factory=set)  # orders that have not been placed yet
    sequence: int = 0

    def watch(self, events: list[Fields]) -> None:
        for event in events:
            self.sequence += 1
            assert event["sequence"] == self.sequence
            self._watch_open(event)
            if event["kind"] == EventKind.BALANCE:
                self.booked[event["market"]] += event["amount"]
            elif event["kind"] == EventKind.ACCOUNT:
                self.groups[event["account"]] = event["trade_group"]
            elif event["kind"] == EventKind.ACCEPTED:
                self.modes[event["order_id"]] = event["self_trade_prevention"]
                if event["status"] == OrderStatus.PENDING_NEW:
                    self.pending.add(event["order_id"])
            elif event["kind"] in (EventKind.PLACED, EventKind.CANCELED):
                self.pending.discard(event["order_id"])
            elif event["kind"] == EventKind.ORDER_LIST:
                self._watch_list(event)
            elif event["kind"] == EventKind.PREVENTED:
                self._check_prevented(event)
            elif event["kind"] == EventKind.TRADE:
                self._check_trade(event)
                self.last_prices[event["market"]] = event["price"]
            if event["flag_bits"] & EventFlag.LEVEL:
                self._watch_level(event)
            if event["kind"] == EventKind.RESTED or event["flag_bits"] & EventFlag.WORKING:
                self.queued[event["order_id"]] = event["sequence"]

    def _watch_open(self, event: Fields) -> None:
        """Nobody who has as many orders open as they may gets another one accepted."""
        kind = event["kind"]
        if kind == EventKind.ORDER_LIMITS:
            self.open_most[event["account"]] = event["open_orders_max"]
        elif kind == EventKind.ACCEPTED:
            account = event["account"]
            most = self.open_most.get(account) or self.open_most.get(0)
            assert most is None or list(self.open.values()).count(account) < most
            self.open[event["order_id"]] = account
        elif kind == EventKind.CANCELED:
            del self.open[event["order_id"]]
        elif kind == EventKind.TRADE:
            for order, role in ((event["order_id"], "taker"), (event["maker_order_id"], "maker")):
                if event[f"{role}_status"] == OrderStatus.FILLED:
                    del self.open[order]

    def _watch_list(self, event: Fields) -> None:
        order_list_id = event["order_list_id"]
        if event["list_status"] == ListStatus.EXEC_STARTED:
            assert order_list_id not in self.open_lists
            self.open_lists.add(order_list_id)
        elif event["list_status"] == ListStatus.ALL_DONE:
            self.open_lists.remove(order_list_id)
        for name in ("first_order_id", "second_order_id", "third_order_id"):
            self.lists[event[name]] = (order_list_id, event)

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
        self._check_stops()
        self._check_dates()
        self._check_lists()

    def _check_money(self) -> None:
        """Nothing made or lost, nothing negative, and locked is what open orders and withdrawals need."""
        ledger, directory = self.exchange.ledger, self.exchange.directory
        for asset in range(len(directory.assets)):
            assert ledger.total(asset) == self.booked[asset], f"asset {asset} is not conserved"
        needed: dict[tuple[int, int], int] = defaultdict(int)
        of_lists: dict[tuple[int, int, int], int] = defaultdict(int)  # of what is placed of a list, the larger hold
        for order in self.exchange.open_orders.values():
            market = directory.markets[order.market]
            if order.order_id in self.lists:
                asset = market.quote_asset if order.side == Side.BUY else market.base_asset
                key = (self.lists[order.order_id][0], order.account, asset)
                of_lists[key] = max(of_lists[key], self._hold_in_list(order))
                continue
            if order.side == Side.BUY:
                # a stop that will buy at any price has price 0, and nothing is locked for it
                needed[order.account, market.quote_asset] += market.notional(order.price, order.left)
            else:
                needed[order.account, market.base_asset] += market.base_amount(order.left)
        for (_, account, asset), amount in of_lists.items():
            needed[account, asset] += amount
        for (account, _), hold in ledger.holds.items():
            if not hold.outcome:
                needed[account, hold.asset] += hold.amount
        for key, balance in ledger.balances.items():
            assert balance.free >= 0, f"(account, asset) {key} has {balance}"
            assert balance.locked == needed.pop(key, 0), f"(account, asset) {key} has {balance}"
        assert not any(needed.values())

    def _hold_in_list(self, order: Order) -> int:
        market = self.exchange.directory.markets[order.market]
        if order.order_id in self.pending:
            return 0
        notional = market.notional(order.price, order.left)
        return int(notional if order.side == Side.BUY else market.base_amount(order.left))

    def _check_lists(self) -> None:
        """A list is open as long as an order of it is; of a pair nothing has traded or fired while both are."""
        found: dict[int, list[Order]] = defaultdict(list)
        for order in self.exchange.open_orders.values():
            if order.order_id in self.lists:
                found[self.lists[order.order_id][0]].append(order)
        assert found.keys() == self.open_lists
        for orders in found.values():
            event = self.lists[orders[0].order_id][1]
            working = 0 if event["list_kind"] == ListKind.OCO else event["first_order_id"]
            are_pending = [order.order_id in self.pending for order in orders if order.order_id != working]
            is_open = [order.order_id for order in orders if order.order_id == working]
            if is_open:
                assert all(are_pending), f"{orders}: placed before the working order is filled"
            elif any(are_pending):
                market = self.exchange.directory.markets[orders[0].market]
                is_waiting = self.exchange.is_pending or market.status != MarketStatus.TRADING
                assert all(are_pending) and is_waiting, f"{orders} should have been placed"
            elif len(orders) == 2:
                assert not any(order.executed_quantity for order in orders), f"{orders}: both are open"
                assert sum(order.is_waiting for order in orders) >= 1, f"{orders}: one has fired"

    def _check_books(self) -> None:
        """No book is crossed, queues are first in, first out, and the events tell the whole depth."""
        depth: Depth = {}
        resting: list[int] = []
        for number, market in enumerate(self.exchange.directory.markets):
            book = market.book
            is_crossed = book.bids and book.asks and max(book.bids) >= min(book.asks)
            assert not is_crossed or market.status != MarketStatus.TRADING, f"market {number} is crossed"
            for side in Side:
                for price, queue in book.levels(side).items():
                    depth[number, side, price] = sum(order.shown for order in queue)
                    for order in queue:
                        assert 0 < order.shown <= order.left and order.shown <= (order.iceberg_quantity or order.left)
                        assert order.shown == order.left or order.iceberg_quantity, f"{order} hides a part"
                    arrivals = [self.queued[order.order_id] for order in queue]
                    assert arrivals == sorted(arrivals), f"market {number}, price {price} is out of order"
                    resting += [order.order_id for order in queue]
        assert depth == self.depth
        open_orders = self.exchange.open_orders.values()
        waiting = {order.order_id for order in open_orders if order.is_waiting} | self.pending
        assert sorted(resting) == sorted(self.exchange.open_orders.keys() - waiting)

    def _check_stops(self) -> None:
        """Once a command and its cascade are over, no stop order waits that the last trade's price sets off."""
        if self.exchange.is_pending:
            return
        for order in self.exchange.open_orders.values():
            last_price = self.last_prices.get(order.market)
            is_trading = self.exchange.directory.markets[order.market].status == MarketStatus.TRADING
            if not order.is_waiting or order.order_id in self.pending or last_price is None or not is_trading:
                continue
            if order.trailing_delta:
                assert not self._is_caught(order, last_price), f"{order} should have fired at {last_price}"
                continue
            is_stop_loss = order.order_type in (OrderType.STOP_LOSS, OrderType.STOP_LOSS_LIMIT)
            if is_stop_loss == (order.side == Side.BUY):
                assert last_price < order.stop_price, f"{order} should have fired at {last_price}"
            else:
                assert last_price > order.stop_price, f"{order} should have fired at {last_price}"

    def _is_caught(self, order: Order, last_price: int) -> bool:
        """Whether the last price is a trailing stop's whole delta away from the best one that it has seen."""
        if not order.anchor:
            return False
        if order.side == Side.BUY:
            return last_price * 10_000 >= order.anchor * (10_000 + order.trailing_delta)
        return last_price * 10_000 <= order.anchor * (10_000 - order.trailing_delta)

    def _check_dates(self) -> None:
        """No order is open whose date has come."""
        now = self.exchange.reports.record["time_ns"]
        for order in self.exchange.open_orders.values():
            assert not order.good_till_ns or order.good_till_ns > now, f"{order} should have expired by {now}"

    def _check_prevented(self, event: Fields) -> None:
        """Two orders were kept apart for a reason, and numbered without a gap."""
        self.prevented[event["market"]] += 1
        assert event["prevented_match_id"] == self.prevented[event["market"]]
        assert event["quantity"] > 0 and event["mode"] > 0
        assert self._are_one(event["account"], event["maker_account"])

    def _check_trade(self, event: Fields) -> None:
        """Whom an order wants to be kept from it does not trade with."""
        mode = self.modes.get(event["order_id"], 0)
        is_uncross = event["flag_bits"] & EventFlag.UNCROSS
        assert mode == 0 or is_uncross or not self._are_one(event["account"], event["maker_account"])

    def _are_one(self, account: int, other: int) -> bool:
        groups = [self.groups.get(number, 0) for number in (account, other)]
        return account == other or groups[0] == groups[1] > 0
