"""The binary path: many COMMAND records in one frame, EVENT records back. NumPy throughout, nothing per record.

A client on a logged-on session sends the frames [b"RXB1", n x 256 bytes of COMMAND]. It fills in kind (PLACE, CANCEL,
CANCEL_ALL, AMEND), market, side, order_type, time_in_force, price, quantity, quote_quantity, stop_price,
iceberg_quantity, self_trade_prevention, good_till_ns, trailing_delta, peg_price_type, peg_offset, order_id, the client
order ids (of PLACE, whose record is a PLACE_COMMAND, strategy_id and strategy_type instead of the original one),
flag_bits, timestamp_us and correlation; the gateway overwrites everything else. It receives frames [b"RXB1", EVENT
records], with its own correlation in them. A frame that is not in order is refused whole.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np

from ringex.gateways.auth import AHEAD_US_MAX, RECV_WINDOW_MS
from ringex.gateways.errors import invalid, malformed, overloaded, too_many
from ringex.gateways.parameters import RESERVED_PREFIX
from ringex.messages import CLIENT_ORDER_ID_BYTES_MAX, COMMAND, RECORD_BYTES, SCHEMA_VERSION
from ringex.terms import CommandFlag, CommandKind, EventFlag

MAGIC: Final = b"RXB1"
RECORDS_PER_FRAME_MAX: Final = 4096
IN_FLIGHT_MAX: Final = 1 << 16
"""Binary commands of all connections under way at one gateway; a power of two."""
CORRELATION_FROM: Final = 1 << 62
"""Correlations of binary commands lie from here on, those of other requests below."""

_KINDS: Final = (CommandKind.PLACE, CommandKind.CANCEL, CommandKind.CANCEL_ALL, CommandKind.AMEND)
_FLAGS: Final = (
    CommandFlag.KEEP_PRIORITY | CommandFlag.ONLY_NEW | CommandFlag.ONLY_PARTIALLY_FILLED | CommandFlag.OF_SESSION
)
_KEPT: Final = (
    *("kind", "market", "flag_bits", "side", "order_type", "time_in_force", "order_id", "price", "quantity"),
    *("quote_quantity", "client_order_id", "original_client_order_id", "timestamp_us"),
    *("self_trade_prevention", "stop_price", "iceberg_quantity", "good_till_ns", "trailing_delta"),
    *("peg_price_type", "peg_offset"),
)
_TEXT_BYTES: Final = 40
_IN_TEXT: Final = np.zeros(256, bool)
_IN_TEXT[[0, *b".:/_-", *range(48, 58), *range(65, 91), *range(97, 123)]] = True
_RESERVED: Final = np.frombuffer(RESERVED_PREFIX.encode(), np.uint8)


def decode(frame: memoryview | bytes, now_ns: int) -> tuple[np.ndarray, np.ndarray]:
    """(commands, the clients' correlations) of one frame: COMMAND records of shape (n,) with clean headers, i8 (n,).

    Raises Refusal for a frame that is not in order; the message names the first record at fault, from 0.
    """
    size_bytes = memoryview(frame).nbytes
    count, rest = divmod(size_bytes, RECORD_BYTES)
    if rest or not 0 < count <= RECORDS_PER_FRAME_MAX:
        expected = f"1 to {RECORDS_PER_FRAME_MAX} records of {RECORD_BYTES} bytes were expected"
        raise malformed(f"{size_bytes} bytes; {expected}.")
    sent = np.frombuffer(frame, COMMAND, count)
    _check(np.isin(sent["kind"], _KINDS), "kind", "It must be PLACE, CANCEL, CANCEL_ALL or AMEND.")
    _check((sent["flag_bits"] & ~np.uint32(_FLAGS)) == 0, "flag_bits", "Some of its flags are not for clients.")
    _check_text(sent, "client_order_id")
    _check_text(sent, "original_client_order_id", sent["kind"] == CommandKind.PLACE)
    ahead = sent["timestamp_us"] >= now_ns // 1000 + AHEAD_US_MAX
    _check(~ahead & (sent["timestamp_us"] >= 0), "timestamp_us", "It is 1 s or more ahead of the server's time.")
    clean = np.zeros(count, COMMAND)
    for name in _KEPT:
        clean[name] = sent[name]
    stamped = clean["timestamp_us"] > 0
    clean["expires_ns"] = np.where(stamped, clean["timestamp_us"] * 1000 + RECV_WINDOW_MS * 1_000_000, 0)
    clean["version"] = SCHEMA_VERSION
    clean["slots"] = 1
    return clean, sent["correlation"].copy()


@dataclass
class _Batch:
    """One frame's commands under way."""

    connection: int
    first: int
    count: int
    unanswered: int
    deadline: float


class BinaryCommands:
    """Which client's correlation stands behind each binary command under way; bounded by IN_FLIGHT_MAX."""

    def __init__(self, first_correlation: int) -> None:
        self._next = CORRELATION_FROM + first_correlation
        self._theirs = np.zeros(IN_FLIGHT_MAX, np.int64)
        self._batch_of = np.zeros(IN_FLIGHT_MAX, np.int64)
        self._batches: deque[_Batch] = deque()
        self._first_batch = 0

    @property
    def next_deadline(self) -> float | None:
        return self._batches[0].deadline if self._batches else None

    def check_room(self, count: int) -> None:
        """Raises Refusal -1008 when too many are under way."""
        oldest = self._batches[0].first if self._batches else self._next
        if self._next + count - oldest > IN_FLIGHT_MAX:
            raise overloaded()

    def add(self, connection: int, theirs: np.ndarray, deadline: float) -> np.ndarray:
        """Take a frame's commands in. Returns the gateway's own correlations, i8, shape (n,)."""
        ours = np.arange(self._next, self._next + len(theirs))
        places = ours & (IN_FLIGHT_MAX - 1)
        self._theirs[places] = theirs
        self._batch_of[places] = self._first_batch + len(self._batches)
        self._batches.append(_Batch(connection, self._next, len(theirs), len(theirs), deadline))
        self._next += len(theirs)
        return ours

    def restore(self, events: np.ndarray) -> np.ndarray:
        """Events of commands still under way, with the clients' correlations; a copy of shape (m,), m ≤ n.

        `events` are EVENT records of this gateway's present life with binary correlations.
        """
        oldest = self._batches[0].first if self._batches else self._next
        events = events[(events["correlation"] >= oldest) & (events["correlation"] < self._next)]
        places = events["correlation"] & (IN_FLIGHT_MAX - 1)
        last = places[(events["flag_bits"] & EventFlag.LAST) != 0]
        batches, counts = np.unique(self._batch_of[last], return_counts=True)
        for batch, count in zip(batches.tolist(), counts.tolist(), strict=True):
            self._batches[batch - self._first_batch].unanswered -= count
        restored = events.copy()
        restored["correlation"] = self._theirs[places]
        return restored

    def finished(self) -> list[tuple[int, int]]:
        """(connection, commands) of frames at the head that are answered in full; they are forgotten."""
        found = []
        while self._batches and self._batches[0].unanswered == 0:
            batch = self._take_first()
            found.append((batch.connection, batch.count))
        return found

    def expired(self, now: float) -> list[tuple[int, int, int]]:
        """(connection, commands, unanswered) of frames past their deadline; they are forgotten."""
        found = []
        while self._batches and self._batches[0].deadline <= now:
            batch = self._take_first()
            found.append((batch.connection, batch.count, batch.unanswered))
        return found

    def _take_first(self) -> _Batch:
        self._first_batch += 1
        return self._batches.popleft()


def by_connection(events: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """EVENT records split by `connection`, each part in order."""
    if not len(events):
        return []
    order = np.argsort(events["connection"], kind="stable")
    sorted_events = events[order]
    cuts = np.flatnonzero(np.diff(sorted_events["connection"].astype(np.int64))) + 1
    return [(int(part["connection"][0]), part) for part in np.split(sorted_events, cuts)]


def check_share(in_flight: int, count: int) -> None:
    """One connection may hold a quarter of the room. Raises Refusal -1003."""
    if in_flight + count > IN_FLIGHT_MAX // 4:
        raise too_many("binary commands may be in flight on one connection", IN_FLIGHT_MAX // 4)


def _check(good: np.ndarray, name: str, why: str) -> None:
    if not good.all():
        raise invalid(name, f"Record {int(np.argmin(good))}: {why}")


def _check_text(sent: np.ndarray, name: str, is_none: np.ndarray | np.bool_ = np.False_) -> None:
    """`is_none`: where it is no text, but something else (of PLACE: the strategy's id and type)."""
    text = np.ascontiguousarray(sent[name]).view(np.uint8).reshape(len(sent), _TEXT_BYTES)
    legal = _IN_TEXT[text].all(axis=1) & (text[:, CLIENT_ORDER_ID_BYTES_MAX:] == 0).all(axis=1)
    _check(legal | is_none, name, "It may hold up to 36 letters, digits and .:/_-, padded with zero bytes.")
    gap_free = ((text[:, 1:] == 0) | (text[:, :-1] != 0)).all(axis=1)
    _check(gap_free | is_none, name, "Zero bytes may only follow the text.")
    reserved = (text[:, : len(_RESERVED)] == _RESERVED).all(axis=1)
    _check(
        ~reserved | is_none,
        name,
        f'Ids that begin with "{RESERVED_PREFIX}" are not for the binary path; send order_id.',
    )
