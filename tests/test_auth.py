"""Signatures, scopes, timestamps, and the file that keeps the keys."""

from __future__ import annotations

import base64
import json
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ringex.config import Settings
from ringex.gateways.auth import (
    authenticate,
    hmac_sha256,
    proof_of,
    require_address,
    require_scope,
    sign,
    signed_text,
    timing,
)
from ringex.gateways.errors import Refusal
from ringex.gateways.keystore import Keystore, KeystoreError, ed25519_key, open_keystore, rotate_master_key, stored_keys
from ringex.gateways.masterkey import ENVIRONMENT, MasterKey, MasterKeyError
from ringex.terms import KeyScope

NOW_NS = 1_700_000_000_000_000_000
NOW_MS = NOW_NS // 1_000_000
MASTER = MasterKey(bytes(range(32)), "a test")


@pytest.fixture
def keystore(tmp_path: Path) -> Keystore:
    return Keystore(tmp_path / "keys.json", MASTER)


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
    again = Keystore(keystore.path, MASTER)
    assert [again.find(key.api_key) for key in made] == made
    assert [path.name for path in keystore.path.parent.iterdir()] == ["keys.json"]


def test_reload_sees_what_another_process_added(keystore: Keystore) -> None:
    reader = Keystore(keystore.path, MASTER)
    key = keystore.make("alice", KeyScope.TRADE)
    assert reader.find(key.api_key) is None
    reader.reload()
    assert reader.find(key.api_key) == key


@pytest.mark.parametrize(
    "content", ["", "{}", json.dumps([{"number": "x"}]), '{"proof": "", "keys": [1]}', '{"proof": "x", "keys": []}']
)
def test_a_damaged_file_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "keys.json"
    path.write_text(content)
    with pytest.raises(KeystoreError, match=r"keys\.json"):
        Keystore(path, MASTER)


def test_secrets_are_sealed_and_a_change_of_anything_else_shows(keystore: Keystore) -> None:
    key = keystore.make("alice", KeyScope.USER_DATA, addresses=("10.0.0.0/8",))
    text = keystore.path.read_text()
    assert key.secret not in text and key.api_key in text
    assert [(one.api_key, one.secret) for one in stored_keys(keystore.path)] == [(key.api_key, "")]
    keystore.path.write_text(text.replace('"scopes": 2', '"scopes": 3'))
    with pytest.raises(KeystoreError, match=r"keys\.json: the master key from a test does not open it"):
        Keystore(keystore.path, MASTER)


def test_a_removed_key_is_gone_from_the_disk(keystore: Keystore) -> None:
    gone, kept = keystore.make("alice", KeyScope.TRADE), keystore.make("bob", KeyScope.TRADE)
    keystore.remove(gone.api_key)
    assert gone.api_key not in keystore.path.read_text()
    assert Keystore(keystore.path, MASTER).keys == keystore.keys == [kept]


def pem_of(key: Ed25519PrivateKey) -> str:
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return public.decode()


def test_ed25519(keystore: Keystore) -> None:
    own, other = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    key = keystore.make("alice", KeyScope.TRADE, pem_of(own))
    assert key.secret == ""
    params = {"apiKey": key.api_key, "timestamp": NOW_MS, "b": True}
    signed = signed_text(params).encode()
    right = base64.b64encode(own.sign(signed)).decode()
    assert authenticate(keystore, proof_of(params | {"signature": right})) == key
    wrong = base64.b64encode(other.sign(signed)).decode()
    for signature in (wrong, right[:-4], right + "!", right.lower(), "é", hmac_sha256("", signed)):
        with pytest.raises(Refusal, match=r"not valid. It is Ed25519, in base64, over: apiKey=") as refused:
            authenticate(keystore, proof_of(params | {"signature": signature}))
        assert refused.value.code == -1022


def test_only_ed25519_public_keys_are_keys() -> None:
    assert ed25519_key(pem_of(Ed25519PrivateKey.generate()))
    rsa = generate_private_key(65537, 1024).public_key()
    with pytest.raises(ValueError, match=r"Ed25519 was expected, .* not RSAPublicKey"):
        ed25519_key(rsa.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())
    with pytest.raises(ValueError, match="PEM public key of Ed25519 was expected"):
        ed25519_key("none")


@pytest.mark.parametrize(
    ("networks", "address", "passes"),
    [
        ((), "203.0.113.9", True),
        (("10.0.0.0/8", "192.0.2.7/32"), "192.0.2.7", True),
        (("10.0.0.0/8", "192.0.2.7/32"), "::ffff:10.1.2.3", True),
        (("10.0.0.0/8",), "11.0.0.1", False),
        (("10.0.0.0/8",), "2001:db8::1", False),
        (("2001:db8::/32",), "2001:db8::1", True),
        (("10.0.0.0/8",), "fe80::1%eth0", False),
        (("10.0.0.0/8",), "nonsense", False),
        (("10.0.0.0/8",), "", True),  # a peer on this machine: ipc://
    ],
)
def test_allowlists(keystore: Keystore, networks: tuple[str, ...], address: str, passes: bool) -> None:
    key = keystore.make("alice", KeyScope.TRADE, addresses=networks)
    if passes:
        require_address(key, address)
        return
    with pytest.raises(Refusal, match="not used from") as refused:
        require_address(key, address)
    assert (refused.value.code, refused.value.status) == (-2015, 401)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    return Settings(tmp_path)


def test_the_master_key_is_made_once_for_its_owner_only(settings: Settings) -> None:
    key = open_keystore(settings).make("alice", KeyScope.TRADE)
    assert stat.S_IMODE(settings.master_key_path.stat().st_mode) == 0o600
    assert open_keystore(settings).find(key.api_key) == key
    settings.master_key_path.chmod(0o640)
    with pytest.raises(MasterKeyError, match="others may read it"):
        open_keystore(settings)


def test_a_wrong_or_missing_master_key_is_told(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    open_keystore(settings).make("alice", KeyScope.TRADE)
    for text, words in (("ab" * 32, "does not open it"), ("short", "64 hexadecimal digits were expected")):
        monkeypatch.setenv(ENVIRONMENT, text)
        with pytest.raises((KeystoreError, MasterKeyError), match=words):
            open_keystore(settings)
    monkeypatch.delenv(ENVIRONMENT)
    settings.master_key_path.unlink()
    with pytest.raises(MasterKeyError, match="there is no master key: neither RINGEX_MASTER_KEY nor"):
        open_keystore(settings)


def test_the_environment_wins_over_the_file(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENVIRONMENT, "ab" * 32)
    open_keystore(settings).make("alice", KeyScope.TRADE)
    assert not settings.master_key_path.exists()
    assert len(open_keystore(settings)) == 1


def test_rotation(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    key = open_keystore(settings).make("alice", KeyScope.TRADE)
    before = settings.master_key_path.read_text()
    sealed = settings.keystore_path.read_text()
    rotate_master_key(settings)
    after = settings.master_key_path.read_text()
    assert before != after and open_keystore(settings).find(key.api_key) == key
    # broken off after the keys were sealed and before the new master key took its place
    settings.master_key_path.write_text(before)
    settings.master_key_path.with_suffix(".new").write_text(after)
    settings.master_key_path.with_suffix(".new").chmod(0o600)
    assert open_keystore(settings).find(key.api_key) == key
    assert settings.master_key_path.read_text() == after
    # broken off before the keys were sealed
    settings.master_key_path.write_text(before)
    settings.master_key_path.with_suffix(".new").write_text(after)
    settings.keystore_path.write_text(sealed)
    assert open_keystore(settings).find(key.api_key) == key
    rotate_master_key(settings, "cd" * 32)
    assert not settings.master_key_path.exists()
    monkeypatch.setenv(ENVIRONMENT, "cd" * 32)
    assert open_keystore(settings).find(key.api_key) == key
    with pytest.raises(MasterKeyError, match="give the new one in RINGEX_MASTER_KEY_NEW"):
        rotate_master_key(settings)
