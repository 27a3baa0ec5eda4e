"""HMAC-SHA256 (RFC 2104) for compiled code: the hash is that of the very OpenSSL that Python's own `hashlib` loaded.

To ask Python for it costs a call, and 3 us and more, for each signature. OpenSSL's functions of this one hash work in
memory of ours, so a key's first block is hashed once for all its signatures, and nothing is allocated. They count as
old-fashioned since OpenSSL 3.0, but are there. Where they are not, no signature is ever found to be right here, and
the caller goes its ordinary way, through `hmac`.
"""

from __future__ import annotations

import ctypes
import hashlib
from functools import cache
from typing import Final

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ringex.jit import INTERPRETED, compiled, entry, inlined, int64
from ringex.memory import address_of, copy_bytes, record_at

DIGEST_BYTES: Final = 32
_BLOCK_BYTES: Final = 64
_CONTEXT_BYTES: Final = 112
"""OpenSSL's SHA256_CTX: eight words of state, two of length, sixteen of data, two more."""

HMAC_KEY: Final = np.dtype(
    [
        ("update", "i8"),  # the address of SHA256_Update; 0 where there is none
        ("final", "i8"),  # of SHA256_Final
        ("inner", "u1", (_CONTEXT_BYTES,)),  # the two hashes behind their first block, which is the key
        ("outer", "u1", (_CONTEXT_BYTES,)),
    ]
)
"""A key as HMAC uses it."""
SCRATCH_BYTES: Final = _CONTEXT_BYTES + DIGEST_BYTES
"""What `hmac_matches` needs of memory to work in."""
_INNER: Final[int] = HMAC_KEY.fields["inner"][1]  # type: ignore[index]
_OUTER: Final[int] = HMAC_KEY.fields["outer"][1]  # type: ignore[index]
_BYTE: Final = np.dtype([("value", "u1")])


def hmac_key(secret: bytes) -> np.ndarray:
    """`secret` as HMAC_KEY, shape (1,)."""
    padded = (hashlib.sha256(secret).digest() if len(secret) > _BLOCK_BYTES else secret).ljust(_BLOCK_BYTES, b"\0")
    key = np.zeros(1, HMAC_KEY)
    functions = [_function_address(name) for name in ("SHA256_Init", "SHA256_Update", "SHA256_Final")]
    if all(functions):
        start, update, final = functions
        key["update"], key["final"] = update, final
        for offset, pad in ((_INNER, 0x36), (_OUTER, 0x5C)):
            block = np.frombuffer(bytes(byte ^ pad for byte in padded), np.uint8)
            context = address_of(key) + offset
            _call_interpreted(start, context, 0, 0)
            _call_interpreted(update, context, address_of(block), _BLOCK_BYTES)
    return key


@cache
def _function_address(name: str) -> int:
    """Of libcrypto's function `name`; 0 where it cannot be found."""
    try:
        import _hashlib

        # Loaded already, so this is a handle to the same library, and its symbols are looked up with it.
        function = ctypes.CDLL(_hashlib.__file__)[name]
    except (ImportError, OSError, AttributeError):
        return 0
    return ctypes.cast(function, ctypes.c_void_p).value or 0


def _call_interpreted(function: int, first: int, second: int, third: int) -> int:
    prototype = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
    return int(prototype(int(function))(int(first), int(second), int(third)))


if INTERPRETED:
    _call = _call_interpreted
else:

    @intrinsic
    def _call(typingctx, function, first, second, third):  # type: ignore[no-untyped-def]
        """Call `int function(void *, void *, size_t)`; a function of fewer arguments does not look at the others."""

        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            pointer, word = ir.IntType(8).as_pointer(), ir.IntType(64)
            kind = ir.FunctionType(ir.IntType(32), [pointer, pointer, word])
            called = builder.inttoptr(args[0], kind.as_pointer())
            ends = [builder.inttoptr(arg, pointer) for arg in args[1:3]]
            return builder.sext(builder.call(called, [*ends, args[3]]), word)

        return types.int64(*[types.int64] * 4), codegen


@entry
@compiled
def hmac_matches(key: int, text: int, size: int, digits: int, scratch: int) -> int:
    """Whether the 64 hexadecimal digits at `digits`, in small or capital letters, are the HMAC of the text: 1 or 0.

    `key` is the address of an HMAC_KEY, `size` that of the text in bytes. A wrong one takes as long as the right one.
    """
    k = record_at(key, 0, HMAC_KEY)
    if k.update == 0:
        return int64(0)
    digest = scratch + _CONTEXT_BYTES
    copy_bytes(scratch, key + _INNER, _CONTEXT_BYTES)
    _call(k.update, scratch, text, size)
    _call(k.final, digest, scratch, int64(0))
    copy_bytes(scratch, key + _OUTER, _CONTEXT_BYTES)
    _call(k.update, scratch, digest, int64(DIGEST_BYTES))
    _call(k.final, digest, scratch, int64(0))
    wrong = int64(0)
    for at in range(DIGEST_BYTES):
        byte = int64(record_at(digest, at, _BYTE).value)
        wrong |= _digit(byte >> 4) ^ _small(int64(record_at(digits, 2 * at, _BYTE).value))
        wrong |= _digit(byte & 15) ^ _small(int64(record_at(digits, 2 * at + 1, _BYTE).value))
    return int64(1) if wrong == 0 else int64(0)


@inlined
def _digit(value: int) -> int:
    """The hexadecimal digit of 0..15, without a branch or a table."""
    return 48 + value + (((9 - value) >> 63) & 39)


@inlined
def _small(character: int) -> int:
    """A-Z as a-z; without a branch."""
    is_capital = ((64 - character) >> 63) & ((character - 91) >> 63)
    return character | (is_capital & 32)
