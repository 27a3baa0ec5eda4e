"""What a gateway has under way: commands that the matcher has not answered, and queries that wait for their turn."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ringex.gateways.backlog import Mark
from ringex.gateways.calls import Call, Submission
from ringex.gateways.limiter import Use
from ringex.gateways.methods import Method
from ringex.gateways.rows import Row
from ringex.gateways.session import Connection


@dataclass
class Pending:
    """A command under way."""

    connection: Connection
    request_id: Any
    submission: Submission
    call: Call
    use: Use
    deadline: float
    events: list[Row] = field(default_factory=list)
    omitted: int = 0
    """Events beyond EVENTS_KEPT_MAX that its reply cannot show."""


@dataclass(frozen=True)
class Deferred:
    """A query that waits for its turn, behind commands up to correlation `after` of its connection."""

    connection: Connection
    request_id: Any
    method: Method
    call: Call
    use: Use
    after: int
    deadline: float
    backlog: Mark | None = None
    """It found no order, and looks again once the backlog up to here is settled; empty: it is. None: not tried yet."""
