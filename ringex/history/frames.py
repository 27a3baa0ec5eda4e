"""Checks on frames: arrays that came from another process as bytes, and are not trusted until they fit."""

from __future__ import annotations

from typing import Final

import numpy as np

Frame = bytes | bytearray | memoryview

FORMAT_VERSION: Final = 4
"""Of the frames of `ReadModel.export`; a model refuses any other."""


class FrameError(ValueError):
    """A frame has the wrong size, version or content; the message says which and what was expected."""


def frame_of(records: np.ndarray) -> bytes:
    """The bytes of `records`, as `records_of` reads them back. Padding, which copies leave undefined, is refused."""
    fields = records.dtype.fields or {"": (records.dtype, 0)}
    assert sum(field[0].itemsize for field in fields.values()) == records.dtype.itemsize
    return np.ascontiguousarray(records).tobytes()


def records_of(frame: Frame, dtype: np.dtype, count_max: int, noun: str) -> np.ndarray:
    """`frame` as an array of at most `count_max` records; sharing its memory. Raises FrameError."""
    size_bytes = memoryview(frame).nbytes
    count, rest = divmod(size_bytes, dtype.itemsize)
    if rest:
        raise FrameError(f"{noun}: {size_bytes} bytes are not a whole number of records of {dtype.itemsize} bytes")
    if count > count_max:
        raise FrameError(f"{noun}: {count} records; this process was started with room for {count_max}")
    return np.frombuffer(frame, dtype, count)


def check(fact: bool | np.bool_, message: str) -> None:
    """Raise FrameError with `message` unless `fact` holds."""
    if not fact:
        raise FrameError(message)
