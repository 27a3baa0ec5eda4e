"""Streams of the web gateway against a real exchange, read by a WebSocket client of another make."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import websockets
from exchange import Exchange, running
from feed_ends import Book
from web_client import SECONDS_MAX, RestClient, Stream

from ringex.messages import commands
from ringex.terms import CommandKind, OrderType, Side, TimeInForce

LIMIT = {"symbol": "BTCUSDT", "type": "LIMIT", "timeInForce": "GTC"}


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    folder: Path = tmp_path_factory.mktemp("streams")
    with running(folder, web=True) as started:
        yield started


@pytest.fixture
def client(exchange: Exchange) -> Iterator[RestClient]:
    key = exchange.keys()[0]
    made = RestClient(exchange.http, key["api_key"], key["secret"])
    yield made
    made.signed("DELETE", "/api/v3/openOrders", symbol="BTCUSDT")
    made.close()


def order(client: RestClient, side: str, price: str, quantity: str, **more: Any) -> dict[str, Any]:
    answer = client.signed("POST", "/api/v3/order", **LIMIT, side=side, price=price, quantity=quantity, **more)
    assert answer.status == 200, answer.body
    body: dict[str, Any] = answer.body
    return body


def trade(client: RestClient, price: str, quantity: str) -> dict[str, Any]:
    order(client, "SELL", price, quantity)
    return order(client, "BUY", price, quantity)


def test_raw_and_combined_streams_by_address(exchange: Exchange, client: RestClient) -> None:
    with (
        Stream(exchange.http, "/ws/btcusdt@trade") as raw,
        Stream(exchange.http, "/ws/btcusdt@trade/btcusdt@aggTrade") as both,
        Stream(exchange.http, "/stream?streams=btcusdt@trade/btcusdt%40aggTrade&timeUnit=MICROSECOND") as combined,
    ):
        fill = trade(client, "25000", "0.01")["fills"][0]
        found = raw.next()
        assert (found["e"], found["t"], found["p"], found["q"]) == (
            "trade",
            fill["tradeId"],
            fill["price"],
            fill["qty"],
        )
        assert [both.next()["e"] for _ in range(2)] == ["trade", "aggTrade"]
        first, second = combined.next(), combined.next()
        assert (first["stream"], second["stream"]) == ("btcusdt@trade", "btcusdt@aggTrade")
        assert first["data"]["T"] // 1000 == found["T"]
        assert second["data"]["f"] == second["data"]["l"] == fill["tradeId"]


@pytest.mark.parametrize("target", ["/ws", "/ws/", "/ws/7", "/stream", "/stream?streams=", "/stream?streams"])
def test_streams_are_subscribed_to_afterwards(exchange: Exchange, client: RestClient, target: str) -> None:
    with Stream(exchange.http, target) as stream:
        assert stream.ask("LIST_SUBSCRIPTIONS") == {"result": [], "id": 1}
        assert stream.ask("GET_PROPERTY", ["combined"])["result"] is target.startswith("/stream")
        assert stream.ask("SUBSCRIBE", ["btcusdt@trade"], 2) == {"result": None, "id": 2}
        price = trade(client, "24900", "0.01")["fills"][0]["price"]
        message = stream.next()
        assert (message["data"] if target.startswith("/stream") else message)["p"] == price
        assert stream.ask("UNSUBSCRIBE", ["btcusdt@trade"]) == {"result": None, "id": 1}


@pytest.mark.parametrize(
    ("target", "part"),
    [("/ws/@@@", "is no stream"), ("/stream?streams=a@b@", "is no stream"), ("/ws?timeUnit=HOUR", "timeUnit")],
)
def test_an_address_that_names_no_stream_is_refused(exchange: Exchange, target: str, part: str) -> None:
    with pytest.raises(websockets.exceptions.InvalidStatus) as caught:
        Stream(exchange.http, target)
    assert caught.value.response.status_code == 400
    assert part in caught.value.response.body.decode()


def test_a_book_kept_from_a_stream_is_the_one_that_queries_show(exchange: Exchange, client: RestClient) -> None:
    with (
        Stream(exchange.http, "/ws/btcusdt@depth@100ms") as fast,
        Stream(exchange.http, "/ws/btcusdt@depth") as slow,
        Stream(exchange.http, "/ws/btcusdt@depth5@100ms") as levels,
    ):
        first = levels.next()
        books = Book(), Book()
        for step in range(6):
            order(client, "BUY", f"{20000 + step}", "0.01")
            trade(client, f"{21000 + step}", "0.01")
        snapshot = client.ask("GET", "/api/v3/depth?symbol=BTCUSDT&limit=5000").body
        for step in range(3):
            order(client, "SELL", f"{30000 + step}", "0.02")
        client.signed("DELETE", "/api/v3/openOrders", symbol="BTCUSDT")
        order(client, "SELL", "31000", "0.03")
        last = client.ask("GET", "/api/v3/depth?symbol=BTCUSDT&limit=5000").body
        for stream, book in zip((fast, slow), books, strict=True):
            messages = 0
            while not book.update_id or book.update_id < last["lastUpdateId"]:
                message = stream.next()
                book.take(message)
                messages += 1
                if not book.update_id and message["u"] >= snapshot["lastUpdateId"]:
                    book.load(snapshot)
            assert messages >= 1
            assert book.update_id == last["lastUpdateId"]
            assert book.sides == {"b": dict(last["bids"]), "a": dict(last["asks"])}
        whole = levels.until(lambda message: message["lastUpdateId"] == last["lastUpdateId"])
        assert (whole["bids"], whole["asks"]) == (last["bids"][:5], last["asks"][:5])
        assert first["lastUpdateId"] < last["lastUpdateId"]


def test_tickers_and_candles_say_what_queries_say(exchange: Exchange, client: RestClient) -> None:
    trade(client, "26000", "0.01")
    names = ["btcusdt@ticker", "btcusdt@miniTicker", "btcusdt@kline_1m", "btcusdt@avgPrice", "btcusdt@bookTicker"]
    with Stream(exchange.http, "/stream?streams=" + "/".join(names)) as stream:
        first = {message["stream"]: message["data"] for message in (stream.next() for _ in names)}
        assert set(first) == set(names), "newcomers are told at once how things stand"
        last = trade(client, "26500", "0.02")["fills"][0]
        changed = stream.until(lambda message: message["data"].get("L") == last["tradeId"])
        assert changed["data"]["c"] == last["price"]
        candle = stream.until(lambda m: m["stream"] == "btcusdt@kline_1m" and m["data"]["k"]["L"] == last["tradeId"])
        assert candle["data"]["k"]["c"] == last["price"]
        day = client.ask("GET", "/api/v3/ticker/bookTicker?symbol=BTCUSDT").body
        assert first["btcusdt@bookTicker"]["s"] == day["symbol"]


def test_who_sends_too_much_is_told_so(exchange: Exchange) -> None:
    with Stream(exchange.http, "/ws") as stream:

        def ask_and_ask() -> None:
            for _ in range(1000):
                stream.ask("LIST_SUBSCRIPTIONS")

        with pytest.raises(websockets.exceptions.ConnectionClosed) as caught:
            ask_and_ask()
        assert caught.value.rcvd is not None
        assert (caught.value.rcvd.code, "messages a second" in caught.value.rcvd.reason) == (1008, True)


def upgraded(address: str, target: str, receive_bytes: int = 0) -> socket.socket:
    """A socket behind the handshake of a WebSocket; what comes from then on are frames."""
    host, _, port = address.rpartition(":")
    peer = socket.socket()
    if receive_bytes:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    peer.settimeout(SECONDS_MAX)
    peer.connect((host, int(port)))
    lines = [f"GET {target} HTTP/1.1", "Host: x", "Upgrade: websocket", "Connection: Upgrade"]
    lines += ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "", ""]
    peer.sendall("\r\n".join(lines).encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += peer.recv(1)
    assert head.startswith(b"HTTP/1.1 101"), head
    return peer


def frames_of(data: bytes) -> list[tuple[int, bytes]]:
    """(opcode, payload) of whole frames; of what is not there in full, nothing."""
    found, at = [], 0
    while len(data) - at >= 2:
        length, start = data[at + 1], at + 2
        if length == 126:
            length, start = int.from_bytes(data[at + 2 : at + 4], "big"), at + 4
        if start + length > len(data):
            break
        found.append((data[at] & 15, data[start : start + length]))
        at = start + length
    return found


def test_a_thousand_subscribers_get_the_same(exchange: Exchange, client: RestClient) -> None:
    peers = [upgraded(exchange.http, "/ws/btcusdt@depth@100ms") for _ in range(1000)]
    for step in range(5):
        order(client, "BUY", f"{15000 + step}", "0.01")
    last = client.ask("GET", "/api/v3/depth?symbol=BTCUSDT&limit=5").body["lastUpdateId"]
    end = f'"u":{last},'.encode()
    found = set()
    for peer in peers:
        data = b""
        while end not in data or not data.endswith(b"}"):
            data += peer.recv(1 << 16)
        found.add(data)
        peer.close()
    assert len(found) == 1
    (data,) = found
    messages = [json.loads(payload) for _, payload in frames_of(data)]
    assert all(later["U"] == before["u"] + 1 for before, later in pairwise(messages))


def test_a_reader_that_stops_reading_is_closed_with_a_reason_and_the_others_get_all(exchange: Exchange) -> None:
    slow = upgraded(exchange.http, "/stream?streams=btcusdt@trade/btcusdt@aggTrade", receive_bytes=4096)
    quick = Stream(exchange.http, "/ws/btcusdt@trade", max_size=None)
    rounds, makers = 16, 2000
    trades: list[int] = []

    def read() -> None:
        while len(trades) < rounds * makers:
            trades.append(quick.next()["t"])

    reading = threading.Thread(target=read)
    reading.start()
    with exchange.client("demo") as trader:
        assert trader.call("session.logon", trader.signed({}))["status"] == 200
        for _ in range(rounds):
            orders = commands(makers + 1)
            orders["kind"], orders["market"] = CommandKind.PLACE, 0
            orders["side"], orders["order_type"] = Side.SELL, OrderType.LIMIT
            orders["time_in_force"] = TimeInForce.GTC
            orders["price"], orders["quantity"] = 2_000_000 + np.arange(makers + 1), 100
            orders["side"][-1], orders["quantity"][-1] = Side.BUY, 100 * makers
            answered = trader.records(orders)
            assert answered == makers + 1
    reading.join(SECONDS_MAX)
    assert not reading.is_alive() and trades == list(range(trades[0], trades[0] + rounds * makers))
    quick.close()
    data = b""
    while part := slow.recv(1 << 20):
        data += part
    *_, (opcode, payload) = frames_of(data)
    assert (opcode, int.from_bytes(payload[:2], "big")) == (8, 1008), (opcode, payload[:80])
    assert b"wait to be read" in payload
    shown = [json.loads(text)["data"]["t"] for code, text in frames_of(data) if code == 1 and b'"e":"trade"' in text]
    assert shown == list(range(shown[0], shown[0] + len(shown))), "what it was sent has no gap"
    assert len(shown) < rounds * makers


def test_a_planned_stop_is_announced(tmp_path: Path) -> None:
    with (
        running(tmp_path, web=True) as exchange,
        Stream(exchange.http, "/ws/btcusdt@trade") as raw,
        Stream(exchange.http, "/stream") as combined,
        Stream(exchange.http, "/ws-api/v3") as api,
    ):
        exchange.stop()
        assert raw.next()["e"] == "serverShutdown"
        message = combined.next()
        assert (message["stream"], message["data"]["e"]) == ("!serverShutdown", "serverShutdown")
        assert api.next()["event"]["e"] == "serverShutdown"
        with pytest.raises(websockets.exceptions.ConnectionClosed) as caught:
            raw.next()
        assert caught.value.rcvd is not None and caught.value.rcvd.code == 1001
