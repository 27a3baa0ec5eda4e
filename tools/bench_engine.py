"""How fast the engine is by itself: book, ledger and events, one thread, no rings and no journal.

The flow is that of a liquid symbol. Prices walk at random; passive orders lie at a power-law distance from the middle
with a hump near 8 ticks; quantities are uniform in 1 .. 100; 15 % of the orders are IOC; of the others 20 % are
amended (a larger quantity, four in five also a tick's reprice) and 95 % canceled after an exponential life; 2 % of
the cancels and amends are sent twice, and the second is refused. Five regimes of the middle: still, and swings of 2,
25, 40 and 60 %. The result is the worst of the five, each the median of some runs:

    taskset -c 1 python -m tools.bench_engine [--json]

Commands are made beforehand, as COMMAND records of 256 bytes; each run applies all of them to a fresh state.
"""

from __future__ import annotations

import json
import statistics
import time
from dataclasses import asdict, dataclass
from typing import Final

import click
import numpy as np

from ringex import administration
from ringex.config import Limits
from ringex.engine.library import BATCH, apply_batch
from ringex.engine.state import State
from ringex.jit import compile_ahead
from ringex.markets import Asset, Market
from ringex.memory import address_of
from ringex.messages import (
    AMOUNT_MAX,
    COMMAND,
    EVENT,
    CommandKind,
    EventKind,
    OrderType,
    Side,
    TimeInForce,
    commands,
)

SWINGS: Final = {"still": 0.0, "2%": 0.02, "25%": 0.25, "40%": 0.40, "60%": 0.60}
ACCOUNTS: Final = 64
MIDDLE: Final = 100_000
"""Where the walk begins, in ticks."""
DISTANCE_MAX: Final = 2_000
LIFE_ORDERS: Final = 20_000
"""An order that is canceled lives for that many placements, on average."""
EVENT_SLOTS: Final = 1 << 14
_RAW: Final = np.dtype(f"V{COMMAND.itemsize}")
_ASSETS: Final = (Asset("BTC", 8), Asset("USDT", 8))
_MARKET: Final = Market(
    symbol="BTCUSDT",
    base="BTC",
    quote="USDT",
    price_scale=2,
    quantity_scale=3,
    tick=1,
    lot=1,
    price_min=1,
    price_max=10_000_000,
    quantity_min=1,
    quantity_max=1_000_000,
    notional_min=0,
    notional_max=AMOUNT_MAX,
    orders_per_account_max=1_000_000,
)


@dataclass(frozen=True)
class Result:
    """One regime. Rates are medians over the runs, in commands a second."""

    regime: str
    commands: int
    events: int
    trades: int
    rejected: int
    resting: int  # orders in the book at the end
    per_cpu_second: float
    per_second: float


def flow(placements: int, swing: float, seed: int) -> np.ndarray:
    """One regime\'s commands in order of time: COMMAND, shape (n,). All orders are accepted: number k has id k."""
    random = np.random.default_rng(seed)
    middle = _walk(random, placements, swing)
    is_ioc = random.random(placements) < 0.15
    side = random.integers(Side.BUY, Side.SELL + 1, placements)
    towards_worse = np.where(side == Side.BUY, -1, 1)
    distance = np.where(is_ioc, -random.integers(0, 4, placements), _distances(random, placements))
    price = np.maximum(1, middle + towards_worse * distance)
    quantity = random.integers(1, 101, placements)
    place = np.zeros(placements, COMMAND)
    place["kind"] = CommandKind.PLACE
    place["account"] = random.integers(1, ACCOUNTS + 1, placements)
    place["side"], place["order_type"] = side, OrderType.LIMIT
    place["time_in_force"] = np.where(is_ioc, TimeInForce.IOC, TimeInForce.GTC)
    place["price"], place["quantity"] = price, quantity
    at = np.arange(placements, dtype="f8")
    end = at + 1 + random.exponential(LIFE_ORDERS, placements)

    chosen = np.flatnonzero(~is_ioc & (random.random(placements) < 0.20))
    amend, amended_at = _following(place, chosen, CommandKind.AMEND), random.uniform(at[chosen] + 0.5, end[chosen])
    amend["quantity"] = quantity[chosen] + random.integers(1, 51, len(chosen))
    step = np.where(random.random(len(chosen)) < 0.8, random.choice((-1, 1), len(chosen)), 0)
    amend["price"] = np.maximum(1, price[chosen] + step)

    chosen = np.flatnonzero(~is_ioc & (random.random(placements) < 0.95))
    cancel, canceled_at = _following(place, chosen, CommandKind.CANCEL), end[chosen]

    changes = np.concatenate([amend.view(_RAW), cancel.view(_RAW)])
    changed_at = np.concatenate([amended_at, canceled_at])
    again = np.flatnonzero(random.random(len(changes)) < 0.02)
    records = np.concatenate([place.view(_RAW), changes, changes[again]])
    times = np.concatenate([at, changed_at, changed_at[again] + 1e-6])
    order = np.argsort(times, kind="stable")
    order = order[times[order] < placements]
    stream = records[order].view(COMMAND)
    stream["version"] = stream["slots"] = 1
    return stream


def _walk(random: np.random.Generator, placements: int, swing: float) -> np.ndarray:
    """A geometric random walk whose highest point lies `swing` above its lowest, in ticks."""
    path = np.cumsum(random.standard_normal(placements))
    path = (path - path.min()) / (path.max() - path.min())
    return (MIDDLE * (1 + swing) ** path).astype("i8")


def _distances(random: np.random.Generator, count: int) -> np.ndarray:
    """Ticks from the middle: a power law from 1 on for most, a hump near 8 for the rest."""
    tail = 1 + random.pareto(1.2, count)
    hump = random.normal(8, 2, count)
    chosen = np.where(random.random(count) < 0.7, tail, hump)
    return np.clip(chosen, 1, DISTANCE_MAX).astype("i8")


def _following(place: np.ndarray, chosen: np.ndarray, kind: CommandKind) -> np.ndarray:
    """Commands that name the chosen placements' orders."""
    records = np.zeros(len(chosen), COMMAND)
    records["kind"] = kind
    records["account"] = place["account"][chosen]
    records["order_id"] = chosen + 1
    return records


class Engine:
    """A state with one market and funded accounts, and the compiled loop over commands in memory."""

    def __init__(self, placements: int) -> None:
        self.state = State(Limits(accounts_max=ACCOUNTS + 1, orders_max=placements, levels_max=1 << 18))
        self._events = np.zeros(EVENT_SLOTS, EVENT)
        self._continuation = commands()
        self.counts = np.zeros(max(EventKind) + 1, "i8")
        setup = [administration.add_asset(asset) for asset in _ASSETS]
        setup.append(administration.add_market(_MARKET, {"BTC": 0, "USDT": 1}))
        for account in range(1, ACCOUNTS + 1):
            setup.append(administration.add_account(f"a{account}"))
        for account in range(1, ACCOUNTS + 1):
            for asset in range(len(_ASSETS)):
                setup.append(administration.deposit(account, asset, 1 << 55, f"{account}/{asset}"))
        self.run(np.concatenate([record.view(_RAW) for record in setup]).view(COMMAND), counts=True)
        self.counts[:] = 0

    def run(self, records: np.ndarray, *, counts: bool = False) -> None:
        """Apply all records. With `counts` events are counted by kind, which takes time."""
        batch = np.zeros(1, BATCH)
        batch["root"] = self.state.address
        batch["stamps"] = 1
        batch["continuation"] = address_of(self._continuation)
        batch["event_base"] = address_of(self._events)
        batch["event_mask"] = EVENT_SLOTS - 1
        batch["commands"] = address_of(records)
        batch["count"] = len(records)
        address = address_of(batch)
        before = int(self.state.root["event_sequence"])
        while True:
            apply_batch(address)
            after = int(self.state.root["event_sequence"])
            if counts:
                kinds = self._events["kind"][np.arange(before, after) % EVENT_SLOTS]
                self.counts += np.bincount(kinds, minlength=len(self.counts))
            if after == before:
                return
            before = after


def measure(regime: str, placements: int, runs: int, seed: int) -> Result:
    stream = flow(placements, SWINGS[regime], seed)
    counted = Engine(placements)
    counted.run(stream.copy(), counts=True)
    cpu, wall = [], []
    for _ in range(runs):
        engine = Engine(placements)
        records = stream.view(_RAW).copy().view(COMMAND)
        wall_before, cpu_before = time.perf_counter(), time.process_time()
        engine.run(records)
        cpu.append(len(stream) / (time.process_time() - cpu_before))
        wall.append(len(stream) / (time.perf_counter() - wall_before))
    return Result(
        regime=regime,
        commands=len(stream),
        events=int(counted.counts.sum()),
        trades=int(counted.counts[EventKind.TRADE]),
        rejected=int(counted.counts[EventKind.REJECTED]),
        resting=int(counted.state.pools["order_pool"].used),
        per_cpu_second=statistics.median(cpu),
        per_second=statistics.median(wall),
    )


@click.command()
@click.option("--placements", default=400_000, show_default=True, help="Orders placed in one run.")
@click.option("--runs", default=5, show_default=True, help="Runs of each regime; the median counts.")
@click.option("--regime", "regimes", multiple=True, type=click.Choice(list(SWINGS)), help="Only these.")
@click.option("--seed", default=1, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def main(placements: int, runs: int, regimes: tuple[str, ...], seed: int, as_json: bool) -> None:
    """Commands a second through the engine alone; pin it with taskset."""
    compile_ahead()
    results = [measure(regime, placements, runs, seed) for regime in regimes or SWINGS]
    worst = min(results, key=lambda result: result.per_cpu_second)
    if as_json:
        print(json.dumps({"worst": worst.regime, "regimes": [asdict(result) for result in results]}, indent=2))
        return
    print(" swing  commands    events   trades  refused  resting  M/cpu-s    M/s")
    for r in results:
        print(
            f"{r.regime:>6} {r.commands:9} {r.events:9} {r.trades:8} {r.rejected:8} {r.resting:8} "
            f"{r.per_cpu_second / 1e6:8.2f} {r.per_second / 1e6:6.2f}"
        )
    print(f"worst: {worst.per_cpu_second / 1e6:.2f} M commands per CPU-second ({worst.regime})")


if __name__ == "__main__":
    main()
