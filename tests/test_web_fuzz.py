"""Seeded garbage at a web gateway: requests and frames that are nearly right, half there, huge, nested, or just bytes.

It answers or closes, counts what it saw, has no fault of its own (no 5xx), and keeps nothing of it.
"""

from __future__ import annotations

import errno
import gc
import json
import random
import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from web_client import RestClient, connect
from web_exchange import WebExchange, web_running

from ringex.gateways.methods import METHODS
from ringex.gateways.web.peer import Bounds
from ringex.gateways.web.pintu.translation import METHODS as PINTU
from ringex.gateways.web.routes import ROUTES

PEERS = 500
SECONDS_MAX = 20.0
MEMORY_GROWTH_BYTES_MAX = 48 << 20
ALPHABET = [
    "BTCUSDT",
    "symbol",
    "=",
    "&",
    "%",
    "%zz",
    "%C3%28",
    "[",
    '["A"]',
    "\\u0000",
    "é",
    "0",
    "1e999",
    "-1",
    "",
    "null",
]
SOCKETS = ("/ws-api/v3", "/ws", "/ws/btcusdt@trade", "/stream?streams=btcusdt@depth", "/v1/ws", "/nowhere")
HANDSHAKE = (
    "GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebExchange]:
    folder: Path = tmp_path_factory.mktemp("fuzz")
    seconds = {"head_seconds": 1.0, "body_seconds": 1.0, "idle_seconds": 1.0, "linger_seconds": 0.3}
    bounds = Bounds(**seconds, close_seconds=0.3, ping_seconds=0.3, pong_seconds=0.5)
    with web_running(folder, bounds) as started:
        yield started


def words(dice: random.Random, most: int = 8) -> str:
    return "".join(dice.choice(ALPHABET) for _ in range(dice.randrange(most)))


def nested(dice: random.Random) -> str:
    depth = dice.choice([3, 100, 20_000])
    return dice.choice(["[", '{"a":']) * depth


def message(dice: random.Random) -> bytes:
    """What a client might send over a WebSocket, near enough."""
    name = dice.choice(
        [*METHODS, *PINTU, "subscribe", "public/auth", "SUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", words(dice)]
    )
    params = dice.choice(
        [
            {},
            [],
            None,
            {"symbol": dice.choice(ALPHABET)},
            {dice.choice(ALPHABET): [dice.choice(ALPHABET)] * 3},
            ["btcusdt@trade", words(dice)],
            {"channels": ["trades.BTC-USDT", "aggrbook.snapshot.10.BTC-IDR", "user.orders", words(dice)]},
            {"apiKey": words(dice), "signature": words(dice), "timestamp": dice.randrange(1 << 62)},
        ]
    )
    whole = json.dumps(
        {"id": dice.choice([1, "x", None, [1], 1 << 70, 1.5]), "method": name, "params": params, **envelope(dice)}
    )
    how = dice.randrange(6)
    if how == 0:
        return whole[: dice.randrange(len(whole))].encode()
    if how == 1:
        return nested(dice).encode()
    if how == 2:
        return dice.randbytes(dice.randrange(200))
    return whole.encode()


def envelope(dice: random.Random) -> dict[str, object]:
    """What Pintu Pro's requests have besides."""
    if dice.randrange(2):
        return {}
    stamp = dice.choice([time.time_ns() // 1_000_000, 0, -1, "1", 1 << 70])
    return {"request_id": words(dice, 3), "timestamp": stamp, "api_key": words(dice), "signature": words(dice)}


def frame(dice: random.Random) -> bytes:
    """A masked frame, mostly; some break every rule there is."""
    payload = message(dice)
    head = dice.choice([0x81, 0x81, 0x81, 0x81, 0x82, 0x01, 0x80, 0x89, 0x8A, 0x88, 0xC1, 0x8F, dice.randrange(256)])
    if head & 8:
        payload = payload[: dice.choice([0, 1, 2, 125])]
    mask = dice.choice([0x80, 0x80, 0x80, 0x80, 0x80, 0])
    size = dice.choice([len(payload)] * 8 + [1 << 20, 10 << 20, (1 << 63) - 1])
    if size < 126:
        length = bytes([mask | size])
    elif size < 1 << 16:
        length = bytes([mask | 126]) + struct.pack(">H", size)
    else:
        length = bytes([mask | 127]) + struct.pack(">Q", size)
    key = dice.randbytes(4)
    return bytes([head]) + length + key + bytes(byte ^ key[at & 3] for at, byte in enumerate(payload))


def request(dice: random.Random) -> bytes:
    """An HTTP request, near enough."""
    route = dice.choice(list(ROUTES.values()))
    verb = dice.choice([route.verb] * 6 + ["PATCH", "BREW", "", "get"])
    path = dice.choice(
        [route.path] * 6
        + [
            "/",
            "/api/v3/" + words(dice).replace(" ", ""),
            "/v1/" + dice.choice(list(PINTU)),
            "*",
            "http://x/docs",
            "//",
        ]
    )
    query = dice.choice(["", "?" + words(dice), "?symbol=BTCUSDT&symbol=BTCUSDT", "?" + "a=1&" * 100])
    body = dice.choice(
        [b"", message(dice), words(dice, 30).encode(), nested(dice).encode()[:5000], dice.randbytes(100)]
    )
    headers = [
        "Host: x",
        dice.choice(
            [f"Content-Length: {len(body)}"] * 5
            + ["Content-Length: 99999999999", "Transfer-Encoding: chunked", "Content-Length: -1"]
        ),
        dice.choice(
            [
                "X-MBX-APIKEY: " + "a" * 64,
                "X-MBX-APIKEY: é",
                "Content-Type: application/json",
                "Expect: 100-continue",
                "X: " + "y" * 20_000,
                "Upgrade: h2c\r\nConnection: Upgrade",
            ]
        ),
    ]
    version = dice.choice(["HTTP/1.1"] * 6 + ["HTTP/1.0", "HTTP/2.0", "HTTP"])
    head = f"{verb} {path}{query} {version}\r\n" + "\r\n".join(headers) + "\r\n\r\n"
    raw = head.encode("utf-8", "replace") + body
    return raw[: dice.randrange(len(raw))] if dice.randrange(8) == 0 else raw


def statuses(answer: bytes) -> list[int]:
    """Of every HTTP answer in it."""
    return [int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:] if part[:3].isdigit()]


def talk(address: str, data: bytes, dice: random.Random) -> bytes:
    """Send all of it, in pieces; what comes back until the other end closes or has nothing more to say."""
    peer = connect(address)
    peer.settimeout(SECONDS_MAX)
    found = b""
    piece = 1 + dice.randrange(1 << 14)
    try:
        for at in range(0, len(data), piece):
            peer.sendall(data[at : at + piece])
        if dice.randrange(12):
            peer.shutdown(socket.SHUT_WR)
        while part := peer.recv(1 << 16):
            found += part
    except OSError as error:
        if error.errno not in (errno.ECONNRESET, errno.EPIPE, errno.ENOTCONN):  # those: it has closed
            raise
    finally:
        peer.close()
    return found


def http_peer(dice: random.Random) -> bytes:
    return b"".join(request(dice) for _ in range(1 + dice.randrange(3)))


def socket_peer(dice: random.Random) -> bytes:
    opening = HANDSHAKE.format(path=dice.choice(SOCKETS)).encode()
    return opening + b"".join(frame(dice) for _ in range(1 + dice.randrange(6)))


@pytest.mark.parametrize(("make", "number"), [(http_peer, 11), (socket_peer, 12)])
def test_nothing_that_is_sent_breaks_it(
    exchange: WebExchange, make: Callable[[random.Random], bytes], number: int
) -> None:
    dice = random.Random(number)
    process = psutil.Process()
    for _ in range(20):  # what is made once is made
        talk(exchange.address, make(dice), dice)
    settle(exchange)
    gc.collect()
    files, memory = process.num_fds(), process.memory_info().rss
    seen: dict[int, int] = {}
    for _ in range(PEERS):
        for status in statuses(talk(exchange.address, make(dice), dice)):
            seen[status] = seen.get(status, 0) + 1
    settle(exchange)
    assert not [status for status in seen if status >= 500 and status != 505], seen
    assert set(seen) & {101, 200, 400, 404}, seen
    assert exchange.counts["refusals"] > 0 and exchange.counts["requests"] > 0, "it is all counted"
    assert process.num_fds() <= files
    assert process.memory_info().rss - memory < MEMORY_GROWTH_BYTES_MAX
    client = RestClient(exchange.address)
    assert client.ask("GET", "/api/v3/ping").status == 200
    client.close()


def settle(exchange: WebExchange) -> None:
    """Wait until every connection is closed on the gateway's side too."""
    deadline = time.monotonic() + SECONDS_MAX
    site = exchange.gateway._site
    while site.peers or len(exchange.gateway._gateway.connections) or site.addresses:
        assert time.monotonic() < deadline, f"{len(site.peers)} peers are still there"
        time.sleep(0.02)
