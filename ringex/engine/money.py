"""Money that comes, goes, is held for a withdrawal, or moves between accounts: each booked once by its reference."""

from __future__ import annotations

from typing import Final

from ringex.engine.events import answer_plainly, emit
from ringex.engine.ledger import account_exists, balance_find, balance_make, hold, pay_locked
from ringex.engine.records import (
    ACCOUNT,
    ASSET,
    BALANCE,
    REFERENCE,
    REFERENCE_BYTES,
    REFERENCE_WORDS_OFFSET,
    ROOT,
)
from ringex.jit import compiled, inlined, int64
from ringex.memory import record_at
from ringex.messages import AMOUNT_MAX, BALANCE_COMMAND, BALANCE_EVENT, FEE_ACCOUNT
from ringex.reasons import Reason
from ringex.tables import (
    index_first,
    index_next,
    index_put,
    index_value,
    pool_full,
    pool_take,
    words_copy,
    words_empty,
    words_equal,
    words_hash,
)
from ringex.terms import AccountStatus, CommandKind, EventKind

REFERENCE_OFFSET: Final[int] = BALANCE_COMMAND.fields["reference"][1]  # type: ignore[index]
EVENT_REFERENCE_OFFSET: Final[int] = BALANCE_EVENT.fields["reference"][1]  # type: ignore[index]
OPERATOR: Final = FEE_ACCOUNT
"""Who asks for a transfer that no account asks for."""


@compiled
def move_money(root: int, command: int) -> None:
    """DEPOSIT or WITHDRAW."""
    s = record_at(root, 0, ROOT)
    c = record_at(command, 0, BALANCE_COMMAND)
    if _is_answered(root, command, _request_refusal(root, command)):
        return
    reason = int64(Reason.NONE)
    if c.kind == CommandKind.WITHDRAW:
        reason = _funds_refusal(root, c.account, c.asset, c.amount)
    elif c.amount > AMOUNT_MAX - record_at(s.assets, int64(c.asset), ASSET).total:
        reason = int64(Reason.AMOUNT_OUT_OF_RANGE)
    if reason == Reason.NONE:
        reason = _room_refusal(root, c.account, c.asset)
    if reason != Reason.NONE:
        answer_plainly(root, command, int64(EventKind.REJECTED), reason)
        return
    _remember(root, command)
    amount = c.amount if c.kind == CommandKind.DEPOSIT else -c.amount
    slot = balance_make(root, c.account, c.asset)
    record_at(s.balances, slot, BALANCE).free += amount
    record_at(s.assets, int64(c.asset), ASSET).total += amount
    _emit_balance(root, command, slot, amount)


@compiled
def transfer(root: int, command: int) -> None:
    """TRANSFER: from one account's free balance to another's. Clients may within a family, the operator anywhere."""
    s = record_at(root, 0, ROOT)
    c = record_at(command, 0, BALANCE_COMMAND)
    reason = int64(Reason.NONE)
    if not account_exists(root, c.from_account) or not account_exists(root, c.to_account):
        reason = int64(Reason.UNKNOWN_ACCOUNT)
    else:
        reason = _request_refusal(root, command)
    if reason == Reason.NONE and c.from_account == c.to_account:
        reason = int64(Reason.INVALID_COMMAND)
    if reason == Reason.NONE and c.account != OPERATOR:
        if not _is_of_family(root, c.account, c.from_account) or not _is_of_family(root, c.account, c.to_account):
            reason = int64(Reason.TRANSFER_NOT_ALLOWED)
    if _is_answered(root, command, reason):
        return
    if c.expires_ns > 0 and c.expires_ns < s.time_ns:
        reason = int64(Reason.REQUEST_EXPIRED)
    elif c.account != OPERATOR and (_is_blocked(root, c.account) or _is_blocked(root, c.from_account)):
        reason = int64(Reason.ACCOUNT_BLOCKED)
    else:
        reason = _funds_refusal(root, c.from_account, c.asset, c.amount)
    if reason == Reason.NONE:
        reason = _room_refusal(root, c.to_account, c.asset)
    if reason != Reason.NONE:
        answer_plainly(root, command, int64(EventKind.REJECTED), reason)
        return
    _remember(root, command)
    giver = balance_find(root, c.from_account, c.asset)
    taker = balance_make(root, c.to_account, c.asset)
    record_at(s.balances, giver, BALANCE).free -= c.amount
    record_at(s.balances, taker, BALANCE).free += c.amount
    _emit_balance(root, command, giver, -c.amount)
    _emit_balance(root, command, taker, c.amount)


@compiled
def hold_withdrawal(root: int, command: int) -> None:
    """WITHDRAW_HOLD: what is to be withdrawn is no longer free, and has not left yet."""
    s = record_at(root, 0, ROOT)
    c = record_at(command, 0, BALANCE_COMMAND)
    if _is_answered(root, command, _request_refusal(root, command)):
        return
    reason = _funds_refusal(root, c.account, c.asset, c.amount)
    if reason == Reason.NONE:
        reason = _room_refusal(root, c.account, c.asset)
    if reason != Reason.NONE:
        answer_plainly(root, command, int64(EventKind.REJECTED), reason)
        return
    r = record_at(s.references, _remember(root, command), REFERENCE)
    r.asset = c.asset
    r.amount = c.amount
    slot = balance_find(root, c.account, c.asset)
    hold(root, slot, c.amount)
    record_at(_emit_balance(root, command, slot, int64(0)), 0, BALANCE_EVENT).held = c.amount


@compiled
def close_withdrawal(root: int, command: int) -> None:
    """WITHDRAW_COMPLETE or WITHDRAW_RELEASE: what is held leaves the exchange, or is free again."""
    s = record_at(root, 0, ROOT)
    c = record_at(command, 0, BALANCE_COMMAND)
    slot = int64(0)
    reason = int64(Reason.NONE)
    if not account_exists(root, c.account):
        reason = int64(Reason.UNKNOWN_ACCOUNT)
    elif words_empty(command + REFERENCE_OFFSET):
        reason = int64(Reason.INVALID_COMMAND)
    else:
        slot = reference_find(root, command, int64(CommandKind.WITHDRAW_HOLD))
        if slot == 0:
            reason = int64(Reason.UNKNOWN_WITHDRAWAL)
        elif record_at(s.references, slot, REFERENCE).outcome == c.kind:
            answer_plainly(root, command, int64(EventKind.DUPLICATE), int64(Reason.NONE))
            return
        elif record_at(s.references, slot, REFERENCE).outcome != 0:
            reason = int64(Reason.WITHDRAWAL_CLOSED)
    if reason != Reason.NONE:
        answer_plainly(root, command, int64(EventKind.REJECTED), reason)
        return
    r = record_at(s.references, slot, REFERENCE)
    r.outcome = c.kind
    balance = balance_find(root, r.account, r.asset)
    amount = int64(0)
    if c.kind == CommandKind.WITHDRAW_COMPLETE:
        amount = -r.amount
        pay_locked(root, balance, r.amount)
        record_at(s.assets, int64(r.asset), ASSET).total -= r.amount
    else:
        hold(root, balance, -r.amount)
    record_at(_emit_balance(root, command, balance, amount), 0, BALANCE_EVENT).held = -r.amount


# What the bookings share.


@inlined
def _request_refusal(root: int, command: int) -> int:
    """What is wrong with the request itself."""
    c = record_at(command, 0, BALANCE_COMMAND)
    if not account_exists(root, c.account):
        return int64(Reason.UNKNOWN_ACCOUNT)
    if c.asset < 0 or c.asset >= record_at(root, 0, ROOT).assets_count:
        return int64(Reason.UNKNOWN_ASSET)
    if c.amount <= 0:
        return int64(Reason.AMOUNT_OUT_OF_RANGE)
    if words_empty(command + REFERENCE_OFFSET):
        return int64(Reason.INVALID_COMMAND)
    return int64(Reason.NONE)


@compiled
def _is_answered(root: int, command: int, reason: int) -> bool:
    """Refuse for `reason`, if it is one; else answer a request that is booked already. Whether either was done."""
    if reason != Reason.NONE:
        answer_plainly(root, command, int64(EventKind.REJECTED), reason)
        return True
    if reference_find(root, command, int64(record_at(command, 0, BALANCE_COMMAND).kind)) != 0:
        answer_plainly(root, command, int64(EventKind.DUPLICATE), int64(Reason.NONE))
        return True
    return False


@inlined
def _funds_refusal(root: int, account: int, asset: int, amount: int) -> int:
    slot = balance_find(root, account, asset)
    if slot == 0 or record_at(record_at(root, 0, ROOT).balances, slot, BALANCE).free < amount:
        return int64(Reason.INSUFFICIENT_BALANCE)
    return int64(Reason.NONE)


@inlined
def _room_refusal(root: int, account: int, asset: int) -> int:
    """Whether there is room for one more reference, and for the account's balance."""
    s = record_at(root, 0, ROOT)
    if pool_full(s.reference_pool) or (balance_find(root, account, asset) == 0 and pool_full(s.balance_pool)):
        return int64(Reason.ENGINE_FULL)
    return int64(Reason.NONE)


@inlined
def _is_of_family(root: int, parent: int, account: int) -> bool:
    """Whether `account` is `parent` or a sub-account of it."""
    return account == parent or record_at(record_at(root, 0, ROOT).accounts, int64(account), ACCOUNT).parent == parent


@inlined
def _is_blocked(root: int, account: int) -> bool:
    return record_at(record_at(root, 0, ROOT).accounts, int64(account), ACCOUNT).status == AccountStatus.BLOCKED


@compiled
def _emit_balance(root: int, command: int, slot: int, amount: int) -> int:
    """BALANCE, with what the balance in `slot` now is. Returns the event's address."""
    c = record_at(command, 0, BALANCE_COMMAND)
    balance = record_at(record_at(root, 0, ROOT).balances, slot, BALANCE)
    event = emit(root, int64(EventKind.BALANCE), balance.account, balance.asset)
    e = record_at(event, 0, BALANCE_EVENT)
    e.amount = amount
    e.free = balance.free
    e.locked = balance.locked
    e.command_kind = c.kind
    if c.kind == CommandKind.TRANSFER:
        e.counterparty = c.to_account if balance.account == c.from_account else c.from_account
    words_copy(event + EVENT_REFERENCE_OFFSET, command + REFERENCE_OFFSET)
    return event


# References.


@compiled
def _remember(root: int, command: int) -> int:
    """Make the command's reference one that has been booked. Returns its slot; there is room."""
    s = record_at(root, 0, ROOT)
    c = record_at(command, 0, BALANCE_COMMAND)
    slot = pool_take(s.reference_pool)
    r = record_at(s.references, slot, REFERENCE)
    r.account = c.account
    r.kind = c.kind
    r.asset = 0
    r.amount = 0
    r.outcome = 0
    words_copy(s.references + slot * REFERENCE_BYTES + REFERENCE_WORDS_OFFSET, command + REFERENCE_OFFSET)
    reference_enter(root, slot)
    return slot


@inlined
def _reference_key(account: int, kind: int, words: int) -> int:
    return words_hash((int64(account) << 8) | int64(kind), words)


@compiled
def reference_find(root: int, command: int, kind: int) -> int:
    """The reference that was booked for the command's account, as this kind, or 0."""
    s = record_at(root, 0, ROOT)
    c = record_at(command, 0, BALANCE_COMMAND)
    words = command + REFERENCE_OFFSET
    key = _reference_key(c.account, kind, words)
    at = index_first(s.reference_index, key)
    while at >= 0:
        slot = index_value(s.reference_index, at)
        r = record_at(s.references, slot, REFERENCE)
        known = s.references + slot * REFERENCE_BYTES + REFERENCE_WORDS_OFFSET
        if r.account == c.account and r.kind == kind and words_equal(known, words):
            return slot
        at = index_next(s.reference_index, key, at)
    return 0


@compiled
def reference_enter(root: int, slot: int) -> None:
    """Enter a filled reference record in the index."""
    s = record_at(root, 0, ROOT)
    r = record_at(s.references, slot, REFERENCE)
    words = s.references + slot * REFERENCE_BYTES + REFERENCE_WORDS_OFFSET
    index_put(s.reference_index, _reference_key(r.account, r.kind, words), slot)
