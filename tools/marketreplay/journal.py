"""What a stopped exchange has journaled, applied again, against what a matcher in this process makes of the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from ringex.config import Limits
from ringex.engine.export import import_state, state_hash
from ringex.engine.replay import Replayer
from ringex.engine.snapshot import newest_valid_snapshot
from ringex.engine.state import State
from ringex.journal import JournalReader
from ringex.messages import EVENT
from ringex.terms import CommandKind, EventKind

from .compare import Outcome
from .drive import Run, outcome_of
from .instrument import Instrument
from .intention import Intention

_ORDER_KINDS: Final = (CommandKind.PLACE, CommandKind.CANCEL, CommandKind.AMEND)
_OF_ONE_RUN: Final = (
    *("sequence", "command_sequence", "time_ns", "correlation"),
    *("gateway", "incarnation", "connection"),
)
"""Fields of every event that say when and through whom its command came."""


@dataclass(frozen=True)
class JournalReport:
    """`commands` and `events` are counts of all that was journaled; the rest is of the recording's orders."""

    commands: int
    events: int
    state_hash: str
    snapshot_hash: str
    """Of the snapshot written at the stop, by another process."""
    outcome: Outcome
    """The fills of the replayed journal."""
    order_events: int
    order_events_equal: int
    """How many equal the matcher's in this process in every field but times, session and sequence."""

    @property
    def agrees(self) -> bool:
        return self.state_hash == self.snapshot_hash and self.order_events == self.order_events_equal


def replay_journal(
    data_dir: Path, limits: Limits, intentions: Sequence[Intention], instrument: Instrument, in_process: Run
) -> JournalReport:
    """Replay the journal of an exchange that has been given `intentions`, all of them by one client, and has stopped.

    Raises what the journal's reader raises, and ValueError where the journal holds other orders, or no snapshot does.
    """
    state = State(limits)
    replayer = Replayer(state)
    events = []
    order_sequences = []
    commands = 0
    with JournalReader(data_dir / "journal") as reader:
        for batch in reader.read(1):
            commands += len(batch)
            order_sequences.append(batch["sequence"][np.isin(batch["kind"], _ORDER_KINDS)])
            events += [part.tobytes() for part in replayer.apply(batch)]
    sequences = np.concatenate(order_sequences)
    if len(sequences) != len(intentions):
        raise ValueError(f"{data_dir}: its journal holds {len(sequences)} orders; {len(intentions)} were sent")
    all_events = np.frombuffer(b"".join(events), EVENT)
    replayed = _of_orders(all_events, sequences)
    expected = in_process.events[in_process.events["correlation"] > 0]
    path, tables, complaints = newest_valid_snapshot(data_dir / "snapshots")
    if path is None:
        raise ValueError(f"{data_dir}: there is no sound snapshot; {'; '.join(complaints)}")
    return JournalReport(
        commands=commands,
        events=len(all_events),
        state_hash=state_hash(state),
        snapshot_hash=state_hash(import_state(tables, limits)),
        outcome=outcome_of(intentions, replayed, instrument),
        order_events=len(replayed),
        order_events_equal=_equal(replayed, expected),
    )


def _of_orders(events: np.ndarray, sequences: np.ndarray) -> np.ndarray:
    """The events of commands `sequences` (rising, one for each intention), with the intention's index + 1 as
    correlation. A continuation's events belong to the command before it."""
    chosen = events[events["command_sequence"] >= sequences[0]].copy()
    chosen["correlation"] = np.searchsorted(sequences, chosen["command_sequence"], side="right")
    return chosen


def _equal(actual: np.ndarray, expected: np.ndarray) -> int:
    """How many events stand at the same place in both and are the same, whenever they were."""
    count = min(len(actual), len(expected))
    timeless = [
        _timeless(events[:count]).view(np.uint8).reshape(count, EVENT.itemsize) for events in (actual, expected)
    ]
    return int((timeless[0] == timeless[1]).all(axis=1).sum())


def _timeless(events: np.ndarray) -> np.ndarray:
    bare = events.copy()
    for name in _OF_ONE_RUN:
        bare[name] = 0
    orders = bare["kind"] != EventKind.TRADE
    for name in ("transport", "created_ns"):
        bare[name] = np.where(orders, 0, bare[name])
    return bare
