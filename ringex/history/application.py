"""What each event does to a read model, compiled: the tables that it concerns, one after the other."""

from __future__ import annotations

from typing import Final

import numpy as np

from ringex.history.auctions import auctions_market, auctions_tell
from ringex.history.averages import averages_filters, averages_trade
from ringex.history.balances import balance_add_free, balance_set, balance_withhold
from ringex.history.candles import candles_trade
from ringex.history.countdowns import countdowns_done, countdowns_set
from ringex.history.ordercounts import counts_accept, counts_trade
from ringex.history.orders import order_accept, order_left, order_place, order_trade, order_trigger, order_update
from ringex.history.prevented import prevented_last_id, prevented_record
from ringex.history.trades import trades_record
from ringex.jit import compiled, entry, int64
from ringex.marketdata.depth import depth_apply_one
from ringex.memory import record_at
from ringex.messages import BALANCE_EVENT, EVENT, FEE_ACCOUNT, MARKET_EVENT, PREVENTED, RECORD_BYTES, TRADE
from ringex.reasons import Reason
from ringex.terms import EventKind, Side

MODEL: Final = np.dtype(
    [
        ("sequence", "i8"),  # of the last event applied
        ("pairs", "i8"),  # address of PAIR records, by market number
        ("depth", "i8"),
        ("orders", "i8"),
        ("balances", "i8"),
        ("trades", "i8"),
        ("prevented", "i8"),
        ("candles", "i8"),
        ("averages", "i8"),
        ("auctions", "i8"),
        ("countdowns", "i8"),
        ("order_counts", "i8"),
    ],
    align=True,
)
"""The addresses of a model's tables."""
PAIR: Final = np.dtype([("base_asset", "i8"), ("quote_asset", "i8")])
"""The numbers of a market's assets."""


@entry
@compiled
def apply_events(model: int, events: int, count: int) -> None:
    """Apply EVENT records that follow on the model's sequence. `model` is the address of a MODEL."""
    m = record_at(model, 0, MODEL)
    for at in range(count):
        event = events + at * RECORD_BYTES
        e = record_at(event, 0, EVENT)
        assert e.sequence == m.sequence + 1
        m.sequence = e.sequence
        kind = e.kind
        if kind == EventKind.TRADE:
            _apply_trade(model, event)
        elif kind == EventKind.ACCEPTED:
            order_accept(m.orders, event)
            counts_accept(m.order_counts, event)
            _apply_hold(model, event)
        elif kind == EventKind.RESTED or kind == EventKind.CANCELED or kind == EventKind.AMENDED:
            prevented_match_id = prevented_last_id(m.prevented) if e.reason == Reason.PREVENTED else int64(0)
            order_update(m.orders, event, kind == EventKind.AMENDED, prevented_match_id)
            _apply_hold(model, event)
        elif kind == EventKind.PREVENTED:
            p = record_at(event, 0, PREVENTED)
            taker_left = order_left(m.orders, p.order_id)
            prevented_record(m.prevented, event, taker_left, order_left(m.orders, p.maker_order_id))
        elif kind == EventKind.TRIGGERED:
            order_trigger(m.orders, event)
        elif kind == EventKind.PLACED:
            order_place(m.orders, event)
            _apply_hold(model, event)
        elif kind == EventKind.BALANCE:
            b = record_at(event, 0, BALANCE_EVENT)
            balance_set(m.balances, int64(b.account), int64(b.market), b.free, b.locked)
            balance_withhold(m.balances, int64(b.account), int64(b.market), b.held)
        elif kind == EventKind.DONE:
            countdowns_done(m.countdowns, event)
        elif kind == EventKind.MARKET:
            _apply_market(model, event)
            auctions_market(m.auctions, event)
        elif kind == EventKind.INDICATIVE:
            auctions_tell(m.auctions, event)
        elif kind == EventKind.COUNTDOWN:
            countdowns_set(m.countdowns, event)
        elif kind == EventKind.MARKET_FILTERS:
            averages_filters(m.averages, event)
        depth_apply_one(m.depth, event)


@compiled
def _apply_hold(model: int, event: int) -> None:
    """The balance that the order holds, as the event shows it."""
    m = record_at(model, 0, MODEL)
    e = record_at(event, 0, EVENT)
    pair = record_at(m.pairs, int64(e.market), PAIR)
    asset = pair.quote_asset if e.side == Side.BUY else pair.base_asset
    balance_set(m.balances, int64(e.account), asset, e.free, e.locked)


@compiled
def _apply_fee(model: int, account: int, fee: int, paid_in: int, received: int, market: int) -> None:
    """One side's fee of a trade. Of base and quote the trade shows what the account has; of another asset it does not.

    `paid_in` is the number + 1 of the fee asset, or 0: the fee is in the asset that was received.
    """
    m = record_at(model, 0, MODEL)
    asset = paid_in - 1 if paid_in != 0 else received
    pair = record_at(m.pairs, market, PAIR)
    if asset != pair.base_asset and asset != pair.quote_asset:
        balance_add_free(m.balances, account, asset, -fee)
    balance_add_free(m.balances, FEE_ACCOUNT, asset, fee)


@compiled
def _apply_trade(model: int, event: int) -> None:
    m = record_at(model, 0, MODEL)
    t = record_at(event, 0, TRADE)
    order_trade(
        m.orders,
        t.order_id,
        int64(t.taker_status),
        t.taker_executed_quantity,
        t.taker_executed_quote,
        t.time_ns,
    )
    order_trade(
        m.orders,
        t.maker_order_id,
        int64(t.maker_status),
        t.maker_executed_quantity,
        t.maker_executed_quote,
        t.time_ns,
    )
    pair = record_at(m.pairs, int64(t.market), PAIR)
    taker = int64(t.account)
    maker = int64(t.maker_account)
    balance_set(m.balances, taker, pair.base_asset, t.taker_base_free, t.taker_base_locked)
    balance_set(m.balances, taker, pair.quote_asset, t.taker_quote_free, t.taker_quote_locked)
    balance_set(m.balances, maker, pair.base_asset, t.maker_base_free, t.maker_base_locked)
    balance_set(m.balances, maker, pair.quote_asset, t.maker_quote_free, t.maker_quote_locked)
    taker_received = pair.base_asset if t.side == Side.BUY else pair.quote_asset
    maker_received = pair.quote_asset if t.side == Side.BUY else pair.base_asset
    _apply_fee(model, taker, t.taker_fee, int64(t.taker_fee_asset), taker_received, int64(t.market))
    _apply_fee(model, maker, t.maker_fee, int64(t.maker_fee_asset), maker_received, int64(t.market))
    counts_trade(m.order_counts, event)
    trades_record(m.trades, event)
    candles_trade(m.candles, event)
    averages_trade(m.averages, event)


@compiled
def _apply_market(model: int, event: int) -> None:
    market = record_at(event, 0, MARKET_EVENT)
    m = record_at(model, 0, MODEL)
    pair = record_at(m.pairs, int64(market.market), PAIR)
    pair.base_asset = int64(market.base_asset)
    pair.quote_asset = int64(market.quote_asset)
    balance_add_free(m.balances, FEE_ACCOUNT, pair.base_asset, 0)
    balance_add_free(m.balances, FEE_ACCOUNT, pair.quote_asset, 0)
