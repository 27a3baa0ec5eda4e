"""Peers that do nothing but answer: what ZeroMQ, the codec and the disk cost without an exchange."""

from __future__ import annotations

import itertools
import multiprocessing.synchronize
import os
import tempfile
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

SYNCED_RECORDS: Final = 1 << 12
"""Of the file that a REQ peer writes to, round and round."""
_FORK: Final = multiprocessing.get_context("fork")
_HIGH_WATER: Final = 1 << 20
_READY_SECONDS_MAX: Final = 10.0


@contextmanager
def bare_peer(wire: Wire, folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    """The endpoint of a peer that answers clients of `wire` at once, and the process of its own that it is.

    A client of REQ is answered after a record has been written to a file in `folder`, into zeros, and synced.
    """
    endpoint = f"ipc://{folder}/bare-{wire}"
    ready = _FORK.Event()
    process = _FORK.Process(target=_serve, args=(wire, endpoint, ready, folder), daemon=True)
    process.start()
    try:
        if not ready.wait(_READY_SECONDS_MAX):
            raise TimeoutError(f"{endpoint}: the bare peer did not come up within {_READY_SECONDS_MAX:.0f} s")
        yield endpoint, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.join()


Answerer = Callable[["zmq.Socket[bytes]"], None]


def _serve(wire: Wire, endpoint: str, ready: multiprocessing.synchronize.Event, folder: Path) -> None:
    socket: zmq.Socket[bytes] = zmq.Context().socket(zmq.REP if wire == Wire.REQ else zmq.ROUTER)
    answer = _req_answerer(folder) if wire == Wire.REQ else _ANSWERERS[wire]
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


def _req_answerer(folder: Path) -> Answerer:
    file = tempfile.NamedTemporaryFile(dir=folder)  # noqa: SIM115 -- it lives as long as this process
    file.write(bytes(RECORD_BYTES * SYNCED_RECORDS))
    file.flush()
    os.fsync(file.fileno())
    places = itertools.cycle(range(0, RECORD_BYTES * SYNCED_RECORDS, RECORD_BYTES))

    def answer(socket: zmq.Socket[bytes]) -> None:
        reply = _reply(socket.recv(zmq.NOBLOCK))
        os.pwrite(file.fileno(), b"\1" * RECORD_BYTES, next(places))
        os.fdatasync(file.fileno())
        socket.send(reply)

    return answer


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
    Wire.MSGPACK: _answer_msgpack,
    Wire.BINARY: _answer_binary,
}
