"""The messages of the public streams made plainly: one at a time, by msgspec. What the compiled composer must equal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec
import numpy as np

from ringex.decimals import format_scaled
from ringex.history.catalogue import Market
from ringex.marketdata.changes import MarketChanges
from ringex.marketdata.depth import Depth, Quote
from ringex.marketdata.streams import (
    NANOSECONDS_PER_MILLISECOND,
    AuctionMessage,
    DepthMessage,
    Message,
    TickerMessage,
    TradeMessage,
)
from ringex.messages import INDICATIVE_EVENT, TRADE
from ringex.terms import EventKind, Side


class PlainStreams:
    """Makes the messages. It remembers, per market, the quotes that it sent last."""

    def __init__(self) -> None:
        self._encode = msgspec.msgpack.Encoder().encode
        self._quotes: dict[int, tuple[Quote, Quote]] = {}

    def forget(self) -> None:
        """Forget the quotes sent: `tickers` gives every market's again."""
        self._quotes.clear()

    def tickers(self, numbers: Iterable[int], markets: list[Market], depth: Depth) -> Iterator[Message]:
        """The ticker messages of those of the markets `numbers` whose best bid or ask is not what was sent last."""
        for number in numbers:
            quotes = (depth.best(number, Side.BUY), depth.best(number, Side.SELL))
            if self._quotes.get(number) != quotes:
                self._quotes[number] = quotes
                yield self._ticker(depth.last_update_id(number), quotes, markets[number])

    def trades(self, events: np.ndarray, markets: list[Market]) -> Iterator[Message]:
        """The trade messages of a batch of EVENT records, and those of auctions, in order."""
        for at in np.flatnonzero(np.isin(events["kind"], (EventKind.TRADE, EventKind.INDICATIVE))).tolist():
            one = events[at : at + 1]
            is_trade = one["kind"][0] == EventKind.TRADE
            yield from self._trades(one, markets) if is_trade else [self._auction(one, markets)]

    def _auction(self, event: np.ndarray, markets: list[Market]) -> Message:
        told = event.view(INDICATIVE_EVENT)[0]
        market, imbalance = markets[int(told["market"])], int(told["imbalance"])
        message = AuctionMessage(
            event_ms=int(told["time_ns"]) // NANOSECONDS_PER_MILLISECOND,
            symbol=market.symbol,
            price=format_scaled(int(told["price"]), market.price_scale),
            quantity=format_scaled(int(told["quantity"]), market.quantity_scale),
            imbalance=format_scaled(abs(imbalance), market.quantity_scale),
            side="BUY" if imbalance > 0 else "SELL" if imbalance < 0 else "NONE",
        )
        return _topic(market, "auction"), self._encode(message)

    def _trades(self, events: np.ndarray, markets: list[Market]) -> Iterator[Message]:
        trades = events.view(TRADE)
        columns = ("market", "time_ns", "trade_id", "price", "quantity", "side")
        for number, time_ns, trade_id, price, quantity, side in zip(
            *(trades[column].tolist() for column in columns), strict=True
        ):
            market = markets[number]
            time_ms = time_ns // NANOSECONDS_PER_MILLISECOND
            message = TradeMessage(
                event_ms=time_ms,
                symbol=market.symbol,
                trade_id=trade_id,
                price=format_scaled(price, market.price_scale),
                quantity=format_scaled(quantity, market.quantity_scale),
                trade_ms=time_ms,
                buyer_is_maker=side == Side.SELL,
            )
            yield _topic(market, "trade"), self._encode(message)

    def depth(self, change: MarketChanges, market: Market) -> Message:
        """The depth message of what a batch has changed in one market."""
        message = DepthMessage(
            event_ms=change.time_ns // NANOSECONDS_PER_MILLISECOND,
            symbol=market.symbol,
            first_update_id=change.first_update_id,
            last_update_id=change.last_update_id,
            bids=[_level(price, quantity, market) for price, quantity in change.bids],
            asks=[_level(price, quantity, market) for price, quantity in change.asks],
        )
        return _topic(market, "depth"), self._encode(message)

    def _ticker(self, last_update_id: int, quotes: tuple[Quote, Quote], market: Market) -> Message:
        (bid_price, bid_quantity), (ask_price, ask_quantity) = (_level(*quote, market) for quote in quotes)
        message = TickerMessage(
            last_update_id=last_update_id,
            symbol=market.symbol,
            bid_price=bid_price,
            bid_quantity=bid_quantity,
            ask_price=ask_price,
            ask_quantity=ask_quantity,
        )
        return _topic(market, "bookTicker"), self._encode(message)


def _topic(market: Market, stream: str) -> bytes:
    return f"{market.symbol.lower()}@{stream}".encode("ascii")


def _level(price: int, quantity: int, market: Market) -> tuple[str, str]:
    return format_scaled(price, market.price_scale), format_scaled(quantity, market.quantity_scale)
