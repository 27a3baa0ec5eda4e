"""Batches: frames of binary commands under way. A whole frame is checked and put into the command ring in one step.

`in_order` knows frames that are; one that is not is `ringex.gateways.binary.decode`'s to refuse, in its words. What
`put` writes into the ring is what `decode` would have made of the frame: tests/test_batches.py compares them.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from ringex.gateways.auth import AHEAD_US_MAX, RECV_WINDOW_MS
from ringex.gateways.binary import (
    CORRELATION_FROM,
    FLAGS,
    IN_FLIGHT_MAX,
    IN_TEXT,
    KEPT,
    KINDS,
    RECORDS_PER_FRAME_MAX,
    TEXT_BYTES,
)
from ringex.gateways.errors import overloaded
from ringex.gateways.express.taking import DESK
from ringex.gateways.express.texts import byte_at
from ringex.gateways.parameters import RESERVED_PREFIX
from ringex.jit import compiled, entry, inlined, int64
from ringex.memory import address_of, copy_bytes, record_at, zero_bytes
from ringex.messages import CLIENT_ORDER_ID_BYTES_MAX, COMMAND, EVENT, RECORD_BYTES, SCHEMA_VERSION
from ringex.ring import ring_published, ring_slot
from ringex.tables import words_empty
from ringex.terms import CommandFlag, CommandKind, EventFlag, Transport

RESTORED_MAX: Final = 1 << 13
"""Events that one call of `restore` gives back."""
_BATCH: Final = np.dtype(
    [("connection", "i8"), ("first", "i8"), ("count", "i8"), ("unanswered", "i8"), ("deadline_ns", "i8")]
)
_COMMAND: Final = np.dtype([("theirs", "i8"), ("batch", "i8")])
_SPAN: Final = np.dtype([("offset", "i8"), ("size_bytes", "i8")])
_INDEX: Final = np.dtype([("value", "i8")])
BATCHES: Final = np.dtype(
    [
        ("desk", "i8"),
        ("commands", "i8"),  # addresses: of IN_FLIGHT_MAX _COMMAND records, by correlation
        ("batches", "i8"),  # of as many _BATCH records, by number
        ("restored", "i8"),  # of RESTORED_MAX EVENT records
        ("kinds", "i8"),  # of 256 bytes each: 1 for what is allowed
        ("letters", "i8"),
        ("spans", "i8"),  # of _SPAN records: what is kept of a client's record
        ("spans_count", "i8"),
        ("next", "i8"),  # correlation of the next command
        ("first_batch", "i8"),  # numbers of the oldest and the next batch
        ("next_batch", "i8"),
        ("now_ns", "i8"),  # of the frame that is being taken
        ("deadline_ns", "i8"),
        ("connection", "i8"),
        ("account", "i8"),
        ("key", "i8"),
        ("marks_orders", "i8"),
        ("is_one", "i8"),  # told by `restore`: all events are of one connection
    ]
)
_MASK: Final = IN_FLIGHT_MAX - 1
_TEXTS: Final[tuple[int, int]] = (
    COMMAND.fields["client_order_id"][1],  # type: ignore[index]
    COMMAND.fields["original_client_order_id"][1],  # type: ignore[index]
)
_FIRST_TEXT, _SECOND_TEXT = _TEXTS
_RESERVED: Final = int.from_bytes(RESERVED_PREFIX.encode(), "little")
_RESERVED_BYTES: Final = len(RESERVED_PREFIX)
_ALLOWED_FLAGS: Final = int(FLAGS)


def _spans() -> np.ndarray:
    """The bytes of the fields that are kept, neighbours joined."""
    found: list[list[int]] = []
    for part, offset in sorted((COMMAND.fields[name][:2] for name in KEPT), key=lambda place: place[1]):  # type: ignore[index]
        if found and found[-1][0] + found[-1][1] == offset:
            found[-1][1] += part.itemsize
        else:
            found.append([offset, part.itemsize])
    return np.array([tuple(span) for span in found], _SPAN)


class Batches:
    """The frames under way at one gateway, bounded by IN_FLIGHT_MAX commands. `desk`: address of a DESK record."""

    def __init__(self, desk: int, first_correlation: int) -> None:
        self._commands = np.zeros(IN_FLIGHT_MAX, _COMMAND)
        self._batches = np.zeros(IN_FLIGHT_MAX, _BATCH)
        self._restored = np.zeros(RESTORED_MAX, EVENT)
        self._kinds = np.isin(np.arange(256), KINDS).astype(np.uint8)
        self._letters = IN_TEXT.astype(np.uint8)
        self._spans = _spans()
        self._root = np.zeros(1, BATCHES)
        self._root["desk"] = desk
        self._root["commands"], self._root["batches"] = address_of(self._commands), address_of(self._batches)
        self._root["restored"] = address_of(self._restored)
        self._root["kinds"], self._root["letters"] = address_of(self._kinds), address_of(self._letters)
        self._root["spans"], self._root["spans_count"] = address_of(self._spans), len(self._spans)
        self._root["next"] = CORRELATION_FROM + first_correlation
        self._address = address_of(self._root)

    @property
    def next_deadline(self) -> float | None:
        oldest = self._oldest()
        return None if oldest is None else float(oldest["deadline_ns"]) / 1e9

    def check_room(self, count: int) -> None:
        """Raises Refusal -1008 when too many are under way."""
        oldest, following = self._oldest(), int(self._root["next"][0])
        first = following if oldest is None else int(oldest["first"])
        if following + count - first > IN_FLIGHT_MAX:
            raise overloaded()

    def in_order(self, frame: bytes, now_ns: int) -> bool:
        """Whether a frame that has come now can be taken."""
        count, rest = divmod(len(frame), RECORD_BYTES)
        if rest or not 0 < count <= RECORDS_PER_FRAME_MAX:
            return False
        self._root["now_ns"] = now_ns
        return bool(_in_order(self._address, address_of(np.frombuffer(frame, np.uint8)), count))

    def put(
        self, frame: bytes, connection: int, account: int, key: int, deadline: float, marks_orders: bool = False
    ) -> None:
        """Take the frame that was `in_order` last, for which there is room; the desk's `publish` must follow."""
        root = self._root[0]
        root["connection"], root["account"], root["key"], root["marks_orders"] = connection, account, key, marks_orders
        root["deadline_ns"] = int(deadline * 1e9)
        _put(self._address, address_of(np.frombuffer(frame, np.uint8)), len(frame) // RECORD_BYTES)

    def restore(self, events: np.ndarray, which: np.ndarray) -> tuple[np.ndarray, bool]:
        """Those of `events` at the indices `which` (at most RESTORED_MAX) whose commands are still under way.

        They have the clients' correlations; good until the next call. Also: whether all are of one connection.
        """
        count = _restore(self._address, address_of(events), address_of(which), len(which))
        return self._restored[:count], bool(self._root["is_one"][0])

    def finished(self) -> list[tuple[int, int]]:
        """(connection, commands) of frames at the head that are answered in full; they are forgotten."""
        found = []
        while (oldest := self._oldest()) is not None and oldest["unanswered"] == 0:
            found.append((int(oldest["connection"]), int(oldest["count"])))
            self._root["first_batch"] += 1
        return found

    def expired(self, now: float) -> list[tuple[int, int, int]]:
        """(connection, commands, unanswered) of frames past their deadline; they are forgotten."""
        found = []
        while (oldest := self._oldest()) is not None and oldest["deadline_ns"] / 1e9 <= now:
            found.append((int(oldest["connection"]), int(oldest["count"]), int(oldest["unanswered"])))
            self._root["first_batch"] += 1
        return found

    def _oldest(self) -> np.void | None:
        first = int(self._root["first_batch"][0])
        return None if first == self._root["next_batch"][0] else self._batches[first & _MASK]


@entry
@compiled
def _in_order(batches: int, frame: int, count: int) -> bool:
    at = int64(0)
    while at < count and _is_in_order(batches, frame + at * RECORD_BYTES):
        at += 1
    return at == count


@entry
@compiled
def _put(batches: int, frame: int, count: int) -> None:
    b = record_at(batches, 0, BATCHES)
    d = record_at(b.desk, 0, DESK)
    cursor = ring_published(d.command_ring) + d.unpublished
    for at in range(count):
        _put_one(batches, frame + at * RECORD_BYTES, ring_slot(d.command_ring, cursor + at), b.next + at)
    batch = record_at(b.batches, b.next_batch & _MASK, _BATCH)
    batch.connection = b.connection
    batch.first = b.next
    batch.count = count
    batch.unanswered = count
    batch.deadline_ns = b.deadline_ns
    b.next += count
    b.next_batch += 1
    d.unpublished += count


@compiled
def _is_in_order(batches: int, record: int) -> bool:
    """Whether a client's record is one: the same rules as `ringex.gateways.binary.decode`."""
    b = record_at(batches, 0, BATCHES)
    c = record_at(record, 0, COMMAND)
    if byte_at(b.kinds + int64(c.kind)) == 0 or int64(c.flag_bits) & ~_ALLOWED_FLAGS != 0:
        return False
    if c.timestamp_us < 0 or c.timestamp_us >= b.now_ns // 1000 + AHEAD_US_MAX:
        return False
    if not _is_text(b.letters, record + _FIRST_TEXT):
        return False
    return c.kind == CommandKind.PLACE or _is_text(b.letters, record + _SECOND_TEXT)  # a PLACE has no second one


@compiled
def _is_text(letters: int, text: int) -> bool:
    """Whether five words hold a client order id that a client may give, or none."""
    if words_empty(text):
        return True
    start = int64(0)
    length = int64(0)
    while length < TEXT_BYTES and byte_at(text + length) != 0:
        byte = byte_at(text + length)
        if byte_at(letters + byte) == 0:
            return False
        if length < _RESERVED_BYTES:
            start |= byte << (8 * length)
        length += 1
    for at in range(length, TEXT_BYTES):
        if byte_at(text + at) != 0:
            return False
    return 0 < length <= CLIENT_ORDER_ID_BYTES_MAX and start != _RESERVED


@inlined
def _put_one(batches: int, record: int, slot: int, correlation: int) -> None:
    """Write a client's record into the ring, and remember its own correlation."""
    b = record_at(batches, 0, BATCHES)
    d = record_at(b.desk, 0, DESK)
    theirs = record_at(record, 0, COMMAND)
    zero_bytes(slot, RECORD_BYTES)
    for at in range(b.spans_count):
        span = record_at(b.spans, at, _SPAN)
        copy_bytes(slot + span.offset, record + span.offset, span.size_bytes)
    c = record_at(slot, 0, COMMAND)
    c.version = np.uint8(SCHEMA_VERSION)
    c.slots = np.uint8(1)
    c.correlation = correlation
    c.receive_ns = b.now_ns
    c.expires_ns = theirs.timestamp_us * 1000 + RECV_WINDOW_MS * 1_000_000 if theirs.timestamp_us > 0 else 0
    c.gateway = np.uint16(d.gateway)
    c.incarnation = np.uint32(d.incarnation)
    c.transport = np.uint8(Transport.ZMQ_BINARY)
    c.connection = np.uint32(b.connection)
    c.key = np.uint32(b.key)
    c.account = np.int32(b.account)
    if b.marks_orders != 0 and c.kind == CommandKind.PLACE:
        c.flag_bits = np.uint32(int64(c.flag_bits) | CommandFlag.CANCEL_ON_DISCONNECT)
    place = record_at(b.commands, correlation & _MASK, _COMMAND)
    place.theirs = theirs.correlation
    place.batch = b.next_batch


@entry
@compiled
def _restore(batches: int, events: int, which: int, count: int) -> int:
    """Copy events of commands under way to `restored`. Returns how many."""
    b = record_at(batches, 0, BATCHES)
    b.is_one = 1
    oldest = b.next
    if b.first_batch != b.next_batch:
        oldest = record_at(b.batches, b.first_batch & _MASK, _BATCH).first
    copied = int64(0)
    for at in range(count):
        event = events + record_at(which, at, _INDEX).value * RECORD_BYTES
        e = record_at(event, 0, EVENT)
        if e.correlation < oldest or e.correlation >= b.next:
            continue
        place = record_at(b.commands, e.correlation & _MASK, _COMMAND)
        copy_bytes(b.restored + copied * RECORD_BYTES, event, RECORD_BYTES)
        record_at(b.restored, copied, EVENT).correlation = place.theirs
        if int64(e.flag_bits) & EventFlag.LAST != 0:
            record_at(b.batches, place.batch & _MASK, _BATCH).unanswered -= 1
        if int64(e.connection) != int64(record_at(b.restored, 0, EVENT).connection):
            b.is_one = 0
        copied += 1
    return copied
