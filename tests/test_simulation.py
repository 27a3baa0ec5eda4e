"""The simulation: a short run of it holds, and each fault that it is there to find is found.

The long run is `tools/simulate.py --minutes 30`.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from event_records import RandomRun
from reference.desk import ALICE, BTC, BUY, SELL, USDT, Desk
from reference.records import records_of

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))

from simulation.episode import LARGE, Episode
from simulation.shrinking import shrink
from simulation.world import BrokenError, World

from ringex.engine.export import state_hash
from ringex.messages import EVENT
from ringex.tables import ids_find
from ringex.terms import CommandKind, EventKind

SEED = 20_261_125


@pytest.mark.parametrize(("beside", "commands"), [(True, 2_000), (False, 25_000)])
def test_a_random_exchange_holds_and_comes_back(beside: bool, commands: int) -> None:
    episode = Episode(SEED, commands, beside)
    episode.run()
    assert episode.tally.records > commands and episode.tally.crashes > 0
    assert beside or episode.tally.within_chains > 0


def test_an_episode_follows_from_its_seed() -> None:
    tallies = []
    for _ in range(2):
        episode = Episode(SEED + 1, 2_000, False)
        episode.run()
        tallies.append((episode.tally, episode.last_commands))
    assert tallies[0] == tallies[1]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """One market; alice bids for 2 and 3 at 50, offers 5 at 60, and has a stop order that waits at 70."""
    world = World(tmp_path, LARGE, random.Random(1))
    desk = Desk()
    commands = [desk.asset("BTC", 8), desk.asset("USDT", 8), desk.market(), desk.account("alice"), desk.account("bob")]
    commands += [desk.deposit(ALICE, BTC, 10**10), desk.deposit(ALICE, USDT, 10**10)]
    commands += [desk.place(ALICE, BUY, 50, 2), desk.place(ALICE, BUY, 50, 3), desk.place(ALICE, SELL, 60, 5)]
    commands += [desk.place(ALICE, BUY, 40, 1), desk.stop(ALICE, BUY, 70, 1), desk.place(ALICE, BUY, 60, 1)]
    world.run(records_of(commands))
    assert not world.check.run()
    yield world
    world.close()


def slot(world: World, order_id: int) -> int:
    return int(ids_find(world.state.indexes["order_index"].address, order_id))


def swap(world: World) -> None:
    """Let the second order at 50 stand before the first, with links as they should be."""
    orders, levels = world.state.orders, world.state.levels
    first, second = slot(world, 1), slot(world, 2)
    orders["prev"][[first, second]], orders["next"][[first, second]] = [second, 0], [0, first]
    level = int(orders["level"][first])
    levels["oldest"][level], levels["youngest"][level] = second, first


def cross(world: World) -> None:
    """Let the offers stand at 45: the price of a level is its order's."""
    world.state.levels["price"][world.state.orders["level"][slot(world, 3)]] = 45


def book(name: str, amount: int) -> Callable[[World], None]:
    def change(world: World) -> None:
        balances = world.state.balances
        balances[name][np.flatnonzero((balances["account"] == ALICE) & (balances["asset"] == USDT))[0]] += amount

    return change


FAULTS: list[tuple[Callable[[World], object], str]] = [
    (swap, "order 2 stands before order 1"),
    (cross, "market 0: the book is crossed, best bid 50"),
    (book("free", 1), "asset 1: the sum over all accounts"),
    (book("locked", 1), "account 1: what is locked of asset 1"),
    (book("free", -(10**11)), "account 1 has a negative"),
    (lambda w: w.state.levels["quantity"].__setitem__(w.state.orders["level"][slot(w, 1)], 4), "market 0, price 50"),
    (lambda w: w.state.levels["price"].__setitem__(w.state.orders["level"][slot(w, 4)], 51), "levels are not in order"),
    (lambda w: w.state.orders["next"].__setitem__(slot(w, 1), 0), "its links do not fit"),
    (lambda w: w.state.orders["executed"].__setitem__(slot(w, 1), 2), "order 1 is open and has 0 left"),
    (lambda w: w.state.markets["last_price"].__setitem__(0, 70), "a stop order at 70 is due"),
]


@pytest.mark.parametrize(("change", "fault"), FAULTS, ids=[fault for _, fault in FAULTS])
def test_a_fault_of_the_state_is_found(world: World, change: Callable[[World], object], fault: str) -> None:
    change(world)
    assert fault in world.check.run()
    with pytest.raises(BrokenError, match=fault):
        world.run(records_of([Desk().account("carol")]))


def test_a_crash_brings_everything_back(world: World) -> None:
    before = state_hash(world.state)
    for _ in range(20):
        world.crash()
        world.snapshot()
        world.run(records_of([Desk().cancel_all(ALICE, 9)]))  # refused
    assert world.tally.lost > 0 and world.tally.torn > 0 and world.tally.bad_snapshots > 0
    world.run(records_of([Desk().cancel_all(ALICE)]))
    assert state_hash(world.state) != before


def test_a_replay_that_gives_other_events_is_found(world: World) -> None:
    world._events.view(EVENT)["quantity"][-1] += 1
    with pytest.raises(BrokenError, match="other events"):
        world.crash()


def test_a_crash_that_loses_a_command_is_found(world: World) -> None:
    world._records = np.delete(world._records, -1)
    world._last_kept = lambda first, last: last - 1
    with pytest.raises(BrokenError, match="other events"):
        world.crash()


def test_shrinking_leaves_what_is_needed() -> None:
    rolls = [(number,) for number in range(100)]
    assert list(shrink(rolls, lambda left: {(17,), (60,)} <= set(left))) == [(17,), (60,)]
    attempts = []
    assert len(shrink(rolls, lambda left: bool(attempts.append(left)), attempts_max=7)) == 100 and len(attempts) == 7


def test_streams_send_every_kind_of_command_and_are_told_of_every_kind_of_event() -> None:
    """Whoever adds a kind teaches the streams to draw it: property tests and simulation live on them."""
    sent, told = {int(CommandKind.TIMER)}, set()  # TIMER is what the matcher puts in by itself
    for seed in range(20):
        run = RandomRun(seed, 400)
        sent |= set(run.commands["kind"].tolist())
        told |= set(run.events["kind"].tolist())
    assert set(CommandKind) <= sent and told == set(EventKind)


def test_events_tell_of_every_kind(tmp_path: Path) -> None:
    """The flow of a long run is rich: what an exchange can tell, it tells."""
    seen: set[int] = set()
    run = World.run

    def watching(world: World, commands: np.ndarray) -> np.ndarray:
        events = run(world, commands)
        seen.update(events["kind"].tolist())
        return events

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(World, "run", watching)
        Episode(SEED + 8, 20_000, False).run()
    assert seen == set(EventKind)
