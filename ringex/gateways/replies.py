"""Replies to order commands: events of the matcher in the dialect's words and decimal strings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from ringex.decimals import format_scaled
from ringex.gateways.errors import ORDER_LIMIT_REASONS, Refusal, of_order_limit, of_reason, quantity_worth
from ringex.gateways.parameters import shown_client_id
from ringex.gateways.rows import Row
from ringex.gateways.times import shown
from ringex.history.catalogue import Market
from ringex.history.prevented import PreventedMatch
from ringex.history.readmodel import Order as HeldOrder
from ringex.history.readmodel import ReadModel
from ringex.reasons import REASON_TEXT, Reason
from ringex.terms import (
    EventKind,
    OrderStatus,
    OrderType,
    PegPriceType,
    SelfTradePrevention,
    Side,
    TimeInForce,
)

SIDES: Final = {side.value: side.name for side in Side}
ORDER_TYPES: Final = {order_type.value: order_type.name for order_type in OrderType}
TIMES_IN_FORCE: Final = {time_in_force.value: time_in_force.name for time_in_force in TimeInForce} | {0: "GTC"}
STATUSES: Final = {status.value: status.name for status in OrderStatus}
PREVENTIONS: Final = {mode.value: mode.name for mode in SelfTradePrevention}
_STOP_TYPES: Final = (
    *(OrderType.STOP_LOSS, OrderType.STOP_LOSS_LIMIT),
    *(OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT),
)
NO_ORDER_LIST: Final = -1
NO_TRADE_GROUP: Final = -1


@dataclass
class Order:
    """An order as its events have shown it; units of its market, times in ns.

    `quantity` counts what self-trade prevention took off, as the read model does and the matcher's events do not.
    `working_ns` is 0 for a stop order that has not been triggered.
    """

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
    stop_price: int = 0
    iceberg_quantity: int = 0
    good_till_ns: int = 0
    trailing_delta: int = 0
    peg_price_type: int = 0
    peg_offset: int = 0
    strategy_id: int = 0
    strategy_type: int = 0
    self_trade_prevention: int = 0
    prevented_quantity: int = 0
    prevented_match_id: int = 0
    order_list_id: int = 0

    @classmethod
    def of(cls, event: Row, model: ReadModel, client_order_id: str | None = None) -> Order:
        """From an ACCEPTED, RESTED, AMENDED, CANCELED, TRIGGERED or REJECTED event, which the model has applied.

        CANCELED by a client carries the order's own client order id apart: pass it.
        """
        own = event["client_order_id"] if client_order_id is None else client_order_id
        order_id = event["order_id"]
        order = cls(
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
        if event["kind"] == EventKind.ACCEPTED:
            order._take_terms(event)
        elif order_id:
            order._take_held(event, model)
        return order

    def _take_terms(self, event: Row) -> None:
        self.stop_price = event["stop_price"]
        self.iceberg_quantity = event["iceberg_quantity"]
        self.good_till_ns = event["good_till_ns"]
        self.trailing_delta = event["trailing_delta"]
        self.peg_price_type = event["peg_price_type"]
        self.peg_offset = event["peg_offset"]
        self.strategy_id = event["strategy_id"]
        self.strategy_type = event["strategy_type"]
        self.self_trade_prevention = event["self_trade_prevention"]
        is_pending = self.status == OrderStatus.PENDING_NEW
        self.working_ns = 0 if self.order_type in _STOP_TYPES or is_pending else self.created_ns
        self.order_list_id = event["order_list_id"]

    def _take_held(self, event: Row, model: ReadModel) -> None:
        """What only the read model knows of the order, if it still holds it."""
        held = model.order_by_id(event["account"], self.order_id)
        if held is None:
            return
        self.stop_price = held.stop_price
        self.iceberg_quantity = held.iceberg_quantity
        self.good_till_ns = held.good_till_ns
        self.trailing_delta = held.trailing_delta
        self.peg_price_type = held.peg_price_type
        self.peg_offset = held.peg_offset
        self.strategy_id = held.strategy_id
        self.strategy_type = held.strategy_type
        self.self_trade_prevention = held.self_trade_prevention
        self.working_ns = held.working_ns
        self.order_list_id = held.order_list_id
        self.prevented_quantity = held.prevented_quantity
        self.prevented_match_id = held.prevented_match_id
        prevented = event["reason"] == Reason.PREVENTED
        self.quantity = held.quantity if prevented else self.quantity + held.prevented_quantity

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
            working_ns=order.working_ns,
            stop_price=order.stop_price,
            iceberg_quantity=order.iceberg_quantity,
            good_till_ns=order.good_till_ns,
            trailing_delta=order.trailing_delta,
            peg_price_type=order.peg_price_type,
            peg_offset=order.peg_offset,
            strategy_id=order.strategy_id,
            strategy_type=order.strategy_type,
            self_trade_prevention=order.self_trade_prevention,
            prevented_quantity=order.prevented_quantity,
            prevented_match_id=order.prevented_match_id,
            order_list_id=order.order_list_id,
        )


def order_of(events: list[Row], model: ReadModel) -> Order:
    """The order after its events, at least one, which begin with ACCEPTED or AMENDED. Trades between may be missing."""
    order = Order.of(events[0], model)
    own = [e for e in events if e.get("order_id") == order.order_id and e["kind"] != EventKind.PREVENTED]
    last = own[-1]
    taker = "taker_" if last["kind"] == EventKind.TRADE else ""
    order.status = last[f"{taker}status"]
    order.executed_quantity = last[f"{taker}executed_quantity"]
    order.executed_quote = last[f"{taker}executed_quote"]
    if order.order_type == OrderType.MARKET and order.quote_quantity:
        order.quantity = order.executed_quantity
    if len(own) < len(events):  # events of others among them: a prevention, perhaps, of which the model knows more
        held = model.order_by_id(events[0]["account"], order.order_id)
        if held is not None:
            order.prevented_quantity, order.prevented_match_id = held.prevented_quantity, held.prevented_match_id
    return order


def placed(market: Market, events: list[Row], response_type: str, model: ReadModel) -> dict[str, Any]:
    """order.place: the reply to PLACE's events, beginning with ACCEPTED. ACK, RESULT or FULL."""
    order = order_of(events, model)
    reply = {
        "symbol": market.symbol,
        "orderId": order.order_id,
        "orderListId": order.order_list_id or NO_ORDER_LIST,
        "clientOrderId": order.client_order_id,
        "transactTime": shown(order.updated_ns),
    }
    if response_type == "ACK":
        return reply
    reply.update(_progress(market, order))
    if order.working_ns:
        reply["workingTime"] = shown(order.working_ns)
    reply.update(_terms(market, order))
    if response_type == "FULL":
        reply["fills"] = fills(market, events, model)
        matches = prevented_matches(market, events, model)
        if matches:
            reply["preventedMatches"] = matches
    return reply


def fills(market: Market, events: list[Row], model: ReadModel) -> list[dict[str, Any]]:
    """The taker's trades among `events`."""
    found = []
    for trade in events:
        if trade["kind"] != EventKind.TRADE:
            continue
        paid_in = model.catalogue.fee_asset_of(market, trade, "taker")
        fill = {
            "price": format_scaled(trade["price"], market.price_scale),
            "qty": format_scaled(trade["quantity"], market.quantity_scale),
            "commission": format_scaled(trade["taker_fee"], paid_in.scale),
            "commissionAsset": paid_in.name,
            "tradeId": trade["trade_id"],
        }
        found.append(fill)
    return found


def prevented_matches(market: Market, events: list[Row], model: ReadModel) -> list[dict[str, Any]]:
    """The trades among `events` that self-trade prevention kept from happening."""
    found = []
    for event in events:
        if event["kind"] != EventKind.PREVENTED:
            continue
        match = model.prevented_match(market.number, event["prevented_match_id"])
        if match is None:  # one command prevented more than the model holds
            continue
        prevented = {
            "preventedMatchId": match.prevented_match_id,
            "makerSymbol": market.symbol,
            "makerOrderId": match.maker_order_id,
            "price": format_scaled(match.price, market.price_scale),
            **prevented_quantities(market, match),
        }
        found.append(prevented)
    return found


def prevented_quantities(market: Market, match: PreventedMatch) -> dict[str, str]:
    """What a prevented match took off the taker and off the maker: all that they had left, or by DECREMENT the same."""
    quantities = {}
    for role, left, unharmed in (
        ("taker", match.taker_left, SelfTradePrevention.EXPIRE_MAKER),
        ("maker", match.maker_left, SelfTradePrevention.EXPIRE_TAKER),
    ):
        if match.mode != unharmed:
            lost = match.quantity if match.mode == SelfTradePrevention.DECREMENT else left
            quantities[f"{role}PreventedQuantity"] = format_scaled(lost, market.quantity_scale)
    return quantities


def canceled(market: Market, event: Row, model: ReadModel) -> dict[str, Any]:
    """order.cancel: the reply to one CANCELED event."""
    order = Order.of(event, model, event["original_client_order_id"])
    own_id = event["client_order_id"]
    return {
        "symbol": market.symbol,
        "origClientOrderId": order.client_order_id,
        "orderId": order.order_id,
        "orderListId": order.order_list_id or NO_ORDER_LIST,
        "clientOrderId": own_id or f"ringex-cancel-{event['execution_id']}",
        "transactTime": shown(order.updated_ns),
        **_progress(market, order),
        **_terms(market, order),
    }


def amended(market: Market, events: list[Row], model: ReadModel) -> dict[str, Any]:
    """order.amend, order.amend.keepPriority: the reply to AMENDED and what followed it (trades, RESTED)."""
    first = events[0]
    order = order_of(events, model)
    reply: dict[str, Any] = {
        "transactTime": shown(order.updated_ns),
        "executionId": first["execution_id"],
        "amendedOrder": {
            "symbol": market.symbol,
            "orderId": order.order_id,
            "orderListId": order.order_list_id or NO_ORDER_LIST,
            "origClientOrderId": shown_client_id(first["original_client_order_id"], order.order_id),
            "clientOrderId": order.client_order_id,
            "price": format_scaled(order.price, market.price_scale),
            "qty": format_scaled(order.quantity, market.quantity_scale),
            "executedQty": format_scaled(order.executed_quantity, market.quantity_scale),
            "preventedQty": format_scaled(order.prevented_quantity, market.quantity_scale),
            "quoteOrderQty": format_scaled(order.quote_quantity, market.quote.scale),
            "cumulativeQuoteQty": format_scaled(order.executed_quote, market.quote.scale),
            "status": STATUSES[order.status],
            "timeInForce": TIMES_IN_FORCE[order.time_in_force],
            "type": ORDER_TYPES[order.order_type],
            "side": SIDES[order.side],
            "workingTime": shown(order.working_ns) if order.working_ns else -1,
            **_terms(market, order),
        },
    }
    traded = fills(market, events, model)
    if traded:
        reply["fills"] = traded
    return reply


def status(market: Market, order: Order) -> dict[str, Any]:
    """order.status and openOrders.status: one order."""
    return {
        "symbol": market.symbol,
        "orderId": order.order_id,
        "orderListId": order.order_list_id or NO_ORDER_LIST,
        "clientOrderId": order.client_order_id,
        **_progress(market, order),
        "stopPrice": format_scaled(order.stop_price, market.price_scale),
        "icebergQty": format_scaled(order.iceberg_quantity, market.quantity_scale),
        "time": shown(order.created_ns),
        "updateTime": shown(order.updated_ns),
        "isWorking": order.working_ns > 0,  # in the dialect it stays so when the order is closed
        "workingTime": shown(order.working_ns) if order.working_ns else -1,
        **_terms(market, order),
    }


def refusal_of(market: Market | None, event: Row, model: ReadModel | None = None) -> Refusal:
    """A REJECTED or DUPLICATE event's reason as the error of a reply; with a `model`, where it may be an order's."""
    reason = event["reason"]
    if model is not None and reason in ORDER_LIMIT_REASONS:
        return of_order_limit(reason, model.catalogue.order_limits_of(event["account"]))
    if reason == Reason.CANCEL_REJECTED:
        return Refusal(*REASON_TEXT[Reason.CANCEL_REJECTED])
    return of_reason(reason, market, event["price"], event["quantity"], event["quote_quantity"])


def without_funds(market: Market, event: Row, model: ReadModel) -> Refusal:
    """INSUFFICIENT_BALANCE of a new order. The dialect's message is literal, so `data` says what would pass.

    `free` is what the account has of the asset that the order would hold or pay with; `quantity`, for a limited price,
    the most that this pays for (no filter but the lot is looked at).
    """
    buys = event["side"] == Side.BUY
    asset = market.quote if buys else market.base
    free = next((own.free for own in model.balances(event["account"]) if own.asset == asset.number), 0)
    data = {"asset": asset.name, "free": format_scaled(free, asset.scale)}
    if not buys:
        quantity = free // 10 ** (asset.scale - market.quantity_scale)
        data["quantity"] = format_scaled(quantity - quantity % market.lot, market.quantity_scale)
    elif event["price"] > 0:
        quantity = quantity_worth(market, event["price"], free, round_up=False)
        data["quantity"] = format_scaled(quantity, market.quantity_scale)
    return Refusal(*REASON_TEXT[Reason.INSUFFICIENT_BALANCE], data=data)


def _terms(market: Market, order: Order) -> dict[str, Any]:
    """The fields that only some orders have, and the mode of self-trade prevention, which all have."""
    terms: dict[str, Any] = {}
    if order.stop_price:
        terms["stopPrice"] = format_scaled(order.stop_price, market.price_scale)
    if order.iceberg_quantity:
        terms["icebergQty"] = format_scaled(order.iceberg_quantity, market.quantity_scale)
    if order.good_till_ns:
        terms["goodTillDate"] = shown(order.good_till_ns)
    if order.trailing_delta:
        terms["trailingDelta"] = order.trailing_delta
    if order.peg_price_type:
        terms["pegPriceType"] = PegPriceType(order.peg_price_type).name
        if order.peg_offset:
            terms |= {"pegOffsetType": "PRICE_LEVEL", "pegOffsetValue": order.peg_offset}
        terms["peggedPrice"] = format_scaled(order.price, market.price_scale)
    if order.strategy_id:
        terms["strategyId"] = order.strategy_id
    if order.strategy_type:
        terms["strategyType"] = order.strategy_type
    terms["selfTradePreventionMode"] = PREVENTIONS[order.self_trade_prevention]
    if order.prevented_quantity:
        terms["preventedMatchId"] = order.prevented_match_id
        terms["preventedQuantity"] = format_scaled(order.prevented_quantity, market.quantity_scale)
    return terms


def _progress(market: Market, order: Order) -> dict[str, Any]:
    return {
        "price": format_scaled(0 if order.peg_price_type else order.price, market.price_scale),
        "origQty": format_scaled(order.quantity, market.quantity_scale),
        "executedQty": format_scaled(order.executed_quantity, market.quantity_scale),
        "origQuoteOrderQty": format_scaled(order.quote_quantity, market.quote.scale),
        "cummulativeQuoteQty": format_scaled(order.executed_quote, market.quote.scale),
        "status": STATUSES[order.status],
        "timeInForce": TIMES_IN_FORCE[order.time_in_force],
        "type": ORDER_TYPES[order.order_type],
        "side": SIDES[order.side],
    }
