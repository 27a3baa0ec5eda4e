"""Peers that do nothing but answer: what ZeroMQ, the codec and the disk cost without an exchange."""

from __future__ import annotations

import multiprocessing.synchronize
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import psutil
import zmq

from ringex.messages import COMMAND, EVENT, RECORD_BYTES
from ringex.terms import EventFlag, EventKind

from .client import BINARY, Wire

SYNCS: Final = 200
_FORK: Final = multiprocessing.get_context("fork")
_HIGH_WATER: Final = 1 << 20
_READY_SECONDS_MAX: Final = 10.0


@contextmanager
def bare_peer(wire: Wire, folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    """The endpoint of a peer that answers clients of `wire` at once, and the process of its own that it is."""
    endpoint = f"ipc://{folder}/bare-{wire}"
    ready = _FORK.Event()
    process = _FORK.Process(target=_serve, args=(_ANSWERERS[wire], endpoint, ready), daemon=True)
    process.start()
    try:
        if not ready.wait(_READY_SECONDS_MAX):
            raise TimeoutError(f"{endpoint}: the bare peer did not come up within {_READY_SECONDS_MAX:.0f} s")
        yield endpoint, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.join()


def sync_us(folder: Path) -> float:
    """The median of a write of one record and its fdatasync, into zeros that were written before, in `folder`."""
    times = []
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        file.write(bytes(RECORD_BYTES * SYNCS))
        file.flush()
        os.fsync(file.fileno())
        for at in range(SYNCS):
            started = time.perf_counter_ns()
            os.pwrite(file.fileno(), b"\1" * RECORD_BYTES, at * RECORD_BYTES)
            os.fdatasync(file.fileno())
            times.append(time.perf_counter_ns() - started)
    return float(np.median(times)) / 1000


Answerer = Callable[["zmq.Socket[bytes]"], None]


def _serve(answer: Answerer, endpoint: str, ready: multiprocessing.synchronize.Event) -> None:
    socket: zmq.Socket[bytes] = zmq.Context().socket(zmq.REP if answer is _answer_req else zmq.ROUTER)
    socket.setsockopt(zmq.SNDHWM, _HIGH_WATER)
    socket.setsockopt(zmq.RCVHWM, _HIGH_WATER)
    socket.bind(endpoint)
    ready.set()
    while True:
        socket.poll()
        try:
            while True:
                answer(socket)
        except zmq.Again:
            continue


def _answer_req(socket: zmq.Socket[bytes]) -> None:
    socket.send(_reply(socket.recv(zmq.NOBLOCK)))


def _answer_msgpack(socket: zmq.Socket[bytes]) -> None:
    identity = socket.recv(zmq.NOBLOCK)
    body = socket.recv()
    socket.send(identity, zmq.SNDMORE)
    socket.send(_reply(body))


def _answer_binary(socket: zmq.Socket[bytes]) -> None:
    """One event for each order, so that as many bytes go back as came."""
    identity = socket.recv(zmq.NOBLOCK)
    socket.recv()
    orders = np.frombuffer(socket.recv(), COMMAND)
    events = np.zeros(len(orders), EVENT)
    events["kind"] = EventKind.ACCEPTED
    events["flag_bits"] = EventFlag.LAST
    events["correlation"] = orders["correlation"]
    socket.send_multipart([identity, BINARY, events.tobytes()])


def _reply(raw: bytes) -> bytes:
    return msgspec.msgpack.encode({"id": msgspec.msgpack.decode(raw)["id"], "status": 200, "result": {}})


_ANSWERERS: Final[dict[Wire, Answerer]] = {
    Wire.REQ: _answer_req,
    Wire.MSGPACK: _answer_msgpack,
    Wire.BINARY: _answer_binary,
}
