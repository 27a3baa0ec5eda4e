"""The replies of the express way against the ordinary one's: the same events of the real engine, byte for byte."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pytest
from gateway_exchange import LIMITS
from hypothesis import given, settings
from hypothesis import strategies as st

from ringex import administration
from ringex.config import RateLimits
from ringex.engine import Matcher
from ringex.gateways.auth import Timing
from ringex.gateways.calls import Call
from ringex.gateways.errors import Refusal
from ringex.gateways.express.answering import FILLS_MAX
from ringex.gateways.express.desk import Desk
from ringex.gateways.express.taking import Encoding
from ringex.gateways.handover import ORDERING
from ringex.gateways.keystore import Key
from ringex.gateways.limiter import Limiter, Use
from ringex.gateways.methods import METHODS
from ringex.gateways.orders import REPLIES
from ringex.gateways.parameters import decode
from ringex.gateways.rows import rows_of
from ringex.gateways.session import Connection
from ringex.gateways.times import MICROSECOND_NS, MILLISECOND_NS, made
from ringex.history.readmodel import ReadModel
from ringex.markets import Asset, Market
from ringex.messages import COMMAND, EVENT
from ringex.ring import Consumer, Ring
from ringex.terms import EventKind, Transport

NOW_NS = 1_700_000_000_000_000_000
GATEWAY, INCARNATION = 3, 7
ALICE, BOB = 1, 2
_numbers = iter(range(1 << 30))


class Desks:
    """The engine, a read model and a desk, between rings that nobody else has."""

    def __init__(self, limits: RateLimits) -> None:
        self.name = f"ringex-test-answers-{id(self)}-{next(_numbers)}"
        self.commands = Ring.create(f"{self.name}-c", 1 << 10, 1)
        self.events = Ring.create(f"{self.name}-e", 1 << 10, 1, gated=False)
        self.consumer = Consumer(self.commands, COMMAND)
        self.matcher = Matcher(limits=LIMITS)
        self.model = ReadModel(LIMITS)
        self.limiter = Limiter(limits)
        self.taken_over: list[int] = []
        self.time_ns = NOW_NS
        rings = (self.commands.address, self.events.address)
        desk = Desk(GATEWAY, INCARNATION, self.model, self.limiter, rings, 5.0, 1000, self.taken_over.append)
        self.desk = desk
        self._seed()
        self.connections = {}
        for account in (ALICE, BOB):
            connection = Connection(account, b"\0%d" % account, 0, Transport.WEB_SOCKET)
            connection.key = Key(account, "key", "secret", "one", 1)
            assert desk.seat(connection, account, account)
            self.connections[account] = connection

    def close(self) -> None:
        for ring in (self.commands, self.events):
            ring.close()
            Ring.unlink(ring.name)

    def _seed(self) -> None:
        assets = (Asset("BTC", 8), Asset("USDT", 8), Asset("YEN", 0))
        numbers = {asset.name: number for number, asset in enumerate(assets)}
        rules = {"price_min": 1, "price_max": 10**9, "quantity_min": 1, "quantity_max": 10**6, "notional_min": 0}
        markets = (
            Market("BTCUSDT", "BTC", "USDT", 2, 3, tick=1, lot=1, notional_max=1 << 61, **rules),  # type: ignore[arg-type]
            Market("BTCYEN", "BTC", "YEN", 0, 0, tick=1, lot=1, notional_max=1 << 61, **rules),  # type: ignore[arg-type]
        )
        records = [administration.add_asset(asset) for asset in assets]
        records += [administration.add_market(market, numbers) for market in markets]
        for account in (ALICE, BOB):
            records.append(administration.add_account(f"a{account}"))
            records += [administration.deposit(account, asset, 10**16, f"{account}/{asset}") for asset in range(3)]
        self.apply(np.concatenate([record.view("V256") for record in records]).view(COMMAND))

    def apply(self, records: np.ndarray) -> np.ndarray:
        self.time_ns += 1_234_567
        records["time_ns"] = self.time_ns
        events = self.matcher.submit(records)
        self.model.apply(events)
        self.desk.update(self.model)
        return events


@dataclass(frozen=True)
class Step:
    account: int
    method: str
    params: dict[str, Any]
    request_id: Any
    encoding: Encoding
    unit_ns: int


@pytest.fixture(scope="module", params=[RateLimits(), RateLimits(enabled=False)], ids=["limits", "no limits"])
def desks(request: pytest.FixtureRequest) -> Iterator[Desks]:
    made = Desks(request.param)
    yield made
    made.close()


PRICES = {"BTCUSDT": ["100.00", "100.01", "99.5", "7"], "BTCYEN": ["100", "101", "3"]}


@st.composite
def steps(draw: st.DrawFn) -> Step:
    symbol = draw(st.sampled_from(["BTCUSDT", "BTCUSDT", "BTCYEN"]))
    account = draw(st.sampled_from([ALICE, BOB]))
    request_id = draw(st.one_of(st.none(), st.integers(0, 1 << 40), st.text("ab c-1", max_size=64)))
    encoding = draw(st.sampled_from([Encoding.MSGPACK, Encoding.JSON]))
    params: dict[str, Any] = {"symbol": symbol}
    client_id = draw(st.sampled_from(["", "a", "b", "x" * 36]))
    if client_id:
        params["newClientOrderId"] = client_id
    if draw(st.integers(0, 4)) == 0:
        params["returnRateLimits"] = False
    method = draw(st.sampled_from(["order.place"] * 3 + ["order.cancel", "order.amend.keepPriority"]))
    quantity = draw(st.sampled_from(["1", "2", "5", "40"]))
    if method == "order.place":
        kind = draw(st.sampled_from(["LIMIT", "LIMIT", "MARKET", "LIMIT_MAKER", "QUOTE"]))
        params |= {"side": draw(st.sampled_from(["BUY", "SELL"])), "type": "MARKET" if kind == "QUOTE" else kind}
        if kind in ("LIMIT", "LIMIT_MAKER"):
            params["price"] = draw(st.sampled_from(PRICES[symbol]))
        if kind == "LIMIT":
            params["timeInForce"] = draw(st.sampled_from(["GTC", "GTC", "IOC", "FOK"]))
        if kind == "QUOTE":
            params["quoteOrderQty"] = draw(st.sampled_from(["100", "1000", "7"]))
        else:
            params["quantity"] = quantity
        if draw(st.booleans()):
            params["newOrderRespType"] = draw(st.sampled_from(["ACK", "RESULT", "FULL"]))
        if draw(st.integers(0, 2)) == 0:
            modes = ["NONE", "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH"]
            params["selfTradePreventionMode"] = draw(st.sampled_from(modes))
    else:
        which = draw(st.sampled_from(["orderId", "origClientOrderId"]))
        params[which] = draw(st.integers(1, 60)) if which == "orderId" else draw(st.sampled_from(["a", "b", "x" * 36]))
        if method == "order.amend.keepPriority":
            params["newQty"] = quantity
    unit_ns = draw(st.sampled_from([MILLISECOND_NS, MILLISECOND_NS, MICROSECOND_NS]))
    return Step(account, method, params, request_id, encoding, unit_ns)


def ordinary(desks: Desks, step: Step, events: np.ndarray) -> bytes | None:
    """The reply of the ordinary way; None: it is a refusal."""
    method = METHODS[step.method]
    connection = desks.connections[step.account]
    arguments = decode(method.declared, method.needed, step.params)
    call = Call(arguments, desks.model, connection, NOW_NS, step.account, step.account, None, Timing())
    market = desks.model.market_named(step.params["symbol"])
    assert market is not None
    try:
        result = made(step.unit_ns, REPLIES[step.method](call, market), rows_of(events))
    except Refusal:
        return None
    reply = {"id": step.request_id, "status": 200, "result": result}
    if step.params.get("returnRateLimits", True):
        account = step.account if step.method in ORDERING else 0
        use = Use(True, step.unit_ns, desks.limiter.of_key(step.account, ""), account)
        reply["rateLimits"] = desks.limiter.rows(use, desks.time_ns, desks.model)
    encode = msgspec.json.encode if step.encoding == Encoding.JSON else msgspec.msgpack.encode
    return encode(reply)


@settings(max_examples=80, deadline=None)
@given(st.lists(steps(), min_size=1, max_size=12))
def test_replies_are_the_ordinary_ways(desks: Desks, taken: list[Step]) -> None:
    for step in taken:
        message = {"id": step.request_id, "method": step.method, "params": step.params}
        encode = msgspec.json.encode if step.encoding == Encoding.JSON else msgspec.msgpack.encode
        connection = desks.connections[step.account]
        correlation = desks.desk.take(connection, step.encoding, encode(message), desks.time_ns, unit_ns=step.unit_ns)
        assert correlation, step
        assert connection.oldest_in_flight == correlation and connection.express_in_flight == 1
        desks.desk.publish()
        events = desks.apply(desks.consumer.poll(8))
        expected = ordinary(desks, step, events)
        replies = []
        for count, handed_over, binary in desks.desk.answer(events, desks.time_ns):
            assert not len(binary)
            found = desks.desk.replies(count)
            replies += [found.body(reply) for reply in found.records]
            if len(handed_over):
                assert handed_over.tolist() == list(range(len(events)))
                flight = desks.desk.hand_over(correlation)
                assert flight is not None and flight.original == encode(message)
                assert (flight.method, flight.account) == (step.method, step.account)
        assert desks.desk.count == connection.express_in_flight == 0
        if replies:
            assert [decoded(step, reply) for reply in replies] == [decoded(step, expected)]  # shows what differs
            assert replies == [expected]
        elif expected is not None:
            assert is_rare(desks, step, events), (step, expected)


def decoded(step: Step, reply: bytes | None) -> Any:
    decode_one = msgspec.json.decode if step.encoding == Encoding.JSON else msgspec.msgpack.decode
    return decode_one(reply) if reply is not None else None


def is_rare(desks: Desks, step: Step, events: np.ndarray) -> bool:
    """What is rightly handed over although it is no refusal."""
    if step.method == "order.cancel":
        held = desks.model.order_by_id(step.account, int(events["order_id"][0]))
        return held is not None and held.prevented_quantity > 0
    prevented = bool((events["kind"] == EventKind.PREVENTED).any())
    return step.method == "order.amend.keepPriority" or len(events) > FILLS_MAX or prevented


@pytest.fixture
def fresh() -> Iterator[Desks]:
    made = Desks(RateLimits())
    yield made
    made.close()


def placed_ordinarily(desks: Desks, order: dict[str, Any]) -> np.ndarray:
    """The events of an order of ALICE that has gone the ordinary way. What is None is left out."""
    params = {name: value for name, value in order.items() if value is not None}
    method = METHODS["order.place"]
    arguments = decode(method.declared, method.needed, params)
    call = Call(arguments, desks.model, desks.connections[ALICE], NOW_NS, ALICE, ALICE)
    records = method.handler(call).records
    records["account"] = ALICE
    events = desks.apply(records)
    assert events["kind"][0] == EventKind.ACCEPTED, order
    return events


@pytest.mark.parametrize(
    "further",
    [
        {"strategyId": 7},
        {"strategyType": 1_000_000},
        {"icebergQty": "1"},
        {"timeInForce": "GTD", "goodTillDate": 1 << 41},
        {"type": "STOP_LOSS_LIMIT", "stopPrice": "1"},
        {"type": "STOP_LOSS_LIMIT", "trailingDelta": 100},
        {"pegPriceType": "PRIMARY_PEG", "price": None},
    ],
)
def test_cancels_of_orders_with_further_terms_are_handed_over(fresh: Desks, further: dict[str, Any]) -> None:
    desk, connection = fresh.desk, fresh.connections[ALICE]
    order = {"symbol": "BTCUSDT", "side": "SELL", "type": "LIMIT", "timeInForce": "GTC", "price": "50", "quantity": "2"}
    placed_ordinarily(fresh, order)  # something to be pegged to
    for more in ({}, further):
        accepted = placed_ordinarily(fresh, order | more)
        cancel = {"symbol": "BTCUSDT", "orderId": int(accepted["order_id"][0])}
        message = msgspec.msgpack.encode({"id": 1, "method": "order.cancel", "params": cancel})
        assert desk.take(connection, Encoding.MSGPACK, message, NOW_NS)
        desk.publish()
        events = fresh.apply(fresh.consumer.poll(8))
        ((count, handed_over, _),) = desk.answer(events, NOW_NS)
        assert (count, len(handed_over)) == ((0, 1) if more else (1, 0))


def test_events_that_come_apart_are_handed_over(fresh: Desks) -> None:
    desks, desk, connection = fresh, fresh.desk, fresh.connections[ALICE]
    order = {"symbol": "BTCUSDT", "type": "LIMIT", "timeInForce": "GTC", "price": "50.00", "quantity": "0.5"}
    for side in ("SELL", "BUY"):
        message = msgspec.msgpack.encode({"id": 1, "method": "order.place", "params": order | {"side": side}})
        correlation = desk.take(connection, Encoding.MSGPACK, message, desks.time_ns)
        desk.publish()
        events = desks.apply(desks.consumer.poll(8))
        if side == "SELL":
            assert [count for count, _, _ in desk.answer(events, desks.time_ns)] == [1]
    assert len(events) > 1
    for part in (events[:1], events[1:]):
        for count, handed_over, _ in desk.answer(part, desks.time_ns):
            assert count == 0 and len(handed_over) == len(part)
    assert desk.hand_over(correlation) is not None
    assert desk.hand_over(correlation) is None
    assert desk.hand_over(0) is None, "what answers nobody, as SESSION_CLOSED does, has no flight"


def test_a_seat_that_is_left_hands_its_flights_over(fresh: Desks) -> None:
    desks, desk, connection = fresh, fresh.desk, fresh.connections[BOB]
    message = {"id": 1, "method": "order.cancel", "params": {"symbol": "BTCUSDT", "orderId": 999_999}}
    flights = [desk.take(connection, Encoding.MSGPACK, msgspec.msgpack.encode(message), NOW_NS) for _ in range(3)]
    assert connection.oldest_in_flight == flights[0] and desk.late(float("inf")) == flights[0]
    desks.taken_over.clear()
    connection.unseat()
    assert desks.taken_over == flights and connection.seat == 0
    for correlation in flights:
        assert desk.hand_over(correlation) is not None
    assert desk.count == 0 and desk.late(float("inf")) is None
    desk.publish()
    desks.consumer.poll(8)
    assert desk.seat(connection, BOB, BOB)


def test_events_of_another_life_or_gateway_are_nobodys(fresh: Desks) -> None:
    event = np.zeros(3, EVENT)
    event["gateway"], event["incarnation"] = (
        (GATEWAY, GATEWAY, GATEWAY + 1),
        (INCARNATION, INCARNATION + 1, INCARNATION),
    )
    event["correlation"] = 5
    ((count, handed_over, binary),) = fresh.desk.answer(event, NOW_NS)
    assert (count, handed_over.tolist(), len(binary)) == (0, [0], 0)
