"""One client of the load, a process of its own: it sends as its pace says, and times every answer.

Closed loop: a number of orders is always under way; a slow answer slows the client down too, so the latency is that
of an order once sent. Open loop: orders are due at a fixed rate whatever the exchange does, and their latency counts
from when they were due, so that none is left out for having been sent late.
"""

from __future__ import annotations

import hmac
import multiprocessing
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import msgspec
import numpy as np
import zmq

from ringex.messages import EVENT
from ringex.reasons import Reason
from ringex.terms import EventFlag, EventKind

from .result import Result
from .workload import Workload

BINARY: Final = b"RXB1"
REPLY_SECONDS_MAX: Final = 10.0
_HIGH_WATER: Final = 1 << 20
_FORK: Final = multiprocessing.get_context("fork")


class LoadError(Exception):
    """The exchange cannot be loaded; the message says why."""


class Wire(StrEnum):
    MSGPACK = "msgpack"
    BINARY = "binary"
    REQ = "req"


@dataclass(frozen=True)
class Job:
    """What one client does. `rate`: orders a second, 0 for the closed loop with `window` orders under way."""

    endpoint: str
    key: str
    secret: str
    wire: Wire
    workload: Workload
    seconds: float
    window: int
    rate: float
    batch: int
    """Binary: orders in a frame."""


def run_clients(jobs: Sequence[Job]) -> list[Result]:
    """All jobs at once, each in a process of its own. Raises LoadError when one cannot do its work."""
    starting = _FORK.Barrier(len(jobs))
    pipes = []
    for job in jobs:
        reading, writing = _FORK.Pipe(duplex=False)
        process = _FORK.Process(target=_client, args=(job, starting, writing), daemon=True)
        process.start()
        writing.close()
        pipes.append((process, reading))
    results = []
    for process, reading in pipes:
        try:
            results.append(reading.recv())
        except EOFError:
            results.append("a client died")
        process.join()
    for result in results:
        if not isinstance(result, Result):
            raise LoadError(str(result))
    return results


def _client(job: Job, starting: Any, writing: Any) -> None:
    try:
        client = _REQUESTERS[job.wire](job)
        starting.wait(REPLY_SECONDS_MAX)
        writing.send(client.run())
    except Exception as error:
        starting.abort()
        writing.send(f"{type(error).__name__}: {error}")


class _Client:
    """Pace and time-keeping; how orders are encoded and answers read is the subclasses'."""

    unit = 1
    """Orders that are sent at a time."""
    kind = zmq.DEALER

    def __init__(self, job: Job) -> None:
        self.job = job
        self.socket: zmq.Socket[bytes] = zmq.Context().socket(self.kind)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.SNDHWM, _HIGH_WATER)
        self.socket.setsockopt(zmq.RCVHWM, _HIGH_WATER)
        self.socket.connect(job.endpoint)
        self.encode = msgspec.msgpack.Encoder().encode
        self.decode = msgspec.msgpack.Decoder().decode
        self.errors: Counter[str] = Counter()
        self.latencies: list[Any] = []
        self.since: list[int] = []
        """Of each unit: when it was sent, or due."""
        if job.key:
            self._log_on()

    def run(self) -> Result:
        """Send for the job's seconds, then wait for what is under way."""
        job = self.job
        started = time.perf_counter_ns()
        end = started + int(job.seconds * 1e9)
        interval_ns = self.unit * 1e9 / job.rate if job.rate else 0.0
        sent = answered = 0
        now = last_answer = started
        while now < end or (answered < sent and now < end + REPLY_SECONDS_MAX * 1e9):
            if now < end:
                due = int((now - started) / interval_ns) + 1 if interval_ns else (answered + job.window) // self.unit
                while sent // self.unit < due:
                    self.since.append(started + int(sent // self.unit * interval_ns) if interval_ns else _now())
                    self.send(sent)
                    sent += self.unit
            wait_ms = 100 if not interval_ns else max(int((started + sent // self.unit * interval_ns - now) / 1e6), 0)
            if self.socket.poll(min(wait_ms, 100)):
                answered += self.receive()
                last_answer = _now()
            now = _now()
        latencies = np.concatenate([np.atleast_1d(part) for part in self.latencies or [np.zeros(0, np.int64)]])
        return Result(answered, sent - answered, started, last_answer, latencies.astype(np.int64), self.errors)

    def send(self, first: int) -> None:
        raise NotImplementedError

    def receive(self) -> int:
        """Read all that has come. How many orders were answered."""
        raise NotImplementedError

    def _log_on(self) -> None:
        params = {"apiKey": self.job.key, "timestamp": time.time_ns() // 1_000_000}
        text = "&".join(f"{name}={params[name]}" for name in sorted(params))
        params["signature"] = hmac.digest(self.job.secret.encode(), text.encode(), "sha256").hex()
        reply = ask(self.socket, "session.logon", params)
        assert "apiKey" in reply


class _MsgpackClient(_Client):
    def send(self, first: int) -> None:
        method, params = self.job.workload.request(first)
        self.socket.send(self.encode({"id": first, "method": method, "params": params}))

    def receive(self) -> int:
        count = 0
        while True:
            try:
                raw = self.socket.recv(zmq.NOBLOCK)
            except zmq.Again:
                return count
            self.take(raw)
            count += 1

    def take(self, raw: bytes) -> None:
        reply = self.decode(raw)
        self.latencies.append(_now() - self.since[reply["id"]])
        if "error" in reply:
            self.errors[f"{reply['error']['code']} {reply['error']['msg'][:80]}"] += 1


class _ReqClient(_MsgpackClient):
    kind = zmq.REQ

    def receive(self) -> int:
        self.take(self.socket.recv())
        return 1


class _BinaryClient(_Client):
    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self.unit = job.batch

    def send(self, first: int) -> None:
        records = self.job.workload.records(first, self.unit)
        self.socket.send_multipart([BINARY, records.tobytes()])

    def receive(self) -> int:
        count = 0
        while True:
            try:
                frames = self.socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return count
            if frames[0] != BINARY:
                error = self.decode(frames[-1]).get("error", {})
                raise LoadError(f"{error.get('code')} {error.get('msg')}")
            events = np.frombuffer(frames[1], EVENT)
            last = events["correlation"][(events["flag_bits"] & EventFlag.LAST) != 0]
            units = last // self.unit
            first = int(units.min(initial=len(self.since)))
            self.latencies.append(_now() - np.array(self.since[first:], np.int64)[units - first])
            refused = events["reason"][events["kind"] == EventKind.REJECTED]
            for reason, times in zip(*np.unique(refused, return_counts=True), strict=True):
                self.errors[Reason(int(reason)).name] += int(times)
            count += len(last)


_REQUESTERS: Final = {Wire.MSGPACK: _MsgpackClient, Wire.BINARY: _BinaryClient, Wire.REQ: _ReqClient}


def ask(socket: zmq.Socket[bytes], method: str, params: dict[str, Any]) -> Any:
    """One request and its result. Raises LoadError."""
    socket.send(msgspec.msgpack.encode({"id": method, "method": method, "params": params}))
    if not socket.poll(int(REPLY_SECONDS_MAX * 1000)):
        raise LoadError(f"no answer within {REPLY_SECONDS_MAX:.0f} s: is an exchange running there?")
    reply = msgspec.msgpack.decode(socket.recv())
    if "error" in reply:
        raise LoadError(f"{method}: {reply['error'].get('code')} {reply['error'].get('msg')}")
    return reply["result"]


def _now() -> int:
    return time.perf_counter_ns()
