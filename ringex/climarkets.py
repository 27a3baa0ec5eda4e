"""The command line of assets and markets: adding them, their rules, filters and status, while the exchange runs."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from ringex.clitools import administer, ask, data_option, time_ms

MARKET_STATUSES: Final = ("PRE_OPEN", "AUCTION", "TRADING", "HALT", "CLOSED")


@click.group("asset")
def asset_group() -> None:
    """Assets."""


@asset_group.command("add")
@data_option
@click.argument("name")
@click.argument("scale", type=click.IntRange(0, 18))
def asset_add(data: Path | None, name: str, scale: int) -> None:
    """Add the asset NAME, whose smallest unit has SCALE decimals. It can never be changed."""
    administer(data, "admin.asset.add", {"name": name, "scale": scale})


@asset_group.command("list")
@data_option
def asset_list(data: Path | None) -> None:
    """Print all assets, one a line: name, decimals of the smallest unit."""
    administer(data, "admin.asset.list", {})


@click.group("market")
def market_group() -> None:
    """Markets."""


@market_group.command("add")
@data_option
@click.argument("symbol")
@click.argument("base")
@click.argument("quote")
@click.argument("settings", nargs=-1, required=True, metavar="NAME=VALUE…")
def market_add(data: Path | None, symbol: str, base: str, quote: str, settings: tuple[str, ...]) -> None:
    """Add the market SYMBOL, in which BASE is traded for QUOTE. It needs tickSize, stepSize, maxPrice and maxQty.

    For example: ringex market add BTCEUR BTC EUR tickSize=0.01 stepSize=0.00001 maxPrice=1000000 maxQty=1000.
    docs/runbook.md names the other rules and the filters. status=PRE_OPEN: it opens later.
    """
    administer(data, "admin.market.add", {"symbol": symbol, "base": base, "quote": quote} | _named(settings))


@market_group.command("list")
@data_option
def market_list(data: Path | None) -> None:
    """Print all markets, one a line: symbol, status, base, quote."""
    for symbol, words in ask(data, "admin.market.list", {}).items():
        click.echo(f"{symbol} {words}")


@market_group.command("show")
@data_option
@click.argument("symbol")
def market_show(data: Path | None, symbol: str) -> None:
    """Print the rules of the market SYMBOL and the filters that it has, by the names by which they are set."""
    administer(data, "admin.market.show", {"symbol": symbol})


@market_group.command("halt")
@data_option
@click.argument("symbol")
def market_halt(data: Path | None, symbol: str) -> None:
    """Take no new orders or amendments in the market SYMBOL; orders can still be canceled."""
    administer(data, "admin.market.set", {"symbol": symbol, "status": "HALT"})


@market_group.command("status")
@data_option
@click.argument("symbol")
@click.argument("new_status", metavar="STATUS", type=click.Choice(MARKET_STATUSES))
def market_status(data: Path | None, symbol: str, new_status: str) -> None:
    """Give the market SYMBOL a status: PRE_OPEN, AUCTION, TRADING, HALT or CLOSED.

    Whatever comes to be TRADING uncrosses first, at one price.
    """
    administer(data, "admin.market.set", {"symbol": symbol, "status": new_status})


@market_group.command("schedule")
@data_option
@click.argument("symbol")
@click.option("--pre-open", type=time_ms, metavar="TIME", help="When it takes orders, closed until then.")
@click.option("--auction", type=time_ms, metavar="TIME", help="When it tells what an uncross would give.")
@click.option("--open", "opening", type=time_ms, metavar="TIME", help="When it uncrosses, at one price, and trades on.")
@click.option("--close", type=time_ms, metavar="TIME", help="When it closes.")
@click.option("--none", "is_none", is_flag=True, help="Take the schedule back.")
def market_schedule(
    data: Path | None,
    symbol: str,
    pre_open: int | None,
    auction: int | None,
    opening: int | None,
    close: int | None,
    is_none: bool,
) -> None:
    """Let the status of the market SYMBOL change by itself, once, at the times that are given, and at no others.

    A time is such as 2030-01-31T09:00:00Z, or +90 for 90 seconds from now. Without any print what is still to come.
    A status by hand voids the schedule.
    """
    times = {"preOpenTime": pre_open, "auctionTime": auction, "openTime": opening, "closeTime": close}
    given = {name: time_ms for name, time_ms in times.items() if time_ms is not None}
    if given and is_none:
        raise click.UsageError("--none goes with no time")
    method = "admin.market.schedule" if given or is_none else "admin.market.schedule.show"
    administer(data, method, {"symbol": symbol} | given)


@market_group.command("set")
@data_option
@click.argument("symbol")
@click.argument("settings", nargs=-1, required=True, metavar="NAME=VALUE…")
def market_set(data: Path | None, symbol: str, settings: tuple[str, ...]) -> None:
    """Change rules and filters of the market SYMBOL, such as tickSize=0.1 maxPosition=10; a filter of 0 is none.

    docs/runbook.md names them. What is not named stays.
    """
    administer(data, "admin.market.set", {"symbol": symbol} | _named(settings))


@market_group.command("resume")
@data_option
@click.argument("symbol")
def market_resume(data: Path | None, symbol: str) -> None:
    """Let the market SYMBOL trade again."""
    administer(data, "admin.market.set", {"symbol": symbol, "status": "TRADING"})


def _named(settings: tuple[str, ...]) -> dict[str, str]:
    """NAME=VALUE words as a map. Raises UsageError."""
    params: dict[str, str] = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not name or not equals or not value:
            raise click.UsageError(f"'{setting}' is no NAME=VALUE, such as maxPosition=10")
        if name in params:
            raise click.UsageError(f"{name} is given twice")
        params[name] = value
    return params


MARKET_COMMANDS: Final = (asset_group, market_group)
