"""Run random commands through the engine for as long as you like, with crashes and snapshots in between.

    tools/simulate.py --minutes 30
    tools/simulate.py --seed 7 --commands 5000000

A run is a row of episodes, each an exchange of its own from its first command on. In every fifth the reference
exchange of tests/ runs beside the engine and every event is compared; the others go on alone, fifty times as long, in
larger tables. After every command (`--every`) compiled code checks the engine's whole state: no crossed book, nothing
negative, locked is what open orders need, sums change by bookings alone, first in first out at each price, no stop
order that should have fired. A crash cuts the journal at any byte behind the newest snapshot; what comes back must be
what was there.

Everything follows from the seed and the commit. A failure is told with the commands before it, and with the command
line that repeats it; an episode with the reference is shrunk first. Exit code 0 only if nothing failed.
"""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from reference.records import describe  # noqa: E402
from simulation.episode import Episode, Rolls  # noqa: E402
from simulation.shrinking import shrink  # noqa: E402
from simulation.world import BrokenError, Tally  # noqa: E402

BESIDE_COMMANDS = 1_000
ALONE_COMMANDS = 50_000
ROUND = 5
"""Of so many episodes one has the reference beside it."""


@click.command(help=__doc__, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--seed", type=int, default=None, help="[default: a new one, printed]")
@click.option("--commands", default=1_000_000, show_default=True, help="Stop after so many.")
@click.option("--minutes", type=float, default=None, help="Stop after so many minutes instead.")
@click.option("--every", default=1, show_default=True, help="Check the state after every so many commands.")
@click.option("--episode", type=int, default=None, help="Only this episode of the run.")
def main(seed: int | None, commands: int, minutes: float | None, every: int, episode: int | None) -> None:
    seed = random.SystemRandom().randrange(1 << 32) if seed is None else seed
    click.echo(f"seed {seed}, commit {_commit()}")
    begun, tally, done, number = time.monotonic(), Tally(), 0, episode or 0
    while True:
        one = _episode(seed, number, every)
        one.tally = tally
        try:
            one.run()
        except (BrokenError, AssertionError) as error:
            _tell(one, number, seed, error)
            sys.exit(1)
        done += one.commands
        seconds = time.monotonic() - begun
        click.echo(f"{seconds:.0f} s, episode {number}: {done} commands, {_summary(tally)}")
        number += 1
        if episode is not None or (done >= commands if minutes is None else seconds >= minutes * 60):
            return


def _episode(seed: int, number: int, every: int) -> Episode:
    beside = number % ROUND == 0
    own = random.Random(f"{seed} {number}").randrange(1 << 62)
    return Episode(own, BESIDE_COMMANDS if beside else ALONE_COMMANDS, beside, every)


def _summary(tally: Tally) -> str:
    return (
        f"{tally.records} records, {tally.events} events, {tally.snapshots} snapshots, {tally.crashes} crashes "
        f"({tally.within_chains} within a chain, {tally.torn} within a record, {tally.bad_snapshots} with a bad "
        f"snapshot), {tally.lost} records lost and taken again"
    )


def _tell(episode: Episode, number: int, seed: int, error: Exception) -> None:
    click.echo(f"FAILED: {type(error).__name__}: {error}")
    click.echo("the last commands before it:")
    click.echo("\n".join(describe(command) for command in episode.last_commands))
    click.echo(f"again: tools/simulate.py --seed {seed} --episode {number} (commit {_commit()})")
    if episode.beside:
        rolls = shrink(episode.rolls(), lambda rolls: bool(_failure(episode, rolls)))
        click.echo(f"shrunk to {len(rolls)} commands: {_failure(episode, rolls)}")
        click.echo("\n".join(describe(command) for command in episode.last_commands))


def _failure(episode: Episode, rolls: Rolls) -> str:
    try:
        episode.run(rolls)
    except (BrokenError, AssertionError) as error:
        return f"{type(error).__name__}: {error}"
    return ""


def _commit() -> str:
    found = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True)
    return found.stdout.strip() or "unknown"


if __name__ == "__main__":
    main()
