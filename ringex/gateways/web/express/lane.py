"""The lane: what peers send that may go the express way is held until the end of a batch, then taken in one call.

`hold` keeps what one peer has sent; `take` takes all that is held, before each turn of the gateway, or sooner where a
peer sends more or goes. What of it the express way does not know goes to its peer's `ordinary`, as if it had just
come. Answers come back through `send`. A peer is given its seat after the first request that showed who it is.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from ringex.gateways.express.answering import Replies
from ringex.gateways.express.desk import SEATS_MAX, Flight
from ringex.gateways.express.taking import Encoding
from ringex.gateways.gateway import ANSWER_SECONDS, Gateway
from ringex.gateways.keystore import API_KEY_CHARACTERS, Key
from ringex.gateways.requests import JSON, Fault
from ringex.gateways.session import Connection
from ringex.gateways.web.express.intake import BATCH, ENTRIES_MAX, ENTRY, PROOF, TEXT_BYTES, Batch, take_batch
from ringex.gateways.web.express.letters import Letters
from ringex.gateways.web.rest import form
from ringex.memory import array_at
from ringex.openssl import hmac_key

if TYPE_CHECKING:
    from ringex.gateways.web.peer import Site
    from ringex.gateways.web.websocket import Endpoint

_ANSWER_NS: Final = int(ANSWER_SECONDS * 1e9)
_BYTE: Final = np.dtype("u1")


class ExpressPeer(Protocol):
    """A peer whose requests may go the express way."""

    @property
    def is_socket(self) -> bool: ...

    is_held: bool
    """What it has sent is held here."""
    connection: Connection | None

    @property
    def messages_left(self) -> int:
        """How many it may send now."""

    def took(self, messages: int) -> None:
        """So many of its messages were taken."""

    def ordinary(self, data: bytes) -> None:
        """Serve what it has sent in the ordinary way."""

    def answer(self, letter: bytes) -> None:
        """Send it what answers its requests."""


class Lane:
    """The express lane of one web gateway. `endpoint`: that of the WebSockets whose messages may be orders."""

    def __init__(self, gateway: Gateway, site: Site, endpoint: Endpoint) -> None:
        self._gateway, self._site, self.endpoint = gateway, site, endpoint
        self._proofs = np.zeros(SEATS_MAX, PROOF)
        self._batch = Batch(gateway.desk.address, self._proofs)
        self._letters = Letters()
        self._text = self._batch.text.data
        self._entries = self._batch.entries.view(np.int64).data.cast("B").cast("q")
        self._record = self._batch.record.view(np.int64).data.cast("B").cast("q")
        self._peers: list[ExpressPeer] = []
        self._sent: list[bytes] = []
        self._bytes = 0

    # Requests

    def hold(self, peer: ExpressPeer, data: bytes) -> None:
        """Keep what a peer has sent, which holds nothing yet, until `take`."""
        size = len(data)
        if self._bytes + size > TEXT_BYTES or len(self._peers) == ENTRIES_MAX:
            self.take()
        peer.is_held = True
        self._peers.append(peer)
        self._sent.append(data)
        self._bytes += size
        self._site.wake()

    def take(self) -> None:
        """Take what is held."""
        peers = self._peers
        if not peers:
            return
        sent, entries = self._sent, self._entries
        self._peers, self._sent, self._bytes = [], [], 0
        at = 0
        for peer, data in zip(peers, sent, strict=True):
            peer.is_held = False
            connection = peer.connection
            entries[at] = connection.seat if connection is not None else 0
            entries[at + _IS_SOCKET] = peer.is_socket
            entries[at + _MESSAGES_MAX] = peer.messages_left
            entries[at + _SIZE] = len(data)
            at += _ENTRY_WORDS
        text = b"".join(sent)
        self._text[: len(text)] = text
        self._gateway.flush()  # commands reach the ring in the order in which they came
        record = self._record
        record[_COUNT] = len(peers)
        record[_NOW] = time.time_ns()
        record[_DEADLINE] = time.monotonic_ns() + _ANSWER_NS
        left = take_batch(self._batch.address)
        at, count = _TAKEN, 0
        for peer in peers:
            taken = entries[at]
            if taken:
                peer.took(taken)
                count += taken
            at += _ENTRY_WORDS
        self._gateway.counts["express"] += count
        if left:
            self._pass_on(peers, sent)

    def _pass_on(self, peers: list[ExpressPeer], sent: list[bytes]) -> None:
        """Serve what is left in the ordinary way."""
        found = self._batch.entries[: len(peers)]
        taken_bytes, keys = found["taken_bytes"].tolist(), found["api_key"].tolist()
        shown = [array_at(key, API_KEY_CHARACTERS, _BYTE).tobytes() if key else b"" for key in keys]
        for peer, data, begin, api_key in zip(peers, sent, taken_bytes, shown, strict=True):
            if begin < len(data):
                if api_key:
                    self._seat(peer, api_key)
                peer.ordinary(data[begin:] if begin else data)

    # Seats

    def seat_session(self, connection: Connection) -> None:
        """Give a connection that is logged on its seat."""
        if connection.key is not None and not connection.seat:
            self._gateway.offer_seat(connection)
            self._prove(connection, connection.key)

    def _seat(self, peer: ExpressPeer, api_key: bytes) -> None:
        """Give a peer whose request shows this key the key's seat; that it has signed is looked at for each request."""
        connection = peer.connection
        key = self._gateway.keystore.find(api_key.decode("latin-1"))
        if connection is None or connection.key is not None or key is None or not key.secret:
            return
        connection.unseat()
        self._gateway.offer_seat(connection, key)
        self._prove(connection, key)

    def _prove(self, connection: Connection, key: Key) -> None:
        if not connection.seat:
            return
        proof = self._proofs[connection.seat : connection.seat + 1]
        proof["has_session"] = connection.key is not None
        proof["has_hmac"] = bool(key.secret)
        if key.secret:
            proof["hmac"] = hmac_key(key.secret.encode())
            proof["api_key"] = np.frombuffer(key.api_key.encode(), _BYTE)

    # Answers

    def send(self, replies: Replies) -> None:
        """Send what was answered."""
        by_number = self._gateway.connections.by_number
        for number, letter in self._letters.of(replies):
            connection = by_number(number)
            if connection is not None and connection.peer is not None:
                connection.peer.answer(letter)

    def original_of(self, connection: Connection, flight: Flight) -> tuple[Any, Mapping[str, Any]]:
        """(id, params) of a request that was taken, and that the ordinary way has to answer."""
        if flight.encoding == Encoding.QUERY:
            return connection.peer.ticket(), form(flight.original)
        request = JSON.read(flight.original)
        assert not isinstance(request, Fault), "it was read before"
        return request.id, request.params or {}


def _word(dtype: np.dtype, name: str) -> int:
    return int(dtype.fields[name][1]) // 8  # type: ignore[index]


_ENTRY_WORDS: Final = ENTRY.itemsize // 8
_IS_SOCKET, _MESSAGES_MAX = _word(ENTRY, "is_socket"), _word(ENTRY, "messages_max")
_SIZE, _TAKEN = _word(ENTRY, "size"), _word(ENTRY, "taken")
_COUNT, _NOW, _DEADLINE = _word(BATCH, "count"), _word(BATCH, "now_ns"), _word(BATCH, "deadline_ns")
