"""Matching: an order against the other side of its book, best price first, oldest order first.

The order being matched, its limit and what is left of the step's bound are the root's `pending_*` fields, so that a
CONTINUE command goes on exactly where the bound on events stopped (law 9).
"""

from __future__ import annotations

from typing import Final

from ringex.engine.book import (
    best_level,
    book_enter,
    book_leave,
    book_refill,
    book_trade,
    opposite,
    order_close,
    order_open,
    order_shown,
    reaches,
    stop_due,
)
from ringex.engine.breaker import pause, trips
from ringex.engine.closing import close_sibling, close_taker, fill_list
from ringex.engine.events import emit, emit_order, emitted, mark_level
from ringex.engine.fees import charge
from ringex.engine.filters import note_trade
from ringex.engine.ledger import book_free, pay_locked
from ringex.engine.orderlimits import note_first_fill
from ringex.engine.orderlists import is_list_due, list_of
from ringex.engine.prevention import is_prevented, mode_of, prevent
from ringex.engine.records import BALANCE, LEVEL, MARKET, ORDER, ROOT
from ringex.engine.tallies import tally_buying
from ringex.engine.trailing import follow_prices
from ringex.jit import compiled, inlined, int64
from ringex.memory import record_at
from ringex.messages import EVENTS_PER_COMMAND_MAX, TRADE
from ringex.orderlimits import MAKER_CREDIT, TAKER_CREDIT
from ringex.reasons import Reason
from ringex.rules import base_amount, may_rest, notional
from ringex.tables import pool_give
from ringex.terms import (
    CommandKind,
    EventFlag,
    EventKind,
    MarketStatus,
    OrderStatus,
    OrderType,
    SelfTradePrevention,
    Side,
)

EVENTS_PER_STEP_MAX: Final = 9
"""PREVENTED, then the ends of maker and taker, each of which may take two pending orders and a list along. A trade
gives fewer: the other of the maker's pair, TRADE, RESTED of an iceberg that shows a fresh slice or the end of the
maker's list, and what becomes of the taker's rest."""


@inlined
def _next_maker(root: int) -> int:
    """The order that the pending one meets next, within its limit, or 0."""
    s = record_at(root, 0, ROOT)
    order = record_at(s.orders, s.pending_order, ORDER)
    number = best_level(root, s.pending_market, opposite(order.side))
    if number == 0 or record_at(s.markets, s.pending_market, MARKET).status != MarketStatus.TRADING:
        return 0
    level = record_at(s.levels, number, LEVEL)
    limit = s.pending_price if s.pending_price != 0 else s.pending_collar
    if limit != 0 and not reaches(order.side, limit, level.price):
        return 0
    return int64(level.oldest)


@inlined
def _wanted(root: int, maker_slot: int, offered: int) -> int:
    """How much of `offered` by a maker the pending order takes; 0: it cannot pay for a lot."""
    s = record_at(root, 0, ROOT)
    order = record_at(s.orders, s.pending_order, ORDER)
    if s.pending_quote == 0:
        return min(order.quantity - order.executed, offered)
    market = record_at(s.markets, s.pending_market, MARKET)
    price = record_at(s.levels, int64(record_at(s.orders, maker_slot, ORDER).level), LEVEL).price
    lots = (s.pending_quote - order.executed_quote) // notional(market, price, market.lot)
    return min(min(lots, offered // market.lot + 1) * market.lot, offered)  # what is offered may be of an earlier lot


@inlined
def trade_quantity(root: int) -> int:
    """The quantity of the pending order's next trade; 0 if it cannot trade (on)."""
    maker_slot = _next_maker(root)
    return _wanted(root, maker_slot, order_shown(root, maker_slot)) if maker_slot != 0 else 0


@inlined
def _is_filled(root: int) -> bool:
    """Whether the pending order needs no more; one by quote amount also where a maker is left but no lot affordable."""
    s = record_at(root, 0, ROOT)
    order = record_at(s.orders, s.pending_order, ORDER)
    if s.pending_quote == 0:
        return order.executed == order.quantity
    if order.executed == 0:
        return False
    if order.executed_quote == s.pending_quote:
        return True
    return _next_maker(root) != 0 and trade_quantity(root) == 0


@compiled
def match(root: int, command_kind: int) -> None:
    """Match the pending order until it is done, or this step's events are: then `continuation_pending` says so."""
    s = record_at(root, 0, ROOT)
    s.continuation_pending = 0
    filled = False
    while True:
        quantity = trade_quantity(root)
        if quantity == 0:
            _finish(root, command_kind, filled)
            break
        maker_slot = _next_maker(root)
        if emitted(root) > EVENTS_PER_COMMAND_MAX - EVENTS_PER_STEP_MAX:
            s.continuation_pending = command_kind
            follow_prices(root, s.pending_market)
            return
        if not is_prevented(root, s.pending_order, maker_slot):
            level = int64(record_at(s.orders, maker_slot, ORDER).level)
            if trips(root, s.pending_market, record_at(s.levels, level, LEVEL).price):
                pause(root, s.pending_market)
                continue
            if record_at(s.markets, s.pending_market, MARKET).pairs != 0:
                close_sibling(root, maker_slot, command_kind)
            filled = _trade(root, command_kind, quantity)
            continue
        filled = False
        maker = record_at(s.orders, maker_slot, ORDER)
        if mode_of(root, s.pending_order) != SelfTradePrevention.EXPIRE_TAKER:
            close_sibling(root, maker_slot, command_kind)
        if not prevent(root, command_kind, maker_slot, _wanted(root, maker_slot, maker.quantity - maker.executed)):
            break
    look_for_stops(root, s.pending_market)


@inlined
def look_for_stops(root: int, market: int) -> None:
    """After an order that may have traded: is a stop order due, the next command is a CONTINUE that lets it fire.

    Likewise where pending orders of a list are to be placed.
    """
    s = record_at(root, 0, ROOT)
    follow_prices(root, market)
    if is_list_due(record_at(s.markets, market, MARKET)) or stop_due(root, market) != 0:
        s.continuation_pending = CommandKind.TRIGGER
        s.pending_market = market
        s.pending_price = 0
        s.pending_account = 0
        s.pending_quote = 0


@inlined
def _finish(root: int, command_kind: int, filled: bool) -> None:
    """What becomes of the pending order when it can trade no more; `filled` is what its last TRADE said."""
    s = record_at(root, 0, ROOT)
    slot = s.pending_order
    market = s.pending_market
    order = record_at(s.orders, slot, ORDER)
    if filled:
        order_list = int64(0)
        if command_kind != CommandKind.PLACE:
            order_list = list_of(root, slot)
            order_close(root, slot, market)
        pool_give(s.order_pool, slot)
        if order_list != 0:
            fill_list(root, order_list, command_kind)
        return
    if s.pending_price == 0 or not may_rest(order.time_in_force):
        stopped = s.pending_collar != 0 and best_level(root, market, opposite(order.side)) != 0
        reason = int64(Reason.PRICE_COLLAR) if stopped and _next_maker(root) == 0 else int64(Reason.NO_LIQUIDITY)
        if record_at(s.markets, market, MARKET).status != MarketStatus.TRADING:
            reason = int64(Reason.MARKET_PAUSED)
        close_taker(root, command_kind, int64(OrderStatus.EXPIRED), reason)
        return
    level_quantity = book_enter(root, slot, market, s.pending_price)
    if command_kind == CommandKind.PLACE:
        order_open(root, slot, market)
    status = int64(OrderStatus.NEW) if order.executed == 0 else int64(OrderStatus.PARTIALLY_FILLED)
    event = emit_order(root, int64(EventKind.RESTED), command_kind, slot, market, s.pending_price, status)
    mark_level(root, event, market, s.pending_price, level_quantity)


@inlined
def _trade(root: int, command_kind: int, quantity: int) -> bool:
    """One trade of the pending order with the oldest order at the best price: settlement, book, event.

    Returns whether it has filled the pending order.
    """
    s = record_at(root, 0, ROOT)
    slot = s.pending_order
    taker = record_at(s.orders, slot, ORDER)
    market = record_at(s.markets, s.pending_market, MARKET)
    level = record_at(s.levels, best_level(root, s.pending_market, opposite(taker.side)), LEVEL)
    price = level.price
    maker_slot = int64(level.oldest)
    maker = record_at(s.orders, maker_slot, ORDER)
    event = bargain(root, command_kind, slot, s.pending_price, True, maker_slot, price, price, quantity)

    level_quantity = book_trade(root, maker_slot, quantity)
    maker_done = maker.executed == maker.quantity
    refilled = int64(0)
    order_list = int64(0)
    if maker_done:
        order_list = list_of(root, maker_slot)
        book_leave(root, maker_slot)
        order_close(root, maker_slot, s.pending_market)
    elif order_shown(root, maker_slot) == 0:
        refilled = book_refill(root, maker_slot)

    market.book_update_id += 1
    e = record_at(event, 0, TRADE)
    e.flag_bits = EventFlag.LEVEL
    filled = _is_filled(root)
    e.taker_status = OrderStatus.FILLED if filled else OrderStatus.PARTIALLY_FILLED
    e.maker_status = OrderStatus.FILLED if maker_done else OrderStatus.PARTIALLY_FILLED
    e.book_update_id = market.book_update_id
    e.level_quantity = level_quantity
    if maker_done:
        pool_give(s.order_pool, maker_slot)
        if order_list != 0:
            fill_list(root, order_list, command_kind)
    elif refilled != 0:
        status = int64(OrderStatus.PARTIALLY_FILLED)
        event = emit_order(root, int64(EventKind.RESTED), command_kind, maker_slot, s.pending_market, price, status)
        mark_level(root, event, s.pending_market, price, refilled)
    return filled


@inlined
def bargain(
    root: int,
    command_kind: int,
    taker_slot: int,
    taker_limit: int,
    takes: bool,
    maker_slot: int,
    maker_limit: int,
    price: int,
    quantity: int,
) -> int:
    """What two orders that trade give, get and count; the book stays as it is. Returns the address of its TRADE.

    Limits are what the two hold at; 0: nothing. The first of them pays the taker's fee, if it `takes`. What becomes of
    orders and levels is left to the caller to do, and to say in the event.
    """
    s = record_at(root, 0, ROOT)
    number = s.pending_market
    market = record_at(s.markets, number, MARKET)
    taker = record_at(s.orders, taker_slot, ORDER)
    maker = record_at(s.orders, maker_slot, ORDER)
    amount = notional(market, price, quantity)
    if taker.executed == 0:
        note_first_fill(root, int64(taker.account), int64(TAKER_CREDIT) if takes else int64(MAKER_CREDIT))
    if maker.executed == 0:
        note_first_fill(root, int64(maker.account), int64(MAKER_CREDIT))
    taker.executed += quantity
    taker.executed_quote += amount
    taker.trade_count += 1
    maker.executed += quantity
    maker.executed_quote += amount
    maker.trade_count += 1
    if taker_limit == 0 and taker.order_type != OrderType.MARKET and taker.side == Side.SELL:
        taker_limit = price  # a stop order to sell: it has held the base since it was placed, at whatever price
    _pay(root, number, taker_slot, taker_limit, quantity, amount)
    rate = int64(market.taker_fee) if takes else int64(market.maker_fee)
    taker_fee = charge(root, number, taker_slot, taker_limit, quantity, amount, rate, takes)
    taker_fee_asset = s.fee_paid_in
    _pay(root, number, maker_slot, maker_limit, quantity, amount)
    maker_fee = charge(root, number, maker_slot, maker_limit, quantity, amount, int64(market.maker_fee), False)
    maker_fee_asset = s.fee_paid_in
    tally_buying(root, maker_slot, number, -quantity)
    if command_kind != CommandKind.PLACE:  # amended, or a stop order, or in an uncross: it is open
        tally_buying(root, taker_slot, number, -quantity)
    market.last_price = price
    if s.first_price == 0:
        s.first_price = price
    note_trade(root, number, price, quantity)
    market.trade_id += 1
    event = emit(root, int64(EventKind.TRADE), taker.account, number)
    e = record_at(event, 0, TRADE)
    e.order_id = taker.order_id
    e.execution_id = s.execution_id + 1
    s.execution_id += 2
    e.price = price
    e.quantity = quantity
    e.trade_id = market.trade_id
    e.quote_amount = amount
    e.maker_order_id = maker.order_id
    e.side = taker.side
    e.command_kind = command_kind
    e.maker_account = maker.account
    e.taker_executed_quantity = taker.executed
    e.taker_executed_quote = taker.executed_quote
    e.maker_executed_quantity = maker.executed
    e.maker_executed_quote = maker.executed_quote
    e.taker_fee = taker_fee
    e.maker_fee = maker_fee
    e.taker_fee_asset = taker_fee_asset
    e.maker_fee_asset = maker_fee_asset
    base = record_at(s.balances, int64(taker.base_balance), BALANCE)
    e.taker_base_free = base.free
    e.taker_base_locked = base.locked
    quote = record_at(s.balances, int64(taker.quote_balance), BALANCE)
    e.taker_quote_free = quote.free
    e.taker_quote_locked = quote.locked
    base = record_at(s.balances, int64(maker.base_balance), BALANCE)
    e.maker_base_free = base.free
    e.maker_base_locked = base.locked
    quote = record_at(s.balances, int64(maker.quote_balance), BALANCE)
    e.maker_quote_free = quote.free
    e.maker_quote_locked = quote.locked
    return event


@inlined
def _pay(root: int, market: int, slot: int, limit: int, quantity: int, amount: int) -> None:
    """What one side of a trade gives: from its hold at `limit`, or (0) from free."""
    order = record_at(record_at(root, 0, ROOT).orders, slot, ORDER)
    m = record_at(record_at(root, 0, ROOT).markets, market, MARKET)
    if order.side == Side.BUY:
        if limit != 0:
            held = notional(m, limit, quantity)
            pay_locked(root, order.quote_balance, held)
            book_free(root, order.quote_balance, held - amount)
        else:
            book_free(root, order.quote_balance, -amount)
    elif limit != 0:
        pay_locked(root, order.base_balance, base_amount(m, quantity))
    else:
        book_free(root, order.base_balance, -base_amount(m, quantity))
