"""`order.test` says what placing the same order would be refused for: compared with the reference exchange."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import numpy as np
import pytest
from event_records import event_records
from reference import ReferenceExchange
from reference.arena import SMALL
from reference.desk import ALICE, BOB, BUY, CAROL, SELL
from reference.records import Fields, command_record
from reference.streams import ROLL_MAX, ROLLS_PER_COMMAND, Dice, Stream
from scene import LIMITS, UNIT, Scene

from ringex.gateways.calls import Call
from ringex.gateways.errors import Refusal
from ringex.gateways.methods import METHODS
from ringex.gateways.parameters import decode
from ringex.gateways.session import Connection
from ringex.gateways.trial import trial_reason
from ringex.history.readmodel import ReadModel
from ringex.reasons import Reason
from ringex.terms import CommandKind, EventKind, FilterFlag, MarketStatus

UNKNOWABLE = {Reason.INSUFFICIENT_BALANCE, Reason.ENGINE_FULL, Reason.TOO_MANY_REQUESTS_REMEMBERED}
"""Of funds nothing is told, and of the room in the engine's tables nothing is known."""
OF_PARAMETERS = {
    Reason.INVALID_SYMBOL,
    Reason.UNKNOWN_ACCOUNT,
    Reason.REQUEST_EXPIRED,
    Reason.INVALID_SIDE,
    Reason.INVALID_ORDER_TYPE,
    Reason.INVALID_TIME_IN_FORCE,
    Reason.INVALID_SELF_TRADE_PREVENTION,
    Reason.INVALID_PEG,
    Reason.INVALID_STRATEGY,
    Reason.INVALID_COMMAND,
    Reason.INVALID_STRATEGY,
}
"""What the gateway refuses before it makes a record."""
SEEN = {
    Reason.PRICE_FAR_FROM_AVERAGE,
    Reason.NOT_IN_AUCTION,
    Reason.MARKET_CLOSED,
    Reason.ACCOUNT_BLOCKED,
    Reason.POSITION_TOO_LARGE,
    Reason.TOO_MANY_ORDERS,
    Reason.TOO_MANY_ALGO_ORDERS,
    Reason.TOO_MANY_ICEBERGS,
    Reason.DUPLICATE_CLIENT_ORDER_ID,
    Reason.WOULD_TAKE,
    Reason.WOULD_TRIGGER,
    Reason.NO_PEG_PRICE,
    Reason.INVALID_GOOD_TILL,
    Reason.ORDER_RATE_10S,
    Reason.ORDER_RATE_1D,
    Reason.TOO_MANY_OPEN_ORDERS,
    Reason.MARKET_QUANTITY_TOO_HIGH,
    Reason.NOTIONAL_TOO_LOW,
}


class Orders(Stream):
    """Mostly orders, from the second command on with filters of all kinds."""

    def __init__(self, exchange: ReferenceExchange) -> None:
        super().__init__(exchange)
        self.makers = (*[self._place] * 60, *[self._filters] * 10, *[self._auction] * 2, *[self._set] * 2, self._cancel)
        self.makers += (self._order_limits,)

    def _filters(self, dice: Dice) -> tuple[Fields, ...]:
        (record,) = super()._filters(dice)
        counts = {"algo_orders_max": dice.one_of((0, 1, 1)), "iceberg_orders_max": dice.one_of((0, 1, 1))}
        bound = {"market_quantity_max": record["market_quantity_max"] or 4} if dice.below(4) == 0 else {}
        return (record | counts | bound | {"average_minutes": dice.one_of((0, 1, 2, 3))},)


def test_what_placing_is_refused_for_is_told_before() -> None:
    told: Counter[Reason] = Counter()
    for seed in range(60):
        exchange, dice = ReferenceExchange(SMALL), random.Random(seed)
        stream, model = Orders(exchange), ReadModel(SMALL, closed_orders_max=99)

        def own(records: tuple[Fields, ...], exchange: ReferenceExchange = exchange, model: ReadModel = model) -> None:
            model.apply(event_records(exchange.apply(*records)))

        def send(records: tuple[Fields, ...], exchange: ReferenceExchange = exchange, model: ReadModel = model) -> None:
            command = records[0]
            is_order = command["kind"] == CommandKind.PLACE and command["slots"] == 1 and len(records) == 1
            is_known = is_order and command["side"] in (BUY, SELL)
            is_known = is_known and 0 < command["account"] < 4 and 0 <= command["market"] < len(model.markets)
            expected = None
            if is_known:
                record = command_record(command)
                market = model.markets[command["market"]]
                expected = trial_reason(model, command["account"], market, record, command["time_ns"])
            events = exchange.apply(*records)
            model.apply(event_records(events))
            if expected is None or events[0]["kind"] == EventKind.DUPLICATE:
                return
            actual = Reason(events[0]["reason"]) if events[0]["kind"] == EventKind.REJECTED else Reason.NONE
            if actual not in UNKNOWABLE | OF_PARAMETERS:
                assert expected == actual, command
                told[actual] += 1

        for records in stream.opening():
            own(records)
        for _ in range(100):
            stream.play(Dice([dice.randint(0, ROLL_MAX) for _ in range(ROLLS_PER_COMMAND)]), send, own)
    assert told[Reason.NONE] > 100
    assert not SEEN - told.keys(), "every kind of refusal was met"


class Shop(Scene):
    """A scene whose events a read model follows; `ask` is `order.test`, of alice, a minute later where said so."""

    def __init__(self, **rules: Any) -> None:
        self.model = ReadModel(LIMITS)
        super().__init__(**rules)

    def do_all(self, records: np.ndarray) -> list[Fields]:
        submit, events = self.matcher.submit, []

        def watched(commands: np.ndarray) -> np.ndarray:
            events.append(submit(commands))
            return events[-1]

        self.matcher.submit = watched  # type: ignore[method-assign]
        try:
            return super().do_all(records)
        finally:
            del self.matcher.submit
            self.model.apply(events[-1])

    def ask(self, later_ns: int = 0, **params: Any) -> Any:
        method = METHODS["order.test"]
        usual = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC"}
        if params.get("type", "LIMIT") not in ("LIMIT", "STOP_LOSS_LIMIT"):
            del usual["timeInForce"]
        arguments = decode(method.declared, method.needed, usual | params)
        now_ns = int(self.matcher.state.root["time_ns"]) + later_ns
        return method.handler(Call(arguments, self.model, Connection(1, b"\0peer", 0), now_ns, account=ALICE))

    def code(self, **params: Any) -> tuple[int, str]:
        """What it is refused for: the code, and the text up to the explanation."""
        with pytest.raises(Refusal) as refused:
            self.ask(**params)
        return refused.value.code, refused.value.message.split(": at ")[0].split(": a ")[0]


MINUTE_NS = 60_000_000_000
FILTER = "Filter failure: "


def test_prices_are_compared_with_the_average_of_the_minutes() -> None:
    """Trades of 1 at 1.00 and of 3 at 2.00 in two minutes: 1.75. From 0.875 to 3.50 a bid may be."""
    shop = Shop()
    shop.do(shop.desk.filters(average_minutes=2, bid_multiplier_up=20_000, bid_multiplier_down=5_000))
    shop.rest(CAROL, SELL, 100, 1)
    shop.place(BOB, BUY, 100, 1)
    shop.desk.time_ns += MINUTE_NS
    shop.rest(CAROL, SELL, 200, 3)
    shop.place(BOB, BUY, 200, 3)
    assert shop.ask(price="3.50", quantity="1") == {}
    assert shop.code(price="3.51", quantity="1") == (-1013, FILTER + "PERCENT_PRICE_BY_SIDE")
    assert shop.ask(price="0.88", quantity="1") == {}
    assert shop.code(price="0.87", quantity="1") == (-1013, FILTER + "PERCENT_PRICE_BY_SIDE")
    assert shop.code(price="3.51", quantity="1", later_ns=0)[0] == -1013
    assert shop.ask(price="4.00", quantity="1", later_ns=MINUTE_NS) == {}, "the first minute counts no more: 2.00"
    shop.do(shop.desk.filters(average_minutes=2, filter_bits=FilterFlag.MIN_TO_MARKET))
    assert shop.ask(type="MARKET", quantity="0.01") == {}


def test_counts_positions_and_ids_are_those_of_the_account() -> None:
    shop = Shop()
    shop.do(shop.desk.filters(algo_orders_max=1, iceberg_orders_max=1))
    shop.place(ALICE, BUY, 100, 10, iceberg_quantity=2, client_order_id="mine")
    stop = {"type": "STOP_LOSS_LIMIT", "price": "1", "quantity": "1", "stopPrice": "2"}
    assert shop.ask(**stop) == {}
    shop.do(shop.desk.stop(ALICE, BUY, 300, 1))
    assert shop.code(**stop) == (-1013, FILTER + "MAX_NUM_ALGO_ORDERS")
    assert shop.code(price="1", quantity="1", icebergQty="0.1") == (-1013, FILTER + "MAX_NUM_ICEBERG_ORDERS")
    assert shop.code(price="1", quantity="1", newClientOrderId="mine") == (-2010, "Duplicate order sent.")
    has = 10**13 // UNIT + 11
    shop.do(shop.desk.filters(position_max=(has + 5) * UNIT))
    assert shop.ask(price="1", quantity="0.05") == {}
    assert shop.code(price="1", quantity="0.06") == (-1013, FILTER + "MAX_POSITION")
    assert shop.ask(price="1", quantity="0.06", side="SELL") == {}


def test_the_book_the_last_price_and_the_status_are_looked_at() -> None:
    shop = Shop()
    shop.rest(CAROL, SELL, 100, 1)
    assert shop.code(type="LIMIT_MAKER", price="1", quantity="1")[0] == -2010
    assert shop.ask(type="LIMIT_MAKER", price="0.99", quantity="1") == {}
    pegged = {"quantity": "1", "pegPriceType": "PRIMARY_PEG"}
    assert shop.code(**pegged) == (-2010, "The book has no such price level to peg the order to.")
    assert shop.ask(**pegged, side="SELL") == {}
    shop.place(BOB, BUY, 100, 1)
    stop = {"type": "STOP_LOSS", "quantity": "1"}
    assert shop.code(**stop, stopPrice="1") == (-2010, "Stop price would trigger immediately.")
    assert shop.ask(**stop, stopPrice="1.01") == {}
    shop.do(shop.desk.market_set(0, MarketStatus.AUCTION))
    assert shop.code(type="MARKET", quantity="1")[0] == -2010
    assert shop.ask(price="1", quantity="1") == shop.ask(**stop, stopPrice="1.01") == {}
    shop.do(shop.desk.market_set(0, MarketStatus.HALT))
    assert shop.code(price="1", quantity="1") == (-1013, "Market is closed.")


def test_a_date_that_has_passed_is_refused() -> None:
    shop = Shop()
    order = {"price": "1", "quantity": "1", "timeInForce": "GTD"}
    assert shop.ask(**order, goodTillDate=1 << 40) == {}
    assert shop.code(**order, goodTillDate=1)[0] == -1130
    assert shop.ask(price="1", quantity="1", computeCommissionRates=True).keys() == {
        "standardCommissionForOrder",
        "taxCommissionForOrder",
        "discount",
    }
