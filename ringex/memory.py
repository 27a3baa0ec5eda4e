"""Records at addresses: how compiled code reaches shared memory and the engine's tables.

A table is a NumPy structured array that Python owns; compiled code is handed its address, an int64, and takes record
`index` of it with `record_at(address, index, DTYPE)`. The result is a view: assigning to a field writes the memory.
A record costs one machine word to pass and has no reference count. Nothing checks bounds: the owner of the array must
outlive every use of its address, and callers assert their indices.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ringex.jit import INTERPRETED


def address_of(array: np.ndarray) -> int:
    """The address of a C-contiguous array's first byte. The array must outlive every use of it."""
    assert array.flags.c_contiguous, "compiled code reads memory as it lies: the array must be C-contiguous"
    return int(array.ctypes.data)


def array_at(address: int, count: int, dtype: np.dtype) -> np.ndarray:
    """An array of `count` records over the memory at `address`, for Python code. Shape (count,)."""
    buffer = (ctypes.c_char * (count * dtype.itemsize)).from_address(address)
    return np.frombuffer(memoryview(buffer), dtype=dtype, count=count)


def _record_at_interpreted(address: int, index: int, dtype: np.dtype) -> Any:
    base = int(address) + int(index) * dtype.itemsize
    return array_at(base, 1, dtype).view(np.recarray)[0]


def _copy_bytes_interpreted(destination: int, source: int, size_bytes: int) -> None:
    ctypes.memmove(int(destination), int(source), int(size_bytes))


def _zero_bytes_interpreted(destination: int, size_bytes: int) -> None:
    ctypes.memset(int(destination), 0, int(size_bytes))


def _prefetch_interpreted(address: int) -> None:
    return


if INTERPRETED:
    record_at = _record_at_interpreted
    copy_bytes = _copy_bytes_interpreted
    zero_bytes = _zero_bytes_interpreted
    prefetch = _prefetch_interpreted
else:

    @intrinsic
    def record_at(typingctx, address, index, dtype):  # type: ignore[no-untyped-def]
        """record_at(address: int64, index: int64, dtype) -> the record, as a view of the memory."""
        record = dtype.dtype

        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            size = ir.Constant(ir.IntType(64), record.size)
            pointer = builder.add(args[0], builder.mul(args[1], size))
            return builder.inttoptr(pointer, context.get_value_type(record))

        return record(types.int64, types.int64, dtype), codegen

    @intrinsic
    def copy_bytes(typingctx, destination, source, size_bytes):  # type: ignore[no-untyped-def]
        """copy_bytes(destination: int64, source: int64, size_bytes: int64): memcpy; the two must not overlap."""

        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            pointer = ir.IntType(8).as_pointer()
            kind = ir.FunctionType(ir.VoidType(), [pointer, pointer, ir.IntType(64), ir.IntType(1)])
            memcpy = builder.module.declare_intrinsic("llvm.memcpy", [pointer, pointer, ir.IntType(64)], kind)
            ends = [builder.inttoptr(arg, pointer) for arg in args[:2]]
            builder.call(memcpy, [*ends, args[2], ir.Constant(ir.IntType(1), 0)])
            return context.get_dummy_value()

        return types.void(types.int64, types.int64, types.int64), codegen

    @intrinsic
    def zero_bytes(typingctx, destination, size_bytes):  # type: ignore[no-untyped-def]
        """zero_bytes(destination: int64, size_bytes: int64): fill with zeros."""

        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            pointer = ir.IntType(8).as_pointer()
            kind = ir.FunctionType(ir.VoidType(), [pointer, ir.IntType(8), ir.IntType(64), ir.IntType(1)])
            memset = builder.module.declare_intrinsic("llvm.memset", [pointer, ir.IntType(64)], kind)
            target = builder.inttoptr(args[0], pointer)
            builder.call(memset, [target, ir.Constant(ir.IntType(8), 0), args[1], ir.Constant(ir.IntType(1), 0)])
            return context.get_dummy_value()

        return types.void(types.int64, types.int64), codegen

    @intrinsic
    def prefetch(typingctx, address):  # type: ignore[no-untyped-def]
        """prefetch(address: int64): begin to fetch that cache line, to be written soon. Any address will do."""

        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            pointer, word = ir.IntType(8).as_pointer(), ir.IntType(32)
            kind = ir.FunctionType(ir.VoidType(), [pointer, word, word, word])
            begin = builder.module.declare_intrinsic("llvm.prefetch", [pointer], kind)
            write, keep, data = (ir.Constant(word, number) for number in (1, 3, 1))
            builder.call(begin, [builder.inttoptr(args[0], pointer), write, keep, data])
            return context.get_dummy_value()

        return types.void(types.int64), codegen
