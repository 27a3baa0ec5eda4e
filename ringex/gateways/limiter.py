"""Limits of request weight: by key for what a key has signed, by address for everything else.

So a bot that floods does not take its neighbours at the same address along. A subject's weights are counted in fixed
windows, in this gateway and (`Tally`) in all others. Beyond a limit a request is refused with 429; whoever goes on all
the same is banned, 418, each time for twice as long. Peers of this machine are counted, and not limited.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any, Final

from ringex.config import RateLimits
from ringex.gateways.errors import Refusal
from ringex.gateways.meters import (
    BANNED_UNTIL,
    METERS_MAX,
    MINUTE,
    OTHERS_RAW,
    OTHERS_RAW_WINDOW,
    OTHERS_USED,
    OTHERS_WINDOW,
    RAW,
    RAW_SECONDS,
    RAW_WINDOW,
    REFUSED,
    USED,
    WINDOW,
    Meter,
    Meters,
)
from ringex.gateways.tally import Tally, id_of
from ringex.gateways.times import MILLISECOND_NS
from ringex.gateways.tokens import Tokens
from ringex.history.readmodel import ReadModel
from ringex.messages import FEE_ACCOUNT

ORDER_INTERVALS: Final[tuple[dict[str, Any], ...]] = (
    {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10},
    {"rateLimitType": "ORDERS", "interval": "DAY", "intervalNum": 1},
)
"""In which orders are counted."""
BANS_MAX: Final = 1 << 12
REFRESH_SECONDS: Final = 0.05
BAN_MEMORY_SECONDS: Final = 86_400
"""That long after the end of a ban the next one is a first one again."""


@dataclass(slots=True)
class Use:
    """Of one request: what its reply tells of limits, and in which unit times. `meter` None: nothing was counted."""

    is_shown: bool = True
    unit_ns: int = MILLISECOND_NS
    meter: Meter | None = None
    account: int = 0
    """Whose orders are counted; 0: nobody's."""
    tokens: int = 0
    """What it takes of its key's tokens, over Pintu Pro's envelope."""


class Limiter:
    """The limits of one gateway."""

    def __init__(self, limits: RateLimits, tally: Tally | None = None) -> None:
        self.limits = limits
        self.meters = Meters()
        self._refresh_at = 0.0
        self._tally = tally or Tally()
        self.tokens = Tokens(limits.tokens_10s, self._tally)
        self._meters: OrderedDict[str, Meter] = OrderedDict()
        self._bans: OrderedDict[int, tuple[int, int]] = OrderedDict()  # id -> until (seconds), how manieth

    def of_address(self, address: str) -> Meter:
        return self._meter(_subject_of(address), address)

    def of_key(self, number: int, address: str) -> Meter:
        """The key's; `address` is where it is used from."""
        meter = self._meter(f"key {number}", address)
        meter.is_limited = not self._is_exempt(address)
        return meter

    def take(self, meter: Meter, weight: int, now_ns: int) -> None:
        """Count a request. Raises Refusal -1003, 429 or 418, where a limit is passed."""
        if not self.limits.enabled:
            return
        now = now_ns // 1_000_000_000
        tally = self._tally
        tally.look()
        words = meter.words
        minute, raw_window = now // MINUTE, now // RAW_SECONDS
        if words[WINDOW] != minute:
            words[WINDOW], words[USED], words[REFUSED] = minute, 0, 0
        if words[RAW_WINDOW] != raw_window:
            words[RAW_WINDOW], words[RAW] = raw_window, 0
        words[USED] += weight
        words[RAW] += 1
        tally.set(meter.used_id, minute, words[USED])
        tally.set(meter.raw_id, raw_window, words[RAW])
        if not meter.is_limited:
            return
        banned_until = self._banned_until(meter)
        if banned_until > now:
            raise _banned(meter, banned_until, now_ns)
        limits = self.limits
        weight_max = limits.weight_per_key if meter.is_key else limits.weight_per_address
        used = words[USED] + tally.others(meter.used_id, minute)
        raw = words[RAW] + tally.others(meter.raw_id, raw_window)
        if used <= weight_max and raw <= limits.raw_requests:
            return
        words[REFUSED] += 1
        tally.set(meter.refused_id, minute, words[REFUSED])
        if words[REFUSED] + tally.others(meter.refused_id, minute) > limits.ban_after:
            raise _banned(meter, self._set_ban(meter, now), now_ns)
        if used > weight_max:
            raise _too_much(f"request weight used; current limit is {weight_max} request weight per 1 MINUTE", now_ns)
        raise _too_many(limits.raw_requests, now_ns)

    def refresh(self) -> None:
        """Show the others what compiled code has counted, and it what they have; a few times a second."""
        now = time.monotonic()
        if now < self._refresh_at:
            return
        self._refresh_at = now + REFRESH_SECONDS
        tally = self._tally
        tally.look()
        for meter in self.meters.take_dirty():
            self._meters.move_to_end(meter.who)
            words = meter.words
            tally.set(meter.used_id, words[WINDOW], words[USED])
            tally.set(meter.raw_id, words[RAW_WINDOW], words[RAW])
            words[OTHERS_WINDOW], words[OTHERS_USED] = words[WINDOW], tally.others(meter.used_id, words[WINDOW])
            words[OTHERS_RAW_WINDOW] = words[RAW_WINDOW]
            words[OTHERS_RAW] = tally.others(meter.raw_id, words[RAW_WINDOW])
            words[BANNED_UNTIL] = self._banned_until(meter)

    def is_exempt(self, address: str) -> bool:
        """Whether peers from there are counted, and not limited."""
        return not self.limits.enabled or self._is_exempt(address)

    def rows(self, use: Use, now_ns: int, model: ReadModel) -> list[dict[str, Any]]:
        """`rateLimits` of a reply."""
        meter = use.meter
        if meter is None or not self.limits.enabled:
            return []
        count = meter.used + self._tally.others(meter.used_id, meter.words[WINDOW])
        rows = [self.weight_limit(of_key=meter.is_key) | {"count": count}]
        return rows + self.order_rows(use.account, now_ns, model) if use.account else rows

    def order_rows(self, account: int, now_ns: int, model: ReadModel) -> list[dict[str, Any]]:
        """How many orders of an account count by now, beside how many may: both are the matcher's."""
        if not self.limits.enabled:
            return []
        counts = model.order_counts.of(account, now_ns)
        return [row | {"count": count} for row, count in zip(_order_rows(model, account), counts, strict=True)]

    def table(self, model: ReadModel) -> list[dict[str, Any]]:
        """`rateLimits` of exchangeInfo."""
        if not self.limits.enabled:
            return []
        raw = {"rateLimitType": "RAW_REQUESTS", "interval": "MINUTE", "intervalNum": 5}
        return [
            self.weight_limit(of_key=False),
            *_order_rows(model, FEE_ACCOUNT),
            raw | {"limit": self.limits.raw_requests},
        ]

    def connected(self, address: str, open_now: int) -> bool:
        """Note how many connections an address has at this gateway. False where it has too many at all of them."""
        if not self.limits.enabled or self._is_exempt(address):
            return True
        subject = id_of(f"connections {_subject_of(address)}")
        self._tally.look()
        self._tally.set(subject, 1, open_now)
        return open_now + self._tally.others(subject, 1) <= self.limits.connections_per_address

    def messages_max(self, address: str) -> int:
        """Messages a second that a WebSocket from there may send; 0: any number."""
        return 0 if not self.limits.enabled or self._is_exempt(address) else self.limits.messages_per_second

    def weight_limit(self, *, of_key: bool) -> dict[str, Any]:
        limit = self.limits.weight_per_key if of_key else self.limits.weight_per_address
        return {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": limit}

    def _meter(self, who: str, address: str) -> Meter:
        meters = self._meters
        meter = meters.get(who)
        if meter is None:
            if len(meters) >= METERS_MAX:
                self.meters.drop(meters.popitem(last=False)[1])
            meter = meters[who] = self.meters.make(who, not self._is_exempt(address))
        else:
            meters.move_to_end(who)
        return meter

    def _banned_until(self, meter: Meter) -> int:
        until, _ = self._bans.get(meter.ban, (0, 0))
        return max(until, self._tally.banned_until(meter.ban))

    def _set_ban(self, meter: Meter, now: int) -> int:
        until, times = self._bans.pop(meter.ban, (0, 0))
        times = times + 1 if now < until + BAN_MEMORY_SECONDS else 1
        seconds = min(self.limits.ban_seconds * 2 ** min(times - 1, 32), self.limits.ban_seconds_max)
        if len(self._bans) >= BANS_MAX:
            self._bans.popitem(last=False)
        self._bans[meter.ban] = (now + seconds, times)
        self._tally.set(meter.ban, now + seconds, times)
        return now + seconds

    def bans_in_force(self, now_ns: int) -> int:
        """How many subjects this gateway has banned, whose bans last."""
        return sum(until > now_ns // 1_000_000_000 for until, _ in self._bans.values())

    def _is_exempt(self, address: str) -> bool:
        return not address or is_in(address, self.limits.exempt)


def _order_rows(model: ReadModel, account: int) -> list[dict[str, Any]]:
    most = model.catalogue.order_limits_of(account)
    limits = (most.orders_10s_max, most.orders_1d_max)
    return [interval | {"limit": limit} for interval, limit in zip(ORDER_INTERVALS, limits, strict=True)]


def _too_much(what: str, now_ns: int) -> Refusal:
    return _refusal(f"Too much {what}.", MINUTE - now_ns // 1_000_000_000 % MINUTE, now_ns)


def _too_many(most: int, now_ns: int) -> Refusal:
    seconds = RAW_SECONDS - now_ns // 1_000_000_000 % RAW_SECONDS
    return _refusal(f"Too many requests; current limit is {most} requests per 5 MINUTE.", seconds, now_ns)


def _refusal(text: str, seconds: int, now_ns: int) -> Refusal:
    text += f" Wait {seconds} s; use WebSocket streams instead of asking again and again."
    return Refusal(-1003, text, _retry(now_ns, seconds))


def _banned(meter: Meter, until: int, now_ns: int) -> Refusal:
    who = "key" if meter.is_key else "IP"
    text = f"Way too many requests; {who} banned until {until * 1000}. It went on after it had been told to wait."
    return Refusal(-1003, text, _retry(now_ns, until - now_ns // 1_000_000_000), status=418)


def _retry(now_ns: int, seconds: int) -> dict[str, int]:
    now_ms = now_ns // 1_000_000
    return {"serverTime": now_ms, "retryAfter": now_ms + seconds * 1000}


@lru_cache(1 << 12)
def _subject_of(address: str) -> str:
    """An IPv6 peer has at least 2^64 addresses to choose from: its network counts."""
    try:
        found = ip_address(address)
    except ValueError:
        return f"address {address}"
    if isinstance(found, IPv6Address) and found.ipv4_mapped is None:
        return f"address {ip_network((found, 64), strict=False)}"
    return f"address {getattr(found, 'ipv4_mapped', None) or found}"


@lru_cache(1 << 12)
def is_in(address: str, networks: tuple[str, ...]) -> bool:
    """Whether an IP address lies in one of the networks; what is no address does not."""
    try:
        found = ip_address(address)
    except ValueError:
        return False
    found = getattr(found, "ipv4_mapped", None) or found
    return any(found in ip_network(network) for network in networks)


def retry_seconds(data: Any) -> int | None:
    """`Retry-After` of a refusal's data: whole seconds, rounded up. None where it says of no time to wait until."""
    if not data or "retryAfter" not in data:
        return None
    return int(-(-(data["retryAfter"] - data["serverTime"]) // 1000))


def retry_header(data: Any) -> bytes:
    """The header line, or nothing."""
    seconds = retry_seconds(data)
    return b"" if seconds is None else b"Retry-After: %d\r\n" % seconds
