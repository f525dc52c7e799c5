"""CPython's own tests of its sockets, some of them, with the guard and without: `./dev cpython-tests` runs them all."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import children
import pytest

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 110

pytestmark = [
    pytest.mark.usefixtures("own_network"),
    pytest.mark.skipif(importlib.util.find_spec("test.test_socket") is None, reason="this CPython ships no tests"),
]


def compare(*arguments: object) -> children.Child:
    """Run the comparison on this interpreter, with the egressguard that is installed in it."""
    command = [sys.executable, "-m", "tools.cpython_tests", "--here", *map(str, arguments)]
    return children.start(command, cwd=ROOT, seconds=SECONDS)


def patterns(*names: str) -> list[str]:
    return [word for name in names for word in ("--match", name)]


def test_sockets_behave_as_without_the_guard() -> None:
    chosen = patterns(
        ".GeneralModuleTests.", ".BasicTCPTest.", ".BasicUDPTest.", ".TestUnixDomain.", ".TCPTimeoutTest."
    )
    child = compare("--only", "test_socket", *chosen)
    assert child.code == 0, child.out + child.err
    assert " 0 different" in child.out


def test_event_loops_and_servers_behave_as_without_the_guard() -> None:
    child = compare(
        "--only", "test_asyncio.test_sock_lowlevel", "--only", "test_asyncio.test_streams", "--only", "test_poplib"
    )
    assert child.code == 0, child.out + child.err
    assert " 0 different" in child.out


def test_a_difference_is_found_and_told(tmp_path: Path) -> None:
    nothing = tmp_path / "accepted.txt"
    nothing.write_text("# nothing\n")
    child = compare("--only", "test_imaplib", *patterns("test_imap4_host_default_value"), "--accepted", nothing)
    assert child.code == 1, child.out + child.err
    assert "0 tests pass both ways; 1 different, 0 accepted" in child.out
    assert "test_imap4_host_default_value" in child.out
    assert "EgressViolation: refused 0.0.0.0:143 (connect)" in child.out


def test_a_line_that_accepts_what_no_longer_differs_is_told(tmp_path: Path) -> None:
    old = tmp_path / "accepted.txt"
    version = ".".join(map(str, sys.version_info[:2]))
    old.write_text(f"{version} test.test_asyncio.test_server.* a reason of long ago\n")
    child = compare("--only", "test_asyncio.test_server", "--accepted", old)
    assert child.code == 1, child.out + child.err
    assert f"accepted.txt: passes both ways, take it out: {version} test.test_asyncio.test_server.*" in child.out
