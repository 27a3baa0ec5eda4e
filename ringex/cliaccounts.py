"""The command line of accounts: the accounts themselves, their balances, transfers, withdrawals and fees."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from ringex.clitools import administer, ask, data_option, reference_option


@click.group("account")
def account_group() -> None:
    """Accounts and their balances."""


@account_group.command("create")
@data_option
@click.argument("name")
@click.option("--parent", help="Make it a sub-account of this account. [default: of none]")
def account_create(data: Path | None, name: str, parent: str | None) -> None:
    """Make an account."""
    administer(data, "admin.account.create", {"name": name} | ({"parent": parent} if parent else {}))


@account_group.command("list")
@data_option
@click.option("--parent", help="Only the sub-accounts of this account.")
def account_list(data: Path | None, parent: str | None) -> None:
    """Print all accounts: number, status, trade group, parent."""
    administer(data, "admin.account.list", {"parent": parent} if parent else {})


@account_group.command("set")
@data_option
@click.argument("name")
@click.option("--status", type=click.Choice(["ACTIVE", "BLOCKED"]), help="BLOCKED: no new orders, no amendments.")
@click.option("--trade-group", type=int, help="Accounts of one group do not trade with each other; 0: none.")
def account_set(data: Path | None, name: str, status: str | None, trade_group: int | None) -> None:
    """Change what is given of the account NAME, and print how it is."""
    params = {"name": name, "status": status, "tradeGroup": trade_group}
    administer(data, "admin.account.set", {key: value for key, value in params.items() if value is not None})


@account_group.command("block")
@data_option
@click.argument("name")
def account_block(data: Path | None, name: str) -> None:
    """Take no new orders or amendments of the account NAME; it can still cancel."""
    administer(data, "admin.account.set", {"name": name, "status": "BLOCKED"})


@account_group.command("unblock")
@data_option
@click.argument("name")
def account_unblock(data: Path | None, name: str) -> None:
    """Take orders of the account NAME again."""
    administer(data, "admin.account.set", {"name": name, "status": "ACTIVE"})


@account_group.command("limits")
@data_option
@click.argument("name")
@click.option("--orders-10s", type=int, help="New orders in ten seconds that have not traded; 0: as all accounts.")
@click.option("--orders-1d", type=int, help="On a day (UTC); 0: as all accounts.")
@click.option("--open-orders", type=int, help="Open orders in all markets together; 0: as all accounts.")
def account_limits(
    data: Path | None, name: str, orders_10s: int | None, orders_1d: int | None, open_orders: int | None
) -> None:
    """Give the account NAME order limits of its own, those that are given; without any print what bounds it."""
    numbers = {"orders10s": orders_10s, "orders1d": orders_1d, "openOrders": open_orders}
    given = {key: number for key, number in numbers.items() if number is not None}
    administer(data, "admin.limits.set" if given else "admin.limits.show", {"account": name} | given)


@account_group.command("countdowns")
@data_option
@click.argument("name", required=False)
def account_countdowns(data: Path | None, name: str | None) -> None:
    """Print whose orders are canceled when: account, market or all, time. Of the account NAME only, or of all."""
    result = ask(data, "admin.account.countdowns", {"account": name} if name else {})
    for one in result["countdowns"]:
        due = datetime.fromtimestamp(one["cancelTime"] / 1000, UTC).isoformat(timespec="milliseconds")
        click.echo(f"{one['account']} {one.get('symbol', 'all')} {due}")
    if result["omitted"]:
        click.echo(f"{result['omitted']} more; name an account", err=True)


@account_group.command("deposit")
@data_option
@click.argument("name")
@click.argument("asset")
@click.argument("amount")
@reference_option
def account_deposit(data: Path | None, name: str, asset: str, amount: str, reference: str | None) -> None:
    """Add AMOUNT of ASSET to the free balance of the account NAME."""
    book(data, "admin.account.deposit", name, asset, amount, reference)


@account_group.command("withdraw")
@data_option
@click.argument("name")
@click.argument("asset")
@click.argument("amount")
@reference_option
def account_withdraw(data: Path | None, name: str, asset: str, amount: str, reference: str | None) -> None:
    """Take AMOUNT of ASSET from the free balance of the account NAME."""
    book(data, "admin.account.withdraw", name, asset, amount, reference)


@click.command()
@data_option
@click.argument("name")
def balance(data: Path | None, name: str) -> None:
    """Print what the account NAME has of each asset."""
    administer(data, "admin.account.balances", {"account": name})


@click.command()
@data_option
@click.argument("giver")
@click.argument("taker")
@click.argument("asset")
@click.argument("amount")
@reference_option
def transfer(data: Path | None, giver: str, taker: str, asset: str, amount: str, reference: str | None) -> None:
    """Move AMOUNT of ASSET from the free balance of the account GIVER to that of TAKER."""
    from ringex.adminclient import new_reference

    reference = reference or new_reference()
    params = {"fromAccount": giver, "toAccount": taker, "asset": asset, "amount": amount, "reference": reference}
    administer(data, "admin.transfer", params, hint=f"; ask again with --reference {reference}, it is booked once")


@click.group()
def withdrawal() -> None:
    """Withdrawals in two steps: held first, then completed or released."""


@withdrawal.command("hold")
@data_option
@click.argument("name")
@click.argument("asset")
@click.argument("amount")
@click.option("--reference", help="Names the withdrawal from here on. [default: a new one]")
def withdrawal_hold(data: Path | None, name: str, asset: str, amount: str, reference: str | None) -> None:
    """Hold AMOUNT of ASSET of the account NAME: it is no longer free, and has not left yet."""
    book(data, "admin.withdrawal.hold", name, asset, amount, reference)


@withdrawal.command("complete")
@data_option
@click.argument("name")
@click.argument("reference")
def withdrawal_complete(data: Path | None, name: str, reference: str) -> None:
    """Let what is held under REFERENCE leave the exchange."""
    administer(data, "admin.withdrawal.complete", {"account": name, "reference": reference})


@withdrawal.command("release")
@data_option
@click.argument("name")
@click.argument("reference")
def withdrawal_release(data: Path | None, name: str, reference: str) -> None:
    """Make what is held under REFERENCE free again."""
    administer(data, "admin.withdrawal.release", {"account": name, "reference": reference})


@click.group("fees")
def fees_group() -> None:
    """What accounts pay."""


@fees_group.command("set", context_settings={"ignore_unknown_options": True})
@data_option
@click.argument("name")
@click.argument("maker")
@click.argument("taker")
@click.option("--symbol", help="In this market only. [default: in every market that it has no rates for]")
def fees_set(data: Path | None, name: str, maker: str, taker: str, symbol: str | None) -> None:
    """Let the account NAME pay MAKER and TAKER: 0.001 is 0.1 %, -0.0001 a rebate of 0.01 %."""
    rates = {"account": name, "makerFee": maker, "takerFee": taker}
    administer(data, "admin.fees.set", rates | ({"symbol": symbol} if symbol else {}))


@fees_group.command("clear")
@data_option
@click.argument("name")
@click.option("--symbol", help="The rates for this market. [default: those for every market]")
def fees_clear(data: Path | None, name: str, symbol: str | None) -> None:
    """Take rates of the account NAME back: it pays what it would without them."""
    administer(data, "admin.fees.set", {"account": name} | ({"symbol": symbol} if symbol else {}))


@fees_group.command("show")
@data_option
@click.argument("name")
def fees_show(data: Path | None, name: str) -> None:
    """Print the rates of the account NAME that are not its markets'."""
    administer(data, "admin.fees.show", {"account": name})


@fees_group.command("asset")
@data_option
@click.argument("asset", required=False)
@click.option("--multiplier", help="What part of a fee is charged in it: 0.75 takes a quarter off. [default: 1]")
def fees_asset(data: Path | None, asset: str | None, multiplier: str | None) -> None:
    """Name the ASSET that fees can be paid in; without one they no longer can."""
    params = {"asset": asset, "multiplier": multiplier}
    administer(data, "admin.feeAsset.set", {name: value for name, value in params.items() if value is not None})


@fees_group.command("in-asset")
@data_option
@click.argument("name")
@click.argument("choice", type=click.Choice(["on", "off"]))
def fees_in_asset(data: Path | None, name: str, choice: str) -> None:
    """Let the account NAME pay its fees in the fee asset where it can, or no longer."""
    administer(data, "admin.feeAsset.use", {"account": name, "enabled": choice == "on"})


def book(data: Path | None, method: str, name: str, asset: str, amount: str, reference: str | None) -> None:
    from ringex.adminclient import new_reference

    reference = reference or new_reference()
    params = {"account": name, "asset": asset, "amount": amount, "reference": reference}
    administer(data, method, params, hint=f"; ask again with --reference {reference}, it is booked once")


ACCOUNT_COMMANDS = (account_group, balance, transfer, withdrawal, fees_group)
