"""SHA-256 and HMAC for compiled code: FIPS 180-4 and RFC 2104, over memory at addresses.

Python has both; but to ask it costs a call for each signature, and a batch of requests is otherwise read without any.
"""

from __future__ import annotations

import hashlib
from typing import Final

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ringex.jit import INTERPRETED, compiled, entry, inlined, int64
from ringex.memory import address_of, copy_bytes, record_at, zero_bytes

DIGEST_BYTES: Final = 32
BLOCK_BYTES: Final = 64
HMAC_KEY: Final = np.dtype([("inner", "u4", (8,)), ("outer", "u4", (8,))])
"""A key as HMAC uses it: the two hashes after their first block, which is the key."""

_ALL: Final = 0xFFFFFFFF
_WORD: Final = np.dtype([("value", "u4")])
_BYTE: Final = np.dtype([("value", "u1")])


if INTERPRETED:

    def rotated(word: int, count: int) -> int:
        return ((word >> count) | (word << (32 - count))) & _ALL
else:

    @intrinsic
    def rotated(typingctx, word, count):  # type: ignore[no-untyped-def]
        """rotated(word: int64, count: int64): the low 32 bits of `word` rotated to the right; one instruction."""

        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            half = ir.IntType(32)
            kind = ir.FunctionType(half, [half, half, half])
            turn = builder.module.declare_intrinsic("llvm.fshr", [half], kind)
            low = builder.trunc(args[0], half)
            return builder.zext(builder.call(turn, [low, low, builder.trunc(args[1], half)]), ir.IntType(64))

        return types.int64(types.int64, types.int64), codegen


def _primes(count: int) -> list[int]:
    found: list[int] = []
    number = 2
    while len(found) < count:
        if all(number % prime for prime in found):
            found.append(number)
        number += 1
    return found


def _root_fraction(number: int, power: int) -> int:
    """The first 32 bits behind the point of the square or cube root."""
    scaled, root = number << 32 * power, 1 << (number.bit_length() // power + 34)
    while root**power > scaled:
        root = ((power - 1) * root + scaled // root ** (power - 1)) // power
    return root & _ALL


_START: Final = np.array([_root_fraction(prime, 2) for prime in _primes(8)], np.int64)
_ROUND: Final = np.array([_root_fraction(prime, 3) for prime in _primes(64)], np.int64)
SCRATCH_BYTES: Final = 2 * BLOCK_BYTES + DIGEST_BYTES + 64 * 4
"""What each of these functions needs of memory to work in: last blocks, a digest, and the 64 words of a block."""
_DIGEST: Final = 2 * BLOCK_BYTES
_SCHEDULE: Final = _DIGEST + DIGEST_BYTES


def hmac_key(secret: bytes) -> np.ndarray:
    """`secret` as HMAC_KEY, shape (1,)."""
    padded = (hashlib.sha256(secret).digest() if len(secret) > BLOCK_BYTES else secret).ljust(BLOCK_BYTES, b"\0")
    key, scratch = np.zeros(1, HMAC_KEY), np.zeros(SCRATCH_BYTES, np.uint8)
    for name, pad in (("inner", 0x36), ("outer", 0x5C)):
        block, state = np.frombuffer(bytes(byte ^ pad for byte in padded), np.uint8), key[name]
        state[:] = _START
        sha256_blocks(address_of(state), address_of(block), 1, address_of(scratch))
    return key


@entry
@compiled
def hmac_matches(key: int, text: int, size: int, digits: int, scratch: int) -> int:
    """Whether the 64 hexadecimal digits at `digits`, in small or capital letters, are the HMAC of the text: 1 or 0.

    `key` is the address of an HMAC_KEY, `size` that of the text in bytes. A wrong one takes as long as the right one.
    """
    digest = scratch + _DIGEST
    copy_bytes(digest, key, DIGEST_BYTES)
    _finish(digest, text, size, scratch)
    copy_bytes(scratch, digest, DIGEST_BYTES)  # big endian by now
    copy_bytes(digest, key + DIGEST_BYTES, DIGEST_BYTES)
    _pad(scratch, DIGEST_BYTES, BLOCK_BYTES + DIGEST_BYTES)
    sha256_blocks(digest, scratch, 1, scratch + _SCHEDULE)
    _turn_round(digest)
    wrong = 0
    for at in range(DIGEST_BYTES):
        byte = int64(record_at(digest, at, _BYTE).value)
        wrong |= _digit(byte >> 4) ^ _small(int64(record_at(digits, 2 * at, _BYTE).value))
        wrong |= _digit(byte & 15) ^ _small(int64(record_at(digits, 2 * at + 1, _BYTE).value))
    return 1 if wrong == 0 else 0


@inlined
def _digit(value: int) -> int:
    """The hexadecimal digit of 0..15, without a branch or a table."""
    return 48 + value + (((9 - value) >> 63) & 39)


@inlined
def _small(character: int) -> int:
    """A-Z as a-z; without a branch."""
    is_capital = ((64 - character) >> 63) & ((character - 91) >> 63)
    return character | (is_capital & 32)


@compiled
def _finish(state: int, text: int, size: int, scratch: int) -> None:
    """Take the text, behind one block that `state` has taken already, and leave the digest, big endian, in `state`."""
    whole = size // BLOCK_BYTES
    sha256_blocks(state, text, whole, scratch + _SCHEDULE)
    rest = size - whole * BLOCK_BYTES
    copy_bytes(scratch, text + whole * BLOCK_BYTES, rest)
    last = _pad(scratch, rest, BLOCK_BYTES + size)
    sha256_blocks(state, scratch, last, scratch + _SCHEDULE)
    _turn_round(state)


@compiled
def _pad(block: int, used: int, total: int) -> int:
    """End the last `used` bytes of a message of `total` bytes: the number of blocks that they are now."""
    blocks = 1 if used + 9 <= BLOCK_BYTES else 2
    zero_bytes(block + used, blocks * BLOCK_BYTES - used)
    record_at(block, used, _BYTE).value = 0x80
    bits = total * 8
    for at in range(8):
        record_at(block, blocks * BLOCK_BYTES - 1 - at, _BYTE).value = (bits >> 8 * at) & 255
    return blocks


@compiled
def _turn_round(state: int) -> None:
    """Words of this machine as eight big endian ones."""
    for at in range(8):
        word = int64(record_at(state, at, _WORD).value)
        record_at(state, at, _WORD).value = (
            (word >> 24) | ((word >> 8) & 0xFF00) | ((word & 0xFF00) << 8) | ((word & 255) << 24)
        )


@compiled
def sha256_blocks(state: int, text: int, blocks: int, schedule: int) -> None:
    """Take `blocks` blocks of 64 bytes at `text` into the hash's eight words (u4) at `state`."""
    for _ in range(blocks):
        _block(state, text, schedule)
        text += BLOCK_BYTES


@compiled
def _block(state: int, text: int, schedule: int) -> None:
    for at in range(16):
        record_at(schedule, at, _WORD).value = (
            (int64(record_at(text, 4 * at, _BYTE).value) << 24)
            | (int64(record_at(text, 4 * at + 1, _BYTE).value) << 16)
            | (int64(record_at(text, 4 * at + 2, _BYTE).value) << 8)
            | int64(record_at(text, 4 * at + 3, _BYTE).value)
        )
    for at in range(16, 64):
        early = int64(record_at(schedule, at - 15, _WORD).value)
        late = int64(record_at(schedule, at - 2, _WORD).value)
        first = rotated(early, 7) ^ rotated(early, 18) ^ (early >> 3)
        second = rotated(late, 17) ^ rotated(late, 19) ^ (late >> 10)
        before = int64(record_at(schedule, at - 16, _WORD).value) + int64(record_at(schedule, at - 7, _WORD).value)
        record_at(schedule, at, _WORD).value = (before + first + second) & _ALL
    a = int64(record_at(state, 0, _WORD).value)
    b = int64(record_at(state, 1, _WORD).value)
    c = int64(record_at(state, 2, _WORD).value)
    d = int64(record_at(state, 3, _WORD).value)
    e = int64(record_at(state, 4, _WORD).value)
    f = int64(record_at(state, 5, _WORD).value)
    g = int64(record_at(state, 6, _WORD).value)
    h = int64(record_at(state, 7, _WORD).value)
    for at in range(64):
        chosen = g ^ (e & (f ^ g))
        mixed = rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25)
        first = h + mixed + chosen + _ROUND[at] + int64(record_at(schedule, at, _WORD).value)
        most = (a & b) | (c & (a | b))
        second = (rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22)) + most
        h, g, f = g, f, e
        e = (d + first) & _ALL
        d, c, b = c, b, a
        a = (first + second) & _ALL
    _add(state, 0, a)
    _add(state, 1, b)
    _add(state, 2, c)
    _add(state, 3, d)
    _add(state, 4, e)
    _add(state, 5, f)
    _add(state, 6, g)
    _add(state, 7, h)


@inlined
def _add(state: int, at: int, value: int) -> None:
    record_at(state, at, _WORD).value = (int64(record_at(state, at, _WORD).value) + value) & _ALL
