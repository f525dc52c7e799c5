"""The capability: who can take it, what it opens, and that production has none."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import children
import pytest
from listeners import Endpoint

import egressguard
from egressguard import _egressguard

ROOT = children.ROOT_CONFTEST.parent
NAME = "_set_test_loopback"
# Code of these files takes it: the fixture, and the harness that runs CPython's own test-suite under the guard.
MAY_TAKE = {"conftest.py", "tools/cpython_runner.py"}
# These ask for it where it is gone: the AttributeError is what they test.
ASK = {"tests/unit/test_capability.py", "tests/strength/leak_cases.py"}


def sources() -> Iterator[tuple[str, str]]:
    """Yield the name and the text of the project's Python files, without what builds and environments leave there."""
    folders = ("python", "codegenie", "tools", "tests", "benchmarks")
    paths = [path for name in folders for path in (ROOT / name).rglob("*.py")]
    for path in [*paths, *ROOT.glob("*.py"), ROOT / "dev"]:
        if path.exists() and "build" not in path.parts:
            yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")


def takes(tree: ast.AST) -> bool:
    """Whether code, not a string or a comment, names the capability."""
    return any(
        NAME in (getattr(node, "attr", None), getattr(node, "id", None))
        or (isinstance(node, ast.ImportFrom) and NAME in [alias.name for alias in node.names])
        for node in ast.walk(tree)
    )


def test_no_other_file_takes_the_capability() -> None:
    """ADR-0006: one conftest.py. Tests about the capability take it in a program of their own, which is a string here."""
    takers = {name for name, text in sources() if NAME in text and takes(ast.parse(text))}
    assert "conftest.py" in takers
    assert takers - ASK <= MAY_TAKE


def test_no_other_file_speaks_of_the_capability() -> None:
    """Nobody gets at it by its name in a string either, but for tests of it."""
    speakers = {name for name, text in sources() if NAME in text}
    assert {name for name in speakers if not name.startswith("tests/")} == MAY_TAKE


def test_no_shipped_module_refers_to_it() -> None:
    """In production nothing can take it by accident."""
    package = Path(egressguard.__file__).parent
    shipped = [path for path in package.rglob("*") if path.suffix in (".py", ".pyi")]
    assert len(shipped) > 5
    assert [path.name for path in shipped if "_set_test_loopback" in path.read_text(encoding="utf-8")] == []


def test_after_install_it_is_gone() -> None:
    """This very process is guarded."""
    with pytest.raises(AttributeError, match="no attribute '_set_test_loopback'"):
        _egressguard._set_test_loopback  # type: ignore[attr-defined]  # noqa: B018
    assert "_set_test_loopback" not in dir(_egressguard)
    assert egressguard.posture()["capability"] == "taken"  # by the root conftest.py, whose fixture holds it


PREAMBLE = """
import gc, importlib, sys
from inside import outcome, tell, word
import egressguard
from egressguard import _egressguard
def state(): return egressguard.posture()["capability"]
"""


def run(source: str, *arguments: object, **options: Any) -> list[Any]:
    """Run it in a child; return all that it told."""
    return children.python(PREAMBLE + source, *arguments, **options).told()


def test_in_production_nobody_took_it() -> None:
    """What an operator asserts: gone, and no thread has its flag set."""
    source = """
egressguard.install()
tell([state(), egressguard.posture()["loopback_threads"], word(lambda: _egressguard._set_test_loopback)])
"""
    assert run(source) == [["gone", 0, "AttributeError"]]


def test_it_is_in_no_dictionary_before_it_is_taken() -> None:
    """Nothing to find by walking over modules: it is made when it is asked for by name."""
    source = """
def found(): return [type(one).__name__ for one in gc.get_objects()
                     if getattr(one, "__name__", None) == "_set_test_loopback"]
tell([state(), "_set_test_loopback" in vars(_egressguard), "_set_test_loopback" in dir(_egressguard), found()])
"""
    assert run(source) == [["available", False, False, []]]


def test_the_state_follows_the_last_reference() -> None:
    """`taken` while somebody can still call it, `gone` after that."""
    source = """
states = [state()]
capability = _egressguard._set_test_loopback
states.append(state())
egressguard.install()
states.append(state())
bound = [capability]
del capability
states.append(state())
bound.clear()
states.append(state())
tell(states)
"""
    assert run(source) == [["available", "taken", "taken", "taken", "gone"]]


def test_a_later_taker_is_told_who_did() -> None:
    """One conftest.py a process: two would not know of each other's flag."""
    source = """
first = compile("from egressguard._egressguard import _set_test_loopback as kept", "/somewhere/conftest.py", "exec")
space = {}
exec(first, space)
told = outcome(lambda: _egressguard._set_test_loopback)
del space["kept"]
tell([told["type"], told["text"], word(lambda: _egressguard._set_test_loopback)])
"""
    kind, text, once_more = run(source)[0]
    assert kind == "RuntimeError"
    assert "taken already, by /somewhere/conftest.py:1" in text
    assert once_more == "RuntimeError"  # given back is not available again


MINTS = {
    "a reload of the extension": "importlib.reload(_egressguard)",
    "a new import": "[sys.modules.pop(name) for name in list(sys.modules) if name.startswith('egressguard')]"
    " and importlib.import_module('egressguard._egressguard')",
    "the file, loaded by path": "reaches_load(_egressguard.__file__)",
    "a copy of the file": "reaches_load(__import__('shutil').copy(_egressguard.__file__, sys.argv[1]))",
}
LOAD = """
def reaches_load(path):
    import importlib.machinery, importlib.util
    name = "egressguard._egressguard"
    loader = importlib.machinery.ExtensionFileLoader(name, str(path))
    module = importlib.util.module_from_spec(importlib.util.spec_from_file_location(name, path, loader=loader))
    loader.exec_module(module)
    return module
"""


@pytest.mark.parametrize("mint", MINTS)
def test_no_second_module_brings_it_back(mint: str, listener: Endpoint, tmp_path: Path) -> None:
    """What another module object hands out, if anything, opens nothing in the guard that is installed."""
    source = f"""{LOAD}
import socket
egressguard.install()
try:
    other = {MINTS[mint]}
    other._set_test_loopback(True)
    told = "handed out"
except (AttributeError, ImportError, RuntimeError) as error:
    told = type(error).__name__
tell([told, word(lambda: socket.create_connection(("127.0.0.1", int(sys.argv[2])), 5)),
      egressguard.posture()["loopback_threads"]])
"""
    told, dialled, threads = run(source, tmp_path, listener.port)[0]
    assert (dialled, threads) == ("loopback", 0)
    assert listener.seen() == []
    if mint != "a copy of the file":  # that one is another guard, which guards nothing
        assert told == "AttributeError"


@pytest.mark.parametrize("value", ["1", "0", "None", "''", "[]", "object()"])
def test_it_takes_a_bool_only(value: str) -> None:
    """A truthy accident opens nothing."""
    source = f"""
capability = _egressguard._set_test_loopback
egressguard.install()
told = outcome(lambda: capability({value}))
tell([told["type"], told["text"], egressguard.posture()["loopback_threads"]])
"""
    assert run(source) == [["TypeError", "enabled must be True or False", 0]]
