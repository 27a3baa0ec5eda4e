"""Retelling: the journal applied again, into the history store, for what neither ring nor replica hold any more.

It begins with the newest pair of snapshots that is not past what the store holds, else with the journal's beginning.
Where both are gone it begins with the oldest pair, writes down what that pair knows by itself, and the gap.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np

from ringex.config import Settings
from ringex.engine.export import import_state, limits_of
from ringex.engine.replay import Replayer, empty_state, journal_room
from ringex.engine.snapshot import SnapshotCorrupt, read_snapshot, snapshot_paths
from ringex.engine.state import State
from ringex.history.frames import FrameError
from ringex.history.modelfile import load_model, model_path
from ringex.history.readmodel import ReadModel
from ringex.history.store.extract import Extractor, whole_model
from ringex.history.store.migration import StoreOutdated
from ringex.history.store.schema import GAPS
from ringex.history.store.store import Progress, Store, StoreError
from ringex.journal.errors import JournalGone
from ringex.journal.reader import JournalReader
from ringex.journal.segment import list_segments
from ringex.messages import EVENT

EVENTS_PER_BATCH: Final = 1 << 16

log = logging.getLogger(__name__)


def retell(settings: Settings, store: Store, up_to: int | None, stopped: Callable[[], bool] = lambda: False) -> int:
    """Bring the store up to command `up_to` (None: the journal's end). How many events were added.

    It ends early once `stopped`. Raises JournalError, StoreError, OSError.
    """
    before = store.progress()
    state, model = _begin(settings, before)
    if model.sequence > before.event_sequence:
        _tell_gap(store, before, model, state)
    known = store.progress().event_sequence
    extractor = Extractor(store, settings.limits.markets_max)
    replayer, waiting, count, added = Replayer(state), [], 0, 0
    start = int(state.root["command_sequence"]) + 1
    with JournalReader(settings.journal_dir, from_sequence=start, durability=settings.durability) as reader:
        for commands in reader.read(start, up_to):
            for events in replayer.apply(commands):
                model.apply(events)
                unknown = events[events["sequence"] > known].view("V256").copy()
                waiting.append(unknown)
                count += len(unknown)
            if count >= EVENTS_PER_BATCH:
                store.write(extractor.batch(np.concatenate(waiting).view(EVENT), model))
                added, waiting, count = added + count, [], 0
            if stopped():
                return added
    if count:
        store.write(extractor.batch(np.concatenate(waiting).view(EVENT), model))
    return added + count


def _begin(settings: Settings, progress: Progress) -> tuple[State, ReadModel]:
    """A state and a read model of one moment, not after `progress`; else the oldest that there is."""
    oldest: tuple[State, ReadModel] | None = None
    for path in reversed(snapshot_paths(settings.snapshot_dir)):
        found = _pair(settings, path)
        if found is None:
            continue
        if found[1].sequence <= progress.event_sequence:
            return found
        oldest = found
    segments = list_segments(settings.journal_dir)
    if oldest is None or (segments and segments[0].first_sequence == 1):
        with JournalReader(settings.journal_dir, durability=settings.durability) as reader:
            room = journal_room(reader, 1, settings.limits)
        return empty_state(settings.limits, room), ReadModel(room)
    return oldest


def _pair(settings: Settings, path: Path) -> tuple[State, ReadModel] | None:
    """The pair of snapshots at `path`; None where it is damaged, or the journal behind it is gone."""
    sequence = int(path.stem)
    try:
        tables = read_snapshot(path)
        with JournalReader(settings.journal_dir, from_sequence=sequence + 1, durability=settings.durability) as reader:
            room = journal_room(reader, sequence + 1, settings.limits.widened(limits_of(tables)))
        state, model = import_state(tables, room), load_model(model_path(path.parent, sequence), room)
    except (SnapshotCorrupt, FrameError, FileNotFoundError, JournalGone) as error:
        log.warning("snapshot %s is passed over: %s", path.name, error)
        return None
    return (state, model) if model.sequence == int(state.root["event_sequence"]) else None


def _tell_gap(store: Store, before: Progress, model: ReadModel, state: State) -> None:
    """The store begins anew with what the model knows; the events between are lost to it."""
    after = Progress(model.sequence, int(state.root["command_sequence"]), int(state.root["time_ns"]))
    log.error(
        "history: the events %d to %d are held nowhere any more; trades and bookings among them are missing",
        before.event_sequence + 1,
        model.sequence,
    )
    batch = whole_model(model, after)
    batch.rows[GAPS] = [(before.event_sequence, model.sequence, before.time_ns, after.time_ns)]
    store.write(batch)


def renew(settings: Settings, store: Store, why: StoreOutdated) -> None:
    """Empty an older store that only the journal can make anew; whoever follows then tells it all from there.

    Raises StoreError where the journal does not tell everything any more.
    """
    segments = list_segments(settings.journal_dir)
    if segments and segments[0].first_sequence > 1:
        raise StoreError(
            f"the history store was made by an older version: {why}. It would have to be told anew, and the journal "
            f"begins with command {segments[0].first_sequence}: what was before would be lost. Export it with the "
            "version that made it, then make it anew with `ringex history rebuild`"
        )
    log.warning("the history store was made by an older version: %s; it is told anew from the journal", why)
    store.clear()
    store.prepare()


def rebuild(settings: Settings, store: Store) -> int:
    """Make the store anew from all that the journal, or its oldest snapshot, still tells. How many events."""
    store.clear()
    store.prepare()
    return retell(settings, store, None)
