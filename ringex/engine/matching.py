"""Matching: an order against the other side of its book, best price first, oldest order first.

The order being matched, its limit and what is left of the step's bound are the root's `pending_*` fields, so that a
CONTINUE command goes on exactly where the bound on events stopped (law 9).
"""

from __future__ import annotations

from typing import Any

from ringex.engine.book import (
    best_level,
    book_enter,
    book_leave,
    book_reduce,
    order_close,
    order_open,
    reaches,
)
from ringex.engine.events import emit, emit_order, emitted, mark_level
from ringex.engine.ledger import book_fee, book_free, hold, pay_locked
from ringex.engine.records import BALANCE, LEVEL, MARKET, ORDER, ROOT
from ringex.jit import compiled, inlined, int64
from ringex.memory import record_at
from ringex.messages import (
    EVENT,
    EVENTS_PER_COMMAND_MAX,
    TRADE,
    CommandKind,
    EventFlag,
    EventKind,
    OrderStatus,
    OrderType,
    Reason,
    Side,
    TimeInForce,
)
from ringex.rules import base_amount, fee, notional
from ringex.tables import pool_give


@inlined
def opposite(side: int) -> int:
    return 3 - int64(side)


@compiled
def trade_quantity(root: int) -> int:
    """The quantity of the pending order's next trade; 0 if it cannot trade (on)."""
    s = record_at(root, 0, ROOT)
    order = record_at(s.orders, s.pending_order, ORDER)
    number = best_level(root, s.pending_market, opposite(order.side))
    if number == 0:
        return 0
    level = record_at(s.levels, number, LEVEL)
    if s.pending_price != 0 and not reaches(order.side, s.pending_price, level.price):
        return 0
    maker = record_at(s.orders, int64(level.oldest), ORDER)
    maker_left = maker.quantity - maker.executed
    if s.pending_quote == 0:
        return min(order.quantity - order.executed, maker_left)
    market = record_at(s.markets, s.pending_market, MARKET)
    lots = (s.pending_quote - order.executed_quote) // notional(market, level.price, market.lot)
    return min(lots, maker_left // market.lot) * market.lot


@compiled
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
    return best_level(root, s.pending_market, opposite(order.side)) != 0 and trade_quantity(root) == 0


@compiled
def match(root: int, command_kind: int) -> None:
    """Match the pending order until it is done, or this step's events are: then `continuation_pending` says so."""
    s = record_at(root, 0, ROOT)
    s.continuation_pending = 0
    while True:
        quantity = trade_quantity(root)
        if quantity == 0:
            break
        if emitted(root) >= EVENTS_PER_COMMAND_MAX - 2:
            s.continuation_pending = command_kind
            return
        _trade(root, command_kind, quantity)
    _finish(root, command_kind)


@compiled
def _finish(root: int, command_kind: int) -> None:
    """What becomes of the pending order when it can trade no more: filled, resting or expired."""
    s = record_at(root, 0, ROOT)
    slot = s.pending_order
    market = s.pending_market
    order = record_at(s.orders, slot, ORDER)
    if _is_filled(root):
        if command_kind == CommandKind.AMEND:
            order_close(root, slot, market)
        pool_give(s.order_pool, slot)
        return
    if order.order_type == OrderType.MARKET or order.time_in_force != TimeInForce.GTC:
        expire(root, command_kind, int64(Reason.NO_LIQUIDITY))
        return
    level_quantity = book_enter(root, slot, market, s.pending_price)
    if command_kind != CommandKind.AMEND:
        order_open(root, slot, market)
    status = int64(OrderStatus.NEW) if order.executed == 0 else int64(OrderStatus.PARTIALLY_FILLED)
    event = emit_order(root, int64(EventKind.RESTED), command_kind, slot, market, s.pending_price, status)
    mark_level(root, event, market, s.pending_price, level_quantity)


@compiled
def expire(root: int, command_kind: int, reason: int) -> None:
    """Close the pending order, which does not rest, with what it has left unfilled."""
    s = record_at(root, 0, ROOT)
    slot = s.pending_order
    order = record_at(s.orders, slot, ORDER)
    market = record_at(s.markets, s.pending_market, MARKET)
    if order.order_type != OrderType.MARKET:
        left = order.quantity - order.executed
        hold(root, held_balance(order), -held_amount(market, order.side, s.pending_price, left))
    if s.pending_quote != 0:
        order.quantity = order.executed
    status = int64(OrderStatus.EXPIRED)
    address = emit_order(root, int64(EventKind.CANCELED), command_kind, slot, s.pending_market, s.pending_price, status)
    e = record_at(address, 0, EVENT)
    e.reason = reason
    e.quote_quantity = s.pending_quote
    pool_give(s.order_pool, slot)


@inlined
def held_balance(order: Any) -> int:
    """The slot of the balance that an order holds: BUY quote, SELL base."""
    return int64(order.quote_balance) if order.side == Side.BUY else int64(order.base_balance)


@inlined
def held_amount(market: Any, side: int, price: int, quantity: int) -> int:
    """What `quantity` of a limit order holds."""
    return notional(market, price, quantity) if side == Side.BUY else base_amount(market, quantity)


@compiled
def _trade(root: int, command_kind: int, quantity: int) -> None:
    """One trade of the pending order with the oldest order at the best price: settlement, book, event."""
    s = record_at(root, 0, ROOT)
    slot = s.pending_order
    taker = record_at(s.orders, slot, ORDER)
    market = record_at(s.markets, s.pending_market, MARKET)
    level = record_at(s.levels, best_level(root, s.pending_market, opposite(taker.side)), LEVEL)
    price = level.price
    maker_slot = int64(level.oldest)
    maker = record_at(s.orders, maker_slot, ORDER)
    amount = notional(market, price, quantity)

    taker.executed += quantity
    taker.executed_quote += amount
    taker.trade_count += 1
    maker.executed += quantity
    maker.executed_quote += amount
    maker.trade_count += 1
    taker_limit = s.pending_price
    taker_fee = _settle(root, s.pending_market, slot, taker_limit, quantity, amount, int64(market.taker_fee))
    maker_fee = _settle(root, s.pending_market, maker_slot, price, quantity, amount, int64(market.maker_fee))

    level_quantity = book_reduce(root, maker_slot, quantity)
    maker_done = maker.executed == maker.quantity
    if maker_done:
        book_leave(root, maker_slot)
        order_close(root, maker_slot, s.pending_market)

    market.trade_id += 1
    market.book_update_id += 1
    e = record_at(emit(root, int64(EventKind.TRADE), taker.account, s.pending_market), 0, TRADE)
    e.flag_bits = EventFlag.LEVEL
    e.order_id = taker.order_id
    e.execution_id = s.execution_id + 1
    s.execution_id += 2
    e.price = price
    e.quantity = quantity
    e.trade_id = market.trade_id
    e.quote_amount = amount
    e.maker_order_id = maker.order_id
    e.side = taker.side
    e.taker_status = OrderStatus.FILLED if _is_filled(root) else OrderStatus.PARTIALLY_FILLED
    e.maker_status = OrderStatus.FILLED if maker_done else OrderStatus.PARTIALLY_FILLED
    e.command_kind = command_kind
    e.maker_account = maker.account
    e.book_update_id = market.book_update_id
    e.level_quantity = level_quantity
    e.taker_executed_quantity = taker.executed
    e.taker_executed_quote = taker.executed_quote
    e.maker_executed_quantity = maker.executed
    e.maker_executed_quote = maker.executed_quote
    e.taker_fee = taker_fee
    e.maker_fee = maker_fee
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
    if maker_done:
        pool_give(s.order_pool, maker_slot)


@compiled
def _settle(root: int, market: int, slot: int, limit: int, quantity: int, amount: int, rate: int) -> int:
    """One side of a trade: pay, from the hold at `limit` (0: from free), receive less the fee. Returns the fee."""
    s = record_at(root, 0, ROOT)
    order = record_at(s.orders, slot, ORDER)
    m = record_at(s.markets, market, MARKET)
    base = base_amount(m, quantity)
    if order.side == Side.BUY:
        if limit != 0:
            held = notional(m, limit, quantity)
            pay_locked(root, order.quote_balance, held)
            book_free(root, order.quote_balance, held - amount)
        else:
            book_free(root, order.quote_balance, -amount)
        booked = book_fee(root, int64(m.fee_base_balance), fee(rate, base))
        book_free(root, order.base_balance, base - booked)
        return booked
    if limit != 0:
        pay_locked(root, order.base_balance, base)
    else:
        book_free(root, order.base_balance, -base)
    booked = book_fee(root, int64(m.fee_quote_balance), fee(rate, amount))
    book_free(root, order.quote_balance, amount - booked)
    return booked
