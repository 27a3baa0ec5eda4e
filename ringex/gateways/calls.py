"""A call: one request after decoding and authentication, and what its handler answers with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from ringex.gateways.auth import UNTIMED, Timing
from ringex.gateways.disconnects import Disconnects
from ringex.gateways.errors import missing, no_such_symbol
from ringex.gateways.keystore import Key, Keystore
from ringex.gateways.limiter import Limiter
from ringex.gateways.listenkeys import ListenKeys
from ringex.gateways.parameters import Arguments
from ringex.gateways.rows import Row
from ringex.gateways.session import Connection
from ringex.gateways.userstreams import UserStreams
from ringex.history.catalogue import Market
from ringex.history.readmodel import ReadModel


class Office(Protocol):
    """What administrative methods see of the gateway that serves them."""

    number: int
    keystore: Keystore
    counts: Counter[str]
    limiter: Limiter
    streams: UserStreams
    listen_keys: ListenKeys
    disconnects: Disconnects


@dataclass(frozen=True)
class Call:
    """Who asks for what. `account` and `key` are 0, and `signer` is None, where the method
    needs no key."""

    arguments: Arguments
    model: ReadModel
    connection: Connection
    now_ns: int
    account: int = 0
    key: int = 0
    signer: Key | None = None
    timing: Timing = UNTIMED
    office: Office | None = None

    def with_model(self, model: ReadModel) -> Call:
        return replace(self, model=model)

    def market(self) -> Market:
        """The market that `symbol` names. Raises Refusal -1102 when it was not sent, -1121 when there is none."""
        symbol = self.arguments.get("symbol")
        if symbol is None:
            raise missing("symbol")
        return self.market_named(symbol)

    def market_named(self, symbol: str) -> Market:
        market = self.model.catalogue.market_named(symbol)
        if market is None:
            raise no_such_symbol(symbol)
        return market


@dataclass(frozen=True)
class Submission:
    """Commands to send, and how the events that answer them become a reply.

    `records` has shape (1,), or (2,) for a command of two slots: COMMAND or one of its siblings; the gateway fills in
    the header. `reply` is given the events of the command, at least one, once the last one has come; it
    returns the result, or a further Submission, or raises Refusal.
    """

    records: np.ndarray
    reply: Callable[[list[Row]], Any]


Handler = Callable[[Call], Any]
"""Returns a result, or a Submission. Raises Refusal."""
