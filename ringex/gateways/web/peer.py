"""One TCP connection of the web gateway: what waits to be sent, its deadline, its place at the gateway.

HTTP and WebSocket are protocols on top of it. Memory counts: there are tens of thousands, most of them idle.
"""

from __future__ import annotations

import asyncio
import math
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from ringex.gateways.gateway import Gateway
from ringex.gateways.limiter import is_in
from ringex.gateways.session import Connection
from ringex.gateways.web.deadlines import Deadlines
from ringex.gateways.web.responses import error_body, response
from ringex.terms import Transport

if TYPE_CHECKING:
    from ringex.gateways.web.express.lane import Lane
    from ringex.gateways.web.websocket import Endpoint

BROADCAST_STEP: Final = 128
"""Peers that a broadcast is sent to at a time, about a millisecond's work; then others have their say."""
LATER_MAX: Final = 64
"""Broadcast messages that wait for one peer's turn; with more its turn has come."""


@dataclass(frozen=True)
class Bounds:
    """What one connection may hold and how long it may take."""

    connections_max: int = 1 << 16
    head_bytes_max: int = 16 << 10  # request line and headers
    body_bytes_max: int = 256 << 10
    pipelined_max: int = 128  # requests that wait for their answers; with more it is not read from
    message_bytes_max: int = 256 << 10  # of one WebSocket message, all its fragments together
    unsent_bytes_max: int = 16 << 20  # with more it is dropped
    unsent_bytes_high: int = 1 << 20  # with more it is not read from
    head_seconds: float = 10.0  # from the first byte of a request to the end of its headers
    body_seconds: float = 20.0  # from there to the end of its body
    idle_seconds: float = 60.0  # between an answer and the next request
    unsent_seconds: float = 30.0  # without taking any of what is unsent
    linger_seconds: float = 2.0  # after a last answer, for the peer to read it
    ping_seconds: float = 20.0
    pong_seconds: float = 60.0
    close_seconds: float = 5.0  # for the peer's own close frame


@dataclass
class Site:
    """What the peers of one web gateway share. `wake` asks for a turn soon."""

    gateway: Gateway
    loop: asyncio.AbstractEventLoop
    deadlines: Deadlines
    bounds: Bounds
    wake: Callable[[], None]
    endpoints: Mapping[bytes, Endpoint]
    """WebSocket endpoints by path; `/x/*` stands for every path below /x/."""
    trusted_proxies: tuple[str, ...] = ()
    """Networks whose X-Forwarded-For is believed."""
    peers: set[Peer] = field(default_factory=set)
    addresses: Counter[str] = field(default_factory=Counter)
    """How many peers each address has here."""
    unflushed: list[Peer] = field(default_factory=list)
    broadcast: deque[Peer] = field(default_factory=deque)
    """Who has been given what is sent to many: `flush_some` sends it, in steps, so that orders are seen to between."""
    stopping: bool = False
    lane: Lane | None = None
    """The express way of orders."""

    def flush(self) -> None:
        """Send what the peers have been given; each one's in one go."""
        while self.unflushed:
            peers, self.unflushed = self.unflushed, []
            for peer in peers:
                peer.flush()

    def flush_some(self) -> bool:
        """Send a part of what is broadcast. True if there is more."""
        peers = self.broadcast
        for _ in range(min(len(peers), BROADCAST_STEP)):
            peers.popleft().flush()
        return bool(peers)

    def count(self, what: str) -> None:
        """One more, which the next turn shows to operators."""
        self.gateway.counts[what] += 1
        self.wake()

    def endpoint(self, path: bytes) -> Endpoint | None:
        found = self.endpoints.get(path)
        if found is None and path.count(b"/") > 1:
            found = self.endpoints.get(path[: path.index(b"/", 1)] + b"/*")
        return found


class Peer(asyncio.Protocol):
    """Base of the protocols. `size_bytes` makes it an `Unread` of its gateway connection."""

    __slots__ = (
        *("_out", "address", "connection", "counted", "deadline", "looked_at", "paused", "proxy", "site"),
        *("is_held", "stuck_bytes", "transport"),
    )

    def __init__(self, site: Site, transport: asyncio.Transport | None = None) -> None:
        self.site = site
        self.transport: Any = transport  # None before there is one and after it is gone
        self.connection: Connection | None = None
        self.address = ""
        """The client's IP address: the other end's, or what a trusted proxy there says of the present request."""
        self.proxy = ""
        """The other end's address, if it is a trusted proxy."""
        self.counted = ""
        """The address among whose connections it counts; empty for those of proxies."""
        self.deadline = math.inf
        self.looked_at = 0
        self.paused = False
        """It does not read what it is sent: nothing is read from it."""
        self.stuck_bytes = 0
        self.is_held = False
        """What it has sent last waits in the lane."""
        self._out: list[bytes] | None = None  # a list only while something is in it

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        site, bounds = self.site, self.site.bounds
        if len(site.peers) >= bounds.connections_max or site.stopping:
            site.count("refused_connections")
            self.transport.abort()
            return
        name = transport.get_extra_info("peername")
        self.address = sys.intern(str(name[0])) if name else ""
        if site.trusted_proxies and is_in(self.address, site.trusted_proxies):
            self.proxy = self.address
        elif not self.count(self.address):
            body = error_body(-1003, self.too_many())
            self.transport.write(response(429, body, keep_alive=False))
            self.transport.close()
            return
        site.peers.add(self)
        self.transport.set_write_buffer_limits(high=bounds.unsent_bytes_high)

    def connection_lost(self, error: Exception | None) -> None:
        self.take_held()
        self.transport = None
        self._uncount()
        self._out = None
        self.site.peers.discard(self)
        self.site.deadlines.set(self, math.inf)
        self.leave()

    def count(self, address: str) -> bool:
        """Count it among the connections of an address. False if that has too many."""
        self.counted = address
        self.site.addresses[address] += 1
        if self.site.gateway.limiter.connected(address, self.site.addresses[address]):
            return True
        self.site.count("refused_connections")
        return False

    def too_many(self) -> str:
        most = self.site.gateway.limiter.limits.connections_per_address
        return f"Too many connections. At most {most} of one address may be open; close some."

    def _uncount(self) -> None:
        addresses, address = self.site.addresses, self.counted
        if not address:
            return
        self.counted = ""
        if addresses[address] <= 1:
            del addresses[address]
        else:
            addresses[address] -= 1
        self.site.gateway.limiter.connected(address, addresses[address])

    def take_held(self) -> None:
        """What it has sent is looked at now: more has come, or nothing will."""
        if self.is_held and self.site.lane is not None:
            self.site.lane.take()

    def leave(self) -> None:
        """Give up the place at the gateway."""
        connection, self.connection = self.connection, None
        if connection is not None:
            self.site.gateway.closed(connection)
            self.site.wake()

    def seat(self, transport: Transport) -> Connection:
        """The place at the gateway; taken with the first request."""
        if self.connection is None:
            self.connection = self.site.gateway.connections.open(time.time_ns(), transport, self)
        self.connection.address = self.address
        return self.connection

    @property
    def size_bytes(self) -> int:
        """What waits to be read by the peer."""
        transport = self.transport
        return transport.get_write_buffer_size() if transport is not None and not transport.is_closing() else 0

    def write(self, data: bytes) -> None:
        """Send with the end of this turn, behind all that was broadcast before."""
        unflushed = self.site.unflushed
        if not unflushed or unflushed[-1] is not self:
            unflushed.append(self)
            self.site.wake()
        if self._out is None:
            self._out = [data]
        else:
            self._out.append(data)

    def write_later(self, data: bytes) -> None:
        """Send what many are sent, when its turn comes."""
        out = self._out
        if out is None:
            self._out = [data]
            self.site.broadcast.append(self)
            return
        out.append(data)
        if len(out) >= LATER_MAX:
            self.flush()

    def flush(self) -> None:
        out = self._out
        if out is None or self.transport is None:
            return
        self._out = None
        if self.transport.is_closing():  # nothing more can be written to it
            return
        self.transport.write(out[0] if len(out) == 1 else b"".join(out))
        if self.paused and self.size_bytes > self.site.bounds.unsent_bytes_max:
            self.drop("slow_readers")

    def drop(self, why: str) -> None:
        """Cut the connection, and count it."""
        self.site.count(why)
        self._out = None
        if self.transport is not None:
            self.transport.abort()

    def pause_writing(self) -> None:
        self.paused = True
        self.stuck_bytes = self.size_bytes
        if self.transport is not None:
            self.stop_reading()
            self.wait(self.site.bounds.unsent_seconds)

    def resume_writing(self) -> None:
        self.paused = False
        if self.transport is not None:
            self.go_on_reading()
            self.rested()

    def stop_reading(self) -> None:
        """Leave what comes to the kernel, which lets the peer wait."""
        transport = self.transport
        if transport is not None and not transport.is_closing() and transport.is_reading():
            transport.pause_reading()

    def go_on_reading(self) -> None:
        transport = self.transport
        if transport is not None and not transport.is_closing() and not self.paused and not transport.is_reading():
            transport.resume_reading()

    def wait(self, seconds: float) -> None:
        """`on_deadline` after so many seconds."""
        self.site.deadlines.set(self, self.site.loop.time() + seconds)

    def on_deadline(self) -> None:
        if self.transport is None:
            return
        if not self.paused:
            self.late()
        elif self.size_bytes < self.stuck_bytes:
            self.stuck_bytes = self.size_bytes
            self.wait(self.site.bounds.unsent_seconds)
        else:
            self.drop("slow_readers")

    def late(self) -> None:
        """The deadline has passed."""
        raise NotImplementedError

    def rested(self) -> None:
        """Set the deadline that goes with the present state: it reads again."""
        raise NotImplementedError

    def end(self) -> None:
        """The gateway stops: finish what is under way, then close."""
        raise NotImplementedError
