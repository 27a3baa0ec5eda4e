"""The user streams of one gateway: events of an account, told to whoever follows it, now or from an earlier event on.

Each report carries `sequence`, the number of the event that it tells of; where further reports of the same event
follow, also `more`. Who was told everything up to an event may go on behind it later, at any gateway: what has gone by
since is read again, filtered, and told first; then comes what happens. Nothing is left out or told twice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, Protocol

import msgspec
import numpy as np

from ringex.gateways.errors import Refusal
from ringex.gateways.rows import Row, rows_of
from ringex.gateways.session import Connection
from ringex.gateways.streams import concerned, reports, terminated
from ringex.gateways.times import in_unit
from ringex.history.past import Past, PastGone
from ringex.history.readmodel import ReadModel
from ringex.messages import EVENT
from ringex.terms import EventKind, Transport

EVENTS_PER_STEP: Final = 4096
RESUMES_PER_TURN: Final = 8
WAIT_SECONDS: Final = 0.005
"""How soon to look again whether the replica has answered, or a slow peer has read."""

_RAW: Final = np.dtype("V256")
_encode: Final = msgspec.json.Encoder().encode

Send = Callable[[Connection, Any], None]
"""Encodes and sends one message (a map, or a list of binary frames) to a peer; forgets a peer that is gone."""


LastWords = Callable[[], dict[str, Any]]
"""Makes the last message of a stream, with times in the unit of who gets it."""


class Report:
    """One message of a user stream, with times in the units that somebody follows it in (of ns: its fields). Its JSON
    is made once for all who get it."""

    __slots__ = ("_fields", "_json")

    def __init__(self, fields: Mapping[int, dict[str, Any]]) -> None:
        self._fields = fields
        self._json: dict[int, bytes] = {}

    def fields(self, unit_ns: int) -> dict[str, Any]:
        return self._fields[unit_ns]

    def json(self, unit_ns: int) -> bytes:
        made = self._json.get(unit_ns)
        if made is None:
            made = self._json[unit_ns] = _encode(self._fields[unit_ns])
        return made


class Recipient(Protocol):
    """Who follows an account."""

    account: int

    @property
    def unit_ns(self) -> int:
        """Of the times that it is told."""

    @property
    def gone(self) -> bool:
        """It no longer follows."""

    @property
    def slow(self) -> bool:
        """Much of what it was sent waits to be read."""

    def tell(self, report: Report) -> None: ...

    def end(self, last_words: LastWords, *, missed: bool) -> None:
        """Nothing follows these. `missed`: because events cannot be told."""


class Subscription:
    """A subscription of a connection: userDataStream.subscribe."""

    __slots__ = ("_connection", "_number", "_send", "account")

    def __init__(self, connection: Connection, number: int, send: Send) -> None:
        self._connection, self._number, self._send = connection, number, send
        self.account = connection.subscriptions[number]

    @property
    def unit_ns(self) -> int:
        return self._connection.unit_ns

    @property
    def gone(self) -> bool:
        return self._number not in self._connection.subscriptions

    @property
    def slow(self) -> bool:
        peer = self._connection.peer
        return peer is not None and bool(peer.paused)

    def tell(self, report: Report) -> None:
        event: Any
        if self._connection.transport == Transport.WEB_SOCKET:
            event = msgspec.Raw(report.json(self.unit_ns))
        else:
            event = report.fields(self.unit_ns)
        self._send(self._connection, {"subscriptionId": self._number, "event": event})

    def end(self, last_words: LastWords, *, missed: bool) -> None:
        with in_unit(self.unit_ns):
            self._send(self._connection, {"subscriptionId": self._number, "event": last_words()})
        self._connection.subscriptions.pop(self._number, None)


class _Resume:
    """A recipient that is being told what has gone by, up to event `told`."""

    __slots__ = ("recipient", "told")

    def __init__(self, recipient: Recipient, told: int) -> None:
        self.recipient, self.told = recipient, told


class UserStreams:
    """Applies events to the read model, and tells recipients of them. `past` is where earlier events are read."""

    def __init__(self, send: Send, past: Past) -> None:
        self._send = send
        self._past = past
        self._live: dict[int, list[Recipient]] = {}
        self._resuming: deque[_Resume] = deque()

    # Who follows

    def subscribe(self, connection: Connection, number: int, after: int | None, model: ReadModel) -> None:
        """Follow the account of the connection's subscription `number`; as `follow`."""
        self.follow(Subscription(connection, number, self._send), after, model)

    def follow(self, recipient: Recipient, after: int | None, model: ReadModel) -> None:
        """Tell `recipient` what happens from now on, or everything behind event `after`.

        Raises Refusal where no such event has been yet.
        """
        if after is None:
            self._add(recipient)
            return
        newest = self._past.newest
        if after > newest:
            why = f"Data sent for parameter 'resumeAfter' is not valid. The newest event is {newest}."
            raise Refusal(-1130, why)
        self._resuming.append(_Resume(recipient, after))

    @property
    def wait_seconds(self) -> float | None:
        """After how long `go_on` should be called although nothing happens; None: not at all."""
        return WAIT_SECONDS if self._resuming else None

    def end(self, now_ns: int, *, missed: bool) -> None:
        """Tell everybody that it ends here."""
        everybody = [recipient for live in self._live.values() for recipient in live]
        everybody += [resume.recipient for resume in self._resuming]
        self._live.clear()
        self._resuming.clear()
        for recipient in everybody:
            if not recipient.gone:
                recipient.end(lambda: terminated(now_ns), missed=missed)

    # Events

    def apply(self, events: np.ndarray, model: ReadModel) -> None:
        """`model` takes the events; recipients are told.

        Split where an order is amended or loses quantity to a prevented match: reports show it as it was until then.
        """
        if not self._live:
            model.apply(events)
            return
        accounts = np.array(sorted(self._live), np.int32)
        kinds = events["kind"]
        cuts = np.flatnonzero((kinds == EventKind.AMENDED) | (kinds == EventKind.PREVENTED))
        for span in np.split(events, cuts):
            if not len(span):
                continue
            model.apply(span)
            for event in rows_of(chosen(span, concerned(span, accounts))):
                for account in sorted(_accounts_of(event) & self._live.keys()):
                    self._tell(model, event, account, self._present(account))

    def go_on(self, model: ReadModel, now_ns: int) -> bool:
        """Tell who resumes some of what it missed. True if there is more to do at once."""
        told = False
        for _ in range(min(len(self._resuming), RESUMES_PER_TURN)):
            resume = self._resuming.popleft()
            if not resume.recipient.gone and not self._step(resume, model, now_ns):
                self._resuming.append(resume)
                told |= not resume.recipient.slow
        return told and not self._past.waits

    def _step(self, resume: _Resume, model: ReadModel, now_ns: int) -> bool:
        """One step of a resume; True if there is no further one."""
        recipient = resume.recipient
        if recipient.slow:
            return False
        if resume.told < model.sequence:
            try:
                events = self._past.after(resume.told, min(EVENTS_PER_STEP, model.sequence - resume.told))
            except PastGone as gone:
                why = f"Events after {resume.told} are no longer held; the oldest to resume after is {gone.oldest}."
                more = {"code": -1130, "msg": why, "oldest": gone.oldest}
                recipient.end(lambda: terminated(now_ns) | more, missed=True)
                return True
            accounts = np.array([recipient.account], np.int32)
            for event in rows_of(chosen(events, concerned(events, accounts))):
                self._tell(model, event, recipient.account, (recipient,))
            resume.told += len(events)
        if resume.told != model.sequence or recipient.gone:
            return False
        self._add(recipient)
        return True

    def _add(self, recipient: Recipient) -> None:
        self._live[recipient.account] = [*self._present(recipient.account), recipient]

    def _present(self, account: int) -> list[Recipient]:
        """Who follows an account; who has gone is forgotten."""
        found = [recipient for recipient in self._live.get(account, ()) if not recipient.gone]
        if found:
            self._live[account] = found
        else:
            self._live.pop(account, None)
        return found

    def _tell(self, model: ReadModel, event: Row, account: int, recipients: Collection[Recipient]) -> None:
        units = {recipient.unit_ns for recipient in recipients}
        found: list[dict[int, dict[str, Any]]] = []
        for unit_ns in units:
            with in_unit(unit_ns):
                made = list(reports(model, event, account))
            for at, fields in enumerate(made):
                fields["sequence"] = event["sequence"]
                if at < len(made) - 1:
                    fields["more"] = True
                if at == len(found):
                    found.append({})
                found[at][unit_ns] = fields
        for in_units in found:
            report = Report(in_units)
            for recipient in recipients:
                if not recipient.gone:
                    recipient.tell(report)


def chosen(events: np.ndarray, which: np.ndarray) -> np.ndarray:
    """`events[which]`, a mask or indices, copied as plain bytes: six times faster than field by field."""
    return events.view(_RAW)[which].view(EVENT)


def _accounts_of(event: Row) -> set[int]:
    accounts = {event["account"]}
    if event["kind"] == EventKind.TRADE:
        accounts.add(event["maker_account"])
    return accounts
