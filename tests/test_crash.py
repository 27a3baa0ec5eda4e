"""kill -9 under load: nothing acknowledged is lost, nothing is doubled, and nobody is told what is not so.

The long version is `tools/crash_test.py`. A machine that dies cannot be tested here: what SIGKILL leaves in the page
cache, a loss of power does not.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from exchange import Exchange, running

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))

from crashtest.exercise import SMALL, Exercise

from ringex.config import Settings
from ringex.ring import Ring, ring_published
from ringex.supervisor import ring_prefix

SEED = 20_240_601
WAIT_SECONDS_MAX = 60.0


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: those of ipc:// endpoints are limited."""
    with TemporaryDirectory(prefix="rxc") as name:
        yield Path(name)


def test_nothing_acknowledged_is_lost_or_doubled(folder: Path) -> None:
    with Exercise(folder, SEED, SMALL) as exercise:
        exercise.round(["matcher", "gateway-0", "publisher"], seconds=1.0)
        exercise.round(["matcher+gateway-1", "replica", "matcher"], seconds=1.0)
        exercise.round(["supervisor"], seconds=1.0)
        exercise.round(["matcher+replica", "group"], seconds=1.0)
        exercise.lap("gateway-0")
        exercise.finish()
    assert not exercise.faults, "\n".join(exercise.faults[:20])
    assert exercise.tally.kills.total() >= 8 and exercise.tally.checked["acknowledgements"] > 0


def test_no_order_is_denied_while_its_command_waits(folder: Path) -> None:
    with running(folder, "--gateways", "2") as exchange:
        matcher = exchange.child("matcher")
        os.kill(matcher, signal.SIGSTOP)
        try:
            life = _place_and_lose(exchange)
            _wait_for(lambda: exchange.child("gateway-0") not in (0, life))
            with exchange.client() as same, exchange.client(gateway=1) as other:
                asked = {}
                for client in (same, other):
                    params = {"symbol": "BTCUSDT", "origClientOrderId": "waits", "recvWindow": 60_000}
                    asked[client] = client.send("order.status", client.signed(params))
                    for _ in range(3):  # turns of the gateway's loop, in which it could have answered
                        client.send("ping")
                        reply = client.receive(WAIT_SECONDS_MAX)
                        assert reply is not None and reply["id"] != asked[client], reply
                os.kill(matcher, signal.SIGCONT)
                for client in (same, other):
                    reply = client.receive(WAIT_SECONDS_MAX)
                    assert reply is not None and reply["id"] == asked[client] and reply["status"] == 200, reply
        finally:
            os.kill(matcher, signal.SIGCONT)


def _place_and_lose(exchange: Exchange) -> int:
    """Place an order, and kill its gateway once the command is in the ring. Returns that life's process id."""
    with Ring.attach(Ring.list(ring_prefix(Settings(data_dir=exchange.data)))[0]) as ring, exchange.client() as client:
        before = ring_published(ring.address)
        order = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "price": "20000"}
        order |= {"quantity": "0.001", "newClientOrderId": "waits", "recvWindow": 60_000}
        client.send("order.place", client.signed(order))
        _wait_for(lambda: ring_published(ring.address) > before)
        life = exchange.child("gateway-0")
        os.kill(life, signal.SIGKILL)
    return life


def _wait_for(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)
