"""Depth: the aggregated book of every market, as the LEVEL flags of events tell it.

Each event that changes a level says what rests there now, so a book needs no orders: it sets levels. A level of
quantity 0 is not in the book. Prices and quantities count the market's scales, as everywhere.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from ringex.jit import compiled, entry, inlined, int64
from ringex.memory import address_of, record_at
from ringex.messages import EVENT, MARKET_EVENT, RECORD_BYTES, TRADE
from ringex.rules import gcd
from ringex.tables import (
    Pool,
    Prices,
    pool_give,
    pool_take,
    prices_above,
    prices_below,
    prices_depth,
    prices_drop,
    prices_find,
    prices_insert,
    prices_remove,
    prices_root,
)
from ringex.terms import EventFlag, EventKind, Side

DEPTH: Final = np.dtype(
    [
        ("books", "i8"),  # address of BOOK records, by market number
        ("books_max", "i8"),
        ("books_count", "i8"),
        ("levels", "i8"),  # address of LEVEL records, by slot; slot 0 is none
        ("level_pool", "i8"),
        ("prices", "i8"),
    ],
    align=True,
)
BOOK: Final = np.dtype(
    [
        ("bids", "i8"),  # roots of the sets of ticks
        ("asks", "i8"),
        ("height", "i8"),  # of these sets
        ("tick", "i8"),  # every price is a multiple of it
        ("tick_number_max", "i8"),  # price_max ÷ tick
        ("update_id", "i8"),  # of the last change
    ],
    align=True,
)
LEVEL: Final = np.dtype([("price", "i8"), ("quantity", "i8")], align=True)
"""A level, in the table and in what `snapshot` and `levels` give. Quantity > 0."""


class Quote(NamedTuple):
    """The best level of a side; (0, 0) where the side is empty."""

    price: int
    quantity: int


class Depth:
    """Books of at most `markets_max` markets, with at most `levels_max` levels in all of them together."""

    def __init__(self, markets_max: int, levels_max: int) -> None:
        self._books = np.zeros(markets_max, BOOK)
        self._levels = np.zeros(levels_max + 1, LEVEL)
        self._level_pool = Pool(self._levels)
        self._prices = Prices(levels_max, 2 * markets_max + 1)  # one more while a set is entered anew
        self._root = np.zeros(1, DEPTH)
        self._root["books"] = address_of(self._books)
        self._root["books_max"] = markets_max
        self._root["levels"] = address_of(self._levels)
        self._root["level_pool"] = self._level_pool.address
        self._root["prices"] = self._prices.address
        self.address = address_of(self._root)

    def apply(self, events: np.ndarray) -> None:
        """Apply EVENT records, C-contiguous, none left out. A gap in a market's update ids fails an assertion."""
        assert events.dtype == EVENT
        depth_apply(self.address, address_of(events), len(events))

    @property
    def markets_count(self) -> int:
        return int(self._root["books_count"][0])

    def add_market(self, tick: int, price_max: int) -> int:
        """Open the next market's book without its event (that is, when loading). Returns its number."""
        number = self.markets_count
        depth_add_book(self.address, number, tick, price_max)
        return number

    def last_update_id(self, market: int) -> int:
        self._check(market)
        return int(self._books["update_id"][market])

    def best(self, market: int, side: Side) -> Quote:
        """The highest bid (BUY) or the lowest ask (SELL)."""
        self._check(market)
        slot = depth_best(self.address, market, int(side))
        return Quote(*self._levels[slot].item()) if slot else Quote(0, 0)

    def levels(self, market: int, side: Side, levels_max: int) -> np.ndarray:
        """Up to `levels_max` LEVEL records of one side, best first; a copy, shape (n,)."""
        self._check(market)
        found = np.zeros(min(levels_max, self._level_pool.used), LEVEL)
        count = _copy_levels(self.address, market, int(side), address_of(found), len(found)) if len(found) else 0
        return found[:count]

    def snapshot(self, market: int, levels_max: int) -> tuple[int, np.ndarray, np.ndarray]:
        """(last update id, bids, asks): each side an i8 array of (price, quantity), best first, shape (n, 2)."""
        bids, asks = (self.levels(market, side, levels_max) for side in (Side.BUY, Side.SELL))
        return self.last_update_id(market), bids.view("i8").reshape(-1, 2), asks.view("i8").reshape(-1, 2)

    def load_book(self, market: int, update_id: int, bids: np.ndarray, asks: np.ndarray) -> None:
        """Fill an empty book with LEVEL records and its last update id."""
        self._check(market)
        assert self.last_update_id(market) == 0, "only an empty book can be loaded"
        for side, levels in ((Side.BUY, bids), (Side.SELL, asks)):
            for price, quantity in levels.tolist():
                _set_level(self.address, market, int(side), price, quantity)
        self._books["update_id"][market] = update_id

    def _check(self, market: int) -> None:
        assert 0 <= market < self.markets_count, f"market {market}; there are {self.markets_count}"


@entry
@compiled
def depth_apply(depth: int, events: int, count: int) -> None:
    """Apply `count` EVENT records from address `events` on."""
    for at in range(count):
        depth_apply_one(depth, events + at * RECORD_BYTES)


@compiled
def depth_apply_one(depth: int, event: int) -> None:
    """Apply the EVENT record at address `event`."""
    e = record_at(event, 0, EVENT)
    if (e.flag_bits & EventFlag.LEVEL) != 0:
        if e.kind == EventKind.TRADE:
            t = record_at(event, 0, TRADE)
            maker_side = Side.SELL if t.side == Side.BUY else Side.BUY
            _update(depth, int64(t.market), maker_side, t.price, t.level_quantity, t.book_update_id)
        else:
            _update(depth, int64(e.market), int64(e.side), e.level_price, e.level_quantity, e.book_update_id)
    elif e.kind == EventKind.MARKET:
        m = record_at(event, 0, MARKET_EVENT)
        if int64(m.market) >= record_at(depth, 0, DEPTH).books_count:
            depth_add_book(depth, int64(m.market), m.tick, m.price_max)
        else:
            _widen(depth, int64(m.market), m.tick, m.price_max)


@entry
@compiled
def depth_add_book(depth: int, market: int, tick: int, price_max: int) -> None:
    d = record_at(depth, 0, DEPTH)
    assert market == d.books_count and market < d.books_max
    assert tick > 0 and price_max >= tick
    book = record_at(d.books, market, BOOK)
    book.bids = prices_root(d.prices)
    book.asks = prices_root(d.prices)
    book.tick = tick
    book.tick_number_max = price_max // tick
    book.height = prices_depth(book.tick_number_max)
    book.update_id = 0
    d.books_count += 1


@compiled
def _widen(depth: int, market: int, tick: int, price_max: int) -> None:
    """Let a book hold prices by other rules too, besides those that it has: its levels are entered anew."""
    d = record_at(depth, 0, DEPTH)
    book = record_at(d.books, market, BOOK)
    grid = gcd(book.tick, tick)
    top = max(book.tick_number_max * book.tick, price_max)
    height = prices_depth(top // grid)
    if grid != book.tick or height != book.height:
        book.bids = _entered_anew(depth, book.bids, book.height, book.tick, height, grid)
        book.asks = _entered_anew(depth, book.asks, book.height, book.tick, height, grid)
    book.tick = grid
    book.height = height
    book.tick_number_max = top // grid


@compiled
def _entered_anew(depth: int, root: int, height: int, tick: int, new_height: int, new_tick: int) -> int:
    """The levels of a set of ticks in a new one; the old one goes. Returns its root."""
    d = record_at(depth, 0, DEPTH)
    new_root = prices_root(d.prices)
    slot = prices_above(d.prices, root, height, 0)
    while slot != 0:
        price = record_at(d.levels, slot, LEVEL).price
        prices_remove(d.prices, root, height, price // tick)
        prices_insert(d.prices, new_root, new_height, price // new_tick, slot)
        slot = prices_above(d.prices, root, height, 0)
    prices_drop(d.prices, root)
    return new_root


@inlined
def _update(depth: int, market: int, side: int, price: int, quantity: int, update_id: int) -> None:
    d = record_at(depth, 0, DEPTH)
    assert 0 <= market < d.books_count
    book = record_at(d.books, market, BOOK)
    assert update_id == book.update_id + 1
    book.update_id = update_id
    _set_level(depth, market, side, price, quantity)


@compiled
def _set_level(depth: int, market: int, side: int, price: int, quantity: int) -> None:
    d = record_at(depth, 0, DEPTH)
    book = record_at(d.books, market, BOOK)
    root = book.bids if side == Side.BUY else book.asks
    tick_number = price // book.tick
    assert quantity >= 0
    assert price > 0 and tick_number * book.tick == price and tick_number <= book.tick_number_max
    slot = prices_find(d.prices, root, book.height, tick_number)
    if slot != 0 and quantity != 0:
        record_at(d.levels, slot, LEVEL).quantity = quantity
    elif slot != 0:
        prices_remove(d.prices, root, book.height, tick_number)
        pool_give(d.level_pool, slot)
    elif quantity != 0:
        slot = pool_take(d.level_pool)
        assert slot != 0
        level = record_at(d.levels, slot, LEVEL)
        level.price = price
        level.quantity = quantity
        prices_insert(d.prices, root, book.height, tick_number, slot)


@entry
@compiled
def depth_best(depth: int, market: int, side: int) -> int:
    """The slot of the side's best level, or 0."""
    d = record_at(depth, 0, DEPTH)
    book = record_at(d.books, market, BOOK)
    if side == Side.BUY:
        return prices_below(d.prices, book.bids, book.height, book.tick_number_max)
    return prices_above(d.prices, book.asks, book.height, 0)


@entry
@compiled
def _copy_levels(depth: int, market: int, side: int, found: int, count_max: int) -> int:
    """Copy the side's best levels to LEVEL records at address `found`. Returns how many."""
    d = record_at(depth, 0, DEPTH)
    book = record_at(d.books, market, BOOK)
    slot = depth_best(depth, market, side)
    count = 0
    while slot != 0 and count < count_max:
        level = record_at(d.levels, slot, LEVEL)
        copy = record_at(found, count, LEVEL)
        copy.price = level.price
        copy.quantity = level.quantity
        count += 1
        tick_number = level.price // book.tick
        if side == Side.BUY:
            slot = prices_below(d.prices, book.bids, book.height, tick_number - 1)
        else:
            slot = prices_above(d.prices, book.asks, book.height, tick_number + 1)
    return count
