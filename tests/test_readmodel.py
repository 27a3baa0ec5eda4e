"""The read model against the exchange that the events came from, across processes' borders, and under its bounds."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from event_records import RandomRun, event
from reference import ReferenceExchange
from reference.arena import SMALL
from reference.masses import countdown_subject
from reference.records import Fields
from reference.schedules import STATUSES, schedule_subject
from reference.streams import Dice, Stream
from replica_server import ReplicaServer

from ringex.engine import Matcher
from ringex.history.eventlog import EventLog
from ringex.history.frames import FORMAT_VERSION, FrameError
from ringex.history.join import ReplicaBehindError, ReplicaClient, ReplicaSilentError, answer
from ringex.history.orderlists import OrderLists
from ringex.history.readmodel import ReadModel
from ringex.messages import ACCOUNT_EVENT, ASSET_EVENT, EVENT, MARKET_EVENT, ORDER_TERMS, PREVENTED, SCHEMA_VERSION
from ringex.reasons import Reason
from ringex.terms import (
    AccountStatus,
    EventKind,
    MarketStatus,
    OrderStatus,
    OrderType,
    SelfTradePrevention,
    Side,
    TimeInForce,
    TimerKind,
)

CLOSED_MAX = 12
TRADES_MAX = 5
MATCHES_MAX = 4
SEEDS = range(12)
OPEN = (OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED, OrderStatus.PENDING_NEW)


def empty_model() -> ReadModel:
    return ReadModel(
        SMALL, closed_orders_max=CLOSED_MAX, trades_per_market=TRADES_MAX, prevented_matches_max=MATCHES_MAX
    )


def model_of(events: np.ndarray) -> ReadModel:
    model = empty_model()
    model.apply(events)
    return model


@pytest.fixture(scope="module", params=SEEDS)
def run(request: pytest.FixtureRequest) -> RandomRun:
    return RandomRun(request.param, 250)


@dataclass
class PlainOrders:
    """What became of every order, written down plainly: which are held, and which one a client order id means."""

    status: dict[int, int] = field(default_factory=dict)
    client_ids: dict[int, tuple[int, str]] = field(default_factory=dict)
    taken: list[tuple[tuple[int, str], int]] = field(default_factory=list)  # in order of time
    closed: list[int] = field(default_factory=list)

    def apply(self, e: Fields) -> None:
        if e["kind"] == EventKind.TRADE:
            self._set(e["order_id"], e["taker_status"])
            self._set(e["maker_order_id"], e["maker_status"])
        elif e["kind"] in (EventKind.ACCEPTED, EventKind.AMENDED):
            key = (e["account"], e["client_order_id"])
            if self.client_ids.get(e["order_id"]) != key:
                self.client_ids[e["order_id"]] = key
                self.taken.append((key, e["order_id"]))
            self._set(e["order_id"], e["status"])
        elif e["kind"] in (EventKind.RESTED, EventKind.CANCELED, EventKind.PLACED):
            self._set(e["order_id"], e["status"])

    def held(self) -> list[int]:
        return [order_id for order_id, status in self.status.items() if status in OPEN] + self.closed[-CLOSED_MAX:]

    def meant(self, account: int, client_order_id: str) -> int:
        key = (account, client_order_id)
        held = set(self.held())
        owners = [o for taken, o in self.taken if taken == key and self.client_ids[o] == key and o in held]
        return owners[-1] if owners and client_order_id else 0

    def _set(self, order_id: int, status: int) -> None:
        self.status[order_id] = status
        if status not in OPEN:
            self.closed.append(order_id)


def test_balances_are_the_exchanges(run: RandomRun) -> None:
    model = model_of(run.events)
    ledger = run.exchange.ledger
    for account in range(len(model.catalogue.accounts)):
        shown = {b.asset: (b.free, b.locked) for b in model.balances(account)}
        for asset in range(len(model.assets)):
            own = ledger.balance(account, asset)
            assert shown.get(asset, (0, 0)) == (own.free, own.locked), (account, asset)


def test_open_orders_are_the_exchanges(run: RandomRun) -> None:
    model = model_of(run.events)
    names = "order_id account market side order_type time_in_force price quote_quantity client_order_id"
    names += (
        " created_ns executed_quantity executed_quote trade_count stop_price iceberg_quantity self_trade_prevention"
        " strategy_id strategy_type"
    )
    for account in range(1, len(model.catalogue.accounts)):
        for market in (None, *range(len(model.markets))):
            expected = sorted(
                (o for o in run.exchange.open_orders.values() if o.account == account and market in (None, o.market)),
                key=lambda o: o.order_id,
            )
            shown = model.open_orders(account, market)
            assert [[getattr(o, name) for name in names.split()] for o in shown] == [
                [getattr(o, name) for name in names.split()] for o in expected
            ]
            assert [o.quantity - o.prevented_quantity for o in shown] == [o.quantity for o in expected]
            assert [o.working_ns == 0 for o in shown] == [o.is_waiting or o.is_pending for o in expected]
            assert [o.status for o in shown] == [o.open_status for o in expected]
            assert all(o.is_open for o in shown)
            assert [o.order_list_id for o in shown] == [
                o.order_list.order_list_id if o.order_list else 0 for o in expected
            ]


def test_open_lists_are_the_exchanges(run: RandomRun) -> None:
    model = model_of(run.events)
    for account in range(1, len(model.catalogue.accounts)):
        expected = [known for known in run.exchange.state.order_lists.values() if known.account == account]
        shown = model.order_lists.open_of(account)
        assert [(o.order_list_id, o.kind, o.client_order_id, o.market) for o in shown] == [
            (o.order_list_id, o.kind, o.client_order_id, o.market) for o in expected
        ]
        assert [o.order_ids for o in shown] == [tuple(order.order_id for order in o.orders) for o in expected]
        for one in shown:
            assert model.order_lists.with_id(one.order_list_id) == one
            assert not one.client_order_id or model.order_lists.with_client_id(account, one.client_order_id) == one


def test_lists_that_are_done_are_held_until_newer_ones_push_them_out() -> None:
    """Two of account 1 and one of account 2 are done, one is open; two that are done may be held."""
    lists = OrderLists(done_max=2)
    tell = {"account": 1, "list_kind": 1, "first_order_id": 5, "second_order_id": 6}
    for number, (list_id, status, name) in enumerate(
        [(1, 1, "a"), (2, 1, "b"), (1, 3, "a"), (3, 1, "a"), (2, 3, "b"), (3, 3, "a"), (4, 1, "b")]
    ):
        fields = tell | {"order_list_id": list_id, "list_status": status, "client_order_id": name}
        lists.apply(event(EventKind.ORDER_LIST, number + 1, **fields, time_ns=number))
    assert [one.order_list_id for one in lists.of(1)] == [2, 3, 4]
    assert (lists.with_id(1), lists.forgotten) == (None, 1)
    named = [lists.with_client_id(1, name) for name in "ab"]
    assert [one and (one.order_list_id, one.created_ns, one.updated_ns) for one in named] == [(3, 3, 5), (4, 6, 6)]
    again = OrderLists(done_max=2)
    again.load(lists.export(), lists.forgotten)
    assert again.export().tobytes() == lists.export().tobytes()
    assert [again.with_client_id(1, name) for name in "ab"] == named


def test_order_counts_and_limits_are_the_exchanges(run: RandomRun) -> None:
    model, directory = model_of(run.events), run.exchange.directory
    now = run.exchange.reports.record["time_ns"]
    for number, account in enumerate(directory.accounts):
        expected = tuple(account.order_counts.of(name, now) for name in ("orders_10s_max", "orders_1d_max"))
        assert model.order_counts.of(number, now) == expected
        limits = asdict(model.catalogue.order_limits_of(number))
        assert limits == {name: directory.order_limit(number, name) for name in limits}


def test_schedules_are_the_exchanges(run: RandomRun) -> None:
    model, now = model_of(run.events), run.exchange.reports.record["time_ns"]
    coming = {
        timer.subject: timer.due_ns for timer in run.exchange.state.timers if timer.kind == TimerKind.MARKET_PHASE
    }
    shown = {}
    for number in range(len(model.markets)):
        times = asdict(model.catalogue.schedule_of(number, now))
        shown |= {schedule_subject(number, STATUSES[name]): times[name] for name in times if times[name]}
    assert shown == coming


def test_books_are_the_exchanges(run: RandomRun) -> None:
    model = model_of(run.events)
    for number, market in enumerate(run.exchange.directory.markets):
        for side, levels, shown in zip(
            Side, (market.book.bids, market.book.asks), model.depth(number, 100)[1:], strict=True
        ):
            prices = sorted(levels, reverse=side == Side.BUY)
            assert shown.tolist() == [[price, market.book.level_quantity(side, price)] for price in prices]
            assert model.best(number, side) == (tuple(shown[0]) if len(shown) else (0, 0))


def test_orders_are_found_by_either_id_until_they_are_pushed_out(run: RandomRun) -> None:
    model, plain = model_of(run.events), PlainOrders()
    for fields in run.fields:
        plain.apply(fields)
    held = set(plain.held())
    assert held, "the stream has orders"
    for order_id, (account, client_order_id) in plain.client_ids.items():
        found = model.order_by_id(account, order_id)
        assert (found is not None) == (order_id in held)
        if found is not None:
            assert (found.status, found.client_order_id) == (plain.status[order_id], client_order_id)
            assert model.order_by_id(account + 1, order_id) is None
    for account in range(1, 4):
        for client_order_id in ("", "a", "b", "c" * 36, "never", "x" * 37):
            found = model.order_by_client_id(account, client_order_id)
            assert (found.order_id if found else 0) == plain.meant(account, client_order_id)
    forgotten = {plain.client_ids[order_id][0] for order_id in plain.closed[:-CLOSED_MAX]}
    assert {account for account in range(9) if model.has_forgotten(account)} == forgotten


def test_recent_trades_are_the_last_ones(run: RandomRun) -> None:
    model = model_of(run.events)
    for market in range(len(model.markets)):
        trades = [e for e in run.fields if e["kind"] == EventKind.TRADE and e["market"] == market]
        shown = model.recent_trades(market, 100)
        assert [(t.trade_id, t.price, t.quantity, t.quote_amount, t.time_ns, t.buyer_is_maker) for t in shown] == [
            (e["trade_id"], e["price"], e["quantity"], e["quote_amount"], e["time_ns"], e["side"] == Side.SELL)
            for e in trades[-TRADES_MAX:]
        ]
        assert model.recent_trades(market, 2) == shown[-2:]
        assert model.last_price(market) == (trades[-1]["price"] if trades else 0)


def test_the_matchers_own_events_give_the_same_model(run: RandomRun) -> None:
    assert model_of(Matcher(limits=SMALL).submit(run.commands)) == model_of(run.events)


def test_a_model_loaded_midway_ends_as_one_that_saw_everything(run: RandomRun) -> None:
    whole = model_of(run.events)
    for at in (0, 1, len(run.events) // 3, len(run.events) // 2, len(run.events)):
        loaded = empty_model()
        loaded.load(model_of(run.events[:at]).export())
        assert loaded.sequence == at
        assert loaded == model_of(run.events[:at])
        for start in range(at, len(run.events), 7):
            loaded.apply(run.events[start : min(start + 7, len(run.events))])
        assert loaded == whole


def test_models_of_different_events_differ(run: RandomRun) -> None:
    last_changes = [at for at, e in enumerate(run.fields) if e["kind"] in (EventKind.ACCEPTED, EventKind.BALANCE)]
    assert model_of(run.events[: last_changes[-1]]) != model_of(run.events[: last_changes[-1] + 1])
    assert len(model_of(run.events).export()) == 17


class Told:
    """A model that is told one event after the other, each given by the fields of its dtype."""

    def __init__(self) -> None:
        self.model = empty_model()
        for number, name in enumerate(("BTC", "USDT")):
            self(EventKind.ASSET, ASSET_EVENT, market=number, name=name, scale=8)
        self.market(MarketStatus.TRADING)
        self(EventKind.ACCOUNT, ACCOUNT_EVENT, account=1, name="one", status=AccountStatus.ACTIVE)

    def __call__(self, kind: EventKind, dtype: np.dtype = EVENT, **fields: object) -> None:
        record = np.zeros(1, dtype)
        record["kind"], record["sequence"] = kind, self.model.sequence + 1
        for name, value in fields.items():
            record[name] = value
        self.model.apply(record.view(EVENT))

    def market(self, status: MarketStatus) -> None:
        bounds = {"price_min": 1, "price_max": 1000, "quantity_min": 1, "quantity_max": 1000}
        rules = {"tick": 1, "lot": 1, "quote_asset": 1, "symbol": "BTCUSDT", "status": status}
        self(EventKind.MARKET, MARKET_EVENT, **bounds, **rules)

    def order(self, kind: EventKind, order_id: int, quantity: int, dtype: np.dtype = EVENT, **fields: object) -> None:
        order = {"account": 1, "order_id": order_id, "side": Side.BUY, "price": 10, "quantity": quantity}
        order |= {"order_type": OrderType.LIMIT, "time_in_force": TimeInForce.GTC, "status": OrderStatus.NEW}
        self(kind, dtype, **order | {"created_ns": 7, "time_ns": 7} | fields)

    def prevented(self, number: int, taker: int, maker: int, mode: SelfTradePrevention) -> None:
        orders = {"order_id": taker, "maker_order_id": maker, "account": 1, "maker_account": 1}
        self(EventKind.PREVENTED, PREVENTED, **orders, prevented_match_id=number, mode=mode, price=10, quantity=2)


def test_prevention_takes_off_what_an_order_can_still_trade() -> None:
    told = Told()
    told.order(EventKind.ACCEPTED, 1, 6, ORDER_TERMS)
    told.order(EventKind.ACCEPTED, 2, 2, ORDER_TERMS, self_trade_prevention=SelfTradePrevention.DECREMENT)
    told.prevented(1, 2, 1, SelfTradePrevention.DECREMENT)
    told.order(EventKind.AMENDED, 1, 4, reason=Reason.PREVENTED)
    told.order(EventKind.CANCELED, 2, 2, reason=Reason.PREVENTED, status=OrderStatus.EXPIRED_IN_MATCH)
    maker, taker = told.model.order_by_id(1, 1), told.model.order_by_id(1, 2)
    assert maker is not None and taker is not None
    assert (maker.quantity, maker.prevented_quantity, maker.prevented_match_id, maker.is_open) == (6, 2, 1, True)
    assert (taker.quantity, taker.prevented_quantity, taker.prevented_match_id, taker.is_open) == (2, 2, 1, False)
    assert taker.self_trade_prevention == SelfTradePrevention.DECREMENT
    told.order(EventKind.AMENDED, 1, 3)  # by its client: what prevention took off stays off
    told.order(EventKind.ACCEPTED, 3, 9, ORDER_TERMS)
    told.prevented(2, 3, 1, SelfTradePrevention.EXPIRE_MAKER)
    told.order(EventKind.CANCELED, 1, 3, reason=Reason.PREVENTED, status=OrderStatus.EXPIRED_IN_MATCH)
    maker = told.model.order_by_id(1, 1)
    assert maker is not None
    assert (maker.quantity, maker.prevented_quantity, maker.prevented_match_id) == (5, 5, 2)
    matches = told.model.prevented_matches(1, 0)
    assert [(m.prevented_match_id, m.taker_left, m.maker_left, m.quantity) for m in matches] == [
        (1, 2, 6, 2),
        (2, 9, 3, 2),
    ]
    assert told.model.prevented_matches(2, 0) == []
    assert told.model.prevented_match(0, 2) == matches[1]
    loaded = empty_model()
    loaded.load(told.model.export())
    assert loaded.prevented_matches(1, 0) == matches


def test_prevented_matches_are_the_last_ones() -> None:
    told = Told()
    told.order(EventKind.ACCEPTED, 1, 6, ORDER_TERMS)
    told.order(EventKind.ACCEPTED, 2, 6, ORDER_TERMS)
    for number in range(1, MATCHES_MAX + 3):
        told.prevented(number, 2, 1, SelfTradePrevention.EXPIRE_MAKER)
    shown = [match.prevented_match_id for match in told.model.prevented_matches(1, 0)]
    assert shown == list(range(3, MATCHES_MAX + 3))
    assert told.model.prevented_match(0, 2) is None


def test_a_stop_order_works_once_it_is_triggered() -> None:
    told = Told()
    terms = {"order_type": OrderType.STOP_LOSS_LIMIT, "stop_price": 12, "iceberg_quantity": 3}
    told.order(EventKind.ACCEPTED, 1, 6, ORDER_TERMS, **terms)
    order = told.model.order_by_id(1, 1)
    assert order is not None
    assert (order.working_ns, order.stop_price, order.iceberg_quantity, order.is_open) == (0, 12, 3, True)
    told.order(EventKind.TRIGGERED, 1, 6, time_ns=9, order_type=OrderType.STOP_LOSS_LIMIT)
    order = told.model.order_by_id(1, 1)
    assert order is not None
    assert (order.working_ns, order.updated_ns, order.stop_price) == (9, 9, 12)


def test_a_status_is_the_last_one_told() -> None:
    told = Told()
    told.market(MarketStatus.HALT)
    told(EventKind.ACCOUNT, ACCOUNT_EVENT, account=1, name="one", status=AccountStatus.BLOCKED, trade_group=5)
    loaded = empty_model()
    loaded.load(told.model.export())
    for model in (told.model, loaded):
        assert [market.status for market in model.markets] == [MarketStatus.HALT]
        assert model.market_named("BTCUSDT") == model.markets[0]
        account = model.catalogue.accounts[1]
        assert (account.status, account.trade_group) == (AccountStatus.BLOCKED, 5)
    assert loaded == told.model
    with pytest.raises(FrameError, match="its symbol, assets and scales cannot change"):
        told(EventKind.MARKET, MARKET_EVENT, quote_asset=1, symbol="BTCUSD", tick=1, status=MarketStatus.TRADING)
    with pytest.raises(FrameError, match="AccountStatus 3 is not known"):
        told(EventKind.ACCOUNT, ACCOUNT_EVENT, account=1, name="one", status=3)


class Lively(Stream):
    """Orders, auctions, averages that are kept and countdowns, and nothing that stops a market or an account."""

    def __init__(self, exchange: ReferenceExchange) -> None:
        super().__init__(exchange)
        self.makers = (*[self._place] * 20, self._auction, self._gather, self._average, *[self._countdown] * 2)

    def _gather(self, dice: Dice) -> tuple[Fields, ...]:
        return (self.desk.market_set(dice.below(2), MarketStatus.AUCTION),)

    def _average(self, dice: Dice) -> tuple[Fields, ...]:
        return (self.desk.filters(dice.below(2), average_minutes=1 + dice.below(3)),)

    def _countdown(self, dice: Dice) -> tuple[Fields, ...]:
        countdown_ns = dice.one_of((10**18, 10**15, 10**14, 10, 20, 0))
        return (self.desk.countdown(1 + dice.below(3), countdown_ns, dice.below(3) - 1),)


def test_averages_auctions_and_countdowns_are_the_exchanges() -> None:
    seen = {"averages": 0, "auctions": 0, "countdowns": 0}
    for seed in range(100, 136):
        run = RandomRun(seed, 80, Lively)
        half = model_of(run.events[: len(run.events) // 2])
        loaded = empty_model()
        loaded.load(half.export())
        loaded.apply(run.events[len(run.events) // 2 :])
        model = model_of(run.events)
        assert loaded == model
        last_ns = int(run.events["time_ns"][-1])
        for number, market in enumerate(run.exchange.directory.markets):
            for later_ns in (0, 59_000_000_000, 600_000_000_000):
                expected = market.average.price(last_ns + later_ns)
                assert model.averages.price(number, last_ns + later_ns) == expected
                seen["averages"] += expected > 0
            indication = model.auctions.indication(number)
            goes_on = market.status == MarketStatus.AUCTION
            assert indication.goes_on == goes_on
            assert indication[1:4] == (market.indicative if goes_on else (0, 0, 0))
            seen["auctions"] += indication.price > 0
        timers = [timer for timer in run.exchange.state.timers if timer.kind == TimerKind.COUNTDOWN]
        expected_countdowns = sorted((timer.subject, timer.due_ns) for timer in timers)
        running = model.countdowns.running()
        assert [(countdown_subject(c.account, c.market), c.due_ns) for c in running] == expected_countdowns
        assert [c for account in range(5) for c in model.countdowns.running(account)] == running
        seen["countdowns"] += len(running)
    assert min(seen.values()) > 5, seen


def test_a_gap_in_the_events_is_refused(run: RandomRun) -> None:
    with pytest.raises(AssertionError):
        model_of(run.events[1:])
    with pytest.raises(AssertionError):
        model_of(np.delete(run.events, len(run.events) // 2))


def test_balances_hold_an_account_of_every_limit_and_no_more() -> None:
    model = ReadModel(replace(SMALL, balances_max=1))
    model.apply(event(EventKind.BALANCE, 1, account=1, market=0, amount=5, free=5))
    model.apply(event(EventKind.BALANCE, 2, account=1, market=0, amount=5, free=10))
    assert [(b.asset, b.free) for b in model.balances(0)] == []
    with pytest.raises(AssertionError):
        model.apply(event(EventKind.BALANCE, 3, account=1, market=1, amount=5, free=5))


def test_frames_that_do_not_fit_are_refused(run: RandomRun) -> None:
    frames = model_of(run.events).export()

    def refusal(broken: list[bytes], model: ReadModel | None = None) -> str:
        with pytest.raises(FrameError) as caught:
            (model or empty_model()).load(broken)
        return str(caught.value)

    header = msgspec.msgpack.decode(frames[0])
    newer = msgspec.msgpack.encode(header | {"format_version": header["format_version"] + 1})
    versions = f"versions {(FORMAT_VERSION + 1, SCHEMA_VERSION)}; expected {(FORMAT_VERSION, SCHEMA_VERSION)}"
    assert versions in refusal([newer, *frames[1:]])
    assert "header" in refusal([b"\xff", *frames[1:]])
    assert "16 frames; a read model has 17" in refusal(frames[:-1])
    for at, noun in enumerate(
        (
            "catalogue",
            "orders",
            "forgotten",
            "balances",
            "trades",
            "books",
            "levels",
            "prevented",
            "candles",
            "counts of candles",
            "averages",
            "auctions",
            "countdowns",
            "order counts",
        ),
        start=1,
    ):
        assert noun in refusal([*frames[:at], bytes(frames[at]) + b"\0", *frames[at + 1 :]])
    small = ReadModel(replace(SMALL, accounts_max=2), closed_orders_max=CLOSED_MAX)
    assert "account: number 2; there is room for 2" in refusal(frames, small)
    assert "orders: account outside 1 .. 0" in refusal([frames[0], b"", frames[2], b"", *frames[4:]])


# The event log, and the replica's service


def numbered(first: int, last: int) -> np.ndarray:
    events = np.zeros(last - first + 1, EVENT)
    events["sequence"] = np.arange(first, last + 1)
    return events


@pytest.mark.parametrize("batch", [1, 2, 3, 7, 8, 9, 20, 100])
def test_the_event_log_keeps_the_last_events(batch: int) -> None:
    log = EventLog(8)
    for first in range(1, 100, batch):
        log.append(numbered(first, first + batch - 1))
        last = first + batch - 1
        assert (log.first_sequence, log.last_sequence) == (max(1, last - 7), last)
        for after in range(max(0, last - 10), last + 2):
            found = log.after(after, 5)
            if after + 1 < log.first_sequence:
                assert found is None
            else:
                assert found is not None
                assert found["sequence"].tolist() == list(range(after + 1, min(after + 5, last) + 1))


def test_the_event_log_starts_anywhere_and_refuses_gaps() -> None:
    log = EventLog(8)
    log.start_after(41)
    assert log.after(41, 1) is not None
    assert log.after(40, 1) is None
    for first in (41, 43):
        with pytest.raises(AssertionError):
            log.append(numbered(first, first))
    log.append(numbered(42, 42))
    assert log.after(40, 9) is None
    assert log.last_sequence == 42


def test_the_replica_answers_join_and_events(run: RandomRun) -> None:
    model, log = model_of(run.events), EventLog(64)
    log.append(run.events)
    last = len(run.events)
    kind, sequence, *frames = answer([b"join"], model, log)
    assert (kind, int.from_bytes(sequence, "little")) == (b"model", last)
    joined = empty_model()
    joined.load(frames)
    assert joined == model
    assert answer([b"join"], None, log) == [b"later"]
    assert answer([b"events", (last - 2).to_bytes(8, "little")], model, log) == [b"events", run.events[-2:].tobytes()]
    assert answer([b"events", last.to_bytes(8, "little")], model, log) == [b"later"]
    oldest = (log.first_sequence - 1).to_bytes(8, "little")
    assert answer([b"events", (last - 65).to_bytes(8, "little")], model, log) == [b"gone", oldest]
    for nonsense in ([], [b""], [b"join", b""], [b"events"], [b"events", b"1"], [b"join"] * 40):
        assert answer(nonsense, model, log)[0] == b"error"


def test_the_client_gets_what_the_replica_has_and_waits_no_longer_than_told(run: RandomRun, tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/replica.sock"
    model, log = model_of(run.events), EventLog(64)
    log.append(run.events)
    last = len(run.events)
    with ReplicaServer(endpoint, model, log) as server, ReplicaClient(endpoint, timeout_s=10) as client:
        sequence, frames = client.join()
        joined = empty_model()
        joined.load(frames)
        assert (sequence, joined) == (last, model)
        events = client.events(last - 60)
        assert events is not None
        assert events.tobytes() == run.events[-60:].tobytes()
        assert client.events(0) is None
        with pytest.raises(ReplicaBehindError):
            client.events(last)
        server.reply = lambda request: [b"events", run.events[-1:].tobytes()]
        with pytest.raises(FrameError, match="do not follow"):
            client.events(0)
        server.reply = lambda request: [b"error", b"?"]
        with pytest.raises(FrameError, match="the replica answered b'error'"):
            client.join()
    with ReplicaClient(endpoint, timeout_s=0.01) as client, pytest.raises(ReplicaSilentError, match="within 10 ms"):
        client.join()
