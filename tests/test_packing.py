"""Compiled msgpack against msgspec and the plain formatting of decimals."""

from __future__ import annotations

import random
from collections.abc import Callable

import msgspec
import numpy as np
import pytest

from ringex.decimals import SCALE_MAX, VALUE_MAX, format_scaled
from ringex.jit import compiled
from ringex.memory import address_of
from ringex.packing import (
    DECIMAL_BYTES_MAX,
    INTEGER_BYTES_MAX,
    SLACK_BYTES,
    put_array,
    put_bool,
    put_decimal,
    put_integer,
    put_text,
    put_word,
    word_of,
)

ROOM = np.zeros(64, "u1")


def written(put: Callable[..., int], *values: int) -> bytes:
    ROOM[:] = 0xFF
    size = put(address_of(ROOM), *values) - address_of(ROOM)
    assert (ROOM[size + SLACK_BYTES :] == 0xFF).all()
    return ROOM[:size].tobytes()


@compiled
def a_text(at: int, address: int, size: int) -> int:
    return put_text(at, address, size)


@compiled
def a_bool(at: int, value: int) -> int:
    return put_bool(at, value)


@compiled
def a_word(at: int, word: int, size: int) -> int:
    return put_word(at, word, size)


EDGES = sorted({max(0, (1 << bits) + by) for bits in range(63) for by in (-1, 0, 1)} | {VALUE_MAX, VALUE_MAX - 1})


def test_integers() -> None:
    for value in EDGES:
        found = written(put_integer, value)
        assert found == msgspec.msgpack.encode(value)
        assert len(found) <= INTEGER_BYTES_MAX


@pytest.mark.parametrize("scale", range(SCALE_MAX + 1))
def test_decimals(scale: int) -> None:
    dice = random.Random(scale)
    powers = [10**n + by for n in range(19) for by in (-1, 0, 1)]
    drawn = [dice.randrange(10 ** dice.randint(1, 18)) for _ in range(200)]
    for value in [*EDGES, *powers, *drawn, *(v // 1000 * 1000 for v in drawn)]:
        found = written(put_decimal, value, scale, 10**scale)
        assert found == msgspec.msgpack.encode(format_scaled(value, scale)), value
        assert len(found) <= DECIMAL_BYTES_MAX


@pytest.mark.parametrize("count", [0, 1, 15, 16, 255, 65535, 65536, 100_000])
def test_arrays(count: int) -> None:
    header = written(put_array, count)
    assert msgspec.msgpack.encode([0] * count) == header + bytes(count)


def test_texts_bools_and_words() -> None:
    text = np.frombuffer(b"BTCUSDT" * 5, "u1")
    for size in range(32):
        assert written(a_text, address_of(text), size) == msgspec.msgpack.encode(text[:size].tobytes().decode())
    assert written(a_bool, 0) + written(a_bool, 1) == msgspec.msgpack.encode(False) + msgspec.msgpack.encode(True)
    assert written(a_word, word_of(b"\xa5trade"), 6) == b"\xa5trade"


@pytest.mark.parametrize("put", [put_integer, lambda at, value: put_decimal(at, value, 2, 100)])
def test_negative_numbers_are_refused(put: Callable[..., int]) -> None:
    with pytest.raises(AssertionError):
        written(put, -1)
