"""Replay: journaled commands applied verbatim, and recovery from the newest sound snapshot and the journal's tail."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from ringex.ahead import ahead
from ringex.config import Limits
from ringex.engine.export import export_state, import_state
from ringex.engine.library import Batches
from ringex.engine.snapshot import newest_valid_snapshot
from ringex.engine.state import State, check_limits
from ringex.journal.reader import JournalReader
from ringex.messages import LIMIT_NAMES, LIMITS_COMMAND
from ringex.terms import CommandKind

BATCH_RECORDS: Final = 4096
"""How many commands are read at a time: 1 MiB, so that they are still in the caches when they are applied."""


class Replayer:
    """Applies already sequenced commands to a state."""

    def __init__(self, state: State) -> None:
        self.state = state
        self._batches = Batches(state)

    def apply(self, commands: np.ndarray, *, known: int = 0) -> Iterator[np.ndarray]:
        """Apply commands as a journal holds them, CONTINUE included, and give the events in batches.

        Shape (n,), COMMAND -> arrays of shape (m,), EVENT. The commands follow each other; those that the state has
        already are passed over. Batches of events that are all numbered up to `known` are left out. Nothing is applied
        until the iterator is run. Raises ValueError if a command is missing.
        """
        applied = int(self.state.root["command_sequence"])
        if len(commands) == 0 or int(commands["sequence"][-1]) <= applied:
            return
        first = int(commands["sequence"][0])
        if first > applied + 1:
            raise ValueError(
                f"the state holds commands up to {applied}, the next one given is {first}: some are missing"
            )
        yield from self._batches.apply(commands[applied + 1 - first :], stamps=False, known=known)


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
        room = _widened(room, commands)
    return room


def _widened(room: Limits, commands: np.ndarray) -> Limits:
    """`room`, widened to what every LIMITS_SET among these commands needs."""
    for record in commands.view(LIMITS_COMMAND)[commands["kind"] == CommandKind.LIMITS_SET]:
        limits = Limits(**{name: int(record[name]) for name in LIMIT_NAMES})
        try:
            check_limits(limits)
        except ValueError:
            continue  # refused anywhere
        room = room.widened(limits)
    return room


def _with_room(batches: Iterator[np.ndarray], room: Limits) -> Iterator[tuple[np.ndarray, Limits]]:
    """Each batch of commands, and `room` widened to what they and those before them need."""
    for commands in batches:
        room = _widened(room, commands)
        yield commands, room


def recover_state(
    snapshot_dir: Path,
    journal_dir: Path,
    limits: Limits,
    on_events: Callable[[np.ndarray], None] | None = None,
    known: int = 0,
) -> tuple[State, RecoveryReport]:
    """The state after the last command of a journal. `on_events` gets the events of what is replayed, in batches, but
    none of a batch whose events are all numbered up to `known`.

    Its tables have room for `limits` and for all that the snapshot and the journal name; `limits` are in force where
    these name none. The next commands are read and checked while those before are applied, so nothing can say in
    advance what room they will need: a state that has too little moves into a larger one. Raises what the journal's
    reader raises.
    """
    path, tables, complaints = newest_valid_snapshot(snapshot_dir)
    sequence = int(tables["counters"]["command_sequence"][0]) if path else 0
    state = import_state(tables, limits) if path else empty_state(limits, limits)
    report = RecoveryReport(path, sequence, complaints=complaints)
    events_before = int(state.root["event_sequence"])
    replayer = Replayer(state)
    with JournalReader(journal_dir, from_sequence=sequence + 1) as reader:
        for commands, room in ahead(_with_room(reader.read(sequence + 1, batch_max=BATCH_RECORDS), limits)):
            if state.limits.widened(room) != state.limits:
                state = import_state(export_state(state), room)
                replayer = Replayer(state)
            for events in replayer.apply(commands, known=known if on_events else sys.maxsize):
                if on_events is not None:
                    on_events(events)
    report.commands = int(state.root["command_sequence"]) - sequence
    report.events = int(state.root["event_sequence"]) - events_before
    return state, report


def empty_state(limits: Limits, room: Limits) -> State:
    """A new state by `limits`, whose tables have `room` for more."""
    state = State(room)
    state.enforce(limits)
    return state
