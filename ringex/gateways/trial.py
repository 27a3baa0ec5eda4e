"""`order.test`: what placing an order would be refused for, told without placing it.

Everything that the matcher checks and that the read model knows is checked, by the same functions: parameters and
filters, those that look at averages, counts and positions too; statuses; the book, for orders that must not take;
the last price, for stop orders. Funds are not, as the dialect has it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ringex.admission import FACTS, admission_reason
from ringex.decimals import format_scaled
from ringex.gateways.calls import Call
from ringex.gateways.commissions import discount, rate_text
from ringex.gateways.errors import ORDER_LIMIT_REASONS, of_order_limit, of_reason
from ringex.gateways.filters import rules_of
from ringex.gateways.orders import new_order
from ringex.history.catalogue import Market
from ringex.history.readmodel import ReadModel
from ringex.jit import compiled, entry
from ringex.memory import address_of, record_at
from ringex.messages import COMMAND, text_of
from ringex.reasons import Reason
from ringex.rules import MARKET_RULES
from ringex.terms import OrderType, PegPriceType, Side

_STOP_TYPES = (OrderType.STOP_LOSS, OrderType.STOP_LOSS_LIMIT, OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT)


def test(call: Call) -> dict[str, Any]:
    market = call.market()
    record = new_order(market, call.arguments)
    reason = trial_reason(call.model, call.account, market, record, call.now_ns)
    if reason in ORDER_LIMIT_REASONS:
        raise of_order_limit(reason, call.model.catalogue.order_limits_of(call.account))
    if reason != Reason.NONE:
        price, quantity, quote = (int(record[name][0]) for name in ("price", "quantity", "quote_quantity"))
        raise of_reason(reason, market, price, quantity, quote)
    if not call.arguments.get("computeCommissionRates"):
        return {}
    rates = call.model.catalogue.fee_rates(call.account, market)
    none = {"maker": format_scaled(0, 8), "taker": format_scaled(0, 8)}
    return {
        "standardCommissionForOrder": {"maker": rate_text(rates.maker), "taker": rate_text(rates.taker)},
        "taxCommissionForOrder": none,
        "discount": discount(call),
    }


def trial_reason(model: ReadModel, account: int, market: Market, record: np.ndarray, now_ns: int) -> Reason:
    """Why the matcher would refuse a PLACE record, shape (1,), now, as far as the model knows; NONE: for nothing.

    A pegged order gets the price that it would have.
    """
    order = record[0]
    side, is_stop = Side(int(order["side"])), int(order["order_type"]) in _STOP_TYPES
    if order["peg_price_type"] and not is_stop:
        other = Side.SELL if side == Side.BUY else Side.BUY
        of = side if order["peg_price_type"] == PegPriceType.PRIMARY_PEG else other
        deep = int(order["peg_offset"])
        levels = model.books.levels(market.number, of, deep + 1)
        record["price"] = levels["price"][deep] if len(levels) > deep else 0
    facts = _facts(model, account, market, text_of(order["client_order_id"]), now_ns)
    return Reason(int(_reason(address_of(rules_of(market)), address_of(record), address_of(facts))))


def _facts(model: ReadModel, account: int, market: Market, client_order_id: str, now_ns: int) -> np.ndarray:
    """FACTS, shape (1,)."""
    facts = np.zeros(1, FACTS)
    number = market.number
    last_price = model.last_price(number)
    facts["now_ns"], facts["account_status"] = now_ns, model.catalogue.accounts[account].status
    facts["last_price"] = last_price
    average = model.averages.price(number, now_ns)
    facts["usual_price"] = average or last_price or market.filters.reference_price
    facts["best_bid"], facts["best_ask"] = (model.best(number, side).price for side in Side)
    opened = model.open_order_records(account)
    facts["in_10s"], facts["on_day"] = model.order_counts.of(account, now_ns)
    facts["open_orders"] = len(opened)
    limits = model.catalogue.order_limits_of(account)
    facts["in_10s_max"], facts["on_day_max"] = limits.orders_10s_max, limits.orders_1d_max
    facts["open_orders_max"] = limits.open_orders_max
    opened = opened[opened["market"] == number]
    facts["orders"] = len(opened)
    facts["algo_orders"] = np.isin(opened["order_type"], _STOP_TYPES).sum()
    facts["icebergs"] = (opened["iceberg_quantity"] != 0).sum()
    buys = opened[opened["side"] == Side.BUY]
    facts["buying"] = (buys["quantity"] - buys["prevented_quantity"] - buys["executed_quantity"]).sum()
    held = model.balance_records(np.array([account]), np.array([market.base.number]))
    facts["has"] = held["free"] + held["locked"]
    named = model.order_by_client_id(account, client_order_id)
    facts["id_is_taken"] = named is not None and named.is_open
    return facts


@entry
@compiled
def _reason(rules: int, record: int, facts: int) -> int:
    return admission_reason(
        record_at(rules, 0, MARKET_RULES), record_at(record, 0, COMMAND), record_at(facts, 0, FACTS)
    )
