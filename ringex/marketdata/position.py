"""The position: the last event whose messages the publisher has handed to ZeroMQ, kept where its successor finds it.

A file of three words, mapped: a store reaches the page cache at once, so it survives the process however that ends.
"""

from __future__ import annotations

import mmap
import os
from pathlib import Path
from typing import Final

import numpy as np

_MAGIC: Final = int.from_bytes(b"rgxpos\0\1", "little")
_BYTES: Final = 24


class Position:
    """The position in the run `epoch`. A file of another run, or a damaged one, means: none."""

    def __init__(self, path: Path, epoch: int) -> None:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, _BYTES)
            self._mapping = mmap.mmap(descriptor, _BYTES)
        finally:
            os.close(descriptor)
        self._words = np.frombuffer(self._mapping, "<i8", 3)
        if self._words[0] != _MAGIC or self._words[1] != epoch:
            self._words[2] = 0
            self._words[1] = epoch
            self._words[0] = _MAGIC

    @property
    def sequence(self) -> int:
        """The sequence of the last event sent; 0: none in this run."""
        return int(self._words[2])

    def store(self, sequence: int) -> None:
        """All messages up to event `sequence` have been sent."""
        self._words[2] = sequence  # one aligned word: whoever reads it later finds the old one or the new one

    def close(self) -> None:
        del self._words
        self._mapping.close()
