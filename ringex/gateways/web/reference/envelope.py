"""Pintu Pro's envelope in the OpenAPI document: from its table of methods, and what its parameters are."""

from __future__ import annotations

from typing import Any, Final

from ringex.gateways.methods import METHODS as TABLE
from ringex.gateways.web.pintu.translation import METHODS, PAGE_SIZE_MAX, PAGED_MAX, ROOT, PintuMethod
from ringex.gateways.web.reference.schemas import Schema, scope_of, summary_of
from ringex.gateways.weights import weights_of

_WHOLE: Final[Schema] = {"type": "integer", "minimum": 0}
_AMOUNT: Final[Schema] = {"type": ["string", "integer"], "description": "A decimal as text, or a whole number."}
_PARAMETERS: Final[dict[str, Schema]] = {
    "symbol": {"type": "string", "description": "A market, such as BTC-IDR."},
    "depth": {"enum": [1, 10, "1", "10"], "description": "How many levels."},
    "side": {"enum": ["BUY", "SELL"]},
    "type": {"enum": ["LIMIT", "MARKET"]},
    "time_in_force": {"enum": ["GTC", "IOC", "FOK"], "description": "Of a LIMIT order; GTC if it is not sent."},
    "exec_inst": {"enum": ["POST_ONLY", ""], "description": "A LIMIT order that must not take."},
    "price": _AMOUNT,
    "size": _AMOUNT,
    "notional": _AMOUNT | {"description": "Of a MARKET order: how much of the quote asset to spend."},
    "client_order_id": {"type": "string", "description": "The client's own id of the order."},
    "order_id": {"type": ["string", "integer"], "description": "The exchange's id of the order."},
    "page": _WHOLE | {"maximum": PAGED_MAX, "description": "From 0."},
    "page_size": _WHOLE | {"maximum": PAGE_SIZE_MAX},
    "t_start": _WHOLE | {"description": "From then on, milliseconds since 1970."},
    "t_end": _WHOLE | {"description": "Up to then, milliseconds since 1970."},
}
_TEXT: Final[Schema] = {"type": "string"}
COMPONENTS: Final[dict[str, Schema]] = {
    "EnvelopeReply": {
        "type": "object",
        "required": ["request_id", "timestamp", "method", "code", "message"],
        "properties": {
            "request_id": _TEXT,
            "timestamp": _WHOLE,
            "method": _TEXT,
            "code": {"type": "integer", "description": "0: done."},
            "message": _TEXT,
            "reason": {"type": "string", "description": "Of a refusal: the code and words of the dialect."},
            "data": {"type": "object"},
        },
        "additionalProperties": False,
    }
}
_REPLY: Final[dict[str, Any]] = {
    "description": "Done (`code` 0), or refused: then the HTTP status is the dialect's.",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/EnvelopeReply"}}},
}


def envelope_paths() -> dict[str, Any]:
    """Path -> verb -> operation."""
    return {f"{ROOT}{name}": _operation(name, method) for name, method in METHODS.items()}


def _operation(name: str, method: PintuMethod) -> dict[str, Any]:
    least, most = weights_of(method.of)
    operation: dict[str, Any] = {
        "operationId": name,
        "summary": summary_of(TABLE[method.of]),
        "tags": ["Pintu Pro's envelope"],
        "x-method": method.of,
        "x-scope": scope_of(TABLE[method.of]),
        "x-weight": least if least == most else f"{least} to {most}",
        "x-tokens": method.tokens,
        "responses": {"200": _REPLY, "4XX": _REPLY, "5XX": _REPLY},
    }
    if name.startswith("public/"):
        operation["parameters"] = [
            {
                "name": one,
                "in": "query",
                "required": one in method.required,
                "description": _PARAMETERS[one].get("description", ""),
                "schema": _PARAMETERS[one],
            }
            for one in method.parameters
        ]
        return {"get": operation}
    params: Schema = {
        "type": "object",
        "properties": {one: _PARAMETERS[one] for one in method.parameters},
        "additionalProperties": False,
    } | ({"required": list(method.required)} if method.required else {})
    envelope: Schema = {
        "type": "object",
        "required": ["timestamp", "method", "api_key", "signature", *(("params",) if method.required else ())],
        "properties": {
            "request_id": {"type": "string", "maxLength": 256},
            "timestamp": _WHOLE | {"description": "The client's time, milliseconds since 1970."},
            "method": {"const": name},
            "api_key": _TEXT,
            "params": params,
            "signature": {"type": "string", "description": "Of request_id, timestamp, method, api_key and params."},
        },
    }
    operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": envelope}}}
    return {"post": operation}
