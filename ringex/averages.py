"""Average prices: what has traded in the last minutes, minute by minute, so that a market knows its usual price.

Whole minutes of journaled time are counted: the current one and those before it, `minutes` in all. A minute keeps the
quantity that traded in it and the sum of price x quantity; the average is the one by the other, rounded down. All
numbers are int64: where the sums would pass AMOUNT_MAX all minutes' are halved first, which weighs later trades more.
Engine and read model keep averages by these functions, each in AVERAGE records of its own.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from ringex.jit import compiled, entry, inlined, int64
from ringex.memory import record_at, zero_bytes
from ringex.messages import AMOUNT_MAX, AVERAGE_MINUTES_MAX

MINUTE_NS: Final = 60_000_000_000
MINUTE: Final = np.dtype([("number", "i8"), ("quantity", "i8"), ("value", "i8")])
"""A minute since the epoch, what traded in it, and the sum of price x quantity."""
AVERAGE: Final = np.dtype(
    [
        ("minutes", "i8"),  # how many count; 0: none is kept
        ("newest", "i8"),  # the minute up to which older ones have been dropped
        ("quantity", "i8"),  # sums over the minutes that count
        ("value", "i8"),
        ("by_minute", MINUTE, (AVERAGE_MINUTES_MAX,)),  # at the minute's number % AVERAGE_MINUTES_MAX
    ],
    align=True,
)
AVERAGE_BYTES: Final = AVERAGE.itemsize
_MINUTE_BYTES: Final = MINUTE.itemsize
_MINUTES_OFFSET: Final[int] = AVERAGE.fields["by_minute"][1]  # type: ignore[index]


@compiled
def average_reset(average: int, minutes: int) -> None:
    """Begin anew with nothing traded; `minutes` count."""
    zero_bytes(average, int64(AVERAGE_BYTES))
    record_at(average, 0, AVERAGE).minutes = minutes


@inlined
def _minute(average: int, number: int) -> int:
    """The address of the place of a minute."""
    return average + _MINUTES_OFFSET + (number % AVERAGE_MINUTES_MAX) * _MINUTE_BYTES


@compiled
def average_roll(average: int, time_ns: int) -> None:
    """Drop the minutes that no longer count at `time_ns`."""
    a = record_at(average, 0, AVERAGE)
    now = time_ns // MINUTE_NS
    if now == a.newest:
        return
    for number in range(max(a.newest - a.minutes + 1, int64(0)), min(now - a.minutes, a.newest) + 1):
        m = record_at(_minute(average, number), 0, MINUTE)
        if m.number == number:
            a.quantity -= m.quantity
            a.value -= m.value
            m.quantity = 0
            m.value = 0
    a.newest = now


@compiled
def average_add(average: int, time_ns: int, price: int, quantity: int) -> None:
    """Count a trade; price x quantity is at most AMOUNT_MAX."""
    average_roll(average, time_ns)
    a = record_at(average, 0, AVERAGE)
    value = price * quantity
    while a.value > AMOUNT_MAX - value or a.quantity > AMOUNT_MAX - quantity:
        _halve(average)
    minute_add(average, a.newest, quantity, value)


@compiled
def minute_add(average: int, number: int, quantity: int, value: int) -> None:
    """Count what traded in one of the minutes that count; the sums have room."""
    a = record_at(average, 0, AVERAGE)
    m = record_at(_minute(average, number), 0, MINUTE)
    m.number = number
    m.quantity += quantity
    m.value += value
    a.quantity += quantity
    a.value += value


@compiled
def _halve(average: int) -> None:
    a = record_at(average, 0, AVERAGE)
    a.quantity = 0
    a.value = 0
    for place in range(AVERAGE_MINUTES_MAX):
        m = record_at(_minute(average, place), 0, MINUTE)
        m.quantity = m.quantity // 2
        m.value = m.value // 2 if m.quantity != 0 else 0
        a.quantity += m.quantity
        a.value += m.value


@compiled
def average_price(average: int, time_ns: int) -> int:
    """The average over the minutes that count at `time_ns`, rounded down; 0 where nothing traded in them."""
    average_roll(average, time_ns)
    a = record_at(average, 0, AVERAGE)
    return a.value // a.quantity if a.quantity != 0 else 0


@entry
@compiled
def write_minutes(average: int, time_ns: int, out: int) -> int:
    """Write the minutes with trades that count at `time_ns` as MINUTE records at `out`, oldest first. How many."""
    average_roll(average, time_ns)
    a = record_at(average, 0, AVERAGE)
    count = 0
    for number in range(a.newest - a.minutes + 1, a.newest + 1):
        if number < 0:
            continue
        m = record_at(_minute(average, number), 0, MINUTE)
        if m.number == number and m.quantity != 0:
            copy = record_at(out, count, MINUTE)
            copy.number = number
            copy.quantity = m.quantity
            copy.value = m.value
            count += 1
    return count
