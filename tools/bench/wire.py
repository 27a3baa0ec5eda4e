"""A running exchange beside what its machine, ZeroMQ and the codec can do at all.

    tools/bench_exchange.py [--repeats N] [--seconds S]

req           one REQ client, one order at a time; beside a bare REQ/REP pair that decodes and answers, and an fdatasync
msgpack       one DEALER, WINDOW orders under way; beside a bare ROUTER that decodes and answers
binary        one DEALER, frames of BATCH orders; beside a bare ROUTER that receives them and answers as many bytes
market data   messages that a subscriber gets under the binary load; beside a bare publisher of the same messages

Exchange and bare peer take turns, each run a few seconds; a ratio is of one turn, the figure is the median of all.
On a machine that does other work CPU time an order means most, then ratios. The exchange is a temporary one, on the
disk of $TMPDIR, with every order synced before it is answered.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

import click
from load import ACCOUNT, cpu_seconds, workload
from loadgen.bare import bare_peer, sync_us
from loadgen.client import Job, Wire, run_clients
from loadgen.feed import Subscriber, bare_feed
from loadgen.result import Result, together
from local_exchange import LocalExchange
from rich.console import Console
from rich.table import Table

SYMBOL, PRICE, QUANTITY = "BTCUSDT", "50000", "0.001"
WINDOW = 256
BATCH = 512
FRAMES_UNDER_WAY = 8
WARM_UP_SECONDS = 1.0
FEED_MESSAGES_MIN = 50_000

Figures = dict[str, list[float]]


@click.command(help=__doc__, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--repeats", type=click.IntRange(1), default=5, show_default=True)
@click.option("--seconds", type=click.FloatRange(0.2), default=3.0, show_default=True, help="Of each run.")
def main(repeats: int, seconds: float) -> None:
    console = Console()
    figures: Figures = {}
    with tempfile.TemporaryDirectory(prefix="ringex-bench-") as name, LocalExchange() as exchange:
        bench = Bench(exchange, Path(name), seconds, figures)
        for wire in Wire:
            bench.load(wire, WARM_UP_SECONDS)
        for turn in range(repeats):
            for part in (bench.req, bench.msgpack, bench.binary):
                console.print(f"{turn + 1} of {repeats}: {part.__name__}")
                part()
    table = Table(title="medians", title_justify="left")
    for column in ("", "median", "least", "most"):
        table.add_column(column, justify="left" if not column else "right")
    for label, values in figures.items():
        shown: Callable[[float], str] = (lambda x: f"{x:.2f}") if max(values) < 100 else (lambda x: f"{x:,.0f}")
        table.add_row(label, shown(statistics.median(values)), shown(min(values)), shown(max(values)))
    console.print(table)


class Bench:
    """One exchange, and bare peers in `folder`. Each method adds a turn's figures."""

    def __init__(self, exchange: LocalExchange, folder: Path, seconds: float, figures: Figures) -> None:
        self._exchange = exchange
        self._folder = folder
        self._seconds = seconds
        self._figures = figures
        self._key, self._secret = exchange.key(ACCOUNT)

    def load(self, wire: Wire, seconds: float, bare: str = "") -> Result:
        """One client's closed loop, against the exchange or the bare peer at `bare`."""
        orders = workload(self._exchange.endpoint, SYMBOL, PRICE, QUANTITY)
        windows = {Wire.REQ: 1, Wire.MSGPACK: WINDOW, Wire.BINARY: BATCH * FRAMES_UNDER_WAY}
        endpoint, key = (bare, "") if bare else (self._exchange.endpoint, self._key)
        job = Job(endpoint, key, self._secret, wire, orders, seconds, windows[wire], 0.0, BATCH)
        result = together(run_clients([job]))
        assert not result.errors and not result.unanswered, result.errors
        return result

    def req(self) -> None:
        result, bare = self._both(Wire.REQ)
        sync = sync_us(self._folder)
        latency, floor = result.percentiles_us()[0], bare.percentiles_us()[0]
        self._add("req: p50, µs", latency)
        self._add("req: bare REQ/REP p50, µs", floor)
        self._add("req: write + fdatasync p50, µs", sync)
        self._add("req: ratio to both together", latency / (floor + sync))

    def msgpack(self) -> None:
        before = cpu_seconds(self._exchange)
        result, bare = self._both(Wire.MSGPACK)
        self._rates("msgpack", result, bare)
        self._cpu("msgpack", before, result)

    def binary(self) -> None:
        before = cpu_seconds(self._exchange)
        with Subscriber(self._exchange.pub_endpoint) as subscriber:
            result, bare = self._both(Wire.BINARY)
            feed = subscriber.received()
        self._rates("binary", result, bare)
        after = self._cpu("binary", before, result)
        again = bare_feed(feed.messages, -(-FEED_MESSAGES_MIN // len(feed.messages)), self._folder)
        messages_a_second = feed.count / ((result.ended_ns - result.started_ns) / 1e9)
        self._add("market data: messages/s under the binary load", messages_a_second)
        self._add("market data: publisher's CPU a message, µs", (after - before["publisher"]) / feed.count * 1e6)
        self._add("market data: bare PUB/SUB, messages/s", again.rate)
        self._add("market data: ratio", messages_a_second / again.rate)

    def _both(self, wire: Wire) -> tuple[Result, Result]:
        result = self.load(wire, self._seconds)
        with bare_peer(wire, self._folder) as (endpoint, peer):
            bare = self.load(wire, self._seconds, endpoint)
            times = peer.cpu_times()
        self._add(f"{wire}: bare peer's CPU an order, µs", (times.user + times.system) / bare.answered * 1e6)
        return result, bare

    def _rates(self, name: str, result: Result, bare: Result) -> None:
        self._add(f"{name}: orders/s", result.rate)
        self._add(f"{name}: bare, orders/s", bare.rate)
        self._add(f"{name}: ratio", result.rate / bare.rate)
        for label, value in zip(("p50", "p99"), result.percentiles_us(), strict=False):
            self._add(f"{name}: {label}, µs", value)

    def _cpu(self, name: str, before: dict[str, float], result: Result) -> float:
        """Adds CPU time an order by process; the publisher's whole CPU time so far."""
        after = cpu_seconds(self._exchange)
        for role in ("gateway-0", "matcher"):
            self._add(f"{name}: {role}'s CPU an order, µs", (after[role] - before[role]) / result.answered * 1e6)
        return after["publisher"]

    def _add(self, label: str, value: float) -> None:
        self._figures.setdefault(label, []).append(value)


if __name__ == "__main__":
    main()
