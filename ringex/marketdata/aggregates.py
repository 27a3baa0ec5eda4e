"""Aggregate trades: consecutive trades of one command's taker at one price, which the dialect shows as one.

A market's aggregates are counted from 1 without gaps. Two trades of a market that follow each other belong to one
aggregate where command, taker order and price are the same: then they happened at the same time, too. The read model,
the history and the streams all number them by `aggregate_of`, so an aggregate has the same id everywhere.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from ringex.jit import compiled, entry, int64
from ringex.memory import address_of, record_at
from ringex.messages import EVENT, RECORD_BYTES, TRADE
from ringex.terms import EventKind

AGGREGATE: Final = np.dtype(
    [
        ("aggregate_id", "i8"),  # of the market's last trade; 0 before the first
        ("command_sequence", "i8"),
        ("order_id", "i8"),  # the taker's
        ("price", "i8"),
    ]
)
"""What decides whether a market's next trade joins its last aggregate."""


class Aggregates:
    """Numbers the trades of up to `markets_max` markets. Every trade must be shown to it, in sequence."""

    def __init__(self, markets_max: int) -> None:
        self._last = np.zeros(markets_max, AGGREGATE)

    @property
    def last(self) -> np.ndarray:
        """AGGREGATE records by market number; a copy of another's makes this one go on where that one is."""
        return self._last

    def number(self, events: np.ndarray) -> np.ndarray:
        """The aggregate ids of the TRADE events among EVENT records, in their order; shape (trades,), i8."""
        assert events.dtype == EVENT
        ids = np.zeros(int((events["kind"] == EventKind.TRADE).sum()), "i8")
        if len(ids):
            events = np.ascontiguousarray(events)
            _number(address_of(self._last), address_of(events), len(events), address_of(ids))
        return ids


@compiled
def aggregate_of(last: int, event: int) -> int:
    """The aggregate id of the TRADE event at address `event`, counted in the market's AGGREGATE record at `last`."""
    trade = record_at(event, 0, TRADE)
    a = record_at(last, int64(trade.market), AGGREGATE)
    joins = a.command_sequence == trade.command_sequence and a.order_id == trade.order_id and a.price == trade.price
    if not joins or a.aggregate_id == 0:
        a.aggregate_id += 1
        a.command_sequence = trade.command_sequence
        a.order_id = trade.order_id
        a.price = trade.price
    return int64(a.aggregate_id)


@entry
@compiled
def _number(last: int, events: int, count: int, ids: int) -> None:
    found = int64(0)
    for at in range(count):
        event = events + at * RECORD_BYTES
        if record_at(event, 0, EVENT).kind == EventKind.TRADE:
            record_at(ids, found, _ID).value = aggregate_of(last, event)
            found += 1


_ID: Final = np.dtype([("value", "i8")])
