"""The whole exchange, end to end: `ringex start`, its command line, and clients of every kind."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgpack
import psutil
import pytest
import zmq
from exchange import Client, Exchange, running

from ringex.config import Settings
from ringex.engine.export import state_hash
from ringex.engine.snapshot import load_snapshot, snapshot_paths
from ringex.journal.segment import segment_path
from ringex.ring import Ring
from ringex.supervisor import ring_prefix

CORES = sorted(os.sched_getaffinity(0))[:2]
SECONDS_MAX = 10.0


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose path is short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="rx-") as name:
        yield Path(name)


@pytest.fixture(scope="module")
def exchange() -> Iterator[Exchange]:
    """One exchange with two gateways, pinned, that most tests share."""
    with tempfile.TemporaryDirectory(prefix="rx-") as name:
        cores = ",".join(map(str, CORES))
        with running(Path(name), "--gateways", "2", "--cores", cores) as exchange:
            for account in ("maker", "taker"):
                printed(exchange, "account", "create", account)
                for asset, amount in (("BTC", "100"), ("USDT", "10000000")):
                    printed(exchange, "account", "deposit", account, asset, amount)
                printed(exchange, "key", "create", "--account", account)
            yield exchange


@pytest.fixture
def maker(exchange: Exchange) -> Iterator[Client]:
    with exchange.client("maker") as client:
        yield client
        client.order("openOrders.cancelAll", symbol="BTCUSDT")


@pytest.fixture
def taker(exchange: Exchange) -> Iterator[Client]:
    with exchange.client("taker", gateway=1) as client:
        yield client
        client.order("openOrders.cancelAll", symbol="BTCUSDT")


def printed(exchange: Exchange, *words: str) -> dict[str, str]:
    """What an administrative command printed, one `name: value` a line."""
    done = exchange.command(*words, "--data", str(exchange.data))
    assert (done.returncode, done.stderr) == (0, ""), done
    return dict(line.split(": ", 1) for line in done.stdout.splitlines())


def complaint(exchange: Exchange, *words: str) -> str:
    """The one line on stderr of a command that must fail."""
    done = exchange.command(*words)
    assert done.returncode == 1 and done.stderr.startswith("ringex: ") and done.stderr.count("\n") == 1, done
    return done.stderr.removeprefix("ringex: ").rstrip("\n")


def place(client: Client, side: str, price: str, quantity: str, **params: Any) -> dict[str, Any]:
    """The result of a LIMIT order in BTCUSDT, good till canceled."""
    order = {"symbol": "BTCUSDT", "side": side, "type": "LIMIT", "timeInForce": "GTC"}
    return result(client.order("order.place", **order, price=price, quantity=quantity, **params))


def result(reply: dict[str, Any]) -> Any:
    assert reply["status"] == 200, reply
    return reply["result"]


def free_and_locked(client: Client) -> dict[str, tuple[str, str]]:
    balances = result(client.order("account.status"))["balances"]
    return {balance["asset"]: (balance["free"], balance["locked"]) for balance in balances}


def test_the_ready_line_and_the_demo_key_are_printed(exchange: Exchange) -> None:
    demo = json.loads((exchange.data / "demo-key.json").read_text())
    lines = exchange.log.splitlines()
    assert f"account=demo api_key={demo['api_key']} secret={demo['secret']}" in lines
    zmq_endpoints = f"{exchange.zmq_endpoint},{exchange.zmq_endpoint}.1"
    places = f"zmq={zmq_endpoints} pub={exchange.pub_endpoint} http=off"
    assert f"ready {places} pid={exchange.pid} data={exchange.data}" in lines
    for name in ("demo-key.json", "keys.json", "master.key"):
        assert (exchange.data / name).stat().st_mode & 0o077 == 0, "others can read the secrets"
    assert demo["secret"] not in (exchange.data / "keys.json").read_text(), "secrets are sealed"


@pytest.mark.parametrize("socket_type", [zmq.REQ, zmq.DEALER])
def test_an_order_is_placed_amended_replaced_and_canceled(exchange: Exchange, socket_type: int) -> None:
    with exchange.client("maker", socket_type=socket_type) as client:
        before = free_and_locked(client)
        first = place(client, "BUY", "20000.00", "0.5", newClientOrderId="first")
        assert (first["status"], first["clientOrderId"], first["fills"]) == ("NEW", "first", [])
        assert float(free_and_locked(client)["USDT"][1]) == 10_000.0

        kept = result(
            client.order("order.amend.keepPriority", symbol="BTCUSDT", orderId=first["orderId"], newQty="0.4")
        )
        assert kept["amendedOrder"]["qty"] == "0.40000000"
        moved = result(client.order("order.amend", symbol="BTCUSDT", orderId=first["orderId"], price="20001.00"))
        assert moved["amendedOrder"]["orderId"] == first["orderId"]
        status = result(client.order("order.status", symbol="BTCUSDT", origClientOrderId="first"))
        assert (status["price"], status["origQty"]) == ("20001.00000000", "0.40000000")

        replaced = result(
            client.order(
                "order.cancelReplace",
                symbol="BTCUSDT",
                cancelReplaceMode="STOP_ON_FAILURE",
                cancelOrigClientOrderId="first",
                side="BUY",
                type="LIMIT",
                timeInForce="GTC",
                price="20002.00",
                quantity="0.1",
                newClientOrderId="second",
            )
        )
        assert (replaced["cancelResult"], replaced["newOrderResult"]) == ("SUCCESS", "SUCCESS")
        open_orders = result(client.order("openOrders.status", symbol="BTCUSDT"))
        assert [order["clientOrderId"] for order in open_orders] == ["second"]

        canceled = result(client.order("order.cancel", symbol="BTCUSDT", origClientOrderId="second"))
        assert (canceled["status"], canceled["origClientOrderId"]) == ("CANCELED", "second")
        again = client.order("order.cancel", symbol="BTCUSDT", origClientOrderId="second")
        assert again["error"] == {"code": -2011, "msg": "Unknown order sent."}
        assert free_and_locked(client) == before


def test_a_trade_is_told_alike_by_replies_streams_and_queries(maker: Client, taker: Client) -> None:
    for client in (maker, taker):
        result(client.order("userDataStream.subscribe.signature"))
    resting = place(maker, "SELL", "30000.00", "0.2")
    taken = place(taker, "BUY", "30000.00", "0.3")
    [fill] = taken["fills"]
    assert (taken["status"], fill["price"], fill["qty"]) == ("PARTIALLY_FILLED", "30000.00000000", "0.20000000")

    for client, order, its_status in ((maker, resting, "FILLED"), (taker, taken, "PARTIALLY_FILLED")):
        report = pushed(client, lambda event: event["e"] == "executionReport" and event["x"] == "TRADE")
        assert (report["i"], report["t"], report["l"], report["L"]) == (
            order["orderId"],
            fill["tradeId"],
            fill["qty"],
            fill["price"],
        )
        assert report["X"] == its_status
        position = pushed(client, lambda event: event["e"] == "outboundAccountPosition")
        queried = free_and_locked(client)
        for balance in position["B"]:
            assert queried[balance["a"]] == (balance["f"], balance["l"])
        status = result(client.order("order.status", symbol="BTCUSDT", orderId=order["orderId"]))
        assert (status["status"], status["executedQty"]) == (its_status, "0.20000000")

    last = result(taker.call("trades.recent", {"symbol": "BTCUSDT", "limit": 1}))[-1]
    assert (last["id"], last["price"], last["qty"]) == (fill["tradeId"], fill["price"], fill["qty"])
    ticker = result(taker.call("ticker.book", {"symbol": "BTCUSDT"}))
    assert (ticker["bidPrice"], ticker["bidQty"]) == ("30000.00000000", "0.10000000")


def pushed(client: Client, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The next pushed event that is `wanted`."""
    while (message := client.pushed.popleft() if client.pushed else client.receive(SECONDS_MAX)) is not None:
        if "event" in message and wanted(message["event"]):
            return message["event"]  # type: ignore[no-any-return]
    raise AssertionError("the event was not pushed")


def test_what_one_gateway_did_the_other_sees_at_once(exchange: Exchange) -> None:
    with exchange.client("maker", gateway=0) as one, exchange.client("maker", gateway=1) as other:
        for number in range(50):
            side, price = ("BUY", f"{19000 + number}.00") if number % 2 else ("SELL", f"{60000 + number}.00")
            placed = place(one, side, price, "0.01", newClientOrderId=f"seen-{number}")
            seen = result(other.order("order.status", symbol="BTCUSDT", orderId=placed["orderId"]))
            assert (seen["clientOrderId"], seen["status"]) == (f"seen-{number}", "NEW")
            one, other = other, one
        assert len(result(one.order("openOrders.cancelAll", symbol="BTCUSDT"))) == 50
        assert result(other.order("openOrders.status", symbol="BTCUSDT")) == []


class Book:
    """A late joiner's book, by the standard rule."""

    def __init__(self, snapshot: dict[str, Any]) -> None:
        self.last_update_id = snapshot["lastUpdateId"]
        self._joined = False
        self.levels: dict[str, dict[str, str]] = {"bids": dict(snapshot["bids"]), "asks": dict(snapshot["asks"])}

    def apply(self, diff: dict[str, Any]) -> None:
        if diff["u"] <= self.last_update_id:
            return
        if self._joined:
            assert diff["U"] == self.last_update_id + 1, "a gap"
        assert diff["U"] <= self.last_update_id + 1 <= diff["u"]
        self._joined = True
        for side, key in (("bids", "b"), ("asks", "a")):
            for price, quantity in diff[key]:
                self.levels[side].pop(price, None)
                if quantity != "0.00000000":
                    self.levels[side][price] = quantity
        self.last_update_id = diff["u"]


def test_snapshot_and_stream_make_the_book(exchange: Exchange, maker: Client, taker: Client) -> None:
    context = zmq.Context()
    with closing(context.socket(zmq.SUB)) as stream:
        stream.connect(exchange.pub_endpoint)
        stream.subscribe("btcusdt@depth")
        price = 40000
        while not stream.poll(100):  # until the subscription has arrived
            price += 1
            place(maker, "SELL", f"{price}.00", "0.1")
        book = Book(result(taker.call("depth", {"symbol": "BTCUSDT", "limit": 5000})))
        for number in range(40):
            place(maker, "SELL", f"{41000 + number}.00", "0.1")
            place(maker, "BUY", f"{39000 - number}.00", "0.1")
        place(taker, "BUY", "41010.00", "0.55")
        result(maker.order("openOrders.cancelAll", symbol="BTCUSDT"))
        place(maker, "BUY", "38000.00", "0.3")
        final = result(taker.call("depth", {"symbol": "BTCUSDT", "limit": 5000}))
        assert final["lastUpdateId"] > book.last_update_id
        while book.last_update_id < final["lastUpdateId"]:
            assert stream.poll(SECONDS_MAX * 1000), "the stream ended before the snapshot was reached"
            topic, payload = stream.recv_multipart()
            assert topic == b"btcusdt@depth"
            book.apply(msgpack.unpackb(payload))
    context.term()
    assert book.last_update_id == final["lastUpdateId"]
    assert book.levels == {"bids": dict(final["bids"]), "asks": dict(final["asks"])}


def test_processes_are_pinned_as_cores_says(exchange: Exchange) -> None:
    first, last = CORES[0], CORES[-1]
    expected = {"matcher": first, "gateway-0": last, "gateway-1": last, "replica": last, "publisher": last}
    pinned = {role: psutil.Process(exchange.child(role)).cpu_affinity() for role in expected}
    assert pinned == {role: [core] for role, core in expected.items()}


def test_status_names_processes_and_rings(exchange: Exchange) -> None:
    done = exchange.command("status", "--json", "--data", str(exchange.data))
    found = json.loads(done.stdout)
    assert (done.returncode, found["state"], found["pid"]) == (0, "ready", exchange.pid)
    assert found["durability"] == "fsync" and len(found["zmq"]) == 2
    assert {role: child["restarts"] for role, child in found["children"].items()} == dict.fromkeys(
        ["matcher", "replica", "gateway-0", "gateway-1", "publisher", "history"], 0
    )
    waiting = [ring["waiting"] for ring in found["rings"].values() if "waiting" in ring]
    assert waiting == [0, 0]
    shown = exchange.command("status", "--data", str(exchange.data)).stdout
    assert shown.startswith(f"ready on {exchange.data}, pid {exchange.pid}")


def test_accounts_and_keys_are_made_while_it_runs(exchange: Exchange) -> None:
    printed(exchange, "account", "create", "new")
    key = printed(exchange, "key", "create", "--account", "new", "--scope", "TRADE", "--scope", "USER_DATA")
    for _ in range(2):  # the second is the same deposit
        printed(exchange, "account", "deposit", "new", "USDT", "1000.50", "--reference", "wire-1")
    printed(exchange, "account", "withdraw", "new", "USDT", "0.50", "--reference", "wire-1")
    with Client(exchange.zmq_endpoint, key["apiKey"], key["secretKey"]) as client:
        assert free_and_locked(client) == {"USDT": ("1000.00000000", "0.00000000")}
        assert place(client, "BUY", "10000.00", "0.01")["status"] == "NEW"
        refused = client.order("userDataStream.subscribe.signature")
        assert refused["error"]["code"] == -2015, "the key has no such scope"
        result(client.order("openOrders.cancelAll", symbol="BTCUSDT"))
    data = ("--data", str(exchange.data))
    assert "insufficient balance" in complaint(exchange, "account", "withdraw", "new", "USDT", "1001", *data)
    assert "(code -" in complaint(exchange, "account", "deposit", "nobody", "USDT", "1", *data)
    assert "(code -" in complaint(exchange, "account", "create", "new", *data)
    assert "(code -" in complaint(exchange, "key", "create", "--account", "no body", *data)


def test_a_second_exchange_on_the_same_data_is_refused(exchange: Exchange) -> None:
    message = complaint(exchange, "start", "--data", str(exchange.data))
    assert message.startswith(f"{exchange.data} is in use by another exchange (pid {exchange.pid}); stop it with")
    assert exchange.command("status", "--data", str(exchange.data)).returncode == 0


def test_a_port_in_use_is_named_and_nothing_is_started(exchange: Exchange, folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        endpoint = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        data = folder / "data"
        message = complaint(
            exchange, "start", "--data", str(data), "--zmq", f"ipc://{folder}/zmq.sock", "--pub", endpoint
        )
    assert message == f"endpoint {endpoint} is in use; choose another with --pub"
    assert Ring.list(ring_prefix(Settings(data))) == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('durability = "raid"', "durability: 'raid' is not allowed; fsync, os, none are"),
        ("gatways = 2", "gatways: no such key; did you mean gateways? allowed: "),
        ("event_ring_slots = 3000", "event_ring_slots: 3000 is not allowed; a power of two 4096..16777216 is"),
        ("[[markets]]\nsymbol = 1", "markets[0].base: is missing"),
    ],
)
def test_a_config_error_names_file_key_and_what_is_allowed(
    exchange: Exchange, folder: Path, text: str, expected: str
) -> None:
    config = folder / "ringex.toml"
    config.write_text(text)
    message = complaint(exchange, "start", "--data", str(folder / "data"), "--config", str(config))
    assert message.startswith(f"{config}: {expected}")
    assert not (folder / "data").exists()


def test_too_little_shared_memory_is_told_before_anything_starts(exchange: Exchange, folder: Path) -> None:
    shared = os.statvfs("/dev/shm")
    slots = 1 << 24
    gateways = min(64, shared.f_bavail * shared.f_frsize // (slots // 4 * 256) + 1)
    config = folder / "ringex.toml"
    config.write_text(f"event_ring_slots = {slots}\ncommand_ring_slots = {slots // 4}\n")
    data = folder / "data"
    words = ("start", "--data", str(data), "--config", str(config), "--gateways", str(gateways), "--http", "off")
    message = complaint(exchange, *words, "--zmq", f"ipc://{folder}/zmq.sock", "--pub", f"ipc://{folder}/pub.sock")
    assert re.fullmatch(r"/dev/shm has \d+ MiB free, and \d+ MiB are needed for the rings; lower .*", message)
    assert Ring.list(ring_prefix(Settings(data))) == ()


def test_stopped_and_started_again_it_is_as_it_was(folder: Path) -> None:
    exchange = Exchange(folder, "--durability", "os")
    exchange.start()
    try:
        with exchange.client() as client:
            for number in range(20):
                place(client, "BUY", f"{20000 + number}.00", "0.01", newClientOrderId=f"kept-{number}")
            place(client, "SELL", "20015.00", "0.025")
            before = observed(client)
        assert exchange.stop(signal.SIGINT) == 0, exchange.log
        nothing_is_left(exchange)
        hash_before = replayed(exchange)

        exchange.start()
        with exchange.client() as client:
            assert observed(client) == before
            status = result(client.order("order.status", symbol="BTCUSDT", origClientOrderId="kept-17"))
            assert (status["status"], status["executedQty"]) == ("PARTIALLY_FILLED", "0.00500000")
            assert result(client.order("order.cancel", symbol="BTCUSDT", origClientOrderId="kept-0"))["status"]
        stopped = exchange.command("stop", "--data", str(exchange.data))
        assert (stopped.returncode, stopped.stdout) == (0, f"stopped {exchange.data}\n")
        nothing_is_left(exchange)

        sequence, hash_text = hash_before
        assert replayed(exchange, "--to", sequence) == (sequence, hash_text), "the past has changed"
        assert int(replayed(exchange)[0]) > int(sequence)
        sound = exchange.command("journal", "verify", str(exchange.data)).stdout.splitlines()
        assert sound[-1] == "sound"
        dumped = exchange.command("journal", "dump", str(exchange.data)).stdout.splitlines()
        assert [json.loads(line)["sequence"] for line in dumped] == list(range(1, len(dumped) + 1))
        assert sum(json.loads(line)["kind"] == "PLACE" for line in dumped) == 21
        assert exchange.command("replay", str(exchange.data)).stdout.splitlines()[0] == f"sequence: {len(dumped)}"
    finally:
        exchange.kill_group()


def test_limits_are_changed_by_a_start_and_known_to_the_journal(folder: Path) -> None:
    config = folder / "ringex.toml"
    exchange = Exchange(folder, "--durability", "os", "--config", str(config))

    def start(orders_max: int) -> None:
        config.write_text(f"[limits]\norders_max = {orders_max}\n")
        exchange.start()

    def placed() -> int:
        """How many orders may still be placed."""
        with exchange.client() as client:
            for count in range(10):
                params = {"side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "price": "20000.00", "quantity": "0.01"}
                reply = client.order("order.place", symbol="BTCUSDT", **params)
                if reply["status"] != 200:
                    assert reply["error"]["code"] == -1008
                    return count
        raise AssertionError("no limit was met")

    try:
        start(2)
        assert placed() == 2
        exchange.kill_group()
        start(5)  # with no snapshot: by the journal alone the second limit is met after the first
        assert placed() == 3
        assert exchange.stop() == 0, exchange.log
        config.write_text("[limits]\norders_max = 4\n")
        exchange.launch()
        assert exchange.reap() != 0
        said = exchange.log.rpartition("ready ")[2]
        assert "the state has 5 orders, but limits.orders_max is 4: raise the limit" in said
        assert "Traceback" not in said
        nothing_is_left(exchange)
        start(6)
        with exchange.client() as client:
            result(client.order("openOrders.cancelAll", symbol="BTCUSDT"))
        assert exchange.stop() == 0, exchange.log
        start(3)
        assert placed() == 3
        exchange.kill_group()
        start(3)  # the snapshot was taken by other limits than the journal behind it
        assert placed() == 0
        assert exchange.stop() == 0, exchange.log
        dumped = exchange.command("journal", "dump", str(exchange.data)).stdout.splitlines()
        changes = [row for row in map(json.loads, dumped) if row["kind"] == "LIMITS_SET"]
        assert [row["orders_max"] for row in changes] == [2, 5, 6, 3] and changes[0]["sequence"] == 1
        newest = load_snapshot(snapshot_paths(exchange.data / "snapshots")[-1])
        assert replayed(exchange) == (str(newest.root["command_sequence"]), state_hash(newest))
    finally:
        exchange.kill_group()


def test_while_no_segment_can_be_made_orders_are_refused_and_queries_served(folder: Path) -> None:
    config = folder / "ringex.toml"
    config.write_text("segment_records = 4096\n")
    with running(folder, "--config", str(config)) as exchange, exchange.client() as client:
        # As on a full disk, the next segment cannot be made: a folder lies where it would be.
        obstacle = segment_path(exchange.data / "journal", 4097).with_suffix(".tmp")
        obstacle.mkdir()
        order = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "price": "20000.00", "quantity": "0.01"}
        taken = 0
        while (reply := client.order("order.place", **order, timeInForce="IOC"))["status"] == 200:
            taken += 1
            assert taken < 4096, "what could never become durable was acknowledged"
        assert taken > 0 and (reply["status"], reply["error"]["code"]) == (503, -1008)
        assert "disk is full" in reply["error"]["msg"]

        assert client.call("depth", {"symbol": "BTCUSDT"})["status"] == 200
        assert client.order("account.status")["status"] == 200
        data = ("--data", str(exchange.data))
        assert exchange.command("status", *data).returncode == 0
        assert "disk is full" in complaint(exchange, "account", "deposit", "demo", "BTC", "1", *data)

        obstacle.rmdir()
        deadline = time.monotonic() + SECONDS_MAX
        while client.order("order.place", **order, timeInForce="GTC")["status"] != 200:
            assert time.monotonic() < deadline, "there is room again, and orders are still refused"
        assert len(result(client.order("openOrders.status", symbol="BTCUSDT"))) == 1
        restarts = json.loads((exchange.data / "run.json").read_text())["children"].values()
        assert all(child["restarts"] == 0 for child in restarts)
    assert exchange.command("journal", "verify", str(exchange.data)).stdout.endswith("sound\n")


def observed(client: Client) -> dict[str, Any]:
    """What a client can see of the state."""
    return {
        "orders": result(client.order("openOrders.status", symbol="BTCUSDT")),
        "balances": free_and_locked(client),
        "depth": result(client.call("depth", {"symbol": "BTCUSDT"})),
        "trades": result(client.call("trades.recent", {"symbol": "BTCUSDT"})),
        "markets": result(client.call("exchangeInfo"))["symbols"],
    }


def replayed(exchange: Exchange, *words: str) -> tuple[str, str]:
    """Sequence and state hash that `ringex replay` prints."""
    done = exchange.command("replay", str(exchange.data), *words)
    lines = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    assert done.returncode == 0, done
    return lines["sequence"], lines["hash"]


def nothing_is_left(exchange: Exchange) -> None:
    assert Ring.list(ring_prefix(Settings(exchange.data))) == ()
    assert not (exchange.data / "run.json").exists()
    assert exchange.command("status", "--data", str(exchange.data)).returncode == 1
