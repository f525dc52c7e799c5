"""The parent of `egressguard run` stands outside the filter: what the command leaves behind must not reach it."""

from __future__ import annotations

import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.usefixtures("kernel_layer")
# As a console script does it: the script's own folder is the first that Python looks through.
START = """
import sys
from egressguard.cli import main
sys.exit(main())
"""
DIAL = "import socket; [socket.socket().connect_ex(('198.51.100.%d' % n, 443)) for n in range(30)]"
NAMED = """
import ctypes, socket
ctypes.CDLL(None).prctl(15, b"x\x1b[2Jforged", 0, 0, 0)  # PR_SET_NAME
socket.socket().connect_ex(("127.0.0.1", 9))
"""


def start(script: Path, text: str, command: list[str], *options: str) -> subprocess.CompletedProcess[str]:
    script.write_text(text)
    words = [sys.executable, str(script), "run", "--allow", "10.9.9.9:443", *options, "--", *command]
    return subprocess.run(words, capture_output=True, text=True, timeout=60)


# ---- modules that the command wrote ----

PLANT = """
import pathlib, socket, sys
folder, port = sys.argv[1:]
print(socket.socket().connect_ex(("127.0.0.1", int(port))))
for name in sys.stdlib_module_names:
    pathlib.Path(folder, name + ".py").write_text(f'''
import sys
sys.path = [one for one in sys.path if one != {folder!r}]
import socket
socket.create_connection(("127.0.0.1", {port})).sendall(b"{name}, run outside")
''')
"""
PLAIN = """
import subprocess, sys
from collections import Counter
subprocess.run(sys.argv[sys.argv.index("--") + 1:])
Counter("abc").most_common(1)  # imports a module when it is first called
"""
INTERRUPTED = """
import sys
from egressguard import _egressguard
from egressguard.cli import main
run = _egressguard.run_supervised
def run_supervised(*arguments):
    run(*arguments)
    raise KeyboardInterrupt
_egressguard.run_supervised = run_supervised
sys.exit(main())
"""


@pytest.mark.parametrize(
    ("text", "options", "told"),
    [
        (START, (), "1 of 1 judged calls"),
        (START, ("--report", "/dev/full"), "No space left"),
        (INTERRUPTED, (), "KeyboardInterrupt"),
    ],
)
def test_modules_that_the_command_wrote_are_not_imported(
    tmp_path: Path, text: str, options: tuple[str, ...], told: str
) -> None:
    (tmp_path / "plain").mkdir()
    (tmp_path / "guarded").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as outside:
        port = str(outside.getsockname()[1])
        command = [sys.executable, "-Ic", PLANT, str(tmp_path / "plain"), port]
        assert start(tmp_path / "plain" / "start.py", PLAIN, command).stdout == "0\n"
        with outside.accept()[0]:  # the command's own dial, unguarded
            pass
        with outside.accept()[0] as connection:
            assert connection.recv(100) == b"heapq, run outside"
        command = [sys.executable, "-Ic", PLANT, str(tmp_path / "guarded"), port]
        done = start(tmp_path / "guarded" / "start.py", text, command, *options)
        assert done.stdout == "13\n"
        assert told in done.stderr
        assert not select.select([outside], [], [], 0.3)[0]


# ---- whatever would be imported ----

AUDITED = """
import os, sys
from egressguard import _egressguard
from egressguard.cli import main
seen, running, run = os.open(os.environ["SEEN"], os.O_WRONLY | os.O_CREAT), False, _egressguard.run_supervised
def hook(event, arguments):
    if running and event in ("import", "exec", "compile", "marshal.loads", "open"):
        os.write(seen, f"{event} {arguments[0]!r}\\n".encode())
def run_supervised(*arguments):
    global running
    running = True
    if "control" in os.environ:
        exec("import this")
    return run(*arguments)
sys.addaudithook(hook)
_egressguard.run_supervised = run_supervised
sys.exit(main())
"""
SLEEP = "echo ready; exec sleep 30"


@pytest.mark.parametrize(
    ("command", "options", "status"),
    [
        (["true"], (), 0),
        ([sys.executable, "-c", DIAL], (), 0),
        ([sys.executable, "-c", NAMED], (), 0),
        ([sys.executable, "-c", DIAL], ("--report", "report"), 0),
        (["true"], ("--allow", "bücher.example:443"), 0),
        (["true"], ("--allow", "127.0.0.1:443"), 125),
        (["no-such-program"], (), 127),
        (["sh", "-c", SLEEP], (), 130),
    ],
)
def test_nothing_is_imported_once_the_command_may_run(
    tmp_path: Path, command: list[str], options: tuple[str, ...], status: int
) -> None:
    seen = tmp_path / "seen"
    words = [sys.executable, "-c", AUDITED, "run", "--allow", "10.9.9.9:443", *options, "--", *command]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=tmp_path, env={"SEEN": str(seen)})
    assert process.stdout is not None
    if status == 130:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert (process.returncode, seen.read_text()) == (status, "")


def test_the_hook_of_that_test_hears_of_imports(tmp_path: Path) -> None:
    environment = {"SEEN": str(tmp_path / "seen"), "control": "1"}
    done = subprocess.run(
        [sys.executable, "-c", AUDITED, "run", "--", "true"], env=environment, capture_output=True, text=True
    )
    assert "import 'this'" in (tmp_path / "seen").read_text()
    assert "No module named 'this'" in done.stderr


# ---- what it remembers ----

MANY = """
import socket, sys
s = socket.socket()
for number in range(int(sys.argv[1])):
    s.connect_ex((f"198.18.{number >> 8 & 255}.{number & 255}", 1 + (number >> 16)))
for _ in range(5):
    s.connect_ex(("198.18.0.7", 1))
print(open(f"/proc/{__import__('os').getppid()}/statm").read().split()[1])
"""


def test_the_summary_is_bounded_and_its_totals_are_true(tmp_path: Path) -> None:
    report = tmp_path / "report"
    done = start(tmp_path / "start.py", START, [sys.executable, "-c", MANY, "1500"], "--report", str(report))
    first, second, *rest, more, others = done.stderr.splitlines()
    assert first == "egressguard: refused 1505 of 1505 judged calls:"
    assert "198.18.0.7:1: not-listed (6 times)" in second
    assert len(rest) == 19
    assert more == "egressguard:   and 980 more"
    assert others == "egressguard:   and 500 calls beyond the first 1000 kinds, not told apart"
    assert len(report.read_text().splitlines()) == 1505


def test_a_program_name_writes_no_escape_sequences_into_the_summary(tmp_path: Path) -> None:
    done = start(tmp_path / "start.py", START, [sys.executable, "-c", NAMED])
    assert done.stderr.splitlines()[1] == r"egressguard:   x\x1b[2Jforged tried 127.0.0.1:9: loopback"


def test_the_parent_does_not_grow_with_the_endpoints(tmp_path: Path) -> None:
    few, many = (
        int(start(tmp_path / "start.py", START, [sys.executable, "-c", MANY, str(tries)]).stdout)
        for tries in (2_000, 30_000)
    )
    assert many - few < 500  # pages: 2,150 where each endpoint is kept
