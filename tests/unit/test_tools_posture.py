"""The posture of the machine and of the process beside the guard, and how the self-check shows it."""

from __future__ import annotations

import ctypes
import json
import os
import pty
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import children
import pytest

from egressguard import _elf, _terminal

MODULE = [sys.executable, "-P", "-m", "egressguard.cli"]
COMPILER = shutil.which("cc") or shutil.which("gcc")


def check(*arguments: str, env: dict[str, str] | None = None, prefix: tuple[str, ...] = ()) -> children.Child:
    """Run the self-check."""
    return children.start([*prefix, *MODULE, "self-check", *arguments], env=env)


def report(*arguments: str, env: dict[str, str] | None = None, prefix: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the self-check's report."""
    found: dict[str, Any] = json.loads(check("--json", *arguments, env=env, prefix=prefix).out)
    return found


def test_it_says_what_the_operating_system_says() -> None:
    machine = report()["machine"]
    status = Path("/proc/self/status").read_text()
    assert machine["network_namespace"] == os.readlink("/proc/self/ns/net")
    assert f"NoNewPrivs:\t{int(machine['no_new_privileges'])}" in status
    assert machine["seccomp"] in ("off", "strict", "filter")
    for word, path, missing in (
        ("io_uring", "io_uring_disabled", "this kernel has no switch"),
        ("yama", "yama/ptrace_scope", "absent"),
    ):
        setting = Path("/proc/sys/kernel", path)
        assert machine[word].startswith(setting.read_text().strip() if setting.exists() else missing)
    assert machine["landlock"] in ("on", "off") or "cannot be read" in machine["landlock"]
    version = ctypes.CDLL(None).syscall(444, None, 0, 1)  # landlock_create_ruleset(2) asked for its version
    assert machine["landlock_abi"] == (version if version > 0 else None)
    assert set(machine["packet_filters"]) == {"nftables", "iptables", "ip6tables"}


def test_another_network_namespace_is_another(own_network: None) -> None:
    inside = report(prefix=children.namespace())["machine"]["network_namespace"]
    assert inside != os.readlink("/proc/self/ns/net")


def test_no_new_privileges_is_seen() -> None:
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("no setpriv")
    assert report(prefix=(setpriv, "--no-new-privs"))["machine"]["no_new_privileges"] is True


def test_proxies_are_told_without_their_passwords() -> None:
    variables = {"HTTPS_PROXY": "http://me:secret@proxy.example:3128", "no_proxy": "localhost"}
    child = check(env=variables)
    assert "HTTPS_PROXY=http://...@proxy.example:3128" in child.out
    assert "no_proxy=localhost" in child.out
    assert "secret" not in child.out
    assert report(env=variables)["machine"]["proxies"]["no_proxy"] == "localhost"


def test_the_plain_check_opens_no_socket_starts_no_program_and_exits_0(tmp_path: Path) -> None:
    source = """
import sys
def hook(event, arguments):
    if event.startswith("socket.") or event in ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.fork", "os.system"):
        seen.append(event)
seen = []
sys.addaudithook(hook)
from egressguard import cli
status = [cli.main(["self-check"]), cli.main(["self-check", "--json"]), cli.main(["self-check", "/missing"])]
from inside import tell
tell([status, seen])
"""
    assert children.python(source).last() == [[0, 0, 0], []]


def test_a_socket_from_before_install_is_told_as_such(listener: Any) -> None:
    source = """
import socket, sys, egressguard
from inside import tell
address = ("127.0.0.1", int(sys.argv[1]))
early = socket.create_connection(address)
egressguard.install()
tell(egressguard.posture()["open"]["connected_sockets"])
early.close()
tell(egressguard.posture()["open"]["connected_sockets"])
"""
    before, after = children.python(source, listener.port).told()
    [one] = before
    assert one["peer"] == f"127.0.0.1:{listener.port}"
    assert (one["protocol"], one["before_install"]) == ("tcp", True)
    assert after == []


def test_an_ipv6_peer_is_read_right() -> None:
    try:
        server = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("no IPv6 loopback")
    source = """
import socket, sys, egressguard
from inside import tell
one = socket.create_connection(("::1", int(sys.argv[1])))
tell(egressguard.posture()["open"]["connected_sockets"][0])
"""
    with server:
        port = server.getsockname()[1]
        told = children.python(source, port).last()
    assert told["peer"] == f"[::1]:{port}"
    assert told["before_install"] is None  # nobody installed


def test_a_program_that_was_started_is_told() -> None:
    source = """
import os, subprocess, egressguard
from inside import tell
egressguard.install()
child = subprocess.Popen(["sleep", "60"])
reader, writer = os.pipe()
pid = os.fork()
if pid == 0:
    os.close(writer)
    os.read(reader, 1)
    os._exit(0)
told = egressguard.posture()["open"]["programs"]
child.kill()
os.close(writer)
tell(sorted([one["forked"], os.path.basename(one["program"])] for one in told))
"""
    [[first, program], [second, _]] = children.python(source).last()
    assert (first, second) == (False, True)
    assert program in ("sleep", "coreutils", "busybox")


@pytest.mark.skipif(COMPILER is None, reason="no C compiler")
def test_a_shared_object_that_dials_itself_is_told(tmp_path: Path) -> None:
    source = tmp_path / "probe.c"
    source.write_text(
        "#include <sys/socket.h>\n#include <netdb.h>\n"
        'int dial(int s) { struct addrinfo *a; getaddrinfo("x", "1", 0, &a); return connect(s, a->ai_addr, 16); }\n'
    )
    library = tmp_path / "libprobe.so"
    subprocess.run([str(COMPILER), "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
    code = """
import ctypes, sys, egressguard
from inside import tell
before = egressguard.posture()["open"]["native_code"]
library = ctypes.CDLL(sys.argv[1])
tell([one for one in egressguard.posture()["open"]["native_code"] if one not in before and one["file"] == sys.argv[1]])
"""
    assert children.python(code, library).last() == [
        {"file": str(library), "distribution": None, "imports": ["connect", "getaddrinfo"]}
    ]


def test_what_the_guard_holds_itself_is_not_told() -> None:
    source = """
import ssl, socket, egressguard
from inside import tell
tell([one["file"] for one in egressguard.posture()["open"]["native_code"]])
"""
    files = children.python(source).last()
    assert not [
        file for file in files if "_socket" in file or "_egressguard" in file or "/libc" in file.split("crypto")[0]
    ]


@pytest.mark.parametrize(
    "data", [b"", b"\x7fELF", b"\x7fELF\x02\x01" + b"\xff" * 60, b"#!/bin/sh\n", b"\x7fELF\x09" + b"\0" * 80]
)
def test_a_file_that_is_no_elf_imports_nothing(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "file").write_bytes(data)
    assert _elf.undefined(tmp_path / "file") == frozenset()


def test_the_reader_agrees_with_readelf() -> None:
    readelf = shutil.which("readelf")
    if readelf is None:
        pytest.skip("no readelf")
    import _ctypes

    out = subprocess.run(
        [readelf, "-W", "--dyn-syms", _ctypes.__file__], capture_output=True, text=True, check=True
    ).stdout
    rows = [line.split() for line in out.splitlines() if " UND " in line]
    assert _elf.undefined(_ctypes.__file__) == {row[7].partition("@")[0] for row in rows if len(row) > 7}


def test_the_posture_of_another_process_is_shown(tmp_path: Path) -> None:
    file = tmp_path / "posture.json"
    source = """
import contextlib, socket, sys, egressguard
egressguard.install()
with contextlib.suppress(RuntimeError):
    socket.create_connection(("127.0.0.1", 9))
egressguard.posture_to(sys.argv[1])
"""
    children.python(source, file)
    out = check(str(file)).out
    assert "guard " in out
    assert "installed" in out
    assert "violations         1" in out
    assert "route              connect: enforced" in out


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"installed": 1}', "nonsense"])
def test_a_file_that_is_no_posture_is_told_and_exits_0(tmp_path: Path, text: str) -> None:
    file = tmp_path / "posture.json"
    file.write_text(text)
    child = check(str(file))
    assert child.code == 0
    assert child.out.startswith("egressguard self-check: ")
    assert "error" in json.loads(check("--json", str(file)).out)


def on_terminal(env: dict[str, str]) -> str:
    """Run the self-check on a terminal of its own and return what it shows."""
    master, slave = pty.openpty()
    child = subprocess.Popen(
        [*MODULE, "self-check"], stdout=slave, stdin=slave, stderr=slave, env={**children.environment(), **env}
    )
    os.close(slave)
    shown = b""
    while True:
        try:
            part = os.read(master, 65536)
        except OSError:  # the terminal is closed
            break
        if not part:
            break
        shown += part
    os.close(master)
    assert child.wait() == 0
    return shown.decode()


def test_a_terminal_gets_colour_and_a_pipe_none() -> None:
    assert "\x1b[" in on_terminal({"TERM": "xterm", "HTTPS_PROXY": "http://proxy.example"})
    assert "\x1b[" not in on_terminal({"TERM": "xterm", "NO_COLOR": "1", "HTTPS_PROXY": "http://proxy.example"})
    assert "\x1b[" not in on_terminal({"TERM": "dumb", "HTTPS_PROXY": "http://proxy.example"})
    assert "\x1b[" not in check(env={"HTTPS_PROXY": "http://proxy.example"}).out


def test_columns_are_aligned_and_control_characters_are_escaped() -> None:
    lines = _terminal.table([("a", "b\x1b[31m"), ("long", "c")])
    assert lines == ["a     b\\x1b[31m", "long  c"]
