"""Queries of prevented matches: memory's, while it holds all that there were or the one that is asked for; else the
history store's, once that has got as far as memory."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from ringex.decimals import format_scaled
from ringex.gateways import replies
from ringex.gateways.calls import Call
from ringex.gateways.errors import Refusal, one_of_two
from ringex.gateways.lookups import Lookup
from ringex.gateways.parameters import Kind, Parameter
from ringex.gateways.queries import limit_of
from ringex.gateways.times import shown
from ringex.history.catalogue import Market
from ringex.history.prevented import PREVENTED_MATCH, PreventedMatch, match_of
from ringex.history.store.schema import PREVENTED
from ringex.history.store.store import Progress, Row, Store

LIMIT: Final = 500
LIMIT_MAX: Final = 1000
PARAMETERS: Final = (
    Parameter("symbol", Kind.TEXT, required=True),
    Parameter("preventedMatchId", Kind.INTEGER),
    Parameter("orderId", Kind.INTEGER),
    Parameter("fromPreventedMatchId", Kind.INTEGER),
    Parameter("limit", Kind.INTEGER),
)


def prevented_matches(call: Call) -> Any:
    """The caller's prevented matches in a market: one by its number, or those of one order, oldest first."""
    market, account, arguments = call.market(), call.account, call.arguments
    number, order_id = arguments.get("preventedMatchId"), arguments.get("orderId")
    if number is None and order_id is None:
        raise one_of_two("preventedMatchId", "orderId")
    if number is not None and len(arguments.keys() & {"orderId", "fromPreventedMatchId", "limit"}) > 0:
        raise Refusal(-1128, "Combination of optional parameters invalid. Send preventedMatchId alone, or orderId.")
    limit, first = limit_of(call, LIMIT, LIMIT_MAX), arguments.get("fromPreventedMatchId", 0)
    held = call.model.prevented_matches(account, market.number)
    if number is not None:
        found = [match for match in held if match.prevented_match_id == number]
    else:
        of_order = (match for match in held if order_id in (match.taker_order_id, match.maker_order_id))
        found = [match for match in of_order if match.prevented_match_id >= first]
    if (number is not None and found) or call.model.holds_all_prevented:
        return _shown(call, market, found[:limit])

    def ask(store: Store) -> list[Row]:
        if number is not None:
            return store.prevented_match(market.number, number)
        return store.prevented_of_order(order_id or 0, first, limit)

    def reply(now: Call, progress: Progress, rows: list[Row]) -> list[dict[str, Any]]:
        of_market = [match for match in map(_match_of_row, rows) if match.market == market.number]
        own = [match for match in of_market if account in (match.taker_account, match.maker_account)]
        return _shown(now, market, own)

    return Lookup(ask, reply, call.model.sequence)


def _match_of_row(row: Row) -> PreventedMatch:
    assert PREVENTED.columns == PREVENTED_MATCH.names
    return match_of(np.array([row], PREVENTED_MATCH)[0])


def _shown(call: Call, market: Market, matches: list[PreventedMatch]) -> list[dict[str, Any]]:
    group = call.model.catalogue.accounts[call.account].trade_group or replies.NO_TRADE_GROUP
    return [
        {
            "symbol": market.symbol,
            "preventedMatchId": match.prevented_match_id,
            "takerOrderId": match.taker_order_id,
            "makerSymbol": market.symbol,
            "makerOrderId": match.maker_order_id,
            "tradeGroupId": group,
            "selfTradePreventionMode": match.mode.name,
            "price": format_scaled(match.price, market.price_scale),
            **replies.prevented_quantities(market, match),
            "transactTime": shown(match.time_ns),
        }
        for match in matches
    ]
