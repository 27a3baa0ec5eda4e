"""Who owns what: a free and a locked amount for every (account, asset) that was ever touched."""

from __future__ import annotations

from dataclasses import dataclass, field

from ringex.messages import FEE_ACCOUNT


@dataclass
class Balance:
    free: int = 0
    locked: int = 0


@dataclass
class Hold:
    """A withdrawal that is held, or (`outcome`) was completed or released."""

    asset: int
    amount: int
    outcome: int = 0


@dataclass
class Ledger:
    balances_max: int
    balances: dict[tuple[int, int], Balance] = field(default_factory=dict)
    booked_references: set[tuple[int, int, str]] = field(default_factory=set)
    holds: dict[tuple[int, str], Hold] = field(default_factory=dict)  # by account and reference

    def balance(self, account: int, asset: int) -> Balance:
        """The balance, to read or to change; zeros that nobody keeps if there is none."""
        return self.balances.get((account, asset), Balance())

    def has_room_for(self, account: int, *assets: int) -> bool:
        missing = sum((account, asset) not in self.balances for asset in assets)
        return len(self.balances) + missing <= self.balances_max

    def open(self, account: int, *assets: int) -> None:
        """Make the entries that are not there yet."""
        assert self.has_room_for(account, *assets)
        for asset in assets:
            self.balances.setdefault((account, asset), Balance())

    def total(self, asset: int) -> int:
        """What all accounts own of `asset`, the fee account included."""
        return sum(own.free + own.locked for (_, of), own in self.balances.items() if of == asset)

    def hold(self, account: int, asset: int, amount: int) -> None:
        """Move `amount` from free to locked; a negative one moves back."""
        own = self.balance(account, asset)
        own.free -= amount
        own.locked += amount
        assert own.free >= 0 and own.locked >= 0, (account, asset, own)

    def pay_fee(self, asset: int, fee: int) -> int:
        """Book `fee` to the fee account; a rebate (negative) comes out of it, as far as it goes. The fee as booked."""
        own = self.balance(FEE_ACCOUNT, asset)
        booked = max(fee, -own.free)
        own.free += booked
        return booked
