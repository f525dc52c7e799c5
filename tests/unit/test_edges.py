"""Shapes and moments that are rare and have their answer all the same."""

from __future__ import annotations

import children
import pytest

import egressguard

PREAMBLE = """
import _socket, signal, socket, sys, threading, time
from inside import outcome, tell, word
import egressguard
"""


@pytest.mark.parametrize(
    "endpoint", ["unix:", "unix:/" + "a" * 300, "a" * 320 + ":80", ":80", "[]:80", "host", "host:", "host:65536"]
)
def test_what_is_no_endpoint_is_not_explained(endpoint: str) -> None:
    with pytest.raises(ValueError, match="is no endpoint"):
        egressguard.explain(endpoint, ("listed.test:80",))


def test_text_that_is_not_utf8_is_no_endpoint_and_no_entry() -> None:
    with pytest.raises(UnicodeEncodeError):
        egressguard.explain("\ud800:80", ("listed.test:80",))
    for entry in ("\ud800", "\ud800.test:80", "b\u00fccher", "b\u00fc..cher:80"):
        with pytest.raises(ValueError, match=r"allowlist entry|surrogates"):
            egressguard._egressguard.parse((entry,))


def test_the_site_of_a_dial_has_a_name_of_any_length_and_letters() -> None:
    """Of a long one the end is kept, and one that cannot be written leaves the next frame to tell."""
    source = """
egressguard.install(("203.0.113.5:9",))
long = "/nowhere/" + "x" * 1000 + "/end.py"
for name in (long, "/nowhere/\\ud800.py"):
    exec(compile("word(lambda: socket.gethostbyname('unlisted.test'))", name, "exec"))
tell([one.file for one in egressguard.violations()])
"""
    long, other = children.python(PREAMBLE + source).last()
    assert long.endswith("xxx/end.py")
    assert len(long) < 1000
    assert other is None or "ud800" not in other


def test_ports_of_another_type_than_str_bytes_and_int() -> None:
    """Subclasses are taken for the text they hold, as the original takes them."""
    source = """
egressguard.install(("203.0.113.5:9",))
class Text(str):
    def __str__(self): return "1"
class Bytes(bytes):
    def __bytes__(self): return b"1"
def port(one): return socket.getaddrinfo("127.0.0.1", one, type=socket.SOCK_STREAM)[0][4][1]
tell([port(Text("80")), port(Bytes(b"81")), word(lambda: port(8.5)), word(lambda: port([]))])
"""
    assert children.python(PREAMBLE + source).last() == [80, 81, "OSError", "OSError"]


def test_socket_options_with_numbers_of_another_type() -> None:
    """Four arguments, and three: what is handed on are exact numbers."""
    source = """
egressguard.install(("203.0.113.5:9",))
class Number(int): pass
one = socket.socket()
level, option = Number(socket.SOL_SOCKET), Number(socket.SO_REUSEADDR)
told = [word(lambda: one.setsockopt(level, option, 1)), one.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)]
told.append(word(lambda: one.setsockopt(level, Number(socket.SO_BINDTODEVICE), None, 0)))
told.append(word(lambda: one.setsockopt(Number(socket.IPPROTO_IP), Number(4), None, 0)))
tell(told)
"""
    assert children.python(PREAMBLE + source).last() == ["done", 1, "done", "routing"]


RACE = """
def slow(event, arguments):
    if event == "sys.addaudithook" and threading.current_thread() is not threading.main_thread():
        entered.set()
        time.sleep(0.5)
entered = threading.Event()
sys.addaudithook(slow)
thread = threading.Thread(target=lambda: words.append(word(lambda: egressguard.install(("203.0.113.5:9",)))))
words = []
thread.start()
entered.wait()
"""


def test_a_thread_waits_for_the_one_that_installs() -> None:
    """The first audit hook is asked before another is added, and there the installing thread lets others run."""
    source = """
words.append(word(lambda: egressguard.install(("203.0.113.5:9",))))
thread.join()
words.append(word(lambda: egressguard.install(("203.0.113.6:9",))))
tell([words, word(lambda: socket.socket().connect(("127.0.0.1", 9)))])
"""
    assert children.python(PREAMBLE + RACE + source).last() == [["done", "done", "RuntimeError"], "loopback"]


def test_a_signal_handler_ends_the_wait_for_the_one_that_installs() -> None:
    source = """
signal.signal(signal.SIGALRM, lambda *_: 1 / 0)
signal.setitimer(signal.ITIMER_REAL, 0.1)
waited = word(lambda: egressguard.install(("203.0.113.5:9",)))
thread.join()
tell([waited, words, word(lambda: socket.socket().connect(("127.0.0.1", 9)))])
"""
    assert children.python(PREAMBLE + RACE + source).last() == ["ZeroDivisionError", ["done"], "loopback"]


@pytest.mark.usefixtures("own_network")
def test_while_observing_a_refused_lookup_is_asked_all_the_same() -> None:
    """In a network without a nameserver: what the original says is what the caller gets, and the journal has it."""
    source = """
def asked(call): return outcome(call)["type"]
calls = {
    "gethostbyname": lambda: _socket.gethostbyname("unlisted.test"),
    "gethostbyname_ex": lambda: _socket.gethostbyname_ex("unlisted.test"),
    "gethostbyaddr": lambda: _socket.gethostbyaddr("192.0.2.7"),
    "getaddrinfo": lambda: _socket.getaddrinfo("unlisted.test", 80),
    "getnameinfo": lambda: _socket.getnameinfo(("192.0.2.7", 9), socket.NI_NUMERICSERV),
}
before = {name: asked(call) for name, call in calls.items()}
egressguard.observe(("203.0.113.5:9",))
after = {name: asked(call) for name, call in calls.items()}
tell([before == after, [[one.route, one.observed] for one in egressguard.violations()]])
"""
    same, journal = children.python_alone(PREAMBLE + source).last()
    assert same
    assert journal == [
        [route, True] for route in ("gethostbyname", "gethostbyname_ex", "gethostbyaddr", "getaddrinfo", "getnameinfo")
    ]


def test_hosts_with_bytes_that_are_not_ascii() -> None:
    """They are nobody's name: refused before a question, and never taken for another text."""
    source = """
egressguard.install(("203.0.113.5:9",))
udp = socket.socket(type=socket.SOCK_DGRAM)
hosts = (b"b\\xfccher.test", bytearray(b"b\\xfccher.test"))
told = [word(lambda: udp.sendto(b"x", (host, 9))) for host in hosts]
told += [word(lambda: socket.getaddrinfo(hosts[0], 9)), word(lambda: udp.sendto(b"x", (hosts[0], 65536)))]
tell(told)
"""
    assert children.python(PREAMBLE + source).last() == ["not-a-name"] * 3 + ["OverflowError"]


@pytest.mark.usefixtures("own_network")
def test_an_audit_hook_of_somebody_else_refuses_what_the_guard_allows() -> None:
    """The guard makes the call itself, and raises the event as the original would: a hook that raises ends it."""
    source = """
import select
egressguard.install(("203.0.113.5:9",))
def hook(event, arguments):
    if event.startswith("socket.") and event[7:] in ("connect", "sendto", "sendmsg") and armed:
        raise ZeroDivisionError
sys.addaudithook(hook)
receiver, one = socket.socket(type=socket.SOCK_DGRAM), socket.socket(type=socket.SOCK_DGRAM)
receiver.bind(("203.0.113.5", 9))
listed = ("203.0.113.5", 9)
def calls():
    return [word(lambda: one.sendto(b"x", listed)), word(lambda: one.sendmsg([b"x"], [], 0, listed)),
            word(lambda: one.connect(listed))]
armed = True
told = calls()
told.append(len(select.select([receiver], [], [], 0.05)[0]))
armed = False
tell([told, calls(), len(select.select([receiver], [], [], 5)[0])])
"""
    refused, done, arrived = children.python_alone(PREAMBLE + source, addresses=["203.0.113.5/32"]).last()
    assert refused == ["ZeroDivisionError"] * 3 + [0]
    assert (done, arrived) == (["done"] * 3, 1)


def test_a_path_whose_buffer_cannot_be_read() -> None:
    """The error is the buffer's own, as without the guard."""
    source = """
released = memoryview(b"/nowhere")
released.release()
gaps = memoryview(b"/nowhere")[::2]
one = socket.socket(socket.AF_UNIX)
def calls(): return [outcome(lambda: one.connect(path))["type"] for path in (released, gaps, 5, [])]
before = calls()
egressguard.install(("203.0.113.5:9",))
tell([before, calls()])
"""
    before, after = children.python(PREAMBLE + source).last()
    assert before == after
