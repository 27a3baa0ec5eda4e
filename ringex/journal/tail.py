"""The tail: where the journal's sound records end, and what lies behind them.

A record is *sound* if its checksum fits its segment's generation and its sequence fits its place; *blank* if it is all
zeros or sound by the file's previous generation; otherwise it is *touched*: torn, or damaged.

The first record that is not sound, at sequence s, is the tail, unless some later sound record was written when s was
known to be on disk already: then s has been damaged since, and that is corruption. Damage to records that no later one
vouches for (the last commit; everything since the segment was begun in the modes that do not sync) cannot be told from
a tear. A command of several records is there as a whole or not at all.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from ringex.jit import compiled, entry, inlined, int64
from ringex.journal.crc import WORD, WORDS, count_valid, record_checksum
from ringex.journal.errors import JournalCorrupt
from ringex.journal.segment import Segment, opened
from ringex.memory import address_of, record_at
from ringex.messages import COMMAND, RECORD_BYTES

SLOTS_MAX: Final = 255
"""A command spans at most this many records."""
SCAN_RECORDS: Final = 1 << 14

SURVEY: Final = np.dtype([("touched", "i8"), ("sound", "i8"), ("last_sound", "i8"), ("durable", "i8"), ("first", "i8")])
"""What lies behind a bad record: how many records are touched, how many sound, the sequence of the last sound one, the
highest `durable_sequence` of them, and the first record that is not blank (0: none)."""


@dataclass(frozen=True)
class Tail:
    """`next_sequence` is where the journal goes on; `torn_records` behind it are unusable. What is torn begins at byte
    `torn_offset` of `torn_file` (None if nothing is torn)."""

    next_sequence: int
    bad_sequence: int  # the first record that is not sound; >= next_sequence
    torn_records: int = 0
    torn_file: Path | None = None
    torn_offset: int = 0


@inlined
def is_zero(address: int) -> bool:
    bits = np.uint64(0)
    for index in range(WORDS):
        bits |= np.uint64(record_at(address, index, WORD).value)
    return bits == np.uint64(0)


@entry
@compiled
def survey(address: int, count: int, salt: int, previous_salt: int, sequence: int, report_address: int) -> None:
    """Add to the SURVEY at `report_address` what `count` records at `address` are; `sequence` is the first one's."""
    report = record_at(report_address, 0, SURVEY)
    for index in range(count):
        here = address + index * RECORD_BYTES
        if is_zero(here):
            continue
        record = record_at(here, 0, COMMAND)
        checksum = int64(record.checksum)
        if int64(record.sequence) == sequence + index and checksum == record_checksum(here, salt):
            report.sound += 1
            report.last_sound = sequence + index
            report.durable = max(int64(report.durable), int64(record.durable_sequence))
        elif checksum == record_checksum(here, previous_salt):
            continue
        else:
            report.touched += 1
        if report.first == 0:
            report.first = sequence + index


@entry
@compiled
def count_whole(address: int, count: int) -> int:
    """How many of `count` records at `address`, which begin a command, belong to commands that are whole."""
    index = 0
    while index < count:
        slots = max(int64(record_at(address, index, COMMAND).slots), int64(1))
        if index + slots > count:
            break
        index += int(slots)
    return index


def read_records(fd: int, segment: Segment, sequence: int, count: int) -> tuple[np.ndarray, int]:
    """`count` records as they lie in the file, and how many of them the file is long enough to hold whole.

    What is missing is zero. Shape (count,), COMMAND.
    """
    records = np.zeros(count, COMMAND)
    target = records.view(np.uint8).data
    offset, done = segment.offset_of(sequence), 0
    while done < len(target):
        step = os.preadv(fd, [target[done:]], offset + done)
        if step == 0:
            break
        done += step
    return records, done // RECORD_BYTES


def first_bad(segment: Segment, from_sequence: int) -> int:
    """The first sequence at or after `from_sequence` whose record is not sound; the segment's end if all are."""
    sequence = from_sequence
    with opened(segment.path) as fd:
        while sequence < segment.end:
            count = min(SCAN_RECORDS, segment.end - sequence)
            records, _ = read_records(fd, segment, sequence, count)
            good = int(count_valid(address_of(records), count, segment.salt, sequence))
            sequence += good
            if good < count:
                break
    return sequence


def survey_segment(segment: Segment, from_sequence: int) -> np.ndarray:
    """What lies in the segment from `from_sequence` on. Shape (1,), SURVEY."""
    report = np.zeros(1, SURVEY)
    sequence = from_sequence
    with opened(segment.path) as fd:
        while sequence < segment.end:
            count = min(SCAN_RECORDS, segment.end - sequence)
            records, _ = read_records(fd, segment, sequence, count)
            salts = segment.salt, segment.previous_salt
            survey(address_of(records), count, *salts, sequence, address_of(report))
            sequence += count
    return report


def refuse_if_known_durable(segments: list[Segment], bad_sequence: int) -> list[np.ndarray]:
    """Raise JournalCorrupt if a later sound record says that `bad_sequence` was on disk. Returns what lies behind, by
    segment, from the one that holds `bad_sequence` on."""
    behind = [segment for segment in segments if segment.end > bad_sequence]
    reports = []
    for segment in behind:
        report = survey_segment(segment, max(bad_sequence, segment.first_sequence))
        if int(report["durable"][0]) >= bad_sequence:
            if first_bad(behind[0], bad_sequence) > bad_sequence:
                break  # a running writer has written it since it was looked at
            why = (
                f"the record is damaged, but was on disk: a later one, up to sequence {int(report['last_sound'][0])}, "
                f"knew sequence {int(report['durable'][0])} as durable"
            )
            raise JournalCorrupt(behind[0].path, behind[0].offset_of(bad_sequence), bad_sequence, why)
        reports.append(report)
    return reports


def find_tail(segments: list[Segment]) -> Tail:
    """The tail of the journal that these consecutive segments hold. Raises JournalCorrupt.

    Only segments from the last used one on are looked at; the ones before it are checked when they are read.
    """
    if not segments:
        return Tail(1, 1)
    used = len(segments) - 1
    while used > 0 and int(survey_segment(segments[used], segments[used].first_sequence)["sound"][0]) == 0:
        used -= 1
    bad = first_bad(segments[used], segments[used].first_sequence)
    reports = refuse_if_known_durable(segments, bad)
    next_sequence = bad - _incomplete_before(segments[: used + 1], bad)
    torn = sum(int(report["touched"][0] + report["sound"][0]) for report in reports) + bad - next_sequence
    touched = [int(report["first"][0]) for report in reports if int(report["first"][0])]
    torn_sequence = next_sequence if next_sequence < bad else (touched[0] if touched else 0)
    if torn_sequence:
        segment = next(segment for segment in segments if torn_sequence < segment.end)
        return Tail(next_sequence, bad, torn, segment.path, segment.offset_of(torn_sequence))
    for segment in segments[used:]:
        if (size := segment.path.stat().st_size) < segment.size_bytes:
            return Tail(next_sequence, bad, torn, segment.path, size)
    return Tail(next_sequence, bad)


def _incomplete_before(segments: list[Segment], bad_sequence: int) -> int:
    """How many sound records just before `bad_sequence` belong to a command of which the rest is missing.

    Only the first record of a command has `slots` > 1.
    """
    incomplete = 0
    for segment in segments[-2:]:
        start = max(segment.first_sequence, bad_sequence - SLOTS_MAX)
        end = min(segment.end, bad_sequence)
        if start >= end:
            continue
        with opened(segment.path) as fd:
            records, _ = read_records(fd, segment, start, end - start)
        good = int(count_valid(address_of(records), len(records), segment.salt, start))
        if good < len(records):
            where = start + good
            raise JournalCorrupt(segment.path, segment.offset_of(where), where, "damaged, and later ones are sound")
        left = bad_sequence - np.arange(start, end)
        missing = left[records["slots"] > left]
        incomplete = max(incomplete, int(missing[0]) if len(missing) else 0)
    return incomplete
