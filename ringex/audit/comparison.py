"""A state's tables against the books: what each account owns, and that what is locked is what orders and holds need."""

from __future__ import annotations

from collections import defaultdict
from itertools import chain
from typing import Final

import numpy as np

from ringex.audit.books import Books, MarketTerms, NotUnderstoodError, Place, holds_of
from ringex.terms import OrderType, Side

KNOWN_ORDER_TYPES: Final = frozenset(
    {
        *(OrderType.LIMIT, OrderType.LIMIT_MAKER, OrderType.MARKET),
        *(OrderType.STOP_LOSS, OrderType.STOP_LOSS_LIMIT, OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT),
    }
)


def differences(books: Books, tables: dict[str, np.ndarray]) -> list[str]:
    """What in these tables (`engine.export`) is not as the books have it, one line each. Raises NotUnderstoodError."""
    found = []
    needed = needs(books.markets, tables)
    kept: dict[Place, tuple[int, int]] = {}
    for balance in tables["balances"]:
        kept[int(balance["account"]), int(balance["asset"])] = int(balance["free"]), int(balance["locked"])
    for account, asset in sorted(kept.keys() | books.owned.keys() | needed.keys()):
        free, locked = kept.get((account, asset), (0, 0))
        owned, need = books.balance_of(account, asset), needed.get((account, asset), 0)
        where = f"{_name(tables, 'accounts', account)}, {_name(tables, 'assets', asset)}"
        if free + locked != owned:
            found.append(f"{where}: the state has {free + locked} (free {free}, locked {locked}), the journal {owned}")
        if locked != need:
            found.append(f"{where}: {locked} is locked, open orders and held withdrawals need {need}")
        if free < 0 or locked < 0:
            found.append(f"{where}: free {free}, locked {locked}: negative")
    if holds_of(tables) != books.held:
        for (account, reference), _ in sorted(holds_of(tables).items() ^ books.held.items()):
            where = f"{_name(tables, 'accounts', account)}, withdrawal {reference!r}"
            found.append(f"{where}: the state and the journal do not hold the same")
    return found + _unbalanced(books, tables)


def _unbalanced(books: Books, tables: dict[str, np.ndarray]) -> list[str]:
    """Assets of which accounts own more or less than came from outside."""
    found = []
    sums: dict[int, int] = defaultdict(int)
    for (_, asset), amount in books.owned.items():
        sums[asset] += amount
    for asset, row in enumerate(tables["assets"]):
        came, total = books.outside.get(asset, 0), int(row["total"])
        name = _name(tables, "assets", asset)
        if sums[asset] != came:
            found.append(f"{name}: all accounts together own {sums[asset]}, {came} was deposited and not withdrawn")
        if total != came:
            found.append(f"{name}: the state counts {total} in all, {came} was deposited and not withdrawn")
    return found


def needs(markets: list[MarketTerms], tables: dict[str, np.ndarray]) -> dict[Place, int]:
    """What the open orders and held withdrawals of a state must have locked. Raises NotUnderstoodError."""
    needed: dict[Place, int] = defaultdict(int)
    of_pairs: dict[tuple[int, Place], int] = defaultdict(int)
    pairs = {int(order_id): int(row["order_list_id"]) for row in tables["lists"] for order_id in row["order_ids"]}
    open_orders = [
        table for name, table in tables.items() if "executed" in (table.dtype.names or ()) and name != "pendings"
    ]
    for order in chain.from_iterable(open_orders):  # that rest, wait, follow the market, or are matching
        kind, side = int(order["order_type"]), int(order["side"])
        if kind not in KNOWN_ORDER_TYPES:
            raise NotUnderstoodError(f"order {order['order_id']}: type {kind}: this audit does not know what it holds")
        if kind == OrderType.MARKET:
            continue  # one that is matching: it pays from what is free
        market = markets[int(order["market"])]
        left, account = int(order["quantity"]) - int(order["executed"]), int(order["account"])
        place, amount = (account, market.base), market.base_amount(left)
        if side == Side.BUY:
            place, amount = (account, market.quote), market.notional(int(order["price"]), left)  # price 0: holds none
        if order["order_id"] in pairs:  # what is placed of a list is one order or a pair, which holds for the larger
            pair = pairs[int(order["order_id"])], place
            of_pairs[pair] = max(of_pairs[pair], amount)
        else:
            needed[place] += amount
    for (_, place), amount in of_pairs.items():
        needed[place] += amount
    for (account, _), (asset, amount) in holds_of(tables).items():
        needed[account, asset] += amount
    return {place: amount for place, amount in needed.items() if amount}


def _name(tables: dict[str, np.ndarray], table: str, number: int) -> str:
    """An account or asset as people know it; its number where the state does not."""
    if 0 <= number < len(tables[table]):
        return str(tables[table]["name"][number].decode("ascii", "replace"))
    return f"{table[:-1]} {number}"
