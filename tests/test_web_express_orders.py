"""Orders over HTTP and WebSocket, the express way and the ordinary one: the same answers to the same requests.

A test's requests are sent twice, with the express lane and without it; what differs by nature (ids, times, counts of
limits) is masked.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

import pytest
from web_client import SECONDS_MAX, Stream
from web_exchange import WebExchange, web_running

from ringex.gateways.keystore import Key
from ringex.messages import ACCOUNT_COMMAND, COMMAND, commands
from ringex.terms import CommandKind, KeyScope

LIMIT = {
    "symbol": "BTCUSDT",
    "side": "BUY",
    "type": "LIMIT",
    "timeInForce": "GTC",
    "price": "20000",
    "quantity": "0.01",
}
COMPILE_SECONDS_MAX = 300.0
"""What is called first is compiled first, here."""
IOC = LIMIT | {"timeInForce": "IOC", "price": "10000"}
_NUMBERS = re.compile(
    rb"(?<=Id\":)\d+|(?<=Time\":)\d+|(?<=count\":)\d+|ringex-(cancel-)?\d+"
    rb"|\d+(?= ms)|(?<=: )\d+(?=\r)|(?<=timestamp=)\d+"
)
_DATE = re.compile(rb"Date: [^\r]*")


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebExchange]:
    with web_running(tmp_path_factory.mktemp("express")) as started:
        yield started


def tell_of_key(exchange: WebExchange, key: Key, kind: CommandKind) -> None:
    """KEY_ADD or KEY_REVOKE of a demo account's key."""
    record = commands().view(ACCOUNT_COMMAND)
    record["kind"], record["account"] = kind, exchange.gateway._gateway.model.account_named("demo")
    record["scopes"], record["key_added"], record["time_ns"] = key.scopes, key.number, time.time_ns()
    with exchange.engine.lock:
        exchange.engine._publish(exchange.engine.matcher.submit(record.view(COMMAND)))


@pytest.fixture(scope="module")
def key(exchange: WebExchange) -> Key:
    made = exchange.gateway._gateway.keystore.make("demo", sum(KeyScope))
    tell_of_key(exchange, made, CommandKind.KEY_ADD)
    return made


class Bot:
    """One connection that writes what it is told, and reads HTTP answers."""

    def __init__(self, exchange: WebExchange, key: Key) -> None:
        self.key = key
        host, _, port = exchange.address.rpartition(":")
        self.socket = socket.create_connection((host, int(port)), COMPILE_SECONDS_MAX)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._rest = b""

    def signature(self, text: str) -> str:
        return hmac.new(self.key.secret.encode(), text.encode(), hashlib.sha256).hexdigest()

    def signed(self, params: dict[str, Any]) -> str:
        text = urlencode({"timestamp": int(time.time() * 1000), **params})
        return f"{text}&signature={self.signature(text)}"

    def request(self, verb: str, path: str, form: str, *lines: str) -> bytes:
        in_body = verb in ("POST", "PUT")
        target, body = (path, form) if in_body else (f"{path}?{form}", "")
        head = [f"{verb} {target} HTTP/1.1", "Host: x", f"X-MBX-APIKEY: {self.key.api_key}", *lines]
        head += [f"Content-Length: {len(body)}"] if in_body else []
        return "\r\n".join([*head, "", body]).encode()

    def place(self, **params: Any) -> bytes:
        return self.request("POST", "/api/v3/order", self.signed(params))

    def ask(self, raw: bytes) -> bytes:
        self.socket.sendall(raw)
        return self.next()

    def next(self) -> bytes:
        """The next answer, head and body."""
        while b"\r\n\r\n" not in self._rest:
            self._read()
        head, _, rest = self._rest.partition(b"\r\n\r\n")
        length = int(re.findall(rb"(?i)content-length: (\d+)", head)[0])
        while len(rest) < length:
            self._read()
            rest = self._rest.partition(b"\r\n\r\n")[2]
        self._rest = rest[length:]
        return head + b"\r\n\r\n" + rest[:length]

    def _read(self) -> None:
        more = self.socket.recv(1 << 16)
        assert more, "the connection was closed"
        self._rest += more

    def close(self) -> None:
        self.socket.close()


@pytest.fixture
def bot(exchange: WebExchange, key: Key) -> Iterator[Bot]:
    made = Bot(exchange, key)
    deadline = time.monotonic() + COMPILE_SECONDS_MAX
    while b" 200 " not in made.ask(made.place(**IOC))[:16]:  # the key is known; now its connection has a seat
        assert time.monotonic() < deadline
    yield made
    made.close()


@contextmanager
def ordinary(exchange: WebExchange) -> Iterator[None]:
    """Nothing goes the express way meanwhile."""
    site = exchange.gateway._site
    lane, site.lane = site.lane, None
    try:
        yield
    finally:
        site.lane = lane


def masked(answer: bytes) -> bytes:
    return _DATE.sub(b"Date", _NUMBERS.sub(b"#", answer))


def body(answer: bytes) -> Any:
    return json.loads(answer.partition(b"\r\n\r\n")[2])


@pytest.mark.parametrize(
    "params",
    [
        *(LIMIT, IOC, LIMIT | {"newClientOrderId": "e-1"}, LIMIT | {"newOrderRespType": "ACK"}),
        *(IOC | {"newOrderRespType": "RESULT"}, LIMIT | {"type": "LIMIT_MAKER", "timeInForce": None}),
        LIMIT | {"side": "SELL", "type": "MARKET", "price": None, "timeInForce": None},
        *(LIMIT | {"price": "20000.001"}, LIMIT | {"quantity": "0"}, LIMIT | {"symbol": "NOSUCH"}),
        *(LIMIT | {"quantity": "8999", "price": "900000"}, LIMIT | {"recvWindow": "60001"}, LIMIT | {"more": "1"}),
        *(LIMIT | {"timestamp": 1}, LIMIT | {"price": ""}, LIMIT | {"selfTradePreventionMode": "EXPIRE_MAKER"}),
        LIMIT | {"returnRateLimits": "false"},
    ],
)
def test_both_ways_give_the_same_answer(exchange: WebExchange, bot: Bot, params: dict[str, Any]) -> None:
    params = {name: value for name, value in params.items() if value is not None}
    before = exchange.counts["express"]
    express = bot.ask(bot.place(**params))
    taken = exchange.counts["express"] - before
    cancel_all = bot.request("DELETE", "/api/v3/openOrders", bot.signed({"symbol": "BTCUSDT"}))
    bot.ask(cancel_all)
    with ordinary(exchange):
        time.sleep(0.002)  # another timestamp: it is another order
        wanted = bot.ask(bot.place(**params))
        bot.ask(bot.request("DELETE", "/api/v3/openOrders", bot.signed({"symbol": "BTCUSDT"})))
    assert masked(express) == masked(wanted)
    assert taken == (express.startswith(b"HTTP/1.1 200") or body(express)["code"] == -2010)


def test_orders_are_amended_and_canceled_the_express_way(exchange: WebExchange, bot: Bot) -> None:
    def run() -> list[bytes]:
        placed = body(bot.ask(bot.place(**LIMIT)))
        which = {"symbol": "BTCUSDT", "orderId": placed["orderId"]}
        path = "/api/v3/order/amend/keepPriority"
        answers = [bot.ask(bot.request("PUT", path, bot.signed(which | {"newQty": "0.005"})))]
        answers += [bot.ask(bot.request("DELETE", "/api/v3/order", bot.signed(which))) for _ in range(2)]
        return [masked(answer) for answer in answers]

    before = exchange.counts["express"]
    express = run()
    assert exchange.counts["express"] - before == 4
    with ordinary(exchange):
        assert express == run()
    assert [answer[9:12] for answer in express] == [b"200", b"200", b"400"]


def test_a_repeated_request_is_one_order(exchange: WebExchange, bot: Bot) -> None:
    raw = bot.place(**LIMIT, newClientOrderId="again")
    first, second = body(bot.ask(raw)), body(bot.ask(raw))
    assert second["duplicate"] and second["orderId"] == first["orderId"]
    bot.ask(bot.request("DELETE", "/api/v3/order", bot.signed({"symbol": "BTCUSDT", "orderId": first["orderId"]})))


@pytest.mark.parametrize("change", [b"quantity=0.0", b"signature=", b"X-MBX-APIKEY: "])
def test_what_is_not_signed_by_the_key_does_nothing(exchange: WebExchange, bot: Bot, change: bytes) -> None:
    raw = bot.place(**LIMIT)
    at = raw.index(change) + len(change)
    digit = b"1" if raw[at : at + 1] != b"1" else b"2"
    before = exchange.counts["commands"]
    answer = bot.ask(raw[:at] + digit + raw[at + 1 :])
    assert body(answer)["code"] in (-1022, -2015), answer
    assert exchange.counts["commands"] == before


def test_pieces_pipelines_and_what_lies_between_are_answered_in_order(exchange: WebExchange, bot: Bot) -> None:
    price = b"GET /api/v3/time HTTP/1.1\r\nHost: x\r\n\r\n"
    order = bot.place(**IOC, newClientOrderId="p-1")
    for cut in (1, 20, order.index(b"\r\n\r\n") + 4, len(order) - 1):
        bot.socket.sendall(order[:cut])
        time.sleep(0.02)
        answer = bot.ask(order[cut:])
        assert b'"clientOrderId":"p-1"' in answer, cut
    bot.socket.sendall(bot.place(**IOC, newClientOrderId="p-2"))
    bot.socket.sendall(price + bot.place(**IOC, newClientOrderId="p-3") + price)
    found = [bot.next() for _ in range(4)]
    assert [b"serverTime" in answer for answer in found] == [False, True, False, True]
    assert b"p-2" in found[0] and b"p-3" in found[2]


def test_an_order_is_executed_though_its_peer_goes_at_once(exchange: WebExchange, bot: Bot) -> None:
    other = Bot(exchange, bot.key)
    other.ask(other.place(**IOC))
    other.socket.sendall(other.place(**LIMIT, newClientOrderId="left-behind"))
    other.close()
    deadline = time.monotonic() + SECONDS_MAX
    while time.monotonic() < deadline:
        which = bot.signed({"symbol": "BTCUSDT", "origClientOrderId": "left-behind"})
        if b" 200 " in bot.ask(bot.request("DELETE", "/api/v3/order", which))[:16]:
            return
    raise AssertionError("the order was not there")


# WebSocket


def test_sessions_and_signed_messages_get_the_same_replies_both_ways(exchange: WebExchange, bot: Bot) -> None:
    with Stream(exchange.address, "/ws-api/v3") as stream:

        def signed(params: dict[str, Any]) -> dict[str, Any]:
            whole = {"apiKey": bot.key.api_key, "timestamp": int(time.time() * 1000), **params}
            text = "&".join(f"{name}={whole[name]}" for name in sorted(whole))
            return whole | {"signature": bot.signature(text)}

        def run(wrap: Any) -> list[str]:
            replies = []
            for request_id, params in (("a b", LIMIT), (17, IOC), (None, IOC | {"price": "0.001"}), ("c", IOC)):
                time.sleep(0.002)
                replies.append(stream.ask("order.place", wrap(params), request_id))
            stream.ask("openOrders.cancelAll", wrap({"symbol": "BTCUSDT"}))
            return [masked(json.dumps(reply, separators=(",", ":")).encode()).decode() for reply in replies]

        for _ in range(2):
            stream.ask("order.place", signed(IOC))
        for wrap in (signed, dict):
            before = exchange.counts["express"]
            express = run(wrap)
            assert exchange.counts["express"] - before == 3
            with ordinary(exchange):
                assert express == run(wrap)
            assert stream.ask("session.logon", signed({}))["status"] == 200


def test_a_revoked_key_is_refused_at_once(exchange: WebExchange) -> None:
    bot = Bot(exchange, exchange.gateway._gateway.keystore.make("demo", sum(KeyScope)))
    for kind in (CommandKind.KEY_ADD, CommandKind.KEY_REVOKE):
        tell_of_key(exchange, bot.key, kind)
        wanted = 200 if kind == CommandKind.KEY_ADD else 401
        deadline = time.monotonic() + SECONDS_MAX
        while (status := int(bot.ask(bot.place(**IOC))[9:12])) != wanted:
            assert time.monotonic() < deadline, status
        before = exchange.counts["express"]
        assert int(bot.ask(bot.place(**IOC))[9:12]) == wanted
        assert exchange.counts["express"] - before == (wanted == 200)
    bot.close()
