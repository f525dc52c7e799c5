"""Native code and other programs under the kernel layer: unlisted hosts see nothing of them, listed ones answer.

Each row is a command. It runs unguarded, which shows that the row proves something; under `egressguard run`; as a child
of a process with `install_kernel()`; and, where it is Python, with `install_kernel()` in its own process.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from labtools.addresses import API, OTHER, UNLISTED
from labtools.clients import PAGE
from labtools.lab import Lab, Outcome

NAME, EVIL = "api.anthropic.com", "evil.test"
ALLOW = (f"{NAME}:443", f"{OTHER}:443")
RUN = """
import subprocess, sys
guard = {
    "unguarded": [],
    "run": [sys.executable, "-m", "egressguard.cli", "run", *(w for e in ALLOW for w in ("--allow", e)), "--"],
    "child": [sys.executable, "-c", CHILD],
    "process": [],
}[HOW]
done = subprocess.run([*guard, *COMMAND], capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL)
result = [done.returncode, done.stdout, done.stderr]
"""
INSTALL = f"import egressguard\negressguard.install({ALLOW!r})\negressguard.install_kernel()\n"
CHILD = INSTALL + "import subprocess, sys\nsys.exit(subprocess.run(sys.argv[1:]).returncode)\n"
# `-c` code in Python: past the socket module, by libc or by the number of the call. argv: call, host, port.
NATIVE = """
import ctypes, errno, os, socket, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
call, host, port = sys.argv[1], sys.argv[2].encode(), int(sys.argv[3])
libc.gethostbyname.restype = ctypes.c_void_p
found = libc.gethostbyname(host)  # libc's own lookup; of a number it asks nobody
if not found:
    sys.exit(3)
packed = ctypes.string_at(ctypes.cast(found + 24, ctypes.POINTER(ctypes.POINTER(ctypes.c_void_p))).contents[0], 4)
address = struct.pack("=H", 2) + struct.pack("!H", port) + packed + bytes(8)
class Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_char_p), ("length", ctypes.c_size_t)]
class Message(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("name_length", ctypes.c_uint), ("vectors", ctypes.c_void_p),
                ("count", ctypes.c_size_t), ("control", ctypes.c_void_p), ("control_length", ctypes.c_size_t),
                ("flags", ctypes.c_int)]
vector = Vector(b"sendmsg", 7)
message = Message(address, 16, ctypes.addressof(vector), 1, None, 0, 0)
numbers = {"x86_64": (42, 44), "aarch64": (203, 206)}[os.uname().machine]
tcp = lambda: libc.socket(2, 1, 0)
udp = lambda: libc.socket(2, 2, 0)
result = {
    "connect": lambda: libc.connect(tcp(), address, 16),
    "sendto": lambda: libc.sendto(udp(), b"sendto", 6, 0, address, 16),
    "sendmsg": lambda: libc.sendmsg(udp(), ctypes.byref(message), 0),
    "syscall connect": lambda: libc.syscall(numbers[0], tcp(), address, 16),
    "syscall sendto": lambda: libc.syscall(numbers[1], udp(), b"syscall", 7, 0, address, 16),
}[call]()
if result < 0:
    print(errno.errorcode[ctypes.get_errno()])
sys.exit(result < 0)
"""
NODE = """
const [host] = process.argv.slice(1);
require("https").get({host, port: 443, path: "/", servername: "api.anthropic.com", timeout: 5000}, answer => {
    answer.on("data", data => process.stdout.write(data)); answer.on("end", () => process.exit(0));
}).on("error", error => { console.log(error.code); process.exit(1); });
"""
NODE_TCP = "require('net').connect(443, process.argv[1], () => process.exit(0)).on('error', () => process.exit(1))"
NODE_DNS = "require('dns').resolve4(process.argv[1], error => process.exit(error ? 1 : 0))"
BASH = 'exec 3<>"/dev/tcp/$0/443"'


@dataclass(frozen=True)
class Row:
    """A command that reaches the host in its place `{}`."""

    name: str
    command: tuple[str, ...]
    names: bool = True  # takes names, too
    output: str = ""  # what a listed host makes it print
    udp: bool = False
    opens: bool = True  # reaches listed hosts; False for what has no verdict and is refused whatever it names
    python: bool = False

    def __str__(self) -> str:
        """Name the row in pytest's output."""
        return self.name

    def missing(self) -> str | None:
        """Return the program that this machine has not."""
        program = self.command[0]
        return None if program == "DIAL" or shutil.which(program) else program


def native(call: str) -> Row:
    """Return a row of `NATIVE`."""
    udp = "send" in call
    command = (sys.executable, "-I", "-c", NATIVE, call, "{}", "443")
    return Row(f"ctypes {call}", command, udp=udp, python=True)


def static(route: str, *, udp: bool = False, opens: bool = True) -> Row:
    """Return a row of the static C program."""
    return Row(f"static C: {route}", ("DIAL", route, "{}", "443"), names=False, udp=udp, opens=opens)


ROWS = [
    *(native(call) for call in ("connect", "sendto", "sendmsg", "syscall connect", "syscall sendto")),
    *(static(route) for route in ("connect", "nonblocking", "fastopen-connect")),
    *(static(route, udp=True) for route in ("sendto", "udp-connect", "sendmsg", "sendmmsg")),
    *(static(route, opens=False) for route in ("int80", "socketcall", "io_uring")),
    Row("curl", ("curl", "-sS", "-m", "10", "--cacert", "{ca}", "https://{}/"), output=PAGE),
    Row("node: TCP", ("node", "-e", NODE_TCP, "{}")),
    Row("node: https", ("node", "-e", NODE, "{}"), output=PAGE),
    Row("bash: /dev/tcp", ("bash", "-c", BASH, "{}")),
    Row("a grandchild", ("sh", "-c", 'setsid --wait sh -c \'exec bash -c "$0" "$1"\' "$0" "$1"', BASH, "{}")),
]
HOWS = ("run", "child", "process")
GUARDED = [(row, how) for row in ROWS for how in HOWS if how != "process" or row.python]
IDS = [f"{row}, {how}" for row, how in GUARDED]


@pytest.fixture(scope="session")
def dial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the static C program."""
    compiler = shutil.which(os.environ.get("CC", "gcc"))
    if compiler is None:
        pytest.skip("no C compiler")
    program = tmp_path_factory.mktemp("static") / "dial"
    source = Path(__file__).parents[1] / "kernel/programs/dial.c"
    command = [compiler, "-O1", "-pthread", "-D_GNU_SOURCE", "-static", "-no-pie", str(source), "-o", str(program)]
    subprocess.run(command, check=True)
    return program


def run(lab: Lab, dial: Path, row: Row, host: str, how: str) -> tuple[int, str, Outcome]:
    """Run a row; return its status, what it printed, and the outcome."""
    absent = row.missing()
    if absent is not None:
        pytest.skip(f"no {absent} here")
    words = {"DIAL": str(dial), "{ca}": str(lab.folder / "ca.pem")}
    command = [words.get(word, word) for word in row.command]
    command = [word if word in (NATIVE, NODE, NODE_TCP, BASH) else word.replace("{}", host) for word in command]
    if how == "process":
        command = [INSTALL + word if word == NATIVE else word for word in command]
    code = f"COMMAND, HOW, ALLOW, CHILD = {command!r}, {how!r}, {ALLOW!r}, {CHILD!r}\n{RUN}"
    outcome = lab.run(code, guard=False, environment={"NODE_EXTRA_CA_CERTS": str(lab.folder / "ca.pem")})
    assert isinstance(outcome.report["result"], list), outcome
    status, output, errors = outcome.report["result"]
    return status, output + errors, outcome


def shows(row: Row, address: str) -> str:
    """Return what is on the wire where the row reaches an address."""
    return f"UDP to {address} port 443" if row.udp else f"TCP to {address} port 443 SYN"


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_reaches_the_wire_without_the_guard(lab: Lab, dial: Path, row: Row) -> None:
    status, output, outcome = run(lab, dial, row, UNLISTED, "unguarded")
    if output.startswith("absent"):
        pytest.skip(f"not on this machine: {output}")
    assert outcome.wire.shows(shows(row, UNLISTED)), outcome
    if row.names:
        status, output, outcome = run(lab, dial, row, EVIL, "unguarded")
        assert outcome.wire.shows(f"DNS {EVIL}"), outcome
        assert outcome.wire.shows(shows(row, UNLISTED)), outcome


@pytest.mark.parametrize(("row", "how"), GUARDED, ids=IDS)
def test_forbidden_addresses_and_names_send_nothing(lab: Lab, dial: Path, row: Row, how: str) -> None:
    for host in (UNLISTED, EVIL) if row.names else (UNLISTED,):
        status, output, outcome = run(lab, dial, row, host, how)
        assert status != 0, outcome
        # The supervisor looks the listed name up again before it refuses a bare address at its port.
        assert outcome.wire.besides({NAME}) == [], outcome


@pytest.mark.parametrize(("row", "how"), [one for one in GUARDED if one[0].opens], ids=str)
def test_listed_addresses_and_names_work(lab: Lab, dial: Path, row: Row, how: str) -> None:
    for host in (OTHER, NAME) if row.names else (OTHER,):
        status, output, outcome = run(lab, dial, row, host, how)
        assert status == 0, outcome
        assert row.output in output, outcome
        lines = outcome.wire.besides({NAME})
        assert any("port 443" in line for line in lines), outcome
        # The hosts answer datagrams; where the program has ended by then, the kernel tells them so.
        mine = ("port 443", f"ICMP to {OTHER} type 3", f"ICMP to {API} type 3")
        others = [line for line in lines if not any(part in line for part in mine)]
        assert others == [], outcome


@pytest.mark.parametrize("how", ["run", "child"])
def test_node_asks_for_listed_names_only(lab: Lab, dial: Path, how: str) -> None:
    """By c-ares, which speaks DNS itself and dials nobody."""
    row = Row("node: dns", ("node", "-e", NODE_DNS, "{}"))
    assert run(lab, dial, row, EVIL, "unguarded")[2].wire.shows(f"DNS {EVIL}")
    status, _, outcome = run(lab, dial, row, EVIL, how)
    assert status != 0, outcome
    assert outcome.wire.besides(set()) == [], outcome
    status, _, outcome = run(lab, dial, row, NAME, how)
    assert status == 0, outcome
    assert outcome.wire.shows(f"DNS {NAME}"), outcome
    assert outcome.wire.besides({NAME}) == [], outcome
