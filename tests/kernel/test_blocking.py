"""Calls that have to wait: as without the guard for their caller, and nobody else waits."""

from __future__ import annotations

import sys

import pytest
from kernellab.wire import LISTED, SILENT, Wire

from conftest import Guarded

# SILENT is on the list here and never answers.
ALLOWED = (f"{SILENT}:80", f"{LISTED}:80")

NATIVE = """
import ctypes, errno, os, signal, socket, struct, sys, threading, time
{before}
libc = ctypes.CDLL(None, use_errno=True)
def address(ip): return struct.pack("=H", 2) + struct.pack("!H", 80) + socket.inet_aton(ip) + bytes(8)
def dial(s, ip):
    result = libc.connect(s.fileno(), address(ip), 16)
    return "ok" if result == 0 else errno.errorcode[ctypes.get_errno()]
SILENT, LISTED = "{silent}", "{listed}"
{code}
"""
BEFORE = f"import egressguard; egressguard.install({ALLOWED!r}); egressguard.install_kernel()"


def native(code: str, before: str = BEFORE) -> list[str]:
    return [sys.executable, "-c", NATIVE.format(before=before, code=code, silent=SILENT, listed=LISTED)]


def both(wire: Wire, code: str) -> tuple[str, str]:
    """Return what the code prints unguarded and guarded."""
    outputs = []
    for before in ("", BEFORE):
        done = wire.run(native(code, before), timeout=30)
        assert done.returncode == 0, done
        outputs.append(done.stdout)
    return outputs[0], outputs[1]


NON_BLOCKING = """
s = socket.socket(); s.setblocking(False)
started = time.monotonic()
print(dial(s, SILENT), time.monotonic() - started < 0.2)
print(dial(s, SILENT))
"""


def test_non_blocking_connect_returns_at_once(wire: Wire) -> None:
    unguarded, guarded = both(wire, NON_BLOCKING)
    assert guarded == unguarded == "EINPROGRESS True\nEALREADY\n"


SEND_TIMEOUT = """
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 0, 400_000))
started = time.monotonic()
print(dial(s, SILENT), 0.3 < time.monotonic() - started < 1)
"""


def test_send_timeout_is_honoured(wire: Wire) -> None:
    unguarded, guarded = both(wire, SEND_TIMEOUT)
    assert guarded == unguarded == "EINPROGRESS True\n"


CTRL_C = """
threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
s = socket.socket()
started = time.monotonic()
try:
    print(dial(s, SILENT))
except KeyboardInterrupt:
    print("interrupted")
print(0.4 < time.monotonic() - started < 1.5)
"""


def test_ctrl_c_ends_a_blocking_connect(wire: Wire) -> None:
    unguarded, guarded = both(wire, CTRL_C)
    assert guarded.endswith("True\n")
    assert guarded == unguarded


KILLED = """
pid = os.fork()
if pid == 0:
    dial(socket.socket(), SILENT)
    os._exit(0)
time.sleep(0.5)
os.kill(pid, signal.SIGTERM)
print(os.WTERMSIG(os.waitpid(pid, 0)[1]))
"""


def test_waiting_caller_can_be_killed(wire: Wire) -> None:
    unguarded, guarded = both(wire, KILLED)
    assert guarded == unguarded == "15\n"


MANY = """
waiting = [socket.socket() for _ in range(50)]
for s in waiting:
    threading.Thread(target=dial, args=(s, SILENT), daemon=True).start()
time.sleep(0.5)
took = []
for _ in range(200):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        started = time.monotonic()
        assert dial(s, LISTED) == "ok"
        took.append(time.monotonic() - started)
print(sorted(took)[100] < 0.01)
os._exit(0)
"""


def test_fifty_waiting_calls_stall_nobody(wire: Wire) -> None:
    done = wire.run(native(MANY + "\nsys.stdout.flush()".replace("\n", "\n")).copy())
    assert "AssertionError" not in done.stderr, done
    wire.events()


BIG = """
s = socket.create_connection((LISTED, 80))
data = bytes(range(256)) * 20000
print(s.sendmsg([data[:100], data[100:]]) == len(data))
s.setblocking(False)
sent = 0
try:
    while True:
        sent += s.sendmsg([data])
except BlockingIOError:
    print("full")
"""


def test_big_sendmsg_on_a_stream(wire: Wire) -> None:
    done = wire.run(native(BIG))
    assert done.stdout.startswith("True\n"), done


REFUSED = """
s = socket.socket()
print(dial(s, "203.0.113.10"))
s = socket.socket()
started = time.monotonic()
print(dial(s, "10.88.0.1"), time.monotonic() - started < 1)
"""


def test_error_of_the_peer_is_passed_on(wire: Wire) -> None:
    before = (
        "import egressguard; egressguard.install(('203.0.113.10:80', '10.88.0.1:80')); egressguard.install_kernel()"
    )
    done = wire.run(native(REFUSED, before))
    assert done.stdout == "ok\nECONNREFUSED True\n", done


@pytest.mark.parametrize("kind", ["blocking", "non-blocking"])
def test_eight_threads_times_five_hundred(wire: Wire, guarded: Guarded, kind: str) -> None:
    code = f"""
import socket, struct, threading
failed = []
def work():
    for _ in range(500):
        try:
            with socket.socket() as s:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                s.settimeout({5 if kind == "non-blocking" else None})
                s.connect(("{LISTED}", 80))
        except OSError as error:
            failed.append(error)
threads = [threading.Thread(target=work) for _ in range(8)]
[t.start() for t in threads]; [t.join() for t in threads]
print(len(failed), failed[:1])
"""
    done = wire.run(guarded([sys.executable, "-c", code]))
    assert done.stdout == "0 []\n", done
    wire.events()
