"""Connections: who is logged on, what is in flight, what is subscribed. Everything here is bounded.

A session is (gateway, incarnation, connection). ZeroMQ does not say when a peer leaves, so its are kept by their last
use: when the table is full, the one that has been idle longest, with nothing in flight and no stream, makes room.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from ringex.gateways.errors import Refusal, too_many
from ringex.gateways.keystore import Key
from ringex.gateways.times import MILLISECOND_NS
from ringex.terms import Transport

if TYPE_CHECKING:
    from ringex.gateways.express.desk import Desk

CONNECTIONS_MAX: Final = 1 << 14
IN_FLIGHT_MAX: Final = 4096
"""Requests of one connection that wait for an answer, commands and deferred queries together."""
SUBSCRIPTIONS_MAX: Final = 16
CONNECTION_NUMBER_MAX: Final = (1 << 32) - 1


class Sending(Protocol):
    """What a transport knows of one message on its way: `done` once it has left this process."""

    @property
    def done(self) -> bool: ...


class Unread(Protocol):
    """What waits for a peer to read it."""

    @property
    def size_bytes(self) -> int: ...


class Unsent:
    """The large messages to one peer that wait for it to read, oldest first."""

    def __init__(self) -> None:
        self._messages: deque[tuple[Sending, int]] = deque()
        self._bytes = 0

    def add(self, sending: Sending, size_bytes: int) -> None:
        self._messages.append((sending, size_bytes))
        self._bytes += size_bytes

    @property
    def size_bytes(self) -> int:
        """Of all that wait."""
        while self._messages and self._messages[0][0].done:
            self._bytes -= self._messages.popleft()[1]
        return self._bytes


@dataclass(eq=False, slots=True)
class Connection:
    """One peer of this gateway."""

    number: int
    identity: bytes
    connected_ns: int
    transport: Transport = Transport.ZMQ
    address: str = ""
    """Its IP address; empty for a peer on this machine that has none."""
    delimited: bool = False
    """It sends an empty frame before each message, as REQ does, and gets one before each reply."""
    unit_ns: int = MILLISECOND_NS
    """Of the times that it is told, where a request does not say."""
    show_limits: bool = True
    """What `returnRateLimits` is where a request does not say."""
    key: Key | None = None
    account: int = 0
    authorized_ns: int = 0
    in_flight: dict[int, None] = field(default_factory=dict)
    """Correlations of commands under way in the ordinary way, oldest first."""
    handed_over: dict[int, None] = field(default_factory=dict)
    """Correlations of commands that were taken the express way, and are under way in the ordinary way by now."""
    seat: int = 0
    """Its seat at the desk (`ringex.gateways.express`), which whatever changes the connection takes away; 0: none."""
    desk: Desk | None = None
    deferred: int = 0
    """Queries that wait for those commands."""
    binary_in_flight: int = 0
    subscriptions: dict[int, int] = field(default_factory=dict)
    """Subscription id -> account."""
    subscription_keys: dict[int, int] = field(default_factory=dict)
    """Subscription id -> number of the key that asked for it, of those in `subscriptions`."""
    next_subscription: int = 0
    unsent: Unread = field(default_factory=Unsent)
    peer: Any = None
    """The transport's own object for it."""
    streaming: dict[Connection, None] = field(default_factory=dict)
    """Those of this gateway that had a subscription when they were last looked at, this one among them or not."""
    disconnect_account: int = 0
    """Whose orders are canceled when this connection ends; 0: nobody's. See `ringex.gateways.disconnects`."""
    marks_orders: bool = False
    """Orders that it places now are among them."""
    heard: float = 0.0
    """When it sent something last, by `time.monotonic`; kept once it has asked for that."""

    @property
    def idle(self) -> bool:
        busy = self.in_flight or self.handed_over or self.deferred or self.binary_in_flight or self.subscriptions
        return not (busy or self.express_in_flight or self.disconnect_account)

    @property
    def express_in_flight(self) -> int:
        return self.desk.in_flight(self) if self.seat and self.desk is not None else 0

    @property
    def ordinary_in_flight(self) -> int:
        return len(self.in_flight) + len(self.handed_over) + self.deferred

    @property
    def oldest_in_flight(self) -> int | None:
        """The lowest correlation of its commands under way."""
        found = [next(iter(self.in_flight))] if self.in_flight else []
        found += [min(self.handed_over)] if self.handed_over else []
        express = self.desk.oldest_of(self) if self.seat and self.desk is not None else None
        return min([*found, express] if express is not None else found, default=None)

    @property
    def anonymous(self) -> bool:
        """The gateway gave this peer its identity. Only then can no other peer come back under it."""
        return self.identity[:1] == b"\0"

    def check_room(self) -> None:
        """Raises Refusal -1003 when too much is in flight."""
        others = self.ordinary_in_flight
        if others + self.express_in_flight >= IN_FLIGHT_MAX:
            raise too_many("requests may be in flight on one connection", IN_FLIGHT_MAX)
        if self.seat and self.desk is not None:
            self.desk.note(self, others + 1)

    def unseat(self) -> None:
        """What its seat says may no longer be so."""
        if self.seat and self.desk is not None:
            self.desk.leave(self)

    def log_on(self, key: Key, account: int, now_ns: int) -> None:
        self.unseat()
        self.key, self.account, self.authorized_ns = key, account, now_ns

    def log_out(self) -> None:
        self.unseat()
        self.key, self.account, self.authorized_ns = None, 0, 0

    def subscribe(self, account: int, key: int) -> int:
        """A new subscription's id. Raises Refusal when there are too many, or this account has one here already."""
        if account in self.subscriptions.values():
            raise Refusal(-1191, "Too many subscriptions. This account has one on this connection.")
        if len(self.subscriptions) >= SUBSCRIPTIONS_MAX:
            raise Refusal(-1191, f"Too many subscriptions. At most {SUBSCRIPTIONS_MAX} on one connection.")
        number = self.next_subscription
        self.next_subscription += 1
        self.subscriptions[number] = account
        self.streaming[self] = None
        self.subscription_keys = {n: k for n, k in self.subscription_keys.items() if n in self.subscriptions}
        self.subscription_keys[number] = key
        return number

    def revoke(self, keys: Collection[int]) -> list[int]:
        """End what keys that are no more have begun here: the session, and the subscriptions returned."""
        if self.key is not None and self.key.number in keys:
            self.log_out()
        ended = [number for number in self.subscriptions if self.subscription_keys.get(number) in keys]
        for number in ended:
            del self.subscriptions[number]
        return ended


class Connections:
    """The connections of one gateway by their ZeroMQ identity, least recently used first, and by number."""

    def __init__(self, connections_max: int = CONNECTIONS_MAX) -> None:
        self._max = connections_max
        self._by_identity: OrderedDict[tuple[Transport, bytes], Connection] = OrderedDict()
        self._by_number: dict[int, Connection] = {}
        self._streaming: dict[Connection, None] = {}
        self._next_number = 1
        self.touched: Callable[[], list[int]] = list
        """Numbers of connections that were used since this was asked last, and not by `at`."""

    def __len__(self) -> int:
        return len(self._by_identity)

    def by_number(self, number: int) -> Connection | None:
        return self._by_number.get(number)

    def knows(self, identity: bytes, transport: Transport) -> bool:
        return (transport, identity) in self._by_identity

    def subscribed(self) -> list[Connection]:
        """Those that follow an account."""
        gone = [connection for connection in self._streaming if not connection.subscriptions]
        for connection in gone:
            del self._streaming[connection]
        return list(self._streaming)

    def open(self, now_ns: int, transport: Transport, peer: Any) -> Connection:
        """A new connection of a transport that says when a peer leaves: `drop` it then.

        `peer` is the transport's object, and knows what waits to be read (`Unread`).
        """
        number = self._next_number
        identity = b"\0%d" % number
        connection = Connection(number, identity, now_ns, transport, unsent=peer, peer=peer, streaming=self._streaming)
        self._add(connection)
        return connection

    def authorized(self) -> list[Connection]:
        """Those that have shown a key: logged on, or subscribed to an account."""
        return [one for one in self._by_identity.values() if one.key is not None or one.subscriptions]

    def at(self, identity: bytes, now_ns: int, transport: Transport = Transport.ZMQ) -> Connection:
        """The connection of `identity` at the socket of `transport`, new if it was not known.

        Raises Refusal -1003 when there is no room for it.
        """
        connection = self._by_identity.get((transport, identity))
        if connection is None:
            self._make_room()
            connection = Connection(self._next_number, identity, now_ns, transport, streaming=self._streaming)
            self._add(connection)
        else:
            self._by_identity.move_to_end((transport, identity))
        return connection

    def drop(self, connection: Connection) -> None:
        """Forget a peer that is gone. Its commands under way stand; their answers have nowhere to go."""
        if self._by_identity.pop((connection.transport, connection.identity), None) is not None:
            del self._by_number[connection.number]
            self._streaming.pop(connection, None)
        connection.unseat()

    def _add(self, connection: Connection) -> None:
        self._next_number = self._next_number % CONNECTION_NUMBER_MAX + 1
        self._by_identity[connection.transport, connection.identity] = connection
        self._by_number[connection.number] = connection

    def _make_room(self) -> None:
        if len(self._by_identity) < self._max:
            return
        for number in self.touched():
            used = self._by_number.get(number)
            if used is not None:
                self._by_identity.move_to_end((used.transport, used.identity))
        idle = next((connection for connection in self._by_identity.values() if connection.idle), None)
        if idle is None:
            raise too_many("connections may be open at one gateway", self._max)
        self.drop(idle)
