"""What is loaded: a market of a running exchange, in its own units."""

from __future__ import annotations

import secrets
from typing import Final

import zmq

from ringex.decimals import parse_scaled

from .client import LoadError, ask
from .workload import Workload

ACCOUNT: Final = "demo"
BID_PARTS, PARTS = 9, 10
"""The bid that rests is at nine tenths of the price."""


def workload(endpoint: str, symbol: str, price: str, quantity: str) -> Workload:
    """A new client's orders, in the units of the market as the exchange tells them. Raises LoadError, ValueError."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.setsockopt(zmq.LINGER, 0)
        socket.connect(endpoint)
        markets = ask(socket, "exchangeInfo", {})["symbols"]
    symbols = [market["symbol"] for market in markets]
    if symbol not in symbols:
        raise LoadError(f"the exchange has no market {symbol}, but {', '.join(symbols[:8])}")
    filters = {found["filterType"]: found for found in markets[symbols.index(symbol)]["filters"]}
    scales = [_decimals(filters["PRICE_FILTER"]["tickSize"]), _decimals(filters["LOT_SIZE"]["stepSize"])]
    units = parse_scaled(price, scales[0])
    tick = parse_scaled(filters["PRICE_FILTER"]["tickSize"].rstrip("0"), scales[0])
    return Workload(
        symbol=symbol,
        market=symbols.index(symbol),
        price=units,
        bid_price=units * BID_PARTS // PARTS // tick * tick,
        quantity=parse_scaled(quantity, scales[1]),
        price_scale=scales[0],
        quantity_scale=scales[1],
        prefix=secrets.token_hex(6),
    )


def _decimals(step: str) -> int:
    return len(step.partition(".")[2].rstrip("0"))
