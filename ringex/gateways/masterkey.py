"""The master key: what the secrets of API keys are sealed under (AES-256-GCM) while they lie on disk.

It comes from the environment (RINGEX_MASTER_KEY, 64 hexadecimal digits) or, without that, from a file of the data
directory that only its owner may read, made at the first start. A backup of the one without the other is of no use to a
thief, and of none to you: see the runbook.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import os
import re
import secrets
import stat
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

ENVIRONMENT: Final = "RINGEX_MASTER_KEY"
KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_HEX: Final = re.compile(r"[0-9A-Fa-f]{64}")


class MasterKeyError(Exception):
    """There is no master key, or it is not the one that something was sealed with; the message says which."""


class MasterKey:
    """Seals and opens. `source` says where it came from, for messages."""

    def __init__(self, secret: bytes, source: str) -> None:
        assert len(secret) == KEY_BYTES
        self.source = source
        self._cipher = AESGCM(secret)

    def seal(self, secret: bytes, about: bytes) -> str:
        """`secret` encrypted, as text. `about` is not hidden, but cannot be changed without its being noticed."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return base64.b64encode(nonce + self._cipher.encrypt(nonce, secret, about)).decode("ascii")

    def unseal(self, sealed: str, about: bytes) -> bytes:
        """What was sealed. Raises MasterKeyError: another master key, or what was sealed or `about` has changed."""
        try:
            raw = base64.b64decode(sealed, validate=True)
            return self._cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], about)
        except (InvalidTag, ValueError, binascii.Error):
            raise MasterKeyError(f"the master key from {self.source} does not open it") from None


def find_master_key(path: Path) -> MasterKey | None:
    """The master key of the environment, else of the file; None if there is neither. Raises MasterKeyError."""
    given = os.environ.get(ENVIRONMENT)
    if given:
        return MasterKey(parse_master_key(given, ENVIRONMENT), ENVIRONMENT)
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        text = path.read_text(encoding="ascii", errors="replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise MasterKeyError(f"{path}: cannot be read: {error.strerror}") from error
    if mode & 0o077:
        raise MasterKeyError(f"{path}: others may read it (mode {mode:o}); `chmod 600 {path}`, and rotate it")
    return MasterKey(parse_master_key(text.strip(), str(path)), str(path))


def make_master_key(path: Path) -> MasterKey:
    """A new master key in a file of mode 0600, on disk before this returns; the one that is there if there is one."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    write_master_key(temporary)
    with contextlib.suppress(FileExistsError):
        os.link(temporary, path)  # unlike a rename it never replaces the key that another process has just made
    temporary.unlink()
    sync_folder(path.parent)
    made = find_master_key(path)
    assert made is not None
    return made


def write_master_key(path: Path) -> MasterKey:
    """A new master key in the file at `path`, whatever is there and whatever the environment says."""
    secret = secrets.token_bytes(KEY_BYTES)
    write_private(path, secret.hex().encode() + b"\n")
    sync_folder(path.parent)
    return MasterKey(secret, str(path))


def parse_master_key(text: str, source: str) -> bytes:
    """Raises MasterKeyError for anything but 64 hexadecimal digits."""
    if not _HEX.fullmatch(text):
        expected = "64 hexadecimal digits were expected, as `openssl rand -hex 32` prints them"
        raise MasterKeyError(f"{source}: not a master key: {expected}")
    return bytes.fromhex(text)


def write_private(path: Path, content: bytes) -> None:
    """Write a file of mode 0600, with fsync. What was there before is replaced, its mode too."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Make what was renamed or linked in a folder durable."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
