"""The replica process: a second matcher that follows the journal, takes the snapshots, and serves readers.

It runs at low priority and nobody waits for it on the order path. What is durable it learns from the event ring: the
newest published event names a command whose record is on disk. So it reads the journal's files up to there, applies
them to a state of its own, and feeds the events, which are the same as the matcher's, to a read model and to a bounded
log. Starting and lapped readers get the model (`join`) or the missed events (`events`) from it.

A snapshot of the state and one of the read model are written at the same command, as a pair: a replica that starts
loads the newest sound pair and follows the journal from there. The matcher needs the state's file alone.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Final

import numpy as np
import zmq

from ringex.config import Limits, Run, Settings
from ringex.engine.export import import_state, limits_of
from ringex.engine.replay import Replayer, empty_state, journal_room
from ringex.engine.snapshot import SnapshotCorrupt, read_snapshot, snapshot_paths, write_snapshot
from ringex.engine.state import State
from ringex.history.eventlog import EventLog
from ringex.history.frames import Frame, FrameError
from ringex.history.join import answer
from ringex.history.modelfile import load_model, model_path, write_model
from ringex.history.readmodel import ReadModel
from ringex.jit import compiled, entry
from ringex.journal.reader import JournalReader
from ringex.journal.readers import positions, snapshots_needed, told
from ringex.memory import address_of, array_at
from ringex.messages import COMMAND, EVENT
from ringex.ring import Ring, ring_poll_independent, ring_published, ring_slot

POLL_MS: Final = 25
"""How far the replica lies behind while little happens. At 10 ms an idle replica took 2.8 % of a core."""
COMMANDS_PER_POLL_MAX: Final = 8192
EVENT_LOG_CAPACITY: Final = 1 << 18
REQUESTS_PER_POLL_MAX: Final = 64
SNAPSHOTS_KEPT: Final = 3

log = logging.getLogger(__name__)


def replica_main(settings: Settings, run: Run) -> None:
    """Follow, snapshot and serve until SIGTERM or SIGINT; then catch up with the journal and snapshot once more.

    Raises JournalCorrupt, JournalGone, RingError, OSError.
    """
    stop = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    with Ring.attach(run.event_ring) as event_ring, zmq.Context() as context, context.socket(zmq.ROUTER) as socket:
        replica = Replica(settings, event_ring)
        while replica.follow():
            pass
        socket.setsockopt(zmq.LINGER, 0)
        socket.bind(settings.replica_endpoint)
        Path(settings.replica_endpoint.removeprefix("ipc://")).chmod(0o600)
        os.write(run.ready_fd, b"replica\n")
        while not stop.is_set():
            applied = replica.follow()
            if socket.poll(0 if applied else POLL_MS):
                _serve(socket, replica)
            replica.snapshot_if_due()
        while replica.follow():
            pass
        replica.snapshot()


def _serve(socket: zmq.Socket[bytes], replica: Replica) -> None:
    for _ in range(REQUESTS_PER_POLL_MAX):
        try:
            identity, *request = socket.recv_multipart(zmq.NOBLOCK)
            socket.send_multipart([identity, *replica.answer(request)], zmq.NOBLOCK)
        except zmq.Again:
            return  # nothing more; or the asker does not read: it asks again
        except zmq.ZMQError as error:
            log.warning("a reader could not be answered: %s", error)


class Replica:
    """A state, a read model and a log of events that follow the journal of `settings.journal_dir`."""

    def __init__(self, settings: Settings, event_ring: Ring) -> None:
        self._settings = settings
        self._event_ring = event_ring
        self._log = EventLog(EVENT_LOG_CAPACITY)
        state, self._model = self._start()
        self._replayer = Replayer(state)
        self._state = state
        self._log.start_after(self._model.sequence)
        self._reader = JournalReader(
            settings.journal_dir, from_sequence=self._sequence + 1, durability=settings.durability
        )
        self._snapshot_at = self._sequence + settings.snapshot_commands

    @property
    def _sequence(self) -> int:
        return int(self._state.root["command_sequence"])

    def follow(self) -> int:
        """Apply some of what is durable and not applied yet. Returns how many records."""
        published = ring_published(self._event_ring.address)
        commands = self._next_commands(published)
        for events in self._replayer.apply(commands):
            self._model.apply(events)
            self._log.append(events)
        if self._model.sequence > max(published, ring_published(self._event_ring.address)):
            raise RuntimeError("the journal was read past what is published: start again behind the snapshot")
        return len(commands)

    def _next_commands(self, published: int) -> np.ndarray:
        if published <= self._model.sequence:
            return np.zeros(0, COMMAND)
        durable = self._durable()
        if durable is None:
            # Nothing was published in this run yet: all that the journal holds was there before, and recovered.
            batches = self._reader.read(self._reader.next_sequence, batch_max=COMMANDS_PER_POLL_MAX)
            return next(batches, np.zeros(0, COMMAND))
        commands = self._reader.poll(durable, COMMANDS_PER_POLL_MAX)
        # A command of two records is named by its first; its events are published, so the second is durable too.
        return commands if len(commands) else self._reader.poll(durable + 1, COMMANDS_PER_POLL_MAX)

    def _durable(self) -> int | None:
        return newest_command(self._event_ring)

    def answer(self, request: list[bytes]) -> list[Frame]:
        return answer(request, self._model, self._log)

    def snapshot_if_due(self) -> None:
        if self._sequence >= self._snapshot_at:
            self.snapshot()

    def snapshot(self) -> None:
        """Write the pair at the present command, unless it is there; keep the newest few.

        A disk that is full costs this snapshot, not the replica: the next is tried when it is due.
        """
        started = time.monotonic()
        self._snapshot_at = self._sequence + self._settings.snapshot_commands
        if self._sequence == 0 or any(
            int(path.stem) == self._sequence for path in snapshot_paths(self._settings.snapshot_dir)
        ):
            return
        try:
            # The model first: a state's file vouches for its pair.
            write_model(self._model, model_path(self._settings.snapshot_dir, self._sequence))
            path = write_snapshot(self._state, self._settings.snapshot_dir)
        except OSError as error:
            log.error("the snapshot at command %d cannot be written: %s", self._sequence, error)
            self._remove_unfinished()
            return
        log.info("snapshot %s took %.0f ms", path.name, (time.monotonic() - started) * 1e3)
        self._remove_old_snapshots()
        self._remove_unfinished()

    def _remove_old_snapshots(self) -> None:
        """All but the newest few, and those that registered readers need to go on from."""
        paths = snapshot_paths(self._settings.snapshot_dir)
        kept_records_max = self._settings.history_lag_segments_max * self._settings.segment_records
        known = [int(path.stem) for path in paths]
        needed = snapshots_needed(known, positions(self._settings.readers_dir), kept_records_max)
        for path in paths[:-SNAPSHOTS_KEPT]:
            if int(path.stem) not in needed:
                path.unlink(missing_ok=True)
        for name, document in told(self._settings.readers_dir).items():
            behind = known[-1] - document["command_sequence"]
            if behind > kept_records_max:
                log.warning(
                    "reader %s is %d commands behind: the journal is kept for %d (history_lag_segments_max), "
                    "so it will have a gap",
                    name,
                    behind,
                    kept_records_max,
                )

    def _remove_unfinished(self) -> None:
        """What a full disk or a kill cut short, and models without their snapshot. Nobody else writes here."""
        for path in self._settings.snapshot_dir.glob("*.tmp"):
            path.unlink()
        kept = {int(path.stem) for path in snapshot_paths(self._settings.snapshot_dir)}
        for path in self._settings.snapshot_dir.glob("*.model"):
            if int(path.stem) not in kept:
                path.unlink()

    def _start(self) -> tuple[State, ReadModel]:
        """The newest sound pair of snapshots, or an empty state and model where there is none."""
        self._remove_unfinished()
        for path in reversed(snapshot_paths(self._settings.snapshot_dir)):
            try:
                tables = read_snapshot(path)
                room = self._room(int(path.stem) + 1, limits_of(tables))
                model = load_model(model_path(path.parent, int(path.stem)), room)
                state = import_state(tables, room)
            except (SnapshotCorrupt, FrameError, FileNotFoundError) as error:
                log.warning("snapshot %s is passed over: %s", path.name, error)
                continue
            if model.sequence == int(state.root["event_sequence"]):
                return state, model
            log.warning("snapshot %s is passed over: its read model is another moment's", path.name)
        room = self._room(1, self._settings.limits)
        return empty_state(self._settings.limits, room), ReadModel(room)

    def _room(self, from_sequence: int, limits: Limits) -> Limits:
        """What has room for `limits`, the settings' and all that the journal names from this command on."""
        journal_dir, durability = self._settings.journal_dir, self._settings.durability
        with JournalReader(journal_dir, from_sequence=from_sequence, durability=durability) as reader:
            return journal_room(reader, from_sequence, self._settings.limits.widened(limits), self._durable())


def newest_command(event_ring: Ring) -> int | None:
    """The command of the newest published event; None if nothing was published in this run yet."""
    ring, newest = event_ring.address, np.zeros(1, EVENT)
    while (published := ring_published(ring)) > 0:
        if ring_poll_independent(ring, published - 1, 1, address_of(newest)) == 1:
            return int(newest["command_sequence"][0])
        if int(array_at(_slot(ring, published - 1), 1, EVENT)["sequence"][0]) == 0:
            return None
        # Lapped between two looks.
    return None


@entry
@compiled
def _slot(ring: int, cursor: int) -> int:
    return ring_slot(ring, cursor)
