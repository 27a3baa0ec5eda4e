"""The history process: it follows the events into the history store, and misses none.

Each batch of rows is written in one transaction with the number of its last event, so whenever the process dies its
next life goes on behind that event: from the event ring, from the replica's log, or, after a longer time, from the
journal (`ringex.retelling`), of which nothing is given up that it has not got: it is a registered reader. Nobody waits
for it. Where its store is away (a PostgreSQL server that restarts) it waits and tries again.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from types import FrameType
from typing import Final

import numpy as np

from ringex.config import Run, Settings
from ringex.history.follower import RETRY_S, EventsGoneError, Follower
from ringex.history.join import ReplicaBehindError, ReplicaClient, ReplicaSilentError
from ringex.history.readmodel import ReadModel
from ringex.history.store.extract import Extractor
from ringex.history.store.migration import StoreOutdated
from ringex.history.store.opening import open_store
from ringex.history.store.store import Store, StoreAway
from ringex.journal.readers import tell
from ringex.messages import EVENT
from ringex.replica import newest_command
from ringex.retelling import renew, retell
from ringex.ring import Ring

READER_NAME: Final = "history"
EVENTS_PER_POLL: Final = 4096
EVENTS_PER_BATCH_MAX: Final = 1 << 16
BATCH_SECONDS: Final = 0.03
"""The least time from one batch to the next: one of a few events costs 1.1 ms of CPU, one of 60,000 half a second."""
WAIT_SECONDS: Final = 0.2
REGISTER_SECONDS: Final = 1.0
STORE_RETRY_SECONDS: Final = 1.0

log = logging.getLogger(__name__)


def recorder_main(settings: Settings, run: Run) -> None:
    """Follow until SIGTERM, then write what is there. Raises StoreError where the store cannot be used at all."""
    stop = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Ring.attach(run.event_ring) as ring, ReplicaClient(settings.replica_endpoint) as replica:
        Recorder(settings, run, ring, replica, stop).run()


class Recorder:
    """One life of the history process."""

    def __init__(self, settings: Settings, run: Run, ring: Ring, replica: ReplicaClient, stop: threading.Event) -> None:
        self._settings, self._run, self._ring, self._replica, self._stop = settings, run, ring, replica, stop
        self._store: Store
        self._registered = -1
        self._register_at = 0.0
        self._said_ready = run.ready_fd < 0

    def run(self) -> None:
        """Follow until told to stop."""
        while not self._stop.is_set():
            try:
                self._store = open_store(self._settings, writes=True)
            except StoreAway as away:
                self._wait_for_store(away)
                continue
            try:
                try:
                    self._store.prepare()
                except StoreOutdated as why:
                    renew(self._settings, self._store, why)
                self._say_ready()
                self._follow()
            except StoreAway as away:
                self._wait_for_store(away)
            finally:
                self._store.close()

    def _follow(self) -> None:
        self._register(at_once=True)
        while not self._stop.is_set():
            try:
                self._live()
            except EventsGoneError as gone:
                log.warning("history: %s; it is read from the journal", gone)
                up_to = newest_command(self._ring)
                added = retell(self._settings, self._store, up_to, self._stop.is_set)
                self._register(at_once=True)
                log.warning("history: %d events were read from the journal", added)

    def _live(self) -> None:
        """Follow the event ring, from what the store has. Raises EventsGoneError."""
        model = self._join()
        if model is None:
            return
        known = self._store.progress().event_sequence
        number = self._settings.numbered_gateways + 1
        follower = Follower(self._ring, number, self._run.doorbells[number], self._replica, min(known, model.sequence))
        extractor = Extractor(self._store, self._settings.limits.markets_max)
        # What the model has seen and the store has not goes in at once: then the store is as far as its orders are.
        parts: list[np.ndarray] = []
        while follower.sequence < model.sequence:
            if self._stop.is_set():
                return
            parts.append(follower.poll(EVENTS_PER_POLL))
        told = model.sequence
        while True:
            started = time.monotonic()
            count = sum(map(len, parts))
            while count < EVENTS_PER_BATCH_MAX and len(events := follower.poll(EVENTS_PER_POLL)):
                parts.append(events)
                count += len(events)
            if count:
                events = np.concatenate([part.view("V256") for part in parts]).view(EVENT)
                model.apply(events[events["sequence"] > told])
                told = max(told, int(events["sequence"][-1]))
                if told > known:
                    self._store.write(extractor.batch(events[events["sequence"] > known], model))
                    known = told
                parts = []
            self._register()
            if self._stop.is_set() and not count:
                self._register(at_once=True)
                return
            if not count:
                follower.wait(WAIT_SECONDS)
            if not self._stop.is_set():
                self._stop.wait(max(0.0, started + BATCH_SECONDS - time.monotonic()))

    def _join(self) -> ReadModel | None:
        """The replica's read model; None if stopped meanwhile."""
        while not self._stop.is_set():
            try:
                _, frames = self._replica.join()
            except ReplicaSilentError as silent:
                log.info("%s", silent)
            except ReplicaBehindError:
                self._stop.wait(RETRY_S)
            else:
                model = ReadModel(self._settings.limits)
                model.load(frames)
                return model
        return None

    def _say_ready(self) -> None:
        if not self._said_ready:
            os.write(self._run.ready_fd, b"history\n")
            self._said_ready = True

    def _register(self, *, at_once: bool = False) -> None:
        """Say how far the store is, once what it has is on disk; not more often than needed."""
        now = time.monotonic()
        if not at_once and now < self._register_at:
            return
        self._register_at = now + REGISTER_SECONDS
        progress = self._store.progress()
        if progress.event_sequence == self._registered:
            return
        self._store.sync()
        tell(
            self._settings.readers_dir,
            READER_NAME,
            progress.command_sequence,
            event_sequence=progress.event_sequence,
            time_ns=progress.time_ns,
        )
        self._registered = progress.event_sequence

    def _wait_for_store(self, away: StoreAway) -> None:
        """The store cannot be reached: at the first start that is an error, later it is waited for."""
        if not self._said_ready:
            raise away
        log.warning("history: %s; it is tried again", away)
        self._stop.wait(STORE_RETRY_SECONDS)
