"""The store in SQLite: one file, in WAL mode, so that readers and the one writer do not wait for each other.

Readers hold back the checkpoints of the write-ahead log, so a read transaction is as short as its query. `sqlite3`
binds a NumPy integer as a blob without a word: rows must be of Python's own numbers.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ringex.history.store.migration import FoundTable
from ringex.history.store.schema import TABLES, Table
from ringex.history.store.store import Row, Store, StoreAway, StoreError, Value

CACHE_KIB: Final = 64 << 10
READER_CACHE_KIB: Final = 8 << 10
WAL_BYTES_KEPT: Final = 64 << 20
BUSY_SECONDS: Final = 5.0


class SqliteStore(Store):
    """The file at `path`. A reader never makes one, and cannot write."""

    def __init__(self, path: Path, *, writes: bool) -> None:
        self._path = path
        mode = "rwc" if writes else "ro"
        try:
            self._connection = sqlite3.connect(
                f"file:{path.as_posix().replace('?', '%3f').replace('#', '%23')}?mode={mode}",
                uri=True,
                isolation_level=None,
                timeout=BUSY_SECONDS,
                check_same_thread=False,
            )
        except sqlite3.OperationalError as error:
            raise StoreAway(f"{path}: {error}") from error
        with self._named():
            self._connection.execute(f"PRAGMA cache_size = -{CACHE_KIB if writes else READER_CACHE_KIB}")
            if writes:
                self._connection.execute("PRAGMA journal_mode = WAL")
                self._connection.execute("PRAGMA synchronous = NORMAL")
                self._connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES_KEPT}")

    def rows(self, statement: str, values: Sequence[Value] = ()) -> list[Row]:
        with self._named():
            return self._connection.execute(statement, values).fetchall()

    def execute(self, statement: str, rows: Iterable[Row] | None = None) -> None:
        with self._named():
            if rows is None:
                self._connection.execute(_without_rowid(statement))
            else:
                self._connection.executemany(statement, rows)

    @contextmanager
    def transaction(self, *, writes: bool) -> Iterator[None]:
        with self._named():
            self._connection.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
        try:
            yield
        except BaseException:
            with self._named():
                self._connection.execute("ROLLBACK")
            raise
        with self._named():
            self._connection.execute("COMMIT")

    def found_tables(self) -> dict[str, FoundTable]:
        names = {str(name) for (name,) in self.rows("SELECT name FROM sqlite_master WHERE type = 'table'")}
        return {table.name: self._found(table.name) for table in TABLES if table.name in names}

    def _found(self, name: str) -> FoundTable:
        described = self.rows(f"PRAGMA table_info({name})")  # number, name, type, not null, default, place in the key
        keyed = sorted((int(row[5]), str(row[1])) for row in described if row[5])
        indexes = {}
        for _, index, _, origin, _ in self.rows(f"PRAGMA index_list({name})"):
            if origin == "c":  # made by a statement of its own
                indexes[str(index)] = tuple(str(row[2]) for row in self.rows(f"PRAGMA index_info({index})"))
        kinds = {str(row[1]): "BIGINT" if row[2] == "INTEGER" else str(row[2]) for row in described}
        return FoundTable(kinds, tuple(column for _, column in keyed), indexes)

    def by_index(self, table: Table, column: str) -> str:
        """Without statistics SQLite would rather walk through a whole market's trades, in order, than an account's."""
        (number,) = (at for at, index in enumerate(table.indexes, 1) if index[0] == column)
        return f"INDEXED BY {table.name}_{number}"

    def take_time(self) -> None:
        """No statement is ever cut short here."""

    def sync(self) -> None:
        for path in (Path(f"{self._path}-wal"), self._path):
            if path.exists():
                descriptor = os.open(path, os.O_RDONLY)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)

    def close(self) -> None:
        self._connection.close()

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Errors of the database as the store's, with the file's name."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            kind = StoreAway if isinstance(error, sqlite3.OperationalError) else StoreError
            raise kind(f"{self._path}: {error}") from error


def _without_rowid(statement: str) -> str:
    """Tables by a key of several columns are clustered by it; one column that counts is SQLite's own row number."""
    if not statement.startswith("CREATE TABLE"):
        return statement
    head, _, key = statement.rpartition("PRIMARY KEY (")
    if "," in key:
        return statement + " WITHOUT ROWID"
    name = key.rstrip(")")
    return head.replace(f"{name} BIGINT NOT NULL", f"{name} INTEGER PRIMARY KEY").rstrip(", ") + ")"
