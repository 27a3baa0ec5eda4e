"""The catalogue: assets, markets, accounts and keys, as events have added them. Nothing is ever taken out of it.

Additions are rare, so this is plain Python. The events themselves are what is kept and sent to other processes; the
dictionaries that answer queries are made from them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ringex.config import Limits
from ringex.history.frames import Frame, check, frame_of, records_of
from ringex.messages import ACCOUNT_EVENT, ASSET_EVENT, EVENT, FEE_ACCOUNT, MARKET_EVENT, EventKind

FEE_ACCOUNT_NAME = "fees"


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
    account_names: list[str]

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._events: list[bytes] = []
        self.assets = []
        self.markets = []
        self.account_names = [FEE_ACCOUNT_NAME]
        self._asset_by_name: dict[str, Asset] = {}
        self._market_by_symbol: dict[str, Market] = {}
        self._account_by_name: dict[str, int] = {FEE_ACCOUNT_NAME: FEE_ACCOUNT}
        self._keys: dict[int, Key] = {}

    def apply(self, events: np.ndarray) -> None:
        """Take the ASSET, MARKET, ACCOUNT and KEY events out of `events` (EVENT records); others are not looked at."""
        for event in events[(events["kind"] >= EventKind.ASSET) & (events["kind"] <= EventKind.KEY)]:
            self._add(event)

    def asset_named(self, name: str) -> Asset | None:
        return self._asset_by_name.get(name)

    def market_named(self, symbol: str) -> Market | None:
        return self._market_by_symbol.get(symbol)

    def account_named(self, name: str) -> int | None:
        return self._account_by_name.get(name)

    def key(self, number: int) -> Key | None:
        return self._keys.get(number)

    def export(self) -> bytes:
        """The events that made this catalogue, as one frame of EVENT records."""
        return b"".join(self._events)

    def load(self, frame: Frame) -> None:
        """Fill an empty catalogue from what `export` gave. Raises FrameError; then the catalogue must not be used."""
        assert not self._events, "only an empty catalogue can be loaded"
        limits = self._limits
        count_max = limits.assets_max + limits.markets_max + limits.accounts_max + limits.keys_max
        events = records_of(frame, EVENT, count_max, "catalogue")
        kinds = events["kind"]
        check(
            bool(((kinds >= EventKind.ASSET) & (kinds <= EventKind.KEY)).all()), "catalogue: an event of another kind"
        )
        for event in events:
            self._add(event)

    def _add(self, event: np.void) -> None:
        """Add what one event says. Raises FrameError where it does not follow on what is there, or finds no room."""
        record = np.frombuffer(event.tobytes(), EVENT)
        kind = int(event["kind"])
        if kind == EventKind.ASSET:
            self._add_asset(record.view(ASSET_EVENT)[0])
        elif kind == EventKind.MARKET:
            self._add_market(record.view(MARKET_EVENT)[0])
        elif kind == EventKind.ACCOUNT:
            self._add_account(record.view(ACCOUNT_EVENT)[0])
        else:
            self._add_key(record.view(ACCOUNT_EVENT)[0])
        self._events.append(frame_of(record))

    def _add_asset(self, event: np.void) -> None:
        asset = Asset(int(event["market"]), event["name"].decode("ascii"), int(event["scale"]))
        _check_next("asset", asset.number, len(self.assets), self._limits.assets_max)
        self.assets.append(asset)
        self._asset_by_name[asset.name] = asset

    def _add_market(self, event: np.void) -> None:
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
        )
        _check_next("market", market.number, len(self.markets), self._limits.markets_max)
        self.markets.append(market)
        self._market_by_symbol[market.symbol] = market

    def _add_account(self, event: np.void) -> None:
        number = int(event["account"])
        _check_next("account", number, len(self.account_names), self._limits.accounts_max)
        name = event["name"].decode("ascii")
        self.account_names.append(name)
        self._account_by_name[name] = number

    def _add_key(self, event: np.void) -> None:
        key = Key(int(event["key_added"]), int(event["account"]), int(event["scopes"]))
        check(0 < key.account < len(self.account_names), f"key {key.number}: account {key.account} is not known")
        check(key.number not in self._keys, f"key {key.number}: it exists already")
        check(len(self._keys) < self._limits.keys_max, f"key {key.number}: there is room for {self._limits.keys_max}")
        self._keys[key.number] = key


def _check_next(noun: str, number: int, expected: int, count_max: int) -> None:
    check(number == expected, f"{noun}: number {number}, but {expected} comes next")
    check(number < count_max, f"{noun}: number {number}; there is room for {count_max}")
