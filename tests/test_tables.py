"""The fixed-size containers against plain Python ones that are obviously right."""

from __future__ import annotations

import random
from bisect import bisect_left, bisect_right, insort

import numpy as np
import pytest

from ringex.memory import address_of
from ringex.messages import words_of
from ringex.tables import (
    Ids,
    Index,
    Pool,
    Prices,
    ids_find,
    ids_guess,
    ids_put,
    ids_remove,
    index_find,
    index_first,
    index_next,
    index_put,
    index_remove,
    index_remove_value,
    index_value,
    pool_give,
    pool_take,
    prices_above,
    prices_below,
    prices_depth,
    prices_find,
    prices_insert,
    prices_remove,
    prices_root,
    words_copy,
    words_empty,
    words_equal,
    words_hash,
)
from ringex.tables.bits import bit_at_or_above, bit_at_or_below, bit_clear, bit_set
from ringex.tables.prices import TICK_BITS_MAX

RECORD = np.dtype([("link", "i8"), ("number", "i8")])


def test_pool_hands_out_each_slot_once_and_the_last_given_first() -> None:
    pool = Pool(np.zeros(5, RECORD))
    assert [pool_take(pool.address) for _ in range(5)] == [1, 2, 3, 4, 0]
    pool_give(pool.address, 2)
    pool_give(pool.address, 4)
    assert pool.used == 2
    assert [pool_take(pool.address) for _ in range(3)] == [4, 2, 0]
    assert pool.used == pool.capacity == 4


def test_pool_needs_room_for_a_link() -> None:
    with pytest.raises(ValueError, match="at least 2 records of at least 8 bytes"):
        Pool(np.zeros(4, "i4"))


@pytest.mark.parametrize("seed", range(4))
def test_index_agrees_with_a_dictionary(seed: int) -> None:
    rng = random.Random(seed)
    index = Index(200)
    expected: dict[int, int] = {}
    key_of = [lambda n: n, lambda n: n << 32, lambda n: n * 1000 - 70_000, lambda n: (n % 7) << 40 | n][seed]
    for step in range(6000):
        key = key_of(rng.randrange(300))
        if key in expected and rng.random() < 0.6:
            assert index_remove(index.address, key) == expected.pop(key)
        elif key not in expected and len(expected) < 200:
            index_put(index.address, key, step + 1)
            expected[key] = step + 1
        assert index_find(index.address, key) == expected.get(key, 0)
        assert index.used == len(expected)
    for number in range(300):
        assert index_find(index.address, key_of(number)) == expected.get(key_of(number), 0)


def test_index_holds_one_key_several_times() -> None:
    index = Index(50)
    for value in (3, 1, 2):
        index_put(index.address, 77, value)
        index_put(index.address, 78, value + 10)
    assert index_remove_value(index.address, 77, 1)
    assert not index_remove_value(index.address, 77, 1)
    values = set()
    at = index_first(index.address, 77)
    while at >= 0:
        values.add(index_value(index.address, at))
        at = index_next(index.address, 77, at)
    assert values == {2, 3}
    assert index_remove(index.address, 99) == 0


def test_index_asserts_that_there_is_room() -> None:
    index = Index(1)
    index_put(index.address, 1, 1)
    with pytest.raises(AssertionError):
        index_put(index.address, 2, 1)


@pytest.mark.parametrize("seed", range(5))
def test_ids_agree_with_a_dictionary(seed: int) -> None:
    rng = random.Random(seed)
    records = np.zeros(201, RECORD)
    ids = Ids(records, 200)
    expected: dict[int, int] = {}
    free = list(range(1, 201))
    id_of = [
        lambda n: n + 1,
        lambda n: n * 16 + 1,
        lambda n: (n << 32) + 5,  # the low halves are all the same: the records tell
        lambda n: (1 << 32) - 150 + n,
        lambda n: (n % 3 << 40) + n * 3,
    ][seed]
    for _ in range(6000):
        key = id_of(rng.randrange(300))
        if key in expected and rng.random() < 0.6:
            slot = expected.pop(key)
            ids_remove(ids.address, key, slot)
            free.append(slot)
        elif key not in expected and free:
            slot = free.pop()
            records["link"][slot] = key
            ids_put(ids.address, key, slot)
            expected[key] = slot
        assert ids_find(ids.address, key) == expected.get(key, 0)
        assert ids.used == len(expected)
    for number in range(300):
        key = id_of(number)
        assert ids_find(ids.address, key) == expected.get(key, 0)
        if seed < 2:
            assert ids_guess(ids.address, key) in (0, expected.get(key, 0))


def test_ids_assert_that_there_is_room_and_that_what_is_removed_is_there() -> None:
    ids = Ids(np.zeros(3, RECORD), 1)
    ids_put(ids.address, 1, 1)
    with pytest.raises(AssertionError):
        ids_put(ids.address, 2, 2)
    with pytest.raises(AssertionError):
        ids_remove(ids.address, 1, 2)


@pytest.mark.parametrize("entries_max", [0, (1 << 28) + 1])
def test_ids_refuse_impossible_sizes(entries_max: int) -> None:
    with pytest.raises(ValueError, match="ids can be held"):
        Ids(np.zeros(3, RECORD), entries_max)


def test_words_compare_and_hash_by_every_word() -> None:
    texts = ["", "a", "b", "x" * 36, "x" * 35 + "y", "12345678a", "12345678b", "a" * 17, "a" * 25, "a" * 33]
    arrays = [np.ascontiguousarray(words_of(text)) for text in texts]
    addresses = [address_of(array) for array in arrays]
    for i, left in enumerate(addresses):
        assert words_empty(left) == (texts[i] == "")
        for j, right in enumerate(addresses):
            assert words_equal(left, right) == (i == j)
    hashes = {words_hash(salt, address) for salt in range(3) for address in addresses}
    assert len(hashes) == 3 * len(texts)
    copy = np.zeros(5, "u8")
    words_copy(address_of(copy), addresses[3])
    assert copy.tolist() == arrays[3].tolist()


def test_bits_find_the_nearest() -> None:
    for chosen in ({0, 63}, {5}, set(), set(range(64)), {62, 63}, {31, 32}):
        word = 0
        for bit in range(64):
            word = bit_set(word, bit)
        for bit in set(range(64)) - chosen:
            word = bit_clear(word, bit)
        for bit in range(64):
            assert bit_at_or_above(word, bit) == min((b for b in chosen if b >= bit), default=-1)
            assert bit_at_or_below(word, bit) == max((b for b in chosen if b <= bit), default=-1)


class SortedPrices:
    """The same set of prices as a sorted list."""

    def __init__(self) -> None:
        self.ticks: list[int] = []
        self.levels: dict[int, int] = {}

    def insert(self, tick: int, level: int) -> None:
        insort(self.ticks, tick)
        self.levels[tick] = level

    def remove(self, tick: int) -> int:
        if tick not in self.levels:
            return 0
        self.ticks.remove(tick)
        return self.levels.pop(tick)

    def above(self, tick: int) -> int:
        at = bisect_left(self.ticks, tick)
        return self.levels[self.ticks[at]] if at < len(self.ticks) else 0

    def below(self, tick: int) -> int:
        at = bisect_right(self.ticks, tick)
        return self.levels[self.ticks[at - 1]] if at else 0


@pytest.mark.parametrize("tick_max", [1, 63, 64, 5000, 262_143, 10**9, (1 << TICK_BITS_MAX) - 1])
def test_prices_agree_with_a_sorted_list(tick_max: int) -> None:
    rng = random.Random(tick_max)
    prices = Prices(levels_max=120, sets_max=2)
    depth = prices_depth(tick_max)
    sets = [(prices_root(prices.address), SortedPrices()) for _ in range(2)]
    near = [min(tick_max, rng.randrange(tick_max + 1) + d) for d in range(40)] + [0, tick_max]
    for step in range(3000):
        root, expected = rng.choice(sets)
        tick = rng.choice(near) if rng.random() < 0.7 else rng.randrange(tick_max + 1)
        if tick not in expected.levels and len(expected.ticks) < 60:
            prices_insert(prices.address, root, depth, tick, step + 1)
            expected.insert(tick, step + 1)
        else:
            assert prices_remove(prices.address, root, depth, tick) == expected.remove(tick)
        probe = rng.choice([tick, tick - 1, tick + 1, rng.randrange(tick_max + 1)])
        assert prices_below(prices.address, root, depth, probe) == expected.below(probe)
        probe = max(probe, 0)
        assert prices_above(prices.address, root, depth, probe) == expected.above(probe)
        assert prices_find(prices.address, root, depth, tick) == expected.levels.get(tick, 0)
    for root, expected in sets:
        for tick in list(expected.ticks):
            prices_remove(prices.address, root, depth, tick)
    assert prices.pool.used == 2, "only the roots are left"


def test_prices_use_no_more_nodes_than_reserved() -> None:
    levels_max = 64
    prices = Prices(levels_max, sets_max=1)
    depth = prices_depth((1 << TICK_BITS_MAX) - 1)
    root = prices_root(prices.address)
    for number in range(levels_max):  # as far apart as can be: no two share a node below the root
        prices_insert(prices.address, root, depth, number << (TICK_BITS_MAX - 6), number + 1)
    assert prices.pool.used == prices.pool.capacity
