"""Memory that lacks never opens anything: each allocation of each action fails once, and once with all after it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import children
import pytest
from listeners import Endpoint

HERE = Path(__file__).parent
REFUSED = (
    "first refusal",
    "connect",
    "connect_ex",
    "connect, copied",
    "connect, IPv6",
    "connect, localhost",
    "connect, path",
    "sendto",
    "sendmsg",
    "sendmsg, many",
    "bind",
    "setsockopt",
    "getaddrinfo",
    "gethostbyname",
    "gethostbyname_ex",
    "gethostbyaddr",
    "getnameinfo",
)
DONE = (
    "install",
    "install, default",
    "observe",
    "connect, listed",
    "getaddrinfo, localhost",
    "violations",
    "allowlist",
    "posture",
    "explain",
)


@pytest.fixture(scope="session")
def preloaded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the library that has allocations fail."""
    if "ASAN_OPTIONS" in os.environ:
        pytest.skip("ASan brings a malloc of its own; what fails under it are the interpreter's allocators")
    if shutil.which("gcc") is None:
        pytest.skip("no C compiler")
    target = tmp_path_factory.mktemp("preload") / "failing_malloc.so"
    flags = ["-O1", "-fPIC", "-shared", "-Wall", "-Wno-pedantic", "-ftls-model=initial-exec"]
    subprocess.run(["gcc", *flags, "-o", target, HERE / "failing_malloc.c", "-ldl"], check=True)
    return target


def run(allocator: str, action: str, port: int, preload: Path | None = None) -> dict[str, Any]:
    """Run the child; return what it told."""
    before = [] if preload is None else ["env", f"LD_PRELOAD={preload}"]
    command = [*before, sys.executable, "-P", str(HERE / "allocating.py"), allocator, action, str(port)]
    told = children.start(command, seconds=300).last()
    assert isinstance(told, dict)
    return told


def judge(told: dict[str, Any], action: str, listener: Endpoint) -> None:
    assert told["strange"] == []
    assert told["expected"] == ("done" if action in DONE else "refused")
    assert listener.seen() == []


@pytest.mark.timeout(400)
@pytest.mark.parametrize("action", [*REFUSED, *DONE])
def test_an_allocation_of_the_interpreter_fails(action: str, listener: Endpoint) -> None:
    pytest.importorskip("_testcapi")
    told = run("python", action, listener.port)
    assert told["allocations"] > 0
    judge(told, action, listener)


@pytest.mark.timeout(400)
@pytest.mark.parametrize("action", [*REFUSED, *DONE])
def test_an_allocation_of_the_c_library_fails(action: str, listener: Endpoint, preloaded: Path) -> None:
    told = run("c", action, listener.port, preloaded)
    judge(told, action, listener)


def test_the_tests_above_have_allocations_fail(listener: Endpoint, preloaded: Path) -> None:
    """Where nothing failed they prove nothing: `install` maps its state."""
    assert run("c", "install", listener.port, preloaded)["words"].get("no memory", 0) > 0
