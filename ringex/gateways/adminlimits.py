"""Administrative methods for order limits: what one account may send and have open, where it is not what all may."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final

from ringex.config import UNLIMITED, OrderLimits
from ringex.gateways.adminarguments import account_of, expect, small
from ringex.gateways.calls import Call, Submission
from ringex.gateways.errors import invalid
from ringex.gateways.methods import Method, Security
from ringex.gateways.parameters import Kind, Parameter
from ringex.gateways.rows import Row
from ringex.messages import FEE_ACCOUNT, ORDER_LIMITS_COMMAND, commands
from ringex.terms import CommandKind, EventKind

_NUMBERS: Final = {"orders10s": "orders_10s_max", "orders1d": "orders_1d_max", "openOrders": "open_orders_max"}
"""Parameter -> field of ORDER_LIMITS_COMMAND."""


def set_order_limits(call: Call) -> Submission:
    """An account's own limits; what is not sent stays, 0 is what all accounts have."""
    number = _trader(call)
    record = commands().view(ORDER_LIMITS_COMMAND)
    record["kind"] = CommandKind.ORDER_LIMITS_SET
    record["account"] = number
    for name, column in _NUMBERS.items():
        own = getattr(call.model.catalogue.own_order_limits_of(number), column)
        record[column] = small(call, name, UNLIMITED) if name in call.arguments else own

    def reply(events: list[Row]) -> Any:
        event = expect(events, EventKind.ORDER_LIMITS)
        return {"account": call.arguments["account"]} | {name: event[column] for name, column in _NUMBERS.items()}

    return Submission(record, reply)


def show_order_limits(call: Call) -> dict[str, Any]:
    """What bounds an account, which of it is its own, and what counts by now."""
    number = _trader(call)
    catalogue = call.model.catalogue
    short, day = call.model.order_counts.of(number, call.now_ns)
    own = asdict(catalogue.own_order_limits_of(number))
    return {
        "account": call.arguments["account"],
        **_shown(catalogue.order_limits_of(number)),
        "own": [name for name, column in _NUMBERS.items() if own[column]],
        "count10s": short,
        "count1d": day,
        "open": len(call.model.open_orders(number)),
    }


def _trader(call: Call) -> int:
    number = account_of(call)
    if number == FEE_ACCOUNT:
        raise invalid("account", "The fee account has no orders. What all accounts may: [rate_limits] at the start.")
    return number


def _shown(limits: OrderLimits) -> dict[str, Any]:
    numbers = {name: getattr(limits, column) for name, column in _NUMBERS.items()}
    return {name: number if number != UNLIMITED else "unlimited" for name, number in numbers.items()}


_ACCOUNT: Final = Parameter("account", Kind.TEXT, required=True)
LIMIT_METHODS: Final = (
    Method(
        "admin.limits.set",
        Security.NONE,
        (_ACCOUNT, *(Parameter(name, Kind.INTEGER) for name in _NUMBERS)),
        set_order_limits,
    ),
    Method("admin.limits.show", Security.NONE, (_ACCOUNT,), show_order_limits, waits=True),
)
