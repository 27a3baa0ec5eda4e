"""Batches of binary commands: what is put into the ring is what the ordinary reading of a frame makes of it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from gateway_exchange import LIMITS
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ringex.config import RateLimits
from ringex.gateways import binary
from ringex.gateways.batches import Batches
from ringex.gateways.binary import CORRELATION_FROM, IN_FLIGHT_MAX
from ringex.gateways.errors import Refusal
from ringex.gateways.express.desk import Desk
from ringex.gateways.limiter import Limiter
from ringex.history.readmodel import ReadModel
from ringex.messages import COMMAND, EVENT, RECORD_BYTES, commands, words_of
from ringex.ring import Consumer, Ring
from ringex.terms import CommandFlag, CommandKind, EventFlag, Transport

NOW_NS = 1_700_000_000_000_000_000
FIRST = 5_000
_numbers = iter(range(1 << 30))


class Bench:
    """Batches between a desk and a command ring of their own."""

    def __init__(self) -> None:
        name = f"ringex-test-batches-{id(self)}-{next(_numbers)}"
        self.rings = (Ring.create(f"{name}-c", 1 << 13, 1), Ring.create(f"{name}-e", 1 << 8, 1, gated=False))
        addresses = (self.rings[0].address, self.rings[1].address)
        self.desk = Desk(3, 7, ReadModel(LIMITS), Limiter(RateLimits()), addresses, 5.0, 1000, lambda _: None)
        self.batches = Batches(self.desk.address, FIRST)
        self.consumer = Consumer(self.rings[0], COMMAND)

    def take(self, frame: bytes, connection: int = 9, deadline: float = 5.0) -> np.ndarray | None:
        """The commands that reach the ring."""
        if not self.batches.in_order(frame, NOW_NS):
            return None
        self.batches.put(frame, connection, 4, 6, deadline)
        self.desk.publish()
        return self.consumer.poll(1 << 13)

    def close(self) -> None:
        for ring in self.rings:
            ring.close()
            Ring.unlink(ring.name)


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.close()


@pytest.fixture
def fresh() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.close()


RAW = st.binary(min_size=RECORD_BYTES, max_size=RECORD_BYTES)
IDS = st.one_of(
    st.just(b""),
    st.text("abc.:/_-09", max_size=36).map(str.encode),
    st.sampled_from([b"ringex-5", b"ringex", b"ring", b"a\0b", b"a b", b"x" * 37, b"x" * 40, b"\xff"]),
)


@st.composite
def records(draw: st.DrawFn) -> bytes:
    """A record of a client, mostly in order; the fields that are not a client's hold anything."""
    record = np.frombuffer(bytearray(draw(RAW)), COMMAND)
    kinds = [CommandKind.PLACE, CommandKind.CANCEL, CommandKind.AMEND, CommandKind.CANCEL_ALL]
    record["kind"] = draw(st.sampled_from([*kinds, *kinds, CommandKind.DEPOSIT, 0, 255]))
    flags = [0, 1, 4, 8, 32, 45, CommandFlag.CANCEL_ON_DISCONNECT, 1 << 31]
    record["flag_bits"] = draw(st.sampled_from([0, 0, *flags]))
    now_us = NOW_NS // 1000
    record["timestamp_us"] = draw(st.sampled_from([0, now_us, now_us + 999_999, now_us + 1_000_000, -1, 5]))
    for name in ("client_order_id", "original_client_order_id"):
        record[name] = np.frombuffer(draw(IDS)[:40].ljust(40, b"\0"), "<u8")
    return record.tobytes()


@settings(max_examples=400, deadline=None)
@given(st.lists(records(), min_size=1, max_size=3).map(b"".join))
@example(commands(2).tobytes())
def test_the_ring_gets_what_the_ordinary_reading_makes(bench: Bench, frame: bytes) -> None:
    try:
        expected, theirs = binary.decode(frame, NOW_NS)
    except Refusal:
        assert bench.take(frame) is None
        return
    taken = bench.take(frame)
    assert taken is not None and len(taken) == len(expected)
    expected["correlation"], expected["receive_ns"] = taken["correlation"], NOW_NS
    expected["gateway"], expected["incarnation"], expected["connection"] = 3, 7, 9
    expected["transport"], expected["key"], expected["account"] = Transport.ZMQ_BINARY, 6, 4
    assert taken.tobytes() == expected.tobytes()
    events = np.zeros(len(taken), EVENT)
    events["correlation"], events["flag_bits"] = taken["correlation"], EventFlag.LAST
    restored, _ = bench.batches.restore(events, np.arange(len(events)))
    assert restored["correlation"].tolist() == theirs.tolist()
    assert bench.batches.finished() == [(9, len(taken))]


@pytest.mark.parametrize("frame", [b"", b"x" * 100, bytes(RECORD_BYTES * 4097)])
def test_frames_of_a_wrong_size_are_not_in_order(fresh: Bench, frame: bytes) -> None:
    assert fresh.take(frame) is None
    with pytest.raises(Refusal, match="records of 256 bytes were expected"):
        binary.decode(frame, NOW_NS)


def orders(count: int, first: int = 0) -> bytes:
    made = commands(count)
    made["kind"] = CommandKind.PLACE
    made["correlation"] = np.arange(first, first + count)
    made["client_order_id"] = words_of("a")
    return made.tobytes()


def answers(taken: np.ndarray, connection: int, last: bool = True) -> np.ndarray:
    events = np.zeros(len(taken), EVENT)
    events["correlation"], events["connection"] = taken["correlation"], connection
    events["flag_bits"] = EventFlag.LAST if last else 0
    return events


def test_frames_end_in_order_once_all_is_answered(fresh: Bench) -> None:
    batches = fresh.batches
    first, second = fresh.take(orders(3), 9, 1.0), fresh.take(orders(2, 70), 8, 2.0)
    assert first is not None and second is not None
    assert first["correlation"].tolist() == [CORRELATION_FROM + FIRST + at for at in range(3)]
    assert batches.next_deadline == 1.0
    both = np.concatenate([answers(first[:2], 9), answers(second, 8), answers(first[2:], 9, last=False)])
    restored, is_one = batches.restore(both, np.arange(5))
    assert (restored["correlation"].tolist(), is_one) == ([0, 1, 70, 71, 2], False)
    assert batches.finished() == []
    restored, is_one = batches.restore(both, np.array([4]))
    assert (restored["correlation"].tolist(), is_one) == ([2], True)
    assert batches.restore(answers(first[2:], 9), np.array([0]))[0]["correlation"].tolist() == [2]
    assert batches.finished() == [(9, 3), (8, 2)]
    assert len(batches.restore(answers(first, 9), np.arange(3))[0]) == 0  # nobody waits any more
    assert batches.next_deadline is None


def test_late_frames_and_full_tables(fresh: Bench) -> None:
    batches = fresh.batches
    taken = fresh.take(orders(4), 9, 1.0)
    assert taken is not None
    batches.restore(answers(taken, 9), np.array([1]))
    batches.check_room(IN_FLIGHT_MAX - 4)
    with pytest.raises(Refusal) as refused:
        batches.check_room(IN_FLIGHT_MAX - 3)
    assert refused.value.code == -1008
    assert batches.expired(0.9) == []
    assert batches.expired(1.0) == [(9, 4, 3)]
    batches.check_room(IN_FLIGHT_MAX)


def test_orders_are_marked_where_their_session_wants_it(fresh: Bench) -> None:
    cancel = commands(1)
    cancel["kind"] = CommandKind.CANCEL
    frame = orders(1) + cancel.tobytes()
    assert fresh.batches.in_order(frame, NOW_NS)
    fresh.batches.put(frame, 1, 2, 3, 1.0, marks_orders=True)
    fresh.desk.publish()
    assert fresh.consumer.poll(8)["flag_bits"].tolist() == [CommandFlag.CANCEL_ON_DISCONNECT, 0]
