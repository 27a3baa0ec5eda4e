"""Listen keys: who knows one may follow its account's user stream for an hour, at any gateway.

They are how older clients reach their stream; newer ones sign. An API key has one at a time. It is a file of the data
directory, named by the API key's number, that holds the listen key and the account; the file's modification time is
when the hour began. So all gateways, and their successors, see the same.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import re
import secrets
import string
from dataclasses import dataclass
from pathlib import Path
from typing import Final

VALID_SECONDS: Final = 3600
_SECRET_CHARACTERS: Final = 54
_NUMBER_DIGITS: Final = 10
_ALPHABET: Final = string.ascii_letters + string.digits
_KEY: Final = re.compile(rf"[A-Za-z0-9]{{{_SECRET_CHARACTERS}}}[0-9]{{{_NUMBER_DIGITS}}}\Z")


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose a listen key is, by which API key, and until when."""

    account: int
    key: int
    until_ns: int


class ListenKeys:
    """The listen keys in `folder`, which is made when the first one is."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def start(self, account: int, key: int, now_ns: int) -> str:
        """The listen key of API key `key`, prolonged; a new one where it has none that is valid."""
        found = self._read(key, now_ns)
        if found is not None:
            self._prolong(key, now_ns)
            return found[0]
        text = "".join(secrets.choice(_ALPHABET) for _ in range(_SECRET_CHARACTERS))
        text += str(key).rjust(_NUMBER_DIGITS, "0")
        self._folder.mkdir(mode=0o700, exist_ok=True)
        new = self._folder / f"{key}.{os.getpid()}.tmp"
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.write(descriptor, f"{text} {account}\n".encode())
            os.utime(descriptor, ns=(now_ns, now_ns))
        finally:
            os.close(descriptor)
        new.rename(self._path(key))
        return text

    def keep(self, account: int, text: str, now_ns: int) -> bool:
        """Prolong a key. False where `text` is none of the account's."""
        found = self.holder(text, now_ns)
        if found is None or found.account != account:
            return False
        self._prolong(found.key, now_ns)
        return True

    def stop(self, account: int, text: str, now_ns: int) -> bool:
        """End a key. False where `text` is none of the account's."""
        found = self.holder(text, now_ns)
        if found is None or found.account != account:
            return False
        self._path(found.key).unlink(missing_ok=True)
        return True

    def holder(self, text: str, now_ns: int) -> Holder | None:
        """Whose key `text` is; None where it is nobody's, or its hour is over."""
        if _KEY.match(text) is None:
            return None
        found = self._read(int(text[_SECRET_CHARACTERS:]), now_ns)
        same = found is not None and hmac.compare_digest(found[0], text)
        return found[1] if found is not None and same else None

    def _path(self, key: int) -> Path:
        return self._folder / str(key)

    def _read(self, key: int, now_ns: int) -> tuple[str, Holder] | None:
        try:
            with self._path(key).open() as file:
                text, _, account = file.read().strip().partition(" ")
                until_ns = os.fstat(file.fileno()).st_mtime_ns + VALID_SECONDS * 1_000_000_000
        except FileNotFoundError:
            return None
        return (text, Holder(int(account), key, until_ns)) if until_ns > now_ns else None

    def _prolong(self, key: int, now_ns: int) -> None:
        with contextlib.suppress(FileNotFoundError):  # it has been stopped this moment
            os.utime(self._path(key), ns=(now_ns, now_ns))
