"""The express way against the ordinary one: the same requests give the same records, or are handed over."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pytest
from express_requests import NOW_MS, NOW_NS, json_requests, msgpack_requests, query_requests
from gateway_exchange import LIMITS
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ringex.gateways.auth import timing
from ringex.gateways.calls import Call, Submission
from ringex.gateways.errors import Refusal
from ringex.gateways.express.commands import ResponseType
from ringex.gateways.express.fields import METHOD_NAMES
from ringex.gateways.express.markets import Markets
from ringex.gateways.express.reading import Encoding, Reading
from ringex.gateways.methods import METHODS
from ringex.gateways.orders import response_type_of
from ringex.gateways.parameters import decode
from ringex.gateways.requests import JSON, MSGPACK, Fault
from ringex.gateways.session import Connection
from ringex.gateways.web.rest import form
from ringex.history.readmodel import ReadModel
from ringex.messages import ASSET_EVENT, EVENT, FILTERS_EVENT, MARKET_EVENT
from ringex.terms import EventKind, MarketStatus


def model_of_markets() -> ReadModel:
    """Three markets whose scales differ: one as usual, one finer than 8 decimals and coarser than 1, one tiny."""
    model = ReadModel(LIMITS)
    assets = np.zeros(4, ASSET_EVENT)
    assets["kind"], assets["market"] = EventKind.ASSET, range(4)
    assets["name"], assets["scale"] = ("BTC", "USDT", "WEI", "YEN"), (8, 8, 18, 0)
    model.catalogue.apply(assets.view(EVENT))
    markets = np.zeros(3, MARKET_EVENT)
    markets["kind"], markets["market"] = EventKind.MARKET, range(3)
    markets["symbol"] = ("BTCUSDT", "FINE-COARSE", "M.1_x")
    markets["base_asset"], markets["quote_asset"] = (0, 2, 0), (1, 3, 2)
    markets["price_scale"], markets["quantity_scale"] = (2, 0, 12), (5, 0, 3)
    markets["tick"], markets["lot"] = (1, 5, 1), (10, 1, 100)
    markets["price_min"], markets["price_max"] = (1, 5, 1), (10**8, 10**6, 10**15)
    markets["quantity_min"], markets["quantity_max"] = 1, (9 * 10**8, 1000, 10**9)
    markets["notional_min"], markets["notional_max"] = (5 * 10**8, 0, 0), 1 << 62
    markets["orders_per_account_max"], markets["status"] = 200, MarketStatus.TRADING
    model.catalogue.apply(markets.view(EVENT))
    filters = np.zeros(1, FILTERS_EVENT)
    filters["kind"], filters["market"], filters["market_quantity_max"] = EventKind.MARKET_FILTERS, 0, 5 * 10**5
    model.catalogue.apply(filters.view(EVENT))
    return model


MODEL = model_of_markets()
MARKETS = Markets(LIMITS)
MARKETS.update(MODEL.catalogue)
READING = Reading(MARKETS)
CONNECTION = Connection(1, b"\0one", 0)
PLACE = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "price": "20000", "quantity": "1"}


@dataclass(frozen=True)
class Outcome:
    """What a request comes to, for the gateway."""

    request_id: Any
    record: bytes
    response_type: str
    shows_limits: bool


def by_the_ordinary_way(encoding: Encoding, source: bytes, method: str, signed: bool) -> Outcome | None:
    """None: it is refused, or is no order."""
    request_id: Any = None
    try:
        if encoding == Encoding.QUERY:
            params: dict[str, Any] = dict(form(source))
        else:
            request = (JSON if encoding == Encoding.JSON else MSGPACK).read(source)
            if isinstance(request, Fault):
                return None
            request_id, method, params = request.id, request.method, request.params or {}
        known = METHODS.get(method)
        if known is None:
            return None
        arguments = decode(known.declared, known.needed, params)
        when = timing(params, NOW_NS, mandatory=signed)
        call = Call(arguments, MODEL, CONNECTION, NOW_NS, 1, 1, None, when)
        submission = known.handler(call)
    except Refusal:
        return None
    if not isinstance(submission, Submission):
        return None
    records = submission.records
    records["receive_ns"], records["timestamp_us"], records["expires_ns"] = NOW_NS, when.timestamp_us, when.expires_ns
    shown = params.get("returnRateLimits", True) not in (False, "false")
    kind = response_type_of(arguments) if method == "order.place" else ""
    return Outcome(request_id, records.tobytes(), kind, shown)


def by_the_express_way(encoding: Encoding, source: bytes, method: str, signed: bool) -> Outcome | None:
    """None: it is handed over."""
    number = next((int(known) for known, name in METHOD_NAMES.items() if name == method), 0)
    record = READING.command(encoding, source, NOW_NS, method=number, signed=signed)
    if record is None:
        return None
    is_place = READING.request.header["method"][0] == 1
    kind = ResponseType(READING.response_type).name if is_place else ""
    return Outcome(READING.request_id, record.tobytes(), kind, READING.shows_limits)


def compare(encoding: Encoding, source: bytes, method: str = "", *, signed: bool = False) -> Outcome | None:
    """What the express way makes of a request, which must be what the ordinary way does, or None."""
    express = by_the_express_way(encoding, source, method, signed)
    if express is not None:
        assert express == by_the_ordinary_way(encoding, source, method, signed), source
    return express


@settings(max_examples=500, deadline=None)
@given(msgpack_requests())
@example(msgspec.msgpack.encode({"id": 1, "method": "order.place", "params": PLACE | {"price": "0.01"}}))
def test_msgpack_becomes_the_same_commands(source: bytes) -> None:
    compare(Encoding.MSGPACK, source)


@settings(max_examples=500, deadline=None)
@given(json_requests())
@example(b'{"id":1,"method":"order.cancel","params":{"symbol":"BTCUSDT","orderId":1.0}}')
@example(b'{"id":01,"method":"order.cancel","params":{"symbol":"BTCUSDT","orderId":1}}')
@example(b'{"id":1,"method":"order.cancel","params":{"symbol":"BTCUSDT","orderId":1},}')
@example(b'{"id":1,"method":"order.cancel","params":{"symbol":"BTCUSDT","orderId":1,"orderId":2}}')
@example(b'{"id":"\xc3\xa4","method":"order.cancel","params":{"symbol":"BTCUSDT","orderId":1}}')
def test_json_becomes_the_same_commands(source: bytes) -> None:
    compare(Encoding.JSON, source)


@settings(max_examples=500, deadline=None)
@given(query_requests(), st.booleans())
@example(("order.cancel", b"symbol=BTCUSDT&&orderId=1&"), False)
@example(("order.cancel", b"symbol=BTCUSDT&orderId=1&signature=ab=&timestamp=%d" % NOW_MS), True)
def test_query_strings_become_the_same_commands(asked: tuple[str, bytes], signed: bool) -> None:
    method, source = asked
    compare(Encoding.QUERY, source, method, signed=signed)


USUAL: list[tuple[str, dict[str, Any]]] = [
    ("order.place", PLACE),
    ("order.place", PLACE | {"timeInForce": "IOC", "newClientOrderId": "x-1", "newOrderRespType": "ACK"}),
    ("order.place", PLACE | {"timeInForce": "FOK", "selfTradePreventionMode": "EXPIRE_BOTH"}),
    ("order.place", {"symbol": "BTCUSDT", "side": "SELL", "type": "MARKET", "quantity": "0.0001"}),
    ("order.place", {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quoteOrderQty": "12.5"}),
    ("order.place", {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT_MAKER", "price": "9999.99", "quantity": "1.5"}),
    ("order.place", PLACE | {"timestamp": NOW_MS, "recvWindow": 10_000, "returnRateLimits": False}),
    ("order.cancel", {"symbol": "BTCUSDT", "orderId": 17}),
    ("order.cancel", {"symbol": "BTCUSDT", "origClientOrderId": "x-1", "newClientOrderId": "x-2"}),
    ("order.cancel", {"symbol": "BTCUSDT", "orderId": 17, "cancelRestrictions": "ONLY_NEW"}),
    ("order.amend.keepPriority", {"symbol": "BTCUSDT", "orderId": 17, "newQty": "0.5", "newClientOrderId": "y"}),
]


@pytest.mark.parametrize(("method", "params"), USUAL)
@pytest.mark.parametrize("request_id", [None, 0, 1 << 40, "7069b743-f477-4ae3-81db-db9b8df085d2", ""])
def test_usual_requests_go_the_express_way(method: str, params: dict[str, Any], request_id: Any) -> None:
    message = {"id": request_id, "method": method, "params": params}
    taken = compare(Encoding.MSGPACK, msgspec.msgpack.encode(message))
    assert taken is not None and taken.request_id == request_id
    assert compare(Encoding.JSON, json.dumps(message).encode()) == taken
    texts = {name: "false" if value is False else str(value) for name, value in params.items()}
    query = "&".join(f"{name}={value}" for name, value in texts.items())
    as_query = compare(Encoding.QUERY, query.encode(), method)
    assert as_query is not None and as_query.record == taken.record
    signed = f"{query}&apiKey=abc&signature={'0' * 64}" + ("" if "timestamp" in params else f"&timestamp={NOW_MS}")
    assert compare(Encoding.QUERY, signed.encode(), method, signed=True) is not None


@pytest.mark.parametrize(
    "change",
    [
        {"price": "20000.001"},  # between two ticks
        {"price": "0.00"},
        {"quantity": "0.00001"},  # between two lots
        {"quantity": 1},
        {"price": "1e3"},
        {"price": "2" * 19},
        {"type": "STOP_LOSS"},
        {"timeInForce": "GTD"},
        {"side": "buy"},
        {"symbol": "btcusdt"},
        {"newClientOrderId": "ringex-1"},
        {"newClientOrderId": "a b"},
        {"newClientOrderId": ""},
        {"icebergQty": "0.1"},
        {"orderId": 1},
        {"apiKey": "abc"},
        {"timestamp": NOW_MS + 1001},
        {"timestamp": NOW_MS - 5001},
        {"recvWindow": 60_001},
        {"returnRateLimits": "no"},
    ],
)
def test_what_is_refused_or_rare_is_handed_over(change: dict[str, Any]) -> None:
    message = {"id": 1, "method": "order.place", "params": PLACE | change}
    assert compare(Encoding.MSGPACK, msgspec.msgpack.encode(message)) is None
    assert compare(Encoding.JSON, json.dumps(message).encode()) is None


def test_markets_follow_the_catalogue() -> None:
    model, markets = model_of_markets(), Markets(LIMITS)
    markets.update(model.catalogue)
    reading = Reading(markets)
    source = msgspec.msgpack.encode({"method": "order.place", "params": PLACE})
    assert reading.command(Encoding.MSGPACK, source, NOW_NS) is not None
    filters = np.zeros(1, FILTERS_EVENT)
    filters["kind"], filters["market"] = EventKind.MARKET_FILTERS, 0
    market = np.zeros(1, MARKET_EVENT)
    known = model.catalogue.markets[0]
    for name in MARKET_EVENT.names or ():
        if hasattr(known, name):
            market[name] = getattr(known, name)
    market["kind"], market["market"], market["quote_asset"], market["price_max"] = EventKind.MARKET, 0, 1, 100
    model.catalogue.apply(market.view(EVENT))
    markets.update(model.catalogue)
    assert reading.command(Encoding.MSGPACK, source, NOW_NS) is None  # the price is too high by now
