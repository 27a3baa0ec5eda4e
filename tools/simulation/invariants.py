"""What must hold of the engine's state after every command, checked in compiled code while the commands run.

Independent of the rules that lead to a state: this only reads tables, and adds up. `Check` remembers what the events
said (what was booked, which order joined its queue when); the state must agree with it.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Final

import numpy as np

from ringex.engine.book import order_price
from ringex.engine.library import BATCH, apply_batch
from ringex.engine.matcher import slots_of
from ringex.engine.orderlists import list_of, list_sibling
from ringex.engine.records import (
    ARMING_FALLING,
    ARMING_RISING,
    ASSET,
    BALANCE,
    BOOK_SIDE,
    BOOK_SIDE_BYTES,
    BUY_SIDE_OFFSET,
    DUE,
    FALLING,
    LEVEL,
    MARKET,
    MARKET_BYTES,
    ORDER,
    ORDER_LIST,
    REFERENCE,
    ROOT,
    TERMS,
    TRAIL,
    TRAILING,
    WORKING,
)
from ringex.engine.state import State
from ringex.engine.tallies import account_key
from ringex.jit import compiled, int64
from ringex.memory import address_of, record_at
from ringex.messages import BALANCE_EVENT, EVENT, RECORD_BYTES, RECORDS_PER_COMMAND_MAX
from ringex.rules import trailing_trigger
from ringex.tables import index_find, pool_used
from ringex.terms import CommandKind, EventKind, MarketStatus, OrderType, Side


class Fault(IntEnum):
    """What does not hold. `TEXT` says it in words; `a` and `b` of a CHECK say where."""

    NONE = 0
    NEGATIVE = 1
    LOCKED = 2
    CONSERVATION = 3
    CROSSED = 4
    QUEUE = 5
    LEVEL_SUM = 6
    LEVEL_ORDER = 7
    LINKS = 8
    LEFT = 9
    SHOWN = 10
    STOP_DUE = 11
    ORDER_COUNT = 12
    SEQUENCE = 13
    LIST = 14


TEXT: Final = {
    Fault.NEGATIVE: "account {a} has a negative free or locked amount of asset {b}",
    Fault.LOCKED: "account {a}: what is locked of asset {b} is not what its open orders and withdrawals need",
    Fault.CONSERVATION: "asset {a}: the sum over all accounts is not what was deposited less what was withdrawn ({b})",
    Fault.CROSSED: "market {a}: the book is crossed, best bid {b}",
    Fault.QUEUE: "order {a} stands before order {b}, which joined the queue earlier",
    Fault.LEVEL_SUM: "market {a}, price {b}: the level's quantity is not what its orders show",
    Fault.LEVEL_ORDER: "market {a}, price {b}: levels are not in order of price",
    Fault.LINKS: "order {a}: its links do not fit its level {b}",
    Fault.LEFT: "order {a} is open and has {b} left",
    Fault.SHOWN: "order {a} shows {b}, which is not between 1 and what it has left",
    Fault.STOP_DUE: "market {a}: a stop order at {b} is due, and nothing is pending",
    Fault.ORDER_COUNT: "{a} orders were found in the books, {b} are in use",
    Fault.LIST: "order {a} is not as its order list {b} says",
    Fault.SEQUENCE: "event {a} is not the one after {b}",
}

CHECK: Final = np.dtype(
    [
        ("root", "i8"),
        ("needed", "i8"),  # address: i8 by balance slot
        ("totals", "i8"),  # address: i8 by asset
        ("booked", "i8"),  # address: i8 by asset: deposits less withdrawals
        ("queued", "i8"),  # address: i8 by order id & queued_mask: the event that queued it last
        ("queued_mask", "i8"),
        ("undo", "i8"),  # address of UNDO records: what the words above were before
        ("undo_used", "i8"),
        ("sequence", "i8"),  # of the last event seen
        ("fault", "i8"),
        ("a", "i8"),
        ("b", "i8"),
    ]
)
UNDO: Final = np.dtype([("sequence", "i8"), ("address", "i8"), ("word", "i8")])
_WORD: Final = np.dtype([("word", "i8")])
UNDO_MAX: Final = 1 << 20
QUEUED_SLOTS: Final = 1 << 22
"""More than there are orders between the oldest open one and the newest."""


class Check:
    """Checks one state. `watch` must be told of every event, `run` may be called whenever no command is half-way."""

    def __init__(self, state: State) -> None:
        self._booked = np.zeros(state.limits.assets_max, "i8")
        self._queued = np.zeros(QUEUED_SLOTS, "i8")
        self._undo = np.zeros(UNDO_MAX, UNDO)
        self.can_rewind_to = 0
        self.record = np.zeros(1, CHECK)
        self.record["booked"] = address_of(self._booked)
        self.record["queued"] = address_of(self._queued)
        self.record["queued_mask"] = QUEUED_SLOTS - 1
        self.record["undo"] = address_of(self._undo)
        self.address = address_of(self.record)
        self.follow(state)

    def follow(self, state: State) -> None:
        """Check this state from now on, which holds what the one before did."""
        self._state = state  # it must outlive its address
        self._needed = np.zeros(state.limits.balances_max + 1, "i8")
        self._totals = np.zeros(state.limits.assets_max, "i8")
        self.record["root"] = state.address
        self.record["needed"] = address_of(self._needed)
        self.record["totals"] = address_of(self._totals)

    def run(self) -> str:
        """What does not hold of the state as it is; empty if all does."""
        check_state(self.address)
        return self.fault

    @property
    def fault(self) -> str:
        fault = Fault(int(self.record["fault"][0]))
        return TEXT[fault].format(a=int(self.record["a"][0]), b=int(self.record["b"][0])) if fault else ""

    def rewind(self, sequence: int) -> None:
        """Forget the events after `sequence`: they will be told again."""
        assert self.can_rewind_to <= sequence
        rewind(self.address, sequence)

    def keep_from(self, sequence: int) -> None:
        """Nobody will rewind to before event `sequence`."""
        used = int(self.record["undo_used"][0])
        first = int(np.searchsorted(self._undo["sequence"][:used], sequence, side="right"))
        self._undo[: used - first] = self._undo[first:used].copy()
        self.record["undo_used"] = used - first
        self.can_rewind_to = sequence

    @property
    def is_full(self) -> bool:
        """Whether `keep_from` must be called before much more happens."""
        return int(self.record["undo_used"][0]) > UNDO_MAX // 2


@compiled
def _found(c: Any, fault: int, a: int, b: int) -> None:
    if c.fault == Fault.NONE:
        c.fault = fault
        c.a = a
        c.b = b


@compiled
def watch(check: int, event_base: int, event_mask: int, until: int) -> None:
    """Take note of the events after the last one seen, up to sequence `until`, in the ring at `event_base`."""
    c = record_at(check, 0, CHECK)
    while c.sequence < until:
        at = c.sequence & event_mask
        e = record_at(event_base, at, EVENT)
        if e.sequence != c.sequence + 1:
            _found(c, int64(Fault.SEQUENCE), e.sequence, c.sequence)
        c.sequence += 1
        if e.kind == EventKind.BALANCE:
            booked = c.booked + int64(e.market) * 8
            _note(c, booked, record_at(booked, 0, _WORD).word + record_at(event_base, at, BALANCE_EVENT).amount)
        elif e.kind == EventKind.RESTED or e.kind == EventKind.ACCEPTED or e.kind == EventKind.PLACED:
            _note(c, c.queued + (e.order_id & c.queued_mask) * 8, c.sequence)


@compiled
def _note(c: Any, address: int, word: int) -> None:
    """Remember a word, and what it was before."""
    undo = record_at(c.undo, c.undo_used, UNDO)
    c.undo_used += 1
    undo.sequence = c.sequence
    undo.address = address
    known = record_at(address, 0, _WORD)
    undo.word = known.word
    known.word = word


@compiled
def rewind(check: int, sequence: int) -> None:
    """Undo what events after `sequence` have told."""
    c = record_at(check, 0, CHECK)
    while c.undo_used > 0 and record_at(c.undo, c.undo_used - 1, UNDO).sequence > sequence:
        c.undo_used -= 1
        undo = record_at(c.undo, c.undo_used, UNDO)
        record_at(undo.address, 0, _WORD).word = undo.word
    c.sequence = sequence


@compiled
def check_state(check: int) -> None:
    """All invariants over the whole state. The first that does not hold is noted in the CHECK."""
    c = record_at(check, 0, CHECK)
    s = record_at(c.root, 0, ROOT)
    for slot in range(1, pool_used(s.balance_pool) + 1):
        record_at(c.needed, slot, _WORD).word = 0
    count = int64(0)
    for market in range(s.markets_count):
        for side in range(Side.BUY, ARMING_RISING + 1):
            count += _check_side(c, market, side)
        for side in range(Side.BUY, Side.SELL + 1):
            count += _check_trails(c, market, side)
        count += _check_pendings(c, market)
        _check_top(c, market)
    pending = s.continuation_pending
    if is_matching(pending):
        order = record_at(s.orders, s.pending_order, ORDER)
        if order.order_type != OrderType.MARKET:
            _need(c, order, s.pending_market, s.pending_price)
        count += 1
    for slot in range(1, pool_used(s.reference_pool) + 1):
        held = record_at(s.references, slot, REFERENCE)
        if held.kind == CommandKind.WITHDRAW_HOLD and held.outcome == 0:
            balance = index_find(s.balance_index, account_key(held.account, held.asset))
            record_at(c.needed, balance, _WORD).word += held.amount
    if count != pool_used(s.order_pool):
        _found(c, int64(Fault.ORDER_COUNT), count, pool_used(s.order_pool))
    _check_money(c)


@compiled
def is_matching(pending: int) -> bool:
    """Whether what is pending is an order that matches."""
    return (
        pending == CommandKind.PLACE
        or pending == CommandKind.AMEND
        or pending == CommandKind.CONTINUE
        or pending == CommandKind.OTO_PLACE
        or pending == CommandKind.OTOCO_PLACE
    )


@compiled
def _check_pendings(c: Any, market: int) -> int:
    """A market's pending orders, for which nothing is held, and its lists that are due. Returns how many orders."""
    s = record_at(c.root, 0, ROOT)
    m = record_at(s.markets, market, MARKET)
    if m.pending_level == 0:
        if m.due_oldest != 0:
            _found(c, int64(Fault.LIST), int64(0), int64(m.due_oldest))
        return 0
    number = int64(m.pending_level)
    level = record_at(s.levels, number, LEVEL)
    count = int64(0)
    slot = int64(level.oldest)
    older = int64(0)
    while slot != 0:
        order = record_at(s.orders, slot, ORDER)
        if order.level != number or order.prev != older or order.executed != 0:
            _found(c, int64(Fault.LINKS), order.order_id, number)
        order_list = record_at(s.lists, list_of(c.root, slot), ORDER_LIST)
        is_due = order_list.phase == DUE and (s.continuation_pending != 0 or m.status != MarketStatus.TRADING)
        waits = order_list.phase == WORKING and order_list.working != 0
        if order_list.market != market or not (waits or is_due):
            _found(c, int64(Fault.LIST), order.order_id, order_list.order_list_id)
        count += 1
        older = slot
        slot = int64(order.next)
    if level.youngest != older or older == 0:
        _found(c, int64(Fault.LINKS), int64(0), number)
    return count


@compiled
def _check_side(c: Any, market: int, side: int) -> int:
    """The levels of one side and their queues. Returns how many orders there are."""
    s = record_at(c.root, 0, ROOT)
    count = int64(0)
    number = int64(record_at(_side(c.root, market, side), 0, BOOK_SIDE).best)
    before = int64(0)  # the level before
    while number != 0:
        level = record_at(s.levels, number, LEVEL)
        if level.market != market or level.side != side or level.better != before:
            _found(c, int64(Fault.LEVEL_ORDER), market, level.price)
        if before != 0:
            better = record_at(s.levels, before, LEVEL).price
            falls = side == Side.BUY or side in (FALLING, ARMING_FALLING)
            if (falls and level.price >= better) or (not falls and level.price <= better):
                _found(c, int64(Fault.LEVEL_ORDER), market, level.price)
        shown = int64(0)
        slot = int64(level.oldest)
        older = int64(0)
        while slot != 0:
            order = record_at(s.orders, slot, ORDER)
            if order.level != number or order.prev != older:
                _found(c, int64(Fault.LINKS), order.order_id, number)
            shown += _check_order(c, slot, market, side, level.price)
            if older != 0:
                _check_turn(c, record_at(s.orders, older, ORDER).order_id, order.order_id)
            count += 1
            older = slot
            slot = int64(order.next)
        if level.youngest != older or older == 0:
            _found(c, int64(Fault.LINKS), int64(0), number)
        if level.quantity != shown:
            _found(c, int64(Fault.LEVEL_SUM), market, level.price)
        before = number
        number = int64(level.worse)
    return count


@compiled
def _check_trails(c: Any, market: int, side: int) -> int:
    """The trailing stops of one side: anchors in order, nothing due, links and counts right. Returns how many."""
    s = record_at(c.root, 0, ROOT)
    m = record_at(s.markets, market, MARKET)
    count = int64(0)
    delta = int64(0)
    trail = int64(m.trails_buy) if side == Side.BUY else int64(m.trails_sell)
    while trail != 0:
        t = record_at(s.trails, trail, TRAIL)
        if t.delta <= delta:
            _found(c, int64(Fault.LEVEL_ORDER), market, int64(t.delta))
        delta = int64(t.delta)
        number = int64(t.oldest)
        before = int64(0)
        while number != 0:
            level = record_at(s.levels, number, LEVEL)
            if level.trail != trail or level.side != TRAILING + side or level.better != before:
                _found(c, int64(Fault.LINKS), int64(0), number)
            anchor = record_at(s.levels, before, LEVEL).price
            if before != 0 and (level.price <= anchor if side == Side.BUY else level.price >= anchor):
                _found(c, int64(Fault.LEVEL_ORDER), market, level.price)
            trigger = trailing_trigger(side, level.price, delta)
            due = m.last_price >= trigger if side == Side.BUY else m.last_price <= trigger
            may_fire = s.continuation_pending == 0 and m.status == MarketStatus.TRADING
            if may_fire and level.price != 0 and due:
                _found(c, int64(Fault.STOP_DUE), market, trigger)
            slot = int64(level.oldest)
            older = int64(0)
            orders = int64(0)
            while slot != 0:
                order = record_at(s.orders, slot, ORDER)
                if order.level != number or order.prev != older or order.side != side:
                    _found(c, int64(Fault.LINKS), order.order_id, number)
                _check_order(c, slot, market, int64(level.side), level.price)
                orders += 1
                older = slot
                slot = int64(order.next)
            if level.youngest != older or orders != level.orders or orders == 0:
                _found(c, int64(Fault.LINKS), int64(0), number)
            count += orders
            before = number
            number = int64(level.worse)
        if t.youngest != before or before == 0:
            _found(c, int64(Fault.LINKS), int64(0), before)
        trail = int64(t.after)
    return count


@compiled
def _side(root: int, market: int, side: int) -> int:
    markets = record_at(root, 0, ROOT).markets
    return markets + market * MARKET_BYTES + BUY_SIDE_OFFSET + (side - 1) * BOOK_SIDE_BYTES


@compiled
def _check_order(c: Any, slot: int, market: int, side: int, level_price: int) -> int:
    """One open order; what it needs is added up. Returns what it shows."""
    s = record_at(c.root, 0, ROOT)
    order = record_at(s.orders, slot, ORDER)
    left = order.quantity - order.executed
    if left <= 0:
        _found(c, int64(Fault.LEFT), order.order_id, left)
    if side > Side.SELL:
        _need_of(c, slot, market, record_at(s.orders_terms, slot, TERMS).limit_price)
        return 0
    if order.side != side:
        _found(c, int64(Fault.LINKS), order.order_id, int64(order.level))
    _need_of(c, slot, market, level_price)
    if order.is_iceberg == 0:
        return left
    terms = record_at(s.orders_terms, slot, TERMS)
    if terms.shown < 1 or terms.shown > left or terms.shown > terms.iceberg_quantity:
        _found(c, int64(Fault.SHOWN), order.order_id, terms.shown)
    return terms.shown


@compiled
def _check_turn(c: Any, first: int, second: int) -> None:
    """First in, first out: of a queue by the events that queued its orders, of waiting stop orders by their entry."""
    joined = record_at(c.queued, first & c.queued_mask, _WORD).word
    if joined == 0 or joined >= record_at(c.queued, second & c.queued_mask, _WORD).word:
        _found(c, int64(Fault.QUEUE), first, second)


@compiled
def _need_of(c: Any, slot: int, market: int, price: int) -> None:
    """`_need`; of a pair whose two orders are placed only for the one that needs more, the first of two alike."""
    s = record_at(c.root, 0, ROOT)
    order = record_at(s.orders, slot, ORDER)
    sibling = list_sibling(c.root, slot)
    if sibling == 0:
        _need(c, order, market, price)
        return
    other = record_at(s.orders, sibling, ORDER)
    if order.executed != 0 or other.executed != 0 or other.side != order.side or other.account != order.account:
        _found(c, int64(Fault.LIST), order.order_id, other.order_id)
    own = _needed(c, order, market, price)
    others = _needed(c, other, market, order_price(c.root, sibling))
    if own > others or (own == others and order.order_id < other.order_id):
        _need(c, order, market, price)


@compiled
def _needed(c: Any, order: Any, market: int, price: int) -> int:
    m = record_at(record_at(c.root, 0, ROOT).markets, market, MARKET)
    left = order.quantity - order.executed
    if order.side == Side.BUY:
        return price * left * m.quote_multiplier // m.quote_divisor
    return left * m.base_multiplier


@compiled
def _need(c: Any, order: Any, market: int, price: int) -> None:
    """Add what an order must have locked: BUY its price for what is left, SELL what is left."""
    balance = int64(order.quote_balance) if order.side == Side.BUY else int64(order.base_balance)
    record_at(c.needed, balance, _WORD).word += _needed(c, order, market, price)


@compiled
def _check_top(c: Any, market: int) -> None:
    """The best prices of a market that trades: not crossed, and with nothing pending no stop order is due."""
    s = record_at(c.root, 0, ROOT)
    m = record_at(s.markets, market, MARKET)
    bid = record_at(s.levels, int64(m.buy.best), LEVEL).price
    ask = record_at(s.levels, int64(m.sell.best), LEVEL).price
    settled = s.continuation_pending == 0
    if m.status != MarketStatus.TRADING:  # it collects orders, or its circuit breaker has cut a cascade short
        return
    if m.buy.best != 0 and m.sell.best != 0 and bid >= ask and (settled or s.pending_market != market):
        _found(c, int64(Fault.CROSSED), market, bid)
    if settled and m.last_price != 0:
        rising = record_at(s.levels, int64(m.rising.best), LEVEL).price
        falling = record_at(s.levels, int64(m.falling.best), LEVEL).price
        if m.rising.best != 0 and rising <= m.last_price:
            _found(c, int64(Fault.STOP_DUE), market, rising)
        if m.falling.best != 0 and falling >= m.last_price:
            _found(c, int64(Fault.STOP_DUE), market, falling)


@compiled
def _check_money(c: Any) -> None:
    """Nothing negative, nothing made or lost, and locked is what was added up."""
    s = record_at(c.root, 0, ROOT)
    for asset in range(s.assets_count):
        record_at(c.totals, asset, _WORD).word = 0
    for slot in range(1, pool_used(s.balance_pool) + 1):
        balance = record_at(s.balances, slot, BALANCE)
        asset = int64(balance.asset)
        if balance.free < 0 or balance.locked < 0:
            _found(c, int64(Fault.NEGATIVE), int64(balance.account), asset)
        if balance.locked != record_at(c.needed, slot, _WORD).word:
            _found(c, int64(Fault.LOCKED), int64(balance.account), asset)
        record_at(c.totals, asset, _WORD).word += balance.free + balance.locked
    for asset in range(s.assets_count):
        booked = record_at(c.booked, asset, _WORD).word
        total = record_at(c.totals, asset, _WORD).word
        if total != booked or record_at(s.assets, asset, ASSET).total != booked:
            _found(c, int64(Fault.CONSERVATION), asset, booked)


@compiled
def drive(batch: int, check: int, total: int, every: int) -> None:
    """Apply up to `total` records of a BATCH, each with its continuations, and check the state after every `every`-th.

    It stands here, beside what it calls, because machine code is kept by the sources of its own file and of ringex's.
    Comes back early where the journal or half of the event ring is full, and where something does not hold.
    """
    b = record_at(batch, 0, BATCH)
    c = record_at(check, 0, CHECK)
    s = record_at(b.root, 0, ROOT)
    full = s.event_sequence + ((b.event_mask + 1) >> 1)
    commands = 0
    while b.taken < total or s.continuation_pending != 0:
        if b.journaled + RECORDS_PER_COMMAND_MAX > b.journal_max or s.event_sequence > full:
            return
        if s.continuation_pending == 0:
            b.count = b.taken + slots_of(b.commands + b.taken * RECORD_BYTES)
            commands += 1
        apply_batch(batch)
        watch(check, b.event_base, b.event_mask, s.event_sequence)
        if s.continuation_pending == 0 and commands % every == 0:
            check_state(check)
        if c.fault != Fault.NONE:
            return
