"""Where random streams play: limits that are met often, and markets each of which is odd in its own way."""

from __future__ import annotations

from typing import Any

from ringex.config import Limits
from ringex.messages import AMOUNT_MAX

SMALL = Limits(
    assets_max=8,
    markets_max=8,
    accounts_max=8,
    keys_max=8,
    balances_max=26,
    orders_max=12,
    levels_max=7,
    requests_remembered_max=6,
    requests_remembered_per_account_max=3,
    references_max=40,
    fee_schedules_max=4,
)

BTC, USDT, COIN, YEN, BULK, BILL = range(6)
ASSET_SCALES = {"BTC": 8, "USDT": 8, "COIN": 18, "YEN": 0, "BULK": 0, "BILL": 0}
MARKETS: tuple[dict[str, Any], ...] = (
    {
        "symbol": "BTCUSDT",
        "base": BTC,
        "quote": USDT,
        "lot": 2,
        "quantity_min": 2,
        "taker_fee": 100_000,
        "maker_fee": 33_333,
    },
    # a maker rebate, steps that do not divide, room for few orders
    {
        "symbol": "COINUSDT",
        "base": COIN,
        "quote": USDT,
        "price_scale": 0,
        "quantity_scale": 1,
        "tick": 5,
        "lot": 1,
        "price_min": 20,
        "price_max": 100,
        "quantity_min": 1,
        "quantity_max": 40,
        "taker_fee": 50_001,
        "maker_fee": -24_999,
        "orders_per_account_max": 3,
    },
    # a quote asset without decimals: the notional divides by 1,000; bounds that bite
    {
        "symbol": "BTCYEN",
        "base": BTC,
        "quote": YEN,
        "price_scale": 1,
        "quantity_scale": 2,
        "tick": 10,
        "lot": 100,
        "price_min": 30,
        "price_max": 110,
        "quantity_min": 200,
        "quantity_max": 900,
        "notional_min": 10,
        "notional_max": 70,
        "taker_fee": -999_999,
        "maker_fee": 1_000_000,
    },
    # amounts at the numeric bounds: the dearest order costs AMOUNT_MAX
    {
        "symbol": "BULKBILL",
        "base": BULK,
        "quote": BILL,
        "price_scale": 0,
        "quantity_scale": 0,
        "tick": 1 << 28,
        "lot": 1 << 27,
        "price_min": 1 << 28,
        "price_max": 1 << 32,
        "quantity_min": 1 << 27,
        "quantity_max": 1 << 30,
        "notional_max": AMOUNT_MAX,
        "taker_fee": 99_999_999,
        "maker_fee": -99_999_998,
    },
)
ACCOUNTS = 3
DEPOSITS = {BTC: 2 * 10**9, USDT: 8 * 10**9, COIN: 10**18 + 10**17, YEN: 600, BULK: 3 << 29, BILL: AMOUNT_MAX // 3}
