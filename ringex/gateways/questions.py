"""Queries that wait: until what their connection sent before is answered, for the backlog, for the history store."""

from __future__ import annotations

import sys
import time
import traceback
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from typing import Any, Final

from ringex.gateways.backlog import Backlog
from ringex.gateways.errors import NO_SUCH_ORDER, Refusal, overloaded, timed_out, too_many, unknown_error
from ringex.gateways.limiter import Use
from ringex.gateways.lookups import Lookup, LookupDesk, StoreBehind
from ringex.gateways.pending import Deferred
from ringex.gateways.session import Connection
from ringex.gateways.times import made
from ringex.history.readmodel import ReadModel
from ringex.history.store.store import StoreAway

BACKLOG_SECONDS: Final = 0.005
"""How often the backlog is looked at while a query waits for it."""
DEFERRED_MAX: Final = 1 << 14
UNREAD_BYTES_MAX: Final = 8 << 20
"""Large messages to one connection that it has not read. With more, its queries are refused until it reads."""

Answer = Callable[[Connection, Any, Any, Use], None]
Refuse = Callable[[Connection, Any, Refusal, Use], None]


class Questions:
    """All queries of a gateway that are not answered yet. `answer` and `refuse` send what has come of one."""

    def __init__(self, backlog: Backlog, lookups: LookupDesk, answer: Answer, refuse: Refuse) -> None:
        self.look_again = False
        """Whether a query can go on once what the event ring holds by now has been read."""
        self._backlog = backlog
        self._lookups = lookups
        self._answer = answer
        self._refuse = refuse
        self._deferred: deque[Deferred] = deque()
        self._looking: dict[int, tuple[Deferred, Lookup]] = {}  # by the lookup's ticket

    def __len__(self) -> int:
        return len(self._deferred) + len(self._looking)

    def ask(self, deferred: Deferred) -> None:
        """Let a query wait for its turn. Raises Refusal."""
        deferred.connection.check_room()
        if len(self._deferred) >= DEFERRED_MAX:
            raise overloaded()
        deferred.connection.deferred += 1
        self._deferred.append(deferred)

    def deadlines(self) -> list[float]:
        """By `time.monotonic`: after the first of them a query is given up."""
        return [
            *(deferred.deadline for deferred in self._deferred),
            *(deferred.deadline for deferred, _ in islice(self._looking.values(), 1)),
        ]

    @property
    def next_look(self) -> float | None:
        """By `time.monotonic`: when to look at the backlog again. None: nothing waits for it."""
        if any(deferred.backlog for deferred in self._deferred):
            return time.monotonic() + BACKLOG_SECONDS
        return None

    def answer_deferred(self) -> None:
        """Answer the queries whose turn has come; the event ring has been read to its end."""
        self.look_again = False
        for _ in range(len(self._deferred)):
            deferred = self._deferred.popleft()
            connection = deferred.connection
            oldest = connection.oldest_in_flight
            if oldest is not None and oldest < deferred.after:
                self._deferred.append(deferred)
                continue
            if deferred.backlog:
                settled = self._backlog.is_settled(deferred.backlog)
                self._deferred.append(replace(deferred, backlog=()) if settled else deferred)
                self.look_again |= settled
                continue
            try:
                if connection.unsent.size_bytes > UNREAD_BYTES_MAX:
                    raise too_many("bytes of answers may be unread on one connection", UNREAD_BYTES_MAX)
                result = made(deferred.use.unit_ns, deferred.method.handler, deferred.call)
                if isinstance(result, Lookup):
                    self._looking[self._lookups.submit(result, deferred.deadline)] = deferred, result
                    continue
            except Refusal as refusal:
                self._turn_down(deferred, refusal)
                continue
            connection.deferred -= 1
            self._answer(connection, deferred.request_id, result, deferred.use)

    def answer_lookups(self, model: ReadModel) -> None:
        """Answer the queries to which the history store has had its say."""
        for found in self._lookups.finished():
            deferred, lookup = self._looking.pop(found.ticket, (None, None))
            if deferred is None or lookup is None:
                continue  # given up
            call = deferred.call.with_model(model)
            try:
                if found.failure is not None:
                    raise found.failure
                result = made(deferred.use.unit_ns, lookup.reply, call, found.progress, found.answer)
            except StoreBehind:
                self._deferred.append(deferred)  # from the beginning: it waits for the store there
                self.look_again = True
            except Refusal as refusal:
                self._turn_down(deferred, refusal)
            except StoreAway as away:
                self._turn_down(deferred, timed_out(f"The history cannot be asked now: {away}."))
            except Exception:  # one query must not take the gateway down with it
                traceback.print_exc(file=sys.stderr)
                self._turn_down(deferred, unknown_error())
            else:
                deferred.connection.deferred -= 1
                self._answer(deferred.connection, deferred.request_id, result, deferred.use)

    def give_up_late(self, now: float) -> None:
        """Refuse with -1007 what has waited longer than it may, by `time.monotonic`."""
        late = [deferred for deferred in self._deferred if deferred.deadline <= now]
        if late:
            self._deferred = deque(deferred for deferred in self._deferred if deferred.deadline > now)
        while self._looking:
            ticket, (looking, _) = next(iter(self._looking.items()))
            if looking.deadline > now:
                break
            del self._looking[ticket]
            late.append(looking)
        for deferred in late:
            deferred.connection.deferred -= 1
            self._refuse(deferred.connection, deferred.request_id, timed_out(), deferred.use)

    def restart(self, model: ReadModel) -> None:
        """Let the queries that wait ask another model."""
        self._deferred = deque(replace(waiting, call=waiting.call.with_model(model)) for waiting in self._deferred)

    def _turn_down(self, deferred: Deferred, refusal: Refusal) -> None:
        """Refuse a query; where it found no order, only once the backlog has been settled."""
        if refusal.code == NO_SUCH_ORDER and deferred.backlog is None:
            self._deferred.append(replace(deferred, backlog=self._backlog.mark()))
            self.look_again = True
            return
        deferred.connection.deferred -= 1
        self._refuse(deferred.connection, deferred.request_id, refusal, deferred.use)
