"""Order limits: how many new orders an account may send in a while, how many it may have open in all markets.

They and the counts lie in the account's first cache line, which placing and closing an order touch anyway.
"""

from __future__ import annotations

from ringex.engine.events import answer_plainly, emit
from ringex.engine.ledger import account_exists
from ringex.engine.records import ACCOUNT, ACCOUNT_BYTES, ORDER_COUNTS_OFFSET, ROOT
from ringex.jit import compiled, inlined, int64
from ringex.memory import record_at
from ringex.messages import FEE_ACCOUNT, ORDER_LIMITS_COMMAND, ORDER_LIMITS_EVENT
from ringex.orderlimits import SHORT_NS, count_accepted, count_first_fill, day_of, short_window_of
from ringex.reasons import Reason
from ringex.terms import EventKind


@inlined
def _counts_of(root: int, account: int) -> int:
    """The address of an account's ORDER_COUNTS."""
    return record_at(root, 0, ROOT).accounts + int64(account) * ACCOUNT_BYTES + ORDER_COUNTS_OFFSET


@inlined
def note_windows(root: int) -> None:
    """Keep the windows of the present time: they change every ten seconds, and are asked for at each order."""
    s = record_at(root, 0, ROOT)
    if s.time_ns >= s.short_until_ns:
        s.short_window = short_window_of(s.time_ns)
        s.short_until_ns = (s.short_window + 1) * SHORT_NS
        s.day = day_of(s.time_ns)


@inlined
def note_accepted(root: int, account: int) -> None:
    """An order of the account was accepted."""
    s = record_at(root, 0, ROOT)
    count_accepted(_counts_of(root, account), s.short_window, s.day)


@inlined
def note_first_fill(root: int, account: int, credit: int) -> None:
    """An order of the account trades for the first time."""
    s = record_at(root, 0, ROOT)
    count_first_fill(_counts_of(root, account), s.short_window, s.day, int64(credit))


@inlined
def check_order_rates(root: int, account: int, count: int) -> int:
    """Whether the account may send `count` more orders just now, as far as rates go: a Reason, or NONE."""
    s = record_at(root, 0, ROOT)
    a = record_at(s.accounts, int64(account), ACCOUNT)
    most = int64(a.orders_10s_max) if a.orders_10s_max != 0 else s.orders_10s_max
    if a.short_count + count > most and (a.short_window == s.short_window or count > most):
        return int64(Reason.ORDER_RATE_10S)
    most = int64(a.orders_1d_max) if a.orders_1d_max != 0 else s.orders_1d_max
    if a.day_count + count > most and (a.day == s.day or count > most):
        return int64(Reason.ORDER_RATE_1D)
    return int64(Reason.NONE)


@inlined
def check_order_limits(root: int, account: int, count: int) -> int:
    """Whether the account may send `count` more orders: a Reason, or NONE."""
    reason = check_order_rates(root, account, count)
    if reason != Reason.NONE:
        return reason
    s = record_at(root, 0, ROOT)
    a = record_at(s.accounts, int64(account), ACCOUNT)
    most = int64(a.open_orders_max) if a.open_orders_max != 0 else s.open_orders_max
    return int64(Reason.TOO_MANY_OPEN_ORDERS) if a.open_orders + count > most else int64(Reason.NONE)


@compiled
def set_order_limits(root: int, command: int) -> None:
    """ORDER_LIMITS_SET: an account's own limits, or (account 0) those of all that have none of their own."""
    s = record_at(root, 0, ROOT)
    c = record_at(command, 0, ORDER_LIMITS_COMMAND)
    least = int64(1) if c.account == FEE_ACCOUNT else int64(0)
    reason = int64(Reason.NONE)
    if not account_exists(root, c.account):
        reason = int64(Reason.UNKNOWN_ACCOUNT)
    elif c.orders_10s_max < least or c.orders_1d_max < least or c.open_orders_max < least:
        reason = int64(Reason.INVALID_COMMAND)
    if reason != Reason.NONE:
        answer_plainly(root, command, int64(EventKind.REJECTED), reason)
        return
    if c.account == FEE_ACCOUNT:
        s.orders_10s_max = c.orders_10s_max
        s.orders_1d_max = c.orders_1d_max
        s.open_orders_max = c.open_orders_max
    else:
        a = record_at(s.accounts, int64(c.account), ACCOUNT)
        a.orders_10s_max = c.orders_10s_max
        a.orders_1d_max = c.orders_1d_max
        a.open_orders_max = c.open_orders_max
    e = record_at(emit(root, int64(EventKind.ORDER_LIMITS), int64(c.account), int64(0)), 0, ORDER_LIMITS_EVENT)
    e.orders_10s_max = c.orders_10s_max
    e.orders_1d_max = c.orders_1d_max
    e.open_orders_max = c.open_orders_max
