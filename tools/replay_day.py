"""Replay a recorded day of a real market through ringex, and compare its fills with the recorded ones.

    tools/replay_day.py FILE --start
    tools/replay_day.py FILE --in-process

--start starts an exchange of its own in a temporary directory, sends it all over ZeroMQ, stops it, and replays
its journal. Or through one that runs already:

    tools/replay_day.py FILE --config-out day.toml
    ringex start --config day.toml --data DIR; ringex key create --account replay --data DIR
    tools/replay_day.py FILE --endpoint tcp://127.0.0.1:7070 --key KEY --secret SECRET

FILE is a Databento file of market-by-order records (.dbn, .dbn.zst) or a LOBSTER message file (.csv). The exit code is
0 only if every difference has a known cause, 1 if one has none, 2 if FILE or the exchange cannot be used.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
from local_exchange import LocalExchange, NotStartedError
from marketreplay.client import ExchangeError, ReplayClient
from marketreplay.compare import Outcome, compare
from marketreplay.convert import Conversion, Converter
from marketreplay.databento import read_databento
from marketreplay.drive import run_in_process
from marketreplay.instrument import ACCOUNT, Instrument, instrument_of
from marketreplay.journal import JournalReport, replay_journal
from marketreplay.lobster import read_lobster
from marketreplay.report import print_journal, print_report
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

FAILED = 1
UNUSABLE = 2


@click.command(help=__doc__, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--start", is_flag=True, help="Through an exchange of its own, over ZeroMQ.")
@click.option("--in-process", is_flag=True, help="Through ringex.engine.Matcher in this process.")
@click.option("--endpoint", help="Through a running exchange: its ZeroMQ endpoint, tcp://HOST:PORT.")
@click.option("--key", help="With --endpoint: API key of the account that enters all orders.")
@click.option("--secret", envvar="RINGEX_SECRET", help="With --endpoint: the key's secret (or $RINGEX_SECRET).")
@click.option("--binary", is_flag=True, help="Over ZeroMQ: frames of many binary orders, not a request for each.")
@click.option("--config-out", type=click.Path(path_type=Path), help="Write a configuration with the market; no replay.")
@click.option("--symbol", default="ESH4", show_default=True, help="The market's symbol at the exchange.")
@click.option("--base", default="ES", show_default=True, help="The base asset: one contract or share.")
@click.option("--quote", default="USD", show_default=True, help="The quote asset.")
@click.option("--format", "kind", type=click.Choice(["dbn", "lobster"]), help="What FILE is; by its name if not given.")
@click.option("--instrument", "number", type=int, help="Databento: the instrument id, where FILE holds several.")
@click.option("--limit", type=click.IntRange(1), help="Only the first so many records.")
def main(
    file: Path,
    start: bool,
    in_process: bool,
    endpoint: str | None,
    key: str | None,
    secret: str | None,
    binary: bool,
    config_out: Path | None,
    symbol: str,
    base: str,
    quote: str,
    kind: str | None,
    number: int | None,
    limit: int | None,
) -> None:
    if sum((start, in_process, endpoint is not None, config_out is not None)) != 1:
        raise click.UsageError("choose one of --start, --in-process, --endpoint and --config-out")
    if endpoint is not None and not (key and secret):
        raise click.UsageError("--endpoint needs --key and --secret: `ringex key create --account replay` prints them")
    if binary and not (start or endpoint):
        raise click.UsageError("--binary goes with --start or --endpoint")
    console = Console()
    try:
        records = _read(file, kind, number)[:limit]
        instrument = instrument_of(records, symbol, base, quote)
        if config_out is not None:
            config_out.write_text(instrument.config())
            console.print(f"wrote {config_out}; start with: ringex start --config {config_out} --data DIR")
            return
        journal = None
        with _bars(console) as bars:
            conversion = Converter().convert(records, _bar(bars, "reading", len(records)))
            through = _bar(bars, "replaying", len(conversion.intentions))
            if start:
                outcome, journal = _through_own(conversion, instrument, binary, console, through)
            elif endpoint is not None:
                outcome = _over_zeromq(conversion, instrument, endpoint, (key or "", secret or ""), binary, through)
            else:
                outcome = run_in_process(conversion.intentions, instrument, through).outcome
        comparison = compare(conversion, outcome)
        print_report(console, conversion, comparison, len(conversion.intentions) / outcome.seconds)
        agrees = journal is None or print_journal(console, journal, outcome)
    except (ValueError, OSError, ExchangeError, NotStartedError) as error:
        console.print(f"[red]error[/red] {escape(str(error))}", soft_wrap=True)
        sys.exit(UNUSABLE)
    if not (comparison.explained and agrees):
        sys.exit(FAILED)


def _read(file: Path, kind: str | None, number: int | None) -> np.ndarray:
    if kind is None:
        kind = "lobster" if file.suffix == ".csv" else "dbn"
    return read_lobster(file) if kind == "lobster" else read_databento(file, number)


def _through_own(
    conversion: Conversion, instrument: Instrument, binary: bool, console: Console, progress: Callable[[int], None]
) -> tuple[Outcome, JournalReport]:
    """Through an exchange that is started for it; then its journal, against a matcher in this process."""
    console.print("starting an exchange of its own")
    with LocalExchange(instrument.config()) as exchange:
        key = exchange.key(ACCOUNT)
        outcome = _over_zeromq(conversion, instrument, exchange.endpoint, key, binary, progress)
        exchange.stop()
        here = run_in_process(conversion.intentions, instrument)
        limits = exchange.settings.limits
        return outcome, replay_journal(exchange.data, limits, conversion.intentions, instrument, here)


def _over_zeromq(
    conversion: Conversion,
    instrument: Instrument,
    endpoint: str,
    key_and_secret: tuple[str, str],
    binary: bool,
    progress: Callable[[int], None],
) -> Outcome:
    with ReplayClient(endpoint, *key_and_secret) as client:
        market = client.prepare(instrument)
        if binary:
            return client.replay_binary(conversion.intentions, instrument, market, progress)
        return client.replay(conversion.intentions, instrument, progress)


class _RateColumn(ProgressColumn):
    """How many a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f}/s")


def _bars(console: Console) -> Progress:
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _RateColumn(), TimeRemainingColumn()
    return Progress(*columns, console=console)


def _bar(bars: Progress, name: str, total: int) -> Callable[[int], None]:
    """A progress bar as a function of what is done; drawn at most once in a hundredth of the way."""
    task = bars.add_task(name, total=total)
    step = max(total // 100, 1)
    shown = 0

    def advance(done: int) -> None:
        nonlocal shown
        if done - shown >= step or done == total:
            shown = done
            bars.update(task, completed=done)

    return advance


if __name__ == "__main__":
    main()
