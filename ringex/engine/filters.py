"""A market's filters: how they are set, and those that look at prices, positions and counts as they now are.

What needs nothing but the order and the rules is in `ringex.rules`, and what is checked of these is in
`ringex.admission`: for gateways too.
"""

from __future__ import annotations

from typing import Final

from ringex.admission import check_open_orders, check_position_of, check_usual_price, looks_at_prices
from ringex.averages import AVERAGE_BYTES, average_add, average_price, average_reset
from ringex.engine.book import best_level
from ringex.engine.events import answer_plainly, emit
from ringex.engine.ledger import balance_find
from ringex.engine.orderlimits import check_order_limits
from ringex.engine.records import (
    ARMING_RISING,
    BALANCE,
    FILTERS_BYTES,
    FILTERS_OFFSET,
    LEVEL,
    MARKET,
    MARKET_BYTES,
    ORDER,
    ROOT,
    TALLY,
    TRAIL,
)
from ringex.engine.tallies import tally_buying, tally_find
from ringex.jit import compiled, inlined, int64
from ringex.memory import copy_bytes, record_at
from ringex.messages import COMMAND, FILTER_NAMES, FILTERS_COMMAND, FILTERS_EVENT
from ringex.reasons import Reason
from ringex.rules import collar, filters_reason
from ringex.terms import EventKind, Side

COMMAND_FILTERS_OFFSET: Final[int] = FILTERS_COMMAND.fields[FILTER_NAMES[0]][1]  # type: ignore[index]
EVENT_FILTERS_OFFSET: Final[int] = FILTERS_EVENT.fields[FILTER_NAMES[0]][1]  # type: ignore[index]


@compiled
def set_filters(root: int, command: int) -> None:
    """MARKET_FILTERS_SET: all filters of a market at once."""
    s = record_at(root, 0, ROOT)
    c = record_at(command, 0, FILTERS_COMMAND)
    if c.market < 0 or c.market >= s.markets_count:
        answer_plainly(root, command, int64(EventKind.REJECTED), int64(Reason.INVALID_SYMBOL))
        return
    number = int64(c.market)
    market = record_at(s.markets, number, MARKET)
    reason = filters_reason(c, market.price_max)
    if reason != Reason.NONE:
        answer_plainly(root, command, int64(EventKind.REJECTED), reason)
        return
    minutes = int64(market.average_minutes)
    if market.position_max != 0:
        _count_buying(root, number, int64(-1))
    copy_bytes(_filters_of(root, number), command + COMMAND_FILTERS_OFFSET, int64(FILTERS_BYTES))
    if market.position_max != 0:
        _count_buying(root, number, int64(1))
    if market.average_minutes != minutes:
        average_reset(average_of(root, number), int64(market.average_minutes))
    market.breaker_price = 0
    market.breaker_since_ns = 0
    event = emit(root, int64(EventKind.MARKET_FILTERS), int64(0), number)
    copy_bytes(event + EVENT_FILTERS_OFFSET, _filters_of(root, number), int64(FILTERS_BYTES))


@inlined
def _filters_of(root: int, market: int) -> int:
    """The address of a market's filters."""
    return record_at(root, 0, ROOT).markets + market * MARKET_BYTES + FILTERS_OFFSET


@compiled
def _count_buying(root: int, market: int, sign: int) -> None:
    """Add (1) or take away (-1) what every open order to buy has left in its account's tally."""
    s = record_at(root, 0, ROOT)
    for side in range(Side.BUY, ARMING_RISING + 1):
        if side != Side.SELL:
            _count_levels(root, market, best_level(root, market, side), sign)
    _count_levels(root, market, int64(record_at(s.markets, market, MARKET).pending_level), sign)
    trail = int64(record_at(s.markets, market, MARKET).trails_buy)
    while trail != 0:
        _count_levels(root, market, int64(record_at(s.trails, trail, TRAIL).oldest), sign)
        trail = int64(record_at(s.trails, trail, TRAIL).after)


@compiled
def _count_levels(root: int, market: int, number: int, sign: int) -> None:
    s = record_at(root, 0, ROOT)
    while number != 0:
        slot = int64(record_at(s.levels, number, LEVEL).oldest)
        while slot != 0:
            order = record_at(s.orders, slot, ORDER)
            tally_buying(root, slot, market, sign * (order.quantity - order.executed))
            slot = int64(order.next)
        number = int64(record_at(s.levels, number, LEVEL).worse)


@inlined
def average_of(root: int, market: int) -> int:
    """The address of a market's average."""
    return record_at(root, 0, ROOT).averages + market * AVERAGE_BYTES


@inlined
def note_trade(root: int, market: int, price: int, quantity: int) -> None:
    """Let a trade count in the market's average, where it keeps one."""
    s = record_at(root, 0, ROOT)
    if record_at(s.markets, market, MARKET).average_minutes != 0:
        average_add(average_of(root, market), s.time_ns, price, quantity)


@inlined
def last_or_reference(root: int, market: int) -> int:
    """The price of the last trade; where there was none, the reference price that the filters name; 0: neither."""
    m = record_at(record_at(root, 0, ROOT).markets, market, MARKET)
    return m.last_price if m.last_price != 0 else m.reference_price


@compiled
def usual_price(root: int, market: int) -> int:
    """The average price; where nothing has traded in its minutes, the last price or what stands for it; 0: none."""
    s = record_at(root, 0, ROOT)
    if record_at(s.markets, market, MARKET).average_minutes != 0:
        average = average_price(average_of(root, market), s.time_ns)
        if average != 0:
            return average
    return last_or_reference(root, market)


@compiled
def market_reach(root: int, market: int, side: int) -> int:
    """The last price that an order of this side at any price may trade at now; 0: it may go as far as it likes."""
    m = record_at(record_at(root, 0, ROOT).markets, market, MARKET)
    if (m.bid_multiplier_up if side == Side.BUY else m.ask_multiplier_down) == 0:
        return int64(0)
    return collar(m, side, usual_price(root, market))


@inlined
def check_price(root: int, market: int, order_type: int, side: int, price: int, quantity: int) -> int:
    """PERCENT_PRICE_BY_SIDE and what NOTIONAL asks of orders at any price: a Reason, or NONE."""
    m = record_at(record_at(root, 0, ROOT).markets, market, MARKET)
    if not looks_at_prices(m):
        return int64(Reason.NONE)
    return check_usual_price(m, order_type, side, price, quantity, usual_price(root, market))


@inlined
def check_counts(root: int, command: int) -> int:
    """Whether the account may send one more order, and have one of this kind open in the market: a Reason, or NONE."""
    s = record_at(root, 0, ROOT)
    c = record_at(command, 0, COMMAND)
    m = record_at(s.markets, int64(c.market), MARKET)
    reason = check_order_limits(root, int64(c.account), int64(1))
    if reason != Reason.NONE:
        return reason
    tally = record_at(s.tallies, tally_find(root, c.account, c.market), TALLY)
    reason = check_open_orders(m, c.order_type, c.iceberg_quantity, tally.orders, tally.algo_orders, tally.icebergs)
    if reason != Reason.NONE:
        return reason
    if m.position_max != 0 and c.side == Side.BUY:
        return check_position(root, c.account, int64(c.market), c.quantity if c.quantity != 0 else m.lot)
    return int64(Reason.NONE)


@compiled
def check_position(root: int, account: int, market: int, more: int) -> int:
    """MAX_POSITION: whether the account may come to have `more` of the base besides all that it has or buys."""
    s = record_at(root, 0, ROOT)
    m = record_at(s.markets, market, MARKET)
    balance = record_at(s.balances, balance_find(root, account, m.base_asset), BALANCE)
    buying = record_at(s.tallies, tally_find(root, account, market), TALLY).buying
    return check_position_of(m, balance.free + balance.locked, buying, more)
