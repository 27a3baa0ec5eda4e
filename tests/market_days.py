"""Markets that trade at given times: the engine and a read model, for queries about what has been traded."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from reference.desk import ALICE, BOB, BTC, USDT, Desk
from reference.records import Fields, records_of
from scene import LIMITS

from ringex.engine import Matcher
from ringex.gateways.calls import Call
from ringex.gateways.errors import Refusal
from ringex.gateways.lookups import Lookup, StoreBehind
from ringex.gateways.methods import METHODS
from ringex.gateways.parameters import decode
from ringex.gateways.session import Connection
from ringex.history.readmodel import ReadModel
from ringex.history.store.extract import Extractor
from ringex.history.store.sqlite import SqliteStore
from ringex.history.store.store import Store
from ringex.messages import COMMAND, EVENT
from ringex.terms import Side


def at(text: str) -> int:
    """A moment in UTC, such as "2024-03-01T12:00:00", in ns."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000_000


def ms(text: str) -> int:
    return at(text) // 1_000_000


class MarketDays:
    """Two markets, BTCUSDT (0) and BTCUSDC (1, also paid in USDT); prices count cents, quantities hundredths."""

    def __init__(self, start: str, **bounds: int) -> None:
        """`bounds` are those of the read model."""
        self.desk = Desk(time_ns=at(start))
        self.matcher = Matcher(limits=LIMITS)
        self.model = ReadModel(LIMITS, **bounds)
        self.events: list[np.ndarray] = []
        self._commands: list[np.ndarray] = []
        for records in (self.desk.asset("BTC", 8), self.desk.asset("USDT", 8), self.desk.market()):
            self.do(records)
        self.do(self.desk.market("BTCUSDC"))
        for name in ("alice", "bob"):
            self.do(self.desk.account(name))
        for account in (ALICE, BOB):
            self.do(self.desk.deposit(account, BTC, 10**15))
            self.do(self.desk.deposit(account, USDT, 10**15))

    def do(self, *records: Fields) -> np.ndarray:
        commands = records_of(records)
        self._commands.append(commands)
        events = self.matcher.submit(commands)
        self.model.apply(events)
        self.events.append(events)
        return events

    def trade(self, when: str, price: int, quantity: int, taker: Side = Side.BUY, market: int = 0) -> None:
        """Alice rests, Bob takes."""
        self.desk.time_ns = at(when)
        maker = Side.SELL if taker == Side.BUY else Side.BUY
        self.do(self.desk.place(ALICE, maker, price, quantity, market=market))
        self.do(self.desk.place(BOB, taker, price, quantity, market=market))

    def ask(self, method: str, now: str, account: int = 0, store: Store | None = None, **params: Any) -> Any:
        """The handler's result; where it is a lookup, what the store and the read model then make of it.

        Raises Refusal, StoreBehind.
        """
        arguments = decode(METHODS[method].declared, METHODS[method].needed, params)
        call = Call(arguments, self.model, Connection(1, b"x", 0), at(now), account)
        result = METHODS[method].handler(call)
        if not isinstance(result, Lookup):
            return result
        assert store is not None, f"{method} asks the store"
        progress, answer = store.read(result.ask)
        if progress.event_sequence < result.after_sequence:
            raise StoreBehind
        return result.reply(call, progress, answer)

    @property
    def commands(self) -> np.ndarray:
        """All commands so far, as a journal has them."""
        return np.concatenate([commands.view("V256") for commands in self._commands]).view(COMMAND)

    @property
    def told(self) -> np.ndarray:
        """All events so far."""
        return np.concatenate([events.view("V256") for events in self.events]).view(EVENT)

    def stored(self, path: Path, count: int) -> Store:
        """A store that has the first `count` events."""
        store = SqliteStore(path, writes=True)
        store.prepare()
        if count:
            model = ReadModel(LIMITS)
            events = self.told[:count]
            model.apply(events)
            store.write(Extractor(store, LIMITS.markets_max).batch(events, model))
        return store

    def refusal(self, method: str, now: str, store: Store | None = None, **params: Any) -> tuple[int, str]:
        try:
            result = self.ask(method, now, store=store, **params)
        except Refusal as refusal:
            return refusal.code, refusal.message
        raise AssertionError(f"{method} {params} is not refused: {result}")
