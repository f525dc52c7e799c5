"""The laboratory itself: what the other tests take for granted."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from labtools.lab import BY_SCRIPT, Impossible, Lab, give_up
from labtools.wire import Frame, Wire, is_plain_question, parse, questions_of

LISTED = b"\x03api\x09anthropic\x03com\x00\x00\x01\x00\x01"
HEAD = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"


def test_what_is_sent_last_is_seen(lab: Lab) -> None:
    code = "s = udp()\nfor n in range(2000): s.sendto(b'%d' % n, (RAW, 80))\nos._exit(0)"
    wire = lab.run(code, guard=False).wire
    assert [frame.payload for frame in wire.frames if frame.protocol == "UDP"] == [b"%d" % n for n in range(2000)]


def test_what_is_done_without_a_packet_shows_nothing(lab: Lab) -> None:
    outcome = lab.run("socket.getaddrinfo('127.0.0.1', 80); udp().bind(('', 0))", guard=False)
    assert not outcome.wire.lines(), outcome
    assert not outcome.loopback_wire.lines(), outcome.loopback_wire.lines()


def test_loopback_is_seen_apart(lab: Lab) -> None:
    outcome = lab.run("udp().sendto(b'x', ('127.0.0.1', 80))", guard=False)
    assert not outcome.wire.lines(), outcome
    assert outcome.loopback_wire.shows("UDP to 127.0.0.1 port 80"), outcome.loopback_wire.lines()


def test_questions_by_tcp_are_decoded(lab: Lab) -> None:
    code = "result = socket.gethostbyname(EVIL)"
    rules = {"evil.test": {"A": [["198.51.100.66"]], "truncated": True}}
    outcome = lab.run(code, guard=False, resolv=BY_SCRIPT, rules=rules)
    assert outcome.report["result"] == "198.51.100.66", outcome
    assert list(outcome.wire.tcp_questions()) == [("evil.test", "A")], outcome
    assert outcome.wire.besides({"evil.test"}) == [], outcome
    assert "DNS evil.test A" in outcome.wire.besides({"other.test"}), outcome


def test_every_case_has_files_of_its_own(lab: Lab) -> None:
    code = "result = [open(f'/etc/{name}').read() for name in ('resolv.conf', 'hosts')]"
    first = lab.run(code, guard=False, resolv="nameserver 192.0.2.1\n", hosts="192.0.2.2 one\n")
    second = lab.run(code, guard=False, resolv="", hosts="")
    assert first.report["result"] == ["nameserver 192.0.2.1\n", "192.0.2.2 one\n"]
    assert second.report["result"] == ["", ""]
    assert "192.0.2.1" not in Path("/etc/resolv.conf").read_text()


def test_the_process_reaches_no_other_network(lab: Lab) -> None:
    outcome = lab.run("result = [name for _, name in socket.if_nameindex()]", guard=False)
    assert outcome.report["result"] == ["lo", "wire0"]


def test_a_case_that_hangs_is_ended(lab: Lab) -> None:
    outcome = lab.run("time.sleep(60)", guard=False, timeout=0.5)
    assert outcome.timed_out
    with pytest.raises(AssertionError, match="did not report"):
        assert outcome.report


OWNER = """
import sys, time
sys.path.insert(0, sys.argv[1])
from labtools.lab import Lab, find_way
lab = Lab(find_way())
print(lab.outside.process.pid, lab.folder, flush=True)
time.sleep(60)
"""


def test_nothing_outlives_the_owner_even_if_killed(lab: Lab) -> None:
    command = [sys.executable, "-c", OWNER, str(Path(__file__).parent)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        folder = owner.stdout.readline().split()[1]
        assert processes_with(folder)
        owner.kill()
    deadline = time.monotonic() + 5
    while processes_with(folder) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not processes_with(folder)
    subprocess.run(["rm", "-r", folder], check=True)


def processes_with(text: str) -> list[str]:
    """Return the command lines that contain a text: outside, nginx and dnsmasq are told the laboratory's folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_text().replace("\0", " ")
        except OSError:
            continue
        if text in line:
            found.append(line)
    return found


def test_skips_with_the_reason_but_fails_in_ci() -> None:
    with pytest.raises(pytest.skip.Exception, match="no namespaces here"):
        give_up(Impossible("no namespaces here"), {})
    with pytest.raises(pytest.fail.Exception, match="no namespaces here"):
        give_up(Impossible("no namespaces here"), {"CI": "true"})


@pytest.mark.parametrize(
    ("message", "names", "plain"),
    [
        (HEAD + LISTED, ["api.anthropic.com"], True),
        (HEAD + LISTED + b"more", ["api.anthropic.com"], False),
        (HEAD[:5] + b"\x02" + HEAD[6:] + LISTED * 2, ["api.anthropic.com"] * 2, False),
        (b"\x12\x34\x28" + HEAD[3:] + LISTED, ["api.anthropic.com"], False),
        (HEAD[:-1] + b"\x01" + LISTED + b"\0\0\x29\x04\xd0" + bytes(6), ["api.anthropic.com"], True),
        (HEAD[:-1] + b"\x01" + LISTED + b"\0\0\x29\x04\xd0" + bytes(6) + b"more", ["api.anthropic.com"], False),
        (HEAD + b"\x08api.anth\x05ropic\x03com\0\0\1\0\1", ["api\\.anth.ropic.com"], True),
        (b"secret", ["unreadable:b'secret'"], False),
    ],
)
def test_messages_are_read(message: bytes, names: list[str], plain: bool) -> None:
    assert [name for name, _ in questions_of(message)] == names
    assert is_plain_question(message) is plain


@pytest.mark.parametrize("length", [0, 13, 14, 20, 34, 40, 60])
@pytest.mark.parametrize("ethertype", [b"\x08\x00", b"\x86\xdd", b"\x08\x06", b"\x88\xb5"])
def test_a_frame_cut_short_still_counts(ethertype: bytes, length: int) -> None:
    frame = parse((bytes(12) + ethertype + b"\x45" + bytes(80))[:length])
    assert isinstance(frame, Frame)
    assert not frame.is_noise
    assert Wire([frame.raw]).besides({"any"})
