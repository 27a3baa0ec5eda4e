"""Whose address counts behind proxies: what `X-Forwarded-For` says, as far as proxies that are trusted have written it.

Each proxy appends the address that it was spoken to from. So the list is read from its end: past trusted proxies, to
the first address that is none of theirs. What stands before that one the client may have made up itself.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Final

from ringex.gateways.limiter import is_in

HEADER: Final = b"x-forwarded-for"


class NotAnAddress(ValueError):
    """What a trusted proxy has forwarded is no address; the message says what is one."""


@lru_cache(1 << 12)
def client_of(forwarded: bytes, proxy: str, trusted: tuple[str, ...]) -> str:
    """The client's address: `forwarded` is the header's value, `proxy` the trusted one that sent it. Raises
    NotAnAddress. Without a header, the proxy itself is the client; where all are trusted, the first of the list."""
    client = proxy
    for entry in reversed(forwarded.split(b",")) if forwarded.strip() else ():
        client = _address(entry.strip().decode("latin-1"))
        if not is_in(client, trusted):
            break
    return client


def _address(text: str) -> str:
    """An address, as some proxies write it with a port (`1.2.3.4:80`) or in brackets (`[2001:db8::1]:80`)."""
    bare = text
    if text.startswith("["):
        bare = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        bare = text.partition(":")[0]
    try:
        found = ip_address(bare)
    except ValueError:
        raise NotAnAddress(
            f"X-Forwarded-For: '{text[:64]}' is no address. IP addresses are read, such as 203.0.113.7, 10.0.0.2."
        ) from None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return str(mapped or found)
