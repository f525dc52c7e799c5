"""The supervisor killed or stopped: closed, never open."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from kernellab.wire import EVIL, LISTED, Wire

from conftest import under_run

TRY_ON = """
import ctypes, errno, os, socket, struct, sys, time
libc = ctypes.CDLL(None, use_errno=True)
address = struct.pack("=H", 2) + struct.pack("!H", 80) + socket.inet_aton(sys.argv[1]) + bytes(8)
def attack():
    s = socket.socket()
    return "through" if libc.connect(s.fileno(), address, 16) == 0 else errno.errorcode[ctypes.get_errno()]
print(attack(), flush=True)
"""
KILL = (
    TRY_ON
    + """
os.kill(os.getppid(), 9)
time.sleep(0.2)
started = time.monotonic()
number = {"x86_64": 317, "aarch64": 277}[os.uname().machine]
listener = libc.syscall(number, 1, 8, None), errno.errorcode[ctypes.get_errno()]
print(attack(), time.monotonic() - started < 1, *listener, file=open(sys.argv[2], "w"))
"""
)


def test_child_that_kills_its_supervisor_dials_nothing_and_becomes_none(wire: Wire, tmp_path: Path) -> None:
    told = tmp_path / "told"
    wire.run(under_run([sys.executable, "-c", KILL, EVIL, str(told)]))
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and not (told.exists() and told.read_text()):
        time.sleep(0.05)
    assert told.read_text() == "ENOSYS True -1 EPERM\n"
    assert wire.events() == []


STOP = (
    TRY_ON
    + """
supervisor = os.getppid()
os.kill(supervisor, 19)
pid = os.fork()
if pid == 0:
    attack()
    os._exit(0)
time.sleep(1)
print(os.waitpid(pid, os.WNOHANG)[0] == 0, flush=True)
os.kill(pid, 15)
print(os.WTERMSIG(os.waitpid(pid, 0)[1]), flush=True)
os.kill(supervisor, 18)
print(attack(), flush=True)
"""
)


def test_stopped_supervisor_makes_callers_wait_killable(wire: Wire) -> None:
    done = wire.run(under_run([sys.executable, "-c", STOP, EVIL]))
    assert done.stdout == "EACCES\nTrue\n15\nEACCES\n", done
    assert wire.events() == []


WITHOUT_ADDRESS = """
import os, socket
supervisor = os.getppid()
left, right = socket.socketpair()
os.kill(supervisor, 19)
if (pid := os.fork()) == 0:
    for flags in (0, socket.MSG_NOSIGNAL):
        for size in (1, 20, 300, 5000):
            left.send(b"x" * size, flags)
            assert right.recv(size, socket.MSG_WAITALL) == b"x" * size
    os._exit(0)
for _ in range(100):
    ended, status = os.waitpid(pid, os.WNOHANG)
    if ended:
        break
    time.sleep(0.05)
print(ended == pid and status == 0, flush=True)
os.kill(supervisor, 18)
if not ended:
    os.kill(pid, 9)
"""


def test_sending_and_receiving_without_an_address_do_not_meet_the_supervisor(wire: Wire) -> None:
    done = wire.run(under_run([sys.executable, "-c", f"import time{WITHOUT_ADDRESS}"]))
    assert done.stdout == "True\n", done


def test_daemon_is_judged_while_the_supervisor_stays_and_gets_enosys_afterwards(wire: Wire, tmp_path: Path) -> None:
    told = tmp_path / "told"
    daemon = TRY_ON.replace(
        "print(attack(), flush=True)", f"time.sleep(1); print(attack(), file=open({str(told)!r}, 'w'))"
    )
    start = ["setsid", "--fork", sys.executable, "-c", daemon, EVIL]
    wire.run(under_run(start, "--wait"))
    assert told.read_text() == "EACCES\n"
    told.unlink()
    process = subprocess.Popen(wire.command(under_run(start)))
    assert process.wait() == 0
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and not (told.exists() and told.read_text()):
        time.sleep(0.05)
    assert told.read_text() == "ENOSYS\n"
    assert wire.events() == []


AS_EVER = "import os, signal, sys; signal.signal({number}, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])"


def signalled(number: int, command: list[str], to_group: bool = False) -> int:
    # As from a terminal: under nohup a shell could not trap SIGHUP.
    command = [sys.executable, "-c", AS_EVER.format(number=int(number)), *under_run(command)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    (os.killpg if to_group else os.kill)(process.pid, number)
    status = process.wait(timeout=20)
    process.stdout.close()
    return status


@pytest.mark.usefixtures("kernel_layer")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_signals_are_forwarded(number: int) -> None:
    trap = f"trap 'exit 42' {int(number)}; echo ready; while :; do sleep 0.05; done"
    assert signalled(number, ["bash", "-c", trap]) == 42


@pytest.mark.usefixtures("kernel_layer")
def test_signal_that_ends_the_command() -> None:
    assert signalled(signal.SIGTERM, ["bash", "-c", "echo ready; sleep 30 & wait"]) == 128 + 15


LIMITED = """
import ctypes, errno, os, resource, socket, struct, time
{before}
libc = ctypes.CDLL(None, use_errno=True)
address = struct.pack("=H", 2) + struct.pack("!H", 80) + socket.inet_aton("{listed}") + bytes(8)
def dial(s):
    return "through" if libc.connect(s.fileno(), address, 16) == 0 else errno.errorcode[ctypes.get_errno()]
limits = resource.getrlimit(resource.RLIMIT_NOFILE)
ready = socket.socket()
for limit in (0, 1):
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limits[1]))
    time.sleep(0.1)
    print(dial(ready))
resource.setrlimit(resource.RLIMIT_NOFILE, limits)
print(dial(ready), dial(socket.socket()){after})
"""
BEFORE = f"import egressguard; egressguard.install(('{LISTED}:80',)); egressguard.install_kernel()"


def test_a_limit_of_no_descriptors_does_not_end_the_supervisor(wire: Wire) -> None:
    """poll(2) gives EINVAL for two descriptors then. Meanwhile a dial takes a descriptor of the supervisor's own."""
    done = wire.run([sys.executable, "-c", LIMITED.format(before="", after="", listed=LISTED)])
    assert done.stdout == "through\nEISCONN\nEISCONN through\n", done
    after = ", egressguard.posture()['kernel']['served']"
    done = wire.run([sys.executable, "-c", LIMITED.format(before=BEFORE, after=after, listed=LISTED)])
    assert done.stdout == "EMFILE\nEMFILE\nthrough through True\n", done


LEFT_BEHIND = """
import egressguard, os, sys, time
egressguard.install(); egressguard.install_kernel()
if os.fork() == 0:
    def told(): return [egressguard.posture()["kernel"][key] for key in ("active", "served")]
    parent, first = os.getppid(), told()
    while os.getppid() == parent: time.sleep(0.01)
    time.sleep(0.1)
    try: egressguard.install_kernel()
    except egressguard.KernelLayerUnavailable as error: print(first, told(), told(), "ended" in str(error), flush=True)
    os._exit(0)
time.sleep(0.5)
os._exit(0)
"""


@pytest.mark.usefixtures("kernel_layer")
def test_the_posture_tells_whether_the_supervisor_lives() -> None:
    done = subprocess.run([sys.executable, "-c", LEFT_BEHIND], capture_output=True, text=True, timeout=30, check=False)
    assert done.stdout == "[True, True] [True, False] [True, False] True\n", done
