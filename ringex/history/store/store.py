"""What a store is: rows go in with the number of the event up to which they tell, in one transaction or not at all;
queries see one moment of it, and are told which. The statements are the same for every database.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Final, TypeVar

from ringex.history.candles import WORD, Candle
from ringex.history.intervals import Interval
from ringex.history.store.migration import FoundTable, StoreNewer, migration
from ringex.history.store.schema import (
    AMENDMENTS,
    BOOKINGS,
    CANDLES,
    ORDER_COLUMNS,
    PREVENTED,
    PROGRESS,
    TABLES,
    TRADES,
    VERSION,
    Table,
    shape,
)

Value = int | str
Row = tuple[Value, ...]
Answer = TypeVar("Answer")
VALUES_PER_STATEMENT_MAX: Final = 500
TIME_MAX: Final = (1 << 63) - 1
ID_MAX: Final = (1 << 63) - 1

log = logging.getLogger(__name__)


class StoreError(Exception):
    """The store cannot be used; the message says why, and what would help."""


class StoreAway(StoreError):
    """The store cannot be reached now: it is not there yet, or its server is away. Ask again."""


@dataclass(frozen=True)
class Progress:
    """How far a store is: its last event, the command of that and its time. All zero: it is empty."""

    event_sequence: int = 0
    command_sequence: int = 0
    time_ns: int = 0


@dataclass
class Batch:
    """Rows by table, and how far the store is with them."""

    progress: Progress
    rows: dict[Table, list[Row]] = field(default_factory=dict)


class Store(ABC):
    """One connection, used by one thread at a time. Where the server is away its methods raise StoreAway."""

    # What each database does in its own way

    @abstractmethod
    def rows(self, statement: str, values: Sequence[Value] = ()) -> list[Row]:
        """The rows that a query gives; `?` in it stands for a value."""

    @abstractmethod
    def execute(self, statement: str, rows: Iterable[Row] | None = None) -> None:
        """Run a statement, once or for each of `rows`."""

    @abstractmethod
    def transaction(self, *, writes: bool) -> AbstractContextManager[None]:
        """All or nothing, and of one moment."""

    @abstractmethod
    def found_tables(self) -> Mapping[str, FoundTable]:
        """The tables that there are, of those that this version knows, by name."""

    @abstractmethod
    def take_time(self) -> None:
        """Within a transaction: let its statements take as long as they need."""

    @abstractmethod
    def sync(self) -> None:
        """Return once what has been written is on disk."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the database. May be called again."""

    def insert(self, table: Table, rows: list[Row]) -> None:
        """Write rows, within a transaction; no two of them have the same key."""
        self.execute(table.insert(), rows)

    # What all do alike

    def prepare(self) -> None:
        """Make the tables where there are none, and bring those of an older version to this one's, all or nothing.

        Raises StoreOutdated where only the journal can fill this version's, StoreError where a newer version made them.
        """
        with self.transaction(writes=True):
            found = self.found_tables()
            if PROGRESS.name not in found:
                for table in TABLES:
                    for statement in table.create():
                        self.execute(statement)
                self.execute(PROGRESS.insert(), [(1, VERSION, 0, 0, 0, shape())])
            elif (made := self._made_by()) != (VERSION, shape()):
                self._migrate(found, made[0])

    def _migrate(self, found: Mapping[str, FoundTable], version: int) -> None:
        try:
            statements = migration(found, version)
        except StoreNewer as newer:
            raise StoreError(
                f"a newer version made the history store: {newer}; start that version, or a newer"
            ) from newer
        log.warning("the history store is brought to this version's tables: %d changes", len(statements) - 1)
        self.take_time()
        for statement in statements:
            self.execute(statement)

    def _made_by(self) -> tuple[int, int]:
        """(version, shape)"""
        ((version, found),) = self.rows(f"SELECT version, shape FROM {PROGRESS.name}")
        return int(version), int(found)

    def check(self) -> None:
        """Raises StoreAway where there are no tables, or not those of this version: the history process makes them."""
        if PROGRESS.name not in self.found_tables():
            raise StoreAway("the history store has no tables yet: the history process makes them")
        if (made := self._made_by()) != (VERSION, shape()):
            raise StoreAway(
                f"the history store was made by another version ({made[0]}, {made[1]}), this one's is "
                f"({VERSION}, {shape()}): `ringex start` brings an older one to this version"
            )

    def clear(self) -> None:
        """Remove the tables with all that is in them."""
        with self.transaction(writes=True):
            for table in TABLES:
                self.execute(f"DROP TABLE IF EXISTS {table.name}")

    def write(self, batch: Batch) -> None:
        """Write a batch, whole."""
        told = batch.progress
        with self.transaction(writes=True):
            for table, rows in batch.rows.items():
                if rows:
                    self.insert(table, rows)
            row = (1, VERSION, told.event_sequence, told.command_sequence, told.time_ns, shape())
            self.execute(PROGRESS.insert(), [row])

    def read(self, ask: Callable[[Store], Answer]) -> tuple[Progress, Answer]:
        """What `ask` finds, and how far the store was then."""
        with self.transaction(writes=False):
            return self.progress(), ask(self)

    def progress(self) -> Progress:
        ((event, command, time_ns),) = self.rows(
            f"SELECT event_sequence, command_sequence, time_ns FROM {PROGRESS.name}"
        )
        return Progress(int(event), int(command), int(time_ns))

    # Orders

    def order(self, order_id: int) -> Row | None:
        return self._first(f"{_ORDERS} WHERE order_id = ?", (order_id,))

    def order_of_client(self, account: int, client_order_id: str) -> Row | None:
        """The account's youngest order of that client order id."""
        where = "WHERE account = ? AND client_order_id = ? ORDER BY order_id DESC LIMIT 1"
        return self._first(f"{_ORDERS} {where}", (account, client_order_id))

    def orders_from(self, account: int, market: int, order_id: int, count: int, until_id: int = ID_MAX) -> list[Row]:
        """The account's orders in the market from `order_id` on, before `until_id`, oldest first."""
        where = "WHERE account = ? AND market = ? AND order_id >= ? AND order_id < ? ORDER BY order_id LIMIT ?"
        return self.rows(f"{_ORDERS} {where}", (account, market, order_id, until_id, count))

    def last_orders(self, account: int, market: int, count: int, until_id: int = ID_MAX) -> list[Row]:
        """The account's last orders in the market before `until_id`, oldest first."""
        where = "WHERE account = ? AND market = ? AND order_id < ? ORDER BY order_id DESC LIMIT ?"
        return self.rows(f"{_ORDERS} {where}", (account, market, until_id, count))[::-1]

    def first_order_since(self, time_ns: int) -> int:
        """The id of the first order of the whole exchange that was created at `time_ns` or later; ID_MAX: none."""
        found = self._first(
            "SELECT order_id FROM orders WHERE created_ns >= ? ORDER BY created_ns, order_id LIMIT 1", (time_ns,)
        )
        return int(found[0]) if found else ID_MAX

    # Trades

    def trades_from(self, market: int, trade_id: int, count: int) -> list[Row]:
        where = "WHERE market = ? AND trade_id >= ? ORDER BY trade_id LIMIT ?"
        return self.rows(f"{_TRADES} {where}", (market, trade_id, count))

    def last_trades(self, market: int, count: int) -> list[Row]:
        """Oldest first."""
        where = "WHERE market = ? ORDER BY trade_id DESC LIMIT ?"
        return self.rows(f"{_TRADES} {where}", (market, count))[::-1]

    def trades_of_aggregates(self, market: int, first_id: int, end_id: int) -> list[Row]:
        """All trades of the aggregates `first_id` .. `end_id` - 1, oldest first."""
        where = "WHERE market = ? AND aggregate_id >= ? AND aggregate_id < ? ORDER BY trade_id"
        return self.rows(f"{_TRADES} {where}", (market, first_id, end_id))

    def aggregates(
        self, market: int, first_id: int, count: int, start_ns: int = 0, end_ns: int = TIME_MAX
    ) -> list[Row]:
        """(aggregate id, first and last trade id, price, quantity, time, taker's side), oldest first."""
        where = "WHERE market = ? AND aggregate_id >= ? AND time_ns >= ? AND time_ns < ?"
        return self.rows(
            f"SELECT aggregate_id, MIN(trade_id), MAX(trade_id), MIN(price), {self.sum_of('quantity')}, MIN(time_ns), "
            f"MIN(side) FROM trades {where} GROUP BY aggregate_id ORDER BY aggregate_id LIMIT ?",
            (market, first_id, start_ns, end_ns, count),
        )

    def by_index(self, table: Table, column: str) -> str:
        """How to say that a query must go by the index that begins with `column`, where the database needs telling."""
        return ""

    def sum_of(self, column: str) -> str:
        """How to write the sum of a column whose sum fits 63 bits."""
        return f"SUM({column})"

    def last_aggregates(self) -> list[Row]:
        """Of each market's last trade: (market, aggregate id, command sequence, taker's order id, price)."""
        return self.rows(
            "SELECT t.market, t.aggregate_id, t.command_sequence, t.taker_order_id, t.price FROM trades t JOIN "
            "(SELECT market, MAX(last_trade_id) AS last FROM candles WHERE span = ? GROUP BY market) m "
            "ON t.market = m.market AND t.trade_id = m.last",
            (int(Interval.MONTH_1),),
        )

    def last_trade_id(self, market: int) -> int:
        """0: none."""
        found = self._first("SELECT trade_id FROM trades WHERE market = ? ORDER BY trade_id DESC LIMIT 1", (market,))
        return int(found[0]) if found else 0

    def last_aggregate_id(self, market: int) -> int:
        """0: none."""
        where = "WHERE market = ? ORDER BY aggregate_id DESC LIMIT 1"
        found = self._first(f"SELECT aggregate_id FROM trades {where}", (market,))
        return int(found[0]) if found else 0

    def aggregate_of(self, market: int, trade_id: int) -> int:
        """The aggregate id of the first trade from `trade_id` on; ID_MAX: there is none."""
        where = "WHERE market = ? AND trade_id >= ? ORDER BY trade_id LIMIT 1"
        found = self._first(f"SELECT aggregate_id FROM trades {where}", (market, trade_id))
        return int(found[0]) if found else ID_MAX

    def first_trade_since(self, market: int, time_ns: int) -> int:
        """The id of the market's first trade at `time_ns` or later; ID_MAX: there is none."""
        second = time_ns - time_ns % 1_000_000_000
        where = "WHERE market = ? AND span = ? AND open_ns >= ? ORDER BY open_ns LIMIT 1"
        found = self._first(f"SELECT first_trade_id FROM candles {where}", (market, int(Interval.SECOND_1), second))
        if not found:
            return ID_MAX
        where = "WHERE market = ? AND trade_id >= ? AND time_ns >= ? ORDER BY trade_id LIMIT 1"
        found = self._first(f"SELECT trade_id FROM trades {where}", (market, found[0], time_ns))
        return int(found[0]) if found else ID_MAX

    def fills_from(self, account: int, market: int, first_id: int, end_id: int, count: int) -> list[Row]:
        """The market's trades `first_id` .. `end_id` - 1 that the account had a part in, oldest first."""
        return self._fills(account, market, first_id, end_id, count, "ASC")

    def last_fills(self, account: int, market: int, first_id: int, end_id: int, count: int) -> list[Row]:
        """The last ones of those, oldest first."""
        return self._fills(account, market, first_id, end_id, count, "DESC")[::-1]

    def fills_of_order(self, order_id: int, first_id: int, count: int) -> list[Row]:
        """The trades, from `first_id` on, that the order had a part in, oldest first."""
        halves = [
            f"SELECT * FROM ({_TRADES} WHERE {role}_order_id = ? AND trade_id >= ? ORDER BY trade_id LIMIT ?) {role}s"
            for role in ("taker", "maker")
        ]
        values = (order_id, first_id, count) * 2
        return self.rows(f"{' UNION '.join(halves)} ORDER BY trade_id LIMIT ?", (*values, count))

    def _fills(self, account: int, market: int, first_id: int, end_id: int, count: int, order: str) -> list[Row]:
        halves = [
            f"SELECT * FROM ({_TRADES} {self.by_index(TRADES, role + '_account')} WHERE {role}_account = ? "
            f"AND market = ? AND trade_id >= ? AND trade_id < ? ORDER BY trade_id {order} LIMIT ?) {role}s"
            for role in ("taker", "maker")
        ]
        values = (account, market, first_id, end_id, count) * 2
        return self.rows(f"{' UNION '.join(halves)} ORDER BY trade_id {order} LIMIT ?", (*values, count))

    # Candles

    def candles(self, market: int, interval: Interval, start_ns: int, end_ns: int, count: int) -> list[Candle]:
        """Those that begin in [start_ns, end_ns), the first `count`, oldest first."""
        return self._candles(market, interval, start_ns, end_ns, count, "ASC")

    def last_candles(self, market: int, interval: Interval, start_ns: int, end_ns: int, count: int) -> list[Candle]:
        """The last `count` that begin in [start_ns, end_ns), oldest first."""
        return self._candles(market, interval, start_ns, end_ns, count, "DESC")[::-1]

    def close_before(self, market: int, interval: Interval, open_ns: int) -> int:
        """The last price before the candle that begins at `open_ns`; 0: nothing was traded before."""
        where = "WHERE market = ? AND span = ? AND open_ns < ? ORDER BY open_ns DESC LIMIT 1"
        found = self._first(f"SELECT close FROM candles {where}", (market, int(interval), open_ns))
        return int(found[0]) if found else 0

    def first_open(self, market: int, interval: Interval, start_ns: int) -> int:
        """When the market's first candle at `start_ns` or later begins; TIME_MAX: there is none."""
        where = "WHERE market = ? AND span = ? AND open_ns >= ? ORDER BY open_ns LIMIT 1"
        found = self._first(f"SELECT open_ns FROM candles {where}", (market, int(interval), start_ns))
        return int(found[0]) if found else TIME_MAX

    def _candles(
        self, market: int, interval: Interval, start_ns: int, end_ns: int, count: int, order: str
    ) -> list[Candle]:
        where = "WHERE market = ? AND span = ? AND open_ns >= ? AND open_ns < ?"
        statement = f"SELECT {', '.join(CANDLES.columns[2:])} FROM candles {where} ORDER BY open_ns {order} LIMIT ?"
        values = (market, int(interval), start_ns, end_ns, count)
        return [candle_of_row([int(value) for value in row]) for row in self.rows(statement, values)]

    # Others

    def bookings(
        self, account: int, kinds: Sequence[int], asset: int | None, start_ns: int, end_ns: int, skip: int, count: int
    ) -> list[Row]:
        """Rows of `bookings` by commands of these kinds with start_ns <= time < end_ns, newest first."""
        marks = ", ".join("?" * len(kinds))
        where = f"WHERE account = ? AND command_kind IN ({marks}) AND time_ns >= ? AND time_ns < ?"
        values: list[Value] = [account, *kinds, start_ns, end_ns]
        if asset is not None:
            where, values = f"{where} AND asset = ?", [*values, asset]
        return self.rows(
            f"SELECT {', '.join(BOOKINGS.columns)} FROM bookings {where} ORDER BY sequence DESC LIMIT ? OFFSET ?",
            (*values, count, skip),
        )

    def bookings_of(self, account: int, references: Sequence[str]) -> list[Row]:
        """All rows of `bookings` of the account with these references, oldest first."""
        found: list[Row] = []
        for start in range(0, len(references), VALUES_PER_STATEMENT_MAX):
            part = references[start : start + VALUES_PER_STATEMENT_MAX]
            where = f"WHERE account = ? AND reference IN ({', '.join('?' * len(part))}) ORDER BY sequence"
            found += self.rows(f"SELECT {', '.join(BOOKINGS.columns)} FROM bookings {where}", (account, *part))
        return found

    def amendments(self, order_id: int, execution_id: int, count: int) -> list[Row]:
        """Rows of `amendments` of the order from `execution_id` on, oldest first."""
        where = "WHERE order_id = ? AND execution_id >= ? ORDER BY execution_id LIMIT ?"
        return self.rows(
            f"SELECT {', '.join(AMENDMENTS.columns)} FROM amendments {where}", (order_id, execution_id, count)
        )

    def prevented_match(self, market: int, prevented_match_id: int) -> list[Row]:
        """The row of `prevented` with this number, if there is one."""
        where = "WHERE market = ? AND prevented_match_id = ?"
        return self.rows(f"{_PREVENTED} {where}", (market, prevented_match_id))

    def prevented_of_order(self, order_id: int, first_id: int, count: int) -> list[Row]:
        """Rows of `prevented` from `first_id` on that the order had a part in, oldest first."""
        halves = [
            f"SELECT * FROM ({_PREVENTED} WHERE {role}_order_id = ? AND prevented_match_id >= ? "
            f"ORDER BY prevented_match_id LIMIT ?) {role}s"
            for role in ("taker", "maker")
        ]
        values = (order_id, first_id, count) * 2
        return self.rows(f"{' UNION '.join(halves)} ORDER BY prevented_match_id LIMIT ?", (*values, count))

    def quantities(self, order_ids: Sequence[int]) -> Mapping[int, int]:
        """What each of these orders, as stored, asks for without what was prevented; unknown ones are left out."""
        found: dict[int, int] = {}
        for start in range(0, len(order_ids), VALUES_PER_STATEMENT_MAX):
            part = order_ids[start : start + VALUES_PER_STATEMENT_MAX]
            marks = ", ".join("?" * len(part))
            statement = f"SELECT order_id, quantity - prevented_quantity FROM orders WHERE order_id IN ({marks})"
            found |= {int(order_id): int(quantity) for order_id, quantity in self.rows(statement, part)}
        return found

    def gaps(self) -> list[Row]:
        """(after_sequence, until_sequence, after_ns, until_ns), oldest first."""
        return self.rows("SELECT after_sequence, until_sequence, after_ns, until_ns FROM gaps ORDER BY after_sequence")

    def every(
        self, table: Table, where: str = "", values: Sequence[Value] = (), page: int = 10_000
    ) -> Iterator[list[Row]]:
        """All rows of a table in the order of its key, in pages."""
        key, last = ", ".join(table.key), None
        while True:
            terms, bound = ([f"({where})"] if where else []), list(values)
            if last is not None:
                terms.append(f"({key}) > ({', '.join('?' * len(table.key))})")
                bound += last
            condition = f"WHERE {' AND '.join(terms)}" if terms else ""
            rows = self.rows(
                f"SELECT {', '.join(table.columns)} FROM {table.name} {condition} ORDER BY {key} LIMIT ?",
                (*bound, page),
            )
            if rows:
                yield rows
            if len(rows) < page:
                return
            last = [rows[-1][table.columns.index(name)] for name in table.key]

    def _first(self, statement: str, values: Sequence[Value]) -> Row | None:
        rows = self.rows(statement, values)
        return rows[0] if rows else None


_ORDERS: Final = f"SELECT {', '.join(ORDER_COLUMNS)} FROM orders"
_PREVENTED: Final = f"SELECT {', '.join(PREVENTED.columns)} FROM prevented"
_TRADES: Final = f"SELECT {', '.join(TRADES.columns)} FROM trades"


def candle_of_row(values: Sequence[int]) -> Candle:
    """A row of `candles` without its key's first two columns, the words of its sums joined."""
    sums = (low + high * WORD for low, high in zip(values[8:12], values[12:16], strict=True))
    return Candle(*values[:8], *sums)
