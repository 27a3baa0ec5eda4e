"""How functions are compiled: once, cached by all their sources, called through pointers, with their assertions."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ringex.jit import INTERPRETED

pytestmark = pytest.mark.skipif(INTERPRETED, reason="nothing is compiled with NUMBA_DISABLE_JIT=1")

REPOSITORY = Path(__file__).resolve().parent.parent

LEAF = """
from __future__ import annotations
from ringex.jit import compiled

@compiled
def doubled(number: int) -> int:
    assert number < 1000, "too large"
    return number * 2
"""
MIDDLE = """
from __future__ import annotations
from ringex.jit import separate
from ringex.rooms.leaf import doubled

@separate
def doubled_and_one(number: int) -> int:
    return doubled(number) + 1
"""
TOP = """
from __future__ import annotations
from ringex.jit import compile_ahead, compiled, entry
from ringex.rooms.middle import doubled_and_one

@entry
@compiled
def total(count: int) -> int:
    result = 0
    for number in range(count):
        result += doubled_and_one(number)
    return result
"""


class Package:
    """A copy of what compiling needs of ringex, with three modules that call each other, and a cache of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        package = folder / "ringex"
        (package / "rooms").mkdir(parents=True)
        for name in ("__init__.py", "jit.py", "dispatch.py"):
            (package / name).write_bytes((REPOSITORY / "ringex" / name).read_bytes())
        (package / "rooms" / "__init__.py").touch()
        for name, source in (("leaf", LEAF), ("middle", MIDDLE), ("top", TOP)):
            self.write(name, source)

    def write(self, name: str, source: str) -> None:
        (self.folder / "ringex" / "rooms" / f"{name}.py").write_text(source)

    def run(self, code: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": str(self.folder), "RINGEX_CACHE": str(self.folder / "cache")}
        code = "from ringex.rooms.top import *; from ringex.rooms import leaf, middle, top\n" + code
        return subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=self.folder, check=False
        )

    def printed(self, code: str) -> str:
        result = self.run(code)
        assert result.returncode == 0, result.stderr
        return result.stdout.strip()


@pytest.fixture
def package(tmp_path: Path) -> Package:
    return Package(tmp_path)


MISSES = "sum(n for f in (top.total, middle.doubled_and_one) for n in f.stats.cache_misses.values())"


def test_a_second_process_compiles_nothing(package: Package) -> None:
    code = f"compile_ahead(); print({MISSES}, total(4))"
    assert package.printed(code) == "2 16"
    assert package.printed(code) == "0 16"


def test_a_change_in_a_callee_of_another_file_recompiles_its_callers(package: Package) -> None:
    code = f"compile_ahead(); print({MISSES}, total(4))"
    assert package.printed(code) == "2 16"
    package.write("leaf", LEAF.replace("* 2", "* 3"))
    assert package.printed(code) == "2 22"


def test_a_change_in_a_caller_leaves_its_callees_as_they_are(package: Package) -> None:
    code = f"compile_ahead(); print({MISSES}, total(4))"
    assert package.printed(code) == "2 16"
    package.write("top", TOP.replace("result = 0", "result = 100"))
    assert package.printed(code) == "1 116"


def test_a_separate_function_is_compiled_or_loaded_at_its_first_call(package: Package) -> None:
    code = f"print(total(4), {MISSES})"
    assert package.printed(code) == "16 2"
    assert package.printed(code) == "16 0"


def test_what_only_compiled_code_calls_is_not_compiled_by_itself(package: Package) -> None:
    assert package.printed("total(4); print(sum(leaf.doubled.stats.cache_misses.values()))") == "0"
    assert package.printed("total(4); print(leaf.doubled(21), total(4))") == "42 16"


@pytest.mark.parametrize("before", ["", "compile_ahead()"], ids=["lazily", "ahead"])
def test_an_assertion_below_a_separate_function_raises_in_python(package: Package, before: str) -> None:
    for _ in ("compiled", "from the cache"):
        result = package.run(f"{before}\ntotal(1000); print('so far'); total(1001)")
        assert result.stdout.strip() == "so far"
        assert "AssertionError: too large" in result.stderr


def test_a_separate_function_that_cannot_be_compiled_stops_its_callers(package: Package) -> None:
    package.write("leaf", LEAF.replace("number * 2", "number.nothing"))
    result = package.run("total(4); print('went on')")
    assert "SystemError" in result.stderr and "Unknown attribute 'nothing'" in result.stderr
    assert "went on" not in result.stdout


MIXED = """
@compiled
def mixed(number: int) -> int:
    return doubled(np.int32(number)) + doubled(np.uint8(7)) + doubled(3)
"""


def test_integers_of_every_width_share_one_compilation(package: Package) -> None:
    package.write("leaf", LEAF.replace("from ringex", "import numpy as np\nfrom ringex") + MIXED)
    assert package.printed("print(leaf.mixed(5), len(leaf.doubled.overloads))") == "30 1"
