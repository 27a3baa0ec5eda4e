"""The engine's records: what its tables hold, and the root through which compiled code reaches them.

Order, level, balance, key, request and reference slots start at 1 (0: none). Assets, markets and accounts are numbered
from 0 by arrival and lie at their number. A resting order costs its hot record (one cache line), a cold one (one line)
and entries in the indexes.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from ringex.messages import FILTER_NAMES, FILTERS_EVENT, LIMIT_NAMES, MARKET_EVENT, ORDER_LIMIT_NAMES
from ringex.orderlimits import ORDER_COUNTS
from ringex.rules import MARKET_RULES_FIELDS

RINGS: Final = 1 << 16
"""Ring numbers are two bytes, so every ring has its place."""
CACHE_LINE_BYTES: Final = 64

ORDER: Final = np.dtype(
    [
        ("order_id", "i8"),
        ("quantity", "i8"),  # total; MARKET by quote amount: 0
        ("executed", "i8"),
        ("executed_quote", "i8"),
        ("prev", "i4"),  # the next older order of the level
        ("next", "i4"),  # the next younger
        ("level", "i4"),  # 0: not resting (now matching)
        ("account", "i4"),
        ("base_balance", "i4"),  # slots of the account's two balances
        ("quote_balance", "i4"),
        ("trade_count", "i4"),
        ("side", "u1"),
        ("order_type", "u1"),
        ("time_in_force", "u1"),
        ("is_iceberg", "u1"),  # shows only a part at a time: see TERMS
    ],
    align=True,
)
assert ORDER.itemsize == CACHE_LINE_BYTES

ORDER_COLD: Final = np.dtype(
    [
        ("client_order_id", "u8", (5,)),
        ("created_ns", "i8"),
        ("older", "i4"),  # neighbours among the account's open orders, in order of acceptance
        ("younger", "i4"),
        ("self_trade_prevention", "i4"),
        ("order_list", "i4"),  # the slot of the list that it is of; 0: none
    ],
    align=True,
)
assert ORDER_COLD.itemsize == CACHE_LINE_BYTES
TERMS: Final = np.dtype(
    [
        ("stop_price", "i8"),
        ("limit_price", "i8"),  # of a stop order that waits; 0: it will be a market order
        ("iceberg_quantity", "i8"),  # what is shown at a time
        ("shown", "i8"),  # what is shown now, while it rests
        ("good_till_ns", "i8"),  # GTD: when it expires; else not meant
        ("trailing_delta", "u2"),  # basis points; 0: the stop price stays where it is
        ("peg_price_type", "u1"),  # PegPriceType of a stop order that waits: where its limit will come from
        ("peg_offset", "u1"),
    ],
    align=True,
)
"""What only stop orders, icebergs, GTD orders and orders of lists have. Other orders never touch theirs."""

ORDER_LIST: Final = np.dtype(
    [
        ("order_list_id", "i8"),
        ("order_ids", "i8", (3,)),  # of its orders, open or not: the working one, if any, then the others
        ("client_order_id", "u8", (5,)),
        ("account", "i4"),
        ("market", "i4"),
        ("kind", "i4"),  # ListKind
        ("phase", "i4"),  # WORKING, DUE, PLACED
        ("working", "i4"),  # slots of its orders that are open: OTO, OTOCO: the one that is placed first
        ("first", "i4"),
        ("second", "i4"),  # OCO, OTOCO: the other of the pair
        ("due_before", "i4"),  # DUE: neighbours among those of the market
        ("due_after", "i4"),
        ("reserved", "i4"),
    ],
    align=True,
)
"""An order list with at least one open order."""
WORKING: Final = 1
"""The working order is open; the others are pending."""
DUE: Final = 2
"""The working order is filled: the pending ones will be placed by a CONTINUE, as soon as the market trades."""
PLACED: Final = 3
ORDER_LIST_BYTES: Final = ORDER_LIST.itemsize
ORDER_LIST_ID_OFFSET: Final[int] = ORDER_LIST.fields["client_order_id"][1]  # type: ignore[index]
ORDER_IDS_OFFSET: Final[int] = ORDER_LIST.fields["order_ids"][1]  # type: ignore[index]

ORDER_SESSION: Final = np.dtype(
    [
        ("incarnation", "u4"),  # who has placed the order
        ("connection", "u4"),
        ("gateway", "u2"),
        ("cancel_on_disconnect", "u2"),
        ("older", "i4"),  # neighbours among the gateway's open orders that are canceled on disconnect
        ("younger", "i4"),
        ("_pad", "u1", (12,)),  # two a cache line
    ],
    align=True,
)
assert CACHE_LINE_BYTES % ORDER_SESSION.itemsize == 0
GATEWAY: Final = np.dtype([("oldest", "i4"), ("youngest", "i4")])
"""Of its open orders that are canceled on disconnect, in order of acceptance."""
GATEWAYS: Final = 1 << 16
"""Gateway numbers are two bytes, so every gateway has its place."""

ORDER_COLD_BYTES: Final = ORDER_COLD.itemsize
CLIENT_ORDER_ID_OFFSET: Final[int] = ORDER_COLD.fields["client_order_id"][1]  # type: ignore[index]

LEVEL: Final = np.dtype(
    [
        ("price", "i8"),
        ("quantity", "i8"),  # what all its orders show; stop orders that wait show nothing
        ("oldest", "i4"),
        ("youngest", "i4"),
        ("better", "i4"),  # neighbouring levels of the side
        ("worse", "i4"),
        ("market", "i4"),
        ("side", "i4"),  # Side, or one of those below
        ("icebergs", "i8"),  # how many of its orders may have more left than they show
        ("orders", "i8"),  # TRAILING: how many
        ("trail", "i8"),  # TRAILING: the trail that this run is of
    ],
    align=True,
)
assert LEVEL.itemsize == CACHE_LINE_BYTES

FALLING: Final = 3
RISING: Final = 4
"""Two further sides of a market: stop orders that fire when the last price has fallen, or risen, to their stop price.
FALLING has its highest price first, as BUY has; RISING its lowest, as SELL has."""
ARMING_FALLING: Final = 5
ARMING_RISING: Final = 6
"""The same for trailing stops that begin to follow the market when the last price has come to their stop price."""
TRAILING: Final = 6
"""Plus a Side: the side of levels that are runs of trailing stops, which follow the market."""
PENDING: Final = 9
"""The side of the level, one a market and in no order of prices, where orders are pending, by order_id."""

TRAIL: Final = np.dtype(
    [
        ("oldest", "i4"),  # its runs: levels
        ("youngest", "i4"),
        ("before", "i4"),  # neighbours among the trails of its market and side, by delta
        ("after", "i4"),
        ("delta", "i4"),  # basis points
    ],
    align=True,
)
"""The trailing stops of a market, side and delta: see `ringex.engine.trails`."""

BOOK_SIDE: Final = np.dtype([("best", "i4"), ("root", "i4")])

MARKET: Final = np.dtype(
    [
        *MARKET_RULES_FIELDS,
        ("trade_id", "i8"),  # the last given
        ("book_update_id", "i8"),  # the last given
        ("prevented_match_id", "i8"),  # the last given
        ("last_price", "i8"),  # of the last trade; 0: there was none
        ("price_grid", "i8"),  # every price in the books is a multiple of it, and at most `price_top`
        ("quantity_grid", "i8"),  # every order's quantity likewise
        ("price_top", "i8"),
        ("quantity_top", "i8"),
        ("indicative_price", "i8"),  # what the last INDICATIVE of an auction said
        ("indicative_quantity", "i8"),
        ("indicative_imbalance", "i8"),
        ("breaker_price", "i8"),  # the circuit breaker's reference; 0: none yet
        ("breaker_since_ns", "i8"),  # when its window began
        ("depth", "i8"),  # of the ordered prices
        ("fee_base_balance", "i4"),  # slots of account 0's balances
        ("fee_quote_balance", "i4"),
        ("buy", BOOK_SIDE),
        ("sell", BOOK_SIDE),
        ("falling", BOOK_SIDE),
        ("rising", BOOK_SIDE),
        ("arming_falling", BOOK_SIDE),
        ("arming_rising", BOOK_SIDE),
        ("trails_buy", "i4"),  # its trails, the smallest delta first
        ("trails_sell", "i4"),
        ("pending_level", "i4"),  # where its pending orders are; 0: it has none
        ("pairs", "i4"),  # how many order lists have two orders placed, one of which cancels the other
        ("due_oldest", "i4"),  # order lists that are DUE
        ("due_youngest", "i4"),
    ],
    align=True,
)
MARKET_BYTES: Final = MARKET.itemsize
BOOK_SIDE_BYTES: Final = BOOK_SIDE.itemsize
BUY_SIDE_OFFSET: Final[int] = MARKET.fields["buy"][1]  # type: ignore[index]
SYMBOL_OFFSET: Final[int] = MARKET.fields["symbol"][1]  # type: ignore[index]
MARKET_BODY_OFFSET: Final[int] = MARKET.fields["tick"][1]  # type: ignore[index]
MARKET_BODY_BYTES: Final = SYMBOL_OFFSET + 24 - MARKET_BODY_OFFSET
assert MARKET_EVENT.fields["symbol"][1] + 24 - MARKET_EVENT.fields["tick"][1] == MARKET_BODY_BYTES  # type: ignore[index]
FILTERS_OFFSET: Final[int] = MARKET.fields[FILTER_NAMES[0]][1]  # type: ignore[index]
FILTERS_BYTES: Final[int] = MARKET.fields[FILTER_NAMES[-1]][1] + 4 - FILTERS_OFFSET  # type: ignore[index]
assert all(
    MARKET.fields[name][1] - FILTERS_OFFSET == FILTERS_EVENT.fields[name][1] - FILTERS_EVENT.fields[FILTER_NAMES[0]][1]  # type: ignore[index]
    for name in FILTER_NAMES
)
"""Body and filters are laid out as in messages, so that each moves by one copy."""

ASSET: Final = np.dtype(
    [
        ("total", "i8"),
        ("scale", "i8"),
        ("fee_market", "i8"),  # number + 1 of the first market that prices the fee asset in this one; 0: none
        ("name", "S16"),
    ],
    align=True,
)
ASSET_BYTES: Final = ASSET.itemsize
ASSET_NAME_OFFSET: Final[int] = ASSET.fields["name"][1]  # type: ignore[index]

ACCOUNT: Final = np.dtype(
    [
        ("oldest", "i4"),  # its open orders, in order of acceptance
        ("youngest", "i4"),
        ("requests", "i8"),  # remembered for it now
        ("open_orders", "i4"),  # how many it has, in all markets
        *((name, ORDER_COUNTS.fields[name][0]) for name in ORDER_COUNTS.names or ()),  # type: ignore[index]
        *((name, "i4") for name in ORDER_LIMIT_NAMES),  # its own; 0: those of the root
        ("trade_group", "i4"),  # accounts of one group > 0 do not trade with each other
        ("status", "i4"),  # AccountStatus
        ("schedules", "i4"),  # how many fee schedules are its own
        ("pays_in_fee_asset", "i4"),  # so far what orders touch: one cache line
        ("parent", "i4"),  # whose sub-account it is; 0: nobody's
        ("name", "S32"),
        ("_pad", "u1", (28,)),
    ],
    align=True,
)
assert ACCOUNT.itemsize == 2 * CACHE_LINE_BYTES and ACCOUNT.fields["parent"][1] == CACHE_LINE_BYTES  # type: ignore[index]
ORDER_COUNTS_OFFSET: Final[int] = ACCOUNT.fields["short_window"][1]  # type: ignore[index]
assert ACCOUNT.fields["day_count"][1] == ORDER_COUNTS_OFFSET + ORDER_COUNTS.fields["day_count"][1]  # type: ignore[index]
ACCOUNT_BYTES: Final = ACCOUNT.itemsize
ACCOUNT_NAME_OFFSET: Final[int] = ACCOUNT.fields["name"][1]  # type: ignore[index]

TALLY: Final = np.dtype(
    [
        ("account", "i4"),
        ("market", "i4"),
        ("orders", "i4"),
        ("algo_orders", "i4"),  # stop orders, those that have fired included
        ("icebergs", "i4"),
        ("order_lists", "i4"),
        ("buying", "i8"),  # what its orders to buy have left; kept where the market has a position_max, else 0
    ],
    align=True,
)
"""What an account has open in a market; where it has nothing open there is none."""

KEY: Final = np.dtype([("key", "i8"), ("account", "i4"), ("scopes", "i4")], align=True)

BALANCE: Final = np.dtype(
    [
        ("account", "i4"),
        ("asset", "i4"),
        ("free", "i8"),
        ("locked", "i8"),
        ("fee_terms", "i4"),  # the account's: SCHEDULED, IN_FEE_ASSET. Settling a trade writes this line anyway
        ("reserved", "i4"),
    ]
)
SCHEDULED: Final = 1
"""The account has a fee schedule of its own, for some market or for all."""
IN_FEE_ASSET: Final = 2
"""The account pays its fees in the fee asset, where it can."""
SCHEDULE: Final = np.dtype([("account", "i4"), ("market", "i4"), ("maker_fee", "i4"), ("taker_fee", "i4")])
"""What an account pays in a market, or (market -1) in every one that it has no schedule for."""

REQUEST: Final = np.dtype(
    [
        ("timestamp_us", "i8"),
        ("expires_ns", "i8"),
        ("order_id", "i8"),  # the outcome: 0 if refused
        ("account", "i4"),
        ("reason", "i4"),  # the outcome: NONE if accepted
        ("is_list", "i8"),  # 1: of an order list; `order_id` is the list's then
        ("client_order_id", "u8", (5,)),
    ],
    align=True,
)
REQUEST_BYTES: Final = REQUEST.itemsize
REQUEST_ID_OFFSET: Final[int] = REQUEST.fields["client_order_id"][1]  # type: ignore[index]
EXPIRY: Final = np.dtype([("expires_ns", "i8"), ("request", "i8")])

TIMER: Final = np.dtype([("due_ns", "i8"), ("timer_sequence", "i8"), ("subject", "i8"), ("kind", "i8")])
"""See `ringex.engine.timers`; `timer_sequence` is in order of creation."""

REFERENCE: Final = np.dtype(
    [
        ("account", "i4"),
        ("kind", "i4"),
        ("reference", "u8", (5,)),
        ("amount", "i8"),  # WITHDRAW_HOLD: what was held
        ("asset", "i4"),
        ("outcome", "i4"),  # WITHDRAW_HOLD: 0 while it is held, then WITHDRAW_COMPLETE or WITHDRAW_RELEASE
    ],
    align=True,
)
REFERENCE_BYTES: Final = REFERENCE.itemsize
REFERENCE_WORDS_OFFSET: Final[int] = REFERENCE.fields["reference"][1]  # type: ignore[index]

RING: Final = np.dtype([("epoch", "i8"), ("ring_sequence", "i8")])

_WORK: Final[list[tuple[Any, ...]]] = [
    ("continuation_pending", "i8"),  # what CONTINUE goes on with: see below; 0: nothing
    ("pending_order", "i8"),  # the slot of the order that is matching
    ("pending_price", "i8"),  # its limit; 0 for MARKET orders
    ("pending_market", "i8"),  # its market; TRIGGER: the stops' market; CANCEL_ALL: the market or -1
    ("pending_account", "i8"),
    ("pending_quote", "i8"),  # MARKET by quote amount: the whole amount
    ("pending_collar", "i8"),  # how far an order without a limit may walk; 0: as far as it likes
    ("pending_session", "i8"),  # mass cancels: 1: only orders of the command's session; else 0
    ("correlation", "i8"),  # of the command that events are emitted for now; kept while it is pending
    ("connection", "i8"),
    ("incarnation", "i8"),
    ("gateway", "i8"),
    ("transport", "i8"),
]
"""`continuation_pending` is a CommandKind: PLACE, AMEND, OTO_PLACE, OTOCO_PLACE or (a stop order that has fired, a
pending order that is placed) CONTINUE where an order is matching on, a mass cancel's own kind where orders are left to
cancel, TRIGGER where a stop order or an order list is due."""

LIMITS: Final = np.dtype([(name, "i8") for name in LIMIT_NAMES])
"""As the body of LIMITS_COMMAND and LIMITS_EVENT, so that it moves by one copy."""
LIMITS_BYTES: Final = LIMITS.itemsize

ROOT: Final = np.dtype(
    [
        ("command_sequence", "i8"),  # the last applied
        ("time_ns", "i8"),
        ("event_sequence", "i8"),  # the last given, as are the ids below
        ("order_id", "i8"),
        ("execution_id", "i8"),
        ("order_list_id", "i8"),
        ("countdowns", "i8"),  # how many there are
        ("timer_sequence", "i8"),
        ("timer_next_ns", "i8"),  # when the first timer is due; 0: there is none
        ("short_window", "i8"),  # of `time_ns`, in which new orders are counted: see `ringex.orderlimits`
        ("short_until_ns", "i8"),  # when it is over; 0 in a state that has just been made
        ("day", "i8"),
        *_WORK,
        ("auction_price", "i8"),  # what an uncross would give: see `find_uncross`
        ("auction_quantity", "i8"),
        ("auction_imbalance", "i8"),
        ("event_base", "i8"),  # where this apply writes events: slot (sequence - 1) & event_mask
        ("event_mask", "i8"),
        ("event_first", "i8"),  # event_sequence when this apply began
        ("cause_sequence", "i8"),  # command_sequence of the events of this apply
        ("base_balance", "i8"),  # slots that the checks of a new order found
        ("quote_balance", "i8"),
        ("level_found", "i8"),  # the level at its price; 0: there is none
        ("words", "i8", (5,)),  # a name on its way to its hash
        ("request", "i8"),  # the slot of the request being tried, 0: it is not to be remembered
        ("orders", "i8"),  # addresses of tables, pools and indexes
        ("orders_cold", "i8"),
        ("orders_terms", "i8"),
        ("orders_session", "i8"),
        ("gateways", "i8"),
        ("order_pool", "i8"),
        ("order_index", "i8"),  # order id -> slot
        ("client_index", "i8"),  # hash of (account, client order id) -> slot
        ("lists", "i8"),
        ("list_pool", "i8"),
        ("list_index", "i8"),  # list id -> slot
        ("list_client_index", "i8"),  # hash of (account, list client order id) -> slot
        ("tallies", "i8"),
        ("tally_pool", "i8"),
        ("tally_index", "i8"),  # account and market -> slot
        ("levels", "i8"),
        ("level_pool", "i8"),
        ("prices", "i8"),
        ("stop_prices", "i8"),
        ("stop_levels", "i8"),  # levels of stop orders in use
        ("balances", "i8"),
        ("balance_pool", "i8"),
        ("balance_index", "i8"),  # account and asset -> slot
        ("assets", "i8"),
        ("markets", "i8"),
        ("averages", "i8"),  # AVERAGE records by market number
        ("accounts", "i8"),
        ("name_index", "i8"),  # hash of a name and what it names -> number + 1
        ("keys", "i8"),
        ("key_pool", "i8"),
        ("key_index", "i8"),  # key number -> slot
        ("requests", "i8"),
        ("request_pool", "i8"),
        ("request_index", "i8"),  # hash of the request's key -> slot
        ("expiries", "i8"),  # a heap of EXPIRY, entries 1 .. requests remembered
        ("trails", "i8"),
        ("trail_pool", "i8"),
        ("first_price", "i8"),  # of this apply's first trade; 0: none yet
        (
            "scratch",
            "i8",
        ),  # address of COMMAND records: a pegged order's, with the price found for it, or a pending one's
        ("timers", "i8"),
        ("timer_pool", "i8"),
        ("timer_index", "i8"),  # kind and subject -> slot
        ("timer_heap", "i8"),  # of slots, by due_ns and timer_sequence
        ("references", "i8"),
        ("reference_pool", "i8"),
        ("reference_index", "i8"),  # hash of the reference's key -> slot
        ("schedules", "i8"),
        ("schedule_pool", "i8"),
        ("schedule_index", "i8"),  # account and market -> slot
        ("fee_asset", "i8"),  # number + 1 of the asset that fees can be paid in; 0: none
        ("fee_multiplier", "i8"),  # 1e-8; what part of a fee is charged in it
        ("fee_paid_in", "i8"),  # what the fee just booked was paid in: 0 what was received, else number + 1
        ("rings", "i8"),
        ("assets_count", "i8"),
        ("markets_count", "i8"),
        ("accounts_count", "i8"),
        *((name, "i8") for name in ORDER_LIMIT_NAMES),  # of accounts that have none of their own
        *((name, "i8") for name in LIMIT_NAMES),  # the limits in force
        ("room", LIMITS),  # what the tables have memory for
    ],
    align=True,
)

ROOT_WORDS_OFFSET: Final[int] = ROOT.fields["words"][1]  # type: ignore[index]
ROOT_LIMITS_OFFSET: Final[int] = ROOT.fields[LIMIT_NAMES[0]][1]  # type: ignore[index]
ROOT_ROOM_OFFSET: Final[int] = ROOT.fields["room"][1]  # type: ignore[index]

NUMBER_BITS: Final = 20
"""Asset and market numbers stay below 2^20 in keys made of an account and one of them."""
ASSETS_MOST: Final = (1 << 16) - 1
"""TRADE tells an asset's number + 1 in two bytes."""
