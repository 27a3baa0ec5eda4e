"""The supervisor over real processes: order, readiness, deaths, restarts, locks, and what it leaves behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from ringex.config import Settings
from ringex.preflight import CannotStart, check_endpoints, check_space, is_locked
from ringex.ring import Ring
from ringex.supervisor import ring_prefix, tallies_prefix

ROOT = Path(__file__).parent.parent
NAMES = ["matcher", "replica", "gateway-0", "publisher"]


class Exchange:
    """One run of `tests/supervised.py`."""

    def __init__(self, data_dir: Path, *options: str) -> None:
        self.data_dir = data_dir
        command = [sys.executable, "-m", "tests.supervised", str(data_dir), *options]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True)

    def wait_ready(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def error_line(self) -> str:
        assert self.process.stderr is not None
        return self.process.stderr.readline()

    def trace(self) -> list[list[str]]:
        path = self.data_dir / "trace"
        return [line.split() for line in path.read_text().splitlines()] if path.exists() else []

    def pids(self) -> dict[str, int]:
        """The last pid of each process that has started."""
        return {words[1]: int(words[2]) for words in self.trace() if words[0] == "start"}

    def run_document(self) -> dict[str, object]:
        document: dict[str, object] = json.loads((self.data_dir / "run.json").read_text())
        return document

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait for it; pytest-timeout ends a wait that is in vain."""
        while not condition():
            assert self.process.poll() is None, self.process.communicate()
            time.sleep(0.01)

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Exit code, and what was written to stderr since."""
        self.process.send_signal(number)
        return self.end()

    def end(self) -> tuple[int, str]:
        errors = self.process.communicate()[1]
        return self.process.returncode, errors

    def kill(self) -> None:
        """SIGKILL to the supervisor; its orphans become this process's children and are waited for."""
        pids = self.pids()
        self.process.kill()
        self.process.communicate()
        for pid in set(pids.values()):
            os.waitpid(pid, 0)


Start = Callable[..., Exchange]


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def start(data_dir: Path) -> Iterator[Start]:
    started: list[Exchange] = []

    def start_one(*options: str) -> Exchange:
        started.append(Exchange(data_dir, *options))
        return started[-1]

    yield start_one
    for exchange in started:
        if exchange.process.poll() is None:
            exchange.stop()
    for prefix in (ring_prefix(Settings(data_dir)), tallies_prefix(Settings(data_dir))):
        for name in Ring.list(prefix):
            Ring.unlink(name)


def rings_of(data_dir: Path) -> tuple[str, ...]:
    return Ring.list(ring_prefix(Settings(data_dir)))


def test_starts_in_order_and_stops_in_order(start: Start, data_dir: Path) -> None:
    exchange = start()
    line = exchange.wait_ready()
    pid = exchange.process.pid
    places = f"zmq=ipc://{data_dir}/zmq.sock pub=ipc://{data_dir}/pub.sock http=off"
    assert line == f"ready {places} pid={pid} data={data_dir}\n"
    started = [words[1] for words in exchange.trace()]
    assert started[:2] == ["matcher", "replica"] and sorted(started) == sorted(NAMES)
    document = exchange.run_document()
    assert document["pid"] == pid and document["state"] == "ready"
    assert document["children"] == {name: {"pid": exchange.pids()[name], "restarts": 0} for name in NAMES}
    assert sorted([document["event_ring"], *document["command_rings"]]) == list(rings_of(data_dir))  # type: ignore[misc]
    assert is_locked(Settings(data_dir))

    assert exchange.stop() == (0, "")
    stopped = [words[1] for words in exchange.trace() if words[0] == "stop"]
    assert stopped == ["gateway-0", "publisher", "matcher", "replica"]
    assert rings_of(data_dir) == ()
    assert not (data_dir / "run.json").exists()
    assert not is_locked(Settings(data_dir))
    assert not any(psutil.pid_exists(pid) for pid in exchange.pids().values())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_every_stop_signal_stops_cleanly(start: Start, number: int) -> None:
    exchange = start()
    exchange.wait_ready()
    assert exchange.stop(number) == (0, "")


def test_a_signal_to_the_whole_group_keeps_the_order(data_dir: Path, start: Start) -> None:
    exchange = start()
    exchange.wait_ready()
    groups = {os.getpgid(pid) for pid in exchange.pids().values()}
    assert os.getpgid(exchange.process.pid) not in groups


def test_stops_while_it_still_starts(start: Start, data_dir: Path) -> None:
    exchange = start("replica=slow")
    exchange.until(lambda: "replica" in exchange.pids())
    assert exchange.stop() == (0, "")
    assert set(exchange.pids()) == {"matcher", "replica"}
    assert rings_of(data_dir) == ()


@pytest.mark.parametrize("name", NAMES)
def test_a_killed_process_is_started_again(start: Start, name: str) -> None:
    exchange = start()
    exchange.wait_ready()
    before = exchange.pids()
    incarnation = exchange.trace()[-1][3]
    os.kill(before[name], signal.SIGKILL)
    assert exchange.error_line() == f"ringex: {name} (pid {before[name]}) was killed by SIGKILL; it is started again\n"
    exchange.until(lambda: exchange.pids()[name] != before[name])
    after = exchange.pids()
    assert {other for other in NAMES if after[other] != before[other]} == {name}
    again = exchange.trace()[-1]
    assert again[1] == name and int(again[3]) > int(incarnation)
    exchange.until(lambda: exchange.run_document()["children"][name] == {"pid": after[name], "restarts": 1})  # type: ignore[index]
    assert exchange.stop() == (0, "")


def test_a_process_that_keeps_dying_stops_everything(start: Start, data_dir: Path) -> None:
    exchange = start("publisher=crash", "restarts=3")
    code, errors = exchange.end()
    assert code == 1
    lines = errors.splitlines()
    assert len(lines) == 4 and all("publisher" in line for line in lines)
    assert lines[-1].endswith("was killed by SIGKILL; it died 4 times within a minute, so everything stops")
    assert [words[1] for words in exchange.trace() if words[0] == "stop"] == ["gateway-0", "matcher", "replica"]
    assert rings_of(data_dir) == ()


@pytest.mark.parametrize("name", NAMES)
def test_a_process_that_dies_before_it_is_ready_ends_the_start(start: Start, data_dir: Path, name: str) -> None:
    exchange = start(f"{name}=die")
    assert exchange.wait_ready() == ""
    code, errors = exchange.end()
    assert code == 1
    pid = exchange.pids()[name]
    expected = f"ringex: {name} (pid {pid}) ended with exit code 4 before it was ready; nothing is left running\n"
    assert errors == expected
    assert rings_of(data_dir) == () and not (data_dir / "run.json").exists()


def test_an_exception_in_a_process_is_one_line(start: Start) -> None:
    code, errors = start("replica=raise").end()
    assert code == 1
    assert errors.splitlines()[0] == "ringex: replica: RuntimeError: a fault of two lines"
    assert len(errors.splitlines()) == 2


def test_a_process_that_does_not_stop_is_killed(start: Start, data_dir: Path) -> None:
    exchange = start("gateway-0=stubborn")
    exchange.wait_ready()
    pid = exchange.pids()["gateway-0"]
    code, errors = exchange.stop()
    assert code == 1
    assert errors == f"ringex: gateway-0 (pid {pid}) did not stop within 2 s; it is killed\n"
    assert [words[1] for words in exchange.trace() if words[0] == "stop"] == ["publisher", "matcher", "replica"]
    assert rings_of(data_dir) == ()


def test_rings_are_kept_when_the_matcher_does_not_end_well(start: Start, data_dir: Path) -> None:
    exchange = start("matcher=fail")
    exchange.wait_ready()
    command_rings = tuple(name for name in rings_of(data_dir) if not name.endswith("-e"))
    code, errors = exchange.stop()
    assert code == 1 and "command rings are kept" in errors
    assert rings_of(data_dir) == command_rings


def test_children_die_with_their_supervisor_and_what_is_left_is_drained_first(start: Start, data_dir: Path) -> None:
    killed = start()
    killed.wait_ready()
    left = rings_of(data_dir)
    assert len(left) == 2
    killed.kill()
    assert rings_of(data_dir) == left
    assert not is_locked(Settings(data_dir))

    (data_dir / "trace").unlink()
    exchange = start()
    exchange.wait_ready()
    leftovers = {words[1]: words[4] for words in exchange.trace()}
    assert leftovers == dict.fromkeys(NAMES, "-") | {"matcher": left[0]}, "command rings, to the matcher alone"
    assert not set(left) & set(rings_of(data_dir))
    os.kill(exchange.pids()["matcher"], signal.SIGKILL)
    exchange.until(lambda: len(exchange.trace()) == 5)
    assert exchange.trace()[-1][4] == "-", "what is drained is not handed out again"
    assert exchange.stop()[0] == 0


def test_leftovers_stay_until_the_matcher_serves(start: Start, data_dir: Path) -> None:
    killed = start()
    killed.wait_ready()
    left = rings_of(data_dir)
    killed.kill()
    assert start("matcher=die").end()[0] == 1
    assert rings_of(data_dir) == left
    (data_dir / "trace").unlink()
    slow = start("matcher=slow")
    slow.until(lambda: len(slow.trace()) == 1)
    assert slow.trace()[0][4] == left[0]
    assert set(left) < set(rings_of(data_dir))
    assert slow.stop()[0] == 0
    assert rings_of(data_dir) == left


def test_one_exchange_for_one_data_directory(start: Start, data_dir: Path) -> None:
    first = start()
    first.wait_ready()
    code, errors = start().end()
    assert code == 1 and len(errors.splitlines()) == 1
    assert f"{data_dir} is in use by another exchange (pid {first.process.pid})" in errors
    assert first.stop() == (0, "")


def test_waits_for_the_processes_of_a_killed_supervisor(start: Start, data_dir: Path) -> None:
    """An orphan still holds the lock when the next start begins; it is waited for, not complained about."""
    holder = start()
    holder.wait_ready()
    os.kill(holder.pids()["replica"], signal.SIGSTOP)
    pids = holder.pids()
    holder.process.kill()
    holder.process.communicate()
    for pid in pids.values():
        os.waitpid(pid, 0)
    exchange = start()
    assert exchange.wait_ready().startswith("ready ")


def test_an_endpoint_in_use_is_named(start: Start, data_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        endpoint = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        code, errors = start(f"pub={endpoint}").end()
    assert (code, errors) == (1, f"ringex: endpoint {endpoint} is in use; choose another with --pub\n")
    assert rings_of(data_dir) == () and not is_locked(Settings(data_dir))


def test_a_web_address_in_use_is_named_even_where_ports_can_be_shared(start: Start) -> None:
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        server.bind(("127.0.0.1", 0))
        server.listen()
        address = f"127.0.0.1:{server.getsockname()[1]}"
        code, errors = start(f"http={address}").end()
    assert (code, errors) == (1, f"ringex: endpoint tcp://{address} is in use; choose another with --http\n")


def test_a_socket_path_is_in_use_only_while_somebody_listens(tmp_path: Path) -> None:
    path = tmp_path / "x.sock"
    ends = {"zmq_endpoint": f"ipc://{path}", "pub_endpoint": f"ipc://{tmp_path}/y.sock", "http_endpoint": ""}
    settings = Settings(tmp_path, **ends)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        with pytest.raises(CannotStart, match=r"x\.sock is in use; choose another with --zmq"):
            check_endpoints(settings)
    assert path.exists()
    check_endpoints(settings)


def test_an_address_that_is_not_here_is_told(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match=r"tcp://192\.0\.2\.1:7070 cannot be bound"):
        check_endpoints(Settings(tmp_path, zmq_endpoint="tcp://192.0.2.1:7070"))


def test_too_little_shared_memory_or_disk_is_told_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match=r"/dev/shm has \d+ MiB free, and \d+ MiB are needed for the rings"):
        check_space(Settings(tmp_path, event_ring_slots=1 << 40))
    with pytest.raises(CannotStart, match=r"MiB free, and \d+ MiB are needed for the journal; lower segment_records"):
        check_space(Settings(tmp_path, segment_records=1 << 44))


def test_too_little_shared_memory_ends_the_start(start: Start, data_dir: Path) -> None:
    code, errors = start(f"slots={1 << 40}").end()
    assert code == 1 and len(errors.splitlines()) == 1 and "/dev/shm has" in errors
    assert rings_of(data_dir) == ()


def test_a_data_directory_that_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    exchange = Exchange(tmp_path / "file" / "data")
    code, errors = exchange.end()
    assert code == 1 and errors == (f"ringex: data directory {tmp_path}/file/data: cannot be made: Not a directory\n")


def test_processes_are_pinned_as_the_cores_are_listed(start: Start) -> None:
    exchange = start("pin=1")
    exchange.wait_ready()
    cores = sorted(os.sched_getaffinity(0))
    for rank, name in enumerate(NAMES):
        assert os.sched_getaffinity(exchange.pids()[name]) == {cores[min(rank, len(cores) - 1)]}
    names = {Path(f"/proc/{pid}/comm").read_text().strip() for pid in exchange.pids().values()}
    assert names == {f"rx-{name}" for name in NAMES}
