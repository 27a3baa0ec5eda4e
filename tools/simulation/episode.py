"""An episode: one exchange from its first command on, under a random stream of commands, with crashes in between.

Everything follows from its seed. With the reference exchange beside it every event is compared and the reference is
audited too; alone it is faster by an order of magnitude, in larger tables, and only the engine's state is checked.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final

import numpy as np
from reference import ReferenceExchange
from reference.arena import SMALL
from reference.records import Fields, describe, event_fields, records_of
from reference.soundness import Auditor
from reference.streams import ROLL_MAX, Dice, Send, Stream

from ringex.config import Limits
from ringex.messages import LIMIT_NAMES, RECORDS_PER_COMMAND_MAX
from ringex.terms import CommandKind
from simulation.flow import Flow
from simulation.glimpse import Glimpse
from simulation.world import BrokenError, Tally, World

LARGE: Final = Limits(
    assets_max=16,
    markets_max=16,
    accounts_max=16,
    keys_max=16,
    balances_max=200,
    orders_max=1 << 12,
    levels_max=1 << 10,
    requests_remembered_max=1 << 10,
    requests_remembered_per_account_max=1 << 9,
    references_max=1 << 14,
)
ROLLS_PER_COMMAND: Final = 5
BATCHES: Final = (1, 4, 16, 64)
"""How many commands are submitted at once."""
SNAPSHOT_SHARE: Final = 0.04
CRASH_SHARE: Final = 0.04
"""Of all batches."""
TOLD_COMMANDS: Final = 40
"""How many commands before a failure are told."""

Rolls = Sequence[tuple[int, ...]]


@dataclass
class Episode:
    """`every`: the state is checked after every `every`-th command."""

    seed: int
    commands: int
    beside: bool
    every: int = 1
    tally: Tally = field(default_factory=Tally)
    last_commands: list[Fields] = field(default_factory=list)

    def rolls(self) -> list[tuple[int, ...]]:
        """The numbers that its commands are made of."""
        rng = random.Random(self.seed)
        return [tuple(rng.randint(0, ROLL_MAX) for _ in range(ROLLS_PER_COMMAND)) for _ in range(self.commands)]

    def run(self, rolls: Rolls | None = None) -> None:
        """Live through it, or through an episode of these rolls instead. Raises BrokenError, AssertionError."""
        rng = random.Random(~self.seed)
        side = _Beside() if self.beside else _Alone()
        with tempfile.TemporaryDirectory(prefix="ringex-simulation-") as folder:
            world = World(Path(folder), side.room, rng, self.every, self.tally)
            try:
                self._live(world, side, rng, self.rolls() if rolls is None else rolls)
            finally:
                world.close()

    def _live(self, world: World, side: _Beside | _Alone, rng: random.Random, rolls: Rolls) -> None:
        opening = side.stream.opening()
        self._run(world, side, lambda send: [send(records) for records in opening])
        at = 0
        while at < len(rolls):
            count = rng.choice(BATCHES)
            some = rolls[at : at + count]
            self._run(world, side, lambda send, some=some: [side.play(Dice(roll), send) for roll in some])
            at += count
            chance = rng.random()
            if chance < CRASH_SHARE:
                world.crash()
            elif chance < CRASH_SHARE + SNAPSHOT_SHARE:
                world.snapshot()

    def _run(self, world: World, side: _Beside | _Alone, play: Callable[[Send], Any]) -> None:
        batch: list[Fields] = []

        def send(records: tuple[Fields, ...]) -> None:
            for number, record in enumerate(records):
                _as_sequenced(record, side.room, is_first=number == 0)
            batch.extend(records)
            self.last_commands = [*self.last_commands[-TOLD_COMMANDS:], *records]
            side.apply(records)

        play(send)
        try:
            events = world.run(records_of(batch))
        except BrokenError as broken:
            self.last_commands = batch[: broken.taken][-TOLD_COMMANDS:]
            raise
        side.look(events)


def _as_sequenced(record: Fields, room: Limits, *, is_first: bool) -> None:
    """Make of a record of a random command one that a sequencer might journal.

    Only a command's first record says that there are more, and the matcher process journals no LIMITS_SET beyond the
    room of its tables: recovery relies on both.
    """
    if not is_first or not 1 < record["slots"] <= RECORDS_PER_COMMAND_MAX:
        record["slots"] = 1
    if record["kind"] == CommandKind.LIMITS_SET:
        record |= {name: min(record[name], getattr(room, name)) for name in LIMIT_NAMES}


class _Beside:
    """The reference exchange, audited after every command, as the maker of commands and to compare with."""

    room = SMALL

    def __init__(self) -> None:
        self.exchange = ReferenceExchange(SMALL)
        self.auditor = Auditor(self.exchange)
        self.stream = Stream(self.exchange)
        self._expected: list[Fields] = []

    def play(self, dice: Dice, send: Send) -> None:
        self.stream.play(dice, send, self.apply)
        self.auditor.check()

    def apply(self, records: tuple[Fields, ...]) -> None:
        events = self.exchange.apply(*records)
        self._expected += events
        self.auditor.watch(events)

    def look(self, events: np.ndarray) -> None:
        expected, self._expected = self._expected, []
        actual = [event_fields(event) for event in events]
        for ours, theirs in zip_longest(expected, actual, fillvalue={}):
            if ours != theirs:
                names = [*ours, *(name for name in theirs if name not in ours)]
                fields = {name: (ours.get(name), theirs.get(name)) for name in names}
                told = ", ".join(f"{name}: {a!r}, {b!r}" for name, (a, b) in fields.items() if a != b)
                event = describe(ours or theirs).strip()
                raise BrokenError(
                    f"the reference's event {event} differs from the engine's (reference, engine): {told}"
                )


class _Alone:
    """No reference: the maker of commands sees what the engine's events say."""

    room = LARGE

    def __init__(self) -> None:
        self.glimpse = Glimpse(LARGE)
        self.stream = Flow(self.glimpse)

    def play(self, dice: Dice, send: Send) -> None:
        self.stream.play(dice, send, self.apply)

    def apply(self, records: tuple[Fields, ...]) -> None:
        pass

    def look(self, events: np.ndarray) -> None:
        self.glimpse.look(events)
