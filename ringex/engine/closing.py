"""How orders end otherwise than by being filled: a taker that may match no further, and one that rests or waits.

With an order ends the list that it is of. Only where one order of a pair trades or fires, the other alone ends.
"""

from __future__ import annotations

from ringex.engine.book import book_leave, book_take, is_waiting, order_close, order_price
from ringex.engine.events import emit_list, emit_order, mark_level
from ringex.engine.ledger import held_amount, held_balance, hold
from ringex.engine.orderlists import (
    is_list_done,
    is_pending,
    list_drop,
    list_due,
    list_of,
    list_order,
    list_sibling,
)
from ringex.engine.records import LEVEL, MARKET, ORDER, ORDER_LIST, ROOT, WORKING
from ringex.jit import compiled, int64
from ringex.memory import record_at
from ringex.messages import EVENT
from ringex.reasons import Reason
from ringex.tables import ids_find, pool_give
from ringex.terms import CommandKind, EventKind, ListStatus, OrderStatus, OrderType


@compiled
def close_taker(root: int, command_kind: int, status: int, reason: int) -> None:
    """End the pending order, which does not rest, with what it has left unfilled."""
    s = record_at(root, 0, ROOT)
    slot = s.pending_order
    order = record_at(s.orders, slot, ORDER)
    market = record_at(s.markets, s.pending_market, MARKET)
    order_list = int64(0)
    if order.order_type != OrderType.MARKET:
        left = order.quantity - order.executed
        hold(root, held_balance(order), -held_amount(market, order.side, s.pending_price, left))
    if s.pending_quote != 0:
        order.quantity = order.executed
    if command_kind != CommandKind.PLACE:  # amended, a stop order, or of a list: it was open before
        order_list = list_of(root, slot)
        order_close(root, slot, s.pending_market)
    address = emit_order(root, int64(EventKind.CANCELED), command_kind, slot, s.pending_market, s.pending_price, status)
    e = record_at(address, 0, EVENT)
    e.reason = reason
    e.quote_quantity = s.pending_quote
    pool_give(s.order_pool, slot)
    if order_list != 0:
        close_list(root, order_list, command_kind, status, reason)


@compiled
def expire_order(root: int, order_id: int) -> None:
    """The time of an open GTD order is over."""
    slot = ids_find(record_at(root, 0, ROOT).order_index, order_id)
    expired = int64(OrderStatus.EXPIRED)
    close_open(root, slot, int64(CommandKind.TIMER), expired, int64(Reason.EXPIRED_BY_TIME))


@compiled
def close_open(root: int, slot: int, command_kind: int, status: int, reason: int) -> int:
    """End an order that rests in the book, waits for its stop price or is pending, and with it its list.

    Returns the address of its CANCELED event, the first of those that are emitted.
    """
    order_list = list_of(root, slot)
    event = _close_one(root, slot, command_kind, status, reason)
    if order_list != 0:
        close_list(root, order_list, command_kind, status, reason)
    return event


@compiled
def _close_one(root: int, slot: int, command_kind: int, status: int, reason: int) -> int:
    s = record_at(root, 0, ROOT)
    order = record_at(s.orders, slot, ORDER)
    level = record_at(s.levels, int64(order.level), LEVEL)
    market = int64(level.market)
    price = order_price(root, slot)
    waits = is_waiting(root, slot)
    m = record_at(s.markets, market, MARKET)
    held = held_amount(m, order.side, price, order.quantity - order.executed)
    if list_of(root, slot) != 0:
        held = held_of_list(root, slot, held)
    level_quantity = int64(0) if waits else book_take(root, slot)
    book_leave(root, slot)
    order_close(root, slot, market)
    hold(root, held_balance(order), -held)
    event = emit_order(root, int64(EventKind.CANCELED), command_kind, slot, market, price, status)
    if not waits:
        mark_level(root, event, market, price, level_quantity)
    record_at(event, 0, EVENT).reason = reason
    pool_give(s.order_pool, slot)
    return event


@compiled
def held_of_list(root: int, slot: int, amount: int) -> int:
    """What is held for an order of a list besides what is held for the others, where `amount` would be without it.

    Nothing is held for a pending order. A pair holds the larger of what its two orders need.
    """
    if is_pending(root, slot):
        return int64(0)
    sibling = list_sibling(root, slot)
    if sibling == 0:
        return amount
    s = record_at(root, 0, ROOT)
    other = record_at(s.orders, sibling, ORDER)
    m = record_at(s.markets, int64(record_at(s.levels, int64(other.level), LEVEL).market), MARKET)
    return max(int64(0), amount - held_amount(m, other.side, order_price(root, sibling), other.quantity))


# ---- lists -----------------------------------------------------------------------------------------------------------


@compiled
def close_sibling(root: int, slot: int, command_kind: int) -> None:
    """An order is about to trade or to fire: the other of its pair, if it is of one, expires before."""
    sibling = list_sibling(root, slot)
    if sibling != 0:
        _close_one(root, sibling, command_kind, int64(OrderStatus.EXPIRED), int64(Reason.ENDED_WITH_LIST))


@compiled
def close_list(root: int, number: int, command_kind: int, status: int, reason: int) -> None:
    """An order of the list has ended like that, unfilled: end the others, and the list."""
    if status != OrderStatus.CANCELED:
        status = int64(OrderStatus.EXPIRED)
        reason = int64(Reason.ENDED_WITH_LIST)
    for place in range(3):
        slot = list_order(root, number, place)
        if slot != 0:
            _close_one(root, slot, command_kind, status, reason)
    _list_over(root, number, command_kind)


@compiled
def fill_list(root: int, number: int, command_kind: int) -> None:
    """An order of the list has been filled, and is open no more: what waits for it is due, or the list is done."""
    order_list = record_at(record_at(root, 0, ROOT).lists, number, ORDER_LIST)
    if order_list.phase == WORKING:
        list_due(root, number)
    elif is_list_done(order_list):
        _list_over(root, number, command_kind)


@compiled
def _list_over(root: int, number: int, command_kind: int) -> None:
    emit_list(root, number, int64(ListStatus.ALL_DONE), command_kind)
    list_drop(root, number)
