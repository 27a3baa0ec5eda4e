"""Stop orders: they wait for the market's last price to reach their stop price, then enter the market as takers.

After whatever traded, stop orders may be due; each fires by a CONTINUE of its own, and may make others due: a cascade
of any length, in bounded steps (law 9).
"""

from __future__ import annotations

from ringex.engine.book import book_leave, level_overflows, levels_full, peg_price, stop_due
from ringex.engine.closing import close_sibling, close_taker
from ringex.engine.events import emit_order
from ringex.engine.filters import check_price, market_reach
from ringex.engine.ledger import balance_free, held_amount, held_balance, hold
from ringex.engine.matching import look_for_stops, match
from ringex.engine.prevention import mode_of
from ringex.engine.records import LEVEL, MARKET, ORDER, ROOT, TERMS
from ringex.engine.walks import cost_within, is_available
from ringex.jit import compiled, int64
from ringex.memory import record_at
from ringex.reasons import Reason
from ringex.rules import check_order, may_rest
from ringex.terms import CommandKind, EventKind, OrderStatus, PegPriceType, Side, TimeInForce


@compiled
def fire(root: int) -> None:
    """Let the stop order that is due first in the pending market fire: it matches as a new taker would."""
    s = record_at(root, 0, ROOT)
    market = s.pending_market
    slot = int64(record_at(s.levels, stop_due(root, market), LEVEL).oldest)
    order = record_at(s.orders, slot, ORDER)
    close_sibling(root, slot, int64(CommandKind.CONTINUE))
    book_leave(root, slot)
    s.continuation_pending = 0
    s.pending_order = slot
    terms = record_at(s.orders_terms, slot, TERMS)
    is_pegged = terms.peg_price_type != PegPriceType.NONE
    s.pending_price = terms.limit_price
    if is_pegged:
        s.pending_price = peg_price(root, market, order.side, terms.peg_price_type, terms.peg_offset)
    s.pending_account = order.account
    s.pending_quote = 0
    s.pending_collar = market_reach(root, market, int64(order.side)) if s.pending_price == 0 else 0
    kind = int64(CommandKind.CONTINUE)
    emit_order(root, int64(EventKind.TRIGGERED), kind, slot, market, s.pending_price, int64(OrderStatus.NEW))
    reason = _peg_obstacle(root, slot) if is_pegged else int64(Reason.NONE)
    if reason == Reason.NONE:
        reason = _obstacle(root, slot)
    if reason == Reason.NONE:
        match(root, kind)
        return
    close_taker(root, kind, int64(OrderStatus.EXPIRED), reason)
    look_for_stops(root, market)


@compiled
def _peg_obstacle(root: int, slot: int) -> int:
    """Why a pegged order that has fired cannot have the price that it found: a Reason, or NONE, and it is held for.

    One that buys has held nothing so far; without its hold it has no price.
    """
    s = record_at(root, 0, ROOT)
    order = record_at(s.orders, slot, ORDER)
    market = record_at(s.markets, s.pending_market, MARKET)
    price = s.pending_price
    reason = int64(Reason.NO_PEG_PRICE)
    if price != 0:
        reason = check_order(market, int64(order.order_type), price, order.quantity, int64(0))
    if reason == Reason.NONE:
        side = int64(order.side)
        reason = check_price(root, s.pending_market, int64(order.order_type), side, price, order.quantity)
    if reason == Reason.NONE and order.side == Side.BUY:
        if held_amount(market, order.side, price, order.quantity) <= balance_free(root, held_balance(order)):
            hold(root, held_balance(order), held_amount(market, order.side, price, order.quantity))
        else:
            reason = int64(Reason.INSUFFICIENT_BALANCE)
    if reason != Reason.NONE:
        s.pending_price = 0
    return reason


@compiled
def _obstacle(root: int, slot: int) -> int:
    """Why the order that has fired cannot even begin to match: a Reason, or NONE."""
    s = record_at(root, 0, ROOT)
    order = record_at(s.orders, slot, ORDER)
    market = s.pending_market
    price = s.pending_price
    mode = mode_of(root, slot)
    if price == 0:
        if order.side == Side.BUY:
            free = balance_free(root, int64(order.quote_balance))
            if not cost_within(root, market, order.quantity, free, order.account, mode, s.pending_collar):
                return int64(Reason.INSUFFICIENT_BALANCE)
    elif order.time_in_force == TimeInForce.FOK:
        if not is_available(root, market, order.side, price, order.quantity, order.account, mode):
            return int64(Reason.NOT_FILLED_AT_ONCE)
    elif may_rest(order.time_in_force):
        if levels_full(root) or level_overflows(root, market, order.side, price, order.quantity, 0):
            return int64(Reason.ENGINE_FULL)
    return int64(Reason.NONE)
