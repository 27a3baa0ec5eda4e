"""How long `ringex start` takes until `ready`, with what it compiles in the cache already."""

from __future__ import annotations

import time

from local_exchange import LocalExchange

from .figure import Figure, Options, figure

READY_SECONDS = 2.0


def measure(options: Options) -> list[Figure]:
    with LocalExchange():
        pass  # the first one may compile
    seconds = []
    for _ in range(options.repeats):
        began = time.perf_counter()
        with LocalExchange():
            seconds.append(time.perf_counter() - began)
    return [figure("start", "to ready, warm cache", "s", seconds, reach=READY_SECONDS, at_least=False)]
