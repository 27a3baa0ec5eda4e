"""A gateway without its sockets: requests in, commands out; events in, replies and streams out.

A transport hands `request`, `call` and `records` what it has read, calls `turn` after each batch, and gives `send` to
answer with. Nothing here waits. Commands of a batch are published together; a reply goes out when the event with flag
LAST of its command has come; a query is answered when the event ring has been read to its end and nothing that its
connection sent before is still unanswered.
"""

from __future__ import annotations

import logging
import math
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

import numpy as np

from ringex.gateways import binary
from ringex.gateways.admin import ADMIN_METHODS
from ringex.gateways.auth import Proof
from ringex.gateways.backlog import Backlog
from ringex.gateways.batches import Batches
from ringex.gateways.board import Board
from ringex.gateways.callers import account_of, caller_of
from ringex.gateways.calls import Call, Submission
from ringex.gateways.disconnects import Disconnects
from ringex.gateways.errors import (
    TOO_OLD,
    Refusal,
    malformed,
    overloaded,
    timed_out,
    unknown_error,
)
from ringex.gateways.express.answering import Replies
from ringex.gateways.express.desk import Desk, Flight
from ringex.gateways.handover import ORDERING, offer_seat, pending_of
from ringex.gateways.keystore import Key, Keystore
from ringex.gateways.limiter import Limiter, Use
from ringex.gateways.listenkeys import ListenKeys
from ringex.gateways.lookups import LookupDesk
from ringex.gateways.meters import Meter
from ringex.gateways.methods import METHODS, Security
from ringex.gateways.outbox import Outbox
from ringex.gateways.parameters import decode
from ringex.gateways.pending import Deferred, Pending
from ringex.gateways.questions import Questions
from ringex.gateways.requests import MSGPACK, Fault, RequestReader
from ringex.gateways.rows import Row, rows_of
from ringex.gateways.session import Connection, Connections
from ringex.gateways.streams import terminated
from ringex.gateways.times import in_unit, made
from ringex.gateways.userstreams import Send, UserStreams, chosen
from ringex.gateways.watcher import Watcher
from ringex.gateways.weights import weight_of
from ringex.history.follower import EventsGoneError, Follower
from ringex.history.past import Past
from ringex.history.readmodel import ReadModel
from ringex.messages import RECORD_BYTES, commands
from ringex.ring import Producer
from ringex.terms import CommandKind, EventFlag, EventKind, KeyScope, Transport

VERSION_PREFIX: Final = "v3/"
"""May stand before a method's name, as in `v3/order.place`."""
ANSWER_SECONDS: Final = 5.0
"""After that long without the command's last event the answer is -1007."""
PENDING_MAX: Final = 1 << 16
EVENTS_PER_POLL: Final = 4096
EVENTS_PER_TURN_MAX: Final = 1 << 16
EVENTS_KEPT_MAX: Final = 1 << 14
"""Events of one command that are kept for its reply: of a longer chain the first ones, and the last."""

log = logging.getLogger(__name__)

_LAST: Final = int(EventFlag.LAST)
_NOT_OF_KEYS: Final = bytes(kind for kind in range(256) if kind not in (EventKind.KEY, EventKind.KEY_REVOKED))


@dataclass
class Gateway:
    """One life of one gateway. `join` gives a read model that is up to date enough for the event ring to go on from."""

    number: int
    incarnation: int
    keystore: Keystore
    model: ReadModel
    follower: Follower
    producer: Producer
    backlog: Backlog
    join: Callable[[], ReadModel | None]
    past: Past
    listen_keys: ListenKeys
    send: Send
    limiter: Limiter
    lookups: LookupDesk
    send_replies: Callable[[Replies], None] | None = None
    """Sends what the desk has answered. None: no connection has a seat there."""
    original_of: Callable[[Connection, Flight], tuple[Any, Mapping[str, Any]]] | None = None
    """(id, params) of a request that the desk has taken, from what it has kept of it. None: it is in msgpack."""
    board: Board = field(default_factory=Board)

    def __post_init__(self) -> None:
        self.connections = Connections()
        self.streams = UserStreams(self.send, self.past)
        self.watchers: list[Watcher] = []
        self.counts: Counter[str] = Counter()
        self.gauges: dict[str, Callable[[], int]] = {
            "in_flight": lambda: len(self._pending) + len(self._questions),
            "connections": lambda: len(self.connections),
            "bans": lambda: self.limiter.bans_in_force(time.time_ns()),
        }
        self.disconnects = Disconnects()
        self._pending: dict[int, Pending] = {}
        self._questions = Questions(self.backlog, self.lookups, self._answer, self._refuse)
        self.desk = Desk(
            *(self.number, self.incarnation, self.model, self.limiter),
            rings=(self.producer.address, self.follower.ring_address),
            answer_seconds=ANSWER_SECONDS,
            first_correlation=time.time_ns(),  # so that no two lives of a gateway ever use the same one
            take_over=self._take_over,
        )
        self.binary = Batches(self.desk.address, time.time_ns())
        self.connections.touched = self.desk.touched
        self._outbox = Outbox(
            *(self.number, self.incarnation, self.producer, self.follower, self.counts), self.desk.publish
        )
        self._gap = False
        self._look_late_at = 0.0
        """By `time.monotonic`: before, nothing that is under way can have waited for too long."""

    # Requests in

    def request(self, connection: Connection, raw: bytes | memoryview, reader: RequestReader = MSGPACK) -> None:
        """Take one message; answer it now, or when its commands are."""
        request = reader.read(raw)
        if isinstance(request, Fault):
            self.refuse(connection, request.request_id, request.refusal)
        else:
            self.call(connection, request.id, request.method.removeprefix(VERSION_PREFIX), request.params or {})

    def call(
        self,
        connection: Connection,
        request_id: Any,
        method: str,
        params: dict[str, Any],
        proof: Proof | None = None,
        unit_ns: int = 0,
        tokens: int = 0,
    ) -> None:
        """Take one request whose parts a transport has told apart; answer it now, or when its commands are.

        `request_id` comes back in the reply. `proof` says who calls; None: it is among `params`, or the session's.
        `unit_ns`: of times in the reply; 0: the connection's. `tokens`: what it takes of its key's (see `Limiter`).
        """
        is_shown = params.get("returnRateLimits", connection.show_limits) not in (False, "false")
        use = Use(is_shown, unit_ns or connection.unit_ns, tokens=tokens)
        if connection.disconnect_account:
            connection.heard = time.monotonic()
        try:
            self._serve(connection, request_id, method, params, proof, use)
        except Refusal as refusal:
            self._refuse(connection, request_id, refusal, use)
        except Exception:  # one request must not take the gateway down with it
            traceback.print_exc(file=sys.stderr)
            self._refuse(connection, request_id, unknown_error(), use)

    def records(self, connection: Connection, frame: bytes) -> None:
        """Take one binary frame (see `ringex.gateways.binary`)."""
        connection.heard = time.monotonic()
        try:
            self._serve_records(connection, frame)
        except Refusal as refusal:
            self._refuse(connection, None, refusal, Use())

    def malformed(self, connection: Connection, why: str) -> None:
        """Answer a message whose frames make no request."""
        self.refuse(connection, None, malformed(why))

    def refuse(self, connection: Connection, request_id: Any, refusal: Refusal) -> None:
        """Answer what its transport cannot make a call of."""
        use = Use()
        try:
            self._take(use, self.limiter.of_address(connection.address), 1, connection)
        except Refusal as limit:
            refusal = limit
        self._refuse(connection, request_id, refusal, use)

    def closed(self, connection: Connection) -> None:
        """Its peer has gone: it is forgotten. The matcher is told, if orders of it are to be canceled now."""
        connection.subscriptions.clear()
        connection.log_out()
        self.connections.drop(connection)
        self.disconnects.end(connection)

    def announce(self) -> None:
        """Say that the sessions of this gateway's earlier lives are lost: the first command of a life."""
        if self.incarnation == 0:
            return
        record = commands()
        record["kind"] = CommandKind.SESSION_LOST
        record["gateway"] = self.number
        record["incarnation"] = self.incarnation - 1
        record["receive_ns"] = time.time_ns()
        self.producer.publish(record)

    @property
    def in_flight(self) -> bool:
        is_waiting = self._pending or len(self._questions) or self.desk.count
        return bool(is_waiting or self.binary.next_deadline is not None)

    @property
    def next_deadline(self) -> float | None:
        """By `time.monotonic`: when something under way will be given up."""
        firsts = self._deadlines()
        if self._questions.next_look is not None:
            firsts.append(self._questions.next_look)
        if self.streams.wait_seconds is not None:
            firsts.append(time.monotonic() + self.streams.wait_seconds)
        if self.board.due is not None:
            firsts.append(self.board.due)
        if self.disconnects.next_look < math.inf:
            firsts.append(self.disconnects.next_look)
        return min(firsts, default=None)

    def _deadlines(self) -> list[float]:
        """The first ones of all that is under way: after each something is given up."""
        firsts = [pending.deadline for pending in islice(self._pending.values(), 1)]
        firsts += self._questions.deadlines()
        if self.desk.count:
            firsts.append(self.desk.next_deadline)
        if self.binary.next_deadline is not None:
            firsts.append(self.binary.next_deadline)
        return firsts

    @property
    def waits_shortly(self) -> bool:
        """Whether `next_deadline` may be sooner than ANSWER_SECONDS after what it was told of came."""
        is_waiting = len(self._questions) or self.binary.next_deadline is not None
        return bool(is_waiting or self.streams.wait_seconds is not None or self.disconnects.next_look < math.inf)

    def offer_seat(self, connection: Connection, key: Key | None = None) -> None:
        """Let a connection go the express way from now on, if nothing speaks against it.

        `key`: whose requests are signed one by one, which the transport checks; None: it is logged on.
        """
        offer_seat(self.desk, connection, key or connection.key, self.model)

    # A turn: commands out, events in, replies out

    def flush(self) -> None:
        """Publish the commands that wait."""
        self._outbox.flush()

    def turn(self) -> bool:
        """Do what can be done without waiting. True if there is more to do at once."""
        self._tell_ends()
        self._outbox.flush()
        more = self._take_events()  # before what can wait: somebody waits for these replies
        self.desk.count_into(self.counts)
        self.limiter.refresh()
        more |= self.streams.go_on(self.model, time.time_ns())
        self._outbox.flush()  # what replies have set off
        self._give_up_late()
        if not more:
            self._questions.answer_lookups(self.model)
            self._questions.answer_deferred()
        self.board.tell(self.counts, self.gauges)
        return more or self._questions.look_again or self._outbox.slots > 0

    def end_streams(self, why_code: str) -> None:
        """Tell every stream that it ends here: after a gap, or at a stop."""
        self.counts[why_code] += 1
        self.streams.end(time.time_ns(), missed=why_code == "gaps")

    def _serve(
        self,
        connection: Connection,
        request_id: Any,
        name: str,
        params: dict[str, Any],
        proof: Proof | None,
        use: Use,
    ) -> None:
        table = ADMIN_METHODS if connection.transport == Transport.ADMIN else METHODS
        method = table.get(name)
        weight = weight_of(name, params)
        if method is None or method.security == Security.NONE:
            self._take(use, self.limiter.of_address(connection.address), weight, connection)
        if method is None:
            raise Refusal(-1020, f"This operation is not supported. There is no method '{name[:64]}'.")
        self.counts["requests"] += 1
        now_ns = time.time_ns()
        try:
            arguments = decode(method.declared, method.needed, params)
            signer, account, when = caller_of(self.keystore, self.model, connection, method, params, proof, now_ns)
        except Refusal:
            if method.security != Security.NONE:  # no key answers for it, so the address does
                self._take(use, self.limiter.of_address(connection.address), weight, connection)
            raise
        key = signer.number if signer is not None else 0
        if signer is not None:
            meter = self.limiter.of_key(key, connection.address)
            self._take(use, meter, weight, connection)
            if use.tokens and meter.is_limited and self.limiter.limits.enabled:
                self.limiter.tokens.take(key, use.tokens, now_ns)
            if name in ORDERING:
                use.account = account
        call = Call(arguments, self.model, connection, now_ns, account, key, signer, when, self)
        if method.waits:
            after = self.desk.next_correlation
            self._questions.ask(Deferred(connection, request_id, method, call, use, after, _deadline()))
            return
        result = made(use.unit_ns, method.handler, call)
        if isinstance(result, Submission):
            connection.check_room()
            self._submit(Pending(connection, request_id, result, call, use, _deadline()))
        else:
            self._answer(connection, request_id, result, use)

    def _take(self, use: Use, meter: Meter, weight: int, connection: Connection) -> None:
        """Count a request against a subject's limits. Raises Refusal."""
        if connection.transport != Transport.ADMIN:
            use.meter = meter
            self.limiter.take(meter, weight, time.time_ns())

    def _revoke(self, events: np.ndarray) -> None:
        """Keys are no more: their sessions and streams end, before the events that came with it are told."""
        keys = {event["key_added"] for event in rows_of(events)}
        self._unseat(self.desk.seated(keys))
        for connection in self.connections.authorized():
            for number in connection.revoke(keys):
                with in_unit(connection.unit_ns):
                    event = terminated(time.time_ns())
                self.send(connection, {"subscriptionId": number, "event": event})

    def _unseat(self, numbers: list[int]) -> None:
        """What the seats of these connections say may no longer be so."""
        for number in numbers:
            connection = self.connections.by_number(number)
            if connection is not None:
                connection.unseat()

    def _serve_records(self, connection: Connection, frame: bytes) -> None:
        if connection.key is None:
            raise Refusal(-2015, "Invalid API-key, IP, or permissions for action. Send session.logon first.")
        account = account_of(self.model, connection.key, connection, KeyScope.TRADE)
        now_ns = time.time_ns()
        if not self.binary.in_order(frame, now_ns):
            binary.decode(frame, now_ns)  # which says why
        count = len(frame) // RECORD_BYTES
        self.limiter.take(self.limiter.of_key(connection.key.number, connection.address), count, now_ns)
        binary.check_share(connection.binary_in_flight, count)
        self.binary.check_room(count)
        self._outbox.check_room(count)
        self._outbox.flush()
        marks_orders = connection.marks_orders and account == connection.disconnect_account
        self.binary.put(frame, connection.number, account, connection.key.number, _deadline(), marks_orders)
        connection.binary_in_flight += count
        self.counts["binary_commands"] += count

    # Commands out

    def _submit(self, pending: Pending) -> None:
        if len(self._pending) >= PENDING_MAX:
            raise overloaded()
        records, call = pending.submission.records, pending.call
        self._outbox.check_room(len(records))
        correlation = self.desk.pass_correlation()
        records["correlation"] = correlation
        records["timestamp_us"] = call.timing.timestamp_us
        records["expires_ns"] = call.timing.expires_ns
        transport = pending.connection.transport
        account = call.account if transport != Transport.ADMIN else None
        self._outbox.put(records, pending.connection, transport, account, call.key, call.now_ns)
        self._pending[correlation] = pending
        pending.connection.in_flight[correlation] = None
        self.counts["commands"] += 1

    def _tell_ends(self) -> None:
        """SESSION_CLOSED, behind everything that the session has sent. What finds no room waits for the next turn."""
        for connection in self.disconnects.silent():
            log.warning("connection %d is ended: it has been silent for too long", connection.number)
            self.counts["silent_sessions"] += 1
            self.closed(connection)
        while (ended := self.disconnects.next_ended()) and self._outbox.has_room(1):
            connection, record = ended
            self._outbox.put(record, connection, connection.transport, None, 0, time.time_ns())
            self.disconnects.told()

    # Events in

    def _take_events(self) -> bool:
        """Read the event ring, a bounded number of events. True if it may hold more."""
        if self._gap:
            return self._join_anew()
        for _ in range(EVENTS_PER_TURN_MAX // EVENTS_PER_POLL):
            try:
                events = self.follower.poll(EVENTS_PER_POLL)
            except EventsGoneError:
                self._lose_events()
                return True
            if len(events):
                self._apply(events)
            if not len(events) or self.follower.is_at_end:
                for watcher in self.watchers:
                    watcher.quiet()
                return False
        return True

    def _apply(self, events: np.ndarray) -> None:
        kinds = events["kind"]
        concerns_keys = bool(kinds.tobytes().translate(None, _NOT_OF_KEYS))  # of 4,096 events: 4 us, by a table 32
        if concerns_keys and (kinds == EventKind.KEY_REVOKED).any():
            self._revoke(events[kinds == EventKind.KEY_REVOKED])
        self.streams.apply(events, self.model)
        self.counts["events"] += len(events)
        for watcher in self.watchers:
            watcher.events(events, self.model)
        if concerns_keys and (kinds == EventKind.KEY).any():
            self.keystore.reload()
        self.desk.update(self.model)
        for replies, handed_over, of_binary in self.desk.answer(events, time.time_ns()):
            if replies and self.send_replies is not None:
                self.counts["replies"] += replies
                self.send_replies(self.desk.replies(replies))
            if len(of_binary):
                self._reply_records(events, of_binary)
            if len(handed_over):
                for event in rows_of(chosen(events, handed_over)):
                    self._collect(event)

    def _collect(self, event: Row) -> None:
        correlation = event["correlation"]
        pending = self._pending.get(correlation) or self._take_over(correlation)
        if pending is None:
            return  # given up, or a session that is gone
        last = event["flag_bits"] & _LAST
        if last or len(pending.events) < EVENTS_KEPT_MAX:
            pending.events.append(event)
        else:
            pending.omitted += 1
        if last:
            self._finish(correlation, pending)
            self._complete(pending)

    def _take_over(self, correlation: int) -> Pending | None:
        """Go on in the ordinary way with what was taken the express way. None: nobody waits for it."""
        flight = self.desk.hand_over(correlation)
        connection = self.connections.by_number(flight.connection) if flight is not None else None
        if flight is None or connection is None:
            return None
        if self.original_of is not None:
            original = self.original_of(connection, flight)
        else:
            request = MSGPACK.read(flight.original)
            assert not isinstance(request, Fault), "it was read before"
            original = request.id, request.params or {}
        pending = pending_of(flight, connection, original, self.model, self.limiter, self, _deadline())
        self._pending[correlation] = pending
        connection.handed_over[correlation] = None
        return pending

    def _complete(self, pending: Pending) -> None:
        try:
            result = made(pending.use.unit_ns, pending.submission.reply, pending.events)
            if isinstance(result, Submission):
                following = Pending(
                    pending.connection, pending.request_id, result, pending.call, pending.use, _deadline()
                )
                self._submit(following)
                return
        except Refusal as refusal:
            first, expires_ns = pending.events[0], pending.call.timing.expires_ns
            if refusal.code == TOO_OLD and expires_ns and first["kind"] == EventKind.REJECTED:
                late_ms = (first["time_ns"] - expires_ns) // 1_000_000
                refusal.message += f" It ran out {late_ms} ms before the matcher took it."
            self._refuse(pending.connection, pending.request_id, refusal, pending.use)
            return
        self._answer(pending.connection, pending.request_id, result, pending.use, pending.omitted)

    def _finish(self, correlation: int, pending: Pending) -> None:
        del self._pending[correlation]
        pending.connection.in_flight.pop(correlation, None)
        pending.connection.handed_over.pop(correlation, None)

    def _reply_records(self, events: np.ndarray, which: np.ndarray) -> None:
        restored, is_one = self.binary.restore(events, which)
        parts = [(int(restored["connection"][0]), restored)] if is_one and len(restored) else None
        for number, part in binary.by_connection(restored) if parts is None else parts:
            connection = self.connections.by_number(number)
            if connection is not None:
                self.send(connection, [binary.MAGIC, part.tobytes()])
        for number, count in self.binary.finished():
            self._release(number, count)

    def _release(self, number: int, count: int) -> Connection | None:
        connection = self.connections.by_number(number)
        if connection is not None:
            connection.binary_in_flight -= count
        return connection

    # Replies out

    def _give_up_late(self) -> None:
        """Answer -1007 for what has waited too long. All wait equally long, so the oldest come first."""
        now = time.monotonic()
        if now < self._look_late_at:
            return
        while (correlation := self.desk.late(now)) is not None:
            self._give_up(correlation)
        while self._pending:
            correlation, pending = next(iter(self._pending.items()))
            if pending.deadline > now:
                break
            self._finish(correlation, pending)
            self._refuse(pending.connection, pending.request_id, timed_out(), pending.use)
        for number, count, unanswered in self.binary.expired(now):
            connection = self._release(number, count)
            if connection is not None:
                self._refuse(connection, None, timed_out(f"{unanswered} binary commands are unanswered."), Use())
        self._questions.give_up_late(now)
        self._look_late_at = min([now + ANSWER_SECONDS, *self._deadlines()])

    def _give_up(self, correlation: int) -> None:
        """Answer -1007 for a flight."""
        pending = self._take_over(correlation)
        if pending is not None:
            self._finish(correlation, pending)
            self._refuse(pending.connection, pending.request_id, timed_out(), pending.use)

    def _lose_events(self) -> None:
        """Events are gone for good: streams end, and nobody knows what became of the commands under way."""
        self._gap = True
        self.end_streams("gaps")
        while (flight := self.desk.late(math.inf)) is not None:
            self._give_up(flight)
        for correlation, pending in list(self._pending.items()):
            self._finish(correlation, pending)
            self._refuse(pending.connection, pending.request_id, timed_out(), pending.use)
        for number, count, unanswered in self.binary.expired(float("inf")):
            connection = self._release(number, count)
            if connection is not None:
                self._refuse(connection, None, timed_out(f"{unanswered} binary commands are unanswered."), Use())

    def _join_anew(self) -> bool:
        model = self.join()
        if model is None:
            return True
        self.model = model
        self._unseat(self.desk.seated())
        self.desk.update(model)
        self.follower.restart(model.sequence)
        self.keystore.reload()
        self._gap = False
        for watcher in self.watchers:
            watcher.restart(model)
        self._questions.restart(model)
        return True

    def _answer(self, connection: Connection, request_id: Any, result: Any, use: Use, omitted: int = 0) -> None:
        """`omitted`: so many fills or cancels did happen and are not in `result`; the reply says so beside it."""
        self.counts["replies"] += 1
        reply = {"id": request_id, "status": 200, "result": result}
        if omitted:
            reply["omitted"] = omitted
        if use.is_shown:
            reply["rateLimits"] = self.limiter.rows(use, time.time_ns(), self.model)
        self.send(connection, reply)

    def _refuse(self, connection: Connection, request_id: Any, refusal: Refusal, use: Use) -> None:
        self.counts["refusals"] += 1
        self.counts[f"refused{refusal.code}"] += 1
        self.counts["refused_" + ("418" if refusal.status == 418 else f"{refusal.status // 100}xx")] += 1
        reply = {"id": request_id, "status": refusal.status, "error": refusal.body()}
        if use.is_shown:
            reply["rateLimits"] = self.limiter.rows(use, time.time_ns(), self.model)
        self.send(connection, reply)


def _deadline() -> float:
    return time.monotonic() + ANSWER_SECONDS
