"""Where the system has little to give, or says unusual things: descriptors, the hosts file, the module itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import children
import pytest

from egressguard import _egressguard

PREAMBLE = """
import _socket, logging, os, resource, socket, sys, time
from inside import outcome, tell, word
import egressguard
"""
HOSTS = """127.0.0.1 localhost other-name third-name
203.0.113.5 listed.test alias.test
198.51.100.7 unlisted.test
127.0.0.1 lying.test
"""


def with_hosts(folder: Path, source: str) -> Any:
    """Run it with a hosts file and a network of its own; return what it told last."""
    own = children.namespace()
    if not own:
        pytest.skip("no network namespace can be made here")
    hosts = folder / "hosts"
    hosts.write_text(HOSTS)
    inner = 'mount --bind "$0" /etc/hosts && ip link set lo up && ip route add 198.51.100.0/24 dev lo && exec "$@"'
    prefix = [*own[:-1], f"{own[-1]}m", "sh", "-c", inner, str(hosts)]
    return children.python(PREAMBLE + source, prefix=prefix).last()


def test_a_local_address_has_all_the_names_of_the_hosts_file(tmp_path: Path) -> None:
    """The guard answers, without DNS, what libc would answer from the file."""
    source = """
before = _socket.gethostbyaddr("127.0.0.1")
egressguard.install(("203.0.113.5:9",))
tell([before, _socket.gethostbyaddr("127.0.0.1")])
"""
    before, after = with_hosts(tmp_path, source)
    assert before == after == ["localhost", ["other-name", "third-name"], ["127.0.0.1"]]


def test_listed_names_of_the_hosts_file(tmp_path: Path) -> None:
    source = """
def ask():
    return [_socket.getaddrinfo("listed.test", 80, socket.AF_INET, socket.SOCK_STREAM), _socket.gethostbyname("listed.test"),
            _socket.gethostbyname_ex("listed.test")[::2]]  # no aliases: the guard looks up one name
before = ask()
egressguard.install(("listed.test:*",))
tell([before, ask(), word(lambda: _socket.gethostbyname("unlisted.test"))])
"""
    before, after, unlisted = with_hosts(tmp_path, source)
    assert after == before
    assert before[1] == "203.0.113.5"
    assert unlisted == "not-listed"


def test_what_observing_tells_of_a_name_it_does_not_tell_again_of_its_address(tmp_path: Path) -> None:
    """And a listed name whose answers would all be dropped is observed, and answered as without the guard."""
    source = """
def ask(name): return _socket.getaddrinfo(name, 80, socket.AF_INET, socket.SOCK_DGRAM)
before = ask("unlisted.test"), ask("lying.test")
egressguard.observe(("lying.test:80",))
after = ask("unlisted.test"), ask("lying.test")
told = [word(lambda: socket.socket(type=socket.SOCK_DGRAM).connect(after[0][0][4]))]
tell([before == after, told, [[one.host, one.reason, one.observed] for one in egressguard.violations()]])
"""
    same, told, journal = with_hosts(tmp_path, source)
    assert (same, told) == (True, ["done"])
    assert journal == [["unlisted.test", "not-listed", True], ["lying.test", "resolved", True]]


@pytest.mark.usefixtures("own_network")
def test_no_descriptor_is_left_for_a_judged_message() -> None:
    """After a socket of a kind that could be exchanged, what is judged is a private duplicate; without it: refused."""
    source = """
egressguard.install(("203.0.113.5:9",))
receiver, one = socket.socket(type=socket.SOCK_DGRAM), socket.socket(type=socket.SOCK_DGRAM)
receiver.bind(("203.0.113.5", 9))
receiver.setblocking(False)
sys.audit("socket.__new__", one, socket.AF_INET, socket.SOCK_RAW, 17)
first = word(lambda: one.sendto(b"x", ("203.0.113.5", 9))), word(lambda: receiver.recv(9))
most = max(map(int, os.listdir("/proc/self/fd")))
fillers = []
resource.setrlimit(resource.RLIMIT_NOFILE, (most + 1, most + 1))
try:
    while True:
        fillers.append(os.dup(0))
except OSError:
    pass
tell([first, outcome(lambda: one.sendto(b"x", ("203.0.113.5", 9)))["type"], word(lambda: receiver.recv(9))])
"""
    told = children.python_alone(PREAMBLE + source, addresses=["203.0.113.5/32"]).last()
    assert told == [["done", "done"], "OSError", "BlockingIOError"]


def test_no_descriptor_is_left_for_install() -> None:
    """It enforces, or raises and enforces nothing; never something between."""
    source = """
one = socket.socket(type=socket.SOCK_DGRAM)
most = max(map(int, os.listdir("/proc/self/fd")))
fillers = []
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (most + 1, hard))
try:
    while True:
        fillers.append(os.dup(0))
except OSError:
    pass
came = outcome(lambda: egressguard.install(("203.0.113.5:9",)))["type"]
refused = word(lambda: one.connect(("127.0.0.1", 9)))
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
tell([came, refused, egressguard._egressguard.posture()["installed"]])
"""
    came, refused, installed = children.python(PREAMBLE + source).last()
    assert (came is None, refused, installed) in [(True, "loopback", True), (False, "done", False)]


def test_a_function_that_is_gone_is_told_as_not_swapped() -> None:
    source = """
egressguard.install(("203.0.113.5:9",))
del _socket.getnameinfo
tell(egressguard.posture()["routes"]["getnameinfo"])
"""
    assert children.python(PREAMBLE + source).last()["enforced"] is False


def test_the_kernel_layers_runner_checks_what_it_is_given() -> None:
    """It is private, and an extension that crashed on a wrong call would be no better for that."""
    run: Any = getattr(_egressguard, "run_supervised", None)
    if run is None:
        pytest.skip("no kernel layer on this system")
    with pytest.raises(ValueError, match="command is empty"):
        run((), (), False, None)
    with pytest.raises(TypeError):
        run((), ["true"], False, None)
    with pytest.raises(TypeError):
        run((), (b"true", 5), False, None)
    with pytest.raises(ValueError, match="null byte"):
        run((), (b"true", b"a\0b"), False, None)
    with pytest.raises(ValueError, match="allowlist entry"):
        run(("nothing",), (b"true",), False, None)


def test_ctrl_c_in_a_log_handler_is_not_lost() -> None:
    """The refusal is raised, and the interrupt comes at the next moment that Python looks for signals."""
    source = """
class Handler(logging.Handler):
    def emit(self, record): raise KeyboardInterrupt
logging.getLogger("egressguard").addHandler(Handler())
egressguard.install(("203.0.113.5:9",))
told = []
try:
    told.append(word(lambda: socket.socket().connect(("127.0.0.1", 9))))
    for _ in range(100000):
        pass
except KeyboardInterrupt:
    told.append("KeyboardInterrupt")
tell([told, egressguard.violation_count()])
"""
    told, count = children.python(PREAMBLE + source).last()
    assert "KeyboardInterrupt" in told
    assert count == 1
