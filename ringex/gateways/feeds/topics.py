"""Stream names of the dialect, and what they mean.

A name is `<symbol>@<what>`, the symbol in small letters, or `!<what>` for all markets. A name that is well formed and
means nothing (a symbol or a stream that does not exist) can be subscribed to, as everywhere in this dialect: nothing
comes, until such a market is added. A name without `@` and `!` is a listen key.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from ringex.history.intervals import INTERVALS, Interval

FAST_MS: Final = 100
SLOW_MS: Final = 1000
CANDLE_MS: Final = 2000
"""Of candles longer than a second."""
LEVELS: Final = (5, 10, 20)
WINDOWS: Final = ("1h", "4h", "1d")
NAME_CHARACTERS_MAX: Final = 128

_NAME: Final = re.compile(r"!?[\w.+:-]+(?:@[\w.+:-]+){0,3}\Z")
_SPEEDS: Final = {"": SLOW_MS, "@100ms": FAST_MS, "@1000ms": SLOW_MS}


class Kind(Enum):
    NOTHING = auto()
    """A name that means nothing, or nothing yet."""
    TRADE = auto()
    AGGREGATE = auto()
    DEPTH = auto()
    LEVELS = auto()
    BOOK_TICKER = auto()
    TICKER = auto()
    MINI_TICKER = auto()
    WINDOW = auto()
    CANDLE = auto()
    AVERAGE = auto()
    AUCTION = auto()
    LISTEN_KEY = auto()


class BadName(ValueError):
    """Not the form of a stream's name."""


@dataclass(frozen=True, slots=True)
class Stream:
    """What a name means. `symbol` is in capitals; empty: all markets. `speed_ms` 0: as things happen."""

    name: str
    kind: Kind
    symbol: str = ""
    speed_ms: int = 0
    levels: int = 0
    window: str = ""
    interval: Interval = Interval.SECOND_1


def parse(name: str) -> Stream:
    """Raises BadName."""
    if len(name) > NAME_CHARACTERS_MAX or _NAME.match(name) is None:
        raise BadName(name)
    if name.startswith("!"):
        return _of_all(name)
    symbol, separator, what = name.partition("@")
    if not separator:
        return Stream(name, Kind.LISTEN_KEY)
    if symbol != symbol.lower():
        return Stream(name, Kind.NOTHING)
    return _of_market(name, symbol.upper(), what)


def _of_market(name: str, symbol: str, what: str) -> Stream:
    simple = _SIMPLE.get(what)
    if simple is not None:
        kind, speed_ms = simple
        return Stream(name, kind, symbol, speed_ms)
    head, underscore, tail = what.partition("_")
    if underscore and head == "kline" and tail in INTERVALS:
        interval = INTERVALS[tail]
        return Stream(
            name, Kind.CANDLE, symbol, SLOW_MS if interval == Interval.SECOND_1 else CANDLE_MS, interval=interval
        )
    if underscore and head == "ticker" and tail in WINDOWS:
        return Stream(name, Kind.WINDOW, symbol, SLOW_MS, window=tail)
    head, at, tail = what.partition("@")
    speed_ms = _SPEEDS.get(at + tail, 0)
    if speed_ms and head == "depth":
        return Stream(name, Kind.DEPTH, symbol, speed_ms)
    if speed_ms and head.removeprefix("depth") in map(str, LEVELS):
        return Stream(name, Kind.LEVELS, symbol, speed_ms, levels=int(head.removeprefix("depth")))
    return Stream(name, Kind.NOTHING, symbol)


def _of_all(name: str) -> Stream:
    if name == "!bookTicker":  # the dialect no longer has it; older clients do
        return Stream(name, Kind.BOOK_TICKER)
    what = name[1:].removesuffix("@1000ms")
    if what == "ticker@arr":
        return Stream(name, Kind.TICKER, "", SLOW_MS)
    if what == "miniTicker@arr":
        return Stream(name, Kind.MINI_TICKER, "", SLOW_MS)
    head, _, tail = what.removesuffix("@arr").partition("_")
    if head == "ticker" and tail in WINDOWS and what.endswith("@arr"):
        return Stream(name, Kind.WINDOW, "", SLOW_MS, window=tail)
    return Stream(name, Kind.NOTHING)


_SIMPLE: Final = {
    "trade": (Kind.TRADE, 0),
    "aggTrade": (Kind.AGGREGATE, 0),
    "bookTicker": (Kind.BOOK_TICKER, 0),
    "ticker": (Kind.TICKER, SLOW_MS),
    "miniTicker": (Kind.MINI_TICKER, SLOW_MS),
    "avgPrice": (Kind.AVERAGE, SLOW_MS),
    "auction": (Kind.AUCTION, 0),
}
