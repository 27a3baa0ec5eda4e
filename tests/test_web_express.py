"""Requests and frames of known shape: what the express way recognises, the ordinary way reads the same."""

from __future__ import annotations

import os
import struct

import httptools
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringex.gateways.web.express.frame import FRAME, MESSAGE_BYTES_MAX, read_frame
from ringex.gateways.web.express.head import HEAD, read_request
from ringex.gateways.web.frames import FrameError, FrameReader
from ringex.gateways.web.rest import signed_bytes
from ringex.memory import address_of, array_at

KEY = b"k" * 64
DIGITS = b"0123456789abcdef" * 4
FORM = b"symbol=BTCUSDT&side=BUY"
SIGNED = FORM + b"&signature=" + DIGITS
PLAIN_LINES = (b"Host: x", b"Accept: */*", b"user-agent:bench/1.0", b"CONNECTION: Keep-Alive", b"Accept-Encoding: gzip")
STRANGE_LINES = (
    *(b"Connection: close", b"Expect: 100-continue", b"Upgrade: websocket", b"Transfer-Encoding: chunked"),
    *(b"X-MBX-APIKEY: " + b"j" * 64, b"X-MBX-APIKEY: short", b"Content-Length: 5", b"Content-Length: x"),
    *(
        b" folded: line",
        b"no colon",
        b"",
        b"Bad Name: 1",
        b"Proxy-Connection: close",
        b"\xff: 1",
        b"A: \x01",
        b"X-Forwarded-For: 1.2.3.4",
        b"X-MBX-TIME-UNIT: MICROSECOND",
    ),
)


class Heard:
    """What httptools tells of a request."""

    def __init__(self, raw: bytes) -> None:
        self.url, self.body, self.key, self.whole, self.others = b"", b"", [], 0, 0
        self.parser = httptools.HttpRequestParser(self)
        self.parser.feed_data(raw)

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"x-mbx-apikey":
            self.key.append(value)

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.whole += 1


def request(lines: tuple[bytes, ...] = (), *, query: bytes = b"", body: bytes = SIGNED, key: bytes = KEY) -> bytes:
    target = b"/api/v3/order" + (b"?" + query if query else b"")
    head = [b"POST " + target + b" HTTP/1.1", b"X-MBX-APIKEY: " + key, *lines, b"Content-Length: %d" % len(body)]
    return b"\r\n".join([*head, b"", body])


def recognised(raw: bytes) -> tuple[bytes, bytes, bytes] | None:
    """(API key, what is signed, signature) if it is of known shape."""
    held, head = np.frombuffer(raw + b"\0", np.uint8), np.zeros(1, HEAD)
    if not read_request(address_of(held), len(raw), address_of(head)):
        return None
    api_key, form, form_bytes, signature = head[0].item()
    return text_at(api_key, 64), text_at(form, form_bytes), text_at(signature, 64)


def text_at(address: int, size: int) -> bytes:
    return array_at(address, size, np.dtype("u1")).tobytes()


def check(raw: bytes) -> bool:
    """If it is recognised, httptools and the ordinary way read the same in it; whether it is."""
    found = recognised(raw)
    if found is None:
        return False
    api_key, signed, signature = found
    heard = Heard(raw)
    path, _, query = heard.url.partition(b"?")
    assert (path, heard.whole, heard.key) == (b"/api/v3/order", 1, [api_key])
    assert heard.parser.get_method() == b"POST" and heard.parser.should_keep_alive()
    assert not heard.parser.should_upgrade()
    assert bool(query) != bool(heard.body)
    assert signed == signed_bytes(query, heard.body) or signed.count(b"signature=")
    assert (query or heard.body) == signed + b"&signature=" + signature
    return True


def test_orders_in_the_body_and_in_the_query_string_are_recognised() -> None:
    assert recognised(request(PLAIN_LINES)) == (KEY, FORM, DIGITS)
    assert recognised(request(PLAIN_LINES, query=SIGNED, body=b"")) == (KEY, FORM, DIGITS)
    without_length = request(query=SIGNED, body=b"").replace(b"Content-Length: 0\r\n", b"")
    assert recognised(without_length) == (KEY, FORM, DIGITS)


@pytest.mark.parametrize("line", STRANGE_LINES)
def test_lines_that_mean_something_else_are_left_to_the_ordinary_way(line: bytes) -> None:
    assert recognised(request((line,))) is None


@pytest.mark.parametrize(
    "raw",
    [
        *(request(body=b""), request(query=SIGNED), request(body=FORM), request(body=b"&signature=" + DIGITS)),
        *(request(key=b"k" * 63), request() + b"x", request()[:-1], request()[5:], b"", b"POST /api/v3/order"),
        *(request().replace(b"HTTP/1.1", b"HTTP/1.0"), request().replace(b"POST", b"PUT ")),
        *(request().replace(b"/order ", b"/order/test "), request().replace(b"\r\n", b"\n")),
        request(body=b"a=" + b"b" * 4096 + b"&signature=" + DIGITS),
    ],
)
def test_other_requests_are_left_to_the_ordinary_way(raw: bytes) -> None:
    assert recognised(raw) is None


@given(
    st.lists(st.sampled_from(PLAIN_LINES + STRANGE_LINES), max_size=4),
    st.booleans(),
    st.lists(st.tuples(st.integers(0, 400), st.binary(max_size=2), st.integers(0, 2)), max_size=2),
)
def test_what_is_recognised_is_read_like_httptools_does(
    lines: list[bytes], in_query: bool, changes: list[tuple[int, bytes, int]]
) -> None:
    raw = request(tuple(lines), query=SIGNED, body=b"") if in_query else request(tuple(lines))
    for at, put, cut in changes:
        raw = raw[:at] + put + raw[at + cut :]
    check(raw)


# WebSocket


def client_frame(payload: bytes, mask: bytes, head: int = 0x81) -> bytes:
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else b"\xfe" + struct.pack(">H", size)
    return bytes([head]) + length + mask + bytes(byte ^ mask[at & 3] for at, byte in enumerate(payload))


def first_frame(raw: bytes) -> tuple[bytes, int] | None:
    """(text, where the next frame begins) if it is of known shape; else it must be as it was."""
    held, found = np.frombuffer(bytearray(raw), np.uint8), np.zeros(1, FRAME)
    start = address_of(held)
    after = read_frame(start, start + len(raw), address_of(found))
    if after == 0:
        assert held.tobytes() == raw
        return None
    payload, size = found[0].item()
    return text_at(payload, size), after - start


@pytest.mark.parametrize("size", [1, 2, 7, 8, 9, 124, 125, 126, 127, 4095, MESSAGE_BYTES_MAX])
def test_texts_are_unmasked_and_what_follows_is_left_alone(size: int) -> None:
    payload = (b"abcdefg" * 600)[:size]
    raw = client_frame(payload, os.urandom(4))
    assert first_frame(raw + b"more") == (payload, len(raw))
    assert first_frame(raw[:-1]) is None


@pytest.mark.parametrize(
    "raw",
    [
        *(client_frame(b"text", b"mask", head) for head in (0x01, 0x80, 0x82, 0x88, 0x89, 0x8A, 0xC1, 0xF1)),
        *(client_frame(b"", b"mask"), client_frame(b"\xc3\xa4", b"mask"), client_frame(b"a" * 4097, b"mask")),
        *(b"", b"\x81", b"\x81\x04text", b"\x81\xff" + bytes(8) + b"mask"),
    ],
)
def test_other_frames_are_left_to_the_ordinary_way(raw: bytes) -> None:
    assert first_frame(raw) is None


@given(st.binary(max_size=300), st.binary(min_size=4, max_size=4), st.integers(0, 255), st.binary(max_size=3))
def test_what_is_recognised_is_read_like_the_frame_reader_does(
    payload: bytes, mask: bytes, head: int, more: bytes
) -> None:
    raw = client_frame(payload, mask, head) + more
    found = first_frame(raw)
    if found is None:
        return
    try:
        messages = FrameReader(1 << 16).feed(raw[: found[1]])
    except FrameError:
        messages = []
    assert messages == [(1, found[0])]
