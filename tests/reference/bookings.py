"""Money that comes, goes, is held for a withdrawal, or moves between accounts."""

from __future__ import annotations

from typing import Any

from reference.ledger import Hold
from reference.records import Fields
from reference.reports import Reports
from reference.state import RefusedError, State
from ringex.messages import AMOUNT_MAX
from ringex.reasons import Reason
from ringex.terms import AccountStatus, CommandKind, EventKind

OPERATOR = 0


class Bookings:
    def __init__(self, state: State, reports: Reports) -> None:
        self.state = state
        self.reports = reports
        self.directory = state.directory
        self.ledger = state.ledger

    def deposit(self, command: Fields) -> None:
        account, asset, amount = command["account"], command["asset"], command["amount"]
        self._check_request(command)
        if self._is_repeated(command):
            return
        if self.ledger.total(asset) + amount > AMOUNT_MAX:
            raise RefusedError(Reason.AMOUNT_OUT_OF_RANGE)
        self._remember(command, account)
        self.ledger.balance(account, asset).free += amount
        self._report(command, account, asset, amount=amount)

    def withdraw(self, command: Fields) -> None:
        account, asset, amount = command["account"], command["asset"], command["amount"]
        self._check_request(command)
        if self._is_repeated(command):
            return
        self._check_funds(account, asset, amount)
        self._remember(command, account)
        self.ledger.balance(account, asset).free -= amount
        self._report(command, account, asset, amount=-amount)

    def transfer(self, command: Fields) -> None:
        giver, taker, by = command["from_account"], command["to_account"], command["account"]
        asset, amount = command["asset"], command["amount"]
        if not self.directory.has_account(giver) or not self.directory.has_account(taker):
            raise RefusedError(Reason.UNKNOWN_ACCOUNT)
        self._check_request(command)
        if giver == taker:
            raise RefusedError(Reason.INVALID_COMMAND)
        if by != OPERATOR and not all(self.directory.is_of_family(by, account) for account in (giver, taker)):
            raise RefusedError(Reason.TRANSFER_NOT_ALLOWED)
        if self._is_repeated(command):
            return
        if 0 < command["expires_ns"] < self.reports.record["time_ns"]:
            raise RefusedError(Reason.REQUEST_EXPIRED)
        blocked = [self.directory.accounts[account].status == AccountStatus.BLOCKED for account in (by, giver)]
        if by != OPERATOR and any(blocked):
            raise RefusedError(Reason.ACCOUNT_BLOCKED)
        self._check_funds(giver, asset, amount)
        self._remember(command, taker)
        self.ledger.balance(giver, asset).free -= amount
        self.ledger.balance(taker, asset).free += amount
        self._report(command, giver, asset, amount=-amount, counterparty=taker)
        self._report(command, taker, asset, amount=amount, counterparty=giver)

    def hold(self, command: Fields) -> None:
        account, asset, amount = command["account"], command["asset"], command["amount"]
        self._check_request(command)
        if self._is_repeated(command):
            return
        self._check_funds(account, asset, amount)
        self._remember(command, account)
        self.ledger.holds[account, command["reference"]] = Hold(asset, amount)
        self.ledger.hold(account, asset, amount)
        self._report(command, account, asset, held=amount)

    def close(self, command: Fields) -> None:
        """WITHDRAW_COMPLETE, WITHDRAW_RELEASE."""
        account = command["account"]
        if not self.directory.has_account(account):
            raise RefusedError(Reason.UNKNOWN_ACCOUNT)
        if not command["reference"]:
            raise RefusedError(Reason.INVALID_COMMAND)
        hold = self.ledger.holds.get((account, command["reference"]))
        if hold is None:
            raise RefusedError(Reason.UNKNOWN_WITHDRAWAL)
        if hold.outcome == command["kind"]:
            self.reports.emit(EventKind.DUPLICATE, **self.reports.as_asked(command))
            return
        if hold.outcome:
            raise RefusedError(Reason.WITHDRAWAL_CLOSED)
        hold.outcome = command["kind"]
        self.ledger.hold(account, hold.asset, -hold.amount)
        amount = 0
        if command["kind"] == CommandKind.WITHDRAW_COMPLETE:
            self.ledger.balance(account, hold.asset).free -= hold.amount
            amount = -hold.amount
        self._report(command, account, hold.asset, amount=amount, held=-hold.amount)

    # ---- what they share -------------------------------------------------------------------------------------------

    def _check_request(self, command: Fields) -> None:
        if not self.directory.has_account(command["account"]):
            raise RefusedError(Reason.UNKNOWN_ACCOUNT)
        if not self.directory.has_asset(command["asset"]):
            raise RefusedError(Reason.UNKNOWN_ASSET)
        if command["amount"] <= 0:
            raise RefusedError(Reason.AMOUNT_OUT_OF_RANGE)
        if not command["reference"]:
            raise RefusedError(Reason.INVALID_COMMAND)

    def _is_repeated(self, command: Fields) -> bool:
        """Whether it is booked already; then it is answered here."""
        repeated = _key(command) in self.ledger.booked_references
        if repeated:
            self.reports.emit(EventKind.DUPLICATE, **self.reports.as_asked(command))
        return repeated

    def _check_funds(self, account: int, asset: int, amount: int) -> None:
        if self.ledger.balance(account, asset).free < amount:
            raise RefusedError(Reason.INSUFFICIENT_BALANCE)

    def _remember(self, command: Fields, receiver: int) -> None:
        """Note the reference and make the receiver's balance, if there is room for both."""
        if len(self.ledger.booked_references) == self.state.limits.references_max:
            raise RefusedError(Reason.ENGINE_FULL)
        if not self.ledger.has_room_for(receiver, command["asset"]):
            raise RefusedError(Reason.ENGINE_FULL)
        self.ledger.open(receiver, command["asset"])
        self.ledger.booked_references.add(_key(command))

    def _report(self, command: Fields, account: int, asset: int, **fields: Any) -> None:
        own = self.ledger.balance(account, asset)
        fields |= {"free": own.free, "locked": own.locked}
        fields |= {"reference": command["reference"], "command_kind": command["kind"]}
        self.reports.emit(EventKind.BALANCE, account=account, market=asset, **fields)


def _key(command: Fields) -> tuple[int, int, str]:
    return command["account"], command["kind"], command["reference"]
