"""The kernel's calls for compiled code: clocks, sleeping, futexes, eventfds, and the journal's writes.

All take and return int64, release the GIL, and may be called from Python as well. Where a call can fail it returns
-errno. They are called through intrinsics on external symbols, because functions that hold ctypes pointers (and all
their callers) are never cached by Numba.
"""

from __future__ import annotations

import ctypes
import errno
import platform
from typing import Any, Final

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ringex.atomics import load_acquire
from ringex.jit import INTERPRETED, compiled, entry, inlined

_MACHINE: Final = platform.machine()
_SYS_FUTEX: Final = {"x86_64": 202, "aarch64": 98}.get(_MACHINE, -1)
_SYS_FUTEX_WAITV: Final = 449  # the same on every machine; Linux 5.16
_FUTEX_WAIT: Final = 0  # shared between processes, so without FUTEX_PRIVATE_FLAG
_FUTEX_WAKE: Final = 1
_CLOCK_REALTIME: Final = 0
_CLOCK_MONOTONIC: Final = 1
_SECOND_NS: Final = 1_000_000_000
_NAP_NS: Final = 200_000  # without futex_waitv: how long until the words are looked at again

_LIBC: Final = ctypes.CDLL(None, use_errno=True)  # interpreted mode's way to the same calls
_LIBC.pwrite.restype = ctypes.c_ssize_t

WAITERS_MAX: Final = 128
"""How many words one `futex_wait_any` can wait for (FUTEX_WAITV_MAX)."""
WAITER_BYTES: Final = 24
"""One entry of `futex_wait_any`: i64 expected value, i64 address, i64 kind (always WAITER_KIND)."""
WAITER_KIND: Final = 2  # FUTEX2_SIZE_U32, shared


def _timespec(ns: int) -> ctypes.Array[ctypes.c_int64]:
    return (ctypes.c_int64 * 2)(*divmod(int(ns), _SECOND_NS))


def _result(value: int) -> int:
    return value if value >= 0 else -ctypes.get_errno()


def _clock_ns_interpreted(clock: int) -> int:
    spec = _timespec(0)
    _LIBC.clock_gettime(ctypes.c_int(clock), spec)
    return spec[0] * _SECOND_NS + spec[1]


def _nanosleep_interpreted(ns: int) -> None:
    _LIBC.nanosleep(_timespec(ns), None)


def _sched_yield_interpreted() -> None:
    _LIBC.sched_yield()


def _timed_syscall_interpreted(number: int, first: int, second: int, third: int, ns: int, fifth: int) -> int:
    words = [ctypes.c_long(int(word)) for word in (number, first, second, third)]
    return _result(_LIBC.syscall(*words, _timespec(ns), ctypes.c_long(int(fifth))))


def _write_word_interpreted(fd: int, word: int) -> int:
    return _result(_LIBC.write(ctypes.c_int(int(fd)), ctypes.byref(ctypes.c_int64(int(word))), ctypes.c_size_t(8)))


def _pwrite_interpreted(fd: int, address: int, size_bytes: int, offset: int) -> int:
    where, size = ctypes.c_void_p(int(address)), ctypes.c_size_t(int(size_bytes))
    return _result(_LIBC.pwrite(ctypes.c_int(int(fd)), where, size, ctypes.c_int64(int(offset))))


def _fdatasync_interpreted(fd: int) -> int:
    return _result(_LIBC.fdatasync(ctypes.c_int(int(fd))))


if INTERPRETED:
    _clock_ns = _clock_ns_interpreted
    _nanosleep = _nanosleep_interpreted
    _sched_yield = _sched_yield_interpreted
    _timed_syscall = _timed_syscall_interpreted
    _write_word = _write_word_interpreted
    _pwrite = _pwrite_interpreted
    _fdatasync = _fdatasync_interpreted
else:
    _I32, _I64 = ir.IntType(32), ir.IntType(64)

    def _call(builder: Any, name: str, result: Any, args: list[Any], *, var_arg: bool = False) -> Any:
        """Call libc's `name`; of a variadic function the first argument alone is declared."""
        declared = [arg.type for arg in (args[:1] if var_arg else args)]
        kind = ir.FunctionType(result, declared, var_arg=var_arg)
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), args)

    def or_errno(builder: Any, value: Any) -> Any:
        """`value` as int64, or -errno where it is negative."""
        wide = builder.sext(value, _I64) if value.type == _I32 else value
        answer = cgutils.alloca_once_value(builder, wide)
        with builder.if_then(builder.icmp_signed("<", wide, ir.Constant(_I64, 0)), likely=False):
            place = _call(builder, "__errno_location", _I32.as_pointer(), [])
            builder.store(builder.neg(builder.sext(builder.load(place), _I64)), answer)
        return builder.load(answer)

    def _timespec_at(builder: Any, ns: Any) -> Any:
        """A timespec on the stack (at the function's entry, so that a loop does not grow the stack), as int64 words."""
        spec = cgutils.alloca_once(builder, _I64, size=2)
        second = ir.Constant(_I64, _SECOND_NS)
        builder.store(builder.sdiv(ns, second), spec)
        builder.store(builder.srem(ns, second), builder.gep(spec, [ir.Constant(_I32, 1)]))
        return spec

    @intrinsic
    def _clock_ns(typingctx, clock):  # type: ignore[no-untyped-def]
        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            spec = _timespec_at(builder, ir.Constant(_I64, 0))
            _call(builder, "clock_gettime", _I32, [builder.trunc(args[0], _I32), spec])
            seconds = builder.mul(builder.load(spec), ir.Constant(_I64, _SECOND_NS))
            return builder.add(seconds, builder.load(builder.gep(spec, [ir.Constant(_I32, 1)])))

        return types.int64(types.int64), codegen

    @intrinsic
    def _nanosleep(typingctx, ns):  # type: ignore[no-untyped-def]
        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            nowhere = ir.Constant(_I64.as_pointer(), None)
            _call(builder, "nanosleep", _I32, [_timespec_at(builder, args[0]), nowhere])
            return context.get_dummy_value()

        return types.void(types.int64), codegen

    @intrinsic
    def _sched_yield(typingctx):  # type: ignore[no-untyped-def]
        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            _call(builder, "sched_yield", _I32, [])
            return context.get_dummy_value()

        return types.void(), codegen

    @intrinsic
    def _timed_syscall(typingctx, number, first, second, third, ns, fifth):  # type: ignore[no-untyped-def]
        """A raw system call whose fourth argument is a timespec: both futex calls are of that shape."""

        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            spec = builder.ptrtoint(_timespec_at(builder, args[4]), _I64)
            words = [*args[:4], spec, args[5]]
            return or_errno(builder, _call(builder, "syscall", _I64, words, var_arg=True))

        return types.int64(*[types.int64] * 6), codegen

    @intrinsic
    def _write_word(typingctx, fd, word):  # type: ignore[no-untyped-def]
        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            place = cgutils.alloca_once(builder, _I64)
            builder.store(args[1], place)
            written = _call(builder, "write", _I64, [builder.trunc(args[0], _I32), place, ir.Constant(_I64, 8)])
            return or_errno(builder, written)

        return types.int64(types.int64, types.int64), codegen

    @intrinsic
    def _pwrite(typingctx, fd, address, size_bytes, offset):  # type: ignore[no-untyped-def]
        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            where = builder.inttoptr(args[1], _I64.as_pointer())
            words = [builder.trunc(args[0], _I32), where, args[2], args[3]]
            return or_errno(builder, _call(builder, "pwrite", _I64, words))

        return types.int64(*[types.int64] * 4), codegen

    @intrinsic
    def _fdatasync(typingctx, fd):  # type: ignore[no-untyped-def]
        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            return or_errno(builder, _call(builder, "fdatasync", _I32, [builder.trunc(args[0], _I32)]))

        return types.int64(types.int64), codegen


@inlined
def now_ns() -> int:
    """Nanoseconds since the Unix epoch. It may step backwards; the sequencer takes max(previous, now)."""
    return _clock_ns(_CLOCK_REALTIME)


@entry
@inlined
def monotonic_ns() -> int:
    """Nanoseconds since some fixed moment; never steps backwards. The same clock in every process."""
    return _clock_ns(_CLOCK_MONOTONIC)


@inlined
def sleep_ns(ns: int) -> None:
    """Sleep `ns` >= 0 nanoseconds; a signal ends it early."""
    _nanosleep(ns)


@inlined
def yield_cpu() -> None:
    """Let another thread that waits for this core run."""
    _sched_yield()


@inlined
def futex_wait(address: int, expected: int, timeout_ns: int) -> int:
    """Sleep while the int32 at `address` is `expected`, at most `timeout_ns`.

    Returns 0 when woken, -EAGAIN when the value was another already, -ETIMEDOUT, or -EINTR: look again in every case.
    """
    return _timed_syscall(_SYS_FUTEX, address, _FUTEX_WAIT, expected & 0xFFFFFFFF, timeout_ns, 0)


@inlined
def futex_wake(address: int, count: int) -> int:
    """Wake at most `count` threads, of any process, that sleep on the int32 at `address`. Returns how many."""
    return _timed_syscall(_SYS_FUTEX, address, _FUTEX_WAKE, count, 0, 0)


@compiled
def futex_wait_any(waiters: int, count: int, timeout_ns: int) -> int:
    """Sleep while each of `count` words has its expected value, at most `timeout_ns`.

    `waiters` is the address of `count` entries of WAITER_BYTES; the words lie at multiples of 8. Where the kernel
    cannot do it (Linux before 5.16, a sandbox, more than WAITERS_MAX words) this sleeps a short moment, whatever the
    words do. Returns the index of a woken word, or -EAGAIN, -ETIMEDOUT, -EINTR: look again in every case.
    """
    deadline_ns = monotonic_ns() + timeout_ns
    answer = _timed_syscall(_SYS_FUTEX_WAITV, waiters, count, 0, deadline_ns, _CLOCK_MONOTONIC)
    if answer >= 0 or answer == -errno.EAGAIN or answer == -errno.ETIMEDOUT or answer == -errno.EINTR:
        return answer
    for index in range(count):
        entry = waiters + index * WAITER_BYTES
        if (load_acquire(load_acquire(entry + 8)) - load_acquire(entry)) & 0xFFFFFFFF != 0:
            return -errno.EAGAIN
    sleep_ns(min(timeout_ns, _NAP_NS))
    return -errno.ETIMEDOUT


@inlined
def doorbell_ring(fd: int) -> int:
    """Add one to the eventfd `fd`, so that whoever waits for it wakes. Returns 8 or -errno."""
    return _write_word(fd, 1)


@inlined
def pwrite(fd: int, address: int, size_bytes: int, offset: int) -> int:
    """Write memory to a file at `offset`. Returns the bytes written, perhaps fewer than asked, or -errno."""
    return _pwrite(fd, address, size_bytes, offset)


@inlined
def fdatasync(fd: int) -> int:
    """Return 0 once what was written to `fd` is on disk, or -errno. A failure is final: never retry (law 4)."""
    return _fdatasync(fd)
