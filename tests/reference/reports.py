"""The events of the command that is being applied."""

from __future__ import annotations

from typing import Any

from reference.book import Order
from reference.directory import Market
from reference.records import Fields, empty_event
from reference.state import State
from ringex.reasons import Reason
from ringex.terms import CommandKind, EventFlag, EventKind, OrderStatus


class Reports:
    def __init__(self, state: State) -> None:
        self.state = state
        self.events: list[Fields] = []
        self.record: Fields = {}  # the record being applied: gives sequence and time
        self.cause: Fields = {}  # the command it belongs to: gives correlation, session and command_kind
        self.sequence = self.execution_id = 0

    def begin(self, record: Fields) -> None:
        self.events = []
        self.record = self.cause = record

    @property
    def room(self) -> int:
        """How many more events this step may emit."""
        return self.state.events_per_command_max - len(self.events)

    def emit(self, kind: EventKind, **fields: Any) -> None:
        self.sequence += 1
        header = {
            "sequence": self.sequence,
            "command_sequence": self.record["sequence"],
            "time_ns": self.record["time_ns"],
        }
        for name in ("correlation", "gateway", "incarnation", "connection"):
            header[name] = self.cause[name]
        event = empty_event(kind) | header
        assert fields.keys() <= event.keys(), fields.keys() - event.keys()
        self.events.append(event | {k: int(v) if not isinstance(v, str) else v for k, v in fields.items()})

    def order(
        self,
        kind: EventKind,
        order: Order,
        flag_bits: int = 0,
        *,
        with_level_at: int | None = None,
        **fields: Any,
    ) -> None:
        """Report on an order; with the level at that price, on its side, if that has changed."""
        copied = (
            "order_id account market price quantity executed_quantity executed_quote quote_quantity side order_type "
            "time_in_force created_ns client_order_id"
        )
        if kind == EventKind.ACCEPTED:
            copied += " stop_price iceberg_quantity self_trade_prevention good_till_ns trailing_delta"
            copied += " peg_price_type peg_offset strategy_id strategy_type"
        else:
            copied += " trade_count"
        report = {name: getattr(order, name) for name in copied.split()}
        if kind == EventKind.ACCEPTED and order.is_by_quote:
            report["quantity"] = 0
        if kind == EventKind.ACCEPTED and order.order_list:
            report["order_list_id"] = order.order_list.order_list_id
        if kind != EventKind.RESTED:
            report["execution_id"] = self.next_execution_id()
        held = self.state.held_balance(order)
        report |= {"status": order.open_status, "free": held.free, "locked": held.locked}
        report |= {"command_kind": self.cause["kind"], "transport": self.cause["transport"], "flag_bits": flag_bits}
        if with_level_at is not None:
            market = self.state.market_of(order)
            market.book_update_id += 1
            report["flag_bits"] |= EventFlag.LEVEL
            report["book_update_id"] = market.book_update_id
            report["level_price"] = with_level_at
            report["level_quantity"] = market.book.level_quantity(order.side, with_level_at)
        self.emit(kind, **report | fields)

    def market(self, number: int) -> None:
        """A market as it now is."""
        rules = self.state.directory.markets[number].rules
        header = empty_event(EventKind.ASSET).keys()
        body = {name: rules[name] for name in empty_event(EventKind.MARKET) if name not in header}
        self.emit(EventKind.MARKET, **body, market=number)

    def end_of_schedule(self, number: int) -> None:
        """An operator has given the market another status: the schedule that it may have had is void."""
        if self.state.forget_schedule(number):
            self.emit(EventKind.SCHEDULE, market=number)

    def refusal(self, command: Fields, reason: Reason) -> None:
        self.emit(EventKind.REJECTED, **self.as_asked(command) | {"reason": reason})

    def as_asked(self, command: Fields) -> Fields:
        """What REJECTED and DUPLICATE repeat of the command."""
        asked = {"account": command["account"], "command_kind": command["kind"], "transport": self.cause["transport"]}
        if command["kind"] in _ORDER_COMMANDS:
            copied = (
                "market order_id side order_type time_in_force price quantity quote_quantity client_order_id "
                "original_client_order_id"
            )
            asked |= {name: command[name] for name in copied.split() if name in command}
            asked["status"] = OrderStatus.REJECTED if command["kind"] == CommandKind.PLACE else 0
        if "reference" in command:
            asked["market"] = command["asset"]
        return asked

    def done(self, account: int, market: int, count: int) -> None:
        self.emit(
            EventKind.DONE,
            account=account,
            market=market,
            count=count,
            command_kind=self.cause["kind"],
            transport=self.cause["transport"],
        )

    def account(self, number: int) -> None:
        """An account as it now is."""
        account = self.state.directory.accounts[number]
        standing = {"trade_group": account.trade_group, "status": account.status, "parent": account.parent}
        self.emit(EventKind.ACCOUNT, account=number, name=account.name, **standing)

    def next_execution_id(self) -> int:
        self.execution_id += 1
        return self.execution_id

    def balances_in(self, market: Market, account: int, who: str) -> Fields:
        base = self.state.ledger.balance(account, market.base_asset)
        quote = self.state.ledger.balance(account, market.quote_asset)
        return {
            f"{who}_base_free": base.free,
            f"{who}_base_locked": base.locked,
            f"{who}_quote_free": quote.free,
            f"{who}_quote_locked": quote.locked,
        }


_ORDER_COMMANDS = (
    CommandKind.PLACE,
    CommandKind.CANCEL,
    CommandKind.CANCEL_ALL,
    CommandKind.AMEND,
    CommandKind.CANCEL_REPLACE,
    CommandKind.OCO_PLACE,
    CommandKind.OTO_PLACE,
    CommandKind.OTOCO_PLACE,
    CommandKind.LIST_CANCEL,
)
