"""Lookups that pass: the answers have CPython's own shape and order, and local ones need no nameserver."""

from __future__ import annotations

import functools
from typing import Any

import children
import nameserver
import pytest

pytestmark = pytest.mark.usefixtures("own_network")

LOCAL = r"""
import json, socket, sys
from inside import tell
from nameserver import Nameserver
server = Nameserver()
S = socket
own = S.gethostname()
if sys.argv[1] == "guarded":
    import logging
    import egressguard
    logging.disable()
    egressguard.install(())
told = {}
def add(title, call):
    try:
        told[title] = ascii(call())
    except BaseException as error:
        told[title] = f"{type(error).__name__} {error}"
NUMBERS = ["127.0.0.1", "127.1", "2130706433", "0x7f.1", "0xdeadbeef", "0177.0.0.1", "203.0.113.9", "::1", "2001:db8::9", "fe80::1%lo", "::ffff:127.0.0.1",
           "0.0.0.0", "::", "255.255.255.255", "", None]
for host in [*NUMBERS, "localhost", "LOCALHOST", "localhost.", own, own.upper(), b"127.0.0.1", b"localhost"]:
    for port in (80, 0, None, "80", "http", b"80", "", 65535):
        add(f"getaddrinfo {host!r} {port!r}", lambda: S.getaddrinfo(host, port))
    for family in (S.AF_INET, S.AF_INET6, S.AF_UNSPEC):
        for kind in (0, S.SOCK_STREAM, S.SOCK_DGRAM):
            add(f"getaddrinfo {host!r} {family} {kind}", lambda: S.getaddrinfo(host, 80, family, kind))
    for flags in (S.AI_PASSIVE, S.AI_NUMERICHOST, S.AI_NUMERICSERV, S.AI_V4MAPPED, S.AI_ALL | S.AI_V4MAPPED):
        add(f"getaddrinfo {host!r} flags {flags}", lambda: S.getaddrinfo(host, 80, flags=flags))
        add(f"getaddrinfo {host!r} IPv6 flags {flags}", lambda: S.getaddrinfo(host, 80, S.AF_INET6, flags=flags))
    if host is not None:
        add(f"gethostbyname {host!r}", lambda: S.gethostbyname(host))
        add(f"gethostbyname_ex {host!r}", lambda: S.gethostbyname_ex(host))
add("gethostbyname <broadcast>", lambda: S.gethostbyname("<broadcast>"))
for host in ("127.0.0.1", "::1"):
    add(f"gethostbyaddr {host}", lambda: S.gethostbyaddr(host))
add("gethostbyaddr localhost", lambda: S.gethostbyaddr("localhost"))
for flags in (0, S.NI_NUMERICHOST, S.NI_NUMERICSERV, S.NI_NUMERICHOST | S.NI_NUMERICSERV, S.NI_DGRAM, S.NI_NAMEREQD, S.NI_NOFQDN):
    for address in (("127.0.0.1", 80), ("127.0.0.1", 0), ("::1", 80, 0, 0), ("127.0.0.1", 65535)):
        add(f"getnameinfo {address} {flags}", lambda: S.getnameinfo(address, flags))
    if flags & S.NI_NUMERICHOST:
        for address in (("203.0.113.9", 80), ("2001:db8::9", 80, 0, 0), ("fe80::1", 80, 0, 1)):
            add(f"getnameinfo {address} {flags}", lambda: S.getnameinfo(address, flags))
for name in ("", "0.0.0.0", "127.0.0.1", "localhost", own, "::1"):
    add(f"getfqdn {name}", lambda: S.getfqdn(name))
add("gethostname", S.gethostname)
tell([told, server.asked()])
"""
# Where /etc/hosts has nothing, libc asks a nameserver; the guard answers by itself. What it is named for `::1`, for
# `localhost.` and in the list of aliases then differs from what an unanswered question leaves.
MAY_DIFFER = (
    "gethostbyname_ex",
    "gethostbyaddr",
    "getfqdn",
    "getnameinfo ('::1'",
    "getaddrinfo 'localhost.'",
    "gethostbyname 'localhost.'",
)


@functools.cache
def local(mode: str) -> tuple[dict[str, str], list[str]]:
    """Return what each local lookup answered, and the names that a nameserver was asked for."""
    told, asked = children.python_alone(LOCAL, mode, addresses=nameserver.on_lo()).last()
    return told, asked


def test_local_lookups_answer_as_without_the_guard() -> None:
    """Numbers, localhost, this machine's name: value for value, error for error."""
    (free, _), (held, _) = local("unguarded"), local("guarded")
    assert list(free) == list(held)
    assert len(free) > 400
    # For a family that /etc/hosts lacks, both fail; libc after a question, with another text.
    both_fail = {title for title in free if free[title].startswith("gaierror") and held[title].startswith("gaierror")}
    unequal = {
        title: (free[title], held[title]) for title in free if free[title] != held[title] and title not in both_fail
    }
    assert {title: pair for title, pair in unequal.items() if not title.startswith(MAY_DIFFER)} == {}
    # No error in place of an answer.
    assert [title for title, (_, after) in unequal.items() if "error" in after] == []


def test_local_lookups_ask_no_nameserver() -> None:
    """Not even the reverse of 127.0.0.1, which http.server asks for (`getfqdn`)."""
    assert local("guarded")[1] == []


LISTED = r"""
import socket, sys, threading
from inside import outcome, tell, word
from nameserver import Nameserver
S = socket
server = Nameserver({
    "one.example": ["203.0.113.50"],
    "many.example": [f"203.0.113.{number}" for number in (60, 61, 62)] + ["2001:db8::60", "2001:db8::61"],
    "six.example": ["2001:db8::70"],
    "bad.example": ["127.0.0.1", "::1", "0.0.0.0", "169.254.1.1", "224.0.0.1", "255.255.255.255", "::ffff:127.0.0.1"],
    "mixed.example": ["127.0.0.1", "203.0.113.80", "::1"],
    "own.example": ["203.0.113.5"],
    "embedded.example": ["64:ff9b::7f00:1", "2002:7f00:1::1"],
})
NAMES = ("one", "many", "six", "bad", "mixed", "own", "embedded", "none")
if sys.argv[1] == "guarded":
    import logging
    import egressguard
    logging.disable()
    egressguard.install([f"{name}.example:9" for name in NAMES])
"""


def listed(source: str, mode: str = "guarded") -> list[Any]:
    """Run it where listed names have answers; return all that it told."""
    addresses = [*nameserver.on_lo(), "203.0.113.5/32"]
    return children.python_alone(LISTED + source, mode, addresses=addresses).told()


SHAPES = r"""
told = {}
for name in ("one.example", "many.example", "six.example", "Many.Example.", b"one.example"):
    for arguments in ((9,), ("9",), (None,), (9, S.AF_INET), (9, S.AF_INET6), (9, 0, S.SOCK_STREAM), (9, S.AF_INET, S.SOCK_DGRAM, 17),
                      (9, 0, 0, 0, S.AI_NUMERICSERV), (9, S.AF_INET6, 0, 0, S.AI_V4MAPPED), (9, 0, S.SOCK_STREAM, 0, S.AI_CANONNAME)):
        told[f"{name} {arguments}"] = outcome(lambda: S.getaddrinfo(name, *arguments)).get("value")
    told[f"{name} gethostbyname"] = outcome(lambda: S.gethostbyname(name)).get("value")
told["none"] = outcome(lambda: S.getaddrinfo("none.example", 9))["text"]
told["none, by name"] = outcome(lambda: S.gethostbyname("none.example"))["type"]
tell(told)
"""


def test_answers_of_listed_names_have_getaddrinfos_own_order_and_shape() -> None:
    """The guard looks the absolute name up; callers see the tuples that libc would have given them."""
    (free,), (held,) = listed(SHAPES, "unguarded"), listed(SHAPES)
    assert list(free) == list(held)
    for title in free:
        # AI_CANONNAME: the canonical name is of the question that was asked, which is lower-case and absolute.
        texts = [str(one[title]).lower().replace("example.'", "example'") for one in (free, held)]
        assert texts[0] == texts[1], title


def test_what_was_answered_may_be_dialled_at_the_ports_of_the_entry() -> None:
    """All of it, each family, by number; not at another port, and nothing that was not answered."""
    told = listed("""
def dial(host, port):
    family = S.AF_INET6 if ":" in host else S.AF_INET
    return word(lambda: S.socket(family, S.SOCK_DGRAM).connect((host, port)))
before = dial("203.0.113.61", 10)
answers = {address[0] for *_, address in S.getaddrinfo("many.example", 9)}
tell([before, sorted(answers), sorted({dial(host, 9) for host in answers}), sorted({dial(host, 10) for host in answers}),
      dial("203.0.113.63", 10)])
""")[0]
    before, answers, reached, other_port, unanswered = told
    assert (before, unanswered) == ("not-listed", "not-listed")
    assert len(answers) == 5
    assert reached == ["OSError"]  # no route in this network: the kernel was asked
    assert other_port == ["port"]


@pytest.mark.parametrize(
    ("name", "kept"),
    [("bad", None), ("own", None), ("embedded", None), ("mixed", ["203.0.113.80"]), ("one", ["203.0.113.50"])],
)
def test_answers_that_mean_this_machine_are_dropped(name: str, kept: list[str] | None) -> None:
    """DNS rebinding: a listed name that resolves to loopback opens nothing."""
    (told,) = listed(f"""
name = "{name}.example"
looked_up = outcome(lambda: sorted({{address[0] for *_, address in S.getaddrinfo(name, 9)}}))
tell([looked_up, outcome(lambda: S.socket(type=S.SOCK_DGRAM).connect((name, 9))), outcome(lambda: S.gethostbyname(name))])
""")
    if kept is None:
        for one in told if name != "embedded" else told[:1]:  # that one has no IPv4 address to be asked for
            assert (one["reason"], one["host"]) == ("resolved", f"{name}.example")
        assert told[0]["address"]
    else:
        assert told[0]["value"] == repr(kept)
        assert told[1]["type"] == "OSError"  # dialled: no route
        assert told[2]["value"] == repr(kept[0])


def test_create_connection_tries_each_answer() -> None:
    """In turn, with the caller's timeout and source address; `all_errors` groups one error for each."""
    (told,) = listed("""
tried = []
class Socket(S.socket):
    def connect(self, address):
        tried.append([address[0], address[1], self.gettimeout(), self.getsockname()[0]])
        return super().connect(address)
kept, S.socket = S.socket, Socket
try:
    S.create_connection(("many.example", 9), 7.5, all_errors=True)
except ExceptionGroup as group:
    told = [type(one).__name__ for one in group.exceptions]
answers = [address[0] for *_, address in S.getaddrinfo("many.example", 9, 0, S.SOCK_STREAM)]
plain, tried[:] = list(tried), []
source = outcome(lambda: S.create_connection(("one.example", 9), 1, source_address=("203.0.113.5", 0)))
tell([told, answers, plain, source["type"], tried])
""")
    errors, answers, tried, with_source, from_there = told
    assert errors == ["OSError"] * 5
    assert [one[0] for one in tried] == answers
    assert {(one[1], one[2]) for one in tried} == {(9, 7.5)}
    assert with_source == "OSError"
    assert [one[3] for one in from_there] == ["203.0.113.5"]


def test_sixty_four_threads_look_up_at_once() -> None:
    """Each gets its own name's answers, all of them granted; the process asks nothing but listed names."""
    (told,) = listed("""
barrier, results = threading.Barrier(64), []
expected = {"one": 1, "many": 5, "six": 1, "mixed": 1}
def work(number):
    name = list(expected)[number % 4]
    barrier.wait()
    for _ in range(5):
        answers = {address[0] for *_, address in S.getaddrinfo(f"{name}.example", 9, 0, S.SOCK_DGRAM)}
        dialled = {word(lambda: S.socket(S.AF_INET6 if ":" in host else S.AF_INET, S.SOCK_DGRAM).connect((host, 9)))
                   for host in answers}
        results.append((len(answers) == expected[name], sorted(dialled)))
threads = [threading.Thread(target=work, args=(number,)) for number in range(64)]
for thread in threads: thread.start()
for thread in threads: thread.join()
tell([len(results), all(right for right, _ in results), sorted({one for _, dialled in results for one in dialled}),
      sorted(set(server.asked()) - {f"{name}.example" for name in NAMES})])
""")
    assert told == [320, True, ["OSError"], []]


WAITING = r"""
import socket, sys, threading, time
from inside import tell, word
from nameserver import addresses
silent = socket.socket(type=socket.SOCK_DGRAM)
silent.bind((addresses()[0], 53))
import egressguard
egressguard.install(("listed.example:9", "203.0.113.5:9"))
S = socket
CALLS = {
    "getaddrinfo": lambda: S.getaddrinfo("listed.example", 9),
    "gethostbyname": lambda: S.gethostbyname("listed.example"),
    "gethostbyname_ex": lambda: S.gethostbyname_ex("listed.example"),
    "connect": lambda: S.socket(type=S.SOCK_DGRAM).connect(("listed.example", 9)),
    "bind": lambda: S.socket().bind(("listed.example", 9)),
}
thread = threading.Thread(target=lambda: word(CALLS[sys.argv[1]]))
thread.start()
time.sleep(0.05)  # the lookup is under way
began, turns = time.monotonic(), 0
while thread.is_alive() and turns < 200:
    # Others run, look up and dial while one thread waits for the nameserver.
    S.getaddrinfo("localhost", 9)
    S.socket(type=S.SOCK_DGRAM).connect(("203.0.113.5", 9))
    turns += 1
tell([turns, time.monotonic() - began < 0.8, thread.is_alive()])
"""


@pytest.mark.parametrize("call", ["getaddrinfo", "gethostbyname", "gethostbyname_ex", "connect", "bind"])
def test_a_lookup_that_waits_holds_nobody_up(call: str) -> None:
    """The GIL is released, and no lock of the guard is held meanwhile."""
    env = {"RES_OPTIONS": "timeout:1 attempts:1"}
    addresses = [*nameserver.on_lo(), "203.0.113.5/32"]
    assert children.python_alone(WAITING, call, addresses=addresses, env=env).last() == [200, True, True]
