"""The envelope: {request_id, timestamp, method, api_key, params, signature} in, {…, code, message, reason, data} out.

A signature is the HMAC-SHA256 (or Ed25519) of request id, timestamp, method, API key and params one after the other;
params as key then value, keys sorted, maps and lists within them the same way, numbers as they were written.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from ringex.gateways.auth import Proof
from ringex.gateways.errors import Refusal, invalid, malformed, missing

RECV_WINDOW_MS: Final = 10_000
DEPTH_MAX: Final = 16
"""Of maps and lists in params."""
_DECODER: Final = msgspec.json.Decoder(float_hook=str)
"""Floats stay as they were written: neither a signature nor a price goes through a number."""
SUCCESS: Final = (0, "SUCCESS")
_CODES: Final = {401: (10002, "UNAUTHORIZED"), 418: (10003, "TOO_MANY_REQUESTS"), 429: (10003, "TOO_MANY_REQUESTS")}
_BAD_REQUEST: Final = (10001, "BAD_REQUEST")
_UNAVAILABLE: Final = (10004, "UNAVAILABLE")
_UNKNOWN: Final = (10005, "UNKNOWN")
_SIGNATURE_CODE: Final = -1022


@dataclass(frozen=True, slots=True)
class Envelope:
    """One request, as it was sent."""

    request_id: str
    timestamp: int
    method: str
    api_key: str
    params: dict[str, Any]
    signature: str

    def proof(self) -> Proof:
        """What shows who sent it."""
        text = f"{self.request_id}{self.timestamp}{self.method}{self.api_key}{param_string(self.params)}"
        return Proof(self.api_key, self.signature, text.encode("utf-8", "replace"))


def read_envelope(raw: bytes) -> Envelope:
    """Raises Refusal: not JSON, or not such a map."""
    try:
        found = _DECODER.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise malformed(f"not JSON: {' '.join(str(error).split())[:100]}.") from None
    if not isinstance(found, dict):
        raise malformed("it must be a map with 'request_id', 'timestamp', 'method' and 'params'.")
    params = found.get("params")
    if params is not None and not isinstance(params, dict):
        raise malformed("'params' must be a map from names to values.")
    timestamp = found.get("timestamp", 0)
    if type(timestamp) is not int or not 0 <= timestamp < 10**18:
        raise invalid("timestamp", "It is the client's time in milliseconds since 1970, a whole number.")
    texts = {name: _text(found, name) for name in ("request_id", "method", "api_key", "signature")}
    if not texts["method"]:
        raise missing("method", "It is private/<method> or public/<method>.")
    return Envelope(timestamp=timestamp, params=params or {}, **texts)


def param_string(value: Any, depth: int = 0) -> str:
    """What the signature covers of params. Raises Refusal where they are nested too deeply."""
    if depth > DEPTH_MAX:
        raise malformed(f"'params' may be nested {DEPTH_MAX} deep.")
    if isinstance(value, dict):
        return "".join(f"{name}{param_string(value[name], depth + 1)}" for name in sorted(value))
    if isinstance(value, list):
        return "".join(param_string(one, depth + 1) for one in value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def reply(request_id: str, method: str, data: Any) -> dict[str, Any]:
    """The answer to what was done."""
    code, message = SUCCESS
    return {"request_id": request_id, "timestamp": now_ms(), "method": method, "code": code, "message": message} | (
        {"data": data} if data is not None else {}
    )


def refused(request_id: str, method: str, refusal: Refusal, data: Any = None) -> dict[str, Any]:
    """The answer to what was refused; `reason` has the code and the words of the dialect."""
    code, message = _CODES.get(refusal.status, _BAD_REQUEST)
    if refusal.code == _SIGNATURE_CODE:
        code, message = _CODES[401]
    elif refusal.status >= 500:
        code, message = _UNKNOWN if refusal.status == 504 else _UNAVAILABLE
    found = {"request_id": request_id, "timestamp": now_ms(), "method": method, "code": code, "message": message}
    found["reason"] = f"{refusal.code}: {refusal.message}"
    return found | ({"data": data} if data is not None else {})


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def _text(found: dict[str, Any], name: str) -> str:
    value = found.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > 256:
        raise invalid(name, "It must be a string of up to 256 characters.")
    return value
