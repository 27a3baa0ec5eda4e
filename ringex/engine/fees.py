"""Fees: what a side of a trade pays, by the market's rates or its own, in what it received or in the fee asset.

The rate is that of the moment of the trade. An account without terms of its own costs one test, of a word in the
balance that its settlement writes anyway (`fee_terms`).
"""

from __future__ import annotations

from typing import Final

from ringex.engine.events import answer_plainly, emit
from ringex.engine.ledger import balance_find, balance_free, balance_make, book_fee, book_free, fee_terms_of
from ringex.engine.records import (
    ACCOUNT,
    ASSET,
    BALANCE,
    IN_FEE_ASSET,
    MARKET,
    ORDER,
    ROOT,
    SCHEDULE,
    SCHEDULED,
)
from ringex.engine.tallies import account_key
from ringex.jit import compiled, entry, inlined, int64
from ringex.memory import record_at
from ringex.messages import AMOUNT_MAX, FEE_ACCOUNT, FEE_RATE_ONE, FEES_COMMAND, FEES_EVENT
from ringex.reasons import Reason
from ringex.rules import base_amount, fee, part_of, power_of_ten
from ringex.tables import index_find, index_put, index_remove, pool_full, pool_give, pool_take, pool_used
from ringex.terms import EventKind, Side

EVERY_MARKET: Final = -1
_EVERY_MARKET_KEY: Final = 1 << 60
NOT_POSSIBLE: Final = -1
MORE_THAN_ANYBODY_HAS: Final = (1 << 63) - 1


@inlined
def charge(root: int, market: int, slot: int, limit: int, quantity: int, amount: int, rate: int, takes: bool) -> int:
    """Give an order what a trade brings it, less the fee; what it pays has been taken. Returns the fee as booked.

    The root's `fee_paid_in` says in what. `rate` is the market's; `limit` 0 means that the order pays from free.
    """
    s = record_at(root, 0, ROOT)
    order = record_at(s.orders, slot, ORDER)
    m = record_at(s.markets, market, MARKET)
    s.fee_paid_in = 0
    buys = order.side == Side.BUY
    received = base_amount(m, quantity) if buys else amount
    to = int64(order.base_balance) if buys else int64(order.quote_balance)
    account = int64(m.fee_base_balance) if buys else int64(m.fee_quote_balance)
    terms = int64(record_at(s.balances, to, BALANCE).fee_terms)
    if terms == 0:
        booked = book_fee(root, account, fee(rate, received))
        book_free(root, to, received - booked)
        return booked
    if terms & SCHEDULED != 0:
        rate = scheduled_rate(root, int64(order.account), market, rate, takes)
    book_free(root, to, received)
    if terms & IN_FEE_ASSET != 0 and rate > 0 and s.fee_asset != 0:
        paid = _pay_in_fee_asset(root, market, slot, limit, base_amount(m, quantity), amount, rate)
        if paid != NOT_POSSIBLE:
            return paid
    booked = book_fee(root, account, fee(rate, received))
    book_free(root, to, -booked)
    return booked


@compiled
def _pay_in_fee_asset(root: int, market: int, slot: int, limit: int, base: int, amount: int, rate: int) -> int:
    """Book the fee on a trade of `base` for `amount` in the fee asset. Returns it, or NOT_POSSIBLE and nothing done."""
    s = record_at(root, 0, ROOT)
    order = record_at(s.orders, slot, ORDER)
    m = record_at(s.markets, market, MARKET)
    asset = s.fee_asset - 1
    given = int64(m.quote_asset) if order.side == Side.BUY else int64(m.base_asset)
    if limit == 0 and given == asset:
        return int64(NOT_POSSIBLE)  # what the rest of the order will be paid from
    rate = part_of(rate, s.fee_multiplier)
    cost = int64(NOT_POSSIBLE)
    if m.base_asset != asset:
        cost = _in_fee_asset(root, asset, int64(m.quote_asset), fee(rate, amount))
    if cost == NOT_POSSIBLE:
        cost = _in_fee_asset(root, asset, int64(m.base_asset), fee(rate, base))
    own = balance_find(root, order.account, asset)
    if cost == NOT_POSSIBLE or own == 0 or balance_free(root, own) < cost:
        return int64(NOT_POSSIBLE)
    book_free(root, own, -cost)
    book_free(root, balance_find(root, FEE_ACCOUNT, asset), cost)
    s.fee_paid_in = s.fee_asset
    return cost


@compiled
def _in_fee_asset(root: int, fee_asset: int, asset: int, value: int) -> int:
    """`value` of an asset in the fee asset's unit, rounded up, at the last price; NOT_POSSIBLE where there is none."""
    s = record_at(root, 0, ROOT)
    if asset == fee_asset:
        return value
    number = record_at(s.assets, asset, ASSET).fee_market
    if number == 0:
        return int64(NOT_POSSIBLE)
    pricing = record_at(s.markets, number - 1, MARKET)
    if pricing.last_price == 0:
        return int64(NOT_POSSIBLE)
    exponent = record_at(s.assets, fee_asset, ASSET).scale + int64(pricing.price_scale)
    return divided_up(value, pricing.last_price, exponent - record_at(s.assets, asset, ASSET).scale)


@compiled
def divided_up(value: int, price: int, exponent: int) -> int:
    """value x 10^exponent / price, rounded up, exactly; MORE_THAN_ANYBODY_HAS where no balance is that large.

    By long division, a digit at a time: the product need not fit an int64. 0 <= value, 0 < price, both <= AMOUNT_MAX.
    """
    while exponent < 0:  # rounding up twice is rounding up once
        step = min(-exponent, 18)
        unit = power_of_ten(step)
        value = value // unit + (1 if value % unit != 0 else 0)
        exponent += step
    quotient = value // price
    rest = value % price
    for _ in range(exponent):
        if quotient > AMOUNT_MAX // 10:
            return int64(MORE_THAN_ANYBODY_HAS)
        quotient *= 10
        tenfold = int64(0)
        for _ in range(10):
            tenfold += rest
            if tenfold >= price:
                tenfold -= price
                quotient += 1
        rest = tenfold
    return quotient + (1 if rest != 0 else 0)


# Schedules.


@inlined
def _schedule_key(account: int, market: int) -> int:
    if market == EVERY_MARKET:
        return account_key(account, int64(0)) | _EVERY_MARKET_KEY
    return account_key(account, market)


@compiled
def scheduled_rate(root: int, account: int, market: int, rate: int, takes: bool) -> int:
    """What an account with schedules pays: by that of the market, else by that of every market, else `rate`."""
    s = record_at(root, 0, ROOT)
    slot = index_find(s.schedule_index, _schedule_key(account, market))
    if slot == 0:
        slot = index_find(s.schedule_index, _schedule_key(account, int64(EVERY_MARKET)))
    if slot == 0:
        return rate
    schedule = record_at(s.schedules, slot, SCHEDULE)
    return int64(schedule.taker_fee) if takes else int64(schedule.maker_fee)


@inlined
def _fits(rate: int) -> bool:
    return -FEE_RATE_ONE < rate < FEE_RATE_ONE


@compiled
def set_fees(root: int, command: int) -> None:
    """FEES_SET: an account's rates in a market or in all, or the end of them."""
    s = record_at(root, 0, ROOT)
    c = record_at(command, 0, FEES_COMMAND)
    account, market = int64(c.account), int64(c.market)
    slot = int64(0)
    reason = int64(Reason.NONE)
    if account <= FEE_ACCOUNT or account >= s.accounts_count:
        reason = int64(Reason.UNKNOWN_ACCOUNT)
    elif market < EVERY_MARKET or market >= s.markets_count:
        reason = int64(Reason.INVALID_SYMBOL)
    elif c.in_force > 1:
        reason = int64(Reason.INVALID_COMMAND)
    elif c.in_force == 1 and not (_fits(c.maker_fee) and _fits(c.taker_fee)):
        reason = int64(Reason.INVALID_FEES)
    else:
        slot = index_find(s.schedule_index, _schedule_key(account, market))
        if slot == 0 and c.in_force == 1 and pool_full(s.schedule_pool):
            reason = int64(Reason.ENGINE_FULL)
    if reason != Reason.NONE:
        answer_plainly(root, command, int64(EventKind.REJECTED), reason)
        return
    e = record_at(emit(root, int64(EventKind.FEES), account, market), 0, FEES_EVENT)
    if c.in_force == 1:
        if slot == 0:
            slot = pool_take(s.schedule_pool)
            fresh = record_at(s.schedules, slot, SCHEDULE)
            fresh.account = account
            fresh.market = market
            schedule_enter(root, slot)
        schedule = record_at(s.schedules, slot, SCHEDULE)
        schedule.maker_fee = c.maker_fee
        schedule.taker_fee = c.taker_fee
        e.maker_fee = c.maker_fee
        e.taker_fee = c.taker_fee
        e.in_force = 1
    elif slot != 0:
        _remove_schedule(root, slot)
    mark_balances(root, account)


@compiled
def schedule_enter(root: int, slot: int) -> None:
    """Enter a filled schedule record in the index, and count it for its account."""
    s = record_at(root, 0, ROOT)
    schedule = record_at(s.schedules, slot, SCHEDULE)
    index_put(s.schedule_index, _schedule_key(int64(schedule.account), int64(schedule.market)), slot)
    record_at(s.accounts, int64(schedule.account), ACCOUNT).schedules += 1


@compiled
def _remove_schedule(root: int, slot: int) -> None:
    """The youngest schedule takes the place of the one that goes: they lie in slots 1 .. used."""
    s = record_at(root, 0, ROOT)
    schedule = record_at(s.schedules, slot, SCHEDULE)
    index_remove(s.schedule_index, _schedule_key(int64(schedule.account), int64(schedule.market)))
    record_at(s.accounts, int64(schedule.account), ACCOUNT).schedules -= 1
    last = pool_used(s.schedule_pool)
    if slot != last:
        moved = record_at(s.schedules, last, SCHEDULE)
        key = _schedule_key(int64(moved.account), int64(moved.market))
        index_remove(s.schedule_index, key)
        schedule.account = moved.account
        schedule.market = moved.market
        schedule.maker_fee = moved.maker_fee
        schedule.taker_fee = moved.taker_fee
        index_put(s.schedule_index, key, slot)
    pool_give(s.schedule_pool, last)


@compiled
def mark_balances(root: int, account: int) -> None:
    """Write the account's fee terms into all its balances."""
    s = record_at(root, 0, ROOT)
    terms = fee_terms_of(root, account)
    for asset in range(s.assets_count):
        slot = balance_find(root, account, asset)
        if slot != 0:
            record_at(s.balances, slot, BALANCE).fee_terms = terms


# The fee asset.


@compiled
def set_fee_asset(root: int, command: int) -> None:
    """FEE_ASSET_SET: of the exchange (account 0), or whether an account pays its fees in it."""
    s = record_at(root, 0, ROOT)
    c = record_at(command, 0, FEES_COMMAND)
    account = int64(c.account)
    reason = int64(Reason.NONE)
    names_asset = account == FEE_ACCOUNT and c.in_force == 1
    if account < 0 or account >= s.accounts_count:
        reason = int64(Reason.UNKNOWN_ACCOUNT)
    elif c.in_force > 1:
        reason = int64(Reason.INVALID_COMMAND)
    elif names_asset and (c.asset < 0 or c.asset >= s.assets_count):
        reason = int64(Reason.UNKNOWN_ASSET)
    elif names_asset and (c.multiplier < 0 or c.multiplier > FEE_RATE_ONE):
        reason = int64(Reason.INVALID_FEES)
    elif names_asset and balance_find(root, FEE_ACCOUNT, c.asset) == 0 and pool_full(s.balance_pool):
        reason = int64(Reason.ENGINE_FULL)
    if reason != Reason.NONE:
        answer_plainly(root, command, int64(EventKind.REJECTED), reason)
        return
    asset = int64(c.asset) if names_asset else int64(0)
    e = record_at(emit(root, int64(EventKind.FEE_ASSET), account, asset), 0, FEES_EVENT)
    e.in_force = c.in_force
    if account != FEE_ACCOUNT:
        record_at(s.accounts, account, ACCOUNT).pays_in_fee_asset = c.in_force
        mark_balances(root, account)
        return
    s.fee_asset = 0
    s.fee_multiplier = 0
    if names_asset:
        balance_make(root, int64(FEE_ACCOUNT), asset)
        s.fee_asset = asset + 1
        s.fee_multiplier = c.multiplier
        e.multiplier = c.multiplier
    for number in range(s.assets_count):
        record_at(s.assets, number, ASSET).fee_market = 0
    for number in range(s.markets_count):
        note_fee_market(root, number)


@compiled
def note_fee_market(root: int, number: int) -> None:
    """If market `number` prices the fee asset in an asset for which no earlier market does, it does from now on."""
    s = record_at(root, 0, ROOT)
    market = record_at(s.markets, number, MARKET)
    priced = record_at(s.assets, int64(market.quote_asset), ASSET)
    if int64(market.base_asset) + 1 == s.fee_asset and priced.fee_market == 0:
        priced.fee_market = number + 1


@entry
@compiled
def import_schedules(root: int, count: int) -> None:
    """Enter `count` schedules, whose records have been written to slots 1, 2, ..., in pool and index."""
    s = record_at(root, 0, ROOT)
    for _ in range(count):
        schedule_enter(root, pool_take(s.schedule_pool))
