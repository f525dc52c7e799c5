"""Who a caller is to its UNIX peers: itself, though the supervisor makes its calls."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from conftest import Guarded

pytestmark = pytest.mark.usefixtures("kernel_layer")
root_alone = pytest.mark.skipif(os.geteuid() != 0, reason="gives up rights that only root has")

# A root process with a listener of an abstract name and a pair of sockets; a child of it gives its rights up for good.
PEERS = """
import json, os, socket, struct, sys
SCM_CREDENTIALS, SO_PASSCRED, SO_PEERCRED, NOBODY = 2, 16, 17, 65534
listener = socket.socket(socket.AF_UNIX)
listener.bind(name := f"\\0creds{os.getpid()}")
listener.listen()
reader, writer = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
reader.setsockopt(socket.SOL_SOCKET, SO_PASSCRED, 1)
told = {}

def send(what, *claim, more=()):
    control = [(socket.SOL_SOCKET, SCM_CREDENTIALS, struct.pack("iii", *claim))] if claim else []
    try:
        writer.sendmsg([b"x"], [*control, *more], socket.MSG_DONTWAIT)
        control = reader.recvmsg(100, 200)[1]
        told[what] = [list(struct.unpack("iii", data[:12])) for _, kind, data in control if kind == SCM_CREDENTIALS][0]
    except OSError as error:
        told[what] = error.errno

def connect(what):
    try:
        with socket.socket(socket.AF_UNIX) as one:
            one.connect(name)
            told[what] = list(struct.unpack("iii", listener.accept()[0].getsockopt(socket.SOL_SOCKET, SO_PEERCRED, 12)))[1:]
    except OSError as error:
        told[what] = error.errno
"""
DROPPED = (
    PEERS
    + """
if (pid := os.fork()) == 0:
    os.setgroups([]); os.setgid(NOBODY); os.setuid(NOBODY)
    me = os.getpid()
    send("implicit"); send("own", me, NOBODY, NOBODY)
    send("root's", me, 0, 0); send("another process's", 1, NOBODY, NOBODY)
    send("beside a descriptor", me, NOBODY, NOBODY, more=[(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", 0))])
    connect("connected")
    for what, value in told.items():
        if isinstance(value, list) and len(value) == 3:
            told[what] = [value[0] == me, *value[1:]]
    print(json.dumps(told), flush=True)
    os._exit(0)
os.waitpid(pid, 0)
"""
)


def run(code: str, **how: object) -> dict[str, object]:
    done = subprocess.run(code_of(code, **how), capture_output=True, text=True, check=False, timeout=60, cwd="/")
    assert done.returncode == 0, done
    told = json.loads(done.stdout.splitlines()[-1])
    assert isinstance(told, dict)
    return told


def code_of(code: str, guarded: Guarded | None = None, nobody: bool = False) -> list[str]:
    command = [sys.executable, "-c", code]
    command = command if guarded is None else guarded(command)
    # The right to read any file is kept: the interpreter may be where nobody else may look.
    keep = [f"--{which}-caps=-all,+dac_read_search" for which in ("inh", "ambient")]
    drop = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *keep]
    return [*drop, *command] if nobody else command


ITSELF = {
    "implicit": [True, 65534, 65534],
    "own": [True, 65534, 65534],
    "root's": 1,
    "another process's": 1,
    "beside a descriptor": [True, 65534, 65534],
}


@root_alone
def test_a_process_that_gave_its_rights_up_is_itself_to_receivers(guarded: Guarded) -> None:
    """A supervisor that is root has the right to say that it is anybody; its caller has not."""
    assert run(DROPPED) == {**ITSELF, "connected": [65534, 65534]}
    told = run(DROPPED, guarded=guarded)
    # A listener would see the supervisor (SO_PEERCRED), which is more than the caller: no connection.
    assert told == {**ITSELF, "connected": 13}


@root_alone
def test_roots_claims_are_judged_by_the_kernel(guarded: Guarded) -> None:
    code = PEERS + "send('claim', 1, 7, 8); send('no process', 99999999, 0, 0); print(json.dumps(told))"
    assert run(code) == {"claim": [1, 7, 8], "no process": 3}
    assert run(code, guarded=guarded) == {"claim": [1, 7, 8], "no process": 3}


UNPRIVILEGED = (
    PEERS
    + """
me, ids = os.getpid(), (os.getuid(), os.getgid())
send("own", me, *ids); send("parent's", os.getppid(), *ids); send("root's", me, 0, 0)
connect("connected")
told["own"] = told["own"] if isinstance(told["own"], int) else told["own"][1:]
print(json.dumps(told))
"""
)


@root_alone
def test_without_rights_a_message_with_ones_own_credentials_arrives(guarded: Guarded) -> None:
    """A supervisor that is not root may not say who its caller is: the receiver sees the supervisor's process."""
    expected = {"own": [65534, 65534], "parent's": 1, "root's": 1, "connected": [65534, 65534]}
    assert run(UNPRIVILEGED, nobody=True) == expected
    assert run(UNPRIVILEGED, nobody=True, guarded=guarded) == expected


MARK = """
import json, os, socket, struct
SO_MARK, SO_PRIORITY = 36, 12
receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
if (pid := os.fork()) == 0:
    os.setgid(65534); os.setuid(65534)
    told = {}
    for what, kind, value in (("mark", SO_MARK, 7), ("priority", SO_PRIORITY, 7)):
        try:
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            s.sendmsg([b"x"], [(socket.SOL_SOCKET, kind, struct.pack("i", value))], 0, ("203.0.113.10", 80))
            told[what] = "sent"
        except OSError as error:
            told[what] = error.errno
    print(json.dumps(told), flush=True)
    os._exit(0)
os.waitpid(pid, 0)
"""


@root_alone
def test_the_supervisors_rights_are_not_lent_to_mark_packets(guarded: Guarded) -> None:
    """In a network of its own, where nothing leads to the listed address: the answer of the rights comes first."""
    code = f"import os, sys; os.execvp('unshare', ['unshare', '--net', sys.executable, '-c', {MARK!r}])"
    assert run(code) == {"mark": 1, "priority": 1}
    assert run(code, guarded=guarded) == {"mark": 1, "priority": 1}
