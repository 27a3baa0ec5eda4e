"""Streams read by real client libraries, unmodified, only their URLs changed: their own book checks included."""

from __future__ import annotations

import asyncio
import json
import queue
import random
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import ccxt.pro
import pytest
from binance import AsyncClient, BinanceSocketManager, DepthCacheManager
from binance.websocket.spot.websocket_stream import SpotWebsocketStreamClient
from exchange import Client, Exchange, running
from test_web_clients import ccxt_settings, key_of, moved
from web_client import RestClient

MARKET = "BTC/USDT"
SECONDS_MAX = 60.0
_T = TypeVar("_T")


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    folder: Path = tmp_path_factory.mktemp("stream-clients")
    with running(folder, web=True) as started:
        yield started


class Trader:
    """Somebody who trades at random around 30000, with himself, seeded."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._dice = random.Random(7)

    def step(self) -> None:
        side = self._dice.choice(("BUY", "SELL"))
        price = 30000 + self._dice.randint(-30, 30) * 0.5 + (-5 if side == "BUY" else 5)
        order = {"symbol": "BTCUSDT", "side": side, "type": "LIMIT", "timeInForce": "GTC", "price": f"{price:.2f}"}
        reply = self._client.order("order.place", **order, quantity=f"0.0{self._dice.randint(10, 40)}")
        assert reply["status"] == 200, reply
        if self._dice.random() < 0.1:
            self._client.order("openOrders.cancelAll", symbol="BTCUSDT")

    def trade(self, price: str = "30000") -> None:
        for side in ("SELL", "BUY"):
            order = {"symbol": "BTCUSDT", "side": side, "type": "LIMIT", "timeInForce": "GTC", "price": price}
            assert self._client.order("order.place", **order, quantity="0.01")["status"] == 200

    def end(self) -> None:
        self._client.order("openOrders.cancelAll", symbol="BTCUSDT")


@pytest.fixture
def trader(exchange: Exchange) -> Iterator[Trader]:
    with exchange.client("demo") as client:
        found = Trader(client)
        yield found
        found.end()


@contextmanager
def trading(trader: Trader) -> Iterator[None]:
    """Trades at random in a thread of its own while the context lasts."""
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(0.01):
            trader.step()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def run(work: Callable[[], Awaitable[_T]]) -> _T:
    async def bounded() -> _T:
        return await asyncio.wait_for(work(), SECONDS_MAX)

    return asyncio.run(bounded())


def book_of(exchange: Exchange) -> dict[str, Any]:
    client = RestClient(exchange.http)
    found: dict[str, Any] = client.ask("GET", "/api/v3/depth?symbol=BTCUSDT&limit=5000").body
    client.close()
    return found


@pytest.fixture
def python_binance(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Awaitable[AsyncClient]]:
    """Makes an AsyncClient; the library keeps its addresses in its classes."""
    monkeypatch.setattr(AsyncClient, "API_URL", f"http://{exchange.http}/api")
    monkeypatch.setattr(AsyncClient, "WS_API_URL", f"ws://{exchange.http}/ws-api/v3")
    monkeypatch.setattr(BinanceSocketManager, "STREAM_URL", f"ws://{exchange.http}/")

    async def make() -> AsyncClient:
        client = AsyncClient(*key_of(exchange))
        client.API_URL = f"http://{exchange.http}/api"
        return client

    return make


@pytest.mark.parametrize("interval_ms", [100, None])
def test_python_binance_keeps_a_depth_cache(
    exchange: Exchange,
    trader: Trader,
    python_binance: Callable[[], Awaitable[AsyncClient]],
    interval_ms: int | None,
) -> None:
    async def work() -> None:
        client = await python_binance()
        manager = DepthCacheManager(client, "BTCUSDT", limit=5000, ws_interval=interval_ms)
        async with manager as socket:
            with trading(trader):
                for _ in range(20 if interval_ms else 3):
                    await socket.recv()
            await asyncio.to_thread(trader.trade, "12345.00")
            expected = await asyncio.to_thread(book_of, exchange)
            while True:
                cache = await socket.recv()
                if manager._last_update_id == expected["lastUpdateId"]:
                    break
            for found, side in ((cache.get_bids(), "bids"), (cache.get_asks(), "asks")):
                assert found == [[float(price), float(quantity)] for price, quantity in expected[side]]
        await client.close_connection()

    run(work)


def test_python_binance_reads_streams(trader: Trader, python_binance: Callable[[], Awaitable[AsyncClient]]) -> None:
    async def work() -> None:
        client = await python_binance()
        manager = BinanceSocketManager(client)
        names = ["btcusdt@trade", "btcusdt@aggTrade", "btcusdt@kline_1m", "btcusdt@miniTicker", "btcusdt@bookTicker"]
        async with manager.multiplex_socket(names) as many, manager.aggtrade_socket("BTCUSDT") as aggregates:
            with trading(trader):
                seen: dict[str, Any] = {}
                while set(seen) != set(names):
                    message = await many.recv()
                    seen[message["stream"]] = message["data"]
                assert seen["btcusdt@kline_1m"]["k"]["i"] == "1m"
                assert (await aggregates.recv())["e"] == "aggTrade"
        await client.close_connection()

    run(work)


def test_python_binance_follows_its_account(python_binance: Callable[[], Awaitable[AsyncClient]]) -> None:
    async def work() -> None:
        client = await python_binance()
        manager = BinanceSocketManager(client)
        async with manager.user_socket() as socket:
            order = await client.create_order(
                symbol="BTCUSDT", side="BUY", type="LIMIT", timeInForce="GTC", price="20000", quantity="0.01"
            )
            report = await socket.recv()
            assert (report["e"], report["x"], report["i"]) == ("executionReport", "NEW", order["orderId"])
            assert (await socket.recv())["e"] == "outboundAccountPosition"
            await client.cancel_order(symbol="BTCUSDT", orderId=order["orderId"])
            assert (await socket.recv())["x"] == "CANCELED"
        key = await client.stream_get_listen_key()
        await client.stream_keepalive(key)
        await client.stream_close(key)
        await client.close_connection()

    run(work)


def ccxt_pro(exchange: Exchange) -> Any:
    client = ccxt.pro.binance(ccxt_settings(exchange))
    sockets = client.urls["api"].pop("ws")
    client.urls["api"] = moved(client.urls["api"], exchange.http)
    sockets["spot"] = f"ws://{exchange.http}/ws"
    sockets["ws-api"]["spot"] = f"ws://{exchange.http}/ws-api/v3"
    client.urls["api"]["ws"] = sockets
    return client


def test_ccxt_watches_the_market(exchange: Exchange, trader: Trader) -> None:
    async def work() -> None:
        client = ccxt_pro(exchange)
        try:
            with trading(trader):
                for _ in range(15):
                    book = await client.watch_order_book(MARKET)
                    assert book["bids"] == sorted(book["bids"], reverse=True)
                assert (await client.watch_trades(MARKET))[-1]["symbol"] == MARKET
                assert (await client.watch_ticker(MARKET))["last"] > 0
                assert (await client.watch_ohlcv(MARKET, "1m"))[-1][4] > 0
                assert MARKET in await client.watch_tickers([MARKET])
                assert MARKET in await client.watch_bids_asks([MARKET])
            await asyncio.to_thread(trader.trade, "12345.00")
            expected = await asyncio.to_thread(book_of, exchange)
            while book["nonce"] != expected["lastUpdateId"]:
                book = await client.watch_order_book(MARKET)
            assert [book["bids"], book["asks"]] == [
                [[float(price), float(quantity)] for price, quantity in expected[side]] for side in ("bids", "asks")
            ]
        finally:
            await client.close()

    run(work)


def test_ccxt_trades_and_watches_its_account(exchange: Exchange) -> None:
    async def work() -> None:
        client = ccxt_pro(exchange)
        try:
            await client.load_markets()
            balance = asyncio.ensure_future(client.watch_balance())
            orders = asyncio.ensure_future(client.watch_orders(MARKET))
            trades = asyncio.ensure_future(client.watch_my_trades(MARKET))
            while not client.options.get("spot", {}) and not client.clients:
                await asyncio.sleep(0)
            made = await client.create_order_ws(MARKET, "limit", "sell", 0.01, 21000)
            assert made["status"] == "open"
            assert (await client.fetch_order_ws(made["id"], MARKET))["status"] == "open"
            await client.create_order_ws(MARKET, "limit", "buy", 0.01, 21000)
            assert (await trades)[-1]["price"] == 21000.0
            assert {order["symbol"] for order in await orders} == {MARKET}
            assert (await balance)["BTC"]["total"] > 0
            resting = await client.create_order_ws(MARKET, "limit", "buy", 0.01, 20000)
            assert (await client.cancel_order_ws(resting["id"], MARKET))["status"] == "canceled"
            assert await client.fetch_open_orders_ws(MARKET) == []
        finally:
            await client.close()

    run(work)


def test_the_official_connector_reads_streams(exchange: Exchange, trader: Trader) -> None:
    messages: queue.Queue[dict[str, Any]] = queue.Queue()

    def on_message(_: Any, text: str) -> None:
        messages.put(json.loads(text))

    api_key, secret = key_of(exchange)
    rest = RestClient(exchange.http, api_key, secret)
    listen_key = rest.ask("POST", "/api/v3/userDataStream").body["listenKey"]
    client = SpotWebsocketStreamClient(f"ws://{exchange.http}", on_message=on_message, is_combined=True)
    try:
        client.agg_trade(symbol="btcusdt", id=1)
        client.diff_book_depth(symbol="btcusdt", speed=100, id=2)
        client.partial_book_depth(symbol="btcusdt", level=5, speed=1000, id=3)
        client.ticker(symbol="btcusdt", id=4)
        client.user_data(listen_key=listen_key, id=5)
        wanted = {"btcusdt@aggTrade", "btcusdt@depth@100ms", "btcusdt@depth5", "btcusdt@ticker", listen_key}
        acknowledged: set[int] = set()
        seen: set[str] = set()
        with trading(trader):
            while not wanted <= seen or len(acknowledged) < 5:
                message = messages.get(timeout=SECONDS_MAX)
                if "id" in message:
                    assert message["result"] is None
                    acknowledged.add(message["id"])
                else:
                    seen.add(message["stream"].removesuffix("@1000ms"))
        client.unsubscribe(stream="btcusdt@aggTrade")
        client.list_subscribe(id=9)
        while (message := messages.get(timeout=SECONDS_MAX)).get("id") != 9:
            pass
        assert "btcusdt@aggTrade" not in message["result"] and len(message["result"]) == 4
    finally:
        client.stop()
        rest.close()
