"""Event streams for tests: dicts become EVENT records, and random commands become events by the reference exchange."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from reference import ReferenceExchange
from reference.arena import SMALL
from reference.records import Fields, command_record, empty_event
from reference.streams import ROLL_MAX, ROLLS_PER_COMMAND, Dice, Stream

from ringex import messages
from ringex.messages import COMMAND, EVENT, RECORD_BYTES
from ringex.terms import EventKind

_RAW = np.dtype((np.void, RECORD_BYTES))
"""NumPy copies the fields of a record and drops what lies between and behind them; a body may use those bytes."""
_DTYPES = {
    EventKind.ACCEPTED: messages.ORDER_TERMS,
    EventKind.TRADE: messages.TRADE,
    EventKind.PREVENTED: messages.PREVENTED,
    EventKind.BALANCE: messages.BALANCE_EVENT,
    EventKind.COUNTDOWN: messages.COUNTDOWN_EVENT,
    EventKind.ASSET: messages.ASSET_EVENT,
    EventKind.MARKET: messages.MARKET_EVENT,
    EventKind.ACCOUNT: messages.ACCOUNT_EVENT,
    EventKind.KEY: messages.ACCOUNT_EVENT,
    EventKind.KEY_REVOKED: messages.ACCOUNT_EVENT,
    EventKind.LIMITS: messages.LIMITS_EVENT,
    EventKind.ORDER_LIMITS: messages.ORDER_LIMITS_EVENT,
    EventKind.SCHEDULE: messages.SCHEDULE_EVENT,
    EventKind.FEES: messages.FEES_EVENT,
    EventKind.FEE_ASSET: messages.FEES_EVENT,
    EventKind.MARKET_FILTERS: messages.FILTERS_EVENT,
    EventKind.INDICATIVE: messages.INDICATIVE_EVENT,
    EventKind.ORDER_LIST: messages.LIST_EVENT,
}


def event_record(fields: Fields) -> np.ndarray:
    """One event given as a dict, as an EVENT array of shape (1,)."""
    record = np.zeros(1, EVENT)
    body = record.view(_DTYPES.get(EventKind(fields["kind"]), EVENT))
    for name, value in fields.items():
        if name in ("client_order_id", "original_client_order_id", "reference"):
            body[name] = np.frombuffer(value.encode("latin-1").ljust(40, b"\0"), "<u8")
        elif not name.startswith("_"):
            body[name] = value.encode("latin-1") if isinstance(value, str) else value
    return record


def event_records(events: Iterable[Fields]) -> np.ndarray:
    """Events given as dicts, as an EVENT array."""
    return np.concatenate([np.zeros(0, EVENT), *(event_record(fields) for fields in events)])


def event(kind: EventKind, sequence: int, **fields: Any) -> np.ndarray:
    """One event with the fields given, the others zero; shape (1,)."""
    return event_record({**empty_event(kind), "sequence": sequence, **fields})


class RandomRun:
    """A random stream of commands through the reference exchange, and the events that it gave.

    `commands` are COMMAND records, `fields` the events as dicts, `events` the same as EVENT records.
    """

    def __init__(self, seed: int, commands_count: int, make_stream: Callable[[ReferenceExchange], Stream] = Stream):
        self.exchange = ReferenceExchange(SMALL)
        dice = random.Random(seed)
        stream = make_stream(self.exchange)
        self.fields: list[Fields] = []
        commands: list[np.ndarray] = []

        def apply(records: tuple[Fields, ...]) -> None:
            commands.extend(command_record(record).view(_RAW) for record in records)
            own(records)

        def own(records: tuple[Fields, ...]) -> None:
            """Those records the matcher makes itself."""
            self.fields += self.exchange.apply(*records)

        for records in stream.opening():
            apply(records)
        for _ in range(commands_count):
            stream.play(Dice([dice.randint(0, ROLL_MAX) for _ in range(ROLLS_PER_COMMAND)]), apply, own)
        self.commands = np.concatenate(commands).view(COMMAND)
        self.events = event_records(self.fields)
