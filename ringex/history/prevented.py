"""Prevented matches: the last so many trades that self-trade prevention kept from happening, of all markets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from ringex.jit import compiled, entry
from ringex.memory import address_of, copy_bytes, record_at
from ringex.messages import PREVENTED
from ringex.terms import SelfTradePrevention

PREVENTED_MATCHES: Final = np.dtype(
    [
        ("records", "i8"),  # address of PREVENTED_MATCH records
        ("records_max", "i8"),
        ("count", "i8"),  # ever recorded
    ],
    align=True,
)
PREVENTED_MATCH: Final = np.dtype(
    [
        ("prevented_match_id", "i8"),  # per market
        ("time_ns", "i8"),
        ("taker_order_id", "i8"),
        ("maker_order_id", "i8"),
        ("taker_account", "i4"),
        ("maker_account", "i4"),
        ("market", "i4"),
        ("mode", "i4"),  # SelfTradePrevention
        ("price", "i8"),
        ("quantity", "i8"),  # what would have been traded
        ("taker_left", "i8"),  # what the taker had left; 0 for an order by quote amount
        ("maker_left", "i8"),
    ],
    align=True,
)
_MATCH_BYTES: Final = PREVENTED_MATCH.itemsize


@dataclass(frozen=True, slots=True)
class PreventedMatch:
    """A trade that self-trade prevention kept from happening. `taker_left`, `maker_left`: what each had left before."""

    prevented_match_id: int
    time_ns: int
    taker_order_id: int
    maker_order_id: int
    taker_account: int
    maker_account: int
    market: int
    mode: SelfTradePrevention
    price: int
    quantity: int
    taker_left: int
    maker_left: int


def match_of(record: np.void) -> PreventedMatch:
    values = dict(zip(PREVENTED_MATCH.names or (), record.item(), strict=True))
    return PreventedMatch(**values | {"mode": SelfTradePrevention(values["mode"])})


class PreventedMatches:
    """The last `records_max` prevented matches."""

    def __init__(self, records_max: int) -> None:
        assert records_max > 0
        self._records = np.zeros(records_max, PREVENTED_MATCH)
        self._root = np.zeros(1, PREVENTED_MATCHES)
        self._root["records"] = address_of(self._records)
        self._root["records_max"] = records_max
        self.address = address_of(self._root)

    @property
    def capacity(self) -> int:
        return len(self._records)

    def of(self, account: int, market: int) -> np.ndarray:
        """The market's PREVENTED_MATCH records that `account` had a part in, oldest first; a copy, shape (n,)."""
        held = self.export()
        own = (held["taker_account"] == account) | (held["maker_account"] == account)
        return held[own & (held["market"] == market)]

    def with_id(self, market: int, prevented_match_id: int) -> np.void | None:
        """The market's prevented match with this number, if it is still held."""
        held = self._records[: min(int(self._root["count"][0]), self.capacity)]
        found = np.flatnonzero((held["prevented_match_id"] == prevented_match_id) & (held["market"] == market))
        return held[found[0]] if len(found) else None

    def last(self, count_max: int) -> np.ndarray:
        """The last PREVENTED_MATCH records, at most `count_max`, oldest first; a copy."""
        recorded = int(self._root["count"][0])
        return self._records[np.arange(max(recorded - min(self.capacity, count_max), 0), recorded) % self.capacity]

    def export(self) -> np.ndarray:
        """All that is held, oldest first; a copy."""
        recorded = int(self._root["count"][0])
        first = max(recorded - self.capacity, 0)
        return self._records[np.arange(first, recorded) % self.capacity]

    def load(self, matches: np.ndarray) -> None:
        """Record PREVENTED_MATCH records, oldest first; the caller has checked accounts and markets."""
        matches = np.ascontiguousarray(matches)
        _matches_load(self.address, address_of(matches), len(matches))


@compiled
def prevented_record(matches: int, event: int, taker_left: int, maker_left: int) -> None:
    """Record the PREVENTED event at address `event`."""
    e = record_at(event, 0, PREVENTED)
    record = record_at(_next_place(matches), 0, PREVENTED_MATCH)
    record.prevented_match_id = e.prevented_match_id
    record.time_ns = e.time_ns
    record.taker_order_id = e.order_id
    record.maker_order_id = e.maker_order_id
    record.taker_account = e.account
    record.maker_account = e.maker_account
    record.market = e.market
    record.mode = np.int32(e.mode)
    record.price = e.price
    record.quantity = e.quantity
    record.taker_left = taker_left
    record.maker_left = maker_left


@compiled
def prevented_last_id(matches: int) -> int:
    """The number of the match recorded last: what a PREVENTED order's event, which follows at once, belongs to."""
    table = record_at(matches, 0, PREVENTED_MATCHES)
    assert table.count > 0
    last = (table.count - 1) % table.records_max
    return record_at(table.records, last, PREVENTED_MATCH).prevented_match_id


@entry
@compiled
def _matches_load(matches: int, source: int, count: int) -> None:
    for at in range(count):
        copy_bytes(_next_place(matches), source + at * _MATCH_BYTES, _MATCH_BYTES)


@compiled
def _next_place(matches: int) -> int:
    """The address where the next match is recorded; it counts as recorded from now on."""
    table = record_at(matches, 0, PREVENTED_MATCHES)
    place = table.count % table.records_max
    table.count += 1
    return table.records + place * _MATCH_BYTES
