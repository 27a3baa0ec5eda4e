"""Mass cancels: many orders by one command, in steps of a bounded number of events (law 9).

CANCEL_ALL, SESSION_CLOSED, ACCOUNT_KILL and a countdown that is over walk an account's open orders, SESSION_LOST those
of a gateway that are canceled on disconnect, MARKET_KILL one account after the other. What a step leaves is found
anew by the next.
"""

from __future__ import annotations

from ringex.engine.admin import emit_account, emit_market
from ringex.engine.events import answer_plainly, emit_done, emitted, reject
from ringex.engine.ledger import account_exists
from ringex.engine.lifecycle import change_status
from ringex.engine.orderlists import list_of
from ringex.engine.orders import remove
from ringex.engine.records import ACCOUNT, GATEWAY, LEVEL, MARKET, ORDER, ORDER_COLD, ORDER_SESSION, ROOT
from ringex.engine.schedules import forget_schedule
from ringex.engine.sessions import is_of_session
from ringex.engine.timers import timer_remove
from ringex.jit import compiled, inlined, int64
from ringex.memory import record_at
from ringex.messages import COMMAND, EVENTS_PER_COMMAND_MAX, FEE_ACCOUNT
from ringex.reasons import Reason
from ringex.terms import AccountStatus, CommandFlag, CommandKind, EventKind, MarketStatus, TimerKind

EVENTS_PER_STEP_MAX = 5
"""CANCELED of an order and of two others of its list, the end of the list; DONE."""


@compiled
def cancel_all(root: int, command: int) -> None:
    """CANCEL_ALL: the account's open orders in a market, or in all; perhaps only those of the command's session."""
    c = record_at(command, 0, COMMAND)
    kind = int64(CommandKind.CANCEL_ALL)
    of_session = 1 if int64(c.flag_bits) & CommandFlag.OF_SESSION != 0 else 0
    _mean(root, c.account, c.market, of_session)
    if _first(root, kind) == 0:
        reject(root, command, kind, int64(Reason.UNKNOWN_ORDER))
        record_at(root, 0, ROOT).pending_session = 0
        return
    mass_step(root, kind)


@compiled
def close_session(root: int, command: int) -> None:
    """SESSION_CLOSED: the account's orders of the command's session that are canceled on disconnect."""
    c = record_at(command, 0, COMMAND)
    if not account_exists(root, c.account) or c.account == FEE_ACCOUNT:
        answer_plainly(root, command, int64(EventKind.REJECTED), int64(Reason.UNKNOWN_ACCOUNT))
        return
    mass_begin(root, int64(CommandKind.SESSION_CLOSED), c.account, int64(-1), int64(1))


@compiled
def lose_sessions(root: int) -> None:
    """SESSION_LOST: all orders of the gateway, up to this incarnation, that are canceled on disconnect."""
    mass_begin(root, int64(CommandKind.SESSION_LOST), int64(0), int64(-1), int64(0))


@compiled
def kill_account(root: int, command: int) -> None:
    """ACCOUNT_KILL: block an account, then cancel all its orders."""
    c = record_at(command, 0, COMMAND)
    if not account_exists(root, c.account) or c.account == FEE_ACCOUNT:
        answer_plainly(root, command, int64(EventKind.REJECTED), int64(Reason.UNKNOWN_ACCOUNT))
        return
    record_at(record_at(root, 0, ROOT).accounts, int64(c.account), ACCOUNT).status = AccountStatus.BLOCKED
    emit_account(root, int64(c.account))
    mass_begin(root, int64(CommandKind.ACCOUNT_KILL), c.account, int64(-1), int64(0))


@compiled
def kill_market(root: int, command: int) -> None:
    """MARKET_KILL: halt a market that is not closed, then cancel everybody's orders in it."""
    s = record_at(root, 0, ROOT)
    c = record_at(command, 0, COMMAND)
    if c.market < 0 or c.market >= s.markets_count:
        answer_plainly(root, command, int64(EventKind.REJECTED), int64(Reason.INVALID_SYMBOL))
        return
    timer_remove(root, int64(TimerKind.MARKET_RESUME), int64(c.market))
    forget_schedule(root, int64(c.market))
    if record_at(s.markets, int64(c.market), MARKET).status == MarketStatus.CLOSED:
        emit_market(root, int64(c.market))
    else:
        change_status(root, int64(c.market), int64(MarketStatus.HALT))
    mass_begin(root, int64(CommandKind.MARKET_KILL), int64(0), c.market, int64(0))


@compiled
def mass_begin(root: int, kind: int, account: int, market: int, of_session: int) -> None:
    """The first step of a mass cancel that may find nothing."""
    _mean(root, account, market, of_session)
    mass_step(root, kind)


@inlined
def is_mass(kind: int) -> bool:
    """Whether a command of this kind cancels many orders; TIMER: of a countdown."""
    return (
        kind == CommandKind.CANCEL_ALL
        or kind == CommandKind.SESSION_CLOSED
        or kind == CommandKind.SESSION_LOST
        or kind == CommandKind.ACCOUNT_KILL
        or kind == CommandKind.MARKET_KILL
        or kind == CommandKind.TIMER
    )


@compiled
def mass_step(root: int, kind: int) -> None:
    """Cancel as many of the orders meant as this step's events allow; DONE where none is left."""
    s = record_at(root, 0, ROOT)
    s.continuation_pending = 0
    count = int64(0)
    slot = _first(root, kind)
    while slot != 0:
        if emitted(root) > EVENTS_PER_COMMAND_MAX - EVENTS_PER_STEP_MAX:
            s.continuation_pending = kind
            return
        following = _next(root, kind, _after(root, kind, slot))
        order_list = list_of(root, slot)
        while order_list != 0 and following != 0 and list_of(root, following) == order_list:  # it will go too
            following = _next(root, kind, _after(root, kind, following))
        count += remove(root, slot, kind, _reason(kind), int64(0))
        slot = following
        if slot == 0 and kind == CommandKind.MARKET_KILL:
            s.pending_account += 1
            slot = _first(root, kind)
    s.pending_session = 0
    names_market = kind == CommandKind.CANCEL_ALL or kind == CommandKind.MARKET_KILL or kind == CommandKind.TIMER
    if kind == CommandKind.MARKET_KILL:
        s.pending_account = 0
    emit_done(root, kind, s.pending_account, s.pending_market if names_market else int64(0), count)


@inlined
def _mean(root: int, account: int, market: int, of_session: int) -> None:
    """Say which orders a mass cancel means, for its later steps too."""
    s = record_at(root, 0, ROOT)
    s.pending_account = account
    s.pending_market = market
    s.pending_session = of_session
    s.pending_price = 0
    s.pending_quote = 0
    s.pending_collar = 0


@inlined
def _reason(kind: int) -> int:
    if kind == CommandKind.CANCEL_ALL:
        return int64(Reason.CANCELED_WITH_ALL)
    if kind == CommandKind.ACCOUNT_KILL or kind == CommandKind.MARKET_KILL:
        return int64(Reason.CANCELED_BY_OPERATOR)
    if kind == CommandKind.TIMER:
        return int64(Reason.COUNTDOWN_OVER)
    return int64(Reason.DISCONNECTED)


@compiled
def _first(root: int, kind: int) -> int:
    """The first order that the pending mass cancel means, or 0."""
    s = record_at(root, 0, ROOT)
    if kind == CommandKind.MARKET_KILL:  # accounts before the pending one have none left there
        while s.pending_account < s.accounts_count:
            slot = _next(root, kind, int64(record_at(s.accounts, s.pending_account, ACCOUNT).oldest))
            if slot != 0:
                return slot
            s.pending_account += 1
        return 0
    if kind == CommandKind.SESSION_LOST:
        return _next(root, kind, int64(record_at(s.gateways, s.gateway, GATEWAY).oldest))
    return _next(root, kind, int64(record_at(s.accounts, s.pending_account, ACCOUNT).oldest))


@compiled
def _after(root: int, kind: int, slot: int) -> int:
    """The order behind `slot` in the list that is walked, or 0."""
    s = record_at(root, 0, ROOT)
    if kind == CommandKind.SESSION_LOST:
        return int64(record_at(s.orders_session, slot, ORDER_SESSION).younger)
    return int64(record_at(s.orders_cold, slot, ORDER_COLD).younger)


@compiled
def _next(root: int, kind: int, slot: int) -> int:
    """The first order from `slot` on, in the list that is walked, that is meant, or 0."""
    while slot != 0 and not _is_meant(root, kind, slot):
        slot = _after(root, kind, slot)
    return slot


@inlined
def _is_meant(root: int, kind: int, slot: int) -> bool:
    s = record_at(root, 0, ROOT)
    session = record_at(s.orders_session, slot, ORDER_SESSION)
    if kind == CommandKind.SESSION_LOST:
        return int64(session.incarnation) <= s.incarnation
    if kind == CommandKind.SESSION_CLOSED and session.cancel_on_disconnect == 0:
        return False
    if s.pending_session != 0 and not is_of_session(root, slot):
        return False
    order = record_at(s.orders, slot, ORDER)
    return s.pending_market < 0 or record_at(s.levels, int64(order.level), LEVEL).market == s.pending_market
