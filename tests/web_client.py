"""A small client of the web gateway, of its own: signed REST over one keep-alive connection, and raw sockets."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import socket
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

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
