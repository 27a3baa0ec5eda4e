"""How fast a ring is: one way, one record at a time; batched; and with both sides asleep between records.

latency     there and back over two rings between two pinned processes, halved; the floor is a ping-pong over two bare
            words
throughput  records a second through one ring in batches, copied in by one process and out by the other; the floor is
            memcpy of as many bytes in and out of memory that both cores touch, half a buffer at a time
parked      one way when both sides sleep between records: a futex wake-up

Anything else that runs on the machine only adds, and both processes spin: the best of some tries makes one value.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from ringex.atomics import load_acquire, pause, store_release
from ringex.jit import compiled
from ringex.memory import address_of, copy_bytes
from ringex.ring import (
    HEADER_BYTES,
    Ring,
    ring_append,
    ring_consume,
    ring_consumed,
    ring_publish,
    ring_published,
    ring_read,
    ring_sleep,
    ring_slot,
)
from ringex.system import monotonic_ns

from .figure import Figure, Options, figure

CAPACITY = 1 << 12
SLOT_SIZES = (64, 256)
BATCHES = (1, 16, 256)
LATENCY_TURNS = CAPACITY
PARKED_TURNS = 500
THROUGHPUT_BYTES = 1 << 25
FORK = multiprocessing.get_context("fork")


@compiled
def word_turns(own: int, other: int, turns: int, first: int) -> int:
    """Ping-pong over two bare words. Returns nanoseconds."""
    began_ns = monotonic_ns()
    for turn in range(1, turns + 1):
        if first != 0:
            store_release(own, turn)
        while load_acquire(other) < turn:
            pause()
        if first == 0:
            store_release(own, turn)
    return monotonic_ns() - began_ns


@compiled
def ring_turns(outward: int, inward: int, scratch: int, slot_bytes: int, turns: int, first: int, asleep: int) -> int:
    """Ping-pong of whole records over two gated rings. Returns nanoseconds."""
    began_ns = monotonic_ns()
    sent, taken = ring_published(outward), ring_consumed(inward)
    for _ in range(turns):
        if first != 0:
            copy_bytes(ring_slot(outward, sent), scratch, slot_bytes)
            sent += 1
            ring_publish(outward, sent)
        while ring_published(inward) <= taken:
            if asleep != 0:
                ring_sleep(inward, 0, taken, 1_000_000_000)
            else:
                pause()
        copy_bytes(scratch, ring_slot(inward, taken), slot_bytes)
        taken += 1
        ring_consume(inward, taken)
        if first == 0:
            copy_bytes(ring_slot(outward, sent), scratch, slot_bytes)
            sent += 1
            ring_publish(outward, sent)
    return monotonic_ns() - began_ns


@compiled
def send(ring: int, source: int, batch: int, count: int) -> int:
    """Publish `count` records in batches, waiting where the ring is full. Returns nanoseconds."""
    began_ns = monotonic_ns()
    done = 0
    while done < count:
        sent = ring_append(ring, source, min(batch, count - done), 0)
        done += sent
        if sent == 0:
            pause()
    return monotonic_ns() - began_ns


@compiled
def take(ring: int, destination: int, batch: int, count: int) -> int:
    """Copy `count` records out of a gated ring. Returns nanoseconds, from the first record on."""
    cursor = ring_consumed(ring)
    end = cursor + count
    while ring_published(ring) <= cursor:
        pause()
    began_ns = monotonic_ns()
    while cursor < end:
        taken = ring_read(ring, cursor, batch, destination)
        if taken == 0:
            pause()
        else:
            cursor += taken
            ring_consume(ring, cursor)
    return monotonic_ns() - began_ns


@compiled
def copy_through(
    words: int, slots: int, half_bytes: int, private: int, private_bytes: int, halves: int, first: int
) -> int:
    """The floor of `send` and `take`: the same bytes through the same memory, half of it at a time. Nanoseconds.

    The first side fills a half while the other empties the one before; a word each says how far they are.
    """
    filled, emptied = words, words + 1024
    began_ns = monotonic_ns()
    for turn in range(halves):
        half = slots + (turn & 1) * half_bytes
        if first != 0:
            while turn - load_acquire(emptied) >= 2:
                pause()
        else:
            while load_acquire(filled) <= turn:
                pause()
        for at in range(0, half_bytes, private_bytes):
            if first != 0:
                copy_bytes(half + at, private, private_bytes)
            else:
                copy_bytes(private, half + at, private_bytes)
        store_release(filled if first != 0 else emptied, turn + 1)
    return monotonic_ns() - began_ns


@contextmanager
def rings(count: int, slot_bytes: int, name: str = "slots") -> Iterator[list[Ring]]:
    names = [f"ringex-bench-{os.getpid()}-{name}-{index}" for index in range(count)]
    made: list[Ring] = []
    try:
        for name in names:
            made.append(Ring.create(name, CAPACITY, epoch=1, slot_bytes=slot_bytes))
        yield made
    finally:
        for ring in made:
            ring.close()
            Ring.unlink(ring.name)


def in_two_processes(cores: list[int], here: Callable[[], int], there: Callable[[], int]) -> int:
    """Run both at once, each on its core. Returns the nanoseconds that `here` took."""

    def run_there() -> None:
        os.sched_setaffinity(0, {cores[1]})
        there()

    child = FORK.Process(target=run_there)
    child.start()
    try:
        os.sched_setaffinity(0, {cores[0]})
        took_ns = here()
        child.join()
        assert child.exitcode == 0
        return took_ns
    finally:
        child.kill()
        child.join()


def word_latency_ns(cores: list[int]) -> float:
    with rings(1, 64) as (words,):  # shared memory to put two words into, far apart
        ends = (words.address + HEADER_BYTES, words.address + HEADER_BYTES + 1024)

        def turns(first: int) -> Callable[[], int]:
            own, other = ends if first else ends[::-1]
            return lambda: word_turns(own, other, LATENCY_TURNS, first)

        return in_two_processes(cores, turns(1), turns(0)) / LATENCY_TURNS / 2


def ring_latency_ns(cores: list[int], slot_bytes: int, asleep: bool) -> float:
    count = PARKED_TURNS if asleep else LATENCY_TURNS
    scratch = np.zeros(slot_bytes, np.uint8)
    with rings(2, slot_bytes) as pair:
        ends = (pair[0].address, pair[1].address)

        def turns(first: int) -> Callable[[], int]:
            outward, inward = ends if first else ends[::-1]
            arguments = (outward, inward, address_of(scratch), slot_bytes)

            def warm_then_measured() -> int:
                ring_turns(*arguments, CAPACITY, first, 0)  # every page of the rings mapped
                return ring_turns(*arguments, count, first, int(asleep))

            return warm_then_measured

        return in_two_processes(cores, turns(1), turns(0)) / count / 2


def ring_record_ns(cores: list[int], slot_bytes: int, batch: int) -> float:
    count = THROUGHPUT_BYTES // slot_bytes
    records = np.ones(batch * slot_bytes, np.uint8)
    with rings(1, slot_bytes) as (ring,):
        took_ns = in_two_processes(
            cores,
            lambda: take(ring.address, address_of(records), batch, count),
            lambda: send(ring.address, address_of(records), batch, count),
        )
    return took_ns / count


def copy_record_ns(cores: list[int], slot_bytes: int) -> float:
    """As `ring_record_ns`, of the floor, which knows no records: by the bytes."""
    private_bytes = max(BATCHES) * slot_bytes
    half_bytes = CAPACITY * slot_bytes // 2
    halves = THROUGHPUT_BYTES // half_bytes
    private = np.ones(private_bytes, np.uint8)
    with rings(1, slot_bytes) as (memory,), rings(1, 64, "words") as (words,):
        shared = (words.address + HEADER_BYTES, memory.address + HEADER_BYTES, half_bytes)

        def side(first: int) -> Callable[[], int]:
            return lambda: copy_through(*shared, address_of(private), private_bytes, halves, first)

        took_ns = in_two_processes(cores, side(0), side(1))
    return took_ns / (halves * half_bytes // slot_bytes)


def compile_all() -> None:
    """Compile before forking, so that no child does and no clock runs meanwhile."""
    word_turns(0, 0, 0, 0)
    with rings(2, 64) as pair:
        ring_turns(pair[0].address, pair[1].address, 0, 64, 0, 0, 0)
        ring_sleep(pair[0].address, 0, -1, 0)
        record = np.zeros(64, np.uint8)
        send(pair[0].address, address_of(record), 1, 1)
        take(pair[0].address, address_of(record), 1, 1)
        copy_through(0, 0, 0, 0, 1, 0, 0)


def measure(options: Options) -> list[Figure]:
    compile_all()
    cores = list(options.cores)
    tries = options.count(10, 2)

    def best(what: Callable[..., float], *arguments: object) -> float:
        return min(what(cores, *arguments) for _ in range(tries))

    latency: dict[int, list[float]] = {size: [] for size in SLOT_SIZES}
    floors: list[float] = []
    parked: list[float] = []
    rates: dict[tuple[int, int], list[tuple[float, float]]] = {}
    for _ in range(options.repeats):
        floors.append(best(word_latency_ns))
        for size in SLOT_SIZES:
            latency[size].append(best(ring_latency_ns, size, False))
            for batch in BATCHES:
                record_ns, copy_ns = best(ring_record_ns, size, batch), best(copy_record_ns, size)
                rates.setdefault((size, batch), []).append((1e3 / record_ns, 1e3 / copy_ns))
        parked.append(ring_latency_ns(cores, max(SLOT_SIZES), True))
    figures = [
        figure(
            "ring",
            f"one way, {size} bytes",
            "ns",
            latency[size],
            floors=floors,
            floor_name="two bare words",
            reach=1.2 if size == 64 else 0.0,
            at_least=False,
        )
        for size in SLOT_SIZES
    ]
    figures.append(figure("ring", f"one way, {max(SLOT_SIZES)} bytes, both asleep", "ns", parked))
    for (size, batch), pairs in rates.items():
        wanted = 0.5 if batch == max(BATCHES) else 0.0
        figures.append(
            figure(
                "ring",
                f"{size} bytes, batches of {batch}",
                "M/s",
                [rate for rate, _ in pairs],
                floors=[floor for _, floor in pairs],
                floor_name="memcpy in and out",
                reach=wanted,
            )
        )
    batch = max(BATCHES)
    figures.append(
        figure("ring", "64 bytes, the rate itself", "M/s", [rate for rate, _ in rates[64, batch]], reach=50.0)
    )
    return figures
