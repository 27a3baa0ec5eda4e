"""History stores for tests: the same one opened again and again, in either database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ringex.history.store.postgresql import PostgresqlStore
from ringex.history.store.sqlite import SqliteStore
from ringex.history.store.store import Store

Open = Callable[[bool], Store]
"""Opens the store; `True`: to write."""


@contextmanager
def opening(folder: Path, server_url: str = "") -> Iterator[Open]:
    """An at first empty store in `folder`, or at a PostgreSQL server. All that were opened are closed at the end."""
    opened: list[Store] = []

    def make(writes: bool) -> Store:
        if server_url:
            store: Store = PostgresqlStore(server_url, writes=writes)
        else:
            store = SqliteStore(folder / "history.db", writes=writes)
        opened.append(store)
        return store

    try:
        if server_url:
            make(True).clear()
        yield make
    finally:
        for store in opened:
            store.close()
