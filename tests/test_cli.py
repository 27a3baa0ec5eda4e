"""The command line as a user runs it: what it prints, and the one line and exit code of every mistake."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest
import zmq

from ringex.adminclient import AdminError, NoAnswerError, request
from ringex.config import Settings
from ringex.preflight import DataDirLock, make_data_dir
from ringex.status import stop_exchange

ROOT = Path(__file__).parent.parent


def ringex(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ringex", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, check=False)


def complaint(*arguments: object, code: int = 1) -> str:
    """The one line on stderr of a command that must fail."""
    done = ringex(*arguments)
    assert done.returncode == code, done
    assert done.stderr.startswith("ringex: ") and done.stderr.count("\n") == 1, done.stderr
    return done.stderr.removeprefix("ringex: ").rstrip("\n")


@pytest.fixture
def small_exchange(tmp_path: Path) -> Iterator[tuple[Path, subprocess.Popen[str]]]:
    """Real processes under the real supervisor, with no exchange in them: `tests/supervised.py`."""
    data_dir = tmp_path / "data"
    command = [sys.executable, "-m", "tests.supervised", str(data_dir)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline().startswith("ready ")
        yield data_dir, process
        process.terminate()


Answer = Callable[[dict[str, Any]], bytes]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[Answer], Settings]]:
    """Something that answers one administrative request of a data directory whose lock is held."""
    settings = Settings(tmp_path / "data")
    make_data_dir(settings)
    lock = DataDirLock(settings)
    context = zmq.Context()
    socket = context.socket(zmq.REP)
    socket.bind(settings.admin_endpoint)
    threads: list[threading.Thread] = []

    def serve_one(answer: Answer) -> Settings:
        def answer_one() -> None:
            socket.send(answer(msgspec.msgpack.decode(socket.recv())))

        threads.append(threading.Thread(target=answer_one))
        threads[-1].start()
        return settings

    yield serve_one
    for thread in threads:
        thread.join()
    socket.close(linger=0)
    context.term()
    lock.release()


def echo(asked: dict[str, Any]) -> bytes:
    return msgspec.msgpack.encode(
        {"id": asked["id"], "status": 200, "result": {"method": asked["method"]} | asked["params"]}
    )


def test_no_command_shows_help() -> None:
    done = ringex()
    assert done.returncode == 2 and "Commands:" in done.stderr
    assert "start" in ringex("--help").stdout


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["begin"], "No such command 'begin'"),
        (
            ["start", "--gateway", "2"],
            "No such option '--gateway'.",
        ),
        (["start", "--gateways", "two"], "'two' is not a valid integer"),
        (["key", "create"], "Missing option '--account'. (see `ringex key create --help`)"),
        (["key", "create", "--account", "a", "--scope", "ALL"], "'ALL' is not one of 'TRADE', 'USER_DATA'"),
        (["account", "deposit", "demo", "BTC"], "Missing argument 'AMOUNT'. (see `ringex account deposit --help`)"),
        (["replay", "/nowhere"], "Directory '/nowhere' does not exist."),
        (["journal", "verify", "/nowhere"], "Directory '/nowhere' does not exist."),
    ],
)
def test_wrong_usage_is_one_line_with_exit_code_2(arguments: list[str], expected: str) -> None:
    assert expected in complaint(*arguments, code=2)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--gateways", "0"], "command line: --gateways: 0 is not allowed; a whole number 1..64 is"),
        (["--durability", "raid"], "command line: --durability: 'raid' is not allowed; fsync, os, none are"),
        (["--cores", "0,x"], "command line: --cores: '0,x' is not allowed; a list of cores out of"),
        (["--cores", "4096"], "command line: --cores: [4096] is not allowed"),
        (["--zmq", "localhost"], "command line: --zmq: 'localhost' is not allowed; tcp://HOST:PORT"),
        (["--config", "/none.toml"], "/none.toml: cannot be read: No such file or directory"),
    ],
)
def test_start_refuses_a_wrong_setting_before_anything_is_made(
    tmp_path: Path, arguments: list[str], expected: str
) -> None:
    data_dir = tmp_path / "data"
    assert expected in complaint("start", "--data", data_dir, *arguments)
    assert not data_dir.exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["stop"],
        ["key", "create", "--account", "demo"],
        ["account", "create", "mm"],
        ["account", "deposit", "demo", "BTC", "1"],
        ["account", "withdraw", "demo", "BTC", "1"],
    ],
)
def test_what_needs_an_exchange_says_that_none_runs(tmp_path: Path, arguments: list[str]) -> None:
    message = complaint(*arguments, "--data", tmp_path)
    assert message.startswith(f"no exchange runs on {tmp_path}; start one with `ringex start`")


def test_status_says_that_none_runs(tmp_path: Path) -> None:
    done = ringex("status", "--data", tmp_path)
    assert (done.returncode, done.stdout) == (1, f"no exchange runs on {tmp_path}\n")
    done = ringex("status", "--json", RINGEX_DATA=str(tmp_path))
    assert (done.returncode, json.loads(done.stdout)) == (1, {"running": False, "data": str(tmp_path)})
    assert list(tmp_path.iterdir()) == []


def test_status_shows_processes_and_rings_and_stop_waits(small_exchange: tuple[Path, subprocess.Popen[str]]) -> None:
    data_dir, process = small_exchange
    done = ringex("status", "--json", "--data", data_dir)
    assert done.returncode == 0, done
    found = json.loads(done.stdout)
    assert (found["running"], found["state"], found["pid"]) == (True, "ready", process.pid)
    assert list(found["children"]) == ["matcher", "replica", "gateway-0", "publisher"]
    for child in found["children"].values():
        assert psutil.Process(child["pid"]).ppid() == process.pid
        assert child["restarts"] == 0 and child["memory_bytes"] > 0
    command_ring, event_ring = found["rings"].values()
    assert command_ring == {"capacity": 256, "published": 0, "waiting": 0}
    assert event_ring == {"capacity": 2048, "published": 0}

    lines = ringex("status", "--data", data_dir).stdout.splitlines()
    assert lines[0].startswith(f"ready on {data_dir}, pid {process.pid}, for ")
    assert any("gateway-0" in line and "0 restarts" in line for line in lines)

    done = ringex("stop", "--data", data_dir)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"stopped {data_dir}\n", "")
    assert process.wait() == 0


def test_stop_that_takes_too_long_says_so(tmp_path: Path) -> None:
    settings = Settings(tmp_path)
    lock = DataDirLock(settings)
    assert not stop_exchange(settings, 0.1)
    assert "has not stopped within 0.1 s" in complaint("stop", "--data", tmp_path, "--timeout", "0.1")
    lock.release()
    assert stop_exchange(settings, 0.1)


@pytest.mark.parametrize(
    ("arguments", "method", "params"),
    [
        (
            ["key", "create", "--account", "a"],
            "admin.keys.create",
            {"account": "a", "scopes": "TRADE, USER_DATA, USER_STREAM, FIX_API, FIX_API_READ_ONLY"},
        ),
        (
            ["key", "create", "--account", "a", "--scope", "TRADE"],
            "admin.keys.create",
            {"account": "a", "scopes": "TRADE"},
        ),
        (["account", "create", "a"], "admin.account.create", {"name": "a"}),
        (
            ["account", "deposit", "a", "BTC", "1.5", "--reference", "r1"],
            "admin.account.deposit",
            {"account": "a", "asset": "BTC", "amount": "1.5", "reference": "r1"},
        ),
        (
            ["account", "withdraw", "a", "IDR", "100", "--reference", "r2"],
            "admin.account.withdraw",
            {"account": "a", "asset": "IDR", "amount": "100", "reference": "r2"},
        ),
        (["account", "block", "a"], "admin.account.set", {"name": "a", "status": "BLOCKED"}),
        (["account", "unblock", "a"], "admin.account.set", {"name": "a", "status": "ACTIVE"}),
        (["kill", "account", "a"], "admin.account.kill", {"name": "a"}),
        (["kill", "market", "BTCUSDT"], "admin.market.kill", {"symbol": "BTCUSDT"}),
        (["market", "halt", "BTCUSDT"], "admin.market.set", {"symbol": "BTCUSDT", "status": "HALT"}),
        (
            ["market", "set", "BTCUSDT", "maxPosition=10", "applyMinToMarket=true"],
            "admin.market.set",
            {"symbol": "BTCUSDT", "maxPosition": "10", "applyMinToMarket": "true"},
        ),
        (
            ["market", "status", "BTCUSDT", "AUCTION"],
            "admin.market.set",
            {"symbol": "BTCUSDT", "status": "AUCTION"},
        ),
        (
            [
                "market",
                "schedule",
                "BTCUSDT",
                "--auction",
                "2030-01-31T09:00:00Z",
                "--open",
                "2030-01-31T09:30:00+00:00",
            ],
            "admin.market.schedule",
            {"symbol": "BTCUSDT", "auctionTime": "1896080400000", "openTime": "1896082200000"},
        ),
        (["market", "schedule", "BTCUSDT", "--none"], "admin.market.schedule", {"symbol": "BTCUSDT"}),
        (["account", "limits", "a"], "admin.limits.show", {"account": "a"}),
        (
            ["account", "limits", "a", "--orders-10s", "5", "--open-orders", "0"],
            "admin.limits.set",
            {"account": "a", "orders10s": "5", "openOrders": "0"},
        ),
        (
            ["market", "add", "BTCEUR", "BTC", "EUR", "tickSize=0.01", "maxPosition=3"],
            "admin.market.add",
            {"symbol": "BTCEUR", "base": "BTC", "quote": "EUR", "tickSize": "0.01", "maxPosition": "3"},
        ),
        (["market", "show", "BTCUSDT"], "admin.market.show", {"symbol": "BTCUSDT"}),
        (["asset", "add", "EUR", "2"], "admin.asset.add", {"name": "EUR", "scale": "2"}),
        (["asset", "list"], "admin.asset.list", {}),
        (["market", "resume", "BTCUSDT"], "admin.market.set", {"symbol": "BTCUSDT", "status": "TRADING"}),
    ],
)
def test_administration_asks_the_exchange_and_prints_its_result(
    serve: Callable[[Answer], Settings], arguments: list[str], method: str, params: dict[str, str]
) -> None:
    settings = serve(echo)
    done = ringex(*arguments, "--data", settings.data_dir)
    assert (done.returncode, done.stderr) == (0, "")
    printed = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    assert printed == {"method": method} | params


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("tickSize", "'tickSize' is no NAME=VALUE, such as maxPosition=10"),
        ("=1", "'=1' is no NAME=VALUE"),
        ("tickSize=1 tickSize=2", "tickSize is given twice"),
        ("", "Missing argument 'NAME=VALUE…'"),
    ],
)
def test_settings_of_a_market_are_names_and_values(settings: str, words: str) -> None:
    for command in (["market", "set", "BTCUSDT"], ["market", "add", "BTCEUR", "BTC", "EUR"]):
        done = ringex(*command, *settings.split())
        assert done.returncode == 2 and words in done.stderr, done


def test_a_refusal_is_one_line(serve: Callable[[Answer], Settings]) -> None:
    fault = {"code": -2015, "msg": "There is no account of that name."}
    settings = serve(lambda asked: msgspec.msgpack.encode({"id": asked["id"], "status": 400, "error": fault}))
    message = complaint("account", "deposit", "x", "BTC", "1", "--data", settings.data_dir)
    assert message == "There is no account of that name. (code -2015)"


def test_an_answer_that_is_none_is_told(serve: Callable[[Answer], Settings]) -> None:
    settings = serve(lambda asked: b"\xc1")
    with pytest.raises(AdminError, match="answered something else"):
        request(settings.admin_endpoint, "admin.keys.create", {})


def test_an_answer_that_does_not_come_is_told(tmp_path: Path) -> None:
    with pytest.raises(NoAnswerError, match=r"no answer from ipc://.* within 0\.05 s"):
        request(f"ipc://{tmp_path}/none.sock", "admin.keys.create", {}, seconds=0.05)


def test_a_booking_without_an_answer_says_how_to_ask_again(tmp_path: Path) -> None:
    lock = DataDirLock(Settings(tmp_path))
    message = complaint("account", "deposit", "a", "BTC", "1", "--reference", "r9", "--data", tmp_path)
    assert message.endswith("within 5 s; ask again with --reference r9, it is booked once")
    lock.release()
