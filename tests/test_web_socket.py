"""WebSocket: frames byte by byte, and the WebSocket API with two independent peers, `websockets` and `wsproto`."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import websockets.sync.client as websockets_client
import wsproto
from exchange import Exchange, running, sign
from hypothesis import given
from hypothesis import strategies as st
from web_client import SECONDS_MAX, RestClient, connect
from web_exchange import WebExchange, web_running
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Ping, Pong, Request, TextMessage

from ringex.gateways.web.frames import CloseCode, FrameError, FrameReader, Opcode, close_frame, frame, read_close
from ringex.gateways.web.peer import Bounds

BOUNDS = Bounds(message_bytes_max=1 << 16)
PATH = "/ws-api/v3"
LIMIT = {
    "symbol": "BTCUSDT",
    "side": "BUY",
    "type": "LIMIT",
    "timeInForce": "GTC",
    "price": "25000",
    "quantity": "0.01",
}


def masked(head: int, payload: bytes, mask: bytes = b"\x01\x02\x03\x04") -> bytes:
    """A frame as a client sends it; the first byte as given. Written from RFC 6455, byte by byte."""
    size = len(payload)
    if size < 126:
        length = bytes([0x80 | size])
    elif size < 1 << 16:
        length = b"\xfe" + struct.pack(">H", size)
    else:
        length = b"\xff" + struct.pack(">Q", size)
    return bytes([head]) + length + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


TEXT, BINARY, CLOSE, PING, PONG = (0x80 | opcode for opcode in (1, 2, 8, 9, 10))


@given(
    st.lists(st.tuples(st.sampled_from([TEXT, BINARY, PING, PONG]), st.binary(max_size=300)), max_size=8),
    st.integers(1, 400),
    st.binary(min_size=4, max_size=4),
)
def test_messages_come_as_sent_however_they_are_cut(messages: list[tuple[int, bytes]], step: int, mask: bytes) -> None:
    messages = [
        (head, payload.hex().encode() if head == TEXT else payload[: 125 if head >= PING else None])
        for head, payload in messages
    ]
    stream = b"".join(masked(head, payload, mask) for head, payload in messages)
    reader = FrameReader(1 << 12)
    found = []
    for at in range(0, len(stream), step):
        found += reader.feed(stream[at : at + step])
    assert found == [(head & 15, payload) for head, payload in messages]


@given(st.lists(st.text(max_size=40), min_size=1, max_size=6), st.binary(max_size=20))
def test_fragments_are_one_message_with_control_frames_between(parts: list[str], ping: bytes) -> None:
    whole = "".join(parts).encode()
    cut = len(whole) // 2  # within a character, often
    reader = FrameReader(1 << 12)
    stream = masked(0x01, whole[:cut]) + masked(PING, ping) + masked(0x00, b"") + masked(0x80, whole[cut:])
    assert reader.feed(stream) == [(Opcode.PING, ping), (Opcode.TEXT, whole)]


@pytest.mark.parametrize(
    ("stream", "code"),
    [
        (b"\x81\x05hello" + b"....", CloseCode.PROTOCOL_ERROR),  # not masked
        (masked(0xC1, b"x"), CloseCode.PROTOCOL_ERROR),  # a reserved bit
        (masked(0x83, b"x"), CloseCode.PROTOCOL_ERROR),  # no such opcode
        (masked(0x8B, b"x"), CloseCode.PROTOCOL_ERROR),
        (masked(0x09, b"x"), CloseCode.PROTOCOL_ERROR),  # a ping in fragments
        (masked(PING, b"x" * 126), CloseCode.PROTOCOL_ERROR),
        (masked(0x80, b"x"), CloseCode.PROTOCOL_ERROR),  # nothing to continue
        (masked(0x01, b"x") + masked(TEXT, b"y"), CloseCode.PROTOCOL_ERROR),
        (masked(TEXT, b"\xff"), CloseCode.INVALID_DATA),
        (masked(TEXT, b"\xed\xa0\x80"), CloseCode.INVALID_DATA),  # a surrogate
        (masked(0x01, b"\xce") + masked(0x80, b""), CloseCode.INVALID_DATA),
        (masked(BINARY, b"x" * 5000), CloseCode.TOO_BIG),
        (b"\x82\xff" + struct.pack(">Q", 10_000_000) + b"....", CloseCode.TOO_BIG),  # told before it comes
        (b"\x82\xff" + b"\xff" * 8 + b"....", CloseCode.TOO_BIG),
        (masked(0x02, b"x" * 3000) + masked(0x80, b"x" * 3000), CloseCode.TOO_BIG),
        (masked(0x02, b"") + masked(0x00, b"") * 5000, CloseCode.TOO_BIG),
    ],
)
def test_what_breaks_the_protocol_has_a_code(stream: bytes, code: CloseCode) -> None:
    with pytest.raises(FrameError) as raised:
        FrameReader(4096).feed(stream)
    assert raised.value.code == code


@given(st.binary(max_size=200))
def test_no_bytes_do_more_than_break_the_protocol(noise: bytes) -> None:
    reader = FrameReader(100)
    with contextlib.suppress(FrameError):
        for at in range(0, len(noise), 7):
            reader.feed(noise[at : at + 7])


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536])
def test_frames_of_every_length_are_read_by_another_implementation(size: int) -> None:
    peer = wsproto.Connection(wsproto.ConnectionType.CLIENT)
    peer.receive_data(frame(Opcode.BINARY, b"x" * size))
    assert b"".join(event.data for event in peer.events() if isinstance(event, BytesMessage)) == b"x" * size


def test_close_frames() -> None:
    assert read_close(b"") == (CloseCode.NO_STATUS, "")
    assert read_close(close_frame(1001, "bye")[2:]) == (1001, "bye")
    assert len(close_frame(1000, "é" * 200)) <= 2 + 125
    for payload in (b"\x03", b"\x03\xed", b"\x00\x00", b"\x03\xe8\xff"):
        with pytest.raises(FrameError):
            read_close(payload)


# Against a gateway


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebExchange]:
    with web_running(tmp_path_factory.mktemp("socket"), BOUNDS) as started:
        yield started


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    with running(tmp_path_factory.mktemp("whole"), web=True) as started:
        yield started


def open_socket(address: str) -> ClientConnection:
    return websockets_client.connect(f"ws://{address}{PATH}", open_timeout=SECONDS_MAX)


def asked(peer: ClientConnection, method: str, params: dict[str, Any] | None = None, request_id: Any = 1) -> Any:
    peer.send(json.dumps({"id": request_id, "method": method, "params": params or {}}))
    return json.loads(peer.recv(SECONDS_MAX))


def signed(key: dict[str, Any], **params: Any) -> dict[str, Any]:
    whole = {"apiKey": key["api_key"], "timestamp": int(time.time() * 1000), **params}
    return whole | {"signature": sign(key["secret"], whole)}


def test_ids_are_echoed_verbatim_and_rate_limits_shown_unless_not_wanted(exchange: WebExchange) -> None:
    with open_socket(exchange.address) as peer:
        for request_id in ("a", "ü", 0, -7, 1 << 60, None, ""):
            reply = asked(peer, "ping", request_id=request_id)
            assert [row["rateLimitType"] for row in reply.pop("rateLimits")] == ["REQUEST_WEIGHT"]
            assert reply == {"id": request_id, "status": 200, "result": {}}
        assert "rateLimits" not in asked(peer, "ping", {"returnRateLimits": False})
        assert asked(peer, "v3/ping")["result"] == {}, "a method may be named with its version"
        assert asked(peer, "v4/ping")["error"]["code"] == -1020
    with websockets_client.connect(f"ws://{exchange.address}{PATH}?returnRateLimits=false") as peer:
        assert "rateLimits" not in asked(peer, "ping")
        assert "rateLimits" in asked(peer, "ping", {"returnRateLimits": True})
        assert asked(peer, "session.status")["result"]["returnRateLimits"] is False
    for query, code in (("returnRateLimits=no", -1130), ("a=b", -1104)):
        with pytest.raises(InvalidStatus) as raised:
            websockets_client.connect(f"ws://{exchange.address}{PATH}?{query}")
        assert json.loads(raised.value.response.body)["code"] == code


@pytest.mark.parametrize(
    ("message", "request_id"),
    [
        ("", None),
        ("nonsense", None),
        ("[]", None),
        ("[" * 50_000, None),
        ('{"id":' * 8_000, None),
        ('{"id":5}', 5),
        ('{"id":5,"method":7}', 5),
        ('{"id":5,"method":"ping","params":[]}', 5),
        ('{"id":true,"method":"ping"}', None),
        ('{"id":1.5,"method":"ping"}', None),
        (json.dumps({"id": "x" * 300, "method": "ping"}), None),
        ('{"id":5,"method":"ping"}trailing', None),
    ],
)
def test_what_is_no_request_is_answered(exchange: WebExchange, message: str, request_id: Any) -> None:
    with open_socket(exchange.address) as peer:
        peer.send(message)
        reply = json.loads(peer.recv(SECONDS_MAX))
        assert (reply["id"], reply["status"], reply["error"]["code"]) == (request_id, 400, -1135)
        assert asked(peer, "ping")["status"] == 200


def test_replies_that_are_ready_together_come_in_one_segment(exchange: WebExchange) -> None:
    with connect(exchange.address) as raw:
        upgrade(raw)
        request = masked(TEXT, b'{"id":1,"method":"ping","params":{"returnRateLimits":false}}')
        raw.sendall(request * 20)
        reply = frame(Opcode.TEXT, b'{"id":1,"status":200,"result":{}}')
        found = raw.recv(1 << 16)
        assert found == reply * 20


def upgrade(raw: socket.socket) -> None:
    raw.sendall(
        f"GET {PATH} HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n".encode()
        + b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += raw.recv(1)
    assert head.startswith(b"HTTP/1.1 101 ")


def closed_with(raw: socket.socket) -> int:
    """The code of the close frame that comes; what comes before it is skipped."""
    peer = wsproto.Connection(wsproto.ConnectionType.CLIENT)
    while data := raw.recv(1 << 16):
        peer.receive_data(data)
        for event in peer.events():
            if isinstance(event, CloseConnection):
                return int(event.code)
    raise AssertionError("it was closed without a close frame")


@pytest.mark.parametrize(
    ("stream", "code"),
    [
        (masked(TEXT, b"\xff"), 1007),
        (b"\x81\x00" + b"....", 1002),
        (b"\x81\xff" + struct.pack(">Q", 10_000_000) + b"....", 1009),
        (masked(BINARY, b"{}"), 1003),
        (masked(CLOSE, b""), 1000),
        (masked(CLOSE, struct.pack(">H", 1001) + b"bye"), 1001),
        (masked(CLOSE, struct.pack(">H", 4711)), 4711),
        (masked(CLOSE, struct.pack(">H", 1006)), 1002),
        (masked(CLOSE, b"x"), 1002),
        (masked(CLOSE, b"\x03\xe8\xff\xff"), 1007),
    ],
)
def test_close_codes(exchange: WebExchange, stream: bytes, code: int) -> None:
    with connect(exchange.address) as raw:
        upgrade(raw)
        raw.sendall(stream)
        assert closed_with(raw) == code
    client = RestClient(exchange.address)
    assert client.ask("GET", "/api/v3/ping").status == 200


def test_noise_is_never_fatal(exchange: WebExchange) -> None:
    for _ in range(50):
        with connect(exchange.address) as raw:
            upgrade(raw)
            with contextlib.suppress(OSError):
                raw.sendall(os.urandom(4096))
                raw.shutdown(socket.SHUT_WR)
                while raw.recv(1 << 16):
                    pass
    client = RestClient(exchange.address)
    assert client.ask("GET", "/api/v3/ping").status == 200


def test_wsproto_speaks_with_it(exchange: WebExchange) -> None:
    peer = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
    with connect(exchange.address) as raw:

        def next_event() -> Any:
            while True:
                for event in peer.events():
                    return event
                peer.receive_data(raw.recv(1 << 16))

        raw.sendall(peer.send(Request(host="x", target=PATH)))
        assert isinstance(next_event(), AcceptConnection)
        message = json.dumps({"id": "ä", "method": "ping"}, ensure_ascii=False)
        raw.sendall(peer.send(TextMessage(message[:7], message_finished=False)))
        raw.sendall(peer.send(Ping(b"hello")))
        raw.sendall(peer.send(TextMessage(message[7:])))
        pong = next_event()
        assert isinstance(pong, Pong) and bytes(pong.payload) == b"hello"
        reply = next_event()
        assert isinstance(reply, TextMessage) and json.loads(reply.data)["id"] == "ä"
        raw.sendall(peer.send(CloseConnection(1000, "done")))
        closing = next_event()
        assert isinstance(closing, CloseConnection) and closing.code == 1000
        assert raw.recv(1) == b""


def test_a_peer_is_pinged_and_one_that_does_not_answer_is_dropped(tmp_path: Path) -> None:
    bounds = Bounds(ping_seconds=0.3, pong_seconds=0.9)
    with (
        web_running(tmp_path, bounds) as exchange,
        open_socket(exchange.address) as answering,
        connect(exchange.address) as mute,
    ):
        upgrade(mute)
        seen = b""
        with contextlib.suppress(ConnectionError):
            while data := mute.recv(1 << 16):
                seen += data
        assert seen.startswith(b"\x89\x00"), "it was pinged first"
        assert exchange.counts["pongs_missing"] == 1
        assert asked(answering, "ping")["status"] == 200, "this one answers pings, and stays"


def test_a_stop_says_going_away(tmp_path: Path) -> None:
    with web_running(tmp_path) as exchange, open_socket(exchange.address) as peer:
        assert asked(peer, "ping")["status"] == 200
        exchange.gateway.stop()
        assert json.loads(peer.recv(SECONDS_MAX))["event"]["e"] == "serverShutdown"
        with pytest.raises(ConnectionClosed):
            peer.recv(SECONDS_MAX)
        assert peer.close_code == 1001


def test_sessions_orders_and_user_events_on_one_socket(whole: Exchange) -> None:
    key = whole.keys()[0]
    with open_socket(whole.http) as peer:
        assert asked(peer, "order.place", LIMIT)["error"]["code"] == -1102, "nobody is logged on"
        assert asked(peer, "session.logon", signed(key))["result"]["apiKey"] == key["api_key"]
        assert asked(peer, "session.status")["result"]["userDataStream"] is False
        subscribed = asked(peer, "userDataStream.subscribe")["result"]["subscriptionId"]
        peer.send(json.dumps({"id": 9, "method": "order.place", "params": LIMIT | {"newClientOrderId": "ws-1"}}))
        messages = [json.loads(peer.recv(SECONDS_MAX)) for _ in range(3)]
        (reply,) = [message for message in messages if "id" in message]
        events = [message for message in messages if "event" in message]
        assert (reply["id"], reply["status"], reply["result"]["status"]) == (9, 200, "NEW")
        assert [message["subscriptionId"] for message in events] == [subscribed] * 2
        assert [message["event"]["e"] for message in events] == ["executionReport", "outboundAccountPosition"]
        assert events[0]["event"]["c"] == "ws-1"
        assert asked(peer, "userDataStream.unsubscribe")["result"] == {}
        canceled = asked(peer, "openOrders.cancelAll", {"symbol": "BTCUSDT"})["result"]
        assert [order["origClientOrderId"] for order in canceled] == ["ws-1"]
        assert asked(peer, "session.logout")["result"]["apiKey"] is None
        again = asked(peer, "order.test", signed(key, **LIMIT))
        assert again["result"] == {}, "signed requests need no session"


def test_a_stop_ends_streams(tmp_path: Path) -> None:
    with running(tmp_path, web=True) as exchange, open_socket(exchange.http) as peer:
        assert asked(peer, "userDataStream.subscribe.signature", signed(exchange.keys()[0]))["status"] == 200
        assert exchange.stop() == 0, exchange.log
        last = [json.loads(peer.recv(SECONDS_MAX))["event"]["e"] for _ in range(2)]
        assert last == ["eventStreamTerminated", "serverShutdown"]
        with pytest.raises(ConnectionClosed):
            peer.recv(SECONDS_MAX)
        assert peer.close_code == 1001
