"""How orders end otherwise than by being filled: a taker that may match no further, and one that rests or waits."""

from __future__ import annotations

from ringex.engine.book import book_leave, book_take, is_waiting, order_close, order_price
from ringex.engine.events import emit_order, mark_level
from ringex.engine.ledger import held_amount, held_balance, hold
from ringex.engine.records import LEVEL, MARKET, ORDER, ROOT
from ringex.jit import compiled, int64
from ringex.memory import record_at
from ringex.messages import EVENT
from ringex.reasons import Reason
from ringex.tables import ids_find, pool_give
from ringex.terms import CommandKind, EventKind, OrderStatus, OrderType


@compiled
def close_taker(root: int, command_kind: int, status: int, reason: int) -> None:
    """End the pending order, which does not rest, with what it has left unfilled."""
    s = record_at(root, 0, ROOT)
    slot = s.pending_order
    order = record_at(s.orders, slot, ORDER)
    market = record_at(s.markets, s.pending_market, MARKET)
    if order.order_type != OrderType.MARKET:
        left = order.quantity - order.executed
        hold(root, held_balance(order), -held_amount(market, order.side, s.pending_price, left))
    if s.pending_quote != 0:
        order.quantity = order.executed
    if command_kind != CommandKind.PLACE:  # amended, or a stop order: it was open before
        order_close(root, slot, s.pending_market)
    address = emit_order(root, int64(EventKind.CANCELED), command_kind, slot, s.pending_market, s.pending_price, status)
    e = record_at(address, 0, EVENT)
    e.reason = reason
    e.quote_quantity = s.pending_quote
    pool_give(s.order_pool, slot)


@compiled
def expire_order(root: int, order_id: int) -> None:
    """The time of an open GTD order is over."""
    slot = ids_find(record_at(root, 0, ROOT).order_index, order_id)
    expired = int64(OrderStatus.EXPIRED)
    close_open(root, slot, int64(CommandKind.TIMER), expired, int64(Reason.EXPIRED_BY_TIME))


@compiled
def close_open(root: int, slot: int, command_kind: int, status: int, reason: int) -> int:
    """End an order that rests in the book or waits for its stop price. Returns the address of its CANCELED event."""
    s = record_at(root, 0, ROOT)
    order = record_at(s.orders, slot, ORDER)
    level = record_at(s.levels, int64(order.level), LEVEL)
    market = int64(level.market)
    price = order_price(root, slot)
    waits = is_waiting(root, slot)
    m = record_at(s.markets, market, MARKET)
    level_quantity = int64(0) if waits else book_take(root, slot)
    book_leave(root, slot)
    order_close(root, slot, market)
    hold(root, held_balance(order), -held_amount(m, order.side, price, order.quantity - order.executed))
    event = emit_order(root, int64(EventKind.CANCELED), command_kind, slot, market, price, status)
    if not waits:
        mark_level(root, event, market, price, level_quantity)
    record_at(event, 0, EVENT).reason = reason
    pool_give(s.order_pool, slot)
    return event
