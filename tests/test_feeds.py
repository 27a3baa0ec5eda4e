"""Feeds without their sockets: what subscribers are sent, of random streams of commands and of hand-made events."""

from __future__ import annotations

import json
import random
from collections import Counter
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

import numpy as np
import pytest
from event_records import RandomRun
from feed_ends import Book, End, payload
from market_days import MarketDays
from reference.arena import SMALL
from reference.desk import ALICE, BOB
from reference.records import Fields

from ringex.gateways.feeds.hub import Hub
from ringex.gateways.feeds.registry import Registry
from ringex.gateways.feeds.subscriber import MESSAGES_AT_ONCE, STREAMS_MAX, WAITING_BYTES_MAX, Subscriber
from ringex.gateways.feeds.topics import BadName, Kind, parse
from ringex.history.intervals import DAY_NS, MINUTE_NS, SECOND_NS
from ringex.history.readmodel import ReadModel
from ringex.terms import EventKind, MarketStatus, Side


class Exchange:
    """A read model with its feeds, fed as a gateway would."""

    def __init__(self, model: ReadModel | None = None) -> None:
        self.counts: Counter[str] = Counter()
        self.clock = 1e6
        self.model = model or ReadModel(SMALL)
        self.registry = Registry(self.counts)
        self.hub = Hub(self.registry, self.model, self.counts)

    def feed(self, events: np.ndarray) -> None:
        self.model.apply(events)
        self.hub.on_events(events)

    def tick(self, now_ns: int = 0) -> None:
        """Whatever is timed is due."""
        self.clock += 10.0
        self.hub.next_due(self.clock - 5)
        self.hub.tick(self.clock, now_ns)

    def end(self, *names: str, **kinds: bool) -> End:
        return End(self.hub, self.registry, *names, **kinds)

    def depth(self, number: int) -> dict[str, Any]:
        """What a query for the whole book answers."""
        (end,) = [self.end(f"{self.symbol(number)}@depth20")]
        (snapshot,) = end.messages()
        end.leave()
        assert len(snapshot["bids"]) < 20 and len(snapshot["asks"]) < 20, "else it is not the whole book"
        found: dict[str, Any] = snapshot
        return found

    def symbol(self, number: int) -> str:
        return self.model.markets[number].symbol.lower()


@pytest.fixture(scope="module")
def run() -> RandomRun:
    """One in which much is traded in the first market, early and late."""

    def fits(run: RandomRun) -> bool:
        places = [run.fields.index(trade) for trade in shown_trades(run, 0)]
        return len(places) > 25 and places[0] < len(run.fields) // 4 and places[-1] > len(run.fields) * 7 // 8

    return next(run for run in (RandomRun(seed, 1200) for seed in range(200)) if fits(run))


def opening(run: RandomRun) -> int:
    """How many events come before the first order: markets exist from there on."""
    return next(at for at, fields in enumerate(run.fields) if fields["kind"] == EventKind.ACCEPTED)


def opened(run: RandomRun) -> tuple[Exchange, np.ndarray]:
    """An exchange that has its markets, and the events to come."""
    exchange = Exchange()
    at = opening(run)
    exchange.feed(run.events[:at])
    return exchange, run.events[at:]


def batches(events: np.ndarray, seed: int = 1) -> list[np.ndarray]:
    dice = random.Random(seed)
    cuts = sorted(dice.sample(range(1, len(events)), len(events) // 9))
    return np.split(events, cuts)


# Names


@pytest.mark.parametrize(
    ("name", "kind", "symbol", "speed_ms"),
    [
        ("btcusdt@trade", Kind.TRADE, "BTCUSDT", 0),
        ("btcusdt@aggTrade", Kind.AGGREGATE, "BTCUSDT", 0),
        ("btcusdt@depth", Kind.DEPTH, "BTCUSDT", 1000),
        ("btcusdt@depth@100ms", Kind.DEPTH, "BTCUSDT", 100),
        ("btcusdt@depth@1000ms", Kind.DEPTH, "BTCUSDT", 1000),
        ("btcusdt@depth10", Kind.LEVELS, "BTCUSDT", 1000),
        ("btcusdt@depth20@100ms", Kind.LEVELS, "BTCUSDT", 100),
        ("btcusdt@depth7", Kind.NOTHING, "BTCUSDT", 0),
        ("btcusdt@depth@10ms", Kind.NOTHING, "BTCUSDT", 0),
        ("btcusdt@bookTicker", Kind.BOOK_TICKER, "BTCUSDT", 0),
        ("!bookTicker", Kind.BOOK_TICKER, "", 0),
        ("btcusdt@ticker", Kind.TICKER, "BTCUSDT", 1000),
        ("btcusdt@miniTicker", Kind.MINI_TICKER, "BTCUSDT", 1000),
        ("btcusdt@ticker_4h", Kind.WINDOW, "BTCUSDT", 1000),
        ("btcusdt@ticker_5h", Kind.NOTHING, "BTCUSDT", 0),
        ("btcusdt@kline_1s", Kind.CANDLE, "BTCUSDT", 1000),
        ("btcusdt@kline_1M", Kind.CANDLE, "BTCUSDT", 2000),
        ("btcusdt@kline_7m", Kind.NOTHING, "BTCUSDT", 0),
        ("btcusdt@avgPrice", Kind.AVERAGE, "BTCUSDT", 1000),
        ("btcusdt@auction", Kind.AUCTION, "BTCUSDT", 0),
        ("!ticker@arr", Kind.TICKER, "", 1000),
        ("!miniTicker@arr", Kind.MINI_TICKER, "", 1000),
        ("!miniTicker@arr@1000ms", Kind.MINI_TICKER, "", 1000),
        ("!ticker_1h@arr", Kind.WINDOW, "", 1000),
        ("!nothing@arr", Kind.NOTHING, "", 0),
        ("BTCUSDT@trade", Kind.NOTHING, "", 0),
        ("pqia91ma19a5s61cv6a81va65sdf19v8a65a1", Kind.LISTEN_KEY, "", 0),
    ],
)
def test_names_mean_what_the_dialect_says(name: str, kind: Kind, symbol: str, speed_ms: int) -> None:
    stream = parse(name)
    assert (stream.kind, stream.symbol, stream.speed_ms) == (kind, symbol, speed_ms)


@pytest.mark.parametrize(
    "name", ["", "@@@rubbish###", "a b@trade", "btcusdt@", "@trade", "x" * 200, "btc/usdt@trade", "\n"]
)
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(BadName):
        parse(name)


# The dialog


def test_requests_are_answered_in_the_dialects_words() -> None:
    end = Exchange().end()
    assert end.ask("SUBSCRIBE", ["btcusdt@aggTrade", "btcusdt@depth"], 1) == {"result": None, "id": 1}
    assert end.ask("SUBSCRIBE", ["btcusdt@depth"], "again-1") == {"result": None, "id": "again-1"}
    assert end.ask("LIST_SUBSCRIPTIONS", None, 3)["result"] == ["btcusdt@aggTrade", "btcusdt@depth"]
    assert end.ask("UNSUBSCRIBE", ["btcusdt@aggTrade", "never@trade"], None) == {"result": None, "id": None}
    assert end.ask("LIST_SUBSCRIPTIONS", [])["result"] == ["btcusdt@depth"]
    assert end.ask("GET_PROPERTY", ["combined"])["result"] is False
    assert end.ask("SET_PROPERTY", ["combined", True])["result"] is None
    assert end.ask("GET_PROPERTY", ["combined"])["result"] is True


@pytest.mark.parametrize(
    ("raw", "code", "part"),
    [
        (b"{", 3, "Invalid JSON: expected value at line 1 column"),
        (b"\xff", 3, "Invalid JSON"),
        (b"[" * 5000, 3, "Invalid JSON"),
        (b"[]", 2, "must be an object"),
        (b'{"id": 1}', 2, "missing field `method`"),
        (
            b'{"method": "SUBSCRIB", "id": 1}',
            2,
            "unknown variant `SUBSCRIB`, expected one of `SUBSCRIBE`, `UNSUBSCRIBE`",
        ),
        (b'{"method": 5, "id": 1}', 2, "unknown variant `5`"),
        (b'{"method": "SUBSCRIBE", "id": 1.5, "params": ["a@trade"]}', 2, "request ID must be an unsigned integer"),
        (b'{"method": "SUBSCRIBE", "id": true, "params": ["a@trade"]}', 2, "request ID"),
        (b'{"method": "SUBSCRIBE", "id": "' + b"x" * 37 + b'", "params": ["a@trade"]}', 2, "request ID"),
        (b'{"method": "SUBSCRIBE", "id": 1}', 2, "at least one stream"),
        (b'{"method": "SUBSCRIBE", "id": 1, "params": "a@trade"}', 2, "`params` must be an array"),
        (b'{"method": "SUBSCRIBE", "id": 1, "params": [5]}', 2, "must be strings"),
        (b'{"method": "SUBSCRIBE", "id": 1, "params": ["a@trade", "@@@"]}', 2, "Invalid request: invalid stream"),
        (b'{"method": "LIST_SUBSCRIPTIONS", "id": 1, "params": ["a"]}', 2, "too many parameters"),
        (b'{"method": "GET_PROPERTY", "id": 1}', 2, "property name must be a string"),
        (b'{"method": "GET_PROPERTY", "id": 1, "params": [1]}', 2, "property name must be a string"),
        (b'{"method": "GET_PROPERTY", "id": 1, "params": ["color"]}', 0, "Unknown property"),
        (b'{"method": "GET_PROPERTY", "id": 1, "params": ["combined", 1]}', 2, "too many parameters"),
        (b'{"method": "SET_PROPERTY", "id": 1, "params": ["combined"]}', 1, "expected Boolean"),
        (b'{"method": "SET_PROPERTY", "id": 1, "params": ["combined", 1]}', 1, "expected Boolean"),
        (b'{"method": "SET_PROPERTY", "id": 1, "params": ["combined", true, 1]}', 2, "too many parameters"),
    ],
)
def test_a_wrong_request_is_answered_and_changes_nothing(raw: bytes, code: int, part: str) -> None:
    end = Exchange().end("btcusdt@trade")
    error = end.say(raw)["error"]
    assert error["code"] == code and part in error["msg"], error
    assert end.ask("LIST_SUBSCRIPTIONS")["result"] == ["btcusdt@trade"]
    assert end.ask("GET_PROPERTY", ["combined"])["result"] is False


def test_streams_of_a_connection_are_bounded_and_a_refused_request_joins_none() -> None:
    exchange = Exchange()
    end = exchange.end()
    assert "error" in end.ask("SUBSCRIBE", [f"m{number}@trade" for number in range(STREAMS_MAX + 1)])
    assert len(exchange.registry) == 0
    assert "error" not in end.ask("SUBSCRIBE", [f"m{number}@trade" for number in range(STREAMS_MAX)])
    assert f"may have {STREAMS_MAX}" in end.ask("SUBSCRIBE", ["more@trade"])["error"]["msg"]
    assert "error" not in end.ask("SUBSCRIBE", ["m5@trade"]), "it has that one"
    end.leave()
    assert len(exchange.registry) == 0, "nothing is kept for who is gone"


def test_messages_of_a_connection_are_counted_against_time() -> None:
    subscriber = Subscriber(combined=False, microseconds=False)
    assert all(subscriber.allow(100.0) for _ in range(MESSAGES_AT_ONCE))
    assert not subscriber.allow(100.0)
    patient = Subscriber(combined=False, microseconds=False)
    assert all(patient.allow(100.0 + number / 5) for number in range(1000))


# Depth


def test_books_kept_from_depth_messages_are_the_exchanges(run: RandomRun) -> None:
    exchange, events = opened(run)
    dice = random.Random(2)
    numbers = range(len(exchange.model.markets))
    followed: list[tuple[int, End, Book]] = []
    now = 0.0
    for at, batch in enumerate(batches(events)):
        for number in numbers:
            if at % 25 == 0:
                speed = dice.choice(["", "@100ms", "@1000ms"])
                followed.append((number, exchange.end(f"{exchange.symbol(number)}@depth{speed}"), Book()))
        exchange.feed(batch)
        now += dice.random() / 4
        if (due := exchange.hub.next_due(now)) is not None and due <= now:
            exchange.hub.tick(now, 0)
        for number, end, book in followed:
            for message in end.messages():
                book.take(message)
            if not book.update_id and dice.random() < 0.1:
                book.load(exchange.depth(number))
    exchange.tick()
    changed = 0
    for number, end, book in followed:
        for message in end.messages():
            book.take(message)
        snapshot = exchange.depth(number)
        if book.update_id:
            changed += 1
            assert book.update_id == snapshot["lastUpdateId"]
            assert book.sides == {"b": dict(snapshot["bids"]), "a": dict(snapshot["asks"])}
    assert changed > 10


def test_one_speed_shares_its_messages_and_they_are_encoded_once(run: RandomRun) -> None:
    exchange, events = opened(run)
    name = f"{exchange.symbol(0)}@depth@100ms"
    ends = [exchange.end(name) for _ in range(3)] + [exchange.end(name, combined=True) for _ in range(2)]
    late = exchange.end(name, microseconds=True)
    exchange.feed(events)
    exchange.tick()
    raw, combined = ends[0].socket.frames, ends[3].socket.frames
    assert len(raw) == 1
    for end in ends[:3]:
        assert all(one is other for one, other in zip(end.socket.frames, raw, strict=True)), "the very same bytes"
    assert ends[4].socket.frames[0] is combined[0]
    message = json.loads(payload(combined[0]))
    assert message["stream"] == name and message["data"] == json.loads(payload(raw[0]))
    assert late.messages()[0]["E"] // 1000 == message["data"]["E"]


def test_who_follows_a_market_before_it_exists_gets_it_when_it_does(run: RandomRun) -> None:
    exchange = Exchange()
    symbol = next(f["symbol"] for f in run.fields if f["kind"] == EventKind.MARKET).lower()
    end = exchange.end(f"{symbol}@depth", f"{symbol}@trade", "nobody@depth", "nobody@trade")
    assert exchange.hub.next_due(0.0) is None, "nothing to look at yet"
    for batch in batches(run.events):
        exchange.feed(batch)
    assert exchange.hub.next_due(0.0) is not None
    exchange.tick()
    messages = end.messages()
    assert {message["e"] for message in messages} == {"trade", "depthUpdate"}
    assert next(message for message in messages if message["e"] == "depthUpdate")["U"] == 1
    end.leave()
    assert exchange.hub.next_due(0.0) is None and len(exchange.registry) == 0


def test_no_timer_without_a_follower(run: RandomRun) -> None:
    exchange, _ = opened(run)
    symbol = exchange.symbol(0)
    end = exchange.end(f"{symbol}@trade", f"{symbol}@bookTicker")
    assert exchange.hub.next_due(5.05) is None
    end.ask("SUBSCRIBE", [f"{symbol}@depth", f"{symbol}@depth@100ms"])
    assert exchange.hub.next_due(5.05) == pytest.approx(5.1)
    end.ask("UNSUBSCRIBE", [f"{symbol}@depth@100ms"])
    assert exchange.hub.next_due(5.05) == pytest.approx(6.0)
    end.leave()
    assert exchange.hub.next_due(5.05) is None


# Trades


def shown_trades(run: RandomRun, number: int) -> list[Fields]:
    return [f for f in run.fields if f["kind"] == EventKind.TRADE and f["market"] == number]


def test_every_trade_comes_once_and_aggregates_do_not_depend_on_batches(run: RandomRun) -> None:
    found = []
    for seed in (1, 2, 3):
        exchange, events = opened(run)
        numbers = range(len(exchange.model.markets))
        ends = [exchange.end(f"{exchange.symbol(n)}@trade", f"{exchange.symbol(n)}@aggTrade") for n in numbers]
        for batch in batches(events, seed):
            exchange.feed(batch)
        exchange.hub.on_quiet()
        found.append([end.messages() for end in ends])
        for number in numbers:
            trades = shown_trades(run, number)
            shown = [message for message in found[-1][number] if message["e"] == "trade"]
            assert [m["t"] for m in shown] == [t["trade_id"] for t in trades]
            assert [m["m"] for m in shown] == [t["side"] == Side.SELL for t in trades]
    for other in found[1:]:
        for one, another in zip(found[0], other, strict=True):
            assert [m for m in one if m["e"] == "aggTrade"] == [m for m in another if m["e"] == "aggTrade"]
    for number, messages in enumerate(found[0]):
        groups = groupby(shown_trades(run, number), key=lambda t: (t["command_sequence"], t["order_id"], t["price"]))
        expected = [list(members) for _, members in groups]
        shown = [message for message in messages if message["e"] == "aggTrade"]
        assert [(m["a"], m["f"], m["l"]) for m in shown] == [
            (at, members[0]["trade_id"], members[-1]["trade_id"]) for at, members in enumerate(expected, 1)
        ]
        scale = 10 ** exchange.model.markets[number].quantity_scale
        assert [float(m["q"]) for m in shown] == [sum(t["quantity"] for t in members) / scale for members in expected]


# Book tickers and slow readers


def test_a_book_ticker_is_sent_when_the_best_has_changed(run: RandomRun) -> None:
    exchange, events = opened(run)
    end = exchange.end(*(f"{exchange.symbol(n)}@bookTicker" for n in range(len(exchange.model.markets))))
    all_end = exchange.end("!bookTicker")
    end.messages(), all_end.messages()  # how things stood
    last: dict[str, Any] = {}
    for batch in batches(events):
        exchange.feed(batch)
        messages = end.messages()
        assert messages == all_end.messages()
        for message in messages:
            best = {name: message[name] for name in "bBaA"}
            assert last.get(message["s"]) != best, "only what has changed"
            last[message["s"]] = best
    for market in exchange.model.markets:
        newcomer = exchange.end(f"{market.symbol.lower()}@bookTicker")
        (message,) = newcomer.messages()
        nothing = dict.fromkeys("bBaA", "0.00000000")
        assert {name: message[name] for name in "bBaA"} == last.get(market.symbol, nothing)


def test_a_slow_reader_gets_the_last_ticker_and_all_of_the_trades(run: RandomRun) -> None:
    exchange, events = opened(run)
    names = [f"{exchange.symbol(0)}@{what}" for what in ("bookTicker", "trade")]
    quick, slow = exchange.end(*names), exchange.end(*names)
    slow.messages()
    quick.messages()
    slow.socket.paused = True
    for batch in batches(events):
        exchange.feed(batch)
    slow.socket.paused = False
    slow.subscriber.send_latest()
    expected, got = quick.messages(), slow.messages()
    trades = [message for message in expected if "e" in message]
    tickers = [message for message in expected if "e" not in message]
    assert len(trades) > 10 and len(tickers) > 10
    assert got == [*trades, tickers[-1]]


def test_a_reader_that_does_not_read_is_closed_with_a_reason_and_stops_nobody(run: RandomRun) -> None:
    exchange, events = opened(run)
    name = f"{exchange.symbol(0)}@trade"
    quick, slow = exchange.end(name), exchange.end(name)
    slow.socket.paused = True
    parts = batches(events)
    exchange.feed(parts[0])
    assert slow.socket.closed is None
    slow.socket.size_bytes = WAITING_BYTES_MAX + 1
    for batch in parts[1:]:
        exchange.feed(batch)
    code, reason = slow.socket.closed or (0, "")
    assert code == 1008 and "wait to be read" in reason
    assert exchange.counts["slow_subscribers"] == 1
    assert [message["t"] for message in quick.messages()] == [t["trade_id"] for t in shown_trades(run, 0)]


# Statistics


START_NS = 1_700_000_000 * SECOND_NS - 1_700_000_000 * SECOND_NS % DAY_NS  # a midnight


class Trading(Exchange):
    """Two markets of the engine itself, which trade at any time; the first one is followed."""

    def __init__(self) -> None:
        self.days = MarketDays(datetime.fromtimestamp(START_NS / SECOND_NS, UTC).isoformat()[:19])
        super().__init__(self.days.model)
        self.market = self.model.markets[0]

    def trade(self, time_ns: int, price: int, quantity: int) -> None:
        seen = len(self.days.events)
        self.days.trade(datetime.fromtimestamp(time_ns / SECOND_NS, UTC).isoformat()[:19], price, quantity)
        for events in self.days.events[seen:]:
            self.hub.on_events(events)

    def follow(self, *streams: str) -> End:
        end = self.end(*(f"{self.symbol(0)}@{stream}" for stream in streams))
        end.messages()
        return end

    def price(self, price: int) -> str:
        return f"{price / 10**self.market.price_scale:.8f}"


def test_trades_of_one_taker_at_one_price_are_one_aggregate_however_their_events_come() -> None:
    for cuts in ([], [2], [3], [4], [2, 3, 4]):
        trading = Trading()
        end = trading.follow("aggTrade")
        desk, days = trading.days.desk, trading.days
        for price in (1000, 1000, 1000, 1001):
            trading.hub.on_events(days.do(desk.place(ALICE, Side.SELL, price, 2)))
        events = days.do(desk.place(BOB, Side.BUY, 1001, 8))
        assert (events["kind"] == EventKind.TRADE).sum() == 4
        for part in np.split(events, cuts):
            trading.hub.on_events(part)
        trading.hub.on_quiet()
        shown = [(m["a"], m["p"], m["q"], m["f"], m["l"]) for m in end.messages()]
        assert shown == [(1, "10.00000000", "0.06000000", 1, 3), (2, "10.01000000", "0.02000000", 4, 4)]


def test_an_auction_is_followed_to_its_uncross() -> None:
    """Bids for 1 at 10.00 and 3 at 10.01, offers of 2 and 5 at 10.00: most is traded at 10.00, at last."""
    trading = Trading()
    days, desk = trading.days, trading.days.desk

    def do(*commands: Fields) -> None:
        for command in commands:
            trading.hub.on_events(days.do(command))

    early = trading.follow("auction", "trade")
    do(desk.place(ALICE, Side.BUY, 1000, 1), desk.market_set(0, MarketStatus.AUCTION))
    do(desk.place(ALICE, Side.BUY, 1001, 3), desk.place(BOB, Side.SELL, 1000, 2), desk.place(BOB, Side.SELL, 1000, 5))
    shown = [(m["s"], m["p"], m["q"], m["i"], m["S"]) for m in early.messages()]
    symbol = trading.market.symbol
    assert shown == [
        (symbol, trading.price(1001), "0.02000000", "0.01000000", "BUY"),
        (symbol, trading.price(1000), "0.04000000", "0.03000000", "SELL"),
    ]
    late = trading.end(f"{trading.symbol(0)}@auction")
    (now,) = late.messages()
    assert (now["e"], now["p"], now["S"]) == ("auction", trading.price(1000), "SELL")
    do(desk.market_set(0, MarketStatus.TRADING))
    (last,) = late.messages()
    assert (last["p"], last["q"]) == (trading.price(1000), "0.04000000")
    assert [m["e"] for m in early.messages()] == ["auction", "trade", "trade", "trade"]
    assert trading.end(f"{trading.symbol(0)}@auction").messages() == [], "none goes on"


def test_candles_go_on_close_and_begin_anew() -> None:
    trading = Trading()
    trading.trade(START_NS + 1 * SECOND_NS, 1000, 5)
    end = trading.follow("kline_1m")
    trading.tick(START_NS + 2 * SECOND_NS)
    trading.trade(START_NS + 3 * SECOND_NS, 1200, 1)
    trading.trade(START_NS + 3 * SECOND_NS, 900, 2)
    trading.tick(START_NS + 4 * SECOND_NS)
    trading.tick(START_NS + 6 * SECOND_NS)
    shown = [message["k"] for message in end.messages()]
    assert [(k["n"], k["x"]) for k in shown] == [(1, False), (3, False)], "nothing is said twice"
    last = shown[-1]
    assert [last[name] for name in "ohlc"] == [trading.price(price) for price in (1000, 1200, 900, 900)]
    assert (last["t"], last["T"]) == (START_NS // 10**6, START_NS // 10**6 + 59_999)
    assert (last["i"], last["f"], last["L"], last["s"]) == ("1m", 1, 3, trading.market.symbol)
    assert last["v"] == last["V"] and last["q"] == last["Q"], "takers bought"

    trading.trade(START_NS + 59 * SECOND_NS, 950, 1)
    trading.tick(START_NS + 60 * SECOND_NS)  # its last trades may still be on their way
    trading.tick(START_NS + 3 * MINUTE_NS + SECOND_NS)
    shown = [message["k"] for message in end.messages()]
    assert [(k["t"] * 10**6 - START_NS, k["n"], k["x"]) for k in shown] == [
        (0, 4, False),
        (0, 4, True),
        (1 * MINUTE_NS, 0, True),
        (2 * MINUTE_NS, 0, True),
        (3 * MINUTE_NS, 0, False),
    ]
    assert {k[name] for k in shown[2:] for name in "ohlc"} == {trading.price(950)}
    assert {(k["f"], k["L"], k["v"]) for k in shown[2:]} == {(-1, -1, "0.00000000")}


def test_tickers_say_what_was_traded_in_their_window_and_only_when_it_changes() -> None:
    trading = Trading()
    end = trading.follow("ticker", "miniTicker", "ticker_1h", "avgPrice")
    arrays = trading.end("!miniTicker@arr", "!ticker@arr", "!ticker_1h@arr")
    arrays.messages()
    trading.trade(START_NS + 5 * MINUTE_NS, 1000, 4)
    trading.trade(START_NS + 100 * MINUTE_NS, 1500, 2)
    now_ns = START_NS + 101 * MINUTE_NS
    trading.tick(now_ns)
    by_kind = {message["e"]: message for message in end.messages()}
    day, mini, hour, average = (by_kind[kind] for kind in ("24hrTicker", "24hrMiniTicker", "1hTicker", "avgPrice"))
    prices = {"o": 1000, "h": 1500, "l": 1000, "c": 1500}
    assert all(day[name] == mini[name] == trading.price(price) for name, price in prices.items())
    assert (day["p"], day["P"], day["n"], day["F"], day["L"]) == (trading.price(500), "50.000", 2, 1, 2)
    assert all(hour[name] == trading.price(1500) for name in "ohlc") and (hour["n"], hour["P"]) == (1, "0.000")
    assert average["w"] == trading.price(1500) and average["i"] == "5m" and average["s"] == trading.market.symbol
    assert average["T"] == (START_NS + 100 * MINUTE_NS) // 10**6
    shown = arrays.messages()
    assert sorted(message[0]["e"] for message in shown) == ["1hTicker", "24hrMiniTicker", "24hrTicker"]
    assert all([ticker["s"] for ticker in message] == [trading.market.symbol] for message in shown)

    trading.tick(now_ns + 10 * SECOND_NS)
    assert end.messages() == [] and arrays.messages() == [], "nothing has changed"
    trading.tick(now_ns + 70 * MINUTE_NS)  # a trade has left the hour, none the day
    changed = [message["e"] for message in end.messages()]
    assert "1hTicker" in changed and "24hrTicker" not in changed
    (message,) = arrays.messages()
    assert [(ticker["e"], ticker["n"]) for ticker in message] == [("1hTicker", 0)]


def test_levels_are_whole_and_come_when_the_book_has_changed(run: RandomRun) -> None:
    exchange, events = opened(run)
    symbol = exchange.symbol(0)
    end = exchange.end(f"{symbol}@depth5@100ms")
    (first,) = end.messages()
    assert first == {"lastUpdateId": 0, "bids": [], "asks": []}
    for batch in batches(events)[:40]:
        exchange.feed(batch)
        exchange.tick()
        messages = end.messages()
        update_id, bids, asks = exchange.model.depth(0, 5)
        if messages:
            (message,) = messages
            assert message["lastUpdateId"] == update_id
            assert (len(message["bids"]), len(message["asks"])) == (len(bids), len(asks))
    assert update_id > 5
    exchange.tick()
    assert end.messages() == [], "nothing has changed since"


# The server's end


def test_a_stop_is_announced_to_all_in_their_kind(run: RandomRun) -> None:
    exchange, _ = opened(run)
    raw, combined, idle = exchange.end("a@trade"), exchange.end("a@trade", combined=True), exchange.end()
    for end in (raw, combined, idle):
        exchange.hub.say_goodbye(end.subscriber, 5_000_000)
    assert raw.messages() == idle.messages() == [{"e": "serverShutdown", "E": 5}]
    assert combined.messages() == [{"stream": "!serverShutdown", "data": {"e": "serverShutdown", "E": 5}}]


def test_a_connection_changes_its_kind_of_messages_for_all_its_streams(run: RandomRun) -> None:
    exchange, events = opened(run)
    end = exchange.end(f"{exchange.symbol(0)}@trade")
    end.ask("SET_PROPERTY", ["combined", True])
    exchange.feed(events)
    assert {message["stream"] for message in end.messages()} == {f"{exchange.symbol(0)}@trade"}


def test_after_a_gap_depth_goes_on_with_a_gap_that_clients_see(run: RandomRun) -> None:
    exchange, events = opened(run)
    end = exchange.end(f"{exchange.symbol(0)}@depth", f"{exchange.symbol(0)}@aggTrade")
    third = len(events) // 3
    exchange.feed(events[:third])
    exchange.tick()
    before = end.messages()
    other = ReadModel(SMALL)
    other.apply(run.events[: opening(run) + 2 * third])
    exchange.model = other
    exchange.hub.restart(other)
    exchange.feed(events[2 * third :])
    exchange.tick()
    after = end.messages()
    depths = [[m for m in messages if m["e"] == "depthUpdate"] for messages in (before, after)]
    assert depths[1][0]["U"] > depths[0][-1]["u"] + 1
    trades = [t for t in shown_trades(run, 0) if t["sequence"] > opening(run) + 2 * third]
    aggregates = [m for m in after if m["e"] == "aggTrade"]
    assert aggregates[0]["f"] == trades[0]["trade_id"]
    assert aggregates[0]["a"] > [m for m in before if m["e"] == "aggTrade"][-1]["a"]
