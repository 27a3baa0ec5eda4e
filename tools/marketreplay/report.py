"""The comparison as a table for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.table import Table

from .compare import Comparison, Outcome
from .convert import Conversion
from .journal import JournalReport


def print_report(console: Console, conversion: Conversion, comparison: Comparison, commands_per_second: float) -> None:
    """Messages by kind, commands, trades and fills, each exception with its cause, and examples of what has none."""
    messages = _table("messages of the recording", "records")
    for (action, taken_for), count in sorted(conversion.messages.items()):
        messages.add_row(f"{action}  {taken_for}", f"{count:,}")
    messages.add_row("all", f"{sum(conversion.messages.values()):,}", style="bold")
    console.print(messages)

    commands = _table("commands sent", "commands")
    commands.add_row("place GTC, of the opening book", f"{conversion.opening:,}")
    kinds = Counter(intention.kind.value for intention in conversion.intentions[conversion.opening :])
    for kind, count in sorted(kinds.items()):
        commands.add_row(kind, f"{count:,}")
    commands.add_row("  of the amends: iceberg's hidden part shown", f"{conversion.reserves_shown:,}")
    commands.add_row("all", f"{len(conversion.intentions):,}", style="bold")
    commands.add_row("commands/s", f"{commands_per_second:,.0f}")
    console.print(commands)

    trades = _table("trades and fills", "trades", "fills")
    left_out = sum(conversion.fills_not_asked.values())
    trades.add_row("recorded", f"{conversion.trades:,}", f"{comparison.fills_expected + left_out:,}")
    trades.add_row("asked for", f"{comparison.trades_expected:,}", f"{comparison.fills_expected:,}")
    trades.add_row("matched", f"{comparison.trades_matched:,}", f"{comparison.fills_matched:,}", style="bold")
    for difference in _by_count(comparison.trades_differing):
        counts = comparison.trades_differing[difference], comparison.fills_differing[difference]
        trades.add_row(f"exception: {difference}", *(f"{count:,}" for count in counts))
    for cause in _by_count(conversion.trades_not_asked):
        counts = conversion.trades_not_asked[cause], conversion.fills_not_asked[cause]
        trades.add_row(f"exception: {cause}", *(f"{count:,}" for count in counts))
    console.print(trades)

    for reason in _by_count(comparison.refused):
        console.print(f"[red]refused[/red] {comparison.refused[reason]:,} commands: {reason}", soft_wrap=True)
    if not comparison.in_order:
        console.print("[red]out of order[/red] trade ids do not rise with the commands that caused them")
    for example in comparison.examples:
        console.print(f"[red]for example[/red] {example}", soft_wrap=True)
    console.print("every difference has a known cause" if comparison.explained else "[red]not explained[/red]")


def print_journal(console: Console, journal: JournalReport, outcome: Outcome) -> bool:
    """What the exchange's journal gives when it is replayed. Whether it agrees with all else."""
    same_fills = journal.outcome.fills == outcome.fills
    table = _table("the exchange's journal, replayed", "")
    table.add_row("commands", f"{journal.commands:,}")
    table.add_row("events", f"{journal.events:,}")
    table.add_row("state hash", journal.state_hash[:16])
    table.add_row("  of the snapshot written at the stop", journal.snapshot_hash[:16])
    equal = f"{journal.order_events_equal:,} of {journal.order_events:,}"
    table.add_row("events equal to a matcher's in this process (all but times and session)", equal)
    table.add_row("fills equal to those that the client was told", "all" if same_fills else "NOT ALL")
    console.print(table)
    agrees = journal.agrees and same_fills
    if not agrees:
        console.print("[red]the journal does not agree with the run[/red]")
    return agrees


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _by_count(counter: Counter[Any]) -> Iterable[Any]:
    return (key for key, _ in counter.most_common())
