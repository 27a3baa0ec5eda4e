"""Changes: which levels of which books a batch of events has changed, each once, as it was left."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ringex.messages import TRADE
from ringex.terms import EventFlag, EventKind, Side


@dataclass(frozen=True, slots=True)
class MarketChanges:
    """The changes of one market's book from update `first_update_id` to `last_update_id`, both included.

    `bids` and `asks` are (price, quantity) pairs, best first; quantity 0 says that the level is gone. `time_ns` is
    that of the last event among them.
    """

    market: int
    first_update_id: int
    last_update_id: int
    time_ns: int
    bids: list[tuple[int, int]]
    asks: list[tuple[int, int]]


def changes_by_market(events: np.ndarray) -> list[MarketChanges]:
    """The changes that a batch of EVENT records makes, by market number. The batch must not leave out any event."""
    flagged = events[(events["flag_bits"] & EventFlag.LEVEL) != 0]
    if not len(flagged):
        return []
    trades = flagged.view(TRADE)
    is_trade = flagged["kind"] == EventKind.TRADE
    market = flagged["market"]
    side = np.where(is_trade, Side.BUY + Side.SELL - trades["side"], flagged["side"])
    price = np.where(is_trade, trades["price"], flagged["level_price"])
    quantity = np.where(is_trade, trades["level_quantity"], flagged["level_quantity"])
    update_id = np.where(is_trade, trades["book_update_id"], flagged["book_update_id"])

    # Best first means bids downwards and asks upwards; of one level's changes the last one stays.
    rank = np.where(side == Side.BUY, -price, price)
    order = np.lexsort((update_id, rank, side, market))
    market, side, rank = market[order], side[order], rank[order]
    is_last = np.ones(len(order), bool)
    is_last[:-1] = (market[1:] != market[:-1]) | (side[1:] != side[:-1]) | (rank[1:] != rank[:-1])

    changes = []
    numbers, starts = np.unique(market, return_index=True)
    for number, start, end in zip(numbers.tolist(), starts, [*starts[1:], len(order)], strict=True):
        places = order[start:end]
        first, last = int(update_id[places].min()), int(update_id[places].max())
        assert last - first + 1 == len(places), f"market {number}: book updates {first} to {last} have a gap"
        kept = places[is_last[start:end]]
        levels = list(zip(price[kept].tolist(), quantity[kept].tolist(), strict=True))
        bids = int((side[start:end][is_last[start:end]] == Side.BUY).sum())
        changes.append(
            MarketChanges(number, first, last, int(flagged["time_ns"][places].max()), levels[:bids], levels[bids:])
        )
    return changes
