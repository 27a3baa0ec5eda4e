"""A request as flat fields: what a reader of any encoding makes of a client's bytes, and all that follows reads.

A REQUEST says which method is asked for, what its id is, and which parameters were sent; behind it lies, for each
parameter that the express way knows (`Field`), where its text is, or which number it is. Nothing is copied: addresses
point into the client's bytes, which must stay where they are until the request has been taken.

A reader returns False for whatever it does not know for certain, and the request goes the ordinary way untouched:
unknown, repeated, empty and nested parameters, escapes, fractions, negative numbers, nil, texts that are not ASCII.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import numpy as np

from ringex.gateways.express.texts import Vocabulary, byte_at, vocabulary_find
from ringex.jit import compiled, inlined, int64
from ringex.memory import address_of, record_at

ID_BYTES_MAX: Final = 64
"""Of an `id` that is a text; longer ones go the ordinary way."""


class Field(IntEnum):
    """The parameters that the express way knows, in the order of their names: a signature covers them sorted."""

    API_KEY = 0
    CANCEL_RESTRICTIONS = 1
    NEW_CLIENT_ORDER_ID = 2
    NEW_ORDER_RESP_TYPE = 3
    NEW_QTY = 4
    ORDER_ID = 5
    ORIG_CLIENT_ORDER_ID = 6
    PRICE = 7
    QUANTITY = 8
    QUOTE_ORDER_QTY = 9
    RECV_WINDOW = 10
    RETURN_RATE_LIMITS = 11
    SELF_TRADE_PREVENTION_MODE = 12
    SIDE = 13
    SIGNATURE = 14
    SYMBOL = 15
    TIME_IN_FORCE = 16
    TIMESTAMP = 17
    TYPE = 18


FIELD_NAMES: Final = {
    Field.API_KEY: "apiKey",
    Field.CANCEL_RESTRICTIONS: "cancelRestrictions",
    Field.NEW_CLIENT_ORDER_ID: "newClientOrderId",
    Field.NEW_ORDER_RESP_TYPE: "newOrderRespType",
    Field.NEW_QTY: "newQty",
    Field.ORDER_ID: "orderId",
    Field.ORIG_CLIENT_ORDER_ID: "origClientOrderId",
    Field.PRICE: "price",
    Field.QUANTITY: "quantity",
    Field.QUOTE_ORDER_QTY: "quoteOrderQty",
    Field.RECV_WINDOW: "recvWindow",
    Field.RETURN_RATE_LIMITS: "returnRateLimits",
    Field.SELF_TRADE_PREVENTION_MODE: "selfTradePreventionMode",
    Field.SIDE: "side",
    Field.SIGNATURE: "signature",
    Field.SYMBOL: "symbol",
    Field.TIME_IN_FORCE: "timeInForce",
    Field.TIMESTAMP: "timestamp",
    Field.TYPE: "type",
}


class Kind(IntEnum):
    """What a field holds."""

    TEXT = 1
    NUMBER = 2
    TRUE = 3
    FALSE = 4


class IdKind(IntEnum):
    NONE = 0
    NUMBER = 1
    TEXT = 2


class Express(IntEnum):
    """The methods that the express way knows."""

    ORDER_PLACE = 1
    ORDER_CANCEL = 2
    ORDER_AMEND_KEEP_PRIORITY = 3


METHOD_NAMES: Final = {
    Express.ORDER_PLACE: "order.place",
    Express.ORDER_CANCEL: "order.cancel",
    Express.ORDER_AMEND_KEEP_PRIORITY: "order.amend.keepPriority",
}

REQUEST: Final = np.dtype(
    [
        ("present", "i8"),  # bit 1 << Field of each that was sent
        ("method", "i4"),  # Express; 0: not told yet
        ("id_kind", "i4"),  # IdKind
        ("id_number", "i8"),
        ("id_address", "i8"),  # of a text
        ("id_length", "i8"),
        ("field_names", "i8"),  # vocabularies
        ("method_names", "i8"),
    ],
    align=True,
)
FIELD: Final = np.dtype(
    [
        ("address", "i8"),  # TEXT
        ("number", "i8"),  # NUMBER
        ("length", "i4"),
        ("kind", "i4"),  # Kind
    ],
    align=True,
)
REQUEST_BYTES: Final = REQUEST.itemsize
_FIELD_BYTES: Final = FIELD.itemsize
_NAMES: Final = Vocabulary(len(Field), {name: int(field) for field, name in FIELD_NAMES.items()})
_METHODS: Final = Vocabulary(len(Express), {name: int(method) for method, name in METHOD_NAMES.items()})


class Request:
    """The memory of one REQUEST and its fields, used again for each that is read."""

    def __init__(self) -> None:
        self._memory = np.zeros(REQUEST_BYTES + len(Field) * _FIELD_BYTES, np.uint8)
        self.header = self._memory[:REQUEST_BYTES].view(REQUEST)
        self.fields = self._memory[REQUEST_BYTES:].view(FIELD)
        self.header["field_names"] = _NAMES.address
        self.header["method_names"] = _METHODS.address
        self.address = address_of(self._memory)


@inlined
def request_clear(request: int, method: int) -> None:
    """Begin anew. `method`: what a transport knows it to be by other means than the request itself; else 0."""
    r = record_at(request, 0, REQUEST)
    r.present = 0
    r.method = np.int32(method)
    r.id_kind = np.int32(IdKind.NONE)


@inlined
def field_at(request: int, field: int) -> int:
    """The address of a FIELD."""
    return request + REQUEST_BYTES + field * _FIELD_BYTES


@inlined
def has_field(request: int, field: int) -> bool:
    return (record_at(request, 0, REQUEST).present >> field) & 1 != 0


@compiled
def request_field(request: int, name: int, length: int) -> int:
    """The address of the FIELD that a parameter's name means, marked as sent; 0: unknown, or sent before."""
    r = record_at(request, 0, REQUEST)
    field = vocabulary_find(r.field_names, name, length)
    if field < 0 or (r.present >> field) & 1 != 0:
        return int64(0)
    r.present |= int64(1) << field
    return field_at(request, field)


@compiled
def request_method(request: int, name: int, length: int) -> bool:
    """Take a method's name; False where it is unknown."""
    r = record_at(request, 0, REQUEST)
    method = vocabulary_find(r.method_names, name, length)
    if method < 0:
        return False
    r.method = np.int32(method)
    return True


@inlined
def field_text(field: int, address: int, length: int) -> None:
    f = record_at(field, 0, FIELD)
    f.address = address
    f.length = np.int32(length)
    f.kind = np.int32(Kind.TEXT)


@inlined
def field_number(field: int, number: int) -> None:
    f = record_at(field, 0, FIELD)
    f.number = number
    f.kind = np.int32(Kind.NUMBER)


@inlined
def field_boolean(field: int, value: bool) -> None:
    record_at(field, 0, FIELD).kind = np.int32(Kind.TRUE) if value else np.int32(Kind.FALSE)


@compiled
def request_id_text(request: int, address: int, length: int) -> bool:
    """Take an `id` that is a text; False where it has to go the ordinary way."""
    if length > ID_BYTES_MAX:
        return False
    for at in range(length):
        byte = byte_at(address + at)
        if byte < 0x20 or byte >= 0x7F:
            return False
    r = record_at(request, 0, REQUEST)
    r.id_kind = np.int32(IdKind.TEXT)
    r.id_address = address
    r.id_length = length
    return True


@inlined
def request_id_number(request: int, number: int) -> None:
    r = record_at(request, 0, REQUEST)
    r.id_kind = np.int32(IdKind.NUMBER)
    r.id_number = number
