"""Emitting events, straight into their slots: a record is zeroed first, so every byte of it is determined."""

from __future__ import annotations

from typing import Final

from ringex.engine.book import order_id_words
from ringex.engine.orderlists import list_order_ids, list_words
from ringex.engine.records import BALANCE, CACHE_LINE_BYTES, MARKET, ORDER, ORDER_COLD, ORDER_LIST, ROOT
from ringex.jit import compiled, inlined, int64
from ringex.memory import copy_bytes, prefetch, record_at, zero_bytes
from ringex.messages import BALANCE_COMMAND, COMMAND, EVENT, LIST_EVENT, RECORD_BYTES, SCHEMA_VERSION
from ringex.tables import words_copy
from ringex.terms import CommandKind, EventFlag, EventKind, OrderStatus, Side

COMMAND_ID_OFFSET: Final[int] = COMMAND.fields["client_order_id"][1]  # type: ignore[index]
COMMAND_ORIGINAL_OFFSET: Final[int] = COMMAND.fields["original_client_order_id"][1]  # type: ignore[index]
EVENT_ID_OFFSET: Final[int] = EVENT.fields["client_order_id"][1]  # type: ignore[index]
EVENT_ORIGINAL_OFFSET: Final[int] = EVENT.fields["original_client_order_id"][1]  # type: ignore[index]
LIST_EVENT_ID_OFFSET: Final[int] = LIST_EVENT.fields["client_order_id"][1]  # type: ignore[index]
LIST_EVENT_ORDERS_OFFSET: Final[int] = LIST_EVENT.fields["first_order_id"][1]  # type: ignore[index]


EVENTS_AHEAD: Final = 8
"""How many events before its turn the slot of one is fetched, to be written: rings are larger than the caches."""


@inlined
def emit(root: int, kind: int, account: int, market: int) -> int:
    """A new event, zero but for its header. Returns its address."""
    s = record_at(root, 0, ROOT)
    address = s.event_base + (s.event_sequence & s.event_mask) * RECORD_BYTES
    later = s.event_base + ((s.event_sequence + EVENTS_AHEAD) & s.event_mask) * RECORD_BYTES
    for line in range(0, RECORD_BYTES, CACHE_LINE_BYTES):
        prefetch(later + line)
    zero_bytes(address, RECORD_BYTES)
    s.event_sequence += 1
    e = record_at(address, 0, EVENT)
    e.sequence = s.event_sequence
    e.command_sequence = s.cause_sequence
    e.time_ns = s.time_ns
    e.correlation = s.correlation
    e.kind = kind
    e.version = SCHEMA_VERSION
    e.gateway = s.gateway
    e.incarnation = s.incarnation
    e.connection = s.connection
    e.account = account
    e.market = market
    return address


@inlined
def emitted(root: int) -> int:
    """How many events this apply has emitted."""
    s = record_at(root, 0, ROOT)
    return s.event_sequence - s.event_first


@inlined
def execution_id_next(root: int) -> int:
    s = record_at(root, 0, ROOT)
    s.execution_id += 1
    return s.execution_id


@inlined
def emit_order(root: int, kind: int, command_kind: int, slot: int, market: int, price: int, status: int) -> int:
    """An event with all of an order as it now is; `price` is its limit. Returns its address."""
    s = record_at(root, 0, ROOT)
    order = record_at(s.orders, slot, ORDER)
    cold = record_at(s.orders_cold, slot, ORDER_COLD)
    address = emit(root, kind, order.account, market)
    e = record_at(address, 0, EVENT)
    e.order_id = order.order_id
    if kind != EventKind.RESTED:
        e.execution_id = execution_id_next(root)
    e.price = price
    e.quantity = order.quantity
    e.executed_quantity = order.executed
    e.executed_quote = order.executed_quote
    e.side = order.side
    e.order_type = order.order_type
    e.time_in_force = order.time_in_force
    e.status = status
    e.command_kind = command_kind
    e.transport = s.transport
    held = record_at(s.balances, order.quote_balance if order.side == Side.BUY else order.base_balance, BALANCE)
    e.free = held.free
    e.locked = held.locked
    e.created_ns = cold.created_ns
    e.trade_count = order.trade_count
    words_copy(address + EVENT_ID_OFFSET, order_id_words(root, slot))
    return address


@compiled
def emit_list(root: int, number: int, status: int, command_kind: int) -> None:
    """ORDER_LIST: what has become of an order list."""
    s = record_at(root, 0, ROOT)
    order_list = record_at(s.lists, number, ORDER_LIST)
    address = emit(root, int64(EventKind.ORDER_LIST), order_list.account, order_list.market)
    e = record_at(address, 0, LIST_EVENT)
    e.order_list_id = order_list.order_list_id
    e.list_kind = order_list.kind
    e.list_status = status
    e.command_kind = command_kind
    e.transport = s.transport
    copy_bytes(address + LIST_EVENT_ORDERS_OFFSET, list_order_ids(root, number), 24)
    words_copy(address + LIST_EVENT_ID_OFFSET, list_words(root, number))


@inlined
def mark_level(root: int, event: int, market: int, price: int, quantity: int) -> None:
    """Say in an order's event that its level at `price` now holds `quantity`."""
    m = record_at(record_at(root, 0, ROOT).markets, market, MARKET)
    m.book_update_id += 1
    e = record_at(event, 0, EVENT)
    e.flag_bits = int64(e.flag_bits) | EventFlag.LEVEL
    e.book_update_id = m.book_update_id
    e.level_price = price
    e.level_quantity = quantity


@compiled
def reject(root: int, command: int, command_kind: int, reason: int) -> None:
    """Refuse an order command."""
    _answer(root, command, int64(EventKind.REJECTED), command_kind, record_at(command, 0, COMMAND).order_id, reason)


@compiled
def answer_duplicate(root: int, command: int, order_id: int, reason: int) -> None:
    """Answer a repeated order request with the first one's outcome."""
    _answer(root, command, int64(EventKind.DUPLICATE), record_at(command, 0, COMMAND).kind, order_id, reason)


@compiled
def _answer(root: int, command: int, kind: int, command_kind: int, order_id: int, reason: int) -> None:
    c = record_at(command, 0, COMMAND)
    address = emit(root, kind, c.account, c.market)
    e = record_at(address, 0, EVENT)
    e.reason = reason
    e.order_id = order_id
    e.side = c.side
    e.order_type = c.order_type
    e.time_in_force = c.time_in_force
    e.price = c.price
    e.quantity = c.quantity
    e.quote_quantity = c.quote_quantity
    e.command_kind = command_kind
    e.transport = record_at(root, 0, ROOT).transport
    if command_kind == CommandKind.PLACE:
        e.status = OrderStatus.REJECTED
    words_copy(address + EVENT_ID_OFFSET, command + COMMAND_ID_OFFSET)
    if c.kind != CommandKind.PLACE:
        words_copy(address + EVENT_ORIGINAL_OFFSET, command + COMMAND_ORIGINAL_OFFSET)


@compiled
def answer_plainly(root: int, command: int, kind: int, reason: int) -> None:
    """REJECTED or DUPLICATE for a command that is no order command."""
    c = record_at(command, 0, BALANCE_COMMAND)
    moves_money = c.kind == CommandKind.DEPOSIT or c.kind == CommandKind.WITHDRAW
    moves_money = moves_money or (c.kind >= CommandKind.TRANSFER and c.kind <= CommandKind.WITHDRAW_RELEASE)
    e = record_at(emit(root, kind, c.account, c.asset if moves_money else 0), 0, EVENT)
    e.reason = reason
    e.command_kind = c.kind
    e.transport = record_at(root, 0, ROOT).transport


@compiled
def emit_done(root: int, command_kind: int, account: int, market: int, count: int) -> None:
    """The end of a command that has no event of its own; `count` orders were canceled in this step."""
    e = record_at(emit(root, int64(EventKind.DONE), account, market), 0, EVENT)
    e.command_kind = command_kind
    e.transport = record_at(root, 0, ROOT).transport
    e.count = min(count, 65_535)
