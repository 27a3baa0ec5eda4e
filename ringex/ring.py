"""Rings: fixed-size records in POSIX shared memory, one producer each, passed on without locks and without copies.

Cursors count records from 0 and never wrap; the record at cursor c lies in slot c & (capacity - 1). A *gated* ring has
one consumer, and its producer never passes `consumed + capacity`: full is back-pressure. An *independent* ring has
many readers, none of which stalls the producer. It claims slots before it overwrites them; a reader that finds, after
copying, that its slots were claimed, or that a first word is not the sequence cursor + 1, was lapped and is told so.

Every word has one writer. A producer that dies leaves slots that nobody sees; its successor goes on at `published`.
Who has nothing to read sets `parked`, looks once more and sleeps: on the low half of `published` (a futex), or, where
an event loop wants a file descriptor, on an eventfd that was made before the processes were forked.
"""

from __future__ import annotations

import errno
import mmap
import os
import re
import select
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final

import numpy as np
import posix_ipc

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
from ringex.jit import compiled, entry, inlined
from ringex.memory import address_of, array_at, copy_bytes
from ringex.system import WAITER_BYTES, WAITER_KIND, doorbell_ring, futex_wait, futex_wait_any, futex_wake, yield_cpu

SLOT_BYTES: Final = 256
READERS_MAX: Final = 96
CAPACITY_MAX: Final = 1 << 30
SLOT_BYTES_MAX: Final = 1 << 16
NAME_CHARACTERS_MAX: Final = 200

_FOLDER: Final = Path("/dev/shm")
_NAME: Final = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{NAME_CHARACTERS_MAX - 1}}}")
_MAGIC_WORD: Final = int.from_bytes(b"ringex\0\1", "little")
_LAYOUT_VERSION: Final = 1
_GATED: Final = 1
_INDEPENDENT: Final = 2

# The header, in bytes from the start of the mapping. The first line is written once, when the ring is made. Each word
# that changes has 128 bytes to itself: processors fetch lines of 64 in pairs.
_MAGIC, _VERSION, _SLOT_BYTES, _CAPACITY, _EPOCH, _KIND, _READERS, _START = range(0, 64, 8)
_CLAIMED: Final = 128  # producer
_PUBLISHED: Final = 256  # producer
_CONSUMED: Final = 384  # consumer of a gated ring
_RUNG: Final = 512  # producer: per reader, the ticket its doorbell was last rung for
_READER: Final = 1280  # per reader 128 bytes: `parked` (a ticket, or 0), `ticket` (the last one used), `doorbell`
_READER_BYTES: Final = 128
_TICKET: Final = 8
_DOORBELL: Final = 16
_STATE: Final = 13568  # producer: what it tells its readers beside the records
HEADER_BYTES: Final = 16384
assert _RUNG + 8 * READERS_MAX <= _READER and _READER + _READER_BYTES * READERS_MAX <= _STATE < HEADER_BYTES - 128

# How a reader waits: spin for a couple of microseconds, give way to others, then sleep. Two cores must be able to run a
# whole exchange, so spinning is short; a futex round trip between two parked processes costs 70 us.
_SPINS: Final = 64
_YIELDS: Final = 4
_SLEEP_NS_MAX: Final = 1_000_000_000
_WAKE_ALL: Final = 0x7FFFFFFF


class RingError(Exception):
    """A ring could not be made, found or used as asked; the message says what would be right."""


class Lapped(Exception):
    """The producer has overwritten what this reader wanted next: `cursor`. It still holds `oldest` and later ones."""

    def __init__(self, cursor: int, oldest: int) -> None:
        super().__init__(f"the reader stands at cursor {cursor}, the oldest record still there is {oldest}")
        self.cursor = cursor
        self.oldest = oldest


# ---- compiled surface: `ring` is the address of the mapping, everything is int64


@inlined
def ring_capacity(ring: int) -> int:
    return load_relaxed(ring + _CAPACITY)


@entry
@inlined
def ring_published(ring: int) -> int:
    """Records below this cursor may be read."""
    return load_acquire(ring + _PUBLISHED)


@inlined
def ring_consumed(ring: int) -> int:
    """The consumer of a gated ring is done with the records below this cursor."""
    return load_acquire(ring + _CONSUMED)


@inlined
def ring_claimed(ring: int) -> int:
    """Records below this cursor minus the capacity may have been overwritten."""
    return load_acquire(ring + _CLAIMED)


@inlined
def ring_oldest(ring: int) -> int:
    """The first cursor whose record an independent ring still holds."""
    return max(ring_claimed(ring) - ring_capacity(ring), load_relaxed(ring + _START))


@inlined
def ring_slot(ring: int, cursor: int) -> int:
    """The address of the record at `cursor`."""
    index = cursor & (load_relaxed(ring + _CAPACITY) - 1)
    return ring + HEADER_BYTES + index * load_relaxed(ring + _SLOT_BYTES)


@inlined
def ring_claim(ring: int, cursor: int) -> None:
    """Producer of an independent ring: slots up to `cursor` may be written from now on.

    It never goes down: a producer that starts again lower than where its predecessor died leaves readers warned.
    """
    store_relaxed(ring + _CLAIMED, max(cursor, load_relaxed(ring + _CLAIMED)))
    fence_release()


@entry
@compiled
def ring_publish(ring: int, cursor: int) -> None:
    """Producer: records below `cursor` may be read from now on; wake who sleeps.

    A successor first publishes its predecessor's cursor once more: that one may have died before it woke anyone.
    """
    store_release(ring + _PUBLISHED, cursor)
    fence_full()
    for reader in range(load_relaxed(ring + _READERS)):
        line = ring + _READER + reader * _READER_BYTES
        ticket = load_acquire(line)
        if ticket != 0:
            doorbell = load_relaxed(line + _DOORBELL)
            if doorbell < 0:
                futex_wake(ring + _PUBLISHED, _WAKE_ALL)
            elif load_relaxed(ring + _RUNG + reader * 8) != ticket:  # a doorbell keeps ringing: once is enough
                doorbell_ring(doorbell)
                store_relaxed(ring + _RUNG + reader * 8, ticket)


@inlined
def ring_consume(ring: int, cursor: int) -> None:
    """Consumer of a gated ring: the slots below `cursor` may be used again."""
    store_release(ring + _CONSUMED, cursor)


@inlined
def ring_set_state(ring: int, state: int) -> None:
    """Producer: tell readers one number beside the records, 0 at first. Nobody is woken for it."""
    store_release(ring + _STATE, state)


@inlined
def ring_state(ring: int) -> int:
    """The number that the producer told last; what it means is for producer and readers to agree on."""
    return load_acquire(ring + _STATE)


@entry
@inlined
def ring_set_parked(ring: int, reader: int, parked: int) -> None:
    """Reader: 1 before the last look and the sleep, with `fence_full` between; 0 afterwards. A consumer is reader 0."""
    line = ring + _READER + reader * _READER_BYTES
    if parked != 0:
        ticket = load_relaxed(line + _TICKET) + 1
        store_relaxed(line + _TICKET, ticket)
        store_release(line, ticket)
    else:
        store_release(line, 0)


@entry
@inlined
def ring_set_doorbell(ring: int, reader: int, doorbell_fd: int) -> None:
    """Reader: the eventfd that wakes it, as numbered in the producer's process; -1: it sleeps on the futex."""
    store_release(ring + _READER + reader * _READER_BYTES + _DOORBELL, doorbell_fd)


@entry
@inlined
def ring_space(ring: int) -> int:
    """Producer: how many records may be published now."""
    if load_relaxed(ring + _KIND) == _INDEPENDENT:
        return ring_capacity(ring)
    return ring_consumed(ring) + ring_capacity(ring) - load_relaxed(ring + _PUBLISHED)


@entry
@compiled
def ring_append(ring: int, source: int, count: int, whole: int) -> int:
    """Producer: copy `count` records from `source` into the ring and publish them. Returns how many fitted.

    With `whole` all of them or none. An independent ring stamps each record's first word with its sequence, cursor + 1.
    """
    fitting = min(count, ring_space(ring))
    if fitting <= 0 or (whole != 0 and fitting < count):
        return 0
    cursor = load_relaxed(ring + _PUBLISHED)
    slot_bytes = load_relaxed(ring + _SLOT_BYTES)
    independent = load_relaxed(ring + _KIND) == _INDEPENDENT
    if independent:
        ring_claim(ring, cursor + fitting)
    capacity = ring_capacity(ring)
    first = min(fitting, capacity - (cursor & (capacity - 1)))
    copy_bytes(ring_slot(ring, cursor), source, first * slot_bytes)
    copy_bytes(ring_slot(ring, cursor + first), source + first * slot_bytes, (fitting - first) * slot_bytes)
    if independent:
        for taken in range(cursor, cursor + fitting):
            store_relaxed(ring_slot(ring, taken), taken + 1)
    ring_publish(ring, cursor + fitting)
    return fitting


@compiled
def ring_read(ring: int, cursor: int, count_max: int, destination: int) -> int:
    """Copy at most `count_max` published records from `cursor` on to `destination`. Returns how many."""
    count = min(ring_published(ring) - cursor, count_max)
    if count <= 0:
        return 0
    capacity = ring_capacity(ring)
    slot_bytes = load_relaxed(ring + _SLOT_BYTES)
    count = min(count, capacity)
    first = min(count, capacity - (cursor & (capacity - 1)))
    copy_bytes(destination, ring_slot(ring, cursor), first * slot_bytes)
    copy_bytes(destination + first * slot_bytes, ring_slot(ring, cursor + first), (count - first) * slot_bytes)
    return count


@entry
@compiled
def ring_poll_independent(ring: int, cursor: int, count_max: int, destination: int) -> int:
    """Like `ring_read`, of an independent ring: returns -1 when the reader was lapped, whatever was copied by then."""
    if cursor < ring_oldest(ring):
        return -1
    count = ring_read(ring, cursor, count_max, destination)
    fence_acquire()
    if count > 0 and cursor < load_relaxed(ring + _CLAIMED) - ring_capacity(ring):
        return -1
    slot_bytes = load_relaxed(ring + _SLOT_BYTES)
    for index in range(count):
        if load_relaxed(destination + index * slot_bytes) != cursor + index + 1:
            return -1
    return count


@entry
@compiled
def ring_spin(ring: int, cursor: int) -> int:
    """Look for a record at `cursor` for some microseconds, giving way to others. Returns 1 when it is there, else 0."""
    for _ in range(_SPINS):
        if ring_published(ring) > cursor:
            return 1
        pause()
    for _ in range(_YIELDS):
        if ring_published(ring) > cursor:
            return 1
        yield_cpu()
    return 0


@entry
@compiled
def ring_arm(ring: int, reader: int, cursor: int) -> int:
    """Announce that `reader` is going to sleep. Returns 0, and it stays awake, if there is a record at `cursor`."""
    ring_set_parked(ring, reader, 1)
    fence_full()
    if ring_published(ring) > cursor:
        ring_set_parked(ring, reader, 0)
        return 0
    return 1


@compiled
def ring_sleep(ring: int, reader: int, cursor: int, timeout_ns: int) -> None:
    """Sleep until there may be a record at `cursor`, at most `timeout_ns`. For a reader without a doorbell."""
    seen = ring_published(ring)
    if seen <= cursor and ring_arm(ring, reader, cursor) != 0:
        futex_wait(ring + _PUBLISHED, seen, timeout_ns)
        ring_set_parked(ring, reader, 0)


@compiled
def park_on(
    rings: int, ring_count: int, seen: int, extra_word: int, extra_seen: int, waiters: int, timeout_ns: int
) -> int:
    """Sleep until one of several gated rings, or one further word, has changed; at most `timeout_ns`.

    rings       address of `ring_count` ring addresses
    seen        address of as many cursors: what each ring had published when it was last looked at
    extra_word  address of an int64 whose writer calls `futex_wake` after each store; 0: none
    extra_seen  its value when it was last looked at
    waiters     address of (ring_count + 1) * WAITER_BYTES bytes of scratch memory

    Returns 1 if something has changed, 0 if not (time-out, or a signal).
    """
    for index in range(ring_count):
        ring_set_parked(load_relaxed(rings + index * 8), 0, 1)
    fence_full()
    count = 0
    for index in range(ring_count):
        word = load_relaxed(rings + index * 8) + _PUBLISHED
        count = _waiter(waiters, count, word, load_relaxed(seen + index * 8))
    if extra_word != 0:
        count = _waiter(waiters, count, extra_word, extra_seen)
    if _changed(waiters, count) == 0:
        futex_wait_any(waiters, count, timeout_ns)
    for index in range(ring_count):
        ring_set_parked(load_relaxed(rings + index * 8), 0, 0)
    return _changed(waiters, count)


@inlined
def _waiter(waiters: int, index: int, word: int, expected: int) -> int:
    entry = waiters + index * WAITER_BYTES
    store_relaxed(entry, expected & 0xFFFFFFFF)
    store_relaxed(entry + 8, word)
    store_relaxed(entry + 16, WAITER_KIND)
    return index + 1


@inlined
def _changed(waiters: int, count: int) -> int:
    for index in range(count):
        entry = waiters + index * WAITER_BYTES
        if load_acquire(load_relaxed(entry + 8)) & 0xFFFFFFFF != load_relaxed(entry):
            return 1
    return 0


# ---- Python surface


class Ring:
    """A mapping of one ring. Who makes it with `create` sees to `unlink`; every process that has it calls `close`."""

    def __init__(self, name: str, mapping: mmap.mmap) -> None:
        self.name = name
        self._mapping = mapping
        self._address = address_of(np.frombuffer(mapping, np.uint8, HEADER_BYTES))
        words = array_at(self._address, 8, np.dtype("<i8")).tolist()
        self.slot_bytes, self.capacity, self.epoch = words[_SLOT_BYTES // 8], words[_CAPACITY // 8], words[_EPOCH // 8]
        self.gated = words[_KIND // 8] == _GATED
        self.readers_max, self.start_cursor = words[_READERS // 8], words[_START // 8]

    @classmethod
    def create(
        cls,
        name: str,
        capacity: int,
        epoch: int,
        gated: bool = True,
        slot_bytes: int = SLOT_BYTES,
        readers_max: int = 16,
        start_cursor: int = 0,
    ) -> Ring:
        """Make a ring, all of its memory reserved; the first record published has cursor `start_cursor`.

        Raises RingError: a name in use or not allowed, a size out of bounds, shared memory that is full.
        """
        _check_name(name)
        if not (2 <= capacity <= CAPACITY_MAX and capacity & (capacity - 1) == 0):
            raise RingError(f"ring {name}: capacity {capacity} is not a power of two from 2 to {CAPACITY_MAX}")
        if not (8 <= slot_bytes <= SLOT_BYTES_MAX and slot_bytes % 8 == 0):
            raise RingError(
                f"ring {name}: slots of {slot_bytes} bytes; multiples of 8 up to {SLOT_BYTES_MAX} are allowed"
            )
        if not 1 <= readers_max <= READERS_MAX:
            raise RingError(f"ring {name}: {readers_max} readers; 1 to {READERS_MAX} are allowed")
        if start_cursor < 0:
            raise RingError(f"ring {name}: it cannot start at cursor {start_cursor}; 0 or more is allowed")
        mapping = _reserve(name, HEADER_BYTES + capacity * slot_bytes)
        header = np.frombuffer(mapping, "<i8", HEADER_BYTES // 8)
        for place in (_CLAIMED, _PUBLISHED, _CONSUMED, _START):
            header[place // 8] = start_cursor
        header[_READER // 8 : (_READER + READERS_MAX * _READER_BYTES) // 8][_DOORBELL // 8 :: _READER_BYTES // 8] = -1
        header[_SLOT_BYTES // 8], header[_CAPACITY // 8], header[_EPOCH // 8] = slot_bytes, capacity, epoch
        header[_KIND // 8], header[_READERS // 8] = (_GATED, 1) if gated else (_INDEPENDENT, readers_max)
        header[_VERSION // 8] = _LAYOUT_VERSION
        header[_MAGIC // 8] = _MAGIC_WORD  # last: without it nobody takes this for a ring
        return cls(name, mapping)

    @classmethod
    def attach(cls, name: str) -> Ring:
        """Map a ring that exists. Raises RingError if there is none, or it is not a ring of this version."""
        _check_name(name)
        try:
            memory = posix_ipc.SharedMemory(f"/{name}")
        except posix_ipc.ExistentialError:
            raise RingError(f"ring {name}: there is none of that name; {_present()}") from None
        except (posix_ipc.PermissionsError, OSError) as error:
            raise RingError(f"ring {name}: it cannot be opened: {error}") from None
        try:
            if memory.size < HEADER_BYTES:
                raise RingError(f"ring {name}: {memory.size} bytes are too few for a ring; remove {_FOLDER / name}")
            words = np.frombuffer(os.pread(memory.fd, 64, 0), "<i8")
            if words[_MAGIC // 8] != _MAGIC_WORD:
                raise RingError(f"ring {name}: {_FOLDER / name} is not a ring; choose another name or remove it")
            if words[_VERSION // 8] != _LAYOUT_VERSION:
                found = words[_VERSION // 8]
                raise RingError(
                    f"ring {name}: layout version {found}, this program knows {_LAYOUT_VERSION}; upgrade it"
                )
            capacity, slot_bytes = int(words[_CAPACITY // 8]), int(words[_SLOT_BYTES // 8])
            size_bytes = HEADER_BYTES + capacity * slot_bytes
            if memory.size != size_bytes or capacity < 2 or capacity & (capacity - 1) != 0:
                said = f"{capacity} slots of {slot_bytes} bytes"
                raise RingError(f"ring {name}: its header says {said}, it has {memory.size} bytes: damaged; remove it")
            return cls(name, _map(memory.fd, size_bytes))
        finally:
            memory.close_fd()

    @staticmethod
    def unlink(name: str) -> None:
        """Remove the name; the memory goes when the last process closes it. Raises RingError if there is none."""
        _check_name(name)
        try:
            posix_ipc.unlink_shared_memory(f"/{name}")
        except posix_ipc.ExistentialError:
            raise RingError(f"ring {name}: there is none of that name; {_present()}") from None

    @staticmethod
    def list(prefix: str) -> tuple[str, ...]:
        """The names in shared memory that start with `prefix`, sorted."""
        return tuple(sorted(path.name for path in _FOLDER.iterdir() if path.name.startswith(prefix)))

    @property
    def address(self) -> int:
        """Where the ring is mapped: what compiled code is handed. Raises RingError after `close`."""
        if self._address == 0:
            raise RingError(f"ring {self.name}: it is closed here; attach to it again")
        return self._address

    def close(self) -> None:
        """Unmap the ring from this process. Nothing may use its address any more. Closing twice is allowed."""
        self._address = 0
        self._mapping.close()

    def __enter__(self) -> Ring:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class Producer:
    """The one writer of a ring. A second one is made only when the first has died."""

    def __init__(self, ring: Ring) -> None:
        self._ring = ring
        ring_publish(ring.address, ring_published(ring.address))

    @property
    def address(self) -> int:
        """Of the ring, for compiled code that publishes in this producer's place."""
        return self._ring.address

    def space(self) -> int:
        """How many records can be published now; an independent ring always takes its capacity."""
        return ring_space(self._ring.address)

    def publish(self, records: np.ndarray, *, whole: bool = False) -> int:
        """Append records of `slot_bytes` each, shape (n,). Returns how many of the first ones fitted.

        With `whole` (commands of several slots) it is all or none. Raises RingError when they can never fit.
        """
        if records.dtype.itemsize != self._ring.slot_bytes or records.ndim != 1:
            found = f"{records.dtype.itemsize} bytes in shape {records.shape}"
            raise RingError(
                f"ring {self._ring.name}: records of {found}; {self._ring.slot_bytes} bytes, (n,) are right"
            )
        if whole and len(records) > self._ring.capacity:
            raise RingError(f"ring {self._ring.name}: {len(records)} records as one; {self._ring.capacity} can fit")
        records = np.ascontiguousarray(records)
        return ring_append(self._ring.address, address_of(records), len(records), int(whole))


class _Waiting:
    """A side that reads: where it stands, and how it waits."""

    def __init__(self, ring: Ring, reader_number: int, cursor: int, dtype: np.dtype | None) -> None:
        self._ring = ring
        self._reader = reader_number
        self._dtype = np.dtype((np.void, ring.slot_bytes)) if dtype is None else dtype
        if self._dtype.itemsize != ring.slot_bytes:
            raise RingError(f"ring {ring.name}: slots of {ring.slot_bytes} bytes cannot hold {self._dtype.itemsize}")
        self.cursor = cursor
        """The next record to read."""
        ring_set_parked(ring.address, reader_number, 0)

    def _room(self, count_max: int) -> np.ndarray:
        waiting = ring_published(self._ring.address) - self.cursor
        return np.empty(max(0, min(waiting, count_max, self._ring.capacity)), self._dtype)

    def wait(self, timeout_s: float) -> bool:
        """Wait at most `timeout_s` seconds for a record at `cursor`: spin, yield, then sleep. True when it is there."""
        ring, deadline = self._ring.address, time.monotonic() + timeout_s
        while not ring_spin(ring, self.cursor):
            left_ns = int((deadline - time.monotonic()) * 1e9)
            if left_ns <= 0:
                return False
            self._sleep(min(left_ns, _SLEEP_NS_MAX))
        return True

    def _sleep(self, timeout_ns: int) -> None:
        ring_sleep(self._ring.address, self._reader, self.cursor, timeout_ns)


class Consumer(_Waiting):
    """The one reader of a gated ring. Goes on where the last one stopped."""

    def __init__(self, ring: Ring, dtype: np.dtype | None = None) -> None:
        if not ring.gated:
            raise RingError(f"ring {ring.name}: it has independent readers; read it with Reader")
        super().__init__(ring, 0, ring_consumed(ring.address), dtype)

    def poll(self, count_max: int) -> np.ndarray:
        """A copy of the next records, at most `count_max`, shape (n,); their slots are free again at once."""
        records = self._room(count_max)
        if len(records):
            taken = ring_read(self._ring.address, self.cursor, len(records), address_of(records))
            assert taken == len(records), "nobody but this consumer takes records"
            self.cursor += taken
            ring_consume(self._ring.address, self.cursor)
        return records


class Reader(_Waiting):
    """An independent reader, one of `readers_max`; each number is used by one process at a time.

    `doorbell_fd` is a non-blocking eventfd that has the same number in the producer's process; -1: sleep on a futex.
    `cursor` is where to start; by default with what is published next. It may lie ahead of what is published.
    """

    def __init__(
        self,
        ring: Ring,
        reader_number: int,
        doorbell_fd: int = -1,
        cursor: int | None = None,
        dtype: np.dtype | None = None,
    ) -> None:
        if ring.gated:
            raise RingError(f"ring {ring.name}: it is gated by one consumer; read it with Consumer")
        if not 0 <= reader_number < ring.readers_max:
            raise RingError(f"ring {ring.name}: reader {reader_number}; 0 to {ring.readers_max - 1} are allowed")
        if doorbell_fd >= 0 and os.get_blocking(doorbell_fd):
            raise RingError(f"ring {ring.name}: doorbell {doorbell_fd} blocks; make it with EFD_NONBLOCK")
        super().__init__(ring, reader_number, ring_published(ring.address) if cursor is None else cursor, dtype)
        self._doorbell = doorbell_fd
        ring_set_doorbell(ring.address, reader_number, doorbell_fd)

    def poll(self, count_max: int) -> np.ndarray:
        """A copy of the next records, at most `count_max`, shape (n,). Raises Lapped; `cursor` then stays."""
        records = self._room(count_max)
        if len(records):
            taken = ring_poll_independent(self._ring.address, self.cursor, len(records), address_of(records))
            if taken < 0:
                raise Lapped(self.cursor, ring_oldest(self._ring.address))
            records = records[:taken]
            self.cursor += taken
        return records

    def arm(self) -> bool:
        """Ask for the doorbell to be rung. False, and nothing is asked, if there is something to read already."""
        return bool(ring_arm(self._ring.address, self._reader, self.cursor))

    def disarm(self, *, rang: bool = True) -> None:
        """Call this after the sleep, before reading: it silences the doorbell.

        Where that is known not to have `rang`, nothing is asked of it; had it rung since, the next sleep ends at once.
        """
        ring_set_parked(self._ring.address, self._reader, 0)
        if rang and self._doorbell >= 0:
            with suppress(BlockingIOError):  # nobody rang
                os.eventfd_read(self._doorbell)

    def _sleep(self, timeout_ns: int) -> None:
        if self._doorbell < 0:
            super()._sleep(timeout_ns)
        elif self.arm():
            poller = select.poll()
            poller.register(self._doorbell, select.POLLIN)
            poller.poll(timeout_ns / 1e6)
            self.disarm()


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        rule = f"1 to {NAME_CHARACTERS_MAX} letters, digits, dots, dashes and underscores, a letter or digit first"
        raise RingError(f"ring {name[: NAME_CHARACTERS_MAX + 1]!r}: not a name; {rule}")


def _present() -> str:
    names = Ring.list("")
    shown = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
    return f"{_FOLDER} holds {shown or 'nothing'}"


def _reserve(name: str, size_bytes: int) -> mmap.mmap:
    """New shared memory, all zeros, every page of it there: without that a full /dev/shm kills by SIGBUS later."""
    try:
        memory = posix_ipc.SharedMemory(f"/{name}", posix_ipc.O_CREX, mode=0o600)
    except posix_ipc.ExistentialError:
        raise RingError(f"ring {name}: the name is in use; choose another or remove {_FOLDER / name}") from None
    except (posix_ipc.PermissionsError, OSError) as error:
        raise RingError(f"ring {name}: it cannot be made: {error}") from None
    try:
        os.posix_fallocate(memory.fd, 0, size_bytes)
        return _map(memory.fd, size_bytes)
    except OSError as error:
        memory.unlink()
        if error.errno not in (errno.ENOSPC, errno.ENOMEM, errno.EFBIG):
            raise RingError(f"ring {name}: it cannot be made: {error}") from None
        free = os.statvfs(_FOLDER)
        room = f"{free.f_bavail * free.f_frsize} are free in {_FOLDER}"
        raise RingError(
            f"ring {name}: it needs {size_bytes} bytes, {room}; make the ring smaller or free some"
        ) from None
    finally:
        memory.close_fd()


def _map(fd: int, size_bytes: int) -> mmap.mmap:
    return mmap.mmap(fd, size_bytes, flags=mmap.MAP_SHARED | mmap.MAP_POPULATE)
