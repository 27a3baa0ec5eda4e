"""Filters, auctions and pauses as operators set them and clients of a gateway see them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from gateway_exchange import Client, Exchange, running

from ringex.adminclient import AdminError

OFF = {
    **dict.fromkeys(("bidMultiplierUp", "askMultiplierDown", "maxPosition", "referencePrice", "breakerBand"), "0"),
    **dict.fromkeys(("maxNumAlgoOrders", "maxMarketQty", "avgPriceMins"), "0"),
    "applyMinToMarket": False,
}


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    with running(tmp_path_factory.mktemp("markets")) as running_exchange:
        yield running_exchange


@pytest.fixture
def traders(exchange: Exchange) -> Iterator[tuple[Client, Client]]:
    """Two with an empty book and without filters before and after."""
    pair = exchange.trader(BTC="100", USDT="50000000"), exchange.trader(BTC="100", USDT="50000000")
    yield pair
    for trader in pair:
        trader.signed_call("openOrders.cancelAll", {"symbol": "BTCUSDT"})
    exchange.admin("admin.market.set", {"symbol": "BTCUSDT"} | OFF)
    exchange.admin("admin.market.set", {"symbol": "BTCUSDT", "status": "TRADING"})


def settings(exchange: Exchange, **values: Any) -> dict[str, Any]:
    return exchange.admin("admin.market.set", {"symbol": "BTCUSDT"} | values)


def filter_shown(client: Client, kind: str) -> dict[str, Any] | None:
    info = client.call("exchangeInfo", {"symbol": "BTCUSDT"})["result"]["symbols"][0]
    return next((found for found in info["filters"] if found["filterType"] == kind), None)


def refusal(reply: dict[str, Any]) -> tuple[int, str]:
    return reply["error"]["code"], reply["error"]["msg"]


def test_filters_are_set_shown_and_taken_away(exchange: Exchange, traders: tuple[Client, Client]) -> None:
    client = traders[0]
    told = settings(exchange, maxPosition="100.5", maxNumAlgoOrders="2", applyMinToMarket=True)
    assert told == {"symbol": "BTCUSDT", "maxPosition": "100.5", "maxNumAlgoOrders": 2, "applyMinToMarket": True}
    assert settings(exchange, maxNumAlgoOrders=0).keys() == {"symbol", "maxPosition", "applyMinToMarket"}
    shown = filter_shown(client, "MAX_POSITION")
    assert shown is not None and float(shown["maxPosition"]) == 100.5
    assert filter_shown(client, "MAX_NUM_ALGO_ORDERS") is None
    notional = filter_shown(client, "NOTIONAL")
    assert notional is not None and notional["applyMinToMarket"]


def test_a_refusal_names_the_filter_and_what_would_pass(exchange: Exchange, traders: tuple[Client, Client]) -> None:
    client = traders[0]
    settings(exchange, maxPosition="100.5", bidMultiplierUp="1.2", referencePrice="20000", maxMarketQty="0.3")
    assert refusal(client.place("BUY", "19000", "0.6")) == (
        -1013,
        "Filter failure: MAX_POSITION: at most 100.5 BTC may be had, free and locked and in open BUY orders of BTCUSDT",
    )
    code, text = refusal(client.place("BUY", "24001", "0.1"))
    assert code == -1013 and text.startswith("Filter failure: PERCENT_PRICE_BY_SIDE: a BUY of 0 to 1.2 times")
    market = {"symbol": "BTCUSDT", "side": "SELL", "type": "MARKET", "quantity": "0.4"}
    code, text = refusal(client.signed_call("order.test", market))
    assert (code, text) == (
        -1013,
        "Filter failure: MARKET_LOT_SIZE: quantity 0.4 is above the maximum 0.3; 0 to 0.3 would pass",
    )


def test_an_auction_from_first_order_to_uncross(exchange: Exchange, traders: tuple[Client, Client]) -> None:
    buyer, seller = traders
    assert settings(exchange, status="AUCTION") == {"symbol": "BTCUSDT", "status": "AUCTION"}
    seller.signed_call("userDataStream.subscribe.signature")
    sold = seller.place("SELL", "20000", "0.5")["result"]
    assert sold["status"] == "NEW"
    bought = buyer.place("BUY", "20100", "0.7")["result"]
    assert (bought["status"], bought["fills"]) == ("NEW", [])  # the book crosses, and nothing trades
    would = buyer.call("auction", {"symbol": "BTCUSDT"})["result"]
    assert (would["status"], would["side"]) == ("AUCTION", "BUY")
    assert [float(would[name]) for name in ("price", "quantity", "imbalance")] == [20000, 0.5, 0.2]
    refused = buyer.signed_call(
        "order.place", {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.1"}
    )
    assert refusal(refused)[0] == -2010
    assert settings(exchange, status="TRADING")["status"] == "TRADING"
    status = buyer.signed_call("order.status", {"symbol": "BTCUSDT", "orderId": bought["orderId"]})["result"]
    assert (status["status"], float(status["executedQty"])) == ("PARTIALLY_FILLED", 0.5)
    after = buyer.call("auction", {"symbol": "BTCUSDT"})["result"]
    assert (after["status"], after["side"], float(after["price"])) == ("TRADING", "NONE", 0)
    (trade,) = buyer.call("trades.recent", {"symbol": "BTCUSDT", "limit": 1})["result"]
    assert float(trade["qty"]) == 0.5 and not trade["isBuyerMaker"]  # the seller's order is the older one
    depth = buyer.call("depth", {"symbol": "BTCUSDT"})["result"]
    assert [[float(price), float(quantity)] for price, quantity in depth["bids"]] == [[20100.0, 0.2]]
    assert depth["asks"] == []
    seller.call("ping")
    report = [push["event"] for push in seller.pushed if push["event"]["e"] == "executionReport"][-1]
    assert (report["x"], report["X"], report["m"], report["i"]) == ("TRADE", "FILLED", True, sold["orderId"])


def test_the_average_price_is_over_the_filters_minutes(exchange: Exchange, traders: tuple[Client, Client]) -> None:
    buyer, seller = traders
    settings(exchange, avgPriceMins="2")
    seller.place("SELL", "20000", "0.1")
    buyer.place("BUY", "20000", "0.1")
    average = buyer.call("avgPrice", {"symbol": "BTCUSDT"})["result"]
    assert average["mins"] == 2 and float(average["price"]) > 0


def test_the_breaker_halts_and_an_operator_resumes(exchange: Exchange, traders: tuple[Client, Client]) -> None:
    buyer, seller = traders
    seller.place("SELL", "20000", "0.1")
    buyer.place("BUY", "20000", "0.1")
    settings(exchange, breakerBand="0.05", breakerWindowSeconds=60, breakerPauseSeconds=3600)
    seller.place("SELL", "22000", "0.1")
    assert buyer.place("BUY", "22000", "0.1")["result"]["status"] == "NEW"
    assert buyer.call("exchangeInfo", {"symbol": "BTCUSDT"})["result"]["symbols"][0]["status"] == "HALT"
    assert refusal(seller.place("SELL", "22000", "0.1")) == (-1013, "Market is closed.")
    settings(exchange, status="TRADING")
    (trade,) = buyer.call("trades.recent", {"symbol": "BTCUSDT", "limit": 1})["result"]
    assert float(trade["price"]) == 22000


def test_rules_change_while_the_market_runs(exchange: Exchange, traders: tuple[Client, Client]) -> None:
    buyer, seller = traders
    before = filter_shown(buyer, "PRICE_FILTER")
    assert before is not None and float(before["tickSize"]) == 0.01
    assert seller.place("SELL", "20000.03", "0.1")["status"] == 200
    told = settings(exchange, tickSize="0.5", minPrice="0.5", makerFee="-0.0001", maxNumOrders="50")
    assert told == {
        "symbol": "BTCUSDT",
        "tickSize": "0.5",
        "minPrice": "0.5",
        "makerFee": "-0.0001",
        "maxNumOrders": 50,
        "status": "TRADING",
    }
    after = filter_shown(buyer, "PRICE_FILTER")
    assert after is not None and (float(after["tickSize"]), after["maxPrice"]) == (0.5, before["maxPrice"])
    code, text = refusal(buyer.place("BUY", "20000.03", "0.1"))
    assert code == -1013 and text.endswith("is not a multiple of 0.5; 20000 or 20000.5 would pass")
    bought = buyer.place("BUY", "20000.5", "0.1")["result"]
    assert [float(fill["price"]) for fill in bought["fills"]] == [20000.03]
    settings(exchange, tickSize="0.01", minPrice="0.01", makerFee="0.001", maxNumOrders="200")


def test_a_market_is_added_with_its_filters_and_trades(exchange: Exchange, traders: tuple[Client, Client]) -> None:
    buyer, seller = traders
    rules = {"symbol": "BTCEUR", "base": "BTC", "quote": "EUR", "tickSize": "0.5", "stepSize": "0.02"}
    rules |= {"maxPrice": "100000", "maxQty": "50"}
    with pytest.raises(AdminError, match=r"There is no asset 'EUR'. There are: BTC, "):
        exchange.admin("admin.market.add", rules)
    assert exchange.admin("admin.asset.add", {"name": "EUR", "scale": 2})["asset"] == "EUR"
    assert exchange.admin("admin.asset.list", {})["EUR"] == 2
    filters = {"maxPosition": "120", "referencePrice": "20000", "bidMultiplierUp": "1.5", "maxNumIcebergOrders": 2}
    for wrong, text in (
        (
            {"maxPrice": "0.7"},
            "scales, tick, lot or bounds do not fit together. maxPrice: must be a multiple of tick",
        ),
        ({"minQty": "60"}, "minQty: must be above 0 and at most maxQty"),
        ({"stepSize": "0.0001"}, "tickSize: tick × lot must be a whole number of the smallest unit of EUR"),
        ({"referencePrice": "100000.5"}, "The market's filters do not fit together. referencePrice: must be at most"),
        ({"maxPositon": "1"}, "Unknown: maxPositon. Did you mean maxPosition?"),
        ({"symbol": "BTC USDT"}, "Up to 24 ASCII characters without spaces are allowed"),
        ({"symbol": "BTCUSDT"}, "It exists already."),
    ):
        with pytest.raises(AdminError) as refused:
            exchange.admin("admin.market.add", rules | filters | wrong)
        assert text in str(refused.value)
    assert "BTCEUR" not in exchange.admin("admin.market.list", {}), "nothing is added by halves"
    added = exchange.admin("admin.market.add", rules | filters | {"status": "PRE_OPEN"})
    number = added.pop("number")
    assert added == {"symbol": "BTCEUR", "status": "PRE_OPEN"} | filters
    assert exchange.admin("admin.market.list", {})["BTCEUR"] == "PRE_OPEN BTC EUR"
    shown = exchange.admin("admin.market.show", {"symbol": "BTCEUR"})
    assert shown.items() >= (rules | filters | {"number": number, "minPrice": "0.5", "takerFee": "0.001"}).items()
    exchange.admin("admin.market.set", {"symbol": "BTCEUR", "status": "TRADING"})
    order = {"symbol": "BTCEUR", "side": "SELL", "type": "LIMIT", "timeInForce": "GTC", "price": "21000"}
    assert seller.signed_call("order.place", order | {"quantity": "1"})["status"] == 200
    code, text = refusal(buyer.signed_call("order.place", order | {"side": "BUY", "quantity": "1", "price": "30001"}))
    assert code == -1013 and text.startswith("Filter failure: PERCENT_PRICE_BY_SIDE")
    assert buyer.call("depth", {"symbol": "BTCEUR"})["result"]["asks"] == [["21000.00000000", "1.00000000"]]
    seller.signed_call("openOrders.cancelAll", {"symbol": "BTCEUR"})


def test_what_operators_set_wrongly_is_said(exchange: Exchange, traders: tuple[Client, Client]) -> None:
    for values, text in (
        ({"status": "PRE_OPEN"}, "The market's status cannot change so."),
        ({"bidMultiplierUp": "1", "bidMultiplierDown": "2"}, "The market's filters do not fit together."),
        ({"bidMultiplierUp": "1.00001"}, "Parameter 'bidMultiplierUp' has too much precision"),
        ({"bidMultiplierUp": "300000"}, "0 to 214748.3647 are allowed"),
        ({"maxNumAlgoOrders": 1 << 31}, "0 to 2147483647 are allowed"),
        ({"applyMinToMarket": "perhaps"}, "It must be true or false"),
        ({"tickSize": "0.03"}, "scales, tick, lot or bounds do not fit together"),
        ({"tickSize": "0.001"}, "Parameter 'tickSize' has too much precision"),
        ({"breakerBand": "0.1"}, "The market's filters do not fit together."),
    ):
        with pytest.raises(AdminError, match=text):
            settings(exchange, **({"breakerWindowSeconds": 0, "breakerPauseSeconds": 0} | values))
