"""Queries of the past to a real exchange: at once after what they must show, and while the history stands still."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from exchange import Client, Exchange, running
from postgresql_server import running as server_running
from test_history import PATIENCE_S, flow

from ringex.history.store.postgresql import PostgresqlStore


def asked(client: Client, method: str, **params: Any) -> Any:
    reply = client.order(method, symbol="BTCUSDT", **params)
    assert reply["status"] == 200, reply
    return reply["result"]


def public(client: Client, method: str, **params: Any) -> Any:
    reply = client.call(method, {"symbol": "BTCUSDT", **params})
    assert reply["status"] == 200, reply
    return reply["result"]


def check_all(client: Client, results: list[dict[str, Any]]) -> None:
    """Everything that the client was told is in the answers, now."""
    orders = asked(client, "allOrders", limit=1000)
    assert [order["orderId"] for order in orders] == [result["orderId"] for result in results]
    status = {order["orderId"]: order["status"] for order in orders}
    assert all(status[result["orderId"]] == "FILLED" for result in results if result["status"] == "FILLED")
    fills = sorted(fill["tradeId"] for result in results for fill in result["fills"])
    trades = asked(client, "myTrades", limit=1000)
    assert sorted({trade["id"] for trade in trades}) == fills
    assert len(trades) == 2 * len(fills), "the account trades with itself: as taker and as maker"
    assert [trade["id"] for trade in public(client, "trades.historical", limit=1000)] == fills
    aggregates = public(client, "trades.aggregate", limit=1000)
    assert [(row["f"], row["l"]) for row in aggregates][-1][1] == fills[-1]
    assert sum(row[8] for row in public(client, "klines", interval="1m", limit=1000)) == len(fills)
    assert public(client, "ticker.24hr")["count"] == len(fills)


def test_answers_show_what_was_told_before(tmp_path: Path) -> None:
    with running(tmp_path, "--durability", "os") as exchange, exchange.client() as client:
        results = flow(client, 45)
        check_all(client, results)
        os.kill(exchange.child("history"), signal.SIGSTOP)
        results += flow(client, 45, len(results))
        check_all(client, results)
        late = client.order("order.amendments", timeout_s=PATIENCE_S, symbol="BTCUSDT", orderId=1)
        assert late["error"]["code"] == -1007, "only the history knows, and it stands still"
        os.kill(exchange.child("history"), signal.SIGCONT)
        amended = asked(client, "order.amendments", orderId=1, timeout_s=PATIENCE_S)
        assert [(row["origQty"], row["newQty"]) for row in amended] == [("0.10000000", "0.06000000")]
        for method, code in (("allOrders", -1127), ("myTrades", -1127)):
            refused = client.order(method, symbol="BTCUSDT", startTime=0, endTime=86_400_001)
            assert refused["error"]["code"] == code


def with_postgresql(tmp_path: Path, url: str) -> Exchange:
    config = tmp_path / "postgresql.toml"
    config.write_text(f'[history]\nurl = "{url}"\n')
    return Exchange(tmp_path, "--durability", "os", "--config", str(config))


def test_a_postgresql_server_that_is_away_for_a_while(tmp_path: Path) -> None:
    with server_running() as server:
        exchange = with_postgresql(tmp_path, server.url)
        exchange.start()
        try:
            with exchange.client() as client:
                results = flow(client, 40)
                check_all(client, results)
                server.stop()
                results += flow(client, 20, len(results))
                away = client.order("allOrders", timeout_s=PATIENCE_S, symbol="BTCUSDT")
                assert away["error"]["code"] == -1007
                server.start()
                results += flow(client, 20, len(results))
                deadline = time.monotonic() + PATIENCE_S
                store = PostgresqlStore(server.url, writes=False)
                while (store.order(results[-1]["orderId"])) is None:
                    assert time.monotonic() < deadline, exchange.log
                    time.sleep(0.05)
                store.close()
                check_all(client, results)
            assert exchange.stop() == 0, exchange.log
            assert not (exchange.data / "history.db").exists()
        finally:
            exchange.kill_group()


def test_a_postgresql_server_that_is_not_there_ends_the_start(tmp_path: Path) -> None:
    exchange = with_postgresql(tmp_path, f"postgresql:///postgres?host={tmp_path}&user=nobody")
    exchange.launch()
    assert exchange.reap() == 1
    assert "ringex: history: StoreAway: PostgreSQL: connection" in exchange.log
    exchange.kill_group()
