"""strategyId and strategyType: told with ACCEPTED, kept with the order, shown wherever the order is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from gateway_exchange import Client, Exchange, running
from reference.desk import ALICE, BOB, BUY, SELL
from reference.records import command_record
from scene import Scene

from ringex.journal.verify import describe
from ringex.reasons import Reason
from ringex.terms import EventKind

ORDER = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "price": "20000", "quantity": "0.1"}
STRATEGY = {"strategyId": (1 << 53) - 1, "strategyType": 1_000_001}


def test_the_matcher_tells_them_once_and_refuses_reserved_types() -> None:
    scene = Scene()
    (accepted,) = scene.place(ALICE, BUY, 100, 3, strategy_id=1 << 62, strategy_type=1_000_000)
    assert (accepted["strategy_id"], accepted["strategy_type"]) == (1 << 62, 1_000_000)
    (plain,) = scene.place(BOB, BUY, 99, 1)
    assert (plain["strategy_id"], plain["strategy_type"]) == (0, 0)
    for strategy in ({"strategy_type": 999_999}, {"strategy_type": -1}, {"strategy_id": -1}):
        (rejected,) = scene.do(scene.desk.place(ALICE, BUY, 100, 3, client_order_id="x", **strategy))
        assert rejected["reason"] == Reason.INVALID_STRATEGY
        assert (rejected["client_order_id"], rejected["original_client_order_id"]) == ("x", "")
    (trade,) = (e for e in scene.place(BOB, SELL, 100, 1) if e["kind"] == EventKind.TRADE)
    assert trade["maker_order_id"] == accepted["order_id"]


def test_a_journal_shows_them() -> None:
    scene = Scene()
    shown = describe(command_record(scene.desk.place(ALICE, BUY, 1, 1, strategy_id=255, strategy_type=1_234_567)))
    assert (shown["strategy_id"], shown["strategy_type"]) == (255, 1_234_567)
    assert "original_client_order_id" not in shown


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    with running(tmp_path_factory.mktemp("strategies")) as running_exchange:
        yield running_exchange


def fields(shown: dict[str, Any]) -> dict[str, Any]:
    return {name: shown[name] for name in STRATEGY if name in shown}


def reports(client: Client, count: int) -> list[dict[str, Any]]:
    """The next reports of orders."""
    found: list[dict[str, Any]] = []
    while len(found) < count:
        event = (client.pushed.pop(0) if client.pushed else client.receive()).get("event", {})
        found += [event] if event.get("e") == "executionReport" else []
    return found


def test_replies_queries_and_reports_have_them(exchange: Exchange) -> None:
    client = exchange.trader(BTC="10", USDT="500000")
    client.signed_call("userDataStream.subscribe.signature")
    placed = client.signed_call("order.place", ORDER | STRATEGY | {"newOrderRespType": "RESULT"})["result"]
    assert fields(placed) == STRATEGY
    which = {"symbol": "BTCUSDT", "orderId": placed["orderId"]}
    assert fields(client.signed_call("order.status", which)["result"]) == STRATEGY
    assert fields(client.signed_call("openOrders.status", {})["result"][0]) == STRATEGY
    amended = client.signed_call("order.amend", which | {"quantity": "0.05"})["result"]
    assert fields(amended["amendedOrder"]) == STRATEGY
    replaced = client.signed_call(
        "order.cancelReplace",
        ORDER | {"cancelOrderId": placed["orderId"], "cancelReplaceMode": "STOP_ON_FAILURE", "strategyId": 5},
    )["result"]
    assert fields(replaced["cancelResponse"]) == STRATEGY
    assert fields(replaced["newOrderResponse"]) == {"strategyId": 5}
    plain = client.signed_call("order.place", ORDER | {"strategyId": 0})["result"]
    assert fields(plain) == {}
    told = reports(client, 5)
    assert [report["x"] for report in told] == ["NEW", "REPLACED", "CANCELED", "NEW", "NEW"]
    assert [(report.get("j"), report.get("J")) for report in told] == [
        *[((1 << 53) - 1, 1_000_001)] * 3,
        (5, None),
        (None, None),
    ]
    for wrong, text in (
        ({"strategyType": 999_999}, "It must be from 1000000 to 2147483647."),
        ({"strategyType": 1 << 31}, "It must be from 1000000 to 2147483647."),
        ({"strategyId": -1}, "It must be from 0 to"),
    ):
        error = client.signed_call("order.place", ORDER | wrong)["error"]
        assert error["code"] == -1130 and text in error["msg"]
