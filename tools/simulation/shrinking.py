"""Shrinking: an episode that fails, made of as few commands as a bounded number of attempts finds."""

from __future__ import annotations

from collections.abc import Callable

from simulation.episode import Rolls

ATTEMPTS_MAX = 150


def shrink(rolls: Rolls, fails: Callable[[Rolls], bool], attempts_max: int = ATTEMPTS_MAX) -> Rolls:
    """Leave out ever smaller parts while what is left still fails. Other commands may fail in another way."""
    part, attempts = max(1, len(rolls) // 2), 0
    while attempts < attempts_max:
        at, found = 0, False
        while at < len(rolls) and attempts < attempts_max:
            candidate = [*rolls[:at], *rolls[at + part :]]
            attempts += 1
            if candidate and fails(candidate):
                rolls, found = candidate, True
            else:
                at += part
        if part == 1 and not found:
            break
        part = max(1, part // 2)
    return rolls
