"""The web gateway process: one loop of uvloop around a `Gateway`, its peers, and the doorbell of the event ring.

What comes in while the loop looks at its sockets is one batch; a turn then takes the batch's commands out, the events
in, and sends each peer what it gets in one go.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
import signal
import socket as sockets
import ssl
import threading
import time
from collections import Counter
from types import FrameType
from typing import Any, Final

import uvloop

from ringex.config import Run, Settings
from ringex.gateways.feeds.endpoint import PATHS as STREAM_PATHS
from ringex.gateways.feeds.endpoint import Streams
from ringex.gateways.gateway import Gateway
from ringex.gateways.joining import Joining
from ringex.gateways.session import Connection
from ringex.gateways.web import rest, socketapi
from ringex.gateways.web.deadlines import Deadlines
from ringex.gateways.web.express.lane import Lane
from ringex.gateways.web.http import HttpPeer
from ringex.gateways.web.peer import Bounds, Peer, Site
from ringex.gateways.web.pintu.channels import Channels
from ringex.gateways.web.pintu.http import Ticket
from ringex.gateways.web.pintu.sockets import PATH as PINTU_PATH
from ringex.gateways.web.pintu.sockets import PintuSockets, SocketTicket
from ringex.gateways.web.socketapi import SocketApi
from ringex.gateways.web.websocket import Endpoint
from ringex.history.readmodel import ReadModel
from ringex.terms import Transport

LISTEN_BACKLOG: Final = 4096
STOP_SECONDS: Final = 3.0
"""For what is in flight to be answered."""
GOODBYE_SECONDS: Final = 1.0
"""For peers to read their last answer and close."""
PAUSE_SECONDS: Final = 0.02
TLS_HANDSHAKE_SECONDS: Final = 10.0

log = logging.getLogger(__name__)


class CannotServe(Exception):
    """The address cannot be bound; the message names it."""


class WebGateway:
    """One web gateway's loop."""

    def __init__(self, settings: Settings, run: Run, number: int, bounds: Bounds | None = None) -> None:
        self._settings, self._run, self._number = settings, run, number
        self._bounds = bounds or Bounds()
        self._stopping = threading.Event()
        self._joining = Joining(settings, run, number, pause=lambda: time.sleep(PAUSE_SECONDS))
        self._loop = uvloop.new_event_loop()
        self._turn_waits = False
        self._broadcast_waits = False
        self._armed = False
        self._timer: asyncio.TimerHandle | None = None
        self._stopped: asyncio.Event | None = None
        self._failure: BaseException | None = None

    @property
    def counts(self) -> Counter[str]:
        """What happened so far, by name."""
        return self._gateway.counts

    def stop(self) -> None:
        """Take nothing new, answer what is in flight, leave. May be called from a signal handler or another thread."""
        self._stopping.set()
        with contextlib.suppress(RuntimeError):  # the loop is closed already
            self._loop.call_soon_threadsafe(self._on_stop)

    def serve(self) -> None:
        """Everything, until `stop`. Raises CannotServe when the address is in use."""
        try:
            model = None
            while model is None and not self._stopping.is_set():
                model = self._joining.model()
            if model is not None:
                self._loop.run_until_complete(self._serve(model))
        finally:
            self._loop.close()
            self._joining.close()

    async def _serve(self, model: ReadModel) -> None:
        self._stopped = asyncio.Event()
        if threading.current_thread() is threading.main_thread():
            self._loop.add_signal_handler(signal.SIGTERM, self.stop)
        if self._stopping.is_set():
            return
        gateway = self._gateway = self._joining.gateway(model, self._send)
        deadlines = Deadlines(self._loop)
        streams = Streams(self._loop, gateway, self._wake, lambda: self._site.flush())
        gateway.watchers.append(streams)
        channels = Channels(self._loop, model, self._wake)
        gateway.watchers.append(channels)
        pintu = self._pintu = PintuSockets(gateway, channels, self._loop)
        endpoints: dict[bytes, Endpoint] = {socketapi.PATH: SocketApi(gateway), **dict.fromkeys(STREAM_PATHS, streams)}
        endpoints[PINTU_PATH] = pintu
        site = self._site = Site(
            gateway, self._loop, deadlines, self._bounds, self._wake, endpoints, self._settings.trusted_proxies
        )
        lane = self._lane = Lane(gateway, site, endpoints[socketapi.PATH])
        gateway.send_replies, gateway.original_of, site.lane = lane.send, lane.original_of, lane
        gateway.gauges["open"] = lambda: len(site.peers)
        gateway.gauges["open_sockets"] = lambda: gateway.counts["sockets_opened"] - gateway.counts["sockets_closed"]
        gateway.gauges["streams"] = lambda: streams.topics
        server = await self._listen()
        doorbell = self._run.doorbells[self._number]
        self._loop.add_reader(doorbell, self._turn)
        gateway.announce()
        if self._run.ready_fd >= 0:
            os.write(self._run.ready_fd, f"web {self._number - self._settings.gateways}\n".encode())
        self._wake()
        try:
            await self._stopped.wait()
            server.close()
            if self._failure is not None:
                raise self._failure
            await self._leave(site, gateway)
        finally:
            self._loop.remove_reader(doorbell)
            deadlines.stop()
            channels.stop()
            pintu.stop()
            streams.stop()
            if self._timer is not None:
                self._timer.cancel()

    async def _leave(self, site: Site, gateway: Gateway) -> None:
        """Answer what is in flight, then close every connection."""
        for peer in list(site.peers):
            peer.stop_reading()
        await self._until(lambda: not gateway.in_flight, STOP_SECONDS)
        gateway.end_streams("stops")
        site.stopping = True
        for peer in list(site.peers):
            peer.end()
        site.flush()
        for peer in list(site.peers):
            peer.go_on_reading()
        await self._until(lambda: not site.peers, GOODBYE_SECONDS)
        for peer in list(site.peers):
            peer.transport.abort()

    async def _until(self, done: Any, seconds: float) -> None:
        deadline = self._loop.time() + seconds
        while not done() and self._loop.time() < deadline:
            await asyncio.sleep(PAUSE_SECONDS)

    async def _listen(self) -> asyncio.AbstractServer:
        host, port = self._settings.http_address
        family, kind, protocol, _, address = sockets.getaddrinfo(host, port, type=sockets.SOCK_STREAM)[0]
        listening = sockets.socket(family, kind, protocol)
        try:
            listening.setsockopt(sockets.SOL_SOCKET, sockets.SO_REUSEADDR, 1)
            listening.setsockopt(sockets.SOL_SOCKET, sockets.SO_REUSEPORT, 1)
            listening.bind(address)
            listening.setblocking(False)
        except OSError as error:
            listening.close()
            where = self._settings.http_endpoint
            raise CannotServe(f"{where}: {error.strerror}; choose another address with --http") from error
        extra: dict[str, Any] = {}
        if self._settings.tls is not None:
            extra = {"ssl": _tls_context(*self._settings.tls), "ssl_handshake_timeout": TLS_HANDSHAKE_SECONDS}
        return await self._loop.create_server(self._peer, sock=listening, backlog=LISTEN_BACKLOG, **extra)

    def _peer(self) -> Peer:
        return HttpPeer(self._site)

    # Turns

    def _wake(self) -> None:
        """There is something to do: a turn, once all sockets that are ready have been read."""
        if not self._turn_waits:
            self._turn_waits = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        reader = self._gateway.follower.reader
        if self._armed:
            self._armed = False
            reader.disarm()
        self._turn_waits = True  # what is written now goes out below, without a further turn
        try:
            self._lane.take()
            more = self._gateway.turn()
            self._site.flush()
        except BaseException as failure:  # the loop would log it and go on, with who knows what half done
            self._failure = failure
            self._on_stop()
            return
        self._turn_waits = False
        if self._site.broadcast and not self._broadcast_waits:
            self._broadcast_waits = True
            self._loop.call_soon(self._broadcast)
        if more or not reader.arm():
            self._wake()
            return
        self._armed = True
        self._set_timer()

    def _broadcast(self) -> None:
        """Send a part of what is broadcast; sockets and turns have their say before the next one."""
        self._broadcast_waits = self._site.flush_some()
        if self._broadcast_waits:
            self._loop.call_soon(self._broadcast)

    def _set_timer(self) -> None:
        """See to it that what is given up is given up in time."""
        if self._timer is not None and not self._gateway.waits_shortly:
            return  # what has come since it was set is given up later
        due = self._gateway.next_deadline
        if due is None:
            return
        if self._timer is not None:
            if self._timer.when() <= due:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(due, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._wake()

    def _on_stop(self) -> None:
        if self._stopped is not None:
            self._stopped.set()

    # Replies

    def _send(self, connection: Connection, message: Any) -> None:
        ticket = message.get("id")
        if isinstance(ticket, Ticket | SocketTicket):
            ticket.answer(message)
        elif connection.transport == Transport.WEB_REST:
            rest.reply(message)
        elif connection.peer is not None:
            if connection.peer.endpoint is self._pintu:
                self._pintu.on_event(connection.peer, message)
            else:
                socketapi.send(connection.peer, message)


def _tls_context(certificate: Any, key: Any) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(["http/1.1"])
    return context


def web_gateway_main(settings: Settings, run: Run, number: int) -> None:
    """Serve clients until SIGTERM. Raises CannotServe, RingError, KeystoreError, MasterKeyError: one line each."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    gateway = WebGateway(settings, run, number)

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        gateway.stop()

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, on_signal)
    gateway.serve()
