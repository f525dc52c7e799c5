"""A program that asks a nameserver itself over Python's sockets: what it is answered can be dialled, nothing else."""

from __future__ import annotations

import pytest

from labtools.addresses import API, OTHER, UNLISTED
from labtools.lab import BY_SCRIPT, Lab

NAME = "api.anthropic.com"
CHANGING = {NAME: {"A": [[API], [OTHER]], "ttl": 0}}

ASK = """
import select, struct
NAMESERVER = open("/etc/resolv.conf").read().split()[1]
def question(name, number):
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\\0"
    return struct.pack("!HHHHHH", number, 0x0100, 1, 0, 0, 0) + labels + struct.pack("!HH", 1, 1)
WAYS = {
    "sendto": lambda s, data: s.sendto(data, (NAMESERVER, 53)),
    "sendmsg": lambda s, data: s.sendmsg([data[:5], data[5:]], [], 0, (NAMESERVER, 53)),
}
def ask(way, blocking, numbers=(1, 2)):
    s = udp()
    s.setblocking(blocking)
    for number in numbers:
        assert WAYS[way](s, question(API, number)) > 20
    addresses = []
    for number in numbers:
        assert select.select([s], [], [], 3)[0]
        answer = s.recv(4096)
        assert answer[:2] == struct.pack("!H", number)
        addresses.append(socket.inet_ntoa(answer[-4:]))
    return addresses
"""


@pytest.mark.parametrize("blocking", [True, False])
@pytest.mark.parametrize("way", ["sendto", "sendmsg"])
def test_answers_are_granted_as_they_come(lab: Lab, way: str, blocking: bool) -> None:
    """Two questions before an answer is read; the one that is not asked last is dialled."""
    code = f"{ASK}\nresult = ask({way!r}, {blocking})\nhello(socket.create_connection((result[0], 443), 3))"
    outcome = lab.run(code, guard=True, resolv=BY_SCRIPT, rules=CHANGING)
    assert sorted(outcome.report["result"]) == [API, OTHER], outcome
    assert not outcome.report["raised"], outcome
    assert outcome.wire.dialled() == {(outcome.report["result"][0], 443)}, outcome


def test_a_lie_is_not_dialled(lab: Lab) -> None:
    code = f"{ASK}\nresult = attempts(lambda: tcp().connect((ask('sendto', True, (1,))[0], 443)))"
    rules = {NAME: {"A": [["127.0.0.1"]]}}
    outcome = lab.run(code, guard=False, resolv=BY_SCRIPT, rules=rules)
    assert outcome.report["result"] == ["ConnectionRefusedError"], outcome
    outcome = lab.run(code, guard=True, resolv=BY_SCRIPT, rules=rules)
    assert outcome.report["result"] == ["EgressViolation"], outcome
    assert not outcome.loopback_wire.frames, outcome


@pytest.mark.parametrize(("blocking", "most"), [(True, 1.6), (False, 0.6)])
def test_no_answer_delays_no_longer_than_the_limit(lab: Lab, blocking: bool, most: float) -> None:
    code = f"""{ASK}
s = udp(timeout=5)
if not {blocking}: s.setblocking(False)
started = time.monotonic()
WAYS["sendto"](s, question(API, 1))
result = time.monotonic() - started
"""
    outcome = lab.run(code, guard=True, resolv=BY_SCRIPT, rules={NAME: {"A": [[API]], "delay": 5}})
    assert outcome.report["result"] < most, outcome


def test_what_no_answer_named_stays_refused(lab: Lab) -> None:
    code = f"{ASK}\nask('sendto', True)\nresult = attempts(lambda: tcp().connect(({UNLISTED!r}, 443)))"
    outcome = lab.run(code, guard=True, resolv=BY_SCRIPT, rules=CHANGING)
    assert outcome.report["result"] == ["EgressViolation"], outcome
    assert not outcome.wire.dialled(), outcome


def test_ctrl_c_is_heard_while_the_answer_is_waited_for(lab: Lab) -> None:
    code = f"""{ASK}
import signal
threading.Timer(0.2, lambda: signal.raise_signal(signal.SIGINT)).start()
started = time.monotonic()
try:
    WAYS["sendto"](udp(timeout=5), question(API, 1))
except KeyboardInterrupt:
    result = time.monotonic() - started
"""
    outcome = lab.run(code, guard=True, resolv=BY_SCRIPT, rules={NAME: {"A": [[API]], "delay": 5}})
    assert outcome.report["result"] < 0.8, outcome
