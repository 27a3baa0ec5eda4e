"""Assets, markets, accounts and keys."""

from __future__ import annotations

from typing import Final

import numpy as np

from ringex.engine.book import book_side, side_prices
from ringex.engine.events import answer_plainly, emit
from ringex.engine.fees import note_fee_market
from ringex.engine.ledger import account_exists, balance_find, balances_make
from ringex.engine.records import (
    ACCOUNT,
    ACCOUNT_BYTES,
    ACCOUNT_NAME_OFFSET,
    ARMING_RISING,
    ASSET,
    ASSET_BYTES,
    ASSET_NAME_OFFSET,
    BOOK_SIDE,
    KEY,
    MARKET,
    MARKET_BODY_BYTES,
    MARKET_BODY_OFFSET,
    MARKET_BYTES,
    ROOT,
    ROOT_WORDS_OFFSET,
    SYMBOL_OFFSET,
)
from ringex.jit import compiled, entry, inlined, int64
from ringex.memory import copy_bytes, record_at, zero_bytes
from ringex.messages import (
    ACCOUNT_COMMAND,
    ACCOUNT_EVENT,
    ASSET_COMMAND,
    ASSET_EVENT,
    FEE_ACCOUNT,
    MARKET_COMMAND,
    MARKET_EVENT,
)
from ringex.reasons import Reason
from ringex.rules import SCALE_MAX, market_reason, power_of_ten
from ringex.tables import (
    index_find,
    index_first,
    index_next,
    index_put,
    index_remove,
    index_value,
    pool_full,
    pool_give,
    pool_take,
    pool_used,
    prices_depth,
    prices_root,
    words_empty,
    words_hash,
)
from ringex.tables.words import WORDS_BYTES
from ringex.terms import AccountStatus, EventKind, MarketStatus, Side

ASSET_NAME: Final = 1
SYMBOL: Final = 2
ACCOUNT_NAME: Final = 3
ASSET_NAME_BYTES: Final = 16
SYMBOL_BYTES: Final = 24
ACCOUNT_NAME_BYTES: Final = 32
_WORD: Final = np.dtype([("word", "i8")])

COMMAND_ASSET_NAME_OFFSET: Final[int] = ASSET_COMMAND.fields["name"][1]  # type: ignore[index]
COMMAND_ACCOUNT_NAME_OFFSET: Final[int] = ACCOUNT_COMMAND.fields["name"][1]  # type: ignore[index]
COMMAND_SYMBOL_OFFSET: Final[int] = MARKET_COMMAND.fields["symbol"][1]  # type: ignore[index]
COMMAND_MARKET_OFFSET: Final[int] = MARKET_COMMAND.fields["tick"][1]  # type: ignore[index]
EVENT_MARKET_OFFSET: Final[int] = MARKET_EVENT.fields["tick"][1]  # type: ignore[index]
EVENT_ASSET_NAME_OFFSET: Final[int] = ASSET_EVENT.fields["name"][1]  # type: ignore[index]
EVENT_ACCOUNT_NAME_OFFSET: Final[int] = ACCOUNT_EVENT.fields["name"][1]  # type: ignore[index]
EVENT_SYMBOL_OFFSET: Final[int] = MARKET_EVENT.fields["symbol"][1]  # type: ignore[index]


# Names: of assets, markets and accounts, each unique among its kind.


@inlined
def _names_equal(left: int, right: int, name_bytes: int) -> bool:
    for word in range(name_bytes >> 3):
        if record_at(left, word, _WORD).word != record_at(right, word, _WORD).word:
            return False
    return True


@compiled
def _name_of(root: int, kind: int, number: int) -> int:
    """The address of the name that asset, market or account `number` has."""
    s = record_at(root, 0, ROOT)
    if kind == ASSET_NAME:
        return s.assets + number * ASSET_BYTES + ASSET_NAME_OFFSET
    if kind == SYMBOL:
        return s.markets + number * MARKET_BYTES + SYMBOL_OFFSET
    return s.accounts + number * ACCOUNT_BYTES + ACCOUNT_NAME_OFFSET


@inlined
def _name_bytes(kind: int) -> int:
    return ASSET_NAME_BYTES if kind == ASSET_NAME else SYMBOL_BYTES if kind == SYMBOL else ACCOUNT_NAME_BYTES


@compiled
def _name_key(root: int, kind: int, name: int) -> int:
    """A hash of a name, through five words in the root."""
    words = root + ROOT_WORDS_OFFSET
    zero_bytes(words, WORDS_BYTES)
    copy_bytes(words, name, _name_bytes(kind))
    return words_hash(int64(kind), words)


@compiled
def name_enter(root: int, kind: int, number: int) -> None:
    """Enter the name that an asset, market or account already bears in the index."""
    key = _name_key(root, kind, _name_of(root, kind, number))
    index_put(record_at(root, 0, ROOT).name_index, key, number + 1)


@compiled
def _name_refusal(root: int, kind: int, name: int, count: int, count_max: int) -> int:
    """Why nothing new can be called by the name at this address, or NONE."""
    s = record_at(root, 0, ROOT)
    key = _name_key(root, kind, name)
    empty = words_empty(root + ROOT_WORDS_OFFSET)
    at = index_first(s.name_index, key)
    while at >= 0 and not empty:
        if _names_equal(_name_of(root, kind, index_value(s.name_index, at) - 1), name, _name_bytes(kind)):
            return int64(Reason.ALREADY_EXISTS)
        at = index_next(s.name_index, key, at)
    if empty:
        return int64(Reason.INVALID_COMMAND)
    return int64(Reason.ENGINE_FULL) if count == count_max else int64(Reason.NONE)


@entry
@compiled
def add_fee_account(root: int) -> None:
    """Make account 0, whose name has been written: the first entry of an empty state."""
    s = record_at(root, 0, ROOT)
    assert s.accounts_count == FEE_ACCOUNT
    s.accounts_count = 1
    name_enter(root, int64(ACCOUNT_NAME), int64(FEE_ACCOUNT))


# Assets, markets, accounts, keys.


@compiled
def add_asset(root: int, command: int) -> None:
    """ASSET_ADD."""
    s = record_at(root, 0, ROOT)
    c = record_at(command, 0, ASSET_COMMAND)
    reason = _name_refusal(root, int64(ASSET_NAME), command + COMMAND_ASSET_NAME_OFFSET, s.assets_count, s.assets_max)
    if reason == Reason.NONE and (c.scale < 0 or c.scale > SCALE_MAX):
        reason = int64(Reason.INVALID_COMMAND)
    if reason != Reason.NONE:
        answer_plainly(root, command, int64(EventKind.REJECTED), reason)
        return
    number = s.assets_count
    s.assets_count += 1
    asset = record_at(s.assets, number, ASSET)
    asset.total = 0
    asset.scale = c.scale
    asset.fee_market = 0
    copy_bytes(_name_of(root, int64(ASSET_NAME), number), command + COMMAND_ASSET_NAME_OFFSET, ASSET_NAME_BYTES)
    name_enter(root, int64(ASSET_NAME), number)
    event = emit(root, int64(EventKind.ASSET), int64(0), number)
    record_at(event, 0, ASSET_EVENT).scale = c.scale
    copy_bytes(event + EVENT_ASSET_NAME_OFFSET, command + COMMAND_ASSET_NAME_OFFSET, ASSET_NAME_BYTES)


@compiled
def add_market(root: int, command: int) -> None:
    """MARKET_ADD."""
    s = record_at(root, 0, ROOT)
    reason = _name_refusal(root, int64(SYMBOL), command + COMMAND_SYMBOL_OFFSET, s.markets_count, s.markets_max)
    if reason == Reason.NONE:
        reason = _market_refusal(root, command)
    if reason != Reason.NONE:
        answer_plainly(root, command, int64(EventKind.REJECTED), reason)
        return
    number = s.markets_count
    s.markets_count += 1
    body = s.markets + number * MARKET_BYTES + MARKET_BODY_OFFSET
    copy_bytes(body, command + COMMAND_MARKET_OFFSET, MARKET_BODY_BYTES)
    market_enter(root, number)
    note_fee_market(root, number)
    emit_market(root, number)


@compiled
def emit_market(root: int, number: int) -> None:
    """MARKET: the market as it now is."""
    event = emit(root, int64(EventKind.MARKET), int64(0), number)
    body = record_at(root, 0, ROOT).markets + number * MARKET_BYTES + MARKET_BODY_OFFSET
    copy_bytes(event + EVENT_MARKET_OFFSET, body, MARKET_BODY_BYTES)


@inlined
def _market_refusal(root: int, command: int) -> int:
    s = record_at(root, 0, ROOT)
    c = record_at(command, 0, MARKET_COMMAND)
    if c.base_asset == c.quote_asset:
        return int64(Reason.INVALID_MARKET)
    if c.base_asset < 0 or c.base_asset >= s.assets_count or c.quote_asset < 0 or c.quote_asset >= s.assets_count:
        return int64(Reason.UNKNOWN_ASSET)
    base_scale = record_at(s.assets, int64(c.base_asset), ASSET).scale
    quote_scale = record_at(s.assets, int64(c.quote_asset), ASSET).scale
    reason = market_reason(c, base_scale, quote_scale)
    if reason != Reason.NONE:
        return reason
    if not balances_make(root, int64(FEE_ACCOUNT), c.base_asset, c.quote_asset):
        return int64(Reason.ENGINE_FULL)
    return int64(Reason.NONE)


@entry
@compiled
def market_enter(root: int, number: int) -> None:
    """Make market `number`, whose body has been written: multipliers, empty books, the fee balances, its status."""
    s = record_at(root, 0, ROOT)
    market = record_at(s.markets, number, MARKET)
    base_scale = record_at(s.assets, int64(market.base_asset), ASSET).scale
    quote_scale = record_at(s.assets, int64(market.quote_asset), ASSET).scale
    exponent = quote_scale - int64(market.price_scale) - int64(market.quantity_scale)
    market.quote_multiplier = power_of_ten(exponent) if exponent > 0 else 1
    market.quote_divisor = power_of_ten(-exponent) if exponent < 0 else 1
    market.base_multiplier = power_of_ten(base_scale - int64(market.quantity_scale))
    market.trade_id = 0
    market.book_update_id = 0
    market.prevented_match_id = 0
    market.last_price = 0
    market.trails_buy = 0
    market.trails_sell = 0
    market.indicative_price = 0
    market.indicative_quantity = 0
    market.indicative_imbalance = 0
    market.breaker_price = 0
    market.breaker_since_ns = 0
    if market.status == 0:
        market.status = MarketStatus.TRADING
    market.price_grid = market.tick
    market.quantity_grid = market.lot
    market.price_top = market.price_max
    market.quantity_top = market.quantity_max
    market.depth = prices_depth(market.price_max // market.tick)
    market.fee_base_balance = balance_find(root, FEE_ACCOUNT, market.base_asset)
    market.fee_quote_balance = balance_find(root, FEE_ACCOUNT, market.quote_asset)
    assert market.fee_base_balance != 0 and market.fee_quote_balance != 0
    for side in range(Side.BUY, ARMING_RISING + 1):
        prices = record_at(book_side(root, number, side), 0, BOOK_SIDE)
        prices.best = 0
        prices.root = prices_root(side_prices(root, side))
    name_enter(root, int64(SYMBOL), number)


@compiled
def add_account(root: int, command: int) -> None:
    """ACCOUNT_ADD."""
    s = record_at(root, 0, ROOT)
    name = command + COMMAND_ACCOUNT_NAME_OFFSET
    reason = _name_refusal(root, int64(ACCOUNT_NAME), name, s.accounts_count, s.accounts_max)
    parent = record_at(command, 0, ACCOUNT_COMMAND).parent
    if reason == Reason.NONE and parent != 0:
        if not account_exists(root, parent):
            reason = int64(Reason.UNKNOWN_ACCOUNT)
        elif record_at(s.accounts, int64(parent), ACCOUNT).parent != 0:
            reason = int64(Reason.INVALID_PARENT)
    if reason != Reason.NONE:
        answer_plainly(root, command, int64(EventKind.REJECTED), reason)
        return
    number = s.accounts_count
    s.accounts_count += 1
    zero_bytes(s.accounts + number * ACCOUNT_BYTES, ACCOUNT_BYTES)
    account = record_at(s.accounts, number, ACCOUNT)
    account.status = AccountStatus.ACTIVE
    account.parent = parent
    copy_bytes(_name_of(root, int64(ACCOUNT_NAME), number), name, ACCOUNT_NAME_BYTES)
    name_enter(root, int64(ACCOUNT_NAME), number)
    emit_account(root, number)


@compiled
def emit_account(root: int, number: int) -> None:
    """ACCOUNT: the account as it now is."""
    account = record_at(record_at(root, 0, ROOT).accounts, number, ACCOUNT)
    event = emit(root, int64(EventKind.ACCOUNT), number, int64(0))
    e = record_at(event, 0, ACCOUNT_EVENT)
    e.trade_group = account.trade_group
    e.status = account.status
    e.parent = account.parent
    copy_bytes(event + EVENT_ACCOUNT_NAME_OFFSET, _name_of(root, int64(ACCOUNT_NAME), number), ACCOUNT_NAME_BYTES)


@compiled
def set_account(root: int, command: int) -> None:
    """ACCOUNT_SET."""
    s = record_at(root, 0, ROOT)
    c = record_at(command, 0, ACCOUNT_COMMAND)
    known = c.status == AccountStatus.ACTIVE or c.status == AccountStatus.BLOCKED
    if not account_exists(root, c.account) or c.account == FEE_ACCOUNT:
        answer_plainly(root, command, int64(EventKind.REJECTED), int64(Reason.UNKNOWN_ACCOUNT))
    elif not known or c.trade_group < 0:
        answer_plainly(root, command, int64(EventKind.REJECTED), int64(Reason.INVALID_COMMAND))
    else:
        account = record_at(s.accounts, int64(c.account), ACCOUNT)
        account.trade_group = c.trade_group
        account.status = c.status
        emit_account(root, int64(c.account))


@compiled
def add_key(root: int, command: int) -> None:
    """KEY_ADD."""
    s = record_at(root, 0, ROOT)
    c = record_at(command, 0, ACCOUNT_COMMAND)
    reason = int64(Reason.NONE)
    if not account_exists(root, c.account) or c.account == FEE_ACCOUNT:
        reason = int64(Reason.UNKNOWN_ACCOUNT)
    elif c.key_added == 0:
        reason = int64(Reason.INVALID_COMMAND)
    elif index_find(s.key_index, int64(c.key_added)) != 0:
        reason = int64(Reason.ALREADY_EXISTS)
    elif pool_full(s.key_pool):
        reason = int64(Reason.ENGINE_FULL)
    if reason != Reason.NONE:
        answer_plainly(root, command, int64(EventKind.REJECTED), reason)
        return
    slot = pool_take(s.key_pool)
    key = record_at(s.keys, slot, KEY)
    key.key = c.key_added
    key.account = c.account
    key.scopes = c.scopes
    index_put(s.key_index, int64(c.key_added), slot)
    e = record_at(emit(root, int64(EventKind.KEY), c.account, int64(0)), 0, ACCOUNT_EVENT)
    e.scopes = c.scopes
    e.key_added = c.key_added


@compiled
def revoke_key(root: int, command: int) -> None:
    """KEY_REVOKE. The youngest key takes the place of the one that goes: keys lie in slots 1 .. used, as exports do."""
    s = record_at(root, 0, ROOT)
    c = record_at(command, 0, ACCOUNT_COMMAND)
    slot = index_find(s.key_index, int64(c.key_added))
    if slot == 0:
        answer_plainly(root, command, int64(EventKind.REJECTED), int64(Reason.UNKNOWN_KEY))
        return
    key = record_at(s.keys, slot, KEY)
    e = record_at(emit(root, int64(EventKind.KEY_REVOKED), int64(key.account), int64(0)), 0, ACCOUNT_EVENT)
    e.scopes = key.scopes
    e.key_added = c.key_added
    index_remove(s.key_index, int64(c.key_added))
    last = pool_used(s.key_pool)
    if slot != last:
        moved = record_at(s.keys, last, KEY)
        index_remove(s.key_index, moved.key)
        key.key = moved.key
        key.account = moved.account
        key.scopes = moved.scopes
        index_put(s.key_index, key.key, slot)
    pool_give(s.key_pool, last)
