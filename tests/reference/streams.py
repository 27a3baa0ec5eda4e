"""Random command streams: numbers drawn by Hypothesis, decoded into commands that have a point.

Each command is decoded from a few integers, one digit after the other (`Dice`), so that the smallest numbers mean the
plainest command and shrinking makes streams plainer. The decoder looks at the reference's open orders to name orders
that exist, most of the time; it looks at nothing of the engine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from reference.admin import CHANGEABLE
from reference.arena import ACCOUNTS, ASSET_SCALES, BTC, COIN, DEPOSITS, MARKETS, USDT, YEN
from reference.book import MARKET_TYPES, RESTING, STOP_TYPES
from reference.desk import Desk
from reference.directory import UNCHANGEABLE, Market
from reference.exchange import ReferenceExchange
from reference.placing import ANY_TIME_IN_FORCE
from reference.records import Fields
from ringex.messages import AMOUNT_MAX, FILTER_NAMES, LIMIT_NAMES, ORDER_LIMIT_NAMES, SCHEDULE_NAMES
from ringex.terms import CommandFlag, CommandKind, MarketStatus, OrderType, SelfTradePrevention, Side, TimeInForce

ROLL_MAX = (1 << 24) - 1  # Hypothesis draws evenly up to here
ROLLS_PER_COMMAND = 3

STRANGE = (-1, 0, 1, 7, 1 << 31, (1 << 31) - 1, 1 << 53, AMOUNT_MAX, AMOUNT_MAX + 1, (1 << 63) - 1, -(1 << 63))
CLIENT_ORDER_IDS = ("", "", "", "", "", "a", "b", "c" * 36)
OFF_STEP = (0,) * 19 + (1,)
MARKET_NUMBERS = (0, 0, 0, 1, 1, 1, 2, 3)
ACCOUNT_NAMES = ("fees", "dave", "erin", "alice", "", "f" * 32)
ORDER_TYPES = (
    *[OrderType.LIMIT] * 10,
    *[OrderType.LIMIT_MAKER, OrderType.MARKET] * 2,
    OrderType.STOP_LOSS,
    OrderType.STOP_LOSS_LIMIT,
    OrderType.TAKE_PROFIT,
    OrderType.TAKE_PROFIT_LIMIT,
)
SESSIONS = ({}, {"gateway": 3, "incarnation": 4}, {"gateway": 3, "incarnation": 5}, {"gateway": 3, "incarnation": 5})
PREVENTION_MODES = (*[SelfTradePrevention.NONE] * 6, *SelfTradePrevention)
FLAG_BITS = (0, 0, 0, 0, 1, 2, 2, 4, 8, 14, 64, 66, 0xFFFF_FFF0)


class Dice:
    """A big number, taken apart digit by digit; 0 once it is used up."""

    def __init__(self, rolls: Sequence[int]) -> None:
        self.number = 0
        for roll in reversed(rolls):
            self.number = self.number * (ROLL_MAX + 1) + roll

    def below(self, count: int) -> int:
        self.number, digit = divmod(self.number, count)
        return digit

    def one_of(self, choices: Sequence[Any]) -> Any:
        return choices[self.below(len(choices))]


Send = Callable[[tuple[Fields, ...]], Any]
"""Applies the records of one command to the exchange."""


class Stream:
    """Turns dice into commands for an exchange that `opening` has set up. Remembers what it sent, to repeat it.

    What the matcher puts in by itself (CONTINUE, TIMER) goes another way than the commands: `own`, not `send`.
    """

    def __init__(self, exchange: ReferenceExchange) -> None:
        self.exchange = exchange
        self.desk = Desk()
        self.requests: list[tuple[Fields, ...]] = []
        self.makers = (
            *[self._place] * 28,
            *[self._cancel] * 3,
            *[self._amend] * 5,
            *[self._order_list] * 4,
            self._list_cancel,
            *[self._cancel_replace] * 3,
            *[self._repeat] * 2,
            *[self._book] * 2,
            *[self._set] * 2,
            *[self._fees] * 2,
            self._move,
            *[self._withdraw] * 2,
            self._filters,
            *[self._auction] * 4,
            self._rules,
            self._cancel_all,
            self._mass,
            self._add,
            self._limits,
            self._order_limits,
            *[self._schedule] * 2,
            self._odd,
            self._malformed,
        )

    def opening(self) -> list[tuple[Fields, ...]]:
        """The limits, assets, markets, accounts and their money."""
        commands = [self.desk.limits(self.exchange.limits)]
        commands += [self.desk.asset(name, scale) for name, scale in ASSET_SCALES.items()]
        commands += [self.desk.market(**rules) for rules in MARKETS]
        commands += [self.desk.account(name) for name in ("alice", "bob", "carol")]
        for account in range(1, ACCOUNTS + 1):
            commands += [self.desk.deposit(account, asset, amount) for asset, amount in DEPOSITS.items()]
        commands += [self.desk.fees(2, -1_000, 70_000, market=0), self.desk.fee_asset(COIN, 75_000_000)]
        commands += [self.desk.pay_in_fee_asset(3)]
        return [(command,) for command in commands]

    def play(self, dice: Dice, send: Send, own: Send) -> None:
        """Time goes on, and one more command is sent, with all that goes before and after it by itself."""
        self.make = dice.one_of(self.makers)
        self.desk.time_ns += dice.one_of(
            (0,) * 15 + (1,) * 4 + (10,) * 4 + (25_000_000_000,) + (0,) * 11 + (86_400_000_000_000,)
        )
        while self.exchange.is_timer_due(self.desk.time_ns):
            own((self.desk.timer(),))
            self._go_on(own)
        send(self._records(dice))
        self._go_on(own)

    def _go_on(self, own: Send) -> None:
        while self.exchange.is_pending:
            own((self.desk.go_on(),))

    def _records(self, dice: Dice) -> tuple[Fields, ...]:
        """The records of one more command."""
        records: tuple[Fields, ...] = self.make(dice)
        for record in records:
            record["correlation"] = self.desk.sequence
            record["connection"] = record["account"] if record["account"] >= 0 else 0
            if record["kind"] != CommandKind.SESSION_LOST:
                record |= SESSIONS[self.desk.sequence % len(SESSIONS)]
        if dice.below(12) == 11:
            self._spoil(dice, dice.one_of(records))
        return records

    def _place(self, dice: Dice) -> tuple[Fields, ...]:
        market = dice.one_of(MARKET_NUMBERS)
        account = 1 + dice.below(ACCOUNTS)
        records = (self._place_record(dice, account, market),)
        self.requests.append(records)
        return records

    def _place_record(self, dice: Dice, account: int, market: int) -> Fields:
        order = self._order(dice, market) | self._key(dice)
        return self.desk.command(CommandKind.PLACE, account=account, **order)

    def _order(self, dice: Dice, market: int) -> Fields:
        rules = self.exchange.directory.markets[market]
        order: Fields = {"market": market, "side": 1 + dice.below(2)}
        order["price"] = rules.tick * (4 + dice.below(8)) + dice.one_of(OFF_STEP)
        order["quantity"] = rules.lot * (1 + dice.below(8)) + dice.one_of(OFF_STEP)
        order["order_type"] = dice.one_of(ORDER_TYPES)
        order["time_in_force"] = TimeInForce.GTC
        if order["order_type"] in ANY_TIME_IN_FORCE:
            order["time_in_force"] = dice.one_of((*[TimeInForce.GTC] * 4, TimeInForce.IOC, *list(TimeInForce)[2:]))
        elif order["order_type"] == OrderType.LIMIT_MAKER:
            order["time_in_force"] = dice.one_of((TimeInForce.GTC, TimeInForce.GTC, TimeInForce.GTD))
        if order["time_in_force"] == TimeInForce.GTD or dice.below(40) == 39:
            order["good_till_ns"] = self.desk.time_ns + dice.one_of((1, 10, 12, 30, 100, 0))
        order["self_trade_prevention"] = dice.one_of(PREVENTION_MODES)
        order["flag_bits"] = dice.one_of((0, 0, CommandFlag.CANCEL_ON_DISCONNECT))
        if dice.below(8) == 7:
            order |= {
                "strategy_id": dice.one_of((7, 1 << 40, 0, -1)),
                "strategy_type": dice.one_of((1_000_000, 0, 999_999)),
            }
        order["iceberg_quantity"] = self._iceberg_quantity(dice, order, rules)
        if order["order_type"] in STOP_TYPES:
            order["stop_price"] = rules.tick * (4 + dice.below(8)) + dice.one_of(OFF_STEP)
            if dice.below(3) == 0:
                order["trailing_delta"] = dice.one_of((1_000, 2_000, 500, 3_333, 1, 9_999, 10_000))
                order["stop_price"] *= dice.below(2)
        elif order["order_type"] == OrderType.MARKET and dice.below(2):
            amount = min(AMOUNT_MAX, rules.notional(order["price"], order["quantity"]))
            order |= {"quantity": 0, "quote_quantity": max(1, amount - dice.below(3))}
        if order["order_type"] in MARKET_TYPES:
            order["price"] = 0
        elif dice.below(8) == 7:
            order |= {"price": dice.one_of((0,) * 9 + (1,)), "peg_price_type": 1 + dice.below(2)}
            order["peg_offset"] = dice.one_of((0, 0, 0, 1, 2, 101))
        return order

    def _order_list(self, dice: Dice) -> tuple[Fields, ...]:
        kind = dice.one_of((CommandKind.OCO_PLACE, CommandKind.OTO_PLACE, CommandKind.OTOCO_PLACE))
        market = dice.one_of(MARKET_NUMBERS)
        account = 1 + dice.below(ACCOUNTS)
        orders = [] if kind == CommandKind.OCO_PLACE else [self._working(dice, market)]
        if kind == CommandKind.OTO_PLACE:
            orders.append(self._order(dice, market))
        else:
            orders += self._pair(dice, market)
        legs = [
            self.desk.command(CommandKind.PLACE, account=account, **o, client_order_id=self._id(dice)) for o in orders
        ]
        records = self.desk.order_list(kind, *legs, **self._key(dice))
        self.requests.append(records)
        return records

    def _working(self, dice: Dice, market: int) -> Fields:
        """An order that may be the working one, mostly."""
        order = self._order(dice, market)
        while order["order_type"] not in (OrderType.LIMIT, OrderType.LIMIT_MAKER) and dice.below(8):
            order = self._order(dice, market)
        return order

    def _pair(self, dice: Dice, market: int) -> list[Fields]:
        """What takes profit and what stops the loss, on either side of the last price, mostly."""
        rules = self.exchange.directory.markets[market]
        middle = rules.last_price // rules.tick or 7
        side = 1 + dice.below(2)
        away = 1 if side == Side.SELL else -1
        stop_price = rules.tick * max(1, middle - away * (1 + dice.below(3)))
        price = rules.tick * max(1, middle + away * (1 + dice.below(4)))
        if dice.below(16) == 15:
            stop_price, price = price, stop_price
        common = {"market": market, "side": side, "quantity": rules.lot * (1 + dice.below(6))}
        common |= {"self_trade_prevention": dice.one_of(PREVENTION_MODES), "flag_bits": dice.one_of((0, 0, 16))}
        stop_type = dice.one_of((OrderType.STOP_LOSS, OrderType.STOP_LOSS_LIMIT))
        profit_type = dice.one_of((*[OrderType.LIMIT_MAKER] * 3, OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT))
        stop = common | {"order_type": stop_type, "time_in_force": TimeInForce.GTC, "stop_price": stop_price}
        profit = common | {"order_type": profit_type, "time_in_force": TimeInForce.GTC, "price": price}
        if stop_type == OrderType.STOP_LOSS_LIMIT:
            stop |= {"price": stop_price - rules.tick * (dice.below(3) - 1)}
        if profit_type != OrderType.LIMIT_MAKER:
            profit |= {"price": price if profit_type == OrderType.TAKE_PROFIT_LIMIT else 0, "stop_price": price}
        for order in (stop, profit):
            self._refine(dice, rules, order)
        return [stop, profit] if dice.below(2) else [profit, stop]

    def _refine(self, dice: Dice, rules: Market, order: Fields) -> None:
        """Further terms of an order of a pair, seldom."""
        if order["order_type"] not in MARKET_TYPES:
            order["iceberg_quantity"] = self._iceberg_quantity(dice, order, rules)
            if dice.below(10) == 9:
                order |= {"price": 0, "peg_price_type": 1 + dice.below(2)}
            if dice.below(8) == 7:
                good_till_ns = self.desk.time_ns + dice.one_of((10, 30, 100, 0))
                order |= {"time_in_force": TimeInForce.GTD, "good_till_ns": good_till_ns}
        if order["order_type"] in STOP_TYPES and dice.below(8) == 7:
            order["trailing_delta"] = dice.one_of((1_000, 2_000, 500))
            order["stop_price"] *= dice.below(2)

    def _list_cancel(self, dice: Dice) -> tuple[Fields, ...]:
        lists = list(self.exchange.order_lists.values())
        if not lists:
            return (self.desk.list_cancel(1 + dice.below(ACCOUNTS), dice.below(4), market=dice.below(4)),)
        known = dice.one_of(lists[-16:])
        target = {"account": known.account, "market": known.market, "order_list_id": known.order_list_id}
        how = dice.below(8)
        if how == 1:
            target |= {"order_list_id": 0, "original_client_order_id": known.client_order_id}
        if how == 2:
            target["account"] = 1 + dice.below(ACCOUNTS)
        if how == 3:
            target["market"] = dice.below(len(MARKETS))
        return (self.desk.list_cancel(**target, client_order_id=self._id(dice)),)

    def _iceberg_quantity(self, dice: Dice, order: Fields, rules: Market) -> int:
        """Of a limit order that rests often some; of others seldom."""
        takes_one = order["order_type"] not in MARKET_TYPES and order["time_in_force"] in RESTING
        if dice.below(4 if takes_one else 40) < (3 if takes_one else 39):
            return 0
        lots_max = min(3, order["quantity"] // rules.lot)
        strange = dice.one_of((0,) * 15 + (1, rules.quantity_max, -rules.lot * 9))
        return int(rules.lot * (1 + dice.below(lots_max)) + strange)

    def _key(self, dice: Dice) -> Fields:
        """What makes a request one that is remembered, or not."""
        timestamp_us = dice.one_of((0, 1, 2))
        expires_ns = dice.one_of((0, 0, 0, 0, 20, 20, 20, 20, 20, 5, 5, 1, 1, -1))
        expires_ns = max(0, self.desk.time_ns + expires_ns) if expires_ns else 0
        return {"client_order_id": self._id(dice), "timestamp_us": timestamp_us, "expires_ns": expires_ns}

    def _id(self, dice: Dice) -> str:
        return str(dice.one_of(CLIENT_ORDER_IDS))

    def _target(self, dice: Dice) -> Fields:
        """Names an open order, mostly rightly."""
        orders = list(self.exchange.open_orders.values())
        if not orders:
            return {"account": 1 + dice.below(ACCOUNTS), "market": dice.below(len(MARKETS)), "order_id": dice.below(4)}
        order = dice.one_of(orders[-32:])
        target = {"account": order.account, "market": order.market, "order_id": order.order_id}
        how = dice.below(14)
        if how in (1, 2):
            target["original_client_order_id"] = order.client_order_id
        if how == 2:
            target["order_id"] = 0
        if how == 3:
            target["original_client_order_id"] = self._id(dice)
        if how == 4:
            target["account"] = 1 + dice.below(ACCOUNTS)
        if how == 5:
            target["market"] = dice.below(len(MARKETS))
        if how == 6:
            target["order_id"] += 1
        return target

    def _cancel(self, dice: Dice) -> tuple[Fields, ...]:
        target = self._target(dice)
        return (self.desk.cancel(**target, client_order_id=self._id(dice), flag_bits=dice.one_of(FLAG_BITS)),)

    def _cancel_all(self, dice: Dice) -> tuple[Fields, ...]:
        market, flag_bits = dice.below(len(MARKETS) + 1) - 1, dice.one_of((0, CommandFlag.OF_SESSION))
        return (self.desk.cancel_all(1 + dice.below(ACCOUNTS), market, flag_bits=flag_bits),)

    def _mass(self, dice: Dice) -> tuple[Fields, ...]:
        """The end of a session, or of a gateway's life, an operator's kill switch. What was stopped may go on later."""
        account, market = dice.one_of((1, 2, 3, 0, ACCOUNTS + 1)), dice.below(len(MARKETS) + 1)
        how = dice.below(9)
        if how < 2:
            return (self.desk.session_closed(account),)
        if how > 5:
            countdown_ns = dice.one_of((0, 10, 20, 60, 1, -1, 10**18))
            return (self.desk.countdown(account, countdown_ns, market - 1, expires_ns=dice.one_of((0, 0, 0, 1))),)
        if how < 4:
            return (self.desk.session_lost(3, 4) if how == 2 else self.desk.session_lost(0, 0),)
        return (self.desk.account_kill(account) if how == 4 else self.desk.market_kill(market),)

    def _amend(self, dice: Dice) -> tuple[Fields, ...]:
        target = self._target(dice)
        rules = self.exchange.directory.markets[target["market"]]
        order = self.exchange.open_orders.get(target["order_id"])
        quantity = rules.lot * dice.below(9)
        if order and dice.below(2):
            quantity = order.quantity + rules.lot * dice.one_of((-1, 1, -2, 2, -1, -3))
        price = rules.tick * dice.one_of((0, 0, 0, 0, 4, 5, 6, 7, 8, 9, 10, 11))
        values = {"price": price, "quantity": quantity, "client_order_id": self._id(dice)}
        return (self.desk.amend(**target, **values, flag_bits=dice.one_of(FLAG_BITS)),)

    def _cancel_replace(self, dice: Dice) -> tuple[Fields, ...]:
        target = self._target(dice)
        leg = self.desk.cancel_leg(**target, client_order_id=self._id(dice), flag_bits=dice.one_of(FLAG_BITS))
        records = (leg, self._place_record(dice, target["account"], target["market"]))
        self.requests.append(records)
        return records

    def _repeat(self, dice: Dice) -> tuple[Fields, ...]:
        """An earlier request once more, word for word."""
        if not self.requests:
            return self._place(dice)
        earlier = dice.one_of(self.requests[-8:])
        again = []
        for record in earlier:
            self.desk.sequence += 1
            again.append(record | {"sequence": self.desk.sequence, "time_ns": self.desk.time_ns})
        return tuple(again)

    def _book(self, dice: Dice) -> tuple[Fields, ...]:
        book = self.desk.deposit if dice.below(2) else self.desk.withdraw
        account, asset = dice.below(ACCOUNTS + 2), dice.below(len(ASSET_SCALES))
        amount = max(1, DEPOSITS[asset] // dice.one_of((7, 100, 1, 10**9)))
        return (book(account, asset, amount, dice.one_of(("r1", "r2", "", ""))),)

    def _move(self, dice: Dice) -> tuple[Fields, ...]:
        """A transfer within a family or across, by whom may or may not."""
        giver, taker = dice.below(ACCOUNTS + 3), dice.below(ACCOUNTS + 3)
        by = dice.one_of((0, giver, giver, self._parent_of(giver), self._parent_of(taker)))
        asset = dice.below(len(ASSET_SCALES))
        amount = max(1, DEPOSITS[asset] // dice.one_of((7, 100, 1, 10**9)))
        expires_ns = dice.one_of((0, 0, 0, 0, self.desk.time_ns, self.desk.time_ns - 1))
        reference = dice.one_of(("r1", "r2", "", ""))
        return (self.desk.transfer(giver, taker, asset, amount, reference, by, expires_ns=expires_ns),)

    def _parent_of(self, account: int) -> int:
        accounts = self.exchange.directory.accounts
        return accounts[account].parent if account < len(accounts) else account

    def _withdraw(self, dice: Dice) -> tuple[Fields, ...]:
        """A withdrawal held, or the end of one that is held, mostly."""
        held = [key for key, hold in self.exchange.ledger.holds.items() if not hold.outcome or dice.below(4) == 0]
        if not held or dice.below(3) == 0:
            asset = dice.below(len(ASSET_SCALES))
            amount = max(1, DEPOSITS[asset] // dice.one_of((7, 100, 1, 10**9)))
            reference = dice.one_of(("r1", "r2", f"w{self.desk.sequence}", f"w{self.desk.sequence}"))
            return (self.desk.hold(dice.below(ACCOUNTS + 2), asset, amount, reference),)
        account, reference = dice.one_of(held[-8:])
        close = self.desk.complete if dice.below(2) else self.desk.release
        return (close(account, dice.one_of((reference,) * 7 + ("r3",))),)

    def _set(self, dice: Dice) -> tuple[Fields, ...]:
        """A trade group, a block; a market's status, more often one that lets it trade sooner."""
        if dice.below(2):
            market = dice.below(len(MARKETS))
            status = self.exchange.directory.markets[market].status
            if status == MarketStatus.TRADING:
                strange = (MarketStatus.HALT, MarketStatus.CLOSED, MarketStatus.PRE_OPEN, 0, 6)
                return (self.desk.market_set(market, dice.one_of((MarketStatus.AUCTION,) * 4 + strange)),)
            forth = {MarketStatus.CLOSED: MarketStatus.PRE_OPEN}.get(status, MarketStatus.TRADING)
            return (self.desk.market_set(market, dice.one_of((forth, forth, forth, *MarketStatus))),)
        account, group = dice.one_of((1, 2, 3, 0, ACCOUNTS + 1)), dice.one_of((0, 7, 7, 7, -1))
        return (self.desk.account_set(account, group, dice.one_of((1, 1, 1, 1, 2, 0, 3))),)

    def _fees(self, dice: Dice) -> tuple[Fields, ...]:
        """A fee schedule, the fee asset, or who pays in it; sometimes what is not allowed."""
        what = dice.below(3)
        account = dice.one_of((1, 1, 2, 2, 3, 3, 0, ACCOUNTS + 2, -1))
        in_force = dice.one_of((1, 1, 1, 1, 0, 0, 2))
        if what == 0:
            return (self.desk.pay_in_fee_asset(account, in_force),)
        if what == 1:
            asset = dice.one_of((COIN, BTC, USDT, COIN, BTC, YEN, len(ASSET_SCALES) + 2, -1))
            return (self.desk.fee_asset(asset, dice.one_of((75_000_000, 1, 0, 10**8, 10**8 + 1, -1)), in_force),)
        rates = [dice.one_of((0, 100_000, 250_001, -12_345, 99_999_999, -99_999_999, 10**8, -(10**8))) for _ in "mt"]
        return (self.desk.fees(account, *rates, dice.below(len(MARKETS) + 3) - 2, in_force),)

    def _auction(self, dice: Dice) -> tuple[Fields, ...]:
        """A market that does not trade comes nearer to it; if all do, an auction begins in a busy one."""
        statuses = [market.status for market in self.exchange.directory.markets[: len(MARKETS)]]
        idle = [number for number, status in enumerate(statuses) if status != MarketStatus.TRADING]
        if idle and dice.below(4):
            market = dice.one_of(idle)
            closed = statuses[market] == MarketStatus.CLOSED
            return (self.desk.market_set(market, MarketStatus.PRE_OPEN if closed else MarketStatus.TRADING),)
        return (self.desk.market_set(dice.one_of(MARKET_NUMBERS), MarketStatus.AUCTION),)

    def _schedule(self, dice: Dice) -> tuple[Fields, ...]:
        """What may follow on the market's status, soon; sometimes what may not, or in a wrong order."""
        market = dice.one_of(MARKET_NUMBERS)
        status = self.exchange.directory.markets[market].status
        first = "pre_open_ns" if status == MarketStatus.CLOSED else "auction_ns"
        names = (first, "auction_ns", "open_ns", "close_ns")[dice.below(2) : dice.one_of((3, 3, 2, 3, 4))]
        times, time_ns = {}, self.desk.time_ns
        for name in names:
            time_ns += dice.one_of((1, 5, 10, 12, 30, 1, 25_000_000_000, 0))
            times[name] = time_ns
        if dice.below(12) == 11:
            times[dice.one_of(SCHEDULE_NAMES)] = self.desk.time_ns + dice.one_of((3, 0, 7, -(1 << 60)))
        return (self.desk.schedule(market, **times),)

    def _rules(self, dice: Dice) -> tuple[Fields, ...]:
        """A market's rules, some of them changed; sometimes with a status."""
        number = dice.below(len(MARKETS))
        market = self.exchange.directory.markets[number]
        rules = {name: market.rules[name] for name in (*CHANGEABLE, *UNCHANGEABLE)}
        for _ in range(1 + dice.below(3)):
            name = dice.one_of(("tick", "tick", "lot", "taker_fee", "maker_fee", "orders_per_account_max", "bounds"))
            if name in ("tick", "lot"):
                first = MARKETS[number].get(name, 1)
                rules[name] = dice.one_of((first, first * 2, first * 3, max(1, first // 2)))
            elif name == "bounds":
                tick, lot = rules["tick"], rules["lot"]
                rules |= {"price_min": tick * dice.one_of((1, 4)), "price_max": tick * dice.one_of((11, 9, 16))}
                rules |= {"quantity_min": lot, "quantity_max": lot * dice.one_of((9, 8, 12))}
            else:
                rules[name] = dice.one_of((0, 100_000, 3, 20))
        tick, lot = rules["tick"], rules["lot"]
        if dice.below(4):  # what orders ask for passes
            rules["price_min"] = min(rules["price_min"], 4 * tick)
            rules["price_max"] = max(rules["price_max"], 11 * tick)
        rules["price_min"] = max(tick, rules["price_min"] // tick * tick)
        rules["price_max"] = max(tick, rules["price_max"] // tick * tick)
        rules["quantity_min"] = max(lot, rules["quantity_min"] // lot * lot)
        rules["quantity_max"] = max(lot, rules["quantity_max"] // lot * lot)
        if dice.below(20) == 19:
            rules[dice.one_of(UNCHANGEABLE)] += 1
        return (self.desk.market_set(number, dice.one_of((0, 0, 0, 0, int(market.status))), **rules),)

    def _filters(self, dice: Dice) -> tuple[Fields, ...]:
        """Some filters of a market on, the others off."""
        market = dice.below(len(MARKETS))
        rules = self.exchange.directory.markets[market]
        choices: dict[str, tuple[int, ...]] = {
            "market_quantity_min": (rules.lot * 2, rules.lot * 3),
            "market_quantity_max": (rules.lot * 5, rules.lot * 6, 1),
            "market_lot": (rules.lot * 2, -1),
            "position_max": (rules.base_amount(rules.lot * 8) + DEPOSITS[rules.base_asset] // 8, 1, AMOUNT_MAX),
            "reference_price": (rules.tick * 7, rules.tick * 9, -1),
            "bid_multiplier_up": (11_000, 13_333, 40_000, (1 << 31) - 1),
            "bid_multiplier_down": (9_000, 4_999, 15_000),
            "ask_multiplier_up": (12_000, 15_001),
            "ask_multiplier_down": (9_001, 6_000),
            "average_minutes": (1, 2, 3, 60, 61),
            "algo_orders_max": (1, 2),
            "iceberg_orders_max": (1, 2),
            "order_lists_max": (1, -1),
            "trailing_above_max": (10, 200),
            "trailing_below_min": (5,),
            "filter_bits": (1, 2, 3, 8),
        }
        names = [dice.one_of(list(choices)) for _ in range(dice.one_of((0, 0, 1, 2, 4)))]
        filters = {name: dice.one_of(choices[name]) for name in names}
        if dice.below(2):
            band = {"breaker_band": dice.one_of((1_500, 3_000, 500, 20_000, -1))}
            band["breaker_window_seconds"] = dice.one_of((60, 1, 1_000, 0))
            band["breaker_pause_seconds"] = dice.one_of((20, 1, 100, 0))
            filters |= band | {"filter_bits": dice.one_of((0, 4, 5))}
        return (self.desk.filters(market, **filters),)

    def _add(self, dice: Dice) -> tuple[Fields, ...]:
        what = dice.below(5)
        if what == 0:
            return (self.desk.account(dice.one_of(ACCOUNT_NAMES), dice.one_of((0, 1, 2, 4, -1, 9))),)
        if what == 1:
            return (self.desk.asset(dice.one_of(("NEW", "BTC", "", "N" * 16)), dice.one_of((8, 0, 18, 19, -1))),)
        if what == 2:
            key, account, scopes = dice.one_of((1, 2, 0, (1 << 32) - 1)), dice.below(ACCOUNTS + 2), dice.below(8)
            values = {"account": account, "key_added": key, "scopes": scopes, "name": "label"}
            return (self.desk.command(CommandKind.KEY_ADD, **values),)
        if what == 3:
            known = [*self.exchange.directory.keys, 1, 2]
            return (self.desk.command(CommandKind.KEY_REVOKE, key_added=dice.one_of(known)),)
        rules = dict(dice.one_of(MARKETS)) | {"symbol": dice.one_of(("OTHER", "MORE", "BTCUSDT", "", "S" * 24))}
        assets = {name: dice.below(len(ASSET_SCALES) + 1) for name in ("base", "quote") if dice.below(2)}
        return (self.desk.market(**rules | assets),)

    def _limits(self, dice: Dice) -> tuple[Fields, ...]:
        """A few limits lowered, sometimes too far, or raised again; never beyond what there is room for."""
        numbers = dict(vars(self.exchange.limits))
        for _ in range(1 + dice.below(3)):
            name = dice.one_of(LIMIT_NAMES)
            numbers[name] = getattr(self.exchange.room, name) - dice.one_of((0, 1, 2, 3, 5, 8))
        return (self.desk.command(CommandKind.LIMITS_SET, **numbers),)

    def _order_limits(self, dice: Dice) -> tuple[Fields, ...]:
        """An account's own, or everybody's: mostly none that is felt, for all that is done needs orders."""
        account = dice.one_of((1, 2, 3, 0, 1, 2, 3, ACCOUNTS + 2))
        numbers = [0 if account else 1 << 30] * 3
        which = dice.below(8)
        if which < 3:
            numbers[which] = dice.one_of((3, 6, 1, 2, 4, -1, 0))
        return (self.desk.order_limits(account, *numbers),)

    def _odd(self, dice: Dice) -> tuple[Fields, ...]:
        """Kinds that a client does not send."""
        kind = dice.one_of(
            (CommandKind.SESSION_LOST, CommandKind.CONTINUE, 0, CommandKind.TRIGGER, CommandKind.UNCROSS, 255)
        )
        return (self.desk.command(kind, account=dice.below(ACCOUNTS + 1), gateway=3, incarnation=4),)

    def _malformed(self, dice: Dice) -> tuple[Fields, ...]:
        """A command that has not the records its kind takes."""
        how = dice.below(5)
        if how == 0:
            (record,) = dice.one_of((self._place, self._cancel, self._amend, self._book, self._add))(dice)
            return (record | {"slots": dice.one_of((0, 5, 255))},)
        if how == 4:
            own, *legs = self._order_list(dice)
            kind = dice.one_of((CommandKind.OCO_PLACE, CommandKind.OTOCO_PLACE, CommandKind.PLACE, own["kind"]))
            account = legs[-1]["account"] if dice.below(2) else 1 + dice.below(ACCOUNTS)
            return (own | {"kind": int(kind)}, *legs[:-1], legs[-1] | {"account": account})
        if how == 1:
            (record,) = dice.one_of((self._place, self._cancel, self._cancel_all, self._book))(dice)
            return (record | {"slots": 2}, *self._place(dice))
        if how == 2:
            (leg, place) = self._cancel_replace(dice)
            kind = dice.one_of((CommandKind.CANCEL, CommandKind.AMEND, CommandKind.CONTINUE, 0))
            return (leg, place | {"kind": int(kind), "slots": dice.one_of((1, 0, 3))})
        target = self._target(dice)
        leg = self.desk.cancel_leg(**target, client_order_id=self._id(dice))
        return (leg | {"slots": dice.one_of((1, 0, 5))},)

    def _spoil(self, dice: Dice, record: Fields) -> None:
        """Put a strange value into one field."""
        kept = ("sequence", "time_ns", "kind", "version", "ring", "ring_epoch", "ring_sequence", "checksum")
        spoilable = [name for name in record if name not in (*kept, "slots", "durable_sequence")]
        name = dice.one_of(spoilable)
        if isinstance(record[name], str):
            record[name] = "" if dice.below(2) else "x"
        else:
            record[name] = _wrapped(dice.one_of(STRANGE), _BITS.get(name, 64))


_BITS = {
    **dict.fromkeys(("account", "market", "asset", "scale", "scopes", "base_asset", "quote_asset"), 32),
    **dict.fromkeys(("from_account", "to_account"), 32),
    **dict.fromkeys(("maker_fee", "taker_fee", "orders_per_account_max", "trade_group", "multiplier", "parent"), 32),
    **dict.fromkeys(("flag_bits", "incarnation", "connection", "key", "key_added", "in_force"), -32),
    **dict.fromkeys(("side", "order_type", "time_in_force", "transport", "price_scale", "quantity_scale"), -8),
    **dict.fromkeys(FILTER_NAMES[5:-1], 32),
    **dict.fromkeys(ORDER_LIMIT_NAMES, 32),
    "filter_bits": -32,
    "self_trade_prevention": -8,
    "strategy_type": 32,
    "peg_price_type": -8,
    "peg_offset": -8,
    "trailing_delta": -16,
    "gateway": -16,
    "status": -16,
}
"""Width of the fields that are no i8; negative: without a sign."""


def _wrapped(value: int, bits: int) -> int:
    value %= 1 << abs(bits)
    return value - (1 << bits) if bits > 0 and value >> (bits - 1) else value
