"""How fast an exchange is there again: a snapshot loaded, a journal replayed; and what making a snapshot costs.

Floors: reading the same bytes from the disk, with the page cache told to forget them; and, of the replay, the engine in
process with the same commands. The slower of the two counts.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ringex.engine.replay import recover_state
from ringex.engine.snapshot import load_snapshot, write_snapshot
from ringex.jit import compile_ahead
from ringex.journal import JournalWriter
from ringex.messages import COMMAND

from .engine import rate
from .exchange import ACCOUNTS, Engine, limits, setup
from .figure import Figure, Options, figure
from .flow import flow
from .scale import resting_orders

PLACEMENTS = 1_000_000
RESTING = 1_000_000
READ_BYTES = 1 << 22
TEN_MILLION_SECONDS = 3.0
_RAW = np.dtype(f"V{COMMAND.itemsize}")


def measure(options: Options) -> list[Figure]:
    compile_ahead()
    return [*_replay(options), *_snapshot(options)]


def _replay(options: Options) -> list[Figure]:
    placements = options.count(PLACEMENTS, 5000)
    stream = flow(placements, 0.0)
    folder = options.folder / "replay"
    with JournalWriter(folder / "journal") as journal:
        records = np.concatenate([setup(1, ACCOUNTS).view(_RAW), stream.view(_RAW)]).view(COMMAND)
        records["sequence"] = np.arange(1, len(records) + 1)
        for start in range(0, len(records), 1 << 14):
            journal.append(records[start : start + (1 << 14)])
    rates, floors = [], []
    room = limits(placements)
    for _ in range(options.repeats):
        disk = len(records) / _seconds(lambda: _read(sorted((folder / "journal").iterdir()))) / 1e6
        engine = rate(stream, placements)
        _forget(sorted((folder / "journal").iterdir()))
        took = _seconds(lambda: recover_state(folder / "snapshots", folder / "journal", room))
        rates.append(len(records) / took / 1e6)
        floors.append(min(disk, engine))
    seconds = [10 / million for million in rates]
    name = "slower of disk and engine"
    return [
        figure("recovery", "journal replay", "M commands/s", rates, floors=floors, floor_name=name, reach=0.8),
        figure("recovery", "10 M commands", "s", seconds, reach=TEN_MILLION_SECONDS, at_least=False),
    ]


def _snapshot(options: Options) -> list[Figure]:
    count = options.count(RESTING, 1000)
    engine = Engine(count + 1)
    engine.run(resting_orders(np.random.default_rng(1), count))
    written, loaded, floors = [], [], []
    for _ in range(options.repeats):
        folder = options.folder / "snapshots"
        began = time.perf_counter()
        path = write_snapshot(engine.state, folder)
        written.append(count / (time.perf_counter() - began) / 1e6)
        floors.append(count / _seconds(lambda: _read([path])) / 1e6)  # noqa: B023
        _forget([path])
        loaded.append(count / _seconds(lambda: load_snapshot(path)) / 1e6)  # noqa: B023
        path.unlink()
    return [
        figure("recovery", f"snapshot of {count:,} orders written", "M orders/s", written),
        figure(
            *("recovery", f"snapshot of {count:,} orders loaded", "M orders/s", loaded),
            floors=floors,
            floor_name="disk read",
            reach=0.8,
        ),
    ]


def _seconds(what: Callable[[], object]) -> float:
    began = time.perf_counter()
    what()
    return time.perf_counter() - began


def _read(paths: list[Path]) -> None:
    _forget(paths)
    for path in paths:
        with path.open("rb", buffering=0) as file:
            while file.read(READ_BYTES):
                pass


def _forget(paths: list[Path]) -> None:
    """Let the page cache forget the files' bytes: they must come from the disk."""
    for path in paths:
        fd = os.open(path, os.O_RDONLY)
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)
