"""Placing, canceling, amending orders: the checks in the order of docs/trading-rules.md, then the book."""

from __future__ import annotations

from ringex.admission import good_till_reason, is_taken_in_auction, standing_reason
from ringex.engine.book import (
    best_level,
    book_enter_at,
    book_leave,
    book_shrink,
    book_take,
    client_id_add,
    client_id_find,
    client_id_remove,
    has_terms,
    is_waiting,
    level_overflows,
    levels_full,
    opposite,
    order_id_words,
    order_open,
    order_price,
    order_shown,
    peg_price,
    reaches,
)
from ringex.engine.closing import close_open, close_taker, held_of_list
from ringex.engine.events import (
    COMMAND_ID_OFFSET,
    COMMAND_ORIGINAL_OFFSET,
    EVENT_ID_OFFSET,
    EVENT_ORIGINAL_OFFSET,
    emit_list,
    emit_order,
    mark_level,
    reject,
)
from ringex.engine.filters import check_counts, check_position, check_price, market_reach
from ringex.engine.ledger import balance_free, balances_make, held_amount, held_balance, hold
from ringex.engine.matching import look_for_stops, match, trade_quantity
from ringex.engine.orderlimits import check_order_rates, note_accepted
from ringex.engine.orderlists import is_pending, list_of
from ringex.engine.prevention import mode_of
from ringex.engine.records import ACCOUNT, LEVEL, MARKET, ORDER, ORDER_COLD, ORDER_LIST, ROOT, TERMS
from ringex.engine.requests import request_outcome
from ringex.engine.sessions import session_note
from ringex.engine.tallies import tally_buying
from ringex.engine.trailing import stop_wait
from ringex.engine.walks import cost_within, is_available, lots_within
from ringex.jit import compiled, inlined, int64
from ringex.memory import copy_bytes, record_at, zero_bytes
from ringex.messages import COMMAND, EVENT, ORDER_TERMS, PLACE_COMMAND, RECORD_BYTES
from ringex.reasons import Reason
from ringex.rules import (
    PEG_OFFSET_MAX,
    check_iceberg,
    check_order,
    check_peg,
    check_stop_price,
    check_strategy,
    check_trailing_delta,
    is_met,
    is_stop,
    may_rest,
    takes_time_in_force,
    unpriced,
)
from ringex.tables import ids_find, pool_full, pool_take, words_copy, words_empty, words_equal
from ringex.tables.words import WORDS_BYTES
from ringex.terms import (
    CommandFlag,
    CommandKind,
    EventFlag,
    EventKind,
    ListStatus,
    MarketStatus,
    OrderStatus,
    OrderType,
    PegPriceType,
    SelfTradePrevention,
    Side,
    TimeInForce,
)


@compiled
def place(root: int, command: int) -> None:
    """PLACE, or the second record of a CANCEL_REPLACE. Account, market and expiry have been checked."""
    terms = with_price(root, command)
    reason = _place_refusal(root, terms)
    if reason != Reason.NONE:
        request_outcome(root, int64(0), reason)
        reject(root, command, int64(CommandKind.PLACE), reason)
        return
    _accept(root, terms)


@inlined
def with_price(root: int, command: int) -> int:
    """The address of a PLACE record with its price: of a pegged one that does not wait, a copy with that of its peg."""
    s = record_at(root, 0, ROOT)
    c = record_at(command, 0, COMMAND)
    if c.side != Side.BUY and c.side != Side.SELL:
        return command
    if is_stop(c.order_type) or c.price != 0 or c.peg_offset > PEG_OFFSET_MAX:
        return command
    if c.peg_price_type != PegPriceType.PRIMARY_PEG and c.peg_price_type != PegPriceType.MARKET_PEG:
        return command
    copy_bytes(s.scratch, command, RECORD_BYTES)
    record_at(s.scratch, 0, COMMAND).price = peg_price(root, c.market, c.side, c.peg_price_type, c.peg_offset)
    return int64(s.scratch)


@inlined
def _place_refusal(root: int, command: int) -> int:
    """Why the order may not be: a Reason, or NONE. Finds the account's balances, into the root."""
    s = record_at(root, 0, ROOT)
    c = record_at(command, 0, COMMAND)
    reason = standing_refusal(root, c.account, c.market)
    if reason == Reason.NONE:
        reason = order_refusal(root, command, False)
    if reason == Reason.NONE:
        reason = check_counts(root, command)
    if reason == Reason.NONE and pool_full(s.order_pool):
        reason = int64(Reason.ENGINE_FULL)
    if reason == Reason.NONE:
        reason = entry_refusal(root, command)
    if reason == Reason.NONE and not funds_suffice(root, command):
        reason = int64(Reason.INSUFFICIENT_BALANCE)
    return reason


@inlined
def order_refusal(root: int, command: int, is_pending: bool) -> int:
    """Why no such order may be, whatever else there is: a Reason, or NONE. One that is pending enters later."""
    s = record_at(root, 0, ROOT)
    c = record_at(command, 0, COMMAND)
    market = record_at(s.markets, int64(c.market), MARKET)
    if c.side != Side.BUY and c.side != Side.SELL:
        return int64(Reason.INVALID_SIDE)
    if c.order_type < OrderType.LIMIT or c.order_type > OrderType.TAKE_PROFIT_LIMIT:
        return int64(Reason.INVALID_ORDER_TYPE)
    if not takes_time_in_force(c.order_type, c.time_in_force):
        return int64(Reason.INVALID_TIME_IN_FORCE)
    reason = good_till_reason(int64(c.time_in_force), c.good_till_ns, s.time_ns)
    if reason != Reason.NONE:
        return reason
    mode = int64(c.self_trade_prevention)
    by_quote = c.order_type == OrderType.MARKET and c.quote_quantity > 0
    if mode > SelfTradePrevention.DECREMENT or (mode == SelfTradePrevention.DECREMENT and by_quote):
        return int64(Reason.INVALID_SELF_TRADE_PREVENTION)
    p = record_at(command, 0, PLACE_COMMAND)
    reason = check_strategy(p.strategy_id, int64(p.strategy_type))
    if reason != Reason.NONE:
        return reason
    is_taken = is_pending or is_taken_in_auction(c.order_type, c.time_in_force)
    if market.status != MarketStatus.TRADING and not is_taken:
        return int64(Reason.NOT_IN_AUCTION)
    has_found = command == s.scratch
    price = int64(0) if has_found else c.price
    reason = check_peg(c.order_type, c.time_in_force, price, c.peg_price_type, c.peg_offset)
    if reason == Reason.NONE and has_found and c.price == 0:
        reason = int64(Reason.NO_PEG_PRICE)
    if reason == Reason.NONE:
        reason = terms_refusal(root, command, is_pending)
    if reason != Reason.NONE:
        return reason
    words = command + COMMAND_ID_OFFSET
    if not words_empty(words) and client_id_find(root, c.account, words) != 0:
        return int64(Reason.DUPLICATE_CLIENT_ORDER_ID)
    return int64(Reason.NONE)


@inlined
def entry_refusal(root: int, command: int) -> int:
    """Why the order cannot enter the market as it is now: a Reason, or NONE. Makes the account's balances."""
    s = record_at(root, 0, ROOT)
    c = record_at(command, 0, COMMAND)
    market = record_at(s.markets, int64(c.market), MARKET)
    if c.order_type != OrderType.MARKET and not is_stop(c.order_type) and may_rest(c.time_in_force):
        if levels_full(root) or level_overflows(root, c.market, c.side, c.price, c.quantity, 0):
            return int64(Reason.ENGINE_FULL)
    if not balances_make(root, c.account, market.base_asset, market.quote_asset):
        return int64(Reason.ENGINE_FULL)
    if c.order_type == OrderType.LIMIT_MAKER and _would_take(root, c.market, c.side, c.price):
        return int64(Reason.WOULD_TAKE)
    if (
        is_stop(c.order_type)
        and c.trailing_delta == 0
        and is_met(market.last_price, c.order_type, c.side, c.stop_price)
    ):
        return int64(Reason.WOULD_TRIGGER)
    return int64(Reason.NONE)


@inlined
def standing_refusal(root: int, account: int, market: int) -> int:
    """Why an account may not trade in a market as things stand: a Reason, or NONE."""
    s = record_at(root, 0, ROOT)
    status = int64(record_at(s.accounts, int64(account), ACCOUNT).status)
    return standing_reason(status, int64(record_at(s.markets, int64(market), MARKET).status))


@inlined
def terms_refusal(root: int, command: int, is_pending: bool) -> int:
    """Why the market does not take an order with these terms: a Reason, or NONE."""
    c = record_at(command, 0, COMMAND)
    market = record_at(record_at(root, 0, ROOT).markets, int64(c.market), MARKET)
    order_type = int64(c.order_type)
    waits_for_price = c.peg_price_type != PegPriceType.NONE and (is_pending or is_stop(order_type))
    counts_as = unpriced(order_type) if waits_for_price else order_type
    reason = check_order(market, counts_as, c.price, c.quantity, c.quote_quantity)
    if reason != Reason.NONE:
        return reason
    delta = int64(c.trailing_delta)
    reason = check_stop_price(market, order_type, c.stop_price, delta)
    if reason != Reason.NONE:
        return reason
    reason = check_trailing_delta(market, order_type, int64(c.side), delta)
    if reason != Reason.NONE:
        return reason
    reason = check_iceberg(market, int64(c.order_type), int64(c.time_in_force), c.quantity, c.iceberg_quantity)
    if reason != Reason.NONE:
        return reason
    return check_price(root, int64(c.market), counts_as, int64(c.side), c.price, c.quantity)


@inlined
def _would_take(root: int, market: int, side: int, price: int) -> bool:
    """Whether an order limited to `price` could trade at once."""
    best = best_level(root, market, opposite(side))
    return best != 0 and reaches(side, price, record_at(record_at(root, 0, ROOT).levels, best, LEVEL).price)


@inlined
def funds_suffice(root: int, command: int) -> bool:
    """Whether what is free covers the order: a limit order's hold, a market order's execution on the present book."""
    s = record_at(root, 0, ROOT)
    c = record_at(command, 0, COMMAND)
    market = record_at(s.markets, int64(c.market), MARKET)
    buys = c.side == Side.BUY
    free = balance_free(root, s.quote_balance if buys else s.base_balance)
    if c.order_type != OrderType.MARKET:
        return held_amount(market, c.side, c.price, c.quantity) <= free
    reach = market_reach(root, int64(c.market), int64(c.side))
    if c.quantity > 0:
        if buys:
            return cost_within(root, c.market, c.quantity, free, c.account, c.self_trade_prevention, reach)
        return c.quantity <= free // market.base_multiplier
    if buys:
        return c.quote_quantity <= free
    quantity = free // market.base_multiplier
    return lots_within(root, c.market, c.quote_quantity, quantity, c.account, c.self_trade_prevention, reach)


@inlined
def _accept(root: int, command: int) -> None:
    """Take an order that passed all checks: hold, ACCEPTED, then wait, match, rest or expire."""
    s = record_at(root, 0, ROOT)
    c = record_at(command, 0, COMMAND)
    market = int64(c.market)
    slot = order_make(root, command)
    order = record_at(s.orders, slot, ORDER)
    request_outcome(root, s.order_id, int64(Reason.NONE))
    if c.order_type != OrderType.MARKET:
        m = record_at(s.markets, market, MARKET)
        hold(root, held_balance(order), held_amount(m, c.side, c.price, c.quantity))
    if is_stop(c.order_type):
        stop_wait(root, slot, market)
        order_open(root, slot, market)
        emit_accepted(root, command, slot, int64(CommandKind.PLACE))
        return
    meet(root, slot, market, c.price)
    s.pending_quote = c.quote_quantity

    can_trade = trade_quantity(root) != 0
    if not can_trade and c.order_type != OrderType.MARKET and may_rest(c.time_in_force):
        level_quantity = book_enter_at(root, slot, market, c.price, s.level_found)
        order_open(root, slot, market)
        event = emit_accepted(root, command, slot, int64(CommandKind.PLACE))
        record_at(event, 0, EVENT).flag_bits = EventFlag.WORKING
        mark_level(root, event, market, c.price, level_quantity)
        return
    emit_accepted(root, command, slot, int64(CommandKind.PLACE))
    enter(root, int64(CommandKind.PLACE))


@inlined
def meet(root: int, slot: int, market: int, price: int) -> None:
    """Let an order limited to `price` (0: at any) be the one that matches."""
    s = record_at(root, 0, ROOT)
    order = record_at(s.orders, slot, ORDER)
    s.pending_order = slot
    s.pending_price = price
    s.pending_market = market
    s.pending_account = order.account
    s.pending_quote = 0
    s.pending_collar = market_reach(root, market, int64(order.side)) if order.order_type == OrderType.MARKET else 0


@inlined
def enter(root: int, command_kind: int) -> None:
    """Let the order that has just been told of match, unless it must be filled at once and cannot."""
    s = record_at(root, 0, ROOT)
    order = record_at(s.orders, s.pending_order, ORDER)
    if order.time_in_force == TimeInForce.FOK:
        mode = mode_of(root, s.pending_order)
        if not is_available(root, s.pending_market, order.side, s.pending_price, order.quantity, order.account, mode):
            expired = int64(OrderStatus.EXPIRED)
            close_taker(root, command_kind, expired, int64(Reason.NOT_FILLED_AT_ONCE))
            if command_kind == CommandKind.CONTINUE:  # other stop orders or lists may be due besides
                look_for_stops(root, s.pending_market)
            return
    match(root, command_kind)


@inlined
def order_make(root: int, command: int) -> int:
    """A new order as the PLACE record at `command` says, which holds nothing and is nowhere yet. Returns its slot."""
    s = record_at(root, 0, ROOT)
    c = record_at(command, 0, COMMAND)
    slot = pool_take(s.order_pool)
    s.order_id += 1
    order = record_at(s.orders, slot, ORDER)
    order.order_id = s.order_id
    order.quantity = c.quantity
    order.executed = 0
    order.executed_quote = 0
    order.prev = 0
    order.next = 0
    order.level = 0
    order.account = c.account
    order.base_balance = s.base_balance
    order.quote_balance = s.quote_balance
    order.trade_count = 0
    order.side = c.side
    order.order_type = c.order_type
    order.time_in_force = c.time_in_force
    order.is_iceberg = 1 if c.iceberg_quantity != 0 else 0
    cold = record_at(s.orders_cold, slot, ORDER_COLD)
    words_copy(order_id_words(root, slot), command + COMMAND_ID_OFFSET)
    cold.created_ns = s.time_ns
    cold.older = 0
    cold.younger = 0
    cold.self_trade_prevention = c.self_trade_prevention
    cold.order_list = 0
    session_note(root, slot, 1 if int64(c.flag_bits) & CommandFlag.CANCEL_ON_DISCONNECT != 0 else 0)
    if has_terms(order):
        terms_note(root, command, slot)
    note_accepted(root, int64(c.account))
    return slot


@inlined
def terms_note(root: int, command: int, slot: int) -> None:
    """Let a new order keep its further terms."""
    c = record_at(command, 0, COMMAND)
    terms = record_at(record_at(root, 0, ROOT).orders_terms, slot, TERMS)
    terms.stop_price = c.stop_price
    terms.limit_price = c.price
    terms.iceberg_quantity = c.iceberg_quantity
    terms.shown = 0
    terms.good_till_ns = c.good_till_ns
    terms.trailing_delta = c.trailing_delta
    terms.peg_price_type = c.peg_price_type
    terms.peg_offset = c.peg_offset


@inlined
def emit_accepted(root: int, command: int, slot: int, command_kind: int) -> int:
    """ACCEPTED, with all the terms of the order, NEW as yet. Returns the event's address."""
    c = record_at(command, 0, COMMAND)
    new = int64(OrderStatus.NEW)
    event = emit_order(root, int64(EventKind.ACCEPTED), command_kind, slot, c.market, c.price, new)
    e = record_at(event, 0, ORDER_TERMS)
    e.quote_quantity = c.quote_quantity
    e.stop_price = c.stop_price
    e.iceberg_quantity = c.iceberg_quantity
    e.self_trade_prevention = c.self_trade_prevention
    e.good_till_ns = c.good_till_ns
    e.trailing_delta = c.trailing_delta
    e.peg_price_type = c.peg_price_type
    e.peg_offset = c.peg_offset
    p = record_at(command, 0, PLACE_COMMAND)
    e.strategy_id = p.strategy_id
    e.strategy_type = p.strategy_type
    order_list = list_of(root, slot)
    if order_list != 0:
        e.order_list_id = record_at(record_at(root, 0, ROOT).lists, order_list, ORDER_LIST).order_list_id
    return event


@inlined
def _order_meant(root: int, command: int) -> int:
    """The slot of the open order that a CANCEL, CANCEL_REPLACE or AMEND means, or 0."""
    s = record_at(root, 0, ROOT)
    c = record_at(command, 0, COMMAND)
    original = command + COMMAND_ORIGINAL_OFFSET
    if c.order_id > 0:
        slot = ids_find(s.order_index, c.order_id)
        if slot != 0 and not words_empty(original) and not words_equal(order_id_words(root, slot), original):
            return 0
    elif words_empty(original):
        return 0
    else:
        slot = client_id_find(root, c.account, original)
    if slot == 0:
        return 0
    order = record_at(s.orders, slot, ORDER)
    level = record_at(s.levels, int64(order.level), LEVEL)
    return slot if order.account == c.account and level.market == c.market else 0


@compiled
def cancel(root: int, command: int) -> int:
    """CANCEL, or the cancel leg of a CANCEL_REPLACE. Returns NONE, or the Reason of the REJECTED it has emitted."""
    c = record_at(command, 0, COMMAND)
    s = record_at(root, 0, ROOT)
    reason = int64(Reason.NONE)
    slot = _order_meant(root, command)
    if slot == 0:
        reason = int64(Reason.UNKNOWN_ORDER)
    else:
        executed = record_at(s.orders, slot, ORDER).executed
        only_new = int64(c.flag_bits) & CommandFlag.ONLY_NEW
        only_partial = int64(c.flag_bits) & CommandFlag.ONLY_PARTIALLY_FILLED
        if (only_new != 0 and executed > 0) or (only_partial != 0 and executed == 0):
            reason = int64(Reason.CANCEL_RESTRICTED)
    if reason != Reason.NONE:
        reject(root, command, int64(c.kind), reason)
        return reason
    remove(root, slot, int64(c.kind), int64(Reason.CANCELED_BY_CLIENT), command + COMMAND_ID_OFFSET)
    return reason


@inlined
def remove(root: int, slot: int, command_kind: int, reason: int, words: int) -> int:
    """Cancel an open order, and the others of its list. Returns how many orders that were.

    Their CANCELED events have the client order id at `words` (0: none) as their own, and the orders' as the original.
    """
    s = record_at(root, 0, ROOT)
    before = s.event_sequence
    close_open(root, slot, command_kind, int64(OrderStatus.CANCELED), reason)
    count = int64(0)
    for sequence in range(before, s.event_sequence):
        event = s.event_base + (sequence & s.event_mask) * RECORD_BYTES
        if record_at(event, 0, EVENT).kind == EventKind.CANCELED:
            words_copy(event + EVENT_ORIGINAL_OFFSET, event + EVENT_ID_OFFSET)
            if words != 0:
                words_copy(event + EVENT_ID_OFFSET, words)
            else:
                zero_bytes(event + EVENT_ID_OFFSET, WORDS_BYTES)
            count += 1
    return count


@compiled
def cancel_replace(root: int, command: int, second: int) -> None:
    """CANCEL_REPLACE: the cancel leg, then the new order, unless a failed cancel forbids it.

    Neither, unless CANCEL_ONLY is asked for, where the account has sent as many orders as it may.
    """
    c = record_at(command, 0, COMMAND)
    flag_bits = int64(c.flag_bits)
    if flag_bits & CommandFlag.CANCEL_ONLY == 0:
        reason = check_order_rates(root, int64(c.account), int64(1))
        if reason != Reason.NONE:
            request_outcome(root, int64(0), reason)
            reject(root, second, int64(CommandKind.PLACE), reason)
            return
    if cancel(root, command) != Reason.NONE and flag_bits & CommandFlag.ALLOW_FAILURE == 0:
        request_outcome(root, int64(0), int64(Reason.CANCEL_REJECTED))
        reject(root, second, int64(CommandKind.PLACE), int64(Reason.CANCEL_REJECTED))
        return
    place(root, second)


@compiled
def amend(root: int, command: int) -> None:
    """AMEND: a new price, quantity or client order id for an open order."""
    c = record_at(command, 0, COMMAND)
    slot = _order_meant(root, command)
    reason = standing_refusal(root, c.account, c.market)
    if reason == Reason.NONE:
        reason = int64(Reason.UNKNOWN_ORDER) if slot == 0 else _amend_refusal(root, command, slot)
    if reason != Reason.NONE:
        reject(root, command, int64(CommandKind.AMEND), reason)
        return
    _amend_accepted(root, command, slot)


@inlined
def _amend_refusal(root: int, command: int, slot: int) -> int:
    """Why the order may not be amended so: a Reason, or NONE."""
    s = record_at(root, 0, ROOT)
    c = record_at(command, 0, COMMAND)
    order = record_at(s.orders, slot, ORDER)
    market = record_at(s.markets, int64(c.market), MARKET)
    waits = is_waiting(root, slot)
    old_price = order_price(root, slot)
    if c.price < 0 or c.quantity < 0:
        return int64(Reason.INVALID_QUANTITY)
    price = c.price if c.price != 0 else old_price
    quantity = c.quantity if c.quantity != 0 else order.quantity
    reprices = price != old_price
    if not reprices and quantity == order.quantity:
        return int64(Reason.AMEND_NOTHING)
    if quantity <= order.executed:
        return int64(Reason.AMEND_BELOW_EXECUTED)
    keeps = int64(c.flag_bits) & CommandFlag.KEEP_PRIORITY
    if keeps != 0 and (reprices or quantity > order.quantity):
        return int64(Reason.AMEND_LOSES_PRIORITY)
    order_type = int64(order.order_type)
    if waits and record_at(s.orders_terms, slot, TERMS).peg_price_type != PegPriceType.NONE:
        order_type = unpriced(order_type)
    reason = check_order(market, order_type, price, quantity, int64(0))
    if reason == Reason.NONE and reprices:
        reason = check_price(root, int64(c.market), order_type, int64(order.side), price, quantity)
    if reason == Reason.NONE and quantity > order.quantity and order.side == Side.BUY and market.position_max != 0:
        reason = check_position(root, c.account, int64(c.market), quantity - order.quantity)
    if reason != Reason.NONE:
        return reason
    words = command + COMMAND_ID_OFFSET
    if not words_empty(words) and not words_equal(words, order_id_words(root, slot)):
        if client_id_find(root, c.account, words) != 0:
            return int64(Reason.DUPLICATE_CLIENT_ORDER_ID)
    is_maker = order.order_type == OrderType.LIMIT_MAKER and not waits
    if reprices and is_maker and _would_take(root, c.market, order.side, price):
        return int64(Reason.WOULD_TAKE)
    if reprices and not waits and levels_full(root):
        return int64(Reason.ENGINE_FULL)
    left = order.quantity - order.executed
    if not waits and level_overflows(
        root, c.market, order.side, price, quantity, 0 if reprices else order_shown(root, slot)
    ):
        return int64(Reason.ENGINE_FULL)
    grows = _held(root, slot, c.market, price, quantity - order.executed) - _held(root, slot, c.market, old_price, left)
    if grows > balance_free(root, held_balance(order)):
        return int64(Reason.INSUFFICIENT_BALANCE)
    return int64(Reason.NONE)


@inlined
def _held(root: int, slot: int, market: int, price: int, quantity: int) -> int:
    """What is held for an open order of this price and quantity."""
    s = record_at(root, 0, ROOT)
    amount = held_amount(
        record_at(s.markets, int64(market), MARKET), record_at(s.orders, slot, ORDER).side, price, quantity
    )
    return held_of_list(root, slot, amount) if list_of(root, slot) != 0 else amount


@inlined
def _amend_accepted(root: int, command: int, slot: int) -> None:
    s = record_at(root, 0, ROOT)
    c = record_at(command, 0, COMMAND)
    order = record_at(s.orders, slot, ORDER)
    market = int64(c.market)
    waits = is_waiting(root, slot)
    old_price = order_price(root, slot)
    old_quantity = order.quantity
    price = c.price if c.price != 0 else old_price
    quantity = c.quantity if c.quantity != 0 else old_quantity
    old_left = old_quantity - order.executed
    keeps = waits or (price == old_price and quantity < old_quantity)
    holds = _held(root, slot, market, price, quantity - order.executed)
    hold(root, held_balance(order), holds - _held(root, slot, market, old_price, old_left))
    tally_buying(root, slot, market, quantity - old_quantity)
    level_quantity = int64(0)
    if waits:
        order.quantity = quantity
        record_at(s.orders_terms, slot, TERMS).limit_price = price
    elif keeps:
        order.quantity = quantity
        level_quantity = book_shrink(root, slot, old_quantity - quantity)
    else:
        level_quantity = book_take(root, slot)
        book_leave(root, slot)
        order.quantity = quantity

    status = int64(OrderStatus.NEW) if order.executed == 0 else int64(OrderStatus.PARTIALLY_FILLED)
    if waits and is_pending(root, slot):
        status = int64(OrderStatus.PENDING_NEW)
    event = emit_order(root, int64(EventKind.AMENDED), int64(CommandKind.AMEND), slot, market, price, status)
    if keeps:
        record_at(event, 0, EVENT).flag_bits = EventFlag.PRIORITY_KEPT
    if not waits:
        mark_level(root, event, market, old_price, level_quantity)
    words_copy(event + EVENT_ORIGINAL_OFFSET, order_id_words(root, slot))
    words = command + COMMAND_ID_OFFSET
    if not words_empty(words):
        client_id_remove(root, slot)
        words_copy(order_id_words(root, slot), words)
        client_id_add(root, slot)
        words_copy(event + EVENT_ID_OFFSET, words)
        order_list = list_of(root, slot)
        if order_list != 0:
            emit_list(root, order_list, int64(ListStatus.UPDATED), int64(CommandKind.AMEND))
    if keeps:
        return
    meet(root, slot, market, price)
    match(root, int64(CommandKind.AMEND))
