"""The board: what gateways have counted, as others read it."""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from ringex.gateways import board
from ringex.gateways.board import NAMES_MAX, Board, make_board, read_board
from ringex.gateways.tally import remove_shared

ROOT = Path(__file__).parent.parent


@pytest.fixture
def name() -> Iterator[str]:
    made = f"ringex-test-{os.getpid()}-board"
    make_board(made, 2)
    yield made
    remove_shared(made)


def test_each_gateway_shows_its_own(name: str) -> None:
    first, second = Board(name, 0), Board(name, 1)
    first.tell(Counter(requests=5, refusals=2), {"open": lambda: 3})
    second.tell(Counter(requests=7), {})
    shown = read_board(name, time.time_ns())
    assert [told["counts"] for told in shown] == [{"requests": 5, "refusals": 2}, {"requests": 7}]
    assert [told["now"] for told in shown] == [{"open": 3}, {}]
    Board(name, 0)
    assert read_board(name, time.time_ns())[0]["counts"] == {}, "a next life begins with nothing"


def test_rates_are_of_the_last_seconds(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(board.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(board.time, "time_ns", lambda: int(now[0] * 1e9))
    own, counts = Board(name, 1), Counter[str]()
    for _ in range(31):  # ten a second for 31 s
        own.tell(counts, {})
        now[0] += 1
        counts["requests"] += 10
    told = read_board(name, int((now[0] - 1) * 1e9))[1]
    assert told["counts"] == {"requests": 300}
    assert told["rates"] == {"requests": 10.0}
    later = read_board(name, int((now[0] + 1000) * 1e9))[1]
    assert later["rates"]["requests"] < 0.2, "it fades where nothing comes any more"


def test_it_publishes_seldom_and_never_forgets_the_last_change(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(board.time, "monotonic", lambda: now[0])
    own, counts = Board(name, 0), Counter(requests=1)
    own.tell(counts, {})
    assert own.due is None, "everything is out"
    counts["requests"] = 2
    now[0] += 0.1
    own.tell(counts, {})
    assert read_board(name, 0)[0]["counts"] == {"requests": 1}
    assert own.due == 100.25
    now[0] = 100.25
    own.tell(counts, {})
    assert (read_board(name, 0)[0]["counts"], own.due) == ({"requests": 2}, None)


def test_too_many_names_are_left_out(name: str) -> None:
    own = Board(name, 0)
    own.tell(Counter({f"name{number}": number for number in range(1, NAMES_MAX + 50)}), {"open": lambda: 1})
    told = read_board(name, time.time_ns())[0]
    assert len(told["counts"]) == NAMES_MAX
    assert (told["counts"]["name7"], told["now"]) == (7, {})
    own = Board()
    own.tell(Counter(requests=1), {})


def test_everything_that_is_counted_is_in_the_runbook() -> None:
    """Names that are made up of parts stand there as `refused-<code>` and the like."""
    text = (ROOT / "docs" / "runbook.md").read_text()
    part = text[text.index("## What gateways count") : text.index("## HTTP clients")]
    documented = set(re.findall(r"`([a-z_<>0-9x-]+)`", part))
    found: set[str] = set()
    for path in (ROOT / "ringex").rglob("*.py"):
        source = path.read_text()
        found |= set(re.findall(r'counts\["(\w+)"\] \+= ', source))
        found |= set(re.findall(r'site\.count\("(\w+)"\)', source))
        found |= set(re.findall(r'\.drop\("(\w+)"\)', source)) | set(re.findall(r'end_streams\("(\w+)"\)', source))
        found |= set(re.findall(r'gauges\["(\w+)"\]', source))
        found |= {f"http_{status}" for status in re.findall(r"_Bad\((\d+)", source)}
    assert len(found) > 25
    assert found <= documented, f"not in docs/runbook.md: {sorted(found - documented)}"
