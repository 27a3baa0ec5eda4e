"""Session methods: log on, log out, and the account's event stream on this connection."""

from __future__ import annotations

from typing import Any, Final

from ringex.gateways.calls import Call
from ringex.gateways.disconnects import SILENCE_MS_DEFAULT, SILENCE_MS_MAX, SILENCE_MS_MIN
from ringex.gateways.errors import Refusal, invalid, not_required, unsupported
from ringex.gateways.parameters import Kind, Parameter
from ringex.gateways.session import Connection
from ringex.gateways.times import shown
from ringex.terms import Transport

DISCONNECT_PARAMETERS: Final = (
    Parameter("enabled", Kind.BOOLEAN, required=True),
    Parameter("timeout", Kind.INTEGER),
)
UNSUBSCRIBE_PARAMETERS: Final = (Parameter("subscriptionId", Kind.INTEGER),)
RESUME_PARAMETERS: Final = (Parameter("resumeAfter", Kind.INTEGER),)
KEY_PARAMETERS: Final = (Parameter("listenKey", Kind.TEXT, required=True),)


def logon(call: Call) -> dict[str, Any]:
    """From now on requests of this connection need no apiKey and no signature."""
    _require_own_identity(call.connection)
    assert call.signer is not None, "session.logon is always signed"
    call.connection.log_on(call.signer, call.account, call.now_ns)
    return status(call)


def status(call: Call) -> dict[str, Any]:
    connection = call.connection
    return {
        "apiKey": connection.key.api_key if connection.key else None,
        "authorizedSince": shown(connection.authorized_ns) if connection.key else None,
        "connectedSince": shown(connection.connected_ns),
        "returnRateLimits": connection.show_limits,
        "serverTime": shown(call.now_ns),
        "userDataStream": bool(connection.subscriptions),
        "cancelOnDisconnect": connection.marks_orders,
    }


def logout(call: Call) -> dict[str, Any]:
    """Streams that were subscribed stay: they were authorised when they began."""
    call.connection.log_out()
    return status(call)


def cancel_on_disconnect(call: Call) -> dict[str, Any]:
    """Orders that this connection places from now on are canceled when it ends; switched off, those from then on stay.

    `timeout`: it also counts as ended when nothing was heard of it for so many milliseconds.
    """
    _require_own_identity(call.connection)
    assert call.office is not None
    connection, arguments = call.connection, call.arguments
    if not arguments["enabled"]:
        if "timeout" in arguments:
            raise not_required("timeout", "It goes with enabled=true.")
        connection.marks_orders = False
        return {"cancelOnDisconnect": False}
    if connection.disconnect_account not in (0, call.account):
        raise invalid("enabled", "This connection cancels the orders of another account when it ends; open a new one.")
    tells = connection.transport == Transport.WEB_SOCKET
    timeout = int(arguments.get("timeout", 0 if tells else SILENCE_MS_DEFAULT))
    if not (tells and timeout == 0) and not SILENCE_MS_MIN <= timeout <= SILENCE_MS_MAX:
        raise invalid("timeout", f"{SILENCE_MS_MIN} to {SILENCE_MS_MAX} ms are allowed.")
    call.office.disconnects.ask(connection, call.account, timeout)
    return {"cancelOnDisconnect": True, "timeout": timeout}


def subscribe(call: Call) -> dict[str, Any]:
    """Everything behind `sequence` will be told: what happens from now on, or behind `resumeAfter`."""
    _require_own_identity(call.connection)
    if call.connection.delimited:
        raise unsupported("A REQ socket cannot receive a stream; use a DEALER.")
    assert call.office is not None
    connection, after = call.connection, call.arguments.get("resumeAfter")
    number = connection.subscribe(call.account, call.key)
    try:
        call.office.streams.subscribe(connection, number, after, call.model)
    except Refusal:
        del connection.subscriptions[number]
        raise
    return {"subscriptionId": number, "sequence": call.model.sequence if after is None else after}


def unsubscribe(call: Call) -> dict[str, Any]:
    """The one subscription named, or all of this connection."""
    subscriptions = call.connection.subscriptions
    number = call.arguments.get("subscriptionId")
    if number is None:
        subscriptions.clear()
    elif subscriptions.pop(number, None) is None:
        known = ", ".join(map(str, subscriptions)) or "none"
        raise invalid("subscriptionId", f"Active on this connection: {known}.")
    return {}


def start_key(call: Call) -> dict[str, Any]:
    """The account's listen key, new where it has none, good for an hour from now on."""
    assert call.office is not None
    return {"listenKey": call.office.listen_keys.start(call.account, call.key, call.now_ns)}


def keep_key(call: Call) -> dict[str, Any]:
    """It is good for an hour from now on."""
    assert call.office is not None
    if not call.office.listen_keys.keep(call.account, call.arguments["listenKey"], call.now_ns):
        raise no_such_listen_key()
    return {}


def stop_key(call: Call) -> dict[str, Any]:
    """Its streams end soon, at every gateway."""
    assert call.office is not None
    if not call.office.listen_keys.stop(call.account, call.arguments["listenKey"], call.now_ns):
        raise no_such_listen_key()
    return {}


def no_such_listen_key() -> Refusal:
    return Refusal(-1125, "This listenKey does not exist. It is another account's, or its hour is over.")


def _require_own_identity(connection: Connection) -> None:
    """A peer that names itself could be replaced by another of that name, which would inherit the session."""
    if not connection.anonymous:
        raise unsupported("A socket that sets its own ZMQ_ROUTING_ID cannot log on or subscribe; leave it unset.")
