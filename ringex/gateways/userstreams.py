"""The user streams of one gateway: events of an account, told to the connections that subscribed to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from ringex.gateways.rows import Row, rows_of
from ringex.gateways.session import Connection, Connections
from ringex.gateways.streams import concerned, reports, terminated
from ringex.history.readmodel import ReadModel
from ringex.messages import EVENT, EventKind

_RAW: Final = np.dtype("V256")

Send = Callable[[Connection, Any], None]
"""Encodes and sends one message (a map, or a list of binary frames) to a peer; forgets a peer that is gone."""


class UserStreams:
    """Applies events to the read model, and tells streams of them."""

    def __init__(self, send: Send) -> None:
        self._send = send

    def apply(self, events: np.ndarray, model: ReadModel, connections: Connections) -> None:
        """`model` takes the events; streams are told.

        Split where an order is amended or loses quantity to a prevented match: reports show it as it was until then.
        """
        streams = _table(connections)
        if not streams:
            model.apply(events)
            return
        accounts = np.array(sorted(streams), np.int32)
        kinds = events["kind"]
        cuts = np.flatnonzero((kinds == EventKind.AMENDED) | (kinds == EventKind.PREVENTED))
        for span in np.split(events, cuts):
            if not len(span):
                continue
            model.apply(span)
            for event in rows_of(chosen(span, concerned(span, accounts))):
                self._push(event, model, streams)

    def end(self, connections: Connections, now_ns: int) -> None:
        """Tell every stream that it ends here."""
        event = terminated(now_ns)
        for connection in connections.subscribed():
            for number in list(connection.subscriptions):  # a peer that is gone loses them all at once
                self._send(connection, {"subscriptionId": number, "event": event})
            connection.subscriptions.clear()

    def _push(self, event: Row, model: ReadModel, streams: dict[int, list[tuple[Connection, int]]]) -> None:
        accounts = {event["account"]}
        if event["kind"] == EventKind.TRADE:
            accounts.add(event["maker_account"])
        for account in sorted(accounts & streams.keys()):
            for report in reports(model, event, account):
                for connection, number in streams[account]:
                    self._send(connection, {"subscriptionId": number, "event": report})


def chosen(events: np.ndarray, which: np.ndarray) -> np.ndarray:
    """`events[which]`, a mask or indices, copied as plain bytes: six times faster than field by field."""
    return events.view(_RAW)[which].view(EVENT)


def _table(connections: Connections) -> dict[int, list[tuple[Connection, int]]]:
    """Account -> the streams that follow it."""
    table: dict[int, list[tuple[Connection, int]]] = {}
    for connection in connections.subscribed():
        for number, account in connection.subscriptions.items():
            table.setdefault(account, []).append((connection, number))
    return table
