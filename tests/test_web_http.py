"""HTTP on raw sockets: what clients may do, what broken and hostile ones do. Answered or closed, counted, never fatal.

"Never fatal" is looked at after every test.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from web_client import RestClient, connect, read_all
from web_exchange import WebExchange, web_running

from ringex.gateways.web.peer import Bounds

BOUNDS = Bounds(head_bytes_max=4096, body_bytes_max=8192, pipelined_max=8)
HASTY = Bounds(head_seconds=0.5, body_seconds=0.5, idle_seconds=1.0, linger_seconds=0.5, unsent_seconds=0.5)
PING = b"GET /api/v3/ping HTTP/1.1\r\nHost: x\r\n\r\n"
LAST_PING = b"GET /api/v3/ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
TIME = b"GET /api/v3/time HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebExchange]:
    with web_running(tmp_path_factory.mktemp("http"), BOUNDS) as started:
        yield started


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebExchange]:
    with web_running(tmp_path_factory.mktemp("hasty"), HASTY) as started:
        yield started


@pytest.fixture(autouse=True)
def still_serves(request: pytest.FixtureRequest) -> Iterator[None]:
    """After each test the gateway answers as before."""
    yield
    for name in {"exchange", "hasty"} & set(request.fixturenames):
        client = RestClient(request.getfixturevalue(name).address)
        assert client.ask("GET", "/api/v3/ping").body == {}
        client.close()


def answers(raw: bytes) -> list[tuple[int, bytes]]:
    """(status, body) of each answer in a stream of them."""
    found = []
    while raw:
        head, _, raw = raw.partition(b"\r\n\r\n")
        status = int(re.match(rb"HTTP/1\.1 (\d{3}) ", head)[1])  # type: ignore[index]
        if status == 100:
            continue
        length = int(re.search(rb"(?i)content-length: (\d+)", head)[1])  # type: ignore[index]
        found.append((status, raw[:length]))
        raw = raw[length:]
    return found


def exchanged(address: str, *parts: bytes, half_close: bool = False) -> bytes:
    """Everything that comes back to what is sent, until the gateway closes."""
    with connect(address) as peer:
        for part in parts:
            peer.sendall(part)
        if half_close:
            peer.shutdown(socket.SHUT_WR)
        return read_all(peer)


def test_pipelined_requests_are_answered_in_order(exchange: WebExchange) -> None:
    asked = [PING, TIME, PING, b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n", TIME] * 10
    found = answers(exchanged(exchange.address, b"".join(asked), LAST_PING))
    assert [status for status, _ in found] == [200, 200, 200, 404, 200] * 10 + [200]
    assert [b"serverTime" in body for _, body in found] == [False, True, False, False, True] * 10 + [False]


def test_a_request_may_come_byte_by_byte(exchange: WebExchange) -> None:
    with connect(exchange.address) as peer:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in LAST_PING:
            peer.sendall(bytes([byte]))
        assert answers(read_all(peer)) == [(200, b"{}")]


def test_a_chunked_body_is_read(exchange: WebExchange) -> None:
    head = b"POST /api/v3/order HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    body = b"7\r\nsymbol=\r\n7\r\nBTCUSDT\r\n0\r\n\r\n"
    ((status, answer),) = answers(exchanged(exchange.address, head, body))
    assert (status, json.loads(answer)["code"]) == (400, -1102)  # it came as far as what the order lacks


def test_expect_100_continue_is_answered_before_the_body(exchange: WebExchange) -> None:
    head = b"POST /api/v3/order HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nConnection: close\r\n"
    head += b"Expect: 100-continue\r\n\r\n"
    with connect(exchange.address) as peer:
        peer.sendall(head)
        assert peer.recv(1024) == b"HTTP/1.1 100 Continue\r\n\r\n"
        peer.sendall(b"a=1")
        assert answers(read_all(peer))[0][0] == 400
    raw = exchanged(exchange.address, head.replace(b"100-continue", b"a-miracle"))
    assert answers(raw)[0][0] == 417


def test_half_closed_connections_get_their_answers(exchange: WebExchange) -> None:
    assert answers(exchanged(exchange.address, PING, TIME[:0], PING, half_close=True)) == [(200, b"{}")] * 2
    assert exchanged(exchange.address, half_close=True) == b""
    before = exchange.counts["http_cut_off"]
    assert exchanged(exchange.address, PING[:20], half_close=True) == b""
    assert exchange.counts["http_cut_off"] == before + 1


def test_what_lies_behind_the_last_request_is_not_answered(
    exchange: WebExchange, caplog: pytest.LogCaptureFixture
) -> None:
    for behind in (PING, b"\x00nonsense\r\n\r\n"):
        peer = connect(exchange.address)
        peer.sendall(LAST_PING + behind)
        assert answers(read_all(peer)) == [(200, b"{}")]
        peer.close()
    exchanged(exchange.address, LAST_PING)  # by now it has looked at what lay behind
    assert "Fatal error" not in caplog.text


def test_http_1_0_is_closed_and_http_1_1_kept(exchange: WebExchange) -> None:
    assert answers(exchanged(exchange.address, b"GET /api/v3/ping HTTP/1.0\r\n\r\n")) == [(200, b"{}")]
    with connect(exchange.address) as peer:
        for _ in range(3):
            peer.sendall(PING)
            assert peer.recv(4096).endswith(b"{}")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),  # TLS where there is none
        (b"HELLO\r\n\r\n", 400),
        (b"GET /api/v3/ping HTTP/1.1\r\nHost x\r\n\r\n", 400),
        (b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 1000 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nA: " + b"b" * 5000 + b"\r\n\r\n", 431),
        (b"POST / HTTP/1.1\r\nContent-Length: 10000000\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc", 400),
    ],
)
def test_what_is_no_request_is_refused_and_closed(exchange: WebExchange, sent: bytes, status: int) -> None:
    before = exchange.counts[f"http_{status}"]
    ((found, body),) = answers(exchanged(exchange.address, sent))
    assert found == status
    assert json.loads(body)["msg"]
    assert exchange.counts[f"http_{status}"] == before + 1


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_of_10_mb_is_refused_without_being_read(exchange: WebExchange, chunked: bool) -> None:
    size = 10_000_000
    head = b"POST /api/v3/order HTTP/1.1\r\nHost: x\r\n"
    if chunked:
        sent = head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % size + b"x" * size + b"\r\n0\r\n\r\n"
    else:
        sent = head + b"Content-Length: %d\r\n\r\n" % size + b"x" * size
    with connect(exchange.address) as peer:
        with contextlib.suppress(OSError):  # it is closed on us, having said why
            peer.sendall(sent)
        try:
            found = read_all(peer)
        except ConnectionResetError:
            return
    assert answers(found)[0][0] == 413


@pytest.mark.parametrize(
    "body", [b"\xff\xfe=\xff", b"[" * 8000, b"{" * 8000, b"%zz=%", b"=&=&&", b"a" * 8000, b"\0" * 100]
)
@pytest.mark.parametrize("kind", [b"application/json", b"text/plain;charset=utf-16", b"multipart/form-data"])
def test_bodies_that_mean_nothing_are_refused_in_the_dialect(exchange: WebExchange, body: bytes, kind: bytes) -> None:
    head = (
        b"POST /api/v3/order HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n"
    )
    ((status, answer),) = answers(exchanged(exchange.address, head % (kind, len(body)), body))
    assert status == 400
    assert json.loads(answer)["code"] < -1000


def test_a_head_that_does_not_end_is_given_up(hasty: WebExchange) -> None:
    before = hasty.counts["http_408"]
    with connect(hasty.address) as peer:
        peer.sendall(b"GET /api/v3/ping HTTP/1.1\r\n")
        with contextlib.suppress(ConnectionError):  # it is closed while we still send
            for number in range(100):
                peer.sendall(b"X-%d: 1\r\n" % number)
                time.sleep(0.05)
    assert hasty.counts["http_408"] == before + 1


def test_a_body_that_does_not_come_is_given_up(hasty: WebExchange) -> None:
    raw = exchanged(hasty.address, b"POST /api/v3/order HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
    assert answers(raw)[0][0] == 408


def test_idle_connections_are_closed(hasty: WebExchange) -> None:
    assert exchanged(hasty.address) == b""
    assert answers(exchanged(hasty.address, PING)) == [(200, b"{}")]


def test_a_reader_that_does_not_read_is_dropped(tmp_path: Path) -> None:
    bounds = Bounds(unsent_seconds=0.5, unsent_bytes_high=1 << 16)
    with web_running(tmp_path, bounds) as exchange, connect(exchange.address) as mute:
        mute.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        mute.setblocking(False)
        info = b"GET /api/v3/exchangeInfo HTTP/1.1\r\nHost: x\r\n\r\n" * 64
        deadline = time.monotonic() + 60
        while not exchange.counts["slow_readers"]:
            assert time.monotonic() < deadline
            try:
                mute.send(info)
            except BlockingIOError:
                time.sleep(0.02)
            except ConnectionError:
                break
        other = RestClient(exchange.address)
        assert other.ask("GET", "/api/v3/ping").status == 200
        while not exchange.counts["slow_readers"]:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_more_connections_than_allowed_are_closed_at_once(tmp_path: Path) -> None:
    with web_running(tmp_path, Bounds(connections_max=3)) as exchange:
        held = [connect(exchange.address) for _ in range(3)]
        for peer in held:
            peer.sendall(PING)
            assert peer.recv(4096)
        with connect(exchange.address) as refused, contextlib.suppress(ConnectionResetError):
            assert refused.recv(1) == b""
        assert exchange.counts["refused_connections"] == 1
        held[0].close()
        for peer in held[1:]:
            peer.sendall(PING)
            assert peer.recv(4096)
            peer.close()


def test_a_stop_answers_what_is_in_flight_and_closes(tmp_path: Path) -> None:
    with web_running(tmp_path) as exchange:
        idle = connect(exchange.address)
        idle.sendall(PING)
        assert idle.recv(4096)
        exchange.gateway.stop()
        assert read_all(idle) == b""
        idle.close()


def test_a_websocket_upgrade_needs_its_headers(exchange: WebExchange) -> None:
    head = b"GET /ws-api/v3 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    key = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    assert answers(exchanged(exchange.address, head + key + b"\r\n"))[0][0] == 426
    assert answers(exchanged(exchange.address, head + b"Sec-WebSocket-Version: 13\r\n\r\n"))[0][0] == 400
    whole = head + key + b"Sec-WebSocket-Version: 13\r\n\r\n"
    assert answers(exchanged(exchange.address, whole.replace(b"/ws-api/v3", b"/ws-nothing")))[0][0] == 404
    with connect(exchange.address) as peer:
        peer.sendall(whole)
        assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in peer.recv(4096)


def test_another_upgrade_is_declined_and_http_goes_on(exchange: WebExchange) -> None:
    offer = b"GET /api/v3/ping HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n"
    assert answers(exchanged(exchange.address, offer + LAST_PING)) == [(200, b"{}")] * 2


def certificate(folder: Path) -> tuple[Path, Path]:
    paths = folder / "cert.pem", folder / "key.pem"
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    words += ["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run([*words, "-out", paths[0], "-keyout", paths[1]], check=True, capture_output=True)
    return paths


def test_tls_serves_https(tmp_path: Path) -> None:
    paths = certificate(tmp_path)
    with web_running(tmp_path, tls=paths) as exchange:
        context = ssl.create_default_context(cafile=str(paths[0]))
        with context.wrap_socket(connect(exchange.address), server_hostname="localhost") as peer:
            peer.sendall(PING + LAST_PING)
            assert answers(read_all(peer)) == [(200, b"{}")] * 2  # type: ignore[arg-type]
        with connect(exchange.address) as plain:
            plain.sendall(PING)
            with contextlib.suppress(ConnectionResetError):
                assert not read_all(plain).startswith(b"HTTP")
