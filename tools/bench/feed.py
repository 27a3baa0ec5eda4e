"""Market data: the publisher with an event ring full of events before it, beside a bare publisher of the same messages.

The events are those of a market that moves by 2 %. One subscriber takes everything. The publisher is stopped while the
ring is filled, so it is the publisher that is measured, and not what fills the ring; the bare one sends, from Python,
the very messages that the publisher made. Compared are messages a second as they come to the subscriber, and messages
for each CPU second of the publisher's process.
"""

from __future__ import annotations

import multiprocessing
import os
import select
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
import zmq
from loadgen.feed import Message, Subscriber, bare_feed, cpu_seconds

from ringex.config import Limits, Run, Settings
from ringex.engine.library import Batches
from ringex.engine.state import State
from ringex.history.eventlog import EventLog
from ringex.history.join import answer
from ringex.history.readmodel import ReadModel
from ringex.jit import compile_ahead
from ringex.marketdata.composer import Composer, Tickers
from ringex.marketdata.position import Position
from ringex.marketdata.publisher import EVENTS_PER_BATCH_MAX, SEND_QUEUE_MESSAGES_MAX, publisher_main
from ringex.messages import EVENT
from ringex.ring import Producer, Ring

from .exchange import ACCOUNTS, limits, setup
from .figure import Figure, Options, figure
from .flow import flow

PLACEMENTS = 140_000
"""Their messages fit into the queue of one subscriber, so that none is dropped."""
SWING = 0.02
READER = 1
PATIENCE_S = 30.0
_FORK: Final = multiprocessing.get_context("fork")
_RAW: Final = np.dtype(f"V{EVENT.itemsize}")


def measure(options: Options) -> list[Figure]:
    compile_ahead()
    placements = options.count(PLACEMENTS, 5000)
    bounds = limits(placements)
    batches = Batches(State(bounds))
    first, then = (
        np.concatenate([events.view(_RAW) for events in batches.apply(records, stamps=True)]).view(EVENT)
        for records in (setup(1, ACCOUNTS), flow(placements, SWING))
    )
    rates, per_cpu, bare_rates, bare_per_cpu = [], [], [], []
    for turn in range(options.repeats):
        options.say(f"feed: {turn + 1} of {options.repeats}")
        folder = options.folder / f"feed-{turn}"
        folder.mkdir()
        messages, rate, seconds = _publish(first, then, bounds, folder)
        rates.append(rate)
        per_cpu.append(len(messages) / seconds)
        received, seconds = bare_feed(messages, folder)
        bare_rates.append(received.rate_of_last(len(messages)))
        bare_per_cpu.append(len(messages) / seconds)
    name = "bare PUB/SUB"
    return [
        figure("feed", "messages to a subscriber", "/s", rates, floors=bare_rates, floor_name=name, reach=0.7),
        figure(
            *("feed", "messages for a CPU second of the publisher", "/s", per_cpu),
            floors=bare_per_cpu,
            floor_name=name,
            reach=0.7,
        ),
    ]


def _publish(first: np.ndarray, then: np.ndarray, bounds: Limits, folder: Path) -> tuple[list[Message], float, float]:
    """(the messages, messages a second, the publisher's CPU seconds) of most of the events `then`, after `first`."""
    settings = Settings(
        data_dir=folder, gateways=1, http_endpoint="", pub_endpoint=f"ipc://{folder}/pub", limits=bounds
    )
    model = ReadModel(bounds)
    model.apply(first)
    with _ring(len(first) + len(then)) as (ring, run), _publisher(settings, run, model) as pid:
        producer, at = Producer(ring), 0
        producer.publish(first)
        with Subscriber(settings.pub_endpoint) as subscriber:
            while not subscriber.has_arrived(0.002):
                at += producer.publish(then[at : at + 1])
            position = Position(folder / "publisher.position", run.epoch)
            _wait_for(position, len(first) + at)
            os.kill(pid, signal.SIGSTOP)
            producer.publish(then[at:])
            before = cpu_seconds(pid)
            os.kill(pid, signal.SIGCONT)
            _wait_for(position, len(first) + len(then))
            position.close()
            received = subscriber.received()
            seconds = cpu_seconds(pid) - before
    messages = _composed(first, then, at, bounds)
    assert len(messages) < SEND_QUEUE_MESSAGES_MAX and received.last == messages[-1], "messages are missing"
    return messages, received.rate_of_last(len(messages)), seconds


def _composed(first: np.ndarray, then: np.ndarray, at: int, bounds: Limits) -> list[Message]:
    """What a publisher makes of `then` from `at` on, when it has sent those before."""
    model = ReadModel(bounds)
    model.apply(first)
    composer = Composer(EVENTS_PER_BATCH_MAX, bounds.markets_max)
    messages: list[Message] = []
    sent = 0
    while sent < len(then):
        batch = then[sent : sent + 1] if sent < at else then[sent : sent + EVENTS_PER_BATCH_MAX]
        model.apply(batch)
        composer.compose(batch, model.markets, model.books, Tickers.CHANGED)
        if sent >= at:
            messages += composer.messages()
        sent += len(batch)
    return messages


@contextmanager
def _ring(slots_min: int) -> Iterator[tuple[Ring, Run]]:
    name = f"ringex-bench-{os.getpid()}-feed"
    doorbells = tuple(os.eventfd(0, os.EFD_NONBLOCK) for _ in range(READER + 1))
    ring = Ring.create(name, 1 << (slots_min - 1).bit_length(), len(doorbells), gated=False)
    try:
        yield ring, Run(epoch=1, event_ring=name, command_rings=(), doorbells=doorbells)
    finally:
        ring.close()
        Ring.unlink(name)
        for doorbell in doorbells:
            os.close(doorbell)


@contextmanager
def _publisher(settings: Settings, run: Run, model: ReadModel) -> Iterator[int]:
    """The process id of a publisher that has joined `model` and serves."""
    ready, said = os.pipe()
    told = Run(run.epoch, run.event_ring, run.command_rings, run.doorbells, ready_fd=said)
    process = _FORK.Process(target=publisher_main, args=(settings, told), daemon=True)
    process.start()
    try:
        with zmq.Context() as context, context.socket(zmq.ROUTER) as replica:
            replica.bind(settings.replica_endpoint)
            while not select.select([ready], [], [], 0)[0]:
                if replica.poll(10):
                    sender, *request = replica.recv_multipart()
                    replica.send_multipart([sender, *answer(request, model, EventLog(1))])
            replica.setsockopt(zmq.LINGER, 0)
        assert process.pid is not None
        yield process.pid
    finally:
        os.close(ready)
        os.close(said)
        process.kill()
        process.join()


def _wait_for(position: Position, sequence: int) -> None:
    """Until the publisher has handed everything up to event `sequence` to ZeroMQ."""
    deadline = time.monotonic() + PATIENCE_S
    while position.sequence < sequence:
        if time.monotonic() > deadline:
            raise TimeoutError(f"the publisher came to event {position.sequence} of {sequence} in {PATIENCE_S:.0f} s")
        time.sleep(0.001)
