"""The desk: the express way of one gateway. It owns the tables, gives connections their seats, and hands over.

A transport that has a request's bytes asks `take`; what it gets 0 for goes the ordinary way. `publish` follows, at the
latest before the ordinary way sends a command. Events come through `answer`, in batches: replies, and which events are
the ordinary way's. `seat` gives a connection that has shown a key its seat; whatever changes a connection takes
it away again (`Connection.unseat`), so that a seat never knows more than the connection does.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from ringex.gateways.express.answering import Answers, Replies, answer
from ringex.gateways.express.commands import Demands
from ringex.gateways.express.fields import METHOD_NAMES, Express, Request
from ringex.gateways.express.flights import (
    FLIGHT,
    FLIGHTS,
    FLIGHTS_MAX,
    ORIGINAL_BYTES_MAX,
    SEAT,
    flight_end,
    flight_find,
    flight_oldest,
    seat_enter,
    seat_leave,
)
from ringex.gateways.express.markets import Markets
from ringex.gateways.express.taking import DESK, Encoding, publish, take
from ringex.gateways.limiter import Limiter
from ringex.gateways.meters import METER
from ringex.gateways.session import Connection
from ringex.history.readmodel import ReadModel
from ringex.memory import address_of
from ringex.tables import Index

SEATS_MAX: Final = 1 << 17
IDENTITY_BYTES: Final = 5
"""Of a peer that the ROUTER itself has named: a zero byte and a number."""


@dataclass(frozen=True)
class Flight:
    """A flight that the ordinary way goes on with. `original`: the message, where the desk keeps them."""

    correlation: int
    connection: int
    method: str
    account: int
    key: int
    market: int
    receive_ns: int
    timestamp_us: int
    expires_ns: int
    shows_limits: bool
    unit_ns: int
    encoding: int
    original: bytes


class Desk:
    """Tables, and the calls into compiled code. `keeps_originals`: messages are kept for the ordinary way's replies."""

    def __init__(
        self,
        number: int,
        incarnation: int,
        model: ReadModel,
        limiter: Limiter,
        rings: tuple[int, int],
        answer_seconds: float,
        first_correlation: int,
        take_over: Callable[[int], object],
        *,
        keeps_originals: bool = True,
    ) -> None:
        """`rings`: the addresses of the command ring and of the event ring. `take_over`: the ordinary way is to
        go on with the flight of this correlation (`hand_over`)."""
        self._limiter, self._take_over = limiter, take_over
        self.markets = Markets(model.limits)
        self._request, self._demands = Request(), Demands()
        self._flights = np.zeros(FLIGHTS_MAX, FLIGHT)
        self._originals = np.zeros((FLIGHTS_MAX, ORIGINAL_BYTES_MAX), np.uint8)
        self._seats = np.zeros(SEATS_MAX, SEAT)
        self._by_identity = Index(SEATS_MAX)
        self._free: list[int] = []
        self._used = 1  # seat 0 is none
        self._table = np.zeros(1, FLIGHTS)
        self._table["records"] = address_of(self._flights)
        self._table["originals"] = address_of(self._originals)
        self._table["seats"] = address_of(self._seats)
        self._table["by_identity"] = self._by_identity.address
        self._table["oldest"] = self._table["next_correlation"] = first_correlation
        self.flights = address_of(self._table)
        self._words = _words_of(self._table)
        limits = limiter.limits
        self._desk = np.zeros(1, DESK)
        self._desk["request"], self._desk["demands"] = self._request.address, self._demands.address
        self._desk["markets"], self._desk["flights"] = self.markets.address, self.flights
        self._desk["command_ring"], self._desk["event_ring"] = rings
        self._desk["gateway"], self._desk["incarnation"] = number, incarnation
        self._desk["answer_ns"] = self._answer_ns = int(answer_seconds * 1e9)
        self._desk["limits_enabled"] = limits.enabled
        self._desk["weight_max"], self._desk["raw_max"] = limits.weight_per_key, limits.raw_requests
        self._desk["keeps_originals"] = keeps_originals
        self.address = address_of(self._desk)
        self._desk_words = _words_of(self._desk)
        self.answers = Answers(self.address, limiter)
        self._model: ReadModel | None = None
        self.update(model)

    def update(self, model: ReadModel) -> None:
        """Follow the read model: call it when events have been applied, or the model is another one."""
        self.markets.update(model.catalogue)
        if model is not self._model:
            self._model = model
            self.answers.record["orders"] = model.orders_address
            self.answers.record["order_counts"] = model.order_counts.address

    # Seats

    def seat(self, connection: Connection, key: int, account: int, identity: int = 0) -> bool:
        """Give a connection whose key may trade for `account` a seat; False: there is none left.

        `identity`: the number in the name that a ROUTER has given the peer, where it is one's.
        """
        assert connection.seat == 0
        seat = self._free.pop() if self._free else self._used
        if seat == SEATS_MAX:
            return False
        self._used = max(self._used, seat + 1)
        meter = self._limiter.of_key(key, connection.address)
        row = self._seats[seat]
        row["number"], row["identity"], row["account"], row["key"] = connection.number, identity, account, key
        row["transport"], row["shows_limits"] = connection.transport, connection.show_limits
        row["meter"] = self._limiter.meters.address + meter.place * METER.itemsize
        row["subject"], row["is_limited"] = meter.used_id, not self._limiter.is_exempt(connection.address)
        row["delimited"], row["unit_ns"] = connection.delimited, connection.unit_ns
        row["in_flight"] = row["first"] = row["last"] = 0
        row["others"] = connection.ordinary_in_flight
        if identity:
            seat_enter(self.flights, seat)
        connection.seat, connection.desk = seat, self
        return True

    def leave(self, connection: Connection) -> None:
        """Take the seat of a connection away. What it has in flight goes on in the ordinary way."""
        seat = connection.seat
        connection.seat = 0
        for correlation in list(self._flights_of(seat)):
            self._take_over(correlation)
        seat_leave(self.flights, seat)
        self._free.append(seat)

    def seated(self, keys: Collection[int] | None = None) -> list[int]:
        """The numbers of the connections that have a seat, of one of these keys or at all."""
        seats = self._seats[: self._used]
        found = seats["number"] != 0
        if keys is not None:
            found &= np.isin(seats["key"], list(keys))
        return [int(number) for number in seats["number"][found]]

    def touched(self) -> list[int]:
        """The numbers of the connections that have sent something since this was asked last."""
        seats = self._seats[: self._used]
        found = np.flatnonzero(seats["touched"])
        seats["touched"][found] = 0
        return [number for number in seats["number"][found].tolist() if number]

    def note(self, connection: Connection, others: int) -> None:
        """So many requests of it are under way in the ordinary way, at most."""
        self._seats["others"][connection.seat] = others

    def in_flight(self, connection: Connection) -> int:
        return int(self._seats["in_flight"][connection.seat])

    def oldest_of(self, connection: Connection) -> int | None:
        """The correlation of its oldest flight."""
        first = int(self._seats["first"][connection.seat])
        return int(self._flights["correlation"][first - 1]) if first else None

    # Requests

    def take(
        self,
        connection: Connection,
        encoding: Encoding,
        source: bytes,
        now_ns: int,
        *,
        method: int = 0,
        signed: bool = False,
        unit_ns: int = 0,
    ) -> int:
        """Take a request of a connection that has a seat. Its correlation, or 0: it goes the ordinary way."""
        held = np.frombuffer(source, np.uint8)
        deadline_ns = time.monotonic_ns() + self._answer_ns
        return take(
            *(self.address, connection.seat, int(encoding), method, address_of(held), len(source)),
            *(now_ns, deadline_ns, int(signed), unit_ns),
        )

    def publish(self) -> None:
        """Publish the commands that have been taken."""
        if self._desk_words[_UNPUBLISHED]:
            publish(self.address)

    @property
    def next_correlation(self) -> int:
        """The correlation of the next request, of whichever way."""
        return self._words[_NEXT_CORRELATION]

    def pass_correlation(self) -> int:
        """A correlation for the ordinary way."""
        correlation = self._words[_NEXT_CORRELATION]
        self._words[_NEXT_CORRELATION] = correlation + 1
        return correlation

    # Events

    def answer(self, events: np.ndarray, now_ns: int) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """Answer flights, in parts: (how many replies there are, the events handed over, the binary path's).

        The events are those of this gateway's present life, as indices.
        """
        answers = self.answers
        answers.record["now_ns"] = now_ns
        at = 0
        while at < len(events):
            at = answer(answers.address, address_of(events), len(events), at)
            row = answers.record[0]
            replies = int(row["replies_count"])
            yield (
                replies,
                answers.handed_over[: int(row["handed_over_count"])],
                answers.binary[: int(row["binary_count"])],
            )

    @property
    def count(self) -> int:
        """Flights under way."""
        return self._words[_COUNT]

    def replies(self, count: int) -> Replies:
        """The replies that `answer` has told of; good until it goes on."""
        return Replies(self.answers, count)

    @property
    def next_deadline(self) -> float:
        """When the oldest flight will be given up, by `time.monotonic`; there is one."""
        return float(self._flights["deadline_ns"][flight_oldest(self.flights)]) / 1e9

    def late(self, now: float) -> int | None:
        """The correlation of a flight that has waited for too long."""
        if not self._words[_COUNT]:
            return None
        place = flight_oldest(self.flights)
        flight = self._flights[place]
        return int(flight["correlation"]) if flight["deadline_ns"] / 1e9 <= now else None

    def hand_over(self, correlation: int) -> Flight | None:
        """End a flight here: the ordinary way goes on with it. None: there is no such flight."""
        place = flight_find(self.flights, correlation)
        if place < 0:
            return None
        row = self._flights[place]
        flight = Flight(
            correlation=correlation,
            connection=int(row["number"]),
            method=METHOD_NAMES[Express(int(row["method"]))],
            account=int(row["account"]),
            key=int(row["key"]),
            market=int(row["market"]),
            receive_ns=int(row["receive_ns"]),
            timestamp_us=int(row["timestamp_us"]),
            expires_ns=int(row["expires_ns"]),
            shows_limits=bool(row["shows_limits"]),
            unit_ns=int(row["unit_ns"]),
            encoding=int(row["encoding"]),
            original=self._originals[place, : int(row["original_bytes"])].tobytes(),
        )
        flight_end(self.flights, place)
        return flight

    def count_into(self, counts: Counter[str]) -> None:
        """Add what has been taken since the last time to a gateway's counts."""
        taken = self._desk_words[_TAKEN]
        if taken:
            self._desk_words[_TAKEN] = 0
            counts["requests"] += taken
            counts["commands"] += taken

    def _flights_of(self, seat: int) -> Iterator[int]:
        place = int(self._seats["first"][seat]) - 1
        while place >= 0:
            yield int(self._flights["correlation"][place])
            place = int(self._flights["next"][place]) - 1


def identity_number(identity: bytes) -> int:
    """The number in the name that a ROUTER has given a peer; 0: the peer has named itself."""
    is_given = len(identity) == IDENTITY_BYTES and identity[0] == 0
    return int.from_bytes(identity[1:], "little") if is_given else 0


def _words_of(record: np.ndarray) -> memoryview:
    """The int64 words of a record, for Python that reads and writes single ones often."""
    return record.view(np.int64).data.cast("B").cast("q")


def _word(dtype: np.dtype, name: str) -> int:
    return int(dtype.fields[name][1]) // 8  # type: ignore[index]


_UNPUBLISHED, _TAKEN = _word(DESK, "unpublished"), _word(DESK, "taken")
_COUNT, _NEXT_CORRELATION = _word(FLIGHTS, "count"), _word(FLIGHTS, "next_correlation")
