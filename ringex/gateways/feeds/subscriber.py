"""A subscriber: one connection's end of the streams, and what happens where it does not read.

What is sent waits in the connection's buffer. While much waits (the connection is `paused`), messages that only say how
things now are (book tickers, tickers, candles) replace each other and are sent when it reads again. All others are
kept, in order, up to a bound; a connection that passes it is closed with a reason. Nothing is left out in silence.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from ringex.gateways.feeds.registry import Topic
    from ringex.gateways.feeds.topics import Stream

WAITING_BYTES_HIGH: Final = 64 << 10
"""With more in its buffer a connection counts as slow, until it has read three quarters."""
WAITING_BYTES_MAX: Final = 4 << 20
MESSAGES_PER_SECOND: Final = 5
MESSAGES_AT_ONCE: Final = 10
STREAMS_MAX: Final = 1024


NO_TOPICS: Final[dict[str, Topic]] = {}
"""What a connection follows that follows nothing; the same for all of them, for they are many. Nothing is put in."""


class Socket(Protocol):
    """What a subscriber needs of its WebSocket."""

    paused: bool
    """More than WAITING_BYTES_HIGH waits to be read."""

    @property
    def size_bytes(self) -> int:
        """What waits to be read."""

    def send_frame(self, encoded: bytes) -> None: ...

    def send_later(self, encoded: bytes) -> None:
        """As `send_frame`, for what many are sent: it may take its turn behind what is for one alone."""

    def close(self, code: int, reason: str = "") -> None: ...


class Subscriber:
    """`combined`: messages are wrapped and say their stream. `microseconds`: so are all times."""

    __slots__ = (
        "_allowance",
        "_counted_at",
        "combined",
        "latest",
        "microseconds",
        "opening",
        "resume_after",
        "socket",
        "topics",
    )

    def __init__(self, *, combined: bool, microseconds: bool) -> None:
        self.socket: Socket
        self.combined = combined
        self.microseconds = microseconds
        self.opening: Sequence[Stream] = ()
        """What its address named, until its socket is open."""
        self.resume_after: int | None = None
        """Behind which event the user stream begins that its address named; None: with the next one."""
        self.topics = NO_TOPICS
        self.latest: dict[str, bytes] | None = None
        """Of a slow connection: the last message of each stream whose messages replace each other."""
        self._allowance: float = MESSAGES_AT_ONCE
        self._counted_at = 0.0

    @property
    def form(self) -> int:
        """Which of a topic's four kinds of message it gets."""
        return 2 * self.microseconds + self.combined

    def send(self, name: str, encoded: bytes, *, replaces: bool) -> bool:
        """Send a frame of stream `name`. False where too much waits already: the connection must go."""
        socket = self.socket
        if socket.paused:
            if replaces:
                if self.latest is None:
                    self.latest = {}
                self.latest[name] = encoded
                return True
            if socket.size_bytes > WAITING_BYTES_MAX:
                return False
        socket.send_frame(encoded)
        return True

    def send_latest(self) -> None:
        """It reads again."""
        latest, self.latest = self.latest, None
        for name, encoded in (latest or {}).items():
            if name in self.topics:
                self.socket.send_frame(encoded)

    def allow(self, now: float) -> bool:
        """Count a message that it has sent, at `now` (seconds). False where there are too many."""
        passed = now - self._counted_at if self._counted_at else 0.0
        self._counted_at = now
        self._allowance = min(self._allowance + passed * MESSAGES_PER_SECOND, MESSAGES_AT_ONCE) - 1
        return self._allowance >= 0
