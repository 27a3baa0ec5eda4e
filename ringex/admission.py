"""Rules that a new order must keep as things are now: statuses, counts, positions, the usual price.

Pure integer functions, shared by the matcher and by `order.test` (law 7); the caller brings what is open and what has
traded. What needs nothing but the order and the market's rules is in `ringex.rules`.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from ringex.jit import compiled, inlined, int64
from ringex.reasons import Reason
from ringex.rules import (
    check_iceberg,
    check_market_notional,
    check_near,
    check_order,
    check_stop_price,
    check_trailing_delta,
    is_met,
    is_stop,
    may_rest,
    unpriced,
)
from ringex.terms import AccountStatus, MarketStatus, OrderType, PegPriceType, Side, TimeInForce

FACTS: Final = np.dtype(
    [
        ("now_ns", "i8"),
        ("account_status", "i8"),
        ("last_price", "i8"),  # of the market's last trade; 0: there was none
        ("usual_price", "i8"),  # 0: there is none
        ("best_bid", "i8"),  # 0: nobody bids
        ("best_ask", "i8"),
        ("in_10s", "i8"),  # new orders of the account that count in the present ten seconds
        ("on_day", "i8"),  # on the present day
        ("open_orders", "i8"),  # that it has open in all markets
        ("in_10s_max", "i8"),  # of these three
        ("on_day_max", "i8"),
        ("open_orders_max", "i8"),
        ("orders", "i8"),  # that the account has open in the market
        ("algo_orders", "i8"),  # of these stop orders
        ("icebergs", "i8"),
        ("buying", "i8"),  # what those that buy have left
        ("has", "i8"),  # the account's base asset, free and locked
        ("id_is_taken", "i8"),  # 1: an open order of the account has the new one's client order id
    ]
)
"""What `admission_reason` must know of account and market."""


@inlined
def standing_reason(account_status: int, market_status: int) -> int:
    """Why an account of this status may not place or amend in a market of this status, or NONE."""
    if account_status == AccountStatus.BLOCKED:
        return int64(Reason.ACCOUNT_BLOCKED)
    if market_status == MarketStatus.HALT or market_status == MarketStatus.CLOSED:
        return int64(Reason.MARKET_CLOSED)
    return int64(Reason.NONE)


@inlined
def order_limits_reason(facts: Any) -> int:
    """Whether an account may send one more order, whatever it is: a Reason, or NONE."""
    if facts.in_10s >= facts.in_10s_max:
        return int64(Reason.ORDER_RATE_10S)
    if facts.on_day >= facts.on_day_max:
        return int64(Reason.ORDER_RATE_1D)
    return int64(Reason.TOO_MANY_OPEN_ORDERS) if facts.open_orders >= facts.open_orders_max else int64(Reason.NONE)


@inlined
def is_taken_in_auction(order_type: int, time_in_force: int) -> bool:
    """Whether a market that only collects orders takes such a one."""
    return is_stop(order_type) or (order_type == OrderType.LIMIT and may_rest(time_in_force))


@inlined
def good_till_reason(time_in_force: int, good_till_ns: int, now_ns: int) -> int:
    """Why an order may not be good till then, or NONE."""
    if (good_till_ns != 0) != (time_in_force == TimeInForce.GTD):
        return int64(Reason.INVALID_GOOD_TILL)
    if time_in_force == TimeInForce.GTD and good_till_ns <= now_ns:
        return int64(Reason.INVALID_GOOD_TILL)
    return int64(Reason.NONE)


@inlined
def looks_at_prices(market: Any) -> bool:
    """Whether some filter of the market compares with its usual price."""
    multipliers = market.bid_multiplier_up | market.bid_multiplier_down
    multipliers |= market.ask_multiplier_up | market.ask_multiplier_down
    return multipliers != 0 or market.filter_bits != 0


@compiled
def check_usual_price(market: Any, order_type: int, side: int, price: int, quantity: int, usual_price: int) -> int:
    """PERCENT_PRICE_BY_SIDE and what NOTIONAL asks of orders at any price: a Reason, or NONE."""
    if order_type == OrderType.MARKET or order_type == OrderType.STOP_LOSS or order_type == OrderType.TAKE_PROFIT:
        return check_market_notional(market, quantity, usual_price)
    return check_near(market, side, price, usual_price)


@inlined
def check_open_orders(
    market: Any, order_type: int, iceberg_quantity: int, orders: int, algo_orders: int, icebergs: int
) -> int:
    """MAX_NUM_ORDERS, MAX_NUM_ALGO_ORDERS, MAX_NUM_ICEBERG_ORDERS: a Reason, or NONE.

    `orders`, `algo_orders`, `icebergs`: how many, stop orders and icebergs among them, the account has open there.
    """
    if orders >= market.orders_per_account_max:
        return int64(Reason.TOO_MANY_ORDERS)
    if market.algo_orders_max != 0 and is_stop(order_type) and algo_orders >= market.algo_orders_max:
        return int64(Reason.TOO_MANY_ALGO_ORDERS)
    if market.iceberg_orders_max != 0 and iceberg_quantity != 0 and icebergs >= market.iceberg_orders_max:
        return int64(Reason.TOO_MANY_ICEBERGS)
    return int64(Reason.NONE)


@compiled
def check_position_of(market: Any, has: int, buying: int, more: int) -> int:
    """MAX_POSITION: whether an account may buy `more` besides what it `has` of the base asset and what its open
    orders in the market still buy (`buying`): a Reason, or NONE."""
    room = market.position_max - has
    if room < 0 or buying > room // market.base_multiplier or more > room // market.base_multiplier - buying:
        return int64(Reason.POSITION_TOO_LARGE)
    return int64(Reason.NONE)


@compiled
def admission_reason(market: Any, order: Any, facts: Any) -> int:
    """Why a PLACE record would be refused, or NONE, as far as these FACTS tell: funds and the room of the engine's
    tables are not looked at. The matcher checks the same, in the same order.

    Side, type, time in force, self-trade prevention and peg are such as they may be together. A pegged order that does
    not wait has the price of its peg, 0 where there is none.
    """
    order_type = int64(order.order_type)
    time_in_force = int64(order.time_in_force)
    reason = standing_reason(facts.account_status, int64(market.status))
    if reason == Reason.NONE:
        reason = good_till_reason(time_in_force, order.good_till_ns, facts.now_ns)
    if reason == Reason.NONE and market.status != MarketStatus.TRADING:
        if not is_taken_in_auction(order_type, time_in_force):
            return int64(Reason.NOT_IN_AUCTION)
    if reason == Reason.NONE and order.peg_price_type != PegPriceType.NONE and not is_stop(order_type):
        if order.price == 0:
            return int64(Reason.NO_PEG_PRICE)
    if reason == Reason.NONE:
        reason = _terms_reason(market, order, facts)
    if reason == Reason.NONE and facts.id_is_taken != 0:
        return int64(Reason.DUPLICATE_CLIENT_ORDER_ID)
    if reason == Reason.NONE:
        reason = order_limits_reason(facts)
    if reason == Reason.NONE:
        reason = check_open_orders(
            market, order_type, order.iceberg_quantity, facts.orders, facts.algo_orders, facts.icebergs
        )
    if reason == Reason.NONE and market.position_max != 0 and order.side == Side.BUY:
        more = order.quantity if order.quantity != 0 else market.lot
        reason = check_position_of(market, facts.has, facts.buying, more)
    if reason == Reason.NONE and order_type == OrderType.LIMIT_MAKER:
        best = facts.best_ask if order.side == Side.BUY else facts.best_bid
        if best != 0 and (order.price >= best if order.side == Side.BUY else order.price <= best):
            return int64(Reason.WOULD_TAKE)
    if reason == Reason.NONE and is_stop(order_type) and order.trailing_delta == 0:
        if is_met(facts.last_price, order_type, int64(order.side), order.stop_price):
            return int64(Reason.WOULD_TRIGGER)
    return reason


@compiled
def _terms_reason(market: Any, order: Any, facts: Any) -> int:
    """Why the market does not take an order with these terms, or NONE."""
    order_type = int64(order.order_type)
    side = int64(order.side)
    waits_for_price = order.peg_price_type != PegPriceType.NONE and is_stop(order_type)
    counts_as = unpriced(order_type) if waits_for_price else order_type
    reason = check_order(market, counts_as, order.price, order.quantity, order.quote_quantity)
    delta = int64(order.trailing_delta)
    if reason == Reason.NONE:
        reason = check_stop_price(market, order_type, order.stop_price, delta)
    if reason == Reason.NONE:
        reason = check_trailing_delta(market, order_type, side, delta)
    if reason == Reason.NONE:
        time_in_force = int64(order.time_in_force)
        reason = check_iceberg(market, order_type, time_in_force, order.quantity, order.iceberg_quantity)
    if reason == Reason.NONE and looks_at_prices(market):
        reason = check_usual_price(market, counts_as, side, order.price, order.quantity, facts.usual_price)
    return reason
