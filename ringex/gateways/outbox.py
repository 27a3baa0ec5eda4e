"""A gateway's commands on their way out: stamped, kept until the end of the turn, published together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from ringex.gateways.errors import journal_full, overloaded
from ringex.gateways.session import Connection
from ringex.history.follower import Follower
from ringex.messages import COMMAND
from ringex.ring import Producer
from ringex.terms import CommandFlag, CommandKind

JOURNAL_FULL: Final = 1
"""What the matcher tells in the event ring's state while its journal has no room; else 0."""

_RAW: Final = np.dtype("V256")


@dataclass
class Outbox:
    """The way to one gateway's command ring."""

    number: int
    incarnation: int
    producer: Producer
    follower: Follower
    counts: Counter[str]
    publish_taken: Callable[[], None] = lambda: None
    """Publishes what compiled code has put into the ring: it comes before what is put here from now on."""
    slots: int = 0
    """That wait to be published."""
    _waiting: list[np.ndarray] = field(default_factory=list)

    def has_room(self, slots: int) -> bool:
        """Whether `slots` more would be taken."""
        self.publish_taken()
        return self.follower.ring_state != JOURNAL_FULL and self.slots + slots <= self.producer.space()

    def check_room(self, slots: int) -> None:
        """Raises Refusal -1008 where the journal takes no commands, or the command ring has no room for `slots` more.

        Nothing is queued elsewhere.
        """
        self.publish_taken()
        if self.follower.ring_state == JOURNAL_FULL:
            self.counts["journal_full"] += 1
            raise journal_full()
        if self.slots + slots > self.producer.space():
            self.counts["overloads"] += 1
            raise overloaded()

    def put(
        self, records: np.ndarray, connection: Connection, transport: int, account: int | None, key: int, now_ns: int
    ) -> None:
        """Take COMMAND records, shape (n,), for which there is room, and say in them where they come from.

        `account` None: it is in the records.
        """
        records["gateway"] = self.number
        records["incarnation"] = self.incarnation
        records["connection"] = connection.number
        records["transport"] = transport
        records["receive_ns"] = now_ns
        records["key"] = key
        if account is not None:
            records["account"] = account
        if connection.marks_orders and account == connection.disconnect_account:
            orders = records.view(COMMAND)
            orders["flag_bits"][orders["kind"] == CommandKind.PLACE] |= np.uint32(CommandFlag.CANCEL_ON_DISCONNECT)
        self._waiting.append(records.view(_RAW))
        self.slots += len(records)

    def flush(self) -> None:
        """Publish what waits."""
        self.publish_taken()
        if not self._waiting:
            return
        batch = np.concatenate(self._waiting) if len(self._waiting) > 1 else self._waiting[0]
        self._waiting.clear()
        self.slots = 0
        published = self.producer.publish(batch, whole=True)
        assert published == len(batch), "room was checked, and only this process fills the ring"
