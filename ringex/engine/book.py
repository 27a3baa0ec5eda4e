"""The book: price levels in order, the orders of each in order of arrival, and the open orders of each account.

A level knows its better and worse neighbour and its oldest and youngest order, so matching walks links; ordered prices
(`ringex.tables.prices`) find a level by price, and the neighbour of a new one.
"""

from __future__ import annotations

from ringex.engine.records import (
    ACCOUNT,
    BOOK_SIDE,
    BOOK_SIDE_BYTES,
    BUY_SIDE_OFFSET,
    CLIENT_ORDER_ID_OFFSET,
    LEVEL,
    MARKET,
    MARKET_BYTES,
    NUMBER_BITS,
    ORDER,
    ORDER_COLD,
    ORDER_COLD_BYTES,
    ROOT,
)
from ringex.jit import compiled, inlined, int64
from ringex.memory import record_at
from ringex.messages import Side
from ringex.tables import (
    index_add,
    index_find,
    index_first,
    index_next,
    index_put,
    index_remove,
    index_remove_value,
    index_value,
    pool_give,
    pool_take,
    prices_above,
    prices_below,
    prices_find,
    prices_insert,
    prices_remove,
    words_empty,
    words_equal,
    words_hash,
)


@inlined
def book_side(root: int, market: int, side: int) -> int:
    """The address of one side of a market's book."""
    markets = record_at(root, 0, ROOT).markets
    return markets + market * MARKET_BYTES + BUY_SIDE_OFFSET + (int64(side) - 1) * BOOK_SIDE_BYTES


@inlined
def best_level(root: int, market: int, side: int) -> int:
    """The best level of a side, or 0."""
    return int64(record_at(book_side(root, market, side), 0, BOOK_SIDE).best)


@inlined
def reaches(side: int, price: int, level_price: int) -> bool:
    """Whether an order of `side` limited to `price` may trade at `level_price`."""
    return level_price <= price if side == Side.BUY else level_price >= price


@compiled
def level_find(root: int, market: int, side: int, price: int) -> int:
    """The level of a side at `price`, or 0."""
    s = record_at(root, 0, ROOT)
    m = record_at(s.markets, market, MARKET)
    prices = record_at(book_side(root, market, side), 0, BOOK_SIDE)
    return prices_find(s.prices, int64(prices.root), m.depth, price // m.tick)


@compiled
def _level_make(root: int, market: int, side: int, price: int) -> int:
    """A new empty level between its neighbours. The caller has made sure that there is room."""
    s = record_at(root, 0, ROOT)
    m = record_at(s.markets, market, MARKET)
    prices = record_at(book_side(root, market, side), 0, BOOK_SIDE)
    tick = price // m.tick
    prices_root = int64(prices.root)
    number = pool_take(s.level_pool)
    assert number != 0
    better = int64(0)
    worse = int64(prices.best)
    if worse != 0 and not reaches(side, price, record_at(s.levels, worse, LEVEL).price):
        if side == Side.BUY:
            better = prices_above(s.prices, prices_root, m.depth, tick + 1)
        else:
            better = prices_below(s.prices, prices_root, m.depth, tick - 1)
        worse = int64(record_at(s.levels, better, LEVEL).worse)
    prices_insert(s.prices, prices_root, m.depth, tick, number)
    level = record_at(s.levels, number, LEVEL)
    level.price = price
    level.quantity = 0
    level.oldest = 0
    level.youngest = 0
    level.better = better
    level.worse = worse
    level.market = market
    level.side = side
    if worse != 0:
        record_at(s.levels, worse, LEVEL).better = number
    if better != 0:
        record_at(s.levels, better, LEVEL).worse = number
    else:
        prices.best = number
    return number


@compiled
def _level_drop(root: int, number: int) -> None:
    """Remove an empty level."""
    s = record_at(root, 0, ROOT)
    level = record_at(s.levels, number, LEVEL)
    market = int64(level.market)
    m = record_at(s.markets, market, MARKET)
    prices = record_at(book_side(root, market, level.side), 0, BOOK_SIDE)
    assert level.quantity == 0
    if level.worse != 0:
        record_at(s.levels, int64(level.worse), LEVEL).better = level.better
    if level.better != 0:
        record_at(s.levels, int64(level.better), LEVEL).worse = level.worse
    else:
        prices.best = level.worse
    prices_remove(s.prices, int64(prices.root), m.depth, level.price // m.tick)
    pool_give(s.level_pool, number)


@compiled
def book_enter(root: int, slot: int, market: int, price: int) -> int:
    """Put an order, with what it has left, at the end of its price level. Returns the level's quantity."""
    s = record_at(root, 0, ROOT)
    order = record_at(s.orders, slot, ORDER)
    number = level_find(root, market, order.side, price)
    if number == 0:
        number = _level_make(root, market, order.side, price)
    level = record_at(s.levels, number, LEVEL)
    order.level = number
    order.prev = level.youngest
    order.next = 0
    if level.youngest != 0:
        record_at(s.orders, int64(level.youngest), ORDER).next = slot
    else:
        level.oldest = slot
    level.youngest = slot
    level.quantity += order.quantity - order.executed
    return level.quantity


@compiled
def book_reduce(root: int, slot: int, quantity: int) -> int:
    """Take `quantity` of a resting order out of its level's sum. Returns what the level has left."""
    s = record_at(root, 0, ROOT)
    level = record_at(s.levels, int64(record_at(s.orders, slot, ORDER).level), LEVEL)
    level.quantity -= quantity
    assert level.quantity >= 0
    return level.quantity


@compiled
def book_leave(root: int, slot: int) -> None:
    """Unlink an order whose quantity has been taken out of its level; a level left empty goes."""
    s = record_at(root, 0, ROOT)
    order = record_at(s.orders, slot, ORDER)
    number = int64(order.level)
    level = record_at(s.levels, number, LEVEL)
    if order.prev != 0:
        record_at(s.orders, int64(order.prev), ORDER).next = order.next
    else:
        level.oldest = order.next
    if order.next != 0:
        record_at(s.orders, int64(order.next), ORDER).prev = order.prev
    else:
        level.youngest = order.prev
    order.level = 0
    if level.oldest == 0:
        _level_drop(root, number)


@inlined
def order_id_words(root: int, slot: int) -> int:
    """The address of an order's client order id."""
    return record_at(root, 0, ROOT).orders_cold + slot * ORDER_COLD_BYTES + CLIENT_ORDER_ID_OFFSET


@inlined
def account_key(account: int, number: int) -> int:
    """One key for an account and a market or asset."""
    return (int64(account) << NUMBER_BITS) | int64(number)


@compiled
def client_id_find(root: int, account: int, words: int) -> int:
    """The account's open order with this client order id, or 0."""
    s = record_at(root, 0, ROOT)
    key = words_hash(int64(account), words)
    at = index_first(s.client_index, key)
    while at >= 0:
        slot = index_value(s.client_index, at)
        if record_at(s.orders, slot, ORDER).account == account and words_equal(order_id_words(root, slot), words):
            return slot
        at = index_next(s.client_index, key, at)
    return 0


@compiled
def client_id_add(root: int, slot: int) -> None:
    words = order_id_words(root, slot)
    if not words_empty(words):
        s = record_at(root, 0, ROOT)
        account = int64(record_at(s.orders, slot, ORDER).account)
        index_put(s.client_index, words_hash(account, words), slot)


@compiled
def client_id_remove(root: int, slot: int) -> None:
    words = order_id_words(root, slot)
    if not words_empty(words):
        s = record_at(root, 0, ROOT)
        account = int64(record_at(s.orders, slot, ORDER).account)
        found = index_remove_value(s.client_index, words_hash(account, words), slot)
        assert found


@inlined
def open_count(root: int, account: int, market: int) -> int:
    """How many open orders an account has in a market."""
    return index_find(record_at(root, 0, ROOT).open_counts, account_key(account, market))


@compiled
def order_open(root: int, slot: int, market: int) -> None:
    """Enter an order that has come to rest among the open ones: by id, by client order id, by account."""
    s = record_at(root, 0, ROOT)
    order = record_at(s.orders, slot, ORDER)
    cold = record_at(s.orders_cold, slot, ORDER_COLD)
    index_put(s.order_index, order.order_id, slot)
    client_id_add(root, slot)
    index_add(s.open_counts, account_key(order.account, market), 1)
    account = record_at(s.accounts, int64(order.account), ACCOUNT)
    cold.older = account.youngest
    cold.younger = 0
    if account.youngest != 0:
        record_at(s.orders_cold, int64(account.youngest), ORDER_COLD).younger = slot
    else:
        account.oldest = slot
    account.youngest = slot


@compiled
def order_close(root: int, slot: int, market: int) -> None:
    """Take an order from the open ones; its record stays as it is until its slot is given back."""
    s = record_at(root, 0, ROOT)
    order = record_at(s.orders, slot, ORDER)
    cold = record_at(s.orders_cold, slot, ORDER_COLD)
    found = index_remove(s.order_index, order.order_id)
    assert found == slot
    client_id_remove(root, slot)
    index_add(s.open_counts, account_key(order.account, market), -1)
    account = record_at(s.accounts, int64(order.account), ACCOUNT)
    if cold.older != 0:
        record_at(s.orders_cold, int64(cold.older), ORDER_COLD).younger = cold.younger
    else:
        account.oldest = cold.younger
    if cold.younger != 0:
        record_at(s.orders_cold, int64(cold.younger), ORDER_COLD).older = cold.older
    else:
        account.youngest = cold.older
