"""Where a container's profile forbids to act for other processes: this process is judged, its children dial nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from kernellab.wire import EVIL, LISTED, Wire

from conftest import below_install_kernel, under_run

NATIVE = """
import ctypes, errno, json, os, socket, struct, subprocess, sys, threading, time
LISTED, EVIL, GUARD = sys.argv[1], sys.argv[2], sys.argv[3] == "guarded"
import egressguard
take = egressguard._egressguard._set_test_loopback
local = socket.create_server(("127.0.0.1", 0), backlog=100)
if GUARD:
    egressguard.install(("api.test:443", "203.0.113.10:80"))
    egressguard.install_kernel()
libc = ctypes.CDLL(None, use_errno=True)
class Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_char_p), ("length", ctypes.c_size_t)]
class Message(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("name_length", ctypes.c_uint), ("vectors", ctypes.c_void_p),
                ("count", ctypes.c_size_t), ("control", ctypes.c_void_p), ("control_length", ctypes.c_size_t),
                ("flags", ctypes.c_int)]
def address(ip, port=80): return struct.pack("=H", 2) + struct.pack("!H", port) + socket.inet_aton(ip) + bytes(8)
def said(result): return "through" if result >= 0 else errno.errorcode[ctypes.get_errno()]
def connect(ip, port=80):
    s = socket.socket()
    return said(libc.connect(s.fileno(), address(ip, port), 16))
def sendto(ip):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    return said(libc.sendto(s.fileno(), b"sendto", 6, 0, address(ip), 16))
def sendmsg(ip):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    two = (Vector * 2)(Vector(b"send", 4), Vector(b"msg", 3))
    one = Message(address(ip), 16, ctypes.addressof(two), 2, None, 0, 0)
    return said(libc.sendmsg(s.fileno(), ctypes.byref(one), 0))
def wild(ip):
    s = socket.socket()
    return said(libc.connect(s.fileno(), ctypes.c_void_p(8), 16))
"""
DENIED = pytest.mark.parametrize("calls", ["getfd", "docker", "memory"])
WAYS = ["connect", "sendto", "sendmsg"]


def python(code: str, guard: str = "guarded") -> list[str]:
    return [sys.executable, "-c", NATIVE + code, LISTED, EVIL, guard]


@pytest.mark.parametrize("way", WAYS)
@DENIED
def test_process_itself_is_judged(wire: Wire, programs: Path, calls: str, way: str) -> None:
    deny = [str(programs / "deny"), calls]
    evil, listed = python(f"print({way}(EVIL))"), python(f"print({way}(LISTED))")
    assert wire.run([*deny, *python(f"print({way}(EVIL))", "open")]).stdout == "through\n"
    assert [event["to"] for event in wire.events()] == [EVIL]
    assert wire.run([*deny, *evil]).stdout == "EACCES\n"
    assert wire.events() == []
    done = wire.run([*deny, *listed])
    assert done.stdout == "through\n", done
    assert [event["to"] for event in wire.events()] == [LISTED]


@DENIED
def test_names_are_judged(wire: Wire, programs: Path, calls: str) -> None:
    """By libc's own resolver, past Python: the listed name's address is granted, the other is not asked for."""
    look = """
libc.gethostbyname.restype = ctypes.c_void_p
print(libc.gethostbyname(b"api.test") is not None, connect(LISTED, 443), libc.gethostbyname(b"evil.test") is None)
"""
    done = wire.run([str(programs / "deny"), calls, *python(look)])
    assert done.stdout == "True through True\n", done
    assert "evil.test" not in {event.get("name") for event in wire.events()}


@pytest.mark.parametrize("where", [LISTED, EVIL])
@DENIED
def test_dials_of_children_are_refused(wire: Wire, programs: Path, calls: str, where: str) -> None:
    for route in ("connect", "sendto", "sendmsg"):
        child = [str(programs / "dial"), route, where, "80"]
        assert wire.run([str(programs / "deny"), calls, *child]).stdout == "through\n"
        wire.events()
        done = wire.run([str(programs / "deny"), calls, *below_install_kernel(child)])
        assert done.stdout == f"{route}: EACCES\n", done
        assert wire.events() == []


@DENIED
def test_posture_and_journal_say_so(wire: Wire, programs: Path, calls: str) -> None:
    code = f"""
subprocess.run([{str(programs / "dial")!r}, "connect", LISTED, "80"])
[one] = egressguard.violations()
print(json.dumps([egressguard.posture()["kernel"], one.program, one.reason, one.route]))
"""
    done = wire.run([str(programs / "deny"), calls, *python(code)])
    kernel, program, reason, route = json.loads(done.stdout.splitlines()[-1])
    assert kernel["active"]
    assert kernel["children"].startswith("refused: pidfd_getfd")
    assert (program, reason, route) == ("dial", "caller", "connect")


def test_with_nothing_denied_children_are_judged(wire: Wire) -> None:
    done = wire.run(python("print(egressguard.posture()['kernel']['children'])"))
    assert done.stdout == "judged\n", done


@DENIED
def test_capability_descriptors_and_wild_addresses(wire: Wire, programs: Path, calls: str) -> None:
    code = """
port = local.getsockname()[1]
print(connect("127.0.0.1", port), wild(EVIL))
take(True); print(connect("127.0.0.1", port)); take(False)
print(libc.connect(999, address(LISTED), 16), errno.errorcode[ctypes.get_errno()])
a, b = socket.socketpair(); r, w = os.pipe()
socket.send_fds(a, [b"x"], [w]); os.write(socket.recv_fds(b, 9, 1)[1][0], b"passed"); print(os.read(r, 9).decode())
os.closerange(3, 4096)
print(connect(LISTED), connect(EVIL))
"""
    done = wire.run([str(programs / "deny"), calls, *python(code)])
    assert done.stdout == "EACCES EFAULT\nthrough\n-1 EBADF\npassed\nthrough EACCES\n", done
    assert {event["to"] for event in wire.events()} == {LISTED}


@DENIED
def test_threads_and_forks_at_once(wire: Wire, programs: Path, calls: str) -> None:
    """The channel lies in the table of the process for moments: a child that inherits it reaches nobody."""
    code = """
seen, stop = set(), False
def work():
    while not stop:
        seen.add(connect(EVIL)); seen.add(connect("203.0.113.10", 81))
threads = [threading.Thread(target=work) for _ in range(4)]
[t.start() for t in threads]
told = set()
for _ in range(40):
    r, w = os.pipe()
    if os.fork() == 0:
        os.write(w, f"{connect(LISTED)} {connect(EVIL)}".encode())
        os._exit(0)
    told.add(os.read(r, 99).decode()); os.wait(); os.close(r); os.close(w)
stop = True
[t.join() for t in threads]
def sockets():
    links = []
    for number in os.listdir("/proc/self/fd"):
        try: links.append(os.readlink(f"/proc/self/fd/{number}"))
        except OSError: pass
    return sum("socket" in one for one in links)
end = time.monotonic() + 10  # the lender takes its channel back a moment after the last answer
while sockets() > 1 and time.monotonic() < end: time.sleep(0.01)
print(sorted(seen), sorted(told), sockets())
"""
    done = wire.run([str(programs / "deny"), calls, *python(code)])
    assert done.stdout == "['EACCES'] ['EACCES EACCES'] 1\n", done  # the one socket is `local`
    assert wire.events() == []


@pytest.mark.usefixtures("kernel_layer")
@DENIED
def test_run_raises(programs: Path, calls: str) -> None:
    command = [str(programs / "deny"), calls, *under_run(["echo", "ran"])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 125
    assert "pidfd_getfd" in done.stderr
    assert done.stdout == ""
