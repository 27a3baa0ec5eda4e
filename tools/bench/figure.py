"""A figure: what was measured, beside the floor of the same run; and a report of many, as JSON."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

REPOSITORY: Final = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Options:
    """What every leg is told: how often each figure is taken, how large a run is, and where files go."""

    repeats: int
    scale: float
    """1.0: the sizes that docs/performance.md quotes."""
    folder: Path
    cores: tuple[int, int]
    say: Callable[[str], None]

    def count(self, full: int, least: int = 1) -> int:
        return max(least, int(full * self.scale))


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """Medians over the repeats. `reach` is what the ratio should reach: at most, or (`at_least`) at least; 0: nothing.

    Where there is no floor, `reach` is of the value itself.
    """

    leg: str
    name: str
    value: float
    unit: str
    floor: float = 0.0
    floor_name: str = ""
    ratio: float = 0.0
    least: float = 0.0
    most: float = 0.0
    reach: float = 0.0
    at_least: bool = True

    @property
    def reached(self) -> bool | None:
        """None: there is nothing to reach."""
        if not self.reach:
            return None
        measured = self.ratio if self.floor_name else self.value
        return measured >= self.reach if self.at_least else measured <= self.reach


def figure(
    leg: str,
    name: str,
    unit: str,
    values: Sequence[float],
    *,
    floor_name: str = "",
    floors: Sequence[float] = (),
    reach: float = 0.0,
    at_least: bool = True,
) -> Figure:
    """One figure of values taken in turn with their floors: its ratio is the median of each turn's own."""
    ratios = [value / floor for value, floor in zip(values, floors, strict=True)] if floors else []
    spread = ratios or list(values)
    return Figure(
        leg=leg,
        name=name,
        unit=unit,
        value=statistics.median(values),
        floor=statistics.median(floors) if floors else 0.0,
        floor_name=floor_name,
        ratio=statistics.median(ratios) if ratios else 0.0,
        least=min(spread),
        most=max(spread),
        reach=reach,
        at_least=at_least,
    )


class Report(msgspec.Struct, kw_only=True):
    commit: str
    machine: dict[str, Any]
    options: dict[str, Any]
    figures: list[Figure]


def report(figures: list[Figure], options: Options) -> Report:
    told = {name: value for name, value in asdict(options).items() if name in ("repeats", "scale", "cores")}
    return Report(commit=_commit(), machine=_machine(), options=told, figures=figures)


def _commit() -> str:
    words = ["git", "-C", str(REPOSITORY), "describe", "--always", "--dirty", "--abbrev=10"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def _machine() -> dict[str, Any]:
    names = [line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    return {
        "processor": names[0] if names else platform.machine(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_average": os.getloadavg()[0],
    }


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
