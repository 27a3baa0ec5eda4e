"""Tallies: what each account has open in each market, counted as it comes and goes, for the filters that bound it.

The index stands at account_key(account, market); an account with nothing open in a market has no tally there.
"""

from __future__ import annotations

from ringex.engine.records import MARKET, NUMBER_BITS, ORDER, ROOT, TALLY
from ringex.jit import inlined, int64
from ringex.memory import record_at
from ringex.rules import is_stop
from ringex.tables import index_find, index_put, index_remove, pool_give, pool_take
from ringex.terms import Side


@inlined
def account_key(account: int, number: int) -> int:
    """One key for an account and a market or asset."""
    return (int64(account) << NUMBER_BITS) | int64(number)


@inlined
def tally_find(root: int, account: int, market: int) -> int:
    """The slot of an account's tally in a market; 0, where it has nothing open: that record is all zero."""
    return index_find(record_at(root, 0, ROOT).tally_index, account_key(account, market))


@inlined
def tally_open(root: int, slot: int, market: int) -> None:
    """Count an order that has come to be open."""
    s = record_at(root, 0, ROOT)
    order = record_at(s.orders, slot, ORDER)
    at = tally_find(root, order.account, market)
    if at == 0:
        at = pool_take(s.tally_pool)
        assert at != 0
        tally = record_at(s.tallies, at, TALLY)
        tally.account = order.account
        tally.market = market
        tally.orders = 0
        tally.algo_orders = 0
        tally.icebergs = 0
        tally.order_lists = 0
        tally.buying = 0
        index_put(s.tally_index, account_key(order.account, market), at)
    tally = record_at(s.tallies, at, TALLY)
    tally.orders += 1
    tally.icebergs += order.is_iceberg
    if is_stop(order.order_type):
        tally.algo_orders += 1
    if record_at(s.markets, market, MARKET).position_max != 0 and order.side == Side.BUY:
        tally.buying += order.quantity - order.executed


@inlined
def tally_close(root: int, slot: int, market: int) -> None:
    """Count an order, as it last was, out."""
    s = record_at(root, 0, ROOT)
    order = record_at(s.orders, slot, ORDER)
    at = tally_find(root, order.account, market)
    tally = record_at(s.tallies, at, TALLY)
    tally.orders -= 1
    tally.icebergs -= order.is_iceberg
    if is_stop(order.order_type):
        tally.algo_orders -= 1
    if record_at(s.markets, market, MARKET).position_max != 0 and order.side == Side.BUY:
        tally.buying -= order.quantity - order.executed
        assert tally.buying >= 0
    if tally.orders == 0:
        assert tally.algo_orders == 0 and tally.icebergs == 0 and tally.buying == 0
        index_remove(s.tally_index, account_key(order.account, market))
        pool_give(s.tally_pool, at)


@inlined
def tally_buying(root: int, slot: int, market: int, change: int) -> None:
    """An open order has `change` more left than before (less, where it is negative)."""
    s = record_at(root, 0, ROOT)
    order = record_at(s.orders, slot, ORDER)
    if record_at(s.markets, market, MARKET).position_max != 0 and order.side == Side.BUY:
        tally = record_at(s.tallies, tally_find(root, order.account, market), TALLY)
        tally.buying += change
        assert tally.buying >= 0
