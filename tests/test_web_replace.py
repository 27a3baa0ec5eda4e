"""cancelReplace, amendments and cancels over REST: statuses, codes and the `data` envelope, as the dialect has them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from exchange import Exchange, running
from web_client import Answer, RestClient

from ringex.adminclient import request
from ringex.config import Settings

PATH = "/api/v3/order/cancelReplace"
KEEP = "/api/v3/order/amend/keepPriority"
LIMIT = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "price": "20000", "quantity": "0.5"}
UNKNOWN = {"code": -2011, "msg": "Unknown order sent."}
RESTRICTED = {"code": -2011, "msg": "Order was not canceled due to cancel restrictions."}


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    folder: Path = tmp_path_factory.mktemp("replace")
    with running(folder, web=True) as started:
        yield started


@pytest.fixture
def client(exchange: Exchange) -> Iterator[RestClient]:
    key = exchange.keys()[0]
    made = RestClient(exchange.http, key["api_key"], key["secret"])
    yield made
    made.signed("DELETE", "/api/v3/openOrders", symbol="BTCUSDT")
    made.close()


def place(client: RestClient, **params: Any) -> int:
    answer = client.signed("POST", "/api/v3/order", **LIMIT | params)
    assert answer.status == 200, answer
    return int(answer.body["orderId"])


def replace(client: RestClient, mode: str = "STOP_ON_FAILURE", **params: Any) -> Answer:
    return client.signed("POST", PATH, cancelReplaceMode=mode, **LIMIT | params)


def open_orders(client: RestClient) -> list[int]:
    return [order["orderId"] for order in client.signed("GET", "/api/v3/openOrders", symbol="BTCUSDT").body]


def partly_filled(client: RestClient) -> int:
    order = place(client)
    place(client, side="SELL", quantity="0.1")
    return order


def test_both_legs_succeed(client: RestClient) -> None:
    old = place(client, newClientOrderId="old")
    both = replace(client, cancelOrderId=old, cancelNewClientOrderId="gone", newClientOrderId="old", price="20001")
    assert both.status == 200
    assert both.body.keys() == {"cancelResult", "newOrderResult", "cancelResponse", "newOrderResponse"}
    assert (both.body["cancelResult"], both.body["newOrderResult"]) == ("SUCCESS", "SUCCESS")
    canceled, new = both.body["cancelResponse"], both.body["newOrderResponse"]
    assert (canceled["origClientOrderId"], canceled["clientOrderId"], canceled["status"]) == ("old", "gone", "CANCELED")
    assert (new["clientOrderId"], new["status"], new["fills"]) == ("old", "NEW", []), "the id is free again"
    assert open_orders(client) == [new["orderId"]]


def test_a_failed_cancel_stops_the_new_order_or_not(client: RestClient) -> None:
    stopped = replace(client, cancelOrderId=999_999)
    data = {"cancelResult": "FAILURE", "newOrderResult": "NOT_ATTEMPTED"}
    data |= {"cancelResponse": UNKNOWN, "newOrderResponse": None}
    assert (stopped.status, stopped.body) == (400, {"code": -2022, "msg": "Order cancel-replace failed.", "data": data})
    half = replace(client, "ALLOW_FAILURE", cancelOrigClientOrderId="nobody", newOrderRespType="ACK")
    assert (half.status, half.body["code"]) == (409, -2021)
    assert half.body["msg"] == "Order cancel-replace partially failed."
    data = half.body["data"]
    assert (data["cancelResult"], data["cancelResponse"], data["newOrderResult"]) == ("FAILURE", UNKNOWN, "SUCCESS")
    assert data["newOrderResponse"].keys() == {"symbol", "orderId", "orderListId", "clientOrderId", "transactTime"}
    assert open_orders(client) == [data["newOrderResponse"]["orderId"]]
    neither = replace(client, "ALLOW_FAILURE", cancelOrderId=999_999, quantity="9000")
    assert (neither.status, neither.body["code"]) == (400, -2022)
    assert (neither.body["data"]["cancelResult"], neither.body["data"]["newOrderResult"]) == ("FAILURE", "FAILURE")
    assert neither.body["data"]["newOrderResponse"]["code"] == -2010


@pytest.mark.parametrize("mode", ["STOP_ON_FAILURE", "ALLOW_FAILURE"])
def test_a_refused_new_order_leaves_the_old_one_canceled(client: RestClient, mode: str) -> None:
    old = place(client)
    place(client, side="SELL", price="30000", quantity="0.01")
    half = replace(
        client, mode, cancelOrderId=old, type="LIMIT_MAKER", price="30000", timeInForce="GTD", goodTillDate=1
    )
    assert half.status == 409 and half.body["code"] == -2021
    data = half.body["data"]
    assert (data["cancelResult"], data["cancelResponse"]["orderId"]) == ("SUCCESS", old)
    assert (data["newOrderResult"], data["newOrderResponse"]["code"]) == ("FAILURE", -1130)
    assert old not in open_orders(client)


def test_what_the_request_alone_shows_to_be_wrong_cancels_nothing(client: RestClient) -> None:
    old = place(client)
    for params, code in (
        ({"price": "20000.001"}, -1013),
        ({"quantity": "0"}, -1013),
        ({"timeInForce": "SOON"}, -1115),
        ({"cancelRestrictions": "SOME"}, -1145),
        ({"orderRateLimitExceededMode": "ALWAYS"}, -1130),
    ):
        refused = replace(client, **{"cancelOrderId": old} | params)
        assert (refused.status, refused.body["code"]) == (400, code), params
        assert "data" not in refused.body
    assert replace(client).body["code"] == -1102, "which order is to be canceled?"
    late = client.signed("POST", PATH, **LIMIT, cancelReplaceMode="ALLOW_FAILURE", cancelOrderId=old, recvWindow=60_001)
    assert (late.status, late.body["code"]) == (400, -1131)
    assert open_orders(client) == [old]


def test_cancel_restrictions(client: RestClient) -> None:
    fresh, part = place(client, price="19000"), partly_filled(client)
    for order, restriction in ((fresh, "ONLY_PARTIALLY_FILLED"), (part, "ONLY_NEW")):
        refused = client.signed(
            "DELETE", "/api/v3/order", symbol="BTCUSDT", orderId=order, cancelRestrictions=restriction
        )
        assert (refused.status, refused.body) == (400, RESTRICTED)
        stopped = replace(client, cancelOrderId=order, cancelRestrictions=restriction)
        assert (stopped.status, stopped.body["code"], stopped.body["data"]["cancelResponse"]) == (
            400,
            -2022,
            RESTRICTED,
        )
    assert open_orders(client) == [fresh, part]
    assert replace(client, cancelOrderId=fresh, cancelRestrictions="ONLY_NEW", price="19001").status == 200
    both = replace(client, cancelOrderId=part, cancelRestrictions="ONLY_PARTIALLY_FILLED", price="19002")
    assert both.status == 200 and both.body["cancelResponse"]["executedQty"] == "0.10000000"


def test_two_ids_must_be_those_of_one_order(client: RestClient) -> None:
    one, other = place(client, newClientOrderId="one"), place(client, newClientOrderId="other")
    which = {"symbol": "BTCUSDT", "orderId": one, "origClientOrderId": "other"}
    asked = client.signed("GET", "/api/v3/order", **which)
    words = "Client order ID is not correct for this order ID."
    assert (asked.status, asked.body) == (400, {"code": -2039, "msg": words})
    canceled = client.signed("DELETE", "/api/v3/order", **which)
    assert (canceled.status, canceled.body) == (400, UNKNOWN)
    assert replace(client, cancelOrderId=one, cancelOrigClientOrderId="other").body["code"] == -2022
    assert open_orders(client) == [one, other]
    assert client.signed("DELETE", "/api/v3/order", **which | {"origClientOrderId": "one"}).status == 200


def test_used_up_order_rates_stop_both_legs_unless_the_cancel_is_wanted(exchange: Exchange, client: RestClient) -> None:
    old = place(client)
    admin = Settings(data_dir=exchange.data).admin_endpoint
    request(admin, "admin.limits.set", {"account": "demo", "orders1d": 1})
    try:
        for mode in ("STOP_ON_FAILURE", "ALLOW_FAILURE"):
            refused = replace(client, mode, cancelOrderId=old)
            assert (refused.status, refused.body["code"]) == (429, -1015)
            assert refused.body["msg"] == "Too many new orders; current limit is 1 orders per 1 DAY."
        assert open_orders(client) == [old]
        text = urlencode({**LIMIT, "newClientOrderId": "late", "timestamp": int(time.time() * 1000)})
        body = f"{text}&signature={client.sign(text)}"
        first, again = (client.ask("POST", "/api/v3/order", body) for _ in range(2))
        assert (first.status, again.status, again.body["data"]) == (429, 429, {"duplicate": True})
        half = replace(client, cancelOrderId=old, orderRateLimitExceededMode="CANCEL_ONLY")
        assert (half.status, half.body["code"]) == (429, -2021)
        data = half.body["data"]
        assert (data["cancelResult"], data["newOrderResult"]) == ("SUCCESS", "FAILURE")
        assert data["newOrderResponse"]["code"] == -1015
        assert open_orders(client) == []
    finally:
        request(admin, "admin.limits.set", {"account": "demo", "orders1d": 0})


def test_an_amendment_that_keeps_its_place(client: RestClient) -> None:
    order = place(client, newClientOrderId="amended")
    kept = client.signed("PUT", KEEP, symbol="BTCUSDT", orderId=order, newQty="0.4")
    assert kept.status == 200 and kept.body.keys() == {"transactTime", "executionId", "amendedOrder"}
    shown = kept.body["amendedOrder"]
    names = (
        "symbol orderId orderListId origClientOrderId clientOrderId price qty executedQty preventedQty quoteOrderQty"
    )
    names += " cumulativeQuoteQty status timeInForce type side workingTime selfTradePreventionMode"
    assert shown.keys() == set(names.split())
    assert (shown["orderId"], shown["qty"], shown["origClientOrderId"]) == (order, "0.40000000", "amended")
    renamed = client.signed(
        "PUT", KEEP, symbol="BTCUSDT", origClientOrderId="amended", newQty="0.3", newClientOrderId="new"
    )
    shown = renamed.body["amendedOrder"]
    assert (shown["origClientOrderId"], shown["clientOrderId"], shown["orderId"]) == ("amended", "new", order)
    for params, code, words in (
        ({"newQty": "0.3"}, -2038, "The requested action would change no state; rejecting."),
        ({"newQty": "0.6"}, -2038, "Order amend (quantity increase) is not supported."),
        ({"newQty": "0"}, -1013, "Filter failure: LOT_SIZE"),
        ({"newQty": "0.0000001"}, -1013, "Filter failure: LOT_SIZE"),
        ({}, -1102, "Mandatory parameter 'newQty' was not sent, was empty/null, or malformed."),
        ({"newQty": "0.2", "orderId": order + 1000}, -2011, "Unknown order sent."),
    ):
        refused = client.signed("PUT", KEEP, **{"symbol": "BTCUSDT", "orderId": order} | params)
        assert (refused.status, refused.body["code"]) == (400, code), params
        assert refused.body["msg"].startswith(words)
    place(client, side="SELL", quantity="0.1")
    below = client.signed("PUT", KEEP, symbol="BTCUSDT", orderId=order, newQty="0.1")
    assert (below.status, below.body["code"]) == (400, -2038)
