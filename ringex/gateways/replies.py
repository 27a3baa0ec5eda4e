"""Replies to order commands: events of the matcher in the dialect's words and decimal strings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from ringex.decimals import format_scaled
from ringex.gateways.errors import Refusal, of_reason
from ringex.gateways.parameters import shown_client_id
from ringex.gateways.rows import Row
from ringex.history.catalogue import Market
from ringex.history.readmodel import Order as HeldOrder
from ringex.messages import (
    REASON_TEXT,
    CommandKind,
    EventKind,
    OrderStatus,
    OrderType,
    Reason,
    Side,
    TimeInForce,
)

SIDES: Final = {side.value: side.name for side in Side}
ORDER_TYPES: Final = {order_type.value: order_type.name for order_type in OrderType}
TIMES_IN_FORCE: Final = {time_in_force.value: time_in_force.name for time_in_force in TimeInForce} | {0: "GTC"}
STATUSES: Final = {status.value: status.name for status in OrderStatus}
NO_ORDER_LIST: Final = -1


def milliseconds(time_ns: int) -> int:
    return int(time_ns) // 1_000_000


@dataclass
class Order:
    """An order as its events have shown it; units of its market, times in ns."""

    order_id: int
    client_order_id: str
    side: int
    order_type: int
    time_in_force: int
    status: int
    price: int
    quantity: int
    quote_quantity: int
    executed_quantity: int
    executed_quote: int
    created_ns: int
    updated_ns: int
    working_ns: int = 0

    @classmethod
    def of(cls, event: Row, client_order_id: str | None = None) -> Order:
        """From an ACCEPTED, RESTED, AMENDED or CANCELED event; CANCELED carries the order's own id apart: pass it."""
        own = event["client_order_id"] if client_order_id is None else client_order_id
        order_id = event["order_id"]
        return cls(
            order_id=order_id,
            client_order_id=shown_client_id(own, order_id),
            side=event["side"],
            order_type=event["order_type"],
            time_in_force=event["time_in_force"],
            status=event["status"],
            price=event["price"],
            quantity=event["quantity"],
            quote_quantity=event["quote_quantity"],
            executed_quantity=event["executed_quantity"],
            executed_quote=event["executed_quote"],
            created_ns=event["created_ns"],
            updated_ns=event["time_ns"],
        )

    @classmethod
    def held(cls, order: HeldOrder) -> Order:
        """From the read model."""
        return cls(
            order_id=order.order_id,
            client_order_id=shown_client_id(order.client_order_id, order.order_id),
            side=order.side,
            order_type=order.order_type,
            time_in_force=order.time_in_force,
            status=order.status,
            price=order.price,
            quantity=order.quantity,
            quote_quantity=order.quote_quantity,
            executed_quantity=order.executed_quantity,
            executed_quote=order.executed_quote,
            created_ns=order.created_ns,
            updated_ns=order.updated_ns,
        )


def order_of(events: list[Row]) -> Order:
    """The order after its events, at least one, which begin with ACCEPTED or AMENDED. Trades between may be missing."""
    order = Order.of(events[0])
    if events[0]["kind"] == EventKind.ACCEPTED and order.order_type != OrderType.MARKET:
        order.working_ns = order.created_ns
    last = next(event for event in reversed(events) if event["order_id"] == order.order_id)
    taker = "taker_" if last["kind"] == EventKind.TRADE else ""
    order.status = last[f"{taker}status"]
    order.executed_quantity = last[f"{taker}executed_quantity"]
    order.executed_quote = last[f"{taker}executed_quote"]
    if order.executed_quantity:
        order.working_ns = order.working_ns or order.created_ns
    if order.order_type == OrderType.MARKET and order.quote_quantity:
        order.quantity = order.executed_quantity
    return order


def placed(market: Market, events: list[Row], response_type: str) -> dict[str, Any]:
    """order.place: the reply to PLACE's events, beginning with ACCEPTED. ACK, RESULT or FULL."""
    order = order_of(events)
    reply = {
        "symbol": market.symbol,
        "orderId": order.order_id,
        "orderListId": NO_ORDER_LIST,
        "clientOrderId": order.client_order_id,
        "transactTime": milliseconds(order.updated_ns),
    }
    if response_type == "ACK":
        return reply
    reply.update(_progress(market, order))
    if order.working_ns:
        reply["workingTime"] = milliseconds(order.working_ns)
    reply["selfTradePreventionMode"] = "NONE"
    if response_type == "FULL":
        reply["fills"] = fills(market, events)
    return reply


def fills(market: Market, events: list[Row]) -> list[dict[str, Any]]:
    """The taker's trades among `events`."""
    found = []
    for trade in events:
        if trade["kind"] != EventKind.TRADE:
            continue
        received = market.base if trade["side"] == Side.BUY else market.quote
        fill = {
            "price": format_scaled(trade["price"], market.price_scale),
            "qty": format_scaled(trade["quantity"], market.quantity_scale),
            "commission": format_scaled(trade["taker_fee"], received.scale),
            "commissionAsset": received.name,
            "tradeId": trade["trade_id"],
        }
        found.append(fill)
    return found


def canceled(market: Market, event: Row) -> dict[str, Any]:
    """order.cancel: the reply to one CANCELED event."""
    order = Order.of(event, event["original_client_order_id"])
    own_id = event["client_order_id"]
    return {
        "symbol": market.symbol,
        "origClientOrderId": order.client_order_id,
        "orderId": order.order_id,
        "orderListId": NO_ORDER_LIST,
        "clientOrderId": own_id or f"ringex-cancel-{event['execution_id']}",
        "transactTime": milliseconds(order.updated_ns),
        **_progress(market, order),
        "selfTradePreventionMode": "NONE",
    }


def amended(market: Market, events: list[Row]) -> dict[str, Any]:
    """order.amend, order.amend.keepPriority: the reply to AMENDED and what followed it (trades, RESTED)."""
    first = events[0]
    order = order_of(events)
    reply: dict[str, Any] = {
        "transactTime": milliseconds(order.updated_ns),
        "executionId": first["execution_id"],
        "amendedOrder": {
            "symbol": market.symbol,
            "orderId": order.order_id,
            "orderListId": NO_ORDER_LIST,
            "origClientOrderId": shown_client_id(first["original_client_order_id"], order.order_id),
            "clientOrderId": order.client_order_id,
            "price": format_scaled(order.price, market.price_scale),
            "qty": format_scaled(order.quantity, market.quantity_scale),
            "executedQty": format_scaled(order.executed_quantity, market.quantity_scale),
            "preventedQty": format_scaled(0, market.quantity_scale),
            "quoteOrderQty": format_scaled(order.quote_quantity, market.quote.scale),
            "cumulativeQuoteQty": format_scaled(order.executed_quote, market.quote.scale),
            "status": STATUSES[order.status],
            "timeInForce": TIMES_IN_FORCE[order.time_in_force],
            "type": ORDER_TYPES[order.order_type],
            "side": SIDES[order.side],
            "workingTime": milliseconds(order.created_ns),
            "selfTradePreventionMode": "NONE",
        },
    }
    traded = fills(market, events)
    if traded:
        reply["fills"] = traded
    return reply


def status(market: Market, order: Order) -> dict[str, Any]:
    """order.status and openOrders.status: one order."""
    return {
        "symbol": market.symbol,
        "orderId": order.order_id,
        "orderListId": NO_ORDER_LIST,
        "clientOrderId": order.client_order_id,
        **_progress(market, order),
        "stopPrice": format_scaled(0, 0),
        "icebergQty": format_scaled(0, 0),
        "time": milliseconds(order.created_ns),
        "updateTime": milliseconds(order.updated_ns),
        "isWorking": True,  # in the dialect it stays so when the order is closed; only an untriggered stop has False
        "workingTime": milliseconds(order.created_ns),
        "selfTradePreventionMode": "NONE",
    }


def cancel_replaced(market: Market, events: list[Row], response_type: str) -> dict[str, Any]:
    """order.cancelReplace: both legs' outcome. Raises Refusal -2021 or -2022 with both in `data`."""
    kinds = [event["command_kind"] for event in events]
    start = kinds.index(CommandKind.PLACE) if CommandKind.PLACE in kinds else len(events)
    cancel, place = events[:start], events[start:]
    canceled_well = bool(cancel) and cancel[0]["kind"] == EventKind.CANCELED
    cancel_response = canceled(market, cancel[0]) if canceled_well else _refused(market, cancel)
    if place and place[0]["kind"] == EventKind.ACCEPTED:
        new_result, new_response = "SUCCESS", placed(market, place, response_type)
    elif place and place[0]["reason"] != Reason.CANCEL_REJECTED:
        new_result, new_response = "FAILURE", _refused(market, place)
    else:
        new_result, new_response = "NOT_ATTEMPTED", None
    data = {
        "cancelResult": "SUCCESS" if canceled_well else "FAILURE",
        "newOrderResult": new_result,
        "cancelResponse": cancel_response,
        "newOrderResponse": new_response,
    }
    if canceled_well and new_result == "SUCCESS":
        return data
    if canceled_well or new_result == "SUCCESS":
        raise Refusal(*REASON_TEXT[Reason.NEW_ORDER_REJECTED], data=data, status=409)
    raise Refusal(*REASON_TEXT[Reason.CANCEL_REJECTED], data=data)


def refusal_of(market: Market | None, event: Row) -> Refusal:
    """A REJECTED or DUPLICATE event's reason as the error of a reply."""
    reason = event["reason"]
    if reason == Reason.CANCEL_REJECTED:
        return Refusal(*REASON_TEXT[Reason.CANCEL_REJECTED])
    return of_reason(reason, market, event["price"], event["quantity"], event["quote_quantity"])


def _refused(market: Market, events: list[Row]) -> dict[str, Any]:
    return refusal_of(market, events[0]).body() if events else Refusal(-2011, "Unknown order sent.").body()


def _progress(market: Market, order: Order) -> dict[str, Any]:
    return {
        "price": format_scaled(order.price, market.price_scale),
        "origQty": format_scaled(order.quantity, market.quantity_scale),
        "executedQty": format_scaled(order.executed_quantity, market.quantity_scale),
        "origQuoteOrderQty": format_scaled(order.quote_quantity, market.quote.scale),
        "cummulativeQuoteQty": format_scaled(order.executed_quote, market.quote.scale),
        "status": STATUSES[order.status],
        "timeInForce": TIMES_IN_FORCE[order.time_in_force],
        "type": ORDER_TYPES[order.order_type],
        "side": SIDES[order.side],
    }
