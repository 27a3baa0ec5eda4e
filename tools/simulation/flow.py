"""Random commands for long runs: those of the tests' streams, in the proportions of a market that is alive."""

from __future__ import annotations

from typing import Any

from reference.arena import BTC, MARKETS, USDT
from reference.records import Fields
from reference.streams import Dice, Stream

from ringex.terms import CommandKind, Side

DEEP_MARKET = 0
"""The market whose prices reach far enough for a deep book."""
DEPTH_TICKS = 48
ORDERS_PER_ACCOUNT_MAX = 4_000


class Flow(Stream):
    """Most of what the tests draw is refused, and that is their point; here most of it is taken."""

    def __init__(self, exchange: Any) -> None:
        super().__init__(exchange)
        often = [self._place] * 60 + [self._cancel] * 12 + [self._amend] * 8 + [self._cancel_replace] * 6
        often += [self._repeat] * 2 + [self._book] * 3
        rare = [make for make in dict.fromkeys(self.makers) if make not in often]
        self.makers = (*often * 5, *[self._set] * 5, *rare)

    def opening(self) -> list[tuple[Fields, ...]]:
        """Money and room for so many orders that canceling all of an account's takes several steps."""
        commands = super().opening()
        for (command,) in commands:
            if command.get("symbol") == MARKETS[DEEP_MARKET]["symbol"]:
                command["orders_per_account_max"] = ORDERS_PER_ACCOUNT_MAX
            if command["kind"] == CommandKind.DEPOSIT and command["asset"] in (BTC, USDT):
                command["amount"] *= 40
        return commands

    def _order(self, dice: Dice, market: int) -> Fields:
        order = super()._order(dice, market)
        if market == DEEP_MARKET:
            away = dice.below(DEPTH_TICKS) - 2
            for name in ("price", "stop_price"):
                if order.get(name):
                    order[name] += DEPTH_TICKS + (away if order["side"] == Side.SELL else -away)
        return order

    def _id(self, dice: Dice) -> str:
        return super()._id(dice) if dice.below(8) == 0 else ""

    def _filters(self, dice: Dice) -> tuple[Fields, ...]:
        """Most of a market's filters are soon taken away again."""
        (record,) = super()._filters(dice)
        return (self.desk.filters(record["market"]) if dice.below(4) else record,)

    def _rules(self, dice: Dice) -> tuple[Fields, ...]:
        """What makes a book deep stays."""
        (record,) = super()._rules(dice)
        if record["market"] == DEEP_MARKET:
            tick, lot = record["tick"], record["lot"]
            wide = {"price_max": 1_000_000 // tick * tick, "quantity_max": 1_000_000 // lot * lot}
            return (record | wide | {"orders_per_account_max": ORDERS_PER_ACCOUNT_MAX},)
        return (record,)

    def _set(self, dice: Dice) -> tuple[Fields, ...]:
        """What is halted or blocked is soon let go again."""
        (record,) = super()._set(dice)
        return (record | {"status": 1} if dice.below(4) else record,)
