"""Limits: how much of each table may be used. They decide refusals, so they are state, and change by LIMITS_SET alone.

The memory behind the tables (`room` in the root) is another matter: it has to be at least as large, and nothing else
depends on it. So the same journal gives the same events on machines that have reserved more or less.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from ringex.engine.events import answer_plainly, emit
from ringex.engine.records import ACCOUNT, LIMITS, LIMITS_BYTES, ROOT, ROOT_LIMITS_OFFSET, ROOT_ROOM_OFFSET
from ringex.jit import compiled, entry, inlined, int64
from ringex.memory import copy_bytes, record_at
from ringex.messages import LIMIT_NAMES, LIMITS_COMMAND, LIMITS_EVENT
from ringex.reasons import Reason
from ringex.tables import pool_bound, pool_used
from ringex.terms import EventKind

COMMAND_LIMITS_OFFSET: Final[int] = LIMITS_COMMAND.fields[LIMIT_NAMES[0]][1]  # type: ignore[index]
EVENT_LIMITS_OFFSET: Final[int] = LIMITS_EVENT.fields[LIMIT_NAMES[0]][1]  # type: ignore[index]
_NUMBER: Final = np.dtype([("number", "i8")])


@compiled
def set_limits(root: int, command: int) -> None:
    """LIMITS_SET: all limits at once, or none."""
    limits = command + COMMAND_LIMITS_OFFSET
    if not _have_room(root, limits) or not _hold_what_is_used(root, limits):
        answer_plainly(root, command, int64(EventKind.REJECTED), int64(Reason.INVALID_COMMAND))
        return
    enforce_limits(root, limits)
    event = emit(root, int64(EventKind.LIMITS), int64(0), int64(0))
    copy_bytes(event + EVENT_LIMITS_OFFSET, limits, LIMITS_BYTES)


@entry
@compiled
def enforce_limits(root: int, limits: int) -> None:
    """Put the LIMITS at this address in force; they have room and hold what is used.

    The level pool has room for the levels of stop orders besides, so `levels_full` looks at that limit itself.
    """
    s = record_at(root, 0, ROOT)
    n = record_at(limits, 0, LIMITS)
    copy_bytes(root + ROOT_LIMITS_OFFSET, limits, LIMITS_BYTES)
    pool_bound(s.key_pool, n.keys_max)
    pool_bound(s.balance_pool, n.balances_max)
    pool_bound(s.order_pool, n.orders_max)
    pool_bound(s.request_pool, n.requests_remembered_max)
    pool_bound(s.reference_pool, n.references_max)
    pool_bound(s.schedule_pool, n.fee_schedules_max)


@inlined
def _have_room(root: int, limits: int) -> bool:
    """Whether every limit is at least 1, and there is memory for it."""
    for at in range(LIMITS_BYTES >> 3):
        number = record_at(limits, at, _NUMBER).number
        if number < 1 or number > record_at(root + ROOT_ROOM_OFFSET, at, _NUMBER).number:
            return False
    return True


@inlined
def _hold_what_is_used(root: int, limits: int) -> bool:
    s = record_at(root, 0, ROOT)
    n = record_at(limits, 0, LIMITS)
    for account in range(s.accounts_count):
        if record_at(s.accounts, account, ACCOUNT).requests > n.requests_remembered_per_account_max:
            return False
    return (
        s.assets_count <= n.assets_max
        and s.markets_count <= n.markets_max
        and s.accounts_count <= n.accounts_max
        and pool_used(s.key_pool) <= n.keys_max
        and pool_used(s.balance_pool) <= n.balances_max
        and pool_used(s.order_pool) <= n.orders_max
        and pool_used(s.level_pool) - s.stop_levels <= n.levels_max
        and pool_used(s.request_pool) <= n.requests_remembered_max
        and pool_used(s.reference_pool) <= n.references_max
        and pool_used(s.schedule_pool) <= n.fee_schedules_max
    )
