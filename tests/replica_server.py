"""A replica's service in a thread of the test: `answer` behind a ROUTER socket, as the replica process runs it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType

import zmq

from ringex.history.eventlog import EventLog
from ringex.history.frames import Frame
from ringex.history.join import answer
from ringex.history.readmodel import ReadModel

Reply = Callable[[list[bytes]], list[Frame]]


class ReplicaServer:
    """Serves `model` and `log` at `endpoint` while the context lasts. `lock` guards them; `reply` may be replaced."""

    def __init__(self, endpoint: str, model: ReadModel, log: EventLog) -> None:
        self.lock = threading.Lock()
        self.reply: Reply = lambda request: answer(request, model, log)
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.bind(endpoint)
        self._stop, self._stopped = (self._context.socket(zmq.PAIR) for _ in range(2))
        self._stop.bind("inproc://stop")
        self._stopped.connect("inproc://stop")
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> ReplicaServer:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.send(b"")
        self._thread.join()
        self._context.destroy(linger=0)

    def _serve(self) -> None:
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLIN)
        poller.register(self._stopped, zmq.POLLIN)
        while self._stopped not in dict(poller.poll()):
            sender, *request = self._socket.recv_multipart()
            with self.lock:
                reply = self.reply(request)
            self._socket.send_multipart([sender, *reply])
