"""Aggregate trades: which trades are one, and that the read model and a counter of one's own agree on their ids."""

from __future__ import annotations

from itertools import groupby

import numpy as np
import pytest
from event_records import RandomRun, event
from reference.arena import SMALL

from ringex.history.readmodel import ReadModel
from ringex.marketdata.aggregates import Aggregates
from ringex.messages import EVENT
from ringex.terms import EventKind


def trade(sequence: int, command: int, order_id: int, price: int, market: int = 0) -> np.ndarray:
    fields = {"command_sequence": command, "order_id": order_id, "price": price, "market": market}
    return event(EventKind.TRADE, sequence, **fields)


def test_trades_of_one_taker_at_one_price_are_one_aggregate() -> None:
    trades = [
        trade(1, command=7, order_id=5, price=100),
        trade(2, command=7, order_id=5, price=100),
        trade(3, command=7, order_id=5, price=101),  # another price
        trade(4, command=7, order_id=6, price=101),  # another taker: a stop that the command triggered
        trade(5, command=8, order_id=6, price=101),  # a later command: another time
        trade(6, command=8, order_id=6, price=101, market=1),  # each market counts for itself
        trade(7, command=8, order_id=6, price=101),  # what happens in another market does not part them
    ]
    events = np.concatenate([*trades[:2], event(EventKind.RESTED, 9), *trades[2:]])
    assert Aggregates(2).number(events).tolist() == [1, 1, 2, 3, 4, 1, 4]


def test_no_trades_no_ids() -> None:
    assert Aggregates(1).number(np.zeros(0, EVENT)).shape == (0,)
    assert Aggregates(1).number(event(EventKind.RESTED, 1)).shape == (0,)


@pytest.fixture(scope="module")
def run() -> RandomRun:
    return RandomRun(6, 1600)


def plainly(run: RandomRun) -> list[int]:
    """The rule written down plainly, from the reference exchange's events."""
    ids: dict[int, int] = {}
    by_market: dict[int, list[dict[str, int]]] = {}
    for fields in run.fields:
        if fields["kind"] == EventKind.TRADE:
            by_market.setdefault(fields["market"], []).append(fields)
    for trades in by_market.values():
        groups = groupby(trades, key=lambda t: (t["command_sequence"], t["order_id"], t["price"]))
        for number, (_, members) in enumerate(groups, 1):
            ids.update((member["sequence"], number) for member in members)
    return [ids[fields["sequence"]] for fields in run.fields if fields["kind"] == EventKind.TRADE]


def test_the_read_model_and_a_counter_that_starts_in_the_middle_give_the_same_ids(run: RandomRun) -> None:
    expected = plainly(run)
    assert len(set(expected)) < len(expected) and max(expected) > 10, "the run has aggregates of several trades"
    model = ReadModel(SMALL)
    found: list[int] = []
    for span in np.array_split(run.events, 40):
        counter = Aggregates(SMALL.markets_max)
        counter.last[:] = model.aggregates
        found += counter.number(span).tolist()
        model.apply(span)
        loaded = ReadModel(SMALL)
        loaded.load(model.export())
        assert loaded.aggregates.tolist() == model.aggregates.tolist()
        model = loaded
    assert found == expected
    shown = {
        (market.number, t.trade_id): t.aggregate_id
        for market in model.markets
        for t in model.recent_trades(market.number, 1000)
    }
    trades = [fields for fields in run.fields if fields["kind"] == EventKind.TRADE]
    assert {(t["market"], t["trade_id"]): number for t, number in zip(trades, expected, strict=True)} == shown
