"""Migration: the tables of an older store brought to this version's, where what they hold suffices for it.

A column that has come is filled with the value that `Table.added` gives for rows from before it, one that has gone
(`Table.dropped`) is taken away, indexes are made as they now are, and a table whose rows there were none of before
(`Table.begins_empty`) is made. Anything else (another key, another type, a column without such a value, another
VERSION) only the journal can fill: `StoreOutdated`. A table or column that this version has never heard of is a newer
version's, and is never touched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ringex.history.store.schema import PROGRESS, TABLES, VERSION, Table, shape


class StoreOutdated(Exception):
    """The store's tables cannot become this version's by themselves; the message says why."""


class StoreNewer(Exception):
    """The store's tables are of a newer version; the message says by what."""


@dataclass(frozen=True)
class FoundTable:
    """A table as a database has it."""

    columns: Mapping[str, str]
    """Name -> `TEXT` or `BIGINT`."""
    key: tuple[str, ...]
    indexes: Mapping[str, tuple[str, ...]]


def migration(found: Mapping[str, FoundTable], version: int, tables: Sequence[Table] = TABLES) -> list[str]:
    """The statements that make the tables `found`, of a store of `version`, those of this version.

    Raises StoreOutdated, StoreNewer.
    """
    if version > VERSION:
        raise StoreNewer(f"it is of version {version}, this one's is {VERSION}")
    statements: list[str] = []
    for table in tables:
        there = found.get(table.name)
        if there is not None:
            statements += _changes(table, there)
        elif table.begins_empty:
            statements += table.create()
        else:
            raise StoreOutdated(f"it has no table {table.name}")
    if version != VERSION:
        raise StoreOutdated(f"it is of version {version}, and what its columns mean has changed since")
    return [*statements, f"UPDATE {PROGRESS.name} SET shape = {shape()}"]


def _changes(table: Table, there: FoundTable) -> list[str]:
    wanted = table.kinds()
    unknown = sorted(there.columns.keys() - wanted.keys() - table.dropped)
    if unknown:
        raise StoreNewer(f"its table {table.name} has a column {unknown[0]}")
    if there.key != table.key:
        raise StoreOutdated(f"its table {table.name} has the key ({', '.join(there.key)})")
    for name, kind in wanted.items():
        if name not in there.columns and name not in table.added:
            raise StoreOutdated(f"its table {table.name} has no column {name}")
        if there.columns.get(name, kind) != kind:
            raise StoreOutdated(f"the column {name} of its table {table.name} is {there.columns[name]}, not {kind}")
    indexes = table.named_indexes()
    statements = [f"DROP INDEX {name}" for name, columns in there.indexes.items() if indexes.get(name) != columns]
    statements += [f"ALTER TABLE {table.name} DROP COLUMN {name}" for name in there.columns if name not in wanted]
    for name, kind in wanted.items():
        if name not in there.columns:
            value = table.added[name]
            default = "'{}'".format(value.replace("'", "''")) if isinstance(value, str) else str(value)
            statements.append(f"ALTER TABLE {table.name} ADD COLUMN {name} {kind} NOT NULL DEFAULT {default}")
    return statements + [
        table.create_index(name) for name, columns in indexes.items() if there.indexes.get(name) != columns
    ]
