"""Looks at a state from outside, cheaply: one market's depth or orders, one account's balances. Nothing is changed."""

from __future__ import annotations

import numpy as np

from ringex.engine.book import best_level
from ringex.engine.orderexport import ORDER_OUT, ORDER_OUT_BYTES, export_order
from ringex.engine.records import LEVEL, ORDER, ROOT
from ringex.engine.state import State
from ringex.jit import compiled, int64
from ringex.memory import address_of, record_at
from ringex.terms import Side

DEPTH = np.dtype([("price", "i8"), ("quantity", "i8")])
"""A price level: its price and what rests there, in the market's scales."""


def market_depth(state: State, market: int, side: Side, levels_max: int) -> np.ndarray:
    """The best levels of one side, best first: at most `levels_max`. Shape (n,), DEPTH."""
    out = np.zeros(min(levels_max, state.pools["level_pool"].used), DEPTH)
    return out[: write_depth(state.address, market, int(side), len(out), address_of(out))]


def market_orders(state: State, market: int) -> np.ndarray:
    """Open orders of a market, buy side first, best price first, oldest first. Shape (n,), ORDER_OUT."""
    out = np.zeros(state.pools["order_pool"].used, ORDER_OUT)
    return out[: write_orders(state.address, market, address_of(out))].copy()


def account_balances(state: State, account: int) -> np.ndarray:
    """The balances of an account, by asset number. Shape (n,), BALANCE."""
    table = state.balances[1 : state.pools["balance_pool"].used + 1]
    mine = table[table["account"] == account]
    return mine[np.argsort(mine["asset"])]


@compiled
def write_depth(root: int, market: int, side: int, levels_max: int, out: int) -> int:
    """Write at most `levels_max` levels as DEPTH records at `out`. Returns how many."""
    s = record_at(root, 0, ROOT)
    number = best_level(root, market, side)
    count = 0
    while number != 0 and count < levels_max:
        level = record_at(s.levels, number, LEVEL)
        row = record_at(out, count, DEPTH)
        row.price = level.price
        row.quantity = level.quantity
        count += 1
        number = int64(level.worse)
    return count


@compiled
def write_orders(root: int, market: int, out: int) -> int:
    """Write a market's resting orders as ORDER_OUT records at `out`, which is zero. Returns how many."""
    s = record_at(root, 0, ROOT)
    count = 0
    for side in range(Side.BUY, Side.SELL + 1):
        number = best_level(root, market, side)
        while number != 0:
            level = record_at(s.levels, number, LEVEL)
            slot = int64(level.oldest)
            while slot != 0:
                export_order(root, slot, market, level.price, out + count * ORDER_OUT_BYTES)
                count += 1
                slot = int64(record_at(s.orders, slot, ORDER).next)
            number = int64(level.worse)
    return count
