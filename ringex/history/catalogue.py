"""The catalogue: assets, markets, accounts and keys, as events have added them. Only keys are ever taken out of it.

Additions are rare, so this is plain Python. What is kept and sent to other processes is, of each of them, the last
event that told of it; the dictionaries that answer queries are made from these. A further MARKET or ACCOUNT event of
a number that is known says that its status (or an account's trade group) has changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final, TypeVar

import numpy as np

from ringex.config import Limits, OrderLimits
from ringex.history.frames import Frame, check, frame_of, records_of
from ringex.markets import NO_FILTERS, Filters
from ringex.messages import (
    ACCOUNT_EVENT,
    ASSET_EVENT,
    EVENT,
    FEE_ACCOUNT,
    FEES_EVENT,
    FILTER_NAMES,
    FILTERS_EVENT,
    MARKET_EVENT,
    ORDER_LIMIT_NAMES,
    ORDER_LIMITS_EVENT,
    SCHEDULE_EVENT,
    SCHEDULE_NAMES,
)
from ringex.terms import AccountStatus, EventKind, MarketStatus, Side

FEE_ACCOUNT_NAME = "fees"
EVERY_MARKET: Final = -1
_ADDITIONS: Final = (
    *(EventKind.ASSET, EventKind.MARKET, EventKind.MARKET_FILTERS, EventKind.ACCOUNT, EventKind.KEY),
    *(EventKind.FEES, EventKind.FEE_ASSET, EventKind.ORDER_LIMITS, EventKind.SCHEDULE),
)
_TOLD: Final = np.array([kind in (*_ADDITIONS, EventKind.KEY_REVOKED) for kind in range(256)])
_NOT_TOLD: Final = bytes(np.flatnonzero(~_TOLD).tolist())
NO_ORDER_LIMITS: Final = OrderLimits(0, 0, 0)
_Status = TypeVar("_Status", bound=IntEnum)


@dataclass(frozen=True, slots=True)
class Asset:
    """An asset; balances count its smallest unit, 10^-scale."""

    number: int
    name: str
    scale: int


@dataclass(frozen=True, slots=True)
class Market:
    """A market with its rules; units as in `ringex.messages`."""

    number: int
    symbol: str
    base: Asset
    quote: Asset
    price_scale: int
    quantity_scale: int
    tick: int
    lot: int
    price_min: int
    price_max: int
    quantity_min: int
    quantity_max: int
    notional_min: int
    notional_max: int
    maker_fee: int
    taker_fee: int
    orders_per_account_max: int
    status: MarketStatus = MarketStatus.TRADING
    filters: Filters = NO_FILTERS


@dataclass(frozen=True, slots=True)
class Account:
    """An account. Accounts of one trade group > 0 do not trade with each other where self-trade prevention is on."""

    number: int
    name: str
    trade_group: int = 0
    status: AccountStatus = AccountStatus.ACTIVE
    pays_in_fee_asset: bool = False
    parent: int = FEE_ACCOUNT
    """Whose sub-account it is; FEE_ACCOUNT: nobody's."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a market becomes PRE_OPEN, AUCTION, TRADING and CLOSED; 0: not by itself."""

    pre_open_ns: int = 0
    auction_ns: int = 0
    open_ns: int = 0
    close_ns: int = 0


assert tuple(Schedule.__dataclass_fields__) == SCHEDULE_NAMES


@dataclass(frozen=True, slots=True)
class FeeAsset:
    """The asset that fees can be paid in, and what part of them (1e-8) is then charged."""

    asset: Asset
    multiplier: int


@dataclass(frozen=True, slots=True)
class FeeRates:
    """What an account pays, 1e-8; negative: a rebate."""

    maker: int
    taker: int


@dataclass(frozen=True, slots=True)
class Key:
    """An API key: it acts for `account` within `scopes` (KeyScope bits)."""

    number: int
    account: int
    scopes: int


class Catalogue:
    """Assets, markets, accounts and keys, by number and by name."""

    assets: list[Asset]
    markets: list[Market]
    accounts: list[Account]

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.revision = 0
        """Another one after whatever changes the catalogue."""
        self.limits_revision = 0
        """The same, of what bounds accounts' orders."""
        self._events: dict[tuple[int, int], bytes] = {}  # by kind and number
        self.assets = []
        self.markets = []
        self.accounts = [Account(FEE_ACCOUNT, FEE_ACCOUNT_NAME)]
        self._asset_by_name: dict[str, Asset] = {}
        self._market_by_symbol: dict[str, Market] = {}
        self._account_by_name: dict[str, int] = {FEE_ACCOUNT_NAME: FEE_ACCOUNT}
        self._sub_accounts: dict[int, list[int]] = {}  # by parent
        self._keys: dict[int, Key] = {}
        self._schedules: dict[tuple[int, int], FeeRates] = {}  # by account and market, or EVERY_MARKET
        self._times: dict[int, Schedule] = {}  # by market
        self._order_limits = {FEE_ACCOUNT: OrderLimits()}  # by account; its own, 0 is no limit of its own
        self.fee_asset: FeeAsset | None = None

    def apply(self, events: np.ndarray) -> None:
        """Take what changes the catalogue out of `events` (EVENT records); others are not looked at."""
        kinds = events["kind"]
        if not kinds.tobytes().translate(None, _NOT_TOLD):  # no other events, as nearly always
            return
        told = _TOLD[kinds]
        self.revision += 1
        for event in events[told]:
            if event["kind"] == EventKind.KEY_REVOKED:
                self._remove_key(event)
            else:
                self._add(event)

    def asset_named(self, name: str) -> Asset | None:
        return self._asset_by_name.get(name)

    def market_named(self, symbol: str) -> Market | None:
        return self._market_by_symbol.get(symbol)

    def account_named(self, name: str) -> int | None:
        return self._account_by_name.get(name)

    def sub_accounts_of(self, account: int) -> list[Account]:
        """Oldest first."""
        return [self.accounts[number] for number in self._sub_accounts.get(account, ())]

    def key(self, number: int) -> Key | None:
        return self._keys.get(number)

    def fee_rates(self, account: int, market: Market) -> FeeRates:
        """What the account pays in the market: by its own rates for it, else those for every market, else as all do."""
        for number in (market.number, EVERY_MARKET):
            if (account, number) in self._schedules:
                return self._schedules[account, number]
        return FeeRates(market.maker_fee, market.taker_fee)

    def schedules_of(self, account: int) -> dict[int, FeeRates]:
        """The account's own fee schedules, by market number or EVERY_MARKET."""
        return {market: rates for (of, market), rates in sorted(self._schedules.items()) if of == account}

    def schedule_of(self, market: int, now_ns: int) -> Schedule:
        """What of a market's schedule is still to come."""
        times = self._times.get(market, Schedule())
        coming = (getattr(times, name) for name in SCHEDULE_NAMES)
        return Schedule(*(time_ns if time_ns > now_ns else 0 for time_ns in coming))

    def order_limits_of(self, account: int) -> OrderLimits:
        """What bounds the account's orders; of FEE_ACCOUNT: those of all accounts that have none of their own."""
        usual, own = self._order_limits[FEE_ACCOUNT], self.own_order_limits_of(account)
        return OrderLimits(*(getattr(own, name) or getattr(usual, name) for name in ORDER_LIMIT_NAMES))

    def own_order_limits_of(self, account: int) -> OrderLimits:
        """0: as all accounts have it."""
        return self._order_limits.get(account, NO_ORDER_LIMITS)

    def own_order_limits(self) -> list[tuple[int, OrderLimits]]:
        """Those that accounts have of their own, by account."""
        return [(account, own) for account, own in self._order_limits.items() if account != FEE_ACCOUNT]

    def fee_asset_of(self, market: Market, trade: Mapping[str, int], role: str) -> Asset:
        """In what the taker ("taker") or maker of a TRADE paid its fee: what it received, or the fee asset."""
        told = trade[f"{role}_fee_asset"]
        if told:
            return self.assets[told - 1]
        bought = (trade["side"] == Side.BUY) == (role == "taker")
        return market.base if bought else market.quote

    def export(self) -> bytes:
        """The events that make this catalogue, as one frame of EVENT records."""
        return b"".join(self._events.values())

    def load(self, frame: Frame) -> None:
        """Fill an empty catalogue from what `export` gave. Raises FrameError; then the catalogue must not be used."""
        assert not self._events, "only an empty catalogue can be loaded"
        limits = self._limits
        count_max = limits.assets_max + 3 * limits.markets_max + 3 * limits.accounts_max + limits.keys_max
        count_max += limits.fee_schedules_max
        events = records_of(frame, EVENT, count_max, "catalogue")
        self.revision += 1
        kinds = events["kind"]
        check(bool(np.isin(kinds, _ADDITIONS).all()), "catalogue: an event of another kind")
        for event in events:
            self._add(event)

    def _add(self, event: np.void) -> None:
        """Add what one event says. Raises FrameError where it does not follow on what is there, or finds no room."""
        record = np.frombuffer(event.tobytes(), EVENT)
        kind = int(event["kind"])
        if kind == EventKind.ASSET:
            number = self._add_asset(record.view(ASSET_EVENT)[0])
        elif kind == EventKind.MARKET:
            number = self._add_market(record.view(MARKET_EVENT)[0])
        elif kind == EventKind.MARKET_FILTERS:
            number = self._set_filters(record.view(FILTERS_EVENT)[0])
        elif kind == EventKind.ACCOUNT:
            number = self._add_account(record.view(ACCOUNT_EVENT)[0])
        elif kind == EventKind.KEY:
            number = self._add_key(record.view(ACCOUNT_EVENT)[0])
        elif kind == EventKind.SCHEDULE:
            number = self._set_schedule(record.view(SCHEDULE_EVENT)[0])
        elif kind == EventKind.ORDER_LIMITS:
            number = self._set_order_limits(record.view(ORDER_LIMITS_EVENT)[0])
        else:
            fees = record.view(FEES_EVENT)[0]
            number = self._set_fees(fees) if kind == EventKind.FEES else self._set_fee_asset(fees)
            self._events.pop((kind, number), None)  # what it refers to may have come later than the one before
            if not fees["in_force"]:
                return
        self._events[kind, number] = frame_of(record)

    def _add_asset(self, event: np.void) -> int:
        asset = Asset(int(event["market"]), event["name"].decode("ascii"), int(event["scale"]))
        _check_next("asset", asset.number, len(self.assets), self._limits.assets_max)
        self.assets.append(asset)
        self._asset_by_name[asset.name] = asset
        return asset.number

    def _add_market(self, event: np.void) -> int:
        base, quote = int(event["base_asset"]), int(event["quote_asset"])
        check(0 <= base < len(self.assets) and 0 <= quote < len(self.assets), "market: its assets are not known")
        market = Market(
            number=int(event["market"]),
            symbol=event["symbol"].decode("ascii"),
            base=self.assets[base],
            quote=self.assets[quote],
            price_scale=int(event["price_scale"]),
            quantity_scale=int(event["quantity_scale"]),
            tick=int(event["tick"]),
            lot=int(event["lot"]),
            price_min=int(event["price_min"]),
            price_max=int(event["price_max"]),
            quantity_min=int(event["quantity_min"]),
            quantity_max=int(event["quantity_max"]),
            notional_min=int(event["notional_min"]),
            notional_max=int(event["notional_max"]),
            maker_fee=int(event["maker_fee"]),
            taker_fee=int(event["taker_fee"]),
            orders_per_account_max=int(event["orders_per_account_max"]),
            status=_status_of(event, MarketStatus),
        )
        if 0 <= market.number < len(self.markets):
            known = self.markets[market.number]
            kept = ("symbol", "base", "quote", "price_scale", "quantity_scale")
            same = all(getattr(known, name) == getattr(market, name) for name in kept)
            check(same, f"market {market.number}: its symbol, assets and scales cannot change")
            market = replace(market, filters=known.filters)
            self.markets[market.number] = market
        else:
            _check_next("market", market.number, len(self.markets), self._limits.markets_max)
            self.markets.append(market)
        self._market_by_symbol[market.symbol] = market
        return market.number

    def _set_filters(self, event: np.void) -> int:
        number = int(event["market"])
        check(0 <= number < len(self.markets), f"filters of market {number}, which is not known")
        filters = Filters(**{name: int(event[name]) for name in FILTER_NAMES})
        market = replace(self.markets[number], filters=filters)
        self.markets[number] = self._market_by_symbol[market.symbol] = market
        return number

    def _add_account(self, event: np.void) -> int:
        name = event["name"].decode("ascii")
        status = _status_of(event, AccountStatus)
        account = Account(int(event["account"]), name, int(event["trade_group"]), status, parent=int(event["parent"]))
        if 0 <= account.number < len(self.accounts):
            known = self.accounts[account.number]
            fixed = (known.name, known.parent) == (name, account.parent)
            check(fixed, f"account {account.number}: its name and its parent cannot change")
            account = replace(account, pays_in_fee_asset=known.pays_in_fee_asset)
            self.accounts[account.number] = account
        else:
            _check_next("account", account.number, len(self.accounts), self._limits.accounts_max)
            check(0 <= account.parent < account.number, f"account {account.number}: its parent is not known")
            self.accounts.append(account)
            if account.parent != FEE_ACCOUNT:
                self._sub_accounts.setdefault(account.parent, []).append(account.number)
        self._account_by_name[name] = account.number
        return account.number

    def _add_key(self, event: np.void) -> int:
        key = Key(int(event["key_added"]), int(event["account"]), int(event["scopes"]))
        check(0 < key.account < len(self.accounts), f"key {key.number}: account {key.account} is not known")
        check(key.number not in self._keys, f"key {key.number}: it exists already")
        check(len(self._keys) < self._limits.keys_max, f"key {key.number}: there is room for {self._limits.keys_max}")
        self._keys[key.number] = key
        return key.number

    def _remove_key(self, event: np.void) -> None:
        number = int(np.frombuffer(event.tobytes(), EVENT).view(ACCOUNT_EVENT)[0]["key_added"])
        check(self._keys.pop(number, None) is not None, f"key {number}: it is revoked, but was not known")
        del self._events[int(EventKind.KEY), number]

    def _set_schedule(self, event: np.void) -> int:
        number = int(event["market"])
        check(0 <= number < len(self.markets), f"schedule of market {number}, which is not known")
        self._times[number] = Schedule(*(int(event[name]) for name in SCHEDULE_NAMES))
        return number

    def _set_order_limits(self, event: np.void) -> int:
        account = int(event["account"])
        check(0 <= account < len(self.accounts), f"order limits: account {account} is not known")
        self.limits_revision += 1
        self._order_limits[account] = OrderLimits(*(int(event[name]) for name in ORDER_LIMIT_NAMES))
        return account

    def _set_fees(self, event: np.void) -> int:
        account, market = int(event["account"]), int(event["market"])
        check(0 < account < len(self.accounts), f"fees: account {account} is not known")
        check(EVERY_MARKET <= market < len(self.markets), f"fees: market {market} is not known")
        if event["in_force"]:
            self._schedules[account, market] = FeeRates(int(event["maker_fee"]), int(event["taker_fee"]))
            check(len(self._schedules) <= self._limits.fee_schedules_max, "fees: more schedules than there is room for")
        else:
            self._schedules.pop((account, market), None)
        return account << 32 | market + 1

    def _set_fee_asset(self, event: np.void) -> int:
        account, asset, in_force = int(event["account"]), int(event["market"]), bool(event["in_force"])
        check(0 <= account < len(self.accounts), f"fee asset: account {account} is not known")
        if account != FEE_ACCOUNT:
            self.accounts[account] = replace(self.accounts[account], pays_in_fee_asset=in_force)
        elif in_force:
            check(0 <= asset < len(self.assets), f"fee asset: asset {asset} is not known")
            self.fee_asset = FeeAsset(self.assets[asset], int(event["multiplier"]))
        else:
            self.fee_asset = None
        return account


def _status_of(event: np.void, kind: type[_Status]) -> _Status:
    status = int(event["status"])
    check(status in list(kind), f"{kind.__name__} {status} is not known")
    return kind(status)


def _check_next(noun: str, number: int, expected: int, count_max: int) -> None:
    check(number == expected, f"{noun}: number {number}, but {expected} comes next")
    check(number < count_max, f"{noun}: number {number}; there is room for {count_max}")
