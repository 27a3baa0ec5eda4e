"""What a snapshot costs: export, write, load and hash of a state with many open orders.

    python tools/bench_snapshot.py [--orders 1000000] [--accounts 1000]

The orders rest in one market, over 20,000 price levels; each has a client order id. The file goes to a temporary
directory. Only the replica pays this, never the matcher.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

from ringex.config import Limits
from ringex.engine import Matcher
from ringex.engine.export import export_state, hash_of
from ringex.engine.snapshot import load_snapshot, write_snapshot
from ringex.markets import default_markets
from ringex.messages import AMOUNT_MAX, CommandKind, EventFlag, OrderType, Reason, Side, TimeInForce, commands

LEVELS = 10_000  # of each side
MIDDLE = 6_000_000
BATCH = 1 << 15
_Result = TypeVar("_Result")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=1_000_000)
    parser.add_argument("--accounts", type=int, default=1_000)
    options = parser.parse_args()
    limits = Limits(orders_max=options.orders)
    matcher = Matcher(default_markets()[:1], limits=limits)
    numbers = [matcher.account_add(f"account-{number}") for number in range(options.accounts)]
    for number in numbers:
        for asset in ("BTC", "USDT"):
            matcher.deposit(number, asset, AMOUNT_MAX // options.accounts, asset)
    matcher.submit(resting_orders(BATCH, np.array(numbers), "warm-")[:1])
    timed("place", options.orders, lambda: place(matcher, options.orders - 1, np.array(numbers)))
    with tempfile.TemporaryDirectory() as directory:
        tables = timed("export", options.orders, lambda: export_state(matcher.state))
        timed("hash", options.orders, lambda: hash_of(tables))
        path = timed("export, write and sync", options.orders, lambda: write_snapshot(matcher.state, Path(directory)))
        print(f"{'file':24} {path.stat().st_size / 2**20:8.1f} MiB")
        loaded = timed("load", options.orders, lambda: load_snapshot(path, limits))
    assert Matcher(state=loaded).state_hash() == matcher.state_hash(), "the loaded state is another one"


def place(matcher: Matcher, count: int, accounts: np.ndarray) -> None:
    for first in range(0, count, BATCH):
        events = matcher.submit(resting_orders(min(BATCH, count - first), accounts, f"{first}-"))
        refused = events[(events["flag_bits"] & EventFlag.WORKING) == 0]
        assert len(refused) == 0, f"every order must rest, not {Reason(refused['reason'][0]).name}"


def resting_orders(count: int, accounts: np.ndarray, prefix: str) -> np.ndarray:
    """Orders that never meet: bids below the middle, asks above it. Shape (count,), COMMAND."""
    orders = commands(count)
    each = np.arange(count)
    orders["kind"], orders["order_type"] = CommandKind.PLACE, OrderType.LIMIT
    orders["time_in_force"] = TimeInForce.GTC
    orders["account"] = accounts[each % len(accounts)]
    orders["side"] = np.where(each % 2, Side.BUY, Side.SELL)
    distance = 1 + each * 7919 % LEVELS
    orders["price"] = np.where(each % 2, MIDDLE - distance, MIDDLE + distance)
    orders["quantity"] = 1_000
    ids = np.array([f"{prefix}{number}".encode() for number in each], "S40")
    orders["client_order_id"] = ids.view("<u8").reshape(count, 5)
    return orders


def timed(what: str, count: int, run: Callable[[], _Result]) -> _Result:
    started = time.perf_counter()
    result = run()
    seconds = time.perf_counter() - started
    print(f"{what:24} {seconds:8.2f} s   {count / seconds / 1e6:6.2f} M orders/s", flush=True)
    return result


if __name__ == "__main__":
    main()
