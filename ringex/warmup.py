"""All compiled code is compiled (or loaded from the cache) once, before the supervisor forks.

Every process then has its machine code from the first moment, and no two compile the same thing at once.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

from ringex.jit import compile_ahead

SLOW_SECONDS: Final = 2.0
"""From here on the user is told what takes so long. From the cache it takes less."""
NOTICE: Final = "ringex: compiling for this machine; this happens once, and may take a minute"


def warm_up() -> None:
    """Compile what all rooms, which have been imported, let Python call. Interpreted, there is nothing to do."""
    with notice_when_slow(NOTICE, SLOW_SECONDS):
        compile_ahead()


@contextmanager
def notice_when_slow(notice: str, seconds: float) -> Iterator[None]:
    """Print `notice` to stderr once, if the block takes longer than `seconds`. Main thread only."""

    def tell(_number: int, _frame: FrameType | None) -> None:
        print(notice, file=sys.stderr, flush=True)

    before = signal.signal(signal.SIGALRM, tell)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
