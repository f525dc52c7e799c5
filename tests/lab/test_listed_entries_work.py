"""Every kind of entry opens what it says, and what was allowed once stays allowed, however much comes in between."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from labtools.addresses import API, API6, OTHER, OTHER6
from labtools.lab import BY_SCRIPT, Lab

DIAL = "result = attempts(*(lambda at=at: socket.create_connection(at, 2).close() for at in {endpoints}))"


@pytest.mark.parametrize(
    ("allow", "endpoints"),
    [
        pytest.param(("*.wild.test:443",), [("a.wild.test", 443), ("b.a.wild.test", 443)], id="wildcard"),
        pytest.param(("*.wild.test:443", "wild.test:443"), [("wild.test", 443)], id="wildcard and its parent"),
        pytest.param(("203.0.113.0/24:443",), [(API, 443), (OTHER, 443)], id="network"),
        pytest.param((f"{API}:443",), [(API, 443), (f"::ffff:{API}", 443)], id="IPv4 address"),
        pytest.param((f"[{API6}]:443",), [(API6, 443)], id="IPv6 address"),
        pytest.param(("[2001:db8:a::/48]:443",), [(API6, 443), (OTHER6, 443)], id="IPv6 network"),
        pytest.param(("one.test:80-8080",), [("one.test", 80), ("one.test", 443), ("one.test", 8080)], id="range"),
        pytest.param(("one.test:*",), [("one.test", 80), ("one.test", 8443)], id="every port"),
        pytest.param(("SIX.test.:443",), [("six.test", 443)], id="name with IPv6 only"),
        pytest.param(("one.test:443", "two.test:443"), [("one.test", 443), ("two.test", 443)], id="two names"),
    ],
)
def test_entry_opens(lab: Lab, allow: tuple[str, ...], endpoints: list[tuple[str, int]]) -> None:
    outcome = lab.run(DIAL.format(endpoints=endpoints), guard=True, allow=allow)
    assert outcome.report["result"] == [""] * len(endpoints), outcome
    assert len(outcome.wire.dialled()) == len({host.removeprefix("::ffff:") for host, _ in endpoints}) or (
        len({port for _, port in outcome.wire.dialled()}) == len({port for _, port in endpoints})
    ), outcome


def test_default_and_one_more(lab: Lab) -> None:
    code = """
import egressguard
egressguard.install((*egressguard.DEFAULT_ALLOWLIST, "cgr.dev:443"))
result = [hello(socket.create_connection((name, 443), 2), name) for name in (API, "cgr.dev")]
result += attempts(lambda: socket.create_connection((EVIL, 443), 2))
"""
    outcome = lab.run(code, guard=False)
    assert outcome.report["result"] == ["hello from outside", "hello from outside", "EgressViolation"], outcome
    assert outcome.wire.questions() == {"api.anthropic.com", "cgr.dev"}, outcome


def test_default_list_holds_only_the_api(lab: Lab) -> None:
    code = "result = attempts(*(lambda n=n: socket.create_connection((n, 443), 2) for n in (API, 'cgr.dev')))"
    outcome = lab.run(code, guard=True)
    assert outcome.report["result"] == ["", "EgressViolation"], outcome


def test_after_10000_lookups_of_other_listed_names(lab: Lab) -> None:
    code = f"""
socket.getaddrinfo(API, 443)
for number in range(10_000):
    socket.gethostbyname(f"ip-10-90-{{number // 250}}-{{number % 250 + 1}}.many.test")
result = attempts(
    lambda: tcp().connect(("{API}", 443)),
    lambda: tcp().connect(("10.90.0.1", 443)),
    lambda: tcp().connect(("10.90.39.250", 443)),
    lambda: socket.create_connection((API, 443), 2),
    lambda: tcp().connect(("10.90.200.1", 443)),
)
"""
    outcome = lab.run(code, guard=True, allow=("api.anthropic.com:443", "*.many.test:443"))
    assert outcome.report["result"] == ["", "", "", "", "EgressViolation"], outcome
    assert len(outcome.wire.questions()) == 10_001, outcome.report
    assert len(outcome.wire.dialled()) == 3, outcome.wire.dialled()


@pytest.fixture(scope="session")
def clock(lab: Lab) -> str:
    """Return the library that lets a case move its clock."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler")
    library = lab.folder / "clock.so"
    source = Path(__file__).parent / "labtools" / "clock.c"
    subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", library, source, "-ldl"], check=True)
    return str(library)


def test_after_an_hour(lab: Lab, clock: str) -> None:
    # The name server would say something else by now: what was granted is what is dialled.
    code = f"""
import ctypes
assert socket.gethostbyname(API) == "{API}"
before = time.monotonic()
ctypes.CDLL(None).lab_move_clock(ctypes.c_long(3600))
assert time.monotonic() - before > 3599
result = attempts(lambda: tcp().connect(("{API}", 443)), lambda: tcp().connect((API, 443)),
                  lambda: tcp().connect(("{OTHER}", 443)), lambda: tcp().connect(("203.0.113.77", 443)))
"""
    rules = {"api.anthropic.com": {"A": [[API], [OTHER]], "ttl": 1}}
    outcome = lab.run(code, guard=True, resolv=BY_SCRIPT, rules=rules, environment={"LD_PRELOAD": clock})
    assert outcome.report["result"] == ["", "", "", "EgressViolation"], outcome
    assert outcome.wire.dialled() == {(API, 443), (OTHER, 443)}, outcome
