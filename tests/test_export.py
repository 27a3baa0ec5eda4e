"""`ringex history export` and `rebuild`: what is written is read back with pyarrow and with the store."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow.parquet as parquet
import pytest
from market_days import MarketDays, at
from reference.desk import ALICE, BOB

from ringex.history.exporting import ExportError, export
from ringex.history.store.schema import CANDLES, TABLES
from ringex.history.store.sqlite import SqliteStore
from ringex.history.store.store import Batch, Store
from ringex.journal.writer import JournalWriter
from ringex.terms import Side


def lived() -> MarketDays:
    days = MarketDays("2024-03-01T00:00:00")
    days.trade("2024-03-01T10:00:00", 10001, 100)
    days.trade("2024-03-02T10:00:00", 10002, 3, Side.SELL)
    days.trade("2024-03-03T10:00:00", 10003, 7, market=1)
    days.do(days.desk.place(BOB, Side.BUY, 8000, 5, client_order_id="open"))
    days.do(days.desk.place(ALICE, Side.SELL, 12000, 5))
    return days


DAYS = lived()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return DAYS.stored(tmp_path / "history.db", len(DAYS.told))


def test_every_row_is_exact(store: Store, tmp_path: Path) -> None:
    # The first two trades are in one candle of 3d, 1w and 1M.
    assert export(store, tmp_path / "out") == {"orders": 8, "trades": 3, "candles": 3 * 16 - 3, "balances": 6}
    trades = parquet.read_table(tmp_path / "out" / "trades.parquet").to_pylist()
    first = {name: trades[0][name] for name in ("symbol", "price", "quantity", "quote_amount", "side", "maker_account")}
    assert first == {
        "symbol": "BTCUSDT",
        "price": Decimal("100.01"),
        "quantity": Decimal("1"),
        "quote_amount": Decimal("100.01"),
        "side": "BUY",
        "maker_account": "alice",
    }
    assert trades[0]["time_ns"] == datetime(2024, 3, 1, 10, tzinfo=UTC)
    assert (trades[1]["taker_fee_asset"], trades[1]["maker_fee_asset"]) == ("USDT", "BTC")
    orders = parquet.read_table(tmp_path / "out" / "orders.parquet").to_pylist()
    assert [order["order_id"] for order in orders] == list(range(1, 9))
    shown = {name: orders[6][name] for name in ("account", "status", "order_type", "price", "client_order_id")}
    assert shown == {
        "account": "bob",
        "status": "NEW",
        "order_type": "LIMIT",
        "price": Decimal("80"),
        "client_order_id": "open",
    }
    balances = parquet.read_table(tmp_path / "out" / "balances.parquet").to_pylist()
    bob = {row["asset"]: (row["free"], row["locked"]) for row in balances if row["account"] == "bob"}
    held = {DAYS.model.assets[b.asset].name: b for b in DAYS.model.balances(BOB)}
    assert bob == {name: (Decimal(b.free).scaleb(-8), Decimal(b.locked).scaleb(-8)) for name, b in held.items()}
    candles = parquet.read_table(tmp_path / "out" / "candles.parquet").to_pylist()
    (month,) = [row for row in candles if row["interval"] == "1M" and row["symbol"] == "BTCUSDT"]
    assert (month["open"], month["close"]) == (Decimal("100.01"), Decimal("100.02"))
    assert (month["volume"], month["quote_volume"]) == (Decimal("1.03"), Decimal("103.0106"))
    schema = parquet.read_schema(tmp_path / "out" / "trades.parquet")
    assert str(schema.field("price").type) == "decimal128(38, 18)"
    assert str(schema.field("time_ns").type) == "timestamp[ns, tz=UTC]"


def test_a_span_of_time(store: Store, tmp_path: Path) -> None:
    written = export(store, tmp_path / "out", at("2024-03-02T00:00:00"), at("2024-03-03T00:00:00"))
    assert (written["trades"], written["orders"]) == (1, 2)
    assert written["balances"] == 6


def test_an_amount_that_does_not_fit_is_told(store: Store, tmp_path: Path) -> None:
    rows = [row for page in store.every(CANDLES) for row in page]
    at_high = CANDLES.columns.index("volume_high")
    huge = (*rows[0][:at_high], 1 << 31, *rows[0][at_high + 1 :])
    store.write(Batch(store.progress(), {CANDLES: [huge]}))
    with pytest.raises(ExportError, match=r"does not fit decimal128\(38, 18\)"):
        export(store, tmp_path / "out")


def ringex(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ringex", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_rebuild_and_export_from_the_command_line(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    with JournalWriter(data / "journal", segment_records=4096) as journal:
        journal.append(DAYS.commands)
    done = ringex("history", "rebuild", str(data))
    assert done.returncode == 0, done.stderr
    assert f"{len(DAYS.told)} events were told anew" in done.stdout
    made = SqliteStore(data / "history.db", writes=False)
    own = DAYS.stored(tmp_path / "own.db", len(DAYS.told))
    for table in TABLES:
        assert list(made.every(table)) == list(own.every(table)), table.name
    made.close()
    done = ringex("history", "export", str(data), "--to", str(tmp_path / "out"), "--from", "2024-03-02")
    assert done.returncode == 0, done.stderr
    assert f"{tmp_path / 'out' / 'trades'}.parquet: 2 rows" in done.stdout
    assert parquet.read_table(tmp_path / "out" / "trades.parquet").num_rows == 2


def test_mistakes_of_the_command_line(tmp_path: Path) -> None:
    done = ringex("history", "export", str(tmp_path), "--to", str(tmp_path / "out"))
    assert (done.returncode, "history.db" in done.stderr) == (1, True)
    done = ringex("history", "export", str(tmp_path), "--to", str(tmp_path / "out"), "--from", "noon")
    assert (done.returncode, "--from: 'noon' is no moment such as" in done.stderr) == (2, True)
