"""What a request weighs: 1, where this table does not say more. Heavier is what costs more to answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sized
from typing import Any, Final

Params = Mapping[str, Any]
"""As they were sent: anything may be in them."""
Weight = int | Callable[[Params], int]


def weight_of(method: str, params: Params) -> int:
    weight = WEIGHTS.get(method, 1)
    return weight if isinstance(weight, int) else weight(params)


def weights_of(method: str) -> tuple[int, int]:
    """The least and the most that a method weighs."""
    weight = WEIGHTS.get(method, 1)
    return (weight, weight) if isinstance(weight, int) else _BOUNDS[weight]


def _depth(params: Params) -> int:
    limit = _whole(params.get("limit"), 100)
    return 5 if limit <= 100 else 25 if limit <= 500 else 50 if limit <= 1000 else 250


def _open_orders(params: Params) -> int:
    return 6 if params.get("symbol") else 80


def _price(params: Params) -> int:
    return 2 if params.get("symbol") else 4


def _day(params: Params) -> int:
    count = _symbols(params)
    return 2 if 0 < count <= 20 else 40 if 0 < count <= 100 else 80


def _each(params: Params) -> int:
    return min(4 * max(_symbols(params), 1), 200)


def _my_trades(params: Params) -> int:
    return 5 if params.get("orderId") else 20


def _prevented(params: Params) -> int:
    return 2 if params.get("preventedMatchId") else 20


def _symbols(params: Params) -> int:
    """How many are asked for; 0: all."""
    if params.get("symbol"):
        return 1
    symbols = params.get("symbols")
    return len(symbols) if isinstance(symbols, Sized) else 0


def _whole(value: Any, default: int) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 18:
        return int(value)
    return value if isinstance(value, int) else default


WEIGHTS: Final[Mapping[str, Weight]] = {
    "exchangeInfo": 20,
    "depth": _depth,
    "trades.recent": 25,
    "trades.historical": 25,
    "trades.aggregate": 4,
    "klines": 2,
    "uiKlines": 2,
    "avgPrice": 2,
    "ticker": _each,
    "ticker.24hr": _day,
    "ticker.tradingDay": _each,
    "ticker.price": _price,
    "ticker.book": _price,
    "order.status": 4,
    "order.amend.keepPriority": 4,
    "order.amendments": 4,
    "orderList.status": 4,
    "openOrders.status": _open_orders,
    "openOrderLists.status": 6,
    "allOrders": 20,
    "allOrderLists": 20,
    "myTrades": _my_trades,
    "myPreventedMatches": _prevented,
    "account.status": 20,
    "account.commission": 20,
    "account.rateLimits.orders": 40,
    "session.logon": 2,
    "session.status": 2,
    "session.logout": 2,
    "userDataStream.start": 2,
    "userDataStream.ping": 2,
    "userDataStream.stop": 2,
    "userDataStream.subscribe": 2,
    "userDataStream.subscribe.signature": 2,
    "userDataStream.unsubscribe": 2,
}

_BOUNDS: Final[Mapping[Callable[[Params], int], tuple[int, int]]] = {
    _depth: (5, 250),
    _open_orders: (6, 80),
    _price: (2, 4),
    _day: (2, 80),
    _each: (4, 200),
    _my_trades: (5, 20),
    _prevented: (2, 20),
}
