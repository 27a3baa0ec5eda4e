"""Methods, parameters, orders and symbols of Pintu Pro in the words of the table of methods, and results back.

Nothing is decided here: what a method takes and refuses is the table's business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from ringex.decimals import format_scaled
from ringex.gateways.errors import Refusal, invalid, missing, not_required
from ringex.gateways.web.pintu.envelope import RECV_WINDOW_MS
from ringex.history.catalogue import Market
from ringex.history.readmodel import ReadModel

Params = Mapping[str, Any]
Data = Any
ROOT: Final = "/v1/"
"""What the paths of methods begin with."""
PAGE_SIZE: Final = 50
PAGE_SIZE_MAX: Final = 500
PAGED_MAX: Final = 1000
"""Rows of one span of time that pages can reach; narrower spans reach the others."""
_STATUSES: Final = {"NEW": "PLACED", "EXPIRED": "CANCELED", "EXPIRED_IN_MATCH": "CANCELED"}
_POST_ONLY: Final = "POST_ONLY"


@dataclass(frozen=True)
class Translated:
    """A call of the table, and how its result is told."""

    method: str
    params: dict[str, Any]
    tell: Callable[[Any], Data]
    tokens: int = 0
    """What it takes of its key's tokens."""


def translate(method: str, params: Params, model: ReadModel) -> Translated:
    """Raises Refusal: no such method, or a parameter that is missing or not known."""
    known = METHODS.get(method)
    if known is None:
        raise Refusal(-1020, f"This operation is not supported. Methods are: {', '.join(METHODS)}.", status=404)
    allowed = known.parameters
    unknown = ", ".join(sorted(name[:40] for name in params if name not in allowed))
    if unknown:
        raise Refusal(
            -1104, f"Not all sent parameters were read. Unknown: {unknown[:200]}. Known: {', '.join(allowed)}."
        )
    return replace(known.take(params, model), tokens=known.tokens)


def timed(params: dict[str, Any], timestamp: int) -> dict[str, Any]:
    """With the envelope's time, as the table reads it."""
    return params | {"timestamp": timestamp, "recvWindow": RECV_WINDOW_MS}


def symbol_of(market: Market) -> str:
    return f"{market.base.name}-{market.quote.name}"


def market_of(params: Params, model: ReadModel) -> Market:
    """The market that `symbol` names. Raises Refusal."""
    symbol = params.get("symbol")
    if not isinstance(symbol, str) or not symbol:
        raise missing("symbol", "It is written like BTC-IDR.")
    return market_named(symbol, model)


def market_named(symbol: str, model: ReadModel) -> Market:
    """Raises Refusal -1121."""
    base, _, quote = symbol.partition("-")
    for market in model.markets:
        if market.base.name == base and market.quote.name == quote:
            return market
    raise Refusal(-1121, "Invalid symbol. It is written like BTC-IDR.")


def _reference(params: Params, model: ReadModel) -> Translated:
    def tell(_: Any) -> Data:
        return {"symbols": [_rules(market) for market in model.markets]}

    return Translated("exchangeInfo", {}, tell)


def _rules(market: Market) -> dict[str, Any]:
    price, size = market.price_scale, market.quantity_scale
    return {
        "symbol": symbol_of(market),
        "base": market.base.name,
        "quote": market.quote.name,
        "status": market.status.name,
        "price_tick_size": format_scaled(market.tick, price),
        "size_tick_size": format_scaled(market.lot, size),
        "min_price": format_scaled(market.price_min, price),
        "max_price": format_scaled(market.price_max, price),
        "min_size": format_scaled(market.quantity_min, size),
        "max_size": format_scaled(market.quantity_max, size),
        "min_notional": format_scaled(market.notional_min, market.quote.scale),
    }


def _book(params: Params, model: ReadModel) -> Translated:
    market = market_of(params, model)
    depth = str(params.get("depth", 1))
    if depth not in ("1", "10"):
        raise invalid("depth", "1 or 10 levels are allowed.")

    def tell(result: Any) -> Data:
        return {"symbol": symbol_of(market), "bids": result["bids"], "asks": result["asks"]}

    return Translated("depth", {"symbol": market.symbol, "limit": int(depth)}, tell)


def _trades(params: Params, model: ReadModel) -> Translated:
    market = market_of(params, model)

    def tell(result: Any) -> Data:
        return {"trades": [public_trade(market, trade) for trade in reversed(result)]}

    return Translated("trades.recent", {"symbol": market.symbol, "limit": 100}, tell)


def public_trade(market: Market, trade: Params) -> dict[str, Any]:
    side = "SELL" if trade["isBuyerMaker"] else "BUY"
    found = {"symbol": symbol_of(market), "side": side, "price": trade["price"], "size": trade["qty"]}
    return found | {"timestamp": trade["time"]}


def _place(params: Params, model: ReadModel) -> Translated:
    market = market_of(params, model)
    sent = {theirs: _as_text(params, ours) for ours, theirs in _ORDER_NAMES.items() if params.get(ours) is not None}
    post_only = params.get("exec_inst")
    if post_only not in (None, "", _POST_ONLY):
        raise invalid("exec_inst", f"It must be {_POST_ONLY}, or not be sent.")
    if sent.get("type") == "LIMIT":
        if post_only:
            if sent.pop("timeInForce", "GTC") != "GTC":
                raise invalid("time_in_force", f"With {_POST_ONLY} it must be GTC.")
            sent["type"] = "LIMIT_MAKER"
        else:
            sent.setdefault("timeInForce", "GTC")
    elif post_only:
        raise not_required("exec_inst", "Only LIMIT orders take it.")
    sent |= {"symbol": market.symbol, "newOrderRespType": "ACK"}

    def tell(result: Any) -> Data:
        return {"order_id": str(result["orderId"]), "client_order_id": result["clientOrderId"]}

    return Translated("order.place", sent, tell)


def _cancel(params: Params, model: ReadModel) -> Translated:
    market = market_of(params, model)

    def tell(result: Any) -> Data:
        return {"order_id": str(result["orderId"]), "client_order_id": result["origClientOrderId"]}

    return Translated("order.cancel", {"symbol": market.symbol, **_which(params)}, tell)


def _cancel_all(params: Params, model: ReadModel) -> Translated:
    def tell(result: Any) -> Data:
        return {"canceled": [str(order["orderId"]) for order in result if "orderId" in order]}

    return Translated("openOrders.cancelAll", {"symbol": market_of(params, model).symbol}, tell)


def _account(params: Params, model: ReadModel) -> Translated:
    def tell(result: Any) -> Data:
        scales = {asset.name: asset.scale for asset in model.assets}
        return {"assets": assets(result["balances"], scales, ("asset", "free", "locked"))}

    return Translated("account.status", {"omitZeroBalances": True}, tell)


def assets(balances: list[Any], scales: Mapping[str, int], names: tuple[str, str, str]) -> dict[str, Any]:
    """Balances by the asset's name in small letters; `names` are those of asset, free and locked in a row."""
    asset, free, locked = names
    return {
        row[asset].lower(): {
            "balance": _sum(row[free], row[locked]),
            "available": row[free],
            "order": row[locked],
        }
        for row in balances
    }


def _sum(left: str, right: str) -> str:
    """Of two amounts of one asset, which have as many decimals."""
    scale = len(left.partition(".")[2])
    return format_scaled(int(left.replace(".", "")) + int(right.replace(".", "")), scale)


def _open_orders(params: Params, model: ReadModel) -> Translated:
    named = {"symbol": market_of(params, model).symbol} if params.get("symbol") else {}
    return Translated("openOrders.status", named, lambda rows: {"orders": [order(row, model) for row in rows]})


def _details(params: Params, model: ReadModel) -> Translated:
    sent = {"symbol": market_of(params, model).symbol, **_which(params)}
    return Translated("order.status", sent, lambda row: order(row, model))


def _order_history(params: Params, model: ReadModel) -> Translated:
    sent, page = _span(params, model)
    return Translated("allOrders", sent, lambda rows: page("orders", [order(row, model) for row in reversed(rows)]))


def _trade_history(params: Params, model: ReadModel) -> Translated:
    market = market_of(params, model)
    sent, page = _span(params, model)
    return Translated("myTrades", sent, lambda rows: page("trades", [_own(market, row) for row in reversed(rows)]))


def _own(market: Market, row: Params) -> dict[str, Any]:
    return {
        "trade_id": str(row["id"]),
        "order_id": str(row["orderId"]),
        "symbol": symbol_of(market),
        "side": "BUY" if row["isBuyer"] else "SELL",
        "price": row["price"],
        "traded_size": row["qty"],
        "fee": row["commission"],
        "fee_asset": row["commissionAsset"],
        "fee_type": "maker" if row["isMaker"] else "taker",
        "traded_at": row["time"],
    }


def _span(params: Params, model: ReadModel) -> tuple[dict[str, Any], Callable[[str, list[Any]], Data]]:
    """What a history asks of the table, and how its rows are dealt out to pages, the latest first."""
    sent: dict[str, Any] = {"symbol": market_of(params, model).symbol, "limit": PAGED_MAX}
    for ours, theirs in (("t_start", "startTime"), ("t_end", "endTime")):
        if params.get(ours) is not None:
            sent[theirs] = _whole(params, ours, 0, 10**15)
    number = _whole(params, "page", 0, PAGED_MAX)
    size = _whole(params, "page_size", PAGE_SIZE, PAGE_SIZE_MAX) or PAGE_SIZE
    if number * size >= PAGED_MAX:
        raise invalid("page", f"Pages reach {PAGED_MAX} rows; ask for a narrower span from t_start to t_end.")

    def deal(name: str, rows: list[Any]) -> Data:
        return {name: rows[number * size : (number + 1) * size], "page": number, "page_size": size}

    return sent, deal


def order(row: Params, model: ReadModel) -> dict[str, Any]:
    """An order of `order.status`."""
    market = model.market_named(row["symbol"])
    assert market is not None, "the table tells of markets that there are"
    return order_words(
        market,
        {
            "status": row["status"],
            "type": row["type"],
            "timeInForce": row["timeInForce"],
            "side": row["side"],
            "price": row["price"],
            "size": row["origQty"],
            "executed": row["executedQty"],
            "value": row["cummulativeQuoteQty"],
            "orderId": row["orderId"],
            "clientOrderId": row["clientOrderId"],
            "created": row["time"],
            "updated": row["updateTime"],
        },
    )


def order_words(market: Market, row: Params) -> dict[str, Any]:
    """An order in this envelope's words."""
    kind = row["type"]
    return {
        "status": _STATUSES.get(row["status"], row["status"]),
        "symbol": symbol_of(market),
        "type": "LIMIT" if kind == "LIMIT_MAKER" else kind,
        "time_in_force": "" if kind == "MARKET" else row["timeInForce"],
        "exec_inst": _POST_ONLY if kind == "LIMIT_MAKER" else "",
        "side": row["side"],
        "price": row["price"],
        "size": row["size"],
        "cum_price": _average(market, row["value"], row["executed"]),
        "cum_size": row["executed"],
        "cum_value": row["value"],
        "order_id": str(row["orderId"]),
        "client_order_id": row["clientOrderId"],
        "created_at": row["created"],
        "updated_at": row["updated"],
    }


def _average(market: Market, value: str, executed: str) -> str:
    """Price by quantity, rounded down to 8 decimals; of nothing zero."""
    quantity = int(executed.replace(".", ""))
    if quantity == 0:
        return format_scaled(0, 0)
    decimals = len(executed.partition(".")[2]) - len(value.partition(".")[2])
    amount = int(value.replace(".", "")) * 10 ** (8 + max(decimals, 0))
    return format_scaled(amount // (quantity * 10 ** max(-decimals, 0)), 8)


def _which(params: Params) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if params.get("order_id") is not None:
        found["orderId"] = _as_text(params, "order_id")
    if params.get("client_order_id") is not None:
        found["origClientOrderId"] = _as_text(params, "client_order_id")
    if not found:
        raise missing("order_id", "It, or client_order_id, says which order.")
    return found


def _as_text(params: Params, name: str) -> str:
    value = params[name]
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise missing(name, "It must be a string.")
    return str(value)


def _whole(params: Params, name: str, default: int, most: int) -> int:
    value = params.get(name, default)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 16:
        value = int(value)
    if type(value) is not int or not 0 <= value <= most:
        raise invalid(name, f"A whole number from 0 to {most} is allowed.")
    return value


_ORDER_NAMES: Final = {
    "side": "side",
    "type": "type",
    "time_in_force": "timeInForce",
    "price": "price",
    "size": "quantity",
    "notional": "quoteOrderQty",
    "client_order_id": "newClientOrderId",
}
_ONE_ORDER: Final = ("symbol", "order_id", "client_order_id")
_HISTORY: Final = ("symbol", "page", "page_size", "t_start", "t_end")


@dataclass(frozen=True)
class PintuMethod:
    """A method of the envelope. `of`: the table's; `tokens`: what it takes of the key's."""

    of: str
    take: Callable[[Params, ReadModel], Translated]
    parameters: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    tokens: int = 0


_SYMBOL: Final = ("symbol",)
METHODS: Final[Mapping[str, PintuMethod]] = {
    "public/get-symbols-reference": PintuMethod("exchangeInfo", _reference),
    "public/get-book": PintuMethod("depth", _book, ("symbol", "depth"), _SYMBOL),
    "public/get-trades": PintuMethod("trades.recent", _trades, _SYMBOL, _SYMBOL),
    "private/place-order": PintuMethod(
        "order.place", _place, ("symbol", "exec_inst", *_ORDER_NAMES), ("symbol", "side", "type"), tokens=1
    ),
    "private/cancel-order": PintuMethod("order.cancel", _cancel, _ONE_ORDER, _SYMBOL, tokens=1),
    "private/cancel-all-orders": PintuMethod("openOrders.cancelAll", _cancel_all, _SYMBOL, _SYMBOL, tokens=10),
    "private/get-account-information": PintuMethod("account.status", _account),
    "private/get-open-orders": PintuMethod("openOrders.status", _open_orders, _SYMBOL),
    "private/get-order-details": PintuMethod("order.status", _details, _ONE_ORDER, _SYMBOL),
    "private/get-order-history": PintuMethod("allOrders", _order_history, _HISTORY, _SYMBOL),
    "private/get-trade-history": PintuMethod("myTrades", _trade_history, _HISTORY, _SYMBOL),
}
