"""The sequencer: the matcher process's native loop. Take from the rings, journal, apply, release.

One round of the loop (`_round`):

    release   events of commands that became durable are published, then their slots in the command rings are given back
    take      from each source in turn: copy a command into the journal buffer, stamp it, apply it to unpublished events
    hand over the journal loop, in a thread of its own, writes what was sequenced; matching runs ahead of the disk.
              Of a few commands, while that thread sleeps, the round commits itself: no other thread need be woken

A command leaves its ring only once it is durable, so one that is not on disk when this process dies still waits where
its gateway put it; (ring, epoch, ring_sequence) in the journal say from where its successor goes on.

Bounds. `next_sequence - released` stays within the journal buffer, whose slots carry the marks that release needs.
Unpublished events stay within half of the event ring, so that a reader is never lapped by what it may not see yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from ringex.atomics import load_acquire, pause, store_relaxed
from ringex.engine.lookahead import look_ahead
from ringex.engine.matcher import apply, slots_of
from ringex.engine.records import ROOT
from ringex.engine.state import State
from ringex.engine.timers import is_timer_due
from ringex.jit import compiled, entry, inlined, int64
from ringex.journal.commit import STAND_IN_RECORDS_MAX, journal_hand_over
from ringex.journal.control import (
    DURABLE,
    FAILURE_ERRNO,
    IS_FULL,
    journal_durable,
    journal_park_clear,
    journal_park_set,
    journal_sequence_to,
    journal_sequenced,
    journal_written,
)
from ringex.journal.errors import JournalFailed
from ringex.journal.writer import JournalWriter
from ringex.memory import address_of, copy_bytes, record_at, zero_bytes
from ringex.messages import (
    COMMAND,
    EVENTS_PER_COMMAND_MAX,
    RECORD_BYTES,
    RECORDS_PER_COMMAND_MAX,
    SCHEMA_VERSION,
    SEED_RING,
)
from ringex.ring import HEADER_BYTES as RING_HEADER_BYTES
from ringex.ring import (
    Ring,
    park_on,
    ring_capacity,
    ring_claim,
    ring_consume,
    ring_publish,
    ring_published,
    ring_set_state,
    ring_slot,
    ring_state,
)
from ringex.system import WAITER_BYTES, monotonic_ns, now_ns, yield_cpu
from ringex.terms import CommandKind

COMMANDS_PER_TURN_MAX: Final = 256
"""How many commands one source may have taken before the next has its turn, and before the clock is read again."""
YIELDS_MAX: Final = 8
SPINS_PER_YIELD: Final = 256
"""So often it lets others run while it spins: a core is seldom the matcher's alone, and to ask takes little."""

RUNNING: Final = 1
JOURNAL_FAILED: Final = 2

SEQUENCER: Final = np.dtype(
    [
        ("root", "i8"),  # addresses: the engine's state,
        ("buffer", "i8"),  # the journal buffer, `buffer_mask` + 1 COMMAND records,
        ("buffer_mask", "i8"),
        ("whole", "i8"),  # room for the records of one command, where they do not lie one after the other in the buffer
        ("journal", "i8"),  # the journal's control words
        ("event_ring", "i8"),
        ("event_slots", "i8"),  # the event ring's first slot
        ("event_mask", "i8"),
        ("sources", "i8"),  # `source_count` SOURCE records
        ("source_count", "i8"),
        ("source_rings", "i8"),  # the same rings' addresses and seen cursors, as `park_on` wants them
        ("source_seen", "i8"),
        ("waiters", "i8"),
        ("marks", "i8"),  # MARK records, one a slot of the journal buffer
        ("next_sequence", "i8"),
        ("released", "i8"),  # all events of commands up to this sequence are published
        ("event_cursor", "i8"),  # events emitted, published or not
        ("released_cursor", "i8"),  # events published
        ("time_ns", "i8"),  # of the latest command
        ("spins_max", "i8"),  # rounds without work before the loop yields, then parks
        ("rounds", "i8"),
    ],
    align=True,
)

SOURCE: Final = np.dtype(
    [
        ("ring", "i8"),  # address of the command ring
        ("number", "i8"),  # what the journal calls it
        ("epoch", "i8"),
        ("cursor", "i8"),  # the next record to take
        ("durable_cursor", "i8"),  # records before it are durable: the ring may use their slots again
    ],
    align=True,
)

MARK: Final = np.dtype([("event_cursor", "i8"), ("source", "i8"), ("source_cursor", "i8")], align=True)
"""After a sequenced record: where the events stood, and up to where its source was taken (-1: no source)."""


@entry
@compiled
def sequencer_run(address: int, until_ns: int) -> int:
    """Run rounds until `until_ns` (monotonic clock) or a failure of the journal. Returns RUNNING or JOURNAL_FAILED."""
    s = record_at(address, 0, SEQUENCER)
    idle = 0
    while True:
        if load_acquire(s.journal + FAILURE_ERRNO) != 0:
            return JOURNAL_FAILED
        worked = _round(s)
        if worked > 0:
            idle = 0
        else:
            idle += 1
        if ((idle == 0 and s.rounds & 63 == 0) or idle > s.spins_max) and monotonic_ns() >= until_ns:
            return RUNNING
        if idle > s.spins_max + YIELDS_MAX:
            _park(s, until_ns)
            idle = 0
        elif idle > s.spins_max or idle & SPINS_PER_YIELD - 1 == SPINS_PER_YIELD - 1:
            yield_cpu()
        elif idle > 0:
            pause()


@entry
@compiled
def sequencer_submit(address: int, commands: int, count: int, first_ring_sequence: int) -> int:
    """Sequence `count` commands at `commands` as the process's own (SEED_RING). They must fit the journal buffer.

    Returns the last sequence given, or 0: timers are due that must be released first.
    """
    s = record_at(address, 0, SEQUENCER)
    s.time_ns = max(s.time_ns, now_ns())
    _go_on(s)
    if not _is_settled(s):
        journal_sequence_to(s.journal, s.next_sequence - 1)
        return int64(0)
    for index in range(count):
        _sequence_one(s, commands + index * RECORD_BYTES, SEED_RING, 0, first_ring_sequence + index, -1, 0)
    journal_sequence_to(s.journal, s.next_sequence - 1)
    return s.next_sequence - 1


@compiled
def _round(s) -> int:  # type: ignore[no-untyped-def]
    s.rounds += 1
    journal_full = load_acquire(s.journal + IS_FULL)
    if journal_full != ring_state(s.event_ring):
        ring_set_state(s.event_ring, journal_full)  # gateways refuse new orders while it is 1
    worked = _release(s)
    s.time_ns = max(s.time_ns, now_ns())
    worked += _resume(s)
    for index in range(s.source_count):
        worked += _take(s, index)
    if s.next_sequence - 1 > journal_sequenced(s.journal):
        journal_hand_over(s.journal, s.next_sequence - 1)
    return worked


@compiled
def _take(s, index: int) -> int:  # type: ignore[no-untyped-def]
    """Take what source `index` has, at most a turn's worth. Returns how many records."""
    source = record_at(s.sources, index, SOURCE)
    published = ring_published(source.ring)
    records, mask = ring_slot(source.ring, 0), ring_capacity(source.ring) - 1
    taken = 0
    while source.cursor < published and taken < COMMANDS_PER_TURN_MAX and _may_take(s):
        look_ahead(s.root, records, mask, source.cursor, published)
        command = ring_slot(source.ring, source.cursor)
        slots = slots_of(command)
        if slots > 1 and source.cursor + slots <= published:
            _sequence_several(s, index, slots)
        else:
            slots = int64(1)
            source.cursor += 1
            _sequence_one(s, command, source.number, source.epoch, source.cursor, index, source.cursor)
        taken += slots
    if taken > STAND_IN_RECORDS_MAX:
        journal_sequence_to(s.journal, s.next_sequence - 1)  # it is written while the next source is looked at
    return taken


@compiled
def _sequence_one(  # type: ignore[no-untyped-def]
    s, command: int, ring: int, epoch: int, ring_sequence: int, source: int, cursor: int
) -> None:
    """Give a command of one record its place in the journal; apply it."""
    _apply(s, _stamp(s, command, ring, epoch, ring_sequence))
    _mark(s, source, cursor)
    _go_on(s)


@compiled
def _sequence_several(s, index: int, slots: int) -> None:  # type: ignore[no-untyped-def]
    """The same for a source's next command, which has several records."""
    source = record_at(s.sources, index, SOURCE)
    first = int64(0)
    for number in range(slots):
        if number > 0:
            # What stood before the command stands until it is whole: its first records alone release nothing.
            _mark(s, -1, 0)
        command = ring_slot(source.ring, source.cursor)
        source.cursor += 1
        slot = _stamp(s, command, source.number, source.epoch, source.cursor)
        if number == 0:
            record_at(slot, 0, COMMAND).slots = slots
            first = slot
    end = s.buffer + (s.buffer_mask + 1) * RECORD_BYTES
    if first + slots * RECORD_BYTES > end:
        before = end - first
        copy_bytes(s.whole, first, before)
        copy_bytes(s.whole + before, s.buffer, slots * RECORD_BYTES - before)
        first = s.whole
    _apply(s, first)
    _mark(s, index, source.cursor)
    _go_on(s)


@inlined
def _is_settled(s) -> bool:  # type: ignore[no-untyped-def]
    """Whether the state asks for no command of its own before the next: a continuation, or a timer that is due."""
    return record_at(s.root, 0, ROOT).continuation_pending == 0 and not is_timer_due(s.root, s.time_ns)


@compiled
def _go_on(s) -> None:  # type: ignore[no-untyped-def]
    """Sequence the CONTINUE and TIMER commands that the state asks for, as far as there is room."""
    while not _is_settled(s) and _has_room(s):
        if record_at(s.root, 0, ROOT).continuation_pending != 0:
            _sequence_own(s, int64(CommandKind.CONTINUE))
        else:
            _sequence_own(s, int64(CommandKind.TIMER))


@compiled
def _sequence_own(s, kind: int) -> None:  # type: ignore[no-untyped-def]
    """Sequence a command that has nothing but its kind, as a record of its own in the journal buffer."""
    slot = s.buffer + ((s.next_sequence - 1) & s.buffer_mask) * RECORD_BYTES
    zero_bytes(slot, RECORD_BYTES)
    record = record_at(slot, 0, COMMAND)
    record.kind = kind
    _header(s, record, SEED_RING, 0, 0)
    _apply(s, slot)
    _mark(s, -1, 0)


@inlined
def _apply(s, command: int) -> None:  # type: ignore[no-untyped-def]
    ring_claim(s.event_ring, s.event_cursor + EVENTS_PER_COMMAND_MAX)
    s.event_cursor = apply(s.root, command, s.event_slots, s.event_mask, s.event_cursor)


@inlined
def _stamp(s, command: int, ring: int, epoch: int, ring_sequence: int) -> int:  # type: ignore[no-untyped-def]
    """Copy a record into its slot of the journal buffer and stamp it. Returns the slot's address."""
    slot = s.buffer + ((s.next_sequence - 1) & s.buffer_mask) * RECORD_BYTES
    copy_bytes(slot, command, RECORD_BYTES)
    _header(s, record_at(slot, 0, COMMAND), ring, epoch, ring_sequence)
    return slot


@inlined
def _header(s, record, ring: int, epoch: int, ring_sequence: int) -> None:  # type: ignore[no-untyped-def]
    record.sequence = s.next_sequence
    record.time_ns = s.time_ns
    record.ring = ring
    record.ring_epoch = epoch
    record.ring_sequence = ring_sequence
    record.version = SCHEMA_VERSION
    record.slots = 1
    s.next_sequence += 1


@inlined
def _mark(s, source: int, source_cursor: int) -> None:  # type: ignore[no-untyped-def]
    """Note what may be released once the record sequenced last is durable."""
    mark = record_at(s.marks, (s.next_sequence - 1) & s.buffer_mask, MARK)
    mark.event_cursor = s.event_cursor
    mark.source = source
    mark.source_cursor = source_cursor


@inlined
def _has_room(s) -> bool:  # type: ignore[no-untyped-def]
    """Whether one more command, of all records that one can have, fits the journal buffer and half the event ring."""
    unpublished = s.event_cursor - s.released_cursor
    buffered = s.next_sequence - 1 + RECORDS_PER_COMMAND_MAX - min(s.released, journal_written(s.journal))
    return buffered <= s.buffer_mask and unpublished + EVENTS_PER_COMMAND_MAX <= (s.event_mask + 1) >> 1


@inlined
def _may_take(s) -> bool:  # type: ignore[no-untyped-def]
    """Whether a new command may be sequenced: a continued one and due timers come first."""
    return _is_settled(s) and _has_room(s)


@compiled
def _release(s) -> int:  # type: ignore[no-untyped-def]
    """Publish the events of what is durable; then give the slots of those commands back. Returns how many records."""
    durable = min(journal_durable(s.journal), s.next_sequence - 1)
    count = durable - s.released
    if count <= 0:
        return int64(0)
    for sequence in range(s.released + 1, durable + 1):
        mark = record_at(s.marks, sequence & s.buffer_mask, MARK)
        if mark.source >= 0:
            record_at(s.sources, mark.source, SOURCE).durable_cursor = mark.source_cursor
    s.released = durable
    released_cursor = record_at(s.marks, durable & s.buffer_mask, MARK).event_cursor
    if released_cursor > s.released_cursor:
        s.released_cursor = released_cursor
        ring_publish(s.event_ring, released_cursor)
    for index in range(s.source_count):
        source = record_at(s.sources, index, SOURCE)
        ring_consume(source.ring, source.durable_cursor)
    return count


@inlined
def _resume(s) -> int:  # type: ignore[no-untyped-def]
    """Due timers fire; a continuation that had to wait for room, or was cut off by a crash, goes on. Then others."""
    before = s.next_sequence
    _go_on(s)
    return s.next_sequence - before


@compiled
def _park(s, until_ns: int) -> None:  # type: ignore[no-untyped-def]
    """Sleep until a source has a command, more is durable, a timer is due, or `until_ns`."""
    for index in range(s.source_count):
        source = record_at(s.sources, index, SOURCE)
        # Where commands wait but nothing may be taken, only the journal's progress is worth waking up for.
        seen = source.cursor if _may_take(s) else ring_published(source.ring)
        store_relaxed(s.source_seen + index * 8, seen)
    timeout_ns = until_ns - monotonic_ns()
    timer_next_ns = record_at(s.root, 0, ROOT).timer_next_ns
    if timer_next_ns != 0 and _may_take(s):
        timeout_ns = min(timeout_ns, timer_next_ns - now_ns())
    timeout_ns = max(int64(0), timeout_ns)
    journal_park_set(s.journal)
    durable_word = s.journal + DURABLE
    park_on(s.source_rings, s.source_count, s.source_seen, durable_word, s.released, s.waiters, timeout_ns)
    journal_park_clear(s.journal)


@entry
@compiled
def _give_back(ring: int, cursor: int) -> None:
    ring_consume(ring, cursor)


class Sequencer:
    """Owns the loop's memory, and wires a state, a journal, the event ring and the command rings together.

    `next_sequence` is that of the next command; the state has applied all before it, and the event ring has published
    all of their events. Sources are set with `set_sources`. One thread at a time may call it.
    """

    def __init__(self, state: State, journal: JournalWriter, event_ring: Ring, *, spins_max: int) -> None:
        assert event_ring.capacity >= 4 * EVENTS_PER_COMMAND_MAX, "half of it must hold what one command may emit"
        self._state, self._journal, self._event_ring = state, journal, event_ring  # they must outlive their addresses
        self._record = np.zeros(1, SEQUENCER)
        self._marks = np.zeros(journal.buffer_slots, MARK)
        record = self._record[0]
        record["root"] = state.address
        record["buffer"] = journal.buffer_address
        record["buffer_mask"] = journal.buffer_slots - 1
        self._whole = np.zeros(RECORDS_PER_COMMAND_MAX, COMMAND)
        record["whole"] = address_of(self._whole)
        record["journal"] = journal.control_address
        record["event_ring"] = event_ring.address
        record["event_slots"] = event_ring.address + RING_HEADER_BYTES
        record["event_mask"] = event_ring.capacity - 1
        record["marks"] = address_of(self._marks)
        record["next_sequence"] = int(state.root["command_sequence"]) + 1
        record["released"] = int(state.root["command_sequence"])
        record["event_cursor"] = record["released_cursor"] = int(state.root["event_sequence"])
        record["time_ns"] = int(state.root["time_ns"])
        record["spins_max"] = spins_max
        assert journal.sequenced == int(record["released"]), "the journal ends where the state does"
        self.set_sources([])

    def set_sources(self, rings: Sequence[tuple[Ring, int]]) -> None:
        """Take from these (ring, ring number) from now on, each from where the state's records of it end."""
        self._kept = [ring for ring, _ in rings]
        self._sources = np.zeros(len(rings), SOURCE)
        for index, (ring, number) in enumerate(rings):
            taken = self._state.rings[number]
            cursor = int(taken["ring_sequence"]) if int(taken["epoch"]) == ring.epoch else ring.start_cursor
            self._sources[index] = (ring.address, number, ring.epoch, cursor, cursor)
            # A matcher that died may not have given back what it had journaled: a ring it left full would stay full.
            _give_back(ring.address, cursor)
        self._rings = np.ascontiguousarray(self._sources["ring"])
        self._seen = np.zeros(len(rings), "i8")
        self._waiters = np.zeros((len(rings) + 1) * WAITER_BYTES // 8, "i8")
        record = self._record[0]
        record["source_count"] = len(rings)
        record["sources"] = address_of(self._sources)
        record["source_rings"] = address_of(self._rings)
        record["source_seen"] = address_of(self._seen)
        record["waiters"] = address_of(self._waiters)

    def submit(self, commands: np.ndarray, first_ring_sequence: int) -> int:
        """Sequence the process's own commands, shape (n,), as SEED_RING from `first_ring_sequence` on.

        Returns the last sequence given. They and their events must fit the buffers of an idle sequencer.
        """
        assert len(commands) <= self._journal.buffer_slots // 2 and len(commands) <= self._event_ring.capacity // 4
        records = np.ascontiguousarray(commands)
        address = self._record.ctypes.data
        while not (last := sequencer_submit(address, address_of(records), len(records), first_ring_sequence)):
            self.run(0.01)
        return last

    def run(self, seconds: float) -> None:
        """Run the loop for that long. Raises JournalFailed once the journal cannot be written."""
        until_ns = monotonic_ns() + int(seconds * 1e9)
        if sequencer_run(self._record.ctypes.data, until_ns) == JOURNAL_FAILED:
            raise self._journal.failure or JournalFailed("the journal has failed")

    @property
    def is_drained(self) -> bool:
        """Everything that the sources hold has been taken, journaled and released."""
        record = self._record[0]
        waiting = any(
            ring_published(ring.address) > int(source["cursor"])
            for ring, source in zip(self._kept, self._sources, strict=True)
        )
        return not waiting and int(record["released"]) == int(record["next_sequence"]) - 1

    @property
    def released(self) -> int:
        """The last sequence whose events are published."""
        return int(self._record[0]["released"])
