"""Orders and order lists as plain arrays, and back: their part of an export."""

from __future__ import annotations

from typing import Final

import numpy as np

from ringex.engine.book import (
    best_level,
    book_append,
    has_terms,
    order_enter,
    order_id_words,
    order_price,
    pending_enter,
    stop_enter,
)
from ringex.engine.ledger import balance_find
from ringex.engine.orderlists import (
    is_pending,
    list_count,
    list_due,
    list_enter,
    list_link,
    list_of,
    list_order,
    list_order_ids,
    list_words,
)
from ringex.engine.records import (
    ACCOUNT,
    DUE,
    LEVEL,
    MARKET,
    ORDER,
    ORDER_COLD,
    ORDER_COLD_BYTES,
    ORDER_LIST,
    ORDER_SESSION,
    ROOT,
    TERMS,
    TRAIL,
)
from ringex.engine.trailing import trail_enter
from ringex.jit import compiled, entry, int64
from ringex.memory import copy_bytes, prefetch, record_at
from ringex.tables import ids_find, pool_take, words_copy
from ringex.terms import ListKind, Side

ORDER_OUT: Final = np.dtype(
    [
        ("order_id", "i8"),
        ("price", "i8"),  # its limit
        ("quantity", "i8"),
        ("executed", "i8"),
        ("executed_quote", "i8"),
        ("created_ns", "i8"),
        ("trade_count", "i8"),
        ("account", "i4"),
        ("market", "i4"),
        ("side", "i4"),
        ("order_type", "i4"),
        ("time_in_force", "i4"),
        ("self_trade_prevention", "i4"),
        ("stop_price", "i8"),
        ("iceberg_quantity", "i8"),
        ("shown", "i8"),  # of an iceberg that rests
        ("good_till_ns", "i8"),
        ("trailing_delta", "i4"),
        ("peg_price_type", "i2"),
        ("peg_offset", "i2"),
        ("anchor", "i8"),  # of a trailing stop that follows the market; 0: none yet
        ("incarnation", "u4"),  # the session that placed it
        ("connection", "u4"),
        ("gateway", "u4"),
        ("cancel_on_disconnect", "u4"),
        ("client_order_id", "u8", (5,)),
    ],
    align=True,
)
ORDER_OUT_BYTES: Final = ORDER_OUT.itemsize
ORDER_BYTES: Final = ORDER.itemsize
ORDER_SESSION_BYTES: Final = ORDER_SESSION.itemsize
ENTRIES_AHEAD: Final = 16
"""How many orders before its turn the lines of one are fetched: in order of age they lie anywhere."""
ORDER_OUT_ID_OFFSET: Final[int] = ORDER_OUT.fields["client_order_id"][1]  # type: ignore[index]
LIST_OUT: Final = np.dtype(
    [
        ("order_list_id", "i8"),
        ("order_ids", "i8", (3,)),
        ("client_order_id", "u8", (5,)),
        *((name, "i4") for name in ("account", "market", "kind", "phase")),
        ("turn", "i8"),  # DUE: its place, from 1, among those of its market; else 0
    ],
    align=True,
)
LIST_OUT_BYTES: Final = LIST_OUT.itemsize
LIST_OUT_ID_OFFSET: Final[int] = LIST_OUT.fields["client_order_id"][1]  # type: ignore[index]
LIST_OUT_ORDERS_OFFSET: Final[int] = LIST_OUT.fields["order_ids"][1]  # type: ignore[index]
_PLACE: Final = np.dtype([("place", "i8")])


@entry
@compiled
def export_orders(root: int, first_side: int, last_side: int, out: int) -> int:
    """Write the orders of these sides of all markets as ORDER_OUT records at `out`, which is zero. Returns how many."""
    s = record_at(root, 0, ROOT)
    count = 0
    for market in range(s.markets_count):
        for side in range(first_side, last_side + 1):
            number = best_level(root, market, side)
            while number != 0:
                level = record_at(s.levels, number, LEVEL)
                slot = int64(level.oldest)
                while slot != 0:
                    export_order(root, slot, market, order_price(root, slot), out + count * ORDER_OUT_BYTES)
                    count += 1
                    slot = int64(record_at(s.orders, slot, ORDER).next)
                number = int64(level.worse)
    return count


@entry
@compiled
def export_trails(root: int, out: int) -> int:
    """Write the trailing stops that follow all markets as ORDER_OUT records at `out`, which is zero: by market, side,
    delta, then as they began. Returns how many."""
    s = record_at(root, 0, ROOT)
    count = 0
    for market in range(s.markets_count):
        m = record_at(s.markets, market, MARKET)
        for side in range(Side.BUY, Side.SELL + 1):
            trail = int64(m.trails_buy) if side == Side.BUY else int64(m.trails_sell)
            while trail != 0:
                number = int64(record_at(s.trails, trail, TRAIL).oldest)
                while number != 0:
                    level = record_at(s.levels, number, LEVEL)
                    slot = int64(level.oldest)
                    while slot != 0:
                        address = out + count * ORDER_OUT_BYTES
                        export_order(root, slot, market, order_price(root, slot), address)
                        record_at(address, 0, ORDER_OUT).anchor = level.price
                        count += 1
                        slot = int64(record_at(s.orders, slot, ORDER).next)
                    number = int64(level.worse)
                trail = int64(record_at(s.trails, trail, TRAIL).after)
    return count


@entry
@compiled
def export_pendings(root: int, out: int) -> int:
    """Write the pending orders of all markets as ORDER_OUT records at `out`, which is zero. Returns how many."""
    s = record_at(root, 0, ROOT)
    count = 0
    for market in range(s.markets_count):
        number = int64(record_at(s.markets, market, MARKET).pending_level)
        slot = int64(record_at(s.levels, number, LEVEL).oldest) if number != 0 else int64(0)
        while slot != 0:
            export_order(root, slot, market, order_price(root, slot), out + count * ORDER_OUT_BYTES)
            count += 1
            slot = int64(record_at(s.orders, slot, ORDER).next)
    return count


@compiled
def export_order(root: int, slot: int, market: int, price: int, out: int) -> None:
    """Write one order as the ORDER_OUT record at `out`, which is zero."""
    s = record_at(root, 0, ROOT)
    order = record_at(s.orders, slot, ORDER)
    o = record_at(out, 0, ORDER_OUT)
    o.order_id = order.order_id
    o.price = price
    o.quantity = order.quantity
    o.executed = order.executed
    o.executed_quote = order.executed_quote
    o.created_ns = record_at(s.orders_cold, slot, ORDER_COLD).created_ns
    o.trade_count = order.trade_count
    o.account = order.account
    o.market = market
    o.side = order.side
    o.order_type = order.order_type
    o.time_in_force = order.time_in_force
    o.self_trade_prevention = record_at(s.orders_cold, slot, ORDER_COLD).self_trade_prevention
    session = record_at(s.orders_session, slot, ORDER_SESSION)
    o.incarnation = session.incarnation
    o.connection = session.connection
    o.gateway = session.gateway
    o.cancel_on_disconnect = session.cancel_on_disconnect
    if has_terms(order) or is_pending(root, slot):
        terms = record_at(s.orders_terms, slot, TERMS)
        o.stop_price = terms.stop_price
        o.iceberg_quantity = terms.iceberg_quantity
        o.shown = terms.shown
        o.good_till_ns = terms.good_till_ns
        o.trailing_delta = terms.trailing_delta
        o.peg_price_type = terms.peg_price_type
        o.peg_offset = terms.peg_offset
    words_copy(out + ORDER_OUT_ID_OFFSET, order_id_words(root, slot))


@compiled
def import_order(root: int, source: int) -> int:
    """Make an order, not yet resting, of the ORDER_OUT record at `source`. Returns its slot."""
    s = record_at(root, 0, ROOT)
    o = record_at(source, 0, ORDER_OUT)
    market = record_at(s.markets, int64(o.market), MARKET)
    slot = pool_take(s.order_pool)
    order = record_at(s.orders, slot, ORDER)
    order.order_id = o.order_id
    order.quantity = o.quantity
    order.executed = o.executed
    order.executed_quote = o.executed_quote
    order.trade_count = o.trade_count
    order.account = o.account
    order.side = o.side
    order.order_type = o.order_type
    order.time_in_force = o.time_in_force
    order.is_iceberg = 1 if o.iceberg_quantity != 0 else 0
    terms = record_at(s.orders_terms, slot, TERMS)
    terms.stop_price = o.stop_price
    terms.limit_price = o.price
    terms.iceberg_quantity = o.iceberg_quantity
    terms.shown = o.shown
    terms.good_till_ns = o.good_till_ns
    terms.trailing_delta = o.trailing_delta
    terms.peg_price_type = o.peg_price_type
    terms.peg_offset = o.peg_offset
    order.base_balance = balance_find(root, o.account, market.base_asset)
    order.quote_balance = balance_find(root, o.account, market.quote_asset)
    cold = record_at(s.orders_cold, slot, ORDER_COLD)
    cold.created_ns = o.created_ns
    cold.self_trade_prevention = o.self_trade_prevention
    cold.order_list = 0
    session = record_at(s.orders_session, slot, ORDER_SESSION)
    session.incarnation = o.incarnation
    session.connection = o.connection
    session.gateway = o.gateway
    session.cancel_on_disconnect = o.cancel_on_disconnect
    words_copy(order_id_words(root, slot), source + ORDER_OUT_ID_OFFSET)
    return slot


@entry
@compiled
def import_orders(root: int, source: int, count: int) -> None:
    """Make `count` ORDER_OUT records at `source` orders in slots 1 .. count, resting in the order they come."""
    for number in range(count):
        address = source + number * ORDER_OUT_BYTES
        slot = import_order(root, address)
        assert slot == number + 1
        o = record_at(address, 0, ORDER_OUT)
        book_append(root, slot, int64(o.market), o.price)


@entry
@compiled
def import_stops(root: int, source: int, count: int) -> None:
    """Make `count` ORDER_OUT records at `source` stop orders that wait, in the slots that come next."""
    for number in range(count):
        address = source + number * ORDER_OUT_BYTES
        stop_enter(root, import_order(root, address), int64(record_at(address, 0, ORDER_OUT).market))


@entry
@compiled
def import_trails(root: int, source: int, count: int) -> None:
    """The same for trailing stops that follow the market."""
    for number in range(count):
        address = source + number * ORDER_OUT_BYTES
        o = record_at(address, 0, ORDER_OUT)
        trail_enter(root, import_order(root, address), int64(o.market), o.anchor)


@entry
@compiled
def open_orders(root: int, slots: int, markets: int, count: int) -> None:
    """Enter orders among the open ones, oldest first; slots and markets are arrays of int64."""
    s = record_at(root, 0, ROOT)
    for number in range(count):
        if number + ENTRIES_AHEAD < count:
            later = record_at(slots, number + ENTRIES_AHEAD, _PLACE).place
            prefetch(s.orders + later * ORDER_BYTES)
            prefetch(s.orders_cold + later * ORDER_COLD_BYTES)
            prefetch(s.orders_session + later * ORDER_SESSION_BYTES)
        market = record_at(markets, number, _PLACE).place
        order_enter(root, record_at(slots, number, _PLACE).place, market)


@entry
@compiled
def import_pendings(root: int, source: int, count: int) -> None:
    """The same for pending orders."""
    for number in range(count):
        address = source + number * ORDER_OUT_BYTES
        pending_enter(root, import_order(root, address), int64(record_at(address, 0, ORDER_OUT).market))


@entry
@compiled
def export_lists(root: int, out: int) -> int:
    """Write all order lists as LIST_OUT records at `out`, which is zero, in any order. Returns how many."""
    s = record_at(root, 0, ROOT)
    count = 0
    for account in range(s.accounts_count):
        slot = int64(record_at(s.accounts, account, ACCOUNT).oldest)
        while slot != 0:
            number = list_of(root, slot)
            if number != 0 and _stands_for(root, number, slot):
                export_list(root, number, out + count * LIST_OUT_BYTES)
                count += 1
            slot = int64(record_at(s.orders_cold, slot, ORDER_COLD).younger)
    return count


@compiled
def _stands_for(root: int, number: int, slot: int) -> bool:
    """Whether an order is the first open one of its list: each list has exactly one."""
    for place in range(3):
        found = list_order(root, number, place)
        if found != 0:
            return found == slot
    return False


@compiled
def export_list(root: int, number: int, out: int) -> None:
    """Write one order list as the LIST_OUT record at `out`, which is zero."""
    s = record_at(root, 0, ROOT)
    order_list = record_at(s.lists, number, ORDER_LIST)
    o = record_at(out, 0, LIST_OUT)
    o.order_list_id = order_list.order_list_id
    o.account = order_list.account
    o.market = order_list.market
    o.kind = order_list.kind
    o.phase = order_list.phase
    if order_list.phase == DUE:
        before = number
        while before != 0:
            o.turn += 1
            before = int64(record_at(s.lists, before, ORDER_LIST).due_before)
    copy_bytes(out + LIST_OUT_ORDERS_OFFSET, list_order_ids(root, number), 24)
    words_copy(out + LIST_OUT_ID_OFFSET, list_words(root, number))


@entry
@compiled
def import_lists(root: int, source: int, count: int) -> None:
    """Make order lists of `count` LIST_OUT records at `source`, those that are due in their turn; orders are open."""
    s = record_at(root, 0, ROOT)
    for at in range(count):
        address = source + at * LIST_OUT_BYTES
        o = record_at(address, 0, LIST_OUT)
        number = pool_take(s.list_pool)
        order_list = record_at(s.lists, number, ORDER_LIST)
        order_list.order_list_id = o.order_list_id
        order_list.account = o.account
        order_list.market = o.market
        order_list.kind = o.kind
        order_list.phase = o.phase
        words_copy(list_words(root, number), address + LIST_OUT_ID_OFFSET)
        copy_bytes(list_order_ids(root, number), address + LIST_OUT_ORDERS_OFFSET, 24)
        list_enter(root, number)
        for place in range(3):
            order_id = record_at(address + LIST_OUT_ORDERS_OFFSET, place, _PLACE).place
            slot = ids_find(s.order_index, order_id) if order_id != 0 else int64(0)
            if slot != 0:
                list_link(root, number, slot, place + 1 if o.kind == ListKind.OCO else place)
        list_count(root, number)
        if o.phase == DUE:
            list_due(root, number)
