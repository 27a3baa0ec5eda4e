"""Which store: SQLite in the data directory, or what `[history] url` names."""

from __future__ import annotations

from ringex.config import Settings
from ringex.history.store.postgresql import PostgresqlStore
from ringex.history.store.sqlite import SqliteStore
from ringex.history.store.store import Store


def open_store(settings: Settings, *, writes: bool) -> Store:
    """The settings' store. Raises StoreAway, StoreError."""
    if settings.history_url:
        return PostgresqlStore(settings.history_url, writes=writes)
    return SqliteStore(settings.history_path, writes=writes)
