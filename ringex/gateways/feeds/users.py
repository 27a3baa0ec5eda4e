"""User streams by listen key, at the endpoint of the streams: the account's reports as messages of a stream.

A listen key is looked at again every few seconds while somebody follows it: it may have been stopped, its hour may be
over, or its API key may have been revoked, by whichever gateway.
"""

from __future__ import annotations

import time
from typing import Final

from ringex.gateways.errors import Refusal
from ringex.gateways.feeds import payloads
from ringex.gateways.feeds.registry import Payload, Registry, encoded_frame
from ringex.gateways.feeds.subscriber import Subscriber
from ringex.gateways.gateway import Gateway
from ringex.gateways.listenkeys import Holder
from ringex.gateways.times import MICROSECOND_NS, MILLISECOND_NS, in_unit, shown
from ringex.gateways.userstreams import LastWords, Report
from ringex.gateways.web.frames import CloseCode

CHECK_SECONDS: Final = 5.0
MISSED: Final = "events were missed: connect again"


class KeyFollower:
    """A subscriber that follows an account by a listen key (`Recipient`)."""

    __slots__ = ("_registry", "_subscriber", "account", "name")

    def __init__(self, registry: Registry, subscriber: Subscriber, name: str, account: int) -> None:
        self._registry, self._subscriber = registry, subscriber
        self.name, self.account = name, account

    @property
    def unit_ns(self) -> int:
        return MICROSECOND_NS if self._subscriber.microseconds else MILLISECOND_NS

    @property
    def gone(self) -> bool:
        return self.name not in self._subscriber.topics

    @property
    def slow(self) -> bool:
        return self._subscriber.socket.paused

    def tell(self, report: Report) -> None:
        self._send(lambda unit_ns: report.json(unit_ns))

    def end(self, last_words: LastWords, *, missed: bool) -> None:
        def told(unit_ns: int) -> bytes:
            with in_unit(unit_ns):
                return payloads.encode(last_words())

        self._send(told)
        self._registry.leave(self._subscriber, self.name)
        if missed:
            self._subscriber.socket.close(CloseCode.INTERNAL_ERROR, MISSED)

    def expire(self, now_ns: int) -> None:
        """The listen key is no longer valid."""
        self.end(lambda: {"e": "listenKeyExpired", "E": shown(now_ns), "listenKey": self.name}, missed=False)

    def _send(self, payload: Payload) -> None:
        encoded = encoded_frame(self.name, self._subscriber.form, payload)
        if not self._subscriber.send(self.name, encoded, replaces=False):
            self._registry.drop(self._subscriber)


class Users:
    """Who follows which listen key at this gateway."""

    def __init__(self, gateway: Gateway, registry: Registry) -> None:
        self._gateway = gateway
        self._registry = registry
        self._followers: dict[str, list[KeyFollower]] = {}
        self._due = 0.0

    def open(self, subscriber: Subscriber, name: str, now_ns: int) -> None:
        """Follow what listen key `name` belongs to. One that is not valid is said to have expired."""
        holder = self._valid(name, now_ns)
        follower = KeyFollower(self._registry, subscriber, name, holder.account if holder is not None else 0)
        if holder is None:
            follower.expire(now_ns)
            return
        try:
            self._gateway.streams.follow(follower, subscriber.resume_after, self._gateway.model)
        except Refusal as refusal:
            error = {"error": {"code": refusal.code, "msg": refusal.message}, "id": None}
            follower.end(lambda: error, missed=False)
            return
        self._followers.setdefault(name, []).append(follower)

    def next_due(self, now: float) -> float | None:
        """When `check` has something to do; None while nobody follows."""
        if not self._followers:
            return None
        if self._due <= now - CHECK_SECONDS:
            self._due = now + CHECK_SECONDS
        return self._due

    def check(self, now: float) -> None:
        """End the streams whose listen key is no longer valid."""
        if not self._followers or now < self._due:
            return
        self._due = now + CHECK_SECONDS
        now_ns = time.time_ns()
        for name, followers in list(self._followers.items()):
            present = [follower for follower in followers if not follower.gone]
            if present and self._valid(name, now_ns) is None:
                for follower in present:
                    follower.expire(now_ns)
                present = []
            if present:
                self._followers[name] = present
            else:
                del self._followers[name]

    def _valid(self, name: str, now_ns: int) -> Holder | None:
        holder = self._gateway.listen_keys.holder(name, now_ns)
        if holder is None or self._gateway.model.key(holder.key) is None:
            return None
        return holder
