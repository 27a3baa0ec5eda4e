"""The WebSocket API, /ws-api/v3: requests in JSON, one a message; replies and user stream events on the same socket."""

from __future__ import annotations

import time
from typing import Any, Final, NamedTuple

from ringex.gateways import times
from ringex.gateways.errors import Refusal, invalid
from ringex.gateways.gateway import Gateway
from ringex.gateways.requests import JSON
from ringex.gateways.web.frames import CloseCode
from ringex.gateways.web.responses import ENCODER
from ringex.gateways.web.rest import form
from ringex.gateways.web.websocket import WebSocket
from ringex.terms import Transport

PATH: Final = b"/ws-api/v3"
LIMITS: Final = "returnRateLimits"
OPTIONS: Final = (LIMITS, times.NAME)


class State(NamedTuple):
    """What a socket's URL says of its replies."""

    show_limits: bool
    unit_ns: int


class SocketApi:
    """The endpoint. A socket's state is what its URL says; all else is in its connection."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def accept(self, path: bytes, query: bytes) -> State:
        options = form(query)
        unknown = ", ".join(sorted(options.keys() - set(OPTIONS)))
        if unknown:
            known = ", ".join(OPTIONS)
            raise Refusal(-1104, f"Not all sent parameters were read. Unknown: {unknown[:200]}. Known: {known}.")
        wanted = options.get(LIMITS, "true")
        if wanted not in ("true", "false"):
            raise invalid(LIMITS, "It must be true or false.")
        return State(wanted == "true", times.unit_named(options.get(times.NAME, "MILLISECOND")))

    def on_open(self, socket: WebSocket) -> None:
        pass

    def on_message(self, socket: WebSocket, payload: bytes, is_text: bool) -> None:
        if not is_text:
            socket.close(CloseCode.UNSUPPORTED, "requests are texts, in JSON")
            return
        connection = socket.seat(Transport.WEB_SOCKET)
        connection.show_limits, connection.unit_ns = socket.state
        self._gateway.request(connection, payload, JSON)
        lane = socket.site.lane
        if lane is not None:
            lane.seat_session(connection)

    def on_writable(self, socket: WebSocket) -> None:
        pass

    def on_close(self, socket: WebSocket) -> None:
        pass

    def on_stop(self, socket: WebSocket) -> None:
        with times.in_unit(socket.state.unit_ns):
            send(socket, {"event": {"e": "serverShutdown", "E": times.shown(time.time_ns())}})


def send(socket: WebSocket, message: Any) -> None:
    """A reply, or a user stream's event."""
    socket.send_text(ENCODER.encode(message))
