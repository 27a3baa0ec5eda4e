"""Placing, canceling, amending orders: the checks in the order of docs/trading-rules.md, then the book."""

from __future__ import annotations

from ringex.engine.book import (
    best_level,
    book_enter,
    book_leave,
    book_reduce,
    client_id_add,
    client_id_find,
    client_id_remove,
    level_find,
    open_count,
    order_close,
    order_id_words,
    order_open,
    reaches,
)
from ringex.engine.events import (
    COMMAND_ID_OFFSET,
    COMMAND_ORIGINAL_OFFSET,
    EVENT_ID_OFFSET,
    EVENT_ORIGINAL_OFFSET,
    emit_done,
    emit_order,
    emitted,
    mark_level,
    reject,
)
from ringex.engine.ledger import balance_free, balances_make, hold
from ringex.engine.matching import expire, held_amount, held_balance, match, opposite, trade_quantity
from ringex.engine.records import ACCOUNT, LEVEL, MARKET, ORDER, ORDER_COLD, ROOT
from ringex.engine.requests import request_outcome
from ringex.jit import compiled, int64
from ringex.memory import record_at, zero_bytes
from ringex.messages import (
    AMOUNT_MAX,
    COMMAND,
    EVENT,
    EVENTS_PER_COMMAND_MAX,
    CommandFlag,
    CommandKind,
    EventFlag,
    EventKind,
    OrderStatus,
    OrderType,
    Reason,
    Side,
    TimeInForce,
)
from ringex.rules import check_order, notional
from ringex.tables import index_find, pool_full, pool_give, pool_take, words_copy, words_empty, words_equal
from ringex.tables.words import WORDS_BYTES


@compiled
def place(root: int, command: int) -> None:
    """PLACE, or the second record of a CANCEL_REPLACE. Account, market and expiry have been checked."""
    reason = _place_refusal(root, command)
    if reason != Reason.NONE:
        request_outcome(root, int64(0), reason)
        reject(root, command, int64(CommandKind.PLACE), reason)
        return
    _accept(root, command)


@compiled
def _place_refusal(root: int, command: int) -> int:
    """Why the order may not be: a Reason, or NONE. Finds the account's balances, into the root."""
    s = record_at(root, 0, ROOT)
    c = record_at(command, 0, COMMAND)
    market = record_at(s.markets, int64(c.market), MARKET)
    if c.side != Side.BUY and c.side != Side.SELL:
        return int64(Reason.INVALID_SIDE)
    if c.order_type < OrderType.LIMIT or c.order_type > OrderType.LIMIT_MAKER:
        return int64(Reason.INVALID_ORDER_TYPE)
    if c.time_in_force < TimeInForce.GTC or c.time_in_force > TimeInForce.FOK:
        return int64(Reason.INVALID_TIME_IN_FORCE)
    if c.order_type != OrderType.LIMIT and c.time_in_force != TimeInForce.GTC:
        return int64(Reason.INVALID_TIME_IN_FORCE)
    reason = check_order(market, int64(c.order_type), c.price, c.quantity, c.quote_quantity)
    if reason != Reason.NONE:
        return reason
    words = command + COMMAND_ID_OFFSET
    if not words_empty(words) and client_id_find(root, c.account, words) != 0:
        return int64(Reason.DUPLICATE_CLIENT_ORDER_ID)
    if open_count(root, c.account, c.market) >= market.orders_per_account_max:
        return int64(Reason.TOO_MANY_ORDERS)
    if pool_full(s.order_pool):
        return int64(Reason.ENGINE_FULL)
    if c.order_type != OrderType.MARKET and c.time_in_force == TimeInForce.GTC:
        if pool_full(s.level_pool) or _level_overflows(root, c.market, c.side, c.price, c.quantity, 0):
            return int64(Reason.ENGINE_FULL)
    if not balances_make(root, c.account, market.base_asset, market.quote_asset):
        return int64(Reason.ENGINE_FULL)
    if c.order_type == OrderType.LIMIT_MAKER and _would_take(root, c.market, c.side, c.price):
        return int64(Reason.WOULD_TAKE)
    if not _funds_suffice(root, command):
        return int64(Reason.INSUFFICIENT_BALANCE)
    return int64(Reason.NONE)


@compiled
def _level_overflows(root: int, market: int, side: int, price: int, quantity: int, own: int) -> bool:
    """Whether the level at `price`, less `own` of the order's already there, would pass AMOUNT_MAX with `quantity`."""
    level = level_find(root, market, side, price)
    if level == 0:
        return False
    rest = record_at(record_at(root, 0, ROOT).levels, level, LEVEL).quantity - own
    return rest > AMOUNT_MAX - quantity


@compiled
def _would_take(root: int, market: int, side: int, price: int) -> bool:
    """Whether an order limited to `price` could trade at once."""
    best = best_level(root, market, opposite(side))
    return best != 0 and reaches(side, price, record_at(record_at(root, 0, ROOT).levels, best, LEVEL).price)


@compiled
def _funds_suffice(root: int, command: int) -> bool:
    """Whether what is free covers the order: a limit order's hold, a market order's execution on the present book."""
    s = record_at(root, 0, ROOT)
    c = record_at(command, 0, COMMAND)
    market = record_at(s.markets, int64(c.market), MARKET)
    buys = c.side == Side.BUY
    free = balance_free(root, s.quote_balance if buys else s.base_balance)
    if c.order_type != OrderType.MARKET:
        return held_amount(market, c.side, c.price, c.quantity) <= free
    if c.quantity > 0:
        return _cost_within(root, c.market, c.quantity, free) if buys else c.quantity <= free // market.base_multiplier
    if buys:
        return c.quote_quantity <= free
    return _lots_within(root, c.market, c.quote_quantity, free // market.base_multiplier)


@compiled
def _cost_within(root: int, market: int, quantity: int, funds: int) -> bool:
    """Whether buying `quantity`, or what there is of it, costs at most `funds` on the present book."""
    s = record_at(root, 0, ROOT)
    m = record_at(s.markets, int64(market), MARKET)
    number = best_level(root, market, int64(Side.SELL))
    while number != 0 and quantity > 0:
        level = record_at(s.levels, number, LEVEL)
        part = min(quantity, level.quantity)
        cost = notional(m, level.price, part)
        if cost > funds:
            return False
        funds -= cost
        quantity -= part
        number = int64(level.worse)
    return True


@compiled
def _lots_within(root: int, market: int, quote: int, quantity: int) -> bool:
    """Whether selling for `quote` needs at most `quantity` on the present book."""
    s = record_at(root, 0, ROOT)
    m = record_at(s.markets, int64(market), MARKET)
    number = best_level(root, market, int64(Side.BUY))
    while number != 0:
        level = record_at(s.levels, number, LEVEL)
        lots = min(quote // notional(m, level.price, m.lot), level.quantity // m.lot)
        part = lots * m.lot
        if part > quantity:
            return False
        if part == 0:
            break
        quantity -= part
        quote -= notional(m, level.price, part)
        number = int64(level.worse)
    return True


@compiled
def _accept(root: int, command: int) -> None:
    """Take an order that passed all checks: hold, ACCEPTED, then match, rest or expire."""
    s = record_at(root, 0, ROOT)
    c = record_at(command, 0, COMMAND)
    market = int64(c.market)
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
    cold = record_at(s.orders_cold, slot, ORDER_COLD)
    words_copy(order_id_words(root, slot), command + COMMAND_ID_OFFSET)
    cold.created_ns = s.time_ns
    cold.older = 0
    cold.younger = 0
    request_outcome(root, s.order_id, int64(Reason.NONE))
    if c.order_type != OrderType.MARKET:
        m = record_at(s.markets, market, MARKET)
        hold(root, held_balance(order), held_amount(m, c.side, c.price, c.quantity))
    s.pending_order = slot
    s.pending_price = c.price
    s.pending_market = market
    s.pending_account = c.account
    s.pending_quote = c.quote_quantity

    new = int64(OrderStatus.NEW)
    can_trade = trade_quantity(root) != 0
    if not can_trade and c.order_type != OrderType.MARKET and c.time_in_force == TimeInForce.GTC:
        level_quantity = book_enter(root, slot, market, c.price)
        order_open(root, slot, market)
        event = emit_order(root, int64(EventKind.ACCEPTED), int64(CommandKind.PLACE), slot, market, c.price, new)
        record_at(event, 0, EVENT).flag_bits = EventFlag.WORKING
        mark_level(root, event, market, c.price, level_quantity)
        return
    event = emit_order(root, int64(EventKind.ACCEPTED), int64(CommandKind.PLACE), slot, market, c.price, new)
    record_at(event, 0, EVENT).quote_quantity = c.quote_quantity
    if c.time_in_force == TimeInForce.FOK and not _available(root, market, c.side, c.price, c.quantity):
        expire(root, int64(CommandKind.PLACE), int64(Reason.NOT_FILLED_AT_ONCE))
        return
    match(root, int64(CommandKind.PLACE))


@compiled
def _available(root: int, market: int, side: int, price: int, quantity: int) -> bool:
    """Whether the other side has `quantity` at `price` or better."""
    s = record_at(root, 0, ROOT)
    number = best_level(root, market, opposite(side))
    while number != 0 and quantity > 0:
        level = record_at(s.levels, number, LEVEL)
        if not reaches(side, price, level.price):
            return False
        quantity -= level.quantity
        number = int64(level.worse)
    return quantity <= 0


@compiled
def _order_meant(root: int, command: int) -> int:
    """The slot of the open order that a CANCEL, CANCEL_REPLACE or AMEND means, or 0."""
    s = record_at(root, 0, ROOT)
    c = record_at(command, 0, COMMAND)
    original = command + COMMAND_ORIGINAL_OFFSET
    if c.order_id > 0:
        slot = index_find(s.order_index, c.order_id)
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
    event = _remove(root, slot, int64(c.kind), int64(Reason.CANCELED_BY_CLIENT))
    words_copy(event + EVENT_ID_OFFSET, command + COMMAND_ID_OFFSET)
    return reason


@compiled
def _remove(root: int, slot: int, command_kind: int, reason: int) -> int:
    """Cancel a resting order. Returns the address of its CANCELED event, whose client_order_id is still empty."""
    s = record_at(root, 0, ROOT)
    order = record_at(s.orders, slot, ORDER)
    level = record_at(s.levels, int64(order.level), LEVEL)
    market = int64(level.market)
    price = level.price
    m = record_at(s.markets, market, MARKET)
    left = order.quantity - order.executed
    level_quantity = book_reduce(root, slot, left)
    book_leave(root, slot)
    order_close(root, slot, market)
    hold(root, held_balance(order), -held_amount(m, order.side, price, left))
    status = int64(OrderStatus.CANCELED)
    event = emit_order(root, int64(EventKind.CANCELED), command_kind, slot, market, price, status)
    mark_level(root, event, market, price, level_quantity)
    record_at(event, 0, EVENT).reason = reason
    words_copy(event + EVENT_ORIGINAL_OFFSET, event + EVENT_ID_OFFSET)
    zero_bytes(event + EVENT_ID_OFFSET, WORDS_BYTES)
    pool_give(s.order_pool, slot)
    return event


@compiled
def cancel_all(root: int, command: int) -> None:
    """CANCEL_ALL: the account's open orders in a market, or in all."""
    s = record_at(root, 0, ROOT)
    c = record_at(command, 0, COMMAND)
    s.pending_account = c.account
    s.pending_market = c.market
    if _next_of(root, int64(record_at(s.accounts, s.pending_account, ACCOUNT).oldest)) == 0:
        reject(root, command, int64(CommandKind.CANCEL_ALL), int64(Reason.UNKNOWN_ORDER))
        return
    cancel_all_step(root)


@compiled
def _next_of(root: int, slot: int) -> int:
    """The first order from `slot` on, in its account's list, that lies in the pending CANCEL_ALL's market, or 0."""
    s = record_at(root, 0, ROOT)
    while slot != 0 and s.pending_market >= 0:
        order = record_at(s.orders, slot, ORDER)
        if record_at(s.levels, int64(order.level), LEVEL).market == s.pending_market:
            break
        slot = int64(record_at(s.orders_cold, slot, ORDER_COLD).younger)
    return slot


@compiled
def cancel_all_step(root: int) -> None:
    """Cancel as many orders of the pending CANCEL_ALL as this step's events allow."""
    s = record_at(root, 0, ROOT)
    s.continuation_pending = 0
    slot = _next_of(root, int64(record_at(s.accounts, s.pending_account, ACCOUNT).oldest))
    while slot != 0:
        if emitted(root) == EVENTS_PER_COMMAND_MAX - 1:
            s.continuation_pending = CommandKind.CANCEL_ALL
            return
        younger = int64(record_at(s.orders_cold, slot, ORDER_COLD).younger)
        _remove(root, slot, int64(CommandKind.CANCEL_ALL), int64(Reason.CANCELED_WITH_ALL))
        slot = _next_of(root, younger)
    emit_done(root, int64(CommandKind.CANCEL_ALL), s.pending_account, s.pending_market, emitted(root))


@compiled
def cancel_replace(root: int, command: int, second: int) -> None:
    """CANCEL_REPLACE: the cancel leg, then the new order, unless a failed cancel forbids it."""
    allowed = int64(record_at(command, 0, COMMAND).flag_bits) & CommandFlag.ALLOW_FAILURE
    if cancel(root, command) != Reason.NONE and allowed == 0:
        request_outcome(root, int64(0), int64(Reason.CANCEL_REJECTED))
        reject(root, second, int64(CommandKind.PLACE), int64(Reason.CANCEL_REJECTED))
        return
    place(root, second)


@compiled
def amend(root: int, command: int) -> None:
    """AMEND: a new price, quantity or client order id for an open order."""
    slot = _order_meant(root, command)
    reason = int64(Reason.UNKNOWN_ORDER) if slot == 0 else _amend_refusal(root, command, slot)
    if reason != Reason.NONE:
        reject(root, command, int64(CommandKind.AMEND), reason)
        return
    _amend_accepted(root, command, slot)


@compiled
def _amend_refusal(root: int, command: int, slot: int) -> int:
    """Why the order may not be amended so: a Reason, or NONE."""
    s = record_at(root, 0, ROOT)
    c = record_at(command, 0, COMMAND)
    order = record_at(s.orders, slot, ORDER)
    level = record_at(s.levels, int64(order.level), LEVEL)
    market = record_at(s.markets, int64(c.market), MARKET)
    if c.price < 0 or c.quantity < 0:
        return int64(Reason.INVALID_QUANTITY)
    price = c.price if c.price != 0 else level.price
    quantity = c.quantity if c.quantity != 0 else order.quantity
    reprices = price != level.price
    if not reprices and quantity == order.quantity:
        return int64(Reason.AMEND_NOTHING)
    if quantity <= order.executed:
        return int64(Reason.AMEND_BELOW_EXECUTED)
    keeps = int64(c.flag_bits) & CommandFlag.KEEP_PRIORITY
    if keeps != 0 and (reprices or quantity > order.quantity):
        return int64(Reason.AMEND_LOSES_PRIORITY)
    reason = check_order(market, int64(order.order_type), price, quantity, int64(0))
    if reason != Reason.NONE:
        return reason
    words = command + COMMAND_ID_OFFSET
    if not words_empty(words) and not words_equal(words, order_id_words(root, slot)):
        if client_id_find(root, c.account, words) != 0:
            return int64(Reason.DUPLICATE_CLIENT_ORDER_ID)
    if reprices and order.order_type == OrderType.LIMIT_MAKER and _would_take(root, c.market, order.side, price):
        return int64(Reason.WOULD_TAKE)
    if reprices and pool_full(s.level_pool):
        return int64(Reason.ENGINE_FULL)
    left = order.quantity - order.executed
    if _level_overflows(root, c.market, order.side, price, quantity, 0 if reprices else left):
        return int64(Reason.ENGINE_FULL)
    grows = held_amount(market, order.side, price, quantity - order.executed) - held_amount(
        market, order.side, level.price, left
    )
    if grows > balance_free(root, held_balance(order)):
        return int64(Reason.INSUFFICIENT_BALANCE)
    return int64(Reason.NONE)


@compiled
def _amend_accepted(root: int, command: int, slot: int) -> None:
    s = record_at(root, 0, ROOT)
    c = record_at(command, 0, COMMAND)
    order = record_at(s.orders, slot, ORDER)
    level = record_at(s.levels, int64(order.level), LEVEL)
    market = int64(c.market)
    m = record_at(s.markets, market, MARKET)
    old_price = level.price
    old_quantity = order.quantity
    price = c.price if c.price != 0 else old_price
    quantity = c.quantity if c.quantity != 0 else old_quantity
    old_left = old_quantity - order.executed
    keeps = price == old_price and quantity < old_quantity
    holds = held_amount(m, order.side, price, quantity - order.executed)
    hold(root, held_balance(order), holds - held_amount(m, order.side, old_price, old_left))
    if keeps:
        level_quantity = book_reduce(root, slot, old_quantity - quantity)
    else:
        level_quantity = book_reduce(root, slot, old_left)
        book_leave(root, slot)
    order.quantity = quantity

    status = int64(OrderStatus.NEW) if order.executed == 0 else int64(OrderStatus.PARTIALLY_FILLED)
    event = emit_order(root, int64(EventKind.AMENDED), int64(CommandKind.AMEND), slot, market, price, status)
    if keeps:
        record_at(event, 0, EVENT).flag_bits = EventFlag.PRIORITY_KEPT
    mark_level(root, event, market, old_price, level_quantity)
    words_copy(event + EVENT_ORIGINAL_OFFSET, order_id_words(root, slot))
    words = command + COMMAND_ID_OFFSET
    if not words_empty(words):
        client_id_remove(root, slot)
        words_copy(order_id_words(root, slot), words)
        client_id_add(root, slot)
        words_copy(event + EVENT_ID_OFFSET, words)
    if keeps:
        return
    s.pending_order = slot
    s.pending_price = price
    s.pending_market = market
    s.pending_account = order.account
    s.pending_quote = 0
    match(root, int64(CommandKind.AMEND))
