"""`Matcher`: the engine as a library, NumPy records in and out, no rings and no files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from ringex.config import Limits
from ringex.engine.export import export_state, state_hash
from ringex.engine.matcher import apply, slots_of
from ringex.engine.records import ROOT
from ringex.engine.state import State
from ringex.jit import compiled
from ringex.memory import address_of, record_at, zero_bytes
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
            apply(b.root, command, np.int64(0), b.event_base, b.event_mask, s.event_sequence)
            continue
        if b.taken == b.count:
            break
        command = b.commands + b.taken * RECORD_BYTES
        slots = slots_of(command)
        if b.stamps != 0:
            _stamp(command, slots, s.command_sequence + 1, s.time_ns)
        second = command + RECORD_BYTES if slots == 2 else np.int64(0)
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


class Batches:
    """Runs `apply` over arrays of commands, in compiled code, through an event buffer of its own."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._events = np.zeros(EVENT_SLOTS, EVENT)
        self._continuation = np.zeros(1, COMMAND)

    def apply(self, commands: np.ndarray, *, stamps: bool) -> Iterator[np.ndarray]:
        """Apply commands and give their events in batches, shape (m,), EVENT, m > 0; each batch is a copy.

        With `stamps` sequence and time are written into `commands`, and continuations are put in between; without, the
        records are a journal's and are applied as they are.
        """
        records = np.ascontiguousarray(commands)
        if len(records) and records["slots"][-1] == 2 and _is_cut(records):
            raise ValueError("the last command takes two records, but its second one is missing")
        batch = np.zeros(1, BATCH)
        batch["root"] = self._state.address
        batch["commands"] = address_of(records)
        batch["count"] = len(records)
        batch["stamps"] = stamps
        batch["continuation"] = address_of(self._continuation)
        batch["event_base"] = address_of(self._events)
        batch["event_mask"] = EVENT_SLOTS - 1
        while True:
            before = int(self._state.root["event_sequence"])
            apply_batch(address_of(batch))
            after = int(self._state.root["event_sequence"])
            if after == before:
                return
            yield self._copy(before, after)

    def _copy(self, before: int, after: int) -> np.ndarray:
        """Copies of events before + 1 .. after."""
        raw = self._events.view(_RAW)
        first, end = before % EVENT_SLOTS, after % EVENT_SLOTS
        if end > first:
            return raw[first:end].copy().view(EVENT)
        return np.concatenate([raw[first:], raw[:end]]).view(EVENT)


def _is_cut(records: np.ndarray) -> bool:
    """Whether the last record begins a command of two. Second records' `slots` do not count, so walk from the start."""
    at = 0
    slots = records["slots"]
    while at < len(records):
        at += 2 if slots[at] == 2 else 1
    return at > len(records)


class Matcher:
    """An exchange in memory.

    `submit` takes COMMAND records (`ringex.messages.commands` makes them) as a client or operator would send them and
    gives copies of the EVENT records that follow; sequence and time are stamped here.
    """

    def __init__(self, *, limits: Limits | None = None, state: State | None = None) -> None:
        self.state = state if state is not None else State(limits or Limits())
        self._batches = Batches(self.state)

    def submit(self, commands: np.ndarray) -> np.ndarray:
        """Apply commands in order. Shape (n,), COMMAND or a body's dtype -> shape (m,), EVENT. Input is left as it is.

        `time_ns` of a command counts where it is later than the time so far. Raises ValueError if the last command
        is a CANCEL_REPLACE without its second record.
        """
        return _joined(self._batches.apply(_records(commands), stamps=True))

    def replay(self, commands: np.ndarray) -> int:
        """Apply commands that are sequenced already, a journal's, verbatim. Returns how many events they gave."""
        return sum(len(events) for events in self._batches.apply(_records(commands), stamps=False))

    def state_hash(self) -> str:
        """The hash of the logical state, 64 hex digits."""
        return state_hash(self.state)

    def export(self) -> dict[str, np.ndarray]:
        """The logical state as arrays: see `ringex.engine.export.TABLES`."""
        return export_state(self.state)

    def balances(self, account: int) -> dict[str, tuple[int, int]]:
        """Free and locked of each asset that an account has, by the asset's name."""
        table = self.export()["balances"]
        mine = table[table["account"] == account]
        names = self.state.assets["name"]
        return {names[b["asset"]].decode(): (int(b["free"]), int(b["locked"])) for b in mine}

    def orders(self, market: int) -> np.ndarray:
        """Open orders of a market, buy side first, best price first, oldest first. Shape (n,), ORDER_OUT."""
        table = self.export()["orders"]
        return table[table["market"] == market]


def _joined(batches: Iterator[np.ndarray]) -> np.ndarray:
    """One array of all batches, with the records' reserved bytes (which `np.concatenate` drops from named fields)."""
    return np.concatenate([np.zeros(0, _RAW), *(events.view(_RAW) for events in batches)]).view(EVENT)


def _records(commands: np.ndarray) -> np.ndarray:
    """A copy as COMMAND records; `np.concatenate` gives packed ones, whose fields are copied by name."""
    if commands.dtype.itemsize == RECORD_BYTES:
        return np.ascontiguousarray(commands).view(_RAW).copy().view(COMMAND)
    records = np.zeros(len(commands), COMMAND)
    for name in commands.dtype.names or ():
        records[name] = commands[name]
    return records
