"""Floods and trickles: whatever a client sends, however much or slowly, is answered or closed, counted, never fatal,
and what it makes the gateway hold stays within its bounds."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import time
from collections.abc import Iterator

import psutil
import pytest
from test_web_http import LAST_PING, PING, answers
from test_web_socket import BINARY, TEXT, closed_with, masked, upgrade
from test_web_socket import PING as PING_FRAME
from web_client import RestClient, connect, read_all
from web_exchange import WebExchange, web_running

from ringex.gateways.web.peer import Bounds

BOUNDS = Bounds(body_seconds=1.0, head_seconds=1.0)
FIRST, MIDDLE, LAST = 0x01, 0x00, 0x80
"""First bytes of the fragments of a text."""
STATUS = b"HTTP/1.1 200 OK"
GROWTH_MAX = 40 << 20
"""By how much the process, which is the test's own, may grow over a flood."""


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebExchange]:
    with web_running(tmp_path_factory.mktemp("floods"), BOUNDS) as started:
        yield started


@pytest.fixture(autouse=True)
def still_serves(exchange: WebExchange) -> Iterator[None]:
    """After each test the gateway answers as before, and nothing of it is held any more."""
    memory = psutil.Process().memory_info().rss
    yield
    client = RestClient(exchange.address)
    assert client.ask("GET", "/api/v3/ping").body == {}
    client.close()
    assert psutil.Process().memory_info().rss - memory < GROWTH_MAX


def counted(exchange: WebExchange, name: str, before: int) -> None:
    """Wait until it has been counted: the other end of a socket may know of its end first."""
    deadline = time.monotonic() + 20
    while exchange.counts[name] <= before:
        assert time.monotonic() < deadline, f"{name}: {dict(exchange.counts)}"
        time.sleep(0.01)


def request(body: bytes, kind: bytes = b"application/json", query: bytes = b"") -> bytes:
    head = b"POST /api/v3/order%b HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: %b\r\n" % (query, kind)
    return head + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        (request(b"symbol=BTCUSDT&symbol=ETHUSDT"), "refused-1101"),
        (request(b"symbol=%ff%fe"), "refused-1100"),
        (request(b"", query=b"?" + b"&".join(b"p%d=1" % n for n in range(500))), "refused-1101"),
        (request(b"<order/>", b"application/xml"), "refused-1104"),
        (request(b'{"symbol": ' * 8000), "refused-1104"),
        (
            b"POST /v1/private/place-order HTTP/1.1\r\nConnection: close\r\nContent-Length: 6\r\n\r\n[[[[[[",
            "refused-1135",
        ),
        (b"GET /api/v3/none HTTP/1.1\r\nConnection: close\r\n\r\n", "http_404"),
        (b"PATCH /api/v3/order HTTP/1.1\r\nConnection: close\r\n\r\n", "http_405"),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 5000 + b"\r\n", "http_431"),
        (b"POST / HTTP/1.1\r\nContent-Length: 10000000\r\n\r\n", "http_413"),
        (b"\0" * 50, "http_400"),
    ],
)
def test_what_is_refused_is_counted(exchange: WebExchange, sent: bytes, name: str) -> None:
    before = exchange.counts[name]
    with connect(exchange.address) as peer:
        peer.sendall(sent)
        ((status, body),) = answers(read_all(peer))
    assert 400 <= status < 500 and json.loads(body)
    counted(exchange, name, before)


@pytest.mark.parametrize(
    ("stream", "code", "name"),
    [
        (b"\x81\xff" + struct.pack(">Q", 10_000_000) + b"....", 1009, "socket_faults1009"),
        (masked(TEXT, b"\xff"), 1007, "socket_faults1007"),
        (b"\x81\x00", 1002, "socket_faults1002"),
        (masked(BINARY, b"{}"), 1003, "socket_closes1003"),
    ],
)
def test_what_ends_a_websocket_is_counted(exchange: WebExchange, stream: bytes, code: int, name: str) -> None:
    before = exchange.counts[name]
    with connect(exchange.address) as raw:
        upgrade(raw)
        raw.sendall(stream)
        assert closed_with(raw) == code
    counted(exchange, name, before)


def test_a_body_that_trickles_is_given_up(exchange: WebExchange) -> None:
    """Each byte in time, the whole not: a slow-loris body."""
    before = exchange.counts["http_408"]
    with connect(exchange.address) as peer, contextlib.suppress(ConnectionError):
        peer.sendall(b"POST /api/v3/order HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
        peer.settimeout(0.1)
        found = b""
        for _ in range(200):
            peer.sendall(b"a")
            with contextlib.suppress(TimeoutError):
                found = peer.recv(4096)
                break
        assert answers(found)[0][0] == 408
    counted(exchange, "http_408", before)


def test_half_closed_while_it_waits(exchange: WebExchange) -> None:
    """Its query waits (for a history store that is not there) when it says that it sends no more; it is answered."""
    before = exchange.counts["http_half_closed"]
    with connect(exchange.address) as peer:
        peer.sendall(b"GET /api/v3/klines?symbol=BTCUSDT&interval=1d HTTP/1.1\r\nHost: x\r\n\r\n")
        peer.shutdown(socket.SHUT_WR)
        counted(exchange, "http_half_closed", before)
        ((status, body),) = answers(read_all(peer))
        assert (status, json.loads(body)["code"]) == (504, -1007)


def test_pipelining_without_reading(exchange: WebExchange) -> None:
    """Twenty thousand requests in one go: the gateway stops reading in between, and every answer comes, in order."""
    count = 20_000
    with connect(exchange.address) as peer:
        peer.setblocking(False)
        left, kept, answered = memoryview(PING * (count - 1) + LAST_PING), b"", 0
        deadline = time.monotonic() + 120
        while True:
            assert time.monotonic() < deadline
            sent = 0
            with contextlib.suppress(BlockingIOError):
                sent = peer.send(left)
                left = left[sent:]
            try:
                part = peer.recv(1 << 16)
            except BlockingIOError:
                if not sent:
                    time.sleep(0.001)
                continue
            if not part:
                break
            answered += (kept + part).count(STATUS)
            kept = part[1 - len(STATUS) :]
        assert answered == count


@pytest.mark.parametrize("size", [1, 64])
def test_a_body_in_many_chunks(exchange: WebExchange, size: int) -> None:
    chunk = b"%x;extension=%b\r\n%b\r\n" % (size, b"x" * 20, b"a" * size)
    head = b"POST /api/v3/order HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    count = 4000
    with connect(exchange.address) as peer:
        peer.sendall(head + chunk * count + b"0\r\n\r\n")
        assert answers(read_all(peer))[0][0] == 400, "a body of one long name: an unknown parameter"
    endless = (1 << 20) // size
    with connect(exchange.address) as peer, contextlib.suppress(ConnectionError):
        peer.sendall(head + chunk * endless)
        assert answers(read_all(peer))[0][0] == 413


def test_a_message_in_many_fragments(exchange: WebExchange) -> None:
    """Empty ones, which make no message larger; 4096 are allowed."""
    first, empty, last = masked(FIRST, b'{"id":1,'), masked(MIDDLE, b""), masked(LAST, b'"method":"ping"}')
    with connect(exchange.address) as raw:
        upgrade(raw)
        raw.sendall(first + empty * 4000 + last)
        assert b'"id":1,"status":200' in raw.recv(1 << 16)


@pytest.mark.parametrize("part", [b"", b" " * 120])
def test_a_message_in_endless_fragments(exchange: WebExchange, part: bytes) -> None:
    before = exchange.counts["socket_faults1009"]
    with connect(exchange.address) as raw, contextlib.suppress(ConnectionError):
        upgrade(raw)
        raw.sendall(masked(FIRST, b'{"id":1,'))
        for _ in range(100):
            raw.sendall(masked(MIDDLE, part) * 1000)
    counted(exchange, "socket_faults1009", before)


def test_a_flood_of_pings_makes_no_flood_of_pongs(exchange: WebExchange) -> None:
    with connect(exchange.address) as raw:
        upgrade(raw)
        flood = masked(PING_FRAME, b"x" * 125) * 1000
        for _ in range(50):
            raw.sendall(flood)  # nothing is read meanwhile
        raw.sendall(masked(TEXT, b'{"id":"after","method":"ping"}'))
        found = b""
        while b'"after"' not in found:
            part = raw.recv(1 << 16)
            assert part
            found += part
        assert found.count(b"\x8a") < 25_000
