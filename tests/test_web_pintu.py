"""Pintu Pro's envelope over HTTP and WebSocket, against a running exchange; the signature is written here anew."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from exchange import Exchange, running
from web_client import RestClient
from web_exchange import web_running
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as connect_socket

from ringex.gateways.web.pintu import sockets

SECONDS_MAX = 20.0
ORDER = {
    "symbol": "BTC-IDR",
    "side": "BUY",
    "type": "LIMIT",
    "time_in_force": "GTC",
    "price": "900000000",
    "size": "0.01",
}


class Pintu:
    """Signs and sends."""

    def __init__(self, exchange: Exchange, account: str) -> None:
        keys = exchange.keys()
        key = next(key for key in keys if key["account"] == account)
        self.key, self.secret = key["api_key"], key["secret"]
        self.address = exchange.http
        self._rest = RestClient(exchange.http)

    def envelope(self, method: str, params: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
        sent = {
            "request_id": str(uuid.uuid4()),
            "timestamp": int(time.time() * 1000),
            "method": method,
            "api_key": self.key,
            "params": params or {},
        } | changes
        text = sent["request_id"] + str(sent["timestamp"]) + method + self.key + flattened(sent["params"])
        sent.setdefault("signature", hmac.new(self.secret.encode(), text.encode(), hashlib.sha256).hexdigest())
        return sent

    def post(self, method: str, params: dict[str, Any] | None = None, **changes: Any) -> tuple[int, dict[str, Any]]:
        sent = self.envelope(f"private/{method}", params, **changes)
        answer = self._rest.ask("POST", f"/v1/private/{method}", json.dumps(sent))
        assert answer.body["request_id"] == sent["request_id"]
        assert answer.body["method"] == f"private/{method}"
        return answer.status, answer.body

    def data(self, method: str, **params: Any) -> Any:
        status, body = self.post(method, params)
        assert (status, body["code"], body["message"]) == (200, 0, "SUCCESS"), body
        return body["data"]

    def close(self) -> None:
        self._rest.close()

    def get(self, target: str) -> tuple[int, dict[str, Any]]:
        answer = self._rest.ask("GET", f"/v1/public/{target}")
        return answer.status, answer.body


def flattened(value: Any) -> str:
    if isinstance(value, dict):
        return "".join(name + flattened(value[name]) for name in sorted(value))
    if isinstance(value, list):
        return "".join(map(flattened, value))
    return str(value)


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    folder: Path = tmp_path_factory.mktemp("pintu")
    with running(folder, web=True) as started:
        for words in (
            ("account", "create", "taker"),
            ("account", "deposit", "taker", "BTC", "10"),
            ("account", "deposit", "taker", "IDR", "100000000000"),
            ("key", "create", "--account", "taker"),
        ):
            done = started.command(*words, "--data", str(started.data))
            assert done.returncode == 0, done.stderr
        yield started


@pytest.fixture
def maker(exchange: Exchange) -> Iterator[Pintu]:
    client = Pintu(exchange, "demo")
    yield client
    client.post("cancel-all-orders", {"symbol": "BTC-IDR"})


@pytest.fixture
def taker(exchange: Exchange) -> Iterator[Pintu]:
    client = Pintu(exchange, "taker")
    yield client
    client.post("cancel-all-orders", {"symbol": "BTC-IDR"})


def test_the_whole_life_of_an_order(maker: Pintu, taker: Pintu) -> None:
    name = str(uuid.uuid4())
    placed = maker.data("place-order", **ORDER, client_order_id=name)
    assert placed["client_order_id"] == name and placed["order_id"].isdigit()
    resting = maker.data("get-order-details", symbol="BTC-IDR", order_id=placed["order_id"])
    assert (resting["status"], resting["symbol"], resting["type"]) == ("PLACED", "BTC-IDR", "LIMIT")
    assert (resting["size"], resting["cum_size"], resting["cum_price"]) == ("0.01000000", "0.00000000", "0.00000000")
    status, book = maker.get("get-book?symbol=BTC-IDR&depth=10")
    assert (status, book["data"]["bids"]) == (200, [["900000000.00000000", "0.01000000"]])

    taker.data("place-order", symbol="BTC-IDR", side="SELL", type="MARKET", size="0.004")
    partly = maker.data("get-order-details", symbol="BTC-IDR", client_order_id=name)
    assert (partly["status"], partly["cum_size"]) == ("PARTIALLY_FILLED", "0.00400000")
    assert (partly["cum_price"], partly["cum_value"]) == ("900000000.00000000", "3600000.00000000")
    assert [order["order_id"] for order in maker.data("get-open-orders", symbol="BTC-IDR")["orders"]] == [
        placed["order_id"]
    ]
    (trade,) = maker.data("get-trade-history", symbol="BTC-IDR", page_size=1)["trades"]
    assert (trade["order_id"], trade["side"], trade["fee_type"]) == (placed["order_id"], "BUY", "maker")
    assert maker.get("get-trades?symbol=BTC-IDR")[1]["data"]["trades"][0]["side"] == "SELL"

    canceled = maker.data("cancel-order", symbol="BTC-IDR", client_order_id=name)
    assert canceled["order_id"] == placed["order_id"]
    history = maker.data("get-order-history", symbol="BTC-IDR")
    assert (history["orders"][0]["order_id"], history["orders"][0]["status"]) == (placed["order_id"], "CANCELED")
    status, body = maker.post("cancel-order", {"symbol": "BTC-IDR", "client_order_id": name})
    assert (status, body["message"]) == (400, "BAD_REQUEST")
    assert body["reason"] == "-2011: Unknown order sent."


def test_a_market_buy_gives_what_it_spends_and_post_only_does_not_take(maker: Pintu, taker: Pintu) -> None:
    maker.data("place-order", **ORDER | {"side": "SELL", "price": "1000000000"})
    before = taker.data("get-account-information")["assets"]["idr"]
    assert set(before) == {"balance", "available", "order"}
    status, refused = taker.post("place-order", ORDER | {"price": "1000000000", "exec_inst": "POST_ONLY"})
    assert status == 400 and refused["reason"] == "-2010: Order would immediately match and take."
    bought = taker.data("place-order", symbol="BTC-IDR", side="BUY", type="MARKET", notional="5000000")
    order = taker.data("get-order-details", symbol="BTC-IDR", order_id=bought["order_id"])
    assert (order["status"], order["time_in_force"], order["cum_size"]) == ("FILLED", "", "0.00500000")
    posted = taker.data("place-order", **ORDER, exec_inst="POST_ONLY")
    shown = taker.data("get-order-details", symbol="BTC-IDR", order_id=posted["order_id"])
    assert (shown["type"], shown["exec_inst"]) == ("LIMIT", "POST_ONLY")
    after = taker.data("get-account-information")["assets"]["idr"]
    assert after["order"] == "9000000.00000000"


def test_pages_deal_out_a_history_the_latest_first(maker: Pintu) -> None:
    placed = [maker.data("place-order", **ORDER)["order_id"] for _ in range(3)]
    seen = [
        [
            order["order_id"]
            for order in maker.data("get-order-history", symbol="BTC-IDR", page=page, page_size=2)["orders"]
        ]
        for page in range(2)
    ]
    assert seen[0] == placed[:0:-1] and seen[1][0] == placed[0]
    assert sorted(maker.data("cancel-all-orders", symbol="BTC-IDR")["canceled"]) == sorted(placed)


def test_the_same_request_sent_twice_is_one_order(maker: Pintu) -> None:
    sent = maker.envelope("private/place-order", ORDER | {"client_order_id": "once"})
    client = RestClient(maker.address)
    first, second = (client.ask("POST", "/v1/private/place-order", json.dumps(sent)) for _ in range(2))
    client.close()
    assert first.body["data"] == second.body["data"]
    assert len(maker.data("get-open-orders")["orders"]) == 1


def test_symbols_reference_has_the_markets_rules(maker: Pintu) -> None:
    status, body = maker.get("get-symbols-reference")
    symbols = {one["symbol"]: one for one in body["data"]["symbols"]}
    assert status == 200 and symbols["BTC-IDR"]["quote"] == "IDR"
    assert symbols["BTC-USDT"]["price_tick_size"] == "0.01000000"


@pytest.mark.parametrize(
    ("method", "params", "changes", "status", "message", "words"),
    [
        ("place-order", ORDER, {"signature": "0" * 64}, 400, "UNAUTHORIZED", "-1022"),
        ("place-order", ORDER, {"api_key": "f" * 64}, 401, "UNAUTHORIZED", "-2015"),
        ("place-order", ORDER, {"timestamp": 1}, 400, "BAD_REQUEST", "ms behind; recvWindow is 10000 ms"),
        ("place-order", ORDER | {"symbol": "BTCIDR"}, {}, 400, "BAD_REQUEST", "It is written like BTC-IDR"),
        ("place-order", ORDER | {"volume": "1"}, {}, 400, "BAD_REQUEST", "Unknown: volume. Known: symbol"),
        ("place-order", ORDER | {"exec_inst": "X"}, {}, 400, "BAD_REQUEST", "must be POST_ONLY"),
        ("place-order", ORDER | {"price": {"a": 1}}, {}, 400, "BAD_REQUEST", "It must be a string"),
        ("cancel-order", {"symbol": "BTC-IDR"}, {}, 400, "BAD_REQUEST", "or client_order_id, says which order"),
        ("get-order-history", {"symbol": "BTC-IDR", "page": 99}, {}, 400, "BAD_REQUEST", "narrower span"),
        ("mine-bitcoin", {}, {}, 404, "BAD_REQUEST", "Methods are: public/get-symbols-reference"),
    ],
)
def test_refusals(
    maker: Pintu, method: str, params: dict[str, Any], changes: dict[str, Any], status: int, message: str, words: str
) -> None:
    found, body = maker.post(method, params, **changes)
    assert (found, body["message"]) == (status, message), body
    assert words in body["reason"] and body["code"] > 10_000


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"{",
        b"\xff",
        b"[" * 50000,
        b'{"params": []}',
        b'{"timestamp": 1.5}',
        b'{"method": 5}',
        b'{"method": "\\ud800"}',
        b'{"timestamp": 1e400}',
        b'{"timestamp": 123456789012345678901234567890}',
    ],
)
def test_what_is_no_envelope_is_answered(maker: Pintu, raw: bytes) -> None:
    client = RestClient(maker.address)
    answer = client.ask("POST", "/v1/private/place-order", raw)
    assert (answer.status, answer.body["message"]) == (400, "BAD_REQUEST")
    assert client.ask("GET", "/v1/private/place-order").status == 405
    client.close()


def send(socket: ClientConnection, message: dict[str, Any]) -> None:
    socket.send(json.dumps(message))


def receive(socket: ClientConnection, **wanted: Any) -> dict[str, Any]:
    """The next message with these values; others are skipped."""
    while True:
        message = json.loads(socket.recv(SECONDS_MAX))
        if all(message.get(name) == value for name, value in wanted.items()):
            return message  # type: ignore[no-any-return]


def subscribe(socket: ClientConnection, *channels: str) -> None:
    send(socket, {"request_id": "s", "timestamp": 1, "method": "subscribe", "params": {"channels": list(channels)}})
    for channel in channels:
        reply = receive(socket, method="subscribe")
        assert (reply["code"], reply["data"]["channel"]) == (0, channel), reply


def test_channels_and_methods_on_one_socket(maker: Pintu, taker: Pintu) -> None:
    with connect_socket(f"ws://{maker.address}/v1/ws") as socket:
        send(
            socket, {"request_id": "u", "timestamp": 1, "method": "subscribe", "params": {"channels": ["user.orders"]}}
        )
        refused = receive(socket, method="subscribe")
        assert (refused["message"], refused["data"]) == ("UNAUTHORIZED", {"channel": "user.orders"})
        send(socket, maker.envelope("public/auth"))
        assert receive(socket, method="public/auth")["code"] == 0
        book, trades = "aggrbook.snapshot.10.BTC-IDR", "trades.BTC-IDR"
        subscribe(socket, book, trades, "user.orders", "user.trades.BTC-IDR", "user.balance.snapshot")

        send(socket, maker.envelope("private/place-order", ORDER))
        order = receive(socket, channel="user.orders")["data"]["orders"][0]
        assert (order["status"], order["price"], order["symbol"]) == ("PLACED", "900000000.00000000", "BTC-IDR")
        shown = receive(socket, channel=book)
        while not shown["data"]["bids"]:
            shown = receive(socket, channel=book)
        assert shown["method"] == "subscription" and shown["data"]["bids"] == [["900000000.00000000", "0.01000000"]]

        taker.data("place-order", symbol="BTC-IDR", side="SELL", type="MARKET", size="0.004")
        found: dict[str, Any] = {}
        while len(found) < 4:
            message = json.loads(socket.recv(SECONDS_MAX))
            if message.get("method") == "subscription" and message["channel"] != book:
                found[message["channel"]] = message["data"]
        assert found[trades]["trades"][0]["side"] == "SELL"
        assert found["user.trades.BTC-IDR"]["trades"][0]["traded_size"] == "0.00400000"
        assert found["user.orders"]["orders"][0]["status"] == "PARTIALLY_FILLED"
        assert set(found["user.balance.snapshot"]["assets"]["btc"]) == {"balance", "available", "order"}

        send(socket, {"request_id": "x", "timestamp": 1, "method": "unsubscribe", "params": {"channels": [trades]}})
        assert receive(socket, method="unsubscribe")["data"] == {"channel": trades}
        send(socket, {"request_id": "b", "timestamp": 1, "method": "public/get-book", "params": {"symbol": "BTC-IDR"}})
        assert receive(socket, request_id="b")["data"]["symbol"] == "BTC-IDR"
        for channels in (["nothing"], ["trades.XXX-YYY"], ["aggrbook.snapshot.7.BTC-IDR"], [], [5], "trades.BTC-IDR"):
            send(socket, {"request_id": "w", "timestamp": 1, "method": "subscribe", "params": {"channels": channels}})
            assert receive(socket, request_id="w")["code"] == 10001


def test_a_revoked_key_ends_its_socket(exchange: Exchange) -> None:
    made = exchange.command("key", "create", "--account", "short", "--data", str(exchange.data))
    assert made.returncode == 0
    client = Pintu(exchange, "short")
    with connect_socket(f"ws://{client.address}/v1/ws") as socket:
        send(socket, client.envelope("public/auth"))
        assert receive(socket, method="public/auth")["code"] == 0
        subscribe(socket, "user.orders")
        assert exchange.command("key", "revoke", client.key, "--data", str(exchange.data)).returncode == 0
        with pytest.raises(ConnectionClosed, match="the user stream has ended"):
            socket.recv(SECONDS_MAX)


def test_heartbeats_must_be_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "HEARTBEAT_SECONDS", 0.0)
    monkeypatch.setattr(sockets, "ANSWER_SECONDS", 0.2)
    with web_running(tmp_path) as exchange, connect_socket(f"ws://{exchange.address}/v1/ws") as socket:
        for _ in range(3):
            asked = receive(socket, method="heartbeat-request")
            answer = {"request_id": asked["request_id"], "timestamp": 1, "method": "heartbeat-response"}
            send(socket, answer)
        receive(socket, method="heartbeat-request")
        with pytest.raises(ConnectionClosed, match="a heartbeat-request was not answered"):
            socket.recv(SECONDS_MAX)
        assert exchange.counts["heartbeats_missing"] == 1
