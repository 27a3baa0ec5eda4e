"""How fast a ring is, beside what this machine can do at all.

    python tools/bench_ring.py [--cores A,B] [--repeats N]

latency     one way, one record at a time, there and back over two rings between two pinned processes; the floor is a
            ping-pong over two bare words
throughput  records a second through one ring in batches, copied in by one process and out by the other; the floor is
            one memcpy of as many bytes into as many slots, in one process
parked      there and back when both sides sleep between records (a futex wake-up each way)

Ratios are time to the floor's time: 1.0 is as good as the machine. The best of N repeats counts, since anything else
that runs only adds. Both processes spin: give them a core each, otherwise idle.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
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
def copy_all(slots: int, source: int, capacity: int, slot_bytes: int, batch: int, count: int) -> int:
    """The floor of `send`: the same bytes copied into the same slots. Returns nanoseconds."""
    began_ns = monotonic_ns()
    done = 0
    while done < count:
        copy_bytes(slots + (done & (capacity - 1)) * slot_bytes, source, batch * slot_bytes)
        done += batch
    return monotonic_ns() - began_ns


@contextmanager
def rings(count: int, slot_bytes: int) -> Iterator[list[Ring]]:
    names = [f"ringex-bench-{os.getpid()}-{index}" for index in range(count)]
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


def copy_record_ns(cores: list[int], slot_bytes: int, batch: int) -> float:
    count = THROUGHPUT_BYTES // slot_bytes
    records, slots = np.ones(batch * slot_bytes, np.uint8), np.ones(CAPACITY * slot_bytes, np.uint8)
    os.sched_setaffinity(0, {cores[0]})
    return copy_all(address_of(slots), address_of(records), CAPACITY, slot_bytes, batch, count) / count


def compile_all() -> None:
    """Compile before forking, so that no child does and no clock runs meanwhile."""
    word_turns(0, 0, 0, 0)
    with rings(2, 64) as pair:
        ring_turns(pair[0].address, pair[1].address, 0, 64, 0, 0, 0)
        ring_sleep(pair[0].address, 0, -1, 0)
        record = np.zeros(64, np.uint8)
        send(pair[0].address, address_of(record), 1, 1)
        take(pair[0].address, address_of(record), 1, 1)
        copy_all(address_of(record), address_of(record), 1, 64, 1, 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cores", default="0,1", help="two core numbers, for the two processes")
    parser.add_argument("--repeats", type=int, default=20, help="how often each figure is measured")
    options = parser.parse_args()
    try:
        cores = [int(core) for core in options.cores.split(",")]
    except ValueError:
        cores = []
    allowed = sorted(os.sched_getaffinity(0))
    if len(set(cores)) != 2 or not set(cores) <= set(allowed) or options.repeats < 1:
        sys.exit(f"--cores takes two different numbers of {allowed}, such as 0,1; --repeats at least 1")
    compile_all()

    def best(measure: Callable[..., float], *arguments: object) -> float:
        return min(measure(cores, *arguments) for _ in range(options.repeats))

    floor = best(word_latency_ns)
    print(f"one way, two bare words           {floor:10.0f} ns")
    for slot_bytes in SLOT_SIZES:
        value = best(ring_latency_ns, slot_bytes, False)
        print(f"one way, {slot_bytes:3} bytes                {value:10.0f} ns  {value / floor:6.2f} x floor")
    value = best(ring_latency_ns, 256, True)
    print(f"one way, 256 bytes, both parked   {value:10.0f} ns")
    for slot_bytes in SLOT_SIZES:
        for batch in BATCHES:
            floor, value = best(copy_record_ns, slot_bytes, batch), best(ring_record_ns, slot_bytes, batch)
            rate = f"{1e3 / value:8.1f} M/s, memcpy {1e3 / floor:8.1f} M/s"
            print(f"{slot_bytes:3} bytes, batches of {batch:3}    {rate}  {value / floor:6.2f} x floor")


if __name__ == "__main__":
    main()
