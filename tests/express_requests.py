"""Requests for the express way and the ordinary one: valid, borderline and damaged, in each encoding."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import msgspec
from hypothesis import strategies as st

NOW_NS = 1_700_000_000_123_456_789
NOW_MS = NOW_NS // 1_000_000
METHODS = ("order.place", "order.cancel", "order.amend.keepPriority")

_PLAIN: dict[str, Any] = {
    "symbol": st.sampled_from(["BTCUSDT", "FINE-COARSE", "M.1_x"]),
    "side": st.sampled_from(["BUY", "SELL"]),
    "type": st.sampled_from(["LIMIT", "LIMIT", "MARKET", "LIMIT_MAKER"]),
    "timeInForce": st.sampled_from(["GTC", "IOC", "FOK"]),
    "price": st.sampled_from(["25000", "25000.01", "1.00", "0.5", "20000.00000000"]),
    "quantity": st.sampled_from(["1", "0.5", "0.01000", "3.00000000", "12"]),
    "quoteOrderQty": st.sampled_from(["100", "1000.5", "10.00000001"]),
    "newClientOrderId": st.sampled_from(["a", "my-order:1/2_3.x", "x" * 36]),
    "newOrderRespType": st.sampled_from(["ACK", "RESULT", "FULL"]),
    "selfTradePreventionMode": st.sampled_from(["NONE", "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH", "DECREMENT"]),
    "orderId": st.sampled_from([1, 17, "17", 10**15, 0]),
    "origClientOrderId": st.sampled_from(["a", "my-order:1/2_3.x"]),
    "newQty": st.sampled_from(["1", "0.5", "2.00000000"]),
    "cancelRestrictions": st.sampled_from(["ONLY_NEW", "ONLY_PARTIALLY_FILLED"]),
    "timestamp": st.sampled_from([NOW_MS, str(NOW_MS), NOW_MS * 1000, NOW_MS + 999, NOW_MS - 4_999]),
    "recvWindow": st.sampled_from([5_000, "60000", 1]),
    "returnRateLimits": st.sampled_from([True, False]),
}
_OF = {
    "order.place": (
        *("side", "type", "timeInForce", "price", "quantity", "quoteOrderQty", "newClientOrderId"),
        *("newOrderRespType", "selfTradePreventionMode"),
    ),
    "order.cancel": ("orderId", "origClientOrderId", "newClientOrderId", "cancelRestrictions"),
    "order.amend.keepPriority": ("orderId", "origClientOrderId", "newQty", "newClientOrderId"),
}
_NEEDED = {
    "order.place": ("side", "type"),
    "order.cancel": (),
    "order.amend.keepPriority": ("newQty",),
}
_TEXT = st.one_of(
    st.text(max_size=40),
    st.text("0123456789.", max_size=24),
    st.text("abcXYZ019.:/_-", max_size=38),
    st.sampled_from(
        ["", "ringex-5", "ring", "ringex", "true", "false", "BUY\0", "buy", "GTD", "STOP_LOSS", "1e5", "-1"]
    ),
    st.sampled_from(["9" * 18, "9" * 19, "9" * 20, "0" * 41, "92233720368.54775807", "007", "5.", ".5", "0.015", "+1"]),
)
ODD: st.SearchStrategy[Any] = st.one_of(
    _TEXT,
    st.integers(-2, 300),
    st.integers(-(1 << 63), (1 << 64) - 1),
    st.booleans(),
    st.none(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.lists(st.integers(0, 3), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(0, 3), max_size=2),
)
IDS: st.SearchStrategy[Any] = st.one_of(
    *(st.integers(0, 1 << 63), st.none(), st.text("abc-09 :", max_size=70), st.text(max_size=20)),
    *(st.integers(-300, 300), st.integers(-(1 << 70), 1 << 70), st.floats(allow_nan=False), st.lists(st.integers())),
)


@st.composite
def params_of(draw: st.DrawFn, method: str) -> dict[str, Any]:
    """Mostly in order; sometimes with one value that is odd, a parameter too many, or one too few."""
    names = ["symbol", *_NEEDED[method]]
    names += [name for name in _OF[method] if name not in names and draw(st.booleans())]
    names += [name for name in ("timestamp", "recvWindow", "returnRateLimits") if draw(st.integers(0, 3)) == 0]
    if method == "order.place" and draw(st.integers(0, 3)):
        shape = draw(st.sampled_from(["LIMIT", "MARKET", "QUOTE", "LIMIT_MAKER"]))
        names = [name for name in names if name not in ("timeInForce", "price", "quantity", "quoteOrderQty")]
        names += {"LIMIT": ["timeInForce", "price", "quantity"], "MARKET": ["quantity"]}.get(shape, [])
        names += {"QUOTE": ["quoteOrderQty"], "LIMIT_MAKER": ["price", "quantity"]}.get(shape, [])
        params = {name: draw(_PLAIN[name]) for name in draw(st.permutations(names))}
        params["type"] = "MARKET" if shape == "QUOTE" else shape
    else:
        params = {name: draw(_PLAIN[name]) for name in draw(st.permutations(names))}
    if draw(st.integers(0, 2)) == 0:
        name = draw(st.sampled_from([*_PLAIN, "apiKey", "signature", "stopPrice", "nonsense", "", "ünknown"]))
        params[name] = draw(ODD if draw(st.booleans()) else _PLAIN.get(name, ODD))
    if draw(st.integers(0, 7)) == 0 and params:
        del params[draw(st.sampled_from(sorted(params)))]
    return params


@st.composite
def messages(draw: st.DrawFn) -> dict[str, Any]:
    method = draw(st.sampled_from(METHODS))
    message: dict[str, Any] = {"id": draw(IDS), "method": method, "params": draw(params_of(method))}
    change = draw(st.integers(0, 15))
    if change == 0:
        message["method"] = draw(st.one_of(st.sampled_from(["order.test", "ping", "order.plac"]), ODD))
    elif change == 1:
        message["params"] = draw(ODD)
    elif change == 2:
        del message[draw(st.sampled_from(sorted(message)))]
    elif change == 3:
        message[draw(st.sampled_from(["Id", "more", "params2"]))] = draw(ODD)
    return {name: message[name] for name in draw(st.permutations(sorted(message)))}


def _damaged(draw: st.DrawFn, raw: bytes) -> bytes:
    if draw(st.integers(0, 3)) or not raw:
        return raw
    at = draw(st.integers(0, len(raw) - 1))
    return draw(
        st.sampled_from(
            [
                raw[:at],
                raw[:at] + bytes([draw(st.integers(0, 255))]) + raw[at + 1 :],
                raw[:at] + bytes([draw(st.integers(0, 255))]) + raw[at:],
                raw[:at] + raw[at + 1 :],
                raw + raw[:at],
                raw[:at] + raw,
            ]
        )
    )


@st.composite
def msgpack_requests(draw: st.DrawFn) -> bytes:
    try:
        raw = msgspec.msgpack.encode(draw(messages()))
    except (OverflowError, ValueError):
        raw = b"\x80"
    return _damaged(draw, raw)


@st.composite
def json_requests(draw: st.DrawFn) -> bytes:
    message = draw(messages())
    style = draw(st.integers(0, 2))
    if style == 0:
        text = json.dumps(message, separators=(",", ":"))
    elif style == 1:
        text = json.dumps(message, indent=draw(st.sampled_from([1, "\t"])), ensure_ascii=False)
    else:
        text = " " + json.dumps(message) + "\r\n"
    return _damaged(draw, text.encode("utf-8", "replace"))


@st.composite
def query_requests(draw: st.DrawFn) -> tuple[str, bytes]:
    """(method, query string)."""
    method = draw(st.sampled_from(METHODS))
    parts = []
    for name, value in draw(params_of(method)).items():
        shown = str(value).lower() if isinstance(value, bool) else str(value)
        escaped = quote(shown, safe=draw(st.sampled_from(["", ":/"])), errors="replace")
        parts.append(f"{quote(name)}={escaped}")
    joined = draw(st.sampled_from(["&", "&", "&", "&&"])).join(parts)
    return method, _damaged(draw, joined.encode())
