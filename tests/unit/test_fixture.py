"""The fixture `egress_test_loopback`: what it opens, what it does not, and how it ends."""

from __future__ import annotations

import socket
from pathlib import Path

import children
import pytest
from listeners import Endpoint, Listeners, have_ipv6

import egressguard


def test_reset_for_test_tightens(listener: Endpoint, egress_test_loopback: None) -> None:
    """By both spellings; it never opens."""
    for reset in (egressguard.reset_for_test, egressguard.EgressGuard.reset_for_test):
        reset()
        with pytest.raises(egressguard.EgressViolation), socket.socket() as one:
            one.connect(("127.0.0.1", listener.port))
    assert egressguard.posture()["loopback_threads"] == 0


OPENS = """
import socket
import pytest
from inside import tell, word

def test_it(egress_test_loopback, capsys):
    listener = socket.create_server(("0.0.0.0", 0))
    port = listener.getsockname()[1]
    six = None
    words = {}
    for host in ("127.0.0.1", "127.1", "2130706433", "localhost", "127.0.0.2", "127.255.255.255", "0.0.0.0", "",
                 "203.0.113.9", "forbidden.example"):
        words[host] = word(lambda: socket.socket().connect((host, port)))
    for host in ("::ffff:127.0.0.1", "::ffff:127.0.0.2", "::", "::ffff:0.0.0.0", "2001:db8::9", "::127.0.0.1"):
        words[host] = word(lambda: socket.socket(socket.AF_INET6).connect((host, port)))
    words["AF_UNIX"] = word(lambda: socket.socket(socket.AF_UNIX).connect("/nowhere"))
    words["raw"] = word(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 17).sendto(b"x", ("127.0.0.1", 9)))
    with capsys.disabled():
        tell(words)
"""


def test_the_fixture_opens_two_addresses_and_nothing_else(tmp_path: Path) -> None:
    """127.0.0.1 and `::1`, however they are spelled. Not 127.0.0.2, not the unspecified address, no other host."""
    words = children.pytest_run(tmp_path, OPENS, "-q").last()
    opened = {host for host, word in words.items() if word == "done"}
    assert opened == {"127.0.0.1", "127.1", "2130706433", "localhost", "::ffff:127.0.0.1"}
    refused = {host: word for host, word in words.items() if host not in opened}
    assert refused.pop("raw") in ("socket-type", "PermissionError")
    assert set(refused.values()) <= {"loopback", "unspecified", "not-listed", "embedded", "unix"}


@pytest.mark.skipif(not have_ipv6(), reason="this machine has no ::1")
def test_the_fixture_opens_ipv6_loopback(listeners: Listeners) -> None:
    endpoint = listeners.open()
    with socket.socket(socket.AF_INET6) as one:
        one.connect(("::1", endpoint.port, 0, 0))
    assert endpoint.seen() == ["tcp"]


ENDS = """
import socket, sys, time
import pytest
import egressguard
from inside import tell, word

def dialled(): return word(lambda: socket.socket().connect(("127.0.0.1", 9)))

def test_first(egress_test_loopback):
    {body}

def test_second(capsys):
    with capsys.disabled():
        tell([dialled(), egressguard.posture()["loopback_threads"]])
"""
BODIES = {
    "passes": "pass",
    "fails": "assert False",
    "errors": "raise SystemError",
    "skips": "pytest.skip('no reason')",
    "exits": "sys.exit(1)",
    "times out": "time.sleep(30)",
}


@pytest.mark.parametrize("body", BODIES)
def test_the_flag_is_cleared_however_the_test_ends(body: str, tmp_path: Path) -> None:
    """The next test of the same thread is refused."""
    child = children.pytest_run(
        tmp_path,
        ENDS.format(body=BODIES[body]),
        "-q",
        "-o",
        "timeout=1",
        "-o",
        "timeout_method=signal",
        plugins=["pytest_timeout"],
    )
    told = [line for line in child.out.splitlines() if children.TOLD in line]
    assert len(told) == 1, child.out + child.err
    assert told[0].endswith('["loopback", 0]')


def test_more_threads_than_there_are_slots(tmp_path: Path) -> None:
    """A thread that the posture could not count is not opened: OSError, and it is refused."""
    source = """
import socket, threading, time
from inside import tell, word
import egressguard

def test_it(mint, capsys):
    barrier, done, told = threading.Barrier(261), threading.Event(), []
    def work():
        first = word(lambda: mint(True))
        told.append((first, word(lambda: socket.socket(type=socket.SOCK_DGRAM).connect(("127.0.0.1", 9)))))
        barrier.wait()
        done.wait()
    threads = [threading.Thread(target=work) for _ in range(260)]
    for thread in threads: thread.start()
    barrier.wait()
    counted = egressguard.posture()["loopback_threads"]
    done.set()
    for thread in threads: thread.join()
    # join returns before the operating system's thread has ended, and with it its place in the table.
    end = time.monotonic() + 10
    while egressguard.posture()["loopback_threads"] and time.monotonic() < end:
        time.sleep(0.01)
    with capsys.disabled():
        tell([sorted(set(told)), counted, len([1 for first, _ in told if first == "done"]),
              egressguard.posture()["loopback_threads"]])
"""
    conftest = children.ROOT_CONFTEST.read_text() + "\n\n@pytest.fixture\ndef mint():\n    return _set_test_loopback\n"
    child = children.pytest_run(tmp_path, source, "-q", conftest=conftest)
    words, counted, opened, after = child.last()
    assert {tuple(word) for word in words} == {("done", "done"), ("BlockingIOError", "loopback")}
    assert counted == opened
    assert after == 0
