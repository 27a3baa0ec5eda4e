"""Mass cancels: which orders each command means, and that it takes them out step by step."""

from __future__ import annotations

from reference.amending import Amending
from reference.book import Order
from reference.records import Fields
from reference.reports import Reports
from reference.state import MassLeft, RefusedError, State
from ringex.messages import COUNTDOWN_NS_MAX, FEE_ACCOUNT
from ringex.reasons import Reason
from ringex.terms import AccountStatus, CommandFlag, CommandKind, EventKind, MarketStatus, TimerKind

STEP_EVENTS_MAX = 5
"""An order, two others of its list, the list, and DONE."""
REASONS = {
    CommandKind.CANCEL_ALL: Reason.CANCELED_WITH_ALL,
    CommandKind.SESSION_CLOSED: Reason.DISCONNECTED,
    CommandKind.SESSION_LOST: Reason.DISCONNECTED,
    CommandKind.ACCOUNT_KILL: Reason.CANCELED_BY_OPERATOR,
    CommandKind.MARKET_KILL: Reason.CANCELED_BY_OPERATOR,
    CommandKind.TIMER: Reason.COUNTDOWN_OVER,
}


class Masses:
    def __init__(self, state: State, reports: Reports, amending: Amending) -> None:
        self.state = state
        self.reports = reports
        self.amending = amending

    def cancel_all(self, command: Fields) -> None:
        if not self._orders_meant(command):
            raise RefusedError(Reason.UNKNOWN_ORDER)
        self.cancel_some(command)

    def close_session(self, command: Fields) -> None:
        self._check_account(command)
        self.cancel_some(command)

    def kill_account(self, command: Fields) -> None:
        self._check_account(command)
        self.state.directory.accounts[command["account"]].status = AccountStatus.BLOCKED
        self.reports.account(command["account"])
        self.cancel_some(command)

    def kill_market(self, command: Fields) -> None:
        if not self.state.directory.has_market(command["market"]):
            raise RefusedError(Reason.INVALID_SYMBOL)
        market = self.state.directory.markets[command["market"]]
        self.state.remove_timer(TimerKind.MARKET_RESUME, command["market"])
        self.reports.end_of_schedule(command["market"])
        if market.status != MarketStatus.CLOSED:
            market.rules["status"] = int(MarketStatus.HALT)
            market.indicative = (0, 0, 0)
        self.reports.market(command["market"])
        self.cancel_some(command)

    def countdown_set(self, command: Fields) -> None:
        account, market, countdown_ns = (command[name] for name in ("account", "market", "countdown_ns"))
        now = self.reports.record["time_ns"]
        self._check_account(command)
        if 0 < command["expires_ns"] < now:
            raise RefusedError(Reason.REQUEST_EXPIRED)
        if market != -1 and not self.state.directory.has_market(market):
            raise RefusedError(Reason.INVALID_SYMBOL)
        if not 0 <= countdown_ns <= COUNTDOWN_NS_MAX:
            raise RefusedError(Reason.INVALID_COUNTDOWN)
        subject = countdown_subject(account, market)
        others = [t for t in self.state.timers if t.kind == TimerKind.COUNTDOWN and t.subject != subject]
        is_new = all(t.subject != subject for t in self.state.timers if t.kind == TimerKind.COUNTDOWN)
        if countdown_ns and is_new and len(others) >= self.state.limits.accounts_max:
            raise RefusedError(Reason.ENGINE_FULL)
        self.state.remove_timer(TimerKind.COUNTDOWN, subject)
        due_ns = now + countdown_ns if countdown_ns else 0
        if due_ns:
            self.state.set_timer(TimerKind.COUNTDOWN, subject, due_ns)
        self.reports.emit(EventKind.COUNTDOWN, account=account, market=market, due_ns=due_ns)

    def countdown_over(self, subject: int, timer: Fields) -> None:
        account, market = subject >> 21, subject % (1 << 21) - 1
        self.cancel_some({**timer, "account": account, "market": market})

    def cancel_some(self, command: Fields) -> None:
        """One step: as many of the orders that the command means as there is room for events."""
        before = len(self.state.open_orders)
        for order in self._orders_meant(command):
            if order.order_id not in self.state.open_orders:
                continue  # it has gone with another of its list
            if self.reports.room < STEP_EVENTS_MAX:
                self.state.pending = MassLeft(command)
                return
            self.amending.take_out(order, REASONS[command["kind"]])
        count = before - len(self.state.open_orders)
        account = 0 if command["kind"] in (CommandKind.SESSION_LOST, CommandKind.MARKET_KILL) else command["account"]
        names_market = command["kind"] in (CommandKind.CANCEL_ALL, CommandKind.MARKET_KILL, CommandKind.TIMER)
        self.reports.done(account, command["market"] if names_market else 0, min(count, 65_535))

    def _orders_meant(self, command: Fields) -> list[Order]:
        """In the order in which they are canceled."""
        meant = [order for order in self.state.open_orders.values() if _means(command, order)]
        if command["kind"] == CommandKind.MARKET_KILL:
            return sorted(meant, key=lambda order: (order.account, order.order_id))
        return sorted(meant, key=lambda order: order.order_id)

    def _check_account(self, command: Fields) -> None:
        if command["account"] == FEE_ACCOUNT or not self.state.directory.has_account(command["account"]):
            raise RefusedError(Reason.UNKNOWN_ACCOUNT)


def countdown_subject(account: int, market: int) -> int:
    """One number for an account and a market, or every market (-1)."""
    return account * (1 << 21) + market + 1


def _means(command: Fields, order: Order) -> bool:
    session = tuple(command[name] for name in ("gateway", "incarnation", "connection"))
    is_mine = order.account == command["account"]
    match command["kind"]:
        case CommandKind.CANCEL_ALL:
            placed_here = order.session == session or not command["flag_bits"] & CommandFlag.OF_SESSION
            return is_mine and placed_here and command["market"] in (-1, order.market)
        case CommandKind.SESSION_CLOSED:
            return is_mine and order.session == session and order.cancel_on_disconnect
        case CommandKind.SESSION_LOST:
            gateway, incarnation, _ = order.session
            in_that_life = gateway == command["gateway"] and incarnation <= command["incarnation"]
            return in_that_life and order.cancel_on_disconnect
        case CommandKind.ACCOUNT_KILL:
            return is_mine
        case CommandKind.TIMER:
            return is_mine and command["market"] in (-1, order.market)
        case CommandKind.MARKET_KILL:
            return bool(order.market == command["market"])
    raise AssertionError(command["kind"])
