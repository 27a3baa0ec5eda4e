"""The reference exchange: one command in, its events out. Read it beside docs/trading-rules.md."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from reference.book import Order
from reference.directory import Asset, Directory, Market
from reference.ledger import Balance, Ledger, fee_on
from reference.records import Fields, command_fields, empty_event
from ringex.config import Limits
from ringex.messages import (
    AMOUNT_MAX,
    EVENTS_PER_COMMAND_MAX,
    FEE_ACCOUNT,
    LIMIT_NAMES,
    CommandFlag,
    CommandKind,
    EventFlag,
    EventKind,
    OrderStatus,
    OrderType,
    Reason,
    Side,
    TimeInForce,
)


class RefusedError(Exception):
    """A rule says no. Raised before anything has changed."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.name)
        self.reason = reason


@dataclass
class Request:
    """A remembered request: what became of it, until when it is known."""

    expires_ns: int
    order_id: int
    reason: int


@dataclass
class Continuation:
    """Work that one command left over: a taker that goes on matching, or (order None) a CANCEL_ALL."""

    command: Fields
    order: Order | None


class ReferenceExchange:
    def __init__(self, limits: Limits | None = None, events_per_command_max: int = EVENTS_PER_COMMAND_MAX) -> None:
        self.room = self.limits = limits or Limits()
        self.events_per_command_max = events_per_command_max
        self.directory = Directory(self.limits)
        self.ledger = Ledger(self.limits.balances_max)
        self.open_orders: dict[int, Order] = {}
        self.requests: dict[tuple[int, str, int], Request] = {}
        self.pending_continuation: Continuation | None = None
        self._sequence = self._order_id = self._execution_id = 0
        self._events: list[Fields] = []  # of the command being applied
        self._record: Fields = {}  # the record being applied: gives sequence and time
        self._cause: Fields = {}  # the command it belongs to: gives correlation, session and command_kind

    def apply(self, command: Any, place: Any = None) -> list[Fields]:
        """Apply one command (a record or a dict; CANCEL_REPLACE: its two records). The events, as dicts."""
        self._events = []
        self._record = self._cause = command_fields(command)
        self.requests = {k: r for k, r in self.requests.items() if r.expires_ns >= self._record["time_ns"]}
        kind = self._record["kind"]
        try:
            if self._record["slots"] != (2 if kind == CommandKind.CANCEL_REPLACE else 1):
                raise RefusedError(Reason.INVALID_COMMAND)
            if kind == CommandKind.PLACE:
                self._request(self._record)
            elif kind == CommandKind.CANCEL_REPLACE:
                self._cancel_replace(self._record, None if place is None else command_fields(place))
            else:
                self._others().get(kind, self._unknown)(self._record)
        except RefusedError as refused:
            self._emit_refusal(self._cause, refused.reason)
        if self.pending_continuation is None:
            self._events[-1]["flag_bits"] |= EventFlag.LAST
        return self._events

    def _others(self) -> dict[int, Any]:
        return {
            CommandKind.CANCEL: self._cancel,
            CommandKind.CANCEL_ALL: self._cancel_all,
            CommandKind.AMEND: self._amend,
            CommandKind.SESSION_LOST: self._session_lost,
            CommandKind.CONTINUE: self._continue,
            CommandKind.DEPOSIT: self._deposit,
            CommandKind.WITHDRAW: self._withdraw,
            CommandKind.ASSET_ADD: self._asset_add,
            CommandKind.MARKET_ADD: self._market_add,
            CommandKind.ACCOUNT_ADD: self._account_add,
            CommandKind.KEY_ADD: self._key_add,
            CommandKind.LIMITS_SET: self._limits_set,
        }

    def _unknown(self, command: Fields) -> None:
        raise RefusedError(Reason.INVALID_COMMAND)

    # ---- every client command ------------------------------------------------------------------------------------

    def _check_client(self, command: Fields) -> None:
        """Account, expiry and market of a client command that is not remembered."""
        self._check_account(command)
        self._check_expiry(command)
        self._check_market(command)

    def _check_account(self, command: Fields) -> None:
        if command["account"] == FEE_ACCOUNT or not self.directory.has_account(command["account"]):
            raise RefusedError(Reason.UNKNOWN_ACCOUNT)

    def _check_expiry(self, command: Fields) -> None:
        if 0 < command["expires_ns"] < self._record["time_ns"]:
            raise RefusedError(Reason.REQUEST_EXPIRED)

    def _check_market(self, command: Fields) -> None:
        all_markets = command["kind"] == CommandKind.CANCEL_ALL and command["market"] == -1
        if not all_markets and not self.directory.has_market(command["market"]):
            raise RefusedError(Reason.INVALID_SYMBOL)

    def _request(self, place: Fields, cancel: Fields | None = None) -> None:
        """A PLACE, or with `cancel` a CANCEL_REPLACE: once only, if it can be remembered."""
        whole = cancel or place
        self._check_account(place)
        key = (place["account"], place["client_order_id"], place["timestamp_us"])
        is_remembered = place["client_order_id"] and place["timestamp_us"] > 0 and place["expires_ns"] > 0
        if is_remembered and key in self.requests:
            first = self.requests[key]
            self._emit(
                EventKind.DUPLICATE, **self._as_asked(whole) | {"order_id": first.order_id, "reason": first.reason}
            )
            return
        self._check_expiry(place)
        if is_remembered and not self._has_room_for_request(place["account"]):
            raise RefusedError(Reason.TOO_MANY_REQUESTS_REMEMBERED)
        order_id, reason = self._try(place, cancel)
        if is_remembered:
            self.requests[key] = Request(place["expires_ns"], order_id, reason)

    def _has_room_for_request(self, account: int) -> bool:
        of_account = sum(key[0] == account for key in self.requests)
        return (
            of_account < self.limits.requests_remembered_per_account_max
            and len(self.requests) < self.limits.requests_remembered_max
        )

    def _try(self, place: Fields, cancel: Fields | None) -> tuple[int, Reason]:
        """Carry out the request. The outcome to remember: the new order's id, or 0 and why it was refused."""
        try:
            self._check_market(place)
        except RefusedError as refused:
            self._emit_refusal(cancel or place, refused.reason)
            return 0, refused.reason
        may_place = cancel is None or self._cancel_leg(cancel) or cancel["flag_bits"] & CommandFlag.ALLOW_FAILURE
        if not may_place:
            self._emit_refusal(place, Reason.CANCEL_REJECTED)
            return 0, Reason.CANCEL_REJECTED
        self._cause = place if cancel is None else {**cancel, "kind": place["kind"]}
        try:
            return self._place(place), Reason.NONE
        except RefusedError as refused:
            self._emit_refusal(place, refused.reason)
            return 0, refused.reason

    # ---- PLACE ---------------------------------------------------------------------------------------------------

    def _place(self, command: Fields) -> int:
        """Check, accept and match a new order. Its id."""
        market = self.directory.markets[command["market"]]
        self._check_vocabulary(command)
        self._check_filters(market, command)
        self._check_client_order_id(command["account"], command["client_order_id"])
        self._check_room(market, command)
        order = self._new_order(command)
        if order.order_type == OrderType.LIMIT_MAKER and market.book.first_maker_for(order.side, order.price):
            raise RefusedError(Reason.WOULD_TAKE)
        self._take_hold(market, order)
        self._order_id += 1
        order.order_id = self._order_id
        can_match = self._next_maker(market, order) is not None
        if not can_match and _can_rest(order):
            self._rest(market, order)
            self._emit_order(EventKind.ACCEPTED, order, EventFlag.WORKING, with_level_at=order.price)
            return order.order_id
        self._emit_order(EventKind.ACCEPTED, order)
        if order.time_in_force == TimeInForce.FOK and self._walk(market, order)[0] < order.quantity:
            self._expire(market, order, Reason.NOT_FILLED_AT_ONCE)
        else:
            self._match(market, order)
        return order.order_id

    def _check_vocabulary(self, command: Fields) -> None:
        if command["side"] not in list(Side):
            raise RefusedError(Reason.INVALID_SIDE)
        if command["order_type"] not in list(OrderType):
            raise RefusedError(Reason.INVALID_ORDER_TYPE)
        takes_any = command["order_type"] == OrderType.LIMIT
        if command["time_in_force"] not in (list(TimeInForce) if takes_any else [TimeInForce.GTC]):
            raise RefusedError(Reason.INVALID_TIME_IN_FORCE)

    def _check_filters(self, market: Market, command: Fields) -> None:
        amounts = command["price"], command["quantity"], command["quote_quantity"]
        is_market = command["order_type"] == OrderType.MARKET
        reason = market.check_market_order(*amounts) if is_market else market.check_limit_order(*amounts)
        if reason:
            raise RefusedError(reason)

    def _check_client_order_id(self, account: int, client_order_id: str, but_for: Order | None = None) -> None:
        taken = self._by_client_order_id(account, client_order_id)
        if taken is not None and taken is not but_for:
            raise RefusedError(Reason.DUPLICATE_CLIENT_ORDER_ID)

    def _check_room(self, market: Market, command: Fields) -> None:
        """Room for one more order, its balances (which are opened) and its level."""
        account, market_number = command["account"], command["market"]
        mine = [o for o in self.open_orders.values() if (o.account, o.market) == (account, market_number)]
        if len(mine) >= market.orders_per_account_max:
            raise RefusedError(Reason.TOO_MANY_ORDERS)
        may_rest = command["order_type"] != OrderType.MARKET and command["time_in_force"] == TimeInForce.GTC
        resting = market.book.level_quantity(command["side"], command["price"])
        if (
            len(self.open_orders) == self.limits.orders_max
            or (may_rest and self._levels_used() == self.limits.levels_max)
            or (may_rest and resting + command["quantity"] > AMOUNT_MAX)
            or not self.ledger.has_room_for(account, market.base_asset, market.quote_asset)
        ):
            raise RefusedError(Reason.ENGINE_FULL)
        self.ledger.open(account, market.base_asset, market.quote_asset)

    def _levels_used(self) -> int:
        return sum(len(market.book.bids) + len(market.book.asks) for market in self.directory.markets)

    def _new_order(self, command: Fields) -> Order:
        copied = "account market side order_type time_in_force price quantity quote_quantity client_order_id"
        values = {name: command[name] for name in copied.split()}
        return Order(order_id=0, created_ns=self._record["time_ns"], **values)

    def _take_hold(self, market: Market, order: Order) -> None:
        """Lock what the order needs; of a MARKET order only check that it is there."""
        needed = self._needed_by_market(market, order) if order.is_market else self._hold_of(market, order)
        if needed > self._held_balance(order).free:
            raise RefusedError(Reason.INSUFFICIENT_BALANCE)
        self.ledger.hold(order.account, self._held_asset(order), self._hold_of(market, order))

    def _needed_by_market(self, market: Market, order: Order) -> int:
        """What a MARKET order pays with, of quote (BUY) or base (SELL): what it names, else what its walk needs."""
        quantity, quote = self._walk(market, order)
        if order.side == Side.BUY:
            return order.quote_quantity if order.is_by_quote else quote
        return market.base_amount(quantity if order.is_by_quote else order.quantity)

    def _walk(self, market: Market, order: Order) -> tuple[int, int]:
        """What the order would execute on the present book: (quantity, quote amount)."""
        quantity = quote = 0
        for maker in market.book.makers_for(order.side, _limit_of(order)):
            piece = min(order.quantity - quantity, maker.left)
            if order.is_by_quote:
                lots = (order.quote_quantity - quote) // market.notional(maker.price, market.lot)
                piece = min(lots * market.lot, maker.left)
            if piece == 0:
                break
            quantity += piece
            quote += market.notional(maker.price, piece)
        return quantity, quote

    # ---- matching ------------------------------------------------------------------------------------------------

    def _match(self, market: Market, order: Order) -> None:
        """Trade until nothing more matches, then rest or expire; or leave the rest to CONTINUE."""
        while maker := self._next_maker(market, order):
            self._trade(market, order, maker)
            is_full = len(self._events) >= self.events_per_command_max - 2
            if is_full and self._next_maker(market, order):
                self.pending_continuation = Continuation(self._cause, order)
                return
        if self._is_filled(market, order):
            self.open_orders.pop(order.order_id, None)
        elif _can_rest(order):
            self._rest(market, order)
            self._emit_order(EventKind.RESTED, order, with_level_at=order.price)
        else:
            self._expire(market, order, Reason.NO_LIQUIDITY)

    def _next_maker(self, market: Market, order: Order) -> Order | None:
        """Whom the order trades with next; None if it does not."""
        maker = market.book.first_maker_for(order.side, _limit_of(order))
        return maker if maker and self._quantity_with(market, order, maker) > 0 else None

    def _quantity_with(self, market: Market, order: Order, maker: Order) -> int:
        if not order.is_by_quote:
            return min(order.left, maker.left)
        lots = order.quote_left // market.notional(maker.price, market.lot)
        return int(min(lots * market.lot, maker.left))

    def _is_filled(self, market: Market, order: Order) -> bool:
        if not order.is_by_quote:
            return order.left == 0
        maker_remains = market.book.first_maker_for(order.side, None) is not None
        return order.executed_quantity > 0 and (
            order.quote_left == 0 or (maker_remains and self._next_maker(market, order) is None)
        )

    def _trade(self, market: Market, taker: Order, maker: Order) -> None:
        quantity = self._quantity_with(market, taker, maker)
        price = maker.price
        quote = market.notional(price, quantity)
        fees = self._settle(market, taker, maker, quantity)
        for order in (taker, maker):
            order.executed_quantity += quantity
            order.executed_quote += quote
            order.trade_count += 1
        if taker.is_by_quote:
            taker.quantity = taker.executed_quantity
        if maker.left == 0:
            market.book.remove(maker)
            del self.open_orders[maker.order_id]
        market.trade_id += 1
        market.book_update_id += 1
        self._execution_id += 2
        filled = self._is_filled(market, taker)
        self._emit(
            EventKind.TRADE,
            flag_bits=EventFlag.LEVEL,
            account=taker.account,
            market=taker.market,
            order_id=taker.order_id,
            execution_id=self._execution_id - 1,
            price=price,
            quantity=quantity,
            trade_id=market.trade_id,
            quote_amount=quote,
            maker_order_id=maker.order_id,
            side=taker.side,
            taker_status=OrderStatus.FILLED if filled else OrderStatus.PARTIALLY_FILLED,
            maker_status=OrderStatus.FILLED if maker.left == 0 else OrderStatus.PARTIALLY_FILLED,
            command_kind=self._cause["kind"],
            maker_account=maker.account,
            book_update_id=market.book_update_id,
            level_quantity=market.book.level_quantity(maker.side, price),
            taker_executed_quantity=taker.executed_quantity,
            taker_executed_quote=taker.executed_quote,
            maker_executed_quantity=maker.executed_quantity,
            maker_executed_quote=maker.executed_quote,
            taker_fee=fees[0],
            maker_fee=fees[1],
            **self._balances_in(market, taker.account, "taker"),
            **self._balances_in(market, maker.account, "maker"),
        )

    def _settle(self, market: Market, taker: Order, maker: Order, quantity: int) -> tuple[int, int]:
        """Move base and quote between the two, taker first, less fees. The fees as booked: (taker's, maker's)."""
        fees = [0, 0]
        for i, (order, rate) in enumerate(((taker, market.taker_fee), (maker, market.maker_fee))):
            quote = market.notional(maker.price, quantity)
            base = market.base_amount(quantity)
            given, received = (quote, base) if order.side == Side.BUY else (base, quote)
            asset_given, asset_received = market.quote_asset, market.base_asset
            if order.side == Side.SELL:
                asset_given, asset_received = asset_received, asset_given
            giving = self.ledger.balance(order.account, asset_given)
            if not order.is_market:
                hold = market.notional(order.price, quantity) if order.side == Side.BUY else base
                giving.locked -= hold
                giving.free += hold
            giving.free -= given
            fees[i] = self.ledger.pay_fee(asset_received, fee_on(received, rate))
            self.ledger.balance(order.account, asset_received).free += received - fees[i]
        return fees[0], fees[1]

    def _rest(self, market: Market, order: Order) -> None:
        market.book.rest(order)
        self.open_orders[order.order_id] = order

    def _expire(self, market: Market, order: Order, reason: Reason) -> None:
        """End an order that could not be filled and may not rest."""
        self.ledger.hold(order.account, self._held_asset(order), -self._hold_of(market, order))
        self._emit_order(EventKind.CANCELED, order, status=OrderStatus.EXPIRED, reason=reason)

    # ---- CANCEL, CANCEL_ALL, AMEND, CANCEL_REPLACE, CONTINUE ---------------------------------------------------------

    def _cancel(self, command: Fields) -> None:
        self._check_client(command)
        self._cancel_one(command)

    def _cancel_one(self, command: Fields) -> None:
        order = self._find(command)
        only_new = command["flag_bits"] & CommandFlag.ONLY_NEW
        only_partially_filled = command["flag_bits"] & CommandFlag.ONLY_PARTIALLY_FILLED
        if (only_new and order.executed_quantity > 0) or (only_partially_filled and order.executed_quantity == 0):
            raise RefusedError(Reason.CANCEL_RESTRICTED)
        self._take_out(order, Reason.CANCELED_BY_CLIENT, command["client_order_id"])

    def _find(self, command: Fields) -> Order:
        """The open order that a CANCEL or AMEND means."""
        by_client = self._by_client_order_id(command["account"], command["original_client_order_id"])
        order = by_client
        if command["order_id"] > 0:
            order = self.open_orders.get(command["order_id"])
            if command["original_client_order_id"] and by_client is not order:
                raise RefusedError(Reason.UNKNOWN_ORDER)
        if order is None or (order.account, order.market) != (command["account"], command["market"]):
            raise RefusedError(Reason.UNKNOWN_ORDER)
        return order

    def _by_client_order_id(self, account: int, client_order_id: str) -> Order | None:
        if not client_order_id:
            return None
        named = (o for o in self.open_orders.values() if (o.account, o.client_order_id) == (account, client_order_id))
        return next(named, None)

    def _take_out(self, order: Order, reason: Reason, client_order_id: str = "") -> None:
        """Cancel a resting order."""
        market = self.directory.markets[order.market]
        market.book.remove(order)
        del self.open_orders[order.order_id]
        self.ledger.hold(order.account, self._held_asset(order), -self._hold_of(market, order))
        self._emit_order(
            EventKind.CANCELED,
            order,
            with_level_at=order.price,
            status=OrderStatus.CANCELED,
            reason=reason,
            client_order_id=client_order_id,
            original_client_order_id=order.client_order_id,
        )

    def _cancel_all(self, command: Fields) -> None:
        self._check_client(command)
        if not self._orders_meant(command):
            raise RefusedError(Reason.UNKNOWN_ORDER)
        self._cancel_some(command)

    def _orders_meant(self, command: Fields) -> list[Order]:
        """The orders that a CANCEL_ALL means, in order of acceptance."""
        mine = [order for order in self.open_orders.values() if order.account == command["account"]]
        meant = [order for order in mine if command["market"] in (-1, order.market)]
        return sorted(meant, key=lambda order: order.order_id)

    def _cancel_some(self, command: Fields) -> None:
        orders = self._orders_meant(command)
        step = orders[: self.events_per_command_max - 1]
        for order in step:
            self._take_out(order, Reason.CANCELED_WITH_ALL)
        if len(step) < len(orders):
            self.pending_continuation = Continuation(command, None)
        else:
            self._emit_done(command["account"], command["market"], min(len(step), 65_535))

    def _amend(self, command: Fields) -> None:
        self._check_client(command)
        order = self._find(command)
        market = self.directory.markets[order.market]
        price, quantity = command["price"] or order.price, command["quantity"] or order.quantity
        self._check_amend(market, order, command, price, quantity)
        old_price, old_id = order.price, order.client_order_id
        keeps_priority = price == order.price and quantity < order.quantity
        if not keeps_priority:
            market.book.remove(order)
        old_hold = self._hold_of(market, order)
        order.price, order.quantity = price, quantity
        order.client_order_id = command["client_order_id"] or old_id
        self.ledger.hold(order.account, self._held_asset(order), self._hold_of(market, order) - old_hold)
        self._emit_order(
            EventKind.AMENDED,
            order,
            EventFlag.PRIORITY_KEPT if keeps_priority else 0,
            with_level_at=old_price,
            original_client_order_id=old_id,
        )
        if not keeps_priority:
            self._match(market, order)

    def _check_amend(self, market: Market, order: Order, command: Fields, price: int, quantity: int) -> None:
        if command["price"] < 0 or command["quantity"] < 0:
            raise RefusedError(Reason.INVALID_QUANTITY)
        if (price, quantity) == (order.price, order.quantity):
            raise RefusedError(Reason.AMEND_NOTHING)
        if quantity <= order.executed_quantity:
            raise RefusedError(Reason.AMEND_BELOW_EXECUTED)
        reprices = price != order.price
        if command["flag_bits"] & CommandFlag.KEEP_PRIORITY and (reprices or quantity > order.quantity):
            raise RefusedError(Reason.AMEND_LOSES_PRIORITY)
        if reason := market.check_limit_order(price, quantity):
            raise RefusedError(reason)
        self._check_client_order_id(order.account, command["client_order_id"], but_for=order)
        if order.order_type == OrderType.LIMIT_MAKER and market.book.first_maker_for(order.side, price):
            raise RefusedError(Reason.WOULD_TAKE)
        others = market.book.level_quantity(order.side, price) - (0 if reprices else order.left)
        if (reprices and self._levels_used() == self.limits.levels_max) or others + quantity > AMOUNT_MAX:
            raise RefusedError(Reason.ENGINE_FULL)
        left = quantity - order.executed_quantity
        hold = market.notional(price, left) if order.side == Side.BUY else market.base_amount(left)
        if hold - self._hold_of(market, order) > self._held_balance(order).free:
            raise RefusedError(Reason.INSUFFICIENT_BALANCE)

    def _cancel_replace(self, cancel: Fields, place: Fields | None) -> None:
        is_pair = place is not None and place["kind"] == CommandKind.PLACE
        if place is None or not is_pair or any(cancel[name] != place[name] for name in ("account", "market")):
            raise RefusedError(Reason.INVALID_COMMAND)
        self._request(place, cancel)

    def _cancel_leg(self, cancel: Fields) -> bool:
        """The first half of CANCEL_REPLACE. Whether it went through."""
        try:
            self._cancel_one(cancel)
        except RefusedError as refused:
            self._emit_refusal(cancel, refused.reason)
            return False
        return True

    def _continue(self, command: Fields) -> None:
        pending = self.pending_continuation
        if pending is None:
            raise RefusedError(Reason.INVALID_COMMAND)
        self.pending_continuation = None
        self._cause = pending.command
        if pending.order is None:
            self._cancel_some(pending.command)
        else:
            self._match(self.directory.markets[pending.order.market], pending.order)

    def _session_lost(self, command: Fields) -> None:
        self._emit_done(account=0, market=0, count=0)

    # ---- administration --------------------------------------------------------------------------------------------

    def _deposit(self, command: Fields) -> None:
        if self._check_booking(command):
            if self.ledger.total(command["asset"]) + command["amount"] > AMOUNT_MAX:
                raise RefusedError(Reason.AMOUNT_OUT_OF_RANGE)
            self._book(command, command["amount"])

    def _withdraw(self, command: Fields) -> None:
        if self._check_booking(command):
            if self.ledger.balance(command["account"], command["asset"]).free < command["amount"]:
                raise RefusedError(Reason.INSUFFICIENT_BALANCE)
            self._book(command, -command["amount"])

    def _check_booking(self, command: Fields) -> bool:
        """Whether the booking is new; a repeat is answered here."""
        if not self.directory.has_account(command["account"]):
            raise RefusedError(Reason.UNKNOWN_ACCOUNT)
        if not self.directory.has_asset(command["asset"]):
            raise RefusedError(Reason.UNKNOWN_ASSET)
        if command["amount"] <= 0:
            raise RefusedError(Reason.AMOUNT_OUT_OF_RANGE)
        if not command["reference"]:
            raise RefusedError(Reason.INVALID_COMMAND)
        if _booking_key(command) in self.ledger.booked_references:
            self._emit(EventKind.DUPLICATE, **self._as_asked(command))
            return False
        return True

    def _book(self, command: Fields, amount: int) -> None:
        account, asset = command["account"], command["asset"]
        if len(self.ledger.booked_references) == self.limits.references_max:
            raise RefusedError(Reason.ENGINE_FULL)
        if not self.ledger.has_room_for(account, asset):
            raise RefusedError(Reason.ENGINE_FULL)
        self.ledger.open(account, asset)
        self.ledger.booked_references.add(_booking_key(command))
        own = self.ledger.balance(account, asset)
        own.free += amount
        self._emit(
            EventKind.BALANCE,
            account=account,
            market=asset,
            amount=amount,
            free=own.free,
            locked=own.locked,
            reference=command["reference"],
        )

    def _asset_add(self, command: Fields) -> None:
        self._refuse_if(self.directory.check_asset(command))
        self.directory.assets.append(Asset(command["name"], command["scale"]))
        number = len(self.directory.assets) - 1
        self._emit(EventKind.ASSET, market=number, name=command["name"], scale=command["scale"])

    def _market_add(self, command: Fields) -> None:
        self._refuse_if(self.directory.check_market(command))
        market = self.directory.new_market(command)
        if not self.ledger.has_room_for(FEE_ACCOUNT, market.base_asset, market.quote_asset):
            raise RefusedError(Reason.ENGINE_FULL)
        self.ledger.open(FEE_ACCOUNT, market.base_asset, market.quote_asset)
        self.directory.markets.append(market)
        self._emit(EventKind.MARKET, **_market_rules(command), market=len(self.directory.markets) - 1)

    def _account_add(self, command: Fields) -> None:
        self._refuse_if(self.directory.check_account(command))
        self.directory.accounts.append(command["name"])
        self._emit(EventKind.ACCOUNT, account=len(self.directory.accounts) - 1, name=command["name"])

    def _key_add(self, command: Fields) -> None:
        self._refuse_if(self.directory.check_key(command))
        self.directory.keys[command["key_added"]] = (command["account"], command["scopes"])
        copied = {name: command[name] for name in ("account", "key_added", "scopes")}
        self._emit(EventKind.KEY, **copied)

    def _limits_set(self, command: Fields) -> None:
        asked = {name: command[name] for name in LIMIT_NAMES}
        of_account = Counter(account for account, _, _ in self.requests)
        used = Limits(
            assets_max=len(self.directory.assets),
            markets_max=len(self.directory.markets),
            accounts_max=len(self.directory.accounts),
            keys_max=len(self.directory.keys),
            balances_max=len(self.ledger.balances),
            orders_max=len(self.open_orders),
            levels_max=self._levels_used(),
            requests_remembered_max=len(self.requests),
            requests_remembered_per_account_max=max(of_account.values(), default=0),
            references_max=len(self.ledger.booked_references),
        )
        for name, number in asked.items():
            if not max(1, getattr(used, name)) <= number <= getattr(self.room, name):
                raise RefusedError(Reason.INVALID_COMMAND)
        self.limits = self.directory.limits = Limits(**asked)
        self.ledger.balances_max = self.limits.balances_max
        self._emit(EventKind.LIMITS, **asked)

    @staticmethod
    def _refuse_if(reason: Reason) -> None:
        if reason:
            raise RefusedError(reason)

    # ---- balances and events -----------------------------------------------------------------------------------------

    def _held_asset(self, order: Order) -> int:
        market = self.directory.markets[order.market]
        return int(market.quote_asset if order.side == Side.BUY else market.base_asset)

    def _held_balance(self, order: Order) -> Balance:
        return self.ledger.balance(order.account, self._held_asset(order))

    def _hold_of(self, market: Market, order: Order) -> int:
        """What the order, as it now is, keeps locked."""
        if order.is_market:
            return 0
        return market.notional(order.price, order.left) if order.side == Side.BUY else market.base_amount(order.left)

    def _balances_in(self, market: Market, account: int, who: str) -> Fields:
        base = self.ledger.balance(account, market.base_asset)
        quote = self.ledger.balance(account, market.quote_asset)
        return {
            f"{who}_base_free": base.free,
            f"{who}_base_locked": base.locked,
            f"{who}_quote_free": quote.free,
            f"{who}_quote_locked": quote.locked,
        }

    def _emit(self, kind: EventKind, **fields: Any) -> None:
        self._sequence += 1
        header = {
            "sequence": self._sequence,
            "command_sequence": self._record["sequence"],
            "time_ns": self._record["time_ns"],
        }
        for name in ("correlation", "gateway", "incarnation", "connection"):
            header[name] = self._cause[name]
        event = empty_event(kind) | header
        assert fields.keys() <= event.keys(), fields.keys() - event.keys()
        self._events.append(event | {k: int(v) if not isinstance(v, str) else v for k, v in fields.items()})

    def _emit_order(
        self,
        kind: EventKind,
        order: Order,
        flag_bits: int = 0,
        *,
        with_level_at: int | None = None,
        **fields: Any,
    ) -> None:
        """Report on an order; with the level at that price, on its side, if that has changed."""
        copied = (
            "order_id account market price quantity executed_quantity executed_quote quote_quantity side order_type "
            "time_in_force created_ns client_order_id trade_count"
        )
        report = {name: getattr(order, name) for name in copied.split()}
        if kind == EventKind.ACCEPTED and order.is_by_quote:
            report["quantity"] = 0
        if kind != EventKind.RESTED:
            self._execution_id += 1
            report["execution_id"] = self._execution_id
        held = self._held_balance(order)
        report |= {"status": order.open_status, "free": held.free, "locked": held.locked}
        report |= {"command_kind": self._cause["kind"], "transport": self._cause["transport"], "flag_bits": flag_bits}
        if with_level_at is not None:
            market = self.directory.markets[order.market]
            market.book_update_id += 1
            report["flag_bits"] |= EventFlag.LEVEL
            report["book_update_id"] = market.book_update_id
            report["level_price"] = with_level_at
            report["level_quantity"] = market.book.level_quantity(order.side, with_level_at)
        self._emit(kind, **report | fields)

    def _emit_refusal(self, command: Fields, reason: Reason) -> None:
        self._emit(EventKind.REJECTED, **self._as_asked(command) | {"reason": reason})

    def _as_asked(self, command: Fields) -> Fields:
        """What REJECTED and DUPLICATE repeat of the command."""
        asked = {"account": command["account"], "command_kind": command["kind"], "transport": self._cause["transport"]}
        if command["kind"] in _ORDER_COMMANDS:
            copied = (
                "market order_id side order_type time_in_force price quantity quote_quantity client_order_id "
                "original_client_order_id"
            )
            asked |= {name: command[name] for name in copied.split()}
            asked["status"] = OrderStatus.REJECTED if command["kind"] == CommandKind.PLACE else 0
        if "asset" in command:
            asked["market"] = command["asset"]
        return asked

    def _emit_done(self, account: int, market: int, count: int) -> None:
        self._emit(
            EventKind.DONE,
            account=account,
            market=market,
            count=count,
            command_kind=self._cause["kind"],
            transport=self._cause["transport"],
        )


def _limit_of(order: Order) -> int | None:
    return None if order.is_market else order.price


def _can_rest(order: Order) -> bool:
    return not order.is_market and order.time_in_force == TimeInForce.GTC


def _booking_key(command: Fields) -> tuple[int, int, str]:
    return command["account"], command["kind"], command["reference"]


def _market_rules(command: Fields) -> Fields:
    """The body that MARKET_ADD and MARKET share."""
    header = empty_event(EventKind.ASSET).keys()
    return {name: command[name] for name in empty_event(EventKind.MARKET) if name not in header}


_ORDER_COMMANDS = (
    CommandKind.PLACE,
    CommandKind.CANCEL,
    CommandKind.CANCEL_ALL,
    CommandKind.AMEND,
    CommandKind.CANCEL_REPLACE,
)
