"""The truth: the journal, followed from its first command by a matcher of the test's own.

What its events say is what has happened. Clients must have been told nothing else, and queries must answer nothing
else. The replayed state is also compared with `ringex replay`, which begins with a snapshot: both must hash the same.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ringex.config import Limits
from ringex.engine.export import export_state, hash_of
from ringex.engine.replay import Replayer
from ringex.engine.state import State
from ringex.journal import JournalReader
from ringex.messages import BALANCE_EVENT, TRADE, text_of
from ringex.terms import EventKind, OrderStatus, Side


@dataclass
class Order:
    """An order as the events have left it; units of its market."""

    order_id: int
    account: int
    market: int
    client_order_id: str
    price: int
    quantity: int
    executed: int = 0
    status: int = OrderStatus.NEW


@dataclass(frozen=True)
class Trade:
    price: int
    quantity: int
    taker_order: int


class Truth:
    """Everything that the journal in `data_dir` implies, as far as `follow` has read."""

    def __init__(self, data_dir: Path, limits: Limits) -> None:
        self.state = State(limits)
        self._replayer = Replayer(self.state)
        self._journal = JournalReader(data_dir / "journal")
        self.orders: dict[int, Order] = {}
        self.by_client_id: defaultdict[tuple[int, str], list[int]] = defaultdict(list)
        self.trades: dict[tuple[int, int], Trade] = {}
        self.executions: defaultdict[int, list[int]] = defaultdict(list)
        """Account -> the ids of its execution reports, in order."""
        self.amendments: dict[int, tuple[int, int, int]] = {}
        """Execution id -> (order id, price, quantity)."""
        self.bookings: defaultdict[str, list[int]] = defaultdict(list)
        """Reference -> what was booked under it."""
        self.booked: defaultdict[int, int] = defaultdict(int)
        """Asset -> deposits minus withdrawals."""
        self.faults: list[str] = []

    def close(self) -> None:
        self._journal.close()

    def follow(self) -> None:
        """Read on to the journal's end. Raises what the journal's reader raises."""
        for commands in self._journal.read(self._journal.next_sequence):
            for events in self._replayer.apply(commands):
                self._take(events)

    @property
    def tables(self) -> dict[str, np.ndarray]:
        """The state as `export_state` gives it."""
        return export_state(self.state)

    @property
    def hash(self) -> str:
        return hash_of(self.tables)

    def _take(self, events: np.ndarray) -> None:
        trades, bookings = events.view(TRADE), events.view(BALANCE_EVENT)
        for index, kind in enumerate(events["kind"].tolist()):
            event = events[index]
            if kind == EventKind.TRADE:
                self._trade(trades[index])
            elif kind == EventKind.ACCEPTED:
                self._accepted(event)
            elif kind in (EventKind.CANCELED, EventKind.AMENDED, EventKind.RESTED):
                self._changed(event, kind)
            elif kind == EventKind.BALANCE:
                amount = int(bookings[index]["amount"])
                self.bookings[text_of(bookings[index]["reference"])].append(amount)
                self.booked[int(event["market"])] += amount

    def _accepted(self, event: np.void) -> None:
        order = Order(
            int(event["order_id"]),
            int(event["account"]),
            int(event["market"]),
            text_of(event["client_order_id"]),
            int(event["price"]),
            int(event["quantity"]),
        )
        if order.order_id in self.orders:
            self.faults.append(f"order {order.order_id} was accepted twice")
        self.orders[order.order_id] = order
        self.by_client_id[order.account, order.client_order_id].append(order.order_id)
        self.executions[order.account].append(int(event["execution_id"]))

    def _changed(self, event: np.void, kind: int) -> None:
        order = self.orders[int(event["order_id"])]
        if order.status in (OrderStatus.CANCELED, OrderStatus.EXPIRED, OrderStatus.FILLED):
            self.faults.append(f"order {order.order_id}, {OrderStatus(order.status).name}, was changed once more")
        order.status = int(event["status"])
        order.price, order.quantity = int(event["price"]), int(event["quantity"])
        execution = int(event["execution_id"])
        if kind != EventKind.RESTED:
            self.executions[order.account].append(execution)
        if kind == EventKind.AMENDED:
            self.amendments[execution] = (order.order_id, order.price, order.quantity)

    def _trade(self, trade: np.void) -> None:
        taker = self.orders[int(trade["order_id"])]
        maker = self.orders[int(trade["maker_order_id"])]
        taker.executed, maker.executed = int(trade["taker_executed_quantity"]), int(trade["maker_executed_quantity"])
        taker.status, maker.status = int(trade["taker_status"]), int(trade["maker_status"])
        key = int(trade["market"]), int(trade["trade_id"])
        if key in self.trades:
            self.faults.append(f"trade {key[1]} of market {key[0]} happened twice")
        self.trades[key] = Trade(int(trade["price"]), int(trade["quantity"]), taker.order_id)
        self.executions[taker.account].append(int(trade["execution_id"]))
        self.executions[maker.account].append(int(trade["execution_id"]) + 1)

    def book(self, market: int) -> dict[int, dict[int, int]]:
        """Side -> price -> quantity, from the open orders."""
        levels: dict[int, dict[int, int]] = {Side.BUY: {}, Side.SELL: {}}
        orders = self.tables["orders"]
        for order in orders[orders["market"] == market]:
            side, price = levels[int(order["side"])], int(order["price"])
            side[price] = side.get(price, 0) + int(order["quantity"]) - int(order["executed"])
        return levels

    def ledger_faults(self) -> list[str]:
        """What does not add up: balances against bookings, locked amounts against open orders."""
        faults, tables = [], self.tables
        balances, markets = tables["balances"], tables["markets"]
        scales = [int(asset["scale"]) for asset in tables["assets"]]
        for asset in range(len(scales)):
            own = balances[balances["asset"] == asset]
            held = sum(map(int, own["free"])) + sum(map(int, own["locked"]))
            if held != self.booked[asset]:
                faults.append(f"asset {asset}: accounts hold {held}, {self.booked[asset]} was booked")
        needed: defaultdict[tuple[int, int], int] = defaultdict(int)
        for order in tables["orders"]:
            market = markets[int(order["market"])]
            left = int(order["quantity"]) - int(order["executed"])
            base, quote = int(market["base_asset"]), int(market["quote_asset"])
            price_scale, quantity_scale = int(market["price_scale"]), int(market["quantity_scale"])
            if order["side"] == Side.SELL:
                needed[int(order["account"]), base] += left * 10 ** (scales[base] - quantity_scale)
            else:
                notional = int(order["price"]) * left * 10 ** scales[quote] // 10 ** (price_scale + quantity_scale)
                needed[int(order["account"]), quote] += notional
        for balance in balances:
            account, asset, locked = int(balance["account"]), int(balance["asset"]), int(balance["locked"])
            if locked != needed.pop((account, asset), 0):
                faults.append(f"account {account}, asset {asset}: {locked} is locked, which open orders do not need")
        for (account, asset), amount in needed.items():
            faults.append(f"account {account}, asset {asset}: {amount} must be locked")
        return faults
