"""Auctions that are going on: at which price each would uncross now, how much would trade, what would be left over."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from ringex.jit import compiled, int64
from ringex.memory import address_of, record_at
from ringex.messages import INDICATIVE_EVENT, MARKET_EVENT
from ringex.terms import MarketStatus

AUCTION: Final = np.dtype(
    [
        ("goes_on", "i8"),  # 1: the market is in an auction
        ("price", "i8"),  # what it would give; zeros where nothing crosses, and where none goes on
        ("quantity", "i8"),
        ("imbalance", "i8"),
        ("told_ns", "i8"),  # when this was told; 0: nothing has crossed in this auction yet
    ]
)


class Indication(NamedTuple):
    """`imbalance`: what would be left over at `price`, > 0 of buyers, < 0 of sellers. All 0: nothing crosses."""

    goes_on: int
    price: int
    quantity: int
    imbalance: int
    told_ns: int


class Auctions:
    """Of at most `markets_max` markets."""

    def __init__(self, markets_max: int) -> None:
        self._records = np.zeros(markets_max, AUCTION)
        self.address = address_of(self._records)

    def indication(self, market: int) -> Indication:
        """What an uncross would give, where the market is in an auction."""
        return Indication(*self._records[market].item())

    def export(self, markets_count: int) -> np.ndarray:
        """AUCTION records by market; a copy, shape (markets_count,)."""
        return self._records[:markets_count].copy()

    def load(self, records: np.ndarray) -> None:
        """Fill an empty table with what `export` gave."""
        self._records[: len(records)] = records


@compiled
def auctions_tell(auctions: int, event: int) -> None:
    """INDICATIVE. (Where no auction goes on it says what the uncross that has begun will trade.)"""
    i = record_at(event, 0, INDICATIVE_EVENT)
    auction = record_at(auctions, int64(i.market), AUCTION)
    if auction.goes_on != 0:
        auction.price = i.price
        auction.quantity = i.quantity
        auction.imbalance = i.imbalance
        auction.told_ns = i.time_ns


@compiled
def auctions_market(auctions: int, event: int) -> None:
    """MARKET: perhaps an auction begins or ends."""
    m = record_at(event, 0, MARKET_EVENT)
    auction = record_at(auctions, int64(m.market), AUCTION)
    goes_on = int64(1) if m.status == MarketStatus.AUCTION else int64(0)
    if auction.goes_on != goes_on:
        auction.goes_on = goes_on
        auction.price = 0
        auction.quantity = 0
        auction.imbalance = 0
        auction.told_ns = 0
