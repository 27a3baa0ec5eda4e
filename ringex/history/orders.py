"""Orders: the open ones, and the closed ones until newer closed ones push them out.

An order is found by its id, or by account and client order id. A client order id is unique among an account's open
orders only, so it may name several orders: it means the one that took it last, which is the open one if any is.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from ringex.jit import compiled, entry, inlined, int64
from ringex.memory import address_of, copy_bytes, record_at
from ringex.messages import EVENT, ORDER_TERMS
from ringex.reasons import Reason
from ringex.rules import is_stop
from ringex.tables import (
    Index,
    Pool,
    index_find,
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
from ringex.terms import OrderStatus, OrderType

ORDERS: Final = np.dtype(
    [
        ("records", "i8"),  # address of ORDER records, by slot; slot 0 is none
        ("pool", "i8"),
        ("by_id", "i8"),  # index: order id -> slot
        ("by_client_id", "i8"),  # index: hash of account and client order id -> slot of the order that it means
        ("owners", "i8"),  # address of OWNER records, by account number
        ("owners_max", "i8"),
        ("closed_first", "i8"),  # slots, oldest to newest by time of closing
        ("closed_last", "i8"),
        ("closed_count", "i8"),
        ("closed_max", "i8"),
    ],
    align=True,
)
ORDER: Final = np.dtype(
    [
        ("order_id", "i8"),
        ("account", "i4"),
        ("market", "i4"),
        ("price", "i8"),
        ("quantity", "i8"),  # total, what was prevented included; MARKET by quote amount: what has been executed
        ("prevented_quantity", "i8"),  # taken off by self-trade prevention
        ("executed_quantity", "i8"),
        ("executed_quote", "i8"),
        ("quote_quantity", "i8"),
        ("created_ns", "i8"),
        ("updated_ns", "i8"),
        ("working_ns", "i8"),  # since when it may match; 0: a stop order that has not been triggered, or pending
        ("trade_count", "i8"),
        ("stop_price", "i8"),
        ("iceberg_quantity", "i8"),
        ("good_till_ns", "i8"),
        ("trailing_delta", "u2"),
        ("peg_price_type", "u1"),
        ("peg_offset", "u1"),
        ("strategy_type", "i4"),
        ("strategy_id", "i8"),
        ("self_trade_prevention", "i8"),
        ("prevented_match_id", "i8"),  # the last by which it lost quantity; 0: none
        ("side", "u1"),
        ("order_type", "u1"),
        ("time_in_force", "u1"),
        ("status", "u1"),  # OrderStatus; NEW, PENDING_NEW and PARTIALLY_FILLED are open
        ("reason", "u2"),  # Reason for which it closed, where it was not filled
        ("transport", "u2"),
        ("client_order_id", "u8", (5,)),
        ("order_list_id", "i8"),  # 0: it is of none
        ("outdone_id", "i8"),  # the order that its client order id meant before; 0: none
        (
            "previous_slot",
            "i8",
        ),  # of the account's open orders, in order of acceptance; of all closed ones, once closed
        ("next_slot", "i8"),  # of the account's open orders; of all closed ones, once closed
    ],
    align=True,
)
FORGOTTEN: Final = np.dtype([("forgotten", "i8"), ("forgotten_ns", "i8")])
"""How many closed orders of an account have been pushed out, and when the last of them was closed."""
OWNER: Final = np.dtype([("open_first", "i8"), ("open_last", "i8"), ("open_count", "i8"), *FORGOTTEN.descr])

_ID: Final = np.dtype([("order_id", "i8")])
_ORDER_BYTES: Final = ORDER.itemsize
_ORDER_CLIENT_ID: Final = ORDER.fields["client_order_id"][1]  # type: ignore[index]
_EVENT_CLIENT_ID: Final = EVENT.fields["client_order_id"][1]  # type: ignore[index]


class Orders:
    """At most `open_max` open and `closed_max` closed orders of `accounts_max` accounts."""

    def __init__(self, accounts_max: int, open_max: int, closed_max: int) -> None:
        assert closed_max > 0
        self._records = np.zeros(open_max + closed_max + 1, ORDER)
        self._pool = Pool(self._records)
        self._by_id = Index(open_max + closed_max)
        self._by_client_id = Index(open_max + closed_max)
        self._owners = np.zeros(accounts_max, OWNER)
        self._root = np.zeros(1, ORDERS)
        self._root["records"] = address_of(self._records)
        self._root["pool"] = self._pool.address
        self._root["by_id"] = self._by_id.address
        self._root["by_client_id"] = self._by_client_id.address
        self._root["owners"] = address_of(self._owners)
        self._root["owners_max"] = accounts_max
        self._root["closed_max"] = closed_max
        self.address = address_of(self._root)

    @property
    def capacity(self) -> int:
        """Open and closed orders together, at most."""
        return self._pool.capacity

    def with_id(self, order_id: int) -> np.void | None:
        """The ORDER record, a view that the next `apply` may change."""
        slot = index_find(self._by_id.address, order_id)
        return self._records[slot] if slot else None

    def with_client_id(self, account: int, words: np.ndarray) -> np.void | None:
        """The ORDER record that the client order id means, a view that the next `apply` may change."""
        slot = _slot_of_client_id(self.address, account, address_of(words))
        return self._records[slot] if slot else None

    def open_of(self, account: int) -> np.ndarray:
        """The account's open ORDER records, oldest first; a copy, shape (n,)."""
        found = np.zeros(int(self._owners["open_count"][account]), ORDER)
        if len(found):
            _copy_open(self.address, account, address_of(found), len(found))
        return found

    def with_ids(self, ids: np.ndarray) -> np.ndarray:
        """The ORDER records of those order ids (i8) that are held, slots cleared; a copy, shape (n,)."""
        ids = np.ascontiguousarray(ids, "i8")
        found = np.zeros(len(ids), ORDER)
        count = _copy_by_id(self.address, address_of(ids), len(ids), address_of(found)) if len(ids) else 0
        return found[:count]

    def closed_since(self, time_ns: int) -> np.ndarray:
        """The closed ORDER records that were last changed at `time_ns` or later, last closed first; a copy."""
        count = _count_closed_since(self.address, time_ns)
        found = np.zeros(count, ORDER)
        if count:
            _copy_closed_since(self.address, time_ns, address_of(found))
        return found

    def forgotten_ns(self, account: int) -> int:
        """When the account's youngest closed order that is no longer held was closed; 0: all are held."""
        return int(self._owners["forgotten_ns"][account])

    def forgotten(self, account: int) -> int:
        """How many closed orders of the account are no longer held."""
        return int(self._owners["forgotten"][account])

    def export(self, accounts_count: int) -> tuple[np.ndarray, np.ndarray]:
        """(orders, forgotten): ORDER records, closed ones by time of closing, then open ones by account and age, with
        slots 0; and FORGOTTEN records by account, shape (accounts_count,)."""
        found = np.zeros(self._pool.used, ORDER)
        count = _copy_all(self.address, address_of(found), accounts_count) if len(found) else 0
        assert count == len(found)
        forgotten = np.zeros(accounts_count, FORGOTTEN)
        for name in FORGOTTEN.names or ():
            forgotten[name] = self._owners[name][:accounts_count]
        return found, forgotten

    def load(self, orders: np.ndarray, forgotten: np.ndarray) -> None:
        """Fill an empty table from what `export` gave; the caller has checked accounts, markets and ids."""
        assert self._pool.used == 0, "only an empty table can be loaded"
        for name in FORGOTTEN.names or ():
            self._owners[name][: len(forgotten)] = forgotten[name]
        orders = np.ascontiguousarray(orders)
        _orders_load(self.address, address_of(orders), len(orders))


@inlined
def _order(orders: int, slot: int) -> int:
    """The address of an order."""
    return record_at(orders, 0, ORDERS).records + slot * _ORDER_BYTES


@inlined
def _is_open(status: int) -> bool:
    return status == OrderStatus.NEW or status == OrderStatus.PARTIALLY_FILLED or status == OrderStatus.PENDING_NEW


@compiled
def order_accept(orders: int, event: int) -> None:
    """An ACCEPTED event makes an order."""
    table = record_at(orders, 0, ORDERS)
    e = record_at(event, 0, EVENT)
    slot = pool_take(table.pool)
    assert slot != 0
    o = record_at(_order(orders, slot), 0, ORDER)
    o.order_id = e.order_id
    o.account = e.account
    o.market = e.market
    o.price = e.price
    o.quantity = e.quantity
    o.prevented_quantity = 0
    o.executed_quantity = 0
    o.executed_quote = 0
    o.quote_quantity = e.quote_quantity
    o.created_ns = e.created_ns
    o.updated_ns = e.time_ns
    o.working_ns = 0 if is_stop(e.order_type) or e.status == OrderStatus.PENDING_NEW else e.created_ns
    o.trade_count = 0
    terms = record_at(event, 0, ORDER_TERMS)
    o.stop_price = terms.stop_price
    o.iceberg_quantity = terms.iceberg_quantity
    o.good_till_ns = terms.good_till_ns
    o.trailing_delta = terms.trailing_delta
    o.peg_price_type = terms.peg_price_type
    o.peg_offset = terms.peg_offset
    o.strategy_type = terms.strategy_type
    o.strategy_id = terms.strategy_id
    o.self_trade_prevention = terms.self_trade_prevention
    o.prevented_match_id = 0
    o.side = e.side
    o.order_type = e.order_type
    o.time_in_force = e.time_in_force
    o.status = e.status
    o.reason = np.uint16(0)
    o.transport = np.uint16(e.transport)
    o.order_list_id = terms.order_list_id
    o.outdone_id = 0
    words_copy(_order(orders, slot) + _ORDER_CLIENT_ID, event + _EVENT_CLIENT_ID)
    index_put(table.by_id, o.order_id, slot)
    _client_id_take(orders, slot)
    _open_append(orders, slot)


@compiled
def order_trade(
    orders: int, order_id: int, status: int, executed_quantity: int, executed_quote: int, time_ns: int
) -> None:
    """An open order took part in a trade; its state afterwards."""
    slot = index_find(record_at(orders, 0, ORDERS).by_id, order_id)
    assert slot != 0
    o = record_at(_order(orders, slot), 0, ORDER)
    assert _is_open(o.status)
    o.status = np.uint8(status)
    o.executed_quantity = executed_quantity
    o.executed_quote = executed_quote
    if o.order_type == OrderType.MARKET and o.quote_quantity > 0:
        o.quantity = executed_quantity
    o.updated_ns = time_ns
    o.trade_count += 1
    if status == OrderStatus.FILLED:
        _close(orders, slot)


@compiled
def order_trigger(orders: int, event: int) -> None:
    """A TRIGGERED event: a stop order may match from now on."""
    e = record_at(event, 0, EVENT)
    slot = index_find(record_at(orders, 0, ORDERS).by_id, e.order_id)
    assert slot != 0
    o = record_at(_order(orders, slot), 0, ORDER)
    assert _is_open(o.status) and o.working_ns == 0
    o.working_ns = e.time_ns
    o.updated_ns = e.time_ns
    o.price = e.price


@compiled
def order_plain_mode(orders: int, order_id: int) -> int:
    """The mode of self-trade prevention of an order that is held and has no further terms, nor lost quantity; or -1."""
    slot = index_find(record_at(orders, 0, ORDERS).by_id, order_id)
    if slot == 0:
        return int64(-1)
    o = record_at(_order(orders, slot), 0, ORDER)
    special = o.stop_price | o.iceberg_quantity | o.good_till_ns | o.prevented_quantity | o.prevented_match_id
    special |= o.order_list_id
    special |= int64(o.trailing_delta) | int64(o.peg_price_type) | o.strategy_id | int64(o.strategy_type)
    return int64(o.self_trade_prevention) if special == 0 else int64(-1)


@compiled
def order_place(orders: int, event: int) -> None:
    """A PLACED event: a pending order may match from now on, or waits for its stop price."""
    e = record_at(event, 0, EVENT)
    slot = index_find(record_at(orders, 0, ORDERS).by_id, e.order_id)
    assert slot != 0
    o = record_at(_order(orders, slot), 0, ORDER)
    assert o.status == OrderStatus.PENDING_NEW
    o.status = e.status
    o.working_ns = 0 if is_stop(e.order_type) else e.time_ns
    o.updated_ns = e.time_ns
    o.price = e.price


@compiled
def order_left(orders: int, order_id: int) -> int:
    """What an open order may still trade; 0 for a MARKET order by quote amount."""
    slot = index_find(record_at(orders, 0, ORDERS).by_id, order_id)
    assert slot != 0
    o = record_at(_order(orders, slot), 0, ORDER)
    return o.quantity - o.prevented_quantity - o.executed_quantity


@compiled
def order_update(orders: int, event: int, takes_client_id: bool, prevented_match_id: int) -> None:
    """A RESTED, AMENDED or CANCELED event: the order as it now is, closed where its status says so.

    `takes_client_id`: the event's client order id is the order's own from now on (AMENDED). `prevented_match_id`: by
    which prevention it lost quantity, where that is the event's reason.
    """
    e = record_at(event, 0, EVENT)
    slot = index_find(record_at(orders, 0, ORDERS).by_id, e.order_id)
    assert slot != 0
    o = record_at(_order(orders, slot), 0, ORDER)
    assert _is_open(o.status)
    o.status = e.status
    o.price = e.price
    o.executed_quantity = e.executed_quantity
    o.executed_quote = e.executed_quote
    o.updated_ns = e.time_ns
    if e.reason == Reason.PREVENTED:
        goes_on = _is_open(e.status)
        o.prevented_quantity = o.quantity - (e.quantity if goes_on else e.executed_quantity)
        o.prevented_match_id = prevented_match_id
    else:
        o.quantity = e.quantity + o.prevented_quantity
    own = _order(orders, slot) + _ORDER_CLIENT_ID
    if takes_client_id and not words_equal(own, event + _EVENT_CLIENT_ID):
        _client_id_leave(orders, slot)
        words_copy(own, event + _EVENT_CLIENT_ID)
        _client_id_take(orders, slot)
    if not _is_open(o.status):
        o.reason = e.reason
        _close(orders, slot)


@entry
@compiled
def _orders_load(orders: int, source: int, count: int) -> None:
    """Add copies of ORDER records; closed ones come in order of closing, before open ones."""
    for at in range(count):
        _load_one(orders, source + at * _ORDER_BYTES)


@compiled
def _load_one(orders: int, source: int) -> None:
    table = record_at(orders, 0, ORDERS)
    slot = pool_take(table.pool)
    assert slot != 0
    copy_bytes(_order(orders, slot), source, _ORDER_BYTES)
    o = record_at(_order(orders, slot), 0, ORDER)
    index_put(table.by_id, o.order_id, slot)
    outdone_id = o.outdone_id
    _client_id_take(orders, slot)
    o.outdone_id = outdone_id
    if _is_open(o.status):
        _open_append(orders, slot)
    else:
        _closed_append(orders, slot)


@compiled
def _close(orders: int, slot: int) -> None:
    """Move an order from its account's open orders to the closed ones."""
    table = record_at(orders, 0, ORDERS)
    o = record_at(_order(orders, slot), 0, ORDER)
    owner = record_at(table.owners, int64(o.account), OWNER)
    if o.previous_slot != 0:
        record_at(_order(orders, o.previous_slot), 0, ORDER).next_slot = o.next_slot
    else:
        owner.open_first = o.next_slot
    if o.next_slot != 0:
        record_at(_order(orders, o.next_slot), 0, ORDER).previous_slot = o.previous_slot
    else:
        owner.open_last = o.previous_slot
    owner.open_count -= 1
    if table.closed_count == table.closed_max:
        _forget_oldest(orders)
    _closed_append(orders, slot)


@inlined
def _open_append(orders: int, slot: int) -> None:
    table = record_at(orders, 0, ORDERS)
    o = record_at(_order(orders, slot), 0, ORDER)
    account = int64(o.account)
    assert 0 <= account < table.owners_max
    owner = record_at(table.owners, account, OWNER)
    o.previous_slot = owner.open_last
    o.next_slot = 0
    if owner.open_last != 0:
        record_at(_order(orders, owner.open_last), 0, ORDER).next_slot = slot
    else:
        owner.open_first = slot
    owner.open_last = slot
    owner.open_count += 1


@inlined
def _closed_append(orders: int, slot: int) -> None:
    table = record_at(orders, 0, ORDERS)
    assert table.closed_count < table.closed_max
    o = record_at(_order(orders, slot), 0, ORDER)
    o.previous_slot = table.closed_last
    o.next_slot = 0
    if table.closed_last != 0:
        record_at(_order(orders, table.closed_last), 0, ORDER).next_slot = slot
    else:
        table.closed_first = slot
    table.closed_last = slot
    table.closed_count += 1


@compiled
def _forget_oldest(orders: int) -> None:
    """Drop the order that closed first of those held."""
    table = record_at(orders, 0, ORDERS)
    slot = table.closed_first
    o = record_at(_order(orders, slot), 0, ORDER)
    table.closed_first = o.next_slot
    if table.closed_first == 0:
        table.closed_last = 0
    else:
        record_at(_order(orders, table.closed_first), 0, ORDER).previous_slot = 0
    table.closed_count -= 1
    owner = record_at(table.owners, int64(o.account), OWNER)
    owner.forgotten += 1
    owner.forgotten_ns = o.updated_ns
    key = words_hash(int64(o.account), _order(orders, slot) + _ORDER_CLIENT_ID)
    index_remove_value(table.by_client_id, key, slot)  # not there where a younger order has taken the id
    index_remove(table.by_id, o.order_id)
    pool_give(table.pool, slot)


@entry
@compiled
def _slot_of_client_id(orders: int, account: int, words: int) -> int:
    """The slot of the order that the account's client order id at address `words` means, or 0."""
    index = record_at(orders, 0, ORDERS).by_client_id
    key = words_hash(account, words)
    at = index_first(index, key)
    while at >= 0:
        slot = index_value(index, at)
        o = record_at(_order(orders, slot), 0, ORDER)
        if o.account == account and words_equal(_order(orders, slot) + _ORDER_CLIENT_ID, words):
            return slot
        at = index_next(index, key, at)
    return 0


@compiled
def _client_id_take(orders: int, slot: int) -> None:
    """From now on the order's client order id means this order."""
    words = _order(orders, slot) + _ORDER_CLIENT_ID
    o = record_at(_order(orders, slot), 0, ORDER)
    o.outdone_id = 0
    if words_empty(words):
        return
    index = record_at(orders, 0, ORDERS).by_client_id
    account = int64(o.account)
    key = words_hash(account, words)
    outdone = _slot_of_client_id(orders, account, words)
    if outdone != 0:
        index_remove_value(index, key, outdone)
        o.outdone_id = record_at(_order(orders, outdone), 0, ORDER).order_id
    index_put(index, key, slot)


@compiled
def _client_id_leave(orders: int, slot: int) -> None:
    """The order gives its client order id up: it means again what it meant before, if that is still held."""
    table = record_at(orders, 0, ORDERS)
    words = _order(orders, slot) + _ORDER_CLIENT_ID
    o = record_at(_order(orders, slot), 0, ORDER)
    key = words_hash(int64(o.account), words)
    if not index_remove_value(table.by_client_id, key, slot):
        return
    outdone = index_find(table.by_id, o.outdone_id) if o.outdone_id != 0 else 0
    if outdone != 0:
        index_put(table.by_client_id, key, outdone)


@entry
@compiled
def _copy_open(orders: int, account: int, found: int, count_max: int) -> int:
    """Copy the account's open orders to ORDER records at address `found`, slots cleared. Returns how many."""
    slot = record_at(record_at(orders, 0, ORDERS).owners, account, OWNER).open_first
    count = 0
    while slot != 0 and count < count_max:
        slot = _copy(orders, slot, found + count * _ORDER_BYTES)
        count += 1
    return count


@entry
@compiled
def _copy_all(orders: int, found: int, accounts_count: int) -> int:
    table = record_at(orders, 0, ORDERS)
    slot = table.closed_first
    count = 0
    while slot != 0:
        slot = _copy(orders, slot, found + count * _ORDER_BYTES)
        count += 1
    for account in range(accounts_count):
        open_count = record_at(table.owners, account, OWNER).open_count
        count += _copy_open(orders, account, found + count * _ORDER_BYTES, open_count)
    return count


@entry
@compiled
def _copy_by_id(orders: int, ids: int, count: int, found: int) -> int:
    """Copy the orders with these ids, where they are held. Returns how many."""
    table = record_at(orders, 0, ORDERS)
    copied = int64(0)
    for at in range(count):
        slot = index_find(table.by_id, record_at(ids, at, _ID).order_id)
        if slot != 0:
            _copy(orders, slot, found + copied * _ORDER_BYTES)
            copied += 1
    return copied


@entry
@compiled
def _count_closed_since(orders: int, time_ns: int) -> int:
    slot = record_at(orders, 0, ORDERS).closed_last
    count = int64(0)
    while slot != 0:
        o = record_at(_order(orders, slot), 0, ORDER)
        if o.updated_ns < time_ns:
            break
        slot = o.previous_slot
        count += 1
    return count


@entry
@compiled
def _copy_closed_since(orders: int, time_ns: int, found: int) -> None:
    slot = record_at(orders, 0, ORDERS).closed_last
    count = int64(0)
    while slot != 0:
        o = record_at(_order(orders, slot), 0, ORDER)
        if o.updated_ns < time_ns:
            break
        previous = o.previous_slot
        _copy(orders, slot, found + count * _ORDER_BYTES)
        slot = previous
        count += 1


@inlined
def _copy(orders: int, slot: int, destination: int) -> int:
    """Copy one order, slots cleared. Returns the slot that follows it in its list."""
    following = record_at(_order(orders, slot), 0, ORDER).next_slot
    copy_bytes(destination, _order(orders, slot), _ORDER_BYTES)
    copied = record_at(destination, 0, ORDER)
    copied.previous_slot = 0
    copied.next_slot = 0
    return following
