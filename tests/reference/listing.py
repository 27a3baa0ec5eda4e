"""Placing order lists, and the pending orders of those whose working order is filled."""

from __future__ import annotations

from itertools import combinations

from reference.book import STOP_LOSS_TYPES, Order
from reference.directory import Market
from reference.matching import Matching
from reference.orderlists import OrderList, OrderLists
from reference.placing import Placing
from reference.records import Fields
from reference.reports import Reports
from reference.state import RefusedError, State
from ringex.reasons import Reason
from ringex.terms import CommandKind, EventFlag, EventKind, ListKind, ListStatus, OrderStatus, OrderType, Side

PROFIT_TYPES = (OrderType.LIMIT_MAKER, OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT)
WORKING_TYPES = (OrderType.LIMIT, OrderType.LIMIT_MAKER)
KINDS = {
    CommandKind.OCO_PLACE: ListKind.OCO,
    CommandKind.OTO_PLACE: ListKind.OTO,
    CommandKind.OTOCO_PLACE: ListKind.OTOCO,
}


class Listing:
    def __init__(self, state: State, reports: Reports, matching: Matching, placing: Placing, lists: OrderLists) -> None:
        self.state = state
        self.reports = reports
        self.matching = matching
        self.placing = placing
        self.lists = lists

    # ---- a new list ------------------------------------------------------------------------------------------------

    def place(self, command: Fields, legs: list[Fields]) -> int:
        """All of it, or nothing. The list's id."""
        kind = KINDS[command["kind"]]
        self.state.check_standing(command)
        self._check_list_id(command)
        entering, pending = (legs, []) if kind == ListKind.OCO else (legs[:1], legs[1:])
        pair = {ListKind.OCO: entering, ListKind.OTO: [], ListKind.OTOCO: pending}[kind]
        self._check_composition(kind, legs, pair)
        market = self.state.directory.markets[command["market"]]
        entering = [self.placing.check_order(leg) for leg in entering]
        pending = [self.placing.check_order(leg, is_pending=True) for leg in pending]
        pair = entering if kind == ListKind.OCO else pending
        for one, other in combinations(legs, 2):
            if one["client_order_id"] and one["client_order_id"] == other["client_order_id"]:
                raise RefusedError(Reason.DUPLICATE_CLIENT_ORDER_ID)
        if pair and kind != ListKind.OTO:
            self._check_prices(pair, market.last_price if kind == ListKind.OCO else 0)
        self._check_lists_open(market, command)
        self.placing.check_counts(market, legs)
        self.placing.check_room_for(len(legs))
        for leg in entering:
            self.placing.check_entry(market, leg)
        orders = [self.placing.new_order(leg) for leg in entering + pending]
        if any(self._needed(order) > self.state.held_balance(order).free for order in orders[: len(entering)]):
            raise RefusedError(Reason.INSUFFICIENT_BALANCE)
        return self._accept(command, kind, orders)

    def _check_list_id(self, command: Fields) -> None:
        for known in self.state.order_lists.values():
            if known.account == command["account"] and known.client_order_id == command["client_order_id"] != "":
                raise RefusedError(Reason.DUPLICATE_CLIENT_ORDER_ID)

    def _check_composition(self, kind: ListKind, legs: list[Fields], pair: list[Fields]) -> None:
        if kind != ListKind.OCO and legs[0]["order_type"] not in WORKING_TYPES:
            raise RefusedError(Reason.INVALID_ORDER_LIST)
        if kind == ListKind.OTO and legs[1]["quote_quantity"] != 0:
            raise RefusedError(Reason.INVALID_ORDER_LIST)
        if not pair:
            return
        stops = [leg for leg in pair if leg["order_type"] in STOP_LOSS_TYPES]
        profits = [leg for leg in pair if leg["order_type"] in PROFIT_TYPES]
        alike = all(pair[0][name] == pair[1][name] for name in ("side", "quantity"))
        if len(stops) != 1 or len(profits) != 1 or not alike:
            raise RefusedError(Reason.INVALID_ORDER_LIST)

    def _check_prices(self, pair: list[Fields], last_price: int) -> None:
        """What takes profit, the last price and the stop loss must come in this order, as far as they are known."""
        (stop,) = [leg for leg in pair if leg["order_type"] in STOP_LOSS_TYPES]
        (profit,) = [leg for leg in pair if leg["order_type"] in PROFIT_TYPES]
        prices = [price for price in (_price_of(profit), last_price, _price_of(stop)) if price]
        rising = sorted(set(prices), reverse=stop["side"] == Side.SELL)
        if prices != rising:
            raise RefusedError(Reason.PRICE_RELATION)

    def _check_lists_open(self, market: Market, command: Fields) -> None:
        where = command["account"], command["market"]
        mine = [known for known in self.state.order_lists.values() if (known.account, known.market) == where]
        if len(mine) >= market.order_lists_max > 0:
            raise RefusedError(Reason.TOO_MANY_ORDER_LISTS)

    def _needed(self, order: Order) -> int:
        is_market = order.order_type == OrderType.MARKET
        return self.placing.needed_by_market(order) if is_market else self.state.hold_of(order)

    def _accept(self, command: Fields, kind: ListKind, orders: list[Order]) -> int:
        self.state.order_list_id += 1
        where = command["account"], command["market"]
        order_list = OrderList(self.state.order_list_id, *where, kind, command["client_order_id"], orders)
        self.state.order_lists[order_list.order_list_id] = order_list
        for order in orders:
            self.state.order_id += 1
            order.order_id = self.state.order_id
            order.order_list = order_list
            self.placing.count(order)
            order.is_pending = order in order_list.to_be_placed
        self.lists.report(order_list, ListStatus.EXEC_STARTED)
        if kind == ListKind.OCO:
            self._stand(order_list, EventKind.ACCEPTED)
            return order_list.order_list_id
        working, *pending = orders
        self.state.open_orders[working.order_id] = working
        self._hold([working])
        self.reports.order(EventKind.ACCEPTED, working)
        for order in pending:
            self.state.open_orders[order.order_id] = order
            self.reports.order(EventKind.ACCEPTED, order)
        self.matching.enter(working)
        return order_list.order_list_id

    def _stand(self, order_list: OrderList, kind: EventKind) -> None:
        """The two of a pair come to rest or to wait, for what the larger of their holds is."""
        self._hold(order_list.pair)
        for order in order_list.pair:
            order.is_pending = False
            self.state.open_orders[order.order_id] = order
            if order.is_waiting:
                self.placing.wait(order)
                self.reports.order(kind, order)
            else:
                self.matching.rest(order)
                self.reports.order(kind, order, EventFlag.WORKING, with_level_at=order.price)

    def _hold(self, orders: list[Order]) -> None:
        amount = max(self.state.hold_for(order, order.left) for order in orders)
        self.state.ledger.hold(orders[0].account, self.state.held_asset(orders[0]), amount)

    # ---- LIST_CANCEL -----------------------------------------------------------------------------------------------

    def cancel(self, command: Fields) -> None:
        wanted = self.state.order_lists.get(command["order_id"])
        if command["order_id"] <= 0:
            named = [
                known
                for known in self.state.order_lists.values()
                if (known.account, known.client_order_id) == (command["account"], command["original_client_order_id"])
            ]
            wanted = named[0] if named and command["original_client_order_id"] else None
        if wanted is None or (wanted.account, wanted.market) != (command["account"], command["market"]):
            raise RefusedError(Reason.UNKNOWN_ORDER)
        first = self.lists.open_of(wanted)[0]
        named_by = command["client_order_id"]
        self.lists.end(first, OrderStatus.CANCELED, Reason.CANCELED_BY_CLIENT, named_by=named_by)

    # ---- pending orders are placed ---------------------------------------------------------------------------------

    def due_in(self, market: Market) -> list[OrderList]:
        return [known for known in self.state.due_lists if self.state.directory.markets[known.market] is market]

    def place_pending(self, market: Market) -> None:
        """Those of the list whose working order was filled first."""
        order_list = self.due_in(market)[0]
        self.state.due_lists.remove(order_list)
        order_list.is_due = False
        pending = order_list.to_be_placed
        refusal = self._refusal(market, order_list, pending)
        if refusal:
            self.lists.end(refusal[0], OrderStatus.EXPIRED, refusal[1])
        elif len(pending) == 2:
            self._stand(order_list, EventKind.PLACED)
        else:
            self._place_one(pending[0])

    def _refusal(self, market: Market, order_list: OrderList, pending: list[Order]) -> tuple[Order, Reason] | None:
        """Which of the orders cannot be placed now, and why."""
        commands = [_as_command(order) for order in pending]
        try:
            for number, order in enumerate(pending):  # noqa: B007 - named in the handler
                commands[number] = self.placing.with_price(market, commands[number])
                self.placing.check_filters(market, commands[number])
            order = pending[0]
            if len(pending) == 2:
                self._check_prices(commands, market.last_price)
            for order, command in zip(pending, commands, strict=True):
                self.placing.check_entry(market, command)
                if self._needed(self.placing.new_order(command)) > self.state.held_balance(order).free:
                    return order, Reason.INSUFFICIENT_BALANCE
        except RefusedError as refused:
            return order, refused.reason
        for order, command in zip(pending, commands, strict=True):
            order.price = command["price"]
        return None

    def _place_one(self, order: Order) -> None:
        order.is_pending = False
        if order.order_type == OrderType.MARKET:
            order.collar = self.state.market_of(order).collar(order.side, self.reports.record["time_ns"])
        else:
            self._hold([order])
        if order.is_waiting:
            self.placing.wait(order)
        self.reports.order(EventKind.PLACED, order)
        if not order.is_waiting:
            self.matching.enter(order)


def _price_of(leg: Fields) -> int:
    """The price by which one of a pair is compared; 0 if it has none yet."""
    if leg["order_type"] == OrderType.LIMIT_MAKER:
        return int(leg["price"])
    if leg["trailing_delta"]:
        return 0
    if leg["order_type"] == OrderType.TAKE_PROFIT_LIMIT and leg["price"]:
        return int(leg["price"])
    return int(leg["stop_price"])


def _as_command(order: Order) -> Fields:
    """The PLACE that would place a pending order."""
    copied = (
        "account market side order_type time_in_force price quantity quote_quantity client_order_id "
        "self_trade_prevention stop_price iceberg_quantity good_till_ns trailing_delta peg_price_type peg_offset "
        "strategy_id strategy_type"
    )
    return {name: getattr(order, name) for name in copied.split()} | {"flag_bits": 0}
