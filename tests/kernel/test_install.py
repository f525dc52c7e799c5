"""install_kernel() itself: order, idempotence, posture, and why it is not to be had."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

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


JOURNALLED = """
import ctypes, egressguard, socket, sys
egressguard.install(); egressguard.install_kernel()
libc = ctypes.CDLL(None)
libc.socket(17, 3, 0); libc.socket(2, 3, 255); libc.socket(2, 1, 132)
s = socket.socket()
libc.setsockopt(s.fileno(), 0, 4, b"\\x83\\x07\\x04\\0\\0\\0\\0\\0", 8)
print([(one.route, one.host, one.reason) for one in egressguard.violations()])
libc.syscall(425, 1, ctypes.create_string_buffer(256)); libc.syscall(-1)
print(egressguard.violation_count(), egressguard.posture()["kernel"]["io_uring"])
"""


def test_what_names_no_peer_is_in_the_journal_and_io_uring_is_counted() -> None:
    """Programs try io_uring unasked and go on without; that is no attempt to reach anybody."""
    told = [
        ("socket", "family 17 type 3 protocol 0", "family"),
        ("socket", "family 2 type 3 protocol 255", "socket-type"),
        ("socket", "family 2 type 1 protocol 132", "socket-type"),
        ("setsockopt", "option 4 level 0", "routing"),
    ]
    assert run(JOURNALLED) == f"{told}\n4 1\n"


LOGGED = """
import ctypes, logging, os, socket, struct, subprocess, sys, time
import egressguard
lines = []
class Handler(logging.Handler):
    def emit(self, record): lines.append((record.egress["program"], record.egress["endpoint"], record.egress["kernel"]))
logging.getLogger("egressguard").addHandler(Handler())
egressguard.install(); egressguard.install_kernel()
def attack(last):
    address = struct.pack("=H", 2) + struct.pack("!H", 443) + socket.inet_aton(f"198.51.100.{last}") + bytes(8)
    with socket.socket() as s: ctypes.CDLL(None).connect(s.fileno(), address, 16)
def told(count):
    end = time.monotonic() + 20
    while len(lines) < count and time.monotonic() < end: time.sleep(0.01)
    return [endpoint for _, endpoint, _ in lines]
"""


def test_refusals_reach_the_logger() -> None:
    """Of this process and of what it started, each once, beside those of the Python layer."""
    code = (
        LOGGED
        + """
attack(1)
print(told(1))
subprocess.run(["bash", "-c", "exec 3<>/dev/tcp/198.51.100.2/443"], stderr=subprocess.DEVNULL)
try: socket.create_connection(("198.51.100.3", 443))
except egressguard.EgressViolation: pass
print(sorted(told(3)), lines[1][0] in ("bash", ""), sorted(kernel for _, _, kernel in lines))
for last in range(4, 54): attack(last)
print(told(53)[-1], len(set(told(53))))
time.sleep(0.1)
print(len(lines), egressguard.violation_count())
"""
    )
    endpoints = [f"198.51.100.{last}:443" for last in (1, 2, 3)]
    assert run(code) == (f"{endpoints[:1]}\n{endpoints} True [False, True, True]\n198.51.100.53:443 53\n53 53\n")


def test_refusals_reach_the_logger_at_the_latest_when_the_process_ends() -> None:
    """Here the interpreter is held until its end, so that the thread that tells has no chance before."""
    code = (
        LOGGED
        + """
import atexit
atexit.unregister(egressguard._egressguard.tell_kernel_refusals)
atexit.register(lambda: print(len(lines)))
atexit.register(egressguard._egressguard.tell_kernel_refusals)
sys.setswitchinterval(1000)
held = ctypes.PyDLL(None)  # does not let other threads run
s = socket.socket()
for port in range(440, 445):
    address = struct.pack("=H", 2) + struct.pack("!H", port) + socket.inet_aton("198.51.100.1") + bytes(8)
    held.connect(s.fileno(), address, 16)
"""
    )
    assert run(code) == "5\n"


def test_a_refusal_that_is_being_told_when_the_process_ends_is_told() -> None:
    """The thread that tells is in the middle of it, and would be ended there."""
    code = (
        LOGGED
        + """
import threading
begun = threading.Event()
def slow(record):  # where no handler's lock is held, which logging.shutdown() would wait for
    begun.set()
    time.sleep(0.3)
    os.write(1, record.egress["endpoint"].encode())
logging.getLogger("egressguard").addFilter(slow)
attack(1)
begun.wait()
"""
    )
    assert run(code) == "198.51.100.1:443"


def test_forked_child_tells_nobody_what_its_parent_tells() -> None:
    code = (
        LOGGED
        + """
attack(1); told(1)
r, w = os.pipe()
if os.fork() == 0:
    attack(2)
    egressguard._egressguard.tell_kernel_refusals()
    os.write(w, str(len(lines)).encode())
    os._exit(0)
print(os.read(r, 9).decode(), told(2))
"""
    )
    assert run(code) == "1 ['198.51.100.1:443', '198.51.100.2:443']\n"


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


def test_journal_file_has_each_refusal_once(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    code = (
        LOGGED
        + f"""
egressguard.journal_to({str(journal)!r})
for last in range(1, 31): attack(last)
"""
    )
    run(code)
    endpoints = [json.loads(line)["endpoint"] for line in journal.read_text().splitlines()]
    assert sorted(endpoints) == sorted(f"198.51.100.{last}:443" for last in range(1, 31))


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
