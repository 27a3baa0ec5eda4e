"""Orders through the web gateway, beside a bare server of the same protocol stack that answers a constant.

REST          signed orders on CONNECTIONS keep-alive connections, one under way on each
WebSocket     orders over the WebSocket API, on as many logged-on connections

Both servers take turns under the same load. What counts is answers a CPU-second of the server's process, all that it
does: it follows the events of its own orders meanwhile. A first run of each is not counted: memory that is touched for
the first time costs the kernel more than an order. The exchange is a temporary one, with every order synced before it
is answered.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import psutil
from local_exchange import LocalExchange

from .figure import Figure, Options, figure

TOOLS: Final = Path(__file__).resolve().parents[1]
CONNECTIONS: Final = 64
KINDS: Final = {"rest": "signed order over REST", "socket": "order over the WebSocket API"}


def measure(options: Options) -> list[Figure]:
    port = _free_port()
    seconds = max(0.5, 3.0 * options.scale)
    found: list[Figure] = []
    exchange = LocalExchange("", "--http", f"127.0.0.1:{port}")
    with exchange, _bare() as (bare_port, bare_pid):
        key, secret = exchange.key("bench")
        exchange.deposit("bench", "USDT", "1000000000")
        for kind, name in KINDS.items():
            options.say(f"web: {name}")
            ours, floors, p50, p99 = [], [], [], []
            words = [key, secret, str(CONNECTIONS), "1", str(seconds)]
            for address in (port, bare_port):
                _run([kind, f"127.0.0.1:{address}", *words], bare_pid)
            for _ in range(options.repeats):
                result = _run([kind, f"127.0.0.1:{port}", *words], exchange.child_pid("web-0"))
                assert not result["refused"], f"{result['refused']} orders were refused"
                bare = _run([kind, f"127.0.0.1:{bare_port}", *words], bare_pid)
                ours.append(result["per_cpu_second"])
                floors.append(bare["per_cpu_second"])
                p50.append(result["p50_us"])
                p99.append(result["p99_us"])
            found += [
                figure("web", name, "orders/cpu-s", ours, floors=floors, floor_name="bare server", reach=0.5),
                figure("web", f"{name}, p50", "µs", p50),
                figure("web", f"{name}, p99", "µs", p99),
            ]
    return found


def _run(words: list[str], pid: int) -> dict[str, Any]:
    """One run of the load; what it told, and answers a CPU-second of the server."""
    server = psutil.Process(pid)
    command = [sys.executable, "-m", "loadgen.webload", *words]
    with subprocess.Popen(command, cwd=TOOLS, env=_environment(), stdout=subprocess.PIPE, text=True) as load:
        assert load.stdout is not None
        assert load.stdout.readline() == "measuring\n"
        before = server.cpu_times()
        result: dict[str, Any] = json.loads(load.stdout.readline())
        after = server.cpu_times()
    cpu_seconds = after.user + after.system - before.user - before.system
    return result | {"per_cpu_second": result["answers"] / max(cpu_seconds, 0.01)}


@contextmanager
def _bare() -> Iterator[tuple[int, int]]:
    """(port, pid) of a bare server."""
    port = _free_port()
    command = [sys.executable, "-m", "loadgen.webbare", str(port)]
    with subprocess.Popen(command, cwd=TOOLS, env=_environment(), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            yield port, process.pid
        finally:
            process.terminate()


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(TOOLS.parent), str(TOOLS)])}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
