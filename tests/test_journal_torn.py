"""Torn writes and flipped bits: the right records, an honest tear, or a refusal that says where; never wrong data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ringex.config import Durability
from ringex.journal import JournalCorrupt, JournalError, JournalReader, JournalWriter, recover, verify
from ringex.journal.segment import HEADER_BYTES, retire
from ringex.messages import commands
from ringex.terms import CommandKind

RECORDS = 40
KNOWN = 36  # a record of the last batch carries this as durable
LAST = RECORDS - 1  # the last two were written in one commit


def orders(first: int, count: int) -> np.ndarray:
    records = commands(count)
    records["kind"] = CommandKind.PLACE
    records["price"] = np.arange(first, first + count)
    records["client_order_id"] = np.random.default_rng(first).integers(1, 1 << 63, (count, 5))
    return records


@pytest.fixture(params=["new", "reused"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """One segment file of RECORDS records, over zeros or over the records of an earlier life; sequences from 513."""
    with JournalWriter(tmp_path, segment_records=256, buffer_slots=256) as writer:
        writer.append(orders(1, 512))
    if request.param == "reused":
        retire(tmp_path, 257)
    with JournalWriter(tmp_path, next_sequence=513, segment_records=256, buffer_slots=256) as writer:
        writer.append(orders(513, KNOWN))
        writer.append(orders(513 + KNOWN, RECORDS - KNOWN))
    retire(tmp_path, 513)
    [path] = tmp_path.glob("*.seg")
    return path


def offset_of(index: int) -> int:
    return HEADER_BYTES + index * 256


def records_in(path: Path) -> np.ndarray:
    with JournalReader(path.parent) as reader:
        return np.concatenate([np.zeros(0, "V256"), *(batch.view("V256") for batch in reader.read(513))])


def expect_prefix(path: Path, sound: np.ndarray, count: int, *, torn: bool) -> None:
    """The first `count` records are read, unchanged; recovery cuts the rest, reports it, and leaves a clean journal."""
    np.testing.assert_array_equal(records_in(path), sound[:count])
    recovered = recover(path.parent)
    assert recovered.next_sequence == 513 + count
    assert (recovered.torn_file is not None) == torn
    if torn:
        assert recovered.torn_file == path
        assert recovered.torn_offset > offset_of(count - 1)  # inside the last one if only zeros of it were cut off
    again = verify(path.parent)
    assert (again.is_sound, again.last_sequence, again.torn_records, again.torn_file) == (True, 512 + count, 0, None)


@pytest.mark.parametrize("how", ["truncated", "zeroed"])
def test_cut_at_every_byte_of_the_last_records(journal: Path, how: str) -> None:
    sound, whole = records_in(journal), journal.read_bytes()
    old = whole[: offset_of(RECORDS)] + bytes(len(whole) - offset_of(RECORDS))
    for cut in range(offset_of(RECORDS - 3), offset_of(RECORDS) + 1):
        content = whole[:cut] if how == "truncated" else old[:cut] + bytes(len(old) - cut)
        journal.write_bytes(content)
        count, into = divmod(cut - HEADER_BYTES, 256)
        record = content[offset_of(count) : offset_of(count) + 256].ljust(256, b"\0")
        if into and record == whole[offset_of(count) : offset_of(count) + 256]:
            count, into = count + 1, 0  # what was cut off was zeros: nothing is lost
        touched = any(content[offset_of(count) :])
        expect_prefix(journal, sound, count, torn=touched or how == "truncated")


def test_a_flip_anywhere_never_gives_wrong_data(journal: Path) -> None:
    sound, whole = records_in(journal), bytearray(journal.read_bytes())
    randomness = np.random.default_rng(7)
    sampled = randomness.integers(offset_of(0), len(whole), 300).tolist()
    dense = [
        *range(128),
        *range(128, HEADER_BYTES, 31),  # zeros, one checksum over all of them: a sample says as much
        HEADER_BYTES - 1,
        *range(offset_of(10), offset_of(11)),
        *range(offset_of(KNOWN - 1), offset_of(RECORDS + 1)),
    ]
    for place in [*dense, *sampled]:
        flipped = bytearray(whole)
        flipped[place] ^= 1 << int(randomness.integers(8))
        journal.write_bytes(flipped)
        index = (place - HEADER_BYTES) // 256
        if place < HEADER_BYTES or index < KNOWN:
            with pytest.raises(JournalError, match=journal.name) as refused:
                records_in(journal)
            with pytest.raises(JournalError):
                recover(journal.parent)
            assert journal.read_bytes() == flipped, "a refusal changes nothing"
            if index >= 0:
                assert isinstance(refused.value, JournalCorrupt)
                assert (refused.value.sequence, refused.value.offset) == (513 + index, offset_of(index))
            continue
        count = min(index, RECORDS)
        np.testing.assert_array_equal(records_in(journal), sound[:count])
        report = verify(journal.parent)
        assert (report.is_sound, report.last_sequence) == (True, 512 + count)
        assert report.torn_offset == offset_of(index)
        assert report.torn_records == (RECORDS - index if index < RECORDS else 1)


def test_a_tear_with_sound_records_behind_is_cut_with_them(journal: Path) -> None:
    sound = records_in(journal)
    with journal.open("r+b") as file:
        file.seek(offset_of(LAST - 1))
        file.write(b"torn" * 64)
    expect_prefix(journal, sound, LAST - 1, torn=True)
    with JournalWriter(journal.parent, next_sequence=513 + LAST - 1, segment_records=256, buffer_slots=256) as writer:
        writer.append(orders(1, 1))
    assert len(records_in(journal)) == LAST, "what lay behind the tear has come back to life"


def test_a_tear_over_a_segments_end_is_cut_from_both_files(tmp_path: Path) -> None:
    with JournalWriter(tmp_path, segment_records=256, buffer_slots=256) as writer:
        writer.append(orders(1, 300))
    first, second = sorted(tmp_path.glob("*.seg"))
    with first.open("r+b") as file:
        file.seek(offset_of(255))
        file.write(b"torn")
    with pytest.raises(JournalCorrupt, match="sequence 256: damaged, and later ones are sound"):
        recover(tmp_path)
    with second.open("r+b") as file:  # nothing vouches for record 256 now
        file.seek(HEADER_BYTES)
        file.write(bytes(300 * 256)[: 256 * 256])
    recovered = recover(tmp_path)
    assert (recovered.next_sequence, recovered.torn_records, recovered.torn_file) == (256, 1, first)


def test_poll_refuses_damage_that_no_later_record_vouches_for(journal: Path) -> None:
    with journal.open("r+b") as file:
        file.seek(offset_of(LAST) + 100)
        file.write(b"torn")
    last = 512 + RECORDS
    with JournalReader(journal.parent, from_sequence=513) as reader, pytest.raises(JournalCorrupt, match="was durable"):
        reader.poll(last)
    with JournalReader(journal.parent, from_sequence=513, durability=Durability.NONE) as reader:
        assert len(reader.poll(last)) == LAST
