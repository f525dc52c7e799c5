"""install_kernel() itself: order, idempotence, posture, and why it is not to be had."""

from __future__ import annotations

import subprocess
import sys

import pytest
from kernellab.child import run

pytestmark = pytest.mark.usefixtures("kernel_layer")


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


SLEEPS = """
import ctypes, egressguard, os, socket, struct, time
egressguard.install(("203.0.113.1:9",)); egressguard.install_kernel()
libc = ctypes.CDLL(None)
def dial(last):
    address = struct.pack("=H", 2) + struct.pack("!H", 9) + socket.inet_aton(f"203.0.113.{last}") + bytes(8)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s: libc.sendto(s.fileno(), b"x", 1, 0, address, 16)
def switches():
    counts = {}
    for task in os.listdir("/proc/self/task"):
        with open(f"/proc/self/task/{task}/status") as file:
            counts[task] = next(int(line.split()[1]) for line in file if line.startswith("voluntary_ctxt"))
    return counts
dial(2); time.sleep(0.2)
before = switches()
for _ in range(1000): dial(1)
after = switches()
slept = [after[task] - before[task] for task in sorted(before, key=int)]
print(len(slept), max(slept) > 100, slept[2] < 20)
"""


def test_what_is_allowed_wakes_nobody_but_the_supervisor() -> None:
    """Three threads in this order: the caller, the supervisor, and the one that logs, which sleeps."""
    done = subprocess.run(
        ["unshare", "--net", sys.executable, "-c", SLEEPS], capture_output=True, text=True, check=False
    )
    if "Operation not permitted" in done.stderr:
        pytest.skip("no network namespace: unshare needs root")
    assert done.stdout == "3 True True\n", done


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


RING = """
import ctypes, mmap, os, struct, subprocess, sys, threading, time
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
def ring(flags=0):
    parameters = ctypes.create_string_buffer(120)
    struct.pack_into("=IIIII", parameters, 0, 8, 8, flags, 0, 60_000)
    opened = libc.syscall(425, 8, parameters)
    if opened < 0: print("no io_uring here"); sys.exit()
    return opened, struct.unpack("=30I", parameters.raw)
def share(opened, size, offset): return libc.mmap(None, size, 3, 0x8001, opened, offset)
"""
GUARD = """
import egressguard; egressguard.install(("10.9.9.9:443",))
try: egressguard.install_kernel()
except egressguard.KernelLayerUnavailable as error: print("io_uring" in str(error)); sys.exit()
print("in force")
"""
DIAL = """
import socket
listener = socket.create_server(("127.0.0.1", 0)); s = socket.socket()
opened, p = ring(2)  # IORING_SETUP_SQPOLL: the kernel looks for work by itself
sq, cq = p[10:20], p[20:30]
memory, entries = share(opened, max(sq[6] + 4 * p[0], cq[5] + 16 * p[1]), 0), share(opened, 64 * p[0], 0x10000000)
word = lambda offset: ctypes.c_uint32.from_address(memory + offset)
ctypes.memset(entries, 0, 64); word(sq[6]).value = 0; word(sq[1]).value = 1
libc.syscall(426, opened, 1, 1, 3, None, 0)  # an operation that does nothing wakes it
os.close(opened)
{guard}
address = ctypes.create_string_buffer(
    struct.pack("=H", 2) + struct.pack("!H", listener.getsockname()[1]) + socket.inet_aton("127.0.0.1") + bytes(8))
ctypes.memmove(entries + 64, struct.pack("=BBHiQQIIQ24x", 16, 0, 0, s.fileno(), 16, ctypes.addressof(address), 0, 0, 7), 64)
word(sq[6] + 4).value = 1; word(sq[1]).value = 2
listener.settimeout(10); listener.accept()
print("arrived")
"""
LIVING = {
    "mapped": "opened, _ = ring(); share(opened, 4096, 0); os.close(opened)",
    "a thread of the kernel's, by another name": """
opened, _ = ring(2)
update = ctypes.create_string_buffer(struct.pack("=IIQ", 2**32 - 1, 0, opened))
if libc.syscall(427, opened, 20, update, 1) == 1:  # IORING_REGISTER_RING_FDS: the thread holds it, without a descriptor
    os.close(opened)
for task in os.listdir("/proc/self/task"):
    if task != str(os.getpid()): open(f"/proc/self/task/{task}/comm", "w").write("worker")
""",
    "in another thread's table": """
opened, _ = ring()
elsewhere = threading.Event()
def keep():
    libc.unshare(0x400)  # CLONE_FILES: a descriptor table of its own
    elsewhere.set(); time.sleep(60)
threading.Thread(target=keep, daemon=True).start()
elsewhere.wait(); os.close(opened)
""",
}


def test_a_ring_whose_descriptor_is_closed_dials_past_a_filter_and_is_a_loud_error() -> None:
    told = run(RING + DIAL.format(guard=""))
    assert told in ("arrived\n", "no io_uring here\n")
    assert run(RING + DIAL.format(guard=GUARD)) == told.replace("arrived", "True")


@pytest.mark.parametrize("how", LIVING)
def test_a_ring_that_lives_on_is_a_loud_error(how: str) -> None:
    assert run(RING + LIVING[how] + GUARD) in ("True\n", "no io_uring here\n")


def test_many_threads_and_mappings_are_no_ring() -> None:
    code = """
import mmap, sys, threading, time
kept = [mmap.mmap(-1, 4096) for _ in range(300)]
for _ in range(100): threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
"""
    assert run(f"{code}{GUARD}sys.stdout.flush(); import os; os._exit(0)") == "in force\n"


def test_without_proc_it_is_a_loud_error() -> None:
    code = f"import ctypes, sys\nctypes.CDLL(None).umount2(b'/proc', 2)\n{GUARD}"
    command = ["unshare", "--mount", sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "Operation not permitted" in done.stderr:
        pytest.skip("no mount namespace: unshare needs root")
    assert done.stdout == "True\n", done


def test_a_subinterpreter_is_told_to_leave_it_to_the_main_one() -> None:
    """The thread that logs would be its own, and an interpreter cannot end while it has a thread (3.12 and later)."""
    code = "import egressguard\ntry: egressguard.install_kernel()\nexcept RuntimeError as error: print(error)"
    told = run(
        f"import egressguard, _interpreters as i; egressguard.install(()); n = i.create(); i.exec(n, {code!r}); i.destroy(n)"
    )
    assert "for the main interpreter" in told
