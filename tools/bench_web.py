"""Orders through the web gateway beside a bare server of the same protocol stack that answers a constant.

    tools/bench_web.py [--repeats N] [--seconds S] [--connections N] [--window N]

rest      signed orders over REST, on keep-alive connections
socket    orders over the WebSocket API, on logged-on connections

Both servers take turns under the same load. What counts is answers a CPU-second of the server's process: on a shared
machine the rest is noise. The exchange is a temporary one, every order synced before it is answered.
"""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import click
import psutil
from local_exchange import LocalExchange
from rich.console import Console
from rich.table import Table

TOOLS: Final = Path(__file__).resolve().parent
KINDS: Final = ("rest", "socket")


@click.command(help=__doc__, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--repeats", type=click.IntRange(1), default=3, show_default=True)
@click.option("--seconds", type=click.FloatRange(0.2), default=3.0, show_default=True, help="Of each run.")
@click.option("--connections", type=click.IntRange(1), default=64, show_default=True)
@click.option("--window", type=click.IntRange(1), default=1, show_default=True, help="Requests under way on each.")
def main(repeats: int, seconds: float, connections: int, window: int) -> None:
    console = Console()
    port = _free_port()
    figures: dict[tuple[str, str], list[dict[str, Any]]] = {}
    exchange = LocalExchange("", "--http", f"127.0.0.1:{port}")
    with exchange, _bare() as (bare_port, bare_pid):
        key, secret = exchange.key("bench")
        exchange.deposit("bench", "USDT", "1000000000")
        servers = {"gateway": (port, exchange.child_pid("web-0")), "bare": (bare_port, bare_pid)}
        for turn in range(repeats):
            for kind in KINDS:
                for name, (at, pid) in servers.items():
                    words = [kind, f"127.0.0.1:{at}", key, secret, str(connections), str(window), str(seconds)]
                    result = _run(words, pid)
                    figures.setdefault((kind, name), []).append(result)
                    console.print(f"{turn + 1}/{repeats} {kind} {name}: {json.dumps(result)}")
    table = Table(title=f"{connections} connections, {window} under way on each; medians", title_justify="left")
    for column in ("", "answers/s", "answers/cpu-s", "p50 ms", "p99 ms", "refused"):
        table.add_column(column, justify="left" if not column else "right")
    for (kind, name), results in figures.items():
        table.add_row(
            f"{kind} {name}",
            f"{_median(results, 'per_second'):,.0f}",
            f"{_median(results, 'per_cpu_second'):,.0f}",
            f"{_median(results, 'p50_us') / 1000:.2f}",
            f"{_median(results, 'p99_us') / 1000:.2f}",
            f"{sum(result['refused'] for result in results)}",
        )
    console.print(table)
    for kind in KINDS:
        ours, bare = (_median(figures[kind, name], "per_cpu_second") for name in ("gateway", "bare"))
        console.print(f"{kind}: {ours / bare:.2f} of the bare server")


def _median(results: list[dict[str, Any]], name: str) -> float:
    return statistics.median(result[name] for result in results)


def _run(words: list[str], pid: int) -> dict[str, Any]:
    server = psutil.Process(pid)
    command = [sys.executable, "-m", "loadgen.webload", *words]
    with subprocess.Popen(command, cwd=TOOLS, env=_environment(), stdout=subprocess.PIPE, text=True) as load:
        assert load.stdout is not None
        assert load.stdout.readline() == "measuring\n"
        before = server.cpu_times()
        result: dict[str, Any] = json.loads(load.stdout.readline())
        after = server.cpu_times()
    cpu_seconds = after.user + after.system - before.user - before.system
    result["per_second"] = result["answers"] / result["seconds"]
    result["per_cpu_second"] = result["answers"] / max(cpu_seconds, 1e-9)
    return result


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


if __name__ == "__main__":
    main()
