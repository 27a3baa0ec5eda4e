"""The API's reference: it says what the tables say, its documents are valid, and an exchange serves them."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from exchange import Exchange, running
from jsonschema import Draft7Validator
from openapi_spec_validator import validate
from web_client import RestClient

from ringex.gateways.feeds.topics import Kind, parse
from ringex.gateways.methods import METHODS, Security
from ringex.gateways.web.pages import ROOT
from ringex.gateways.web.pintu.translation import METHODS as PINTU
from ringex.gateways.web.reference.asyncapi import MESSAGES, STREAMS, asyncapi
from ringex.gateways.web.reference.openapi import FORM, openapi
from ringex.gateways.web.reference.page import page
from ringex.gateways.web.reference.results import RESULTS
from ringex.gateways.web.routes import ROUTES

SCHEMAS = Path(__file__).parent / "schemas"


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    with running(tmp_path_factory.mktemp("reference"), web=True) as started:
        yield started


def test_every_route_is_there_with_its_parameters_and_nothing_else() -> None:
    document = openapi()
    validate(json.loads(json.dumps(document)))
    described = {
        (verb.upper(), path): operation
        for path, verbs in document["paths"].items()
        for verb, operation in verbs.items()
    }
    enveloped = {("GET" if name.startswith("public/") else "POST", f"/v1/{name}") for name in PINTU}
    assert described.keys() == {(route.verb, route.path) for route in ROUTES.values()} | enveloped
    for route in ROUTES.values():
        operation = described[route.verb, route.path]
        if "requestBody" in operation:
            names = set(operation["requestBody"]["content"][FORM]["schema"]["properties"])
        else:
            names = {parameter["name"] for parameter in operation["parameters"]}
        assert names == route.method.declared.keys() - {"apiKey"}, route
        assert ("security" in operation) == (route.method.security != Security.NONE)
        assert operation["x-method"] == route.method.name
    assert RESULTS.keys() == METHODS.keys()


def test_every_method_of_the_envelope_is_there_with_its_parameters() -> None:
    """They are what the translation takes: a request with all of them is read, one with an unknown one is not."""
    for name, method in PINTU.items():
        described = openapi()["paths"][f"/v1/{name}"]
        if name.startswith("public/"):
            parameters = described["get"]["parameters"]
            assert [one["name"] for one in parameters] == list(method.parameters)
            assert tuple(one["name"] for one in parameters if one["required"]) == method.required
        else:
            schema = described["post"]["requestBody"]["content"]["application/json"]["schema"]
            params = schema["properties"]["params"]
            assert tuple(params["properties"]) == method.parameters
            assert tuple(params.get("required", ())) == method.required
            assert schema["properties"]["method"] == {"const": name}
        assert method.of in METHODS
        assert set(method.required) <= set(method.parameters)


def test_the_description_of_the_websockets_is_valid() -> None:
    """By the official JSON schema of AsyncAPI 3.0.0 (of the package @asyncapi/specs, Apache-2.0)."""
    schema = json.loads(gzip.decompress((SCHEMAS / "asyncapi-3.0.0.json.gz").read_bytes()))
    validator = Draft7Validator(schema)
    document = json.loads(json.dumps(asyncapi()))
    assert [error.message for error in validator.iter_errors(document)] == []
    for wrong in (
        {"asyncapi": "4.0.0"},
        {"info": {}},
        {"channels": {"x": {"adress": "/x"}}},
        {"operations": {"x": {"action": "shout", "channel": {"$ref": "#/channels/x"}}}},
    ):
        assert not validator.is_valid(document | wrong), wrong
    for operation in document["operations"].values():
        messages = resolved(document, operation["channel"]["$ref"])["messages"]
        for message in operation.get("messages", ()):
            assert message["$ref"].startswith(operation["channel"]["$ref"])
            assert message["$ref"].rpartition("/")[2] in messages


def resolved(document: Any, reference: str) -> Any:
    for part in reference.removeprefix("#/").split("/"):
        document = document[part.replace("~1", "/").replace("~0", "~")]
    return document


def test_every_method_and_every_stream_is_there_and_means_something() -> None:
    document = asyncapi()
    assert document["components"]["messages"].keys() == METHODS.keys()
    for name, message in document["components"]["messages"].items():
        params = message["payload"]["properties"]["params"]
        assert params["properties"].keys() == METHODS[name].declared.keys()
        assert message["summary"]
    assert {parse(name).kind for name in STREAMS} == set(MESSAGES) == set(Kind) - {Kind.NOTHING, Kind.LISTEN_KEY}
    for name in STREAMS:
        (message,) = document["channels"][name]["messages"].values()
        payload = message["payload"].get("items", message["payload"])
        assert payload["$ref"].rpartition("/")[2] in document["components"]["schemas"]


def test_references_within_the_documents_resolve() -> None:
    for document in (openapi(), asyncapi()):
        for reference in set(re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(document))):
            resolved(document, reference)


class _Page(HTMLParser):
    """Anchors, ids, and what is loaded from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.targets: list[str] = []
        self.loaded: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.ids += [given["id"] or ""] if "id" in given else []
        if (target := given.get("href") or "").startswith("#"):
            self.targets.append(target[1:])
        self.loaded += [given["src"] or ""] if "src" in given else []
        self.loaded += [given["href"] or ""] if tag == "link" else []
        if tag not in ("meta", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_needs_nothing_else_and_its_links_lead_somewhere() -> None:
    parser = _Page()
    text = page().decode()
    parser.feed(text)
    assert parser.open == ["html"] or not parser.open
    assert not parser.loaded
    assert len(parser.ids) == len(set(parser.ids))
    assert set(parser.targets) <= set(parser.ids)
    assert all(f">{name}<" in text for name in (*METHODS, *STREAMS, *(f"/v1/{name}" for name in PINTU)))


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/", "text/html;charset=UTF-8"),
        ("/docs", "text/html;charset=UTF-8"),
        ("/docs/openapi.json", "application/json;charset=UTF-8"),
        ("/docs/asyncapi.json", "application/json;charset=UTF-8"),
    ],
)
def test_it_is_served(exchange: Exchange, path: str, content_type: str) -> None:
    import http.client

    connection = http.client.HTTPConnection(exchange.http, timeout=30)
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read()
    assert (answer.status, answer.getheader("content-type")) == (200, content_type)
    assert "default-src 'none'" in (answer.getheader("content-security-policy") or "")
    expected = {"/docs": page(), "/": ROOT}.get(path)
    assert body == expected if expected else json.loads(body)["info"]["title"].startswith("ringex")
    connection.request("HEAD", path)
    head = connection.getresponse()
    assert (head.status, head.read(), head.getheader("content-length")) == (200, b"", str(len(body)))
    connection.request("POST", path)
    assert connection.getresponse().status in (404, 405)
    connection.close()


def test_a_list_in_a_url_is_written_as_the_document_says(exchange: Exchange) -> None:
    client = RestClient(exchange.http)
    answer = client.ask("GET", "/api/v3/ticker/price?symbols=%5B%22BTCUSDT%22%5D")
    assert [one["symbol"] for one in answer.body] == ["BTCUSDT"]
