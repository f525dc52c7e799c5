"""Objects and code that run in the middle of a call: what was judged is what is dialled.

Each attack runs in a network of its own, where the list opens 203.0.113.5:9 and nothing else. It tries to make the
guard judge that endpoint and the original dial another one; `forbidden` counts what arrived anywhere else.
"""

from __future__ import annotations

import sys
from typing import Any

import children
import pytest

pytestmark = pytest.mark.usefixtures("own_network")

PREAMBLE = """
import select, socket, sys, threading
import _socket
from inside import tell, word

LISTED = "203.0.113.5"
mode = sys.argv[1]

def receiver(host, port, kind=socket.SOCK_DGRAM):
    one = socket.socket(socket.AF_INET, kind)
    one.bind((host, port))
    if kind == socket.SOCK_STREAM:
        one.listen()
    return one

allowed = receiver(LISTED, 9), receiver(LISTED, 9, socket.SOCK_STREAM)
others = [receiver(host, port, kind) for host in ("127.0.0.1", LISTED, "203.0.113.6") for port in (9, 10)
          for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM) if (host, port) != (LISTED, 9)]

def udp(family=socket.AF_INET):
    return socket.socket(family, socket.SOCK_DGRAM)

def guard():
    if mode == "guarded":
        import egressguard
        egressguard.install((f"{LISTED}:9",))

def report(*told):
    # One kernel, one queue: on `lo` what was sent is there when the sender's call returns.
    tell([list(told), len(select.select(allowed, [], [], 0.02)[0]), len(select.select(others, [], [], 0.02)[0])])
"""


def alone(source: str, mode: str = "guarded") -> list[Any]:
    """Run it; return what it reported, how many allowed and how many other receivers got something."""
    addresses = ["203.0.113.5/32", "203.0.113.6/32"]
    told = children.python_alone(PREAMBLE + source, mode, addresses=addresses).last()
    assert isinstance(told, list)
    return told


FICKLE = """
class Port:
    def __init__(self, *answers): self.answers = list(answers); self.asked = 0
    def __index__(self):
        self.asked += 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
"""


@pytest.mark.parametrize("route", ["connect", "connect_ex", "sendto", "sendmsg"])
def test_a_port_that_changes_between_two_readings(route: str) -> None:
    """CPython reads it once, and so does the guard: the number that was judged is dialled."""
    call = {
        "connect": "one.connect((LISTED, port)) or one.send(b'x')",
        "connect_ex": "one.connect_ex((LISTED, port)) or one.send(b'x')",
        "sendto": "one.sendto(b'x', (LISTED, port))",
        "sendmsg": "one.sendmsg([b'x'], [], 0, (LISTED, port))",
    }[route]
    source = (
        f"{FICKLE}\nguard()\nport, one = Port(9, 10), udp()\ntold = word(lambda: {call})\nreport(told, port.asked)\n"
    )
    assert alone(source) == [["done", 1], 1, 0]
    assert alone(source.replace("Port(9, 10)", "Port(10, 9)")) == [["port", 1], 0, 0]
    assert alone(source.replace("Port(9, 10)", "Port(10, 9)"), "unguarded") == [["done", 1], 0, 1]


def test_a_bytearray_that_another_thread_rewrites() -> None:
    """The host alternates while thousands of datagrams are sent: none goes to the host that is not listed."""
    source = """
sys.setswitchinterval(1e-6)
guard()
host, stop, sent = bytearray(b"203.0.113.5"), threading.Event(), 0
def flip():
    while not stop.is_set():
        host[-1] ^= 3  # 5 and 6 in turn
thread = threading.Thread(target=flip)
thread.start()
one = udp()
one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
words, count = set(), 0
def fooled():
    return len(words) == 2 if mode == "guarded" else select.select(others, [], [], 0)[0]
while count < 1000 or (count < 100000 and not fooled()):
    words.add(word(lambda: one.sendto(b"", (host, 9))))
    count += 1
stop.set()
thread.join()
report(sorted(words - {"BufferError"}))
"""
    words, reached, forbidden = alone(source)
    assert (words, reached, forbidden) == ([["done", "not-listed"]], 1, 0)
    assert alone(source, "unguarded")[2] == 1


# Each class says the listed endpoint to whoever asks by its methods, and is another one.
LIARS = {
    "a str subclass": (
        """
class Host(str):
    def __str__(self): return "203.0.113.5"
    def __eq__(self, other): return True
    def __hash__(self): return hash("203.0.113.5")
    def isascii(self): return False
address = (Host("127.0.0.1"), 9)
""",
        "loopback",
    ),
    "a bytes subclass": (
        """
class Host(bytes):
    def decode(self, *a): return "203.0.113.5"
    def __getitem__(self, at): return b"203.0.113.5"[at]
    def __len__(self): return 11
    def __bytes__(self): return b"203.0.113.5"
address = (Host(b"127.0.0.1"), 9)
""",
        "loopback",
    ),
    "a bytearray subclass": (
        """
class Host(bytearray):
    def __len__(self): return 11
    def __bytes__(self): return b"203.0.113.5"
address = (Host(b"127.0.0.1"), 9)
""",
        "loopback",
    ),
    "a tuple subclass": (
        """
class Address(tuple):
    def __getitem__(self, at): return ("203.0.113.5", 9)[at]
    def __iter__(self): return iter(("203.0.113.5", 9))
    def __len__(self): return 2
    def __eq__(self, other): return True
    def __hash__(self): return hash(("203.0.113.5", 9))
address = Address(("127.0.0.1", 10))
""",
        "loopback",
    ),
    "an int subclass": (
        """
class Port(int):
    def __index__(self): return 9
    def __int__(self): return 9
    def __eq__(self, other): return other == 9
    def __hash__(self): return hash(9)
address = (LISTED, Port(10))
""",
        "port",
    ),
    "full-width digits": ('address = ("\\uff11\\uff12\\uff17.0.0.1", 9)', "loopback"),
}


@pytest.mark.parametrize("liar", LIARS)
def test_an_object_that_says_something_else_than_it_is(liar: str) -> None:
    source = f"""
{LIARS[liar][0]}
guard()
report(word(lambda: udp().sendto(b'x', address)), word(lambda: udp().connect(address)),
       word(lambda: udp().sendmsg([b'x'], [], 0, address)))
"""
    assert alone(source) == [[LIARS[liar][1]] * 3, 0, 0]
    assert alone(source, "unguarded") == [["done"] * 3, 0, 1]


def test_a_str_subclass_that_encodes_itself() -> None:
    """CPython's IDNA codec asks the object to encode itself; the guard takes the text that the object holds."""
    source = """
class Host(str):
    def encode(self, *a): return b"127.0.0.1"
guard()
report(word(lambda: udp().sendto(b'x', (Host(LISTED), 9))))
"""
    assert alone(source) == [["done"], 1, 0]
    assert alone(source, "unguarded") == [["done"], 0, 1]


def test_a_str_subclass_whose_letters_are_not_ascii() -> None:
    """There the codec is asked, once, and its bytes are judged and dialled."""
    source = """
class Host(str):
    answers = [b"203.0.113.5", b"127.0.0.1"]
    def encode(self, *a): return Host.answers.pop(0)
guard()
report(word(lambda: udp().sendto(b'x', (Host("\\xe9"), 9))), word(lambda: udp().sendto(b'x', (Host("\\xe9"), 10))))
"""
    assert alone(source) == [["done", "loopback"], 1, 0]


REINIT = "one.close(); _socket.socket.__init__(one, {})"
# What the code does, the words that come of it, and how many datagrams reach the listed endpoint.
MEDDLERS = {
    "dials": ("words.append(word(lambda: udp().sendto(b'x', ('127.0.0.1', 10))))", ["loopback", "done"], 1),
    "dials the same tuple": ("words.append(word(lambda: udp().sendto(b'x', address)))", ["port", "port"], 0),
    "installs": ("words.append(word(lambda: egressguard.install(('203.0.113.6:*',))))", ["RuntimeError", "done"], 1),
    "closes the socket": ("one.close()", ["OSError"], 0),
    "makes it another socket": (REINIT.format("socket.AF_INET6, socket.SOCK_DGRAM"), ["done"], 1),
    "makes it a raw socket": (REINIT.format("socket.AF_INET, socket.SOCK_RAW, 17"), ["socket-type"], 0),
    "raises": ("1 / 0", ["ZeroDivisionError"], 0),
    "exits": ("raise SystemExit", ["SystemExit"], 0),
}


@pytest.mark.parametrize("meddler", MEDDLERS)
def test_code_that_runs_while_the_address_is_read(meddler: str) -> None:
    """`__index__` is Python: it can do anything between the reading of the address and the dial."""
    source = f"""
import egressguard
words, one = [], udp()
class Port:
    calls = 0
    def __index__(self):
        Port.calls += 1
        if Port.calls == 1:
            {MEDDLERS[meddler][0]}
        return {10 if meddler == "dials the same tuple" else 9}
address = (LISTED, Port())
guard()
words.append(word(lambda: one.sendto(b"x", address)))
report(*words)
"""
    assert alone(source) == [*MEDDLERS[meddler][1:], 0]


@pytest.mark.parametrize("place", ["buffers", "control messages"])
def test_generators_in_sendmsg(place: str) -> None:
    """They run inside the call; what they dial is judged, and what they yield is read once."""
    arguments = {"buffers": "hostile(b'x'), []", "control messages": "[b'x'], hostile(None)"}[place]
    source = f"""
guard()
words, one = [], udp()
def hostile(item):
    words.append(word(lambda: udp().sendto(b"x", ("127.0.0.1", 10))))
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if item is not None:
        yield item
words.append(word(lambda: one.sendmsg({arguments}, 0, (LISTED, 9))))
words.append(word(lambda: one.sendmsg({arguments}, 0, (LISTED, 10))))
report(*words)
"""
    # Both are read before the verdict: no code of the caller's runs between it and the call.
    assert alone(source) == [["loopback", "done", "loopback", "port"], 1, 0]


@pytest.mark.parametrize(("first", "then", "words"), [(4, 1, {"routing"}), (1, 4, {"done", "OSError"})])
def test_a_control_message_that_changes_while_it_is_read(first: int, then: int, words: set[str]) -> None:
    """Type 4 is IP_OPTIONS. The list is copied before the level is asked for: that copy is judged and sent."""
    source = f"""
guard()
items, one = [[0, {first}, b""]], udp()
class Level:
    def __index__(self):
        items[0][1] = {then}
        items.append((41, 57, b"x" * 24))
        return 0
items[0][0] = Level()
report(word(lambda: one.sendmsg([b"x"], items, 0, (LISTED, 9))))
"""
    (told,), _, forbidden = alone(source)
    assert (told in words, forbidden) == (True, 0)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="__buffer__ came with 3.12 (PEP 688)")
@pytest.mark.parametrize("family", ["AF_INET", "AF_UNIX"])
def test_a_buffer_that_runs_code(family: str) -> None:
    """`__buffer__` is Python too: of the payload it is no matter, of a UNIX path it is the address."""
    source = f"""
guard()
one = socket.socket(socket.{family}, socket.SOCK_DGRAM)
words = []
class Buffer:
    def __buffer__(self, flags):
        words.append(word(lambda: udp().sendto(b"x", ("127.0.0.1", 10))))
        if "{family}" == "AF_UNIX":
            one.close()
            _socket.socket.__init__(one, socket.AF_INET, socket.SOCK_DGRAM)
        return memoryview(b"\\0abstract")
buffer = Buffer()
words.append(word(lambda: one.sendto(buffer, (LISTED, 10)) if "{family}" == "AF_INET" else one.sendto(b"x", buffer)))
report(*words)
"""
    (*inner, outer), reached, forbidden = alone(source)
    assert (reached, forbidden) == (0, 0)
    assert set(inner) <= {"loopback"}
    assert outer in ("port", "TypeError", "socket-type", "unix")
