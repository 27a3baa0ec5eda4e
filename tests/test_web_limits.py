"""Limits as clients meet them: two web gateways on one port, peers of this machine not exempt, small numbers."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from exchange import Exchange, running
from test_web_pintu import Pintu
from web_client import RestClient, connect, read_all

from ringex.gateways.tally import LOOK_SECONDS

CONFIG = """
web_gateways = 2

[rate_limits]
exempt = []
weight_per_address = 100
weight_per_key = 60
orders_10s = 50
orders_1d = 3
open_orders = 70
connections_per_address = 4
messages_per_second = 5
tokens_10s = 12
ban_after = 3
ban_seconds = 3600
"""
LIMIT = {
    "symbol": "BTCUSDT",
    "side": "BUY",
    "type": "LIMIT",
    "timeInForce": "GTC",
    "price": "25000",
    "quantity": "0.01",
}


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    folder: Path = tmp_path_factory.mktemp("limits")
    (folder / "limits.toml").write_text(CONFIG)
    with running(folder, "--config", str(folder / "limits.toml"), web=True) as started:
        yield started


def early_in_a_minute() -> None:
    """Windows are minutes, and ten seconds, of the clock: a test that counts in one must not begin at its end."""
    if (left := 60 - time.time() % 60) < 20:
        time.sleep(left)
    early_in_ten_seconds()


def early_in_ten_seconds() -> None:
    if (left := 10 - time.time() % 10) < 4:
        time.sleep(left)


def test_weights_are_told_summed_limited_and_end_in_a_ban(exchange: Exchange) -> None:
    early_in_a_minute()
    key = exchange.keys()[0]
    client = RestClient(exchange.http, key["api_key"], key["secret"])
    placed = client.signed("POST", "/api/v3/order", **LIMIT)
    assert (placed.status, placed.headers["x-mbx-used-weight-1m"]) == (200, "1")
    assert placed.headers["x-mbx-order-count-10s"] == placed.headers["x-mbx-order-count-1d"] == "1"
    info = client.ask("GET", "/api/v3/exchangeInfo")
    assert info.headers["x-mbx-used-weight-1m"] == "20", "of the address: nobody signed it"
    limits = {(row["rateLimitType"], row["interval"]): row["limit"] for row in info.body["rateLimits"]}
    assert limits == {
        ("REQUEST_WEIGHT", "MINUTE"): 100,
        ("ORDERS", "SECOND"): 50,
        ("ORDERS", "DAY"): 3,
        ("RAW_REQUESTS", "MINUTE"): 61_000,
    }
    assert info.body["exchangeFilters"] == [{"filterType": "EXCHANGE_MAX_NUM_ORDERS", "maxNumOrders": 70}]
    for number in ("2", "3"):
        client.close()  # whichever gateway the next connection comes to, it counts alike
        assert client.signed("POST", "/api/v3/order", **LIMIT).headers["x-mbx-order-count-1d"] == number
    beyond = client.signed("POST", "/api/v3/order", **LIMIT)
    words = "Too many new orders; current limit is 3 orders per 1 DAY."
    assert (beyond.status, beyond.body) == (429, {"code": -1015, "msg": words})
    assert beyond.headers["x-mbx-order-count-1d"] == "3"
    statuses, last = [], info
    for _ in range(10):
        client.close()  # the next connection may come to the other gateway
        time.sleep(LOOK_SECONDS)
        last = client.ask("GET", "/api/v3/exchangeInfo")
        statuses.append(last.status)
    assert statuses == [200] * 4 + [429] * 3 + [418] * 3, statuses
    assert last.body["code"] == -1003 and "IP banned until" in last.body["msg"]
    assert 3500 < int(last.headers["retry-after"]) <= 3600
    assert client.signed("GET", "/api/v3/openOrders", symbol="BTCUSDT").status == 200, "the key goes on"
    wrong = client.ask("GET", "/api/v3/account?timestamp=1&signature=0")
    assert wrong.status == 418, "a signature that is none counts for the address"
    assert client.signed("GET", "/api/v3/account").status == 200
    assert client.signed("GET", "/api/v3/account").status == 200
    refused = client.signed("GET", "/api/v3/account")
    assert (refused.status, refused.body["code"]) == (429, -1003)
    assert 0 < int(refused.headers["retry-after"]) <= 60
    client.close()


def test_tokens_of_the_envelope(exchange: Exchange) -> None:
    for words in (("account", "create", "tokens"), ("key", "create", "--account", "tokens")):
        done = exchange.command(*words, "--data", str(exchange.data))
        assert done.returncode == 0, done
    trader = Pintu(exchange, "tokens")
    early_in_ten_seconds()
    cancel = ("cancel-all-orders", {"symbol": "BTC-IDR"})
    assert "-2011" in trader.post(*cancel)[1]["reason"], "there is nothing to cancel, and it took 10 tokens"
    status, body = trader.post(*cancel)
    assert (status, body["code"], body["message"]) == (429, 10003, "TOO_MANY_REQUESTS")
    assert "this takes 10" in body["reason"]
    assert trader.post("get-open-orders", {"symbol": "BTC-IDR"})[0] == 200, "what asks only takes none"
    trader.close()


def test_connections_of_one_address_are_limited_over_all_gateways(exchange: Exchange) -> None:
    time.sleep(2 * LOOK_SECONDS)
    held = []
    refused = b""
    for _ in range(12):
        peer = connect(exchange.http)
        peer.settimeout(LOOK_SECONDS * 2)
        held.append(peer)
        try:
            refused = read_all(peer)
        except TimeoutError:
            continue
        break
    assert 5 <= len(held) < 12, "four may be open"
    assert refused.startswith(b"HTTP/1.1 429") and b"At most 4 of one address may be open" in refused
    for peer in held:
        peer.close()


def test_a_socket_that_sends_too_fast_is_closed(exchange: Exchange) -> None:
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.client import connect as connect_socket

    time.sleep(2 * LOOK_SECONDS)
    with connect_socket(f"ws://{exchange.http}/ws-api/v3") as socket:

        def flood() -> None:
            for _ in range(100):
                socket.send('{"id": 1, "method": "session.status"}')
            while True:
                socket.recv()

        with pytest.raises(ConnectionClosed) as closed:
            flood()
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1008, "more than 5 messages in one second")


def test_status_shows_what_was_let_in_and_what_was_not(exchange: Exchange) -> None:
    """After the tests before it: over both gateways."""
    deadline = time.monotonic() + 10
    while True:
        shown = exchange.command("status", "--json", "--data", str(exchange.data))
        children = json.loads(shown.stdout)["children"]
        counts: Counter[str] = Counter()
        for name in ("web-0", "web-1"):
            counts.update(children[name]["counts"])
        wanted = ("requests", "replies", "refusals", "refused-1003", "refused_4xx", "refused_418", "http_requests")
        if all(counts[name] for name in (*wanted, "refused_connections", "sockets_opened", "sockets_too_fast")):
            break
        assert time.monotonic() < deadline, counts
    assert counts["replies"] + counts["refusals"] >= counts["requests"]
    assert sum(children[name]["now"]["bans"] for name in ("web-0", "web-1")) >= 1
    assert "gateway-0" in children and "counts" in children["gateway-0"] and "counts" not in children["matcher"]
    lines = exchange.command("status", "--data", str(exchange.data)).stdout.splitlines()
    assert any(line.startswith("    now: ") and "open" in line for line in lines)
    assert any(line.startswith("    so far: ") and "/s)" in line for line in lines)
    assert any(line.startswith("    also: ") and "refused-1003 " in line for line in lines)
