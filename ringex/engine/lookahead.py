"""Looking ahead: what the next commands will touch is fetched from memory while earlier ones are applied.

A command that names an order touches, one after the other, the place of its id in an index, the order's two lines, its
level and its four neighbours: in a large book each is a cache miss that waits for the one before. So each command is
looked at three times before its turn, and each look begins what the one before made known. Looking changes nothing.
"""

from __future__ import annotations

from typing import Final

from ringex.engine.records import LEVEL, ORDER, ORDER_COLD, ROOT
from ringex.jit import compiled, inlined, int64
from ringex.memory import prefetch, record_at
from ringex.messages import COMMAND
from ringex.tables import index_find, index_prefetch

FAR: Final = 12
MIDDLE: Final = 8
NEAR: Final = 4
"""How many commands before its turn each look at a command is."""
_ORDER_BYTES: Final = ORDER.itemsize
_COLD_BYTES: Final = ORDER_COLD.itemsize
_LEVEL_BYTES: Final = LEVEL.itemsize


@inlined
def look_far(root: int, command: int) -> None:
    """FAR commands before its turn: where its order's id is looked up."""
    s = record_at(root, 0, ROOT)
    c = record_at(command, 0, COMMAND)
    if c.order_id > 0:
        index_prefetch(s.order_index, c.order_id)
    index_prefetch(s.order_index, s.order_id + FAR)  # where the ids of new orders go


@compiled
def look_middle(root: int, command: int) -> None:
    """MIDDLE commands before its turn: its order."""
    s = record_at(root, 0, ROOT)
    c = record_at(command, 0, COMMAND)
    if c.order_id > 0:
        slot = index_find(s.order_index, c.order_id)
        prefetch(s.orders + slot * _ORDER_BYTES)
        prefetch(s.orders_cold + slot * _COLD_BYTES)


@compiled
def look_near(root: int, command: int) -> None:
    """NEAR commands before its turn: what its order is linked with."""
    s = record_at(root, 0, ROOT)
    c = record_at(command, 0, COMMAND)
    if c.order_id > 0:
        slot = index_find(s.order_index, c.order_id)
        order = record_at(s.orders, slot, ORDER)
        cold = record_at(s.orders_cold, slot, ORDER_COLD)
        prefetch(s.levels + int64(order.level) * _LEVEL_BYTES)
        prefetch(s.orders + int64(order.prev) * _ORDER_BYTES)
        prefetch(s.orders + int64(order.next) * _ORDER_BYTES)
        prefetch(s.orders_cold + int64(cold.older) * _COLD_BYTES)
        prefetch(s.orders_cold + int64(cold.younger) * _COLD_BYTES)
