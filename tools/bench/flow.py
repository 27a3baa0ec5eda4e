"""The flow of a liquid symbol, as COMMAND records made beforehand.

Prices walk at random; passive orders lie at a power-law distance from the middle with a hump near 8 ticks; quantities
are uniform in 1 .. 100; 15 % of the orders are IOC; of the others 20 % are amended (a larger quantity, four in five
also a tick's reprice) and 95 % canceled after an exponential life; 2 % of the cancels and amends are sent twice, and
the second is refused. Five regimes of the middle: still, and swings of 2, 25, 40 and 60 %.

Cancels and amends of orders that have traded by then are left out: a first run through the engine finds them.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from ringex.messages import COMMAND
from ringex.terms import CommandKind, OrderType, Side, TimeInForce

from .exchange import ACCOUNTS, Engine

SWINGS: Final = {"still": 0.0, "2 %": 0.02, "25 %": 0.25, "40 %": 0.40, "60 %": 0.60}
MIDDLE: Final = 5_000
"""Where the walk begins, in ticks."""
DISTANCE_MAX: Final = 2_000
LIFE_ORDERS: Final = 20_000
"""An order that is canceled lives for that many placements, on average."""
_RAW: Final = np.dtype(f"V{COMMAND.itemsize}")


def flow(placements: int, swing: float, seed: int = 1, *, markets: int = 1, accounts: int = ACCOUNTS) -> np.ndarray:
    """One regime's commands in order of time: COMMAND, shape (n,). All orders are accepted: number k has id k."""
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
    place["account"] = random.integers(1, accounts + 1, placements)
    place["market"] = random.integers(0, markets, placements)
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
    firsts = np.concatenate(
        [np.arange(placements + len(changes)), placements + again]
    )  # of each record: it, or its first
    order = np.argsort(times, kind="stable")
    order = order[times[order] < placements]
    stream = records[order].view(COMMAND)
    stream["version"] = stream["slots"] = 1
    stream["correlation"] = order + 1
    rejected = Engine(placements, markets=markets, accounts=accounts).refused(stream.copy()) - 1
    late = np.isin(firsts[order], rejected[rejected < placements + len(changes)])
    return stream.view(_RAW)[~late].view(COMMAND)


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
