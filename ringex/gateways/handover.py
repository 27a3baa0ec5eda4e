"""Between the two ways that a request may go: who has a seat on the express way, and how the ordinary way goes on.

A flight that the express way cannot answer becomes a `Pending`, as if its request had gone the ordinary way from the
first: its arguments are read again from what was sent, only its command is under way already.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ringex.gateways.auth import Timing, require_address
from ringex.gateways.calls import Call, Office, Submission
from ringex.gateways.errors import Refusal
from ringex.gateways.express.desk import Desk, Flight, identity_number
from ringex.gateways.keystore import Key
from ringex.gateways.limiter import Limiter, Use
from ringex.gateways.methods import METHODS
from ringex.gateways.orders import REPLIES
from ringex.gateways.parameters import decode
from ringex.gateways.pending import Pending
from ringex.gateways.session import Connection
from ringex.history.readmodel import ReadModel
from ringex.messages import commands
from ringex.terms import KeyScope, Transport

ORDERING: Final = frozenset(
    name for name in METHODS if name.startswith(("order.place", "order.cancelReplace", "orderList.place"))
)
"""Methods whose orders are counted."""


def offer_seat(desk: Desk, connection: Connection, key: Key | None, model: ReadModel) -> None:
    """Let a connection go the express way from now on as `key`'s, if nothing speaks against it."""
    if connection.seat or key is None or not connection.anonymous or connection.disconnect_account:
        return
    known = model.key(key.number)
    if known is None or not known.scopes & KeyScope.TRADE or connection.transport == Transport.ADMIN:
        return
    try:
        require_address(key, connection.address)
    except Refusal:
        return
    identity = identity_number(connection.identity) if connection.transport == Transport.ZMQ else 0
    desk.seat(connection, key.number, known.account, identity)


def pending_of(
    flight: Flight,
    connection: Connection,
    original: tuple[Any, Mapping[str, Any]],
    model: ReadModel,
    limiter: Limiter,
    office: Office,
    deadline: float,
) -> Pending:
    """What the ordinary way would have under way. `original`: the request's id and its params, as they were sent."""
    request_id, params = original
    method = METHODS[flight.method]
    arguments = decode(method.declared, method.needed, params)
    when = Timing(flight.timestamp_us, flight.expires_ns)
    call = Call(arguments, model, connection, flight.receive_ns, flight.account, flight.key, None, when, office)
    submission = Submission(commands(), REPLIES[flight.method](call, model.markets[flight.market]))
    account = flight.account if flight.method in ORDERING else 0
    use = Use(flight.shows_limits, flight.unit_ns, limiter.of_key(flight.key, connection.address), account)
    return Pending(connection, request_id, submission, call, use, deadline)
