"""Trailing stops: the stop price follows the market, `trailing_delta` basis points behind the best price so far.

What such an order follows is its anchor: the highest price since it began, if it sells, the lowest, if it buys. Its
trigger is the anchor less or more the delta. A new extreme moves the anchors of many orders at once, and must not walk
them all. Orders of one market, side and delta are a *trail*, and these facts make a trail cheap:

- Of two orders of a trail the older one has seen whatever the younger one has, so its anchor is no worse. Orders
  with one anchor are a *run*, and the runs of a trail, from the oldest on, have ever lower anchors (selling).
- So a new extreme concerns only the youngest runs, which all get the same anchor: they become one. The smaller of two
  runs moves into the larger one, so an order moves log2(n) times at most between its entry and its end.
- The oldest run has the nearest trigger: it is the only one to look at.

A step that traded looks at each trail of the market once: there are as many as different deltas are in use, not as
orders. Runs are levels (LEVEL, whose price is the anchor; 0 while there was no trade), one a waiting order at most.
An order with a stop price begins when the last price meets that; until then it lies in the arming sides of its market,
which are ordered by price as those of stop orders are.
"""

from __future__ import annotations

from typing import Any

from ringex.engine.records import LEVEL, MARKET, ORDER, ROOT, TRAIL, TRAILING
from ringex.jit import compiled, inlined, int64
from ringex.memory import record_at
from ringex.rules import trailing_trigger
from ringex.tables import pool_give, pool_take
from ringex.terms import Side


@compiled
def trail_of(root: int, market: int, side: int, delta: int) -> int:
    """The trail of this delta, made if need be; a market's trails of a side are in order of delta."""
    s = record_at(root, 0, ROOT)
    m = record_at(s.markets, market, MARKET)
    before = int64(0)
    after = int64(m.trails_buy) if side == Side.BUY else int64(m.trails_sell)
    while after != 0 and record_at(s.trails, after, TRAIL).delta < delta:
        before = after
        after = int64(record_at(s.trails, after, TRAIL).after)
    if after != 0 and record_at(s.trails, after, TRAIL).delta == delta:
        return after
    made = pool_take(s.trail_pool)
    assert made != 0, "there is room for one of each waiting order"
    trail = record_at(s.trails, made, TRAIL)
    trail.delta = delta
    trail.oldest = 0
    trail.youngest = 0
    trail.before = before
    trail.after = after
    if after != 0:
        record_at(s.trails, after, TRAIL).before = made
    _set_after(root, market, side, before, made)
    return made


@inlined
def _set_after(root: int, market: int, side: int, before: int, trail: int) -> None:
    """Let `trail` come after `before` (0: first of its side)."""
    s = record_at(root, 0, ROOT)
    m = record_at(s.markets, market, MARKET)
    if before != 0:
        record_at(s.trails, before, TRAIL).after = trail
    elif side == Side.BUY:
        m.trails_buy = trail
    else:
        m.trails_sell = trail


@compiled
def run_make(root: int, trail: int, market: int, side: int, anchor: int) -> int:
    """A new empty run, the youngest of its trail."""
    s = record_at(root, 0, ROOT)
    t = record_at(s.trails, trail, TRAIL)
    number = pool_take(s.level_pool)
    assert number != 0
    s.stop_levels += 1
    level = record_at(s.levels, number, LEVEL)
    level.price = anchor
    level.quantity = 0
    level.icebergs = 0
    level.oldest = 0
    level.youngest = 0
    level.better = t.youngest
    level.worse = 0
    level.market = market
    level.side = TRAILING + side
    level.trail = trail
    level.orders = 0
    if t.youngest != 0:
        record_at(s.levels, int64(t.youngest), LEVEL).worse = number
    else:
        t.oldest = number
    t.youngest = number
    return number


@inlined
def follows_nothing(m: Any) -> bool:
    """Whether a MARKET has no trailing stops at all."""
    return m.trails_buy == 0 and m.trails_sell == 0 and m.arming_falling.best == 0 and m.arming_rising.best == 0


@inlined
def _is_better(side: int, price: int, anchor: int) -> bool:
    """Whether orders of this side that have seen `anchor` find `price` as good, or better."""
    return anchor == 0 or (price >= anchor if side == Side.SELL else price <= anchor)


@compiled
def trails_anchor(root: int, market: int, price: int) -> None:
    """A trade at `price`: whoever finds it the best so far is anchored there."""
    s = record_at(root, 0, ROOT)
    m = record_at(s.markets, market, MARKET)
    for side in range(Side.BUY, Side.SELL + 1):
        trail = int64(m.trails_buy) if side == Side.BUY else int64(m.trails_sell)
        while trail != 0:
            _anchor(root, trail, side, price)
            trail = int64(record_at(s.trails, trail, TRAIL).after)


@compiled
def _anchor(root: int, trail: int, side: int, price: int) -> None:
    """The youngest runs of a trail that find `price` better become one."""
    s = record_at(root, 0, ROOT)
    t = record_at(s.trails, trail, TRAIL)
    level = record_at(s.levels, int64(t.youngest), LEVEL)
    if not _is_better(side, price, level.price):
        return
    level.price = price
    older = int64(level.better)
    while older != 0 and _is_better(side, price, record_at(s.levels, older, LEVEL).price):
        _join(root, older, int64(t.youngest), price)
        older = int64(record_at(s.levels, int64(t.youngest), LEVEL).better)


@compiled
def _join(root: int, older: int, younger: int, price: int) -> None:
    """Make two neighbouring runs one, anchored at `price`: the smaller one's orders move, the order of age stays."""
    s = record_at(root, 0, ROOT)
    o = record_at(s.levels, older, LEVEL)
    y = record_at(s.levels, younger, LEVEL)
    last = int64(o.youngest)
    first = int64(y.oldest)
    record_at(s.orders, last, ORDER).next = first
    record_at(s.orders, first, ORDER).prev = last
    keeps_older = o.orders >= y.orders
    kept = older if keeps_older else younger
    gone = younger if keeps_older else older
    slot = first if keeps_older else int64(o.oldest)
    for _ in range(record_at(s.levels, gone, LEVEL).orders):
        record_at(s.orders, slot, ORDER).level = kept
        slot = int64(record_at(s.orders, slot, ORDER).next)
    oldest = int64(o.oldest)
    youngest = int64(y.youngest)
    orders = o.orders + y.orders
    record_at(s.levels, gone, LEVEL).oldest = 0
    run_drop(root, gone)
    k = record_at(s.levels, kept, LEVEL)
    k.oldest = oldest
    k.youngest = youngest
    k.orders = orders
    k.price = price


@compiled
def run_drop(root: int, number: int) -> None:
    """Remove a run that has no orders; a trail left empty goes."""
    s = record_at(root, 0, ROOT)
    level = record_at(s.levels, number, LEVEL)
    assert level.oldest == 0
    trail = int64(level.trail)
    t = record_at(s.trails, trail, TRAIL)
    if level.better != 0:
        record_at(s.levels, int64(level.better), LEVEL).worse = level.worse
    else:
        t.oldest = level.worse
    if level.worse != 0:
        record_at(s.levels, int64(level.worse), LEVEL).better = level.better
    else:
        t.youngest = level.better
    if t.oldest == 0:
        if t.after != 0:
            record_at(s.trails, int64(t.after), TRAIL).before = t.before
        _set_after(root, int64(level.market), int64(level.side) - TRAILING, int64(t.before), int64(t.after))
        pool_give(s.trail_pool, trail)
    s.stop_levels -= 1
    pool_give(s.level_pool, number)


@compiled
def trail_due(root: int, market: int) -> int:
    """The run whose oldest order is the next to fire at the market's last price, or 0.

    Those that buy first, from the lowest trigger on; then those that sell, from the highest; then by delta.
    """
    s = record_at(root, 0, ROOT)
    m = record_at(s.markets, market, MARKET)
    found = int64(0)
    best = int64(0)
    trail = int64(m.trails_buy)
    while trail != 0:
        t = record_at(s.trails, trail, TRAIL)
        anchor = record_at(s.levels, int64(t.oldest), LEVEL).price
        trigger = trailing_trigger(int64(Side.BUY), anchor, int64(t.delta))
        if anchor != 0 and m.last_price >= trigger and (found == 0 or trigger < best):
            found = int64(t.oldest)
            best = trigger
        trail = int64(t.after)
    if found != 0:
        return found
    trail = int64(m.trails_sell)
    while trail != 0:
        t = record_at(s.trails, trail, TRAIL)
        anchor = record_at(s.levels, int64(t.oldest), LEVEL).price
        trigger = trailing_trigger(int64(Side.SELL), anchor, int64(t.delta))
        if anchor != 0 and m.last_price <= trigger and (found == 0 or trigger > best):
            found = int64(t.oldest)
            best = trigger
        trail = int64(t.after)
    return found
