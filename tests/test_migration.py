"""History stores of older versions, in both databases: what they hold is there after they were opened by this one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from event_records import RandomRun
from exchange import running as running_exchange
from postgresql_server import Server, running
from reference.arena import SMALL
from stores import Open, opening

from ringex.config import Settings
from ringex.history.readmodel import ReadModel
from ringex.history.store.extract import Extractor
from ringex.history.store.migration import FoundTable, StoreNewer, StoreOutdated, migration
from ringex.history.store.schema import ORDERS, TABLES, VERSION, Table
from ringex.history.store.sqlite import SqliteStore
from ringex.history.store.store import Progress, Row, Store, StoreAway, StoreError
from ringex.journal.segment import CAPACITY_MIN, create_segment
from ringex.retelling import renew
from ringex.terms import EventKind

SHAPES = Path(__file__).parent / "store_shapes"
FIRST_VERSION_SHAPE = 55390544951762165


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running() as started:
        yield started


@pytest.fixture(params=["sqlite", "postgresql"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    url = request.getfixturevalue("server").url if request.param == "postgresql" else ""
    with opening(tmp_path, url) as make:
        yield make


@pytest.fixture(scope="module")
def run() -> RandomRun:
    """One with something to keep in every table."""
    wanted = {EventKind.TRADE, EventKind.AMENDED, EventKind.PREVENTED, EventKind.BALANCE}
    runs = (RandomRun(seed, 300) for seed in range(50))
    return next(one for one in runs if wanted <= {event["kind"] for event in one.fields})


def first_version(store: Store) -> dict[str, list[str]]:
    """Make the tables of the first version, empty. Their columns."""
    columns: dict[str, list[str]] = {}
    with store.transaction(writes=True):
        for statement in (SHAPES / "1.sql").read_text().splitlines():
            store.execute(statement.rstrip(";"))
            if statement.startswith("CREATE TABLE"):
                head, _, rest = statement.removeprefix("CREATE TABLE ").partition(" (")
                columns[head] = [part.split()[0] for part in rest.split(", PRIMARY KEY")[0].split(", ")]
        store.execute(
            "INSERT INTO progress (one, version, event_sequence, command_sequence, time_ns, shape) "
            f"VALUES (1, 1, 0, 0, 0, {FIRST_VERSION_SHAPE})"
        )
    return columns


def contents(store: Store, tables: tuple[Table, ...] = TABLES) -> dict[str, list[Row]]:
    return {table.name: [row for page in store.every(table) for row in page] for table in tables}


def filled(store: Store, run: RandomRun) -> None:
    model = ReadModel(SMALL)
    model.apply(run.events)
    store.write(Extractor(store, SMALL.markets_max).batch(run.events, model))


def test_a_store_of_the_first_version_keeps_its_rows(open_store: Open, run: RandomRun) -> None:
    store = open_store(True)
    store.prepare()
    filled(store, run)
    new = contents(store)
    assert all(new[name] for name in ("orders", "trades", "candles", "bookings", "prevented", "progress"))
    store.clear()
    old_columns = first_version(store)
    # The same rows as that version wrote them: without what has come since, with what has gone.
    added = {table.name: set(table.columns) - set(old_columns.get(table.name, ())) for table in TABLES}
    with store.transaction(writes=True):
        for table in TABLES:
            if table.name not in old_columns or table.name == "progress":
                continue
            names = old_columns[table.name]
            for row in new[table.name]:
                told = dict(zip(table.columns, row, strict=True))
                store.execute(
                    f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})",
                    [tuple(told.get(name, 0) for name in names)],
                )
        store.execute("UPDATE progress SET event_sequence = 11, command_sequence = 5, time_ns = 3")
    with pytest.raises(StoreAway, match="made by another version"):
        open_store(False).check()
    store.close()

    store = open_store(True)
    store.prepare()  # StoreOutdated: a column has come without a value for older rows; see docs/developing.md
    store.check()
    assert store.progress() == Progress(11, 5, 3)
    for table in TABLES[:-1]:
        expected = []
        for row in new[table.name] if table.name in old_columns else ():
            told = dict(zip(table.columns, row, strict=True))
            told |= {name: table.added[name] for name in added[table.name]}
            expected.append(tuple(told[name] for name in table.columns))
        assert contents(store, (table,))[table.name] == expected, table.name
    made = store.found_tables()
    store.clear()
    store.prepare()
    fresh = store.found_tables()
    assert made == fresh
    filled(store, run)
    assert contents(store) == new


def changed(**changes: Any) -> tuple[Table, ...]:
    """This version's tables, `orders` changed."""
    return tuple(replace(table, **changes) if table == ORDERS else table for table in TABLES)


def test_columns_and_tables_come_and_go(open_store: Open, run: RandomRun) -> None:
    store = open_store(True)
    store.prepare()
    filled(store, run)
    before = contents(store, (ORDERS,))["orders"]
    orders, *others = changed(
        columns=(*(name for name in ORDERS.columns if name != "stop_price"), "list_id", "note"),
        added={**ORDERS.added, "list_id": -7, "note": "it's none"},
        texts=ORDERS.texts | {"note"},
        dropped=ORDERS.dropped | {"stop_price"},
        indexes=(*ORDERS.indexes[:2], ("list_id", "order_id")),
    )
    lists = Table("lists", ("list_id", "account"), ("list_id",), begins_empty=True)
    with store.transaction(writes=True):
        for statement in migration(store.found_tables(), VERSION, (orders, *others, lists)):
            store.execute(statement)
    drop = ORDERS.columns.index("stop_price")
    assert contents(store, (orders, lists)) == {
        "orders": [(*row[:drop], *row[drop + 1 :], -7, "it's none") for row in before],
        "lists": [],
    }
    found = store.found_tables()["orders"]
    assert dict(found.columns) == orders.kinds()
    assert dict(found.indexes) == orders.named_indexes()
    assert len(migration({**store.found_tables(), "lists": FOUND_LISTS}, VERSION, (orders, *others, lists))) == 1
    with store.transaction(writes=True):
        store.execute("DROP TABLE lists")


FOUND_LISTS = FoundTable({"list_id": "BIGINT", "account": "BIGINT"}, ("list_id",), {})


def test_what_only_the_journal_can_fill(open_store: Open) -> None:
    store = open_store(True)
    store.prepare()
    found = store.found_tables()
    columns = ORDERS.columns
    for tables, why in (
        (changed(columns=(*columns, "list_id")), "its table orders has no column list_id"),
        (changed(key=("account", "order_id")), r"its table orders has the key \(order_id\)"),
        (changed(texts=frozenset()), "the column client_order_id of its table orders is TEXT, not BIGINT"),
        ((*TABLES, Table("lists", ("list_id",), ("list_id",))), "it has no table lists"),
    ):
        with pytest.raises(StoreOutdated, match=f"^{why}$"):
            migration(found, VERSION, tables)
    with pytest.raises(StoreOutdated, match="what its columns mean has changed"):
        migration(found, VERSION - 1)
    with pytest.raises(StoreNewer, match="column transport"):
        migration(found, VERSION, changed(columns=tuple(name for name in columns if name != "transport")))


def test_a_newer_version_s_store_is_not_touched(open_store: Open) -> None:
    store = open_store(True)
    store.prepare()
    with store.transaction(writes=True):
        store.execute(f"UPDATE progress SET version = {VERSION + 1}")
    with pytest.raises(StoreError, match=f"a newer version made .* version {VERSION + 1}"):
        store.prepare()
    with store.transaction(writes=True):
        store.execute(f"UPDATE progress SET version = {VERSION}, shape = 5")
        store.execute("ALTER TABLE trades ADD COLUMN mood TEXT")
    with pytest.raises(StoreError, match="trades has a column mood"):
        store.prepare()


def test_an_outdated_store_is_told_anew_only_where_all_is_told(
    open_store: Open, run: RandomRun, tmp_path: Path
) -> None:
    settings = Settings(data_dir=tmp_path)
    settings.journal_dir.mkdir()
    store = open_store(True)
    store.prepare()
    filled(store, run)
    with store.transaction(writes=True):
        store.execute("UPDATE progress SET version = 0")
    with pytest.raises(StoreOutdated) as outdated:
        store.prepare()
    create_segment(settings.journal_dir, 1 + CAPACITY_MIN, CAPACITY_MIN)
    with pytest.raises(
        StoreError, match=f"the journal begins with command {1 + CAPACITY_MIN}: what was before would be lost"
    ):
        renew(settings, store, outdated.value)
    assert store.progress() != Progress()
    create_segment(settings.journal_dir, 1, CAPACITY_MIN)
    renew(settings, store, outdated.value)
    store.check()
    assert store.progress() == Progress()


def test_an_exchange_starts_on_an_older_version_s_store(tmp_path: Path) -> None:
    """Not even its tables can be brought to this version: everything is told anew, and queries see it."""
    with running_exchange(tmp_path) as exchange, exchange.client("demo") as client:
        bid = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC"}
        placed = client.order("order.place", **bid, price="25000.00", quantity="0.01")
        assert placed["status"] == 200, placed
    path = tmp_path / "data" / "history.db"
    store = SqliteStore(path, writes=True)
    with store.transaction(writes=True):
        store.execute("UPDATE progress SET version = 0")
    store.close()
    with running_exchange(tmp_path) as exchange, exchange.client("demo") as client:
        found = client.order("allOrders", symbol="BTCUSDT")
        assert [order["orderId"] for order in found["result"]] == [placed["result"]["orderId"]]
