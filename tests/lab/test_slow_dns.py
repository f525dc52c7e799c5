"""A name server that takes its time, or says nothing, holds up nobody but who waits for it."""

from __future__ import annotations

from typing import Any

import pytest

from labtools.addresses import API, API6, SILENT
from labtools.lab import BY_SCRIPT, Lab

NAME = "api.anthropic.com"
FAST = {NAME: {"A": [[API]], "AAAA": [[API6]]}}
BOTH = pytest.mark.parametrize("guard", [False, True], ids=["without the guard", "guarded"])
PATIENT = "options timeout:20\n" + BY_SCRIPT

SIX_WAYS = """
waits = [
    lambda: socket.getaddrinfo("slow0.test", 443),
    lambda: socket.getaddrinfo("slow0.test", 443),
    lambda: socket.gethostbyname("slow1.test"),
    lambda: tcp(timeout=20).connect(("slow2.test", 443)),
    lambda: udp(timeout=20).sendto(b"x", ("slow3.test", 443)),
    lambda: asyncio.run(asyncio.wait_for(asyncio.open_connection("slow4.test", 443), 20)),
]
outcomes, took, dials, started = [], [], [], time.monotonic()
def wait(call):
    outcomes.extend(attempts(call))
    took.append(time.monotonic() - started)
threads = [threading.Thread(target=wait, args=(call,)) for call in waits]
for thread in threads:
    thread.start()
while any(thread.is_alive() for thread in threads):
    moment = time.monotonic()
    socket.create_connection((API, 443), 5).close()
    dials.append(time.monotonic() - moment)
    time.sleep(0.01)
result = {"outcomes": outcomes, "took": took, "dials": len(dials), "slowest": max(dials)}
"""


@BOTH
def test_a_slow_lookup_leaves_other_threads_free(lab: Lab, guard: bool) -> None:
    slow = {f"slow{number}.test": {"A": [[API]], "delay": 5} for number in range(5)}
    allow = (f"{NAME}:443", *(f"{name}:443" for name in slow))
    outcome = lab.run(SIX_WAYS, guard=guard, allow=allow, resolv=PATIENT, rules={**FAST, **slow})
    result = outcome.report["result"]
    assert result["outcomes"] == [""] * 6, outcome
    # None of them waits for another one, though two ask for the same name.
    assert all(4.5 < seconds < 7 for seconds in result["took"]), outcome
    assert result["dials"] > 50, outcome
    assert result["slowest"] < 1, outcome


@BOTH
def test_a_slow_lookup_leaves_the_event_loop_free(lab: Lab, guard: bool) -> None:
    code = """
async def tick(gaps):
    while True:
        moment = time.monotonic()
        await asyncio.sleep(0.01)
        gaps.append(time.monotonic() - moment)
async def go():
    gaps = []
    ticker = asyncio.ensure_future(tick(gaps))
    _, writer = await asyncio.open_connection(API, 443)
    writer.close()
    ticker.cancel()
    return {"ticks": len(gaps), "slowest": max(gaps)}
result = asyncio.run(go())
"""
    rules = {NAME: {"A": [[API]], "delay": 2}}
    outcome = lab.run(code, guard=guard, resolv=PATIENT, rules=rules)
    assert outcome.report["result"]["ticks"] > 50, outcome
    assert outcome.report["result"]["slowest"] < 0.5, outcome


# Where the interpreter can react to a signal, it reacts at once; libc itself goes on waiting in the main thread.
INTERRUPTED = {
    "main thread waits for another": ("""
thread = threading.Thread(target=socket.getaddrinfo, args=(API, 443), daemon=True)
thread.start()
time.sleep(0.2)
thread.join()
""", 1.0),
    "main thread looks the name up": ("socket.getaddrinfo(API, 443)", 3.5),
    "main thread connects to the name": ("s = tcp()\ns.connect((API, 443))", 3.5),
    "event loop": ("asyncio.run(asyncio.open_connection(API, 443))", 3.5),
}  # fmt: skip


@BOTH
@pytest.mark.parametrize("where", INTERRUPTED)
def test_ctrl_c_works(lab: Lab, where: str, guard: bool) -> None:
    code, limit = INTERRUPTED[where]
    indented = code.strip().replace("\n", "\n    ")
    case = f"""
started = time.monotonic()
threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    {indented}
finally:
    result = time.monotonic() - started
    sys.stdout.flush()
"""
    # As it would be in a program that a person started: the harness ignores nothing, but be sure.
    outcome = lab.run(
        case, guard=guard, before="signal.signal(signal.SIGINT, signal.default_int_handler)", resolv=PATIENT,
        rules={NAME: {"A": [[API]], "delay": 2}},
    )  # fmt: skip
    assert outcome.report["raised"] == "KeyboardInterrupt", outcome
    assert 0.4 < outcome.report["result"] < limit, outcome


# While the guard looks for a grant for an address that nothing covers: how long a dial may take, in seconds.
PATIENCE = {
    "no timeout": ("None", 0.8, 1.6),
    "a long timeout": ("30", 0.8, 1.6),
    "a short timeout": ("0.3", 0.2, 0.8),
    "without blocking": ("0", 0.0, 0.3),
}


@pytest.mark.parametrize("rule", [{"A": [[API]], "delay": 4}, {"silent": True}], ids=["late", "silent"])
@pytest.mark.parametrize("timeout", PATIENCE)
def test_looking_for_a_grant_honours_the_timeout(lab: Lab, timeout: str, rule: dict[str, object]) -> None:
    seconds, least, most = PATIENCE[timeout]
    code = f"""
s = socket.socket()
s.settimeout({seconds})
started = time.monotonic()
result = attempts(lambda: s.connect((RAW, 443)))
result.append(time.monotonic() - started)
"""
    outcome = lab.run(code, guard=True, resolv=BY_SCRIPT, rules={NAME: rule}, timeout=12)
    raised, took = outcome.report["result"]
    assert raised == "EgressViolation", outcome
    assert least <= took < most, outcome
    assert not outcome.wire.besides({NAME}), outcome


def test_ctrl_c_works_while_looking_for_a_grant(lab: Lab) -> None:
    code = """
threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
started = time.monotonic()
s = tcp()
try:
    attempts(lambda: s.connect((RAW, 443)))
    time.sleep(5)
except KeyboardInterrupt:
    result = time.monotonic() - started
"""
    before = "signal.signal(signal.SIGINT, signal.default_int_handler)"
    outcome = lab.run(code, guard=True, before=before, resolv=BY_SCRIPT, rules={NAME: {"silent": True}})
    assert outcome.report["result"] is not None, outcome
    assert outcome.report["result"] < 1.6, outcome


@BOTH
def test_timeout_of_a_connect_is_honoured(lab: Lab, guard: bool) -> None:
    code = """
s = socket.socket()
s.settimeout(0.5)
started = time.monotonic()
result = attempts(lambda: s.connect((API, 443)))
result.append(time.monotonic() - started)
"""
    outcome = lab.run(code, guard=guard, resolv=BY_SCRIPT, rules={NAME: {"A": [[SILENT]]}})
    raised, took = outcome.report["result"]
    assert raised == "TimeoutError", outcome
    assert 0.4 < took < 1.5, outcome


@BOTH
def test_no_answer_is_an_error_of_dns(lab: Lab, guard: bool) -> None:
    code = """
result = attempts(lambda: socket.getaddrinfo(API, 443), lambda: socket.gethostbyname(API),
                  lambda: tcp().connect((API, 443)))
"""
    resolv = "options timeout:1 attempts:1\n" + BY_SCRIPT
    outcome = lab.run(code, guard=guard, resolv=resolv, rules={NAME: {"silent": True}})
    assert outcome.report["result"] == ["gaierror"] * 3, outcome
    assert not outcome.report["violations"], outcome


@BOTH
def test_a_late_answer_does_no_harm(lab: Lab, guard: bool) -> None:
    code = """
result = attempts(lambda: socket.getaddrinfo(API, 443))
time.sleep(1)
result.append(socket.gethostbyname("one.test"))
result += attempts(lambda: socket.create_connection(("one.test", 443), 2))
"""
    rules: dict[str, dict[str, Any]] = {NAME: {"A": [[API]], "delay": 1.5}, "one.test": {"A": [["203.0.113.11"]]}}
    resolv = "options timeout:1 attempts:1\n" + BY_SCRIPT
    outcome = lab.run(code, guard=guard, allow=(f"{NAME}:443", "one.test:443"), resolv=resolv, rules=rules)
    assert outcome.report["result"] == ["gaierror", "203.0.113.11", ""], outcome
    assert outcome.wire.dialled() == {("203.0.113.11", 443)}, outcome
