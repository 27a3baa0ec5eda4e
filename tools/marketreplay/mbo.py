"""One market-by-order record, and the words that its columns use. Every recording is read into an array of these.

The layout is that of Databento's MboMsg, 56 bytes, so that a DBN file needs no conversion; prices count 1e-9.
"""

from __future__ import annotations

from typing import Final

import numpy as np

MBO: Final = np.dtype(
    [
        ("length", "u1"),  # in words of four bytes
        ("rtype", "u1"),
        ("publisher", "<u2"),
        ("instrument", "<u4"),
        ("event_ns", "<u8"),  # the exchange's own time
        ("order_id", "<u8"),
        ("price", "<i8"),  # 1e-9
        ("quantity", "<u4"),
        ("flag_bits", "u1"),
        ("channel", "u1"),
        ("action", "S1"),
        ("side", "S1"),
        ("receive_ns", "<u8"),
        ("in_delta_ns", "<i4"),
        ("sequence", "<u4"),
    ]
)
RTYPE_MBO: Final = 160
PRICE_ONE: Final = 1_000_000_000
PRICE_NONE: Final = (1 << 63) - 1
"""Databento's "no price"."""

ADD: Final = b"A"
CANCEL: Final = b"C"
"""Takes `quantity` off an order: all that is left of it, or a part."""
MODIFY: Final = b"M"
"""The order's price and size are from now on these."""
TRADE: Final = b"T"
"""An aggressor traded: its side, its order id (0: not told), the price and size. Changes no book by itself."""
FILL: Final = b"F"
"""An order was filled in the trade before it. Changes no book by itself: a CANCEL or MODIFY that follows books it."""
CLEAR: Final = b"R"
"""The book is empty from here."""

BID: Final = b"B"
ASK: Final = b"A"
NO_SIDE: Final = b"N"

FLAG_LAST: Final = 128
"""The last record of one event of the exchange: the book is whole again after it."""
FLAG_SNAPSHOT: Final = 32
"""Not a message of a client: the book as it stood when the recording began, in order of priority."""
