"""A market's life: MARKET_SET, which changes its rules, and its status as `ringex.rules.may_follow` allows; the end of
a pause; what a schedule brings.

Orders that are open keep prices and quantities of earlier rules. So books count prices in the greatest common divisor
of all ticks since the market last was without an open order (`price_grid`), up to the highest price_max (`price_top`).
"""

from __future__ import annotations

from ringex.engine.admin import emit_market
from ringex.engine.auctions import indicate, open_trading
from ringex.engine.book import best_level, book_side, side_prices
from ringex.engine.breaker import set_reference
from ringex.engine.events import answer_plainly
from ringex.engine.records import ARMING_RISING, ASSET, BOOK_SIDE, LEVEL, MARKET, ROOT
from ringex.engine.schedules import forget_schedule
from ringex.engine.timers import timer_remove
from ringex.jit import compiled, int64
from ringex.memory import record_at
from ringex.messages import MARKET_COMMAND
from ringex.reasons import Reason
from ringex.rules import gcd, grid_fits, market_reason, may_follow
from ringex.tables import prices_depth, prices_insert, prices_remove
from ringex.terms import EventKind, MarketStatus, Side, TimerKind


@compiled
def set_market(root: int, command: int) -> None:
    """MARKET_SET."""
    s = record_at(root, 0, ROOT)
    c = record_at(command, 0, MARKET_COMMAND)
    reason = int64(Reason.NONE)
    if c.market < 0 or c.market >= s.markets_count:
        reason = int64(Reason.INVALID_SYMBOL)
    elif c.status > MarketStatus.CLOSED or (c.status == 0 and c.tick == 0):
        reason = int64(Reason.INVALID_COMMAND)
    elif c.status != 0 and not may_follow(int64(record_at(s.markets, int64(c.market), MARKET).status), int64(c.status)):
        reason = int64(Reason.ILLEGAL_TRANSITION)
    elif c.tick != 0:
        reason = _rules_refusal(root, command)
    if reason != Reason.NONE:
        answer_plainly(root, command, int64(EventKind.REJECTED), reason)
        return
    if c.tick != 0:
        _set_rules(root, command)
    if c.status == 0:
        emit_market(root, int64(c.market))
        indicate(root, int64(c.market))
        return
    timer_remove(root, int64(TimerKind.MARKET_RESUME), int64(c.market))  # from now on it is the operator's affair
    forget_schedule(root, int64(c.market))
    change_status(root, int64(c.market), int64(c.status))


@compiled
def _is_empty(root: int, market: int) -> bool:
    """Whether a market has no open order at all."""
    m = record_at(record_at(root, 0, ROOT).markets, market, MARKET)
    for side in range(Side.BUY, ARMING_RISING + 1):
        if best_level(root, market, side) != 0:
            return False
    return m.trails_buy == 0 and m.trails_sell == 0 and m.pending_level == 0


@compiled
def _rules_refusal(root: int, command: int) -> int:
    """Why a market may not have the rules of a MARKET_SET: a Reason, or NONE."""
    s = record_at(root, 0, ROOT)
    c = record_at(command, 0, MARKET_COMMAND)
    m = record_at(s.markets, int64(c.market), MARKET)
    same_assets = c.base_asset == m.base_asset and c.quote_asset == m.quote_asset
    if not same_assets or c.price_scale != m.price_scale or c.quantity_scale != m.quantity_scale:
        return int64(Reason.INVALID_MARKET)
    base_scale = record_at(s.assets, int64(m.base_asset), ASSET).scale
    quote_scale = record_at(s.assets, int64(m.quote_asset), ASSET).scale
    reason = market_reason(c, base_scale, quote_scale)
    if reason != Reason.NONE:
        return reason
    if not _is_empty(root, int64(c.market)):
        exponent = quote_scale - int64(m.price_scale) - int64(m.quantity_scale)
        tick = gcd(m.price_grid, c.tick)
        lot = gcd(m.quantity_grid, c.lot)
        price = max(m.price_top, c.price_max)
        quantity = max(m.quantity_top, c.quantity_max)
        if not grid_fits(tick, lot, price, quantity, exponent, base_scale - int64(m.quantity_scale)):
            return int64(Reason.INVALID_MARKET)
    return int64(Reason.INVALID_FILTERS) if m.reference_price > c.price_max else int64(Reason.NONE)


@compiled
def _set_rules(root: int, command: int) -> None:
    s = record_at(root, 0, ROOT)
    c = record_at(command, 0, MARKET_COMMAND)
    number = int64(c.market)
    m = record_at(s.markets, number, MARKET)
    if _is_empty(root, number):
        _count_prices_in(root, number, c.tick, c.price_max)
        m.quantity_grid = c.lot
        m.quantity_top = c.quantity_max
    else:
        _count_prices_in(root, number, gcd(m.price_grid, c.tick), max(m.price_top, c.price_max))
        m.quantity_grid = gcd(m.quantity_grid, c.lot)
        m.quantity_top = max(m.quantity_top, c.quantity_max)
    m.tick = c.tick
    m.lot = c.lot
    m.price_min = c.price_min
    m.price_max = c.price_max
    m.quantity_min = c.quantity_min
    m.quantity_max = c.quantity_max
    m.notional_min = c.notional_min
    m.notional_max = c.notional_max
    m.maker_fee = c.maker_fee
    m.taker_fee = c.taker_fee
    m.orders_per_account_max = c.orders_per_account_max


@compiled
def _count_prices_in(root: int, number: int, grid: int, top: int) -> None:
    """Let a market's ordered prices count multiples of `grid` up to `top`: every level is entered anew."""
    m = record_at(record_at(root, 0, ROOT).markets, number, MARKET)
    depth = prices_depth(top // grid)
    m.price_top = top
    if grid == m.price_grid and depth == m.depth:
        return
    for side in range(Side.BUY, ARMING_RISING + 1):
        _enter_levels(root, number, side, False)
    m.price_grid = grid
    m.depth = depth
    for side in range(Side.BUY, ARMING_RISING + 1):
        _enter_levels(root, number, side, True)


@compiled
def _enter_levels(root: int, number: int, side: int, enters: bool) -> None:
    """Enter all levels of a side in its ordered prices, or take them out."""
    s = record_at(root, 0, ROOT)
    m = record_at(s.markets, number, MARKET)
    prices = side_prices(root, side)
    tree = int64(record_at(book_side(root, number, side), 0, BOOK_SIDE).root)
    at = best_level(root, number, side)
    while at != 0:
        level = record_at(s.levels, at, LEVEL)
        if enters:
            prices_insert(prices, tree, m.depth, level.price // m.price_grid, at)
        else:
            prices_remove(prices, tree, m.depth, level.price // m.price_grid)
        at = int64(level.worse)


@compiled
def begin_phase(root: int, market: int, status: int) -> None:
    """A time of a market's schedule has come. Also where its circuit breaker has stopped it: what it was to be after
    that pause is void."""
    m = record_at(record_at(root, 0, ROOT).markets, market, MARKET)
    assert may_follow(int64(m.status), status), "nothing but its breaker came between, and that changes nothing of this"
    timer_remove(root, int64(TimerKind.MARKET_RESUME), market)
    change_status(root, market, status)


@compiled
def change_status(root: int, market: int, status: int) -> None:
    """Give a market a status that may follow on the one it has: MARKET, and what comes of it."""
    m = record_at(record_at(root, 0, ROOT).markets, market, MARKET)
    was = int64(m.status)
    m.status = status
    emit_market(root, market)
    if status != MarketStatus.AUCTION:
        m.indicative_price = 0
        m.indicative_quantity = 0
        m.indicative_imbalance = 0
    indicate(root, market)
    if status == MarketStatus.TRADING and was != MarketStatus.TRADING:
        set_reference(root, market, int64(0))
        open_trading(root, market)
