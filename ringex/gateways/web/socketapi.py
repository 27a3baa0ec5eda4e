"""The WebSocket API, /ws-api/v3: requests in JSON, one a message; replies and user stream events on the same socket."""

from __future__ import annotations

import time
from typing import Any, Final

from ringex.gateways.gateway import Gateway
from ringex.gateways.requests import JSON
from ringex.gateways.web.frames import CloseCode
from ringex.gateways.web.responses import ENCODER
from ringex.gateways.web.websocket import WebSocket
from ringex.messages import Transport

PATH: Final = b"/ws-api/v3"


class SocketApi:
    """The endpoint. It has nothing for itself: whatever a socket has is in its connection at the gateway."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def accept(self, path: bytes, query: bytes) -> None:
        """Nothing can be asked for in the path; what is in the query (`returnRateLimits`) goes into each request."""

    def on_open(self, socket: WebSocket) -> None:
        pass

    def on_message(self, socket: WebSocket, payload: bytes, is_text: bool) -> None:
        if not is_text:
            socket.close(CloseCode.UNSUPPORTED, "requests are texts, in JSON")
            return
        self._gateway.request(socket.seat(Transport.WEB_SOCKET), payload, JSON)

    def on_writable(self, socket: WebSocket) -> None:
        pass

    def on_close(self, socket: WebSocket) -> None:
        pass

    def on_stop(self, socket: WebSocket) -> None:
        send(socket, {"event": {"e": "serverShutdown", "E": time.time_ns() // 1_000_000}})


def send(socket: WebSocket, message: Any) -> None:
    """A reply, or a user stream's event."""
    socket.send_text(ENCODER.encode(message))
