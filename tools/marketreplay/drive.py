"""Intentions as COMMAND records, and the events that answer them as an outcome: the exchange inside this process."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from ringex.engine import Matcher
from ringex.messages import RECORD_BYTES, TRADE, commands
from ringex.reasons import Reason
from ringex.seed import seed
from ringex.terms import CommandKind, EventKind, OrderType, Side, TimeInForce

from .compare import Outcome
from .instrument import Instrument
from .intention import Fill, Intention, Kind

_ACCOUNT: Final = 1
"""The first after the fee account; over ZeroMQ the gateway puts in the account of the key."""
_MARKET: Final = 0
BATCH: Final = 4096
"""Commands at a time; the border into compiled code is crossed once for each batch."""
_ID_BYTES: Final = 40
_COMMAND_KINDS: Final = {
    Kind.REST: CommandKind.PLACE,
    Kind.TAKE: CommandKind.PLACE,
    Kind.AMEND: CommandKind.AMEND,
    Kind.CANCEL: CommandKind.CANCEL,
}


@dataclass(frozen=True)
class Run:
    """What an exchange in memory made of a recording."""

    commands: np.ndarray
    """All that it was given: the seed, then one command for each intention. COMMAND, shape (n,)."""
    events: np.ndarray
    """All that it answered. EVENT, shape (m,)."""
    state_hash: str
    outcome: Outcome


def run_in_process(
    intentions: Sequence[Intention], instrument: Instrument, progress: Callable[[int], None] | None = None
) -> Run:
    """All intentions through a new `Matcher`. `progress` is called with the commands done so far."""
    with tempfile.TemporaryDirectory() as empty:
        settings = instrument.settings(Path(empty))
        opening = seed(settings)
    matcher = Matcher(limits=settings.limits)
    records = command_records(intentions, instrument)
    answers = [matcher.submit(opening)]
    refused = answers[0][answers[0]["kind"] == EventKind.REJECTED]
    if len(refused):
        raise ValueError(f"the exchange refuses the market: {Reason(int(refused[0]['reason'])).name}")
    started = time.perf_counter()
    for start in range(0, len(records), BATCH):
        answers.append(matcher.submit(records[start : start + BATCH]))
        if progress is not None:
            progress(min(start + BATCH, len(records)))
    seconds = time.perf_counter() - started
    events = _joined(answers)
    outcome = replace(outcome_of(intentions, events, instrument), seconds=seconds)
    return Run(_joined([opening, records]), events, matcher.state_hash(), outcome)


def _joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Records one after another, with what lies between and behind their named fields."""
    dtype = parts[0].dtype
    return np.concatenate([np.ascontiguousarray(part).view(f"V{RECORD_BYTES}") for part in parts]).view(dtype)


def command_records(intentions: Sequence[Intention], instrument: Instrument) -> np.ndarray:
    """COMMAND records, shape (n,), in order.

    An order's client order id is its number in the recording. `correlation` is the intention's index + 1, and so every
    event says which intention it belongs to.
    """
    records = commands(len(intentions))
    kinds = np.array([_COMMAND_KINDS[intention.kind] for intention in intentions], np.int64)
    bids = np.array([intention.bid for intention in intentions], bool)
    takes = np.array([intention.kind is Kind.TAKE for intention in intentions], bool)
    ids = np.array([str(intention.order_id) for intention in intentions], f"S{_ID_BYTES}").view(np.uint64)
    places = kinds == CommandKind.PLACE
    records["kind"] = kinds
    records["correlation"] = np.arange(1, len(intentions) + 1)
    records["account"] = _ACCOUNT
    records["market"] = _MARKET
    records["price"] = np.array([i.price for i in intentions], np.int64) // instrument.price_unit
    records["quantity"] = [intention.quantity for intention in intentions]
    records["side"] = np.where(places, np.where(bids, Side.BUY, Side.SELL), 0)
    records["order_type"] = np.where(places, OrderType.LIMIT, 0)
    records["time_in_force"] = np.where(places, np.where(takes, TimeInForce.IOC, TimeInForce.GTC), 0)
    words = ids.reshape(len(intentions), _ID_BYTES // 8)
    records["client_order_id"] = np.where(places[:, None], words, 0)
    records["original_client_order_id"] = np.where(places[:, None], 0, words)
    return records


def outcome_of(intentions: Sequence[Intention], events: np.ndarray, instrument: Instrument) -> Outcome:
    """What `events` (dtype EVENT, shape (n,)) say became of `intentions`, whose index + 1 is their correlation."""
    accepted = events[events["kind"] == EventKind.ACCEPTED]
    recorded_ids = np.array([intention.order_id for intention in intentions], np.int64)
    order_ids = np.zeros(int(accepted["order_id"].max(initial=0)) + 1, np.int64)
    order_ids[accepted["order_id"]] = recorded_ids[accepted["correlation"] - 1]
    trades = events.view(TRADE)[events["kind"] == EventKind.TRADE]
    fills: dict[int, list[Fill]] = {}
    for correlation, maker, price, quantity in zip(
        trades["correlation"].tolist(),
        order_ids[trades["maker_order_id"]].tolist(),
        (trades["price"] * instrument.price_unit).tolist(),
        trades["quantity"].tolist(),
        strict=True,
    ):
        fills.setdefault(correlation - 1, []).append(Fill(maker, price, quantity))
    refused = events[events["kind"] == EventKind.REJECTED]
    reasons = {
        int(correlation) - 1: Reason(int(reason)).name
        for correlation, reason in zip(refused["correlation"], refused["reason"], strict=True)
    }
    rising = np.all(np.diff(trades["correlation"]) >= 0) and np.all(np.diff(trades["trade_id"]) > 0)
    return Outcome(fills, reasons, bool(rising))
