"""Administrative methods for API keys: made, listed, revoked. Served on the local socket only, as all of these are."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any, Final

from ringex import administration
from ringex.gateways.calls import Call, Submission
from ringex.gateways.errors import Refusal, invalid, of_reason
from ringex.gateways.keystore import ADDRESSES_MAX, Key, ed25519_key
from ringex.gateways.methods import Method, Security
from ringex.gateways.parameters import Kind, Parameter
from ringex.gateways.rows import Row
from ringex.markets import ACCOUNT_NAME_BYTES_MAX
from ringex.reasons import Reason
from ringex.terms import EventKind, KeyScope

KEYS_LISTED_MAX: Final = 1000


def create_key(call: Call) -> Submission:
    """Makes the account where there is none. An HMAC key's secret is in this one reply, and sealed on disk."""
    name = call.arguments["account"]
    if not name.isascii() or not name.isprintable() or " " in name or len(name) > ACCOUNT_NAME_BYTES_MAX:
        raise invalid("account", f"Up to {ACCOUNT_NAME_BYTES_MAX} ASCII characters without spaces are allowed.")
    scopes = _scopes(call.arguments.get("scopes", tuple(KeyScope.__members__)))
    public_key = _public_key(call.arguments.get("publicKey", ""))
    addresses = _addresses(call.arguments.get("addresses", ()))
    number = call.model.account_named(name)
    if number is not None:
        return _key_add(call, name, number, scopes, public_key, addresses)

    def reply(events: list[Row]) -> Any:
        _expect(events, EventKind.ACCOUNT)
        return _key_add(call, name, events[0]["account"], scopes, public_key, addresses)

    return Submission(administration.add_account(name), reply)


def list_keys(call: Call) -> dict[str, Any]:
    """Keys, oldest first, without their secrets; of one account or of all."""
    assert call.office is not None
    account = call.arguments.get("account")
    if account is not None and call.model.account_named(account) is None:
        raise invalid("account", f"There is no account '{account[:32]}'.")
    keys = [key for key in call.office.keystore.keys if account in (None, key.account)]
    active = [key for key in keys if call.model.key(key.number) is not None]
    return {"keys": [_shown(key) for key in active[:KEYS_LISTED_MAX]], "omitted": max(0, len(active) - KEYS_LISTED_MAX)}


def revoke_key(call: Call) -> Submission:
    """From the command's event on no gateway takes the key; its sessions and streams end. Its secret is forgotten."""
    assert call.office is not None
    keystore = call.office.keystore
    api_key = call.arguments["apiKey"]
    key = keystore.find(api_key)
    if key is None:
        raise of_reason(Reason.UNKNOWN_KEY)

    def reply(events: list[Row]) -> Any:
        unknown = events[0]["kind"] == EventKind.REJECTED and events[0]["reason"] == Reason.UNKNOWN_KEY
        if not unknown:  # that one was made, and its KEY_ADD never journaled: it opens nothing, and goes as well
            _expect(events, EventKind.KEY_REVOKED)
        keystore.remove(api_key)
        return _shown(key) | {"revoked": True}

    return Submission(administration.revoke_key(key.number), reply)


def _key_add(
    call: Call, name: str, account: int, scopes: int, public_key: str, addresses: tuple[str, ...]
) -> Submission:
    assert call.office is not None
    if account == 0:
        raise invalid("account", "The fee account has no keys.")
    keystore = call.office.keystore
    key = keystore.make(name, scopes, public_key, addresses)

    def reply(events: list[Row]) -> Any:
        if events[0]["kind"] == EventKind.REJECTED:
            keystore.remove(key.api_key)
        _expect(events, EventKind.KEY)
        return _shown(key) | ({} if public_key else {"secretKey": key.secret})

    return Submission(administration.add_key(key.number, account, scopes), reply)


def _shown(key: Key) -> dict[str, Any]:
    return {
        "account": key.account,
        "apiKey": key.api_key,
        "signature": "ED25519" if key.public_key else "HMAC_SHA256",
        "scopes": [scope.name for scope in KeyScope if key.scopes & scope],
        "addresses": list(key.addresses),
    }


def _expect(events: list[Row], kind: EventKind) -> None:
    if events[0]["kind"] != kind:
        raise of_reason(events[0]["reason"] or Reason.INVALID_COMMAND)


def _scopes(names: tuple[str, ...]) -> int:
    unknown = [name for name in names if name not in KeyScope.__members__]
    if unknown:
        raise invalid("scopes", f"'{unknown[0][:32]}' is none of {', '.join(KeyScope.__members__)}.")
    return int(sum(KeyScope[name] for name in set(names)))


def _public_key(text: str) -> str:
    if text:
        try:
            ed25519_key(text)
        except ValueError as error:
            raise invalid("publicKey", f"{error}.") from error
    return text


def _addresses(networks: tuple[str, ...]) -> tuple[str, ...]:
    """In their usual form. Raises Refusal for what is no network."""
    if len(networks) > ADDRESSES_MAX:
        raise invalid("addresses", f"At most {ADDRESSES_MAX} are allowed.")
    try:
        return tuple(str(ip_network(network)) for network in networks)
    except ValueError as error:
        message = f"{error}; an address or a network is, such as 192.0.2.7 or 192.0.2.0/24."
        raise Refusal(-1130, f"Data sent for parameter 'addresses' is not valid. {message}") from error


KEY_METHODS: Final = (
    Method(
        "admin.keys.create",
        Security.NONE,
        (
            Parameter("account", Kind.TEXT, required=True),
            Parameter("scopes", Kind.TEXTS),
            Parameter("publicKey", Kind.TEXT),
            Parameter("addresses", Kind.TEXTS),
        ),
        create_key,
    ),
    Method("admin.keys.list", Security.NONE, (Parameter("account", Kind.TEXT),), list_keys, waits=True),
    Method("admin.keys.revoke", Security.NONE, (Parameter("apiKey", Kind.TEXT, required=True),), revoke_key),
)
