"""Load on a web server: connections that send prepared requests, each the next one when its answer has come.

    python -m loadgen.webload rest|socket HOST:PORT KEY SECRET CONNECTIONS WINDOW SECONDS

Orders are LIMIT IOC far from the market: each is accepted, journaled, and ends unfilled, so books stay as they are.
They are signed before they are sent, in batches, so that the server and not this process is measured. One line of JSON
comes out: answers, refused, seconds, p50_us, p99_us.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import struct
import sys
import time
from collections import deque
from typing import Any, Final

import uvloop

ORDER: Final = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "IOC", "price": "10000.00"}
QUANTITY: Final = "0.001"


def rest_request(key: str, secret: str, number: int) -> bytes:
    pairs = [f"{name}={value}" for name, value in ORDER.items()]
    body = "&".join([*pairs, f"quantity={QUANTITY}", f"newClientOrderId=b{number}", *_times()])
    body += "&signature=" + hmac.digest(secret.encode(), body.encode(), "sha256").hex()
    head = f"POST /api/v3/order HTTP/1.1\r\nHost: localhost\r\nX-MBX-APIKEY: {key}\r\nAccept: */*\r\n"
    head += "Content-Type: application/x-www-form-urlencoded\r\nUser-Agent: bench\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()


def socket_request(method: str, params: dict[str, Any], number: int) -> bytes:
    payload = json.dumps({"id": number, "method": method, "params": params}).encode()
    mask = b"\x11\x22\x33\x44"
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else b"\xfe" + struct.pack(">H", size)
    repeated = mask * (size // 4 + 1)
    hidden = (int.from_bytes(payload, "little") ^ int.from_bytes(repeated[:size], "little")).to_bytes(size, "little")
    return b"\x81" + length + mask + hidden


def logon(key: str, secret: str) -> bytes:
    params: dict[str, Any] = {"apiKey": key, "recvWindow": 60000, "timestamp": int(time.time() * 1000)}
    text = "&".join(f"{name}={params[name]}" for name in sorted(params))
    signature = hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()
    return socket_request("session.logon", params | {"signature": signature}, 0)


def _times() -> list[str]:
    """A short window: a request is remembered as long, and an account has so many of them at most."""
    return ["recvWindow=1500", f"timestamp={int(time.time() * 1000)}"]


class Load:
    """What all connections share."""

    def __init__(self, kind: str, key: str, secret: str) -> None:
        self.kind, self.key, self.secret = kind, key, secret
        self.number = time.time_ns() // 1000 % (1 << 40)
        self.answers = 0
        self.refused = 0
        self.latencies: list[float] = []
        self.measuring = False
        self.ending = False
        self._ready: deque[bytes] = deque()

    def next(self) -> bytes:
        if not self._ready:
            for _ in range(64):
                self.number += 1
                if self.kind == "rest":
                    self._ready.append(rest_request(self.key, self.secret, self.number))
                else:
                    params = {**ORDER, "quantity": QUANTITY, "newClientOrderId": f"b{self.number}"}
                    self._ready.append(socket_request("order.place", params, self.number))
        return self._ready.popleft()

    def answered(self, sent_at: float, good: bool) -> None:
        if self.measuring:
            self.answers += 1
            self.refused += not good
            self.latencies.append(time.perf_counter() - sent_at)


class Connection(asyncio.Protocol):
    """One connection with `window` requests under way."""

    def __init__(self, load: Load, window: int) -> None:
        self._load, self._window = load, window
        self._sent: deque[float] = deque()
        self._rest = b""
        self._upgraded = load.kind == "rest"
        self._logged_on = load.kind == "rest"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        if self._upgraded:
            self._send(self._window)
            return
        head = "GET /ws-api/v3 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        head += "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        self._transport.write(head.encode())

    def data_received(self, data: bytes) -> None:
        self._rest += data
        if not self._upgraded:
            if b"\r\n\r\n" not in self._rest:
                return
            self._rest = self._rest.partition(b"\r\n\r\n")[2]
            self._upgraded = True
            self._transport.write(logon(self._load.key, self._load.secret))
        count = 0
        at = 0
        while (answer := self._answer(at)) is not None:
            at, good = answer
            if not self._logged_on:
                assert good, "the session could not log on"
                self._logged_on = True
                self._send(self._window)
                continue
            self._load.answered(self._sent.popleft(), good)
            count += 1
        self._rest = self._rest[at:]
        if count and not self._load.ending:
            self._send(count)

    def _send(self, count: int) -> None:
        now = time.perf_counter()
        self._sent.extend([now] * count)
        self._transport.write(b"".join([self._load.next() for _ in range(count)]))

    def _answer(self, at: int) -> tuple[int, bool] | None:
        """(where the next one begins, whether this one is a success) of the answer at `at`; None: not there yet."""
        data = self._rest
        if self._load.kind == "rest":
            end = data.find(b"\r\n\r\n", at)
            if end < 0:
                return None
            found = data.find(b"Content-Length: ", at, end) + 16
            length = int(data[found : data.index(b"\r", found)])
            after = end + 4 + length
            return (after, data.startswith(b"HTTP/1.1 200", at)) if len(data) >= after else None
        if len(data) < at + 4:
            return None
        length, start = data[at + 1], at + 2
        if length == 126:
            length, start = int.from_bytes(data[at + 2 : at + 4], "big"), at + 4
        after = start + length
        return (after, data.find(b'"status":200', start, after) >= 0) if len(data) >= after else None


async def run(kind: str, address: str, key: str, secret: str, connections: int, window: int, seconds: float) -> None:
    load = Load(kind, key, secret)
    host, _, port = address.rpartition(":")
    loop = asyncio.get_running_loop()
    for _ in range(connections):
        await loop.create_connection(lambda: Connection(load, window), host, int(port))
    await asyncio.sleep(0.5)
    print("measuring", flush=True)
    load.measuring, began = True, time.perf_counter()
    await asyncio.sleep(seconds)
    load.measuring, took = False, time.perf_counter() - began
    load.ending = True
    latencies = sorted(load.latencies) or [0.0]
    found = {
        "answers": load.answers,
        "refused": load.refused,
        "seconds": took,
        "p50_us": latencies[len(latencies) // 2] * 1e6,
        "p99_us": latencies[len(latencies) * 99 // 100] * 1e6,
    }
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    words = sys.argv[1:]
    uvloop.run(run(words[0], words[1], words[2], words[3], int(words[4]), int(words[5]), float(words[6])))
