"""What a client asked the exchange for, as far as a recording tells it, and the fills that it got."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, StrEnum


class Kind(Enum):
    REST = "place GTC"
    TAKE = "place IOC"
    AMEND = "amend"
    CANCEL = "cancel"


class Cause(StrEnum):
    """Why a recorded trade, or a part of one, cannot be asked of another exchange by a client."""

    UNCROSS = "auction uncross (side N): many orders at one price at once, no aggressor"
    NOT_NAMED = "counterparty not in the feed (hidden or implied order): no fill names a resting order"
    UNKNOWN_MAKER = "resting order is older than the recording and its snapshot"


@dataclass(frozen=True, slots=True)
class Fill:
    """A resting order was filled: `price` in 1e-9, `quantity` in lots of one. Order ids are the recording's."""

    maker: int
    price: int
    quantity: int


@dataclass(slots=True)
class Intention:
    """One client command. `quantity` of an AMEND is the order's new total, what it has executed included."""

    kind: Kind
    order_id: int
    bid: bool
    price: int = 0
    quantity: int = 0
    trades: list[list[Fill]] = field(default_factory=list)
    """The recorded trades that it must cause, each with its fills, in order."""
