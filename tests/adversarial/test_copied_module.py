"""A copy of `_socket` has method tables of its own: its routes are not swapped, and its connect asks libc for a name
before the audit event. The floor refuses its sockets when they are made, and install() a process that has one already.
"""

from __future__ import annotations

import sys
from pathlib import Path

import children
import nameserver
import pytest
from listeners import Endpoint

pytestmark = pytest.mark.skipif("_socket" in sys.builtin_module_names, reason="no file of _socket that could be copied")

# Questions are counted in a network of the child's own, so the name is free to leave the process.
LEAK = """
import sys
from pathlib import Path
import _socket, reaches, socket
from inside import tell, word
from nameserver import Nameserver

mode, folder, trick = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
server = Nameserver()
if mode == "guarded":
    import egressguard
    egressguard.install(())
copied = reaches.load_copy(folder, "_socket")
tricks = {
    "plain": lambda: copied.socket,
    "a subclass": lambda: type("Sub", (copied.socket,), {}),
    "a subclass that looks like the real type": lambda: type("_socket.socket", (copied.socket,), {
        "__module__": "_socket", "connect": _socket.socket.__dict__["connect"], "leak": copied.socket.connect,
        "leak_bind": copied.socket.bind, "leak_sendto": copied.socket.sendto}),
    "a subclass of both": lambda: type("_socket.socket", (copied.socket, Named), {}),
}
Named = type("_socket.socket", (), {"connect": _socket.socket.__dict__["connect"]})
NAME = "forbidden.example"

def dial():
    one = tricks[trick]()(_socket.AF_INET, _socket.SOCK_DGRAM)
    return copied.socket.connect(one, (NAME, 9))

def send():
    one = tricks[trick]()(_socket.AF_INET, _socket.SOCK_DGRAM)
    return copied.socket.sendto(one, b"x", (NAME, 9))

def bind():
    one = tricks[trick]()(_socket.AF_INET, _socket.SOCK_DGRAM)
    return copied.socket.bind(one, (NAME, 0))

calls = [dial, send, bind]
if trick == "plain":
    calls += [lambda: copied.getaddrinfo(NAME, 9), lambda: copied.gethostbyname(NAME),
              lambda: copied.gethostbyname_ex(NAME), lambda: copied.gethostbyaddr(NAME),
              lambda: copied.gethostbyaddr("203.0.113.9"), lambda: copied.getnameinfo(("203.0.113.9", 9), 0)]
for call in calls:
    told = word(call)
    tell([told, len(server.asked())])
"""
TRICKS = ["plain", "a subclass", "a subclass that looks like the real type", "a subclass of both"]


@pytest.mark.parametrize("trick", TRICKS)
def test_no_question_leaves_by_a_copy(trick: str, own_network: None, tmp_path: Path) -> None:
    """Every call of the copy that takes a name is refused before libc asks for it."""
    told = children.python_alone(LEAK, "guarded", tmp_path, trick, addresses=nameserver.on_lo()).told()
    assert [asked for _, asked in told] == [0] * len(told)
    assert {word for word, _ in told} <= {"copied-module", "shape", "not-listed"}


def test_without_the_guard_the_questions_leave(own_network: None, tmp_path: Path) -> None:
    """The attack works."""
    told = children.python_alone(LEAK, "unguarded", tmp_path, "a subclass", addresses=nameserver.on_lo()).told()
    assert all(asked > 0 for _, asked in told)


EARLY = """
import sys
from pathlib import Path
import reaches
from inside import tell, word
copied = reaches.load_copy(Path(sys.argv[2]), sys.argv[3])
one = copied.socket()
import egressguard, _socket
try:
    egressguard.install(())
    tell("installed")
except RuntimeError as error:
    tell(str(error))
tell(word(lambda: one.connect(("127.0.0.1", int(sys.argv[1])))))
tell(egressguard.posture()["installed"])
"""


@pytest.mark.parametrize("name", ["_socket", "elsewhere._socket"])
def test_a_copy_that_was_loaded_earlier_makes_install_raise(name: str, listener: Endpoint, tmp_path: Path) -> None:
    """Its sockets could not be refused any more, so the process cannot be guarded, and install() says so."""
    told = children.python(EARLY, listener.port, tmp_path, name).told()
    assert "copy of the socket module" in told[0] or "not all its own" in told[0]
    assert told[2] is False
