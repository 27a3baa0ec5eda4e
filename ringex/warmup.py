"""The hot loops are compiled (or loaded from the cache) once, before the supervisor forks.

The matcher and the replica then have their machine code from the first moment, and two processes do not compile the
same thing at once. What is small is left to be compiled on first use.
"""

from __future__ import annotations

import inspect
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

from numba import types

from ringex.engine.library import apply_batch
from ringex.engine.sequencer import sequencer_run, sequencer_submit
from ringex.jit import INTERPRETED
from ringex.journal.commit import journal_loop

HOT_LOOPS: Final[tuple[Callable[..., Any], ...]] = (sequencer_run, sequencer_submit, apply_batch, journal_loop)
SLOW_SECONDS: Final = 2.0
"""From here on the user is told what takes so long. From the cache it takes less."""
NOTICE: Final = "ringex: compiling for this machine; this happens once, and may take a minute or two"


def warm_up() -> None:
    """Compile the hot loops, whose parameters are all int64. Interpreted, there is nothing to do."""
    if INTERPRETED:
        return
    with notice_when_slow(NOTICE, SLOW_SECONDS):
        for function in HOT_LOOPS:
            parameters = inspect.signature(function).parameters
            function.compile((types.int64,) * len(parameters))  # type: ignore[attr-defined]


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
