"""Pages beside the API: its own reference, /docs. Made when first asked for, and weighed like a heavy request."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from ringex.gateways.errors import Refusal
from ringex.gateways.limiter import retry_header
from ringex.gateways.web.peer import Site
from ringex.gateways.web.reference.asyncapi import asyncapi
from ringex.gateways.web.reference.openapi import openapi
from ringex.gateways.web.reference.page import page
from ringex.gateways.web.responses import ENCODER, JSON

if TYPE_CHECKING:
    from ringex.gateways.web.http import Request

HTML: Final = b"text/html;charset=UTF-8"
WEIGHT: Final = 20
ROOT: Final = (
    b"<!doctype html><html lang=en><meta charset=utf-8><title>ringex</title><p>This is a ringex exchange. "
    b"<a href=/docs>Its API</a>: REST at /api/v3, WebSockets at /ws-api/v3, /ws and /stream.</html>"
)
PAGES: Final[dict[bytes, tuple[bytes, Callable[[], bytes]]]] = {
    b"/": (HTML, lambda: ROOT),
    b"/docs": (HTML, page),
    b"/docs/openapi.json": (JSON, lambda: ENCODER.encode(openapi())),
    b"/docs/asyncapi.json": (JSON, lambda: ENCODER.encode(asyncapi())),
}
"""Path -> (content type, body)."""
POLICY: Final = (
    b"Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'\r\n"
)


def serve_page(request: Request, site: Site) -> bool:
    """Answer a GET or HEAD of a page. False: it asks for none."""
    found = PAGES.get(request.path)
    if found is None or request.verb not in (b"GET", b"HEAD"):
        return False
    limiter = site.gateway.limiter
    try:
        limiter.take(limiter.of_address(request.peer.address), WEIGHT, time.time_ns())
    except Refusal as refusal:
        retry = retry_header(refusal.data)
        request.respond(refusal.status, ENCODER.encode(refusal.body()), retry)
        return True
    content_type, make = found
    request.respond(200, make(), POLICY, content_type)
    return True
