"""Order limits as operators set them and clients of a gateway meet them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from gateway_exchange import Exchange, running

from ringex.adminclient import AdminError
from ringex.config import UNLIMITED


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    with running(tmp_path_factory.mktemp("limits")) as running_exchange:
        yield running_exchange


def early_in_ten_seconds() -> None:
    """Windows are those of the clock: a test that counts in one must not begin at its end."""
    left = 10 - time.time() % 10
    if left < 5:
        time.sleep(left)


def refusal(reply: dict[str, Any]) -> tuple[int, int, str]:
    return reply["status"], reply["error"]["code"], reply["error"]["msg"]


def test_an_account_with_limits_of_its_own(exchange: Exchange) -> None:
    trader, other = exchange.trader(BTC="10", USDT="500000"), exchange.trader(BTC="10", USDT="500000")
    name = {"account": trader.account}
    shown = exchange.admin("admin.limits.show", name)
    assert shown["own"] == [] and shown["orders10s"] == shown["openOrders"] == "unlimited"
    told = exchange.admin("admin.limits.set", name | {"orders10s": 3, "openOrders": 2})
    assert told == name | {"orders10s": 3, "orders1d": 0, "openOrders": 2}
    early_in_ten_seconds()
    assert trader.place("BUY", "20000", "0.1")["status"] == 200
    second = trader.place("SELL", "30000", "0.1")["result"]
    words = "Filter failure: EXCHANGE_MAX_NUM_ORDERS: at most 2 open orders of one account in all markets"
    assert refusal(trader.place("BUY", "20001", "0.1")) == (400, -1013, words)
    trader.signed_call("order.cancel", {"symbol": "BTCUSDT", "orderId": second["orderId"]})
    assert trader.place("SELL", "30000", "0.1")["status"] == 200
    beyond = trader.place("BUY", "20001", "0.1")
    words = "Too many new orders; current limit is 3 orders per 10 SECOND."
    assert refusal(beyond) == (429, -1015, words)
    rows = {row["interval"]: (row["limit"], row["count"]) for row in beyond["rateLimits"]}
    assert (rows["SECOND"], rows["DAY"]) == ((3, 3), (UNLIMITED, 3))
    assert other.place("BUY", "30000", "0.1")["result"]["status"] == "FILLED"  # the trader's first fill, as a maker
    limits = trader.signed_call("account.rateLimits.orders")["result"]
    assert [row["count"] for row in limits] == [0, 0]
    assert exchange.admin("admin.limits.show", name)["count1d"] == 0
    assert trader.place("SELL", "30000", "0.1")["status"] == 200
    replace = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.1"}
    replace |= {"price": "20000", "cancelReplaceMode": "ALLOW_FAILURE", "cancelOrderId": 999}
    failed = trader.signed_call("order.cancelReplace", replace)
    assert "at most 2 open orders" in failed["error"]["data"]["newOrderResponse"]["msg"]
    exchange.admin("admin.limits.set", name | {"orders10s": 0, "openOrders": 0})
    assert exchange.admin("admin.limits.show", name)["own"] == []
    for wrong in ({"account": "nobody"}, {"account": "fees"}, name | {"orders10s": 1 << 31}):
        with pytest.raises(AdminError):
            exchange.admin("admin.limits.set", wrong)
