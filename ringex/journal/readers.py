"""Registered readers: who reads the journal besides matcher and replica, and how far each is (law 11).

Each has a file, readers/NAME.json, that says up to which command it has everything on disk. To go on from there it
needs the newest snapshot before that command, and the journal from there: neither is given up, within a bound.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any


def tell(directory: Path, name: str, command_sequence: int, **more: int) -> None:
    """Say how far reader `name` is; `more` is for those who look at it. Raises OSError."""
    directory.mkdir(exist_ok=True)
    temporary = directory / f"{name}.new"
    document = {"command_sequence": command_sequence, **more}
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        os.write(descriptor, json.dumps(document).encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    temporary.replace(directory / f"{name}.json")


def told(directory: Path) -> dict[str, dict[str, Any]]:
    """What every reader has said, by name; one whose file is damaged counts as standing at the beginning."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(directory.glob("*.json")):
        try:
            document = json.loads(path.read_bytes())
            found[path.stem] = document if isinstance(document["command_sequence"], int) else {"command_sequence": 0}
        except (ValueError, KeyError, TypeError):
            found[path.stem] = {"command_sequence": 0}
        except FileNotFoundError:
            continue
    return found


def positions(directory: Path) -> list[int]:
    """The commands up to which the registered readers are."""
    return [int(document["command_sequence"]) for document in told(directory).values()]


def needed_snapshot(snapshots: Iterable[int], position: int) -> int:
    """The snapshot, named by its command, from which a reader at `position` can go on; 0: from the journal's start."""
    return max((snapshot for snapshot in snapshots if snapshot < position), default=0)


def needed_from(snapshots: Sequence[int], readers: Iterable[int], records_max: int) -> int:
    """The first command that must stay in the journal: for the second newest of `snapshots`, and for every reader.

    For readers at most `records_max` commands before the newest snapshot are kept. 1 where nothing may go.
    """
    if len(snapshots) < 2:
        return 1
    ordered = sorted(snapshots)
    starts = [needed_snapshot(ordered, reader) + 1 for reader in readers]
    kept_anyway = ordered[-2] + 1
    return max(min([kept_anyway, *starts]), min(kept_anyway, ordered[-1] + 1 - records_max))


def snapshots_needed(snapshots: Sequence[int], readers: Iterable[int], records_max: int) -> set[int]:
    """Those of `snapshots` that readers go on from, if the journal behind them is still kept."""
    first = needed_from(snapshots, readers := list(readers), records_max)
    return {start for reader in readers if (start := needed_snapshot(snapshots, reader)) and start + 1 >= first}
