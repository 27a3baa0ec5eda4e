"""Times in microseconds, for who asks for them: the same moments as in milliseconds, in every reply and message."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from exchange import Exchange, running, sign
from web_client import RestClient, Stream

from ringex.gateways.errors import Refusal
from ringex.gateways.times import MICROSECOND_NS, MILLISECOND_NS, in_unit, shown, unit_named

LIMIT = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01"}
DAY_MS = 86_400_000
NOW_KEYS = frozenset(("serverTime", "updateTime", "closeTime", "openTime", "connectedSince"))
"""Fields that say when it was asked."""
QUERIES = (
    *("time", "exchangeInfo?symbol=BTCUSDT", "trades?symbol=BTCUSDT", "historicalTrades?symbol=BTCUSDT"),
    *("aggTrades?symbol=BTCUSDT", "klines?symbol=BTCUSDT&interval=1d", "uiKlines?symbol=BTCUSDT&interval=1d"),
    *("avgPrice?symbol=BTCUSDT", "ticker?symbol=BTCUSDT", "ticker/24hr", "ticker/tradingDay?symbol=BTCUSDT"),
)
SIGNED = (
    *(("account", {}), ("openOrders", {}), ("allOrders", {"symbol": "BTCUSDT"}), ("myTrades", {"symbol": "BTCUSDT"})),
    ("order", {"symbol": "BTCUSDT", "origClientOrderId": "resting"}),
)
FINE = {"X-MBX-TIME-UNIT": "MICROSECOND"}


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    folder: Path = tmp_path_factory.mktemp("units")
    with running(folder, web=True) as started:
        yield started


@pytest.fixture(scope="module")
def client(exchange: Exchange) -> Iterator[RestClient]:
    """One that has traded, with itself, and has an order that rests."""
    key = exchange.keys()[0]
    made = RestClient(exchange.http, key["api_key"], key["secret"])
    assert made.signed("POST", "/api/v3/order", **LIMIT, price="20000", newClientOrderId="resting").status == 200
    assert made.signed("POST", "/api/v3/order", **LIMIT, price="25000").status == 200
    sell = {"symbol": "BTCUSDT", "side": "SELL", "type": "MARKET", "quantity": "0.005"}
    assert made.signed("POST", "/api/v3/order", **sell).body["status"] == "FILLED"
    yield made
    made.close()


def agree(coarse: Any, fine: Any, key: str = "") -> int:
    """How many times are in two answers that are the same but for their unit."""
    if isinstance(coarse, dict):
        assert coarse.keys() == fine.keys()
        return sum(agree(coarse[name], fine[name], name) for name in coarse)
    if isinstance(coarse, list):
        assert len(coarse) == len(fine)
        return sum(agree(one, other, key) for one, other in zip(coarse, fine, strict=True))
    if type(coarse) is int and 10**12 <= coarse < 10**13:  # a time between 2001 and 2286
        later_ms = fine // 1000 - coarse
        assert later_ms == 0 or (key in NOW_KEYS and 0 <= later_ms < 3 * 60_000), (key, coarse, fine)
        return 1
    assert coarse == fine
    return 0


def test_a_unit_is_of_what_is_being_made() -> None:
    assert shown(1_234_567_890_123) == 1_234_567
    with in_unit(MICROSECOND_NS):
        assert shown(1_234_567_890_123) == 1_234_567_890
    assert shown(1_234_567_890_123) == 1_234_567
    assert (unit_named("MICROSECOND"), unit_named("microsecond")) == (MICROSECOND_NS, MICROSECOND_NS)
    assert unit_named("millisecond") == MILLISECOND_NS
    with pytest.raises(Refusal, match="MILLISECOND or MICROSECOND"):
        unit_named("SECOND")


@pytest.mark.parametrize("target", QUERIES)
def test_public_queries(client: RestClient, target: str) -> None:
    coarse, fine = client.ask("GET", f"/api/v3/{target}"), client.ask("GET", f"/api/v3/{target}", **FINE)
    assert (coarse.status, fine.status) == (200, 200), coarse.body
    assert agree(coarse.body, fine.body) > 0


def asked(client: RestClient, verb: str, path: str, params: dict[str, Any], **headers: str) -> Any:
    text = "&".join(f"{name}={value}" for name, value in {**params, "timestamp": int(time.time() * 1000)}.items())
    answer = client.ask(verb, f"{path}?{text}&signature={client.sign(text)}", **headers)
    assert answer.status == 200, answer.body
    return answer.body


@pytest.mark.parametrize(("path", "params"), SIGNED)
def test_signed_queries(client: RestClient, path: str, params: dict[str, Any]) -> None:
    coarse, fine = (asked(client, "GET", f"/api/v3/{path}", params, **headers) for headers in ({}, FINE))
    assert agree(coarse, fine) > 0


def test_an_order_and_its_query_agree(client: RestClient) -> None:
    placed = asked(client, "POST", "/api/v3/order", LIMIT | {"price": "21000", "newOrderRespType": "RESULT"}, **FINE)
    which = {"symbol": "BTCUSDT", "orderId": placed["orderId"]}
    found = asked(client, "GET", "/api/v3/order", which, **FINE)
    assert placed["transactTime"] == placed["workingTime"] == found["time"] == found["workingTime"]
    assert 10**15 < placed["transactTime"] < 10**16
    coarse = asked(client, "GET", "/api/v3/order", which)
    assert coarse["time"] == placed["transactTime"] // 1000
    refused = client.ask("GET", "/api/v3/time", **{"X-MBX-TIME-UNIT": "HOUR"})
    assert (refused.status, refused.body["code"]) == (400, -1130)


def test_spans_may_be_sent_in_either(client: RestClient) -> None:
    (order,) = [
        o for o in asked(client, "GET", "/api/v3/allOrders", {"symbol": "BTCUSDT"}, **FINE) if o["type"] == "MARKET"
    ]
    at_us = order["time"]
    for start, end, found in ((at_us, at_us, True), (at_us + 1, at_us + DAY_MS, False), (at_us // 1000, at_us, True)):
        span = {"symbol": "BTCUSDT", "startTime": start, "endTime": end}
        orders = asked(client, "GET", "/api/v3/allOrders", span)
        assert [o["orderId"] for o in orders if o["type"] == "MARKET"] == ([order["orderId"]] if found else [])


def test_the_websocket_api_and_its_user_stream(exchange: Exchange, client: RestClient) -> None:
    key = exchange.keys()[0]

    def signed(**params: Any) -> dict[str, Any]:
        whole = {"apiKey": key["api_key"], "timestamp": int(time.time() * 1000), **params}
        return whole | {"signature": sign(key["secret"], whole)}

    def call(stream: Stream, method: str, params: dict[str, Any]) -> Any:
        stream.socket.send(json.dumps({"id": 1, "method": method, "params": params}))
        reply = stream.until(lambda message: "id" in message)
        assert reply["status"] == 200, reply
        return reply["result"]

    with (
        Stream(exchange.http, "/ws-api/v3") as coarse,
        Stream(exchange.http, "/ws-api/v3?timeUnit=microsecond&returnRateLimits=false") as fine,
    ):
        assert agree(call(coarse, "time", {}), call(fine, "time", {})) == 1
        for stream in (coarse, fine):
            call(stream, "userDataStream.subscribe.signature", signed())
        order = signed(**LIMIT, price="22000", newOrderRespType="RESULT")
        fine.socket.send(json.dumps({"id": 2, "method": "order.place", "params": order}))
        messages = [fine.next() for _ in range(3)]  # the reply, and two events
        placed = next(message["result"] for message in messages if "id" in message)
        reports = [
            next(m["event"] for m in told if "event" in m and m["event"]["e"] == "executionReport")
            for told in ([coarse.next(), coarse.next()], messages)
        ]
        assert agree(*reports) >= 4, "E, T, O and W"
        assert reports[1]["T"] == reports[1]["O"] == reports[1]["W"] == placed["transactTime"]
        exchange_ms, exchange_us = (call(stream, "session.status", {})["connectedSince"] for stream in (coarse, fine))
        assert exchange_ms < 10**13 < 10**15 < exchange_us
