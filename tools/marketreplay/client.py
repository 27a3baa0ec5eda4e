"""Intentions through a running exchange, over ZeroMQ: one DEALER, requests pipelined.

As msgpack requests, one for each: a reply says in which trades an order took part when it entered, by trade id; the
execution report of the same trade's maker, on the user data stream, says which resting order it was. Both together
are a fill. Or as binary frames of many COMMAND records, answered by EVENT records, which say all of it.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from itertools import pairwise
from types import TracebackType
from typing import Any, Final

import msgspec
import numpy as np
import zmq

from ringex.decimals import format_scaled
from ringex.messages import EVENT
from ringex.terms import EventFlag

from .compare import Outcome
from .drive import command_records, outcome_of
from .instrument import Instrument
from .intention import Fill, Intention, Kind
from .mbo import PRICE_ONE

IN_FLIGHT_MAX: Final = 512
"""Requests sent and not yet answered; the gateway takes 4,096 of one connection."""
RECORDS_PER_FRAME: Final = 512
RECORDS_IN_FLIGHT_MAX: Final = 8 * RECORDS_PER_FRAME
"""Binary commands; the gateway takes 16,384 of one connection."""
BINARY: Final = b"RXB1"
FIRST_REPLY_SECONDS_MAX: Final = 5.0
REPLY_SECONDS_MAX: Final = 30.0
_RECEIVE_HIGH_WATER: Final = 1 << 20
"""Messages: three or four come for each command, and none may be dropped while this end computes."""


class ExchangeError(Exception):
    """The exchange cannot be used for a replay; the message says why, and what would be right."""


class _SilenceError(ExchangeError):
    """No answer within the time."""


@dataclass
class _Replies:
    """What came back, as it came."""

    taken: dict[int, list[tuple[int, int, int]]] = field(default_factory=dict)
    """By index of the intention: (trade id, price in 1e-9, quantity)."""
    makers: dict[int, int] = field(default_factory=dict)
    """Trade id -> the resting order's number in the recording."""
    refused: dict[int, str] = field(default_factory=dict)


class ReplayClient:
    """One connection, logged on with one key. Use as a context manager."""

    def __init__(self, endpoint: str, key: str, secret: str) -> None:
        self._key, self._secret = key, secret
        self._endpoint = endpoint
        self._socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.DEALER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.RCVHWM, _RECEIVE_HIGH_WATER)
        self._socket.connect(endpoint)
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder().decode

    def __enter__(self) -> ReplayClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def prepare(self, instrument: Instrument) -> int:
        """Log on, and see that the market is there, fits, and has an empty book. The market's number.

        Raises ExchangeError, which says what is missing and what makes it.
        """
        symbol = instrument.market.symbol
        try:
            markets = self.call("exchangeInfo", {}, FIRST_REPLY_SECONDS_MAX)["symbols"]
        except _SilenceError as error:
            raise ExchangeError(f"{error}: is an exchange running there? `ringex start` starts one") from None
        symbols = [market["symbol"] for market in markets]
        if symbol not in symbols:
            raise ExchangeError(
                f"the exchange has no market {symbol}, but {', '.join(symbols[:8])}; start one with a configuration "
                "that --config-out writes, or use --start"
            )
        number = symbols.index(symbol)
        price_filter = markets[number]["filters"][0]
        tick = format_scaled(instrument.market.tick, instrument.market.price_scale)
        if Decimal(price_filter["tickSize"]) != Decimal(tick):
            raise ExchangeError(f"{symbol} has tick {price_filter['tickSize']}; the recording needs {tick}")
        depth = self.call("depth", {"symbol": symbol, "limit": 5})
        if depth["bids"] or depth["asks"]:
            raise ExchangeError(f"{symbol} has orders already; a replay needs an empty book: start with a new --data")
        try:
            self.call("session.logon", self._signed({}))
        except ExchangeError as error:
            raise ExchangeError(f"{error} (`ringex key create --account replay` prints a key and its secret)") from None
        return number

    def call(self, method: str, params: Mapping[str, Any], seconds_max: float = REPLY_SECONDS_MAX) -> Any:
        """One request and its result, with nothing else in flight. Raises ExchangeError."""
        self._send(method, method, params)
        deadline = time.monotonic() + seconds_max
        while True:
            message = self._receive(deadline)
            if message.get("id") == method:
                break
        if "error" in message:
            raise ExchangeError(f"{method}: {message['error'].get('code')} {message['error'].get('msg')}")
        return message["result"]

    def replay(
        self, intentions: Sequence[Intention], instrument: Instrument, progress: Callable[[int], None]
    ) -> Outcome:
        """Send all intentions in order, at most IN_FLIGHT_MAX ahead of the replies. `progress`: replies so far."""
        self.call("userDataStream.subscribe.signature", self._signed({}))
        replies = _Replies()
        sent = answered = 0
        started = time.perf_counter()
        while answered < len(intentions):
            while sent < len(intentions) and sent - answered < IN_FLIGHT_MAX:
                self._send(sent, *_request(intentions[sent], instrument))
                sent += 1
            if self._take(replies, time.monotonic() + REPLY_SECONDS_MAX):
                answered += 1
                progress(answered)
        seconds = time.perf_counter() - started
        self._take_reports(replies)
        return _outcome(replies, seconds)

    def replay_binary(
        self, intentions: Sequence[Intention], instrument: Instrument, market: int, progress: Callable[[int], None]
    ) -> Outcome:
        """As `replay`, in binary frames; `market` is the market's number at the exchange."""
        records = command_records(intentions, instrument)
        records["market"] = market
        sent = answered = 0
        answers: list[bytes] = []
        started = time.perf_counter()
        while answered < len(records):
            while sent < len(records) and sent - answered <= RECORDS_IN_FLIGHT_MAX - RECORDS_PER_FRAME:
                frame = records[sent : sent + RECORDS_PER_FRAME]
                self._socket.send_multipart([BINARY, frame.tobytes()])
                sent += len(frame)
            raw = self._receive_records(time.monotonic() + REPLY_SECONDS_MAX)
            answers.append(raw)
            answered += int(np.count_nonzero(np.frombuffer(raw, EVENT)["flag_bits"] & EventFlag.LAST))
            progress(answered)
        seconds = time.perf_counter() - started
        outcome = outcome_of(intentions, np.frombuffer(b"".join(answers), EVENT), instrument)
        return replace(outcome, seconds=seconds)

    def _take_reports(self, replies: _Replies) -> None:
        """The last reports may come after the last reply."""
        trade_ids = {trade_id for trades in replies.taken.values() for trade_id, _, _ in trades}
        deadline = time.monotonic() + REPLY_SECONDS_MAX
        while not trade_ids <= replies.makers.keys():
            self._take(replies, deadline)

    def _take(self, replies: _Replies, deadline: float) -> bool:
        """One message; whether it was a reply."""
        message = self._receive(deadline)
        if "event" in message:
            event = message["event"]
            if event["e"] == "executionReport" and event["x"] == "TRADE" and event["m"]:
                replies.makers[event["t"]] = int(event["c"])
            elif event["e"] == "eventStreamTerminated":
                raise ExchangeError("the exchange ended the user data stream: its reports cannot be complete")
            return False
        index = message["id"]
        if "error" in message:
            replies.refused[index] = f"{message['error'].get('code')} {message['error'].get('msg')}"
            return True
        fills = message["result"].get("fills") or ()
        if fills:
            replies.taken[index] = [
                (fill["tradeId"], int(Decimal(fill["price"]) * PRICE_ONE), int(Decimal(fill["qty"]))) for fill in fills
            ]
        return True

    def _send(self, number: int | str, method: str, params: Mapping[str, Any]) -> None:
        self._socket.send(self._encode({"id": number, "method": method, "params": params}))

    def _receive_records(self, deadline: float) -> bytes:
        """One frame of EVENT records."""
        frames = self._receive_frames(deadline)
        if len(frames) == 2 and frames[0] == BINARY:
            return frames[1]
        message = self._decode(frames[-1])
        error = message.get("error", {}) if isinstance(message, dict) else {}
        raise ExchangeError(f"binary orders: {error.get('code')} {error.get('msg', str(message)[:200])}")

    def _receive_frames(self, deadline: float) -> list[bytes]:
        allowed = max(deadline - time.monotonic(), 0.0)
        if not self._socket.poll(int(allowed * 1000)):
            raise _SilenceError(f"{self._endpoint} has not answered for {allowed:.0f} s")
        return self._socket.recv_multipart()

    def _receive(self, deadline: float) -> dict[str, Any]:
        message = self._decode(self._receive_frames(deadline)[-1])
        if not isinstance(message, dict) or not ("id" in message or "event" in message):
            raise ExchangeError(f"{self._endpoint} sent what is no reply: {str(message)[:200]}")
        return message

    def _signed(self, params: Mapping[str, Any]) -> dict[str, Any]:
        signed = {**params, "apiKey": self._key, "timestamp": time.time_ns() // 1_000_000}
        text = "&".join(f"{name}={signed[name]}" for name in sorted(signed))
        signed["signature"] = hmac.digest(self._secret.encode(), text.encode(), "sha256").hex()
        return signed


def _request(intention: Intention, instrument: Instrument) -> tuple[str, dict[str, Any]]:
    """Method and parameters. On a session that is logged on they need no signature; without a timestamp, nothing that a
    slow machine holds up is refused as too old."""
    market = instrument.market
    params: dict[str, Any] = {"symbol": market.symbol}
    order = str(intention.order_id)
    if intention.kind is Kind.CANCEL:
        return "order.cancel", {**params, "origClientOrderId": order}
    params["price"] = format_scaled(intention.price // instrument.price_unit, market.price_scale)
    params["quantity"] = format_scaled(intention.quantity, market.quantity_scale)
    if intention.kind is Kind.AMEND:
        return "order.amend", {**params, "origClientOrderId": order}
    params["side"] = "BUY" if intention.bid else "SELL"
    params["type"] = "LIMIT"
    params["timeInForce"] = "IOC" if intention.kind is Kind.TAKE else "GTC"
    params["newClientOrderId"] = order
    params["newOrderRespType"] = "FULL"
    return "order.place", params


def _outcome(replies: _Replies, seconds: float) -> Outcome:
    fills = {
        index: [Fill(replies.makers[trade_id], price, quantity) for trade_id, price, quantity in trades]
        for index, trades in replies.taken.items()
    }
    trade_ids = [trade_id for index in sorted(replies.taken) for trade_id, _, _ in replies.taken[index]]
    rising = all(first < second for first, second in pairwise(trade_ids))
    return Outcome(fills, replies.refused, rising, seconds)
