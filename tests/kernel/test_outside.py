"""What a guarded program could do to processes outside, so that they dial for it: each way is shown to work first."""

from __future__ import annotations

import contextlib
import ctypes
import os
import pty
import select
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import Guarded, under_run

pytestmark = pytest.mark.usefixtures("kernel_layer")
NOBODY = 65534
LANDLOCK_WITH_SCOPES = 6


@pytest.fixture
def outside() -> Iterator[socket.socket]:
    """Return a listener that nobody listed."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        yield listener


@pytest.fixture(scope="session")
def scopes() -> None:
    """Skip where the kernel cannot have the domain of ADR-0021."""
    version = ctypes.CDLL(None).syscall(444, None, 0, 1)  # landlock_create_ruleset(2) asked for its version
    if version < LANDLOCK_WITH_SCOPES:
        pytest.skip(f"Landlock ABI {version} here, {LANDLOCK_WITH_SCOPES} is asked for (Linux 6.12)")


def arrived(listener: socket.socket) -> bytes:
    connection, _ = listener.accept()
    with connection:
        connection.settimeout(5)
        return connection.recv(100)


def nothing_arrived(listener: socket.socket) -> bool:
    return not select.select([listener], [], [], 0.3)[0]


# ---- the terminal ----

TYPE = """
import fcntl, sys, termios, time
try:
    for letter in sys.argv[1] + "\\n":
        fcntl.ioctl(0, termios.TIOCSTI, letter.encode())
except OSError as error:
    print(error.strerror, end="", flush=True)
print(" ended", flush=True)
"""


def type_into_the_shell(command: list[str], until: bytes) -> bytes:
    """Return what a terminal shows when a shell runs the command in it, and then the next line of the terminal."""
    process, leader = pty.fork()
    if process == 0:
        os.execvp("bash", ["bash", "-c", '"$@"; read -r line; eval "$line"', "bash", *command])
    shown, ended = b"", time.monotonic() + 30
    while until not in shown and time.monotonic() < ended and select.select([leader], [], [], 30)[0]:
        with contextlib.suppress(OSError):  # the last one has closed the terminal
            shown += os.read(leader, 4096)
    os.write(leader, b":\n")
    os.waitpid(process, 0)
    os.close(leader)
    return shown


def test_nobody_types_into_the_shell_outside(outside: socket.socket, guarded: Guarded) -> None:
    line = f"exec 3<>/dev/tcp/127.0.0.1/{outside.getsockname()[1]}; echo typed >&3"
    command = [sys.executable, "-c", TYPE, line]
    type_into_the_shell(command, b"ended")
    assert arrived(outside) == b"typed\n"
    assert b"Operation not permitted ended" in type_into_the_shell(guarded(command), b"ended")
    assert nothing_arrived(outside)


REQUESTS = """
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.argtypes = [ctypes.c_long] * 4
number = {"x86_64": 16, "aarch64": 29}[os.uname().machine]
leader, follower = os.openpty()
for request in (0x5412, 0x541C, 0x5412 | 1 << 32, 0x541C | 0xFFFFFFFF << 32, 0x5413, 0x5401):
    done = libc.syscall(number, follower, request, ctypes.addressof(ctypes.create_string_buffer(64)))
    print(errno.errorcode[ctypes.get_errno()] if done else 0, end=" ")
"""


def test_neither_request_whatever_is_in_the_other_half(guarded: Guarded) -> None:
    done = subprocess.run(guarded([sys.executable, "-c", REQUESTS]), capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["EPERM", "EPERM", "EPERM", "EPERM", "0", "0"]  # the last: TIOCGWINSZ, TCGETS


# int 0x80 with ioctl(0, TIOCSTI or TIOCLINUX, NULL): what a pty says of the second needs no rights.
OLD_CALLS = """
import ctypes, mmap, os
os.dup2(os.openpty()[1], 0)
page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
page.write(bytes.fromhex("53 89f8 89f3 89d1 31d2 cd80 5b c3"))
call = ctypes.CFUNCTYPE(ctypes.c_int, *[ctypes.c_uint] * 3)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
print(call(54, 0, 0x541C), call(54, 0, 0x5412), call(54, 0, 0x5413))
"""


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="int 0x80 is there on x86 alone")
def test_neither_request_by_a_32_bit_call() -> None:
    command = [sys.executable, "-c", OLD_CALLS]
    unguarded, guarded = (
        subprocess.run(one, capture_output=True, text=True).stdout.split() for one in (command, under_run(command))
    )
    if not unguarded:
        pytest.skip("this kernel has no 32-bit calls")
    assert unguarded[0] == "-25"  # ENOTTY: it was asked
    assert guarded == ["-1", "-1", "-14"]  # the last, TIOCGWINSZ, was asked


# ---- other processes ----


@contextlib.contextmanager
def victim(programs: Path, user: int) -> Iterator[list[str]]:
    """Start a process of that user outside the filter; yield its id and where it keeps whom it dials."""
    command = [str(programs / "outside"), str(user), "victim"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().split()
        process.kill()


WAYS = {"ptrace": "attach: EPERM", "mem": "open: EACCES", "writev": "process_vm_writev: EPERM"}


@pytest.mark.usefixtures("scopes")
@pytest.mark.parametrize("user", [NOBODY, 0])
@pytest.mark.parametrize("way", WAYS)
def test_no_process_outside_is_taken_over(outside: socket.socket, programs: Path, way: str, user: int) -> None:
    port = str(outside.getsockname()[1])
    for guarded in (False, True):
        with victim(programs, user) as whom:
            command = [str(programs / "outside"), str(user), way, *whom, port]
            done = subprocess.run(under_run(command) if guarded else command, capture_output=True, text=True)
            assert done.stdout.strip() == (WAYS[way] if guarded else "written"), done
            assert nothing_arrived(outside) if guarded else arrived(outside) == b"taken over"


PARENT = "import os, subprocess, sys; subprocess.run([*sys.argv[1:], str(os.getpid())])"


@pytest.mark.skipif(os.geteuid() != 0, reason="the supervisor is not dumpable: only root could trace it")
@pytest.mark.usefixtures("scopes")
def test_root_does_not_trace_the_supervisor(programs: Path) -> None:
    attack = [str(programs / "outside"), "0", "attach"]
    unguarded = subprocess.run([sys.executable, "-c", PARENT, *attack], capture_output=True, text=True)
    guarded = subprocess.run(
        under_run(["sh", "-c", f"exec {shlex.join(attack)} $PPID"]), capture_output=True, text=True
    )
    assert (unguarded.stdout.strip(), guarded.stdout.strip()) == ("attached", "attach: EPERM")


# ---- what the domain must not cost ----


def run(code: str, *arguments: object, prefix: tuple[str, ...] = ()) -> str:
    command = under_run([sys.executable, "-c", code, *map(str, arguments)])
    done = subprocess.run([*prefix, *command], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done
    return done.stdout


ABSTRACT = """
import os, socket, struct
name = f"\\0egressguard-{os.getpid()}"
listener = socket.socket(socket.AF_UNIX); listener.bind(name + "s"); listener.listen()
datagrams = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); datagrams.bind(name + "d")
if os.fork() == 0:
    stream = socket.socket(socket.AF_UNIX); stream.connect(name + "s"); stream.sendall(b"stream")
    loose = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); loose.bind(name + "c"); loose.sendto(b"loose", name + "d")
    loose.sendmsg([b"message"], [], 0, name + "d")
    loose.connect(name + "d"); loose.send(b"connected"); loose.sendmsg([b"again"])
    print(loose.recv(100).decode(), stream.recv(100).decode(), flush=True)
    os._exit(0)
stream, _ = listener.accept()
print(stream.recv(100).decode(), *(datagrams.recv(100).decode() for _ in range(4)), flush=True)
datagrams.sendto(b"answer", name + "c"); stream.send(b"accepted"); os.wait()
left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
left.send(b"pair"); assert right.recv(9) == b"pair"
left, right = socket.socketpair()
print(struct.unpack("3i", left.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)) == (os.getpid(), os.getuid(), os.getgid()))
"""


def test_abstract_sockets_of_the_command_keep_working() -> None:
    assert run(ABSTRACT) == "stream loose message connected again\nanswer accepted\nTrue\n"


TRACE_A_CHILD = """
import subprocess, sys
program, user = sys.argv[1:]
child = subprocess.Popen([program, user, "victim"], stdout=subprocess.PIPE, text=True)
for way in ("mem", "writev", "ptrace"):
    where = child.stdout.readline().split() if way == "mem" else where
    print(subprocess.run([program, user, way, *where, "0" if way != "ptrace" else "9"], capture_output=True, text=True).stdout.strip())
print(child.communicate()[0].strip())
"""


def test_processes_inside_trace_each_other_and_are_judged(programs: Path) -> None:
    assert run(TRACE_A_CHILD, programs / "outside", NOBODY).split("\n")[:4] == ["written"] * 3 + ["connect: EACCES"]


NESTED = """
import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
attributes = struct.pack("=Q", 1 << 1)  # LANDLOCK_ACCESS_FS_WRITE_FILE
ruleset = libc.syscall(444, attributes, len(attributes), 0)
print(libc.prctl(38, 1, 0, 0, 0), libc.syscall(446, ruleset, 0))
try:
    open(sys.argv[1], "w")
except OSError as error:
    print(error.strerror)
"""


@pytest.mark.usefixtures("scopes")
def test_landlock_of_the_command_keeps_working(tmp_path: Path) -> None:
    assert run(NESTED, tmp_path / "file") == "0 0\nPermission denied\n"


SEES = """
import os, sys
parent = os.getppid()
os.kill(parent, 0)
assert open(f"/proc/{parent}/comm").read() and "egressguard" in open(f"/proc/{parent}/cmdline").read()
assert open(f"/proc/{parent}/stat").read() and open(f"/proc/{parent}/status").read()
assert str(parent) in os.listdir("/proc")
if os.getuid() == 0:
    libc = __import__("ctypes").CDLL(None, use_errno=True)
    assert libc.unshare(0x20000) == 0 and libc.mount(b"none", b"/", None, 0x44000, None) == 0  # rprivate
    assert libc.mount(b"none", sys.argv[1].encode(), b"tmpfs", 0, None) == 0
print("all")
"""


def test_what_it_sees_of_others_its_signals_and_its_mounts_stay(tmp_path: Path) -> None:
    assert run(SEES, tmp_path) == "all\n"


def test_where_a_container_forbids_the_domain_the_command_is_judged_as_before(
    outside: socket.socket, programs: Path
) -> None:
    dial = "import socket, sys; print(socket.socket().connect_ex(('127.0.0.1', int(sys.argv[1]))))"
    assert run(dial, outside.getsockname()[1], prefix=(str(programs / "deny"), "landlock")) == "13\n"
    assert nothing_arrived(outside)
