"""Replay: journaled commands applied verbatim, and recovery from the newest sound snapshot and the journal's tail."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ringex.config import Limits
from ringex.engine.export import import_state
from ringex.engine.library import Batches
from ringex.engine.snapshot import newest_valid_snapshot
from ringex.engine.state import State, check_limits
from ringex.journal.reader import JournalReader
from ringex.messages import LIMIT_NAMES, LIMITS_COMMAND
from ringex.terms import CommandKind


class Replayer:
    """Applies already sequenced commands to a state."""

    def __init__(self, state: State) -> None:
        self.state = state
        self._batches = Batches(state)

    def apply(self, commands: np.ndarray) -> Iterator[np.ndarray]:
        """Apply commands as a journal holds them, CONTINUE included, and give the events in batches.

        Shape (n,), COMMAND -> arrays of shape (m,), EVENT. Commands that the state has already are passed over; nothing
        is applied until the iterator is run. Raises ValueError if a command is missing.
        """
        known = int(self.state.root["command_sequence"])
        commands = commands[commands["sequence"] > known]
        if len(commands) == 0:
            return
        first = int(commands["sequence"][0])
        if first != known + 1:
            raise ValueError(f"the state holds commands up to {known}, the next one given is {first}: some are missing")
        yield from self._batches.apply(commands, stamps=False)


@dataclass
class RecoveryReport:
    """What a recovery started from, and what it did."""

    snapshot: Path | None
    snapshot_sequence: int
    commands: int = 0  # records replayed from the journal
    events: int = 0
    complaints: list[str] = field(default_factory=list)  # why newer snapshots were passed over


def journal_room(reader: JournalReader, from_sequence: int, room: Limits, up_to: int | None = None) -> Limits:
    """`room`, widened to what every LIMITS_SET from `from_sequence` to `up_to` (None: the end) needs.

    Tables with that room refuse none of them that was not refused when it was sequenced: the matcher process journals
    none that its own tables have no room for. Raises what the journal's reader raises.
    """
    for commands in reader.read(from_sequence, up_to):
        for record in commands.view(LIMITS_COMMAND)[commands["kind"] == CommandKind.LIMITS_SET]:
            limits = Limits(**{name: int(record[name]) for name in LIMIT_NAMES})
            try:
                check_limits(limits)
            except ValueError:
                continue  # refused anywhere
            room = room.widened(limits)
    return room


def recover_state(
    snapshot_dir: Path,
    journal_dir: Path,
    limits: Limits,
    on_events: Callable[[np.ndarray], None] | None = None,
) -> tuple[State, RecoveryReport]:
    """The state after the last command of a journal. `on_events` gets the events of what is replayed, in batches.

    Its tables have room for `limits` and for all that the snapshot and the journal name; `limits` are in force where
    these name none. Raises what the journal's reader raises.
    """
    path, tables, complaints = newest_valid_snapshot(snapshot_dir)
    sequence = int(tables["counters"]["command_sequence"][0]) if path else 0
    with JournalReader(journal_dir, from_sequence=sequence + 1) as reader:
        room = journal_room(reader, sequence + 1, limits)
    state = import_state(tables, room) if path else empty_state(limits, room)
    report = RecoveryReport(path, sequence, complaints=complaints)
    replayer = Replayer(state)
    with JournalReader(journal_dir, from_sequence=sequence + 1) as reader:
        for commands in reader.read(sequence + 1):
            for events in replayer.apply(commands):
                report.events += len(events)
                if on_events is not None:
                    on_events(events)
    report.commands = int(state.root["command_sequence"]) - sequence
    return state, report


def empty_state(limits: Limits, room: Limits) -> State:
    """A new state by `limits`, whose tables have `room` for more."""
    state = State(room)
    state.enforce(limits)
    return state
