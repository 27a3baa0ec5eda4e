"""What operators add to the exchange, or set in it."""

from __future__ import annotations

from collections import Counter

from reference.auctions import Auctions
from reference.averages import Average
from reference.directory import Account, Asset
from reference.records import Fields
from reference.reports import Reports
from reference.state import RefusedError, State
from ringex.config import Limits
from ringex.messages import FEE_ACCOUNT, FEE_RATE_ONE, FILTER_NAMES, LIMIT_NAMES, ORDER_LIMIT_NAMES
from ringex.reasons import Reason
from ringex.terms import AccountStatus, EventKind, MarketStatus, TimerKind

CHANGEABLE = (
    *("tick", "lot", "price_min", "price_max", "quantity_min", "quantity_max", "notional_min", "notional_max"),
    *("maker_fee", "taker_fee", "orders_per_account_max"),
)
"""The rules of a market that MARKET_SET changes."""


class Administration:
    def __init__(self, state: State, reports: Reports, auctions: Auctions) -> None:
        self.state = state
        self.auctions = auctions
        self.reports = reports
        self.directory = state.directory
        self.ledger = state.ledger
        self.room = state.limits

    # ---- additions -------------------------------------------------------------------------------------------------

    def asset_add(self, command: Fields) -> None:
        _refuse_if(self.directory.check_asset(command))
        self.directory.assets.append(Asset(command["name"], command["scale"]))
        number = len(self.directory.assets) - 1
        self.reports.emit(EventKind.ASSET, market=number, name=command["name"], scale=command["scale"])

    def market_add(self, command: Fields) -> None:
        _refuse_if(self.directory.check_market(command))
        market = self.directory.new_market(command)
        if not self.ledger.has_room_for(FEE_ACCOUNT, market.base_asset, market.quote_asset):
            raise RefusedError(Reason.ENGINE_FULL)
        self.ledger.open(FEE_ACCOUNT, market.base_asset, market.quote_asset)
        self.directory.markets.append(market)
        number = len(self.directory.markets) - 1
        market.has_orders = lambda: any(order.market == number for order in self.state.open_orders.values())
        self.reports.market(len(self.directory.markets) - 1)

    def account_add(self, command: Fields) -> None:
        _refuse_if(self.directory.check_account(command))
        self.directory.accounts.append(Account(command["name"], parent=command["parent"]))
        self.reports.account(len(self.directory.accounts) - 1)

    def key_add(self, command: Fields) -> None:
        _refuse_if(self.directory.check_key(command))
        self.directory.keys[command["key_added"]] = (command["account"], command["scopes"])
        copied = {name: command[name] for name in ("account", "key_added", "scopes")}
        self.reports.emit(EventKind.KEY, **copied)

    def key_revoke(self, command: Fields) -> None:
        number = command["key_added"]
        if number not in self.directory.keys:
            raise RefusedError(Reason.UNKNOWN_KEY)
        account, scopes = self.directory.keys.pop(number)
        self.reports.emit(EventKind.KEY_REVOKED, account=account, key_added=number, scopes=scopes)

    # ---- standing --------------------------------------------------------------------------------------------------

    def account_set(self, command: Fields) -> None:
        _refuse_if(self.directory.check_account_set(command))
        account = self.directory.accounts[command["account"]]
        account.trade_group, account.status = command["trade_group"], AccountStatus(command["status"])
        self.reports.account(command["account"])

    def market_set(self, command: Fields) -> None:
        _refuse_if(self.directory.check_market_set(command))
        market = self.directory.markets[command["market"]]
        if command["tick"]:
            market.made_by = market.with_earlier(command)[0]
            market.rules |= {name: command[name] for name in CHANGEABLE}
        if command["status"]:
            self.state.remove_timer(TimerKind.MARKET_RESUME, command["market"])
            self.reports.end_of_schedule(command["market"])
            self.change_status(command["market"], command["status"])
        else:
            self.reports.market(command["market"])
            self.auctions.indicate(command["market"])

    def change_status(self, number: int, status: int) -> None:
        market = self.directory.markets[number]
        before, market.rules["status"] = market.status, status
        self.reports.market(number)
        if market.status != MarketStatus.AUCTION:
            market.indicative = (0, 0, 0)
        self.auctions.indicate(number)
        if market.status == MarketStatus.TRADING and before != MarketStatus.TRADING:
            market.breaker = (0, 0)
            self.auctions.open(number)

    def market_filters_set(self, command: Fields) -> None:
        _refuse_if(self.directory.check_filters(command))
        market = self.directory.markets[command["market"]]
        filters = {name: command[name] for name in FILTER_NAMES}
        if market.average.minutes != filters["average_minutes"]:
            market.average = Average(filters["average_minutes"])
        market.rules |= filters
        market.breaker = (0, 0)
        self.reports.emit(EventKind.MARKET_FILTERS, market=command["market"], **filters)

    def limits_set(self, command: Fields) -> None:
        asked = {name: command[name] for name in LIMIT_NAMES}
        of_account = Counter(key[0] for key in self.state.requests)
        used = Limits(
            assets_max=len(self.directory.assets),
            markets_max=len(self.directory.markets),
            accounts_max=len(self.directory.accounts),
            keys_max=len(self.directory.keys),
            balances_max=len(self.ledger.balances),
            orders_max=len(self.state.open_orders),
            levels_max=self.state.levels_used(),
            requests_remembered_max=len(self.state.requests),
            requests_remembered_per_account_max=max(of_account.values(), default=0),
            references_max=len(self.ledger.booked_references),
            fee_schedules_max=len(self.state.fees.schedules),
        )
        for name, number in asked.items():
            if not max(1, getattr(used, name)) <= number <= getattr(self.room, name):
                raise RefusedError(Reason.INVALID_COMMAND)
        self.state.limits = self.directory.limits = Limits(**asked)
        self.ledger.balances_max = self.state.limits.balances_max
        self.reports.emit(EventKind.LIMITS, **asked)

    def order_limits_set(self, command: Fields) -> None:
        account = command["account"]
        if not self.directory.has_account(account):
            raise RefusedError(Reason.UNKNOWN_ACCOUNT)
        limits = {name: command[name] for name in ORDER_LIMIT_NAMES}
        if any(number < (1 if account == FEE_ACCOUNT else 0) for number in limits.values()):
            raise RefusedError(Reason.INVALID_COMMAND)
        self.directory.accounts[account].order_limits = limits
        self.reports.emit(EventKind.ORDER_LIMITS, account=account, **limits)

    # ---- fees ------------------------------------------------------------------------------------------------------

    def fees_set(self, command: Fields) -> None:
        fees = self.state.fees
        account, market = command["account"], command["market"]
        if account == FEE_ACCOUNT or not self.directory.has_account(account):
            raise RefusedError(Reason.UNKNOWN_ACCOUNT)
        if market != -1 and not self.directory.has_market(market):
            raise RefusedError(Reason.INVALID_SYMBOL)
        _refuse_if(Reason.INVALID_COMMAND if command["in_force"] not in (0, 1) else Reason.NONE)
        rates = {name: command[name] for name in ("maker_fee", "taker_fee")}
        if not command["in_force"]:
            fees.schedules.pop((account, market), None)
            self.reports.emit(EventKind.FEES, account=account, market=market)
            return
        if any(abs(rate) >= FEE_RATE_ONE for rate in rates.values()):
            raise RefusedError(Reason.INVALID_FEES)
        if (account, market) not in fees.schedules and len(fees.schedules) == self.state.limits.fee_schedules_max:
            raise RefusedError(Reason.ENGINE_FULL)
        fees.schedules[account, market] = rates
        self.reports.emit(EventKind.FEES, account=account, market=market, in_force=1, **rates)

    def fee_asset_set(self, command: Fields) -> None:
        account, asset = command["account"], command["asset"]
        if not self.directory.has_account(account):
            raise RefusedError(Reason.UNKNOWN_ACCOUNT)
        _refuse_if(Reason.INVALID_COMMAND if command["in_force"] not in (0, 1) else Reason.NONE)
        if account != FEE_ACCOUNT:
            self.directory.accounts[account].pays_in_fee_asset = command["in_force"] == 1
            self.reports.emit(EventKind.FEE_ASSET, account=account, in_force=command["in_force"])
        elif command["in_force"] == 0:
            self.state.fees.asset = None
            self.reports.emit(EventKind.FEE_ASSET)
        else:
            _refuse_if(Reason.NONE if self.directory.has_asset(asset) else Reason.UNKNOWN_ASSET)
            _refuse_if(Reason.NONE if 0 <= command["multiplier"] <= FEE_RATE_ONE else Reason.INVALID_FEES)
            _refuse_if(Reason.NONE if self.ledger.has_room_for(FEE_ACCOUNT, asset) else Reason.ENGINE_FULL)
            self.ledger.open(FEE_ACCOUNT, asset)
            self.state.fees.asset, self.state.fees.multiplier = asset, command["multiplier"]
            told = {"market": asset, "multiplier": command["multiplier"], "in_force": 1}
            self.reports.emit(EventKind.FEE_ASSET, **told)


def _refuse_if(reason: Reason) -> None:
    if reason:
        raise RefusedError(reason)
