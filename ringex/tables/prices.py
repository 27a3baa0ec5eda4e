"""Ordered prices: sets of ticks, each with a level number, in memory that all books share.

One set per book side: a 64-ary trie whose nodes hold a bitmap and 64 children; a leaf's children are level numbers.
Its depth is chosen per market from the highest tick (`prices_depth`), so a step costs one node, never a search, and
the cost does not grow with the number of levels. Every node but a root has a level below it: `levels_max` levels
need at most `levels_max * (DEPTH_MAX - 1)` nodes besides the roots, and that is what is reserved (untouched nodes cost
nothing).

Level numbers are > 0; 0 means "no such price".
"""

from __future__ import annotations

from typing import Final

import numpy as np

from ringex.jit import compiled, inlined, int64
from ringex.memory import address_of, prefetch, record_at, zero_bytes
from ringex.tables.bits import bit_at_or_above, bit_at_or_below, bit_clear, bit_set
from ringex.tables.pool import Pool, pool_give, pool_take

TICK_BITS_MAX: Final = 42
DIGIT_BITS: Final = 6
DEPTH_MAX: Final = TICK_BITS_MAX // DIGIT_BITS
_DIGIT_MASK: Final = (1 << DIGIT_BITS) - 1

PRICES: Final = np.dtype([("nodes", "i8"), ("pool", "i8")])
NODE: Final = np.dtype([("bitmap", "i8"), ("children", "i4", (1 << DIGIT_BITS,))])
NODE_BYTES: Final = NODE.itemsize
_CHILD: Final = np.dtype([("number", "i4")])
_CHILD_BYTES: Final = _CHILD.itemsize
_CHILDREN_OFFSET: Final = NODE.fields["children"][1]  # type: ignore[index]


class Prices:
    """Nodes for `sets_max` sets that hold at most `levels_max` prices together."""

    def __init__(self, levels_max: int, sets_max: int) -> None:
        if levels_max < 1 or sets_max < 1:
            raise ValueError(f"prices need room for a level and a set, not {levels_max} and {sets_max}")
        self.nodes = np.zeros(levels_max * (DEPTH_MAX - 1) + sets_max + 1, NODE)
        self.pool = Pool(self.nodes)
        self.header = np.zeros(1, PRICES)
        self.header["nodes"] = address_of(self.nodes)
        self.header["pool"] = self.pool.address
        self.address = address_of(self.header)


@compiled
def prices_depth(tick_max: int) -> int:
    """How deep a set must be for ticks 0 .. tick_max (< 2^42): 1 .. 7."""
    depth = 1
    while tick_max >> (DIGIT_BITS * depth) != 0:
        depth += 1
    assert depth <= DEPTH_MAX
    return depth


@compiled
def prices_root(prices: int) -> int:
    """A new empty set: the number of its root node, which stays until the end."""
    return _node_take(prices)


@compiled
def prices_drop(prices: int, root: int) -> None:
    """Give back an empty set."""
    assert _bitmap(prices, root) == 0
    pool_give(record_at(prices, 0, PRICES).pool, root)


@inlined
def _node(prices: int, node: int) -> int:
    """The address of a node."""
    return record_at(prices, 0, PRICES).nodes + node * NODE_BYTES


@inlined
def _digit(tick: int, height: int) -> int:
    """Which child of a node at `height` (leaf: 0) leads to `tick`."""
    return (tick >> (DIGIT_BITS * height)) & _DIGIT_MASK


@inlined
def _child(prices: int, node: int, digit: int) -> int:
    return int64(record_at(_node(prices, node) + _CHILDREN_OFFSET, digit, _CHILD).number)


@inlined
def _bitmap(prices: int, node: int) -> int:
    return record_at(_node(prices, node), 0, NODE).bitmap


@compiled
def _node_take(prices: int) -> int:
    node = pool_take(record_at(prices, 0, PRICES).pool)
    assert node != 0
    zero_bytes(_node(prices, node), NODE_BYTES)
    return node


@compiled
def _link(prices: int, node: int, digit: int, number: int) -> None:
    n = record_at(_node(prices, node), 0, NODE)
    n.bitmap = bit_set(n.bitmap, digit)
    record_at(_node(prices, node) + _CHILDREN_OFFSET, digit, _CHILD).number = np.int32(number)


@inlined
def prices_find(prices: int, root: int, depth: int, tick: int) -> int:
    """The level at `tick`, or 0."""
    node = root
    height = depth - 1
    while height >= 0 and node != 0:
        node = _child(prices, node, _digit(tick, height))
        height -= 1
    return node


@compiled
def prices_prefetch(prices: int, root: int, depth: int, tick: int) -> None:
    """Begin to fetch the leaf in which `tick` is, or would be."""
    node = root
    for height in range(depth - 1, 0, -1):
        node = _child(prices, node, _digit(tick, height))
    leaf = _node(prices, node)
    prefetch(leaf)
    prefetch(leaf + _CHILDREN_OFFSET + _digit(tick, 0) * _CHILD_BYTES)


@compiled
def prices_insert(prices: int, root: int, depth: int, tick: int, level: int) -> None:
    """Add a tick that is not in the set. The caller has made sure that at most `levels_max` levels exist in all."""
    assert level > 0 and tick >= 0 and tick >> (DIGIT_BITS * depth) == 0
    node = root
    for height in range(depth - 1, 0, -1):
        digit = _digit(tick, height)
        below = _child(prices, node, digit)
        if below == 0:
            below = _node_take(prices)
            _link(prices, node, digit, below)
        node = below
    digit = _digit(tick, 0)
    assert _child(prices, node, digit) == 0
    _link(prices, node, digit, level)


@compiled
def prices_remove(prices: int, root: int, depth: int, tick: int) -> int:
    """Remove `tick`; nodes left empty go back to the pool. Returns the level that was there, or 0."""
    level = prices_find(prices, root, depth, tick)
    if level == 0:
        return 0
    for height in range(depth):  # from the leaf upwards, while what was removed left its node empty
        node = root
        for above in range(depth - 1, height, -1):
            node = _child(prices, node, _digit(tick, above))
        digit = _digit(tick, height)
        n = record_at(_node(prices, node), 0, NODE)
        n.bitmap = bit_clear(n.bitmap, digit)
        record_at(_node(prices, node) + _CHILDREN_OFFSET, digit, _CHILD).number = np.int32(0)
        if n.bitmap != 0 or height == depth - 1:
            break
        pool_give(record_at(prices, 0, PRICES).pool, node)
    return level


@compiled
def prices_above(prices: int, root: int, depth: int, tick: int) -> int:
    """The level of the lowest tick >= `tick`, or 0. `tick` may be any number >= 0."""
    if tick >> (DIGIT_BITS * depth) != 0:
        return 0
    return _nearest(prices, root, depth, tick, True)


@compiled
def prices_below(prices: int, root: int, depth: int, tick: int) -> int:
    """The level of the highest tick <= `tick`, or 0. `tick` may be any number; below 0 there is none."""
    if tick < 0:
        return 0
    highest = (1 << (DIGIT_BITS * depth)) - 1
    return _nearest(prices, root, depth, min(tick, highest), False)


@inlined
def _step(prices: int, node: int, digit: int, upwards: bool) -> int:
    """The nearest used digit of `node` from `digit` on, or -1."""
    if upwards:
        return bit_at_or_above(_bitmap(prices, node), digit) if digit <= _DIGIT_MASK else -1
    return bit_at_or_below(_bitmap(prices, node), digit) if digit >= 0 else -1


@compiled
def _nearest(prices: int, root: int, depth: int, tick: int, upwards: bool) -> int:
    """Follow `tick` down as far as it is there, remembering the last turn where a neighbour lay on the wanted side."""
    turn_node = 0
    turn_digit = 0
    turn_height = 0
    node = root
    height = depth - 1
    while True:
        digit = _digit(tick, height)
        found = _step(prices, node, digit, upwards)
        if found == digit and height == 0:
            return _child(prices, node, digit)
        if found == digit:
            beside = _step(prices, node, digit + 1 if upwards else digit - 1, upwards)
            if beside >= 0:
                turn_node = node
                turn_digit = beside
                turn_height = height
            node = _child(prices, node, digit)
            height -= 1
            continue
        if found >= 0:
            turn_node = node
            turn_digit = found
            turn_height = height
        break
    if turn_node == 0:
        return 0
    node = _child(prices, turn_node, turn_digit)
    for _ in range(turn_height):
        outermost = 0 if upwards else _DIGIT_MASK
        node = _child(prices, node, _step(prices, node, outermost, upwards))
    return node
