"""User streams against a real exchange: by listen key and by subscription, and resumed from where one was."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import websockets
from exchange import Exchange, running, sign
from web_client import RestClient, Stream

LIMIT = {"symbol": "BTCUSDT", "type": "LIMIT", "timeInForce": "GTC"}
STREAM = "/api/v3/userDataStream"


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    folder: Path = tmp_path_factory.mktemp("users")
    with running(folder, web=True) as started:
        yield started


@pytest.fixture
def client(exchange: Exchange) -> Iterator[RestClient]:
    made = connected(exchange)
    yield made
    made.signed("DELETE", "/api/v3/openOrders", symbol="BTCUSDT")
    made.close()


def connected(exchange: Exchange) -> RestClient:
    key = exchange.keys()[0]
    return RestClient(exchange.http, key["api_key"], key["secret"])


def place(client: RestClient, side: str, price: str, quantity: str = "0.01") -> dict[str, Any]:
    answer = client.signed("POST", "/api/v3/order", **LIMIT, side=side, price=price, quantity=quantity)
    assert answer.status == 200, answer.body
    body: dict[str, Any] = answer.body
    return body


def listen_key(client: RestClient) -> str:
    answer = client.ask("POST", STREAM)
    assert answer.status == 200, answer.body
    return str(answer.body["listenKey"])


class UserStream:
    """A stream over the WebSocket API: what it was told."""

    def __init__(self, exchange: Exchange, **params: Any) -> None:
        key = exchange.keys()[0]
        self.stream = Stream(exchange.http, "/ws-api/v3")
        whole = {"apiKey": key["api_key"], "timestamp": int(time.time() * 1000), **params}
        whole["signature"] = sign(key["secret"], whole)
        self.reply = self.stream.ask("userDataStream.subscribe.signature", whole)
        self.told: list[dict[str, Any]] = []

    def read_to(self, sequence: int) -> None:
        """Read on until the report of an event with that sequence, and its last one, has come."""
        while not self.told or self.told[-1]["sequence"] < sequence or "more" in self.told[-1]:
            message = self.stream.next()
            assert message["subscriptionId"] == self.reply["result"]["subscriptionId"]
            self.told.append(message["event"])

    def close(self) -> None:
        self.stream.close()


def newest(exchange: Exchange, client: RestClient) -> int:
    """The sequence of the last report of the account: of an order made now."""
    with Stream(exchange.http, f"/ws/{listen_key(client)}") as stream:
        place(client, "BUY", "11000.00")
        message = stream.until(lambda m: m["e"] == "outboundAccountPosition")
        return int(message["sequence"])


def test_a_listen_key_brings_the_accounts_events(exchange: Exchange, client: RestClient) -> None:
    key = listen_key(client)
    assert listen_key(client) == key
    with (
        Stream(exchange.http, f"/ws/{key}") as raw,
        Stream(exchange.http, f"/stream?streams={key}/btcusdt@trade") as combined,
        Stream(exchange.http, "/ws") as later,
        Stream(exchange.http, f"/ws/{key}?timeUnit=MICROSECOND") as fine,
    ):
        assert later.ask("SUBSCRIBE", [key])["result"] is None
        placed = place(client, "BUY", "20000")
        report = raw.next()
        assert (report["e"], report["x"], report["i"], report["N"]) == (
            "executionReport",
            "NEW",
            placed["orderId"],
            None,
        )
        assert report["sequence"] > 0 and report["more"] is True
        position = raw.next()
        assert position["e"] == "outboundAccountPosition" and position["B"][0]["a"] == "USDT"
        assert position["sequence"] == report["sequence"] and "more" not in position
        wrapped = combined.next()
        assert wrapped == {"stream": key, "data": report}
        assert later.next() == report
        precise = fine.next()
        assert (precise["E"] // 1000, precise["T"] // 1000, precise["O"] // 1000) == (
            report["E"],
            report["T"],
            report["O"],
        )
        place(client, "SELL", "20000")
        assert combined.until(lambda m: m["stream"] == "btcusdt@trade")["data"]["p"] == "20000.00000000"
        trades = [raw.until(lambda m: m.get("x") == "TRADE") for _ in range(2)]
        assert {trade["m"] for trade in trades} == {True, False}


def test_listen_keys_are_kept_and_stopped(exchange: Exchange, client: RestClient) -> None:
    key = listen_key(client)
    assert client.ask("PUT", f"{STREAM}?listenKey={key}").body == {}
    with Stream(exchange.http, f"/ws/{key}") as stream:
        assert client.ask("DELETE", f"{STREAM}?listenKey={key}").body == {}
        expired = stream.next()
        assert (expired["e"], expired["listenKey"]) == ("listenKeyExpired", key)
        assert stream.ask("LIST_SUBSCRIPTIONS")["result"] == []
    answer = client.ask("PUT", f"{STREAM}?listenKey={key}")
    assert (answer.status, answer.body["code"]) == (400, -1125)
    with Stream(exchange.http, f"/ws/{key}") as stream:
        assert stream.next()["e"] == "listenKeyExpired", "one that is no longer valid says so at once"
    assert RestClient(exchange.http).ask("POST", STREAM).status in (400, 401)
    stranger = RestClient(exchange.http, "x" * 64)
    assert stranger.ask("POST", STREAM).body["code"] == -2015


def test_a_resumed_stream_misses_nothing_and_says_nothing_twice(exchange: Exchange, client: RestClient) -> None:
    witness = UserStream(exchange)
    begin = witness.reply["result"]["sequence"]
    for step in range(40):
        order = place(client, "BUY", f"{20000 + step}")
        if step % 3 == 0:
            place(client, "SELL", f"{20000 + step}")
        elif step % 3 == 1:
            client.signed("DELETE", "/api/v3/order", symbol="BTCUSDT", orderId=order["orderId"])
    end = newest(exchange, client)
    witness.read_to(end)
    assert len(witness.told) > 100
    whole = [event for event in witness.told if event["sequence"] > begin]
    for after in (begin, *{event["sequence"] for event in witness.told[:: len(witness.told) // 3]}):
        resumed = UserStream(exchange, resumeAfter=after)
        assert resumed.reply["result"]["sequence"] == after
        place(client, "BUY", "12000")  # what happens while it resumes comes behind
        last = newest(exchange, client)
        resumed.read_to(last)
        witness.read_to(last)
        expected = [event for event in witness.told if event["sequence"] > after]
        assert resumed.told == expected
        with Stream(exchange.http, f"/ws/{listen_key(client)}?resumeAfter={after}") as by_key:
            assert [by_key.next() for _ in expected] == expected
        resumed.close()
    assert whole == witness.told[: len(whole)]
    witness.close()


def test_who_resumes_from_what_has_not_been_is_refused(exchange: Exchange, client: RestClient) -> None:
    ahead = UserStream(exchange, resumeAfter=10**12)
    assert ahead.reply["error"]["code"] == -1130 and "The newest event is" in ahead.reply["error"]["msg"]
    assert "error" in UserStream(exchange, resumeAfter="x").reply
    ahead.stream.ask("ping")
    with Stream(exchange.http, f"/ws/{listen_key(client)}?resumeAfter={10**12}") as by_key:
        assert "The newest event is" in by_key.next()["error"]["msg"]
    with pytest.raises(websockets.exceptions.InvalidStatus):
        Stream(exchange.http, "/ws/x?resumeAfter=-1")


def test_resumed_from_behind_what_the_ring_holds(tmp_path: Path) -> None:
    settings = tmp_path / "small.toml"
    settings.write_text("event_ring_slots = 4096\n[rate_limits]\nenabled = false\n")
    with running(tmp_path, "--config", str(settings), web=True) as exchange:
        client = connected(exchange)
        witness = UserStream(exchange)
        begin = witness.reply["result"]["sequence"]
        place(client, "BUY", "10000")
        first = newest(exchange, client)
        with exchange.client("demo") as fast:
            count = 3000
            for step in range(count):
                order = {**LIMIT, "side": "BUY", "price": f"{10001 + step % 100}", "quantity": "0.001"}
                fast.send("order.place", fast.signed({**order, "newOrderRespType": "ACK"}))
            for _ in range(count):
                assert fast.receive() is not None
            assert fast.order("openOrders.cancelAll", symbol="BTCUSDT")["status"] == 200
        last = newest(exchange, client)
        assert last - begin > 4096, "the ring no longer holds the beginning"
        resumed = UserStream(exchange, resumeAfter=begin)
        resumed.read_to(last)
        witness.read_to(last)
        assert resumed.told == witness.told
        assert resumed.told[0]["sequence"] <= first
        for ended in (witness, resumed, client):
            ended.close()


def test_a_stream_goes_on_at_the_next_life_of_a_killed_gateway(tmp_path: Path) -> None:
    with running(tmp_path, web=True) as exchange, exchange.client("demo") as trader:

        def trade(step: int) -> None:
            for side in ("BUY", "SELL"):
                order = {**LIMIT, "side": side, "price": f"{10000 + step}", "quantity": "0.01"}
                assert trader.order("order.place", **order)["status"] == 200

        witness = trader.call("userDataStream.subscribe.signature", trader.signed({}))
        assert witness["status"] == 200
        killed = UserStream(exchange)
        for step in range(5):
            trade(step)
        killed.read_to(killed.reply["result"]["sequence"] + 5)
        seen = next(event["sequence"] for event in reversed(killed.told) if "more" not in event)
        os.kill(exchange.child("web-0"), signal.SIGKILL)
        for step in range(5):  # while it is down
            trade(step)
        resumed = resubscribed(exchange, seen)
        trade(7)
        expected: list[dict[str, Any]] = []
        while not expected or (expected[-1].get("p"), expected[-1].get("X")) != ("10007.00000000", "FILLED"):
            message = trader.pushed.popleft() if trader.pushed else trader.receive()
            assert message is not None
            expected.append(message["event"])
        end = expected[-1]["sequence"]
        resumed.read_to(end)
        told = [event for event in killed.told if event["sequence"] <= seen] + resumed.told
        assert [event for event in told if event["sequence"] < end] == [e for e in expected if e["sequence"] < end]
        resumed.close()


def resubscribed(exchange: Exchange, after: int) -> UserStream:
    """As a client does: connect again until the gateway's next life is there."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return UserStream(exchange, resumeAfter=after)
        except OSError:
            assert time.monotonic() < deadline, "the gateway was not started again"
            time.sleep(0.05)
