"""Commits and records a second of the journal, against a bare loop of pwrite + fdatasync of the same bytes.

    python tools/bench_journal.py [DIRECTORY] [--seconds 2]

For each batch size: `bare` writes the same bytes into a file filled with zeros; `append` is the library's way, in the
caller's thread; `loop` is the matcher's way: a native loop sequences a batch and sleeps until it is durable.
Last, reading and checking what was written, and the checksum alone.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ringex.jit import compiled
from ringex.journal import JournalReader, JournalWriter
from ringex.journal.control import (
    DURABLE,
    journal_durable,
    journal_park_clear,
    journal_park_set,
    journal_sequence_to,
    journal_written,
)
from ringex.journal.crc import count_valid, salt_of, stamp_records
from ringex.memory import address_of, record_at
from ringex.messages import COMMAND, RECORD_BYTES, commands
from ringex.system import futex_wait

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


def measure(seconds: float, step: Callable[[], None]) -> np.ndarray:
    """Times of repeated `step`s, in µs, over some `seconds`, after a few that do not count."""
    for _ in range(5):
        step()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while (begin := time.perf_counter()) < end:
        step()
        times.append((time.perf_counter() - begin) * 1e6)
    return np.array(times)


def show(name: str, batch: int, times: np.ndarray) -> None:
    rate = 1e6 / times.mean()
    middle, late = np.percentile(times, [50, 99])
    print(f"{name:>8} {batch:>6} {rate:>10,.0f} {rate * batch:>14,.0f} {middle:>10,.0f} {late:>10,.0f}", flush=True)


def bench_bare(directory: Path, batch: int, seconds: float) -> None:
    data, size = bytes(range(256)) * batch, SEGMENT_RECORDS * RECORD_BYTES
    fd = os.open(directory / "bare", os.O_RDWR | os.O_CREAT)
    for start in range(0, size, 1 << 20):
        os.pwrite(fd, bytes(1 << 20), start)
    os.fsync(fd)
    place = 0

    def step() -> None:
        nonlocal place
        os.pwrite(fd, data, place)
        os.fdatasync(fd)
        place = (place + len(data)) % (size - len(data))

    show("bare", batch, measure(seconds, step))
    os.close(fd)
    (directory / "bare").unlink()


def bench_append(directory: Path, batch: int, seconds: float) -> None:
    records = commands(batch)
    with JournalWriter(directory, segment_records=SEGMENT_RECORDS) as writer:
        show("append", batch, measure(seconds, lambda: void(writer.append(records))))


def void(_result: int) -> None:
    """For steps whose result says nothing here."""


def bench_loop(directory: Path, batch: int, seconds: float, ahead: int) -> None:
    with JournalWriter(directory, segment_records=SEGMENT_RECORDS) as writer:
        writer.start()
        sequence = 1
        words = writer.control_address, writer.buffer_address, writer.buffer_slots

        def step() -> None:
            nonlocal sequence
            sequence = run_batch(*words, sequence, batch, ahead)

        show("ahead" if ahead else "loop", batch, measure(seconds, step))


def bench_read(directory: Path) -> None:
    with JournalReader(directory) as reader:
        sum(len(batch) for batch in reader.read(1))  # into the page cache
        begin = time.perf_counter()
        count = sum(len(batch) for batch in reader.read(1, batch_max=1 << 14))
        took = time.perf_counter() - begin
    print(f"read and checked {count:,} records at {count * RECORD_BYTES / took / 1e9:.2f} GB/s")


def bench_checksum() -> None:
    records, salt = commands(1 << 12), salt_of(1)
    records["sequence"] = np.arange(1, len(records) + 1)
    where, count = address_of(records), len(records)
    stamped = measure(0.3, lambda: stamp_records(where, count, salt, 0)) * 1000 / count
    checked = measure(0.3, lambda: void(count_valid(where, count, salt, 1))) * 1000 / count
    print(f"checksum: {np.median(stamped):.1f} ns a record to stamp, {np.median(checked):.1f} ns to check")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", nargs="?", type=Path, default=Path.cwd(), help="on the disk to measure")
    parser.add_argument("--seconds", type=float, default=2.0)
    options = parser.parse_args()
    bench_checksum()
    print(f"{'':>8} {'batch':>6} {'commits/s':>10} {'records/s':>14} {'p50 µs':>10} {'p99 µs':>10}")
    for batch in BATCHES:
        with tempfile.TemporaryDirectory(dir=options.directory) as scratch:
            root = Path(scratch)
            bench_bare(root, batch, options.seconds)
            bench_append(root / "append", batch, options.seconds)
            bench_loop(root / "loop", batch, options.seconds, 0)
            bench_loop(root / "ahead", batch, options.seconds, 1 << 14)
            bench_read(root / "ahead")


if __name__ == "__main__":
    main()
