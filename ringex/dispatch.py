"""How compiled functions call each other: Numba's dispatcher, but for three points that make compiling quick, and two
that make what is compiled quick.

1. Every integer argument (an int32 field, a uint8, an enum's member, a literal) becomes an int64, so that a function is
   compiled once and not for each mixture of widths.
2. What only compiled code calls is not optimised, not turned into machine code, given no wrapper for Python and not
   cached by itself: its intermediate code is linked into the entry point, and all of that is optimised together, once.
   Numba by itself does all this for each function, and again in each of its callers, with all that they call.
3. A `Separate` function is an entry point that others reach through a pointer, so it is in none of them.
4. What has been linked into an entry point is its own: nobody else can see it, so the optimiser may drop arguments,
   carry constants into it and forget it once it is inlined.
5. A caller hands its own place for an exception on, and does not zero the place for a result: see `_Convention`.

Cold, what `ringex start` compiles before `ready` took 86 s (CPU) with Numba's own dispatchers, and some 13 s more in
its processes after. By 1 and 2 the 86 were 26 s; with `apply` separate 21 s; now, with all rooms' entry points, 30 s.
"""

from __future__ import annotations

import ctypes
import inspect
import traceback
from collections.abc import Callable
from typing import Any, ClassVar, Final, cast

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.core import cgutils, compiler, typing
from numba.core.callconv import CPUCallConv
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler_lock import global_compiler_lock
from numba.core.cpu import CPUContext
from numba.core.dispatcher import _FunctionCompiler  # type: ignore[attr-defined]
from numba.core.registry import CPUDispatcher, cpu_target

_FAILED: Final = -1
"""The status of a call whose callee could not be compiled: Numba's "a Python exception is set"."""


class _Library(JITCodeLibrary):  # type: ignore[misc]
    """An entry point's code, to which what is linked into it belongs."""

    def _optimize_final_module(self) -> None:
        for function in self._final_module.functions:
            if function.linkage == llvm.Linkage.linkonce_odr:
                function.linkage = "internal"
        super()._optimize_final_module()


class _Convention(CPUCallConv):  # type: ignore[misc]
    """Numba's calling convention, but for what a caller does around a call.

    Numba gives each call a place of its own for the callee's exception, and zeroes that and the place of the result
    twice: more stores than the callee often has.
    """

    def call_function(
        self, builder: Any, callee: Any, resty: Any, argtys: Any, args: Any, attrs: Any = None
    ) -> tuple[Any, Any]:
        own = builder.function.args
        if len(own) < 2 or own[1].name != "excinfo":  # a wrapper for Python or C
            return cast(tuple[Any, Any], super().call_function(builder, callee, resty, argtys, args, attrs))
        with builder.goto_entry_block():
            place = builder.alloca(self.get_return_type(resty).pointee)
        arguments = self._get_arg_packer(argtys).as_arguments(builder, args)
        code = builder.call(callee, [place, own[1], *arguments], attrs=tuple(attrs or ()))
        status = self._get_return_status(builder, code, builder.load(own[1]))
        return status, self.context.get_returned_value(builder, resty, builder.load(place))


def _convention(context: Any) -> _Convention:
    return _Convention(context)


CPUContext.call_conv = property(_convention)
cpu_target.target_context.codegen()._library_class = _Library


class _Part(JITCodeLibrary):  # type: ignore[misc]
    """Intermediate code that waits to be linked into an entry point."""

    def finalize(self) -> None:
        for library in dict.fromkeys(self._linking_libraries):
            self._reload_init.update(library._reload_init)
            self._final_module.link_in(library._get_module_for_linking(), preserve=True)
        self._finalized = True


class _PartCompiler(_FunctionCompiler):  # type: ignore[misc]
    def _customize_flags(self, flags: Any) -> Any:
        flags.no_cpython_wrapper = True
        flags.no_cfunc_wrapper = True
        flags.no_compile = True
        return flags


class Dispatcher(CPUDispatcher):  # type: ignore[misc]
    """Compiled into its callers; compiled by itself once Python calls it."""

    def get_call_template(self, args: Any, kws: Any) -> Any:
        """What Numba asks for when a function that calls this one is compiled."""
        signature, args = self._compiler.fold_argument_types(args, kws)
        args = tuple(_widened(arg) for arg in args)
        if args not in self.overloads:
            self._compile_part(args)
        return self._template(self.overloads[args].signature), signature, args, {}

    def compile(self, sig: Any) -> Any:
        """Compile by itself, or load from the cache, for calls from Python."""
        known = self.overloads.get(tuple(sig) if isinstance(sig, tuple) else tuple(sig.args))
        if known is not None and isinstance(known.library, _Part):
            del self.overloads[tuple(known.signature.args)]
        return super().compile(sig)

    def _compile_part(self, args: tuple[Any, ...]) -> None:
        with global_compiler_lock, self._compiling_counter:
            part = _PartCompiler(
                self.py_func, self.targetdescr, self.targetoptions, self.locals, compiler.Compiler
            ).compile(args, None)
            part.library.__class__ = _Part
            part = part._replace(entry_point=object())  # only a key, by which Numba finds the function
            self.targetctx.insert_user_function(part.entry_point, part.fndesc, [part.library])
            self.overloads[args] = part

    def _template(self, signature: Any) -> Any:
        name = self.py_func.__name__
        return typing.make_concrete_template(f"CallTemplate({name})", key=name, signatures=[signature])


class Separate(Dispatcher):
    """Compiled once, by itself; compiled callers find it through a word of memory that holds its address.

    The word has a symbol of its own, so that callers loaded from the cache find it too. Until the function is compiled
    it holds the address of `_bind`, which compiles it, and then goes on with the call.
    """

    known: ClassVar[list[Separate]] = []

    def __init__(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        super().__init__(function, *args, **kwargs)
        names = inspect.signature(function).parameters
        returns = inspect.get_annotations(function, eval_str=True)["return"]
        self._native = typing.signature(types.int64 if returns is int else types.none, *[types.int64] * len(names))
        native_type = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, *[ctypes.c_int64] * len(names))
        self._native_type = native_type
        self._binder = native_type(self._bind)
        self._word = ctypes.cast(self._binder, ctypes.c_void_p)
        self._symbol = f"ringex.{function.__module__}.{function.__qualname__}"
        llvm.add_symbol(self._symbol, ctypes.addressof(self._word))
        self._call_key = object()
        self.targetctx.insert_func_defn([(self._lower_call, self._call_key, self._native.args)])
        Separate.known.append(self)

    def get_call_template(self, args: Any, kws: Any) -> Any:
        signature, args = self._compiler.fold_argument_types(args, kws)
        return self._template(self._native), signature, tuple(_widened(arg) for arg in args), {}

    def get_overload(self, sig: Any) -> Any:
        return self._call_key

    def add_overload(self, cres: Any) -> None:
        """Numba has compiled or loaded it: point the word at the machine code."""
        super().add_overload(cres)
        assert cres.signature.args == self._native.args and cres.signature.return_type == self._native.return_type
        self._word.value = cres.library.get_pointer_to_function(cres.fndesc.llvm_func_name)

    def _bind(self, result: int, exception: int, *arguments: int) -> int:
        """Stand in for the function at its first call from compiled code, with Numba's calling convention."""
        try:
            self.compile(self._native.args)
            return int(ctypes.cast(self._word, self._native_type)(result, exception, *arguments))
        except Exception:  # it cannot pass through the compiled caller, which raises SystemError
            traceback.print_exc()
            return _FAILED

    def _lower_call(self, context: Any, builder: Any, signature: Any, args: Any) -> Any:
        """Emit the call: load the word, call what it points at, and pass an exception on."""
        kind = context.call_conv.get_function_type(self._native.return_type, self._native.args)
        module = builder.module
        if self._symbol in module.globals:
            word = module.globals[self._symbol]
        else:
            word = ir.GlobalVariable(module, kind.as_pointer(), self._symbol)
            word.linkage = "external"
        callee = builder.load(word)
        status, result = context.call_conv.call_function(
            builder, callee, self._native.return_type, self._native.args, args
        )
        with cgutils.if_unlikely(builder, status.is_error):
            context.call_conv.return_status_propagate(builder, status)
        return result


def _widened(argument: Any) -> Any:
    """The type that an argument of this type is passed as."""
    argument = types.unliteral(argument)
    if isinstance(argument, types.IntEnumMember):
        argument = argument.dtype
    return types.int64 if isinstance(argument, types.Integer) else argument
