"""Sessions whose orders are canceled when they end: who has asked for it, who is silent, whose end is to be told.

A session ends when its transport says that the peer has gone (WebSocket), when a message cannot be delivered to it, or
when it has sent nothing for as long as it has said itself: ZeroMQ does not tell when a peer leaves. When a gateway
dies its successor's SESSION_LOST does the same for all of them.
"""

from __future__ import annotations

import math
import time
from collections import deque
from typing import Final

import numpy as np

from ringex.gateways.session import Connection
from ringex.messages import commands
from ringex.terms import CommandKind

SILENCE_MS_MIN: Final = 1_000
SILENCE_MS_MAX: Final = 86_400_000
SILENCE_MS_DEFAULT: Final = 60_000
"""Of a ZeroMQ peer that has not said otherwise."""
LOOK_SECONDS: Final = 0.25
"""How often silence is looked for: an end is told that much late at most."""


class Disconnects:
    """Those of one gateway; as many as it has connections at most."""

    def __init__(self) -> None:
        self._asked: dict[Connection, float] = {}
        self._ended: deque[tuple[Connection, int]] = deque()
        self._look_at = 0.0

    def ask(self, connection: Connection, account: int, silence_ms: int) -> None:
        """Orders that this connection places for `account` from now on end with it; 0 ms: silence is no end."""
        connection.unseat()
        connection.disconnect_account, connection.marks_orders = account, True
        connection.heard = time.monotonic()
        self._asked[connection] = silence_ms / 1000 if silence_ms else math.inf

    def end(self, connection: Connection) -> None:
        """The connection is over."""
        if self._asked.pop(connection, None) is not None:
            self._ended.append((connection, connection.disconnect_account))
            connection.disconnect_account = 0

    def silent(self) -> list[Connection]:
        """Those that have not been heard of for too long."""
        now = time.monotonic()
        if now < self._look_at:
            return []
        self._look_at = now + LOOK_SECONDS
        return [one for one, seconds in self._asked.items() if now - one.heard > seconds and not one.in_flight]

    def next_ended(self) -> tuple[Connection, np.ndarray] | None:
        """The connection whose end is to be told next, and its SESSION_CLOSED; `told` when that is done."""
        if not self._ended:
            return None
        connection, account = self._ended[0]
        record = commands()
        record["kind"] = CommandKind.SESSION_CLOSED
        record["account"] = account
        return connection, record

    def told(self) -> None:
        self._ended.popleft()

    @property
    def next_look(self) -> float:
        """By `time.monotonic`: when to look again; infinity while nobody has asked."""
        return self._look_at if self._asked or self._ended else math.inf
