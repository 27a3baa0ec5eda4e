"""The ledger: what each account has of each asset, free or locked by its open orders."""

from __future__ import annotations

from typing import Any

from ringex.engine.records import ACCOUNT, BALANCE, IN_FEE_ASSET, ROOT, SCHEDULED
from ringex.engine.tallies import account_key
from ringex.jit import compiled, inlined, int64
from ringex.memory import record_at
from ringex.rules import base_amount, notional
from ringex.tables import index_find, index_put, pool_left, pool_take
from ringex.terms import Side


@inlined
def account_exists(root: int, account: int) -> bool:
    return 0 <= account < record_at(root, 0, ROOT).accounts_count


@inlined
def balance_find(root: int, account: int, asset: int) -> int:
    """The slot of an account's balance, or 0."""
    return index_find(record_at(root, 0, ROOT).balance_index, account_key(account, asset))


@inlined
def fee_terms_of(root: int, account: int) -> int:
    """What the balances of an account must say of its fees: SCHEDULED, IN_FEE_ASSET."""
    a = record_at(record_at(root, 0, ROOT).accounts, int64(account), ACCOUNT)
    scheduled = int64(SCHEDULED) if a.schedules > 0 else int64(0)
    return scheduled + (int64(IN_FEE_ASSET) if a.pays_in_fee_asset != 0 else int64(0))


@compiled
def balance_make(root: int, account: int, asset: int) -> int:
    """The slot of an account's balance, made if need be. The caller has made sure that there is room."""
    slot = balance_find(root, account, asset)
    if slot != 0:
        return slot
    s = record_at(root, 0, ROOT)
    slot = pool_take(s.balance_pool)
    assert slot != 0
    balance = record_at(s.balances, slot, BALANCE)
    balance.account = account
    balance.asset = asset
    balance.free = 0
    balance.locked = 0
    balance.fee_terms = fee_terms_of(root, account)
    index_put(s.balance_index, account_key(account, asset), slot)
    return slot


@inlined
def balances_make(root: int, account: int, base: int, quote: int) -> bool:
    """Find or make an account's two balances of a market: their slots in the root. False, and neither, if no room."""
    s = record_at(root, 0, ROOT)
    s.base_balance = balance_find(root, account, base)
    s.quote_balance = balance_find(root, account, quote)
    if s.base_balance != 0 and s.quote_balance != 0:
        return True
    missing = (1 if s.base_balance == 0 else 0) + (1 if s.quote_balance == 0 else 0)
    if missing > pool_left(s.balance_pool):
        return False
    s.base_balance = balance_make(root, account, base)
    s.quote_balance = balance_make(root, account, quote)
    return True


@inlined
def balance_free(root: int, slot: int) -> int:
    return record_at(record_at(root, 0, ROOT).balances, slot, BALANCE).free


@inlined
def hold(root: int, slot: int, amount: int) -> None:
    """Move `amount` from free to locked; a negative amount releases."""
    balance = record_at(record_at(root, 0, ROOT).balances, slot, BALANCE)
    balance.free -= amount
    balance.locked += amount
    assert balance.free >= 0 and balance.locked >= 0


@inlined
def held_balance(order: Any) -> int:
    """The slot of the balance that an order holds: BUY quote, SELL base."""
    return int64(order.quote_balance) if order.side == Side.BUY else int64(order.base_balance)


@inlined
def held_amount(market: Any, side: int, price: int, quantity: int) -> int:
    """What `quantity` of an order holds that is no MARKET order; `price` is 0 for stop orders without a limit."""
    return notional(market, price, quantity) if side == Side.BUY else base_amount(market, quantity)


@inlined
def book_free(root: int, slot: int, amount: int) -> None:
    """Add `amount`, which may be negative, to what is free."""
    balance = record_at(record_at(root, 0, ROOT).balances, int64(slot), BALANCE)
    balance.free += amount
    assert balance.free >= 0


@inlined
def pay_locked(root: int, slot: int, amount: int) -> None:
    """Take `amount` from what is locked."""
    balance = record_at(record_at(root, 0, ROOT).balances, int64(slot), BALANCE)
    balance.locked -= amount
    assert balance.locked >= 0


@inlined
def book_fee(root: int, slot: int, amount: int) -> int:
    """Book a fee to the fee account's balance; a rebate (negative) at most what it has. Returns what was booked."""
    free = balance_free(root, slot)
    booked = amount if amount >= -free else -free
    book_free(root, slot, booked)
    return booked
