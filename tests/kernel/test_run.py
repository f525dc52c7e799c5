"""`egressguard run` as a command: status, streams, summary, report, nesting."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import under_run

pytestmark = pytest.mark.usefixtures("kernel_layer")


def run(command: list[str], *options: str, **more: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        under_run(command, *options),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **more,  # type: ignore[call-overload]
    )


@pytest.mark.parametrize(
    ("command", "status"),
    [
        (["true"], 0),
        (["sh", "-c", "exit 7"], 7),
        (["sh", "-c", "kill -9 $$"], 137),
        (["no-such-program"], 127),
        (["/"], 126),
    ],
)
def test_exit_status(command: list[str], status: int) -> None:
    assert run(command).returncode == status


def test_nothing_is_said_where_nothing_was_refused() -> None:
    assert run(["true"]).stderr == ""


def test_streams_pass_through() -> None:
    done = run(["sh", "-c", "cat; echo err >&2"], input="in")
    assert (done.stdout, done.stderr) == ("in", "err\n")


def test_terminal_passes_through() -> None:
    leader, follower = pty.openpty()
    command = under_run([sys.executable, "-c", "import os; print([os.isatty(n) for n in (0, 1, 2)])"])
    process = subprocess.Popen(command, stdin=follower, stdout=follower, stderr=follower, start_new_session=True)
    assert process.wait(timeout=30) == 0
    os.close(follower)
    assert b"[True, True, True]" in os.read(leader, 1000)
    os.close(leader)


def test_summary_and_report_name_the_program(tmp_path: Path) -> None:
    report = tmp_path / "report"
    done = run(["bash", "-c", "exec 3<>/dev/tcp/198.51.100.1/443"], "--report", str(report))
    assert "bash tried 198.51.100.1:443: not-listed" in done.stderr
    [line] = [json.loads(line) for line in report.read_text().splitlines()]
    assert (line["program"], line["host"], line["port"], line["kernel"]) == ("bash", "198.51.100.1", 443, True)


def test_bad_entry_runs_nothing() -> None:
    done = run(["echo", "ran"], "--allow", "localhost:1")
    assert done.returncode == 125
    assert done.stdout == ""
    assert "localhost" in done.stderr


def test_empty_allow_file_allows_nothing(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.write_text("# nothing\n")
    command = [sys.executable, "-m", "egressguard.cli", "run", "--allow-file", str(empty), "--", "true"]
    assert subprocess.run(command, check=False).returncode == 0


def test_run_inside_run_says_so() -> None:
    done = run([sys.executable, "-m", "egressguard.cli", "run", "--", "echo", "ran"])
    assert done.returncode == 125
    assert "already" in done.stderr
    assert done.stdout == ""


INSIDE = """
import egressguard
egressguard.install()
try:
    egressguard.install_kernel()
except egressguard.KernelLayerUnavailable as error:
    print(error)
try:
    __import__("socket").create_connection(("127.0.0.1", 9))
except egressguard.EgressViolation:
    print("the Python layer holds")
"""


def test_install_kernel_inside_run_says_so_and_install_holds() -> None:
    lines = run([sys.executable, "-c", INSIDE]).stdout.splitlines()
    assert "already stands under egressguard" in lines[0]
    assert lines[1] == "the Python layer holds"


CAPABILITY = """
import ctypes, errno, socket, struct
from egressguard import _egressguard, install
take = _egressguard._set_test_loopback
install(); take(True)
listener = socket.create_server(("127.0.0.1", 0))
address = struct.pack("=H", 2) + struct.pack("!H", listener.getsockname()[1]) + socket.inet_aton("127.0.0.1") + bytes(8)
libc = ctypes.CDLL(None, use_errno=True)
s = socket.socket()
print(libc.connect(s.fileno(), address, 16), errno.errorcode[ctypes.get_errno()])
"""


def test_capability_does_not_exist_under_run() -> None:
    assert run([sys.executable, "-c", CAPABILITY]).stdout == "-1 EACCES\n"
