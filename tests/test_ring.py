"""Rings: what goes in comes out, across processes, full, lapped, killed and asleep."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from multiprocessing.context import ForkProcess
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest

from ringex.atomics import load_acquire, pause, store_release
from ringex.jit import INTERPRETED, compiled
from ringex.memory import address_of, array_at
from ringex.ring import (
    HEADER_BYTES,
    Consumer,
    Lapped,
    Producer,
    Reader,
    Ring,
    RingError,
    park_on,
    ring_arm,
    ring_claim,
    ring_claimed,
    ring_consumed,
    ring_oldest,
    ring_publish,
    ring_published,
    ring_set_parked,
    ring_sleep,
    ring_slot,
)
from ringex.system import WAITER_BYTES, futex_wake, yield_cpu

RECORD = np.dtype([("sequence", "i8"), ("number", "i8"), ("rest", "i8", (6,))])
FORK = multiprocessing.get_context("fork")
SHM = Path("/dev/shm")
LONG_S = 600.0
LONG_NS = 600_000_000_000
PUBLISHED_OFFSET, RUNG_OFFSET, TICKET_OFFSET = 256, 512, 1288  # in the header

MANY = 20_000 if INTERPRETED else 1_200_000
TURNS = 200 if INTERPRETED else 3_000

MakeRing = Callable[..., Ring]


def numbered(first: int, count: int) -> np.ndarray:
    """`count` records whose every word follows from the record's number, from `first` on."""
    records = np.zeros(count, RECORD)
    records["number"] = np.arange(first, first + count)
    records["rest"] = records["number"][:, None] * np.arange(3, 9)
    return records


def check_numbered(records: np.ndarray, first: int) -> None:
    expected = numbered(first, len(records))
    assert np.array_equal(records["number"], expected["number"])
    assert np.array_equal(records["rest"], expected["rest"])


@compiled
def load(word: int) -> int:
    return load_acquire(word)


@compiled
def store(word: int, value: int) -> None:
    store_release(word, value)


@pytest.fixture
def prefix() -> Iterator[str]:
    prefix = f"ringex-test-{os.getpid()}-"
    yield prefix
    for name in Ring.list(prefix):
        Ring.unlink(name)


@pytest.fixture
def make_ring(prefix: str) -> Iterator[MakeRing]:
    rings: list[Ring] = []

    def make(capacity: int = 8, epoch: int = 1, **options: Any) -> Ring:
        options.setdefault("slot_bytes", RECORD.itemsize)
        rings.append(Ring.create(f"{prefix}{len(rings)}", capacity, epoch, **options))
        return rings[-1]

    yield make
    for ring in rings:
        ring.close()


@pytest.fixture
def fork() -> Iterator[Callable[..., ForkProcess]]:
    children: list[ForkProcess] = []

    def start(target: Callable[..., None], *arguments: Any) -> ForkProcess:
        child = FORK.Process(target=target, args=arguments)
        child.start()
        children.append(child)
        return child

    yield start
    for child in children:
        child.kill()
        child.join()
        child.close()


def publish_all(producer: Producer, records: np.ndarray) -> None:
    done = 0
    while done < len(records):
        done += (fitted := producer.publish(records[done:]))
        if fitted == 0:
            os.sched_yield()


# ---- one process


def test_records_come_out_as_they_went_in(make_ring: MakeRing) -> None:
    ring = make_ring(capacity=8)
    producer, consumer = Producer(ring), Consumer(ring, RECORD)
    for first in range(0, 50, 5):  # 5 does not divide 8: every kind of wrap-around
        assert producer.publish(numbered(first, 5)) == 5
        check_numbered(consumer.poll(2), first)
        check_numbered(consumer.poll(100), first + 2)
        assert len(consumer.poll(100)) == 0 and consumer.cursor == first + 5


def test_a_full_ring_takes_what_fits_or_nothing(make_ring: MakeRing) -> None:
    ring = make_ring(capacity=8)
    producer, consumer = Producer(ring), Consumer(ring, RECORD)
    assert producer.space() == 8
    assert producer.publish(numbered(0, 20)) == 8
    assert producer.space() == 0 and producer.publish(numbered(8, 1)) == 0
    check_numbered(consumer.poll(3), 0)
    assert producer.publish(numbered(8, 4), whole=True) == 0
    assert producer.publish(numbered(8, 3), whole=True) == 3
    check_numbered(consumer.poll(8), 3)
    with pytest.raises(RingError, match="9 records as one; 8 can fit"):
        producer.publish(numbered(11, 9), whole=True)


def test_records_without_a_dtype_are_bytes(make_ring: MakeRing) -> None:
    ring = make_ring()
    Producer(ring).publish(numbered(5, 2))
    records = Consumer(ring).poll(2)
    assert records.dtype.itemsize == RECORD.itemsize
    check_numbered(records.view(RECORD), 5)


def test_records_from_a_strided_array(make_ring: MakeRing) -> None:
    ring = make_ring()
    every_other = np.zeros(8, RECORD)
    every_other[::2] = numbered(3, 4)
    assert Producer(ring).publish(every_other[::2]) == 4
    check_numbered(Consumer(ring, RECORD).poll(8), 3)


def test_a_ring_may_start_at_any_cursor(make_ring: MakeRing) -> None:
    ring = make_ring(gated=False, start_cursor=1001)
    late, early = Reader(ring, 0, dtype=RECORD), Reader(ring, 1, cursor=1000, dtype=RECORD)
    Producer(ring).publish(numbered(1001, 3))
    records = late.poll(9)
    check_numbered(records, 1001)
    assert records["sequence"].tolist() == [1002, 1003, 1004]
    with pytest.raises(Lapped) as caught:
        early.poll(9)
    assert (caught.value.cursor, caught.value.oldest) == (1000, 1001)


def test_a_reader_may_stand_ahead_of_what_is_published(make_ring: MakeRing) -> None:
    ring = make_ring(gated=False)
    reader, producer = Reader(ring, 0, cursor=3, dtype=RECORD), Producer(ring)
    for count, found in ((2, 0), (1, 0), (2, 2)):
        producer.publish(numbered(ring_published(ring.address), count))
        assert len(reader.poll(9)) == found


def test_readers_do_not_stall_the_producer_and_learn_that_they_were_lapped(make_ring: MakeRing) -> None:
    ring = make_ring(capacity=8, gated=False)
    producer, reader = Producer(ring), Reader(ring, 0, dtype=RECORD)
    assert producer.publish(numbered(0, 8)) == 8
    check_numbered(reader.poll(4), 0)
    assert producer.publish(numbered(8, 4)) == 4
    check_numbered(reader.poll(1), 4)  # the oldest that is left, at the very edge
    assert producer.space() == 8 and producer.publish(numbered(12, 2)) == 2
    for _ in range(2):
        with pytest.raises(Lapped) as caught:
            reader.poll(4)
        assert (caught.value.cursor, caught.value.oldest) == (5, 6) and reader.cursor == 5
    reader.cursor = caught.value.oldest
    check_numbered(reader.poll(100), 6)


def test_a_claim_warns_readers_before_anything_is_published(make_ring: MakeRing) -> None:
    ring = make_ring(capacity=8, gated=False)
    producer, reader = Producer(ring), Reader(ring, 0, dtype=RECORD)
    producer.publish(numbered(0, 8))
    ring_claim(ring.address, 10)
    ring_claim(ring.address, 9)  # a successor that starts lower
    assert ring_claimed(ring.address) == 10 and ring_oldest(ring.address) == 2
    with pytest.raises(Lapped):
        reader.poll(1)
    reader.cursor = 2
    check_numbered(reader.poll(8), 2)


def test_a_slot_that_does_not_carry_its_sequence_was_overwritten(make_ring: MakeRing) -> None:
    ring = make_ring(capacity=8, gated=False)
    producer, reader = Producer(ring), Reader(ring, 0, dtype=RECORD)
    producer.publish(numbered(0, 8))
    store(ring_slot(ring.address, 5), 14)
    check_numbered(reader.poll(5), 0)
    with pytest.raises(Lapped):
        reader.poll(3)


def test_a_second_process_sees_the_same_ring(make_ring: MakeRing) -> None:
    made = make_ring(capacity=16, epoch=77, gated=False, readers_max=3, start_cursor=4)
    with Ring.attach(made.name) as ring:
        assert ring.address != made.address
        facts = (ring.name, ring.capacity, ring.slot_bytes, ring.epoch, ring.gated, ring.readers_max, ring.start_cursor)
        assert facts == (made.name, 16, RECORD.itemsize, 77, False, 3, 4)
    with pytest.raises(RingError, match="closed"):
        _ = ring.address
    ring.close()


# ---- waiting


def test_waiting_ends_at_its_time_out_or_with_a_record(make_ring: MakeRing) -> None:
    ring = make_ring()
    producer, consumer = Producer(ring), Consumer(ring, RECORD)
    assert not consumer.wait(0.01)
    producer.publish(numbered(0, 1))
    assert consumer.wait(LONG_S)


def test_a_doorbell_rings_once_for_each_time_it_is_asked_for(make_ring: MakeRing) -> None:
    ring, bell = make_ring(gated=False), os.eventfd(0, os.EFD_NONBLOCK)
    producer, reader = Producer(ring), Reader(ring, 2, bell, dtype=RECORD)
    for turn in range(3):
        assert reader.arm()
        for _ in range(3):
            producer.publish(numbered(0, 1))
        assert select.select([bell], [], [], 0)[0] == [bell]
        assert os.eventfd_read(bell) == 1
        reader.disarm()
        assert not reader.arm(), "three records wait"
        assert len(reader.poll(9)) == 3, turn
    producer.publish(numbered(0, 1))
    assert select.select([bell], [], [], 0)[0] == [], "nobody asked"
    os.close(bell)


def test_disarm_silences_the_doorbell(make_ring: MakeRing) -> None:
    ring, bell = make_ring(gated=False), os.eventfd(0, os.EFD_NONBLOCK)
    reader = Reader(ring, 0, bell)
    reader.disarm()
    assert reader.arm()
    Producer(ring).publish(numbered(0, 1))
    reader.disarm()
    assert select.select([bell], [], [], 0)[0] == []
    os.close(bell)


def test_a_successor_wakes_whom_its_predecessor_had_no_time_to_wake(make_ring: MakeRing) -> None:
    ring, bell = make_ring(gated=False), os.eventfd(0, os.EFD_NONBLOCK)
    reader = Reader(ring, 0, bell)
    assert reader.arm()
    store(ring.address + PUBLISHED_OFFSET, 1)  # the predecessor published, and died there
    assert select.select([bell], [], [], 0)[0] == []
    Producer(ring)
    assert select.select([bell], [], [], 0)[0] == [bell]
    os.close(bell)


def sleep_consumer(ring: Ring, cursor: int, bell: int) -> None:
    ring_sleep(ring.address, 0, cursor, LONG_NS)


def sleep_doorbell(ring: Ring, cursor: int, bell: int) -> None:
    if ring_arm(ring.address, 0, cursor):
        select.select([bell], [], [])
        ring_set_parked(ring.address, 0, 0)
        os.eventfd_read(bell)


def sleep_on_many(ring: Ring, cursor: int, bell: int) -> None:
    rings, seen = np.array([ring.address]), np.array([cursor])
    waiters = np.zeros(2 * WAITER_BYTES, np.uint8)
    extra = np.zeros(1, np.int64)
    addresses = [address_of(array) for array in (rings, seen, extra, waiters)]
    park_on(addresses[0], 1, addresses[1], addresses[2], 0, addresses[3], LONG_NS)


Sleep = Callable[[Ring, int, int], None]


def echo(inward: Ring, outward: Ring, bell: int, turns: int, sleep: Sleep) -> None:
    """Wait asleep for each record, and send it back."""
    reader: Any = Consumer(inward, RECORD) if inward.gated else Reader(inward, 0, bell, cursor=0, dtype=RECORD)
    producer = Producer(outward)
    for turn in range(turns):
        while not len(records := reader.poll(1)):
            sleep(inward, reader.cursor, bell)
        check_numbered(records, turn)
        assert producer.publish(records) == 1


@compiled
def await_word(word: int, value: int) -> None:
    looks = 0
    while load_acquire(word) < value:
        pause()
        looks += 1
        if looks & 255 == 0:
            yield_cpu()


@compiled
def arm_in_step(ring: int, begun: int, done: int, turns: int) -> int:
    """Fall asleep just when the other publishes: a little later in each turn, so that every moment is met.

    Returns in how many turns this side saw no record and the other side no sleeper.
    """
    lost = 0
    for turn in range(turns):
        store_release(begun, turn + 1)
        for _ in range(turn & 2047):
            load_acquire(begun)
        armed = ring_arm(ring, 0, turn)
        await_word(done, turn + 1)
        if armed != 0:
            if load_acquire(ring + RUNG_OFFSET) != load_acquire(ring + TICKET_OFFSET):
                lost += 1
            ring_set_parked(ring, 0, 0)
    return lost


@compiled
def publish_in_step(ring: int, begun: int, done: int, turns: int) -> None:
    for turn in range(turns):
        await_word(begun, turn + 1)
        ring_publish(ring, turn + 1)
        store_release(done, turn + 1)


def test_nobody_is_missed_at_the_moment_of_falling_asleep(make_ring: MakeRing) -> None:
    ring, bell, turns = make_ring(gated=False), os.eventfd(0, os.EFD_NONBLOCK), 100 if INTERPRETED else 60_000
    Reader(ring, 0, bell)
    begun, done = np.zeros(32, np.int64), np.zeros(32, np.int64)
    arguments = (ring.address, address_of(begun), address_of(done), turns)
    arm_in_step(*arguments[:3], 0)  # compiled before the other thread spins
    publisher = Thread(target=publish_in_step, args=arguments)
    publisher.start()
    lost = arm_in_step(*arguments)
    publisher.join()
    os.close(bell)
    assert lost == 0 and ring_published(ring.address) == turns


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("gated", "rung", "sleep"),
    [
        pytest.param(True, False, sleep_consumer, id="consumer"),
        pytest.param(True, False, sleep_on_many, id="matcher"),
        pytest.param(False, False, sleep_consumer, id="reader"),
        pytest.param(False, True, sleep_doorbell, id="doorbell"),
    ],
)
def test_no_wake_up_is_lost(
    make_ring: MakeRing, fork: Callable[..., ForkProcess], gated: bool, rung: bool, sleep: Sleep
) -> None:
    """Two processes that sleep for ten minutes unless woken: one wake-up lost, and this times out."""
    there, back = make_ring(gated=gated), make_ring(gated=gated)
    bells = [os.eventfd(0, os.EFD_NONBLOCK) if rung else -1 for _ in range(2)]
    reader: Any = Consumer(back, RECORD) if gated else Reader(back, 0, bells[1], cursor=0, dtype=RECORD)
    if rung:
        Reader(there, 0, bells[0])
    child = fork(echo, there, back, bells[0], TURNS, sleep)
    producer = Producer(there)
    for turn in range(TURNS):
        assert producer.publish(numbered(turn, 1)) == 1
        while not len(records := reader.poll(1)):
            sleep(back, reader.cursor, bells[1])
        check_numbered(records, turn)
    child.join()
    assert child.exitcode == 0
    for bell in bells:
        if bell >= 0:
            os.close(bell)


def test_parking_on_many_rings_sees_each_of_them_and_the_further_word(make_ring: MakeRing) -> None:
    rings = [make_ring() for _ in range(3)]
    addresses, seen, extra = np.array([ring.address for ring in rings]), np.zeros(3, np.int64), np.zeros(1, np.int64)
    waiters = np.zeros(4 * WAITER_BYTES, np.uint8)

    def park(timeout_ns: int, extra_word: int = address_of(extra)) -> int:
        return park_on(address_of(addresses), 3, address_of(seen), extra_word, 0, address_of(waiters), timeout_ns)

    assert park(1_000_000) == 0 and park(1_000_000, 0) == 0
    for index, ring in enumerate(rings):
        Producer(ring).publish(numbered(0, 2))
        assert park(LONG_NS) == 1
        seen[index] = 2
        assert park(0) == 0
    extra[0] = 1
    assert park(LONG_NS) == 1 and park(0, 0) == 0


@pytest.mark.timeout(120)
def test_parking_on_many_rings_is_woken_by_any_of_them(make_ring: MakeRing, fork: Callable[..., ForkProcess]) -> None:
    """The child publishes, or changes the further word, when it is told to; each time the sleeper must notice."""
    rings, answers = [make_ring() for _ in range(3)], make_ring()
    fork(publish_in_turn, rings, answers, TURNS)
    addresses, seen = np.array([ring.address for ring in rings]), np.zeros(3, np.int64)
    waiters, consumers, producer = (
        np.zeros(4 * WAITER_BYTES, np.uint8),
        [Consumer(ring) for ring in rings],
        Producer(answers),
    )
    extra_word = ring_slot(answers.address, 7)
    for turn in range(TURNS):
        assert producer.publish(numbered(turn, 1)) == 1
        place, extra_seen = turn % 4, turn // 4
        changed = False
        while not changed:
            park_on(address_of(addresses), 3, address_of(seen), extra_word, extra_seen, address_of(waiters), LONG_NS)
            changed = load(extra_word) != extra_seen if place == 3 else len(consumers[place].poll(1)) == 1
        seen += np.arange(3) == place


def publish_in_turn(rings: list[Ring], told: Ring, turns: int) -> None:
    producers, consumer = [Producer(ring) for ring in rings], Consumer(told, RECORD)
    extra_word = ring_slot(told.address, 7)
    for turn in range(turns):
        assert consumer.wait(LONG_S)
        consumer.poll(1)
        if turn % 4 == 3:
            store(extra_word, turn // 4 + 1)
            futex_wake(extra_word, 1)
        else:
            assert producers[turn % 4].publish(numbered(turn, 1)) == 1


# ---- many processes


def consume_all(name: str, count: int) -> None:
    with Ring.attach(name) as ring:
        consumer = Consumer(ring, RECORD)
        while consumer.cursor < count:
            first = consumer.cursor
            if consumer.wait(LONG_S):
                check_numbered(consumer.poll(1 + first % 700), first)


def test_a_million_records_reach_another_process(make_ring: MakeRing, fork: Callable[..., ForkProcess]) -> None:
    ring = make_ring(capacity=1024)
    child = fork(consume_all, ring.name, MANY)
    producer, first = Producer(ring), 0
    for size in itertools.cycle((1, 700, 33, 2000, 512)):
        batch = numbered(first, min(size, MANY - first))
        publish_all(producer, batch)
        first += len(batch)
        if first == MANY:
            break
    child.join()
    assert child.exitcode == 0 and ring_consumed(ring.address) == MANY


def publish_for_ever(name: str) -> None:
    with Ring.attach(name) as ring:
        producer = Producer(ring)
        for size in itertools.cycle((1, 13, 64, 5, 30)):
            publish_all(producer, numbered(ring_published(ring.address), size))


def test_a_lapped_reader_never_gets_torn_records(make_ring: MakeRing, fork: Callable[..., ForkProcess]) -> None:
    ring = make_ring(capacity=64, gated=False)
    reader = Reader(ring, 0, dtype=RECORD)
    fork(publish_for_ever, ring.name)
    laps = read = 0
    while laps < TURNS // 4 or read < TURNS * 10:
        try:
            first = reader.cursor
            records = reader.poll(64)
            check_numbered(records, first)
            assert np.array_equal(records["sequence"], records["number"] + 1)
            read += len(records)
        except Lapped as lapped:
            laps += 1
            reader.cursor = max(first, lapped.oldest) + laps % 40


@pytest.mark.parametrize("gated", [True, False])
def test_a_killed_producer_leaves_whole_records_and_its_successor_goes_on(
    make_ring: MakeRing, fork: Callable[..., ForkProcess], gated: bool
) -> None:
    ring = make_ring(capacity=4096, gated=gated)
    reader: Any = Consumer(ring, RECORD) if gated else Reader(ring, 0, dtype=RECORD)
    for life in range(12):
        child = fork(publish_for_ever, ring.name)
        enough = reader.cursor + 2_000 + 17 * life
        while reader.cursor < enough:
            assert reader.wait(LONG_S)
            read_on(reader)
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        assert child.exitcode == -signal.SIGKILL
    while ring_published(ring.address) > reader.cursor:
        read_on(reader)


def read_on(reader: Any) -> None:
    first = reader.cursor
    try:
        check_numbered(reader.poll(1000), first)
    except Lapped as lapped:
        reader.cursor = lapped.oldest + 100


def test_half_a_record_of_a_dead_producer_is_never_seen(make_ring: MakeRing) -> None:
    ring = make_ring(capacity=8)
    producer, consumer = Producer(ring), Consumer(ring, RECORD)
    producer.publish(numbered(0, 6))
    array_at(ring_slot(ring.address, 6), 1, RECORD)["rest"][:] = -1
    check_numbered(consumer.poll(8), 0)
    assert Producer(ring).publish(numbered(6, 1)) == 1
    check_numbered(consumer.poll(8), 6)


# ---- what is refused


@pytest.mark.parametrize("name", ["", "/ringex", "a b", "ringex/x", ".hidden", "é", "x" * 201, "x\0"])
def test_names_that_are_not_allowed(name: str) -> None:
    for refused in (lambda: Ring.create(name, 8, 1), lambda: Ring.attach(name), lambda: Ring.unlink(name)):
        with pytest.raises(RingError, match="1 to 200 letters, digits"):
            refused()


def test_a_name_in_use_and_a_name_that_is_not(make_ring: MakeRing, prefix: str) -> None:
    ring = make_ring()
    with pytest.raises(RingError, match="in use"):
        Ring.create(ring.name, 8, 2)
    assert Ring.list(prefix) == (ring.name,)
    Ring.unlink(ring.name)
    assert Ring.list(prefix) == ()
    for refused in (Ring.attach, Ring.unlink):
        with pytest.raises(RingError, match="there is none of that name"):
            refused(ring.name)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"capacity": 12}, "capacity 12 is not a power of two"),
        ({"capacity": 1}, "capacity 1 is not"),
        ({"capacity": 1 << 31}, "is not a power of two from 2 to"),
        ({"slot_bytes": 12}, "slots of 12 bytes; multiples of 8"),
        ({"slot_bytes": 0}, "slots of 0 bytes"),
        ({"readers_max": 97}, "97 readers; 1 to 96"),
        ({"start_cursor": -1}, "cannot start at cursor -1"),
        ({"capacity": 1 << 30, "slot_bytes": 1 << 16}, "make the ring smaller or free some"),
    ],
)
def test_sizes_that_are_not_allowed_leave_nothing_behind(
    make_ring: MakeRing, prefix: str, options: dict[str, int], message: str
) -> None:
    with pytest.raises(RingError, match=message):
        make_ring(**options)
    assert Ring.list(prefix) == ()


def test_what_is_not_a_ring_of_this_version_is_refused(make_ring: MakeRing, prefix: str) -> None:
    ring, whole = make_ring(), HEADER_BYTES + 8 * RECORD.itemsize
    good = (SHM / ring.name).read_bytes()
    broken = {
        "too few": good[:100],
        "is not a ring": bytes(whole),
        "layout version 2": good[:8] + (2).to_bytes(8, "little") + good[16:],
        "damaged": good[:-1],
        "24 slots of 64 bytes": good[:24] + (24).to_bytes(8, "little") + good[32:] + bytes(16 * RECORD.itemsize),
    }
    for message, content in broken.items():
        (SHM / f"{prefix}garbage").write_bytes(content)
        with pytest.raises(RingError, match=message):
            Ring.attach(f"{prefix}garbage")


def test_sides_that_do_not_fit_their_ring(make_ring: MakeRing) -> None:
    gated, independent, bell = make_ring(), make_ring(gated=False, readers_max=2), os.eventfd(0)
    with pytest.raises(RingError, match="read it with Consumer"):
        Reader(gated, 0)
    with pytest.raises(RingError, match="read it with Reader"):
        Consumer(independent)
    with pytest.raises(RingError, match="reader 2; 0 to 1"):
        Reader(independent, 2)
    with pytest.raises(RingError, match="EFD_NONBLOCK"):
        Reader(independent, 0, bell)
    with pytest.raises(RingError, match="cannot hold 8"):
        Consumer(gated, np.dtype("i8"))
    with pytest.raises(RingError, match="records of 8 bytes"):
        Producer(gated).publish(np.zeros(3, "i8"))
    os.close(bell)


if not INTERPRETED:

    def test_all_of_this_holds_interpreted() -> None:
        here = Path(__file__).parent
        files = [str(here / name) for name in ("test_ring.py", "test_atomics.py")]
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files]
        environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
        run = subprocess.run(command, env=environment, cwd=here.parent, capture_output=True, text=True)
        assert run.returncode == 0, run.stdout + run.stderr
