"""Streams of the web gateway against a real exchange, read by a WebSocket client of another make."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import websockets
from exchange import Exchange, running
from feed_ends import Book
from web_client import RestClient, Stream

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
