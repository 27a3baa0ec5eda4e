"""The store's tables: one description for all databases. Every column is a 64-bit integer or a text, none is null.

Amounts and prices count the units of their market or asset, as everywhere. The columns of `orders` are the fields of
the read model's ORDER records, so what is kept of an order is kept here too.

Measured with SQLite on a busy EPYC core, 600,000 rows of 13 columns, 5,000 accounts: with the key clustered (WITHOUT
ROWID) 125,000 rows/s and 0.06 ms for an account's rows in a market; with a row number and an index 207,000 rows/s and
0.12 ms. Orders, written more than once, have a row number, their id; trades are clustered by market.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from ringex.history.candles import CANDLE
from ringex.history.orders import ORDER
from ringex.history.prevented import PREVENTED_MATCH

VERSION: Final = 1
"""What the columns mean. Raise it where a column keeps its name and means something else: older stores are then told
anew from the journal. A column more or less, an index, a new table need no other version: see `migration`."""
NOT_STORED: Final = frozenset({"outdone_id", "previous_slot", "next_slot"})
"""Fields of ORDER that only mean something in the memory that they are in."""


@dataclass(frozen=True, eq=False)
class Table:
    """A table. Rows with a `key` that is there replace it, unless `merge` says how the two become one."""

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    texts: frozenset[str] = frozenset()
    indexes: tuple[tuple[str, ...], ...] = ()
    merge: Mapping[str, str] = field(default_factory=dict)
    """Column -> what it becomes, of `old.` and `new.` columns; the others stay as they are. Empty: all are replaced."""
    added: Mapping[str, int | str] = field(default_factory=dict)
    """Columns that were not there from the beginning -> what rows from before them have there."""
    dropped: frozenset[str] = frozenset()
    """Columns that older stores have, and that are not kept any more."""
    begins_empty: bool = False
    """Whether stores made before there was this table had nothing to keep in it."""

    def kinds(self) -> dict[str, str]:
        """The type of each column."""
        return {name: "TEXT" if name in self.texts else "BIGINT" for name in self.columns}

    def named_indexes(self) -> dict[str, tuple[str, ...]]:
        return {f"{self.name}_{number}": index for number, index in enumerate(self.indexes, 1)}

    def create(self) -> list[str]:
        """The statements that make it."""
        columns = ", ".join(f"{name} {kind} NOT NULL" for name, kind in self.kinds().items())
        made = [f"CREATE TABLE {self.name} ({columns}, PRIMARY KEY ({', '.join(self.key)}))"]
        return made + [self.create_index(name) for name in self.named_indexes()]

    def create_index(self, name: str) -> str:
        return f"CREATE INDEX {name} ON {self.name} ({', '.join(self.named_indexes()[name])})"

    def insert(self, source: str = "") -> str:
        """The statement that writes one row, `?` for each column; or all rows of another table, `source`."""
        names = ", ".join(self.columns)
        given = f"SELECT {names} FROM {source}" if source else f"VALUES ({', '.join('?' * len(self.columns))})"
        changes = dict(self.merge) or {name: f"new.{name}" for name in self.columns if name not in self.key}
        text = ", ".join(f"{name} = {_qualified(change, self.name)}" for name, change in changes.items())
        action = f"DO UPDATE SET {text}" if text else "DO NOTHING"
        return f"INSERT INTO {self.name} ({names}) {given} ON CONFLICT ({', '.join(self.key)}) {action}"


def _qualified(change: str, table: str) -> str:
    return change.replace("new.", "excluded.").replace("old.", f"{table}.")


ORDER_COLUMNS: Final = tuple(name for name in ORDER.names or () if name not in NOT_STORED)
_ORDER_TEXTS: Final = frozenset(name for name in ORDER_COLUMNS if ORDER[name].shape)

ORDERS: Final = Table(
    "orders",
    ORDER_COLUMNS,
    ("order_id",),
    _ORDER_TEXTS,
    (("account", "market", "order_id"), ("account", "client_order_id", "order_id"), ("created_ns", "order_id")),
    added={"strategy_id": 0, "strategy_type": 0, "order_list_id": 0},
    dropped=frozenset({"_pad"}),
)
TRADES: Final = Table(
    "trades",
    (
        "market",
        "trade_id",
        "sequence",
        "command_sequence",
        "time_ns",
        "aggregate_id",
        "price",
        "quantity",
        "quote_amount",
        "side",  # the taker's
        "taker_order_id",
        "maker_order_id",
        "taker_account",
        "maker_account",
        "taker_fee",
        "maker_fee",
        "taker_fee_asset",  # as in TRADE: 0: what was received; n: asset number n - 1
        "maker_fee_asset",
    ),
    ("market", "trade_id"),
    indexes=(
        ("market", "aggregate_id"),
        ("taker_account", "market", "trade_id"),
        ("maker_account", "market", "trade_id"),
        ("taker_order_id",),
        ("maker_order_id",),
    ),
)


def _larger(name: str) -> str:
    return f"CASE WHEN new.{name} > old.{name} THEN new.{name} ELSE old.{name} END"


def _smaller(name: str) -> str:
    return f"CASE WHEN new.{name} < old.{name} THEN new.{name} ELSE old.{name} END"


_SUMS: Final = ("volume", "quote_volume", "buy_volume", "buy_quote_volume")
_MASK: Final = (1 << 62) - 1
CANDLES: Final = Table(
    "candles",
    ("market", "span", *(name for name in CANDLE.names or () if name != "market")),
    ("market", "span", "open_ns"),
    merge={
        "high": _larger("high"),
        "low": _smaller("low"),
        "close": "new.close",
        "last_trade_id": "new.last_trade_id",
        **{name: f"(old.{name} + new.{name}) & {_MASK}" for name in _SUMS},
        **{f"{name}_high": f"old.{name}_high + new.{name}_high + ((old.{name} + new.{name}) >> 62)" for name in _SUMS},
    },
)
"""`span` is the number of its `Interval`. A row that is there is added to: what comes later in time follows it."""
BALANCES: Final = Table(
    "balances", ("account", "asset", "free", "locked", "withdrawing", "sequence"), ("account", "asset")
)
BOOKINGS: Final = Table(
    "bookings",
    (
        "sequence",
        "time_ns",
        "command_kind",
        "account",
        "asset",
        "amount",
        "held",
        "counterparty",
        "free",
        "locked",
        "reference",
    ),
    ("sequence",),
    frozenset({"reference"}),
    (("account", "sequence"), ("account", "reference")),
)
AMENDMENTS: Final = Table(
    "amendments",
    (
        "execution_id",
        "order_id",
        "account",
        "market",
        "time_ns",
        "client_order_id",
        "original_client_order_id",
        "price",
        "quantity",
        "quantity_before",
    ),
    ("execution_id",),
    frozenset({"client_order_id", "original_client_order_id"}),
    (("order_id", "execution_id"),),
)
PREVENTED: Final = Table(
    "prevented",
    tuple(PREVENTED_MATCH.names or ()),
    ("market", "prevented_match_id"),
    indexes=(("taker_order_id", "prevented_match_id"), ("maker_order_id", "prevented_match_id")),
)
ASSETS: Final = Table("assets", ("asset", "name", "scale"), ("asset",), frozenset({"name"}))
MARKETS: Final = Table(
    "markets",
    ("market", "symbol", "base_asset", "quote_asset", "price_scale", "quantity_scale"),
    ("market",),
    frozenset({"symbol"}),
)
ACCOUNTS: Final = Table("accounts", ("account", "name", "parent"), ("account",), frozenset({"name"}))
"""What the numbers in the other tables mean, so that the store can be read by itself."""
GAPS: Final = Table("gaps", ("after_sequence", "until_sequence", "after_ns", "until_ns"), ("after_sequence",))
"""Stretches of events that were lost to the store: nobody held them any more."""
PROGRESS: Final = Table(
    "progress", ("one", "version", "event_sequence", "command_sequence", "time_ns", "shape"), ("one",)
)
"""One row: the last event that the tables hold, and which tables these are."""

TABLES: Final = (
    *(ORDERS, TRADES, CANDLES, BALANCES, BOOKINGS, AMENDMENTS, PREVENTED),
    *(ASSETS, MARKETS, ACCOUNTS, GAPS, PROGRESS),
)


def shape() -> int:
    """A number of these tables: a store that was made with others is brought to these before it is used."""
    text = repr([(table.name, table.kinds(), table.key, table.indexes) for table in TABLES])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=7).digest(), "little")


def order_rows(records: np.ndarray) -> list[tuple[int | str, ...]]:
    """ORDER records as rows of `orders`."""
    columns: list[list[int | str]] = []
    for name in ORDER_COLUMNS:
        column = np.ascontiguousarray(records[name])
        if name in _ORDER_TEXTS:
            columns.append(
                [text.decode("ascii") for text in column.view(f"S{column[0].nbytes}").ravel().tolist()]
                if len(column)
                else []
            )
        else:
            columns.append(column.tolist())
    return list(zip(*columns, strict=True))


def order_records(rows: list[tuple[int | str, ...]]) -> np.ndarray:
    """Rows of `orders` as ORDER records."""
    records = np.zeros(len(rows), ORDER)
    for name, column in zip(ORDER_COLUMNS, zip(*rows, strict=True), strict=True) if rows else ():
        if name in _ORDER_TEXTS:
            words = records[name].shape[1]
            packed = np.array([str(text).encode("ascii") for text in column], f"S{words * 8}")
            records[name] = packed.view("<u8").reshape(-1, words)
        else:
            records[name] = column
    return records
