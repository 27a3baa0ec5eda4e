"""Group commit: the native loop that takes sequenced records from the buffer to the disk.

One commit takes everything that is sequenced (at most `commit_records_max` records, and never past the segment's end),
stamps it with what was on disk before it, and writes it with one `pwrite`, two where it wraps round the buffer. While
it syncs, the matcher fills the buffer on: the slower the disk, the larger the next commit.

`durable_sequence` in a record is always what was truly synced before it was written, in every durability mode: it is
evidence for recovery, not a promise to clients.
"""

from __future__ import annotations

import errno
from typing import Final

from ringex.atomics import fence_full, load_acquire, pause, store_release
from ringex.config import Durability
from ringex.jit import compiled, entry
from ringex.journal.control import (
    COMMITTING,
    DURABLE,
    FAILURE_ERRNO,
    JOURNAL_PARKED,
    MATCHER_PARKED,
    SEQUENCED,
    STOP,
    SYNCED,
    TARGET,
    TARGET_OFFSET,
    WRITTEN,
)
from ringex.journal.crc import stamp_records
from ringex.journal.segment import HEADER_BYTES
from ringex.memory import record_at
from ringex.messages import RECORD_BYTES
from ringex.system import fdatasync, futex_wait, futex_wake, monotonic_ns, pwrite, sleep_ns, yield_cpu

# Why `journal_commit` and `journal_loop` came back.
COMMITTED: Final = 0
IDLE: Final = 1
NEED_SEGMENT: Final = 2
PREPARE: Final = 3
STOPPED: Final = 4
FAILED: Final = 5
DEADLINE: Final = 6

FSYNC: Final = 1
OS: Final = 2
NONE: Final = 3
DURABILITY_NUMBER: Final = {Durability.FSYNC: FSYNC, Durability.OS: OS, Durability.NONE: NONE}

YIELDS: Final = 8
PARK_NS: Final = 1_000_000_000
STAND_IN_RECORDS_MAX: Final = 16
"""So few are committed by the matcher loop itself when the journal loop sleeps: to wake it, and to be woken by it,
takes as long as the commit. With more it pays that matching goes on meanwhile."""
LOOK_NS: Final = 20_000


@compiled
def write_span(control: int, sequence: int, count: int) -> int:
    """Write `count` records from `sequence` on, which neither wrap nor leave the segment. Returns 0 or an errno."""
    target = record_at(control + TARGET_OFFSET, 0, TARGET)
    address = target.buffer_address + ((sequence - 1) & (target.buffer_slots - 1)) * RECORD_BYTES
    offset = HEADER_BYTES + (sequence - target.segment_first) * RECORD_BYTES
    stamp_records(address, count, target.salt, load_acquire(control + SYNCED))
    left = count * RECORD_BYTES
    while left > 0:
        wrote = pwrite(target.fd, address, left, offset)
        if wrote == -errno.EINTR:
            continue
        if wrote <= 0:
            return -wrote if wrote < 0 else errno.EIO
        address += wrote
        offset += wrote
        left -= wrote
    return 0


@compiled
def release(control: int, durable: int) -> None:
    """Tell the matcher that records up to `durable` are safe, and wake it if it sleeps."""
    store_release(control + DURABLE, durable)
    fence_full()
    if load_acquire(control + MATCHER_PARKED) != 0:
        futex_wake(control + DURABLE, 1)


@compiled
def journal_commit(control: int) -> int:
    """Commit once. Returns COMMITTED, IDLE (nothing sequenced), NEED_SEGMENT, PREPARE (committed too) or FAILED."""
    target = record_at(control + TARGET_OFFSET, 0, TARGET)
    if load_acquire(control + FAILURE_ERRNO) != 0:
        return FAILED
    written = load_acquire(control + WRITTEN)
    sequenced = load_acquire(control + SEQUENCED)
    if sequenced == written:
        return IDLE
    if target.durability == NONE and load_acquire(control + DURABLE) != sequenced:
        release(control, sequenced)
    count = min(min(sequenced - written, target.commit_records_max), target.segment_end - 1 - written)
    if count <= 0:
        return NEED_SEGMENT
    until_wrap = target.buffer_slots - (written & (target.buffer_slots - 1))
    failure = write_span(control, written + 1, min(count, until_wrap))
    if failure == 0 and count > until_wrap:
        failure = write_span(control, written + 1 + until_wrap, count - until_wrap)
    if failure == 0 and target.durability == FSYNC:
        failure = -fdatasync(target.fd)
    if failure != 0:
        store_release(control + FAILURE_ERRNO, failure)
        release(control, load_acquire(control + DURABLE))  # the value is the same, but a sleeping matcher looks up
        return FAILED
    written += count
    store_release(control + WRITTEN, written)
    if target.durability == FSYNC:
        store_release(control + SYNCED, written)
    if target.durability != NONE:
        release(control, written)
    if target.prepare_at != 0 and written >= target.prepare_at:
        target.prepare_at = 0
        return PREPARE
    return COMMITTED


@entry
@compiled
def journal_loop(control: int, deadline_ns: int) -> int:
    """Commit until there is something for Python to do, or until `deadline_ns` of the monotonic clock.

    Returns NEED_SEGMENT, PREPARE, STOPPED (nothing left to write), FAILED or DEADLINE.
    """
    target = record_at(control + TARGET_OFFSET, 0, TARGET)
    idle = 0
    while True:
        status = journal_commit(control)
        if status == COMMITTED:
            idle = 0
            continue
        if status != IDLE:
            return status
        if load_acquire(control + STOP) != 0:
            fence_full()  # what was sequenced before the stop is seen now
            if load_acquire(control + SEQUENCED) == load_acquire(control + WRITTEN):
                return STOPPED
            continue
        if monotonic_ns() >= deadline_ns:
            return DEADLINE
        idle += 1
        if idle <= target.spin_count:
            pause()
        elif idle <= target.spin_count + YIELDS:
            yield_cpu()
        else:
            park(control, deadline_ns)


@entry
@compiled
def journal_hand_over(control: int, sequence: int) -> int:
    """Matcher: records up to `sequence` are in the buffer, and nothing more waits to be sequenced.

    A few, while the journal loop sleeps, are committed here and now; else that loop does it, woken if it sleeps.
    Returns 1 if they were committed here (or failed: `failure_errno`), 0 if not.
    """
    store_release(control + SEQUENCED, sequence)
    fence_full()
    if load_acquire(control + JOURNAL_PARKED) == 0:
        return 0
    # Both loops set their own word, fence, and look at the other's: never do both commit.
    store_release(control + COMMITTING, 1)
    fence_full()
    stands_in = load_acquire(control + JOURNAL_PARKED) != 0 and _needs_no_python(control, sequence)
    if stands_in:
        journal_commit(control)
    store_release(control + COMMITTING, 0)
    if stands_in:
        return 1
    futex_wake(control + SEQUENCED, 1)
    return 0


@compiled
def _needs_no_python(control: int, sequence: int) -> bool:
    """Whether what is sequenced and not written is little, fits the segment, and asks for no other to be prepared."""
    target = record_at(control + TARGET_OFFSET, 0, TARGET)
    few = sequence - load_acquire(control + WRITTEN) <= STAND_IN_RECORDS_MAX
    return few and sequence < target.segment_end and (target.prepare_at == 0 or sequence < target.prepare_at)


@compiled
def park(control: int, deadline_ns: int) -> None:
    """Sleep until something is sequenced or the loop is to stop; never past the deadline, at most a second.

    It is over only when the matcher loop is not committing in this one's stead.
    """
    store_release(control + JOURNAL_PARKED, 1)
    fence_full()
    sequenced = load_acquire(control + SEQUENCED)
    timeout_ns = min(deadline_ns - monotonic_ns(), PARK_NS)
    if sequenced == load_acquire(control + WRITTEN) and load_acquire(control + STOP) == 0 and timeout_ns > 0:
        futex_wait(control + SEQUENCED, sequenced & 0xFFFFFFFF, timeout_ns)
    store_release(control + JOURNAL_PARKED, 0)
    fence_full()
    while load_acquire(control + COMMITTING) != 0:
        sleep_ns(LOOK_NS)
