"""REST against a real exchange: routes, signatures, parameters as URLs write them, HTTP statuses."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from exchange import Exchange, running
from web_client import SECONDS_MAX, RestClient

from ringex.gateways.methods import METHODS
from ringex.gateways.web.routes import ROUTES

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
    folder: Path = tmp_path_factory.mktemp("rest")
    with running(folder, web=True) as started:
        yield started


@pytest.fixture
def client(exchange: Exchange) -> Iterator[RestClient]:
    key = exchange.keys()[0]
    made = RestClient(exchange.http, key["api_key"], key["secret"])
    yield made
    made.close()


def test_public_methods_need_no_key(exchange: Exchange) -> None:
    client = RestClient(exchange.http)
    assert client.ask("GET", "/api/v3/ping").body == {}
    assert abs(client.ask("GET", "/api/v3/time").body["serverTime"] - time.time() * 1000) < 600_000
    info = client.ask("GET", "/api/v3/exchangeInfo?symbol=BTCUSDT")
    assert [symbol["symbol"] for symbol in info.body["symbols"]] == ["BTCUSDT"]
    assert info.headers["content-type"] == "application/json;charset=UTF-8"
    assert info.headers["access-control-allow-origin"] == "*"
    assert "date" in info.headers


def test_an_order_is_placed_seen_amended_and_canceled(client: RestClient) -> None:
    placed = client.signed("POST", "/api/v3/order", **LIMIT, newClientOrderId="rest-1")
    assert (placed.status, placed.body["status"]) == (200, "NEW")
    which = {"symbol": "BTCUSDT", "orderId": placed.body["orderId"]}
    assert client.signed("GET", "/api/v3/order", **which).body["clientOrderId"] == "rest-1"
    smaller = client.signed("PUT", "/api/v3/order/amend/keepPriority", **which, newQty="0.005")
    assert smaller.body["amendedOrder"]["qty"] == "0.00500000"
    assert [order["orderId"] for order in client.signed("GET", "/api/v3/openOrders").body] == [which["orderId"]]
    canceled = client.signed("DELETE", "/api/v3/order", **which)
    assert (canceled.status, canceled.body["status"]) == (200, "CANCELED")
    gone = client.signed("DELETE", "/api/v3/order", **which)
    assert (gone.status, gone.body) == (400, {"code": -2011, "msg": "Unknown order sent."})


@pytest.mark.parametrize("place", ["query", "body", "signature in the query", "signature in the body", "first"])
def test_the_signature_covers_what_was_sent_wherever_it_stands(client: RestClient, place: str) -> None:
    text = f"symbol=BTCUSDT&orderId=999999999&timestamp={int(time.time() * 1000)}"
    signature = f"signature={client.sign(text)}"
    head, _, tail = text.partition("&")
    query, body = {
        "query": (f"{text}&{signature}", ""),
        "body": ("", f"{text}&{signature}"),
        "signature in the query": (f"{head}&{signature}", f"&{tail}"),
        "signature in the body": (head, f"&{tail}&{signature}"),
        "first": (f"{signature}&{text}", ""),
    }[place]
    answer = client.ask("DELETE", f"/api/v3/order?{query}", body, **{"Content-Type": "application/json"})
    assert answer.body["code"] == -2011, answer.body
    assert client.ask("DELETE", f"/api/v3/order?{query}&recvWindow=5", body).body["code"] == -1022


def test_every_method_has_a_route_but_those_of_a_connection() -> None:
    routed = {route.method.name for route in ROUTES.values()}
    of_a_connection = {name for name in METHODS if name.startswith(("session.", "userDataStream."))}
    assert routed | of_a_connection == set(METHODS), "add a line to ringex/gateways/web/routes.py"


def test_lists_are_json_in_the_url(client: RestClient) -> None:
    listed = quote('["BTCUSDT","ETHUSDT"]')
    answer = client.ask("GET", f"/api/v3/ticker/bookTicker?symbols={listed}")
    assert [row["symbol"] for row in answer.body] == ["BTCUSDT", "ETHUSDT"]
    assert client.ask("GET", f"/api/v3/ticker/bookTicker?symbols={quote('[1]')}").body["code"] == -1130
    assert client.ask("GET", "/api/v3/exchangeInfo?permissions=SPOT").status == 200


@pytest.mark.parametrize(
    ("verb", "target", "status", "code"),
    [
        ("GET", "/api/v3/nothing", 404, -5000),
        ("DELETE", "/api/v3/ping", 405, -5000),
        ("GET", "/api/v3/depth", 400, -1102),
        ("GET", "/api/v3/depth?symbol=", 400, -1102),
        ("GET", "/api/v3/depth?symbol=BTCUSDT&limit=", 400, -1105),
        ("GET", "/api/v3/depth?symbol=BTCUSDT&limit=x", 400, -1102),
        ("GET", "/api/v3/depth?symbol=BTCUSDT&symbol=ETHUSDT", 400, -1101),
        ("GET", "/api/v3/depth?symbol=BTC%55SDT&color=red", 400, -1104),
        ("GET", "/api/v3/depth?symbol=%FF", 400, -1100),
        ("GET", "/api/v3/depth?symbol=btcusdt", 400, -1100),
        ("GET", "/api/v3/depth?symbol=NONE", 400, -1121),
        ("GET", "/api/v3/depth?" + "&".join(f"p{n}=1" for n in range(65)), 400, -1101),
        ("GET", "/api/v3/account", 400, -1102),
        ("GET", "/api/v3/account?timestamp=1&signature=ab", 400, -1022),
    ],
)
def test_what_is_refused_says_so(client: RestClient, verb: str, target: str, status: int, code: int) -> None:
    answer = client.ask(verb, target)
    assert (answer.status, answer.body["code"]) == (status, code), answer.body
    assert answer.body["msg"]


def test_options_and_head(client: RestClient) -> None:
    public = client.ask("OPTIONS", "/api/v3/depth")
    assert (public.status, public.headers["allow"]) == (204, "GET, HEAD, OPTIONS")
    assert public.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-origin" not in client.ask("OPTIONS", "/api/v3/order").headers
    head = client.ask("HEAD", "/api/v3/time")
    assert (head.status, head.body) == (200, None)
    assert int(head.headers["content-length"]) > 10


def test_a_killed_gateway_comes_back_and_its_orders_are_there(exchange: Exchange, client: RestClient) -> None:
    assert client.signed("POST", "/api/v3/order", **LIMIT, newClientOrderId="survivor").status == 200
    life = exchange.child("web-0")
    os.kill(life, signal.SIGKILL)
    deadline = time.monotonic() + SECONDS_MAX
    while exchange.child("web-0") in (0, life):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    again = RestClient(exchange.http, client.key, client.secret)
    while True:
        try:
            found = again.signed("GET", "/api/v3/order", symbol="BTCUSDT", origClientOrderId="survivor")
            break
        except OSError:  # it does not listen yet
            again.close()
            assert time.monotonic() < deadline
            time.sleep(0.02)
    assert (found.status, found.body["status"]) == (200, "NEW")
    assert again.signed("DELETE", "/api/v3/openOrders", symbol="BTCUSDT").status == 200
    again.close()
