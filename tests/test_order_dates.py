"""GTD, trailing stops and pegged orders as clients see them: parameters, replies, streams, refusals."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from gateway_exchange import Client, Exchange, running


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    with running(tmp_path_factory.mktemp("dates")) as running_exchange:
        yield running_exchange


@pytest.fixture
def trader(exchange: Exchange) -> Iterator[Client]:
    client = exchange.trader(BTC="100", USDT="5000000")
    yield client
    client.signed_call("openOrders.cancelAll", {"symbol": "BTCUSDT"})


def place(client: Client, **params: Any) -> dict[str, Any]:
    usual = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "quantity": "1", "newOrderRespType": "RESULT"}
    return client.signed_call("order.place", usual | params)


def reports(client: Client) -> list[dict[str, Any]]:
    client.call("ping")
    return [push["event"] for push in client.pushed if push["event"]["e"] == "executionReport"]


def test_a_dated_order_says_until_when(trader: Client) -> None:
    trader.signed_call("userDataStream.subscribe.signature")
    until = int(time.time() * 1000) + 3_600_000
    placed = place(trader, price="15000", timeInForce="GTD", goodTillDate=until)["result"]
    assert (placed["timeInForce"], placed["goodTillDate"]) == ("GTD", until)
    assert reports(trader)[-1]["gtd"] == until
    (held,) = trader.signed_call("openOrders.status", {"symbol": "BTCUSDT"})["result"]
    assert held["goodTillDate"] == until
    maker = place(trader, type="LIMIT_MAKER", price="15000", timeInForce="GTD", goodTillDate=until)
    assert maker["result"]["goodTillDate"] == until


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"price": "15000", "timeInForce": "GTD"}, -1102),
        ({"price": "15000", "timeInForce": "GTD", "goodTillDate": 1}, -1130),
        ({"price": "15000", "timeInForce": "GTD", "goodTillDate": 1 << 62}, -1130),
        ({"price": "15000", "timeInForce": "GTC", "goodTillDate": 4_000_000_000_000}, -1106),
        ({"price": "15000", "timeInForce": "GTC", "trailingDelta": 100}, -1106),
        ({"type": "STOP_LOSS"}, -1102),
        ({"type": "STOP_LOSS", "trailingDelta": 10_000}, -1130),
        ({"type": "STOP_LOSS", "trailingDelta": 0}, -1130),
        ({"timeInForce": "GTC", "price": "15000", "pegPriceType": "PRIMARY_PEG"}, -1106),
        ({"timeInForce": "IOC", "pegPriceType": "PRIMARY_PEG"}, -1130),
        ({"timeInForce": "GTC", "pegPriceType": "MIDDLE"}, -1130),
        ({"timeInForce": "GTC", "price": "15000", "pegOffsetValue": 1, "pegOffsetType": "PRICE_LEVEL"}, -1106),
        ({"timeInForce": "GTC", "pegPriceType": "MARKET_PEG", "pegOffsetValue": 1}, -1102),
        (
            {"timeInForce": "GTC", "pegPriceType": "MARKET_PEG", "pegOffsetValue": 101, "pegOffsetType": "PRICE_LEVEL"},
            -1130,
        ),
        ({"type": "LIMIT_MAKER", "pegPriceType": "MARKET_PEG"}, -1130),
        ({"timeInForce": "GTC", "pegPriceType": "PRIMARY_PEG"}, -2010),  # an empty book
    ],
)
def test_what_cannot_be_is_refused(trader: Client, params: dict[str, Any], code: int) -> None:
    reply = place(trader, **params)
    assert reply["status"] == 400 and reply["error"]["code"] == code, reply


def test_a_trailing_stop_shows_its_delta(trader: Client) -> None:
    trader.signed_call("userDataStream.subscribe.signature")
    placed = place(trader, type="STOP_LOSS", side="SELL", trailingDelta=250)["result"]
    assert placed["trailingDelta"] == 250 and "stopPrice" not in placed and "workingTime" not in placed
    assert reports(trader)[-1]["d"] == 250
    shown = trader.signed_call("order.status", {"symbol": "BTCUSDT", "orderId": placed["orderId"]})["result"]
    assert (shown["trailingDelta"], shown["isWorking"]) == (250, False)


def test_a_pegged_order_shows_the_price_that_it_found(trader: Client) -> None:
    trader.signed_call("userDataStream.subscribe.signature")
    for price in ("15000", "14000"):
        place(trader, price=price, timeInForce="GTC")
    peg = {"pegPriceType": "PRIMARY_PEG", "pegOffsetType": "PRICE_LEVEL", "pegOffsetValue": 1}
    placed = place(trader, timeInForce="GTC", **peg)["result"]
    assert (placed["price"], placed["peggedPrice"]) == ("0.00000000", "14000.00000000")
    assert {name: placed[name] for name in peg} == peg
    report = reports(trader)[-1]
    assert (report["gP"], report["gp"], report["gOV"]) == ("PRIMARY_PEG", "14000.00000000", 1)
    bids = trader.call("depth", {"symbol": "BTCUSDT"})["result"]["bids"]
    assert ["14000.00000000", "2.00000000"] in bids


def test_exchange_info_says_so(trader: Client) -> None:
    (symbol,) = trader.call("exchangeInfo", {"symbol": "BTCUSDT"})["result"]["symbols"]
    assert symbol["allowTrailingStop"] is True and symbol["pegInstructionsAllowed"] is True
