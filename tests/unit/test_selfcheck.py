"""`egressguard self-check` and `codegenie self-check egress`: reports only, and changes nothing."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import children
import pytest

import egressguard
from egressguard import _selfcheck

BIN = Path(sys.executable).parent
COMMANDS = {
    "egressguard": [str(BIN / "egressguard"), "self-check"],
    "python -m": [sys.executable, "-P", "-m", "egressguard.cli", "self-check"],
    "codegenie": [str(BIN / "codegenie"), "self-check", "egress"],
}


def command(name: str, *arguments: object) -> list[str]:
    """Return the words of a command; skip where its distribution is not installed."""
    if not Path(COMMANDS[name][0]).exists():
        pytest.skip(f"{COMMANDS[name][0]} is not installed")
    return [*COMMANDS[name], *map(str, arguments)]


@pytest.fixture(params=COMMANDS)
def name(request: pytest.FixtureRequest) -> str:
    """Return the name of each command in turn."""
    return str(request.param)


def test_it_says_what_a_fresh_process_can_know(name: str) -> None:
    child = children.start(command(name))
    assert (child.code, child.err) == (0, "")
    for words in (
        "egressguard " + egressguard.__version__,
        "not installed",
        "api.anthropic.com:443",
        "connect",
        "getaddrinfo",
    ):
        assert words in child.out
    assert "NOT KNOWN" not in child.out


def report(name: str, *arguments: object) -> dict[str, Any]:
    """Return the report for machines."""
    child = children.start(command(name, "--json", *arguments))
    assert (child.code, child.err) == (0, "")
    told = json.loads(child.out)
    assert isinstance(told, dict)
    return told


ROUTES = ["connect", "connect_ex", "sendto", "sendmsg", "bind", "setsockopt", "getaddrinfo", "gethostbyname",
          "gethostbyname_ex", "gethostbyaddr", "getnameinfo"]  # fmt: skip


def test_the_report_for_machines(name: str) -> None:
    """Every route by name; not installed, so none is enforced, and the capability was not touched."""
    told = report(name)
    assert told["installed"] is False
    assert told["could_be_guarded"] is True
    assert list(told["routes"]) == ROUTES
    assert all(route["known"] and not route["enforced"] for route in told["routes"].values())
    assert (told["capability"], told["loopback_threads"], told["violations"]) == ("available", 0, 0)
    assert told["allowlist"] == ["api.anthropic.com:443"]
    assert any("native code" in item for item in told["not_covered"])


def test_a_given_list(name: str, tmp_path: Path) -> None:
    """From the command line and from a file; what it reports is the canonical spelling."""
    file = tmp_path / "allow.txt"
    file.write_text("# the comment\nB.example:80-81  # why\n\nunix:/run/a\n")
    told = report(name, "--allow", "A.example.:443", "--allow-file", file)
    assert told["allowlist"] == ["a.example:443", "b.example:80-81", "unix:/run/a"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--allow", "nonsense"], "allowlist entry 'nonsense': the port is missing"),
        (["--allow", "localhost:80"], "names this machine"),
        (["--allow-file", "/nowhere"], "No such file"),
        (["/nowhere"], "No such file"),
        (["/dev/null"], "egressguard self-check"),
    ],
)
def test_it_ends_with_status_zero_whatever_is_wrong(arguments: list[str], text: str) -> None:
    """It is for operators' scripts: it reports."""
    child = children.start(command("python -m", *arguments))
    assert child.code == 0
    assert text in child.out + child.err


def test_a_posture_of_another_process(name: str, tmp_path: Path) -> None:
    """`posture_to` writes it, the command shows it."""
    file = tmp_path / "posture.json"
    source = """
        import socket, sys
        from inside import word
        import egressguard
        egressguard.install(("a.example:443",))
        word(lambda: socket.socket().connect(("127.0.0.1", 9)))
        egressguard.posture_to(sys.argv[1])
    """
    assert children.python(source, file).code == 0
    shown = children.start(command(name, file))
    assert shown.code == 0
    for words in ("installed", "a.example:443", "enforced", "gone"):
        assert words in shown.out
    assert re.search(r"^violations\s+1$", shown.out, re.MULTILINE)
    told = report(name, file)
    assert told["installed"] is True
    assert all(route["enforced"] for route in told["routes"].values())


def test_the_posture_is_written_whole(tmp_path: Path) -> None:
    """By way of another file that is renamed: a reader never sees half of it, and nothing is left over."""
    file = tmp_path / "posture.json"
    file.write_text("old")
    before = file.stat().st_ino
    egressguard.posture_to(file)
    assert file.stat().st_ino != before
    assert json.loads(file.read_text())["pid"] == os.getpid()
    assert [path.name for path in tmp_path.iterdir()] == ["posture.json"]


AUDITED = """
import json, os, sys
seen = []
WATCHED = ("socket.", "subprocess.", "os.exec", "os.fork", "os.posix_spawn", "os.system", "pty.", "egressguard")
def hook(event, arguments):
    if event.startswith(WATCHED) and event != "egressguard.floor":
        seen.append(event)
sys.addaudithook(hook)
before = set(os.listdir("/proc/self/fd"))
from egressguard import _egressguard, cli
import io, contextlib
with contextlib.redirect_stdout(io.StringIO()) as out:
    status = cli.main(["self-check", *sys.argv[1:]])
from inside import tell
sockets = [os.readlink(f"/proc/self/fd/{fd}") for fd in set(os.listdir("/proc/self/fd")) - before if os.path.exists(f"/proc/self/fd/{fd}")]
tell([status, seen, [link for link in sockets if "socket" in link], _egressguard.posture()["installed"],
      _egressguard.posture()["capability"], _egressguard.allowlist(), len(out.getvalue()) > 100])
"""


@pytest.mark.parametrize("arguments", [[], ["--json"], ["--allow", "a.example:443"]])
def test_it_opens_no_socket_starts_no_program_and_installs_nothing(arguments: list[str]) -> None:
    """Every audit event of the process is watched while it runs."""
    assert children.python(AUDITED, *arguments).last() == [0, [], [], False, "available", None, True]


STRACE = shutil.which("strace")


@pytest.mark.skipif(STRACE is None, reason="strace is not installed")
def test_the_kernel_sees_no_socket_either(tmp_path: Path) -> None:
    """What C code would do without an audit event."""
    log = tmp_path / "trace"
    # Of sockets and programs; ptrace itself may be forbidden here.
    calls = "trace=socket,socketpair,connect,sendto,sendmsg,execve,execveat,fork,vfork"
    child = children.start([str(STRACE), "-f", "-o", str(log), "-e", calls, *command("python -m")])
    if child.code:
        pytest.skip(f"strace cannot trace here: {child.err.strip()[:100]}")
    lines = [line for line in log.read_text().splitlines() if "(" in line]
    assert len([line for line in lines if "execve(" in line]) == 1  # the command itself
    assert [line for line in lines if "execve(" not in line] == []


def test_codegenie_answers_nothing_else() -> None:
    """Another command line is the usage and status 2: the name belongs to an application."""
    for words in ([], ["self-check"], ["self-check", "disk"], ["run"], ["--help"]):
        command("codegenie")
        child = children.start([str(BIN / "codegenie"), *words])
        assert child.code == 2
        assert "usage: codegenie self-check egress" in child.err


@pytest.mark.parametrize(
    ("abi", "yama", "told", "mark"),
    [
        (7, "absent: any process", "ABI 7: what `egressguard run` starts cannot trace what is outside", ""),
        (
            4,
            "0: any process",
            "ABI 4: what `egressguard run` starts can trace what is outside, if Yama lets it",
            "warn",
        ),
        (None, "1: only a parent", "off: what `egressguard run` starts can trace what is outside, if Yama lets it", ""),
    ],
)
def test_whether_a_command_is_kept_from_tracing_others(abi: int | None, yama: str, told: str, mark: str) -> None:
    report = _selfcheck.fresh(())
    report["machine"] |= {"landlock_abi": abi, "landlock": "off", "yama": yama}
    assert ("landlock", told, mark) in list(_selfcheck.rows(report))
