"""THE table of REST: verb and path -> method of the one table of methods. A route is a line.

Signed methods want the header X-MBX-APIKEY, and `timestamp` and `signature` among the parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from ringex.gateways.methods import METHODS, Method, Security
from ringex.gateways.parameters import Kind


@dataclass(frozen=True)
class Route:
    """One verb at one path. `lists` and `booleans` are parameters that are written differently in a URL."""

    verb: str
    path: str
    method: Method
    lists: frozenset[str] = field(init=False)
    booleans: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        kinds = self.method.declared.values()
        object.__setattr__(self, "lists", frozenset(one.name for one in kinds if one.kind == Kind.TEXTS))
        object.__setattr__(self, "booleans", frozenset(one.name for one in kinds if one.kind == Kind.BOOLEAN))

    @property
    def is_public(self) -> bool:
        return self.method.security == Security.NONE


def _table(*lines: tuple[str, str, str]) -> Mapping[tuple[bytes, bytes], Route]:
    table = {(verb.encode(), path.encode()): Route(verb, path, METHODS[name]) for verb, path, name in lines}
    assert len(table) == len(lines), "a verb has one route at a path"
    return MappingProxyType(table)


ROUTES: Final = _table(
    ("GET", "/api/v3/ping", "ping"),
    ("GET", "/api/v3/time", "time"),
    ("GET", "/api/v3/exchangeInfo", "exchangeInfo"),
    ("GET", "/api/v3/depth", "depth"),
    ("GET", "/api/v3/trades", "trades.recent"),
    ("GET", "/api/v3/avgPrice", "avgPrice"),
    ("GET", "/api/v3/auction", "auction"),
    ("GET", "/api/v3/ticker/24hr", "ticker.24hr"),
    ("GET", "/api/v3/ticker/tradingDay", "ticker.tradingDay"),
    ("GET", "/api/v3/ticker", "ticker"),
    ("GET", "/api/v3/ticker/price", "ticker.price"),
    ("GET", "/api/v3/historicalTrades", "trades.historical"),
    ("GET", "/api/v3/aggTrades", "trades.aggregate"),
    ("GET", "/api/v3/klines", "klines"),
    ("GET", "/api/v3/uiKlines", "uiKlines"),
    ("GET", "/api/v3/ticker/bookTicker", "ticker.book"),
    ("POST", "/api/v3/order", "order.place"),
    ("GET", "/api/v3/order", "order.status"),
    ("DELETE", "/api/v3/order", "order.cancel"),
    ("POST", "/api/v3/order/test", "order.test"),
    ("POST", "/api/v3/order/cancelReplace", "order.cancelReplace"),
    ("PUT", "/api/v3/order/amend/keepPriority", "order.amend.keepPriority"),
    ("PUT", "/api/v3/order/amend", "order.amend"),
    ("POST", "/api/v3/order/oco", "orderList.place"),
    ("POST", "/api/v3/orderList/oco", "orderList.place.oco"),
    ("POST", "/api/v3/orderList/oto", "orderList.place.oto"),
    ("POST", "/api/v3/orderList/otoco", "orderList.place.otoco"),
    ("DELETE", "/api/v3/orderList", "orderList.cancel"),
    ("GET", "/api/v3/orderList", "orderList.status"),
    ("GET", "/api/v3/allOrderList", "allOrderLists"),
    ("GET", "/api/v3/openOrderList", "openOrderLists.status"),
    ("GET", "/api/v3/openOrders", "openOrders.status"),
    ("DELETE", "/api/v3/openOrders", "openOrders.cancelAll"),
    ("POST", "/api/v3/countdownCancelAll", "countdownCancelAll"),
    ("GET", "/api/v3/countdownCancelAll", "countdownCancelAll.status"),
    ("DELETE", "/api/v3/account/openOrders", "account.cancelAll"),
    ("GET", "/api/v3/account", "account.status"),
    ("POST", "/api/v3/userDataStream", "userDataStream.start"),
    ("PUT", "/api/v3/userDataStream", "userDataStream.ping"),
    ("DELETE", "/api/v3/userDataStream", "userDataStream.stop"),
    ("GET", "/api/v3/rateLimit/order", "account.rateLimits.orders"),
    ("GET", "/api/v3/account/commission", "account.commission"),
    ("POST", "/api/v3/account/feeAsset", "account.feeAsset.use"),
    ("GET", "/api/v3/account/subAccounts", "account.subAccounts"),
    ("POST", "/api/v3/account/transfer", "account.transfer"),
    ("GET", "/api/v3/allOrders", "allOrders"),
    ("GET", "/api/v3/myTrades", "myTrades"),
    ("GET", "/api/v3/order/amendments", "order.amendments"),
    ("GET", "/api/v3/myAllocations", "myAllocations"),
    ("GET", "/api/v3/myPreventedMatches", "myPreventedMatches"),
    ("GET", "/api/v3/account/transfers", "account.transfers"),
    ("GET", "/sapi/v1/capital/deposit/hisrec", "deposits.history"),
    ("GET", "/sapi/v1/capital/withdraw/history", "withdrawals.history"),
    ("GET", "/sapi/v1/system/status", "system.status"),
    ("GET", "/sapi/v1/asset/tradeFee", "asset.tradeFee"),
    ("POST", "/sapi/v3/asset/getUserAsset", "account.assets"),
    ("GET", "/sapi/v1/capital/config/getall", "asset.all"),
    ("GET", "/sapi/v1/margin/allPairs", "margin.pairs"),
    ("GET", "/sapi/v1/margin/isolated/allPairs", "margin.pairs"),
    ("GET", "/fapi/v1/exchangeInfo", "contracts.exchangeInfo"),
    ("GET", "/dapi/v1/exchangeInfo", "contracts.exchangeInfo"),
    ("GET", "/eapi/v1/exchangeInfo", "contracts.exchangeInfo"),
)

PATHS: Final[Mapping[bytes, tuple[Route, ...]]] = MappingProxyType(
    {path: tuple(route for (_, at), route in ROUTES.items() if at == path) for _, path in ROUTES}
)
"""The routes at each path."""
