"""Signatures, scopes, timestamps, and the file that keeps the keys."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from ringex.gateways.auth import authenticate, proof_of, require_scope, sign, signed_text, timing
from ringex.gateways.errors import Refusal
from ringex.gateways.keystore import Keystore, KeystoreError
from ringex.messages import KeyScope

NOW_NS = 1_700_000_000_000_000_000
NOW_MS = NOW_NS // 1_000_000


@pytest.fixture
def keystore(tmp_path: Path) -> Keystore:
    return Keystore(tmp_path / "keys.json")


def test_the_signature_of_the_dialects_own_example() -> None:
    params = {
        "symbol": "BTCUSDT",
        "side": "SELL",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "quantity": "0.01000000",
        "price": "52000.00",
        "newOrderRespType": "ACK",
        "recvWindow": 100,
        "timestamp": 1645423376532,
        "apiKey": "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A",
    }
    secret = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
    assert sign(secret, params) == "cc15477742bd704c29492d96c7ead9414dfd8e0ec4a00f947bb5bb454ddbd08a"


def test_signed_text_sorts_leaves_the_signature_out_and_writes_booleans_small() -> None:
    assert signed_text({"b": True, "signature": "x", "a": 1, "c": False}) == "a=1&b=true&c=false"


def test_a_signed_request_names_its_key(keystore: Keystore) -> None:
    key = keystore.make("alice", KeyScope.TRADE)
    params = {"apiKey": key.api_key, "timestamp": NOW_MS}
    signature = sign(key.secret, params)
    assert authenticate(keystore, proof_of(params | {"signature": signature})) == key
    assert authenticate(keystore, proof_of(params | {"signature": signature.upper()})) == key


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"apiKey": None}, -1102),
        ({"apiKey": 5}, -2014),
        ({"apiKey": "f" * 64}, -2015),
        ({"signature": None}, -1102),
        ({"signature": 5}, -1102),
        ({"signature": "0" * 64}, -1022),
        ({"signature": "ü" * 64}, -1022),
        ({"timestamp": NOW_MS + 1}, -1022),
        ({"symbol": "BTCUSDT"}, -1022),
    ],
)
def test_any_other_request_is_refused(keystore: Keystore, change: dict[str, object], code: int) -> None:
    key = keystore.make("alice", KeyScope.TRADE)
    params = {"apiKey": key.api_key, "timestamp": NOW_MS}
    with pytest.raises(Refusal) as refused:
        authenticate(keystore, proof_of(params | {"signature": sign(key.secret, params)} | change))
    assert refused.value.code == code


def test_scopes() -> None:
    require_scope(KeyScope.TRADE | KeyScope.USER_DATA, KeyScope.USER_DATA)
    with pytest.raises(Refusal, match="lacks the scope TRADE") as refused:
        require_scope(KeyScope.USER_DATA, KeyScope.TRADE)
    assert refused.value.status == 401


@pytest.mark.parametrize(
    "timestamp", [NOW_MS, NOW_MS - 5000, NOW_MS + 999, NOW_MS * 1000, NOW_MS * 1000 + 999_999, str(NOW_MS)]
)
def test_timestamps_in_time(timestamp: int | str) -> None:
    found = timing({"timestamp": timestamp}, NOW_NS, mandatory=True)
    in_us = int(timestamp) if int(timestamp) > 10**14 else int(timestamp) * 1000
    assert found.timestamp_us == in_us
    assert found.expires_ns == in_us * 1000 + 5_000_000_000


@pytest.mark.parametrize(
    ("params", "code", "text"),
    [
        ({}, -1102, "'timestamp'"),
        ({"timestamp": NOW_MS + 1000}, -1021, "1000ms ahead of the server's time. It is 1000 ms ahead"),
        ({"timestamp": NOW_MS - 5001}, -1021, "It is 5001 ms behind; recvWindow is 5000 ms"),
        ({"timestamp": NOW_MS - 101, "recvWindow": 100}, -1021, "recvWindow is 100 ms"),
        ({"timestamp": NOW_MS, "recvWindow": 60001}, -1131, "less than or equal to 60000"),
        ({"timestamp": 1.5}, -1130, "whole number"),
        ({"timestamp": True}, -1130, "whole number"),
        ({"timestamp": -1}, -1130, "whole number"),
        ({"timestamp": 1 << 80}, -1130, "whole number"),
    ],
)
def test_timestamps_out_of_time(params: dict[str, object], code: int, text: str) -> None:
    with pytest.raises(Refusal) as refused:
        timing(params, NOW_NS, mandatory=True)
    assert refused.value.code == code
    assert text in refused.value.message


def test_without_a_timestamp_a_session_request_never_expires() -> None:
    assert timing({}, NOW_NS, mandatory=False).expires_ns == 0


def test_keys_are_on_disk_for_their_owner_only_and_found_again(keystore: Keystore) -> None:
    made = [keystore.make("alice", KeyScope.TRADE), keystore.make("bob", KeyScope.USER_DATA)]
    assert made[0].number != made[1].number
    assert stat.S_IMODE(keystore.path.stat().st_mode) == 0o600
    again = Keystore(keystore.path)
    assert [again.find(key.api_key) for key in made] == made
    assert [path.name for path in keystore.path.parent.iterdir()] == ["keys.json"]


def test_reload_sees_what_another_process_added(keystore: Keystore) -> None:
    reader = Keystore(keystore.path)
    key = keystore.make("alice", KeyScope.TRADE)
    assert reader.find(key.api_key) is None
    reader.reload()
    assert reader.find(key.api_key) == key


@pytest.mark.parametrize("content", ["", "{}", json.dumps([{"number": "x"}]), "[1]"])
def test_a_damaged_file_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "keys.json"
    path.write_text(content)
    with pytest.raises(KeystoreError, match=r"keys\.json"):
        Keystore(path)
