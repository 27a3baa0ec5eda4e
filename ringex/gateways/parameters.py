"""Parameters of a method: what may be sent, of which type, and what is missing, unknown or malformed.

A method declares its parameters; `decode` turns a client's map into arguments, or refuses it with the dialect's code.
Decimals stay text here: only a market knows their scale. `decimal` reads them, exactly, with the market's help.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum, auto
from typing import Any, Final

from ringex.decimals import DecimalError, TooLargeError, TooPreciseError, parse_scaled
from ringex.gateways.errors import Refusal, invalid, missing, of_reason, off_step_words
from ringex.history.catalogue import Market
from ringex.reasons import Reason

DECIMALS_SENT_MAX: Final = 8
"""The dialect's precision: more decimals are -1111, fewer but off the market's step are a filter failure."""
INTEGER_MAX: Final = (1 << 63) - 1
PARAMETERS_MAX: Final = 64
TEXT_CHARACTERS_MAX: Final = 256
CLIENT_ID_RANGE: Final = r"^[\.A-Z\:/a-z0-9_-]{1,36}$"
DECIMAL_RANGE: Final = r"^([0-9]{1,20})(\.[0-9]{1,20})?$"
RESERVED_PREFIX: Final = "ringex-"
"""Client order ids that the exchange derives: an order without one is shown as ringex-<order_id>."""

_CLIENT_ID: Final = re.compile(CLIENT_ID_RANGE[:-1] + r"\Z")
_DERIVED_ID: Final = re.compile(RESERVED_PREFIX + r"([1-9][0-9]{0,17})\Z")


class Kind(IntEnum):
    TEXT = auto()
    INTEGER = auto()
    DECIMAL = auto()
    BOOLEAN = auto()
    CHOICE = auto()
    CLIENT_ID = auto()  # an id that the client gives
    ORDER_CLIENT_ID = auto()  # an id that names an order: the client's own, or ringex-<order_id>
    TEXTS = auto()  # an array of texts


@dataclass(frozen=True)
class Parameter:
    """One parameter. `refusal` is (code, message) of a CHOICE's wrong value, where the dialect has its own."""

    name: str
    kind: Kind
    required: bool = False
    choices: tuple[str, ...] = ()
    refusal: tuple[int, str] | None = None


SIGNED_PARAMETERS: Final = (
    Parameter("apiKey", Kind.TEXT),
    Parameter("signature", Kind.TEXT),
    Parameter("timestamp", Kind.INTEGER),
    Parameter("recvWindow", Kind.INTEGER),
)
GENERAL_PARAMETERS: Final = (Parameter("returnRateLimits", Kind.BOOLEAN),)

Arguments = dict[str, Any]
"""Decoded parameters by name: str, int, bool, or tuple[str, ...]; absent ones are not in it."""


def decode(declared: Mapping[str, Parameter], needed: Iterable[str], params: Mapping[str, Any]) -> Arguments:
    """`params` as arguments; `needed` names those that are required.

    Raises Refusal: -1104 unknown, -1105 empty, -1102 missing, -1100 and others malformed.
    """
    if not params.keys() <= declared.keys():
        unknown = ", ".join(sorted(str(name)[:40] for name in params if name not in declared))
        known = sum(name in declared for name in params)
        text = f"Not all sent parameters were read; read '{known}' parameter(s) but was sent '{len(params)}'."
        text += f" Unknown: {unknown[:200]}."
        close = difflib.get_close_matches(unknown[:40], declared, 1)
        raise Refusal(-1104, f"{text} Did you mean {close[0]}?" if close else text)
    arguments: Arguments = {}
    for name, value in params.items():
        if value is None:
            continue
        if value == "":
            if declared[name].required:
                raise missing(name)
            raise Refusal(-1105, f"Parameter '{name}' was empty.")
        parameter = declared[name]
        arguments[name] = _READERS[parameter.kind](parameter, value)
    for name in needed:
        if name not in arguments:
            raise missing(name)
    return arguments


def decimal(name: str, text: str, scale: int) -> int:
    """`text` at `scale`. Raises Refusal: -1111 too much precision, -1108 too large, -1100 not a decimal."""
    try:
        return parse_scaled(text, scale)
    except TooPreciseError as error:
        raise Refusal(-1111, f"Parameter '{name}' has too much precision. {error}") from error
    except TooLargeError as error:
        raise Refusal(-1108, f"Parameter '{name}' overflowed. {error}") from error
    except DecimalError as error:
        text = f"Illegal characters found in parameter '{name}'; legal range is '{DECIMAL_RANGE}'."
        raise Refusal(-1100, f"{text} {error}") from error


def price_of(market: Market, text: str, name: str = "price") -> int:
    """A price in the market's units. Raises Refusal, a filter failure where it lies between two ticks."""
    bounds = (market.tick, market.price_min, market.price_max)
    return _stepped(name, text, market.price_scale, Reason.PRICE_TICK, bounds)


def quantity_of(market: Market, text: str, name: str = "quantity") -> int:
    """A quantity in the market's units. Raises Refusal, a filter failure where it lies between two lots."""
    bounds = (market.lot, market.quantity_min, market.quantity_max)
    return _stepped(name, text, market.quantity_scale, Reason.QUANTITY_LOT, bounds)


def derived_order_id(client_order_id: str) -> int:
    """The order id in ringex-<order_id>; 0 for any other text."""
    match = _DERIVED_ID.match(client_order_id)
    return int(match[1]) if match else 0


def shown_client_id(client_order_id: str, order_id: int) -> str:
    """The client order id that clients see: their own, or one derived from the order id."""
    return client_order_id or f"{RESERVED_PREFIX}{order_id}"


def _stepped(name: str, text: str, scale: int, reason: Reason, bounds: tuple[int, int, int]) -> int:
    fine_scale = max(scale, DECIMALS_SENT_MAX)
    fine = decimal(name, text, fine_scale)
    unit = 10 ** (fine_scale - scale)
    value, rest = divmod(fine, unit)
    if rest:
        step, least, most = (bound * unit for bound in bounds)
        words = off_step_words(name, fine, step, least, most, fine_scale)
        raise Refusal(-1013, f"{of_reason(reason).message}: {words}")
    return value


def _text(parameter: Parameter, value: Any) -> str:
    if not isinstance(value, str):
        raise missing(parameter.name, f"It must be a string, not a {_type_name(value)}.")
    if len(value) > TEXT_CHARACTERS_MAX:
        raise invalid(parameter.name, f"At most {TEXT_CHARACTERS_MAX} characters are allowed.")
    return value


def _integer(parameter: Parameter, value: Any) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 19:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise missing(parameter.name, f"It must be a whole number, not a {_type_name(value)}.")
    if not 0 <= value <= INTEGER_MAX:
        raise invalid(parameter.name, f"It must be from 0 to {INTEGER_MAX}.")
    return value


def _decimal(parameter: Parameter, value: Any) -> str:
    if not isinstance(value, str):
        hint = f'It must be sent as a string such as "0.001", not as a {_type_name(value)}: no rounding happens then.'
        raise missing(parameter.name, hint)
    return value


def _boolean(parameter: Parameter, value: Any) -> bool:
    if value in ("true", "false"):
        return bool(value == "true")
    if not isinstance(value, bool):
        raise missing(parameter.name, f"It must be true or false, not a {_type_name(value)}.")
    return value


def _choice(parameter: Parameter, value: Any) -> str:
    if isinstance(value, str) and value in parameter.choices:
        return value
    allowed = ", ".join(parameter.choices)
    if parameter.refusal is None:
        raise invalid(parameter.name, f"It must be one of {allowed}.")
    code, text = parameter.refusal
    raise Refusal(code, text)


def _client_id(parameter: Parameter, value: Any) -> str:
    text = _order_client_id(parameter, value)
    if text.startswith(RESERVED_PREFIX):
        raise invalid(parameter.name, f'Ids that begin with "{RESERVED_PREFIX}" are given by the exchange only.')
    return text


def _order_client_id(parameter: Parameter, value: Any) -> str:
    text = _text(parameter, value)
    if not _CLIENT_ID.match(text):
        message = f"Illegal characters found in parameter '{parameter.name}'; legal range is '{CLIENT_ID_RANGE}'."
        raise Refusal(-1100, message)
    return text


def _texts(parameter: Parameter, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise missing(parameter.name, "It must be an array of strings.")
    if not value or len(value) > TEXT_CHARACTERS_MAX:
        raise invalid(parameter.name, f"It must hold 1 to {TEXT_CHARACTERS_MAX} strings.")
    return tuple(value)


def _type_name(value: Any) -> str:
    return {bool: "boolean", int: "number", float: "float", dict: "map", list: "array"}.get(
        type(value), type(value).__name__
    )


_READERS: Final = {
    Kind.TEXT: _text,
    Kind.INTEGER: _integer,
    Kind.DECIMAL: _decimal,
    Kind.BOOLEAN: _boolean,
    Kind.CHOICE: _choice,
    Kind.CLIENT_ID: _client_id,
    Kind.ORDER_CLIENT_ID: _order_client_id,
    Kind.TEXTS: _texts,
}
