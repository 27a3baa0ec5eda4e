"""`ringex history export`: the store's tables as Parquet files, for analysis in whatever reads them.

Prices, quantities and amounts are decimal128(38, 18): exact, whatever a market's scale is. Times are nanoseconds in
UTC. Numbers of assets, markets and accounts are written out as their names, enums as the dialect's words.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from enum import IntEnum
from pathlib import Path
from typing import Any, Final

from ringex.history.candles import WORD
from ringex.history.intervals import Interval
from ringex.history.store.schema import ACCOUNTS, ASSETS, BALANCES, CANDLES, MARKETS, ORDERS, TRADES, Table
from ringex.history.store.store import TIME_MAX, Row, Store
from ringex.terms import OrderStatus, OrderType, SelfTradePrevention, Side, TimeInForce

SCALE: Final = 18
DIGITS: Final = 38
_EXACT: Final = Context(prec=100)
_SUMS: Final = ("volume", "quote_volume", "buy_volume", "buy_quote_volume")
_TIMES: Final = frozenset({"created_ns", "updated_ns", "working_ns", "time_ns", "open_ns", "end_ns"})
_ENUMS: Final[dict[str, type[IntEnum]]] = {
    "side": Side,
    "order_type": OrderType,
    "time_in_force": TimeInForce,
    "status": OrderStatus,
    "self_trade_prevention": SelfTradePrevention,
}
_PRICES: Final = frozenset({"price", "stop_price", "open", "high", "low", "close"})
_QUANTITIES: Final = frozenset(
    {"quantity", "executed_quantity", "prevented_quantity", "iceberg_quantity", "volume", "buy_volume"}
)
_QUOTES: Final = frozenset({"executed_quote", "quote_quantity", "quote_amount", "quote_volume", "buy_quote_volume"})


class ExportError(Exception):
    """The export cannot be made; the message says why."""


@dataclass(frozen=True)
class _Names:
    """What numbers mean."""

    assets: dict[int, tuple[str, int]]
    markets: dict[int, tuple[str, int, int, int, int]]
    accounts: dict[int, str]

    @classmethod
    def of(cls, store: Store) -> _Names:
        def rows(table: Table) -> list[Row]:
            return [row for page in store.every(table) for row in page]

        return cls(
            assets={int(number): (str(name), int(scale)) for number, name, scale in rows(ASSETS)},
            markets={
                int(row[0]): (str(row[1]), int(row[2]), int(row[3]), int(row[4]), int(row[5])) for row in rows(MARKETS)
            },
            accounts={int(row[0]): str(row[1]) for row in rows(ACCOUNTS)},
        )

    def scale(self, column: str, market: int) -> int | None:
        """The scale of an amount in this column, in the market; None: it is none."""
        _, _, quote, price_scale, quantity_scale = self.markets[market]
        if column in _PRICES:
            return price_scale
        if column in _QUANTITIES:
            return quantity_scale
        return self.assets[quote][1] if column in _QUOTES else None


def export(store: Store, folder: Path, start_ns: int = 0, end_ns: int = TIME_MAX) -> dict[str, int]:
    """Write orders (created), trades and candles (begun) with start_ns <= time < end_ns, and all balances as they are.

    How many rows each file has. Raises ExportError, OSError; StoreError.
    """
    try:
        import pyarrow as arrow
        from pyarrow import parquet
    except ImportError as error:
        raise ExportError("Parquet needs pyarrow: pip install 'ringex[history]'") from error
    folder.mkdir(parents=True, exist_ok=True)
    written: dict[str, int] = {}
    with store.transaction(writes=False):
        names = _Names.of(store)
        for table, time, shown in (
            (ORDERS, "created_ns", _order_columns),
            (TRADES, "time_ns", _trade_columns),
            (CANDLES, "open_ns", _candle_columns),
            (BALANCES, "", _balance_columns),
        ):
            where, values = (f"{time} >= ? AND {time} < ?", [start_ns, end_ns]) if time else ("", [])
            path = folder / f"{table.name}.parquet"
            partial = path.with_suffix(".parquet.tmp")
            columns, schema = _schema(arrow, table, shown)
            count = 0
            with parquet.ParquetWriter(partial, schema, compression="zstd") as writer:
                for rows in store.every(table, where, values):
                    made = columns(rows, names)
                    writer.write_table(arrow.table(made, schema=schema))
                    count += len(rows)
            partial.rename(path)
            written[table.name] = count
    return written


Columns = Callable[[Sequence[Row], _Names], dict[str, list[Any]]]


def _schema(arrow: Any, table: Table, shown: Columns) -> tuple[Columns, Any]:
    """How a table's rows become columns, and of which types these are."""
    names = list(shown([], _Names({}, {}, {})))
    amounts = _PRICES | _QUANTITIES | _QUOTES | {"free", "locked", "withdrawing", "taker_fee", "maker_fee"}
    texts = table.texts | set(_ENUMS) | {"symbol", "account", "asset", "interval"}
    texts |= {"taker_account", "maker_account", "taker_fee_asset", "maker_fee_asset"}
    fields = []
    for name in names:
        if name in amounts:
            kind = arrow.decimal128(DIGITS, SCALE)
        elif name in _TIMES:
            kind = arrow.timestamp("ns", tz="UTC")
        else:
            kind = arrow.string() if name in texts else arrow.int64()
        fields.append(arrow.field(name, kind))
    return shown, arrow.schema(fields)


def _by_column(table: Table, rows: Sequence[Row]) -> dict[str, list[Any]]:
    columns = zip(*rows, strict=True) if rows else ((),) * len(table.columns)
    return {name: list(column) for name, column in zip(table.columns, columns, strict=True)}


def _order_columns(rows: Sequence[Row], names: _Names) -> dict[str, list[Any]]:
    return _of_markets(_by_column(ORDERS, rows), names)


def _trade_columns(rows: Sequence[Row], names: _Names) -> dict[str, list[Any]]:
    given = _by_column(TRADES, rows)
    for role in ("taker", "maker"):
        assets = []
        for market, side, told in zip(given["market"], given["side"], given[f"{role}_fee_asset"], strict=True):
            bought = (side == Side.BUY) == (role == "taker")
            received = names.markets[market][1 if bought else 2]
            assets.append(names.assets[int(told) - 1 if told else int(received)])
        fees = zip(given[f"{role}_fee"], assets, strict=True)
        given[f"{role}_fee"] = [_decimal(fee, scale) for fee, (_, scale) in fees]
        given[f"{role}_fee_asset"] = [name for name, _ in assets]
    return _of_markets(given, names)


def _candle_columns(rows: Sequence[Row], names: _Names) -> dict[str, list[Any]]:
    given = _by_column(CANDLES, rows)
    for name in _SUMS:
        high = given.pop(f"{name}_high")
        given[name] = [low + word * WORD for low, word in zip(given[name], high, strict=True)]
    given = {"market": given.pop("market"), "interval": [Interval(span).text for span in given.pop("span")], **given}
    return _of_markets(given, names)


def _balance_columns(rows: Sequence[Row], names: _Names) -> dict[str, list[Any]]:
    given = _by_column(BALANCES, rows)
    scales = [names.assets[asset][1] for asset in given["asset"]]
    for name in ("free", "locked", "withdrawing"):
        given[name] = [_decimal(value, scale) for value, scale in zip(given[name], scales, strict=True)]
    given["asset"] = [names.assets[asset][0] for asset in given["asset"]]
    given["account"] = [names.accounts[account] for account in given["account"]]
    return given


def _of_markets(given: dict[str, list[Any]], names: _Names) -> dict[str, list[Any]]:
    """Amounts as decimals, numbers and enums as words, times that are none as nothing."""
    markets = given.pop("market")
    shown: dict[str, list[Any]] = {"symbol": [names.markets[market][0] for market in markets]}
    for name, values in given.items():
        if name in _PRICES | _QUANTITIES | _QUOTES:
            shown[name] = [_decimal(value, names.scale(name, m)) for value, m in zip(values, markets, strict=True)]
        elif name in _ENUMS:
            kind = _ENUMS[name]
            shown[name] = [kind(value).name if value in list(kind) else None for value in values]
        elif name in ("account", "taker_account", "maker_account"):
            shown[name] = [names.accounts[value] for value in values]
        elif name == "working_ns":
            shown[name] = [value or None for value in values]
        else:
            shown[name] = values
    return shown


def _decimal(value: int, scale: int | None) -> Decimal:
    assert scale is not None
    exact = Decimal(value).scaleb(-scale, _EXACT)
    if abs(value) * 10 ** (SCALE - scale) >= 10**DIGITS:
        raise ExportError(f"{exact} does not fit decimal128({DIGITS}, {SCALE})")
    return exact
