"""OpenAPI 3.1 of REST, from the table of routes."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from ringex.gateways.parameters import Kind, Parameter
from ringex.gateways.web.reference.envelope import COMPONENTS as ENVELOPE_COMPONENTS
from ringex.gateways.web.reference.envelope import envelope_paths
from ringex.gateways.web.reference.results import COMPONENTS, RESULTS
from ringex.gateways.web.reference.schemas import ERROR, SIGNING, Schema, schema_of, scope_of, summary_of, words_of
from ringex.gateways.web.routes import ROUTES, Route
from ringex.gateways.weights import weights_of

FORM: Final = "application/x-www-form-urlencoded"
_INTRODUCTION: Final = (
    "The Binance Spot dialect. Prices, quantities and amounts are strings. Signed requests have the header"
    " X-MBX-APIKEY; their signature covers the query string and the body as they were sent, without the pair"
    " `signature=…` itself. Parameters may stand in the query string or, as a form, in the body, whatever the verb."
)


@cache
def openapi() -> dict[str, Any]:
    """The document. Not to be changed."""
    paths: dict[str, Any] = {}
    for route in ROUTES.values():
        paths.setdefault(route.path, {})[route.verb.lower()] = _operation(route)
    paths |= envelope_paths()
    return {
        "openapi": "3.1.0",
        "info": {"title": "ringex REST", "version": package_version(), "description": _INTRODUCTION},
        "paths": paths,
        "components": {
            "schemas": {"Error": ERROR, **COMPONENTS, **ENVELOPE_COMPONENTS},
            "responses": {
                "Refused": {
                    "description": "Refused: the code and what would have passed. 429 and 418 have `Retry-After`.",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
                }
            },
            "securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "X-MBX-APIKEY"}},
        },
    }


def package_version() -> str:
    try:
        return version("ringex")
    except PackageNotFoundError:  # run from a checkout
        return "0"


def parameters_of(route: Route) -> list[Parameter]:
    """Those that are sent in query string or body."""
    return [one for one in route.method.declared.values() if one.name != "apiKey"]


def _operation(route: Route) -> dict[str, Any]:
    method = route.method
    least, most = weights_of(method.name)
    operation: dict[str, Any] = {
        "operationId": f"{route.verb.lower()} {route.path}",
        "summary": summary_of(method),
        "tags": [method.name.partition(".")[0]],
        "x-method": method.name,
        "x-weight": least if least == most else f"{least} to {most}",
        "x-scope": scope_of(method),
    }
    if route.verb in ("GET", "DELETE"):
        operation["parameters"] = [_in_query(route, one) for one in parameters_of(route)]
    else:
        operation["requestBody"] = _in_body(route)
    if not route.is_public:
        operation["security"] = [{"key": []}]
    operation["responses"] = {
        "200": {
            "description": "Done.",
            "headers": {"X-MBX-USED-WEIGHT-1M": {"schema": {"type": "integer"}}},
            "content": {"application/json": {"schema": RESULTS.get(method.name, {})}},
        },
        "4XX": {"$ref": "#/components/responses/Refused"},
        "503": {"$ref": "#/components/responses/Refused"},
        "504": {"$ref": "#/components/responses/Refused"},
    }
    return operation


def _is_required(route: Route, parameter: Parameter) -> bool:
    return parameter.required or (not route.is_public and parameter.name in SIGNING and parameter.name != "recvWindow")


def _in_query(route: Route, parameter: Parameter) -> dict[str, Any]:
    found: dict[str, Any] = {"name": parameter.name, "in": "query", "required": _is_required(route, parameter)}
    if words := words_of(parameter):
        found["description"] = words
    schema = schema_of(parameter)
    if parameter.kind == Kind.TEXTS:
        return found | {"content": {"application/json": {"schema": schema}}}
    return found | {"schema": schema}


def _in_body(route: Route) -> dict[str, Any]:
    parameters = parameters_of(route)
    properties: dict[str, Schema] = {}
    for one in parameters:
        words = words_of(one)
        properties[one.name] = schema_of(one) | ({"description": words} if words else {})
    schema: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    required = [one.name for one in parameters if _is_required(route, one)]
    if required:
        schema["required"] = required
    lists = {one.name: {"contentType": "application/json"} for one in parameters if one.kind == Kind.TEXTS}
    content: dict[str, Any] = {"schema": schema}
    if lists:
        content["encoding"] = lists
    return {"required": bool(required), "content": {FORM: content}}
