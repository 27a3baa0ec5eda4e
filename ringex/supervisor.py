"""The supervisor: starts the exchange's processes in order, watches them, starts dead ones again, stops them in order.

It owns what the processes share: the lock of the data directory, every ring, the doorbells. It takes no part in what
they do, and holds no exchange state. Children die with it. What a crashed run left in its command rings is handed to
the matcher first; the memory is removed once the matcher serves, and not before.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import selectors
import signal
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final

from ringex.child import Child, Role, fork_child
from ringex.config import Run, Settings
from ringex.gateways.board import make_board
from ringex.gateways.tally import make_tallies, remove_shared
from ringex.preflight import CannotStart, DataDirLock, check_endpoints, check_space, make_data_dir
from ringex.ring import Ring, RingError

STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
RESTART_WINDOW_SECONDS: Final = 60.0
RESTART_DELAY_SECONDS: Final = 0.05
"""Before a second restart within the window; doubled for every further one, up to RESTART_DELAY_SECONDS_MAX."""
RESTART_DELAY_SECONDS_MAX: Final = 1.0
EVENT_READERS_MAX: Final = 96
KILL_WAIT_SECONDS: Final = 5.0


def run_exchange(settings: Settings, roles: Sequence[Role] | None = None) -> int:
    """Run the exchange until SIGINT, SIGTERM or SIGHUP; the exit code: 0 after a clean stop.

    `roles` replaces the exchange's own processes. Every failure is one line on stderr. Must be called in the main
    thread, with no other Python thread running.
    """
    assert threading.active_count() == 1, "a fork would copy the locks of other threads"
    try:
        make_data_dir(settings)
        lock = DataDirLock(settings)
    except CannotStart as error:
        return _fail(str(error))
    try:
        check_endpoints(settings)
        check_space(settings)
        if roles is None:
            from ringex.roles import prepare  # it imports every process's code: only once the checks have passed

            roles = prepare(settings)
        with _rings(settings) as rings:
            return Supervisor(settings, roles, rings).run()
    except (CannotStart, RingError) as error:
        return _fail(str(error))
    finally:
        lock.release()


@dataclass
class Rings:
    """The shared memory of one run, and what crashed runs left."""

    epoch: int
    event_ring: str
    command_rings: tuple[str, ...]
    leftovers: tuple[str, ...]
    """Rings of crashed runs on the same data directory, oldest first; command and event rings."""
    tallies: str
    """What the gateways count together."""
    board: str
    """What they show of what they have counted."""
    keep_command_rings: bool = False
    """They may hold what no matcher has taken: the next start must drain them."""

    @property
    def leftover_command_rings(self) -> tuple[str, ...]:
        return tuple(name for name in self.leftovers if not name.endswith("-e"))

    def remove_leftovers(self) -> None:
        for name in self.leftovers:
            Ring.unlink(name)
        self.leftovers = ()


def ring_prefix(settings: Settings) -> str:
    """What the names of a data directory's rings begin with: equal for all runs on it, on any path to it."""
    real_path = os.fsencode(settings.data_dir.resolve())
    return f"ringex-{hashlib.blake2b(real_path, digest_size=6).hexdigest()}-"


def tallies_prefix(settings: Settings) -> str:
    """What the names of its tallies begin with."""
    return f"tallies-{ring_prefix(settings)}"


@contextmanager
def _rings(settings: Settings) -> Iterator[Rings]:
    """Make the run's rings; remove them at the end. Raises RingError, and then nothing has been made."""
    prefix = ring_prefix(settings)
    pattern = re.compile(re.escape(prefix) + r"([0-9a-f]{16})-(?:c[0-9]{2}|e)")
    found = [match for name in Ring.list(prefix) if (match := pattern.fullmatch(name))]
    epoch = max([time.time_ns(), *(int(match[1], 16) + 1 for match in found)])
    command_rings = tuple(f"{prefix}{epoch:016x}-c{k:02}" for k in range(settings.numbered_gateways))
    tallies = tallies_prefix(settings)
    leftovers = tuple(sorted(match[0] for match in found))
    rings = Rings(
        epoch, f"{prefix}{epoch:016x}-e", command_rings, leftovers, f"{tallies}{epoch:016x}", f"{tallies}{epoch:016x}-b"
    )
    for name in Ring.list(tallies):
        remove_shared(name)  # of a crashed run: nobody needs them
    made: list[str] = []
    try:
        for name in rings.command_rings:
            Ring.create(name, settings.command_ring_slots, epoch, gated=True).close()
            made.append(name)
        readers_max = min(max(16, settings.event_readers), EVENT_READERS_MAX)
        _make_tallies(rings, settings)
        Ring.create(rings.event_ring, settings.event_ring_slots, epoch, gated=False, readers_max=readers_max).close()
        made.append(rings.event_ring)
        yield rings
    finally:
        remove_shared(rings.tallies)
        remove_shared(rings.board)
        for name in made:
            if name == rings.event_ring or not rings.keep_command_rings:
                Ring.unlink(name)


def _make_tallies(rings: Rings, settings: Settings) -> None:
    try:
        make_tallies(rings.tallies, settings.numbered_gateways)
        make_board(rings.board, settings.numbered_gateways)
    except OSError as error:
        raise RingError(f"tallies {rings.tallies}: /dev/shm: {error.strerror}") from error


@dataclass
class _Watch:
    """A role over all its lives in this run."""

    role: Role
    child: Child | None = None
    incarnation: int = 0
    restarts: int = 0
    recent_restarts: deque[float] = field(default_factory=deque)
    restart_at: float | None = None
    """Monotonic time of the next start, while it waits for one."""


class _GiveUp(Exception):
    """The exchange cannot go on; the message says why."""


class Supervisor:
    """One run of the group of processes."""

    def __init__(self, settings: Settings, roles: Sequence[Role], rings: Rings) -> None:
        assert len({role.name for role in roles}) == len(roles), "a role's name is used once"
        self._settings = settings
        self._rings = rings
        self._watches = [_Watch(role) for role in roles]
        readers = settings.event_readers
        self._doorbells = tuple(os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC) for _ in range(readers))
        self._run = Run(
            epoch=rings.epoch,
            event_ring=rings.event_ring,
            command_rings=rings.command_rings,
            doorbells=self._doorbells,
            tallies=rings.tallies,
            board=rings.board,
            leftover_rings=rings.leftover_command_rings,
        )
        self._selector = selectors.DefaultSelector()
        self._stopping = False
        self._started_ns = time.time_ns()

    def run(self) -> int:
        """Start, serve, stop. The exit code."""
        with self._signals():
            code = 0
            try:
                self._start()
                self._serve()
            except _GiveUp as error:
                code = _fail(str(error))
            finally:
                clean = self._stop()
                self._selector.close()
                for fd in self._doorbells:
                    os.close(fd)
            return code if clean else 1

    # ---- starting

    def _start(self) -> None:
        """Start stage by stage, each when the one before serves; then say so. Returns early if told to stop."""
        for stage in sorted({watch.role.start_stage for watch in self._watches}):
            watches = [watch for watch in self._watches if watch.role.start_stage == stage]
            for watch in watches:
                self._fork(watch)
            while not self._stopping and not all(watch.child and watch.child.ready for watch in watches):
                self._turn()
            if self._stopping:
                return
            if self._rings.leftovers:
                self._forget_leftovers()
        self._write_run("ready")
        zmq = ",".join(self._settings.gateway_endpoint(k) for k in range(self._settings.gateways))
        pub, data = self._settings.pub_endpoint, self._settings.data_dir
        http = self._settings.http_url or "off"
        print(f"ready zmq={zmq} pub={pub} http={http} pid={os.getpid()} data={data}", flush=True)

    def _forget_leftovers(self) -> None:
        """The first stage, the matcher, serves: all that crashed runs left is in the journal."""
        self._rings.remove_leftovers()
        self._run = replace(self._run, leftover_rings=())

    def _fork(self, watch: _Watch) -> None:
        watch.restart_at = None
        watch.incarnation = max(watch.incarnation + 1, int(time.time()) & 0xFFFFFFFF)
        watch.child = fork_child(watch.role, self._settings, self._run, watch.incarnation)
        self._selector.register(watch.child.pidfd, selectors.EVENT_READ, watch)
        self._selector.register(watch.child.ready_fd, selectors.EVENT_READ, watch)
        self._write_run("starting" if any(w.child is None for w in self._watches) else "ready")

    # ---- serving

    def _serve(self) -> None:
        while not self._stopping:
            self._turn()

    def _turn(self) -> None:
        """Wait for something to happen and see to it. Raises _GiveUp."""
        due = [watch.restart_at for watch in self._watches if watch.restart_at is not None]
        timeout = max(0.0, min(due) - time.monotonic()) if due else None
        for key, _ in self._selector.select(timeout):
            if key.data is None:
                self._take_signals(key.fileobj)  # type: ignore[arg-type]
                continue
            watch: _Watch = key.data
            child = watch.child
            if child is None:
                continue  # buried a moment ago, by an event of the same batch
            if key.fd == child.ready_fd:
                self._take_ready(child)
            else:
                self._bury(watch, child)
        for watch in self._watches:
            if watch.restart_at is not None and watch.restart_at <= time.monotonic() and not self._stopping:
                self._fork(watch)

    def _take_signals(self, source: socket.socket) -> None:
        received = source.recv(64)
        self._stopping = self._stopping or any(number in STOP_SIGNALS for number in received)

    def _take_ready(self, child: Child) -> None:
        self._selector.unregister(child.ready_fd)
        child.take_ready()

    def _bury(self, watch: _Watch, child: Child) -> None:
        """See to a child that has died: a restart, or the end. Raises _GiveUp."""
        if child.ready_fd >= 0:
            self._take_ready(child)  # it may have served and died since the last look
        code = self._collect(watch, child)
        name, end = f"{watch.role.name} (pid {child.pid})", _end_text(code)
        if watch.restarts == 0 and not child.ready:
            raise _GiveUp(f"{name} {end} before it was ready; nothing is left running")
        now = time.monotonic()
        recent = watch.recent_restarts
        recent.append(now)
        while recent[0] < now - RESTART_WINDOW_SECONDS:
            recent.popleft()
        if len(recent) > self._settings.restarts_per_minute_max:
            raise _GiveUp(f"{name} {end}; it died {len(recent)} times within a minute, so everything stops")
        delay = RESTART_DELAY_SECONDS * 2 ** (len(recent) - 2) if len(recent) > 1 else 0.0
        watch.restart_at = now + min(delay, RESTART_DELAY_SECONDS_MAX)
        watch.restarts += 1
        print(f"ringex: {name} {end}; it is started again", file=sys.stderr, flush=True)

    def _collect(self, watch: _Watch, child: Child) -> int:
        self._selector.unregister(child.pidfd)
        if child.ready_fd >= 0:
            self._selector.unregister(child.ready_fd)
        watch.child = None
        return child.reap()

    # ---- stopping

    def _stop(self) -> bool:
        """Stop every process, stage by stage. False if one had to be killed or ended with an error."""
        self._write_run("stopping")
        first_stage = min(watch.role.start_stage for watch in self._watches)
        clean, drained = True, True
        for stage in sorted({watch.role.stop_stage for watch in self._watches}):
            codes = self._stop_stage([watch for watch in self._watches if watch.role.stop_stage == stage])
            clean = clean and all(code in (0, -signal.SIGTERM) for code in codes.values())
            for watch in self._watches:
                if watch.role.stop_stage == stage and watch.role.start_stage == first_stage:
                    drained = drained and codes.get(watch.role.name) == 0
        had_clients = any(watch.incarnation for watch in self._watches if watch.role.start_stage != first_stage)
        if had_clients and not drained:
            self._rings.keep_command_rings = True
            _fail("the matcher did not end well; its command rings are kept, and drained at the next start")
        self._settings.run_path.unlink(missing_ok=True)
        return clean

    def _stop_stage(self, watches: Sequence[_Watch]) -> dict[str, int]:
        """SIGTERM, then SIGKILL for who takes too long. Exit code by role, of those that ran."""
        running = [(watch, watch.child) for watch in watches if watch.child is not None]
        for _, child in running:
            os.kill(child.pid, signal.SIGTERM)  # not reaped yet, so the number is still its own
        asked_at = time.monotonic()
        codes: dict[str, int] = {}
        for watch, child in running:
            name, allowed = watch.role.name, watch.role.stop_seconds
            if not _ended(child, asked_at + allowed - time.monotonic()):
                _fail(f"{name} (pid {child.pid}) did not stop within {allowed:g} s; it is killed")
                os.kill(child.pid, signal.SIGKILL)
                _ended(child, KILL_WAIT_SECONDS)
            codes[name] = self._collect(watch, child)
        return codes

    # ---- what others see

    def _write_run(self, state: str) -> None:
        """Replace `run.json`: what `ringex status` and `ringex stop` go by."""
        settings = self._settings
        document: dict[str, Any] = {
            "pid": os.getpid(),
            "state": state,
            "epoch": self._rings.epoch,
            "started_ns": self._started_ns,
            "zmq": [settings.gateway_endpoint(k) for k in range(settings.gateways)],
            "pub": settings.pub_endpoint,
            "http": settings.http_url,
            "durability": str(settings.durability),
            "event_ring": self._rings.event_ring,
            "command_rings": list(self._rings.command_rings),
            "board": self._rings.board,
            "children": {
                watch.role.name: {"pid": watch.child.pid if watch.child else None, "restarts": watch.restarts}
                for watch in self._watches
            },
        }
        temporary = settings.run_path.with_suffix(".new")
        try:
            temporary.write_text(json.dumps(document, indent=1), encoding="utf-8")
            temporary.replace(settings.run_path)
        except OSError as error:  # a full disk stops orders, not the processes
            _fail(f"{settings.run_path} cannot be written: {error.strerror}")

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Turn signals into bytes that the selector sees, for as long as the run lasts."""
        reading, writing = socket.socketpair()
        reading.setblocking(False)
        writing.setblocking(False)
        before = {number: signal.signal(number, lambda *_: None) for number in STOP_SIGNALS}
        wakeup_before = signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
        self._selector.register(reading, selectors.EVENT_READ, None)
        try:
            yield
        finally:
            signal.set_wakeup_fd(wakeup_before)
            for number, handler in before.items():
                signal.signal(number, handler)
            reading.close()
            writing.close()


def _ended(child: Child, timeout_seconds: float) -> bool:
    """Whether the process has ended, or ends within the time."""
    with selectors.DefaultSelector() as selector:
        selector.register(child.pidfd, selectors.EVENT_READ)
        return bool(selector.select(max(0.0, timeout_seconds)))


def _end_text(code: int) -> str:
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def _fail(message: str) -> int:
    print(f"ringex: {message}", file=sys.stderr, flush=True)
    return 1
