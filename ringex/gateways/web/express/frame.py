"""WebSocket frames of known shape: a whole text in one masked frame, in ASCII, of at most MESSAGE_BYTES_MAX bytes."""

from __future__ import annotations

from typing import Final

import numpy as np

from ringex.gateways.express.texts import byte_at
from ringex.jit import compiled, entry, int64
from ringex.memory import record_at

MESSAGE_BYTES_MAX: Final = 4096
FRAME: Final = np.dtype([("payload", "i8"), ("payload_bytes", "i8")])

_BYTE: Final = np.dtype([("value", "u1")])
_LONG: Final = np.dtype([("value", "i8")])
_FINAL_TEXT: Final = 0x81
_MASKED: Final = 0x80
_HIGH_BITS: Final = -0x7F7F7F7F7F7F7F80


@entry
@compiled
def read_frame(at: int, end: int, frame: int) -> int:
    """Read the frame that begins at `at`, of what ends at `end`; the FRAME at `frame` says where its text is, unmasked.

    Where the next frame begins; 0, and nothing has been touched, if this one is not of known shape or not all there.
    """
    if end - at < 6 or byte_at(at) != _FINAL_TEXT or byte_at(at + 1) < _MASKED:
        return 0
    size = byte_at(at + 1) - _MASKED
    mask_at = at + 2
    if size == 126:
        size = (byte_at(at + 2) << 8) | byte_at(at + 3)
        mask_at = at + 4
    if size == 0 or size > MESSAGE_BYTES_MAX or end - mask_at < 4 + size:
        return 0
    payload = mask_at + 4
    mask = (byte_at(mask_at + 3) << 24) | (byte_at(mask_at + 2) << 16) | (byte_at(mask_at + 1) << 8) | byte_at(mask_at)
    mask = mask | (mask << 32)
    if _is_ascii(payload, size, mask) == 0:
        return 0
    _unmask(payload, size, mask)
    f = record_at(frame, 0, FRAME)
    f.payload = payload
    f.payload_bytes = size
    return payload + size


@compiled
def _is_ascii(payload: int, size: int, mask: int) -> int:
    seen = int64(0)
    whole = size >> 3
    for index in range(whole):
        seen |= record_at(payload, index, _LONG).value ^ mask
    for index in range(whole * 8, size):
        seen |= byte_at(payload + index) ^ ((mask >> 8 * (index & 3)) & 255)
    return 1 if seen & _HIGH_BITS == 0 else 0


@compiled
def _unmask(payload: int, size: int, mask: int) -> None:
    whole = size >> 3
    for index in range(whole):
        record_at(payload, index, _LONG).value ^= mask
    for index in range(whole * 8, size):
        record_at(payload, index, _BYTE).value = byte_at(payload + index) ^ ((mask >> 8 * (index & 3)) & 255)
