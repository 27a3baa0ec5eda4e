"""Lookups: queries of which the answer lies in the history store, asked in a thread so that no client waits for others.

A handler returns a `Lookup`: what to ask the store, and how its answer and the read model, which is ahead of the store,
become the reply. The thread has a connection of its own, opened at the first lookup; while the store is away, or
behind what a lookup needs, the lookup is asked again until its time is over, and then answered -1007.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ringex.gateways.errors import overloaded
from ringex.history.store.store import Progress, Store, StoreAway, StoreError

if TYPE_CHECKING:
    from ringex.gateways.calls import Call

LOOKUPS_MAX: Final = 1024
"""Under way in one gateway; with more the next is refused, -1008."""
RETRY_SECONDS: Final = 0.01


class StoreBehind(Exception):
    """The store has not got far enough for this answer: ask again."""


@dataclass(frozen=True)
class Lookup:
    """`ask` runs in the thread, in one read transaction; `reply` in the gateway's loop, with how far the store was.

    Both raise Refusal, or StoreBehind to be asked again. `after_sequence`: the store must have at least this event.
    """

    ask: Callable[[Store], Any]
    reply: Callable[[Call, Progress, Any], Any]
    after_sequence: int = 0


EMPTY: Final = Progress()


@dataclass(frozen=True)
class Found:
    """The answer to lookup number `ticket`; `failure` in its place where there is none."""

    ticket: int
    progress: Progress = EMPTY
    answer: Any = None
    failure: Exception | None = None


@dataclass(frozen=True)
class _Asked:
    ticket: int
    lookup: Lookup
    deadline: float
    not_before: float = 0.0


class LookupDesk:
    """Asks the store that `open_store` gives, in a thread that begins with the first lookup. `wake` is called in it
    whenever something is found."""

    def __init__(self, open_store: Callable[[], Store], wake: Callable[[], None]) -> None:
        self._open_store = open_store
        self._wake = wake
        self._asked: queue.SimpleQueue[_Asked | None] = queue.SimpleQueue()
        self._found: deque[Found] = deque()  # its ends are safe to use from two threads
        self._under_way = 0
        self._tickets = 0
        self._thread: threading.Thread | None = None

    def submit(self, lookup: Lookup, deadline: float) -> int:
        """Ask; the lookup's ticket. `deadline` by `time.monotonic`. Raises Refusal -1008."""
        if self._under_way >= LOOKUPS_MAX:
            raise overloaded()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="lookups", daemon=True)
            self._thread.start()
        self._under_way += 1
        self._tickets += 1
        self._asked.put(_Asked(self._tickets, lookup, deadline))
        return self._tickets

    def finished(self) -> list[Found]:
        """What has been found since the last call."""
        found = []
        while self._found:
            found.append(self._found.popleft())
        self._under_way -= len(found)
        return found

    def close(self) -> None:
        """End the thread, after the lookup that it is at."""
        if self._thread is not None:
            self._asked.put(None)
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        store: Store | None = None
        again: deque[_Asked] = deque()
        while True:
            try:
                timeout = None if not again else max(again[0].not_before - time.monotonic(), 0.0)
                asked = self._asked.get(timeout=timeout)
            except queue.Empty:
                asked = again.popleft()
            if asked is None:
                break
            try:
                store = store or self._opened()
                progress, answer = store.read(_far_enough(asked.lookup))
            except (StoreBehind, StoreAway) as reason:
                if isinstance(reason, StoreAway) and store is not None:
                    store.close()
                    store = None
                if time.monotonic() < asked.deadline:
                    due = time.monotonic() + RETRY_SECONDS
                    again.append(_Asked(asked.ticket, asked.lookup, asked.deadline, due))
                    continue
                found = Found(asked.ticket, failure=reason)
            except Exception as failure:  # the gateway's loop says what it was; this thread must go on
                found = Found(asked.ticket, failure=failure)
            else:
                found = Found(asked.ticket, progress, answer)
            self._found.append(found)
            self._wake()
        if store is not None:
            store.close()

    def _opened(self) -> Store:
        store = self._open_store()
        try:
            store.check()
        except StoreError:
            store.close()
            raise
        return store


def _far_enough(lookup: Lookup) -> Callable[[Store], Any]:
    """`ask` of the lookup, once the store has the event that it needs. Raises StoreBehind."""

    def ask(store: Store) -> Any:
        if lookup.after_sequence and store.progress().event_sequence < lookup.after_sequence:
            raise StoreBehind
        return lookup.ask(store)

    return ask
