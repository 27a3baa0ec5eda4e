"""A batch of what peers have sent: from bytes to commands in the gateway's ring, in one call.

An entry is what one peer has sent since the last time. Of HTTP it is one whole request, of WebSocket any number of
frames. What has not been taken of it, from the first message on that is not known for certain, is left to the ordinary
way. A request that is signed shows a key: it is taken where the peer's seat is that key's, and the signature its HMAC.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from ringex.gateways.express.fields import FIELD, FIELD_NAMES, Field, Kind, Request, field_at, has_field
from ringex.gateways.express.readers import read_json
from ringex.gateways.express.taking import Encoding, publish, take
from ringex.gateways.express.texts import set_byte
from ringex.gateways.express.writing import digits_of, put_digits
from ringex.gateways.keystore import API_KEY_CHARACTERS
from ringex.gateways.web.express.frame import FRAME, read_frame
from ringex.gateways.web.express.head import HEAD, SIGNATURE_DIGITS, read_request
from ringex.jit import compiled, inlined, int64, separate
from ringex.memory import address_of, copy_bytes, record_at
from ringex.openssl import HMAC_KEY, SCRATCH_BYTES, hmac_matches

ENTRIES_MAX: Final = 1 << 12
TEXT_BYTES: Final = 1 << 20
"""Of all entries together."""
SIGNED_BYTES_MAX: Final = 8192
"""Of the text that a request over WebSocket signs: the request has at most 4,096, and being sorted adds none."""

PROOF: Final = np.dtype(
    [
        ("hmac", HMAC_KEY),
        ("api_key", "u1", (API_KEY_CHARACTERS,)),
        ("has_hmac", "i8"),  # `hmac` and `api_key` are those of the seat's key
        ("has_session", "i8"),  # the seat is a session's: what is not signed is taken, too
    ]
)
"""What a seat's requests are proved by, by the seat's number."""
PROOF_BYTES: Final = PROOF.itemsize
API_KEY_OFFSET: Final[int] = PROOF.fields["api_key"][1]  # type: ignore[index]

ENTRY: Final = np.dtype(
    [
        ("seat", "i8"),
        ("is_socket", "i8"),
        ("messages_max", "i8"),  # that may be taken
        ("size", "i8"),
        ("taken_bytes", "i8"),  # told: so many of its first bytes are seen to
        ("taken", "i8"),  # told: messages
        ("api_key", "i8"),  # told: address of the key that the first message left was signed with; 0: it is the seat's
    ]
)
BATCH: Final = np.dtype(
    [
        ("text", "i8"),  # address of the entries' bytes, one after the other
        ("entries", "i8"),
        ("count", "i8"),
        ("proofs", "i8"),
        ("desk", "i8"),
        ("request", "i8"),
        ("head", "i8"),
        ("frame", "i8"),
        ("scratch", "i8"),
        ("signed", "i8"),
        ("names", "i8"),  # _NAME records by Field
        ("now_ns", "i8"),
        ("deadline_ns", "i8"),
    ]
)
_FIELDS: Final = len(Field)
_NAME: Final = np.dtype([("size", "i8"), ("text", "u1", (32,))])
_NAME_BYTES: Final = _NAME.itemsize
_NAME_OFFSET: Final[int] = _NAME.fields["text"][1]  # type: ignore[index]
_LONG: Final = np.dtype([("value", "i8")])


class Batch:
    """The memory of `take_batch`. Entries and text are filled in before each call."""

    def __init__(self, desk: int, proofs: np.ndarray) -> None:
        self.record = np.zeros(1, BATCH)
        self.entries = np.zeros(ENTRIES_MAX, ENTRY)
        self.text = np.zeros(TEXT_BYTES, np.uint8)
        self._request = Request()
        self._head, self._frame = np.zeros(1, HEAD), np.zeros(1, FRAME)
        self._scratch, self._signed = np.zeros(SCRATCH_BYTES, np.uint8), np.zeros(SIGNED_BYTES_MAX, np.uint8)
        self._names = np.zeros(_FIELDS, _NAME)
        for field, name in FIELD_NAMES.items():
            self._names[field]["size"] = len(name)
            self._names[field]["text"][: len(name)] = np.frombuffer(name.encode(), np.uint8)
        for name, part in (
            *(("text", self.text), ("entries", self.entries), ("proofs", proofs), ("head", self._head)),
            *(("frame", self._frame), ("scratch", self._scratch), ("signed", self._signed), ("names", self._names)),
        ):
            self.record[name] = address_of(part)
        self.record["desk"], self.record["request"] = desk, self._request.address
        self.address = address_of(self.record)


@separate
def take_batch(batch: int) -> int:
    """Take what can be taken of all entries, and publish it. Of how many entries something is left."""
    b = record_at(batch, 0, BATCH)
    text = b.text
    left = int64(0)
    for at in range(b.count):
        e = record_at(b.entries, at, ENTRY)
        e.taken_bytes = 0
        e.taken = 0
        e.api_key = 0
        if e.is_socket != 0:
            _take_frames(batch, at, text)
        else:
            _take_request(batch, at, text)
        text += e.size
        if e.taken_bytes < e.size:
            left += 1
    publish(b.desk)
    return left


@compiled
def _take_request(batch: int, at: int, text: int) -> None:
    b = record_at(batch, 0, BATCH)
    e = record_at(b.entries, at, ENTRY)
    method = read_request(text, e.size, b.head)
    if method == 0:
        return
    h = record_at(b.head, 0, HEAD)
    proof = b.proofs + e.seat * PROOF_BYTES
    if e.seat == 0 or not _is_of(proof, h.api_key):
        e.api_key = h.api_key
        return
    if hmac_matches(proof, h.form, h.form_bytes, h.signature, b.scratch) == 0:
        return
    if _take(batch, e.seat, int64(Encoding.QUERY), method, h.form, h.form_bytes, 1) != 0:
        e.taken_bytes = e.size
        e.taken = 1


@compiled
def _take_frames(batch: int, at: int, text: int) -> None:
    b = record_at(batch, 0, BATCH)
    e = record_at(b.entries, at, ENTRY)
    f = record_at(b.frame, 0, FRAME)
    end = text + e.size
    frame = text
    while frame < end and e.taken < e.messages_max:
        following = read_frame(frame, end, b.frame)
        if following == 0 or not _take_message(batch, at, f.payload, f.payload_bytes):
            return
        frame = following
        e.taken_bytes = frame - text
        e.taken += 1


@compiled
def _take_message(batch: int, at: int, message: int, size: int) -> bool:
    b = record_at(batch, 0, BATCH)
    e = record_at(b.entries, at, ENTRY)
    proof = b.proofs + e.seat * PROOF_BYTES
    signed = int64(0)
    if e.seat == 0 or record_at(proof, 0, PROOF).has_session == 0 or _may_be_signed(message, size):
        if not read_json(b.request, message, size):
            return False
        if has_field(b.request, int64(Field.SIGNATURE)):
            if not _is_signed(batch, at, proof):
                return False
            signed = int64(1)
        elif e.seat == 0 or record_at(proof, 0, PROOF).has_session == 0:
            return False
    return _take(batch, e.seat, int64(Encoding.JSON), 0, message, size, signed) != 0


@inlined
def _take(batch: int, seat: int, encoding: int, method: int, source: int, size: int, signed: int) -> int:
    b = record_at(batch, 0, BATCH)
    return take(b.desk, seat, encoding, method, source, size, b.now_ns, b.deadline_ns, signed, 0)


@inlined
def _is_of(proof: int, api_key: int) -> bool:
    """Whether a key is the one that the seat's requests are proved by."""
    different = int64(1) if record_at(proof, 0, PROOF).has_hmac == 0 else int64(0)
    for word in range(API_KEY_CHARACTERS // 8):
        different |= record_at(proof + API_KEY_OFFSET, word, _LONG).value ^ record_at(api_key, word, _LONG).value
    return different == 0


_SIGNATURE_WORD: Final = int.from_bytes(b'"signatu', "little")


@compiled
def _may_be_signed(message: int, size: int) -> bool:
    """Whether a message has a parameter `signature`, or the like of it."""
    at, last = message, message + size - 8
    while at <= last and record_at(at, 0, _LONG).value != _SIGNATURE_WORD:
        at += 1
    return at <= last


@compiled
def _is_signed(batch: int, at: int, proof: int) -> bool:
    """Whether the message that has been read is signed with the seat's key."""
    b = record_at(batch, 0, BATCH)
    e = record_at(b.entries, at, ENTRY)
    if not has_field(b.request, int64(Field.API_KEY)):
        return False
    key = record_at(field_at(b.request, int64(Field.API_KEY)), 0, FIELD)
    signature = record_at(field_at(b.request, int64(Field.SIGNATURE)), 0, FIELD)
    if key.kind != Kind.TEXT or int64(key.length) != API_KEY_CHARACTERS:
        return False
    if signature.kind != Kind.TEXT or int64(signature.length) != SIGNATURE_DIGITS:
        return False
    if e.seat == 0 or not _is_of(proof, key.address):
        e.api_key = key.address
        return False
    return hmac_matches(proof, b.signed, _signed_text(batch), signature.address, b.scratch) != 0


@compiled
def _signed_text(batch: int) -> int:
    """Write what a request over WebSocket signs to `signed`: its parameters, sorted by name. How many bytes."""
    b = record_at(batch, 0, BATCH)
    at = b.signed
    for field in range(_FIELDS):
        if field == Field.SIGNATURE or not has_field(b.request, field):
            continue
        if at > b.signed:
            set_byte(at, 38)  # &
            at += 1
        name = b.names + field * _NAME_BYTES
        size = record_at(name, 0, _NAME).size
        copy_bytes(at, name + _NAME_OFFSET, size)
        at += size
        set_byte(at, 61)  # =
        at += 1
        f = record_at(field_at(b.request, field), 0, FIELD)
        if f.kind == Kind.TEXT:
            copy_bytes(at, f.address, int64(f.length))
            at += int64(f.length)
        elif f.kind == Kind.NUMBER:
            at = put_digits(at, f.number, digits_of(f.number))
        else:
            at = _put_boolean(at, f.kind == Kind.TRUE)
    return at - b.signed


@compiled
def _put_boolean(at: int, value: bool) -> int:
    word, size = (int64(0x65757274), int64(4)) if value else (int64(0x65736C6166), int64(5))
    for index in range(size):
        set_byte(at + index, (word >> (8 * index)) & 255)
    return at + size
