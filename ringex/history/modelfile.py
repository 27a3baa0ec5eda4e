"""A read model on disk: the frames of `ReadModel.export`, with a checksum, in one file.

The replica writes one beside each snapshot of the state. Layout, little endian: 8 bytes magic, u4 number of frames, one
u8 length a frame, 32 bytes BLAKE2b of everything else, then the frames.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ringex.config import Limits
from ringex.history.frames import Frame, check
from ringex.history.join import FRAMES_MAX
from ringex.history.readmodel import ReadModel

MAGIC: Final = b"RXMODEL1"
DIGEST_BYTES: Final = 32


def model_path(directory: Path, sequence: int) -> Path:
    """The file of the model at command `sequence`."""
    return directory / f"{sequence:020}.model"


def write_model(model: ReadModel, path: Path) -> None:
    """Write the model so that `path` is there in whole or not at all, also after a loss of power. Raises OSError."""
    frames = [memoryview(frame).cast("B") for frame in model.export()]
    assert len(frames) <= FRAMES_MAX
    head = MAGIC + struct.pack(f"<I{len(frames)}Q", len(frames), *(len(frame) for frame in frames))
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".model.tmp")
    with partial.open("wb") as file:
        file.write(head + _digest(head, frames))
        for frame in frames:
            file.write(frame)
        file.flush()
        os.fsync(file.fileno())
    partial.rename(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def load_model(path: Path, limits: Limits) -> ReadModel:
    """The model that `write_model` wrote. Raises FileNotFoundError; FrameError for a damaged or foreign file."""
    content = memoryview(path.read_bytes())
    check(bytes(content[:8]) == MAGIC and len(content) >= 12, f"{path}: not a read model of this version")
    (count,) = struct.unpack_from("<I", content, 8)
    start = 12 + 8 * count
    check(count <= FRAMES_MAX and len(content) >= start + DIGEST_BYTES, f"{path}: {count} frames do not fit")
    lengths = struct.unpack_from(f"<{count}Q", content, 12)
    digest = bytes(content[start : start + DIGEST_BYTES])
    check(sum(lengths) == len(content) - start - DIGEST_BYTES, f"{path}: its length is not what its head says")
    frames: list[Frame] = []
    at = start + DIGEST_BYTES
    for length in lengths:
        frames.append(content[at : at + length])
        at += length
    check(_digest(bytes(content[:start]), frames) == digest, f"{path}: its checksum is wrong")
    model = ReadModel(limits)
    model.load(frames)
    return model


def _digest(head: bytes, frames: Sequence[Frame]) -> bytes:
    digest = hashlib.blake2b(head, digest_size=DIGEST_BYTES)
    for frame in frames:
        digest.update(frame)
    return digest.digest()
