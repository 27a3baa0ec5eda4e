"""The compiled composer makes, byte for byte and in the same order, what plain Python makes of the same events."""

from __future__ import annotations

import random
from collections.abc import Iterator

import numpy as np
import pytest
import zmq
from event_records import RandomRun, event
from plain_streams import PlainStreams
from reference.arena import SMALL

from ringex.decimals import SCALE_MAX
from ringex.history.catalogue import Catalogue
from ringex.marketdata.changes import changes_by_market
from ringex.marketdata.composer import Composer, Tickers
from ringex.marketdata.depth import Depth
from ringex.marketdata.streams import Message
from ringex.messages import EVENT
from ringex.terms import EventFlag, EventKind, Side
from ringex.zmqcalls import function_address

EVENTS_MAX = 64
LEVELS_MAX = 1 << 10


class Both:
    """The composer, and what makes the same plainly, fed alike."""

    def __init__(self) -> None:
        self.catalogue = Catalogue(SMALL)
        self.depth = Depth(SMALL.markets_max, LEVELS_MAX)
        self.composer = Composer(EVENTS_MAX, SMALL.markets_max)
        self.plain = PlainStreams()

    def feed(self, events: np.ndarray, tickers: Tickers = Tickers.CHANGED) -> list[Message]:
        """The messages of a batch, which both agree on."""
        self.catalogue.apply(events)
        self.depth.apply(events)
        markets = self.catalogue.markets
        changes = changes_by_market(events)
        numbers = range(len(markets)) if tickers == Tickers.ALL else [change.market for change in changes]
        expected = list(self.plain.trades(events, markets))
        expected += [self.plain.depth(change, markets[change.market]) for change in changes]
        if tickers != Tickers.NONE:
            expected += self.plain.tickers(numbers, markets, self.depth)
        assert self.composer.compose(events, markets, self.depth, tickers) == len(expected)
        assert list(self.composer.messages()) == expected
        return expected


def batches(events: np.ndarray, dice: random.Random) -> Iterator[np.ndarray]:
    at = 0
    while at < len(events):
        size = dice.choice((1, 2, 5, EVENTS_MAX))
        yield events[at : at + size]
        at += size


@pytest.mark.parametrize("seed", range(3))
def test_any_batches_of_a_random_run(seed: int) -> None:
    dice, both, topics = random.Random(seed), Both(), set()
    for batch in batches(RandomRun(seed, 800).events, dice):
        if not dice.randrange(20):
            both.plain.forget()
            both.composer.forget()
        tickers = dice.choices(list(Tickers), (1, 8, 1))[0]
        topics |= {topic.partition(b"@")[2] for topic, _ in both.feed(batch, tickers)}
    assert topics - {b"auction"} == {b"trade", b"depth", b"bookTicker"}


def market(number: int, symbol: str, price_scale: int, quantity_scale: int) -> np.ndarray:
    scales = {"price_scale": price_scale, "quantity_scale": quantity_scale}
    texts = {"symbol": symbol, "base_asset": 0, "quote_asset": 0}
    return event(EventKind.MARKET, 1, market=number, tick=1, price_max=10**6, status=1, **texts, **scales)


@pytest.fixture
def both() -> Both:
    both = Both()
    both.feed(event(EventKind.ASSET, 1, name="COIN", scale=8))
    return both


def level(update_id: int, side: Side, price: int, quantity: int, number: int = 0) -> np.ndarray:
    body = {"level_price": price, "level_quantity": quantity, "book_update_id": update_id}
    return event(
        *(EventKind.RESTED, 1),
        market=number,
        side=side,
        flag_bits=EventFlag.LEVEL,
        time_ns=1_700_000_000_123_456_789,
        **body,
    )


@pytest.mark.parametrize("imbalance", [0, 1, -1, 1 << 62, -(1 << 62)])
def test_an_auction_is_told_among_trades(both: Both, imbalance: int) -> None:
    both.feed(np.concatenate([market(0, "ONE", 2, 3), market(1, "ABCDEFGHIJKLMNOPQRSTUVWX", 8, 8)]))
    body = {"price": 12_345, "quantity": 1 << 62, "imbalance": imbalance, "time_ns": 1_700_000_000_123_456_789}
    events = [
        event(EventKind.INDICATIVE, 1, market=1, **body),
        event(EventKind.TRADE, 1, market=0, price=5, quantity=7, trade_id=1, side=Side.BUY),
        event(EventKind.INDICATIVE, 1, market=0),
    ]
    topics = [topic for topic, _ in both.feed(np.concatenate(events))]
    assert topics == [b"abcdefghijklmnopqrstuvwx@auction", b"one@trade", b"one@auction"]


@pytest.mark.parametrize("scale", [0, 7, 8, 9, SCALE_MAX])
def test_every_scale_and_the_longest_symbol(both: Both, scale: int) -> None:
    both.feed(market(0, "ABCDEFGHIJKLMNOPQRSTUVWX", scale, SCALE_MAX - scale))
    messages = both.feed(np.concatenate([level(1, Side.BUY, 1, (1 << 62) + 1), level(2, Side.SELL, 10**6, 10**18)]))
    assert [topic for topic, _ in messages] == [
        b"abcdefghijklmnopqrstuvwx@" + name for name in (b"depth", b"bookTicker")
    ]


def test_a_batch_as_large_as_is_allowed(both: Both) -> None:
    both.feed(np.concatenate([market(0, "ONE", 2, 3), market(1, "TWO", 2, 3)]))
    scattered = [level(at, Side.BUY, 1000 - 7 * at % 61, 10**18, 0) for at in range(1, EVENTS_MAX + 1)]
    assert len(both.feed(np.concatenate(scattered))) == 2
    assert len(both.feed(np.zeros(0, EVENT), Tickers.ALL)) == 1  # the other market's, which was never told
    both.composer.forget()
    both.plain.forget()
    assert len(both.feed(np.zeros(0, EVENT), Tickers.ALL)) == 2
    with pytest.raises(AssertionError):
        both.composer.compose(np.zeros(EVENTS_MAX + 1, EVENT), both.catalogue.markets, both.depth, Tickers.NONE)


def test_libzmq_gets_the_same_frames(both: Both) -> None:
    both.feed(market(0, "ONE", 2, 3))
    messages = both.feed(np.concatenate([level(at, Side.BUY, 1000 - at, 10**6 + at) for at in range(1, 30)]))
    with zmq.Context() as context, context.socket(zmq.PAIR) as sending, context.socket(zmq.PAIR) as receiving:
        sending.bind("inproc://composer")
        receiving.connect("inproc://composer")
        assert both.composer.send(function_address("zmq_send"), sending.underlying) == 0
        assert [tuple(receiving.recv_multipart(zmq.NOBLOCK)) for _ in messages] == messages
        with pytest.raises(zmq.Again):
            receiving.recv(zmq.NOBLOCK)


def test_a_failed_send_is_told(both: Both) -> None:
    both.feed(market(0, "ONE", 2, 3))
    both.feed(level(1, Side.BUY, 1, 1))
    with zmq.Context() as context, context.socket(zmq.SUB) as deaf:
        answer = both.composer.send(function_address("zmq_send"), deaf.underlying)
    assert answer == -zmq.ENOTSUP
