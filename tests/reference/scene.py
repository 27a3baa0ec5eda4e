"""A scene for hand-worked scenarios: the reference exchange alone, with one market and three funded accounts.

The market counts prices in cents and quantities in hundredths of a coin; both assets have 8 decimals. So one unit of
price times one unit of quantity is 0.0001 USDT = 10,000 quote units, and one unit of quantity is 1,000,000 base units.
"""

from __future__ import annotations

from typing import Any

from reference.desk import ALICE, BOB, BTC, CAROL, USDT, Desk
from reference.exchange import ReferenceExchange
from reference.records import Fields
from reference.soundness import Auditor
from ringex.config import Limits
from ringex.terms import EventKind

STEP = 10_000  # quote units of price 1 × quantity 1
UNIT = 1_000_000  # base units of quantity 1
RICH = 10**13


class Scene:
    """Speaks to the exchange through a desk, and audits it after every command."""

    def __init__(self, limits: Limits | None = None, events_per_command_max: int = 1024, **rules: Any) -> None:
        self.desk = Desk()
        self.exchange = ReferenceExchange(limits, events_per_command_max)
        self.auditor = Auditor(self.exchange)
        self.do(self.desk.asset("BTC", 8))
        self.do(self.desk.asset("USDT", 8))
        self.do(self.desk.market(**rules))
        for name in ("alice", "bob", "carol"):
            self.do(self.desk.account(name))
        for account in (ALICE, BOB, CAROL):
            self.do(self.desk.deposit(account, BTC, RICH))
            self.do(self.desk.deposit(account, USDT, RICH))

    def do(self, *commands: Fields) -> list[Fields]:
        """The command's own events; what it leaves to CONTINUE waits."""
        events = self.exchange.apply(*commands)
        self.auditor.watch(events)
        if not self.exchange.is_pending:
            self.auditor.check()
        return events

    def go_on(self) -> list[Fields]:
        """The events of one CONTINUE."""
        assert self.exchange.is_pending
        return self.do(self.desk.go_on())

    def one(self, *commands: Fields) -> Fields:
        (event,) = self.do(*commands)
        return event

    def place(self, *args: Any, **fields: Any) -> list[Fields]:
        return self.do(self.desk.place(*args, **fields))

    def stop(self, *args: Any, **fields: Any) -> list[Fields]:
        return self.do(self.desk.stop(*args, **fields))

    def balance(self, account: int, asset: int) -> tuple[int, int]:
        own = self.exchange.ledger.balance(account, asset)
        return own.free, own.locked


def kinds(events: list[Fields]) -> list[EventKind]:
    return [EventKind(event["kind"]) for event in events]


def trades(events: list[Fields]) -> list[tuple[int, int, int]]:
    """(maker's order id, price, quantity) of each trade."""
    return [(e["maker_order_id"], e["price"], e["quantity"]) for e in events if e["kind"] == EventKind.TRADE]
