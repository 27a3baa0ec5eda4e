"""What answers look like: a schema of each method's result. `tests/test_results.py` holds real answers of all methods
against them, and allows no field that is not here.

An object is written as its fields: `name`, `:` and its kind; `?` behind the name where it is not always there, `?`
behind the kind where it may be null.
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
    properties = {name.rstrip("?"): _of_kind(kind) for name, _, kind in names}
    required = [name for name, _, _ in names if not name.endswith("?")]
    return {"type": "object", "properties": properties} | ({"required": required} if required else {})


def _of_kind(kind: str) -> Schema:
    if kind.endswith("?"):
        return {"oneOf": [_of_kind(kind.removesuffix("?")), _KINDS["nothing"]]}
    return _KINDS.get(kind) or _named(kind)


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
_CHANGE: Final = (
    " priceChange?:Decimal priceChangePercent?:Decimal weightedAvgPrice?:Decimal prevClosePrice?:Decimal"
    " lastQty?:Decimal bidPrice?:Decimal bidQty?:Decimal askPrice?:Decimal askQty?:Decimal"
)
_ORDER: Final = "symbol:text orderId:whole orderListId:whole clientOrderId:text "
_WAY: Final = (  # what an order asks for, and how far it has come
    "price:Decimal origQty:Decimal executedQty:Decimal origQuoteOrderQty:Decimal cummulativeQuoteQty:Decimal"
    " status:text timeInForce:text type:text side:text "
)
_TERMS: Final = (  # what only some orders have, and the mode of self-trade prevention, which all have
    "goodTillDate?:whole trailingDelta?:whole pegPriceType?:text pegOffsetType?:text pegOffsetValue?:whole"
    " peggedPrice?:Decimal preventedMatchId?:whole preventedQuantity?:Decimal strategyId?:whole strategyType?:whole"
    " selfTradePreventionMode:text "
)
_OWN_TERMS: Final = _TERMS + "stopPrice?:Decimal icebergQty?:Decimal "


def _all_or_nothing(fields: str) -> str:
    """The same fields, none of which must be there: a reply of type ACK has none of them."""
    return " ".join(
        field if field.partition(":")[0].endswith("?") else field.replace(":", "?:", 1) for field in fields.split()
    )


COMPONENTS: Final[dict[str, Schema]] = {
    "Decimal": {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?$", "description": "A number, exactly."},
    "Level": {"type": "array", "prefixItems": [_named("Decimal"), _named("Decimal")], "minItems": 2, "maxItems": 2},
    "Candle": {
        "type": "array",
        "description": "Open time, open, high, low, close, volume, close time, quote volume, trades, the buyers' volume"
        " and quote volume as takers, and nothing.",
        "prefixItems": [
            *(_KINDS["whole"], *[_named("Decimal")] * 5, _KINDS["whole"], _named("Decimal"), _KINDS["whole"]),
            *[_named("Decimal")] * 3,
        ],
        "minItems": 12,
        "maxItems": 12,
    },
    "Fill": _object("price:Decimal qty:Decimal commission:Decimal commissionAsset:text tradeId:whole"),
    "Prevention": _object(
        "preventedMatchId:whole makerSymbol:text makerOrderId:whole price:Decimal takerPreventedQuantity?:Decimal"
        " makerPreventedQuantity?:Decimal"
    ),
    "PlacedOrder": _object(
        f"{_ORDER}transactTime?:whole workingTime?:whole {_all_or_nothing(_WAY + _OWN_TERMS)} fills?:Fill[]"
        " preventedMatches?:Prevention[] duplicate?:truth"
    ),
    "Order": _object(
        f"{_ORDER}{_WAY}{_TERMS}stopPrice:Decimal icebergQty:Decimal time:whole updateTime:whole isWorking:truth"
        " workingTime:whole"
    ),
    "CanceledOrder": _object(f"{_ORDER}origClientOrderId:text transactTime:whole {_WAY}{_OWN_TERMS}"),
    "OrderAsAmended": _object(
        f"{_ORDER}origClientOrderId:text price:Decimal qty:Decimal executedQty:Decimal preventedQty:Decimal"
        " quoteOrderQty:Decimal cumulativeQuoteQty:Decimal status:text timeInForce:text type:text side:text"
        f" workingTime:whole {_OWN_TERMS}"
    ),
    "AmendedOrder": _object(
        "transactTime:whole executionId:whole amendedOrder:OrderAsAmended fills?:Fill[] listStatus?:OrderList"
    ),
    "Amendment": _object(
        "symbol:text orderId:whole executionId:whole origClientOrderId:text newClientOrderId:text origQty:Decimal"
        " newQty:Decimal newPrice:Decimal time:whole"
    ),
    "ReplacedOrder": _object(
        "cancelResult:text newOrderResult:text cancelResponse:Canceled newOrderResponse:PlacedOrder"
    ),
    "OwnTrade": _object(
        "symbol:text id:whole orderId:whole orderListId:whole price:Decimal qty:Decimal quoteQty:Decimal"
        " commission:Decimal commissionAsset:text time:whole isBuyer:truth isMaker:truth isBestMatch:truth"
    ),
    "PreventedMatch": _object(
        "symbol:text preventedMatchId:whole takerOrderId:whole makerSymbol:text makerOrderId:whole tradeGroupId:whole"
        " selfTradePreventionMode:text price:Decimal takerPreventedQuantity?:Decimal makerPreventedQuantity?:Decimal"
        " transactTime:whole"
    ),
    "Rates": _object("maker:Decimal taker:Decimal buyer:Decimal seller:Decimal"),
    "RatesOfOrder": _object("maker:Decimal taker:Decimal"),
    "Discount": _object("enabledForAccount:truth enabledForSymbol:truth discountAsset:text? discount:Decimal"),
    "OrderInList": _object("symbol:text orderId:whole clientOrderId:text"),
    "OrderList": _object(
        "orderListId:whole contingencyType?:text listStatusType?:text listOrderStatus?:text listClientOrderId?:text"
        " transactionTime?:whole symbol?:text orders?:OrderInList[] orderReports?:OrderReport[] duplicate?:truth"
    ),
    "OrderReport": {"anyOf": [_named("PlacedOrder"), _named("CanceledOrder")]},
    "Canceled": {"anyOf": [_named("CanceledOrder"), _named("OrderList")]},
    "Balance": _object("asset:text free:Decimal locked:Decimal"),
    "Account": _object(
        "makerCommission:whole takerCommission:whole buyerCommission:whole sellerCommission:whole"
        " commissionRates:Rates canTrade:truth canWithdraw:truth canDeposit:truth brokered:truth"
        " requireSelfTradePrevention:truth preventSor:truth updateTime:whole accountType:text balances:Balance[]"
        " permissions:texts uid:whole tradeGroupId:whole"
    ),
    "SubAccount": _object("account:text uid:whole status:text balances:Balance[]"),
    "UserAsset": _object(
        "asset:text free:Decimal locked:Decimal freeze:Decimal withdrawing:Decimal ipoable:Decimal btcValuation:Decimal"
    ),
    "Coin": _object(
        "coin:text name:text depositAllEnable:truth withdrawAllEnable:truth trading:truth isLegalMoney:truth"
        " free:Decimal locked:Decimal withdrawing:Decimal freeze:Decimal ipoable:Decimal ipoing:Decimal"
        " storage:Decimal networkList:list"
    ),
    "Transferred": _object(
        "tranId?:whole clientTranId:text asset?:text amount?:Decimal fromAccount?:text toAccount?:text duplicate:truth"
    ),
    "Transfer": _object(
        "tranId:whole fromAccount:text toAccount:text asset:text amount:Decimal clientTranId:text time:whole"
    ),
    "Deposit": _object(
        "id:text amount:Decimal coin:text network:text status:whole address:text addressTag:text txId:text"
        " insertTime:whole completeTime:whole transferType:whole confirmTimes:text unlockConfirm:whole"
        " walletType:whole"
    ),
    "Withdrawal": _object(
        "id:text amount:Decimal transactionFee:Decimal coin:text status:whole address:text txId:text applyTime:text"
        " completeTime?:text network:text transferType:whole withdrawOrderId:text info:text confirmNo:whole"
        " walletType:whole"
    ),
    "Limit": _object("rateLimitType:text interval:text intervalNum:whole limit:whole count?:whole"),
    "Symbol": _object(
        "symbol:text status:text baseAsset:text baseAssetPrecision:whole quoteAsset:text quotePrecision:whole"
        " quoteAssetPrecision:whole baseCommissionPrecision:whole quoteCommissionPrecision:whole orderTypes:texts"
        " icebergAllowed:truth ocoAllowed:truth otoAllowed:truth quoteOrderQtyMarketAllowed:truth"
        " allowTrailingStop:truth pegInstructionsAllowed:truth cancelReplaceAllowed:truth amendAllowed:truth"
        " isSpotTradingAllowed:truth isMarginTradingAllowed:truth filters:list permissions:texts permissionSets:list"
        " defaultSelfTradePreventionMode:text allowedSelfTradePreventionModes:texts"
    ),
    "Trade": _object(
        "id:whole price:Decimal qty:Decimal quoteQty:Decimal time:whole isBuyerMaker:truth isBestMatch:truth"
    ),
    "AggregateTrade": _object("a:whole p:Decimal q:Decimal f:whole l:whole T:whole m:truth M:truth"),
    "Ticker": _object(_WINDOW + _CHANGE),
    "Price": _object("symbol:text price:Decimal"),
    "Best": _object("symbol:text bidPrice:Decimal bidQty:Decimal askPrice:Decimal askQty:Decimal"),
    "Fee": _object("symbol:text makerCommission:Decimal takerCommission:Decimal"),
    "Session": _object(
        "apiKey:text? authorizedSince:whole? connectedSince:whole returnRateLimits:truth serverTime:whole"
        " userDataStream:truth cancelOnDisconnect:truth"
    ),
    "Countdown": _object("symbol?:text countdownTime:text cancelTime?:whole"),
}

_NOTHING: Final[Schema] = {"type": "object", "maxProperties": 0}
_NONE: Final[Schema] = {"type": "array", "maxItems": 0}
_SUBSCRIBED: Final = _object("subscriptionId:whole sequence:whole")

RESULTS: Final[dict[str, Schema]] = {
    "ping": _NOTHING,
    "time": _object("serverTime:whole"),
    "exchangeInfo": _object("timezone:text serverTime:whole rateLimits:Limit[] exchangeFilters:list symbols:Symbol[]"),
    "depth": _object("lastUpdateId:whole bids:Level[] asks:Level[]"),
    "trades.recent": _named("Trade[]"),
    "trades.historical": _named("Trade[]"),
    "trades.aggregate": _named("AggregateTrade[]"),
    "klines": _named("Candle[]"),
    "uiKlines": _named("Candle[]"),
    "avgPrice": _object("mins:whole price:Decimal closeTime:whole"),
    "auction": _object("symbol:text status:text price:Decimal quantity:Decimal imbalance:Decimal side:text time:whole"),
    "ticker.24hr": _one_or_many("Ticker"),
    "ticker.tradingDay": _one_or_many("Ticker"),
    "ticker": _one_or_many("Ticker"),
    "ticker.price": _one_or_many("Price"),
    "ticker.book": _one_or_many("Best"),
    "order.place": _named("PlacedOrder"),
    "order.test": _object(
        "standardCommissionForOrder?:RatesOfOrder specialCommissionForOrder?:RatesOfOrder"
        " taxCommissionForOrder?:RatesOfOrder discount?:Discount"
    ),
    "order.status": _named("Order"),
    "order.cancel": _named("Canceled"),
    "order.cancelReplace": _named("ReplacedOrder"),
    "order.amend": _named("AmendedOrder"),
    "order.amend.keepPriority": _named("AmendedOrder"),
    "order.amendments": _named("Amendment[]"),
    "orderList.place": _named("OrderList"),
    "orderList.place.oco": _named("OrderList"),
    "orderList.place.oto": _named("OrderList"),
    "orderList.place.otoco": _named("OrderList"),
    "orderList.cancel": _named("OrderList"),
    "orderList.status": _named("OrderList"),
    "openOrderLists.status": _named("OrderList[]"),
    "allOrderLists": _named("OrderList[]"),
    "openOrders.status": _named("Order[]"),
    "openOrders.cancelAll": _named("Canceled[]"),
    "account.cancelAll": _named("Canceled[]"),
    "countdownCancelAll": _named("Countdown"),
    "countdownCancelAll.status": _named("Countdown[]"),
    "allOrders": _named("Order[]"),
    "myTrades": _named("OwnTrade[]"),
    "myAllocations": _NONE,
    "myPreventedMatches": _named("PreventedMatch[]"),
    "account.status": _named("Account"),
    "account.rateLimits.orders": _named("Limit[]"),
    "account.commission": _object(
        "symbol:text standardCommission:Rates specialCommission:Rates taxCommission:Rates discount:Discount"
    ),
    "account.feeAsset.use": _object("enabled:truth"),
    "account.assets": _named("UserAsset[]"),
    "account.subAccounts": _named("SubAccount[]"),
    "account.transfer": _named("Transferred"),
    "account.transfers": _named("Transfer[]"),
    "deposits.history": _named("Deposit[]"),
    "withdrawals.history": _named("Withdrawal[]"),
    "system.status": _object("status:whole msg:text"),
    "asset.tradeFee": _named("Fee[]"),
    "asset.all": _named("Coin[]"),
    "margin.pairs": _NONE,
    "contracts.exchangeInfo": _object(
        "timezone:text serverTime:whole rateLimits:list exchangeFilters:list assets:list symbols:list"
        " optionSymbols:list"
    ),
    "session.logon": _named("Session"),
    "session.status": _named("Session"),
    "session.logout": _named("Session"),
    "session.cancelOnDisconnect": _object("cancelOnDisconnect:truth timeout?:whole"),
    "userDataStream.start": _object("listenKey:text"),
    "userDataStream.ping": _NOTHING,
    "userDataStream.stop": _NOTHING,
    "userDataStream.subscribe": _SUBSCRIBED,
    "userDataStream.subscribe.signature": _SUBSCRIBED,
    "userDataStream.unsubscribe": _NOTHING,
}
