"""Calls that have to wait: as without the guard for their caller, and nobody else waits."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

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


PROBE = """
import socket, sys, time
took = []
for _ in range(40):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        started = time.monotonic(); s.connect((sys.argv[1], 80)); took.append(time.monotonic() - started)
took.sort(); print(took[20] < 0.02, took[-1] < 0.5, took)
"""
FULL = f"""
import socket, subprocess, sys, threading, time
path, listed, kind = sys.argv[1], sys.argv[2], getattr(socket, sys.argv[3])
peer = socket.socket(socket.AF_UNIX, kind); peer.bind(path); done = []
if kind == socket.SOCK_STREAM: peer.listen(0)
def dial():
    with socket.socket(socket.AF_UNIX, kind) as s:
        if kind == socket.SOCK_STREAM: s.connect(path)
        else: s.sendto(b"x", path)
        done.append(1)
threads = [threading.Thread(target=dial) for _ in range(500)]
for thread in threads: thread.start()
def quick():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        started = time.monotonic(); s.connect((listed, 80)); return time.monotonic() - started < 0.02
deadline = time.monotonic() + 20
while time.monotonic() < deadline and not all([quick() for _ in range(10)]): time.sleep(0.1)  # each is judged once
time.sleep(1)
print(len(done) < 50, subprocess.run([sys.executable, "-c", {PROBE!r}, listed], capture_output=True, text=True).stdout)
def drain():
    while True: peer.accept() if kind == socket.SOCK_STREAM else peer.recv(9)
threading.Thread(target=drain, daemon=True).start()
started = time.monotonic()
for thread in threads: thread.join()
print(len(done), time.monotonic() - started < 5)
"""


@pytest.mark.parametrize("kind", ["SOCK_STREAM", "SOCK_DGRAM"])
def test_a_full_unix_backlog_stalls_nobody_else(wire: Wire, guarded: Guarded, tmp_path: Path, kind: str) -> None:
    command = [sys.executable, "-c", FULL]
    for number, way in enumerate((command, guarded(command))):
        done = wire.run([*way, str(tmp_path / f"full{number}"), LISTED, kind], timeout=60)
        assert done.stdout.startswith("True True True"), done
        assert done.stdout.endswith("500 True\n"), done


EXCHANGED = """
import socket, sys, threading, time
path = sys.argv[1]
full = socket.socket(socket.AF_UNIX); full.bind(path); full.listen(0)
first = socket.socket(socket.AF_UNIX); first.connect(path)
def dial():
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(path)
        print(s.recv(9).decode(), flush=True)
thread = threading.Thread(target=dial); thread.start()
time.sleep(0.3); print("waits", flush=True)
sys.stdin.readline()
def accept():
    while True: full.accept()[0].sendall(b"own")
threading.Thread(target=accept, daemon=True).start()
thread.join()
"""


@pytest.mark.parametrize("is_guarded", [False, True])
def test_a_path_that_is_exchanged_while_a_dial_waits_is_not_dialled(
    wire: Wire, guarded: Guarded, tmp_path: Path, is_guarded: bool
) -> None:
    """The kernel looks the path up again when there is room. The guard stays with the file that it judged."""
    path, other = tmp_path / "own", tmp_path / "foreign"
    command = [sys.executable, "-c", EXCHANGED, str(path)]
    with socket.socket(socket.AF_UNIX) as foreign:
        foreign.bind(str(other))
        foreign.listen()
        process = subprocess.Popen(
            wire.command(guarded(command) if is_guarded else command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "waits\n"
        os.rename(other, path)
        if not is_guarded:
            foreign.settimeout(10)
            process.stdin.write("\n")  # type: ignore[union-attr]
            process.stdin.flush()  # type: ignore[union-attr]
            with foreign.accept()[0] as accepted:
                accepted.sendall(b"foreign")
        output, _ = process.communicate("\n", timeout=20)
    assert output == ("own\n" if is_guarded else "foreign\n")


HOG = f"""
import os, resource, socket, subprocess, sys, time
name = sys.argv[1].replace("@", "\\0")
if (hog := os.fork()) == 0:
    resource.setrlimit(resource.RLIMIT_NOFILE, (20_000, 20_000))
    for _ in range(19_000): os.dup(2)
    print("ready", flush=True)
    while True:
        with socket.socket(socket.AF_UNIX) as s: s.connect_ex(name)
time.sleep(1)
code = {PROBE!r}.replace("40", "200").replace("took[20] < 0.02", "took[100] < 0.02").replace("took, ", "")
print(subprocess.run([sys.executable, "-c", code, sys.argv[2]], capture_output=True, text=True).stdout)
os.kill(hog, 9)
"""


def test_a_search_for_owners_that_takes_long_leaves_time_for_others(wire: Wire, guarded: Guarded) -> None:
    """A foreign listener, asked for again and again by a process with many descriptors: /proc is read for each."""
    name = f"@foreign{os.getpid()}"
    serve = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1].replace('@', chr(0))); s.listen(); print(1, flush=True); input()"
    foreign = subprocess.Popen(
        wire.command([sys.executable, "-c", serve, name]), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert foreign.stdout is not None
    assert foreign.stdout.readline() == "1\n"
    done = wire.run(guarded([sys.executable, "-c", HOG, name, LISTED]), timeout=60)
    foreign.communicate("\n")
    assert done.stdout.startswith("ready\nTrue True"), done


FLICKER = """
import fcntl, os, socket, sys, threading, time
if sys.argv[1] == "AF_INET":
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); to = (sys.argv[3], 80)
else:
    peer = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); to = sys.argv[2]; peer.bind(to)
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
sys.setswitchinterval(1e-5)
stop, seen = [], []
def look():
    while not stop: seen.append(fcntl.fcntl(s.fileno(), fcntl.F_GETFL) & os.O_NONBLOCK)
thread = threading.Thread(target=look); thread.start()
end = time.monotonic() + 3
while time.monotonic() < end: s.connect(to)
stop.append(1); thread.join()
print(sum(map(bool, seen)), len(seen) > 1000)
"""


@pytest.mark.parametrize("family", ["AF_INET", "AF_UNIX"])
def test_a_datagram_socket_never_becomes_non_blocking(
    wire: Wire, guarded: Guarded, tmp_path: Path, family: str
) -> None:
    done = wire.run(guarded([sys.executable, "-c", FLICKER, family, str(tmp_path / "peer"), LISTED]))
    assert done.stdout == "0 True\n", done
