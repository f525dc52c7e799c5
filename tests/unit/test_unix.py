"""UNIX sockets: the program's own processes reach each other, nobody else's; an entry opens what it names."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import Any

import children
import pytest

# A real file, because spawn and forkserver import the main module again.
PROGRAM = """
import multiprocessing, os, socket, sys, threading
from multiprocessing import connection, managers, reduction, resource_sharer
import egressguard
from inside import tell, word

def guarded():
    # A child that runs this file again is guarded as a program of its own would be.
    egressguard.install()

def square(number):
    return number * number

def send_socket(queue, one):
    queue.put(one)

def put(queue, number):
    queue.put(number * 2)

def child_dials(pipe):
    pipe.send(word(lambda: socket.socket().connect(("127.0.0.1", 9))))

def main(method):
    context = multiprocessing.get_context(method)
    {body}

if __name__ == "__main__":
    guarded()
    main(sys.argv[1])
"""
BODIES = {
    "a pool": """
    with context.Pool(2) as pool:
        tell(pool.map(square, range(10)))""",
    "a manager": """
    with context.Manager() as manager:
        shared, names = manager.dict(), manager.list(range(3))
        shared["key"] = sum(names)
        lock = manager.Lock()
        with lock:
            tell([dict(shared), list(names)])""",
    "a queue": """
    queue = context.Queue()
    processes = [context.Process(target=put, args=(queue, number)) for number in range(3)]
    for process in processes: process.start()
    tell(sorted(queue.get(timeout=20) for _ in processes))
    for process in processes: process.join()""",
    "a pipe": """
    here, there = context.Pipe()
    process = context.Process(target=child_dials, args=(there,))
    process.start()
    tell(here.recv())
    process.join()""",
    "a socket that is sent": """
    # The queue's feeder thread hands a descriptor out through the resource sharer, a UNIX listener of this process.
    queue = context.Queue()
    pair = socket.socketpair()
    queue.put(pair[1])
    taken = queue.get(timeout=20)
    taken.send(b"sent")
    tell(pair[0].recv(10).decode())""",
    "a listener of multiprocessing.connection": """
    listener = connection.Listener(family="AF_UNIX", authkey=b"key")
    thread = threading.Thread(target=lambda: listener.accept().send(multiprocessing.current_process().name))
    thread.start()
    with connection.Client(listener.address, authkey=b"key") as client:
        tell(client.recv())
    thread.join()""",
}
EXPECTED: dict[str, Any] = {
    "a pool": [number * number for number in range(10)],
    "a manager": [{"key": 3}, [0, 1, 2]],
    "a queue": [0, 2, 4],
    "a socket that is sent": "sent",
    "a listener of multiprocessing.connection": "MainProcess",
}


def run(body: str, method: str, folder: Path) -> Any:
    """Run the program and return what it told."""
    program = folder / "program.py"
    program.write_text(PROGRAM.replace("{body}", body.strip()))
    return children.start([sys.executable, "-P", str(program), method]).last()


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("what", BODIES)
def test_multiprocessing_works(what: str, method: str, tmp_path: Path) -> None:
    """By every start method: its listeners are held by this program, which is looked up before anything is connected."""
    told = run(BODIES[what], method, tmp_path)
    if what == "a pipe":  # the child of fork is this guarded process; the others are programs that installed nothing
        assert told == ("loopback" if method == "fork" else "ConnectionRefusedError")
    else:
        assert told == EXPECTED[what]


PREAMBLE = """
import os, socket, sys
from inside import tell, word
import egressguard
path, abstract = sys.argv[1], "\\0egressguard-unit-" + sys.argv[1]

def listen(kind=socket.SOCK_STREAM, address=path):
    one = socket.socket(socket.AF_UNIX, kind)
    one.bind(address)
    if kind != socket.SOCK_DGRAM:
        one.listen()
    return one

def dial(kind=socket.SOCK_STREAM, address=path):
    with socket.socket(socket.AF_UNIX, kind) as one:
        one.connect(address)
"""


def alone(source: str, folder: Path) -> Any:
    """Run it with a path for a socket."""
    return children.python(PREAMBLE + source, folder / "s").last()


@pytest.mark.parametrize("address", ["path", "abstract"])
@pytest.mark.parametrize("kind", ["SOCK_STREAM", "SOCK_SEQPACKET"])
def test_the_programs_own_listener_is_open(kind: str, address: str, tmp_path: Path) -> None:
    """Made before or after install, in this process or in a child that it forked."""
    source = f"""
kind = socket.{kind}
early = listen(kind, {address})
egressguard.install(())
told = [word(lambda: dial(kind, {address}))]
other = {address} + "2"
reading, writing = os.pipe()
pid = os.fork()
if pid == 0:
    held = listen(kind, other)
    os.write(writing, b".")
    os.pause() if hasattr(os, "pause") else __import__("signal").pause()
os.read(reading, 1)
told.append(word(lambda: dial(kind, other)))
os.kill(pid, 9)
os.wait()
told.append(word(lambda: dial(kind, other)))
tell(told)
"""
    # Once the child is gone there is no listener that anybody could hold.
    assert alone(source, tmp_path) == ["done", "done", "unix"]


@pytest.mark.parametrize("address", ["path", "abstract"])
def test_the_programs_own_datagram_socket_is_open(address: str, tmp_path: Path) -> None:
    """Held by this process or by a child that it forked; not once nobody holds it, and a listener is none."""
    source = f"""
K = socket.SOCK_DGRAM
held = listen(K, {address})
egressguard.install(())
one = socket.socket(socket.AF_UNIX, K)
told = [word(lambda: one.sendto(b"sent", {address})), held.recv(9).decode()]
told += [word(lambda: dial(K, {address})), word(lambda: one.sendmsg([b"x"], [], 0, {address}))]
reading, writing = os.pipe()
pid = os.fork()
if pid == 0:
    os.read(reading, 1)
    os._exit(0)
held.close()
told.append(word(lambda: one.sendto(b"x", {address})))
os.write(writing, b".")
os.wait()
told.append(word(lambda: one.sendto(b"x", {address})))
listener = listen(socket.SOCK_STREAM, {address} + "2")
told.append(word(lambda: one.sendto(b"x", {address} + "2")))
tell(told)
"""
    assert alone(source, tmp_path) == ["done", "sent", "done", "done", "done", "unix", "unix"]


def test_an_entry_opens_every_kind(tmp_path: Path) -> None:
    """Nobody holds the sockets, so it is the entry alone that lets the dial through to the kernel."""
    source = """
egressguard.install((f"unix:{path}", f"unix:@{abstract[1:]}"))
listen(socket.SOCK_DGRAM).close()
told = [word(lambda: dial(kind, address)) for address in (path, abstract) for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM)]
tell([*told, word(lambda: dial(socket.SOCK_STREAM, path + "x"))])
"""
    # A stream connect to the file of a datagram socket finds nobody either: unix(7), ECONNREFUSED.
    assert alone(source, tmp_path) == [*["ConnectionRefusedError"] * 4, "unix"]


def test_an_entry_is_one_exact_path(tmp_path: Path) -> None:
    """Another spelling of it, or a link to it, is another path: a listed one is not found by the file behind it."""
    source = """
listen(socket.SOCK_DGRAM).close()
folder, name = os.path.split(path)
os.symlink(path, path + "-link")
os.chdir(folder)
egressguard.install((f"unix:{path}",))
K = socket.SOCK_DGRAM
tell([word(lambda: dial(K, address)) for address in
      (path, path + "-link", name, "./" + name, folder + "//" + name, folder + "/./" + name, "@" + name, path + "\\0x")])
"""
    told = alone(source, tmp_path)
    assert told[0] == "ConnectionRefusedError"  # the kernel's own: nobody holds it
    assert set(told[1:7]) == {"unix"}
    assert told[7] == "ConnectionRefusedError"  # the kernel ends a path at its first NUL, and so does the verdict


@pytest.mark.parametrize("mode", ["unguarded", "guarded"])
@pytest.mark.parametrize("kind", ["SOCK_STREAM", "SOCK_DGRAM"])
def test_a_child_that_runs_another_program_is_foreign(kind: str, mode: str, tmp_path: Path) -> None:
    """A shell, a proxy: it may relay to anywhere, so being started by this program is not enough."""
    source = (
        f"KIND, MODE = '{kind}', '{mode}'"
        """
import shutil, subprocess
# Another file than this executable, or another program altogether.
copy = shutil.copy(os.path.realpath(sys.executable), path + "-python")
code = '''
import socket, sys
one = socket.socket(socket.AF_UNIX, getattr(socket, sys.argv[2]))
one.bind(sys.argv[1])
if sys.argv[2] == "SOCK_STREAM":
    one.listen()
print(flush=True)
one.settimeout(10)
try:
    one.recv(1) if sys.argv[2] == "SOCK_DGRAM" else one.accept()
    print("reached", flush=True)
except OSError:
    pass
'''
environment = dict(os.environ, PYTHONHOME=sys.base_prefix)
if MODE == "guarded":
    egressguard.install(())
child = subprocess.Popen([copy, "-c", code, path, KIND], stdout=subprocess.PIPE, env=environment, text=True)
child.stdout.readline()
kind = getattr(socket, KIND)
told = word(lambda: socket.socket(socket.AF_UNIX, kind).sendto(b"x", path) if KIND == "SOCK_DGRAM" else dial(kind))
if MODE == "guarded":
    child.kill()
tell([told, child.stdout.read()])
child.wait()
"""
    )
    assert alone(source, tmp_path) == (["unix", ""] if mode == "guarded" else ["done", "reached\n"])


def test_a_stale_path_is_refused(tmp_path: Path) -> None:
    """Nobody listens: whoever binds it next would be reached."""
    source = """
listen().close()
egressguard.install(())
tell([word(dial), word(lambda: dial(address="/nowhere")), word(lambda: dial(address=b"\\0nobody")), word(lambda: dial(address=""))])
"""
    assert alone(source, tmp_path) == ["unix"] * 4


def test_a_pair_and_bind_pass() -> None:
    """Neither dials anybody."""
    left, right = socket.socketpair()
    with left, right:
        left.send(b"x")
        assert right.recv(1) == b"x"
