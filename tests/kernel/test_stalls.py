"""Calls of the supervisor that can wait although they were made not to: nobody else's dials do."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from kernellab.wire import ALLOW, LISTED, SILENT, Wire

from conftest import IN_PROCESS, Guarded, under_run

# Starts a program and kills it half a second after its first line; prints whether others dial as usual, meanwhile
# and afterwards.
OTHERS = """
import socket, subprocess, sys, time
listed, after, command = sys.argv[1], float(sys.argv[2]), sys.argv[3:]
def worst_until(end):
    worst = 0
    while time.monotonic() < end:
        started = time.monotonic()
        socket.create_connection((listed, 80)).close()
        worst = max(worst, time.monotonic() - started)
        time.sleep(0.01)
    return worst
program = subprocess.Popen(command, stdout=subprocess.PIPE)
program.stdout.readline()
first = worst_until(time.monotonic() + after)
waits = program.poll() is None
program.kill(); program.wait()
second = worst_until(time.monotonic() + 0.5)
print(waits, first < 0.7, second < 0.7, first, second)
"""


def others(seconds: float, *command: str) -> list[str]:
    return [sys.executable, "-c", OTHERS, LISTED, str(seconds), *command]


@pytest.fixture
def nobody_reads(wire: Wire) -> Iterator[None]:
    """The other end takes connections, as a kernel does unasked, and reads nothing."""
    os.kill(wire.outer.pid, signal.SIGSTOP)
    yield
    os.kill(wire.outer.pid, signal.SIGCONT)


# A close of it waits for 5 s, as long as the peer has not taken all.
LINGERING = """
import array, socket, struct, sys
s = socket.create_connection((sys.argv[1], 80))
s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 5))
"""
SENDING = (
    LINGERING
    + """
print("ready", flush=True)
s.sendmsg([bytes(1 << 20)] * 16)
"""
)
# It lies in the queue of another socket, on which the call waits.
QUEUED = (
    LINGERING
    + """
s.setblocking(False)
while True:
    try: s.send(bytes(1 << 20))
    except BlockingIOError: break
holder, peer = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
peer.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [s.fileno()]))])
print("ready", flush=True)
while True: holder.sendmsg([b"x"])
"""
)


@pytest.mark.usefixtures("nobody_reads")
@pytest.mark.parametrize("code", [SENDING, QUEUED], ids=["sending", "queued"])
def test_the_socket_of_a_caller_that_was_killed_lingers_for_nobody(wire: Wire, guarded: Guarded, code: str) -> None:
    """The kernel lets a process that ends linger for nothing. The guard's descriptor is the last one then."""
    command = others(0.5, sys.executable, "-c", code, LISTED)
    for way in (command, guarded(command)):
        done = wire.run(way, timeout=60)
        assert done.stdout.startswith("True True True"), done


LINGERED = (
    LINGERING
    + """
import threading, time
s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 1))
s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 0, 100_000))
try: s.sendmsg([bytes(1 << 20)] * 16)
except BlockingIOError: pass
started = time.monotonic(); s.close()
print(0.8 < time.monotonic() - started < 3)
"""
)


@pytest.mark.usefixtures("nobody_reads")
def test_a_caller_that_closes_its_socket_lingers_as_ever(wire: Wire, guarded: Guarded) -> None:
    command = [sys.executable, "-c", LINGERED, LISTED]
    for way in (command, guarded(command)):
        done = wire.run(way)
        assert done.stdout == "True\n", done


def with_silent(guarded: Guarded, command: list[str]) -> list[str]:
    """SILENT is on the list, too, and never answers."""
    entry = f"{SILENT}:80"
    if guarded.__name__ == under_run.__name__:
        return under_run(command, "--allow", entry)
    return [sys.executable, "-c", IN_PROCESS, json.dumps([*ALLOW, entry]), *command]


FULL = """
import os, socket, sys, time
full, first = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
full.bind(sys.argv[3]); full.listen(0); first.connect(sys.argv[3])
program = os.getpid()
if os.fork(): os.execv(sys.argv[1], sys.argv[1:])
while os.getppid() == program: time.sleep(0.1)
"""


@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_a_thread_that_makes_a_socket_blocking_stalls_nobody_else(
    wire: Wire, guarded: Guarded, programs: Path, tmp_path: Path, kind: str
) -> None:
    """For the time of a connect the socket has O_NONBLOCK, which its caller's other threads can take away."""
    for number in range(2):
        to = str(tmp_path / f"full{number}") if kind == "unix" else SILENT
        stall = [str(programs / "stall"), kind, to]
        command = others(3, *([sys.executable, "-c", FULL, *stall] if kind == "unix" else stall))
        done = wire.run(with_silent(guarded, command) if number else command, timeout=20)
        assert done.stdout.startswith("True True True"), (number, done)
        assert "stall:" not in done.stderr, done


STORM = """
import ctypes, os, signal, socket, sys
supervisor = os.getppid()
if (storm := os.fork()) == 0:
    libc = ctypes.CDLL(None)
    threads = [int(name) for name in os.listdir(f"/proc/{supervisor}/task")]
    while True:
        for thread in threads: libc.syscall(234, supervisor, thread, signal.SIGURG)
done = 0
a, b = socket.socketpair()
for number in range(150):
    with socket.create_connection((sys.argv[1], 80)) as s: s.sendmsg([b"x"])
    a.sendmsg([b"x"]); done += len(b.recv(9))
    with socket.socket() as s: done += s.connect_ex((sys.argv[2], 80)) == 13
os.kill(storm, 9)
print(done, os.waitpid(storm, 0)[1])
"""


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the number of tgkill")
def test_the_signal_sent_by_others_changes_nothing(wire: Wire, guarded: Guarded) -> None:
    """SIGURG is what ends the supervisor's calls that wait; whoever sends it loses nobody's answer."""
    done = wire.run(guarded([sys.executable, "-c", STORM, LISTED, "198.51.100.66"]), timeout=60)
    assert done.stdout == "300 9\n", done


OWN_HANDLER = """
import os, signal, socket, sys, time
import egressguard
heard = []
def install():
    egressguard.install([sys.argv[1] + ":80"]); egressguard.install_kernel()
def handle(): signal.signal(signal.SIGURG, lambda *_: heard.append(1))
def dial():
    for _ in range(20):
        socket.create_connection((sys.argv[1], 80)).close()
        time.sleep(0.01)
if sys.argv[2] == "before": handle(); install(); dial()
else: install(); dial(); handle(); dial()
os.kill(os.getpid(), signal.SIGURG)
dial()
print(len(heard))
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_program_that_handles_the_signal_itself_hears_its_own_alone(wire: Wire, when: str) -> None:
    done = wire.run([sys.executable, "-c", OWN_HANDLER, LISTED, when])
    assert done.stdout == "1\n", done


SIGNALS = """
import os, signal, socket, sys
with open("/proc/self/status") as status:
    masks = [int(line.split()[1], 16) for line in status if line.startswith("Sig") and "SigQ" not in line]
socket.create_connection((sys.argv[1], 80)).close()
os.kill(os.getpid(), signal.SIGURG)
print(len(masks), [mask >> signal.SIGURG - 1 & 1 for mask in masks])
"""


def test_what_is_started_has_the_signal_as_ever(wire: Wire, guarded: Guarded) -> None:
    command = [sys.executable, "-c", SIGNALS, LISTED]
    assert wire.run(guarded(command)).stdout == wire.run(command).stdout == "4 [0, 0, 0, 0]\n"
