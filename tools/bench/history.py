"""The history store: how fast events become rows in it, and how long a page of an account's past takes.

The floor of the first is SQLite's own: the same rows, made before, into tables of the same columns without indexes.
"""

from __future__ import annotations

import sqlite3
import time
from functools import partial
from pathlib import Path

import numpy as np

from ringex.engine.library import Batches
from ringex.engine.state import State
from ringex.history.readmodel import ReadModel
from ringex.history.store.extract import Extractor
from ringex.history.store.sqlite import SqliteStore
from ringex.history.store.store import ID_MAX, Batch, Store
from ringex.jit import compile_ahead
from ringex.messages import EVENT

from .exchange import limits, setup
from .figure import Figure, Options, figure
from .flow import flow

PLACEMENTS = 200_000
ACCOUNTS = 1000
EVENTS_PER_BATCH = 1 << 16
QUERIES = 200
PAGE = 500


def measure(options: Options) -> list[Figure]:
    compile_ahead()
    placements = options.count(PLACEMENTS, 2000)
    events = _events(placements)
    written, extracted, rows_written, floors = [], [], [], []
    pages: dict[str, list[float]] = {}
    for turn in range(options.repeats):
        folder = options.folder / f"history-{turn}"
        folder.mkdir()
        store = SqliteStore(folder / "history.db", writes=True)
        store.prepare()
        batches, extracting, writing = _record(store, events, placements)
        count = sum(len(rows) for batch in batches for rows in batch.rows.values())
        extracted.append(len(events) / extracting / 1e3)
        written.append(len(events) / (extracting + writing) / 1e3)
        rows_written.append(count / writing / 1e3)
        floors.append(count / _plainly(folder / "plain.db", batches) / 1e3)
        for name, took_ms in _pages(store, options.count(QUERIES, 10)).items():
            pages.setdefault(name, []).append(took_ms)
        store.close()
    unit = "thousand rows/s"
    return [
        figure("history", "events into the store", "thousand events/s", written),
        figure("history", "events into rows alone", "thousand events/s", extracted),
        figure("history", "rows, indexed", unit, rows_written, floors=floors, floor_name="rows, unindexed"),
        *(figure("history", f"last {PAGE} {name} of an account", "ms", times) for name, times in pages.items()),
    ]


def _record(store: Store, events: np.ndarray, placements: int) -> tuple[list[Batch], float, float]:
    """(what was written, seconds that making it took, seconds that writing it took)."""
    model, extractor = ReadModel(limits(placements, accounts=ACCOUNTS)), Extractor(store, 1)
    batches, extracting, writing = [], 0.0, 0.0
    for part in np.array_split(events, max(1, len(events) // EVENTS_PER_BATCH)):
        started = time.perf_counter()
        model.apply(part)
        batches.append(extractor.batch(part, model))
        made = time.perf_counter()
        store.write(batches[-1])
        extracting, writing = extracting + made - started, writing + time.perf_counter() - made
    return batches, extracting, writing


def _events(placements: int) -> np.ndarray:
    """What the engine makes of a day whose price moves by 2 %."""
    batches = Batches(State(limits(placements, accounts=ACCOUNTS)))
    made = [setup(1, ACCOUNTS), flow(placements, 0.02, accounts=ACCOUNTS)]
    parts = [events.view("V256").copy() for records in made for events in batches.apply(records, stamps=True)]
    return np.concatenate(parts).view(EVENT)


def _pages(store: Store, count: int) -> dict[str, float]:
    """ms for the last PAGE rows of one account, as a gateway asks for them: each in a transaction of its own."""
    accounts = np.random.default_rng(1).integers(1, ACCOUNTS + 1, count).tolist()
    times: dict[str, list[float]] = {"orders": [], "trades": []}
    for account in accounts:
        started = time.perf_counter()
        store.read(partial(Store.last_orders, account=account, market=0, count=PAGE))
        middle = time.perf_counter()
        store.read(partial(Store.last_fills, account=account, market=0, first_id=0, end_id=ID_MAX, count=PAGE))
        times["orders"].append(middle - started)
        times["trades"].append(time.perf_counter() - middle)
    return {name: float(np.median(took)) * 1e3 for name, took in times.items()}


def _plainly(path: Path, batches: list[Batch]) -> float:
    """Seconds to write the rows into tables without keys and indexes."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    for table in {table for batch in batches for table in batch.rows}:
        connection.execute(f"CREATE TABLE {table.name} ({', '.join(table.columns)})")
    started = time.perf_counter()
    for batch in batches:
        connection.execute("BEGIN")
        for table, rows in batch.rows.items():
            connection.executemany(f"INSERT INTO {table.name} VALUES ({', '.join('?' * len(table.columns))})", rows)
        connection.execute("COMMIT")
    took = time.perf_counter() - started
    connection.close()
    return took
