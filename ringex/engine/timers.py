"""Timers: what the exchange will do at a time that it knows already. Kept in the state, driven by journaled time.

A timer has a time, a kind and a subject: the id or number of what it is about. `timer_next_ns` in the root is the time
of the first; whoever sequences commands puts in a TIMER command, which lets the first timer fire, before any command
that is stamped with that time or a later one (law 2). Timers of one time fire in the order in which they were set.

A subject has one timer of a kind at most, so what bounds the subjects bounds the timers: `timers_bound` is the room,
and no timer is ever refused. docs/developing.md says how to add a kind.
"""

from __future__ import annotations

from typing import Final

from ringex.config import Limits
from ringex.engine.records import ROOT, TIMER
from ringex.jit import compiled, entry, inlined, int64
from ringex.memory import record_at
from ringex.tables import (
    heap_first,
    heap_first_key,
    heap_push,
    heap_remove,
    index_find,
    index_put,
    index_remove,
    pool_give,
    pool_take,
)
from ringex.terms import TimerKind

_KIND_BITS: Final = 5
"""A subject is below 2^53 (law 2), so that a kind and a subject make one key."""
assert all(kind < 1 << _KIND_BITS for kind in TimerKind)

TIMERS_PER_ORDER: Final = 1
TIMERS_PER_MARKET: Final = 5
TIMERS_PER_ACCOUNT: Final = 1
"""How many kinds of timers have an order, a market, an account for their subject."""


def timers_bound(limits: Limits) -> int:
    """How many timers there can be at once."""
    return (
        TIMERS_PER_ORDER * limits.orders_max
        + TIMERS_PER_MARKET * limits.markets_max
        + TIMERS_PER_ACCOUNT * limits.accounts_max
    )


@inlined
def is_timer_due(root: int, time_ns: int) -> bool:
    """Whether a timer must fire before a command of that time."""
    next_ns = record_at(root, 0, ROOT).timer_next_ns
    return next_ns != 0 and next_ns <= time_ns


@compiled
def timer_set(root: int, kind: int, subject: int, due_ns: int) -> None:
    """Let a timer fire at `due_ns` (> 0), in place of the one of this kind that the subject may have."""
    s = record_at(root, 0, ROOT)
    timer_remove(root, kind, subject)
    s.timer_sequence += 1
    timer_restore(root, kind, subject, due_ns, s.timer_sequence)


@entry
@compiled
def timer_restore(root: int, kind: int, subject: int, due_ns: int, timer_sequence: int) -> None:
    """`timer_set` for a timer as a snapshot has it, which there is none of."""
    s = record_at(root, 0, ROOT)
    slot = pool_take(s.timer_pool)
    assert slot != 0 and due_ns > 0, "room for as many as there can be"
    timer = record_at(s.timers, slot, TIMER)
    timer.due_ns = due_ns
    timer.timer_sequence = timer_sequence
    timer.subject = subject
    timer.kind = kind
    index_put(s.timer_index, _key(kind, subject), slot)
    heap_push(s.timer_heap, due_ns, timer_sequence, slot)
    s.timer_next_ns = heap_first_key(s.timer_heap)


@compiled
def timer_remove(root: int, kind: int, subject: int) -> None:
    """Forget the subject's timer of this kind, if it has one."""
    s = record_at(root, 0, ROOT)
    slot = index_remove(s.timer_index, _key(kind, subject))
    if slot == 0:
        return
    heap_remove(s.timer_heap, slot)
    pool_give(s.timer_pool, slot)
    s.timer_next_ns = heap_first_key(s.timer_heap)


@compiled
def timer_due_ns(root: int, kind: int, subject: int) -> int:
    """When the subject's timer of this kind is due; 0 if it has none."""
    s = record_at(root, 0, ROOT)
    slot = index_find(s.timer_index, _key(kind, subject))
    return record_at(s.timers, slot, TIMER).due_ns if slot != 0 else int64(0)


@compiled
def timer_first(root: int) -> int:
    """The slot of the timer that fires next, or 0."""
    return heap_first(record_at(root, 0, ROOT).timer_heap)


@inlined
def _key(kind: int, subject: int) -> int:
    return (int64(subject) << _KIND_BITS) | int64(kind)
