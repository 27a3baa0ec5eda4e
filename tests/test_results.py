"""Real answers of every method, held against the schemas that `/docs` shows: nothing in them that is not described,
nothing described as always there that is missing."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from exchange import Exchange, running, sign
from jsonschema import Draft202012Validator
from web_client import Stream

from ringex.adminclient import request
from ringex.config import Settings
from ringex.gateways.methods import METHODS, Security
from ringex.gateways.web.reference.results import COMPONENTS, RESULTS
from ringex.gateways.web.reference.schemas import Schema

MARKET = "BTCUSDT"
LIMIT = {"symbol": MARKET, "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01"}
SEEN: dict[str, int] = {}
"""How many answers of each method have been checked."""


def strict(schema: Any) -> Any:
    """The schema, with no fields allowed in its objects but those that it names."""
    if isinstance(schema, list):
        return [strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: strict(value) for name, value in schema.items()}
    if "properties" in schema:
        found["additionalProperties"] = False
    return found


def validator(schema: Schema) -> Draft202012Validator:
    whole = strict(deepcopy(schema)) | {"components": {"schemas": strict(deepcopy(COMPONENTS))}}
    return Draft202012Validator(whole)


class Caller:
    """A connection to the WebSocket API that checks each result."""

    def __init__(self, exchange: Exchange) -> None:
        self.stream = Stream(exchange.http, "/ws-api/v3")
        (self.key,) = exchange.keys()
        self._ids = 0

    def signed(self, params: dict[str, Any]) -> dict[str, Any]:
        whole = {"apiKey": self.key["api_key"], "timestamp": int(time.time() * 1000), **params}
        return whole | {"signature": sign(self.key["secret"], whole)}

    def __call__(self, method: str, **params: Any) -> Any:
        known = METHODS[method]
        if known.by_key_alone:
            params["apiKey"] = self.key["api_key"]
        elif known.security != Security.NONE and not known.session_only:
            params = self.signed(params)
        self._ids += 1
        self.stream.socket.send(json.dumps({"id": self._ids, "method": method, "params": params}))
        reply = self.stream.until(lambda message: message.get("id") == self._ids)
        assert reply["status"] == 200, (method, reply)
        check(method, reply["result"])
        return reply["result"]


def check(method: str, result: Any) -> None:
    errors = [f"{list(error.path)}: {error.message}" for error in validator(RESULTS[method]).iter_errors(result)]
    assert not errors, f"{method}: the answer is not as ringex/gateways/web/reference/results.py says: {errors}"
    SEEN[method] = SEEN.get(method, 0) + 1


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    folder: Path = tmp_path_factory.mktemp("results")
    with running(folder, web=True) as started:
        yield started


@pytest.fixture(scope="module")
def call(exchange: Exchange) -> Iterator[Caller]:
    made = Caller(exchange)
    yield made
    made.stream.close()


def administer(exchange: Exchange, method: str, **params: Any) -> None:
    request(Settings(exchange.data).admin_endpoint, method, params)


def test_every_method_has_a_schema() -> None:
    assert RESULTS.keys() == METHODS.keys(), "add it to ringex/gateways/web/reference/results.py"
    for schema in RESULTS.values():
        Draft202012Validator.check_schema(strict(schema))


def test_a_wrong_answer_would_be_seen() -> None:
    check("time", {"serverTime": 5})
    for wrong in ({}, {"serverTime": "5"}, {"serverTime": 5, "more": 1}):
        with pytest.raises(AssertionError, match="not as"):
            check("time", wrong)
    with pytest.raises(AssertionError, match="not as"):
        check("allOrders", [{"symbol": MARKET}])


def test_orders(call: Caller) -> None:
    resting = call("order.place", **LIMIT, side="BUY", price="20000", newOrderRespType="RESULT")
    bid = call("order.place", **LIMIT, side="BUY", price="25000", newOrderRespType="ACK")
    taken = call("order.place", symbol=MARKET, side="SELL", type="MARKET", quantity="0.004")
    assert taken["fills"]
    call("order.place", **LIMIT, side="BUY", price="21000", icebergQty="0.001", newClientOrderId="iceberg")
    good_till = LIMIT | {"timeInForce": "GTD", "goodTillDate": int(time.time() * 1000) + 10**9}
    call("order.place", **good_till, side="SELL", price="90000", newOrderRespType="FULL")
    stop = {"symbol": MARKET, "side": "SELL", "type": "STOP_LOSS_LIMIT", "timeInForce": "GTC", "quantity": "0.01"}
    call("order.place", **stop, price="19000", stopPrice="19500", newOrderRespType="RESULT")
    call("order.place", **stop, price="18000", trailingDelta=100, newOrderRespType="FULL")
    pegged = {"symbol": MARKET, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01"}
    call("order.place", **pegged, pegPriceType="PRIMARY_PEG", pegOffsetType="PRICE_LEVEL", pegOffsetValue=1)
    prevented = {"selfTradePreventionMode": "EXPIRE_TAKER", "newOrderRespType": "FULL"}
    expired = call("order.place", **LIMIT, side="SELL", price="25000", **prevented)
    assert expired["preventedMatches"]
    call("order.test", **LIMIT, side="BUY", price="20000")
    call("order.test", **LIMIT, side="BUY", price="20000", computeCommissionRates=True)
    which = {"symbol": MARKET, "orderId": resting["orderId"]}
    call("order.amend.keepPriority", **which, newQty="0.009")
    call("order.amend", **which, price="20001", newClientOrderId="amended")
    call("order.status", **which)
    for query in ("openOrders.status", "allOrders", "myTrades"):
        assert call(query, symbol=MARKET)
    assert call("order.amendments", **which)
    assert call("myPreventedMatches", symbol=MARKET, orderId=expired["orderId"])
    call("myAllocations", symbol=MARKET)
    call("countdownCancelAll", symbol=MARKET, countdownTime=600_000)
    assert call("countdownCancelAll.status")
    call("countdownCancelAll", countdownTime=0)
    replacing = {"cancelOrderId": bid["orderId"], "cancelReplaceMode": "STOP_ON_FAILURE"}
    call("order.cancelReplace", **LIMIT, **replacing, side="BUY", price="22000", newOrderRespType="FULL")
    call("order.cancel", **which)
    assert call("openOrders.cancelAll", symbol=MARKET)
    call("order.place", **LIMIT, side="BUY", price="20000")
    assert call("account.cancelAll")


def test_order_lists(call: Caller) -> None:
    """The market's last price is 25000."""
    common = {"symbol": MARKET, "newOrderRespType": "FULL"}
    above = {"aboveType": "LIMIT_MAKER", "abovePrice": "91000"}
    below = {
        "belowType": "STOP_LOSS_LIMIT",
        "belowPrice": "17000",
        "belowStopPrice": "18000",
        "belowTimeInForce": "GTC",
    }
    pair = {**common, "side": "SELL", "quantity": "0.01", **above, **below}
    placed = call("orderList.place.oco", **pair, listClientOrderId="first")
    call("order.status", symbol=MARKET, orderId=placed["orders"][0]["orderId"])
    call("orderList.status", orderListId=placed["orderListId"])
    legacy = {"price": "91000", "stopPrice": "18000", "stopLimitPrice": "17000", "stopLimitTimeInForce": "GTC"}
    call("orderList.place", **common, side="SELL", quantity="0.01", **legacy)
    working = {"workingType": "LIMIT", "workingTimeInForce": "GTC", "workingSide": "BUY", "workingPrice": "20000"}
    chain = {**common, **working, "workingQuantity": "0.01", "pendingSide": "SELL", "pendingQuantity": "0.01"}
    limit = {"pendingType": "LIMIT", "pendingTimeInForce": "GTC", "pendingPrice": "92000"}
    call("orderList.place.oto", **chain, **limit)
    pendings = {f"pending{name[0].upper()}{name[1:]}": value for name, value in (above | below).items()}
    call("orderList.place.otoco", **chain, **pendings)
    assert call("openOrderLists.status")
    assert call("openOrders.status", symbol=MARKET)
    call("orderList.cancel", symbol=MARKET, orderListId=placed["orderListId"])
    assert call("openOrders.cancelAll", symbol=MARKET)
    assert call("allOrderLists")
    assert call("allOrders", symbol=MARKET)


def test_markets(call: Caller) -> None:
    for method in ("ping", "time", "exchangeInfo", "ticker.24hr", "ticker.price", "ticker.book", "system.status"):
        call(method)
    call("contracts.exchangeInfo")
    for method in ("trades.recent", "trades.historical", "trades.aggregate", "avgPrice", "depth", "ticker", "auction"):
        assert call(method, symbol=MARKET)
    for candles in ("klines", "uiKlines"):
        assert call(candles, symbol=MARKET, interval="1d")
    for window in ("ticker", "ticker.tradingDay", "ticker.24hr"):
        for kind in ("FULL", "MINI"):
            call(window, symbols=[MARKET], type=kind)
    call("ticker.tradingDay", symbol=MARKET)
    call("ticker.book", symbol=MARKET)


def test_money(exchange: Exchange, call: Caller) -> None:
    administer(exchange, "admin.account.create", name="sub", parent="demo")
    for method, reference in (("deposit", "d1"), ("withdraw", "w1")):
        administer(exchange, f"admin.account.{method}", account="demo", asset="BTC", amount="0.1", reference=reference)
    administer(exchange, "admin.withdrawal.hold", account="demo", asset="BTC", amount="0.1", reference="w2")
    sent = {"asset": "BTC", "amount": "0.5", "toAccount": "sub", "clientTranId": "t1"}
    assert call("account.transfer", **sent)["duplicate"] is False
    assert call("account.transfer", **sent)["duplicate"] is True
    for method in ("account.transfers", "deposits.history", "withdrawals.history", "account.subAccounts"):
        assert call(method), method
    call("account.assets")
    call("account.assets", asset="ETH")
    call("account.status", omitZeroBalances=True)
    for method in ("account.rateLimits.orders", "asset.tradeFee", "asset.all"):
        assert call(method)
    call("margin.pairs")
    call("account.commission", symbol=MARKET)
    call("account.feeAsset.use", enabled=True)
    call("account.commission", symbol=MARKET)


def test_sessions(call: Caller) -> None:
    key = call("userDataStream.start")["listenKey"]
    call("userDataStream.ping", listenKey=key)
    call("userDataStream.stop", listenKey=key)
    call("session.status")
    call("userDataStream.subscribe.signature")
    call("userDataStream.unsubscribe")
    call("session.logon")
    call("session.cancelOnDisconnect", enabled=True)
    call("session.cancelOnDisconnect", enabled=False)
    call("userDataStream.subscribe")
    call("session.status")
    call("session.logout")


def test_no_method_was_forgotten() -> None:
    """After all the tests above."""
    assert SEEN.keys() == METHODS.keys(), "call it in one of the tests above"
