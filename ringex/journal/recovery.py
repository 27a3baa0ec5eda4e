"""Recovery: make a journal that a crash has left fit to be written on, and say what was lost of it.

Nothing that was durable is ever cut: a record is cut only where no later one vouches for it (`ringex.journal.tail`).
What lies behind the cut is filled with zeros, so that it cannot come back to life behind later records.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ringex.journal.segment import Segment, list_segments, opened, zero_range
from ringex.journal.tail import find_tail, survey_segment


@dataclass(frozen=True)
class Recovered:
    """`first_sequence` to `next_sequence` - 1 are there (none: both are equal). `torn_records` were cut, beginning at
    byte `torn_offset` of `torn_file` (None if nothing was torn)."""

    first_sequence: int
    next_sequence: int
    torn_records: int
    torn_file: Path | None
    torn_offset: int
    segments: int


def recover(directory: Path) -> Recovered:
    """Cut the torn tail of the journal in `directory`, which need not exist. What is left is durable on return.

    Nothing else may use the journal meanwhile. Raises JournalCorrupt, JournalUnsupported.
    """
    directory = Path(directory)
    segments = list_segments(directory) if directory.is_dir() else []
    tail = find_tail(segments)
    if tail.torn_file is not None:
        # First what is behind the bad record, then the sound records of an incomplete command before it: the former may
        # vouch for the latter, and a crash in between must not look like corruption.
        for segment in reversed(segments):
            _cut(segment, max(tail.bad_sequence, segment.first_sequence))
        for segment in reversed(segments):
            if segment.first_sequence < tail.bad_sequence and tail.next_sequence < segment.end:
                begin = max(tail.next_sequence, segment.first_sequence)
                zero_range(segment, begin, min(tail.bad_sequence, segment.end))
    for segment in segments[-2:]:
        with opened(segment.path, os.O_RDWR) as fd:
            os.fsync(fd)  # the last run may have written, not synced
    for leftover in directory.glob("*.tmp"):
        leftover.unlink()
    first = segments[0].first_sequence if segments else 1
    return Recovered(first, tail.next_sequence, tail.torn_records, tail.torn_file, tail.torn_offset, len(segments))


def _cut(segment: Segment, from_sequence: int) -> None:
    """Fill everything from `from_sequence` on that is not blank with zeros, and the file to its full length."""
    if from_sequence >= segment.end:
        return
    report = survey_segment(segment, from_sequence)
    if int(report["first"][0]):
        zero_range(segment, int(report["first"][0]), segment.end)
    elif segment.path.stat().st_size < segment.size_bytes:
        zero_range(segment, segment.end, segment.end)
