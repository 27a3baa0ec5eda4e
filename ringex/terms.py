"""The terms of the field as numbers: what commands, events and the state hold in their one-byte fields."""

from __future__ import annotations

from enum import IntEnum


class Side(IntEnum):
    BUY = 1
    SELL = 2


class OrderType(IntEnum):
    LIMIT = 1
    MARKET = 2
    LIMIT_MAKER = 3
    STOP_LOSS = 4
    STOP_LOSS_LIMIT = 5
    TAKE_PROFIT = 6
    TAKE_PROFIT_LIMIT = 7


class SelfTradePrevention(IntEnum):
    """What happens where an order meets one of its own account or trade group; the taker's mode decides."""

    NONE = 0
    EXPIRE_TAKER = 1
    EXPIRE_MAKER = 2
    EXPIRE_BOTH = 3
    DECREMENT = 4


class PegPriceType(IntEnum):
    """From which side of the book an order takes its price when it enters."""

    NONE = 0
    PRIMARY_PEG = 1
    """Its own side."""
    MARKET_PEG = 2
    """The other side."""


class MarketStatus(IntEnum):
    TRADING = 1
    HALT = 2
    PRE_OPEN = 3
    """Orders are collected: the book may cross, nothing trades."""
    AUCTION = 4
    """As PRE_OPEN, and INDICATIVE says what an uncross would give."""
    CLOSED = 5


class AccountStatus(IntEnum):
    ACTIVE = 1
    BLOCKED = 2


class TimeInForce(IntEnum):
    GTC = 1
    IOC = 2
    FOK = 3
    GTD = 4
    """Good till a date: as GTC, until `good_till_ns`."""


class OrderStatus(IntEnum):
    NEW = 1
    PARTIALLY_FILLED = 2
    FILLED = 3
    CANCELED = 4
    EXPIRED = 5
    REJECTED = 6
    EXPIRED_IN_MATCH = 7
    PENDING_NEW = 8
    """Of an order list: to be placed when the list's working order is filled."""


class ListKind(IntEnum):
    """What connects the orders of a list; its number of orders follows."""

    OCO = 1
    """One cancels the other: a pair."""
    OTO = 2
    """One triggers the other: a working order, and a pending one."""
    OTOCO = 3
    """One triggers a pair."""


class ListStatus(IntEnum):
    """What an ORDER_LIST event says has happened."""

    EXEC_STARTED = 1
    UPDATED = 2
    """An order has another client order id."""
    ALL_DONE = 3
    """No order of it is open any more."""


class Transport(IntEnum):
    """How a command came in; kept for drop copies, audits and disputes."""

    NONE = 0
    ADMIN = 1
    ZMQ = 2
    ZMQ_BINARY = 3
    WEB_REST = 4
    WEB_SOCKET = 5


class CommandKind(IntEnum):
    PLACE = 1
    CANCEL = 2
    CANCEL_ALL = 3
    AMEND = 4
    CANCEL_REPLACE = 5
    SESSION_LOST = 6
    CONTINUE = 7
    DEPOSIT = 8
    WITHDRAW = 9
    ASSET_ADD = 10
    MARKET_ADD = 11
    ACCOUNT_ADD = 12
    KEY_ADD = 13
    ACCOUNT_SET = 14
    MARKET_SET = 15
    TRIGGER = 16
    """Never sent: what a pending cascade of stop orders is called in the state."""
    LIMITS_SET = 17
    TIMER = 18
    """Never sent: the matcher sequences it itself as soon as the first of its timers is due."""
    FEES_SET = 25
    FEE_ASSET_SET = 26
    TRANSFER = 27
    WITHDRAW_HOLD = 28
    WITHDRAW_COMPLETE = 29
    WITHDRAW_RELEASE = 30
    MARKET_FILTERS_SET = 21
    UNCROSS = 22
    """Never sent: what an uncross is called in the state while it is pending, and in its events."""
    SESSION_CLOSED = 31
    MARKET_KILL = 32
    ACCOUNT_KILL = 33
    COUNTDOWN_SET = 34
    KEY_REVOKE = 36
    OCO_PLACE = 37
    OTO_PLACE = 38
    OTOCO_PLACE = 39
    LIST_CANCEL = 40
    ORDER_LIMITS_SET = 41
    MARKET_SCHEDULE = 42


class TimerKind(IntEnum):
    """What a timer is for, and so what its subject is; a subject has one timer of a kind at most."""

    ORDER_EXPIRY = 1
    """Subject: the id of an open GTD order."""
    MARKET_RESUME = 2
    """Subject: the number of a market that its circuit breaker has stopped."""
    MARKET_PHASE = 5
    """Subject: a market that will have another status by its schedule, and which, as `ringex.engine.schedules` says."""
    COUNTDOWN = 10
    """Subject: an account, and a market or all, as `ringex.engine.countdowns` makes one number of them."""


class CommandFlag(IntEnum):
    KEEP_PRIORITY = 1
    """AMEND: refuse what would lose priority (order.amend.keepPriority)."""
    ALLOW_FAILURE = 2
    """CANCEL_REPLACE: place the new order even where the cancel fails."""
    ONLY_NEW = 4
    """CANCEL, CANCEL_REPLACE: only an order that has not traded yet (cancelRestrictions=ONLY_NEW)."""
    ONLY_PARTIALLY_FILLED = 8
    """CANCEL, CANCEL_REPLACE: only an order that has traded (cancelRestrictions=ONLY_PARTIALLY_FILLED)."""
    CANCEL_ON_DISCONNECT = 16
    """PLACE: the order is canceled when its session ends."""
    OF_SESSION = 32
    """CANCEL_ALL: only orders that the command's own session has placed."""
    CANCEL_ONLY = 64
    """CANCEL_REPLACE: cancel even where the account may send no new order now (orderRateLimitExceededMode)."""


class EventKind(IntEnum):
    ACCEPTED = 1
    RESTED = 2
    TRADE = 3
    CANCELED = 4
    AMENDED = 5
    REJECTED = 6
    DUPLICATE = 7
    DONE = 8
    BALANCE = 9
    ASSET = 10
    MARKET = 11
    ACCOUNT = 12
    KEY = 13
    PREVENTED = 14
    TRIGGERED = 15
    LIMITS = 16
    FEES = 23
    FEE_ASSET = 24
    MARKET_FILTERS = 20
    BOOK = 21
    """A level has come to hold another quantity: `side`, and what flag LEVEL says."""
    INDICATIVE = 22
    COUNTDOWN = 27
    KEY_REVOKED = 29
    ORDER_LIST = 30
    """An order list has begun, has another order id in it, or is done."""
    PLACED = 31
    """The working order of a list is filled: a pending order enters the market, or waits for its stop price."""
    ORDER_LIMITS = 34
    SCHEDULE = 35


class EventFlag(IntEnum):
    LAST = 1
    """The last event of its command (of the whole chain, where the command was continued)."""
    LEVEL = 2
    """The event changed a price level: `level_price`, `level_quantity` (after), `book_update_id` say how."""
    PRIORITY_KEPT = 4
    """AMENDED: the order stays where it was in its queue."""
    WORKING = 8
    """ACCEPTED: the whole order rests in the book, nothing traded."""
    UNCROSS = 16
    """TRADE: at an auction's price, between two orders that rested; BOOK tells their levels, not the TRADE."""


class FilterFlag(IntEnum):
    """`filter_bits` of a market's filters."""

    MIN_TO_MARKET = 1
    """notional_min holds for MARKET orders by quantity too, at the reference price."""
    MAX_TO_MARKET = 2
    """notional_max likewise."""
    BREAK_TO_AUCTION = 4
    """The circuit breaker calls an auction; without the flag it halts."""


class KeyScope(IntEnum):
    TRADE = 1
    USER_DATA = 2
    USER_STREAM = 4
    FIX_API = 8
    FIX_API_READ_ONLY = 16
