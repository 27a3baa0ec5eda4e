"""Order lists through the doors of a running exchange: REST, the WebSocket API, user streams, and real libraries."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import ccxt
import pytest
from binance.client import Client as PythonBinance
from binance.error import ClientError
from binance.spot import Spot
from exchange import Client, Exchange, running
from test_web_clients import key_of, moved
from web_client import RestClient

PRICED = {"symbol": "BTCUSDT", "type": "LIMIT", "timeInForce": "GTC"}


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    with running(tmp_path_factory.mktemp("lists"), web=True) as started:
        started.fund("maker", BTC="100", USDT="10000000")
        yield started


@pytest.fixture
def maker(exchange: Exchange) -> Iterator[Client]:
    """Somebody who has let the market trade at 30000, and has nothing in the book before and after."""
    with exchange.client("maker") as client:
        last(client, "30000")
        yield client
        client.order("openOrders.cancelAll", symbol="BTCUSDT")
    with exchange.client("demo") as demo:
        demo.order("openOrders.cancelAll", symbol="BTCUSDT")


def last(client: Client, price: str) -> None:
    """Let the market trade at a price, with oneself."""
    for side in ("SELL", "BUY"):
        placed = client.order("order.place", **PRICED, side=side, price=price, quantity="0.001")
        assert placed["status"] == 200, placed


def rest(exchange: Exchange) -> RestClient:
    assert exchange.http
    return RestClient(exchange.http, *key_of(exchange))


OCO = {
    "symbol": "BTCUSDT",
    "side": "SELL",
    "quantity": "0.01",
    "aboveType": "LIMIT_MAKER",
    "abovePrice": "31000",
    "belowType": "STOP_LOSS_LIMIT",
    "belowPrice": "28900",
    "belowStopPrice": "29000",
    "belowTimeInForce": "GTC",
}


def test_an_oco_over_rest_from_beginning_to_end(exchange: Exchange, maker: Client) -> None:
    client = rest(exchange)
    placed = client.signed("POST", "/api/v3/orderList/oco", **OCO, listClientOrderId="both")
    assert placed.status == 200, placed.body
    body = placed.body
    assert (body["contingencyType"], body["listStatusType"], body["listOrderStatus"]) == (
        "OCO",
        "EXEC_STARTED",
        "EXECUTING",
    )
    assert [report["type"] for report in body["orderReports"]] == ["STOP_LOSS_LIMIT", "LIMIT_MAKER"]
    assert [report["orderListId"] for report in body["orderReports"]] == [body["orderListId"]] * 2
    assert body["orderReports"][0]["workingTime"] == -1 < body["orderReports"][1]["workingTime"]
    account = client.signed("GET", "/api/v3/account").body
    assert {b["asset"]: b["locked"] for b in account["balances"]}["BTC"] == "0.01000000"  # once for both
    by_name = client.signed("GET", "/api/v3/orderList", origClientOrderId="both")
    assert by_name.body == {name: value for name, value in body.items() if name != "orderReports"}
    assert client.signed("GET", "/api/v3/openOrderList").body == [by_name.body]
    open_orders = client.signed("GET", "/api/v3/openOrders", symbol="BTCUSDT").body
    assert {order["orderListId"] for order in open_orders} == {body["orderListId"]}
    bought = maker.order("order.place", **PRICED, side="BUY", price="31000", quantity="0.004")
    assert bought["result"]["executedQty"] == "0.00400000"
    stop, limit = (client.signed("GET", "/api/v3/order", symbol="BTCUSDT", **which).body for which in ids(body))
    assert (stop["status"], limit["status"]) == ("EXPIRED", "PARTIALLY_FILLED")
    canceled = client.signed("DELETE", "/api/v3/orderList", symbol="BTCUSDT", listClientOrderId="both")
    assert canceled.status == 200, canceled.body
    assert (canceled.body["listStatusType"], canceled.body["listOrderStatus"]) == ("ALL_DONE", "ALL_DONE")
    assert [report["orderId"] for report in canceled.body["orderReports"]] == [limit["orderId"]]
    assert client.signed("GET", "/api/v3/openOrderList").body == []
    done = client.signed("GET", "/api/v3/allOrderList", fromId=body["orderListId"]).body
    assert [(one["orderListId"], one["listOrderStatus"]) for one in done] == [(body["orderListId"], "ALL_DONE")]
    again = client.signed("DELETE", "/api/v3/orderList", symbol="BTCUSDT", listClientOrderId="both")
    assert (again.status, again.body["code"], again.body["msg"]) == (400, -2011, "Unknown order sent.")


def ids(body: dict[str, Any]) -> list[dict[str, int]]:
    return [{"orderId": order["orderId"]} for order in body["orders"]]


def test_an_otoco_waits_for_its_working_order(exchange: Exchange, maker: Client) -> None:
    client = rest(exchange)
    params = {
        "symbol": "BTCUSDT",
        "workingType": "LIMIT",
        "workingSide": "BUY",
        "workingPrice": "29500",
        "workingQuantity": "0.02",
        "workingTimeInForce": "GTC",
        "pendingSide": "SELL",
        "pendingQuantity": "0.01",
        "pendingAboveType": "LIMIT_MAKER",
        "pendingAbovePrice": "31000",
        "pendingBelowType": "STOP_LOSS",
        "pendingBelowStopPrice": "29000",
    }
    body = client.signed("POST", "/api/v3/orderList/otoco", **params).body
    assert body["contingencyType"] == "OTO"
    assert body["listClientOrderId"] == f"ringex-list-{body['orderListId']}"
    reports = body["orderReports"]
    assert [report["status"] for report in reports] == ["NEW", "PENDING_NEW", "PENDING_NEW"]
    assert [report["type"] for report in reports] == ["LIMIT", "STOP_LOSS", "LIMIT_MAKER"]
    maker.order("order.place", **PRICED, side="SELL", price="29500", quantity="0.02")
    states = [client.signed("GET", "/api/v3/order", symbol="BTCUSDT", **which).body["status"] for which in ids(body)]
    assert states == ["FILLED", "NEW", "NEW"]
    canceled = client.signed("DELETE", "/api/v3/order", symbol="BTCUSDT", orderId=reports[2]["orderId"])
    assert [report["orderId"] for report in canceled.body["orderReports"]] == [
        reports[2]["orderId"],
        reports[1]["orderId"],
    ]
    assert client.signed("GET", "/api/v3/orderList", orderListId=body["orderListId"]).body["listOrderStatus"] == (
        "ALL_DONE"
    )


@pytest.mark.parametrize(
    ("change", "status", "code", "words"),
    [
        ({"abovePrice": "29500"}, 400, -2010, "The relationship of the prices for the orders is not correct."),
        ({"belowType": "TAKE_PROFIT_LIMIT"}, 400, -1014, "Unsupported order combination."),
        ({"abovePrice": None}, 400, -1102, "abovePrice"),
        ({"belowTimeInForce": None}, 400, -1102, "belowTimeInForce"),
        ({"belowStopPrice": "29000.001"}, 400, -1013, "belowStopPrice"),
        ({"aboveType": "LIMIT"}, 400, -1116, "Invalid orderType."),
        ({"quantity": "1000000"}, 400, -1013, "Filter failure: LOT_SIZE"),
        ({"quantity": "4000"}, 400, -2010, "Account has insufficient balance for requested action."),
        ({"symbol": "NOSUCH"}, 400, -1121, "Invalid symbol."),
        ({"below": "1"}, 400, -1104, "below"),
    ],
)
def test_what_is_refused_says_which_order_it_was(
    exchange: Exchange, maker: Client, change: dict[str, str | None], status: int, code: int, words: str
) -> None:
    params = {name: value for name, value in (OCO | change).items() if value is not None}
    answer = rest(exchange).signed("POST", "/api/v3/orderList/oco", **params)
    assert (answer.status, answer.body["code"]) == (status, code), answer.body
    assert words in answer.body["msg"]


def test_the_same_list_sent_again_is_answered_and_not_made_again(exchange: Exchange, maker: Client) -> None:
    client = rest(exchange)
    at = int(time.time() * 1000)
    params = OCO | {"listClientOrderId": "once", "recvWindow": "20000"}

    def send() -> Any:
        text = "&".join(f"{name}={value}" for name, value in params.items()) + f"&timestamp={at}"
        return client.ask("POST", "/api/v3/orderList/oco", f"{text}&signature={client.sign(text)}")

    first, second = send(), send()
    assert (first.status, second.status) == (200, 200), (first.body, second.body)
    assert second.body["duplicate"] is True
    assert second.body["orderListId"] == first.body["orderListId"]
    assert len(client.signed("GET", "/api/v3/openOrderList").body) == 1


def test_lists_in_mass_cancels_replacements_and_amendments(exchange: Exchange, maker: Client) -> None:
    client = rest(exchange)
    body = client.signed("POST", "/api/v3/orderList/oco", **OCO).body
    limit = body["orderReports"][1]["orderId"]
    smaller = client.signed(
        "PUT", "/api/v3/order/amend/keepPriority", symbol="BTCUSDT", orderId=limit, newQty="0.005"
    ).body
    assert smaller["amendedOrder"]["orderListId"] == body["orderListId"]
    assert smaller["listStatus"]["orderListId"] == body["orderListId"]
    replaced = client.signed(
        "POST",
        "/api/v3/order/cancelReplace",
        **PRICED,
        side="BUY",
        price="20000",
        quantity="0.01",
        cancelReplaceMode="STOP_ON_FAILURE",
        cancelOrderId=limit,
    ).body
    assert [report["orderId"] for report in replaced["cancelResponse"]["orderReports"]] == [
        limit,
        body["orderReports"][0]["orderId"],
    ]
    client.signed("POST", "/api/v3/orderList/oco", **OCO)
    swept = client.signed("DELETE", "/api/v3/openOrders", symbol="BTCUSDT").body
    assert [("orderReports" in one, one["orderListId"] > 0) for one in swept] == [(False, False), (True, True)]
    assert len(swept[1]["orderReports"]) == 2


def test_a_user_stream_tells_what_becomes_of_a_list(exchange: Exchange, maker: Client) -> None:
    with exchange.client("demo") as demo:
        assert demo.order("userDataStream.subscribe.signature")["status"] == 200
        placed = demo.order("orderList.place.oco", **OCO, listClientOrderId="told")
        assert placed["status"] == 200, placed
        maker.order("order.place", **PRICED, side="BUY", price="31000", quantity="0.01")
        told = [message["event"] for message in demo.pushed]
        while sum(event["e"] == "listStatus" for event in told) < 2:
            message = demo.receive()
            assert message is not None, "the stream has ended"
            told += [message["event"]] if "event" in message else []
    lists = [event for event in told if event["e"] == "listStatus"]
    assert [(event["l"], event["L"], event["C"], event["r"]) for event in lists] == [
        ("EXEC_STARTED", "EXECUTING", "told", "NONE"),
        ("ALL_DONE", "ALL_DONE", "told", "NONE"),
    ]
    assert [one["i"] for one in lists[0]["O"]] == [order["orderId"] for order in placed["result"]["orders"]]
    reports = [(e["x"], e["o"], e["g"]) for e in told if e["e"] == "executionReport"]
    assert [report[:2] for report in reports] == [
        ("NEW", "STOP_LOSS_LIMIT"),
        ("NEW", "LIMIT_MAKER"),
        ("EXPIRED", "STOP_LOSS_LIMIT"),
        ("TRADE", "LIMIT_MAKER"),
    ]
    assert {report[2] for report in reports} == {placed["result"]["orderListId"]}


def test_the_exchange_says_that_it_takes_lists(exchange: Exchange) -> None:
    info = rest(exchange).ask("GET", "/api/v3/exchangeInfo?symbol=BTCUSDT").body["symbols"][0]
    assert (info["ocoAllowed"], info["otoAllowed"]) == (True, True)


# ---- real libraries --------------------------------------------------------------------------------------------------


def test_python_binance_places_and_cancels_lists(exchange: Exchange, maker: Client) -> None:
    api_key, secret = key_of(exchange)
    client = PythonBinance(api_key, secret, ping=False)
    client.API_URL = f"http://{exchange.http}/api"
    pair = client.create_oco_order(**OCO)
    assert [report["type"] for report in pair["orderReports"]] == ["STOP_LOSS_LIMIT", "LIMIT_MAKER"]
    assert [one["orderListId"] for one in client.get_open_oco_orders()] == [pair["orderListId"]]
    assert client.v3_get_order_list(orderListId=pair["orderListId"])["listOrderStatus"] == "EXECUTING"
    gone = client.v3_delete_order_list(symbol="BTCUSDT", orderListId=pair["orderListId"])
    assert gone["listOrderStatus"] == "ALL_DONE"
    triggered = client.v3_post_order_list_oto(
        symbol="BTCUSDT",
        workingType="LIMIT",
        workingSide="BUY",
        workingPrice="29000",
        workingQuantity="0.01",
        workingTimeInForce="GTC",
        pendingType="MARKET",
        pendingSide="SELL",
        pendingQuantity="0.01",
    )
    assert [report["status"] for report in triggered["orderReports"]] == ["NEW", "PENDING_NEW"]
    canceled = client.cancel_order(symbol="BTCUSDT", orderId=triggered["orders"][1]["orderId"])
    assert len(canceled["orderReports"]) == 2
    assert {one["orderListId"] for one in client.v3_get_all_order_list()} >= {
        pair["orderListId"],
        triggered["orderListId"],
    }


def test_the_official_connector_places_and_cancels_lists(exchange: Exchange, maker: Client) -> None:
    client = Spot(*key_of(exchange), base_url=f"http://{exchange.http}")
    pair = client.new_oco_order(
        "BTCUSDT",
        "SELL",
        0.01,
        "LIMIT_MAKER",
        "STOP_LOSS",
        abovePrice="31000",
        belowStopPrice="29000",
    )
    assert client.get_oco_order(orderListId=pair["orderListId"])["orders"] == pair["orders"]
    assert [one["orderListId"] for one in client.get_oco_open_orders()] == [pair["orderListId"]]
    assert client.cancel_oco_order("BTCUSDT", orderListId=pair["orderListId"])["listOrderStatus"] == "ALL_DONE"
    assert client.get_oco_orders(fromId=pair["orderListId"])[0]["orderListId"] == pair["orderListId"]
    with pytest.raises(ClientError) as refused:
        client.cancel_oco_order("BTCUSDT", orderListId=pair["orderListId"])
    assert refused.value.error_code == -2011


def test_ccxt_s_own_calls_place_and_cancel_lists(exchange: Exchange, maker: Client) -> None:
    api_key, secret = key_of(exchange)
    client = ccxt.binance({"apiKey": api_key, "secret": secret, "enableRateLimit": False})
    client.urls["api"] = moved(client.urls["api"], exchange.http)
    pair = client.private_post_orderlist_oco(OCO)
    assert [order["status"] for order in client.fetch_open_orders("BTC/USDT")] == ["open", "open"]
    assert len(client.private_get_openorderlist()) == 1
    old = client.private_delete_orderlist({"symbol": "BTCUSDT", "orderListId": pair["orderListId"]})
    assert old["listStatusType"] == "ALL_DONE"
    legacy = client.private_post_order_oco(
        {"symbol": "BTCUSDT", "side": "SELL", "quantity": "0.01", "price": "31000", "stopPrice": "29000"}
    )
    assert [report["type"] for report in legacy["orderReports"]] == ["STOP_LOSS", "LIMIT_MAKER"]
    canceled = client.cancel_order(legacy["orders"][0]["orderId"], "BTC/USDT")
    assert canceled["info"]["listOrderStatus"] == "ALL_DONE"
    assert client.fetch_open_orders("BTC/USDT") == []
