"""How fast the engine is by itself: book, ledger and events, one thread, no rings and no journal.

The flow is `bench.flow`'s, in five regimes; the result is the worst of them. Rates are of CPU time, each the best of
some runs on a fresh state: what else runs on the machine only adds. Commands are records of 256 bytes, made beforehand.
"""

from __future__ import annotations

import os
import time

import numpy as np

from ringex.jit import compile_ahead
from ringex.messages import COMMAND
from ringex.terms import EventKind

from .exchange import ACCOUNTS, Engine
from .figure import Figure, Options, figure
from .flow import SWINGS, flow

PLACEMENTS = 400_000
_RAW = np.dtype(f"V{COMMAND.itemsize}")


def measure(options: Options) -> list[Figure]:
    compile_ahead()
    os.sched_setaffinity(0, {options.cores[1]})
    try:
        placements = options.count(PLACEMENTS, 2000)
        figures = [_regime(name, flow(placements, swing), placements, options) for name, swing in SWINGS.items()]
    finally:
        os.sched_setaffinity(0, set(range(os.cpu_count() or 1)))
    worst = min(figures, key=lambda found: found.value)
    return [*figures, figure("engine", f"the worst ({worst.name.split(',')[0]})", "M/s", [worst.value], reach=10.0)]


def rate(stream: np.ndarray, orders: int, *, markets: int = 1, accounts: int = ACCOUNTS) -> float:
    """Millions of commands a CPU-second through a fresh engine."""
    engine = Engine(orders, markets=markets, accounts=accounts)
    records = stream.view(_RAW).copy().view(COMMAND)
    before = time.process_time()
    engine.run(records)
    return len(records) / (time.process_time() - before) / 1e6


def _regime(name: str, stream: np.ndarray, placements: int, options: Options) -> Figure:
    counted = Engine(placements)
    refused = len(counted.refused(stream.copy())) / len(stream)
    trades = counted.counts[EventKind.TRADE] / len(stream)
    resting = int(counted.state.pools["order_pool"].used)
    values = [max(rate(stream, placements) for _ in range(3)) for _ in range(options.repeats)]
    told = f"{name}, {trades:.0%} trades, {refused:.1%} refused, {resting:,} resting"
    return figure("engine", told, "M/s", values)
