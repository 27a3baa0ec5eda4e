"""Latency against offered load, up to saturation: open loop, so that no order is left out for having been sent late.

One DEALER client sends frames of binary orders at a fixed rate whatever the exchange does; an order's latency counts
from when it was due. First a closed loop finds the rate that saturates; then shares of it are offered.
"""

from __future__ import annotations

from hdrh.histogram import HdrHistogram
from loadgen.client import Job, Wire, run_clients
from loadgen.result import Result, together
from loadgen.target import ACCOUNT, workload
from local_exchange import LocalExchange

from .figure import Figure, Options, figure

SYMBOL, PRICE, QUANTITY = "BTCUSDT", "50000", "0.001"
BATCH = 64
WINDOW = 4096
SHARES = (0.1, 0.25, 0.5, 0.75, 0.9)
PERCENTILES = (50.0, 99.0, 99.9, 100.0)
LATENCY_NS_MAX = 60_000_000_000
DIGITS = 3


def measure(options: Options) -> list[Figure]:
    seconds = max(0.5, 3.0 * options.scale)
    figures = []
    with LocalExchange() as exchange:
        key, secret = exchange.key(ACCOUNT)

        def load(rate: float) -> Result:
            orders = workload(exchange.endpoint, SYMBOL, PRICE, QUANTITY)
            job = Job(exchange.endpoint, key, secret, Wire.BINARY, orders, seconds, WINDOW, rate, BATCH)
            return together(run_clients([job]))

        load(0.0)
        saturated = [load(0.0).rate for _ in range(options.repeats)]
        figures.append(figure("latency", "saturated, binary frames of 64", "orders/s", saturated))
        for share in SHARES:
            rate = figures[0].value * share
            options.say(f"latency: {rate:,.0f} orders/s offered")
            taken = [_percentiles(load(rate)) for _ in range(options.repeats)]
            for place, name in enumerate(("p50", "p99", "p99.9", "max")):
                values = [one[place] for one in taken]
                figures.append(figure("latency", f"{share:.0%} offered, {name}", "µs", values))
    return figures


def _percentiles(result: Result) -> list[float]:
    histogram = HdrHistogram(1, LATENCY_NS_MAX, DIGITS)
    for latency_ns in result.latency_ns.tolist():
        histogram.record_value(min(max(latency_ns, 1), LATENCY_NS_MAX))
    return [histogram.get_value_at_percentile(percentile) / 1000 for percentile in PERCENTILES]
