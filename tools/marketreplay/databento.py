"""Databento's DBN files, plain or compressed with zstd, as MBO records.

A file is a short header (b"DBN", version, length of the metadata as u32), the metadata, then records that begin with
their own length. The MBO record has been the same in all three versions.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import zstandard

from .mbo import MBO, RTYPE_MBO

_ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_PREFIX_BYTES: Final = 8
_LENGTH_UNIT: Final = 4
FILE_BYTES_MAX: Final = 8 << 30
"""Larger files (uncompressed) are refused: the whole recording is held in memory."""


def read_databento(path: Path, instrument: int | None = None) -> np.ndarray:
    """The MBO records of one instrument. Shape (n,), dtype MBO. Raises ValueError for what is no such file."""
    raw = _uncompressed(path)
    if raw[:3] != b"DBN" or len(raw) < _PREFIX_BYTES:
        raise ValueError(f"{path}: is not a DBN file: it must begin with b'DBN', but begins with {bytes(raw[:3])!r}")
    start = _PREFIX_BYTES + int.from_bytes(raw[4:_PREFIX_BYTES], "little")
    if start > len(raw):
        raise ValueError(f"{path}: is cut off: its metadata should end at byte {start}, the file at {len(raw)}")
    records = _mbo_records(path, raw, start)
    instruments = np.unique(records["instrument"])
    if instrument is None and len(instruments) > 1:
        shown = ", ".join(str(number) for number in instruments[:10])
        raise ValueError(f"{path}: holds {len(instruments)} instruments; choose one by --instrument: {shown}")
    if instrument is not None:
        records = records[records["instrument"] == instrument]
    if len(records) == 0:
        raise ValueError(f"{path}: holds no market-by-order records (schema mbo) of the instrument asked for")
    return records


def _uncompressed(path: Path) -> bytes:
    raw = path.read_bytes()
    if raw[:4] == _ZSTD_MAGIC:
        try:
            with zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True) as reader:
                raw = reader.read(FILE_BYTES_MAX + 1)
        except zstandard.ZstdError as error:
            raise ValueError(f"{path}: cannot be uncompressed: {error}") from None
    if len(raw) > FILE_BYTES_MAX:
        raise ValueError(f"{path}: is larger than {FILE_BYTES_MAX} bytes when uncompressed; cut it into days")
    return raw


def _mbo_records(path: Path, raw: bytes, start: int) -> np.ndarray:
    """All MBO records; those of other kinds (system messages, symbol mappings) are passed over."""
    words = MBO.itemsize // _LENGTH_UNIT
    count = (len(raw) - start) // MBO.itemsize
    records = np.frombuffer(raw, MBO, count, start)
    uniform = bool(np.all((records["length"] == words) & (records["rtype"] == RTYPE_MBO)))
    if uniform and start + count * MBO.itemsize == len(raw):
        return records
    found: list[bytes] = []
    at = start
    while at < len(raw):
        size = raw[at] * _LENGTH_UNIT
        if size == 0 or at + size > len(raw):
            raise ValueError(f"{path}: is cut off or damaged: the record at byte {at} does not fit into the file")
        if raw[at + 1] == RTYPE_MBO:
            found.append(raw[at : at + MBO.itemsize])
        at += size
    return np.frombuffer(b"".join(found), MBO)
