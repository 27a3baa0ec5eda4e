"""The logical state as plain arrays, and back: what a snapshot holds and what the state's hash is taken of.

Slots, hash layouts, free lists and the tables' room do not show in it; the limits in force do. Orders come by market,
side (buy first), price (best first), age; stop orders that wait by market, direction (falling first), stop price (the
next to fire first), age; pending ones by market, age; order lists by id; balances by account and asset; fee schedules
by account and market; requests by account, timestamp and id; timers as they will fire; all else by arrival.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final

import numpy as np

from ringex.averages import AVERAGE_BYTES, MINUTE, average_reset, average_roll, minute_add, write_minutes
from ringex.config import Limits
from ringex.engine.admin import ACCOUNT_NAME, ASSET_NAME, market_enter, name_enter
from ringex.engine.fees import import_schedules
from ringex.engine.filters import average_of
from ringex.engine.ledger import balance_make
from ringex.engine.money import reference_enter
from ringex.engine.orderexport import (
    LIST_OUT,
    ORDER_OUT,
    export_lists,
    export_order,
    export_orders,
    export_pendings,
    export_trails,
    import_lists,
    import_order,
    import_orders,
    import_pendings,
    import_stops,
    import_trails,
    open_orders,
)
from ringex.engine.records import (
    ARMING_RISING,
    ASSET,
    BALANCE,
    FALLING,
    KEY,
    LIMITS,
    MARKET,
    REFERENCE,
    REQUEST,
    ROOT,
    SCHEDULE,
    TIMER,
)
from ringex.engine.requests import request_enter
from ringex.engine.state import State
from ringex.engine.timers import timer_restore
from ringex.jit import compiled, entry, int64
from ringex.memory import address_of, record_at
from ringex.messages import AVERAGE_MINUTES_MAX, FILTER_NAMES, ORDER_LIMIT_NAMES
from ringex.orderlimits import ORDER_COUNTS
from ringex.rules import MARKET_BODY_NAMES
from ringex.sorting import order_of
from ringex.tables import index_put, pool_take, prices_depth
from ringex.terms import CommandKind, Side

COUNTERS: Final = (
    "command_sequence",
    "time_ns",
    "event_sequence",
    "order_id",
    "execution_id",
    "order_list_id",
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
BALANCE_OUT: Final = np.dtype([("account", "i4"), ("asset", "i4"), ("free", "i8"), ("locked", "i8")])
RING_OUT: Final = np.dtype([("ring", "i8"), ("epoch", "i8"), ("ring_sequence", "i8")])
MATCHING: Final = (
    *(CommandKind.PLACE, CommandKind.AMEND, CommandKind.CONTINUE),
    *(CommandKind.OTO_PLACE, CommandKind.OTOCO_PLACE),
)
"""What is pending while an order matches. But for PLACE it is an open one."""

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
    "pendings": ORDER_OUT,
    "lists": LIST_OUT,
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
follow the market, `pendings` orders that wait for the working order of their list; `rings` is where the journal stands,
not what the exchange is."""
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
    matching = pending in MATCHING
    orders = np.zeros(state.pools["order_pool"].used - matching, ORDER_OUT)
    resting = export_orders(state.address, Side.BUY, Side.SELL, address_of(orders))
    tables["orders"] = orders[:resting].copy()
    orders[:resting] = np.zeros(1, ORDER_OUT)
    waiting = export_orders(state.address, FALLING, ARMING_RISING, address_of(orders))
    tables["stops"] = orders[:waiting].copy()
    orders[:waiting] = np.zeros(1, ORDER_OUT)
    trailing = export_trails(state.address, address_of(orders))
    tables["trails"] = orders[:trailing].copy()
    orders[:trailing] = np.zeros(1, ORDER_OUT)
    held_back = export_pendings(state.address, address_of(orders))
    tables["pendings"] = orders[:held_back].copy()
    lists = np.zeros(state.pools["list_pool"].used, LIST_OUT)
    assert export_lists(state.address, address_of(lists)) == len(lists), "every order list has an open order"
    tables["lists"] = lists[np.argsort(lists["order_list_id"])]
    assert resting + waiting + trailing + held_back == len(orders), (
        "every order rests or waits, but the one that is being matched"
    )
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
    pendings = np.ascontiguousarray(tables["pendings"])
    import_pendings(state.address, address_of(pendings), len(pendings))
    imported = (orders, stops, trails, pendings)
    ids = np.concatenate([table["order_id"] for table in imported])  # those in slots 1, 2, ...
    markets = np.concatenate([table["market"] for table in imported])
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
    lists = np.ascontiguousarray(tables["lists"][np.argsort(tables["lists"]["turn"], kind="stable")])
    import_lists(state.address, address_of(lists), len(lists))


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
