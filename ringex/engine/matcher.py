"""`apply`: one command changes the state and gives its events. The exchange's only door.

A pure function of state and command: no clock, no randomness, no input or output (law 2). Events are written straight
into the caller's ring of EVENT records, which must have room for EVENTS_PER_COMMAND_MAX of them.
"""

from __future__ import annotations

from ringex.engine.admin import (
    add_account,
    add_asset,
    add_key,
    add_market,
    revoke_key,
    set_account,
)
from ringex.engine.auctions import indicate, uncross
from ringex.engine.closing import expire_order
from ringex.engine.countdowns import countdown_over, set_countdown
from ringex.engine.events import answer_duplicate, answer_plainly, reject
from ringex.engine.fees import set_fee_asset, set_fees
from ringex.engine.filters import set_filters
from ringex.engine.ledger import account_exists
from ringex.engine.lifecycle import begin_phase, change_status, set_market
from ringex.engine.limits import set_limits
from ringex.engine.listplacing import cancel_list, place_list
from ringex.engine.masses import (
    cancel_all,
    close_session,
    is_mass,
    kill_account,
    kill_market,
    lose_sessions,
    mass_step,
)
from ringex.engine.matching import match
from ringex.engine.money import close_withdrawal, hold_withdrawal, move_money, transfer
from ringex.engine.orderlimits import note_windows, set_order_limits
from ringex.engine.orderlists import is_list_due
from ringex.engine.orders import amend, cancel, cancel_replace, place
from ringex.engine.pendings import place_due
from ringex.engine.records import MARKET, REQUEST, RING, ROOT, TIMER
from ringex.engine.requests import is_remembered_kind, request_find, request_outcome, request_remember, requests_expire
from ringex.engine.schedules import market_of, set_schedule, status_of
from ringex.engine.stops import fire
from ringex.engine.timers import is_timer_due, timer_first, timer_remove
from ringex.jit import compiled, inlined, int64, separate
from ringex.memory import record_at
from ringex.messages import COMMAND, EVENT, FEE_ACCOUNT, RECORD_BYTES, RECORDS_PER_COMMAND_MAX
from ringex.reasons import Reason
from ringex.terms import CommandKind, EventFlag, EventKind, MarketStatus, TimerKind

WHOLE_EXCHANGE = -1
"""CANCEL_ALL's market number for "every market"."""


@inlined
def slots_of(command: int) -> int:
    """How many consecutive records the command at this address takes, by what its first one says."""
    slots = int64(record_at(command, 0, COMMAND).slots)
    return slots if slots > 1 and slots <= RECORDS_PER_COMMAND_MAX else int64(1)


@inlined
def is_continuation_pending(root: int) -> bool:
    """Whether the last command has work left: the next one must be CONTINUE."""
    return record_at(root, 0, ROOT).continuation_pending != 0


@separate
def apply(root: int, command: int, event_base: int, event_mask: int, cursor: int) -> int:
    """Apply the stamped COMMAND at address `command`, where all of its records lie one after the other.

    Event n (from 1) is written to slot (n - 1) & event_mask of the ring at `event_base`; `cursor` is how many have been
    given so far. Returns how many there are now: at least one more, at most EVENTS_PER_COMMAND_MAX.
    """
    s = record_at(root, 0, ROOT)
    c = record_at(command, 0, COMMAND)
    assert s.event_sequence == cursor
    assert c.sequence == s.command_sequence + 1 and c.time_ns >= s.time_ns
    continues = s.continuation_pending != 0
    assert not continues or c.kind == CommandKind.CONTINUE
    s.event_base = event_base
    s.event_mask = event_mask
    s.event_first = cursor
    s.cause_sequence = c.sequence
    s.first_price = 0
    s.command_sequence = c.sequence
    s.time_ns = c.time_ns
    note_windows(root)
    _note_ring(root, command)
    slots = slots_of(command)
    if slots > 1:
        s.command_sequence += slots - 1
        _note_ring(root, command + (slots - 1) * RECORD_BYTES)
    if not continues:
        s.correlation = c.correlation
        s.gateway = c.gateway
        s.incarnation = c.incarnation
        s.connection = c.connection
        s.transport = c.transport
    requests_expire(root)
    _dispatch(root, command)
    assert s.event_sequence > cursor
    cascades = s.continuation_pending == CommandKind.TRIGGER
    if s.continuation_pending == 0 or cascades:
        last = record_at(event_base + ((s.event_sequence - 1) & event_mask) * RECORD_BYTES, 0, EVENT)
        last.flag_bits = int64(last.flag_bits) | EventFlag.LAST
    if cascades:  # stop orders that fire answer nobody
        s.correlation = 0
        s.gateway = 0
        s.incarnation = 0
        s.connection = 0
        s.transport = 0
    return s.event_sequence


@inlined
def _note_ring(root: int, record: int) -> None:
    """Remember how far the command's ring has been taken (law 5)."""
    c = record_at(record, 0, COMMAND)
    ring = record_at(record_at(root, 0, ROOT).rings, int64(c.ring), RING)
    ring.epoch = c.ring_epoch
    ring.ring_sequence = c.ring_sequence


@inlined
def _dispatch(root: int, command: int) -> None:
    kind = record_at(command, 0, COMMAND).kind
    if (kind == CommandKind.PLACE or kind == CommandKind.CANCEL or kind == CommandKind.AMEND) and _well_formed(command):
        _client_command(root, command)
    else:
        _dispatch_rarer(root, command)


@compiled
def _dispatch_rarer(root: int, command: int) -> None:
    """Whatever is not by far the commonest. Apart, so that those do not pay for it: not even for its stack."""
    kind = record_at(command, 0, COMMAND).kind
    if not _well_formed(command):
        if CommandKind.PLACE <= kind <= CommandKind.CANCEL_REPLACE or is_list_kind(kind):
            reject(root, command, int64(kind), int64(Reason.INVALID_COMMAND))
        else:
            answer_plainly(root, command, int64(EventKind.REJECTED), int64(Reason.INVALID_COMMAND))
    elif kind <= CommandKind.CANCEL_REPLACE or is_list_kind(kind):
        _client_command(root, command)
    elif kind == CommandKind.CONTINUE:
        _continue(root, command)
    elif kind == CommandKind.TIMER:
        _fire_timer(root, command)
    elif kind == CommandKind.SESSION_LOST:
        lose_sessions(root)
    elif kind == CommandKind.SESSION_CLOSED:
        close_session(root, command)
    elif kind == CommandKind.ACCOUNT_KILL:
        kill_account(root, command)
    elif kind == CommandKind.MARKET_KILL:
        kill_market(root, command)
    elif kind == CommandKind.COUNTDOWN_SET:
        set_countdown(root, command)
    elif kind <= CommandKind.WITHDRAW:
        move_money(root, command)
    elif kind == CommandKind.ASSET_ADD:
        add_asset(root, command)
    elif kind == CommandKind.MARKET_ADD:
        add_market(root, command)
    elif kind == CommandKind.ACCOUNT_ADD:
        add_account(root, command)
    elif kind == CommandKind.LIMITS_SET:
        set_limits(root, command)
    elif kind == CommandKind.ORDER_LIMITS_SET:
        set_order_limits(root, command)
    elif kind == CommandKind.MARKET_SCHEDULE:
        set_schedule(root, command)
    elif kind == CommandKind.MARKET_FILTERS_SET:
        set_filters(root, command)
    elif kind == CommandKind.KEY_ADD:
        add_key(root, command)
    elif kind == CommandKind.KEY_REVOKE:
        revoke_key(root, command)
    elif kind == CommandKind.TRANSFER:
        transfer(root, command)
    elif kind == CommandKind.WITHDRAW_HOLD:
        hold_withdrawal(root, command)
    elif kind == CommandKind.WITHDRAW_COMPLETE or kind == CommandKind.WITHDRAW_RELEASE:
        close_withdrawal(root, command)
    elif kind == CommandKind.FEES_SET:
        set_fees(root, command)
    elif kind == CommandKind.FEE_ASSET_SET:
        set_fee_asset(root, command)
    elif kind == CommandKind.ACCOUNT_SET:
        set_account(root, command)
    else:
        set_market(root, command)


@inlined
def _is_known(kind: int) -> bool:
    """Whether this is a CommandKind that can be sequenced."""
    return (
        (kind >= CommandKind.PLACE and kind <= CommandKind.MARKET_SET)
        or kind == CommandKind.LIMITS_SET
        or kind == CommandKind.ORDER_LIMITS_SET
        or kind == CommandKind.MARKET_SCHEDULE
        or kind == CommandKind.MARKET_FILTERS_SET
        or kind == CommandKind.KEY_REVOKE
        or kind == CommandKind.TIMER
        or (kind >= CommandKind.FEES_SET and kind <= CommandKind.WITHDRAW_RELEASE)
        or (kind >= CommandKind.SESSION_CLOSED and kind <= CommandKind.COUNTDOWN_SET)
        or is_list_kind(kind)
    )


@inlined
def is_list_kind(kind: int) -> bool:
    """Whether a command of this kind is about an order list as a whole."""
    return kind >= CommandKind.OCO_PLACE and kind <= CommandKind.LIST_CANCEL


@inlined
def _well_formed(command: int) -> bool:
    """Whether the kind is known, and the command has as many records as that takes, for one account and market."""
    c = record_at(command, 0, COMMAND)
    if not _is_known(int64(c.kind)):
        return False
    slots = _slots_needed(c.kind)
    if c.slots != slots:
        return False
    for number in range(1, slots):
        d = record_at(command, number, COMMAND)
        if d.kind != CommandKind.PLACE or d.account != c.account or d.market != c.market:
            return False
    return True


@inlined
def _slots_needed(kind: int) -> int:
    """How many records a command of this kind has."""
    if kind == CommandKind.CANCEL_REPLACE:
        return 2
    if kind == CommandKind.OCO_PLACE or kind == CommandKind.OTO_PLACE:
        return 3
    return 4 if kind == CommandKind.OTOCO_PLACE else 1


@inlined
def _client_command(root: int, command: int) -> None:
    """Steps 3 and 4 of "Every command", then the command itself."""
    s = record_at(root, 0, ROOT)
    c = record_at(command, 0, COMMAND)
    kind = int64(c.kind)
    second = command + RECORD_BYTES
    terms = second if kind == CommandKind.CANCEL_REPLACE else command
    places_list = kind >= CommandKind.OCO_PLACE and kind < CommandKind.LIST_CANCEL
    t = record_at(terms, 0, COMMAND)
    s.request = 0
    if not account_exists(root, c.account) or c.account == FEE_ACCOUNT:
        reject(root, command, kind, int64(Reason.UNKNOWN_ACCOUNT))
        return
    places = kind == CommandKind.PLACE or kind == CommandKind.CANCEL_REPLACE or places_list
    remembers = places and is_remembered_kind(terms)
    if remembers:
        slot = request_find(root, terms)
        if slot != 0:
            r = record_at(s.requests, slot, REQUEST)
            answer_duplicate(root, command, r.order_id, int64(r.reason))
            return
    if t.expires_ns > 0 and t.expires_ns < s.time_ns:
        reject(root, command, kind, int64(Reason.REQUEST_EXPIRED))
        return
    if remembers:
        s.request = request_remember(root, terms)
        if s.request == 0:
            reject(root, command, kind, int64(Reason.TOO_MANY_REQUESTS_REMEMBERED))
            return
    everywhere = kind == CommandKind.CANCEL_ALL and c.market == WHOLE_EXCHANGE
    if (c.market < 0 or c.market >= s.markets_count) and not everywhere:
        request_outcome(root, int64(0), int64(Reason.INVALID_SYMBOL))
        reject(root, command, kind, int64(Reason.INVALID_SYMBOL))
        return
    if kind == CommandKind.PLACE:
        place(root, command)
    elif kind == CommandKind.CANCEL:
        cancel(root, command)
    elif kind == CommandKind.CANCEL_ALL:
        cancel_all(root, command)
    elif kind == CommandKind.AMEND:
        amend(root, command)
    elif kind == CommandKind.CANCEL_REPLACE:
        cancel_replace(root, command, second)
    elif places_list:
        place_list(root, command)
    else:
        cancel_list(root, command)
    if c.market >= 0:
        indicate(root, int64(c.market))


@inlined
def _continue(root: int, command: int) -> None:
    """CONTINUE: go on with what is pending."""
    pending = record_at(root, 0, ROOT).continuation_pending
    market = record_at(root, 0, ROOT).pending_market
    if pending == 0:
        answer_plainly(root, command, int64(EventKind.REJECTED), int64(Reason.INVALID_COMMAND))
    elif is_mass(pending):
        mass_step(root, pending)
    elif pending == CommandKind.UNCROSS:
        uncross(root)
    elif pending == CommandKind.TRIGGER:
        if is_list_due(record_at(record_at(root, 0, ROOT).markets, market, MARKET)):
            place_due(root)
        else:
            fire(root)
    else:
        match(root, pending)
    tells = pending != CommandKind.UNCROSS and (pending == CommandKind.CANCEL_ALL or not is_mass(pending))
    if pending != 0 and tells and market >= 0:
        indicate(root, market)


@inlined
def _fire_timer(root: int, command: int) -> None:
    """TIMER: the first timer fires, if it is due."""
    s = record_at(root, 0, ROOT)
    if not is_timer_due(root, s.time_ns):
        answer_plainly(root, command, int64(EventKind.REJECTED), int64(Reason.INVALID_COMMAND))
        return
    timer = record_at(s.timers, timer_first(root), TIMER)
    kind = timer.kind
    subject = timer.subject
    timer_remove(root, kind, subject)
    if kind == TimerKind.ORDER_EXPIRY:
        expire_order(root, subject)
    elif kind == TimerKind.COUNTDOWN:
        countdown_over(root, subject)
    elif kind == TimerKind.MARKET_PHASE:
        begin_phase(root, market_of(subject), status_of(subject))
    else:
        change_status(root, subject, int64(MarketStatus.TRADING))
