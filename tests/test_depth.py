"""Aggregated books: set level by level from hand-made events, and against a plain dictionary."""

from __future__ import annotations

import random

import numpy as np
import pytest
from event_records import RandomRun, event

from ringex.marketdata.changes import MarketChanges, changes_by_market
from ringex.marketdata.depth import Depth, Quote
from ringex.terms import EventFlag, EventKind, Side

TICK = 5
PRICE_MAX = 1_000_000


def market(number: int, sequence: int = 1) -> np.ndarray:
    return event(EventKind.MARKET, sequence, market=number, tick=TICK, price_max=PRICE_MAX)


def level(update_id: int, side: Side, price: int, quantity: int, number: int = 0, time_ns: int = 0) -> np.ndarray:
    return event(
        EventKind.RESTED,
        1,
        flag_bits=EventFlag.LEVEL,
        market=number,
        side=side,
        level_price=price,
        level_quantity=quantity,
        book_update_id=update_id,
        time_ns=time_ns,
    )


def trade(update_id: int, taker_side: Side, price: int, quantity: int, number: int = 0) -> np.ndarray:
    values = {"price": price, "level_quantity": quantity, "book_update_id": update_id, "flag_bits": EventFlag.LEVEL}
    return event(EventKind.TRADE, 1, market=number, side=taker_side, **values)


@pytest.fixture
def depth() -> Depth:
    books = Depth(markets_max=2, levels_max=8)
    books.apply(market(0))
    return books


def test_levels_are_set_replaced_and_removed(depth: Depth) -> None:
    depth.apply(np.concatenate([level(1, Side.BUY, 100, 3), level(2, Side.BUY, 95, 4), level(3, Side.SELL, 110, 5)]))
    last, bids, asks = depth.snapshot(0, 10)
    assert (last, bids.tolist(), asks.tolist()) == (3, [[100, 3], [95, 4]], [[110, 5]])
    depth.apply(np.concatenate([level(4, Side.BUY, 100, 7), level(5, Side.SELL, 110, 0)]))
    last, bids, asks = depth.snapshot(0, 10)
    assert (last, bids.tolist(), asks.tolist()) == (5, [[100, 7], [95, 4]], [])
    assert asks.shape == (0, 2)
    assert depth.snapshot(0, 1)[1].tolist() == [[100, 7]]
    assert depth.best(0, Side.BUY) == Quote(100, 7)
    assert depth.best(0, Side.SELL) == Quote(0, 0)


def test_a_trade_changes_the_makers_side(depth: Depth) -> None:
    depth.apply(np.concatenate([level(1, Side.BUY, 100, 3), level(2, Side.SELL, 105, 4)]))
    depth.apply(trade(3, Side.BUY, 105, 1))
    depth.apply(trade(4, Side.SELL, 100, 2))
    assert depth.best(0, Side.SELL) == Quote(105, 1)
    assert depth.best(0, Side.BUY) == Quote(100, 2)


def test_events_without_a_level_change_nothing(depth: Depth) -> None:
    unflagged = level(1, Side.BUY, 100, 3)
    unflagged["flag_bits"] = EventFlag.LAST
    depth.apply(unflagged)
    assert depth.snapshot(0, 10)[0] == 0


def test_a_markets_new_status_leaves_its_book_alone(depth: Depth) -> None:
    depth.apply(np.concatenate([level(1, Side.BUY, 100, 3), market(0), level(2, Side.BUY, 95, 1)]))
    assert depth.markets_count == 1
    assert depth.snapshot(0, 10)[1].tolist() == [[100, 3], [95, 1]]


@pytest.mark.parametrize("update_id", [0, 2, 3])
def test_a_gap_in_update_ids_is_refused(depth: Depth, update_id: int) -> None:
    with pytest.raises(AssertionError):
        depth.apply(level(update_id, Side.BUY, 100, 3))


@pytest.mark.parametrize(
    "impossible",
    [
        level(1, Side.BUY, 101, 3),  # between two ticks
        level(1, Side.BUY, PRICE_MAX + TICK, 3),
        level(1, Side.BUY, 0, 3),
        level(1, Side.BUY, 100, -1),
        level(1, Side.BUY, 100, 1, number=1),  # no such market yet
        market(2),  # market 1 comes next
        np.concatenate([market(1), market(2)]),  # one too many
    ],
)
def test_what_cannot_be_is_refused(depth: Depth, impossible: np.ndarray) -> None:
    with pytest.raises(AssertionError):
        depth.apply(impossible)


def test_one_level_too_many_is_refused(depth: Depth) -> None:
    for update_id in range(1, 9):
        depth.apply(level(update_id, Side.BUY, update_id * TICK, 1))
    with pytest.raises(AssertionError):
        depth.apply(level(9, Side.SELL, 100, 1))


def test_a_long_random_walk_is_as_a_dictionary_says() -> None:
    dice = random.Random(1)
    depth = Depth(markets_max=2, levels_max=200)
    depth.apply(np.concatenate([market(0), market(1)]))
    plain: dict[tuple[int, Side], dict[int, int]] = {(m, side): {} for m in (0, 1) for side in Side}
    updates = [0, 0]
    for _ in range(60):
        batch = []
        for _ in range(dice.randint(1, 50)):
            number, side = dice.randint(0, 1), dice.choice(list(Side))
            price, quantity = TICK * dice.choice((dice.randint(1, 50), PRICE_MAX // TICK)), dice.choice((0, 1, 2))
            updates[number] += 1
            batch.append(level(updates[number], side, price, quantity, number))
            plain[number, side][price] = quantity
        depth.apply(np.concatenate(batch))
        for (number, side), levels in plain.items():
            expected = sorted([[p, q] for p, q in levels.items() if q], reverse=side == Side.BUY)
            assert depth.snapshot(number, 1000)[1 if side == Side.BUY else 2].tolist() == expected
            assert depth.best(number, side) == (tuple(expected[0]) if expected else (0, 0))
    assert all(depth.last_update_id(number) == updates[number] for number in (0, 1))


def test_a_batch_lists_each_level_once_as_it_was_left() -> None:
    batch = [
        level(7, Side.BUY, 100, 3, time_ns=1),
        level(8, Side.BUY, 105, 4, time_ns=2),
        level(1, Side.SELL, 300, 1, number=1, time_ns=9),
        level(9, Side.BUY, 100, 0, time_ns=3),
        level(10, Side.SELL, 120, 6, time_ns=4),
        trade(11, Side.BUY, 110, 5),
    ]
    assert changes_by_market(np.concatenate(batch)) == [
        MarketChanges(0, 7, 11, 4, bids=[(105, 4), (100, 0)], asks=[(110, 5), (120, 6)]),
        MarketChanges(1, 1, 1, 9, bids=[], asks=[(300, 1)]),
    ]
    assert changes_by_market(market(0)) == []


def test_changes_with_a_gap_are_refused() -> None:
    with pytest.raises(AssertionError, match="the updates of a market's book have a gap"):
        changes_by_market(np.concatenate([level(1, Side.BUY, 100, 1), level(3, Side.BUY, 105, 1)]))


@pytest.mark.parametrize("batch", [1, 7, 100, 10_000])
def test_changes_added_up_give_the_book(batch: int) -> None:
    run = RandomRun(seed=3, commands_count=600)
    depth = Depth(markets_max=8, levels_max=100)
    depth.apply(run.events)
    books: dict[tuple[int, int], dict[int, int]] = {}
    last = dict.fromkeys(range(8), 0)
    for start in range(0, len(run.events), batch):
        for change in changes_by_market(run.events[start : start + batch]):
            assert change.first_update_id == last[change.market] + 1
            last[change.market] = change.last_update_id
            for side, levels in ((1, change.bids), (2, change.asks)):
                books.setdefault((change.market, side), {}).update(levels)
    for (number, side), levels in books.items():
        kept = sorted([[p, q] for p, q in levels.items() if q], reverse=side == Side.BUY)
        assert depth.snapshot(number, 100)[side].tolist() == kept
        assert depth.last_update_id(number) == last[number]
