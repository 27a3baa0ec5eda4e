"""The binary path: many COMMAND records in one frame, EVENT records back. NumPy throughout, nothing per record.

A client on a logged-on session sends the frames [b"RXB1", n x 256 bytes of COMMAND]. It fills in kind (PLACE, CANCEL,
CANCEL_ALL, AMEND), market, side, order_type, time_in_force, price, quantity, quote_quantity, stop_price,
iceberg_quantity, self_trade_prevention, good_till_ns, trailing_delta, peg_price_type, peg_offset, order_id, the client
order ids (of PLACE, whose record is a PLACE_COMMAND, strategy_id and strategy_type instead of the original one),
flag_bits, timestamp_us and correlation; the gateway overwrites everything else. It receives frames [b"RXB1", EVENT
records], with its own correlation in them. A frame that is not in order is refused whole.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from ringex.gateways.auth import AHEAD_US_MAX, RECV_WINDOW_MS
from ringex.gateways.errors import invalid, malformed, too_many
from ringex.gateways.parameters import RESERVED_PREFIX
from ringex.messages import CLIENT_ORDER_ID_BYTES_MAX, COMMAND, RECORD_BYTES, SCHEMA_VERSION
from ringex.terms import CommandFlag, CommandKind

MAGIC: Final = b"RXB1"
RECORDS_PER_FRAME_MAX: Final = 4096
IN_FLIGHT_MAX: Final = 1 << 16
"""Binary commands of all connections under way at one gateway; a power of two."""
CORRELATION_FROM: Final = 1 << 62
"""Correlations of binary commands lie from here on, those of other requests below."""

KINDS: Final = (CommandKind.PLACE, CommandKind.CANCEL, CommandKind.CANCEL_ALL, CommandKind.AMEND)
FLAGS: Final = (
    CommandFlag.KEEP_PRIORITY | CommandFlag.ONLY_NEW | CommandFlag.ONLY_PARTIALLY_FILLED | CommandFlag.OF_SESSION
)
KEPT: Final = (
    *("kind", "market", "flag_bits", "side", "order_type", "time_in_force", "order_id", "price", "quantity"),
    *("quote_quantity", "client_order_id", "original_client_order_id", "timestamp_us"),
    *("self_trade_prevention", "stop_price", "iceberg_quantity", "good_till_ns", "trailing_delta"),
    *("peg_price_type", "peg_offset"),
)
TEXT_BYTES: Final = 40
IN_TEXT: Final = np.zeros(256, bool)
IN_TEXT[[0, *b".:/_-", *range(48, 58), *range(65, 91), *range(97, 123)]] = True
_RESERVED: Final = np.frombuffer(RESERVED_PREFIX.encode(), np.uint8)


def decode(frame: memoryview | bytes, now_ns: int) -> tuple[np.ndarray, np.ndarray]:
    """(commands, the clients' correlations) of one frame: COMMAND records of shape (n,) with clean headers, i8 (n,).

    Raises Refusal for a frame that is not in order; the message names the first record at fault, from 0.
    """
    size_bytes = memoryview(frame).nbytes
    count, rest = divmod(size_bytes, RECORD_BYTES)
    if rest or not 0 < count <= RECORDS_PER_FRAME_MAX:
        expected = f"1 to {RECORDS_PER_FRAME_MAX} records of {RECORD_BYTES} bytes were expected"
        raise malformed(f"{size_bytes} bytes; {expected}.")
    sent = np.frombuffer(frame, COMMAND, count)
    _check(np.isin(sent["kind"], KINDS), "kind", "It must be PLACE, CANCEL, CANCEL_ALL or AMEND.")
    _check((sent["flag_bits"] & ~np.uint32(FLAGS)) == 0, "flag_bits", "Some of its flags are not for clients.")
    _check_text(sent, "client_order_id")
    _check_text(sent, "original_client_order_id", sent["kind"] == CommandKind.PLACE)
    ahead = sent["timestamp_us"] >= now_ns // 1000 + AHEAD_US_MAX
    _check(~ahead & (sent["timestamp_us"] >= 0), "timestamp_us", "It is 1 s or more ahead of the server's time.")
    clean = np.zeros(count, COMMAND)
    for name in KEPT:
        clean[name] = sent[name]
    stamped = clean["timestamp_us"] > 0
    clean["expires_ns"] = np.where(stamped, clean["timestamp_us"] * 1000 + RECV_WINDOW_MS * 1_000_000, 0)
    clean["version"] = SCHEMA_VERSION
    clean["slots"] = 1
    return clean, sent["correlation"].copy()


def by_connection(events: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """EVENT records split by `connection`, each part in order."""
    if not len(events):
        return []
    order = np.argsort(events["connection"], kind="stable")
    sorted_events = events[order]
    cuts = np.flatnonzero(np.diff(sorted_events["connection"].astype(np.int64))) + 1
    return [(int(part["connection"][0]), part) for part in np.split(sorted_events, cuts)]


def check_share(in_flight: int, count: int) -> None:
    """One connection may hold a quarter of the room. Raises Refusal -1003."""
    if in_flight + count > IN_FLIGHT_MAX // 4:
        raise too_many("binary commands may be in flight on one connection", IN_FLIGHT_MAX // 4)


def _check(good: np.ndarray, name: str, why: str) -> None:
    if not good.all():
        raise invalid(name, f"Record {int(np.argmin(good))}: {why}")


def _check_text(sent: np.ndarray, name: str, is_none: np.ndarray | np.bool_ = np.False_) -> None:
    """`is_none`: where it is no text, but something else (of PLACE: the strategy's id and type)."""
    text = np.ascontiguousarray(sent[name]).view(np.uint8).reshape(len(sent), TEXT_BYTES)
    legal = IN_TEXT[text].all(axis=1) & (text[:, CLIENT_ORDER_ID_BYTES_MAX:] == 0).all(axis=1)
    _check(legal | is_none, name, "It may hold up to 36 letters, digits and .:/_-, padded with zero bytes.")
    gap_free = ((text[:, 1:] == 0) | (text[:, :-1] != 0)).all(axis=1)
    _check(gap_free | is_none, name, "Zero bytes may only follow the text.")
    reserved = (text[:, : len(_RESERVED)] == _RESERVED).all(axis=1)
    _check(
        ~reserved | is_none,
        name,
        f'Ids that begin with "{RESERVED_PREFIX}" are not for the binary path; send order_id.',
    )
