"""Order methods: parameters to COMMAND records, and the events that answer to a reply.

Filters (tick, lot, bounds, notional) are checked here before anything is sent, by the same pure function as in the
matcher; what `order.test` checks besides is in `ringex.gateways.trial`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from ringex.gateways import listreplies, pastorders, replies
from ringex.gateways.calls import Call, Submission
from ringex.gateways.errors import Refusal, ids_disagree, invalid, missing, not_required, of_reason, one_of_two
from ringex.gateways.filters import (
    filter_reason,
    iceberg_reason,
    stop_price_reason,
    trailing_delta_reason,
    trailing_deltas,
)
from ringex.gateways.parameters import (
    Arguments,
    Kind,
    Parameter,
    decimal,
    derived_order_id,
    price_of,
    quantity_of,
)
from ringex.gateways.queries import find_order
from ringex.gateways.rows import Row
from ringex.gateways.times import shown
from ringex.history.catalogue import Market
from ringex.messages import PLACE_COMMAND, STRATEGY_TYPE_MAX, STRATEGY_TYPE_MIN, commands, words_of
from ringex.reasons import Reason
from ringex.rules import DELTA_ONE, PEG_OFFSET_MAX, check_peg
from ringex.terms import (
    CommandFlag,
    CommandKind,
    EventKind,
    OrderType,
    PegPriceType,
    SelfTradePrevention,
    Side,
    TimeInForce,
)

Reply = Callable[[list[Row]], Any]

_GOOD_TILL_MAX_MS: Final = ((1 << 63) - 1) // 1_000_000
_MARKET_TYPES: Final = (OrderType.MARKET, OrderType.STOP_LOSS, OrderType.TAKE_PROFIT)
_STOP_TYPES: Final = (
    *(OrderType.STOP_LOSS, OrderType.STOP_LOSS_LIMIT),
    *(OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT),
)

SYMBOL: Final = Parameter("symbol", Kind.TEXT, required=True)
RESPONSE_TYPE: Final = Parameter("newOrderRespType", Kind.CHOICE, choices=("ACK", "RESULT", "FULL"))
_RESTRICTIONS: Final = Parameter(
    "cancelRestrictions",
    Kind.CHOICE,
    choices=("ONLY_NEW", "ONLY_PARTIALLY_FILLED"),
    refusal=(-1145, "Invalid cancelRestrictions"),
)
_NEW_ORDER: Final = (
    SYMBOL,
    Parameter("side", Kind.CHOICE, True, tuple(Side.__members__), (-1117, "Invalid side.")),
    Parameter("type", Kind.CHOICE, True, tuple(OrderType.__members__), (-1116, "Invalid orderType.")),
    Parameter("timeInForce", Kind.CHOICE, False, tuple(TimeInForce.__members__), (-1115, "Invalid timeInForce.")),
    Parameter("price", Kind.DECIMAL),
    Parameter("quantity", Kind.DECIMAL),
    Parameter("quoteOrderQty", Kind.DECIMAL),
    Parameter("goodTillDate", Kind.INTEGER),
    Parameter("stopPrice", Kind.DECIMAL),
    Parameter("trailingDelta", Kind.INTEGER),
    Parameter("icebergQty", Kind.DECIMAL),
    Parameter("pegPriceType", Kind.CHOICE, choices=tuple(PegPriceType.__members__)[1:]),
    Parameter("pegOffsetType", Kind.CHOICE, choices=("PRICE_LEVEL",)),
    Parameter("pegOffsetValue", Kind.INTEGER),
    Parameter("newClientOrderId", Kind.CLIENT_ID),
    Parameter("strategyId", Kind.INTEGER),
    Parameter("strategyType", Kind.INTEGER),
    RESPONSE_TYPE,
    Parameter("selfTradePreventionMode", Kind.CHOICE, choices=tuple(SelfTradePrevention.__members__)),
)
_WHICH_ORDER: Final = (
    SYMBOL,
    Parameter("orderId", Kind.INTEGER),
    Parameter("origClientOrderId", Kind.ORDER_CLIENT_ID),
)

PLACE_PARAMETERS: Final = _NEW_ORDER
TEST_PARAMETERS: Final = (*_NEW_ORDER, Parameter("computeCommissionRates", Kind.BOOLEAN))
STATUS_PARAMETERS: Final = _WHICH_ORDER
CANCEL_PARAMETERS: Final = (*_WHICH_ORDER, Parameter("newClientOrderId", Kind.CLIENT_ID), _RESTRICTIONS)
_SESSION_ONLY: Final = Parameter("sessionOnly", Kind.BOOLEAN)
CANCEL_ALL_PARAMETERS: Final = (SYMBOL, _SESSION_ONLY)
CANCEL_EVERYWHERE_PARAMETERS: Final = (_SESSION_ONLY,)
CANCEL_REPLACE_PARAMETERS: Final = (
    *_NEW_ORDER,
    Parameter("cancelReplaceMode", Kind.CHOICE, True, ("STOP_ON_FAILURE", "ALLOW_FAILURE")),
    Parameter("cancelOrderId", Kind.INTEGER),
    Parameter("cancelOrigClientOrderId", Kind.ORDER_CLIENT_ID),
    Parameter("cancelNewClientOrderId", Kind.CLIENT_ID),
    _RESTRICTIONS,
    Parameter("orderRateLimitExceededMode", Kind.CHOICE, choices=("DO_NOTHING", "CANCEL_ONLY")),
)
KEEP_PRIORITY_PARAMETERS: Final = (
    *_WHICH_ORDER,
    Parameter("newQty", Kind.DECIMAL, required=True),
    Parameter("newClientOrderId", Kind.CLIENT_ID),
)
AMEND_PARAMETERS: Final = (
    *_WHICH_ORDER,
    Parameter("price", Kind.DECIMAL),
    Parameter("quantity", Kind.DECIMAL),
    Parameter("newClientOrderId", Kind.CLIENT_ID),
)


def place(call: Call) -> Submission:
    market = call.market()
    return Submission(new_order(market, call.arguments), place_reply(call, market))


def place_reply(call: Call, market: Market) -> Reply:
    """How the events of an order.place become its result."""
    response_type = response_type_of(call.arguments)

    def reply(events: list[Row]) -> Any:
        kind = events[0]["kind"]
        if kind == EventKind.ACCEPTED:
            return replies.placed(market, events, response_type, call.model)
        if kind == EventKind.DUPLICATE:
            return _first_outcome(call, market, events[0], response_type)
        if events[0]["reason"] == Reason.INSUFFICIENT_BALANCE:
            raise replies.without_funds(market, events[0], call.model)
        raise replies.refusal_of(market, events[0], call.model)

    return reply


def cancel(call: Call) -> Submission:
    market = call.market()
    record = commands()
    record["kind"] = CommandKind.CANCEL
    _name_order(record, market, call.arguments, "orderId", "origClientOrderId")
    _set_text(record, "client_order_id", call.arguments.get("newClientOrderId"))
    record["flag_bits"] = _restriction(call.arguments)
    return Submission(record, cancel_reply(call, market))


def cancel_reply(call: Call, market: Market) -> Reply:
    """How the event of an order.cancel becomes its result."""

    def reply(events: list[Row]) -> Any:
        if events[0]["kind"] != EventKind.CANCELED:
            raise replies.refusal_of(None, events[0])
        return listreplies.canceled(events, call.model)[0]

    return reply


def cancel_all(call: Call) -> Submission:
    return _cancel_all(call, call.market().number)


def cancel_everywhere(call: Call) -> Submission:
    """Our own: the account's orders in every market."""
    return _cancel_all(call, -1)


def _cancel_all(call: Call, market: int) -> Submission:
    record = commands()
    record["kind"] = CommandKind.CANCEL_ALL
    record["market"] = market
    if call.arguments.get("sessionOnly"):
        record["flag_bits"] = CommandFlag.OF_SESSION

    def reply(events: list[Row]) -> Any:
        if events[0]["kind"] == EventKind.REJECTED:
            raise replies.refusal_of(None, events[0])
        return listreplies.canceled(events, call.model)

    return Submission(record, reply)


def cancel_replace(call: Call) -> Submission:
    """Both legs in one command. The same request sent again is answered like a repeated order.place: with the new
    order as it stands and `duplicate`, or with the reason why it was refused (-2022 if the cancel leg failed and it
    was not tried); what became of the cancel leg is not told a second time.
    """
    market, arguments = call.market(), call.arguments
    records = commands(2)
    leg, order = records[:1], records[1:]
    order[:] = new_order(market, arguments)
    leg["kind"] = CommandKind.CANCEL_REPLACE
    leg["slots"] = 2
    _name_order(leg, market, arguments, "cancelOrderId", "cancelOrigClientOrderId")
    _set_text(leg, "client_order_id", arguments.get("cancelNewClientOrderId"))
    allows_failure = arguments["cancelReplaceMode"] == "ALLOW_FAILURE"
    flag_bits = _restriction(arguments) | (CommandFlag.ALLOW_FAILURE if allows_failure else 0)
    if arguments.get("orderRateLimitExceededMode") == "CANCEL_ONLY":
        flag_bits |= CommandFlag.CANCEL_ONLY
    leg["flag_bits"] = flag_bits
    response_type = response_type_of(arguments)

    def reply(events: list[Row]) -> Any:
        if events[0]["kind"] == EventKind.DUPLICATE:
            return _first_outcome(call, market, events[0], response_type)
        return listreplies.cancel_replaced(market, events, response_type, call.model, stops=not allows_failure)

    return Submission(records, reply)


def amend(call: Call) -> Submission:
    """Our own: a new price and/or quantity, same order id. Priority is kept only for a mere reduction."""
    arguments = call.arguments
    if "price" not in arguments and "quantity" not in arguments:
        raise one_of_two("price", "quantity")
    return _amend(call, arguments.get("price"), arguments.get("quantity"), "quantity", 0)


def amend_keep_priority(call: Call) -> Submission:
    return _amend(call, None, call.arguments["newQty"], "newQty", CommandFlag.KEEP_PRIORITY)


def order_status(call: Call) -> Any:
    market = call.market()
    order_id, client_order_id = _which(call.arguments, "orderId", "origClientOrderId")
    return pastorders.order_status(call, market, order_id, client_order_id)


def new_order(market: Market, arguments: Arguments) -> np.ndarray:
    """A checked PLACE record, shape (1,). Raises Refusal for missing, needless or wrong parameters, and for filters."""
    order_type = OrderType[arguments["type"]]
    record = commands()
    record["kind"] = CommandKind.PLACE
    record["market"] = market.number
    record["side"] = Side[arguments["side"]]
    record["order_type"] = order_type
    record["time_in_force"] = TimeInForce.GTC
    if order_type in _MARKET_TYPES:
        _market_amount(record, market, arguments, order_type)
    else:
        _limit_amount(record, market, arguments, order_type)
    _good_till(record, arguments)
    _peg(record, arguments, order_type)
    _set_text(record, "client_order_id", arguments.get("newClientOrderId"))
    price, quantity, quote = (int(record[name][0]) for name in ("price", "quantity", "quote_quantity"))
    is_pegged = bool(record["peg_price_type"][0])
    reason = filter_reason(market, OrderType.STOP_LOSS if is_pegged else order_type, price, quantity, quote)
    if reason != Reason.NONE:
        raise of_reason(reason, market, price, quantity, quote)
    _stop_price(record, market, arguments, order_type)
    _iceberg(record, market, arguments, order_type)
    mode = SelfTradePrevention[arguments.get("selfTradePreventionMode", "NONE")]
    if mode == SelfTradePrevention.DECREMENT and quote:
        raise invalid("selfTradePreventionMode", "An order by quoteOrderQty has no quantity to decrement.")
    record["self_trade_prevention"] = mode
    _strategy(record, arguments)
    return record


def _strategy(record: np.ndarray, arguments: Arguments) -> None:
    """What the client counts the order to; 0 is nothing."""
    place = record.view(PLACE_COMMAND)
    if "strategyId" in arguments:
        place["strategy_id"] = arguments["strategyId"]
    if "strategyType" in arguments:
        strategy_type = arguments["strategyType"]
        if not STRATEGY_TYPE_MIN <= strategy_type <= STRATEGY_TYPE_MAX:
            raise invalid("strategyType", f"It must be from {STRATEGY_TYPE_MIN} to {STRATEGY_TYPE_MAX}.")
        place["strategy_type"] = strategy_type


def _stop_price(record: np.ndarray, market: Market, arguments: Arguments, order_type: OrderType) -> None:
    text = arguments.get("stopPrice")
    if order_type not in _STOP_TYPES:
        for name in ("stopPrice", "trailingDelta"):
            if name in arguments:
                raise not_required(name, f"A {order_type.name} order has none.")
        return
    delta = arguments.get("trailingDelta")
    if delta is not None:
        _trailing_delta(record, market, delta)
    if text is None:
        if delta is None:
            raise missing("stopPrice", f"A {order_type.name} order needs it, or trailingDelta.")
        return
    stop_price = price_of(market, text, "stopPrice")
    reason = stop_price_reason(market, order_type, stop_price)
    if reason != Reason.NONE:
        raise of_reason(reason, market, stop_price, parameter="stopPrice")
    record["stop_price"] = stop_price


def _trailing_delta(record: np.ndarray, market: Market, delta: int) -> None:
    if not 0 < delta < DELTA_ONE:
        raise invalid("trailingDelta", f"It must be from 1 to {DELTA_ONE - 1} basis points.")
    order_type, side = int(record["order_type"][0]), int(record["side"][0])
    if trailing_delta_reason(market, order_type, side, delta) != Reason.NONE:
        least, most = trailing_deltas(market, order_type, side)
        text = f"{of_reason(Reason.TRAILING_DELTA_RANGE).message}: trailingDelta {delta} is not from {least} to {most}."
        raise Refusal(-1013, text)
    record["trailing_delta"] = delta


def _good_till(record: np.ndarray, arguments: Arguments) -> None:
    good_till_ms = arguments.get("goodTillDate")
    if record["time_in_force"][0] != TimeInForce.GTD:
        if good_till_ms is not None:
            raise not_required("goodTillDate", "Only an order with timeInForce GTD has one.")
        return
    if good_till_ms is None:
        raise missing("goodTillDate", "An order with timeInForce GTD needs it: milliseconds since 1970.")
    if not 0 < good_till_ms <= _GOOD_TILL_MAX_MS:
        text = f"It must be a time to come, in milliseconds since 1970, up to {_GOOD_TILL_MAX_MS}."
        raise invalid("goodTillDate", text)
    record["good_till_ns"] = good_till_ms * 1_000_000


def _peg(record: np.ndarray, arguments: Arguments, order_type: OrderType) -> None:
    """Where the price comes from, if not from `price`: by the rule that the matcher has too."""
    if "pegPriceType" not in arguments:
        for name in ("pegOffsetType", "pegOffsetValue"):
            if name in arguments:
                raise not_required(name, "It goes with pegPriceType.")
        return
    peg = PegPriceType[arguments["pegPriceType"]]
    offset = arguments.get("pegOffsetValue", 0)
    if ("pegOffsetType" in arguments) != ("pegOffsetValue" in arguments):
        raise one_of_two("pegOffsetType with pegOffsetValue", "neither")
    if offset > PEG_OFFSET_MAX:
        raise invalid("pegOffsetValue", f"At most {PEG_OFFSET_MAX} price levels are allowed.")
    time_in_force = TimeInForce(int(record["time_in_force"][0]))
    if check_peg(int(order_type), int(time_in_force), 0, int(peg), offset) != Reason.NONE:
        words = "LIMIT, LIMIT_MAKER, STOP_LOSS_LIMIT and TAKE_PROFIT_LIMIT orders can be pegged"
        words += "; PRIMARY_PEG needs timeInForce GTC or GTD, LIMIT_MAKER takes PRIMARY_PEG only."
        raise invalid("pegPriceType", words)
    record["peg_price_type"] = peg
    record["peg_offset"] = offset


def _iceberg(record: np.ndarray, market: Market, arguments: Arguments, order_type: OrderType) -> None:
    text = arguments.get("icebergQty")
    if text is None:
        return
    time_in_force, quantity = int(record["time_in_force"][0]), int(record["quantity"][0])
    if order_type in _MARKET_TYPES or time_in_force not in (TimeInForce.GTC, TimeInForce.GTD):
        raise not_required("icebergQty", "Only orders with a price and timeInForce GTC or GTD can be icebergs.")
    iceberg_quantity = quantity_of(market, text, "icebergQty")
    if iceberg_quantity > quantity:
        raise Refusal(-2010, "IcebergQty exceeds QTY.")
    reason = iceberg_reason(market, order_type, time_in_force, quantity, iceberg_quantity)
    if reason != Reason.NONE:
        raise of_reason(reason, market, quantity=iceberg_quantity, parameter="icebergQty")
    record["iceberg_quantity"] = iceberg_quantity


def _limit_amount(record: np.ndarray, market: Market, arguments: Arguments, order_type: OrderType) -> None:
    if order_type == OrderType.LIMIT_MAKER:
        if arguments.get("timeInForce", "GTD") != "GTD":
            raise Refusal(-1114, "TimeInForce parameter sent when not required.")
        record["time_in_force"] = TimeInForce[arguments.get("timeInForce", "GTC")]
    else:
        if "timeInForce" not in arguments:
            raise missing(
                "timeInForce", f"A {order_type.name} order needs one of {', '.join(TimeInForce.__members__)}."
            )
        record["time_in_force"] = TimeInForce[arguments["timeInForce"]]
    is_pegged = "pegPriceType" in arguments
    if is_pegged and "price" in arguments:
        raise not_required("price", "A pegged order takes its price from the book.")
    for name in ("quantity",) if is_pegged else ("quantity", "price"):
        if name not in arguments:
            raise missing(name, f"A {order_type.name} order needs it.")
    if "quoteOrderQty" in arguments:
        raise not_required("quoteOrderQty", "Only a MARKET order takes it.")
    record["price"] = 0 if is_pegged else price_of(market, arguments["price"])
    record["quantity"] = quantity_of(market, arguments["quantity"])


def _market_amount(record: np.ndarray, market: Market, arguments: Arguments, order_type: OrderType) -> None:
    if "timeInForce" in arguments:
        raise Refusal(-1114, "TimeInForce parameter sent when not required.")
    if "price" in arguments:
        raise not_required("price", f"A {order_type.name} order has none.")
    if order_type != OrderType.MARKET:
        if "quantity" not in arguments:
            raise missing("quantity", f"A {order_type.name} order needs it.")
        if "quoteOrderQty" in arguments:
            raise not_required("quoteOrderQty", "Only a MARKET order takes it.")
    by_base, by_quote = arguments.get("quantity"), arguments.get("quoteOrderQty")
    if by_base is not None and by_quote is not None:
        raise not_required("quoteOrderQty", "Send either quantity or quoteOrderQty.")
    if by_base is not None:
        record["quantity"] = quantity_of(market, by_base)
    elif by_quote is not None:
        record["quote_quantity"] = decimal("quoteOrderQty", by_quote, market.quote.scale)
        if record["quote_quantity"][0] == 0:
            raise Refusal(-1013, "Invalid quantity.")
    else:
        raise one_of_two("quantity", "quoteOrderQty")


def _amend(call: Call, price: str | None, quantity: str | None, quantity_name: str, flags: int) -> Submission:
    market = call.market()
    record = commands()
    record["kind"] = CommandKind.AMEND
    _name_order(record, market, call.arguments, "orderId", "origClientOrderId")
    if price is not None:
        record["price"] = _positive(price_of(market, price), "price", Reason.PRICE_TOO_LOW, market)
    if quantity is not None:
        value = quantity_of(market, quantity, quantity_name)
        record["quantity"] = _positive(value, quantity_name, Reason.QUANTITY_TOO_LOW, market)
    _set_text(record, "client_order_id", call.arguments.get("newClientOrderId"))
    record["flag_bits"] = flags
    return Submission(record, amend_reply(call, market))


def amend_reply(call: Call, market: Market) -> Reply:
    """How the events of an order.amend become its result."""

    def reply(events: list[Row]) -> Any:
        if events[0]["kind"] != EventKind.AMENDED:
            raise replies.refusal_of(market, events[0])
        reply = replies.amended(market, events, call.model)
        order_list = call.model.order_lists.with_id(reply["amendedOrder"]["orderListId"])
        if order_list is not None:
            reply["listStatus"] = listreplies.amended(call.model, order_list)
        return reply

    return reply


REPLIES: Final[dict[str, Callable[[Call, Market], Reply]]] = {
    "order.place": place_reply,
    "order.cancel": cancel_reply,
    "order.amend.keepPriority": amend_reply,
}
"""Of the methods that the express way knows too (`ringex.gateways.express`)."""


def _positive(value: int, name: str, reason: Reason, market: Market) -> int:
    """0 would mean "keep" in the record, so it is refused here."""
    if value == 0:
        raise of_reason(reason, market)
    return value


def _first_outcome(call: Call, market: Market, event: Row, response_type: str) -> dict[str, Any]:
    """The reply to a request that was sent before: what became of the first one, marked `duplicate`."""
    if event["reason"] != Reason.NONE:
        refusal = replies.refusal_of(market, event, call.model)
        raise Refusal(refusal.code, refusal.message, {"duplicate": True}, refusal.status)
    order_id = event["order_id"]
    try:
        order = find_order(call, market, order_id, "")
    except Refusal:
        order = None
    reply = {
        "symbol": market.symbol,
        "orderId": order_id,
        "orderListId": order.order_list_id or replies.NO_ORDER_LIST if order else replies.NO_ORDER_LIST,
        "clientOrderId": call.arguments.get("newClientOrderId", ""),
        "transactTime": shown(order.created_ns if order else event["time_ns"]),
    }
    if order is not None and response_type != "ACK":
        reply = replies.status(market, order) | reply
    return reply | {"duplicate": True}


def _name_order(record: np.ndarray, market: Market, arguments: Arguments, id_name: str, client_id_name: str) -> None:
    order_id, client_order_id = _which(arguments, id_name, client_id_name)
    record["market"] = market.number
    record["order_id"] = order_id
    _set_text(record, "original_client_order_id", client_order_id)


def _which(arguments: Arguments, id_name: str, client_id_name: str) -> tuple[int, str]:
    """(order id or 0, client order id or ""), at least one of them set: where both are, both must fit the order.

    A derived id becomes the order id that it holds.
    """
    order_id = arguments.get(id_name, 0)
    client_order_id = arguments.get(client_id_name, "")
    if not order_id and not client_order_id:
        raise one_of_two(client_id_name, id_name)
    derived = derived_order_id(client_order_id)
    if derived and order_id and derived != order_id:
        raise ids_disagree()
    return (derived, "") if derived else (order_id, client_order_id)


def _restriction(arguments: Arguments) -> int:
    restrictions = arguments.get("cancelRestrictions")
    return CommandFlag[restrictions] if restrictions else 0


def response_type_of(arguments: Arguments) -> str:
    default = "FULL" if arguments["type"] in ("LIMIT", "MARKET") else "ACK"
    return str(arguments.get("newOrderRespType", default))


def _set_text(record: np.ndarray, field: str, text: str | None) -> None:
    if text:
        record[field] = words_of(text)
