"""A running exchange over ZeroMQ, beside what its machine, ZeroMQ and the codec can do at all.

REQ           one client, one order at a time; beside a bare REQ/REP pair that decodes, syncs a record and answers;
              with every process parked between orders, and with the matcher spinning on a core of its own
msgpack       one DEALER, WINDOW orders under way; beside a bare ROUTER that decodes and answers
              the CPU that an order costs the gateway's process; beside that of the bare ROUTER's
binary        one DEALER, frames of BATCH orders; beside a bare ROUTER that receives them and answers as many bytes
market data   messages that a subscriber gets under the binary load; what the publisher can do shows `bench feed`

Exchange and bare peer take turns. The exchange is a temporary one, with every order synced before it is answered.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import psutil
from loadgen.bare import bare_peer
from loadgen.client import Job, Wire, run_clients
from loadgen.feed import Subscriber
from loadgen.result import Result, together
from loadgen.target import ACCOUNT, workload
from local_exchange import LocalExchange

from .figure import Figure, Options, figure

SYMBOL, PRICE, QUANTITY = "BTCUSDT", "50000", "0.001"
WINDOW = 256
BATCH = 512
FRAMES_UNDER_WAY = 8


def measure(options: Options) -> list[Figure]:
    seconds = max(0.3, 3.0 * options.scale)
    with LocalExchange() as exchange:
        bench = Bench(exchange, options, seconds)
        figures = [*bench.request("parked", 2.0), *bench.msgpack(), *bench.binary()]
    with LocalExchange("", "--cores", ",".join(map(str, options.cores))) as exchange:
        figures += Bench(exchange, options, seconds).request("matcher spinning", 1.4)
    return figures


def cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


@dataclass
class Cpu:
    """What an order has cost the gateway's process, and the bare peer's, in µs of CPU: in turn, one for each run.

    All processes share the machine's cores, so the rates above say what the slowest of them all lets through.
    """

    gateway: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)

    def figure(self, name: str) -> Figure:
        title = f"{name}, the gateway's CPU an order"
        return figure("wire", title, "µs", self.gateway, floors=self.bare, floor_name="bare ROUTER", at_least=False)


class Bench:
    """One exchange, and bare peers beside it."""

    def __init__(self, exchange: LocalExchange, options: Options, seconds: float) -> None:
        self._exchange = exchange
        self._options = options
        self._seconds = seconds
        self._cpu = Cpu()
        self._key, self._secret = exchange.key(ACCOUNT)

    def request(self, how: str, reach: float) -> list[Figure]:
        p50, p99, floor50, floor99 = [], [], [], []
        for _ in self._turns(Wire.REQ):
            result, bare = self._both(Wire.REQ)
            (middle, late, *_), (bare_middle, bare_late, *_) = result.percentiles_us(), bare.percentiles_us()
            p50.append(middle)
            p99.append(late)
            floor50.append(bare_middle)
            floor99.append(bare_late)
        bare_name = "bare REQ/REP with fdatasync"
        return [
            figure(
                *("wire", f"REQ, {how}, p50", "µs", p50),
                floors=floor50,
                floor_name=bare_name,
                reach=reach,
                at_least=False,
            ),
            figure(
                *("wire", f"REQ, {how}, p99", "µs", p99),
                floors=floor99,
                floor_name=bare_name,
                reach=3.0,
                at_least=False,
            ),
        ]

    def msgpack(self) -> list[Figure]:
        rates, floors = [], []
        self._cpu = Cpu()
        for _ in self._turns(Wire.MSGPACK):
            result, bare = self._both(Wire.MSGPACK)
            rates.append(result.rate)
            floors.append(bare.rate)
        name = f"msgpack, {WINDOW} under way"
        rate = figure("wire", name, "orders/s", rates, floors=floors, floor_name="bare ROUTER", reach=0.6)
        return [rate, self._cpu.figure(name)]

    def binary(self) -> list[Figure]:
        rates, floors, feeds = [], [], []
        self._cpu = Cpu()
        for _ in self._turns(Wire.BINARY):
            with Subscriber(self._exchange.pub_endpoint) as subscriber:
                result, bare = self._both(Wire.BINARY)
                feed = subscriber.received()
            rates.append(result.rate)
            floors.append(bare.rate)
            feeds.append(feed.count / ((result.ended_ns - result.started_ns) / 1e9))
        name = f"binary, frames of {BATCH}"
        return [
            figure("wire", name, "orders/s", rates, floors=floors, floor_name="bare ROUTER"),
            figure("wire", f"{name}, the rate itself", "orders/s", rates, reach=500_000),
            self._cpu.figure(name),
            figure("wire", "market data under that load", "messages/s", feeds),
        ]

    def _turns(self, wire: Wire) -> range:
        """As many turns as asked for, after a short load that does not count."""
        self._load(wire, min(1.0, self._seconds))
        self._options.say(f"wire: {wire}")
        return range(self._options.repeats)

    def _both(self, wire: Wire) -> tuple[Result, Result]:
        gateway = psutil.Process(self._exchange.child_pid("gateway-0"))
        before = cpu_seconds(gateway)
        result = self._load(wire, self._seconds)
        self._cpu.gateway.append((cpu_seconds(gateway) - before) / result.answered * 1e6)
        with bare_peer(wire, self._options.folder) as (endpoint, peer):
            bare = self._load(wire, self._seconds, endpoint)
            self._cpu.bare.append(cpu_seconds(peer) / bare.answered * 1e6)
            return result, bare

    def _load(self, wire: Wire, seconds: float, bare: str = "") -> Result:
        """One client's closed loop, against the exchange or the bare peer at `bare`."""
        orders = workload(self._exchange.endpoint, SYMBOL, PRICE, QUANTITY)
        windows = {Wire.REQ: 1, Wire.MSGPACK: WINDOW, Wire.BINARY: BATCH * FRAMES_UNDER_WAY}
        endpoint, key = (bare, "") if bare else (self._exchange.endpoint, self._key)
        result = together(
            run_clients([Job(endpoint, key, self._secret, wire, orders, seconds, windows[wire], 0.0, BATCH)])
        )
        assert not result.errors and not result.unanswered, result.errors
        return result
