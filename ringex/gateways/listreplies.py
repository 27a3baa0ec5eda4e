"""Replies about order lists, in the dialect's words."""

from __future__ import annotations

from typing import Any, Final

from ringex.gateways import replies
from ringex.gateways.errors import Refusal
from ringex.gateways.parameters import RESERVED_PREFIX, shown_client_id
from ringex.gateways.rows import Row
from ringex.gateways.times import shown
from ringex.history.catalogue import Market
from ringex.history.orderlists import OrderList
from ringex.history.readmodel import ReadModel
from ringex.reasons import REASON_TEXT, Reason
from ringex.terms import CommandKind, EventKind, ListKind, ListStatus

CONTINGENCIES: Final = {ListKind.OCO: "OCO", ListKind.OTO: "OTO", ListKind.OTOCO: "OTO"}
"""An OTOCO is an OTO of three orders."""
LIST_PREFIX: Final = f"{RESERVED_PREFIX}list-"


def shown_list_id(client_order_id: str, order_list_id: int) -> str:
    """The list's client order id that clients see: their own, or one derived from the list's id."""
    return client_order_id or f"{LIST_PREFIX}{order_list_id}"


def status(model: ReadModel, order_list: OrderList) -> dict[str, Any]:
    """orderList.status, openOrderLists.status, allOrderLists: one list."""
    market = model.catalogue.markets[order_list.market]
    return {
        "orderListId": order_list.order_list_id,
        "contingencyType": CONTINGENCIES[order_list.kind],
        "listStatusType": "EXEC_STARTED" if order_list.is_open else "ALL_DONE",
        "listOrderStatus": "EXECUTING" if order_list.is_open else "ALL_DONE",
        "listClientOrderId": shown_list_id(order_list.client_order_id, order_list.order_list_id),
        "transactionTime": shown(order_list.updated_ns),
        "symbol": market.symbol,
        "orders": orders_in(model, market, order_list.account, order_list.order_ids),
    }


def orders_in(model: ReadModel, market: Market, account: int, order_ids: tuple[int, ...]) -> list[dict[str, Any]]:
    """What a list says of its orders."""
    found = []
    for order_id in order_ids:
        held = model.order_by_id(account, order_id)
        own_id = shown_client_id(held.client_order_id if held else "", order_id)
        found.append({"symbol": market.symbol, "orderId": order_id, "clientOrderId": own_id})
    return found


def ids_of(event: Row) -> tuple[int, ...]:
    """The orders of an ORDER_LIST event's list."""
    return tuple(event[f"{place}_order_id"] for place in ("first", "second", "third") if event[f"{place}_order_id"])


def told(model: ReadModel, event: Row) -> dict[str, Any]:
    """What an ORDER_LIST event, which the model has applied, says of its list."""
    market = model.catalogue.markets[event["market"]]
    is_done = event["list_status"] == ListStatus.ALL_DONE
    return {
        "orderListId": event["order_list_id"],
        "contingencyType": CONTINGENCIES[ListKind(event["list_kind"])],
        "listStatusType": ListStatus(event["list_status"]).name,
        "listOrderStatus": "ALL_DONE" if is_done else "EXECUTING",
        "listClientOrderId": shown_list_id(event["client_order_id"], event["order_list_id"]),
        "transactionTime": shown(event["time_ns"]),
        "symbol": market.symbol,
        "orders": orders_in(model, market, event["account"], ids_of(event)),
    }


def placed(market: Market, events: list[Row], response_type: str, model: ReadModel) -> dict[str, Any]:
    """orderList.place.*: the list, and a report of each of its orders as order.place gives it."""
    last = [event for event in events if event["kind"] == EventKind.ORDER_LIST][-1]
    reports = []
    for order_id in ids_of(events[0]):
        own = [event for event in events if event.get("order_id") == order_id]
        report = replies.placed(market, own, response_type, model)
        if response_type != "ACK":
            report.setdefault("workingTime", -1)
        reports.append(report)
    return told(model, last) | {"orderReports": reports}


def canceled(events: list[Row], model: ReadModel) -> list[dict[str, Any]]:
    """What CANCELED events say, those of a list as one report of the list."""
    found: list[dict[str, Any]] = []
    singles: list[Row] = []
    for event in events:
        if event["kind"] == EventKind.CANCELED:
            singles.append(event)
        elif event["kind"] == EventKind.ORDER_LIST and event["list_status"] == ListStatus.ALL_DONE:
            ids = ids_of(event)
            own = [single for single in singles if single["order_id"] in ids]
            singles = [single for single in singles if single["order_id"] not in ids]
            found += _each(singles, model)
            found.append(told(model, event) | {"orderReports": _each(own, model)})
            singles = []
    return found + _each(singles, model)


def _each(events: list[Row], model: ReadModel) -> list[dict[str, Any]]:
    return [replies.canceled(model.catalogue.markets[event["market"]], event, model) for event in events]


def amended(model: ReadModel, order_list: OrderList) -> dict[str, Any]:
    """What an order's amendment says of its list."""
    names = ("orderListId", "contingencyType", "listOrderStatus", "listClientOrderId", "symbol", "orders")
    whole = status(model, order_list)
    return {name: whole[name] for name in names}


def cancel_replaced(
    market: Market, events: list[Row], response_type: str, model: ReadModel, *, stops: bool
) -> dict[str, Any]:
    """order.cancelReplace: both legs' outcome. Raises Refusal -2021 or -2022 with both in `data`; where neither leg was
    looked at, because the request as a whole was refused, with that reason. `stops`: STOP_ON_FAILURE.
    """
    kinds = [event["command_kind"] for event in events]
    start = kinds.index(CommandKind.PLACE) if CommandKind.PLACE in kinds else len(events)
    cancel, place = events[:start], events[start:]
    if not place or not cancel:
        raise replies.refusal_of(market, events[0], model)
    canceled_well = cancel[0]["kind"] == EventKind.CANCELED
    cancel_response = canceled(cancel, model)[0] if canceled_well else _refused(market, cancel, model)
    if place[0]["kind"] == EventKind.ACCEPTED:
        new_result, new_response = "SUCCESS", replies.placed(market, place, response_type, model)
    elif place[0]["reason"] != Reason.CANCEL_REJECTED:
        new_result, new_response = "FAILURE", _refused(market, place, model)
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
        exceeds = new_result == "FAILURE" and place[0]["reason"] in (Reason.ORDER_RATE_10S, Reason.ORDER_RATE_1D)
        raise Refusal(*REASON_TEXT[Reason.NEW_ORDER_REJECTED], data=data, status=429 if exceeds and stops else 409)
    raise Refusal(*REASON_TEXT[Reason.CANCEL_REJECTED], data=data)


def _refused(market: Market, events: list[Row], model: ReadModel) -> dict[str, Any]:
    return replies.refusal_of(market, events[0], model).body()
