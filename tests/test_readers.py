"""Registered readers of the journal: what they said, and what is kept for them."""

from __future__ import annotations

from pathlib import Path

import pytest

from ringex.journal.readers import needed_from, positions, snapshots_needed, tell, told

FAR = 1 << 40


def test_what_is_told_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "readers"
    assert told(folder) == {}
    tell(folder, "history", 5, event_sequence=9)
    tell(folder, "history", 7, event_sequence=12)
    tell(folder, "archive", 3)
    assert told(folder) == {
        "archive": {"command_sequence": 3},
        "history": {"command_sequence": 7, "event_sequence": 12},
    }
    assert positions(folder) == [3, 7]
    (folder / "archive.json").write_text('{"command_sequence": "x"}')
    (folder / "history.json").write_text("torn")
    assert positions(folder) == [0, 0], "who cannot be understood needs all"


@pytest.mark.parametrize(
    ("snapshots", "readers", "records_max", "first"),
    [
        ([], [], FAR, 1),
        ([100], [], FAR, 1),
        ([100, 200, 300], [], FAR, 201),  # the second newest, and what follows it
        ([100, 200, 300], [350], FAR, 201),
        ([100, 200, 300], [250], FAR, 201),
        ([100, 200, 300], [200], FAR, 101),  # at 200 itself it may have only a part of that command's events
        ([100, 200, 300], [150], FAR, 101),
        ([100, 200, 300], [50], FAR, 1),
        ([100, 200, 300], [350, 150], FAR, 101),
        ([100, 200, 300], [50], 120, 181),  # so much is kept for readers, and no more
        ([100, 200, 300], [50], 50, 201),  # the second newest snapshot is no reader
    ],
)
def test_what_stays_in_the_journal(snapshots: list[int], readers: list[int], records_max: int, first: int) -> None:
    assert needed_from(snapshots, readers, records_max) == first


def test_which_snapshots_stay() -> None:
    snapshots = [100, 200, 300, 400, 500]
    assert snapshots_needed(snapshots, [150], FAR) == {100}
    assert snapshots_needed(snapshots, [150, 450], FAR) == {100, 400}
    assert snapshots_needed(snapshots, [50], FAR) == set()
    assert snapshots_needed(snapshots, [150], 10) == set()
