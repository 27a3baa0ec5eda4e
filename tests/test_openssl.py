"""HMAC-SHA256 in compiled code, against Python's own."""

from __future__ import annotations

import hmac

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ringex.memory import address_of
from ringex.openssl import SCRATCH_BYTES, hmac_key, hmac_matches

SCRATCH = np.zeros(SCRATCH_BYTES, np.uint8)


def matches(secret: bytes, text: bytes, digits: bytes) -> bool:
    key = hmac_key(secret)
    held, given_digits = np.frombuffer(text + b"\0", np.uint8), np.frombuffer(digits, np.uint8)
    arguments = address_of(key), address_of(held), len(text), address_of(given_digits), address_of(SCRATCH)
    return bool(hmac_matches(*arguments))


def test_every_length_around_two_blocks_is_padded_as_it_should_be() -> None:
    for size in range(1, 150):
        text = bytes(range(size))
        right = hmac.digest(b"secret", text, "sha256").hex().encode()
        assert matches(b"secret", text, right), size
        assert matches(b"secret", text, right.upper()), size
        assert not matches(b"secret", text + b"\0", right), size


@given(st.binary(max_size=200), st.binary(max_size=1000))
def test_the_digest_is_pythons(secret: bytes, text: bytes) -> None:
    assert matches(secret, text, hmac.digest(secret, text, "sha256").hex().encode())


def test_one_wrong_digit_anywhere_is_seen() -> None:
    right = hmac.digest(b"secret", b"text", "sha256").hex().encode()
    for at in range(64):
        for wrong in (b"0", b"g", b"@", b"\0", b"\xff", bytes([right[at] ^ 1]), bytes([right[at] ^ 0x80])):
            given_digits = right[:at] + wrong + right[at + 1 :]
            assert matches(b"secret", b"text", given_digits) == (given_digits == right), (at, wrong)
