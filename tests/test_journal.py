"""The journal at rest: what is appended is read back, over segments and their reuse; bad input is refused clearly."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ringex.config import Durability
from ringex.journal import (
    JournalCorrupt,
    JournalError,
    JournalGone,
    JournalReader,
    JournalUnsupported,
    JournalWriter,
    crc,
    dump,
    recover,
    retire,
    verify,
)
from ringex.journal.segment import HEADER_BYTES, POOL_SEGMENTS, SCHEMA_VERSION, header_bytes, list_segments, opened
from ringex.journal.tail import read_records, refuse_if_known_durable
from ringex.memory import address_of
from ringex.messages import commands, words_of
from ringex.terms import CommandKind, Side

TESTS = Path(__file__).parent


def orders(count: int, first: int = 1) -> np.ndarray:
    """`count` commands whose price tells which they are, first, first + 1, ..."""
    records = commands(count)
    records["kind"] = CommandKind.PLACE
    records["price"] = np.arange(first, first + count)
    return records


def fill(directory: Path, *counts: int, buffer_slots: int = 256, durability: Durability = Durability.FSYNC) -> int:
    """Append one batch of each count after what is there; returns the next sequence."""
    begin = recover(directory).next_sequence
    writer = JournalWriter(
        directory, next_sequence=begin, segment_records=256, buffer_slots=buffer_slots, durability=durability
    )
    with writer:
        for count in counts:
            assert writer.append(orders(count, begin)) == begin + count - 1
            begin += count
    return begin


def read_all(directory: Path, first: int = 1, **options: int) -> np.ndarray:
    with JournalReader(directory) as reader:
        batches = list(reader.read(first, **options))
    return np.concatenate([orders(0), *batches])


def check(records: np.ndarray, first: int, last: int) -> None:
    expected = np.arange(first, last + 1)
    np.testing.assert_array_equal(records["sequence"], expected)
    np.testing.assert_array_equal(records["price"], expected)


def test_crc_vectors() -> None:
    assert crc.crc32c(b"123456789") == 0xE3069283
    assert crc.crc32c(bytes(32)) == 0x8A9136AA
    assert crc.crc32c(b"\xff" * 32) == 0x62A8AB43
    assert crc.crc32c(bytes(range(32))) == 0x46DD794E


def test_compiled_crc_agrees_with_plain_python() -> None:
    data = np.frombuffer(np.random.default_rng(1).bytes(4096), np.uint8).copy()
    assert crc.bytes_checksum(address_of(data), len(data)) == crc.crc32c(data.tobytes())
    state = crc.MASK
    for word in data.view(np.uint64):
        state = int(crc.crc_word_by_table(np.int64(state), word))
    assert state ^ crc.MASK == crc.crc32c(data.tobytes())


def test_equal_records_of_two_generations_never_share_a_checksum() -> None:
    record = orders(1)
    seen = {int(crc.count_valid(address_of(record), 0, crc.salt_of(1), 1))}
    for generation in range(1, 200):
        crc.stamp_records(address_of(record), 1, crc.salt_of(generation), 0)
        seen.add(int(record["checksum"][0]))
    assert len(seen) == 200


@pytest.mark.parametrize("durability", list(Durability))
def test_round_trip_over_several_segments(tmp_path: Path, durability: Durability) -> None:
    assert fill(tmp_path, 1, 2, 250, 700, 47, durability=durability) == 1001
    check(read_all(tmp_path), 1, 1000)
    check(read_all(tmp_path, 255, batch_max=7), 255, 1000)
    check(read_all(tmp_path, 255, up_to=258), 255, 258)
    assert len(read_all(tmp_path, 1001)) == 0
    assert [segment.first_sequence for segment in list_segments(tmp_path)] == [1, 257, 513, 769]
    report = verify(tmp_path)
    assert report.is_sound
    assert (report.records, report.first_sequence, report.last_sequence, report.torn_records) == (1000, 1, 1000, 0)


def test_an_empty_journal_begins_at_one(tmp_path: Path) -> None:
    recovered = recover(tmp_path / "absent")
    assert (recovered.next_sequence, recovered.torn_records, recovered.torn_file) == (1, 0, None)
    assert len(read_all(tmp_path)) == 0
    assert verify(tmp_path).is_sound


def test_retired_segments_are_used_again_and_old_records_behind_the_tail_never_read(tmp_path: Path) -> None:
    begin = fill(tmp_path, 1024)
    inodes = {path.stat().st_ino for path in tmp_path.glob("*.seg")}
    for _ in range(6):
        assert retire(tmp_path, begin - 100) >= 1
        begin = fill(tmp_path, 300)
    segments = list_segments(tmp_path)
    assert segments[-1].generation > 1
    assert {segment.path.stat().st_ino for segment in segments} <= inodes
    first = segments[0].first_sequence
    check(read_all(tmp_path, first), first, begin - 1)
    recovered = recover(tmp_path)
    assert (recovered.next_sequence, recovered.torn_records) == (begin, 0)
    with JournalReader(tmp_path) as reader, pytest.raises(JournalGone) as gone:
        next(reader.read(1))
    assert gone.value.first_available == first


def test_retire_keeps_the_newest_and_a_bounded_pool(tmp_path: Path) -> None:
    begin = fill(tmp_path, 256 * (POOL_SEGMENTS + 4))
    assert retire(tmp_path, 257 + 10) == 1
    assert retire(tmp_path, 1 << 40) == POOL_SEGMENTS + 2
    assert len(list(tmp_path.glob("*.free"))) == POOL_SEGMENTS
    assert len(list_segments(tmp_path)) == 1
    assert recover(tmp_path).next_sequence == begin
    check(read_all(tmp_path, begin - 256), begin - 256, begin - 1)


def test_a_reader_of_a_segment_that_is_used_again_learns_that_it_is_gone(tmp_path: Path) -> None:
    fill(tmp_path, 512)
    with JournalReader(tmp_path) as reader:
        assert len(reader.poll(10)) == 10
        retire(tmp_path, 257)
        check(reader.poll(256), 11, 256)  # its file is still open, and whole
        reader.next_sequence = 11
        fill(tmp_path, 300)
        assert list_segments(tmp_path)[1].generation == 2
        with pytest.raises(JournalGone) as gone:
            reader.poll(256)
    assert (gone.value.wanted, gone.value.first_available) == (11, 257)


def test_a_record_written_between_two_looks_is_no_damage(tmp_path: Path) -> None:
    fill(tmp_path, 3, 3)
    segments = list_segments(tmp_path)
    with opened(segments[0].path) as fd:
        later, _ = read_records(fd, segments[0], 6, 1)
    assert int(later["durable_sequence"][0]) >= 3, "what a reader that had found 3 missing sees behind it"
    refuse_if_known_durable(segments, 3)
    damaged = bytearray(segments[0].path.read_bytes())
    damaged[segments[0].offset_of(3) + 100] ^= 1
    segments[0].path.write_bytes(damaged)
    with pytest.raises(JournalCorrupt, match="sequence 3: the record is damaged"):
        refuse_if_known_durable(segments, 3)


def test_a_batch_holds_whole_commands_only(tmp_path: Path) -> None:
    records = orders(259)
    records["slots"][[0, 255, 257]] = 2, 2, 3  # the second spans two segments, the third is not all there
    with JournalWriter(tmp_path, segment_records=256, buffer_slots=256) as writer:
        writer.append(records)
    with JournalReader(tmp_path) as reader:
        assert len(reader.poll(259, count_max=1)) == 2
        assert [len(batch) for batch in reader.read(250, batch_max=7)] == [6, 2]
    assert verify(tmp_path).torn_records == 2
    recovered = recover(tmp_path)
    assert (recovered.next_sequence, recovered.torn_records) == (258, 2)
    assert recovered.torn_file == tmp_path / f"{257:020d}.seg"
    assert recovered.torn_offset == HEADER_BYTES + 256
    fill(tmp_path, 5)
    check(read_all(tmp_path), 1, 262)


def test_an_incomplete_command_over_two_segments_is_cut_whole(tmp_path: Path) -> None:
    records = orders(257)
    records["slots"][255] = 3
    with JournalWriter(tmp_path, segment_records=256, buffer_slots=256) as writer:
        writer.append(records)
    recovered = recover(tmp_path)
    assert (recovered.next_sequence, recovered.torn_records) == (256, 2)
    assert recover(tmp_path).torn_records == 0
    assert fill(tmp_path, 5) == 261
    check(read_all(tmp_path), 1, 260)


def test_missing_and_misnamed_files_are_corruption(tmp_path: Path) -> None:
    fill(tmp_path, 1000)
    path = tmp_path / f"{257:020d}.seg"
    path.rename(tmp_path / "elsewhere")
    with pytest.raises(JournalCorrupt, match=r"sequence 257: .*files are missing"):
        recover(tmp_path)
    (tmp_path / "elsewhere").rename(tmp_path / f"{258:020d}.seg")
    with pytest.raises(JournalCorrupt, match="begins with sequence 257"):
        recover(tmp_path)
    assert "begins with sequence 257" in verify(tmp_path).corruption


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    fill(tmp_path, 3)
    [segment] = list_segments(tmp_path)
    newer = type(segment)(segment.path, 1, 256, 1, SCHEMA_VERSION + 1, "9.9")
    with segment.path.open("r+b") as file:
        file.write(header_bytes(newer))
    with pytest.raises(JournalUnsupported, match=rf"schema version {SCHEMA_VERSION + 1} .* engine 9\.9"):
        recover(tmp_path)
    assert f"schema version {SCHEMA_VERSION + 1}" in verify(tmp_path).corruption


def test_the_writer_refuses_a_wrong_place(tmp_path: Path) -> None:
    fill(tmp_path, 300)
    for wrong in (1, 300, 302, 513):
        with pytest.raises(JournalError, match="00000000"):
            JournalWriter(tmp_path, next_sequence=wrong, segment_records=256, buffer_slots=256)
    with pytest.raises(JournalError, match="does not follow"):
        JournalWriter(tmp_path, next_sequence=5000, segment_records=256, buffer_slots=256)
    with pytest.raises(ValueError, match="power of two"):
        JournalWriter(tmp_path, next_sequence=301, buffer_slots=300)
    with pytest.raises(ValueError, match="256 to"):
        JournalWriter(tmp_path, next_sequence=301, segment_records=1)
    with JournalWriter(tmp_path, next_sequence=301, segment_records=256, buffer_slots=256) as writer:
        misplaced = orders(2)
        misplaced["sequence"] = 7
        with pytest.raises(ValueError, match="goes on with 301"):
            writer.append(misplaced)


def test_dump_shows_names_and_text(tmp_path: Path) -> None:
    records = orders(3)
    records["side"] = Side.SELL
    records["client_order_id"][1] = words_of("my-order")
    records["kind"][2] = CommandKind.DEPOSIT
    with JournalWriter(tmp_path, segment_records=256, buffer_slots=256) as writer:
        writer.append(records)
    shown = list(dump(tmp_path, 2))
    assert [line["sequence"] for line in shown] == [2, 3]
    assert (shown[0]["kind"], shown[0]["side"], shown[0]["client_order_id"]) == ("PLACE", "SELL", "my-order")
    assert shown[1]["kind"] == "DEPOSIT"
    assert "amount" in shown[1]


INTERPRETED_RUN = """
from pathlib import Path
import sys
from test_journal import check, fill, read_all, recover
from ringex.jit import INTERPRETED
assert INTERPRETED
directory = Path(sys.argv[1])
check(read_all(directory), 1, 10)
assert fill(directory, 3, 5) == 19
check(read_all(directory), 1, 18)
assert recover(directory).next_sequence == 19
"""


def test_interpreted_code_writes_the_same_bytes(tmp_path: Path) -> None:
    fill(tmp_path, 10)
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": f"{TESTS.parent}:{TESTS}"}
    subprocess.run([sys.executable, "-c", INTERPRETED_RUN, str(tmp_path)], env=environment, check=True, timeout=120)
    assert fill(tmp_path, 2) == 21
    check(read_all(tmp_path, 1, up_to=10), 1, 10)
    assert recover(tmp_path).torn_records == 0
