"""A market's life: MARKET_SET, which changes its status as `ringex.rules.may_follow` allows, and the end of a pause."""

from __future__ import annotations

from ringex.engine.admin import emit_market
from ringex.engine.auctions import indicate, open_trading
from ringex.engine.breaker import set_reference
from ringex.engine.events import answer_plainly
from ringex.engine.records import MARKET, ROOT
from ringex.engine.timers import timer_remove
from ringex.jit import compiled, int64
from ringex.memory import record_at
from ringex.messages import MARKET_COMMAND, EventKind, MarketStatus, Reason, TimerKind
from ringex.rules import may_follow


@compiled
def set_market(root: int, command: int) -> None:
    """MARKET_SET."""
    s = record_at(root, 0, ROOT)
    c = record_at(command, 0, MARKET_COMMAND)
    reason = int64(Reason.NONE)
    if c.market < 0 or c.market >= s.markets_count:
        reason = int64(Reason.INVALID_SYMBOL)
    elif c.status < MarketStatus.TRADING or c.status > MarketStatus.CLOSED:
        reason = int64(Reason.INVALID_COMMAND)
    elif not may_follow(int64(record_at(s.markets, int64(c.market), MARKET).status), int64(c.status)):
        reason = int64(Reason.ILLEGAL_TRANSITION)
    if reason != Reason.NONE:
        answer_plainly(root, command, int64(EventKind.REJECTED), reason)
        return
    timer_remove(root, int64(TimerKind.MARKET_RESUME), int64(c.market))  # from now on it is the operator's affair
    change_status(root, int64(c.market), int64(c.status))


@compiled
def change_status(root: int, market: int, status: int) -> None:
    """Give a market a status that may follow on the one it has: MARKET, and what comes of it."""
    m = record_at(record_at(root, 0, ROOT).markets, market, MARKET)
    was = int64(m.status)
    m.status = status
    emit_market(root, market)
    if status != MarketStatus.AUCTION:
        m.indicative_price = 0
        m.indicative_quantity = 0
        m.indicative_imbalance = 0
    indicate(root, market)
    if status == MarketStatus.TRADING and was != MarketStatus.TRADING:
        set_reference(root, market, int64(0))
        open_trading(root, market)
