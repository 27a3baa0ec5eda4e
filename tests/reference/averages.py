"""A market's average price: per minute what traded, and the sums over the minutes that count."""

from __future__ import annotations

from dataclasses import dataclass, field

from ringex.messages import AMOUNT_MAX


@dataclass
class Average:
    minutes: int = 0  # how many count, the present one included; 0: none is kept
    traded: dict[int, tuple[int, int]] = field(default_factory=dict)  # minute -> quantity, sum of price × quantity

    def note(self, time_ns: int, price: int, quantity: int) -> None:
        if self.minutes == 0:
            return
        self._forget(time_ns)
        while self._sums()[0] + quantity > AMOUNT_MAX or self._sums()[1] + price * quantity > AMOUNT_MAX:
            halves = {minute: (q // 2, v // 2 if q // 2 else 0) for minute, (q, v) in self.traded.items()}
            self.traded = halves
        before = self.traded.get(_minute(time_ns), (0, 0))
        self.traded[_minute(time_ns)] = before[0] + quantity, before[1] + price * quantity

    def price(self, time_ns: int) -> int:
        """The average, rounded down; 0 where nothing counts."""
        self._forget(time_ns)
        quantity, value = self._sums()
        return value // quantity if quantity else 0

    def _forget(self, time_ns: int) -> None:
        first = _minute(time_ns) - self.minutes + 1
        self.traded = {minute: sums for minute, sums in self.traded.items() if minute >= first}

    def _sums(self) -> tuple[int, int]:
        return sum(q for q, _ in self.traded.values()), sum(v for _, v in self.traded.values())


def _minute(time_ns: int) -> int:
    return time_ns // 60_000_000_000
