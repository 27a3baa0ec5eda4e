"""API keys and their secrets: `keys.json` in the data directory, mode 0600, its secrets sealed under the master key.

Gateway 0 is the only writer; it replaces the file whole, with fsync, before the key's KEY_ADD command goes out. The
others read it again when the KEY event arrives, so whoever knows that a key exists finds its secret on disk. Secrets
never pass through a ring or the journal. A key that is in the file and not in the journal opens nothing.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from ringex.config import Settings
from ringex.gateways.masterkey import (
    ENVIRONMENT,
    MasterKey,
    MasterKeyError,
    find_master_key,
    make_master_key,
    parse_master_key,
    sync_folder,
    write_master_key,
    write_private,
)
from ringex.terms import KeyScope

API_KEY_CHARACTERS: Final = 64
KEY_NUMBER_MAX: Final = (1 << 32) - 1
ADDRESSES_MAX: Final = 32
"""Networks in one key's allowlist."""
NEW_ENVIRONMENT: Final = "RINGEX_MASTER_KEY_NEW"
_PROOF: Final = b"ringex"


class Key(msgspec.Struct, frozen=True):
    """One API key. `scopes` are KeyScope bits; `account` is the account's name.

    It signs with HMAC-SHA256 and `secret`, or with Ed25519 where `public_key` (PEM) is set; `secret` is empty then.
    `addresses` are networks (CIDR) that it may be used from; none: from anywhere.
    """

    number: int
    api_key: str
    secret: str
    account: str
    scopes: int
    public_key: str = ""
    addresses: tuple[str, ...] = ()


class _Entry(msgspec.Struct, frozen=True):
    """A key as it lies on disk: `sealed` holds the secret, and fails to open where any other field was changed."""

    number: int
    api_key: str
    account: str
    scopes: int
    public_key: str
    addresses: tuple[str, ...]
    sealed: str

    @property
    def about(self) -> bytes:
        fields: list[Any] = [self.number, self.api_key, self.account, self.scopes, self.public_key, self.addresses]
        return msgspec.json.encode(fields)


class _File(msgspec.Struct):
    proof: str
    """A known text under the master key: whether it fits shows where there is no secret yet."""
    keys: list[_Entry]


class KeystoreError(Exception):
    """keys.json cannot be read, or not with this master key; the message names the file and what is wrong."""


@dataclass
class Keystore:
    """The keys of one exchange, by API key. `reload` after a KEY event; `make` and `remove` only in gateway 0."""

    path: Path
    master: MasterKey

    def __post_init__(self) -> None:
        self._by_api_key: dict[str, Key] = {}
        self._entries: dict[str, _Entry] = {}
        self.reload()

    def __len__(self) -> int:
        return len(self._by_api_key)

    @property
    def keys(self) -> list[Key]:
        """In the order in which they were made."""
        return list(self._by_api_key.values())

    def find(self, api_key: str) -> Key | None:
        return self._by_api_key.get(api_key)

    def reload(self) -> None:
        """Read the file again; only what has changed is unsealed. No file means no keys. Raises KeystoreError."""
        file = _read(self.path)
        if file is None:
            return
        before, keys_before = self._entries, self._by_api_key
        try:
            self.master.unseal(file.proof, _PROOF)
            keys = {
                entry.api_key: keys_before[entry.api_key] if before.get(entry.api_key) == entry else self._open(entry)
                for entry in file.keys
            }
        except MasterKeyError as error:
            raise KeystoreError(f"{self.path}: {error}: it was sealed with another one, or changed since") from error
        self._by_api_key, self._entries = keys, {entry.api_key: entry for entry in file.keys}

    def make(self, account: str, scopes: int, public_key: str = "", addresses: tuple[str, ...] = ()) -> Key:
        """A new key with a random number, stored on disk before this returns."""
        assert 0 < scopes < 2 * max(KeyScope), "scopes are KeyScope bits"
        used = {key.number for key in self._by_api_key.values()}
        number = 0
        while number == 0 or number in used:
            number = secrets.randbelow(KEY_NUMBER_MAX) + 1
        api_key = secrets.token_hex(API_KEY_CHARACTERS // 2)
        secret = "" if public_key else secrets.token_hex(32)
        key = Key(number, api_key, secret, account, scopes, public_key, addresses)
        self._write([*self._by_api_key.values(), key])
        return key

    def remove(self, api_key: str) -> None:
        """Forget a key and its secret, on disk before this returns."""
        self._write([key for key in self._by_api_key.values() if key.api_key != api_key])

    def seal_anew(self, master: MasterKey) -> None:
        """Seal every secret under another master key."""
        self.master, self._entries = master, {}
        self._write(self.keys)

    def _open(self, entry: _Entry) -> Key:
        secret = self.master.unseal(entry.sealed, entry.about).decode("ascii")
        return Key(entry.number, entry.api_key, secret, entry.account, entry.scopes, entry.public_key, entry.addresses)

    def _seal(self, key: Key) -> _Entry:
        known = self._entries.get(key.api_key)
        if known is not None:
            return known
        bare = _Entry(key.number, key.api_key, key.account, key.scopes, key.public_key, key.addresses, "")
        return msgspec.structs.replace(bare, sealed=self.master.seal(key.secret.encode(), bare.about))

    def _write(self, keys: list[Key]) -> None:
        entries = [self._seal(key) for key in keys]
        content = msgspec.json.encode(_File(self.master.seal(_PROOF, _PROOF), entries))
        temporary = self.path.with_suffix(".new")
        write_private(temporary, msgspec.json.format(content, indent=1))
        temporary.replace(self.path)
        sync_folder(self.path.parent)
        self._by_api_key = {key.api_key: key for key in keys}
        self._entries = {entry.api_key: entry for entry in entries}


def open_keystore(settings: Settings) -> Keystore:
    """The keystore of a data directory; at a first start the master key is made.

    Raises KeystoreError, MasterKeyError: one clear line each.
    """
    path, master_path = settings.keystore_path, settings.master_key_path
    master = find_master_key(master_path)
    if master is None:
        if path.exists():
            raise MasterKeyError(
                f"{path} is sealed, and there is no master key: neither RINGEX_MASTER_KEY nor {master_path}; restore it"
            )
        return Keystore(path, make_master_key(master_path))
    try:
        return Keystore(path, master)
    except KeystoreError:
        following = _following(master_path)
        if following is None or master.source != str(master_path):
            raise
        keystore = Keystore(path, following)  # a rotation was broken off between its two renames
        _pending_path(master_path).replace(master_path)
        return keystore


def rotate_master_key(settings: Settings, new: str = "") -> None:
    """Seal all secrets under another master key. The exchange must not run meanwhile.

    `new` (64 hexadecimal digits) is yours to keep and to give as RINGEX_MASTER_KEY from then on; without it the file
    gets a new one. Broken off at any place this leaves a master key that fits. Raises KeystoreError, MasterKeyError.
    """
    keystore = open_keystore(settings)
    path = settings.master_key_path
    if new:
        keystore.seal_anew(MasterKey(parse_master_key(new, NEW_ENVIRONMENT), NEW_ENVIRONMENT))
        path.unlink(missing_ok=True)
        return
    if keystore.master.source != str(path):
        raise MasterKeyError(f"the master key is in {ENVIRONMENT}; give the new one in {NEW_ENVIRONMENT}")
    pending = _pending_path(path)
    keystore.seal_anew(write_master_key(pending))
    pending.replace(path)
    sync_folder(path.parent)


def stored_keys(path: Path) -> tuple[Key, ...]:
    """The keys in a file, without their secrets, in the order in which they were made. Raises KeystoreError."""
    file = _read(path)
    entries = file.keys if file is not None else []
    return tuple(
        Key(entry.number, entry.api_key, "", entry.account, entry.scopes, entry.public_key, entry.addresses)
        for entry in entries
    )


@lru_cache(1 << 12)
def ed25519_key(public_key: str) -> Ed25519PublicKey:
    """The key in a PEM text. Raises ValueError with what was expected."""
    expected = "a PEM public key of Ed25519 was expected, as `openssl pkey -in key.pem -pubout` prints it"
    try:
        key = load_pem_public_key(public_key.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError(expected) from None
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError(f"{expected}, not {type(key).__name__.lstrip('_')}")
    return key


def _read(path: Path) -> _File | None:
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        return msgspec.json.decode(raw, type=_File)
    except msgspec.MsgspecError as error:
        raise KeystoreError(f"{path}: not a file of keys as ringex writes it: {error}") from error


def _pending_path(master_path: Path) -> Path:
    return master_path.with_suffix(".new")


def _following(master_path: Path) -> MasterKey | None:
    """The master key of a rotation that has not ended."""
    pending = _pending_path(master_path)
    return find_master_key(pending) if pending.exists() else None
