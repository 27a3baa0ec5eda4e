"""Limits: weights, windows, bans, shared tallies, and what a gateway says of them."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
import pytest
from event_records import event
from reference.arena import SMALL

from ringex.config import RateLimits
from ringex.gateways import tally as tallies
from ringex.gateways.errors import Refusal
from ringex.gateways.limiter import Limiter, Meter, Use, retry_seconds
from ringex.gateways.methods import METHODS
from ringex.gateways.queries import exchange_filters
from ringex.gateways.tally import Tally, id_of, make_tallies, remove_shared
from ringex.gateways.weights import WEIGHTS, weight_of, weights_of
from ringex.history.readmodel import ReadModel
from ringex.terms import AccountStatus, EventKind, Side

SECOND = 10**9
START = 1_700_000_040 * SECOND  # the beginning of a minute
FAR = "203.0.113.9"
MODEL = ReadModel(SMALL)
TIGHT = RateLimits(weight_per_address=10, weight_per_key=20, raw_requests=50, ban_after=3, ban_seconds=100)


def refusal(limiter: Limiter, meter: Meter, weight: int, now_ns: int) -> Refusal:
    with pytest.raises(Refusal) as refused:
        limiter.take(meter, weight, now_ns)
    assert refused.value.code == -1003
    return refused.value


def test_a_window_is_a_minute_and_the_refusal_says_how_long_to_wait() -> None:
    limiter = Limiter(TIGHT)
    meter = limiter.of_address(FAR)
    limiter.take(meter, 10, START + 20 * SECOND)
    late = refusal(limiter, meter, 1, START + 20 * SECOND)
    assert (late.status, retry_seconds(late.data)) == (429, 40)
    assert "current limit is 10 request weight per 1 MINUTE. Wait 40 s" in late.message
    limiter.take(meter, 1, START + 60 * SECOND)


def test_a_key_has_its_own_budget_whatever_its_address_has_used() -> None:
    limiter = Limiter(TIGHT)
    refusal(limiter, limiter.of_address(FAR), 11, START)
    limiter.take(limiter.of_key(1, FAR), 20, START)
    refusal(limiter, limiter.of_key(1, FAR), 1, START)
    limiter.take(limiter.of_key(2, FAR), 20, START)


def test_an_ipv6_network_and_a_mapped_address_are_one_subject() -> None:
    limiter = Limiter(TIGHT)
    assert limiter.of_address("2001:db8:1:2::1") is limiter.of_address("2001:db8:1:2:3::9")
    assert limiter.of_address("2001:db8:1:2::1") is not limiter.of_address("2001:db8:1:3::1")
    assert limiter.of_address("::ffff:203.0.113.9") is limiter.of_address(FAR)


def test_who_goes_on_is_banned_for_longer_each_time() -> None:
    limiter = Limiter(TIGHT)
    meter = limiter.of_address(FAR)
    now = START
    for seconds in (100, 200, 400):
        limiter.take(meter, 10, now)
        for _ in range(TIGHT.ban_after):
            assert refusal(limiter, meter, 1, now).status == 429
        banned = refusal(limiter, meter, 1, now)
        assert (banned.status, retry_seconds(banned.data)) == (418, seconds)
        assert f"IP banned until {(now // SECOND + seconds) * 1000}" in banned.message
        assert refusal(limiter, meter, 1, now + (seconds - 1) * SECOND).status == 418
        now += (seconds + 60) * SECOND
    limiter.take(limiter.of_key(5, FAR), 1, now)  # its neighbours go on


def test_a_ban_that_is_long_ago_is_forgotten_and_none_is_longer_than_the_longest() -> None:
    limiter = Limiter(RateLimits(weight_per_address=1, ban_after=1, ban_seconds=100, ban_seconds_max=150))
    meter = limiter.of_address(FAR)
    seen = []
    for now in (START, START + 600 * SECOND, START + 200_000 * SECOND):
        for _ in range(3):
            last = None
            try:
                limiter.take(meter, 1, now)
            except Refusal as refused:
                last = refused
        assert last is not None
        seen.append((last.status, retry_seconds(last.data)))
    assert seen == [(418, 100), (418, 150), (418, 100)]


@pytest.mark.parametrize("address", ["", "127.0.0.1", "::1", "::ffff:127.0.0.1"])
def test_peers_of_this_machine_are_counted_and_not_limited(address: str) -> None:
    limiter = Limiter(TIGHT)
    for meter in (limiter.of_address(address), limiter.of_key(1, address)):
        for _ in range(100):
            limiter.take(meter, 100, START)
        assert limiter.rows(Use(meter=meter), START, MODEL)[0]["count"] == 10_000
    assert limiter.connected(address, 10_000)
    assert limiter.messages_max(address) == 0


def test_raw_requests_are_limited_too() -> None:
    limiter = Limiter(RateLimits(raw_requests=5))
    meter = limiter.of_address(FAR)
    for _ in range(5):
        limiter.take(meter, 1, START)
    assert "current limit is 5 requests per 5 MINUTE" in refusal(limiter, meter, 1, START).message


def test_off_is_off() -> None:
    limiter = Limiter(RateLimits(enabled=False, weight_per_address=1))
    meter = limiter.of_address(FAR)
    for _ in range(10):
        limiter.take(meter, 10, START)
    assert limiter.rows(Use(meter=meter), START, MODEL) == limiter.table(MODEL) == []


def test_orders_are_counted_by_account_as_the_matcher_counts_them() -> None:
    model = ReadModel(SMALL)
    account = {"account": 1, "status": AccountStatus.ACTIVE}
    events = [
        event(EventKind.ACCOUNT, 1, name="one", **account),
        event(EventKind.ORDER_LIMITS, 2, orders_10s_max=20, orders_1d_max=30, open_orders_max=5),
        event(EventKind.ORDER_LIMITS, 3, account=1, orders_1d_max=3),
    ]
    model.apply(np.concatenate(events))
    for number, seconds in enumerate((0, 1, 11)):
        order = {"account": 1, "order_id": 1 + number, "side": Side.BUY, "time_ns": START + seconds * SECOND}
        model.apply(event(EventKind.ACCEPTED, 4 + number, **order))
    limiter = Limiter(RateLimits())
    now = START + 11 * SECOND
    rows = limiter.rows(Use(meter=limiter.of_key(1, FAR), account=1), now, model)
    assert [(row["rateLimitType"], row["interval"], row["count"], row["limit"]) for row in rows] == [
        ("REQUEST_WEIGHT", "MINUTE", 0, 6_000),
        ("ORDERS", "SECOND", 1, 20),
        ("ORDERS", "DAY", 3, 3),
    ]
    assert [row["count"] for row in limiter.order_rows(1, now + 10 * SECOND, model)] == [0, 3]
    assert [row["limit"] for row in limiter.table(model)[1:3]] == [20, 30]
    assert exchange_filters(model) == [{"filterType": "EXCHANGE_MAX_NUM_ORDERS", "maxNumOrders": 5}]


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Tallies of two gateways that look at each other all the time."""
    monkeypatch.setattr(tallies, "LOOK_SECONDS", 0.0)
    name = f"ringex-test-{os.getpid()}-tallies"
    make_tallies(name, 2)
    yield name
    remove_shared(name)


def test_gateways_sum_their_counts_and_share_their_bans(shared: str) -> None:
    first, second = (Limiter(TIGHT, Tally(shared, number)) for number in range(2))
    first.take(first.of_address(FAR), 6, START)
    second.take(second.of_address(FAR), 4, START)
    assert second.rows(Use(meter=second.of_address(FAR)), START, MODEL)[0]["count"] == 10
    assert refusal(second, second.of_address(FAR), 1, START).status == 429
    for _ in range(TIGHT.ban_after):
        refusal(second, second.of_address(FAR), 1, START)
    assert refusal(first, first.of_address(FAR), 1, START + 61 * SECOND).status == 418
    assert not first.connected(FAR, TIGHT.connections_per_address + 1)
    first.connected(FAR, 1)
    assert not second.connected(FAR, TIGHT.connections_per_address)
    first.connected(FAR, 0)
    assert second.connected(FAR, TIGHT.connections_per_address)


def test_a_gateway_that_starts_again_starts_from_nothing(shared: str) -> None:
    first, second = Tally(shared, 0), Tally(shared, 1)
    first.set(5, 7, 100)
    second.look()
    assert (second.others(5, 7), second.others(5, 8)) == (100, 0)
    Tally(shared, 0)
    second.look()
    assert second.others(5, 7) == 0


def test_a_full_tally_lets_go_of_what_was_longest_untouched(shared: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tallies, "PLACES", 4)
    first, second = Tally(shared, 0), Tally(shared, 1)
    for subject in (1, 2, 3, 4, 1, 5):
        first.set(subject, 9, subject * 10)
    second.look()
    assert [second.others(subject, 9) for subject in (1, 2, 3, 4, 5)] == [10, 0, 30, 40, 50]


def test_ids_are_the_same_everywhere_and_fit_a_word() -> None:
    assert id_of("key 1") == id_of("key 1") != id_of("key 2")
    assert 0 < id_of("x") < 1 << 63


@pytest.mark.parametrize(
    ("method", "params", "weight"),
    [
        ("ping", {}, 1),
        ("depth", {}, 5),
        ("depth", {"limit": "5000"}, 250),
        ("depth", {"limit": 101}, 25),
        ("depth", {"limit": "many"}, 5),
        ("depth", {"limit": [1]}, 5),
        ("openOrders.status", {"symbol": "BTCUSDT"}, 6),
        ("openOrders.status", {}, 80),
        ("ticker.24hr", {"symbols": ["A", "B"]}, 2),
        ("ticker.24hr", {}, 80),
        ("ticker", {"symbols": ["A"] * 99}, 200),
        ("ticker", {"symbols": 5}, 4),
        ("no.such.method", {"limit": None}, 1),
    ],
)
def test_weights(method: str, params: dict[str, object], weight: int) -> None:
    assert weight_of(method, params) == weight
    least, most = weights_of(method)
    assert least <= weight <= most


def test_weights_have_bounds() -> None:
    assert all(weights_of(name)[0] >= 1 for name in (*WEIGHTS, *METHODS))
