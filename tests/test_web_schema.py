"""Requests made from the OpenAPI document, right ones and wrong ones, signed, against a running exchange.

No answer is a 5xx, and every answer is one that the document describes.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests
import schemathesis
from exchange import Exchange, running
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from web_client import RestClient

from ringex.gateways.web.reference.openapi import openapi
from ringex.gateways.web.routes import ROUTES

EXAMPLES = 25
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
SIGNED = ("timestamp", "signature", "recvWindow")
SENSIBLE: dict[str, list[Any]] = {
    "symbol": ["BTCUSDT", "BTCIDR", "NONE"],
    "price": ["25000", "25000.001", "0", "1e5"],
    "quantity": ["0.01", "0.000001", "100000000"],
    "orderId": [1, 2, 3, 1 << 40],
    "limit": [1, 5, 100000],
    "stopPrice": ["20000", "70000"],
}
"""Values that reach what lies behind the parameters; drawn in the place of others now and then."""


SEEN: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
"""Statuses by route."""


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    folder: Path = tmp_path_factory.mktemp("schema")
    with running(folder, web=True) as started:
        yield started


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as made:
        yield made


def encoded(params: dict[str, Any]) -> str:
    return "&".join(f"{quote(str(name), safe='')}={quote(_text(value), safe='')}" for name, value in params.items())


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    return json.dumps(value)


@pytest.mark.parametrize("route", ROUTES.values(), ids=lambda route: f"{route.verb} {route.path}")
def test_answers_are_as_described(exchange: Exchange, session: requests.Session, route: Any) -> None:
    schema = schemathesis.openapi.from_dict(json.loads(json.dumps(openapi())))
    operation = schema[route.path][route.verb]
    key = exchange.keys()[0]
    signer = RestClient(exchange.http, key["api_key"], key["secret"])
    modes = st.sampled_from([GenerationMode.POSITIVE, GenerationMode.POSITIVE, GenerationMode.NEGATIVE])

    @seed(7)
    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def check(data: st.DataObject) -> None:
        case = data.draw(operation.as_strategy(generation_mode=data.draw(modes)))
        drawn = case.query if route.verb in ("GET", "DELETE") else case.body
        params = dict(drawn) if isinstance(drawn, dict) else {"garbage": drawn if isinstance(drawn, str) else "x"}
        for name in sorted(params.keys() & SENSIBLE.keys()):
            if data.draw(st.integers(0, 3)):
                params[name] = data.draw(st.sampled_from(SENSIBLE[name]))
        headers = {}
        if not route.is_public:
            for name in SIGNED:
                params.pop(name, None)
            params["timestamp"] = int(time.time() * 1000)
            headers["X-MBX-APIKEY"] = key["api_key"]
        text = encoded(params)
        if not route.is_public:
            text += f"&signature={signer.sign(text)}"
        url = f"http://{exchange.http}{route.path}"
        in_query = route.verb in ("GET", "DELETE")
        response = session.request(
            route.verb,
            f"{url}?{text}" if in_query else url,
            data=None if in_query else text,
            headers=headers,
            timeout=30,
        )
        case.validate_response(response, checks=CHECKS)
        SEEN[route.verb, route.path].add(response.status_code)
        if response.status_code != 200:
            refused = response.json()
            assert refused["code"] < 0 and refused["msg"], "a refusal has the dialect's code and words"

    check()
    signer.close()


def test_that_was_not_all_refused_nor_all_taken() -> None:
    """Soundness of the test before: most routes were served, and most have refused something too."""
    served = [route for route, statuses in SEEN.items() if 200 in statuses]
    refused = [route for route, statuses in SEEN.items() if statuses - {200}]
    assert len(served) > len(SEEN) * 2 // 3 and len(refused) > len(SEEN) // 2, SEEN
