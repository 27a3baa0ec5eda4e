"""Average prices of the markets that keep one for their filters: the engine's, by the engine's own functions.

Like the engine's they begin anew where the filters name another number of minutes, so both know the same price.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from ringex.averages import (
    AVERAGE,
    AVERAGE_BYTES,
    MINUTE,
    MINUTE_NS,
    average_add,
    average_price,
    average_reset,
    average_roll,
    minute_add,
    write_minutes,
)
from ringex.jit import compiled, entry
from ringex.memory import address_of, record_at
from ringex.messages import AVERAGE_MINUTES_MAX, FILTERS_EVENT, TRADE

MARKET_MINUTE: Final = np.dtype([("market", "i8"), *MINUTE.descr])
"""What a market traded in a minute that counts."""


class Averages:
    """Of at most `markets_max` markets."""

    def __init__(self, markets_max: int) -> None:
        self._records = np.zeros(markets_max, AVERAGE)
        self.address = address_of(self._records)

    def price(self, market: int, time_ns: int) -> int:
        """The average price at `time_ns`, which may be later than the last trade; 0 where there is none."""
        record = self._records[market : market + 1].copy()
        return int(_price(address_of(record), time_ns)) if record["minutes"][0] else 0

    def export(self, markets_count: int) -> np.ndarray:
        """MARKET_MINUTE records, by market, oldest first; shape (n,)."""
        parts = [np.zeros(0, MARKET_MINUTE)]
        for market in np.flatnonzero(self._records["minutes"][:markets_count]).tolist():
            rows = np.zeros(AVERAGE_MINUTES_MAX, MINUTE)
            newest_ns = int(self._records["newest"][market]) * MINUTE_NS
            count = write_minutes(self.address + market * AVERAGE_BYTES, newest_ns, address_of(rows))
            part = np.zeros(count, MARKET_MINUTE)
            part["market"] = market
            for name in MINUTE.names or ():
                part[name] = rows[name][:count]
            parts.append(part)
        return np.concatenate(parts)

    def load(self, minutes_kept: list[int], rows: np.ndarray) -> None:
        """Fill an empty table: how many minutes count, by market, and what `export` gave."""
        for market, minutes in enumerate(minutes_kept):
            _reset(self.address, market, minutes)
        for market, number, quantity, value in rows.tolist():
            _load(self.address, market, number, quantity, value)


@compiled
def averages_trade(averages: int, event: int) -> None:
    """A TRADE counts, where its market keeps an average."""
    t = record_at(event, 0, TRADE)
    address = averages + t.market * AVERAGE_BYTES
    if record_at(address, 0, AVERAGE).minutes != 0:
        average_add(address, t.time_ns, t.price, t.quantity)


@compiled
def averages_filters(averages: int, event: int) -> None:
    """MARKET_FILTERS: perhaps another number of minutes counts."""
    f = record_at(event, 0, FILTERS_EVENT)
    address = averages + f.market * AVERAGE_BYTES
    if record_at(address, 0, AVERAGE).minutes != f.average_minutes:
        average_reset(address, f.average_minutes)


@entry
@compiled
def _price(average: int, time_ns: int) -> int:
    return average_price(average, time_ns)


@entry
@compiled
def _reset(averages: int, market: int, minutes: int) -> None:
    average_reset(averages + market * AVERAGE_BYTES, minutes)


@entry
@compiled
def _load(averages: int, market: int, number: int, quantity: int, value: int) -> None:
    address = averages + market * AVERAGE_BYTES
    average_roll(address, number * MINUTE_NS)
    minute_add(address, number, quantity, value)
