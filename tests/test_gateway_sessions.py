"""Sessions and their orders, through real gateways: cancel on disconnect, mass cancels, the kill switches."""

from __future__ import annotations

import json
import math
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from exchange import Client, Exchange, running, sign
from websockets.sync import client as websockets_client

from ringex.adminclient import request
from ringex.gateways.disconnects import Disconnects
from ringex.gateways.session import Connection
from ringex.terms import CommandKind

WAIT_SECONDS_MAX = 60.0
LIMIT = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.001"}


@pytest.fixture(scope="module")
def exchange() -> Iterator[Exchange]:
    with TemporaryDirectory(prefix="rxs") as name, running(Path(name), "--gateways", "2", web=True) as started:
        yield started


@pytest.fixture
def watcher(exchange: Exchange) -> Iterator[Client]:
    """Looks on from another connection; nothing is open at the end."""
    with exchange.client() as client:
        yield client
        client.order("account.cancelAll")
        exchange.command("market", "resume", "BTCUSDT", "--data", str(exchange.data))


def log_on(client: Client) -> None:
    assert client.order("session.logon")["status"] == 200


def place(client: Client, price: str, **more: Any) -> int:
    reply = client.call("order.place", LIMIT | {"price": price} | more)
    assert reply["status"] == 200, reply
    return int(reply["result"]["orderId"])


def open_ids(client: Client) -> list[int]:
    return [order["orderId"] for order in client.order("openOrders.status")["result"]]


def wait_for(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_silent_session_loses_its_orders_and_no_others(exchange: Exchange, watcher: Client) -> None:
    with exchange.client() as client:
        log_on(client)
        before = place(client, "20000")
        asked = client.call("session.cancelOnDisconnect", {"enabled": True, "timeout": 5000})
        assert asked["result"] == {"cancelOnDisconnect": True, "timeout": 5000}
        assert client.call("session.status")["result"]["cancelOnDisconnect"] is True
        marked = place(client, "20001")
        assert client.call("session.cancelOnDisconnect", {"enabled": False})["result"] == {"cancelOnDisconnect": False}
        after = place(client, "20002")
        assert open_ids(watcher) == [before, marked, after]
        wait_for(lambda: open_ids(watcher) == [before, after])
        status = watcher.order("order.status", symbol="BTCUSDT", orderId=marked)["result"]
        assert status["status"] == "CANCELED"
        assert client.call("openOrders.cancelAll", {"symbol": "BTCUSDT"})["error"]["code"] == -1102  # logged out


def test_whoever_is_heard_of_is_not_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("ringex.gateways.disconnects.time.monotonic", lambda: now)
    disconnects, patient, never = Disconnects(), Connection(1, b"", 0), Connection(2, b"", 0)
    assert disconnects.next_look == math.inf
    disconnects.ask(patient, 7, 1_000)
    disconnects.ask(never, 8, 0)
    assert disconnects.silent() == []
    now = 101.2
    assert disconnects.silent() == [patient]
    now = 101.3
    assert disconnects.silent() == []  # it looks four times a second at most
    patient.heard = now = 101.9
    assert disconnects.silent() == []
    now = 103.0
    patient.in_flight[1] = None  # whoever waits for an answer need not speak
    assert disconnects.silent() == []
    del patient.in_flight[1]
    now = 104.0
    assert disconnects.silent() == [patient]
    disconnects.end(patient)
    disconnects.end(patient)
    ended = disconnects.next_ended()
    assert ended is not None and ended[0] is patient
    assert (int(ended[1]["kind"][0]), int(ended[1]["account"][0])) == (CommandKind.SESSION_CLOSED, 7)
    disconnects.told()
    assert disconnects.next_ended() is None


def test_a_closed_web_socket_takes_its_orders_along(exchange: Exchange, watcher: Client) -> None:
    key = exchange.keys()[0]
    with websockets_client.connect(f"ws://{exchange.http}/ws-api/v3") as peer:

        def ask(method: str, **params: Any) -> Any:
            peer.send(json.dumps({"id": 1, "method": method, "params": params}))
            reply = json.loads(peer.recv(WAIT_SECONDS_MAX))
            assert reply["status"] == 200, reply
            return reply["result"]

        params = {"apiKey": key["api_key"], "timestamp": int(time.time() * 1000)}
        ask("session.logon", **params, signature=sign(key["secret"], params))
        asked = ask("session.cancelOnDisconnect", enabled=True)
        assert asked == {"cancelOnDisconnect": True, "timeout": 0}
        order = ask("order.place", **LIMIT, price="20000")["orderId"]
        wait_for(lambda: open_ids(watcher) == [order])
    wait_for(lambda: open_ids(watcher) == [])


def test_a_dead_gateway_takes_its_sessions_along(exchange: Exchange, watcher: Client) -> None:
    with exchange.client(gateway=1) as client:
        log_on(client)
        client.call("session.cancelOnDisconnect", {"enabled": True})
        place(client, "20000")
        client.call("session.cancelOnDisconnect", {"enabled": False})
        stays = place(client, "20001")
        os.kill(exchange.child("gateway-1"), signal.SIGKILL)
        wait_for(lambda: open_ids(watcher) == [stays])


def test_cancel_all_of_this_session(exchange: Exchange, watcher: Client) -> None:
    with exchange.client() as client, exchange.client() as other:
        for each in (client, other):
            log_on(each)
        mine, foreign, also_mine = place(client, "20000"), place(other, "20001"), place(client, "20002")
        canceled = client.call("openOrders.cancelAll", {"symbol": "BTCUSDT", "sessionOnly": True})["result"]
        assert [order["orderId"] for order in canceled] == [mine, also_mine]
        again = client.call("account.cancelAll", {"sessionOnly": True})
        assert again["error"]["code"] == -2011
        everywhere = client.call("account.cancelAll")["result"]
        assert [(order["symbol"], order["orderId"]) for order in everywhere] == [("BTCUSDT", foreign)]


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"enabled": True, "timeout": 999}, "1000 to 86400000 ms are allowed"),
        ({"enabled": True, "timeout": 0}, "1000 to 86400000 ms are allowed"),
        ({"enabled": False, "timeout": 5000}, "It goes with enabled=true"),
        ({}, "Mandatory parameter 'enabled'"),
    ],
)
def test_what_is_asked_wrongly_is_said(exchange: Exchange, params: dict[str, Any], text: str) -> None:
    with exchange.client() as client:
        log_on(client)
        assert text in client.call("session.cancelOnDisconnect", params)["error"]["msg"]


def test_only_a_session_can_ask(exchange: Exchange) -> None:
    with exchange.client() as client:
        reply = client.call("session.cancelOnDisconnect", {"enabled": True})
        assert reply["error"]["code"] == -2015 and "session.logon" in reply["error"]["msg"]


def test_a_countdown_cancels_unless_it_is_set_anew(exchange: Exchange, watcher: Client) -> None:
    with exchange.client() as client:
        log_on(client)
        place(client, "20000")
        assert client.call("countdownCancelAll.status")["result"] == []
        everywhere = client.call("countdownCancelAll", {"countdownTime": 60_000})["result"]
        assert everywhere["countdownTime"] == "60000"
        there = client.call("countdownCancelAll", {"symbol": "ETHUSDT", "countdownTime": 90_000})["result"]
        running = client.call("countdownCancelAll.status")["result"]
        assert [(one.get("symbol"), one["cancelTime"]) for one in running] == [
            (None, everywhere["cancelTime"]),
            ("ETHUSDT", there["cancelTime"]),
        ]
        assert 0 < int(running[0]["countdownTime"]) <= 60_000
        (own,) = client.call("countdownCancelAll.status", {"symbol": "BTCUSDT"})["result"]
        assert own.keys() == {"countdownTime", "cancelTime"}, "that of all symbols"
        told = exchange.command("account", "countdowns", "--data", str(exchange.data)).stdout.splitlines()
        assert [line.split()[:2] for line in told] == [["demo", "all"], ["demo", "ETHUSDT"]]
        assert exchange.command("account", "countdowns", "fees", "--data", str(exchange.data)).stdout == ""
        assert client.call("countdownCancelAll", {"countdownTime": 0})["result"] == {"countdownTime": "0"}
        assert client.call("countdownCancelAll", {"symbol": "ETHUSDT", "countdownTime": 0})["status"] == 200
        assert client.call("countdownCancelAll.status")["result"] == []
        asked = client.call("countdownCancelAll", {"symbol": "BTCUSDT", "countdownTime": 300})["result"]
        assert (asked["symbol"], asked["countdownTime"]) == ("BTCUSDT", "300")
        assert 0 < asked["cancelTime"] <= client.call("time")["result"]["serverTime"] + 300
        wait_for(lambda: open_ids(watcher) == [])
        assert client.call("countdownCancelAll.status")["result"] == [], "it ended when it was carried out"
        late = client.call("countdownCancelAll", {"countdownTime": 700_000_000})["error"]
        assert late["code"] == -1130 and "0 to 604800000 ms" in late["msg"]


def test_a_killed_market_is_empty(exchange: Exchange, watcher: Client) -> None:
    with exchange.client() as client:
        log_on(client)
        place(client, "20000")
        place(client, "20001")
        done = exchange.command("kill", "market", "BTCUSDT", "--data", str(exchange.data))
        assert done.stdout == "symbol: BTCUSDT\nstatus: HALT\ncanceled: 2\n", done.stderr
        assert open_ids(watcher) == []
        assert client.call("order.place", LIMIT | {"price": "20000"})["error"]["msg"] == "Market is closed."
    endpoint = f"ipc://{exchange.data}/admin.sock"
    assert request(endpoint, "admin.market.set", {"symbol": "BTCUSDT", "status": "TRADING"})["status"] == "TRADING"
