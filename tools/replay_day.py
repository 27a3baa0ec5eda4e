"""Replay a recorded day of a real market through ringex, and compare its fills with the recorded ones.

    tools/replay_day.py FILE --in-process
    tools/replay_day.py FILE --config-out day.toml
    ringex start --config day.toml --data DIR; ringex keys create --account replay --data DIR
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
from marketreplay.client import ExchangeError, ReplayClient
from marketreplay.compare import Outcome, compare
from marketreplay.convert import Conversion, Converter
from marketreplay.databento import read_databento
from marketreplay.drive import run_in_process
from marketreplay.instrument import Instrument, instrument_of
from marketreplay.lobster import read_lobster
from marketreplay.report import print_report
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

FAILED = 1
UNUSABLE = 2


@click.command(help=__doc__, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--in-process", is_flag=True, help="Through ringex.engine.Matcher in this process.")
@click.option("--endpoint", help="Through a running exchange: its ZeroMQ endpoint, tcp://HOST:PORT.")
@click.option("--key", help="With --endpoint: API key of the account that enters all orders.")
@click.option("--secret", envvar="RINGEX_SECRET", help="With --endpoint: the key's secret (or $RINGEX_SECRET).")
@click.option("--config-out", type=click.Path(path_type=Path), help="Write a configuration with the market; no replay.")
@click.option("--symbol", default="ESH4", show_default=True, help="The market's symbol at the exchange.")
@click.option("--base", default="ES", show_default=True, help="The base asset: one contract or share.")
@click.option("--quote", default="USD", show_default=True, help="The quote asset.")
@click.option("--format", "kind", type=click.Choice(["dbn", "lobster"]), help="What FILE is; by its name if not given.")
@click.option("--instrument", "number", type=int, help="Databento: the instrument id, where FILE holds several.")
@click.option("--limit", type=click.IntRange(1), help="Only the first so many records.")
def main(
    file: Path,
    in_process: bool,
    endpoint: str | None,
    key: str | None,
    secret: str | None,
    config_out: Path | None,
    symbol: str,
    base: str,
    quote: str,
    kind: str | None,
    number: int | None,
    limit: int | None,
) -> None:
    if sum((in_process, endpoint is not None, config_out is not None)) != 1:
        raise click.UsageError("choose one of --in-process, --endpoint and --config-out")
    if endpoint is not None and not (key and secret):
        raise click.UsageError("--endpoint needs --key and --secret: `ringex keys create --account replay` prints them")
    console = Console()
    try:
        records = _read(file, kind, number)[:limit]
        instrument = instrument_of(records, symbol, base, quote)
        if config_out is not None:
            config_out.write_text(instrument.config())
            console.print(f"wrote {config_out}; start with: ringex start --config {config_out} --data DIR")
            return
        with Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console
        ) as bars:
            conversion = Converter().convert(records, _bar(bars, "reading", len(records)))
            through = _bar(bars, "replaying", len(conversion.intentions))
            if endpoint is None:
                outcome = run_in_process(conversion.intentions, instrument, through).outcome
            else:
                outcome = _over_zeromq(conversion, instrument, endpoint, key or "", secret or "", through)
        comparison = compare(conversion, outcome)
        print_report(console, conversion, comparison, len(conversion.intentions) / outcome.seconds)
    except (ValueError, OSError, ExchangeError) as error:
        console.print(f"[red]error[/red] {error}", soft_wrap=True)
        sys.exit(UNUSABLE)
    if not comparison.explained:
        sys.exit(FAILED)


def _read(file: Path, kind: str | None, number: int | None) -> np.ndarray:
    if kind is None:
        kind = "lobster" if file.suffix == ".csv" else "dbn"
    return read_lobster(file) if kind == "lobster" else read_databento(file, number)


def _over_zeromq(
    conversion: Conversion,
    instrument: Instrument,
    endpoint: str,
    key: str,
    secret: str,
    progress: Callable[[int], None],
) -> Outcome:
    with ReplayClient(endpoint, key, secret) as client:
        client.prepare(instrument)
        return client.replay(conversion.intentions, instrument, progress)


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
