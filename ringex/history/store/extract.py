"""What a batch of events leaves to be kept: rows for the store's tables, from the events and the read model after them.

Orders and balances are taken from the read model as they are by then, so the model may be further than the events: the
newest state wins. Everything else is said by the events themselves, each once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from ringex.history.candles import candles_in
from ringex.history.catalogue import Catalogue, Market
from ringex.history.readmodel import ReadModel
from ringex.history.store.schema import (
    ACCOUNTS,
    AMENDMENTS,
    ASSETS,
    BALANCES,
    BOOKINGS,
    CANDLES,
    MARKETS,
    ORDERS,
    PREVENTED,
    TRADES,
    Table,
    order_rows,
)
from ringex.history.store.store import Batch, Progress, Row, Store
from ringex.marketdata.aggregates import AGGREGATE, Aggregates
from ringex.messages import BALANCE_EVENT, CLIENT_ORDER_ID_WORDS, EVENT, FEE_ACCOUNT, TRADE, text_of
from ringex.messages import PREVENTED as PREVENTED_EVENT
from ringex.terms import EventKind

_RAW: Final = np.dtype("V256")
_ORDER_KINDS: Final = [
    int(kind)
    for kind in (
        EventKind.ACCEPTED,
        EventKind.RESTED,
        EventKind.CANCELED,
        EventKind.AMENDED,
        EventKind.TRIGGERED,
        EventKind.PLACED,
    )
]
_CATALOGUE_KINDS: Final = [int(kind) for kind in (EventKind.ASSET, EventKind.MARKET, EventKind.ACCOUNT)]
_TEXT: Final = f"S{CLIENT_ORDER_ID_WORDS * 8}"


class Extractor:
    """Turns events into batches, in sequence. `store` tells what came before the first."""

    def __init__(self, store: Store, markets_max: int) -> None:
        self._store = store
        self._aggregates = Aggregates(markets_max)
        for market, aggregate_id, command_sequence, order_id, price in store.last_aggregates():
            self._aggregates.last[int(market)] = np.array((aggregate_id, command_sequence, order_id, price), AGGREGATE)

    def batch(self, events: np.ndarray, model: ReadModel) -> Batch:
        """The rows of EVENT records, at least one, all of which `model` has applied; the store follows up to before."""
        trades = _of_kind(events, EventKind.TRADE).view(TRADE)
        last = events[-1]
        made = Batch(Progress(int(last["sequence"]), int(last["command_sequence"]), int(last["time_ns"])))
        parts: dict[Table, list[Row]] = {
            ORDERS: order_rows(model.order_records(_orders_touched(events, trades))),
            TRADES: _trade_rows(trades, self._aggregates.number(events)),
            CANDLES: candle_rows(events, len(model.markets)),
            BALANCES: balance_rows(model, *_balances_touched(events, trades, model.markets), int(last["sequence"])),
            BOOKINGS: _booking_rows(_of_kind(events, EventKind.BALANCE).view(BALANCE_EVENT)),
            AMENDMENTS: self._amendment_rows(events),
            PREVENTED: _prevented_rows(_of_kind(events, EventKind.PREVENTED).view(PREVENTED_EVENT), model),
        }
        if np.isin(events["kind"], _CATALOGUE_KINDS).any():
            parts |= catalogue_rows(model.catalogue)
        made.rows = {table: rows for table, rows in parts.items() if rows}
        return made

    def _amendment_rows(self, events: np.ndarray) -> list[Row]:
        amended = _of_kind(events, EventKind.AMENDED)
        if not len(amended):
            return []
        wanted = {int(order_id) for order_id in amended["order_id"]}
        quantities = dict(self._store.quantities(sorted(wanted)))
        rows: list[Row] = []
        told = events[np.isin(events["kind"], _ORDER_KINDS) & np.isin(events["order_id"], sorted(wanted))]
        for event in told:
            order_id, quantity = int(event["order_id"]), int(event["quantity"])
            if event["kind"] == EventKind.AMENDED:
                rows.append(
                    (
                        int(event["execution_id"]),
                        order_id,
                        int(event["account"]),
                        int(event["market"]),
                        int(event["time_ns"]),
                        text_of(event["client_order_id"]),
                        text_of(event["original_client_order_id"]),
                        int(event["price"]),
                        quantity,
                        quantities.get(order_id, 0),
                    )
                )
            if event["kind"] != EventKind.TRIGGERED:
                quantities[order_id] = quantity
        return rows


def catalogue_rows(catalogue: Catalogue) -> dict[Table, list[Row]]:
    """What the numbers of assets, markets and accounts mean; all of them, since they seldom become more."""
    return {
        ASSETS: [(asset.number, asset.name, asset.scale) for asset in catalogue.assets],
        MARKETS: [
            (
                market.number,
                market.symbol,
                market.base.number,
                market.quote.number,
                market.price_scale,
                market.quantity_scale,
            )
            for market in catalogue.markets
        ],
        ACCOUNTS: [(account.number, account.name, account.parent) for account in catalogue.accounts],
    }


def candle_rows(events: np.ndarray, markets_count: int) -> list[Row]:
    """What the trades among events add to the candles of all intervals."""
    candles = candles_in(events, markets_count)
    names = ("market", "interval", *CANDLES.columns[2:])
    return list(zip(*(candles[name].tolist() for name in names), strict=True))


def balance_rows(model: ReadModel, accounts: np.ndarray, assets: np.ndarray, sequence: int) -> list[Row]:
    """The balances of (account, asset) pairs as the model has them."""
    held = model.balance_records(accounts, assets)
    columns = [held[name].tolist() for name in BALANCES.columns[:-1]]
    return list(zip(*columns, [sequence] * len(held), strict=True))


def _of_kind(events: np.ndarray, kind: EventKind) -> np.ndarray:
    return events.view(_RAW)[events["kind"] == kind].view(EVENT)


def _orders_touched(events: np.ndarray, trades: np.ndarray) -> np.ndarray:
    told = events["order_id"][np.isin(events["kind"], _ORDER_KINDS)]
    return np.unique(np.concatenate([told, trades["order_id"], trades["maker_order_id"]]))


def _balances_touched(
    events: np.ndarray, trades: np.ndarray, markets: Sequence[Market]
) -> tuple[np.ndarray, np.ndarray]:
    """(accounts, assets) of the pairs that events may have changed."""
    assets = np.array([(market.base.number, market.quote.number) for market in markets], np.int64).reshape(-1, 2)
    orders = events[np.isin(events["kind"], _ORDER_KINDS)]
    booked = _of_kind(events, EventKind.BALANCE)
    pairs = [booked["account"].astype(np.int64) << 32 | booked["market"].astype(np.int64)]
    for side in (0, 1):
        for records, role in ((orders, "account"), (trades, "account"), (trades, "maker_account")):
            pairs.append(records[role].astype(np.int64) << 32 | assets[records["market"], side])
        pairs.append(np.unique(assets[trades["market"], side]) | FEE_ACCOUNT << 32)
    for role in ("taker", "maker"):
        other = trades[trades[f"{role}_fee_asset"] > 0]
        paid_in = other[f"{role}_fee_asset"].astype(np.int64) - 1
        accounts = other["account" if role == "taker" else "maker_account"].astype(np.int64)
        pairs += [accounts << 32 | paid_in, paid_in | FEE_ACCOUNT << 32]
    touched = np.unique(np.concatenate(pairs))
    return touched >> 32, touched & 0xFFFFFFFF


def _trade_rows(trades: np.ndarray, aggregate_ids: np.ndarray) -> list[Row]:
    sources = {
        "taker_order_id": "order_id",
        "taker_account": "account",
    }
    columns: list[list[int]] = [
        aggregate_ids.tolist() if name == "aggregate_id" else trades[sources.get(name, name)].tolist()
        for name in TRADES.columns
    ]
    return list(zip(*columns, strict=True))


def _booking_rows(booked: np.ndarray) -> list[Row]:
    columns: list[list[int] | list[str]] = [
        booked["market" if name == "asset" else name].tolist() for name in BOOKINGS.columns[:-1]
    ]
    texts = np.ascontiguousarray(booked["reference"]).view(_TEXT).ravel().tolist() if len(booked) else []
    columns.append([text.decode("ascii") for text in texts])
    return list(zip(*columns, strict=True))


def _prevented_rows(prevented: np.ndarray, model: ReadModel) -> list[Row]:
    if not len(prevented):
        return []
    wanted = set(zip(prevented["market"].tolist(), prevented["prevented_match_id"].tolist(), strict=True))
    held = model.last_prevented(1 << 62)
    rows = [record.item() for record in held[np.isin(held["prevented_match_id"], prevented["prevented_match_id"])]]
    at = [PREVENTED.columns.index(name) for name in PREVENTED.key]
    return [row for row in rows if tuple(row[index] for index in at) in wanted]


def whole_model(model: ReadModel, progress: Progress) -> Batch:
    """What a read model knows by itself, for a store that has missed the events before it: orders and balances."""
    orders, accounts, assets = model.all_order_records(), *model.all_balances()
    balances = balance_rows(model, accounts, assets, progress.event_sequence)
    return Batch(progress, {ORDERS: order_rows(orders), BALANCES: balances, **catalogue_rows(model.catalogue)})
