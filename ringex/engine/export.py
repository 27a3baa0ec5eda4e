"""The logical state as plain arrays, and back: what a snapshot holds and what the state's hash is taken of.

Slots, hash layouts, free lists and the tables' room do not show in it; the limits in force do. Orders come by market,
side (buy first), price (best first), age; stop orders that wait by market, direction (falling first), stop price (the
next to fire first), age; balances by account and asset; fee schedules by account and market; requests by account,
timestamp and id; timers as they will fire; all else by arrival.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final

import numpy as np

from ringex.averages import AVERAGE_BYTES, MINUTE, average_reset, average_roll, minute_add, write_minutes
from ringex.config import Limits
from ringex.engine.admin import ACCOUNT_NAME, ASSET_NAME, market_enter, name_enter
from ringex.engine.book import (
    best_level,
    book_append,
    has_terms,
    order_enter,
    order_id_words,
    order_price,
    stop_enter,
)
from ringex.engine.fees import import_schedules
from ringex.engine.filters import average_of
from ringex.engine.ledger import balance_find, balance_make
from ringex.engine.money import reference_enter
from ringex.engine.records import (
    ARMING_RISING,
    ASSET,
    BALANCE,
    FALLING,
    KEY,
    LEVEL,
    LIMITS,
    MARKET,
    ORDER,
    ORDER_COLD,
    ORDER_COLD_BYTES,
    ORDER_SESSION,
    REFERENCE,
    REQUEST,
    ROOT,
    SCHEDULE,
    TERMS,
    TIMER,
    TRAIL,
)
from ringex.engine.requests import request_enter
from ringex.engine.state import State
from ringex.engine.timers import timer_restore
from ringex.engine.trailing import trail_enter
from ringex.jit import compiled, entry, int64
from ringex.memory import address_of, prefetch, record_at
from ringex.messages import AVERAGE_MINUTES_MAX, FILTER_NAMES, ORDER_LIMIT_NAMES
from ringex.orderlimits import ORDER_COUNTS
from ringex.rules import MARKET_BODY_NAMES
from ringex.sorting import order_of
from ringex.tables import index_put, pool_take, prices_depth, words_copy
from ringex.terms import CommandKind, Side

COUNTERS: Final = (
    "command_sequence",
    "time_ns",
    "event_sequence",
    "order_id",
    "execution_id",
    "timer_sequence",
    "countdowns",
)
FEE_ASSET: Final = ("fee_asset", "fee_multiplier")
PENDING: Final = (
    *("continuation_pending", "pending_price", "pending_market", "pending_account", "pending_quote"),
    "pending_collar",
    "pending_session",
    *("correlation", "connection", "incarnation", "gateway", "transport"),
)
MARKET_COUNTERS: Final = (
    *("trade_id", "book_update_id", "prevented_match_id", "last_price"),
    *("price_grid", "quantity_grid", "price_top", "quantity_top"),
    *("indicative_price", "indicative_quantity", "indicative_imbalance"),
    *("breaker_price", "breaker_since_ns"),
)
MARKET_OUT: Final = np.dtype(
    [
        *((name, MARKET.fields[name][0]) for name in MARKET_BODY_NAMES),  # type: ignore[index]
        *((name, MARKET.fields[name][0]) for name in FILTER_NAMES),  # type: ignore[index]
        *((name, "i8") for name in MARKET_COUNTERS),
    ],
    align=True,
)
MINUTE_OUT: Final = np.dtype([("market", "i8"), *((name, "i8") for name in MINUTE.names or ())])
"""What a minute adds to a market's average price."""
ACCOUNT_OUT: Final = np.dtype(
    [
        ("name", "S32"),
        *((name, "i4") for name in ("trade_group", "status", "pays_in_fee_asset", "parent")),
        *((name, "i4") for name in (*(ORDER_COUNTS.names or ()), *ORDER_LIMIT_NAMES)),
    ]
)
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
BALANCE_OUT: Final = np.dtype([("account", "i4"), ("asset", "i4"), ("free", "i8"), ("locked", "i8")])
RING_OUT: Final = np.dtype([("ring", "i8"), ("epoch", "i8"), ("ring_sequence", "i8")])
_PLACE: Final = np.dtype([("place", "i8")])

TABLES: Final[Mapping[str, np.dtype]] = {
    "counters": np.dtype([(name, "i8") for name in COUNTERS]),
    "limits": LIMITS,
    "order_limits": np.dtype([(name, "i8") for name in ORDER_LIMIT_NAMES]),
    "assets": ASSET,
    "markets": MARKET_OUT,
    "minutes": MINUTE_OUT,
    "accounts": ACCOUNT_OUT,
    "keys": KEY,
    "balances": BALANCE_OUT,
    "orders": ORDER_OUT,
    "stops": ORDER_OUT,
    "trails": ORDER_OUT,
    "requests": REQUEST,
    "references": REFERENCE,
    "timers": TIMER,
    "schedules": SCHEDULE,
    "fee_asset": np.dtype([(name, "i8") for name in FEE_ASSET]),
    "pending": np.dtype([(name, "i8") for name in PENDING]),
    "pending_order": ORDER_OUT,
    "rings": RING_OUT,
}
"""The arrays of an export and their records. `stops` are the stop orders that wait for a price, `trails` those that
follow the market; `rings` is where the journal stands, not what the exchange is."""
assert all(
    dtype.itemsize == sum(field[0].itemsize for field in (dtype.fields or {}).values()) for dtype in TABLES.values()
), "a gap between fields holds what was there before, and would change the hash"


def export_state(state: State) -> dict[str, np.ndarray]:
    """The logical state: an array for each of TABLES."""
    root = state.root
    tables = {name: np.zeros(0, dtype) for name, dtype in TABLES.items()}
    tables["counters"] = _of_root(root, TABLES["counters"])
    tables["limits"] = _of_root(root, LIMITS)
    tables["order_limits"] = _of_root(root, TABLES["order_limits"])
    tables["assets"] = state.assets[: root["assets_count"]].copy()
    tables["markets"] = _columns(state.markets[: root["markets_count"]], MARKET_OUT)
    tables["minutes"] = _minutes(state)
    tables["accounts"] = _columns(state.accounts[: root["accounts_count"]], ACCOUNT_OUT)
    tables["keys"] = state.keys[1 : state.pools["key_pool"].used + 1].copy()
    tables["references"] = state.references[1 : state.pools["reference_pool"].used + 1].copy()
    schedules = state.schedules[1 : state.pools["schedule_pool"].used + 1]
    tables["schedules"] = schedules[np.lexsort((schedules["market"], schedules["account"]))]
    if root["fee_asset"]:
        tables["fee_asset"] = _of_root(root, TABLES["fee_asset"])
    balances = _columns(state.balances[1 : state.pools["balance_pool"].used + 1], BALANCE_OUT)
    tables["balances"] = balances[np.lexsort((balances["asset"], balances["account"]))]
    tables["requests"] = _requests(state)
    tables["timers"] = _timers(state)
    pending = root["continuation_pending"]
    matching = pending in (CommandKind.PLACE, CommandKind.AMEND, CommandKind.CONTINUE)
    orders = np.zeros(state.pools["order_pool"].used - matching, ORDER_OUT)
    resting = export_orders(state.address, Side.BUY, Side.SELL, address_of(orders))
    tables["orders"] = orders[:resting].copy()
    orders[:resting] = np.zeros(1, ORDER_OUT)
    waiting = export_orders(state.address, FALLING, ARMING_RISING, address_of(orders))
    tables["stops"] = orders[:waiting].copy()
    orders[:waiting] = np.zeros(1, ORDER_OUT)
    trailing = export_trails(state.address, address_of(orders))
    tables["trails"] = orders[:trailing].copy()
    assert resting + waiting + trailing == len(orders), "every order rests or waits, but the one that is being matched"
    if pending:
        tables["pending"] = _of_root(root, TABLES["pending"])
    if matching:
        tables["pending_order"] = np.zeros(1, ORDER_OUT)
        slot, market, price = (int(root[f"pending_{name}"]) for name in ("order", "market", "price"))
        export_order(state.address, slot, market, price, address_of(tables["pending_order"]))
    tables["rings"] = _rings(state)
    return tables


def hash_of(tables: Mapping[str, np.ndarray]) -> str:
    """The hash of an export's logical arrays, as 64 hex digits."""
    digest = hashlib.blake2b(digest_size=32)
    for name in TABLES:
        if name != "rings":
            digest.update(f"{name} {len(tables[name])}\n".encode())
            digest.update(np.ascontiguousarray(tables[name]).view("u1").data)
    return digest.hexdigest()


def state_hash(state: State) -> str:
    """The hash of the logical state: the same for the same commands, on any machine."""
    return hash_of(export_state(state))


def limits_of(tables: Mapping[str, np.ndarray]) -> Limits:
    """The limits in force in an export."""
    return Limits(*tables["limits"][0].item())


def import_state(tables: Mapping[str, np.ndarray], room: Limits | None = None) -> State:
    """A state with the content of an export; its tables have room for `room`, and for the limits in force."""
    limits = limits_of(tables)
    state = State(limits.widened(room or limits))
    root = state.root
    for name in COUNTERS:
        root[name] = tables["counters"][name][0]
    for name in ORDER_LIMIT_NAMES:
        root[name] = tables["order_limits"][name][0]
    state.assets[: len(tables["assets"])] = tables["assets"]
    root["assets_count"] = len(tables["assets"])
    for name in ACCOUNT_OUT.names or ():
        state.accounts[name][: len(tables["accounts"])] = tables["accounts"][name]
    root["accounts_count"] = len(tables["accounts"])
    _enter_names(state.address)
    for name in FEE_ASSET if len(tables["fee_asset"]) else ():
        root[name] = tables["fee_asset"][name][0]
    state.schedules[1 : len(tables["schedules"]) + 1] = tables["schedules"]
    import_schedules(state.address, len(tables["schedules"]))
    balances = np.ascontiguousarray(tables["balances"])
    import_balances(state.address, address_of(balances), len(balances))
    for number, market in enumerate(tables["markets"]):
        _import_market(state, number, market)
    for market in np.flatnonzero(tables["markets"]["average_minutes"]).tolist():
        import_average(state.address, market, int(tables["markets"]["average_minutes"][market]))
    for row in tables["minutes"].tolist():
        import_minute(state.address, *row)
    state.keys[1 : len(tables["keys"]) + 1] = tables["keys"]
    state.references[1 : len(tables["references"]) + 1] = tables["references"]
    state.requests[1 : len(tables["requests"]) + 1] = tables["requests"]
    import_entries(state.address, len(tables["keys"]), len(tables["references"]), len(tables["requests"]))
    for timer in tables["timers"]:
        timer_restore(state.address, timer["kind"], timer["subject"], timer["due_ns"], timer["timer_sequence"])
    for ring in tables["rings"]:
        state.rings[ring["ring"]] = (ring["epoch"], ring["ring_sequence"])
    _import_orders(state, tables)
    state.enforce(limits)
    return state


def _of_root(root: np.void, dtype: np.dtype) -> np.ndarray:
    record = np.zeros(1, dtype)
    for name in dtype.names or ():
        record[name] = root[name]
    return record


def _columns(table: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """The fields of `dtype` from every record of a table. Shape (len(table),)."""
    columns = np.zeros(len(table), dtype)
    for name in dtype.names or ():
        columns[name] = table[name]
    return columns


def _minutes(state: State) -> np.ndarray:
    """The minutes that count now in the averages of all markets that keep one. Shape (n,), MINUTE_OUT."""
    markets = np.flatnonzero(state.markets["average_minutes"][: state.root["markets_count"]])
    parts = [np.zeros(0, MINUTE_OUT)]
    for market in markets.tolist():
        rows = np.zeros(AVERAGE_MINUTES_MAX, MINUTE)
        address = address_of(state.averages) + market * AVERAGE_BYTES
        count = write_minutes(address, int(state.root["time_ns"]), address_of(rows))
        part = _columns(rows[:count], MINUTE)
        parts.append(np.zeros(count, MINUTE_OUT))
        parts[-1]["market"] = market
        for name in MINUTE.names or ():
            parts[-1][name] = part[name]
    return np.concatenate(parts)


def _requests(state: State) -> np.ndarray:
    used = state.pools["request_pool"].used
    slots = state.expiries["request"][1 : used + 1]
    requests = _columns(state.requests[slots], REQUEST)
    words = [requests["client_order_id"][:, word] for word in range(4, -1, -1)]
    return requests[np.lexsort((*words, requests["timestamp_us"], requests["account"]))]


def _timers(state: State) -> np.ndarray:
    """In the order in which they fire."""
    slots = state.timer_heap.entries["number"][1 : state.timer_heap.used + 1]
    timers = state.timers[slots]
    return timers[np.lexsort((timers["timer_sequence"], timers["due_ns"]))]


def _rings(state: State) -> np.ndarray:
    used = np.flatnonzero((state.rings["epoch"] != 0) | (state.rings["ring_sequence"] != 0))
    rings = np.zeros(len(used), RING_OUT)
    rings["ring"] = used
    rings["epoch"] = state.rings["epoch"][used]
    rings["ring_sequence"] = state.rings["ring_sequence"][used]
    return rings


def _import_market(state: State, number: int, market: np.void) -> None:
    record = state.markets[number]
    for name in MARKET_BODY_NAMES:
        record[name] = market[name]
    for name in FILTER_NAMES:
        record[name] = market[name]
    state.root["markets_count"] = number + 1
    market_enter(state.address, number)
    for name in MARKET_COUNTERS:
        record[name] = market[name]
    record["depth"] = prices_depth(int(market["price_top"]) // int(market["price_grid"]))


def _import_orders(state: State, tables: Mapping[str, np.ndarray]) -> None:
    root = state.root
    orders = np.ascontiguousarray(tables["orders"])
    import_orders(state.address, address_of(orders), len(orders))
    stops = np.ascontiguousarray(tables["stops"])
    import_stops(state.address, address_of(stops), len(stops))
    trails = np.ascontiguousarray(tables["trails"])
    import_trails(state.address, address_of(trails), len(trails))
    ids = np.concatenate([table["order_id"] for table in (orders, stops, trails)])  # those in slots 1, 2, ...
    markets = np.concatenate([table["market"] for table in (orders, stops, trails)])
    if len(tables["pending"]):
        for name in PENDING:
            root[name] = tables["pending"][name][0]
    if len(tables["pending_order"]):
        pending = np.ascontiguousarray(tables["pending_order"])
        root["pending_order"] = import_order(state.address, address_of(pending))
        if root["continuation_pending"] != CommandKind.PLACE:
            ids = np.append(ids, pending["order_id"])
            markets = np.append(markets, pending["market"])
    by_age = order_of(ids)
    slots = by_age + 1
    markets_by_age = markets[by_age].astype("i8")
    open_orders(state.address, address_of(slots), address_of(markets_by_age), len(slots))


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
    if has_terms(order):
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
    if has_terms(order):
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
def import_balances(root: int, source: int, count: int) -> None:
    s = record_at(root, 0, ROOT)
    for number in range(count):
        b = record_at(source, number, BALANCE_OUT)
        balance = record_at(s.balances, balance_make(root, b.account, b.asset), BALANCE)
        balance.free = b.free
        balance.locked = b.locked


@entry
@compiled
def import_average(root: int, market: int, minutes: int) -> None:
    """Begin a market's average, at the time that the state has reached."""
    average_reset(average_of(root, market), minutes)
    average_roll(average_of(root, market), record_at(root, 0, ROOT).time_ns)


@entry
@compiled
def import_minute(root: int, market: int, number: int, quantity: int, value: int) -> None:
    minute_add(average_of(root, market), number, quantity, value)


@entry
@compiled
def import_entries(root: int, keys: int, references: int, requests: int) -> None:
    """Enter keys, references and requests, whose records have been written to slots 1, 2, ..., in pools and indexes."""
    s = record_at(root, 0, ROOT)
    for _ in range(keys):
        slot = pool_take(s.key_pool)
        index_put(s.key_index, record_at(s.keys, slot, KEY).key, slot)
    for _ in range(references):
        reference_enter(root, pool_take(s.reference_pool))
    for _ in range(requests):
        request_enter(root, pool_take(s.request_pool))


@entry
@compiled
def _enter_names(root: int) -> None:
    """Enter the names of all assets and accounts but the fee account's."""
    s = record_at(root, 0, ROOT)
    for number in range(s.assets_count):
        name_enter(root, int64(ASSET_NAME), number)
    for number in range(1, s.accounts_count):
        name_enter(root, int64(ACCOUNT_NAME), number)
