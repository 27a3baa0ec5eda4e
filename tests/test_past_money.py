"""Deposits, withdrawals and transfers as the history tells them, worked out by hand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from market_days import MarketDays, at, ms
from reference.desk import ALICE, BOB, BTC, USDT

from ringex.gateways.lookups import StoreBehind
from ringex.history.store.store import Store

NOW = "2024-03-04T12:00:30"
COIN = 10**8


def lived() -> MarketDays:
    days = MarketDays("2024-03-01T00:00:00")  # which deposits for both, at once
    desk = days.desk
    desk.time_ns = at("2024-03-02T10:00:00")
    days.do(desk.deposit(ALICE, BTC, 3 * COIN, "d-1"))
    days.do(desk.withdraw(ALICE, USDT, COIN // 2, "w-1"))
    for number, reference in enumerate(("w-2", "w-3", "w-4"), 2):
        days.do(desk.hold(ALICE, BTC, number * COIN, reference))
    desk.time_ns = at("2024-03-03T10:00:00")
    days.do(desk.complete(ALICE, "w-2"))
    days.do(desk.release(ALICE, "w-3"))
    days.do(desk.transfer(ALICE, BOB, USDT, 7 * COIN, reference="t-1"))
    return days


DAYS = lived()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = DAYS.stored(tmp_path / "history.db", len(DAYS.told))
    yield store
    store.close()


def told(method: str, store: Store, account: int = ALICE, **params: Any) -> list[dict[str, Any]]:
    return DAYS.ask(method, NOW, account, store, **params)  # type: ignore[no-any-return]


def test_deposits(store: Store) -> None:
    rows = told("deposits.history", store)
    assert [(row["txId"], row["coin"]) for row in rows] == [("d-1", "BTC"), ("deposit-2", "USDT"), ("deposit-1", "BTC")]
    assert (rows[0]["amount"], rows[0]["status"]) == ("3.00000000", 1)
    assert rows[0]["insertTime"] == ms("2024-03-02T10:00:00")
    assert told("deposits.history", store, coin="USDT") == rows[1:2]
    assert told("deposits.history", store, startTime=ms("2024-03-02T00:00:00")) == rows[:1]
    assert told("deposits.history", store, endTime=ms("2024-03-02T00:00:00"), limit=1, offset=1) == rows[2:]
    assert told("deposits.history", store, status=0) == []


def test_withdrawals(store: Store) -> None:
    rows = told("withdrawals.history", store)
    assert [(row["txId"], row["amount"], row["status"], row.get("completeTime")) for row in rows] == [
        ("w-4", "4.00000000", 4, None),
        ("w-3", "3.00000000", 1, "2024-03-03 10:00:00"),
        ("w-2", "2.00000000", 6, "2024-03-03 10:00:00"),
        ("w-1", "0.50000000", 6, "2024-03-02 10:00:00"),
    ]
    assert rows[0]["applyTime"] == "2024-03-02 10:00:00"
    assert told("withdrawals.history", store, status=6) == rows[2:]
    assert told("withdrawals.history", store, BOB) == []


def test_transfers(store: Store) -> None:
    (sent,) = told("account.transfers", store)
    (got,) = told("account.transfers", store, BOB)
    expected = {
        "fromAccount": "alice",
        "toAccount": "bob",
        "asset": "USDT",
        "amount": "7.00000000",
        "clientTranId": "t-1",
        "time": ms("2024-03-03T10:00:00"),
    }
    assert expected.items() <= sent.items()
    assert expected.items() <= got.items()
    assert told("account.transfers", store, asset="BTC") == []


def test_it_waits_for_a_store_that_is_behind(tmp_path: Path) -> None:
    store = DAYS.stored(tmp_path / "history.db", len(DAYS.told) - 1)
    for method in ("deposits.history", "withdrawals.history", "account.transfers"):
        with pytest.raises(StoreBehind):
            told(method, store)
    store.close()


@pytest.mark.parametrize("method", ["deposits.history", "withdrawals.history", "account.transfers"])
def test_what_is_refused(store: Store, method: str) -> None:
    asset = "asset" if method == "account.transfers" else "coin"
    assert DAYS.refusal(method, NOW, store, **{asset: "NONE"})[0] < 0
    assert DAYS.refusal(method, NOW, store, startTime=5, endTime=4)[0] == -1130
    code, message = DAYS.refusal(method, NOW, store, startTime=0, endTime=91 * 86_400_000)
    assert (code, "More than 90 days" in message) == (-1127, True)
