"""Taking a request: a client's bytes to a COMMAND in the gateway's ring, and its flight, in one step.

Everything that the ordinary way would refuse is looked at before anything is changed: room in the ring, in the tables
and on the connection, limits of weight and orders. What does not pass is left to the ordinary way, which refuses it in
its words.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import numpy as np

from ringex.gateways.express.commands import DEMANDS, command_of
from ringex.gateways.express.fields import REQUEST, Express, IdKind, request_clear
from ringex.gateways.express.flights import (
    FLIGHT,
    FLIGHTS,
    ID_OFFSET,
    ORIGINAL_BYTES_MAX,
    SEAT,
    flight_at,
    flight_begin,
    flight_place,
    original_at,
)
from ringex.gateways.express.readers import read_json, read_msgpack, read_query
from ringex.gateways.meters import METER, meter_take
from ringex.gateways.outbox import JOURNAL_FULL
from ringex.gateways.session import IN_FLIGHT_MAX
from ringex.gateways.weights import weight_of
from ringex.jit import compiled, entry, int64, separate
from ringex.memory import copy_bytes, record_at
from ringex.messages import COMMAND
from ringex.ring import ring_capacity, ring_consumed, ring_publish, ring_published, ring_slot, ring_state

CANCEL_WEIGHT: Final = weight_of("order.cancel", {})
PLACE_WEIGHT: Final = weight_of("order.place", {})
AMEND_WEIGHT: Final = weight_of("order.amend.keepPriority", {})


class Encoding(IntEnum):
    MSGPACK = 1
    JSON = 2
    QUERY = 3
    """Parameters alone: the method is known otherwise, and there is no id. Its answer is a result in JSON."""


DESK: Final = np.dtype(
    [
        ("request", "i8"),  # addresses of what belongs to the desk
        ("demands", "i8"),
        ("markets", "i8"),
        ("flights", "i8"),
        ("command_ring", "i8"),
        ("event_ring", "i8"),
        ("gateway", "i8"),
        ("incarnation", "i8"),
        ("answer_ns", "i8"),  # how long a flight is waited for
        ("limits_enabled", "i8"),  # RateLimits
        ("weight_max", "i8"),
        ("raw_max", "i8"),
        ("unpublished", "i8"),  # commands that lie in the ring and are not published yet
        ("taken", "i8"),  # requests taken since Python counted them last
        ("keeps_originals", "i8"),  # 1: messages are kept beside their flights
    ]
)


@separate
def take(
    desk: int,
    seat: int,
    encoding: int,
    method: int,
    source: int,
    size_bytes: int,
    now_ns: int,
    deadline_ns: int,
    signed: int,
    unit_ns: int,
) -> int:
    """Take one request of a seat. Its correlation, or 0: it goes the ordinary way. `publish` must follow.

    `signed` as in `ringex.gateways.express.reading`; `unit_ns` of times in the reply, 0: the seat's.
    """
    d = record_at(desk, 0, DESK)
    t = record_at(d.flights, 0, FLIGHTS)
    s = record_at(t.seats, seat, SEAT)
    s.touched = 1
    correlation = t.next_correlation
    place = flight_place(correlation)
    f = record_at(flight_at(d.flights, place), 0, FLIGHT)
    cursor = ring_published(d.command_ring) + d.unpublished
    is_room = s.in_flight + s.others < IN_FLIGHT_MAX and f.correlation == 0
    is_room = is_room and cursor - ring_consumed(d.command_ring) < ring_capacity(d.command_ring)
    if not is_room or ring_state(d.event_ring) == JOURNAL_FULL:
        return int64(0)
    if d.keeps_originals != 0 and size_bytes > ORIGINAL_BYTES_MAX:
        return int64(0)
    if encoding == Encoding.MSGPACK:
        read = read_msgpack(d.request, source, size_bytes)
    elif encoding == Encoding.JSON:
        read = read_json(d.request, source, size_bytes)
    else:
        request_clear(d.request, method)
        read = read_query(d.request, source, size_bytes)
    if not read:
        return int64(0)
    demands = record_at(d.demands, 0, DEMANDS)
    demands.now_ns = now_ns
    demands.signed = signed
    demands.shows_limits = s.shows_limits
    command = ring_slot(d.command_ring, cursor)
    if not command_of(d.request, d.demands, d.markets, command):
        return int64(0)
    request = record_at(d.request, 0, REQUEST)
    method = int64(request.method)
    if not _within_limits(desk, seat, method, now_ns):
        return int64(0)
    c = record_at(command, 0, COMMAND)
    c.correlation = correlation
    c.gateway = np.uint16(d.gateway)
    c.incarnation = np.uint32(d.incarnation)
    c.connection = np.uint32(s.number)
    c.transport = np.uint8(s.transport)
    c.key = np.uint32(s.key)
    c.account = np.int32(s.account)
    f.correlation = correlation
    f.deadline_ns = deadline_ns
    f.number = s.number
    f.seat = seat
    f.receive_ns = now_ns
    f.timestamp_us = c.timestamp_us
    f.expires_ns = c.expires_ns
    f.account = s.account
    f.key = s.key
    f.meter = s.meter
    f.subject = s.subject
    f.market = c.market
    f.method = np.uint8(method)
    f.encoding = np.uint8(encoding)
    f.response_type = np.uint8(demands.response_type)
    f.shows_limits = np.uint8(demands.shows_limits)
    f.id_kind = request.id_kind
    f.id_number = request.id_number
    if request.id_kind == IdKind.TEXT:
        f.id_length = np.int32(request.id_length)
        copy_bytes(flight_at(d.flights, place) + ID_OFFSET, request.id_address, request.id_length)
    f.unit_ns = unit_ns if unit_ns != 0 else s.unit_ns
    f.handed_over = 0
    f.original_bytes = 0
    if d.keeps_originals != 0:
        f.original_bytes = size_bytes
        copy_bytes(original_at(d.flights, place), source, size_bytes)
    flight_begin(d.flights, place, seat)
    t.next_correlation = correlation + 1
    d.unpublished += 1
    d.taken += 1
    return correlation


@compiled
def _within_limits(desk: int, seat: int, method: int, now_ns: int) -> bool:
    """Count a request of a seat; False, and it is not counted, where it would pass a limit."""
    d = record_at(desk, 0, DESK)
    s = record_at(record_at(d.flights, 0, FLIGHTS).seats, seat, SEAT)
    if record_at(s.meter, 0, METER).subject != s.subject:
        return False
    if d.limits_enabled == 0:
        return True
    weight = int64(PLACE_WEIGHT)
    if method == Express.ORDER_CANCEL:
        weight = int64(CANCEL_WEIGHT)
    elif method == Express.ORDER_AMEND_KEEP_PRIORITY:
        weight = int64(AMEND_WEIGHT)
    if s.is_limited == 0:
        return meter_take(s.meter, weight, now_ns // 1_000_000_000, -1, -1)
    return meter_take(s.meter, weight, now_ns // 1_000_000_000, d.weight_max, d.raw_max)


@entry
@compiled
def publish(desk: int) -> None:
    """Publish what `take` has put into the ring."""
    d = record_at(desk, 0, DESK)
    if d.unpublished != 0:
        count = d.unpublished
        d.unpublished = 0
        ring_publish(d.command_ring, ring_published(d.command_ring) + count)
