"""The client's address behind proxies: whose header is believed, and that weights, bans, allowlists and connections
go by it. The test's sockets are the proxies: those from 127.0.0.1 are trusted, those from 127.0.0.2 are not."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from exchange import Exchange, running
from web_client import RestClient, Stream
from websockets.exceptions import InvalidStatus

from ringex.adminclient import request
from ringex.config import Settings
from ringex.gateways.web.proxies import NotAnAddress, client_of

TRUSTED = ("10.0.0.0/8", "2001:db8:1::/48")
CONFIG = """
trusted_proxies = ["10.0.0.0/8"]  # the option wins over it

[rate_limits]
weight_per_address = 45
connections_per_address = 2
ban_after = 1
"""
HEAVY = "/api/v3/exchangeInfo"
"""It weighs 20."""


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        (b"", "10.0.0.1"),
        (b"203.0.113.7", "203.0.113.7"),
        (b"203.0.113.7, 10.0.0.9", "203.0.113.7"),
        (b"198.51.100.1,203.0.113.7,10.0.0.9 ,  10.0.0.8", "203.0.113.7"),
        (b"nonsense, 203.0.113.7", "203.0.113.7"),
        (b"10.0.0.3, 10.0.0.2", "10.0.0.3"),
        (b"203.0.113.7:443", "203.0.113.7"),
        (b"2001:db8:2::1", "2001:db8:2::1"),
        (b"2001:db8:2::1, 2001:db8:1::1", "2001:db8:2::1"),
        (b"[2001:db8:2::1]:443", "2001:db8:2::1"),
        (b"::ffff:203.0.113.7", "203.0.113.7"),
    ],
)
def test_the_last_address_that_is_no_proxy_is_the_client(forwarded: bytes, client: str) -> None:
    assert client_of(forwarded, "10.0.0.1", TRUSTED) == client


@pytest.mark.parametrize("forwarded", [b"unknown", b"203.0.113.7, ", b"_hidden, 10.0.0.1", b"1.2.3.4.5", b"\xff"])
def test_what_a_proxy_would_never_write(forwarded: bytes) -> None:
    with pytest.raises(NotAnAddress, match=r"is no address\. IP addresses are read"):
        client_of(forwarded, "10.0.0.1", TRUSTED)


@dataclass
class Proxy:
    """A kept connection that speaks for many clients."""

    connection: http.client.HTTPConnection

    def ask(self, target: str, *forwarded: str, **headers: str) -> tuple[int, Any]:
        self.connection.putrequest("GET", target)
        for value in forwarded:
            self.connection.putheader("X-Forwarded-For", value)
        for name, text in headers.items():
            self.connection.putheader(name, text)
        self.connection.endheaders()
        response = self.connection.getresponse()
        return response.status, json.loads(response.read())


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    folder: Path = tmp_path_factory.mktemp("proxies")
    (folder / "proxies.toml").write_text(CONFIG)
    options = ("--config", str(folder / "proxies.toml"), "--trusted-proxy", "127.0.0.1/32")
    with running(folder, *options, web=True) as started:
        yield started


@pytest.fixture
def proxy(exchange: Exchange) -> Iterator[Proxy]:
    connection = http.client.HTTPConnection(exchange.http, timeout=10)
    yield Proxy(connection)
    connection.close()


def early_in_a_minute() -> None:
    """Windows are minutes of the clock: a test that counts in one must not begin at its end."""
    left = 60 - time.time() % 60
    if left < 15:
        time.sleep(left)


def test_weights_and_bans_are_of_the_client(proxy: Proxy) -> None:
    early_in_a_minute()
    asked = [proxy.ask(HEAVY, "203.0.113.7")[0] for _ in range(2)]
    asked.append(proxy.ask(HEAVY, "203.0.113.8, 203.0.113.7")[0])  # it cannot be another by saying so
    asked.append(proxy.ask(HEAVY, "203.0.113.8", "203.0.113.7")[0])  # nor in two lines
    assert asked == [200, 200, 429, 418]
    assert proxy.ask("/api/v3/ping", "203.0.113.7")[0] == 418
    assert proxy.ask("/api/v3/ping", "203.0.113.8")[0] == 200, (
        "another client of the same proxy, on the same connection"
    )
    assert proxy.ask("/api/v3/ping", "203.0.113.7, 127.0.0.1")[0] == 418
    assert proxy.ask("/api/v3/ping")[0] == 200, "the proxy itself, which is of this machine, and exempt"


def test_a_header_that_no_proxy_writes_is_refused(proxy: Proxy) -> None:
    status, body = proxy.ask("/api/v3/ping", "unknown")
    assert (status, body["code"]) == (400, -1135)
    assert body["msg"].startswith("X-Forwarded-For: 'unknown' is no address")


def test_who_is_not_trusted_is_not_believed(exchange: Exchange) -> None:
    stranger = http.client.HTTPConnection(exchange.http, timeout=10, source_address=("127.0.0.2", 0))
    asked = [Proxy(stranger).ask(HEAVY, "203.0.113.20")[0] for _ in range(4)]
    assert asked == [200] * 4, "127.0.0.2 itself counts, and is exempt"
    assert Proxy(stranger).ask("/api/v3/ping", "unknown")[0] == 200, "the header is not even read"
    stranger.close()


def test_allowlists_of_keys_are_of_the_client(exchange: Exchange) -> None:
    endpoint = Settings(exchange.data).admin_endpoint
    made = request(endpoint, "admin.keys.create", {"account": "demo", "addresses": ["203.0.113.0/28"]})
    client = RestClient(exchange.http, made["apiKey"], made["secretKey"])
    text = f"timestamp={int(time.time() * 1000)}"
    target = f"/api/v3/account?{text}&signature={client.sign(text)}"
    assert client.ask("GET", target, **{"X-Forwarded-For": "203.0.113.9"}).status == 200
    refused = client.ask("GET", target, **{"X-Forwarded-For": "203.0.113.99"})
    assert (refused.status, refused.body["code"]) == (401, -2015)
    assert refused.body["msg"].endswith("The key is not used from 203.0.113.99.")
    client.close()


def test_connections_are_of_the_client(exchange: Exchange) -> None:
    def socket(address: str) -> Stream:
        return Stream(exchange.http, "/ws-api/v3", additional_headers={"X-Forwarded-For": address})

    held = [socket("203.0.113.30"), socket("203.0.113.30")]
    with pytest.raises(InvalidStatus) as refused:
        socket("203.0.113.30")
    assert refused.value.response.status_code == 429
    assert b"At most 2 of one address may be open" in (refused.value.response.body or b"")
    held += [socket("203.0.113.31") for _ in range(2)]
    held.pop(0).socket.close()
    deadline = time.monotonic() + 10
    while True:  # until the gateway has seen the end of the first one
        try:
            held.append(socket("203.0.113.30"))
            break
        except InvalidStatus:
            assert time.monotonic() < deadline
    plain = [http.client.HTTPConnection(exchange.http, timeout=10) for _ in range(5)]
    assert all(Proxy(one).ask("/api/v3/ping", "203.0.113.30")[0] == 200 for one in plain), "a proxy has its own"
    for one in plain:
        one.close()
    for stream in held:
        stream.socket.close()
