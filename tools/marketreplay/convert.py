"""From recorded market-by-order messages to what the clients asked for.

A recording tells the exchange's answers; a client's order is read back from them:

- A TRADE names the aggressor, its side, price and size; the FILLs behind it on the other side name the resting
  orders, first-in first-out. TRADEs of one aggressor at worsening prices are one order whose limit is the last price.
- An ADD of that same order in the same event is what was left of it and rested: then it was GTC, else IOC.
- An aggressor that already rested was amended through the spread: an AMEND to the price it reached. FILLs on
  the aggressor's own side name that order again and are no resting orders.
- The CANCEL or MODIFY that books a fill away repeats it and is no message. What it takes beyond the fill is.
- A resting order that is cancelled in the same event and was not filled had to make way first (self-match prevention
  cancels the resting one): its CANCEL goes before the aggressor.
- An order that was filled for more than it showed is an iceberg. Its FILL names the sum, at the end of its price: so it
  is amended up by the hidden part, and goes to the end, just before the aggressor comes. A MODIFY that gives a
  filled order more than the fill left is its next display quantity, entered anew at the end: it is placed anew.
- Before an opening auction the book is crossed and nothing trades. All up to the uncross is folded into one opening
  book and placed in order of priority.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from .intention import Cause, Fill, Intention, Kind
from .mbo import ADD, BID, CANCEL, CLEAR, FILL, FLAG_LAST, FLAG_SNAPSHOT, MODIFY, NO_SIDE, TRADE

NAMELESS: Final = 1 << 62
"""Aggressors whose order id is not recorded are numbered from here."""


@dataclass(slots=True)
class Resting:
    """An order as it stands in the book: what is left of it, and what it has executed since it was placed."""

    bid: bool
    price: int
    left: int
    executed: int = 0


@dataclass(slots=True)
class Trade:
    """A TRADE record and the FILLs on the other side behind it."""

    order_id: int
    bid: bool
    price: int
    quantity: int
    fills: list[Fill] = field(default_factory=list)


@dataclass(slots=True)
class Aggressor:
    """An order that traded on entry: consecutive trades of one order, and what was left of it and rested."""

    order_id: int
    bid: bool
    price: int
    trades: list[Trade]
    rest: int = 0

    @property
    def fills(self) -> list[Fill]:
        return [fill for trade in self.trades for fill in trade.fills]


@dataclass(slots=True)
class Conversion:
    """All that a recording asks for, and what of its trades it cannot ask for."""

    intentions: list[Intention] = field(default_factory=list)
    opening: int = 0
    """The first so many intentions place the opening book."""
    messages: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Records by their action, and what they were taken for."""
    reserves_shown: int = 0
    """Amends that no record stands for: icebergs made to show what they were filled for."""
    trades: int = 0
    trades_not_asked: Counter[Cause] = field(default_factory=Counter)
    fills_not_asked: Counter[Cause] = field(default_factory=Counter)


Row = tuple[bytes, bytes, int, int, int]
"""action, side, price, quantity, order_id"""


class Converter:
    """Reads event after event and keeps the recorded book, without its queues: those are the exchange's work."""

    def __init__(self) -> None:
        self.book: dict[int, Resting] = {}
        """By order id; during the opening in order of priority."""
        self.result = Conversion()
        self._nameless = NAMELESS

    def convert(self, records: np.ndarray, progress: Callable[[int], None] | None = None) -> Conversion:
        """Intentions of `records` (shape (n,), dtype MBO). `progress` is called with the records done so far."""
        done = opening_end(records)
        for row in _rows(records[:done]):
            self._fold(row)
        for order_id, order in self.book.items():
            self._ask(Kind.REST, order_id, order.bid, order.price, order.left)
        self.result.opening = len(self.result.intentions)
        for event in _events(records[done:]):
            self._convert_event(event)
            done += len(event)
            if progress is not None:
                progress(done)
        return self.result

    # The opening

    def _fold(self, row: Row) -> None:
        """Keeps the book of the opening: an order that loses its priority goes to the end."""
        action, side, price, quantity, order_id = row
        self._count(action, "opening book")
        if action == TRADE:
            self.result.trades += 1
            self.result.trades_not_asked[Cause.UNCROSS] += 1
        elif action == FILL:
            self.result.fills_not_asked[Cause.UNCROSS] += 1
        elif action == CLEAR:
            self.book.clear()
        elif action == CANCEL and order_id in self.book:
            self.book[order_id].left -= quantity
            if self.book[order_id].left <= 0:
                del self.book[order_id]
        elif action in (ADD, MODIFY):
            old = self.book.get(order_id)
            if old is not None and old.price == price and quantity <= old.left:
                old.left = quantity
            else:
                self.book.pop(order_id, None)
                self.book[order_id] = Resting(side == BID, price, quantity)

    # Continuous trading

    def _convert_event(self, event: list[Row]) -> None:
        """One event: cancels of unfilled orders first, then the aggressors, then the rest in its order."""
        aggressors = self._aggressors(event)
        entering = {aggressor.order_id: aggressor for aggressor in aggressors}
        filled = {fill.maker for aggressor in aggressors for fill in aggressor.fills}
        later: list[Row] = []
        for row in event:
            action, _, price, quantity, order_id = row
            if action in (TRADE, FILL):
                continue
            if order_id in entering and order_id not in filled:
                self._count(action, "books an aggressor's rest")
                if action in (ADD, MODIFY):
                    entering[order_id].rest, entering[order_id].price = quantity, price
            elif action == CANCEL and order_id in self.book and order_id not in filled:
                self._count(action, "cancels, in the event of a trade" if aggressors else "cancels")
                self._take_off(order_id, quantity)
            else:
                later.append(row)
        shown = {order_id: self.book[order_id].left for order_id in filled}
        for aggressor in aggressors:
            self._enter(aggressor)
        for row in later:
            self._follow(row, shown)
        for order_id in filled:
            if order_id in self.book and self.book[order_id].left == 0:
                del self.book[order_id]

    def _aggressors(self, event: list[Row]) -> list[Aggressor]:
        """The aggressors of an event with their fills. Trades that cannot be asked for are counted and left out."""
        aggressors: list[Aggressor] = []
        for trade in self._trades(event):
            self.result.trades += 1
            cause = self._cause_against(trade)
            if cause is not None:
                self.result.trades_not_asked[cause] += 1
                self.result.fills_not_asked[cause] += len(trade.fills)
                continue
            last = aggressors[-1] if aggressors else None
            if last is not None and _continues(last, trade):
                last.trades.append(trade)
                last.price = trade.price
            else:
                aggressors.append(Aggressor(trade.order_id or self._number(), trade.bid, trade.price, [trade]))
        return aggressors

    def _trades(self, event: list[Row]) -> Iterator[Trade]:
        trade: Trade | None = None
        for action, side, price, quantity, order_id in event:
            if action == TRADE:
                if trade is not None:
                    yield trade
                self._count(action, "a trade")
                trade = Trade(order_id, side == BID, price, quantity)
                auction = side == NO_SIDE
                if auction:
                    self.result.trades += 1
                    self.result.trades_not_asked[Cause.UNCROSS] += 1
                    trade = None
            elif action == FILL and trade is None:
                self._count(action, "names an order of an auction")
                self.result.fills_not_asked[Cause.UNCROSS] += 1
            elif action == FILL and trade is not None:
                if (side == BID) == trade.bid:
                    self._count(action, "names the aggressor")
                else:
                    self._count(action, "names a resting order")
                    trade.fills.append(Fill(order_id, price, quantity))
        if trade is not None:
            yield trade

    def _cause_against(self, trade: Trade) -> Cause | None:
        if sum(fill.quantity for fill in trade.fills) != trade.quantity:
            return Cause.NOT_NAMED
        if any(fill.maker not in self.book for fill in trade.fills):
            return Cause.UNKNOWN_MAKER
        return None

    def _enter(self, aggressor: Aggressor) -> None:
        """An aggressor trades: as a new order, or as one that rests already and is amended through the spread."""
        fills = aggressor.fills
        traded = sum(fill.quantity for fill in fills)
        for fill in fills:
            self._show_reserve(fill)
        for fill in fills:
            maker = self.book[fill.maker]
            maker.left -= fill.quantity
            maker.executed += fill.quantity
        order_id, rest = aggressor.order_id, aggressor.rest
        order = self.book.get(order_id)
        if order is None:
            kind = Kind.REST if rest else Kind.TAKE
            self._ask(kind, order_id, aggressor.bid, aggressor.price, traded + rest, aggressor)
            if rest:
                self.book[order_id] = Resting(aggressor.bid, aggressor.price, rest, traded)
            return
        self._ask(Kind.AMEND, order_id, order.bid, aggressor.price, order.executed + traded + rest, aggressor)
        order.price, order.left, order.executed = aggressor.price, rest, order.executed + traded
        if not rest:
            del self.book[order_id]

    def _show_reserve(self, fill: Fill) -> None:
        """An iceberg is filled for more than it shows: let it show all that it will need."""
        maker = self.book[fill.maker]
        if fill.quantity > maker.left:
            self.result.reserves_shown += 1
            maker.left = fill.quantity
            self._ask(Kind.AMEND, fill.maker, maker.bid, maker.price, maker.executed + maker.left)

    def _follow(self, row: Row, shown: dict[int, int]) -> None:
        """A record that is not an aggressor's. `shown`: what the recording shows of each order filled in this event."""
        action, side, price, quantity, order_id = row
        order = self.book.get(order_id)
        if action == CLEAR:
            self._count(action, "clears the book")
            for known in list(self.book):
                self._take_off(known, self.book[known].left)
        elif order is None and action in (ADD, MODIFY):
            self._count(action, "a new order")
            self._rest(order_id, side == BID, price, quantity)
        elif order is None:
            self._count(action, "of an order unknown")
        elif action == CANCEL:
            excess = quantity
            if order_id in shown:
                shown[order_id] = max(shown[order_id] - quantity, 0)
                excess = order.left - shown[order_id]
            self._count(action, "cancels" if excess > 0 else "books a fill")
            if excess > 0:
                self._take_off(order_id, excess)
        elif order_id in shown and (order.price, order.left) == (price, quantity):
            self._count(action, "books a fill")
        elif order.left == 0:
            self._count(action, "shows an iceberg's next part")
            self._rest(order_id, order.bid, price, quantity)
        else:
            self._count(action, "amends")
            self._amend(order_id, order, price, quantity)

    # The commands, and the book after them

    def _rest(self, order_id: int, bid: bool, price: int, quantity: int) -> None:
        self._ask(Kind.REST, order_id, bid, price, quantity)
        self.book[order_id] = Resting(bid, price, quantity)

    def _amend(self, order_id: int, order: Resting, price: int, quantity: int) -> None:
        """`quantity` is what is left to trade, as recorded; the exchange is told the total."""
        if (order.price, order.left) == (price, quantity):
            return
        order.price, order.left = price, quantity
        self._ask(Kind.AMEND, order_id, order.bid, price, order.executed + quantity)

    def _take_off(self, order_id: int, quantity: int) -> None:
        """Cancels an order, or a part of it: an exchange knows that as an amend to a smaller total."""
        order = self.book[order_id]
        if quantity >= order.left:
            self._ask(Kind.CANCEL, order_id, order.bid)
            del self.book[order_id]
        else:
            self._amend(order_id, order, order.price, order.left - quantity)

    def _ask(
        self, kind: Kind, order_id: int, bid: bool, price: int = 0, quantity: int = 0, by: Aggressor | None = None
    ) -> None:
        intention = Intention(kind, order_id, bid, price, quantity)
        if by is not None:
            intention.trades = [trade.fills for trade in by.trades]
        self.result.intentions.append(intention)

    def _count(self, action: bytes, taken_for: str) -> None:
        self.result.messages[action.decode(), taken_for] += 1

    def _number(self) -> int:
        self._nameless += 1
        return self._nameless


def opening_end(records: np.ndarray) -> int:
    """How many records make the opening book: the snapshot and, if trading begins with one, all up to the uncross."""
    snapshot = np.flatnonzero(records["flag_bits"] & FLAG_SNAPSHOT)
    end = int(snapshot[-1]) + 1 if len(snapshot) else 0
    trades = np.flatnonzero(records["action"] == TRADE)
    if len(trades) and records["side"][trades[0]] == NO_SIDE:
        last = np.flatnonzero(records["flag_bits"][trades[0] :] & FLAG_LAST)
        end = int(trades[0] + last[0]) + 1 if len(last) else len(records)
    return end


def _continues(aggressor: Aggressor, trade: Trade) -> bool:
    """Whether a trade is the same order's next one: same order, and at no better price for it."""
    if aggressor.bid != trade.bid:
        return False
    worse = trade.price >= aggressor.price if trade.bid else trade.price <= aggressor.price
    nameless = aggressor.order_id > NAMELESS and trade.order_id == 0
    return worse and (nameless or aggressor.order_id == trade.order_id)


def _rows(records: np.ndarray) -> Iterator[Row]:
    return zip(*(records[name].tolist() for name in ("action", "side", "price", "quantity", "order_id")), strict=True)


def _events(records: np.ndarray) -> Iterator[list[Row]]:
    """The records event by event: each ends with FLAG_LAST."""
    event: list[Row] = []
    for row, last in zip(_rows(records), (records["flag_bits"] & FLAG_LAST).tolist(), strict=True):
        event.append(row)
        if last:
            yield event
            event = []
    if event:
        yield event
