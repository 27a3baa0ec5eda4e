"""Walks along a book before anything trades: how much there is to be had, and what it would cost.

`account` and `mode` are the taker's. Where its mode of self-trade prevention is not NONE, orders that it may not trade
with do not count; if meeting one would end the taker, nothing from there on does. Hidden parts of icebergs count.
"""

from __future__ import annotations

from ringex.engine.book import best_level, opposite, order_shown, reaches
from ringex.engine.breaker import trips
from ringex.engine.prevention import are_related
from ringex.engine.records import LEVEL, MARKET, ORDER, ROOT
from ringex.jit import compiled, int64
from ringex.memory import record_at
from ringex.messages import AMOUNT_MAX
from ringex.rules import notional
from ringex.terms import SelfTradePrevention, Side


@compiled
def _on_offer(root: int, number: int, wanted: int, account: int, mode: int) -> int:
    """What a level has for the taker, `wanted` at most; as its complement (~) where the taker would end there.

    Before an order that would end it, the taker meets only what the others show: refills queue behind that order.
    """
    s = record_at(root, 0, ROOT)
    level = record_at(s.levels, number, LEVEL)
    if mode == SelfTradePrevention.NONE and level.icebergs == 0:
        return min(wanted, level.quantity)
    ends = mode == SelfTradePrevention.EXPIRE_TAKER or mode == SelfTradePrevention.EXPIRE_BOTH
    left = int64(0)
    shown = int64(0)
    slot = int64(level.oldest)
    while slot != 0 and (shown if ends else left) < wanted:
        order = record_at(s.orders, slot, ORDER)
        if mode == SelfTradePrevention.NONE or not are_related(root, account, order.account):
            left = min(wanted, left + order.quantity - order.executed)
            shown = min(wanted, shown + order_shown(root, slot))
        elif ends:
            return ~shown
        slot = int64(order.next)
    return left


@compiled
def is_available(root: int, market: int, side: int, price: int, quantity: int, account: int, mode: int) -> bool:
    """Whether the other side has `quantity` at `price` or better, and the circuit breaker lets it trade."""
    s = record_at(root, 0, ROOT)
    number = best_level(root, market, opposite(side))
    while number != 0 and quantity > 0:
        level = record_at(s.levels, number, LEVEL)
        if not reaches(side, price, level.price):
            return False
        offer = _on_offer(root, number, quantity, account, mode)
        if offer != 0 and offer != ~int64(0) and trips(root, int64(market), level.price):
            return False
        if offer < 0:
            return quantity <= ~offer
        quantity -= offer
        number = int64(level.worse)
    return quantity <= 0


@compiled
def cost_within(root: int, market: int, quantity: int, funds: int, account: int, mode: int, reach: int) -> bool:
    """Whether buying `quantity`, or what there is of it up to price `reach` (0: any), costs at most `funds`."""
    s = record_at(root, 0, ROOT)
    m = record_at(s.markets, int64(market), MARKET)
    number = best_level(root, market, int64(Side.SELL))
    while number != 0 and quantity > 0:
        level = record_at(s.levels, number, LEVEL)
        if reach != 0 and level.price > reach:
            return True
        offer = _on_offer(root, number, quantity, account, mode)
        ends = offer < 0
        part = ~offer if ends else offer
        cost = notional(m, level.price, part)
        if cost > funds:
            return False
        if ends:
            return True
        funds -= cost
        quantity -= part
        number = int64(level.worse)
    return True


@compiled
def lots_within(root: int, market: int, quote: int, quantity: int, account: int, mode: int, reach: int) -> bool:
    """Whether selling for `quote`, down to price `reach` (0: any), needs at most `quantity` on the present book."""
    s = record_at(root, 0, ROOT)
    m = record_at(s.markets, int64(market), MARKET)
    number = best_level(root, market, int64(Side.BUY))
    while number != 0:
        level = record_at(s.levels, number, LEVEL)
        if level.price < reach:
            break
        affordable = quote // notional(m, level.price, m.lot)
        if affordable == 0:
            break
        wanted = min(affordable, AMOUNT_MAX // m.lot) * m.lot
        offer = _on_offer(root, number, wanted, account, mode)
        ends = offer < 0
        part = ~offer if ends else offer
        if part > quantity:
            return False
        if ends:
            break
        quantity -= part
        quote -= notional(m, level.price, part)
        number = int64(level.worse)
    return True
