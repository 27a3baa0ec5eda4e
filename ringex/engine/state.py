"""The state of the exchange: the memory of all its tables, reserved at the start.

Pages never touched cost nothing, and nothing grows: a full table is a refusal (ENGINE_FULL), never an allocation.
"""

from __future__ import annotations

from dataclasses import asdict

import numpy as np

from ringex.averages import AVERAGE
from ringex.config import Limits, OrderLimits
from ringex.engine.admin import add_fee_account
from ringex.engine.limits import enforce_limits
from ringex.engine.records import (
    ACCOUNT,
    ASSET,
    ASSETS_MOST,
    BALANCE,
    CACHE_LINE_BYTES,
    EXPIRY,
    GATEWAY,
    GATEWAYS,
    KEY,
    LEVEL,
    MARKET,
    NUMBER_BITS,
    ORDER,
    ORDER_COLD,
    ORDER_LIST,
    ORDER_SESSION,
    REFERENCE,
    REQUEST,
    RING,
    RINGS,
    ROOT,
    SCHEDULE,
    TALLY,
    TERMS,
    TIMER,
    TRAIL,
)
from ringex.engine.timers import timers_bound
from ringex.memory import address_of
from ringex.messages import COMMAND, FEE_ACCOUNT, LIMIT_NAMES, ORDER_LIMIT_NAMES
from ringex.tables import Heap, Ids, Index, Pool, Prices
from ringex.terms import AccountStatus


class State:
    """All tables, empty but for the fee account. `address` is the root's; the object must outlive its use.

    `limits` is what there is memory for. They are in force too, until LIMITS_SET or an import says otherwise.
    """

    def __init__(self, limits: Limits) -> None:
        check_limits(limits)
        self.limits = limits
        self.orders = _lines(limits.orders_max + 1, ORDER)
        self.orders_cold = _lines(limits.orders_max + 1, ORDER_COLD)
        self.orders_terms = np.zeros(limits.orders_max + 1, TERMS)
        self.orders_session = _lines(limits.orders_max + 1, ORDER_SESSION)
        self.gateways = np.zeros(GATEWAYS, GATEWAY)
        self.levels = _lines(limits.levels_max + limits.orders_max + 1, LEVEL)  # any stop order may need its own
        self.tallies = _lines(limits.orders_max + 1, TALLY)  # one has an open order at least
        self.trails = np.zeros(limits.orders_max + 1, TRAIL)
        self.scratch = np.zeros(3, COMMAND)
        self.lists = np.zeros(limits.orders_max + 1, ORDER_LIST)  # each has an open order at least
        self.balances = _lines(limits.balances_max + 1, BALANCE)
        self.assets = np.zeros(limits.assets_max, ASSET)
        self.markets = np.zeros(limits.markets_max, MARKET)
        self.averages = np.zeros(limits.markets_max, AVERAGE)
        self.accounts = _lines(limits.accounts_max, ACCOUNT)
        self.keys = np.zeros(limits.keys_max + 1, KEY)
        self.requests = np.zeros(limits.requests_remembered_max + 1, REQUEST)
        self.expiries = np.zeros(limits.requests_remembered_max + 1, EXPIRY)
        self.references = np.zeros(limits.references_max + 1, REFERENCE)
        timers_max = timers_bound(limits)
        self.timers = np.zeros(timers_max + 1, TIMER)
        self.schedules = np.zeros(limits.fee_schedules_max + 1, SCHEDULE)
        self.rings = np.zeros(RINGS, RING)
        self.pools = {
            "order_pool": Pool(self.orders),
            "level_pool": Pool(self.levels),
            "list_pool": Pool(self.lists),
            "tally_pool": Pool(self.tallies),
            "trail_pool": Pool(self.trails),
            "balance_pool": Pool(self.balances),
            "key_pool": Pool(self.keys),
            "request_pool": Pool(self.requests),
            "reference_pool": Pool(self.references),
            "timer_pool": Pool(self.timers),
            "schedule_pool": Pool(self.schedules),
        }
        self.prices = Prices(limits.levels_max, 2 * limits.markets_max)
        self.stop_prices = Prices(limits.orders_max, 4 * limits.markets_max)
        self.indexes: dict[str, Ids | Index] = {
            "order_index": Ids(self.orders, limits.orders_max),
            "client_index": Index(limits.orders_max),
            "list_index": Index(limits.orders_max),
            "list_client_index": Index(limits.orders_max),
            "tally_index": Index(limits.orders_max),
            "balance_index": Index(limits.balances_max),
            "name_index": Index(limits.assets_max + limits.markets_max + limits.accounts_max),
            "key_index": Index(limits.keys_max),
            "request_index": Index(limits.requests_remembered_max),
            "reference_index": Index(limits.references_max),
            "timer_index": Index(timers_max),
            "schedule_index": Index(limits.fee_schedules_max),
        }
        self.timer_heap = Heap(timers_max)
        self.root_record = np.zeros(1, ROOT)
        self.address = address_of(self.root_record)
        self._point()
        self.root["room"] = tuple(vars(limits).values())
        self.enforce(limits)
        for name, number in asdict(OrderLimits()).items():
            self.root[name] = number
        self.accounts["name"][FEE_ACCOUNT] = b"fees"
        self.accounts["status"][FEE_ACCOUNT] = AccountStatus.ACTIVE
        add_fee_account(self.address)

    @property
    def root(self) -> np.void:
        """The root record; assigning to its fields by name writes the state."""
        return self.root_record[0]

    @property
    def limits_in_force(self) -> Limits:
        return Limits(**{name: int(self.root[name]) for name in LIMIT_NAMES})

    @property
    def order_limits_in_force(self) -> OrderLimits:
        """Those of accounts that have none of their own."""
        return OrderLimits(**{name: int(self.root[name]) for name in ORDER_LIMIT_NAMES})

    def enforce(self, limits: Limits) -> None:
        """Put limits in force, for a state that is being made: they have room, and nothing is in use beyond them."""
        numbers = np.array(list(vars(limits).values()), "i8")
        enforce_limits(self.address, address_of(numbers))

    def check_use(self, limits: Limits, time_ns: int) -> None:
        """Raises ValueError where more is in use than `limits` allow, requests that expire by `time_ns` left out."""
        places = self.expiries[1 : self.pools["request_pool"].used + 1]
        kept = self.requests["account"][places["request"][places["expires_ns"] >= time_ns]]
        counts = {name: int(self.root[f"{name}_count"]) for name in ("assets", "markets", "accounts")}
        for name in ("key", "balance", "order", "level", "reference"):
            counts[f"{name}s"] = self.pools[f"{name}_pool"].used
        counts["fee_schedules"] = self.pools["schedule_pool"].used
        counts["levels"] -= int(self.root["stop_levels"])
        counts["requests_remembered"] = len(kept)
        counts["requests_remembered_per_account"] = int(np.bincount(kept, minlength=1).max())
        for name, count in counts.items():
            limit = getattr(limits, f"{name}_max")
            if count > limit:
                raise ValueError(f"the state has {count} {name}, but limits.{name}_max is {limit}: raise the limit")

    def _point(self) -> None:
        for name in (
            *("orders", "orders_cold", "orders_terms", "orders_session", "gateways", "levels", "tallies"),
            *("trails", "scratch", "lists"),
            *("balances", "assets", "markets", "averages", "accounts", "keys"),
            *("requests", "expiries", "references", "schedules", "rings", "timers"),
        ):
            self.root[name] = address_of(getattr(self, name))
        for name, pool in self.pools.items():
            self.root[name] = pool.address
        for name, index in self.indexes.items():
            self.root[name] = index.address
        self.root["prices"] = self.prices.address
        self.root["stop_prices"] = self.stop_prices.address
        self.root["timer_heap"] = self.timer_heap.address


def _lines(count: int, dtype: np.dtype) -> np.ndarray:
    """Zeroed records that begin at a cache line. Shape (count,)."""
    raw = np.zeros(count * dtype.itemsize + CACHE_LINE_BYTES, "u1")
    skip = -address_of(raw) % CACHE_LINE_BYTES
    return raw[skip : skip + count * dtype.itemsize].view(dtype)


def check_limits(limits: Limits) -> None:
    """Raises ValueError where no tables of that size can be made."""
    for name, value in vars(limits).items():
        if value < 1:
            raise ValueError(f"limits: {name} is {value}; it must be at least 1")
    for name, most in (("assets_max", ASSETS_MOST), ("markets_max", 1 << NUMBER_BITS)):
        if getattr(limits, name) > most:
            raise ValueError(f"limits: {name} is {getattr(limits, name)}; at most {most} are possible")
    for name in ("orders_max", "levels_max", "balances_max", "accounts_max"):
        if getattr(limits, name) >= 1 << 28:
            raise ValueError(f"limits: {name} is {getattr(limits, name)}; it must be below {1 << 28}")
