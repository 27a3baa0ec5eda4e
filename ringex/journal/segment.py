"""A segment: one preallocated file of the journal, a header page and then COMMAND records at computable places.

    journal/00000000000000000001.seg    named by the sequence of its first record
    journal/00000000000000000001.free   retired, kept to be used again under another name
    journal/*.tmp                       being prepared; worth nothing

A new segment is filled with zeros, synced, and its folder synced, before anything depends on it: a later `fdatasync`
then has no metadata to write (259 against 479 µs for a commit of 256 records). A retired one is used again as it is,
with the next generation in its header; its old records cannot pass for new ones, because the generation is part of
every checksum.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np

from ringex.journal.crc import bytes_checksum, salt_of
from ringex.journal.errors import JournalCorrupt, JournalUnsupported
from ringex.memory import address_of
from ringex.messages import RECORD_BYTES, SCHEMA_VERSION

HEADER_BYTES: Final = 4096
MAGIC: Final = b"RINGEXJ1"
ENGINE_VERSION: Final = "0.1.0"
CAPACITY_MIN: Final = 256  # a command of the most slots fits into a segment
CAPACITY_MAX: Final = 1 << 24
GENERATION_MAX: Final = 1 << 32  # salts of different generations below this differ
POOL_SEGMENTS: Final = 4
"""How many retired segments are kept for use again."""
_ZEROS_BYTES: Final = 1 << 20
_LISTINGS_MAX: Final = 64

HEADER: Final = np.dtype(
    {
        "names": [
            "magic",
            "schema_version",
            "record_bytes",
            "engine_version",
            "generation",
            "first_sequence",
            "capacity",
            "checksum",
        ],
        "formats": ["S8", "u4", "u4", "S16", "i8", "i8", "i8", "u4"],
        "offsets": [0, 8, 12, 16, 32, 40, 48, HEADER_BYTES - 8],
        "itemsize": HEADER_BYTES,
    }
)
"""The first page. `checksum` is the CRC-32C of the bytes before it; what is not named is zero."""


@dataclass(frozen=True)
class Segment:
    """A segment file as its header describes it. Sequences from `first_sequence` up to, not including, `end`."""

    path: Path
    first_sequence: int
    capacity: int
    generation: int
    schema_version: int = SCHEMA_VERSION
    engine_version: str = ENGINE_VERSION

    @property
    def end(self) -> int:
        return self.first_sequence + self.capacity

    @property
    def size_bytes(self) -> int:
        return HEADER_BYTES + self.capacity * RECORD_BYTES

    @property
    def salt(self) -> int:
        return salt_of(self.generation)

    @property
    def previous_salt(self) -> int:
        """The salt of what lies behind the tail, if the file has been used before; else that of generation 0."""
        return salt_of(self.generation - 1)

    def offset_of(self, sequence: int) -> int:
        assert self.first_sequence <= sequence <= self.end, f"sequence {sequence} is not in {self.path}"
        return HEADER_BYTES + (sequence - self.first_sequence) * RECORD_BYTES


def segment_path(directory: Path, first_sequence: int) -> Path:
    return directory / f"{first_sequence:020d}.seg"


def header_bytes(segment: Segment) -> bytes:
    """The header page of `segment`, HEADER_BYTES long."""
    page = np.zeros(1, HEADER)
    page["magic"] = MAGIC
    page["schema_version"] = segment.schema_version
    page["record_bytes"] = RECORD_BYTES
    page["engine_version"] = segment.engine_version.encode("ascii")
    page["generation"] = segment.generation
    page["first_sequence"] = segment.first_sequence
    page["capacity"] = segment.capacity
    page["checksum"] = bytes_checksum(address_of(page), HEADER_BYTES - 8)
    return page.tobytes()


def read_header(fd: int, path: Path) -> Segment:
    """The header of an open segment file.

    Raises JournalCorrupt (not a segment, damaged, or not what its name says) and JournalUnsupported (another version).
    """
    named = int(path.stem) if path.stem.isdigit() else 0
    page = os.pread(fd, HEADER_BYTES, 0)
    if len(page) < HEADER_BYTES:
        raise JournalCorrupt(path, 0, named, f"{len(page)} bytes long; a segment has a header of {HEADER_BYTES}")
    header = np.frombuffer(bytearray(page), HEADER)
    if page[:8] != MAGIC:
        raise JournalCorrupt(path, 0, named, f"begins with {page[:8]!r}; a segment begins with {MAGIC!r}")
    checksum = bytes_checksum(address_of(header), HEADER_BYTES - 8)
    if checksum != int(header["checksum"][0]) or any(page[HEADER_BYTES - 4 :]):
        raise JournalCorrupt(path, 0, named, "the header is damaged: its checksum does not fit")
    schema, engine = int(header["schema_version"][0]), header["engine_version"][0].decode("ascii", "replace")
    record_bytes, capacity = int(header["record_bytes"][0]), int(header["capacity"][0])
    if schema != SCHEMA_VERSION or record_bytes != RECORD_BYTES:
        raise JournalUnsupported(
            f"{path}: schema version {schema} with records of {record_bytes} bytes, written by engine {engine}; "
            f"this one reads schema version {SCHEMA_VERSION} with records of {RECORD_BYTES} bytes"
        )
    first, generation = int(header["first_sequence"][0]), int(header["generation"][0])
    if not (0 < capacity <= CAPACITY_MAX and 0 < generation < GENERATION_MAX and first > 0):
        raise JournalUnsupported(f"{path}: capacity {capacity}, generation {generation}, first sequence {first}")
    return Segment(path, first, capacity, generation, schema, engine)


@contextmanager
def opened(path: Path, mode: int = os.O_RDONLY) -> Iterator[int]:
    """A file descriptor of `path`, closed at the end."""
    fd = os.open(path, mode | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def list_segments(directory: Path) -> list[Segment]:
    """All segments in order. Raises JournalCorrupt where one is damaged or the sequences between two do not meet.

    Other processes may retire segments meanwhile; the list is then taken again.
    """
    for _ in range(_LISTINGS_MAX):
        try:
            segments = _list_once(directory)
        except FileNotFoundError:
            continue
        for before, after in pairwise(segments):
            if after.first_sequence != before.end:
                why = f"follows {before.path.name}, which ends before sequence {before.end}; files are missing"
                raise JournalCorrupt(after.path, 0, before.end, why)
        return segments
    raise JournalCorrupt(directory, 0, 0, f"its files were renamed {_LISTINGS_MAX} times while they were listed")


def _list_once(directory: Path) -> list[Segment]:
    segments = []
    for path in sorted(directory.glob("*.seg")):
        with opened(path) as fd:
            try:
                segment = read_header(fd, path)
                if path != segment_path(directory, segment.first_sequence):
                    why = f"its header says that it begins with sequence {segment.first_sequence}"
                    raise JournalCorrupt(path, 0, segment.first_sequence, why)
            except JournalCorrupt:
                if os.fstat(fd).st_ino != path.stat().st_ino:  # retired and used again under our eyes
                    raise FileNotFoundError(path) from None
                raise
            segments.append(segment)
    return segments


def create_segment(directory: Path, first_sequence: int, capacity: int) -> Segment:
    """Prepare the segment file that begins with `first_sequence`, durable, from a retired one if there is one.

    Raises OSError (ENOSPC and the like); what was half made is then gone again.
    """
    assert CAPACITY_MIN <= capacity <= CAPACITY_MAX
    path = segment_path(directory, first_sequence)
    if path.exists():
        raise FileExistsError(errno.EEXIST, "a segment of that name exists", str(path))
    making = path.with_suffix(".tmp")
    generation = _take_from_pool(directory, making, capacity) + 1
    segment = Segment(path, first_sequence, capacity, generation)
    try:
        with opened(making, os.O_RDWR | os.O_CREAT) as fd:
            if generation == 1:
                _fill_with_zeros(fd, segment.size_bytes)
            _write_all(fd, header_bytes(segment), 0)
            os.fsync(fd)
        making.rename(path)
    except OSError:
        making.unlink(missing_ok=True)
        raise
    sync_directory(directory)
    return segment


def _take_from_pool(directory: Path, making: Path, capacity: int) -> int:
    """Rename a retired segment of this capacity to `making` and return its generation; 0 if there is none."""
    for path in sorted(directory.glob("*.free")):
        try:
            with opened(path) as fd:
                retired = read_header(fd, path)
                fits = retired.capacity == capacity and os.fstat(fd).st_size == retired.size_bytes
            if fits and retired.generation + 1 < GENERATION_MAX:
                path.rename(making)
                return retired.generation
        except FileNotFoundError:
            continue
        except (JournalCorrupt, JournalUnsupported):
            pass  # its generation is unknown, so it cannot be used again
        path.unlink(missing_ok=True)
    making.unlink(missing_ok=True)
    return 0


def retire(directory: Path, below_sequence: int) -> int:
    """Give up whole segments whose records all lie below `below_sequence`, never the newest. Returns how many.

    At most POOL_SEGMENTS are kept for use again, the others are deleted.
    """
    directory = Path(directory)
    retired = 0
    for segment in list_segments(directory)[:-1]:
        if segment.end > below_sequence:
            break
        if len(list(directory.glob("*.free"))) < POOL_SEGMENTS:
            segment.path.rename(segment.path.with_suffix(".free"))
        else:
            segment.path.unlink()
        sync_directory(directory)  # oldest first, each before the next: a crash leaves no gap
        retired += 1
    return retired


def sync_directory(directory: Path) -> None:
    with opened(directory, os.O_DIRECTORY) as fd:
        os.fsync(fd)


def zero_range(segment: Segment, from_sequence: int, to_sequence: int) -> None:
    """Fill the records of [from, to) with zeros, and the file to its full length; durable on return."""
    with opened(segment.path, os.O_RDWR) as fd:
        start, end = segment.offset_of(from_sequence), segment.offset_of(to_sequence)
        _fill_with_zeros(fd, end, start)
        size = os.fstat(fd).st_size
        if size < segment.size_bytes:
            _fill_with_zeros(fd, segment.size_bytes, size)
        os.fsync(fd)


def _fill_with_zeros(fd: int, end: int, start: int = 0) -> None:
    zeros = bytes(_ZEROS_BYTES)
    while start < end:
        _write_all(fd, zeros[: min(_ZEROS_BYTES, end - start)], start)
        start += _ZEROS_BYTES


def _write_all(fd: int, data: bytes, offset: int) -> None:
    left = memoryview(data)
    while left:
        count = os.pwrite(fd, left, offset)
        left, offset = left[count:], offset + count
