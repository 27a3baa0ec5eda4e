"""The recorded fills against the exchange's own, command by command, and every difference with its cause."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from .convert import Conversion
from .intention import Fill, Intention


class Difference(StrEnum):
    """How a recorded trade and the exchange's differ."""

    LISTED_LAST = (
        "same orders, same sizes: the feed names one last at its price, not at its place (as it does icebergs)"
    )
    OTHER = "UNEXPLAINED: other orders or sizes were filled"
    UNEXPECTED = "UNEXPLAINED: fills where none is recorded"


@dataclass
class Outcome:
    """What an exchange did with the intentions."""

    fills: Mapping[int, Sequence[Fill]]
    """By index of the intention, in order of trade ids; prices in 1e-9, order ids the recording's."""
    refused: Mapping[int, str]
    """Commands that the exchange refused, by index of the intention, with its reason."""
    trade_ids_rise: bool
    """Whether the trade ids rise with the order in which the commands were sent."""
    seconds: float = 0.0
    """From the first command to the last answer."""


@dataclass
class Comparison:
    trades_expected: int = 0
    trades_matched: int = 0
    fills_expected: int = 0
    fills_matched: int = 0
    trades_differing: Counter[Difference] = field(default_factory=Counter)
    fills_differing: Counter[Difference] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    in_order: bool = True
    examples: list[str] = field(default_factory=list)
    """Of what is not explained; at most EXAMPLES_MAX."""

    @property
    def explained(self) -> bool:
        unexplained = self.trades_differing[Difference.OTHER] + self.trades_differing[Difference.UNEXPECTED]
        return unexplained == 0 and not self.refused and self.in_order


EXAMPLES_MAX = 5


def compare(conversion: Conversion, outcome: Outcome) -> Comparison:
    """Every intention's recorded fills against the exchange's: the same resting order, price and size, in order."""
    result = Comparison(in_order=outcome.trade_ids_rise)
    for reason in outcome.refused.values():
        result.refused[reason] += 1
    for index, intention in enumerate(conversion.intentions):
        actual = list(outcome.fills.get(index, ()))
        if intention.trades or actual:
            _compare_one(intention, actual, result)
    for index, reason in list(outcome.refused.items())[:EXAMPLES_MAX]:
        result.examples.append(f"{_named(conversion.intentions[index])} was refused: {reason}")
    return result


def _compare_one(intention: Intention, actual: list[Fill], result: Comparison) -> None:
    """Trade by trade: the exchange's fills are cut where the recorded trades end, by number of fills."""
    start = 0
    for trade in intention.trades:
        own = actual[start : start + len(trade)]
        start += len(trade)
        result.trades_expected += 1
        result.fills_expected += len(trade)
        if own == trade:
            result.trades_matched += 1
            result.fills_matched += len(trade)
            continue
        difference = Difference.LISTED_LAST if _one_listed_last(trade, own) else Difference.OTHER
        result.trades_differing[difference] += 1
        result.fills_matched += sum(a == b for a, b in zip(trade, own, strict=False))
        result.fills_differing[difference] += sum(a != b for a, b in zip(trade, own, strict=False))
        result.fills_differing[difference] += abs(len(trade) - len(own))
        if difference is Difference.OTHER and len(result.examples) < EXAMPLES_MAX:
            result.examples.append(f"{_named(intention)}: recorded {trade}, filled {own}")
    if len(actual) > start:
        result.trades_differing[Difference.UNEXPECTED] += 1
        result.fills_differing[Difference.UNEXPECTED] += len(actual) - start
        if len(result.examples) < EXAMPLES_MAX:
            result.examples.append(f"{_named(intention)}: filled beyond the recording: {actual[start:]}")


def _one_listed_last(recorded: list[Fill], actual: list[Fill]) -> bool:
    """Whether the two are the same but for one order that the recording names at the end, and not at its place."""
    if len(recorded) != len(actual):
        return False
    rest = [fill for fill in actual if fill != recorded[-1]]
    return rest == recorded[:-1] and recorded[-1] in actual


def _named(intention: Intention) -> str:
    side = "bid" if intention.bid else "ask"
    return f"{intention.kind.value} {side} {intention.order_id}, price {intention.price / 1e9}, {intention.quantity}"
