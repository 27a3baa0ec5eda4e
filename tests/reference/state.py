"""What the reference exchange knows, and the questions that several of its parts ask of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reference.book import Order
from reference.directory import Directory, Market
from reference.fees import Fees
from reference.ledger import Balance, Ledger
from reference.records import Fields
from ringex.config import Limits
from ringex.messages import AMOUNT_MAX
from ringex.reasons import Reason
from ringex.terms import AccountStatus, MarketStatus, OrderType, Side, TimerKind

if TYPE_CHECKING:
    from reference.orderlists import OrderList


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
class TakerLeft:
    """Left to CONTINUE: a taker that goes on matching."""

    cause: Fields
    order: Order


@dataclass
class MassLeft:
    """Left to CONTINUE: a mass cancel that goes on canceling."""

    cause: Fields


@dataclass
class UncrossLeft:
    """Left to CONTINUE: an uncross, whose price is fixed."""

    cause: Fields
    market: int
    price: int


@dataclass
class StopsDue:
    """Left to CONTINUE: lists with orders to be placed, then a cascade of stop orders, one for each."""

    market: Market


@dataclass
class Timer:
    """What will happen at a time that is known already."""

    due_ns: int
    timer_sequence: int  # in order of creation
    kind: TimerKind
    subject: int


@dataclass
class State:
    limits: Limits
    events_per_command_max: int
    directory: Directory = field(init=False)
    ledger: Ledger = field(init=False)
    fees: Fees = field(init=False)
    open_orders: dict[int, Order] = field(default_factory=dict)
    order_lists: dict[int, OrderList] = field(default_factory=dict)  # those with an open order
    order_list_id: int = 0
    due_lists: list[OrderList] = field(default_factory=list)  # the working order is filled, the oldest first
    requests: dict[tuple[object, ...], Request] = field(default_factory=dict)
    pending: TakerLeft | MassLeft | UncrossLeft | StopsDue | None = None
    order_id: int = 0
    timers: list[Timer] = field(default_factory=list)
    timer_sequence: int = 0
    waiters: int = 0  # how many stop orders have begun to wait
    followers: int = 0  # how many trailing stops have begun to follow their market

    def __post_init__(self) -> None:
        self.directory = Directory(self.limits)
        self.ledger = Ledger(self.limits.balances_max)
        self.fees = Fees(self.directory, self.ledger)

    def begin_following(self, order: Order, price: int) -> None:
        """A trailing stop follows the market from this price on (0: there was no trade yet)."""
        self.followers += 1
        order.anchor, order.following = price, self.followers

    # ---- timers --------------------------------------------------------------------------------------------------

    def set_timer(self, kind: TimerKind, subject: int, due_ns: int) -> None:
        """In place of the one of this kind that the subject may have."""
        self.remove_timer(kind, subject)
        self.timer_sequence += 1
        self.timers.append(Timer(due_ns, self.timer_sequence, kind, subject))

    def remove_timer(self, kind: TimerKind, subject: int) -> None:
        self.timers = [timer for timer in self.timers if (timer.kind, timer.subject) != (kind, subject)]

    def forget_schedule(self, number: int) -> bool:
        """A market has no schedule any more. Whether it had one."""
        others = [t for t in self.timers if t.kind != TimerKind.MARKET_PHASE or t.subject >> 3 != number]
        had_one = len(others) < len(self.timers)
        self.timers = others
        return had_one

    def first_timer(self) -> Timer | None:
        return min(self.timers, key=lambda timer: (timer.due_ns, timer.timer_sequence), default=None)

    # ---- may it be -----------------------------------------------------------------------------------------------

    def check_standing(self, command: Fields) -> None:
        """Whether the account may place or amend orders, and the market takes them."""
        if self.directory.accounts[command["account"]].status == AccountStatus.BLOCKED:
            raise RefusedError(Reason.ACCOUNT_BLOCKED)
        if self.directory.markets[command["market"]].status in (MarketStatus.HALT, MarketStatus.CLOSED):
            raise RefusedError(Reason.MARKET_CLOSED)

    def check_position(self, account: int, number: int, more: int) -> None:
        """Whether the account may come to have `more` of the market's base besides what it has and is buying."""
        market = self.directory.markets[number]
        own = self.ledger.balance(account, market.base_asset)
        mine = [o for o in self.open_orders.values() if (o.account, o.market) == (account, number)]
        buying = sum(order.left for order in mine if order.side == Side.BUY)
        if own.free + own.locked + market.base_amount(buying + more) > market.position_max > 0:
            raise RefusedError(Reason.POSITION_TOO_LARGE)

    def check_client_order_id(self, account: int, client_order_id: str, but_for: Order | None = None) -> None:
        taken = self.by_client_order_id(account, client_order_id)
        if taken is not None and taken is not but_for:
            raise RefusedError(Reason.DUPLICATE_CLIENT_ORDER_ID)

    def has_room_in_level(self, market: Market, side: int, price: int, quantity: int) -> bool:
        """Whether a new order may come to rest at this price, whatever trades before."""
        return not self.is_level_table_full() and market.book.level_quantity(side, price) + quantity <= AMOUNT_MAX

    def is_level_table_full(self) -> bool:
        return self.levels_used() == self.limits.levels_max

    def levels_used(self) -> int:
        return sum(len(market.book.bids) + len(market.book.asks) for market in self.directory.markets)

    # ---- orders and what they hold ---------------------------------------------------------------------------------

    def by_client_order_id(self, account: int, client_order_id: str) -> Order | None:
        if not client_order_id:
            return None
        named = (o for o in self.open_orders.values() if (o.account, o.client_order_id) == (account, client_order_id))
        return next(named, None)

    def market_of(self, order: Order) -> Market:
        return self.directory.markets[order.market]

    def held_asset(self, order: Order) -> int:
        market = self.market_of(order)
        return int(market.quote_asset if order.side == Side.BUY else market.base_asset)

    def held_balance(self, order: Order) -> Balance:
        return self.ledger.balance(order.account, self.held_asset(order))

    def hold_of(self, order: Order) -> int:
        """What the order, as it now is, keeps locked."""
        return 0 if order.is_pending else self.hold_for(order, order.left)

    def locked_for(self, orders: list[Order]) -> int:
        """What orders that are one, or a pair of a list, keep locked: of the pair the larger hold."""
        return max((self.hold_of(order) for order in orders), default=0)

    def partners(self, order: Order) -> list[Order]:
        """The order, if it is open, and the others of its list that are."""
        if order.order_list is None:
            return [order]
        return [other for other in order.order_list.orders if other.order_id in self.open_orders]

    def hold_for(self, order: Order, quantity: int) -> int:
        """What is locked for that much of the order: nothing for MARKET, and for a stop that buys at any price."""
        market = self.market_of(order)
        if order.is_market and (order.side == Side.BUY or order.order_type == OrderType.MARKET):
            return 0
        return market.notional(order.price, quantity) if order.side == Side.BUY else market.base_amount(quantity)

    def release(self, order: Order, quantity: int) -> None:
        """What is locked for that much of the order becomes free."""
        self.ledger.hold(order.account, self.held_asset(order), -self.hold_for(order, quantity))

    def close(self, order: Order) -> None:
        """The order ends unfilled: what it holds becomes free. It has left the book already, if it was there."""
        partners = self.partners(order)
        others = [other for other in partners if other is not order]
        freed = self.locked_for(partners) - self.locked_for(others)
        self.ledger.hold(order.account, self.held_asset(order), -freed)
        self.open_orders.pop(order.order_id, None)
