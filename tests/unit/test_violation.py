"""`EgressViolation`: what it carries, what it says, and that it survives being copied and sent."""

from __future__ import annotations

import concurrent.futures
import copy
import multiprocessing
import pickle
import socket
from collections.abc import Callable

import children
import elsewhere
import pytest

import egressguard
from egressguard import EgressViolation


def violation_of(call: Callable[[], object]) -> EgressViolation:
    """Return what the call raises."""
    with pytest.raises(EgressViolation) as caught:
        call()
    return caught.value


def tcp(address: object, family: int = socket.AF_INET) -> Callable[[], object]:
    """Return a call that connects a TCP socket."""

    def connect() -> None:
        with socket.socket(family) as one:
            one.connect(address)  # type: ignore[arg-type]  # malformed ones as well

    return connect


def udp(address: object) -> Callable[[], object]:
    """Return a call that sends a datagram."""

    def send() -> None:
        with socket.socket(type=socket.SOCK_DGRAM) as one:
            one.sendto(b"x", address)  # type: ignore[arg-type]

    return send


# call, then (host, port, address, route, reason); this process runs under the default list.
FIELDS = {
    "a number": (tcp(("203.0.113.9", 8443)), ("203.0.113.9", 8443, None, "connect", "not-listed")),
    "IPv6": (tcp(("2001:db8::9", 8443), socket.AF_INET6), ("2001:db8::9", 8443, None, "connect", "not-listed")),
    "a spelling": (tcp(("127.1", 80)), ("127.0.0.1", 80, None, "connect", "loopback")),
    "the wildcard": (tcp(("", 80)), ("0.0.0.0", 80, None, "connect", "unspecified")),
    "a local name": (udp(("localhost", 80)), ("localhost", 80, "127.0.0.1", "sendto", "loopback")),
    "a name": (tcp(("Forbidden.Example", 8443)), ("Forbidden.Example", 8443, None, "connect", "not-listed")),
    "a listed name": (tcp(("api.anthropic.com", 80)), ("api.anthropic.com", 80, None, "connect", "port")),
    "a lookup": (
        lambda: socket.getaddrinfo("forbidden.example", "https"),
        ("forbidden.example", 443, None, "getaddrinfo", "not-listed"),
    ),
    "a lookup without a port": (
        lambda: socket.gethostbyname("forbidden.example"),
        ("forbidden.example", None, None, "gethostbyname", "not-listed"),
    ),
    "a reverse lookup": (
        lambda: socket.gethostbyaddr("203.0.113.9"),
        ("203.0.113.9", None, None, "gethostbyaddr", "not-listed"),
    ),
    "no name": (tcp(("no host!", 80)), ("no host!", 80, None, "connect", "not-a-name")),
    "a nameserver": (tcp(("203.0.113.53", 53)), ("203.0.113.53", 53, None, "connect", "not-listed")),
    "an IPv6 nameserver": (
        tcp(("2001:db8::53", 53), socket.AF_INET6),
        ("2001:db8::53", 53, None, "connect", "not-listed"),
    ),
    "a name with port 53": (
        lambda: socket.getaddrinfo("forbidden.example", 53),
        ("forbidden.example", 53, None, "getaddrinfo", "not-listed"),
    ),
    "a UNIX path": (tcp("/nowhere/s", socket.AF_UNIX), ("unix:/nowhere/s", None, None, "connect", "unix")),
    "an abstract name": (tcp(b"\0nobody", socket.AF_UNIX), ("unix:@nobody", None, None, "connect", "unix")),
}


@pytest.mark.parametrize("what", FIELDS)
def test_fields(what: str) -> None:
    call, expected = FIELDS[what]
    violation = violation_of(call)
    told = (violation.host, violation.port, violation.address, violation.route, violation.reason)
    assert told == expected
    assert violation.number == egressguard.violation_count()
    record = egressguard.violations(violation.number - 1)[0]
    assert (record.host, record.port, record.address, record.route, record.reason) == expected


TEXTS = {
    "a number": 'refused 203.0.113.9:8443 (connect): not on the allowlist.\n  Add "203.0.113.9:8443" to install(allow=',
    "IPv6": 'refused [2001:db8::9]:8443 (connect): not on the allowlist.\n  Add "[2001:db8::9]:8443" to install(allow=',
    "a spelling": "refused 127.0.0.1:80 (connect): loopback is refused.\n  No entry opens loopback. A test that needs it "
    "requests the fixture egress_test_loopback",
    "a local name": "refused localhost:80 [127.0.0.1] (sendto): loopback is refused.",
    "a listed name": "refused api.anthropic.com:80 (connect): on the allowlist, but not with this port.\n  Add "
    '"api.anthropic.com:80"',
    "a lookup without a port": 'Add "forbidden.example:PORT" to install(allow=',
    # Whoever follows the text must not open a tunnel by DNS.
    "a nameserver": "refused 203.0.113.53:53 (connect): not on the allowlist.\n  Lookups of listed names need no entry. "
    '"203.0.113.53:53" in install(allow=...) would open every DNS question',
    "an IPv6 nameserver": 'Lookups of listed names need no entry. "[2001:db8::53]:53" in install(allow=...) would open',
    "a name with port 53": 'Add "forbidden.example:53" to install(allow=',
    "a UNIX path": "refused unix:/nowhere/s (connect): this UNIX socket is neither on the allowlist nor held by this "
    'program.\n  Add "unix:/nowhere/s" to install(allow=',
}


@pytest.mark.parametrize("what", TEXTS)
def test_the_text_says_what_why_and_the_next_step(what: str) -> None:
    assert str(violation_of(FIELDS[what][0])).startswith(TEXTS[what]) or TEXTS[what] in str(
        violation_of(FIELDS[what][0])
    )


@pytest.mark.parametrize("what", ["a number", "IPv6", "a lookup", "a UNIX path"])
def test_the_entry_that_the_text_names_would_open_it(what: str) -> None:
    """What is to be added is an entry that install takes, and the one that covers what was refused."""
    violation = violation_of(FIELDS[what][0])
    entry = str(violation).split('"')[1]
    assert egressguard._egressguard.parse((entry,)) == (entry,)
    assert violation.host in entry


@pytest.mark.egress_expected(at_least=0)
@pytest.mark.parametrize(
    "name",
    [
        "a\nCRITICAL all is well",
        "a\x1b[2Jb",
        "a\rb",
        "a\x7fb",
        "a\x00b",
        b"\xff\xfe",
        "a\u202eb",
        b"a\xc2\x9b2Jb",
        b"a\xc2\x85b",
        b"a\xe2\x80\xa8b",
        b"a\xe2\x80\xaeb",
        b"a\xe2\x81\xa6b",
    ],
)
def test_no_control_character_reaches_a_terminal_or_a_log(name: str | bytes) -> None:
    """A host is the caller's text: it must not forge lines or move cursors where violations are read."""
    try:
        socket.gethostbyname(name)
    except EgressViolation as violation:
        shown = str(violation).replace("\n  ", "  ", 1) + str(egressguard.violations(violation.number - 1)[0])
        assert shown.isprintable(), ascii(shown)
    except (ValueError, TypeError):
        pass  # CPython's own answer to what is no host


def test_it_is_a_runtime_error_and_no_os_error() -> None:
    """Clients retry or swallow an OSError."""
    assert issubclass(EgressViolation, RuntimeError)
    assert not issubclass(EgressViolation, OSError)
    assert (EgressViolation.__module__, EgressViolation.__qualname__) == ("egressguard", "EgressViolation")


def same(left: EgressViolation, right: EgressViolation) -> bool:
    """Whether two violations say the same."""
    return type(left) is type(right) and str(left) == str(right) and vars(left) == vars(right)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_it_pickles(protocol: int) -> None:
    violation = violation_of(FIELDS["a local name"][0])
    assert same(pickle.loads(pickle.dumps(violation, protocol)), violation)


def test_it_copies() -> None:
    violation = violation_of(FIELDS["a number"][0])
    violation.add_note("a note")
    assert same(copy.copy(violation), violation)
    assert same(copy.deepcopy(violation), violation)
    assert copy.deepcopy(violation).__notes__ == ["a note"]


def test_it_comes_back_from_a_worker_process() -> None:
    """concurrent.futures sends exceptions as pickles, with the traceback as a cause."""
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, context) as pool:
        violation = violation_of(pool.submit(elsewhere.refused).result)
    assert (violation.host, violation.port, violation.reason) == ("forbidden.example", 8443, "not-listed")


def test_one_that_code_makes_itself_has_no_fields() -> None:
    """A mock in somebody's test: it works as an exception, and every field is None."""
    violation = EgressViolation("text")
    assert (violation.host, violation.port, violation.reason, str(violation)) == (None, None, None, "text")
    assert same(pickle.loads(pickle.dumps(violation)), violation)


@pytest.mark.egress_expected
def test_a_very_long_name_is_cut_and_not_lost() -> None:
    """255 and more bytes, which the record has no room for, are refused like every other."""
    for length in (63, 64, 253, 254, 255, 256, 1000, 100000):
        with pytest.raises((EgressViolation, UnicodeError, socket.gaierror)) as caught:
            socket.gethostbyname(("a" * 50 + ".") * (length // 51) + "a" * (length % 51))
        if isinstance(caught.value, EgressViolation):
            assert caught.value.host.startswith("aaaa")
            assert len(str(caught.value)) < 2000


def test_the_exception_holds_no_socket() -> None:
    """Fields are text and numbers: keeping a violation keeps no connection."""
    source = """
        import gc, socket, weakref
        from inside import tell
        import egressguard
        egressguard.install()
        class Socket(socket.socket): pass
        one = Socket()
        gone = weakref.ref(one)
        try:
            one.connect(("127.0.0.1", 9))
        except egressguard.EgressViolation as error:
            kept = error.with_traceback(None)
        del one
        tell([gone() is None, kept.host])
    """
    assert children.python(source).last() == [True, "127.0.0.1"]
