"""What the kernel layer refuses is told: in the journal, to the logger and in journal files, each once."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from kernellab.child import run

pytestmark = pytest.mark.usefixtures("kernel_layer")


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


UNIX_CALLS = {
    "connect": "libc.connect(s.fileno(), name, len(name))",
    "sendto": "libc.sendto(s.fileno(), b'x', 1, 0, name, len(name))",
    "sendmsg": "libc.sendmsg(s.fileno(), message, 0)",
}


@pytest.mark.parametrize("call", UNIX_CALLS)
def test_a_refused_unix_path_is_told_as_it_was_given(tmp_path: Path, call: str) -> None:
    """The supervisor dials the opened file by a path of its own, which would say nothing to anybody."""
    path = str(tmp_path / "strangers")
    source = f"""
import ctypes, os, socket, struct, sys
libc = ctypes.CDLL(None)
if "guarded" in sys.argv:
    import egressguard
    egressguard.install(); egressguard.install_kernel()
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
name = struct.pack("=H", 1) + {path.encode()!r} + bytes(1)
names = ctypes.create_string_buffer(name); text = ctypes.create_string_buffer(b"x")
vector = (ctypes.c_void_p * 2)(ctypes.addressof(text), 1)
message = struct.pack("PIPPPPi", ctypes.addressof(names), len(name), ctypes.addressof(vector), 1, 0, 0, 0) + bytes(8)
print({UNIX_CALLS[call]})
if "guarded" in sys.argv:
    print([(one.endpoint, one.reason) for one in egressguard.violations()])
"""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger:
        stranger.bind(path)
        stranger.setblocking(False)
        assert run(source) == ("0\n" if call == "connect" else "1\n")
        if call != "connect":
            assert stranger.recv(9) == b"x"
        assert run(source, "guarded") == f"-1\n[('unix:{path}', 'unix')]\n"
        with pytest.raises(BlockingIOError):
            stranger.recv(9)


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
