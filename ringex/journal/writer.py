"""The journal's writer: owns the buffer, the segments and the two threads; the work is in `ringex.journal.commit`.

`append` writes at once, in the caller's thread, for use as a library. `start` runs the same code in a thread of its own
that never meets the matcher's at the GIL; a second thread prepares the next segment when the present one is half full.
`python tools/bench journal` measures it against a bare loop of pwrite and fdatasync.
"""

from __future__ import annotations

import errno
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import numpy as np

from ringex.atomics import fence_full, load_acquire, store_release
from ringex.config import Durability
from ringex.jit import compiled, entry
from ringex.journal.commit import (
    DEADLINE,
    DURABILITY_NUMBER,
    FAILED,
    IDLE,
    NEED_SEGMENT,
    PREPARE,
    STOPPED,
    journal_commit,
    journal_loop,
)
from ringex.journal.control import (
    CONTROL_BYTES,
    DURABLE,
    FAILURE_ERRNO,
    IS_FULL,
    SEQUENCED,
    STOP,
    SYNCED,
    TARGET,
    TARGET_OFFSET,
    WRITTEN,
    journal_sequence_to,
)
from ringex.journal.crc import count_valid
from ringex.journal.errors import JournalError, JournalFailed
from ringex.journal.segment import (
    CAPACITY_MAX,
    CAPACITY_MIN,
    Segment,
    create_segment,
    list_segments,
    opened,
    read_header,
    segment_path,
)
from ringex.journal.tail import read_records
from ringex.memory import address_of
from ringex.messages import COMMAND, RECORD_BYTES
from ringex.system import futex_wake, monotonic_ns

COMMIT_RECORDS_MAX: Final = 1 << 14
"""4 MiB: a commit's time grows with its size, and with it everybody's waiting."""
SPIN_COUNT: Final = 2000
BUFFER_SLOTS_MIN: Final = 256
BUFFER_SLOTS_MAX: Final = 1 << 22
_LOOP_NS: Final = 1_000_000_000
_RETRY_SECONDS: Final = 0.5
_ALIGNMENT: Final = 4096

log = logging.getLogger(__name__)


class JournalWriter:
    """Writes the journal in `directory` from `next_sequence` on, which `recover` has given.

    `segment_records` is the capacity of new segments, `buffer_slots` (a power of two) that of the buffer. Raises
    ValueError for numbers out of range, JournalError where the journal does not end before `next_sequence`, OSError
    where the first segment cannot be made.
    """

    def __init__(
        self,
        directory: Path,
        *,
        next_sequence: int = 1,
        durability: Durability = Durability.FSYNC,
        segment_records: int = 1 << 18,
        buffer_slots: int = 1 << 16,
        commit_records_max: int = COMMIT_RECORDS_MAX,
        spin_count: int = SPIN_COUNT,
    ) -> None:
        _check_range("next_sequence", next_sequence, 1, 1 << 53)
        _check_range("segment_records", segment_records, CAPACITY_MIN, CAPACITY_MAX)
        _check_range("buffer_slots", buffer_slots, BUFFER_SLOTS_MIN, BUFFER_SLOTS_MAX)
        _check_range("commit_records_max", commit_records_max, 1, BUFFER_SLOTS_MAX)
        if buffer_slots & (buffer_slots - 1):
            raise ValueError(f"buffer_slots is {buffer_slots}; a power of two is needed")
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self._segment_records = segment_records
        self._buffer_slots = buffer_slots
        self._buffer = _aligned(buffer_slots * RECORD_BYTES).view(COMMAND)
        self._control = _aligned(CONTROL_BYTES + TARGET.itemsize)
        self._target = self._control[TARGET_OFFSET : TARGET_OFFSET + TARGET.itemsize].view(TARGET)
        self._target["buffer_address"] = self.buffer_address
        self._target["buffer_slots"] = buffer_slots
        self._target["commit_records_max"] = min(commit_records_max, buffer_slots)
        self._target["durability"] = DURABILITY_NUMBER[durability]
        self._target["spin_count"] = spin_count
        for word in (SEQUENCED, DURABLE, WRITTEN, SYNCED):
            _store(self.control_address + word, next_sequence - 1)
        self._fd = -1
        self._segment: Segment | None = None
        self._next: Segment | None = None
        self._failure: Exception | None = None
        self._full_reason = ""
        self._changed = threading.Condition()  # guards _next, _wanted and _closing
        self._wanted = 0  # the first sequence of the segment to prepare; 0: none
        self._closing = False
        self._threads: list[threading.Thread] = []
        self._open_at(next_sequence)

    @property
    def buffer_address(self) -> int:
        """The record of sequence s is written to slot (s - 1) & (buffer_slots - 1), 256 bytes each."""
        return address_of(self._buffer)

    @property
    def buffer_slots(self) -> int:
        return self._buffer_slots

    @property
    def control_address(self) -> int:
        """The control words; see `ringex.journal.control` for who writes which."""
        return address_of(self._control)

    @property
    def sequenced(self) -> int:
        return _load(self.control_address + SEQUENCED)

    @property
    def durable(self) -> int:
        """The highest sequence that is safe, by the durability mode."""
        return _load(self.control_address + DURABLE)

    @property
    def written(self) -> int:
        """The highest sequence that has been written to its file and may be overwritten in the buffer."""
        return _load(self.control_address + WRITTEN)

    @property
    def is_full(self) -> bool:
        """The next segment cannot be made, see `full_reason`: refuse new orders. It is tried again until it can."""
        return _load(self.control_address + IS_FULL) != 0

    @property
    def full_reason(self) -> str:
        return self._full_reason if self.is_full else ""

    @property
    def failure(self) -> Exception | None:
        """Why the journal has ended for good; None while it has not."""
        code = _load(self.control_address + FAILURE_ERRNO)
        if code:
            path = self._segment.path if self._segment else self.directory
            return JournalFailed(f"{path}: {os.strerror(code)} (errno {code}) writing after sequence {self.written}")
        return self._failure

    def start(self) -> None:
        """Run the journal loop and the preparer in threads until `stop`."""
        assert not self._threads, "started already"
        targets: list[tuple[str, Callable[[], None]]] = [("journal", self._run), ("journal-prepare", self._prepare)]
        self._threads = [threading.Thread(target=run, name=name, daemon=True) for name, run in targets]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Write and sync what is sequenced, then end the threads and close the files.

        Raises JournalFailed if something sequenced could not be written. May be called again.
        """
        _store(self.control_address + STOP, 1)
        _wake(self.control_address + SEQUENCED)
        if self._threads:
            self._threads[0].join()
            with self._changed:
                self._closing = True
                self._changed.notify_all()
            self._threads[1].join()
            self._threads = []
        if self._fd >= 0:
            if self.failure is None:
                self._sync()
            os.close(self._fd)
            self._fd = -1
        if self.failure is not None:
            raise self.failure

    def __enter__(self) -> JournalWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def append(self, records: np.ndarray) -> int:
        """Write `records` (shape (n,), COMMAND) now, without threads, and return the durable sequence.

        Stamps `sequence`; one that is set already must be the right one (ValueError). Raises JournalFailed, and OSError
        where the next segment cannot be made: what was written before that is in the journal.
        """
        assert not self._threads, "append is for a writer that was not started"
        assert self._fd >= 0, "append after stop"
        first = self.sequenced + 1
        expected = np.arange(first, first + len(records))
        given = records["sequence"]
        if np.any((given != 0) & (given != expected)):
            raise ValueError(f"sequences {given[0]}..{given[-1]}; the journal goes on with {first}")
        for start in range(0, len(records), self._buffer_slots):
            chunk = records[start : start + self._buffer_slots]
            slots = (expected[start : start + len(chunk)] - 1) & (self._buffer_slots - 1)
            self._buffer.view("V256")[slots] = np.ascontiguousarray(chunk).view("V256")
            self._buffer["sequence"][slots] = expected[start : start + len(chunk)]
            _sequence_to(self.control_address, int(expected[start] + len(chunk) - 1))
            self._commit_all()
        return self.durable

    def _commit_all(self) -> None:
        while (status := journal_commit(self.control_address)) != IDLE:
            if status == FAILED:
                assert self.failure is not None
                raise self.failure
            if status == NEED_SEGMENT:
                assert self._segment is not None
                self._switch_to(self._existing(self._segment.end) or self._create(self._segment.end))

    def _run(self) -> None:
        """The journal thread: the native loop, and what it comes back for."""
        try:
            while True:
                status = journal_loop(self.control_address, monotonic_ns() + _LOOP_NS)
                if status == PREPARE:
                    self._want_next()
                elif status == NEED_SEGMENT:
                    if not self._switch_when_prepared():
                        return
                elif status in (STOPPED, FAILED):
                    return
                assert status in (PREPARE, NEED_SEGMENT, DEADLINE)
        except Exception as error:
            log.exception("the journal thread has died")
            self._failure = error
            _store(self.control_address + FAILURE_ERRNO, getattr(error, "errno", None) or errno.EIO)
            _wake(self.control_address + DURABLE)

    def _want_next(self) -> None:
        assert self._segment is not None
        with self._changed:
            self._wanted = self._segment.end
            self._changed.notify_all()

    def _switch_when_prepared(self) -> bool:
        """Go on in the next segment once there is one; False if told to stop while none can be made."""
        with self._changed:
            if self._next is None:  # what is there already would be prepared once more, and taken for the one after it
                self._want_next()
            while self._next is None:
                if self.is_full and _load(self.control_address + STOP):
                    self._failure = JournalFailed(f"stopped while full, with commands unwritten: {self._full_reason}")
                    return False
                self._changed.wait(_RETRY_SECONDS)
            prepared, self._next = self._next, None
        self._switch_to(prepared)
        return True

    def _prepare(self) -> None:
        """The preparer thread: makes the next segment when asked, and goes on trying while the disk is full."""
        while True:
            with self._changed:
                while not self._closing and (self._wanted == 0 or self._next is not None):
                    self._changed.wait()
                if self._closing:
                    return
                wanted = self._wanted
            try:
                prepared = self._existing(wanted) or self._create(wanted)
            except (OSError, JournalError) as error:
                if not self.is_full:
                    log.error("the next journal segment cannot be made: %s", error)
                self._full_reason = str(error)
                _store(self.control_address + IS_FULL, 1)
                with self._changed:
                    self._changed.notify_all()
                    if not self._closing:
                        self._changed.wait(_RETRY_SECONDS)
                continue
            _store(self.control_address + IS_FULL, 0)
            with self._changed:
                self._next, self._wanted = prepared, 0
                self._changed.notify_all()

    def _create(self, first_sequence: int) -> Segment:
        return create_segment(self.directory, first_sequence, self._segment_records)

    def _existing(self, first_sequence: int) -> Segment | None:
        """A segment that was prepared, by this run or one before, and never used."""
        path = segment_path(self.directory, first_sequence)
        if not path.exists():
            return None
        with opened(path) as fd:
            return read_header(fd, path)

    def _open_at(self, next_sequence: int) -> None:
        """Begin in the segment where `next_sequence` belongs; make one if the journal ends just before it."""
        segments = list_segments(self.directory)
        found = [segment for segment in segments if segment.first_sequence <= next_sequence < segment.end]
        if not found and segments and segments[-1].end != next_sequence:
            covered = f"sequences {segments[0].first_sequence} to {segments[-1].end - 1}"
            raise JournalError(f"{self.directory}: its segments hold {covered}; {next_sequence} does not follow")
        for segment in segments:
            if segment.first_sequence <= next_sequence - 1 < segment.end and not _is_sound(segment, next_sequence - 1):
                raise JournalError(
                    f"{segment.path}: sequence {next_sequence - 1} is not there; recover the journal first"
                )
            if segment.end > next_sequence and _is_sound(segment, max(next_sequence, segment.first_sequence)):
                raise JournalError(
                    f"{segment.path}: goes on past sequence {next_sequence - 1}; recover the journal first"
                )
        self._switch_to(found[0] if found else self._create(next_sequence))

    def _switch_to(self, segment: Segment) -> None:
        """Write to `segment` from now on. What the one before holds is synced first, in every durability mode."""
        if self._fd >= 0:
            self._sync()
            os.close(self._fd)
        self._fd = os.open(segment.path, os.O_RDWR | os.O_CLOEXEC)
        os.fsync(self._fd)
        self._segment = segment
        self._target["fd"] = self._fd
        self._target["salt"] = segment.salt
        self._target["segment_first"] = segment.first_sequence
        self._target["segment_end"] = segment.end
        self._target["prepare_at"] = segment.first_sequence + segment.capacity // 2

    def _sync(self) -> None:
        """fdatasync of the present segment, so that everything written so far is on disk."""
        try:
            os.fdatasync(self._fd)
        except OSError as error:
            _store(self.control_address + FAILURE_ERRNO, error.errno or errno.EIO)
            raise
        _store(self.control_address + SYNCED, self.written)


@entry
@compiled
def _store(address: int, value: int) -> None:
    store_release(address, value)
    fence_full()


@entry
@compiled
def _load(address: int) -> int:
    return load_acquire(address)


@entry
@compiled
def _wake(address: int) -> None:
    futex_wake(address, 1)


@compiled
def _sequence_to(control: int, sequence: int) -> None:
    journal_sequence_to(control, sequence)


def _aligned(size_bytes: int) -> np.ndarray:
    """Zeroed memory that begins on a page. Shape (size_bytes,), u1."""
    raw = np.zeros(size_bytes + _ALIGNMENT, np.uint8)
    start = -address_of(raw) % _ALIGNMENT
    return raw[start : start + size_bytes]


def _check_range(name: str, value: Any, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ValueError(f"{name} is {value}; {low} to {high} are allowed")


def _is_sound(segment: Segment, sequence: int) -> bool:
    with opened(segment.path) as fd:
        records, _ = read_records(fd, segment, sequence, 1)
    return bool(count_valid(address_of(records), 1, segment.salt, sequence) == 1)
