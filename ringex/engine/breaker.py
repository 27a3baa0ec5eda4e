"""The circuit breaker: a trade too far from its reference price does not happen; the market stands still instead.

The reference is the last price at the start of a window of journaled time, or the last uncross's. When the pause is
over a timer lets the market trade again; whatever crosses by then is uncrossed.
"""

from __future__ import annotations

from typing import Final

from ringex.engine.admin import emit_market
from ringex.engine.filters import last_or_reference
from ringex.engine.records import MARKET, ROOT
from ringex.engine.timers import timer_set
from ringex.jit import compiled, inlined, int64
from ringex.memory import record_at
from ringex.messages import AMOUNT_MAX, MULTIPLIER_ONE
from ringex.rules import price_share
from ringex.terms import FilterFlag, MarketStatus, TimerKind

SECOND_NS: Final = 1_000_000_000


@compiled
def _reference(root: int, market: int) -> int:
    """What trades are compared with now; a new window begins where the last one is over. 0: nothing."""
    s = record_at(root, 0, ROOT)
    m = record_at(s.markets, market, MARKET)
    if m.breaker_price == 0 or s.time_ns - m.breaker_since_ns >= int64(m.breaker_window_seconds) * SECOND_NS:
        set_reference(root, market, last_or_reference(root, market))
    return m.breaker_price


@compiled
def set_reference(root: int, market: int, price: int) -> None:
    """A window begins, with this price; 0: it will with the next trade."""
    s = record_at(root, 0, ROOT)
    m = record_at(s.markets, market, MARKET)
    m.breaker_price = price
    m.breaker_since_ns = s.time_ns if price != 0 else 0


@compiled
def _highest(root: int, market: int) -> int:
    """The highest price at which the market may trade now."""
    band = int64(record_at(record_at(root, 0, ROOT).markets, market, MARKET).breaker_band)
    reference = _reference(root, market)
    return price_share(reference, MULTIPLIER_ONE + band, False) if reference != 0 else int64(AMOUNT_MAX)


@compiled
def _lowest(root: int, market: int) -> int:
    """The lowest such price."""
    band = int64(record_at(record_at(root, 0, ROOT).markets, market, MARKET).breaker_band)
    return price_share(_reference(root, market), max(MULTIPLIER_ONE - band, int64(0)), True)


@inlined
def trips(root: int, market: int, price: int) -> bool:
    """Whether a trade at `price` must not happen."""
    if record_at(record_at(root, 0, ROOT).markets, market, MARKET).breaker_band == 0:
        return False
    return price > _highest(root, market) or price < _lowest(root, market)


@compiled
def pause(root: int, market: int) -> None:
    """The breaker has tripped: MARKET with its status until the timer is due."""
    s = record_at(root, 0, ROOT)
    m = record_at(s.markets, market, MARKET)
    to_auction = int64(m.filter_bits) & FilterFlag.BREAK_TO_AUCTION
    m.status = MarketStatus.AUCTION if to_auction != 0 else MarketStatus.HALT
    emit_market(root, market)
    due_ns = s.time_ns + int64(m.breaker_pause_seconds) * SECOND_NS
    timer_set(root, int64(TimerKind.MARKET_RESUME), market, due_ns)
