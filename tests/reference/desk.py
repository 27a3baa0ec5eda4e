"""A desk: builds commands as dicts, in sequence, for tests that speak to the reference or to the engine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from reference.records import Fields, command_fields
from ringex.config import Limits
from ringex.messages import SCHEMA_VERSION
from ringex.terms import AccountStatus, CommandKind, OrderType, Side, TimeInForce

BUY, SELL = Side.BUY, Side.SELL
BTC, USDT = 0, 1
ALICE, BOB, CAROL = 1, 2, 3


@dataclass
class Desk:
    """Stamps sequence and time. All its methods give commands; none applies them."""

    sequence: int = 0
    time_ns: int = 1_000_000_000
    references: Iterator[int] = field(default_factory=lambda: iter(range(1, 1 << 30)))

    def command(self, kind: int, **fields: Any) -> Fields:
        self.sequence += 1
        values = {name: int(value) if not isinstance(value, str) else value for name, value in fields.items()}
        stamps = {"kind": int(kind), "version": SCHEMA_VERSION, "slots": 1}
        stamps |= {"sequence": self.sequence, "time_ns": self.time_ns}
        return command_fields(stamps | values)

    def asset(self, name: str, scale: int) -> Fields:
        return self.command(CommandKind.ASSET_ADD, name=name, scale=scale)

    def account(self, name: str, parent: int = 0) -> Fields:
        return self.command(CommandKind.ACCOUNT_ADD, name=name, parent=parent)

    def market(self, symbol: str = "BTCUSDT", base: int = BTC, quote: int = USDT, **rules: Any) -> Fields:
        """A market whose prices count cents and whose quantities count hundredths, unless `rules` say otherwise."""
        usual = {
            "price_scale": 2,
            "quantity_scale": 2,
            "tick": 1,
            "lot": 1,
            "price_min": 1,
            "price_max": 1_000_000,
            "quantity_min": 1,
            "quantity_max": 1_000_000,
            "notional_min": 0,
            "notional_max": 10**14,
            "maker_fee": 0,
            "taker_fee": 0,
            "orders_per_account_max": 100,
        }
        names = {"symbol": symbol, "base_asset": base, "quote_asset": quote}
        return self.command(CommandKind.MARKET_ADD, **(usual | names | rules))

    def limits(self, limits: Limits) -> Fields:
        return self.command(CommandKind.LIMITS_SET, **vars(limits))

    def order_limits(self, account: int, orders_10s: int = 0, orders_1d: int = 0, open_orders: int = 0) -> Fields:
        numbers = {"orders_10s_max": orders_10s, "orders_1d_max": orders_1d, "open_orders_max": open_orders}
        return self.command(CommandKind.ORDER_LIMITS_SET, account=account, **numbers)

    def account_set(self, account: int, trade_group: int = 0, status: int = AccountStatus.ACTIVE) -> Fields:
        return self.command(CommandKind.ACCOUNT_SET, account=account, trade_group=trade_group, status=status)

    def key_add(self, key: int, account: int, scopes: int = 1) -> Fields:
        return self.command(CommandKind.KEY_ADD, account=account, key_added=key, scopes=scopes)

    def key_revoke(self, key: int) -> Fields:
        return self.command(CommandKind.KEY_REVOKE, key_added=key)

    def market_set(self, market: int, status: int, **rules: Any) -> Fields:
        """A status; with `rules`, all of a market's, those too."""
        return self.command(CommandKind.MARKET_SET, market=market, status=status, **rules)

    def schedule(self, market: int = 0, **times: int) -> Fields:
        """`pre_open_ns`, `auction_ns`, `open_ns`, `close_ns`; what is not named is not to be."""
        return self.command(CommandKind.MARKET_SCHEDULE, market=market, **times)

    def fees(self, account: int, maker: int, taker: int, market: int = -1, in_force: int = 1) -> Fields:
        """A fee schedule; `in_force` 0 takes it back."""
        rates = {"maker_fee": maker, "taker_fee": taker}
        return self.command(CommandKind.FEES_SET, account=account, market=market, in_force=in_force, **rates)

    def fee_asset(self, asset: int, multiplier: int, in_force: int = 1) -> Fields:
        return self.command(CommandKind.FEE_ASSET_SET, asset=asset, multiplier=multiplier, in_force=in_force)

    def pay_in_fee_asset(self, account: int, in_force: int = 1) -> Fields:
        return self.command(CommandKind.FEE_ASSET_SET, account=account, in_force=in_force)

    def filters(self, market: int = 0, **filters: int) -> Fields:
        return self.command(CommandKind.MARKET_FILTERS_SET, market=market, **filters)

    def deposit(self, account: int, asset: int, amount: int, reference: str = "") -> Fields:
        reference = reference or f"deposit-{next(self.references)}"
        return self.command(CommandKind.DEPOSIT, account=account, asset=asset, amount=amount, reference=reference)

    def withdraw(self, account: int, asset: int, amount: int, reference: str = "") -> Fields:
        reference = reference or f"withdrawal-{next(self.references)}"
        return self.command(CommandKind.WITHDRAW, account=account, asset=asset, amount=amount, reference=reference)

    def transfer(
        self, giver: int, taker: int, asset: int, amount: int, reference: str = "", by: int = 0, **fields: Any
    ) -> Fields:
        """By the operator, unless another is named."""
        booking = {"from_account": giver, "to_account": taker, "asset": asset, "amount": amount}
        booking["reference"] = reference or f"transfer-{next(self.references)}"
        return self.command(CommandKind.TRANSFER, account=by, **booking | fields)

    def hold(self, account: int, asset: int, amount: int, reference: str) -> Fields:
        booking = {"asset": asset, "amount": amount, "reference": reference}
        return self.command(CommandKind.WITHDRAW_HOLD, account=account, **booking)

    def complete(self, account: int, reference: str) -> Fields:
        return self.command(CommandKind.WITHDRAW_COMPLETE, account=account, reference=reference)

    def release(self, account: int, reference: str) -> Fields:
        return self.command(CommandKind.WITHDRAW_RELEASE, account=account, reference=reference)

    def place(self, account: int, side: int, price: int, quantity: int, **fields: Any) -> Fields:
        """A LIMIT GTC order in market 0, unless `fields` say otherwise."""
        usual = {"order_type": OrderType.LIMIT, "time_in_force": TimeInForce.GTC}
        order = {"account": account, "side": side, "price": price, "quantity": quantity}
        return self.command(CommandKind.PLACE, **(usual | order | fields))

    def market_order(self, account: int, side: int, quantity: int = 0, **fields: Any) -> Fields:
        return self.place(account, side, 0, quantity, order_type=OrderType.MARKET, **fields)

    def stop(self, account: int, side: int, stop_price: int, quantity: int, **fields: Any) -> Fields:
        """A STOP_LOSS in market 0, unless `fields` say otherwise."""
        usual = {"order_type": OrderType.STOP_LOSS, "price": 0, "stop_price": stop_price}
        return self.place(account, side, quantity=quantity, **(usual | fields))

    def cancel(self, account: int, order_id: int = 0, **fields: Any) -> Fields:
        return self.command(CommandKind.CANCEL, account=account, order_id=order_id, **fields)

    def cancel_all(self, account: int, market: int = 0, **fields: Any) -> Fields:
        return self.command(CommandKind.CANCEL_ALL, account=account, market=market, **fields)

    def session_closed(self, account: int, **session: int) -> Fields:
        return self.command(CommandKind.SESSION_CLOSED, account=account, **session)

    def session_lost(self, gateway: int, incarnation: int) -> Fields:
        return self.command(CommandKind.SESSION_LOST, gateway=gateway, incarnation=incarnation)

    def countdown(self, account: int, countdown_ns: int, market: int = -1, **fields: Any) -> Fields:
        wanted = {"account": account, "market": market, "countdown_ns": countdown_ns}
        return self.command(CommandKind.COUNTDOWN_SET, **wanted, **fields)

    def account_kill(self, account: int) -> Fields:
        return self.command(CommandKind.ACCOUNT_KILL, account=account)

    def market_kill(self, market: int = 0) -> Fields:
        return self.command(CommandKind.MARKET_KILL, market=market)

    def amend(self, account: int, order_id: int = 0, **fields: Any) -> Fields:
        return self.command(CommandKind.AMEND, account=account, order_id=order_id, **fields)

    def cancel_leg(self, account: int, order_id: int = 0, **fields: Any) -> Fields:
        """The first record of a CANCEL_REPLACE; a `place` must follow."""
        return self.command(CommandKind.CANCEL_REPLACE, slots=2, account=account, order_id=order_id, **fields)

    def order_list(self, kind: CommandKind, *legs: Fields, **fields: Any) -> tuple[Fields, ...]:
        """The records of an order list: its own, and those of its orders, all of which were made by `place`."""
        own = {"account": legs[0]["account"], "market": legs[0]["market"], "slots": 1 + len(legs)}
        records = (self.command(kind, **own | fields), *legs)
        sequences = sorted(record["sequence"] for record in records)
        return tuple(record | {"sequence": number} for record, number in zip(records, sequences, strict=True))

    def list_cancel(self, account: int, order_list_id: int = 0, **fields: Any) -> Fields:
        return self.command(CommandKind.LIST_CANCEL, account=account, order_id=order_list_id, **fields)

    def go_on(self) -> Fields:
        return self.command(CommandKind.CONTINUE)

    def timer(self) -> Fields:
        return self.command(CommandKind.TIMER)
