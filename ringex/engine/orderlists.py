"""Order lists as records: which orders a list has, which of them are open, and which lists are due.

Pending orders are in a level of their own, one a market, which no price leads to. A list leaves its tables when the
last of its orders ends.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from ringex.engine.records import (
    DUE,
    LEVEL,
    MARKET,
    ORDER,
    ORDER_COLD,
    ORDER_IDS_OFFSET,
    ORDER_LIST,
    ORDER_LIST_BYTES,
    ORDER_LIST_ID_OFFSET,
    PENDING,
    PLACED,
    ROOT,
    TALLY,
    WORKING,
)
from ringex.engine.tallies import tally_find
from ringex.jit import compiled, inlined, int64
from ringex.memory import record_at, zero_bytes
from ringex.tables import (
    index_first,
    index_next,
    index_put,
    index_remove,
    index_remove_value,
    index_value,
    pool_give,
    pool_take,
    words_copy,
    words_empty,
    words_equal,
    words_hash,
)
from ringex.terms import ListKind, MarketStatus

_ID: Final = np.dtype([("order_id", "i8")])


@inlined
def list_of(root: int, slot: int) -> int:
    """The slot of the list that an order is of, or 0."""
    return int64(record_at(record_at(root, 0, ROOT).orders_cold, slot, ORDER_COLD).order_list)


@inlined
def list_words(root: int, number: int) -> int:
    """The address of a list's client order id."""
    return record_at(root, 0, ROOT).lists + number * ORDER_LIST_BYTES + ORDER_LIST_ID_OFFSET


@inlined
def list_order_ids(root: int, number: int) -> int:
    """The address of the ids of a list's orders."""
    return record_at(root, 0, ROOT).lists + number * ORDER_LIST_BYTES + ORDER_IDS_OFFSET


@inlined
def list_order(root: int, number: int, place: int) -> int:
    """The slot of a list's open order: the working one (0), the first (1) or the second (2) of the others; or 0."""
    order_list = record_at(record_at(root, 0, ROOT).lists, number, ORDER_LIST)
    if place == 0:
        return int64(order_list.working)
    return int64(order_list.first) if place == 1 else int64(order_list.second)


@inlined
def is_pair(order_list: Any) -> bool:
    """Whether two orders are placed, one of which cancels the other."""
    return order_list.phase == PLACED and order_list.first != 0 and order_list.second != 0


@compiled
def list_sibling(root: int, slot: int) -> int:
    """The order that ends when this one trades or fires, or 0."""
    s = record_at(root, 0, ROOT)
    number = list_of(root, slot)
    if number == 0:
        return 0
    order_list = record_at(s.lists, number, ORDER_LIST)
    if not is_pair(order_list):
        return 0
    return int64(order_list.second) if order_list.first == slot else int64(order_list.first)


@compiled
def list_find(root: int, account: int, words: int) -> int:
    """The account's open list with this client order id, or 0."""
    s = record_at(root, 0, ROOT)
    key = words_hash(int64(account), words)
    at = index_first(s.list_client_index, key)
    while at >= 0:
        number = index_value(s.list_client_index, at)
        if record_at(s.lists, number, ORDER_LIST).account == account and words_equal(list_words(root, number), words):
            return number
        at = index_next(s.list_client_index, key, at)
    return 0


@compiled
def list_make(root: int, account: int, market: int, kind: int, words: int) -> int:
    """A new list, whose orders join it one by one. The caller has made sure that there is room. Returns its slot."""
    s = record_at(root, 0, ROOT)
    number = pool_take(s.list_pool)
    assert number != 0
    s.order_list_id += 1
    order_list = record_at(s.lists, number, ORDER_LIST)
    order_list.order_list_id = s.order_list_id
    zero_bytes(list_order_ids(root, number), 24)
    words_copy(list_words(root, number), words)
    order_list.account = account
    order_list.market = market
    order_list.kind = kind
    order_list.phase = PLACED if kind == ListKind.OCO else WORKING
    order_list.working = 0
    order_list.first = 0
    order_list.second = 0
    order_list.due_before = 0
    order_list.due_after = 0
    list_enter(root, number)
    return number


@compiled
def list_enter(root: int, number: int) -> None:
    """Enter a list, whose record is filled but for its open orders, in the indexes."""
    s = record_at(root, 0, ROOT)
    order_list = record_at(s.lists, number, ORDER_LIST)
    index_put(s.list_index, order_list.order_list_id, number)
    words = list_words(root, number)
    if not words_empty(words):
        index_put(s.list_client_index, words_hash(int64(order_list.account), words), number)


@compiled
def list_join(root: int, number: int, slot: int) -> None:
    """Let a new order be the list's next one."""
    s = record_at(root, 0, ROOT)
    order_list = record_at(s.lists, number, ORDER_LIST)
    ids = list_order_ids(root, number)
    place = 0
    while record_at(ids, place, _ID).order_id != 0:
        place += 1
    record_at(ids, place, _ID).order_id = record_at(s.orders, slot, ORDER).order_id
    list_link(root, number, slot, place if order_list.kind != ListKind.OCO else place + 1)


@compiled
def list_link(root: int, number: int, slot: int, place: int) -> None:
    """An open order, or one about to be, takes this place (see `list_order`) in its list."""
    s = record_at(root, 0, ROOT)
    order_list = record_at(s.lists, number, ORDER_LIST)
    record_at(s.orders_cold, slot, ORDER_COLD).order_list = number
    if place == 0:
        order_list.working = slot
    elif place == 1:
        order_list.first = slot
    else:
        order_list.second = slot


@compiled
def list_count(root: int, number: int) -> None:
    """Count a list in, once one of its orders is open."""
    s = record_at(root, 0, ROOT)
    order_list = record_at(s.lists, number, ORDER_LIST)
    tally = tally_find(root, int64(order_list.account), int64(order_list.market))
    record_at(s.tallies, tally, TALLY).order_lists += 1
    if is_pair(order_list):
        record_at(s.markets, int64(order_list.market), MARKET).pairs += 1


@compiled
def list_leave(root: int, slot: int) -> None:
    """An order of a list is about to be no longer open."""
    s = record_at(root, 0, ROOT)
    order_list = record_at(s.lists, list_of(root, slot), ORDER_LIST)
    market = int64(order_list.market)
    if is_pair(order_list):
        record_at(s.markets, market, MARKET).pairs -= 1
    if order_list.working == slot:
        order_list.working = 0
    elif order_list.first == slot:
        order_list.first = 0
    else:
        order_list.second = 0
    if is_list_done(order_list):
        record_at(s.tallies, tally_find(root, int64(order_list.account), market), TALLY).order_lists -= 1


@inlined
def is_list_done(order_list: Any) -> bool:
    """Whether none of its orders is open."""
    return order_list.working == 0 and order_list.first == 0 and order_list.second == 0


@compiled
def list_drop(root: int, number: int) -> None:
    """Forget a list that is done."""
    s = record_at(root, 0, ROOT)
    order_list = record_at(s.lists, number, ORDER_LIST)
    assert is_list_done(order_list)
    if order_list.phase == DUE:
        list_undue(root, number)
    index_remove(s.list_index, order_list.order_list_id)
    words = list_words(root, number)
    if not words_empty(words):
        found = index_remove_value(s.list_client_index, words_hash(int64(order_list.account), words), number)
        assert found
    order_list.kind = 0  # so that an export passes it over
    pool_give(s.list_pool, number)


# ---- lists that are due ----------------------------------------------------------------------------------------------


@compiled
def list_due(root: int, number: int) -> None:
    """The working order is filled: the list is the last in its market to have its pending orders placed."""
    s = record_at(root, 0, ROOT)
    order_list = record_at(s.lists, number, ORDER_LIST)
    m = record_at(s.markets, int64(order_list.market), MARKET)
    order_list.phase = DUE
    order_list.due_before = m.due_youngest
    order_list.due_after = 0
    if m.due_youngest != 0:
        record_at(s.lists, int64(m.due_youngest), ORDER_LIST).due_after = number
    else:
        m.due_oldest = number
    m.due_youngest = number


@compiled
def list_undue(root: int, number: int) -> None:
    """The list's turn has come, or it has ended before."""
    s = record_at(root, 0, ROOT)
    order_list = record_at(s.lists, number, ORDER_LIST)
    m = record_at(s.markets, int64(order_list.market), MARKET)
    order_list.phase = PLACED
    if order_list.due_before != 0:
        record_at(s.lists, int64(order_list.due_before), ORDER_LIST).due_after = order_list.due_after
    else:
        m.due_oldest = order_list.due_after
    if order_list.due_after != 0:
        record_at(s.lists, int64(order_list.due_after), ORDER_LIST).due_before = order_list.due_before
    else:
        m.due_youngest = order_list.due_before
    if is_pair(order_list):
        m.pairs += 1


@inlined
def is_list_due(m: Any) -> bool:
    """Whether pending orders are to be placed in a market now."""
    return m.due_oldest != 0 and m.status == MarketStatus.TRADING


# ---- the level of pending orders -------------------------------------------------------------------------------------


@compiled
def pending_level(root: int, market: int) -> int:
    """The level of a market's pending orders, made if need be. Like that of a stop order it has room of its own."""
    s = record_at(root, 0, ROOT)
    m = record_at(s.markets, market, MARKET)
    if m.pending_level != 0:
        return int64(m.pending_level)
    number = pool_take(s.level_pool)
    assert number != 0
    level = record_at(s.levels, number, LEVEL)
    level.price = 0
    level.quantity = 0
    level.icebergs = 0
    level.oldest = 0
    level.youngest = 0
    level.better = 0
    level.worse = 0
    level.market = market
    level.side = PENDING
    s.stop_levels += 1
    m.pending_level = number
    return number


@compiled
def pending_drop(root: int, number: int) -> None:
    """No order is pending in that level any more."""
    s = record_at(root, 0, ROOT)
    record_at(s.markets, int64(record_at(s.levels, number, LEVEL).market), MARKET).pending_level = 0
    s.stop_levels -= 1
    pool_give(s.level_pool, number)


@inlined
def is_pending(root: int, slot: int) -> bool:
    """Whether an order is to be placed when the working order of its list is filled."""
    s = record_at(root, 0, ROOT)
    return record_at(s.levels, int64(record_at(s.orders, slot, ORDER).level), LEVEL).side == PENDING
