"""What every test shares: nothing of an exchange may outlive the tests that made it."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from ringex.warmup import warm_up

SHM_DIR = Path("/dev/shm")
PR_SET_CHILD_SUBREAPER = 36
SETTLE_SECONDS = 5.0


def pytest_sessionstart() -> None:
    """Compile the hot loops, or load them from the cache, so that no test's time-out pays for a cold cache."""
    warm_up()


@pytest.fixture(scope="session", autouse=True)
def nothing_is_left_behind() -> Iterator[None]:
    """Fail the session if it leaves a process, a listening port or a shared-memory segment.

    Orphans of killed supervisors are handed to this process (it is their subreaper), so they are seen here too.
    """
    assert ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
    segments_before = _segments()
    yield
    deadline = time.monotonic() + SETTLE_SECONDS
    while (left := _left_behind(segments_before)) and time.monotonic() < deadline:
        time.sleep(0.05)
    for pid, _ in _processes():
        psutil.Process(pid).kill()
    assert not left, "the tests left behind:\n" + "\n".join(left)


def _left_behind(segments_before: set[str]) -> list[str]:
    left = [f"process {pid}: {command}" for pid, command in _processes()]
    left += [
        f"listening port {connection.laddr.port}"
        for connection in psutil.Process().net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    ]
    segments = _segments() - segments_before
    if segments:
        left += [f"segment {SHM_DIR / name}" for name in sorted(segments - _mapped_by_strangers(segments))]
    return left


def _segments() -> set[str]:
    return {path.name for path in SHM_DIR.iterdir() if path.name.startswith(("ringex", "tallies-ringex"))}


def _processes() -> list[tuple[int, str]]:
    """Children that still run, of any depth; zombies that nobody waited for are reaped. Test workers do not count."""
    found = []
    for child in psutil.Process().children(recursive=True):
        try:
            if child.status() == psutil.STATUS_ZOMBIE:
                if child.ppid() == os.getpid():
                    child.wait(timeout=1)
                continue
            command = " ".join(child.cmdline())
        except psutil.NoSuchProcess:
            continue
        if "execnet" not in command and "resource_tracker" not in command:
            found.append((child.pid, command))
    return found


def _mapped_by_strangers(segments: set[str]) -> set[str]:
    """Those of `segments` that a process outside this session has mapped: another session's, running beside it."""
    own = {os.getpid(), *(child.pid for child in psutil.Process().children(recursive=True))}
    mapped = set()
    for pid in psutil.pids():
        if pid in own:
            continue
        try:
            maps = Path(f"/proc/{pid}/maps").read_text()
        except OSError:
            continue
        mapped |= {name for name in segments if f"{SHM_DIR / name}" in maps}
    return mapped
