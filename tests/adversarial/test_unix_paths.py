"""A path is exchanged while it is judged: what was looked at is what is dialled."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import children
import pytest

# Another thread lets the path lead to a socket of this program and to a foreign one, in turn.
FLIPPED = """
import os, socket, sys, threading, time
from inside import tell, word
folder, kind = sys.argv[1], getattr(socket, sys.argv[3])
own = socket.socket(socket.AF_UNIX, kind)
own.bind(folder + "/own")
if kind == socket.SOCK_STREAM:
    own.listen(1000)
own.settimeout(0.2)
if sys.argv[2] == "guarded":
    import logging
    import egressguard
    logging.disable()
    egressguard.install(())
ended = threading.Event()
def drain():
    while not ended.is_set():
        try: own.accept()[0].close() if kind == socket.SOCK_STREAM else own.recv(10)
        except OSError: pass
def flip():
    number = 0
    while not ended.is_set():
        number += 1
        temporary = f"{folder}/{number & 1}"
        os.symlink(folder + ("/foreign" if number & 1 else "/own"), temporary)
        os.replace(temporary, folder + "/path")
os.symlink(folder + "/own", folder + "/path")
sys.setswitchinterval(1e-5)
threads = [threading.Thread(target=drain), threading.Thread(target=flip)]
for thread in threads: thread.start()
words, end = {}, time.monotonic() + 2
while time.monotonic() < end:
    with socket.socket(socket.AF_UNIX, kind) as one:
        one.settimeout(1)
        told = word(lambda: one.connect(folder + "/path") if sys.argv[4] == "connect" else one.sendto(b"x", folder + "/path"))
    words[told] = words.get(told, 0) + 1
ended.set()
for thread in threads: thread.join()
tell(words)
"""


class Foreign:
    """A UNIX socket of this process, which is no descendant of the guarded one, and what came there."""

    def __init__(self, path: Path, kind: socket.SocketKind) -> None:
        self.socket = socket.socket(socket.AF_UNIX, kind)
        self.socket.bind(str(path))
        if kind is socket.SOCK_STREAM:
            self.socket.listen(1000)
        self.socket.settimeout(0.1)
        self.came, self.ended = 0, threading.Event()
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self) -> None:
        """Count connections, or messages: an empty one is a datagram socket that was connected and closed."""
        while not self.ended.is_set():
            try:
                if self.socket.type is socket.SOCK_STREAM:
                    self.socket.accept()[0].close()
                else:
                    self.socket.recv(10)
            except TimeoutError:
                continue
            self.came += 1

    def count(self) -> int:
        """End, and return how often it was reached."""
        self.ended.set()
        self.thread.join()
        self.socket.close()
        return self.came


@pytest.mark.parametrize(("kind", "call"), [("SOCK_STREAM", "connect"), ("SOCK_DGRAM", "sendto")])
def test_a_path_that_is_exchanged_leads_to_no_foreign_socket(tmp_path: Path, kind: str, call: str) -> None:
    """Without the guard the foreign one is reached; with it only this program's own, and that again and again."""
    reached, told = {}, {}
    for mode in ("unguarded", "guarded"):
        folder = tmp_path / mode
        folder.mkdir()
        foreign = Foreign(folder / "foreign", getattr(socket, kind))
        try:
            told[mode] = children.python(FLIPPED, folder, mode, kind, call).last()
        finally:
            reached[mode] = foreign.count()
    assert reached["unguarded"] > 0
    assert reached["guarded"] == 0
    assert told["guarded"]["done"] > 0
    assert told["guarded"]["unix"] > 0


BLOCKED = """
import os, signal, socket, sys, threading, time
from inside import outcome, tell
folder = sys.argv[1]
server = socket.socket(socket.AF_UNIX)
server.bind(folder + "/full")
server.listen(0)
datagrams = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
datagrams.bind(folder + "/datagrams")
if sys.argv[2] == "guarded":
    import logging
    import egressguard
    logging.disable()
    egressguard.install(())
kept = []
def fill():
    while True:
        kept.append(socket.socket(socket.AF_UNIX))
        kept[-1].setblocking(False)
        try: kept[-1].connect(folder + "/full")
        except BlockingIOError: return
fill()
def timed(call):
    began = time.monotonic()
    told = outcome(call)
    return [told["type"], told["text"], round(time.monotonic() - began, 1)]
class Alarm(Exception): pass
def handler(*_): raise Alarm("rang")
signal.signal(signal.SIGALRM, handler)
waiting = socket.socket(socket.AF_UNIX)
signal.setitimer(signal.ITIMER_REAL, 0.3)
told = [timed(lambda: waiting.connect(folder + "/full"))[0]]
sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
sender.setblocking(False)
def flood():
    while True: sender.sendto(b"x" * 1000, folder + "/datagrams")
told.append(timed(flood)[0])
sender.settimeout(0.5)
told.append(timed(lambda: sender.sendto(b"x", folder + "/datagrams")))
sender.settimeout(None)
signal.setitimer(signal.ITIMER_REAL, 0.3)
told.append(timed(lambda: sender.sendto(b"x", folder + "/datagrams"))[0])
left, right = socket.socketpair()
there = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
there.bind(folder + "/there")
told.append(sender.sendmsg([b"a", b"b"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, left.fileno().to_bytes(4, sys.byteorder))], 0,
                           folder + "/there"))
data, descriptors, _, _ = socket.recv_fds(there, 10, 1)
told += [data.decode(), os.fstat(descriptors[0]).st_ino == os.fstat(left.fileno()).st_ino]
told.append([outcome(lambda: sender.sendmsg([b"x"], [5], 0, folder + "/there"))["type"],
             socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK).connect_ex(folder + "/full")])
tell(told)
"""


def test_waiting_and_descriptors_are_as_without_the_guard(tmp_path: Path) -> None:
    """A full backlog or receiver waits, times out and is interrupted; descriptors are passed on."""
    told = {}
    for mode in ("unguarded", "guarded"):
        (tmp_path / mode).mkdir()
        told[mode] = children.python(BLOCKED, tmp_path / mode, mode).last()
    assert told["guarded"] == told["unguarded"]
    assert told["guarded"][:2] == ["Alarm", "BlockingIOError"]
    assert told["guarded"][2][:2] == ["TimeoutError", "timed out"]
    assert told["guarded"][4:7] == [2, "ab", True]


CLOSING = """
import os, socket, sys, threading, time
import egressguard
from inside import tell
path = sys.argv[1]
server = socket.socket(socket.AF_UNIX)
server.bind(path)
server.listen(0)
datagrams = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
datagrams.bind(path + "-datagrams")
if sys.argv[2] == "guarded":
    egressguard.install(())

def ends_at_once():
    "Whether the reader meets the end of the pipe as soon as its writing end is closed."
    os.close(writing)
    try:
        return os.read(reading, 1) == b""
    except BlockingIOError:
        return False

def pipe():
    ends = os.pipe()
    os.set_blocking(ends[0], False)
    return ends

def threads():
    "How many there are, as CPython counts them before a fork()."
    with open("/proc/self/stat") as file:
        return int(file.read().rpartition(")")[2].split()[17])

told = []
sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
for number in range(200):
    reading, writing = pipe()
    if number % 2:
        sender.sendto(b"x", path + "-datagrams")
    else:
        sender.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, sender.fileno().to_bytes(4, sys.byteorder))], 0,
                       path + "-datagrams")
    told.append(threads() == 1)
    told.append(ends_at_once())
    datagrams.recv(1)
    os.close(reading)
first, waiting = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
first.connect(path)
reading, writing = pipe()
thread = threading.Thread(target=waiting.connect, args=(path,))
thread.start()
time.sleep(0.5)
told.append(ends_at_once())
server.accept()
thread.join()
tell([all(told), len(told)])
"""


@pytest.mark.parametrize("mode", ["unguarded", "guarded"])
def test_a_dial_leaves_no_thread_and_no_open_copies(tmp_path: Path, mode: str) -> None:
    """What the program closes is closed, also while a dial waits for room in the backlog; a fork() finds one thread."""
    assert children.python(CLOSING, tmp_path / "s", mode).last() == [True, 401]
