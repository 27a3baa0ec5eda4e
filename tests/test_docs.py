"""The documentation: what it prints runs, what it links to is there, and its tables are complete."""

from __future__ import annotations

import json
import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest
import zmq
from exchange import Exchange, running

from ringex.config import Limits, Settings
from ringex.gateways.methods import METHODS
from ringex.gateways.parameters import GENERAL_PARAMETERS, SIGNED_PARAMETERS
from ringex.messages import EVENT
from ringex.reasons import REASON_TEXT, Reason
from ringex.terms import EventFlag, EventKind, MarketStatus, OrderType, PegPriceType, SelfTradePrevention, TimeInForce

ROOT = Path(__file__).resolve().parent.parent
DOCS = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
API = (ROOT / "docs" / "client-api.md").read_text(encoding="utf-8")
SECONDS_MAX = 60.0

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def blocks(path: Path, language: str = "python") -> list[str]:
    """The fenced blocks of a page in one language."""
    return [code for name, code in _FENCE.findall(path.read_text(encoding="utf-8")) if name == language]


def prose(path: Path) -> str:
    return _FENCE.sub("", path.read_text(encoding="utf-8"))


def anchors(path: Path) -> set[str]:
    """The fragments that a page's headings have, as GitHub makes them."""
    headings = re.findall(r"^#+ +(.*)$", prose(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def table_row(page: str, name: str) -> str:
    """The line of a table whose first cell is `name`."""
    rows = [line for line in page.splitlines() if line.startswith(f"| `{name}` |")]
    assert len(rows) == 1, f"{name} has {len(rows)} rows in the tables of methods"
    return rows[0]


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    with running(tmp_path_factory.mktemp("docs"), web=True) as started:
        yield started


def with_endpoints(code: str, exchange: Exchange) -> str:
    """`code` with this exchange's places instead of the defaults, each of which it must name at most once."""
    settings = Settings(Path("ringex-data"))
    places = {
        str(settings.data_dir): str(exchange.data),
        settings.zmq_endpoint: exchange.zmq_endpoint,
        settings.pub_endpoint: exchange.pub_endpoint,
        "127.0.0.1:7080": exchange.http,
    }
    for default, here in places.items():
        assert code.count(default) <= 1, f"{default} is named more than once"
        code = code.replace(default, here)
    return code


def python(code: str) -> subprocess.Popen[bytes]:
    environment = os.environ | {"PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment
    )


def output_of(code: str) -> str:
    with python(code) as process:
        output, _ = process.communicate(timeout=SECONDS_MAX)
    assert process.returncode == 0, output.decode()
    return output.decode()


def test_readme_first_order_and_subscriber(exchange: Exchange) -> None:
    order, _, subscriber, _ = blocks(ROOT / "README.md")
    with python(with_endpoints(subscriber, exchange)) as watching:
        assert watching.stdout is not None
        seen = b""
        deadline = time.monotonic() + SECONDS_MAX
        try:
            # A subscription takes a moment to arrive, and what is published before is not seen: order until it is.
            while not re.search(rb"^btcusdt@depth .*\n", seen, re.MULTILINE):
                assert time.monotonic() < deadline, seen.decode()
                reply = output_of(with_endpoints(order, exchange))
                assert "'status': 200" in reply, reply
                assert "'status': 'NEW'" in reply, reply
                while select.select([watching.stdout], [], [], 0.5)[0]:
                    output = os.read(watching.stdout.fileno(), 1 << 16)
                    assert output, f"the subscriber has ended: {seen.decode()}"
                    seen += output
            assert b"'b': [['25000.00000000', '" in seen
        finally:
            watching.kill()
    with exchange.client() as client:
        client.order("openOrders.cancelAll", symbol="BTCUSDT")


def test_readme_order_with_ccxt(exchange: Exchange) -> None:
    _, bot, *_ = blocks(ROOT / "README.md")
    assert output_of(with_endpoints(bot, exchange)) == "open\n"
    with exchange.client() as client:
        client.order("openOrders.cancelAll", symbol="BTCUSDT")


def test_readme_library() -> None:
    *_, library = blocks(ROOT / "README.md")
    events, state = output_of(library).splitlines()
    assert events in library, "the page says what is printed"
    assert re.fullmatch(r".* [0-9a-f]{64}", state)


def test_readme_defaults() -> None:
    """Places that README names are the defaults; that the code blocks use them is what makes them work as printed."""
    settings = Settings(Path("ringex-data"))
    text = "".join(blocks(ROOT / "README.md"))
    assert all(place in text for place in ("ringex-data", settings.zmq_endpoint, settings.pub_endpoint))


def test_api_signing_and_binary_path(exchange: Exchange) -> None:
    signing, records = blocks(ROOT / "docs" / "client-api.md")
    names: dict[str, Any] = {}
    exec(signing, names)
    exec(records, names)
    key = exchange.keys()[0]
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.RCVTIMEO, int(SECONDS_MAX * 1000))
        socket.connect(exchange.zmq_endpoint)
        params = names["signed"]({"returnRateLimits": False}, key["api_key"], key["secret"])
        socket.send(msgpack.packb({"id": 1, "method": "session.logon", "params": params}))
        assert msgpack.unpackb(socket.recv())["status"] == 200
        socket.send_multipart(names["frames"])
        found: list[np.void] = []
        while len(found) < 2:
            magic, frame = socket.recv_multipart()
            assert magic == b"RXB1"
            found += list(np.frombuffer(frame, EVENT))
    assert [int(event["correlation"]) for event in found] == [1, 2]
    assert all(event["kind"] == EventKind.ACCEPTED and event["flag_bits"] & EventFlag.LAST for event in found)
    with exchange.client() as client:
        shown = client.order("openOrders.status", symbol="BTCUSDT")["result"]
        assert [(order["price"], order["origQty"]) for order in shown] == [
            ("25000.00000000", "0.01000000"),
            ("25001.00000000", "0.01000000"),
        ], "the scales are as the page says"
        client.order("openOrders.cancelAll", symbol="BTCUSDT")


def test_scenario_of_the_developers_page(tmp_path: Path) -> None:
    (scenario,) = blocks(ROOT / "docs" / "developing.md")
    names: dict[str, Any] = {}
    exec(scenario, names)
    (test,) = (value for name, value in names.items() if name.startswith("test_"))
    test(tmp_path)


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.name)
def test_links_resolve(page: Path) -> None:
    for link in _LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, fragment = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.is_file(), f"{page.name}: {link}: there is no {target}"
        assert not fragment or fragment in anchors(target), f"{page.name}: {link}: no such heading in {target.name}"


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.name)
def test_named_files_exist(page: Path) -> None:
    """Every path below ringex/, tests/, tools/ or docs/ that a page names in code is there."""
    for path in re.findall(r"`((?:ringex|tests|tools|docs)/[\w/.-]*\.\w+)(?: [^`]*)?`", prose(page)):
        assert (ROOT / path).exists(), f"{page.name} names {path}"


PROVEN = [
    line
    for line in (ROOT / "docs" / "rules-proven.md").read_text().splitlines()
    if line.startswith("| ") and not line.startswith("| rule |")
]


@pytest.mark.parametrize("row", PROVEN, ids=lambda row: row.split("|")[1].strip())
def test_every_rule_names_tests_that_exist(row: str) -> None:
    rule, semantics, proof = (cell.strip() for cell in row.strip("|").split("|"))
    assert rule and semantics
    named = re.findall(r"`(tests/\w+\.py)::(test_\w+)`", proof)
    assert named and len(set(named)) == len(named), f"{rule}: each test once, as `tests/test_x.py::test_y`"
    for path, test in named:
        assert re.search(rf"^def {test}\(", (ROOT / path).read_text(), re.MULTILINE), f"{path} has no {test}"


def test_every_type_and_mode_is_among_the_rules_proven() -> None:
    words = set(re.findall(r"[A-Z_]{3,}", "\n".join(PROVEN)))
    for kind in (OrderType, TimeInForce, SelfTradePrevention, PegPriceType, MarketStatus):
        for name in kind.__members__:
            assert name in words | {"GTC"}, f"no row names {name}"


@pytest.mark.parametrize("name", METHODS)
def test_every_method_is_described(name: str) -> None:
    row = table_row(API, name)
    words = set(re.findall(r"\w+", row))
    if re.search(r"those of `order.place`", row):
        words |= set(re.findall(r"\w+", table_row(API, "order.place")))
    elsewhere = {parameter.name for parameter in (*SIGNED_PARAMETERS, *GENERAL_PARAMETERS)}
    missing = METHODS[name].declared.keys() - elsewhere - words
    assert not missing, f"the row of {name} does not name {', '.join(sorted(missing))}"
    scope = METHODS[name].security.name
    assert (scope in words) == (scope != "NONE"), f"{name} asks for {scope}"


def test_no_method_is_described_that_is_not_there() -> None:
    named = re.findall(
        r"^\| `([a-z]\w*(?:\.\w+)*)` \|", API.split("## Methods")[1].split("## User stream")[0], re.MULTILINE
    )
    assert sorted(named) == sorted(METHODS)


@pytest.mark.parametrize(
    "reason", [reason for reason in Reason if reason != Reason.NONE], ids=lambda reason: reason.name
)
def test_every_reason_is_described(reason: Reason) -> None:
    code, text = REASON_TEXT[reason]
    assert f"| {int(reason)} | `{reason.name}` | {code or '–'} | {text} |" in API.splitlines()


def test_every_bound_is_described() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    bounds = page.split("## Bounds")[1]
    slots = ("command_ring_slots", "event_ring_slots", "journal_buffer_slots", "segment_records")
    for name in (*slots, "restarts_per_minute_max"):
        row = next(line for line in bounds.splitlines() if f"`{name}`" in line)
        assert re.search(rf"\b{getattr(Settings(Path('x')), name):,}\b", row) or name == "restarts_per_minute_max", row
    for name, size in vars(Limits()).items():
        short = name.removeprefix("requests_remembered_") if name.endswith("per_account_max") else name
        rows = [line for line in bounds.splitlines() if line.startswith("|") and short in line]
        assert rows, f"limits.{name} is in no row of the table"
        assert f"{size:,}" in rows[0], f"limits.{name} is {size:,}: {rows[0]}"


def test_pictures_are_well_formed() -> None:
    from xml.etree import ElementTree

    for picture in (ROOT / "docs").glob("*.svg"):
        assert ElementTree.parse(picture).getroot().tag == "{http://www.w3.org/2000/svg}svg"


def test_default_data_directory_has_the_demo_key(exchange: Exchange) -> None:
    """README takes the demo account's key from demo-key.json, and says that the first start prints it."""
    first = json.loads((exchange.data / "demo-key.json").read_text(encoding="utf-8"))
    assert first["account"] == "demo"
    assert f"account=demo api_key={first['api_key']} secret={first['secret']}" in exchange.log
