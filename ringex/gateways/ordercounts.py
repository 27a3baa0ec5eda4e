"""How many orders each account has had accepted in the present windows, counted from events: every gateway sees all."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

import numpy as np

from ringex.terms import EventKind

ACCOUNTS_MAX: Final = 1 << 16
SHORT_NS: Final = 10 * 10**9
DAY_NS: Final = 86_400 * 10**9
_ACCEPTED: Final = int(EventKind.ACCEPTED)


class OrderCounts:
    """By account, in fixed windows of ten seconds and of one day. A gateway counts from its start on."""

    def __init__(self) -> None:
        self._counts: OrderedDict[int, list[int]] = OrderedDict()  # account -> [window, count, day, count]

    def apply(self, events: np.ndarray) -> None:
        """Take EVENT records."""
        accepted = events["kind"] == _ACCEPTED
        if not accepted.any():
            return
        accounts = events["account"][accepted].tolist()
        for account, time_ns in zip(accounts, events["time_ns"][accepted].tolist(), strict=True):
            counts = self._counts.get(account)
            if counts is None:
                if len(self._counts) >= ACCOUNTS_MAX:
                    self._counts.popitem(last=False)
                counts = self._counts[account] = [0, 0, 0, 0]
            short, day = time_ns // SHORT_NS, time_ns // DAY_NS
            if counts[0] != short:
                counts[0], counts[1] = short, 0
                self._counts.move_to_end(account)
            if counts[2] != day:
                counts[2], counts[3] = day, 0
            counts[1] += 1
            counts[3] += 1

    def of(self, account: int, now_ns: int) -> tuple[int, int]:
        """In the present ten seconds, and on the present day (UTC)."""
        window, count, day, of_day = self._counts.get(account, (0, 0, 0, 0))
        return count if window == now_ns // SHORT_NS else 0, of_day if day == now_ns // DAY_NS else 0
