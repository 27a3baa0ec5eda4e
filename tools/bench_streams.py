"""Streams of the web gateway beside a bare server of the same protocol stack that sends a constant.

    tools/bench_streams.py [--seconds S] [--held N] [--idle N]

broadcast   one depth update to 1,000 subscribers ten times a second, and to 10,000 once a second
idle        memory of a connection that does nothing
held        so many connections at two web gateways, and orders over the WebSocket API meanwhile

What counts is messages a CPU-second of the server's process: on a shared machine the rest is noise. Readers are
processes of their own, on several addresses of loopback.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import select
import socket
import subprocess
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from hashlib import sha1
from pathlib import Path
from typing import Any, Final

import click
import msgspec
import psutil
import uvloop
import websockets.sync.client
import zmq
from local_exchange import LocalExchange
from rich.console import Console
from rich.table import Table

from ringex.gateways.web.frames import Opcode, frame
from ringex.gateways.web.http import GUID

BROADCASTS: Final = ((1_000, 100), (10_000, 1000))
"""(subscribers, milliseconds between two messages)"""
READERS: Final = 2
CONNECTED_AT_ONCE: Final = 200
ORDERS: Final = 1_000
PING: Final = b"\x89\x00"
PONG: Final = b"\x8a\x80\x00\x00\x00\x00"
DEPTH: Final = (
    b'{"e":"depthUpdate","E":1700000000000,"s":"BTCUSDT","U":1000001,"u":1000004,'
    b'"b":[["20000.00000000","0.01000000"]],"a":[]}'
)
WAIT_SECONDS: Final = 120.0


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]}, help=__doc__)
@click.option("--seconds", type=click.FloatRange(1.0), default=10.0, show_default=True, help="Of each broadcast.")
@click.option("--idle", "idle_count", type=click.IntRange(100), default=5_000, show_default=True)
@click.option("--held", "held_count", type=click.IntRange(100), default=20_000, show_default=True)
@click.pass_context
def main(context: click.Context, seconds: float, idle_count: int, held_count: int) -> None:
    if context.invoked_subcommand is None:
        _measure(Console(), seconds, idle_count, held_count)


def _measure(console: Console, seconds: float, idle_count: int, held_count: int) -> None:
    table = Table(title="streams beside a bare server", title_justify="left")
    for column in ("", "gateway", "bare", "ratio"):
        table.add_column(column, justify="left" if not column else "right")
    port = _free_port()
    with LocalExchange("", "--http", f"127.0.0.1:{port}") as exchange, _bare() as (bare_port, bare_pid):
        web = exchange.child_pid("web-0")
        ours = _bytes_per_connection(port, web, "/ws", idle_count)
        bare = _bytes_per_connection(bare_port, bare_pid, "/every/0", idle_count)
        table.add_row(f"idle connection of {idle_count:,}, bytes", f"{ours:,.0f}", f"{bare:,.0f}", f"{ours / bare:.2f}")
        for subscribers, every_ms in BROADCASTS:
            with _changing_book(exchange):
                target = f"/ws/btcusdt@depth@{every_ms}ms"
                ours = _messages_per_cpu_second(port, web, target, subscribers, seconds)
            bare = _messages_per_cpu_second(bare_port, bare_pid, f"/every/{every_ms}", subscribers, seconds)
            name = f"broadcast to {subscribers:,}, messages/cpu-s"
            table.add_row(name, f"{ours:,.0f}", f"{bare:,.0f}", f"{ours / bare:.2f}")
    console.print(table)
    port = _free_port()
    with LocalExchange("", "--http", f"127.0.0.1:{port}", "--web-gateways", "2") as exchange:
        key, secret = exchange.key("bench")
        exchange.deposit("bench", "USDT", "1000000000")
        alone = _order_latencies(port, key, secret)
        with _readers(port, "/ws/btcusdt@depth", held_count) as readers:
            held = _order_latencies(port, key, secret)
            still = sum(reader.ask()["open"] for reader in readers)
        for name, found in (("alone", alone), (f"with {still:,} of {held_count:,} connections held", held)):
            p50, p99 = found[len(found) // 2], found[len(found) * 99 // 100]
            console.print(f"{len(found):,} orders over the WebSocket API {name}: p50 {p50:.2f} ms, p99 {p99:.2f} ms")


def _messages_per_cpu_second(port: int, pid: int, target: str, subscribers: int, seconds: float) -> float:
    process = psutil.Process(pid)
    with _readers(port, target, subscribers) as readers:
        time.sleep(1.5)  # the first messages are on their way
        before, spent = sum(reader.ask()["messages"] for reader in readers), _cpu_seconds(process)
        time.sleep(seconds)
        spent = _cpu_seconds(process) - spent
        return (sum(reader.ask()["messages"] for reader in readers) - before) / spent


def _bytes_per_connection(port: int, pid: int, target: str, count: int) -> float:
    process = psutil.Process(pid)
    with _readers(port, target, count // 5):  # what the first ones need besides
        time.sleep(1.0)
        before = process.memory_info().rss
        with _readers(port, target, count):
            time.sleep(1.0)
            return (process.memory_info().rss - before) / count


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _order_latencies(port: int, key: str, secret: str) -> list[float]:
    """Of orders one after the other, in ms, sorted."""
    found = []
    with websockets.sync.client.connect(f"ws://127.0.0.1:{port}/ws-api/v3") as connection:
        order = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.001"}
        for number in range(ORDERS):
            params: dict[str, Any] = {**order, "price": f"{20000 + number % 500}", "apiKey": key}
            params["timestamp"] = int(time.time() * 1000)
            text = "&".join(f"{name}={params[name]}" for name in sorted(params))
            params["signature"] = hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()
            asked = time.perf_counter()
            connection.send(json.dumps({"id": number, "method": "order.place", "params": params}))
            reply = json.loads(connection.recv(WAIT_SECONDS))
            found.append((time.perf_counter() - asked) * 1000)
            if reply["status"] != 200:
                raise click.ClickException(f"an order was refused: {reply}")
            if number % 9 == 8:
                time.sleep(0.09)  # below the orders that an account may make in ten seconds
    return sorted(found)


@contextmanager
def _changing_book(exchange: LocalExchange) -> Iterator[None]:
    """One level of the book changes every few milliseconds."""
    key, secret = exchange.key("quoter")
    exchange.deposit("quoter", "USDT", "1000000")
    stop = threading.Event()

    def run() -> None:
        with zmq.Context() as context, context.socket(zmq.REQ) as requests:
            requests.connect(exchange.endpoint)

            def ask(method: str, **params: Any) -> Any:
                params |= {"apiKey": key, "timestamp": int(time.time() * 1000)}
                text = "&".join(f"{name}={params[name]}" for name in sorted(params))
                params["signature"] = hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()
                requests.send(msgspec.msgpack.encode({"id": 1, "method": method, "params": params}))
                return msgspec.msgpack.decode(requests.recv())

            order = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "price": "20000"}
            while not stop.wait(0.04):
                made = ask("order.place", **order, quantity="0.01")
                ask("order.cancel", symbol="BTCUSDT", orderId=made["result"]["orderId"])

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


# Readers


class Reader:
    """A process with many connections, which counts what comes. Each has an address of its own: ports rest a minute."""

    _made = 0

    def __init__(self, port: int, target: str, count: int) -> None:
        Reader._made += 1
        words = ["read", str(port), target, str(count), f"127.0.1.{Reader._made}"]
        command = [sys.executable, __file__, *words]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self) -> dict[str, int]:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self.answer()

    def answer(self) -> dict[str, int]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise click.ClickException("a reader's connections could not be made")
        found: dict[str, int] = json.loads(line)
        return found


@contextmanager
def _readers(port: int, target: str, count: int) -> Iterator[list[Reader]]:
    with ExitStack() as stack:
        readers = [Reader(port, target, count // READERS) for _ in range(READERS)]
        for reader in readers:
            stack.callback(reader.process.wait)
            stack.callback(reader.process.terminate)
        for reader in readers:
            reader.answer()
        yield readers
    time.sleep(1.0)  # the server notices that they are gone


@main.command(hidden=True)
@click.argument("port", type=int)
@click.argument("target")
@click.argument("count", type=int)
@click.argument("source")
def read(port: int, target: str, count: int, source: str) -> None:
    """The process of a Reader."""
    poller = select.epoll()
    peers: dict[int, socket.socket] = {}
    while len(peers) < count:
        fresh = [_connected(port, target, source) for _ in range(min(CONNECTED_AT_ONCE, count - len(peers)))]
        for peer in fresh:
            head = b""
            while b"\r\n\r\n" not in head:
                head += peer.recv(4096)
            if not head.startswith(b"HTTP/1.1 101"):
                raise SystemExit(head.decode())
            peer.setblocking(False)
            peers[peer.fileno()] = peer
            poller.register(peer.fileno(), select.EPOLLIN)
    poller.register(0, select.EPOLLIN)
    messages = 0
    print(json.dumps({"messages": 0, "open": len(peers)}), flush=True)
    while True:
        for number, _ in poller.poll():
            if number == 0:
                if not sys.stdin.readline():
                    return
                print(json.dumps({"messages": messages, "open": len(peers)}), flush=True)
                continue
            data = peers[number].recv(1 << 16)
            if not data:
                poller.unregister(number)
                peers.pop(number).close()
                continue
            messages += data.count(b"depthUpdate")
            if PING in data:
                peers[number].send(PONG)


def _connected(port: int, target: str, source: str) -> socket.socket:
    peer = socket.create_connection(("127.0.0.1", port), WAIT_SECONDS, source_address=(source, 0))
    head = f"GET {target} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    head += "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    peer.sendall(head.encode())
    return peer


# The bare server


@contextmanager
def _bare() -> Iterator[tuple[int, int]]:
    port = _free_port()
    with subprocess.Popen([sys.executable, __file__, "bare", str(port)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield port, process.pid
        finally:
            process.terminate()


@main.command(hidden=True)
@click.argument("port", type=int)
def bare(port: int) -> None:
    """Upgrades whatever comes; to those at /every/N it sends the same frame every N ms, 0: never."""
    encoded = frame(Opcode.TEXT, DEPTH)
    groups: dict[int, set[Any]] = {every_ms: set() for _, every_ms in BROADCASTS} | {0: set()}

    class Peer(asyncio.Protocol):
        __slots__ = ("every_ms", "head", "transport")

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport: Any = transport
            self.head: bytes | None = b""
            self.every_ms = 0

        def data_received(self, data: bytes) -> None:
            if self.head is None:
                return
            self.head += data
            if b"\r\n\r\n" in self.head:
                self.every_ms = int(self.head.split(b" ", 2)[1].rpartition(b"/")[2])
                accept = b64encode(sha1(b"dGhlIHNhbXBsZSBub25jZQ==" + GUID).digest())
                self.head = None
                self.transport.write(
                    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
                )
                groups[self.every_ms].add(self.transport)

        def connection_lost(self, error: Exception | None) -> None:
            groups[self.every_ms].discard(self.transport)

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Peer, "127.0.0.1", port, backlog=4096)
        print("ready", flush=True)

        async def broadcast(every_ms: int) -> None:
            while True:
                await asyncio.sleep(every_ms / 1000)
                for transport in groups[every_ms]:
                    transport.write(encoded)

        async with server:
            await asyncio.gather(*(broadcast(every_ms) for _, every_ms in BROADCASTS))

    uvloop.run(serve())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    main()
