"""libzmq's functions for compiled code: those of the very library that pyzmq loaded, by their addresses.

pyzmq costs some 0.5 us of Python for every frame. A loop in compiled code that calls `zmq_send` or `zmq_recv` itself
costs what libzmq does. The socket is pyzmq's (`Socket.underlying`), so options, binding and closing stay where they
were; it must not be closed, nor used by another thread, while compiled code has it.

A build of pyzmq that hides libzmq's functions has none of this: `function_address` then gives 0, and the caller sends
and receives in the ordinary way.
"""

from __future__ import annotations

import ctypes
import errno
from functools import cache
from typing import Final

import zmq
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ringex.jit import INTERPRETED, inlined

SNDMORE: Final = int(zmq.SNDMORE)
DONTWAIT: Final = int(zmq.DONTWAIT)
RCVMORE: Final = int(zmq.RCVMORE)


@cache
def function_address(name: str) -> int:
    """The address of libzmq's function `name`; 0 where it cannot be found. To be passed to the functions below."""
    from zmq.backend.cython import _zmq

    try:
        # Loaded already, so this is a handle to the same library, and its symbols are looked up with it.
        function = ctypes.CDLL(_zmq.__file__)[name]
    except (OSError, AttributeError):
        return 0
    return ctypes.cast(function, ctypes.c_void_p).value or 0


def _transfer_interpreted(function: int, socket: int, address: int, size_bytes: int, flags: int) -> int:
    prototype = ctypes.CFUNCTYPE(
        *(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int), use_errno=True
    )
    answer = prototype(int(function))(int(socket), int(address), int(size_bytes), int(flags))
    return int(answer) if answer >= 0 else -ctypes.get_errno()


def _option_interpreted(function: int, socket: int, option: int) -> int:
    prototype = ctypes.CFUNCTYPE(
        *(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p), use_errno=True
    )
    value, size = ctypes.c_int(0), ctypes.c_size_t(ctypes.sizeof(ctypes.c_int))
    answer = prototype(int(function))(int(socket), int(option), ctypes.addressof(value), ctypes.addressof(size))
    return value.value if answer >= 0 else -ctypes.get_errno()


if INTERPRETED:
    _transfer = _transfer_interpreted
    _option = _option_interpreted
else:
    from numba.core import cgutils

    from ringex.system import or_errno

    @intrinsic
    def _option(typingctx, function, socket, option):  # type: ignore[no-untyped-def]
        """Call `int function(void *socket, int option, void *value, size_t *size)` for an option that is an int."""

        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            pointer, word, short = ir.IntType(8).as_pointer(), ir.IntType(64), ir.IntType(32)
            kind = ir.FunctionType(short, [pointer, short, short.as_pointer(), word.as_pointer()])
            called = builder.inttoptr(args[0], kind.as_pointer())
            value, size = cgutils.alloca_once(builder, short), cgutils.alloca_once(builder, word)
            builder.store(ir.Constant(short, 0), value)
            builder.store(ir.Constant(word, 4), size)
            ends = [builder.inttoptr(args[1], pointer), builder.trunc(args[2], short), value, size]
            answer = or_errno(builder, builder.call(called, ends))
            found = builder.sext(builder.load(value), word)
            return builder.select(builder.icmp_signed("<", answer, ir.Constant(word, 0)), answer, found)

        return types.int64(types.int64, types.int64, types.int64), codegen

    @intrinsic
    def _transfer(typingctx, function, socket, address, size_bytes, flags):  # type: ignore[no-untyped-def]
        """Call `int function(void *socket, void *address, size_t size, int flags)`."""

        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            pointer, word, short = ir.IntType(8).as_pointer(), ir.IntType(64), ir.IntType(32)
            kind = ir.FunctionType(short, [pointer, pointer, word, short])
            called = builder.inttoptr(args[0], kind.as_pointer())
            ends = [builder.inttoptr(arg, pointer) for arg in args[1:3]]
            return or_errno(builder, builder.call(called, [*ends, args[3], builder.trunc(args[4], short)]))

        return types.int64(*[types.int64] * 5), codegen


@inlined
def zmq_send(function: int, socket: int, address: int, size_bytes: int, flags: int) -> int:
    """Send one frame, copied from memory. `function` is `function_address("zmq_send")`. Returns its size or -errno."""
    answer = _transfer(function, socket, address, size_bytes, flags)
    while answer == -errno.EINTR:
        answer = _transfer(function, socket, address, size_bytes, flags)
    return answer


@inlined
def zmq_recv(function: int, socket: int, address: int, size_bytes: int, flags: int) -> int:
    """Receive one frame into `size_bytes` of memory. `function` is `function_address("zmq_recv")`.

    Returns the frame's size, which may be more than there was room for (the rest is lost), or -errno; -EAGAIN where
    `flags` has DONTWAIT and nothing waits.
    """
    answer = _transfer(function, socket, address, size_bytes, flags)
    while answer == -errno.EINTR:
        answer = _transfer(function, socket, address, size_bytes, flags)
    return answer


@inlined
def zmq_more(function: int, socket: int) -> int:
    """1 where further frames of the message that was received last wait, else 0; or -errno.

    `function` is `function_address("zmq_getsockopt")`.
    """
    return _option(function, socket, RCVMORE)
