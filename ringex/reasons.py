"""Why a command was refused, or an order closed; and the dialect's code and words for each."""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class Reason(IntEnum):
    """Why a command was refused, or an order closed. `REASON_TEXT` has the dialect's code and message of each."""

    NONE = 0
    INVALID_SYMBOL = 1
    INVALID_SIDE = 2
    INVALID_ORDER_TYPE = 3
    INVALID_TIME_IN_FORCE = 4
    INVALID_QUANTITY = 5
    PRICE_TOO_LOW = 6
    PRICE_TOO_HIGH = 7
    PRICE_TICK = 8
    QUANTITY_TOO_LOW = 9
    QUANTITY_TOO_HIGH = 10
    QUANTITY_LOT = 11
    NOTIONAL_TOO_LOW = 12
    NOTIONAL_TOO_HIGH = 13
    INSUFFICIENT_BALANCE = 14
    DUPLICATE_CLIENT_ORDER_ID = 15
    WOULD_TAKE = 16
    UNKNOWN_ORDER = 17
    REQUEST_EXPIRED = 18
    TOO_MANY_REQUESTS_REMEMBERED = 19
    TOO_MANY_ORDERS = 20
    ENGINE_FULL = 21
    AMEND_NOTHING = 22
    AMEND_LOSES_PRIORITY = 23
    AMEND_BELOW_EXECUTED = 24
    UNKNOWN_ACCOUNT = 25
    UNKNOWN_ASSET = 26
    AMOUNT_OUT_OF_RANGE = 27
    ALREADY_EXISTS = 28
    INVALID_MARKET = 29
    CANCEL_RESTRICTED = 30
    INVALID_COMMAND = 31
    CANCELED_BY_CLIENT = 32
    CANCELED_WITH_ALL = 33
    NO_LIQUIDITY = 34
    NOT_FILLED_AT_ONCE = 35
    NEW_ORDER_REJECTED = 36
    CANCEL_REJECTED = 37
    INVALID_SELF_TRADE_PREVENTION = 38
    INVALID_STOP_PRICE = 39
    WOULD_TRIGGER = 40
    INVALID_ICEBERG = 41
    PREVENTED = 42
    MARKET_CLOSED = 43
    ACCOUNT_BLOCKED = 44
    INVALID_GOOD_TILL = 45
    EXPIRED_BY_TIME = 46
    INVALID_TRAILING_DELTA = 47
    INVALID_PEG = 48
    NO_PEG_PRICE = 49
    INVALID_FEES = 75
    INVALID_PARENT = 76
    UNKNOWN_WITHDRAWAL = 77
    WITHDRAWAL_CLOSED = 78
    TRANSFER_NOT_ALLOWED = 79
    DISCONNECTED = 85
    CANCELED_BY_OPERATOR = 86
    COUNTDOWN_OVER = 87
    INVALID_COUNTDOWN = 88
    UNKNOWN_KEY = 95
    INVALID_FILTERS = 60
    MARKET_QUANTITY_TOO_LOW = 61
    MARKET_QUANTITY_TOO_HIGH = 62
    MARKET_QUANTITY_LOT = 63
    TOO_MANY_ALGO_ORDERS = 64
    TOO_MANY_ICEBERGS = 65
    TOO_MANY_ORDER_LISTS = 66
    POSITION_TOO_LARGE = 67
    PRICE_FAR_FROM_AVERAGE = 68
    PRICE_COLLAR = 69
    TRAILING_DELTA_RANGE = 70
    ILLEGAL_TRANSITION = 71
    NOT_IN_AUCTION = 72
    MARKET_PAUSED = 73
    ENDED_WITH_LIST = 100
    INVALID_ORDER_LIST = 101
    PRICE_RELATION = 102
    ORDER_RATE_10S = 110
    ORDER_RATE_1D = 111
    TOO_MANY_OPEN_ORDERS = 112
    INVALID_SCHEDULE = 113
    INVALID_STRATEGY = 114


REASON_TEXT: Final[dict[Reason, tuple[int, str]]] = {
    Reason.NONE: (0, ""),
    Reason.INVALID_SYMBOL: (-1121, "Invalid symbol."),
    Reason.INVALID_SIDE: (-1117, "Invalid side."),
    Reason.INVALID_ORDER_TYPE: (-1116, "Invalid orderType."),
    Reason.INVALID_TIME_IN_FORCE: (-1115, "Invalid timeInForce."),
    Reason.INVALID_QUANTITY: (-1013, "Invalid quantity."),
    Reason.PRICE_TOO_LOW: (-1013, "Filter failure: PRICE_FILTER"),
    Reason.PRICE_TOO_HIGH: (-1013, "Filter failure: PRICE_FILTER"),
    Reason.PRICE_TICK: (-1013, "Filter failure: PRICE_FILTER"),
    Reason.QUANTITY_TOO_LOW: (-1013, "Filter failure: LOT_SIZE"),
    Reason.QUANTITY_TOO_HIGH: (-1013, "Filter failure: LOT_SIZE"),
    Reason.QUANTITY_LOT: (-1013, "Filter failure: LOT_SIZE"),
    Reason.NOTIONAL_TOO_LOW: (-1013, "Filter failure: NOTIONAL"),
    Reason.NOTIONAL_TOO_HIGH: (-1013, "Filter failure: NOTIONAL"),
    Reason.INSUFFICIENT_BALANCE: (-2010, "Account has insufficient balance for requested action."),
    Reason.DUPLICATE_CLIENT_ORDER_ID: (-2010, "Duplicate order sent."),
    Reason.WOULD_TAKE: (-2010, "Order would immediately match and take."),
    Reason.UNKNOWN_ORDER: (-2011, "Unknown order sent."),
    Reason.REQUEST_EXPIRED: (-1021, "Timestamp for this request is outside of the recvWindow."),
    Reason.TOO_MANY_REQUESTS_REMEMBERED: (-1015, "Too many new orders."),
    Reason.TOO_MANY_ORDERS: (-1013, "Filter failure: MAX_NUM_ORDERS"),
    Reason.ENGINE_FULL: (
        -1008,
        "Server is currently overloaded with other requests. Please try again in a few minutes.",
    ),
    Reason.AMEND_NOTHING: (-2038, "The requested action would change no state; rejecting."),
    Reason.AMEND_LOSES_PRIORITY: (-2038, "Order amend (quantity increase) is not supported."),
    Reason.AMEND_BELOW_EXECUTED: (-2038, "The new quantity must be greater than what has been executed."),
    Reason.UNKNOWN_ACCOUNT: (-2015, "Invalid API-key, IP, or permissions for action."),
    Reason.UNKNOWN_ASSET: (-1101, "Unknown asset."),
    Reason.AMOUNT_OUT_OF_RANGE: (-1102, "Amount is out of range."),
    Reason.ALREADY_EXISTS: (-1101, "It exists already."),
    Reason.INVALID_MARKET: (-1101, "The market's scales, tick, lot or bounds do not fit together."),
    Reason.CANCEL_RESTRICTED: (-2011, "Order was not canceled due to cancel restrictions."),
    Reason.INVALID_COMMAND: (-1020, "This operation is not supported."),
    Reason.CANCELED_BY_CLIENT: (0, "Canceled by its client."),
    Reason.CANCELED_WITH_ALL: (0, "Canceled with all open orders."),
    Reason.NO_LIQUIDITY: (0, "The book ran out before the order was filled."),
    Reason.NOT_FILLED_AT_ONCE: (0, "Fill or kill: the book could not fill it at once."),
    Reason.NEW_ORDER_REJECTED: (-2021, "Order cancel-replace partially failed."),
    Reason.CANCEL_REJECTED: (-2022, "Order cancel-replace failed."),
    Reason.INVALID_SELF_TRADE_PREVENTION: (-1130, "Invalid data sent for parameter 'selfTradePreventionMode'."),
    Reason.INVALID_STOP_PRICE: (-1130, "Invalid data sent for parameter 'stopPrice'."),
    Reason.WOULD_TRIGGER: (-2010, "Stop price would trigger immediately."),
    Reason.INVALID_ICEBERG: (-1130, "Invalid data sent for parameter 'icebergQty'."),
    Reason.PREVENTED: (0, "Ended by self-trade prevention."),
    Reason.MARKET_CLOSED: (-1013, "Market is closed."),
    Reason.ACCOUNT_BLOCKED: (-2010, "This action is disabled on this account."),
    Reason.INVALID_GOOD_TILL: (-1130, "Invalid data sent for parameter 'goodTillDate'."),
    Reason.EXPIRED_BY_TIME: (0, "It was good till a date, which has come."),
    Reason.INVALID_TRAILING_DELTA: (-1130, "Invalid data sent for parameter 'trailingDelta'."),
    Reason.INVALID_PEG: (-1130, "Invalid data sent for parameter 'pegPriceType'."),
    Reason.NO_PEG_PRICE: (-2010, "The book has no such price level to peg the order to."),
    Reason.INVALID_FEES: (-1101, "Fee rates must lie between -1 and 1, a multiplier between 0 and 1."),
    Reason.INVALID_PARENT: (-1101, "A sub-account can have none itself."),
    Reason.UNKNOWN_WITHDRAWAL: (-1101, "No withdrawal is held under this reference."),
    Reason.WITHDRAWAL_CLOSED: (-1101, "This withdrawal has been completed or released already."),
    Reason.TRANSFER_NOT_ALLOWED: (-2010, "Transfers are possible between an account and its sub-accounts."),
    Reason.INVALID_FILTERS: (-1101, "The market's filters do not fit together."),
    Reason.MARKET_QUANTITY_TOO_LOW: (-1013, "Filter failure: MARKET_LOT_SIZE"),
    Reason.MARKET_QUANTITY_TOO_HIGH: (-1013, "Filter failure: MARKET_LOT_SIZE"),
    Reason.MARKET_QUANTITY_LOT: (-1013, "Filter failure: MARKET_LOT_SIZE"),
    Reason.TOO_MANY_ALGO_ORDERS: (-1013, "Filter failure: MAX_NUM_ALGO_ORDERS"),
    Reason.TOO_MANY_ICEBERGS: (-1013, "Filter failure: MAX_NUM_ICEBERG_ORDERS"),
    Reason.TOO_MANY_ORDER_LISTS: (-1013, "Filter failure: MAX_NUM_ORDER_LISTS"),
    Reason.POSITION_TOO_LARGE: (-1013, "Filter failure: MAX_POSITION"),
    Reason.PRICE_FAR_FROM_AVERAGE: (-1013, "Filter failure: PERCENT_PRICE_BY_SIDE"),
    Reason.PRICE_COLLAR: (0, "The book goes on beyond the price collar."),
    Reason.TRAILING_DELTA_RANGE: (-1013, "Filter failure: TRAILING_DELTA"),
    Reason.ILLEGAL_TRANSITION: (-1020, "The market's status cannot change so."),
    Reason.NOT_IN_AUCTION: (
        -2010,
        "Before the market opens only limit orders that may rest and stop orders are taken.",
    ),
    Reason.MARKET_PAUSED: (0, "The market's circuit breaker has stopped it."),
    Reason.DISCONNECTED: (0, "Canceled because its session has ended."),
    Reason.CANCELED_BY_OPERATOR: (0, "Canceled by the operator."),
    Reason.COUNTDOWN_OVER: (0, "Canceled because a countdown was not set anew in time."),
    Reason.INVALID_COUNTDOWN: (-1130, "Invalid data sent for parameter 'countdownTime'."),
    Reason.ENDED_WITH_LIST: (0, "Ended because another order of its list has traded, triggered or ended."),
    Reason.INVALID_ORDER_LIST: (-1014, "Unsupported order combination."),
    Reason.PRICE_RELATION: (-2010, "The relationship of the prices for the orders is not correct."),
    Reason.UNKNOWN_KEY: (-2015, "There is no such API key, or it has been revoked."),
    Reason.ORDER_RATE_10S: (-1015, "Too many new orders."),
    Reason.ORDER_RATE_1D: (-1015, "Too many new orders."),
    Reason.INVALID_SCHEDULE: (
        -1101,
        "The times of a market's schedule must be to come and differ, and each status follow on the one before.",
    ),
    Reason.INVALID_STRATEGY: (-1130, "Invalid data sent for parameter 'strategyType'."),
    Reason.TOO_MANY_OPEN_ORDERS: (-1013, "Filter failure: EXCHANGE_MAX_NUM_ORDERS"),
}
"""Reason -> (code, message) of the dialect (errors.md). Filter failures get the passing value appended at the edge."""
