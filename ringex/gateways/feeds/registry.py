"""The registry: which subscribers follow which streams, and one message, encoded once, sent to all of a stream's.

A message exists in up to four kinds: raw or combined, times in milliseconds or microseconds. Each kind's WebSocket
frame is made once, when the first subscriber of that kind needs it, and the same bytes go to all of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final, Protocol

from ringex.gateways.feeds.subscriber import NO_TOPICS, WAITING_BYTES_MAX, Subscriber
from ringex.gateways.feeds.topics import Kind, Stream
from ringex.gateways.times import MICROSECOND_NS, MILLISECOND_NS
from ringex.gateways.web.frames import CloseCode, Opcode, frame

Payload = Callable[[int], bytes]
"""A message's JSON, by the unit of its times in ns."""

_REPLACING: Final = frozenset(
    {Kind.LEVELS, Kind.BOOK_TICKER, Kind.TICKER, Kind.MINI_TICKER, Kind.WINDOW, Kind.CANDLE, Kind.AVERAGE}
)
"""Each message of these streams says all there is to say: a later one replaces it."""
TOO_SLOW: Final = f"more than {WAITING_BYTES_MAX} bytes wait to be read; read faster, or subscribe to less"


class Topic:
    """A stream with its subscribers, by kind of message."""

    __slots__ = ("members", "replaces", "stream")

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.replaces = stream.kind in _REPLACING
        self.members: tuple[dict[Subscriber, None], ...] = ({}, {}, {}, {})

    def __len__(self) -> int:
        return sum(map(len, self.members))


class Demand(Protocol):
    """Is told which streams somebody follows."""

    def opened(self, topic: Topic) -> None:
        """The first subscriber has come."""

    def closed(self, topic: Topic) -> None:
        """The last one has gone."""


class Registry:
    """Topics by name. `counts` are the gateway's."""

    def __init__(self, counts: Counter[str]) -> None:
        self._counts = counts
        self._topics: dict[str, Topic] = {}
        self.demand: Demand

    def __len__(self) -> int:
        return len(self._topics)

    def topic(self, name: str) -> Topic | None:
        return self._topics.get(name)

    def join(self, subscriber: Subscriber, stream: Stream) -> None:
        """Follow a stream; nothing happens where it does already."""
        if stream.name in subscriber.topics:
            return
        topic = self._topics.get(stream.name)
        if topic is None:
            topic = self._topics[stream.name] = Topic(stream)
        topic.members[subscriber.form][subscriber] = None
        if subscriber.topics is NO_TOPICS:
            subscriber.topics = {}
        subscriber.topics[stream.name] = topic
        if len(topic) == 1:
            self.demand.opened(topic)

    def leave(self, subscriber: Subscriber, name: str) -> None:
        """Follow a stream no more; nothing happens where it does not."""
        if name not in subscriber.topics:
            return
        topic = subscriber.topics.pop(name)
        topic.members[subscriber.form].pop(subscriber, None)
        if not len(topic):
            del self._topics[name]
            self.demand.closed(topic)

    def forget(self, subscriber: Subscriber) -> None:
        """The connection is gone."""
        for name in list(subscriber.topics):
            self.leave(subscriber, name)

    def set_combined(self, subscriber: Subscriber, combined: bool) -> None:
        """From now on its messages are of that kind."""
        before = subscriber.form
        subscriber.combined = combined
        for topic in subscriber.topics.values():
            del topic.members[before][subscriber]
            topic.members[subscriber.form][subscriber] = None

    def publish(self, topic: Topic, payload: Payload) -> None:
        """Send a message to all of a topic's subscribers."""
        name, replaces = topic.stream.name, topic.replaces
        too_slow: list[Subscriber] = []
        for form, members in enumerate(topic.members):
            if not members:
                continue
            encoded = encoded_frame(name, form, payload)
            for subscriber in members:
                socket = subscriber.socket
                if not socket.paused:
                    socket.send_later(encoded)
                elif not subscriber.send(name, encoded, replaces=replaces):
                    too_slow.append(subscriber)
        for subscriber in too_slow:
            self.drop(subscriber)

    def drop(self, subscriber: Subscriber) -> None:
        """It reads too slowly: it is told so, once it has read what waits, and gets nothing more."""
        self._counts["slow_subscribers"] += 1
        subscriber.socket.close(CloseCode.POLICY, TOO_SLOW)


def encoded_frame(name: str, form: int, payload: Payload) -> bytes:
    """A message of stream `name` as the WebSocket frame of a kind (`Subscriber.form`)."""
    body = payload(MICROSECOND_NS if form & 2 else MILLISECOND_NS)
    if form & 1:
        body = b'{"stream":"%s","data":%s}' % (name.encode(), body)
    return frame(Opcode.TEXT, body)
