"""Tokens: what order entry and cancels take of a key in ten seconds, over Pintu Pro's envelope.

They are besides request weight, which counts every request the same whether it moves one order or a hundred. Windows
are those of the clock; like weights, they are counted by all gateways together.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from ringex.gateways.errors import Refusal
from ringex.gateways.tally import Tally, id_of

WINDOW_SECONDS: Final = 10
KEYS_MAX: Final = 1 << 12
"""That one gateway counts for at a time; one more takes the place of what was longest untouched."""


class Tokens:
    """What keys have used of `most` in the present window."""

    def __init__(self, most: int, tally: Tally) -> None:
        self._most, self._tally = most, tally
        self._used: OrderedDict[int, tuple[int, int]] = OrderedDict()  # by the tally's id: window, tokens

    def take(self, key: int, tokens: int, now_ns: int) -> None:
        """Raises Refusal -1003, 429, and then nothing is taken."""
        now_s = now_ns // 1_000_000_000
        window, subject = now_s // WINDOW_SECONDS, id_of(f"tokens {key}")
        before, used = self._used.pop(subject, (window, 0))
        used = used if before == window else 0
        self._tally.look()
        allowed = used + tokens + self._tally.others(subject, window) <= self._most
        self._used[subject] = window, used + tokens if allowed else used
        if len(self._used) > KEYS_MAX:
            self._used.popitem(last=False)
        if not allowed:
            seconds = WINDOW_SECONDS - now_s % WINDOW_SECONDS
            limit = f"a key has {self._most} tokens in {WINDOW_SECONDS} s, and this takes {tokens}"
            text = f"Too many orders and cancels; {limit}."
            now_ms = now_ns // 1_000_000
            retry = {"serverTime": now_ms, "retryAfter": now_ms + seconds * 1000}
            raise Refusal(-1003, f"{text} Wait {seconds} s.", retry)
        self._tally.set(subject, window, used + tokens)
