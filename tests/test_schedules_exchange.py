"""A scheduled opening of a running exchange: by command line, past the death of its matcher, with nobody asking."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from exchange import Client, Exchange, running

ORDER = {"symbol": "BTCUSDT", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.5"}
PATIENCE_SECONDS = 90.0


def told(exchange: Exchange, *words: str) -> dict[str, str]:
    done = exchange.command("market", *words, "--data", str(exchange.data))
    assert done.returncode == 0, done
    lines = [line.partition(": ") for line in done.stdout.splitlines()]
    return {name: value for name, _, value in lines}


def complaint(exchange: Exchange, *words: str) -> str:
    done = exchange.command("market", "schedule", *words, "--data", str(exchange.data))
    assert done.returncode in (1, 2), done
    return done.stderr


def market(client: Client) -> dict[str, object]:
    return client.call("exchangeInfo", {"symbol": "BTCUSDT"})["result"]["symbols"][0]  # type: ignore[no-any-return]


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[Exchange]:
    with running(tmp_path) as started:
        yield started


def test_a_market_opens_by_itself(exchange: Exchange) -> None:
    told(exchange, "status", "BTCUSDT", "AUCTION")
    with exchange.client("demo") as client:
        for side in ("BUY", "SELL"):
            assert client.order("order.place", side=side, price="30000", **ORDER)["result"]["status"] == "NEW"
        set_times = told(exchange, "schedule", "BTCUSDT", "--open", "+8", "--close", "2100-01-01T00:00:00+07:00")
        assert set_times["closeTime"] == "4102419600000"
        assert market(client)["schedule"] == {
            "openTime": int(set_times["openTime"]),
            "closeTime": int(set_times["closeTime"]),
        }
        os.kill(exchange.child("matcher"), signal.SIGKILL)
        last = time.monotonic() + PATIENCE_SECONDS
        while market(client)["status"] == "AUCTION" and time.monotonic() < last:
            time.sleep(0.1)
        opened = market(client)
        assert (opened["status"], opened["schedule"]) == ("TRADING", {"closeTime": int(set_times["closeTime"])})
        (trade,) = client.call("trades.recent", {"symbol": "BTCUSDT"})["result"]
        assert (float(trade["price"]), float(trade["qty"])) == (30_000, 0.5)
        assert trade["time"] >= int(set_times["openTime"])
        assert "closeTime" in told(exchange, "schedule", "BTCUSDT")
        told(exchange, "halt", "BTCUSDT")
        assert told(exchange, "schedule", "BTCUSDT") == {"symbol": "BTCUSDT", "status": "HALT"}
        assert "schedule" not in market(client)
    assert "must be to come and differ" in complaint(exchange, "BTCUSDT", "--open", "2001-01-01T00:00:00Z")
    assert "has no offset from UTC" in complaint(exchange, "BTCUSDT", "--open", "2100-01-01T00:00:00")
    assert "is no time; 2030-01-31" in complaint(exchange, "BTCUSDT", "--open", "soon")
    assert "goes with no time" in complaint(exchange, "BTCUSDT", "--open", "+60", "--none")
