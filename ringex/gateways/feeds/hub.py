"""The hub: events and the clock in, messages to subscribers out.

It works only for what somebody follows: without subscribers an event costs nothing but the counting of aggregate
trades, and no timer runs. It never waits, and knows no sockets.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import partial
from typing import Final

import numpy as np

from ringex.gateways.feeds import payloads
from ringex.gateways.feeds.depthbuffer import DepthBuffer
from ringex.gateways.feeds.payloads import Aggregate
from ringex.gateways.feeds.registry import Payload, Registry, Topic, encoded_frame
from ringex.gateways.feeds.statistics import Statistics
from ringex.gateways.feeds.subscriber import Subscriber
from ringex.gateways.feeds.topics import Kind
from ringex.history.catalogue import Market
from ringex.history.readmodel import ReadModel
from ringex.marketdata.aggregates import Aggregates
from ringex.marketdata.changes import changes_by_market
from ringex.marketdata.depth import Quote
from ringex.messages import INDICATIVE_EVENT, TRADE
from ringex.terms import EventFlag, EventKind, Side

SHUTDOWN: Final = "!serverShutdown"
ALL: Final = -1
"""Stands for the market of a stream of all markets."""

_RAW: Final = np.dtype("V256")
_STATISTICS: Final = frozenset({Kind.TICKER, Kind.MINI_TICKER, Kind.WINDOW, Kind.CANDLE, Kind.AVERAGE})
_ROW: Final = ("trade_id", "time_ns", "price", "quantity", "side")


class Hub:
    """Feeds the topics of `registry` from events that `model` has applied."""

    def __init__(self, registry: Registry, model: ReadModel, counts: Counter[str]) -> None:
        self._registry = registry
        registry.demand = self
        self._counts = counts
        self._aggregates = Aggregates(len(model.aggregates))
        self._aggregate: dict[int, Aggregate] = {}  # by market: the one that may go on
        self._statistics = Statistics()
        self._live: dict[Kind, dict[int, list[Topic]]] = {
            kind: {} for kind in (Kind.TRADE, Kind.AGGREGATE, Kind.BOOK_TICKER, Kind.AUCTION)
        }
        self._depth: dict[tuple[int, int], tuple[DepthBuffer, list[Topic]]] = {}  # by market and speed
        self._ticking: dict[int, dict[str, Topic]] = {}  # by speed
        self._due: dict[int, float] = {}  # by speed: when its topics are looked at next
        self._unknown: dict[str, list[Topic]] = {}  # by symbols of markets that do not exist
        self._quotes: dict[int, tuple[Quote, Quote]] = {}
        self._updates: dict[str, int] = {}  # by stream of levels: the update it last showed
        self.restart(model)

    # What somebody follows

    def opened(self, topic: Topic) -> None:
        self._counts["streams_opened"] += 1
        stream = topic.stream
        if stream.kind in (Kind.NOTHING, Kind.LISTEN_KEY):
            return
        number = self._market_number(stream.symbol)
        if number is None:
            self._unknown.setdefault(stream.symbol, []).append(topic)
            return
        if stream.kind in self._live:
            self._live[stream.kind].setdefault(number, []).append(topic)
            self._quotes.clear()  # they were not kept up while nobody followed them
        elif stream.kind == Kind.DEPTH:
            self._depth.setdefault((number, stream.speed_ms), (DepthBuffer(), []))[1].append(topic)
        if stream.speed_ms:
            self._ticking.setdefault(stream.speed_ms, {})[stream.name] = topic

    def closed(self, topic: Topic) -> None:
        stream = topic.stream
        waiting = self._unknown.get(stream.symbol)
        if waiting is not None and topic in waiting:
            waiting.remove(topic)
            if not waiting:
                del self._unknown[stream.symbol]
            return
        number = self._market_number(stream.symbol)
        if number is None:
            return
        if stream.kind in self._live:
            _remove(self._live[stream.kind], number, topic)
        elif stream.kind == Kind.DEPTH:
            key = (number, stream.speed_ms)
            self._depth[key][1].remove(topic)
            if not self._depth[key][1]:
                del self._depth[key]
        if stream.speed_ms:
            del self._ticking[stream.speed_ms][stream.name]
            if not self._ticking[stream.speed_ms]:
                del self._ticking[stream.speed_ms]
                self._due.pop(stream.speed_ms, None)
        self._statistics.forget(stream.name)
        self._updates.pop(stream.name, None)

    def greet(self, subscriber: Subscriber, topic: Topic, now_ns: int) -> None:
        """Tell a new subscriber how things stand, where the topic's messages say that."""
        stream = topic.stream
        if stream.kind in (Kind.NOTHING, Kind.LISTEN_KEY):
            return
        number = self._market_number(stream.symbol)
        if number is None:
            return
        payloads_now: Iterable[Payload | None] = ()
        if stream.kind == Kind.BOOK_TICKER:
            payloads_now = [self._book_ticker(market) for market in self._markets_of(number)]
        elif stream.kind == Kind.AUCTION:
            now = self._model.auctions.indication(number)
            if now.goes_on:
                row = (now.told_ns or now_ns, now.price, now.quantity, now.imbalance)
                payloads_now = [partial(payloads.auction, self._model.markets[number], row)]
        elif stream.kind == Kind.LEVELS:
            update_id, payload_now = self._levels_payload(topic, number)
            self._updates.setdefault(stream.name, update_id)
            payloads_now = [payload_now]
        elif stream.kind in _STATISTICS:
            market = None if number == ALL else self._model.markets[number]
            payloads_now = [self._statistics.present(stream, market, self._model, now_ns)]
        for payload in payloads_now:
            if payload is not None:
                encoded = encoded_frame(stream.name, subscriber.form, payload)
                if not subscriber.send(stream.name, encoded, replaces=topic.replaces):
                    self._registry.drop(subscriber)
                    return

    # Events

    def restart(self, model: ReadModel) -> None:
        """Go on with another read model, perhaps behind a gap: followers of depth see it in `U`."""
        self._model = model
        self._aggregates.last[:] = model.aggregates
        self._aggregate.clear()
        for buffer, _ in self._depth.values():
            buffer.clear()
        self._find_unknown()

    def on_events(self, events: np.ndarray) -> None:
        """Take EVENT records that the read model has applied, none left out."""
        if self._unknown and (events["kind"] == EventKind.MARKET).any():
            self._find_unknown()
        if self._live[Kind.AUCTION]:  # before trades: what an uncross will trade is told before it does
            self._on_auctions(events.view(_RAW)[events["kind"] == EventKind.INDICATIVE].view(INDICATIVE_EVENT))
        ids = self._aggregates.number(events)
        if self._aggregate:
            self._close_aggregates(int(events["command_sequence"][0]))
        if len(ids):
            self._on_trades(events.view(_RAW)[events["kind"] == EventKind.TRADE].view(TRADE), ids)
            self._close_aggregates(int(events["command_sequence"][-1]))
        self._on_levels(events)

    def on_quiet(self) -> None:
        """All events that exist have come: no command's are half here."""
        if self._aggregate:
            self._close_aggregates(0)

    def _on_trades(self, trades: np.ndarray, ids: np.ndarray) -> None:
        raw, joined = self._live[Kind.TRADE], self._live[Kind.AGGREGATE]
        if not raw and not joined:
            return
        followed = np.isin(trades["market"], np.array([*raw, *joined]))
        if not followed.any():
            return
        columns = [trades[name][followed].tolist() for name in ("market", "command_sequence", *_ROW)]
        for number, command, *values, aggregate_id in zip(*columns, ids[followed].tolist(), strict=True):
            market, row = self._model.markets[number], tuple(values)
            for topic in list(raw.get(number, ())):
                self._registry.publish(topic, partial(payloads.trade, market, row))
            if number in joined:
                self._join_aggregate(number, command, aggregate_id, row)

    def _join_aggregate(self, number: int, command: int, aggregate_id: int, row: tuple[int, ...]) -> None:
        trade_id, time_ns, price, quantity, side = row
        found = self._aggregate.get(number)
        if found is not None and found.aggregate_id == aggregate_id:
            found.quantity += quantity
            found.last_trade_id = trade_id
            return
        if found is not None:
            self._send_aggregate(number, found)
        self._aggregate[number] = Aggregate(
            aggregate_id, command, time_ns, price, quantity, trade_id, trade_id, side == Side.SELL
        )

    def _close_aggregates(self, command: int) -> None:
        """Send those of other commands than `command`: nothing can be added to them."""
        for number, found in list(self._aggregate.items()):
            if found.command_sequence != command:
                del self._aggregate[number]
                self._send_aggregate(number, found)

    def _send_aggregate(self, number: int, found: Aggregate) -> None:
        for topic in list(self._live[Kind.AGGREGATE].get(number, ())):
            self._registry.publish(topic, partial(payloads.aggregate, self._model.markets[number], found))

    def _on_auctions(self, told: np.ndarray) -> None:
        for number, *row in told[["market", "time_ns", "price", "quantity", "imbalance"]].tolist():
            for topic in list(self._live[Kind.AUCTION].get(number, ())):
                self._registry.publish(topic, partial(payloads.auction, self._model.markets[number], tuple(row)))

    def _on_levels(self, events: np.ndarray) -> None:
        tickers = self._live[Kind.BOOK_TICKER]
        if not tickers and not self._depth:
            return
        flagged = (events["flag_bits"] & EventFlag.LEVEL) != 0
        if ALL not in tickers:
            flagged &= np.isin(events["market"], np.array([*tickers, *(number for number, _ in self._depth)]))
        if not flagged.any():
            return
        chosen = events.view(_RAW)[flagged].view(events.dtype)
        if self._depth:
            for changes in changes_by_market(chosen):
                for speed_ms in self._ticking:
                    buffered = self._depth.get((changes.market, speed_ms))
                    if buffered is not None:
                        buffered[0].add(changes)
        if tickers:
            for number in np.unique(chosen["market"]).tolist():
                self._send_quotes(number, tickers)

    def _send_quotes(self, number: int, tickers: dict[int, list[Topic]]) -> None:
        quotes = (self._model.best(number, Side.BUY), self._model.best(number, Side.SELL))
        if self._quotes.get(number) == quotes:
            return
        self._quotes[number] = quotes
        payload = self._book_ticker(self._model.markets[number])
        for topic in [*tickers.get(number, ()), *tickers.get(ALL, ())]:
            self._registry.publish(topic, payload)

    def _book_ticker(self, market: Market) -> Payload:
        bid, ask = (self._model.best(market.number, side) for side in (Side.BUY, Side.SELL))
        encoded = payloads.book_ticker(market, self._model.books.last_update_id(market.number), bid, ask)
        return lambda unit_ns: encoded

    # The clock

    def next_due(self, now: float) -> float | None:
        """When `tick` has something to do; None while nobody follows anything that is timed. Seconds, any clock."""
        for speed_ms in self._ticking:
            if speed_ms not in self._due:
                self._due[speed_ms] = _next(now, speed_ms)
        return min(self._due.values(), default=None)

    def tick(self, now: float, now_ns: int) -> None:
        """Send what is due at `now` (as in `next_due`); `now_ns` is the time of day."""
        for speed_ms, due in list(self._due.items()):
            if due > now:
                continue
            self._due[speed_ms] = _next(now, speed_ms)
            for (number, speed), (buffer, topics) in list(self._depth.items()):
                changes = buffer.take(number) if speed == speed_ms else None
                if changes is not None:
                    for topic in list(topics):
                        self._registry.publish(topic, partial(payloads.depth, self._model.markets[number], changes))
            for topic in list(self._ticking.get(speed_ms, {}).values()):
                self._look_at(topic, now_ns)

    def say_goodbye(self, subscriber: Subscriber, now_ns: int) -> None:
        """The server is about to stop."""

        def payload(unit_ns: int) -> bytes:
            return payloads.encode({"e": "serverShutdown", "E": now_ns // unit_ns})

        subscriber.socket.send_frame(encoded_frame(SHUTDOWN, subscriber.form, payload))

    def _look_at(self, topic: Topic, now_ns: int) -> None:
        stream = topic.stream
        number = self._market_number(stream.symbol)
        assert number is not None, "only markets that are known tick"
        if stream.kind == Kind.LEVELS:
            update_id, payload = self._levels_payload(topic, number)
            if self._updates.get(stream.name) != update_id:
                self._updates[stream.name] = update_id
                self._registry.publish(topic, payload)
        elif stream.kind in _STATISTICS:
            market = None if number == ALL else self._model.markets[number]
            for found in self._statistics.changed(stream, market, self._model, now_ns):
                self._registry.publish(topic, found)

    def _levels_payload(self, topic: Topic, number: int) -> tuple[int, Payload]:
        update_id, bids, asks = self._model.depth(number, topic.stream.levels)
        return update_id, lambda unit_ns: payloads.levels(self._model.markets[number], update_id, bids, asks)

    # Markets

    def _market_number(self, symbol: str) -> int | None:
        if not symbol:
            return ALL
        market = self._model.market_named(symbol)
        return market.number if market is not None else None

    def _markets_of(self, number: int) -> list[Market]:
        return self._model.markets if number == ALL else [self._model.markets[number]]

    def _find_unknown(self) -> None:
        """Markets that somebody waited for may exist now."""
        for symbol in list(self._unknown):
            if self._model.market_named(symbol) is not None:
                for topic in self._unknown.pop(symbol):
                    self.opened(topic)


def _next(now: float, speed_ms: int) -> float:
    """The first moment after `now` that is a whole multiple of the speed."""
    return (int(now * 1000) // speed_ms + 1) * speed_ms / 1000


def _remove(topics: dict[int, list[Topic]], number: int, topic: Topic) -> None:
    topics[number].remove(topic)
    if not topics[number]:
        del topics[number]
