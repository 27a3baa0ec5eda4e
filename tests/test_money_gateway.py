"""Sub-accounts, transfers and held withdrawals as clients and operators of a gateway see them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from gateway_exchange import Client, Exchange, running

from ringex.adminclient import AdminError


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    with running(tmp_path_factory.mktemp("money")) as running_exchange:
        yield running_exchange


@pytest.fixture
def parent(exchange: Exchange) -> Client:
    return exchange.trader(BTC="10", USDT="1000")


@pytest.fixture
def child(exchange: Exchange, parent: Client) -> Client:
    return sub_account(exchange, parent, "child")


def sub_account(exchange: Exchange, parent: Client, suffix: str) -> Client:
    name = f"{parent.account}-{suffix}"
    exchange.admin("admin.account.create", {"name": name, "parent": parent.account})
    key = exchange.admin("admin.keys.create", {"account": name})
    client = exchange.client()
    client.key, client.secret, client.account = key["apiKey"], key["secretKey"], name
    return client


def balances(client: Client) -> dict[str, tuple[str, str]]:
    rows = client.signed_call("account.status", {"omitZeroBalances": True})["result"]["balances"]
    return {row["asset"]: (row["free"], row["locked"]) for row in rows}


def updates(client: Client) -> list[tuple[str, str]]:
    client.call("ping")
    events = [push["event"] for push in client.pushed]
    return [(event["a"], event["d"]) for event in events if event["e"] == "balanceUpdate"]


def test_a_parent_moves_money_to_its_sub_account(exchange: Exchange, parent: Client, child: Client) -> None:
    for client in (parent, child):
        client.signed_call("userDataStream.subscribe.signature")
    params = {"toAccount": child.account, "asset": "BTC", "amount": "2.5", "clientTranId": "first"}
    told = parent.signed_call("account.transfer", params)["result"]
    expected = {"clientTranId": "first", "asset": "BTC", "amount": "2.50000000", "duplicate": False}
    assert told.pop("tranId") > 0
    assert told == expected | {"fromAccount": parent.account, "toAccount": child.account}
    again = parent.signed_call("account.transfer", params)["result"]
    assert again == {"clientTranId": "first", "duplicate": True}
    assert balances(parent)["BTC"] == ("7.50000000", "0.00000000")
    assert balances(child) == {"BTC": ("2.50000000", "0.00000000")}
    assert updates(parent) == [("BTC", "-2.50000000")]
    assert updates(child) == [("BTC", "2.50000000")]
    (row,) = parent.signed_call("account.subAccounts")["result"]
    assert row["account"] == child.account and row["status"] == "ACTIVE"
    assert row["balances"] == [{"asset": "BTC", "free": "2.50000000", "locked": "0.00000000"}]
    assert child.signed_call("account.subAccounts")["result"] == []


def test_the_same_signed_transfer_is_booked_once(exchange: Exchange, parent: Client, child: Client) -> None:
    params = {"toAccount": child.account, "asset": "USDT", "amount": "1", "clientTranId": "once"}
    signed = parent.signed(params)
    replies = [parent.call("account.transfer", signed)["result"]["duplicate"] for _ in range(2)]
    assert replies == [False, True]
    assert balances(child)["USDT"] == ("1.00000000", "0.00000000")


@pytest.mark.parametrize(
    ("change", "code", "text"),
    [
        ({"toAccount": "demo"}, -1130, "is neither your account nor a sub-account of it"),
        ({"toAccount": "fees"}, -1130, "is neither your account nor a sub-account of it"),
        ({"toAccount": None}, -1130, "another account than fromAccount"),
        ({"asset": "XYZ"}, -1130, "There is no asset"),
        ({"amount": "0"}, -1130, "More than 0 is needed"),
        ({"amount": "0.000000001"}, -1111, "too much precision"),
        ({"amount": "11"}, -2010, "Account has insufficient balance"),
        ({"clientTranId": None}, -1102, "clientTranId"),
    ],
)
def test_transfers_that_are_refused(
    parent: Client, child: Client, change: dict[str, Any], code: int, text: str
) -> None:
    params = {"toAccount": child.account, "asset": "BTC", "amount": "1", "clientTranId": "refused"} | change
    error = parent.signed_call("account.transfer", {k: v for k, v in params.items() if v is not None})["error"]
    assert error["code"] == code and text in error["msg"]
    assert balances(parent)["BTC"] == ("10.00000000", "0.00000000")


def test_a_sub_account_moves_nothing_itself(exchange: Exchange, parent: Client, child: Client) -> None:
    exchange.admin("admin.account.deposit", {"account": child.account, "asset": "BTC", "amount": "1"})
    params = {"toAccount": parent.account, "asset": "BTC", "amount": "1", "clientTranId": "up"}
    assert child.signed_call("account.transfer", params)["error"]["code"] == -1130
    told = parent.signed_call("account.transfer", params | {"fromAccount": child.account, "toAccount": parent.account})
    assert told["result"]["toAccount"] == parent.account


def test_a_withdrawal_in_two_steps(exchange: Exchange, parent: Client) -> None:
    parent.signed_call("userDataStream.subscribe.signature")
    account = {"account": parent.account}
    booking = account | {"asset": "BTC", "amount": "4", "reference": "w1"}
    held = exchange.admin("admin.withdrawal.hold", booking)
    assert (held["free"], held["locked"], held["duplicate"]) == ("6.00000000", "4.00000000", False)
    assert balances(parent)["BTC"] == ("6.00000000", "4.00000000")
    parent.place("SELL", "50000", "1")
    (row,) = parent.signed_call("account.assets", {"asset": "BTC"})["result"]
    expected = {"free": "5.00000000", "locked": "1.00000000", "withdrawing": "4.00000000", "freeze": "0.00000000"}
    assert row == {"asset": "BTC"} | expected | dict.fromkeys(("ipoable", "btcValuation"), "0.00000000")
    shown = exchange.admin("admin.account.balances", account)["BTC"]
    assert shown == {"free": "5.00000000", "locked": "5.00000000", "withdrawing": "4.00000000"}
    assert updates(parent) == []
    gone = exchange.admin("admin.withdrawal.complete", account | {"reference": "w1"})
    assert (gone["asset"], gone["amount"], gone["locked"]) == ("BTC", "4.00000000", "1.00000000")
    assert exchange.admin("admin.withdrawal.complete", account | {"reference": "w1"})["duplicate"]
    assert updates(parent) == [("BTC", "-4.00000000")]
    with pytest.raises(AdminError, match="completed or released already"):
        exchange.admin("admin.withdrawal.release", account | {"reference": "w1"})
    exchange.admin("admin.withdrawal.hold", booking | {"reference": "w2"})
    exchange.admin("admin.withdrawal.release", account | {"reference": "w2"})
    assert balances(parent)["BTC"] == ("5.00000000", "1.00000000")
    assert {row["asset"] for row in parent.signed_call("account.assets")["result"]} == {"BTC", "USDT"}


def test_operators_move_money_between_any_two(exchange: Exchange, parent: Client) -> None:
    between = {"fromAccount": parent.account, "toAccount": "demo", "asset": "BTC", "amount": "1", "reference": "op"}
    assert exchange.admin("admin.transfer", between)["amount"] == "1.00000000"
    assert exchange.admin("admin.transfer", between) == {"clientTranId": "op", "duplicate": True}
    assert balances(parent)["BTC"] == ("9.00000000", "0.00000000")


def test_operators_list_accounts(exchange: Exchange, parent: Client, child: Client) -> None:
    listed = exchange.admin("admin.account.list", {})
    assert listed["fees"] == {"number": 0, "status": "ACTIVE"}
    assert listed[child.account]["parent"] == parent.account
    assert exchange.admin("admin.account.list", {"parent": parent.account}).keys() == {child.account}


@pytest.mark.parametrize(
    ("method", "params", "message"),
    [
        ("admin.account.create", {"name": "x", "parent": "nobody"}, "There is no account"),
        ("admin.account.create", {"name": "x", "parent": "fees"}, "The fee account has no sub-accounts"),
        (
            "admin.transfer",
            {"fromAccount": "demo", "toAccount": "demo", "asset": "BTC", "amount": "1"},
            "another account",
        ),
        ("admin.account.deposit", {"account": "demo", "asset": "BTC", "amount": "0"}, "More than 0 is needed"),
        ("admin.withdrawal.complete", {"account": "demo", "reference": "none"}, "No withdrawal is held"),
        ("admin.withdrawal.complete", {"account": "demo"}, "reference"),
    ],
)
def test_what_operators_are_told(exchange: Exchange, method: str, params: dict[str, Any], message: str) -> None:
    with pytest.raises(AdminError, match=message):
        exchange.admin(method, params)
    if method == "admin.account.create":
        assert "x" not in exchange.admin("admin.account.list", {})


def test_a_sub_account_has_no_sub_accounts(exchange: Exchange, parent: Client, child: Client) -> None:
    with pytest.raises(AdminError, match="A sub-account can have none itself"):
        sub_account(exchange, child, "grandchild")
