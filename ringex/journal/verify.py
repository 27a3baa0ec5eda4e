"""Looking at a journal without touching it: is it whole, and what does it say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, Final

import numpy as np

from ringex.journal.errors import JournalCorrupt, JournalUnsupported
from ringex.journal.reader import JournalReader
from ringex.journal.segment import list_segments
from ringex.journal.tail import find_tail
from ringex.messages import (
    ACCOUNT_COMMAND,
    ASSET_COMMAND,
    BALANCE_COMMAND,
    COMMAND,
    COUNTDOWN_COMMAND,
    FEES_COMMAND,
    FILTERS_COMMAND,
    LIMITS_COMMAND,
    MARKET_COMMAND,
    ORDER_LIMITS_COMMAND,
    PLACE_COMMAND,
    SCHEDULE_COMMAND,
    text_of,
)
from ringex.terms import CommandKind, OrderType, Side, TimeInForce, Transport

_BODIES: Final[dict[int, np.dtype]] = {
    CommandKind.PLACE: PLACE_COMMAND,
    CommandKind.DEPOSIT: BALANCE_COMMAND,
    CommandKind.WITHDRAW: BALANCE_COMMAND,
    CommandKind.ASSET_ADD: ASSET_COMMAND,
    CommandKind.MARKET_ADD: MARKET_COMMAND,
    CommandKind.MARKET_SET: MARKET_COMMAND,
    CommandKind.MARKET_FILTERS_SET: FILTERS_COMMAND,
    CommandKind.MARKET_SCHEDULE: SCHEDULE_COMMAND,
    CommandKind.COUNTDOWN_SET: COUNTDOWN_COMMAND,
    CommandKind.LIMITS_SET: LIMITS_COMMAND,
    CommandKind.ORDER_LIMITS_SET: ORDER_LIMITS_COMMAND,
    CommandKind.TRANSFER: BALANCE_COMMAND,
    CommandKind.WITHDRAW_HOLD: BALANCE_COMMAND,
    CommandKind.WITHDRAW_COMPLETE: BALANCE_COMMAND,
    CommandKind.WITHDRAW_RELEASE: BALANCE_COMMAND,
    CommandKind.FEES_SET: FEES_COMMAND,
    CommandKind.FEE_ASSET_SET: FEES_COMMAND,
    CommandKind.ACCOUNT_ADD: ACCOUNT_COMMAND,
    CommandKind.KEY_ADD: ACCOUNT_COMMAND,
    CommandKind.ACCOUNT_SET: ACCOUNT_COMMAND,
    CommandKind.KEY_REVOKE: ACCOUNT_COMMAND,
}
_ENUMS: Final[dict[str, type[IntEnum]]] = {
    "kind": CommandKind,
    "side": Side,
    "order_type": OrderType,
    "time_in_force": TimeInForce,
    "transport": Transport,
}
_TEXTS: Final = ("client_order_id", "original_client_order_id", "reference")
_UNSHOWN: Final = ("_pad", "_pad2", "unused", "reserved", "reserved_words")


@dataclass(frozen=True)
class Report:
    """What `verify` found. `first_sequence` to `last_sequence` are sound (0 records: last is first - 1).

    `torn_file` and `torn_offset` say where an honest tear begins, None without one; `corruption` what a recovery would
    refuse, "" if nothing.
    """

    segments: int
    records: int
    first_sequence: int
    last_sequence: int
    torn_records: int = 0
    torn_file: Path | None = None
    torn_offset: int = 0
    corruption: str = ""

    @property
    def is_sound(self) -> bool:
        """No corruption; a torn tail is what a crash leaves, and harmless."""
        return not self.corruption


def verify(directory: Path) -> Report:
    """Check every record in `directory`. Changes nothing. Raises FileNotFoundError where there is no such folder."""
    directory = Path(directory)
    if not directory.is_dir():
        raise FileNotFoundError(f"{directory}: no such folder")
    try:
        segments = list_segments(directory)
    except (JournalCorrupt, JournalUnsupported) as error:
        return Report(len(list(directory.glob("*.seg"))), 0, 0, 0, corruption=str(error))
    first = segments[0].first_sequence if segments else 1
    try:
        with JournalReader(directory) as reader:
            for _ in reader.read(first):
                pass
        tail = find_tail(segments)
    except JournalCorrupt as error:
        last = reader.next_sequence - 1
        return Report(len(segments), last - first + 1, first, last, corruption=str(error))
    last, torn = tail.next_sequence - 1, (tail.torn_records, tail.torn_file, tail.torn_offset)
    return Report(len(segments), last - first + 1, first, last, *torn)


def dump(directory: Path, from_sequence: int = 1, to_sequence: int | None = None) -> Iterator[dict[str, Any]]:
    """The commands of [from_sequence, to_sequence] as dictionaries: enums by name, ids as text, no reserved fields.

    Raises JournalCorrupt, JournalGone.
    """
    with JournalReader(directory) as reader:
        for batch in reader.read(from_sequence, to_sequence, batch_max=4096):
            for index in range(len(batch)):
                yield describe(batch[index : index + 1])


def describe(record: np.ndarray) -> dict[str, Any]:
    """One command record, shape (1,), COMMAND, as a dictionary by the fields of its kind."""
    shown = record.view(_BODIES.get(int(record["kind"][0]), COMMAND))[0]
    return {name: _value(name, shown[name]) for name in shown.dtype.names if name not in _UNSHOWN}


def _value(name: str, value: Any) -> Any:
    if name in _TEXTS:
        return text_of(value)
    if isinstance(value, bytes):
        return value.decode("ascii", "replace")
    if name in _ENUMS:
        return next((member.name for member in _ENUMS[name] if member == int(value)), int(value))
    return int(value)
