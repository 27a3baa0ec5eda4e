"""The bare web server: the web gateway's protocol stack answering a constant.

    python -m loadgen.webbare PORT

The stack is uvloop and the very readers that orders go through: what all sockets have sent is read in one compiled
call, where it is of known shape, else by httptools and the frame reader. It looks at nothing in requests and messages.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import sys
from typing import Any, Final, Protocol

import httptools
import numpy as np
import uvloop

from ringex.gateways.web.express.frame import FRAME, read_frame
from ringex.gateways.web.express.head import HEAD, read_request
from ringex.gateways.web.frames import FrameReader, Opcode, frame
from ringex.gateways.web.http import GUID
from ringex.gateways.web.responses import response
from ringex.jit import compiled, int64
from ringex.memory import address_of, record_at

BODY: Final = (
    b'{"symbol":"BTCUSDT","orderId":12345678,"orderListId":-1,"clientOrderId":"ringex-12345678",' + b'"x":0' * 70 + b"}"
)
"""As long as the reply to an order."""
REPLY: Final = frame(Opcode.TEXT, b'{"id":1,"status":200,"result":' + BODY + b"}")


TEXT_BYTES: Final = 1 << 20
ENTRIES_MAX: Final = 1 << 12
ENTRY: Final = np.dtype([("size", "i8"), ("is_socket", "i8"), ("messages", "i8")])


@compiled
def read_all(text: int, entries: int, count: int, head: int, frame: int) -> None:
    """How many messages each of `count` ENTRY records has; 0: it is not of known shape throughout."""
    for at in range(count):
        e = record_at(entries, at, ENTRY)
        end = text + e.size
        e.messages = 0
        if e.is_socket == 0:
            e.messages = int64(1) if read_request(text, e.size, head) != 0 else int64(0)
        else:
            place = text
            while place != 0 and place < end:
                place = read_frame(place, end, frame)
                e.messages = e.messages + 1 if place != 0 else int64(0)
        text = end


class Held(Protocol):
    is_socket: bool

    def answer(self, messages: int) -> None: ...

    def ordinary(self, data: bytes) -> None: ...


class Desk:
    """What all connections have sent since the loop looked at its sockets last."""

    def __init__(self) -> None:
        self._entries, self._text = np.zeros(ENTRIES_MAX, ENTRY), np.zeros(TEXT_BYTES, np.uint8)
        self._head, self._frame = np.zeros(1, HEAD), np.zeros(1, FRAME)
        parts = (self._text, self._entries, self._head, self._frame)
        self._addresses = [address_of(part) for part in parts]
        self._words = self._entries.view(np.int64).data.cast("B").cast("q")
        self._peers: list[Held] = []
        self._sent: list[bytes] = []
        self.read()  # compiles it

    def hold(self, peer: Held, data: bytes) -> None:
        if not self._peers:
            asyncio.get_running_loop().call_soon(self.read)
        self._words[3 * len(self._peers)] = len(data)
        self._words[3 * len(self._peers) + 1] = peer.is_socket
        self._peers.append(peer)
        self._sent.append(data)

    def read(self) -> None:
        peers, sent = self._peers, self._sent
        self._peers, self._sent = [], []
        text = b"".join(sent)
        self._text.data[: len(text)] = text
        places, entries, head, frame_place = self._addresses
        read_all(places, entries, len(peers), head, frame_place)
        for at, peer in enumerate(peers):
            messages = self._words[3 * at + 2]
            if messages:
                peer.answer(messages)
            else:
                peer.ordinary(sent[at])


class BareSocket(asyncio.Protocol):
    """Answers each message of a WebSocket with REPLY."""

    is_socket = True

    def __init__(self, transport: Any, desk: Desk) -> None:
        self._transport = transport
        self._desk = desk
        self._reader = FrameReader(1 << 16)

    def data_received(self, data: bytes) -> None:
        self._desk.hold(self, data)

    def answer(self, messages: int) -> None:
        self._transport.write(REPLY * messages)

    def ordinary(self, data: bytes) -> None:
        self.answer(len(self._reader.feed(data)))


class Bare(asyncio.Protocol):
    """Answers each request with BODY."""

    is_socket = False

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._parser = httptools.HttpRequestParser(self)
        self._key = b""
        self._out: list[bytes] = []

    def data_received(self, data: bytes) -> None:
        self._desk.hold(self, data)

    def answer(self, messages: int) -> None:
        self._transport.write(response(200, BODY))

    def ordinary(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            accepted = base64.b64encode(hashlib.sha1(self._key + GUID).digest())
            head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            self._transport.write(head + b"Sec-WebSocket-Accept: " + accepted + b"\r\n\r\n")
            self._transport.set_protocol(BareSocket(self._transport, self._desk))
            return
        self._transport.write(b"".join(self._out))
        self._out.clear()

    def on_url(self, url: bytes) -> None:
        pass

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"sec-websocket-key":
            self._key = value

    def on_body(self, body: bytes) -> None:
        pass

    def on_message_complete(self) -> None:
        if not self._parser.should_upgrade():
            self._out.append(response(200, BODY))


async def serve(port: int) -> None:
    desk = Desk()
    server = await asyncio.get_running_loop().create_server(lambda: Bare(desk), "127.0.0.1", port, backlog=1024)
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
