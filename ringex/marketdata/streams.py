"""The public streams: one topic a stream, in the dialect's fields. `ringex.marketdata.composer` makes the messages.

    btcusdt@trade        one message a trade
    btcusdt@depth        one a batch: the levels that changed, each once, as it now is; U = the previous message's u + 1
    btcusdt@bookTicker   best bid and ask, when they have changed
    btcusdt@auction      what an uncross would give, when that has changed; and what the uncross that begins will trade

Topics are ASCII, payloads msgpack maps. Prices and quantities are strings with 8 decimals, times milliseconds.
"""

from __future__ import annotations

import msgspec

Message = tuple[bytes, bytes]
"""Topic frame and payload frame."""

NANOSECONDS_PER_MILLISECOND = 1_000_000


class TradeMessage(msgspec.Struct, kw_only=True):
    """`@trade`: one trade of the market `s`."""

    event: str = msgspec.field(name="e", default="trade")
    event_ms: int = msgspec.field(name="E")
    symbol: str = msgspec.field(name="s")
    trade_id: int = msgspec.field(name="t")
    price: str = msgspec.field(name="p")
    quantity: str = msgspec.field(name="q")
    trade_ms: int = msgspec.field(name="T")
    buyer_is_maker: bool = msgspec.field(name="m")
    ignore: bool = msgspec.field(name="M", default=True)  # the dialect says: to be ignored


class AuctionMessage(msgspec.Struct, kw_only=True):
    """`@auction`: an uncross of the market `s` would trade `q` at `p`; of the side `S` then `i` would be left over."""

    event: str = msgspec.field(name="e", default="auction")
    event_ms: int = msgspec.field(name="E")
    symbol: str = msgspec.field(name="s")
    price: str = msgspec.field(name="p")
    quantity: str = msgspec.field(name="q")
    imbalance: str = msgspec.field(name="i")
    side: str = msgspec.field(name="S")


def side_left_over(imbalance: int) -> str:
    """Of which side more is asked for than an uncross would trade."""
    return "BUY" if imbalance > 0 else "SELL" if imbalance < 0 else "NONE"


class DepthMessage(msgspec.Struct, kw_only=True):
    """`@depth`: what changed in the book from update `U` to update `u`; quantity "0.00000000": the level is gone."""

    event: str = msgspec.field(name="e", default="depthUpdate")
    event_ms: int = msgspec.field(name="E")
    symbol: str = msgspec.field(name="s")
    first_update_id: int = msgspec.field(name="U")
    last_update_id: int = msgspec.field(name="u")
    bids: list[tuple[str, str]] = msgspec.field(name="b")
    asks: list[tuple[str, str]] = msgspec.field(name="a")


class TickerMessage(msgspec.Struct, kw_only=True):
    """`@bookTicker`: the best bid and ask as of update `u`; an empty side is zero."""

    last_update_id: int = msgspec.field(name="u")
    symbol: str = msgspec.field(name="s")
    bid_price: str = msgspec.field(name="b")
    bid_quantity: str = msgspec.field(name="B")
    ask_price: str = msgspec.field(name="a")
    ask_quantity: str = msgspec.field(name="A")
