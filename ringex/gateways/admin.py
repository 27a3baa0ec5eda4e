"""Administrative methods: money in and out, accounts, assets, markets, and who and what may trade.

Served on gateway 0's local socket only, whose file mode is the permission: there are no signatures here. Every change
is a command like any other, journaled and idempotent where it carries a reference.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from ringex.gateways import countdowns, queries
from ringex.gateways.adminarguments import account_of, canceled_in, expect, name_of, small
from ringex.gateways.adminfees import FEE_METHODS
from ringex.gateways.adminlimits import LIMIT_METHODS
from ringex.gateways.adminmarkets import MARKET_METHODS
from ringex.gateways.adminmoney import MONEY_METHODS
from ringex.gateways.adminschedules import SCHEDULE_METHODS
from ringex.gateways.calls import Call, Submission
from ringex.gateways.errors import invalid
from ringex.gateways.keyadmin import KEY_METHODS
from ringex.gateways.methods import Method, Security, table_of
from ringex.gateways.parameters import Kind, Parameter
from ringex.gateways.rows import Row
from ringex.messages import ACCOUNT_COMMAND, ASSET_COMMAND, commands
from ringex.terms import AccountStatus, CommandKind, EventKind

ACCOUNT_NAME_CHARACTERS_MAX: Final = 32
ASSET_NAME_CHARACTERS_MAX: Final = 16
TRADE_GROUP_MAX: Final = (1 << 31) - 1
COUNTDOWNS_SHOWN_MAX: Final = 1000


def create_account(call: Call) -> Submission:
    """A top account, or with `parent` a sub-account of it."""
    name = name_of(call, "name", ACCOUNT_NAME_CHARACTERS_MAX)
    record = commands().view(ACCOUNT_COMMAND)
    record["kind"] = CommandKind.ACCOUNT_ADD
    record["name"] = name
    if "parent" in call.arguments:
        record["parent"] = parent = account_of(call, "parent")
        if parent == 0:
            raise invalid("parent", "The fee account has no sub-accounts.")

    def reply(events: list[Row]) -> Any:
        event = expect(events, EventKind.ACCOUNT)
        return {"account": name, "number": event["account"]}

    return Submission(record, reply)


def set_account(call: Call) -> Submission:
    """Blocks or unblocks an account, and says which trade group it is of (0: none). What is not sent stays."""
    number = account_of(call, "name")
    account = call.model.catalogue.accounts[number]
    status = AccountStatus[call.arguments.get("status", account.status.name)]
    group = small(call, "tradeGroup", TRADE_GROUP_MAX) if "tradeGroup" in call.arguments else account.trade_group

    def reply(events: list[Row]) -> Any:
        event = expect(events, EventKind.ACCOUNT)
        return _standing(event)

    return Submission(_account_set(number, status, group), reply)


def kill_account(call: Call) -> Submission:
    """Blocks an account and cancels all its orders, as one command."""
    record = commands()
    record["kind"] = CommandKind.ACCOUNT_KILL
    record["account"] = _with_orders(account_of(call, "name"))

    def reply(events: list[Row]) -> Any:
        return _standing(expect(events, EventKind.ACCOUNT)) | canceled_in(events)

    return Submission(record, reply)


def running_countdowns(call: Call) -> dict[str, Any]:
    """Whose orders are canceled when, of everybody or of one account; the first ones, and how many more there are."""
    account = account_of(call) if "account" in call.arguments else None
    found = call.model.countdowns.running(account)
    accounts = call.model.catalogue.accounts
    rows = [
        {"account": accounts[one.account].name} | countdowns.told(call, one) for one in found[:COUNTDOWNS_SHOWN_MAX]
    ]
    return {"countdowns": rows, "omitted": len(found) - len(rows)}


def add_asset(call: Call) -> Submission:
    name = name_of(call, "name", ASSET_NAME_CHARACTERS_MAX)
    record = commands().view(ASSET_COMMAND)
    record["kind"] = CommandKind.ASSET_ADD
    record["name"] = name
    record["scale"] = small(call, "scale", 18)

    def reply(events: list[Row]) -> Any:
        return {"asset": name, "number": expect(events, EventKind.ASSET)["market"]}

    return Submission(record, reply)


def list_assets(call: Call) -> dict[str, Any]:
    """All assets, by number: how many decimals their smallest unit has."""
    return {asset.name: asset.scale for asset in call.model.assets}


def status(call: Call) -> dict[str, Any]:
    assert call.office is not None
    catalogue = call.model.catalogue
    return {
        "gateway": call.office.number,
        "eventSequence": call.model.sequence,
        "assets": len(catalogue.assets),
        "markets": len(catalogue.markets),
        "accounts": len(catalogue.accounts),
        "counts": dict(call.office.counts),
    }


def _account_set(account: int, status: AccountStatus, trade_group: int) -> np.ndarray:
    record = commands().view(ACCOUNT_COMMAND)
    record["kind"] = CommandKind.ACCOUNT_SET
    record["account"] = _with_orders(account)
    record["status"] = status
    record["trade_group"] = trade_group
    return record


def _with_orders(account: int) -> int:
    """An account's number, if it may have orders. Raises Refusal."""
    if account == 0:
        raise invalid("name", "The fee account has no orders: it is neither blocked nor in a trade group.")
    return account


def _standing(event: Row) -> dict[str, Any]:
    status = AccountStatus(event["status"]).name
    return {"account": event["name"], "status": status, "tradeGroup": event["trade_group"]}


_ACCOUNT: Final = Parameter("account", Kind.TEXT, required=True)
_NAME: Final = Parameter("name", Kind.TEXT, required=True)
_ACCOUNT_SETTINGS: Final = (
    _NAME,
    Parameter("status", Kind.CHOICE, choices=tuple(AccountStatus.__members__)),
    Parameter("tradeGroup", Kind.INTEGER),
)
ADMIN_METHODS: Final = table_of(
    Method("ping", Security.NONE, (), queries.ping),
    Method("admin.account.create", Security.NONE, (_NAME, Parameter("parent", Kind.TEXT)), create_account),
    Method("admin.account.set", Security.NONE, _ACCOUNT_SETTINGS, set_account),
    Method("admin.account.kill", Security.NONE, (_NAME,), kill_account),
    Method(
        "admin.account.countdowns", Security.NONE, (Parameter("account", Kind.TEXT),), running_countdowns, waits=True
    ),
    *KEY_METHODS,
    Method("admin.asset.add", Security.NONE, (_NAME, Parameter("scale", Kind.INTEGER, True)), add_asset),
    Method("admin.asset.list", Security.NONE, (), list_assets, waits=True),
    *MARKET_METHODS,
    *SCHEDULE_METHODS,
    *FEE_METHODS,
    *LIMIT_METHODS,
    *MONEY_METHODS,
    Method("admin.status", Security.NONE, (), status, waits=True),
)
"""Name -> method, for the local socket."""
