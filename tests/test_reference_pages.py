"""The API's reference: it says what the tables say, its documents are valid, and an exchange serves them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser

import pytest
from exchange import Exchange, running
from openapi_spec_validator import validate
from web_client import RestClient

from ringex.gateways.feeds.topics import Kind, parse
from ringex.gateways.methods import METHODS, Security
from ringex.gateways.web.reference.asyncapi import MESSAGES, STREAMS, asyncapi
from ringex.gateways.web.reference.openapi import FORM, openapi
from ringex.gateways.web.reference.page import page
from ringex.gateways.web.reference.results import RESULTS
from ringex.gateways.web.routes import ROUTES


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
    assert described.keys() == {(route.verb, route.path) for route in ROUTES.values()}
    for route in ROUTES.values():
        operation = described[route.verb, route.path]
        if "requestBody" in operation:
            names = set(operation["requestBody"]["content"][FORM]["schema"]["properties"])
        else:
            names = {parameter["name"] for parameter in operation["parameters"]}
        assert names == route.method.declared.keys() - {"apiKey"}, route
        assert ("security" in operation) == (route.method.security != Security.NONE)
        assert operation["x-method"] == route.method.name
    assert RESULTS.keys() <= METHODS.keys()


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
            found = document
            for part in reference.split("/"):
                found = found[part.replace("~1", "/").replace("~0", "~")]


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
    assert all(f">{name}<" in text for name in (*METHODS, *STREAMS))


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
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
    expected = {"/docs": page()}.get(path)
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
