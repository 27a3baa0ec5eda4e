"""Snapshots: an export of the logical state in one file, named by the last command it holds.

Layout: magic, a blake2b checksum of all that follows, the manifest's length, the manifest (JSON: formats, and each
table's name, record layout and count), the tables' bytes. A file is written beside its place, synced and renamed.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any, Final

import numpy as np

from ringex.config import Limits
from ringex.engine.export import TABLES, export_state, import_state
from ringex.engine.state import State
from ringex.messages import SCHEMA_VERSION

MAGIC: Final = b"RINGEX SNAPSHOT\n"
SNAPSHOT_VERSION: Final = 2
SUFFIX: Final = ".snap"
_DIGEST_BYTES: Final = 32
_LENGTH_BYTES: Final = 8
_HEADER_BYTES: Final = len(MAGIC) + _DIGEST_BYTES + _LENGTH_BYTES


class SnapshotCorrupt(Exception):
    """A snapshot file is not what was written, or was written by a version that this one cannot read."""


def snapshot_paths(directory: Path) -> list[Path]:
    """The directory's snapshots, oldest first; a missing directory has none."""
    return sorted(Path(directory).glob(f"{'[0-9]' * 20}{SUFFIX}"))


def write_snapshot(state: State, directory: Path) -> Path:
    """Write the state to `directory` (made if need be). The file is complete and on disk, or not there at all."""
    tables = export_state(state)
    parts = [np.ascontiguousarray(tables[name]).view("u1").data for name in TABLES]
    layout = [{"name": name, "count": len(tables[name]), "layout": _layout(TABLES[name])} for name in TABLES]
    manifest = json.dumps({"snapshot": SNAPSHOT_VERSION, "schema": SCHEMA_VERSION, "tables": layout}).encode()
    length = len(manifest).to_bytes(_LENGTH_BYTES, "little")
    digest = hashlib.blake2b(length + manifest, digest_size=_DIGEST_BYTES)
    for part in parts:
        digest.update(part)
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{int(state.root['command_sequence']):020d}{SUFFIX}"
    unfinished = path.with_suffix(".tmp")
    with unfinished.open("wb") as file:
        file.write(MAGIC + digest.digest() + length + manifest)
        for part in parts:
            file.write(part)
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(path)
    _sync_directory(directory)
    return path


def load_snapshot(path: Path, limits: Limits) -> State:
    """The state that a snapshot holds. Raises SnapshotCorrupt; ValueError where it does not fit the limits."""
    return import_state(read_snapshot(path), limits)


def read_snapshot(path: Path) -> dict[str, np.ndarray]:
    """A snapshot's tables, checked. Raises SnapshotCorrupt."""
    raw = Path(path).read_bytes()
    if len(raw) < _HEADER_BYTES or not raw.startswith(MAGIC):
        raise SnapshotCorrupt(f"{path}: no snapshot: it does not begin with {MAGIC!r}")
    digest = raw[len(MAGIC) : len(MAGIC) + _DIGEST_BYTES]
    rest = memoryview(raw)[len(MAGIC) + _DIGEST_BYTES :]
    if hashlib.blake2b(rest, digest_size=_DIGEST_BYTES).digest() != digest:
        raise SnapshotCorrupt(f"{path}: the checksum over its {len(raw)} bytes does not match")
    length = int.from_bytes(rest[:_LENGTH_BYTES], "little")
    offset = _LENGTH_BYTES + length
    counts = _table_counts(path, bytes(rest[_LENGTH_BYTES:offset]))
    size_bytes = sum(count * TABLES[name].itemsize for name, count in counts.items())
    if len(rest) - offset != size_bytes:
        raise SnapshotCorrupt(f"{path}: its tables have {len(rest) - offset} bytes; the manifest says {size_bytes}")
    tables = {}
    for name, count in counts.items():
        tables[name] = np.frombuffer(rest, TABLES[name], count, offset)
        offset += count * TABLES[name].itemsize
    return tables


def newest_valid_snapshot(directory: Path) -> tuple[Path | None, dict[str, np.ndarray], list[str]]:
    """The newest sound snapshot's path and tables (None and none, if there is no such), and why newer ones are not."""
    complaints: list[str] = []
    for path in reversed(snapshot_paths(directory)):
        try:
            return path, read_snapshot(path), complaints
        except (SnapshotCorrupt, OSError) as error:
            complaints.append(str(error))
    return None, {}, complaints


def _layout(dtype: np.dtype) -> list[Any]:
    """A record's layout as JSON can hold it: (name, format, offset) of each field, and the record's bytes."""
    fields = [[name, str(dtype.fields[name][0]), dtype.fields[name][1]] for name in dtype.names or ()]  # type: ignore[index]
    return [*fields, dtype.itemsize]


def _table_counts(path: Path, text: bytes) -> dict[str, int]:
    """How many records each table has, by a manifest that this version can read. Raises SnapshotCorrupt."""
    try:
        manifest = json.loads(text)
        versions = (manifest["snapshot"], manifest["schema"])
        layouts = [(table["name"], table["layout"]) for table in manifest["tables"]]
        counts = {table["name"]: table["count"] for table in manifest["tables"]}
    except (ValueError, KeyError, TypeError) as error:
        raise SnapshotCorrupt(f"{path}: its manifest is malformed: {error!r}") from error
    if versions != (SNAPSHOT_VERSION, SCHEMA_VERSION):
        raise SnapshotCorrupt(
            f"{path}: snapshot format {versions[0]}, schema {versions[1]}; "
            f"this version reads {SNAPSHOT_VERSION} and {SCHEMA_VERSION}"
        )
    if layouts != [(name, _layout(dtype)) for name, dtype in TABLES.items()]:
        raise SnapshotCorrupt(f"{path}: its records are laid out otherwise than this version's")
    if not all(type(count) is int and count >= 0 for count in counts.values()):
        raise SnapshotCorrupt(f"{path}: its manifest is malformed: counts are {counts}")
    return counts


def _sync_directory(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
