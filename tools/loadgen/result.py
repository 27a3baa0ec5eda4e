"""What clients measured: orders, seconds, latencies, errors by code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

PERCENTILES: Final = (50.0, 99.0, 99.9, 100.0)


@dataclass
class Result:
    """Of one client, or of several together."""

    answered: int
    unanswered: int
    started_ns: int
    ended_ns: int
    """By the monotonic clock: the first order's sending and the last answer."""
    latency_ns: np.ndarray
    """Of every order that was answered, i8. Closed loop: since it was sent; open loop: since it was due."""
    errors: Counter[str] = field(default_factory=Counter)

    @property
    def rate(self) -> float:
        """Answered orders a second."""
        return self.answered / max((self.ended_ns - self.started_ns) / 1e9, 1e-9)

    def percentiles_us(self) -> list[float]:
        """p50, p99, p99.9 and the maximum, in microseconds."""
        if not len(self.latency_ns):
            return [0.0] * len(PERCENTILES)
        return [float(value) / 1000 for value in np.percentile(self.latency_ns, PERCENTILES)]


def together(results: Sequence[Result]) -> Result:
    return Result(
        answered=sum(result.answered for result in results),
        unanswered=sum(result.unanswered for result in results),
        started_ns=min(result.started_ns for result in results),
        ended_ns=max(result.ended_ns for result in results),
        latency_ns=np.concatenate([result.latency_ns for result in results]),
        errors=sum((result.errors for result in results), Counter()),
    )
