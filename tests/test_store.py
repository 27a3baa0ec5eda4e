"""The history store, one suite for both databases: what random runs of the exchange leave in it, how it is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from event_records import RandomRun
from postgresql_server import Server, running
from reference.arena import SMALL
from stores import Open, opening

from ringex.history.intervals import Interval, open_of
from ringex.history.readmodel import ReadModel
from ringex.history.store.extract import Extractor
from ringex.history.store.postgresql import PostgresqlStore
from ringex.history.store.schema import (
    AMENDMENTS,
    BALANCES,
    BOOKINGS,
    CANDLES,
    ORDER_COLUMNS,
    PREVENTED,
    TABLES,
    TRADES,
    order_records,
    order_rows,
)
from ringex.history.store.sqlite import SqliteStore
from ringex.history.store.store import ID_MAX, Batch, Progress, Row, Store, StoreAway, StoreError, Value, candle_of_row
from ringex.terms import EventKind

SEEDS = range(3)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running() as started:
        yield started


@pytest.fixture(params=["sqlite", "postgresql"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    url = request.getfixturevalue("server").url if request.param == "postgresql" else ""
    with opening(tmp_path, url) as make:
        yield make


@pytest.fixture(scope="module", params=SEEDS)
def run(request: pytest.FixtureRequest) -> RandomRun:
    return RandomRun(request.param, 300)


def fill(open_store: Open, events: np.ndarray, cuts: list[int], model: ReadModel | None = None) -> Store:
    """Write events in batches that end at `cuts`, each by a store that was opened anew, as after a crash."""
    model = model or ReadModel(SMALL)
    store = open_store(True)
    store.prepare()
    for start, end in zip([0, *cuts], [*cuts, len(events)], strict=True):
        store.close()
        store = open_store(True)
        store.prepare()
        assert store.progress().event_sequence == start
        part = events[start:end]
        model.apply(part)
        store.write(Extractor(store, SMALL.markets_max).batch(part, model))
    return store


def whole(store: Store) -> dict[str, list[tuple[int | str, ...]]]:
    found = {}
    for table in TABLES:
        rows = [row for page in store.every(table) for row in page]
        drop = table.columns.index("sequence") if table == BALANCES else -1  # which batch it was is no matter
        found[table.name] = [tuple(value for at, value in enumerate(row) if at != drop) for row in rows]
    return found


def test_orders_and_balances_are_those_of_the_read_model(open_store: Open, run: RandomRun) -> None:
    model = ReadModel(SMALL)
    store = fill(open_store, run.events, [40, 41, 200], model)
    orders = model.all_order_records()
    orders = orders[np.argsort(orders["order_id"])]
    stored = [row for page in store.every(TABLES[0]) for row in page]
    assert stored == order_rows(orders)
    records = order_records(stored)
    for name in ORDER_COLUMNS:
        assert (records[name] == orders[name]).all(), name
    accounts = range(len(model.catalogue.accounts))
    held = {(a, b.asset): (b.free, b.locked, b.withdrawing) for a in accounts for b in model.balances(a)}
    told = {(row[0], row[1]): row[2:5] for page in store.every(BALANCES) for row in page}
    assert told == {pair: amounts for pair, amounts in held.items() if pair in told}
    assert all(amounts == (0, 0, 0) for pair, amounts in held.items() if pair not in told)


def test_every_trade_is_there_once(open_store: Open, run: RandomRun) -> None:
    store = fill(open_store, run.events, [100, 101, 102])
    trades = [e for e in run.fields if e["kind"] == EventKind.TRADE]
    rows = [dict(zip(TRADES.columns, row, strict=True)) for page in store.every(TRADES) for row in page]
    assert len(rows) == len(trades)
    by_sequence = {row["sequence"]: row for row in rows}
    for event in trades:
        row = by_sequence[event["sequence"]]
        assert (row["taker_order_id"], row["taker_account"]) == (event["order_id"], event["account"])
        same = set(TRADES.columns) - {"taker_order_id", "taker_account", "aggregate_id"}
        assert {name: row[name] for name in same} == {name: event[name] for name in same}
    bookings = [e for e in run.fields if e["kind"] == EventKind.BALANCE]
    told = [row for page in store.every(BOOKINGS) for row in page]
    names = ["market" if name == "asset" else name for name in BOOKINGS.columns]
    assert told == [tuple(e[name] for name in names) for e in bookings]


def test_amendments_say_what_was_before(open_store: Open, run: RandomRun) -> None:
    store = fill(open_store, run.events, [60, 150, 151])
    quantities: dict[int, int] = {}
    expected = []
    for e in run.fields:
        if e["kind"] == EventKind.AMENDED:
            expected.append((e["execution_id"], e["order_id"], e["quantity"], quantities[e["order_id"]]))
        if e["kind"] in (EventKind.ACCEPTED, EventKind.RESTED, EventKind.AMENDED, EventKind.CANCELED):
            quantities[e["order_id"]] = e["quantity"]
    columns = [AMENDMENTS.columns.index(n) for n in ("execution_id", "order_id", "quantity", "quantity_before")]
    rows = [row for page in store.every(AMENDMENTS) for row in page]
    assert [tuple(row[at] for at in columns) for row in rows] == expected
    if expected:
        order_id = expected[0][1]
        own = [row for row in rows if row[1] == order_id]
        assert store.amendments(order_id, 0, 100) == own
        assert store.amendments(order_id, own[-1][0], 100) == own[-1:]
    matches = [e for e in run.fields if e["kind"] == EventKind.PREVENTED]
    told = {row[:1] + row[6:7] for page in store.every(PREVENTED) for row in page}
    assert told == {(e["prevented_match_id"], e["market"]) for e in matches}


def test_in_how_many_batches_it_came_does_not_matter(open_store: Open, run: RandomRun) -> None:
    one = whole(fill(open_store, run.events, []))
    open_store(True).clear()
    assert whole(fill(open_store, run.events, list(range(25, len(run.events), 25)))) == one


def test_candles_are_sums_of_their_trades(open_store: Open, run: RandomRun) -> None:
    store = fill(open_store, run.events, list(range(50, len(run.events), 50)))
    trades = [e for e in run.fields if e["kind"] == EventKind.TRADE]
    rows = {(row[0], row[1], row[2]): candle_of_row(row[2:]) for page in store.every(CANDLES) for row in page}
    expected = set()
    for interval in Interval:
        for market in {e["market"] for e in trades}:
            for open_ns in {open_of(interval, e["time_ns"]) for e in trades if e["market"] == market}:
                own = [e for e in trades if e["market"] == market and open_of(interval, e["time_ns"]) == open_ns]
                candle = rows[market, interval, open_ns]
                expected.add((market, interval, open_ns))
                prices = [e["price"] for e in own]
                assert candle[2:6] == (prices[0], max(prices), min(prices), prices[-1])
                assert candle[6:8] == (own[0]["trade_id"], own[-1]["trade_id"])
                assert candle.volume == sum(e["quantity"] for e in own)
                assert candle.buy_quote_volume == sum(e["quote_amount"] for e in own if e["side"] == 1)
    assert set(rows) == expected


def test_sums_of_candles_pass_63_bits(open_store: Open) -> None:
    store = open_store(True)
    store.prepare()
    big = (1 << 62) - 1
    row = (0, 1, 0, 60, 5, 5, 5, 5, 1, 1, big, big, big, 0, 0, 0, 1, 0)
    for number in range(1, 6):
        store.write(Batch(Progress(number, number, number), {CANDLES: [row]}))
    (candle,) = store.candles(0, Interval.MINUTE_1, 0, 1, 10)
    assert candle.volume == candle.quote_volume == 5 * big
    assert candle.buy_volume == 5 * (big + (1 << 62))
    assert candle.buy_quote_volume == 0


def test_orders_are_found_by_id_page_and_time(open_store: Open, run: RandomRun) -> None:
    store = fill(open_store, run.events, [111])
    rows = [row for page in store.every(TABLES[0]) for row in page]
    at = {name: ORDER_COLUMNS.index(name) for name in ORDER_COLUMNS}
    for account in {row[at["account"]] for row in rows}:
        for market in {row[at["market"]] for row in rows}:
            own = [row for row in rows if (row[at["account"]], row[at["market"]]) == (account, market)]
            ids = [int(row[at["order_id"]]) for row in own]
            assert store.orders_from(int(account), int(market), 0, 1000) == own
            assert store.last_orders(int(account), int(market), 3) == own[-3:]
            if own:
                middle = len(own) // 2
                assert store.orders_from(int(account), int(market), ids[middle], 2) == own[middle : middle + 2]
                assert store.orders_from(int(account), int(market), 0, 99, ids[middle]) == own[:middle]
                assert store.last_orders(int(account), int(market), 2, ids[middle]) == own[:middle][-2:]
                assert store.order(ids[0]) == own[0]
                created = int(own[0][at["created_ns"]])
                first = store.first_order_since(created)
                assert first == min(int(row[at["order_id"]]) for row in rows if row[at["created_ns"]] >= created)
        text = next((row[at["client_order_id"]] for row in rows if row[at["client_order_id"]]), None)
        if text is not None:
            named = [r for r in rows if (r[at["account"]], r[at["client_order_id"]]) == (account, text)]
            assert store.order_of_client(int(account), str(text)) == (named[-1] if named else None)
    assert store.order(ID_MAX) is None
    assert store.first_order_since(1 << 62) == ID_MAX


def test_trades_are_found_by_market_account_order_and_time(open_store: Open, run: RandomRun) -> None:
    store = fill(open_store, run.events, [90])
    rows = [row for page in store.every(TRADES) for row in page]
    at = {name: TRADES.columns.index(name) for name in TRADES.columns}
    for market in {int(row[at["market"]]) for row in rows}:
        own = [row for row in rows if row[at["market"]] == market]
        assert store.trades_from(market, 2, 3) == own[1:4]
        assert store.last_trades(market, 2) == own[-2:]
        assert store.last_trade_id(market) == len(own)
        times = [int(row[at["time_ns"]]) for row in own]
        for time_ns in (times[0], times[-1], times[len(times) // 2] + 1):
            later = [number for number, time in enumerate(times, 1) if time >= time_ns]
            assert store.first_trade_since(market, time_ns) == (later[0] if later else ID_MAX)
        for account in {row[at[role]] for row in rows for role in ("taker_account", "maker_account")}:
            part = [row for row in own if account in (row[at["taker_account"]], row[at["maker_account"]])]
            assert store.fills_from(int(account), market, 0, ID_MAX, 1000) == part
            assert store.last_fills(int(account), market, 0, ID_MAX, 2) == part[-2:]
            assert store.last_fills(int(account), market, 2, 4, 9) == [r for r in part if 2 <= r[at["trade_id"]] < 4]
        order_id = int(own[0][at["maker_order_id"]])
        part = [row for row in own if order_id in (row[at["taker_order_id"]], row[at["maker_order_id"]])]
        assert store.fills_of_order(order_id, 0, 1000) == part
        groups: dict[int, list[tuple[int | str, ...]]] = {}
        for row in own:
            groups.setdefault(int(row[at["aggregate_id"]]), []).append(row)
        assert store.last_aggregate_id(market) == max(groups)
        assert [[row[0], row[1], row[2], row[4]] for row in store.aggregates(market, 1, 1000)] == [
            [
                number,
                group[0][at["trade_id"]],
                group[-1][at["trade_id"]],
                sum(int(row[at["quantity"]]) for row in group),
            ]
            for number, group in sorted(groups.items())
        ]
        assert store.aggregate_of(market, len(own)) == max(groups)


def test_a_batch_is_written_whole_or_not_at_all(open_store: Open, run: RandomRun) -> None:
    store = fill(open_store, run.events[:150], [])
    before = whole(store)
    model = ReadModel(SMALL)
    model.apply(run.events[:200])
    batch = Extractor(store, SMALL.markets_max).batch(run.events[150:200], model)
    batch.rows[BOOKINGS] = [(1,)]  # of no shape that the table has
    with pytest.raises(Exception, match=r".+"):
        store.write(batch)
    assert whole(open_store(False)) == before


def test_a_reader_sees_one_moment_and_cannot_write(open_store: Open, run: RandomRun) -> None:
    store = fill(open_store, run.events[:100], [])
    reader = open_store(False)

    def look(asked: Store) -> tuple[int, int]:
        first = asked.progress().event_sequence
        store.write(Batch(Progress(first + 1, 1, 1)))
        return first, asked.progress().event_sequence

    progress, seen = reader.read(look)
    assert progress.event_sequence == 100
    assert seen == (100, 100)
    assert reader.progress().event_sequence == 101
    with pytest.raises(StoreError, match=r"(?i)read.?only"):
        reader.write(Batch(Progress(7, 7, 7)))


def test_a_store_without_tables_is_away(open_store: Open) -> None:
    store = open_store(True)
    with pytest.raises(StoreAway, match="no tables yet"):
        store.check()
    store.prepare()
    store.prepare()
    store.check()


def test_no_query_walks_through_what_it_does_not_give(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite goes by an index with all that a query knows: an account's page does not grow with the market."""
    store = SqliteStore(tmp_path / "history.db", writes=True)
    store.prepare()
    plans: dict[str, list[str]] = {}
    plain, asked = store.rows, ""

    def explained(statement: str, values: Sequence[Value] = ()) -> list[Row]:
        plan = [str(row[3]) for row in plain(f"EXPLAIN QUERY PLAN {statement}", values)]
        plans[asked] = plans.get(asked, []) + [step for step in plan if step.startswith(("SEARCH", "SCAN"))]
        return plain(statement, values)

    monkeypatch.setattr(store, "rows", explained)
    asks: dict[str, Callable[[], object]] = {
        "orders_from": lambda: store.orders_from(1, 0, 5, 9),
        "last_orders": lambda: store.last_orders(1, 0, 9),
        "order": lambda: store.order(3),
        "order_of_client": lambda: store.order_of_client(1, "a"),
        "last_fills": lambda: store.last_fills(1, 0, 0, 9, 9),
        "fills_of_order": lambda: store.fills_of_order(4, 0, 9),
        "trades_from": lambda: store.trades_from(0, 4, 9),
        "aggregates": lambda: store.aggregates(0, 4, 9),
        "candles": lambda: store.candles(0, Interval.HOUR_1, 0, 9, 9),
        "amendments": lambda: store.amendments(4, 0, 9),
        "prevented_match": lambda: store.prevented_match(0, 4),
        "prevented_of_order": lambda: store.prevented_of_order(4, 0, 9),
    }
    for name, ask in asks.items():
        asked = name
        ask()
    assert {
        name: [step.split(" USING ")[-1] for step in steps if "SCAN" not in step] for name, steps in plans.items()
    } == {
        "orders_from": ["INDEX orders_1 (account=? AND market=? AND order_id>? AND order_id<?)"],
        "last_orders": ["INDEX orders_1 (account=? AND market=? AND order_id<?)"],
        "order": ["INTEGER PRIMARY KEY (rowid=?)"],
        "order_of_client": ["INDEX orders_2 (account=? AND client_order_id=?)"],
        "last_fills": [
            f"INDEX trades_{number} ({role}_account=? AND market=? AND trade_id>? AND trade_id<?)"
            for number, role in ((2, "taker"), (3, "maker"))
        ],
        "fills_of_order": ["INDEX trades_4 (taker_order_id=?)", "INDEX trades_5 (maker_order_id=?)"],
        "trades_from": ["PRIMARY KEY (market=? AND trade_id>?)"],
        "aggregates": ["INDEX trades_1 (market=? AND aggregate_id>?)"],
        "candles": ["PRIMARY KEY (market=? AND span=? AND open_ns>? AND open_ns<?)"],
        "amendments": ["INDEX amendments_1 (order_id=? AND execution_id>?)"],
        "prevented_match": ["PRIMARY KEY (market=? AND prevented_match_id=?)"],
        "prevented_of_order": [
            f"INDEX prevented_{number} ({role}_order_id=? AND prevented_match_id>?)"
            for number, role in ((1, "taker"), (2, "maker"))
        ],
    }
    assert not [step for steps in plans.values() for step in steps if step.startswith(("SCAN trades", "SCAN orders"))]
    store.close()


def test_a_store_that_is_not_there_is_away(tmp_path: Path) -> None:
    with pytest.raises(StoreAway, match=r"history\.db"):
        SqliteStore(tmp_path / "history.db", writes=False)
    with pytest.raises(StoreAway, match="PostgreSQL"):
        PostgresqlStore(f"postgresql:///postgres?host={tmp_path}", writes=False)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "history.db").write_bytes(b"no database" * 1000)
    with pytest.raises(StoreError, match="not a database"):
        SqliteStore(tmp_path / "history.db", writes=True)


def test_a_server_that_goes_away_and_comes_back() -> None:
    with running() as own:
        store = PostgresqlStore(own.url, writes=True)
        store.prepare()
        own.stop()
        with pytest.raises(StoreAway, match="PostgreSQL"):
            store.write(Batch(Progress(1, 1, 1)))
        store.close()
        own.start()
        store = PostgresqlStore(own.url, writes=True)
        assert store.progress() == Progress()
        store.close()
