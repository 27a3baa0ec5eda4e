"""Fees as clients and operators of a gateway see them: their own rates, the fee asset, the reports of trades."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from gateway_exchange import Client, Exchange, running

from ringex.adminclient import AdminError

COIN_MARKET = {
    "symbol": "COINUSDT",
    "base": "COIN",
    "quote": "USDT",
    "maxNumOrders": 100,
    "tickSize": "0.01",
    "minPrice": "0.01",
    "maxPrice": "10000",
    "stepSize": "0.01",
    "minQty": "0.01",
    "maxQty": "10000",
    "minNotional": "0",
    "maxNotional": "1000000",
    "makerFee": "0",
    "takerFee": "0",
}


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    with running(tmp_path_factory.mktemp("fees")) as running_exchange:
        running_exchange.admin("admin.asset.add", {"name": "COIN", "scale": 8})
        running_exchange.admin("admin.market.add", COIN_MARKET)
        yield running_exchange


@pytest.fixture
def trader(exchange: Exchange) -> Client:
    return exchange.trader(BTC="10", USDT="1000000", COIN="10")


@pytest.fixture
def other(exchange: Exchange) -> Client:
    return exchange.trader(BTC="10", USDT="1000000", COIN="10")


def rates(client: Client) -> tuple[str, str]:
    found = client.signed_call("account.commission", {"symbol": "BTCUSDT"})["result"]["standardCommission"]
    return found["maker"], found["taker"]


def bought(trader: Client, other: Client, symbol: str, price: str) -> dict[str, Any]:
    """The trader takes 0.1 of the other's offer. The reply."""
    order = {"symbol": symbol, "type": "LIMIT", "timeInForce": "GTC", "price": price, "quantity": "0.1"}
    other.signed_call("order.place", order | {"side": "SELL"})
    return trader.signed_call("order.place", order | {"side": "BUY"})["result"]  # type: ignore[no-any-return]


def test_an_accounts_own_rates_are_told_and_charged(exchange: Exchange, trader: Client, other: Client) -> None:
    usual = rates(trader)
    exchange.admin("admin.fees.set", {"account": trader.account, "makerFee": "-0.0001", "takerFee": "0.002"})
    narrow = {"account": trader.account, "symbol": "BTCUSDT"}
    told = exchange.admin("admin.fees.set", narrow | {"makerFee": "0", "takerFee": "0.003"})
    expected = {"symbol": "BTCUSDT", "inForce": True, "makerFee": "0.00000000", "takerFee": "0.00300000"}
    assert told == {"account": trader.account} | expected
    assert rates(trader) == ("0.00000000", "0.00300000")
    assert rates(other) == usual
    (fill,) = bought(trader, other, "BTCUSDT", "100")["fills"]
    assert (fill["commission"], fill["commissionAsset"]) == ("0.00030000", "BTC")
    account = trader.signed_call("account.status")["result"]
    assert account["commissionRates"]["maker"] == "-0.00010000" and account["takerCommission"] == 20
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "1", "computeCommissionRates": True}
    tested = trader.signed_call("order.test", order)["result"]
    assert tested["standardCommissionForOrder"] == {"maker": "0.00000000", "taker": "0.00300000"}
    shown = exchange.admin("admin.fees.show", {"account": trader.account})
    assert shown["schedules"].keys() == {"*", "BTCUSDT"}
    exchange.admin("admin.fees.set", narrow)
    assert rates(trader) == ("-0.00010000", "0.00200000")
    exchange.admin("admin.fees.set", {"account": trader.account})
    assert rates(trader) == usual


def test_fees_in_the_fee_asset(exchange: Exchange, trader: Client, other: Client) -> None:
    discount = trader.signed_call("account.commission", {"symbol": "BTCUSDT"})["result"]["discount"]
    assert discount == {
        "enabledForAccount": False,
        "enabledForSymbol": False,
        "discountAsset": None,
        "discount": "1.00000000",
    }
    exchange.admin("admin.feeAsset.set", {"asset": "COIN", "multiplier": "0.75"})
    assert trader.signed_call("account.feeAsset.use", {"enabled": True})["result"] == {"enabled": True}
    discount = trader.signed_call("account.commission", {"symbol": "BTCUSDT"})["result"]["discount"]
    assert (
        discount["enabledForAccount"] and discount["discountAsset"] == "COIN" and discount["discount"] == "0.75000000"
    )
    bought(other, exchange.trader(COIN="1"), "COINUSDT", "300")
    exchange.admin("admin.fees.set", {"account": trader.account, "makerFee": "0", "takerFee": "0.001"})
    trader.signed_call("userDataStream.subscribe.signature")
    (fill,) = bought(trader, other, "BTCUSDT", "30000")["fills"]
    # 0.075 % of 3,000 USDT are 2.25 USDT, at 300 USDT 0.0075 COIN
    assert (fill["commission"], fill["commissionAsset"]) == ("0.00750000", "COIN")
    trader.call("ping")
    events = [push["event"] for push in trader.pushed]
    (report,) = [event for event in events if event.get("x") == "TRADE"]
    assert (report["n"], report["N"]) == ("0.00750000", "COIN")
    (position,) = [event for event in events if len(event.get("B", ())) == 3]
    assert position["B"][2] == {"a": "COIN", "f": "9.99250000", "l": "0.00000000"}
    balances = {row["asset"]: row["free"] for row in trader.signed_call("account.status")["result"]["balances"]}
    assert (balances["BTC"], balances["COIN"]) == ("10.10000000", "9.99250000")
    told = exchange.admin("admin.feeAsset.use", {"account": trader.account, "enabled": False})
    assert told == {"account": trader.account, "paysInFeeAsset": False}
    (fill,) = bought(trader, other, "BTCUSDT", "30000")["fills"]
    assert (fill["commission"], fill["commissionAsset"]) == ("0.00010000", "BTC")
    assert exchange.admin("admin.feeAsset.set", {}) == {"asset": None}


@pytest.mark.parametrize(
    ("method", "params", "message"),
    [
        ("admin.fees.set", {"account": "fees", "makerFee": "0", "takerFee": "0"}, "The fee account does not trade"),
        ("admin.fees.set", {"account": "demo", "makerFee": "0"}, "Send both rates"),
        ("admin.fees.set", {"account": "demo", "makerFee": "0", "takerFee": "1"}, "less than 1 is allowed"),
        ("admin.fees.set", {"account": "demo", "makerFee": "--1", "takerFee": "0"}, "Illegal characters"),
        ("admin.feeAsset.set", {"multiplier": "1"}, "Send it with an asset"),
        ("admin.feeAsset.set", {"asset": "COIN", "multiplier": "1.1"}, "0 to 1 is allowed"),
        ("admin.feeAsset.set", {"asset": "XYZ"}, "There is no asset"),
        ("admin.feeAsset.use", {"account": "nobody", "enabled": True}, "There is no account"),
    ],
)
def test_what_operators_are_told(exchange: Exchange, method: str, params: dict[str, Any], message: str) -> None:
    with pytest.raises(AdminError, match=message):
        exchange.admin(method, params)
