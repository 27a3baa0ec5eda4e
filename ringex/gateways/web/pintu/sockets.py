"""Pintu Pro's envelope over WebSocket, /v1/ws: methods, public/auth, subscriptions and heartbeats."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from ringex.decimals import format_scaled
from ringex.gateways.errors import Refusal, invalid
from ringex.gateways.gateway import Gateway
from ringex.gateways.web.frames import CloseCode
from ringex.gateways.web.pintu import envelope
from ringex.gateways.web.pintu.channels import Channels, pushed
from ringex.gateways.web.pintu.envelope import Envelope
from ringex.gateways.web.pintu.translation import Translated, market_named, order_words, symbol_of, timed, translate
from ringex.gateways.web.responses import ENCODER
from ringex.gateways.web.websocket import WebSocket
from ringex.history.catalogue import Market
from ringex.terms import Transport

PATH: Final = b"/v1/ws"
CHANNELS_MAX: Final = 200
HEARTBEAT_SECONDS: Final = 30.0
ANSWER_SECONDS: Final = 10.0
"""A heartbeat that is not answered until then ends the connection."""
_USER: Final = ("user.orders", "user.trades", "user.balance.snapshot")


@dataclass(slots=True)
class State:
    """What one socket has for itself."""

    channels: set[str] = field(default_factory=set)
    beat: str = ""
    """The request id of the heartbeat that waits for its answer."""
    beat_until: float = 0.0
    next_beat: float = 0.0


@dataclass(frozen=True, slots=True)
class SocketTicket:
    """One request under way: the gateway gives it back with the reply. `channel`: of a subscription."""

    sockets: PintuSockets
    socket: WebSocket
    sent: Envelope
    translated: Translated | None = None
    channel: str = ""

    def answer(self, message: dict[str, Any]) -> None:
        self.sockets.answer(self, message)


class PintuSockets:
    """The endpoint."""

    def __init__(self, gateway: Gateway, channels: Channels, loop: asyncio.AbstractEventLoop) -> None:
        self._gateway, self._channels, self._loop = gateway, channels, loop
        self._open: dict[WebSocket, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def accept(self, path: bytes, query: bytes) -> State:
        return State()

    def on_open(self, socket: WebSocket) -> None:
        socket.state.next_beat = self._loop.time() + HEARTBEAT_SECONDS
        self._open[socket] = None
        if self._timer is None:
            self._timer = self._loop.call_later(ANSWER_SECONDS, self._beat)

    def on_message(self, socket: WebSocket, payload: bytes, is_text: bool) -> None:
        if not is_text:
            socket.close(CloseCode.UNSUPPORTED, "requests are texts, in JSON")
            return
        sent = Envelope("", 0, "", "", {}, "")
        try:
            sent = envelope.read_envelope(payload)
            self._take(socket, sent)
        except Refusal as refusal:
            ticket = SocketTicket(self, socket, sent)
            self._gateway.refuse(socket.seat(Transport.WEB_SOCKET), ticket, refusal)

    def on_writable(self, socket: WebSocket) -> None:
        pass

    def on_close(self, socket: WebSocket) -> None:
        self._open.pop(socket, None)
        for channel in socket.state.channels:
            if self._channels.is_public(channel):
                self._channels.remove(socket, channel)

    def on_stop(self, socket: WebSocket) -> None:
        """The close frame says it."""

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def answer(self, ticket: SocketTicket, message: dict[str, Any]) -> None:
        """The gateway's reply to a request."""
        sent, error = ticket.sent, message.get("error")
        request_id = sent.request_id or str(sent.timestamp)
        data = {"channel": ticket.channel} if ticket.channel else None
        if error is not None:
            refusal = Refusal(error["code"], error["msg"], error.get("data"), message["status"])
            self._send(ticket.socket, envelope.refused(request_id, sent.method, refusal, data))
            return
        if ticket.translated is not None:
            data = ticket.translated.tell(message["result"])
        elif ticket.channel:
            ticket.socket.state.channels.add(ticket.channel)
        self._send(ticket.socket, envelope.reply(request_id, sent.method, data))
        if ticket.channel == _USER[2]:
            self._tell_balances(ticket.socket)

    def on_event(self, socket: WebSocket, message: dict[str, Any]) -> None:
        """An event of a user stream, in the dialect's fields."""
        event = message["event"]
        if isinstance(event, msgspec.Raw):  # encoded once for all who follow the account
            event = msgspec.json.decode(event)
        kind = event["e"]
        if kind == "executionReport":
            self._tell_order(socket, event)
        elif kind in ("outboundAccountPosition", "balanceUpdate"):
            self._tell_balances(socket)
        elif kind == "eventStreamTerminated":
            socket.close(CloseCode.POLICY, "the user stream has ended: connect again, and authenticate anew")

    # Requests

    def _take(self, socket: WebSocket, sent: Envelope) -> None:
        connection, gateway = socket.seat(Transport.WEB_SOCKET), self._gateway
        proof = sent.proof() if sent.signature else None
        if sent.method == "heartbeat-response":
            if sent.request_id == socket.state.beat:
                socket.state.beat = ""
        elif sent.method == "public/auth":
            gateway.call(
                connection, SocketTicket(self, socket, sent), "session.logon", timed({}, sent.timestamp), sent.proof()
            )
        elif sent.method in ("subscribe", "unsubscribe"):
            self._change(socket, sent)
        else:
            translated = translate(sent.method, sent.params, gateway.model)
            is_private = sent.method.startswith("private/")
            params = timed(translated.params, sent.timestamp) if is_private else translated.params
            ticket = SocketTicket(self, socket, sent, translated)
            shown_by = proof if is_private else None
            gateway.call(connection, ticket, translated.method, params, shown_by, tokens=translated.tokens)

    def _change(self, socket: WebSocket, sent: Envelope) -> None:
        """One reply a channel."""
        channels = sent.params.get("channels")
        if not isinstance(channels, list) or not channels or not all(isinstance(one, str) for one in channels):
            raise invalid("channels", "It must be a list of channels, such as trades.BTC-IDR.")
        if len(channels) > CHANNELS_MAX:
            raise invalid("channels", f"At most {CHANNELS_MAX} are allowed.")
        for channel in channels:
            ticket = SocketTicket(self, socket, sent, channel=channel[:128])
            try:
                if sent.method == "subscribe":
                    self._subscribe(socket, sent, channel, ticket)
                else:
                    self._unsubscribe(socket, channel)
                    ticket.answer({"result": {}})
            except Refusal as refusal:
                self._gateway.refuse(socket.seat(Transport.WEB_SOCKET), ticket, refusal)

    def _subscribe(self, socket: WebSocket, sent: Envelope, channel: str, ticket: SocketTicket) -> None:
        connection, state = socket.seat(Transport.WEB_SOCKET), socket.state
        if len(state.channels) >= CHANNELS_MAX:
            raise Refusal(-1191, f"Too many subscriptions. At most {CHANNELS_MAX} on one connection.")
        if self._channels.is_public(channel):
            self._channels.add(socket, channel)
            ticket.answer({"result": {}})
            return
        self._check_user_channel(channel)
        if connection.subscriptions:  # the account's events come already
            ticket.answer({"result": {}})
        elif sent.signature:
            params = timed({}, sent.timestamp)
            self._gateway.call(connection, ticket, "userDataStream.subscribe.signature", params, sent.proof())
        else:
            self._gateway.call(connection, ticket, "userDataStream.subscribe", {})

    def _unsubscribe(self, socket: WebSocket, channel: str) -> None:
        if self._channels.is_public(channel):
            self._channels.remove(socket, channel)
        else:
            self._check_user_channel(channel)
        socket.state.channels.discard(channel)
        if not any(one.startswith("user.") for one in socket.state.channels) and socket.connection is not None:
            socket.connection.subscriptions.clear()

    def _check_user_channel(self, channel: str) -> None:
        for name in _USER[:2]:
            if channel.startswith(f"{name}."):
                market_named(channel.removeprefix(f"{name}."), self._gateway.model)
                return
        if channel not in _USER:
            known = "aggrbook.snapshot.10.<SYMBOL>, trades.<SYMBOL>, user.orders, user.trades, user.balance.snapshot"
            raise Refusal(-1130, f"There is no channel '{channel[:64]}'. There are {known}.")

    # Events

    def _tell_order(self, socket: WebSocket, event: dict[str, Any]) -> None:
        market = self._gateway.model.market_named(event["s"])
        assert market is not None
        channels = socket.state.channels
        symbol = symbol_of(market)
        told = {"orders": [_order(market, event)]}
        for channel in (_USER[0], f"{_USER[0]}.{symbol}"):
            if channel in channels:
                socket.send_frame(pushed(channel, told))
        if event["x"] != "TRADE":
            return
        told = {"trades": [_trade(symbol, event)]}
        for channel in (_USER[1], f"{_USER[1]}.{symbol}"):
            if channel in channels:
                socket.send_frame(pushed(channel, told))

    def _tell_balances(self, socket: WebSocket) -> None:
        connection = socket.connection
        if _USER[2] not in socket.state.channels or connection is None or not connection.subscriptions:
            return
        (account, *_) = connection.subscriptions.values()
        model = self._gateway.model
        found: dict[str, dict[str, str]] = {}
        for balance in model.balances(account):
            asset = model.assets[balance.asset]
            amounts = {"balance": balance.free + balance.locked, "available": balance.free, "order": balance.locked}
            found[asset.name.lower()] = {name: format_scaled(amount, asset.scale) for name, amount in amounts.items()}
        socket.send_frame(pushed(_USER[2], {"assets": found}))

    # Heartbeats

    def _beat(self) -> None:
        """Look at every socket: who owes an answer is ended, who was silent for a while is asked."""
        now = self._loop.time()
        for socket in list(self._open):
            state = socket.state
            if state.beat and now >= state.beat_until:
                self._gateway.counts["heartbeats_missing"] += 1
                socket.close(CloseCode.POLICY, "a heartbeat-request was not answered within 10 s")
            elif not state.beat and now >= state.next_beat:
                state.beat, state.next_beat = secrets.token_hex(16), now + HEARTBEAT_SECONDS
                state.beat_until = now + ANSWER_SECONDS
                asked = {"request_id": state.beat, "timestamp": envelope.now_ms(), "method": "heartbeat-request"}
                self._send(socket, asked)
        self._timer = self._loop.call_later(ANSWER_SECONDS, self._beat) if self._open else None

    def _send(self, socket: WebSocket, message: dict[str, Any]) -> None:
        socket.send_text(ENCODER.encode(message))


def _order(market: Market, event: dict[str, Any]) -> dict[str, Any]:
    own = event["C"] or event["c"]  # of a cancel `c` is the cancel's own id
    return order_words(
        market,
        {
            "status": event["X"],
            "type": event["o"],
            "timeInForce": event["f"],
            "side": event["S"],
            "price": event["p"],
            "size": event["q"],
            "executed": event["z"],
            "value": event["Z"],
            "orderId": event["i"],
            "clientOrderId": own,
            "created": event["O"],
            "updated": event["T"],
        },
    )


def _trade(symbol: str, event: dict[str, Any]) -> dict[str, Any]:
    return {
        "trade_id": str(event["t"]),
        "order_id": str(event["i"]),
        "symbol": symbol,
        "side": event["S"],
        "price": event["L"],
        "traded_size": event["l"],
        "fee": event["n"],
        "fee_asset": event["N"],
        "fee_type": "maker" if event["m"] else "taker",
        "client_order_id": event["c"],
        "traded_at": event["T"],
    }
