"""Who calls a method: the key that signed the request, or the one that the connection's session is logged on with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ringex.gateways.auth import Proof, Timing, authenticate, proof_of, require_address, require_scope, timing
from ringex.gateways.errors import Refusal, missing
from ringex.gateways.keystore import Key, Keystore
from ringex.gateways.methods import Method, Security
from ringex.gateways.session import Connection
from ringex.history.readmodel import ReadModel
from ringex.terms import KeyScope

_NOT_ALLOWED = "Invalid API-key, IP, or permissions for action."


def caller_of(
    keystore: Keystore,
    model: ReadModel,
    connection: Connection,
    method: Method,
    params: Mapping[str, Any],
    proof: Proof | None,
    now_ns: int,
) -> tuple[Key | None, int, Timing]:
    """(key, account, timing) of a call; no key where the method asks for none.

    Raises Refusal when a key, a signature, a scope or a fresh timestamp is missing.
    """
    if method.security == Security.NONE:
        return None, 0, Timing()
    if method.by_key_alone:
        return _key_holder(keystore, model, connection, method, proof, params)
    session = connection.key if not method.signed_always and "signature" not in params and proof is None else None
    if session is None and method.session_only:
        raise Refusal(-2015, f"{_NOT_ALLOWED} Send session.logon first.")
    if session is not None and params.get("apiKey", session.api_key) != session.api_key:
        raise Refusal(-2015, f"{_NOT_ALLOWED} The session has another key.")
    signer = session or authenticate(keystore, proof or proof_of(params))
    account = account_of(model, signer, connection, KeyScope(method.security.value))
    return signer, account, timing(params, now_ns, mandatory=session is None)


def account_of(model: ReadModel, key: Key, connection: Connection, scope: KeyScope) -> int:
    """The account that a key acts for. Raises Refusal where it may not act, from there or in that scope."""
    require_address(key, connection.address)
    known = model.key(key.number)
    if known is None:
        raise Refusal(-2015, _NOT_ALLOWED)
    require_scope(known.scopes, scope)
    return known.account


def _key_holder(
    keystore: Keystore,
    model: ReadModel,
    connection: Connection,
    method: Method,
    proof: Proof | None,
    params: Mapping[str, Any],
) -> tuple[Key, int, Timing]:
    """Who has the key that was sent, or the session's: no signature is asked for."""
    sent = proof.api_key if proof is not None else params.get("apiKey")
    key = connection.key if not sent else keystore.find(sent) if isinstance(sent, str) else None
    if key is None and not sent:
        raise missing("apiKey")
    if key is None:
        raise Refusal(-2015, _NOT_ALLOWED)
    return key, account_of(model, key, connection, KeyScope(method.security.value)), Timing()
