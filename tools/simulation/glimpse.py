"""What the maker of random commands sees of an exchange without a reference beside it: the last orders, the limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from reference.directory import Account, Directory, Market
from reference.ledger import Hold, Ledger
from reference.records import Fields, event_fields

from ringex.config import Limits
from ringex.messages import LIMIT_NAMES, TRADE
from ringex.terms import EventFlag, EventKind, ListStatus, OrderStatus

ORDERS_MAX: Final = 48
HOLDS_MAX: Final = 16
_CATALOGUE: Final = (EventKind.ASSET, EventKind.MARKET, EventKind.LIMITS, EventKind.ACCOUNT, EventKind.BALANCE)


@dataclass(frozen=True)
class SeenOrder:
    """An order that rested when it was seen."""

    order_id: int
    account: int
    market: int
    quantity: int
    client_order_id: str


@dataclass(frozen=True)
class SeenList:
    """An order list that was open when it was seen."""

    order_list_id: int
    account: int
    market: int
    client_order_id: str


@dataclass
class Glimpse:
    """`room` is what the tables have memory for."""

    room: Limits
    open_orders: dict[int, SeenOrder] = field(default_factory=dict)
    order_lists: dict[int, SeenList] = field(default_factory=dict)
    is_pending: bool = field(default=False, init=False)
    """What the engine goes on with by itself is not seen, nor which timers it has."""

    def __post_init__(self) -> None:
        self.limits = self.room
        self.directory = Directory(self.room)
        self.ledger = Ledger(self.room.balances_max)
        self._scales: list[int] = []

    def is_timer_due(self, time_ns: int) -> bool:
        return False

    def look(self, events: np.ndarray) -> None:
        """Take note of EVENT records: of the last orders that rest, and of what has been added."""
        kinds = events["kind"]
        for event in events[np.isin(kinds, _CATALOGUE)]:
            self._add(event_fields(event))
        for order_id in events["order_id"][kinds == EventKind.CANCELED].tolist():
            self.open_orders.pop(order_id, None)
        trades = events[kinds == EventKind.TRADE].view(TRADE)
        for order_id in trades["maker_order_id"][trades["maker_status"] == OrderStatus.FILLED].tolist():
            self.open_orders.pop(order_id, None)
        rested = (kinds == EventKind.RESTED) | (events["flag_bits"] & EventFlag.WORKING != 0)
        for event in events[rested | (kinds == EventKind.ACCEPTED)][-ORDERS_MAX // 2 :]:
            order = event_fields(event)
            values = {name: order[name] for name in SeenOrder.__dataclass_fields__}
            self.open_orders[order["order_id"]] = SeenOrder(**values)
        for event in events[kinds == EventKind.ORDER_LIST]:
            self._note_list(event_fields(event))
        while len(self.open_orders) > ORDERS_MAX:
            del self.open_orders[next(iter(self.open_orders))]

    def _note_list(self, event: Fields) -> None:
        if event["list_status"] == ListStatus.ALL_DONE:
            self.order_lists.pop(event["order_list_id"], None)
            return
        values = {name: event[name] for name in SeenList.__dataclass_fields__}
        self.order_lists[event["order_list_id"]] = SeenList(**values)
        if len(self.order_lists) > ORDERS_MAX:
            del self.order_lists[next(iter(self.order_lists))]

    def _add(self, event: Fields) -> None:
        if event["kind"] == EventKind.ASSET:
            self._scales.append(event["scale"])
        elif event["kind"] == EventKind.LIMITS:
            self.limits = _limits_of(event)
        elif event["kind"] == EventKind.ACCOUNT:
            standing = {name: event[name] for name in ("name", "trade_group", "status", "parent")}
            self.directory.accounts[event["account"] :] = [
                Account(**standing),
                *self.directory.accounts[event["account"] + 1 :],
            ]
        elif event["kind"] == EventKind.BALANCE:
            self._hold(event)
        elif event["market"] == len(self.directory.markets):
            scales = [self._scales[event[name]] for name in ("base_asset", "quote_asset")]
            self.directory.markets.append(Market(event, *scales))
        else:
            self.directory.markets[event["market"]].rules |= {"status": event["status"]}

    def _hold(self, event: Fields) -> None:
        """A withdrawal that is held, or is no longer."""
        key = event["account"], event["reference"]
        if event["held"] > 0:
            self.ledger.holds[key] = Hold(event["market"], event["held"])
            if len(self.ledger.holds) > HOLDS_MAX:
                del self.ledger.holds[next(iter(self.ledger.holds))]
        elif event["held"] < 0:
            self.ledger.holds.pop(key, None)


def _limits_of(event: Mapping[str, int]) -> Limits:
    return Limits(**{name: event[name] for name in LIMIT_NAMES})
