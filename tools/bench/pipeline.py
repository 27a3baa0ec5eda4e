"""Ring → sequence → journal (fsync) → apply → event ring: the matcher's own loops, fed by one producer process.

The flow is that of the engine's still regime. The floor is a file filled with zeros before, into which the same bytes
are written and synced in commits of the largest size that the journal makes. Matcher and disk have a core each, as
far as there are two; the producer is on the disk's.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ringex.engine.sequencer import Sequencer
from ringex.engine.state import State
from ringex.jit import compile_ahead
from ringex.journal import JournalWriter
from ringex.messages import COMMAND, RECORD_BYTES
from ringex.ring import Producer, Ring, ring_consumed

from .exchange import ACCOUNTS, limits, setup
from .figure import Figure, Options, figure
from .flow import flow

PLACEMENTS = 1_000_000
COMMAND_SLOTS = 1 << 14
EVENT_SLOTS = 1 << 17
CHUNK = 256
COMMIT_BYTES = (1 << 14) * RECORD_BYTES
SPINS = 20_000
_FORK = multiprocessing.get_context("fork")
_RAW = np.dtype(f"V{RECORD_BYTES}")


def measure(options: Options) -> list[Figure]:
    compile_ahead()
    placements = options.count(PLACEMENTS, 5000)
    stream = flow(placements, 0.0)
    rates, floors = [], []
    for turn in range(options.repeats):
        options.say(f"pipeline: {turn + 1} of {options.repeats}")
        folder = options.folder / f"pipeline-{turn}"
        folder.mkdir()
        floors.append(bare_rate(folder, len(stream)))
        with pipeline(folder, placements, options) as run:
            rates.append(run(stream))
        shutil.rmtree(folder)
    return [
        figure("pipeline", "durable commands", "/s", rates, floors=floors, floor_name="write + fdatasync", reach=0.5),
        figure("pipeline", "durable commands, the rate itself", "/s", rates, reach=2_000_000),
    ]


@contextmanager
def pipeline(folder: Path, orders: int, options: Options):  # type: ignore[no-untyped-def]
    """A matcher with a journal in `folder`; what is given runs a stream through it, in commands a second."""
    names = [f"ringex-bench-{os.getpid()}-{what}" for what in ("commands", "events")]
    state = State(limits(orders))
    for table in (state.orders, state.orders_cold, state.levels):
        table.view(np.uint8)[:: os.sysconf("SC_PAGESIZE")] = 0  # no page fault is timed
    with (
        _ring(names[0], COMMAND_SLOTS, gated=True) as commands,
        _ring(names[1], EVENT_SLOTS, gated=False) as events,
        JournalWriter(folder / "journal") as journal,
    ):
        os.sched_setaffinity(0, {options.cores[0]})
        try:
            journal.start()
            os.sched_setaffinity(0, {options.cores[1]})
            sequencer = Sequencer(state, journal, events, spins_max=SPINS)
            sequencer.submit(setup(1, ACCOUNTS), 1)
            _drain(sequencer)
            sequencer.set_sources([(commands, 0)])
            yield lambda stream: _run(sequencer, commands, stream, options)
        finally:
            os.sched_setaffinity(0, set(range(os.cpu_count() or 1)))


def _run(sequencer: Sequencer, ring: Ring, stream: np.ndarray, options: Options) -> float:
    go = _FORK.Event()

    def produce() -> None:
        os.sched_setaffinity(0, {options.cores[0]})
        producer, records, sent = Producer(ring), stream.view(_RAW), 0
        go.wait()
        while sent < len(records):
            published = producer.publish(records[sent : sent + CHUNK])
            sent += published
            if published == 0:
                time.sleep(0)

    process = _FORK.Process(target=produce, daemon=True)
    process.start()
    try:
        end = ring_consumed(ring.address) + len(stream)
        go.set()
        began = time.perf_counter()
        while ring_consumed(ring.address) < end:
            sequencer.run(0.01)
        return len(stream) / (time.perf_counter() - began)
    finally:
        process.terminate()
        process.join()


def _drain(sequencer: Sequencer) -> None:
    while not sequencer.is_drained:
        sequencer.run(0.01)


@contextmanager
def _ring(name: str, capacity: int, *, gated: bool) -> Iterator[Ring]:
    ring = Ring.create(name, capacity, epoch=1, gated=gated)
    try:
        yield ring
    finally:
        ring.close()
        Ring.unlink(name)


def bare_rate(folder: Path, records: int) -> float:
    """Records a second of the same bytes, written and synced one commit after the other."""
    data = bytes(range(256)) * (COMMIT_BYTES // 256)
    commits = max(1, records * COMMAND.itemsize // COMMIT_BYTES)
    fd = os.open(folder / "bare", os.O_RDWR | os.O_CREAT)
    try:
        for number in range(commits):
            os.pwrite(fd, bytes(COMMIT_BYTES), number * COMMIT_BYTES)
        os.fsync(fd)
        began = time.perf_counter()
        for number in range(commits):
            os.pwrite(fd, data, number * COMMIT_BYTES)
            os.fdatasync(fd)
        return commits * COMMIT_BYTES / RECORD_BYTES / (time.perf_counter() - began)
    finally:
        os.close(fd)
        (folder / "bare").unlink()
