"""Queries: answered from the read model, never by the matcher."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from ringex.config import UNLIMITED
from ringex.decimals import format_scaled
from ringex.gateways import replies
from ringex.gateways.calls import Call
from ringex.gateways.commissions import rate_text, usual_rates
from ringex.gateways.errors import (
    MULTIPLIER_SCALE,
    Refusal,
    ids_disagree,
    no_such_order,
    not_required,
    timed_out,
)
from ringex.gateways.money import own_balances
from ringex.gateways.parameters import Kind, Parameter
from ringex.gateways.schedules import times_to_come
from ringex.gateways.times import shown
from ringex.history.catalogue import Market
from ringex.history.readmodel import ReadModel
from ringex.messages import FEE_ACCOUNT, FEE_RATE_ONE
from ringex.terms import AccountStatus, FilterFlag, KeyScope, OrderType, SelfTradePrevention, Side

DEPTH_LIMIT: Final = 100
DEPTH_LIMIT_MAX: Final = 5000
TRADES_LIMIT: Final = 500
TRADES_LIMIT_MAX: Final = 1000

_SYMBOL: Final = Parameter("symbol", Kind.TEXT, required=True)
_SYMBOL_OR_NONE: Final = Parameter("symbol", Kind.TEXT)
_SYMBOLS: Final = Parameter("symbols", Kind.TEXTS)
_LIMIT: Final = Parameter("limit", Kind.INTEGER)

DEPTH_PARAMETERS: Final = (_SYMBOL, _LIMIT)
TRADES_PARAMETERS: Final = (_SYMBOL, _LIMIT)
TICKER_PARAMETERS: Final = (_SYMBOL_OR_NONE, _SYMBOLS)
EXCHANGE_PARAMETERS: Final = (_SYMBOL_OR_NONE, _SYMBOLS, Parameter("permissions", Kind.TEXTS))
OPEN_ORDERS_PARAMETERS: Final = (_SYMBOL_OR_NONE,)
ACCOUNT_PARAMETERS: Final = (Parameter("omitZeroBalances", Kind.BOOLEAN),)


def ping(call: Call) -> dict[str, Any]:
    return {}


def time(call: Call) -> dict[str, Any]:
    return {"serverTime": shown(call.now_ns)}


def find_order(call: Call, market: Market, order_id: int, client_order_id: str) -> replies.Order:
    """The caller's order by its ids; a client order id beside an order id must be that order's.

    Raises Refusal: -2013, -2039 where the two ids disagree, or -1007 where nobody knows any more.
    """
    if order_id:
        held = call.model.order_by_id(call.account, order_id)
    else:
        held = call.model.order_by_client_id(call.account, client_order_id)
    if held is not None and held.market == market.number:
        if client_order_id and held.client_order_id != client_order_id:
            raise ids_disagree()
        return replies.Order.held(held)
    if held is None and call.model.has_forgotten(call.account):
        raise timed_out("Older closed orders of this account are no longer held in memory.")
    raise no_such_order()


def open_orders(call: Call) -> list[dict[str, Any]]:
    number = call.market().number if "symbol" in call.arguments else None
    markets = call.model.markets
    held = call.model.open_orders(call.account, number)
    return [replies.status(markets[order.market], replies.Order.held(order)) for order in held]


def account_status(call: Call) -> dict[str, Any]:
    key = call.model.key(call.key)
    scopes = key.scopes if key is not None else 0
    balances = own_balances(call, call.account, call.arguments.get("omitZeroBalances", False))
    account = call.model.catalogue.accounts[call.account]
    rates = usual_rates(call)
    none = rate_text(0)
    return {
        "makerCommission": rates.maker * 10_000 // FEE_RATE_ONE,
        "takerCommission": rates.taker * 10_000 // FEE_RATE_ONE,
        "buyerCommission": 0,
        "sellerCommission": 0,
        "commissionRates": {
            "maker": rate_text(rates.maker),
            "taker": rate_text(rates.taker),
            "buyer": none,
            "seller": none,
        },
        "canTrade": bool(scopes & KeyScope.TRADE) and account.status == AccountStatus.ACTIVE,
        "canWithdraw": False,
        "canDeposit": False,
        "brokered": False,
        "requireSelfTradePrevention": False,
        "preventSor": True,
        "updateTime": shown(call.now_ns),
        "accountType": "SPOT",
        "balances": balances,
        "permissions": ["SPOT"],
        "uid": call.account,
        "tradeGroupId": account.trade_group or replies.NO_TRADE_GROUP,
    }


def order_rate_limits(call: Call) -> list[dict[str, Any]]:
    """How many orders the account may place, and has."""
    return call.office.limiter.order_rows(call.account, call.now_ns, call.model) if call.office is not None else []


def depth(call: Call) -> dict[str, Any]:
    market = call.market()
    update_id, bids, asks = call.model.depth(market.number, limit_of(call, DEPTH_LIMIT, DEPTH_LIMIT_MAX))
    return {"lastUpdateId": int(update_id), "bids": _rows(market, bids), "asks": _rows(market, asks)}


def recent_trades(call: Call) -> list[dict[str, Any]]:
    market = call.market()
    trades = call.model.recent_trades(market.number, limit_of(call, TRADES_LIMIT, TRADES_LIMIT_MAX))
    return [
        {
            "id": trade.trade_id,
            "price": format_scaled(trade.price, market.price_scale),
            "qty": format_scaled(trade.quantity, market.quantity_scale),
            "quoteQty": format_scaled(trade.quote_amount, market.quote.scale),
            "time": shown(trade.time_ns),
            "isBuyerMaker": trade.buyer_is_maker,
            "isBestMatch": True,
        }
        for trade in trades
    ]


def ticker_book(call: Call) -> Any:
    """One map for `symbol`, an array for `symbols` or none."""
    if "symbol" in call.arguments and "symbols" not in call.arguments:
        return _book_ticker(call, call.market())
    return [_book_ticker(call, market) for market in markets_asked(call)]


def exchange_info(call: Call) -> dict[str, Any]:
    return {
        "timezone": "UTC",
        "serverTime": shown(call.now_ns),
        "rateLimits": call.office.limiter.table(call.model) if call.office is not None else [],
        "exchangeFilters": exchange_filters(call.model),
        "symbols": [_symbol_info(market) | _schedule(call, market) for market in markets_asked(call)],
    }


def exchange_filters(model: ReadModel) -> list[dict[str, Any]]:
    """What bounds an account in all markets together."""
    most = model.catalogue.order_limits_of(FEE_ACCOUNT).open_orders_max
    return [{"filterType": "EXCHANGE_MAX_NUM_ORDERS", "maxNumOrders": most}] if most != UNLIMITED else []


def markets_asked(call: Call) -> list[Market]:
    arguments = call.arguments
    if "symbol" in arguments and "symbols" in arguments:
        raise not_required("symbols", "Send either symbol or symbols.")
    if "symbol" in arguments:
        return [call.market()]
    if "symbols" in arguments:
        if len(set(arguments["symbols"])) != len(arguments["symbols"]):
            raise Refusal(-1151, "Symbol is present multiple times in the list.")
        return [call.market_named(symbol) for symbol in arguments["symbols"]]
    return call.model.markets


def _symbol_info(market: Market) -> dict[str, Any]:
    return {
        "symbol": market.symbol,
        "status": market.status.name,
        "baseAsset": market.base.name,
        "baseAssetPrecision": 8,
        "quoteAsset": market.quote.name,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": list(OrderType.__members__),
        "icebergAllowed": True,
        "ocoAllowed": True,
        "otoAllowed": True,
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": True,
        "pegInstructionsAllowed": True,
        "cancelReplaceAllowed": True,
        "amendAllowed": True,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": _filters(market),
        "permissions": [],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": "NONE",
        "allowedSelfTradePreventionModes": list(SelfTradePrevention.__members__),
    }


def _schedule(call: Call, market: Market) -> dict[str, Any]:
    """Our own: when its status changes by itself, if it does."""
    times = times_to_come(call.model, market, call.now_ns)
    return {"schedule": times} if times else {}


def _filters(market: Market) -> list[dict[str, Any]]:
    """The filters in force; those that a market does not have are left out."""
    price, quantity, quote = market.price_scale, market.quantity_scale, market.quote.scale
    f = market.filters
    filters: list[dict[str, Any]] = [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": format_scaled(market.price_min, price),
            "maxPrice": format_scaled(market.price_max, price),
            "tickSize": format_scaled(market.tick, price),
        },
        {
            "filterType": "LOT_SIZE",
            "minQty": format_scaled(market.quantity_min, quantity),
            "maxQty": format_scaled(market.quantity_max, quantity),
            "stepSize": format_scaled(market.lot, quantity),
        },
        {
            "filterType": "NOTIONAL",
            "minNotional": format_scaled(market.notional_min, quote),
            "applyMinToMarket": bool(f.filter_bits & FilterFlag.MIN_TO_MARKET),
            "maxNotional": format_scaled(market.notional_max, quote),
            "applyMaxToMarket": bool(f.filter_bits & FilterFlag.MAX_TO_MARKET),
            "avgPriceMins": f.average_minutes,
        },
        {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": market.orders_per_account_max},
    ]
    if f.market_quantity_min or f.market_quantity_max or f.market_lot:
        filters.append(
            {
                "filterType": "MARKET_LOT_SIZE",
                "minQty": format_scaled(f.market_quantity_min, quantity),
                "maxQty": format_scaled(f.market_quantity_max or market.quantity_max, quantity),
                "stepSize": format_scaled(f.market_lot, quantity),
            }
        )
    if f.algo_orders_max:
        filters.append({"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": f.algo_orders_max})
    if f.iceberg_orders_max:
        filters.append({"filterType": "MAX_NUM_ICEBERG_ORDERS", "maxNumIcebergOrders": f.iceberg_orders_max})
    if f.order_lists_max:
        filters.append({"filterType": "MAX_NUM_ORDER_LISTS", "maxNumOrderLists": f.order_lists_max})
    if f.position_max:
        filters.append({"filterType": "MAX_POSITION", "maxPosition": format_scaled(f.position_max, market.base.scale)})
    multipliers = f.bid_multiplier_up, f.bid_multiplier_down, f.ask_multiplier_up, f.ask_multiplier_down
    if any(multipliers):
        names = ("bidMultiplierUp", "bidMultiplierDown", "askMultiplierUp", "askMultiplierDown")
        shown = (format_scaled(multiplier, MULTIPLIER_SCALE, MULTIPLIER_SCALE) for multiplier in multipliers)
        percent = {"filterType": "PERCENT_PRICE_BY_SIDE", **dict(zip(names, shown, strict=True))}
        filters.append(percent | {"avgPriceMins": f.average_minutes})
    if f.trailing_above_max or f.trailing_below_max:
        filters.append(
            {
                "filterType": "TRAILING_DELTA",
                "minTrailingAboveDelta": f.trailing_above_min,
                "maxTrailingAboveDelta": f.trailing_above_max,
                "minTrailingBelowDelta": f.trailing_below_min,
                "maxTrailingBelowDelta": f.trailing_below_max,
            }
        )
    return filters


def _book_ticker(call: Call, market: Market) -> dict[str, Any]:
    bid_price, bid_quantity = call.model.best(market.number, Side.BUY)
    ask_price, ask_quantity = call.model.best(market.number, Side.SELL)
    return {
        "symbol": market.symbol,
        "bidPrice": format_scaled(bid_price, market.price_scale),
        "bidQty": format_scaled(bid_quantity, market.quantity_scale),
        "askPrice": format_scaled(ask_price, market.price_scale),
        "askQty": format_scaled(ask_quantity, market.quantity_scale),
    }


def _rows(market: Market, levels: np.ndarray) -> list[list[str]]:
    return [
        [format_scaled(price, market.price_scale), format_scaled(quantity, market.quantity_scale)]
        for price, quantity in levels.tolist()
    ]


def limit_of(call: Call, default: int, limit_max: int) -> int:
    limit = int(call.arguments.get("limit", default))
    if limit == 0:
        raise Refusal(-1130, f"Data sent for parameter 'limit' is not valid. 1 to {limit_max} are allowed.")
    return min(limit, limit_max)
