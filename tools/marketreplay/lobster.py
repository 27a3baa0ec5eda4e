"""LOBSTER message files (NASDAQ, https://lobsterdata.com) as MBO records.

A line is `time,type,order id,size,price,direction`: seconds after midnight, the kind of event, shares, dollars times
10,000, and 1 or -1 for the buy or sell limit order concerned. Kinds: 1 a new order, 2 a part cancelled, 3 deleted,
4 executed, 5 execution of a hidden order, 6 cross trade (auction), 7 halt. Lines of one time are one event.

The file names no aggressor and has no opening book. So an execution becomes a TRADE of a nameless aggressor; and
an order that the file takes from but never adds must have rested before it began, with at least
what is taken: those orders make a snapshot, in order of their ids, which is the order in which they were entered.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Final

import numpy as np

from .mbo import (
    ADD,
    ASK,
    BID,
    CANCEL,
    FILL,
    FLAG_LAST,
    FLAG_SNAPSHOT,
    MBO,
    NO_SIDE,
    PRICE_ONE,
    RTYPE_MBO,
    TRADE,
)

PRICE_UNIT: Final = PRICE_ONE // 10_000
FIELDS: Final = ("time", "type", "order id", "size", "price", "direction")
NEW, CUT, DELETED, EXECUTED, HIDDEN, CROSS, HALT = range(1, 8)
QUANTITY_MAX: Final = (1 << 32) - 1
PRICE_MAX: Final = ((1 << 63) - 1) // PRICE_UNIT

Line = tuple[int, int, int, int, int, bool]
"""time in ns, type, order id, size, price in 1e-9, whether the order concerned is a bid"""


def read_lobster(path: Path) -> np.ndarray:
    """The file as MBO records, its unseen opening book first. Shape (n,), dtype MBO. Raises ValueError."""
    lines = _read(path)
    if not lines:
        raise ValueError(f"{path}: is empty; a LOBSTER message file has lines of {','.join(FIELDS)}")
    rows = _snapshot(lines)
    for i, line in enumerate(lines):
        *before, last = _records(line)
        ends = i + 1 == len(lines) or lines[i + 1][0] != line[0]
        rows += [(*row, 0) for row in before]
        rows.append((*last, FLAG_LAST if ends else 0))
    records = np.zeros(len(rows), MBO)
    for name, column in zip(
        ("event_ns", "action", "side", "price", "quantity", "order_id", "flag_bits"),
        zip(*rows, strict=True),
        strict=True,
    ):
        records[name] = column
    records["length"], records["rtype"] = MBO.itemsize // 4, RTYPE_MBO
    records["receive_ns"] = records["event_ns"]
    return records


Row = tuple[int, bytes, bytes, int, int, int]
"""event_ns, action, side, price, quantity, order_id"""


def _records(line: Line) -> list[Row]:
    """One line's records, without their flags. A cross trade and the execution of a hidden order name no fill."""
    time_ns, kind, order_id, size, price, bid = line
    side, aggressor = (BID, ASK) if bid else (ASK, BID)
    if kind == NEW:
        return [(time_ns, ADD, side, price, size, order_id)]
    if kind in (CUT, DELETED):
        return [(time_ns, CANCEL, side, price, size, order_id)]
    if kind == EXECUTED:
        return [
            (time_ns, TRADE, aggressor, price, size, 0),
            (time_ns, FILL, side, price, size, order_id),
            (time_ns, CANCEL, side, price, size, order_id),
        ]
    if kind == HIDDEN:
        return [(time_ns, TRADE, aggressor, price, size, 0)]
    return [(time_ns, TRADE, NO_SIDE, price, size, 0)]


def _snapshot(lines: list[Line]) -> list[tuple[int, bytes, bytes, int, int, int, int]]:
    """Orders that are taken from and were never added: as the file takes them away, they were there."""
    taken: dict[int, tuple[int, int, bool]] = {}
    added: set[int] = set()
    for _, kind, order_id, size, price, bid in lines:
        if kind == NEW:
            added.add(order_id)
        elif kind in (CUT, DELETED, EXECUTED) and order_id not in added:
            taken[order_id] = (taken.get(order_id, (0, 0, False))[0] + size, price, bid)
    start = lines[0][0]
    return [
        (start, ADD, BID if bid else ASK, price, size, order_id, FLAG_SNAPSHOT | FLAG_LAST)
        for order_id, (size, price, bid) in sorted(taken.items())
    ]


def _read(path: Path) -> list[Line]:
    lines: list[Line] = []
    with path.open(newline="", encoding="ascii", errors="replace") as file:
        for number, fields in enumerate(csv.reader(file), start=1):
            try:
                line = _line(fields)
            except ValueError as error:
                raise ValueError(f"{path}, line {number}: {error}") from None
            if line[1] != HALT:
                lines.append(line)
    return lines


def _line(fields: list[str]) -> Line:
    if len(fields) < len(FIELDS):
        raise ValueError(f"has {len(fields)} fields; a message has six: {','.join(FIELDS)}")
    seconds, _, fraction = fields[0].partition(".")
    kind, order_id, size, price, direction = (int(field) for field in fields[1:6])
    time_ns = int(seconds) * 1_000_000_000 + int(fraction.ljust(9, "0")[:9])
    if kind not in range(NEW, HALT + 1):
        raise ValueError(f"type is {kind}; it must be 1 to 7")
    if kind == HALT:
        return time_ns, kind, 0, 0, 0, False
    if direction not in (1, -1):
        raise ValueError(f"direction is {direction}; it must be 1 or -1")
    if not 0 < size <= QUANTITY_MAX or not 0 < price <= PRICE_MAX:
        raise ValueError(f"size is {size} and price {price}; both must be above 0")
    return time_ns, kind, max(order_id, 0), size, price * PRICE_UNIT, direction == 1
