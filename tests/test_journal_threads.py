"""The journal at work: threads, parked waiting, a writer killed under load, disks that are full or fail."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from ringex.atomics import load_acquire, store_relaxed
from ringex.config import Durability
from ringex.jit import compiled
from ringex.journal import JournalReader, JournalWriter, recover, retire
from ringex.journal.commit import STAND_IN_RECORDS_MAX, journal_hand_over
from ringex.journal.control import (
    DURABLE,
    FAILURE_ERRNO,
    JOURNAL_PARKED,
    SEQUENCED,
    journal_durable,
    journal_park_clear,
    journal_park_set,
    journal_sequence_to,
    journal_written,
)
from ringex.journal.errors import JournalFailed
from ringex.memory import address_of, record_at, zero_bytes
from ringex.messages import COMMAND, RECORD_BYTES
from ringex.system import futex_wait, futex_wake

TESTS = Path(__file__).parent
WAIT_NS = 500_000_000


@compiled
def run_matcher(
    control: int, buffer: int, slots: int, first: int, count: int, step: int, may_commit: int, counts: int
) -> int:
    """Sequence `count` records in batches of `step` as the matcher loop does, sleeping until each batch is durable.

    With `may_commit` it commits a few itself where the journal loop sleeps; the word at `counts` says how often.
    Returns the durable sequence; ends early if the journal fails.
    """
    sequence = first
    last = first + count - 1
    while sequence <= last:
        until = min(sequence + step - 1, last)
        while sequence <= until:
            if sequence > journal_written(control) + slots:
                return -1
            place = buffer + ((sequence - 1) & (slots - 1)) * RECORD_BYTES
            zero_bytes(place, RECORD_BYTES)
            record = record_at(place, 0, COMMAND)
            record.sequence = sequence
            record.price = sequence * 3
            record.slots = 1
            sequence += 1
        if may_commit != 0:
            store_relaxed(counts, load_acquire(counts) + journal_hand_over(control, until))
        else:
            journal_sequence_to(control, until)
        while journal_durable(control) < until:
            if load_acquire(control + FAILURE_ERRNO) != 0:
                return journal_durable(control)
            journal_park_set(control)
            seen = journal_durable(control)
            if seen < until and load_acquire(control + FAILURE_ERRNO) == 0:
                futex_wait(control + DURABLE, seen & 0xFFFFFFFF, WAIT_NS)
            journal_park_clear(control)
    return journal_durable(control)


def run(writer: JournalWriter, count: int, step: int) -> int:
    first = writer.sequenced + 1
    slots = writer.buffer_slots
    return int(run_matcher(writer.control_address, writer.buffer_address, slots, first, count, step, 0, 0))


@compiled
def word_at(address: int) -> int:
    return load_acquire(address)


def run_committing(writer: JournalWriter, count: int, step: int) -> tuple[int, int]:
    """Like `run`, and how many of the batches the matcher committed itself."""
    first = writer.sequenced + 1
    counts = np.zeros(1, "i8")
    arguments = (writer.buffer_slots, first, count, step, 1, address_of(counts))
    return int(run_matcher(writer.control_address, writer.buffer_address, *arguments)), int(counts[0])


def make(directory: Path, **options: object) -> JournalWriter:
    settings: dict[str, object] = {"segment_records": 1024, "buffer_slots": 256, "spin_count": 10, **options}
    return JournalWriter(directory, next_sequence=recover(directory).next_sequence, **settings)  # type: ignore[arg-type]


def check(directory: Path, last: int) -> None:
    """Everything from 1 to `last`, at least, is there and right; nothing wrong is behind it."""
    with JournalReader(directory) as reader:
        records = np.concatenate(list(reader.read(1)))
    assert len(records) >= last
    np.testing.assert_array_equal(records["sequence"], np.arange(1, len(records) + 1))
    np.testing.assert_array_equal(records["price"], 3 * np.arange(1, len(records) + 1))


@pytest.mark.parametrize("durability", [Durability.FSYNC, Durability.OS])
def test_threads_commit_and_end(tmp_path: Path, durability: Durability) -> None:
    before = threading.active_count()
    with make(tmp_path, durability=durability) as writer:
        writer.start()
        assert run(writer, 5000, 100) == 5000
        assert run(writer, 100, 1) == 5100
        assert not writer.is_full
    assert threading.active_count() == before
    writer.stop()  # once more does no harm
    check(tmp_path, 5100)
    assert recover(tmp_path).torn_records == 0


@pytest.mark.parametrize("durability", [Durability.FSYNC, Durability.OS, Durability.NONE])
def test_few_records_are_committed_by_who_sequenced_them(tmp_path: Path, durability: Durability) -> None:
    """The journal loop is asleep or about to be, and wakes up at any time: never do both commit, nor neither."""
    randomness = random.Random(5)
    here = batches = 0
    with make(tmp_path, durability=durability, spin_count=0, buffer_slots=512) as writer:
        writer.start()
        while writer.sequenced < 6000:  # through six segments: each is switched to, and prepared, by the journal thread
            step = randomness.choice((1, 1, 2, STAND_IN_RECORDS_MAX, STAND_IN_RECORDS_MAX + 1, 100))
            count = step * randomness.randint(1, 5)
            while writer.written < writer.sequenced + count - writer.buffer_slots:
                os.sched_yield()
            patient = randomness.randrange(2)
            while patient and not word_at(writer.control_address + JOURNAL_PARKED):
                os.sched_yield()
            durable, committed = run_committing(writer, count, step)
            assert durable == writer.sequenced
            assert committed == 0 or step <= STAND_IN_RECORDS_MAX
            here += committed
            batches += count // step
            if not randomness.randrange(4):
                futex_wake(writer.control_address + SEQUENCED, 1)  # the journal loop looks about without a cause
        last = writer.sequenced
    assert 0 < here < batches
    check(tmp_path, last)
    assert recover(tmp_path).torn_records == 0


def test_a_failure_of_who_commits_for_the_journal_loop_is_final(tmp_path: Path) -> None:
    writer = make(tmp_path)
    writer.start()
    run(writer, 100, 10)
    os.close(writer._fd)
    writer._fd = -1
    while not word_at(writer.control_address + JOURNAL_PARKED):
        os.sched_yield()
    assert run_committing(writer, 1, 1)[0] == 100
    assert isinstance(writer.failure, JournalFailed)
    with pytest.raises(JournalFailed, match="Bad file descriptor"):
        writer.stop()


def test_a_segment_that_is_prepared_is_not_asked_for_again(tmp_path: Path) -> None:
    with make(tmp_path) as writer:
        writer.start()
        run(writer, 600, 100)  # past half of it
        while writer._next is None:
            os.sched_yield()
        run(writer, 500, 100)  # into the next, short of its half
        assert (writer._wanted, writer._next) == (0, None)


def test_stop_writes_what_is_sequenced(tmp_path: Path) -> None:
    writer = make(tmp_path, durability=Durability.NONE)
    writer.start()
    for _ in range(20):
        run(writer, 50, 50)
        while writer.written < writer.sequenced - 150:  # room in the buffer for the next batch
            os.sched_yield()
    writer.stop()
    check(tmp_path, 1000)


def test_a_replica_tails_a_working_writer_and_old_segments_go(tmp_path: Path) -> None:
    polled = []
    with make(tmp_path) as writer, JournalReader(tmp_path) as reader:
        writer.start()
        thread = threading.Thread(target=run, args=(writer, 20_000, 250))
        thread.start()
        while reader.next_sequence <= 20_000:
            records = reader.poll(writer.durable, 300)
            if len(records):
                polled.append(records["price"].copy())
                retire(tmp_path, reader.next_sequence)
        thread.join()
    np.testing.assert_array_equal(np.concatenate(polled), 3 * np.arange(1, 20_001))
    assert len(list(tmp_path.iterdir())) < 10, "retired segments were not used again"


CHILD = """
import sys
from pathlib import Path
from test_journal_threads import make, run
writer = make(Path(sys.argv[1]))
writer.start()
step = int(sys.argv[2])
while True:
    print(run(writer, step, step), flush=True)
"""


def child(code: str, *arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": f"{TESTS.parent}:{TESTS}"}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def test_killed_under_load_nothing_that_was_durable_is_lost(tmp_path: Path) -> None:
    randomness = random.Random(11)
    durable = 0
    for step in (1, 7, 200, 256):
        with child(CHILD, str(tmp_path), str(step)) as process:
            assert process.stdout is not None
            for _ in range(randomness.randrange(20, 200)):
                durable = int(process.stdout.readline())
            process.send_signal(signal.SIGKILL)
            told = [int(line) for line in process.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
            durable = max([durable, *told])
        assert recover(tmp_path).next_sequence > durable
        check(tmp_path, durable)


FULL = """
import resource, sys
from pathlib import Path
from test_journal_threads import make, run
writer = make(Path(sys.argv[1]))
writer.start()
assert run(writer, 100, 50) == 100
limit = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, limit[1]))  # less than a segment: the next one cannot be made
assert not writer.is_full
assert run(writer, 500, 50) == 600
while not writer.is_full:
    pass
assert "File too large" in writer.full_reason, writer.full_reason
assert run(writer, 100, 50) == 700, "what is under way while full is still written"
assert writer.failure is None
resource.setrlimit(resource.RLIMIT_FSIZE, limit)
while writer.is_full:
    pass
assert run(writer, 2000, 50) == 2700
writer.stop()
"""

FAILING = """
import resource, sys
from pathlib import Path
from ringex.journal import JournalFailed
from test_journal_threads import make, run
writer = make(Path(sys.argv[1]))
limit = resource.getrlimit(resource.RLIMIT_FSIZE)
writer.start()
assert run(writer, 1000, 100) == 1000
while not list(Path(sys.argv[1]).glob("*1025.seg")):
    pass
assert run(writer, 24, 24) == 1024
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, limit[1]))
last = run(writer, 1024, 64)
assert 1024 < last < 2048, last
assert "File too large" in str(writer.failure), writer.failure
try:
    writer.stop()
except JournalFailed as error:
    assert "File too large" in str(error)
    print(last)
"""


def test_a_full_disk_is_a_state_of_its_own_and_passes(tmp_path: Path) -> None:
    with child(FULL, str(tmp_path)) as process:
        assert process.wait(60) == 0
    check(tmp_path, 2700)


def test_a_failed_write_is_final_and_loses_nothing_durable(tmp_path: Path) -> None:
    with child(FAILING, str(tmp_path)) as process:
        assert process.wait(60) == 0
        assert process.stdout is not None
        last = int(process.stdout.read())
    assert recover(tmp_path).next_sequence > last
    check(tmp_path, last)
