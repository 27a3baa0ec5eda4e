"""What an uncross of a market would give now, while it is in an auction."""

from __future__ import annotations

from typing import Any, Final

from ringex.decimals import format_scaled
from ringex.gateways.calls import Call
from ringex.gateways.parameters import Kind, Parameter
from ringex.gateways.times import shown
from ringex.marketdata.streams import side_left_over

PARAMETERS: Final = (Parameter("symbol", Kind.TEXT, required=True),)


def auction(call: Call) -> dict[str, Any]:
    """Zeros where nothing crosses, and where the market is in no auction: `status` says so."""
    market = call.market()
    now = call.model.auctions.indication(market.number)
    return {
        "symbol": market.symbol,
        "status": market.status.name,
        "price": format_scaled(now.price, market.price_scale),
        "quantity": format_scaled(now.quantity, market.quantity_scale),
        "imbalance": format_scaled(abs(now.imbalance), market.quantity_scale),
        "side": side_left_over(now.imbalance),
        "time": shown(now.told_ns or call.now_ns),
    }
