"""Snapshots: an export of the logical state in one file, named by the last command it holds.

Layout: magic, the manifest's length, its CRC-32C, the manifest (JSON: formats, and each table's name, record layout,
count and CRC-32C), the tables' bytes. Manifest and tables are filled up to whole words (of eight bytes). A file is
written beside its place, synced and renamed. The checksum is the journal's: of a file that is as long as its manifest
says it finds what a disk may do to it, at 9 GB/s; blake2b took more time than all else.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Final

import numpy as np

from ringex.config import Limits
from ringex.engine.export import TABLES, export_state, import_state
from ringex.engine.state import State
from ringex.journal.crc import bytes_checksum
from ringex.memory import address_of
from ringex.messages import SCHEMA_VERSION

MAGIC: Final = b"RINGEX SNAPSHOT\n"
SNAPSHOT_VERSION: Final = 3
SUFFIX: Final = ".snap"
HEADER: Final = np.dtype([("magic", f"S{len(MAGIC)}"), ("manifest_bytes", "i8"), ("manifest_checksum", "i8")])
_WORD_BYTES: Final = 8


class SnapshotCorrupt(Exception):
    """A snapshot file is not what was written, or was written by a version that this one cannot read."""


def snapshot_paths(directory: Path) -> list[Path]:
    """The directory's snapshots, oldest first; a missing directory has none."""
    return sorted(Path(directory).glob(f"{'[0-9]' * 20}{SUFFIX}"))


def write_snapshot(state: State, directory: Path) -> Path:
    """Write the state to `directory` (made if need be). The file is complete and on disk, or not there at all."""
    tables = export_state(state)
    parts = {name: _in_words(np.ascontiguousarray(tables[name]).view("u1")) for name in TABLES}
    layout = [
        {"name": name, "count": len(tables[name]), "layout": _layout(TABLES[name]), "checksum": _checksum(parts[name])}
        for name in TABLES
    ]
    text = json.dumps({"snapshot": SNAPSHOT_VERSION, "schema": SCHEMA_VERSION, "tables": layout}).encode()
    manifest = np.frombuffer(text + b" " * (-len(text) % _WORD_BYTES), "u1")
    header = np.array([(MAGIC, len(manifest), _checksum(manifest))], HEADER)
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{int(state.root['command_sequence']):020d}{SUFFIX}"
    unfinished = path.with_suffix(".tmp")
    with unfinished.open("wb") as file:
        for part in (header.view("u1"), manifest, *parts.values()):
            file.write(part.data)
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(path)
    _sync_directory(directory)
    return path


def load_snapshot(path: Path, room: Limits | None = None) -> State:
    """The state that a snapshot holds; its tables have room for its limits, and for `room`. Raises SnapshotCorrupt."""
    return import_state(read_snapshot(path), room)


def read_snapshot(path: Path) -> dict[str, np.ndarray]:
    """A snapshot's tables, checked. Raises SnapshotCorrupt."""
    raw = _read_whole(Path(path))
    if len(raw) < HEADER.itemsize or raw[: len(MAGIC)].tobytes() != MAGIC:
        raise SnapshotCorrupt(f"{path}: no snapshot: it does not begin with {MAGIC!r}")
    header = raw[: HEADER.itemsize].view(HEADER)[0]
    offset = HEADER.itemsize + int(header["manifest_bytes"])
    manifest = raw[HEADER.itemsize : max(HEADER.itemsize, offset)]
    if len(manifest) != header["manifest_bytes"] or len(manifest) % _WORD_BYTES:
        raise SnapshotCorrupt(f"{path}: {len(raw)} bytes long; its header says {header['manifest_bytes']} of manifest")
    if _checksum(manifest) != header["manifest_checksum"]:
        raise SnapshotCorrupt(f"{path}: the checksum of its manifest does not match")
    described = _tables_described(path, manifest.tobytes())
    sizes_bytes = {name: count * TABLES[name].itemsize for name, (count, _) in described.items()}
    size_bytes = sum(size + -size % _WORD_BYTES for size in sizes_bytes.values())
    if len(raw) - offset != size_bytes:
        raise SnapshotCorrupt(f"{path}: its tables have {len(raw) - offset} bytes; the manifest says {size_bytes}")
    tables = {}
    for name, (count, checksum) in described.items():
        size = sizes_bytes[name]
        part = raw[offset : offset + size + -size % _WORD_BYTES]
        if _checksum(part) != checksum:
            raise SnapshotCorrupt(f"{path}: the checksum of its {count} {name} does not match")
        tables[name] = part[:size].view(TABLES[name])
        offset += len(part)
    return tables


def _read_whole(path: Path) -> np.ndarray:
    """A file's bytes, in memory that NumPy backs with large pages. Shape (n,), u1."""
    with path.open("rb", buffering=0) as file:
        raw = np.empty(os.fstat(file.fileno()).st_size, "u1")
        done = 0
        while done < len(raw) and (step := file.readinto(raw[done:].data)):
            done += step
    return raw[:done]


def _in_words(part: np.ndarray) -> np.ndarray:
    """Bytes, filled up with zeros to whole words."""
    missing = -len(part) % _WORD_BYTES
    return np.concatenate([part, np.zeros(missing, "u1")]) if missing else part


def _checksum(part: np.ndarray) -> int:
    return int(bytes_checksum(address_of(part), len(part)))


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


def _tables_described(path: Path, text: bytes) -> dict[str, tuple[int, int]]:
    """How many records each table has, and its checksum, by a manifest that this version can read.

    Raises SnapshotCorrupt.
    """
    try:
        manifest = json.loads(text)
        versions = (manifest["snapshot"], manifest["schema"])
        layouts = [(table["name"], table["layout"]) for table in manifest["tables"]]
        described = {table["name"]: (table["count"], table["checksum"]) for table in manifest["tables"]}
    except (ValueError, KeyError, TypeError) as error:
        raise SnapshotCorrupt(f"{path}: its manifest is malformed: {error!r}") from error
    if versions != (SNAPSHOT_VERSION, SCHEMA_VERSION):
        raise SnapshotCorrupt(
            f"{path}: snapshot format {versions[0]}, schema {versions[1]}; "
            f"this version reads {SNAPSHOT_VERSION} and {SCHEMA_VERSION}"
        )
    if layouts != [(name, _layout(dtype)) for name, dtype in TABLES.items()]:
        raise SnapshotCorrupt(f"{path}: its records are laid out otherwise than this version's")
    if not all(type(number) is int and number >= 0 for numbers in described.values() for number in numbers):
        raise SnapshotCorrupt(f"{path}: its manifest is malformed: counts and checksums are {described}")
    return described


def _sync_directory(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
