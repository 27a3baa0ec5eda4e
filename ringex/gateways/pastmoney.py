"""Queries of what went in and out of an account: deposits, withdrawals, transfers; only the history store knows."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from ringex.decimals import format_scaled
from ringex.gateways.calls import Call
from ringex.gateways.lookups import Lookup
from ringex.gateways.money import asset_named
from ringex.gateways.parameters import Kind, Parameter
from ringex.gateways.queries import limit_of
from ringex.gateways.ranges import END_TIME, START_TIME, span_of
from ringex.gateways.times import shown
from ringex.history.catalogue import Asset
from ringex.history.intervals import DAY_NS
from ringex.history.store.schema import BOOKINGS
from ringex.history.store.store import Progress, Row, Store
from ringex.terms import CommandKind

LIMIT: Final = 1000
SPAN_DAYS: Final = 90
CANCELED, PROCESSING, COMPLETED = 1, 4, 6
"""How the dialect numbers what has become of a withdrawal."""
CREDITED: Final = 1
"""How it numbers that a deposit has been booked."""
_PAGE: Final = (
    START_TIME,
    END_TIME,
    Parameter("offset", Kind.INTEGER),
    Parameter("limit", Kind.INTEGER),
)
MONEY_PARAMETERS: Final = (Parameter("coin", Kind.TEXT), Parameter("status", Kind.INTEGER), *_PAGE)
TRANSFERS_PARAMETERS: Final = (Parameter("asset", Kind.TEXT), *_PAGE)
_OPENING: Final = (CommandKind.WITHDRAW, CommandKind.WITHDRAW_HOLD)

Booking = dict[str, Any]
"""By the names of the store's columns."""


def deposits(call: Call) -> Lookup:
    """The caller's deposits, the newest first."""
    asked, status = _asset(call, "coin"), call.arguments.get("status", CREDITED)

    def reply(now: Call, progress: Progress, rows: list[Row]) -> list[dict[str, Any]]:
        return [_deposit(now, booking) for booking in _named(rows) if status == CREDITED]

    return _page(call, (CommandKind.DEPOSIT,), asked, reply)


def withdrawals(call: Call) -> Lookup:
    """The caller's withdrawals, the newest first: booked at once, or held and then completed or released."""
    asked, wanted = _asset(call, "coin"), call.arguments.get("status")
    find = _asker(call, _OPENING, asked)

    def ask(store: Store) -> tuple[list[Row], list[Row]]:
        opened = find(store)
        at = BOOKINGS.columns.index("reference")
        return opened, store.bookings_of(call.account, sorted({str(row[at]) for row in opened}))

    def reply(now: Call, progress: Progress, answer: tuple[list[Row], list[Row]]) -> list[dict[str, Any]]:
        ends = {
            booking["reference"]: booking
            for booking in _named(answer[1])
            if booking["command_kind"] in (CommandKind.WITHDRAW_COMPLETE, CommandKind.WITHDRAW_RELEASE)
        }
        shown = [_withdrawal(now, booking, ends.get(booking["reference"])) for booking in _named(answer[0])]
        return [row for row in shown if wanted in (None, row["status"])]

    return Lookup(ask, reply, call.model.sequence)


def transfers(call: Call) -> Lookup:
    """The caller's transfers from and to its relatives, the newest first."""
    asked = _asset(call, "asset")

    def reply(now: Call, progress: Progress, rows: list[Row]) -> list[dict[str, Any]]:
        return [_transfer(now, booking) for booking in _named(rows)]

    return _page(call, (CommandKind.TRANSFER,), asked, reply)


def _page(call: Call, kinds: tuple[CommandKind, ...], asked: Asset | None, reply: Any) -> Lookup:
    return Lookup(_asker(call, kinds, asked), reply, call.model.sequence)


def _asker(call: Call, kinds: tuple[CommandKind, ...], asked: Asset | None) -> Any:
    """What asks the store for the caller's bookings of those kinds. Raises Refusal."""
    span = span_of(call, SPAN_DAYS * DAY_NS, f"{SPAN_DAYS} days")
    account, limit, offset = call.account, limit_of(call, LIMIT, LIMIT), call.arguments.get("offset", 0)
    asset = asked.number if asked is not None else None

    def ask(store: Store) -> list[Row]:
        return store.bookings(account, list(map(int, kinds)), asset, span.start_ns, span.end_ns, offset, limit)

    return ask


def _asset(call: Call, name: str) -> Asset | None:
    return asset_named(call, call.arguments[name]) if name in call.arguments else None


def _named(rows: list[Row]) -> list[Booking]:
    return [dict(zip(BOOKINGS.columns, row, strict=True)) for row in rows]


def _deposit(call: Call, booking: Booking) -> dict[str, Any]:
    asset = call.model.assets[booking["asset"]]
    time_ms = shown(booking["time_ns"])
    return {
        "id": str(booking["sequence"]),
        "amount": format_scaled(booking["amount"], asset.scale),
        "coin": asset.name,
        "network": asset.name,
        "status": CREDITED,
        "address": "",
        "addressTag": "",
        "txId": booking["reference"],
        "insertTime": time_ms,
        "completeTime": time_ms,
        "transferType": 0,
        "confirmTimes": "1/1",
        "unlockConfirm": 0,
        "walletType": 0,
    }


def _withdrawal(call: Call, booking: Booking, end: Booking | None) -> dict[str, Any]:
    asset = call.model.assets[booking["asset"]]
    at_once = booking["command_kind"] == CommandKind.WITHDRAW
    status, done = (COMPLETED, booking) if at_once else (PROCESSING, end)
    if end is not None and not at_once:
        status = COMPLETED if end["command_kind"] == CommandKind.WITHDRAW_COMPLETE else CANCELED
    row = {
        "id": str(booking["sequence"]),
        "amount": format_scaled(-booking["amount"] if at_once else booking["held"], asset.scale),
        "transactionFee": format_scaled(0, asset.scale),
        "coin": asset.name,
        "status": status,
        "address": "",
        "txId": booking["reference"],
        "applyTime": _clock(booking["time_ns"]),
        "network": asset.name,
        "transferType": 0,
        "withdrawOrderId": booking["reference"],
        "info": "",
        "confirmNo": 1,
        "walletType": 0,
    }
    return row | {"completeTime": _clock(done["time_ns"])} if done is not None else row


def _transfer(call: Call, booking: Booking) -> dict[str, Any]:
    asset = call.model.assets[booking["asset"]]
    accounts = call.model.catalogue.accounts
    own, other = accounts[booking["account"]].name, accounts[booking["counterparty"]].name
    giver, taker = (own, other) if booking["amount"] < 0 else (other, own)
    return {
        "tranId": booking["sequence"],
        "fromAccount": giver,
        "toAccount": taker,
        "asset": asset.name,
        "amount": format_scaled(abs(booking["amount"]), asset.scale),
        "clientTranId": booking["reference"],
        "time": shown(booking["time_ns"]),
    }


def _clock(time_ns: int) -> str:
    """A moment as the dialect writes it here: UTC, to the second."""
    return datetime.fromtimestamp(time_ns // 1_000_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S")
