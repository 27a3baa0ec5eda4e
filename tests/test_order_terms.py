"""Stops, icebergs, self-trade prevention, halts and blocks as clients and operators of a gateway see them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from gateway_exchange import Client, Exchange, running

from ringex.adminclient import AdminError

BTC_LIMIT = {"symbol": "BTCUSDT", "type": "LIMIT", "timeInForce": "GTC"}
MARKET = {"symbol": "BTCUSDT", "type": "MARKET"}


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    with running(tmp_path_factory.mktemp("terms")) as running_exchange:
        yield running_exchange


@pytest.fixture
def trader(exchange: Exchange) -> Iterator[Client]:
    yield from _with_an_empty_book(exchange.trader(BTC="100", USDT="5000000"))


@pytest.fixture
def other(exchange: Exchange) -> Iterator[Client]:
    yield from _with_an_empty_book(exchange.trader(BTC="100", USDT="5000000"))


def _with_an_empty_book(client: Client) -> Iterator[Client]:
    yield client
    client.signed_call("openOrders.cancelAll", {"symbol": "BTCUSDT"})


def stop(client: Client, kind: str, side: str, stop_price: str, quantity: str = "1", **more: Any) -> dict[str, Any]:
    params = {"symbol": "BTCUSDT", "side": side, "type": kind, "stopPrice": stop_price, "quantity": quantity}
    return client.signed_call("order.place", params | more)


def order_of(client: Client, order_id: int) -> Any:
    return client.signed_call("order.status", {"symbol": "BTCUSDT", "orderId": order_id})["result"]


def reports(client: Client) -> list[dict[str, Any]]:
    client.call("ping")
    return [push["event"] for push in client.pushed if push["event"]["e"] == "executionReport"]


def trade_at(client: Client, other: Client, price: str) -> None:
    client.place("SELL", price, "0.01")
    assert other.place("BUY", price, "0.01")["result"]["status"] == "FILLED"


# Self-trade prevention


def test_an_account_may_trade_with_itself_unless_it_says_otherwise(trader: Client) -> None:
    trader.place("SELL", "20000", "1")
    assert trader.place("BUY", "20000", "1")["result"]["status"] == "FILLED"


def test_expire_taker(trader: Client) -> None:
    maker = trader.place("SELL", "20000", "1")["result"]
    taker = trader.place("BUY", "20000", "3", selfTradePreventionMode="EXPIRE_TAKER")["result"]
    assert (taker["status"], taker["selfTradePreventionMode"]) == ("EXPIRED_IN_MATCH", "EXPIRE_TAKER")
    assert (taker["origQty"], taker["preventedQuantity"], taker["fills"]) == ("3.00000000", "3.00000000", [])
    (match,) = taker["preventedMatches"]
    assert match == {
        "preventedMatchId": taker["preventedMatchId"],
        "makerSymbol": "BTCUSDT",
        "makerOrderId": maker["orderId"],
        "price": "20000.00000000",
        "takerPreventedQuantity": "3.00000000",
    }
    resting = order_of(trader, maker["orderId"])
    assert (resting["status"], "preventedQuantity" in resting) == ("NEW", False)


def test_expire_maker_lets_the_taker_go_on(trader: Client) -> None:
    makers = [trader.place("SELL", price, "1")["result"]["orderId"] for price in ("20000", "20001")]
    taker = trader.place("BUY", "20001", "3", selfTradePreventionMode="EXPIRE_MAKER")["result"]
    assert (taker["status"], taker["executedQty"]) == ("NEW", "0.00000000")
    assert [(m["makerOrderId"], m["makerPreventedQuantity"]) for m in taker["preventedMatches"]] == [
        (maker, "1.00000000") for maker in makers
    ]
    assert "preventedQuantity" not in taker
    for maker, match in zip(makers, taker["preventedMatches"], strict=True):
        shown = order_of(trader, maker)
        assert (shown["status"], shown["preventedQuantity"]) == ("EXPIRED_IN_MATCH", "1.00000000")
        assert shown["preventedMatchId"] == match["preventedMatchId"]


def test_decrement_takes_the_same_off_both(trader: Client) -> None:
    maker = trader.place("SELL", "20000", "6")["result"]["orderId"]
    taker = trader.place("BUY", "20000", "2", selfTradePreventionMode="DECREMENT")["result"]
    assert (taker["status"], taker["preventedQuantity"]) == ("EXPIRED_IN_MATCH", "2.00000000")
    shown = order_of(trader, maker)
    assert (shown["status"], shown["origQty"], shown["preventedQuantity"]) == ("NEW", "6.00000000", "2.00000000")
    asks = trader.call("depth", {"symbol": "BTCUSDT"})["result"]["asks"]
    assert ["20000.00000000", "4.00000000"] in asks
    amended = trader.signed_call("order.amend", {"symbol": "BTCUSDT", "orderId": maker, "quantity": "3"})["result"]
    assert (amended["amendedOrder"]["qty"], amended["amendedOrder"]["preventedQty"]) == ("5.00000000", "2.00000000")
    canceled = trader.signed_call("order.cancel", {"symbol": "BTCUSDT", "orderId": maker})["result"]
    assert (canceled["origQty"], canceled["preventedQuantity"]) == ("5.00000000", "2.00000000")


def test_prevented_matches_are_found_by_number_and_by_order(trader: Client, other: Client) -> None:
    maker = trader.place("SELL", "20000", "1")["result"]["orderId"]
    taker = trader.place("BUY", "20000", "3", selfTradePreventionMode="EXPIRE_BOTH")["result"]
    number = taker["preventedMatchId"]
    expected = {
        "symbol": "BTCUSDT",
        "preventedMatchId": number,
        "takerOrderId": taker["orderId"],
        "makerSymbol": "BTCUSDT",
        "makerOrderId": maker,
        "tradeGroupId": -1,
        "selfTradePreventionMode": "EXPIRE_BOTH",
        "price": "20000.00000000",
        "takerPreventedQuantity": "3.00000000",
        "makerPreventedQuantity": "1.00000000",
    }
    for which in ({"preventedMatchId": number}, {"orderId": maker}, {"orderId": taker["orderId"], "limit": 5}):
        (match,) = trader.signed_call("myPreventedMatches", {"symbol": "BTCUSDT", **which})["result"]
        assert match.pop("transactTime") == taker["transactTime"]
        assert match == expected
        assert other.signed_call("myPreventedMatches", {"symbol": "BTCUSDT", **which})["result"] == []
    later = {"symbol": "BTCUSDT", "orderId": maker, "fromPreventedMatchId": number + 1}
    assert trader.signed_call("myPreventedMatches", later)["result"] == []


def test_accounts_of_one_trade_group_do_not_trade(exchange: Exchange, trader: Client, other: Client) -> None:
    for client in (trader, other):
        exchange.admin("admin.account.set", {"name": client.account, "tradeGroup": 7})
    assert trader.signed_call("account.status")["result"]["tradeGroupId"] == 7
    for client in (trader, other):
        client.signed_call("userDataStream.subscribe.signature")
    maker = trader.place("SELL", "20000", "1")["result"]["orderId"]
    taker = other.place("BUY", "20000", "3", selfTradePreventionMode="EXPIRE_BOTH")["result"]
    assert taker["status"] == "EXPIRED_IN_MATCH"
    for client, own, counter, lost in ((trader, maker, taker["orderId"], "1"), (other, taker["orderId"], maker, "3")):
        report = reports(client)[-1]
        assert (report["x"], report["X"], report["i"], report["r"]) == (
            "TRADE_PREVENTION",
            "EXPIRED_IN_MATCH",
            own,
            "NONE",
        )
        assert (report["v"], report["u"]) == (taker["preventedMatchId"], 7)
        assert (report["U"], report["Cs"]) == (counter, "BTCUSDT")
        assert (report["A"], report["B"]) == (f"{lost}.00000000", f"{lost}.00000000")
        assert (report["pl"], report["pL"], report["pY"]) == ("1.00000000", "20000.00000000", "20000.00000000")
        assert (report["C"], report["w"]) == ("", False)
        assert report["c"] == f"ringex-{own}"
    assert reports(other)[-1]["V"] == "EXPIRE_BOTH"


def test_the_stream_tells_each_decrement_as_it_was(trader: Client) -> None:
    trader.signed_call("userDataStream.subscribe.signature")
    makers = [trader.place("SELL", price, "1")["result"]["orderId"] for price in ("20000", "20001")]
    taker = trader.place("BUY", "20001", "5", selfTradePreventionMode="DECREMENT")["result"]
    assert (taker["status"], taker["origQty"], taker["preventedQuantity"]) == ("NEW", "5.00000000", "2.00000000")
    told = [(r["i"], r["X"], r["A"], r["B"]) for r in reports(trader) if r["x"] == "TRADE_PREVENTION"]
    assert told == [
        (makers[0], "EXPIRED_IN_MATCH", "1.00000000", "1.00000000"),
        (taker["orderId"], "NEW", "1.00000000", "1.00000000"),
        (makers[1], "EXPIRED_IN_MATCH", "1.00000000", "1.00000000"),
        (taker["orderId"], "NEW", "2.00000000", "1.00000000"),
    ]


# Stops


def test_a_stop_waits_outside_the_book_and_then_works(trader: Client, other: Client) -> None:
    trade_at(trader, other, "20000")
    trader.signed_call("userDataStream.subscribe.signature")
    placed = stop(trader, "STOP_LOSS_LIMIT", "BUY", "21000", price="20500", timeInForce="GTC", newOrderRespType="FULL")
    waiting = placed["result"]
    assert (waiting["status"], waiting["stopPrice"], "workingTime" in waiting) == ("NEW", "21000.00000000", False)
    shown = order_of(trader, waiting["orderId"])
    assert (shown["isWorking"], shown["workingTime"], shown["stopPrice"]) == (False, -1, "21000.00000000")
    assert trader.call("depth", {"symbol": "BTCUSDT"})["result"]["bids"] == []
    trade_at(other, trader, "21000")
    shown = order_of(trader, waiting["orderId"])
    assert (shown["isWorking"], shown["workingTime"] >= shown["time"]) == (True, True)
    assert (shown["type"], shown["status"], shown["stopPrice"]) == ("STOP_LOSS_LIMIT", "NEW", "21000.00000000")
    assert trader.call("depth", {"symbol": "BTCUSDT"})["result"]["bids"] == [["20500.00000000", "1.00000000"]]
    own = [report for report in reports(trader) if report["i"] == waiting["orderId"]]
    assert [(r["x"], r["X"], r["w"], r["P"], "W" in r) for r in own] == [
        ("NEW", "NEW", False, "21000.00000000", False),
        ("NEW", "NEW", True, "21000.00000000", True),
    ]


def test_a_stop_loss_sells_at_market(trader: Client, other: Client) -> None:
    trade_at(trader, other, "20000")
    answer = stop(trader, "STOP_LOSS", "SELL", "19000")["result"]
    assert answer.keys() == {"symbol", "orderId", "orderListId", "clientOrderId", "transactTime"}
    other.place("BUY", "19000", "2")
    trader.place("SELL", "19000", "0.5")
    shown = order_of(trader, answer["orderId"])
    assert (shown["status"], shown["executedQty"], shown["type"]) == ("FILLED", "1.00000000", "STOP_LOSS")


def test_a_stop_that_is_due_already_is_refused_and_a_waiting_one_can_be_canceled(trader: Client, other: Client) -> None:
    trade_at(trader, other, "20000")
    due = stop(trader, "TAKE_PROFIT", "SELL", "19000")
    assert due["error"] == {"code": -2010, "msg": "Stop price would trigger immediately."}
    waiting = stop(trader, "TAKE_PROFIT_LIMIT", "SELL", "25000", price="25000", timeInForce="IOC")["result"]
    (shown,) = trader.signed_call("openOrders.status", {"symbol": "BTCUSDT"})["result"]
    assert (shown["orderId"], shown["isWorking"]) == (waiting["orderId"], False)
    canceled = trader.signed_call("order.cancel", {"symbol": "BTCUSDT", "orderId": waiting["orderId"]})["result"]
    assert (canceled["status"], canceled["stopPrice"]) == ("CANCELED", "25000.00000000")


def test_cancel_replace_places_stops_too(trader: Client, other: Client) -> None:
    trade_at(trader, other, "20000")
    order = trader.place("SELL", "30000", "1")["result"]["orderId"]
    params = {"symbol": "BTCUSDT", "side": "SELL", "type": "STOP_LOSS", "stopPrice": "15000", "quantity": "1"}
    params |= {"cancelReplaceMode": "STOP_ON_FAILURE", "cancelOrderId": order, "newOrderRespType": "RESULT"}
    both = trader.signed_call("order.cancelReplace", params)["result"]
    assert both["newOrderResponse"]["stopPrice"] == "15000.00000000"


# Icebergs


def test_an_iceberg_shows_a_part_and_is_refilled(trader: Client, other: Client) -> None:
    trader.signed_call("userDataStream.subscribe.signature")
    order = trader.place("SELL", "20000", "5", icebergQty="1", newOrderRespType="RESULT")["result"]
    assert order["icebergQty"] == "1.00000000"
    trader.place("SELL", "20000", "1")
    assert trader.call("depth", {"symbol": "BTCUSDT"})["result"]["asks"] == [["20000.00000000", "2.00000000"]]
    taker = other.place("BUY", "20000", "2.5")["result"]
    assert [fill["qty"] for fill in taker["fills"]] == ["1.00000000", "1.00000000", "0.50000000"]
    assert (taker["status"], taker["executedQty"]) == ("FILLED", "2.50000000")
    assert trader.call("depth", {"symbol": "BTCUSDT"})["result"]["asks"] == [["20000.00000000", "0.50000000"]]
    best = trader.call("ticker.book", {"symbol": "BTCUSDT"})["result"]
    assert (best["askPrice"], best["askQty"]) == ("20000.00000000", "0.50000000")
    shown = order_of(trader, order["orderId"])
    assert (shown["executedQty"], shown["icebergQty"]) == ("1.50000000", "1.00000000")
    assert reports(trader)[0]["F"] == "1.00000000"


# Halts and blocks


def test_a_halted_market_takes_cancels_only(exchange: Exchange, trader: Client) -> None:
    order = trader.place("SELL", "20000", "1")["result"]["orderId"]
    halted = exchange.admin("admin.market.set", {"symbol": "BTCUSDT", "status": "HALT"})
    assert halted == {"symbol": "BTCUSDT", "status": "HALT"}
    try:
        (info,) = trader.call("exchangeInfo", {"symbol": "BTCUSDT"})["result"]["symbols"]
        assert info["status"] == "HALT"
        for method, more in (("order.place", {}), ("order.test", {})):
            params = BTC_LIMIT | {"side": "SELL", "price": "20000", "quantity": "1"} | more
            assert trader.signed_call(method, params)["error"] == {"code": -1013, "msg": "Market is closed."}
        amend = {"symbol": "BTCUSDT", "orderId": order, "quantity": "0.5"}
        assert trader.signed_call("order.amend", amend)["error"]["msg"] == "Market is closed."
        canceled = trader.signed_call("order.cancel", {"symbol": "BTCUSDT", "orderId": order})["result"]
        assert canceled["status"] == "CANCELED"
    finally:
        exchange.admin("admin.market.set", {"symbol": "BTCUSDT", "status": "TRADING"})
    assert trader.place("SELL", "20000", "1")["status"] == 200


def test_a_killed_account_has_no_orders_and_gets_none(exchange: Exchange, trader: Client) -> None:
    for price in ("20000", "20001", "20002"):
        trader.place("SELL", price, "1")
    assert trader.signed_call("account.status")["result"]["canTrade"] is True
    killed = exchange.admin("admin.account.kill", {"name": trader.account})
    assert killed == {"account": trader.account, "status": "BLOCKED", "tradeGroup": 0, "canceled": 3}
    assert trader.signed_call("openOrders.status")["result"] == []
    status = trader.signed_call("account.status")["result"]
    assert (status["canTrade"], status["balances"][0]["free"]) == (False, "100.00000000")
    refused = trader.place("SELL", "20000", "1")["error"]
    assert refused == {"code": -2010, "msg": "This action is disabled on this account."}
    assert exchange.admin("admin.account.kill", {"name": trader.account})["canceled"] == 0
    unblocked = exchange.admin("admin.account.set", {"name": trader.account, "status": "ACTIVE"})
    assert unblocked == {"account": trader.account, "status": "ACTIVE", "tradeGroup": 0}
    assert trader.place("SELL", "20000", "1")["status"] == 200


def test_what_operators_ask_wrongly_is_said(exchange: Exchange) -> None:
    for method, params, text in (
        ("admin.account.set", {"name": "nobody"}, "There is no account 'nobody'"),
        ("admin.account.set", {"name": "fees", "status": "BLOCKED"}, "The fee account has no orders"),
        ("admin.account.kill", {"name": "fees"}, "The fee account has no orders"),
        ("admin.account.set", {"name": "demo", "status": "GONE"}, "It must be one of ACTIVE, BLOCKED"),
        ("admin.account.set", {"name": "demo", "tradeGroup": 1 << 31}, "0 to 2147483647 are allowed"),
        ("admin.market.set", {"symbol": "BTCUSDT"}, "Mandatory parameter 'status'"),
        ("admin.market.set", {"symbol": "NOPE", "status": "HALT"}, "Invalid symbol."),
    ):
        with pytest.raises(AdminError, match=text):
            exchange.admin(method, params)


def test_exchange_info_says_what_can_be_asked(exchange: Exchange) -> None:
    (info,) = exchange.client().call("exchangeInfo", {"symbol": "BTCUSDT"})["result"]["symbols"]
    assert (info["status"], info["icebergAllowed"]) == ("TRADING", True)
    assert info["orderTypes"] == [
        *("LIMIT", "MARKET", "LIMIT_MAKER", "STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT")
    ]
    assert info["defaultSelfTradePreventionMode"] == "NONE"
    modes = ["NONE", "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH", "DECREMENT"]
    assert info["allowedSelfTradePreventionModes"] == modes
