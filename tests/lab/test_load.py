"""64 threads dial 20 listed and 20 unlisted names at once: exactly the listed ones arrive, and nothing wears out."""

from __future__ import annotations

from collections import Counter

import pytest

from labtools.addresses import HOSTS, LISTED_CROWD, UNLISTED_CROWD
from labtools.lab import Lab, Outcome

THREADS = 64
LISTED = {HOSTS[name][0] for name in LISTED_CROWD}

LOAD = f"""
import collections, random, resource
LISTED, UNLISTED = {LISTED_CROWD}, {UNLISTED_CROWD}
arrived, refused, failed = collections.Counter(), collections.Counter(), collections.Counter()
gate, lock = threading.Barrier({THREADS} + 1), threading.Lock()

def by_name(name):
    return socket.create_connection((name, 443), 20)
def in_one_step(name):
    s = tcp(timeout=20)
    s.connect((name, 443))
    return s
def in_two_steps(name):
    s = tcp(timeout=20)
    s.connect((socket.gethostbyname(name), 443))
    return s

def dial(deadline, seed):
    choice, mine = random.Random(seed), [collections.Counter() for _ in range(3)]
    gate.wait()
    while time.monotonic() < deadline():
        name = choice.choice(LISTED if choice.random() < 0.5 else UNLISTED)
        try:
            s = choice.choice((by_name, in_one_step, in_two_steps))(name)
        except Exception as error:
            mine[1 if type(error).__name__ == "EgressViolation" else 2][name] += 1
            if name in LISTED:
                mine[2][f"{{name}}: {{error!r}}"] += 1
            continue
        # A reset instead of a slow goodbye: no port stays taken.
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        s.close()
        mine[0][name] += 1
    with lock:
        for total, part in zip((arrived, refused, failed), mine):
            total.update(part)

def usage():
    pages = int(open("/proc/self/statm").read().split()[1])
    return len(os.listdir("/proc/self/fd")), pages * resource.getpagesize() >> 10

def put_on(seconds):
    ends = []
    threads = [threading.Thread(target=dial, args=(lambda: ends[0], seed)) for seed in range({THREADS})]
    for thread in threads:
        thread.start()
    ends.append(time.monotonic() + seconds)
    gate.wait()
    for thread in threads:
        thread.join()
"""
GUARDED = """
put_on(1.5)  # warm up: what is made once is there before the first look
before = usage()
put_on({seconds})
import egressguard
result = {{"arrived": arrived, "refused": refused, "failed": failed, "before": before, "after": usage(),
           "violations": egressguard.violation_count()}}
"""


def arrivals(outcome: Outcome) -> Counter[str]:
    """Count the connections that were opened, by destination; a repeated segment is no second connection."""
    dials = {(frame.source_port, frame.sequence, frame.destination) for frame in outcome.wire.frames if frame.is_dial}
    return Counter(destination for _, _, destination in dials)


def test_everything_arrives_without_the_guard(lab: Lab) -> None:
    outcome = lab.run(LOAD + "put_on(1)\nresult = {'failed': failed}", guard=False)
    assert set(arrivals(outcome)) == LISTED | {HOSTS[name][0] for name in UNLISTED_CROWD}, outcome.report
    assert not outcome.report["result"]["failed"], outcome.report


@pytest.mark.timeout(180)
def test_exactly_the_listed_ones_arrive(lab: Lab, pytestconfig: pytest.Config) -> None:
    seconds = 30 if pytestconfig.getoption("--full-load", default=False) else 8
    allow = tuple(f"{name}:443" for name in LISTED_CROWD)
    outcome = lab.run(LOAD + GUARDED.format(seconds=seconds), guard=True, allow=allow, timeout=seconds + 60)
    assert outcome.status == 0, outcome.status
    result, seen = outcome.report["result"], arrivals(outcome)
    assert not result["failed"], result
    assert set(result["arrived"]) == set(LISTED_CROWD), result
    assert set(result["refused"]) == set(UNLISTED_CROWD), result
    assert result["violations"] == sum(result["refused"].values()), result
    assert seen == {HOSTS[name][0]: count for name, count in result["arrived"].items()}, (seen, result)
    assert outcome.wire.questions() == set(LISTED_CROWD), outcome.wire.questions()
    assert not outcome.loopback_wire.frames, outcome.loopback_wire.lines()
    [[files, memory], [files_after, memory_after]] = result["before"], result["after"]
    assert files_after == files, result
    assert memory_after - memory < 8 << 10, f"{memory} kB grew to {memory_after} kB"
    print(f"{sum(result['arrived'].values())} arrived, {result['violations']} refused, {memory} -> {memory_after} kB")
