"""Remembered requests (law 5): the same request sent again gets the first one's outcome, never a second order.

A request is known by (account, client order id, timestamp). A heap by expiry lets it go as soon as its time has passed.
"""

from __future__ import annotations

from ringex.engine.events import COMMAND_ID_OFFSET
from ringex.engine.records import ACCOUNT, EXPIRY, REQUEST, REQUEST_BYTES, REQUEST_ID_OFFSET, ROOT
from ringex.jit import compiled, inlined, int64
from ringex.memory import record_at
from ringex.messages import COMMAND
from ringex.tables import (
    index_first,
    index_next,
    index_put,
    index_remove_value,
    index_value,
    pool_give,
    pool_take,
    pool_used,
    words_copy,
    words_empty,
    words_equal,
    words_hash,
)
from ringex.terms import CommandKind


@inlined
def is_remembered_kind(command: int) -> bool:
    """Whether a PLACE record, or that of an order list, asks to be remembered."""
    c = record_at(command, 0, COMMAND)
    return c.timestamp_us > 0 and c.expires_ns > 0 and not words_empty(command + COMMAND_ID_OFFSET)


@inlined
def _key(account: int, timestamp_us: int, words: int) -> int:
    return words_hash(int64(account) ^ (timestamp_us << 20), words)


@inlined
def _words(root: int, slot: int) -> int:
    return record_at(root, 0, ROOT).requests + slot * REQUEST_BYTES + REQUEST_ID_OFFSET


@inlined
def _is_list(command: int) -> int:
    """1 for an order list's record, 0 for an order's."""
    return int64(1) if record_at(command, 0, COMMAND).kind >= CommandKind.OCO_PLACE else int64(0)


@compiled
def request_find(root: int, command: int) -> int:
    """The remembered request that the record at `command` repeats, or 0. Lists and orders are told apart."""
    s = record_at(root, 0, ROOT)
    c = record_at(command, 0, COMMAND)
    words = command + COMMAND_ID_OFFSET
    key = _key(c.account, c.timestamp_us, words)
    at = index_first(s.request_index, key)
    while at >= 0:
        slot = index_value(s.request_index, at)
        r = record_at(s.requests, slot, REQUEST)
        same = r.account == c.account and r.timestamp_us == c.timestamp_us and r.is_list == _is_list(command)
        if same and words_equal(_words(root, slot), words):
            return slot
        at = index_next(s.request_index, key, at)
    return 0


@compiled
def request_remember(root: int, command: int) -> int:
    """Make an entry for the record at `command`, its outcome open. Returns its slot, or 0 for want of room."""
    s = record_at(root, 0, ROOT)
    c = record_at(command, 0, COMMAND)
    account = record_at(s.accounts, int64(c.account), ACCOUNT)
    if account.requests >= s.requests_remembered_per_account_max:
        return 0
    slot = pool_take(s.request_pool)
    if slot == 0:
        return 0
    r = record_at(s.requests, slot, REQUEST)
    r.timestamp_us = c.timestamp_us
    r.expires_ns = c.expires_ns
    r.order_id = 0
    r.account = c.account
    r.reason = 0
    r.is_list = _is_list(command)
    words_copy(_words(root, slot), command + COMMAND_ID_OFFSET)
    request_enter(root, slot)
    return slot


@compiled
def request_enter(root: int, slot: int) -> None:
    """Enter a filled request record in the index, its account's count and the heap."""
    s = record_at(root, 0, ROOT)
    r = record_at(s.requests, slot, REQUEST)
    record_at(s.accounts, int64(r.account), ACCOUNT).requests += 1
    index_put(s.request_index, _key(r.account, r.timestamp_us, _words(root, slot)), slot)
    at = pool_used(s.request_pool)
    while at > 1:
        parent = record_at(s.expiries, at >> 1, EXPIRY)
        if parent.expires_ns <= r.expires_ns:
            break
        child = record_at(s.expiries, at, EXPIRY)
        child.expires_ns = parent.expires_ns
        child.request = parent.request
        at >>= 1
    place = record_at(s.expiries, at, EXPIRY)
    place.expires_ns = r.expires_ns
    place.request = slot


@inlined
def _is_request_over(root: int) -> bool:
    """Whether the time of the first one to expire has passed."""
    s = record_at(root, 0, ROOT)
    return pool_used(s.request_pool) > 0 and record_at(s.expiries, 1, EXPIRY).expires_ns < s.time_ns


@inlined
def requests_expire(root: int) -> None:
    """Forget every request whose time has passed."""
    if _is_request_over(root):
        _forget_requests(root)


@compiled
def _forget_requests(root: int) -> None:
    s = record_at(root, 0, ROOT)
    while _is_request_over(root):
        slot = record_at(s.expiries, 1, EXPIRY).request
        r = record_at(s.requests, slot, REQUEST)
        record_at(s.accounts, int64(r.account), ACCOUNT).requests -= 1
        found = index_remove_value(s.request_index, _key(r.account, r.timestamp_us, _words(root, slot)), slot)
        assert found
        _heap_pop(root)
        pool_give(s.request_pool, slot)


@compiled
def _heap_pop(root: int) -> None:
    """Remove the first entry of the heap: the last one sinks from its place."""
    s = record_at(root, 0, ROOT)
    count = pool_used(s.request_pool)
    last = record_at(s.expiries, count, EXPIRY)
    expires_ns = last.expires_ns
    request = last.request
    at = 1
    while True:
        child = at << 1
        if child >= count:
            break
        if (
            child + 1 < count
            and record_at(s.expiries, child + 1, EXPIRY).expires_ns < record_at(s.expiries, child, EXPIRY).expires_ns
        ):
            child += 1
        below = record_at(s.expiries, child, EXPIRY)
        if below.expires_ns >= expires_ns:
            break
        place = record_at(s.expiries, at, EXPIRY)
        place.expires_ns = below.expires_ns
        place.request = below.request
        at = child
    place = record_at(s.expiries, at, EXPIRY)
    place.expires_ns = expires_ns
    place.request = request


@inlined
def request_outcome(root: int, order_id: int, reason: int) -> None:
    """Note what became of the request being tried, if it is to be remembered."""
    s = record_at(root, 0, ROOT)
    if s.request != 0:
        r = record_at(s.requests, s.request, REQUEST)
        r.order_id = order_id
        r.reason = reason
        s.request = 0
