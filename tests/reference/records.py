"""Commands and events as dicts: a record's field names, with Python ints and text as values."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from ringex import messages
from ringex.terms import CommandKind, EventKind

Fields = dict[str, Any]

_COMMAND_DTYPES = {
    CommandKind.PLACE: messages.PLACE_COMMAND,
    CommandKind.DEPOSIT: messages.BALANCE_COMMAND,
    CommandKind.WITHDRAW: messages.BALANCE_COMMAND,
    CommandKind.TRANSFER: messages.BALANCE_COMMAND,
    CommandKind.WITHDRAW_HOLD: messages.BALANCE_COMMAND,
    CommandKind.WITHDRAW_COMPLETE: messages.BALANCE_COMMAND,
    CommandKind.WITHDRAW_RELEASE: messages.BALANCE_COMMAND,
    CommandKind.COUNTDOWN_SET: messages.COUNTDOWN_COMMAND,
    CommandKind.ASSET_ADD: messages.ASSET_COMMAND,
    CommandKind.MARKET_ADD: messages.MARKET_COMMAND,
    CommandKind.ACCOUNT_ADD: messages.ACCOUNT_COMMAND,
    CommandKind.KEY_ADD: messages.ACCOUNT_COMMAND,
    CommandKind.KEY_REVOKE: messages.ACCOUNT_COMMAND,
    CommandKind.LIMITS_SET: messages.LIMITS_COMMAND,
    CommandKind.ORDER_LIMITS_SET: messages.ORDER_LIMITS_COMMAND,
    CommandKind.MARKET_SCHEDULE: messages.SCHEDULE_COMMAND,
    CommandKind.FEES_SET: messages.FEES_COMMAND,
    CommandKind.FEE_ASSET_SET: messages.FEES_COMMAND,
    CommandKind.MARKET_FILTERS_SET: messages.FILTERS_COMMAND,
    CommandKind.ACCOUNT_SET: messages.ACCOUNT_COMMAND,
    CommandKind.MARKET_SET: messages.MARKET_COMMAND,
}
_EVENT_DTYPES = {
    EventKind.ACCEPTED: messages.ORDER_TERMS,
    EventKind.TRADE: messages.TRADE,
    EventKind.PREVENTED: messages.PREVENTED,
    EventKind.ORDER_LIST: messages.LIST_EVENT,
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
}


def command_fields(record: np.void | Fields) -> Fields:
    """One command record (of any command dtype) as a dict by the dtype of its kind. A dict gets the missing zeros."""
    if isinstance(record, dict):
        return {**_zeros(_command_dtype(record["kind"])), **record}
    return _fields(record, _command_dtype(int(record["kind"])))


def event_fields(record: np.void) -> Fields:
    """One EVENT record as a dict by the dtype of its kind."""
    return _fields(record, _event_dtype(int(record["kind"])))


def empty_event(kind: EventKind) -> Fields:
    """Every field of an event of this kind, at zero or empty."""
    return {**_zeros(_event_dtype(kind)), "kind": int(kind), "version": messages.SCHEMA_VERSION}


def command_record(fields: Fields) -> np.ndarray:
    """The opposite of `command_fields`: a COMMAND array of shape (1,), whatever the kind."""
    dtype = _command_dtype(fields["kind"])
    plain = _plain(dtype)
    values = {"version": messages.SCHEMA_VERSION, "slots": 1, **fields}
    row = (values.get(name, 0) for name in plain.names or ())
    words = tuple(value.encode("latin-1") if isinstance(value, str) else value for value in row)
    return np.array([words], plain).view(messages.COMMAND)


def records_of(commands: Sequence[Fields]) -> np.ndarray:
    """Commands as COMMAND records, shape (commands,). Joined as bytes: NumPy copies only what a field covers."""
    return np.frombuffer(bytearray().join(command_record(command).tobytes() for command in commands), messages.COMMAND)


def command_starts(records: np.ndarray) -> list[int]:
    """Where the commands of COMMAND records begin, and the end."""
    starts, slots = [0], records["slots"].tolist()
    while starts[-1] < len(records):
        own = slots[starts[-1]]
        starts.append(starts[-1] + (own if 1 < own <= messages.RECORDS_PER_COMMAND_MAX else 1))
    return starts


def describe(record: Fields) -> str:
    """One command or event on a line, without its zeros."""
    kinds = EventKind if "command_sequence" in record else CommandKind
    kind = kinds(record["kind"]).name if record["kind"] in list(kinds) else str(record["kind"])
    dull = ("sequence", "kind", "version", "slots", "correlation", "connection", "command_sequence")
    shown = [f"{name}={value!r}" for name, value in record.items() if value and name not in dull]
    return f"  {record['sequence']:4} {kind} " + " ".join(shown)


def _command_dtype(kind: int) -> np.dtype:
    return _COMMAND_DTYPES.get(kind, messages.COMMAND)  # type: ignore[call-overload, no-any-return]


def _event_dtype(kind: int) -> np.dtype:
    return _EVENT_DTYPES.get(kind, messages.EVENT)  # type: ignore[call-overload, no-any-return]


@cache
def _plain(dtype: np.dtype) -> np.dtype:
    """The same layout with ids and references (five words) as 40 bytes of text, and without padding."""
    kept = [name for name in dtype.names or () if not name.startswith(("_pad", "unused"))]
    fields = {name: dtype.fields[name] for name in kept}  # type: ignore[index]
    return np.dtype(
        {
            "names": kept,
            "formats": [np.dtype("S40") if field[0].subdtype else field[0] for field in fields.values()],
            "offsets": [field[1] for field in fields.values()],
            "itemsize": dtype.itemsize,
        }
    )


def _fields(record: np.void, dtype: np.dtype) -> Fields:
    plain = _plain(dtype)
    values = np.frombuffer(record.tobytes(), plain)[0].item()
    return {
        name: value.decode("latin-1") if isinstance(value, bytes) else value
        for name, value in zip(plain.names or (), values, strict=True)
    }


@cache
def _zero_template(dtype: np.dtype) -> Fields:
    return _fields(np.zeros(1, dtype)[0], dtype)


def _zeros(dtype: np.dtype) -> Fields:
    return dict(_zero_template(dtype))
