"""WebSocket on a peer, and endpoints: who serves the connections that were opened at a path."""

from __future__ import annotations

import asyncio
import time
from enum import IntEnum, auto
from typing import Any, Final, Protocol

from ringex.gateways.web.frames import (
    CloseCode,
    FrameError,
    FrameReader,
    Opcode,
    close_frame,
    frame,
    read_close,
)
from ringex.gateways.web.peer import Peer, Site

ANY_NUMBER: Final = 1 << 30
HELD_BYTES_MAX: Final = 1 << 16
"""What comes in larger pieces does not wait for the express way."""
PING: Final = frame(Opcode.PING, b"")


class Endpoint(Protocol):
    """Serves the WebSockets at one path. One object for all of them; what one has for itself is its `state`."""

    def accept(self, path: bytes, query: bytes) -> Any:
        """The state of a socket that opens. Raises Refusal: it is answered in HTTP, and none opens."""

    def on_open(self, socket: WebSocket) -> None: ...

    def on_message(self, socket: WebSocket, payload: bytes, is_text: bool) -> None:
        """A whole message; a text is UTF-8. What is sent now goes out with the end of the turn, all in one go."""

    def on_writable(self, socket: WebSocket) -> None:
        """It was `paused`, and reads again."""

    def on_close(self, socket: WebSocket) -> None:
        """It is closed, or about to be: nothing can be sent any more."""

    def on_stop(self, socket: WebSocket) -> None:
        """The gateway stops: last words, before the close frame."""


class _State(IntEnum):
    OPEN = auto()
    CLOSING = auto()  # our close frame is sent
    CLOSED = auto()


class WebSocket(Peer):
    """One WebSocket connection, the server's side."""

    __slots__ = ("_alive_until", "_count", "_reader", "_second", "_state", "endpoint", "state")
    is_socket = True

    def __init__(self, site: Site, transport: asyncio.Transport, endpoint: Endpoint, state: Any) -> None:
        super().__init__(site, transport)
        self.endpoint = endpoint
        self.state = state
        self._second = self._count = 0
        self._reader: FrameReader | None = None  # of an unfinished message; there is none for the many that are idle
        self._state = _State.OPEN
        self._alive_until = site.loop.time() + site.bounds.pong_seconds + site.bounds.ping_seconds

    @property
    def is_open(self) -> bool:
        return self._state == _State.OPEN and self.transport is not None

    def send_text(self, payload: bytes) -> None:
        """Send a text, UTF-8 already."""
        self.send_frame(frame(Opcode.TEXT, payload))

    def send_frame(self, encoded: bytes) -> None:
        """Send a whole frame: one that was made once for many (`frames.frame`)."""
        if self._state == _State.OPEN and self.transport is not None:
            self.write(encoded)

    def send_later(self, encoded: bytes) -> None:
        """Send a whole frame that many are sent, when this one's turn comes."""
        if self._state == _State.OPEN and self.transport is not None:
            self.write_later(encoded)

    def close(self, code: int, reason: str = "") -> None:
        """Say goodbye; the connection ends when the peer has too, or is late."""
        if self._state != _State.OPEN:
            return
        if code not in (CloseCode.NORMAL, CloseCode.GOING_AWAY):
            self.site.count(f"socket_closes{int(code)}")
        self.send_frame(close_frame(code, reason))
        self._state = _State.CLOSING
        self.flush()
        self.wait(self.site.bounds.close_seconds)
        self._ended()

    def open(self, data: bytes) -> None:
        """Begin, with what came behind the handshake."""
        self.site.peers.add(self)
        self.site.count("sockets_opened")
        self.rested()
        self.endpoint.on_open(self)
        if data:
            self.data_received(data)

    def data_received(self, data: bytes) -> None:
        if self.is_held:
            self.take_held()
        lane = self.site.lane
        if (
            lane is not None
            and self.endpoint is lane.endpoint
            and self._state == _State.OPEN
            and self._reader is None
            and self.connection is not None
            and len(data) <= HELD_BYTES_MAX
        ):
            lane.hold(self, data)
        else:
            self.ordinary(data)

    def ordinary(self, data: bytes) -> None:
        """Read what has come, frame by frame, whatever it is."""
        if self._state == _State.CLOSED:
            return
        try:
            reader = self._reader or FrameReader(self.site.bounds.message_bytes_max)
            messages = reader.feed(data)
            self._reader = None if reader.is_between else reader
            for opcode, payload in messages:
                self._take(opcode, payload)
        except FrameError as error:
            self._break(error)
        self.site.wake()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.is_open:
            self.endpoint.on_writable(self)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self.site.count("sockets_closed")
        was_open = self._state == _State.OPEN
        self._state = _State.CLOSED
        if was_open:
            self._ended()

    def _take(self, opcode: int, payload: bytes) -> None:
        if self._state != _State.OPEN:
            if opcode == Opcode.CLOSE:
                self._hang_up()
            return
        if self._is_too_fast():
            return
        if opcode == Opcode.TEXT or opcode == Opcode.BINARY:
            self.endpoint.on_message(self, payload, opcode == Opcode.TEXT)
        elif opcode == Opcode.PING:
            # The answer to the last ping counts for those before it: a flood of pings makes no flood of pongs.
            if self._out is not None:
                self._out[:] = [waiting for waiting in self._out if waiting[0] != 0x80 | Opcode.PONG]
            self.send_frame(frame(Opcode.PONG, payload))
        elif opcode == Opcode.PONG:
            self._alive_until = self.site.loop.time() + self.site.bounds.pong_seconds + self.site.bounds.ping_seconds
        else:
            code, _ = read_close(payload)
            self.send_frame(close_frame(CloseCode.NORMAL if code == CloseCode.NO_STATUS else code))
            self.flush()
            self._state = _State.CLOSING
            self._ended()
            self._hang_up()

    @property
    def messages_left(self) -> int:
        """How many it may send in the present second."""
        most = self.site.gateway.limiter.messages_max(self.address)
        return most - self._counted() if most else ANY_NUMBER

    def took(self, messages: int) -> None:
        """So many of its messages went the express way."""
        self._count += messages
        if self.connection is not None and self.connection.disconnect_account:
            self.connection.heard = time.monotonic()

    def answer(self, letter: bytes) -> None:
        """Frames that answer them."""
        self.send_frame(letter)

    def _counted(self) -> int:
        """Messages of the present second."""
        second = int(self.site.loop.time())
        if second != self._second:
            self._second, self._count = second, 0
        return self._count

    def _is_too_fast(self) -> bool:
        """Counts a message; with too many in one second the connection ends."""
        most = self.site.gateway.limiter.messages_max(self.address)
        if not most:
            return False
        self._count = self._counted() + 1
        if self._count > most:
            self.site.count("sockets_too_fast")
            self.close(CloseCode.POLICY, f"more than {most} messages in one second")
            return True
        return False

    def _break(self, error: FrameError) -> None:
        self.site.count(f"socket_faults{int(error.code)}")
        if self._state == _State.OPEN:
            self.send_frame(close_frame(error.code, str(error)))
            self.flush()
            self._ended()
        self._hang_up()

    def _hang_up(self) -> None:
        self._state = _State.CLOSED
        if self.transport is not None:
            self.wait(self.site.bounds.close_seconds)
            self.transport.close()

    def _ended(self) -> None:
        self.leave()
        self.endpoint.on_close(self)

    def rested(self) -> None:
        if self._state == _State.OPEN:
            self.wait(self.site.bounds.ping_seconds)

    def late(self) -> None:
        if self._state != _State.OPEN:
            self.transport.abort()
        elif self.site.loop.time() >= self._alive_until:
            self.drop("pongs_missing")
        else:
            self.write(PING)
            self.rested()

    def end(self) -> None:
        if self._state == _State.OPEN:
            self.endpoint.on_stop(self)
            self.close(CloseCode.GOING_AWAY, "the gateway stops")
