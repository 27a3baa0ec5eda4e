"""The rules that gateways and engine share: a market's filters, notional values, fees, and what makes a market valid.

Pure integer functions. `MARKET_RULES` is the body of a MARKET event, that of a MARKET_FILTERS event, and two
multipliers that the asset scales give, so that notional = price x quantity x multiplier (or / divisor) is exact:
`market_reason` refuses a market where it is not.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from ringex.division import quotient, remainder
from ringex.jit import compiled, entry, inlined, int64
from ringex.messages import (
    AMOUNT_MAX,
    AVERAGE_MINUTES_MAX,
    FEE_RATE_ONE,
    FILTER_NAMES,
    FILTERS_EVENT,
    MARKET_EVENT,
    MULTIPLIER_ONE,
    STRATEGY_TYPE_MIN,
)
from ringex.reasons import Reason
from ringex.terms import FilterFlag, MarketStatus, OrderType, PegPriceType, Side, TimeInForce

SCALE_MAX: Final = 18
DELTA_ONE: Final = 10_000
"""Basis points that are the whole price."""
PEG_OFFSET_MAX: Final = 100
TICK_NUMBER_BITS: Final = 42
"""price_max / tick stays below 2^42, so that ordered prices have a bounded depth."""

MARKET_BODY_NAMES: Final = (
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
    "base_asset",
    "quote_asset",
    "price_scale",
    "quantity_scale",
    "status",
    "orders_per_account_max",
    "symbol",
)
_MULTIPLIERS: Final[list[tuple[Any, ...]]] = [
    ("quote_multiplier", "i8"),  # notional = price x quantity x quote_multiplier // quote_divisor; one of them is 1
    ("quote_divisor", "i8"),
    ("base_multiplier", "i8"),  # base amount = quantity x base_multiplier
]
MARKET_RULES_FIELDS: Final[list[tuple[Any, ...]]] = [
    *_MULTIPLIERS,
    *((name, MARKET_EVENT.fields[name][0]) for name in MARKET_BODY_NAMES),  # type: ignore[index]
    *((name, FILTERS_EVENT.fields[name][0]) for name in FILTER_NAMES),  # type: ignore[index]
]
MARKET_RULES: Final = np.dtype(MARKET_RULES_FIELDS, align=True)
"""A market's rules, as `check_order` and the rest take them; `market_rules` makes one."""


def market_rules(market: np.ndarray, filters: np.ndarray, base_scale: int, quote_scale: int) -> np.ndarray:
    """Rules of one market from a MARKET_EVENT and a FILTERS_EVENT record, and its assets' scales. Shape (1,)."""
    rules = np.zeros(1, MARKET_RULES)
    for name in MARKET_BODY_NAMES:
        rules[name] = market[name]
    for name in FILTER_NAMES:
        rules[name] = filters[name]
    exponent = quote_scale - int(market["price_scale"]) - int(market["quantity_scale"])
    if not -SCALE_MAX <= exponent <= SCALE_MAX or base_scale < int(market["quantity_scale"]):
        raise ValueError("the market's scales and its assets' scales do not fit together")
    rules["quote_multiplier"] = 10 ** max(exponent, 0)
    rules["quote_divisor"] = 10 ** max(-exponent, 0)
    rules["base_multiplier"] = 10 ** (base_scale - int(market["quantity_scale"]))
    return rules


@inlined
def notional(market: Any, price: int, quantity: int) -> int:
    """What `quantity` costs at `price`, in quote units: exact for whole ticks and lots within the market's bounds."""
    if market.quote_divisor == 1:
        return price * quantity * market.quote_multiplier
    return quotient(price * quantity, market.quote_divisor)


@inlined
def base_amount(market: Any, quantity: int) -> int:
    """`quantity` in the base asset's smallest unit."""
    return quantity * market.base_multiplier


@inlined
def fee(rate: int, amount: int) -> int:
    """The fee on `amount` (>= 0), rounded up; for a negative rate the rebate, rounded down, as a negative number."""
    if rate == 0:
        return 0
    size = rate if rate > 0 else -rate
    whole = quotient(amount, FEE_RATE_ONE)
    part = (amount - whole * FEE_RATE_ONE) * size
    if rate > 0:
        return whole * size + quotient(part + FEE_RATE_ONE - 1, FEE_RATE_ONE)
    return -(whole * size + quotient(part, FEE_RATE_ONE))


@compiled
def part_of(rate: int, multiplier: int) -> int:
    """`multiplier` (0 .. FEE_RATE_ONE) of a fee rate (0 .. FEE_RATE_ONE), rounded up."""
    return (rate * multiplier + FEE_RATE_ONE - 1) // FEE_RATE_ONE


@inlined
def check_order(market: Any, order_type: int, price: int, quantity: int, quote_quantity: int) -> int:
    """The market's filters on a new or amended order: the `Reason` to refuse it, or NONE.

    `market` is a MARKET_RULES record (or one that begins like it). Side and funds play no part.
    """
    if order_type == OrderType.MARKET:
        return _check_market_order(market, price, quantity, quote_quantity)
    if order_type == OrderType.STOP_LOSS or order_type == OrderType.TAKE_PROFIT:
        if price == 0 and quote_quantity != 0:
            return int64(Reason.INVALID_QUANTITY)
        return _check_market_order(market, price, quantity, quote_quantity)
    reason = _check_price(market, price)
    if reason != Reason.NONE:
        return reason
    if quote_quantity != 0:
        return int64(Reason.INVALID_QUANTITY)
    reason = _check_quantity(market, quantity)
    if reason != Reason.NONE:
        return reason
    return _check_notional(market, notional(market, price, quantity))


@inlined
def takes_time_in_force(order_type: int, time_in_force: int) -> bool:
    """Whether orders of this type may have this time in force, which may be any number."""
    if time_in_force == TimeInForce.GTC:
        return True
    if time_in_force == TimeInForce.GTD and order_type == OrderType.LIMIT_MAKER:
        return True
    is_limit = (
        order_type == OrderType.LIMIT
        or order_type == OrderType.STOP_LOSS_LIMIT
        or order_type == OrderType.TAKE_PROFIT_LIMIT
    )
    return is_limit and time_in_force >= TimeInForce.IOC and time_in_force <= TimeInForce.GTD


@inlined
def unpriced(order_type: int) -> int:
    """The type of a stop order that will have no price: what one counts as whose peg gives it a price later."""
    if order_type == OrderType.STOP_LOSS_LIMIT or order_type == OrderType.STOP_LOSS:
        return int64(OrderType.STOP_LOSS)
    return int64(OrderType.TAKE_PROFIT)


@inlined
def may_rest(time_in_force: int) -> bool:
    """Whether what is left of a limit order with this time in force goes into the book."""
    return time_in_force == TimeInForce.GTC or time_in_force == TimeInForce.GTD


@inlined
def is_stop(order_type: int) -> bool:
    """Whether orders of this type wait for a price before they enter the book."""
    return order_type >= OrderType.STOP_LOSS and order_type <= OrderType.TAKE_PROFIT_LIMIT


@inlined
def check_stop_price(market: Any, order_type: int, stop_price: int, trailing_delta: int) -> int:
    """Why an order of this type may not have this stop price, or NONE. One that trails may have none."""
    if is_stop(order_type):
        if stop_price == 0 and trailing_delta != 0:
            return int64(Reason.NONE)
        return _check_price(market, stop_price)
    return int64(Reason.NONE) if stop_price == 0 else int64(Reason.INVALID_STOP_PRICE)


@inlined
def check_iceberg(market: Any, order_type: int, time_in_force: int, quantity: int, iceberg_quantity: int) -> int:
    """Why an order of this type and total `quantity` may not show `iceberg_quantity` at a time, or NONE."""
    if iceberg_quantity == 0:
        return int64(Reason.NONE)
    is_market = (
        order_type == OrderType.MARKET or order_type == OrderType.STOP_LOSS or order_type == OrderType.TAKE_PROFIT
    )
    if iceberg_quantity < 0 or iceberg_quantity > quantity or is_market or not may_rest(time_in_force):
        return int64(Reason.INVALID_ICEBERG)
    return _check_quantity(market, iceberg_quantity)


@inlined
def is_met(last_price: int, order_type: int, side: int, stop_price: int) -> bool:
    """Whether the last price (0: there was none) has reached an order's stop price."""
    if last_price == 0:
        return False
    return last_price >= stop_price if rises(order_type, side) else last_price <= stop_price


@compiled
def trailing_trigger(side: int, anchor: int, delta: int) -> int:
    """At or beyond which price a trailing stop fires that is anchored at `anchor`, `delta` basis points behind.

    Selling: anchor x (1 - delta / 10000), rounded down; buying: anchor x (1 + delta / 10000), rounded up. So the price
    has moved by the whole delta. Exact, and without overflow for any price.
    """
    whole = anchor // DELTA_ONE
    part = anchor % DELTA_ONE
    if side == Side.SELL:
        return whole * (DELTA_ONE - delta) + part * (DELTA_ONE - delta) // DELTA_ONE
    return whole * (DELTA_ONE + delta) + (part * (DELTA_ONE + delta) + DELTA_ONE - 1) // DELTA_ONE


@inlined
def check_trailing_delta(market: Any, order_type: int, side: int, delta: int) -> int:
    """Why an order of this type and side may not trail the market by `delta` basis points, or NONE."""
    if delta == 0:
        return int64(Reason.NONE)
    if not is_stop(order_type) or delta >= DELTA_ONE:
        return int64(Reason.INVALID_TRAILING_DELTA)
    if market.trailing_above_max == 0 and market.trailing_below_max == 0:
        return int64(Reason.NONE)
    above = rises(order_type, side)
    least = int64(market.trailing_above_min) if above else int64(market.trailing_below_min)
    most = int64(market.trailing_above_max) if above else int64(market.trailing_below_max)
    return int64(Reason.NONE) if least <= delta <= most else int64(Reason.TRAILING_DELTA_RANGE)


@inlined
def check_strategy(strategy_id: int, strategy_type: int) -> int:
    """Why a client may not count an order to this, or NONE."""
    known = strategy_id >= 0 and (strategy_type == 0 or strategy_type >= STRATEGY_TYPE_MIN)
    return int64(Reason.NONE) if known else int64(Reason.INVALID_STRATEGY)


@entry
@inlined
def check_peg(order_type: int, time_in_force: int, price: int, peg_price_type: int, peg_offset: int) -> int:
    """Why an order may not take its price from the book in this way, or NONE."""
    if peg_price_type == PegPriceType.NONE:
        return int64(Reason.NONE) if peg_offset == 0 else int64(Reason.INVALID_PEG)
    has_limit = (
        order_type == OrderType.LIMIT
        or order_type == OrderType.LIMIT_MAKER
        or order_type == OrderType.STOP_LOSS_LIMIT
        or order_type == OrderType.TAKE_PROFIT_LIMIT
    )
    if not has_limit or price != 0 or peg_offset > PEG_OFFSET_MAX or peg_price_type > PegPriceType.MARKET_PEG:
        return int64(Reason.INVALID_PEG)
    if peg_price_type == PegPriceType.PRIMARY_PEG:
        return int64(Reason.NONE) if may_rest(time_in_force) else int64(Reason.INVALID_PEG)
    return int64(Reason.NONE) if order_type != OrderType.LIMIT_MAKER else int64(Reason.INVALID_PEG)


@entry
@inlined
def rises(order_type: int, side: int) -> bool:
    """Whether a stop order of this type and side fires at last price >= stop price; else it does at last <= stop."""
    return (order_type >= OrderType.TAKE_PROFIT) == (side == Side.SELL)


@inlined
def _check_price(market: Any, price: int) -> int:
    if price < market.price_min:
        return int64(Reason.PRICE_TOO_LOW)
    if price > market.price_max:
        return int64(Reason.PRICE_TOO_HIGH)
    if market.tick != 1 and remainder(price, market.tick) != 0:
        return int64(Reason.PRICE_TICK)
    return int64(Reason.NONE)


@inlined
def _check_market_order(market: Any, price: int, quantity: int, quote_quantity: int) -> int:
    if price != 0:
        return int64(Reason.INVALID_ORDER_TYPE)
    if quantity < 0 or quote_quantity < 0 or (quantity > 0) == (quote_quantity > 0):
        return int64(Reason.INVALID_QUANTITY)
    if quantity > 0:
        reason = _check_quantity(market, quantity)
        return reason if reason != Reason.NONE else _check_market_quantity(market, quantity)
    return _check_notional(market, quote_quantity)


@inlined
def _check_market_quantity(market: Any, quantity: int) -> int:
    """MARKET_LOT_SIZE: further bounds for orders that take any price."""
    if quantity < market.market_quantity_min:
        return int64(Reason.MARKET_QUANTITY_TOO_LOW)
    if market.market_quantity_max != 0 and quantity > market.market_quantity_max:
        return int64(Reason.MARKET_QUANTITY_TOO_HIGH)
    if market.market_lot != 0 and quantity % market.market_lot != 0:
        return int64(Reason.MARKET_QUANTITY_LOT)
    return int64(Reason.NONE)


@compiled
def price_share(price: int, multiplier: int, rounds_up: bool) -> int:
    """`price` x `multiplier` / MULTIPLIER_ONE, rounded up or down; AMOUNT_MAX where it would be more."""
    whole = price // MULTIPLIER_ONE
    if whole > 0 and multiplier > AMOUNT_MAX // whole - MULTIPLIER_ONE:
        return int64(AMOUNT_MAX)
    part = price % MULTIPLIER_ONE * multiplier
    if rounds_up:
        part += MULTIPLIER_ONE - 1
    return whole * multiplier + part // MULTIPLIER_ONE


@compiled
def highest_price(market: Any, side: int, reference: int) -> int:
    """The highest price that PERCENT_PRICE_BY_SIDE lets an order of this side have."""
    up = int64(market.bid_multiplier_up) if side == Side.BUY else int64(market.ask_multiplier_up)
    return price_share(reference, up, False) if up != 0 else int64(AMOUNT_MAX)


@compiled
def lowest_price(market: Any, side: int, reference: int) -> int:
    """The lowest such price."""
    down = int64(market.bid_multiplier_down) if side == Side.BUY else int64(market.ask_multiplier_down)
    return price_share(reference, down, True)


@compiled
def collar(market: Any, side: int, reference: int) -> int:
    """How far an order that takes any price may walk: up (BUY) or down (SELL) to this price; 0: as far as it likes."""
    if reference == 0:
        return int64(0)
    if side == Side.SELL:
        return lowest_price(market, side, reference)
    return max(highest_price(market, side, reference), int64(1)) if market.bid_multiplier_up != 0 else int64(0)


@compiled
def check_near(market: Any, side: int, price: int, reference: int) -> int:
    """PERCENT_PRICE_BY_SIDE, for an order with a price; `reference` is the average price, 0 where there is none."""
    if reference == 0:
        return int64(Reason.NONE)
    if price > highest_price(market, side, reference) or price < lowest_price(market, side, reference):
        return int64(Reason.PRICE_FAR_FROM_AVERAGE)
    return int64(Reason.NONE)


@compiled
def check_market_notional(market: Any, quantity: int, reference: int) -> int:
    """NOTIONAL, where it holds for orders that take any price: `quantity` at the average price."""
    bits = int64(market.filter_bits) & (FilterFlag.MIN_TO_MARKET | FilterFlag.MAX_TO_MARKET)
    if bits == 0 or reference == 0 or quantity == 0:
        return int64(Reason.NONE)
    amount = notional(market, min(reference, market.price_max), quantity)
    if bits & FilterFlag.MIN_TO_MARKET != 0 and amount < market.notional_min:
        return int64(Reason.NOTIONAL_TOO_LOW)
    if bits & FilterFlag.MAX_TO_MARKET != 0 and amount > market.notional_max:
        return int64(Reason.NOTIONAL_TOO_HIGH)
    return int64(Reason.NONE)


@compiled
def filters_reason(filters: Any, price_max: int) -> int:
    """Why a market whose prices go up to `price_max` may not have these filters: INVALID_FILTERS, or NONE."""
    f = filters
    invalid = int64(Reason.INVALID_FILTERS)
    if f.market_quantity_min < 0 or f.market_quantity_max < 0 or f.market_lot < 0 or f.position_max < 0:
        return invalid
    if f.market_quantity_max != 0 and f.market_quantity_max < f.market_quantity_min:
        return invalid
    if f.position_max > AMOUNT_MAX or f.reference_price < 0 or f.reference_price > price_max:
        return invalid
    if f.bid_multiplier_up < 0 or f.bid_multiplier_down < 0 or f.ask_multiplier_up < 0 or f.ask_multiplier_down < 0:
        return invalid
    if f.bid_multiplier_up != 0 and f.bid_multiplier_up < f.bid_multiplier_down:
        return invalid
    if f.ask_multiplier_up != 0 and f.ask_multiplier_up < f.ask_multiplier_down:
        return invalid
    if f.average_minutes < 0 or f.average_minutes > AVERAGE_MINUTES_MAX:
        return invalid
    if f.algo_orders_max < 0 or f.iceberg_orders_max < 0 or f.order_lists_max < 0:
        return invalid
    if f.trailing_above_min < 0 or f.trailing_below_min < 0:
        return invalid
    if f.trailing_above_max < f.trailing_above_min or f.trailing_below_max < f.trailing_below_min:
        return invalid
    if f.breaker_band < 0 or f.breaker_window_seconds < 0 or f.breaker_pause_seconds < 0:
        return invalid
    if f.breaker_band != 0 and (f.breaker_window_seconds == 0 or f.breaker_pause_seconds == 0):
        return invalid
    known = FilterFlag.MIN_TO_MARKET | FilterFlag.MAX_TO_MARKET | FilterFlag.BREAK_TO_AUCTION
    return int64(Reason.NONE) if int64(f.filter_bits) & ~int64(known) == 0 else invalid


@inlined
def _check_quantity(market: Any, quantity: int) -> int:
    if quantity < market.quantity_min:
        return int64(Reason.QUANTITY_TOO_LOW)
    if quantity > market.quantity_max:
        return int64(Reason.QUANTITY_TOO_HIGH)
    if market.lot != 1 and remainder(quantity, market.lot) != 0:
        return int64(Reason.QUANTITY_LOT)
    return int64(Reason.NONE)


@compiled
def may_follow(status: int, next_status: int) -> bool:
    """Whether a market of one MarketStatus may come to have the other."""
    if status == next_status:
        return True
    if status == MarketStatus.CLOSED:
        return next_status == MarketStatus.PRE_OPEN
    return next_status != MarketStatus.PRE_OPEN


@inlined
def _check_notional(market: Any, amount: int) -> int:
    if amount < market.notional_min:
        return int64(Reason.NOTIONAL_TOO_LOW)
    if amount > market.notional_max:
        return int64(Reason.NOTIONAL_TOO_HIGH)
    return int64(Reason.NONE)


@compiled
def power_of_ten(exponent: int) -> int:
    """10 ** exponent for 0 .. 18."""
    power = 1
    for _ in range(exponent):
        power *= 10
    return power


@inlined
def _product_exceeds(a: int, b: int, bound: int) -> bool:
    """Whether a x b > bound, for numbers >= 0 whose product may not fit an int64."""
    return a > 0 and b > bound // a


@compiled
def grid_fits(tick: int, lot: int, price: int, quantity: int, exponent: int, shift: int) -> bool:
    """Whether prices up to `price` in steps of `tick`, and quantities likewise, give exact amounts, none too large.

    A notional is price x quantity x 10^`exponent`, a base amount quantity x 10^`shift`.
    """
    if _product_exceeds(price, quantity, AMOUNT_MAX) or _product_exceeds(quantity, power_of_ten(shift), AMOUNT_MAX):
        return False
    if exponent >= 0:
        if _product_exceeds(price * quantity, power_of_ten(exponent), AMOUNT_MAX):
            return False
    elif exponent < -SCALE_MAX or tick * lot % power_of_ten(-exponent) != 0:
        return False
    return (price // tick) >> TICK_NUMBER_BITS == 0


@compiled
def gcd(a: int, b: int) -> int:
    """The greatest common divisor of two numbers >= 0."""
    while b != 0:
        a, b = b, a % b
    return a


@compiled
def market_reason(market: Any, base_scale: int, quote_scale: int) -> int:
    """Why a market with this body (any record with its fields) may not be: INVALID_MARKET, or NONE.

    The asset numbers have been checked; `base_scale` and `quote_scale` are those assets' scales, 0 .. 18.
    """
    price_scale = int64(market.price_scale)
    quantity_scale = int64(market.quantity_scale)
    if price_scale > SCALE_MAX or quantity_scale > base_scale:
        return int64(Reason.INVALID_MARKET)
    if market.tick <= 0 or market.lot <= 0 or market.price_min <= 0 or market.quantity_min <= 0:
        return int64(Reason.INVALID_MARKET)
    if market.price_min > market.price_max or market.quantity_min > market.quantity_max:
        return int64(Reason.INVALID_MARKET)
    if market.price_min % market.tick != 0 or market.price_max % market.tick != 0:
        return int64(Reason.INVALID_MARKET)
    if market.quantity_min % market.lot != 0 or market.quantity_max % market.lot != 0:
        return int64(Reason.INVALID_MARKET)
    if market.notional_min < 0 or market.notional_min > market.notional_max or market.notional_max > AMOUNT_MAX:
        return int64(Reason.INVALID_MARKET)
    exponent = quote_scale - price_scale - quantity_scale
    shift = base_scale - quantity_scale
    if not grid_fits(market.tick, market.lot, market.price_max, market.quantity_max, exponent, shift):
        return int64(Reason.INVALID_MARKET)
    maker_fee = int64(market.maker_fee)
    taker_fee = int64(market.taker_fee)
    if abs(maker_fee) >= FEE_RATE_ONE or abs(taker_fee) >= FEE_RATE_ONE or maker_fee + taker_fee < 0:
        return int64(Reason.INVALID_MARKET)
    if market.orders_per_account_max <= 0:
        return int64(Reason.INVALID_MARKET)
    if market.status > MarketStatus.CLOSED:
        return int64(Reason.INVALID_MARKET)
    return int64(Reason.NONE)
