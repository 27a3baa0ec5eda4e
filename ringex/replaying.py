"""`ringex replay`: a journal applied again, counted and hashed. Reads only; a running exchange is not disturbed."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ringex.config import Limits
from ringex.engine.export import import_state, limits_of, state_hash
from ringex.engine.replay import Replayer, empty_state, journal_room
from ringex.engine.snapshot import SnapshotCorrupt, read_snapshot, snapshot_paths
from ringex.engine.state import State
from ringex.journal.errors import JournalError, JournalGone
from ringex.journal.reader import JournalReader
from ringex.terms import CommandKind


class ReplayError(Exception):
    """The journal cannot be replayed as asked; the message says why."""


@dataclass
class ReplayReport:
    """`counts` has the replayed records by kind; `from_sequence` is 1, or follows the snapshot that was begun with."""

    sequence: int
    from_sequence: int
    state_hash: str = ""
    events: int = 0
    counts: dict[str, int] = field(default_factory=dict)


def replay_directory(data_dir: Path, to_sequence: int | None = None) -> ReplayReport:
    """Replay a data directory's journal from its beginning to `to_sequence` (None: the end).

    Where the beginning has been retired, from the oldest sound snapshot that the journal still follows on. The limits
    are those that the journal names, as its first command does. Raises ReplayError.
    """
    journal_dir = data_dir / "journal"
    if not journal_dir.is_dir():
        raise ReplayError(f"{data_dir}: not a data directory: it has no journal folder")
    try:
        with JournalReader(journal_dir) as reader:
            state, _ = begin(reader, data_dir / "snapshots", to_sequence)
            return _replay(reader, state, to_sequence)
    except (JournalError, OSError) as error:
        raise ReplayError(str(error)) from error


def begin(
    reader: JournalReader, snapshot_dir: Path, to_sequence: int | None
) -> tuple[State, dict[str, np.ndarray] | None]:
    """The state that a journal is replayed from, and the tables of the snapshot that it is of, if it is.

    It is an empty one, or where the journal's beginning is gone the oldest snapshot that it follows on. Raises what the
    journal's reader raises.
    """
    try:
        return empty_state(Limits(), journal_room(reader, 1, Limits())), None
    except JournalGone as gone:
        tables = _snapshot_before(snapshot_dir, gone.first_available, to_sequence)
        if tables is None:
            raise
    room = journal_room(reader, int(tables["counters"]["command_sequence"][0]) + 1, limits_of(tables))
    return import_state(tables, room), tables


def _replay(reader: JournalReader, state: State, to_sequence: int | None) -> ReplayReport:
    replayer = Replayer(state)
    report = ReplayReport(0, int(state.root["command_sequence"]) + 1)
    by_kind = np.zeros(256, np.int64)
    for commands in reader.read(report.from_sequence, to_sequence):
        by_kind += np.bincount(commands["kind"], minlength=256)
        report.events += sum(len(events) for events in replayer.apply(commands))
    report.sequence = int(state.root["command_sequence"])
    if to_sequence is not None and report.sequence < to_sequence:
        raise ReplayError(f"the journal ends at sequence {report.sequence}; --to {to_sequence} is past it")
    report.counts = {kind.name: int(by_kind[kind]) for kind in CommandKind if by_kind[kind]}
    report.state_hash = state_hash(state)
    return report


def _snapshot_before(directory: Path, first_available: int, to_sequence: int | None) -> dict[str, np.ndarray] | None:
    for path in snapshot_paths(directory):
        sequence = int(path.stem)
        if sequence + 1 >= first_available and (to_sequence is None or sequence <= to_sequence):
            try:
                return read_snapshot(path)
            except SnapshotCorrupt:
                continue
    return None
