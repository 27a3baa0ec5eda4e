"""The methods of order lists. The orders of a list are made, and checked, as those of order.place are."""

from __future__ import annotations

import re
from typing import Any, Final

import numpy as np

from ringex.gateways import listreplies, replies
from ringex.gateways.calls import Call, Submission
from ringex.gateways.errors import Refusal, invalid, missing, not_required, one_of_two
from ringex.gateways.listreplies import LIST_PREFIX
from ringex.gateways.orders import RESPONSE_TYPE, SYMBOL, new_order
from ringex.gateways.parameters import Arguments, Kind, Parameter
from ringex.gateways.ranges import END_TIME, FROM_ID, START_TIME, span_of
from ringex.gateways.rows import Row
from ringex.history.catalogue import Market
from ringex.messages import commands, words_of
from ringex.reasons import Reason
from ringex.terms import CommandKind, EventKind, OrderType, PegPriceType, SelfTradePrevention, Side, TimeInForce

_STOP_LOSS_TYPES: Final = ("STOP_LOSS", "STOP_LOSS_LIMIT")
_PAIR_TYPES: Final = (*_STOP_LOSS_TYPES, "LIMIT_MAKER", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT")
_LIST_ID: Final = Parameter("listClientOrderId", Kind.CLIENT_ID)
_PREVENTION: Final = Parameter("selfTradePreventionMode", Kind.CHOICE, choices=tuple(SelfTradePrevention.__members__))
_WRONG_SIDE: Final = (-1117, "Invalid side.")
_WRONG_TYPE: Final = (-1116, "Invalid orderType.")
_WRONG_TIME: Final = (-1115, "Invalid timeInForce.")
_TIMES: Final = tuple(TimeInForce.__members__)


def _side(name: str) -> Parameter:
    return Parameter(name, Kind.CHOICE, True, tuple(Side.__members__), _WRONG_SIDE)


def _terms(prefix: str, types: tuple[str, ...], *, stops: bool = True) -> tuple[Parameter, ...]:
    """The parameters of one order of a list, which all have its prefix."""
    parameters = [
        Parameter(f"{prefix}Type", Kind.CHOICE, True, types, _WRONG_TYPE),
        Parameter(f"{prefix}ClientOrderId", Kind.CLIENT_ID),
        Parameter(f"{prefix}Price", Kind.DECIMAL),
        Parameter(f"{prefix}IcebergQty", Kind.DECIMAL),
        Parameter(f"{prefix}TimeInForce", Kind.CHOICE, False, _TIMES, _WRONG_TIME),
        Parameter(f"{prefix}GoodTillDate", Kind.INTEGER),
        Parameter(f"{prefix}PegPriceType", Kind.CHOICE, choices=tuple(PegPriceType.__members__)[1:]),
        Parameter(f"{prefix}PegOffsetType", Kind.CHOICE, choices=("PRICE_LEVEL",)),
        Parameter(f"{prefix}PegOffsetValue", Kind.INTEGER),
        Parameter(f"{prefix}StrategyId", Kind.INTEGER),
        Parameter(f"{prefix}StrategyType", Kind.INTEGER),
    ]
    if stops:
        parameters += [
            Parameter(f"{prefix}StopPrice", Kind.DECIMAL),
            Parameter(f"{prefix}TrailingDelta", Kind.INTEGER),
        ]
    return tuple(parameters)


_COMMON: Final = (SYMBOL, _LIST_ID, RESPONSE_TYPE, _PREVENTION)
_WORKING: Final = (
    _side("workingSide"),
    Parameter("workingQuantity", Kind.DECIMAL, True),
    *_terms("working", ("LIMIT", "LIMIT_MAKER"), stops=False),
)
_PENDING: Final = (_side("pendingSide"), Parameter("pendingQuantity", Kind.DECIMAL, True))
OCO_PARAMETERS: Final = (
    *_COMMON,
    _side("side"),
    Parameter("quantity", Kind.DECIMAL, True),
    *_terms("above", _PAIR_TYPES),
    *_terms("below", _PAIR_TYPES),
)
OTO_PARAMETERS: Final = (*_COMMON, *_WORKING, *_PENDING, *_terms("pending", tuple(OrderType.__members__)))
OTOCO_PARAMETERS: Final = (
    *_COMMON,
    *_WORKING,
    *_PENDING,
    *_terms("pendingAbove", _PAIR_TYPES),
    *_terms("pendingBelow", _PAIR_TYPES),
)
LEGACY_PARAMETERS: Final = (
    *_COMMON,
    _side("side"),
    Parameter("quantity", Kind.DECIMAL, True),
    Parameter("price", Kind.DECIMAL, True),
    Parameter("limitClientOrderId", Kind.CLIENT_ID),
    Parameter("limitIcebergQty", Kind.DECIMAL),
    Parameter("limitStrategyId", Kind.INTEGER),
    Parameter("limitStrategyType", Kind.INTEGER),
    Parameter("stopStrategyId", Kind.INTEGER),
    Parameter("stopStrategyType", Kind.INTEGER),
    Parameter("stopPrice", Kind.DECIMAL),
    Parameter("trailingDelta", Kind.INTEGER),
    Parameter("stopClientOrderId", Kind.CLIENT_ID),
    Parameter("stopLimitPrice", Kind.DECIMAL),
    Parameter("stopIcebergQty", Kind.DECIMAL),
    Parameter("stopLimitTimeInForce", Kind.CHOICE, False, _TIMES[:3], _WRONG_TIME),
)
CANCEL_PARAMETERS: Final = (
    SYMBOL,
    Parameter("orderListId", Kind.INTEGER),
    Parameter("listClientOrderId", Kind.ORDER_CLIENT_ID),
    Parameter("newClientOrderId", Kind.CLIENT_ID),
)
STATUS_PARAMETERS: Final = (
    Parameter("orderListId", Kind.INTEGER),
    Parameter("origClientOrderId", Kind.ORDER_CLIENT_ID),
)
ALL_PARAMETERS: Final = (FROM_ID, START_TIME, END_TIME, Parameter("limit", Kind.INTEGER))
LISTS_DEFAULT: Final = 500
LISTS_MAX: Final = 1000
NO_SUCH_LIST: Final = (-2013, "Order list does not exist.")


def place_oco(call: Call) -> Submission:
    market, arguments = call.market(), call.arguments
    shared = {"side": arguments["side"], "quantity": arguments["quantity"]}
    legs = [_leg(market, arguments, prefix, shared) for prefix in ("above", "below")]
    return _placing(call, market, CommandKind.OCO_PLACE, _stop_first(legs))


def place_oto(call: Call) -> Submission:
    market, arguments = call.market(), call.arguments
    return _placing(call, market, CommandKind.OTO_PLACE, [_working(market, arguments), _pending(market, arguments, "")])


def place_otoco(call: Call) -> Submission:
    market, arguments = call.market(), call.arguments
    pair = [_pending(market, arguments, place) for place in ("Above", "Below")]
    return _placing(call, market, CommandKind.OTOCO_PLACE, [_working(market, arguments), *_stop_first(pair)])


def place_legacy(call: Call) -> Submission:
    """The older form of an OCO: a LIMIT_MAKER, and a STOP_LOSS, or with stopLimitPrice a STOP_LOSS_LIMIT."""
    market, arguments = call.market(), call.arguments
    shared = {name: arguments[name] for name in ("side", "quantity", "selfTradePreventionMode") if name in arguments}
    has_limit = "stopLimitPrice" in arguments
    if has_limit and "stopLimitTimeInForce" not in arguments:
        raise missing("stopLimitTimeInForce", "It goes with stopLimitPrice.")
    for name in () if has_limit else ("stopLimitTimeInForce", "stopIcebergQty"):
        if name in arguments:
            raise not_required(name, "It goes with stopLimitPrice.")
    names = {
        "stopPrice": "stopPrice",
        "trailingDelta": "trailingDelta",
        "stopLimitPrice": "price",
        "stopLimitTimeInForce": "timeInForce",
        "stopIcebergQty": "icebergQty",
        "stopClientOrderId": "newClientOrderId",
        "stopStrategyId": "strategyId",
        "stopStrategyType": "strategyType",
    }
    stop = _renamed(market, arguments, names, shared | {"type": _STOP_LOSS_TYPES[has_limit]})
    names = {
        "price": "price",
        "limitIcebergQty": "icebergQty",
        "limitClientOrderId": "newClientOrderId",
        "limitStrategyId": "strategyId",
        "limitStrategyType": "strategyType",
    }
    limit = _renamed(market, arguments, names, shared | {"type": "LIMIT_MAKER"})
    return _placing(call, market, CommandKind.OCO_PLACE, [stop, limit])


def cancel(call: Call) -> Submission:
    market, arguments = call.market(), call.arguments
    order_list_id, own_id = _which(arguments, "listClientOrderId")
    record = commands()
    record["kind"] = CommandKind.LIST_CANCEL
    record["market"] = market.number
    record["order_id"] = order_list_id
    if own_id and not order_list_id:
        record["original_client_order_id"] = words_of(own_id)
    if "newClientOrderId" in arguments:
        record["client_order_id"] = words_of(arguments["newClientOrderId"])

    def reply(events: list[Row]) -> Any:
        if events[0]["kind"] != EventKind.CANCELED:
            raise replies.refusal_of(None, events[0])
        return listreplies.canceled(events, call.model)[0]

    return Submission(record, reply)


def list_status(call: Call) -> dict[str, Any]:
    order_list_id, own_id = _which(call.arguments, "origClientOrderId")
    held = call.model.order_lists
    found = held.with_id(order_list_id) if order_list_id else held.with_client_id(call.account, own_id)
    if found is None or found.account != call.account:
        raise Refusal(*NO_SUCH_LIST)
    return listreplies.status(call.model, found)


def open_lists(call: Call) -> list[dict[str, Any]]:
    return [listreplies.status(call.model, found) for found in call.model.order_lists.open_of(call.account)]


def all_lists(call: Call) -> list[dict[str, Any]]:
    """By id: from `fromId` on, or of a time, the last `limit`; of those that memory holds."""
    arguments = call.arguments
    limit = arguments.get("limit", LISTS_DEFAULT)
    if not 1 <= limit <= LISTS_MAX:
        raise invalid("limit", f"It must be from 1 to {LISTS_MAX}.")
    found = call.model.order_lists.of(call.account)
    span = span_of(call)
    if "fromId" in arguments:
        if span.starts or span.ends:
            raise not_required("fromId", "It goes without startTime and endTime.")
        found = [one for one in found if one.order_list_id >= arguments["fromId"]][:limit]
    else:
        found = [one for one in found if span.start_ns <= one.created_ns < span.end_ns]
        found = found[:limit] if span.starts else found[-limit:]
    return [listreplies.status(call.model, one) for one in found]


# ---- the records of a list -------------------------------------------------------------------------------------------


def _working(market: Market, arguments: Arguments) -> np.ndarray:
    shared = {"side": arguments["workingSide"], "quantity": arguments["workingQuantity"]}
    return _leg(market, arguments, "working", shared)


def _pending(market: Market, arguments: Arguments, place: str) -> np.ndarray:
    shared = {"side": arguments["pendingSide"], "quantity": arguments["pendingQuantity"]}
    return _leg(market, arguments, f"pending{place}", shared)


def _leg(market: Market, arguments: Arguments, prefix: str, shared: Arguments) -> np.ndarray:
    """The PLACE record of one order, whose parameters have that prefix."""
    if "selfTradePreventionMode" in arguments:
        shared = shared | {"selfTradePreventionMode": arguments["selfTradePreventionMode"]}
    names = {f"{prefix}{own}": _plain_name(own) for own in _OWN}
    return _renamed(market, arguments, names, shared)


_OWN: Final = (
    *("Type", "ClientOrderId", "Price", "IcebergQty", "TimeInForce", "GoodTillDate", "StopPrice", "TrailingDelta"),
    *("PegPriceType", "PegOffsetType", "PegOffsetValue", "StrategyId", "StrategyType"),
)
"""What orders of lists have behind their prefix."""


def _plain_name(own: str) -> str:
    """What order.place calls it."""
    return "newClientOrderId" if own == "ClientOrderId" else own[0].lower() + own[1:]


def _renamed(market: Market, arguments: Arguments, names: dict[str, str], shared: Arguments) -> np.ndarray:
    """A PLACE record of arguments under other names. What is refused is called as it was sent."""
    own = shared | {plain: arguments[name] for name, plain in names.items() if name in arguments}
    try:
        return new_order(market, own)
    except Refusal as refusal:
        message = refusal.message
        for name, plain in names.items():
            message = re.sub(rf"(?<=')\b{plain}(?=')|\b{plain}(?= [0-9])", name, message)
        raise Refusal(refusal.code, message, refusal.data, refusal.status) from refusal


def _stop_first(legs: list[np.ndarray]) -> list[np.ndarray]:
    """A pair as the dialect numbers it: what stops a loss before what takes a profit."""
    stops = (OrderType.STOP_LOSS, OrderType.STOP_LOSS_LIMIT)
    return sorted(legs, key=lambda leg: int(leg["order_type"][0]) not in stops)


def _placing(call: Call, market: Market, kind: CommandKind, legs: list[np.ndarray]) -> Submission:
    records = commands(1 + len(legs))
    for number, leg in enumerate(legs):
        records[number + 1 : number + 2] = leg
    records["kind"][0] = kind
    records["market"][0] = market.number
    records["slots"][0] = 1 + len(legs)
    if "listClientOrderId" in call.arguments:
        records["client_order_id"][0] = words_of(call.arguments["listClientOrderId"])
    response_type = str(call.arguments.get("newOrderRespType", "RESULT"))

    def reply(events: list[Row]) -> Any:
        first = events[0]
        if first["kind"] == EventKind.ORDER_LIST:
            return listreplies.placed(market, events, response_type, call.model)
        if first["kind"] == EventKind.DUPLICATE and first["reason"] == Reason.NONE:
            known = call.model.order_lists.with_id(first["order_id"])
            return (listreplies.status(call.model, known) if known else {"orderListId": first["order_id"]}) | {
                "duplicate": True
            }
        refusal = replies.refusal_of(market, first, call.model)
        if first["kind"] == EventKind.DUPLICATE:
            raise Refusal(refusal.code, refusal.message, {"duplicate": True}, refusal.status)
        raise refusal

    return Submission(records, reply)


def _which(arguments: Arguments, own_name: str) -> tuple[int, str]:
    """(the list's id or 0, its client order id). A derived id becomes the list id that it holds."""
    order_list_id, own_id = arguments.get("orderListId", 0), arguments.get(own_name, "")
    if not order_list_id and not own_id:
        raise one_of_two("orderListId", own_name)
    number = own_id.removeprefix(LIST_PREFIX)
    if not order_list_id and number != own_id and number.isdigit():
        return int(number), ""
    return order_list_id, own_id
