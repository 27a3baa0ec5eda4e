"""A small client of the web gateway, of its own: signed REST over one keep-alive connection, and raw sockets."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import websockets.sync.client

SECONDS_MAX = 30.0


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: Any


class RestClient:
    """`address` is host:port. Parameters of GET and DELETE go into the query string, others into the body."""

    def __init__(self, address: str, key: str = "", secret: str = "") -> None:
        self.key, self.secret = key, secret
        self._connection = http.client.HTTPConnection(address, timeout=SECONDS_MAX)

    def ask(self, verb: str, target: str, body: str | bytes | None = None, **headers: str) -> Answer:
        """One request, as it is."""
        if self.key:
            headers["X-MBX-APIKEY"] = self.key
        self._connection.request(verb, target, body, headers)
        response = self._connection.getresponse()
        raw = response.read()
        found = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, found, json.loads(raw) if raw else None)

    def sign(self, text: str) -> str:
        return hmac.new(self.secret.encode(), text.encode(), hashlib.sha256).hexdigest()

    def signed(self, verb: str, path: str, **params: Any) -> Answer:
        text = urlencode({**params, "timestamp": int(time.time() * 1000)})
        text += f"&signature={self.sign(text)}"
        if verb in ("GET", "DELETE"):
            return self.ask(verb, f"{path}?{text}")
        return self.ask(verb, path, text)

    def close(self) -> None:
        self._connection.close()


def connect(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), SECONDS_MAX)


def read_all(peer: socket.socket) -> bytes:
    """What comes until the other end closes."""
    found = b""
    while part := peer.recv(1 << 16):
        found += part
    return found


class Stream:
    """A WebSocket of the `websockets` library, which checks what a server sends by the book."""

    def __init__(self, address: str, target: str, **options: Any) -> None:
        self.socket = websockets.sync.client.connect(
            f"ws://{address}{target}", open_timeout=SECONDS_MAX, legacy=True, **options
        )

    def next(self) -> Any:
        """The next message. Raises TimeoutError."""
        return json.loads(self.socket.recv(SECONDS_MAX))

    def until(self, wanted: Callable[[Any], bool]) -> Any:
        """The first message that is wanted; those before it are passed over."""
        while not wanted(message := self.next()):
            pass
        return message

    def ask(self, method: str, params: Any = None, request_id: Any = 1) -> Any:
        """The reply to a request; messages before it are passed over."""
        self.socket.send(json.dumps({"method": method, "params": params, "id": request_id}))
        return self.until(lambda message: "id" in message and "e" not in message)

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
