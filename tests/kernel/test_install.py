"""install_kernel() itself: order, idempotence, posture, and why it is not to be had."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.usefixtures("kernel_layer")


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done
    return done.stdout


def test_before_install_it_raises_and_changes_nothing() -> None:
    assert (
        run("""
import egressguard
try: egressguard.install_kernel()
except RuntimeError as error: print(type(error).__name__, "install() first" in str(error))
print(egressguard.posture()["kernel"]["active"])
print([line for line in open("/proc/self/status") if line.startswith("Seccomp:")])
""")
        == "RuntimeError True\nFalse\n['Seccomp:\\t0\\n']\n"
    )


def test_twice_is_once_and_the_posture_tells() -> None:
    assert (
        run("""
import egressguard
egressguard.install(); egressguard.install_kernel(); egressguard.install_kernel()
print(egressguard.posture()["kernel"]["active"])
print([line for line in open("/proc/self/status") if line.startswith("Seccomp")])
""")
        == "True\n['Seccomp:\\t2\\n', 'Seccomp_filters:\\t1\\n']\n"
    )


def test_refusal_is_in_the_journal_with_its_program() -> None:
    assert (
        run("""
import egressguard, subprocess
egressguard.install(); egressguard.install_kernel()
subprocess.run(["bash", "-c", "exec 3<>/dev/tcp/198.51.100.1/443"], stderr=subprocess.DEVNULL)
[one] = egressguard.violations()
print(one.program, one.endpoint, one.reason, one.kernel, one.route)
""")
        == "bash 198.51.100.1:443 not-listed True connect\n"
    )


def test_udp_connect_that_sends_nothing_is_counted_apart() -> None:
    assert (
        run("""
import ctypes, egressguard, socket, struct
egressguard.install(); egressguard.install_kernel()
libc = ctypes.CDLL(None, use_errno=True)
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
address = struct.pack("=H", 2) + struct.pack("!H", 80) + socket.inet_aton("127.0.0.1") + bytes(8)
print(libc.connect(s.fileno(), address, 16), egressguard.violation_count(), egressguard.posture()["kernel"]["probes"])
""")
        == "-1 0 1\n"
    )


OUTER = """
import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
def filter_with(number, answer):
    code = [(0x20, 0, 0, 0), (0x15, 0, 1, number), (6, 0, 0, answer), (6, 0, 0, 0x7fff0000)]
    program = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *one) for one in code))
    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_void_p)]
    libc.prctl(38, 1, 0, 0, 0)
    assert libc.prctl(22, 2, ctypes.byref(Program(4, ctypes.addressof(program))), 0, 0) == 0
filter_with(438, 0x00050001)  # pidfd_getfd: EPERM, as Docker's default profile without CAP_SYS_PTRACE
"""


def test_where_pidfd_getfd_is_forbidden_it_says_so() -> None:
    assert (
        run(
            OUTER
            + """
import egressguard
egressguard.install()
try: egressguard.install_kernel()
except egressguard.KernelLayerUnavailable as error: print("pidfd_getfd" in str(error))
print(egressguard.posture()["kernel"]["active"])
"""
        )
        == "True\nFalse\n"
    )


def test_where_pidfd_getfd_is_forbidden_run_says_so() -> None:
    code = OUTER + 'os.execv(sys.executable, [sys.executable, "-m", "egressguard.cli", "run", "--", "echo", "ran"])'
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 125
    assert "pidfd_getfd" in done.stderr
    assert done.stdout == ""


def test_open_io_uring_is_a_loud_error() -> None:
    code = """
import ctypes, egressguard
ring = ctypes.CDLL(None).syscall(425, 1, ctypes.create_string_buffer(256))
egressguard.install()
try: egressguard.install_kernel()
except egressguard.KernelLayerUnavailable as error: print(ring < 0 or "io_uring" in str(error))
else: print(ring < 0)
"""
    assert run(code) == "True\n"
