"""The orders of the load: a cycle of four that leaves the book as it was, so that a run may last for ever.

A bid far below the market that rests; its cancel; an offer that rests; an IOC bid that takes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ringex.decimals import format_scaled
from ringex.messages import commands
from ringex.terms import CommandKind, OrderType, Side, TimeInForce

CYCLE: Final = 4
_ID_DIGITS: Final = 12
_ID_BYTES: Final = 40
_POWERS: Final = 10 ** np.arange(_ID_DIGITS - 1, -1, -1, dtype=np.int64)


@dataclass(frozen=True)
class Workload:
    """Of one client. Prices and the quantity count the market's scales."""

    symbol: str
    market: int
    """The market's number at the exchange."""
    price: int
    bid_price: int
    quantity: int
    price_scale: int
    quantity_scale: int
    prefix: str
    """Of client order ids: no other client, and no earlier run, has it."""

    def request(self, number: int) -> tuple[str, dict[str, Any]]:
        """Method and parameters of order `number`, from 0, for a session that is logged on."""
        step = number % CYCLE
        if step == 1:
            return "order.cancel", {"symbol": self.symbol, "origClientOrderId": f"{self.prefix}{number - 1:012}"}
        return "order.place", {
            "symbol": self.symbol,
            "side": "SELL" if step == 2 else "BUY",
            "type": "LIMIT",
            "timeInForce": "IOC" if step == 3 else "GTC",
            "price": format_scaled(self.bid_price if step == 0 else self.price, self.price_scale),
            "quantity": format_scaled(self.quantity, self.quantity_scale),
            "newClientOrderId": f"{self.prefix}{number:012}",
            "newOrderRespType": "ACK",
        }

    def records(self, first: int, count: int) -> np.ndarray:
        """Orders `first` to `first + count - 1` as COMMAND records; `correlation` is the order's number."""
        records = commands(count)
        numbers = np.arange(first, first + count)
        step = numbers % CYCLE
        cancels = step == 1
        records["correlation"] = numbers
        records["market"] = self.market
        records["kind"] = np.where(cancels, CommandKind.CANCEL, CommandKind.PLACE)
        records["side"] = np.where(cancels, 0, np.where(step == 2, Side.SELL, Side.BUY))
        records["order_type"] = np.where(cancels, 0, OrderType.LIMIT)
        records["time_in_force"] = np.where(cancels, 0, np.where(step == 3, TimeInForce.IOC, TimeInForce.GTC))
        records["price"] = np.where(cancels, 0, np.where(step == 0, self.bid_price, self.price))
        records["quantity"] = np.where(cancels, 0, self.quantity)
        words = self._ids(numbers)
        records["client_order_id"] = np.where(cancels[:, None], 0, words)
        records["original_client_order_id"] = np.where(cancels[:, None], self._ids(numbers - 1), 0)
        return records

    def _ids(self, numbers: np.ndarray) -> np.ndarray:
        text = np.zeros((len(numbers), _ID_BYTES), np.uint8)
        start = len(self.prefix)
        text[:, :start] = np.frombuffer(self.prefix.encode(), np.uint8)
        text[:, start : start + _ID_DIGITS] = numbers[:, None] // _POWERS % 10 + ord("0")
        return text.view(np.uint64)
