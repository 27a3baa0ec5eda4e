"""Sessions: who has placed an order, and which of a gateway's orders are canceled when their session ends.

Only the latter are linked, by gateway and in order of acceptance, so that the end of a gateway's life costs as much as
it has such orders. Other orders only remember their session.
"""

from __future__ import annotations

from ringex.engine.records import GATEWAY, ORDER_SESSION, ROOT
from ringex.jit import inlined, int64
from ringex.memory import record_at


@inlined
def session_note(root: int, slot: int, cancel_on_disconnect: int) -> None:
    """Let a new order remember the session of the command that is being applied."""
    s = record_at(root, 0, ROOT)
    session = record_at(s.orders_session, slot, ORDER_SESSION)
    session.gateway = s.gateway
    session.incarnation = s.incarnation
    session.connection = s.connection
    session.cancel_on_disconnect = cancel_on_disconnect


@inlined
def is_of_session(root: int, slot: int) -> bool:
    """Whether the session of the command that is being applied, or goes on, has placed an order."""
    s = record_at(root, 0, ROOT)
    session = record_at(s.orders_session, slot, ORDER_SESSION)
    return (
        int64(session.connection) == s.connection
        and int64(session.incarnation) == s.incarnation
        and int64(session.gateway) == s.gateway
    )


@inlined
def session_enter(root: int, slot: int) -> None:
    """An order has come to be open: the youngest of its gateway's, if it is to be canceled on disconnect."""
    s = record_at(root, 0, ROOT)
    session = record_at(s.orders_session, slot, ORDER_SESSION)
    if session.cancel_on_disconnect == 0:
        return
    gateway = record_at(s.gateways, int64(session.gateway), GATEWAY)
    session.older = gateway.youngest
    session.younger = 0
    if gateway.youngest != 0:
        record_at(s.orders_session, int64(gateway.youngest), ORDER_SESSION).younger = slot
    else:
        gateway.oldest = slot
    gateway.youngest = slot


@inlined
def session_leave(root: int, slot: int) -> None:
    """An order is no longer open."""
    s = record_at(root, 0, ROOT)
    session = record_at(s.orders_session, slot, ORDER_SESSION)
    if session.cancel_on_disconnect == 0:
        return
    gateway = record_at(s.gateways, int64(session.gateway), GATEWAY)
    if session.older != 0:
        record_at(s.orders_session, int64(session.older), ORDER_SESSION).younger = session.younger
    else:
        gateway.oldest = session.younger
    if session.younger != 0:
        record_at(s.orders_session, int64(session.younger), ORDER_SESSION).older = session.older
    else:
        gateway.youngest = session.older
