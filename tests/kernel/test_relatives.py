"""Relatives that do not stand under the filter are not the program's own, whoever their parent is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.usefixtures("kernel_layer")

# A child listens on a UNIX address and hands on what it hears; forked before the guard it is under no filter.
RELAY = """
import os, socket, sys
when, kind, folder = sys.argv[1:4]
outside = socket.create_server(("127.0.0.1", 0)); port = outside.getsockname()[1]
where = f"\\0relay{os.getpid()}" if kind == "abstract" else folder + "/relay"
type_ = socket.SOCK_DGRAM if kind == "datagram" else socket.SOCK_STREAM
ready, tell = os.pipe()

def relay():
    try:
        s = socket.socket(socket.AF_UNIX, type_); s.bind(where)
        if type_ == socket.SOCK_STREAM: s.listen()
        os.write(tell, b".")
        s.settimeout(3)
        one = s if type_ == socket.SOCK_DGRAM else s.accept()[0]
        data = one.recv(100)
        socket.create_connection(("127.0.0.1", port)).sendall(data)
    except Exception: pass
    finally: os._exit(0)

def fork():
    global child
    if (child := os.fork()) == 0: relay()
    os.read(ready, 1)

if when in ("before", "unguarded"): fork()
if when == "grandchild":
    start, go = os.pipe()
    if (child := os.fork()) == 0:
        os.read(start, 1)
        if os.fork() == 0: relay()
        os.wait(); os._exit(0)
if when != "unguarded":
    import egressguard
    egressguard.install(("10.9.9.9:443",)); egressguard.install_kernel()
if when == "grandchild": os.write(go, b"."); os.read(ready, 1)
if when == "after": fork()
outside.settimeout(1)
try:
    s = socket.socket(socket.AF_UNIX, type_); s.connect(where); s.send(b"secret")
    print("sent")
except Exception as error:
    print(type(error).__name__)
    import ctypes, errno
    libc = ctypes.CDLL(None, use_errno=True)
    address = bytes([1, 0]) + where.encode()
    if libc.connect(s.fileno(), address, len(address)) == 0: s.send(b"secret")
    print(errno.errorcode[ctypes.get_errno()])
try: print(outside.accept()[0].recv(100).decode())
except OSError: print("nothing arrived")
os.kill(child, 9)
"""
KINDS = pytest.mark.parametrize("kind", ["path", "abstract", "datagram"])


def relayed(when: str, kind: str, folder: Path) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", RELAY, when, kind, str(folder)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done
    return done.stdout.splitlines()


@KINDS
def test_a_child_from_before_is_no_way_out(kind: str, tmp_path: Path) -> None:
    assert relayed("unguarded", kind, tmp_path) == ["sent", "secret"]
    (tmp_path / "relay").unlink(missing_ok=True)
    assert relayed("before", kind, tmp_path) == ["EgressViolation", "EACCES", "nothing arrived"]


@KINDS
def test_nor_is_a_child_that_it_starts_afterwards(kind: str, tmp_path: Path) -> None:
    assert relayed("grandchild", kind, tmp_path) == ["EgressViolation", "EACCES", "nothing arrived"]


@KINDS
def test_a_child_under_the_filter_is_the_programs_own(kind: str, tmp_path: Path) -> None:
    """It hears what is sent, and hands nothing on."""
    assert relayed("after", kind, tmp_path) == ["sent", "nothing arrived"]


OTHER_NETWORK = """
import ctypes, os, socket, sys
libc = ctypes.CDLL(None)
mode, name = sys.argv[1], f"\\0other{os.getpid()}"
here = os.open("/proc/self/ns/net", os.O_RDONLY)
assert libc.unshare(0x40000000) == 0
there_listener = socket.socket(socket.AF_UNIX); there_listener.bind(name); there_listener.listen()
there = socket.socket(socket.AF_UNIX)
assert libc.setns(here, 0x40000000) == 0
own = socket.socket(socket.AF_UNIX); own.bind(name); own.listen()
os.set_inheritable(there_listener.fileno(), True)
foreign = os.fork()
if foreign == 0:
    os.setsid()
    own.close()
    there_listener.settimeout(3)
    try: print(there_listener.accept()[0].recv(100).decode(), flush=True)
    except OSError: print("nothing arrived", flush=True)
    os._exit(0)
there_listener.close()
if mode == "guarded":
    import egressguard
    egressguard.install(("10.9.9.9:443",)); egressguard.install_kernel()
address = bytes([1, 0]) + name.encode()
if libc.connect(there.fileno(), address, len(address)) == 0: there.send(b"secret")
there.close()
os.waitpid(foreign, 0)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="makes a network namespace")
def test_an_abstract_name_of_another_network_is_judged_there(tmp_path: Path) -> None:
    """A listener of the same name here says nothing about whose the one there is."""
    told = {
        mode: subprocess.run(
            [sys.executable, "-c", OTHER_NETWORK, mode], capture_output=True, text=True, check=False, timeout=60
        )
        for mode in ("unguarded", "guarded")
    }
    assert told["unguarded"].stdout == "secret\n", told
    assert told["guarded"].stdout == "nothing arrived\n", told
