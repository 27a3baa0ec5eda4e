"""How many new orders of each account count now, as the matcher counts them: told by the same events everywhere.

So every gateway shows the same numbers, whenever it has started.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from ringex.jit import compiled, int64
from ringex.memory import address_of, record_at
from ringex.messages import EVENT, TRADE
from ringex.orderlimits import (
    DAY_NS,
    MAKER_CREDIT,
    ORDER_COUNTS,
    SHORT_NS,
    TAKER_CREDIT,
    count_accepted,
    count_first_fill,
    day_of,
    short_window_of,
)
from ringex.terms import EventFlag

ACCOUNT_COUNTS: Final = np.dtype([("account", "i4"), *((name, "i4") for name in ORDER_COUNTS.names or ())])
"""What is kept and sent to other processes of an account whose orders were counted once."""
_COUNTS_BYTES: Final = ORDER_COUNTS.itemsize


class OrderCounts:
    """By account number; `accounts_max` of them."""

    def __init__(self, accounts_max: int) -> None:
        self._counts = np.zeros(accounts_max, ORDER_COUNTS)
        self.address = address_of(self._counts)

    def of(self, account: int, now_ns: int) -> tuple[int, int]:
        """In the present ten seconds, and on the present day (UTC)."""
        window, count, day, of_day = self._counts[account].item()
        return count if window == now_ns // SHORT_NS else 0, of_day if day == now_ns // DAY_NS else 0

    def export(self, accounts_count: int) -> np.ndarray:
        """ACCOUNT_COUNTS records of the first accounts, those that never had an order left out; by number."""
        known = self._counts[:accounts_count]
        accounts = np.flatnonzero(known != np.zeros(1, ORDER_COUNTS))
        records = np.zeros(len(accounts), ACCOUNT_COUNTS)
        records["account"] = accounts
        for name in ORDER_COUNTS.names or ():
            records[name] = known[name][accounts]
        return records

    def load(self, records: np.ndarray) -> None:
        """Set ACCOUNT_COUNTS records; the caller has checked their accounts."""
        for name in ORDER_COUNTS.names or ():
            self._counts[name][records["account"]] = records[name]


@compiled
def counts_accept(counts: int, event: int) -> None:
    """ACCEPTED."""
    e = record_at(event, 0, EVENT)
    count_accepted(counts + int64(e.account) * _COUNTS_BYTES, short_window_of(e.time_ns), day_of(e.time_ns))


@compiled
def counts_trade(counts: int, event: int) -> None:
    """TRADE: which of the two orders has it for its first?"""
    t = record_at(event, 0, TRADE)
    window = short_window_of(t.time_ns)
    day = day_of(t.time_ns)
    if t.taker_executed_quantity == t.quantity:
        credit = int64(MAKER_CREDIT) if int64(t.flag_bits) & EventFlag.UNCROSS != 0 else int64(TAKER_CREDIT)
        count_first_fill(counts + int64(t.account) * _COUNTS_BYTES, window, day, credit)
    if t.maker_executed_quantity == t.quantity:
        count_first_fill(counts + int64(t.maker_account) * _COUNTS_BYTES, window, day, int64(MAKER_CREDIT))
