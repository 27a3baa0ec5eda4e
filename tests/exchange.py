"""A real exchange in a child process, and a small client of it, for integration tests and the crash test."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgpack
import msgspec
import numpy as np
import psutil
import zmq

from ringex.config import Settings
from ringex.gateways.keystore import open_keystore
from ringex.messages import EVENT
from ringex.terms import EventFlag

START_SECONDS_MAX = 120.0  # a cold compile on a busy machine included
STOP_SECONDS_MAX = 60.0


def sign(secret: str, params: dict[str, Any]) -> str:
    """HMAC-SHA256 over `k=v` pairs sorted by key: the WebSocket API's rule."""

    def text(value: Any) -> str:
        return str(value).lower() if isinstance(value, bool) else str(value)

    payload = "&".join(f"{key}={text(params[key])}" for key in sorted(params))
    return hmac.new(secret.encode(), payload.encode(), hashlib.sha256).hexdigest()


class Client:
    """A DEALER, or a REQ, that asks and waits; on a DEALER `send` and `receive` alone pipeline."""

    def __init__(self, endpoint: str, key: str = "", secret: str = "", socket_type: int = zmq.DEALER) -> None:
        self.key, self.secret = key, secret
        self.pushed: deque[dict[str, Any]] = deque()
        """Events of user streams that came while `call` waited for its reply."""
        self._context = zmq.Context()
        self._socket = self._context.socket(socket_type)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.connect(endpoint)
        self._last_id = 0

    def signed(self, params: dict[str, Any]) -> dict[str, Any]:
        whole = {"apiKey": self.key, "timestamp": int(time.time() * 1000), **params}
        return {**whole, "signature": sign(self.secret, whole)}

    def send(self, method: str, params: dict[str, Any] | None = None) -> int:
        self._last_id += 1
        request = {"id": self._last_id, "method": method, "params": params or {}}
        self._socket.send(msgpack.packb(request))
        return self._last_id

    def receive(self, timeout_s: float = 10.0) -> dict[str, Any] | None:
        """The next message, a reply or a pushed event; None after `timeout_s`."""
        if not self._socket.poll(int(timeout_s * 1000)):
            return None
        return msgpack.unpackb(self._socket.recv())  # type: ignore[no-any-return]

    def call(self, method: str, params: dict[str, Any] | None = None, timeout_s: float = 10.0) -> dict[str, Any]:
        """Ask, and return the reply to it. Events that come first go to `pushed`. Raises TimeoutError."""
        asked = self.send(method, params)
        deadline = time.monotonic() + timeout_s
        while (left := deadline - time.monotonic()) > 0:
            reply = self.receive(left)
            if reply is not None and reply.get("id") == asked:
                return reply
            if reply is not None and "event" in reply:
                self.pushed.append(reply)
        raise TimeoutError(f"{method}: no reply within {timeout_s} s")

    def records(self, orders: np.ndarray, timeout_s: float = 60.0) -> int:
        """Send COMMAND records by the binary path, and wait for the last event of each. How many came to an end."""
        self._socket.send_multipart([b"RXB1", orders.tobytes()])
        ended = 0
        while ended < len(orders):
            if not self._socket.poll(int(timeout_s * 1000)):
                raise TimeoutError(f"{ended} of {len(orders)} commands have been answered")
            frames = self._socket.recv_multipart()
            assert len(frames) == 2, frames
            ended += int(((np.frombuffer(frames[1], EVENT)["flag_bits"] & EventFlag.LAST) != 0).sum())
        return ended

    def order(self, method: str, timeout_s: float = 10.0, **params: Any) -> dict[str, Any]:
        return self.call(method, self.signed(params), timeout_s)

    def close(self) -> None:
        self._socket.close(linger=0)
        self._context.term()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def free_port() -> int:
    """A TCP port of loopback that nobody listens at now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Exchange:
    """`ringex start` on a data directory, with endpoints of its own below that directory."""

    def __init__(self, folder: Path, *options: str, web: bool = False) -> None:
        self.data = folder / "data"
        self.zmq_endpoint = f"ipc://{folder}/zmq.sock"
        self.pub_endpoint = f"ipc://{folder}/pub.sock"
        self.http = f"127.0.0.1:{free_port()}" if web else "off"
        """Where its web gateways are."""
        self._options = options
        self._log = folder / "log.txt"
        self._log_seen = 0
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and wait for the `ready` line. Raises AssertionError with the log if it does not come."""
        self.launch()
        self.wait_ready()

    def launch(self) -> None:
        """Start, and do not wait."""
        command = [sys.executable, "-m", "ringex", "start", "--data", str(self.data)]
        command += ["--zmq", self.zmq_endpoint, "--pub", self.pub_endpoint, "--http", self.http, *self._options]
        self._log_seen = self._log.stat().st_size if self._log.exists() else 0
        with self._log.open("ab") as log:
            # A session of its own, so that `kill_group` reaches all of it and nothing else.
            self._process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)

    def wait_ready(self) -> None:
        """Wait for the `ready` line. Raises AssertionError with the log if it does not come."""
        assert self._process is not None
        deadline = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < deadline and self._process.poll() is None:
            if any(line.startswith("ready ") for line in self._new_log().splitlines()):
                return
            time.sleep(0.02)
        self.kill_group()
        raise AssertionError(f"the exchange did not become ready:\n{self._new_log()}")

    def _new_log(self) -> str:
        """What the present life has printed."""
        return self._log.read_bytes()[self._log_seen :].decode(errors="replace")

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def keys(self) -> list[dict[str, Any]]:
        """The keys that it has, oldest first: `account`, `api_key`, `secret`."""
        return [msgspec.to_builtins(key) for key in open_keystore(Settings(self.data)).keys]

    def client(self, account: str = "demo", gateway: int = 0, socket_type: int = zmq.DEALER) -> Client:
        """A client of that gateway, with the first key of `account`."""
        key = next(key for key in self.keys() if key["account"] == account)
        endpoint = f"{self.zmq_endpoint}.{gateway}" if gateway else self.zmq_endpoint
        return Client(endpoint, key["api_key"], key["secret"], socket_type)

    def child(self, role: str) -> int:
        """The process id of the present life of `matcher`, `gateway-0`, `publisher` or `replica`; 0 if it is down."""
        run = json.loads((self.data / "run.json").read_text())
        return int(run["children"][role]["pid"] or 0)

    def command(self, *words: str, timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run `ringex WORDS` and return what it printed."""
        return subprocess.run(
            [sys.executable, "-m", "ringex", *words], capture_output=True, text=True, timeout=timeout_s, check=False
        )

    def fund(self, account: str, **amounts: str) -> None:
        """Make the account with a key, and book what it is to have of each asset, as an operator would."""
        data = ("--data", str(self.data))
        words = [("key", "create", "--account", account)]
        words += [("account", "deposit", account, asset, amount) for asset, amount in amounts.items()]
        for command in words:
            done = self.command(*command, *data)
            assert done.returncode == 0, done.stderr

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send the signal, wait; the exit code."""
        assert self._process is not None
        self._process.send_signal(number)
        return self._process.wait(STOP_SECONDS_MAX)

    def reap(self) -> int:
        """Wait for a supervisor that was killed, or ends by itself; its children may still be dying. The exit code."""
        assert self._process is not None
        return self._process.wait(STOP_SECONDS_MAX)

    def kill_group(self) -> None:
        """SIGKILL the supervisor and every process it has."""
        if self._process is None:
            return
        try:
            family = [psutil.Process(self._process.pid)]
            family += family[0].children(recursive=True)
        except psutil.NoSuchProcess:
            family = []
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(STOP_SECONDS_MAX)
        psutil.wait_procs(family, timeout=STOP_SECONDS_MAX)


@contextmanager
def running(folder: Path, *options: str, web: bool = False) -> Iterator[Exchange]:
    """A started exchange that is stopped, or failing that killed, at the end."""
    exchange = Exchange(folder, *options, web=web)
    exchange.start()
    try:
        yield exchange
        if exchange._process is not None and exchange._process.poll() is None:
            assert exchange.stop() == 0, exchange.log
    finally:
        exchange.kill_group()
