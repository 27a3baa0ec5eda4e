"""What exists: assets, markets, accounts and keys, numbered in order of arrival, and the rules for adding one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import gcd
from typing import Any

from reference.averages import Average
from reference.book import MARKET_TYPES, RESTING, STOP_LOSS_TYPES, STOP_TYPES, Book
from reference.orderlimits import OrderCounts, no_limits
from reference.records import Fields
from ringex.config import Limits
from ringex.messages import AMOUNT_MAX, AVERAGE_MINUTES_MAX, FEE_ACCOUNT, FEE_RATE_ONE, FILTER_NAMES, MULTIPLIER_ONE
from ringex.reasons import Reason
from ringex.terms import AccountStatus, FilterFlag, MarketStatus, OrderType, Side

UNCHANGEABLE = ("base_asset", "quote_asset", "price_scale", "quantity_scale")
MAY_FOLLOW = {
    MarketStatus.PRE_OPEN: (MarketStatus.AUCTION, MarketStatus.TRADING, MarketStatus.HALT, MarketStatus.CLOSED),
    MarketStatus.AUCTION: (MarketStatus.TRADING, MarketStatus.HALT, MarketStatus.CLOSED),
    MarketStatus.TRADING: (MarketStatus.AUCTION, MarketStatus.HALT, MarketStatus.CLOSED),
    MarketStatus.HALT: (MarketStatus.TRADING, MarketStatus.AUCTION, MarketStatus.CLOSED),
    MarketStatus.CLOSED: (MarketStatus.PRE_OPEN,),
}
"""Which status may follow on which."""


@dataclass
class Asset:
    name: str
    scale: int


@dataclass
class Account:
    name: str
    trade_group: int = 0
    status: int = AccountStatus.ACTIVE
    pays_in_fee_asset: bool = False
    parent: int = 0  # whose sub-account it is
    order_limits: dict[str, int] = field(default_factory=dict)  # its own; account 0: of all that have none
    order_counts: OrderCounts = field(default_factory=OrderCounts)


class Market:
    """A market's rules (attributes by the field names of MARKET_COMMAND), its book, its counters and its last price."""

    def __init__(self, rules: Fields, base_scale: int, quote_scale: int) -> None:
        self.rules = dict.fromkeys(FILTER_NAMES, 0) | rules
        self.base_scale = base_scale
        self.quote_scale = quote_scale
        self.book = Book()
        self.made_by = rules  # the rules that open orders were made by, as far as they matter: see `with_earlier`
        self.has_orders: Callable[[], bool] = lambda: False
        self.trade_id = 0
        self.book_update_id = 0
        self.prevented_match_id = 0
        self.last_price = 0  # 0: there was no trade yet
        self.average = Average()
        self.breaker = (0, 0)  # the circuit breaker's reference price, and since when
        self.indicative = (0, 0, 0)  # price, quantity and imbalance of an auction, as told last

    def __getattr__(self, name: str) -> Any:
        try:
            return self.rules[name]
        except KeyError:
            raise AttributeError(name) from None

    def with_earlier(self, rules: Fields) -> tuple[Fields, int, int]:
        """These rules, as wide and as fine as those that its open orders were made by, and the scales."""
        before = self.made_by
        both = {
            "tick": gcd(before["tick"], rules["tick"]),
            "lot": gcd(before["lot"], rules["lot"]),
            "price_max": max(before["price_max"], rules["price_max"]),
            "quantity_max": max(before["quantity_max"], rules["quantity_max"]),
        }
        return rules | (both if self.has_orders() else {}), self.base_scale, self.quote_scale

    def notional(self, price: int, quantity: int) -> int:
        """What `quantity` costs at `price`, in quote units; exact for multiples of tick and lot."""
        exponent = self.quote_scale - self.price_scale - self.quantity_scale
        return price * quantity * 10**exponent if exponent >= 0 else price * quantity // 10**-exponent

    def base_amount(self, quantity: int) -> int:
        return int(quantity * 10 ** (self.base_scale - self.quantity_scale))

    def check_order(self, order_type: int, price: int, quantity: int, quote_quantity: int = 0) -> Reason:
        """The filters, for an order of this type."""
        if order_type not in MARKET_TYPES:
            return self.check_limit_order(price, quantity, quote_quantity)
        if order_type != OrderType.MARKET and price == 0 and quote_quantity != 0:
            return Reason.INVALID_QUANTITY
        return self.check_market_order(price, quantity, quote_quantity)

    def check_terms(self, command: Fields) -> Reason:
        """The stop price and the iceberg quantity of a new order that has passed `check_order`."""
        stop_price, iceberg_quantity = command["stop_price"], command["iceberg_quantity"]
        is_stop, delta = command["order_type"] in STOP_TYPES, command["trailing_delta"]
        if is_stop and not (delta and stop_price == 0):
            if reason := self._check_price(stop_price):
                return reason
        elif stop_price != 0:
            return Reason.INVALID_STOP_PRICE
        if delta and not (is_stop and delta < 10_000):
            return Reason.INVALID_TRAILING_DELTA
        if delta and (self.trailing_above_max or self.trailing_below_max):
            above = (command["order_type"] in STOP_LOSS_TYPES) == (command["side"] == Side.BUY)
            end = "above" if above else "below"
            least, most = (getattr(self, f"trailing_{end}_{bound}") for bound in ("min", "max"))
            if not least <= delta <= most:
                return Reason.TRAILING_DELTA_RANGE
        if iceberg_quantity == 0:
            return Reason.NONE
        takes_one = command["order_type"] not in MARKET_TYPES and command["time_in_force"] in RESTING
        if not takes_one or not 0 < iceberg_quantity <= command["quantity"]:
            return Reason.INVALID_ICEBERG
        return self._check_quantity(iceberg_quantity)

    def check_limit_order(self, price: int, quantity: int, quote_quantity: int = 0) -> Reason:
        """The filters, for a LIMIT or LIMIT_MAKER order."""
        if reason := self._check_price(price):
            return reason
        if quote_quantity != 0:
            return Reason.INVALID_QUANTITY
        return self._check_quantity(quantity) or self._check_notional(self.notional(price, quantity))

    def check_market_order(self, price: int, quantity: int, quote_quantity: int) -> Reason:
        """The filters, for a MARKET order."""
        if price != 0:
            return Reason.INVALID_ORDER_TYPE
        if quantity < 0 or quote_quantity < 0 or (quantity > 0) == (quote_quantity > 0):
            return Reason.INVALID_QUANTITY
        if not quantity:
            return self._check_notional(quote_quantity)
        return self._check_quantity(quantity) or self._check_market_quantity(quantity)

    def _check_market_quantity(self, quantity: int) -> Reason:
        if quantity < self.market_quantity_min:
            return Reason.MARKET_QUANTITY_TOO_LOW
        if self.market_quantity_max and quantity > self.market_quantity_max:
            return Reason.MARKET_QUANTITY_TOO_HIGH
        return Reason.MARKET_QUANTITY_LOT if self.market_lot and quantity % self.market_lot else Reason.NONE

    # ---- filters that look at the usual price ----------------------------------------------------------------------

    def usual_price(self, time_ns: int) -> int:
        return self.average.price(time_ns) or self.last_price or int(self.reference_price)

    def check_prices(self, order_type: int, side: int, price: int, quantity: int, time_ns: int) -> Reason:
        usual = self.usual_price(time_ns)
        if usual == 0:
            return Reason.NONE
        if order_type not in MARKET_TYPES:
            lowest, highest = self._bounds(side, usual)
            return Reason.NONE if lowest <= price <= highest else Reason.PRICE_FAR_FROM_AVERAGE
        amount = self.notional(min(usual, self.price_max), quantity)
        if quantity and self.filter_bits & FilterFlag.MIN_TO_MARKET and amount < self.notional_min:
            return Reason.NOTIONAL_TOO_LOW
        if quantity and self.filter_bits & FilterFlag.MAX_TO_MARKET and amount > self.notional_max:
            return Reason.NOTIONAL_TOO_HIGH
        return Reason.NONE

    def collar(self, side: int, time_ns: int) -> int | None:
        """How far an order that takes any price may walk; None: as far as it likes."""
        usual = self.usual_price(time_ns)
        if usual == 0 or not (self.bid_multiplier_up if side == Side.BUY else self.ask_multiplier_down):
            return None
        lowest, highest = self._bounds(side, usual)
        return max(1, highest) if side == Side.BUY else lowest

    def _bounds(self, side: int, usual: int) -> tuple[int, int]:
        up, down = (
            (self.bid_multiplier_up, self.bid_multiplier_down)
            if side == Side.BUY
            else (self.ask_multiplier_up, self.ask_multiplier_down)
        )
        highest = min(AMOUNT_MAX, usual * up // MULTIPLIER_ONE) if up else AMOUNT_MAX
        return min(AMOUNT_MAX, -(-usual * down // MULTIPLIER_ONE)), highest

    def _check_price(self, price: int) -> Reason:
        if price < self.price_min:
            return Reason.PRICE_TOO_LOW
        if price > self.price_max:
            return Reason.PRICE_TOO_HIGH
        return Reason.PRICE_TICK if price % self.tick else Reason.NONE

    def _check_quantity(self, quantity: int) -> Reason:
        if quantity < self.quantity_min:
            return Reason.QUANTITY_TOO_LOW
        if quantity > self.quantity_max:
            return Reason.QUANTITY_TOO_HIGH
        return Reason.QUANTITY_LOT if quantity % self.lot else Reason.NONE

    def _check_notional(self, amount: int) -> Reason:
        if amount < self.notional_min:
            return Reason.NOTIONAL_TOO_LOW
        return Reason.NOTIONAL_TOO_HIGH if amount > self.notional_max else Reason.NONE


@dataclass
class Directory:
    limits: Limits
    assets: list[Asset] = field(default_factory=list)
    markets: list[Market] = field(default_factory=list)
    accounts: list[Account] = field(default_factory=lambda: [Account("fees", order_limits=no_limits())])
    keys: dict[int, tuple[int, int]] = field(default_factory=dict)  # number -> account, scopes

    def has_asset(self, asset: int) -> bool:
        return 0 <= asset < len(self.assets)

    def has_market(self, market: int) -> bool:
        return 0 <= market < len(self.markets)

    def has_account(self, account: int) -> bool:
        return 0 <= account < len(self.accounts)

    def order_limit(self, account: int, name: str) -> int:
        """The account's own, if it has one."""
        return self.accounts[account].order_limits.get(name) or self.accounts[FEE_ACCOUNT].order_limits[name]

    def check_asset(self, command: Fields) -> Reason:
        if command["name"] in [asset.name for asset in self.assets]:
            return Reason.ALREADY_EXISTS
        if not command["name"]:
            return Reason.INVALID_COMMAND
        if len(self.assets) == self.limits.assets_max:
            return Reason.ENGINE_FULL
        return Reason.NONE if 0 <= command["scale"] <= 18 else Reason.INVALID_COMMAND

    def check_account(self, command: Fields) -> Reason:
        if command["name"] in [account.name for account in self.accounts]:
            return Reason.ALREADY_EXISTS
        if not command["name"]:
            return Reason.INVALID_COMMAND
        if len(self.accounts) == self.limits.accounts_max:
            return Reason.ENGINE_FULL
        if command["parent"] != 0 and not self.has_account(command["parent"]):
            return Reason.UNKNOWN_ACCOUNT
        return Reason.INVALID_PARENT if self.accounts[command["parent"]].parent else Reason.NONE

    def is_of_family(self, parent: int, account: int) -> bool:
        """Whether `account` is `parent` or a sub-account of it."""
        return parent in (account, self.accounts[account].parent)

    def check_key(self, command: Fields) -> Reason:
        if command["account"] == 0 or not self.has_account(command["account"]):
            return Reason.UNKNOWN_ACCOUNT
        if command["key_added"] == 0:
            return Reason.INVALID_COMMAND
        if command["key_added"] in self.keys:
            return Reason.ALREADY_EXISTS
        return Reason.ENGINE_FULL if len(self.keys) == self.limits.keys_max else Reason.NONE

    def check_account_set(self, command: Fields) -> Reason:
        if command["account"] == 0 or not self.has_account(command["account"]):
            return Reason.UNKNOWN_ACCOUNT
        is_known = command["status"] in list(AccountStatus) and command["trade_group"] >= 0
        return Reason.NONE if is_known else Reason.INVALID_COMMAND

    def check_market_set(self, command: Fields) -> Reason:
        if not self.has_market(command["market"]):
            return Reason.INVALID_SYMBOL
        market = self.markets[command["market"]]
        if command["status"] not in (0, *MarketStatus) or (command["status"] == command["tick"] == 0):
            return Reason.INVALID_COMMAND
        if command["status"] not in (0, market.status, *MAY_FOLLOW[market.status]):
            return Reason.ILLEGAL_TRANSITION
        return self._check_rules(market, command) if command["tick"] else Reason.NONE

    def _check_rules(self, market: Market, command: Fields) -> Reason:
        """Whether the market may have these rules instead of its own."""
        if any(command[name] != market.rules[name] for name in UNCHANGEABLE):
            return Reason.INVALID_MARKET
        changed = Market(command | {"status": command["status"] or 1}, market.base_scale, market.quote_scale)
        if not _fits_together(changed) or not _fits_together(Market(*market.with_earlier(changed.rules))):
            return Reason.INVALID_MARKET
        return Reason.INVALID_FILTERS if market.reference_price > command["price_max"] else Reason.NONE

    def check_filters(self, command: Fields) -> Reason:
        if not self.has_market(command["market"]):
            return Reason.INVALID_SYMBOL
        bits = command["filter_bits"]
        numbers = {name: command[name] for name in FILTER_NAMES if name != "filter_bits"}
        fits = (
            all(number >= 0 for number in numbers.values())
            and (
                command["market_quantity_max"] == 0 or numbers["market_quantity_max"] >= numbers["market_quantity_min"]
            )
            and numbers["position_max"] <= AMOUNT_MAX
            and numbers["reference_price"] <= self.markets[command["market"]].price_max
            and all(
                numbers[f"{side}_multiplier_up"]
                in (0, max(numbers[f"{side}_multiplier_{way}"] for way in ("up", "down")))
                for side in ("bid", "ask")
            )
            and numbers["average_minutes"] <= AVERAGE_MINUTES_MAX
            and numbers["trailing_above_min"] <= numbers["trailing_above_max"]
            and numbers["trailing_below_min"] <= numbers["trailing_below_max"]
            and not (
                numbers["breaker_band"]
                and (numbers["breaker_window_seconds"] == 0 or numbers["breaker_pause_seconds"] == 0)
            )
            and bits == bits & sum(FilterFlag)
        )
        return Reason.NONE if fits else Reason.INVALID_FILTERS

    def check_market(self, command: Fields) -> Reason:
        if command["symbol"] in [market.symbol for market in self.markets]:
            return Reason.ALREADY_EXISTS
        if not command["symbol"]:
            return Reason.INVALID_COMMAND
        if len(self.markets) == self.limits.markets_max:
            return Reason.ENGINE_FULL
        base, quote = command["base_asset"], command["quote_asset"]
        if base == quote:
            return Reason.INVALID_MARKET
        if not self.has_asset(base) or not self.has_asset(quote):
            return Reason.UNKNOWN_ASSET
        market = self.new_market(command)
        return Reason.NONE if _fits_together(market) else Reason.INVALID_MARKET

    def new_market(self, command: Fields) -> Market:
        base, quote = self.assets[command["base_asset"]], self.assets[command["quote_asset"]]
        rules = command | {"status": command["status"] or int(MarketStatus.TRADING)}
        return Market(rules, base.scale, quote.scale)


def _fits_together(market: Market) -> bool:
    scales_fit = market.price_scale <= 18 and market.quantity_scale <= min(18, market.base_scale)
    steps_fit = market.tick > 0 and market.lot > 0
    bounds_fit = (
        0 < market.price_min <= market.price_max
        and 0 < market.quantity_min <= market.quantity_max
        and 0 <= market.notional_min <= market.notional_max <= AMOUNT_MAX
    )
    if not (scales_fit and steps_fit and bounds_fit):
        return False
    on_steps = not (
        market.price_min % market.tick
        or market.price_max % market.tick
        or market.quantity_min % market.lot
        or market.quantity_max % market.lot
    )
    no_overflow = (
        market.price_max * market.quantity_max <= AMOUNT_MAX
        and market.notional(market.price_max, market.quantity_max) <= AMOUNT_MAX
        and market.base_amount(market.quantity_max) <= AMOUNT_MAX
        and market.price_max // market.tick < 1 << 42
    )
    divisor = 10 ** max(0, market.price_scale + market.quantity_scale - market.quote_scale)
    whole_units = market.tick * market.lot % divisor == 0
    fees_fit = (
        abs(market.maker_fee) < FEE_RATE_ONE
        and abs(market.taker_fee) < FEE_RATE_ONE
        and market.maker_fee + market.taker_fee >= 0
    )
    status_fits = market.status in list(MarketStatus)
    return on_steps and no_overflow and whole_units and fees_fit and status_fits and market.orders_per_account_max > 0
