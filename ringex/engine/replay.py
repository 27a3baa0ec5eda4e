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
from ringex.engine.state import State
from ringex.journal.reader import JournalReader


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


def recover_state(
    snapshot_dir: Path,
    journal_dir: Path,
    limits: Limits,
    on_events: Callable[[np.ndarray], None] | None = None,
) -> tuple[State, RecoveryReport]:
    """The state after the last command of a journal. `on_events` gets the events of what is replayed, in batches.

    Raises what the journal's reader raises; ValueError where the state does not fit the limits.
    """
    path, tables, complaints = newest_valid_snapshot(snapshot_dir)
    state = import_state(tables, limits) if path else State(limits)
    sequence = int(state.root["command_sequence"])
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
