"""The floor: what it answers to an audit event that no route announced, whoever raises it.

`sys.audit` raises events as C code would that calls the functions of `_socket` past their method table.
"""

from __future__ import annotations

from typing import Any

import children
import pytest

CHILD = """
import socket, sys
from inside import tell, word
import egressguard
egressguard.install(("203.0.113.5:9", "listed.test:80", "unix:/listed"))
tcp, udp = socket.socket(), socket.socket(type=socket.SOCK_DGRAM)
six, path = socket.socket(socket.AF_INET6), socket.socket(socket.AF_UNIX)
netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)
class Tuple(tuple): pass
class Text(str): pass
class Number(int): pass
def audit(*words): return word(lambda: sys.audit(*words))
"""
ADDRESSES = {
    "('203.0.113.5', 9)": "done",
    "('203.0.113.5', 10)": "port",
    "('192.0.2.7', 9)": "not-listed",
    "('127.0.0.1', 9)": "loopback",
    "('0x7f.1', 9)": "loopback",
    "('listed.test', 80)": "shape",  # by then it would have been looked up
    "('unlisted.test', 80)": "shape",
    "Tuple(('203.0.113.5', 9))": "shape",
    "(Text('203.0.113.5'), 9)": "shape",
    "('203.0.113.5', Number(9))": "shape",
    "('203.0.113.5', True)": "shape",
    "(bytearray(b'203.0.113.5'), 9)": "shape",
    "('203.0.113.5',)": "shape",
    "('203.0.113.5', 65536)": "shape",
    "['203.0.113.5', 9]": "shape",
    "None": "shape",
    "5": "shape",
}


def answers(calls: list[str]) -> Any:
    """Make the calls in one child; return a word for each."""
    return children.python(f"{CHILD}\ntell([{', '.join(calls)}])").last()


@pytest.mark.parametrize("event", ["connect", "sendto", "sendmsg"])
def test_an_address_that_no_route_announced_is_judged(event: str) -> None:
    """Only what is exact already is judged: the original acts on its own reading of anything else."""
    told = answers([f"audit('socket.{event}', {'tcp' if event == 'connect' else 'udp'}, {one})" for one in ADDRESSES])
    expected = dict(ADDRESSES)
    if event == "sendmsg":
        expected["None"] = "done"  # a message on a connected socket
    assert dict(zip(ADDRESSES, told, strict=True)) == expected


def test_other_families_at_the_floor() -> None:
    rows = {
        "audit('socket.connect', path, '/listed')": "done",
        "audit('socket.connect', path, b'/listed')": "done",
        "audit('socket.connect', path, '/nowhere')": "unix",
        "audit('socket.connect', path, bytearray(b'/listed'))": "shape",
        "audit('socket.connect', path, 5)": "shape",
        "audit('socket.connect', netlink, (1, 0))": "shape",  # nobody but the route knows what the kernel would get
        "audit('socket.connect', netlink, (1, 0, 0))": "shape",
        "audit('socket.connect', six, ('::ffff:127.0.0.1', 9, 0, 0))": "loopback",
        "audit('socket.connect', object(), ('203.0.113.5', 9))": "family",
    }
    assert dict(zip(rows, answers(list(rows)), strict=True)) == rows


def test_a_bind_at_the_floor() -> None:
    """Binding sends nothing; a name would be looked up."""
    rows = {
        "audit('socket.bind', tcp, ('127.0.0.1', 0))": "done",
        "audit('socket.bind', tcp, ('', 0))": "done",
        "audit('socket.bind', tcp, ('unlisted.test', 0))": "shape",
        "audit('socket.bind', tcp, Tuple(('127.0.0.1', 0)))": "shape",
    }
    assert dict(zip(rows, answers(list(rows)), strict=True)) == rows


@pytest.mark.parametrize("event", ["getaddrinfo", "gethostbyname"])
def test_a_host_that_no_route_announced_is_judged(event: str) -> None:
    rows = {
        "None": "done",
        "b'127.0.0.1'": "done",  # numbers are looked up without a question; the dial is judged
        "b'2130706433'": "done",
        "b'unlisted.test'": "not-listed",
        "b'listed.test'": "shape",  # the absolute name is what a route hands on
        "b'a b'": "not-a-name",
        "'127.0.0.1'": "shape",  # the codec could have made something else of a str
        "Text('127.0.0.1')": "shape",
        "5": "shape",
    }
    told = answers([f"audit('socket.{event}', {host}, 80, 0, 0, 0)" for host in rows])
    assert dict(zip(rows, told, strict=True)) == rows


def test_a_reverse_look_up_at_the_floor() -> None:
    rows = {
        "audit('socket.gethostbyaddr', b'203.0.113.5')": "done",
        "audit('socket.gethostbyaddr', b'192.0.2.7')": "shape",
        "audit('socket.gethostbyaddr', b'unlisted.test')": "not-listed",
        "audit('socket.getnameinfo', ('203.0.113.5', 9))": "done",
        "audit('socket.getnameinfo', ('192.0.2.7', 9))": "shape",
        "audit('socket.getnameinfo', ('\\ud800', 9))": "shape",
        "audit('socket.getnameinfo', ())": "shape",
    }
    assert dict(zip(rows, answers(list(rows)), strict=True)) == rows


def test_events_that_are_not_what_they_are_called() -> None:
    """One without its address is refused; one that the floor does not know, or that is too short, means nothing."""
    rows = {
        "audit('socket.connect')": "shape",
        "audit('socket.connect', tcp)": "shape",
        "audit('socket.getaddrinfo')": "shape",
        "audit('socket.nothing', tcp, ('127.0.0.1', 9))": "done",
        "audit('socket.__new__')": "done",
        "audit('socket.__new__', tcp, 2, 1, 0)": "done",
        "audit('socket.__new__', tcp, 1 << 70, None, -1)": "done",
        "audit('socket.__new__', 5, 2, 1, 0)": "copied-module",
    }
    assert dict(zip(rows, answers(list(rows)), strict=True)) == rows
