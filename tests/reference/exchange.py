"""The reference exchange: one command in, its events out. Read it beside docs/trading-rules.md."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from reference.admin import Administration
from reference.amending import Amending
from reference.auctions import Auctions
from reference.bookings import Bookings
from reference.listing import KINDS, Listing
from reference.masses import Masses
from reference.matching import Matching
from reference.orderlists import OrderLists
from reference.placing import Placing
from reference.records import Fields, command_fields
from reference.reports import Reports
from reference.schedules import Schedules
from reference.state import MassLeft, RefusedError, Request, State, StopsDue, TakerLeft, UncrossLeft
from reference.stops import Stops
from ringex.config import Limits
from ringex.messages import EVENTS_PER_COMMAND_MAX, FEE_ACCOUNT
from ringex.reasons import Reason
from ringex.terms import CommandFlag, CommandKind, EventFlag, EventKind, MarketStatus, TimeInForce, TimerKind

SLOTS = {
    CommandKind.CANCEL_REPLACE: 2,
    CommandKind.OCO_PLACE: 3,
    CommandKind.OTO_PLACE: 3,
    CommandKind.OTOCO_PLACE: 4,
}


def _belong_together(command: Fields, others: list[Fields]) -> bool:
    """Whether the further records of a command are orders of the same account and market."""
    return all(
        other["kind"] == CommandKind.PLACE
        and (other["account"], other["market"]) == (command["account"], command["market"])
        for other in others
    )


class ReferenceExchange:
    def __init__(self, limits: Limits | None = None, events_per_command_max: int = EVENTS_PER_COMMAND_MAX) -> None:
        self.state = State(limits or Limits(), events_per_command_max)
        self.reports = Reports(self.state)
        self.lists = OrderLists(self.state, self.reports)
        matching = Matching(self.state, self.reports, self.lists)
        self.matching = matching
        self.placing = Placing(self.state, self.reports, matching)
        self.listing = Listing(self.state, self.reports, matching, self.placing, self.lists)
        self.amending = Amending(self.state, self.reports, matching)
        self.masses = Masses(self.state, self.reports, self.amending)
        self.stops = Stops(self.state, self.reports, matching)
        self.auctions = Auctions(self.state, self.reports, matching)
        self.admin = Administration(self.state, self.reports, self.auctions)
        self.schedules = Schedules(self.state, self.reports, self.admin)
        self.bookings = Bookings(self.state, self.reports)
        self.room = self.state.limits
        self.directory = self.state.directory
        self.ledger = self.state.ledger
        self.open_orders = self.state.open_orders
        self.order_lists = self.state.order_lists

    @property
    def limits(self) -> Limits:
        """Those in force."""
        return self.state.limits

    @property
    def is_pending(self) -> bool:
        """Whether the next command must be CONTINUE."""
        return self.state.pending is not None

    def is_timer_due(self, time_ns: int) -> bool:
        """Whether a TIMER must come before a command of that time."""
        first = self.state.first_timer()
        return first is not None and first.due_ns <= time_ns

    def apply(self, command: Any, *further: Any) -> list[Fields]:
        """Apply one command (a record or a dict; of several records: all of them). The events, as dicts."""
        record = command_fields(command)
        others = [command_fields(other) for other in further]
        self.reports.begin(record)
        self._forget_expired_requests()
        try:
            if record["slots"] != SLOTS.get(record["kind"], 1) or not _belong_together(record, others):
                raise RefusedError(Reason.INVALID_COMMAND)
            if record["kind"] == CommandKind.PLACE:
                self._request(record)
            elif record["kind"] == CommandKind.CANCEL_REPLACE:
                self._request(others[0], record)
            elif record["kind"] in KINDS:
                self._list_request(record, others)
            else:
                self._others().get(record["kind"], self._unknown)(record)
        except RefusedError as refused:
            self.reports.refusal(self.reports.cause, refused.reason)
        self._follow_prices()
        self._follow_expiries()
        if self.state.pending is None:
            self.reports.events[-1]["flag_bits"] |= EventFlag.LAST
            self._look_at_stops()
        return self.reports.events

    def _others(self) -> dict[int, Callable[[Fields], None]]:
        return {
            CommandKind.CANCEL: self._cancel,
            CommandKind.CANCEL_ALL: self._cancel_all,
            CommandKind.AMEND: self._amend,
            CommandKind.LIST_CANCEL: self._list_cancel,
            CommandKind.SESSION_LOST: self.masses.cancel_some,
            CommandKind.SESSION_CLOSED: self.masses.close_session,
            CommandKind.ACCOUNT_KILL: self.masses.kill_account,
            CommandKind.MARKET_KILL: self.masses.kill_market,
            CommandKind.COUNTDOWN_SET: self.masses.countdown_set,
            CommandKind.CONTINUE: self._continue,
            CommandKind.TIMER: self._timer,
            CommandKind.DEPOSIT: self.bookings.deposit,
            CommandKind.WITHDRAW: self.bookings.withdraw,
            CommandKind.TRANSFER: self.bookings.transfer,
            CommandKind.WITHDRAW_HOLD: self.bookings.hold,
            CommandKind.WITHDRAW_COMPLETE: self.bookings.close,
            CommandKind.WITHDRAW_RELEASE: self.bookings.close,
            CommandKind.ASSET_ADD: self.admin.asset_add,
            CommandKind.MARKET_ADD: self.admin.market_add,
            CommandKind.ACCOUNT_ADD: self.admin.account_add,
            CommandKind.KEY_ADD: self.admin.key_add,
            CommandKind.KEY_REVOKE: self.admin.key_revoke,
            CommandKind.ACCOUNT_SET: self.admin.account_set,
            CommandKind.MARKET_SET: self.admin.market_set,
            CommandKind.LIMITS_SET: self.admin.limits_set,
            CommandKind.ORDER_LIMITS_SET: self.admin.order_limits_set,
            CommandKind.MARKET_SCHEDULE: self.schedules.schedule_set,
            CommandKind.FEES_SET: self.admin.fees_set,
            CommandKind.FEE_ASSET_SET: self.admin.fee_asset_set,
            CommandKind.MARKET_FILTERS_SET: self.admin.market_filters_set,
        }

    def _unknown(self, command: Fields) -> None:
        raise RefusedError(Reason.INVALID_COMMAND)

    # ---- timers ----------------------------------------------------------------------------------------------------

    def _timer(self, command: Fields) -> None:
        first = self.state.first_timer()
        if first is None or first.due_ns > command["time_ns"]:
            raise RefusedError(Reason.INVALID_COMMAND)
        self.state.remove_timer(first.kind, first.subject)
        match first.kind:
            case TimerKind.ORDER_EXPIRY:
                self.amending.expire(self.open_orders[first.subject])
            case TimerKind.MARKET_RESUME:
                self.admin.change_status(first.subject, MarketStatus.TRADING)
            case TimerKind.MARKET_PHASE:
                self.schedules.begin_phase(first.subject)
            case TimerKind.COUNTDOWN:
                self.masses.countdown_over(first.subject, command)

    def _follow_expiries(self) -> None:
        """Every open GTD order has a timer, and no other order has one."""
        dated = {o.order_id: o.good_till_ns for o in self.open_orders.values() if o.time_in_force == TimeInForce.GTD}
        timed = {timer.subject for timer in self.state.timers if timer.kind == TimerKind.ORDER_EXPIRY}
        for order_id in timed - dated.keys():
            self.state.remove_timer(TimerKind.ORDER_EXPIRY, order_id)
        for order_id in sorted(dated.keys() - timed):
            self.state.set_timer(TimerKind.ORDER_EXPIRY, order_id, dated[order_id])

    # ---- every client command ------------------------------------------------------------------------------------

    def _indicate(self, number: int) -> None:
        if number >= 0:
            self.auctions.indicate(number)

    def _cancel(self, command: Fields) -> None:
        self._check_client(command)
        self._try_and_indicate(self.amending.cancel, command)

    def _cancel_all(self, command: Fields) -> None:
        self._check_client(command)
        self._try_and_indicate(self.masses.cancel_all, command)

    def _amend(self, command: Fields) -> None:
        self._check_client(command)
        self._try_and_indicate(self.amending.amend, command)

    def _list_cancel(self, command: Fields) -> None:
        self._check_client(command)
        self._try_and_indicate(self.listing.cancel, command)

    def _try_and_indicate(self, do: Callable[[Fields], None], command: Fields) -> None:
        try:
            do(command)
        except RefusedError as refused:
            self.reports.refusal(command, refused.reason)
        self._indicate(command["market"])

    def _check_client(self, command: Fields) -> None:
        """Account, expiry and market of a client command that is not remembered."""
        self._check_account(command)
        self._check_expiry(command)
        self._check_market(command)

    def _check_account(self, command: Fields) -> None:
        if command["account"] == FEE_ACCOUNT or not self.directory.has_account(command["account"]):
            raise RefusedError(Reason.UNKNOWN_ACCOUNT)

    def _check_expiry(self, command: Fields) -> None:
        if 0 < command["expires_ns"] < self.reports.record["time_ns"]:
            raise RefusedError(Reason.REQUEST_EXPIRED)

    def _check_market(self, command: Fields) -> None:
        all_markets = command["kind"] == CommandKind.CANCEL_ALL and command["market"] == -1
        if not all_markets and not self.directory.has_market(command["market"]):
            raise RefusedError(Reason.INVALID_SYMBOL)

    # ---- PLACE and CANCEL_REPLACE: requests that are remembered ----------------------------------------------------

    def _request(self, place: Fields, cancel: Fields | None = None) -> None:
        """A PLACE, or with `cancel` a CANCEL_REPLACE: once only, if it can be remembered."""
        requests = self.state.requests
        self._check_account(place)
        key = (place["account"], place["client_order_id"], place["timestamp_us"])
        is_remembered = place["client_order_id"] and place["timestamp_us"] > 0 and place["expires_ns"] > 0
        if is_remembered and key in requests:
            first = {"order_id": requests[key].order_id, "reason": requests[key].reason}
            self.reports.emit(EventKind.DUPLICATE, **self.reports.as_asked(cancel or place) | first)
            return
        self._check_expiry(place)
        if is_remembered and not self._has_room_for_request(place["account"]):
            raise RefusedError(Reason.TOO_MANY_REQUESTS_REMEMBERED)
        order_id, reason = self._try(place, cancel)
        if self.directory.has_market(place["market"]):
            self.auctions.indicate(place["market"])
        if is_remembered:
            requests[key] = Request(place["expires_ns"], order_id, reason)

    def _has_room_for_request(self, account: int) -> bool:
        of_account = sum(key[0] == account for key in self.state.requests)
        return (
            of_account < self.limits.requests_remembered_per_account_max
            and len(self.state.requests) < self.limits.requests_remembered_max
        )

    def _forget_expired_requests(self) -> None:
        now = self.reports.record["time_ns"]
        self.state.requests = {k: r for k, r in self.state.requests.items() if r.expires_ns >= now}

    def _try(self, place: Fields, cancel: Fields | None) -> tuple[int, Reason]:
        """Carry out the request. The outcome to remember: the new order's id, or 0 and why it was refused."""
        try:
            self._check_market(place)
        except RefusedError as refused:
            self.reports.refusal(cancel or place, refused.reason)
            return 0, refused.reason
        if cancel is not None and not cancel["flag_bits"] & CommandFlag.CANCEL_ONLY:
            try:
                self.placing.check_order_rates(place["account"], 1)
            except RefusedError as refused:
                self.reports.refusal(place, refused.reason)
                return 0, refused.reason
        may_place = cancel is None or self._cancel_leg(cancel) or cancel["flag_bits"] & CommandFlag.ALLOW_FAILURE
        if not may_place:
            self.reports.refusal(place, Reason.CANCEL_REJECTED)
            return 0, Reason.CANCEL_REJECTED
        self.reports.cause = place if cancel is None else {**cancel, "kind": place["kind"]}
        try:
            return self.placing.place(place), Reason.NONE
        except RefusedError as refused:
            self.reports.refusal(place, refused.reason)
            return 0, refused.reason

    def _list_request(self, command: Fields, legs: list[Fields]) -> None:
        """An order list: remembered as a PLACE is, but apart from those."""
        requests = self.state.requests
        self._check_account(command)
        key = (command["account"], command["client_order_id"], command["timestamp_us"], "list")
        is_remembered = command["client_order_id"] and command["timestamp_us"] > 0 and command["expires_ns"] > 0
        if is_remembered and key in requests:
            first = {"order_id": requests[key].order_id, "reason": requests[key].reason}
            self.reports.emit(EventKind.DUPLICATE, **self.reports.as_asked(command) | first)
            return
        self._check_expiry(command)
        if is_remembered and not self._has_room_for_request(command["account"]):
            raise RefusedError(Reason.TOO_MANY_REQUESTS_REMEMBERED)
        list_id, reason = 0, Reason.NONE
        try:
            self._check_market(command)
            list_id = self.listing.place(command, legs)
        except RefusedError as refused:
            reason = refused.reason
            self.reports.refusal(command, reason)
        if self.directory.has_market(command["market"]):
            self.auctions.indicate(command["market"])
        if is_remembered:
            requests[key] = Request(command["expires_ns"], list_id, reason)

    def _cancel_leg(self, cancel: Fields) -> bool:
        """The first half of CANCEL_REPLACE. Whether it went through."""
        try:
            self.amending.cancel(cancel)
        except RefusedError as refused:
            self.reports.refusal(cancel, refused.reason)
            return False
        return True

    # ---- what goes on --------------------------------------------------------------------------------------------

    def _continue(self, command: Fields) -> None:
        pending = self.state.pending
        self.state.pending = None
        match pending:
            case TakerLeft(cause, order):
                self.reports.cause = cause
                self.matching.match(order)
                self._indicate(order.market)
            case MassLeft(cause):
                self.reports.cause = cause
                self.masses.cancel_some(cause)
                if cause["kind"] == CommandKind.CANCEL_ALL:
                    self._indicate(cause["market"])
            case UncrossLeft(cause, number, price):
                self.reports.cause = cause
                self.auctions.uncross(number, price)
            case StopsDue(market):
                self.reports.cause = command_fields({"kind": int(CommandKind.CONTINUE)})
                if self.listing.due_in(market):
                    self.listing.place_pending(market)
                else:
                    self.stops.fire_one(market)
                self._indicate(self.directory.markets.index(market))
            case None:
                raise RefusedError(Reason.INVALID_COMMAND)

    def _follow_prices(self) -> None:
        """After each step: trailing stops see the first and the last price that it has traded at."""
        traded = [event for event in self.reports.events if event["kind"] == EventKind.TRADE]
        for event in (traded[0], traded[-1]) if traded else ():
            self.stops.follow(self.directory.markets[event["market"]], event["price"])

    def _look_at_stops(self) -> None:
        """After each command: where pending orders or a stop order are due, a cascade begins or goes on."""
        trading = [market for market in self.directory.markets if market.status == MarketStatus.TRADING]
        with_stops_due = [m for m in trading if self.listing.due_in(m) or self.stops.due_in(m)]
        assert len(with_stops_due) <= 1  # a command trades in one market, and no stop is accepted when due
        if with_stops_due:
            self.state.pending = StopsDue(with_stops_due[0])
