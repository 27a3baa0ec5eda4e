"""An exchange of one's own: `ringex start` on a temporary data directory, for tools that bring their own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Final

from ringex.config import Settings
from ringex.configfile import load_settings

START_SECONDS_MAX: Final = 300.0
"""Compiling for a new machine takes a minute or two."""
STOP_SECONDS_MAX: Final = 60.0
LOOK_SECONDS: Final = 0.02


class NotStartedError(Exception):
    """The exchange did not become ready, or does not answer its command line; the message has its last words."""


class LocalExchange:
    """A running exchange in a directory that goes away with it. Use as a context manager.

    `config` is the text of a configuration file, `options` more of `ringex start`. Its endpoints are sockets in its
    directory.
    """

    def __init__(self, config: str = "", *options: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="ringex-")
        folder = Path(self._folder.name)
        self.data = folder / "data"
        self.endpoint = f"ipc://{folder}/zmq"
        self.pub_endpoint = f"ipc://{folder}/pub"
        self._config_path = folder / "exchange.toml"
        self._config_path.write_text(config)
        self._options = options
        self._log_path = folder / "log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> LocalExchange:
        try:
            self._start()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    @property
    def settings(self) -> Settings:
        return load_settings(self._config_path, {"data": str(self.data)})

    def key(self, account: str) -> tuple[str, str]:
        """Make a key of `account`, which is made too where it is new. (API key, secret). Raises NotStartedError."""
        made = self._ringex("key", "create", "--account", account, "--data", str(self.data))
        found = dict(re.findall(r"^(apiKey|secretKey): (\w+)$", made, re.MULTILINE))
        return found["apiKey"], found["secretKey"]

    def deposit(self, account: str, asset: str, amount: str) -> None:
        """Raises NotStartedError."""
        self._ringex("account", "deposit", account, asset, amount, "--data", str(self.data))

    def child_pid(self, role: str) -> int:
        """The process id of `matcher`, `gateway-0`, `publisher` or `replica`."""
        return int(json.loads((self.data / "run.json").read_text())["children"][role]["pid"])

    def stop(self) -> None:
        """Stop it cleanly; its data directory stays until the end of the context. Raises NotStartedError."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        if self._process.wait(STOP_SECONDS_MAX) != 0:
            raise NotStartedError(f"the exchange did not stop cleanly:\n{self._log()}")

    def _start(self) -> None:
        command = [sys.executable, "-m", "ringex", "start", "--config", str(self._config_path)]
        command += ["--data", str(self.data), "--zmq", self.endpoint, "--pub", self.pub_endpoint]
        command += ["--http", "off", *self._options]
        with self._log_path.open("wb") as log:
            # A session of its own: an interrupt at the terminal is this process's to pass on.
            self._process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < deadline and self._process.poll() is None:
            if re.search(r"^ready ", self._log(), re.MULTILINE):
                return
            time.sleep(LOOK_SECONDS)
        raise NotStartedError(f"the exchange did not become ready:\n{self._log()}")

    def _end(self) -> None:
        """Stop it, or kill it with all that it started."""
        process = self._process
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self._folder.cleanup()

    def _ringex(self, *words: str) -> str:
        command = [sys.executable, "-m", "ringex", *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=STOP_SECONDS_MAX, check=False)
        if done.returncode != 0:
            raise NotStartedError(done.stderr.strip() or f"{' '.join(words)}: exit code {done.returncode}")
        return done.stdout

    def _log(self) -> str:
        return self._log_path.read_text(errors="replace")
