"""Trailing stops enter, begin, and follow what has traded: see `ringex.engine.trails` for how that is cheap."""

from __future__ import annotations

from ringex.engine.book import best_level, book_leave, order_link, stop_enter
from ringex.engine.records import ARMING_FALLING, ARMING_RISING, LEVEL, MARKET, ORDER, ROOT, TERMS, TRAIL
from ringex.engine.trails import follows_nothing, run_make, trail_of, trails_anchor
from ringex.jit import compiled, inlined, int64
from ringex.memory import record_at
from ringex.rules import is_met


@compiled
def stop_wait(root: int, slot: int, market: int) -> None:
    """Let a new stop order wait: for its stop price, or behind the market from now on."""
    s = record_at(root, 0, ROOT)
    order = record_at(s.orders, slot, ORDER)
    terms = record_at(s.orders_terms, slot, TERMS)
    last = record_at(s.markets, market, MARKET).last_price
    if terms.trailing_delta == 0:
        stop_enter(root, slot, market)
    elif terms.stop_price == 0 or is_met(last, order.order_type, order.side, terms.stop_price):
        trail_enter(root, slot, market, last)
    else:
        stop_enter(root, slot, market)


@compiled
def trail_enter(root: int, slot: int, market: int, anchor: int) -> None:
    """Let an order begin to follow the market, at `anchor`: the last price, or 0 where there is none yet.

    All trails of the market have followed that price already.
    """
    s = record_at(root, 0, ROOT)
    side = int64(record_at(s.orders, slot, ORDER).side)
    trail = trail_of(root, market, side, int64(record_at(s.orders_terms, slot, TERMS).trailing_delta))
    number = int64(record_at(s.trails, trail, TRAIL).youngest)
    if number == 0 or record_at(s.levels, number, LEVEL).price != anchor:
        number = run_make(root, trail, market, side, anchor)
    record_at(s.levels, number, LEVEL).orders += 1
    order_link(root, slot, number)


@inlined
def follow_prices(root: int, market: int) -> None:
    """Let the market's trailing stops see what this step has traded at: its first price, and the last one.

    What lies between the two lies between them in price too: an order takes one level after the other.
    """
    s = record_at(root, 0, ROOT)
    m = record_at(s.markets, market, MARKET)
    if m.last_price == 0 or follows_nothing(m):
        return
    if s.first_price != 0 and s.first_price != m.last_price:
        _follow(root, market, s.first_price)
    _follow(root, market, m.last_price)


@compiled
def _follow(root: int, market: int, price: int) -> None:
    """A trade at `price`: whoever finds it the best so far is anchored there; whoever waits for it begins."""
    s = record_at(root, 0, ROOT)
    trails_anchor(root, market, price)
    for armed in range(ARMING_FALLING, ARMING_RISING + 1):
        number = best_level(root, market, armed)
        while number != 0 and _reached(armed, record_at(s.levels, number, LEVEL).price, price):
            slot = int64(record_at(s.levels, number, LEVEL).oldest)
            book_leave(root, slot)
            trail_enter(root, slot, market, price)
            number = best_level(root, market, armed)


@inlined
def _reached(side: int, stop_price: int, price: int) -> bool:
    return price >= stop_price if side == ARMING_RISING else price <= stop_price
