"""Limits over several gateways: how much more than the limit they let through together, and that they stop there."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringex.config import RateLimits
from ringex.gateways import tally
from ringex.gateways.errors import Refusal
from ringex.gateways.limiter import Limiter
from ringex.gateways.tally import LOOK_SECONDS, Tally, make_tallies, remove_shared
from ringex.gateways.tokens import Tokens

GATEWAYS = 4
LIMIT = 200
START_S = 1_700_000_040
"""The beginning of a minute."""


class Clock:
    """The gateways' clock, in the tests' hands."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = 0.0
        monkeypatch.setattr(tally.time, "monotonic", lambda: self.seconds)

    @property
    def ns(self) -> int:
        return int((START_S + self.seconds) * 1e9)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def name() -> Iterator[str]:
    made = f"ringex-test-{os.getpid()}-overshoot"
    make_tallies(made, GATEWAYS)
    yield made
    remove_shared(made)


def gateways(name: str) -> list[Limiter]:
    limits = RateLimits(weight_per_address=LIMIT, ban_after=10**6, exempt=())
    return [Limiter(limits, Tally(name, number)) for number in range(GATEWAYS)]


def asked(limiter: Limiter, clock: Clock, weight: int = 1) -> bool:
    try:
        limiter.take(limiter.of_address("203.0.113.1"), weight, clock.ns)
    except Refusal:
        return False
    return True


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, GATEWAYS - 1), st.integers(1, 9), st.sampled_from([0, 0, 1, 5, 30])), max_size=400
    )
)
def test_what_they_let_through_is_bounded(requests: list[tuple[int, int, int]]) -> None:
    """Beyond the limit comes at most what the other gateways have let through since each one's last look."""
    made = f"ringex-test-{os.getpid()}-bounded"
    make_tallies(made, GATEWAYS)
    with pytest.MonkeyPatch.context() as patch:
        clock, limiters = Clock(patch), gateways(made)
        taken: list[tuple[float, int, int]] = []
        for number, weight, wait_ms in requests:
            clock.seconds += wait_ms / 1000
            if asked(limiters[number], clock, weight):
                taken.append((clock.seconds, number, weight))
                lately = sum(w for at, who, w in taken if who != number and at > clock.seconds - LOOK_SECONDS - 1e-9)
                assert sum(w for _, _, w in taken) <= LIMIT + lately
    remove_shared(made)


def test_a_steady_flood_stops_where_the_documentation_says(name: str, clock: Clock) -> None:
    """Each of four gateways is asked 1,000 times a second: beyond the limit get at most 3 times what one takes in
    0.1 s, 300."""
    limiters = gateways(name)
    taken = 0
    for _ in range(1000):
        clock.seconds += 0.001
        taken += sum(asked(limiter, clock) for limiter in limiters)
    assert LIMIT <= taken <= LIMIT + (GATEWAYS - 1) * 100
    clock.seconds += 1
    assert not any(asked(limiter, clock) for limiter in limiters)


def test_the_worst_that_can_happen_is_each_gateway_s_own_limit(name: str, clock: Clock) -> None:
    """All at once, before anybody has looked."""
    limiters = gateways(name)
    assert all(asked(limiter, clock, 0) for limiter in limiters), "each has just looked"
    taken = sum(asked(limiter, clock) for limiter in limiters for _ in range(LIMIT + 50))
    assert taken == GATEWAYS * LIMIT
    clock.seconds += LOOK_SECONDS
    assert not any(asked(limiter, clock) for limiter in limiters)
    clock.seconds += 60
    assert all(asked(limiter, clock) for limiter in limiters), "the next minute"


def test_tokens_are_of_all_gateways(name: str, clock: Clock) -> None:
    first, second = (Tokens(12, Tally(name, number)) for number in range(2))
    first.take(1, 10, clock.ns)
    second.take(2, 10, clock.ns)
    clock.seconds += LOOK_SECONDS
    with pytest.raises(Refusal, match=r"a key has 12 tokens in 10 s, and this takes 10\. Wait 10 s\.") as refused:
        second.take(1, 10, clock.ns)
    assert (refused.value.code, refused.value.status) == (-1003, 429)
    second.take(1, 2, clock.ns)  # what was refused has taken nothing
    clock.seconds += LOOK_SECONDS
    with pytest.raises(Refusal):
        first.take(1, 1, clock.ns)
    clock.seconds += 10
    first.take(1, 12, clock.ns)
