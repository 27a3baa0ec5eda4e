"""`ringex audit`: the journal of a data directory replayed, its events accounted for, and the outcome compared.

Reads only; a running exchange is not disturbed. The events come from a replay, as events are not on disk; what is
independent of the engine is the accounting: see `books`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ringex.audit.books import AssetFlow, Books, NotUnderstoodError
from ringex.audit.comparison import differences, needs
from ringex.engine.export import export_state, hash_of
from ringex.engine.replay import Replayer
from ringex.engine.snapshot import newest_valid_snapshot
from ringex.engine.state import State
from ringex.journal.errors import JournalError
from ringex.journal.reader import JournalReader
from ringex.replaying import ReplayError, begin


class AuditError(Exception):
    """The audit cannot be made; the message says why."""


@dataclass
class AssetReport:
    """Amounts as integers of the asset's smallest unit, `scale` decimals."""

    name: str
    scale: int
    deposited: int
    withdrawn: int
    traded: int
    fees: int
    owned: int
    locked: int
    held: int  # for withdrawals, a part of `locked`


@dataclass
class AuditReport:
    """`findings` is empty where everything agrees. Amounts before `from_sequence` are only in what is owned."""

    sequence: int = 0
    from_sequence: int = 1
    events: int = 0
    trades: int = 0
    bookings: int = 0
    balances: int = 0
    snapshot_sequence: int = 0  # the newest sound snapshot that was compared too; 0: there is none
    assets: list[AssetReport] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    @property
    def is_sound(self) -> bool:
        return not self.findings


def audit_directory(data_dir: Path, to_sequence: int | None = None) -> AuditReport:
    """Audit a data directory up to command `to_sequence` (None: the end). Raises AuditError.

    Where the journal's beginning has been retired, the accounting starts from the balances of the oldest snapshot that
    the journal follows on: what was before that is taken on trust.
    """
    journal_dir = data_dir / "journal"
    if not journal_dir.is_dir():
        raise AuditError(f"{data_dir}: not a data directory: it has no journal folder")
    try:
        with JournalReader(journal_dir) as reader:
            state, opening = begin(reader, data_dir / "snapshots", to_sequence)
            return _audit(reader, data_dir / "snapshots", state, opening, to_sequence)
    except (JournalError, OSError, ReplayError, NotUnderstoodError, ValueError) as error:
        raise AuditError(str(error)) from error


def _audit(
    reader: JournalReader,
    snapshot_dir: Path,
    state: State,
    opening: dict[str, np.ndarray] | None,
    to_sequence: int | None,
) -> AuditReport:
    books, report = Books(), AuditReport(from_sequence=int(state.root["command_sequence"]) + 1)
    if opening is not None:
        books.open(opening)
        retired = f"commands before {report.from_sequence} are retired: a snapshot's balances are the start"
        report.remarks.append(retired)
        report.findings += _at("the snapshot it starts from", differences(books, opening))
    path, snapshot, complaints = newest_valid_snapshot(snapshot_dir)
    report.remarks += [f"passed over: {complaint}" for complaint in complaints]
    at = int(snapshot["counters"]["command_sequence"][0]) if path else 0
    replayer = Replayer(state)
    if path and report.from_sequence <= at and (to_sequence is None or at <= to_sequence):
        _follow(reader, replayer, books, at)
        if int(state.root["command_sequence"]) < at:
            raise AuditError(f"the journal ends at {state.root['command_sequence']}, before snapshot {at}")
        report.snapshot_sequence = at
        where = f"snapshot {at}"
        report.findings += _at(where, differences(books, snapshot))
        if hash_of(snapshot) != hash_of(export_state(state)):
            report.findings.append(f"{where}: it is not the state that the journal leads to")
    _follow(reader, replayer, books, to_sequence)
    report.sequence = int(state.root["command_sequence"])
    if to_sequence is not None and report.sequence < to_sequence:
        raise AuditError(f"the journal ends at sequence {report.sequence}; --to {to_sequence} is past it")
    tables = export_state(state)
    report.findings += _at(f"command {report.sequence}", differences(books, tables))
    report.findings += books.faults
    if books.faults_count > len(books.faults):
        report.findings.append(f"and {books.faults_count - len(books.faults)} events more that contradict themselves")
    report.events, report.trades, report.bookings = books.events, books.trades, books.bookings
    report.balances = len(tables["balances"])
    report.assets = _asset_reports(books, tables)
    return report


def _follow(reader: JournalReader, replayer: Replayer, books: Books, to_sequence: int | None) -> None:
    """Replay from where the state stands to `to_sequence`, and account for the events."""
    first = int(replayer.state.root["command_sequence"]) + 1
    for commands in reader.read(first, to_sequence):
        for events in replayer.apply(commands):
            books.take(events)


def _at(where: str, found: list[str]) -> list[str]:
    return [f"{where}: {line}" for line in found]


def _asset_reports(books: Books, tables: dict[str, np.ndarray]) -> list[AssetReport]:
    rows = []
    needed = needs(books.markets, tables)
    for number, asset in enumerate(tables["assets"]):
        flow = books.flows.get(number, AssetFlow())
        row = AssetReport(
            name=asset["name"].decode("ascii", "replace"),
            scale=int(asset["scale"]),
            deposited=flow.deposited,
            withdrawn=flow.withdrawn,
            traded=flow.traded,
            fees=flow.fees,
            owned=sum(amount for (_, of), amount in books.owned.items() if of == number),
            locked=sum(amount for (_, of), amount in needed.items() if of == number),
            held=sum(amount for of, amount in books.held.values() if of == number),
        )
        rows.append(row)
    return rows
