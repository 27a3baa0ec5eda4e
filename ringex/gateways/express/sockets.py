"""A ROUTER socket drained by compiled code: messages of seated peers are taken, all else is left to the ordinary way.

`receive` reads until a message is not the express way's, and says how far it has read that one. `send_replies` sends
what has been answered. The socket is pyzmq's; both return before they would wait.
"""

from __future__ import annotations

import errno
from enum import IntEnum
from typing import Final

import numpy as np
import zmq

from ringex.gateways.express.answering import ANSWERS, REPLIES_MAX, REPLY, Replies
from ringex.gateways.express.desk import IDENTITY_BYTES, Desk
from ringex.gateways.express.flights import FLIGHTS, SEAT, seat_of_identity
from ringex.gateways.express.taking import DESK, Encoding, publish, take
from ringex.gateways.express.texts import byte_at, set_byte
from ringex.jit import compiled, inlined, int64, separate
from ringex.memory import address_of, record_at
from ringex.system import monotonic_ns, now_ns
from ringex.zmqcalls import DONTWAIT, SNDMORE, function_address, zmq_more, zmq_recv, zmq_send

IDENTITY_BYTES_MAX: Final = 255


class Stopped(IntEnum):
    """Why `receive` returned."""

    EMPTY = 0
    """Nothing waits."""
    ENOUGH = 1
    """As many messages as were asked for."""
    STRANGER = 2
    """The identity of a peer without a seat has been read; its frames wait."""
    UNKNOWN = 3
    """The frames of `front` have been read; `more` says whether others of the same message wait."""


FRONT: Final = np.dtype(
    [
        ("desk", "i8"),
        ("socket", "i8"),
        ("recv", "i8"),  # addresses of libzmq's functions
        ("send", "i8"),
        ("getsockopt", "i8"),
        ("identity", "i8"),  # address of IDENTITY_BYTES_MAX bytes
        ("identity_bytes", "i8"),
        ("body", "i8"),  # of as many bytes as a message may have
        ("body_bytes_max", "i8"),
        ("body_bytes", "i8"),
        ("delimited", "i8"),  # an empty frame came before `body`
        ("more", "i8"),
        ("received", "i8"),  # messages, whatever became of them
        ("failed", "i8"),  # of SEND_FAILURES_MAX int64: connections to which a reply could not be sent
        ("failed_count", "i8"),
        ("failure", "i8"),  # the errno of a failure that is not a peer's
    ]
)
"""What both calls are told of one socket, and what they tell."""
_NUMBER: Final = np.dtype([("value", "i8")])


class Front:
    """One ROUTER socket on the express way. Raises LookupError where libzmq's functions cannot be had."""

    def __init__(self, desk: Desk, socket: zmq.Socket[bytes], message_bytes_max: int) -> None:
        self._socket = socket  # must outlive its address
        self._desk = desk
        self._identity = np.zeros(IDENTITY_BYTES_MAX, np.uint8)
        self._body = np.zeros(message_bytes_max, np.uint8)
        self._failed = np.zeros(REPLIES_MAX, np.int64)
        self._front = np.zeros(1, FRONT)
        for name in ("recv", "send", "getsockopt"):
            address = function_address(f"zmq_{name}")
            if not address:
                raise LookupError(f"this build of pyzmq hides zmq_{name}")
            self._front[name] = address
        self._front["desk"], self._front["socket"] = desk.address, socket.underlying
        self._front["identity"], self._front["body"] = address_of(self._identity), address_of(self._body)
        self._front["body_bytes_max"] = message_bytes_max
        self._front["failed"] = address_of(self._failed)
        self._address = address_of(self._front)

    def receive(self, count_max: int) -> tuple[Stopped, int]:
        """Take messages. Why it stopped, and how many have been read, the one that it stopped at among them."""
        stopped = Stopped(receive(self._address, count_max))
        self._check()
        return stopped, int(self._front["received"][0])

    @property
    def identity(self) -> bytes:
        return self._identity[: int(self._front["identity_bytes"][0])].tobytes()

    @property
    def frames(self) -> list[bytes]:
        """Those that have been read of an UNKNOWN message."""
        body = self._body[: int(self._front["body_bytes"][0])].tobytes()
        return [b"", body] if self._front["delimited"][0] else [body]

    @property
    def more(self) -> bool:
        """Whether further frames of an UNKNOWN message wait."""
        return bool(self._front["more"][0])

    def send_replies(self, replies: Replies) -> list[int]:
        """Send what has been answered. The numbers of the connections whose peers are gone, or do not read."""
        send_replies(self._address, replies.answers.address, replies.count)
        self._check()
        return self._failed[: int(self._front["failed_count"][0])].tolist()

    def _check(self) -> None:
        failure = int(self._front["failure"][0])
        if failure:
            raise zmq.ZMQError(failure)


@separate
def receive(front: int, count_max: int) -> int:
    """Take messages, at most `count_max`, and publish their commands. Returns `Stopped`."""
    x = record_at(front, 0, FRONT)
    d = record_at(x.desk, 0, DESK)
    deadline_ns = monotonic_ns() + d.answer_ns
    x.received = 0
    x.failure = 0
    stopped = int64(Stopped.ENOUGH)
    while x.received < count_max:
        size = zmq_recv(x.recv, x.socket, x.identity, IDENTITY_BYTES_MAX, DONTWAIT)
        if size < 0:
            stopped = int64(Stopped.EMPTY)
            x.failure = 0 if size == -errno.EAGAIN else -size
            break
        x.received += 1
        x.identity_bytes = size
        seat = int64(0)
        if size == IDENTITY_BYTES and byte_at(x.identity) == 0:
            seat = seat_of_identity(d.flights, _number_at(x.identity + 1))
        if seat == 0:
            stopped = int64(Stopped.STRANGER)
            break
        if not _taken(front, seat, deadline_ns):
            stopped = int64(Stopped.UNKNOWN)
            break
    publish(x.desk)
    return stopped


@compiled
def _taken(front: int, seat: int, deadline_ns: int) -> bool:
    """Read a message behind its identity, and take it. False: the ordinary way is to."""
    x = record_at(front, 0, FRONT)
    d = record_at(x.desk, 0, DESK)
    x.delimited = 0
    x.body_bytes = zmq_recv(x.recv, x.socket, x.body, x.body_bytes_max, DONTWAIT)
    x.more = zmq_more(x.getsockopt, x.socket)
    if x.body_bytes == 0 and x.more == 1:
        x.delimited = 1
        x.body_bytes = zmq_recv(x.recv, x.socket, x.body, x.body_bytes_max, DONTWAIT)
        x.more = zmq_more(x.getsockopt, x.socket)
    if x.body_bytes < 0 or x.more < 0:
        x.failure = -min(x.body_bytes, x.more)
        x.body_bytes = 0
        return False
    s = record_at(record_at(d.flights, 0, FLIGHTS).seats, seat, SEAT)
    if x.more != 0 or s.delimited != x.delimited or x.body_bytes > x.body_bytes_max:
        return False
    return take(x.desk, seat, Encoding.MSGPACK, 0, x.body, x.body_bytes, now_ns(), deadline_ns, 0, 0) != 0


@inlined
def _number_at(address: int) -> int:
    number = byte_at(address) | byte_at(address + 1) << 8
    return number | byte_at(address + 2) << 16 | byte_at(address + 3) << 24


@separate
def send_replies(front: int, answers: int, count: int) -> None:
    """Send replies; a peer that is gone, or does not read, is put among `failed`, and the others go on."""
    x = record_at(front, 0, FRONT)
    d = record_at(x.desk, 0, DESK)
    a = record_at(answers, 0, ANSWERS)
    seats = record_at(d.flights, 0, FLIGHTS).seats
    x.failed_count = 0
    x.failure = 0
    set_byte(x.identity, 0)
    for at in range(count):
        r = record_at(a.replies, at, REPLY)
        s = record_at(seats, r.seat, SEAT)
        for place in range(4):
            set_byte(x.identity + 1 + place, (s.identity >> (8 * place)) & 0xFF)
        sent = zmq_send(x.send, x.socket, x.identity, IDENTITY_BYTES, DONTWAIT | SNDMORE)
        if sent >= 0 and s.delimited != 0:
            sent = zmq_send(x.send, x.socket, x.identity, 0, DONTWAIT | SNDMORE)
        if sent >= 0:
            sent = zmq_send(x.send, x.socket, r.address, r.size_bytes, DONTWAIT)
        if sent == -errno.EAGAIN or sent == -errno.EHOSTUNREACH:
            record_at(x.failed, x.failed_count, _NUMBER).value = r.number
            x.failed_count += 1
        elif sent < 0:
            x.failure = -sent
            return
