"""Refusals: the dialect's codes and messages, and a matcher's reason put into words.

Clients match codes and messages literally, so a message begins with the dialect's text. A filter failure goes on to say
which rule was broken and which value would pass.
"""

from __future__ import annotations

import re
from typing import Any, Final

from ringex.config import OrderLimits
from ringex.decimals import format_scaled
from ringex.history.catalogue import Market
from ringex.reasons import REASON_TEXT, Reason

TIMEOUT_TEXT: Final = "Timeout waiting for response from backend server. Send status unknown; execution status unknown."
NO_SUCH_ORDER: Final = -2013
ORDER_LIMIT_REASONS: Final = frozenset({Reason.ORDER_RATE_10S, Reason.ORDER_RATE_1D, Reason.TOO_MANY_OPEN_ORDERS})
TOO_OLD: Final = REASON_TEXT[Reason.REQUEST_EXPIRED][0]
MULTIPLIER_SCALE: Final = 4
SYMBOL_RANGE: Final = re.compile(r"^[A-Z0-9_.-]{1,20}$")
OVERLOAD_TEXT: Final = REASON_TEXT[Reason.ENGINE_FULL][1]

_STATUS: Final = {-1003: 429, -1015: 429, -1006: 500, -1007: 504, -1008: 503, -1002: 401, -2014: 401, -2015: 401}
"""HTTP-like status of a code, where it is not 400."""


class Refusal(Exception):
    """A request that is answered with an error: `code` and `message` of the dialect, `status` as in HTTP."""

    def __init__(self, code: int, message: str, data: Any = None, status: int = 0) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data
        self.status = status or _STATUS.get(code, 400)

    def body(self) -> dict[str, Any]:
        """The `error` map of a reply."""
        body: dict[str, Any] = {"code": self.code, "msg": self.message}
        if self.data is not None:
            body["data"] = self.data
        return body


def missing(name: str, hint: str = "") -> Refusal:
    text = f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."
    return Refusal(-1102, f"{text} {hint}" if hint else text)


def one_of_two(first: str, second: str) -> Refusal:
    return Refusal(-1102, f"Param '{first}' or '{second}' must be sent, but both were empty/null!")


def not_required(name: str, why: str) -> Refusal:
    return Refusal(-1106, f"Parameter '{name}' sent when not required. {why}")


def invalid(name: str, why: str) -> Refusal:
    return Refusal(-1130, f"Data sent for parameter '{name}' is not valid. {why}")


def malformed(why: str) -> Refusal:
    """The message itself cannot be read: no method, no parameters."""
    return Refusal(-1135, f"Invalid request: {why}")


def timed_out(why: str = "") -> Refusal:
    return Refusal(-1007, f"{TIMEOUT_TEXT} {why}" if why else TIMEOUT_TEXT)


def unknown_error() -> Refusal:
    """A fault of ours."""
    return Refusal(-1000, "An unknown error occurred while processing the request.", status=500)


def overloaded() -> Refusal:
    """Back-pressure: the command ring is full. Nothing was queued."""
    return Refusal(-1008, OVERLOAD_TEXT)


def journal_full() -> Refusal:
    """The journal's disk is full: no command could be made durable. Queries go on."""
    return Refusal(-1008, f"{OVERLOAD_TEXT} The journal's disk is full: no orders are taken, queries are answered.")


def too_many(what: str, limit: int) -> Refusal:
    return Refusal(-1003, f"Too many requests queued. At most {limit} {what}; wait for replies before sending more.")


def unsupported(why: str) -> Refusal:
    return Refusal(-1020, f"This operation is not supported. {why}")


def no_such_order() -> Refusal:
    return Refusal(NO_SUCH_ORDER, "Order does not exist.")


def no_such_symbol(symbol: str) -> Refusal:
    """A text that can be a symbol and is none, or one with letters that no symbol has: small ones, mostly."""
    if SYMBOL_RANGE.fullmatch(symbol):
        return Refusal(-1121, "Invalid symbol.")
    text = f"Illegal characters found in parameter 'symbol'; legal range is '{SYMBOL_RANGE.pattern}'."
    return Refusal(-1100, f"{text} Symbols are upper case, such as BTCUSDT.")


def ids_disagree() -> Refusal:
    """An order id and a client order id were sent, and are not of the same order."""
    return Refusal(-2039, "Client order ID is not correct for this order ID.")


def of_reason(
    reason: int,
    market: Market | None = None,
    price: int = 0,
    quantity: int = 0,
    quote_quantity: int = 0,
    parameter: str = "",
) -> Refusal:
    """A matcher's (or `check_order`'s) reason in the dialect's words; filters name the rule and a passing value.

    `price` and `quantity` are what the client asked for, in the market's units; `quote_quantity` in quote units.
    `parameter` names the one that was checked where that is neither `price` nor `quantity`.
    """
    known = Reason(reason)
    code, text = REASON_TEXT[known]
    if market is not None:
        why = _filter_words(known, market, price, quantity, quote_quantity, parameter)
        if why:
            text = f"{text}: {why}"
    return Refusal(code, text)


def of_order_limit(reason: int, limits: OrderLimits) -> Refusal:
    """ORDER_RATE_10S, ORDER_RATE_1D or TOO_MANY_OPEN_ORDERS, with the limit of the account that was refused."""
    if reason == Reason.TOO_MANY_OPEN_ORDERS:
        code, text = REASON_TEXT[Reason.TOO_MANY_OPEN_ORDERS]
        return Refusal(code, f"{text}: at most {limits.open_orders_max} open orders of one account in all markets")
    rates = {
        Reason.ORDER_RATE_10S: (limits.orders_10s_max, "10 SECOND"),
        Reason.ORDER_RATE_1D: (limits.orders_1d_max, "1 DAY"),
    }
    most, words = rates[Reason(reason)]
    return Refusal(-1015, f"Too many new orders; current limit is {most} orders per {words}.")


def _filter_words(
    reason: Reason, market: Market, price: int, quantity: int, quote_quantity: int, parameter: str
) -> str:
    if reason in (Reason.PRICE_TOO_LOW, Reason.PRICE_TOO_HIGH):
        return _out_of_range(parameter or "price", price, market.price_min, market.price_max, market.price_scale)
    if reason == Reason.PRICE_TICK:
        name = parameter or "price"
        return off_step_words(name, price, market.tick, market.price_min, market.price_max, market.price_scale)
    if reason in (Reason.QUANTITY_TOO_LOW, Reason.QUANTITY_TOO_HIGH):
        name = parameter or "quantity"
        return _out_of_range(name, quantity, market.quantity_min, market.quantity_max, market.quantity_scale)
    if reason == Reason.QUANTITY_LOT:
        name = parameter or "quantity"
        return off_step_words(
            name, quantity, market.lot, market.quantity_min, market.quantity_max, market.quantity_scale
        )
    if reason in (Reason.NOTIONAL_TOO_LOW, Reason.NOTIONAL_TOO_HIGH):
        return _notional_words(reason, market, price, quantity, quote_quantity)
    return _market_filter_words(reason, market, quantity)


def _market_filter_words(reason: Reason, market: Market, quantity: int) -> str:
    """The filters that only some markets have, and those that bound what an account has open."""
    filters, symbol, scale = market.filters, market.symbol, market.quantity_scale
    most = filters.market_quantity_max or market.quantity_max
    if reason in (Reason.MARKET_QUANTITY_TOO_LOW, Reason.MARKET_QUANTITY_TOO_HIGH):
        return _out_of_range("quantity", quantity, filters.market_quantity_min, most, scale)
    if reason == Reason.MARKET_QUANTITY_LOT:
        return off_step_words("quantity", quantity, filters.market_lot, filters.market_quantity_min, most, scale)
    counts = {
        Reason.TOO_MANY_ORDERS: (market.orders_per_account_max, "orders"),
        Reason.TOO_MANY_ALGO_ORDERS: (filters.algo_orders_max, "stop orders"),
        Reason.TOO_MANY_ICEBERGS: (filters.iceberg_orders_max, "icebergs"),
        Reason.TOO_MANY_ORDER_LISTS: (filters.order_lists_max, "order lists"),
    }
    if reason in counts:
        count, noun = counts[reason]
        return f"at most {count} open {noun} of one account in {symbol}"
    if reason == Reason.POSITION_TOO_LARGE:
        position = _short(filters.position_max, market.base.scale)
        return f"at most {position} {market.base.name} may be had, free and locked and in open BUY orders of {symbol}"
    if reason == Reason.PRICE_FAR_FROM_AVERAGE:
        buy = _multiples(filters.bid_multiplier_down, filters.bid_multiplier_up)
        sell = _multiples(filters.ask_multiplier_down, filters.ask_multiplier_up)
        return f"a BUY {buy} and a SELL {sell} the average price would pass; avgPrice tells it"
    return ""


def _multiples(down: int, up: int) -> str:
    least, most = _short(down, MULTIPLIER_SCALE), _short(up, MULTIPLIER_SCALE)
    return f"of {least} to {most} times" if up else f"of {least} times or more"


def _out_of_range(name: str, value: int, least: int, most: int, scale: int) -> str:
    which = f"below the minimum {_short(least, scale)}" if value < least else f"above the maximum {_short(most, scale)}"
    return f"{name} {_short(value, scale)} is {which}; {_short(least, scale)} to {_short(most, scale)} would pass"


def off_step_words(name: str, value: int, step: int, least: int, most: int, scale: int) -> str:
    below = value - value % step
    nearest = [_short(near, scale) for near in (below, below + step) if least <= near <= most]
    return (
        f"{name} {_short(value, scale)} is not a multiple of {_short(step, scale)}; {' or '.join(nearest)} would pass"
    )


def _notional_words(reason: Reason, market: Market, price: int, quantity: int, quote_quantity: int) -> str:
    low = reason == Reason.NOTIONAL_TOO_LOW
    scale = market.quote.scale
    bound = market.notional_min if low else market.notional_max
    which = f"below the minimum {_short(bound, scale)}" if low else f"above the maximum {_short(bound, scale)}"
    if quote_quantity:
        return f"quoteOrderQty {_short(quote_quantity, scale)} is {which}; {_short(bound, scale)} would pass"
    amount = notional(market, price, quantity)
    words = f"price x quantity {_short(amount, scale)} is {which}"
    passing = quantity_worth(market, price, bound, round_up=low)
    if market.quantity_min <= passing <= market.quantity_max:
        words += f"; quantity {_short(passing, market.quantity_scale)} at this price would pass"
    return words


def notional(market: Market, price: int, quantity: int) -> int:
    """price x quantity in quote units; rounded down where tick or lot are not kept."""
    exponent = market.quote.scale - market.price_scale - market.quantity_scale
    product = price * quantity
    return product * 10**exponent if exponent >= 0 else product // 10**-exponent


def quantity_worth(market: Market, price: int, amount: int, *, round_up: bool) -> int:
    """The quantity, a multiple of the lot, that is worth `amount` quote units at `price`."""
    exponent = market.quote.scale - market.price_scale - market.quantity_scale
    numerator = amount * 10 ** max(-exponent, 0)
    lot_value = price * market.lot * 10 ** max(exponent, 0)
    lots = -(-numerator // lot_value) if round_up else numerator // lot_value
    return lots * market.lot


def _short(value: int, scale: int) -> str:
    return format_scaled(value, scale, 0)
