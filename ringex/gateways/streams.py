"""User data streams: an account's events as executionReport, outboundAccountPosition and balanceUpdate."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from ringex.decimals import format_scaled
from ringex.gateways import listreplies
from ringex.gateways.errors import notional
from ringex.gateways.parameters import shown_client_id
from ringex.gateways.replies import (
    NO_ORDER_LIST,
    ORDER_TYPES,
    PREVENTIONS,
    SIDES,
    STATUSES,
    TIMES_IN_FORCE,
    Order,
)
from ringex.gateways.rows import Row
from ringex.gateways.times import shown
from ringex.history.catalogue import Asset, Market
from ringex.history.readmodel import ReadModel
from ringex.messages import TRADE
from ringex.reasons import REASON_TEXT, Reason
from ringex.terms import (
    CommandKind,
    EventFlag,
    EventKind,
    OrderStatus,
    OrderType,
    PegPriceType,
    SelfTradePrevention,
    Side,
)

_EXECUTION_TYPES: Final = {
    EventKind.ACCEPTED: "NEW",
    EventKind.CANCELED: "CANCELED",
    EventKind.AMENDED: "REPLACED",
    EventKind.REJECTED: "REJECTED",
    EventKind.TRIGGERED: "NEW",  # once more: now it works
    EventKind.PLACED: "NEW",  # once more: it was pending
}
_REPORTED: Final = np.array(
    [
        kind in _EXECUTION_TYPES or kind in (EventKind.BALANCE, EventKind.ORDER_LIST)
        for kind in range(max(EventKind) + 1)
    ]
)


def concerned(events: np.ndarray, accounts: np.ndarray) -> np.ndarray:
    """Indices of the EVENT records that one of `accounts` (sorted i4, shape (k,)) gets a report of."""
    kinds = events["kind"]
    trades = kinds == EventKind.TRADE
    own = np.isin(events["account"], accounts) & (_REPORTED[kinds] | trades | (kinds == EventKind.RESTED))
    made = trades & np.isin(events.view(TRADE)["maker_account"], accounts)
    return np.flatnonzero(own | made)


def reports(model: ReadModel, event: Row, account: int) -> Iterator[dict[str, Any]]:
    """What the stream of `account` says of one event, which the model has applied."""
    kind = event["kind"]
    if kind == EventKind.BALANCE:
        yield from _balance_reports(model, event)
        return
    if kind == EventKind.ORDER_LIST:
        yield _list_report(listreplies.told(model, event), event, "NONE")
        return
    if kind == EventKind.REJECTED and event["command_kind"] in _LIST_KINDS:
        if 0 <= event["market"] < len(model.catalogue.markets):
            yield _list_report(_list_refused(model, event), event, str(REASON_TEXT[Reason(event["reason"])][0]))
        return
    if kind == EventKind.REJECTED:
        known = 0 <= event["market"] < len(model.catalogue.markets)
        if known and event["command_kind"] == CommandKind.PLACE and event["reason"] != Reason.CANCEL_REJECTED:
            yield _order_report(model, model.catalogue.markets[event["market"]], event)
        return
    market = model.catalogue.markets[event["market"]]
    if kind == EventKind.TRADE:
        yield from _trade_reports(model, market, event, account)
        return
    if kind != EventKind.RESTED:
        yield _order_report(model, market, event)
    if kind == EventKind.TRIGGERED:
        return  # it moves no balance
    asset = market.quote if event["side"] == Side.BUY else market.base
    yield _position(event, [(asset, event["free"], event["locked"])])


_LIST_KINDS: Final = {CommandKind.OCO_PLACE: "OCO", CommandKind.OTO_PLACE: "OTO", CommandKind.OTOCO_PLACE: "OTO"}


def _list_report(told: dict[str, Any], event: Row, reason: str) -> dict[str, Any]:
    """What a list has come to, as its event tells."""
    return {
        "e": "listStatus",
        "E": shown(event["time_ns"]),
        "s": told["symbol"],
        "g": told["orderListId"],
        "c": told["contingencyType"],
        "l": told["listStatusType"],
        "L": told["listOrderStatus"],
        "r": reason,
        "C": told["listClientOrderId"],
        "T": shown(event["time_ns"]),
        "O": [{"s": one["symbol"], "i": one["orderId"], "c": one["clientOrderId"]} for one in told["orders"]],
    }


def _list_refused(model: ReadModel, event: Row) -> dict[str, Any]:
    """Of a list that was refused as a whole there are no orders."""
    return {
        "symbol": model.catalogue.markets[event["market"]].symbol,
        "orderListId": -1,
        "contingencyType": _LIST_KINDS[CommandKind(event["command_kind"])],
        "listStatusType": "RESPONSE",
        "listOrderStatus": "REJECT",
        "listClientOrderId": event["client_order_id"],
        "orders": [],
    }


def terminated(now_ns: int) -> dict[str, Any]:
    """The last event of a stream that cannot go on without a gap."""
    return {"e": "eventStreamTerminated", "E": shown(now_ns)}


def _order_report(model: ReadModel, market: Market, event: Row) -> dict[str, Any]:
    kind = EventKind(event["kind"])
    order = Order.of(event, model)
    own_id, original_id = order.client_order_id, ""
    execution = _EXECUTION_TYPES[kind]
    prevented = event["reason"] == Reason.PREVENTED
    if prevented:
        execution = "TRADE_PREVENTION"
    elif kind == EventKind.CANCELED and event["status"] == OrderStatus.EXPIRED:
        execution = "EXPIRED"
    elif kind == EventKind.CANCELED:
        original_id = shown_client_id(event["original_client_order_id"], order.order_id)
        own_id = event["client_order_id"] or f"ringex-cancel-{event['execution_id']}"
    elif kind == EventKind.AMENDED:
        original_id = shown_client_id(event["original_client_order_id"], order.order_id)
    elif kind == EventKind.REJECTED:
        own_id = event["client_order_id"]
    if kind == EventKind.ACCEPTED:
        working = bool(event["flag_bits"] & EventFlag.WORKING)
    elif kind == EventKind.TRIGGERED:
        working = order.order_type not in (OrderType.STOP_LOSS, OrderType.TAKE_PROFIT)
    else:
        working = kind == EventKind.AMENDED and order.working_ns > 0
    report = _report(market, order, event, event["execution_id"], execution, working)
    if prevented:
        report.update(_prevention(model, market, order, event))
    report["c"], report["C"] = own_id, original_id
    if kind == EventKind.REJECTED:
        code = REASON_TEXT[Reason(event["reason"])][0]
        report["r"], report["i"], report["X"] = str(code), -1, "REJECTED"
    return report


def _prevention(model: ReadModel, market: Market, order: Order, event: Row) -> dict[str, Any]:
    """What a report says besides of the prevented match that took quantity off the order."""
    match = model.prevented_match(market.number, order.prevented_match_id)
    if match is None:  # it, or the order, was pushed out within one batch of events
        return {}
    by_decrement = match.mode == SelfTradePrevention.DECREMENT
    last = match.quantity if by_decrement else event["quantity"] - event["executed_quantity"]
    is_taker = match.taker_order_id == order.order_id
    value = notional(market, match.price, match.quantity)
    fields = {
        "v": match.prevented_match_id,
        "A": format_scaled(order.prevented_quantity, market.quantity_scale),
        "B": format_scaled(last, market.quantity_scale),
        "U": match.maker_order_id if is_taker else match.taker_order_id,
        "Cs": market.symbol,
        "pl": format_scaled(match.quantity, market.quantity_scale),
        "pL": format_scaled(match.price, market.price_scale),
        "pY": format_scaled(value, market.quote.scale),
    }
    trade_group = model.catalogue.accounts[event["account"]].trade_group
    return fields | {"u": trade_group} if trade_group else fields


def _trade_reports(model: ReadModel, market: Market, trade: Row, account: int) -> Iterator[dict[str, Any]]:
    for role in ("taker", "maker"):
        owner = trade["account"] if role == "taker" else trade["maker_account"]
        if owner != account:
            continue
        order_id = trade["order_id"] if role == "taker" else trade["maker_order_id"]
        held = model.order_by_id(account, order_id)
        if held is None:  # closed and pushed out within one batch of events: only its balances can be told
            yield _position(trade, _balances_after(model, market, trade, role))
            continue
        order = Order.held(held)
        order.status = trade[f"{role}_status"]
        order.executed_quantity = trade[f"{role}_executed_quantity"]
        order.executed_quote = trade[f"{role}_executed_quote"]
        paid_in = model.catalogue.fee_asset_of(market, trade, role)
        maker = role == "maker"
        execution_id = trade["execution_id"] + maker
        working = maker and order.status != OrderStatus.FILLED
        report = _report(market, order, trade, execution_id, "TRADE", working)
        report.update(
            {
                "l": format_scaled(trade["quantity"], market.quantity_scale),
                "L": format_scaled(trade["price"], market.price_scale),
                "Y": format_scaled(trade["quote_amount"], market.quote.scale),
                "n": format_scaled(trade[f"{role}_fee"], paid_in.scale),
                "N": paid_in.name,
                "t": trade["trade_id"],
                "m": maker,
            }
        )
        yield report
        yield _position(trade, _balances_after(model, market, trade, role))


def _balances_after(model: ReadModel, market: Market, trade: Row, role: str) -> list[tuple[Asset, int, int]]:
    """Base and quote as the trade shows them; a third asset that the fee was paid in as it is now."""
    base = (market.base, trade[f"{role}_base_free"], trade[f"{role}_base_locked"])
    quote = (market.quote, trade[f"{role}_quote_free"], trade[f"{role}_quote_locked"])
    paid_in = model.catalogue.fee_asset_of(market, trade, role)
    if paid_in in (market.base, market.quote):
        return [base, quote]
    account = trade["account"] if role == "taker" else trade["maker_account"]
    others = [held for held in model.balances(account) if held.asset == paid_in.number]
    return [base, quote, *((paid_in, held.free, held.locked) for held in others)]


def _balance_reports(model: ReadModel, event: Row) -> Iterator[dict[str, Any]]:
    asset = model.catalogue.assets[event["market"]]
    yield _position(event, [(asset, event["free"], event["locked"])])
    time_ms = shown(event["time_ns"])
    amount = format_scaled(event["amount"], asset.scale)
    if event["amount"]:
        yield {"e": "balanceUpdate", "E": time_ms, "a": asset.name, "d": amount, "T": time_ms}


def _position(event: Row, balances: list[tuple[Asset, int, int]]) -> dict[str, Any]:
    rows = [
        {"a": asset.name, "f": format_scaled(free, asset.scale), "l": format_scaled(locked, asset.scale)}
        for asset, free, locked in balances
    ]
    time_ms = shown(event["time_ns"])
    return {"e": "outboundAccountPosition", "E": time_ms, "u": time_ms, "B": rows}


def _report(
    market: Market, order: Order, event: Row, execution_id: int, execution: str, working: bool
) -> dict[str, Any]:
    time_ms = shown(event["time_ns"])
    none = format_scaled(0, 0)
    report = {
        "e": "executionReport",
        "E": time_ms,
        "s": market.symbol,
        "c": order.client_order_id,
        "S": SIDES[order.side],
        "o": ORDER_TYPES[order.order_type],
        "f": TIMES_IN_FORCE[order.time_in_force],
        "q": format_scaled(order.quantity, market.quantity_scale),
        "p": format_scaled(order.price, market.price_scale),
        "P": format_scaled(order.stop_price, market.price_scale),
        "F": format_scaled(order.iceberg_quantity, market.quantity_scale),
        "g": order.order_list_id or NO_ORDER_LIST,
        "C": "",
        "x": execution,
        "X": STATUSES[order.status],
        "r": "NONE",
        "i": order.order_id,
        "l": none,
        "z": format_scaled(order.executed_quantity, market.quantity_scale),
        "L": none,
        "n": "0",
        "N": None,
        "T": time_ms,
        "t": -1,
        "I": execution_id,
        "w": working,
        "m": False,
        "M": False,
        "O": shown(order.created_ns),
        "Z": format_scaled(order.executed_quote, market.quote.scale),
        "Y": none,
        "Q": format_scaled(order.quote_quantity, market.quote.scale),
        "V": PREVENTIONS[order.self_trade_prevention],
    }
    if order.trailing_delta:
        report["d"] = order.trailing_delta
    if order.good_till_ns:
        report["gtd"] = shown(order.good_till_ns)
    if order.peg_price_type:
        report |= {"gP": PegPriceType(order.peg_price_type).name, "gp": format_scaled(order.price, market.price_scale)}
        if order.peg_offset:
            report |= {"gOT": "PRICE_LEVEL", "gOV": order.peg_offset}
    if order.strategy_id:
        report["j"] = order.strategy_id
    if order.strategy_type:
        report["J"] = order.strategy_type
    if working:
        report["W"] = shown(order.working_ns)
    return report
