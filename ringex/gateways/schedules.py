"""Schedules of markets as clients and operators see them: the times that are still to come."""

from __future__ import annotations

from typing import Final

from ringex.gateways.times import shown
from ringex.history.catalogue import Market
from ringex.history.readmodel import ReadModel

TIMES: Final = {
    "preOpenTime": "pre_open_ns",
    "auctionTime": "auction_ns",
    "openTime": "open_ns",
    "closeTime": "close_ns",
}
"""Their names -> fields of SCHEDULE_COMMAND."""


def times_to_come(model: ReadModel, market: Market, now_ns: int) -> dict[str, int]:
    times = model.catalogue.schedule_of(market.number, now_ns)
    named = {name: getattr(times, column) for name, column in TIMES.items()}
    return {name: shown(time_ns) for name, time_ns in named.items() if time_ns}
