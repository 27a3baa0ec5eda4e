"""Real client libraries, unmodified, with only the base URL changed: their own signatures, their own parsing."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import ccxt
import ccxt.async_support
import pytest
from binance.client import Client as PythonBinance
from binance.error import ClientError
from binance.exceptions import BinanceAPIException
from binance.spot import Spot
from exchange import Exchange, running

MARKET = "BTC/USDT"


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    """The demo account trades by the libraries, `maker` is who it trades with."""
    with running(tmp_path_factory.mktemp("clients"), web=True) as started:
        started.fund("maker", BTC="100", USDT="10000000")
        yield started


@pytest.fixture
def maker(exchange: Exchange) -> Iterator[Any]:
    """Somebody who offers 1 BTC at 30000, and has nothing left in the book at the end."""
    with exchange.client("maker") as client:
        offer = {"symbol": "BTCUSDT", "side": "SELL", "type": "LIMIT", "timeInForce": "GTC"}
        assert client.order("order.place", **offer, price="30000", quantity="1")["status"] == 200
        yield client
        client.order("openOrders.cancelAll", symbol="BTCUSDT")


def key_of(exchange: Exchange, account: str = "demo") -> tuple[str, str]:
    keys = {key["account"]: key for key in reversed(exchange.keys())}
    return keys[account]["api_key"], keys[account]["secret"]


def moved(urls: dict[str, str], address: str) -> dict[str, str]:
    """ccxt's map of base URLs, all at this host."""
    return {name: re.sub(r"^https://[^/]+", f"http://{address}", url) for name, url in urls.items()}


def ccxt_settings(exchange: Exchange) -> dict[str, Any]:
    api_key, secret = key_of(exchange)
    return {"apiKey": api_key, "secret": secret, "enableRateLimit": False}


@pytest.fixture
def sync_ccxt(exchange: Exchange) -> Any:
    client = ccxt.binance(ccxt_settings(exchange))
    client.urls["api"] = moved(client.urls["api"], exchange.http)
    return client


def test_ccxt_loads_markets_with_everything_that_it_asks_for_besides(sync_ccxt: Any) -> None:
    markets = sync_ccxt.load_markets()
    assert {"BTC/USDT", "ETH/USDT", "SOL/USDT"} <= set(markets)
    assert all(market["spot"] and market["active"] and not market["margin"] for market in markets.values())
    assert (markets[MARKET]["precision"]["price"], markets[MARKET]["limits"]["cost"]["min"]) == (0.01, 5.0)
    assert sync_ccxt.fetch_status()["status"] == "ok"
    assert sync_ccxt.fetch_time() > 1_600_000_000_000
    assert {"BTC", "USDT"} <= set(sync_ccxt.fetch_currencies())
    fees = sync_ccxt.fetch_trading_fees()
    assert (fees[MARKET]["maker"], fees[MARKET]["taker"]) == (0.001, 0.001)
    assert sync_ccxt.fetch_trading_fee(MARKET)["taker"] == 0.001


def test_ccxt_trades(sync_ccxt: Any, maker: Any) -> None:
    before = sync_ccxt.fetch_balance()
    assert before["BTC"]["used"] == 0
    book = sync_ccxt.fetch_order_book(MARKET)
    assert book["asks"] == [[30000.0, 1.0]]

    resting = sync_ccxt.create_order(MARKET, "limit", "buy", 0.1, 25000)
    assert (resting["status"], resting["price"], resting["remaining"]) == ("open", 25000.0, 0.1)
    assert sync_ccxt.fetch_balance()["USDT"]["used"] == 2500.0
    edited = sync_ccxt.edit_order(resting["id"], MARKET, "limit", "buy", 0.2, 24000)
    assert (edited["price"], edited["amount"]) == (24000.0, 0.2)
    assert [order["id"] for order in sync_ccxt.fetch_open_orders(MARKET)] == [edited["id"]]
    assert sync_ccxt.fetch_order(resting["id"], MARKET)["status"] == "canceled"
    assert sync_ccxt.cancel_order(edited["id"], MARKET)["status"] == "canceled"

    bought = sync_ccxt.create_order(MARKET, "market", "buy", 0.01)
    assert (bought["status"], bought["average"], bought["cost"]) == ("closed", 30000.0, 300.0)
    assert bought["trades"][0]["amount"] == 0.01
    by_cost = sync_ccxt.create_market_buy_order_with_cost(MARKET, 600)
    assert (by_cost["status"], by_cost["filled"]) == ("closed", 0.02)
    assert sync_ccxt.fetch_ticker(MARKET)["last"] == 30000.0
    assert sync_ccxt.fetch_tickers()[MARKET]["last"] == 30000.0
    assert sync_ccxt.fetch_last_prices()[MARKET]["price"] == 30000.0
    assert sync_ccxt.fetch_bids_asks()[MARKET]["ask"] == 30000.0
    after = sync_ccxt.fetch_balance()
    assert after["BTC"]["total"] - before["BTC"]["total"] == pytest.approx(0.03 * 0.999)


def test_ccxt_places_orders_of_other_types(sync_ccxt: Any, maker: Any) -> None:
    sync_ccxt.create_order(MARKET, "market", "buy", 0.001)  # a last price, for the stops
    stop = sync_ccxt.create_order(MARKET, "limit", "sell", 0.01, 19900, {"stopLossPrice": 20000})
    assert (stop["type"], stop["triggerPrice"], stop["status"]) == ("limit", 20000.0, "open")
    target = sync_ccxt.create_order(MARKET, "limit", "sell", 0.01, 40100, {"takeProfitPrice": 40000})
    assert target["triggerPrice"] == 40000.0
    post_only = sync_ccxt.create_order(MARKET, "limit", "buy", 0.01, 25000, {"postOnly": True})
    assert post_only["postOnly"] is True
    assert {order["id"] for order in sync_ccxt.fetch_open_orders(MARKET)} == {
        stop["id"],
        target["id"],
        post_only["id"],
    }
    assert sync_ccxt.create_order(MARKET, "limit", "buy", 0.01, 25000, {"test": True})["id"] is None
    immediate = sync_ccxt.create_order(MARKET, "limit", "buy", 0.01, 25000, {"timeInForce": "IOC"})
    assert immediate["status"] == "expired"
    own_id = sync_ccxt.create_order(MARKET, "limit", "buy", 0.01, 24999, {"clientOrderId": "mine-1"})
    assert sync_ccxt.fetch_order(None, MARKET, {"origClientOrderId": "mine-1"})["id"] == own_id["id"]
    assert len(sync_ccxt.cancel_all_orders(MARKET)) == 4


def test_ccxt_reads_what_has_happened(sync_ccxt: Any, maker: Any) -> None:
    bought = sync_ccxt.create_order(MARKET, "market", "buy", 0.02)
    resting = sync_ccxt.create_order(MARKET, "limit", "buy", 0.01, 25000)
    sync_ccxt.cancel_order(resting["id"], MARKET)
    orders = sync_ccxt.fetch_orders(MARKET)
    assert [(order["id"], order["status"]) for order in orders[-2:]] == [
        (bought["id"], "closed"),
        (resting["id"], "canceled"),
    ]
    assert sync_ccxt.fetch_closed_orders(MARKET)[-1]["id"] == bought["id"]
    assert sync_ccxt.fetch_canceled_orders(MARKET)[-1]["id"] == resting["id"]
    mine = sync_ccxt.fetch_my_trades(MARKET)[-1]
    assert (mine["order"], mine["price"], mine["amount"], mine["fee"]["currency"]) == (
        bought["id"],
        30000.0,
        0.02,
        "BTC",
    )
    assert [trade["id"] for trade in sync_ccxt.fetch_order_trades(bought["id"], MARKET)] == [mine["id"]]
    public = sync_ccxt.fetch_trades(MARKET)[-1]
    assert (public["price"], public["amount"], public["side"]) == (30000.0, 0.02, "buy")
    candle = sync_ccxt.fetch_ohlcv(MARKET, "1d")[-1]
    assert candle[2] == 30000.0 and candle[5] >= 0.02


def test_ccxt_names_what_is_refused(sync_ccxt: Any, maker: Any) -> None:
    with pytest.raises(ccxt.InsufficientFunds):
        sync_ccxt.create_order(MARKET, "limit", "buy", 5000, 100000)
    with pytest.raises(ccxt.OrderNotFound):
        sync_ccxt.cancel_order("999999999", MARKET)
    with pytest.raises(ccxt.OrderNotFound):
        sync_ccxt.fetch_order("999999999", MARKET)
    with pytest.raises(ccxt.BadRequest, match="NOTIONAL"):
        sync_ccxt.create_order(MARKET, "limit", "buy", 0.00001, 25000)
    off_step = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.000001"}
    with pytest.raises(ccxt.InvalidOrder):
        sync_ccxt.private_post_order(off_step)
    with pytest.raises(ccxt.OrderImmediatelyFillable):
        sync_ccxt.create_order(MARKET, "limit", "buy", 0.01, 30000, {"postOnly": True})
    sync_ccxt.secret = "0" * 64
    with pytest.raises(ccxt.AuthenticationError):
        sync_ccxt.fetch_balance()


def test_ccxt_async_trades(exchange: Exchange, maker: Any) -> None:
    async def flow() -> None:
        client = ccxt.async_support.binance(ccxt_settings(exchange))
        client.urls["api"] = moved(client.urls["api"], exchange.http)
        try:
            assert MARKET in await client.load_markets()
            orders = await asyncio.gather(
                *(client.create_order(MARKET, "limit", "buy", 0.01, 25000 + number) for number in range(20))
            )
            assert {order["status"] for order in orders} == {"open"}
            assert len(await client.fetch_open_orders(MARKET)) == 20
            taken = await client.create_order(MARKET, "limit", "buy", 0.01, 30000)
            assert (taken["status"], taken["average"]) == ("closed", 30000.0)
            assert len(await client.cancel_all_orders(MARKET)) == 20
            assert (await client.fetch_balance())["USDT"]["used"] == 0
        finally:
            await client.close()

    asyncio.run(flow())


@pytest.fixture
def python_binance(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> PythonBinance:
    monkeypatch.setattr(PythonBinance, "API_URL", f"http://{exchange.http}/api")
    monkeypatch.setattr(PythonBinance, "MARGIN_API_URL", f"http://{exchange.http}/sapi")
    return PythonBinance(*key_of(exchange))  # it pings


def test_python_binance_trades(python_binance: PythonBinance, maker: Any) -> None:
    client = python_binance
    assert client.get_server_time()["serverTime"] > 0
    assert client.get_system_status() == {"status": 0, "msg": "normal"}
    assert client.get_symbol_info("BTCUSDT")["filters"][0]["filterType"] == "PRICE_FILTER"
    assert client.get_order_book(symbol="BTCUSDT")["asks"] == [["30000.00000000", "1.00000000"]]
    assert client.get_orderbook_ticker(symbol="BTCUSDT")["askPrice"] == "30000.00000000"
    placed = client.order_limit_buy(symbol="BTCUSDT", quantity="0.1", price="25000")
    assert placed["status"] == "NEW"
    assert client.get_order(symbol="BTCUSDT", orderId=placed["orderId"])["price"] == "25000.00000000"
    assert [order["orderId"] for order in client.get_open_orders(symbol="BTCUSDT")] == [placed["orderId"]]
    assert client.get_asset_balance(asset="USDT")["locked"] == "2500.00000000"
    replaced = client.cancel_replace_order(
        symbol="BTCUSDT",
        side="BUY",
        type="LIMIT",
        timeInForce="GTC",
        quantity="0.1",
        price="24000",
        cancelReplaceMode="STOP_ON_FAILURE",
        cancelOrderId=placed["orderId"],
    )
    assert (replaced["cancelResult"], replaced["newOrderResult"]) == ("SUCCESS", "SUCCESS")
    new_id = replaced["newOrderResponse"]["orderId"]
    assert client.cancel_order(symbol="BTCUSDT", orderId=new_id)["status"] == "CANCELED"
    assert client.order_market_buy(symbol="BTCUSDT", quantity="0.01")["fills"][0]["price"] == "30000.00000000"
    assert client.order_market_buy(symbol="BTCUSDT", quoteOrderQty="300")["executedQty"] == "0.01000000"
    assert client.create_test_order(symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.01") == {}
    assert client.get_recent_trades(symbol="BTCUSDT", limit=1)[0]["price"] == "30000.00000000"
    assert client.get_ticker(symbol="BTCUSDT")["lastPrice"] == "30000.00000000"
    assert client.get_symbol_ticker(symbol="BTCUSDT")["price"] == "30000.00000000"
    assert client.get_all_orders(symbol="BTCUSDT", limit=1)[0]["status"] == "FILLED"
    assert client.get_my_trades(symbol="BTCUSDT", limit=1)[0]["qty"] == "0.01000000"
    assert client.get_aggregate_trades(symbol="BTCUSDT", limit=1)[0]["p"] == "30000.00000000"
    assert client.get_klines(symbol="BTCUSDT", interval="1h")[-1][4] == "30000.00000000"
    assert float(client.get_avg_price(symbol="BTCUSDT")["price"]) > 0
    assert client.get_trade_fee(symbol="BTCUSDT")[0]["takerCommission"] == "0.00100000"
    with pytest.raises(BinanceAPIException) as raised:
        client.cancel_order(symbol="BTCUSDT", orderId=new_id)
    assert (raised.value.status_code, raised.value.code) == (400, -2011)


def test_the_official_connector_trades(exchange: Exchange, maker: Any) -> None:
    client = Spot(*key_of(exchange), base_url=f"http://{exchange.http}")
    assert client.ping() == {}
    assert [row["symbol"] for row in client.exchange_info(symbols=["BTCUSDT", "ETHUSDT"])["symbols"]] == [
        "BTCUSDT",
        "ETHUSDT",
    ]
    assert client.depth("BTCUSDT", limit=5)["asks"] == [["30000.00000000", "1.00000000"]]
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": 0.1}
    placed = client.new_order(**order, price=25000, newClientOrderId="official-1")
    assert placed["status"] == "NEW"
    assert client.get_order("BTCUSDT", origClientOrderId="official-1")["orderId"] == placed["orderId"]
    assert len(client.get_open_orders("BTCUSDT")) == 1
    assert client.cancel_order("BTCUSDT", orderId=placed["orderId"])["status"] == "CANCELED"
    client.new_order(**order, price=24000)
    client.new_order(**order, price=24001)
    assert len(client.cancel_open_orders("BTCUSDT")) == 2
    taken = client.new_order(**order, price=30000, newOrderRespType="FULL")
    assert (taken["status"], taken["fills"][0]["qty"]) == ("FILLED", "0.10000000")
    balances = client.account(omitZeroBalances=True)["balances"]
    assert all(float(balance["free"]) + float(balance["locked"]) > 0 for balance in balances)
    assert client.new_order_test(**order, price=25000) == {}
    assert client.book_ticker("BTCUSDT")["askPrice"] == "30000.00000000"
    assert {row["symbol"] for row in client.ticker_price(symbols=["BTCUSDT", "ETHUSDT"])} == {"BTCUSDT", "ETHUSDT"}
    assert client.trades("BTCUSDT", limit=1)[0]["qty"] == "0.10000000"
    assert client.get_orders("BTCUSDT", limit=1)[0]["orderId"] == taken["orderId"]
    assert client.my_trades("BTCUSDT", limit=1)[0]["orderId"] == taken["orderId"]
    assert client.agg_trades("BTCUSDT", limit=1)[0]["q"] == "0.10000000"
    assert client.klines("BTCUSDT", "1m")[-1][4] == "30000.00000000"
    assert client.ticker_24hr("BTCUSDT")["lastPrice"] == "30000.00000000"
    short, day = client.get_order_rate_limit()
    assert (short["interval"], day["interval"]) == ("SECOND", "DAY") and day["count"] >= 5
    assert client.system_status() == {"status": 0, "msg": "normal"}
    assert {row["coin"] for row in client.coin_info()} >= {"BTC", "USDT"}
    with pytest.raises(ClientError) as raised:
        client.cancel_order("BTCUSDT", orderId=placed["orderId"])
    assert (raised.value.status_code, raised.value.error_code) == (400, -2011)
