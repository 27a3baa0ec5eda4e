"""A web gateway in a thread, with bounds of a test's own, in front of the real engine; no processes."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from exchange import free_port
from gateway_exchange import LIMITS, EngineThread
from replica_server import ReplicaServer

from ringex.config import Run, Settings
from ringex.gateways.web.peer import Bounds
from ringex.gateways.web.process import WebGateway
from ringex.messages import SEED_RING
from ringex.ring import Ring
from ringex.seed import seed

_numbers = count(1)


@dataclass
class WebExchange:
    address: str
    """host:port"""
    engine: EngineThread
    gateway: WebGateway

    @property
    def counts(self) -> Counter[str]:
        return self.gateway.counts


def _serve(gateway: WebGateway, failures: list[BaseException]) -> None:
    try:
        gateway.serve()
    except BaseException as failure:
        failures.append(failure)
        raise


@contextmanager
def web_running(
    folder: Path, bounds: Bounds | None = None, tls: tuple[Path, Path] | None = None
) -> Iterator[WebExchange]:
    """It stops, cleanly, at the end of the block, if the block has not stopped it."""
    address = f"127.0.0.1:{free_port()}"
    settings = Settings(folder, http_endpoint=address, limits=LIMITS, tls=tls)
    prefix = f"ringex-test-{os.getpid()}-web{next(_numbers)}"
    event_ring = Ring.create(f"{prefix}-events", 1 << 14, 1, gated=False)
    command_rings = [Ring.create(f"{prefix}-commands{number}", 1 << 10, 1) for number in range(2)]
    doorbells = tuple(os.eventfd(0, os.EFD_NONBLOCK) for _ in range(3))
    ready_reading, ready_writing = os.pipe()
    names = tuple(ring.name for ring in command_rings)
    run = Run(1, event_ring.name, names, doorbells, ready_fd=ready_writing, incarnation=7)
    first = seed(settings)
    first["ring"] = SEED_RING
    engine = EngineThread(command_rings[1], event_ring, first)
    try:
        with ReplicaServer(settings.replica_endpoint, engine.model, engine.log) as replica:
            replica.lock = engine.lock
            gateway = WebGateway(settings, run, 1, bounds)
            failures: list[BaseException] = []
            thread = threading.Thread(target=_serve, args=(gateway, failures))
            thread.start()
            try:
                assert os.read(ready_reading, 64) == b"web 0\n"
                yield WebExchange(address, engine, gateway)
            finally:
                gateway.stop()
                thread.join()
            assert not failures, f"the gateway died: {failures[0]!r}"
    finally:
        engine.stop()
        for ring in (event_ring, *command_rings):
            ring.close()
            Ring.unlink(ring.name)
        for descriptor in (*doorbells, ready_reading, ready_writing):
            os.close(descriptor)
