"""Address objects of any shape at every route, from bytes: `objects.py atheris ...` or `objects.py hypothesis COUNT`.

Runs in a network of its own where 203.0.113.5 is an address of `lo`. The list opens 203.0.113.5:9 and nothing else, so a
call that returns must have reached exactly that: the socket's peer and what arrived there say so. Whatever is raised is
the guard's refusal or one of the errors that CPython has for malformed arguments.
"""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import socket
import sys
from collections.abc import Callable
from typing import Any

import egressguard

LISTED, PORT = "203.0.113.5", 9
ERRORS = (egressguard.EgressViolation, TypeError, ValueError, OverflowError, OSError, BufferError, ZeroDivisionError)
returned: dict[str, int] = {}  # how many calls came back


class Source:
    """Takes decisions from bytes; when they are used up, always the first choice."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def number(self, below: int) -> int:
        if not self.data:
            return 0
        size = 1 if below <= 256 else 9
        taken, self.data = self.data[:size], self.data[size:]
        return int.from_bytes(taken, "little") % below

    def bytes(self, most: int) -> bytes:
        size = self.number(most)
        taken, self.data = self.data[:size], self.data[size:]
        return taken

    def one(self, *makers: Callable[[], Any]) -> Any:
        return makers[self.number(len(makers))]()


class Text(str):
    __slots__ = ()

    def encode(self, *_: object) -> bytes:  # type: ignore[override]
        return b"127.0.0.1"


class Host(bytes):
    def __bytes__(self) -> bytes:
        return LISTED.encode()


class Address(tuple):  # type: ignore[type-arg]
    __slots__ = ()

    def __getitem__(self, _: Any) -> Any:
        return LISTED


class Port:
    """Another number each time."""

    def __init__(self, *numbers: int) -> None:
        self.numbers = list(numbers)

    def __index__(self) -> int:
        return self.numbers.pop(0) if len(self.numbers) > 1 else self.numbers[0]


class Raising:
    def __index__(self) -> int:
        raise ZeroDivisionError

    __str__ = __iter__ = __len__ = __getitem__ = __fspath__ = __index__  # type: ignore[assignment]


def host(source: Source) -> Any:
    spelled = source.one(
        lambda: LISTED,
        lambda: "127.0.0.1",
        lambda: ("127.1", "0x7f.1", "2130706433", "::1", "::ffff:127.0.0.1", "::", "0", "localhost", "")[
            source.number(9)
        ],
        lambda: f"::ffff:{LISTED}",
        lambda: str(ipaddress.ip_address(source.number(1 << 32))),
        lambda: str(ipaddress.ip_address(source.number(1 << 64) << 64 | source.number(1 << 64))),
        lambda: source.bytes(40).decode("latin-1"),
        lambda: source.bytes(40).decode("utf-8", "surrogateescape"),
        lambda: f"{LISTED}\0",
        lambda: "\uff11\uff12\uff17.0.0.1",
    )
    return source.one(
        lambda: spelled,
        lambda: spelled.encode("utf-8", "surrogatepass"),
        lambda: bytearray(spelled.encode("utf-8", "surrogatepass")),
        lambda: Text(spelled),
        lambda: Host(spelled.encode("utf-8", "surrogatepass")),
        lambda: None,
        lambda: source.number(1 << 32),
        lambda: memoryview(source.bytes(20)),
        Raising,
    )


def port(source: Source) -> Any:
    return source.one(
        lambda: PORT,
        lambda: source.number(70_000),
        lambda: -source.number(1 << 40),
        lambda: 1 << source.number(200),
        lambda: Port(PORT, source.number(70_000)),
        lambda: Port(source.number(70_000), PORT),
        lambda: True,
        lambda: 9.0,
        lambda: "9",
        lambda: None,
        Raising,
    )


def address(source: Source) -> Any:
    items = [host(source), port(source)]
    items += [port(source) for _ in range(source.number(4))]
    items = items[: len(items) - source.number(3)] if source.number(8) == 0 else items
    return source.one(
        lambda: tuple(items),
        lambda: items,
        lambda: Address(items),
        lambda: host(source),
        lambda: (tuple(items), *items),
        lambda: None,
    )


def check(data: bytes) -> None:
    """Make one call; raise AssertionError where it came out as it must not."""
    source = Source(data)
    family = (socket.AF_INET, socket.AF_INET, socket.AF_INET6, socket.AF_UNIX, socket.AF_NETLINK)[source.number(5)]
    kind = socket.SOCK_RAW if family == socket.AF_NETLINK else socket.SOCK_DGRAM
    route = ("connect", "connect_ex", "sendto", "sendmsg", "getaddrinfo", "name", "reverse", "getnameinfo")[
        source.number(8)
    ]
    with socket.socket(family, kind) as one:
        one.setblocking(False)
        try:
            if route in ("connect", "connect_ex"):
                error = getattr(one, route)(address(source))
                reached = family == socket.AF_NETLINK or error or peer(one) == (LISTED, PORT)
            elif route == "sendto":
                one.sendto(b"x", address(source))
                reached = family == socket.AF_NETLINK or arrived()
            elif route == "sendmsg":
                where = address(source)
                one.sendmsg([b"x"], [], 0, where)
                reached = family == socket.AF_NETLINK or arrived()
            else:
                reached = looked_up(route, source)
        except ERRORS:
            return
    assert reached, (route, data)
    returned[route] = returned.get(route, 0) + 1


def peer(one: socket.socket) -> tuple[Any, ...] | None:
    """Return the IPv4 address and the port that a socket is connected to."""
    with contextlib.suppress(OSError):
        name = one.getpeername()
        return (name[0].removeprefix("::ffff:"), *name[1:2])
    return None


def arrived() -> bool:
    """Whether the listed receiver got a datagram: on `lo` it is there when the sender's call returns."""
    with contextlib.suppress(BlockingIOError):
        return receiver.recv(10) == b"x"
    return False


def looked_up(route: str, source: Source) -> bool:
    """Look up; whether what was answered needs no name server: numbers, and the names of this machine."""
    asked = host(source)
    if route == "getaddrinfo":
        answers = socket.getaddrinfo(asked, port(source), 0, socket.SOCK_DGRAM)
    elif route == "name":
        answers = [(0, 0, 0, "", (socket.gethostbyname(asked),))]
    elif route == "reverse":
        return bool(socket.gethostbyaddr(asked))
    else:
        return bool(socket.getnameinfo((asked, port(source)), socket.NI_NUMERICHOST | socket.NI_NUMERICSERV))
    text = asked.decode() if isinstance(asked, (bytes, bytearray)) else "" if asked is None else str.__str__(asked)
    if text.rstrip(".").lower() in ("", "localhost", socket.gethostname().lower()) or not text.isascii():
        return True
    numbers = {ipaddress.ip_address(answer[4][0].partition("%")[0]) for answer in answers}
    return len(numbers) == 1 and set(map(unmapped, numbers)) == set(map(unmapped, read_by_libc(text)))


def unmapped(number: Any) -> Any:
    """Return an IPv4 address for an IPv4-mapped one: libc's getaddrinfo does the same."""
    return getattr(number, "ipv4_mapped", None) or number


def read_by_libc(text: str) -> set[Any]:
    """Return what inet_aton(3) or inet_pton(3) read in a text, which no route of the guard has a part in."""
    with contextlib.suppress(OSError, ValueError):
        return {ipaddress.ip_address(socket.inet_aton(text))}
    with contextlib.suppress(OSError, ValueError):
        return {ipaddress.ip_address(socket.inet_pton(socket.AF_INET6, text.partition("%")[0]))}
    return set()


def check_numbers(text: str) -> None:
    """Whatever the C library or `ipaddress` reads as this machine is no entry, and is refused by any list."""
    numbers = read_by_libc(text)
    with contextlib.suppress(ValueError):
        numbers |= {ipaddress.ip_address(text)}
    numbers |= {one.ipv4_mapped for one in numbers if one.version == 6 and one.ipv4_mapped is not None}
    if not any(one.is_loopback or int(one) == 0 for one in numbers):
        return
    for entry in (f"{text}:80", f"[{text}]:80"):
        with contextlib.suppress(ValueError):
            raise AssertionError((text, egressguard._egressguard.parse((entry,))))
        with contextlib.suppress(ValueError):
            assert not egressguard.explain(entry, ("*.test:*", "198.18.0.0/15:*"))["allowed"], text


def check_network(number: int, version: int, length: int, inside: int) -> None:
    """A CIDR entry opens what `ipaddress` says that it covers, for addresses that nothing else refuses."""
    bits = 32 if version == 4 else 128
    network = ipaddress.ip_network((number >> (bits - length) << (bits - length), length))
    one = ipaddress.ip_address(inside)
    shown = f"[{network.network_address}/{length}]" if version == 6 else f"{network.network_address}/{length}"
    subject = f"[{one}]:80" if version == 6 else f"{one}:80"
    answer = egressguard.explain(subject, (f"{shown}:80",))
    assert answer["allowed"] == (one in network), (subject, shown, answer)


def with_hypothesis(count: int) -> None:
    from hypothesis import HealthCheck, given, settings
    from hypothesis import strategies as st

    often = settings(max_examples=count, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    often(given(st.binary(max_size=120))(check))()
    part = st.sampled_from(["127", "0x7f", "0177", "0", "1", "2130706433", "0x7f000001", "00", "256", "", "65535"])
    spellings = st.lists(part, min_size=1, max_size=5).map(".".join)
    shaped = st.ip_addresses(v=6).map(str) | st.sampled_from(
        ["::1", "::", "0::1", "::127.0.0.1", "::ffff:7f00:1", "::1%lo"]
    )
    often(given(st.one_of(spellings, shaped, st.ip_addresses().map(str), st.text(max_size=20)))(check_numbers))()
    # 198.18.0.0/15 and 2001:db8::/32 are nobody's: no other rule stands in the way.
    inside = st.integers(0xC6120000, 0xC613FFFF)
    often(given(inside, st.just(4), st.integers(15, 32), inside)(check_network))()
    inside = st.integers(0x20010DB8 << 96, (0x20010DB9 << 96) - 1)
    often(given(inside, st.just(6), st.integers(32, 128), inside)(check_network))()


if __name__ == "__main__":
    logging.getLogger("egressguard").setLevel(logging.CRITICAL + 1)
    egressguard.install((f"{LISTED}:{PORT}",))
    receiver = socket.socket(type=socket.SOCK_DGRAM)
    receiver.bind((LISTED, PORT))
    receiver.setblocking(False)
    if sys.argv[1] == "hypothesis":
        from inside import tell

        with_hypothesis(int(sys.argv[2]))
        tell([egressguard.violation_count(), sum(returned.values())])
    else:
        import atheris

        atheris.Setup([sys.argv[0], *sys.argv[2:]], check)
        atheris.Fuzz()
