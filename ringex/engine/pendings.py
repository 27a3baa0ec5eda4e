"""Pending orders: they enter the market once the working order of their list is filled, by a CONTINUE for each list.

They are checked then as new orders are, and hold what they need from then on. What cannot be placed expires, and with
it the list.
"""

from __future__ import annotations

from ringex.engine.book import book_leave
from ringex.engine.closing import close_open
from ringex.engine.events import emit_order, mark_level
from ringex.engine.ledger import held_amount, held_balance, hold
from ringex.engine.listplacing import hold_pair, priced, prices_fit, stand
from ringex.engine.matching import look_for_stops
from ringex.engine.orderlists import list_order, list_undue
from ringex.engine.orders import enter, entry_refusal, funds_suffice, meet, terms_refusal
from ringex.engine.prevention import mode_of
from ringex.engine.records import MARKET, ORDER, ORDER_LIST, ROOT, TERMS
from ringex.engine.trailing import stop_wait
from ringex.jit import compiled, int64
from ringex.memory import record_at, zero_bytes
from ringex.messages import COMMAND, EVENT, RECORD_BYTES
from ringex.reasons import Reason
from ringex.rules import is_stop
from ringex.terms import CommandKind, EventFlag, EventKind, ListKind, OrderStatus, OrderType, PegPriceType


@compiled
def place_due(root: int) -> None:
    """Place the pending orders of the list that is due first in the pending market."""
    s = record_at(root, 0, ROOT)
    market = s.pending_market
    number = int64(record_at(s.markets, market, MARKET).due_oldest)
    list_undue(root, number)
    s.continuation_pending = 0
    kind = record_at(s.lists, number, ORDER_LIST).kind
    if kind == ListKind.OTO:
        _place_one(root, list_order(root, number, int64(1)), market)
    else:
        _place_pair(root, number, market)


@compiled
def _place_one(root: int, slot: int, market: int) -> None:
    s = record_at(root, 0, ROOT)
    order = record_at(s.orders, slot, ORDER)
    command = _as_command(root, slot, market, int64(1))
    reason = _terms_refusal(root, command)
    if reason == Reason.NONE:
        reason = _entry_refusal(root, command)
    if reason != Reason.NONE:
        _expire(root, slot, market, reason)
        return
    price = record_at(command, 0, COMMAND).price
    book_leave(root, slot)
    if order.order_type != OrderType.MARKET:
        m = record_at(s.markets, market, MARKET)
        hold(root, held_balance(order), held_amount(m, order.side, price, order.quantity))
    if is_stop(order.order_type):
        stop_wait(root, slot, market)
        _emit_placed(root, slot, market, price)
        look_for_stops(root, market)
        return
    meet(root, slot, market, price)
    _emit_placed(root, slot, market, price)
    enter(root, int64(CommandKind.CONTINUE))


@compiled
def _place_pair(root: int, number: int, market: int) -> None:
    s = record_at(root, 0, ROOT)
    first = list_order(root, number, int64(1))
    second = list_order(root, number, int64(2))
    one = _as_command(root, first, market, int64(1))
    other = _as_command(root, second, market, int64(2))
    refused = first
    reason = _terms_refusal(root, one)
    if reason == Reason.NONE:
        refused = second
        reason = _terms_refusal(root, other)
    if reason == Reason.NONE and not prices_fit(root, one, other, record_at(s.markets, market, MARKET).last_price):
        refused = first
        reason = int64(Reason.PRICE_RELATION)
    if reason == Reason.NONE:
        refused = first
        reason = _entry_refusal(root, one)
    if reason == Reason.NONE:
        refused = second
        reason = _entry_refusal(root, other)
    if reason != Reason.NONE:
        _expire(root, refused, market, reason)
        return
    record_at(s.orders_terms, first, TERMS).limit_price = record_at(one, 0, COMMAND).price
    record_at(s.orders_terms, second, TERMS).limit_price = record_at(other, 0, COMMAND).price
    hold_pair(root, number)
    for place in range(1, 3):
        slot = list_order(root, number, place)
        price = record_at(s.orders_terms, slot, TERMS).limit_price
        book_leave(root, slot)
        level_quantity = stand(root, slot, market, price)
        event = _emit_placed(root, slot, market, price)
        if level_quantity != 0:
            record_at(event, 0, EVENT).flag_bits = EventFlag.WORKING
            mark_level(root, event, market, price, level_quantity)
    look_for_stops(root, market)


@compiled
def _terms_refusal(root: int, command: int) -> int:
    """Why the market does not take a pending order with its terms and its price, if it has found one."""
    c = record_at(command, 0, COMMAND)
    if c.price == 0 and c.peg_price_type != PegPriceType.NONE and not is_stop(c.order_type):
        return int64(Reason.NO_PEG_PRICE)
    return terms_refusal(root, command, False)


@compiled
def _entry_refusal(root: int, command: int) -> int:
    """Why a pending order cannot enter the market as it is, with what the account has: a Reason, or NONE."""
    reason = entry_refusal(root, command)
    if reason == Reason.NONE and not funds_suffice(root, command):
        return int64(Reason.INSUFFICIENT_BALANCE)
    return reason


@compiled
def _expire(root: int, slot: int, market: int, reason: int) -> None:
    """A pending order cannot be placed: it ends, and its list."""
    close_open(root, slot, int64(CommandKind.CONTINUE), int64(OrderStatus.EXPIRED), reason)
    look_for_stops(root, market)


@compiled
def _as_command(root: int, slot: int, market: int, place: int) -> int:
    """The address of a record that would place a pending order, at the price that its peg now gives; 1 or 2."""
    s = record_at(root, 0, ROOT)
    order = record_at(s.orders, slot, ORDER)
    terms = record_at(s.orders_terms, slot, TERMS)
    address = s.scratch + place * RECORD_BYTES
    zero_bytes(address, RECORD_BYTES)
    c = record_at(address, 0, COMMAND)
    c.kind = CommandKind.PLACE
    c.account = order.account
    c.market = market
    c.side = order.side
    c.order_type = order.order_type
    c.time_in_force = order.time_in_force
    c.self_trade_prevention = mode_of(root, slot)
    c.price = terms.limit_price
    c.quantity = order.quantity
    c.stop_price = terms.stop_price
    c.iceberg_quantity = terms.iceberg_quantity
    c.good_till_ns = terms.good_till_ns
    c.trailing_delta = terms.trailing_delta
    c.peg_price_type = terms.peg_price_type
    c.peg_offset = terms.peg_offset
    c.price = record_at(priced(root, address), 0, COMMAND).price
    return int64(address)


@compiled
def _emit_placed(root: int, slot: int, market: int, price: int) -> int:
    """PLACED. Returns the event's address."""
    return emit_order(
        root, int64(EventKind.PLACED), int64(CommandKind.CONTINUE), slot, market, price, int64(OrderStatus.NEW)
    )
