"""Auctions: what a market that collects orders would trade at, and the uncross, which trades it.

The price is the one at which most can be executed; of several the one that leaves least over; of these the nearest to
the last price (or the reference price); of two as near the lower one. Finding it walks the levels that cross, twice,
and allocates nothing: its cost is that of those levels (levels with icebergs are looked through order by order).
"""

from __future__ import annotations

from ringex.engine.book import best_level, book_leave, book_refill, book_trade, order_close, order_shown
from ringex.engine.breaker import set_reference
from ringex.engine.closing import close_sibling, fill_list
from ringex.engine.events import emit, emit_order, emitted, mark_level
from ringex.engine.filters import last_or_reference
from ringex.engine.matching import bargain, look_for_stops
from ringex.engine.orderlists import list_of
from ringex.engine.records import LEVEL, MARKET, ORDER, ROOT
from ringex.engine.trailing import follow_prices
from ringex.jit import compiled, inlined, int64
from ringex.memory import record_at
from ringex.messages import AMOUNT_MAX, EVENT, EVENTS_PER_COMMAND_MAX, INDICATIVE_EVENT, TRADE
from ringex.tables import pool_give
from ringex.terms import CommandKind, EventFlag, EventKind, MarketStatus, OrderStatus, Side

EVENTS_PER_STEP_MAX = 9
"""The others of two pairs, TRADE, RESTED of two icebergs that show fresh slices (or the ends of two lists), BOOK of two
levels that are gone; BOOK of two that stay."""


@compiled
def _whole(root: int, number: int) -> int:
    """What the orders of a level have left, hidden parts included; AMOUNT_MAX at most."""
    s = record_at(root, 0, ROOT)
    level = record_at(s.levels, number, LEVEL)
    if level.icebergs == 0:
        return level.quantity
    total = int64(0)
    slot = int64(level.oldest)
    while slot != 0:
        order = record_at(s.orders, slot, ORDER)
        total = min(int64(AMOUNT_MAX), total + order.quantity - order.executed)
        slot = int64(order.next)
    return total


@inlined
def _price_of(root: int, number: int) -> int:
    """The price of a level; 0 for none."""
    return record_at(record_at(root, 0, ROOT).levels, number, LEVEL).price if number != 0 else int64(0)


@compiled
def is_crossed(root: int, market: int) -> bool:
    """Whether the best bid reaches the best ask."""
    bid = best_level(root, market, int64(Side.BUY))
    ask = best_level(root, market, int64(Side.SELL))
    return bid != 0 and ask != 0 and _price_of(root, bid) >= _price_of(root, ask)


@compiled
def find_uncross(root: int, market: int) -> None:
    """Find price, quantity and imbalance of an uncross, into the root's `auction_*`; all 0 if nothing crosses."""
    s = record_at(root, 0, ROOT)
    s.auction_price = 0
    s.auction_quantity = 0
    s.auction_imbalance = 0
    if not is_crossed(root, market):
        return
    tick = record_at(s.markets, market, MARKET).tick
    reference = last_or_reference(root, market)
    bid = best_level(root, market, int64(Side.BUY))
    ask = best_level(root, market, int64(Side.SELL))
    lowest = _price_of(root, ask)
    price = _price_of(root, bid)
    supply = int64(0)  # what asks at this price and below have
    number = ask
    while number != 0 and _price_of(root, number) <= price:
        supply += _whole(root, number)
        ask = number
        number = int64(record_at(s.levels, number, LEVEL).worse)
    demand = int64(0)  # what bids at this price and above have
    while True:
        if _price_of(root, bid) == price:
            demand = min(int64(AMOUNT_MAX), demand + _whole(root, bid))
            bid = int64(record_at(s.levels, bid, LEVEL).worse)
        _weigh(root, price, reference, demand, supply)
        if price == lowest:
            return
        if _price_of(root, ask) == price:
            supply -= _whole(root, ask)
            ask = int64(record_at(s.levels, ask, LEVEL).better)
        below = max(_price_of(root, bid), _price_of(root, ask))
        between = _nearest(reference, (below // tick + 1) * tick, (price - 1) // tick * tick, tick)
        if between != 0:
            _weigh(root, between, reference, demand, supply)
        price = below


@inlined
def _nearest(reference: int, lowest: int, highest: int, tick: int) -> int:
    """The multiple of `tick` from `lowest` to `highest`, themselves ones, nearest to `reference`; 0 for none."""
    if lowest > highest:
        return int64(0)
    if reference <= lowest:
        return lowest
    if reference >= highest:
        return highest
    down = reference // tick * tick
    return down if reference - down <= down + tick - reference else down + tick


@inlined
def _weigh(root: int, price: int, reference: int, demand: int, supply: int) -> None:
    """Let a price be the one, if it is better than the best so far; prices come from the highest down."""
    s = record_at(root, 0, ROOT)
    quantity = min(demand, supply)
    if quantity < s.auction_quantity:
        return
    if quantity == s.auction_quantity:
        left, least = abs(demand - supply), abs(s.auction_imbalance)
        if left > least or (left == least and abs(price - reference) > abs(s.auction_price - reference)):
            return
    s.auction_price = price
    s.auction_quantity = quantity
    s.auction_imbalance = demand - supply


@inlined
def indicate(root: int, market: int) -> None:
    """In an auction: INDICATIVE, if what it would give has changed, and there is room for one event more."""
    s = record_at(root, 0, ROOT)
    m = record_at(s.markets, market, MARKET)
    if m.status != MarketStatus.AUCTION or emitted(root) == EVENTS_PER_COMMAND_MAX:
        return
    find_uncross(root, market)
    same_price = s.auction_price == m.indicative_price and s.auction_quantity == m.indicative_quantity
    if not same_price or s.auction_imbalance != m.indicative_imbalance:
        m.indicative_price = s.auction_price
        m.indicative_quantity = s.auction_quantity
        m.indicative_imbalance = s.auction_imbalance
        _emit_indicative(root, market)


@compiled
def _emit_indicative(root: int, market: int) -> None:
    s = record_at(root, 0, ROOT)
    e = record_at(emit(root, int64(EventKind.INDICATIVE), int64(0), market), 0, INDICATIVE_EVENT)
    e.price = s.auction_price
    e.quantity = s.auction_quantity
    e.imbalance = s.auction_imbalance


@compiled
def open_trading(root: int, market: int) -> None:
    """A market has come to be TRADING: uncross what crosses, at one price, then let stop orders fire that are due."""
    s = record_at(root, 0, ROOT)
    if not is_crossed(root, market):
        look_for_stops(root, market)
        return
    find_uncross(root, market)
    _emit_indicative(root, market)
    s.pending_market = market
    s.pending_price = s.auction_price
    s.pending_account = 0
    s.pending_quote = 0
    s.pending_collar = 0
    set_reference(root, market, s.auction_price)
    uncross(root)


@compiled
def uncross(root: int) -> None:
    """Trade at the pending price until nothing reaches it on one side, or this step's events are used up."""
    s = record_at(root, 0, ROOT)
    market = s.pending_market
    price = s.pending_price
    s.continuation_pending = 0
    changed_bid = int64(0)  # levels that have traded in this step, and are still there
    changed_ask = int64(0)
    while True:
        bid = best_level(root, market, int64(Side.BUY))
        ask = best_level(root, market, int64(Side.SELL))
        if bid == 0 or ask == 0 or _price_of(root, bid) < price or _price_of(root, ask) > price:
            break
        if emitted(root) > EVENTS_PER_COMMAND_MAX - EVENTS_PER_STEP_MAX:
            s.continuation_pending = CommandKind.UNCROSS
            follow_prices(root, market)
            break
        bid_price = _price_of(root, bid)
        ask_price = _price_of(root, ask)
        _trade(root, bid, ask)
        changed_bid = _told_if_gone(root, market, int64(Side.BUY), bid, bid_price)
        changed_ask = _told_if_gone(root, market, int64(Side.SELL), ask, ask_price)
    if changed_bid != 0:
        _tell(root, market, int64(Side.BUY), _price_of(root, changed_bid), _shown(root, changed_bid))
    if changed_ask != 0:
        _tell(root, market, int64(Side.SELL), _price_of(root, changed_ask), _shown(root, changed_ask))
    if s.continuation_pending == 0:
        look_for_stops(root, market)


@inlined
def _shown(root: int, number: int) -> int:
    return record_at(record_at(root, 0, ROOT).levels, number, LEVEL).quantity


@compiled
def _told_if_gone(root: int, market: int, side: int, number: int, price: int) -> int:
    """After a trade: BOOK if the side's best level was used up, and 0; else the level, to be told of later."""
    best = best_level(root, market, side)
    if best == number and _price_of(root, best) == price:
        return number
    _tell(root, market, side, price, int64(0))
    return int64(0)


@compiled
def _tell(root: int, market: int, side: int, price: int, quantity: int) -> None:
    """BOOK: a level's quantity, which TRADE events of an uncross do not tell."""
    event = emit(root, int64(EventKind.BOOK), int64(0), market)
    e = record_at(event, 0, EVENT)
    e.side = side
    e.command_kind = CommandKind.UNCROSS
    mark_level(root, event, market, price, quantity)


@compiled
def _trade(root: int, bid: int, ask: int) -> None:
    """The oldest orders of two levels trade what both show. The younger one counts as the taker."""
    s = record_at(root, 0, ROOT)
    buyer = int64(record_at(s.levels, bid, LEVEL).oldest)
    seller = int64(record_at(s.levels, ask, LEVEL).oldest)
    buyer_is_older = record_at(s.orders, buyer, ORDER).order_id < record_at(s.orders, seller, ORDER).order_id
    maker, taker = (buyer, seller) if buyer_is_older else (seller, buyer)
    if record_at(s.markets, s.pending_market, MARKET).pairs != 0:
        close_sibling(root, buyer, int64(CommandKind.UNCROSS))
        close_sibling(root, seller, int64(CommandKind.UNCROSS))
    quantity = min(order_shown(root, buyer), order_shown(root, seller))
    limit = _price_of(root, int64(record_at(s.orders, taker, ORDER).level))
    maker_limit = _price_of(root, int64(record_at(s.orders, maker, ORDER).level))
    kind = int64(CommandKind.UNCROSS)
    event = bargain(root, kind, taker, limit, False, maker, maker_limit, s.pending_price, quantity)
    e = record_at(event, 0, TRADE)
    e.flag_bits = EventFlag.UNCROSS
    e.taker_status = _status_after(root, taker)
    e.maker_status = _status_after(root, maker)
    _after_trade(root, buyer, quantity)
    _after_trade(root, seller, quantity)


@inlined
def _status_after(root: int, slot: int) -> int:
    order = record_at(record_at(root, 0, ROOT).orders, slot, ORDER)
    done = order.executed == order.quantity
    return int64(OrderStatus.FILLED) if done else int64(OrderStatus.PARTIALLY_FILLED)


@compiled
def _after_trade(root: int, slot: int, quantity: int) -> None:
    """The order leaves the book, if it is filled, or shows a fresh slice, if it is an iceberg that shows nothing."""
    s = record_at(root, 0, ROOT)
    market = s.pending_market
    order = record_at(s.orders, slot, ORDER)
    price = _price_of(root, int64(order.level))
    book_trade(root, slot, quantity)
    if order.executed == order.quantity:
        order_list = list_of(root, slot)
        book_leave(root, slot)
        order_close(root, slot, market)
        pool_give(s.order_pool, slot)
        if order_list != 0:
            fill_list(root, order_list, int64(CommandKind.UNCROSS))
    elif order_shown(root, slot) == 0:
        shown = book_refill(root, slot)
        status = int64(OrderStatus.PARTIALLY_FILLED)
        event = emit_order(root, int64(EventKind.RESTED), int64(CommandKind.UNCROSS), slot, market, price, status)
        mark_level(root, event, market, price, shown)
