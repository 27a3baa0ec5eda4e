"""Schedules of markets: what each names happens at its time, by itself."""

from __future__ import annotations

from reference.admin import Administration
from reference.directory import MAY_FOLLOW
from reference.records import Fields
from reference.reports import Reports
from reference.state import RefusedError, State
from ringex.messages import SCHEDULE_NAMES
from ringex.reasons import Reason
from ringex.terms import EventKind, MarketStatus, TimerKind

STATUSES = {
    "pre_open_ns": MarketStatus.PRE_OPEN,
    "auction_ns": MarketStatus.AUCTION,
    "open_ns": MarketStatus.TRADING,
    "close_ns": MarketStatus.CLOSED,
}


class Schedules:
    def __init__(self, state: State, reports: Reports, admin: Administration) -> None:
        self.state = state
        self.reports = reports
        self.admin = admin

    def schedule_set(self, command: Fields) -> None:
        number = command["market"]
        if not self.state.directory.has_market(number):
            raise RefusedError(Reason.INVALID_SYMBOL)
        times = {name: command[name] for name in SCHEDULE_NAMES}
        coming = sorted((time_ns, STATUSES[name]) for name, time_ns in times.items() if time_ns)
        before, status = self.reports.record["time_ns"], self.state.directory.markets[number].status
        for time_ns, following in coming:
            if time_ns <= before or not (following == status or following in MAY_FOLLOW[status]):
                raise RefusedError(Reason.INVALID_SCHEDULE)
            before, status = time_ns, following
        self.state.forget_schedule(number)
        for name, time_ns in times.items():
            if time_ns:
                self.state.set_timer(TimerKind.MARKET_PHASE, schedule_subject(number, STATUSES[name]), time_ns)
        self.reports.emit(EventKind.SCHEDULE, market=number, **times)

    def begin_phase(self, subject: int) -> None:
        """The time of a step has come."""
        number, following = subject >> 3, MarketStatus(subject % 8)
        status = self.state.directory.markets[number].status
        assert following == status or following in MAY_FOLLOW[status]
        self.state.remove_timer(TimerKind.MARKET_RESUME, number)
        self.admin.change_status(number, following)


def schedule_subject(number: int, status: int) -> int:
    return number * 8 + status
