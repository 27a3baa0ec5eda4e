"""A depth buffer: what has changed in a market's book since the last message, each level once, as it now is."""

from __future__ import annotations

from ringex.marketdata.changes import MarketChanges


class DepthBuffer:
    """Joins the changes of one market until they are taken. What follows on what must follow without a gap."""

    __slots__ = ("_asks", "_bids", "_first", "_last", "_time_ns")

    def __init__(self) -> None:
        self._first = 0  # 0: nothing waits
        self._last = 0
        self._time_ns = 0
        self._bids: dict[int, int] = {}
        self._asks: dict[int, int] = {}

    def add(self, changes: MarketChanges) -> None:
        if not self._first:
            self._first = changes.first_update_id
        else:
            assert changes.first_update_id == self._last + 1, "book updates must follow each other"
        self._last = changes.last_update_id
        self._time_ns = changes.time_ns
        self._bids.update(changes.bids)
        self._asks.update(changes.asks)

    def take(self, market: int) -> MarketChanges | None:
        """What waits, best prices first; None where nothing does."""
        if not self._first:
            return None
        bids = sorted(self._bids.items(), reverse=True)
        taken = MarketChanges(market, self._first, self._last, self._time_ns, bids, sorted(self._asks.items()))
        self.clear()
        return taken

    def clear(self) -> None:
        self._first = 0
        self._bids, self._asks = {}, {}
