"""Flights: the express way's commands under way, and seats: the connections that they come from. Bounded tables.

A flight lies at its correlation modulo the table's size; where an old one is still there, a new request goes the
ordinary way. A seat is what compiled code must know of a connection; the connection itself is the ordinary way's
(`ringex.gateways.session`), which takes a seat away as soon as anything of it changes. The flights of a seat are
linked, oldest first: queries wait for what their connection has sent before.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from ringex.gateways.express.fields import ID_BYTES_MAX
from ringex.jit import compiled, entry, inlined, int64
from ringex.memory import record_at
from ringex.tables import index_find, index_put, index_remove_value

FLIGHTS_MAX: Final = 1 << 14
"""A power of two."""
ORIGINAL_BYTES_MAX: Final = 512
"""Of a message that is kept, for replies that only the ordinary way can make. Longer ones go the ordinary way."""

SEAT: Final = np.dtype(
    [
        ("number", "i8"),  # the connection's; 0: the seat is free
        ("identity", "i8"),  # by which a ROUTER knows the peer: the number in the identity that it gave it
        ("account", "i8"),
        ("key", "i8"),
        ("transport", "i8"),
        ("meter", "i8"),  # address of a METER record
        ("subject", "i8"),  # whose that has to be
        ("is_limited", "i8"),
        ("shows_limits", "i8"),
        ("unit_ns", "i8"),  # of times in its replies
        ("delimited", "i8"),  # its messages come behind an empty frame, and replies go so
        ("in_flight", "i8"),
        ("first", "i8"),  # place + 1 of its oldest flight; 0: there is none
        ("last", "i8"),
        ("others", "i8"),  # at most so many requests of it are under way in the ordinary way
        ("touched", "i8"),  # it has sent something since this was cleared
    ]
)
FLIGHT: Final = np.dtype(
    [
        ("correlation", "i8"),  # 0: none
        ("deadline_ns", "i8"),  # by the monotonic clock
        ("number", "i8"),  # the connection's
        ("seat", "i8"),
        ("next", "i8"),  # place + 1, of the same seat
        ("previous", "i8"),
        ("receive_ns", "i8"),
        ("timestamp_us", "i8"),
        ("expires_ns", "i8"),
        ("account", "i8"),
        ("key", "i8"),
        ("meter", "i8"),
        ("subject", "i8"),
        ("market", "i4"),
        ("method", "u1"),
        ("encoding", "u1"),
        ("response_type", "u1"),
        ("shows_limits", "u1"),
        ("original_bytes", "i8"),
        ("unit_ns", "i8"),
        ("handed_over", "i8"),  # 1: its events go the ordinary way
        ("id_number", "i8"),
        ("id_kind", "i4"),
        ("id_length", "i4"),
        ("id_text", "u1", (ID_BYTES_MAX,)),
    ],
    align=True,
)
ID_OFFSET: Final[int] = FLIGHT.fields["id_text"][1]  # type: ignore[index]
FLIGHT_BYTES: Final = FLIGHT.itemsize
FLIGHTS: Final = np.dtype(
    [
        ("records", "i8"),  # address of FLIGHTS_MAX FLIGHT records
        ("originals", "i8"),  # of as many times ORIGINAL_BYTES_MAX bytes
        ("seats", "i8"),  # of SEAT records; 0 is none
        ("by_identity", "i8"),  # index: a ROUTER's number of a peer -> its seat
        ("count", "i8"),
        ("oldest", "i8"),  # no flight has a lower correlation
        ("next_correlation", "i8"),  # of every request of this gateway, not only of express ones
    ]
)


@entry
@compiled
def seat_enter(flights: int, seat: int) -> None:
    """From now on messages of the seat's peer are known to be its."""
    t = record_at(flights, 0, FLIGHTS)
    index_put(t.by_identity, record_at(t.seats, seat, SEAT).identity, seat)


@entry
@compiled
def seat_leave(flights: int, seat: int) -> None:
    """The connection has gone, or has changed. Its flights stay, and know that by its number."""
    t = record_at(flights, 0, FLIGHTS)
    s = record_at(t.seats, seat, SEAT)
    if s.identity != 0:
        index_remove_value(t.by_identity, s.identity, seat)
    s.number = 0
    s.identity = 0


@inlined
def seat_of_identity(flights: int, identity: int) -> int:
    """The seat of a peer, or 0."""
    return index_find(record_at(flights, 0, FLIGHTS).by_identity, identity)


@inlined
def flight_place(correlation: int) -> int:
    return correlation & (FLIGHTS_MAX - 1)


@inlined
def flight_at(flights: int, place: int) -> int:
    """The address of a FLIGHT."""
    return record_at(flights, 0, FLIGHTS).records + place * FLIGHT_BYTES


@inlined
def original_at(flights: int, place: int) -> int:
    """Where the message of a flight is kept."""
    return record_at(flights, 0, FLIGHTS).originals + place * ORIGINAL_BYTES_MAX


@entry
@compiled
def flight_find(flights: int, correlation: int) -> int:
    """The place of the flight with this correlation; -1: there is none. 0: nobody waits for the answer."""
    place = flight_place(correlation)
    if correlation == 0 or record_at(flight_at(flights, place), 0, FLIGHT).correlation != correlation:
        return int64(-1)
    return place


@compiled
def flight_begin(flights: int, place: int, seat: int) -> None:
    """Count a flight whose record has been filled, behind the others of its seat."""
    t = record_at(flights, 0, FLIGHTS)
    s = record_at(t.seats, seat, SEAT)
    f = record_at(flight_at(flights, place), 0, FLIGHT)
    f.next = 0
    f.previous = s.last
    if s.last != 0:
        record_at(flight_at(flights, s.last - 1), 0, FLIGHT).next = place + 1
    else:
        s.first = place + 1
    s.last = place + 1
    s.in_flight += 1
    t.count += 1


@entry
@compiled
def flight_end(flights: int, place: int) -> None:
    """Forget a flight: it is answered, or the ordinary way goes on with it. Its record can still be read."""
    t = record_at(flights, 0, FLIGHTS)
    f = record_at(flight_at(flights, place), 0, FLIGHT)
    s = record_at(t.seats, f.seat, SEAT)
    if s.number == f.number:  # else the connection has gone, and its seat may be another's by now
        if f.previous != 0:
            record_at(flight_at(flights, f.previous - 1), 0, FLIGHT).next = f.next
        else:
            s.first = f.next
        if f.next != 0:
            record_at(flight_at(flights, f.next - 1), 0, FLIGHT).previous = f.previous
        else:
            s.last = f.previous
        s.in_flight -= 1
    f.correlation = 0
    t.count -= 1


@entry
@compiled
def flight_oldest(flights: int) -> int:
    """The place of the oldest flight; -1: there is none."""
    t = record_at(flights, 0, FLIGHTS)
    if t.count == 0:
        t.oldest = t.next_correlation
        return int64(-1)
    while record_at(flight_at(flights, flight_place(t.oldest)), 0, FLIGHT).correlation != t.oldest:
        t.oldest += 1
    return flight_place(t.oldest)
