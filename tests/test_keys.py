"""Keys over a real gateway: made, listed, used from where they may be, revoked under their users' feet."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from gateway_exchange import Exchange, running

from ringex.adminclient import AdminError
from ringex.gateways.auth import signed_text

PLACE = {
    "symbol": "BTCUSDT",
    "side": "BUY",
    "type": "LIMIT",
    "timeInForce": "GTC",
    "price": "25000.00",
    "quantity": "0.01",
}


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    with running(tmp_path_factory.mktemp("keys")) as exchange:
        yield exchange


def listed(exchange: Exchange, account: str) -> list[str]:
    return [key["apiKey"] for key in exchange.admin("admin.keys.list", {"account": account})["keys"]]


def test_an_ed25519_key_signs_orders(exchange: Exchange) -> None:
    private = Ed25519PrivateKey.generate()
    pem = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    made = exchange.admin("admin.keys.create", {"account": "ed", "publicKey": pem})
    assert "secretKey" not in made and made["signature"] == "ED25519"
    exchange.admin("admin.account.deposit", {"account": "ed", "asset": "USDT", "amount": "1000"})
    client = exchange.client()
    params = PLACE | {"apiKey": made["apiKey"], "timestamp": time.time_ns() // 1_000_000}
    params["signature"] = base64.b64encode(private.sign(signed_text(params).encode())).decode()
    assert client.call("order.place", params)["status"] == 200
    changed = client.call("order.place", params | {"quantity": "0.02"})
    assert (changed["status"], changed["error"]["code"]) == (400, -1022)


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"publicKey": "x"}, "a PEM public key of Ed25519 was expected"),
        ({"addresses": ["10.0.0.1/8"]}, "10.0.0.1/8 has host bits set; an address or a network is"),
        ({"addresses": ["10.0.0.0/8"] * 33}, "At most 32 are allowed"),
        ({"scopes": ["ALL"]}, "'ALL' is none of TRADE, USER_DATA, USER_STREAM, FIX_API, FIX_API_READ_ONLY"),
        ({"account": "no body"}, "without spaces"),
        ({"account": "fees"}, "The fee account has no keys"),
    ],
)
def test_a_key_that_cannot_be_made_is_told(exchange: Exchange, params: dict[str, object], words: str) -> None:
    with pytest.raises(AdminError, match=words):
        exchange.admin("admin.keys.create", {"account": "ed"} | params)


def test_a_revoked_key_ends_sessions_and_streams_and_no_other(exchange: Exchange) -> None:
    trader = exchange.trader(USDT="1000")
    other_key = exchange.admin("admin.keys.create", {"account": trader.account})
    other = exchange.client()
    other.key, other.secret = other_key["apiKey"], other_key["secretKey"]
    for client in (trader, other):
        assert client.signed_call("session.logon")["status"] == 200
        assert client.call("userDataStream.subscribe")["result"]["subscriptionId"] == 0
    placed = trader.call("order.place", PLACE)
    assert placed["status"] == 200
    assert set(listed(exchange, trader.account)) == {trader.key, other.key}

    gone = exchange.admin("admin.keys.revoke", {"apiKey": trader.key})
    assert gone["apiKey"] == trader.key and gone["revoked"]
    assert trader.call("order.place", PLACE)["error"]["code"] == -1102, "no session any more, and no apiKey sent"
    assert trader.pushed[-1]["event"]["e"] == "eventStreamTerminated"
    assert trader.call("session.status")["result"]["apiKey"] is None
    signed = trader.signed_call("order.place", PLACE)
    assert (signed["status"], signed["error"]["code"]) == (401, -2015)
    assert listed(exchange, trader.account) == [other.key]

    order = other.call("order.status", {"symbol": "BTCUSDT", "orderId": placed["result"]["orderId"]})["result"]
    assert order["status"] == "NEW", "what was ordered with it stands"
    assert other.call("order.cancel", {"symbol": "BTCUSDT", "orderId": order["orderId"]})["status"] == 200
    other.call("ping")
    assert not any(pushed["event"]["e"] == "eventStreamTerminated" for pushed in other.pushed)
    assert any(pushed["event"]["e"] == "executionReport" for pushed in other.pushed)
    with pytest.raises(AdminError, match="There is no such API key, or it has been revoked"):
        exchange.admin("admin.keys.revoke", {"apiKey": trader.key})


def test_an_allowlist_holds_over_tcp(tmp_path: Path) -> None:
    with running(tmp_path, tcp=True) as exchange:
        for networks, status in ((["127.0.0.0/8"], 200), (["192.0.2.0/24"], 401)):
            key = exchange.admin("admin.keys.create", {"account": "a", "addresses": networks})
            client = exchange.client()
            client.key, client.secret = key["apiKey"], key["secretKey"]
            reply = client.signed_call("account.status")
            assert reply["status"] == status
        assert "The key is not used from 127.0.0.1." in reply["error"]["msg"]
