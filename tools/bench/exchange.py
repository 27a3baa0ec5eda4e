"""An engine without rings and files: a state with funded accounts, and the compiled loop over commands in memory."""

from __future__ import annotations

from typing import Final

import numpy as np

from ringex import administration
from ringex.config import Limits
from ringex.engine.library import BATCH, apply_batch
from ringex.engine.state import State
from ringex.markets import Asset, Market
from ringex.memory import address_of
from ringex.messages import AMOUNT_MAX, COMMAND, EVENT, commands
from ringex.terms import EventKind

ACCOUNTS: Final = 64
FUNDS: Final = AMOUNT_MAX >> 1
"""Of each asset, shared by all accounts."""
EVENT_SLOTS: Final = 1 << 14
PAGE_BYTES: Final = 4096
_RAW: Final = np.dtype(f"V{COMMAND.itemsize}")
_ASSETS: Final = (Asset("BASE", 3), Asset("QUOTE", 5))


def market(number: int = 0) -> Market:
    """One of the benchmark's markets. All have one pair of assets."""
    return Market(
        symbol=f"M{number}",
        base="BASE",
        quote="QUOTE",
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
        orders_per_account_max=100_000_000,
    )


def setup(markets: int, accounts: int) -> np.ndarray:
    """The commands that make markets and funded accounts 1 .. `accounts`. COMMAND, shape (n,)."""
    records = [administration.add_asset(asset) for asset in _ASSETS]
    numbers = {asset.name: number for number, asset in enumerate(_ASSETS)}
    records += [administration.add_market(market(number), numbers) for number in range(markets)]
    for account in range(1, accounts + 1):
        records.append(administration.add_account(f"a{account}"))
        for asset in range(len(_ASSETS)):
            records.append(administration.deposit(account, asset, FUNDS // accounts, f"{account}/{asset}"))
    return np.concatenate([record.view(_RAW) for record in records]).view(COMMAND)


def limits(orders: int, markets: int = 1, accounts: int = ACCOUNTS) -> Limits:
    """Tables for so many orders at once, markets and accounts."""
    return Limits(
        markets_max=max(markets, 16),
        accounts_max=accounts + 1,
        balances_max=2 * accounts + 16,
        references_max=2 * accounts + 16,
        orders_max=orders,
        levels_max=1 << 20,
    )


class Engine:
    """A state whose memory has been touched, so that no page fault is timed."""

    def __init__(self, orders: int, *, markets: int = 1, accounts: int = ACCOUNTS) -> None:
        self.state = State(limits(orders, markets, accounts))
        self._events = np.zeros(EVENT_SLOTS, EVENT)
        self._continuation = commands()
        self.counts = np.zeros(max(EventKind) + 1, "i8")
        self.run(setup(markets, accounts))
        _touch(vars(self.state).values())
        _touch([self._events])

    def run(self, records: np.ndarray) -> None:
        """Apply all records."""
        for _ in self._batches(records):
            pass

    def refused(self, records: np.ndarray) -> np.ndarray:
        """Apply all records, counting events by kind in `counts`. The correlations of those that were refused."""
        refused = []
        self.counts[:] = 0
        for before, after in self._batches(records):
            events = self._events.view(_RAW)[np.arange(before, after) % EVENT_SLOTS].view(EVENT)
            self.counts += np.bincount(events["kind"], minlength=len(self.counts))
            refused.append(events["correlation"][events["kind"] == EventKind.REJECTED])
        return np.concatenate(refused)

    def _batches(self, records: np.ndarray):  # type: ignore[no-untyped-def]
        """Apply all; after each part of it, between which events it emitted."""
        batch = np.zeros(1, BATCH)
        batch["root"] = self.state.address
        batch["stamps"] = 1
        batch["own"] = address_of(self._continuation)
        batch["event_base"] = address_of(self._events)
        batch["event_mask"] = EVENT_SLOTS - 1
        batch["commands"] = address_of(records)
        batch["count"] = len(records)
        address = address_of(batch)
        before = int(self.state.root["event_sequence"])
        while True:
            apply_batch(address)
            after = int(self.state.root["event_sequence"])
            if after == before:
                return
            yield before, after
            before = after


def _touch(things: object) -> None:
    """Write to every page of the arrays among `things`, and of what they own, without changing a byte."""
    for thing in things:  # type: ignore[attr-defined]
        if isinstance(thing, np.ndarray) and thing.flags.c_contiguous and thing.nbytes:
            raw = thing.reshape(-1).view(np.uint8)
            raw[::PAGE_BYTES] = raw[::PAGE_BYTES]
        elif isinstance(thing, dict):
            _touch(thing.values())
        elif hasattr(thing, "__dict__"):
            _touch(vars(thing).values())
