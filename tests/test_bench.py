"""The benchmarks run, small, and write what they say they write."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).resolve().parent.parent / "tools" / "bench"
LEGS = ("engine", "journal", "pipeline", "recovery", "history")


def run(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCH), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)


def test_a_report_has_every_leg_its_floors_and_a_plot(tmp_path: Path) -> None:
    report, plot = tmp_path / "report.json", tmp_path / "plot.png"
    small = ("--scale", 0.002, "--repeats", 1, "--folder", tmp_path)
    done = run(*LEGS, *small, "--json", report, "--plot", plot)
    assert done.returncode == 0, done.stderr
    figures = json.loads(report.read_text())["figures"]
    assert {figure["leg"] for figure in figures} == set(LEGS)
    for figure in figures:
        assert figure["value"] > 0
        if figure["floor_name"]:
            assert figure["ratio"] == figure["value"] / figure["floor"]  # of one turn alone
    assert plot.read_bytes().startswith(b"\x89PNG")
    again = run("engine", *small, "--compare", report)
    assert again.returncode == 0, again.stderr
    assert "against" in again.stdout


def test_cores_that_cannot_be_had_are_refused() -> None:
    done = run("ring", "--cores", "0,0")
    assert done.returncode == 2
    assert "two different numbers" in done.stderr
