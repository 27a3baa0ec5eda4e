"""The table of methods: what each takes, what it makes of it, and what it refuses with which words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gateway_exchange import LIMITS

from ringex.gateways.calls import Call, Submission
from ringex.gateways.errors import Refusal, of_reason
from ringex.gateways.methods import METHODS
from ringex.gateways.parameters import decode, derived_order_id
from ringex.gateways.session import Connection
from ringex.history.catalogue import Asset, Market
from ringex.history.readmodel import ReadModel
from ringex.messages import ACCOUNT_EVENT, ASSET_EVENT, MARKET_EVENT, text_of
from ringex.reasons import Reason
from ringex.terms import (
    AccountStatus,
    CommandFlag,
    CommandKind,
    EventKind,
    MarketStatus,
    OrderType,
    SelfTradePrevention,
    Side,
    TimeInForce,
)

BTC, USDT = Asset(0, "BTC", 8), Asset(1, "USDT", 8)
RULES = {
    "price_scale": 2,
    "quantity_scale": 5,
    "tick": 1,
    "lot": 1,
    "price_min": 1,
    "price_max": 100_000_000,
    "quantity_min": 1,
    "quantity_max": 900_000_000,
    "notional_min": 500_000_000,
    "notional_max": 10**17,
    "maker_fee": 100_000,
    "taker_fee": 100_000,
    "orders_per_account_max": 200,
    "status": MarketStatus.TRADING,
}
MARKET = Market(number=0, symbol="BTCUSDT", base=BTC, quote=USDT, **RULES)
LIMIT = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "price": "20000", "quantity": "1"}


@pytest.fixture(scope="module")
def model() -> ReadModel:
    assets = np.zeros(2, ASSET_EVENT)
    assets["kind"], assets["sequence"], assets["market"] = EventKind.ASSET, (1, 2), (0, 1)
    assets["name"], assets["scale"] = ("BTC", "USDT"), 8
    market = np.zeros(1, MARKET_EVENT)
    market["kind"], market["sequence"], market["symbol"] = EventKind.MARKET, 3, "BTCUSDT"
    market["quote_asset"] = 1
    for name, value in RULES.items():
        market[name] = value
    active = account(AccountStatus.ACTIVE)
    active["sequence"] = 4
    made = ReadModel(LIMITS)
    for records in (assets, market, active):
        made.apply(_events(records))
    return made


def account(status: AccountStatus) -> np.ndarray:
    record = np.zeros(1, ACCOUNT_EVENT)
    record["kind"], record["account"], record["name"], record["status"] = EventKind.ACCOUNT, 1, "one", status
    return record


def _events(records: np.ndarray) -> np.ndarray:
    from ringex.messages import EVENT

    return records.view(EVENT)


def call(model: ReadModel, method: str, params: dict[str, Any]) -> Any:
    found = METHODS[method]
    arguments = decode(found.declared, found.needed, params)
    return found.handler(Call(arguments, model, Connection(1, b"\0peer", 0), 0, account=1))


def record_of(model: ReadModel, method: str, params: dict[str, Any]) -> np.ndarray:
    submission = call(model, method, params)
    assert isinstance(submission, Submission)
    return submission.records


def refusal_of(model: ReadModel, method: str, params: dict[str, Any]) -> Refusal:
    with pytest.raises(Refusal) as refused:
        call(model, method, params)
    return refused.value


def test_a_limit_order_becomes_a_place_record(model: ReadModel) -> None:
    record = record_of(model, "order.place", LIMIT | {"newClientOrderId": "mine-1", "timeInForce": "IOC"})[0]
    assert (record["kind"], record["side"], record["order_type"]) == (CommandKind.PLACE, Side.BUY, OrderType.LIMIT)
    assert (record["price"], record["quantity"], record["time_in_force"]) == (2_000_000, 100_000, TimeInForce.IOC)
    assert text_of(record["client_order_id"]) == "mine-1"


def test_stop_orders_and_icebergs_become_place_records(model: ReadModel) -> None:
    terms = {"type": "STOP_LOSS_LIMIT", "stopPrice": "21000", "icebergQty": "0.25"}
    record = record_of(model, "order.place", LIMIT | terms | {"selfTradePreventionMode": "EXPIRE_BOTH"})[0]
    assert (record["order_type"], record["stop_price"]) == (OrderType.STOP_LOSS_LIMIT, 2_100_000)
    assert (record["price"], record["quantity"], record["iceberg_quantity"]) == (2_000_000, 100_000, 25_000)
    assert record["self_trade_prevention"] == SelfTradePrevention.EXPIRE_BOTH
    by_market = {"symbol": "BTCUSDT", "side": "SELL", "type": "TAKE_PROFIT", "quantity": "1", "stopPrice": "1"}
    record = record_of(model, "order.place", by_market)[0]
    assert (record["order_type"], record["price"], record["stop_price"]) == (OrderType.TAKE_PROFIT, 0, 100)
    assert (record["time_in_force"], record["quantity"]) == (TimeInForce.GTC, 100_000)


def test_an_order_is_tested_against_blocks_and_halts(model: ReadModel) -> None:
    assert call(model, "order.test", LIMIT) == {}
    model.catalogue.apply(_events(account(AccountStatus.BLOCKED)))
    assert refusal_of(model, "order.test", LIMIT).message == "This action is disabled on this account."
    model.catalogue.apply(_events(account(AccountStatus.ACTIVE)))


def test_which_prevented_matches_must_be_said(model: ReadModel) -> None:
    nothing = refusal_of(model, "myPreventedMatches", {"symbol": "BTCUSDT"})
    assert (nothing.code, "'preventedMatchId' or 'orderId'" in nothing.message) == (-1102, True)
    both = {"symbol": "BTCUSDT", "orderId": 1, "preventedMatchId": 1}
    assert refusal_of(model, "myPreventedMatches", both).code == -1128
    assert call(model, "myPreventedMatches", {"symbol": "BTCUSDT", "orderId": 1}) == []


def test_the_other_order_methods_make_their_records(model: ReadModel) -> None:
    by_quote = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quoteOrderQty": "10.5"}
    assert record_of(model, "order.place", by_quote)["quote_quantity"][0] == 1_050_000_000
    which = {"symbol": "BTCUSDT", "origClientOrderId": "ringex-42"}
    cancel = record_of(model, "order.cancel", which | {"cancelRestrictions": "ONLY_NEW"})[0]
    assert (cancel["order_id"], cancel["flag_bits"]) == (42, CommandFlag.ONLY_NEW)
    assert text_of(cancel["original_client_order_id"]) == ""
    amend = record_of(model, "order.amend", which | {"price": "5"})[0]
    assert (amend["kind"], amend["price"], amend["quantity"], amend["flag_bits"]) == (CommandKind.AMEND, 500, 0, 0)
    keep = record_of(model, "order.amend.keepPriority", which | {"newQty": "2"})[0]
    assert (keep["quantity"], keep["flag_bits"]) == (200_000, CommandFlag.KEEP_PRIORITY)
    replace = {"cancelReplaceMode": "ALLOW_FAILURE", "cancelOrigClientOrderId": "old"}
    leg, place = record_of(model, "order.cancelReplace", LIMIT | replace)
    assert (leg["kind"], leg["slots"], leg["flag_bits"]) == (
        CommandKind.CANCEL_REPLACE,
        2,
        CommandFlag.ALLOW_FAILURE,
    )
    assert (place["kind"], place["slots"], place["price"]) == (CommandKind.PLACE, 1, 2_000_000)
    assert record_of(model, "openOrders.cancelAll", {"symbol": "BTCUSDT"})["kind"][0] == CommandKind.CANCEL_ALL


@pytest.mark.parametrize(
    ("change", "code", "text"),
    [
        ({"price": 20000.0}, -1102, 'It must be sent as a string such as "0.001", not as a float'),
        ({"quantity": 1}, -1102, "not as a number"),
        ({"price": "2e4"}, -1100, "Illegal characters found in parameter 'price'"),
        ({"price": "-1"}, -1100, "legal range is"),
        ({"price": "1.123456789"}, -1111, "Parameter 'price' has too much precision."),
        ({"quantity": "9" * 30}, -1108, "Parameter 'quantity' overflowed."),
        ({"price": ""}, -1105, "Parameter 'price' was empty."),
        ({"symbol": ""}, -1102, "Mandatory parameter 'symbol' was not sent"),
        ({"symbol": None}, -1102, "Mandatory parameter 'symbol' was not sent"),
        ({"symbol": 5}, -1102, "It must be a string, not a number"),
        ({"symbol": "NOPE"}, -1121, "Invalid symbol."),
        ({"side": "HOLD"}, -1117, "Invalid side."),
        ({"type": "STOP"}, -1116, "Invalid orderType."),
        ({"timeInForce": "GTX"}, -1115, "Invalid timeInForce."),
        ({"timeInForce": None}, -1102, "'timeInForce'"),
        ({"price": None}, -1102, "Mandatory parameter 'price'"),
        ({"quantity": None}, -1102, "Mandatory parameter 'quantity'"),
        ({"quoteOrderQty": "5"}, -1106, "Parameter 'quoteOrderQty' sent when not required."),
        ({"type": "LIMIT_MAKER"}, -1114, "TimeInForce parameter sent when not required."),
        ({"type": "MARKET", "timeInForce": None}, -1106, "Parameter 'price' sent when not required."),
        ({"newClientOrderId": "a b"}, -1100, "newClientOrderId"),
        ({"newClientOrderId": "x" * 37}, -1100, "newClientOrderId"),
        ({"newClientOrderId": "ok\n"}, -1100, "newClientOrderId"),
        ({"newClientOrderId": "ringex-7"}, -1130, "are given by the exchange only"),
        ({"newOrderRespType": "SHORT"}, -1130, "ACK, RESULT, FULL"),
        ({"leverage": 1}, -1104, "read '6' parameter(s) but was sent '7'. Unknown: leverage."),
        ({"stopPrice": "1"}, -1106, "Parameter 'stopPrice' sent when not required. A LIMIT order has none."),
        ({"type": "STOP_LOSS_LIMIT"}, -1102, "Mandatory parameter 'stopPrice' was not sent"),
        (
            {"type": "TAKE_PROFIT_LIMIT", "timeInForce": None, "stopPrice": "1"},
            -1102,
            "A TAKE_PROFIT_LIMIT order needs",
        ),
        ({"type": "STOP_LOSS", "stopPrice": "1"}, -1114, "TimeInForce parameter sent when not required."),
        ({"type": "STOP_LOSS", "timeInForce": None, "stopPrice": "1"}, -1106, "A STOP_LOSS order has none."),
        ({"icebergQty": "2"}, -2010, "IcebergQty exceeds QTY."),
        ({"icebergQty": "0.1", "timeInForce": "IOC"}, -1106, "Parameter 'icebergQty' sent when not required."),
        ({"selfTradePreventionMode": "TRANSFER"}, -1130, "NONE, EXPIRE_TAKER, EXPIRE_MAKER, EXPIRE_BOTH, DECREMENT"),
    ],
)
def test_malformed_parameters(model: ReadModel, change: dict[str, Any], code: int, text: str) -> None:
    refusal = refusal_of(model, "order.place", LIMIT | change)
    assert refusal.code == code
    assert text in refusal.message


@pytest.mark.parametrize(
    ("params", "code", "text"),
    [
        ({"type": "MARKET"}, -1102, "Param 'quantity' or 'quoteOrderQty' must be sent, but both were empty/null!"),
        ({"type": "MARKET", "quantity": "1", "quoteOrderQty": "1"}, -1106, "either quantity or quoteOrderQty"),
        ({"type": "MARKET", "quantity": "0"}, -1013, "Invalid quantity."),
        ({"type": "MARKET", "quantity": "1", "icebergQty": "1"}, -1106, "'icebergQty' sent when not required."),
        ({"type": "MARKET", "quantity": "1", "stopPrice": "1"}, -1106, "'stopPrice' sent when not required."),
        (
            {"type": "MARKET", "quoteOrderQty": "9", "selfTradePreventionMode": "DECREMENT"},
            -1130,
            "An order by quoteOrderQty has no quantity to decrement.",
        ),
        ({"type": "STOP_LOSS", "stopPrice": "5"}, -1102, "Mandatory parameter 'quantity' was not sent"),
        (
            {"type": "TAKE_PROFIT", "stopPrice": "5", "quantity": "1", "quoteOrderQty": "5"},
            -1106,
            "Only a MARKET order",
        ),
        ({"type": "TAKE_PROFIT", "quantity": "1"}, -1102, "A TAKE_PROFIT order needs it, or trailingDelta."),
    ],
)
def test_market_amounts(model: ReadModel, params: dict[str, Any], code: int, text: str) -> None:
    refusal = refusal_of(model, "order.test", {"symbol": "BTCUSDT", "side": "BUY"} | params)
    assert refusal.code == code
    assert text in refusal.message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"quantity": "0.000015"},
            "Filter failure: LOT_SIZE: quantity 0.000015 is not a multiple of 0.00001; 0.00001 or 0.00002 would pass",
        ),
        (
            {"price": "20000.005"},
            "Filter failure: PRICE_FILTER: price 20000.005 is not a multiple of 0.01; 20000 or 20000.01 would pass",
        ),
        (
            {"price": "1000000.01"},
            "Filter failure: PRICE_FILTER: price 1000000.01 is above the maximum 1000000; 0.01 to 1000000 would pass",
        ),
        (
            {"quantity": "0"},
            "Filter failure: LOT_SIZE: quantity 0 is below the minimum 0.00001; 0.00001 to 9000 would pass",
        ),
        (
            {"quantity": "0.0001"},
            "Filter failure: NOTIONAL: price x quantity 2 is below the minimum 5;"
            " quantity 0.00025 at this price would pass",
        ),
        (
            {"price": "20001", "quantity": "0.0001"},
            "Filter failure: NOTIONAL: price x quantity 2.0001 is below the minimum 5;"
            " quantity 0.00025 at this price would pass",
        ),
        (
            {"type": "STOP_LOSS_LIMIT", "stopPrice": "0"},
            "Filter failure: PRICE_FILTER: stopPrice 0 is below the minimum 0.01; 0.01 to 1000000 would pass",
        ),
        (
            {"type": "STOP_LOSS_LIMIT", "stopPrice": "1.005"},
            "Filter failure: PRICE_FILTER: stopPrice 1.005 is not a multiple of 0.01; 1 or 1.01 would pass",
        ),
        (
            {"icebergQty": "0.000015"},
            "Filter failure: LOT_SIZE: icebergQty 0.000015 is not a multiple of 0.00001; 0.00001 or 0.00002 would pass",
        ),
    ],
)
def test_filter_failures_say_what_would_pass(model: ReadModel, change: dict[str, str], message: str) -> None:
    refusal = refusal_of(model, "order.test", LIMIT | change)
    assert (refusal.code, refusal.message) == (-1013, message)


def test_what_a_filter_message_proposes_passes(model: ReadModel) -> None:
    for change in ({"quantity": "0.00025"}, {"price": "20000.01"}, {"price": "1000000"}, {"quantity": "9000"}):
        assert call(model, "order.test", LIMIT | change) == {}


def test_literal_messages_stay_literal() -> None:
    assert of_reason(Reason.UNKNOWN_ORDER, MARKET).message == "Unknown order sent."
    assert of_reason(Reason.WOULD_TAKE, MARKET).message == "Order would immediately match and take."


def test_symbols_are_upper_case(model: ReadModel) -> None:
    assert refusal_of(model, "depth", {"symbol": "BTCUSD"}).code == -1121
    for symbol in ("btcusdt", "BTC/USDT", "B" * 21, "BTCUSDT\n"):
        refusal = refusal_of(model, "depth", {"symbol": symbol})
        assert refusal.code == -1100
        assert "Symbols are upper case, such as BTCUSDT." in refusal.message


def test_which_order_must_be_said(model: ReadModel) -> None:
    for method, more in (("order.cancel", {}), ("order.amend", {"price": "1"}), ("order.status", {})):
        refusal = refusal_of(model, method, {"symbol": "BTCUSDT", **more})
        assert refusal.code == -1102
        assert "'origClientOrderId' or 'orderId'" in refusal.message
    nothing = refusal_of(model, "order.amend", {"symbol": "BTCUSDT", "orderId": 5})
    assert "Param 'price' or 'quantity' must be sent" in nothing.message
    unknown = refusal_of(model, "order.status", {"symbol": "BTCUSDT", "orderId": 5})
    assert (unknown.code, unknown.message) == (-2013, "Order does not exist.")
    wrong = refusal_of(model, "order.cancel", {"symbol": "BTCUSDT", "orderId": 5, "cancelRestrictions": "ANY"})
    assert wrong.code == -1145


@pytest.mark.parametrize(("text", "order_id"), [("ringex-7", 7), ("ringex-07", 0), ("ringex-7x", 0), ("x-7", 0)])
def test_derived_ids(text: str, order_id: int) -> None:
    assert derived_order_id(text) == order_id


def test_the_table_is_what_the_issue_asks_for() -> None:
    assert METHODS.keys() >= {
        *("order.place", "order.test", "order.status", "order.cancel", "order.cancelReplace", "order.amend"),
        *("order.amend.keepPriority", "openOrders.status", "openOrders.cancelAll", "account.status", "depth"),
        *("trades.recent", "exchangeInfo", "ticker.book", "time", "ping", "session.logon", "session.status"),
        *("session.logout", "userDataStream.subscribe", "userDataStream.subscribe.signature"),
        "userDataStream.unsubscribe",
    }
