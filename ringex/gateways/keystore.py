"""API keys and their secrets: `keys.json` in the data directory, mode 0600.

Gateway 0 is the only writer; it replaces the file whole, with fsync, before the key's KEY_ADD command goes out. The
others read it again when the KEY event arrives, so whoever knows that a key exists finds its secret on disk. Secrets
never pass through a ring or the journal.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from ringex.messages import KeyScope

API_KEY_CHARACTERS: Final = 64
KEY_NUMBER_MAX: Final = (1 << 32) - 1


class Key(msgspec.Struct, frozen=True):
    """One API key. `scopes` are KeyScope bits; `account` is the account's name."""

    number: int
    api_key: str
    secret: str
    account: str
    scopes: int


class KeystoreError(Exception):
    """keys.json cannot be read; the message names the file and what is wrong."""


@dataclass
class Keystore:
    """The keys of one exchange, by API key. `reload` after a KEY event, `add` only in gateway 0."""

    path: Path

    def __post_init__(self) -> None:
        self._by_api_key: dict[str, Key] = {}
        self.reload()

    def __len__(self) -> int:
        return len(self._by_api_key)

    def find(self, api_key: str) -> Key | None:
        return self._by_api_key.get(api_key)

    def reload(self) -> None:
        """Read the file again. No file means no keys. Raises KeystoreError for a file that is not what it should be."""
        try:
            raw = self.path.read_bytes()
        except FileNotFoundError:
            return
        try:
            keys = msgspec.json.decode(raw, type=list[Key])
        except msgspec.MsgspecError as error:
            raise KeystoreError(f"{self.path}: not a list of keys as ringex writes it: {error}") from error
        self._by_api_key = {key.api_key: key for key in keys}

    def make(self, account: str, scopes: int) -> Key:
        """A new key with a random number, stored on disk before this returns."""
        assert 0 < scopes < 2 * max(KeyScope), "scopes are KeyScope bits"
        used = {key.number for key in self._by_api_key.values()}
        number = 0
        while number == 0 or number in used:
            number = secrets.randbelow(KEY_NUMBER_MAX) + 1
        key = Key(number, secrets.token_hex(API_KEY_CHARACTERS // 2), secrets.token_hex(32), account, scopes)
        self._write([*self._by_api_key.values(), key])
        self._by_api_key[key.api_key] = key
        return key

    def _write(self, keys: list[Key]) -> None:
        temporary = self.path.with_suffix(".new")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(keys), indent=1))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.path)
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
