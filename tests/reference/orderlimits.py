"""How many new orders an account may send, and has sent, less what its fills have earned."""

from __future__ import annotations

from dataclasses import dataclass, field

from ringex.messages import ORDER_LIMIT_NAMES

SECOND_NS = 10**9
WINDOWS = {"orders_10s_max": 10 * SECOND_NS, "orders_1d_max": 24 * 3600 * SECOND_NS}
CREDITS = {"taker": 1, "maker": 5}
"""What the first fill of an order takes away, by the part it played."""


def no_limits() -> dict[str, int]:
    return dict.fromkeys(ORDER_LIMIT_NAMES, (1 << 31) - 1)


@dataclass
class OrderCounts:
    """Of one account: for each window that it has sent orders in, how many count there."""

    counts: dict[tuple[str, int], int] = field(default_factory=dict)

    def of(self, name: str, time_ns: int) -> int:
        return self.counts.get((name, time_ns // WINDOWS[name]), 0)

    def accepted(self, time_ns: int) -> None:
        for name in WINDOWS:
            self.counts[name, time_ns // WINDOWS[name]] = self.of(name, time_ns) + 1

    def first_fill(self, role: str, time_ns: int) -> None:
        for name in WINDOWS:
            self.counts[name, time_ns // WINDOWS[name]] = max(0, self.of(name, time_ns) - CREDITS[role])
