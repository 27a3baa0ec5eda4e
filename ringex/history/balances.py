"""Balances: what each account has of each asset, as the last event that touched it says."""

from __future__ import annotations

from typing import Final

import numpy as np

from ringex.jit import compiled, entry, int64
from ringex.memory import address_of, record_at
from ringex.tables import Index, index_find, index_put

BALANCES: Final = np.dtype(
    [
        ("records", "i8"),  # address of BALANCE records, by slot; slot 0 is none
        ("records_max", "i8"),
        ("count", "i8"),
        ("by_owner", "i8"),  # index: account and asset -> slot
        ("owners", "i8"),  # address of OWNER records, by account number
        ("owners_max", "i8"),
    ],
    align=True,
)
BALANCE: Final = np.dtype(
    [
        ("account", "i4"),
        ("asset", "i4"),
        ("free", "i8"),  # the asset's smallest unit
        ("locked", "i8"),
        ("withdrawing", "i8"),  # what of `locked` is held for withdrawals
        ("next_slot", "i8"),  # the account's next balance, in order of first use
    ],
    align=True,
)
OWNER: Final = np.dtype([("first_slot", "i8"), ("last_slot", "i8")])
_BALANCE_BYTES: Final = BALANCE.itemsize


class Balances:
    """At most `balances_max` balances of `accounts_max` accounts; none is ever removed."""

    def __init__(self, accounts_max: int, balances_max: int) -> None:
        self._records = np.zeros(balances_max + 1, BALANCE)
        self._owners = np.zeros(accounts_max, OWNER)
        self._by_owner = Index(balances_max)
        self._root = np.zeros(1, BALANCES)
        self._root["records"] = address_of(self._records)
        self._root["records_max"] = balances_max
        self._root["by_owner"] = self._by_owner.address
        self._root["owners"] = address_of(self._owners)
        self._root["owners_max"] = accounts_max
        self.address = address_of(self._root)

    def of(self, account: int) -> np.ndarray:
        """The account's BALANCE records, in order of first use; a copy, shape (n,)."""
        slots = []
        slot = int(self._owners["first_slot"][account])
        while slot:
            slots.append(slot)
            slot = int(self._records["next_slot"][slot])
        return self._records[slots]

    def of_pairs(self, accounts: np.ndarray, assets: np.ndarray) -> np.ndarray:
        """The BALANCE records of (account, asset) pairs, zeros where there is none; a copy, with `next_slot` 0."""
        found = np.zeros(len(accounts), BALANCE)
        found["account"], found["asset"] = accounts, assets
        if len(found):
            _balances_find(self.address, address_of(found), len(found))
        return found

    def export(self) -> np.ndarray:
        """All BALANCE records in order of first use; a copy, with `next_slot` 0."""
        records = self._records[1 : int(self._root["count"][0]) + 1].copy()
        records["next_slot"] = 0
        return records

    def load(self, records: np.ndarray) -> None:
        """Set BALANCE records; the caller has checked their accounts."""
        records = np.ascontiguousarray(records)
        _balances_load(self.address, address_of(records), len(records))


@compiled
def balance_set(balances: int, account: int, asset: int, free: int, locked: int) -> None:
    """The account now has `free` and `locked` of the asset."""
    balance = record_at(_balance(balances, account, asset), 0, BALANCE)
    balance.free = free
    balance.locked = locked


@compiled
def balance_add_free(balances: int, account: int, asset: int, amount: int) -> None:
    """The account's free balance of the asset rises by `amount`, which may be negative but not take it below 0."""
    balance = record_at(_balance(balances, account, asset), 0, BALANCE)
    balance.free += amount
    assert balance.free >= 0


@compiled
def balance_withhold(balances: int, account: int, asset: int, amount: int) -> None:
    """What is held for withdrawals grows by `amount`, or shrinks."""
    balance = record_at(_balance(balances, account, asset), 0, BALANCE)
    balance.withdrawing += amount
    assert balance.withdrawing >= 0


@compiled
def _balance(balances: int, account: int, asset: int) -> int:
    """The address of the balance, made with zeros where it is not there."""
    table = record_at(balances, 0, BALANCES)
    assert 0 <= account < table.owners_max and asset >= 0
    key = (account << 32) | asset
    slot = index_find(table.by_owner, key)
    if slot == 0:
        assert table.count < table.records_max
        table.count += 1
        slot = table.count
        index_put(table.by_owner, key, slot)
        balance = record_at(table.records, slot, BALANCE)
        balance.account = np.int32(account)
        balance.asset = np.int32(asset)
        owner = record_at(table.owners, account, OWNER)
        if owner.last_slot != 0:
            record_at(table.records, owner.last_slot, BALANCE).next_slot = slot
        else:
            owner.first_slot = slot
        owner.last_slot = slot
    return table.records + slot * _BALANCE_BYTES


@entry
@compiled
def _balances_find(balances: int, target: int, count: int) -> None:
    """Fill in the amounts of BALANCE records that have account and asset."""
    table = record_at(balances, 0, BALANCES)
    for at in range(count):
        wanted = record_at(target, at, BALANCE)
        slot = index_find(table.by_owner, (int64(wanted.account) << 32) | int64(wanted.asset))
        if slot != 0:
            held = record_at(table.records, slot, BALANCE)
            wanted.free = held.free
            wanted.locked = held.locked
            wanted.withdrawing = held.withdrawing


@entry
@compiled
def _balances_load(balances: int, source: int, count: int) -> None:
    for at in range(count):
        held = record_at(source, at, BALANCE)
        balance_set(balances, int64(held.account), int64(held.asset), held.free, held.locked)
        balance_withhold(balances, int64(held.account), int64(held.asset), held.withdrawing)
