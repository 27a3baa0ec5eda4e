"""Kill processes of a running exchange, again and again under load, and check that nothing is lost or doubled.

    tools/crash_test.py --kills 500

Each exercise has an exchange, a data directory and clients of its own; exercises alternate between large rings and
segments and the smallest, and between the durability modes that survive the death of a process. What this cannot test
is the death of the machine: what SIGKILL leaves in the page cache, a loss of power does not. Exit code 0 only if every
check held. `--seed` repeats the choice of kills and orders; the moments at which they meet are the machine's.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from crashtest.exercise import LARGE, ROLES, SMALL, TOGETHER, WHOLE, Exercise, Tally  # noqa: E402

SHAPES = (SMALL, LARGE, replace(SMALL, durability="os"))
KILLS_PER_EXERCISE = 60
LAPPED_SLOTS_MAX = 1 << 12
"""Larger event rings take too long to go round."""
KINDS = (*ROLES, *TOGETHER, *WHOLE)
WEIGHTS = (*[8] * len(ROLES), *[4] * len(TOGETHER), *[1] * len(WHOLE))
"""Starting a whole exchange takes seconds, a process less than one."""


@click.command(help=__doc__, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--kills", default=500, show_default=True, help="How many processes or groups to kill in all.")
@click.option("--seed", type=int, default=None, help="[default: a new one, printed]")
@click.option("--keep", is_flag=True, help="Keep the data directories of exercises that failed.")
def main(kills: int, seed: int | None, keep: bool) -> None:
    seed = random.SystemRandom().randrange(1 << 32) if seed is None else seed
    rng, total, failed = random.Random(seed), Tally(), 0
    click.echo(f"seed {seed}")
    begun = time.monotonic()
    while total.kills.total() < kills:
        shape, own_seed = SHAPES[total.checked["exercises"] % len(SHAPES)], rng.randrange(1 << 32)
        folder = Path(tempfile.mkdtemp(prefix="rxc"))
        click.echo(f"exercise {total.checked['exercises']}: seed {own_seed}, {shape}, {folder}")
        with Exercise(folder, own_seed, shape) as exercise:
            _exercise(exercise, min(KILLS_PER_EXERCISE, kills - total.kills.total()))
            failed += bool(exercise.faults)
            for fault in exercise.faults[:20]:
                click.echo(f"FAULT {fault}")
        total.add(exercise.tally)
        total.checked["exercises"] += 1
        if not (keep and exercise.faults):
            _remove(folder)
        click.echo(f"{time.monotonic() - begun:.0f} s, {total.kills.total()} kills, {failed} exercises failed")
    click.echo("\n".join(total.lines()))
    sys.exit(1 if failed else 0)


def _exercise(exercise: Exercise, kills: int) -> None:
    while (left := kills - exercise.tally.kills.total()) > 0 and not exercise.faults:
        kinds = exercise.rng.choices(KINDS, WEIGHTS, k=min(left, 4))
        exercise.round(kinds, seconds=exercise.rng.uniform(0.3, 2.5))
        click.echo(
            f"  {exercise.tally.kills.total()} kills, {exercise.tally.checked.total()} checks: {', '.join(kinds)}"
        )
    if not exercise.faults and exercise.shape.event_ring_slots <= LAPPED_SLOTS_MAX:
        exercise.lap(exercise.rng.choice(["publisher", "gateway-0", "gateway-1"]))
    exercise.finish()


def _remove(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    folder.rmdir()


if __name__ == "__main__":
    main()
