"""Queries of past trades: the history store's, and those in the read model that it has not got yet.

Trade ids of a market have no gaps, so the two fit together where the store's last trade, or a later one, is in memory.
"""

from __future__ import annotations

from typing import Any, Final

from ringex.decimals import format_scaled
from ringex.gateways import replies
from ringex.gateways.calls import Call
from ringex.gateways.lookups import Lookup, StoreBehind
from ringex.gateways.parameters import Kind, Parameter
from ringex.gateways.queries import limit_of
from ringex.gateways.ranges import END_TIME, FROM_ID, START_TIME, check_combination, day_of, span_of
from ringex.gateways.times import shown
from ringex.history.catalogue import Market
from ringex.history.intervals import HOUR_NS
from ringex.history.readmodel import ReadModel
from ringex.history.store.schema import TRADES
from ringex.history.store.store import ID_MAX, Progress, Row, Store
from ringex.terms import Side

LIMIT: Final = 500
LIMIT_MAX: Final = 1000
_SYMBOL: Final = Parameter("symbol", Kind.TEXT, required=True)
_LIMIT: Final = Parameter("limit", Kind.INTEGER)
HISTORICAL_PARAMETERS: Final = (_SYMBOL, FROM_ID, _LIMIT)
AGGREGATE_PARAMETERS: Final = (_SYMBOL, FROM_ID, START_TIME, END_TIME, _LIMIT)
MY_PARAMETERS: Final = (_SYMBOL, Parameter("orderId", Kind.INTEGER), START_TIME, END_TIME, FROM_ID, _LIMIT)
_MY_COMBINATIONS: Final = tuple(
    frozenset(names)
    for names in (
        (),
        ("orderId",),
        ("startTime",),
        ("endTime",),
        ("fromId",),
        ("startTime", "endTime"),
        ("orderId", "fromId"),
    )
)
_AGGREGATE_COMBINATIONS: Final = tuple(
    frozenset(names) for names in ((), ("fromId",), ("startTime",), ("endTime",), ("startTime", "endTime"))
)

Trade = dict[str, int]
"""By the names of the store's columns."""


def historical(call: Call) -> Lookup:
    """historicalTrades: a market's trades from an id on, or the last ones; oldest first."""
    market, limit = call.market(), limit_of(call, LIMIT, LIMIT_MAX)
    first = call.arguments.get("fromId")
    oldest = _oldest_live(call.model, market)

    def ask(store: Store) -> tuple[int, list[Row]]:
        last = _reaching(store, market, oldest)
        rows = store.last_trades(market.number, limit) if first is None else None
        return last, store.trades_from(market.number, first or 0, limit) if rows is None else rows

    def reply(now: Call, progress: Progress, answer: tuple[int, list[Row]]) -> list[dict[str, Any]]:
        last, rows = answer
        trades = _named(rows) + _live_after(now.model, market, last)
        if first is None:
            trades = trades[-limit:]
        else:
            trades = [trade for trade in trades if trade["trade_id"] >= first][:limit]
        return [_public(market, trade) for trade in trades]

    return Lookup(ask, reply)


def mine(call: Call) -> Lookup:
    """myTrades: those of a market that the caller had a part in; oldest first. A trade with oneself is there twice."""
    market, account, span = call.market(), call.account, day_of(call)
    check_combination(call, ("orderId", "startTime", "endTime", "fromId"), _MY_COMBINATIONS)
    limit = limit_of(call, LIMIT, LIMIT_MAX)
    arguments = call.arguments
    from_id, order_id = arguments.get("fromId", 0), arguments.get("orderId")
    onwards = span.starts or "fromId" in arguments or "orderId" in arguments
    oldest = _oldest_live(call.model, market)

    def ask(store: Store) -> tuple[int, list[Row]]:
        last = _reaching(store, market, oldest)
        if order_id is not None:
            return last, store.fills_of_order(order_id, from_id, limit)
        first = max(from_id, store.first_trade_since(market.number, span.start_ns) if span.starts else 0)
        end = store.first_trade_since(market.number, span.end_ns) if span.ends else ID_MAX
        pages = store.fills_from if onwards else store.last_fills
        return last, pages(account, market.number, first, end, limit)

    def reply(now: Call, progress: Progress, answer: tuple[int, list[Row]]) -> list[dict[str, Any]]:
        last, rows = answer
        found = []
        for trade in _named(rows) + _live_after(now.model, market, last):
            if trade["market"] != market.number or trade["trade_id"] < from_id:
                continue
            if not span.start_ns <= trade["time_ns"] < span.end_ns:
                continue
            for role in ("taker", "maker"):
                if trade[f"{role}_account"] == account and order_id in (None, trade[f"{role}_order_id"]):
                    found.append(_mine(now.model, market, trade, role))
        return found[:limit] if onwards else found[-limit:]

    return Lookup(ask, reply)


def aggregated(call: Call) -> Lookup:
    """aggTrades: a market's aggregate trades from an id or a time on, or the last ones; oldest first."""
    market, limit = call.market(), limit_of(call, LIMIT, LIMIT_MAX)
    check_combination(call, ("fromId", "startTime", "endTime"), _AGGREGATE_COMBINATIONS)
    span = span_of(call, HOUR_NS, "1 hour")
    from_id = call.arguments.get("fromId", 0)
    onwards = span.starts or "fromId" in call.arguments
    oldest = _oldest_live(call.model, market)

    def ask(store: Store) -> tuple[int, list[Row]]:
        last = _reaching(store, market, oldest)
        number = market.number
        first, end = from_id, ID_MAX
        if span.starts:
            first = store.aggregate_of(number, store.first_trade_since(number, span.start_ns))
        if span.ends:
            end = store.aggregate_of(number, store.first_trade_since(number, span.end_ns))
        if not onwards:
            first = max(min(end, store.last_aggregate_id(number) + 1) - limit, 0)
        return last, [row for row in store.aggregates(number, first, limit) if int(row[0]) < end]

    def reply(now: Call, progress: Progress, answer: tuple[int, list[Row]]) -> list[dict[str, Any]]:
        last, rows = answer
        found = {int(row[0]): [int(value) for value in row] for row in rows}
        reaches_end = not rows or int(rows[-1][2]) == last
        for trade in _live_after(now.model, market, last) if reaches_end else ():
            number = trade["aggregate_id"]
            if number in found:
                found[number][2] = trade["trade_id"]
                found[number][4] += trade["quantity"]
            else:
                names = ("trade_id", "trade_id", "price", "quantity", "time_ns", "side")
                found[number] = [number, *(trade[name] for name in names)]
        chosen = [row for row in found.values() if row[0] >= from_id and span.start_ns <= row[5] < span.end_ns]
        chosen = chosen[:limit] if onwards else chosen[-limit:]
        return [_aggregate(market, row) for row in chosen]

    return Lookup(ask, reply)


def _oldest_live(model: ReadModel, market: Market) -> int:
    """The id of the oldest of the market's trades in memory; ID_MAX where there is none."""
    held = model.recent_trade_records(market.number)
    return int(held["trade_id"][0]) if len(held) else ID_MAX


def _reaching(store: Store, market: Market, oldest_live: int) -> int:
    """The store's last trade of the market. Raises StoreBehind where memory does not go on from it."""
    last = store.last_trade_id(market.number)
    if oldest_live != ID_MAX and last + 1 < oldest_live:
        raise StoreBehind
    return last


def _live_after(model: ReadModel, market: Market, last: int) -> list[Trade]:
    """The market's trades in memory behind trade `last`. Raises StoreBehind where some between are not there."""
    held = model.recent_trade_records(market.number)
    if len(held) and int(held["trade_id"][0]) > last + 1:
        raise StoreBehind
    held = held[held["trade_id"] > last]
    sources = {"taker_order_id": "order_id"}
    names = [name for name in TRADES.columns if name not in ("sequence", "side")]
    columns = [held[sources.get(name, name)].tolist() for name in names]
    makers = held["buyer_is_maker"].tolist()
    trades = [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
    for trade, buyer_is_maker in zip(trades, makers, strict=True):
        trade["side"] = int(Side.SELL if buyer_is_maker else Side.BUY)
    return trades


def _named(rows: list[Row]) -> list[Trade]:
    return [dict(zip(TRADES.columns, map(int, row), strict=True)) for row in rows]


def _public(market: Market, trade: Trade) -> dict[str, Any]:
    return {
        "id": trade["trade_id"],
        "price": format_scaled(trade["price"], market.price_scale),
        "qty": format_scaled(trade["quantity"], market.quantity_scale),
        "quoteQty": format_scaled(trade["quote_amount"], market.quote.scale),
        "time": shown(trade["time_ns"]),
        "isBuyerMaker": trade["side"] == Side.SELL,
        "isBestMatch": True,
    }


def _mine(model: ReadModel, market: Market, trade: Trade, role: str) -> dict[str, Any]:
    paid_in = model.catalogue.fee_asset_of(market, trade, role)
    return {
        "symbol": market.symbol,
        "id": trade["trade_id"],
        "orderId": trade[f"{role}_order_id"],
        "orderListId": replies.NO_ORDER_LIST,
        "price": format_scaled(trade["price"], market.price_scale),
        "qty": format_scaled(trade["quantity"], market.quantity_scale),
        "quoteQty": format_scaled(trade["quote_amount"], market.quote.scale),
        "commission": format_scaled(trade[f"{role}_fee"], paid_in.scale),
        "commissionAsset": paid_in.name,
        "time": shown(trade["time_ns"]),
        "isBuyer": (trade["side"] == Side.BUY) == (role == "taker"),
        "isMaker": role == "maker",
        "isBestMatch": True,
    }


def _aggregate(market: Market, row: list[int]) -> dict[str, Any]:
    number, first, last, price, quantity, time_ns, side = row
    return {
        "a": number,
        "p": format_scaled(price, market.price_scale),
        "q": format_scaled(quantity, market.quantity_scale),
        "f": first,
        "l": last,
        "T": shown(time_ns),
        "m": side == Side.SELL,
        "M": True,
    }
