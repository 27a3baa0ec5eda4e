"""What administrative methods read from their parameters and make of the events that answer them."""

from __future__ import annotations

from ringex.gateways.calls import Call
from ringex.gateways.errors import invalid, of_reason
from ringex.gateways.rows import Row
from ringex.history.catalogue import Asset
from ringex.reasons import Reason
from ringex.terms import EventKind


def expect(events: list[Row], kind: EventKind) -> Row:
    """The first event of a kind. Raises Refusal, in the words of the first one's reason, where there is none."""
    for event in events:
        if event["kind"] == kind:
            return event
    raise of_reason(events[0]["reason"] or Reason.INVALID_COMMAND)


def canceled_in(events: list[Row]) -> dict[str, int]:
    """`canceled` counts what the reply's events show; the rest is `omitted` beside the result."""
    return {"canceled": sum(event["kind"] == EventKind.CANCELED for event in events)}


def name_of(call: Call, parameter: str, characters_max: int) -> str:
    name = str(call.arguments[parameter])
    if not name.isascii() or not name.isprintable() or " " in name or len(name) > characters_max:
        raise invalid(parameter, f"Up to {characters_max} ASCII characters without spaces are allowed.")
    return name


def account_of(call: Call, parameter: str = "account") -> int:
    name = call.arguments[parameter]
    number = call.model.account_named(name)
    if number is None:
        raise invalid(parameter, f"There is no account '{name[:32]}'; `ringex account create` makes one.")
    return number


def asset_of(call: Call, parameter: str) -> Asset:
    name = call.arguments[parameter]
    asset = call.model.catalogue.asset_named(name)
    if asset is None:
        known = ", ".join(asset.name for asset in call.model.assets[:16])
        raise invalid(parameter, f"There is no asset '{name[:16]}'. There are: {known}.")
    return asset


def small(call: Call, parameter: str, largest: int) -> int:
    value = int(call.arguments[parameter])
    if value > largest:
        raise invalid(parameter, f"0 to {largest} are allowed.")
    return value
