"""The audit: books made of events alone are the ledger's; what is broken shows; what is not understood is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from event_records import RandomRun
from reference.arena import SMALL
from reference.desk import ALICE, BOB, BTC, BUY, SELL, USDT, Desk
from reference.records import records_of
from scene import LIMITS, RICH
from test_snapshot import command_at, follow, stream_records

from ringex.audit.books import UNDERSTOOD, Books, NotUnderstoodError
from ringex.audit.comparison import KNOWN_ORDER_TYPES, differences
from ringex.audit.directory import AuditError, audit_directory
from ringex.config import Durability
from ringex.engine import Matcher
from ringex.engine.snapshot import load_snapshot, write_snapshot
from ringex.journal import JournalWriter
from ringex.journal.segment import retire
from ringex.messages import BALANCE_EVENT, EVENT, TRADE
from ringex.terms import CommandKind, EventKind, OrderType

ROOT = Path(__file__).parent.parent
Tables = dict[str, np.ndarray]


# ---- the books ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
def test_the_books_of_events_are_the_reference_ledger(seed: int) -> None:
    """No engine has a part in this: the reference exchange gives the events."""
    run = RandomRun(seed, 250)
    books = Books()
    for part in np.array_split(run.events, 7):
        books.take(part)
    ledger = run.exchange.ledger
    expected = {place: own.free + own.locked for place, own in ledger.balances.items() if own.free + own.locked}
    assert {place: amount for place, amount in books.owned.items() if amount} == expected
    held = {place: (hold.asset, hold.amount) for place, hold in ledger.holds.items() if not hold.outcome}
    assert books.held == held and books.faults == []


def test_every_event_and_order_is_accounted_for() -> None:
    """Whoever adds a kind of event says in `ringex/audit/books.py` what it moves; of order, what it holds."""
    assert set(EventKind) <= UNDERSTOOD
    assert set(OrderType) <= KNOWN_ORDER_TYPES


def busy() -> tuple[Matcher, Books]:
    """Trades with fees and rebates, one fee in a third asset; open orders, a stop; a transfer; withdrawals."""
    desk, matcher, books = Desk(), Matcher(limits=LIMITS), Books()
    commands = [desk.asset("BTC", 8), desk.asset("USDT", 8), desk.asset("BNB", 8)]
    commands += [desk.market(taker_fee=100_000, maker_fee=-20_000), desk.market("BNBUSDT", base=2, quote=USDT)]
    commands += [desk.account("alice"), desk.account("bob"), desk.account("alice-1", ALICE)]
    commands += [desk.deposit(account, asset, RICH) for account in (ALICE, BOB) for asset in (BTC, USDT, 2)]
    commands += [desk.fee_asset(2, 75_000_000), desk.pay_in_fee_asset(BOB)]
    commands += [desk.place(ALICE, SELL, 30_000, 5, market=1), desk.place(BOB, BUY, 30_000, 5, market=1)]
    for taker in (BOB, ALICE):
        commands += [desk.place(ALICE, SELL, 100, 10), desk.place(taker, BUY, 101, 12)]
    commands += [desk.place(BOB, SELL, 200, 7), desk.stop(BOB, SELL, 50, 3), desk.place(BOB, BUY, 60, 9)]
    commands += [desk.transfer(ALICE, 3, USDT, 12_345), desk.withdraw(BOB, BTC, 1)]
    commands += [desk.hold(ALICE, BTC, amount, f"w{amount}") for amount in (10, 20, 40)]
    commands += [desk.complete(ALICE, "w10"), desk.release(ALICE, "w20")]
    books.take(matcher.submit(records_of(commands)))
    return matcher, books


def test_a_sound_state_has_no_differences() -> None:
    matcher, books = busy()
    assert differences(books, matcher.export()) == [] and books.faults == []
    assert books.trades == 4 and books.flows[2].fees == 25  # 7,500 units of quote at 300
    assert books.held == {(ALICE, "w40"): (BTC, 40)}
    assert books.flows[BTC].withdrawn == 11


# ---- what is broken shows -----------------------------------------------------------------------------------------


def change(table: str, field: str, account: int, amount: int, asset: int = BTC) -> Callable[[Tables], None]:
    def breaks(tables: Tables) -> None:
        rows = tables[table]
        chosen = rows["account"] == account
        if "asset" in (rows.dtype.names or ()):
            chosen &= rows["asset"] == asset
        assert chosen.any()
        rows[field][np.flatnonzero(chosen)[0]] += amount

    return breaks


def unlock(tables: Tables) -> None:
    change("balances", "free", BOB, 5)(tables)
    change("balances", "locked", BOB, -5)(tables)


def swap(tables: Tables) -> None:
    change("balances", "free", ALICE, -5)(tables)
    change("balances", "free", BOB, 5)(tables)


def forget_an_order(tables: Tables) -> None:
    tables["orders"] = tables["orders"][1:]


def end_a_hold(tables: Tables) -> None:
    held = (tables["references"]["kind"] == CommandKind.WITHDRAW_HOLD) & (tables["references"]["outcome"] == 0)
    tables["references"]["outcome"][held] = CommandKind.WITHDRAW_RELEASE


def count_wrongly(tables: Tables) -> None:
    tables["assets"]["total"][USDT] += 1


@pytest.mark.parametrize(
    ("breaks", "told"),
    [
        (change("balances", "free", ALICE, 1), ["alice, BTC: the state has"]),
        (change("balances", "free", 0, -1), ["fees, BTC: the state has"]),
        (change("balances", "locked", BOB, 1), ["bob, BTC: the state has", "bob, BTC: 10000001 is locked"]),
        (unlock, ["bob, BTC: 9999995 is locked, open orders and held withdrawals need 10000000"]),
        (swap, ["alice, BTC: the state has", "bob, BTC: the state has"]),
        (forget_an_order, ["alice, USDT: 4040000 is locked, open orders and held withdrawals need 0"]),
        (end_a_hold, ["alice, BTC: 40 is locked", "alice, withdrawal 'w40': the state and the journal"]),
        (count_wrongly, ["USDT: the state counts"]),
    ],
)
def test_a_broken_table_shows(breaks: Callable[[Tables], None], told: list[str]) -> None:
    matcher, books = busy()
    tables = {name: table.copy() for name, table in matcher.export().items()}
    breaks(tables)
    found = differences(books, tables)
    assert len(found) == len(told), found
    for line, beginning in zip(found, told, strict=True):
        assert line.startswith(beginning)


def test_a_ledger_that_loses_money_shows() -> None:
    """The engine's own balances, broken while it runs: the trades after that do not repair it."""
    desk = Desk(sequence=100)
    matcher, books = busy()
    slot = np.flatnonzero((matcher.state.balances["account"] == BOB) & (matcher.state.balances["asset"] == USDT))[0]
    matcher.state.balances["free"][slot] -= 7
    books.take(matcher.submit(records_of([desk.place(ALICE, SELL, 150, 5), desk.place(BOB, BUY, 150, 5)])))
    (line,) = differences(books, matcher.export())
    assert line.startswith("bob, USDT: the state has")


def altered(kind: EventKind, dtype: np.dtype, field: str, amount: int) -> Books:
    """The books of events of which one was altered."""
    desk, matcher, books = Desk(), Matcher(limits=LIMITS), Books()
    commands = [desk.asset("BTC", 8), desk.asset("USDT", 8), desk.market(taker_fee=100_000), desk.account("alice")]
    commands += [desk.deposit(ALICE, asset, RICH) for asset in (BTC, USDT)]
    commands += [desk.place(ALICE, SELL, 100, 10), desk.place(ALICE, BUY, 100, 10)]
    commands += [desk.hold(ALICE, BTC, 5, "w1"), desk.complete(ALICE, "w1")]
    events = matcher.submit(records_of(commands)).copy()
    records = events.view(dtype)
    records[field][np.flatnonzero(events["kind"] == kind)[-1]] += amount
    books.take(events)
    books.faults += differences(books, matcher.export())
    return books


@pytest.mark.parametrize(
    ("event", "told"),
    [
        ((EventKind.TRADE, TRADE, "quote_amount", 1), "quote amount is not its price times its quantity"),
        ((EventKind.TRADE, TRADE, "quantity", 1), "quote amount is not its price times its quantity"),
        ((EventKind.TRADE, TRADE, "taker_fee", 1), "the state has"),
        ((EventKind.TRADE, TRADE, "taker_fee_asset", 2), "the state has"),
        ((EventKind.BALANCE, BALANCE_EVENT, "held", 1), "it ends a withdrawal that is not held so"),
        ((EventKind.BALANCE, BALANCE_EVENT, "amount", 1), "what leaves is not what was held"),
    ],
)
def test_an_event_that_contradicts_itself_or_the_state_shows(
    event: tuple[EventKind, np.dtype, str, int], told: str
) -> None:
    assert any(told in fault for fault in altered(*event).faults)


def test_what_is_not_understood_is_refused() -> None:
    strange = np.zeros(1, EVENT)
    strange["kind"] = 200
    with pytest.raises(NotUnderstoodError, match="event kind 200"):
        Books().take(strange)
    with pytest.raises(NotUnderstoodError, match="a booking by command kind 99"):
        altered(EventKind.BALANCE, BALANCE_EVENT, "command_kind", 99 - CommandKind.WITHDRAW_COMPLETE)
    with pytest.raises(NotUnderstoodError, match="a trade in market 7"):
        altered(EventKind.TRADE, TRADE, "market", 7)
    matcher, books = busy()
    tables = matcher.export()
    tables["orders"]["order_type"][0] = 99
    with pytest.raises(NotUnderstoodError, match="type 99"):
        differences(books, tables)


# ---- data directories ---------------------------------------------------------------------------------------------


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A journal of random commands, and a snapshot in its midst."""
    stream = stream_records(seed=2, count=600)
    with JournalWriter(tmp_path / "journal", durability=Durability.OS, segment_records=256) as writer:
        writer.append(stream)
    cut = command_at(stream, 400)
    matcher = Matcher(limits=SMALL)
    follow(matcher, stream[:cut])
    write_snapshot(matcher.state, tmp_path / "snapshots")
    return tmp_path


def spoil(data_dir: Path) -> str:
    """Write the snapshot anew, with one unit more on a balance. Whose."""
    (path,) = (data_dir / "snapshots").glob("*.snap")
    state = load_snapshot(path)
    slot = int(np.flatnonzero(state.balances["account"] == BOB)[0])
    state.balances["free"][slot] += 1
    assert write_snapshot(state, data_dir / "snapshots") == path
    return f"bob, {state.assets['name'][state.balances['asset'][slot]].decode()}"


def test_a_sound_directory(data_dir: Path) -> None:
    report = audit_directory(data_dir)
    assert report.is_sound, report.findings
    assert report.from_sequence == 1 and report.snapshot_sequence > 390 and report.sequence > 600
    assert report.trades > 0 and report.bookings > 18 and report.remarks == []
    assert audit_directory(data_dir, 100).snapshot_sequence == 0  # before the snapshot
    with pytest.raises(AuditError, match="is past it"):
        audit_directory(data_dir, 100_000)


def test_a_snapshot_with_a_broken_balance(data_dir: Path) -> None:
    whose = spoil(data_dir)
    wrong, other = audit_directory(data_dir).findings
    assert wrong.startswith("snapshot ") and f": {whose}: the state has " in wrong
    assert other.endswith("it is not the state that the journal leads to")


def test_a_journal_that_begins_after_a_snapshot(data_dir: Path) -> None:
    assert retire(data_dir / "journal", 300) == 1
    report = audit_directory(data_dir)
    assert report.is_sound and report.from_sequence > 390
    assert len(report.remarks) == 1 and "are retired" in report.remarks[0]
    spoil(data_dir)  # what it starts from contradicts itself: the asset's total
    assert any("the state counts" in finding for finding in audit_directory(data_dir).findings)


def test_a_damaged_snapshot_is_passed_over(data_dir: Path) -> None:
    (path,) = (data_dir / "snapshots").glob("*.snap")
    path.write_bytes(b"rubbish")
    report = audit_directory(data_dir)
    assert report.is_sound and report.snapshot_sequence == 0
    assert report.remarks[0].startswith("passed over: ")


def test_what_cannot_be_audited(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(AuditError, match="not a data directory"):
        audit_directory(tmp_path_factory.mktemp("empty"))
    (path,) = (data_dir / "snapshots").glob("*.snap")
    path.unlink()
    retire(data_dir / "journal", 300)
    with pytest.raises(AuditError, match="1"):
        audit_directory(data_dir)


def ringex(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ringex", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False)


def test_the_command_line(data_dir: Path) -> None:
    done = ringex("audit", data_dir)
    assert done.returncode == 0 and done.stdout.endswith("\nsound\n"), done
    assert "\nUSDT: deposited " in done.stdout
    whose = spoil(data_dir)
    done = ringex("audit", data_dir)
    assert done.returncode == 1 and done.stdout.endswith("\nNOT SOUND\n")
    assert f": {whose}: the state has " in done.stdout
    assert done.stderr == f"ringex: 2 differences; the books of {data_dir} do not agree\n"
