"""Gateways as processes of a real exchange with small rings: a matcher that stands still, a gateway that is lapped."""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from exchange import Client, Exchange, running

RING_SLOTS = 256
ORDER = {
    "symbol": "BTCUSDT",
    "side": "BUY",
    "type": "LIMIT",
    "timeInForce": "GTC",
    "price": "10000",
    "quantity": "0.01",
}


@pytest.fixture(scope="module")
def exchange() -> Iterator[Exchange]:
    """Two gateways, and rings as small as they can be."""
    with tempfile.TemporaryDirectory(prefix="rg-") as name:
        config = Path(name) / "ringex.toml"
        config.write_text(f"command_ring_slots = {RING_SLOTS}\nevent_ring_slots = 4096\n")
        with running(Path(name), "--gateways", "2", "--config", str(config)) as started:
            yield started


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def replies(client: Client, count: int, timeout_s: float = 60.0) -> dict[int, dict[str, Any]]:
    """The next `count` replies by their id; pushed events between are dropped."""
    found: dict[int, dict[str, Any]] = {}
    while len(found) < count:
        message = client.receive(timeout_s)
        assert message is not None, f"{len(found)} of {count} replies came"
        if "id" in message:
            found[message["id"]] = message
    return found


def code(reply: dict[str, Any]) -> int:
    return int(reply["error"]["code"]) if "error" in reply else 0


def test_a_full_ring_is_told_at_once_and_what_waited_in_it_is_neither_lost_nor_doubled(exchange: Exchange) -> None:
    with exchange.client() as client:
        requests = {}
        with stopped(exchange.child("matcher")):
            for number in range(RING_SLOTS + 44):
                params = client.signed({**ORDER, "newClientOrderId": f"held-{number}", "recvWindow": 60_000})
                requests[client.send("order.place", params)] = params
            ping = client.send("ping")
            first = replies(client, 44 + 1)
            assert code(first.pop(ping)) == 0
            assert {code(reply) for reply in first.values()} == {-1008}
            rest = replies(client, RING_SLOTS)
            assert {code(reply) for reply in rest.values()} == {-1007}
        order_ids = {}
        for number in rest:
            asked = {"symbol": "BTCUSDT", "origClientOrderId": requests[number]["newClientOrderId"]}
            order_ids[number] = client.order("order.status", **asked)["result"]["orderId"]
        for number in first:
            asked = {"symbol": "BTCUSDT", "origClientOrderId": requests[number]["newClientOrderId"]}
            assert code(client.order("order.status", **asked)) == -2013
        for number, order_id in list(order_ids.items())[::10]:
            again = client.call("order.place", requests[number])["result"]
            assert (again["duplicate"], again["orderId"]) == (True, order_id)
        assert len(client.order("openOrders.cancelAll", symbol="BTCUSDT")["result"]) == RING_SLOTS


def test_a_lapped_gateway_tells_its_streams_everything_that_it_missed(exchange: Exchange) -> None:
    placed: list[int] = []
    with exchange.client() as follower, exchange.client(gateway=1) as trader:
        assert follower.order("userDataStream.subscribe.signature")["status"] == 200
        with stopped(exchange.child("gateway-0")):
            for _ in range(25):  # 25 x 200 events and more, in a ring of 4096
                asked = [trader.send("order.place", trader.signed(ORDER)) for _ in range(100)]
                answered = replies(trader, len(asked))
                placed += [answered[number]["result"]["orderId"] for number in asked]
                trader.order("openOrders.cancelAll", symbol="BTCUSDT")
        seen: dict[str, list[int]] = {"NEW": [], "CANCELED": []}
        while len(seen["CANCELED"]) < len(placed):
            message = follower.receive(60.0)
            assert message is not None, f"{len(seen['CANCELED'])} of {len(placed)} reports came"
            event = message["event"]
            assert event["e"] in ("executionReport", "outboundAccountPosition"), event
            if event["e"] == "executionReport":
                seen[event["x"]].append(event["i"])
        assert seen == {"NEW": placed, "CANCELED": placed}
        assert follower.order("openOrders.status")["result"] == []


def test_a_gateway_ends_cleanly_on_sigterm_and_its_successor_serves(exchange: Exchange) -> None:
    with exchange.client() as client:
        client.order("userDataStream.subscribe.signature")
        os.kill(exchange.child("gateway-0"), signal.SIGTERM)
        message = client.receive(60.0)
        assert message is not None and message["event"]["e"] == "eventStreamTerminated"
        assert answered_at_last(client, 60.0)["status"] == 200


def answered_at_last(client: Client, timeout_s: float) -> dict[str, Any]:
    """The reply to a ping, asked again every second: a gateway that is leaving may take a request with it."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        with contextlib.suppress(TimeoutError):
            return client.call("ping", timeout_s=1.0)
    raise TimeoutError(f"no gateway answered within {timeout_s} s")
