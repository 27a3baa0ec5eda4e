"""Self-trade prevention: what happens in place of a trade between orders of one account, or of one trade group."""

from __future__ import annotations

from ringex.engine.book import book_shrink
from ringex.engine.closing import close_open, close_taker
from ringex.engine.events import emit, emit_order, execution_id_next, mark_level
from ringex.engine.ledger import held_amount, held_balance, hold
from ringex.engine.records import ACCOUNT, LEVEL, MARKET, ORDER, ORDER_COLD, ROOT
from ringex.engine.tallies import tally_buying
from ringex.jit import compiled, inlined, int64
from ringex.memory import record_at
from ringex.messages import EVENT, PREVENTED
from ringex.reasons import Reason
from ringex.terms import CommandKind, EventFlag, EventKind, OrderStatus, OrderType, SelfTradePrevention


@inlined
def are_related(root: int, account: int, other: int) -> bool:
    """Whether two accounts may not trade with each other: they are one, or of one group."""
    if account == other:
        return True
    s = record_at(root, 0, ROOT)
    group = record_at(s.accounts, int64(account), ACCOUNT).trade_group
    return group > 0 and record_at(s.accounts, int64(other), ACCOUNT).trade_group == group


@inlined
def mode_of(root: int, slot: int) -> int:
    """An order's SelfTradePrevention."""
    return int64(record_at(record_at(root, 0, ROOT).orders_cold, slot, ORDER_COLD).self_trade_prevention)


@inlined
def is_prevented(root: int, taker_slot: int, maker_slot: int) -> bool:
    """Whether these two orders may not trade."""
    if mode_of(root, taker_slot) == SelfTradePrevention.NONE:
        return False
    s = record_at(root, 0, ROOT)
    taker = record_at(s.orders, taker_slot, ORDER)
    return are_related(root, taker.account, record_at(s.orders, maker_slot, ORDER).account)


@compiled
def prevent(root: int, command_kind: int, maker_slot: int, quantity: int) -> bool:
    """In place of a trade of `quantity` between the pending order and a maker. Returns whether the taker goes on."""
    s = record_at(root, 0, ROOT)
    taker = record_at(s.orders, s.pending_order, ORDER)
    maker = record_at(s.orders, maker_slot, ORDER)
    market = record_at(s.markets, s.pending_market, MARKET)
    mode = mode_of(root, s.pending_order)
    market.prevented_match_id += 1
    e = record_at(emit(root, int64(EventKind.PREVENTED), taker.account, s.pending_market), 0, PREVENTED)
    e.order_id = taker.order_id
    e.execution_id = execution_id_next(root)
    e.price = record_at(s.levels, int64(maker.level), LEVEL).price
    e.quantity = quantity
    e.prevented_match_id = market.prevented_match_id
    e.maker_order_id = maker.order_id
    e.maker_account = maker.account
    e.mode = mode
    e.side = taker.side
    e.command_kind = command_kind
    if mode == SelfTradePrevention.DECREMENT:
        _decrement_maker(root, command_kind, maker_slot, quantity)
        return _decrement_taker(root, command_kind, quantity)
    ended = int64(OrderStatus.EXPIRED_IN_MATCH)
    if mode != SelfTradePrevention.EXPIRE_TAKER:
        close_open(root, maker_slot, command_kind, ended, int64(Reason.PREVENTED))
    if mode == SelfTradePrevention.EXPIRE_MAKER:
        return True
    close_taker(root, command_kind, ended, int64(Reason.PREVENTED))
    return False


@compiled
def _decrement_maker(root: int, command_kind: int, slot: int, quantity: int) -> None:
    s = record_at(root, 0, ROOT)
    maker = record_at(s.orders, slot, ORDER)
    market = s.pending_market
    price = record_at(s.levels, int64(maker.level), LEVEL).price
    if quantity == maker.quantity - maker.executed:
        close_open(root, slot, command_kind, int64(OrderStatus.EXPIRED_IN_MATCH), int64(Reason.PREVENTED))
        return
    maker.quantity -= quantity
    tally_buying(root, slot, market, -quantity)
    level_quantity = book_shrink(root, slot, quantity)
    m = record_at(s.markets, market, MARKET)
    hold(root, held_balance(maker), -held_amount(m, maker.side, price, quantity))
    event = _emit_smaller(root, command_kind, slot, price)
    mark_level(root, event, market, price, level_quantity)


@compiled
def _decrement_taker(root: int, command_kind: int, quantity: int) -> bool:
    """Returns whether the pending order has anything left."""
    s = record_at(root, 0, ROOT)
    taker = record_at(s.orders, s.pending_order, ORDER)
    if quantity == taker.quantity - taker.executed:
        close_taker(root, command_kind, int64(OrderStatus.EXPIRED_IN_MATCH), int64(Reason.PREVENTED))
        return False
    taker.quantity -= quantity
    if command_kind != CommandKind.PLACE:  # amended, or a stop order: it is open
        tally_buying(root, s.pending_order, s.pending_market, -quantity)
    if taker.order_type != OrderType.MARKET:
        m = record_at(s.markets, s.pending_market, MARKET)
        hold(root, held_balance(taker), -held_amount(m, taker.side, s.pending_price, quantity))
    _emit_smaller(root, command_kind, s.pending_order, s.pending_price)
    return True


@compiled
def _emit_smaller(root: int, command_kind: int, slot: int, price: int) -> int:
    """Say that an order goes on with a smaller quantity. Returns the event's address."""
    s = record_at(root, 0, ROOT)
    order = record_at(s.orders, slot, ORDER)
    status = int64(OrderStatus.NEW) if order.executed == 0 else int64(OrderStatus.PARTIALLY_FILLED)
    event = emit_order(root, int64(EventKind.AMENDED), command_kind, slot, s.pending_market, price, status)
    e = record_at(event, 0, EVENT)
    e.flag_bits = EventFlag.PRIORITY_KEPT
    e.reason = Reason.PREVENTED
    return event
