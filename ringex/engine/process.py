"""The matcher process: recover, drain what a crashed run left waiting, seed a new exchange, then sequence for ever.

The order of recovery is what makes an acknowledgement good (laws 4 and 5):

1. the journal's torn tail is cut, and what is left of it is synced;
2. the state is rebuilt: newest valid snapshot, then the journal behind it;
3. events that the journal implies but the event ring has not published yet are published;
4. command rings of crashed runs are drained, oldest first, through the ordinary loop;
5. limits, order limits too, that were changed while the exchange was down are put in force;
6. this run's rings are taken from where the journal's (ring, epoch, ring_sequence) end.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Final

import numpy as np

from ringex.administration import set_limits, set_order_limits
from ringex.config import Limits, OrderLimits, Run, Settings
from ringex.engine.replay import recover_state
from ringex.engine.sequencer import Sequencer
from ringex.engine.snapshot import snapshot_paths
from ringex.engine.state import State
from ringex.jit import compiled, entry
from ringex.journal.readers import needed_from, positions
from ringex.journal.recovery import recover
from ringex.journal.segment import retire
from ringex.journal.writer import JournalWriter
from ringex.messages import SEED_RING
from ringex.ring import Producer, Ring, RingError, ring_claim, ring_publish, ring_published
from ringex.system import now_ns

SLICE_SECONDS: Final = 0.2
"""How long the native loop runs before signals are looked at."""
RETIRE_SECONDS: Final = 5.0
SPINS_OWN_CORE: Final = 20_000
SPINS_SHARED_CORE: Final = 200
"""Idle rounds (some 50 ns each) before the loop yields and parks: a core of its own is worth spinning on."""

log = logging.getLogger(__name__)


def matcher_main(settings: Settings, run: Run, seed: Callable[[], np.ndarray]) -> None:
    """Run the matcher until SIGTERM or SIGINT; then everything taken is released and the journal closed.

    `seed` gives the commands that an empty journal begins with: COMMAND records, the same ones at every call.

    Raises JournalCorrupt, JournalUnsupported, JournalFailed, SnapshotCorrupt, RingError, OSError; ValueError where the
    settings' limits do not hold what is in use.
    """
    stop = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    with Ring.attach(run.event_ring) as event_ring:
        state = _recover(settings, event_ring)
        next_sequence = int(state.root["command_sequence"]) + 1
        with JournalWriter(
            settings.journal_dir,
            next_sequence=next_sequence,
            durability=settings.durability,
            segment_records=settings.segment_records,
            buffer_slots=settings.journal_buffer_slots,
        ) as journal:
            with _OtherCores(settings):
                journal.start()
            spins = SPINS_OWN_CORE if len(settings.cores) > 1 else SPINS_SHARED_CORE
            sequencer = Sequencer(state, journal, event_ring, spins_max=spins)
            _drain_leftovers(sequencer, state, run)
            _seed(sequencer, state, seed())
            _set_limits(sequencer, state, settings.limits)
            _set_order_limits(sequencer, state, settings.rate_limits.order_limits)
            rings = [Ring.attach(name) for name in run.command_rings]
            sequencer.set_sources([(ring, number) for number, ring in enumerate(rings)])
            os.write(run.ready_fd, b"matcher\n")
            _serve(sequencer, settings, stop)
            while not sequencer.is_drained:
                sequencer.run(0.01)


def _serve(sequencer: Sequencer, settings: Settings, stop: threading.Event) -> None:
    retire_at = time.monotonic() + RETIRE_SECONDS
    while not stop.is_set():
        sequencer.run(SLICE_SECONDS)
        if time.monotonic() >= retire_at:
            retire_at = time.monotonic() + RETIRE_SECONDS
            _retire(settings)


def _retire(settings: Settings) -> None:
    """Segments that neither the second-newest snapshot nor a registered reader needs are used again (law 11)."""
    snapshots = [int(path.stem) for path in snapshot_paths(settings.snapshot_dir)]
    kept_records_max = settings.history_lag_segments_max * settings.segment_records
    retire(settings.journal_dir, needed_from(snapshots, positions(settings.readers_dir), kept_records_max))


def _recover(settings: Settings, event_ring: Ring) -> State:
    """The state that snapshot and journal give; the event ring has then published all of its events."""
    recovered = recover(settings.journal_dir)
    if recovered.torn_records:
        log.warning(
            "journal: a torn tail of %d records was cut at byte %d of %s; none of them was acknowledged",
            recovered.torn_records,
            recovered.torn_offset,
            recovered.torn_file,
        )
    published = ring_published(event_ring.address)
    missing: list[np.ndarray] = []

    def on_events(events: np.ndarray) -> None:
        missing.append(events[events["sequence"] > published].copy())

    listener = on_events if published > 0 else None
    state, report = recover_state(settings.snapshot_dir, settings.journal_dir, settings.limits, listener, published)
    for complaint in report.complaints:
        log.warning("snapshot passed over: %s", complaint)
    event_sequence = int(state.root["event_sequence"])
    if published == 0:
        _start_at(event_ring.address, event_sequence)
    elif published > event_sequence:
        raise RingError(
            f"ring {event_ring.name}: events up to {published} were seen, the journal accounts for {event_sequence}; "
            "with --durability none the whole exchange must be started again"
        )
    producer = Producer(event_ring)
    for events in missing:
        for start in range(0, len(events), event_ring.capacity):
            producer.publish(events[start : start + event_ring.capacity])
    assert ring_published(event_ring.address) == event_sequence, "every event of the journal is published"
    return state


@entry
@compiled
def _start_at(ring: int, cursor: int) -> None:
    """A new event ring begins behind the events that the journal implies: readers get those from the replica."""
    ring_claim(ring, cursor)
    ring_publish(ring, cursor)


def _drain_leftovers(sequencer: Sequencer, state: State, run: Run) -> None:
    """Take what waits in command rings of crashed runs, exactly once, the oldest run first."""
    rings: list[Ring] = []
    for name in run.leftover_rings:
        try:
            rings.append(Ring.attach(name))
        except RingError:
            continue  # this is a later life of the matcher in the same run: drained and removed before
    for epoch in sorted({ring.epoch for ring in rings}):
        sources = [
            (ring, number)
            for ring in rings
            if ring.epoch == epoch and epoch >= int(state.rings[number := _number(ring)]["epoch"])
        ]
        before = sequencer.released
        sequencer.set_sources(sources)
        while not sequencer.is_drained:
            sequencer.run(0.01)
        log.warning("%d commands of a crashed run were taken from its rings", sequencer.released - before)
    sequencer.set_sources([])
    for ring in rings:
        ring.close()


def _number(ring: Ring) -> int:
    """A command ring's number is the end of its name: `...-c03`."""
    return int(ring.name.rpartition("-c")[2])


def _seed(sequencer: Sequencer, state: State, commands: np.ndarray) -> None:
    """Sequence what is still missing of the first configuration: it counts as a ring of its own, taken once."""
    taken = int(state.rings[SEED_RING]["ring_sequence"])
    if taken < len(commands) and int(state.root["command_sequence"]) == taken:
        sequencer.submit(commands[taken:], taken + 1)
        while not sequencer.is_drained:
            sequencer.run(0.01)


def _set_limits(sequencer: Sequencer, state: State, limits: Limits) -> None:
    """Sequence LIMITS_SET if the settings' limits are not in force. Raises ValueError where they are too small.

    That it happens once, whenever this process dies, is the state's doing, not a ring's: so it has ring_sequence 0, as
    a continuation has, and the seed that is counted by ring_sequence is over.
    """
    _settle(sequencer, state)
    if limits == state.limits_in_force:
        return
    state.check_use(limits, max(int(state.root["time_ns"]), now_ns()))
    log.warning("limits are changed: %s", limits)
    sequencer.submit(set_limits(limits), 0)
    _settle(sequencer, state)
    assert state.limits_in_force == limits, "what is in use fits, and the tables have room"


def _set_order_limits(sequencer: Sequencer, state: State, limits: OrderLimits) -> None:
    """Sequence ORDER_LIMITS_SET if the settings' order limits are not in force, as `_set_limits` does."""
    if limits != state.order_limits_in_force:
        sequencer.submit(set_order_limits(limits), 0)
        _settle(sequencer, state)
        assert state.order_limits_in_force == limits


def _settle(sequencer: Sequencer, state: State) -> None:
    """Run until everything is released: what a crash cut off goes on before any other command."""
    while state.root["continuation_pending"] or not sequencer.is_drained:
        sequencer.run(0.01)


class _OtherCores:
    """Threads started within run on the other cores of --cores: the journal's work must not share the matcher's."""

    def __init__(self, settings: Settings) -> None:
        self._own = os.sched_getaffinity(0)
        self._others = set(settings.cores[1:]) - set(settings.cores[:1])

    def __enter__(self) -> None:
        if self._others:
            os.sched_setaffinity(0, self._others)

    def __exit__(self, *_: object) -> None:
        os.sched_setaffinity(0, self._own)
