"""Atomics and the kernel's calls, from compiled code (and interpreted: see test_ring, which runs both again so)."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from ringex.atomics import (
    fence_acquire,
    fence_full,
    fence_release,
    load_acquire,
    load_relaxed,
    pause,
    store_relaxed,
    store_release,
)
from ringex.jit import INTERPRETED, compiled
from ringex.memory import address_of
from ringex.system import (
    WAITER_BYTES,
    WAITER_KIND,
    WAITERS_MAX,
    doorbell_ring,
    fdatasync,
    futex_wait,
    futex_wait_any,
    futex_wake,
    monotonic_ns,
    now_ns,
    pwrite,
    sleep_ns,
    yield_cpu,
)

LONG_NS = 60_000_000_000
ROUNDS = 100 if INTERPRETED else 20_000  # interpreted threads take turns of 5 ms


@compiled
def _store_and_load(word: int, value: int) -> int:
    store_release(word, value)
    fence_full()
    store_relaxed(word + 8, load_acquire(word) + 1)
    fence_release()
    pause()
    fence_acquire()
    return load_relaxed(word + 8)


@compiled
def _await(word: int, value: int) -> None:
    looks = 0
    while load_acquire(word) < value:
        pause()
        looks += 1
        if looks & 255 == 0:
            yield_cpu()


@compiled
def _count_to(own: int, other: int, rounds: int, first: int) -> int:
    """Two threads in turn: each waits until the other has counted, and counts one more."""
    for turn in range(rounds):
        if first != 0:
            store_release(own, turn + 1)
        _await(other, turn + 1)
        if first == 0:
            store_release(own, turn + 1)
    return load_acquire(other)


@compiled
def _enter(own: int, other: int, rounds: int, own_turn: int, other_turn: int, entered: int) -> None:
    """Dekker's test: both set their own flag, fence, and look at the other's. A fence forbids that neither sees one."""
    for turn in range(rounds):
        store_release(own_turn, turn + 1)
        _await(other_turn, turn + 1)
        store_relaxed(own + turn * 8, 1)
        fence_full()
        store_relaxed(entered + turn * 8, 1 - load_relaxed(other + turn * 8))


@pytest.fixture
def words() -> np.ndarray:
    return np.zeros(64, np.int64)


def test_what_is_stored_is_loaded(words: np.ndarray) -> None:
    for value in (1, -1, 2**63 - 1 - 1, -(2**63)):
        assert _store_and_load(address_of(words), value) == value + 1
        assert words[0] == value and words[1] == value + 1


def test_two_threads_pass_a_count_to_and_fro(words: np.ndarray) -> None:
    rounds, here, there = ROUNDS, address_of(words), address_of(words) + 256
    _count_to(here, there, 0, 1)  # compiled before the threads need it
    thread = Thread(target=_count_to, args=(here, there, rounds, 1))
    thread.start()
    assert _count_to(there, here, rounds, 0) == rounds
    thread.join()
    assert words[0] == words[32] == rounds


def test_full_fence_lets_at_most_one_side_miss_the_other() -> None:
    rounds = ROUNDS
    flags, entered, turns = (np.zeros((2, rounds), np.int64) for _ in range(3))
    addresses = [[address_of(table[side]) for side in (0, 1)] for table in (flags, turns, entered)]
    (flag_0, flag_1), (turn_0, turn_1), (entered_0, entered_1) = addresses
    _enter(flag_0, flag_1, 0, turn_0, turn_1, entered_0)  # compiled before the threads need it
    threads = [
        Thread(target=_enter, args=(flag_0, flag_1, rounds, turn_0, turn_1, entered_0)),
        Thread(target=_enter, args=(flag_1, flag_0, rounds, turn_1, turn_0, entered_1)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not np.any(entered[0] & entered[1])


def test_clocks_agree_with_pythons() -> None:
    before, value, after = time.time_ns(), now_ns(), time.time_ns()
    assert before <= value <= after
    before, value, after = time.monotonic_ns(), monotonic_ns(), time.monotonic_ns()
    assert before <= value <= after


@pytest.mark.parametrize("ns", [0, 1, 3_000_000])
def test_sleep_lasts_as_long_as_asked(ns: int) -> None:
    before = monotonic_ns()
    sleep_ns(ns)
    yield_cpu()
    assert monotonic_ns() - before >= ns


def test_futex_wait_returns_at_once_when_the_value_is_another(words: np.ndarray) -> None:
    words[0] = -5
    assert futex_wait(address_of(words), 7, LONG_NS) == -errno.EAGAIN


@pytest.mark.parametrize("value", [0, -5, 2**32 + 3])
def test_futex_wait_times_out_on_the_low_half_of_a_word(words: np.ndarray, value: int) -> None:
    words[0] = value
    assert futex_wait(address_of(words), value, 1_000_000) == -errno.ETIMEDOUT


def _wake_until_done(thread: Thread, wake: Callable[[], int]) -> int:
    """Wake again and again until `thread` ends: it may not have been asleep yet. Returns how many were woken."""
    woken = 0
    while thread.is_alive():
        woken += wake()
        thread.join(0.001)
    return woken


def test_futex_wake_wakes_one_that_waits(words: np.ndarray) -> None:
    answers: list[int] = []
    futex_wait(address_of(words), 1, 0)
    thread = Thread(target=lambda: answers.append(futex_wait(address_of(words), 0, LONG_NS)))
    thread.start()
    assert _wake_until_done(thread, lambda: futex_wake(address_of(words), 1)) == 1
    assert answers == [0]


def _waiters(words: np.ndarray, count: int) -> np.ndarray:
    entries = np.zeros((count, WAITER_BYTES // 8), np.int64)
    entries[:, 1] = address_of(words) + np.arange(count) * 8
    entries[:, 2] = WAITER_KIND
    return entries


def test_futex_wait_any_tells_which_word_was_woken(words: np.ndarray) -> None:
    waiters, answers = _waiters(words, 3), list[int]()
    assert futex_wait_any(address_of(waiters), 3, 1_000_000) == -errno.ETIMEDOUT
    thread = Thread(target=lambda: answers.append(futex_wait_any(address_of(waiters), 3, LONG_NS)))
    thread.start()
    assert _wake_until_done(thread, lambda: futex_wake(address_of(words) + 16, 1)) == 1
    assert answers == [2]


def test_futex_wait_any_returns_at_once_when_a_word_has_changed(words: np.ndarray) -> None:
    waiters = _waiters(words, 3)
    words[1] = 1
    assert futex_wait_any(address_of(waiters), 3, LONG_NS) == -errno.EAGAIN


@pytest.mark.parametrize(("changed", "expected"), [(0, -errno.ETIMEDOUT), (1, -errno.EAGAIN)])
def test_futex_wait_any_naps_where_the_kernel_refuses(changed: int, expected: int) -> None:
    words = np.zeros(WAITERS_MAX + 1, np.int64)  # one more than the kernel takes
    waiters = _waiters(words, len(words))
    words[-1] = changed
    assert futex_wait_any(address_of(waiters), len(words), LONG_NS) == expected


def test_doorbell_adds_one_to_an_eventfd() -> None:
    fd = os.eventfd(0, os.EFD_NONBLOCK)
    try:
        assert doorbell_ring(fd) == 8 and doorbell_ring(fd) == 8
        assert os.eventfd_read(fd) == 2
    finally:
        os.close(fd)
    assert doorbell_ring(fd) == -errno.EBADF


def test_pwrite_and_fdatasync_write_a_file(tmp_path: Path, words: np.ndarray) -> None:
    words[:] = np.arange(len(words)) * 3 - 7
    path = tmp_path / "file"
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        assert pwrite(fd, address_of(words), words.nbytes, 4096) == words.nbytes
        assert fdatasync(fd) == 0
    finally:
        os.close(fd)
    assert path.read_bytes() == bytes(4096) + words.tobytes()
    assert pwrite(fd, address_of(words), 8, 0) == -errno.EBADF
    assert fdatasync(fd) == -errno.EBADF


def test_pwrite_to_a_full_device_says_so(words: np.ndarray) -> None:
    fd = os.open("/dev/full", os.O_WRONLY)
    try:
        assert pwrite(fd, address_of(words), 8, 0) == -errno.ENOSPC
    finally:
        os.close(fd)
