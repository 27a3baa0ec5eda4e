"""Reading ahead gives what its iterator gives, and ends with it."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from ringex.ahead import ahead


def counted(end: int, made: list[int], fails_at: int = -1) -> Iterator[int]:
    for number in range(end):
        if number == fails_at:
            raise OSError(f"no item {number}")
        made.append(number)
        yield number


@pytest.mark.parametrize("end", [0, 1, 2, 50])
def test_the_items_come_in_order_and_the_thread_ends(end: int) -> None:
    made: list[int] = []
    assert list(ahead(counted(end, made))) == list(range(end)) == made
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ahead")]


def test_an_item_that_cannot_be_made_raises_in_its_place() -> None:
    items = ahead(counted(5, [], fails_at=3))
    assert [next(items) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(OSError, match="no item 3"):
        next(items)


def test_no_more_than_one_item_is_made_ahead() -> None:
    made: list[int] = []
    items = ahead(counted(10, made))
    assert next(items) == 0
    items.close()  # type: ignore[attr-defined]
    assert made == [0, 1]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ahead")]
