"""Who is asking: signatures, key scopes and addresses, and the client's timestamp.

A key signs with HMAC-SHA256, in hexadecimal, or with Ed25519, in base64. What a signature covers depends on the
transport, so the transport says so (`Proof`). Over REST it is the query string and the body as they were sent;
elsewhere the request's parameters but `signature`, as `name=value` pairs sorted by name and joined with `&`, apiKey
included, booleans as true and false.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any, Final

from cryptography.exceptions import InvalidSignature

from ringex.gateways.errors import Refusal, invalid, missing
from ringex.gateways.keystore import Key, Keystore, ed25519_key
from ringex.gateways.times import MICROSECOND_NS, unit_of_sent
from ringex.terms import KeyScope

RECV_WINDOW_MS: Final = 5_000
RECV_WINDOW_MS_MAX: Final = 60_000
AHEAD_US_MAX: Final = 1_000_000

SIGNED_SHOWN_BYTES: Final = 240

_KEYED_MAX: Final = 1 << 12
"""Keys whose states are kept: HMAC's, 0.5 KB each, and allowlists."""


@dataclass(frozen=True)
class Timing:
    """A request's own time. `timestamp_us` 0: the client sent none; `expires_ns` 0: it never expires."""

    timestamp_us: int = 0
    expires_ns: int = 0


UNTIMED: Final = Timing()


def signed_text(params: Mapping[str, Any]) -> str:
    """The text that a request's signature covers."""
    return "&".join(
        [
            f"{name}={value if type(value) is str else _plain(value)}"
            for name, value in sorted(params.items())
            if name != "signature"
        ]
    )


def sign(secret: str, params: Mapping[str, Any]) -> str:
    """The HMAC-SHA256 signature of `params` under `secret`: 64 hexadecimal digits."""
    return hmac_sha256(secret, signed_text(params).encode())


def hmac_sha256(secret: str, signed: bytes) -> str:
    """64 hexadecimal digits."""
    inner, outer = _keyed(secret)
    first, second = inner.copy(), outer.copy()
    first.update(signed)
    second.update(first.digest())
    return str(second.hexdigest())


@dataclass(frozen=True, slots=True)
class Proof:
    """What a request shows of who sent it, as its transport found it. Not checked yet: anything may be in it.

    `api_key` and `signature` are None where they were not sent; `signed` is what the signature covers, byte by byte.
    """

    api_key: Any
    signature: Any
    signed: bytes


def proof_of(params: Mapping[str, Any]) -> Proof:
    """The proof that is among a request's own parameters: ZeroMQ, WebSocket API."""
    return Proof(params.get("apiKey"), params.get("signature"), signed_text(params).encode("utf-8", "replace"))


def authenticate(keystore: Keystore, proof: Proof) -> Key:
    """The key that signed. Raises Refusal: -1102, -2014 (not a key), -2015 (unknown), -1022 (signature)."""
    if not proof.api_key:
        raise missing("apiKey")
    if not isinstance(proof.api_key, str):
        raise Refusal(-2014, "API-key format invalid.")
    if not isinstance(proof.signature, str) or not proof.signature:
        raise missing("signature", "It is the request's HMAC-SHA256 (hexadecimal) or Ed25519 (base64) signature.")
    key = keystore.find(proof.api_key)
    if key is None:
        raise Refusal(-2015, "Invalid API-key, IP, or permissions for action.")
    if not is_signed_by(key, proof.signed, proof.signature):
        how = "Ed25519, in base64," if key.public_key else "HMAC-SHA256, in hexadecimal,"
        shown = proof.signed[:SIGNED_SHOWN_BYTES].decode("utf-8", "replace")
        shown += "…" if len(proof.signed) > SIGNED_SHOWN_BYTES else ""
        raise Refusal(-1022, f"Signature for this request is not valid. It is {how} over: {shown}")
    return key


def is_signed_by(key: Key, signed: bytes, signature: str) -> bool:
    """Whether `signature` is that key's over `signed`. Takes as long for a wrong HMAC as for the right one."""
    given = signature.encode("utf-8", "replace")
    if not key.public_key:
        return hmac.compare_digest(hmac_sha256(key.secret, signed).encode(), given.lower())
    try:
        ed25519_key(key.public_key).verify(base64.b64decode(given, validate=True), signed)
    except (InvalidSignature, ValueError, binascii.Error):
        return False
    return True


def require_address(key: Key, address: str) -> None:
    """Raises Refusal -2015 when the key has an allowlist, and `address` is not in it. A local peer's is empty."""
    if key.addresses and address and not _allows(key.addresses, address):
        raise Refusal(-2015, f"Invalid API-key, IP, or permissions for action. The key is not used from {address}.")


def require_scope(scopes: int, scope: KeyScope) -> None:
    """Raises Refusal -2015 when `scopes` (KeyScope bits) do not have the one that is needed."""
    if not scopes & scope:
        raise Refusal(-2015, f"Invalid API-key, IP, or permissions for action. The key lacks the scope {scope.name}.")


def timing(params: Mapping[str, Any], now_ns: int, *, mandatory: bool) -> Timing:
    """Reads and checks `timestamp` (milliseconds, or microseconds) and `recvWindow` (milliseconds).

    Raises Refusal -1021, with the skew in its message, for a timestamp 1 s or more ahead of `now_ns` or older than
    recvWindow.
    """
    window_ms = _whole(params, "recvWindow", RECV_WINDOW_MS)
    if window_ms > RECV_WINDOW_MS_MAX:
        raise Refusal(-1131, f"recvWindow must be less than or equal to {RECV_WINDOW_MS_MAX}.")
    timestamp = _whole(params, "timestamp", 0)
    if timestamp == 0:
        if mandatory:
            raise missing("timestamp", "It is the client's time in milliseconds since 1970.")
        return Timing()
    timestamp_us = timestamp * (unit_of_sent(timestamp) // MICROSECOND_NS)
    behind_us = now_ns // 1000 - timestamp_us
    if behind_us <= -AHEAD_US_MAX:
        text = "Timestamp for this request was 1000ms ahead of the server's time."
        raise Refusal(-1021, f"{text} It is {-behind_us // 1000} ms ahead.")
    if behind_us > window_ms * 1000:
        text = "Timestamp for this request is outside of the recvWindow."
        raise Refusal(-1021, f"{text} It is {behind_us // 1000} ms behind; recvWindow is {window_ms} ms.")
    return Timing(timestamp_us, timestamp_us * 1000 + window_ms * 1_000_000)


@lru_cache(_KEYED_MAX)
def _keyed(secret: str) -> tuple[Any, Any]:
    """HMAC-SHA256's two hashes with the key in them: a copy of each takes 0.8 us, to begin anew 2 to 3."""
    key = secret.encode()
    padded = (hashlib.sha256(key).digest() if len(key) > 64 else key).ljust(64, b"\0")
    return tuple(hashlib.sha256(bytes(byte ^ pad for byte in padded)) for pad in (0x36, 0x5C))  # type: ignore[return-value]


@lru_cache(_KEYED_MAX)
def _networks(addresses: tuple[str, ...]) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(ip_network(address) for address in addresses)


def _allows(addresses: tuple[str, ...], address: str) -> bool:
    try:
        found = ip_address(address)
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None)  # an IPv4 peer of a socket that listens on both
    return any((mapped or found) in network for network in _networks(addresses))


def _whole(params: Mapping[str, Any], name: str, default: int) -> int:
    value = params.get(name)
    if value is None:
        return default
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 18:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 10**18:
        raise invalid(name, "It must be a whole number, not negative.")
    return value


def _plain(value: Any) -> str:
    if value is True:
        return "true"
    return "false" if value is False else str(value)
