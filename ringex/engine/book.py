"""The book: price levels in order, the orders of each in order of arrival, and the open orders of each account.

A level knows its better and worse neighbour and its oldest and youngest order, so matching walks links; ordered prices
(`ringex.tables.prices`) find a level by price, and the neighbour of a new one.
"""

from __future__ import annotations

from typing import Any, Final

from ringex.division import quotient
from ringex.engine.orderlists import list_leave, pending_drop, pending_level
from ringex.engine.records import (
    ACCOUNT,
    ARMING_FALLING,
    BOOK_SIDE,
    BOOK_SIDE_BYTES,
    BUY_SIDE_OFFSET,
    CLIENT_ORDER_ID_OFFSET,
    FALLING,
    LEVEL,
    MARKET,
    MARKET_BYTES,
    ORDER,
    ORDER_COLD,
    ORDER_COLD_BYTES,
    PENDING,
    RISING,
    ROOT,
    TERMS,
    TRAILING,
)
from ringex.engine.sessions import session_enter, session_leave
from ringex.engine.tallies import tally_close, tally_open
from ringex.engine.timers import timer_remove, timer_set
from ringex.engine.trails import run_drop, trail_due
from ringex.jit import compiled, inlined, int64
from ringex.memory import record_at
from ringex.messages import AMOUNT_MAX
from ringex.rules import is_stop, rises
from ringex.tables import (
    ids_prefetch,
    ids_put,
    ids_remove,
    index_first,
    index_next,
    index_put,
    index_remove_value,
    index_value,
    pool_give,
    pool_take,
    pool_used,
    prices_above,
    prices_below,
    prices_find,
    prices_insert,
    prices_remove,
    words_empty,
    words_equal,
    words_hash,
)
from ringex.terms import MarketStatus, PegPriceType, Side, TimeInForce, TimerKind

IDS_AHEAD: Final = 16
"""How many orders before its own turn the place of a new order's id is fetched from memory."""


@inlined
def book_side(root: int, market: int, side: int) -> int:
    """The address of one side of a market's book: BUY, SELL, FALLING or RISING."""
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


@inlined
def opposite(side: int) -> int:
    return 3 - int64(side)


@inlined
def _descends(side: int) -> bool:
    """Whether a side's best price is its highest."""
    return side == Side.BUY or side in (FALLING, ARMING_FALLING)


@inlined
def side_prices(root: int, side: int) -> int:
    """The address of the ordered prices that a side's levels are in."""
    s = record_at(root, 0, ROOT)
    return s.prices if side <= Side.SELL else s.stop_prices


@inlined
def levels_full(root: int) -> bool:
    """Whether the books have no room for one more price level."""
    s = record_at(root, 0, ROOT)
    return pool_used(s.level_pool) - s.stop_levels >= s.levels_max


@compiled
def peg_price(root: int, market: int, side: int, peg_price_type: int, peg_offset: int) -> int:
    """The price that a peg gives an order of `side` now: that of the best level, or of one deeper; 0: there is none."""
    s = record_at(root, 0, ROOT)
    levels_of = int64(side) if peg_price_type == PegPriceType.PRIMARY_PEG else opposite(side)
    number = best_level(root, int64(market), levels_of)
    for _ in range(int64(peg_offset)):
        number = int64(record_at(s.levels, number, LEVEL).worse) if number != 0 else int64(0)
    return record_at(s.levels, number, LEVEL).price if number != 0 else int64(0)


@inlined
def level_find(root: int, market: int, side: int, price: int) -> int:
    """The level of a side at `price`, or 0."""
    s = record_at(root, 0, ROOT)
    m = record_at(s.markets, market, MARKET)
    prices = record_at(book_side(root, market, side), 0, BOOK_SIDE)
    return prices_find(side_prices(root, side), int64(prices.root), m.depth, quotient(price, m.price_grid))


@inlined
def level_overflows(root: int, market: int, side: int, price: int, quantity: int, own: int) -> bool:
    """Whether what the level at `price` shows, less `own` of the order's, would pass AMOUNT_MAX with `quantity`.

    The level, or 0, is then the root's `level_found`.
    """
    level = level_find(root, market, side, price)
    record_at(root, 0, ROOT).level_found = level
    if level == 0:
        return False
    rest = record_at(record_at(root, 0, ROOT).levels, level, LEVEL).quantity - own
    return rest > AMOUNT_MAX - quantity


@compiled
def _level_make(root: int, market: int, side: int, price: int) -> int:
    """A new empty level between its neighbours. The caller has made sure that there is room."""
    s = record_at(root, 0, ROOT)
    m = record_at(s.markets, market, MARKET)
    prices = record_at(book_side(root, market, side), 0, BOOK_SIDE)
    tick = quotient(price, m.price_grid)
    prices_root = int64(prices.root)
    ordered = side_prices(root, side)
    number = pool_take(s.level_pool)
    assert number != 0
    better = int64(0)
    worse = int64(prices.best)
    best_price = record_at(s.levels, worse, LEVEL).price
    if worse != 0 and (price < best_price) == _descends(side):
        if _descends(side):
            better = prices_above(ordered, prices_root, m.depth, tick + 1)
        else:
            better = prices_below(ordered, prices_root, m.depth, tick - 1)
        worse = int64(record_at(s.levels, better, LEVEL).worse)
    prices_insert(ordered, prices_root, m.depth, tick, number)
    level = record_at(s.levels, number, LEVEL)
    level.price = price
    level.quantity = 0
    level.icebergs = 0
    level.oldest = 0
    level.youngest = 0
    level.better = better
    level.worse = worse
    level.market = market
    if side > Side.SELL:
        s.stop_levels += 1
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
    assert level.quantity == 0 and level.icebergs == 0
    if level.worse != 0:
        record_at(s.levels, int64(level.worse), LEVEL).better = level.better
    if level.better != 0:
        record_at(s.levels, int64(level.better), LEVEL).worse = level.worse
    else:
        prices.best = level.worse
    prices_remove(side_prices(root, level.side), int64(prices.root), m.depth, quotient(level.price, m.price_grid))
    if level.side > Side.SELL:
        s.stop_levels -= 1
    pool_give(s.level_pool, number)


@inlined
def book_enter(root: int, slot: int, market: int, price: int) -> int:
    """Put an order, with what it has left, at the end of its price level. Returns what the level shows.

    An iceberg shows a fresh slice of what it has left.
    """
    return book_enter_at(root, slot, market, price, level_find(root, market, _side_of(root, slot), price))


@inlined
def book_enter_at(root: int, slot: int, market: int, price: int, number: int) -> int:
    """`book_enter`, where the level at `price` is known to be `number`, or (0) not to exist."""
    s = record_at(root, 0, ROOT)
    order = record_at(s.orders, slot, ORDER)
    if order.is_iceberg != 0:
        terms = record_at(s.orders_terms, slot, TERMS)
        terms.shown = min(terms.iceberg_quantity, order.quantity - order.executed)
    return _append(root, slot, market, price, number)


@inlined
def book_append(root: int, slot: int, market: int, price: int) -> int:
    """`book_enter`, but an iceberg shows what it has shown before."""
    return _append(root, slot, market, price, level_find(root, market, _side_of(root, slot), price))


@inlined
def _side_of(root: int, slot: int) -> int:
    return int64(record_at(record_at(root, 0, ROOT).orders, slot, ORDER).side)


@inlined
def _append(root: int, slot: int, market: int, price: int, number: int) -> int:
    s = record_at(root, 0, ROOT)
    order = record_at(s.orders, slot, ORDER)
    if number == 0:
        number = _level_make(root, market, int64(order.side), price)
    order_link(root, slot, number)
    level = record_at(s.levels, number, LEVEL)
    level.quantity += order_shown(root, slot)
    level.icebergs += order.is_iceberg
    return level.quantity


@compiled
def stop_enter(root: int, slot: int, market: int) -> None:
    """Let a stop order wait, behind those that wait for the same price in the same direction, to fire or to begin."""
    s = record_at(root, 0, ROOT)
    order = record_at(s.orders, slot, ORDER)
    terms = record_at(s.orders_terms, slot, TERMS)
    side = int64(RISING) if rises(order.order_type, order.side) else int64(FALLING)
    if terms.trailing_delta != 0:
        side += ARMING_FALLING - FALLING
    _queue(root, slot, market, side, terms.stop_price)


@compiled
def pending_enter(root: int, slot: int, market: int) -> None:
    """Let an order of a list be pending."""
    order_link(root, slot, pending_level(root, market))


@inlined
def stop_due(root: int, market: int) -> int:
    """The level whose oldest stop order the last price lets fire next, or 0. Trailing ones come after the others."""
    s = record_at(root, 0, ROOT)
    m = record_at(s.markets, market, MARKET)
    last = m.last_price
    if last == 0 or m.status != MarketStatus.TRADING:
        return 0
    number = best_level(root, market, int64(RISING))
    if number != 0 and record_at(s.levels, number, LEVEL).price <= last:
        return number
    number = best_level(root, market, int64(FALLING))
    if number != 0 and record_at(s.levels, number, LEVEL).price >= last:
        return number
    return trail_due(root, market)


@inlined
def _queue(root: int, slot: int, market: int, side: int, price: int) -> int:
    """Link an order at the end of the level of a side at `price`, made if need be. Returns the level."""
    number = level_find(root, market, side, price)
    if number == 0:
        number = _level_make(root, market, side, price)
    order_link(root, slot, number)
    return number


@inlined
def order_link(root: int, slot: int, number: int) -> None:
    """Make an order the youngest of a level."""
    s = record_at(root, 0, ROOT)
    order = record_at(s.orders, slot, ORDER)
    level = record_at(s.levels, number, LEVEL)
    order.level = number
    order.prev = level.youngest
    order.next = 0
    if level.youngest != 0:
        record_at(s.orders, int64(level.youngest), ORDER).next = slot
    else:
        level.oldest = slot
    level.youngest = slot


@inlined
def _unlink(root: int, slot: int) -> None:
    """Take an order out of its level's queue."""
    s = record_at(root, 0, ROOT)
    order = record_at(s.orders, slot, ORDER)
    level = record_at(s.levels, int64(order.level), LEVEL)
    if order.prev != 0:
        record_at(s.orders, int64(order.prev), ORDER).next = order.next
    else:
        level.oldest = order.next
    if order.next != 0:
        record_at(s.orders, int64(order.next), ORDER).prev = order.prev
    else:
        level.youngest = order.prev


@inlined
def order_shown(root: int, slot: int) -> int:
    """What a resting order shows: all it has left, of an iceberg its slice."""
    s = record_at(root, 0, ROOT)
    order = record_at(s.orders, slot, ORDER)
    if order.is_iceberg != 0:
        return record_at(s.orders_terms, slot, TERMS).shown
    return order.quantity - order.executed


@inlined
def book_trade(root: int, slot: int, quantity: int) -> int:
    """Take `quantity`, which has traded, out of what an order and its level show. Returns what the level shows now."""
    s = record_at(root, 0, ROOT)
    order = record_at(s.orders, slot, ORDER)
    level = record_at(s.levels, int64(order.level), LEVEL)
    level.quantity -= quantity
    if order.is_iceberg != 0:
        record_at(s.orders_terms, slot, TERMS).shown -= quantity
    assert level.quantity >= 0
    return level.quantity


@compiled
def book_refill(root: int, slot: int) -> int:
    """An iceberg that shows nothing any more shows a fresh slice, at the end of its level. Returns as `book_trade`."""
    s = record_at(root, 0, ROOT)
    order = record_at(s.orders, slot, ORDER)
    terms = record_at(s.orders_terms, slot, TERMS)
    level = record_at(s.levels, int64(order.level), LEVEL)
    _unlink(root, slot)
    order_link(root, slot, int64(order.level))
    terms.shown = min(terms.iceberg_quantity, order.quantity - order.executed)
    level.quantity += terms.shown
    return level.quantity


@compiled
def book_shrink(root: int, slot: int, quantity: int) -> int:
    """An order has come to have `quantity` less left: out of its hidden part first. Returns what the level shows."""
    s = record_at(root, 0, ROOT)
    order = record_at(s.orders, slot, ORDER)
    level = record_at(s.levels, int64(order.level), LEVEL)
    if order.is_iceberg != 0:
        terms = record_at(s.orders_terms, slot, TERMS)
        shown = min(terms.shown, order.quantity - order.executed)
        level.quantity -= terms.shown - shown
        terms.shown = shown
    else:
        level.quantity -= quantity
    assert level.quantity >= 0
    return level.quantity


@inlined
def book_take(root: int, slot: int) -> int:
    """Take what an order shows out of its level's sum, before it leaves. Returns what the level shows now."""
    s = record_at(root, 0, ROOT)
    order = record_at(s.orders, slot, ORDER)
    level = record_at(s.levels, int64(order.level), LEVEL)
    level.quantity -= order_shown(root, slot)
    assert level.quantity >= 0
    return level.quantity


@inlined
def book_leave(root: int, slot: int) -> None:
    """Unlink an order whose quantity has been taken out of its level, or a stop order; a level left empty goes."""
    s = record_at(root, 0, ROOT)
    order = record_at(s.orders, slot, ORDER)
    number = int64(order.level)
    level = record_at(s.levels, number, LEVEL)
    _unlink(root, slot)
    order.level = 0
    if level.side <= Side.SELL:
        level.icebergs -= order.is_iceberg
    if level.side > TRAILING:
        if level.side == PENDING:
            if level.oldest == 0:
                pending_drop(root, number)
            return
        level.orders -= 1
        if level.oldest == 0:
            run_drop(root, number)
    elif level.oldest == 0:
        _level_drop(root, number)


@inlined
def is_waiting(root: int, slot: int) -> bool:
    """Whether an open order is a stop order that has not fired, or pending."""
    s = record_at(root, 0, ROOT)
    return record_at(s.levels, int64(record_at(s.orders, slot, ORDER).level), LEVEL).side > Side.SELL


@inlined
def order_price(root: int, slot: int) -> int:
    """The limit of an open order; 0 for a stop order without."""
    s = record_at(root, 0, ROOT)
    if is_waiting(root, slot):
        return record_at(s.orders_terms, slot, TERMS).limit_price
    return record_at(s.levels, int64(record_at(s.orders, slot, ORDER).level), LEVEL).price


@inlined
def order_id_words(root: int, slot: int) -> int:
    """The address of an order's client order id."""
    return record_at(root, 0, ROOT).orders_cold + slot * ORDER_COLD_BYTES + CLIENT_ORDER_ID_OFFSET


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


@inlined
def client_id_add(root: int, slot: int) -> None:
    words = order_id_words(root, slot)
    if not words_empty(words):
        s = record_at(root, 0, ROOT)
        account = int64(record_at(s.orders, slot, ORDER).account)
        index_put(s.client_index, words_hash(account, words), slot)


@inlined
def client_id_remove(root: int, slot: int) -> None:
    words = order_id_words(root, slot)
    if not words_empty(words):
        s = record_at(root, 0, ROOT)
        account = int64(record_at(s.orders, slot, ORDER).account)
        found = index_remove_value(s.client_index, words_hash(account, words), slot)
        assert found


@inlined
def has_terms(order: Any) -> bool:
    """Whether an order has further terms: see TERMS."""
    return order.is_iceberg != 0 or is_stop(order.order_type) or order.time_in_force == TimeInForce.GTD


@inlined
def order_open(root: int, slot: int, market: int) -> None:
    """Enter an order that has come to rest or to wait among the open ones; one that has a date expires then."""
    s = record_at(root, 0, ROOT)
    order = record_at(s.orders, slot, ORDER)
    order_enter(root, slot, market)
    if order.time_in_force == TimeInForce.GTD:
        good_till_ns = record_at(s.orders_terms, slot, TERMS).good_till_ns
        timer_set(root, int64(TimerKind.ORDER_EXPIRY), order.order_id, good_till_ns)


@inlined
def order_enter(root: int, slot: int, market: int) -> None:
    """Enter an order among the open ones: by id, by client order id, by account, by gateway."""
    s = record_at(root, 0, ROOT)
    order = record_at(s.orders, slot, ORDER)
    cold = record_at(s.orders_cold, slot, ORDER_COLD)
    ids_put(s.order_index, order.order_id, slot)
    if order.order_id & 7 == 0:
        ids_prefetch(s.order_index, order.order_id + IDS_AHEAD)
    client_id_add(root, slot)
    tally_open(root, slot, market)
    session_enter(root, slot)
    account = record_at(s.accounts, int64(order.account), ACCOUNT)
    account.open_orders += 1
    cold.older = account.youngest
    cold.younger = 0
    if account.youngest != 0:
        record_at(s.orders_cold, int64(account.youngest), ORDER_COLD).younger = slot
    else:
        account.oldest = slot
    account.youngest = slot


@inlined
def order_close(root: int, slot: int, market: int) -> None:
    """Take an order from the open ones; its record stays as it is until its slot is given back."""
    s = record_at(root, 0, ROOT)
    order = record_at(s.orders, slot, ORDER)
    cold = record_at(s.orders_cold, slot, ORDER_COLD)
    ids_remove(s.order_index, order.order_id, slot)
    if cold.order_list != 0:
        list_leave(root, slot)
    if order.time_in_force == TimeInForce.GTD:
        timer_remove(root, int64(TimerKind.ORDER_EXPIRY), order.order_id)
    client_id_remove(root, slot)
    tally_close(root, slot, market)
    session_leave(root, slot)
    account = record_at(s.accounts, int64(order.account), ACCOUNT)
    account.open_orders -= 1
    if cold.older != 0:
        record_at(s.orders_cold, int64(cold.older), ORDER_COLD).younger = cold.younger
    else:
        account.oldest = cold.younger
    if cold.younger != 0:
        record_at(s.orders_cold, int64(cold.younger), ORDER_COLD).older = cold.older
    else:
        account.youngest = cold.older
