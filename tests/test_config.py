"""Settings from a file and from options: what is taken, and what each mistake is told."""

from __future__ import annotations

import random
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from ringex.administration import set_filters
from ringex.config import Durability, Settings
from ringex.configfile import ConfigError, load_settings
from ringex.decimals import parse_scaled
from ringex.engine import Matcher
from ringex.gateways.keystore import KeystoreError, open_keystore, stored_keys
from ringex.markets import (
    DEFAULT_ASSETS,
    Filters,
    Market,
    default_accounts,
    default_markets,
    filters_fault,
    market_fault,
    notional,
)
from ringex.messages import (
    ACCOUNT_COMMAND,
    AMOUNT_MAX,
    ASSET_COMMAND,
    BALANCE_COMMAND,
    COMMAND,
    FILTER_NAMES,
    FILTERS_COMMAND,
    MARKET_COMMAND,
    text_of,
)
from ringex.seed import make_demo_key, seed
from ringex.terms import CommandKind, EventKind, FilterFlag

ASSETS = {asset.name: asset for asset in DEFAULT_ASSETS}
MARKET = """
[[markets]]
symbol = "BTCUSDT"
base = "BTC"
quote = "USDT"
tick = "0.01"
lot = "0.00001"
price_max = "1000000"
quantity_max = "9000"
"""


def load(tmp_path: Path, text: str) -> Settings:
    path = tmp_path / "exchange.toml"
    path.write_text(text, encoding="utf-8")
    return load_settings(path)


def market_with(**changes: object) -> str:
    lines = dict(line.split(" = ") for line in MARKET.strip().splitlines()[1:])
    lines |= {key: f'"{value}"' if isinstance(value, str) else str(value) for key, value in changes.items()}
    return "[[markets]]\n" + "\n".join(f"{key} = {value}" for key, value in lines.items())


def test_defaults_need_no_file() -> None:
    settings = load_settings()
    assert settings.durability is Durability.FSYNC
    assert settings.data_dir.is_absolute()
    assert {"BTCUSDT", "ETHUSDT", "BTCIDR", "ETHIDR", "SOLUSDT"} <= {market.symbol for market in settings.markets}


def test_file_sets_what_it_names(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        'gateways = 3\ndurability = "os"\nzmq = "tcp://*:9000"\nevent_ring_slots = 4096\n'
        "[limits]\norders_max = 1000\n" + MARKET + '[[accounts]]\nname = "mm"\ndeposits = { BTC = "1.5" }\n',
    )
    assert (settings.gateways, settings.durability, settings.event_ring_slots) == (3, Durability.OS, 4096)
    assert settings.limits.orders_max == 1000
    assert settings.accounts[0].deposits == (("BTC", 150_000_000),)
    market = settings.markets[0]
    assert (market.price_scale, market.quantity_scale, market.tick, market.lot) == (2, 5, 1, 1)
    assert (market.price_max, market.quantity_max) == (100_000_000, 900_000_000)
    assert [settings.gateway_endpoint(k) for k in range(3)] == ["tcp://*:9000", "tcp://*:9002", "tcp://*:9004"]


def test_a_market_has_the_filters_that_the_file_names(tmp_path: Path) -> None:
    text = (
        MARKET
        + "[markets.filters]\n"
        + "\n".join(
            (
                'market_quantity_max = "10"',
                'position_max = "1.5"',
                'reference_price = "20000"',
                'bid_multiplier_up = "1.25"',
                "average_minutes = 5",
                'breaker_band = "0.1"',
                "breaker_window_seconds = 60",
                "breaker_pause_seconds = 300",
                "min_to_market = true",
                "break_to_auction = true",
                "max_to_market = false",
            )
        )
    )
    expected = Filters(
        market_quantity_max=1_000_000,
        position_max=150_000_000,
        reference_price=2_000_000,
        bid_multiplier_up=12_500,
        average_minutes=5,
        breaker_band=1_000,
        breaker_window_seconds=60,
        breaker_pause_seconds=300,
        filter_bits=FilterFlag.MIN_TO_MARKET | FilterFlag.BREAK_TO_AUCTION,
    )
    settings = load(tmp_path, text)
    assert settings.markets[0].filters == expected
    records = seed(settings)
    kinds = records["kind"].tolist()
    assert kinds[kinds.index(CommandKind.MARKET_ADD) + 1] == CommandKind.MARKET_FILTERS_SET
    (record,) = records.view(FILTERS_COMMAND)[records["kind"] == CommandKind.MARKET_FILTERS_SET]
    assert record["market"] == 0
    assert {name: int(record[name]) for name in FILTER_NAMES} == asdict(expected)
    (event,) = (e for e in Matcher().submit(records) if e["kind"] == EventKind.MARKET_FILTERS)
    assert event["market"] == 0


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("maximum = 1", "markets[0].filters.maximum: no such key"),
        ('bid_multiplier_up = "1.00001"', "markets[0].filters.bid_multiplier_up: "),
        ('bid_multiplier_up = "300000"', "at most 214748 is"),
        ("average_minutes = 61", "markets[0].filters.average_minutes: at most 60 are allowed"),
        ('average_minutes = "5"', "a whole number 0..2147483647 is"),
        ("min_to_market = 1", "markets[0].filters.min_to_market: 1 is not allowed; true or false is"),
        ('breaker_band = "0.1"', "a circuit breaker needs breaker_window_seconds and breaker_pause_seconds too"),
        ('reference_price = "1000000.01"', "markets[0].filters.reference_price: must be at most price_max"),
        ("trailing_above_min = 5", "markets[0].filters.trailing_above_min: must be at most trailing_above_max"),
    ],
)
def test_filters_that_cannot_be_are_told(tmp_path: Path, line: str, complaint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, MARKET + "[markets.filters]\n" + line)
    assert complaint in str(caught.value)


def test_filters_are_at_fault_where_the_matcher_refuses_them() -> None:
    """In words here, in compiled code there: the same verdict on filters of all kinds."""
    market = default_markets()[0]
    matcher, dice = Matcher([market]), random.Random(5)
    told = set()
    for _ in range(2_000):
        names = dice.sample(FILTER_NAMES, dice.randint(1, 5))
        values = {name: dice.choice((0, 1, 3, 60, 61, 9_999, -1, market.price_max + 1)) for name in names}
        for name in values.keys() & set(FILTER_NAMES[5:]):
            values[name] = min(values[name], 1 << 14) if name != "filter_bits" else abs(values[name])
        fault = filters_fault(Filters(**values), market.price_max)
        (event,) = matcher.submit(set_filters(0, Filters(**values)))
        assert (event["kind"] == EventKind.REJECTED) == (fault is not None), (values, fault)
        told.add(fault and fault.field)
    assert len(told) > 12


def test_options_win_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "exchange.toml"
    path.write_text('gateways = 3\ndata = "elsewhere"\n')
    settings = load_settings(path, {"gateways": 2, "data": tmp_path, "cores": None})
    assert (settings.gateways, settings.data_dir) == (2, tmp_path)


def test_an_option_that_is_wrong_is_named_as_one() -> None:
    with pytest.raises(ConfigError, match=r"^command line: --gateways: 0 is not allowed; a whole number 1\.\.64 is$"):
        load_settings(None, {"gateways": 0})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("gateway = 1", "exchange.toml: gateway: no such key; did you mean gateways? allowed: accounts"),
        ("gateways = 0", "gateways: 0 is not allowed; a whole number 1..64 is"),
        ("gateways = true", "gateways: True is not allowed"),
        ('durability = "raid"', "durability: 'raid' is not allowed; fsync, os, none are"),
        ("event_ring_slots = 5000", "event_ring_slots: 5000 is not allowed; a power of two"),
        ("cores = [4096]", "cores: [4096] is not allowed; a list of cores out of"),
        ('zmq = "127.0.0.1:7070"', "zmq: '127.0.0.1:7070' is not allowed; tcp://HOST:PORT"),
        ('zmq = "tcp://127.0.0.1:70700"', "port 1..65535"),
        ('zmq = "tcp://127.0.0.1:65535"\ngateways = 2', "zmq: the last of 2 gateways would need port 65537"),
        (f'pub = "ipc:///{"x" * 107}"', "pub: the path has 108 bytes; at most 107 are allowed"),
        ('pub = "tcp://127.0.0.1:7072"\ngateways = 2', "pub: tcp://127.0.0.1:7072 is taken by gateway 1"),
        ("gateways = 6", "http: 127.0.0.1:7080 is taken by gateway 5; choose another port, or off"),
        ('http = "7080"', "http: '7080' is not allowed; HOST:PORT"),
        ('http = "127.0.0.1:99999"', "http: '127.0.0.1:99999' is not allowed; HOST:PORT"),
        ("web_gateways = 17", "web_gateways: 17 is not allowed; a whole number 1..16 is"),
        ('tls = ["cert.pem"]', "tls: ['cert.pem'] is not allowed; two PEM files"),
        (
            'trusted_proxies = ["10.0.0.1/8"]',
            "trusted_proxies: ['10.0.0.1/8'] is not allowed (10.0.0.1/8 has host bits",
        ),
        ('trusted_proxies = "10.0.0.0/8"', 'a list of networks is, for example ["10.0.0.0/8"]'),
        ('tls = ["/none/cert.pem", "/none/key.pem"]', "tls: /none/cert.pem and /none/key.pem cannot be used"),
        ("data = 5", "data: 5 is not allowed; the path of a directory is"),
        (f'data = "/{"d" * 120}"', "is too long for sockets; 94 bytes are allowed"),
        ("limits = 5", "limits: must be a table, written [limits]"),
        ('[history]\nurl = "mysql://x"', "history.url: 'mysql://x' is not allowed; the URL of a PostgreSQL database"),
        ("[history]\nlag_segments_max = 0", "history.lag_segments_max: 0 is not allowed; a whole number 1.."),
        ("[history]\npath = 1", "history.path: no such key; allowed: lag_segments_max, url"),
        ("[limits]\norders_max = 0", "limits.orders_max: 0 is not allowed; a whole number 2.."),
        ("[limits]\norders = 5", "limits.orders: no such key; did you mean orders_max?"),
        ("[limits]\nmarkets_max = 3", "limits.markets_max: 3 is not enough for 10 markets"),
        ("gateways = ", "not a TOML file"),
        ("assets = 5", "assets: must be a list of tables, written [[assets]]"),
        ('[[assets]]\nname = "BTC"\nscale = 8', "markets: is missing; where assets are named"),
        ('[[assets]]\nname = "BTC"', "assets[0].scale: is missing"),
        ('[[assets]]\nname = "btc"\nscale = 8', "assets[0].name: 'btc' is not allowed"),
        ('[[assets]]\nname = "BTC"\nscale = 19', "assets[0].scale: 19 is not allowed; a whole number 0..18 is"),
        ('[[assets]]\nname = "A"\nscale = 1\n[[assets]]\nname = "A"\nscale = 1', "assets[1].name: 'A' is used before"),
        (MARKET + MARKET, "markets[1].symbol: 'BTCUSDT' is used before"),
        (market_with(base="DOGE"), "markets[0].base: 'DOGE' is no asset here; allowed: BTC, ETH"),
        (market_with(tick=0.01), 'markets[0].tick: a decimal must be sent as a string such as "0.001", not as a float'),
        (market_with(price_scale=1), 'markets[0].tick: "0.01" has 2 decimals; at most 1 are allowed'),
        (market_with(quote="BTC"), "markets[0].quote: base and quote are both BTC; they must differ"),
        (market_with(lot="0.000000001"), "markets[0].quantity_scale: 9 is outside 0..8, the decimals of BTC"),
        (market_with(price_min="0.015"), 'markets[0].price_min: "0.015" has 3 decimals'),
        (market_with(price_min="0.00"), "markets[0].price_min: must be above 0 and at most price_max"),
        (market_with(tick="0.02", price_min="0.03"), "markets[0].price_min: must be a multiple of tick"),
        (market_with(quote="IDR"), "markets[0].tick: tick × lot must be a whole number of the smallest unit of IDR"),
        (market_with(quantity_max="90000000000"), "markets[0].quantity_max: price_max × quantity_max is too large"),
        (market_with(notional_min="5", notional_max="4"), "markets[0].notional_min: 0 ≤ notional_min ≤ notional_max"),
        (market_with(maker_fee="-0.002"), "markets[0].maker_fee: a rebate must not be larger"),
        (market_with(taker_fee="1"), "markets[0].taker_fee: must be between -1 and 1"),
        ('[[accounts]]\nname = "fees"', "accounts[0].name: 'fees' is not allowed: it is account 0"),
        ('[[accounts]]\nname = "a b"', "accounts[0].name: 'a b' is not allowed"),
        ('[[accounts]]\nname = "a"\ndeposits = { X = "1" }', "accounts[0].deposits.X: no such key; allowed: BNB, BTC"),
        ('[[accounts]]\nname = "a"\ndeposits = { IDR = "0.001" }', 'accounts[0].deposits.IDR: "0.001" has 3 decimals'),
        ('[[accounts]]\nname = "a"\ndeposits = { IDR = "0" }', "accounts[0].deposits.IDR: must be above 0"),
        (
            '[[accounts]]\nname = "a"\ndeposits = { BTC = "40000000000" }\n'
            '[[accounts]]\nname = "b"\ndeposits = { BTC = "40000000000" }',
            "accounts: the deposits of BTC are above",
        ),
    ],
)
def test_a_mistake_is_told_with_file_key_and_what_is_allowed(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    message = str(caught.value)
    assert message.startswith(str(tmp_path / "exchange.toml")) and "\n" not in message
    assert expected in message


def test_a_file_that_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: cannot be read: No such file"):
        load_settings(tmp_path / "none.toml")


@pytest.mark.parametrize("market", default_markets(), ids=lambda market: market.symbol)
def test_default_markets_are_sound_and_take_a_hundred_coins(market: Market) -> None:
    base, quote = ASSETS[market.base], ASSETS[market.quote]
    assert market_fault(market, base, quote) is None
    hundred = min(100 * 10**market.quantity_scale, market.quantity_max)
    price = market.price_max // 10 // market.tick * market.tick
    assert 0 < notional(market, quote, price, hundred) <= AMOUNT_MAX


def test_a_hundred_btc_in_rupiah_is_a_legal_order() -> None:
    market = next(market for market in default_markets() if market.symbol == "BTCIDR")
    price, quantity = parse_scaled("1800000000", market.price_scale), parse_scaled("100", market.quantity_scale)
    worth = notional(market, ASSETS["IDR"], price, quantity)
    assert worth == 180_000_000_000_00
    assert market.notional_min <= worth <= market.notional_max
    deposits = dict(default_accounts(DEFAULT_ASSETS)[0].deposits)
    assert worth <= deposits["IDR"] and quantity <= market.quantity_max


def test_seed_holds_the_whole_configuration_in_order(tmp_path: Path) -> None:
    settings = load_settings(None, {"data": tmp_path})
    key = make_demo_key(settings)
    assert key is not None and make_demo_key(settings) == key, "the key is made once"
    records = seed(settings)
    assert records.dtype == COMMAND and np.array_equal(records, seed(settings))
    kinds = records["kind"].tolist()
    assert kinds == sorted(kinds, key=[17, 10, 11, 12, 8, 13].index)

    assets = records.view(ASSET_COMMAND)[records["kind"] == CommandKind.ASSET_ADD]
    assert [(row["name"].decode(), row["scale"]) for row in assets] == [(a.name, a.scale) for a in settings.assets]
    markets = records.view(MARKET_COMMAND)[records["kind"] == CommandKind.MARKET_ADD]
    assert [row["symbol"].decode() for row in markets] == [market.symbol for market in settings.markets]
    btcidr = markets[markets["symbol"] == b"BTCIDR"][0]
    assert (assets[btcidr["base_asset"]]["name"], assets[btcidr["quote_asset"]]["name"]) == (b"BTC", b"IDR")
    accounts = records.view(ACCOUNT_COMMAND)[records["kind"] == CommandKind.ACCOUNT_ADD]
    assert accounts["name"].tolist() == [b"demo"]
    keys = records.view(ACCOUNT_COMMAND)[records["kind"] == CommandKind.KEY_ADD]
    assert (keys["account"][0], keys["key_added"][0], keys["scopes"][0]) == (1, key.number, 31)
    deposits = records.view(BALANCE_COMMAND)[records["kind"] == CommandKind.DEPOSIT]
    assert (deposits["account"] == 1).all()
    assert list(zip(deposits["asset"].tolist(), deposits["amount"].tolist(), strict=True)) == list(
        enumerate(amount for _, amount in settings.accounts[0].deposits)
    )
    assert len({text_of(words) for words in deposits["reference"]}) == len(deposits)


def test_seed_leaves_out_keys_of_accounts_it_does_not_make(tmp_path: Path) -> None:
    settings = load_settings(None, {"data": tmp_path})
    open_keystore(settings).make("stranger", 1)
    assert [key.account for key in stored_keys(settings.keystore_path)] == ["stranger"]
    assert not (seed(settings)["kind"] == CommandKind.KEY_ADD).any()


def test_no_demo_key_without_a_demo_account(tmp_path: Path) -> None:
    settings = load(tmp_path, f'data = "{tmp_path}"\n[[accounts]]\nname = "mm"\n')
    assert make_demo_key(settings) is None
    assert not settings.keystore_path.exists()


def test_a_keystore_that_is_not_one_is_told(tmp_path: Path) -> None:
    settings = load_settings(None, {"data": tmp_path})
    settings.keystore_path.write_text("{}")
    with pytest.raises(KeystoreError, match=r"keys\.json: not a file of keys"):
        seed(settings)
