"""Recent trades: the last so many of each market."""

from __future__ import annotations

from typing import Final

import numpy as np

from ringex.jit import compiled, entry, int64
from ringex.marketdata.aggregates import AGGREGATE, aggregate_of
from ringex.memory import address_of, copy_bytes, record_at
from ringex.messages import TRADE
from ringex.terms import Side

TRADES: Final = np.dtype(
    [
        ("counts", "i8"),  # address of COUNT records, by market number: trades ever recorded
        ("records", "i8"),  # address of RECENT_TRADE records, `per_market` for each market
        ("aggregates", "i8"),  # address of AGGREGATE records, by market number
        ("per_market", "i8"),
        ("markets_max", "i8"),
    ],
    align=True,
)
COUNT: Final = np.dtype([("trades", "i8")])
RECENT_TRADE: Final = np.dtype(
    [
        ("trade_id", "i8"),
        ("time_ns", "i8"),
        ("price", "i8"),
        ("quantity", "i8"),
        ("quote_amount", "i8"),
        ("aggregate_id", "i8"),  # see `ringex.marketdata.aggregates`
        ("command_sequence", "i8"),
        ("order_id", "i8"),  # the taker's
        ("maker_order_id", "i8"),
        ("taker_fee", "i8"),
        ("maker_fee", "i8"),
        ("taker_account", "i4"),
        ("maker_account", "i4"),
        ("taker_fee_asset", "i4"),  # as in TRADE
        ("maker_fee_asset", "i4"),
        ("market", "i4"),
        ("buyer_is_maker", "i4"),
    ],
    align=True,
)
_RECENT_TRADE_BYTES: Final = RECENT_TRADE.itemsize


class RecentTrades:
    """The last `per_market` trades of each of `markets_max` markets."""

    def __init__(self, markets_max: int, per_market: int) -> None:
        self._counts = np.zeros(markets_max, COUNT)
        self._records = np.zeros((markets_max, per_market), RECENT_TRADE)
        self._aggregates = np.zeros(markets_max, AGGREGATE)
        self._root = np.zeros(1, TRADES)
        self._root["counts"] = address_of(self._counts)
        self._root["records"] = address_of(self._records)
        self._root["aggregates"] = address_of(self._aggregates)
        self._root["per_market"] = per_market
        self._root["markets_max"] = markets_max
        self.address = address_of(self._root)

    def recent(self, market: int, limit: int) -> np.ndarray:
        """Up to `limit` RECENT_TRADE records of the market, oldest first; a copy, shape (n,)."""
        per_market = self._records.shape[1]
        recorded = int(self._counts["trades"][market])
        count = min(recorded, per_market, limit)
        return self._records[market, np.arange(recorded - count, recorded) % per_market]

    @property
    def aggregates(self) -> np.ndarray:
        """AGGREGATE records by market number. Not to be changed."""
        return self._aggregates

    def export(self, markets_count: int) -> np.ndarray:
        """What is held of the first `markets_count` markets, market by market, oldest first."""
        per_market = self._records.shape[1]
        parts = [self.recent(market, per_market) for market in range(markets_count) if self._counts["trades"][market]]
        return np.concatenate(parts) if parts else np.zeros(0, RECENT_TRADE)

    def load(self, trades: np.ndarray) -> None:
        """Record RECENT_TRADE records, oldest first; the caller has checked their markets."""
        trades = np.ascontiguousarray(trades)
        _trades_load(self.address, address_of(trades), len(trades))


@compiled
def trades_record(trades: int, event: int) -> None:
    """Record the TRADE event at address `event`."""
    t = record_at(event, 0, TRADE)
    aggregate_id = aggregate_of(record_at(trades, 0, TRADES).aggregates, event)
    record = record_at(_next_place(trades, int64(t.market)), 0, RECENT_TRADE)
    record.trade_id = t.trade_id
    record.time_ns = t.time_ns
    record.price = t.price
    record.quantity = t.quantity
    record.quote_amount = t.quote_amount
    record.aggregate_id = aggregate_id
    record.command_sequence = t.command_sequence
    record.order_id = t.order_id
    record.maker_order_id = t.maker_order_id
    record.taker_fee = t.taker_fee
    record.maker_fee = t.maker_fee
    record.taker_account = t.account
    record.maker_account = t.maker_account
    record.taker_fee_asset = np.int32(t.taker_fee_asset)
    record.maker_fee_asset = np.int32(t.maker_fee_asset)
    record.market = t.market
    record.buyer_is_maker = np.int32(1) if t.side == Side.SELL else np.int32(0)


@entry
@compiled
def _trades_load(trades: int, source: int, count: int) -> None:
    table = record_at(trades, 0, TRADES)
    for at in range(count):
        trade = record_at(source, at, RECENT_TRADE)
        market = int64(trade.market)
        copy_bytes(_next_place(trades, market), source + at * _RECENT_TRADE_BYTES, _RECENT_TRADE_BYTES)
        last = record_at(table.aggregates, market, AGGREGATE)
        last.aggregate_id = trade.aggregate_id
        last.command_sequence = trade.command_sequence
        last.order_id = trade.order_id
        last.price = trade.price


@compiled
def _next_place(trades: int, market: int) -> int:
    """The address where the market's next trade is recorded; it counts as recorded from now on."""
    table = record_at(trades, 0, TRADES)
    assert 0 <= market < table.markets_max
    count = record_at(table.counts, market, COUNT)
    place = market * table.per_market + count.trades % table.per_market
    count.trades += 1
    return table.records + place * _RECENT_TRADE_BYTES
