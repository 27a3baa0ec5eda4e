"""Public channels: aggrbook.snapshot.<1|10>.<SYMBOL>, where the book has changed, and trades.<SYMBOL>, as they happen.

A message is encoded once for all who have subscribed. Who does not read gets no books until it does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from ringex.decimals import format_scaled
from ringex.gateways.errors import Refusal
from ringex.gateways.rows import rows_of
from ringex.gateways.times import shown
from ringex.gateways.userstreams import chosen
from ringex.gateways.web.frames import Opcode, frame
from ringex.gateways.web.pintu.envelope import now_ms
from ringex.gateways.web.pintu.translation import market_named, symbol_of
from ringex.gateways.web.responses import ENCODER
from ringex.gateways.web.websocket import WebSocket
from ringex.history.catalogue import Market
from ringex.history.readmodel import ReadModel
from ringex.terms import EventFlag, EventKind, Side

BOOK_SECONDS: Final = 0.1
"""Between two snapshots of one book."""
_BOOK: Final = "aggrbook.snapshot."
_TRADES: Final = "trades."
_LEVEL: Final = int(EventFlag.LEVEL)


class Channels:
    """Who has subscribed to which public channel; follows the events of the gateway (`Watcher`)."""

    def __init__(self, loop: asyncio.AbstractEventLoop, model: ReadModel, wake: Callable[[], None]) -> None:
        self._loop, self._model, self._wake = loop, model, wake
        self._books: dict[int, dict[int, dict[WebSocket, None]]] = {}  # market -> levels -> sockets
        self._trades: dict[int, dict[WebSocket, None]] = {}
        self._changed: dict[int, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def is_public(self, channel: str) -> bool:
        return channel.startswith((_BOOK, _TRADES))

    def add(self, socket: WebSocket, channel: str) -> None:
        """Raises Refusal: no such channel, no such market. A book comes at once."""
        market, levels = self._parse(channel)
        if levels:
            self._books.setdefault(market.number, {}).setdefault(levels, {})[socket] = None
            socket.send_frame(self._book(market, levels))
        else:
            self._trades.setdefault(market.number, {})[socket] = None

    def remove(self, socket: WebSocket, channel: str) -> None:
        """Raises Refusal for what is no such channel."""
        market, levels = self._parse(channel)
        group = self._books.get(market.number, {}).get(levels) if levels else self._trades.get(market.number)
        if group is not None:
            group.pop(socket, None)
            if not group and levels:
                del self._books[market.number][levels]
            elif not group:
                del self._trades[market.number]

    def events(self, events: np.ndarray, model: ReadModel) -> None:
        if self._trades:
            traded = (events["kind"] == EventKind.TRADE) & np.isin(events["market"], list(self._trades))
            if traded.any():
                self._tell_trades(chosen(events, traded))
        if self._books:
            moved = (events["flag_bits"] & _LEVEL) != 0
            self._change(np.unique(events["market"][moved]).tolist())

    def quiet(self) -> None:
        """Nothing waits for it."""

    def restart(self, model: ReadModel) -> None:
        self._model = model
        self._change(list(self._books))

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _change(self, markets: list[int]) -> None:
        self._changed.update(dict.fromkeys(market for market in markets if self._books.get(market)))
        if self._changed and self._timer is None:
            self._timer = self._loop.call_later(BOOK_SECONDS, self._tell_books)

    def _tell_books(self) -> None:
        self._timer = None
        changed, self._changed = list(self._changed), {}
        for number in changed:
            market = self._model.markets[number]
            for levels, sockets in self._books.get(number, {}).items():
                message = self._book(market, levels)
                for socket in sockets:
                    if not socket.paused:
                        socket.send_frame(message)
        self._wake()

    def _tell_trades(self, events: np.ndarray) -> None:
        found: dict[int, list[dict[str, Any]]] = {}
        for event in rows_of(events):
            found.setdefault(event["market"], []).append(self._trade(event))
        for number, trades in found.items():
            channel = f"{_TRADES}{symbol_of(self._model.markets[number])}"
            message = pushed(channel, {"trades": trades})
            for socket in self._trades[number]:
                socket.send_frame(message)

    def _trade(self, event: dict[str, Any]) -> dict[str, Any]:
        market = self._model.markets[event["market"]]
        return {
            "side": "BUY" if event["side"] == Side.BUY else "SELL",
            "price": format_scaled(event["price"], market.price_scale),
            "size": format_scaled(event["quantity"], market.quantity_scale),
            "timestamp": shown(event["time_ns"]),
            "symbol": symbol_of(market),
        }

    def _book(self, market: Market, levels: int) -> bytes:
        _, bids, asks = self._model.depth(market.number, levels)
        data = {"symbol": symbol_of(market), "bids": _rows(market, bids), "asks": _rows(market, asks)}
        return pushed(f"{_BOOK}{levels}.{symbol_of(market)}", data)

    def _parse(self, channel: str) -> tuple[Market, int]:
        """The market, and how many levels of its book; 0: its trades."""
        if channel.startswith(_TRADES):
            return market_named(channel.removeprefix(_TRADES), self._model), 0
        levels, _, symbol = channel.removeprefix(_BOOK).partition(".")
        if levels not in ("1", "10"):
            raise Refusal(-1130, f"There is no channel '{channel[:64]}'. Books have 1 or 10 levels: {_BOOK}10.BTC-IDR.")
        return market_named(symbol, self._model), int(levels)


def pushed(channel: str, data: Any) -> bytes:
    """A message of a channel, as a frame."""
    message = {"timestamp": now_ms(), "method": "subscription", "channel": channel, "data": data}
    return frame(Opcode.TEXT, ENCODER.encode(message))


def _rows(market: Market, side: np.ndarray) -> list[list[str]]:
    return [
        [format_scaled(price, market.price_scale), format_scaled(quantity, market.quantity_scale)]
        for price, quantity in side.tolist()
    ]
