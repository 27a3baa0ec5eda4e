"""Queries of past orders: the history store's, with what the read model knows better of those that changed since."""

from __future__ import annotations

from typing import Any, Final

from ringex.decimals import format_scaled
from ringex.gateways import replies
from ringex.gateways.calls import Call
from ringex.gateways.errors import Refusal, ids_disagree, no_such_order, timed_out
from ringex.gateways.lookups import Lookup, StoreBehind
from ringex.gateways.parameters import Kind, Parameter, shown_client_id
from ringex.gateways.queries import find_order, limit_of
from ringex.gateways.ranges import END_TIME, START_TIME, Span, day_of, span_of
from ringex.gateways.times import shown
from ringex.history.catalogue import Market
from ringex.history.readmodel import Order, order_of_record
from ringex.history.store.schema import AMENDMENTS, order_records
from ringex.history.store.store import ID_MAX, Progress, Row, Store

TIMED_OUT: Final = timed_out().code
LIMIT: Final = 500
LIMIT_MAX: Final = 1000
_SYMBOL: Final = Parameter("symbol", Kind.TEXT, required=True)
_LIMIT: Final = Parameter("limit", Kind.INTEGER)
ALL_ORDERS_PARAMETERS: Final = (_SYMBOL, Parameter("orderId", Kind.INTEGER), START_TIME, END_TIME, _LIMIT)
AMENDMENTS_PARAMETERS: Final = (
    _SYMBOL,
    Parameter("orderId", Kind.INTEGER, required=True),
    Parameter("fromExecutionId", Kind.INTEGER),
    _LIMIT,
)
NO_ALLOCATIONS_PARAMETERS: Final = (
    _SYMBOL,
    START_TIME,
    END_TIME,
    Parameter("fromAllocationId", Kind.INTEGER),
    Parameter("orderId", Kind.INTEGER),
    _LIMIT,
)


def all_orders(call: Call) -> Lookup:
    """The caller's orders in a market, of whatever status: from an id or a time on, or the last ones; oldest first."""
    market, account, span = call.market(), call.account, day_of(call)
    limit = limit_of(call, LIMIT, LIMIT_MAX)
    from_id = call.arguments.get("orderId", 0)
    onwards = "orderId" in call.arguments or span.starts
    forgotten_ns = call.model.forgotten_ns(account)

    def ask(store: Store) -> list[Row]:
        if forgotten_ns and store.progress().time_ns <= forgotten_ns:
            raise StoreBehind
        first = max(from_id, store.first_order_since(span.start_ns) if span.starts else 0)
        end = store.first_order_since(span.end_ns) if span.ends else ID_MAX
        if onwards:
            return store.orders_from(account, market.number, first, limit, end)
        return store.last_orders(account, market.number, limit, end)

    def reply(now: Call, progress: Progress, rows: list[Row]) -> list[dict[str, Any]]:
        found = merged(now, market, progress, rows)
        chosen = [order for order in found if order.order_id >= from_id and _lies_in(order.created_ns, span)]
        chosen = chosen[:limit] if onwards else chosen[-limit:]
        return [replies.status(market, replies.Order.held(order)) for order in chosen]

    return Lookup(ask, reply)


def merged(call: Call, market: Market, progress: Progress, rows: list[Row]) -> list[Order]:
    """Orders of the store and those of the read model that are open, or were closed since; the newest state; by id.

    Raises StoreBehind where an order may have been forgotten by the one and not have reached the other.
    """
    model, account = call.model, call.account
    if model.forgotten_ns(account) >= progress.time_ns > 0 or (model.has_forgotten(account) and not progress.time_ns):
        raise StoreBehind
    found = {order.order_id: order for order in map(order_of_record, order_records(rows))}
    store_is_ahead = progress.event_sequence >= model.sequence
    for order in model.orders_since(account, market.number, progress.time_ns):
        if not (store_is_ahead and order.order_id in found):
            found[order.order_id] = order
    return [found[order_id] for order_id in sorted(found)]


def order_status(call: Call, market: Market, order_id: int, client_order_id: str) -> Any:
    """One order: from memory, or, where memory has forgotten orders of the account, from the store."""
    try:
        return replies.status(market, find_order(call, market, order_id, client_order_id))
    except Refusal as refusal:
        if refusal.code != TIMED_OUT:
            raise
    account, forgotten_ns = call.account, call.model.forgotten_ns(call.account)

    def ask(store: Store) -> Row | None:
        if store.progress().time_ns <= forgotten_ns:
            raise StoreBehind
        return store.order(order_id) if order_id else store.order_of_client(account, client_order_id)

    def reply(now: Call, progress: Progress, row: Row | None) -> dict[str, Any]:
        try:
            return replies.status(market, find_order(now, market, order_id, client_order_id))
        except Refusal as refusal:
            if refusal.code != TIMED_OUT:
                raise
        if now.model.forgotten_ns(account) >= progress.time_ns:
            raise StoreBehind
        if row is None:
            raise no_such_order()
        order = order_of_record(order_records([row])[0])
        if order.account != account or order.market != market.number:
            raise no_such_order()
        if client_order_id and order.client_order_id != client_order_id:
            raise ids_disagree()
        return replies.status(market, replies.Order.held(order))

    return Lookup(ask, reply)


def amendments(call: Call) -> Lookup:
    """order.amendments: what became of an order's quantity and price, oldest first."""
    market, account = call.market(), call.account
    order_id, limit = call.arguments["orderId"], limit_of(call, LIMIT, LIMIT_MAX)
    from_id = call.arguments.get("fromExecutionId", 0)

    def ask(store: Store) -> list[Row]:
        return store.amendments(order_id, from_id, limit)

    def reply(now: Call, progress: Progress, rows: list[Row]) -> list[dict[str, Any]]:
        found = [dict(zip(AMENDMENTS.columns, row, strict=True)) for row in rows]
        return [
            {
                "symbol": market.symbol,
                "orderId": row["order_id"],
                "executionId": row["execution_id"],
                "origClientOrderId": _shown(row["original_client_order_id"], order_id),
                "newClientOrderId": _shown(row["client_order_id"], order_id),
                "origQty": format_scaled(int(row["quantity_before"]), market.quantity_scale),
                "newQty": format_scaled(int(row["quantity"]), market.quantity_scale),
                "newPrice": format_scaled(int(row["price"]), market.price_scale),
                "time": shown(int(row["time_ns"])),
            }
            for row in found
            if (row["account"], row["market"]) == (account, market.number)
        ]

    return Lookup(ask, reply, call.model.sequence)


def no_allocations(call: Call) -> list[Any]:
    """myAllocations: there is no smart order routing, so nothing is ever allocated by it."""
    call.market()
    span_of(call)
    return []


def _lies_in(time_ns: int, span: Span) -> bool:
    return span.start_ns <= time_ns < span.end_ns


def _shown(client_order_id: Any, order_id: int) -> str:
    return shown_client_id(str(client_order_id), order_id)
