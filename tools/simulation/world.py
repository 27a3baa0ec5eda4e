"""A world: the engine with a journal and snapshots on disk, which dies now and then and must come back as it was.

A crash throws the state away and cuts the journal at an arbitrary byte, anywhere behind the newest snapshot: between
two commands, between the two records of one, within a record, within the chain of CONTINUEs of one. What comes back
from snapshot and journal gives the same events again; then the commands that were lost are sent again, as they would
still wait in their rings, and events and state must be what they were before.
"""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from ringex.config import Durability, Limits
from ringex.engine.export import state_hash
from ringex.engine.library import BATCH
from ringex.engine.replay import recover_state
from ringex.engine.snapshot import snapshot_paths, write_snapshot
from ringex.engine.state import State
from ringex.journal import JournalWriter, recover, retire
from ringex.journal.segment import list_segments
from ringex.memory import address_of
from ringex.messages import COMMAND, EVENT, RECORD_BYTES, SEED_RING
from ringex.terms import CommandKind
from simulation.invariants import Check, drive, watch

EVENT_SLOTS: Final = 1 << 16
JOURNAL_SLOTS: Final = 1 << 14
SEGMENT_RECORDS: Final = 1 << 12
LOST_MAX: Final = 400
"""How many records of the journal a crash takes with it, at most."""
_RAW: Final = np.dtype((np.void, RECORD_BYTES))


class BrokenError(Exception):
    """Something does not hold. `taken`: after how many records of the batch that was being applied."""

    def __init__(self, message: str, taken: int = 0) -> None:
        super().__init__(message)
        self.taken = taken


@dataclass
class Tally:
    """What a world has been through."""

    records: int = 0
    events: int = 0
    snapshots: int = 0
    crashes: int = 0
    within_chains: int = 0  # crashes that left a command half-way
    torn: int = 0  # crashes that left a record cut in two
    bad_snapshots: int = 0  # crashes that took the newest snapshot too
    lost: int = 0  # records that had to be sent again


@dataclass
class _Past:
    """Where a snapshot stands."""

    command_sequence: int
    event_sequence: int


@dataclass
class World:
    """One exchange. `every`: the state is checked after every `every`-th command."""

    folder: Path
    limits: Limits
    rng: random.Random
    every: int = 1
    tally: Tally = field(default_factory=Tally)

    def __post_init__(self) -> None:
        self.state = State(self.limits)
        self.check = Check(self.state)
        self._ring = np.zeros(EVENT_SLOTS, EVENT)
        self._journal = np.zeros(JOURNAL_SLOTS, COMMAND)
        self._own = np.zeros(1, COMMAND)
        self._snapshots = self.folder / "snapshots"
        self._writer = self._open(1)
        self._pasts = [_Past(0, 0)]
        self._records = np.zeros(0, _RAW)  # since the second newest snapshot, as journaled
        self._events = np.zeros(0, _RAW)

    def run(self, commands: np.ndarray) -> np.ndarray:
        """Apply COMMAND records, journal them, check. Their events, shape (n,), EVENT. Raises BrokenError."""
        parts = self._apply(commands)
        for records, _ in parts:
            self._writer.append(records.view(COMMAND))
        self._records = np.concatenate([self._records, *(records for records, _ in parts)])
        events = np.concatenate([np.zeros(0, _RAW), *(events for _, events in parts)])
        self._events = np.concatenate([self._events, events])
        self.tally.records += sum(len(records) for records, _ in parts)
        self.tally.events += len(events)
        if self.check.is_full:
            self.snapshot()
        return events.view(EVENT)

    def _apply(self, commands: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """(records as journaled, events), in pieces."""
        commands = np.ascontiguousarray(commands)
        batch = np.zeros(1, BATCH)
        batch["root"], batch["commands"], batch["stamps"] = self.state.address, address_of(commands), 1
        batch["own"] = address_of(self._own)
        batch["event_base"], batch["event_mask"] = address_of(self._ring), EVENT_SLOTS - 1
        batch["journal"], batch["journal_max"] = address_of(self._journal), JOURNAL_SLOTS
        root, parts = self.state.root, []
        while batch["taken"][0] < len(commands) or root["continuation_pending"]:
            before = int(root["event_sequence"])
            batch["journaled"] = 0
            drive(address_of(batch), self.check.address, len(commands), self.every)
            at = np.arange(before, int(root["event_sequence"])) & (EVENT_SLOTS - 1)
            assert len(at) <= EVENT_SLOTS, "one command's events passed the ring"
            records = self._journal[: int(batch["journaled"][0])].view(_RAW).copy()
            parts.append((records, self._ring.view(_RAW)[at]))
            if self.check.fault:
                raise BrokenError(self.check.fault, int(batch["taken"][0]))
        return parts

    def snapshot(self) -> None:
        """Write a snapshot; the two newest sound ones are kept, and the journal from the older of them on."""
        write_snapshot(self.state, self._snapshots)
        root = self.state.root
        self._pasts.append(_Past(int(root["command_sequence"]), int(root["event_sequence"])))
        self._pasts = self._pasts[-2:]
        oldest = self._pasts[0]
        for path in snapshot_paths(self._snapshots):
            if int(path.stem) < oldest.command_sequence:
                path.unlink()
        self._records = self._records[self._records.view(COMMAND)["sequence"] > oldest.command_sequence]
        self._events = self._events[self._events.view(EVENT)["sequence"] > oldest.event_sequence]
        self.check.keep_from(oldest.event_sequence)
        retire(self.folder / "journal", oldest.command_sequence + 1)
        self.tally.snapshots += 1

    def crash(self) -> None:
        """Die, come back, take again what was lost. Raises BrokenError where anything is not as it was."""
        before = state_hash(self.state)
        last = int(self.state.root["command_sequence"])
        self._writer.stop()
        newest = self._pasts[-1].command_sequence
        self._cut(self._last_kept(max(newest, last - LOST_MAX), last))
        if len(self._pasts) == 2 and newest > 0 and self.rng.random() < 0.2:
            self._spoil_newest_snapshot()
        survived = self._recover()
        if self.check.run():
            raise BrokenError(f"after the crash, at sequence {survived}: {self.check.fault}")
        self.tally.within_chains += bool(self.state.root["continuation_pending"])
        self._take_again(survived)
        if state_hash(self.state) != before or int(self.state.root["command_sequence"]) != last:
            raise BrokenError(f"a crash at sequence {survived}: the state is not the one before it, at {last}")
        self.tally.crashes += 1

    def _last_kept(self, first: int, last: int) -> int:
        """A sequence from `first` to `last`; half the time one before a CONTINUE or TIMER, if there is any."""
        records = self._records.view(COMMAND)
        own = np.isin(records["kind"], (CommandKind.CONTINUE, CommandKind.TIMER))
        goes_on = records["sequence"][own] - 1
        within = goes_on[(goes_on >= first) & (goes_on <= last)].tolist()
        return int(self.rng.choice(within)) if within and self.rng.random() < 0.5 else self.rng.randint(first, last)

    def _cut(self, kept: int) -> None:
        """Leave records up to sequence `kept`, and perhaps a part of the next, on disk."""
        torn_bytes = self.rng.choice((0, self.rng.randrange(1, RECORD_BYTES)))
        self.tally.torn += torn_bytes > 0
        for segment in reversed(list_segments(self.folder / "journal")):
            if segment.first_sequence > kept + 1:
                segment.path.unlink()
            elif segment.end > kept + 1:
                size = segment.offset_of(kept + 1) + torn_bytes
                os.truncate(segment.path, size)
                if self.rng.random() < 0.5:
                    os.truncate(segment.path, segment.size_bytes)  # zeros behind

    def _spoil_newest_snapshot(self) -> None:
        path = snapshot_paths(self._snapshots)[-1]
        os.truncate(path, self.rng.randrange(path.stat().st_size))
        self._pasts.pop()
        self.tally.bad_snapshots += 1

    def _recover(self) -> int:
        """The state from disk, its events compared. Returns the sequence of its last command."""
        found = recover(self.folder / "journal")
        again: list[np.ndarray] = []
        self.state, report = recover_state(
            self._snapshots, self.folder / "journal", self.limits, lambda events: again.append(events.view(_RAW).copy())
        )
        survived = int(self.state.root["command_sequence"])
        past = self._pasts[-1]
        if (found.next_sequence - 1, report.snapshot_sequence) != (survived, past.command_sequence):
            raise BrokenError(f"recovery ends at {survived} from snapshot {report.snapshot_sequence}; journal: {found}")
        self.check.follow(self.state)
        self.check.rewind(past.event_sequence)
        events = np.concatenate([np.zeros(0, _RAW), *again])
        known = self._events[self._events.view(EVENT)["sequence"] > past.event_sequence]
        if known[: len(events)].tobytes() != events.tobytes():
            raise BrokenError(f"replay from snapshot {past.command_sequence} gives other events")
        if len(events):
            base = address_of(events) - past.event_sequence * RECORD_BYTES
            watch(self.check.address, base, -1, past.event_sequence + len(events))
        self._writer = self._open(survived + 1)
        return survived

    def _take_again(self, survived: int) -> None:
        records = self._records.view(COMMAND)
        lost = self._records[(records["sequence"] > survived) & (records["ring"] != SEED_RING)]
        self.tally.lost += len(lost)
        begin = int(self.state.root["event_sequence"])
        parts = self._apply(lost.view(COMMAND))
        for part, _ in parts:
            self._writer.append(part.view(COMMAND))
        journaled = np.concatenate([np.zeros(0, _RAW), *(part for part, _ in parts)])
        events = np.concatenate([np.zeros(0, _RAW), *(part for _, part in parts)])
        if journaled.tobytes() != self._records[records["sequence"] > survived].tobytes():
            raise BrokenError(f"after a crash at {survived} other commands were sequenced")
        if events.tobytes() != self._events[self._events.view(EVENT)["sequence"] > begin].tobytes():
            raise BrokenError(f"the commands after {survived} gave other events than before the crash")

    def _open(self, next_sequence: int) -> JournalWriter:
        return JournalWriter(
            self.folder / "journal",
            next_sequence=next_sequence,
            durability=Durability.OS,
            segment_records=SEGMENT_RECORDS,
            buffer_slots=1 << 12,
        )

    def close(self) -> None:
        self._writer.stop()
