"""What a guarded program could do to processes outside, so that they dial for it: each way is shown to work first."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from conftest import Guarded, under_run

pytestmark = pytest.mark.usefixtures("kernel_layer")


@pytest.fixture
def outside() -> Iterator[socket.socket]:
    """Return a listener that nobody listed."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        yield listener


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
