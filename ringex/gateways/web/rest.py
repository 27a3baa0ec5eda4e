"""REST: what a request's bytes ask of the table of methods, and a reply as an HTTP answer.

The signature covers the query string and the body exactly as they were sent, without the pair `signature=...` itself,
which may stand in either. A body is form data, whatever its Content-Type says.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_to_bytes

import msgspec

from ringex.gateways import times
from ringex.gateways.auth import Proof
from ringex.gateways.errors import Refusal, invalid
from ringex.gateways.limiter import retry_header
from ringex.gateways.parameters import PARAMETERS_MAX
from ringex.gateways.web.pages import serve_page
from ringex.gateways.web.peer import Site
from ringex.gateways.web.responses import ENCODER, error_body
from ringex.gateways.web.routes import PATHS, ROUTES, Route
from ringex.terms import Transport

if TYPE_CHECKING:
    from ringex.gateways.web.http import Request

TIME_UNIT: Final = b"x-mbx-time-unit"
ANY_ORIGIN: Final = b"Access-Control-Allow-Origin: *\r\n"
PREFLIGHT_SECONDS: Final = 86_400
RATE_UNITS: Final = {"SECOND": "S", "MINUTE": "M", "HOUR": "H", "DAY": "D"}
_RATE_HEADERS: Final = {"REQUEST_WEIGHT": "X-MBX-USED-WEIGHT", "ORDERS": "X-MBX-ORDER-COUNT"}
_LIST: Final = msgspec.json.Decoder(list[str])
_ESCAPED: Final = re.compile(rb"[%+\x80-\xff]")


def serve(request: Request, site: Site) -> None:
    """Answer a request, or hand it to the gateway, which answers through `reply`."""
    verb = b"GET" if request.verb == b"HEAD" else request.verb
    route = ROUTES.get((verb, request.path))
    if route is None:
        if not serve_page(request, site):
            _no_route(request, site)
        return
    connection = request.peer.seat(Transport.WEB_REST)
    try:
        params = _params(request, route)
        unit = request.header(TIME_UNIT)
        unit_ns = times.unit_named(unit.decode("latin-1")) if unit else 0
    except Refusal as refusal:
        site.gateway.refuse(connection, (request, route), refusal)
        return
    proof = None if route.is_public else _proof(request, params)
    site.gateway.call(connection, (request, route), route.method.name, params, proof, unit_ns)


def reply(message: dict[str, Any]) -> None:
    """The gateway's reply to a request of `serve`, as its answer."""
    request, route = message["id"]
    extra = ANY_ORIGIN if route.is_public else b""
    for used in message.get("rateLimits", ()):
        name = _RATE_HEADERS.get(used["rateLimitType"])
        if name is not None:
            interval = f"{used['intervalNum']}{RATE_UNITS[used['interval']]}"
            extra += f"{name}-{interval}: {used['count']}\r\n".encode()
    error = message.get("error")
    if error is None:
        if "omitted" in message:
            extra += b"X-RINGEX-OMITTED: %d\r\n" % message["omitted"]
        request.respond(200, ENCODER.encode(message["result"]), extra)
        return
    if message["status"] in (418, 429) and "data" in error:
        extra += retry_header(error["data"])
    request.respond(message["status"], ENCODER.encode(error), extra)


def signed_bytes(query: bytes, body: bytes) -> bytes:
    """What a request's signature covers."""
    return _without_signature(query) + _without_signature(body)


def form(text: bytes) -> dict[str, str]:
    """`a=1&b=2`, percent-encoded UTF-8, as a map. Raises Refusal: -1100 not UTF-8, -1101 too many or twice the same."""
    if not text:
        return {}
    pairs = text.split(b"&")
    if len(pairs) > PARAMETERS_MAX:
        raise Refusal(-1101, f"Too many parameters sent for this endpoint. At most {PARAMETERS_MAX} are read.")
    if not _ESCAPED.search(text):  # as most are: 5 us for ten pairs instead of 12
        split = [pair.partition("=") for pair in text.decode("ascii").split("&") if pair]
        plain = {name: value for name, _, value in split}
        if len(plain) == len(split):
            return plain
    found: dict[str, str] = {}
    for pair in pairs:
        if not pair:
            continue
        name, _, value = pair.partition(b"=")
        key = _text(name)
        if key in found:
            raise Refusal(-1101, f"Duplicate values for parameter '{key[:64]}' detected. Send it once.")
        found[key] = _text(value)
    return found


def _params(request: Request, route: Route) -> dict[str, Any]:
    params: dict[str, Any] = form(request.query)
    if request.body:
        params = form(request.body) | params  # what is in both is read from the query string
    for name in route.lists & params.keys():
        params[name] = _list_of(name, params[name])
    for name in route.booleans & params.keys():
        params[name] = params[name].lower()
    return params


def _list_of(name: str, text: str) -> list[str] | str:
    """["A","B"], or one value without brackets."""
    if not text:
        return text  # refused like any empty parameter
    if text[0] != "[":
        return [text]
    try:
        return _LIST.decode(text)
    except msgspec.DecodeError:
        raise invalid(name, 'It must be a list of strings such as ["BTCUSDT","ETHUSDT"].') from None


def _proof(request: Request, params: dict[str, Any]) -> Proof:
    api_key = request.header(b"x-mbx-apikey").decode("latin-1")
    return Proof(api_key, params.get("signature"), signed_bytes(request.query, request.body))


def _without_signature(part: bytes) -> bytes:
    if part.startswith(b"signature="):
        return part.partition(b"&")[2]
    before, found, after = part.partition(b"&signature=")
    if not found:
        return part
    _, more, rest = after.partition(b"&")
    return before + more + rest


def _text(raw: bytes) -> str:
    if not _ESCAPED.search(raw):
        return raw.decode("ascii")
    try:
        return unquote_to_bytes(raw.replace(b"+", b" ")).decode()
    except UnicodeDecodeError:
        shown = raw[:64].decode("latin-1")
        raise Refusal(-1100, f"Illegal characters found in parameter '{shown}'; UTF-8 is expected.") from None


def _no_route(request: Request, site: Site) -> None:
    """OPTIONS, a wrong verb, or no such path."""
    path = request.path[:200].decode("latin-1")
    routes = PATHS.get(request.path)
    if routes is None:
        site.count("http_404")
        request.respond(404, error_body(-5000, f"Path {path}, Method {request.verb.decode()} is invalid"), ANY_ORIGIN)
        return
    verbs = [route.verb for route in routes]
    verbs += ["HEAD"] if "GET" in verbs else []
    allowed = ", ".join([*verbs, "OPTIONS"]).encode()
    if request.verb != b"OPTIONS":
        site.count("http_405")
        message = f"Path {path}, Method {request.verb.decode()} is invalid. Allowed: {allowed.decode()}."
        request.respond(405, error_body(-5000, message), b"Allow: " + allowed + b"\r\n")
        return
    extra = b"Allow: " + allowed + b"\r\n"
    if any(route.is_public for route in routes):
        extra += ANY_ORIGIN + b"Access-Control-Allow-Methods: GET, HEAD\r\nAccess-Control-Allow-Headers: *\r\n"
        extra += b"Access-Control-Max-Age: %d\r\n" % PREFLIGHT_SECONDS
    request.respond(204, b"", extra)
