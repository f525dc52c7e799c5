"""What is installed: one exported symbol, a hardened extension, types, and no fallback."""

from __future__ import annotations

import ast
import importlib.metadata
import inspect
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import children
import pytest

import egressguard
from egressguard import _egressguard

PACKAGE = Path(egressguard.__file__).parent
EXTENSION = Path(_egressguard.__file__)
needs_binutils = pytest.mark.skipif(
    shutil.which("readelf") is None or sys.platform != "linux", reason="readelf (binutils) is not installed"
)


def readelf(*arguments: str) -> str:
    """Return what readelf says of the extension."""
    words = ["readelf", "--wide", *arguments, str(EXTENSION)]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def symbols(defined: bool) -> set[str]:
    """Return the names of the dynamic symbols that are defined, or undefined."""
    found = set()
    for line in readelf("--dyn-syms").splitlines():
        fields = line.split()
        if len(fields) >= 8 and fields[0].rstrip(":").isdigit() and (fields[6] != "UND") == defined:
            found.add(fields[7].partition("@")[0])
    return found


@needs_binutils
def test_one_symbol_is_exported() -> None:
    """Nothing in the process can call, or be bound to, the guard's inside."""
    assert symbols(defined=True) == {"PyInit__egressguard"}


@needs_binutils
def test_the_environment_is_not_read() -> None:
    """ADR-0006: no environment variable. What libc reads for a lookup is another matter (ADR-0009)."""
    assert not {name for name in symbols(defined=False) if "getenv" in name or name in ("environ", "__environ")}


@needs_binutils
def test_the_hardening_flags_took_effect() -> None:
    """Seen in the file, not in the build's log: full RELRO, no executable stack, fortified calls, stack protector."""
    dynamic, headers = readelf("--dynamic"), readelf("--program-headers")
    assert "BIND_NOW" in dynamic
    assert re.search(r"GNU_RELRO", headers)
    (stack,) = [line for line in headers.splitlines() if "GNU_STACK" in line]
    assert "RWE" not in stack
    assert "E" not in stack.split()[6]
    undefined = symbols(defined=False)
    assert "__stack_chk_fail" in undefined
    assert {name for name in undefined if name.endswith("_chk") and name != "__stack_chk_fail"}
    assert "TEXTREL" not in dynamic


@pytest.mark.skipif(platform.machine() != "x86_64", reason="-fcf-protection exists on x86 alone")
def test_indirect_branches_land_on_endbr64() -> None:
    """The linker keeps its note only where every object of the toolchain has one; the instructions are there anyway."""
    assert EXTENSION.read_bytes().count(b"\xf3\x0f\x1e\xfa") > 100


def test_a_missing_extension_is_an_import_error(tmp_path: Path) -> None:
    """A pure-Python fallback would be a guard that guards nothing."""
    shutil.copytree(PACKAGE, tmp_path / "egressguard", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    source = "import egressguard"
    child = children.python(source, flags=["-S"], env={"PYTHONPATH": str(tmp_path)})
    assert child.code == 1
    assert "ImportError" in child.err.splitlines()[-1]
    assert "_egressguard" in child.err.splitlines()[-1]


@pytest.mark.parametrize("damage", [b"", b"\x7fELF", b"not an object"])
def test_a_broken_extension_is_an_import_error(damage: bytes, tmp_path: Path) -> None:
    shutil.copytree(PACKAGE, tmp_path / "egressguard", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "egressguard" / EXTENSION.name).write_bytes(damage)
    child = children.python("import egressguard", flags=["-S"], env={"PYTHONPATH": str(tmp_path)})
    assert child.code == 1
    assert child.err.splitlines()[-1].startswith("ImportError")


def test_importing_has_no_side_effect() -> None:
    """No thread, no descriptor, no hook, no swapped route, no handler, no changed built-in."""
    source = """
        import logging, os, signal, socket, sys, threading
        import _socket
        from inside import tell
        def state():
            return [sorted(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task")), threading.active_count(),
                    [str(signal.getsignal(one)) for one in signal.valid_signals()], sys.gettrace(), sys.getprofile(),
                    [repr(vars(_socket)[name]) for name in sorted(vars(_socket))], repr(sys.meta_path), repr(sys.path_hooks),
                    repr(logging.root.handlers), sys.getswitchinterval(), sys.getrecursionlimit(), dict(os.environ)]
        before = state()
        import egressguard
        after = state()
        routes = egressguard.posture()["routes"]
        tell([[one for one, other in zip(before, after) if one != other], {name for name in routes if routes[name]["swapped"]} == set(),
              egressguard.posture()["floor_heard"], logging.getLogger("egressguard").handlers])
    """
    assert children.python(source).last() == [[], True, False, []]


def test_the_runtime_has_no_dependency() -> None:
    requires = importlib.metadata.requires("egressguard") or []
    assert [one for one in requires if "extra ==" not in one] == []


def test_importing_it_imports_little() -> None:
    """A guard that drags a library in enlarges what it guards."""
    source = """
        import sys
        import socket, logging
        from inside import tell
        before = set(sys.modules)
        import egressguard
        egressguard.install()
        tell(sorted(set(sys.modules) - before))
    """
    new = children.python(source).last()
    assert all(name.startswith("egressguard") for name in new), new


def test_types_are_shipped() -> None:
    assert (PACKAGE / "py.typed").read_text() == ""
    assert (PACKAGE / "_egressguard.pyi").exists()


def stub() -> ast.Module:
    """Return the parsed stub of the extension."""
    return ast.parse((PACKAGE / "_egressguard.pyi").read_text(encoding="utf-8"))


def test_the_stub_names_what_there_is() -> None:
    """Neither less nor more, but for what is hidden on purpose."""
    names = set()
    for node in stub().body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    there = {name for name in vars(_egressguard) if not (name.startswith("__") and name.endswith("__"))}
    assert names == there


def test_the_stub_agrees_on_arguments() -> None:
    """Each function takes as many positional arguments as the stub says, and refuses one more."""
    for node in stub().body:
        if isinstance(node, ast.FunctionDef):
            most = len(node.args.posonlyargs) + len(node.args.args)
            function = getattr(_egressguard, node.name)
            assert not [*node.args.args, *node.args.kwonlyargs], f"{node.name}: positional-only, as in C"
            with pytest.raises(TypeError):
                function(*[None] * (most + 1))
            with pytest.raises(TypeError):
                function(unknown=None)


def test_the_violations_fields_are_in_the_stub() -> None:
    (violation,) = [node for node in stub().body if isinstance(node, ast.ClassDef) and node.name == "EgressViolation"]
    fields = {
        node.target.id
        for node in violation.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    assert fields == {name for name in vars(egressguard.EgressViolation) if not name.startswith("_")}


def test_every_public_name_is_documented() -> None:
    """`__all__` is what there is, and each has a docstring."""
    for name in egressguard.__all__:
        value = getattr(egressguard, name)
        if callable(value):
            assert inspect.getdoc(value), name
    public = {
        name for name, value in vars(egressguard).items() if not name.startswith("_") and not inspect.ismodule(value)
    }
    assert public - {"annotations", "TYPE_CHECKING"} == set(egressguard.__all__)


def test_the_command_is_installed() -> None:
    (script,) = [
        one
        for one in importlib.metadata.entry_points(group="console_scripts")
        if one.dist and one.dist.name == "egressguard"
    ]
    assert script.name == "egressguard"
    assert os.access(Path(sys.executable).parent / "egressguard", os.X_OK)
