"""A PostgreSQL server of the test's own: a fresh cluster in a folder, on a socket there and no port.

The server refuses to run as root, so then it runs as the user that Debian's package makes.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SERVER_USER = "postgres"
DEBIAN_FOLDER = Path("/usr/lib/postgresql")


def _program(name: str) -> str:
    """Debian keeps the server's programs out of PATH."""
    for folder in sorted(DEBIAN_FOLDER.glob("*/bin"), reverse=True):
        if (folder / name).exists():
            return str(folder / name)
    found = shutil.which(name)
    assert found, f"{name} is not installed: apt-get install postgresql"
    return found


class Server:
    """A cluster that can be stopped and started."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._user = pwd.getpwnam(SERVER_USER) if os.getuid() == 0 else pwd.getpwuid(os.getuid())
        os.chown(folder, self._user.pw_uid, self._user.pw_gid)
        self._run("initdb", "-A", "trust", "-U", "ringex", "--no-sync", "-D", str(folder / "cluster"))

    @property
    def url(self) -> str:
        return f"postgresql:///postgres?host={self._folder}&user=ringex"

    def start(self) -> None:
        options = f"-k {self._folder} -c listen_addresses= -c fsync=off -c max_connections=20"
        self._control("start", "-o", options, "-l", str(self._folder / "log"))

    def stop(self) -> None:
        self._control("stop", "-m", "immediate")

    def _control(self, *words: str) -> None:
        self._run("pg_ctl", "-D", str(self._folder / "cluster"), "-w", "-t", "60", *words)

    def _run(self, program: str, *words: str) -> None:
        # No pipes: the server inherits them, and whoever reads them would wait for its end.
        with (self._folder / "commands.log").open("ab") as log:
            done = subprocess.run(
                [_program(program), *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                user=self._user.pw_uid,
                group=self._user.pw_gid,
                extra_groups=[],
                env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
                check=False,
                timeout=120,
            )
        assert done.returncode == 0, f"{program}: {(self._folder / 'commands.log').read_text(errors='replace')}"


@contextmanager
def running() -> Iterator[Server]:
    """A started server in a folder below /tmp: a socket's path must be short, and its user must get there."""
    with tempfile.TemporaryDirectory(prefix="ringex-pg-", ignore_cleanup_errors=True) as name:
        server = Server(Path(name))
        server.start()
        try:
            yield server
        finally:
            server.stop()
