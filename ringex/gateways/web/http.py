"""HTTP/1.1 on a peer: requests in, answers out in the order of their requests, and the upgrade to WebSocket."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import math
from dataclasses import dataclass
from enum import IntEnum, auto
from typing import Any, Final

import httptools

from ringex.gateways.errors import Refusal
from ringex.gateways.web import proxies, rest
from ringex.gateways.web.express.head import REQUEST_BYTES_MAX
from ringex.gateways.web.peer import Peer, Site
from ringex.gateways.web.pintu import http as pintu
from ringex.gateways.web.responses import CONTINUE, ENCODER, JSON, error_body, response
from ringex.gateways.web.routes import ROUTES, Route
from ringex.gateways.web.websocket import WebSocket
from ringex.terms import Transport

GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEPT: Final = frozenset(
    (
        *(b"x-mbx-apikey", b"expect", b"upgrade", b"connection", b"content-length"),
        *(b"sec-websocket-key", b"sec-websocket-version", b"access-control-request-method"),
        *(proxies.HEADER, rest.TIME_UNIT),
    )
)
"""Headers that something here looks at, in small letters."""
_EXPRESS: Final = (b"POST /api/v3/order", b"DELETE /api/v3/order", b"PUT /api/v3/order/amend/keepPriority")
"""How requests begin that may go the express way."""
_HEAD_END: Final = b"\r\n\r\n"
_EXPRESS_ROUTE: Final = ROUTES[b"POST", b"/api/v3/order"]


class _State(IntEnum):
    BETWEEN = auto()
    HEAD = auto()
    BODY = auto()
    ENDED = auto()
    """The last answer is on its way, or was sent; what still comes is thrown away."""


class _Bad(Exception):
    """A request that HTTP itself refuses: an answer, then the end of the connection."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(slots=True, eq=False)
class Request:
    """One request, and the place of its answer among those of its connection."""

    peer: HttpPeer
    verb: bytes = b""
    path: bytes = b""
    query: bytes = b""
    headers: dict[bytes, bytes] | None = None
    body: bytes = b""
    keep_alive: bool = True
    answer: bytes | None = None

    def header(self, name: bytes) -> bytes:
        return self.headers.get(name, b"") if self.headers else b""

    def respond(self, status: int, body: bytes, extra: bytes = b"", content_type: bytes = JSON) -> None:
        keep_alive = self.keep_alive and not self.peer.site.stopping
        self.keep_alive = keep_alive
        head_only = self.verb == b"HEAD"
        self.answer = response(
            status, body, extra, keep_alive=keep_alive, head_only=head_only, content_type=content_type
        )
        self.peer.answered()


class HttpPeer(Peer):
    """One HTTP connection."""

    __slots__ = (
        *(
            "_begun",
            "_body",
            "_head_bytes",
            "_is_flying",
            "_offer",
            "_parser",
            "_received",
            "_request",
            "_started",
            "_state",
        ),
        *("_url", "_waiting"),
    )
    is_socket = False
    messages_left = 1

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self._parser: Any = None
        self._state = _State.BETWEEN
        self._request: Request | None = None
        self._url = b""
        self._body: list[bytes] | None = None
        self._received = 0  # bytes of the body, or of an unfinished head
        self._head_bytes = 0
        self._started = 0.0  # when the present part of the request began
        self._waiting: list[Request] = []
        self._begun = b""  # the head of such a request, whose body is to come
        self._is_flying = False  # a request that went the express way is under way; it comes before all that wait
        self._offer: Request | None = None
        """It wants to go on in another protocol."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.wait(self.site.bounds.head_seconds)

    # What comes

    def data_received(self, data: bytes) -> None:
        if self.is_held:
            self.take_held()
        if self._begun:
            data, self._begun = self._begun + data, b""
        lane = self.site.lane
        if (
            lane is not None
            and data.startswith(_EXPRESS)
            and self._state == _State.BETWEEN
            and not (self._waiting or self._is_flying or self.proxy)
            and len(data) <= REQUEST_BYTES_MAX
        ):
            if data.endswith(_HEAD_END) and _body_follows(data):  # as many clients send it: in two pieces
                self._begun = data
                self.wait(self.site.bounds.body_seconds)
                return
            if self.connection is None:
                self.seat(Transport.WEB_REST)
            lane.hold(self, data)
        else:
            self.ordinary(data)

    def ordinary(self, data: bytes) -> None:
        """Read what has come, piece by piece, whatever it is."""
        if self._state == _State.ENDED:
            return
        if self._is_flying:
            self.ticket()
        if self._parser is None:
            self._parser = httptools.HttpRequestParser(self)
        unfinished = self._request if self._state == _State.HEAD else None
        try:
            self._feed(data)
            if unfinished is not None and self._request is unfinished and self._state == _State.HEAD:
                # Of one endless line the parser tells nothing.
                self._received += len(data)
                if self._received > self.site.bounds.head_bytes_max:
                    raise _head_too_large(self.site.bounds.head_bytes_max)
        except _Bad as bad:
            self._refuse(bad)
        if self.transport is not None and self.transport.get_protocol() is self:
            self.rested()

    def eof_received(self) -> bool:
        """The peer sends no more, and may still read: True keeps the other direction open until it has its answers."""
        self.take_held()
        if self._is_flying:
            self.ticket()
        if self._state == _State.ENDED:
            return False
        if self._state != _State.BETWEEN:
            self.site.count("http_cut_off")
        self._state = _State.ENDED
        if not self._waiting:
            self.flush()
            return False
        self.site.count("http_half_closed")
        self._waiting[-1].keep_alive = False
        return True

    def _feed(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._upgraded(data[upgrade.args[0] :])
        except httptools.HttpParserCallbackError as error:
            if isinstance(error.__context__, _Bad):
                raise error.__context__ from None
            raise
        except httptools.HttpParserError as error:
            raise _Bad(400, f"This is no HTTP request: {error}.") from None

    # What the parser tells

    def on_message_begin(self) -> None:
        self._request = Request(self)
        self._state = _State.HEAD
        self._head_bytes, self._received, self._body, self._url = 0, 0, None, b""
        self._started = self.site.loop.time()

    def on_url(self, url: bytes) -> None:
        self._count_head(len(url))
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count_head(len(name) + len(value) + 4)
        name = name.lower()
        if name in _KEPT:
            request = self._request
            assert request is not None
            if request.headers is None:
                request.headers = {}
            elif name == proxies.HEADER and name in request.headers:  # one list, in as many lines as it likes
                value = request.headers[name] + b"," + value
            request.headers[name] = value

    def on_headers_complete(self) -> None:
        request = self._request
        assert request is not None
        request.verb = self._parser.get_method()
        request.keep_alive = self._parser.should_keep_alive()
        request.path, _, request.query = _target(self._url).partition(b"?")
        self._state = _State.BODY
        self._received = 0
        self._started = self.site.loop.time()
        length = request.header(b"content-length")
        if length and int(length) > self.site.bounds.body_bytes_max:
            raise _Bad(413, f"A body may have {self.site.bounds.body_bytes_max} bytes.")
        expected = request.header(b"expect")
        if expected:
            if expected.lower() != b"100-continue":
                raise _Bad(417, "Only 'Expect: 100-continue' is understood.")
            if not self._waiting:  # else it would come among the answers of earlier requests
                self.write(CONTINUE)

    def on_body(self, part: bytes) -> None:
        self._received += len(part)
        if self._received > self.site.bounds.body_bytes_max:
            raise _Bad(413, f"A body may have {self.site.bounds.body_bytes_max} bytes.")
        if self._body is None:
            self._body = [part]
        else:
            self._body.append(part)

    def on_message_complete(self) -> None:
        request = self._request
        assert request is not None
        if self._body is not None:
            request.body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._request, self._body = None, None
        self._state = _State.BETWEEN
        if self._waiting and not self._waiting[-1].keep_alive:
            return  # nothing after a last request is served
        if self.proxy:
            self._find_client(request)
        self._waiting.append(request)
        if self._parser.should_upgrade():
            self._offer = request
            if request.header(b"upgrade").lower() == b"websocket":
                return  # seen to when the parser says where the new protocol begins
        self.site.count("http_requests")
        self.site.wake()
        if request.path.startswith(pintu.PREFIX):
            pintu.serve(request, self.site)
        else:
            rest.serve(request, self.site)
        if len(self._waiting) > self.site.bounds.pipelined_max:
            self.stop_reading()

    def _find_client(self, request: Request) -> None:
        """Behind a proxy each request may be another client's."""
        try:
            forwarded = request.header(proxies.HEADER)
            self.address = proxies.client_of(forwarded, self.proxy, self.site.trusted_proxies)
        except proxies.NotAnAddress as error:
            self._request = request
            raise _Bad(400, str(error)) from None

    def _count_head(self, size_bytes: int) -> None:
        self._head_bytes += size_bytes
        if self._head_bytes > self.site.bounds.head_bytes_max:
            raise _head_too_large(self.site.bounds.head_bytes_max)

    # The express way

    def take_held(self) -> None:
        super().take_held()
        if self._begun:
            begun, self._begun = self._begun, b""
            self.ordinary(begun)

    def took(self, messages: int) -> None:
        self._is_flying = True
        self.site.gateway.counts["http_requests"] += messages

    def ticket(self) -> tuple[Request, Route]:
        """The request that is under way the express way, as one that waits for its answer like all others."""
        if self._is_flying:
            self._is_flying = False
            self._waiting.append(Request(self))
        return self._waiting[0], _EXPRESS_ROUTE

    def answer(self, letter: bytes) -> None:
        """The answer to that request."""
        if self._waiting:
            request = self._waiting[0]
            request.keep_alive = request.keep_alive and not self.site.stopping
            closing = b"" if request.keep_alive else b"Connection: close\r\n"
            request.answer = letter.replace(b"\r\n", b"\r\n" + closing, 1)
            self.answered()
            return
        self._is_flying = False
        self.write(letter)
        self.rested()

    # Answers

    def answered(self) -> None:
        """Send the answers whose turn has come."""
        waiting = self._waiting
        had = len(waiting)
        while waiting and (answer := waiting[0].answer) is not None:
            request = waiting.pop(0)
            self.write(answer)
            if not request.keep_alive:
                waiting.clear()
                self._finish()
                return
        most = self.site.bounds.pipelined_max
        if had > most >= len(waiting) and not self.site.stopping:
            self.go_on_reading()
        if not waiting and self._state == _State.BETWEEN:
            self.rested()

    def _refuse(self, bad: _Bad) -> None:
        if self._state == _State.ENDED:  # it has had its last answer: this lies behind a `Connection: close`
            return
        self.site.count(f"http_{bad.status}")
        request = self._request or Request(self)
        self._request = None
        request.keep_alive = False
        self._state = _State.ENDED
        self._parser = None
        self._waiting.append(request)
        request.respond(bad.status, error_body(-1000 if bad.status != 400 else -1135, str(bad)))

    def _finish(self) -> None:
        """The last answer is written: send it, say that no more comes, let the peer read it."""
        self._state = _State.ENDED
        self.flush()
        if self.transport is None:
            return
        if self.transport.can_write_eof():
            self.transport.write_eof()
            self.wait(self.site.bounds.linger_seconds)
        else:
            self.transport.close()

    # Time

    def rested(self) -> None:
        bounds = self.site.bounds
        if self.paused or self._state == _State.ENDED:
            return
        if self._state == _State.HEAD:
            self.site.deadlines.set(self, self._started + bounds.head_seconds)
        elif self._state == _State.BODY:
            self.site.deadlines.set(self, self._started + bounds.body_seconds)
        elif self._waiting or self._is_flying:
            self.site.deadlines.set(self, math.inf)
        else:
            self.wait(bounds.idle_seconds)

    def late(self) -> None:
        self.take_held()
        if self._state == _State.ENDED:
            self.transport.abort()
        elif self._is_flying:
            self.wait(self.site.bounds.idle_seconds)
        elif self._state == _State.BETWEEN:
            self.site.count("http_idle")
            self.transport.close()
        else:
            self._refuse(_Bad(408, "The request did not come in full in time."))

    def end(self) -> None:
        self.take_held()
        if self._is_flying:
            self.ticket()
        if self._state == _State.ENDED:
            return
        if self._waiting:
            self._waiting[-1].keep_alive = False
        else:
            self.transport.close()

    # Upgrade

    def _upgraded(self, rest_of_data: bytes) -> None:
        request, self._offer, self._parser = self._offer, None, None
        if request is None or self._state == _State.ENDED:
            return  # it came behind a last request
        if request.header(b"upgrade").lower() != b"websocket":
            # Another protocol was offered, and declined: HTTP goes on.
            if request.verb != b"GET":
                raise _Bad(400, "Only WebSocket can be upgraded to.")
            if rest_of_data and self._state == _State.BETWEEN:
                self._parser = httptools.HttpRequestParser(self)
                self._feed(rest_of_data)
            return
        if len(self._waiting) > 1:
            raise _Bad(400, "A connection is upgraded once its earlier requests are answered.")
        endpoint = self.site.endpoint(request.path)
        if endpoint is None or request.verb != b"GET":
            self._waiting.pop()
            self._request = request
            raise _Bad(404, f"There is no WebSocket at {request.path[:200].decode('latin-1')}.")
        try:
            headers = _handshake(request)
            state = endpoint.accept(request.path, request.query)
            if self.proxy and not self.count(self.address):
                raise Refusal(-1003, self.too_many())
        except Refusal as refusal:
            request.keep_alive = False
            version = b"Sec-WebSocket-Version: 13\r\n" if refusal.status == 426 else b""
            request.respond(refusal.status, ENCODER.encode(refusal.body()), version)
            return
        self._waiting.clear()
        transport, self.transport = self.transport, None
        self.site.peers.discard(self)
        self.leave()
        transport.write(b"".join([*(self._out or ()), headers]))
        self._out = None
        socket = WebSocket(self.site, transport, endpoint, state)
        socket.address, socket.counted = self.address, self.counted
        self.site.deadlines.hand_over(self, socket)
        transport.set_protocol(socket)
        socket.open(rest_of_data)


def _body_follows(head: bytes) -> bool:
    """Whether this is one whole head, which says that a body comes, unasked."""
    if head.find(_HEAD_END) != len(head) - 4:
        return False
    small = head.lower()
    at = small.find(b"\r\ncontent-length:")
    return at >= 0 and small[at + 17 :].lstrip()[:1] != b"0" and b"\r\nexpect:" not in small


def _head_too_large(bytes_max: int) -> _Bad:
    return _Bad(431, f"Request line and headers may have {bytes_max} bytes together.")


def _handshake(request: Request) -> bytes:
    """The answer that ends HTTP. Raises Refusal."""
    if request.header(b"sec-websocket-version") != b"13":
        raise Refusal(-1000, "WebSocket version 13 is served.", status=426)
    key = request.header(b"sec-websocket-key")
    try:
        sound = len(base64.b64decode(key, validate=True)) == 16
    except binascii.Error:
        sound = False
    if not sound:
        raise Refusal(-1000, "Sec-WebSocket-Key must be 16 bytes in base64.")
    accepted = base64.b64encode(hashlib.sha1(key + GUID).digest())
    lines = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    return lines + b"Sec-WebSocket-Accept: " + accepted + b"\r\n\r\n"


def _target(url: bytes) -> bytes:
    """Path and query of a request's target, which may be a whole URL."""
    if url[:1] == b"/" or url == b"*":
        return url
    _, found, after = url.partition(b"://")
    slash = after.find(b"/")
    return after[slash:] if found and slash >= 0 else b"/"
