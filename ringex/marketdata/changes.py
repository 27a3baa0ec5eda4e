"""Changes: which levels of which books a batch of events has changed, each once, as it was left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ringex.jit import compiled, entry, inlined, int64
from ringex.memory import address_of, copy_bytes, record_at
from ringex.messages import EVENT, RECORD_BYTES, TRADE
from ringex.terms import EventFlag, EventKind, Side

CHANGE: Final = np.dtype(
    [
        ("book", "i8"),  # market number * 2, + 1 for asks
        ("rank", "i8"),  # ascending is best first: the price of an ask, minus the price of a bid
        ("quantity", "i8"),  # that rests there now; 0: the level is gone
        ("update_id", "i8"),
        ("time_ns", "i8"),
    ]
)
BOOK_CHANGES: Final = np.dtype(
    [
        ("market", "i8"),
        ("first_update_id", "i8"),
        ("last_update_id", "i8"),
        ("time_ns", "i8"),  # of the last event among them
        ("first", "i8"),  # where its CHANGE records begin: bids, then asks, each best first
        ("bids", "i8"),  # how many
        ("asks", "i8"),
    ]
)
_CHANGE_BYTES: Final = CHANGE.itemsize


@dataclass(frozen=True, slots=True)
class MarketChanges:
    """The changes of one market's book from update `first_update_id` to `last_update_id`, both included.

    `bids` and `asks` are (price, quantity) pairs, best first; quantity 0 says that the level is gone. `time_ns` is
    that of the last event among them.
    """

    market: int
    first_update_id: int
    last_update_id: int
    time_ns: int
    bids: list[tuple[int, int]]
    asks: list[tuple[int, int]]


class ChangesRoom:
    """Memory for the changes of a batch of at most `events_max` events."""

    def __init__(self, events_max: int) -> None:
        self.events_max = events_max
        self.changes = np.empty(events_max, CHANGE)
        self.spare = np.empty(events_max, CHANGE)
        self.books = np.empty(events_max, BOOK_CHANGES)


def changes_by_market(events: np.ndarray) -> list[MarketChanges]:
    """The changes that a batch of EVENT records makes, by market number. The batch must not leave out any event."""
    if not len(events):
        return []
    room = ChangesRoom(len(events))
    events = np.ascontiguousarray(events)
    count = changes_collect(
        *(address_of(events), len(events), address_of(room.changes), address_of(room.spare), address_of(room.books))
    )
    found = []
    for market, first_update_id, last_update_id, time_ns, first, bids, asks in room.books[:count].tolist():
        kept = room.changes[first : first + bids + asks]
        prices, quantities = np.abs(kept["rank"]).tolist(), kept["quantity"].tolist()
        levels = list(zip(prices, quantities, strict=True))
        found.append(MarketChanges(market, first_update_id, last_update_id, time_ns, levels[:bids], levels[bids:]))
    return found


@entry
@compiled
def changes_collect(events: int, count: int, changes: int, spare: int, books: int) -> int:
    """Collect the changes of `count` EVENT records into CHANGE and BOOK_CHANGES records; `count` of each have room.

    `spare` is room for as many CHANGE records. Returns how many books have changed. A gap in a market's update ids
    fails an assertion.
    """
    flagged = int64(0)
    for at in range(count):
        event = events + at * RECORD_BYTES
        if (record_at(event, 0, EVENT).flag_bits & EventFlag.LEVEL) != 0:
            _note(record_at(changes, flagged, CHANGE), event)
            flagged += 1
    _sort(changes, spare, flagged)
    found = int64(0)
    kept = int64(0)
    at = int64(0)
    while at < flagged:
        end = at + 1
        market = record_at(changes, at, CHANGE).book >> 1
        while end < flagged and record_at(changes, end, CHANGE).book >> 1 == market:
            end += 1
        _close(record_at(books, found, BOOK_CHANGES), changes, at, end, kept)
        kept += record_at(books, found, BOOK_CHANGES).bids + record_at(books, found, BOOK_CHANGES).asks
        found += 1
        at = end
    return found


@inlined
def _note(change: Any, event: int) -> None:
    """Make a CHANGE of the EVENT record at address `event`."""
    e = record_at(event, 0, EVENT)
    if e.kind == EventKind.TRADE:
        t = record_at(event, 0, TRADE)
        is_ask = t.side == Side.BUY
        price = t.price
        change.quantity = t.level_quantity
        change.update_id = t.book_update_id
    else:
        is_ask = e.side == Side.SELL
        price = e.level_price
        change.quantity = e.level_quantity
        change.update_id = e.book_update_id
    change.book = int64(e.market) * 2 + (1 if is_ask else 0)
    change.rank = price if is_ask else -price
    change.time_ns = e.time_ns


@compiled
def _close(book: Any, changes: int, start: int, end: int, kept: int) -> None:
    """Make the BOOK_CHANGES of the sorted CHANGE records `start` to `end`; what is kept of them moves to `kept`."""
    first = record_at(changes, start, CHANGE)
    book.market = first.book >> 1
    book.first_update_id = first.update_id
    book.last_update_id = first.update_id
    book.time_ns = first.time_ns
    book.first = kept
    book.bids = 0
    book.asks = 0
    for at in range(start, end):
        change = record_at(changes, at, CHANGE)
        book.first_update_id = min(book.first_update_id, change.update_id)
        book.last_update_id = max(book.last_update_id, change.update_id)
        book.time_ns = max(book.time_ns, change.time_ns)
        if at + 1 < end and not _before(changes, at, at + 1):
            continue  # of one level's changes the last one stays
        if change.book & 1 != 0:
            book.asks += 1
        else:
            book.bids += 1
        if kept != at:
            copy_bytes(changes + kept * _CHANGE_BYTES, changes + at * _CHANGE_BYTES, _CHANGE_BYTES)
        kept += 1
    assert book.last_update_id - book.first_update_id + 1 == end - start, "the updates of a market's book have a gap"


@compiled
def _sort(changes: int, spare: int, count: int) -> None:
    """Sort by book and rank; equal ones stay in their order. A merge sort: runs of 1, 2, 4 ... records."""
    source, target = changes, spare
    width = int64(1)
    while width < count:
        start = int64(0)
        while start < count:
            middle = min(start + width, count)
            end = min(middle + width, count)
            left, right = start, middle
            for at in range(start, end):
                if left < middle and (right >= end or not _before(source, right, left)):
                    taken = left
                    left += 1
                else:
                    taken = right
                    right += 1
                copy_bytes(target + at * _CHANGE_BYTES, source + taken * _CHANGE_BYTES, _CHANGE_BYTES)
            start = end
        source, target = target, source
        width *= 2
    if source != changes and count > 0:
        copy_bytes(changes, source, count * _CHANGE_BYTES)


@inlined
def _before(changes: int, one: int, other: int) -> bool:
    a, b = record_at(changes, one, CHANGE), record_at(changes, other, CHANGE)
    return a.book < b.book or (a.book == b.book and a.rank < b.rank)
