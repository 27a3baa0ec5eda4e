"""PLACE: may the order be, what does it hold, and in it goes."""

from __future__ import annotations

from reference.book import MARKET_TYPES, RESTING, STOP_TYPES, Order
from reference.directory import Market
from reference.matching import Matching
from reference.records import Fields
from reference.reports import Reports
from reference.state import RefusedError, State
from reference.stops import is_due
from ringex.reasons import Reason
from ringex.terms import (
    CommandFlag,
    EventFlag,
    EventKind,
    MarketStatus,
    OrderType,
    PegPriceType,
    SelfTradePrevention,
    Side,
    TimeInForce,
)

ANY_TIME_IN_FORCE = (OrderType.LIMIT, OrderType.STOP_LOSS_LIMIT, OrderType.TAKE_PROFIT_LIMIT)


def times_in_force(order_type: int) -> list[TimeInForce]:
    if order_type in ANY_TIME_IN_FORCE:
        return list(TimeInForce)
    return [TimeInForce.GTC, TimeInForce.GTD] if order_type == OrderType.LIMIT_MAKER else [TimeInForce.GTC]


def _may_peg(command: Fields) -> bool:
    peg, order_type = command["peg_price_type"], command["order_type"]
    if peg == PegPriceType.NONE:
        return bool(command["peg_offset"] == 0)
    if peg not in list(PegPriceType) or order_type in MARKET_TYPES or command["price"] or command["peg_offset"] > 100:
        return False
    if peg == PegPriceType.PRIMARY_PEG:
        return command["time_in_force"] in RESTING
    return bool(order_type != OrderType.LIMIT_MAKER)


class Placing:
    def __init__(self, state: State, reports: Reports, matching: Matching) -> None:
        self.state = state
        self.reports = reports
        self.matching = matching

    def place(self, command: Fields) -> int:
        """Check, accept and match a new order. Its id."""
        self.state.check_standing(command)
        market = self.state.directory.markets[command["market"]]
        command = self.check_order(command)
        self.check_counts(market, [command])
        self.check_room_for(1)
        self.check_entry(market, command)
        order = self.new_order(command)
        self._take_hold(order)
        self.state.order_id += 1
        order.order_id = self.state.order_id
        self._accept(order)
        return order.order_id

    def check_order(self, command: Fields, *, is_pending: bool = False) -> Fields:
        """What an order must be, whatever else there is. The command with its price, unless it is for later."""
        market = self.state.directory.markets[command["market"]]
        self._check_vocabulary(command, is_pending)
        if not is_pending:
            command = self.with_price(market, command)
        self.check_filters(market, command, is_pending)
        self.state.check_client_order_id(command["account"], command["client_order_id"])
        return command

    def count(self, order: Order) -> None:
        """An order has been accepted."""
        self.state.directory.accounts[order.account].order_counts.accepted(self.reports.record["time_ns"])

    def wait(self, order: Order) -> None:
        """A stop order begins to wait."""
        self.state.waiters += 1
        order.entered = self.state.waiters
        if order.trailing_delta:
            self._begin(order)

    def _accept(self, order: Order) -> None:
        self.count(order)
        if order.is_waiting:
            self.wait(order)
            self.state.open_orders[order.order_id] = order
            self.reports.order(EventKind.ACCEPTED, order)
        elif order.can_rest and self.matching.next_maker(order) is None:
            self.matching.rest(order)
            self.reports.order(EventKind.ACCEPTED, order, EventFlag.WORKING, with_level_at=order.price)
        else:
            self.reports.order(EventKind.ACCEPTED, order)
            self.matching.enter(order)

    def _check_vocabulary(self, command: Fields, is_pending: bool) -> None:
        order_type, mode = command["order_type"], command["self_trade_prevention"]
        if command["side"] not in list(Side):
            raise RefusedError(Reason.INVALID_SIDE)
        if order_type not in list(OrderType):
            raise RefusedError(Reason.INVALID_ORDER_TYPE)
        if command["time_in_force"] not in times_in_force(order_type):
            raise RefusedError(Reason.INVALID_TIME_IN_FORCE)
        is_dated = command["time_in_force"] == TimeInForce.GTD
        if is_dated and command["good_till_ns"] <= self.reports.record["time_ns"]:
            raise RefusedError(Reason.INVALID_GOOD_TILL)
        if not is_dated and command["good_till_ns"] != 0:
            raise RefusedError(Reason.INVALID_GOOD_TILL)
        by_quote = order_type == OrderType.MARKET and command["quote_quantity"] > 0
        if mode not in list(SelfTradePrevention) or (mode == SelfTradePrevention.DECREMENT and by_quote):
            raise RefusedError(Reason.INVALID_SELF_TRADE_PREVENTION)
        if command["strategy_id"] < 0 or not (command["strategy_type"] == 0 or command["strategy_type"] >= 1_000_000):
            raise RefusedError(Reason.INVALID_STRATEGY)
        may_wait = order_type in STOP_TYPES or (order_type == OrderType.LIMIT and command["time_in_force"] in RESTING)
        is_trading = self.state.directory.markets[command["market"]].status == MarketStatus.TRADING
        if not is_trading and not is_pending and not may_wait:
            raise RefusedError(Reason.NOT_IN_AUCTION)

        if not _may_peg(command):
            raise RefusedError(Reason.INVALID_PEG)

    def with_price(self, market: Market, command: Fields) -> Fields:
        """Of a pegged order that enters at once the price is that of a level of the book."""
        if not command["peg_price_type"] or command["order_type"] in STOP_TYPES:
            return command
        price = market.book.peg_price(command["side"], command["peg_price_type"], command["peg_offset"])
        if price is None:
            raise RefusedError(Reason.NO_PEG_PRICE)
        return command | {"price": price}

    def _begin(self, order: Order) -> None:
        """A trailing stop follows the market from now on, unless it has a stop price that is not met yet."""
        last_price = self.state.market_of(order).last_price
        if order.stop_price == 0 or is_due(order, last_price):
            self.state.begin_following(order, last_price)

    def check_filters(self, market: Market, command: Fields, is_pending: bool = False) -> None:
        amounts = command["price"], command["quantity"], command["quote_quantity"]
        order_type, terms = command["order_type"], (command["side"], command["price"], command["quantity"])
        if command["peg_price_type"] and (is_pending or order_type in STOP_TYPES):
            order_type = OrderType.STOP_LOSS  # no price is known yet
        if reason := (
            market.check_order(order_type, *amounts)
            or market.check_terms(command)
            or market.check_prices(order_type, *terms, self.reports.record["time_ns"])
        ):
            raise RefusedError(reason)

    def check_counts(self, market: Market, commands: list[Fields]) -> None:
        """Whether the account may have these orders open in the market, besides those that are."""
        account, market_number = commands[0]["account"], commands[0]["market"]
        self.check_order_rates(account, len(commands))
        self._check_open_orders(account, len(commands))
        mine = [o for o in self.state.open_orders.values() if (o.account, o.market) == (account, market_number)]
        if len(mine) + len(commands) > market.orders_per_account_max:
            raise RefusedError(Reason.TOO_MANY_ORDERS)
        stops = [order for order in mine if order.order_type in STOP_TYPES]
        more_stops = [command for command in commands if command["order_type"] in STOP_TYPES]
        if more_stops and len(stops) + len(more_stops) > market.algo_orders_max > 0:
            raise RefusedError(Reason.TOO_MANY_ALGO_ORDERS)
        icebergs = [order for order in mine if order.iceberg_quantity]
        more_icebergs = [command for command in commands if command["iceberg_quantity"]]
        if more_icebergs and len(icebergs) + len(more_icebergs) > market.iceberg_orders_max > 0:
            raise RefusedError(Reason.TOO_MANY_ICEBERGS)
        buying = sum(command["quantity"] or market.lot for command in commands if command["side"] == Side.BUY)
        if buying:
            self.state.check_position(account, market_number, buying)

    def check_room_for(self, count: int) -> None:
        if len(self.state.open_orders) + count > self.state.limits.orders_max:
            raise RefusedError(Reason.ENGINE_FULL)

    def check_entry(self, market: Market, command: Fields) -> None:
        """Whether an order may enter the market as it is: room for its level and its balances (which are opened)."""
        account = command["account"]
        is_limit = command["order_type"] not in (*MARKET_TYPES, *STOP_TYPES)
        may_rest = is_limit and command["time_in_force"] in RESTING
        place = command["side"], command["price"], command["quantity"]
        if (may_rest and not self.state.has_room_in_level(market, *place)) or not self.state.ledger.has_room_for(
            account, market.base_asset, market.quote_asset
        ):
            raise RefusedError(Reason.ENGINE_FULL)
        self.state.ledger.open(account, market.base_asset, market.quote_asset)
        order = self.new_order(command)
        if order.order_type == OrderType.LIMIT_MAKER and market.book.first_maker_for(order.side, order.price):
            raise RefusedError(Reason.WOULD_TAKE)
        if order.is_waiting and not order.trailing_delta and is_due(order, market.last_price):
            raise RefusedError(Reason.WOULD_TRIGGER)

    def check_order_rates(self, account: int, count: int) -> None:
        """How many orders the account may send in a while."""
        now, directory = self.reports.record["time_ns"], self.state.directory
        counts = directory.accounts[account].order_counts
        if counts.of("orders_10s_max", now) + count > directory.order_limit(account, "orders_10s_max"):
            raise RefusedError(Reason.ORDER_RATE_10S)
        if counts.of("orders_1d_max", now) + count > directory.order_limit(account, "orders_1d_max"):
            raise RefusedError(Reason.ORDER_RATE_1D)

    def _check_open_orders(self, account: int, count: int) -> None:
        """How many it may have open in all markets."""
        directory = self.state.directory
        all_open = [order for order in self.state.open_orders.values() if order.account == account]
        if len(all_open) + count > directory.order_limit(account, "open_orders_max"):
            raise RefusedError(Reason.TOO_MANY_OPEN_ORDERS)

    def new_order(self, command: Fields) -> Order:
        copied = (
            "account market side order_type time_in_force price quantity quote_quantity client_order_id "
            "self_trade_prevention stop_price iceberg_quantity good_till_ns trailing_delta peg_price_type peg_offset "
            "strategy_id strategy_type"
        )
        values = {name: command[name] for name in copied.split()}
        is_waiting = command["order_type"] in STOP_TYPES
        if command["order_type"] == OrderType.MARKET:
            market = self.state.directory.markets[command["market"]]
            values["collar"] = market.collar(command["side"], self.reports.record["time_ns"])
        return Order(
            order_id=0,
            created_ns=self.reports.record["time_ns"],
            is_waiting=is_waiting,
            session=tuple(self.reports.cause[name] for name in ("gateway", "incarnation", "connection")),
            cancel_on_disconnect=bool(command["flag_bits"] & CommandFlag.CANCEL_ON_DISCONNECT),
            **values,
        )

    def _take_hold(self, order: Order) -> None:
        """Lock what the order needs; of a MARKET order only check that it is there."""
        is_market = order.order_type == OrderType.MARKET
        needed = self.needed_by_market(order) if is_market else self.state.hold_of(order)
        if needed > self.state.held_balance(order).free:
            raise RefusedError(Reason.INSUFFICIENT_BALANCE)
        self.state.ledger.hold(order.account, self.state.held_asset(order), self.state.hold_of(order))

    def needed_by_market(self, order: Order) -> int:
        """What a MARKET order pays with, of quote (BUY) or base (SELL): what it names, else what its walk needs."""
        market = self.state.market_of(order)
        quantity, quote = self.matching.walk(order)
        if order.side == Side.BUY:
            return order.quote_quantity if order.is_by_quote else quote
        return market.base_amount(quantity if order.is_by_quote else order.quantity)
