"""The bare web server: the web gateway's protocol stack (uvloop, httptools, plain-Python frames) answering a constant.

    python -m loadgen.webbare PORT

It parses requests and frames as the gateway does and looks at nothing in them.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import sys
from typing import Any, Final

import httptools
import uvloop

from ringex.gateways.web.frames import FrameReader, Opcode, frame
from ringex.gateways.web.http import GUID
from ringex.gateways.web.responses import response

BODY: Final = (
    b'{"symbol":"BTCUSDT","orderId":12345678,"orderListId":-1,"clientOrderId":"ringex-12345678",' + b'"x":0' * 70 + b"}"
)
"""As long as the reply to an order."""
REPLY: Final = frame(Opcode.TEXT, b'{"id":1,"status":200,"result":' + BODY + b"}")


class BareSocket(asyncio.Protocol):
    """Answers each message of a WebSocket with REPLY."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._reader = FrameReader(1 << 16)

    def data_received(self, data: bytes) -> None:
        messages = self._reader.feed(data)
        self._transport.write(REPLY * len(messages))


class Bare(asyncio.Protocol):
    """Answers each request with BODY."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._parser = httptools.HttpRequestParser(self)
        self._key = b""
        self._out: list[bytes] = []

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            accepted = base64.b64encode(hashlib.sha1(self._key + GUID).digest())
            head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            self._transport.write(head + b"Sec-WebSocket-Accept: " + accepted + b"\r\n\r\n")
            self._transport.set_protocol(BareSocket(self._transport))
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
    server = await asyncio.get_running_loop().create_server(Bare, "127.0.0.1", port, backlog=1024)
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
