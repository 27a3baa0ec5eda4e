"""Peers without their sockets: broadcasts take turns with what is for one alone; deadlines, and who inherits one."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections import Counter
from types import SimpleNamespace
from typing import Any, cast

from ringex.gateways.web.deadlines import Deadlines
from ringex.gateways.web.peer import BROADCAST_STEP, LATER_MAX, Bounds, Peer, Site


class KeepingTransport:
    """What is written to it, write by write."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def is_closing(self) -> bool:
        return False


def site() -> Site:
    gateway = cast(Any, SimpleNamespace(counts=Counter()))
    return Site(gateway, cast(Any, None), cast(Any, None), Bounds(), lambda: None, {})


def peer(at: Site) -> tuple[Peer, list[bytes]]:
    transport = KeepingTransport()
    return Peer(at, cast(Any, transport)), transport.written


def test_a_broadcast_goes_out_in_steps_and_answers_go_between() -> None:
    where = site()
    peers = [peer(where) for _ in range(BROADCAST_STEP + 10)]
    for one, _ in peers:
        one.write_later(b"news")
    where.flush()
    assert not any(written for _, written in peers)
    assert where.flush_some()
    assert [written for _, written in peers] == [[b"news"]] * BROADCAST_STEP + [[]] * 10
    last, written = peers[-1]
    last.write(b" answer")
    where.flush()
    assert written == [b"news answer"], "in the order in which it was given, in one go"
    assert not where.flush_some()
    assert all(written in ([b"news"], [b"news answer"]) for _, written in peers)


def test_messages_that_come_before_a_peers_turn_are_joined_and_bounded() -> None:
    where = site()
    one, written = peer(where)
    for _ in range(LATER_MAX - 1):
        one.write_later(b"x")
    assert written == []
    one.write_later(b"y")
    assert written == [b"x" * (LATER_MAX - 1) + b"y"]
    one.write_later(b"z")
    assert not where.flush_some()
    assert written[1:] == [b"z"]


class Timed:
    def __init__(self) -> None:
        self.deadline, self.looked_at, self.called = 0.0, 0, 0

    def on_deadline(self) -> None:
        self.called += 1


def test_an_heir_is_looked_at_in_anothers_place_and_nothing_holds_that_one() -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        deadlines = Deadlines(loop, step_seconds=0.01)
        first, second, heir = Timed(), Timed(), Timed()
        for one in (first, second):
            deadlines.set(one, loop.time() + 0.02)
        gone = weakref.ref(second)
        deadlines.hand_over(second, heir)
        del second, one
        gc.collect()
        assert gone() is None
        deadlines.set(heir, loop.time() + 0.05)
        while not heir.called:
            await asyncio.sleep(0.01)
        assert (first.called, heir.called) == (1, 1)
        deadlines.stop()

    asyncio.run(asyncio.wait_for(run(), 30))
