"""What must hold before anything starts: the data directory is ours, endpoints are free, memory and disk suffice."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import time
from pathlib import Path
from typing import Final

import psutil

from ringex.config import Settings
from ringex.messages import RECORD_BYTES

SHM_DIR: Final = Path("/dev/shm")
RING_HEADER_BYTES_MAX: Final = 1 << 16
DISK_RESERVE_BYTES: Final = 64 << 20
"""Beside two journal segments: the keystore, `run.json`, a first snapshot."""
ORPHANS_WAIT_SECONDS: Final = 10.0
_PROBE_SECONDS: Final = 0.05


class CannotStart(Exception):
    """The exchange cannot start; the message is one line that says why and what would help."""


class DataDirLock:
    """The lock of a data directory. Forked processes share it, so it is free only when the last of them is gone."""

    def __init__(self, settings: Settings) -> None:
        """Take the lock. Raises CannotStart, naming the holder, if another exchange has it."""
        path = settings.lock_path
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + ORPHANS_WAIT_SECONDS
        while not self._take():
            holder = os.pread(self._fd, 32, 0).decode("ascii", "replace").strip()
            alive = not holder.isdigit() or psutil.pid_exists(int(holder))
            if alive or time.monotonic() > deadline:  # the processes of a killed supervisor are about to die
                os.close(self._fd)
                raise CannotStart(
                    f"{settings.data_dir} is in use by another exchange (pid {holder or 'unknown'});"
                    f" stop it with `ringex stop --data {settings.data_dir}`, or use another --data"
                )
            time.sleep(_PROBE_SECONDS)
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode("ascii"), 0)

    def _take(self) -> bool:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        os.close(self._fd)


def is_locked(settings: Settings) -> bool:
    """Whether an exchange runs on the data directory (or its last processes are still dying)."""
    try:
        fd = os.open(settings.lock_path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def make_data_dir(settings: Settings) -> None:
    """The data directory and those below it, for this user only. Raises CannotStart."""
    for path in (settings.data_dir, settings.journal_dir, settings.snapshot_dir):
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise CannotStart(f"data directory {path}: cannot be made: {error.strerror}") from error
    if not os.access(settings.data_dir, os.W_OK | os.X_OK):
        raise CannotStart(f"data directory {settings.data_dir}: no permission to write there")


def check_endpoints(settings: Settings) -> None:
    """Every endpoint can be bound now. Raises CannotStart, naming the one that cannot."""
    endpoints = [(settings.gateway_endpoint(k), "--zmq") for k in range(settings.gateways)]
    if settings.http_endpoint:
        endpoints.append((f"tcp://{settings.http_endpoint}", "--http"))
    for endpoint, option in (*endpoints, (settings.pub_endpoint, "--pub")):
        try:
            if endpoint.startswith("ipc://"):
                _check_path(endpoint.removeprefix("ipc://"))
            else:
                _check_port(endpoint)
        except OSError as error:
            reason = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be bound: {error.strerror or error}"
            raise CannotStart(f"endpoint {endpoint} {reason}; choose another with {option}") from error


def _check_port(endpoint: str) -> None:
    host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
    host = "0.0.0.0" if host == "*" else host.strip("[]")
    if host in psutil.net_if_addrs():  # ZeroMQ takes an interface's name too
        host = psutil.net_if_addrs()[host][0].address
    family, kind, protocol, _, address = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as ZeroMQ does: not stopped by TIME_WAIT
        probe.bind(address)


def _check_path(path: str) -> None:
    if not os.access(Path(path).parent, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, f"no directory {Path(path).parent} to write in")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except (FileNotFoundError, ConnectionRefusedError):
            return  # nobody listens: ZeroMQ removes what a dead one left
    raise OSError(errno.EADDRINUSE, "somebody listens there")


def check_space(settings: Settings) -> None:
    """Shared memory has room for the rings, the disk for the first segments. Raises CannotStart."""
    slots = settings.numbered_gateways * settings.command_ring_slots + settings.event_ring_slots
    _check_free(
        SHM_DIR,
        slots * RECORD_BYTES + (settings.numbered_gateways + 1) * RING_HEADER_BYTES_MAX,
        "the rings; lower command_ring_slots or event_ring_slots, or free some",
    )
    _check_free(
        settings.data_dir,
        2 * settings.segment_records * RECORD_BYTES + DISK_RESERVE_BYTES,
        "the journal; lower segment_records, free some, or use another --data",
    )


def _check_free(path: Path, needed_bytes: int, purpose: str) -> None:
    stat = os.statvfs(path)
    free_bytes = stat.f_bavail * stat.f_frsize
    if free_bytes < needed_bytes:
        needed, free = (f"{count / (1 << 20):.0f} MiB" for count in (needed_bytes, free_bytes))
        raise CannotStart(f"{path} has {free} free, and {needed} are needed for {purpose}")
