"""Native code dials an address whose lookup was not seen: few names open its port, so they are asked for once more."""

from __future__ import annotations

import json
import sys
import time

from kernellab.wire import EVIL, LISTED_NAMES, Wire, besides_listed_names

from conftest import Guarded

DIRECT = "203.0.113.207"

DIALS = """
import json, socket, sys, time
results = []
for host, port, blocking in json.loads(sys.argv[1]):
    s = socket.socket(); s.setblocking(blocking)
    started = time.monotonic()
    try:
        error = s.connect_ex((host, port))
    except OSError as problem:
        error = problem.errno
    results.append([error, time.monotonic() - started])
    s.close()
print(json.dumps(results))
"""


def dial(wire: Wire, guarded: Guarded, *targets: tuple[str, int, bool]) -> list[tuple[int, float]]:
    done = wire.run(guarded([sys.executable, "-c", DIALS, json.dumps(targets)]))
    assert done.returncode == 0, done
    return [(error, seconds) for error, seconds in json.loads(done.stdout.splitlines()[-1])]


def questions(events: list[dict[str, str]]) -> list[str]:
    return [event["name"] for event in events if event["kind"] == "dns"]


def test_the_address_of_a_listed_name_is_reached_without_a_lookup(wire: Wire, guarded: Guarded) -> None:
    [(error, _)] = dial(wire, guarded, (DIRECT, 443, True))
    assert error == 0
    events = wire.events()
    assert [event["to"] for event in besides_listed_names(events)] == [DIRECT]


def test_a_socket_that_does_not_block_waits_a_little(wire: Wire, guarded: Guarded) -> None:
    [(error, seconds)] = dial(wire, guarded, (DIRECT, 443, False))
    assert error in (0, 115)  # EINPROGRESS
    assert seconds < 1


def test_another_address_stays_refused_and_names_are_asked_once_a_second(wire: Wire, guarded: Guarded) -> None:
    results = dial(wire, lambda command: command, (EVIL, 443, True))
    assert results[0][0] == 0
    wire.events()
    started = time.monotonic()
    results = dial(wire, guarded, *[(EVIL, 443, True)] * 50)
    took = time.monotonic() - started
    assert {error for error, _ in results} == {13}
    events = wire.events()
    assert besides_listed_names(events) == []
    assert len(questions(events)) <= len(LISTED_NAMES) * (2 + int(took))


def test_the_address_on_another_port_stays_refused(wire: Wire, guarded: Guarded) -> None:
    [(error, _)] = dial(wire, guarded, (DIRECT, 9, True))
    assert error == 13
    assert wire.events() == []  # no name opens that port: nobody is asked


def test_a_silent_nameserver_delays_a_refusal_no_longer_than_the_limit(wire: Wire, guarded: Guarded) -> None:
    results = dial(wire, guarded, (EVIL, 8443, True), (EVIL, 8443, False))
    assert [error for error, _ in results] == [13, 13]
    assert 0.9 < results[0][1] < 2
    assert results[1][1] < 0.5
