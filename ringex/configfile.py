"""The TOML configuration file, and the command line's options: read, checked, turned into Settings.

    gateways = 2
    durability = "fsync"

    [history]
    url = "postgresql://ringex@db/ringex"

    [limits]
    orders_max = 1048576

    [[assets]]
    name = "BTC"
    scale = 8

    [[markets]]
    symbol = "BTCUSDT"
    base = "BTC"
    quote = "USDT"
    tick = "0.01"
    lot = "0.00001"
    price_max = "1000000"
    quantity_max = "9000"
    filters = { average_minutes = 5, bid_multiplier_up = "1.2", ask_multiplier_down = "0.8" }

    [[accounts]]
    name = "demo"
    deposits = { BTC = "10", USDT = "1000000" }

Everything has a default. Naming assets replaces the default assets and markets, both. Prices, quantities and amounts
are decimal strings. Every error names the file, the key and what is allowed.
"""

from __future__ import annotations

import difflib
import os
import re
import ssl
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import fields, replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Final

from ringex.config import Durability, Limits, RateLimits, Settings
from ringex.decimals import DecimalError, parse_scaled
from ringex.markets import (
    ACCOUNT_NAME_BYTES_MAX,
    ASSET_NAME_BYTES_MAX,
    DEFAULT_ASSETS,
    FEE_DEFAULT,
    FEE_RATE_SCALE,
    ORDERS_PER_ACCOUNT_MAX,
    SYMBOL_BYTES_MAX,
    Account,
    Asset,
    Filters,
    Market,
    decimals_of,
    default_accounts,
    filters_fault,
    market_fault,
)
from ringex.messages import AMOUNT_MAX, FILTER_NAMES, MULTIPLIER_ONE
from ringex.terms import FilterFlag

DEFAULT_DATA_DIR: Final = Path("ringex-data")
GATEWAYS_MAX: Final = 64
WEB_GATEWAYS_MAX: Final = 16
SOCKET_PATH_BYTES_MAX: Final = 107
LIMIT_MAX: Final = (1 << 28) - 1
LISTED_MAX: Final = 1 << 20
ASSETS_MOST: Final = (1 << 16) - 1  # a trade names an asset in two bytes
"""Of assets and of markets: the engine packs their numbers into 20 bits."""

_SLOTS: Final = {
    "command_ring_slots": (1 << 8, 1 << 22),
    "event_ring_slots": (1 << 12, 1 << 24),
    "journal_buffer_slots": (1 << 12, 1 << 22),
    "segment_records": (1 << 12, 1 << 24),
}
"""Powers of two, from, to. The event ring must hold four times what one command may emit (1024)."""
_COUNTS: Final = {
    "gateways": (1, GATEWAYS_MAX),
    "web_gateways": (1, WEB_GATEWAYS_MAX),
    "snapshot_commands": (1, 1 << 40),
    "restarts_per_minute_max": (0, 100_000),
}
_ENDPOINTS: Final = {"zmq": "zmq_endpoint", "pub": "pub_endpoint"}
_MARKET_NEEDS: Final = ("symbol", "base", "quote", "tick", "lot", "price_max", "quantity_max")
_MARKET_MAY: Final = (
    "price_scale",
    "quantity_scale",
    "price_min",
    "quantity_min",
    "notional_min",
    "notional_max",
    "maker_fee",
    "taker_fee",
    "orders_per_account_max",
    "filters",
)
_FILTER_DECIMALS: Final = {
    **dict.fromkeys(("market_quantity_min", "market_quantity_max", "market_lot"), "quantity"),
    "position_max": "base",
    "reference_price": "price",
    **dict.fromkeys(("bid_multiplier_up", "bid_multiplier_down", "ask_multiplier_up", "ask_multiplier_down"), "share"),
    "breaker_band": "share",
}
"""A filter that is a decimal -> what it counts."""
_FILTER_FLAGS: Final = {
    "min_to_market": FilterFlag.MIN_TO_MARKET,
    "max_to_market": FilterFlag.MAX_TO_MARKET,
    "break_to_auction": FilterFlag.BREAK_TO_AUCTION,
}
_FILTER_COUNTS: Final = tuple(name for name in FILTER_NAMES if name not in (*_FILTER_DECIMALS, "filter_bits"))
_INT32_MAX: Final = (1 << 31) - 1
_HTTP: Final = re.compile(r"([0-9A-Za-z.\-]+|\[[0-9A-Fa-f:.%a-z]+\]):([0-9]{1,5})")
_TCP: Final = re.compile(r"tcp://(\*|[0-9A-Za-z.\-]+|\[[0-9A-Fa-f:.%a-z]+\]):([0-9]{1,5})")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)
_SYMBOL: Final = re.compile(r"[A-Z0-9][A-Z0-9_-]*", re.ASCII)


class ConfigError(Exception):
    """A setting is not usable; the message names its source, the key and what is allowed."""


def load_settings(config: Path | None = None, options: Mapping[str, Any] | None = None) -> Settings:
    """Settings from the file `config` (None: defaults), with `options` of the command line over them.

    `options` has the file's top-level keys (`data`, `gateways`, `cores`, `durability`, `zmq`, `pub`, `http` …); None
    means not given. Raises ConfigError.
    """
    given: dict[str, Any] = {}
    if config is not None:
        given = _settings_of(_Table(str(config), "", _read(config)))
    for key, value in (options or {}).items():
        if value is not None:
            given |= _settings_of(_Table("command line", "--", {key: value}))
    given.setdefault("data_dir", DEFAULT_DATA_DIR)
    given["data_dir"] = given["data_dir"].absolute()
    settings = Settings(**given)
    _check_together(settings, str(config) if config else "command line")
    return settings


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not a TOML file: {error}") from error


class _Table:
    """One table of the file, with where it stands, so that every error can say so."""

    def __init__(self, source: str, path: str, values: Mapping[str, Any]) -> None:
        self.source, self.path, self.values = source, path, values

    def fault(self, key: str, message: str) -> ConfigError:
        return ConfigError(f"{self.source}: {self.path}{key}: {message}")

    def check_keys(self, allowed: Collection[str], needed: Collection[str] = ()) -> None:
        for key in self.values:
            if key not in allowed:
                close = difflib.get_close_matches(key, allowed, 1)
                hint = f"did you mean {close[0]}? " if close else ""
                raise self.fault(key, f"no such key; {hint}allowed: {', '.join(sorted(allowed))}")
        for key in needed:
            if key not in self.values:
                raise self.fault(key, "is missing")

    def whole(self, key: str, low: int, high: int, default: int | None = None) -> int:
        value = self.values.get(key, default)
        if type(value) is not int or not low <= value <= high:
            raise self.fault(key, f"{value!r} is not allowed; a whole number {low}..{high} is")
        return value

    def power_of_two(self, key: str, low: int, high: int) -> int:
        value = self.values[key]
        if type(value) is not int or not low <= value <= high or value & (value - 1):
            raise self.fault(key, f"{value!r} is not allowed; a power of two {low}..{high} is")
        return value

    def text(self, key: str, pattern: re.Pattern[str], bytes_max: int, allowed: str) -> str:
        value = self.values[key]
        if not isinstance(value, str) or not pattern.fullmatch(value) or len(value) > bytes_max:
            raise self.fault(key, f"{value!r} is not allowed; 1..{bytes_max} {allowed} are")
        return value

    def decimal(self, key: str, scale: int, default: int | None = None) -> int:
        if default is not None and key not in self.values:
            return default
        try:
            return parse_scaled(self.values[key], scale)
        except DecimalError as error:
            raise self.fault(key, str(error)) from error

    def signed_decimal(self, key: str, scale: int, default: int) -> int:
        value = self.values.get(key)
        if isinstance(value, str) and value.startswith("-"):
            return -_Table(self.source, self.path, {key: value[1:]}).decimal(key, scale)
        return self.decimal(key, scale, default)

    def tables(self, key: str) -> list[_Table]:
        value = self.values[key]
        if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
            raise self.fault(key, f"must be a list of tables, written [[{key}]]")
        return [_Table(self.source, f"{self.path}{key}[{n}].", row) for n, row in enumerate(value)]

    def table(self, key: str) -> _Table:
        value = self.values.get(key, {})
        if not isinstance(value, dict):
            raise self.fault(key, f"must be a table, written [{key}]")
        return _Table(self.source, f"{self.path}{key}.", value)


def _settings_of(table: _Table) -> dict[str, Any]:
    """Settings' arguments from one source."""
    plain = {"data", "durability", "cores", "limits", "history", "assets", "markets", "accounts", "http", "tls"}
    plain |= {"rate_limits", "trusted_proxies"}
    table.check_keys(plain | set(_COUNTS) | set(_SLOTS) | set(_ENDPOINTS))
    given: dict[str, Any] = {}
    for key in table.values:
        if key in _COUNTS:
            given[key] = table.whole(key, *_COUNTS[key])
        elif key in _SLOTS:
            given[key] = table.power_of_two(key, *_SLOTS[key])
        elif key in _ENDPOINTS:
            given[_ENDPOINTS[key]] = _endpoint(table, key)
    if "data" in table.values:
        given["data_dir"] = _data_dir(table)
    if "http" in table.values:
        given["http_endpoint"] = _http_endpoint(table)
    if "tls" in table.values:
        given["tls"] = _tls(table)
    if "trusted_proxies" in table.values:
        given["trusted_proxies"] = _networks(table, "trusted_proxies", '["10.0.0.0/8"]')
    if "durability" in table.values:
        given["durability"] = _durability(table)
    if "cores" in table.values:
        given["cores"] = _cores(table)
    if "history" in table.values:
        given |= _history(table.table("history"))
    if "limits" in table.values:
        given["limits"] = _limits(table.table("limits"))
    if "rate_limits" in table.values:
        given["rate_limits"] = _rate_limits(table.table("rate_limits"))
    return given | _listings(table)


def _data_dir(table: _Table) -> Path:
    value = table.values["data"]
    if not isinstance(value, str | Path) or not str(value):
        raise table.fault("data", f"{value!r} is not allowed; the path of a directory is")
    return Path(value).expanduser()


def _durability(table: _Table) -> Durability:
    value = table.values["durability"]
    allowed = [str(mode) for mode in Durability]
    if value not in allowed:
        raise table.fault("durability", f"{value!r} is not allowed; {', '.join(allowed)} are")
    return Durability(value)


def _cores(table: _Table) -> tuple[int, ...]:
    value = table.values["cores"]
    usable = sorted(os.sched_getaffinity(0))
    if not isinstance(value, list | tuple) or any(type(core) is not int or core not in usable for core in value):
        raise table.fault("cores", f"{value!r} is not allowed; a list of cores out of {usable} is")
    return tuple(value)


def _limits(table: _Table) -> Limits:
    names = [item.name for item in fields(Limits)]
    table.check_keys(names)
    narrow = {"assets_max": ASSETS_MOST, "markets_max": LISTED_MAX}
    return Limits(**{key: table.whole(key, 2, narrow.get(key, LIMIT_MAX)) for key in table.values})


def _history(table: _Table) -> dict[str, Any]:
    """Where the history store is, and how far it may lag."""
    table.check_keys(("url", "lag_segments_max"))
    given: dict[str, Any] = {}
    if "url" in table.values:
        url = table.values["url"]
        if not isinstance(url, str) or not url.startswith(("postgresql://", "postgres://")):
            allowed = 'the URL of a PostgreSQL database, for example "postgresql://user@host/ringex", is'
            raise table.fault("url", f"{url!r} is not allowed; {allowed}")
        given["history_url"] = url
    if "lag_segments_max" in table.values:
        given["history_lag_segments_max"] = table.whole("lag_segments_max", 1, 1 << 20)
    return given


def _rate_limits(table: _Table) -> RateLimits:
    table.check_keys([item.name for item in fields(RateLimits)])
    given: dict[str, Any] = {}
    for key, value in table.values.items():
        if key == "enabled":
            if type(value) is not bool:
                raise table.fault(key, f"{value!r} is not allowed; true or false is")
            given[key] = value
        elif key == "exempt":
            given[key] = _networks(table, key, '["127.0.0.0/8", "::1/128"]')
        else:
            given[key] = table.whole(key, 1, LIMIT_MAX)
    return RateLimits(**given)


def _networks(table: _Table, key: str, example: str) -> tuple[str, ...]:
    value = table.values[key]
    try:
        if not isinstance(value, list | tuple) or not all(isinstance(network, str) for network in value):
            raise ValueError("no list of texts")
        return tuple(str(ip_network(network)) for network in value)
    except ValueError as error:
        allowed = f"a list of networks is, for example {example}"
        raise table.fault(key, f"{value!r} is not allowed ({error}); {allowed}") from error


def _endpoint(table: _Table, key: str) -> str:
    value = table.values[key]
    allowed = 'tcp://HOST:PORT (port 1..65535) or ipc:///PATH is, for example "tcp://127.0.0.1:7070"'
    if isinstance(value, str) and value.startswith("ipc:///"):
        size = len(os.fsencode(value.removeprefix("ipc://")))
        if size > SOCKET_PATH_BYTES_MAX:
            raise table.fault(key, f"the path has {size} bytes; at most {SOCKET_PATH_BYTES_MAX} are allowed")
        return value
    match = _TCP.fullmatch(value) if isinstance(value, str) else None
    if match is None or not 1 <= int(match[2]) <= 65535:
        raise table.fault(key, f"{value!r} is not allowed; {allowed}")
    return match[0]


def _http_endpoint(table: _Table) -> str:
    value = table.values["http"]
    if value == "off":
        return ""
    match = _HTTP.fullmatch(value) if isinstance(value, str) else None
    if match is None or not 1 <= int(match[2]) <= 65535:
        allowed = 'HOST:PORT (port 1..65535), for example "127.0.0.1:7080", or off is'
        raise table.fault("http", f"{value!r} is not allowed; {allowed}")
    return match[0]


def _tls(table: _Table) -> tuple[Path, Path]:
    value = table.values["tls"]
    if (
        not isinstance(value, list | tuple)
        or len(value) != 2
        or not all(isinstance(path, str | Path) for path in value)
    ):
        raise table.fault("tls", f"{value!r} is not allowed; two PEM files, certificate chain and private key, are")
    certificate, key = (Path(path).expanduser().absolute() for path in value)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise table.fault("tls", f"{certificate} and {key} cannot be used: {error}") from error
    return certificate, key


def _listings(table: _Table) -> dict[str, Any]:
    """Assets, markets and accounts, those that the table names."""
    given: dict[str, Any] = {}
    assets = DEFAULT_ASSETS
    if "assets" in table.values:
        assets = tuple(_asset(row) for row in table.tables("assets"))
        _check_unique(table, "assets", "name", [asset.name for asset in assets])
        if "markets" not in table.values:
            raise table.fault("markets", "is missing; where assets are named, so must the markets be")
        given["assets"] = assets
        given["accounts"] = default_accounts(assets)
    by_name = {asset.name: asset for asset in assets}
    if "markets" in table.values:
        given["markets"] = tuple(_market(row, by_name) for row in table.tables("markets"))
        _check_unique(table, "markets", "symbol", [market.symbol for market in given["markets"]])
    if "accounts" in table.values:
        given["accounts"] = tuple(_account(row, by_name) for row in table.tables("accounts"))
        _check_unique(table, "accounts", "name", [account.name for account in given["accounts"]])
    return given


def _asset(table: _Table) -> Asset:
    table.check_keys(("name", "scale"), needed=("name", "scale"))
    name = table.text("name", _SYMBOL, ASSET_NAME_BYTES_MAX, "characters A-Z 0-9 _ -")
    return Asset(name, table.whole("scale", 0, 18))


def _market(table: _Table, assets: Mapping[str, Asset]) -> Market:
    table.check_keys((*_MARKET_NEEDS, *_MARKET_MAY), needed=_MARKET_NEEDS)
    symbol = table.text("symbol", _SYMBOL, SYMBOL_BYTES_MAX, "characters A-Z 0-9 _ -")
    base, quote = _asset_named(table, "base", assets), _asset_named(table, "quote", assets)
    price_scale = table.whole("price_scale", 0, 18, default=_decimals(table, "tick"))
    quantity_scale = table.whole("quantity_scale", 0, 18, default=_decimals(table, "lot"))
    tick, lot = table.decimal("tick", price_scale), table.decimal("lot", quantity_scale)
    market = Market(
        symbol=symbol,
        base=base.name,
        quote=quote.name,
        price_scale=price_scale,
        quantity_scale=quantity_scale,
        tick=tick,
        lot=lot,
        price_min=table.decimal("price_min", price_scale, tick),
        price_max=table.decimal("price_max", price_scale),
        quantity_min=table.decimal("quantity_min", quantity_scale, lot),
        quantity_max=table.decimal("quantity_max", quantity_scale),
        notional_min=table.decimal("notional_min", quote.scale, 0),
        notional_max=table.decimal("notional_max", quote.scale, AMOUNT_MAX),
        maker_fee=table.signed_decimal("maker_fee", FEE_RATE_SCALE, FEE_DEFAULT),
        taker_fee=table.signed_decimal("taker_fee", FEE_RATE_SCALE, FEE_DEFAULT),
        orders_per_account_max=table.whole("orders_per_account_max", 1, LIMIT_MAX, default=ORDERS_PER_ACCOUNT_MAX),
    )
    fault = market_fault(market, base, quote)
    if fault is not None:
        raise table.fault(fault.field, fault.message)
    if "filters" not in table.values:
        return market
    return replace(market, filters=_filters(table.table("filters"), market, base))


def _filters(table: _Table, market: Market, base: Asset) -> Filters:
    table.check_keys((*_FILTER_DECIMALS, *_FILTER_COUNTS, *_FILTER_FLAGS))
    scales = {"price": market.price_scale, "quantity": market.quantity_scale, "base": base.scale}
    scales["share"] = len(str(MULTIPLIER_ONE)) - 1
    numbers: dict[str, int] = {}
    bits = 0
    for key, value in table.values.items():
        if key in _FILTER_DECIMALS:
            numbers[key] = table.decimal(key, scales[_FILTER_DECIMALS[key]])
            if _FILTER_DECIMALS[key] == "share" and numbers[key] > _INT32_MAX:
                raise table.fault(key, f"{value!r} is not allowed; at most {_INT32_MAX // MULTIPLIER_ONE} is")
        elif key in _FILTER_FLAGS:
            if type(value) is not bool:
                raise table.fault(key, f"{value!r} is not allowed; true or false is")
            bits |= _FILTER_FLAGS[key] if value else 0
        else:
            numbers[key] = table.whole(key, 0, _INT32_MAX)
    filters = Filters(**numbers, filter_bits=bits)
    fault = filters_fault(filters, market.price_max)
    if fault is not None:
        raise table.fault(fault.field, fault.message)
    return filters


def _decimals(table: _Table, key: str) -> int:
    value = table.values[key]
    return min(decimals_of(value), 18) if isinstance(value, str) else 0


def _asset_named(table: _Table, key: str, assets: Mapping[str, Asset]) -> Asset:
    name = table.values[key]
    if not isinstance(name, str) or name not in assets:
        raise table.fault(key, f"{name!r} is no asset here; allowed: {', '.join(assets)}")
    return assets[name]


def _account(table: _Table, assets: Mapping[str, Asset]) -> Account:
    table.check_keys(("name", "deposits"), needed=("name",))
    name = table.text("name", _NAME, ACCOUNT_NAME_BYTES_MAX, "characters A-Z a-z 0-9 . _ -")
    if name == "fees":
        raise table.fault("name", "'fees' is not allowed: it is account 0, which exists from the start")
    deposits = table.table("deposits")
    deposits.check_keys(assets)
    amounts = []
    for asset_name in deposits.values:
        amount = deposits.decimal(asset_name, assets[asset_name].scale)
        if not 0 < amount <= AMOUNT_MAX:
            raise deposits.fault(asset_name, f"must be above 0 and at most {AMOUNT_MAX} of its smallest unit")
        amounts.append((asset_name, amount))
    return Account(name, tuple(amounts))


def _check_unique(table: _Table, key: str, field: str, names: list[str]) -> None:
    for n, name in enumerate(names):
        if name in names[:n]:
            raise table.fault(f"{key}[{n}].{field}", f"{name!r} is used before; a {field} may be used once")


def _check_together(settings: Settings, source: str) -> None:
    """What no key breaks alone."""
    assets = {asset.name for asset in settings.assets}
    for market in settings.markets:
        assert {market.base, market.quote} <= assets, "markets are checked against the assets of their source"
    replica_path = os.fsencode(settings.replica_endpoint.removeprefix("ipc://"))
    if len(replica_path) > SOCKET_PATH_BYTES_MAX:
        allowed = SOCKET_PATH_BYTES_MAX - (len(replica_path) - len(os.fsencode(settings.data_dir)))
        raise ConfigError(f"{source}: data: {settings.data_dir} is too long for sockets; {allowed} bytes are allowed")
    if settings.zmq_endpoint.startswith("tcp://"):
        port = int(settings.zmq_endpoint.rpartition(":")[2]) + 2 * (settings.gateways - 1)
        if port > 65535:
            raise ConfigError(f"{source}: zmq: the last of {settings.gateways} gateways would need port {port}")
    endpoints = [settings.gateway_endpoint(k) for k in range(settings.gateways)]
    if settings.pub_endpoint in endpoints:
        gateway = endpoints.index(settings.pub_endpoint)
        raise ConfigError(f"{source}: pub: {settings.pub_endpoint} is taken by gateway {gateway}; choose another port")
    if settings.http_endpoint and f"tcp://{settings.http_endpoint}" in (*endpoints, settings.pub_endpoint):
        taken = f"tcp://{settings.http_endpoint}"
        who = f"gateway {endpoints.index(taken)}" if taken in endpoints else "pub"
        raise ConfigError(f"{source}: http: {settings.http_endpoint} is taken by {who}; choose another port, or off")
    totals: dict[str, int] = {}
    for account in settings.accounts:
        for name, amount in account.deposits:
            totals[name] = totals.get(name, 0) + amount
            if totals[name] > AMOUNT_MAX:
                raise ConfigError(f"{source}: accounts: the deposits of {name} are above {AMOUNT_MAX} in all")
    counts = {"assets": settings.assets, "markets": settings.markets, "accounts": settings.accounts}
    for key, listed in counts.items():
        allowed = getattr(settings.limits, f"{key}_max")
        if len(listed) + (key == "accounts") > allowed:
            raise ConfigError(f"{source}: limits.{key}_max: {allowed} is not enough for {len(listed)} {key}")
