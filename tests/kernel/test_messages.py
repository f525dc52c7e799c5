"""What sendto, sendmsg and sendmmsg tell their caller, and whom many messages of one caller keep waiting."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from kernellab.wire import EVIL, LISTED, Wire

pytestmark = pytest.mark.usefixtures("kernel_layer")

ALLOW = (f"{LISTED}:80",)
INSTALL = f"import egressguard; egressguard.install({ALLOW!r}); egressguard.install_kernel()"
RUN = [sys.executable, "-m", "egressguard.cli", "run", "--allow", ALLOW[0], "--"]
GUARDED = pytest.mark.parametrize("where", ["process", "run"])
CODE = """
import ctypes, errno, json, os, resource, socket, struct, sys, threading
{before}
libc = ctypes.CDLL(None, use_errno=True)
libc.sendto.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_void_p, ctypes.c_uint]
libc.sendmsg.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_int]
kept = []
def at(data):
    kept.append(ctypes.create_string_buffer(data, len(data)))
    return ctypes.addressof(kept[-1])
def address(host, family=2): return struct.pack("=H", family) + struct.pack("!H", 80) + socket.inet_aton(host) + bytes(8)
def message(name, name_length, data, length):
    vector = at(struct.pack("=QQ", data, length))
    return at(struct.pack("=QIxxxxQQQQixxxx", name, name_length, vector, 1, 0, 0, 0))
def told(result): return errno.errorcode[ctypes.get_errno()] if result < 0 else result
{code}
"""


def told(wire: Wire, where: str, code: str) -> object:
    before = INSTALL if where == "process" else ""
    done = wire.run([*(RUN if where == "run" else []), sys.executable, "-c", CODE.format(before=before, code=code)])
    assert done.returncode == 0, done
    return json.loads(done.stdout)


NAMED = f"""
data, answers = at(b"hello"), []
for name, length in ((address("{EVIL}"), 16), (address("{LISTED}"), 0), (address("{LISTED}"), 4), (b"x", 1),
                     (address("{LISTED}", 99), 16), (address("{LISTED}", 10), 16), (bytes(128), 128), (bytes(200), 129)):
    s = socket.create_connection(("{LISTED}", 80))
    answers.append([told(libc.sendto(s.fileno(), data, 5, 0, at(name), length)),
                    told(libc.sendmsg(s.fileno(), message(at(name), min(length, 128), data, 5), 0))])
a, b = socket.socketpair()
answers.append(told(libc.sendto(a.fileno(), data, 5, 0, at(address("{LISTED}")), 0)))
print(json.dumps(answers))
"""


@GUARDED
def test_a_destination_on_a_connected_stream_says_nothing(wire: Wire, where: str) -> None:
    """The kernel copies it and does not look at it (tcp_sendmsg); neither does the guard, which judged the connect."""
    unguarded = told(wire, "unguarded", NAMED)
    assert unguarded == [*[[5, 5]] * 7, ["EINVAL", 5], 5]
    assert told(wire, where, NAMED) == unguarded
    assert {event["to"] for event in wire.events() if event["kind"] == "tcp"} == {LISTED}


PARTIAL = """
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
good = 3 << 20
start = libc.mmap(None, good + (1 << 20), 3, 0x22, -1, 0)
libc.mprotect(ctypes.c_void_p(start + good), 1 << 20, 0)
a, b = socket.socketpair()
got = [0]
def drain():
    while data := b.recv(1 << 20): got[0] += len(data)
thread = threading.Thread(target=drain)
thread.start()
sent = told(libc.sendmsg(a.fileno(), message(0, 0, start, good + 1000), 0))
a.close()
thread.join()
print(json.dumps([sent == got[0], sent if isinstance(sent, str) else sent > 1 << 20]))
"""


@GUARDED
def test_what_was_sent_before_the_memory_ended_is_told(wire: Wire, where: str) -> None:
    assert told(wire, "unguarded", PARTIAL) == [True, True]
    assert told(wire, where, PARTIAL) == [True, True]


# Each of 400 datagrams to two names of the family looks for the owner in /proc, for some milliseconds.
HOG = """
import ctypes, os, resource, socket, struct, threading
libc = ctypes.CDLL(None, use_errno=True)
resource.setrlimit(resource.RLIMIT_NOFILE, (4000, 4000))
fill = [os.open("/dev/null", 0) for _ in range(1100)]
names = [b"\\0turns%d-%d" % (os.getpid(), i) for i in range(2)]
for name in names:
    one = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    one.bind(name)
    threading.Thread(target=lambda one=one: [one.recv(9) for _ in iter(int, 1)], daemon=True).start()
kept = []
def at(data):
    kept.append(ctypes.create_string_buffer(data, len(data)))
    return ctypes.addressof(kept[-1])
def header(name):
    where = at(struct.pack("=H", 1) + name)
    return struct.pack("=QIxxxxQQQQixxxxixxxx", where, 2 + len(name), at(struct.pack("=QQ", at(b"x"), 1)), 1, 0, 0, 0, 0)
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
messages = at((header(names[0]) + header(names[1])) * 200)
print(libc.sendmmsg(s.fileno(), ctypes.c_void_p(messages), 400, 0), ctypes.get_errno())
"""
BESIDE = f"""
import socket, subprocess, sys, time
if sys.argv[1] == "process":
    import egressguard; egressguard.install({ALLOW!r}); egressguard.install_kernel()
hog = subprocess.Popen([sys.executable, "-c", sys.argv[2]], stdout=subprocess.PIPE, text=True)
worst = 0
while hog.poll() is None:
    started = time.monotonic()
    socket.create_connection(("{LISTED}", 80)).close()
    worst = max(worst, time.monotonic() - started)
    time.sleep(0.02)
print(hog.stdout.read().strip(), worst < 0.5, worst)
"""


@pytest.mark.parametrize("where", ["unguarded", "process", "run"])
def test_many_messages_of_one_caller_leave_the_others_their_turn(wire: Wire, where: str) -> None:
    done = wire.run([*(RUN if where == "run" else []), sys.executable, "-c", BESIDE, where, HOG], timeout=60)
    assert done.stdout.startswith("400 0 True "), done


# Connected to a peer whose queue is full, it has messages for another one, and does not wait.
FULL = """
names = [b"\\0full%d" % os.getpid(), b"\\0other%d" % os.getpid()]
full, other, s = (socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(3))
full.bind(names[0]); other.bind(names[1])
s.connect(names[0]); s.setblocking(False)
try:
    while True: s.send(b"x")
except BlockingIOError: pass
resource.setrlimit(resource.RLIMIT_NOFILE, (4000, 4000))
fill = [os.open("/dev/null", 0) for _ in range(1100)]  # so that each message takes longer than a turn
header = struct.pack("=QIxxxxQQQQixxxxixxxx", at(struct.pack("=H", 1) + names[1]), 2 + len(names[1]),
                     at(struct.pack("=QQ", at(b"x"), 1)), 1, 0, 0, 0, 0)
print(json.dumps([told(libc.sendmmsg(s.fileno(), ctypes.c_void_p(at(header * 5)), 5, 0)),
                  [other.recv(9).decode() for _ in range(5)]]))
"""


@GUARDED
def test_many_messages_do_not_wait_for_the_peer_that_they_are_not_for(wire: Wire, where: str) -> None:
    assert told(wire, "unguarded", FULL) == told(wire, where, FULL) == [5, 5 * ["x"]]


NAMELESS = f"""
import ctypes, socket, sys
open("/proc/self/comm", "wb").write(bytes.fromhex(sys.argv[1]))
s = socket.socket()
ctypes.CDLL(None).connect(s.fileno(), b"\\2\\0\\0\\x50" + socket.inet_aton("{EVIL}") + bytes(8), 16)
"""
# The kernel cuts a name after 15 bytes, in the middle of a letter.
NAMES = {"приложение": r"приложе\xd0", "ev\udcfel": r"ev\xfel"}


@pytest.mark.parametrize("name", NAMES)
def test_the_name_of_a_program_is_any_bytes(name: str) -> None:
    """A refusal of one whose name is no UTF-8 is in the summary and in the journal of the parent."""
    child = [sys.executable, "-c", NAMELESS, name.encode(errors="surrogateescape").hex()]
    done = subprocess.run([*RUN, *child], capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr.count(f"{NAMES[name]} tried {EVIL}:80: not-listed\n") == 1, done
    parent = f"{INSTALL}; import subprocess, sys; subprocess.run(sys.argv[1:]); print(ascii(egressguard.violations()[0].program))"
    done = subprocess.run(
        [sys.executable, "-c", parent, *child], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == ascii(NAMES[name]) + "\n", done
