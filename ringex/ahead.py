"""Reading ahead: the next item of an iterator is made, in a thread, while the present one is used."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_Item = TypeVar("_Item")


def ahead(items: Iterator[_Item]) -> Iterator[_Item]:
    """The same items in the same order. Worth it where making one and using one both release the GIL.

    What making one raises is raised where that item would have come. The thread has ended when the iterator has, or has
    been closed; `items` must not be used by anybody else meanwhile.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as thread:
        waiting = thread.submit(_next, items)
        while (found := waiting.result()) is not None:
            waiting = thread.submit(_next, items)
            yield found[0]


def _next(items: Iterator[_Item]) -> tuple[_Item] | None:
    """The next item; None: there is none."""
    for item in items:
        return (item,)
    return None
