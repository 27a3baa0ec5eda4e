"""Load a running exchange over ZeroMQ; print orders a second, latencies, and errors by code.

    tools/load.py --start
    tools/load.py --start --wire binary --clients 2 --seconds 10
    tools/load.py --endpoint tcp://127.0.0.1:7070 --key KEY --secret SECRET --rate 500

Each client is a process that sends a cycle of four orders: a bid that rests, its cancel, an offer, and an IOC bid that
takes it. Without --rate --window orders of each client are always under way (closed loop); with it orders come due at
that rate in all, and latency counts from when they were due (open loop). The exit code is 1 if an order
was refused or unanswered, 2 if the exchange cannot be loaded.
"""

from __future__ import annotations

import sys
import time

import click
import psutil
from loadgen.client import Job, LoadError, Wire, run_clients
from loadgen.result import Result, together
from loadgen.target import ACCOUNT, workload
from local_exchange import LocalExchange, NotStartedError
from rich.console import Console
from rich.table import Table

FAILED = 1
UNUSABLE = 2


@click.command(help=__doc__, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--start", is_flag=True, help="Load an exchange of its own, in a temporary directory.")
@click.option("--endpoint", help="Load a running exchange: its ZeroMQ endpoint, tcp://HOST:PORT.")
@click.option("--key", help="With --endpoint: API key of the account that enters all orders.")
@click.option("--secret", envvar="RINGEX_SECRET", help="With --endpoint: the key's secret (or $RINGEX_SECRET).")
@click.option("--wire", type=click.Choice([wire.value for wire in Wire]), default="msgpack", show_default=True)
@click.option("--clients", type=click.IntRange(1, 64), default=1, show_default=True)
@click.option("--window", type=click.IntRange(1, 4096), default=64, show_default=True, help="Orders under way.")
@click.option(
    "--batch", type=click.IntRange(4, 4096), default=256, show_default=True, help="Binary: orders in a frame."
)
@click.option("--rate", type=click.FloatRange(0), default=0.0, help="Orders a second, of all clients: open loop.")
@click.option("--seconds", type=click.FloatRange(0.1, 86_400), default=5.0, show_default=True)
@click.option("--symbol", default="BTCUSDT", show_default=True)
@click.option("--price", default="50000", show_default=True, help="Where orders trade.")
@click.option("--quantity", default="0.001", show_default=True, help="Of each order.")
def main(
    start: bool,
    endpoint: str | None,
    key: str | None,
    secret: str | None,
    wire: str,
    clients: int,
    window: int,
    batch: int,
    rate: float,
    seconds: float,
    symbol: str,
    price: str,
    quantity: str,
) -> None:
    if start == (endpoint is not None):
        raise click.UsageError("choose one of --start and --endpoint")
    if endpoint is not None and not (key and secret):
        raise click.UsageError(f"--endpoint needs --key and --secret: `ringex key create --account {ACCOUNT}`")
    console = Console()

    def load(endpoint: str, key: str, secret: str) -> Result:
        loads = [workload(endpoint, symbol, price, quantity) for _ in range(clients)]
        under_way = max(window, 2 * batch) if wire == Wire.BINARY else 1 if wire == Wire.REQ else window
        jobs = [
            Job(endpoint, key, secret, Wire(wire), orders, seconds, under_way, rate / clients, batch)
            for orders in loads
        ]
        return together(run_clients(jobs))

    try:
        if endpoint is not None:
            result = load(endpoint, key or "", secret or "")
            used: dict[str, float] = {}
        else:
            console.print("starting an exchange of its own")
            with LocalExchange() as exchange:
                before = cpu_seconds(exchange)
                result = load(exchange.endpoint, *exchange.key(ACCOUNT))
                used = {role: after - before[role] for role, after in cpu_seconds(exchange).items()}
    except (LoadError, NotStartedError, ValueError) as error:
        console.print(f"[red]error[/red] {error}", soft_wrap=True)
        sys.exit(UNUSABLE)
    print_result(console, result, used, "since due" if rate else "since sent")
    if result.errors or result.unanswered:
        sys.exit(FAILED)


def cpu_seconds(exchange: LocalExchange) -> dict[str, float]:
    """CPU time of each of the exchange's processes so far."""
    used = {}
    for role in ("matcher", "gateway-0", "publisher", "replica"):
        times = psutil.Process(exchange.child_pid(role)).cpu_times()
        used[role] = times.user + times.system
    return used


def print_result(console: Console, result: Result, used: dict[str, float], since: str) -> None:
    table = Table(title=f"load, {time.strftime('%Y-%m-%d %H:%M')}", title_justify="left", show_header=False)
    table.add_column("")
    table.add_column("", justify="right")
    table.add_row("orders answered", f"{result.answered:,}")
    table.add_row("orders/s", f"{result.rate:,.0f}")
    for name, value in zip(("p50", "p99", "p99.9", "max"), result.percentiles_us(), strict=True):
        table.add_row(f"latency {since}, {name}", f"{value:,.0f} µs")
    for role, seconds in used.items():
        table.add_row(f"CPU of {role}, an order", f"{seconds / max(result.answered, 1) * 1e6:,.1f} µs")
    table.add_row("unanswered", f"{result.unanswered:,}")
    table.add_row("refused", f"{sum(result.errors.values()):,}")
    console.print(table)
    for code, count in result.errors.most_common(10):
        console.print(f"[red]refused[/red] {count:,}: {code}", soft_wrap=True)


if __name__ == "__main__":
    main()
