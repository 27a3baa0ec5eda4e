"""The ZeroMQ gateway against the real engine: replies, queries, streams, binary frames and bad input."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgpack
import numpy as np
import pytest
import zmq
from gateway_exchange import Client, Exchange, running

from ringex.messages import EVENT, ORDER_TERMS, PLACE_COMMAND, commands, words_of
from ringex.reasons import Reason
from ringex.terms import CommandKind, EventKind, OrderType, SelfTradePrevention, Side, TimeInForce


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    with running(tmp_path_factory.mktemp("gateway")) as started:
        yield started


@pytest.fixture
def buyer(exchange: Exchange) -> Client:
    return exchange.trader(USDT="1000000")


@pytest.fixture
def seller(exchange: Exchange) -> Client:
    return exchange.trader(BTC="100")


def test_public_methods_over_req(exchange: Exchange) -> None:
    client = exchange.client(zmq.REQ)
    reply = client.call("ping")
    (used,) = reply.pop("rateLimits")
    assert reply == {"id": 1, "status": 200, "result": {}}
    assert (used["rateLimitType"], used["interval"], used["intervalNum"]) == ("REQUEST_WEIGHT", "MINUTE", 1)
    assert used["count"] >= 1
    assert client.call("time")["result"]["serverTime"] > 1_600_000_000_000
    symbols = {symbol["symbol"]: symbol for symbol in client.call("exchangeInfo")["result"]["symbols"]}
    assert symbols["BTCUSDT"]["filters"][0]["filterType"] == "PRICE_FILTER"
    assert symbols["BTCUSDT"]["permissionSets"] == [["SPOT"]]


def test_ids_are_echoed_and_rate_limits_can_be_left_out(exchange: Exchange) -> None:
    client = exchange.client()
    for request_id in ("a", 0, -3, "7069b743-f477-4ae3-81db-db9b8df085d2"):
        assert client.reply_to(client.send("ping", {"returnRateLimits": False}, request_id)) == {
            "id": request_id,
            "status": 200,
            "result": {},
        }


def test_an_order_trades_and_is_seen_everywhere(buyer: Client, seller: Client) -> None:
    resting = seller.place("SELL", "20000.00", "0.5", newClientOrderId="ask-1")["result"]
    assert resting["status"] == "NEW"
    assert resting["clientOrderId"] == "ask-1"
    assert resting["fills"] == []
    taken = buyer.place("BUY", "20001", "0.2")["result"]
    assert taken["status"] == "FILLED"
    assert taken["cummulativeQuoteQty"] == "4000.00000000"
    assert taken["clientOrderId"] == f"ringex-{taken['orderId']}"
    fill = taken["fills"][0]
    assert (fill["price"], fill["qty"], fill["commissionAsset"]) == ("20000.00000000", "0.20000000", "BTC")
    assert fill["commission"] == "0.00020000"

    status = seller.signed_call("order.status", {"symbol": "BTCUSDT", "origClientOrderId": "ask-1"})["result"]
    assert (status["status"], status["executedQty"]) == ("PARTIALLY_FILLED", "0.20000000")
    by_derived = {"symbol": "BTCUSDT", "origClientOrderId": taken["clientOrderId"]}
    assert buyer.signed_call("order.status", by_derived)["result"]["orderId"] == taken["orderId"]
    assert seller.call("depth", {"symbol": "BTCUSDT"})["result"]["asks"][0] == ["20000.00000000", "0.30000000"]
    assert seller.call("ticker.book", {"symbol": "BTCUSDT"})["result"]["askQty"] == "0.30000000"
    assert seller.call("trades.recent", {"symbol": "BTCUSDT", "limit": 1})["result"][0]["qty"] == "0.20000000"
    balances = {row["asset"]: row for row in seller.signed_call("account.status")["result"]["balances"]}
    assert balances["BTC"] == {"asset": "BTC", "free": "99.50000000", "locked": "0.30000000"}
    assert balances["USDT"]["free"] == "3996.00000000"

    canceled = seller.signed_call("order.cancel", {"symbol": "BTCUSDT", "orderId": resting["orderId"]})["result"]
    assert (canceled["status"], canceled["origClientOrderId"]) == ("CANCELED", "ask-1")
    assert seller.signed_call("openOrders.status")["result"] == []


def test_amend_keeps_the_order_id(seller: Client) -> None:
    order = seller.place("SELL", "30000", "1", newClientOrderId="to-amend")["result"]
    which = {"symbol": "BTCUSDT", "orderId": order["orderId"]}
    smaller = seller.signed_call("order.amend.keepPriority", which | {"newQty": "0.4"})["result"]
    assert smaller["amendedOrder"]["qty"] == "0.40000000"
    larger = seller.signed_call("order.amend.keepPriority", which | {"newQty": "0.6"})
    assert larger["error"]["code"] == -2038
    moved = seller.signed_call("order.amend", which | {"price": "31000", "quantity": "2"})["result"]["amendedOrder"]
    assert (moved["orderId"], moved["price"], moved["qty"]) == (order["orderId"], "31000.00000000", "2.00000000")
    off = seller.signed_call("order.amend", which | {"price": "31000.001"})["error"]
    assert off["msg"].startswith("Filter failure: PRICE_FILTER: price 31000.001 is not a multiple of 0.01; 31000 or")
    assert len(seller.signed_call("openOrders.cancelAll", {"symbol": "BTCUSDT"})["result"]) == 1
    assert seller.signed_call("openOrders.cancelAll", {"symbol": "BTCUSDT"})["error"]["code"] == -2011


def test_two_ids_must_be_those_of_one_order(seller: Client) -> None:
    first = seller.place("SELL", "41000", "0.1", newClientOrderId="two-ids-1")["result"]["orderId"]
    second = seller.place("SELL", "41000", "0.1")["result"]["orderId"]
    which = {"symbol": "BTCUSDT", "orderId": first, "origClientOrderId": "another"}
    for wrong in (which, which | {"origClientOrderId": f"ringex-{second}"}):
        assert seller.signed_call("order.status", wrong)["error"]["code"] == -2039
        assert seller.signed_call("order.cancel", wrong)["error"]["code"] in (-2011, -2039)
        assert seller.signed_call("order.amend", wrong | {"price": "42000"})["error"]["code"] in (-2011, -2039)
    assert seller.signed_call("order.status", which | {"origClientOrderId": "two-ids-1"})["result"]["status"] == "NEW"
    canceled = seller.signed_call("order.cancel", which | {"origClientOrderId": "two-ids-1"})["result"]
    assert (canceled["orderId"], canceled["status"]) == (first, "CANCELED")
    closed = seller.signed_call("order.status", which | {"origClientOrderId": "two-ids-1"})["result"]
    assert (closed["status"], closed["isWorking"]) == ("CANCELED", True)
    derived = {"symbol": "BTCUSDT", "orderId": second, "origClientOrderId": f"ringex-{second}"}
    assert seller.signed_call("order.cancel", derived)["result"]["orderId"] == second


def test_cancel_replace_in_all_its_outcomes(seller: Client) -> None:
    order = seller.place("SELL", "30000", "1")["result"]
    new = {"symbol": "BTCUSDT", "side": "SELL", "type": "LIMIT", "timeInForce": "GTC", "price": "30500"}
    new |= {"quantity": "1", "cancelReplaceMode": "STOP_ON_FAILURE", "cancelOrderId": order["orderId"]}
    both = seller.signed_call("order.cancelReplace", new)["result"]
    assert (both["cancelResult"], both["newOrderResult"]) == ("SUCCESS", "SUCCESS")
    assert both["newOrderResponse"]["price"] == "30500.00000000"
    neither = seller.signed_call("order.cancelReplace", new)
    assert (neither["status"], neither["error"]["code"]) == (400, -2022)
    assert neither["error"]["data"]["newOrderResult"] == "NOT_ATTEMPTED"
    assert neither["error"]["data"]["cancelResponse"] == {"code": -2011, "msg": "Unknown order sent."}
    half = seller.signed_call("order.cancelReplace", new | {"cancelReplaceMode": "ALLOW_FAILURE"})
    assert (half["status"], half["error"]["code"]) == (409, -2021)
    assert half["error"]["data"]["newOrderResponse"]["status"] == "NEW"
    assert len(seller.signed_call("openOrders.cancelAll", {"symbol": "BTCUSDT"})["result"]) == 2


def test_market_orders_by_quantity_and_by_quote_amount(buyer: Client, seller: Client) -> None:
    seller.place("SELL", "20000", "1")
    market = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET"}
    by_quote = buyer.signed_call("order.place", market | {"quoteOrderQty": "1000"})["result"]
    assert (by_quote["status"], by_quote["origQty"]) == ("FILLED", "0.05000000")
    assert by_quote["origQuoteOrderQty"] == "1000.00000000"
    by_base = buyer.signed_call("order.place", market | {"quantity": "2"})["result"]
    assert (by_base["status"], by_base["executedQty"]) == ("EXPIRED", "0.95000000")


def test_the_same_signed_request_never_makes_a_second_order(seller: Client) -> None:
    params = {"symbol": "BTCUSDT", "side": "SELL", "type": "LIMIT", "timeInForce": "GTC", "price": "40000"}
    request = seller.signed(params | {"quantity": "1", "newClientOrderId": "only-once"})
    first = seller.call("order.place", request)["result"]
    again = seller.call("order.place", request)["result"]
    assert again["duplicate"] is True
    assert again["orderId"] == first["orderId"]
    assert len(seller.signed_call("openOrders.cancelAll", {"symbol": "BTCUSDT"})["result"]) == 1


def test_a_refusal_is_repeated_as_a_duplicate(seller: Client) -> None:
    params = {"symbol": "BTCUSDT", "side": "SELL", "type": "LIMIT", "timeInForce": "GTC", "price": "40000"}
    request = seller.signed(params | {"quantity": "5000", "newClientOrderId": "too-much"})
    text = "Account has insufficient balance for requested action."
    error = seller.call("order.place", request)["error"]
    assert (error["code"], error["msg"], error["data"]["asset"]) == (-2010, text, "BTC")
    assert seller.call("order.place", request)["error"] == {"code": -2010, "msg": text, "data": {"duplicate": True}}


def test_what_the_balance_would_pay_for_is_said_and_passes(seller: Client) -> None:
    # Far from the other side, so that nothing trades; a lot more than what is said does not pass.
    params = {"symbol": "BTCUSDT", "side": "SELL", "type": "LIMIT", "timeInForce": "GTC", "price": "45000"}
    asked = seller.signed_call("order.place", params | {"quantity": "5000"})["error"]
    passing = asked["data"]["quantity"]
    above = format(Decimal(passing) + Decimal("0.00001"), "f")
    refused = seller.signed_call("order.place", params | {"quantity": above})["error"]
    assert refused == asked
    assert seller.signed_call("order.place", params | {"quantity": passing})["status"] == 200
    assert seller.signed_call("openOrders.cancelAll", {"symbol": "BTCUSDT"})["status"] == 200
    bid = params | {"side": "BUY", "price": "20000", "quantity": "1"}  # of a seller who has no USDT at all
    data = {"asset": "USDT", "free": "0.00000000", "quantity": "0.00000000"}
    assert seller.signed_call("order.place", bid)["error"]["data"] == data


def test_a_query_waits_for_what_its_connection_sent(seller: Client) -> None:
    orders = [seller.signed({"symbol": "BTCUSDT", "side": "SELL", "type": "LIMIT", "timeInForce": "GTC"})]
    params = {"symbol": "BTCUSDT", "side": "SELL", "type": "LIMIT", "timeInForce": "GTC", "price": "50000"}
    orders = [seller.signed(params | {"quantity": "0.1", "newClientOrderId": f"p-{n}"}) for n in range(50)]
    for order in orders:
        seller.send("order.place", order)
    query = seller.send("openOrders.status", seller.signed({"symbol": "BTCUSDT"}))
    assert [order["clientOrderId"] for order in seller.reply_to(query)["result"]] == [f"p-{n}" for n in range(50)]
    assert len(seller.signed_call("openOrders.cancelAll", {"symbol": "BTCUSDT"})["result"]) == 50


def test_a_session_needs_no_signatures(exchange: Exchange, seller: Client) -> None:
    assert seller.call("account.status")["error"]["code"] == -1102
    logon = seller.signed_call("session.logon")["result"]
    assert logon["apiKey"] == seller.key
    assert {row["asset"] for row in seller.call("account.status")["result"]["balances"]} == {"BTC"}
    other = exchange.client()
    assert other.call("session.status")["result"]["apiKey"] is None
    seller.call("session.logout")
    assert seller.call("account.status")["error"]["code"] == -1102


def test_a_socket_that_names_itself_cannot_log_on(exchange: Exchange, seller: Client) -> None:
    seller.socket.disconnect(exchange.endpoint)
    seller.socket.setsockopt(zmq.ROUTING_ID, b"mine")
    seller.socket.connect(exchange.endpoint)
    assert "ZMQ_ROUTING_ID" in seller.signed_call("session.logon")["error"]["msg"]


def test_user_stream_of_both_sides(buyer: Client, seller: Client) -> None:
    for client in (buyer, seller):
        assert client.signed_call("userDataStream.subscribe.signature")["result"]["subscriptionId"] == 0
    seller.place("SELL", "20000", "0.5", newClientOrderId="streamed")
    buyer.place("BUY", "20000", "0.2")
    seller.signed_call("order.cancel", {"symbol": "BTCUSDT", "origClientOrderId": "streamed"})
    assert [_brief(push["event"]) for push in seller.pushed] == [
        ("executionReport", "NEW", "NEW", "streamed", ""),
        ("outboundAccountPosition", ["BTC"]),
        ("executionReport", "TRADE", "PARTIALLY_FILLED", "streamed", ""),
        ("outboundAccountPosition", ["BTC", "USDT"]),
        ("executionReport", "CANCELED", "CANCELED", seller.pushed[4]["event"]["c"], "streamed"),
        ("outboundAccountPosition", ["BTC"]),
    ]
    trade = seller.pushed[2]["event"]
    assert (trade["m"], trade["l"], trade["L"], trade["N"]) == (True, "0.20000000", "20000.00000000", "USDT")
    assert (trade["n"], trade["w"], trade["z"]) == ("4.00000000", True, "0.20000000")
    assert [_brief(push["event"])[:3] for push in buyer.pushed if push["event"]["e"] == "executionReport"] == [
        ("executionReport", "NEW", "NEW"),
        ("executionReport", "TRADE", "FILLED"),
    ]


def test_user_stream_of_deposits_ends_when_unsubscribed(exchange: Exchange) -> None:
    client = exchange.trader()
    client.signed_call("userDataStream.subscribe.signature")
    exchange.admin("admin.account.deposit", {"account": client.account, "asset": "IDR", "amount": "5000"})
    client.call("ping")
    assert [push["event"]["e"] for push in client.pushed] == ["outboundAccountPosition", "balanceUpdate"]
    assert client.pushed[1]["event"]["d"] == "5000.00000000"
    assert client.call("userDataStream.unsubscribe")["result"] == {}
    exchange.admin("admin.account.deposit", {"account": client.account, "asset": "IDR", "amount": "5000"})
    client.call("ping")
    assert len(client.pushed) == 2


def _brief(event: dict[str, Any]) -> tuple[Any, ...]:
    if event["e"] == "executionReport":
        return (event["e"], event["x"], event["X"], event["c"], event["C"])
    return (event["e"], [row["a"] for row in event["B"]])


def test_binary_commands_come_back_as_events_with_the_clients_correlations(seller: Client) -> None:
    records = _binary_orders(300)
    seller.signed_call("session.logon")
    seller.socket.send_multipart([b"RXB1", records.view("V256").tobytes()])
    events = _binary_events(seller, 300)
    assert events["correlation"].tolist() == records["correlation"].tolist()
    assert (events["kind"] == EventKind.ACCEPTED).all()
    assert len(seller.signed_call("openOrders.cancelAll", {"symbol": "BTCUSDT"})["result"]) == 300


def test_binary_orders_may_be_stops_and_icebergs(seller: Client) -> None:
    records = _binary_orders(2)
    records["self_trade_prevention"] = SelfTradePrevention.EXPIRE_BOTH
    records["iceberg_quantity"] = (400, 2000)
    records.view(PLACE_COMMAND)["strategy_id"] = (1 << 62) + 1
    records.view(PLACE_COMMAND)["strategy_type"] = 1_000_000
    seller.signed_call("session.logon")
    seller.socket.send_multipart([b"RXB1", records.view("V256").tobytes()])
    accepted, refused = _binary_events(seller, 2)
    assert (refused["kind"], refused["reason"]) == (EventKind.REJECTED, Reason.INVALID_ICEBERG)
    terms = np.frombuffer(accepted.tobytes(), ORDER_TERMS)[0]
    assert (terms["iceberg_quantity"], terms["level_quantity"]) == (400, 400)
    assert terms["self_trade_prevention"] == SelfTradePrevention.EXPIRE_BOTH
    assert (terms["strategy_id"], terms["strategy_type"]) == ((1 << 62) + 1, 1_000_000)
    assert len(seller.signed_call("openOrders.cancelAll", {"symbol": "BTCUSDT"})["result"]) == 1


def test_binary_frames_are_checked(seller: Client) -> None:
    good = _binary_orders(3)
    seller.socket.send_multipart([b"RXB1", good.view("V256").tobytes()])
    assert seller.receive()["error"]["code"] == -2015
    seller.signed_call("session.logon")
    for frame, text in [
        (b"x" * 100, "100 bytes"),
        (b"", "0 bytes"),
        (_changed(good, "kind", 1, CommandKind.DEPOSIT), "'kind' is not valid. Record 1"),
        (_changed(good, "client_order_id", 2, words_of("ringex-5")), "Record 2: Ids that begin with"),
        (_changed(good, "client_order_id", 0, words_of("a b")), "Record 0: It may hold"),
        (_changed(good, "timestamp_us", 1, 1 << 60), "1 s or more ahead"),
    ]:
        seller.socket.send_multipart([b"RXB1", frame])
        assert text in seller.receive()["error"]["msg"]
    assert seller.signed_call("openOrders.status")["result"] == []


def _binary_orders(count: int) -> np.ndarray:
    records = commands(count)
    records["kind"] = CommandKind.PLACE
    records["side"] = Side.SELL
    records["order_type"] = OrderType.LIMIT
    records["time_in_force"] = TimeInForce.GTC
    records["price"] = 6_000_000 + np.arange(count)
    records["quantity"] = 1000
    records["correlation"] = 77_000 + 3 * np.arange(count)
    records["account"] = 1  # overwritten: nobody acts for another account
    return records


def _changed(records: np.ndarray, name: str, index: int, value: Any) -> bytes:
    changed = records.copy()
    changed[name][index] = value
    return changed.view("V256").tobytes()


def _binary_events(client: Client, count: int) -> np.ndarray:
    parts: list[bytes] = []
    while sum(map(len, parts)) < count * EVENT.itemsize:
        magic, part = client.socket.recv_multipart()
        assert magic == b"RXB1"
        parts.append(part)
    return np.frombuffer(b"".join(parts), EVENT)


@pytest.mark.parametrize(
    ("frames", "text"),
    [
        ([b"\xc1"], "not msgpack"),
        ([b""], "not msgpack"),
        ([msgpack.packb([1, 2])], "must be a map"),
        ([msgpack.packb({"id": 1})], "'method' must be"),
        ([msgpack.packb({"id": 1, "method": 5})], "'method' must be"),
        ([msgpack.packb({"id": 1, "method": "ping", "params": [1]})], "'params' must be a map"),
        ([msgpack.packb({"id": 1.5, "method": "ping"})], "'id' must be"),
        ([msgpack.packb({"id": "x" * 300, "method": "ping"})], "'id' must be"),
        ([msgpack.packb({"id": 1, "method": "order.destroy"})], "There is no method 'order.destroy'"),
        ([msgpack.packb({"id": 1, "method": "admin.status"})], "There is no method 'admin.status'"),
        ([b"a", b"b", b"c"], "3 frames"),
        ([b"RXB1", b"", b""], "3 frames"),
    ],
)
def test_malformed_messages_are_answered_and_the_gateway_goes_on(
    exchange: Exchange, frames: list[bytes], text: str
) -> None:
    client = exchange.client()
    client.socket.send_multipart(frames)
    assert text in client.receive()["error"]["msg"]
    assert client.call("ping")["status"] == 200


def test_an_oversized_frame_costs_its_sender_the_connection_only(exchange: Exchange) -> None:
    client, other = exchange.client(), exchange.client()
    client.socket.send(b"x" * (3 << 20))
    assert other.call("ping")["status"] == 200


def test_bad_signatures_stale_timestamps_and_missing_scopes(exchange: Exchange, seller: Client) -> None:
    request = seller.signed({})
    assert seller.call("account.status", request | {"signature": "0" * 64})["error"]["code"] == -1022
    assert seller.call("account.status", request | {"recvWindow": 6000})["error"]["code"] == -1022
    stale = seller.signed_call("account.status", {"timestamp": 1_600_000_000_000})["error"]
    assert stale["code"] == -1021
    assert "ms behind; recvWindow is 5000 ms" in stale["msg"]
    ahead = seller.signed_call("account.status", {"timestamp": 4_000_000_000_000})["error"]
    assert "1000ms ahead of the server's time" in ahead["msg"]
    seller.key = "f" * 64
    assert seller.signed_call("account.status")["error"]["code"] == -2015
    reader = exchange.client()
    made = exchange.admin("admin.keys.create", {"account": "reader", "scopes": ["USER_DATA"]})
    reader.key, reader.secret = made["apiKey"], made["secretKey"]
    assert reader.signed_call("account.status")["status"] == 200
    refused = reader.place("SELL", "20000", "1")
    assert (refused["status"], refused["error"]["code"]) == (401, -2015)
    assert "lacks the scope TRADE" in refused["error"]["msg"]


def test_what_expires_on_its_way_says_by_how_much(exchange: Exchange, seller: Client) -> None:
    order = {"symbol": "BTCUSDT", "side": "SELL", "type": "LIMIT", "timeInForce": "GTC"}
    order |= {"price": "41000", "quantity": "0.1", "recvWindow": 1500}
    with exchange.engine.lock:
        asked = seller.send("order.place", seller.signed(order))
        time.sleep(1.6)
    error = seller.reply_to(asked)["error"]
    assert error["code"] == -1021
    assert re.fullmatch(r"Timestamp .* recvWindow\. It ran out [0-9]+ ms before the matcher took it\.", error["msg"])


def test_deposits_are_booked_once_by_reference(exchange: Exchange) -> None:
    exchange.admin("admin.account.create", {"name": "saver"})
    params = {"account": "saver", "asset": "USDT", "amount": "12.5", "reference": "wire-1"}
    assert exchange.admin("admin.account.deposit", params)["free"] == "12.50000000"
    assert exchange.admin("admin.account.deposit", params)["duplicate"] is True
    taken = exchange.admin("admin.account.withdraw", params | {"amount": "2.5"})
    assert taken["free"] == "10.00000000"
    assert exchange.admin("admin.status", {})["gateway"] == 0


def test_assets_and_markets_are_added_while_it_runs(exchange: Exchange, seller: Client) -> None:
    exchange.admin("admin.asset.add", {"name": "DOGE", "scale": 8})
    market = {"symbol": "DOGEUSDT", "base": "DOGE", "quote": "USDT", "tickSize": "0.0001", "stepSize": "1"}
    market |= {"minPrice": "0.0001", "maxPrice": "1000", "minQty": "1", "maxQty": "1000000", "minNotional": "1"}
    market |= {"maxNotional": "1000000", "makerFee": "-0.0001", "takerFee": "0.001", "maxNumOrders": 200}
    assert exchange.admin("admin.market.add", market)["symbol"] == "DOGEUSDT"
    info = seller.call("exchangeInfo", {"symbol": "DOGEUSDT"})["result"]["symbols"][0]
    assert info["filters"][0]["tickSize"] == "0.00010000"


def test_what_is_not_answered_in_time_is_unknown(
    exchange: Exchange, seller: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ringex.gateways.gateway.ANSWER_SECONDS", 0.2)
    with exchange.engine.lock:
        order = seller.send("order.place", seller.signed(_order_params("late")))
        query = seller.send("openOrders.status", seller.signed({}))
        replies = [seller.reply_to(order), seller.reply_to(query)]
    for reply in replies:
        assert (reply["status"], reply["error"]["code"]) == (504, -1007)
        assert reply["error"]["msg"].startswith("Timeout waiting for response from backend server.")
    monkeypatch.undo()
    truth = seller.signed_call("order.status", {"symbol": "BTCUSDT", "origClientOrderId": "late"})["result"]
    assert truth["status"] == "NEW"


def test_a_full_command_ring_is_said_at_once(exchange: Exchange, seller: Client) -> None:
    seller.signed_call("session.logon")
    with exchange.engine.lock:
        for _ in range(4):
            seller.socket.send_multipart([b"RXB1", _binary_orders(300).view("V256").tobytes()])
        refused = seller.receive()
        assert (refused["status"], refused["error"]["code"]) == (503, -1008)
    assert (_binary_events(seller, 900)["kind"] == EventKind.ACCEPTED).all()


def _order_params(client_order_id: str) -> dict[str, str]:
    params = {"symbol": "BTCUSDT", "side": "SELL", "type": "LIMIT", "timeInForce": "GTC", "price": "50000"}
    return params | {"quantity": "1", "newClientOrderId": client_order_id}
