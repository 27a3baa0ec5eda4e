"""The publisher: the process that turns the event ring into ZeroMQ PUB messages.

It starts with the books of the replica's read model (`join`) and then follows the event ring. A successor goes on
behind the last event that was sent, so that `U` and `u` have no gap; only where nobody holds those events any more does
it start anew, and clients see the gap in `U` and load a new snapshot, by the standard rule. So do clients for whom
ZeroMQ dropped messages, because they read too slowly or because a publisher was killed with messages still queued.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from types import FrameType
from typing import Final

import numpy as np
import zmq

from ringex.config import Run, Settings
from ringex.history.catalogue import Catalogue
from ringex.history.follower import RETRY_S, EventsGoneError, Follower
from ringex.history.join import ReplicaBehindError, ReplicaClient, ReplicaSilentError
from ringex.history.readmodel import ReadModel
from ringex.marketdata.composer import Composer, Tickers
from ringex.marketdata.depth import Depth
from ringex.marketdata.position import Position
from ringex.messages import EVENT
from ringex.ring import Ring
from ringex.zmqcalls import function_address

EVENTS_PER_BATCH_MAX: Final = 4096
SEND_QUEUE_MESSAGES_MAX: Final = 100_000
"""Per subscriber; what comes on top is dropped for that subscriber."""
WAIT_S: Final = 0.2
"""The longest sleep: how late a SIGTERM can be noticed."""
LINGER_MS: Final = 1000

_log = logging.getLogger("ringex.publisher")


def publisher_main(settings: Settings, run: Run) -> None:
    """Publish until SIGTERM. Raises zmq.ZMQError where `settings.pub_endpoint` cannot be bound."""
    publisher = Publisher(settings, run)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends it to the whole group; the supervisor decides
    signal.signal(signal.SIGTERM, publisher.stop)
    try:
        publisher.serve()
    finally:
        publisher.close()


class Publisher:
    """One life of the publisher. All sockets are used by the thread that calls `serve`."""

    def __init__(self, settings: Settings, run: Run) -> None:
        self._settings = settings
        self._run = run
        self._stopping = False
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.PUB)
        self._socket.setsockopt(zmq.SNDHWM, SEND_QUEUE_MESSAGES_MAX)
        self._socket.setsockopt(zmq.LINGER, LINGER_MS)
        self._socket.bind(settings.pub_endpoint)
        self._ring = Ring.attach(run.event_ring)
        self._replica = ReplicaClient(settings.replica_endpoint, context=self._context)
        self._position = Position(settings.data_dir / "publisher.position", run.epoch)
        self._composer = Composer(EVENTS_PER_BATCH_MAX, settings.limits.markets_max)
        self._zmq_send = function_address("zmq_send")
        self._catalogue: Catalogue
        self._depth: Depth
        self._applied = 0  # the last event that catalogue and books have seen
        self._sent = self._position.sequence

    def stop(self, signal_number: int = 0, frame: FrameType | None = None) -> None:
        """Make `serve` return soon. Serves as a signal handler."""
        self._stopping = True

    def serve(self) -> None:
        """Publish until `stop` is called."""
        if not self._join():
            return
        if self._sent == 0:
            self._sent = self._applied
        number = self._settings.numbered_gateways
        after = min(self._sent, self._applied)
        follower = Follower(self._ring, number, self._run.doorbells[number], self._replica, after)
        if self._run.ready_fd >= 0:
            os.write(self._run.ready_fd, b"publisher\n")
        while not self._stopping:
            try:
                events = follower.poll(EVENTS_PER_BATCH_MAX)
            except EventsGoneError as gone:
                _log.warning("%s: subscribers will see a gap and load new snapshots", gone)
                if self._join():
                    self._sent = self._applied
                    follower.restart(self._sent)
                continue
            for start in range(0, len(events), EVENTS_PER_BATCH_MAX):
                self._publish(events[start : start + EVENTS_PER_BATCH_MAX])
            if not len(events):
                follower.wait(WAIT_S)

    def close(self) -> None:
        """Send what is queued, at most for LINGER_MS, and let everything go."""
        self._replica.close()
        self._socket.close()
        self._context.term()
        self._position.close()
        self._ring.close()

    def _join(self) -> bool:
        """Get catalogue and books from the replica, asking until it has them. False if stopped meanwhile."""
        while not self._stopping:
            try:
                sequence, frames = self._replica.join()
            except ReplicaSilentError as silent:
                _log.info("%s", silent)
            except ReplicaBehindError:
                time.sleep(RETRY_S)
            else:
                model = ReadModel(self._settings.limits)
                model.load(frames)
                self._catalogue, self._depth, self._applied = model.catalogue, model.books, sequence
                self._composer.forget()
                self._depth.apply(np.zeros(0, EVENT))  # compiled by now, or here, while nobody waits
                return True
        return False

    def _publish(self, events: np.ndarray) -> None:
        """Send what follows from a batch of events: those that predecessors have sent are only applied."""
        first, last = int(events["sequence"][0]), int(events["sequence"][-1])
        unseen = events[max(0, self._applied + 1 - first) :]
        unsent = events[max(0, self._sent + 1 - first) :]
        behind_books = self._applied > self._sent
        self._catalogue.apply(unseen)
        self._depth.apply(unseen)
        self._applied = max(self._applied, last)
        self._sent = max(self._sent, last)
        tickers = Tickers.ALL if behind_books else Tickers.CHANGED
        if self._applied > self._sent:
            tickers = Tickers.NONE  # the books are ahead of the streams: their quotes come later
        self._composer.compose(unsent, self._catalogue.markets, self._depth, tickers)
        self._send()
        self._position.store(self._sent)

    def _send(self) -> None:
        """Send what the composer has made. Raises zmq.ZMQError."""
        if self._zmq_send:
            answer = self._composer.send(self._zmq_send, self._socket.underlying)
            if answer < 0:
                raise zmq.ZMQError(-answer)
            return
        for topic, payload in self._composer.messages():
            self._socket.send(topic, zmq.SNDMORE)
            self._socket.send(payload)
