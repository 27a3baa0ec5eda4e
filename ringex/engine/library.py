"""`Matcher`: the engine as a library, NumPy records in and out, no rings and no files."""

from __future__ import annotations

from typing import Final

import numpy as np

from ringex.config import Limits
from ringex.engine.matcher import apply, slots_of
from ringex.engine.records import ROOT
from ringex.engine.state import State
from ringex.jit import compiled
from ringex.memory import address_of, copy_bytes, record_at, zero_bytes
from ringex.messages import (
    COMMAND,
    EVENT,
    EVENTS_PER_COMMAND_MAX,
    RECORD_BYTES,
    SCHEMA_VERSION,
    SEED_RING,
    CommandKind,
)

EVENT_SLOTS: Final = 1 << 14
_RAW: Final = np.dtype(f"V{RECORD_BYTES}")

BATCH: Final = np.dtype(
    [
        ("root", "i8"),
        ("commands", "i8"),  # address of COMMAND records
        ("count", "i8"),
        ("taken", "i8"),  # records applied so far
        ("stamps", "i8"),  # 1: stamp sequence and time, continue by itself; 0: the records are a journal's
        ("continuation", "i8"),  # address of a COMMAND for continuations
        ("event_base", "i8"),
        ("event_mask", "i8"),
    ]
)


@compiled
def apply_batch(batch: int) -> None:
    """Apply records of a BATCH until all are taken or the event buffer might not hold one command's events more."""
    b = record_at(batch, 0, BATCH)
    s = record_at(b.root, 0, ROOT)
    room_until = s.event_sequence + b.event_mask + 1 - EVENTS_PER_COMMAND_MAX
    while s.event_sequence <= room_until:
        if b.stamps != 0 and s.continuation_pending != 0:
            command = b.continuation
            _continuation(command, s.command_sequence + 1, s.time_ns)
            apply(b.root, command, 0, b.event_base, b.event_mask, s.event_sequence)
            continue
        if b.taken == b.count:
            break
        command = b.commands + b.taken * RECORD_BYTES
        slots = slots_of(command)
        if b.stamps != 0:
            _stamp(command, slots, s.command_sequence + 1, s.time_ns)
        second = command + RECORD_BYTES if slots == 2 else 0
        apply(b.root, command, second, b.event_base, b.event_mask, s.event_sequence)
        b.taken += slots


@compiled
def _continuation(command: int, sequence: int, time_ns: int) -> None:
    """Write the CONTINUE that a sequencer would put in."""
    zero_bytes(command, RECORD_BYTES)
    c = record_at(command, 0, COMMAND)
    c.kind = CommandKind.CONTINUE
    c.version = SCHEMA_VERSION
    c.slots = 1
    c.ring = SEED_RING
    c.sequence = sequence
    c.time_ns = time_ns


@compiled
def _stamp(command: int, slots: int, sequence: int, time_ns: int) -> None:
    """Give a command of one or two records its sequence; its own time stands if it is not earlier than `time_ns`."""
    time_ns = max(record_at(command, 0, COMMAND).time_ns, time_ns)
    for number in range(slots):
        c = record_at(command, number, COMMAND)
        c.sequence = sequence + number
        c.time_ns = time_ns


class Matcher:
    """An exchange in memory.

    `submit` takes COMMAND records (`ringex.messages.commands` makes them) as a client or operator would send them and
    gives copies of the EVENT records that follow; sequence and time are stamped here.
    """

    def __init__(self, *, limits: Limits | None = None, state: State | None = None) -> None:
        self.state = state if state is not None else State(limits or Limits())
        self._events = np.zeros(EVENT_SLOTS, EVENT)
        self._continuation = np.zeros(1, COMMAND)

    def submit(self, commands: np.ndarray) -> np.ndarray:
        """Apply commands in order. Shape (n,), COMMAND or a body's dtype -> shape (m,), EVENT. Input is left as it is.

        `time_ns` of a command counts where it is later than the time so far. Raises ValueError if the last command
        is a CANCEL_REPLACE without its second record.
        """
        return np.concatenate(list(self._apply(_records(commands), stamps=True))).view(EVENT)

    def _apply(self, records, stamps):
        batch = np.zeros(1, BATCH)
        batch["root"] = self.state.address
        batch["commands"] = address_of(records)
        batch["count"] = len(records)
        batch["stamps"] = stamps
        batch["continuation"] = address_of(self._continuation)
        batch["event_base"] = address_of(self._events)
        batch["event_mask"] = EVENT_SLOTS - 1
        yield np.zeros(0, _RAW)
        while True:
            before = int(self.state.root["event_sequence"])
            apply_batch(address_of(batch))
            after = int(self.state.root["event_sequence"])
            if after == before:
                break
            yield self._taken(before, after)

    def _taken(self, before: int, after: int) -> np.ndarray:
        """Copies of events before + 1 .. after."""
        raw = self._events.view(_RAW)
        first, end = before % EVENT_SLOTS, after % EVENT_SLOTS
        if end > first:
            return raw[first:end].copy()
        return np.concatenate([raw[first:], raw[:end]])


def _records(commands: np.ndarray) -> np.ndarray:
    """A copy as COMMAND records; `np.concatenate` gives packed ones, whose fields are copied by name."""
    if commands.dtype.itemsize == RECORD_BYTES:
        return np.ascontiguousarray(commands).view(_RAW).copy().view(COMMAND)
    records = np.zeros(len(commands), COMMAND)
    for name in commands.dtype.names or ():
        records[name] = commands[name]
    return records
