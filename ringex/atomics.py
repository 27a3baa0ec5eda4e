"""Acquire, release, fences and pause for compiled code, on words of 8 bytes at int64 addresses.

A word that one side writes and another reads goes through these; plain record fields do not order anything. What is
written before `store_release` is seen by whoever sees the stored value with `load_acquire`. Neither keeps a later load
from overtaking an earlier store: between 'I sleep' and the last look before sleeping stands `fence_full`, or a wake-up
is lost.

Compiled code only, except that interpreted mode (see `ringex.jit`) has Python bodies for the same names. Addresses are
multiples of 8.
"""

from __future__ import annotations

import ctypes
import platform
import threading

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ringex.jit import INTERPRETED

_FENCE = threading.Lock()


def _load_interpreted(address: int) -> int:
    return ctypes.c_int64.from_address(int(address)).value


def _store_interpreted(address: int, value: int) -> None:
    ctypes.c_int64.from_address(int(address)).value = int(value)


def _fence_interpreted() -> None:
    with _FENCE:  # taking and giving back a lock is a full fence on every machine CPython runs on
        pass


def _pause_interpreted() -> None:
    return


if INTERPRETED:
    load_acquire = load_relaxed = _load_interpreted
    store_release = store_relaxed = _store_interpreted
    fence_full = fence_acquire = fence_release = _fence_interpreted
    pause = _pause_interpreted
else:
    _WORD = ir.IntType(64)

    def _load(ordering: str):  # type: ignore[no-untyped-def]
        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            return builder.load_atomic(builder.inttoptr(args[0], _WORD.as_pointer()), ordering, 8)

        return types.int64(types.int64), codegen

    def _store(ordering: str):  # type: ignore[no-untyped-def]
        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            builder.store_atomic(args[1], builder.inttoptr(args[0], _WORD.as_pointer()), ordering, 8)
            return context.get_dummy_value()

        return types.void(types.int64, types.int64), codegen

    def _fence(ordering: str):  # type: ignore[no-untyped-def]
        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            builder.fence(ordering)
            return context.get_dummy_value()

        return types.void(), codegen

    @intrinsic
    def load_acquire(typingctx, address):  # type: ignore[no-untyped-def]
        """load_acquire(address: int64) -> int64: nothing later is read or written before it."""
        return _load("acquire")

    @intrinsic
    def load_relaxed(typingctx, address):  # type: ignore[no-untyped-def]
        """load_relaxed(address: int64) -> int64: whole, and afresh each time; orders nothing."""
        return _load("monotonic")

    @intrinsic
    def store_release(typingctx, address, value):  # type: ignore[no-untyped-def]
        """store_release(address: int64, value: int64): everything earlier is seen before it."""
        return _store("release")

    @intrinsic
    def store_relaxed(typingctx, address, value):  # type: ignore[no-untyped-def]
        """store_relaxed(address: int64, value: int64): whole; orders nothing."""
        return _store("monotonic")

    @intrinsic
    def fence_full(typingctx):  # type: ignore[no-untyped-def]
        """fence_full(): all loads and stores before it happen before all after it (sequentially consistent)."""
        return _fence("seq_cst")

    @intrinsic
    def fence_acquire(typingctx):  # type: ignore[no-untyped-def]
        """fence_acquire(): loads before it happen before all loads and stores after it."""
        return _fence("acquire")

    @intrinsic
    def fence_release(typingctx):  # type: ignore[no-untyped-def]
        """fence_release(): all loads and stores before it happen before stores after it."""
        return _fence("release")

    @intrinsic
    def pause(typingctx):  # type: ignore[no-untyped-def]
        """pause(): tell the core that this is a spin loop."""

        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            if platform.machine() in ("x86_64", "AMD64"):
                kind = ir.FunctionType(ir.VoidType(), [])
                builder.call(builder.module.declare_intrinsic("llvm.x86.sse2.pause", fnty=kind), [])
            elif platform.machine() in ("aarch64", "arm64"):
                kind = ir.FunctionType(ir.VoidType(), [ir.IntType(32)])
                hint = builder.module.declare_intrinsic("llvm.aarch64.hint", fnty=kind)
                builder.call(hint, [ir.Constant(ir.IntType(32), 1)])  # 1: YIELD
            return context.get_dummy_value()

        return types.void(), codegen
