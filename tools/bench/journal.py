"""Commits of the journal, beside a bare loop of pwrite + fdatasync of the same bytes.

For each size of a commit: `bare` writes the same bytes into a file filled with zeros; `one by one` sequences a batch
and sleeps until it is durable; `ahead` sequences on while earlier batches are on their way, as matching does.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from ringex.jit import compiled
from ringex.journal import JournalWriter
from ringex.journal.control import (
    DURABLE,
    journal_durable,
    journal_park_clear,
    journal_park_set,
    journal_sequence_to,
    journal_written,
)
from ringex.memory import record_at
from ringex.messages import COMMAND, RECORD_BYTES
from ringex.system import futex_wait

from .figure import Figure, Options, figure

BATCHES = (1, 256, 4096)
SEGMENT_RECORDS = 1 << 18
WAIT_NS = 100_000_000


@compiled
def run_batch(control: int, buffer: int, slots: int, first: int, count: int, ahead: int) -> int:
    """Sequence `count` records from `first` on, sleep until all but `ahead` are durable. Returns the next sequence."""
    for sequence in range(first, first + count):
        while sequence > journal_written(control) + slots:
            wait_for(control, journal_durable(control))
        record_at(buffer, (sequence - 1) & (slots - 1), COMMAND).sequence = sequence
    end = first + count
    journal_sequence_to(control, end - 1)
    while journal_durable(control) < end - 1 - ahead:
        wait_for(control, journal_durable(control))
    return end


@compiled
def wait_for(control: int, seen: int) -> None:
    journal_park_set(control)
    if journal_durable(control) == seen:
        futex_wait(control + DURABLE, seen & 0xFFFFFFFF, WAIT_NS)
    journal_park_clear(control)


def measure(options: Options) -> list[Figure]:
    figures = []
    seconds = max(0.2, 1.0 * options.scale)
    for batch in BATCHES:
        rows: dict[str, list[float]] = {"bare": [], "one by one": [], "ahead": []}
        for turn in range(options.repeats):
            folder = options.folder / f"journal-{batch}-{turn}"
            folder.mkdir()
            rows["bare"].append(bare_rate(folder, batch, seconds))
            rows["one by one"].append(loop_rate(folder / "loop", batch, seconds, 0))
            rows["ahead"].append(loop_rate(folder / "ahead", batch, seconds, 1 << 14))
            shutil.rmtree(folder)
        for name in ("one by one", "ahead"):
            figures.append(
                figure(
                    "journal",
                    f"batches of {batch}, {name}",
                    "records/s",
                    rows[name],
                    floors=rows["bare"],
                    floor_name="pwrite + fdatasync",
                )
            )
    return figures


def _rate(batch: int, seconds: float, step: Callable[[], None]) -> float:
    """Records a second of repeated `step`s, after a few that do not count."""
    for _ in range(5):
        step()
    began = now = time.perf_counter()
    steps = 0
    while now < began + seconds:
        step()
        steps += 1
        now = time.perf_counter()
    return steps * batch / (now - began)


def bare_rate(folder: Path, batch: int, seconds: float) -> float:
    """Of a file that was filled with zeros before."""
    data, size_bytes = bytes(range(256)) * batch, SEGMENT_RECORDS * RECORD_BYTES
    fd = os.open(folder / "bare", os.O_RDWR | os.O_CREAT)
    try:
        for start in range(0, size_bytes, 1 << 20):
            os.pwrite(fd, bytes(1 << 20), start)
        os.fsync(fd)
        place = 0

        def step() -> None:
            nonlocal place
            os.pwrite(fd, data, place)
            os.fdatasync(fd)
            place = (place + len(data)) % (size_bytes - len(data))

        return _rate(batch, seconds, step)
    finally:
        os.close(fd)


def loop_rate(folder: Path, batch: int, seconds: float, ahead: int) -> float:
    with JournalWriter(folder, segment_records=SEGMENT_RECORDS) as writer:
        writer.start()
        sequence = 1
        words = writer.control_address, writer.buffer_address, writer.buffer_slots

        def step() -> None:
            nonlocal sequence
            sequence = run_batch(*words, sequence, batch, ahead)

        return _rate(batch, seconds, step)
