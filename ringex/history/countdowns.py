"""Dead-man's countdowns that run: whose open orders, in which market or all, are canceled when."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from ringex.jit import compiled, entry, inlined, int64
from ringex.memory import address_of, record_at
from ringex.messages import COUNTDOWN_EVENT, EVENT
from ringex.tables import Index, Pool, index_find, index_put, index_remove, pool_give, pool_take
from ringex.terms import CommandKind

COUNTDOWNS: Final = np.dtype([("records", "i8"), ("pool", "i8"), ("by_owner", "i8")])
COUNTDOWN: Final = np.dtype([("due_ns", "i8"), ("account", "i4"), ("market", "i4")])
"""`market` -1: of every market. A record that is free has account 0, whom no countdown is of."""


class Countdown(NamedTuple):
    due_ns: int
    account: int
    market: int


class Countdowns:
    """At most `countdowns_max`."""

    def __init__(self, countdowns_max: int) -> None:
        self._records = np.zeros(countdowns_max + 1, COUNTDOWN)
        self._pool = Pool(self._records)
        self._by_owner = Index(countdowns_max)
        self._root = np.zeros(1, COUNTDOWNS)
        self._root["records"] = address_of(self._records)
        self._root["pool"] = self._pool.address
        self._root["by_owner"] = self._by_owner.address
        self.address = address_of(self._root)

    def running(self, account: int | None = None) -> list[Countdown]:
        """The account's, or everybody's, by account, then by market; that of every market first."""
        records = self.export()
        if account is not None:
            records = records[records["account"] == account]
        return [Countdown(*row) for row in records.tolist()]

    def export(self) -> np.ndarray:
        """All COUNTDOWN records, by account and market; a copy, shape (n,)."""
        touched = self._records[1 : int(self._pool.header["touched"][0]) + 1]
        held = touched[touched["account"] > 0]
        return held[np.lexsort((held["market"], held["account"]))]

    def load(self, records: np.ndarray) -> None:
        """Fill an empty table with what `export` gave."""
        for due_ns, account, market in records.tolist():
            _set(self.address, account, market, due_ns)


@compiled
def countdowns_set(countdowns: int, event: int) -> None:
    """COUNTDOWN: it is due at another time, or there is none any more."""
    c = record_at(event, 0, COUNTDOWN_EVENT)
    _set(countdowns, int64(c.account), int64(c.market), c.due_ns)


@compiled
def countdowns_done(countdowns: int, event: int) -> None:
    """DONE: where it ends what a timer began, a countdown is over."""
    e = record_at(event, 0, EVENT)
    if e.command_kind == CommandKind.TIMER:
        _set(countdowns, int64(e.account), int64(e.market), int64(0))


@entry
@compiled
def _set(countdowns: int, account: int, market: int, due_ns: int) -> None:
    table = record_at(countdowns, 0, COUNTDOWNS)
    key = _key(account, market)
    slot = index_find(table.by_owner, key)
    if due_ns == 0:
        if slot != 0:
            index_remove(table.by_owner, key)
            record_at(table.records, slot, COUNTDOWN).account = np.int32(0)
            pool_give(table.pool, slot)
        return
    if slot == 0:
        slot = pool_take(table.pool)
        assert slot != 0
        index_put(table.by_owner, key, slot)
    countdown = record_at(table.records, slot, COUNTDOWN)
    countdown.due_ns = due_ns
    countdown.account = np.int32(account)
    countdown.market = np.int32(market)


@inlined
def _key(account: int, market: int) -> int:
    return (account << 32) | (market + 1)
