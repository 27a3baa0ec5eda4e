"""A small exchange in memory for hand-worked scenarios: the engine's `Matcher`, and a desk that speaks to it.

The market counts prices in cents and quantities in hundredths of a coin; both assets have 8 decimals. So one unit of
price times one unit of quantity is 10,000 quote units (STEP), and one unit of quantity 1,000,000 base units (UNIT).
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
from reference.desk import ALICE, BOB, BTC, CAROL, USDT, Desk
from reference.records import Fields, event_fields, records_of

from ringex.config import Limits
from ringex.engine import Matcher
from ringex.reasons import Reason
from ringex.terms import CommandKind, EventFlag, EventKind, Side

STEP = 10_000
UNIT = 1_000_000
RICH = 10**13
LIMITS = Limits(
    assets_max=8,
    markets_max=4,
    accounts_max=8,
    keys_max=8,
    balances_max=32,
    orders_max=1 << 13,
    levels_max=1 << 10,
    requests_remembered_max=64,
    requests_remembered_per_account_max=8,
    references_max=64,
)


class Scene:
    """One market and three funded accounts. Whatever is done, money is conserved and holds are what orders need."""

    def __init__(self, limits: Limits = LIMITS, funds: int = RICH, **rules: Any) -> None:
        self.desk = Desk()
        self.matcher = Matcher(limits=limits)
        self.booked: dict[int, int] = defaultdict(int)
        self.do(self.desk.asset("BTC", 8))
        self.do(self.desk.asset("USDT", 8))
        self.do(self.desk.market(**rules))
        for name in ("alice", "bob", "carol"):
            self.do(self.desk.account(name))
        for account in (ALICE, BOB, CAROL):
            self.do(self.desk.deposit(account, BTC, funds))
            self.do(self.desk.deposit(account, USDT, funds))

    def do(self, *records: Fields) -> list[Fields]:
        """Apply one command, of one or two records, with all its continuations. Its events."""
        return self.do_all(records_of(records))

    def do_all(self, records: np.ndarray) -> list[Fields]:
        events = [event_fields(event) for event in self.matcher.submit(records)]
        for event in events:
            if event["kind"] == EventKind.BALANCE:
                self.booked[event["market"]] += event["amount"]
        self.check()
        return events

    def one(self, *records: Fields) -> Fields:
        """Apply a command that gives one event."""
        (event,) = self.do(*records)
        assert event["flag_bits"] & EventFlag.LAST
        return event

    def refused(self, *records: Fields) -> Reason:
        """Apply a command that is refused, and changes nothing but what is remembered of it. Why."""
        before = self.money_and_orders()
        event = self.one(*records)
        assert event["kind"] == EventKind.REJECTED
        assert self.money_and_orders() == before
        return Reason(event["reason"])

    def place(self, *args: Any, **fields: Any) -> list[Fields]:
        return self.do(self.desk.place(*args, **fields))

    def rest(self, *args: Any, **fields: Any) -> int:
        """Place an order that rests at once. Its id."""
        event = self.one(self.desk.place(*args, **fields))
        assert event["flag_bits"] & EventFlag.WORKING
        return int(event["order_id"])

    def balance(self, account: int, asset: int) -> tuple[int, int]:
        name = self.matcher.assets[asset]
        return self.matcher.balances(account).get(name, (0, 0))

    def queue(self) -> list[tuple[int, int, int, int]]:
        """(order id, side, price, left) of the open orders: bids, asks, best first, oldest first."""
        rows = self.matcher.orders(0)
        return [(int(o["order_id"]), int(o["side"]), int(o["price"]), int(o["quantity"] - o["executed"])) for o in rows]

    def money_and_orders(self) -> tuple[bytes, bytes]:
        tables = self.matcher.export()
        balances = tables["balances"]
        return balances[balances["free"] + balances["locked"] > 0].tobytes(), tables["orders"].tobytes()

    def check(self) -> None:
        """What deposits and withdrawals add up to is there, and locked is what open orders need."""
        tables = self.matcher.export()
        totals: dict[int, int] = defaultdict(int)
        locked: dict[tuple[int, int], int] = defaultdict(int)
        for balance in tables["balances"]:
            free, held = int(balance["free"]), int(balance["locked"])
            assert free >= 0 and held >= 0, balance
            totals[int(balance["asset"])] += free + held
            if held:
                locked[int(balance["account"]), int(balance["asset"])] = held
        assert {asset: total for asset, total in totals.items() if total} == {k: v for k, v in self.booked.items() if v}
        assert locked == needed_by(tables)  # holds included


def needed_by(tables: dict[str, np.ndarray]) -> dict[tuple[int, int], int]:
    """(account, asset) -> what open orders and withdrawals of an export must hold, by Python's integers."""
    needed: dict[tuple[int, int], int] = defaultdict(int)
    of_lists: dict[tuple[int, int, int], int] = defaultdict(int)  # what is placed of a list: for the larger of a pair
    lists = {int(order_id): int(row["order_list_id"]) for row in tables["lists"] for order_id in row["order_ids"]}
    for order in np.concatenate([tables["orders"], tables["stops"], tables["trails"]]):
        market = tables["markets"][order["market"]]
        left = int(order["quantity"]) - int(order["executed"])
        base, quote = int(market["base_asset"]), int(market["quote_asset"])
        scales = [int(tables["assets"]["scale"][asset]) for asset in (base, quote)]
        if order["side"] == Side.BUY:
            exponent = scales[1] - int(market["price_scale"]) - int(market["quantity_scale"])
            product = int(order["price"]) * left
            amount = product * 10**exponent if exponent >= 0 else product // 10**-exponent
        else:
            amount = left * 10 ** (scales[0] - int(market["quantity_scale"]))
        asset = quote if order["side"] == Side.BUY else base
        if order["order_id"] in lists:
            of_list = lists[int(order["order_id"])], int(order["account"]), asset
            of_lists[of_list] = max(of_lists[of_list], amount)
        else:
            needed[int(order["account"]), asset] += amount
    for (_, account, asset), amount in of_lists.items():
        needed[account, asset] += amount
    for held in tables["references"]:
        if held["kind"] == CommandKind.WITHDRAW_HOLD and held["outcome"] == 0:
            needed[int(held["account"]), int(held["asset"])] += int(held["amount"])
    return {key: amount for key, amount in needed.items() if amount}


def kinds(events: list[Fields]) -> list[EventKind]:
    return [EventKind(event["kind"]) for event in events]


def trades(events: list[Fields]) -> list[tuple[int, int, int]]:
    """(maker's order id, price, quantity) of each trade, in order."""
    return [(e["maker_order_id"], e["price"], e["quantity"]) for e in events if e["kind"] == EventKind.TRADE]
