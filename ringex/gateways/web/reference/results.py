"""What REST answers look like: schemas of results by method. What is not here may be anything.

An object is written as its fields: `name`, `:` and its kind; `?` behind the name where it is not always there.
"""

from __future__ import annotations

from typing import Final

from ringex.gateways.web.reference.schemas import Schema

_KINDS: Final[dict[str, Schema]] = {
    "whole": {"type": "integer"},
    "text": {"type": "string"},
    "truth": {"type": "boolean"},
    "texts": {"type": "array", "items": {"type": "string"}},
    "nothing": {"type": "null"},
    "list": {"type": "array"},
    "map": {"type": "object"},
}


def _object(fields: str) -> Schema:
    names = [field.partition(":") for field in fields.split()]
    properties = {name.rstrip("?"): _KINDS.get(kind) or _named(kind) for name, _, kind in names}
    required = [name for name, _, _ in names if not name.endswith("?")]
    return {"type": "object", "properties": properties} | ({"required": required} if required else {})


def _named(name: str) -> Schema:
    if name.endswith("[]"):
        return _list(_named(name.removesuffix("[]")))
    return {"$ref": f"#/components/schemas/{name}"}


def _list(schema: Schema) -> Schema:
    return {"type": "array", "items": schema}


def _one_or_many(name: str) -> Schema:
    return {"oneOf": [_named(name), _list(_named(name))]}


_PRICES: Final = "openPrice:Decimal highPrice:Decimal lowPrice:Decimal lastPrice:Decimal"
_WINDOW: Final = (
    f"symbol:text {_PRICES} volume:Decimal quoteVolume:Decimal openTime:whole closeTime:whole firstId:whole"
    " lastId:whole count:whole"
)
_CHANGE: Final = " priceChange?:Decimal priceChangePercent?:Decimal weightedAvgPrice?:Decimal"
_ORDER: Final = "symbol:text orderId:whole orderListId:whole clientOrderId:text"
_TERMS: Final = (
    " price:Decimal origQty:Decimal executedQty:Decimal origQuoteOrderQty:Decimal cummulativeQuoteQty:Decimal"
    " status:text timeInForce:text type:text side:text selfTradePreventionMode:text"
)
_RATES: Final = "maker:Decimal taker:Decimal buyer:Decimal seller:Decimal"

COMPONENTS: Final[dict[str, Schema]] = {
    "Decimal": {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?$", "description": "A number, exactly."},
    "Level": {"type": "array", "prefixItems": [_named("Decimal"), _named("Decimal")], "minItems": 2, "maxItems": 2},
    "Fill": _object("price:Decimal qty:Decimal commission:Decimal commissionAsset:text tradeId:whole"),
    "PlacedOrder": _object(f"{_ORDER} transactTime?:whole status?:text executedQty?:Decimal fills?:Fill[]"),
    "Order": _object(
        f"{_ORDER}{_TERMS} stopPrice:Decimal icebergQty:Decimal time:whole updateTime:whole isWorking:truth"
        " workingTime:whole"
    ),
    "CanceledOrder": _object(f"{_ORDER} origClientOrderId:text transactTime:whole{_TERMS}"),
    "AmendedOrder": _object("transactTime:whole executionId:whole amendedOrder:map"),
    "ReplacedOrder": _object("cancelResult:text newOrderResult:text cancelResponse:map newOrderResponse:map"),
    "Rates": _object(_RATES),
    "Balance": _object("asset:text free:Decimal locked:Decimal"),
    "Account": _object(
        "makerCommission:whole takerCommission:whole commissionRates:Rates canTrade:truth canWithdraw:truth"
        " canDeposit:truth updateTime:whole accountType:text balances:Balance[] permissions:texts uid:whole"
    ),
    "Limit": _object("rateLimitType:text interval:text intervalNum:whole limit:whole"),
    "Symbol": _object(
        "symbol:text status:text baseAsset:text baseAssetPrecision:whole quoteAsset:text quotePrecision:whole"
        " orderTypes:texts icebergAllowed:truth isSpotTradingAllowed:truth filters:list permissionSets:list"
        " defaultSelfTradePreventionMode:text allowedSelfTradePreventionModes:texts"
    ),
    "Trade": _object(
        "id:whole price:Decimal qty:Decimal quoteQty:Decimal time:whole isBuyerMaker:truth isBestMatch:truth"
    ),
    "Ticker": _object(_WINDOW + _CHANGE),
    "Price": _object("symbol:text price:Decimal"),
    "Best": _object("symbol:text bidPrice:Decimal bidQty:Decimal askPrice:Decimal askQty:Decimal"),
    "Fee": _object("symbol:text makerCommission:Decimal takerCommission:Decimal"),
}

RESULTS: Final[dict[str, Schema]] = {
    "ping": {"type": "object", "maxProperties": 0},
    "time": _object("serverTime:whole"),
    "exchangeInfo": _object("timezone:text serverTime:whole rateLimits:Limit[] exchangeFilters:list symbols:Symbol[]"),
    "depth": _object("lastUpdateId:whole bids:Level[] asks:Level[]"),
    "trades.recent": _named("Trade[]"),
    "avgPrice": _object("mins:whole price:Decimal closeTime:whole"),
    "ticker.24hr": _one_or_many("Ticker"),
    "ticker.tradingDay": _one_or_many("Ticker"),
    "ticker": _one_or_many("Ticker"),
    "ticker.price": _one_or_many("Price"),
    "ticker.book": _one_or_many("Best"),
    "order.place": _named("PlacedOrder"),
    "order.test": _KINDS["map"],
    "order.status": _named("Order"),
    "order.cancel": _named("CanceledOrder"),
    "order.cancelReplace": _named("ReplacedOrder"),
    "order.amend": _named("AmendedOrder"),
    "order.amend.keepPriority": _named("AmendedOrder"),
    "openOrders.status": _named("Order[]"),
    "openOrders.cancelAll": _KINDS["list"],
    "account.status": _named("Account"),
    "account.commission": _object("symbol:text standardCommission:Rates taxCommission:Rates discount:map"),
    "account.subAccounts": _KINDS["list"],
    "asset.tradeFee": _named("Fee[]"),
    "myPreventedMatches": _KINDS["list"],
    "system.status": _object("status:whole msg:text"),
}
