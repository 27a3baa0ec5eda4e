"""The benchmarks: one leg of an order's way each, held against what this machine can do at all.

    python tools/bench all [--json FILE] [--plot FILE] [--compare FILE]
    python tools/bench ring engine ...

A leg is a module with `measure(options) -> list[Figure]`. A figure is taken several times, each time beside its floor,
so that what else runs on the machine slows both: the ratio is the result.
"""
