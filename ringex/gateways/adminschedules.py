"""Administrative methods for schedules: at which times a market opens, is in an auction, closes."""

from __future__ import annotations

from typing import Any, Final

from ringex.gateways.adminarguments import expect
from ringex.gateways.calls import Call, Submission
from ringex.gateways.errors import invalid
from ringex.gateways.methods import Method, Security
from ringex.gateways.parameters import Kind, Parameter
from ringex.gateways.rows import Row
from ringex.gateways.schedules import TIMES, times_to_come
from ringex.gateways.times import shown
from ringex.messages import SCHEDULE_COMMAND, commands
from ringex.terms import CommandKind, EventKind

TIME_MAX_MS: Final = (1 << 63) // 1_000_000 - 1


def set_schedule(call: Call) -> Submission:
    """The whole schedule of a market, in place of the one before; what is not sent is not to be."""
    market = call.market()
    record = commands().view(SCHEDULE_COMMAND)
    record["kind"] = CommandKind.MARKET_SCHEDULE
    record["market"] = market.number
    for name in call.arguments.keys() & TIMES.keys():
        time_ms = call.arguments[name]
        if not 0 < time_ms <= TIME_MAX_MS:
            raise invalid(name, f"It must be a time to come, in milliseconds since 1970, up to {TIME_MAX_MS}.")
        record[TIMES[name]] = time_ms * 1_000_000

    def reply(events: list[Row]) -> Any:
        event = expect(events, EventKind.SCHEDULE)
        times = {name: shown(event[column]) for name, column in TIMES.items() if event[column]}
        return {"symbol": market.symbol, "status": market.status.name} | times

    return Submission(record, reply)


def show_schedule(call: Call) -> dict[str, Any]:
    """What is still to come."""
    market = call.market()
    return {"symbol": market.symbol, "status": market.status.name} | times_to_come(call.model, market, call.now_ns)


_SYMBOL: Final = Parameter("symbol", Kind.TEXT, required=True)
SCHEDULE_METHODS: Final = (
    Method(
        "admin.market.schedule",
        Security.NONE,
        (_SYMBOL, *(Parameter(name, Kind.INTEGER) for name in TIMES)),
        set_schedule,
    ),
    Method("admin.market.schedule.show", Security.NONE, (_SYMBOL,), show_schedule, waits=True),
)
