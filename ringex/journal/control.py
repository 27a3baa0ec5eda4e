"""The journal's control words: what the matcher loop and the journal loop tell each other, in process memory.

Each word has one writer and lies on 128 bytes of its own. All sequences count from 1. The record of sequence s lies in
the journal buffer's slot (s - 1) & (buffer_slots - 1).

    the matcher loop writes   sequenced       records up to it are in the buffer, complete
                              matcher_parked  it sleeps, perhaps on the low 32 bits of `durable`
                              committing      it commits itself: the journal loop, which slept, keeps out
    the journal loop writes   durable         records up to it are safe: their events may be released
                              written         records up to it are in the file: their slots may be overwritten
                              synced          records up to it are on disk for certain
                              journal_parked  it sleeps on the low 32 bits of `sequenced`
                              failure_errno   a write or sync failed; the loop has ended for good
    the preparer writes       is_full         the next segment cannot be made: refuse new orders
    anyone, once, sets        stop            write what is sequenced, then end

So the matcher writes the record of sequence s only once `written` >= s - buffer_slots. While `committing` is 1 and
`journal_parked` was seen after that, the matcher loop stands in for the journal loop and writes its words.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from ringex.atomics import fence_full, load_acquire, load_relaxed, store_release
from ringex.jit import inlined
from ringex.system import futex_wake

LINE_BYTES: Final = 128
SEQUENCED: Final = 0 * LINE_BYTES
DURABLE: Final = 1 * LINE_BYTES
WRITTEN: Final = 2 * LINE_BYTES
SYNCED: Final = 3 * LINE_BYTES
MATCHER_PARKED: Final = 4 * LINE_BYTES
JOURNAL_PARKED: Final = 5 * LINE_BYTES
FAILURE_ERRNO: Final = 6 * LINE_BYTES
IS_FULL: Final = 7 * LINE_BYTES
STOP: Final = 8 * LINE_BYTES
COMMITTING: Final = 9 * LINE_BYTES
TARGET_OFFSET: Final = 10 * LINE_BYTES
CONTROL_BYTES: Final = 11 * LINE_BYTES

TARGET: Final = np.dtype(
    [
        ("fd", "i8"),  # of the segment being written
        ("salt", "i8"),
        ("segment_first", "i8"),
        ("segment_end", "i8"),  # one past its last sequence
        ("prepare_at", "i8"),  # return for the next segment to be prepared once this is written; 0: has been asked
        ("buffer_address", "i8"),
        ("buffer_slots", "i8"),
        ("commit_records_max", "i8"),
        ("durability", "i8"),  # FSYNC, OS or NONE of `ringex.journal.commit`
        ("spin_count", "i8"),
    ]
)
"""Where the journal loop writes to. Set by Python while the loop is not running; lies behind the control words."""


@inlined
def journal_durable(control: int) -> int:
    """Records up to this sequence are safe: events of their commands may be released."""
    return load_acquire(control + DURABLE)


@inlined
def journal_written(control: int) -> int:
    """Records up to this sequence have left the buffer: slot of s may be overwritten if s <= this + buffer_slots."""
    return load_acquire(control + WRITTEN)


@inlined
def journal_sequenced(control: int) -> int:
    """Matcher: what it told the journal loop last."""
    return load_relaxed(control + SEQUENCED)


@inlined
def journal_sequence_to(control: int, sequence: int) -> None:
    """Matcher: records up to `sequence` are in the buffer. Wakes the journal loop if it sleeps."""
    store_release(control + SEQUENCED, sequence)
    fence_full()
    if load_acquire(control + JOURNAL_PARKED) != 0:
        futex_wake(control + SEQUENCED, 1)


@inlined
def journal_park_set(control: int) -> None:
    """Matcher: about to sleep on `durable`; the caller looks at `durable` and its rings once more after this."""
    store_release(control + MATCHER_PARKED, 1)
    fence_full()


@inlined
def journal_park_clear(control: int) -> None:
    """Matcher: awake again."""
    store_release(control + MATCHER_PARKED, 0)
