"""`Matcher`: the engine as a library, NumPy records in and out, no rings and no files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np

from ringex import administration
from ringex.config import Limits
from ringex.engine.export import export_state, state_hash
from ringex.engine.lookahead import look_ahead
from ringex.engine.matcher import apply, slots_of
from ringex.engine.records import ROOT
from ringex.engine.state import State
from ringex.engine.timers import is_timer_due
from ringex.engine.views import account_balances, market_depth, market_orders
from ringex.jit import compiled, entry, int64
from ringex.markets import DEFAULT_ASSETS, NO_FILTERS, Asset, Market, market_fault
from ringex.memory import address_of, copy_bytes, record_at, zero_bytes
from ringex.messages import (
    COMMAND,
    EVENT,
    EVENTS_PER_COMMAND_MAX,
    RECORD_BYTES,
    RECORDS_PER_COMMAND_MAX,
    SCHEMA_VERSION,
    SEED_RING,
)
from ringex.reasons import REASON_TEXT, Reason
from ringex.terms import CommandKind, EventKind, Side

EVENT_SLOTS: Final = 1 << 14
_RAW: Final = np.dtype(f"V{RECORD_BYTES}")

BATCH: Final = np.dtype(
    [
        ("root", "i8"),
        ("commands", "i8"),  # address of COMMAND records
        ("count", "i8"),
        ("taken", "i8"),  # records applied so far
        ("stamps", "i8"),  # 1: stamp sequence and time, put in CONTINUE and TIMER; 0: the records are a journal's
        ("until_ns", "i8"),  # with stamps: timers due by then fire when all records are taken
        ("own", "i8"),  # address of a COMMAND for what is put in
        ("event_base", "i8"),
        ("event_mask", "i8"),
        ("journal", "i8"),  # address of `journal_max` COMMAND records, for all that is applied; 0: not wanted
        ("journaled", "i8"),  # how many are there
        ("journal_max", "i8"),
    ]
)


@entry
@compiled
def apply_batch(batch: int) -> None:
    """Apply records of a BATCH until all are taken, or the event buffer or the journal might not hold one more."""
    b = record_at(batch, 0, BATCH)
    s = record_at(b.root, 0, ROOT)
    room_until = s.event_sequence + b.event_mask + 1 - EVENTS_PER_COMMAND_MAX
    while s.event_sequence <= room_until and (b.journal == 0 or b.journaled + RECORDS_PER_COMMAND_MAX <= b.journal_max):
        if b.stamps != 0 and s.continuation_pending != 0:
            _apply_own(batch, int64(CommandKind.CONTINUE), s.time_ns)
            continue
        time_ns = b.until_ns
        if b.taken < b.count:
            time_ns = record_at(b.commands + b.taken * RECORD_BYTES, 0, COMMAND).time_ns
        time_ns = max(time_ns, s.time_ns)
        if b.stamps != 0 and is_timer_due(b.root, time_ns):
            _apply_own(batch, int64(CommandKind.TIMER), time_ns)
            continue
        if b.taken == b.count:
            break
        look_ahead(b.root, b.commands, int64(-1), b.taken, b.count)
        command = b.commands + b.taken * RECORD_BYTES
        slots = slots_of(command)
        if b.stamps != 0:
            _stamp(command, slots, s.command_sequence + 1, time_ns)
        _journal(b, command, slots)
        apply(b.root, command, b.event_base, b.event_mask, s.event_sequence)
        b.taken += slots


@compiled
def _journal(b: Any, command: int, slots: int) -> None:
    """Note a command's records as a sequencer would journal them."""
    if b.journal != 0:
        copy_bytes(b.journal + b.journaled * RECORD_BYTES, command, slots * RECORD_BYTES)
        b.journaled += slots


@compiled
def _apply_own(batch: int, kind: int, time_ns: int) -> None:
    """Apply the CONTINUE or TIMER that a sequencer would put in."""
    b = record_at(batch, 0, BATCH)
    s = record_at(b.root, 0, ROOT)
    zero_bytes(b.own, RECORD_BYTES)
    c = record_at(b.own, 0, COMMAND)
    c.kind = kind
    c.version = SCHEMA_VERSION
    c.slots = 1
    c.ring = SEED_RING
    c.sequence = s.command_sequence + 1
    c.time_ns = time_ns
    _journal(b, b.own, int64(1))
    apply(b.root, b.own, b.event_base, b.event_mask, s.event_sequence)


@compiled
def _stamp(command: int, slots: int, sequence: int, time_ns: int) -> None:
    """Give a command's records their sequences and their time."""
    for number in range(slots):
        c = record_at(command, number, COMMAND)
        c.sequence = sequence + number
        c.time_ns = time_ns


class Batches:
    """Runs `apply` over arrays of commands, in compiled code, through an event buffer of its own."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._events = np.zeros(EVENT_SLOTS, EVENT)
        self._own = np.zeros(1, COMMAND)

    def apply(self, commands: np.ndarray, *, stamps: bool, until_ns: int = 0, known: int = 0) -> Iterator[np.ndarray]:
        """Apply commands and give their events in batches, shape (m,), EVENT, m > 0; each batch is a copy.

        With `stamps` sequence and time are written into `commands`, and continuations and timers are put in between,
        at the end those that are due by `until_ns`; without, the records are a journal's and are applied as they are.
        Batches whose events are all numbered up to `known` are left out.
        """
        records = np.ascontiguousarray(commands)
        if len(records) and (missing := _records_missing(records)):
            raise ValueError(f"the last command takes more records than are there: {missing} are missing")
        batch = np.zeros(1, BATCH)
        batch["root"] = self._state.address
        batch["commands"] = address_of(records)
        batch["count"] = len(records)
        batch["stamps"] = stamps
        batch["until_ns"] = until_ns
        batch["own"] = address_of(self._own)
        batch["event_base"] = address_of(self._events)
        batch["event_mask"] = EVENT_SLOTS - 1
        while True:
            before = int(self._state.root["event_sequence"])
            apply_batch(address_of(batch))
            after = int(self._state.root["event_sequence"])
            if after == before:
                return
            if after > known:
                yield self._copy(before, after)

    def _copy(self, before: int, after: int) -> np.ndarray:
        """Copies of events before + 1 .. after."""
        raw = self._events.view(_RAW)
        first, end = before % EVENT_SLOTS, after % EVENT_SLOTS
        if end > first:
            return raw[first:end].copy().view(EVENT)
        return np.concatenate([raw[first:], raw[:end]]).view(EVENT)


def _records_missing(records: np.ndarray) -> int:
    """How many records the last command lacks. `slots` count in first records only, so walk from the start."""
    last = records["slots"][-(RECORDS_PER_COMMAND_MAX - 1) :]
    if not np.any((last > 1) & (last <= RECORDS_PER_COMMAND_MAX)):
        return 0
    at = 0
    slots = np.where(records["slots"] > RECORDS_PER_COMMAND_MAX, 1, np.maximum(records["slots"], 1)).tolist()
    while at < len(records):
        at += slots[at]
    return at - len(records)


class Matcher:
    """An exchange in memory: commands in, events out, in one process and without files.

    `submit` takes COMMAND records as a client or operator would send them and gives copies of the EVENT records that
    follow; sequence and time are stamped here. Prices, quantities and amounts are scaled integers: see
    `ringex.messages` for the units, docs/trading-rules.md for what each command does.

    >>> from ringex.markets import default_markets
    >>> from ringex.messages import commands
    >>> from ringex.terms import CommandKind, EventKind, OrderType, Side, TimeInForce
    >>> matcher = Matcher(default_markets())
    >>> alice, bob = matcher.account_add("alice"), matcher.account_add("bob")
    >>> matcher.deposit(alice, "USDT", 100_000 * 10**8, "a wire"), matcher.deposit(bob, "BTC", 10**8, "a block")
    (True, True)
    >>> orders = commands(2)
    >>> orders["kind"], orders["market"] = CommandKind.PLACE, matcher.symbols.index("BTCUSDT")
    >>> orders["order_type"], orders["time_in_force"] = OrderType.LIMIT, TimeInForce.GTC
    >>> orders["account"], orders["side"] = [bob, alice], [Side.SELL, Side.BUY]
    >>> orders["price"], orders["quantity"] = 60_000_00, [100_000, 40_000]  # 60000.00 USDT; 1 and 0.4 BTC
    >>> [EventKind(event["kind"]).name for event in matcher.submit(orders)]
    ['ACCEPTED', 'ACCEPTED', 'TRADE']
    >>> bids, asks = matcher.depth(0, levels_max=5)
    >>> asks.tolist()
    [(6000000, 60000)]
    >>> matcher.balances(alice)  # what was bought less 0.1 % of it; what is left of the money
    {'BTC': (39960000, 0), 'USDT': (7600000000000, 0)}
    """

    def __init__(
        self,
        markets: Sequence[Market] = (),
        *,
        assets: Sequence[Asset] = DEFAULT_ASSETS,
        limits: Limits | None = None,
        state: State | None = None,
    ) -> None:
        """An exchange with `markets`, numbered in their order from 0, or one that is empty or goes on from `state`.

        `assets` must name what the markets trade; without markets none is added. Raises ValueError for a market that
        breaks MARKET_ADD's rules, saying which.
        """
        assert state is None or (limits is None and not markets), "a state brings its limits and markets along"
        self.state = state if state is not None else State(limits or Limits())
        self._batches = Batches(self.state)
        if markets:
            self._open(markets, {asset.name: asset for asset in assets})

    def _open(self, markets: Sequence[Market], assets: dict[str, Asset]) -> None:
        for asset in assets.values():
            self._demand(administration.add_asset(asset), f"asset {asset.name}")
        numbers = {name: number for number, name in enumerate(assets)}
        for market in markets:
            missing = {market.base, market.quote} - numbers.keys()
            if missing:
                raise ValueError(f"market {market.symbol}: {', '.join(sorted(missing))} is not among `assets`")
            fault = market_fault(market, assets[market.base], assets[market.quote])
            if fault is not None:
                raise ValueError(f"market {market.symbol}: {fault.field}: {fault.message}")
            event = self._demand(administration.add_market(market, numbers), f"market {market.symbol}")
            if market.filters != NO_FILTERS:
                filters = administration.set_filters(int(event["market"]), market.filters)
                self._demand(filters, f"filters of market {market.symbol}")

    def _demand(self, command: np.ndarray, what: str) -> np.void:
        """The one event of an administrative command; raises ValueError where it is a refusal."""
        event = self.submit(command)[0]
        if event["kind"] == EventKind.REJECTED:
            reason = Reason(event["reason"])
            raise ValueError(f"{what}: {reason.name}: {REASON_TEXT[reason][1]}")
        return event

    def submit(self, commands: np.ndarray) -> np.ndarray:
        """Apply commands in order. Shape (n,), COMMAND or a body's dtype -> shape (m,), EVENT. Input is left as it is.

        `time_ns` of a command counts where it is later than the time so far. Raises ValueError if the last command
        lacks records: a CANCEL_REPLACE its second one, an order list those of its orders.
        """
        return _joined(self._batches.apply(_records(commands), stamps=True))

    def advance(self, time_ns: int) -> np.ndarray:
        """Let time pass without a command: timers due by `time_ns` fire. Their events, shape (m,), EVENT."""
        return _joined(self._batches.apply(np.zeros(0, COMMAND), stamps=True, until_ns=time_ns))

    def replay(self, commands: np.ndarray) -> int:
        """Apply commands that are sequenced already, a journal's, verbatim. Returns how many events they gave.

        Raises ValueError, and applies nothing, where they do not follow on the last command one by one.
        """
        records = _records(commands)
        first = int(self.state.root["command_sequence"]) + 1
        if len(records) and np.any(records["sequence"] != np.arange(first, first + len(records))):
            raise ValueError(f"commands to replay must be numbered from {first} on without gaps")
        return sum(len(events) for events in self._batches.apply(records, stamps=False))

    def account_add(self, name: str) -> int:
        """Open an account and give its number, from 1. Raises ValueError: name taken, empty, or no room for more."""
        return int(self._demand(administration.add_account(name), f"account {name!r}")["account"])

    def deposit(self, account: int, asset: str, amount: int, reference: str) -> bool:
        """Add `amount` smallest units of an asset to what an account has free; False if `reference` was booked before.

        Raises ValueError: account or asset unknown, amount not above 0 or too large, reference empty or over 36 bytes.
        """
        if asset not in self.assets:
            raise ValueError(
                f"asset {asset!r}: there is none of that name, only {', '.join(self.assets) or 'none yet'}"
            )
        command = administration.deposit(account, self.assets.index(asset), amount, reference)
        event = self._demand(command, f"deposit of {amount} {asset} to account {account}")
        return bool(event["kind"] == EventKind.BALANCE)

    @property
    def assets(self) -> list[str]:
        """The assets' names; an asset's number is its place."""
        return [name.decode() for name in self.state.assets["name"][: self.state.root["assets_count"]]]

    @property
    def symbols(self) -> list[str]:
        """The markets' symbols; a market's number is its place."""
        return [name.decode() for name in self.state.markets["symbol"][: self.state.root["markets_count"]]]

    def depth(self, market: int, levels_max: int) -> tuple[np.ndarray, np.ndarray]:
        """The best levels of both sides, bids and asks, best first. Shapes (n,), (m,), `ringex.engine.views.DEPTH`."""
        self._check_market(market)
        if levels_max < 0:
            raise ValueError(f"levels_max is {levels_max}; it must not be negative")
        bids, asks = (market_depth(self.state, market, side, levels_max) for side in (Side.BUY, Side.SELL))
        return bids, asks

    def orders(self, market: int) -> np.ndarray:
        """Open orders of a market, bids first, best price first, oldest first. Shape (n,), `export.ORDER_OUT`."""
        self._check_market(market)
        return market_orders(self.state, market)

    def _check_market(self, market: int) -> None:
        count = int(self.state.root["markets_count"])
        if not 0 <= market < count:
            raise ValueError(f"market {market}: there are {count}, numbered from 0")

    def balances(self, account: int) -> dict[str, tuple[int, int]]:
        """(free, locked) in smallest units of each asset that an account has or had, by the asset's name."""
        names = self.assets
        rows = account_balances(self.state, account)
        return {names[b["asset"]]: (int(b["free"]), int(b["locked"])) for b in rows}

    def state_hash(self) -> str:
        """The hash of the logical state, 64 hex digits: the same after the same commands, on any machine."""
        return state_hash(self.state)

    def export(self) -> dict[str, np.ndarray]:
        """The logical state as arrays: see `ringex.engine.export.TABLES`."""
        return export_state(self.state)


def _joined(batches: Iterator[np.ndarray]) -> np.ndarray:
    """One array of all batches, with the records' reserved bytes (which `np.concatenate` drops from named fields)."""
    return np.concatenate([np.zeros(0, _RAW), *(events.view(_RAW) for events in batches)]).view(EVENT)


def _records(commands: np.ndarray) -> np.ndarray:
    """A copy as COMMAND records; `np.concatenate` gives packed ones, whose fields are copied by name."""
    if commands.dtype.itemsize == RECORD_BYTES:
        return np.ascontiguousarray(commands).view(_RAW).copy().view(COMMAND)
    records = np.zeros(len(commands), COMMAND)
    for name in commands.dtype.names or ():
        records[name] = commands[name]
    return records
