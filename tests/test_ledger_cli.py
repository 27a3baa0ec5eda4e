"""Accounts, fees, transfers and withdrawals from the command line of a running exchange; the audit of what it left."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from exchange import Client, Exchange

ORDER = {"symbol": "BTCUSDT", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.5"}


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    exchange = Exchange(tmp_path_factory.mktemp("ledger"))
    exchange.start()
    try:
        yield exchange
    finally:
        exchange.kill_group()


def told(exchange: Exchange, *words: str) -> dict[str, str]:
    """What a command prints, which must go well: name -> value."""
    data = ("audit", str(exchange.data)) if words == ("audit",) else (*words, "--data", str(exchange.data))
    done = exchange.command(*data)
    assert done.returncode == 0, done
    lines = [line.partition(": ") for line in done.stdout.splitlines()]
    return {name: value for name, _, value in lines}


def complaint(exchange: Exchange, *words: str) -> str:
    done = exchange.command(*words, "--data", str(exchange.data))
    assert done.returncode == 1 and done.stderr.startswith("ringex: "), done
    return done.stderr


def trade(exchange: Exchange) -> None:
    """Anna buys half a coin of demo at 30,000."""
    with exchange.client("demo") as demo, exchange.client("anna") as anna:
        sold = demo.order("order.place", side="SELL", price="30000", **ORDER)
        assert sold["status"] == 200, sold
        assert anna.order("order.place", side="BUY", price="30000", **ORDER)["result"]["status"] == "FILLED"


def test_an_operators_day(exchange: Exchange) -> None:
    assert told(exchange, "key", "create", "--account", "anna")["account"] == "anna"
    assert told(exchange, "account", "create", "anna-bot", "--parent", "anna")["account"] == "anna-bot"
    assert told(exchange, "account", "list", "--parent", "anna")["anna-bot"].endswith("parent anna")
    told(exchange, "account", "deposit", "anna", "USDT", "50000", "--reference", "d1")
    assert told(exchange, "account", "deposit", "anna", "USDT", "50000", "--reference", "d1")["duplicate"] == "True"
    rates = told(exchange, "fees", "set", "anna", "-0.0001", "0.002", "--symbol", "BTCUSDT")
    assert (rates["makerFee"], rates["takerFee"]) == ("-0.00010000", "0.00200000")
    trade(exchange)
    assert told(exchange, "balance", "anna")["BTC"].startswith("free 0.49900000, locked 0.00000000")
    assert "BTCUSDT" in told(exchange, "fees", "show", "anna")["schedules"]
    told(exchange, "fees", "clear", "anna", "--symbol", "BTCUSDT")
    assert told(exchange, "fees", "asset", "USDT", "--multiplier", "0.5")["multiplier"] == "0.50000000"
    assert told(exchange, "fees", "in-asset", "anna", "on")["paysInFeeAsset"] == "True"
    trade(exchange)
    # 0.1 % of 15,000, halved, in USDT: what is received is whole
    anna = told(exchange, "balance", "anna")
    assert anna["BTC"].startswith("free 0.99900000") and anna["USDT"].startswith("free 19992.50000000")
    moved = told(exchange, "transfer", "anna", "anna-bot", "USDT", "92.5", "--reference", "t1")
    assert (moved["fromAccount"], moved["toAccount"], moved["amount"]) == ("anna", "anna-bot", "92.50000000")
    assert told(exchange, "account", "set", "anna-bot", "--status", "BLOCKED", "--trade-group", "7") == {
        "account": "anna-bot",
        "status": "BLOCKED",
        "tradeGroup": "7",
    }
    told(exchange, "withdrawal", "hold", "anna", "USDT", "900", "--reference", "w1")
    assert (
        told(exchange, "balance", "anna")["USDT"]
        == "free 19000.00000000, locked 900.00000000, withdrawing 900.00000000"
    )
    assert "insufficient balance" in complaint(exchange, "withdrawal", "hold", "anna", "USDT", "19000.01")
    told(exchange, "withdrawal", "complete", "anna", "w1")
    assert "released already" in complaint(exchange, "withdrawal", "release", "anna", "w1")
    told(exchange, "withdrawal", "hold", "anna", "USDT", "5", "--reference", "w2")
    told(exchange, "withdrawal", "release", "anna", "w2")
    told(exchange, "withdrawal", "hold", "anna", "USDT", "7", "--reference", "w3")
    assert "There is no account 'nobody'" in complaint(exchange, "transfer", "anna", "nobody", "USDT", "1")
    with exchange.client("anna") as anna_bids:
        bid(anna_bids)
    found = told(exchange, "audit")  # beside the running exchange
    assert found["trades"] == "2" and "sound" in found


def bid(client: Client) -> None:
    placed = client.order("order.place", side="BUY", price="1000", **ORDER)
    assert placed["status"] == 200, placed


def test_the_audit_after_a_stop_and_after_a_crash(exchange: Exchange) -> None:
    assert exchange.stop() == 0  # with a snapshot of all
    found = told(exchange, "audit")
    assert int(found["snapshot"]) == int(found["sequence"]) and "sound" in found
    assert found["USDT"].endswith("locked 507.00000000, held 7.00000000"), found["USDT"]
    exchange.start()
    trade(exchange)
    exchange.kill_group()
    exchange.reap()
    exchange.start()
    found = told(exchange, "audit")
    assert found["trades"] == "3" and "sound" in found
    assert exchange.stop(signal.SIGINT) == 0
