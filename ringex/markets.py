"""What an exchange trades: assets, markets and the first accounts, as a configuration names them, and the defaults.

Amounts are scaled integers here already (`ringex.decimals` turns the file's decimal strings into them): prices count
`price_scale` decimals, quantities `quantity_scale`, notionals and deposits the asset's smallest unit, fees 1e-8.
`market_fault` states MARKET_ADD's rules (docs/trading-rules.md) in words, so that what the matcher would refuse is
refused before anything starts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ringex.decimals import SCALE_MAX, format_scaled, parse_scaled
from ringex.messages import AMOUNT_MAX, AVERAGE_MINUTES_MAX, FEE_RATE_ONE, FILTER_NAMES
from ringex.terms import FilterFlag

ASSET_NAME_BYTES_MAX: Final = 16
SYMBOL_BYTES_MAX: Final = 24
ACCOUNT_NAME_BYTES_MAX: Final = 32
FEE_RATE_SCALE: Final = 8
LEVELS_BY_PRICE_MAX: Final = 1 << 42
"""price_max ÷ tick stays below this."""
DEMO_ACCOUNT: Final = "demo"
ORDERS_PER_ACCOUNT_MAX: Final = 10_000
FEE_DEFAULT: Final = FEE_RATE_ONE // 1000  # 0.1 %


@dataclass(frozen=True)
class Asset:
    name: str
    scale: int
    """Decimals of the smallest unit, 0..18."""


@dataclass(frozen=True, slots=True)
class Filters:
    """A market's further filters; 0: none such. Units and meaning as in `ringex.messages.FILTERS_COMMAND`."""

    market_quantity_min: int = 0
    market_quantity_max: int = 0
    market_lot: int = 0
    position_max: int = 0
    reference_price: int = 0
    bid_multiplier_up: int = 0
    bid_multiplier_down: int = 0
    ask_multiplier_up: int = 0
    ask_multiplier_down: int = 0
    average_minutes: int = 0
    algo_orders_max: int = 0
    iceberg_orders_max: int = 0
    order_lists_max: int = 0
    trailing_above_min: int = 0
    trailing_above_max: int = 0
    trailing_below_min: int = 0
    trailing_below_max: int = 0
    breaker_band: int = 0
    breaker_window_seconds: int = 0
    breaker_pause_seconds: int = 0
    filter_bits: int = 0


NO_FILTERS: Final = Filters()


@dataclass(frozen=True)
class Market:
    symbol: str
    base: str
    quote: str
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
    maker_fee: int = FEE_DEFAULT
    taker_fee: int = FEE_DEFAULT
    orders_per_account_max: int = ORDERS_PER_ACCOUNT_MAX
    filters: Filters = NO_FILTERS


@dataclass(frozen=True)
class Account:
    name: str
    deposits: tuple[tuple[str, int], ...] = ()
    """(asset name, amount in its smallest unit): what the account starts with."""


@dataclass(frozen=True)
class MarketFault:
    """Why a market cannot be: the field concerned, and what would be right."""

    field: str
    message: str


def notional(market: Market, quote: Asset, price: int, quantity: int) -> int:
    """price × quantity in quote units; exact for whole ticks and lots of a market without fault."""
    exponent = quote.scale - market.price_scale - market.quantity_scale
    product = price * quantity
    return product * 10**exponent if exponent >= 0 else product // 10**-exponent


def market_fault(market: Market, base: Asset, quote: Asset) -> MarketFault | None:
    """The first of MARKET_ADD's rules that `market` breaks, or None."""
    m = market
    exponent = quote.scale - m.price_scale - m.quantity_scale
    quantity_max_in_base = m.quantity_max * 10 ** max(base.scale - m.quantity_scale, 0)
    limit = f"at most {AMOUNT_MAX} is allowed"
    rules = (
        (base.name != quote.name, "quote", f"base and quote are both {base.name}; they must differ"),
        (0 <= m.price_scale <= SCALE_MAX, "price_scale", f"{m.price_scale} is outside 0..{SCALE_MAX}"),
        (
            0 <= m.quantity_scale <= min(base.scale, SCALE_MAX),
            "quantity_scale",
            f"{m.quantity_scale} is outside 0..{base.scale}, the decimals of {base.name}",
        ),
        (m.tick > 0, "tick", "must be above 0"),
        (m.lot > 0, "lot", "must be above 0"),
        (0 < m.price_min <= m.price_max, "price_min", "must be above 0 and at most price_max"),
        (0 < m.quantity_min <= m.quantity_max, "quantity_min", "must be above 0 and at most quantity_max"),
        (m.price_min % max(m.tick, 1) == 0, "price_min", "must be a multiple of tick"),
        (m.price_max % max(m.tick, 1) == 0, "price_max", "must be a multiple of tick"),
        (m.quantity_min % max(m.lot, 1) == 0, "quantity_min", "must be a multiple of lot"),
        (m.quantity_max % max(m.lot, 1) == 0, "quantity_max", "must be a multiple of lot"),
        (
            exponent >= 0 or m.tick * m.lot % 10**-exponent == 0,
            "tick",
            f"tick × lot must be a whole number of the smallest unit of {quote.name} ({quote.scale} decimals);"
            f" make tick or lot {10 ** max(-exponent, 0)} times coarser, or a divisor of that",
        ),
        (m.price_max * m.quantity_max <= AMOUNT_MAX, "quantity_max", f"price_max × quantity_max is too large: {limit}"),
        (
            notional(m, quote, m.price_max, m.quantity_max) <= AMOUNT_MAX,
            "quantity_max",
            f"price_max × quantity_max is too large in units of {quote.name}: {limit}",
        ),
        (quantity_max_in_base <= AMOUNT_MAX, "quantity_max", f"is too large in units of {base.name}: {limit}"),
        (
            0 <= m.notional_min <= m.notional_max <= AMOUNT_MAX,
            "notional_min",
            f"0 ≤ notional_min ≤ notional_max must hold, and of notional_max {limit}",
        ),
        (abs(m.maker_fee) < FEE_RATE_ONE, "maker_fee", "must be between -1 and 1"),
        (abs(m.taker_fee) < FEE_RATE_ONE, "taker_fee", "must be between -1 and 1"),
        (m.maker_fee + m.taker_fee >= 0, "maker_fee", "a rebate must not be larger than the other side's fee"),
        (m.orders_per_account_max > 0, "orders_per_account_max", "must be above 0"),
        (m.price_max < m.tick * LEVELS_BY_PRICE_MAX, "price_max", f"must be below {LEVELS_BY_PRICE_MAX} ticks"),
    )
    return next((MarketFault(name, message) for holds, name, message in rules if not holds), None)


def filters_fault(filters: Filters, price_max: int) -> MarketFault | None:
    """The first of MARKET_FILTERS_SET's rules that `filters` break in a market whose prices go up to so much."""
    f = filters
    whole = {name for name in FILTER_NAMES if getattr(f, name) < 0}
    breaker = (f.breaker_band, f.breaker_window_seconds, f.breaker_pause_seconds)
    above, below = "trailing_above", "trailing_below"
    rules = (
        (not whole, min(whole, default=""), "must not be negative"),
        (
            f.market_quantity_max == 0 or f.market_quantity_min <= f.market_quantity_max,
            "market_quantity_min",
            "must be at most market_quantity_max",
        ),
        (f.position_max <= AMOUNT_MAX, "position_max", f"at most {AMOUNT_MAX} of the smallest unit is allowed"),
        (f.reference_price <= price_max, "reference_price", "must be at most price_max"),
        (
            f.bid_multiplier_up == 0 or f.bid_multiplier_down <= f.bid_multiplier_up,
            "bid_multiplier_down",
            "must be at most bid_multiplier_up",
        ),
        (
            f.ask_multiplier_up == 0 or f.ask_multiplier_down <= f.ask_multiplier_up,
            "ask_multiplier_down",
            "must be at most ask_multiplier_up",
        ),
        (f.average_minutes <= AVERAGE_MINUTES_MAX, "average_minutes", f"at most {AVERAGE_MINUTES_MAX} are allowed"),
        (f.trailing_above_min <= f.trailing_above_max, f"{above}_min", f"must be at most {above}_max"),
        (f.trailing_below_min <= f.trailing_below_max, f"{below}_min", f"must be at most {below}_max"),
        (
            f.breaker_band == 0 or all(breaker),
            "breaker_band",
            "a circuit breaker needs breaker_window_seconds and breaker_pause_seconds too",
        ),
        (f.filter_bits & ~sum(FilterFlag) == 0, "filter_bits", "has unknown flags"),
    )
    return next((MarketFault(name, message) for holds, name, message in rules if not holds), None)


def decimals_of(text: str) -> int:
    """How many decimals a decimal string needs: "0.010" -> 2."""
    return len(text.partition(".")[2].rstrip("0"))


DEFAULT_ASSETS: Final[tuple[Asset, ...]] = (
    Asset("BTC", 8),
    Asset("ETH", 8),
    Asset("SOL", 8),
    Asset("BNB", 8),
    Asset("XRP", 6),
    Asset("USDT", 8),
    Asset("IDR", 2),
)

_DEFAULT_DEPOSITS: Final = {
    "BTC": "1000",
    "ETH": "20000",
    "SOL": "200000",
    "BNB": "100000",
    "XRP": "50000000",
    "USDT": "100000000",
    "IDR": "1000000000000",
}

# symbol, base, quote, tick, lot, largest price, largest quantity, smallest and largest notional
_DEFAULT_MARKETS: Final = (
    ("BTCUSDT", "BTC", "USDT", "0.01", "0.00001", "1000000", "9000", "5", "1000000000"),
    ("ETHUSDT", "ETH", "USDT", "0.01", "0.0001", "100000", "90000", "5", "1000000000"),
    ("SOLUSDT", "SOL", "USDT", "0.01", "0.001", "100000", "90000", "5", "1000000000"),
    ("BNBUSDT", "BNB", "USDT", "0.01", "0.001", "100000", "90000", "5", "1000000000"),
    ("XRPUSDT", "XRP", "USDT", "0.0001", "0.1", "1000", "9000000", "5", "1000000000"),
    ("ETHBTC", "ETH", "BTC", "0.00001", "0.001", "1000", "90000", "0.0001", "10000"),
    ("BTCIDR", "BTC", "IDR", "1000", "0.00001", "40000000000", "1000", "10000", "10000000000000"),
    ("ETHIDR", "ETH", "IDR", "100", "0.0001", "2000000000", "10000", "10000", "10000000000000"),
    ("SOLIDR", "SOL", "IDR", "10", "0.001", "500000000", "100000", "10000", "10000000000000"),
    ("USDTIDR", "USDT", "IDR", "1", "0.01", "1000000", "1000000000", "10000", "10000000000000"),
)


def default_markets() -> tuple[Market, ...]:
    """The markets of an exchange without a configuration; a hundred BTC in rupiah is far inside every bound."""
    scales = {asset.name: asset.scale for asset in DEFAULT_ASSETS}
    markets = []
    for symbol, base, quote, tick, lot, price_max, quantity_max, notional_min, notional_max in _DEFAULT_MARKETS:
        price_scale, quantity_scale = decimals_of(tick), decimals_of(lot)
        market = Market(
            symbol=symbol,
            base=base,
            quote=quote,
            price_scale=price_scale,
            quantity_scale=quantity_scale,
            tick=parse_scaled(tick, price_scale),
            lot=parse_scaled(lot, quantity_scale),
            price_min=parse_scaled(tick, price_scale),
            price_max=parse_scaled(price_max, price_scale),
            quantity_min=parse_scaled(lot, quantity_scale),
            quantity_max=parse_scaled(quantity_max, quantity_scale),
            notional_min=parse_scaled(notional_min, scales[quote]),
            notional_max=parse_scaled(notional_max, scales[quote]),
        )
        markets.append(market)
    return tuple(markets)


def default_accounts(assets: tuple[Asset, ...]) -> tuple[Account, ...]:
    """The demo account, rich in every one of `assets`: what is usual for it, else a million."""
    deposits = []
    for asset in assets:
        amount = min(parse_scaled(_DEFAULT_DEPOSITS.get(asset.name, "1000000"), 0) * 10**asset.scale, AMOUNT_MAX)
        assert amount > 0, format_scaled(amount, asset.scale)
        deposits.append((asset.name, amount))
    return (Account(DEMO_ACCOUNT, tuple(deposits)),)
