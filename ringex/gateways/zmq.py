"""The ZeroMQ gateway process: ROUTER sockets around a `Gateway`. REQ and DEALER both work; a DEALER may pipeline.

A request is one frame of msgpack, a map {"id", "method", "params"}; the reply is a map {"id", "status", "result" or
"error", "rateLimits"}. Binary commands come in two frames (see `ringex.gateways.binary`). One plain loop: a message
read by `recv(NOBLOCK)` in a drain takes 2 µs, one read through asyncio's sockets 40 (measured on a 2-core machine).
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket as sockets
import threading
import time
from collections.abc import Container
from dataclasses import dataclass, field
from ipaddress import ip_address
from types import FrameType
from typing import Any, Final

import msgspec
import zmq

from ringex.config import Run, Settings
from ringex.gateways import binary
from ringex.gateways.errors import Refusal
from ringex.gateways.express.answering import Replies
from ringex.gateways.express.sockets import Front, Stopped
from ringex.gateways.gateway import Gateway
from ringex.gateways.joining import Joining
from ringex.gateways.session import Connection, Unsent
from ringex.history.readmodel import ReadModel
from ringex.terms import Transport

MESSAGES_PER_BATCH: Final = 256
MESSAGE_BYTES_MAX: Final = (1 << 20) + 4096
"""A larger frame makes libzmq drop that peer's connection; a whole binary frame of commands fits."""
FRAMES_MAX: Final = 4
MESSAGES_WAITING_MAX: Final = 20_000
"""For one peer, each way (ZMQ_SNDHWM, ZMQ_RCVHWM). A peer that lets more pile up is forgotten."""
LARGE_BYTES: Final = 4096
"""Messages from this size on are sent without a copy, and counted until libzmq has passed them on."""
LARGE_WAITING_BYTES_MAX: Final = 64 << 20
"""Of one peer; with more it is forgotten. With MESSAGES_WAITING_MAX smaller ones, at most 150 MB wait for it."""
WAIT_SECONDS_MAX: Final = 1.0
STOP_SECONDS: Final = 3.0

log = logging.getLogger(__name__)


class CannotServe(Exception):
    """An endpoint cannot be bound; the message names it."""


@dataclass
class _Front:
    """One ROUTER socket and what goes through it."""

    socket: zmq.Socket[bytes]
    transport: Transport
    gateway: Gateway | None = None
    encoder: msgspec.msgpack.Encoder = field(default_factory=msgspec.msgpack.Encoder)
    express: Front | None = None
    """Takes what it can before this does; None: pyzmq does not let it."""

    def receive(self) -> bool:
        """Read a bounded batch of messages. True if there was one."""
        gateway = self.gateway
        assert gateway is not None
        for count in range(MESSAGES_PER_BATCH):
            try:
                identity = self.socket.recv(zmq.NOBLOCK)
            except zmq.Again:
                return count > 0
            self._take_rest(gateway, identity, [])
        return True

    def receive_express(self, express: Front) -> bool:
        """The same, by the express way where that knows a message."""
        gateway = self.gateway
        assert gateway is not None
        left = MESSAGES_PER_BATCH
        while left > 0:
            gateway.flush()  # commands reach the ring in the order in which they came
            stopped, count = express.receive(left)
            left -= count
            if stopped == Stopped.EMPTY:
                break
            if stopped == Stopped.STRANGER:
                self._take_rest(gateway, express.identity, [])
            elif stopped == Stopped.UNKNOWN:
                self._take_rest(gateway, express.identity, express.frames, is_whole=not express.more)
        return left < MESSAGES_PER_BATCH

    def _take_rest(self, gateway: Gateway, identity: bytes, frames: list[bytes], *, is_whole: bool = False) -> None:
        """Read what is left of a message behind its identity and `frames`, and serve it in the ordinary way."""
        address = ""
        if not frames and not gateway.connections.knows(identity, self.transport):
            if self.socket.getsockopt(zmq.RCVMORE):
                first = self.socket.recv(zmq.NOBLOCK, copy=False)  # only such a frame says where it came from
                frames.append(first.bytes)
                address = _address_of(first)
        while not is_whole and self.socket.getsockopt(zmq.RCVMORE):
            frame = self.socket.recv(zmq.NOBLOCK)
            if len(frames) < FRAMES_MAX:
                frames.append(frame)
        self._take(gateway, identity, frames, address)

    def send(self, connection: Connection, message: Any) -> bool:
        """Encode and send. False when the peer is gone or lets its messages pile up."""
        head = [connection.identity, b""] if connection.delimited else [connection.identity]
        body = message if isinstance(message, list) else [self.encoder.encode(message)]
        size_bytes = sum(map(len, body))
        try:
            if size_bytes < LARGE_BYTES:
                self.socket.send_multipart([*head, *body], zmq.NOBLOCK)
                return True
            if connection.unsent.size_bytes > LARGE_WAITING_BYTES_MAX:
                return False
            sending = self.socket.send_multipart([*head, *body], zmq.NOBLOCK, copy=False, track=True)
            assert sending is not None
            assert isinstance(connection.unsent, Unsent)
            connection.unsent.add(sending, size_bytes)
        except zmq.ZMQError as error:
            if error.errno not in (zmq.EAGAIN, zmq.EHOSTUNREACH):
                raise
            return False
        return True

    def _take(self, gateway: Gateway, identity: bytes, frames: list[bytes], address: str) -> None:
        delimited = bool(frames) and not frames[0] and len(frames) > 1
        try:
            connection = gateway.connections.at(identity, time.time_ns(), self.transport)
        except Refusal as refusal:
            stranger = Connection(0, identity, 0, self.transport, delimited=delimited)
            gateway.counts["refused_connections"] += 1
            reply: dict[str, Any] = {"id": None, "status": refusal.status, "error": refusal.body(), "rateLimits": []}
            self.send(stranger, reply)
            return
        if connection.delimited != delimited:
            connection.unseat()
        connection.delimited = delimited
        connection.address = connection.address or address
        body = frames[1:] if delimited else frames
        if len(body) == 1:
            gateway.request(connection, body[0])
        elif len(body) == 2 and body[0] == binary.MAGIC and self.transport == Transport.ZMQ:
            gateway.records(connection, body[1])
        else:
            expected = "one frame of msgpack, or two: RXB1 and COMMAND records"
            gateway.malformed(connection, f"{len(body)} frames; {expected}, were expected.")
        if self.express is not None and connection.key is not None:
            gateway.offer_seat(connection)


def _address_of(frame: zmq.Frame) -> str:
    """The IP address of the peer that sent it; empty over ipc://, where libzmq gives localhost:0:0:123."""
    try:
        return str(ip_address(str(frame.get("Peer-Address"))))
    except (zmq.ZMQError, ValueError):
        return ""


class ZmqGateway:
    """One gateway process's loop."""

    def __init__(self, settings: Settings, run: Run, number: int) -> None:
        self._settings = settings
        self._stopping = False
        self._wake_reading, self._wake_writing = sockets.socketpair()
        for end in (self._wake_reading, self._wake_writing):
            end.setblocking(False)
        self._context = zmq.Context()
        self._joining = Joining(settings, run, number, self._pause)
        self._run = run
        self._number = number
        self._fronts: dict[Transport, _Front] = {}
        self._poller = zmq.Poller()

    def stop(self) -> None:
        """Stop reading, answer what is in flight, leave. May be called from a signal handler or another thread."""
        self._stopping = True
        with contextlib.suppress(BlockingIOError):  # then it is full of wake-ups already
            self._wake_writing.send(b"\0")

    @property
    def wake_fd(self) -> int:
        """A byte written here ends the present wait."""
        return self._wake_writing.fileno()

    def serve(self) -> None:
        """Everything, until `stop`. Raises CannotServe when an endpoint is in use."""
        try:
            model = self._first_model()
            if model is not None:
                self._serve(model)
        finally:
            self._close()

    def _serve(self, model: ReadModel) -> None:
        gateway = self._joining.gateway(model, self._send, self._send_replies)
        self._bind(Transport.ZMQ, self._settings.gateway_endpoint(self._number), gateway)
        if self._number == 0:
            mask = os.umask(0o177)
            try:
                self._bind(Transport.ADMIN, self._settings.admin_endpoint, gateway)
            finally:
                os.umask(mask)
        self._poller.register(self._run.doorbells[self._number], zmq.POLLIN)
        self._poller.register(self._wake_reading.fileno(), zmq.POLLIN)
        gateway.announce()
        if self._run.ready_fd >= 0:
            os.write(self._run.ready_fd, f"gateway {self._number}\n".encode())
        fronts = list(self._fronts.values())
        ready: Container[object] | None = None
        while not self._stopping:
            received = False
            for front in fronts:
                if ready is not None and front.socket not in ready:
                    continue
                received |= front.receive() if front.express is None else front.receive_express(front.express)
            more = gateway.turn()
            ready = None if received or more else self._wait(gateway)
        deadline = time.monotonic() + STOP_SECONDS
        while (gateway.turn() or gateway.in_flight) and time.monotonic() < deadline:
            self._wait(gateway)
        gateway.end_streams("stops")

    def _send(self, connection: Connection, message: Any) -> None:
        front = self._fronts[connection.transport]
        if not front.send(connection, message):
            assert front.gateway is not None
            self._lose(front.gateway, connection)

    def _send_replies(self, replies: Replies) -> None:
        front = self._fronts[Transport.ZMQ]
        assert front.express is not None and front.gateway is not None
        for number in front.express.send_replies(replies):
            connection = front.gateway.connections.by_number(number)
            if connection is not None:
                self._lose(front.gateway, connection)

    def _lose(self, gateway: Gateway, connection: Connection) -> None:
        """A message could not be sent to it."""
        gateway.counts["peers_gone"] += 1
        if connection.subscriptions or connection.key is not None:
            log.warning("connection %d is ended: its peer is gone, or does not read", connection.number)
        gateway.closed(connection)

    def _wait(self, gateway: Gateway) -> Container[object] | None:
        """Sleep until a socket, the doorbell or a deadline calls. Returns the sockets that did; None: any may have."""
        timeout = WAIT_SECONDS_MAX
        if gateway.next_deadline is not None:
            timeout = min(timeout, max(gateway.next_deadline - time.monotonic(), 0.0))
        reader = gateway.follower.reader
        if not reader.arm():
            return None
        ready = dict(self._poller.poll(int(timeout * 1000) + 1))
        reader.disarm(rang=self._run.doorbells[self._number] in ready)
        if self._wake_reading.fileno() in ready:
            self._wake_reading.recv(4096)
        return ready

    def _bind(self, transport: Transport, endpoint: str, gateway: Gateway) -> None:
        router = self._context.socket(zmq.ROUTER)
        router.setsockopt(zmq.ROUTER_MANDATORY, 1)
        router.setsockopt(zmq.MAXMSGSIZE, MESSAGE_BYTES_MAX)
        router.setsockopt(zmq.SNDHWM, MESSAGES_WAITING_MAX)
        router.setsockopt(zmq.RCVHWM, MESSAGES_WAITING_MAX)
        router.setsockopt(zmq.LINGER, 500)
        router.copy_threshold = LARGE_BYTES
        try:
            router.bind(endpoint)
        except zmq.ZMQError as error:
            router.close(linger=0)
            raise CannotServe(f"{endpoint}: {error}; choose another endpoint with --zmq") from error
        self._fronts[transport] = front = _Front(router, transport, gateway)
        if transport == Transport.ZMQ:
            try:
                front.express = Front(gateway.desk, router, MESSAGE_BYTES_MAX)
            except LookupError as error:
                log.warning("gateway %d goes the ordinary way alone, and is slower: %s", self._number, error)
        self._poller.register(router, zmq.POLLIN)

    def _first_model(self) -> ReadModel | None:
        """The replica's read model, as soon as it has one; None when stopped before."""
        while not self._stopping:
            model = self._joining.model()
            if model is not None:
                return model
        return None

    def _pause(self) -> None:
        """Leave the replica alone for a moment; a stop ends it."""
        poller = zmq.Poller()
        poller.register(self._wake_reading.fileno(), zmq.POLLIN)
        poller.poll(20)

    def _close(self) -> None:
        for front in self._fronts.values():
            front.socket.close()
        self._context.term()
        self._joining.close()
        self._wake_reading.close()
        self._wake_writing.close()


def gateway_main(settings: Settings, run: Run, number: int) -> None:
    """Serve clients until SIGTERM. Raises CannotServe, RingError, KeystoreError, MasterKeyError: one line each."""
    gateway = ZmqGateway(settings, run, number)

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        gateway.stop()

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, on_signal)
        signal.set_wakeup_fd(gateway.wake_fd, warn_on_full_buffer=False)
    gateway.serve()
