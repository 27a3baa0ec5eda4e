"""Compilation of the hot path: plain Python functions, compiled by Numba, cached on disk by their sources.

One source serves two modes. Normally `compiled` turns a function into machine code that releases the GIL; with
`NUMBA_DISABLE_JIT=1` in the environment the same function runs interpreted, for the debugger and for coverage.

Numba's own cache does not see a change in a callee that lives in another file. So each module's machine code is kept
below a folder named by a hash of that module's source *and of every ringex module it imports*, at any depth: editing
a file recompiles what depends on it and nothing else.

How functions are compiled is `ringex.dispatch`'s, which differs from Numba's way in three points, for time's sake.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import llvmlite
import numba
import numpy as np
from numba.core import config as numba_config

from ringex.dispatch import Dispatcher, Separate

PACKAGE_DIR = Path(__file__).resolve().parent
INTERPRETED: bool = bool(numba_config.DISABLE_JIT)

if TYPE_CHECKING:
    int64 = int
else:
    int64 = np.int64
"""Makes any number a machine word, for compiled code; to a type checker it is the `int` that words are passed on as."""

_Function = TypeVar("_Function", bound=Callable[..., Any])
_ENTRIES: list[Callable[..., Any]] = []


def compiled(function: _Function) -> _Function:
    """Compile `function` into those that call it: no GIL, no bounds checks, integer division without a zero check.

    Arguments and results are int64 scalars and records (see `ringex.memory`): never arrays, whose reference counts
    are atomic operations on the hot path (188 ns against 5 ns a call, measured with ten arrays). Every integer argument
    becomes an int64. Called from Python it is compiled, and cached, as an entry point of its own.
    """
    return _decorate(function, Dispatcher)


def inlined(function: _Function) -> _Function:
    """Like `compiled`, for small functions that must disappear into their callers."""
    return _decorate(function, Dispatcher, forceinline=True)


def separate(function: _Function) -> _Function:
    """Like `compiled`, but on its own, once: its callers call it through a pointer (2 ns) and contain none of it.

    For a large function with several callers. All its parameters are int64, it returns `int` (or None), and its name
    is unique in its module.
    """
    return _decorate(function, Separate)


def entry(function: _Function) -> _Function:
    """Put before `compiled` or `inlined`, marks what Python calls with int64 alone: `compile_ahead` makes it ready."""
    _ENTRIES.append(function)
    return function


def compile_ahead() -> None:
    """Compile all entry points that have been imported, and what is `separate`, or load them; nothing is run."""
    if INTERPRETED:
        return
    functions: list[Any] = [*_ENTRIES, *Separate.known]
    for function in functions:
        count = len(inspect.signature(function).parameters)
        function.compile((numba.types.int64,) * count)


def _decorate(function: _Function, kind: type[Dispatcher], *, forceinline: bool = False) -> _Function:
    if INTERPRETED:
        return function
    numba_config.CACHE_DIR = str(cache_folder(Path(function.__code__.co_filename)))
    options = {"nopython": True, "nogil": True, "error_model": "numpy", "forceinline": forceinline}
    dispatcher = kind(function, targetoptions=options)
    dispatcher.enable_caching()
    return dispatcher


def cache_root() -> Path:
    """Where machine code is kept: `$RINGEX_CACHE`, else `$XDG_CACHE_HOME/ringex`, else `~/.cache/ringex`."""
    named = os.environ.get("RINGEX_CACHE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ringex"


@cache
def cache_folder(source: Path) -> Path:
    """The cache folder of the functions in `source`, named by everything their machine code depends on."""
    digest = hashlib.blake2b(digest_size=8)
    versions = (sys.version, numba.__version__, llvmlite.__version__, np.__version__)
    digest.update(repr(versions).encode())
    for path in sorted(_closure(source.resolve())):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return cache_root() / digest.hexdigest()


def _closure(source: Path) -> set[Path]:
    """`source` and every ringex module that it imports, directly or through others."""
    found: set[Path] = set()
    waiting = [source]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        waiting.extend(_imports(path))
    return found


@cache
def _imports(source: Path) -> tuple[Path, ...]:
    paths: list[Path] = []
    for node in ast.walk(ast.parse(source.read_bytes())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "ringex":
            names = [node.module] + [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names if alias.name.split(".")[0] == "ringex"]
        else:
            continue
        for name in names:
            base = PACKAGE_DIR.joinpath(*name.split(".")[1:])
            for candidate in (base.with_suffix(".py"), base / "__init__.py"):
                if candidate.is_file():
                    paths.append(candidate.resolve())
    return tuple(paths)
