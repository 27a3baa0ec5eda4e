"""How the engine's speed depends on the size of things: resting orders, symbols, accounts.

Resting orders: with so many in one book, orders are canceled at random and new ones placed in their stead. Symbols and
accounts: the flow of `bench.flow`, spread over them. Floors are the smallest of each.
"""

from __future__ import annotations

import os
import time

import numpy as np

from ringex.jit import compile_ahead
from ringex.messages import COMMAND, commands
from ringex.terms import CommandKind, OrderType, Side, TimeInForce

from .engine import rate
from .exchange import ACCOUNTS, Engine
from .figure import Figure, Options, figure
from .flow import flow

RESTING = (1_000, 100_000, 1_000_000, 5_000_000)
SYMBOLS = (1, 100, 10_000)
ACCOUNT_COUNTS = (ACCOUNTS, 10_000, 1_000_000)
CHANGES = 400_000
PLACEMENTS = 200_000
MIDDLE = 1_000_000
DISTANCE_MAX = 200_000


def measure(options: Options) -> list[Figure]:
    compile_ahead()
    os.sched_setaffinity(0, {options.cores[1]})
    try:
        return [*_resting(options), *_symbols(options), *_accounts(options)]
    finally:
        os.sched_setaffinity(0, set(range(os.cpu_count() or 1)))


def _resting(options: Options) -> list[Figure]:
    rates: dict[int, list[float]] = {count: [] for count in RESTING}
    for _ in range(options.repeats):
        for count in RESTING:
            rates[count].append(_change_rate(options.count(count, 100), options.count(CHANGES, 1000)))
    return [
        figure(
            "scale",
            f"{count:,} resting orders",
            "M/s",
            rates[count],
            floors=rates[RESTING[0]],
            floor_name=f"{RESTING[0]:,} resting",
            reach=0.5 if count == RESTING[-1] else 0.0,
        )
        for count in RESTING[1:]
    ]


def _change_rate(resting: int, changes: int) -> float:
    """Millions of commands a CPU-second: half of them cancel one of `resting` orders, half place another."""
    random = np.random.default_rng(1)
    engine = Engine(resting + 1)
    engine.run(resting_orders(random, resting))
    records = np.zeros(2 * changes, COMMAND)
    raw = records.view(np.dtype(f"V{COMMAND.itemsize}"))
    raw[1::2] = resting_orders(random, changes).view(raw.dtype)
    alive = np.arange(1, resting + 1)
    accounts = 1 + (alive - 1) % ACCOUNTS
    for number in range(changes):
        at = int(random.integers(resting))
        records["order_id"][2 * number], records["account"][2 * number] = alive[at], accounts[at]
        alive[at], accounts[at] = resting + number + 1, records["account"][2 * number + 1]
    records["kind"][::2] = CommandKind.CANCEL
    records["version"] = records["slots"] = 1
    before = time.process_time()
    engine.run(records)
    return len(records) / (time.process_time() - before) / 1e6


def resting_orders(random: np.random.Generator, count: int) -> np.ndarray:
    """Orders that never meet, at any of 400,000 prices."""
    records = commands(count)
    records["kind"], records["order_type"] = CommandKind.PLACE, OrderType.LIMIT
    records["time_in_force"] = TimeInForce.GTC
    records["account"] = 1 + np.arange(count) % ACCOUNTS
    records["side"] = random.integers(Side.BUY, Side.SELL + 1, count)
    distance = random.integers(1, DISTANCE_MAX, count)
    records["price"] = MIDDLE + np.where(records["side"] == Side.BUY, -distance, distance)
    records["quantity"] = random.integers(1, 101, count)
    return records


def _symbols(options: Options) -> list[Figure]:
    return _spread("symbols", SYMBOLS, options, lambda count: {"markets": count})


def _accounts(options: Options) -> list[Figure]:
    return _spread("accounts", ACCOUNT_COUNTS, options, lambda count: {"accounts": count})


def _spread(what, counts, options, spread):  # type: ignore[no-untyped-def]
    placements = options.count(PLACEMENTS, 2000)
    streams = {count: flow(placements, 0.02, **spread(count)) for count in counts}
    rates: dict[int, list[float]] = {count: [] for count in counts}
    for _ in range(options.repeats):
        for count in counts:
            rates[count].append(rate(streams[count], placements, **spread(count)))
    least = counts[0]
    return [
        figure("scale", f"{count:,} {what}", "M/s", rates[count], floors=rates[least], floor_name=f"{least:,} {what}")
        for count in counts[1:]
    ]
