"""The gateway in trouble: any bytes, peers that do not read, a full journal, events that are gone."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import psutil
import pytest
import zmq
from gateway_exchange import Client, Exchange, running

from ringex.gateways import zmq as gateway_zmq
from ringex.gateways.orders import PLACE_PARAMETERS
from ringex.gateways.outbox import JOURNAL_FULL
from ringex.messages import commands
from ringex.terms import CommandKind

ORDER = {"symbol": "BTCUSDT", "side": "SELL", "type": "LIMIT", "timeInForce": "GTC", "price": "50000", "quantity": "1"}
GROWTH_BYTES_MAX = 96 << 20
PATIENCE_SECONDS = 60.0


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    with running(tmp_path_factory.mktemp("trouble")) as started:
        yield started


def _any_value(dice: random.Random, depth: int = 0) -> Any:
    simple = [None, True, -1, 1 << 63, 1.5, float("nan"), "", "é\0", "x" * 300, b"\xff" * 40, dice.getrandbits(63)]
    if depth > 3 or dice.random() < 0.6:
        return dice.choice(simple)
    if dice.random() < 0.5:
        return [_any_value(dice, depth + 1) for _ in range(dice.randrange(4))]
    return {dice.choice(["a", "symbol", 5, b"\xfe"]): _any_value(dice, depth + 1) for _ in range(3)}


def _bomb(dice: random.Random) -> bytes:
    """Deep nesting, or containers and texts that claim to be far larger than the frame."""
    deep = dice.choice([b"\x91", b"\x81\xa1a"]) * dice.randrange(1, 60_000)
    huge = dice.choice([b"\xdd", b"\xdf", b"\xdb", b"\xc6"]) + b"\xff\xff\xff\xff" + dice.randbytes(20)
    return dice.choice([deep, huge, b"\x83\xa2id\x01\xa6method\xa4ping\xa6params" + deep])


def _frames(dice: random.Random, client: Client) -> list[bytes]:
    """One message: noise, a bomb, a request with wrong values, or a good one with some bytes changed or cut off."""
    which = dice.randrange(6)
    if which == 0:
        return [dice.randbytes(dice.randrange(600)) for _ in range(dice.randrange(1, 6))]
    if which == 1:
        return [_bomb(dice)]
    if which == 2:
        params = {dice.choice(PLACE_PARAMETERS).name: _any_value(dice) for _ in range(dice.randrange(8))}
        method = dice.choice(["order.place", "order.cancel", "depth", "session.logon", "exchangeInfo"])
        return [msgpack.packb({"id": dice.choice([1, "a", None]), "method": method, "params": ORDER | params})]
    if which == 3:
        params = ORDER | {dice.choice(list(ORDER)): _any_value(dice)}
        signed = client.signed(params) if dice.random() < 0.5 else params | {"apiKey": client.key, "timestamp": 1}
        return [msgpack.packb({"id": 7, "method": "order.place", "params": signed})]
    if which == 4:
        records = np.frombuffer(dice.randbytes(256 * dice.randrange(1, 9)), np.uint8).copy()
        records[55::256] = dice.randrange(6)  # `kind`, sometimes a good one
        return [b"RXB1", records.tobytes()[: len(records) - dice.choice([0, 0, 1])]]
    good = bytearray(msgpack.packb({"id": 3, "method": "order.test", "params": client.signed(ORDER)}))
    for _ in range(dice.randrange(1, 6)):
        good[dice.randrange(len(good))] = dice.randrange(256)
    return [bytes(good[: dice.randrange(1, len(good) + 1)])]


def test_no_bytes_bring_it_down_or_make_it_grow(exchange: Exchange) -> None:
    dice, process = random.Random(20261122), psutil.Process()
    seller, witness = exchange.trader(BTC="100"), exchange.client()
    seller.signed_call("session.logon")
    seller.place("SELL", "50000", "1", newClientOrderId="stands")

    def storm(count: int) -> None:
        for index in range(count):
            sender = seller if index % 2 else witness
            sender.socket.send_multipart(_frames(dice, seller))
            if index % 50 == 49:
                for client in (seller, witness):
                    _call(client, "ping")

    storm(1000)
    before = process.memory_info().rss
    storm(3000)
    assert process.memory_info().rss - before < GROWTH_BYTES_MAX
    orders = _call(seller, "openOrders.status", seller.signed({}))["result"]
    assert orders[0]["clientOrderId"] == "stands"


def _call(client: Client, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
    """The reply to a request, among replies to noise and binary events."""
    asked = client.send(method, params, f"asked-{time.monotonic_ns()}")
    while True:
        frames = client.socket.recv_multipart()
        if len(frames) == 1 and (reply := msgpack.unpackb(frames[0], strict_map_key=False)).get("id") == asked:
            assert reply["status"] == 200, reply
            return reply  # type: ignore[no-any-return]


def test_client_order_ids_that_are_not_ascii_are_refused_on_the_binary_path(exchange: Exchange) -> None:
    seller = exchange.trader(BTC="10")
    seller.signed_call("session.logon")
    for kind, name in ((CommandKind.PLACE, "client_order_id"), (CommandKind.AMEND, "original_client_order_id")):
        record = commands()
        record["kind"], record["side"], record["price"], record["quantity"] = kind, 1, 6_000_000, 1000
        record[name] = np.frombuffer("né".encode().ljust(40, b"\0"), "<u8")
        seller.socket.send_multipart([b"RXB1", record.tobytes()])
        assert f"'{name}' is not valid. Record 0: It may hold" in seller.receive()["error"]["msg"]
    assert seller.signed_call("openOrders.status")["result"] == []


def test_while_the_journal_is_full_orders_are_refused_and_queries_served(exchange: Exchange) -> None:
    seller = exchange.trader(BTC="10")
    assert seller.place("SELL", "50000", "1")["status"] == 200
    exchange.engine.tell(JOURNAL_FULL)
    try:
        refused = seller.place("SELL", "50000", "1")
        assert (refused["status"], refused["error"]["code"]) == (503, -1008)
        assert "disk is full" in refused["error"]["msg"]
        assert len(seller.signed_call("openOrders.status")["result"]) == 1
        assert seller.call("depth", {"symbol": "BTCUSDT"})["status"] == 200
    finally:
        exchange.engine.tell(0)
    assert seller.place("SELL", "50000", "1")["status"] == 200


def test_events_that_are_gone_end_streams_and_leave_what_was_under_way_unknown(exchange: Exchange) -> None:
    seller = exchange.trader(BTC="10")
    seller.signed_call("userDataStream.subscribe.signature")
    account = 1
    with exchange.engine.lock:
        order = seller.send("order.place", seller.signed(ORDER | {"newClientOrderId": "under-way"}))
        seller.call("ping")  # so the order is in the command ring
        exchange.engine.deposit_at_once(account, 20_000)  # more than the event ring holds
    reply = seller.reply_to(order)
    assert (reply["status"], reply["error"]["code"]) == (504, -1007)
    assert [push["event"]["e"] for push in seller.pushed] == ["eventStreamTerminated"]
    truth = seller.signed_call("order.status", {"symbol": "BTCUSDT", "origClientOrderId": "under-way"})
    assert truth["result"]["status"] == "NEW"
    assert seller.signed_call("userDataStream.subscribe.signature")["status"] == 200
    seller.place("SELL", "50001", "1")
    assert seller.pushed[1]["event"]["x"] == "NEW"


def test_a_peer_that_does_not_read_is_forgotten_and_others_are_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway_zmq, "MESSAGES_WAITING_MAX", 50)
    with running(tmp_path) as exchange:
        mute, other = exchange.client(), exchange.client()
        mute.socket.setsockopt(zmq.RCVHWM, 1)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not exchange.admin("admin.status", {})["counts"].get("peers_gone"):
            assert time.monotonic() < deadline
            for _ in range(500):
                mute.send("exchangeInfo")
            assert other.call("ping")["status"] == 200


def await_count(exchange: Exchange, name: str, before: int) -> None:
    """Wait until that count of the gateway is above `before`."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while exchange.admin("admin.status", {})["counts"].get(name, 0) <= before:
        assert time.monotonic() < deadline, f"{name} does not grow"


def test_large_answers_that_are_not_read_are_bounded(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ringex.gateways.questions.UNREAD_BYTES_MAX", 1 << 20)
    before = exchange.admin("admin.status", {})["counts"].get("refused-1003", 0)
    mute = exchange.client()
    asked = [mute.send("exchangeInfo") for _ in range(3000)]  # some 30 MB of answers: its own socket takes 10 of them
    await_count(exchange, "refused-1003", before)
    for _ in asked:
        reply = mute.receive()
        assert reply["status"] == 200 or (reply["error"]["code"] == -1003 and "1048576 bytes" in reply["error"]["msg"])
    assert mute.call("exchangeInfo")["status"] == 200, "once it has read it is served again"


def test_a_peer_with_too_much_unread_is_forgotten(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway_zmq, "LARGE_WAITING_BYTES_MAX", 1 << 20)
    before = exchange.admin("admin.status", {})["counts"].get("peers_gone", 0)
    mute = exchange.client()
    for _ in range(3000):  # some 30 MB of answers, in far fewer messages than may wait
        mute.send("exchangeInfo")
    await_count(exchange, "peers_gone", before)


def test_a_reply_says_how_many_fills_it_omits(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ringex.gateways.gateway.EVENTS_KEPT_MAX", 4)
    seller, buyer = exchange.trader(BTC="10"), exchange.trader(USDT="1000000")
    for _ in range(8):
        seller.place("SELL", "40000", "0.1")
    reply = buyer.place("BUY", "40000", "1")
    assert len(reply["result"]["fills"]) == 3
    assert reply["omitted"] == 5
    assert (reply["result"]["executedQty"], reply["result"]["status"]) == ("0.80000000", "PARTIALLY_FILLED")
    assert "omitted" not in buyer.signed_call("openOrders.cancelAll", {"symbol": "BTCUSDT"})
