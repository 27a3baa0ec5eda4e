"""From a client's bytes to a COMMAND record in one compiled call: for a transport that has the bytes in Python.

    reading = Reading(markets)
    command = reading.command(Encoding.JSON, payload, now_ns)                     # the WebSocket API, logged on
    command = reading.command(Encoding.QUERY, query, now_ns, method=Express.ORDER_PLACE, signed=True)     # REST

None: the request goes the ordinary way, with the same bytes. Else `command` is a COMMAND record of shape (1,) without
session, account, key and correlation, which is written over by the next call, and `reading` tells what else the
request said: its id, `response_type`, `shows_limits`. `signed`: the transport has found its signature to be right, over
these bytes; then `apiKey`, `signature` and `timestamp` may be (and the last one must be) among the parameters.
"""

from __future__ import annotations

import numpy as np

from ringex.gateways.express.commands import Demands, command_of
from ringex.gateways.express.fields import IdKind, Request, request_clear
from ringex.gateways.express.markets import Markets
from ringex.gateways.express.readers import read_json, read_msgpack, read_query
from ringex.gateways.express.taking import Encoding
from ringex.jit import compiled, entry
from ringex.memory import address_of, array_at
from ringex.messages import COMMAND


class Reading:
    """Reads one request after the other."""

    def __init__(self, markets: Markets) -> None:
        self.markets = markets
        self.request = Request()
        self.demands = Demands()
        self._demands = self.demands.record
        self._command = np.zeros(1, COMMAND)
        self._address = address_of(self._command)

    def command(
        self,
        encoding: Encoding,
        source: bytes,
        now_ns: int,
        *,
        method: int = 0,
        signed: bool = False,
        shows: bool = True,
    ) -> np.ndarray | None:
        """The COMMAND that `source` asks for, or None. `method` is for Encoding.QUERY alone.

        `shows`: whether the reply has `rateLimits` where the request does not say.
        """
        demands = self._demands
        demands["now_ns"] = now_ns
        demands["signed"] = signed
        demands["shows_limits"] = shows
        held = np.frombuffer(source, np.uint8)
        taken = _command_from(
            *(self.request.address, self.demands.address, self.markets.address, self._address),
            *(int(encoding), method, address_of(held) if len(source) else 0, len(source)),
        )
        return self._command if taken else None

    @property
    def response_type(self) -> int:
        return int(self._demands["response_type"][0])

    @property
    def shows_limits(self) -> bool:
        return bool(self._demands["shows_limits"][0])

    @property
    def request_id(self) -> int | str | None:
        """The last request's `id`. Its bytes must still be there."""
        header = self.request.header[0]
        if header["id_kind"] == IdKind.NONE:
            return None
        if header["id_kind"] == IdKind.NUMBER:
            return int(header["id_number"])
        return array_at(int(header["id_address"]), int(header["id_length"]), np.dtype("u1")).tobytes().decode("ascii")


@entry
@compiled
def _command_from(
    request: int, demands: int, markets: int, command: int, encoding: int, method: int, source: int, size_bytes: int
) -> bool:
    """Read one request, and write its COMMAND."""
    if encoding == Encoding.MSGPACK:
        read = read_msgpack(request, source, size_bytes)
    elif encoding == Encoding.JSON:
        read = read_json(request, source, size_bytes)
    else:
        request_clear(request, method)
        read = read_query(request, source, size_bytes)
    return read and command_of(request, demands, markets, command)
