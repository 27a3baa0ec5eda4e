"""Placing and canceling order lists: OCO_PLACE, OTO_PLACE, OTOCO_PLACE, LIST_CANCEL.

A list is taken as a whole or not at all: all of its orders are checked first. Its own record is followed by those of
its orders: of an OCO the pair, of the others the working order and what waits for it.
"""

from __future__ import annotations

from ringex.engine.book import book_enter, order_open, pending_enter
from ringex.engine.events import COMMAND_ID_OFFSET, COMMAND_ORIGINAL_OFFSET, emit_list, mark_level, reject
from ringex.engine.filters import check_position
from ringex.engine.ledger import held_amount, held_balance, hold
from ringex.engine.orderlimits import check_order_limits
from ringex.engine.orderlists import list_count, list_find, list_join, list_make, list_order
from ringex.engine.orders import (
    emit_accepted,
    enter,
    entry_refusal,
    funds_suffice,
    meet,
    order_make,
    order_refusal,
    remove,
    standing_refusal,
    terms_note,
    with_price,
)
from ringex.engine.records import MARKET, ORDER, ORDER_LIST, ROOT, TALLY, TERMS
from ringex.engine.requests import request_outcome
from ringex.engine.tallies import tally_find
from ringex.engine.trailing import stop_wait
from ringex.jit import compiled, inlined, int64
from ringex.memory import record_at
from ringex.messages import COMMAND, EVENT, RECORD_BYTES
from ringex.reasons import Reason
from ringex.rules import is_stop
from ringex.tables import index_find, pool_left, words_empty, words_equal
from ringex.terms import CommandKind, EventFlag, ListKind, ListStatus, OrderStatus, OrderType, Side


@compiled
def place_list(root: int, command: int) -> None:
    """OCO_PLACE, OTO_PLACE, OTOCO_PLACE. Account, market and expiry have been checked."""
    kind = int64(record_at(command, 0, COMMAND).kind)
    reason = _list_refusal(root, command)
    if reason != Reason.NONE:
        request_outcome(root, int64(0), reason)
        reject(root, command, kind, reason)
    elif kind == CommandKind.OCO_PLACE:
        _accept_pair(root, command)
    else:
        _accept_working(root, command)


@inlined
def list_kind_of(command_kind: int) -> int:
    """The ListKind that a command of this kind places."""
    return int64(command_kind) - int64(CommandKind.OCO_PLACE) + int64(ListKind.OCO)


@inlined
def _leg(command: int, number: int) -> int:
    """The address of the record of a list's order, from 0."""
    return command + (number + 1) * RECORD_BYTES


@compiled
def priced(root: int, command: int) -> int:
    """`with_price`, compiled once for all that is done with lists."""
    return with_price(root, command)


# ---- may it be -------------------------------------------------------------------------------------------------------


@compiled
def _list_refusal(root: int, command: int) -> int:
    """Why the list may not be: a Reason, or NONE. Finds the account's balances, into the root."""
    s = record_at(root, 0, ROOT)
    c = record_at(command, 0, COMMAND)
    count = int64(c.slots) - 1
    reason = standing_refusal(root, c.account, c.market)
    if reason != Reason.NONE:
        return reason
    words = command + COMMAND_ID_OFFSET
    if not words_empty(words) and list_find(root, c.account, words) != 0:
        return int64(Reason.DUPLICATE_CLIENT_ORDER_ID)
    if not _is_composed(command):
        return int64(Reason.INVALID_ORDER_LIST)
    is_oco = c.kind == CommandKind.OCO_PLACE
    for number in range(count):
        enters = is_oco or number == 0
        leg = _leg(command, number)
        reason = order_refusal(root, priced(root, leg) if enters else leg, not enters)
        if reason != Reason.NONE:
            return reason
    if _ids_repeat(command, count):
        return int64(Reason.DUPLICATE_CLIENT_ORDER_ID)
    if not _prices_fit(root, command):
        return int64(Reason.PRICE_RELATION)
    reason = _counts_refusal(root, command, count)
    if reason != Reason.NONE:
        return reason
    if pool_left(s.order_pool) < count:
        return int64(Reason.ENGINE_FULL)
    for number in range(2 if is_oco else 1):
        reason = entry_refusal(root, priced(root, _leg(command, number)))
        if reason != Reason.NONE:
            return reason
    for number in range(2 if is_oco else 1):  # of a pair the larger hold decides
        if not funds_suffice(root, priced(root, _leg(command, number))):
            return int64(Reason.INSUFFICIENT_BALANCE)
    return int64(Reason.NONE)


@compiled
def _prices_fit(root: int, command: int) -> bool:
    """Whether the prices of a list's pair fit together; of one that enters now, with the last price between them."""
    s = record_at(root, 0, ROOT)
    c = record_at(command, 0, COMMAND)
    if c.kind == CommandKind.OTO_PLACE:
        return True
    if c.kind == CommandKind.OTOCO_PLACE:
        return prices_fit(root, _leg(command, 1), _leg(command, 2), int64(0))
    last_price = record_at(s.markets, int64(c.market), MARKET).last_price
    return prices_fit(root, _leg(command, 0), _leg(command, 1), last_price)


@compiled
def prices_fit(root: int, one: int, other: int, last_price: int) -> bool:
    """Whether the last price (0: not looked at) lies between the prices of a pair: the stop loss on its own side."""
    stop = other if _is_stop_loss(record_at(other, 0, COMMAND).order_type) else one
    profit = one if stop == other else other
    stop_price = _price_that_counts(root, stop)
    profit_price = _price_that_counts(root, profit)
    sells = record_at(stop, 0, COMMAND).side == Side.SELL
    low = stop_price if sells else profit_price
    high = profit_price if sells else stop_price
    if low != 0 and high != 0 and low >= high:
        return False
    if last_price == 0:
        return True
    return low < last_price and (high == 0 or last_price < high)


@compiled
def _price_that_counts(root: int, command: int) -> int:
    """The price that an order of a pair is compared by; 0: it has none yet, as where it follows the market."""
    c = record_at(command, 0, COMMAND)
    if c.order_type == OrderType.LIMIT_MAKER:
        return record_at(priced(root, command), 0, COMMAND).price
    if c.trailing_delta != 0:
        return int64(0)
    if c.order_type == OrderType.TAKE_PROFIT_LIMIT and c.price != 0:
        return c.price
    return c.stop_price


@inlined
def _is_stop_loss(order_type: int) -> bool:
    return order_type == OrderType.STOP_LOSS or order_type == OrderType.STOP_LOSS_LIMIT


@inlined
def _takes_profit(order_type: int) -> bool:
    return (
        order_type == OrderType.LIMIT_MAKER
        or order_type == OrderType.TAKE_PROFIT
        or order_type == OrderType.TAKE_PROFIT_LIMIT
    )


@compiled
def _is_composed(command: int) -> bool:
    """Whether the types, sides and quantities of the orders make such a list."""
    c = record_at(command, 0, COMMAND)
    if c.kind != CommandKind.OCO_PLACE:
        working = record_at(_leg(command, 0), 0, COMMAND)
        if working.order_type != OrderType.LIMIT and working.order_type != OrderType.LIMIT_MAKER:
            return False
        if c.kind == CommandKind.OTO_PLACE:
            return record_at(_leg(command, 1), 0, COMMAND).quote_quantity == 0
    first = 0 if c.kind == CommandKind.OCO_PLACE else 1
    one = record_at(_leg(command, first), 0, COMMAND)
    other = record_at(_leg(command, first + 1), 0, COMMAND)
    if one.side != other.side or one.quantity != other.quantity:
        return False
    if _is_stop_loss(one.order_type):
        return _takes_profit(other.order_type)
    return _takes_profit(one.order_type) and _is_stop_loss(other.order_type)


@compiled
def _ids_repeat(command: int, count: int) -> bool:
    """Whether two orders of the list have the same client order id."""
    for number in range(1, count):
        words = _leg(command, number) + COMMAND_ID_OFFSET
        for earlier in range(number):
            if not words_empty(words) and words_equal(words, _leg(command, earlier) + COMMAND_ID_OFFSET):
                return True
    return False


@compiled
def _counts_refusal(root: int, command: int, count: int) -> int:
    """Whether the account may have this list, and so many more orders, open in the market: a Reason, or NONE."""
    s = record_at(root, 0, ROOT)
    c = record_at(command, 0, COMMAND)
    m = record_at(s.markets, int64(c.market), MARKET)
    tally = record_at(s.tallies, tally_find(root, c.account, c.market), TALLY)
    stops = int64(0)
    icebergs = int64(0)
    buying = int64(0)
    for number in range(count):
        leg = record_at(_leg(command, number), 0, COMMAND)
        stops += 1 if is_stop(leg.order_type) else 0
        icebergs += 1 if leg.iceberg_quantity != 0 else 0
        buying += leg.quantity if leg.side == Side.BUY else 0
    if m.order_lists_max != 0 and tally.order_lists >= m.order_lists_max:
        return int64(Reason.TOO_MANY_ORDER_LISTS)
    reason = check_order_limits(root, int64(c.account), count)
    if reason != Reason.NONE:
        return reason
    if tally.orders + count > m.orders_per_account_max:
        return int64(Reason.TOO_MANY_ORDERS)
    if m.algo_orders_max != 0 and stops != 0 and tally.algo_orders + stops > m.algo_orders_max:
        return int64(Reason.TOO_MANY_ALGO_ORDERS)
    if m.iceberg_orders_max != 0 and icebergs != 0 and tally.icebergs + icebergs > m.iceberg_orders_max:
        return int64(Reason.TOO_MANY_ICEBERGS)
    if m.position_max != 0 and buying != 0:
        return check_position(root, c.account, int64(c.market), buying)
    return int64(Reason.NONE)


# ---- it is -----------------------------------------------------------------------------------------------------------


@compiled
def _begin(root: int, command: int) -> int:
    """Make the list, and all of its orders, which are nowhere yet; ORDER_LIST. Returns the list."""
    s = record_at(root, 0, ROOT)
    c = record_at(command, 0, COMMAND)
    kind = int64(c.kind)
    words = command + COMMAND_ID_OFFSET
    number = list_make(root, c.account, c.market, list_kind_of(kind), words)
    for leg in range(int64(c.slots) - 1):
        address = _leg(command, leg)
        if leg == 0 or kind == CommandKind.OCO_PLACE:
            address = priced(root, address)
        slot = order_make(root, address)
        terms_note(root, address, slot)
        list_join(root, number, slot)
    request_outcome(root, record_at(s.lists, number, ORDER_LIST).order_list_id, int64(Reason.NONE))
    emit_list(root, number, int64(ListStatus.EXEC_STARTED), kind)
    return number


@compiled
def _accept_pair(root: int, command: int) -> None:
    """OCO: both orders rest or wait, for what the larger of their holds is."""
    market = int64(record_at(command, 0, COMMAND).market)
    number = _begin(root, command)
    hold_pair(root, number)
    for leg in range(2):
        slot = list_order(root, number, leg + 1)
        address = priced(root, _leg(command, leg))
        price = record_at(address, 0, COMMAND).price
        level_quantity = stand(root, slot, market, price)
        order_open(root, slot, market)
        event = emit_accepted(root, address, slot, int64(CommandKind.OCO_PLACE))
        if level_quantity != 0:
            record_at(event, 0, EVENT).flag_bits = EventFlag.WORKING
            mark_level(root, event, market, price, level_quantity)
    list_count(root, number)


@compiled
def hold_pair(root: int, number: int) -> None:
    """Hold what the larger of a pair needs, neither of which rests or waits yet."""
    s = record_at(root, 0, ROOT)
    m = record_at(s.markets, int64(record_at(s.lists, number, ORDER_LIST).market), MARKET)
    most = int64(0)
    for place in range(1, 3):
        slot = list_order(root, number, place)
        order = record_at(s.orders, slot, ORDER)
        price = record_at(s.orders_terms, slot, TERMS).limit_price
        most = max(most, held_amount(m, order.side, price, order.quantity))
    hold(root, held_balance(record_at(s.orders, list_order(root, number, int64(1)), ORDER)), most)


@compiled
def stand(root: int, slot: int, market: int, price: int) -> int:
    """Let one of a pair wait for its stop price, or rest at `price`, where nobody meets it: what its level shows."""
    if is_stop(record_at(record_at(root, 0, ROOT).orders, slot, ORDER).order_type):
        stop_wait(root, slot, market)
        return int64(0)
    return book_enter(root, slot, market, price)


@compiled
def _accept_working(root: int, command: int) -> None:
    """OTO, OTOCO: the working order enters the market as any, but is open from the first; the others are pending."""
    s = record_at(root, 0, ROOT)
    c = record_at(command, 0, COMMAND)
    kind = int64(c.kind)
    market = int64(c.market)
    number = _begin(root, command)
    slot = list_order(root, number, int64(0))
    order = record_at(s.orders, slot, ORDER)
    address = priced(root, _leg(command, 0))
    price = record_at(address, 0, COMMAND).price
    hold(
        root, held_balance(order), held_amount(record_at(s.markets, market, MARKET), order.side, price, order.quantity)
    )
    order_open(root, slot, market)
    emit_accepted(root, address, slot, kind)
    for leg in range(1, int64(c.slots) - 1):
        pending = list_order(root, number, leg)
        pending_enter(root, pending, market)
        order_open(root, pending, market)
        event = emit_accepted(root, _leg(command, leg), pending, kind)
        record_at(event, 0, EVENT).status = OrderStatus.PENDING_NEW
    list_count(root, number)
    meet(root, slot, market, price)
    enter(root, kind)


# ---- LIST_CANCEL -----------------------------------------------------------------------------------------------------


@compiled
def cancel_list(root: int, command: int) -> None:
    """LIST_CANCEL: all orders of a list."""
    s = record_at(root, 0, ROOT)
    c = record_at(command, 0, COMMAND)
    original = command + COMMAND_ORIGINAL_OFFSET
    number = int64(0)
    if c.order_id > 0:
        number = index_find(s.list_index, c.order_id)
    elif not words_empty(original):
        number = list_find(root, c.account, original)
    order_list = record_at(s.lists, number, ORDER_LIST)
    if number == 0 or order_list.account != c.account or order_list.market != c.market:
        reject(root, command, int64(CommandKind.LIST_CANCEL), int64(Reason.UNKNOWN_ORDER))
        return
    slot = int64(0)
    for place in range(2, -1, -1):
        if list_order(root, number, place) != 0:
            slot = list_order(root, number, place)
    words = command + COMMAND_ID_OFFSET
    remove(root, slot, int64(CommandKind.LIST_CANCEL), int64(Reason.CANCELED_BY_CLIENT), words)
