"""Administrative commands as records: assets, markets, accounts, keys, deposits and limits.

Each function gives one COMMAND record, shape (1,), unstamped. Numbers are those that the exchange gives in order of
arrival: assets and markets from 0, accounts from 1 (account 0 collects fees).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

import numpy as np

from ringex.config import Limits, OrderLimits
from ringex.markets import Asset, Filters, Market
from ringex.messages import (
    ACCOUNT_COMMAND,
    ASSET_COMMAND,
    BALANCE_COMMAND,
    FEE_ACCOUNT,
    FILTERS_COMMAND,
    LIMITS_COMMAND,
    MARKET_COMMAND,
    ORDER_LIMITS_COMMAND,
    commands,
    words_of,
)
from ringex.terms import CommandKind, Transport

_COPIED_RULES: Final = (
    "price_scale",
    "quantity_scale",
    "tick",
    "lot",
    "price_min",
    "price_max",
    "quantity_min",
    "quantity_max",
    "notional_min",
    "notional_max",
    "maker_fee",
    "taker_fee",
    "orders_per_account_max",
)


def add_asset(asset: Asset) -> np.ndarray:
    """ASSET_ADD."""
    return _command(ASSET_COMMAND, CommandKind.ASSET_ADD, name=asset.name.encode("ascii"), scale=asset.scale)


def add_market(market: Market, asset_numbers: Mapping[str, int]) -> np.ndarray:
    """MARKET_ADD. Raises KeyError where `asset_numbers` lacks the base or quote asset's name."""
    return _command(
        MARKET_COMMAND,
        CommandKind.MARKET_ADD,
        symbol=market.symbol.encode("ascii"),
        base_asset=asset_numbers[market.base],
        quote_asset=asset_numbers[market.quote],
        **{name: getattr(market, name) for name in _COPIED_RULES},
    )


def set_filters(market: int, filters: Filters) -> np.ndarray:
    """MARKET_FILTERS_SET."""
    return _command(FILTERS_COMMAND, CommandKind.MARKET_FILTERS_SET, market=market, **asdict(filters))


def add_account(name: str) -> np.ndarray:
    """ACCOUNT_ADD."""
    return _command(ACCOUNT_COMMAND, CommandKind.ACCOUNT_ADD, name=name.encode("ascii"))


def add_key(number: int, account: int, scopes: int) -> np.ndarray:
    """KEY_ADD: key `number` acts for `account` within `scopes` (KeyScope bits)."""
    return _command(ACCOUNT_COMMAND, CommandKind.KEY_ADD, account=account, key_added=number, scopes=scopes)


def revoke_key(number: int) -> np.ndarray:
    """KEY_REVOKE: key `number` acts for nobody any more."""
    return _command(ACCOUNT_COMMAND, CommandKind.KEY_REVOKE, key_added=number)


def deposit(account: int, asset: int, amount: int, reference: str) -> np.ndarray:
    """DEPOSIT of `amount` smallest units, booked once per account and reference. Raises ValueError: it is too long."""
    return _command(
        BALANCE_COMMAND,
        CommandKind.DEPOSIT,
        account=account,
        asset=asset,
        amount=amount,
        reference=words_of(reference),
    )


def set_limits(limits: Limits) -> np.ndarray:
    """LIMITS_SET."""
    return _command(LIMITS_COMMAND, CommandKind.LIMITS_SET, **vars(limits))


def set_order_limits(limits: OrderLimits, account: int = FEE_ACCOUNT) -> np.ndarray:
    """ORDER_LIMITS_SET: an account's own (0: none of its own); of FEE_ACCOUNT those of all that have none."""
    return _command(ORDER_LIMITS_COMMAND, CommandKind.ORDER_LIMITS_SET, account=account, **asdict(limits))


def _command(dtype: np.dtype, kind: CommandKind, **fields: Any) -> np.ndarray:
    record = commands(1)
    record["kind"] = kind
    record["transport"] = Transport.ADMIN
    body = record.view(dtype)
    for name, value in fields.items():
        body[name] = value
    return record
