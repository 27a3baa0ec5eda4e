"""`python tools/bench LEG ...`: measure legs of an order's way; see `tools/bench/__init__.py`."""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
from pathlib import Path
from typing import Final

import click
import msgspec
from rich.console import Console

sys.path[0] = str(Path(__file__).resolve().parent.parent)  # tools/, where the legs' neighbours are

from bench.figure import Options, Report, report  # noqa: E402
from bench.show import print_table, write_plot  # noqa: E402

LEGS: Final = (
    "ring",
    "journal",
    "engine",
    "scale",
    "pipeline",
    "latency",
    "wire",
    "feed",
    "web",
    "recovery",
    "history",
    "start",
)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("legs", nargs=-1, required=True, type=click.Choice([*LEGS, "all"]))
@click.option("--repeats", type=click.IntRange(1), default=5, show_default=True, help="How often each figure is taken.")
@click.option("--scale", type=click.FloatRange(0.001, 10), default=1.0, show_default=True, help="Size of each run.")
@click.option("--folder", type=click.Path(file_okay=False, exists=True, path_type=Path), help="On the disk to measure.")
@click.option("--cores", default="0,1", show_default=True, help="Two core numbers, for two processes or threads.")
@click.option("--json", "json_path", type=click.Path(dir_okay=False, path_type=Path), help="Write the report here.")
@click.option("--plot", "plot_path", type=click.Path(dir_okay=False, path_type=Path), help="Write a PNG here.")
@click.option("--compare", type=click.Path(dir_okay=False, exists=True, path_type=Path), help="An earlier --json.")
def main(
    legs: tuple[str, ...],
    repeats: int,
    scale: float,
    folder: Path | None,
    cores: str,
    json_path: Path | None,
    plot_path: Path | None,
    compare: Path | None,
) -> None:
    """Measure LEGS of an order's way, each beside its floor."""
    console = Console(width=max(Console().width, 150) if not sys.stdout.isatty() else None)
    earlier = _earlier(compare)
    chosen = LEGS if "all" in legs else tuple(dict.fromkeys(legs))
    figures = []
    with tempfile.TemporaryDirectory(prefix="ringex-bench-", dir=folder) as name:

        def say(text: str) -> None:
            console.print(f"[dim]{text}[/dim]", highlight=False)

        options = Options(repeats, scale, Path(name), _cores(cores), say)
        for leg in chosen:
            say(f"{leg} ...")
            figures += importlib.import_module(f"bench.{leg}").measure(options)
    made = report(figures, options)
    print_table(console, made, earlier)
    if json_path is not None:
        json_path.write_bytes(msgspec.json.format(msgspec.json.encode(made), indent=1) + b"\n")
    if plot_path is not None:
        write_plot(made, plot_path)


def _cores(text: str) -> tuple[int, int]:
    allowed = sorted(os.sched_getaffinity(0))
    try:
        first, second = (int(core) for core in text.split(","))
    except ValueError:
        first = second = -1
    if first == second or not {first, second} <= set(allowed):
        raise click.BadParameter(f"two different numbers of {allowed} are needed, such as 0,1", param_hint="--cores")
    return first, second


def _earlier(path: Path | None) -> Report | None:
    if path is None:
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=Report)
    except msgspec.MsgspecError as error:
        raise click.BadParameter(f"{path} is no report that --json wrote: {error}", param_hint="--compare") from error


if __name__ == "__main__":
    main()
