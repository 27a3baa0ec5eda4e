"""How a gateway's process begins: the replica's read model, then a `Gateway` that goes on from there."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from functools import partial
from typing import Final

from ringex.config import Run, Settings
from ringex.gateways.backlog import Backlog
from ringex.gateways.board import Board
from ringex.gateways.express.answering import Replies
from ringex.gateways.gateway import Gateway
from ringex.gateways.keystore import open_keystore
from ringex.gateways.limiter import Limiter
from ringex.gateways.listenkeys import ListenKeys
from ringex.gateways.lookups import LookupDesk
from ringex.gateways.tally import Tally
from ringex.gateways.userstreams import Send
from ringex.history.follower import Follower
from ringex.history.join import ReplicaBehindError, ReplicaClient, ReplicaSilentError
from ringex.history.past import Past
from ringex.history.readmodel import ReadModel
from ringex.history.store.opening import open_store
from ringex.ring import Producer, Ring

JOIN_SECONDS: Final = 0.5
COMPLAIN_SECONDS: Final = 2.0
"""Between two lines that say what the gateway waits for."""

log = logging.getLogger(__name__)


class Joining:
    """Rings and replica of one gateway's process. `pause` leaves the replica alone for a moment."""

    def __init__(self, settings: Settings, run: Run, number: int, pause: Callable[[], None]) -> None:
        self._settings, self._run, self._number, self._pause = settings, run, number, pause
        self._replica = ReplicaClient(settings.replica_endpoint, JOIN_SECONDS)
        self._event_ring = Ring.attach(run.event_ring)
        self._command_rings = [Ring.attach(name) for name in run.command_rings]
        self._past = Past(self._event_ring, settings.replica_endpoint)
        self._complain_at = time.monotonic() + COMPLAIN_SECONDS  # a start takes a moment
        self._lookups = LookupDesk(partial(open_store, settings, writes=False), self._ring_own_doorbell)

    def model(self) -> ReadModel | None:
        """The replica's read model; None, after a pause, when it has none to give yet."""
        try:
            _, frames = self._replica.join()
        except (ReplicaSilentError, ReplicaBehindError) as reason:
            if time.monotonic() >= self._complain_at:
                log.warning("gateway %d waits for the replica's read model: %s", self._number, reason)
                self._complain_at = time.monotonic() + COMPLAIN_SECONDS
            self._pause()
            return None
        model = ReadModel(self._settings.limits)
        model.load(frames)
        return model

    def gateway(self, model: ReadModel, send: Send, send_replies: Callable[[Replies], None] | None = None) -> Gateway:
        doorbell = self._run.doorbells[self._number]
        return Gateway(
            number=self._number,
            incarnation=self._run.incarnation,
            keystore=open_keystore(self._settings),
            model=model,
            follower=Follower(self._event_ring, self._number, doorbell, self._replica, model.sequence),
            producer=Producer(self._command_rings[self._number]),
            backlog=Backlog(self._command_rings),
            join=self.model,
            past=self._past,
            listen_keys=ListenKeys(self._settings.listen_keys_dir),
            send=send,
            send_replies=send_replies,
            limiter=Limiter(self._settings.rate_limits, Tally(self._run.tallies, self._number)),
            lookups=self._lookups,
            board=Board(self._run.board, self._number),
        )

    def _ring_own_doorbell(self) -> None:
        """End the present wait of this process: there is an answer of the history store."""
        os.eventfd_write(self._run.doorbells[self._number], 1)

    def close(self) -> None:
        self._lookups.close()
        self._replica.close()
        self._past.close()
        self._event_ring.close()
        for ring in self._command_rings:
            ring.close()
