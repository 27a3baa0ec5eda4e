"""Books: double entry over events. What each account owns of each asset, as trades, fees and bookings add up.

Independent of the engine's ledger: plain sums over prices, quantities, fees and amounts that events tell, never over
the balances that they show. An amount that one account gains another loses, or it came from outside.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from ringex.messages import ASSET_EVENT, BALANCE_EVENT, EVENT, FEE_ACCOUNT, MARKET_EVENT, RECORD_BYTES, TRADE, text_of
from ringex.terms import CommandKind, EventKind, Side

MOVE_NOTHING: Final = frozenset(
    {
        *(EventKind.ACCEPTED, EventKind.RESTED, EventKind.CANCELED, EventKind.AMENDED, EventKind.REJECTED),
        *(EventKind.DUPLICATE, EventKind.DONE, EventKind.ACCOUNT, EventKind.KEY, EventKind.KEY_REVOKED),
        *(EventKind.PREVENTED, EventKind.TRIGGERED, EventKind.LIMITS, EventKind.FEES, EventKind.FEE_ASSET),
        *(EventKind.MARKET_FILTERS, EventKind.BOOK, EventKind.INDICATIVE, EventKind.COUNTDOWN),
        *(EventKind.ORDER_LIMITS, EventKind.SCHEDULE),
        *(EventKind.ORDER_LIST, EventKind.PLACED),
    }
)
"""Events after which everybody owns what they owned before; they lock and release at most."""
UNDERSTOOD: Final = MOVE_NOTHING | {EventKind.TRADE, EventKind.BALANCE, EventKind.ASSET, EventKind.MARKET}
FROM_OUTSIDE: Final = frozenset(
    {
        *(CommandKind.DEPOSIT, CommandKind.WITHDRAW),
        *(CommandKind.WITHDRAW_HOLD, CommandKind.WITHDRAW_COMPLETE, CommandKind.WITHDRAW_RELEASE),
    }
)
"""Bookings whose amount comes from outside the exchange, or leaves it."""
FAULTS_KEPT_MAX: Final = 100

_RAW: Final = np.dtype((np.void, RECORD_BYTES))
_WORD: Final = 1 << 64

Place = tuple[int, int]
"""(account, asset)."""


class NotUnderstoodError(Exception):
    """Something that this audit does not know how to account for; the message says what."""


@dataclass(frozen=True)
class MarketTerms:
    """What an amount of a market needs: its assets, and 10^exponent of both sides."""

    base: int
    quote: int
    base_exponent: int  # quantity x 10^this: base units
    quote_exponent: int  # price x quantity x 10^this: quote units

    def notional(self, price: int, quantity: int) -> int:
        product = price * quantity
        return product * 10**self.quote_exponent if self.quote_exponent >= 0 else product // 10**-self.quote_exponent

    def base_amount(self, quantity: int) -> int:
        return int(quantity * 10**self.base_exponent)


@dataclass
class AssetFlow:
    """What an asset's books add up to, in its smallest unit."""

    deposited: int = 0
    withdrawn: int = 0
    fees: int = 0  # to the fee account, rebates taken off
    traded: int = 0


@dataclass
class Books:
    """`opening` makes them go on from a state's tables instead of from nothing."""

    owned: dict[Place, int] = field(default_factory=dict)
    held: dict[tuple[int, str], tuple[int, int]] = field(default_factory=dict)  # account, reference: asset, amount
    outside: dict[int, int] = field(default_factory=lambda: defaultdict(int))  # asset: what came less what went
    flows: dict[int, AssetFlow] = field(default_factory=lambda: defaultdict(AssetFlow))
    scales: list[int] = field(default_factory=list)  # of assets
    markets: list[MarketTerms] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)  # what contradicts itself within the events
    faults_count: int = 0
    events: int = 0
    trades: int = 0
    bookings: int = 0

    def open(self, tables: dict[str, np.ndarray]) -> None:
        """Begin with what a snapshot says, which is not checked by anything but itself."""
        self.scales = [int(scale) for scale in tables["assets"]["scale"]]
        for market in tables["markets"]:
            self._add_market(market)
        for balance in tables["balances"]:
            amount = int(balance["free"]) + int(balance["locked"])
            self.owned[int(balance["account"]), int(balance["asset"])] = amount
            self.outside[int(balance["asset"])] += amount
        self.held = holds_of(tables)

    def take(self, events: np.ndarray) -> None:
        """Account for EVENT records, in order. Raises NotUnderstoodError."""
        strange = sorted(set(np.unique(events["kind"]).tolist()) - UNDERSTOOD)
        if strange:
            raise NotUnderstoodError(f"event kind {strange[0]}: this audit does not know what it moves")
        self.events += len(events)
        raw, kinds = events.view(_RAW), events["kind"]
        for event in events[(kinds == EventKind.ASSET) | (kinds == EventKind.MARKET)]:
            record = np.frombuffer(event.tobytes(), EVENT)
            if event["kind"] == EventKind.ASSET:
                self.scales.append(int(record.view(ASSET_EVENT)["scale"][0]))
            elif int(event["market"]) == len(self.markets):
                self._add_market(record.view(MARKET_EVENT)[0])
        self._take_trades(raw[kinds == EventKind.TRADE].view(TRADE))
        for booking in raw[kinds == EventKind.BALANCE].view(BALANCE_EVENT):
            self._take_booking(booking)

    def balance_of(self, account: int, asset: int) -> int:
        return self.owned.get((account, asset), 0)

    def fault(self, text: str) -> None:
        """Note what does not fit; the first FAULTS_KEPT_MAX are kept in words."""
        self.faults_count += 1
        if len(self.faults) < FAULTS_KEPT_MAX:
            self.faults.append(text)

    def _add_market(self, market: Any) -> None:
        base, quote = int(market["base_asset"]), int(market["quote_asset"])
        price_scale, quantity_scale = int(market["price_scale"]), int(market["quantity_scale"])
        exponents = self.scales[base] - quantity_scale, self.scales[quote] - price_scale - quantity_scale
        self.markets.append(MarketTerms(base, quote, *exponents))

    def _take_trades(self, trades: np.ndarray) -> None:
        """Base and quote change hands, and each side pays its fee to the fee account."""
        self.trades += len(trades)
        for number in np.unique(trades["market"]).tolist():
            if not 0 <= number < len(self.markets):
                raise NotUnderstoodError(f"a trade in market {number}, which no event has told of")
            self._take_trades_of(self.markets[number], trades[trades["market"] == number])

    def _take_trades_of(self, market: MarketTerms, trades: np.ndarray) -> None:
        price, quantity = trades["price"], trades["quantity"]
        base = quantity * np.int64(10**market.base_exponent)  # a market's rules keep these within an int64
        unit = np.int64(10 ** abs(market.quote_exponent))
        quote = price * quantity * unit if market.quote_exponent >= 0 else price * quantity // unit
        for trade in trades[quote != trades["quote_amount"]]:
            self.fault(f"event {trade['sequence']}: a trade's quote amount is not its price times its quantity")
        buys = trades["side"] == Side.BUY
        sides = (("taker", trades["account"], buys), ("maker", trades["maker_account"], ~buys))
        for role, accounts, bought in sides:
            sign = np.where(bought, 1, -1)
            self._add(accounts, market.base, sign * base)
            self._add(accounts, market.quote, -sign * quote)
            fees = trades[f"{role}_fee"]
            told = trades[f"{role}_fee_asset"].astype(np.int64)
            paid_in = np.where(told > 0, told - 1, np.where(bought, market.base, market.quote))
            for asset in np.unique(paid_in).tolist():
                chosen = paid_in == asset
                self._add(accounts[chosen], asset, -fees[chosen])
                self._add(np.full(int(chosen.sum()), FEE_ACCOUNT), asset, fees[chosen])
                self.flows[asset].fees += sum(fees[chosen].tolist())
        self.flows[market.base].traded += sum(base.tolist())
        self.flows[market.quote].traded += sum(quote.tolist())

    def _add(self, accounts: np.ndarray, asset: int, amounts: np.ndarray) -> None:
        """Add amounts to what accounts own. Sums wrap at 2^64 and are right where what is owned fits an int64."""
        owners, at = np.unique(accounts, return_inverse=True)
        sums = np.zeros(len(owners), np.int64)
        np.add.at(sums, at, amounts)
        for account, amount in zip(owners.tolist(), sums.tolist(), strict=True):
            total = self.owned.get((account, asset), 0) + amount
            self.owned[account, asset] = (total + _WORD // 2) % _WORD - _WORD // 2

    def _take_booking(self, booking: Any) -> None:
        kind, account, asset = int(booking["command_kind"]), int(booking["account"]), int(booking["market"])
        amount, held = int(booking["amount"]), int(booking["held"])
        self.bookings += 1
        self.owned[account, asset] = self.balance_of(account, asset) + amount
        if kind in FROM_OUTSIDE:
            self.outside[asset] += amount
            flow = self.flows[asset]
            flow.deposited += max(amount, 0)
            flow.withdrawn += max(-amount, 0)
        elif kind != CommandKind.TRANSFER:
            raise NotUnderstoodError(f"event {booking['sequence']}: a booking by command kind {kind}")
        place = account, text_of(booking["reference"])
        if kind == CommandKind.WITHDRAW_HOLD:
            self.held[place] = asset, held
        elif kind in (CommandKind.WITHDRAW_COMPLETE, CommandKind.WITHDRAW_RELEASE):
            if self.held.pop(place, None) != (asset, -held):
                self.fault(f"event {booking['sequence']}: it ends a withdrawal that is not held so")
            if amount != (held if kind == CommandKind.WITHDRAW_COMPLETE else 0):
                self.fault(f"event {booking['sequence']}: what leaves is not what was held")
        elif held:
            self.fault(f"event {booking['sequence']}: it holds {held} and is no withdrawal")


def holds_of(tables: dict[str, np.ndarray]) -> dict[tuple[int, str], tuple[int, int]]:
    """The withdrawals that a state holds: (account, reference) -> (asset, amount)."""
    references = tables["references"]
    held = references[(references["kind"] == CommandKind.WITHDRAW_HOLD) & (references["outcome"] == 0)]
    return {
        (int(hold["account"]), text_of(hold["reference"])): (int(hold["asset"]), int(hold["amount"])) for hold in held
    }
