"""Schedules: at which times a market will come to be in which status, by itself.

There is nothing but the timers: one for each status that a schedule names, whose subject is market and status.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from ringex.engine.events import answer_plainly, emit
from ringex.engine.records import MARKET, ROOT
from ringex.engine.timers import timer_due_ns, timer_remove, timer_set
from ringex.jit import compiled, inlined, int64
from ringex.memory import copy_bytes, record_at
from ringex.messages import SCHEDULE_COMMAND, SCHEDULE_EVENT, SCHEDULE_NAMES
from ringex.reasons import Reason
from ringex.rules import may_follow
from ringex.terms import EventKind, MarketStatus, TimerKind

PHASES: Final = (MarketStatus.PRE_OPEN, MarketStatus.AUCTION, MarketStatus.TRADING, MarketStatus.CLOSED)
"""The statuses that a schedule can name, in the order of SCHEDULE_NAMES."""
STEPS: Final = len(PHASES)
COMMAND_TIMES_OFFSET: Final[int] = SCHEDULE_COMMAND.fields[SCHEDULE_NAMES[0]][1]  # type: ignore[index]
EVENT_TIMES_OFFSET: Final[int] = SCHEDULE_EVENT.fields[SCHEDULE_NAMES[0]][1]  # type: ignore[index]
TIMES_BYTES: Final = STEPS * 8
assert len(SCHEDULE_NAMES) == STEPS
_STATUS_BITS: Final = 3
_TIME: Final = np.dtype([("time_ns", "i8")])


@inlined
def _subject(market: int, status: int) -> int:
    return (int64(market) << _STATUS_BITS) | int64(status)


@inlined
def market_of(subject: int) -> int:
    """The market that a timer of kind MARKET_PHASE is about."""
    return subject >> _STATUS_BITS


@inlined
def status_of(subject: int) -> int:
    """The MarketStatus that it is to have."""
    return subject & ((1 << _STATUS_BITS) - 1)


@compiled
def _phase(step: int) -> int:
    """The MarketStatus that the time at place `step` is for."""
    if step == 0:
        return int64(MarketStatus.PRE_OPEN)
    if step == 1:
        return int64(MarketStatus.AUCTION)
    return int64(MarketStatus.TRADING) if step == 2 else int64(MarketStatus.CLOSED)


@compiled
def set_schedule(root: int, command: int) -> None:
    """MARKET_SCHEDULE: all of a market's times at once, in place of those that it had."""
    s = record_at(root, 0, ROOT)
    c = record_at(command, 0, SCHEDULE_COMMAND)
    reason = int64(Reason.NONE)
    if c.market < 0 or c.market >= s.markets_count:
        reason = int64(Reason.INVALID_SYMBOL)
    elif not _is_possible(root, int64(c.market), command + COMMAND_TIMES_OFFSET):
        reason = int64(Reason.INVALID_SCHEDULE)
    if reason != Reason.NONE:
        answer_plainly(root, command, int64(EventKind.REJECTED), reason)
        return
    for step in range(STEPS):
        time_ns = record_at(command + COMMAND_TIMES_OFFSET, step, _TIME).time_ns
        subject = _subject(c.market, _phase(step))
        timer_remove(root, int64(TimerKind.MARKET_PHASE), subject)
        if time_ns != 0:
            timer_set(root, int64(TimerKind.MARKET_PHASE), subject, time_ns)
    event = emit(root, int64(EventKind.SCHEDULE), int64(0), int64(c.market))
    copy_bytes(event + EVENT_TIMES_OFFSET, command + COMMAND_TIMES_OFFSET, int64(TIMES_BYTES))


@compiled
def _is_possible(root: int, market: int, times: int) -> bool:
    """Whether all times are to come, no two are one, and each status may follow on the one before."""
    s = record_at(root, 0, ROOT)
    status = int64(record_at(s.markets, market, MARKET).status)
    before = s.time_ns
    named = 0
    for step in range(STEPS):
        time_ns = record_at(times, step, _TIME).time_ns
        if time_ns < 0 or (time_ns != 0 and time_ns <= before):
            return False
        named += 1 if time_ns != 0 else 0
    for _ in range(named):
        first = -1
        for step in range(STEPS):
            time_ns = record_at(times, step, _TIME).time_ns
            if time_ns > before and (first < 0 or time_ns < record_at(times, first, _TIME).time_ns):
                first = step
        if first < 0 or not may_follow(status, _phase(first)):  # none left: two have had one time
            return False
        status = _phase(first)
        before = record_at(times, first, _TIME).time_ns
    return True


@compiled
def forget_schedule(root: int, market: int) -> None:
    """What the market's status is becomes the operator's affair: SCHEDULE without a time, if it had one."""
    had = False
    for step in range(STEPS):
        subject = _subject(market, _phase(step))
        had = had or timer_due_ns(root, int64(TimerKind.MARKET_PHASE), subject) != 0
        timer_remove(root, int64(TimerKind.MARKET_PHASE), subject)
    if had:
        emit(root, int64(EventKind.SCHEDULE), int64(0), market)
