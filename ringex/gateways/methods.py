"""THE table of methods: name -> security, parameters, handler. Every transport serves exactly this table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Final

from ringex.gateways import (
    auctions,
    commissions,
    compatibility,
    countdowns,
    klines,
    money,
    orderlists,
    orders,
    pastmatches,
    pastmoney,
    pastorders,
    pasttrades,
    queries,
    sessions,
    tickers,
    trial,
)
from ringex.gateways.calls import Handler
from ringex.gateways.parameters import GENERAL_PARAMETERS, SIGNED_PARAMETERS, Parameter
from ringex.terms import KeyScope


class Security(Enum):
    """What a method asks of its caller: nothing, or a signature (or a logged-on session) of a key with a scope."""

    NONE = 0
    TRADE = KeyScope.TRADE
    USER_DATA = KeyScope.USER_DATA
    USER_STREAM = KeyScope.USER_STREAM


@dataclass(frozen=True)
class Method:
    """One method. `waits`: a query, answered once everything is in that its connection was told or has sent before.

    `signed_always`: a logged-on session does not replace the signature. `session_only`: it is what is asked for.
    `by_key_alone`: the API key is enough, without a signature.
    """

    name: str
    security: Security
    parameters: tuple[Parameter, ...]
    handler: Handler
    waits: bool = False
    signed_always: bool = False
    session_only: bool = False
    by_key_alone: bool = False
    declared: Mapping[str, Parameter] = field(init=False)
    needed: tuple[str, ...] = field(init=False)
    """Parameters that must be sent."""

    def __post_init__(self) -> None:
        signed = SIGNED_PARAMETERS if self.security != Security.NONE and not self.session_only else ()
        parameters = (*self.parameters, *signed, *GENERAL_PARAMETERS)
        by_name = {parameter.name: parameter for parameter in parameters}
        assert len(by_name) == len(parameters), f"{self.name}: a parameter is declared twice"
        object.__setattr__(self, "declared", MappingProxyType(by_name))
        object.__setattr__(self, "needed", tuple(one.name for one in parameters if one.required))


def table_of(*methods: Method) -> Mapping[str, Method]:
    """Methods by name."""
    table = {method.name: method for method in methods}
    assert len(table) == len(methods), "a method is in the table twice"
    return MappingProxyType(table)


_NONE, _TRADE, _DATA, _STREAM = Security.NONE, Security.TRADE, Security.USER_DATA, Security.USER_STREAM

METHODS: Final = table_of(
    Method("ping", _NONE, (), queries.ping),
    Method("time", _NONE, (), queries.time),
    Method("exchangeInfo", _NONE, queries.EXCHANGE_PARAMETERS, queries.exchange_info, waits=True),
    Method("depth", _NONE, queries.DEPTH_PARAMETERS, queries.depth, waits=True),
    Method("trades.recent", _NONE, queries.TRADES_PARAMETERS, queries.recent_trades, waits=True),
    Method("trades.historical", _NONE, pasttrades.HISTORICAL_PARAMETERS, pasttrades.historical, waits=True),
    Method("trades.aggregate", _NONE, pasttrades.AGGREGATE_PARAMETERS, pasttrades.aggregated, waits=True),
    Method("klines", _NONE, klines.PARAMETERS, klines.klines, waits=True),
    Method("uiKlines", _NONE, klines.PARAMETERS, klines.klines, waits=True),
    Method("avgPrice", _NONE, tickers.AVERAGE_PARAMETERS, tickers.average_price, waits=True),
    Method("auction", _NONE, auctions.PARAMETERS, auctions.auction, waits=True),
    Method("ticker.24hr", _NONE, tickers.DAY_PARAMETERS, tickers.day, waits=True),
    Method("ticker.tradingDay", _NONE, tickers.TRADING_DAY_PARAMETERS, tickers.trading_day, waits=True),
    Method("ticker", _NONE, tickers.WINDOW_PARAMETERS, tickers.rolling, waits=True),
    Method("ticker.price", _NONE, tickers.PRICE_PARAMETERS, tickers.price, waits=True),
    Method("ticker.book", _NONE, queries.TICKER_PARAMETERS, queries.ticker_book, waits=True),
    Method("order.place", _TRADE, orders.PLACE_PARAMETERS, orders.place),
    Method("order.test", _TRADE, orders.TEST_PARAMETERS, trial.test, waits=True),
    Method("order.cancel", _TRADE, orders.CANCEL_PARAMETERS, orders.cancel),
    Method("order.cancelReplace", _TRADE, orders.CANCEL_REPLACE_PARAMETERS, orders.cancel_replace),
    Method("order.amend.keepPriority", _TRADE, orders.KEEP_PRIORITY_PARAMETERS, orders.amend_keep_priority),
    Method("order.amend", _TRADE, orders.AMEND_PARAMETERS, orders.amend),
    Method("orderList.place", _TRADE, orderlists.LEGACY_PARAMETERS, orderlists.place_legacy),
    Method("orderList.place.oco", _TRADE, orderlists.OCO_PARAMETERS, orderlists.place_oco),
    Method("orderList.place.oto", _TRADE, orderlists.OTO_PARAMETERS, orderlists.place_oto),
    Method("orderList.place.otoco", _TRADE, orderlists.OTOCO_PARAMETERS, orderlists.place_otoco),
    Method("orderList.cancel", _TRADE, orderlists.CANCEL_PARAMETERS, orderlists.cancel),
    Method("openOrders.cancelAll", _TRADE, orders.CANCEL_ALL_PARAMETERS, orders.cancel_all),
    Method("countdownCancelAll", _TRADE, countdowns.PARAMETERS, countdowns.countdown),
    Method("countdownCancelAll.status", _DATA, countdowns.STATUS_PARAMETERS, countdowns.running, waits=True),
    Method("account.cancelAll", _TRADE, orders.CANCEL_EVERYWHERE_PARAMETERS, orders.cancel_everywhere),
    Method("order.status", _DATA, orders.STATUS_PARAMETERS, orders.order_status, waits=True),
    Method("orderList.status", _DATA, orderlists.STATUS_PARAMETERS, orderlists.list_status, waits=True),
    Method("openOrderLists.status", _DATA, (), orderlists.open_lists, waits=True),
    Method("allOrderLists", _DATA, orderlists.ALL_PARAMETERS, orderlists.all_lists, waits=True),
    Method("openOrders.status", _DATA, queries.OPEN_ORDERS_PARAMETERS, queries.open_orders, waits=True),
    Method("account.status", _DATA, queries.ACCOUNT_PARAMETERS, queries.account_status, waits=True),
    Method("account.rateLimits.orders", _DATA, (), queries.order_rate_limits, waits=True),
    Method("account.commission", _DATA, commissions.PARAMETERS, commissions.commission, waits=True),
    Method("account.feeAsset.use", _TRADE, commissions.FEE_ASSET_PARAMETERS, commissions.pay_in_fee_asset),
    Method("account.assets", _DATA, money.ASSETS_PARAMETERS, money.assets, waits=True),
    Method("account.subAccounts", _DATA, money.SUB_ACCOUNTS_PARAMETERS, money.sub_accounts, waits=True),
    Method("account.transfer", _TRADE, money.TRANSFER_PARAMETERS, money.transfer),
    Method("deposits.history", _DATA, pastmoney.MONEY_PARAMETERS, pastmoney.deposits, waits=True),
    Method("withdrawals.history", _DATA, pastmoney.MONEY_PARAMETERS, pastmoney.withdrawals, waits=True),
    Method("account.transfers", _DATA, pastmoney.TRANSFERS_PARAMETERS, pastmoney.transfers, waits=True),
    Method("allOrders", _DATA, pastorders.ALL_ORDERS_PARAMETERS, pastorders.all_orders, waits=True),
    Method("myTrades", _DATA, pasttrades.MY_PARAMETERS, pasttrades.mine, waits=True),
    Method("order.amendments", _DATA, pastorders.AMENDMENTS_PARAMETERS, pastorders.amendments, waits=True),
    Method("myAllocations", _DATA, pastorders.NO_ALLOCATIONS_PARAMETERS, pastorders.no_allocations, waits=True),
    Method("myPreventedMatches", _DATA, pastmatches.PARAMETERS, pastmatches.prevented_matches, waits=True),
    Method("system.status", _NONE, (), compatibility.system_status),
    Method("asset.tradeFee", _DATA, compatibility.TRADE_FEE_PARAMETERS, compatibility.trade_fee, waits=True),
    Method("asset.all", _DATA, (), compatibility.assets, waits=True),
    Method("margin.pairs", _DATA, compatibility.PAIRS_PARAMETERS, compatibility.margin_pairs),
    Method("contracts.exchangeInfo", _NONE, (), compatibility.contracts),
    Method("session.logon", _DATA, (), sessions.logon, signed_always=True),
    Method("session.status", _NONE, (), sessions.status),
    Method("session.logout", _NONE, (), sessions.logout),
    Method("userDataStream.start", _STREAM, (), sessions.start_key, by_key_alone=True),
    Method("userDataStream.ping", _STREAM, sessions.KEY_PARAMETERS, sessions.keep_key, by_key_alone=True),
    Method("userDataStream.stop", _STREAM, sessions.KEY_PARAMETERS, sessions.stop_key, by_key_alone=True),
    Method("userDataStream.subscribe", _STREAM, sessions.RESUME_PARAMETERS, sessions.subscribe, session_only=True),
    Method(
        "userDataStream.subscribe.signature",
        _STREAM,
        sessions.RESUME_PARAMETERS,
        sessions.subscribe,
        signed_always=True,
    ),
    Method(
        "session.cancelOnDisconnect",
        _TRADE,
        sessions.DISCONNECT_PARAMETERS,
        sessions.cancel_on_disconnect,
        session_only=True,
    ),
    Method("userDataStream.unsubscribe", _NONE, sessions.UNSUBSCRIBE_PARAMETERS, sessions.unsubscribe),
)
