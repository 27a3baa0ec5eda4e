"""Dead-man's countdowns: an account that does not set its countdown anew in time loses its open orders.

One a market and account, and one for all markets of an account; there may be as many in all as there may be accounts.
"""

from __future__ import annotations

from typing import Final

from ringex.engine.events import answer_plainly, emit
from ringex.engine.ledger import account_exists
from ringex.engine.masses import mass_begin
from ringex.engine.records import NUMBER_BITS, ROOT
from ringex.engine.timers import timer_due_ns, timer_remove, timer_set
from ringex.jit import compiled, inlined, int64
from ringex.memory import record_at
from ringex.messages import COUNTDOWN_COMMAND, COUNTDOWN_EVENT, COUNTDOWN_NS_MAX, FEE_ACCOUNT
from ringex.reasons import Reason
from ringex.terms import CommandKind, EventKind, TimerKind

_MARKET_BITS: Final = NUMBER_BITS + 1
"""Of a market's number + 1; 0 stands for every market."""


@inlined
def _subject(account: int, market: int) -> int:
    return (int64(account) << _MARKET_BITS) | (int64(market) + 1)


@compiled
def set_countdown(root: int, command: int) -> None:
    """COUNTDOWN_SET."""
    s = record_at(root, 0, ROOT)
    c = record_at(command, 0, COUNTDOWN_COMMAND)
    kind = int64(TimerKind.COUNTDOWN)
    reason = _refusal(root, command)
    if reason != Reason.NONE:
        answer_plainly(root, command, int64(EventKind.REJECTED), reason)
        return
    subject = _subject(c.account, c.market)
    if timer_due_ns(root, kind, subject) != 0:
        timer_remove(root, kind, subject)
        s.countdowns -= 1
    due_ns = int64(0)
    if c.countdown_ns > 0:
        due_ns = s.time_ns + c.countdown_ns
        timer_set(root, kind, subject, due_ns)
        s.countdowns += 1
    event = emit(root, int64(EventKind.COUNTDOWN), c.account, c.market)
    record_at(event, 0, COUNTDOWN_EVENT).due_ns = due_ns


@compiled
def _refusal(root: int, command: int) -> int:
    """Why there can be no such countdown: a Reason, or NONE."""
    s = record_at(root, 0, ROOT)
    c = record_at(command, 0, COUNTDOWN_COMMAND)
    if not account_exists(root, c.account) or c.account == FEE_ACCOUNT:
        return int64(Reason.UNKNOWN_ACCOUNT)
    if c.expires_ns > 0 and c.expires_ns < s.time_ns:
        return int64(Reason.REQUEST_EXPIRED)
    if c.market < -1 or c.market >= s.markets_count:
        return int64(Reason.INVALID_SYMBOL)
    if c.countdown_ns < 0 or c.countdown_ns > COUNTDOWN_NS_MAX:
        return int64(Reason.INVALID_COUNTDOWN)
    known = timer_due_ns(root, int64(TimerKind.COUNTDOWN), _subject(c.account, c.market)) != 0
    if c.countdown_ns > 0 and not known and s.countdowns >= s.accounts_max:
        return int64(Reason.ENGINE_FULL)
    return int64(Reason.NONE)


@compiled
def countdown_over(root: int, subject: int) -> None:
    """A countdown's timer has fired: cancel what it is for."""
    s = record_at(root, 0, ROOT)
    s.countdowns -= 1
    market = (subject & ((1 << _MARKET_BITS) - 1)) - 1
    mass_begin(root, int64(CommandKind.TIMER), subject >> _MARKET_BITS, market, int64(0))
