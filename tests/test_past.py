"""The past: events read again, from a real ring while it holds them, then from a replica's log, then not at all."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from event_records import event
from reference.arena import SMALL
from replica_server import ReplicaServer

from ringex.history.eventlog import EventLog
from ringex.history.past import Past, PastGone
from ringex.history.readmodel import ReadModel
from ringex.ring import Producer, Ring
from ringex.terms import EventKind

RING = 64
LOG = 256
COUNT = 400


@pytest.fixture
def events() -> np.ndarray:
    return np.concatenate([event(EventKind.DONE, sequence) for sequence in range(1, COUNT + 1)])


@pytest.fixture
def ring(events: np.ndarray) -> Iterator[Ring]:
    name = f"ringex-past-{time.time_ns()}"
    with Ring.create(name, RING, 1, gated=False) as made:
        producer = Producer(made)
        for part in np.array_split(events, 20):
            producer.publish(part)
        yield made
        Ring.unlink(name)


def read(past: Past, after: int, count_max: int = 4096) -> np.ndarray:
    """As a gateway does: turn by turn, until something is there."""
    deadline = time.monotonic() + 10
    while not len(found := past.after(after, count_max)):
        assert past.waits or time.monotonic() < deadline
        time.sleep(0.001)
    return found


def test_events_come_from_where_they_are_held(ring: Ring, events: np.ndarray, tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/replica.sock"
    log = EventLog(LOG)
    log.append(events)
    with ReplicaServer(endpoint, ReadModel(SMALL), log) as server, Past(ring, endpoint) as past:
        assert past.newest == COUNT
        found = read(past, COUNT - 10)
        assert found.tobytes() == events[-10:].tobytes() and not past.waits, "the ring holds these"
        assert read(past, COUNT - 10, count_max=3).tobytes() == events[-10:-7].tobytes()
        after = COUNT - LOG
        found = read(past, after, count_max=50)
        assert found.tobytes() == events[after : after + 50].tobytes(), "the log holds these"
        with pytest.raises(PastGone) as gone:
            read(past, after - 1)
        assert gone.value.oldest == after
        assert len(read(past, after)), "and it says right from where they can be had"

        answered = server.reply
        server.reply = lambda request: [b"later"]
        assert len(past.after(after, 1)) == 0
        server.reply = answered
        assert read(past, after, 1)["sequence"].tolist() == [after + 1], "it asks again"


def test_an_answer_to_a_question_that_nobody_asks_any_more_is_dropped(
    ring: Ring, events: np.ndarray, tmp_path: Path
) -> None:
    endpoint = f"ipc://{tmp_path}/replica.sock"
    log = EventLog(COUNT)
    log.append(events)
    with ReplicaServer(endpoint, ReadModel(SMALL), log), Past(ring, endpoint) as past:
        past.after(5, 10)
        assert past.waits
        assert read(past, 100, 10)["sequence"].tolist() == list(range(101, 111))
