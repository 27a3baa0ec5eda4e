"""The history process in a real exchange: whatever happens to it, each event is in its store once."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

from exchange import Client, Exchange, running

from ringex.config import Settings
from ringex.history.store.schema import BALANCES, TABLES
from ringex.history.store.sqlite import SqliteStore
from ringex.history.store.store import Store
from ringex.retelling import rebuild

PATIENCE_S = 60.0
SMALL = """
event_ring_slots = 4096
segment_records = 4096
snapshot_commands = 1500

[rate_limits]
enabled = false
"""


def whole(store: Store) -> dict[str, list[tuple[int | str, ...]]]:
    """All rows; but not of which batch a balance is."""
    found = {}
    for table in TABLES:
        drop = table.columns.index("sequence") if table == BALANCES else -1
        rows = (row for page in store.every(table) for row in page)
        found[table.name] = [tuple(value for at, value in enumerate(row) if at != drop) for row in rows]
    return found


def told_anew(exchange: Exchange, folder: Path) -> dict[str, list[tuple[int | str, ...]]]:
    """What a store has that is made of the journal alone."""
    settings = Settings(exchange.data, segment_records=4096)
    store = SqliteStore(folder / "anew.db", writes=True)
    rebuild(settings, store)
    found = whole(store)
    store.close()
    return found


def stored(exchange: Exchange) -> dict[str, list[tuple[int | str, ...]]]:
    store = SqliteStore(exchange.data / "history.db", writes=False)
    found = whole(store)
    store.close()
    return found


def flow(client: Client, count: int, first: int = 0) -> list[dict[str, Any]]:
    """Orders of all kinds of fates, `count` of them; the results."""
    results = []
    for number in range(first, first + count):
        side, price = ("BUY", f"{100 + number % 7}.00") if number % 2 else ("SELL", f"{102 + number % 5}.00")
        order = {"symbol": "BTCUSDT", "side": side, "type": "LIMIT", "timeInForce": "GTC", "price": price}
        reply = client.order("order.place", **order, quantity="0.1", newClientOrderId=f"flow-{number}")
        assert reply["status"] == 200, reply
        results.append(reply["result"])
        if number % 3 == 0 and reply["result"]["status"] == "NEW":
            client.order(
                "order.amend.keepPriority", symbol="BTCUSDT", orderId=reply["result"]["orderId"], newQty="0.06"
            )
        if number % 11 == 0:
            client.order("openOrders.cancelAll", symbol="BTCUSDT")
    return results


def kill_history(exchange: Exchange, killed: set[int]) -> None:
    """Kill the history process, once that of the last time has a successor."""
    deadline = time.monotonic() + PATIENCE_S
    while (pid := exchange.child("history")) in killed | {0}:
        assert time.monotonic() < deadline, exchange.log
        time.sleep(0.01)
    killed.add(pid)
    os.kill(pid, signal.SIGKILL)


def until_it_has(exchange: Exchange, order_id: int) -> None:
    """Wait for the store to have an order."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        store = SqliteStore(exchange.data / "history.db", writes=False)
        try:
            if store.order(order_id) is not None:
                return
        finally:
            store.close()
        time.sleep(0.02)
    raise AssertionError(f"order {order_id} did not come into the store:\n{exchange.log}")


def test_what_is_killed_again_and_again_misses_nothing(tmp_path: Path) -> None:
    with running(tmp_path, "--durability", "os") as exchange, exchange.client() as client:
        results: list[dict[str, Any]] = []
        killed: set[int] = set()
        for number in range(4):
            results += flow(client, 40, len(results))
            kill_history(exchange, killed)
            results += flow(client, 15, len(results))
            if number % 2:
                until_it_has(exchange, results[-1]["orderId"])
        assert exchange.stop() == 0, exchange.log
        rows = stored(exchange)
        assert [row[0] for row in rows["orders"]] == sorted(result["orderId"] for result in results)
        fills = sum(len(result["fills"]) for result in results)
        assert len(rows["trades"]) == fills > 50
        assert len(rows["amendments"]) > 10
        assert rows == told_anew(exchange, tmp_path)


def test_after_a_long_outage_it_reads_the_journal(tmp_path: Path) -> None:
    """Stopped for so long that ring, replica's log and all usual snapshots are past it."""
    config = tmp_path / "small.toml"
    config.write_text(SMALL)
    with running(tmp_path, "--durability", "os", "--config", str(config)) as exchange, exchange.client() as client:
        first = flow(client, 30)
        until_it_has(exchange, first[-1]["orderId"])
        os.kill(exchange.child("history"), signal.SIGSTOP)
        pipelined(client, 12_000)
        os.kill(exchange.child("replica"), signal.SIGKILL)  # its log of events goes with it
        last = flow(client, 10, 50_000)
        stopped = exchange.child("history")
        os.kill(stopped, signal.SIGCONT)
        until_it_has(exchange, last[-1]["orderId"])
        assert "it is read from the journal" in exchange.log
        assert exchange.stop() == 0, exchange.log
        rows = stored(exchange)
        assert rows["gaps"] == []
        ids = [int(row[0]) for row in rows["orders"]]
        assert ids == list(range(1, ids[-1] + 1)), "order ids have no gaps"
        trade_ids = [row[1] for row in rows["trades"]]
        assert trade_ids == list(range(1, len(trade_ids) + 1))


def pipelined(client: Client, count: int) -> None:
    """Many orders that come and go, without waiting for each."""
    waiting = 0
    for number in range(count // 2):
        params = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "IOC"}
        params |= {"price": "50.00", "quantity": "0.1"}
        client.send("order.place", client.signed(params | {"recvWindow": 60_000}))
        waiting += 1
        while waiting > 200 or (waiting and number == count // 2 - 1):
            assert client.receive(PATIENCE_S) is not None
            waiting -= 1


def test_the_position_is_told(tmp_path: Path) -> None:
    with running(tmp_path, "--durability", "os") as exchange, exchange.client() as client:
        results = flow(client, 5)
        until_it_has(exchange, results[-1]["orderId"])
        told = exchange.data / "readers" / "history.json"
        deadline = time.monotonic() + PATIENCE_S
        store = SqliteStore(exchange.data / "history.db", writes=False)
        while json.loads(told.read_bytes())["event_sequence"] < store.progress().event_sequence:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        status = json.loads(exchange.command("status", "--data", str(exchange.data), "--json").stdout)
        assert status["children"]["history"]["pid"] == exchange.child("history")
        assert status["readers"]["history"]["events_behind"] == 0
        text = exchange.command("status", "--data", str(exchange.data)).stdout
        assert "history is 0 events behind" in text
        store.close()
