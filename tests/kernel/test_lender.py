"""Where descriptors are lent: what children, forged loans and other descriptor tables do to the dials of the rest."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from kernellab.wire import EVIL, LISTED, Wire

DENIED = pytest.mark.parametrize("calls", ["getfd", "docker", "memory"])
NATIVE = """
import collections, ctypes, errno, json, os, socket, struct, sys, threading, time
LISTED, EVIL, GUARD = sys.argv[1], sys.argv[2], sys.argv[3] == "guarded"
import egressguard
if GUARD:
    egressguard.install(("203.0.113.10:80",))
    egressguard.install_kernel()
libc = ctypes.CDLL(None, use_errno=True)
dials = 0
def connect(ip):
    global dials
    dials += 1
    address = struct.pack("=H", 2) + struct.pack("!H", 80) + socket.inet_aton(ip) + bytes(8)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:  # which leaves nothing on the wire
        if libc.connect(s.fileno(), address, 16) != 0: return errno.errorcode[ctypes.get_errno()]
        try: return "through" if s.getpeername()[0] == ip else "elsewhere"
        except OSError: return "elsewhere"  # another socket was connected
def channel():
    "A copy of the lender's socket, where it lies in this table just now."
    for number in range(3, 40):
        try: found = socket.socket(fileno=os.dup(number))
        except OSError: continue
        if found.type == socket.SOCK_SEQPACKET: return found
        found.close()
class Dialling:
    "Two threads dial meanwhile."
    def __enter__(self):
        self.stop, self.told = False, set()
        def work():
            while not self.stop: self.told.add(connect(LISTED))
        self.threads = [threading.Thread(target=work) for _ in range(2)]
        [thread.start() for thread in self.threads]
        return self
    def __exit__(self, *_):
        self.stop = True
        [thread.join() for thread in self.threads]
"""


def run(wire: Wire, programs: Path, calls: str, code: str, guard: str = "guarded") -> object:
    command = [sys.executable, "-W", "ignore", "-c", NATIVE + code, LISTED, EVIL, guard]
    done = wire.run([str(programs / "deny"), calls, *command])
    assert done.returncode == 0, done
    return json.loads(done.stdout)


SPOILT = """
def flood(end):
    while True:
        try: end.send(b"x" * 8)
        except BlockingIOError: pass
spoil = {
    "shutdown": lambda end: end.shutdown(socket.SHUT_RDWR),
    "write": lambda end: end.send(b"x"),
    "empty": lambda end: end.send(b""),
    "flood": flood,
}[%r]
spoilt = 0
with Dialling() as others:
    for _ in range(2000 if GUARD else 20):
        pid = os.fork()
        if pid == 0:
            try:
                end = channel()
                if end is not None: spoil(end)
            except BaseException: pass  # the pair was given up
            os._exit(0 if end is None else 7)
        spoilt += os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
        if spoilt == 3: break
print(json.dumps([spoilt, sorted(others.told), [connect(LISTED) for _ in range(3)], connect(EVIL)]))
"""


@pytest.mark.parametrize("way", ["shutdown", "write", "empty", "flood"])
@DENIED
def test_a_child_that_inherited_the_channel_spoils_no_dial(wire: Wire, programs: Path, calls: str, way: str) -> None:
    plain = run(wire, programs, calls, SPOILT % way, "open")
    assert plain == [0, ["through"], ["through"] * 3, "through"]
    assert run(wire, programs, calls, SPOILT % way) == [3, ["through"], ["through"] * 3, "EACCES"]


FORGED = """
def errors(end):
    "Whose negatives are descriptors of the supervisor's own."
    for error in range(-12, -2):
        for number in range(dials + 1, dials + 9):
            try: end.send(loan.pack(number, error))
            except OSError: pass
        yield connect(LISTED)
def descriptors(end):
    "The supervisor itself sends for us, and borrows twice for that."
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        first = dials
        for step in range(60):
            try: socket.send_fds(end, [loan.pack(first + 4 * step, 0)], [other.fileno()])
            except OSError: pass
            yield connect(LISTED)
loan = struct.Struct("=Ii")
with Dialling():
    end = None
    while end is None: end = channel()
told = {*%s(end)}
print(json.dumps([sorted(told), connect(LISTED), connect(EVIL), egressguard.posture()["kernel"]["served"]]))
"""


@pytest.mark.parametrize("what", ["errors", "descriptors"])
@DENIED
def test_forged_loans_of_this_process_are_not_taken(wire: Wire, programs: Path, calls: str, what: str) -> None:
    assert run(wire, programs, calls, FORGED % what) == [["through"], "through", "EACCES", True]


APART = """
SYS_close_range, UNSHARE = 436, 2  # which container profiles allow, where unshare(2) is forbidden
def sockets():
    links = []
    for number in os.listdir("/proc/thread-self/fd"):
        try: links.append(os.readlink(f"/proc/thread-self/fd/{number}"))
        except OSError: pass
    return sum("socket" in one for one in links)
said = []
begun, told = threading.Event(), set()
def other():
    begun.wait()
    assert libc.syscall(SYS_close_range, 3, 4000, UNSHARE) == 0
    said.append(threading.get_native_id())
    started = time.monotonic()
    said.append([connect(LISTED) for _ in range(20)])
    said.append(time.monotonic() - started < 1)
    said.append(sockets() <= 1)
thread = threading.Thread(target=other); thread.start()
worst = 0
while not told or thread.is_alive():
    begun.set()
    started = time.monotonic(); told.add(connect(LISTED)); worst = max(worst, time.monotonic() - started)
number = said.pop(0)
def again(): reused.append((threading.get_native_id(), connect(LISTED)))
reused = []
while GUARD and not any(one == number for one, _ in reused):
    with open("/proc/sys/kernel/ns_last_pid", "w") as last: last.write(str(number - 1))
    thread = threading.Thread(target=again); thread.start(); thread.join()
print(json.dumps([said, worst < 1, sorted(told), sorted({one for _, one in reused})]))
"""


@DENIED
def test_a_thread_with_a_table_of_its_own_is_refused_at_once(wire: Wire, programs: Path, calls: str) -> None:
    """It keeps nobody waiting, one descriptor is left in its table, and whoever has its thread id next can dial."""
    plain = run(wire, programs, calls, APART, "open")
    assert plain == [[["through"] * 20, True, True], True, ["through"], []]
    said = run(wire, programs, calls, APART)
    assert said == [[["EACCES"] * 20, True, True], True, ["through"], ["through"]]
