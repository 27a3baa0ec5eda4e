"""Looking ahead: what the next commands will touch is fetched from memory while earlier ones are applied.

A command that names an order touches, one after the other, the place of its id in an index, the order's two lines, its
level and its neighbours; one that places an order its market, its account, their balances, the leaf of its price, the
level and that level's youngest order. In a large exchange each is a cache miss that waits for the one before. So each
command is looked at some times before its turn, and each look begins to fetch what the one before made known.

Looking changes nothing and decides nothing. Commands have not been checked yet, so what is read is bounded first.
"""

from __future__ import annotations

from typing import Final

from ringex.division import quotient
from ringex.engine.book import book_side, level_find, side_prices
from ringex.engine.ledger import balance_find
from ringex.engine.records import (
    ACCOUNT,
    ACCOUNT_BYTES,
    BALANCE,
    BOOK_SIDE,
    CACHE_LINE_BYTES,
    LEVEL,
    MARKET,
    MARKET_BYTES,
    ORDER,
    ORDER_COLD,
    ROOT,
    TALLY,
)
from ringex.engine.tallies import account_key, tally_find
from ringex.jit import compiled, inlined, int64
from ringex.memory import prefetch, record_at
from ringex.messages import COMMAND, RECORD_BYTES
from ringex.tables import ids_guess, ids_prefetch, index_prefetch, pool_used, prices_prefetch
from ringex.terms import CommandKind, Side

FIRST: Final = 16
SECOND: Final = 11
THIRD: Final = 7
FOURTH: Final = 3
"""How many commands before its turn each look at a command is."""
ORDERS_CACHED_MAX: Final = 1 << 12
LEVELS_CACHED_MAX: Final = 1 << 13
ACCOUNTS_CACHED_MAX: Final = 1 << 10
MARKETS_CACHED_MAX: Final = 1 << 5
_ORDER_BYTES: Final = ORDER.itemsize
_COLD_BYTES: Final = ORDER_COLD.itemsize
_LEVEL_BYTES: Final = LEVEL.itemsize
_BALANCE_BYTES: Final = BALANCE.itemsize
_TALLY_BYTES: Final = TALLY.itemsize


@inlined
def look_ahead(root: int, records: int, mask: int, at: int, end: int) -> None:
    """Command `at` is about to be applied, and those up to `end` are known: look at some of them.

    Command n is the record n & `mask` at address `records`: of a ring, or (mask -1) of an array.
    """
    if not _is_worthwhile(root):
        return
    left = end - at
    if left > FIRST:
        _look_first(root, records + ((at + FIRST) & mask) * RECORD_BYTES)
    if left > SECOND:
        _look_second(root, records + ((at + SECOND) & mask) * RECORD_BYTES)
    if left > THIRD:
        _look_third(root, records + ((at + THIRD) & mask) * RECORD_BYTES)
    if left > FOURTH:
        _look_fourth(root, records + ((at + FOURTH) & mask) * RECORD_BYTES)


@inlined
def _is_worthwhile(root: int) -> bool:
    """Whether the exchange has outgrown the caches: below that, looking costs more (a sixth) than it saves."""
    return pool_used(record_at(root, 0, ROOT).order_pool) > ORDERS_CACHED_MAX or _is_wide(root)


@inlined
def _is_wide(root: int) -> bool:
    """Whether there are many levels, accounts or markets: what placing an order touches is not in the caches either."""
    s = record_at(root, 0, ROOT)
    return (
        s.accounts_count > ACCOUNTS_CACHED_MAX
        or s.markets_count > MARKETS_CACHED_MAX
        or pool_used(s.level_pool) > LEVELS_CACHED_MAX
    )


@compiled
def _look_first(root: int, command: int) -> None:
    """Where its order's id is looked up; its market and its account."""
    s = record_at(root, 0, ROOT)
    c = record_at(command, 0, COMMAND)
    if c.order_id > 0:
        ids_prefetch(s.order_index, c.order_id)
    if not _is_wide(root):
        return
    prefetch(s.accounts + int64(c.account) * ACCOUNT_BYTES)
    market = s.markets + int64(c.market) * MARKET_BYTES
    for offset in range(0, MARKET_BYTES, CACHE_LINE_BYTES):
        prefetch(market + offset)


@compiled
def _look_second(root: int, command: int) -> None:
    """Its order; where its balances and its price are looked up."""
    s = record_at(root, 0, ROOT)
    c = record_at(command, 0, COMMAND)
    if c.order_id > 0:
        slot = ids_guess(s.order_index, c.order_id)
        prefetch(s.orders + slot * _ORDER_BYTES)
        prefetch(s.orders_cold + slot * _COLD_BYTES)
    if _places(root, command):
        m = record_at(s.markets, int64(c.market), MARKET)
        index_prefetch(s.balance_index, account_key(c.account, int64(m.base_asset)))
        index_prefetch(s.balance_index, account_key(c.account, int64(m.quote_asset)))
        index_prefetch(s.tally_index, account_key(c.account, c.market))
        side = record_at(book_side(root, c.market, c.side), 0, BOOK_SIDE)
        prices_prefetch(side_prices(root, c.side), int64(side.root), m.depth, quotient(c.price, m.price_grid))


@compiled
def _look_third(root: int, command: int) -> None:
    """What its order is linked with; its balances, its level, the account's youngest order."""
    s = record_at(root, 0, ROOT)
    c = record_at(command, 0, COMMAND)
    if c.order_id > 0:
        slot = ids_guess(s.order_index, c.order_id)
        order = record_at(s.orders, slot, ORDER)
        cold = record_at(s.orders_cold, slot, ORDER_COLD)
        prefetch(s.levels + int64(order.level) * _LEVEL_BYTES)
        prefetch(s.orders + int64(order.prev) * _ORDER_BYTES)
        prefetch(s.orders + int64(order.next) * _ORDER_BYTES)
        prefetch(s.orders_cold + int64(cold.older) * _COLD_BYTES)
        prefetch(s.orders_cold + int64(cold.younger) * _COLD_BYTES)
        prefetch(s.balances + int64(order.base_balance) * _BALANCE_BYTES)
        prefetch(s.balances + int64(order.quote_balance) * _BALANCE_BYTES)
    if _places(root, command):
        m = record_at(s.markets, int64(c.market), MARKET)
        prefetch(s.balances + balance_find(root, c.account, int64(m.base_asset)) * _BALANCE_BYTES)
        prefetch(s.balances + balance_find(root, c.account, int64(m.quote_asset)) * _BALANCE_BYTES)
        prefetch(s.tallies + tally_find(root, c.account, c.market) * _TALLY_BYTES)
        prefetch(s.levels + level_find(root, c.market, c.side, c.price) * _LEVEL_BYTES)
        account = record_at(s.accounts, int64(c.account), ACCOUNT)
        prefetch(s.orders_cold + int64(account.youngest) * _COLD_BYTES)


@compiled
def _look_fourth(root: int, command: int) -> None:
    """The order that it would queue behind."""
    s = record_at(root, 0, ROOT)
    c = record_at(command, 0, COMMAND)
    if _places(root, command):
        level = record_at(s.levels, level_find(root, c.market, c.side, c.price), LEVEL)
        prefetch(s.orders + int64(level.youngest) * _ORDER_BYTES)


@inlined
def _places(root: int, command: int) -> bool:
    """Whether it is worth it, and an order of a known account at a price that its market takes."""
    s = record_at(root, 0, ROOT)
    c = record_at(command, 0, COMMAND)
    if not _is_wide(root) or c.kind != CommandKind.PLACE or c.account < 0 or c.account >= s.accounts_count:
        return False
    if c.market < 0 or c.market >= s.markets_count or (c.side != Side.BUY and c.side != Side.SELL):
        return False
    m = record_at(s.markets, int64(c.market), MARKET)
    return m.price_min <= c.price <= m.price_max
