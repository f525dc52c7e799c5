"""What a caller hands over by address: read as the kernel would, wherever the caller stands."""

from __future__ import annotations

import json
import sys

import pytest
from kernellab.wire import EVIL, LISTED, Wire

ALLOW = (f"{LISTED}:9", f"{LISTED}:80")
CODE = """
import ctypes, errno, json, mmap, socket, struct, sys
{before}
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
libc.sendto.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_void_p, ctypes.c_uint]
libc.connect.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_uint]
PAGE, ROOM = mmap.PAGESIZE, 32 * mmap.PAGESIZE
# As much as is written, and then a page that may not be touched.
start = libc.mmap(None, ROOM + PAGE, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
edge = start + ROOM
assert libc.mprotect(ctypes.c_void_p(edge), PAGE, 0) == 0
def address(host, port): return struct.pack("=H", 2) + struct.pack("!H", port) + socket.inet_aton(host) + bytes(8)
def put(data, behind=0):
    # at the very end, but for as many bytes as shall lie behind the edge
    at = edge - len(data) + behind
    ctypes.memmove(at, data[:len(data) - behind], len(data) - behind)
    return at
def told(result): return errno.errorcode[ctypes.get_errno()] if result < 0 else result
def bytes_at(data): return ctypes.cast(ctypes.create_string_buffer(data, len(data)), ctypes.c_void_p)
{code}
"""
BEFORE = {
    "unguarded": "",
    "process": f"import egressguard; egressguard.install({ALLOW!r}); egressguard.install_kernel()",
    "child": "",
    "run": "",
}
PARENT = f"""
import subprocess, sys, egressguard
egressguard.install({ALLOW!r})
egressguard.install_kernel()
sys.exit(subprocess.run(sys.argv[1:]).returncode)
"""
AROUND = {
    "unguarded": [],
    "process": [],
    "child": [sys.executable, "-c", PARENT],
    "run": [sys.executable, "-m", "egressguard.cli", "run", *[w for e in ALLOW for w in ("--allow", e)], "--"],
}
GUARDED = ("process", "child", "run")


def told(wire: Wire, where: str, code: str) -> list[object]:
    """Return what the code prints as JSON, in the process itself, in a child or under `run`."""
    command = [*AROUND[where], sys.executable, "-c", CODE.format(before=BEFORE[where], code=code)]
    done = wire.run(command)
    assert done.returncode == 0, done
    told: list[object] = json.loads(done.stdout)
    return told


DIALS = f"""
answers = []
for behind in (0, 1, 8, 15):
    s = socket.socket()
    answers.append(told(libc.connect(s.fileno(), put(address("{LISTED}", 80), behind), 16)))
for where in (None, 8, edge, edge + PAGE - 8):
    s = socket.socket()
    answers.append(told(libc.connect(s.fileno(), where, 16)))
answers.append(told(libc.connect(999, None, 16)))                    # which of the two mistakes?
answers.append(told(libc.connect(s.fileno(), put(address("{LISTED}", 80)), 4096)))
answers.append(told(libc.connect(0, put(address("{LISTED}", 80)), 16)))
print(json.dumps(answers))
"""


@pytest.mark.parametrize("where", GUARDED)
def test_addresses_at_the_edge_of_what_is_mapped(wire: Wire, where: str) -> None:
    unguarded = told(wire, "unguarded", DIALS)
    assert unguarded[:5] == [0, "EFAULT", "EFAULT", "EFAULT", "EFAULT"]
    assert unguarded[8] == "EBADF"
    wire.events()
    assert told(wire, where, DIALS) == unguarded
    assert {(event["to"], event["port"]) for event in wire.events() if event["kind"] == "tcp"} == {(LISTED, 80)}


SENDS = f"""
s, answers = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), []
to = bytes_at(address("{LISTED}", 9))
for length, behind in ((1, 0), (1, 1), (100, 1), (PAGE, 0), (PAGE + 1, 0), (3 * PAGE, 1), (60000, 0)):
    data = bytes(i % 251 for i in range(length))
    answers.append(told(libc.sendto(s.fileno(), put(data, behind), length, 0, to, 16)))
answers.append(told(libc.sendto(s.fileno(), None, 0, 0, to, 16)))
answers.append(told(libc.sendto(s.fileno(), put(b"x"), 1, 0, edge - 8, 16)))
answers.append(told(libc.sendto(s.fileno(), put(b"x"), 1, 0, to, 4)))
answers.append(told(libc.sendto(s.fileno(), edge, 1, 0, to, 4)))              # which of the two mistakes?
answers.append(told(libc.sendto(s.fileno(), edge, 1, 0, to, 129)))
print(json.dumps(answers))
"""


@pytest.mark.parametrize("where", GUARDED)
def test_datagrams_at_the_edge_arrive_whole_or_not_at_all(wire: Wire, where: str) -> None:
    unguarded = told(wire, "unguarded", SENDS)
    arrived = wire.events()
    assert unguarded == [1, "EFAULT", "EFAULT", 4096, 4097, "EFAULT", 60000, 0, "EFAULT", *["EINVAL"] * 3]
    assert len(arrived) == 5
    assert told(wire, where, SENDS) == unguarded
    assert [event.get("data") for event in wire.events()] == [event.get("data") for event in arrived]


SCATTERED = f"""
class Vector(ctypes.Structure): _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]
class Message(ctypes.Structure):
    _fields_ = [("name", ctypes.c_void_p), ("name_length", ctypes.c_uint), ("vectors", ctypes.c_void_p),
                ("count", ctypes.c_size_t), ("control", ctypes.c_void_p), ("control_length", ctypes.c_size_t),
                ("flags", ctypes.c_int)]
s, answers = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), []
to = bytes_at(address("{LISTED}", 9))
def send(*parts, to=to, length=16, at=None):
    vectors = (Vector * max(len(parts), 1))(*[Vector(base, length) for base, length in parts])
    message = Message(to, length, at or ctypes.cast(vectors, ctypes.c_void_p), len(parts))
    answers.append(told(libc.sendmsg(s.fileno(), ctypes.byref(message), 0)))
send()
send((bytes_at(b"one"), 3))
send((bytes_at(b"one "), 4), (None, 0), (put(b"two"), 3), (bytes_at(b" three"), 6))
send((bytes_at(b"one "), 4), (put(b"two", 1), 3))
send(*[(bytes_at(bytes([65 + i])), 1) for i in range(26)])
send((bytes_at(b"one"), 3), length=4)
send((edge, 3), length=4)
send((bytes_at(b"one"), 3), length=4, at=edge - 8)
send((bytes_at(b"one"), 3), at=edge - 8)
send((bytes_at(b"one"), 3), to=edge - 8)
print(json.dumps(answers))
"""


@pytest.mark.parametrize("where", GUARDED)
def test_scattered_messages_arrive_whole_or_not_at_all(wire: Wire, where: str) -> None:
    unguarded = told(wire, "unguarded", SCATTERED)
    arrived = wire.events()
    assert unguarded == [0, 3, 13, "EFAULT", 26, *["EINVAL"] * 2, *["EFAULT"] * 3]
    assert len(arrived) == 4
    assert told(wire, where, SCATTERED) == unguarded
    assert [event.get("data") for event in wire.events()] == [event.get("data") for event in arrived]


# Two addresses of the same place in memory, of a parent and of its child: each is judged by its own.
FORKED = f"""
import os
def dial():
    s = libc.socket(2, 1, 0)
    return told(libc.connect(s, shared, 16))
shared = put(address("{LISTED}", 80))
answers = [dial()]
reader, writer = os.pipe()
if os.fork() == 0:
    put(address("{EVIL}", 80))
    os.write(writer, json.dumps(dial()).encode())
    os._exit(0)
os.wait()
answers.append(json.loads(os.read(reader, 99)))
answers.append(dial())
print(json.dumps(answers))
"""


@pytest.mark.parametrize("where", GUARDED)
def test_each_process_is_judged_by_its_own_memory(wire: Wire, where: str) -> None:
    assert told(wire, "unguarded", FORKED) == [0, 0, 0]
    assert {event["to"] for event in wire.events()} == {LISTED, EVIL}
    assert told(wire, where, FORKED) == [0, "EACCES", 0]
    assert {event["to"] for event in wire.events()} == {LISTED}


# A port of one's own, without SO_REUSEADDR: free only when nobody has the socket any more.
PORTS = f"""
answers = []
for host in 150 * ("{EVIL}", "{LISTED}"):
    s = libc.socket(2, 2, 0)
    if libc.bind(s, bytes_at(address("0.0.0.0", 5555)), 16) != 0:
        answers.append("bind: " + told(-1))
    libc.connect(s, bytes_at(address(host, 9)), 16)
    libc.close(s)
print(json.dumps(answers))
"""


@pytest.mark.parametrize("where", GUARDED)
def test_a_closed_socket_is_closed(wire: Wire, where: str) -> None:
    """The supervisor has a descriptor of it for the time of the call and no longer: it would keep the port."""
    assert told(wire, "unguarded", PORTS) == []
    assert told(wire, where, PORTS) == []
