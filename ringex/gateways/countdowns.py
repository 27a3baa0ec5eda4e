"""The dead-man's countdown: set anew again and again by a client that lives; its orders are canceled when it is not."""

from __future__ import annotations

from typing import Any, Final

from ringex.gateways.calls import Call, Submission
from ringex.gateways.errors import invalid, of_reason
from ringex.gateways.parameters import Kind, Parameter
from ringex.gateways.rows import Row
from ringex.gateways.times import shown
from ringex.history.countdowns import Countdown
from ringex.messages import COUNTDOWN_COMMAND, COUNTDOWN_NS_MAX, commands
from ringex.terms import CommandKind, EventKind

PARAMETERS: Final = (
    Parameter("symbol", Kind.TEXT),
    Parameter("countdownTime", Kind.INTEGER, required=True),
)
STATUS_PARAMETERS: Final = (Parameter("symbol", Kind.TEXT),)
_MS_MAX: Final = COUNTDOWN_NS_MAX // 1_000_000


def running(call: Call) -> list[dict[str, Any]]:
    """The account's countdowns: that of all symbols first; with `symbol` those that its orders may fall to."""
    market = call.market() if "symbol" in call.arguments else None
    found = call.model.countdowns.running(call.account)
    return [told(call, one) for one in found if market is None or one.market in (-1, market.number)]


def told(call: Call, countdown: Countdown) -> dict[str, Any]:
    """Until when it runs, and how long that is; without `symbol` it is for all of them."""
    result: dict[str, Any] = {}
    if countdown.market >= 0:
        result["symbol"] = call.model.markets[countdown.market].symbol
    left_ns = max(0, countdown.due_ns - call.now_ns)
    return result | {"countdownTime": str(left_ns // 1_000_000), "cancelTime": shown(countdown.due_ns)}


def countdown(call: Call) -> Submission:
    """Of one symbol, or of all. 0 ms ends it."""
    market = call.market() if "symbol" in call.arguments else None
    countdown_ms = int(call.arguments["countdownTime"])
    if countdown_ms > _MS_MAX:
        raise invalid("countdownTime", f"0 to {_MS_MAX} ms are allowed.")
    record = commands().view(COUNTDOWN_COMMAND)
    record["kind"] = CommandKind.COUNTDOWN_SET
    record["market"] = market.number if market is not None else -1
    record["countdown_ns"] = countdown_ms * 1_000_000

    def reply(events: list[Row]) -> Any:
        if events[0]["kind"] != EventKind.COUNTDOWN:
            raise of_reason(events[0]["reason"])
        result: dict[str, Any] = {"symbol": market.symbol} if market is not None else {}
        result["countdownTime"] = str(countdown_ms)
        if countdown_ms:
            result["cancelTime"] = shown(events[0]["due_ns"])
        return result

    return Submission(record, reply)
