"""A child of the supervisor: how it is forked, bound to it, pinned, and how it says that it serves."""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

import psutil

from ringex.config import Run, Settings

PROCESS_NAME_BYTES_MAX: Final = 15
READY_LINE_BYTES_MAX: Final = 64
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NAME: Final = 15
_LIBC: Final = ctypes.CDLL(None, use_errno=True)

Main = Callable[[Settings, Run], int | None]
"""What a child does until SIGTERM; the result is its exit code, None for 0."""


@dataclass(frozen=True)
class Role:
    """One process of the exchange."""

    name: str
    main: Main
    start_stage: int
    """Started in ascending order; a stage begins when all of the one before serve."""
    stop_stage: int
    """Stopped in ascending order; a stage begins when all of the one before are gone."""
    stop_seconds: float = 10.0
    """How long SIGTERM may take before SIGKILL."""
    niceness: int = 0
    core_rank: int = 0
    """Which of the `--cores`, counted from 0; the last where there are fewer."""


@dataclass
class Child:
    """One life of a role."""

    role: Role
    pid: int
    pidfd: int
    """Readable once the process has ended."""
    ready_fd: int
    """Reading end of its ready pipe; -1 once it is closed."""
    ready: bool = False
    exit_code: int | None = field(default=None)
    """As subprocess has it: negative for a signal."""

    def reap(self) -> int:
        """Collect the ended process; its exit code. Only when `pidfd` is readable."""
        assert self.exit_code is None, f"{self.role.name} is reaped once"
        _, status = os.waitpid(self.pid, 0)
        self.exit_code = os.waitstatus_to_exitcode(status)
        os.close(self.pidfd)
        self.close_ready()
        return self.exit_code

    def take_ready(self) -> bool:
        """Read the ready pipe and close it. True if the child has said its line."""
        try:
            line = os.read(self.ready_fd, READY_LINE_BYTES_MAX)
        except BlockingIOError:  # no line, but a process that the child started still holds the pipe
            line = b""
        self.close_ready()
        self.ready = bool(line)
        return self.ready

    def close_ready(self) -> None:
        if self.ready_fd >= 0:
            os.close(self.ready_fd)
            self.ready_fd = -1


def fork_child(role: Role, settings: Settings, run: Run, incarnation: int) -> Child:
    """Fork a process that lives `role.main`. No thread may run here yet: a fork would copy its locks, held for ever."""
    supervisor_pid = os.getpid()
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        _live(role, settings, replace(run, ready_fd=writing, incarnation=incarnation), supervisor_pid)
    os.close(writing)
    return Child(role, pid, os.pidfd_open(pid), reading)


def _live(role: Role, settings: Settings, run: Run, supervisor_pid: int) -> None:
    """The child's whole life; never returns."""
    code = 1
    try:
        _bind_to_supervisor(supervisor_pid)
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        os.setpgid(0, 0)  # a signal to the whole group must not upset the supervisor's order of stopping
        _LIBC.prctl(_PR_SET_NAME, f"rx-{role.name}"[:PROCESS_NAME_BYTES_MAX].encode(), 0, 0, 0)
        logging.basicConfig(format=f"ringex: {role.name}: %(message)s", force=True)
        if settings.cores:
            psutil.Process().cpu_affinity([settings.cores[min(role.core_rank, len(settings.cores) - 1)]])
        if role.niceness:
            os.nice(role.niceness)
        gc.freeze()  # what the supervisor has made stays for ever: no collection need look at it
        code = role.main(settings, run) or 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException as error:
        text = " ".join(str(error).split())
        print(f"ringex: {role.name}: {type(error).__name__}: {text}", file=sys.stderr)
        if os.environ.get("RINGEX_DEBUG"):
            traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _bind_to_supervisor(supervisor_pid: int) -> None:
    """Die when the supervisor does, even if it died before this line."""
    if _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != supervisor_pid:
        os._exit(1)
